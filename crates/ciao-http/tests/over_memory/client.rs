//! Does the client share connections as the version allows, and try again only where it may?

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use ciao_http::client::{Client, Connect, Framing, HttpVersion, Origin, Payload, ResponseBody};
use http::{Method, Request, Response, Uri};
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::mpsc,
    task::JoinSet,
};

use super::duplex::{STREAM_BYTES, Server, read_all};

pub(crate) const VERSIONS: [HttpVersion; 3] = [HttpVersion::Http10, HttpVersion::Http11, HttpVersion::Http2];

/// Connects to a server in memory. Every connection may be cut after so many bytes of the server.
#[derive(Clone)]
pub(crate) struct ToServer {
    pub(crate) connections: mpsc::UnboundedSender<DuplexStream>,
    pub(crate) cut_after: Option<usize>,
}

impl ToServer {
    pub(crate) fn new(server: &Server) -> ToServer {
        ToServer { connections: server.connections.clone(), cut_after: None }
    }
}

impl Connect for ToServer {
    type Io = DuplexStream;

    async fn connect(&self, _host: &str, _port: u16) -> io::Result<DuplexStream> {
        let (ours, theirs) = duplex(STREAM_BYTES);
        self.connections.send(theirs).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        let Some(limit) = self.cut_after else { return Ok(ours) };
        let (outer, inner) = duplex(STREAM_BYTES);
        tokio::spawn(async move {
            let (from_server, mut to_server) = tokio::io::split(ours);
            let (mut from_client, mut to_client) = tokio::io::split(inner);
            let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            let _cut = tokio::io::copy(&mut from_server.take(limit as u64), &mut to_client).await;
            to_client.shutdown().await.unwrap();
            up.abort();
        });
        Ok(outer)
    }
}

pub(crate) fn uri(path: &str) -> Uri {
    format!("http://server{path}").parse().unwrap()
}

pub(crate) fn origin(response: &Response<ResponseBody>) -> (u64, u64) {
    let origin = response.extensions().get::<Origin>().unwrap();
    (origin.connection, origin.request)
}

pub(crate) async fn text(response: Response<ResponseBody>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

// RFC 9113 §9.1 9113-9.1
#[tokio::test(start_paused = true)]
async fn fifty_urls_use_the_connections_that_the_version_allows() {
    for version in VERSIONS {
        let server = Server::start();
        let client = Client::new(ToServer::new(&server), version);
        let mut fetches = JoinSet::new();
        for number in 0..50 {
            let client = client.clone();
            fetches.spawn(async move {
                let path = format!("/wait/{number}");
                let response = client.fetch(&uri(&path)).await.unwrap();
                let (connection, _) = origin(&response);
                assert_eq!(text(response).await, path);
                connection
            });
        }
        let mut connections = fetches.join_all().await;
        connections.sort_unstable();
        connections.dedup();
        assert_eq!(connections.len(), if version == HttpVersion::Http10 { 50 } else { 1 }, "{version:?}");
        client.close().await;
        let mut streams: Vec<_> = server.records().iter().filter_map(|record| record.stream).collect();
        streams.sort_unstable();
        let expected: Vec<u32> =
            if version == HttpVersion::Http2 { (0..50).map(|n| 2 * n + 1).collect() } else { vec![] };
        assert_eq!(streams, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn http2_serves_at_once_and_http1_in_turn() {
    for (version, expected_ms) in
        [(HttpVersion::Http10, 100), (HttpVersion::Http11, 1000), (HttpVersion::Http2, 100)]
    {
        let server = Server::start();
        let client = Client::new(ToServer::new(&server), version);
        let started = tokio::time::Instant::now();
        let mut fetches = JoinSet::new();
        for _ in 0..10 {
            let client = client.clone();
            fetches.spawn(async move { text(client.fetch(&uri("/wait/100")).await.unwrap()).await });
        }
        fetches.join_all().await;
        assert_eq!(started.elapsed().as_millis(), expected_ms, "{version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_status_arrives_in_every_version() {
    for version in VERSIONS {
        let server = Server::start();
        let client = Client::new(ToServer::new(&server), version);
        for status in [200, 201, 301, 404, 413, 500, 503] {
            let path = format!("/status/{status}");
            let response = client.fetch(&uri(&path)).await.unwrap();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(text(response).await, path);
        }
    }
}

// RFC 9112 §6.3 9112-6.3b
#[tokio::test(start_paused = true)]
async fn a_response_cut_at_any_byte_is_never_taken_for_whole() {
    for version in VERSIONS {
        for path in ["/length/600", "/stream/600"] {
            let whole_bytes = server_bytes(version, path).await;
            let mut errors = 0;
            for cut in 0..whole_bytes {
                let server = Server::start();
                let connector = ToServer { cut_after: Some(cut), ..ToServer::new(&server) };
                let result = fetch_all(&Client::new(connector, version), path).await;
                server.shutdown.cancel();
                match result {
                    Err(_) => errors += 1,
                    Ok((600, _)) => {
                        // HTTP/2 says good-bye after the last byte of the body, chunks have an end of no
                        // bytes.
                        assert!(cut >= 600, "{version:?} {path} {cut}");
                    }
                    Ok((len, framing)) => {
                        assert_eq!(framing, Framing::Connection, "{version:?} {path}: {len} bytes at {cut}");
                    }
                }
            }
            // Only HTTP/1.0 without a length has nothing but its head to miss.
            let unframed = version == HttpVersion::Http10 && path == "/stream/600";
            let least = if unframed { "HTTP/1.0 200 OK\r\n\r\n".len() } else { 600 };
            assert!(errors >= least, "{version:?} {path}: {errors} of {whole_bytes} cuts were seen");
        }
    }
}

/// How many bytes the server sends for one request.
async fn server_bytes(version: HttpVersion, path: &str) -> usize {
    for bytes in (100..).step_by(100) {
        let server = Server::start();
        let connector = ToServer { cut_after: Some(bytes), ..ToServer::new(&server) };
        if matches!(fetch_all(&Client::new(connector, version), path).await, Ok((600, _))) {
            return bytes;
        }
    }
    unreachable!("a response is finite")
}

async fn fetch_all(
    client: &Client<ToServer>,
    path: &str,
) -> Result<(usize, Framing), Box<dyn std::error::Error>> {
    let response = client.fetch(&uri(path)).await?;
    let framing = response.body().framing();
    Ok((response.into_body().collect().await?.to_bytes().len(), framing))
}

/// A server that plays one script for each connection.
struct Script {
    /// For each connection: what is answered to each request, a `None` closes.
    answers: Vec<Vec<Option<&'static str>>>,
    opened: AtomicUsize,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn new(answers: Vec<Vec<Option<&'static str>>>) -> (Script, Arc<Mutex<Vec<String>>>) {
        let requests = Arc::default();
        (Script { answers, opened: AtomicUsize::new(0), requests: Arc::clone(&requests) }, requests)
    }
}

impl Connect for Script {
    type Io = DuplexStream;

    async fn connect(&self, _host: &str, _port: u16) -> io::Result<DuplexStream> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let answers = self.answers.get(number).ok_or(io::ErrorKind::ConnectionRefused)?.clone();
        let (ours, mut theirs) = duplex(STREAM_BYTES);
        let requests = Arc::clone(&self.requests);
        tokio::spawn(async move {
            let mut buffer = vec![0; 4096];
            for answer in answers {
                let len = theirs.read(&mut buffer).await.unwrap();
                let line =
                    String::from_utf8_lossy(&buffer[..len]).lines().next().unwrap_or_default().to_owned();
                requests.lock().unwrap().push(format!("{number} {line}"));
                match answer {
                    Some(answer) => theirs.write_all(answer.as_bytes()).await.unwrap(),
                    None => return,
                }
            }
            read_all(&mut theirs).await;
        });
        Ok(ours)
    }
}

const OK: Option<&str> = Some("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");

fn request(method: Method, payload: Payload) -> Request<Payload> {
    Request::builder().method(method).uri(uri("/")).body(payload).unwrap()
}

// RFC 9112 §9.3.1 9112-9.3.1
#[tokio::test(start_paused = true)]
async fn only_an_idempotent_request_is_sent_again_on_a_stale_connection() {
    for (method, tried) in
        [(Method::GET, 2), (Method::PUT, 2), (Method::DELETE, 2), (Method::POST, 1), (Method::PATCH, 1)]
    {
        let (script, requests) = Script::new(vec![vec![OK, None], vec![OK]]);
        let client = Client::new(script, HttpVersion::Http11);
        assert_eq!(text(client.fetch(&uri("/")).await.unwrap()).await, "ok");
        let payload = Payload::Bytes(Bytes::from_static(b"body"));
        let again = client.send(request(method.clone(), payload)).await;
        assert_eq!(again.is_ok(), tried == 2, "{method}");
        let requests = requests.lock().unwrap();
        let sent = requests.iter().filter(|line| line.contains(&format!(" {method} "))).count();
        assert_eq!(sent, if method == Method::GET { 3 } else { tried }, "{requests:?}");
    }
}

// RFC 9112 §9.3.1 9112-9.3.1
#[tokio::test(start_paused = true)]
async fn a_request_that_fails_on_a_fresh_connection_is_not_sent_again() {
    let (script, requests) = Script::new(vec![vec![None], vec![OK]]);
    let client = Client::new(script, HttpVersion::Http11);
    client.fetch(&uri("/")).await.unwrap_err();
    assert_eq!(requests.lock().unwrap().len(), 1);
}

// RFC 9112 §9.2 9112-9.2
#[tokio::test(start_paused = true)]
async fn an_unsolicited_response_is_never_taken_for_the_next_one() {
    let poisoned =
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    let (script, _requests) = Script::new(vec![vec![Some(poisoned)], vec![OK]]);
    let client = Client::new(script, HttpVersion::Http11);
    let first = client.fetch(&uri("/1")).await.unwrap();
    assert_eq!(text(first).await, "ok");
    tokio::task::yield_now().await;
    let second = client.fetch(&uri("/2")).await.unwrap();
    assert_eq!(origin(&second), (2, 1));
    assert_eq!(text(second).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_body_without_length_ends_with_the_connection_and_says_so() {
    let (script, _requests) = Script::new(vec![vec![Some("HTTP/1.0 200 OK\r\n\r\nall of it"), None]]);
    let client = Client::new(script, HttpVersion::Http10);
    let response = client.fetch(&uri("/")).await.unwrap();
    assert_eq!(response.body().framing(), Framing::Connection);
}

#[tokio::test(start_paused = true)]
async fn a_body_dropped_half_way_does_not_spoil_the_next_request() {
    for version in VERSIONS {
        let server = Server::start();
        let client = Client::new(ToServer::new(&server), version);
        let mut first = client.fetch(&uri("/length/1000000")).await.unwrap();
        first.body_mut().frame().await.unwrap().unwrap();
        drop(first);
        assert_eq!(text(client.fetch(&uri("/second")).await.unwrap()).await, "/second");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_named() {
    let (script, _requests) = Script::new(vec![]);
    let error = Client::new(script, HttpVersion::Http11).fetch(&uri("/")).await.unwrap_err();
    assert_eq!(error.to_string(), "no connection");
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
}
