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
/// Rounds after which Drain ends, whatever is in flight: what Startup measured was more than our share.
const DRAIN_ROUNDS_MAX: u32 = 3;
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

/// What follows when all is acknowledged that a probe sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterProbe {
    Nothing,
    /// It turned back in time, and lost nothing: the next one may go further, and at once.
    ProbeOn,
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
    /// `bw_probe_up_acked`: delivered since the bound was raised last.
    up_acked: u32,
    /// `probe_up_acked_per_inc`: so much delivered raises the bound by a segment.
    acked_per_raise: u32,
    /// `prev_probe_too_high`: the last probe lost too much.
    too_high: Flag,
    /// `prev_probe_precautionary`: this one ended as soon as it came to where the last one had lost.
    precautionary: Flag,
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
            up_acked: 0,
            acked_per_raise: u32::MAX,
            too_high: Flag::Clear,
            precautionary: Flag::Clear,
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
            self.undo.phase = Some(Phase::Startup);
            let bdp = self.inflight(self.model.max_bw(), Gain::ONE);
            self.model.bounds.inflight_hi = bdp.max(self.model.inflight_latest);
        }
    }

    pub(super) fn check_startup_done(&mut self) {
        if self.phase == Phase::Startup && self.full_bandwidth.reached == Flag::Set {
            self.phase = Phase::Drain;
            self.drain_start_round = self.model.round_count;
        }
    }

    pub(super) fn check_drain_done(&mut self, sample: &AckSample) {
        if self.phase != Phase::Drain {
            return;
        }
        let rounds = self.model.round_count.wrapping_sub(self.drain_start_round);
        let target = self.inflight(self.model.max_bw(), Gain::ONE);
        if sample.flight_bytes <= target || rounds > DRAIN_ROUNDS_MAX {
            self.start_down(sample.now);
        }
    }

    /// `StartProbeBW_DOWN`: a new cycle begins.
    fn start_down(&mut self, now: Instant) {
        self.phase = Phase::Down;
        self.model.reset_signals();
        self.model.start_round();
        let cycle = &mut self.cycle;
        cycle.probe_round = self.model.round_count.wrapping_sub(self.random.below(2));
        let millis = PROBE_WAIT_MILLIS + self.random.below(PROBE_WAIT_RANDOM_MILLIS);
        cycle.wait = Duration::from_millis(millis.into());
        cycle.started_at = now;
        cycle.ack_phase = AckPhase::ProbeStopping;
    }

    /// `StartProbeBW_REFILL`.
    pub(super) fn start_refill(&mut self) {
        self.model.bounds.reset_lower();
        self.cycle.up_rounds = 0;
        self.cycle.up_acked = 0;
        self.cycle.precautionary = Flag::Clear;
        self.cycle.ack_phase = AckPhase::Refilling;
        self.model.start_round();
        self.phase = Phase::Refill;
    }

    /// `StartProbeBW_UP`.
    fn start_up(&mut self, rate: &RateSample) {
        self.cycle.samples = Flag::Set;
        self.cycle.ack_phase = AckPhase::ProbeStarting;
        self.model.start_round();
        self.full_bandwidth.reset_count();
        self.full_bandwidth.baseline = rate.bytes_per_s();
        self.phase = Phase::Up;
        self.raise_slope();
    }

    /// `UpdateProbeBWCyclePhase`.
    pub(super) fn update_probe_bandwidth(&mut self, sample: &AckSample, rate: &RateSample) {
        if self.full_bandwidth.reached == Flag::Clear {
            return;
        }
        if self.end_probe_feedback(rate) == AfterProbe::ProbeOn {
            self.start_refill();
            return;
        }
        self.raise_upper_bound(sample, rate);
        match self.phase {
            Phase::Down => {
                if self.is_time_to_probe(sample) {
                    self.start_refill();
                } else if self.is_time_to_cruise(sample) {
                    self.phase = Phase::Cruise;
                }
            }
            Phase::Cruise if self.is_time_to_probe(sample) => self.start_refill(),
            Phase::Refill if self.model.round_start == Flag::Set => self.start_up(rate),
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

    /// `IsTimeToGoDown`. Where the last probe lost too much, this one turns back, and comes again when that
    /// was no loss. Where the window fills the bound, the bound is being raised, and what it brings is
    /// awaited. Else the probe ends when the bandwidth does not follow.
    fn consider_going_down(&mut self, sample: &AckSample, rate: &RateSample) {
        let bound = self.model.bounds.inflight_hi;
        let is_at_bound = sample.flight_before_bytes.saturating_add(self.smss) > bound;
        if self.cycle.too_high == Flag::Set && is_at_bound {
            self.cycle.precautionary = Flag::Set;
        } else if self.model.is_window_limited() && self.cwnd >= bound {
            self.full_bandwidth.reset_count();
            self.full_bandwidth.baseline = rate.bytes_per_s();
            return;
        } else if self.full_bandwidth.now == Flag::Clear {
            return;
        }
        self.cycle.too_high = Flag::Clear;
        self.start_down(sample.now);
    }

    /// `AdaptLongTermModel`, its first half: which part of a probe do the acknowledgments of this round tell
    /// about?
    fn end_probe_feedback(&mut self, rate: &RateSample) -> AfterProbe {
        if self.model.round_start == Flag::Clear {
            return AfterProbe::Nothing;
        }
        match self.cycle.ack_phase {
            AckPhase::ProbeStarting => self.cycle.ack_phase = AckPhase::ProbeFeedback,
            AckPhase::ProbeStopping => {
                self.cycle.samples = Flag::Clear;
                self.cycle.ack_phase = AckPhase::Init;
                if !self.phase.is_probe_bandwidth() {
                    return AfterProbe::Nothing;
                }
                if rate.limited == Limit::CongestionWindow {
                    self.model.advance_max_bandwidth();
                }
                if self.cycle.precautionary == Flag::Set && self.cycle.too_high == Flag::Clear {
                    return AfterProbe::ProbeOn;
                }
            }
            AckPhase::Init | AckPhase::Refilling | AckPhase::ProbeFeedback => {}
        }
        AfterProbe::Nothing
    }

    /// `AdaptLongTermModel`, its second half: what was in flight and did not lose too much is safe.
    fn raise_upper_bound(&mut self, sample: &AckSample, rate: &RateSample) {
        let is_high = is_too_high(rate.lost_bytes, rate.flight_at_send_bytes);
        let bounds = &mut self.model.bounds;
        if is_high || bounds.inflight_hi == UNBOUNDED {
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
        self.cycle.too_high = Flag::Set;
        if limited == Limit::CongestionWindow {
            let floor = self.target_inflight() / 10 * BETA_TENTHS;
            self.model.bounds.inflight_hi = inflight.max(floor);
        }
        if self.phase == Phase::Up {
            self.undo.phase = Some(Phase::Up);
            self.start_down(sample.now);
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
    /// Whole segments, so that the window is at the bound in between, which shows that the bound limits it.
    fn probe_inflight_upward(&mut self, sample: &AckSample) {
        let bound = self.model.bounds.inflight_hi;
        if !self.model.is_window_limited() || self.cwnd < bound {
            return;
        }
        let cycle = &mut self.cycle;
        cycle.up_acked = cycle.up_acked.saturating_add(sample.delivered_bytes);
        let segments = cycle.up_acked / cycle.acked_per_raise;
        cycle.up_acked %= cycle.acked_per_raise;
        let raised = bound.saturating_add(segments.saturating_mul(self.smss));
        self.model.bounds.inflight_hi = raised.min(UNBOUNDED - 1);
        if self.model.round_start == Flag::Set {
            self.raise_slope();
        }
    }

    /// `RaiseInflightLongtermSlope`.
    fn raise_slope(&mut self) {
        let growth = 1 << self.cycle.up_rounds;
        self.cycle.up_rounds = (self.cycle.up_rounds + 1).min(PROBE_UP_ROUNDS_MAX);
        self.cycle.acked_per_raise = (self.cwnd / growth).max(self.smss);
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
            self.model.start_round();
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
                self.model.start_round();
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
            self.start_down(now);
            self.phase = Phase::Cruise;
        } else {
            self.phase = Phase::Startup;
        }
    }
}
