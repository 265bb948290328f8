//! How are rows set in columns?
//!
//! ```text
//!  state · time │ ─ flags and message ──▶ │ time · state   seq ack len win
//! ```
//! Under a row, in the same columns: why each state changed, what each side knows, what is shut, more
//! messages.

use super::notes::{Notes, Waits, duration_text, packed};
use super::rows::{Fold, Note, Row, What};
use super::{Explanations, Options};
use crate::history::{Connection, Observed, Segment, Side};
use crate::http::byte_count;
use crate::page::{Line, Page, Tone};
use ciao_tcp::TcpState;
use ciao_wire::Instant;
use std::time::Duration;

/// Columns of a state with the mark before it.
const STATE: usize = 13;
/// Columns of a time.
const TIME: usize = 9;
/// Columns on each side of the lanes.
const GUTTER: usize = STATE + 1 + TIME + 1;

/// Draws all rows under a heading.
pub(super) fn draw(connection: &Connection, rows: &[Row], options: &Options) -> Page {
    let sheet = Sheet::new(connection, options);
    let mut page = Page::default();
    sheet.heading(&mut page);
    let mut before = None;
    for (row, waits) in rows.iter().zip(sheet.waits(rows)) {
        let at = row.at.0.iter().flatten().min().copied();
        if let (Some(before), Some(at)) = (before, at) {
            sheet.gap(&mut page, at.since(before));
        }
        sheet.row(&mut page, row, waits);
        before = row.at.0.iter().flatten().max().copied().or(before);
    }
    page
}

/// Silence that is shown as such: longer than any link's round trip, so that it is a timer's or a person's.
const GAP: Duration = Duration::from_millis(900);

/// What the whole drawing shares.
pub(super) struct Sheet<'a> {
    pub(super) connection: &'a Connection,
    explanations: Explanations,
    origin: Instant,
    clock: Clock,
    /// Columns between the lanes.
    pub(super) middle: usize,
    /// Columns of SEQ and ACK, of LEN, and of WIN; zero for a column that is left out.
    numbers: [usize; 3],
}

/// In which unit short times are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    /// Tenths of a millisecond tell events apart.
    Millis,
    /// The way between the ends takes less than a millisecond.
    Micros,
}

impl<'a> Sheet<'a> {
    fn new(connection: &'a Connection, options: &Options) -> Self {
        let segments = &connection.segments;
        let greatest = segments.iter().flat_map(|s| [s.seq, s.ack.unwrap_or(0)]).max().unwrap_or(0);
        let longest = segments.iter().map(|s| s.payload_len).max().unwrap_or(0);
        let widest = segments.iter().map(|s| s.window_bytes).max().unwrap_or(0);
        // A space and the digits, or the column's heading.
        let columns =
            |number: i64, heading: &str| (number.max(1).ilog10() as usize + 1).max(heading.len()) + 1;
        let mut numbers =
            [columns(greatest, "seq"), columns(longest.into(), "len"), columns(widest.into(), "window")];
        let middle = |numbers: [usize; 3]| {
            let taken = 2 * GUTTER + 2 + 2 * numbers[0] + numbers[1] + numbers[2];
            options.width.saturating_sub(taken)
        };
        // A label needs about 34 columns; the window matters least, then the length.
        for column in [2, 1] {
            if middle(numbers) < 34 {
                numbers[column] = 0;
            }
        }
        let shortest_way = segments
            .iter()
            .filter_map(|segment| Some(segment.arrivals.first()?.since(segment.sent?)))
            .filter(|way| *way > Duration::ZERO)
            .min();
        let is_quick =
            shortest_way.or_else(|| round_trip(connection)).is_some_and(|way| way < Duration::from_millis(1));
        Self {
            connection,
            explanations: options.explanations,
            origin: options.origin.unwrap_or_else(|| connection.start()),
            clock: if is_quick { Clock::Micros } else { Clock::Millis },
            middle: middle(numbers).max(24),
            numbers,
        }
    }

    pub(super) fn name(&self, side: Side) -> &str {
        &self.connection.ends[side].name
    }

    fn heading(&self, page: &mut Page) {
        let ends = &self.connection.ends;
        let title = |side: Side| format!("{} {}", ends[side].name, ends[side].address);
        let (left, right) = (title(Side::Left), title(Side::Right));
        let mut line = Line::of(Tone::Strong, format!(" {left}"));
        line.pad_to(GUTTER + 3 + self.middle);
        line.push(Tone::Strong, right);
        page.push(line);
        let mut line = Line::of(Tone::Quiet, format!(" {:<width$}{:>TIME$}", "state", "time", width = STATE));
        line.pad_to(GUTTER + 2);
        if self.explanations == Explanations::Shown {
            line.push(Tone::Quiet, "known to work: ✓ yes  ? not yet");
        }
        line.pad_to(GUTTER + 2 + self.middle);
        line.push(Tone::Quiet, format!(" {:<TIME$}  {:<width$}", "time", "state", width = STATE - 1));
        for (column, name) in [(0, "seq"), (0, "ack"), (1, "len"), (2, "window")] {
            if self.numbers[column] > 0 {
                line.push(Tone::Quiet, format!("{name:>width$}", width = self.numbers[column]));
            }
        }
        page.push(line);
        let inferred = Side::BOTH.into_iter().filter(|&side| ends[side].observed != Observed::Traced);
        let names: Vec<_> = inferred.map(|side| self.name(side)).collect();
        if !names.is_empty() {
            let said = format!(" (states of {} are inferred from the segments)", names.join(" and "));
            page.push(Line::of(Tone::Quiet, said));
        }
    }

    fn row(&self, page: &mut Page, row: &Row, waits: Option<Waits>) {
        let mut notes = Notes::default();
        Self::state_notes(row, &mut notes);
        let (between, segment) = match row.what {
            What::Segment(index, leg) => {
                let segment = &self.connection.segments[index];
                let (arrow, messages) = self.arrow(segment, leg, row);
                self.segment_notes(segment, messages, row.dropped, &mut notes);
                (arrow, Some(segment))
            }
            What::Event(_) => (self.quiet_lane(""), None),
            What::Fold(fold) => {
                let mut lines = packed(folded(&fold), self.middle.saturating_sub(4)).into_iter();
                let first = lines.next().unwrap_or_default();
                lines.for_each(|line| notes.between(Tone::Quiet, format!("  {line}")));
                (self.quiet_lane(&format!(" ⋮ {first}")), None)
            }
        };
        let mut line = self.left(row);
        line.append(between);
        line.append(self.right(row));
        if let Some(segment) = segment {
            self.push_numbers(&mut line, segment);
        }
        page.push(line);
        if self.explanations == Explanations::Shown {
            self.explain(row, waits, &mut notes);
        }
        // A row with more than a remark is set off from the next one.
        let has_paragraph = notes.middle.len() > 1 || notes.sides.iter().any(|side| side.len() > 1);
        self.push_notes(page, notes);
        if has_paragraph {
            let mut line = Line::default();
            line.pad_to(GUTTER);
            line.append(self.quiet_lane(""));
            page.push(line);
        }
    }

    /// The notes under a row, each in its column.
    fn push_notes(&self, page: &mut Page, notes: Notes) {
        let Notes { sides: [left, right], middle } = notes;
        let middle: Vec<Line> = middle.into_iter().flat_map(|line| line.wrapped(self.middle - 2)).collect();
        let (mut left, mut middle, mut right) = (left.into_iter(), middle.into_iter(), right.into_iter());
        loop {
            let cells = (left.next(), middle.next(), right.next());
            let (left, middle, right) = match cells {
                (None, None, None) => return,
                (left, middle, right) => {
                    (left.unwrap_or_default(), middle.unwrap_or_default(), right.unwrap_or_default())
                }
            };
            let mut line = Line::of(Tone::Plain, " ");
            line.append(left);
            line.pad_to(GUTTER);
            line.push(Tone::Quiet, "│ ");
            line.append(middle);
            line.pad_to(GUTTER + 1 + self.middle);
            line.push(Tone::Quiet, "│ ");
            line.append(right);
            page.push(line);
        }
    }

    fn gap(&self, page: &mut Page, gap: Duration) {
        if gap < GAP {
            return;
        }
        let mut line = Line::default();
        line.pad_to(GUTTER);
        line.append(self.quiet_lane(&format!(" ⋮ {} later", duration_text(gap))));
        page.push(line);
    }

    fn left(&self, row: &Row) -> Line {
        let mut line = Line::default();
        self.state(&mut line, row, Side::Left);
        line.pad_to(STATE + 1);
        line.push(Tone::Quiet, format!("{:>TIME$} ", self.time(row.at[Side::Left])));
        line
    }

    fn right(&self, row: &Row) -> Line {
        let mut line = Line::of(Tone::Quiet, format!(" {:<TIME$}", self.time(row.at[Side::Right])));
        line.push(Tone::Plain, " ");
        self.state(&mut line, row, Side::Right);
        line.pad_to(GUTTER);
        line
    }

    fn state(&self, line: &mut Line, row: &Row, side: Side) {
        let changed = row.notes[side].iter().any(|note| matches!(note, Note::Moved { .. }));
        let name = row.states[side].map_or("", TcpState::name);
        let tone = if changed { state_tone(row.states[side]) } else { Tone::Quiet };
        line.push(tone, if changed { "▸" } else { " " });
        line.push(tone, name);
    }

    fn time(&self, at: Option<Instant>) -> String {
        let Some(at) = at else { return String::new() };
        let passed = at.since(self.origin);
        match (passed.as_secs(), self.clock) {
            (100.., _) => format!("{:.1} s", passed.as_secs_f64()),
            (1.., _) => format!("{:.3} s", passed.as_secs_f64()),
            (0, Clock::Millis) => format!("{:.1} ms", passed.as_secs_f64() * 1e3),
            (0, Clock::Micros) => format!("{:.3} ms", passed.as_secs_f64() * 1e3),
        }
    }

    fn push_numbers(&self, line: &mut Line, segment: &Segment) {
        let ack = segment.ack.map_or("–".to_owned(), |ack| ack.to_string());
        let numbers = [
            (0, segment.seq.to_string()),
            (0, ack),
            (1, segment.payload_len.to_string()),
            (2, segment.window_bytes.to_string()),
        ];
        for (column, number) in numbers {
            let width = self.numbers[column];
            if width > 0 {
                line.push(Tone::Plain, format!("{number:>width$}"));
            }
        }
    }

    /// The lanes with `text` between them.
    fn quiet_lane(&self, text: &str) -> Line {
        let mut line = Line::of(Tone::Quiet, "│");
        line.push(Tone::Quiet, text);
        line.pad_to(1 + self.middle);
        line.push(Tone::Quiet, "│");
        line
    }
}

/// What a fold stands for, in words: data first.
fn folded(fold: &Fold) -> Vec<String> {
    let mut said = Vec::new();
    for (side, arrow) in [(Side::Left, "▶"), (Side::Right, "◀")] {
        if fold.data_segments[side] > 0 {
            let bytes = byte_count(fold.data_bytes[side]);
            said.insert(0, format!("{arrow} {}, {bytes}", counted(fold.data_segments[side], "data segment")));
        }
        if fold.acks[side] > 0 {
            said.push(format!("{arrow} {}", counted(fold.acks[side], "ACK")));
        }
        if fold.sacks[side] > 0 {
            said.push(format!("{arrow} {} with SACK", counted(fold.sacks[side], "duplicate ACK")));
        }
    }
    said
}

/// Opening states in teal, closing ones in magenta, as the segments that lead there.
const fn state_tone(state: Option<TcpState>) -> Tone {
    match state {
        Some(TcpState::Listen | TcpState::SynSent | TcpState::SynReceived) => Tone::Open,
        Some(TcpState::Established) => Tone::Ack,
        Some(_) => Tone::Close,
        None => Tone::Plain,
    }
}

/// `1 ACK`, `2 ACKs`.
fn counted(count: u64, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// The time from the first segment to the first answer, where only one end was observed.
fn round_trip(connection: &Connection) -> Option<Duration> {
    let first = connection.segments.first()?;
    let answer = connection.segments.iter().find(|segment| segment.from != first.from)?;
    Some(answer.first_seen().since(first.first_seen()))
}
