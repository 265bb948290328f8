//! SEGMENT ARRIVES (RFC 9293 §3.10.7): which checks a segment goes through, in the RFC's order.
//!
//! Each check has a file of its own below. A check that stops a segment answers its [`DropReason`] and has
//! already recorded it and asked for whatever answer the rule wants.

pub(crate) mod ack;
pub(crate) mod closed;
pub(crate) mod fin;
pub(crate) mod reset;
pub(crate) mod sequence;
pub(crate) mod syn;
pub(crate) mod syn_sent;
pub(crate) mod text;
pub(crate) mod urgent;

use crate::connection::Connection;
use crate::error::DropReason;
use crate::segment::Segment;
use crate::state::TcpState;
use ciao_wire::{Instant, SeqNum};

/// Whether a segment goes on to the next check.
pub(crate) type Verdict = Result<(), DropReason>;

impl Connection {
    pub(crate) fn segment_arrives(&mut self, now: Instant, segment: &mut Segment) {
        let count = u32::try_from(segment.count()).unwrap_or(u32::MAX);
        self.counters.received(now, count, !segment.payload.is_empty());
        // The reason is recorded where it was found; nothing is left to do with it here.
        let _reason = match self.state {
            TcpState::Closed | TcpState::Listen => self.in_closed(segment),
            TcpState::SynSent => self.in_syn_sent(now, segment),
            TcpState::TimeWait => self.in_time_wait(now, segment),
            _ => self.in_synchronized(now, segment),
        };
    }

    /// RFC 9293 §3.10.7.4, with RFC 7323 §5.3 before the first check and RFC 5961 in the second, fourth and
    /// fifth.
    pub(crate) fn in_synchronized(&mut self, now: Instant, segment: &mut Segment) -> Verdict {
        self.check_timestamps(now, segment)?;
        self.check_sequence(now, segment)?;
        self.check_reset(now, segment)?;
        self.check_syn(now, segment)?;
        self.heard_from_peer(now);
        self.update_recent_timestamp(now, segment);
        self.check_ack(now, segment)?;
        self.check_urgent(segment);
        if let Some(field) = segment.header.options.user_timeout {
            self.take_user_timeout(now, field);
        }
        let fin = fin_number(segment);
        if fin.is_some() {
            // The peer has said all: nothing is gained by acknowledging it before our answer is known.
            self.owed.quick_acks = 0;
        }
        self.take_text(now, segment)?;
        self.take_fin(now, fin);
        Ok(())
    }
}

/// Where the FIN of a segment stands, behind its text.
pub(crate) fn fin_number(segment: &Segment) -> Option<SeqNum> {
    segment.header.flags.fin().then(|| segment.end() - 1)
}
