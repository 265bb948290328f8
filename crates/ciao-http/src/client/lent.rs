//! How does a stream come back from hyper, to be closed in order?
//!
//! hyper drops its stream when it is done with a connection. The peer may still have something to say then:
//! an HTTP/2 server answers our GOAWAY with its own. Dropped with that unread, the stream would be reset.
//!
//! Not here: the closing itself (`closing.rs`).

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

/// A stream that is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Lent<Io> {
    /// There until the drop.
    io: Option<Io>,
    give_back: Option<oneshot::Sender<Io>>,
}

impl<Io> Lent<Io> {
    /// Lends `io`; the receiver has it once it is dropped.
    pub(super) fn new(io: Io) -> (Self, oneshot::Receiver<Io>) {
        let (give_back, returned) = oneshot::channel();
        (Self { io: Some(io), give_back: Some(give_back) }, returned)
    }
}

impl<Io: Unpin> Lent<Io> {
    fn io(self: Pin<&mut Self>) -> Pin<&mut Io> {
        Pin::new(self.get_mut().io.as_mut().expect("it is there until the drop"))
    }
}

impl<Io> Drop for Lent<Io> {
    fn drop(&mut self) {
        if let (Some(io), Some(give_back)) = (self.io.take(), self.give_back.take()) {
            // Nobody waits for it when the connection's task was ended.
            _ = give_back.send(io);
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Lent<Io> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.io().poll_read(context, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Lent<Io> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.io().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_shutdown(context)
    }
}
