//! Which bytes arrived out of order, and which do we report? [`Reassembly`] (RFC 9293 §3.10.7.4 SHLD-31, RFC
//! 2018 §4).
//!
//! It exists only while something is missing. What is inside the window is the caller's decision
//! (`sequence`); bytes in order go to `receive_buffer`.

use crate::coalesce::{SMALL_BYTES, compact, joined};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use ciao_wire::{Payload, SackBlock, SackBlocks, SeqNum};

/// Bytes behind gaps, as islands in the order of their numbers. Two islands never touch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reassembly {
    islands: VecDeque<Island>,
    bytes: u32,
    /// Counts the insertions: the island with the greatest number changed last.
    changes: u64,
    /// Where the islands begin that changed last, the latest first: as many as can be reported, or all.
    latest: Vec<SeqNum>,
}

#[derive(Clone, Debug)]
struct Island {
    start: SeqNum,
    end: SeqNum,
    pieces: VecDeque<Bytes>,
    changed: u64,
}

/// The segment would make one gap more than allowed; nothing of it was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyGaps;

impl Reassembly {
    /// Nothing is kept.
    pub(crate) const fn new() -> Self {
        Self { islands: VecDeque::new(), bytes: 0, changes: 0, latest: Vec::new() }
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> u32 {
        self.bytes
    }

    /// True when nothing is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.islands.is_empty()
    }

    /// Keeps those bytes of `payload`, which begins at `seq`, that are new; bytes that are here already stay
    /// as they came first. Answers the island that holds the segment. All numbers must lie within one window.
    ///
    /// # Errors
    /// [`TooManyGaps`] when the segment touches nothing and there are `max_gaps` islands, or more, and they
    /// are small: what a queue that overflows takes out of every other segment leaves as many islands as
    /// there are segments, and none of them must be lost; an attack leaves a few bytes in each.
    // RFC 9293 §3.10.7.4 SHLD-31
    pub(crate) fn insert(
        &mut self,
        seq: SeqNum,
        payload: &Payload,
        max_gaps: u16,
    ) -> Result<SackBlock, TooManyGaps> {
        let end = seq + payload_len(payload);
        let first = self.islands.partition_point(|island| island.end.before(seq));
        let behind = self.islands.partition_point(|island| island.start.at_or_before(end)).max(first);
        if first == behind {
            if payload.is_empty() {
                return Ok(SackBlock { start: seq, end });
            }
            let count = self.islands.len();
            if count >= usize::from(max_gaps) && count * SMALL_BYTES >= self.bytes as usize {
                return Err(TooManyGaps);
            }
            self.islands.insert(first, Island { start: seq, end: seq, pieces: VecDeque::new(), changed: 0 });
        }
        self.fill(first, behind.max(first + 1), seq, payload);
        self.changes += 1;
        let island = &mut self.islands[first];
        island.changed = self.changes;
        let block = SackBlock { start: island.start, end: island.end };
        self.latest.retain(|start| start.before(block.start) || start.after(block.end));
        self.latest.insert(0, block.start);
        self.refill_latest();
        Ok(block)
    }

    /// Takes out the bytes that begin at `rcv_nxt`, when they are here. What lies before it is dropped.
    pub(crate) fn take_contiguous(&mut self, rcv_nxt: SeqNum) -> Option<Payload> {
        let passed = self.islands.partition_point(|island| island.start.at_or_before(rcv_nxt));
        let mut taken = None;
        for island in self.islands.drain(..passed) {
            self.bytes -= island.end.since(island.start);
            if island.end.after(rcv_nxt) {
                let mut payload = Payload::EMPTY;
                for piece in island.pieces {
                    payload.push(piece);
                }
                payload.advance(rcv_nxt.since(island.start) as usize);
                taken = Some(payload);
            }
        }
        if passed > 0 {
            self.latest.retain(|start| start.after(rcv_nxt));
            self.refill_latest();
        }
        taken
    }

    /// Up to `limit` islands for a SACK option, those that changed last first.
    // RFC 2018 §4 2018-3
    pub(crate) fn sack_blocks(&self, limit: usize) -> SackBlocks {
        let mut blocks = SackBlocks::EMPTY;
        for &start in self.latest.iter().take(limit) {
            let index = self.islands.partition_point(|island| island.start.before(start));
            let island = &self.islands[index];
            blocks.push(SackBlock { start: island.start, end: island.end });
        }
        blocks
    }

    /// Looks through all islands for those that changed last, only when some of them are gone and others are
    /// left.
    fn refill_latest(&mut self) {
        self.latest.truncate(SackBlocks::CAPACITY);
        let wanted = self.islands.len().min(SackBlocks::CAPACITY);
        if self.latest.len() == wanted {
            return;
        }
        let mut found: [Option<&Island>; SackBlocks::CAPACITY] = [None; SackBlocks::CAPACITY];
        for island in &self.islands {
            let mut candidate = Some(island);
            for slot in &mut found {
                let changed = |island: Option<&Island>| island.map_or(0, |island| island.changed);
                if changed(candidate) > changed(*slot) {
                    core::mem::swap(slot, &mut candidate);
                }
            }
        }
        self.latest.clear();
        self.latest.extend(found.into_iter().flatten().map(|island| island.start));
    }

    /// Makes one of the islands from `first` up to, but without, `behind`, with the new bytes before, between
    /// and after.
    fn fill(&mut self, first: usize, behind: usize, seq: SeqNum, payload: &Payload) {
        let end = seq + payload_len(payload);
        let part =
            |from: SeqNum, to: SeqNum| payload.slice(from.since(seq) as usize, to.since(from) as usize);
        let swallowed: Vec<Island> = self.islands.drain(first + 1..behind).collect();
        let island = &mut self.islands[first];
        let mut added = 0;
        if seq.before(island.start) {
            added += island.start.since(seq);
            island.prepend(part(seq, island.start));
        }
        for next in swallowed {
            added += next.start.since(island.end);
            island.append(part(island.end, next.start));
            island.join(next);
        }
        if island.end.before(end) {
            added += end.since(island.end);
            island.append(part(island.end, end));
        }
        self.bytes += added;
    }
}

impl Island {
    fn append(&mut self, mut payload: Payload) {
        self.end += payload_len(&payload);
        while let Some(piece) = payload.pop_front() {
            self.push_back(piece);
        }
    }

    fn prepend(&mut self, mut payload: Payload) {
        self.start = self.start - payload_len(&payload);
        while let Some(piece) = payload.pop_back() {
            let piece = compact(piece);
            match self.pieces.pop_front() {
                Some(first) => {
                    let (piece, first) = joined(piece, first);
                    self.push_front_unless_empty(first);
                    self.push_front_unless_empty(piece);
                }
                None => self.pieces.push_front(piece),
            }
        }
    }

    /// Takes in the island that begins where this one ends. The shorter list is moved, so that an island that
    /// grows at its front does not cost more with its length.
    fn join(&mut self, mut next: Self) {
        self.end = next.end;
        if let Some(piece) = next.pieces.pop_front() {
            self.push_back(piece);
        }
        if self.pieces.len() < next.pieces.len() {
            while let Some(piece) = self.pieces.pop_back() {
                next.pieces.push_front(piece);
            }
            self.pieces = next.pieces;
        } else {
            self.pieces.append(&mut next.pieces);
        }
    }

    fn push_back(&mut self, piece: Bytes) {
        match self.pieces.pop_back() {
            Some(last) => {
                let (last, piece) = joined(last, piece);
                self.pieces.push_back(last);
                if !piece.is_empty() {
                    self.pieces.push_back(piece);
                }
            }
            None => self.pieces.push_back(compact(piece)),
        }
    }

    fn push_front_unless_empty(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.pieces.push_front(piece);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a payload is one packet or one merged run: far below 2^32 bytes"
)]
fn payload_len(payload: &Payload) -> u32 {
    payload.len() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    /// One slot for each byte of a window, and the starts of the islands that changed, last first.
    struct Model {
        window: Vec<Option<u8>>,
        changed: Vec<(usize, usize)>,
    }

    impl Model {
        fn islands(&self) -> Vec<(usize, usize)> {
            let mut islands = Vec::new();
            let mut at = 0;
            while at < self.window.len() {
                let len = self.window[at..].iter().take_while(|slot| slot.is_some()).count();
                if len > 0 {
                    islands.push((at, at + len));
                }
                at += len + 1;
            }
            islands
        }

        fn insert(&mut self, start: usize, data: &[u8], max_gaps: usize) -> Option<(usize, usize)> {
            let before = self.window.clone();
            for (slot, byte) in self.window[start..].iter_mut().zip(data) {
                slot.get_or_insert(*byte);
            }
            let islands = self.islands();
            let held = before.iter().flatten().count();
            if islands.len() > max_gaps && (islands.len() - 1) * SMALL_BYTES >= held {
                self.window = before;
                return None;
            }
            let holds = |&(from, to): &(usize, usize)| from <= start && start + data.len() <= to;
            let island = islands.iter().copied().find(holds).expect("just written");
            self.changed.retain(|old| old.1 < island.0 || island.1 < old.0);
            self.changed.insert(0, island);
            Some(island)
        }
    }

    fn segment(start: usize, len: usize, salt: u8) -> (Vec<u8>, Payload) {
        let data: Vec<u8> = (start..start + len).map(|at| (at as u8).wrapping_mul(31) ^ salt).collect();
        let mut payload = Payload::EMPTY;
        for piece in data.chunks(1448) {
            payload.push(Bytes::copy_from_slice(piece));
        }
        (data, payload)
    }

    fn segments() -> impl Strategy<Value = Vec<(usize, usize, u8, bool)>> {
        let len = prop_oneof![1..4usize, 1..600usize, 1..3000usize];
        let one = (0..4_000usize, len, any::<u8>(), proptest::bool::weighted(0.1));
        proptest::collection::vec(one, 1..40)
    }

    proptest! {
        // RFC 9293 §3.10.7.4 SHLD-31
        // RFC 2018 §4 2018-3
        #[test]
        fn it_behaves_like_a_window_of_slots(
            base in prop_oneof![Just(u32::MAX - 2_000), any::<u32>()],
            max_gaps in 1..12u16,
            segments in segments(),
        ) {
            let mut reassembly = Reassembly::new();
            let mut model = Model { window: vec![None; 6_000], changed: Vec::new() };
            let mut rcv_nxt = 0;
            let number = |at: usize| SeqNum(base) + at as u32;
            let block = |(from, to): (usize, usize)| SackBlock { start: number(from), end: number(to) };
            for (start, len, salt, take) in segments {
                let start = start.max(rcv_nxt + 1);
                if start + len > model.window.len() {
                    break;
                }
                let (data, payload) = segment(start, len, salt);
                let expected = model.insert(start, &data, max_gaps.into()).map(block).ok_or(TooManyGaps);
                prop_assert_eq!(reassembly.insert(number(start), &payload, max_gaps), expected);
                if take {
                    // The hole in front is filled up to the middle of the first island, as an overlapping
                    // segment does.
                    let (from, to) = model.islands()[0];
                    rcv_nxt = from + (to - from) / 2;
                    let expected: Vec<u8> = model.window[rcv_nxt..to].iter().flatten().copied().collect();
                    let taken = reassembly.take_contiguous(number(rcv_nxt)).expect("it begins there");
                    prop_assert_eq!(taken.to_vec(), expected);
                    rcv_nxt = to;
                    model.window[..to].fill(None);
                    model.changed.retain(|island| island.0 > to);
                }
                let held = model.window.iter().flatten().count();
                prop_assert_eq!(reassembly.bytes() as usize, held);
                prop_assert_eq!(reassembly.is_empty(), held == 0);
                prop_assert!(reassembly.take_contiguous(number(rcv_nxt)).is_none());
                for limit in 0..=4 {
                    let blocks = reassembly.sack_blocks(limit);
                    let expected: Vec<_> = model.changed.iter().copied().take(limit).map(block).collect();
                    prop_assert_eq!(blocks.as_slice(), expected);
                }
            }
        }
    }

    fn pieces(reassembly: &Reassembly) -> usize {
        reassembly.islands.iter().map(|island| island.pieces.len()).sum()
    }

    // RFC 9293 §3.10.7.4 SHLD-31
    #[test]
    fn single_bytes_in_any_order_make_few_pieces() {
        const COUNT: usize = 20_000;
        let orders: [fn(usize) -> usize; 4] = [
            |at| at,
            |at| COUNT - 1 - at,
            |at| if at < COUNT / 2 { 2 * at + 1 } else { 2 * (at - COUNT / 2) },
            |at| at * 7919 % COUNT,
        ];
        for order in orders {
            let mut reassembly = Reassembly::new();
            for at in 0..COUNT {
                let (_, payload) = segment(order(at), 1, 0);
                reassembly.insert(SeqNum(order(at) as u32), &payload, u16::MAX).expect("no limit");
            }
            assert!(pieces(&reassembly) <= COUNT / 512, "{} pieces", pieces(&reassembly));
            let (expected, _) = segment(0, COUNT, 0);
            assert_eq!(reassembly.take_contiguous(SeqNum(0)).expect("complete").to_vec(), expected);
        }
    }

    #[test]
    fn whole_segments_leave_as_many_gaps_as_there_are() {
        let mut reassembly = Reassembly::new();
        for at in (0..4000).rev() {
            let (_, payload) = segment(at as usize * 2896, 1448, 0);
            reassembly.insert(SeqNum(at * 2896), &payload, 128).expect("they are no attack");
        }
        assert_eq!(reassembly.bytes(), 4000 * 1448);
        let latest = reassembly.sack_blocks(4);
        let starts: Vec<_> = latest.as_slice().iter().map(|block| block.start.0 / 2896).collect();
        assert_eq!(starts, [0, 1, 2, 3]);
    }

    #[test]
    fn alternate_bytes_fill_no_more_than_the_allowed_gaps() {
        let mut reassembly = Reassembly::new();
        let mut refused = 0;
        for at in 0..100_000 {
            refused +=
                u32::from(reassembly.insert(SeqNum(2 * at), &Bytes::from_static(b"x").into(), 128).is_err());
        }
        assert_eq!((reassembly.bytes(), refused), (128, 100_000 - 128));
        assert_eq!(pieces(&reassembly), 128);
    }

    #[test]
    fn the_bytes_that_came_first_stay() {
        let mut reassembly = Reassembly::new();
        reassembly.insert(SeqNum(14), &Bytes::from_static(b"first").into(), 9).expect("room");
        let block = reassembly.insert(SeqNum(10), &Bytes::from_static(b"later and longer").into(), 9);
        assert_eq!(block, Ok(SackBlock { start: SeqNum(10), end: SeqNum(26) }));
        assert_eq!(reassembly.take_contiguous(SeqNum(10)).expect("all").to_vec(), b"latefirst longer");
        assert_eq!(reassembly.take_contiguous(SeqNum(26)), None);
    }
}
