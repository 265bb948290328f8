//! When may the next segment leave, when the window would let it? [`Pacer`]: at the rate of the congestion
//! control, or at the rate that a socket was given (`SO_MAX_PACING_RATE` of Linux).
//!
//! What is sent moves the moment of release on by the time that it takes at that rate; until then `decide`
//! answers that pacing holds it, and the timer ends that. One release lets out what takes about a
//! millisecond, so a fast connection sends whole super-segments and sets no timer for each. Acknowledgments,
//! SYN, probes and RST are not paced.

use crate::config::{Pacing, SocketOptions};
use crate::congestion::{PacingWish, RateWish};
use crate::connection::Connection;
use crate::timers::Timer;
use alloc::boxed::Box;
use ciao_wire::Instant;
use core::time::Duration;

/// Data of this time leaves at once: the tick of a host's timing wheel, and what Linux and
/// draft-ietf-ccwg-bbr §5.6.3 take.
const QUANTUM: Duration = Duration::from_millis(1);
/// Most bytes that leave at once, as Linux and draft-ietf-ccwg-bbr §5.6.3.
const QUANTUM_MAX_BYTES: u32 = 65_536;
/// How late a wake-up may come without being paid for in throughput: two ticks of the wheel.
const LATENESS_FORGIVEN: Duration = Duration::from_millis(2);

/// The release of segments over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pacer {
    wish: Pacing,
    /// When all that was sent has had its time.
    release_at: Instant,
    /// Bytes a second; zero while none is known: then nothing is held.
    rate: u64,
    /// Most bytes of one release.
    quantum: u32,
}

impl Pacer {
    fn new(wish: Pacing) -> Self {
        Self { wish, release_at: Instant::ZERO, rate: 0, quantum: QUANTUM_MAX_BYTES }
    }

    /// Of a connection that begins with `options`.
    pub(crate) fn of(options: &SocketOptions) -> Option<Box<Self>> {
        (options.pacing != Pacing::ForTheAlgorithm).then(|| Box::new(Self::new(options.pacing)))
    }

    /// The algorithm wants `rate` bytes a second, with segments of `smss` bytes.
    fn set_rate(&mut self, rate: u64, smss: u32) {
        self.rate = match self.wish {
            Pacing::AtMost { bytes_per_s } => rate.min(bytes_per_s.max(1)),
            Pacing::ForTheAlgorithm | Pacing::On => rate,
        };
        self.quantum = quantum_bytes(self.rate, smss);
    }

    /// `len` bytes leave now; answers when the next ones may, if that is not at once.
    fn sent(&mut self, now: Instant, len: u32) -> Option<Instant> {
        if self.rate == 0 {
            return None;
        }
        let nanos = u64::from(len) * 1_000_000_000 / self.rate;
        let earliest = Instant::from_nanos(now.as_nanos().saturating_sub(nanos_of(LATENESS_FORGIVEN)));
        self.release_at = self.release_at.max(earliest) + Duration::from_nanos(nanos);
        (self.release_at > now).then_some(self.release_at)
    }
}

/// Bytes that leave together at `rate` bytes a second: those of a millisecond, two segments at least.
///
/// ```text
/// 10 Mbit/s: 1250 bytes, so 2 segments; 100 Mbit/s: 12,500 bytes; from 524 Mbit/s on: 64 KiB
/// ```
pub(crate) fn quantum_bytes(rate: u64, smss: u32) -> u32 {
    let bytes = rate / (1_000_000_000 / nanos_of(QUANTUM));
    u32::try_from(bytes).unwrap_or(u32::MAX).clamp(2 * smss, QUANTUM_MAX_BYTES.max(2 * smss))
}

fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Connection {
    /// Begins or ends pacing and the measuring of rates, as the algorithm and the socket ask.
    pub(crate) fn arrange_pacing(&mut self, wish: Pacing) {
        let required = self.congestion.pacing_wish() == PacingWish::Required;
        self.sent.measure(if required { RateWish::Wanted } else { RateWish::Unwanted });
        if wish == Pacing::ForTheAlgorithm && !required {
            if let Some(seldom) = &mut self.seldom {
                seldom.pacer = None;
                self.release_seldom();
                self.timers.clear(Timer::Pacing);
            }
            return;
        }
        let seldom = self.seldom_mut();
        seldom.pacer.get_or_insert_with(|| Box::new(Pacer::new(wish))).wish = wish;
        self.update_pacing_rate();
    }

    /// What the socket asked for.
    pub(crate) fn pacing(&self) -> Pacing {
        self.pacer().map_or(Pacing::ForTheAlgorithm, |pacer| pacer.wish)
    }

    fn pacer(&self) -> Option<&Pacer> {
        self.seldom.as_ref()?.pacer.as_deref()
    }

    /// Most bytes that may leave at once.
    pub(crate) fn pacing_quantum(&self) -> Option<u32> {
        self.pacer().map(|pacer| pacer.quantum)
    }

    /// The algorithm may have changed its mind.
    #[inline]
    pub(crate) fn update_pacing_rate(&mut self) {
        if self.seldom.is_some() {
            self.compute_pacing_rate();
        }
    }

    fn compute_pacing_rate(&mut self) {
        let Some(pacer) = self.seldom.as_mut().and_then(|seldom| seldom.pacer.as_mut()) else { return };
        let rate = match self.rtt.srtt() {
            Some(srtt) => self.congestion.pacing_rate_bytes_per_s(srtt),
            None => 0,
        };
        pacer.set_rate(rate, self.snd.mss.into());
    }

    /// Data of `len` bytes leaves now.
    pub(crate) fn pace(&mut self, now: Instant, len: u32) {
        let Some(pacer) = self.seldom.as_mut().and_then(|seldom| seldom.pacer.as_mut()) else { return };
        if let Some(release_at) = pacer.sent(now, len) {
            self.set_timer(Timer::Pacing, release_at);
        }
    }

    /// Data has to wait until the timer fires.
    pub(crate) fn is_held_by_pacing(&self) -> bool {
        self.timers.is_set(Timer::Pacing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantum_is_the_data_of_a_millisecond_within_its_limits() {
        assert_eq!(quantum_bytes(1_250_000, 1448), 2896);
        assert_eq!(quantum_bytes(12_500_000, 1448), 12_500);
        assert_eq!(quantum_bytes(1_250_000_000, 1448), 65_536);
        assert_eq!(quantum_bytes(u64::MAX, 60_000), 120_000);
        assert_eq!(quantum_bytes(0, 1448), 2896);
    }

    fn pacer(rate: u64) -> Pacer {
        let mut pacer = Pacer::new(Pacing::On);
        pacer.set_rate(rate, 1000);
        pacer
    }

    #[test]
    fn what_is_sent_is_released_at_the_rate_in_the_long_run() {
        let mut pacer = pacer(1_000_000);
        let mut now = Instant::from_secs(1);
        let mut bytes = 0u64;
        while bytes < 1_000_000 {
            bytes += 2000;
            // Each wake-up is up to 1 ms late, and none of that is lost.
            now = pacer.sent(now, 2000).map_or(now, |at| at + Duration::from_micros(bytes % 1000));
        }
        let elapsed = now.since(Instant::from_secs(1));
        assert!(elapsed.abs_diff(Duration::from_millis(998)) <= Duration::from_millis(2), "{elapsed:?}");
    }

    #[test]
    fn a_silence_is_not_saved_up() {
        let mut pacer = pacer(1_000_000);
        pacer.sent(Instant::from_secs(1), 1000);
        let later = Instant::from_secs(9);
        assert_eq!(pacer.sent(later, 1000), None);
        assert_eq!(pacer.sent(later, 1000), None, "two milliseconds are forgiven");
        assert_eq!(pacer.sent(later, 1000), Some(later + Duration::from_millis(1)));
    }

    #[test]
    fn nothing_is_held_while_no_rate_is_known() {
        assert_eq!(pacer(0).sent(Instant::from_secs(1), 65_536), None);
    }

    #[test]
    fn the_limit_of_a_socket_is_below_what_the_algorithm_wants() {
        let mut pacer = Pacer::new(Pacing::AtMost { bytes_per_s: 500_000 });
        pacer.set_rate(1_000_000, 1000);
        let now = Instant::from_secs(1);
        assert_eq!(pacer.sent(now, 2000), Some(now + Duration::from_millis(2)));
        pacer.set_rate(100_000, 1000);
        assert_eq!(pacer.rate, 100_000);
    }
}
