//! What stands between the IPv6 header and what it carries? (RFC 8200 §4)
//!
//! The chain is followed to its end, at most [`MAX_EXTENSIONS`] headers with at most [`MAX_OPTIONS`] options
//! each; nothing in it is acted upon but the fragment header. Fragments are put together in `ciao-stack`.

use crate::icmpv6::parameter;
use crate::ipv6::HEADER_BYTES;
use crate::{ParseError, Protocol};

/// Extension headers that are followed (RFC 8504 §5.3 lets a host choose; no known use has more).
pub const MAX_EXTENSIONS: usize = 8;
/// Options of one extension header that are looked at, padding not counted (RFC 8504 §5.3 names this number).
pub const MAX_OPTIONS: usize = 8;

/// Bytes of the fragment header.
pub const FRAGMENT_HEADER_BYTES: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
/// Where the next-header field of the fixed header stands.
const NEXT_HEADER_OFFSET: usize = 6;

const OPTION_PAD1: u8 = 0;
const OPTION_PADN: u8 = 1;

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
    /// The bytes of the header, before what is called `next_header`.
    #[must_use]
    pub fn to_bytes(self, next_header: Protocol) -> [u8; FRAGMENT_HEADER_BYTES] {
        let [high, low] = (self.offset_bytes & !7 | u16::from(self.more_fragments)).to_be_bytes();
        let [a, b, c, d] = self.identification.to_be_bytes();
        [next_header.0, 0, high, low, a, b, c, d]
    }

    fn parse([_, _, offset_high, offset_low, a, b, c, d]: [u8; 8]) -> Self {
        let field = u16::from_be_bytes([offset_high, offset_low]);
        Self {
            offset_bytes: field & !7,
            more_fragments: field & 1 != 0,
            identification: u32::from_be_bytes([a, b, c, d]),
        }
    }

    /// A whole packet that merely has the header (RFC 6946).
    #[must_use]
    pub const fn is_atomic(&self) -> bool {
        self.offset_bytes == 0 && !self.more_fragments
    }
}

/// What the sender of a refused packet is to be told, in a "parameter problem" (RFC 4443 §3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objection {
    /// One of [`parameter`].
    pub code: u8,
    /// The byte of the packet that is objected to.
    pub pointer: u16,
    /// Whether a packet to a multicast group is answered too.
    pub multicast: Multicast,
}

/// Whether a packet to a multicast group is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Multicast {
    /// It is.
    Answered,
    /// It is dropped in silence.
    Silent,
}

/// What to answer a packet that [`crate::Ipv6Header::parse`] refused as [`ParseError::UnknownExtension`];
/// nothing for any other packet.
#[must_use]
pub fn objection(packet: &[u8]) -> Option<Objection> {
    Extensions::walk(packet).err()?.objection
}

/// Where a packet's fragment header stands, for whoever takes it out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentPlace {
    /// The byte that names it as the next header.
    pub named_at: usize,
    /// Its first byte. What the packet's fragments are cut from begins eight bytes later.
    pub at: usize,
    /// What follows it.
    pub next_header: Protocol,
}

/// Where the fragment header of `packet` stands, when it has one that [`crate::Ipv6Header::parse`] took.
#[must_use]
pub fn fragment_place(packet: &[u8]) -> Option<FragmentPlace> {
    let (mut named_at, mut at) = (NEXT_HEADER_OFFSET, HEADER_BYTES);
    for _ in 0..MAX_EXTENSIONS {
        let kind = *packet.get(named_at)?;
        let start = packet.get(at..at + 8)?;
        if kind == FRAGMENT {
            return Some(FragmentPlace { named_at, at, next_header: Protocol(start[0]) });
        }
        if !is_extension(kind) {
            return None;
        }
        (named_at, at) = (at, at + usize::from(start[1]) * 8 + 8);
    }
    None
}

/// What the chain of extension headers says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extensions {
    /// What comes behind it.
    pub(crate) protocol: Protocol,
    pub(crate) fragment: Option<Fragment>,
    /// Where it ends, in bytes from the start of the packet.
    pub(crate) end: usize,
}

/// Why a chain is not followed to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub(crate) error: ParseError,
    objection: Option<Objection>,
}

impl From<ParseError> for Refusal {
    fn from(error: ParseError) -> Self {
        Self { error, objection: None }
    }
}

impl Refusal {
    fn objecting(code: u8, pointer: usize, multicast: Multicast) -> Self {
        let pointer = u16::try_from(pointer).expect("the chain ends within the payload length");
        Self { error: ParseError::UnknownExtension, objection: Some(Objection { code, pointer, multicast }) }
    }
}

#[inline]
pub(crate) fn is_extension(kind: u8) -> bool {
    matches!(kind, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS)
}

impl Extensions {
    /// Follows the chain of a packet from behind its fixed header.
    pub(crate) fn walk(packet: &[u8]) -> Result<Self, Refusal> {
        let fixed = packet.first_chunk::<HEADER_BYTES>().ok_or(ParseError::Truncated)?;
        let packet_len = HEADER_BYTES + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let mut chain =
            Self { protocol: Protocol(fixed[NEXT_HEADER_OFFSET]), fragment: None, end: HEADER_BYTES };
        let mut named_at = NEXT_HEADER_OFFSET;
        // RFC 8200 §4 8200-4b
        for count in 0..MAX_EXTENSIONS {
            let kind = chain.protocol.0;
            if !is_extension(kind) {
                return Ok(chain);
            }
            if kind == HOP_BY_HOP && count > 0 {
                return Err(Refusal::objecting(parameter::NEXT_HEADER, named_at, Multicast::Silent));
            }
            let at = chain.end;
            chain.check_reach(at + 8, packet_len)?;
            let start =
                packet.get(at..).and_then(|rest| rest.first_chunk::<8>()).ok_or(ParseError::Truncated)?;
            let len = if kind == FRAGMENT { 8 } else { usize::from(start[1]) * 8 + 8 };
            chain.check_reach(at + len, packet_len)?;
            let header = packet.get(at..at + len).ok_or(ParseError::Truncated)?;
            named_at = at;
            chain.protocol = Protocol(start[0]);
            chain.end = at + len;
            match kind {
                FRAGMENT => {
                    let fragment = Fragment::parse(*start);
                    chain.fragment = Some(fragment);
                    if fragment.offset_bytes != 0 {
                        // What follows is the middle of something.
                        return Ok(chain);
                    }
                }
                ROUTING => check_routing(*start, at)?,
                _ => walk_options(header, at)?,
            }
        }
        if is_extension(chain.protocol.0) { Err(ParseError::TooManyExtensions.into()) } else { Ok(chain) }
    }
}

impl Extensions {
    /// No header reaches over the end of the packet. In a first fragment it does when the chain goes on in
    /// the next one.
    // RFC 7112 §5 7112-5
    fn check_reach(&self, end: usize, packet_len: usize) -> Result<(), Refusal> {
        if end <= packet_len {
            Ok(())
        } else if self.fragment.is_some() {
            Err(Refusal::objecting(parameter::FIRST_FRAGMENT, 0, Multicast::Silent))
        } else {
            Err(ParseError::TotalLength.into())
        }
    }
}

/// No type of routing header is followed; one with nothing left to visit is passed over (RFC 8200 §4.4).
// RFC 5095 §3 5095-1
fn check_routing([_, _, _, segments_left, ..]: [u8; 8], at: usize) -> Result<(), Refusal> {
    const TYPE_OFFSET: usize = 2;
    if segments_left == 0 {
        return Ok(());
    }
    Err(Refusal::objecting(parameter::HEADER_FIELD, at + TYPE_OFFSET, Multicast::Silent))
}

/// Passes over the options of a header that stands at `at`, unless one of them forbids it.
// RFC 8200 §4.2 8200-4a
fn walk_options(header: &[u8], at: usize) -> Result<(), Refusal> {
    let mut offset = 2;
    let mut count = 0;
    while let Some(&kind) = header.get(offset) {
        if kind == OPTION_PAD1 {
            offset += 1;
            continue;
        }
        let len = header.get(offset + 1).copied().ok_or(ParseError::OptionLength)?;
        let end = offset + 2 + usize::from(len);
        if end > header.len() {
            return Err(ParseError::OptionLength.into());
        }
        if kind != OPTION_PADN {
            count += 1;
            if count > MAX_OPTIONS {
                return Err(ParseError::TooManyExtensions.into());
            }
            // The upper two bits say what a host does that does not know the option, and we know none.
            let object = |multicast| Err(Refusal::objecting(parameter::OPTION, at + offset, multicast));
            match kind >> 6 {
                0 => {}
                1 => return Err(ParseError::UnknownExtension.into()),
                2 => return object(Multicast::Answered),
                _ => return object(Multicast::Silent),
            }
        }
        offset = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ipv6Header;
    use alloc::vec;
    use alloc::vec::Vec;
    use core::net::Ipv6Addr;

    /// A packet with the given extension headers; the first two bytes of each are filled in.
    fn packet(extensions: &[(u8, Vec<u8>)], last: u8) -> Vec<u8> {
        let len: usize = extensions.iter().map(|(_, body)| body.len()).sum();
        let payload_len = u16::try_from(len + 20).unwrap();
        let first = extensions.first().map_or(last, |(kind, _)| *kind);
        let mut bytes = vec![0; HEADER_BYTES];
        Ipv6Header::new(Protocol(first), Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, payload_len)
            .emit(&mut bytes);
        for (index, (kind, body)) in extensions.iter().enumerate() {
            let mut body = body.clone();
            body[0] = extensions.get(index + 1).map_or(last, |(kind, _)| *kind);
            if *kind != FRAGMENT {
                body[1] = u8::try_from(body.len() / 8 - 1).unwrap();
            }
            bytes.extend(body);
        }
        bytes.extend([0; 20]);
        bytes
    }

    // RFC 8200 §4 8200-4b
    #[test]
    fn eight_headers_are_followed_and_no_more() {
        for count in 0..1_000 {
            let headers = vec![(DESTINATION_OPTIONS, vec![0; 8]); count];
            let answer = Ipv6Header::parse(&packet(&headers, 6)).map(|(header, len)| (header.protocol, len));
            if count <= MAX_EXTENSIONS {
                assert_eq!(answer, Ok((Protocol::TCP, HEADER_BYTES + 8 * count)));
            } else {
                assert_eq!(answer, Err(ParseError::TooManyExtensions));
            }
        }
    }

    // RFC 8200 §4.2 8200-4a
    #[test]
    fn the_upper_bits_of_an_unknown_option_decide_its_fate() {
        for header in [HOP_BY_HOP, DESTINATION_OPTIONS] {
            for (kind, answered) in [
                (0x05, None),
                (0x45, None),
                (0x85, Some(Multicast::Answered)),
                (0xc2, Some(Multicast::Silent)),
            ] {
                let bytes = packet(&[(header, vec![0, 0, 0, kind, 2, 0, 0, 0])], 6);
                let expected = if kind == 0x05 { None } else { Some(ParseError::UnknownExtension) };
                assert_eq!(Ipv6Header::parse(&bytes).err(), expected);
                let told =
                    answered.map(|multicast| Objection { code: parameter::OPTION, pointer: 43, multicast });
                assert_eq!(objection(&bytes), told);
            }
        }
    }

    #[test]
    fn every_option_length_is_judged_and_none_loops() {
        for len in 0..=255 {
            let bytes = packet(&[(HOP_BY_HOP, [&[0, 0, 0x05, len], &[0; 20][..]].concat())], 6);
            let fits = len <= 20;
            assert_eq!(Ipv6Header::parse(&bytes).is_ok(), fits, "length {len}");
        }
        let many = |count| [&[0, 0][..], &[0x05, 0].repeat(count), &vec![0; 30 - 2 * count][..]].concat();
        assert!(Ipv6Header::parse(&packet(&[(HOP_BY_HOP, many(MAX_OPTIONS))], 6)).is_ok());
        let answer = Ipv6Header::parse(&packet(&[(HOP_BY_HOP, many(MAX_OPTIONS + 1))], 6));
        assert_eq!(answer, Err(ParseError::TooManyExtensions));
    }

    #[test]
    fn hop_by_hop_options_stand_first_or_are_refused() {
        let bytes = packet(&[(DESTINATION_OPTIONS, vec![0; 8]), (HOP_BY_HOP, vec![0; 8])], 6);
        let told = Objection { code: parameter::NEXT_HEADER, pointer: 40, multicast: Multicast::Silent };
        assert_eq!(objection(&bytes), Some(told));
    }

    // RFC 5095 §3 5095-1
    #[test]
    fn a_routing_header_with_somewhere_to_go_is_refused() {
        for kind in 0..=255 {
            for left in [0, 1, 255] {
                let bytes = packet(&[(ROUTING, vec![0, 0, kind, left, 0, 0, 0, 0])], 6);
                let told = (left > 0).then_some(Objection {
                    code: parameter::HEADER_FIELD,
                    pointer: 42,
                    multicast: Multicast::Silent,
                });
                assert_eq!(objection(&bytes), told);
                assert_eq!(Ipv6Header::parse(&bytes).is_ok(), left == 0);
            }
        }
    }

    #[test]
    fn a_fragment_is_told_and_only_the_first_is_looked_into() {
        let fragment = |field: u16| {
            let [high, low] = field.to_be_bytes();
            let headers = [(FRAGMENT, vec![0, 0, high, low, 1, 2, 3, 4]), (DESTINATION_OPTIONS, vec![0; 8])];
            let (header, len) = Ipv6Header::parse(&packet(&headers, 6)).unwrap();
            (header.fragment.unwrap(), header.protocol, len)
        };
        let (first, protocol, len) = fragment(1);
        assert_eq!((first.offset_bytes, first.more_fragments, first.identification), (0, true, 0x0102_0304));
        assert_eq!((protocol, len), (Protocol::TCP, 56));
        let (later, protocol, len) = fragment(1 << 3);
        assert_eq!((later.offset_bytes, later.more_fragments), (8, false));
        assert_eq!((protocol, len), (Protocol(DESTINATION_OPTIONS), 48));
        assert!(fragment(0).0.is_atomic());
    }

    #[test]
    fn the_fragment_header_is_found_and_written_again() {
        let header = Fragment { offset_bytes: 1480, more_fragments: true, identification: 0x0102_0304 };
        let bytes = header.to_bytes(Protocol::UDP);
        assert_eq!(bytes[0], Protocol::UDP.0);
        assert_eq!(Fragment::parse(bytes), header);
        let whole = packet(&[(DESTINATION_OPTIONS, vec![0; 16]), (FRAGMENT, bytes.to_vec())], 17);
        let place = FragmentPlace { named_at: 40, at: 56, next_header: Protocol::UDP };
        assert_eq!(fragment_place(&whole), Some(place));
        assert_eq!(fragment_place(&packet(&[(DESTINATION_OPTIONS, vec![0; 16])], 17)), None);
    }

    // RFC 7112 §5 7112-5
    #[test]
    fn a_chain_cut_anywhere_is_refused() {
        let bytes = packet(&[(HOP_BY_HOP, vec![0; 16]), (FRAGMENT, vec![0; 8]), (ROUTING, vec![0; 24])], 6);
        for len in 0..bytes.len() {
            let refused = Ipv6Header::parse(&bytes[..len]) == Err(ParseError::Truncated);
            assert_eq!(refused, len < 88, "cut to {len}");
        }
        let mut short = bytes;
        short[5] = 47;
        let told = Objection { code: parameter::FIRST_FRAGMENT, pointer: 0, multicast: Multicast::Silent };
        assert_eq!(objection(&short), Some(told), "the rest may come in the next fragment");
        let mut short = packet(&[(ROUTING, vec![0; 24])], 6);
        short[5] = 23;
        assert_eq!(Ipv6Header::parse(&short), Err(ParseError::TotalLength));
    }
}
