//! Connections in TIME-WAIT that nobody holds: compact records, in order of their end.
//!
//! What a segment does to one is decided in `ciao_tcp::time_wait`. Here: many of them in little room, without
//! a timer for each. All last equally long, so that the order in which they begin is the order in which they
//! end, up to small differences between the beginning and the moment when the owner let go.

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
    /// Who ends later; for a free record, the next free one.
    next: u32,
    /// Who ends earlier.
    previous: u32,
}

/// The records.
#[derive(Debug)]
pub(crate) struct TimeWaits {
    records: Vec<Record>,
    /// Ends first.
    first: u32,
    /// Ends last.
    last: u32,
    free: u32,
    len: usize,
    /// The connections' numbers, by the records' indices, where a trace wants to know them; else empty.
    ids: Vec<ConnectionId>,
}

impl TimeWaits {
    pub(crate) fn new() -> Self {
        Self { records: Vec::new(), first: NIL, last: NIL, free: NIL, len: 0, ids: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn record(&self, index: u32) -> &Record {
        &self.records[index as usize]
    }

    pub(crate) fn endpoints(&self, index: u32) -> Endpoints {
        self.record(index).endpoints
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
        self.ids.resize(self.records.len().max(self.ids.len()), ConnectionId(0));
        self.ids[index as usize] = id;
    }

    /// The record that ends first.
    pub(crate) fn first(&self) -> Option<u32> {
        (self.first != NIL).then_some(self.first)
    }

    /// When the first record ends.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.first().map(|index| self.wait(index).expires())
    }

    /// All records in order of their end.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Endpoints, Instant)> + '_ {
        let next = |index: &u32| Some(self.record(*index).next).filter(|next| *next != NIL);
        core::iter::successors(self.first(), next)
            .map(|index| (self.endpoints(index), self.wait(index).expires()))
    }

    /// Keeps a record, unless too many that end later stand before it.
    pub(crate) fn insert(&mut self, endpoints: Endpoints, wait: TimeWait) -> Option<u32> {
        let mut before = self.last;
        for _ in 0..MAX_STEPS {
            if before == NIL || self.wait(before).expires() <= wait.expires() {
                let record = Record { wait, endpoints, next: NIL, previous: NIL };
                let index = self.allocate(record);
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
        self.records[index as usize].wait = wait;
        if moves {
            self.unlink(index);
            self.link_behind(self.last, index);
        }
    }

    pub(crate) fn remove(&mut self, index: u32) {
        self.unlink(index);
        self.records[index as usize].next = self.free;
        self.free = index;
    }

    fn allocate(&mut self, record: Record) -> u32 {
        if self.free == NIL {
            self.records.push(record);
            return u32::try_from(self.records.len() - 1).expect("the host limits their number");
        }
        let index = self.free;
        self.free = self.record(index).next;
        self.records[index as usize] = record;
        index
    }

    /// Links `index` in behind `before`, or as the first.
    fn link_behind(&mut self, before: u32, index: u32) {
        let next = match self.records.get_mut(before as usize) {
            Some(before) => core::mem::replace(&mut before.next, index),
            None => core::mem::replace(&mut self.first, index),
        };
        match self.records.get_mut(next as usize) {
            Some(next) => next.previous = index,
            None => self.last = index,
        }
        let record = &mut self.records[index as usize];
        (record.previous, record.next) = (before, next);
        self.len += 1;
    }

    fn unlink(&mut self, index: u32) {
        let Record { next, previous, .. } = *self.record(index);
        match self.records.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => self.first = next,
        }
        match self.records.get_mut(next as usize) {
            Some(next) => next.previous = previous,
            None => self.last = previous,
        }
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_as_small_as_the_host_promises() {
        assert!(size_of::<Record>() <= 64, "{}", size_of::<Record>());
    }
}
