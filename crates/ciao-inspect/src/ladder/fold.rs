//! Which rows are one too many to be read?
//!
//! A run of data and acknowledgments in which nothing else happens becomes one row. A row in which a message
//! begins or ends, a state changes, a segment is lost, sent again or dropped, is never folded away.

use super::rows::{Fold, Leg, Row, What};
use crate::history::{Connection, Fate, Pair, Segment};
use crate::http::{End, Kind, Part};

/// Acknowledgments with SACK that are shown before more of them are folded: with the first gap, then the two
/// that RFC 5681 §3.2 waits for besides.
const SACKS_SHOWN: usize = 3;

/// Shortens runs of more than `beyond` rows.
pub(super) fn fold(connection: &Connection, rows: Vec<Row>, beyond: usize) -> Vec<Row> {
    let mut folded = Vec::with_capacity(rows.len());
    let mut run: Vec<Row> = Vec::new();
    let mut sacks = 0;
    for row in rows {
        let has_sack = has_sack(connection, &row);
        if has_sack {
            sacks += 1;
        } else if is_pure_ack(connection, &row) {
            sacks = 0; // the gap is filled
        }
        if is_dull(connection, &row) && (!has_sack || sacks > SACKS_SHOWN) {
            run.push(row);
        } else {
            end_run(connection, &mut folded, &mut run, beyond);
            folded.push(row);
        }
    }
    end_run(connection, &mut folded, &mut run, beyond);
    folded
}

fn has_sack(connection: &Connection, row: &Row) -> bool {
    let What::Segment(index, _) = row.what else { return false };
    !connection.segments[index].header.options.sack.is_empty()
}

fn is_pure_ack(connection: &Connection, row: &Row) -> bool {
    matches!(row.what, What::Segment(index, _) if connection.segments[index].is_pure_ack())
}

fn end_run(connection: &Connection, folded: &mut Vec<Row>, run: &mut Vec<Row>, beyond: usize) {
    if run.len() <= beyond {
        folded.append(run);
        return;
    }
    let mut fold = Fold::default();
    for row in run.iter() {
        let What::Segment(index, _) = row.what else { continue };
        let segment = &connection.segments[index];
        if segment.payload_len > 0 {
            fold.data_segments[segment.from] += u64::from(segment.count);
            fold.data_bytes[segment.from] += u64::from(segment.payload_len);
        } else if has_sack(connection, row) {
            fold.sacks[segment.from] += 1;
        } else {
            fold.acks[segment.from] += 1;
        }
    }
    let latest = [0, 1].map(|side| run.iter().filter_map(|row| row.at.0[side]).max());
    let mut row = run.pop().expect("a run is longer than the threshold");
    row.what = What::Fold(fold);
    row.at = Pair(latest);
    folded.push(row);
    run.clear();
}

fn is_dull(connection: &Connection, row: &Row) -> bool {
    let What::Segment(index, Leg::Whole) = row.what else { return false };
    let segment = &connection.segments[index];
    let flags = segment.header.flags;
    row.notes.0.iter().all(Vec::is_empty)
        && !flags.syn()
        && !flags.fin()
        && !flags.rst()
        && matches!(segment.fate, Fate::Arrived | Fate::Unknown)
        && !segment.is_repeat
        && row.dropped.is_none()
        && row.before.knowledge == row.after.knowledge
        && row.before.shut == row.after.shut
        && carries_only_the_middle(connection, segment)
}

fn carries_only_the_middle(connection: &Connection, segment: &Segment) -> bool {
    segment.carries.iter().all(|carried| {
        let element = &connection.http[segment.from][carried.element];
        let is_middle = carried.part == Part::Continues;
        let is_inner_frame = element.kind == Kind::Body && element.end == End::Open;
        let is_window = element.kind == Kind::Control && element.text.starts_with("WINDOW_UPDATE");
        is_middle || is_inner_frame || is_window
    })
}
