//! What do algorithms that answer to losses have in common? [`Window`]: cwnd, ssthresh, slow start, and what
//! a loss, a timeout, an idle time and an undo do to them (RFC 5681 §3.1, §4.1).

use super::{Timeout, WINDOW_MAX_BYTES};
use core::time::Duration;

/// What both algorithms have: the two variables, slow start, and what a loss, a timeout and an idle time do
/// to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) smss: u32,
    pub(super) cwnd: u32,
    pub(super) ssthresh: u32,
}

impl Window {
    pub(super) fn new(smss: u16, initial_window_bytes: u32) -> Self {
        Self { smss: smss.max(1).into(), cwnd: initial_window_bytes, ssthresh: u32::MAX }
    }

    #[inline]
    pub(super) fn in_slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }

    /// Slow start: as many bytes more as were acknowledged. Answers the bytes acknowledged beyond ssthresh.
    ///
    /// RFC 5681 §3.1 would count one SMSS for an acknowledgment at most. Linux counts all bytes, and so do
    /// we: one acknowledgment stands for a super-segment of up to 45, and dividing acknowledgments gains
    /// nothing either way.
    // RFC 5681 §3.1 5681-3j
    pub(super) fn slow_start(&mut self, acked_bytes: u32) -> u32 {
        let growth = acked_bytes.min(self.ssthresh.saturating_sub(self.cwnd));
        self.grow(growth);
        acked_bytes - growth
    }

    pub(super) fn grow(&mut self, bytes: u32) {
        self.cwnd = self.cwnd.saturating_add(bytes).min(WINDOW_MAX_BYTES);
    }

    /// Recovery begins with a window of ssthresh, `share` (in tenths) of the flight.
    pub(super) fn reduce(&mut self, flight_bytes: u32, share: Tenths) {
        self.ssthresh = self.threshold(flight_bytes, share);
        self.cwnd = self.ssthresh;
    }

    /// Proportional rate reduction has brought the flight to ssthresh, so there is no burst to fear.
    // RFC 9937 §6.4 9937-5; RFC 6582 §3.2 6582-1
    pub(super) fn exit_recovery(&mut self) {
        self.cwnd = self.ssthresh;
    }

    /// Slow start from one segment.
    // RFC 5681 §3.1 5681-3e
    pub(super) fn time_out(&mut self, flight_bytes: u32, timeout: Timeout, share: Tenths) {
        if timeout == Timeout::First {
            self.ssthresh = self.threshold(flight_bytes, share);
        }
        self.cwnd = self.smss;
    }

    /// What the path can bear is no longer known: no more than at the start. Slow start leads back to three
    /// quarters of what it was (RFC 7661 §4.4.2).
    // RFC 5681 §4.1 5681-4a
    pub(super) fn restart(&mut self, restart_window_bytes: u32) {
        if self.cwnd > restart_window_bytes {
            self.ssthresh = self.ssthresh.max(self.cwnd - self.cwnd / 4);
            self.cwnd = restart_window_bytes;
        }
    }

    /// Back to the window and the threshold from before a reduction that had no cause.
    pub(super) fn undo(&mut self, before: Before) {
        self.cwnd = self.cwnd.max(before.cwnd);
        self.ssthresh = self.ssthresh.max(before.ssthresh);
    }

    /// What `undo` may need later.
    pub(super) fn before(&self) -> Before {
        Before { cwnd: self.cwnd, ssthresh: self.ssthresh }
    }

    /// The rate that empties a window in less than a round trip, so that pacing never is what limits: twice
    /// as fast in slow start, where the window doubles in that time, else 1.2 times, as Linux.
    pub(super) fn pacing_rate_bytes_per_s(&self, srtt: Duration) -> u64 {
        let tenths = if self.cwnd < self.ssthresh / 2 { 20 } else { 12 };
        let nanos = u64::try_from(srtt.as_nanos()).unwrap_or(u64::MAX).max(1);
        // The window is at most 2^30 and 20 < 2^5, so 10^8 < 2^27 more fit in 64 bits.
        (u64::from(self.cwnd) * tenths * 100_000_000) / nanos
    }

    pub(super) fn set_segment_size(&mut self, smss: u16) {
        self.smss = smss.max(1).into();
        self.cwnd = self.cwnd.max(self.smss);
        self.ssthresh = self.ssthresh.max(2 * self.smss);
    }

    fn threshold(&self, flight_bytes: u32, share: Tenths) -> u32 {
        let share = u64::from(flight_bytes) * u64::from(share.0) / 10;
        u32::try_from(share).unwrap_or(u32::MAX).max(2 * self.smss)
    }
}

/// A part of ten.
#[derive(Clone, Copy)]
pub(super) struct Tenths(pub(super) u8);

/// Window and threshold as they were before a reduction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) cwnd: u32,
    pub(super) ssthresh: u32,
}
