//! Connections in TIME-WAIT that nobody holds: compact records, in order of their end.
//!
//! What a segment does to one is decided in `ciao_tcp::time_wait`. Here: many of them in little room, without
//! a timer for each. All last equally long, so that the order in which they begin is the order in which they
//! end, up to small differences between the beginning and the moment when the owner let go.

use crate::chunks::Chunks;
use crate::demux::Endpoints;
use crate::ids::ConnectionId;
use alloc::vec::Vec;
use ciao_tcp::TimeWait;
use ciao_wire::Instant;

/// No record.
const NIL: u32 = u32::MAX;
/// How many records from the end an insertion may pass. Owners let go within moments of each other; one that
/// does not keeps its whole connection until the end, which costs memory and not time.
const MAX_STEPS: usize = 64;

#[derive(Clone, Debug)]
struct Record {
    wait: TimeWait,
    endpoints: Endpoints,
    /// Who ends later.
    next: u32,
    /// Who ends earlier.
    previous: u32,
}

/// The records.
#[derive(Debug)]
pub(crate) struct TimeWaits {
    records: Chunks<Record>,
    /// Ends first.
    first: u32,
    /// Ends last.
    last: u32,
    /// When the first ends.
    next_expiry: Instant,
    /// The connections' numbers, by the records' indices, where a trace wants to know them; else empty.
    ids: Vec<ConnectionId>,
}

impl TimeWaits {
    pub(crate) fn new() -> Self {
        Self { records: Chunks::new(), first: NIL, last: NIL, next_expiry: Instant::NEVER, ids: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    fn record(&self, index: u32) -> &Record {
        &self.records[index]
    }

    pub(crate) fn endpoints(&self, index: u32) -> &Endpoints {
        &self.record(index).endpoints
    }

    pub(crate) fn wait(&self, index: u32) -> &TimeWait {
        &self.record(index).wait
    }

    /// The number of the connection, if a trace wants to know it.
    pub(crate) fn id(&self, index: u32) -> Option<ConnectionId> {
        self.ids.get(index as usize).copied()
    }

    /// Notes the number of the connection of a record.
    pub(crate) fn note_id(&mut self, index: u32, id: ConnectionId) {
        self.ids.resize(self.ids.len().max(index as usize + 1), ConnectionId(0));
        self.ids[index as usize] = id;
    }

    /// The record that ends first.
    pub(crate) fn first(&self) -> Option<u32> {
        (self.first != NIL).then_some(self.first)
    }

    /// When the first record ends.
    pub(crate) fn next_expiry(&self) -> Instant {
        self.next_expiry
    }

    /// All records in order of their end.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Endpoints, Instant)> + '_ {
        let next = |index: &u32| Some(self.record(*index).next).filter(|next| *next != NIL);
        core::iter::successors(self.first(), next)
            .map(|index| (*self.endpoints(index), self.wait(index).expires()))
    }

    /// Keeps a record, unless too many that end later stand before it.
    pub(crate) fn insert(&mut self, endpoints: Endpoints, wait: TimeWait) -> Option<u32> {
        let mut before = self.last;
        for _ in 0..MAX_STEPS {
            if before == NIL || self.wait(before).expires() <= wait.expires() {
                let record = Record { wait, endpoints, next: NIL, previous: NIL };
                let index = self.records.insert(record);
                self.link_behind(before, index);
                return Some(index);
            }
            before = self.record(before).previous;
        }
        None
    }

    /// Writes what a segment has made of a record. Its end is where it was, or later than all others.
    pub(crate) fn update(&mut self, index: u32, wait: TimeWait) {
        let moves = wait.expires() != self.wait(index).expires();
        self.records[index].wait = wait;
        if moves {
            self.unlink(index);
            self.link_behind(self.last, index);
        }
    }

    pub(crate) fn remove(&mut self, index: u32) {
        self.unlink(index);
        self.records.remove(index);
    }

    /// Links `index` in behind `before`, or as the first.
    fn link_behind(&mut self, before: u32, index: u32) {
        let next = if before == NIL { self.first } else { self.record(before).next };
        self.join(before, index);
        self.join(index, next);
    }

    fn unlink(&mut self, index: u32) {
        let Record { next, previous, .. } = *self.record(index);
        self.join(previous, next);
    }

    /// Lets one end behind another; without either, the other is the last or the first.
    fn join(&mut self, earlier: u32, later: u32) {
        match earlier {
            NIL => {
                self.first = later;
                self.next_expiry = if later == NIL { Instant::NEVER } else { self.wait(later).expires() };
            }
            _ => self.records[earlier].next = later,
        }
        match later {
            NIL => self.last = earlier,
            _ => self.records[later].previous = earlier,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_as_small_as_the_host_promises() {
        // 64 B, all in, with the entry of the table that finds it: about 8 B.
        assert!(size_of::<Record>() <= 56, "{}", size_of::<Record>());
    }
}
