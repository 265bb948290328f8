//! What does each side know after each segment, and which directions are shut?
//!
//! Nothing here is a fixed text for "the handshake": each fact comes from a segment that was seen to arrive.

use crate::history::{Connection, EventKind, Fate, Observed, Pair, Side};
use ciao_wire::Instant;

/// What an end knows to work. Of four things two are always known together: an end that hears its peer knows
/// that the peer can send and that it can itself receive; one that was heard knows that it can send and that
/// the peer can receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Knowledge {
    pub(super) heard: Known,
    pub(super) was_heard: Known,
}

/// Whether something is known to work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Known {
    #[default]
    NotYet,
    Works,
}

impl Knowledge {
    pub(super) const ALL: Self = Self { heard: Known::Works, was_heard: Known::Works };
}

/// How far one direction is shut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shut {
    #[default]
    Open,
    /// FIN was sent.
    Sent,
    /// FIN arrived.
    Arrived,
    /// FIN arrived, and its sender knows.
    Acknowledged,
    /// An RST ended both directions.
    Reset,
}

/// What is known and shut so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) knowledge: Pair<Knowledge>,
    /// By the sender of each direction.
    pub(super) shut: Pair<Shut>,
    fin_end: Pair<Option<i64>>,
}

impl Progress {
    /// A segment was sent.
    pub(super) fn sent(&mut self, connection: &Connection, index: usize) {
        let segment = &connection.segments[index];
        let from = segment.from;
        if segment.header.flags.fin() {
            self.fin_end[from] = Some(segment.end());
            self.shut[from] = self.shut[from].max(Shut::Sent);
        }
        if connection.ends[!from].observed == Observed::FromPeer && segment.fate == Fate::Arrived {
            self.arrived(connection, index);
        }
    }

    /// A segment arrived.
    pub(super) fn arrived(&mut self, connection: &Connection, index: usize) {
        let segment = &connection.segments[index];
        let (from, at) = (segment.from, !segment.from);
        if segment.drop.is_some() {
            return;
        }
        self.knowledge[at].heard = Known::Works;
        if segment.ack.is_some_and(|ack| ack >= 1) {
            self.knowledge[at].was_heard = Known::Works;
        }
        if segment.header.flags.fin() {
            self.shut[from] = self.shut[from].max(Shut::Arrived);
        }
        if self.fin_end[at].is_some_and(|end| segment.ack.is_some_and(|ack| ack >= end)) {
            self.shut[at] = self.shut[at].max(Shut::Acknowledged);
        }
        if segment.header.flags.rst() {
            self.shut = Pair([Shut::Reset; 2]);
        }
    }
}

/// When an end in TIME-WAIT leaves it, as its timer or the end itself says.
pub(super) fn time_wait_ends(connection: &Connection, side: Side, from: Instant) -> Option<Instant> {
    connection.events.iter().filter(|event| event.side == side && event.at >= from).find_map(|event| {
        match event.kind {
            EventKind::TimeWaitSet(until) => Some(until),
            EventKind::Moved { from: ciao_tcp::TcpState::TimeWait, .. } => Some(event.at),
            _ => None,
        }
    })
}
