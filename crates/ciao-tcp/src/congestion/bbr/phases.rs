//! Which state are we in, and when does it end? Startup, Drain, the four phases of ProbeBW, and ProbeRTT
//! (draft-ietf-ccwg-bbr §5.3).

use super::Bbr;
use super::control::Gain;
use super::model::{BETA_TENTHS, Flag, UNBOUNDED};
use crate::congestion::{AckSample, Limit, LossSample, RateSample};
use crate::delivery_rate::LOSS_THRESHOLD_DIVISOR;
use ciao_wire::Instant;
use core::time::Duration;

/// Rounds without growth of a quarter that show the pipe to be full: `StartupFullBwCnt`.
const FULL_BANDWIDTH_ROUNDS: u8 = 3;
/// Acknowledgments with losses in one round that end Startup: `StartupFullLossCnt`.
const STARTUP_LOSS_EVENTS: u8 = 6;
/// `MinRTTFilterLen`.
const MIN_RTT_WINDOW: Duration = Duration::from_secs(10);
/// `ProbeRTTInterval`.
const PROBE_RTT_INTERVAL: Duration = Duration::from_secs(5);
/// `ProbeRTTDuration`.
const PROBE_RTT_DURATION: Duration = Duration::from_millis(200);
/// Least time from one probe for bandwidth to the next; up to as long again is left to chance (§5.3.3.6:
/// 2 to 3 s).
const PROBE_WAIT_MILLIS: u32 = 2000;
const PROBE_WAIT_RANDOM_MILLIS: u32 = 1000;
/// Rounds after which Reno would have grown enough to be probed against (§5.3.3.7).
const RENO_ROUNDS_MAX: u32 = 63;
/// Greatest doubling of the probing step: `bw_probe_up_rounds`.
const PROBE_UP_ROUNDS_MAX: u8 = 30;

/// The state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The rate doubles each round until the bandwidth does not follow.
    Startup,
    /// The queue that Startup built empties.
    Drain,
    /// ProbeBW_DOWN: less than the bandwidth, until the queue is gone and there is room for others.
    Down,
    /// ProbeBW_CRUISE: at the bandwidth, without a queue.
    Cruise,
    /// ProbeBW_REFILL: the pipe is filled for one round, so that the next phase meets no empty queue.
    Refill,
    /// ProbeBW_UP: more than the bandwidth, to see whether there is more.
    Up,
    /// A small window, to see the least round trip.
    ProbeRtt,
}

impl Phase {
    pub(super) fn is_probe_bandwidth(self) -> bool {
        matches!(self, Self::Down | Self::Cruise | Self::Refill | Self::Up)
    }

    /// Losses are expected: `IsProbingBW`.
    pub(super) fn is_probing_bandwidth(self) -> bool {
        matches!(self, Self::Startup | Self::Refill | Self::Up)
    }
}

/// What the acknowledgments coming in now tell about: `ack_phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AckPhase {
    Init,
    Refilling,
    ProbeStarting,
    ProbeFeedback,
    ProbeStopping,
}

/// The cycle of ProbeBW.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cycle {
    /// `cycle_stamp`: when the phase began that `wait` counts from.
    started_at: Instant,
    /// `bw_probe_wait`.
    wait: Duration,
    /// The round, less a random one, of the last probe.
    probe_round: u32,
    ack_phase: AckPhase,
    /// `bw_probe_samples`: samples of the probe are coming in.
    samples: Flag,
    /// `bw_probe_up_rounds`.
    up_rounds: u8,
    /// What is left over of raising the bound.
    up_remainder: u64,
}

impl Cycle {
    pub(super) fn new() -> Self {
        Self {
            started_at: Instant::ZERO,
            wait: Duration::ZERO,
            probe_round: 0,
            ack_phase: AckPhase::Init,
            samples: Flag::Clear,
            up_rounds: 0,
            up_remainder: 0,
        }
    }
}

/// Whether the pipe is full.
#[derive(Clone, Copy, Debug)]
pub(super) struct FullBandwidth {
    /// `full_bw`.
    baseline: u64,
    count: u8,
    /// `full_bw_now`.
    now: Flag,
    /// `full_bw_reached`: it was full once.
    pub(super) reached: Flag,
}

impl FullBandwidth {
    pub(super) fn new() -> Self {
        Self { baseline: 0, count: 0, now: Flag::Clear, reached: Flag::Clear }
    }

    pub(super) fn reset_count(&mut self) {
        (self.baseline, self.count, self.now) = (0, 0, Flag::Clear);
    }
}

/// The measuring of the least round trip.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProbeRtt {
    /// `probe_rtt_min_delay` and its stamp.
    min_delay: Option<Duration>,
    min_at: Instant,
    expired: Flag,
    /// `probe_rtt_done_stamp`.
    done_at: Option<Instant>,
    round_done: Flag,
}

impl ProbeRtt {
    pub(super) fn new() -> Self {
        Self {
            min_delay: None,
            min_at: Instant::ZERO,
            expired: Flag::Clear,
            done_at: None,
            round_done: Flag::Clear,
        }
    }
}

/// `IsInflightTooHigh`.
fn is_too_high(lost_bytes: u32, flight_at_send_bytes: u32) -> bool {
    lost_bytes > flight_at_send_bytes / LOSS_THRESHOLD_DIVISOR
}

impl Bbr {
    /// `CheckFullBWReached`.
    pub(super) fn check_full_bandwidth(&mut self, rate: &RateSample) {
        let full = &mut self.full_bandwidth;
        if full.now == Flag::Set || self.model.round_start == Flag::Clear || rate.limited == Limit::Other {
            return;
        }
        let bandwidth = rate.bytes_per_s();
        if bandwidth >= full.baseline + full.baseline / 4 {
            full.reset_count();
            full.baseline = bandwidth;
            return;
        }
        full.count += 1;
        if full.count >= FULL_BANDWIDTH_ROUNDS {
            full.now = Flag::Set;
            full.reached = Flag::Set;
        }
    }

    /// `CheckStartupHighLoss`, at the end of a round.
    pub(super) fn check_startup_loss(&mut self, rate: &RateSample) {
        let lost_often = self.model.loss_events_in_round >= STARTUP_LOSS_EVENTS;
        let is_full = self.full_bandwidth.reached == Flag::Set;
        if !is_full && lost_often && is_too_high(rate.lost_bytes, rate.flight_at_send_bytes) {
            self.full_bandwidth.reached = Flag::Set;
            let bdp = self.inflight(self.model.max_bw(), Gain::ONE);
            self.model.bounds.inflight_hi = bdp.max(self.model.inflight_latest);
        }
    }

    pub(super) fn check_startup_done(&mut self) {
        if self.phase == Phase::Startup && self.full_bandwidth.reached == Flag::Set {
            self.phase = Phase::Drain;
        }
    }

    pub(super) fn check_drain_done(&mut self, sample: &AckSample) {
        let target = self.inflight(self.model.max_bw(), Gain::ONE);
        if self.phase == Phase::Drain && sample.flight_bytes <= target {
            self.start_down(sample);
        }
    }

    /// `StartProbeBW_DOWN`: a new cycle begins.
    fn start_down(&mut self, sample: &AckSample) {
        self.begin_cycle(sample.now);
        self.start_round(sample);
        self.phase = Phase::Down;
    }

    fn begin_cycle(&mut self, now: Instant) {
        self.model.reset_signals();
        let cycle = &mut self.cycle;
        cycle.probe_round = self.model.round_count.wrapping_sub(self.random.below(2));
        let millis = PROBE_WAIT_MILLIS + self.random.below(PROBE_WAIT_RANDOM_MILLIS);
        cycle.wait = Duration::from_millis(millis.into());
        cycle.started_at = now;
        cycle.ack_phase = AckPhase::ProbeStopping;
    }

    fn start_refill(&mut self, sample: &AckSample) {
        self.model.bounds.reset_lower();
        self.cycle.up_rounds = 0;
        self.cycle.up_remainder = 0;
        self.cycle.ack_phase = AckPhase::Refilling;
        self.start_round(sample);
        self.phase = Phase::Refill;
    }

    fn start_up(&mut self, sample: &AckSample, rate: &RateSample) {
        self.cycle.samples = Flag::Set;
        self.cycle.ack_phase = AckPhase::ProbeStarting;
        self.start_round(sample);
        self.full_bandwidth.reset_count();
        self.full_bandwidth.baseline = rate.bytes_per_s();
        self.phase = Phase::Up;
        self.raise_slope();
    }

    fn start_round(&mut self, sample: &AckSample) {
        if let Some(rate) = &sample.rate {
            self.model.start_round(rate.total_delivered_bytes);
        }
    }

    /// `UpdateProbeBWCyclePhase`.
    pub(super) fn update_probe_bandwidth(&mut self, sample: &AckSample, rate: &RateSample) {
        if self.full_bandwidth.reached == Flag::Clear {
            return;
        }
        self.adapt_upper_bounds(sample, rate);
        match self.phase {
            Phase::Down => {
                if self.is_time_to_probe(sample) {
                    self.start_refill(sample);
                } else if self.is_time_to_cruise(sample) {
                    self.phase = Phase::Cruise;
                }
            }
            Phase::Cruise if self.is_time_to_probe(sample) => self.start_refill(sample),
            Phase::Refill if self.model.round_start == Flag::Set => self.start_up(sample, rate),
            Phase::Up => self.consider_going_down(sample, rate),
            _ => {}
        }
    }

    fn is_time_to_cruise(&self, sample: &AckSample) -> bool {
        sample.flight_bytes <= self.inflight_with_headroom()
            && sample.flight_bytes <= self.inflight(self.model.max_bw(), Gain::ONE)
    }

    /// The wait is over, or Reno would have grown by what it takes to find out about it.
    fn is_time_to_probe(&self, sample: &AckSample) -> bool {
        let rounds = self.model.round_count.wrapping_sub(self.cycle.probe_round);
        let reno_rounds = (self.target_inflight() / self.smss).min(RENO_ROUNDS_MAX);
        sample.now.since(self.cycle.started_at) > self.cycle.wait || rounds >= reno_rounds.max(1)
    }

    /// The window fills the bound: it is being raised, and what it brings is awaited. Else the probe ends
    /// when the bandwidth does not follow.
    fn consider_going_down(&mut self, sample: &AckSample, rate: &RateSample) {
        if self.is_window_limited(sample) && self.cwnd >= self.model.bounds.inflight_hi {
            self.full_bandwidth.reset_count();
            self.full_bandwidth.baseline = rate.bytes_per_s();
        } else if self.full_bandwidth.now == Flag::Set {
            self.start_down(sample);
        }
    }

    fn is_window_limited(&self, sample: &AckSample) -> bool {
        sample.flight_before_bytes.saturating_add(self.smss) > self.cwnd
    }

    /// `AdaptUpperBounds`.
    fn adapt_upper_bounds(&mut self, sample: &AckSample, rate: &RateSample) {
        if self.model.round_start == Flag::Set {
            match self.cycle.ack_phase {
                AckPhase::ProbeStarting => self.cycle.ack_phase = AckPhase::ProbeFeedback,
                AckPhase::ProbeStopping => {
                    self.cycle.samples = Flag::Clear;
                    self.cycle.ack_phase = AckPhase::Init;
                    if self.phase.is_probe_bandwidth() && rate.limited == Limit::CongestionWindow {
                        self.model.advance_max_bandwidth();
                    }
                }
                AckPhase::Init | AckPhase::Refilling | AckPhase::ProbeFeedback => {}
            }
        }
        if is_too_high(rate.lost_bytes, rate.flight_at_send_bytes) {
            if self.cycle.samples == Flag::Set {
                self.handle_inflight_too_high(sample, rate.flight_at_send_bytes, rate.limited);
            }
            return;
        }
        let bounds = &mut self.model.bounds;
        if bounds.inflight_hi == UNBOUNDED {
            return;
        }
        bounds.inflight_hi = bounds.inflight_hi.max(rate.flight_at_send_bytes);
        if self.phase == Phase::Up {
            self.probe_inflight_upward(sample);
        }
    }

    /// `HandleInflightTooHigh`: `inflight` lost too much.
    fn handle_inflight_too_high(&mut self, sample: &AckSample, inflight: u32, limited: Limit) {
        self.cycle.samples = Flag::Clear;
        if limited == Limit::CongestionWindow {
            let floor = self.target_inflight() / 10 * BETA_TENTHS;
            self.model.bounds.inflight_hi = inflight.max(floor);
        }
        if self.phase == Phase::Up {
            self.start_down(sample);
        }
    }

    /// `HandleLostPacket`, for the first segment whose loss crossed the threshold: at which volume in flight
    /// did it?
    pub(super) fn handle_lost_segment(&mut self, sample: &AckSample, loss: &LossSample) {
        if self.cycle.samples == Flag::Clear {
            return;
        }
        // `InflightAtLoss`: so much of the segment may be lost that the losses are just at the threshold.
        let before = loss.flight_at_send_bytes.saturating_sub(loss.len_bytes);
        let lost_before = loss.lost_bytes.saturating_sub(loss.len_bytes);
        let allowed = (before / LOSS_THRESHOLD_DIVISOR).saturating_sub(lost_before);
        let prefix = allowed / (LOSS_THRESHOLD_DIVISOR - 1) * LOSS_THRESHOLD_DIVISOR;
        self.handle_inflight_too_high(sample, before.saturating_add(prefix), loss.limited);
    }

    /// `ProbeInflightLongtermUpward`: one segment more a round, then two, four, …, while it is being used.
    fn probe_inflight_upward(&mut self, sample: &AckSample) {
        let bound = self.model.bounds.inflight_hi;
        if !self.is_window_limited(sample) || self.cwnd < bound {
            return;
        }
        let cwnd = u64::from(self.cwnd.max(1));
        let step = u64::from(self.smss) << self.cycle.up_rounds.saturating_sub(1);
        let growth = step.min(cwnd) * u64::from(sample.delivered_bytes) + self.cycle.up_remainder;
        self.cycle.up_remainder = growth % cwnd;
        let growth = u32::try_from(growth / cwnd).unwrap_or(u32::MAX);
        self.model.bounds.inflight_hi = bound.saturating_add(growth).min(UNBOUNDED - 1);
        if self.model.round_start == Flag::Set {
            self.raise_slope();
        }
    }

    fn raise_slope(&mut self) {
        self.cycle.up_rounds = (self.cycle.up_rounds + 1).min(PROBE_UP_ROUNDS_MAX);
    }

    /// `UpdateMinRTT`.
    pub(super) fn update_min_rtt(&mut self, sample: &AckSample) {
        let now = sample.now;
        let probe = &mut self.probe_rtt;
        let expired = probe.min_delay.is_some() && now.since(probe.min_at) > PROBE_RTT_INTERVAL;
        probe.expired = Flag::when(expired);
        if let Some(rtt) = sample.rtt
            && (expired || probe.min_delay.is_none_or(|least| rtt < least))
        {
            probe.min_delay = Some(rtt);
            probe.min_at = now;
        }
        let model = &mut self.model;
        let is_old = now.since(model.min_rtt_at) > MIN_RTT_WINDOW;
        if let Some(delay) = probe.min_delay
            && (is_old || model.min_rtt.is_none_or(|least| delay < least))
        {
            model.min_rtt = Some(delay);
            model.min_rtt_at = probe.min_at;
        }
    }

    /// `CheckProbeRTT`.
    pub(super) fn check_probe_rtt(&mut self, sample: &AckSample) {
        let is_due = self.probe_rtt.expired == Flag::Set && self.idle_restart == Flag::Clear;
        if self.phase != Phase::ProbeRtt && is_due {
            self.save_window();
            self.phase = Phase::ProbeRtt;
            self.probe_rtt.done_at = None;
            self.cycle.ack_phase = AckPhase::ProbeStopping;
            self.start_round(sample);
        }
        if self.phase == Phase::ProbeRtt {
            self.handle_probe_rtt(sample);
        }
        if sample.delivered_bytes > 0 {
            self.idle_restart = Flag::Clear;
        }
    }

    fn handle_probe_rtt(&mut self, sample: &AckSample) {
        if self.probe_rtt.done_at.is_none() {
            if sample.flight_bytes <= self.probe_rtt_window() {
                self.probe_rtt.done_at = Some(sample.now + PROBE_RTT_DURATION);
                self.probe_rtt.round_done = Flag::Clear;
                self.start_round(sample);
            }
            return;
        }
        if self.model.round_start == Flag::Set {
            self.probe_rtt.round_done = Flag::Set;
        }
        if self.probe_rtt.round_done == Flag::Set {
            self.check_probe_rtt_done(sample.now);
        }
    }

    /// `CheckProbeRTTDone` and `ExitProbeRTT`.
    pub(super) fn check_probe_rtt_done(&mut self, now: Instant) {
        if self.probe_rtt.done_at.is_none_or(|done_at| now <= done_at) {
            return;
        }
        self.probe_rtt.min_at = now;
        self.probe_rtt.done_at = None;
        self.restore_window();
        self.model.bounds.reset_lower();
        if self.full_bandwidth.reached == Flag::Set {
            self.begin_cycle(now);
            self.phase = Phase::Cruise;
        } else {
            self.phase = Phase::Startup;
        }
    }
}
