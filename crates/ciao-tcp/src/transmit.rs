//! What to send now, or what we wait for and until when: [`Decision`].
//!
//! One decision feeds sending, the wake-up time and `why`, so that they cannot fall out of step.

use crate::timers::Wakeup;
use core::fmt;

/// Nothing can be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What holds us back.
    pub reason: WaitReason,
    /// The timer that ends the waiting if no segment does.
    pub until: Option<Wakeup>,
}

/// What holds the sender back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitReason {
    /// There is no connection.
    Closed,
    /// The handshake is not complete.
    Handshake,
    /// All is sent and acknowledged.
    NothingToSend,
    /// All is sent; this many sequence numbers are not acknowledged.
    Acknowledgment {
        /// Bytes, SYN and FIN included.
        outstanding: u32,
    },
    /// The congestion window is full.
    CongestionWindow {
        /// cwnd.
        cwnd_bytes: u32,
        /// Bytes in flight.
        flight_bytes: u32,
    },
    /// The peer's window is full, or too small for a worthwhile segment (RFC 9293 §3.8.6.2.1).
    PeerWindow {
        /// SND.WND.
        window_bytes: u32,
        /// Bytes that wait.
        held_bytes: u32,
    },
    /// The peer's window is zero; probes ask for it.
    ZeroWindow {
        /// Bytes that wait.
        held_bytes: u32,
    },
    /// Nagle: a small segment waits for an acknowledgment (RFC 9293 §3.7.4).
    Nagle {
        /// Bytes that wait.
        held_bytes: u32,
    },
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            WaitReason::Closed => f.write_str("closed")?,
            WaitReason::Handshake => f.write_str("waits for the handshake")?,
            WaitReason::NothingToSend => f.write_str("nothing to send")?,
            WaitReason::Acknowledgment { outstanding } => {
                write!(f, "all sent, {outstanding} not acknowledged")?;
            }
            WaitReason::CongestionWindow { cwnd_bytes, flight_bytes } => {
                write!(f, "cwnd full: {flight_bytes} of {cwnd_bytes} bytes in flight")?;
            }
            WaitReason::PeerWindow { window_bytes, held_bytes } => {
                write!(f, "peer's window of {window_bytes} is full, {held_bytes} bytes held")?;
            }
            WaitReason::ZeroWindow { held_bytes } => {
                write!(f, "peer's window is 0, {held_bytes} bytes held")?;
            }
            WaitReason::Nagle { held_bytes } => write!(f, "Nagle: {held_bytes} bytes held for an ACK")?,
        }
        match self.until {
            Some(wakeup) => write!(f, " (until {}: {})", wakeup.at, wakeup.timer),
            None => Ok(()),
        }
    }
}
