//! How much may be in flight? [`Congestion`], and [`Controller`], the algorithm a connection has (RFC 5681).
//!
//! An algorithm is told what acknowledgments and timers say and answers with a window. What is lost, and when
//! recovery begins and ends, is decided in `recovery`; the flight is counted there too, without segments that
//! a duplicate acknowledgment or a SACK block shows to have arrived. So the window is not inflated while
//! recovering: a duplicate acknowledgment makes room by lowering the flight, never by more than was
//! outstanding.

mod bbr;
mod cubic;
mod hystart;
mod inform;
mod reno;
mod window;

pub use bbr::Bbr;
pub use cubic::Cubic;
pub use reno::Reno;
use window::{Before, Tenths, Window};

use alloc::boxed::Box;
use ciao_wire::{Instant, SeqNum};
use core::ops::{Deref, DerefMut};
use core::time::Duration;

/// Greatest congestion window. No path needs more than a scaled window can offer (RFC 7323 §2.3).
const WINDOW_MAX_BYTES: u32 = 1 << 30;
/// Bytes of the initial window of ten segments of an Ethernet (RFC 6928 §2).
const INITIAL_WINDOW_BYTES: u32 = 14_600;

/// Which algorithm a connection uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CongestionControl {
    /// NewReno (RFC 5681, RFC 6582).
    NewReno,
    /// CUBIC (RFC 9438) with HyStart++ (RFC 9406).
    #[default]
    Cubic,
    /// BBR version 3 (draft-ietf-ccwg-bbr).
    Bbr,
}

/// What held the sender back when the acknowledged data was in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The congestion window: a larger one would have been used.
    CongestionWindow,
    /// The application, or the peer's window.
    Other,
}

/// What recovery was busy with when an acknowledgment came, or became busy with because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovering {
    /// No loss is being repaired.
    No,
    /// A loss that acknowledgments showed.
    Fast,
    /// A retransmission timeout.
    Timeout,
}

/// What one acknowledgment says, after losses were looked for and the round trip was measured.
#[derive(Clone, Copy, Debug)]
pub struct AckSample {
    /// When it arrived.
    pub now: Instant,
    /// How far it moved SND.UNA.
    pub acked_bytes: u32,
    /// Bytes that are known to have arrived since it came, cumulatively or selectively, each counted once.
    pub delivered_bytes: u32,
    /// Bytes taken for lost since the sample before.
    pub lost_bytes: u32,
    /// Bytes in flight before it arrived.
    pub flight_before_bytes: u32,
    /// Bytes in flight now.
    pub flight_bytes: u32,
    /// What held the sender back.
    pub limited: Limit,
    /// What is being repaired.
    pub recovering: Recovering,
    /// The round trip that this acknowledgment measured.
    pub rtt: Option<Duration>,
    /// SRTT, when there is one.
    pub srtt: Option<Duration>,
    /// SND.UNA now.
    pub una: SeqNum,
    /// SND.NXT.
    pub nxt: SeqNum,
    /// How fast data was delivered, for an algorithm that steers by it.
    pub rate: Option<RateSample>,
    /// A loss that is more than 2 % of what was in flight, likewise.
    pub loss: Option<LossSample>,
}

/// A segment taken for lost, when losses since it left are more than 2 % of what was in flight with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossSample {
    /// Its length.
    pub len_bytes: u32,
    /// Bytes in flight when it had been sent, itself included.
    pub flight_at_send_bytes: u32,
    /// Bytes taken for lost since then, itself included.
    pub lost_bytes: u32,
    /// What held the sender back then.
    pub limited: Limit,
}

/// Whether delivery rates are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateWish {
    /// For each acknowledgment.
    Wanted,
    /// Nobody reads them.
    Unwanted,
}

/// How fast the path delivered what one acknowledgment reports, and how much of it the path lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSample {
    /// Bytes delivered over `interval`.
    pub delivered_bytes: u32,
    /// The longer of the times that sending them and acknowledging them took; zero when neither is known.
    pub interval: Duration,
    /// How much had been delivered when the newest segment acknowledged was sent; wraps.
    pub prior_delivered_bytes: u32,
    /// How much is delivered now; wraps.
    pub total_delivered_bytes: u32,
    /// The sender ran out of data in between: the path may be faster than this.
    pub limited: Limit,
    /// Bytes in flight when the newest segment acknowledged had been sent.
    pub flight_at_send_bytes: u32,
    /// Bytes taken for lost between then and now.
    pub lost_bytes: u32,
}

impl RateSample {
    /// The delivery rate in bytes a second.
    #[must_use]
    pub fn bytes_per_s(&self) -> u64 {
        let rate = u128::from(self.delivered_bytes) * 1_000_000_000 / self.interval.as_nanos().max(1);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

/// Whether a segment's timer ran out for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// For the first time: a new sign of congestion.
    First,
    /// Again, for the same segment.
    Repeated,
}

/// Who says how much may be sent while a loss is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryWindow {
    /// Proportional rate reduction, down to ssthresh (RFC 9937).
    Proportional,
    /// The algorithm itself: its window is true at any time.
    Algorithm,
}

/// When segments leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacingWish {
    /// As soon as the window lets them; spread out only where a socket asks for it.
    Indifferent,
    /// Always spread out: the algorithm steers by its rate.
    Required,
}

/// An algorithm that turns acknowledgments and losses into a window and a rate.
pub trait Congestion {
    /// Something was acknowledged, cumulatively or selectively. Called once for each acknowledgment, also
    /// while a loss is repaired, after `on_loss` or `on_recovery_exit` for the same acknowledgment.
    fn on_ack(&mut self, sample: &AckSample);

    /// True when an acknowledgment changes nothing while the sender is limited by `limited`, so that it need
    /// not be told.
    fn is_indifferent(&self, _limited: Limit) -> bool {
        false
    }

    /// A loss was found: recovery begins. Once for each window of data.
    fn on_loss(&mut self, flight_bytes: u32);

    /// The peer echoed a mark of congestion (RFC 3168). Once for each window of data.
    fn on_ecn(&mut self, flight_bytes: u32) {
        self.on_loss(flight_bytes);
    }

    /// All that was outstanding when recovery began is acknowledged, with so many bytes in flight.
    fn on_recovery_exit(&mut self, flight_bytes: u32);

    /// The retransmission timer ran out with so many bytes outstanding.
    fn on_timeout(&mut self, flight_bytes: u32, timeout: Timeout);

    /// Nothing was lost after all: back to where the last `on_loss` or first `on_timeout` found the window.
    fn on_undo(&mut self);

    /// About to send after nothing was sent for longer than RTO; `restart_window_bytes` is RW.
    fn on_idle_restart(&mut self, now: Instant, restart_window_bytes: u32);

    /// SMSS has changed, because the path did.
    fn on_segment_size(&mut self, smss: u16);

    /// cwnd, at least one segment.
    fn window_bytes(&self) -> u32;

    /// ssthresh; `u32::MAX` before the first loss.
    fn slow_start_threshold_bytes(&self) -> u32;

    /// Bytes a second at which it wants to send, when the smoothed round trip is `srtt`.
    fn pacing_rate_bytes_per_s(&self, srtt: Duration) -> u64;

    /// Whether it depends on that rate being kept.
    fn pacing_wish(&self) -> PacingWish {
        PacingWish::Indifferent
    }

    /// What holds the sender back in the samples of what it sends now: the window, or a wish of the
    /// algorithm's own to send little.
    fn sample_limit(&self) -> Limit {
        Limit::CongestionWindow
    }

    /// Whether proportional rate reduction governs its recovery.
    fn recovery_window(&self) -> RecoveryWindow {
        RecoveryWindow::Proportional
    }
}

/// IW, the window that a connection starts with, in bytes, for segments of `smss` bytes of which `segments`
/// are allowed when the SYN was sent `syn_retransmissions` times more than once.
///
/// ```
/// use ciao_tcp::congestion::initial_window_bytes;
/// assert_eq!(initial_window_bytes(1448, 10, 0), 14_480);
/// assert_eq!(initial_window_bytes(8948, 10, 1), 17_896);
/// assert_eq!(initial_window_bytes(1448, 10, 2), 1448);
/// ```
// RFC 5681 §3.1 5681-3b, 5681-3c
#[must_use]
pub fn initial_window_bytes(smss: u16, segments: u8, syn_retransmissions: u8) -> u32 {
    let smss = u32::from(smss);
    if syn_retransmissions > 1 {
        return smss;
    }
    (u32::from(segments) * smss).min(INITIAL_WINDOW_BYTES.max(2 * smss)).max(smss)
}

/// The algorithm of one connection.
#[derive(Clone, Debug)]
pub enum Controller {
    /// NewReno.
    Reno(Reno),
    /// CUBIC.
    Cubic(Cubic),
    /// BBR.
    Bbr(Box<Bbr>),
}

impl Controller {
    /// The algorithm that this is.
    #[must_use]
    pub fn choice(&self) -> CongestionControl {
        match self {
            Self::Reno(_) => CongestionControl::NewReno,
            Self::Cubic(_) => CongestionControl::Cubic,
            Self::Bbr(_) => CongestionControl::Bbr,
        }
    }

    /// The algorithm `choice` with an initial window. From `seed` comes what an algorithm leaves to chance.
    // RFC 9293 §3.8.2 MAY-18
    #[must_use]
    pub fn new(choice: CongestionControl, smss: u16, initial_window_bytes: u32, seed: u32) -> Self {
        match choice {
            CongestionControl::NewReno => Self::Reno(Reno::new(smss, initial_window_bytes)),
            CongestionControl::Cubic => Self::Cubic(Cubic::new(smss, initial_window_bytes)),
            CongestionControl::Bbr => Self::Bbr(Box::new(Bbr::new(smss, initial_window_bytes, seed))),
        }
    }

    /// As [`Congestion::is_indifferent`], without a call through a table.
    #[inline]
    pub(crate) fn is_indifferent(&self, limited: Limit) -> bool {
        match self {
            Self::Reno(reno) => reno.is_indifferent(limited),
            Self::Cubic(cubic) => cubic.is_indifferent(limited),
            Self::Bbr(_) => false,
        }
    }

    /// cwnd in bytes, as [`Congestion::window_bytes`]: asked several times for each segment, so without a
    /// call through a table for those that only keep it.
    #[must_use]
    #[inline]
    pub fn window_bytes(&self) -> u32 {
        match self {
            Self::Reno(reno) => reno.window_bytes(),
            Self::Cubic(cubic) => cubic.window_bytes(),
            Self::Bbr(bbr) => bbr.window_bytes(),
        }
    }
}

impl Deref for Controller {
    type Target = dyn Congestion;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Reno(reno) => reno,
            Self::Cubic(cubic) => cubic,
            Self::Bbr(bbr) => &**bbr,
        }
    }
}

impl DerefMut for Controller {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Reno(reno) => reno,
            Self::Cubic(cubic) => cubic,
            Self::Bbr(bbr) => &mut **bbr,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An acknowledgment of so many bytes that were sent with a full window, outside of recovery.
    pub(super) fn ack(acked_bytes: u32) -> AckSample {
        AckSample {
            now: Instant::ZERO,
            acked_bytes,
            delivered_bytes: acked_bytes,
            lost_bytes: 0,
            flight_before_bytes: acked_bytes,
            flight_bytes: 0,
            limited: Limit::CongestionWindow,
            recovering: Recovering::No,
            rtt: None,
            srtt: None,
            una: SeqNum(0),
            nxt: SeqNum(0),
            rate: None,
            loss: None,
        }
    }

    // RFC 9293 §3.8.2 MAY-18
    #[test]
    fn the_configuration_chooses_the_algorithm() {
        let names = |choice| match Controller::new(choice, 1000, 10_000, 0) {
            Controller::Reno(_) => "reno",
            Controller::Cubic(_) => "cubic",
            Controller::Bbr(_) => "bbr",
        };
        assert_eq!(names(CongestionControl::default()), "cubic");
        assert_eq!(names(CongestionControl::NewReno), "reno");
        assert_eq!(names(CongestionControl::Bbr), "bbr");
        for choice in [CongestionControl::NewReno, CongestionControl::Cubic, CongestionControl::Bbr] {
            let mut controller = Controller::new(choice, 1000, 10_000, 0);
            controller.on_timeout(10_000, Timeout::First);
            assert_eq!(controller.clone().window_bytes(), 1000);
        }
    }

    // RFC 5681 §3.1 5681-3b
    #[test]
    fn the_initial_window_is_ten_segments_within_the_limits_of_bytes() {
        assert_eq!(initial_window_bytes(536, 10, 0), 5360);
        assert_eq!(initial_window_bytes(1460, 10, 0), 14_600);
        assert_eq!(initial_window_bytes(4000, 10, 0), 14_600);
        assert_eq!(initial_window_bytes(8960, 10, 0), 17_920);
        assert_eq!(initial_window_bytes(1460, 3, 0), 4380);
    }

    // RFC 5681 §3.1 5681-3c
    #[test]
    fn one_repeated_syn_is_forgiven_and_two_are_not() {
        assert_eq!(initial_window_bytes(1460, 10, 1), 14_600);
        assert_eq!(initial_window_bytes(1460, 10, 2), 1460);
    }

    #[test]
    fn a_controller_is_small() {
        assert!(size_of::<Controller>() <= 32, "{} bytes", size_of::<Controller>());
    }
}
