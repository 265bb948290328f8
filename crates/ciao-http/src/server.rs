//! How is a connection accepted, served, watched and drained?
//!
//! [`serve`] takes connections from an [`Accept`] and gives each its own task (`server/connection.rs`), in
//! which hyper speaks the version that the client chose: HTTP/1.0 and HTTP/1.1, or HTTP/2 by prior
//! knowledge.
//!
//! Not here: what is served ([`crate::files`] or a service of yours).

mod access;
mod connection;
mod request_body;
mod rules;
mod stream_ids;
mod tapped;

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::service::Service;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

pub use crate::closing::Linger;
pub use access::{AccessRecord, Observer, Outcome, ServerEvent};
pub use request_body::RequestBody;

use crate::body::BoxError;
use connection::Identity;

/// Where connections come from.
pub trait Accept: Send {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Waits for the next connection. Dropping the future loses none.
    ///
    /// # Errors
    /// `ConnectionAborted` and `ConnectionReset` concern one connection and the server goes on; any other
    /// error ends it.
    // RFC 9293 §3.9.2 SHLD-23: a stream of bytes and no more, so nothing here can change the code point of a
    // connection while it lasts
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, SocketAddr)>> + Send;
}

/// Numbers for connections, from 1. Servers whose configurations are clones of one share theirs, so that a
/// number means one connection.
#[derive(Clone, Debug, Default)]
pub struct ConnectionNumbers(Arc<AtomicU64>);

impl ConnectionNumbers {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Limits and habits of a server.
#[derive(Clone)]
pub struct ServerConfig {
    /// Whether responses carry a Date. Off where the same run must give the same bytes.
    pub date_header: bool,
    /// Connections at once; more wait in the listener's backlog.
    pub max_connections: usize,
    /// HTTP/2 streams at once on one connection.
    pub max_streams: u32,
    /// Bytes of a response that one HTTP/2 stream may hold back when the peer does not take them.
    pub stream_send_bytes: usize,
    /// Bytes of an HTTP/1 request's head, and of a response waiting to be written. At least 8192.
    pub max_head_bytes: usize,
    /// Bytes of an HTTP/2 request's fields, decoded.
    pub max_header_list_bytes: u32,
    /// From the first byte of a request's head to its end.
    pub header_timeout: Duration,
    /// Without a byte of a request's body that the service waits for.
    pub body_timeout: Duration,
    /// From the end of a response to the first byte of the next request.
    pub idle_timeout: Duration,
    /// Without the peer taking one byte that we have for it, by TCP's window or by those of HTTP/2.
    pub write_timeout: Duration,
    /// For a connection that is asked to end: to move on with what it serves. For all connections, when the
    /// server ends: to finish.
    pub drain_timeout: Duration,
    /// For the peer's last bytes when the connection is closed.
    pub linger: Linger,
    /// Who is told of connections and requests.
    pub observer: Option<Observer>,
    /// Where the connections' numbers come from.
    pub numbers: ConnectionNumbers,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            date_header: true,
            max_connections: 16 * 1024,
            // hyper's own default is 200; 128 streams of 64 KiB bound a stalled connection to 8 MiB.
            max_streams: 128,
            stream_send_bytes: 64 * 1024,
            max_head_bytes: 128 * 1024,
            // hyper's own default.
            max_header_list_bytes: 16 * 1024,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            // RFC 9112 §9.5 leaves it open; 75 s is nginx' `keepalive_timeout`.
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(10),
            linger: Linger::default(),
            observer: None,
            numbers: ConnectionNumbers::default(),
        }
    }
}

impl ServerConfig {
    fn tell(&self, event: ServerEvent) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig").field("idle_timeout", &self.idle_timeout).finish_non_exhaustive()
    }
}

/// What became of the connections that were open when the server was asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Ended in order, or by a fault of their own.
    pub finished: usize,
    /// Given up at the end of [`ServerConfig::drain_timeout`].
    pub aborted: usize,
}

/// Serves until `shutdown` is cancelled, then drops the listener, lets every connection finish and returns.
///
/// # Errors
/// The listener's error, when it can accept no more.
pub async fn serve<A, S, B>(
    mut listener: A,
    service: S,
    config: ServerConfig,
    shutdown: CancellationToken,
) -> io::Result<Drained>
where
    A: Accept,
    S: Service<Request<RequestBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>,
    S: Clone + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let config = Arc::new(config);
    let mut connections = JoinSet::new();
    let result = loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break Ok(()),
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < config.max_connections => accepted,
        };
        match accepted {
            Ok((io, peer)) => {
                let identity = Identity { number: config.numbers.next(), peer };
                let (service, config) = (service.clone(), Arc::clone(&config));
                connections.spawn(connection::run(io, identity, service, config, shutdown.clone()));
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => break Err(error),
        }
    };
    drop(listener);
    shutdown.cancel();
    let drained = drain(&mut connections, config.drain_timeout).await;
    result.map(|()| drained)
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

async fn drain(connections: &mut JoinSet<()>, limit: Duration) -> Drained {
    let open = connections.len();
    // Each task ends by itself within its own limits; this bounds all of them together.
    let _all_ended = timeout(limit, async { while connections.join_next().await.is_some() {} }).await;
    let aborted = connections.len();
    connections.shutdown().await;
    Drained { finished: open - aborted, aborted }
}
