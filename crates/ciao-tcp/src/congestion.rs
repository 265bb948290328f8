//! How much may be in flight? [`Congestion`], and [`Controller`], the algorithm a connection has (RFC 5681).
//!
//! An algorithm is told what acknowledgments and timers say and answers with a window. What is lost, and when
//! recovery begins and ends, is decided in `recovery`; the flight is counted there too, without segments that
//! a duplicate acknowledgment or a SACK block shows to have arrived. So the window is not inflated while
//! recovering: a duplicate acknowledgment makes room by lowering the flight, never by more than was
//! outstanding.

mod cubic;
mod reno;

pub use cubic::Cubic;
pub use reno::Reno;

use alloc::boxed::Box;
use ciao_wire::Instant;
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
    #[default]
    NewReno,
    /// CUBIC (RFC 9438).
    Cubic,
}

/// What held the sender back when the acknowledged data was in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The congestion window: a larger one would have been used.
    CongestionWindow,
    /// The application, or the peer's window.
    Other,
}

/// An acknowledgment of new data, outside recovery.
#[derive(Clone, Copy, Debug)]
pub struct AckSample {
    /// When it arrived.
    pub now: Instant,
    /// Bytes that it acknowledges for the first time, cumulatively or selectively.
    pub acked_bytes: u32,
    /// Bytes in flight before it arrived.
    pub flight_bytes: u32,
    /// What held the sender back.
    pub limited: Limit,
    /// SRTT, when there is one.
    pub srtt: Option<Duration>,
}

/// Whether a segment's timer ran out for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// For the first time: a new sign of congestion.
    First,
    /// Again, for the same segment.
    Repeated,
}

/// An algorithm that turns acknowledgments and losses into a window.
pub trait Congestion {
    /// New data was acknowledged while not recovering; a full acknowledgment that ends recovery is not such.
    fn on_ack(&mut self, sample: &AckSample);

    /// A loss was found, or the peer echoed congestion (ECN): recovery begins. Once for each window of data.
    fn on_loss(&mut self, flight_bytes: u32);

    /// All that was outstanding when recovery began is acknowledged, with so many bytes in flight.
    fn on_recovery_exit(&mut self, flight_bytes: u32);

    /// The retransmission timer ran out with so many bytes outstanding.
    fn on_timeout(&mut self, flight_bytes: u32, timeout: Timeout);

    /// About to send after nothing was sent for longer than RTO.
    fn on_idle_restart(&mut self);

    /// SMSS has changed, because the path did.
    fn on_segment_size(&mut self, smss: u16);

    /// cwnd, at least one segment.
    fn window_bytes(&self) -> u32;

    /// ssthresh; `u32::MAX` before the first loss.
    fn slow_start_threshold_bytes(&self) -> u32;
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

/// The algorithm of one connection. The common one is in line, the larger one is not.
#[derive(Clone, Debug)]
pub enum Controller {
    /// NewReno.
    Reno(Reno),
    /// CUBIC.
    Cubic(Box<Cubic>),
}

impl Controller {
    /// The algorithm `choice` with an initial window.
    // RFC 9293 §3.8.2 MAY-18
    #[must_use]
    pub fn new(choice: CongestionControl, smss: u16, initial_window_bytes: u32) -> Self {
        match choice {
            CongestionControl::NewReno => Self::Reno(Reno::new(smss, initial_window_bytes)),
            CongestionControl::Cubic => Self::Cubic(Box::new(Cubic::new(smss, initial_window_bytes))),
        }
    }
}

impl Deref for Controller {
    type Target = dyn Congestion;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Reno(reno) => reno,
            Self::Cubic(cubic) => &**cubic,
        }
    }
}

impl DerefMut for Controller {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Reno(reno) => reno,
            Self::Cubic(cubic) => &mut **cubic,
        }
    }
}

/// What both algorithms have: the two variables, slow start, and what a loss, a timeout and an idle time do
/// to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    smss: u32,
    cwnd: u32,
    ssthresh: u32,
    initial: u32,
}

impl Window {
    fn new(smss: u16, initial_window_bytes: u32) -> Self {
        Self {
            smss: smss.max(1).into(),
            cwnd: initial_window_bytes,
            ssthresh: u32::MAX,
            initial: initial_window_bytes,
        }
    }

    fn in_slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }

    /// Slow start: as many bytes more as were acknowledged. Answers the bytes acknowledged beyond ssthresh.
    ///
    /// RFC 5681 §3.1 would count one SMSS for an acknowledgment at most. Linux counts all bytes, and so do
    /// we: one acknowledgment stands for a super-segment of up to 45, and dividing acknowledgments gains
    /// nothing either way.
    // RFC 5681 §3.1 5681-3j
    fn slow_start(&mut self, acked_bytes: u32) -> u32 {
        let growth = acked_bytes.min(self.ssthresh.saturating_sub(self.cwnd));
        self.grow(growth);
        acked_bytes - growth
    }

    fn grow(&mut self, bytes: u32) {
        self.cwnd = self.cwnd.saturating_add(bytes).min(WINDOW_MAX_BYTES);
    }

    /// Recovery begins with a window of ssthresh, `share` (in tenths) of the flight.
    fn reduce(&mut self, flight_bytes: u32, share: Tenths) {
        self.ssthresh = self.threshold(flight_bytes, share);
        self.cwnd = self.ssthresh;
    }

    /// What is in flight may be far below ssthresh by now; the window opens from there, without a burst.
    // RFC 6582 §3.2 6582-1
    fn exit_recovery(&mut self, flight_bytes: u32) {
        self.cwnd = self.ssthresh.min(flight_bytes.max(self.smss) + self.smss);
    }

    /// Slow start from one segment.
    // RFC 5681 §3.1 5681-3e
    fn time_out(&mut self, flight_bytes: u32, timeout: Timeout, share: Tenths) {
        if timeout == Timeout::First {
            self.ssthresh = self.threshold(flight_bytes, share);
        }
        self.cwnd = self.smss;
    }

    /// What the path can bear is no longer known: no more than at the start.
    // RFC 5681 §4.1 5681-4a
    fn restart(&mut self) {
        self.cwnd = self.cwnd.min(self.initial);
    }

    fn set_segment_size(&mut self, smss: u16) {
        self.smss = smss.max(1).into();
        self.cwnd = self.cwnd.max(self.smss);
        self.ssthresh = self.ssthresh.max(2 * self.smss);
    }

    fn threshold(&self, flight_bytes: u32, share: Tenths) -> u32 {
        let share = u64::from(flight_bytes) * u64::from(share.0) / 10;
        u32::try_from(share).unwrap_or(u32::MAX).max(2 * self.smss)
    }
}

/// A part of ten.
#[derive(Clone, Copy)]
struct Tenths(u8);

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 9293 §3.8.2 MAY-18
    #[test]
    fn the_configuration_chooses_the_algorithm() {
        let names = |choice| match Controller::new(choice, 1000, 10_000) {
            Controller::Reno(_) => "reno",
            Controller::Cubic(_) => "cubic",
        };
        assert_eq!(names(CongestionControl::default()), "reno");
        assert_eq!(names(CongestionControl::Cubic), "cubic");
        for choice in [CongestionControl::NewReno, CongestionControl::Cubic] {
            let mut controller = Controller::new(choice, 1000, 10_000);
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
