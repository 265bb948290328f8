//! Which line does each event get?
//!
//! A segment is one row, at the moment of its sending, with the time and state of each end at its own part of
//! it. It becomes two rows when the receiver, in a state that the segment changes, spoke while it was on its
//! way. A state that a segment changes stands in that segment's row; other changes and timers have rows of
//! their own.

use super::explain::Progress;
use crate::history::{Connection, Drop, Event, EventKind, Observed, Pair, Side};
use ciao_tcp::trace::{LossSign, UndoCause};
use ciao_tcp::{Cause, SizeCause, TcpState, Timer};
use ciao_wire::Instant;
use std::collections::BTreeMap;

/// One row of the ladder.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) what: What,
    /// When it concerned each end.
    pub(super) at: Pair<Option<Instant>>,
    pub(super) states: Pair<Option<TcpState>>,
    /// Why the state of each end changed in this row, and which timers fired.
    pub(super) notes: Pair<Vec<Note>>,
    /// Why the receiver dropped the segment.
    pub(super) dropped: Option<Drop>,
    /// What was known and shut before and after, taking the rows one by one.
    pub(super) before: Progress,
    pub(super) after: Progress,
}

/// What a row shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A segment: index, and which part of its way.
    Segment(usize, Leg),
    /// Something at one end.
    Event(Side),
    /// Many segments.
    Fold(Fold),
}

/// Which part of a segment's way a row shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    Whole,
    Departs,
    Arrives,
    /// A second copy arrives.
    ArrivesAgain,
}

/// What a fold stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fold {
    pub(super) data_segments: Pair<u64>,
    pub(super) data_bytes: Pair<u64>,
    pub(super) acks: Pair<u64>,
    /// Acknowledgments that tell of a gap.
    pub(super) sacks: Pair<u64>,
}

/// What is said under the state of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    Moved { from: TcpState, cause: Cause },
    Fired(Timer),
    Lost(LossSign),
    Undone(UndoCause),
    SegmentSize { mss: u16, cause: SizeCause },
}

/// Puts the events of a connection in rows.
pub(super) fn rows(connection: &Connection) -> Vec<Row> {
    let mut builder = Builder::new(connection);
    for (index, event) in connection.events.iter().enumerate() {
        builder.flush_before(event.at);
        builder.event(index, event);
    }
    builder.flush_before(Instant::NEVER);
    let mut rows = builder.rows;
    let mut progress = Progress::default();
    let mut shown: Pair<Option<TcpState>> = Pair::default();
    for row in &mut rows {
        for side in Side::BOTH {
            // An end that a row does not concern is as the rows above left it.
            let is_seen = connection.ends[side].observed != Observed::FromPeer;
            if is_seen && row.at[side].is_none() && shown[side].is_some() {
                row.states[side] = shown[side];
            }
            shown[side] = row.states[side];
        }
        row.before = progress;
        if let What::Segment(segment, leg) = row.what {
            let from = connection.segments[segment].from;
            if leg == Leg::Whole || leg == Leg::Departs {
                progress.sent(connection, segment);
            }
            if row.at[!from].is_some() {
                progress.arrived(connection, segment);
            }
        }
        row.after = progress;
    }
    rows
}

struct Builder<'a> {
    connection: &'a Connection,
    rows: Vec<Row>,
    /// What happened at an end without an arrival and awaits the segment that it sends.
    pending: Vec<(Instant, Side, Note, Pair<Option<TcpState>>)>,
    /// The row in which the last arrival at each end stands, and when that was.
    last_arrival: Pair<Option<(usize, Instant)>>,
    /// When the application called last.
    last_call: Pair<Option<Instant>>,
    /// The row of each segment, and where in the events it first arrives.
    row_of: BTreeMap<usize, usize>,
    arrival_of: BTreeMap<usize, usize>,
}

impl<'a> Builder<'a> {
    fn new(connection: &'a Connection) -> Self {
        let mut arrival_of = BTreeMap::new();
        for (index, event) in connection.events.iter().enumerate() {
            if let EventKind::Arrived(segment) = event.kind {
                arrival_of.entry(segment).or_insert(index);
            }
        }
        Self {
            connection,
            rows: Vec::new(),
            pending: Vec::new(),
            last_arrival: Pair::default(),
            last_call: Pair::default(),
            row_of: BTreeMap::new(),
            arrival_of,
        }
    }

    fn event(&mut self, index: usize, event: &Event) {
        match event.kind {
            EventKind::Sent(segment) => self.sent(index, segment, event),
            EventKind::Arrived(segment) => self.arrived(segment, event),
            EventKind::Dropped { drop, .. } => {
                if let Some((row, _)) = self.last_arrival[event.side] {
                    self.rows[row].dropped = Some(drop);
                }
            }
            EventKind::Called(_) => self.last_call[event.side] = Some(event.at),
            EventKind::Moved { from, to, cause } => self.moved(event, (from, to, cause)),
            // What a timer of recovery finds is noted with its reason.
            EventKind::Fired(timer)
                if !matches!(timer, Timer::DelayedAck | Timer::TimeWait | Timer::Reorder | Timer::Pacing) =>
            {
                self.pending.push((event.at, event.side, Note::Fired(timer), event.states));
            }
            EventKind::LossFound(by) if by != LossSign::Timeout => self.note_once(event, Note::Lost(by)),
            EventKind::Undone(cause) => self.note_once(event, Note::Undone(cause)),
            EventKind::SegmentSize { mss, cause } => {
                self.pending.push((event.at, event.side, Note::SegmentSize { mss, cause }, event.states));
            }
            _ => {}
        }
    }

    /// Many segments may be found lost at once, for one reason.
    fn note_once(&mut self, event: &Event, note: Note) {
        if !self.pending.iter().any(|pending| (pending.1, pending.2) == (event.side, note)) {
            self.pending.push((event.at, event.side, note, event.states));
        }
    }

    fn row(&mut self, what: What, states: Pair<Option<TcpState>>) -> &mut Row {
        self.rows.push(Row {
            what,
            at: Pair::default(),
            states,
            notes: Pair::default(),
            dropped: None,
            before: Progress::default(),
            after: Progress::default(),
        });
        self.rows.last_mut().expect("a row was just added")
    }

    fn sent(&mut self, index: usize, segment: usize, event: &Event) {
        let side = event.side;
        let leg = if self.crosses(index, segment) { Leg::Departs } else { Leg::Whole };
        let notes = self.take_pending(side);
        let row = self.row(What::Segment(segment, leg), event.states);
        row.at[side] = Some(event.at);
        row.notes[side] = notes;
        if leg == Leg::Whole {
            self.row_of.insert(segment, self.rows.len() - 1);
        }
        if self.connection.ends[!side].observed == Observed::FromPeer {
            self.last_arrival[!side] = Some((self.rows.len() - 1, event.at));
        }
    }

    fn take_pending(&mut self, side: Side) -> Vec<Note> {
        self.pending.extract_if(.., |pending| pending.1 == side).map(|pending| pending.2).collect()
    }

    fn arrived(&mut self, segment: usize, event: &Event) {
        let side = event.side;
        let is_first = self.connection.segments[segment].arrivals.first() == Some(&event.at);
        let row = match self.row_of.remove(&segment) {
            Some(row) => row,
            None => {
                let was_sent = self.connection.segments[segment].sent.is_some();
                let leg = match (is_first, was_sent) {
                    (true, true) => Leg::Arrives,
                    (true, false) => Leg::Whole,
                    (false, _) => Leg::ArrivesAgain,
                };
                let notes = if was_sent { Vec::new() } else { self.take_pending(!side) };
                let row = self.row(What::Segment(segment, leg), event.states);
                row.notes[!side] = notes;
                self.rows.len() - 1
            }
        };
        let row_at = &mut self.rows[row];
        row_at.at[side] = Some(event.at);
        row_at.states[side] = event.states[side];
        self.last_arrival[side] = Some((row, event.at));
    }

    /// True when the application called at that moment: then the move belongs to what the end sends, not to
    /// what came.
    fn was_called(&self, side: Side, at: Instant) -> bool {
        self.last_call[side] == Some(at)
    }

    fn moved(&mut self, event: &Event, (from, to, cause): (TcpState, TcpState, Cause)) {
        let side = event.side;
        let note = Note::Moved { from, cause };
        match self.last_arrival[side] {
            Some((row, at))
                if at == event.at
                    && (is_caused_by_arrival(cause)
                        || cause == Cause::Aborted && !self.was_called(side, at)) =>
            {
                self.rows[row].states[side] = Some(to);
                self.rows[row].notes[side].push(note);
            }
            _ => self.pending.push((event.at, side, note, event.states)),
        }
    }

    /// Gives what happened before `at` and led to no segment a row of its own; but a loss is worth a word
    /// only beside what is sent because of it.
    fn flush_before(&mut self, at: Instant) {
        let due: Vec<_> = self.pending.extract_if(.., |pending| pending.0 < at).collect();
        let is_row = |note: &Note| !matches!(note, Note::Lost(_) | Note::Undone(_));
        for (at, side, note, states) in due.into_iter().filter(|(_, _, note, _)| is_row(note)) {
            if let Some(last) = self.rows.last_mut()
                && last.what == What::Event(side)
                && last.at[side] == Some(at)
            {
                last.notes[side].push(note);
                last.states = states;
                continue;
            }
            let row = self.row(What::Event(side), states);
            row.at[side] = Some(at);
            row.notes[side].push(note);
        }
    }

    /// True when the receiver speaks while the segment is on its way, in a state other than the one that it
    /// is in once the segment has arrived.
    fn crosses(&self, index: usize, segment: usize) -> bool {
        let Some(&arrival) = self.arrival_of.get(&segment) else { return false };
        let events = &self.connection.events;
        let receiver = events[arrival].side;
        let state_after = self.state_after_arrival(arrival);
        let on_its_way = events.get(index + 1..arrival).unwrap_or_default();
        on_its_way.iter().any(|event| {
            event.side == receiver
                && matches!(event.kind, EventKind::Sent(_))
                && event.states[receiver] != state_after
        })
    }

    fn state_after_arrival(&self, arrival: usize) -> Option<TcpState> {
        let event = &self.connection.events[arrival];
        let mut state = event.states[event.side];
        let at_once = self.connection.events[arrival + 1..].iter().take_while(|next| next.at == event.at);
        for next in at_once.filter(|next| next.side == event.side) {
            match next.kind {
                EventKind::Moved { to, cause, .. } if is_caused_by_arrival(cause) => state = Some(to),
                EventKind::Sent(_) | EventKind::Arrived(_) => break,
                _ => {}
            }
        }
        state
    }
}

/// True when the cause is something that arrived; other moves belong to what the end sends next.
const fn is_caused_by_arrival(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::SynReceived
            | Cause::SynAckReceived
            | Cause::SynAcknowledged
            | Cause::FinReceived
            | Cause::FinAcknowledged
            | Cause::ResetReceived
            | Cause::TimeWaitReused
    )
}
