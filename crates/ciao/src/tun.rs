//! A TUN device that a task can wait for: tokio watches its descriptor.
//!
//! What the device carries, and how it is opened, is in `ciao_link::tun`.

use crate::link::AsyncLink;
use ciao_link::tun::Tun;
use ciao_link::{Capabilities, Link, Transmission};
use ciao_wire::Packet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;

/// A TUN device in a tokio runtime.
#[derive(Debug)]
pub(crate) struct AsyncTun {
    /// A second descriptor of the same open file, for tokio to watch: the device itself stays free to be
    /// used.
    watched: AsyncFd<OwnedFd>,
    tun: Tun,
}

impl AsyncTun {
    /// To be called in a runtime with IO.
    ///
    /// # Errors
    /// When the descriptor cannot be watched.
    pub(crate) fn new(tun: Tun) -> io::Result<Self> {
        Ok(Self { watched: watch(tun.as_fd().try_clone_to_owned()?)?, tun })
    }
}

#[expect(deprecated, reason = "the replacement is unsafe; an OwnedFd keeps the promise that it asks for")]
fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(descriptor)
}

impl Link for AsyncTun {
    fn capabilities(&self) -> Capabilities {
        self.tun.capabilities()
    }

    fn receive(&mut self) -> io::Result<Option<Packet>> {
        self.tun.receive()
    }

    fn transmit(&mut self, packet: Packet) -> io::Result<Transmission> {
        self.tun.transmit(packet)
    }
}

impl AsyncLink for AsyncTun {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Packet>> {
        loop {
            // Taken before the look, so that a packet that comes after the look is not cleared away.
            let mut readiness = ready!(self.watched.poll_read_ready(cx))?;
            match self.tun.receive()? {
                Some(packet) => return Poll::Ready(Ok(packet)),
                None => readiness.clear_ready(),
            }
        }
    }

    fn poll_transmit(&mut self, cx: &mut Context<'_>, mut packet: Packet) -> io::Result<Transmission> {
        loop {
            let Poll::Ready(readiness) = self.watched.poll_write_ready(cx) else {
                return Ok(Transmission::Busy(packet));
            };
            let mut readiness = readiness?;
            match self.tun.transmit(packet)? {
                Transmission::Sent => return Ok(Transmission::Sent),
                Transmission::Busy(back) => packet = back,
            }
            readiness.clear_ready();
        }
    }
}
