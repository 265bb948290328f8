//! How long is a round trip, and so how long do we wait for an acknowledgment? [`RttEstimator`] (RFC 6298
//! §2).
//!
//! The caller measures: with timestamps, or from segments that were sent once (Karn's rule). The timer itself
//! and what happens when it fires are in `timeouts`.

use crate::Config;
use core::time::Duration;

/// RTO for data when the SYN had to be repeated (RFC 6298 §5.7): its round trip may be longer than the first
/// RTO.
const RTO_AFTER_SYN_TIMEOUT: Duration = Duration::from_secs(3);
/// G, the clock granularity (RFC 6298 §2): the ticks of the host's timing wheel.
const CLOCK_GRANULARITY_NANOS: u64 = 1_000_000;
/// Longest sample that counts: longer ones are faults of measurement, and arithmetic stays far from its
/// limits.
const SAMPLE_MAX_NANOS: u64 = 1 << 40;

/// SRTT, RTTVAR and the back-off of RTO.
///
/// ```
/// use ciao_tcp::{Config, rtt::RttEstimator};
/// use core::time::Duration;
/// let mut rtt = RttEstimator::new();
/// rtt.sample(Duration::from_millis(100));
/// // SRTT = R, RTTVAR = R / 2, RTO = SRTT + 4 * RTTVAR
/// assert_eq!(rtt.rto(&Config::default()), Duration::from_millis(300));
/// rtt.back_off();
/// assert_eq!(rtt.rto(&Config::default()), Duration::from_millis(600));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RttEstimator {
    srtt_nanos: u64,
    rttvar_nanos: u64,
    min_rtt_micros: u32,
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
        Self { srtt_nanos: 0, rttvar_nanos: 0, min_rtt_micros: u32::MAX, back_off: 0, phase: Phase::NoSample }
    }

    /// Takes a measured round trip in; it ends the back-off.
    // RFC 6298 §2.2-2.3 6298-2b
    // RFC 9293 §3.8.1 MUST-18
    pub fn sample(&mut self, rtt: Duration) {
        let nanos = u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX).min(SAMPLE_MAX_NANOS);
        if self.phase == Phase::Sampled {
            // RTTVAR first: it needs the SRTT from before. Halves are added to round, so no error builds up.
            let deviation = self.srtt_nanos.abs_diff(nanos);
            self.rttvar_nanos = (3 * self.rttvar_nanos + deviation + 2) / 4;
            self.srtt_nanos = (7 * self.srtt_nanos + nanos + 4) / 8;
        } else {
            self.srtt_nanos = nanos;
            self.rttvar_nanos = nanos / 2;
            self.phase = Phase::Sampled;
        }
        let micros = u32::try_from(nanos.div_ceil(1000)).unwrap_or(u32::MAX).max(1);
        self.min_rtt_micros = self.min_rtt_micros.min(micros);
        self.reset_back_off();
    }

    /// SRTT, the smoothed round trip.
    #[must_use]
    pub fn srtt(&self) -> Option<Duration> {
        (self.phase == Phase::Sampled).then(|| Duration::from_nanos(self.srtt_nanos))
    }

    /// RTTVAR, the smoothed deviation.
    #[must_use]
    pub fn rttvar(&self) -> Option<Duration> {
        (self.phase == Phase::Sampled).then(|| Duration::from_nanos(self.rttvar_nanos))
    }

    /// The shortest round trip so far, in steps of 1 µs, at least one.
    #[must_use]
    pub fn min_rtt(&self) -> Option<Duration> {
        (self.phase == Phase::Sampled).then(|| Duration::from_micros(u64::from(self.min_rtt_micros)))
    }

    /// RTO, with the back-off: SRTT + max(G, 4 · RTTVAR) within the limits of `config`, doubled for each
    /// back-off.
    // RFC 6298 §2.1, §2.4, §2.5 6298-2a, 6298-2c, 6298-2d; RFC 8961 §4 8961-1
    #[must_use]
    pub fn rto(&self, config: &Config) -> Duration {
        let rto = match self.phase {
            Phase::NoSample => config.rto_initial,
            // RFC 6298 §5.7 6298-5c
            Phase::SynTimedOut => config.rto_initial.max(RTO_AFTER_SYN_TIMEOUT),
            Phase::Sampled => {
                Duration::from_nanos(self.srtt_nanos + (4 * self.rttvar_nanos).max(CLOCK_GRANULARITY_NANOS))
            }
        };
        // RFC 6298 §5.5 6298-5b
        let rto = rto.max(config.rto_min);
        let backed_off = match self.back_off {
            0 => rto,
            count => rto.saturating_mul(1u32.checked_shl(u32::from(count)).unwrap_or(u32::MAX)),
        };
        backed_off.min(config.rto_max)
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

    /// New data is acknowledged: RTO is as measured again.
    pub fn reset_back_off(&mut self) {
        self.back_off = 0;
    }

    /// How often RTO has doubled since the last acknowledgment of new data.
    #[must_use]
    pub fn back_off_count(&self) -> u8 {
        self.back_off
    }

    /// The handshake is complete and took more than one SYN: what follows has at least 3 s, until a sample
    /// says more.
    // RFC 6298 §5.7 6298-5c
    pub fn syn_was_retransmitted(&mut self) {
        self.reset_back_off();
        if self.phase == Phase::NoSample {
            self.phase = Phase::SynTimedOut;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The formulas of RFC 6298 §2 as they are written, in microseconds.
    #[derive(Default)]
    struct Reference {
        state: Option<(f64, f64)>,
    }

    impl Reference {
        fn sample(&mut self, r: f64) {
            self.state = Some(match self.state {
                None => (r, r / 2.0),
                Some((srtt, rttvar)) => (
                    (1.0 - 1.0 / 8.0) * srtt + 1.0 / 8.0 * r,
                    (1.0 - 1.0 / 4.0) * rttvar + 1.0 / 4.0 * (srtt - r).abs(),
                ),
            });
        }

        fn rto(&self, config: &Config) -> f64 {
            let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
            let (srtt, rttvar) = self.state.expect("sampled");
            (srtt + (4.0 * rttvar).max(1e3)).max(micros(config.rto_min)).min(micros(config.rto_max))
        }
    }

    fn micros(duration: Option<Duration>) -> f64 {
        duration.expect("sampled").as_secs_f64() * 1e6
    }

    proptest! {
        // RFC 6298 §2.2-2.3 6298-2b
        // RFC 9293 §3.8.1 MUST-18
        #[test]
        fn random_series_agree_with_the_formulas_to_a_microsecond(
            samples in proptest::collection::vec(
                prop_oneof![1..1_000u32, 1_000..300_000u32, 1..100_000_000u32], 1..100)
        ) {
            let (mut rtt, mut reference) = (RttEstimator::new(), Reference::default());
            for config in [Config::default(), Config::strict()] {
                for &sample in &samples {
                    rtt.back_off();
                    rtt.sample(Duration::from_micros(sample.into()));
                    reference.sample(sample.into());
                    let (srtt, rttvar) = reference.state.expect("sampled");
                    prop_assert!((micros(rtt.srtt()) - srtt).abs() < 1.0);
                    prop_assert!((micros(rtt.rttvar()) - rttvar).abs() < 1.0);
                    prop_assert!((micros(Some(rtt.rto(&config))) - reference.rto(&config)).abs() < 1.0);
                }
                let least = samples.iter().min().copied().map(u64::from).map(Duration::from_micros);
                prop_assert_eq!(rtt.min_rtt(), least);
            }
        }
    }

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
        rtt.sample(Duration::from_micros(50));
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
        rtt.reset_back_off();
        assert_eq!((rtt.rto(&config), rtt.back_off_count()), (Duration::from_secs(1), 0));
    }

    // RFC 6298 §5.7 6298-5c
    #[test]
    fn after_a_repeated_syn_data_has_three_seconds_until_a_sample() {
        let config = Config::default();
        let mut rtt = RttEstimator::new();
        rtt.back_off();
        rtt.syn_was_retransmitted();
        assert_eq!(rtt.rto(&config), Duration::from_secs(3));
        rtt.sample(Duration::from_millis(100));
        assert_eq!(rtt.rto(&config), Duration::from_millis(300));
        rtt.syn_was_retransmitted();
        assert_eq!(rtt.rto(&config), Duration::from_millis(300));
    }

    #[test]
    fn absurd_samples_do_no_harm() {
        let mut rtt = RttEstimator::new();
        for sample in [Duration::MAX, Duration::ZERO, Duration::MAX] {
            rtt.sample(sample);
            assert_eq!(rtt.rto(&Config::default()), Config::default().rto_max);
        }
        assert_eq!(rtt.min_rtt(), Some(Duration::from_micros(1)));
        assert!(size_of::<RttEstimator>() <= 24);
    }
}
