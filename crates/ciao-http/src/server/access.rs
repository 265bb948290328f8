//! Which request was that: the record that the server makes of each one.
//!
//! A record is made when the last byte of the response was handed to the connection, or when the response
//! was given up. Not here: where it is printed (`ciao serve`).

use std::{
    fmt,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

use crate::body::{Body, BoxError};

/// Who gets the server's records. Called from the connection's task: it should return at once.
pub type Observer = Arc<dyn Fn(ServerEvent) + Send + Sync>;

/// What the server tells its observer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServerEvent {
    /// A connection was accepted.
    Opened {
        /// Number of the connection, from 1.
        connection: u64,
        /// The other end.
        peer: SocketAddr,
    },
    /// A request was answered, or its answer was given up.
    Request(AccessRecord),
    /// A connection is over: both directions are shut, or it was given up.
    Closed {
        /// Number of the connection.
        connection: u64,
        /// Requests that reached the service.
        requests: u64,
        /// Why it ended other than by agreement.
        error: Option<String>,
    },
}

/// Whether all of the response was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it.
    Complete,
    /// The connection or the source of the body ended before.
    Cut,
}

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct AccessRecord {
    /// Number of the connection, from 1.
    pub connection: u64,
    /// The other end.
    pub peer: SocketAddr,
    /// Number of the request on its connection, from 1.
    pub request: u64,
    /// The HTTP/2 stream.
    pub stream: Option<u32>,
    /// GET, HEAD, …
    pub method: Method,
    /// Path and query as they were asked for.
    pub target: String,
    /// The version of the request.
    pub version: Version,
    /// The answer.
    pub status: StatusCode,
    /// Bytes of the body that were handed to the connection.
    pub body_bytes: u64,
    /// From the end of the request's head to the end of the response.
    pub duration: Duration,
    /// Whether the response was whole.
    pub outcome: Outcome,
}

impl fmt::Display for AccessRecord {
    /// One line; what the peer chose is escaped, so that it cannot forge another line or move a terminal's
    /// cursor.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connection {} request {}", self.peer, self.connection, self.request)?;
        if let Some(stream) = self.stream {
            write!(f, " stream {stream}")?;
        }
        let target = self.target.escape_default();
        write!(f, " \"{} {target} {:?}\" {}", self.method, self.version, self.status.as_u16())?;
        write!(f, " {} bytes {:.1} ms", self.body_bytes, self.duration.as_secs_f64() * 1e3)?;
        match self.outcome {
            Outcome::Complete => Ok(()),
            Outcome::Cut => f.write_str(" CUT"),
        }
    }
}

/// What happens to a response's body between its beginning and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A piece was handed to the connection; the peer must take it before the next one is asked for.
    Handed,
    /// The next piece was asked for.
    Asked,
}

/// Who is told of the moments of a body, and of its record at the end.
pub(crate) type BodyObserver = (Box<dyn Fn(Moment) + Send>, Box<dyn FnOnce(AccessRecord) + Send>);

/// A response body that makes the record when it ends.
pub(crate) struct RecordedBody {
    inner: Body,
    last: Moment,
    /// Body bytes still to come; `None` when not known beforehand.
    left: Option<u64>,
    started: Instant,
    record: AccessRecord,
    observer: Option<BodyObserver>,
}

impl RecordedBody {
    /// The record is made once, at the end or when the body is dropped.
    pub(crate) fn new(
        inner: Body,
        record: AccessRecord,
        started: Instant,
        observer: BodyObserver,
    ) -> RecordedBody {
        let without_body = record.method == Method::HEAD
            || matches!(record.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let left = if without_body { Some(0) } else { inner.size_hint().exact() };
        RecordedBody { inner, last: Moment::Asked, left, started, record, observer: Some(observer) }
    }

    fn moment(&mut self, moment: Moment) {
        if let Some((observe, _)) = &self.observer
            && self.last != moment
        {
            observe(moment);
            self.last = moment;
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        self.moment(Moment::Asked);
        let Some((_, finish)) = self.observer.take() else { return };
        self.record.outcome = outcome;
        self.record.duration = self.started.elapsed();
        finish(self.record.clone());
    }
}

impl http_body::Body for RecordedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.moment(Moment::Asked);
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                self.moment(Moment::Handed);
                let len = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.record.body_bytes += len;
                self.left = self.left.map(|left| left.saturating_sub(len));
            }
            Some(Err(_)) => self.finish(Outcome::Cut),
            None => self.finish(Outcome::Complete),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for RecordedBody {
    fn drop(&mut self) {
        let whole = self.left == Some(0) || self.inner.is_end_stream();
        self.finish(if whole { Outcome::Complete } else { Outcome::Cut });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> AccessRecord {
        AccessRecord {
            connection: 3,
            peer: "10.77.0.1:40000".parse().unwrap(),
            request: 2,
            stream: Some(5),
            method: Method::GET,
            target: "/a\n10.0.0.1 forged".to_owned(),
            version: Version::HTTP_2,
            status: StatusCode::OK,
            body_bytes: 7,
            duration: Duration::from_micros(1500),
            outcome: Outcome::Complete,
        }
    }

    #[test]
    fn a_record_is_one_line_whatever_the_peer_sent() {
        let expected = "10.77.0.1:40000 connection 3 request 2 stream 5 \
             \"GET /a\\n10.0.0.1 forged HTTP/2.0\" 200 7 bytes 1.5 ms";
        assert_eq!(record().to_string(), expected);
    }
}
