//! The variables of a connection under the names of RFC 9293 §3.3.1.

use ciao_wire::{Instant, SeqNum};

/// Send sequence space.
#[derive(Clone, Debug)]
pub(crate) struct SendVariables {
    /// SND.UNA: oldest number not acknowledged.
    pub(crate) una: SeqNum,
    /// SND.NXT: next number to be sent for the first time. It never goes back.
    pub(crate) nxt: SeqNum,
    // RFC 9293 §3.1 MUST-1, REC-1: unsigned, and wide enough for every scaled window
    /// SND.WND: the peer's window in bytes, from `una` on.
    pub(crate) wnd: u32,
    /// SND.WL1: SEG.SEQ of the last window update.
    pub(crate) wl1: SeqNum,
    /// SND.WL2: SEG.ACK of the last window update.
    pub(crate) wl2: SeqNum,
    /// ISS: our initial number.
    pub(crate) iss: SeqNum,
    /// MAX.SND.WND: the largest window ever offered (RFC 5961 §5.2).
    pub(crate) max_wnd: u32,
    /// SND.MSS: the most payload that a segment without options may carry (RFC 9293 §3.7.1).
    pub(crate) mss: u16,
    /// Snd.Wind.Shift (RFC 7323 §2.3).
    pub(crate) wind_shift: u8,
}

/// Receive sequence space.
#[derive(Clone, Debug)]
pub(crate) struct ReceiveVariables {
    /// RCV.NXT: the next number expected.
    pub(crate) nxt: SeqNum,
    /// RCV.NXT + RCV.WND: the furthest right edge ever offered. What it covers is accepted (RFC 7323 §2.4).
    pub(crate) edge: SeqNum,
    /// IRS: the peer's initial number.
    pub(crate) irs: SeqNum,
    /// RCV.UP: the number behind the peer's urgent data (RFC 9293 §3.8.5 MUST-62).
    pub(crate) up: SeqNum,
    /// Where the peer's FIN stands when it has come before data that is still missing.
    pub(crate) fin: Option<SeqNum>,
    /// Rcv.Wind.Shift (RFC 7323 §2.3).
    pub(crate) wind_shift: u8,
}

impl ReceiveVariables {
    /// RCV.WND in bytes.
    pub(crate) fn wnd(&self) -> u32 {
        if self.edge.after(self.nxt) { self.edge.since(self.nxt) } else { 0 }
    }
}

/// What has become of our FIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fin {
    /// The application has not closed our direction.
    Open,
    /// It goes out behind the data that is queued.
    Queued,
    /// It was sent, and stands at the end of the sequence space.
    Sent,
    /// It was acknowledged.
    Acknowledged,
}

/// Timestamps of a connection (RFC 7323 §3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimestampVariables {
    /// Both SYNs carried the option.
    pub(crate) agreed: bool,
    /// Snd.TS.Offset: what is added to the clock, different for each connection (RFC 7323 §7.1).
    pub(crate) offset: u32,
    /// TS.Recent: the peer's value to echo.
    pub(crate) recent: u32,
    /// When TS.Recent was taken.
    pub(crate) recent_at: Instant,
    /// Last.ACK.sent.
    pub(crate) last_ack_sent: SeqNum,
}
