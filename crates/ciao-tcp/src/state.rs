//! The eleven states and the legal moves between them (RFC 9293 §3.3.2, figure 5).
//!
//! [`next_state`] is the whole diagram: `docs/states.svg` is drawn from it by a test. Nothing else decides a
//! state;
//! `Connection::enter` asks here and records the move. What a state *does* is in `segment_arrives`,
//! `user_calls` and
//! `timeouts`.

use core::fmt;

/// The states of a connection (RFC 9293 §3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TcpState {
    /// No connection.
    Closed,
    /// Waiting for a SYN. A listener is in this state, never a connection.
    Listen,
    /// Our SYN is out, no SYN has come.
    SynSent,
    /// Both SYNs are known, ours is not acknowledged.
    SynReceived,
    /// Data flows both ways.
    Established,
    /// We closed; our FIN is not acknowledged, the peer may still send.
    FinWait1,
    /// Our FIN is acknowledged, the peer may still send.
    FinWait2,
    /// The peer closed, we may still send.
    CloseWait,
    /// Both closed at once; our FIN is not acknowledged.
    Closing,
    /// The peer closed first, then we; our FIN is not acknowledged.
    LastAck,
    /// Both FINs are acknowledged; we wait for old segments to die.
    TimeWait,
}

impl TcpState {
    /// All states, in the order of the diagram.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// The name as RFC 9293 writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }
}

impl fmt::Display for TcpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What moves a connection from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The application listens.
    PassiveOpen,
    /// The application connects: SYN goes out.
    ActiveOpen,
    /// A SYN without ACK came: SYN-ACK goes out.
    SynReceived,
    /// A SYN that acknowledges ours came: ACK goes out.
    SynAckReceived,
    /// Our SYN is acknowledged.
    SynAcknowledged,
    /// The application closed its direction: FIN goes out behind the data.
    CloseCalled,
    /// The peer's FIN came, and all before it.
    FinReceived,
    /// Our FIN is acknowledged.
    FinAcknowledged,
    /// An acceptable RST came.
    ResetReceived,
    /// The application aborted, or closed with unread data: RST goes out.
    Aborted,
    /// Nothing was acknowledged for too long: R2, the user timeout, or keep-alive (RFC 9293 §3.8.3, §3.8.4).
    TimedOut,
    /// An ICMP error said that there is no way, before there was a connection (RFC 9293 §3.9.2.2).
    Unreachable,
    /// Nobody holds the connection any more and the peer does not close either.
    OrphanExpired,
    /// 2 MSL are over.
    TimeWaitExpired,
    /// A newer SYN took the ports over (RFC 9293 §3.6.1 MAY-2, RFC 6191).
    TimeWaitReused,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 15] = [
        Self::PassiveOpen,
        Self::ActiveOpen,
        Self::SynReceived,
        Self::SynAckReceived,
        Self::SynAcknowledged,
        Self::CloseCalled,
        Self::FinReceived,
        Self::FinAcknowledged,
        Self::ResetReceived,
        Self::Aborted,
        Self::TimedOut,
        Self::Unreachable,
        Self::OrphanExpired,
        Self::TimeWaitExpired,
        Self::TimeWaitReused,
    ];

    /// A few words for an edge of the diagram or a line of the ladder.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PassiveOpen => "passive open",
            Self::ActiveOpen => "active open",
            Self::SynReceived => "SYN received",
            Self::SynAckReceived => "SYN-ACK received",
            Self::SynAcknowledged => "SYN acknowledged",
            Self::CloseCalled => "close called",
            Self::FinReceived => "FIN received",
            Self::FinAcknowledged => "FIN acknowledged",
            Self::ResetReceived => "RST received",
            Self::Aborted => "aborted",
            Self::TimedOut => "timed out",
            Self::Unreachable => "unreachable",
            Self::OrphanExpired => "orphan expired",
            Self::TimeWaitExpired => "2 MSL over",
            Self::TimeWaitReused => "newer SYN",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The state that `cause` leads to from `state`; `None` where that cannot happen.
///
/// RFC 9293 figure 5 with four readings of ours: a FIN in FIN-WAIT-1 that also acknowledges our FIN is two
/// moves, through FIN-WAIT-2; a FIN in SYN-RECEIVED is two moves, through ESTABLISHED; a close in
/// SYN-RECEIVED is queued until ESTABLISHED, as §3.10.4 has it for pending data; and a passive open that is
/// reset ends in CLOSED, because its listener was never away from LISTEN.
#[must_use]
pub const fn next_state(state: TcpState, cause: Cause) -> Option<TcpState> {
    use TcpState::{
        CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, SynSent,
        TimeWait,
    };
    Some(match (state, cause) {
        (Closed, Cause::PassiveOpen) => Listen,
        (Closed, Cause::ActiveOpen) => SynSent,
        (Listen | SynSent, Cause::SynReceived) => SynReceived,
        (SynSent, Cause::SynAckReceived) | (SynReceived, Cause::SynAcknowledged) => Established,

        (Established, Cause::CloseCalled) => FinWait1,
        (CloseWait, Cause::CloseCalled) => LastAck,
        (Listen | SynSent, Cause::CloseCalled) => Closed,
        (Established, Cause::FinReceived) => CloseWait,
        (FinWait1, Cause::FinReceived) => Closing,
        (FinWait2, Cause::FinReceived) | (Closing, Cause::FinAcknowledged) => TimeWait,
        (FinWait1, Cause::FinAcknowledged) => FinWait2,
        (LastAck, Cause::FinAcknowledged) => Closed,

        (SynReceived | FinWait1 | FinWait2 | Closing | LastAck, Cause::OrphanExpired) => Closed,
        (TimeWait, Cause::TimeWaitExpired | Cause::TimeWaitReused | Cause::Aborted) => Closed,
        (SynSent, Cause::Unreachable) => Closed,
        (
            SynSent | SynReceived | Established | FinWait1 | FinWait2 | CloseWait | Closing | LastAck,
            Cause::ResetReceived | Cause::Aborted | Cause::TimedOut,
        ) => Closed,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_but_closed_can_be_reached_and_left() {
        let moves = || {
            TcpState::ALL.into_iter().flat_map(|from| {
                Cause::ALL.into_iter().filter_map(move |cause| next_state(from, cause).map(|to| (from, to)))
            })
        };
        for state in TcpState::ALL {
            assert!(moves().any(|(_, to)| to == state), "{state} is never entered");
            assert!(moves().any(|(from, _)| from == state), "{state} is never left");
        }
    }

    #[test]
    fn no_move_leads_back_from_the_closing_states_into_the_open_ones() {
        use TcpState::{CloseWait, Closing, FinWait1, FinWait2, LastAck, TimeWait};
        for from in [FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWait] {
            for cause in Cause::ALL {
                let to = next_state(from, cause);
                assert!(to.is_none_or(|to| to == TcpState::Closed || to > TcpState::Established));
            }
        }
    }
}
