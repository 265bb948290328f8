//! Which received segments can TCP see as one? Those that continue each other (generic receive offload).
//!
//! A segment's cost hardly depends on its length, so a batch from the link is merged before the table of
//! connections is asked. Merged segments mean the same to TCP as each for itself: same options, same flags,
//! data in order. The reverse, cutting, is in [`crate::segmentation`].

use crate::carrier::Carrier;
use crate::ingress::front;
use ciao_tcp::Segment;
use ciao_wire::packet::HEAD_CAPACITY;
use ciao_wire::{Checksum, Head, Packet, SeqNum, Sum, TcpFlags, tcp};
use core::ops::Range;

/// Most bytes of a merged segment: those of a super-segment that fits into an IP packet.
const MAX_BYTES: usize = 65_535;
/// Where a TCP header has its sequence number and its checksum.
const SEQ: Range<usize> = 4..8;
const CHECKSUM: Range<usize> = tcp::CHECKSUM_OFFSET..tcp::CHECKSUM_OFFSET + 2;
/// Flags that a segment in the middle may have.
const PLAIN: TcpFlags = TcpFlags(TcpFlags::ACK.0 | TcpFlags::PSH.0);

/// Appends `next` to `run`, which it continues.
pub(crate) fn append(run: &mut Segment, next: Segment) {
    if run.segment_size == 0 {
        run.segment_size = segment_size(run);
    }
    run.header.flags = run.header.flags | next.header.flags;
    run.header.ack = next.header.ack;
    run.header.window = next.header.window;
    run.payload.append(next.payload);
}

/// Payload bytes of the segments in it, for a single one those that it has.
fn segment_size(segment: &Segment) -> u16 {
    if segment.segment_size > 0 {
        return segment.segment_size;
    }
    u16::try_from(segment.payload.len()).expect("one packet's payload is shorter than 2^16 bytes")
}

/// Whether any segment can continue this one. A push ends a run: what was pushed is to reach the reader, and
/// the last of a batch has it.
pub(crate) fn may_be_continued(segment: &Segment) -> bool {
    segment.header.flags == TcpFlags::ACK && !segment.payload.is_empty()
}

/// Whether `next`, of the same connection, means the same as a part of `run` as it does by itself.
pub(crate) fn continues(run: &Segment, next: &Segment) -> bool {
    let (first, second) = (&run.header, &next.header);
    let size = usize::from(segment_size(run));
    may_be_continued(run)
        && second.flags.ack()
        && (PLAIN | TcpFlags::FIN).contains(second.flags)
        && second.seq == first.seq + run.len()
        && second.ack.at_or_after(first.ack)
        && first.options == second.options
        // RFC 3168 §6.1.3 3168-6b: a mark stands for each packet that has it
        && run.ecn == next.ecn
        && first.options.sack.is_empty()
        && size > 0
        && run.payload.len().is_multiple_of(size)
        && !next.payload.is_empty()
        && usize::from(segment_size(next)) <= size
        && (next.segment_size == 0 || usize::from(next.segment_size) == size)
        && run.payload.len() + next.payload.len() <= MAX_BYTES
}

/// The headers of a run. A packet that differs from them in nothing but sequence number and checksum
/// continues the run, and needs no more looking at: in a stream that is nearly every packet.
#[derive(Debug)]
pub(crate) struct Template {
    /// IP and TCP header, sequence number and checksum taken as zero.
    headers: Head,
    ip_len: usize,
    /// Bytes behind the headers of each packet.
    payload_len: usize,
    /// Of the pseudo-header and the TCP header.
    sum: Sum,
}

impl Template {
    /// Of a packet that later ones may continue.
    pub(crate) fn of(packet: &Packet, carrier: &Carrier) -> Option<Self> {
        let Carrier { ip_len, total_len, .. } = *carrier;
        let front = front(packet);
        let tcp_bytes = front.get(ip_len..)?;
        if *tcp_bytes.get(13)? != TcpFlags::ACK.0 {
            return None;
        }
        let tcp_len = usize::from(tcp_bytes.get(12)? >> 4) * 4;
        let headers_len = ip_len + tcp_len;
        let payload_len = packet.len().checked_sub(headers_len)?;
        let is_plain = packet.segment_size == 0
            && packet.len() == total_len
            && payload_len > 0
            && (ip_len + 20..=HEAD_CAPACITY).contains(&headers_len);
        let bytes = front.get(..headers_len).filter(|_| is_plain)?;
        let mut headers = Head::zeroed(headers_len);
        headers.as_mut_slice().copy_from_slice(bytes);
        let tcp_header = &mut headers.as_mut_slice()[ip_len..];
        tcp_header[SEQ].fill(0);
        tcp_header[CHECKSUM].fill(0);
        let sum = carrier.pseudo_sum(tcp_len + payload_len).add_bytes(&headers.as_slice()[ip_len..]);
        Some(Self { headers, ip_len, payload_len, sum })
    }

    /// Whether packets with these headers may follow in `run`, which ends with one of them.
    pub(crate) fn suits(&self, run: &Segment) -> bool {
        self.payload_len == usize::from(segment_size(run))
    }

    /// Moves the payload of `packet` to the end of `run` if the headers say that it belongs there and the
    /// checksum is right. Whatever else it is, it is to be opened in the regular way.
    pub(crate) fn append(&self, run: &mut Segment, packet: &mut Packet) -> Appended {
        let headers = self.headers.as_slice();
        let Some(bytes) = front(packet).get(..headers.len()) else { return Appended::No };
        let (ip, tcp) = bytes.split_at(self.ip_len);
        let (own_ip, own_tcp) = headers.split_at(self.ip_len);
        let seq = SeqNum(u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]));
        let belongs = (packet.head.is_empty() || packet.head.len() == headers.len())
            && packet.len() == headers.len() + self.payload_len
            && seq == run.header.seq + run.len()
            && ip == own_ip
            && tcp[..SEQ.start] == own_tcp[..SEQ.start]
            && tcp[SEQ.end..CHECKSUM.start] == own_tcp[SEQ.end..CHECKSUM.start]
            && tcp[CHECKSUM.end..] == own_tcp[CHECKSUM.end..]
            && packet.segment_size == 0
            && run.payload.len() + self.payload_len <= MAX_BYTES;
        if !belongs {
            return Appended::No;
        }
        if packet.checksum == Checksum::Unknown {
            let sum = self.sum.add_u32(seq.0).add_bytes(&tcp[CHECKSUM]);
            let is_right = if packet.head.is_empty() {
                let whole = packet.payload.as_single();
                whole.is_some_and(|bytes| sum.add_bytes(&bytes[headers.len()..]).is_valid())
            } else {
                sum.add_payload(&packet.payload).is_valid()
            };
            if !is_right {
                return Appended::No;
            }
        }
        packet.payload.advance(headers.len() - packet.head.len());
        if run.segment_size == 0 {
            run.segment_size = segment_size(run);
        }
        run.payload.append(core::mem::take(&mut packet.payload));
        Appended::Yes
    }
}

/// Whether a packet became part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ciao_wire::{Payload, SackBlock, SeqNum, Timestamps};

    fn segment(seq: u32, len: usize) -> Segment {
        let mut segment =
            Segment { payload: Payload::from(Bytes::from(alloc::vec![7; len])), ..Segment::default() };
        segment.header.seq = SeqNum(seq);
        segment.header.flags = TcpFlags::ACK;
        segment.header.options.timestamps = Some(Timestamps { value: 1, echo: 2 });
        segment
    }

    #[test]
    fn segments_in_order_become_one_with_the_last_acknowledgment_and_window() {
        let mut run = segment(u32::MAX - 50, 100);
        let mut next = segment(49, 100);
        next.header.window = 9;
        next.header.ack = SeqNum(3);
        assert!(continues(&run, &next));
        append(&mut run, next);
        assert!(!continues(&run, &segment(149, 20)), "its acknowledgment is older");
        let mut last = segment(149, 20);
        last.header.ack = SeqNum(3);
        last.header.flags = TcpFlags::ACK | TcpFlags::PSH | TcpFlags::FIN;
        assert!(continues(&run, &last));
        append(&mut run, last);
        assert_eq!((run.payload.len(), run.segment_size, run.count()), (220, 100, 3));
        assert_eq!((run.header.window, run.header.ack), (0, SeqNum(3)));
        assert!(run.header.flags.fin() && run.header.flags.psh());
        assert!(!continues(&run, &segment(270, 10)), "nothing follows a FIN");
    }

    #[test]
    fn nothing_is_merged_whose_meaning_would_change() {
        let run = segment(0, 100);
        assert!(continues(&run, &segment(100, 100)));
        assert!(!continues(&run, &segment(101, 100)), "a gap");
        assert!(!continues(&run, &segment(0, 100)), "a repetition");
        assert!(!continues(&run, &segment(100, 0)), "a pure acknowledgment counts by itself");
        assert!(!continues(&run, &segment(100, 101)), "a longer segment after a shorter one");
        let change = |change: fn(&mut Segment)| {
            let mut next = segment(100, 100);
            change(&mut next);
            next
        };
        for next in [
            change(|next| next.header.options.timestamps = Some(Timestamps { value: 2, echo: 2 })),
            change(|next| next.header.options.timestamps = None),
            change(|next| next.header.flags = TcpFlags::ACK | TcpFlags::URG),
            change(|next| next.header.flags = TcpFlags::ACK | TcpFlags::RST),
            change(|next| next.header.flags = TcpFlags::ACK | TcpFlags::SYN),
            change(|next| next.header.flags = TcpFlags::PSH),
            change(|next| next.header.ack = SeqNum(u32::MAX)),
            change(|next| {
                next.header.options.sack.push(SackBlock { start: SeqNum(5), end: SeqNum(6) });
            }),
        ] {
            assert!(!continues(&run, &next), "{next:?}");
        }
        assert!(!continues(
            &change(|run| run.header.flags = TcpFlags::ACK | TcpFlags::PSH),
            &segment(200, 100)
        ));
    }
}
