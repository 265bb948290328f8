//! What time is it for a stack? Nanoseconds since its start, from the machine's clock or from the
//! simulation's.

use ciao_wire::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The clock of one stack.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    /// The machine's, counted from here.
    Live(std::time::Instant),
    /// The simulation's.
    Virtual(VirtualClock),
}

impl Clock {
    /// The machine's clock, from now on.
    pub(crate) fn live() -> Self {
        Self::Live(std::time::Instant::now())
    }

    /// The time now.
    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::Live(origin) => Instant::ZERO + origin.elapsed(),
            Self::Virtual(clock) => clock.now(),
        }
    }
}

/// The time of a simulation: it stands still until the simulation moves it.
#[derive(Clone, Debug, Default)]
pub(crate) struct VirtualClock(Arc<AtomicU64>);

impl VirtualClock {
    /// The virtual time now. One thread runs a simulation, so no ordering is needed.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// Moves the time; never back.
    pub(crate) fn set(&self, now: Instant) {
        self.0.fetch_max(now.as_nanos(), Ordering::Relaxed);
    }
}
