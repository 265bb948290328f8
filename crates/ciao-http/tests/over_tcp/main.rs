//! HTTP over Ciao's own TCP, in virtual time: does it hold when packets are lost, and is a run the same
//! twice?
//!
//! A failure names its seed; `Simulation::new(seed)` replays it. Here a connection can be reset, which a
//! byte stream in memory (`over_memory`) cannot.
#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use ciao::{Simulation, Stack, TcpStream};
use ciao_http::{
    body::{self, Body},
    client::{Client, Framing, HttpVersion},
    server::{RequestBody, ServerConfig, serve},
};
use ciao_sim::LinkConfig;
use ciao_stack::{HostConfig, HostTraceEvent, Tracing};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

/// The server's address: the second host of the first link.
const SERVER: &str = "10.0.0.2:80";

/// Two hosts, and what their packets meet.
fn world(seed: u64, loss_ppm: u32, trace: Tracing) -> (Simulation, Stack, Stack) {
    let simulation = Simulation::new(seed);
    let config = HostConfig { trace, ..HostConfig::default() };
    let (client, server) = (simulation.host("client", config.clone()), simulation.host("server", config));
    let link = LinkConfig { delay: Duration::from_millis(5), loss_ppm, ..LinkConfig::default() };
    simulation.join(&client, &server, link.clone(), link);
    (simulation, client, server)
}

async fn answer(request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    Ok(match path.as_str() {
        // Answers without reading one byte of the body.
        "/full" => {
            let mut response = Response::new(body::full(vec![b'x'; 5000]));
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            response
        }
        "/large" => Response::new(body::full(vec![b'y'; 300_000])),
        _ => Response::new(body::full(path)),
    })
}

/// Serves until the token is cancelled, or the simulation ends.
async fn start_server(stack: &Stack) -> CancellationToken {
    let shutdown = CancellationToken::new();
    let listener = stack.listen("10.0.0.2:80").await.unwrap();
    let config = ServerConfig { date_header: false, ..ServerConfig::default() };
    tokio::spawn(serve(listener, service_fn(answer), config, shutdown.clone()));
    shutdown
}

fn address() -> SocketAddr {
    SERVER.parse().unwrap()
}

fn uri(path: &str) -> Uri {
    format!("http://{SERVER}{path}").parse().unwrap()
}

// RFC 9112 §9.6 9112-9.6b
#[test]
fn an_early_refusal_arrives_whole_in_every_run() {
    for seed in 0..1000 {
        let (simulation, client, server) = world(seed, 50_000, Tracing::Off);
        let text = simulation.run(async {
            let _server = start_server(&server).await;
            let mut stream = client.connect(address()).await.unwrap();
            let body = vec![0; 100_000];
            let head = format!("POST /full HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&body).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            text
        });
        let text = text.unwrap();
        assert!(
            text.starts_with("HTTP/1.1 413 ") && text.ends_with(&"x".repeat(5000)),
            "seed {seed}: {text}"
        );
    }
}

// RFC 9113 §5.4.1 9113-5.4
#[test]
fn goaway_arrives_before_the_end_in_every_run() {
    let bytes = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
        // SETTINGS, then DATA on stream 0.
        b"\0\0\0\x04\0\0\0\0\0",
        b"\0\0\x01\0\0\0\0\0\0x",
        &[0; 50_000],
    ]
    .concat();
    for seed in 0..300 {
        let (simulation, client, server) = world(seed, 50_000, Tracing::Off);
        let received = simulation.run(async {
            let _server = start_server(&server).await;
            let mut stream = client.connect(address()).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            let mut received = Vec::new();
            stream.read_to_end(&mut received).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            received
        });
        // The last frame: 8 bytes or more of GOAWAY on stream 0, with PROTOCOL_ERROR.
        let received = received.unwrap();
        let goaway =
            received.windows(17).any(|frame| frame[3] == 7 && frame[5..9] == [0; 4] && frame[16] == 1);
        assert!(goaway, "seed {seed}: {received:?}");
    }
}

/// Three requests in one version: every packet of both hosts, in words with its time, and its DSCP.
fn packets_of(seed: u64, version: HttpVersion) -> Vec<(String, u8)> {
    let (simulation, client, server) = world(seed, 20_000, Tracing::On);
    let ran = simulation.run(async {
        let shutdown = start_server(&server).await;
        let http = Client::new(client.clone(), version);
        for path in ["/a", "/large", "/b"] {
            let response = http.fetch(&uri(path)).await.unwrap();
            response.into_body().collect().await.unwrap();
        }
        http.close().await;
        shutdown.cancel();
    });
    ran.unwrap();
    let records = simulation.drain_trace();
    let packets = records.into_iter().filter_map(|record| match record.record.event {
        HostTraceEvent::PacketSent { packet, .. } => {
            let dscp = packet.head.as_slice()[1] >> 2;
            Some((format!("{} {} {packet:?}", record.host, record.record.at), dscp))
        }
        _ => None,
    });
    packets.collect()
}

// RFC 9293 §3.9.2 SHLD-23
#[test]
fn the_code_point_of_a_connection_stays_as_it_was() {
    for version in [HttpVersion::Http10, HttpVersion::Http11, HttpVersion::Http2] {
        for (packet, dscp) in packets_of(7, version) {
            assert_eq!(dscp, 0, "{packet}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_packets_in_every_version() {
    for version in [HttpVersion::Http10, HttpVersion::Http11, HttpVersion::Http2] {
        let (first, second) = (packets_of(7, version), packets_of(7, version));
        assert!(first.len() > 100, "{version:?}: {} packets", first.len());
        assert!(first == second, "{version:?}: two runs differ");
        assert!(first != packets_of(8, version), "{version:?}: the seed changes nothing");
    }
}

/// How a server breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Fin,
    Reset,
}

/// What the client makes of so many bytes of a response.
fn fetched(response: &'static [u8], sent: usize, end: End) -> Result<(Bytes, Framing), String> {
    let (simulation, client, server) = world(1, 0, Tracing::Off);
    let result = simulation.run(async {
        let listener = server.listen("10.0.0.2:80").await.unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            break_off(stream, &response[..sent], end).await.unwrap();
        });
        let http = Client::new(client.clone(), HttpVersion::Http11);
        let response = http.fetch(&uri("/")).await.map_err(|error| error.to_string())?;
        let framing = response.body().framing();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
        Ok((body.to_bytes(), framing))
    });
    result.unwrap()
}

async fn break_off(mut stream: TcpStream, bytes: &[u8], end: End) -> io::Result<()> {
    let mut request = [0; 1000];
    let _len = stream.read(&mut request).await?;
    stream.write_all(bytes).await?;
    // Time for the bytes to arrive: a reset that overtakes them would be another test.
    tokio::time::sleep(Duration::from_millis(500)).await;
    match end {
        End::Fin => stream.shutdown().await,
        End::Reset => {
            stream.abort();
            Ok(())
        }
    }
}

// RFC 9112 §6.3 9112-6.3b
#[test]
fn a_response_broken_off_at_any_byte_by_fin_or_reset_is_an_error() {
    let responses: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n0123456789012345678901234567890123456789",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
          28\r\n0123456789012345678901234567890123456789\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n0123456789012345678901234567890123456789",
    ];
    for (number, response) in responses.into_iter().enumerate() {
        for end in [End::Fin, End::Reset] {
            for sent in 0..response.len() {
                match fetched(response, sent, end) {
                    Err(_) => {}
                    // Nothing but the FIN tells the end of the third.
                    Ok((_, framing)) if end == End::Fin => {
                        assert_eq!((number, framing), (2, Framing::Connection), "{sent} bytes");
                    }
                    Ok(body) => panic!("response {number}, {sent} bytes, {end:?}: {body:?}"),
                }
            }
        }
        assert_eq!(fetched(response, response.len(), End::Fin).unwrap().0.len(), 40);
    }
}

// RFC 9112 §9.5 9112-9.5
#[test]
fn an_idle_connection_ends_by_fin_and_leaves_nothing_on_the_server() {
    let (simulation, client, server) = world(3, 0, Tracing::Off);
    let ended = simulation.run(async {
        let _server = start_server(&server).await;
        let mut stream = client.connect(address()).await.unwrap();
        stream.write_all(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut text = String::new();
        let started = tokio::time::Instant::now();
        stream.read_to_string(&mut text).await.expect("a FIN, not a reset");
        assert_eq!(started.elapsed().as_secs(), 75);
        drop(stream);
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.counts()
    });
    let counts = ended.unwrap();
    assert_eq!((counts.connections, counts.time_wait), (0, 1));
}

// RFC 9112 §9.5 9112-9.5
#[test]
fn a_client_that_leaves_frees_the_server_at_once() {
    let (simulation, client, server) = world(4, 0, Tracing::Off);
    let counts = simulation.run(async {
        let _server = start_server(&server).await;
        let http = Client::new(client.clone(), HttpVersion::Http11);
        http.fetch(&uri("/a")).await.unwrap().into_body().collect().await.unwrap();
        http.close().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.counts()
    });
    let counts = counts.unwrap();
    assert_eq!((counts.connections, counts.time_wait), (0, 0), "TIME-WAIT is with the one who closed first");
}
