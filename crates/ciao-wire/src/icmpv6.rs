//! ICMP for IPv6: echo and errors (RFC 4443).
//!
//! An error quotes the packet that caused it: [`crate::quote`] reads that. What an error does to a connection
//! is decided in `ciao-tcp`, and when we send one in `ciao-stack`.

use crate::checksum::pseudo_header;
use crate::{ParseError, Protocol, Sum};
use core::net::{IpAddr, Ipv6Addr};

/// The part of a message that each type fills in its own way, in bytes; then comes data, or the quoted
/// packet.
pub const HEADER_BYTES: usize = 8;

const UNREACHABLE: u8 = 1;
const PACKET_TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
/// Types below are errors, those from here on are questions and answers (RFC 4443 §2.1).
const FIRST_INFORMATIONAL: u8 = 128;
/// Redirect (RFC 4861 §4.5): informational by number, but not to be answered with an error (RFC 4443 §2.4).
const REDIRECT: u8 = 137;

/// Codes of "destination unreachable" that are acted upon or sent (RFC 4443 §3.1).
pub mod unreachable {
    /// No route.
    pub const NO_ROUTE: u8 = 0;
    /// Forbidden by an administrator.
    pub const PROHIBITED: u8 = 1;
    /// The address does not answer.
    pub const ADDRESS: u8 = 3;
    /// Nothing listens at the port.
    pub const PORT: u8 = 4;
}

/// Codes of "parameter problem" (RFC 4443 §3.4).
pub mod parameter {
    /// A field of a header makes no sense.
    pub const HEADER_FIELD: u8 = 0;
    /// The next header is unknown.
    pub const NEXT_HEADER: u8 = 1;
    /// An option is unknown.
    pub const OPTION: u8 = 2;
    /// A first fragment has not the whole chain of headers (RFC 7112 §5).
    pub const FIRST_FRAGMENT: u8 = 3;
}

/// An ICMPv6 message, without what follows its first eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmpv6 {
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
    },
    /// The packet is too large for the next link.
    PacketTooBig {
        /// The largest packet it takes, in bytes.
        mtu: u32,
    },
    /// The packet was under way for too long.
    TimeExceeded {
        /// 0: too many hops; 1: fragments missing.
        code: u8,
    },
    /// The packet has something that the receiver cannot process.
    ParameterProblem {
        /// What: [`parameter`].
        code: u8,
        /// Which byte of the packet.
        pointer: u32,
    },
    /// Anything else.
    Other {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
}

impl Icmpv6 {
    /// Reads a whole message, verifies its checksum, and returns what follows its first eight bytes.
    ///
    /// # Errors
    /// When it is cut short, or its checksum is wrong.
    pub fn parse(
        message: &[u8],
        source: Ipv6Addr,
        destination: Ipv6Addr,
    ) -> Result<(Self, &[u8]), ParseError> {
        let Some((fixed, body)) = message.split_first_chunk::<HEADER_BYTES>() else {
            return Err(ParseError::Truncated);
        };
        if !pseudo_sum(source, destination, message.len()).add_bytes(message).is_valid() {
            return Err(ParseError::Checksum);
        }
        let [kind, code, _, _, a, b, c, d] = *fixed;
        let word = u32::from_be_bytes([a, b, c, d]);
        let (identifier, sequence) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let parsed = match kind {
            ECHO_REQUEST => Self::EchoRequest { identifier, sequence },
            ECHO_REPLY => Self::EchoReply { identifier, sequence },
            UNREACHABLE => Self::Unreachable { code },
            PACKET_TOO_BIG => Self::PacketTooBig { mtu: word },
            TIME_EXCEEDED => Self::TimeExceeded { code },
            PARAMETER_PROBLEM => Self::ParameterProblem { code, pointer: word },
            kind => Self::Other { kind, code },
        };
        Ok((parsed, body))
    }

    /// The first eight bytes of the message, with the checksum over pseudo-header, them, and `body`.
    #[must_use]
    pub fn emit(&self, source: Ipv6Addr, destination: Ipv6Addr, body: &[u8]) -> [u8; HEADER_BYTES] {
        let pair = |upper: u16, lower: u16| u32::from(upper) << 16 | u32::from(lower);
        let (kind, code, word) = match *self {
            Self::EchoRequest { identifier, sequence } => (ECHO_REQUEST, 0, pair(identifier, sequence)),
            Self::EchoReply { identifier, sequence } => (ECHO_REPLY, 0, pair(identifier, sequence)),
            Self::Unreachable { code } => (UNREACHABLE, code, 0),
            Self::PacketTooBig { mtu } => (PACKET_TOO_BIG, 0, mtu),
            Self::TimeExceeded { code } => (TIME_EXCEEDED, code, 0),
            Self::ParameterProblem { code, pointer } => (PARAMETER_PROBLEM, code, pointer),
            Self::Other { kind, code } => (kind, code, 0),
        };
        let [a, b, c, d] = word.to_be_bytes();
        let sum = pseudo_sum(source, destination, HEADER_BYTES + body.len());
        let checksum = sum.add_bytes(&[kind, code, 0, 0, a, b, c, d]).add_bytes(body).finish();
        let [high, low] = checksum.to_be_bytes();
        [kind, code, high, low, a, b, c, d]
    }

    /// True for the types that are never answered with an error: errors, known or not, and redirects
    /// (RFC 4443 §2.4 4443-2.4a).
    #[must_use]
    pub const fn is_error(&self) -> bool {
        match *self {
            Self::EchoRequest { .. } | Self::EchoReply { .. } => false,
            Self::Other { kind, .. } => is_error_type(kind),
            Self::Unreachable { .. }
            | Self::PacketTooBig { .. }
            | Self::TimeExceeded { .. }
            | Self::ParameterProblem { .. } => true,
        }
    }
}

/// True for the types that are never answered with an error.
#[must_use]
pub const fn is_error_type(kind: u8) -> bool {
    kind < FIRST_INFORMATIONAL || kind == REDIRECT
}

fn pseudo_sum(source: Ipv6Addr, destination: Ipv6Addr, len: usize) -> Sum {
    let len = u32::try_from(len).expect("a message is shorter than the longest packet");
    pseudo_header(IpAddr::V6(source), IpAddr::V6(destination), Protocol::ICMPV6, len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const DESTINATION: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

    fn message(header: Icmpv6, body: &[u8]) -> Vec<u8> {
        [&header.emit(SOURCE, DESTINATION, body)[..], body].concat()
    }

    #[test]
    fn each_type_survives_a_round_trip() {
        for header in [
            Icmpv6::EchoRequest { identifier: 1, sequence: 0xfffe },
            Icmpv6::EchoReply { identifier: 0xfffe, sequence: 1 },
            Icmpv6::Unreachable { code: unreachable::PORT },
            Icmpv6::PacketTooBig { mtu: 1280 },
            Icmpv6::TimeExceeded { code: 1 },
            Icmpv6::ParameterProblem { code: parameter::OPTION, pointer: 42 },
            Icmpv6::Other { kind: 135, code: 0 },
        ] {
            let bytes = message(header, b"odd");
            assert_eq!(Icmpv6::parse(&bytes, SOURCE, DESTINATION), Ok((header, &b"odd"[..])));
        }
    }

    // RFC 4443 §2.4 4443-2.4a
    #[test]
    fn unknown_errors_and_redirects_count_as_errors() {
        for kind in 0..=255 {
            if let Ok((parsed, _)) =
                Icmpv6::parse(&message(Icmpv6::Other { kind, code: 0 }, b""), SOURCE, DESTINATION)
            {
                assert_eq!(parsed.is_error(), kind < 128 || kind == 137, "type {kind}");
            }
        }
    }

    #[test]
    fn etherparse_computes_the_same_checksum() {
        let bytes = message(Icmpv6::EchoRequest { identifier: 7, sequence: 9 }, b"hello");
        let oracle = etherparse::Icmpv6Slice::from_slice(&bytes).unwrap();
        assert!(oracle.is_checksum_valid(SOURCE.octets(), DESTINATION.octets()));
    }

    proptest! {
        #[test]
        fn every_flipped_bit_is_noticed(
            body in prop::collection::vec(any::<u8>(), 0..40),
            bit in 0_usize..400,
        ) {
            let mut bytes = message(Icmpv6::EchoRequest { identifier: 3, sequence: 4 }, &body);
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Icmpv6::parse(&bytes, SOURCE, DESTINATION), Err(ParseError::Checksum));
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let answer = Icmpv6::parse(&bytes, SOURCE, DESTINATION);
            prop_assert_eq!(answer == Err(ParseError::Truncated), bytes.len() < 8);
        }
    }
}
