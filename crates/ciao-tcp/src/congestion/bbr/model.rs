//! What is known of the path: [`Model`], bandwidth, least round trip, aggregation of acknowledgments, and
//! bounds that losses have taught (draft-ietf-ccwg-bbr §5.5).

use crate::congestion::{AckSample, Limit, RateSample};
use ciao_wire::Instant;
use core::time::Duration;

/// `Beta`, in tenths: what is left of a bound after a round with losses.
pub(super) const BETA_TENTHS: u32 = 7;
/// `ExtraAckedFilterLen`, in rounds.
const EXTRA_ACKED_ROUNDS: u32 = 10;
/// No bound is known.
pub(super) const UNBOUNDED: u32 = u32::MAX;

/// A condition that comes and goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Flag {
    Set,
    #[default]
    Clear,
}

impl Flag {
    pub(super) fn when(condition: bool) -> Self {
        if condition { Self::Set } else { Self::Clear }
    }
}

/// What losses have taught; these are what an undo brings back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// `bw_shortterm`: the bandwidth of the last rounds with losses.
    pub(super) bw_lo: u64,
    /// `inflight_shortterm`.
    pub(super) inflight_lo: u32,
    /// `inflight_longterm`: what was in flight when probing lost too much.
    pub(super) inflight_hi: u32,
}

impl Bounds {
    pub(super) const NONE: Self = Self { bw_lo: u64::MAX, inflight_lo: UNBOUNDED, inflight_hi: UNBOUNDED };

    pub(super) fn reset_lower(&mut self) {
        (self.bw_lo, self.inflight_lo) = (u64::MAX, UNBOUNDED);
    }

    pub(super) fn raise_to(&mut self, other: Self) {
        self.bw_lo = self.bw_lo.max(other.bw_lo);
        self.inflight_lo = self.inflight_lo.max(other.inflight_lo);
        self.inflight_hi = self.inflight_hi.max(other.inflight_hi);
    }
}

/// The model.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// `MaxBwFilter`: the greatest bandwidth of this probing cycle, and of the one before.
    max_bandwidth: [u64; 2],
    pub(super) bounds: Bounds,
    /// Round trips, counted in deliveries.
    pub(super) round_count: u32,
    pub(super) round_start: Flag,
    next_round_delivered: u32,
    /// `C.delivered`; wraps.
    delivered: u32,
    /// The window was full at some time in this round, or in the one before: `C.is_cwnd_limited`.
    window_filled: [Flag; 2],
    /// `bw_latest`, `inflight_latest`: the most of this round.
    bw_latest: u64,
    pub(super) inflight_latest: u32,
    loss_round_delivered: u32,
    pub(super) loss_round_start: Flag,
    pub(super) loss_in_round: Flag,
    /// Acknowledgments that showed losses in this round.
    pub(super) loss_events_in_round: u8,
    /// `min_rtt` and when it was measured.
    pub(super) min_rtt: Option<Duration>,
    pub(super) min_rtt_at: Instant,
    aggregation: Aggregation,
}

/// More is acknowledged now and then than the bandwidth explains: `extra_acked`.
#[derive(Clone, Copy, Debug)]
struct Aggregation {
    interval_start: Instant,
    interval_delivered: u32,
    /// The greatest of this half of the filter's length, and of the half before.
    extra: [u32; 2],
    half_start_round: u32,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            max_bandwidth: [0; 2],
            bounds: Bounds::NONE,
            round_count: 0,
            round_start: Flag::Clear,
            next_round_delivered: 0,
            delivered: 0,
            window_filled: [Flag::Clear; 2],
            bw_latest: 0,
            inflight_latest: 0,
            loss_round_delivered: 0,
            loss_round_start: Flag::Clear,
            loss_in_round: Flag::Clear,
            loss_events_in_round: 0,
            min_rtt: None,
            min_rtt_at: Instant::ZERO,
            aggregation: Aggregation {
                interval_start: Instant::ZERO,
                interval_delivered: 0,
                extra: [0; 2],
                half_start_round: 0,
            },
        }
    }

    /// `max_bw`.
    pub(super) fn max_bw(&self) -> u64 {
        self.max_bandwidth[0].max(self.max_bandwidth[1])
    }

    /// `bw`: what the model believes in now.
    pub(super) fn bw(&self) -> u64 {
        self.max_bw().min(self.bounds.bw_lo)
    }

    /// A new round begins when the first byte sent in the last one is delivered.
    pub(super) fn update_round(&mut self, rate: &RateSample) {
        self.delivered = rate.total_delivered_bytes;
        let is_new = has_reached(rate.prior_delivered_bytes, self.next_round_delivered);
        self.round_start = Flag::when(is_new);
        if is_new {
            self.start_round();
            self.round_count = self.round_count.wrapping_add(1);
            self.window_filled = [Flag::Clear, self.window_filled[0]];
        }
    }

    /// `StartRound`.
    pub(super) fn start_round(&mut self) {
        self.next_round_delivered = self.delivered;
    }

    /// `C.is_cwnd_limited`.
    pub(super) fn is_window_limited(&self) -> bool {
        self.window_filled.contains(&Flag::Set)
    }

    pub(super) fn note_full_window(&mut self) {
        self.window_filled[0] = Flag::Set;
    }

    /// `NoteLoss`: what is measured from the first loss on is measured for a whole round.
    pub(super) fn note_loss(&mut self, sample: &AckSample) {
        if sample.lost_bytes == 0 {
            return;
        }
        if self.loss_in_round == Flag::Clear {
            self.loss_round_delivered = self.delivered;
        }
        self.loss_in_round = Flag::Set;
        self.loss_events_in_round = self.loss_events_in_round.saturating_add(1);
    }

    /// `UpdateLatestDeliverySignals`.
    pub(super) fn update_latest_signals(&mut self, rate: &RateSample) {
        self.bw_latest = self.bw_latest.max(rate.bytes_per_s());
        self.inflight_latest = self.inflight_latest.max(rate.delivered_bytes);
        let is_new = has_reached(rate.prior_delivered_bytes, self.loss_round_delivered);
        self.loss_round_start = Flag::when(is_new);
        if is_new {
            self.loss_round_delivered = rate.total_delivered_bytes;
        }
    }

    /// `AdvanceLatestDeliverySignals`.
    pub(super) fn advance_latest_signals(&mut self, rate: &RateSample) {
        if self.loss_round_start == Flag::Set {
            self.bw_latest = rate.bytes_per_s();
            self.inflight_latest = rate.delivered_bytes;
        }
    }

    /// `ResetCongestionSignals`.
    pub(super) fn reset_signals(&mut self) {
        self.end_loss_round();
        self.bw_latest = 0;
        self.inflight_latest = 0;
    }

    pub(super) fn end_loss_round(&mut self) {
        self.loss_in_round = Flag::Clear;
        self.loss_events_in_round = 0;
    }

    /// `UpdateMaxBw`: a sample that the application limited counts only when it is a record all the same.
    pub(super) fn update_max_bandwidth(&mut self, rate: &RateSample) {
        let bandwidth = rate.bytes_per_s();
        if bandwidth >= self.max_bw() || rate.limited == Limit::CongestionWindow {
            self.max_bandwidth[0] = self.max_bandwidth[0].max(bandwidth);
        }
    }

    /// `AdvanceMaxBwFilter`: a probing cycle is over. What it did not measure it does not forget.
    pub(super) fn advance_max_bandwidth(&mut self) {
        if self.max_bandwidth[0] > 0 {
            self.max_bandwidth = [0, self.max_bandwidth[0]];
        }
    }

    /// `AdaptLowerBoundsFromCongestion`: after a round with losses no more than that round delivered, but not
    /// below `BETA` of what was believed before.
    pub(super) fn adapt_lower_bounds(&mut self, cwnd: u32) {
        if self.loss_in_round == Flag::Clear {
            return;
        }
        let bw = self.bounds.bw_lo.min(self.max_bw());
        self.bounds.bw_lo = self.bw_latest.max(bw / 10 * u64::from(BETA_TENTHS));
        let inflight = self.bounds.inflight_lo.min(cwnd);
        self.bounds.inflight_lo = self.inflight_latest.max(inflight / 10 * BETA_TENTHS);
    }

    /// `UpdateACKAggregation`.
    pub(super) fn update_aggregation(&mut self, sample: &AckSample, cwnd: u32, full: Flag) {
        let bw = self.bw();
        let aggregation = &mut self.aggregation;
        let mut expected = volume(bw, sample.now.since(aggregation.interval_start));
        if u64::from(aggregation.interval_delivered) <= expected {
            aggregation.interval_start = sample.now;
            aggregation.interval_delivered = 0;
            expected = 0;
        }
        aggregation.interval_delivered =
            aggregation.interval_delivered.saturating_add(sample.delivered_bytes);
        let extra = u64::from(aggregation.interval_delivered).saturating_sub(expected);
        let extra = u32::try_from(extra).unwrap_or(u32::MAX).min(cwnd);
        let half = if full == Flag::Set { EXTRA_ACKED_ROUNDS / 2 } else { 1 };
        if self.round_count.wrapping_sub(aggregation.half_start_round) >= half {
            aggregation.half_start_round = self.round_count;
            aggregation.extra = [0, aggregation.extra[0]];
        }
        aggregation.extra[0] = aggregation.extra[0].max(extra);
    }

    pub(super) fn restart_aggregation(&mut self, now: Instant) {
        self.aggregation.interval_start = now;
        self.aggregation.interval_delivered = 0;
    }

    /// `extra_acked`.
    pub(super) fn extra_acked(&self) -> u32 {
        self.aggregation.extra[0].max(self.aggregation.extra[1])
    }
}

/// Bytes that `rate` bytes a second make in `time`.
pub(super) fn volume(rate: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(rate) * time.as_nanos() / 1_000_000_000).unwrap_or(u64::MAX)
}

/// Whether the count `value`, which wraps, has come to `mark`.
fn has_reached(value: u32, mark: u32) -> bool {
    value.wrapping_sub(mark).cast_signed() >= 0
}
