//! How is a connection kept, and lent to one request after another?
//!
//! One slot for each host and port. HTTP/1.1 lends the slot for the time of one exchange; HTTP/2 for the
//! time it takes to hand the request over; HTTP/1.0 does not use it.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedMutexGuard, oneshot},
};
use tokio_util::task::TaskTracker;

use super::{
    ClientError, Connect, HttpVersion, Target,
    error::is_unprocessed,
    lent::Lent,
    response::{Lease, Origin, ResponseBody},
};
use crate::{
    body::Body,
    closing::{self, Linger},
};

/// Bytes that one HTTP/2 stream, and all of them together, may have under way to us. 128 streams that
/// nobody reads do not hold up another one.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 129 << 20;

/// For what the server still says when we are done with a connection: an HTTP/2 server's GOAWAY. Short, for a
/// body that nobody wants may be endless.
const LINGER: Linger = Linger { idle: Duration::from_secs(1), total: Duration::from_secs(2) };

/// One exchange failed.
pub(super) struct Failure {
    pub(super) error: ClientError,
    /// The request was on a connection that had served others.
    pub(super) reused: bool,
    /// The server cannot have begun to serve it.
    pub(super) unprocessed: bool,
}

/// hyper's end of a connection.
enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Sender {
    /// Whether another request can be sent.
    async fn ready(&mut self) -> bool {
        match self {
            Sender::Http1(sender) => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        }
    }
}

/// A connection to one host.
struct Channel {
    sender: Sender,
    number: u64,
    requests: u64,
}

type Slot = Arc<tokio::sync::Mutex<Option<Channel>>>;

/// A lent slot. The connection goes back by dropping it.
type Turn = OwnedMutexGuard<Option<Channel>>;

pub(super) struct Pool<C> {
    connector: C,
    pub(super) version: HttpVersion,
    slots: Mutex<BTreeMap<(String, u16), Slot>>,
    connections: AtomicU64,
    tasks: TaskTracker,
}

impl<C: Connect> Pool<C> {
    pub(super) fn new(connector: C, version: HttpVersion) -> Pool<C> {
        Pool {
            connector,
            version,
            slots: Mutex::new(BTreeMap::new()),
            connections: AtomicU64::new(0),
            tasks: TaskTracker::new(),
        }
    }

    /// One attempt.
    pub(super) async fn send(
        &self,
        target: &Target,
        request: Request<Body>,
    ) -> Result<Response<ResponseBody>, Failure> {
        match self.version {
            HttpVersion::Http10 => self.send_alone(target, request).await,
            HttpVersion::Http11 => self.send_in_turn(target, request).await,
            HttpVersion::Http2 => self.send_beside_others(target, request).await,
        }
    }

    async fn send_alone(
        &self,
        target: &Target,
        request: Request<Body>,
    ) -> Result<Response<ResponseBody>, Failure> {
        let mut channel = self.open(target).await?;
        let (origin, reused) = channel.count();
        let result = channel.sender.exchange(request).await;
        finish(result, origin, reused, None)
    }

    // hyper closes a connection on which bytes come that answer nothing.
    // RFC 9112 §9.2 9112-9.2
    async fn send_in_turn(
        &self,
        target: &Target,
        request: Request<Body>,
    ) -> Result<Response<ResponseBody>, Failure> {
        let mut turn = self.turn(target).await?;
        let channel = turn.as_mut().expect("turn() leaves a connection in the slot");
        let (origin, reused) = channel.count();
        let result = channel.sender.exchange(request).await;
        if result.is_err() {
            *turn = None;
        }
        finish(result, origin, reused, Some(Box::new(turn)))
    }

    async fn send_beside_others(
        &self,
        target: &Target,
        request: Request<Body>,
    ) -> Result<Response<ResponseBody>, Failure> {
        let mut turn = self.turn(target).await?;
        let channel = turn.as_mut().expect("turn() leaves a connection in the slot");
        let (origin, reused) = channel.count();
        let exchange = channel.sender.exchange(request);
        drop(turn);
        finish(exchange.await, origin, reused, None)
    }

    /// Waits for the slot of the target, and sees to a usable connection in it.
    // RFC 9113 §9.1 9113-9.1
    async fn turn(&self, target: &Target) -> Result<Turn, Failure> {
        let key = (target.host.clone(), target.port);
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(key).or_default())
        };
        let mut turn = slot.lock_owned().await;
        let usable = match turn.as_mut() {
            Some(channel) => channel.sender.ready().await,
            None => false,
        };
        if !usable {
            *turn = Some(self.open(target).await?);
        }
        Ok(turn)
    }

    /// A new connection, with hyper's part of it in a task of its own.
    async fn open(&self, target: &Target) -> Result<Channel, Failure> {
        let fresh = |error| Failure { error, reused: false, unprocessed: false };
        let io = self.connector.connect(&target.host, target.port).await;
        let (io, returned) = Lent::new(io.map_err(|error| fresh(ClientError::Connect(error)))?);
        let io = TokioIo::new(io);
        let exchange = |error| fresh(ClientError::Exchange(error));
        // The connection's own error is seen by the request that it concerns; an idle one concerns none.
        let sender = if self.version == HttpVersion::Http2 {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
            let (sender, connection) = builder.handshake(io).await.map_err(exchange)?;
            self.tasks.spawn(carry(connection, returned));
            Sender::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.map_err(exchange)?;
            self.tasks.spawn(carry(connection, returned));
            Sender::Http1(sender)
        };
        let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Channel { sender, number, requests: 0 })
    }

    pub(super) async fn close(&self) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Channel {
    /// Counts one request, and tells whether it is not the first.
    fn count(&mut self) -> (Origin, bool) {
        self.requests += 1;
        (Origin { connection: self.number, request: self.requests }, self.requests > 1)
    }
}

type Exchange = Result<Response<Incoming>, TrySendError<Request<Body>>>;

impl Sender {
    /// Hands the request over at once; the future waits for the head of the response.
    fn exchange(&mut self, request: Request<Body>) -> Pin<Box<dyn Future<Output = Exchange> + Send>> {
        match self {
            Sender::Http1(sender) => Box::pin(sender.try_send_request(request)),
            Sender::Http2(sender) => Box::pin(sender.try_send_request(request)),
        }
    }
}

fn finish(
    result: Exchange,
    origin: Origin,
    reused: bool,
    lease: Option<Lease>,
) -> Result<Response<ResponseBody>, Failure> {
    match result {
        Ok(mut response) => {
            response.extensions_mut().insert(origin);
            Ok(ResponseBody::attach(response, lease))
        }
        Err(mut error) => {
            // hyper gives the message back when not one byte of it was written.
            let unsent = error.take_message().is_some();
            let error = error.into_error();
            let unprocessed = unsent || is_unprocessed(&error);
            Err(Failure { error: ClientError::Exchange(error), reused, unprocessed })
        }
    }
}

/// hyper's part of a connection until it is over, and then the closing of it.
async fn carry<Io: AsyncRead + AsyncWrite + Unpin>(connection: impl Future, returned: oneshot::Receiver<Io>) {
    connection.await;
    if let Ok(mut io) = returned.await {
        closing::close(&mut io, LINGER).await;
    }
}
