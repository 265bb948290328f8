//! Which HTTP messages does each segment carry?
//!
//! The data of each direction is put in order once, whichever transmission brought it, and read by
//! [`crate::http`]; then each segment is told which elements its range touches.

use super::{Connection, Pair, Segment, Side};
use crate::http::{Carried, Element, Reader};
use ciao_wire::Payload;
use std::collections::BTreeMap;

/// Fills in [`Connection::http`] and [`Segment::carries`].
pub(super) fn attach_http(connection: &mut Connection) {
    let mut reader = Reader::default();
    // Requests first: what a response means depends on its request.
    for side in Side::BOTH {
        let len = in_order(&connection.segments, side, |bytes| reader.push(side, bytes));
        let is_end = |segment: &Segment| {
            // The FIN's number is the one behind the last byte, which is counted from 1.
            segment.from == side && segment.header.flags.fin() && segment.end() == len + 2
        };
        if connection.segments.iter().any(is_end) {
            reader.end(side);
        }
    }
    connection.http = Pair([reader.take_elements(Side::Left), reader.take_elements(Side::Right)]);
    for segment in &mut connection.segments {
        let Ok(start) = u64::try_from(segment.seq - 1 + i64::from(segment.header.flags.syn())) else {
            continue;
        };
        let end = start + u64::from(segment.payload_len);
        segment.carries = carried(&connection.http[segment.from], start, end);
    }
}

/// Hands the bytes that `side` sent to `push`, in order, up to the first gap; answers how many.
fn in_order(segments: &[Segment], side: Side, mut push: impl FnMut(&[u8])) -> i64 {
    let mut next = 0_u64;
    let mut ahead: BTreeMap<u64, &Payload> = BTreeMap::new();
    for segment in segments.iter().filter(|segment| segment.from == side && !segment.payload.is_empty()) {
        let Ok(start) = u64::try_from(segment.seq - 1 + i64::from(segment.header.flags.syn())) else {
            continue;
        };
        let kept = ahead.entry(start).or_insert(&segment.payload);
        if kept.len() < segment.payload.len() {
            *kept = &segment.payload;
        }
        while let Some(entry) = ahead.first_entry().filter(|entry| *entry.key() <= next) {
            let (start, payload) = entry.remove_entry();
            let mut skip = usize::try_from(next - start).unwrap_or(usize::MAX);
            for chunk in payload.chunks() {
                push(&chunk[skip.min(chunk.len())..]);
                skip = skip.saturating_sub(chunk.len());
            }
            next = next.max(start + payload.len() as u64);
        }
    }
    next.cast_signed()
}

/// The elements that the range touches. Elements are in order and do not overlap.
fn carried(elements: &[Element], start: u64, end: u64) -> Vec<Carried> {
    let first = elements.partition_point(|element| element.range.end <= start);
    elements[first..]
        .iter()
        .enumerate()
        .take_while(|(_, element)| element.range.start < end)
        .map(|(index, element)| Carried::new(first + index, &element.range, start..end))
        .collect()
}
