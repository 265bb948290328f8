//! What is said under a row: why each state changed, what each side knows, which direction is shut, why
//! TIME-WAIT waits?

use super::draw::Sheet;
use super::explain::{Knowledge, Known, Shut, time_wait_ends};
use super::rows::{Leg, Note, Row, What};
use crate::history::{Drop, Segment, Side};
use crate::page::{Line, Tone};
use ciao_tcp::TcpState;
use ciao_wire::Instant;
use std::time::Duration;

/// Lines under a row: under the left state, between the lanes, under the right state.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) sides: [Vec<Line>; 2],
    pub(super) middle: Vec<Line>,
}

impl Notes {
    pub(super) fn between(&mut self, tone: Tone, text: impl Into<String>) {
        self.middle.push(Line::of(tone, text));
    }

    fn under(&mut self, side: Side, tone: Tone, text: impl Into<String>) {
        self.sides[side as usize].push(Line::of(tone, text));
    }
}

impl Sheet<'_> {
    /// Why the state of each end changed, and which timers fired.
    pub(super) fn state_notes(row: &Row, notes: &mut Notes) {
        for side in Side::BOTH {
            // A segment can lead through a state to the next one.
            let moves = row.notes[side].iter().filter_map(|note| match note {
                Note::Moved { from, .. } => Some(from),
                Note::Fired(_) | Note::Lost(_) | Note::Undone(_) | Note::SegmentSize { .. } => None,
            });
            for state in moves.skip(1) {
                notes.under(side, Tone::Close, format!("via {state}"));
            }
            for note in &row.notes[side] {
                match note {
                    Note::Moved { cause, .. } => notes.under(side, Tone::Plain, cause.name()),
                    Note::SegmentSize { mss, cause } => {
                        notes.under(side, Tone::Retransmit, format!("MSS {mss}, {cause}"));
                    }
                    Note::Fired(timer) => notes.under(side, Tone::Retransmit, timer.name()),
                    Note::Lost(by) => notes.under(side, Tone::Retransmit, by.name()),
                    Note::Undone(cause) => notes.under(side, Tone::Retransmit, cause.name()),
                }
            }
        }
    }

    /// What of a segment stands under its arrow.
    pub(super) fn segment_notes(
        &self,
        segment: &Segment,
        messages: Vec<String>,
        dropped: Option<Drop>,
        notes: &mut Notes,
    ) {
        for line in packed(messages, self.middle.saturating_sub(2)) {
            notes.between(Tone::Data, line);
        }
        let options = &segment.header.options;
        if segment.header.flags.syn() {
            notes.between(Tone::Quiet, syn_options(segment));
        }
        if !options.sack.is_empty() {
            notes.between(Tone::Sack, format!("SACK, has arrived: {}", sack_text(segment)));
        }
        if let Some(drop) = &dropped {
            self.drop_notes(segment.from, drop, notes);
        }
    }

    fn drop_notes(&self, from: Side, drop: &Drop, notes: &mut Notes) {
        notes.between(Tone::Lost, format!("✗ dropped by {}: {drop}", self.name(!from)));
        notes.between(Tone::Quiet, format!("  {}", drop.rule()));
    }

    /// What the row teaches: the opening, the closing, TIME-WAIT.
    pub(super) fn explain(&self, row: &Row, waits: Option<Waits>, notes: &mut Notes) {
        if let What::Segment(index, _) = row.what {
            let segment = &self.connection.segments[index];
            let knew = row.before.knowledge;
            let opens = segment.header.flags.syn() || knew != row.after.knowledge;
            if opens && Side::BOTH.iter().any(|&side| knew[side] != Knowledge::ALL) {
                self.knowledge(row, notes);
            }
            if row.before.shut != row.after.shut {
                self.shut(row, segment, notes);
            }
        }
        if let Some(waits) = waits {
            self.time_wait(&waits, notes);
        }
    }

    fn knowledge(&self, row: &Row, notes: &mut Notes) {
        let mark = |known: Known| match known {
            Known::NotYet => '?',
            Known::Works => '✓',
        };
        for side in Side::BOTH {
            let Knowledge { heard, was_heard } = row.after.knowledge[side];
            let changed = row.before.knowledge[side] != row.after.knowledge[side];
            let tone = if changed { Tone::Open } else { Tone::Quiet };
            let (heard, was_heard) = (mark(heard), mark(was_heard));
            notes.under(side, tone, format!("own  send {was_heard} receive {heard}"));
            notes.under(side, tone, format!("peer send {heard} receive {was_heard}"));
            let (before, after) = (row.before.knowledge[side], row.after.knowledge[side]);
            let (me, other) = (self.name(side), self.name(!side));
            let hears = before.heard != after.heard;
            let was_heard = before.was_heard != after.was_heard;
            let learned = match (hears, was_heard) {
                (true, true) => format!("{me} hears {other}, and that it was heard"),
                (true, false) => format!("{me} hears {other}"),
                (false, true) => format!("{me} learns that it was heard"),
                (false, false) => continue,
            };
            notes.between(Tone::Open, learned);
        }
    }

    fn shut(&self, row: &Row, segment: &Segment, notes: &mut Notes) {
        let shut = row.after.shut;
        if Side::BOTH.iter().any(|&side| shut[side] == Shut::Reset) {
            let receiver = !segment.from;
            let asked = row.notes[receiver]
                .iter()
                .any(|note| matches!(note, Note::Moved { from: TcpState::SynSent, .. }));
            if asked {
                let (refuser, caller) = (self.name(segment.from), self.name(receiver));
                notes.between(Tone::Close, format!("refused: {refuser} has nobody for {caller} to talk to"));
                return;
            }
            notes.between(Tone::Close, "RST: both directions end at once,");
            notes.between(Tone::Close, "nothing is waited for");
            return;
        }
        if Side::BOTH.iter().all(|&side| shut[side] == Shut::Acknowledged) {
            notes.between(Tone::Close, "both directions are shut and acknowledged");
            return;
        }
        let is_lost = segment.arrivals.is_empty();
        for side in Side::BOTH {
            let arrow = match side {
                Side::Left => "──▶",
                Side::Right => "◀──",
            };
            let name = self.name(side);
            let said = match shut[side] {
                Shut::Open => format!("open: {name} may still send"),
                Shut::Sent if is_lost && segment.from == side => {
                    format!("{} does not know yet", self.name(!side))
                }
                Shut::Sent => format!("FIN on its way: {name} sends no more"),
                Shut::Arrived => format!("shut: {name} sends no more"),
                Shut::Acknowledged => "shut and acknowledged".to_owned(),
                Shut::Reset => continue,
            };
            let tone = if shut[side] == Shut::Open { Tone::Data } else { Tone::Close };
            notes.between(tone, format!("{arrow} {said}"));
        }
    }

    fn time_wait(&self, waits: &Waits, notes: &mut Notes) {
        let (name, wait) = (self.name(waits.side), duration_text(waits.time));
        if waits.which == Which::Anew {
            notes.between(Tone::Close, format!("{name} waits anew: {wait} from here"));
            return;
        }
        notes.between(Tone::Close, format!("{name} waits in TIME-WAIT, 2 MSL = {wait}:"));
        notes.between(Tone::Plain, "· if its last ACK is lost, the FIN comes again and must be answered");
        notes.between(Tone::Plain, "· old segments die before a new connection may use the same ports");
    }

    /// What is to be said of TIME-WAIT at each row: why it waits, with the first segment that an end sends in
    /// it, or where the end enters it if it sends none; that it begins anew, with each answer to a repeated
    /// FIN.
    pub(super) fn waits(&self, rows: &[Row]) -> Vec<Option<Waits>> {
        let mut waits = vec![None; rows.len()];
        for side in Side::BOTH {
            let is_in = |row: &Row| row.states[side] == Some(TcpState::TimeWait);
            let sent = |row: &Row| match row.what {
                What::Segment(index, Leg::Whole | Leg::Departs) if is_in(row) => {
                    Some(&self.connection.segments[index]).filter(|segment| segment.from == side)
                }
                _ => None,
            };
            let enters = || rows.iter().position(|row| is_in(row) && row.at[side].is_some());
            let Some(first) = rows.iter().position(|row| sent(row).is_some()).or_else(enters) else {
                continue;
            };
            let entered = rows[first].at[side].unwrap_or(Instant::ZERO);
            let Some(until) = time_wait_ends(self.connection, side, entered) else { continue };
            let time = until.since(entered);
            waits[first] = Some(Waits { side, time, which: Which::First });
            let mut fin_came_again = false;
            for (row, waits) in rows.iter().zip(&mut waits).skip(first + 1) {
                if fin_came_again && sent(row).is_some() {
                    *waits = Some(Waits { side, time, which: Which::Anew });
                    fin_came_again = false;
                } else if let What::Segment(index, _) = row.what {
                    let segment = &self.connection.segments[index];
                    let arrived = segment.from != side && row.at[side].is_some();
                    fin_came_again |= arrived && segment.is_repeat && segment.header.flags.fin();
                }
            }
        }
        waits
    }
}

/// An end waits in TIME-WAIT.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    side: Side,
    time: Duration,
    which: Which,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    First,
    Anew,
}

/// Short texts side by side, as many as fit in a line of `width` columns.
pub(super) fn packed(texts: Vec<String>, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for text in texts {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 3 + text.chars().count() <= width => {
                *line = format!("{line} · {text}");
            }
            _ => lines.push(text),
        }
    }
    lines
}

/// `MSS 1460 · SACK · timestamps · window ×128`.
fn syn_options(segment: &Segment) -> String {
    let options = &segment.header.options;
    let mut said = Vec::new();
    if let Some(mss) = options.mss {
        said.push(format!("MSS {mss}"));
    }
    if options.sack_permitted {
        said.push("SACK".to_owned());
    }
    if options.timestamps.is_some() {
        said.push("timestamps".to_owned());
    }
    if let Some(shift) = options.window_scale {
        said.push(format!("window ×{}", 1_u32 << shift.min(14)));
    }
    if said.is_empty() { "no options".to_owned() } else { said.join(" · ") }
}

/// `2921–4381, 5841–7301`, counted from the SYN as SEQ and ACK are.
fn sack_text(segment: &Segment) -> String {
    let ack = segment.ack.unwrap_or(0);
    let relative = |number: ciao_wire::SeqNum| ack + i64::from(number.offset_from(segment.header.ack));
    let blocks = segment.header.options.sack.as_slice().iter();
    blocks
        .map(|block| format!("{}–{}", relative(block.start), relative(block.end) - 1))
        .collect::<Vec<_>>()
        .join(", ")
}

/// `60 s`, `1.5 s`, `200 ms`.
pub(super) fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1_000 {
        format!("{millis} ms")
    } else if millis.is_multiple_of(1_000) {
        format!("{} s", millis / 1_000)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}
