//! The IPv6 header (RFC 8200 §3).
//!
//! Extension headers are in [`crate::ipv6_extensions`]; we send none.

use crate::ipv6_extensions::{self, Extensions, Fragment};
use crate::{Ecn, ParseError, Protocol};
use core::net::Ipv6Addr;

/// The header without extension headers, in bytes.
pub const HEADER_BYTES: usize = 40;

/// An IPv6 header with what its extension headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Header {
    /// Differentiated services code point, six bits.
    pub dscp: u8,
    /// Congestion notification.
    pub ecn: Ecn,
    /// Flow label, twenty bits.
    pub flow_label: u32,
    /// Bytes behind the fixed header, extension headers included.
    pub payload_len: u16,
    /// What follows the extension headers.
    pub protocol: Protocol,
    /// Routers that may still forward it.
    pub hop_limit: u8,
    /// From.
    pub source: Ipv6Addr,
    /// To.
    pub destination: Ipv6Addr,
    /// The fragment header, if there is one; never sent.
    pub fragment: Option<Fragment>,
}

impl Ipv6Header {
    /// A header with hop limit 64 and no marks.
    #[must_use]
    pub fn new(protocol: Protocol, source: Ipv6Addr, destination: Ipv6Addr, payload_len: u16) -> Self {
        Self {
            dscp: 0,
            ecn: Ecn::NotEct,
            flow_label: 0,
            payload_len,
            protocol,
            hop_limit: 64,
            source,
            destination,
            fragment: None,
        }
    }

    /// Reads a header and tells how many bytes it takes with its extension headers.
    ///
    /// # Errors
    /// When it is cut short or contradicts itself, or its extension headers are too many or must not be
    /// passed over.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), ParseError> {
        let Some(fixed) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(ParseError::Truncated);
        };
        if fixed[0] >> 4 != 6 {
            return Err(ParseError::Version);
        }
        let mut header = Self::fixed(fixed);
        let mut end = HEADER_BYTES;
        if ipv6_extensions::is_extension(fixed[6]) {
            let extensions = Extensions::walk(bytes).map_err(|refusal| refusal.error)?;
            (header.protocol, header.fragment) = (extensions.protocol, extensions.fragment);
            end = extensions.end;
        }
        Ok((header, end))
    }

    /// The fixed header of a packet whose extension headers are refused: the protocol is the first of them.
    #[must_use]
    pub fn of_refused(packet: &[u8]) -> Option<Self> {
        packet.first_chunk::<HEADER_BYTES>().filter(|fixed| fixed[0] >> 4 == 6).map(Self::fixed)
    }

    #[inline]
    fn fixed(fixed: &[u8; HEADER_BYTES]) -> Self {
        let first = u32::from_be_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]);
        let traffic_class = fixed[0] << 4 | fixed[1] >> 4;
        Self {
            dscp: traffic_class >> 2,
            ecn: Ecn::from_bits(traffic_class),
            flow_label: first & 0xf_ffff,
            payload_len: u16::from_be_bytes([fixed[4], fixed[5]]),
            protocol: Protocol(fixed[6]),
            hop_limit: fixed[7],
            source: address(fixed, 8),
            destination: address(fixed, 24),
            fragment: None,
        }
    }

    /// Writes the fixed header to the first [`HEADER_BYTES`] of `bytes`.
    ///
    /// # Panics
    /// When there are fewer bytes.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8]) {
        let Self {
            dscp,
            ecn,
            flow_label,
            payload_len,
            protocol,
            hop_limit,
            source,
            destination,
            fragment: _,
        } = *self;
        let out = bytes.first_chunk_mut::<HEADER_BYTES>().expect("the caller leaves room for the header");
        let traffic_class = u32::from(dscp << 2 | ecn.bits());
        out[..4].copy_from_slice(&(6 << 28 | traffic_class << 20 | flow_label & 0xf_ffff).to_be_bytes());
        out[4..6].copy_from_slice(&payload_len.to_be_bytes());
        out[6] = protocol.0;
        out[7] = hop_limit;
        out[8..24].copy_from_slice(&source.octets());
        out[24..40].copy_from_slice(&destination.octets());
    }
}

#[inline]
fn address(fixed: &[u8; HEADER_BYTES], at: usize) -> Ipv6Addr {
    let octets: [u8; 16] = fixed[at..at + 16].try_into().expect("the slice has 16 bytes");
    Ipv6Addr::from(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn headers()(
            (dscp, ecn, flow_label, payload_len) in (0_u8..64, 0_u8..4, 0_u32..1 << 20, any::<u16>()),
            (protocol, hop_limit) in (61_u8.., any::<u8>()),
            (source, destination) in (any::<[u8; 16]>(), any::<[u8; 16]>()),
        ) -> Ipv6Header {
            Ipv6Header {
                dscp,
                ecn: Ecn::from_bits(ecn),
                flow_label,
                payload_len,
                protocol: Protocol(protocol),
                hop_limit,
                source: source.into(),
                destination: destination.into(),
                fragment: None,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_by_us_and_by_etherparse(header in headers()) {
            let mut bytes = [0xaa; HEADER_BYTES];
            header.emit(&mut bytes);
            prop_assert_eq!(Ipv6Header::parse(&bytes), Ok((header, HEADER_BYTES)));
            let (oracle, _) = etherparse::Ipv6Header::from_slice(&bytes).unwrap();
            prop_assert_eq!(oracle.to_bytes(), bytes);
            prop_assert_eq!(oracle.traffic_class, header.dscp << 2 | header.ecn.bits());
            prop_assert_eq!(oracle.flow_label.value(), header.flow_label);
            prop_assert_eq!(oracle.payload_length, header.payload_len);
            prop_assert_eq!(oracle.hop_limit, header.hop_limit);
            prop_assert_eq!(oracle.source, header.source.octets());
            prop_assert_eq!(oracle.destination, header.destination.octets());
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            if let Ok((_, len)) = Ipv6Header::parse(&bytes) {
                prop_assert!((HEADER_BYTES..=bytes.len()).contains(&len));
            }
        }
    }
}
