//! How long is a round trip, and so how long do we wait for an acknowledgment? [`RttEstimator`] (RFC 6298
//! §2).
//!
//! The caller measures: with timestamps, or from segments that were sent once (Karn's rule). The timer itself
//! and what happens when it fires are in `timeouts`.

use crate::Config;
use ciao_wire::Instant;
use ciao_wire::time::whole_nanos;
use core::time::Duration;

/// RTO for data when the SYN had to be repeated (RFC 6298 §5.7): its round trip may be longer than the first
/// RTO.
const RTO_AFTER_SYN_TIMEOUT: Duration = Duration::from_secs(3);
/// G, the clock granularity (RFC 6298 §2): the ticks of the host's timing wheel.
const CLOCK_GRANULARITY_NANOS: u64 = 1_000_000;
/// Times are kept in steps of 16 ns, in 32 bits. A longer sample than fits, 68 s, is a fault of measurement
/// and counts as that.
const STEP_NANOS: u64 = 16;
/// The shortest round trip is forgotten after one to two of these: a path may become longer. Together 5 min,
/// as Linux (`tcp_min_rtt_wlen`).
const MIN_RTT_SPAN: Duration = Duration::from_secs(150);
/// The clock of those spans ticks every 2^20 ns, about a millisecond, and wraps in 52 days.
const SPAN_TICK_DIGITS: u32 = 20;
#[expect(clippy::cast_possible_truncation, reason = "150 s are 143,051 ticks")]
const SPAN_TICKS: u32 = (MIN_RTT_SPAN.as_nanos() >> SPAN_TICK_DIGITS) as u32;

fn duration(steps: u32) -> Duration {
    Duration::from_nanos(u64::from(steps) * STEP_NANOS)
}

/// SRTT, RTTVAR and the back-off of RTO.
///
/// ```
/// use ciao_tcp::{Config, rtt::RttEstimator};
/// use ciao_wire::Instant;
/// use core::time::Duration;
/// let mut rtt = RttEstimator::new();
/// rtt.sample(Instant::from_secs(1), Duration::from_millis(100));
/// // SRTT = R, RTTVAR = R / 2, RTO = SRTT + 4 * RTTVAR
/// assert_eq!(rtt.rto(&Config::default()), Duration::from_millis(300));
/// rtt.back_off();
/// assert_eq!(rtt.rto(&Config::default()), Duration::from_millis(600));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RttEstimator {
    /// In steps.
    srtt: u32,
    rttvar: u32,
    /// The shortest in this span of time and in the one before.
    min_rtt: [u32; 2],
    /// When this span began, in its ticks.
    span_began: u32,
    back_off: u8,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    NoSample,
    /// No sample, and the SYN was repeated.
    SynTimedOut,
    Sampled,
}

impl RttEstimator {
    /// Nothing is measured.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            srtt: 0,
            rttvar: 0,
            min_rtt: [u32::MAX; 2],
            span_began: 0,
            back_off: 0,
            phase: Phase::NoSample,
        }
    }

    /// Takes a round trip measured at `now` in. That ends the back-off, and an acknowledgment of what was
    /// sent twice does not: it does not say how long the path takes (Karn's rule; Linux too).
    // RFC 6298 §2.2-2.3, §5.7 6298-2b, 6298-5e
    // RFC 9293 §3.8.1 MUST-18
    #[expect(clippy::cast_possible_truncation, reason = "means of 32-bit numbers, and a clock that wraps")]
    #[inline]
    pub fn sample(&mut self, now: Instant, rtt: Duration) {
        let nanos = whole_nanos(rtt);
        let steps = u32::try_from(nanos.saturating_add(STEP_NANOS / 2) / STEP_NANOS).unwrap_or(u32::MAX);
        let tick = (now.as_nanos() >> SPAN_TICK_DIGITS) as u32;
        if self.phase == Phase::Sampled {
            // RTTVAR first: it needs the SRTT from before. Halves are added to round, so no error builds up.
            let deviation = u64::from(self.srtt.abs_diff(steps));
            self.rttvar = ((3 * u64::from(self.rttvar) + deviation + 2) / 4) as u32;
            self.srtt = ((7 * u64::from(self.srtt) + u64::from(steps) + 4) / 8) as u32;
        } else {
            self.srtt = steps;
            self.rttvar = steps / 2;
            self.span_began = tick;
            self.phase = Phase::Sampled;
        }
        let elapsed = tick.wrapping_sub(self.span_began);
        if elapsed >= SPAN_TICKS {
            let before = if elapsed < 2 * SPAN_TICKS { self.min_rtt[0] } else { u32::MAX };
            (self.min_rtt, self.span_began) = ([u32::MAX, before], tick);
        }
        self.min_rtt[0] = self.min_rtt[0].min(steps.max(1));
        self.back_off = 0;
    }

    /// SRTT, the smoothed round trip.
    #[must_use]
    pub fn srtt(&self) -> Option<Duration> {
        (self.phase == Phase::Sampled).then(|| duration(self.srtt))
    }

    /// Twice SRTT, for the timer of the tail loss probe.
    #[inline]
    pub(crate) fn twice_srtt_nanos(&self) -> Option<u64> {
        (self.phase == Phase::Sampled).then(|| u64::from(self.srtt) * 2 * STEP_NANOS)
    }

    /// RTTVAR, the smoothed deviation.
    #[must_use]
    pub fn rttvar(&self) -> Option<Duration> {
        (self.phase == Phase::Sampled).then(|| duration(self.rttvar))
    }

    /// The shortest round trip of the last minutes, never zero.
    // RFC 8985 §6.2: RACK.min_RTT is a windowed minimum
    #[must_use]
    pub fn min_rtt(&self) -> Option<Duration> {
        (self.phase == Phase::Sampled).then(|| duration(self.min_rtt[0].min(self.min_rtt[1])))
    }

    /// RTO, with the back-off: SRTT + max(G, 4 · RTTVAR) within the limits of `config`, doubled for each
    /// back-off.
    // RFC 6298 §2.1, §2.4, §2.5 6298-2a, 6298-2c, 6298-2d; RFC 8961 §4 8961-1
    #[must_use]
    pub fn rto(&self, config: &Config) -> Duration {
        Duration::from_nanos(self.rto_nanos(config))
    }

    /// RTO in nanoseconds.
    #[inline]
    pub(crate) fn rto_nanos(&self, config: &Config) -> u64 {
        let rto = match self.phase {
            Phase::NoSample => whole_nanos(config.rto_initial),
            // RFC 6298 §5.7 6298-5c
            Phase::SynTimedOut => whole_nanos(config.rto_initial.max(RTO_AFTER_SYN_TIMEOUT)),
            Phase::Sampled => {
                let variation = (4 * u64::from(self.rttvar) * STEP_NANOS).max(CLOCK_GRANULARITY_NANOS);
                u64::from(self.srtt) * STEP_NANOS + variation
            }
        };
        // RFC 6298 §5.5 6298-5b
        let rto = rto.max(whole_nanos(config.rto_min));
        let backed_off = match self.back_off {
            0 => rto,
            count => rto.saturating_mul(1u64.checked_shl(u32::from(count)).unwrap_or(u64::MAX)),
        };
        backed_off.min(whole_nanos(config.rto_max))
    }

    /// How often RTO was doubled since the last sample.
    #[must_use]
    pub fn back_offs(&self) -> u8 {
        self.back_off
    }

    /// The retransmission timer ran out: RTO doubles.
    // RFC 6298 §5.5 6298-5b; RFC 8961 §4 8961-2
    // RFC 9293 §3.8.2 MUST-19
    pub fn back_off(&mut self) {
        self.back_off = self.back_off.saturating_add(1);
    }

    /// The retransmission timer ran out for another reason than the time that the path takes.
    pub(crate) fn forget_back_off(&mut self) {
        self.back_off = 0;
    }

    /// The handshake is complete and took more than one SYN: what follows has at least 3 s, until a sample
    /// says more.
    // RFC 6298 §5.7 6298-5c
    pub fn syn_was_retransmitted(&mut self) {
        self.back_off = 0;
        if self.phase == Phase::NoSample {
            self.phase = Phase::SynTimedOut;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_secs(1);

    // RFC 6298 §2.1 6298-2a; RFC 8961 §4 8961-1
    #[test]
    fn without_a_sample_the_timeout_is_one_second() {
        let rtt = RttEstimator::new();
        assert_eq!(rtt.rto(&Config::default()), Duration::from_secs(1));
        assert_eq!((rtt.srtt(), rtt.rttvar(), rtt.min_rtt()), (None, None, None));
    }

    // RFC 6298 §2.4 6298-2c
    #[test]
    fn a_short_round_trip_gives_the_least_timeout_of_the_profile() {
        let mut rtt = RttEstimator::new();
        rtt.sample(NOW, Duration::from_micros(50));
        assert_eq!(rtt.rto(&Config::default()), Duration::from_millis(200));
        assert_eq!(rtt.rto(&Config::strict()), Duration::from_secs(1));
    }

    // RFC 6298 §2.5, §5.5 6298-2d, 6298-5b; RFC 8961 §4 8961-2
    // RFC 9293 §3.8.2 MUST-19
    #[test]
    fn back_off_doubles_up_to_the_greatest_timeout() {
        let config = Config::default();
        assert!(
            config.rto_max >= Duration::from_secs(60) && Config::strict().rto_max >= Duration::from_secs(60)
        );
        let mut rtt = RttEstimator::new();
        for expected in [1, 2, 4, 8, 16, 32, 64, 120, 120] {
            assert_eq!(rtt.rto(&config), Duration::from_secs(expected));
            rtt.back_off();
        }
        for _ in 0..300 {
            rtt.back_off();
        }
        assert_eq!(rtt.rto(&config), config.rto_max);
        rtt.sample(NOW, Duration::from_secs(1));
        assert_eq!((rtt.rto(&config), rtt.back_offs()), (Duration::from_secs(3), 0));
    }

    // RFC 6298 §5.7 6298-5c
    #[test]
    fn after_a_repeated_syn_data_has_three_seconds_until_a_sample() {
        let config = Config::default();
        let mut rtt = RttEstimator::new();
        rtt.back_off();
        rtt.syn_was_retransmitted();
        assert_eq!(rtt.rto(&config), Duration::from_secs(3));
        rtt.sample(NOW, Duration::from_millis(100));
        assert_eq!(rtt.rto(&config), Duration::from_millis(300));
        rtt.syn_was_retransmitted();
        assert_eq!(rtt.rto(&config), Duration::from_millis(300));
    }

    #[test]
    fn the_shortest_round_trip_is_forgotten_in_time() {
        let mut rtt = RttEstimator::new();
        let millis = |count| Some(Duration::from_millis(count));
        let mut shortest_at = |second, sample| {
            rtt.sample(Instant::from_secs(second), Duration::from_millis(sample));
            rtt.min_rtt()
        };
        assert_eq!(shortest_at(1000, 20), millis(20));
        assert_eq!(shortest_at(1100, 30), millis(20));
        assert_eq!(shortest_at(1160, 40), millis(20), "150 s have passed");
        assert_eq!(shortest_at(1311, 50), millis(40), "and 300 s");
        assert_eq!(shortest_at(2000, 60), millis(60), "after a silence nothing is left");
        assert_eq!(shortest_at(2001, 55), millis(55));
    }

    #[test]
    fn absurd_samples_do_no_harm() {
        let mut rtt = RttEstimator::new();
        for sample in [Duration::MAX, Duration::ZERO, Duration::MAX] {
            rtt.sample(NOW, sample);
            assert_eq!(rtt.rto(&Config::default()), Config::default().rto_max);
        }
        assert_eq!(rtt.min_rtt(), Some(Duration::from_nanos(STEP_NANOS)));
        assert!(size_of::<RttEstimator>() <= 24);
    }
}
