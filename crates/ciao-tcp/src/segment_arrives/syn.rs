//! Fourth: SYN (RFC 9293 §3.10.7.4, RFC 5961 §4.2). Third is the security label, which nobody uses.

use crate::connection::Connection;
use crate::error::DropReason;
use crate::segment::Segment;
use crate::segment_arrives::Verdict;
use crate::state::TcpState;
use ciao_wire::Instant;

impl Connection {
    /// A SYN inside a connection is doubted: if the peer has really begun anew, its RST in answer will say
    /// so.
    // RFC 5961 §4.2 5961-4a, 5961-4b
    pub(crate) fn check_syn(&mut self, now: Instant, segment: &Segment) -> Verdict {
        if !segment.header.flags.syn() {
            return Ok(());
        }
        if self.state == TcpState::SynReceived && segment.header.seq == self.rcv.irs {
            // The peer did not get our SYN-ACK, or both opened at once and this is its own.
            self.owed.syn = true;
            return self.dropped(DropReason::Duplicate);
        }
        self.challenge(now);
        self.dropped(DropReason::UnexpectedSyn)
    }
}
