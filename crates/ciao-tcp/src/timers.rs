//! The named timers of a connection and their fixed table (RFC 9293 §3.10.8 and the RFCs each names).
//!
//! What happens when one fires is in `timeouts`. The host has one timing wheel for all connections; each
//! connection has one entry in it, the earliest of these.

use ciao_wire::Instant;
use core::fmt;

/// What a connection can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Retransmission timeout (RFC 6298).
    Retransmit,
    /// Tail loss probe (RFC 8985 §7).
    LossProbe,
    /// The reordering window of RACK (RFC 8985 §6.2).
    Reorder,
    /// The end of TIME-WAIT, two maximum segment lifetimes (RFC 9293 §3.6.1).
    TimeWait,
    /// Zero-window probe, and the override of the silly-window rule (RFC 9293 §3.8.6).
    Persist,
    /// Delayed acknowledgment (RFC 9293 §3.8.6.3).
    DelayedAck,
    /// Keep-alive probe (RFC 9293 §3.8.4).
    KeepAlive,
    /// A connection without an owner whose peer does not close.
    Orphan,
    /// The user timeout (RFC 9293 §3.8.3, RFC 5482).
    UserTimeout,
    /// The next segment's time to leave (`transmit::pacing`).
    Pacing,
}

impl Timer {
    /// All timers, in the order of the table; of two that are due at once, the former fires first.
    pub const ALL: [Self; 10] = [
        Self::Retransmit,
        Self::LossProbe,
        Self::Reorder,
        Self::TimeWait,
        Self::Persist,
        Self::DelayedAck,
        Self::KeepAlive,
        Self::Orphan,
        Self::UserTimeout,
        Self::Pacing,
    ];

    /// The name people use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retransmit => "retransmission timeout",
            Self::LossProbe => "loss probe",
            Self::Reorder => "reordering",
            Self::Persist => "persist",
            Self::DelayedAck => "delayed ACK",
            Self::KeepAlive => "keep-alive",
            Self::Orphan => "orphan",
            Self::TimeWait => "2 MSL",
            Self::UserTimeout => "user timeout",
            Self::Pacing => "pacing",
        }
    }
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The next moment at which a connection wants to be called, and by which of its timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wakeup {
    /// When.
    pub at: Instant,
    /// Which timer.
    pub timer: Timer,
}

/// Deadlines that a connection has. Retransmission timeout, loss probe and reordering window share the first:
/// each of them is set instead of the others. So does the end of TIME-WAIT, where nothing is outstanding.
const SLOTS: usize = Timer::ALL.len() - LAST_OF_FIRST_SLOT;
const LAST_OF_FIRST_SLOT: usize = Timer::TimeWait as usize;

/// One deadline for each [`Timer`], but for those that exclude each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timers {
    deadlines: [Instant; SLOTS],
    /// None of them is earlier. Timers are put off far more often than they fire, so it is made exact only
    /// when one may be due.
    earliest: Instant,
    /// Which of its timers the first deadline belongs to.
    first: Timer,
}

impl Timers {
    /// None is set.
    pub(crate) const fn new() -> Self {
        Self { deadlines: [Instant::NEVER; SLOTS], earliest: Instant::NEVER, first: Timer::Retransmit }
    }

    const fn slot(timer: Timer) -> usize {
        (timer as usize).saturating_sub(LAST_OF_FIRST_SLOT)
    }

    /// The deadline of `timer`, if it is set.
    #[inline]
    pub(crate) fn deadline(&self, timer: Timer) -> Option<Instant> {
        let slot = Self::slot(timer);
        let at = self.deadlines[slot];
        (at != Instant::NEVER && (slot > 0 || timer == self.first)).then_some(at)
    }

    /// True when `timer` is set.
    #[inline]
    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.deadline(timer).is_some()
    }

    /// Sets `timer` to fire at `at`, instead of whenever it was set for.
    #[inline]
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        let slot = Self::slot(timer);
        self.deadlines[slot] = at;
        self.earliest = self.earliest.min(at);
        if slot == 0 {
            self.first = timer;
        }
    }

    /// Stops `timer`, and those that are set instead of it.
    #[inline]
    pub(crate) fn clear(&mut self, timer: Timer) {
        debug_assert!(self.first != Timer::TimeWait || timer != Timer::Retransmit, "nothing is outstanding");
        self.deadlines[Self::slot(timer)] = Instant::NEVER;
    }

    /// Stops all of them.
    pub(crate) fn clear_all(&mut self) {
        *self = Self::new();
    }

    /// A moment before which none fires.
    #[inline]
    pub(crate) fn earliest(&self) -> Instant {
        self.earliest
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Wakeup> {
        let (index, &at) = self.deadlines.iter().enumerate().min_by_key(|(_, at)| **at)?;
        let timer = if index == 0 { self.first } else { Timer::ALL[index + LAST_OF_FIRST_SLOT] };
        (at != Instant::NEVER).then_some(Wakeup { at, timer })
    }

    /// Stops and answers the earliest timer that is due at `now`.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        if now < self.earliest {
            return None;
        }
        let next = self.next();
        self.earliest = next.map_or(Instant::NEVER, |wakeup| wakeup.at);
        let due = next.filter(|wakeup| wakeup.at <= now)?;
        self.clear(due.timer);
        Some(due.timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (index, timer) in Timer::ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, index);
        }
    }

    #[test]
    fn of_timers_that_exclude_each_other_one_is_set() {
        let mut timers = Timers::new();
        let (soon, late) = (Instant::from_secs(1), Instant::from_secs(3));
        timers.set(Timer::Retransmit, late);
        timers.set(Timer::LossProbe, soon);
        assert_eq!((timers.deadline(Timer::Retransmit), timers.is_set(Timer::LossProbe)), (None, true));
        assert_eq!(timers.take_due(late), Some(Timer::LossProbe));
        timers.set(Timer::Persist, late);
        timers.set(Timer::Reorder, soon);
        assert_eq!(timers.next(), Some(Wakeup { at: soon, timer: Timer::Reorder }));
        timers.clear(Timer::Retransmit);
        assert_eq!(timers.take_due(late), Some(Timer::Persist));
        assert_eq!(timers.take_due(late), None);
    }

    #[test]
    fn timers_fire_in_order_and_once() {
        let mut timers = Timers::new();
        timers.set(Timer::KeepAlive, Instant::from_secs(3));
        timers.set(Timer::Persist, Instant::from_secs(2));
        timers.set(Timer::Retransmit, Instant::from_secs(3));
        assert_eq!(timers.take_due(Instant::from_secs(1)), None);
        let late = Instant::from_secs(9);
        assert_eq!(timers.take_due(late), Some(Timer::Persist));
        assert_eq!(timers.take_due(late), Some(Timer::Retransmit));
        assert_eq!(timers.take_due(late), Some(Timer::KeepAlive));
        assert_eq!(timers.take_due(late), None);
        assert_eq!(timers.next(), None);
    }
}
