//! First: the sequence number (RFC 9293 §3.10.7.4). What lies outside the receive window is cut off or
//! dropped.

use crate::connection::Connection;
use crate::error::DropReason;
use crate::segment::Segment;
use crate::segment_arrives::Verdict;
use crate::state::TcpState;
use ciao_wire::{Instant, SackBlock, SeqNum, TcpFlags};

impl Connection {
    /// Drops a segment that has no part in the receive window, and cuts off what the window does not hold.
    pub(crate) fn check_sequence(&mut self, now: Instant, segment: &mut Segment) -> Verdict {
        let (nxt, edge) = (self.rcv.nxt, self.rcv.edge.latest(self.rcv.nxt));
        if segment.header.seq == nxt && segment.end().at_or_before(edge) {
            // By far the most common: the next segment, and there is room for all of it.
            return Ok(());
        }
        let start = segment.header.seq;
        if segment.header.flags.rst() {
            // RFC 5961 §3.2 5961-3a: its own number decides. What its data covers does not, or a long one
            // would meet RCV.NXT without knowing it
            return if start == nxt || start.is_within(nxt, edge.since(nxt)) {
                Ok(())
            } else {
                self.dropped(DropReason::ResetOutsideWindow)
            };
        }
        self.admit_crossing_syn(segment);
        let (start, end) = (segment.header.seq, segment.end());
        if segment.header.flags.syn() {
            // RFC 5961 §4.2 5961-4a: whatever its number, the fourth check doubts it
            return Ok(());
        }
        // RFC 9293 §3.4 MUST-66: a shut window still takes ACK and URG at RCV.NXT; the text is cut off below
        let acceptable = if segment.is_empty() || start == nxt {
            // At the right edge too, as Linux: a peer that has filled the window acknowledges from there.
            start.at_or_after(nxt) && start.at_or_before(edge)
        } else {
            start.before(edge) && end.after(nxt)
        };
        if !acceptable {
            return self.refuse_sequence(now, segment);
        }
        self.note_duplicate(segment, nxt);
        trim_front(segment, nxt);
        trim_back(segment, edge);
        if segment.is_empty() && end != start {
            // Nothing of its text fits: the peer probes a shut window, and wants an answer.
            self.owed.acknowledge_now();
        }
        Ok(())
    }

    /// Both ends opened at once and the peer's SYN comes again, now with the acknowledgment of ours: that
    /// part counts.
    // RFC 9293 §3.5 MUST-10
    fn admit_crossing_syn(&self, segment: &mut Segment) {
        let flags = segment.header.flags;
        if self.state == TcpState::SynReceived
            && flags.syn()
            && flags.ack()
            && segment.header.seq + 1 == self.rcv.nxt
        {
            trim_front(segment, self.rcv.nxt);
        }
    }

    fn refuse_sequence(&mut self, now: Instant, segment: &Segment) -> Verdict {
        self.acknowledge_doubtful(now, segment);
        let reason = if segment.end().at_or_before(self.rcv.nxt) {
            self.note_duplicate(segment, self.rcv.nxt);
            DropReason::Duplicate
        } else {
            DropReason::OutsideWindow
        };
        self.dropped(reason)
    }

    /// Data of `segment` that lies before `end` has come before: the next acknowledgment says so.
    // RFC 2883 §4 2883-1
    pub(crate) fn note_duplicate(&mut self, segment: &Segment, end: SeqNum) {
        let start = segment.header.seq + u32::from(segment.header.flags.syn());
        let end = end.earliest(segment.end());
        if self.sack && !segment.payload.is_empty() && start.before(end) {
            self.owed.duplicate = Some(SackBlock { start, end });
        }
    }

    /// Asks for an acknowledgment in answer to a segment that was not acceptable. Data is always answered,
    /// because the peer may have lost our acknowledgment; a segment without any only so often, so that two
    /// confused ends do not answer each other for ever.
    // RFC 5961 §7 5961-7a, 5961-7b
    pub(crate) fn acknowledge_doubtful(&mut self, now: Instant, segment: &Segment) {
        if segment.is_empty() {
            self.challenge(now);
        } else {
            self.owed.acknowledge_now();
        }
    }
}

/// Cuts off what lies before `nxt`: a SYN first, then data. The urgent pointer goes on naming the same byte.
pub(crate) fn trim_front(segment: &mut Segment, nxt: SeqNum) {
    if !segment.header.seq.before(nxt) {
        return;
    }
    let mut cut = nxt.since(segment.header.seq);
    match u32::from(segment.header.urgent).checked_sub(cut).map(u16::try_from) {
        Some(Ok(rest)) => segment.header.urgent = rest,
        // What was urgent has come before.
        _ => segment.header.flags.0 &= !TcpFlags::URG.0,
    }
    if segment.header.flags.syn() {
        segment.header.flags.0 &= !TcpFlags::SYN.0;
        cut -= 1;
    }
    segment.payload.advance(cut as usize);
    segment.header.seq = nxt;
}

/// Cuts off what lies behind `edge`: the FIN first, then data.
fn trim_back(segment: &mut Segment, edge: SeqNum) {
    if !segment.end().after(edge) {
        return;
    }
    let mut cut = segment.end().since(edge) as usize;
    if segment.header.flags.fin() {
        segment.header.flags.0 &= !TcpFlags::FIN.0;
        cut -= 1;
    }
    segment.payload.truncate(segment.payload.len().saturating_sub(cut));
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ciao_wire::{Payload, TcpHeader};

    fn segment(seq: u32, data: &'static [u8], flags: TcpFlags) -> Segment {
        let header = TcpHeader { seq: SeqNum(seq), flags, ..TcpHeader::default() };
        Segment { header, payload: Payload::from(Bytes::from_static(data)), ..Segment::default() }
    }

    #[test]
    fn trimming_keeps_exactly_what_the_window_holds() {
        for start in [u32::MAX - 4, u32::MAX, 0, 3] {
            for window in 0..9_u32 {
                let mut cut = segment(start, b"abcdef", TcpFlags::FIN);
                let nxt = SeqNum(start) + 2;
                trim_front(&mut cut, nxt);
                trim_back(&mut cut, nxt + window);
                let expected = &b"cdef"[..4.min(window as usize)];
                assert_eq!(cut.payload.to_vec(), expected, "window {window}");
                assert_eq!(cut.header.flags.fin(), window >= 5);
            }
        }
    }
}
