//! CLOSED: everything but a RST is answered with a RST (RFC 9293 §3.10.7.1).
//!
//! Also the shape of every RST that we send.

use crate::connection::Connection;
use crate::error::DropReason;
use crate::segment::{Segment, SegmentOut, Transmission};
use crate::segment_arrives::Verdict;
use ciao_wire::{Ecn, Payload, SeqNum, TcpFlags, TcpHeader};

/// A RST to be sent (RFC 9293 §3.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    /// In answer to an acknowledgment of something that we never sent: it takes its number from there.
    Answer {
        /// SEG.ACK of the segment.
        seq: SeqNum,
    },
    /// In answer to a segment without an acknowledgment, and for an abort: it acknowledges what came.
    Active {
        /// SND.NXT, or zero when there is no connection.
        seq: SeqNum,
        /// Behind the segment, or RCV.NXT.
        ack: SeqNum,
    },
}

impl Reset {
    /// The RST that `segment` deserves when there is no connection for it; none for a RST.
    pub(crate) fn in_answer_to(segment: &Segment) -> Option<Self> {
        let flags = segment.header.flags;
        if flags.rst() {
            None
        } else if flags.ack() {
            Some(Self::Answer { seq: segment.header.ack })
        } else {
            Some(Self::Active { seq: SeqNum(0), ack: segment.end() })
        }
    }

    /// The segment between these ports.
    pub(crate) fn segment(self, local_port: u16, remote_port: u16) -> SegmentOut {
        let (seq, ack, flags) = match self {
            Self::Answer { seq } => (seq, SeqNum(0), TcpFlags::RST),
            Self::Active { seq, ack } => (seq, ack, TcpFlags::RST | TcpFlags::ACK),
        };
        let header = TcpHeader {
            source_port: local_port,
            destination_port: remote_port,
            seq,
            ack,
            flags,
            ..TcpHeader::default()
        };
        SegmentOut {
            header,
            payload: Payload::EMPTY,
            segment_size: 0,
            ecn: Ecn::NotEct,
            transmission: Transmission::Reset,
        }
    }
}

/// What a host answers to a segment that belongs to no connection and no listener.
///
/// Its ports are those of `segment`, exchanged.
// RFC 9293 §3.10.7.1, §3.5.2
#[must_use]
pub fn answer_from_closed(segment: &Segment) -> Option<SegmentOut> {
    let reset = Reset::in_answer_to(segment)?;
    Some(reset.segment(segment.header.destination_port, segment.header.source_port))
}

impl Connection {
    /// A segment for a connection that has ended and that its owner still holds.
    pub(crate) fn in_closed(&mut self, segment: &Segment) -> Verdict {
        if self.owed.reset.is_none() {
            self.owed.reset = Reset::in_answer_to(segment);
        }
        self.dropped(DropReason::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn segment(flags: TcpFlags) -> Segment {
        let header = TcpHeader {
            source_port: 1,
            destination_port: 2,
            seq: SeqNum(100),
            ack: SeqNum(700),
            flags,
            ..TcpHeader::default()
        };
        Segment { header, payload: Payload::from(Bytes::from_static(b"abc")), ..Segment::default() }
    }

    #[test]
    fn a_segment_with_ack_is_reset_at_the_number_it_acknowledges() {
        let reset = answer_from_closed(&segment(TcpFlags::ACK)).expect("it is answered").header;
        assert_eq!((reset.seq, reset.flags), (SeqNum(700), TcpFlags::RST));
        assert_eq!((reset.source_port, reset.destination_port), (2, 1));
    }

    #[test]
    fn a_segment_without_ack_is_reset_at_zero_and_acknowledged() {
        let reset = answer_from_closed(&segment(TcpFlags::SYN)).expect("it is answered").header;
        assert_eq!((reset.seq, reset.ack), (SeqNum(0), SeqNum(104)));
        assert_eq!(reset.flags, TcpFlags::RST | TcpFlags::ACK);
    }

    #[test]
    fn a_reset_is_never_answered() {
        assert!(answer_from_closed(&segment(TcpFlags::RST)).is_none());
        assert!(answer_from_closed(&segment(TcpFlags::RST | TcpFlags::ACK)).is_none());
    }
}
