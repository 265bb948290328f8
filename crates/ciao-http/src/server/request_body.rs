//! What becomes of a request's body that the service does not read?
//!
//! On HTTP/1 hyper ends the connection after the response, and `closing.rs` reads what still comes. On
//! HTTP/2 a body that nobody reads makes h2 reset the stream behind the response, and there are clients
//! that then throw the response away. So it is read to its end and forgotten, for as long as the peer's
//! last bytes are awaited anywhere.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Version;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

/// The body of a request.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Option<Incoming>,
    /// For how long an unread body is read and forgotten.
    forget: Option<Duration>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, version: Version, limit: Duration) -> RequestBody {
        RequestBody { incoming: Some(incoming), forget: (version == Version::HTTP_2).then_some(limit) }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(incoming).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.incoming = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let (Some(mut incoming), Some(limit)) = (self.incoming.take(), self.forget) else { return };
        // Outside of a runtime there is no connection either.
        if incoming.is_end_stream() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        tokio::spawn(timeout(limit, async move { while let Some(Ok(_)) = incoming.frame().await {} }));
    }
}
