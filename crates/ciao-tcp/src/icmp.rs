//! ICMP errors that quote a segment of a connection (RFC 9293 §3.9.2.2, RFC 5927, RFC 5461).
//!
//! Anybody can forge one, so it counts only when it quotes something in flight, and never ends a connection
//! that is open: there, even the "hard" errors are reported and nothing more. What "packet too big" does is
//! in [`crate::path_mtu`].

use crate::connection::Connection;
use crate::error::ConnectionError;
use crate::state::{Cause, TcpState};
use ciao_wire::{Instant, SeqNum};

/// What an ICMP error says about the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IcmpErrorKind {
    /// The network cannot be reached, or the hop limit ran out on the way.
    NetworkUnreachable,
    /// The host cannot be reached.
    HostUnreachable,
    /// The host knows no such port or protocol, or the path is forbidden.
    PortUnreachable,
    /// The quoted segment does not fit into a link on the way; one of this MSS does.
    PacketTooBig {
        /// Payload and options of TCP.
        mss: u16,
    },
}

/// An ICMP error, as far as it concerns a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// What it says.
    pub kind: IcmpErrorKind,
    /// SEG.SEQ of the quoted segment.
    pub quoted_seq: SeqNum,
}

impl Connection {
    /// Handles an ICMP error that quotes a segment with our addresses and ports. Answers whether it was
    /// believed.
    // RFC 9293 §3.9.2.2 MUST-54, MUST-56, SHLD-25, SHLD-26; RFC 8201 §4 8201-4b
    // RFC 5927 §4.1 5927-4a, RFC 5927 §5.2 5927-5a
    pub fn handle_icmp(&mut self, now: Instant, error: IcmpError) -> Belief {
        let in_flight = error.quoted_seq.is_within(self.snd.una, self.outstanding());
        if !in_flight {
            return Belief::Ignored;
        }
        let meaning = match error.kind {
            IcmpErrorKind::NetworkUnreachable => ConnectionError::NetworkUnreachable,
            IcmpErrorKind::HostUnreachable => ConnectionError::HostUnreachable,
            IcmpErrorKind::PortUnreachable => ConnectionError::PortUnreachable,
            IcmpErrorKind::PacketTooBig { mss } => {
                return self.on_packet_too_big(now, mss, error.quoted_seq);
            }
        };
        if self.state == TcpState::SynSent && error.kind == IcmpErrorKind::PortUnreachable {
            self.end(Cause::Unreachable, Some(meaning));
        } else {
            // RFC 9293 §3.9.1.8 MUST-47
            self.raise_soft_error(meaning);
        }
        Belief::Believed
    }
}

/// Whether an ICMP error was taken for real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// It quotes something in flight.
    Believed,
    /// It does not: forged, or too late.
    Ignored,
}
