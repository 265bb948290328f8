//! How does a task wait for a device? A link with wakers.
//!
//! What a link is stands in `ciao-link`; the links of a simulation are in [`crate::simulated`].

use ciao_link::{Link, MemoryEnd, Transmission};
use ciao_wire::Packet;
use std::fmt::Debug;
use std::io;
use std::task::{Context, Poll};

/// A link that a task can wait for.
pub trait AsyncLink: Link + Debug + Send {
    /// The next packet that arrived. When there is none, the task of `cx` is woken at the next one.
    ///
    /// # Errors
    /// As [`Link::receive`].
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Packet>>;

    /// As [`Link::transmit`]; when the link is busy, the task of `cx` is woken when there is room.
    ///
    /// # Errors
    /// As [`Link::transmit`].
    fn poll_transmit(&mut self, cx: &mut Context<'_>, packet: Packet) -> io::Result<Transmission>;
}

impl AsyncLink for MemoryEnd {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Packet>> {
        if let Some(packet) = self.receive()? {
            return Poll::Ready(Ok(packet));
        }
        self.wake_on_receive(cx.waker());
        // What came between the look and the registration wakes nobody, so look again.
        match self.receive()? {
            Some(packet) => Poll::Ready(Ok(packet)),
            None => Poll::Pending,
        }
    }

    fn poll_transmit(&mut self, cx: &mut Context<'_>, packet: Packet) -> io::Result<Transmission> {
        match self.transmit(packet)? {
            Transmission::Sent => Ok(Transmission::Sent),
            Transmission::Busy(packet) => {
                self.wake_on_room(cx.waker());
                self.transmit(packet)
            }
        }
    }
}
