//! A server and byte streams to it, all in memory, on tokio's paused clock.
//!
//! Not here: TCP below it (`interop/`), resets (a stream in memory has none).

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use ciao_http::{
    body::{self, Body},
    files::Files,
    server::{Accept, AccessRecord, Drained, RequestBody, ServerConfig, ServerEvent, serve},
};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::service::{Service, service_fn};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Bytes that a stream in memory holds in each direction.
pub(crate) const STREAM_BYTES: usize = 64 * 1024;

pub(crate) struct MemoryListener(mpsc::UnboundedReceiver<DuplexStream>);

impl Accept for MemoryListener {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        let peer = SocketAddr::from(([192, 0, 2, 1], 40_000));
        match self.0.recv().await {
            Some(io) => Ok((io, peer)),
            None => std::future::pending().await,
        }
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) connections: mpsc::UnboundedSender<DuplexStream>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<io::Result<Drained>>,
    pub(crate) events: Arc<Mutex<Vec<ServerEvent>>>,
}

/// No Date, so that answers can be compared.
pub(crate) fn config() -> ServerConfig {
    ServerConfig { date_header: false, ..ServerConfig::default() }
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::with(config())
    }

    pub(crate) fn with(config: ServerConfig) -> Server {
        Server::of(service_fn(answer), config)
    }

    /// A server of files.
    pub(crate) fn of_files(files: Files, config: ServerConfig) -> Server {
        let service = service_fn(move |request: Request<RequestBody>| {
            let files = files.clone();
            async move { Ok::<_, Infallible>(files.answer(request).await) }
        });
        Server::of(service, config)
    }

    fn of<S>(service: S, mut config: ServerConfig) -> Server
    where
        S: Service<Request<RequestBody>, Response = Response<Body>, Error = Infallible, Future: Send>,
        S: Clone + Send + 'static,
    {
        let (connections, listener) = mpsc::unbounded_channel();
        let shutdown = CancellationToken::new();
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        config.observer = Some(Arc::new(move |event| seen.lock().unwrap().push(event)));
        let task = tokio::spawn(serve(MemoryListener(listener), service, config, shutdown.clone()));
        Server { connections, shutdown, task, events }
    }

    /// A new connection to the server.
    pub(crate) fn connect(&self) -> DuplexStream {
        let (ours, theirs) = duplex(STREAM_BYTES);
        // After the server's end the stream is simply closed, as a refused one would be.
        let _accepted = self.connections.send(theirs);
        ours
    }

    /// Sends all of `request`, shuts the sending direction, and returns all that comes.
    pub(crate) async fn exchange(&self, request: &[u8]) -> String {
        let mut io = self.connect();
        io.write_all(request).await.unwrap();
        io.shutdown().await.unwrap();
        read_all(&mut io).await
    }

    /// Sends all of `request`, and returns all that comes until the server shuts its direction.
    pub(crate) async fn until_server_closes(&self, request: &[u8]) -> String {
        let mut io = self.connect();
        io.write_all(request).await.unwrap();
        read_all(&mut io).await
    }

    /// The records of the requests so far.
    pub(crate) fn records(&self) -> Vec<AccessRecord> {
        self.events.lock().unwrap().iter().filter_map(record).cloned().collect()
    }

    /// The targets that reached the service, in order.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.records().into_iter().map(|record| record.target).collect()
    }
}

pub(crate) fn record(event: &ServerEvent) -> Option<&AccessRecord> {
    match event {
        ServerEvent::Request(record) => Some(record),
        _ => None,
    }
}

/// All that comes until the end or an error.
pub(crate) async fn read_all(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    // What came before an error counts: the test looks at it.
    let _end = io.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The service of all tests; the path says what it does.
pub(crate) async fn answer(request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let (what, argument) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let number = || argument.parse::<usize>().expect("a test's path carries a number here");
    Ok(match what {
        // The answer names the path, so that a test sees which request it belongs to.
        "wait" => {
            tokio::time::sleep(Duration::from_millis(number() as u64)).await;
            Response::new(body::full(path))
        }
        "length" => Response::new(body::full(vec![b'x'; number()])),
        "stream" => Response::new(body::boxed(Pieces { left: number() })),
        "status" => {
            let mut response = Response::new(body::full(path.clone()));
            *response.status_mut() = StatusCode::from_bytes(argument.as_bytes()).unwrap();
            response
        }
        "sink" => match request.into_body().collect().await {
            Ok(received) => Response::new(body::full(format!("received {}", received.to_bytes().len()))),
            Err(_) => Response::new(body::full("received a part")),
        },
        // Answers without reading one byte of the body.
        "full" => {
            let mut response = Response::new(body::full("too much"));
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            response
        }
        _ => Response::new(body::full(path)),
    })
}

/// A body in pieces of at most 10,000 bytes whose length is not announced.
struct Pieces {
    left: usize,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.left.min(10_000);
        self.left -= piece;
        Poll::Ready((piece > 0).then(|| Ok(Frame::data(Bytes::from(vec![b'y'; piece])))))
    }
}
