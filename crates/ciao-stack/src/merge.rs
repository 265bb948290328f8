//! Which received segments can TCP see as one? Those that continue each other (generic receive offload).
//!
//! A segment's cost hardly depends on its length, so a batch from the link is merged before the table of
//! connections is asked. Merged segments mean the same to TCP as each for itself: same options, same flags,
//! data in order. The reverse, cutting, is in [`crate::segmentation`].

use ciao_tcp::Segment;
use ciao_wire::TcpFlags;

/// Most bytes of a merged segment: those of a super-segment that fits into an IP packet.
const MAX_BYTES: usize = 65_535;
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

/// Whether `next`, of the same connection, means the same as a part of `run` as it does by itself.
pub(crate) fn continues(run: &Segment, next: &Segment) -> bool {
    let (first, second) = (&run.header, &next.header);
    let size = usize::from(segment_size(run));
    // A push ends a run: what was pushed is to reach the reader, and the last of a batch has it.
    first.flags == TcpFlags::ACK
        && second.flags.ack()
        && (PLAIN | TcpFlags::FIN).contains(second.flags)
        && second.seq == first.seq + run.len()
        && second.ack.at_or_after(first.ack)
        && first.options == second.options
        && first.options.sack.is_empty()
        && size > 0
        && run.payload.len().is_multiple_of(size)
        && !next.payload.is_empty()
        && usize::from(segment_size(next)) <= size
        && (next.segment_size == 0 || usize::from(next.segment_size) == size)
        && run.payload.len() + next.payload.len() <= MAX_BYTES
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
