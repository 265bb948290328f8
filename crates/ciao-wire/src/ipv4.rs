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
        let (fixed, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(ParseError::Truncated)?;
        let mut sum = Sum::ZERO.add_bytes(fixed);
        if header_len > HEADER_BYTES {
            sum = sum.add_bytes(&rest[..header_len - HEADER_BYTES]);
        }
        // RFC 1122 §3.2.1.2 1122-3.2.1.2
        if !sum.is_valid() {
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
        let first = 0x4500 | u16::from(dscp << 2 | ecn.bits());
        let fragment = flags | fragment_offset_bytes >> 3;
        let lifetime = u16::from(ttl) << 8 | u16::from(protocol.0);
        // Summed from the values: reading back what was just written by bytes would wait for the writes.
        let mut words = [
            u32::from(first) << 16 | u32::from(total_len),
            u32::from(identification) << 16 | u32::from(fragment),
            u32::from(lifetime) << 16,
            source.to_bits(),
            destination.to_bits(),
        ];
        words[2] |= u32::from(Sum::of_words(words).finish());
        let out = bytes.first_chunk_mut::<HEADER_BYTES>().expect("the caller leaves room for the header");
        for (place, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    prop_compose! {
        fn headers()(
            (dscp, ecn, total_len, identification) in (0_u8..64, 0_u8..4, 20_u16..1_500, any::<u16>()),
            (dont_fragment, more_fragments, offset) in (any::<bool>(), any::<bool>(), 0_u16..8_000),
            (ttl, protocol) in (any::<u8>(), any::<u8>()),
            (source, destination) in (any::<[u8; 4]>(), any::<[u8; 4]>()),
        ) -> Ipv4Header {
            Ipv4Header {
                dscp,
                ecn: Ecn::from_bits(ecn),
                total_len,
                identification,
                dont_fragment,
                more_fragments,
                fragment_offset_bytes: offset * 8,
                ttl,
                protocol: Protocol(protocol),
                source: source.into(),
                destination: destination.into(),
                source_route: SourceRoute::Absent,
            }
        }
    }

    /// A header with options and a right checksum.
    fn with_options(options: &[u8]) -> Vec<u8> {
        let mut bytes = alloc::vec![0; HEADER_BYTES];
        Ipv4Header::new(Protocol::TCP, ADDRESS, ADDRESS, 1_500).emit(&mut bytes);
        bytes.extend(options);
        let words = u8::try_from(bytes.len() / 4).unwrap();
        bytes[0] = 0x40 | words;
        bytes[10..12].copy_from_slice(&[0, 0]);
        let checksum = Sum::ZERO.add_bytes(&bytes).finish();
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    // RFC 9293 §3.9.2 MUST-50
    #[test]
    fn options_are_passed_over_and_source_routes_noticed() {
        let route = |bytes: &[u8]| Ipv4Header::parse(&with_options(bytes)).unwrap();
        for kind in 2..=255 {
            let (header, len) = route(&[OPTION_NOP, kind, 6, 4, 1, 2, 3, OPTION_END]);
            let expected = match kind {
                OPTION_LSRR | OPTION_SSRR => SourceRoute::Present,
                _ => SourceRoute::Absent,
            };
            assert_eq!((header.source_route, len), (expected, 28), "kind {kind}");
        }
        let (header, _) = route(&[OPTION_END, OPTION_LSRR, 99, 99]);
        assert_eq!(header.source_route, SourceRoute::Absent);
    }

    #[test]
    fn every_option_length_is_judged() {
        for len in 0..=255 {
            let answer = Ipv4Header::parse(&with_options(&[7, len, 0, 0, 0, 0, 0, 0]));
            match len {
                2..=8 => assert!(answer.is_ok(), "length {len}"),
                _ => assert_eq!(answer, Err(ParseError::OptionLength), "length {len}"),
            }
        }
    }

    #[test]
    fn a_fragment_beyond_the_longest_packet_is_refused() {
        let mut header = Ipv4Header::new(Protocol::TCP, ADDRESS, ADDRESS, 20 + 8);
        let mut bytes = [0; HEADER_BYTES];
        header.fragment_offset_bytes = 65_512;
        for (total_len, expected) in [(20 + 3, None), (20 + 4, Some(ParseError::FragmentRange))] {
            header.total_len = total_len;
            header.emit(&mut bytes);
            assert_eq!(Ipv4Header::parse(&bytes).err(), expected);
        }
    }

    // RFC 1122 §3.2.1.2 1122-3.2.1.2
    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = with_options(&[OPTION_NOP; 8]);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Ipv4Header::parse(&flipped).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_by_us_and_by_etherparse(header in headers()) {
            let mut bytes = [0xaa; HEADER_BYTES];
            header.emit(&mut bytes);
            prop_assert_eq!(Ipv4Header::parse(&bytes), Ok((header, HEADER_BYTES)));
            let (oracle, _) = etherparse::Ipv4Header::from_slice(&bytes).unwrap();
            prop_assert_eq!(&oracle.to_bytes()[..], &bytes[..]);
            prop_assert_eq!(oracle.calc_header_checksum(), oracle.header_checksum);
            prop_assert_eq!((oracle.dscp.value(), oracle.ecn.value()), (header.dscp, header.ecn.bits()));
            prop_assert_eq!(oracle.fragment_offset.value() * 8, header.fragment_offset_bytes);
            prop_assert_eq!(oracle.dont_fragment, header.dont_fragment);
            prop_assert_eq!(oracle.more_fragments, header.more_fragments);
            prop_assert_eq!((oracle.time_to_live, oracle.total_len), (header.ttl, header.total_len));
        }

        #[test]
        fn any_bytes_give_an_answer(
            first in 0x40_u8..0x50,
            rest in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let bytes = [&[first], &rest[..]].concat();
            // The checksum would hide what lies behind it.
            if let Ok((_, len)) = Ipv4Header::parse_quoted(&bytes) {
                prop_assert!((HEADER_BYTES..=bytes.len()).contains(&len));
            }
            let is_short = bytes.len() < HEADER_BYTES;
            prop_assert!(!is_short || Ipv4Header::parse(&bytes) == Err(ParseError::Truncated));
        }
    }
}
