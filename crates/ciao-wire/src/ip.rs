//! What IPv4 and IPv6 have in common: the protocol number, ECN, and a header that is either.
//!
//! The two headers themselves are in [`crate::ipv4`] and [`crate::ipv6`].

use crate::{Ipv4Header, Ipv6Header, ParseError};
use core::fmt;
use core::net::IpAddr;

/// What an IP packet carries (IANA's protocol numbers).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// IPv6: nothing follows (RFC 8200 §4.7).
    pub const NO_NEXT_HEADER: Self = Self(59);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ICMP => f.pad("ICMP"),
            Self::TCP => f.pad("TCP"),
            Self::UDP => f.pad("UDP"),
            Self::ICMPV6 => f.pad("ICMPv6"),
            Self(number) => write!(f, "protocol {number}"),
        }
    }
}

/// Explicit congestion notification, the low two bits of the traffic class (RFC 3168 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// The transport does not speak ECN.
    #[default]
    NotEct,
    /// ECN-capable, codepoint 01.
    Ect1,
    /// ECN-capable, codepoint 10.
    Ect0,
    /// Congestion experienced.
    Ce,
}

impl Ecn {
    /// From the low two bits; the others are ignored.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// As two bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

/// The header of an IP packet of either version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpHeader {
    /// Version 4.
    V4(Ipv4Header),
    /// Version 6.
    V6(Ipv6Header),
}

impl IpHeader {
    /// Reads the header, options and extension headers included, and tells how many bytes it takes. Whether
    /// the payload is all there is for the caller to ask, with [`IpHeader::payload_len`]: it may stand in
    /// another piece.
    ///
    /// # Errors
    /// When the bytes are not an IP header.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), ParseError> {
        match bytes.first().map(|first| first >> 4) {
            None => Err(ParseError::Truncated),
            Some(4) => Ipv4Header::parse(bytes).map(|(header, len)| (Self::V4(header), len)),
            Some(6) => Ipv6Header::parse(bytes).map(|(header, len)| (Self::V6(header), len)),
            // RFC 1122 §3.2.1.1 1122-3.2.1.1
            Some(_) => Err(ParseError::Version),
        }
    }

    /// Where the packet comes from.
    #[must_use]
    #[inline]
    pub fn source(&self) -> IpAddr {
        match self {
            Self::V4(header) => IpAddr::V4(header.source),
            Self::V6(header) => IpAddr::V6(header.source),
        }
    }

    /// Where the packet goes.
    #[must_use]
    #[inline]
    pub fn destination(&self) -> IpAddr {
        match self {
            Self::V4(header) => IpAddr::V4(header.destination),
            Self::V6(header) => IpAddr::V6(header.destination),
        }
    }

    /// What it carries.
    #[must_use]
    #[inline]
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::V4(header) => header.protocol,
            Self::V6(header) => header.protocol,
        }
    }

    /// Routers that may still forward it: TTL or hop limit.
    #[must_use]
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        match self {
            Self::V4(header) => header.ttl,
            Self::V6(header) => header.hop_limit,
        }
    }

    /// Congestion notification.
    #[must_use]
    #[inline]
    pub fn ecn(&self) -> Ecn {
        match self {
            Self::V4(header) => header.ecn,
            Self::V6(header) => header.ecn,
        }
    }

    /// Differentiated services code point, six bits.
    #[must_use]
    #[inline]
    pub fn dscp(&self) -> u8 {
        match self {
            Self::V4(header) => header.dscp,
            Self::V6(header) => header.dscp,
        }
    }

    /// Bytes of the packet behind the `header_len` that [`IpHeader::parse`] told.
    #[must_use]
    #[inline]
    pub fn payload_len(&self, header_len: usize) -> usize {
        self.total_len().saturating_sub(header_len)
    }

    /// Bytes of the whole packet, header included.
    #[must_use]
    #[inline]
    pub fn total_len(&self) -> usize {
        match self {
            Self::V4(header) => usize::from(header.total_len),
            Self::V6(header) => usize::from(header.payload_len) + crate::ipv6::HEADER_BYTES,
        }
    }

    /// True for a fragment other than the first: it has no transport header.
    #[must_use]
    pub fn starts_inside(&self) -> bool {
        match self {
            Self::V4(header) => header.fragment_offset_bytes != 0,
            Self::V6(header) => header.fragment.is_some_and(|fragment| fragment.offset_bytes != 0),
        }
    }

    /// True for a piece of a packet that must be put together first.
    // RFC 6946 §4 6946-1: a whole packet with a fragment header is no piece
    #[must_use]
    #[inline]
    pub fn is_fragment(&self) -> bool {
        match self {
            Self::V4(header) => header.is_fragment(),
            Self::V6(header) => header.fragment.is_some_and(|fragment| !fragment.is_atomic()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 1122 §3.2.1.1 1122-3.2.1.1
    #[test]
    fn only_versions_four_and_six_are_taken() {
        for version in 0..16 {
            let mut bytes = [0; 60];
            bytes[0] = version << 4;
            bytes[6] = Protocol::NO_NEXT_HEADER.0;
            let answer = IpHeader::parse(&bytes);
            match version {
                4 => assert_eq!(answer, Err(ParseError::HeaderLength)),
                6 => assert!(matches!(answer, Ok((IpHeader::V6(_), 40)))),
                _ => assert_eq!(answer, Err(ParseError::Version)),
            }
        }
        assert_eq!(IpHeader::parse(&[]), Err(ParseError::Truncated));
    }

    #[test]
    fn ecn_codepoints_survive_a_round_trip() {
        for bits in 0..4 {
            assert_eq!(Ecn::from_bits(bits).bits(), bits);
        }
    }
}
