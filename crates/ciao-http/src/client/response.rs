//! When is a response's body whole?
//!
//! Its end is an error unless the message says that it is the end: the declared length was reached, the
//! last chunk came, the HTTP/2 stream ended. Only a body with none of these ends with the connection, and
//! then a FIN is the end and a reset is an error. hyper checks it; this body carries the connection's lease
//! until then.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Response, Version, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

/// What tells the end of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Content-Length.
    Length,
    /// The last chunk of `Transfer-Encoding: chunked`.
    Chunks,
    /// The end of the HTTP/2 stream.
    Stream,
    /// The end of the connection alone: nothing says that the body was meant to end there.
    Connection,
}

/// Which connection a response came on; in the response's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Number of the client's connection, from 1.
    pub connection: u64,
    /// Number of the request on it, from 1.
    pub request: u64,
}

/// The body of a response. An error means that it is not whole.
#[derive(Debug)]
pub struct ResponseBody {
    incoming: Incoming,
    framing: Framing,
    /// What is lent for as long as the body lasts: the turn on an HTTP/1.1 connection.
    lease: Option<Lease>,
}

/// A lent connection; dropping it gives it back.
pub(super) type Lease = Box<dyn std::any::Any + Send + Sync>;

impl ResponseBody {
    pub(super) fn attach(response: Response<Incoming>, lease: Option<Lease>) -> Response<ResponseBody> {
        let framing = framing(response.version(), response.headers());
        response.map(|incoming| ResponseBody { incoming, framing, lease })
    }

    /// What tells the end of this body.
    pub fn framing(&self) -> Framing {
        self.framing
    }
}

fn framing(version: Version, headers: &HeaderMap) -> Framing {
    if version == Version::HTTP_2 {
        Framing::Stream
    } else if headers.contains_key(header::TRANSFER_ENCODING) {
        Framing::Chunks
    } else if headers.contains_key(header::CONTENT_LENGTH) {
        Framing::Length
    } else {
        Framing::Connection
    }
}

// RFC 9112 §6.3 9112-6.3b
impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.lease = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
