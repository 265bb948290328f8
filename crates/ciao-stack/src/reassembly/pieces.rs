//! Which pieces of one datagram have come, and do they fit together? (RFC 815, RFC 5722)
//!
//! A repetition of the same bytes is no overlap; anything else that shares a byte is.

use alloc::vec::Vec;
use bytes::Bytes;
use ciao_wire::Payload;

/// One piece and where it belongs.
#[derive(Clone, Debug)]
struct Piece {
    start: u32,
    bytes: Bytes,
}

impl Piece {
    fn end(&self) -> u32 {
        self.start + len_of(&self.bytes)
    }
}

fn len_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a piece came in one packet, which is shorter than 2^17 bytes")
}

/// Whether others follow a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// They do.
    Within,
    /// It is the end of the datagram.
    Last,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was missing.
    New,
    /// It was here already.
    Repeated,
    /// It contradicts another one: all are worthless.
    Overlap,
    /// There are as many as there may be.
    TooMany,
}

/// The pieces in order, none of which overlaps another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces {
    list: Vec<Piece>,
    /// Bytes of the whole, once its last piece has come.
    total: Option<u32>,
    /// Bytes in all pieces.
    len: u32,
}

impl Pieces {
    /// Takes a piece that begins at byte `start`, as one of `max` at most.
    // RFC 5722 §4 8200-4.5a; RFC 791 §3.2 791-frag1
    pub(crate) fn insert(&mut self, start: u16, place: Place, bytes: &Bytes, max: usize) -> Taken {
        let start = u32::from(start);
        let end = start + len_of(bytes);
        let contradicts = match (place, self.total) {
            (Place::Last, Some(total)) => total != end,
            (Place::Last, None) => self.list.last().is_some_and(|last| last.end() > end),
            (Place::Within, total) => total.is_some_and(|total| end > total),
        };
        if contradicts {
            return Taken::Overlap;
        }
        let index = self.list.partition_point(|piece| piece.start < start);
        if let Some(next) = self.list.get(index) {
            if next.start == start && next.bytes == bytes {
                return Taken::Repeated;
            }
            if next.start < end {
                return Taken::Overlap;
            }
        }
        if index > 0 && self.list[index - 1].end() > start {
            return Taken::Overlap;
        }
        if self.list.len() >= max {
            return Taken::TooMany;
        }
        self.list.insert(index, Piece { start, bytes: bytes.clone() });
        self.len += end - start;
        if place == Place::Last {
            self.total = Some(end);
        }
        Taken::New
    }

    /// True when nothing is missing.
    pub(crate) fn is_complete(&self) -> bool {
        self.total == Some(self.len)
    }

    /// The datagram, when nothing is missing.
    pub(crate) fn into_payload(self) -> Payload {
        let mut payload = Payload::EMPTY;
        for piece in self.list {
            payload.push(piece.bytes);
        }
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn insert(pieces: &mut Pieces, whole: &[u8], start: usize, end: usize) -> Taken {
        let place = if end == whole.len() { Place::Last } else { Place::Within };
        pieces.insert(u16::try_from(start).unwrap(), place, &Bytes::copy_from_slice(&whole[start..end]), 64)
    }

    /// The datagram's bytes and the places, in steps of eight, at which it is cut.
    fn cut_datagram() -> impl Strategy<Value = (Vec<u8>, Vec<(usize, usize)>)> {
        (prop::collection::vec(any::<u8>(), 17..1500), prop::collection::btree_set(1_usize..187, 1..40))
            .prop_map(|(whole, cuts)| {
                let inner = cuts.into_iter().map(|cut| cut * 8).filter(|cut| *cut < whole.len());
                let mut edges: Vec<usize> = core::iter::once(0).chain(inner).collect();
                edges.push(whole.len());
                let ranges = edges.windows(2).map(|pair| (pair[0], pair[1])).collect();
                (whole, ranges)
            })
    }

    proptest! {
        // RFC 815 §3, RFC 5722 §4 8200-4.5a
        #[test]
        fn any_cut_order_and_repetition_gives_the_datagram_once(
            ((whole, ranges), order) in cut_datagram().prop_flat_map(|(whole, ranges)| {
                let repeated = ranges[..ranges.len() - 1].to_vec();
                let all = [ranges.clone(), repeated].concat();
                (Just((whole, ranges)), Just(all).prop_shuffle())
            }),
        ) {
            let mut pieces = Pieces::default();
            let mut completed = 0;
            let mut missing: Vec<_> = ranges;
            for (start, end) in order {
                let is_new = missing.contains(&(start, end));
                missing.retain(|range| *range != (start, end));
                let taken = insert(&mut pieces, &whole, start, end);
                prop_assert_eq!(taken, if is_new { Taken::New } else { Taken::Repeated });
                prop_assert_eq!(pieces.is_complete(), missing.is_empty());
                completed += usize::from(is_new && pieces.is_complete());
            }
            prop_assert_eq!(completed, 1);
            prop_assert_eq!(pieces.into_payload().to_vec(), whole);
        }

        #[test]
        fn any_overlap_is_noticed_whatever_it_holds(
            (whole, ranges) in cut_datagram(),
            which in any::<prop::sample::Index>(),
            (start, len) in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let eights = (whole.len() - 1) / 8;
            let start = start.index(eights);
            let (start, end) = (start * 8, (start + 1 + len.index(eights - start)) * 8);
            prop_assume!(!ranges.contains(&(start, end)));
            let mut pieces = Pieces::default();
            let at = which.index(ranges.len() + 1);
            let order = [&ranges[..at], &[(start, end)], &ranges[at..]].concat();
            let overlaps = order.iter().any(|(start, end)| {
                insert(&mut pieces, &whole, *start, *end) == Taken::Overlap
            });
            prop_assert!(overlaps);
        }
    }

    // Row I1: three fragments on a grid of 64 bytes, all starts and ends.
    // RFC 5722 §4 8200-4.5a; RFC 791 §3.2 791-frag1
    #[test]
    fn of_all_triples_those_alone_are_taken_that_share_no_byte() {
        let ranges: Vec<(usize, usize)> =
            (0..8).flat_map(|start| (start + 1..=8).map(move |end| (start * 8, end * 8))).collect();
        let share = |one: (usize, usize), other: (usize, usize)| one.0 < other.1 && other.0 < one.1;
        for &first in &ranges {
            for &second in &ranges {
                for &third in &ranges {
                    let mut pieces = Pieces::default();
                    let differs = [vec![1_u8; 72], vec![2; 72], vec![3; 72]];
                    let taken =
                        [first, second, third].into_iter().zip(&differs).map(|((start, end), bytes)| {
                            let bytes = Bytes::copy_from_slice(&bytes[start..end]);
                            pieces.insert(u16::try_from(start).unwrap(), Place::Within, &bytes, 64)
                        });
                    let taken: Vec<Taken> = taken.collect();
                    let clash = share(first, second) || share(first, third) || share(second, third);
                    assert_eq!(taken.contains(&Taken::Overlap), clash, "{first:?} {second:?} {third:?}");
                }
            }
        }
    }

    #[test]
    fn the_end_is_where_the_last_piece_says_and_nothing_lies_beyond() {
        let whole = [7; 64];
        let mut pieces = Pieces::default();
        assert_eq!(insert(&mut pieces, &whole, 32, 64), Taken::New);
        let beyond = Bytes::from_static(&[7; 8]);
        assert_eq!(pieces.insert(64, Place::Within, &beyond, 64), Taken::Overlap);
        assert_eq!(pieces.insert(64, Place::Last, &beyond, 64), Taken::Overlap);
        let mut pieces = Pieces::default();
        assert_eq!(pieces.insert(64, Place::Within, &beyond, 64), Taken::New);
        assert_eq!(insert(&mut pieces, &whole, 32, 64), Taken::Overlap);
    }

    #[test]
    fn pieces_are_counted() {
        let mut pieces = Pieces::default();
        for index in 0..64 {
            assert_eq!(
                pieces.insert(index * 16, Place::Within, &Bytes::from_static(&[0; 8]), 64),
                Taken::New
            );
        }
        let one_more = pieces.insert(2048, Place::Within, &Bytes::from_static(&[0; 8]), 64);
        assert_eq!(one_more, Taken::TooMany);
    }
}
