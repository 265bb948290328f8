//! Second: RST (RFC 9293 §3.10.7.4, RFC 5961 §3.2).

use crate::connection::{Connection, Opening};
use crate::error::{ConnectionError, DropReason};
use crate::segment::Segment;
use crate::segment_arrives::Verdict;
use crate::state::{Cause, TcpState};
use ciao_wire::Instant;

impl Connection {
    /// A RST at RCV.NXT ends the connection; elsewhere in the window it is doubted.
    // RFC 9293 §3.5.3 SHLD-2: data in a RST is neither an error nor delivered
    pub(crate) fn check_reset(&mut self, now: Instant, segment: &Segment) -> Verdict {
        if !segment.header.flags.rst() {
            return Ok(());
        }
        // RFC 5961 §3.2 5961-3b, 5961-3c
        if segment.header.seq != self.rcv.nxt {
            self.challenge(now);
            return self.dropped(DropReason::InexactReset);
        }
        let error = match self.state {
            // RFC 9293 §3.5 MUST-11: an active open learns that it was refused
            TcpState::SynReceived if self.opening == Opening::Active => Some(ConnectionError::Refused),
            TcpState::Closing | TcpState::LastAck if self.owner_has_all() => None,
            _ => Some(ConnectionError::Reset),
        };
        self.end(Cause::ResetReceived, error);
        Err(DropReason::Closed)
    }

    /// Both FINs are out and nothing is left that a RST could take from the application.
    fn owner_has_all(&self) -> bool {
        self.send_buffer.is_empty()
    }
}
