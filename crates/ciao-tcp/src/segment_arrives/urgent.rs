//! Sixth: URG (RFC 9293 §3.10.7.4, §3.8.5). Urgent data stays in line; the application learns where it ends.

use crate::connection::{Connection, Raise};
use crate::segment::Segment;

impl Connection {
    /// Moves RCV.UP forward and tells the application.
    // RFC 9293 §3.8.5 MUST-30, MUST-31, MUST-32, MUST-62
    pub(crate) fn check_urgent(&mut self, segment: &Segment) {
        if !segment.header.flags.urg() || self.peer_has_closed() {
            return;
        }
        let end = segment.header.seq + u32::from(segment.header.urgent);
        if end.after(self.rcv.up) && end.after(self.rcv.nxt) {
            self.rcv.up = end;
            self.raise(Raise::Urgent);
        }
    }
}
