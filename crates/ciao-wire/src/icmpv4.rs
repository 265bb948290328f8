//! ICMP for IPv4: echo and errors (RFC 792, MTU in "fragmentation needed": RFC 1191 §4).
//!
//! An error quotes the packet that caused it: [`crate::quote`] reads that. What an error does to a connection
//! is decided in `ciao-tcp`, and when we send one in `ciao-stack`.

use crate::{ParseError, Sum};
use core::net::Ipv4Addr;

/// The part of a message that each type fills in its own way, in bytes; then comes data, or the quoted
/// packet.
pub const HEADER_BYTES: usize = 8;

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const SOURCE_QUENCH: u8 = 4;
const REDIRECT: u8 = 5;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

/// Codes of "destination unreachable" that are acted upon or sent (RFC 792, RFC 1122 §3.2.2.1).
pub mod unreachable {
    /// The network.
    pub const NETWORK: u8 = 0;
    /// The host.
    pub const HOST: u8 = 1;
    /// The host does not speak the protocol.
    pub const PROTOCOL: u8 = 2;
    /// Nothing listens at the port.
    pub const PORT: u8 = 3;
    /// The packet is too large for the next link and must not be fragmented.
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// A source route failed.
    pub const SOURCE_ROUTE_FAILED: u8 = 5;
}

/// An ICMP message, without what follows its first eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmpv4 {
    /// Asks for the data back.
    EchoRequest {
        /// Names the asker.
        identifier: u16,
        /// Counts its questions.
        sequence: u16,
    },
    /// The data, back.
    EchoReply {
        /// As in the request.
        identifier: u16,
        /// As in the request.
        sequence: u16,
    },
    /// The packet cannot be delivered.
    Unreachable {
        /// Why: [`mod@unreachable`].
        code: u8,
        /// With "fragmentation needed": the largest packet the next link takes, in bytes, or 0 from an old
        /// router.
        next_hop_mtu: u16,
    },
    /// The packet was under way for too long.
    TimeExceeded {
        /// 0: too many hops; 1: fragments missing.
        code: u8,
    },
    /// The header has a field that makes no sense.
    ParameterProblem {
        /// 0: see the pointer.
        code: u8,
        /// Which byte.
        pointer: u8,
    },
    /// Asks to send less; must not be acted upon (RFC 6633).
    SourceQuench,
    /// Names a better first hop.
    Redirect {
        /// For whom.
        code: u8,
        /// The better one.
        gateway: Ipv4Addr,
    },
    /// Anything else.
    Other {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
}

impl Icmpv4 {
    /// Reads a whole message, verifies its checksum, and returns what follows its first eight bytes.
    ///
    /// # Errors
    /// When it is cut short, or its checksum is wrong.
    pub fn parse(message: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        let Some((fixed, body)) = message.split_first_chunk::<HEADER_BYTES>() else {
            return Err(ParseError::Truncated);
        };
        if !Sum::ZERO.add_bytes(message).is_valid() {
            return Err(ParseError::Checksum);
        }
        let [kind, code, _, _, a, b, c, d] = *fixed;
        let (upper, lower) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let parsed = match kind {
            ECHO_REQUEST => Self::EchoRequest { identifier: upper, sequence: lower },
            ECHO_REPLY => Self::EchoReply { identifier: upper, sequence: lower },
            UNREACHABLE => Self::Unreachable { code, next_hop_mtu: lower },
            TIME_EXCEEDED => Self::TimeExceeded { code },
            PARAMETER_PROBLEM => Self::ParameterProblem { code, pointer: a },
            SOURCE_QUENCH => Self::SourceQuench,
            REDIRECT => Self::Redirect { code, gateway: Ipv4Addr::new(a, b, c, d) },
            kind => Self::Other { kind, code },
        };
        Ok((parsed, body))
    }

    /// The first eight bytes of the message, with the checksum over them and `body`.
    #[must_use]
    pub fn emit(&self, body: &[u8]) -> [u8; HEADER_BYTES] {
        let (kind, code, word) = match *self {
            Self::EchoRequest { identifier, sequence } => (ECHO_REQUEST, 0, words(identifier, sequence)),
            Self::EchoReply { identifier, sequence } => (ECHO_REPLY, 0, words(identifier, sequence)),
            Self::Unreachable { code, next_hop_mtu } => (UNREACHABLE, code, words(0, next_hop_mtu)),
            Self::TimeExceeded { code } => (TIME_EXCEEDED, code, [0; 4]),
            Self::ParameterProblem { code, pointer } => (PARAMETER_PROBLEM, code, [pointer, 0, 0, 0]),
            Self::SourceQuench => (SOURCE_QUENCH, 0, [0; 4]),
            Self::Redirect { code, gateway } => (REDIRECT, code, gateway.octets()),
            Self::Other { kind, code } => (kind, code, [0; 4]),
        };
        let [a, b, c, d] = word;
        let checksum = Sum::ZERO.add_bytes(&[kind, code, 0, 0, a, b, c, d]).add_bytes(body).finish();
        let [high, low] = checksum.to_be_bytes();
        [kind, code, high, low, a, b, c, d]
    }

    /// True for the types that report an error: none of them is ever answered with another
    /// (RFC 1122 §3.2.2 1122-3.2.2a).
    #[must_use]
    pub const fn is_error(&self) -> bool {
        match self {
            Self::EchoRequest { .. } | Self::EchoReply { .. } | Self::Other { .. } => false,
            Self::Unreachable { .. }
            | Self::TimeExceeded { .. }
            | Self::ParameterProblem { .. }
            | Self::SourceQuench
            | Self::Redirect { .. } => true,
        }
    }
}

/// True for the types that report an error.
#[must_use]
pub const fn is_error_type(kind: u8) -> bool {
    matches!(kind, UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM)
}

fn words(upper: u16, lower: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (upper.to_be_bytes(), lower.to_be_bytes());
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn message(header: Icmpv4, body: &[u8]) -> Vec<u8> {
        [&header.emit(body)[..], body].concat()
    }

    #[test]
    fn each_type_survives_a_round_trip() {
        let gateway = Ipv4Addr::new(192, 0, 2, 1);
        for header in [
            Icmpv4::EchoRequest { identifier: 1, sequence: 0xfffe },
            Icmpv4::EchoReply { identifier: 0xfffe, sequence: 1 },
            Icmpv4::Unreachable { code: unreachable::FRAGMENTATION_NEEDED, next_hop_mtu: 1400 },
            Icmpv4::TimeExceeded { code: 1 },
            Icmpv4::ParameterProblem { code: 0, pointer: 20 },
            Icmpv4::SourceQuench,
            Icmpv4::Redirect { code: 1, gateway },
            Icmpv4::Other { kind: 13, code: 0 },
        ] {
            let bytes = message(header, b"odd");
            assert_eq!(Icmpv4::parse(&bytes), Ok((header, &b"odd"[..])));
        }
    }

    #[test]
    fn etherparse_reads_an_echo_of_ours_and_computes_its_checksum() {
        let bytes = message(Icmpv4::EchoRequest { identifier: 7, sequence: 9 }, b"hello");
        let oracle = etherparse::Icmpv4Slice::from_slice(&bytes).unwrap();
        let echo = etherparse::IcmpEchoHeader { id: 7, seq: 9 };
        assert_eq!(oracle.icmp_type(), etherparse::Icmpv4Type::EchoRequest(echo));
        assert_eq!(oracle.icmp_type().calc_checksum(b"hello"), oracle.checksum());
    }

    proptest! {
        #[test]
        fn every_flipped_bit_is_noticed(
            body in prop::collection::vec(any::<u8>(), 0..40),
            bit in 0_usize..400,
        ) {
            let mut bytes = message(Icmpv4::EchoRequest { identifier: 3, sequence: 4 }, &body);
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Icmpv4::parse(&bytes), Err(ParseError::Checksum));
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(Icmpv4::parse(&bytes) == Err(ParseError::Truncated), bytes.len() < 8);
        }
    }
}
