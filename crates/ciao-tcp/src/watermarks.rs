//! When may the application read and write, and when is it told? Room in the buffers, and the low-water marks
//! that an application may set.
//!
//! How large the buffers are is decided in `buffer_growth`; the calls themselves are in `user_calls`.

use crate::connection::{Connection, Raise};
use crate::state::TcpState;
use crate::variables::Fin;

/// What SEND takes at once while less than [`crate::SocketOptions::notsent_lowat`] is unsent: with a mark of
/// a few bytes, writes are still taken whole. One super-segment, as Linux, which asks before each.
const LEAST_SEND_BYTES: u32 = 64 * 1024;

impl Connection {
    /// Bytes that SEND would take now.
    #[must_use]
    #[inline]
    pub fn send_capacity(&self) -> usize {
        let room = self.send_limit().saturating_sub(self.send_buffer.len());
        match self.notsent_lowat() {
            None => room as usize,
            Some(mark) => match mark.saturating_sub(self.unsent()) {
                0 => 0,
                below => room.min(below.max(LEAST_SEND_BYTES)) as usize,
            },
        }
    }

    /// Bytes that RECEIVE would give now.
    #[must_use]
    pub fn receive_len(&self) -> usize {
        self.receive_buffer.len() as usize
    }

    /// True when RECEIVE answers at once with what is worth a call: enough bytes, the end, or an error.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.receive_len() > 0 && self.has_enough_to_read()
            || self.peer_has_closed()
            || self.state == TcpState::Closed
    }

    /// True when SEND takes bytes or answers an error at once.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.send_capacity() > 0 || self.fin != Fin::Open || self.state == TcpState::Closed
    }

    fn notsent_lowat(&self) -> Option<u32> {
        self.seldom.as_ref()?.notsent_lowat
    }

    /// Data came: tells the application, if that is enough for it.
    pub(crate) fn consider_readable(&mut self) {
        if self.has_enough_to_read() {
            self.raise(Raise::Readable);
        }
    }

    /// As many bytes as the application waits for, or nearly as many as the window lets come.
    fn has_enough_to_read(&self) -> bool {
        let Some(mark) = self.seldom.as_ref().and_then(|seldom| seldom.receive_lowat) else { return true };
        self.receive_buffer.len() >= mark || self.rcv.wnd() < 2 * u32::from(self.announce_mss)
    }

    /// Tells an application that was refused that it may write again: once a third of the buffer is free, and
    /// less than half of what it allows to be unsent is.
    pub(crate) fn consider_writable(&mut self) {
        if !self.owed.writable {
            return;
        }
        self.grow_send_buffer();
        let limit = self.send_limit();
        let room = limit.saturating_sub(self.send_buffer.len());
        let is_below_mark = self.notsent_lowat().is_none_or(|mark| self.unsent() < mark.div_ceil(2));
        if room >= (limit / 3).max(1) && is_below_mark {
            self.owed.writable = false;
            self.raise(Raise::Writable);
        }
    }
}
