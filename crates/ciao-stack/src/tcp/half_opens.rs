//! Half-open connections: many of them in little room, and when each is to be called again.
//!
//! All that have been repeated equally often wait equally long, so that each such group is a queue in order
//! of its deadlines, and none needs an entry in the timing wheel. What a half-open connection answers is
//! decided in
//! `ciao_tcp::listener`.

use crate::chunks::Chunks;
use crate::demux::Endpoints;
use crate::ids::{ConnectionId, InterfaceId};
use ciao_tcp::HalfOpen;
use ciao_wire::Instant;
use core::ops::{Index, IndexMut};

/// No record.
const NIL: u32 = u32::MAX;

/// A half-open connection with what the host knows of it.
#[derive(Clone, Debug)]
pub(crate) struct HalfOpenEntry {
    pub(crate) half_open: HalfOpen,
    pub(crate) id: ConnectionId,
    pub(crate) endpoints: Endpoints,
    pub(crate) interface: InterfaceId,
    pub(crate) listener: u32,
    pub(crate) link: Link,
}

/// The place in a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Who is due later.
    next: u32,
    /// Who is due earlier.
    previous: u32,
    /// Which queue; none yet with `NO_QUEUE`.
    queue: u8,
}

/// One for each number of timeouts that a half-open connection lives through.
const QUEUES: usize = NO_QUEUE as usize;
/// The number of none of them.
const NO_QUEUE: u8 = HalfOpen::MAX_TIMEOUTS + 1;

impl Link {
    /// In no queue.
    pub(crate) const NONE: Self = Self { next: NIL, previous: NIL, queue: NO_QUEUE };
}

/// The first and the last of a queue.
#[derive(Clone, Copy, Debug)]
struct Queue {
    first: u32,
    last: u32,
}

/// The half-open connections of a host.
#[derive(Debug)]
pub(crate) struct HalfOpens {
    entries: Chunks<HalfOpenEntry>,
    queues: [Queue; QUEUES],
    /// No one is due before.
    next: Instant,
}

impl HalfOpens {
    pub(crate) const fn new() -> Self {
        let empty = Queue { first: NIL, last: NIL };
        Self { entries: Chunks::new(), queues: [empty; QUEUES], next: Instant::NEVER }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &HalfOpenEntry)> {
        self.entries.iter()
    }

    pub(crate) fn insert(&mut self, entry: HalfOpenEntry) -> u32 {
        self.entries.insert(entry)
    }

    pub(crate) fn remove(&mut self, index: u32) {
        self.unlink(index);
        self.entries.remove(index);
    }

    /// When the first one is due.
    pub(crate) fn next_deadline(&self) -> Instant {
        self.next
    }

    /// Lets one wait until its deadline. One that waits already goes on.
    pub(crate) fn arm(&mut self, index: u32) {
        let entry = &self.entries[index];
        let queue = entry.half_open.timeouts();
        if entry.link.queue != Link::NONE.queue {
            return;
        }
        let deadline = entry.half_open.poll_timeout();
        let Queue { last, .. } = self.queues[usize::from(queue)];
        self.entries[index].link = Link { next: NIL, previous: last, queue };
        if last == NIL {
            self.queues[usize::from(queue)].first = index;
        } else {
            debug_assert!(self.entries[last].half_open.poll_timeout() <= deadline);
            self.entries[last].link.next = index;
        }
        self.queues[usize::from(queue)].last = index;
        self.next = self.next.min(deadline);
    }

    /// One that is due at `now`; it waits no more.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<u32> {
        if now < self.next {
            return None;
        }
        let firsts = self.queues.iter().map(|queue| queue.first).filter(|first| *first != NIL);
        let first = firsts.min_by_key(|first| self.entries[*first].half_open.poll_timeout())?;
        self.unlink(first);
        Some(first)
    }

    fn unlink(&mut self, index: u32) {
        let Link { next, previous, queue } = core::mem::replace(&mut self.entries[index].link, Link::NONE);
        let Some(queue) = self.queues.get_mut(usize::from(queue)) else { return };
        if next == NIL {
            queue.last = previous;
        } else {
            self.entries[next].link.previous = previous;
        }
        if previous == NIL {
            queue.first = next;
            self.find_next();
        } else {
            self.entries[previous].link.next = next;
        }
    }

    /// The first of a queue is another one.
    fn find_next(&mut self) {
        let firsts = self.queues.iter().map(|queue| queue.first).filter(|first| *first != NIL);
        let deadlines = firsts.map(|first| self.entries[first].half_open.poll_timeout());
        self.next = deadlines.min().unwrap_or(Instant::NEVER);
    }
}

impl Index<u32> for HalfOpens {
    type Output = HalfOpenEntry;

    fn index(&self, index: u32) -> &HalfOpenEntry {
        &self.entries[index]
    }
}

impl IndexMut<u32> for HalfOpens {
    fn index_mut(&mut self, index: u32) -> &mut HalfOpenEntry {
        &mut self.entries[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_as_small_as_the_host_promises() {
        // 128 B, all in, with the entry of the table that finds it: up to 12 B.
        assert!(size_of::<HalfOpenEntry>() <= 112, "{}", size_of::<HalfOpenEntry>());
    }
}
