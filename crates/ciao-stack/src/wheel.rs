//! When does what want to be called? One timing wheel for everything in the host that waits.
//!
//! Hierarchical, after Varghese and Lauck (1987), with the level chosen by the highest digit in which the
//! deadline and the present differ, so that an entry moves down at most once a level. Deadlines are exact: a
//! tick is only how entries are sorted into slots, and those of the present tick stand in a heap ordered by
//! deadline and insertion. Setting, moving and removing cost the same at any number of entries.

use alloc::collections::BinaryHeap;
use alloc::vec;
use alloc::vec::Vec;
use ciao_wire::Instant;
use core::cmp::Reverse;

/// A tick is 2^20 ns, about 1 ms: finer, and entries pass through more levels; coarser, and more of them meet
/// in the heap.
const TICK_SHIFT: u32 = 20;
/// A level has 2^6 slots, as many as a word has bits to find the next occupied one.
const LEVEL_BITS: u32 = 6;
const SLOTS: usize = 1 << LEVEL_BITS;
/// Eight levels of six bits hold every tick that an `Instant` has, so there is no special case for the far
/// future.
const LEVELS: usize = (u64::BITS - TICK_SHIFT).div_ceil(LEVEL_BITS) as usize;
/// No node.
const NIL: u32 = u32::MAX;

/// An entry that is set, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerHandle(u32);

impl TimerHandle {
    /// Not set.
    pub(crate) const NONE: Self = Self(NIL);

    pub(crate) fn is_set(self) -> bool {
        self != Self::NONE
    }
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Free,
    /// In the heap of entries of the present tick, or of the past.
    Near,
    /// In the list of a slot.
    Slot(u16),
}

#[derive(Clone, Debug)]
struct Node {
    at: Instant,
    /// Counts insertions from 1; it decides between equal deadlines and tells a node from its successor in
    /// the same place. Zero: to be given anew.
    order: u64,
    token: u32,
    next: u32,
    previous: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    head: u32,
    /// No entry of the slot is due before. Removing the earliest entry leaves it too early, which costs one
    /// visit.
    earliest: Instant,
}

const EMPTY_SLOT: Slot = Slot { head: NIL, earliest: Instant::NEVER };

/// The wheel.
#[derive(Clone, Debug)]
pub(crate) struct Wheel {
    /// The present tick: its entries and all before are in `near`.
    tick: u64,
    nodes: Vec<Node>,
    free: u32,
    slots: Vec<Slot>,
    /// One bit for each slot of a level that has entries.
    occupied: [u64; LEVELS],
    /// One bit for each level that has entries.
    levels: u8,
    near: BinaryHeap<Reverse<(Instant, u64, u32)>>,
    next_order: u64,
    steps: u64,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self {
            tick: 0,
            nodes: Vec::new(),
            free: NIL,
            slots: vec![EMPTY_SLOT; LEVELS * SLOTS],
            occupied: [0; LEVELS],
            levels: 0,
            near: BinaryHeap::new(),
            next_order: 0,
            steps: 0,
        }
    }

    /// Entries that were looked at since the start: what the wheel has cost.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// Sets an entry. When its time has come, `pop_due` answers `token`.
    pub(crate) fn insert(&mut self, at: Instant, token: u32) -> TimerHandle {
        let node = Node { at, order: 0, token, next: NIL, previous: NIL, place: Place::Free };
        let index = if self.free == NIL {
            self.nodes.push(node);
            u32::try_from(self.nodes.len() - 1).expect("each entry belongs to a record with a 30-bit index")
        } else {
            let index = self.free;
            self.free = self.nodes[index as usize].next;
            self.nodes[index as usize] = node;
            index
        };
        self.place(index);
        TimerHandle(index)
    }

    /// When the entry is set for.
    #[inline]
    pub(crate) fn deadline(&self, handle: TimerHandle) -> Option<Instant> {
        self.nodes.get(handle.0 as usize).map(|node| node.at)
    }

    /// Moves an entry.
    pub(crate) fn reschedule(&mut self, handle: TimerHandle, at: Instant) {
        self.unlink(handle.0);
        self.nodes[handle.0 as usize].at = at;
        self.place(handle.0);
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, handle: TimerHandle) {
        self.unlink(handle.0);
        self.release(handle.0);
    }

    /// The token of the next entry that is due at `now`, by deadline, then by insertion. Its handle is no
    /// longer set.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<u32> {
        self.advance(tick_of(now));
        while let Some(&Reverse((at, order, index))) = self.near.peek() {
            if at > now {
                return None;
            }
            self.near.pop();
            self.steps += 1;
            if self.is_current(order, index) {
                self.release(index);
                return Some(self.nodes[index as usize].token);
            }
        }
        None
    }

    /// A time before which nothing is due, mostly the earliest deadline itself; [`Instant::NEVER`] when there
    /// is none.
    pub(crate) fn next(&self) -> Instant {
        match self.near.peek() {
            Some(Reverse((at, ..))) => *at,
            None => self.next_slot().map_or(Instant::NEVER, |(_, slot)| self.slots[slot].earliest),
        }
    }

    /// Whether the heap's entry is that of the node, and not of one that was removed or moved.
    fn is_current(&self, order: u64, index: u32) -> bool {
        let node = &self.nodes[index as usize];
        node.place == Place::Near && node.order == order
    }

    /// The level and the index of the slot that comes next: the lowest occupied level has it, as each level
    /// begins where the one below ends.
    fn next_slot(&self) -> Option<(usize, usize)> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros() as usize;
        Some((level, level * SLOTS + self.occupied[level].trailing_zeros() as usize))
    }

    /// Makes `target` the present tick: what stands in slots up to it moves to the heap, or to lower levels.
    fn advance(&mut self, target: u64) {
        while let Some((level, slot)) = self.next_slot() {
            let start = self.start_tick(level, slot);
            if start > target {
                break;
            }
            self.tick = start;
            let mut index = self.slots[slot].head;
            self.empty(slot);
            while index != NIL {
                let next = self.nodes[index as usize].next;
                self.place(index);
                index = next;
            }
        }
        self.tick = self.tick.max(target);
    }

    /// The first tick of a slot that lies ahead: the present tick with the digits up to `level` replaced.
    fn start_tick(&self, level: usize, slot: usize) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 64 levels")]
        let shift = level as u32 * LEVEL_BITS;
        let above = self.tick >> shift >> LEVEL_BITS << LEVEL_BITS;
        (above | (slot % SLOTS) as u64) << shift
    }

    /// Puts a node where its deadline belongs, as the latest insertion.
    fn place(&mut self, index: u32) {
        self.steps += 1;
        let node = &mut self.nodes[index as usize];
        let tick = tick_of(node.at);
        if node.order == 0 {
            self.next_order += 1;
            node.order = self.next_order;
        }
        if tick <= self.tick {
            node.place = Place::Near;
            self.near.push(Reverse((node.at, node.order, index)));
            return;
        }
        let level = (u64::BITS - 1 - (tick ^ self.tick).leading_zeros()) / LEVEL_BITS;
        #[expect(clippy::cast_possible_truncation, reason = "the lowest digit alone is kept")]
        let digit = (tick >> (level * LEVEL_BITS)) as usize % SLOTS;
        let slot = level as usize * SLOTS + digit;
        #[expect(clippy::cast_possible_truncation, reason = "levels times slots are fewer than 2^16")]
        let place = Place::Slot(slot as u16);
        node.place = place;
        node.previous = NIL;
        node.next = self.slots[slot].head;
        let at = node.at;
        if let Some(next) = self.nodes.get_mut(self.slots[slot].head as usize) {
            next.previous = index;
        }
        self.slots[slot].head = index;
        self.slots[slot].earliest = self.slots[slot].earliest.min(at);
        self.occupied[level as usize] |= 1 << digit;
        self.levels |= 1 << level;
    }

    /// A slot has no entries any more.
    fn empty(&mut self, slot: usize) {
        let level = slot / SLOTS;
        self.slots[slot] = EMPTY_SLOT;
        self.occupied[level] &= !(1 << (slot % SLOTS));
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    /// Takes a node out of its slot; what the heap has of it is recognised as old when it comes up.
    fn unlink(&mut self, index: u32) {
        let Node { next, previous, place, .. } = self.nodes[index as usize];
        self.nodes[index as usize].order = 0;
        let Place::Slot(slot) = place else { return };
        let slot = usize::from(slot);
        if let Some(next) = self.nodes.get_mut(next as usize) {
            next.previous = previous;
        }
        if let Some(previous) = self.nodes.get_mut(previous as usize) {
            previous.next = next;
        } else {
            self.slots[slot].head = next;
            if next == NIL {
                self.empty(slot);
            }
        }
    }

    fn release(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        node.place = Place::Free;
        node.next = self.free;
        self.free = index;
    }
}

fn tick_of(at: Instant) -> u64 {
    at.as_nanos() >> TICK_SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use proptest::prelude::*;

    fn drain(wheel: &mut Wheel, now: Instant) -> Vec<u32> {
        core::iter::from_fn(|| wheel.pop_due(now)).collect()
    }

    #[test]
    fn entries_fire_by_deadline_then_by_insertion_and_not_a_nanosecond_early() {
        let mut wheel = Wheel::new();
        let at = Instant::from_millis(200);
        wheel.insert(at, 1);
        wheel.insert(at, 2);
        wheel.insert(at - Duration::from_nanos(1), 3);
        wheel.insert(at + Duration::from_nanos(1), 4);
        assert_eq!(wheel.next(), at - Duration::from_nanos(1));
        assert_eq!(drain(&mut wheel, at - Duration::from_nanos(2)), []);
        assert_eq!(drain(&mut wheel, at), [3, 1, 2]);
        assert_eq!(wheel.next(), at + Duration::from_nanos(1));
        assert_eq!(drain(&mut wheel, Instant::NEVER), [4]);
        assert_eq!(wheel.next(), Instant::NEVER);
    }

    #[test]
    fn an_entry_far_in_the_future_waits_its_time() {
        let mut wheel = Wheel::new();
        let century = Instant::from_secs(100 * 365 * 86_400);
        wheel.insert(century, 7);
        assert_eq!(wheel.next(), century);
        assert_eq!(drain(&mut wheel, century - Duration::from_nanos(1)), []);
        assert_eq!(drain(&mut wheel, century), [7]);
    }

    #[test]
    fn a_deadline_in_the_past_is_due_at_once() {
        let mut wheel = Wheel::new();
        assert_eq!(drain(&mut wheel, Instant::from_secs(5)), []);
        wheel.insert(Instant::from_secs(1), 1);
        assert_eq!(wheel.next(), Instant::from_secs(1));
        assert_eq!(drain(&mut wheel, Instant::from_secs(5)), [1]);
    }

    #[test]
    fn waiting_entries_cost_nothing_when_another_fires() {
        let mut wheel = Wheel::new();
        for token in 0..10_000 {
            wheel.insert(Instant::from_secs(7_200), token);
        }
        let before = wheel.steps();
        for round in 1..=1_000_u64 {
            let now = Instant::from_millis(round);
            wheel.insert(now, 1);
            assert_eq!(drain(&mut wheel, now).len(), 1);
        }
        assert!(wheel.steps() - before <= 4_000, "{} steps", wheel.steps() - before);
    }

    proptest! {
        #[test]
        fn the_wheel_agrees_with_a_sorted_list(
            operations in prop::collection::vec((0..4_u8, 0..8_usize, 0..1_u64 << 40), 1..200),
        ) {
            let mut wheel = Wheel::new();
            let mut now = Instant::ZERO;
            let mut order = 0_u32;
            let mut handles = [TimerHandle::NONE; 8];
            let mut model: Vec<(Instant, u32, usize)> = Vec::new();
            for (operation, which, nanos) in operations {
                // Small and large steps alike.
                let at = now + Duration::from_nanos(nanos >> (nanos % 40));
                order += 1;
                match operation {
                    0 | 1 if !handles[which].is_set() => {
                        handles[which] = wheel.insert(at, which as u32);
                        model.push((at, order, which));
                    }
                    0 | 1 => {
                        wheel.reschedule(handles[which], at);
                        model.retain(|entry| entry.2 != which);
                        model.push((at, order, which));
                    }
                    2 if handles[which].is_set() => {
                        wheel.remove(handles[which]);
                        handles[which] = TimerHandle::NONE;
                        model.retain(|entry| entry.2 != which);
                    }
                    _ => {
                        now = at;
                        model.sort_unstable();
                        let due = model.partition_point(|entry| entry.0 <= now);
                        for (_, _, which) in model.drain(..due) {
                            prop_assert_eq!(wheel.pop_due(now), Some(which as u32));
                            handles[which] = TimerHandle::NONE;
                        }
                        prop_assert_eq!(wheel.pop_due(now), None);
                    }
                }
                let earliest = model.iter().map(|entry| entry.0).min();
                prop_assert!(wheel.next() <= earliest.unwrap_or(Instant::NEVER));
            }
        }
    }
}
