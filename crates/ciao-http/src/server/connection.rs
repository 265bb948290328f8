//! One connection of the server, from accept to close.
//!
//! hyper serves it; this task watches its progress, ends it when it stands still or when the server shuts
//! down, and closes it in order. Not here: the rules for requests (`rules.rs`), the record of each
//! (`access.rs`).

use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    ServerConfig,
    access::{AccessRecord, Moment, Outcome, RecordedBody, ServerEvent},
    request_body::RequestBody,
    rules::refusal,
    tapped::{Progress, Tapped},
};
use crate::{
    body::{self, BoxError},
    closing,
};

/// What a request head that never came whole is answered, RFC 9110 §15.5.9.
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What becomes of a connection that makes no progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stillness {
    /// A request is in flight: the service may take its time.
    Busy,
    /// No request for long: say good-bye in order.
    Idle,
    /// A request's head began and did not end: answer 408.
    SlowHead,
    /// The peer does not take our bytes: give up.
    WriteBlocked,
    /// It was asked to end and did not.
    NotDrained,
}

// RFC 9112 §9.5 9112-9.5
/// When, and why, a connection with this progress is ended if nothing changes.
fn deadline(progress: &Progress, config: &ServerConfig) -> (Instant, Stillness) {
    if let Some(since) = progress.write_blocked_since {
        return (since + config.write_timeout, Stillness::WriteBlocked);
    }
    if progress.in_flight > 0 {
        // A response may end on another task: look again after a while.
        return match progress.held_since() {
            Some(since) => (since + config.write_timeout, Stillness::WriteBlocked),
            None => (Instant::now() + config.idle_timeout, Stillness::Busy),
        };
    }
    match progress.head_since {
        Some(since) => (since + config.header_timeout, Stillness::SlowHead),
        None => (progress.last_progress() + config.idle_timeout, Stillness::Idle),
    }
}

/// Number and peer of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) number: u64,
    pub(crate) peer: SocketAddr,
}

/// The service of one connection: counts, refuses, records.
struct Counted<Io, S> {
    service: S,
    io: Tapped<Io>,
    identity: Identity,
    requests: Arc<AtomicU64>,
    config: Arc<ServerConfig>,
}

/// One request in flight; dropping it ends the flight however that came about.
struct InFlight<Io>(Tapped<Io>);

impl<Io> InFlight<Io> {
    fn start(io: &Tapped<Io>) -> (InFlight<Io>, Option<u32>) {
        let stream = io.progress(|progress| {
            progress.in_flight += 1;
            progress.head_since = None;
            progress.streams.served()
        });
        (InFlight(io.clone()), stream)
    }
}

impl<Io> Drop for InFlight<Io> {
    fn drop(&mut self) {
        self.0.progress(|progress| {
            progress.in_flight -= 1;
            progress.quiet_since = Instant::now();
        });
    }
}

impl<Io, S, B> Service<Request<Incoming>> for Counted<Io, S>
where
    Io: Send + 'static,
    S: Service<Request<RequestBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<RecordedBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let started = Instant::now();
        let (in_flight, stream) = InFlight::start(&self.io);
        let mut record = AccessRecord {
            connection: self.identity.number,
            peer: self.identity.peer,
            request: self.requests.fetch_add(1, Ordering::Relaxed) + 1,
            stream,
            method: request.method().clone(),
            target: request.uri().path_and_query().map_or("*", |target| target.as_str()).to_owned(),
            version: request.version(),
            status: StatusCode::BAD_REQUEST,
            body_bytes: 0,
            duration: std::time::Duration::ZERO,
            outcome: Outcome::Cut,
        };
        let answer = match refusal(&request) {
            Some(refusal) => Err(refusal),
            None => Ok(self
                .service
                .call(request.map(|incoming| RequestBody::new(incoming, record.version, &self.config)))),
        };
        let config = Arc::clone(&self.config);
        Box::pin(async move {
            let response = match answer {
                Ok(answer) => answer.await.map_err(Into::into)?.map(body::boxed),
                Err(refusal) => refused(refusal.name(), record.version),
            };
            record.status = response.status();
            let observe = Box::new(move |moment| match moment {
                Moment::Handed => in_flight.0.progress(Progress::on_handed),
                Moment::Asked => in_flight.0.progress(Progress::on_asked),
            });
            let finish = Box::new(move |record| config.tell(ServerEvent::Request(record)));
            Ok(response.map(|body| RecordedBody::new(body, record, started, (observe, finish))))
        })
    }
}

/// 400, and on HTTP/1 the end of the connection: what follows such a request cannot be trusted.
fn refused(why: &'static str, version: http::Version) -> Response<body::Body> {
    let mut response = Response::new(body::full(why));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if version < http::Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// hyper with our limits; every builder has a timer. Left as hyper has it: `pipeline_flush`, which loses
/// the automatic 400 when it is on. One request is served at a time on HTTP/1, its unread body is never
/// taken for the next request, and what the version and Connection say decides whether there is a next one.
// RFC 9112 §9 9112-9.3a, 9112-9.3b, 9112-9.3.2, 9112-9.6a, RFC 9112 §6.1 9112-6.1a,
// RFC 1945 §1.3 1945-1, RFC 1945 §3.1 1945-3.1, RFC 9112 §C.2.2 1945-D,
// RFC 9110 §15.5 9110-15, RFC 9113 §5.2.2 9113-5.2.2, RFC 9113 §10.5 H2-DRIBBLE
fn builder(config: &ServerConfig) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .half_close(true)
        .header_read_timeout(None)
        .max_buf_size(config.max_head_bytes)
        .auto_date_header(config.date_header);
    builder
        .http2()
        .timer(TokioTimer::new())
        .auto_date_header(config.date_header)
        .max_concurrent_streams(config.max_streams)
        .max_send_buf_size(config.stream_send_bytes)
        .max_header_list_size(config.max_header_list_bytes);
    builder
}

/// Serves the connection until it is over and closed.
pub(crate) async fn run<Io, S, B>(
    io: Io,
    identity: Identity,
    service: S,
    config: Arc<ServerConfig>,
    shutdown: CancellationToken,
) where
    Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<RequestBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    config.tell(ServerEvent::Opened { connection: identity.number, peer: identity.peer });
    let mut io = Tapped::new(io);
    let requests = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        service,
        io: io.clone(),
        identity,
        requests: Arc::clone(&requests),
        config: Arc::clone(&config),
    };
    let ended = serve(&io, counted, &config, &shutdown).await;
    if ended == Ended::Still(Stillness::SlowHead) {
        // A peer that also reads nothing must not hold us: this wait has its end like the others.
        let _answered = timeout(config.linger.idle, io.write_all(REQUEST_TIMEOUT)).await;
    }
    // RFC 9113 §5.4.1 9113-5.4
    if ended != Ended::Still(Stillness::WriteBlocked) {
        closing::close(&mut io, config.linger).await;
    }
    config.tell(ServerEvent::Closed {
        connection: identity.number,
        requests: requests.load(Ordering::Relaxed),
        error: ended.error(),
    });
}

/// How hyper's part of a connection ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    InOrder,
    Failed(String),
    Still(Stillness),
}

impl Ended {
    fn error(self) -> Option<String> {
        match self {
            Ended::InOrder => None,
            Ended::Failed(error) => Some(error),
            Ended::Still(Stillness::Busy | Stillness::Idle) => Some("idle for too long".to_owned()),
            Ended::Still(Stillness::SlowHead) => Some("the request's head did not end in time".to_owned()),
            Ended::Still(Stillness::NotDrained) => Some("not drained in time".to_owned()),
            Ended::Still(Stillness::WriteBlocked) => Some("the peer took no bytes in time".to_owned()),
        }
    }
}

/// hyper's part: until its future is ready, or the connection stands still.
async fn serve<Io, S, B>(
    io: &Tapped<Io>,
    service: Counted<Io, S>,
    config: &ServerConfig,
    shutdown: &CancellationToken,
) -> Ended
where
    Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<RequestBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let builder = builder(config);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io.clone()), service));
    let mut timer = pin!(sleep_until(Instant::now() + config.idle_timeout));
    let mut goodbye = None;
    loop {
        let step = poll_fn(|context| {
            if let Poll::Ready(result) = connection.as_mut().poll(context) {
                return Poll::Ready(Step::Over(result.err()));
            }
            // Polling the connection changes its progress, so the deadline is asked for after each poll.
            let (at, stillness) = match goodbye {
                Some(said) => {
                    let moved = io.progress(|progress| progress.last_progress());
                    (moved.max(said) + config.drain_timeout, Stillness::NotDrained)
                }
                None => io.progress(|progress| deadline(progress, config)),
            };
            timer.as_mut().reset(at);
            timer.as_mut().poll(context).map(|()| Step::Still(stillness))
        });
        let step = tokio::select! {
            biased;
            () = shutdown.cancelled(), if goodbye.is_none() => Step::Still(Stillness::Idle),
            step = step => step,
        };
        match step {
            // Saying good-bye before the first byte came makes hyper-util answer with an error of its own.
            Step::Over(None) => return Ended::InOrder,
            Step::Over(Some(_)) if goodbye.is_some() && io.progress(|progress| progress.is_untouched()) => {
                return Ended::InOrder;
            }
            Step::Over(Some(error)) => return Ended::Failed(with_sources(&*error)),
            Step::Still(Stillness::Busy) => {}
            // RFC 9113 §6.8 9113-6.8a
            Step::Still(Stillness::Idle) => {
                goodbye = Some(Instant::now());
                connection.as_mut().graceful_shutdown();
            }
            Step::Still(stillness) => return Ended::Still(stillness),
        }
    }
}

/// What happened next to a connection.
enum Step {
    Over(Option<BoxError>),
    Still(Stillness),
}

/// hyper's errors name their cause only as their source.
fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let sources = std::iter::successors(error.source(), |source| source.source());
    std::iter::once(error).chain(sources).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
