//! The TCP header (RFC 9293 §3.1).
//!
//! Options are in [`crate::tcp_options`]; what the fields mean to a connection is in `ciao-tcp`.

use crate::{ParseError, SeqNum, Sum, TcpOptions};
use core::fmt;
use core::ops::BitOr;

/// The header without options, in bytes.
pub const HEADER_BYTES: usize = 20;
/// Where the checksum stands, in bytes from the start of the header.
pub const CHECKSUM_OFFSET: usize = 16;

/// The control bits, the low eight of them (RFC 9293 §3.1).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push: hand what has arrived to the application.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// ECN echo (RFC 3168).
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(0x80);

    /// True when every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True when any bit of `other` is set.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// FIN is set.
    #[must_use]
    pub const fn fin(self) -> bool {
        self.contains(Self::FIN)
    }

    /// SYN is set.
    #[must_use]
    pub const fn syn(self) -> bool {
        self.contains(Self::SYN)
    }

    /// RST is set.
    #[must_use]
    pub const fn rst(self) -> bool {
        self.contains(Self::RST)
    }

    /// PSH is set.
    #[must_use]
    pub const fn psh(self) -> bool {
        self.contains(Self::PSH)
    }

    /// ACK is set.
    #[must_use]
    pub const fn ack(self) -> bool {
        self.contains(Self::ACK)
    }

    /// URG is set.
    #[must_use]
    pub const fn urg(self) -> bool {
        self.contains(Self::URG)
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for TcpFlags {
    /// The names joined by hyphens, in the order people say them: `SYN-ACK`, `FIN-PSH-ACK`; `none` without
    /// any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(TcpFlags, &str); 8] = [
            (TcpFlags::SYN, "SYN"),
            (TcpFlags::FIN, "FIN"),
            (TcpFlags::RST, "RST"),
            (TcpFlags::PSH, "PSH"),
            (TcpFlags::URG, "URG"),
            (TcpFlags::ECE, "ECE"),
            (TcpFlags::CWR, "CWR"),
            (TcpFlags::ACK, "ACK"),
        ];
        let mut separator = "";
        for (flag, name) in NAMES {
            if self.contains(flag) {
                write!(f, "{separator}{name}")?;
                separator = "-";
            }
        }
        if self.0 == 0 { f.write_str("none") } else { Ok(()) }
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A TCP header with its options, without its checksum: that covers the payload and the addresses too, so
/// whoever has those computes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpHeader {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// SEG.SEQ.
    pub seq: SeqNum,
    /// SEG.ACK; counts only with the ACK bit.
    pub ack: SeqNum,
    /// Control bits.
    pub flags: TcpFlags,
    /// SEG.WND as it stands in the header, not scaled.
    pub window: u16,
    /// SEG.UP; counts only with the URG bit.
    pub urgent: u16,
    /// Options.
    pub options: TcpOptions,
}

impl TcpHeader {
    /// Reads a header and tells how many bytes it takes with its options. The checksum is for the caller to
    /// verify.
    ///
    /// # Errors
    /// When it is cut short, its length field is below five words, or an option has an impossible length.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), ParseError> {
        let Some(fixed) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(ParseError::Truncated);
        };
        let header_len = usize::from(fixed[12] >> 4) * 4;
        if header_len < HEADER_BYTES {
            return Err(ParseError::HeaderLength);
        }
        let options = bytes.get(HEADER_BYTES..header_len).ok_or(ParseError::Truncated)?;
        let header = Self {
            source_port: u16::from_be_bytes([fixed[0], fixed[1]]),
            destination_port: u16::from_be_bytes([fixed[2], fixed[3]]),
            seq: SeqNum(u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]])),
            ack: SeqNum(u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]])),
            flags: TcpFlags(fixed[13]),
            window: u16::from_be_bytes([fixed[14], fixed[15]]),
            urgent: u16::from_be_bytes([fixed[18], fixed[19]]),
            // RFC 9293 §3.1 MUST-5
            options: TcpOptions::parse(options)?,
        };
        Ok((header, header_len))
    }

    /// Bytes of the header with its options as [`TcpHeader::emit`] writes them: a multiple of four, at most
    /// 60.
    #[must_use]
    #[inline]
    pub fn header_len(&self) -> usize {
        HEADER_BYTES + self.options.len()
    }

    /// Writes the header to the first [`TcpHeader::header_len`] of `bytes`, the checksum field zero, and
    /// answers the sum of what it wrote. That is computed from the values: reading back what was just written
    /// piece by piece would wait for the writes.
    ///
    /// # Panics
    /// When there are fewer bytes.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8]) -> Sum {
        let Self { source_port, destination_port, seq, ack, flags, window, urgent, ref options } = *self;
        let header_len = self.header_len();
        let (fixed, rest) =
            bytes.split_first_chunk_mut::<HEADER_BYTES>().expect("the caller leaves room for the header");
        let ports = u32::from(source_port) << 16 | u32::from(destination_port);
        #[expect(clippy::cast_possible_truncation, reason = "a header has at most 60 bytes, 15 words")]
        let words = (header_len / 4) as u32;
        let control = words << 28 | u32::from(flags.0) << 16 | u32::from(window);
        let urgent = u32::from(urgent);
        for (place, word) in
            fixed.as_chunks_mut::<4>().0.iter_mut().zip([ports, seq.0, ack.0, control, urgent])
        {
            *place = word.to_be_bytes();
        }
        let sum = Sum::ZERO.add_u32(ports).add_u32(seq.0).add_u32(ack.0).add_u32(control).add_u32(urgent);
        sum.add_sum(options.emit(&mut rest[..header_len - HEADER_BYTES]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::pseudo_header;
    use crate::tcp_options::MAX_OPTION_BYTES;
    use crate::{FastOpenCookie, Protocol, SackBlock, SackBlocks, Timestamps};
    use alloc::vec::Vec;
    use core::net::{IpAddr, Ipv4Addr};
    use proptest::prelude::*;

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    prop_compose! {
        fn options()(
            (mss, window_scale, sack_permitted) in (any::<Option<u16>>(), any::<Option<u8>>(), any::<bool>()),
            timestamps in any::<Option<(u32, u32)>>(),
            blocks in prop::collection::vec(any::<(u32, u32)>(), 0..6),
            user_timeout in any::<Option<u16>>(),
            cookie in prop::option::of(prop::sample::select(alloc::vec![0, 4, 8, 10, 16])),
        ) -> TcpOptions {
            let fast_open = cookie.map(|len| FastOpenCookie::new(&[7; 16][..len]).unwrap());
            let timestamps = timestamps.map(|(value, echo)| Timestamps { value, echo });
            let mut sack = SackBlocks::EMPTY;
            for (start, end) in blocks {
                sack.push(SackBlock { start: SeqNum(start), end: SeqNum(end) });
            }
            TcpOptions {
                mss, window_scale, sack_permitted, timestamps, sack, user_timeout, fast_open, unknown: 0,
            }
        }
    }

    prop_compose! {
        fn headers()(
            (source_port, destination_port, seq, ack) in any::<(u16, u16, u32, u32)>(),
            (flags, window, urgent) in any::<(u8, u16, u16)>(),
            options in options(),
        ) -> TcpHeader {
            TcpHeader {
                source_port,
                destination_port,
                seq: SeqNum(seq),
                ack: SeqNum(ack),
                flags: TcpFlags(flags),
                window,
                urgent,
                options,
            }
        }
    }

    fn emitted(header: &TcpHeader) -> Vec<u8> {
        let mut bytes = alloc::vec![0xaa; header.header_len()];
        let sum = header.emit(&mut bytes);
        assert_eq!(sum.fold(), crate::Sum::ZERO.add_bytes(&bytes).fold());
        bytes
    }

    fn sum(segment: &[u8]) -> crate::Sum {
        let len = u32::try_from(segment.len()).unwrap();
        pseudo_header(ADDRESS, ADDRESS, Protocol::TCP, len).add_bytes(segment)
    }

    // RFC 9293 §3.1 MUST-7
    #[test]
    fn every_two_bytes_of_options_in_every_header_length_give_an_answer() {
        for words in 0..=15_usize {
            let mut bytes = alloc::vec![0; 60];
            bytes[12] = u8::try_from(words << 4).unwrap();
            for prefix in 0..=u16::MAX {
                bytes[20..22].copy_from_slice(&prefix.to_be_bytes());
                let answer = TcpHeader::parse(&bytes).map(|(_, len)| len);
                let room = (words * 4).saturating_sub(HEADER_BYTES);
                let [kind, len] = prefix.to_be_bytes();
                let illegal =
                    |kind, len: u8, room: usize| kind > 1 && room > 0 && (len < 2 || usize::from(len) > room);
                // Behind a NOP the second byte is a kind, with length zero or none at all.
                let expected = if words < 5 {
                    Err(ParseError::HeaderLength)
                } else if illegal(kind, len, room) || kind == 1 && illegal(len, 0, room.saturating_sub(1)) {
                    Err(ParseError::OptionLength)
                } else {
                    Ok(words * 4)
                };
                assert_eq!(answer, expected, "{words} words, {prefix:#06x}");
            }
        }
    }

    // RFC 9293 §3.1 MUST-7
    #[test]
    fn every_option_length_at_every_place_gives_an_answer() {
        for at in 0..MAX_OPTION_BYTES {
            for kind in 0..=255 {
                for len in 0..=255 {
                    let mut options = [1; MAX_OPTION_BYTES];
                    options[at] = kind;
                    if let Some(place) = options.get_mut(at + 1) {
                        *place = len;
                    }
                    let fits =
                        at + 1 < MAX_OPTION_BYTES && len >= 2 && at + usize::from(len) <= MAX_OPTION_BYTES;
                    let second_is_option = kind == 1 && at + 1 < MAX_OPTION_BYTES && len > 1;
                    let answer = TcpOptions::parse(&options);
                    if second_is_option {
                        // Its length is the 1 of the NOP behind it, or missing.
                        assert_eq!(answer, Err(ParseError::OptionLength));
                    } else {
                        assert_eq!(answer.is_ok(), kind <= 1 || fits, "{kind} {len} at {at}");
                    }
                }
            }
        }
    }

    // RFC 9293 §3.1 MUST-4, §3.2 MUST-64
    #[test]
    fn options_are_understood_at_every_alignment() {
        for padding in 0..=16 {
            let mut bytes = alloc::vec![1; padding];
            bytes.extend([2, 4, 5, 0xb4]);
            bytes.extend(alloc::vec![1; (3 * padding) % 4]);
            bytes.extend([8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 3, 3, 7, 0, 99, 99]);
            let options = TcpOptions::parse(&bytes).unwrap();
            assert_eq!((options.mss, options.window_scale), (Some(1460), Some(7)));
            assert_eq!(options.timestamps, Some(Timestamps { value: 1, echo: 2 }));
            assert_eq!(options.unknown, 0);
        }
    }

    // RFC 9293 §3.1 MUST-3
    #[test]
    fn every_flipped_bit_of_a_segment_is_noticed_by_the_checksum() {
        let timestamps = Some(Timestamps { value: 7, echo: 9 });
        let options = TcpOptions { timestamps, ..TcpOptions::default() };
        let header = TcpHeader { source_port: 1, destination_port: 2, options, ..TcpHeader::default() };
        for len in [0, 1, 2, 3, 31, 32, 33, 63, 64, 65, 127] {
            let mut segment = emitted(&header);
            segment.extend((0..len).map(|byte: u8| byte.wrapping_mul(7)));
            let checksum = sum(&segment).finish();
            segment[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&checksum.to_be_bytes());
            assert!(sum(&segment).is_valid());
            for bit in 0..segment.len() * 8 {
                segment[bit / 8] ^= 1 << (bit % 8);
                assert!(!sum(&segment).is_valid(), "bit {bit} of {} bytes", segment.len());
                segment[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    proptest! {
        // RFC 9293 §3.1 MUST-68, MUST-69
        #[test]
        fn what_is_written_is_read_again_by_us_and_by_etherparse(header in headers()) {
            let bytes = emitted(&header);
            prop_assert!(bytes.len().is_multiple_of(4) && bytes.len() <= 60);
            let (read, len) = TcpHeader::parse(&bytes).unwrap();
            prop_assert_eq!(len, bytes.len());
            let blocks = read.options.sack.as_slice();
            prop_assert_eq!(blocks, &header.options.sack.as_slice()[..blocks.len()]);
            let mut expected = header.clone();
            expected.options.sack = read.options.sack;
            if bytes.len() > 56 {
                // Without room beside a long cookie it is left out.
                expected.options.user_timeout = read.options.user_timeout;
            }
            prop_assert_eq!(&read, &expected);
            let (oracle, rest) = etherparse::TcpHeader::from_slice(&bytes).unwrap();
            prop_assert!(rest.is_empty());
            prop_assert_eq!(&oracle.to_bytes()[..], &bytes[..]);
            prop_assert_eq!(oracle.sequence_number, header.seq.0);
            prop_assert_eq!(oracle.acknowledgment_number, header.ack.0);
            let unknown = |error: &_| matches!(error, etherparse::TcpOptionReadError::UnknownId(28 | 34));
            prop_assert!(oracle.options_iterator().all(|option| option.as_ref().err().is_none_or(unknown)));
        }

        #[test]
        fn etherparse_computes_the_same_checksum(
            header in headers(),
            data in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let segment = [emitted(&header), data.clone()].concat();
            let (oracle, _) = etherparse::TcpHeader::from_slice(&segment).unwrap();
            let address = [192, 0, 2, 1];
            let ip = etherparse::Ipv4Header::new(0, 64, etherparse::IpNumber::TCP, address, address).unwrap();
            prop_assert_eq!(oracle.calc_checksum_ipv4(&ip, &data).unwrap(), sum(&segment).finish());
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            match TcpHeader::parse(&bytes) {
                Ok((header, len)) => {
                    prop_assert!((HEADER_BYTES..=bytes.len()).contains(&len));
                    // Read once more, what we write says the same, but for kinds that we do not know.
                    let (again, _) = TcpHeader::parse(&emitted(&header)).unwrap();
                    prop_assert_eq!(again.options.timestamps, header.options.timestamps);
                    prop_assert_eq!((again.seq, again.flags), (header.seq, header.flags));
                }
                Err(ParseError::Truncated) => prop_assert!(bytes.len() < 60),
                Err(_) => {}
            }
        }
    }
}
