//! BBR version 3 (draft-ietf-ccwg-bbr): a model of the path, its bandwidth and its least round trip, says how
//! fast and how much to send; losses correct the model and are not what it steers by.
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

use super::{AckSample, Congestion, PacingWish, RecoveryWindow, Timeout, WINDOW_MAX_BYTES};
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
    undo: model::Bounds,
    random: Random,
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
            undo: model::Bounds::NONE,
            // Zero would stay zero.
            random: Random(seed | 1),
        }
    }

    fn min_pipe_window(&self) -> u32 {
        MIN_PIPE_SEGMENTS * self.smss
    }

    /// `UpdateModelAndState`.
    fn update_model_and_state(&mut self, sample: &AckSample) {
        let Some(rate) = &sample.rate else {
            self.model.note_loss(sample);
            return;
        };
        self.model.update_round(rate);
        self.model.note_loss(sample);
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
        self.undo = self.model.bounds;
        self.save_window();
    }

    fn on_ecn(&mut self, _flight_bytes: u32) {
        self.model.loss_in_round = Flag::Set;
    }

    fn on_recovery_exit(&mut self, _flight_bytes: u32) {
        self.restore_window();
    }

    fn on_timeout(&mut self, _flight_bytes: u32, timeout: Timeout) {
        if timeout == Timeout::First {
            self.undo = self.model.bounds;
            self.save_window();
        }
        self.cwnd = self.smss;
    }

    fn on_undo(&mut self) {
        self.model.loss_in_round = Flag::Clear;
        self.model.bounds.raise_to(self.undo);
        self.full_bandwidth.reset_count();
        self.restore_window();
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

    fn recovery_window(&self) -> RecoveryWindow {
        RecoveryWindow::Algorithm
    }
}
