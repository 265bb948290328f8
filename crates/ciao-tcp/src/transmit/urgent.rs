//! Urgent data that we send: SND.UP and the urgent pointer (RFC 9293 §3.8.5, §3.10.2; RFC 6093 §3.1).
//!
//! The data goes out in line like any other; the pointer tells the peer how far to hurry. What arrives is in
//! `segment_arrives/urgent.rs`.

use crate::connection::Connection;
use crate::error::SendError;
use ciao_wire::{Instant, SeqNum};

impl Connection {
    /// SEND with the urgent flag: as [`Connection::send`], and the peer learns that all up to the end of
    /// these bytes is urgent. For the sake of old applications; a new one has better ways to be heard (RFC
    /// 6093 §5).
    ///
    /// # Errors
    /// As [`Connection::send`].
    // RFC 9293 §3.8.5 MUST-30, MUST-31
    pub fn send_urgent(&mut self, now: Instant, data: &[u8]) -> Result<usize, SendError> {
        let len = self.send(now, data)?;
        if len > 0 {
            self.seldom_mut().send_up = Some(self.send_buffer_end());
        }
        Ok(len)
    }

    /// True while urgent data is not acknowledged. Segments go out one by one then, each with its own
    /// pointer, and Nagle's algorithm holds nothing back, as in Linux.
    #[inline]
    pub(crate) fn sends_urgently(&self) -> bool {
        self.seldom.as_ref().is_some_and(|seldom| seldom.send_up.is_some_and(|up| up.after(self.snd.una)))
    }

    /// The urgent pointer of a segment that begins at `seq`; none when nothing urgent lies ahead of it.
    ///
    /// An end too far away for the field is approached: 65,535 says that it is at least there, and a later
    /// segment moves it on.
    // RFC 9293 §3.8.5 MUST-31, MUST-62: from the segment's number to the number behind the urgent data
    #[cold]
    pub(crate) fn urgent_pointer(&mut self, seq: SeqNum) -> Option<u16> {
        let up = self.seldom.as_ref()?.send_up?;
        if !up.after(self.snd.una) {
            // All of it is acknowledged; numbers that come round again must not meet the old mark.
            self.seldom_mut().send_up = None;
            self.release_seldom();
            return None;
        }
        up.after(seq).then(|| u16::try_from(up.since(seq)).unwrap_or(u16::MAX))
    }
}
