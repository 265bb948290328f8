//! BBR version 3 (draft-ietf-ccwg-bbr-06): a model of the path, its bandwidth and its least round trip, says
//! how fast and how much to send; losses correct the model and are not what it steers by.
//!
//! | question | file |
//! |---|---|
//! | Which state are we in, and when does it end? | `bbr/phases.rs` |
//! | What is known of the path? | `bbr/model.rs` |
//! | Which rate and which window follow? | `bbr/control.rs` |
//!
//! Names are the draft's without `BBR.`, volumes in bytes, rates in bytes a second. What differs from it:
//! when a loss is repaired, the window is neither cut to what is in flight nor held there for a round. The
//! rate is bounded by what the last round delivered, which says the same, and on paths that lose at random
//! every round would be such a round. ECN counts as a loss of unknown size.

mod control;
mod model;
mod phases;

use super::{AckSample, Congestion, Limit, PacingWish, RecoveryWindow, Timeout, WINDOW_MAX_BYTES};
use ciao_wire::Instant;
use core::time::Duration;
use model::{Flag, Model};
use phases::{Phase, ProbeRtt};

/// Segments that the window never goes below, so that acknowledgments keep coming: `MinPipeCwnd`.
const MIN_PIPE_SEGMENTS: u32 = 4;

/// The state of BBR.
#[derive(Clone, Debug)]
pub struct Bbr {
    smss: u32,
    cwnd: u32,
    initial_window: u32,
    /// The window before ProbeRTT or a timeout took it away: `prior_cwnd`.
    prior_cwnd: u32,
    /// `pacing_rate`; zero before a round trip is known.
    pacing_rate: u64,
    initial_rate: Flag,
    phase: Phase,
    model: Model,
    cycle: phases::Cycle,
    probe_rtt: ProbeRtt,
    full_bandwidth: phases::FullBandwidth,
    idle_restart: Flag,
    drain_start_round: u32,
    undo: Undo,
    random: Random,
}

/// What an undo brings back.
#[derive(Clone, Copy, Debug)]
struct Undo {
    bounds: model::Bounds,
    /// The phase that losses ended: `undo_state`.
    phase: Option<Phase>,
}

/// A few bits that differ from connection to connection: xorshift32 (Marsaglia 2003).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Random(u32);

impl Random {
    /// A number below `limit`.
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % limit
    }
}

impl Bbr {
    /// Starts in Startup with a window of `initial_window_bytes`.
    #[must_use]
    pub fn new(smss: u16, initial_window_bytes: u32, seed: u32) -> Self {
        Self {
            smss: smss.max(1).into(),
            cwnd: initial_window_bytes,
            initial_window: initial_window_bytes,
            prior_cwnd: 0,
            pacing_rate: 0,
            initial_rate: Flag::Set,
            phase: Phase::Startup,
            model: Model::new(),
            cycle: phases::Cycle::new(),
            probe_rtt: ProbeRtt::new(),
            full_bandwidth: phases::FullBandwidth::new(),
            idle_restart: Flag::Clear,
            drain_start_round: 0,
            undo: Undo { bounds: model::Bounds::NONE, phase: None },
            // Zero would stay zero.
            random: Random(seed | 1),
        }
    }

    fn min_pipe_window(&self) -> u32 {
        MIN_PIPE_SEGMENTS * self.smss
    }

    /// `SaveStateUponLoss`.
    fn save_state_upon_loss(&mut self) {
        self.undo = Undo { bounds: self.model.bounds, phase: None };
        self.save_window();
    }

    /// `UpdateModelAndState`.
    fn update_model_and_state(&mut self, sample: &AckSample) {
        let Some(rate) = &sample.rate else {
            self.model.note_loss(sample);
            return;
        };
        self.model.update_round(rate);
        self.model.note_loss(sample);
        if sample.flight_before_bytes.saturating_add(self.smss) > self.cwnd {
            self.model.note_full_window();
        }
        self.model.update_latest_signals(rate);
        self.model.update_max_bandwidth(rate);
        if self.model.loss_round_start == Flag::Set {
            if !self.phase.is_probing_bandwidth() {
                self.model.adapt_lower_bounds(self.cwnd);
            }
            self.check_startup_loss(rate);
            self.model.end_loss_round();
        }
        let full = self.full_bandwidth.reached;
        self.model.update_aggregation(sample, self.cwnd, full);
        self.check_full_bandwidth(rate);
        self.check_startup_done();
        self.check_drain_done(sample);
        self.update_probe_bandwidth(sample, rate);
        self.update_min_rtt(sample);
        self.check_probe_rtt(sample);
        self.model.advance_latest_signals(rate);
    }
}

impl Congestion for Bbr {
    fn on_ack(&mut self, sample: &AckSample) {
        if let Some(loss) = &sample.loss {
            self.handle_lost_segment(sample, loss);
        }
        self.update_model_and_state(sample);
        self.set_pacing_rate(sample.srtt);
        self.set_window(sample);
    }

    fn on_loss(&mut self, _flight_bytes: u32) {
        self.save_state_upon_loss();
    }

    fn on_ecn(&mut self, _flight_bytes: u32) {
        self.model.loss_in_round = Flag::Set;
    }

    fn on_recovery_exit(&mut self, _flight_bytes: u32) {
        self.restore_window();
    }

    fn on_timeout(&mut self, _flight_bytes: u32, timeout: Timeout) {
        if timeout == Timeout::First {
            self.save_state_upon_loss();
        }
        self.cwnd = self.smss;
    }

    fn on_undo(&mut self) {
        self.model.loss_in_round = Flag::Clear;
        self.model.bounds.raise_to(self.undo.bounds);
        self.full_bandwidth.reset_count();
        self.restore_window();
        match self.undo.phase.take() {
            Some(Phase::Startup) => {
                self.full_bandwidth.reached = Flag::Clear;
                if self.phase != Phase::ProbeRtt {
                    self.phase = Phase::Startup;
                }
            }
            Some(Phase::Up) if !matches!(self.phase, Phase::Up | Phase::ProbeRtt) => self.start_refill(),
            _ => {}
        }
    }

    // The window is as good after a silence as before it: the rate is what keeps a burst from forming.
    fn on_idle_restart(&mut self, now: Instant, _restart_window_bytes: u32) {
        self.idle_restart = Flag::Set;
        self.model.restart_aggregation(now);
        match self.phase {
            Phase::ProbeRtt => self.check_probe_rtt_done(now),
            phase if phase.is_probe_bandwidth() => self.set_pacing_rate_with_gain(control::Gain::ONE),
            _ => {}
        }
    }

    fn on_segment_size(&mut self, smss: u16) {
        self.smss = smss.max(1).into();
        self.cwnd = self.cwnd.max(self.min_pipe_window());
    }

    fn window_bytes(&self) -> u32 {
        self.cwnd.clamp(self.smss, WINDOW_MAX_BYTES)
    }

    fn slow_start_threshold_bytes(&self) -> u32 {
        u32::MAX
    }

    fn pacing_rate_bytes_per_s(&self, srtt: Duration) -> u64 {
        match self.initial_rate {
            Flag::Set => self.nominal_rate(srtt),
            Flag::Clear => self.pacing_rate,
        }
    }

    fn pacing_wish(&self) -> PacingWish {
        PacingWish::Required
    }

    // What ProbeRTT delivers says nothing about the path (`MarkConnectionAppLimited`).
    fn sample_limit(&self) -> Limit {
        if self.phase == Phase::ProbeRtt { Limit::Other } else { Limit::CongestionWindow }
    }

    fn recovery_window(&self) -> RecoveryWindow {
        RecoveryWindow::Algorithm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::{LossSample, RateSample, tests::ack};

    const SMSS: u32 = 1000;
    const RTT: Duration = Duration::from_millis(50);
    /// What fits on a path of 1 MB/s.
    const BDP: u32 = 50_000;

    /// A sender that learns once a round trip what became of all it had sent.
    struct Sender {
        bbr: Bbr,
        now: Instant,
        rtt: Duration,
        delivered: u32,
    }

    impl Sender {
        fn new() -> Self {
            Self { bbr: Bbr::new(1000, 10 * SMSS, 7), now: Instant::ZERO, rtt: RTT, delivered: 0 }
        }

        /// `flight_bytes` came through at `rate_bytes_per_s`.
        fn sample(&mut self, flight_bytes: u32, rate_bytes_per_s: u64) -> AckSample {
            self.now += RTT;
            let prior_delivered_bytes = self.delivered;
            self.delivered += flight_bytes;
            let interval = u64::from(flight_bytes) * 1_000_000_000 / rate_bytes_per_s;
            let rate = RateSample {
                delivered_bytes: flight_bytes,
                interval: Duration::from_nanos(interval),
                prior_delivered_bytes,
                total_delivered_bytes: self.delivered,
                limited: self.bbr.sample_limit(),
                flight_at_send_bytes: flight_bytes,
                lost_bytes: 0,
            };
            let (now, rtt) = (self.now, Some(self.rtt));
            AckSample {
                now,
                rtt,
                srtt: rtt,
                flight_bytes,
                flight_before_bytes: flight_bytes,
                rate: Some(rate),
                ..ack(flight_bytes)
            }
        }

        fn round(&mut self, flight_bytes: u32, rate_bytes_per_s: u64) -> Phase {
            let sample = self.sample(flight_bytes, rate_bytes_per_s);
            self.bbr.on_ack(&sample);
            self.bbr.phase
        }

        /// Rounds that fill the path, until `phase`.
        fn fill_until(&mut self, phase: Phase) {
            for _ in 0..200 {
                if self.round(BDP, 1_000_000) == phase {
                    return;
                }
            }
            panic!("still in {:?}", self.bbr.phase);
        }

        /// So often a tenth of a window that is always full comes through.
        fn tenths(&mut self, count: usize) -> Phase {
            for _ in 0..count {
                let (window, now) = (self.bbr.window_bytes(), self.now + RTT / 10);
                let mut sample = self.sample(window / 10, 1_000_000);
                (self.now, sample.now) = (now, now);
                (sample.flight_bytes, sample.flight_before_bytes) = (window, window);
                let prior_delivered_bytes = self.delivered - window;
                sample.rate = sample.rate.map(|rate| RateSample { prior_delivered_bytes, ..rate });
                self.bbr.on_ack(&sample);
            }
            self.bbr.phase
        }

        /// Three of 60 segments are lost.
        fn lose(&mut self) {
            let flight_at_send_bytes = 60 * SMSS;
            let mut sample = self.sample(flight_at_send_bytes, 1_000_000);
            sample.lost_bytes = 3 * SMSS;
            sample.rate = sample.rate.map(|rate| RateSample { lost_bytes: 3 * SMSS, ..rate });
            let (len_bytes, limited) = (SMSS, Limit::CongestionWindow);
            sample.loss = Some(LossSample { len_bytes, flight_at_send_bytes, lost_bytes: 2 * SMSS, limited });
            self.bbr.on_loss(BDP);
            self.bbr.on_ack(&sample);
        }
    }

    #[test]
    fn a_probe_turns_back_where_the_last_one_lost_and_comes_again_when_it_lost_nothing() {
        let mut sender = Sender::new();
        sender.fill_until(Phase::Up);
        sender.lose();
        let bound = sender.bbr.model.bounds.inflight_hi;
        assert_eq!((sender.bbr.phase, bound / SMSS), (Phase::Down, 59));
        // A shorter round trip puts ProbeRTT off.
        sender.rtt -= Duration::from_micros(1);
        sender.fill_until(Phase::Up);
        assert_eq!(sender.tenths(1), Phase::Down);
        assert_eq!(sender.tenths(10), Phase::Refill, "without a time of cruising");
        assert_eq!(sender.tenths(10), Phase::Up);
        assert_eq!(sender.tenths(10), Phase::Up, "at the bound it stays");
    }

    #[test]
    fn a_probe_goes_on_as_long_as_its_bound_is_what_limits_it() {
        let mut sender = Sender::new();
        let bound = 60 * SMSS;
        sender.fill_until(Phase::Cruise);
        sender.bbr.model.bounds.inflight_hi = bound;
        sender.fill_until(Phase::Up);
        assert_eq!(sender.tenths(60), Phase::Up, "after six rounds without more bandwidth");
        let raised = (sender.bbr.model.bounds.inflight_hi - bound) / SMSS;
        assert!(raised > 7, "{raised} segments");
    }

    #[test]
    fn what_probe_rtt_delivers_does_not_make_it_forget_the_bandwidth() {
        let mut sender = Sender::new();
        sender.fill_until(Phase::ProbeRtt);
        for _ in 0..20 {
            sender.round(BDP / 2, 500_000);
        }
        assert_eq!(sender.bbr.model.max_bw(), 1_000_000);
    }

    #[test]
    fn drain_ends_after_three_rounds_though_the_queue_stays() {
        let mut sender = Sender::new();
        while sender.round(2 * BDP, 1_000_000) != Phase::Drain {}
        for _ in 0..3 {
            assert_eq!(sender.round(2 * BDP, 1_000_000), Phase::Drain);
        }
        assert_eq!(sender.round(2 * BDP, 1_000_000), Phase::Down);
    }

    #[test]
    fn a_probe_that_a_spurious_loss_ended_begins_again() {
        let mut sender = Sender::new();
        sender.fill_until(Phase::Up);
        let before = sender.bbr.model.bounds;
        sender.lose();
        assert_eq!(sender.bbr.phase, Phase::Down);
        sender.bbr.on_undo();
        assert_eq!((sender.bbr.phase, sender.bbr.model.bounds), (Phase::Refill, before));
    }

    #[test]
    fn a_round_with_losses_begins_with_the_first() {
        let mut sender = Sender::new();
        sender.fill_until(Phase::Cruise);
        sender.lose();
        assert_eq!(sender.bbr.model.bounds.bw_lo, u64::MAX, "not before its end");
        sender.round(BDP, 900_000);
        assert_eq!(sender.bbr.model.bounds.bw_lo, 1_000_000, "the most that was seen in it");
    }
}
