//! The IPv4 header (RFC 791 §3.1, DSCP and ECN: RFC 2474, RFC 3168).
//!
//! Options are walked to find source routes and impossible lengths, otherwise ignored; none is ever sent.
//! Fragments are put together in `ciao-stack`.

use crate::checksum::Sum;
use crate::{Ecn, ParseError, Protocol};
use core::net::Ipv4Addr;

/// The header without options, in bytes.
pub const HEADER_BYTES: usize = 20;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
/// Loose source and record route.
const OPTION_LSRR: u8 = 131;
/// Strict source and record route.
const OPTION_SSRR: u8 = 137;

/// Whether the sender named routers to pass through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SourceRoute {
    /// No such option.
    #[default]
    Absent,
    /// A loose or a strict source route.
    Present,
}

/// An IPv4 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Header {
    /// Differentiated services code point, six bits.
    pub dscp: u8,
    /// Congestion notification.
    pub ecn: Ecn,
    /// Bytes of the packet, header included.
    pub total_len: u16,
    /// Same for all fragments of a packet.
    pub identification: u16,
    /// Routers must not fragment.
    pub dont_fragment: bool,
    /// Not the last fragment.
    pub more_fragments: bool,
    /// Where this fragment's payload belongs, in bytes, a multiple of eight.
    pub fragment_offset_bytes: u16,
    /// Time to live.
    pub ttl: u8,
    /// What the packet carries.
    pub protocol: Protocol,
    /// From.
    pub source: Ipv4Addr,
    /// To.
    pub destination: Ipv4Addr,
    /// A source route among the options; never sent.
    pub source_route: SourceRoute,
}

impl Ipv4Header {
    /// A header for a whole packet with DF, TTL 64 and no marks.
    #[must_use]
    pub fn new(protocol: Protocol, source: Ipv4Addr, destination: Ipv4Addr, total_len: u16) -> Self {
        Self {
            dscp: 0,
            ecn: Ecn::NotEct,
            total_len,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset_bytes: 0,
            ttl: 64,
            protocol,
            source,
            destination,
            source_route: SourceRoute::Absent,
        }
    }

    /// Reads a header and tells how many bytes it takes with its options.
    ///
    /// # Errors
    /// When it is cut short, contradicts itself, its checksum is wrong, or an option has an impossible
    /// length.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), ParseError> {
        let (parsed, header_len) = Self::parse_quoted(bytes)?;
        // RFC 1122 §3.2.1.2 1122-3.2.1.2
        if !Sum::ZERO.add_bytes(&bytes[..header_len]).is_valid() {
            return Err(ParseError::Checksum);
        }
        if usize::from(parsed.total_len) < header_len {
            return Err(ParseError::TotalLength);
        }
        parsed.check_fragment_range(header_len)?;
        Ok((parsed, header_len))
    }

    /// As [`Ipv4Header::parse`] for a header that an ICMP error quotes: neither checksum nor length is
    /// believed.
    #[inline]
    pub(crate) fn parse_quoted(bytes: &[u8]) -> Result<(Self, usize), ParseError> {
        let Some(fixed) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(ParseError::Truncated);
        };
        if fixed[0] >> 4 != 4 {
            return Err(ParseError::Version);
        }
        let header_len = usize::from(fixed[0] & 0xf) * 4;
        if header_len < HEADER_BYTES {
            return Err(ParseError::HeaderLength);
        }
        let fragment = u16::from_be_bytes([fixed[6], fixed[7]]);
        let source_route = match bytes.get(HEADER_BYTES..header_len).ok_or(ParseError::Truncated)? {
            [] => SourceRoute::Absent,
            options => walk_options(options)?,
        };
        let parsed = Self {
            dscp: fixed[1] >> 2,
            ecn: Ecn::from_bits(fixed[1]),
            total_len: u16::from_be_bytes([fixed[2], fixed[3]]),
            identification: u16::from_be_bytes([fixed[4], fixed[5]]),
            dont_fragment: fragment & DONT_FRAGMENT != 0,
            more_fragments: fragment & MORE_FRAGMENTS != 0,
            fragment_offset_bytes: (fragment & OFFSET_MASK) << 3,
            ttl: fixed[8],
            protocol: Protocol(fixed[9]),
            source: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]),
            destination: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]),
            source_route,
        };
        Ok((parsed, header_len))
    }

    /// A fragment's end must lie within the longest packet (ping of death).
    fn check_fragment_range(&self, header_len: usize) -> Result<(), ParseError> {
        if usize::from(self.fragment_offset_bytes) + usize::from(self.total_len) - header_len
            > usize::from(u16::MAX) - HEADER_BYTES
            && self.is_fragment()
        {
            return Err(ParseError::FragmentRange);
        }
        Ok(())
    }

    /// True for a piece of a packet.
    #[must_use]
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset_bytes != 0
    }

    /// Writes the header without options, checksum included, to the first [`HEADER_BYTES`] of `bytes`.
    ///
    /// # Panics
    /// When there are fewer bytes.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8]) {
        let Self {
            dscp,
            ecn,
            total_len,
            identification,
            dont_fragment,
            more_fragments,
            fragment_offset_bytes,
            ttl,
            protocol,
            source,
            destination,
            source_route: _,
        } = *self;
        let flags = u16::from(dont_fragment) * DONT_FRAGMENT + u16::from(more_fragments) * MORE_FRAGMENTS;
        let out = bytes.first_chunk_mut::<HEADER_BYTES>().expect("the caller leaves room for the header");
        out[0] = 0x45;
        out[1] = dscp << 2 | ecn.bits();
        out[2..4].copy_from_slice(&total_len.to_be_bytes());
        out[4..6].copy_from_slice(&identification.to_be_bytes());
        out[6..8].copy_from_slice(&(flags | fragment_offset_bytes >> 3).to_be_bytes());
        out[8] = ttl;
        out[9] = protocol.0;
        out[10..12].copy_from_slice(&[0, 0]);
        out[12..16].copy_from_slice(&source.octets());
        out[16..20].copy_from_slice(&destination.octets());
        let checksum = Sum::ZERO.add_bytes(&out[..]).finish();
        out[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Ignores what it does not understand (RFC 9293 §3.9.2 MUST-50); at most 40 steps.
fn walk_options(mut options: &[u8]) -> Result<SourceRoute, ParseError> {
    let mut found = SourceRoute::Absent;
    while let [kind, rest @ ..] = options {
        match *kind {
            OPTION_END => break,
            OPTION_NOP => options = rest,
            kind => {
                let len = usize::from(*rest.first().ok_or(ParseError::OptionLength)?);
                if len < 2 || len > options.len() {
                    return Err(ParseError::OptionLength);
                }
                if matches!(kind, OPTION_LSRR | OPTION_SSRR) {
                    found = SourceRoute::Present;
                }
                options = &options[len..];
            }
        }
    }
    Ok(found)
}
