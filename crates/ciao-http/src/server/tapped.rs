//! What does a connection's byte stream tell about its progress?
//!
//! A stream that hyper reads and writes, and that the connection's own task keeps a handle on: to know
//! since when nothing moved, and to close it in order after hyper has let go.
//!
//! Not here: what is done about a lack of progress (`server/connection.rs`).

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::stream_ids::{Sent, StreamIds};

/// Progress of one connection.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) streams: StreamIds,
    /// Requests whose response is not over.
    pub(crate) in_flight: usize,
    /// Since when no request is in flight. What hyper still holds of the responses may be on its way.
    pub(crate) quiet_since: Instant,
    /// When the first byte of a request arrived that is not with the service yet. HTTP/1 only.
    pub(crate) head_since: Option<Instant>,
    /// Since when the peer takes nothing of what we have to send.
    pub(crate) write_blocked_since: Option<Instant>,
    /// Responses of which a piece was handed over and the next one not asked for.
    held: usize,
    /// When that changed last, or bytes of a response were sent.
    moved: Instant,
}

#[derive(Debug)]
struct Inner<Io> {
    io: Io,
    progress: Progress,
}

/// A handle on the stream; all handles are the same stream.
#[derive(Debug)]
pub(crate) struct Tapped<Io>(Arc<Mutex<Inner<Io>>>);

impl<Io> Clone for Tapped<Io> {
    fn clone(&self) -> Self {
        Tapped(Arc::clone(&self.0))
    }
}

impl<Io> Tapped<Io> {
    pub(crate) fn new(io: Io) -> Self {
        let progress = Progress {
            streams: StreamIds::new(),
            in_flight: 0,
            quiet_since: Instant::now(),
            head_since: None,
            write_blocked_since: None,
            held: 0,
            moved: Instant::now(),
        };
        Tapped(Arc::new(Mutex::new(Inner { io, progress })))
    }

    // A panic in the stream's own code must not turn into a second one here.
    fn lock(&self) -> MutexGuard<'_, Inner<Io>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or changes the progress.
    pub(crate) fn progress<R>(&self, with: impl FnOnce(&mut Progress) -> R) -> R {
        with(&mut self.lock().progress)
    }
}

impl Progress {
    /// Whether not one byte arrived.
    pub(crate) fn is_untouched(&self) -> bool {
        self.head_since.is_none() && self.streams.is_untouched()
    }

    /// A piece of a response was handed to the connection.
    pub(crate) fn on_handed(&mut self) {
        self.held += 1;
        self.moved = Instant::now();
    }

    /// The piece after it was asked for, or the response is over.
    pub(crate) fn on_asked(&mut self) {
        self.held -= 1;
        self.moved = Instant::now();
    }

    /// Since when the peer's HTTP/2 windows hold back every response that there is.
    pub(crate) fn held_since(&self) -> Option<Instant> {
        (self.streams.is_http2() && self.held == self.in_flight).then_some(self.moved)
    }

    fn on_read(&mut self, bytes: &[u8]) {
        self.streams.received(bytes);
        if self.in_flight == 0 && !bytes.is_empty() && !self.streams.is_http2() {
            self.head_since.get_or_insert_with(Instant::now);
        }
    }

    /// The last moment at which a response is known to have moved on, or to have ended.
    pub(crate) fn last_progress(&self) -> Instant {
        self.quiet_since.max(self.moved)
    }

    /// On HTTP/2 an answer to a ping is no progress of a response.
    fn on_sent(&mut self, bytes: &[u8]) {
        let sent = self.streams.sent(bytes);
        if sent == Sent::Data || !self.streams.is_http2() {
            self.moved = Instant::now();
        }
    }

    fn on_write<T>(&mut self, result: &Poll<io::Result<T>>) {
        match result {
            Poll::Pending => _ = self.write_blocked_since.get_or_insert_with(Instant::now),
            Poll::Ready(_) => self.write_blocked_since = None,
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Tapped<Io> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let inner = &mut *self.lock();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut inner.io).poll_read(context, buffer))?;
        inner.progress.on_read(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Tapped<Io> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.lock();
        let result = Pin::new(&mut inner.io).poll_write_vectored(context, slices);
        inner.progress.on_write(&result);
        if let Poll::Ready(Ok(mut written)) = result {
            for slice in slices {
                let sent = written.min(slice.len());
                inner.progress.on_sent(&slice[..sent]);
                written -= sent;
            }
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().io).poll_shutdown(context)
    }
}
