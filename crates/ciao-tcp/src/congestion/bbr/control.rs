//! Which rate and which window follow from the model (draft-ietf-ccwg-bbr §5.6).

use super::model::{Flag, UNBOUNDED, volume};
use super::phases::Phase;
use super::{Bbr, WINDOW_MAX_BYTES};
use crate::congestion::AckSample;
use crate::transmit::pacing::quantum_bytes;
use core::time::Duration;

/// A factor in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gain(u16);

impl Gain {
    pub(super) const ONE: Self = Self(100);
    /// `ProbeRTTCwndGain`.
    pub(super) const PROBE_RTT: Self = Self(50);
    /// `StartupPacingGain`, 4 ln 2: the least that still doubles the rate each round.
    const STARTUP: Self = Self(277);

    fn of(self, value: u64) -> u64 {
        value.saturating_mul(self.0.into()) / 100
    }
}

/// `PacingMarginPercent`: slower than the model by so much, so that a queue can only shrink.
const PACING_MARGIN_PERCENT: u64 = 1;
/// `Headroom`, in hundredths: what is left free for others below `inflight_hi`.
const HEADROOM_PERCENT: u32 = 15;
/// Quanta that the window must hold so that offload never starves (draft-ietf-ccwg-bbr §5.6.4.2).
const OFFLOAD_QUANTA: u32 = 3;
/// The round trip that is assumed before one is measured (draft-ietf-ccwg-bbr §5.6.2).
const ASSUMED_RTT: Duration = Duration::from_millis(1);

impl Phase {
    fn pacing_gain(self) -> Gain {
        match self {
            Self::Startup => Gain::STARTUP,
            Self::Drain => Gain(50),
            Self::Down => Gain(90),
            Self::Cruise | Self::Refill | Self::ProbeRtt => Gain::ONE,
            Self::Up => Gain(125),
        }
    }

    fn window_gain(self) -> Gain {
        match self {
            Self::Startup | Self::Drain | Self::Down | Self::Cruise | Self::Refill => Gain(200),
            Self::Up => Gain(225),
            Self::ProbeRtt => Gain::PROBE_RTT,
        }
    }
}

impl Bbr {
    /// The rate before any bandwidth is known.
    pub(super) fn nominal_rate(&self, srtt: Duration) -> u64 {
        let srtt = if srtt.is_zero() { ASSUMED_RTT } else { srtt };
        let per_second = u128::from(self.initial_window) * 1_000_000_000 / srtt.as_nanos();
        Gain::STARTUP.of(u64::try_from(per_second).unwrap_or(u64::MAX))
    }

    /// `SetPacingRate`.
    pub(super) fn set_pacing_rate(&mut self, srtt: Option<Duration>) {
        if self.initial_rate == Flag::Set {
            let Some(srtt) = srtt else { return };
            self.pacing_rate = self.nominal_rate(srtt);
            self.initial_rate = Flag::Clear;
        }
        self.set_pacing_rate_with_gain(self.phase.pacing_gain());
    }

    /// `SetPacingRateWithGain`: while the pipe is not full yet, the rate only grows.
    pub(super) fn set_pacing_rate_with_gain(&mut self, gain: Gain) {
        let rate = gain.of(self.model.bw()) / 100 * (100 - PACING_MARGIN_PERCENT);
        if rate > 0 && (self.full_bandwidth.reached == Flag::Set || rate > self.pacing_rate) {
            self.pacing_rate = rate;
        }
    }

    /// `BDPMultiple`.
    fn bdp_multiple(&self, bandwidth: u64, gain: Gain) -> u32 {
        match self.model.min_rtt {
            None => self.initial_window,
            Some(min_rtt) => {
                let bytes = gain.of(volume(bandwidth, min_rtt));
                u32::try_from(bytes).unwrap_or(u32::MAX).min(WINDOW_MAX_BYTES)
            }
        }
    }

    /// `QuantizationBudget`: room for what is being cut or waits for an acknowledgment that is delayed.
    fn quantization_budget(&self, inflight: u32) -> u32 {
        let offload = OFFLOAD_QUANTA * quantum_bytes(self.pacing_rate, self.smss);
        let inflight = inflight.max(offload).max(self.min_pipe_window());
        if self.phase == Phase::Up { inflight + 2 * self.smss } else { inflight }
    }

    /// `Inflight(gain)`.
    pub(super) fn inflight(&self, bandwidth: u64, gain: Gain) -> u32 {
        self.quantization_budget(self.bdp_multiple(bandwidth, gain))
    }

    /// `TargetInflight`.
    pub(super) fn target_inflight(&self) -> u32 {
        self.bdp_multiple(self.model.bw(), Gain::ONE).min(self.cwnd)
    }

    /// `InflightWithHeadroom`.
    pub(super) fn inflight_with_headroom(&self) -> u32 {
        match self.model.bounds.inflight_hi {
            UNBOUNDED => UNBOUNDED,
            bound => {
                let headroom = (bound / 100 * HEADROOM_PERCENT).max(self.smss);
                bound.saturating_sub(headroom).max(self.min_pipe_window())
            }
        }
    }

    /// `ProbeRTTCwnd`.
    pub(super) fn probe_rtt_window(&self) -> u32 {
        self.bdp_multiple(self.model.bw(), Gain::PROBE_RTT).max(self.min_pipe_window())
    }

    /// `SaveCwnd`.
    pub(super) fn save_window(&mut self) {
        self.prior_cwnd =
            if self.phase == Phase::ProbeRtt { self.prior_cwnd.max(self.cwnd) } else { self.cwnd };
    }

    /// `RestoreCwnd`.
    pub(super) fn restore_window(&mut self) {
        self.cwnd = self.cwnd.max(self.prior_cwnd);
    }

    /// `SetCwnd`.
    pub(super) fn set_window(&mut self, sample: &AckSample) {
        let budget = self.bdp_multiple(self.model.bw(), self.phase.window_gain());
        let max_inflight = self.quantization_budget(budget.saturating_add(self.model.extra_acked()));
        // Until the first window is delivered, nothing that was measured counts.
        let is_first_window = sample.rate.is_none_or(|rate| rate.total_delivered_bytes < self.initial_window);
        let grown = self.cwnd.saturating_add(sample.delivered_bytes);
        self.cwnd = if self.full_bandwidth.reached == Flag::Set {
            grown.min(max_inflight)
        } else if self.cwnd < max_inflight || is_first_window {
            grown
        } else {
            self.cwnd
        };
        self.cwnd = self.cwnd.max(self.min_pipe_window());
        if self.phase == Phase::ProbeRtt {
            self.cwnd = self.cwnd.min(self.probe_rtt_window());
        }
        self.cwnd = self.cwnd.min(self.window_cap()).min(WINDOW_MAX_BYTES);
    }

    /// `BoundCwndForModel`.
    fn window_cap(&self) -> u32 {
        let cap = match self.phase {
            Phase::Down | Phase::Refill | Phase::Up => self.model.bounds.inflight_hi,
            Phase::Cruise | Phase::ProbeRtt => self.inflight_with_headroom(),
            Phase::Startup | Phase::Drain => UNBOUNDED,
        };
        cap.min(self.model.bounds.inflight_lo).max(self.min_pipe_window())
    }
}
