//! A segment as a connection sees it: header and payload, without IP.

use ciao_wire::{Ecn, Payload, SeqNum, TcpFlags, TcpHeader};
use core::fmt;

/// A received segment, or several that the link merged (GRO).
#[derive(Clone, Debug, Default)]
pub struct Segment {
    /// The header; of merged segments, the first one's with the last one's acknowledgment and window.
    pub header: TcpHeader,
    /// The data.
    pub payload: Payload,
    /// Payload bytes of each of the merged segments but perhaps the last, or zero for a single one.
    pub segment_size: u16,
    /// What the IP header says of congestion, the same for all that were merged.
    pub ecn: Ecn,
}

impl Segment {
    /// SEG.LEN: data bytes, and one each for SYN and FIN (RFC 9293 §3.4).
    #[must_use]
    pub fn len(&self) -> u32 {
        sequence_len(self.header.flags, self.payload.len())
    }

    /// True when the segment takes no sequence number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number behind the last one that the segment takes.
    #[must_use]
    pub fn end(&self) -> SeqNum {
        self.header.seq + self.len()
    }

    /// How many segments of the wire this stands for.
    #[must_use]
    pub fn count(&self) -> usize {
        segment_count(self.segment_size, self.payload.len())
    }
}

/// A segment to be sent, or a super-segment that the link cuts.
#[derive(Clone, Debug)]
pub struct SegmentOut {
    /// The header, options in the order that Linux sends.
    pub header: TcpHeader,
    /// The data.
    pub payload: Payload,
    /// Payload bytes of each segment when this stands for several, else zero.
    pub segment_size: u16,
    /// The codepoint for the IP header.
    pub ecn: Ecn,
    /// What made us send it.
    pub transmission: Transmission,
}

impl SegmentOut {
    /// SEG.LEN.
    #[must_use]
    pub fn len(&self) -> u32 {
        sequence_len(self.header.flags, self.payload.len())
    }

    /// True when the segment takes no sequence number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many segments of the wire this stands for.
    #[must_use]
    pub fn count(&self) -> usize {
        segment_count(self.segment_size, self.payload.len())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a payload is below 2^17 bytes: one IP packet or one merged run"
)]
fn sequence_len(flags: TcpFlags, payload_len: usize) -> u32 {
    payload_len as u32 + u32::from(flags.syn()) + u32::from(flags.fin())
}

fn segment_count(segment_size: u16, payload_len: usize) -> usize {
    if segment_size == 0 { 1 } else { payload_len.div_ceil(usize::from(segment_size)).max(1) }
}

/// What made us send a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transmission {
    /// SYN, data or FIN, for the first time.
    First,
    /// The same range again because its timer ran out (RFC 6298).
    TimeoutRetransmission,
    /// The same range again because acknowledgments show that it is lost (RFC 5681 §3.2, RFC 6675).
    FastRetransmission,
    /// The last range again, because no acknowledgment has come for two round trips (RFC 8985 §7).
    LossProbe,
    /// An acknowledgment alone.
    Ack,
    /// A new window, offered without being asked.
    WindowUpdate,
    /// An acknowledgment that doubts a segment (RFC 5961).
    ChallengeAck,
    /// For the first time, and longer than others: does the path take it (RFC 4821)?
    PathProbe,
    /// Asks whether the window is still shut (RFC 9293 §3.8.6.1).
    WindowProbe,
    /// Asks whether the peer is still there (RFC 9293 §3.8.4).
    KeepAlive,
    /// RST.
    Reset,
}

impl fmt::Display for Transmission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::First => "first transmission",
            Self::TimeoutRetransmission => "retransmission after a timeout",
            Self::FastRetransmission => "fast retransmission",
            Self::LossProbe => "tail loss probe",
            Self::Ack => "acknowledgment",
            Self::WindowUpdate => "window update",
            Self::ChallengeAck => "challenge ACK",
            Self::PathProbe => "path probe",
            Self::WindowProbe => "window probe",
            Self::KeepAlive => "keep-alive probe",
            Self::Reset => "reset",
        })
    }
}
