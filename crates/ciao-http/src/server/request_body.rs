//! What becomes of a request's body that does not come, or that the service does not read?
//!
//! A body that stands still is an error after a while, RFC 9110 §15.5.9: a service that waits for it must
//! not wait for ever. One that the service does not read is left to hyper on HTTP/1, which ends the
//! connection after the response; `closing.rs` reads what still comes. On HTTP/2 it makes h2 reset the
//! stream behind the response, and there are clients that then throw the response away. So it is read to
//! its end and forgotten, for as long as the peer's last bytes are awaited anywhere.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Version;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::ServerConfig;
use crate::body::BoxError;

/// The body of a request. [`io::ErrorKind::TimedOut`] when nothing of it came for
/// [`ServerConfig::body_timeout`].
#[derive(Debug)]
pub struct RequestBody {
    incoming: Option<Incoming>,
    /// For how long an unread body is read and forgotten.
    forget: Option<Duration>,
    patience: Duration,
    /// Runs while nothing comes.
    stillness: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, version: Version, config: &ServerConfig) -> RequestBody {
        RequestBody {
            incoming: Some(incoming),
            forget: (version == Version::HTTP_2).then_some(config.linger.total),
            patience: config.body_timeout,
            stillness: None,
        }
    }

    fn poll_stillness(&mut self, context: &mut Context<'_>) -> Poll<BoxError> {
        let patience = self.patience;
        let stillness = self.stillness.get_or_insert_with(|| Box::pin(sleep(patience)));
        stillness
            .as_mut()
            .poll(context)
            .map(|()| io::Error::new(io::ErrorKind::TimedOut, "nothing came of the request's body").into())
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(incoming).poll_frame(context) else {
            return self.poll_stillness(context).map(|error| Some(Err(error)));
        };
        let patience = self.patience;
        if let Some(stillness) = &mut self.stillness {
            stillness.as_mut().reset(Instant::now() + patience);
        }
        if !matches!(frame, Some(Ok(_))) {
            self.incoming = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
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
