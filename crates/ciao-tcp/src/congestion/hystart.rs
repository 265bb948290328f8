//! When does slow start end before it loses? [`HyStart`]: HyStart++ (RFC 9406) watches the least round trip
//! of each round; when it grows, slow start goes on at a quarter of the speed for a few rounds, and ends if
//! the round trip stays long.
//!
//! How the window grows is in `window` and `cubic`. As Linux, and against RFC 9406 §4.2, there is no limit L
//! of segments counted for one acknowledgment: an acknowledgment of a merged run stands for 45 and more, and
//! with a limit of 8 the window would hardly grow on the paths where such runs are common.

use super::AckSample;
use ciao_wire::SeqNum;
use core::time::Duration;

/// `MIN_RTT_THRESH`: a growth below it is jitter (RFC 9406 §4.3).
const MIN_RTT_THRESHOLD: Duration = Duration::from_millis(4);
/// `MAX_RTT_THRESH`: a growth above it is always a queue (RFC 9406 §4.3).
const MAX_RTT_THRESHOLD: Duration = Duration::from_millis(16);
/// `MIN_RTT_DIVISOR` (RFC 9406 §4.3).
const MIN_RTT_DIVISOR: u32 = 8;
/// `N_RTT_SAMPLE`: samples that make the least of a round trustworthy (RFC 9406 §4.3).
const RTT_SAMPLES: u8 = 8;
/// `CSS_GROWTH_DIVISOR` (RFC 9406 §4.3).
// RFC 9406 §4.3 9406-4
pub(super) const CONSERVATIVE_GROWTH_DIVISOR: u32 = 4;
/// `CSS_ROUNDS` (RFC 9406 §4.3).
const CONSERVATIVE_ROUNDS: u8 = 5;
/// No round trip is known.
const UNKNOWN: Duration = Duration::MAX;

/// The state; times are least round trips of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HyStart {
    /// Its acknowledgment ends the round.
    window_end: SeqNum,
    last_round: Duration,
    current_round: Duration,
    samples: u8,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    SlowStart,
    /// Conservative slow start (CSS), in its round number `round`, counted from one.
    Conservative {
        baseline: Duration,
        round: u8,
    },
}

/// How the window grows on an acknowledgment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// By all bytes acknowledged.
    Full,
    /// By a part of them.
    Conservative,
    /// Slow start is over.
    Ended,
}

impl HyStart {
    /// The first round ends when all is acknowledged that is sent now.
    pub(super) fn new(nxt: SeqNum) -> Self {
        Self {
            window_end: nxt,
            last_round: UNKNOWN,
            current_round: UNKNOWN,
            samples: 0,
            phase: Phase::SlowStart,
        }
    }

    /// Takes an acknowledgment in slow start, and says how it lets the window grow.
    // RFC 9406 §4.2 9406-1
    pub(super) fn on_ack(&mut self, sample: &AckSample) -> Growth {
        if let Some(rtt) = sample.rtt {
            self.current_round = self.current_round.min(rtt);
            self.samples = self.samples.saturating_add(1);
        }
        if self.samples >= RTT_SAMPLES {
            self.judge();
        }
        let growth = match self.phase {
            Phase::SlowStart => Growth::Full,
            Phase::Conservative { .. } => Growth::Conservative,
        };
        if sample.una.before(self.window_end) {
            return growth;
        }
        self.begin_round(sample.nxt);
        match self.phase {
            Phase::Conservative { round, .. } if round > CONSERVATIVE_ROUNDS => Growth::Ended,
            _ => growth,
        }
    }

    /// Enough samples: the queue has grown, or is gone again.
    // RFC 9406 §4.2 9406-2, 9406-3
    fn judge(&mut self) {
        match self.phase {
            Phase::SlowStart if self.last_round != UNKNOWN => {
                let threshold =
                    (self.last_round / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESHOLD, MAX_RTT_THRESHOLD);
                if self.current_round >= self.last_round + threshold {
                    self.phase = Phase::Conservative { baseline: self.current_round, round: 1 };
                }
            }
            Phase::Conservative { baseline, .. } if self.current_round < baseline => {
                self.phase = Phase::SlowStart;
            }
            Phase::SlowStart | Phase::Conservative { .. } => {}
        }
    }

    // RFC 9406 §4.2 9406-3: the round in which the conservative phase began counts, however little was left
    // of it
    fn begin_round(&mut self, nxt: SeqNum) {
        self.window_end = nxt;
        self.last_round = self.current_round;
        self.current_round = UNKNOWN;
        self.samples = 0;
        if let Phase::Conservative { round, .. } = &mut self.phase {
            *round += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::ack;
    use super::*;

    const SEGMENTS: u32 = 20;

    /// Acknowledges one round of twenty segments, each after `rtt`; answers what the last one said.
    fn round(hystart: &mut HyStart, rtt_millis: u64) -> Growth {
        let start = hystart.window_end - SEGMENTS;
        let mut growth = Growth::Full;
        for segment in 1..=SEGMENTS {
            let (una, nxt) = (start + segment, start + segment + SEGMENTS);
            let rtt = Some(Duration::from_millis(rtt_millis));
            growth = hystart.on_ack(&AckSample { una, nxt, rtt, ..ack(1) });
        }
        growth
    }

    // RFC 9406 §4.2 9406-1, 9406-2
    #[test]
    fn a_round_trip_that_grows_by_an_eighth_slows_down_and_less_does_not() {
        for (before, after, expected) in [
            (100, 113, Growth::Conservative),
            (100, 112, Growth::Full),
            (10, 14, Growth::Conservative),
            (10, 13, Growth::Full),
            (400, 416, Growth::Conservative),
            (400, 415, Growth::Full),
        ] {
            let mut hystart = HyStart::new(SeqNum(SEGMENTS));
            assert_eq!(round(&mut hystart, before), Growth::Full);
            assert_eq!(round(&mut hystart, after), expected, "{before} ms, then {after} ms");
        }
    }

    // RFC 9406 §4.2 9406-1
    #[test]
    fn fewer_than_eight_samples_prove_nothing() {
        let mut hystart = HyStart::new(SeqNum(SEGMENTS));
        round(&mut hystart, 100);
        for segment in 1..=8 {
            let (una, nxt) = (SeqNum(SEGMENTS + segment), SeqNum(3 * SEGMENTS));
            let rtt = Some(Duration::from_millis(200));
            let growth = hystart.on_ack(&AckSample { una, nxt, rtt, ..ack(1) });
            assert_eq!(growth, if segment < 8 { Growth::Full } else { Growth::Conservative });
        }
    }

    // RFC 9406 §4.2 9406-3
    #[test]
    fn five_rounds_of_long_round_trips_end_slow_start_and_the_one_of_entry_counts() {
        let mut hystart = HyStart::new(SeqNum(SEGMENTS));
        round(&mut hystart, 100);
        for _ in 0..4 {
            assert_eq!(round(&mut hystart, 120), Growth::Conservative);
        }
        assert_eq!(round(&mut hystart, 120), Growth::Ended);
    }

    // RFC 9406 §4.2 9406-3
    #[test]
    fn a_queue_that_goes_away_was_none_and_slow_start_resumes() {
        let mut hystart = HyStart::new(SeqNum(SEGMENTS));
        round(&mut hystart, 100);
        assert_eq!(round(&mut hystart, 120), Growth::Conservative);
        assert_eq!(round(&mut hystart, 119), Growth::Full);
        assert_eq!(round(&mut hystart, 120), Growth::Full, "measured against the round before");
        for _ in 0..4 {
            assert_eq!(round(&mut hystart, 140), Growth::Conservative);
        }
        assert_eq!(round(&mut hystart, 140), Growth::Ended, "the count begins anew");
    }

    // RFC 9406 §4.3 9406-4
    #[test]
    fn the_conservative_phase_grows_at_most_half_as_fast() {
        const { assert!(CONSERVATIVE_GROWTH_DIVISOR >= 2) }
    }
}
