//! CUBIC (RFC 9438): the window as a cubic function of the time since the last loss, in integers.
//!
//! When its first slow start ends is decided in `hystart` (RFC 9406).

use super::hystart::{CONSERVATIVE_GROWTH_DIVISOR, Growth, HyStart};
use super::{AckSample, Before, Congestion, Limit, Recovering, Tenths, Timeout, WINDOW_MAX_BYTES, Window};
use alloc::boxed::Box;
use ciao_wire::Instant;
use core::time::Duration;

/// β_cubic (RFC 9438 §4.6).
// RFC 9438 §4.6 9438-4c
const BETA: Tenths = Tenths(7);
/// C in tenths of segments per second cubed (RFC 9438 §5.1).
// RFC 9438 §5.1 9438-5a
const C_TENTHS: u64 = 4;
/// α_cubic = 3 (1 − β) / (1 + β), as a fraction (RFC 9438 §4.3).
// RFC 9438 §4.3 9438-4b
const ALPHA: (u64, u64) = (9, 17);
/// Bits behind the point of `w_est`.
const FRACTION_BITS: u32 = 8;
/// Distance from the plateau beyond which the curve is not followed: 2^20 ms, 17 min. By then the window is
/// at its greatest, and the cube fits in 64 bits.
const CURVE_MAX_MILLIS: u64 = 1 << 20;

/// The state of CUBIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cubic {
    window: Window,
    /// What a connection that has never filled its window does without.
    memory: Option<Box<Memory>>,
}

/// The names are those of RFC 9438 §4.1.2, windows in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Memory {
    /// Window before the last reduction, perhaps lowered by fast convergence; zero after a timeout.
    w_max: u32,
    /// Window at the last reduction.
    cwnd_prior: u32,
    /// The stage of congestion avoidance, once it has begun.
    epoch: Option<Epoch>,
    /// The first slow start.
    hystart: Option<HyStart>,
    /// For an undo of the last reduction.
    undo: Undo,
}

/// What a reduction overwrites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Undo {
    before: Before,
    w_max: u32,
    cwnd_prior: u32,
    epoch: Option<Epoch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Epoch {
    /// The origin of t; moves on while the window is not used.
    start: Instant,
    /// When the last acknowledgment came.
    last_ack: Instant,
    k_millis: u64,
    /// Height of the plateau.
    w_max: u32,
    /// What Reno would have by now, with a fraction.
    w_est: u64,
    /// What is left of dividing by the window.
    remainder: u64,
}

impl Cubic {
    /// Starts in slow start with a window of `initial_window_bytes`.
    #[must_use]
    pub fn new(smss: u16, initial_window_bytes: u32) -> Self {
        Self { window: Window::new(smss, initial_window_bytes), memory: None }
    }

    fn memory(&mut self) -> &mut Memory {
        self.memory.get_or_insert_default()
    }

    /// Slow start, the first one under HyStart++. Answers the bytes acknowledged beyond ssthresh.
    // RFC 9406 §4.2 9406-3
    fn slow_start(&mut self, sample: &AckSample) -> u32 {
        if self.window.ssthresh != u32::MAX {
            return self.window.slow_start(sample.acked_bytes);
        }
        let hystart = self.memory().hystart.get_or_insert_with(|| HyStart::new(sample.nxt));
        match hystart.on_ack(sample) {
            Growth::Full => self.window.slow_start(sample.acked_bytes),
            Growth::Conservative => self.window.slow_start(sample.acked_bytes / CONSERVATIVE_GROWTH_DIVISOR),
            Growth::Ended => {
                self.window.ssthresh = self.window.cwnd;
                self.memory().hystart = None;
                0
            }
        }
    }

    /// Congestion avoidance begins: the curve starts at the window there is.
    // RFC 9438 §4.2, §4.8 9438-4a, 9438-4f
    fn begin_epoch(&self, now: Instant, w_max: u32) -> Epoch {
        let cwnd = self.window.cwnd;
        let below = u64::from(w_max.saturating_sub(cwnd));
        // K = cbrt((W_max - cwnd_epoch) / C), in ms: the segments times 10^9.
        let cube = (below * 1_000_000_000 / u64::from(self.window.smss)).saturating_mul(10) / C_TENTHS;
        let k_millis = cube_root(cube);
        Epoch {
            start: now,
            last_ack: now,
            k_millis,
            w_max: w_max.max(cwnd),
            w_est: u64::from(cwnd) << FRACTION_BITS,
            remainder: 0,
        }
    }

    // RFC 9438 §4.2-4.5 9438-4a, 9438-4b
    fn avoid_congestion(&mut self, sample: &AckSample, acked_bytes: u32) {
        let Memory { w_max, cwnd_prior, epoch, .. } = *self.memory();
        let mut epoch = epoch.unwrap_or_else(|| self.begin_epoch(sample.now, w_max));
        epoch.last_ack = sample.now;
        let (cwnd, smss) = (u64::from(self.window.cwnd), u64::from(self.window.smss));
        let acked = u64::from(acked_bytes);

        let (numerator, denominator) =
            if epoch.w_est >> FRACTION_BITS < cwnd_prior.into() { ALPHA } else { (1, 1) };
        epoch.w_est += ((numerator * acked * smss) << FRACTION_BITS) / (denominator * cwnd);
        epoch.w_est = epoch.w_est.min(u64::from(WINDOW_MAX_BYTES) << FRACTION_BITS);
        let reno = epoch.w_est >> FRACTION_BITS;

        let elapsed = sample.now.since(epoch.start);
        let window = if epoch.window_at(elapsed, smss) < reno {
            epoch.remainder = 0;
            reno.max(cwnd)
        } else {
            let target = epoch.window_at(elapsed.saturating_add(sample.srtt.unwrap_or_default()), smss);
            let target = target.clamp(cwnd, cwnd + cwnd / 2);
            let growth = (target - cwnd) * acked + epoch.remainder;
            epoch.remainder = growth % cwnd;
            cwnd + growth / cwnd
        };
        self.window.cwnd = u32::try_from(window).unwrap_or(u32::MAX).min(WINDOW_MAX_BYTES);
        self.memory().epoch = Some(epoch);
    }

    /// What this connection leaves to others: when it lost before it was back where it lost last, somewhat
    /// more.
    // RFC 9438 §4.7 9438-4d
    fn remember_maximum(&mut self) {
        let (before, cwnd) = (self.window.before(), self.window.cwnd);
        let memory = self.memory();
        let Memory { w_max, cwnd_prior, epoch, .. } = *memory;
        // (1 + β) / 2 = 17 / 20; the window is at most 2^30, so 17 parts of 20 of it cost no precision that
        // matters.
        let lowered = if cwnd < w_max { cwnd / 20 * 17 } else { cwnd };
        *memory = Memory {
            w_max: lowered,
            cwnd_prior: cwnd,
            epoch: None,
            hystart: None,
            undo: Undo { before, w_max, cwnd_prior, epoch },
        };
    }
}

impl Epoch {
    /// W_cubic(t) = C (t − K)³ + W_max.
    // RFC 9438 §4.2 9438-4a
    fn window_at(&self, elapsed: Duration, smss: u64) -> u64 {
        let t_millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let distance = t_millis.abs_diff(self.k_millis).min(CURVE_MAX_MILLIS);
        // Milliseconds cubed are 10^-9 s^3; the division comes early enough for 64 bits.
        let segments_millionths = distance.pow(3) / 1_000 * C_TENTHS / 10;
        let height = segments_millionths.saturating_mul(smss) / 1_000_000;
        let w_max = u64::from(self.w_max);
        if t_millis < self.k_millis { w_max.saturating_sub(height) } else { w_max.saturating_add(height) }
    }
}

impl Congestion for Cubic {
    // RFC 9293 §3.8.2 MAY-18
    fn on_ack(&mut self, sample: &AckSample) {
        if sample.recovering == Recovering::Fast || sample.acked_bytes == 0 {
            return;
        }
        if sample.limited == Limit::Other {
            // RFC 9438 §4.2, §5.8 9438-4e
            if let Some(epoch) = self.memory.as_mut().and_then(|memory| memory.epoch.as_mut()) {
                epoch.start += sample.now.since(epoch.last_ack);
                epoch.last_ack = sample.now;
            }
            return;
        }
        let acked_bytes =
            if self.window.in_slow_start() { self.slow_start(sample) } else { sample.acked_bytes };
        if acked_bytes > 0 {
            self.avoid_congestion(sample, acked_bytes);
        }
    }

    #[inline]
    fn is_indifferent(&self, limited: Limit) -> bool {
        limited == Limit::Other && self.memory.as_ref().is_none_or(|memory| memory.epoch.is_none())
    }

    // RFC 9438 §4.6 9438-4c
    fn on_loss(&mut self, flight_bytes: u32) {
        self.remember_maximum();
        self.window.reduce(flight_bytes, BETA);
    }

    fn on_recovery_exit(&mut self, _flight_bytes: u32) {
        self.window.exit_recovery();
    }

    // RFC 9438 §4.8 9438-4f
    fn on_timeout(&mut self, flight_bytes: u32, timeout: Timeout) {
        if timeout == Timeout::First {
            self.remember_maximum();
        }
        let memory = self.memory();
        (memory.w_max, memory.epoch) = (0, None);
        self.window.time_out(flight_bytes, timeout, BETA);
    }

    // RFC 9438 §4.9 9438-4g
    fn on_undo(&mut self) {
        let memory = self.memory();
        let Undo { before, w_max, cwnd_prior, epoch } = memory.undo;
        (memory.w_max, memory.cwnd_prior, memory.epoch) = (w_max, cwnd_prior, epoch);
        self.window.undo(before);
    }

    // RFC 9438 §5.8 9438-4e
    fn on_idle_restart(&mut self, _now: Instant, restart_window_bytes: u32) {
        self.memory = None;
        self.window.restart(restart_window_bytes);
    }

    fn on_segment_size(&mut self, smss: u16) {
        self.window.set_segment_size(smss);
    }

    #[inline]
    fn window_bytes(&self) -> u32 {
        self.window.cwnd
    }

    fn slow_start_threshold_bytes(&self) -> u32 {
        self.window.ssthresh
    }

    fn pacing_rate_bytes_per_s(&self, srtt: Duration) -> u64 {
        self.window.pacing_rate_bytes_per_s(srtt)
    }
}

/// The greatest number whose cube is not above `value`, one bit after the other.
fn cube_root(value: u64) -> u64 {
    let mut root = 0u64;
    for bit in (0..22).rev() {
        let candidate = root | 1 << bit;
        if candidate.checked_pow(3).is_some_and(|cube| cube <= value) {
            root = candidate;
        }
    }
    root
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::super::Reno;
    use super::*;
    use alloc::vec::Vec;

    const SMSS: u32 = 1448;

    fn cubic(segments: u32) -> Cubic {
        Cubic::new(1448, segments * SMSS)
    }

    fn ack(now: Instant, srtt: Duration) -> AckSample {
        AckSample { now, srtt: Some(srtt), ..super::super::tests::ack(SMSS) }
    }

    /// Acknowledges a full window, its segments spread over one round trip.
    fn round(algorithm: &mut impl Congestion, start: Instant, rtt: Duration) -> Instant {
        let segments = algorithm.window_bytes() / SMSS;
        for segment in 1..=segments {
            algorithm.on_ack(&ack(start + rtt * segment / segments, rtt));
        }
        start + rtt
    }

    fn segments(cubic: &impl Congestion) -> f64 {
        f64::from(cubic.window_bytes()) / f64::from(SMSS)
    }

    /// RFC 9438 §4 as it is written, in segments and seconds.
    struct Model {
        cwnd: f64,
        w_max: f64,
        cwnd_prior: f64,
        k: f64,
        w_est: f64,
    }

    impl Model {
        fn after_loss(cwnd_prior: f64) -> Self {
            let cwnd = 0.7 * cwnd_prior;
            let k = ((cwnd_prior - cwnd) / 0.4).cbrt();
            Self { cwnd, w_max: cwnd_prior, cwnd_prior, k, w_est: cwnd }
        }

        fn w_cubic(&self, t: f64) -> f64 {
            0.4 * (t - self.k).powi(3) + self.w_max
        }

        fn ack(&mut self, t: f64, rtt: f64) {
            let alpha = if self.w_est < self.cwnd_prior { 3.0 * (1.0 - 0.7) / (1.0 + 0.7) } else { 1.0 };
            self.w_est += alpha / self.cwnd;
            if self.w_cubic(t) < self.w_est {
                self.cwnd = self.cwnd.max(self.w_est);
            } else {
                let target = self.w_cubic(t + rtt).clamp(self.cwnd, 1.5 * self.cwnd);
                self.cwnd += (target - self.cwnd) / self.cwnd;
            }
        }
    }

    // RFC 9438 §4.2-4.5 9438-4a, 9438-4b
    #[test]
    fn the_window_follows_the_formulas_in_floating_point() {
        for (window, rtt_millis) in [(20, 10), (200, 10), (200, 100), (1000, 50), (2000, 200)] {
            let rtt = Duration::from_millis(rtt_millis);
            let (mut cubic, mut model) = (cubic(window), Model::after_loss(window.into()));
            cubic.on_loss(window * SMSS);
            let mut start = Instant::ZERO;
            let mut first_ack = None;
            while start < Instant::from_secs(60) && cubic.window_bytes() < 5 * window * SMSS {
                let acks = cubic.window_bytes() / SMSS;
                for segment in 1..=acks {
                    let now = start + rtt * segment / acks;
                    let epoch = *first_ack.get_or_insert(now);
                    cubic.on_ack(&ack(now, rtt));
                    model.ack(now.since(epoch).as_secs_f64(), rtt.as_secs_f64());
                }
                start += rtt;
                let error = (segments(&cubic) / model.cwnd - 1.0).abs();
                assert!(
                    error < 0.01,
                    "{window} segments, {rtt_millis} ms: {} and {}",
                    segments(&cubic),
                    model.cwnd
                );
            }
        }
    }

    // RFC 9438 §4.4, §4.5 9438-4a, RFC 9438 §5.1 9438-5a
    #[test]
    fn on_long_paths_the_window_is_the_cubic_function_of_time() {
        for rtt_millis in [100, 150, 200] {
            let rtt = Duration::from_millis(rtt_millis);
            let mut cubic = cubic(2000);
            let model = Model::after_loss(2000.0);
            cubic.on_loss(2000 * SMSS);
            let mut now = Instant::ZERO;
            while now < Instant::from_secs(20) {
                now = round(&mut cubic, now, rtt);
                let expected = model.w_cubic(now.since(Instant::ZERO).as_secs_f64());
                assert!(
                    (segments(&cubic) / expected - 1.0).abs() < 0.01,
                    "{} at {now}, {expected}",
                    segments(&cubic)
                );
            }
        }
    }

    /// The mean window with a loss after every 300 segments.
    fn mean_window(algorithm: &mut impl Congestion) -> f64 {
        let rtt = Duration::from_millis(10);
        algorithm.on_loss(algorithm.window_bytes());
        let (mut now, mut acked, mut windows) = (Instant::ZERO, 0, Vec::new());
        for _ in 0..5000 {
            let window = algorithm.window_bytes();
            windows.push(f64::from(window));
            now = round(algorithm, now, rtt);
            acked += window / SMSS;
            if acked >= 300 {
                acked -= 300;
                algorithm.on_loss(algorithm.window_bytes());
            }
        }
        windows.iter().sum::<f64>() / 5000.0
    }

    // RFC 9438 §4.3 9438-4b
    #[test]
    fn on_short_paths_it_takes_as_much_as_reno() {
        let reno = mean_window(&mut Reno::new(1448, 20 * SMSS));
        let cubic = mean_window(&mut cubic(20));
        assert!((cubic / reno - 1.0).abs() < 0.05, "{cubic} against {reno}");
    }

    // RFC 9438 §4.6 9438-4c
    #[test]
    fn a_loss_leaves_seven_tenths_of_the_flight() {
        let mut cubic = cubic(100);
        cubic.on_loss(80 * SMSS);
        assert_eq!((cubic.window_bytes(), cubic.slow_start_threshold_bytes()), (56 * SMSS, 56 * SMSS));
        cubic.on_loss(SMSS);
        assert_eq!(cubic.window_bytes(), 2 * SMSS);
    }

    // RFC 9438 §4.7 9438-4d
    #[test]
    fn a_second_loss_below_the_maximum_lowers_it_further() {
        let mut cubic = cubic(100);
        cubic.on_loss(100 * SMSS);
        assert_eq!(cubic.memory().w_max, 100 * SMSS);
        cubic.on_loss(70 * SMSS);
        assert_eq!(cubic.memory().w_max, 70 * SMSS / 20 * 17);
    }

    // RFC 9438 §4.2, §5.8 9438-4e
    #[test]
    fn time_in_which_the_window_is_not_used_does_not_count() {
        let rtt = Duration::from_millis(100);
        let mut cubic = cubic(1000);
        cubic.on_loss(1000 * SMSS);
        let now = round(&mut cubic, Instant::ZERO, rtt);
        let mut limited = cubic.clone();
        let mut later = now;
        for _ in 0..600 {
            later += rtt;
            limited.on_ack(&AckSample { limited: Limit::Other, ..ack(later, rtt) });
        }
        assert_eq!(limited.window_bytes(), cubic.window_bytes());
        round(&mut cubic, now, rtt);
        round(&mut limited, later, rtt);
        assert_eq!(limited.window_bytes(), cubic.window_bytes());

        limited.on_idle_restart(later, 1000 * SMSS);
        assert_eq!(limited.window_bytes(), cubic.window_bytes(), "IW was larger");
        assert_eq!(limited.memory, None);
    }

    fn curve(cubic: &Cubic) -> (Window, Option<(u32, u32, Option<Epoch>)>) {
        let memory = cubic.memory.as_ref();
        (cubic.window, memory.map(|memory| (memory.w_max, memory.cwnd_prior, memory.epoch)))
    }

    // RFC 9438 §4.9 9438-4g
    #[test]
    fn a_reduction_without_cause_leaves_no_trace() {
        let rtt = Duration::from_millis(100);
        let mut cubic = cubic(100);
        cubic.on_loss(100 * SMSS);
        let now = round(&mut cubic, Instant::ZERO, rtt);
        let before = cubic.clone();
        cubic.on_loss(80 * SMSS);
        cubic.on_undo();
        assert_eq!(curve(&cubic), curve(&before));
        cubic.on_timeout(80 * SMSS, Timeout::First);
        cubic.on_timeout(SMSS, Timeout::Repeated);
        cubic.on_undo();
        let mut expected = before;
        round(&mut cubic, now, rtt);
        round(&mut expected, now, rtt);
        assert_eq!(curve(&cubic), curve(&expected));
    }

    // RFC 9438 §4.8 9438-4f
    #[test]
    fn after_a_timeout_the_curve_begins_on_its_plateau() {
        let rtt = Duration::from_millis(100);
        let mut cubic = cubic(100);
        cubic.on_timeout(100 * SMSS, Timeout::First);
        cubic.on_timeout(SMSS, Timeout::Repeated);
        assert_eq!((cubic.window_bytes(), cubic.slow_start_threshold_bytes()), (SMSS, 70 * SMSS));
        let mut now = Instant::ZERO;
        while cubic.memory().epoch.is_none() {
            now = round(&mut cubic, now, rtt);
        }
        let epoch = cubic.memory().epoch.expect("just begun");
        assert_eq!((epoch.k_millis, epoch.w_max), (0, 70 * SMSS));
    }

    #[test]
    fn extreme_times_and_windows_stay_within_the_limits() {
        for smss in [1, 48, u16::MAX] {
            let mut cubic = Cubic::new(smss, WINDOW_MAX_BYTES);
            cubic.on_loss(u32::MAX);
            cubic.window.cwnd = u32::from(smss);
            cubic.window.ssthresh = 2;
            for now in [Instant::ZERO, Instant::from_secs(1), Instant::from_secs(1 << 33), Instant::NEVER] {
                let srtt = Some(Duration::MAX);
                cubic.on_ack(&AckSample { acked_bytes: u32::MAX, srtt, ..ack(now, Duration::ZERO) });
                assert!((smss.into()..=WINDOW_MAX_BYTES).contains(&cubic.window_bytes()));
            }
        }
    }

    #[test]
    fn the_cube_root_is_exact() {
        for root in (0..3000).chain([2_097_151, 1_000_003]) {
            let cube = root * root * root;
            assert_eq!(cube_root(cube), root);
            assert_eq!(cube_root(cube + 3 * root * root), root);
            assert!(root == 0 || cube_root(cube - 1) == root - 1);
        }
        assert_eq!(cube_root(u64::MAX), 2_642_245);
    }
}
