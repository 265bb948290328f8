//! The IPv6 header and its extension headers (RFC 8200 §3, §4).
//!
//! Extension headers are skipped, never sent, and at most [`MAX_EXTENSIONS`] of them. Fragments are put
//! together in `ciao-stack`.

use crate::{Ecn, ParseError, Protocol};
use core::net::Ipv6Addr;

/// The header without extension headers, in bytes.
pub const HEADER_BYTES: usize = 40;
/// Extension headers that are followed (RFC 8504 §5.3 lets a host choose; no known use has more).
pub const MAX_EXTENSIONS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// The fragment header (RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Where this fragment's payload belongs, in bytes, a multiple of eight.
    pub offset_bytes: u16,
    /// Not the last fragment.
    pub more_fragments: bool,
    /// Same for all fragments of a packet.
    pub identification: u32,
}

impl Fragment {
    /// A whole packet that merely has the header (RFC 6946).
    #[must_use]
    pub const fn is_atomic(&self) -> bool {
        self.offset_bytes == 0 && !self.more_fragments
    }
}

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
    /// When it is cut short or contradicts itself, or has too many extension headers.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), ParseError> {
        let Some(fixed) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(ParseError::Truncated);
        };
        let first = u32::from_be_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]);
        if first >> 28 != 6 {
            return Err(ParseError::Version);
        }
        let traffic_class = fixed[0] << 4 | fixed[1] >> 4;
        let mut header = Self {
            dscp: traffic_class >> 2,
            ecn: Ecn::from_bits(traffic_class),
            flow_label: first & 0xf_ffff,
            payload_len: u16::from_be_bytes([fixed[4], fixed[5]]),
            protocol: Protocol(fixed[6]),
            hop_limit: fixed[7],
            source: address(fixed, 8),
            destination: address(fixed, 24),
            fragment: None,
        };
        if matches!(fixed[6], HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS) {
            let len = header.walk_extensions(bytes)?;
            return Ok((header, len));
        }
        Ok((header, HEADER_BYTES))
    }

    /// Follows the chain of extension headers; returns where it ends.
    fn walk_extensions(&mut self, bytes: &[u8]) -> Result<usize, ParseError> {
        let mut at = HEADER_BYTES;
        // RFC 8200 §4 8200-4b
        for _ in 0..MAX_EXTENSIONS {
            let kind = self.protocol.0;
            if !matches!(kind, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS) {
                return Ok(at);
            }
            let start =
                bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()).ok_or(ParseError::Truncated)?;
            let len = if kind == FRAGMENT { 8 } else { usize::from(start[1]) * 8 + 8 };
            if at + len > bytes.len() {
                return Err(ParseError::Truncated);
            }
            if at + len > HEADER_BYTES + usize::from(self.payload_len) {
                return Err(ParseError::TotalLength);
            }
            at += len;
            self.protocol = Protocol(start[0]);
            if kind == FRAGMENT {
                let field = u16::from_be_bytes([start[2], start[3]]);
                let fragment = Fragment {
                    offset_bytes: field & !7,
                    more_fragments: field & 1 != 0,
                    identification: u32::from_be_bytes([start[4], start[5], start[6], start[7]]),
                };
                self.fragment = Some(fragment);
                if fragment.offset_bytes != 0 {
                    // What follows is the middle of something.
                    return Ok(at);
                }
            }
        }
        Err(ParseError::TooManyExtensions)
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
