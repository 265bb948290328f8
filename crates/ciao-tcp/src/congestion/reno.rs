//! NewReno: slow start, congestion avoidance, halving (RFC 5681 §3.1, RFC 6582), counted in bytes (RFC 3465).

use super::{AckSample, Before, Congestion, Limit, Recovering, Tenths, Timeout, Window};
use ciao_wire::Instant;
use core::time::Duration;

/// ssthresh after a loss: half of the flight (RFC 5681 §3.1, equation 4).
const SHARE: Tenths = Tenths(5);

/// The state of NewReno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reno {
    window: Window,
    /// Bytes acknowledged in congestion avoidance since the window grew last.
    acked_bytes: u32,
    /// For an undo of the last reduction.
    before: Before,
}

impl Reno {
    /// Starts in slow start with a window of `initial_window_bytes`.
    #[must_use]
    pub fn new(smss: u16, initial_window_bytes: u32) -> Self {
        Self { window: Window::new(smss, initial_window_bytes), acked_bytes: 0, before: Before::default() }
    }
}

impl Congestion for Reno {
    // RFC 5681 §3.1 5681-3d, 5681-3j
    // RFC 9293 §3.8.2 MUST-19
    fn on_ack(&mut self, sample: &AckSample) {
        if sample.recovering == Recovering::Fast || self.is_indifferent(sample.limited) {
            return;
        }
        let mut acked_bytes = sample.acked_bytes;
        if self.window.in_slow_start() {
            acked_bytes = self.window.slow_start(acked_bytes);
        }
        self.acked_bytes = self.acked_bytes.saturating_add(acked_bytes);
        if self.acked_bytes >= self.window.cwnd {
            self.acked_bytes -= self.window.cwnd;
            self.window.grow(self.window.smss);
        }
    }

    /// A window that was not used says nothing about a larger one (RFC 9438 §5.8, RFC 7661).
    #[inline]
    fn is_indifferent(&self, limited: Limit) -> bool {
        limited == Limit::Other
    }

    fn on_loss(&mut self, flight_bytes: u32) {
        self.before = self.window.before();
        self.window.reduce(flight_bytes, SHARE);
        self.acked_bytes = 0;
    }

    // RFC 6582 §3.2 6582-1
    fn on_recovery_exit(&mut self, _flight_bytes: u32) {
        self.window.exit_recovery();
        self.acked_bytes = 0;
    }

    // RFC 5681 §3.1 5681-3e
    fn on_timeout(&mut self, flight_bytes: u32, timeout: Timeout) {
        if timeout == Timeout::First {
            self.before = self.window.before();
        }
        self.window.time_out(flight_bytes, timeout, SHARE);
        self.acked_bytes = 0;
    }

    fn on_undo(&mut self) {
        self.window.undo(self.before);
    }

    fn on_idle_restart(&mut self, _now: Instant, restart_window_bytes: u32) {
        self.window.restart(restart_window_bytes);
        self.acked_bytes = 0;
    }

    fn on_segment_size(&mut self, smss: u16) {
        self.window.set_segment_size(smss);
    }

    #[inline]
    fn window_bytes(&self) -> u32 {
        self.window.cwnd
    }

    fn slow_start_threshold_bytes(&self) -> u32 {
        self.window.ssthresh
    }

    fn pacing_rate_bytes_per_s(&self, srtt: Duration) -> u64 {
        self.window.pacing_rate_bytes_per_s(srtt)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::ack;
    use super::*;
    use proptest::prelude::*;

    const SMSS: u32 = 1000;

    fn reno() -> Reno {
        Reno::new(1000, 10 * SMSS)
    }

    /// A round trip in which each segment of a full window is acknowledged.
    fn round(reno: &mut Reno) {
        for _ in 0..reno.window_bytes() / SMSS {
            reno.on_ack(&ack(SMSS));
        }
    }

    // RFC 5681 §3.1 5681-3d
    // RFC 9293 §3.8.2 MUST-19
    #[test]
    fn slow_start_doubles_and_congestion_avoidance_adds_one_segment_a_round() {
        let mut reno = reno();
        round(&mut reno);
        assert_eq!(reno.window_bytes(), 20 * SMSS);
        round(&mut reno);
        assert_eq!(reno.window_bytes(), 40 * SMSS);
        reno.on_loss(40 * SMSS);
        assert_eq!((reno.window_bytes(), reno.slow_start_threshold_bytes()), (20 * SMSS, 20 * SMSS));
        reno.on_recovery_exit(40 * SMSS);
        for segments in 21..100 {
            round(&mut reno);
            assert_eq!(reno.window_bytes(), segments * SMSS);
        }
    }

    // RFC 5681 §3.1 5681-3e
    #[test]
    fn a_timeout_starts_again_from_one_segment_and_only_the_first_lowers_the_threshold() {
        let mut reno = reno();
        reno.on_timeout(10 * SMSS, Timeout::First);
        assert_eq!((reno.window_bytes(), reno.slow_start_threshold_bytes()), (SMSS, 5 * SMSS));
        reno.on_timeout(SMSS, Timeout::Repeated);
        assert_eq!((reno.window_bytes(), reno.slow_start_threshold_bytes()), (SMSS, 5 * SMSS));
        round(&mut reno);
        round(&mut reno);
        assert_eq!(reno.window_bytes(), 4 * SMSS);
        round(&mut reno);
        assert_eq!(reno.window_bytes(), 5 * SMSS, "slow start ends at the threshold");
        reno.on_timeout(SMSS, Timeout::First);
        assert_eq!(reno.slow_start_threshold_bytes(), 2 * SMSS, "at least two segments");
    }

    // RFC 6582 §3.2 6582-1
    #[test]
    fn recovery_ends_with_the_threshold() {
        let mut reno = reno();
        reno.on_loss(40 * SMSS);
        reno.on_recovery_exit(3 * SMSS);
        assert_eq!((reno.window_bytes(), reno.slow_start_threshold_bytes()), (20 * SMSS, 20 * SMSS));
    }

    // RFC 5681 §4.1 5681-4a
    #[test]
    fn an_idle_time_takes_the_window_back_to_the_start_but_never_up() {
        let mut reno = reno();
        round(&mut reno);
        reno.on_idle_restart(Instant::ZERO, 10 * SMSS);
        assert_eq!(reno.window_bytes(), 10 * SMSS);
        reno.on_timeout(4 * SMSS, Timeout::First);
        reno.on_idle_restart(Instant::ZERO, 10 * SMSS);
        assert_eq!(reno.window_bytes(), SMSS);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut reno = reno();
        for _ in 0..1000 {
            reno.on_ack(&AckSample { limited: Limit::Other, ..ack(SMSS) });
        }
        assert_eq!(reno.window_bytes(), 10 * SMSS);
    }

    proptest! {
        // RFC 5681 §3.1 5681-3j
        #[test]
        fn divided_acknowledgments_gain_nothing(
            acks in 1..400u32, pieces in 1..1460u32, threshold in 2..200u32
        ) {
            let (mut whole, mut divided) = (reno(), reno());
            for reno in [&mut whole, &mut divided] {
                reno.on_loss(2 * threshold * SMSS);
                reno.on_timeout(2 * threshold * SMSS, Timeout::First);
            }
            for _ in 0..acks {
                whole.on_ack(&ack(SMSS));
                let mut left = SMSS;
                while left > 0 {
                    let piece = (SMSS / pieces).max(1).min(left);
                    divided.on_ack(&ack(piece));
                    left -= piece;
                }
            }
            prop_assert!(whole.window_bytes().abs_diff(divided.window_bytes()) <= SMSS);
        }
    }
}
