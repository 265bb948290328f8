//! Which window we offer (RFC 9293 §3.8.6): what the receive buffer has room for, in steps worth sending for.
//!
//! The right edge never goes back, but for the rounding of the scale; what an earlier edge covered is still
//! accepted (RFC 7323 §2.4 7323-2f), because `ReceiveVariables::edge` keeps the furthest one.

use crate::connection::Connection;

impl Connection {
    /// Room between RCV.NXT and the end of the receive buffer, in bytes, as far as the window field can say
    /// it.
    #[inline]
    fn receive_room(&self) -> u32 {
        let room = self.receive_limit().saturating_sub(self.receive_buffer.len());
        room.min(self.greatest_window())
    }

    pub(crate) fn greatest_window(&self) -> u32 {
        u32::from(u16::MAX) << self.rcv.wind_shift
    }

    /// How far the right edge could move on now.
    #[inline]
    fn edge_gain(&self) -> u32 {
        self.receive_room().saturating_sub(self.rcv.wnd())
    }

    /// The least step by which the right edge moves.
    // RFC 9293 §3.8.6.2.2 MUST-39
    #[inline]
    fn least_edge_gain(&self) -> u32 {
        (self.receive_limit() / 2).min(u32::from(self.announce_mss)).max(1)
    }

    /// The window field of a segment sent now; moves the right edge.
    // RFC 9293 §3.8.6 SHLD-14, MAY-8, RFC 7323 §2.3 7323-2e
    #[inline]
    pub(crate) fn offer_window(&mut self) -> u16 {
        if self.edge_gain() >= self.least_edge_gain() {
            self.rcv.edge = self.rcv.nxt + self.receive_room();
        }
        let field = (self.rcv.wnd() >> self.rcv.wind_shift).min(u32::from(u16::MAX));
        self.rcv.edge = self.rcv.edge.earliest(self.rcv.nxt + self.greatest_window());
        u16::try_from(field).expect("it was just limited to 16 bits")
    }

    /// After a read: offers the new room unasked when the peer may be waiting for it, and once it has
    /// doubled.
    // RFC 9293 §3.8.6.2.2 MUST-39; the doubling is what Linux does, to send fewer updates in a stream
    pub(crate) fn consider_window_update(&mut self) {
        if self.is_opening() || self.peer_has_closed() {
            return;
        }
        let window = self.rcv.wnd();
        let greatest = self.receive_limit().min(self.greatest_window());
        if window <= greatest / 2 && self.edge_gain() >= self.least_edge_gain().max(window) {
            self.owed.window_update = true;
        }
    }
}
