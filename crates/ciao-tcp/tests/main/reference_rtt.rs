//! Does the estimator of the round trip agree with RFC 6298 §2, written down in floating point? For random
//! series to a microsecond, and as a curve that shows what it does with a change of the path.

use ciao_tcp::Config;
use ciao_tcp::rtt::RttEstimator;
use ciao_wire::Instant;
use core::time::Duration;
use proptest::prelude::*;
use std::fmt::Write as _;

/// The formulas as they are written, in microseconds.
#[derive(Default)]
struct Reference {
    srtt: f64,
    rttvar: f64,
    is_sampled: bool,
}

impl Reference {
    /// G
    const GRANULARITY: f64 = 1e3;
    /// K
    const K: f64 = 4.0;
    const ALPHA: f64 = 1.0 / 8.0;
    const BETA: f64 = 1.0 / 4.0;

    fn sample(&mut self, r: f64) {
        if self.is_sampled {
            self.rttvar = (1.0 - Self::BETA) * self.rttvar + Self::BETA * (self.srtt - r).abs();
            self.srtt = (1.0 - Self::ALPHA) * self.srtt + Self::ALPHA * r;
        } else {
            (self.srtt, self.rttvar, self.is_sampled) = (r, r / 2.0, true);
        }
    }

    fn rto(&self, config: &Config) -> f64 {
        let rto = self.srtt + (Self::K * self.rttvar).max(Self::GRANULARITY);
        rto.max(micros(config.rto_min)).min(micros(config.rto_max))
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

proptest! {
    // RFC 6298 §2.2-2.3 6298-2b
    // RFC 9293 §3.8.1 MUST-18
    #[test]
    fn random_series_agree_with_the_formulas_to_a_microsecond(
        samples in proptest::collection::vec(
            prop_oneof![1..1_000u32, 1_000..300_000u32, 1..60_000_000u32], 1..100)
    ) {
        for config in [Config::default(), Config::strict()] {
            let (mut rtt, mut reference) = (RttEstimator::new(), Reference::default());
            for &sample in &samples {
                rtt.back_off();
                rtt.sample(Instant::from_secs(1), Duration::from_micros(sample.into()));
                reference.sample(sample.into());
                let close = |ours: Option<Duration>, theirs: f64| {
                    (micros(ours.expect("sampled")) - theirs).abs() < 1.0
                };
                prop_assert!(close(rtt.srtt(), reference.srtt));
                prop_assert!(close(rtt.rttvar(), reference.rttvar));
                prop_assert!(close(Some(rtt.rto(&config)), reference.rto(&config)));
            }
            let least = samples.iter().min().copied().expect("at least one");
            prop_assert!((micros(rtt.min_rtt().expect("sampled")) - f64::from(least)).abs() < 0.1);
        }
    }
}

// RFC 6298 §2.2-2.3 6298-2b
#[test]
fn the_curve_of_a_path_that_becomes_longer_and_jitters() {
    let (mut rtt, mut reference) = (RttEstimator::new(), Reference::default());
    let config = Config::default();
    let mut curve = String::from("sample   srtt rttvar    rto (ms)\n");
    for round in 0..40_u64 {
        let millis = match round {
            0..10 => 50,
            10..20 => 200,
            _ => 100 + 37 * round % 60,
        };
        rtt.sample(Instant::from_millis(200 * round), Duration::from_millis(millis));
        reference.sample(millis as f64 * 1e3);
        let ours = [rtt.srtt(), rtt.rttvar(), Some(rtt.rto(&config))].map(|it| micros(it.expect("sampled")));
        let theirs = [reference.srtt, reference.rttvar, reference.rto(&config)];
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            assert!((ours - theirs).abs() < 1.0, "{ours} and {theirs}");
        }
        let [srtt, rttvar, rto] = ours.map(|micros| micros / 1e3);
        let _ = writeln!(curve, "{millis:6} {srtt:6.1} {rttvar:6.1} {rto:6.1}");
    }
    insta::assert_snapshot!(curve);
}
