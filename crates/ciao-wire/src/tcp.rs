//! The TCP header (RFC 9293 §3.1).
//!
//! Options are in [`crate::tcp_options`]; what the fields mean to a connection is in `ciao-tcp`.

use crate::{ParseError, SeqNum, TcpOptions};
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

    /// Writes the header to the first [`TcpHeader::header_len`] of `bytes`, the checksum field zero.
    ///
    /// # Panics
    /// When there are fewer bytes.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8]) {
        let Self { source_port, destination_port, seq, ack, flags, window, urgent, ref options } = *self;
        let header_len = self.header_len();
        let (fixed, rest) =
            bytes.split_first_chunk_mut::<HEADER_BYTES>().expect("the caller leaves room for the header");
        fixed[0..2].copy_from_slice(&source_port.to_be_bytes());
        fixed[2..4].copy_from_slice(&destination_port.to_be_bytes());
        fixed[4..8].copy_from_slice(&seq.0.to_be_bytes());
        fixed[8..12].copy_from_slice(&ack.0.to_be_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "a header has at most 60 bytes, 15 words")]
        let words = (header_len / 4) as u8;
        fixed[12] = words << 4;
        fixed[13] = flags.0;
        fixed[14..16].copy_from_slice(&window.to_be_bytes());
        fixed[16..18].copy_from_slice(&[0, 0]);
        fixed[18..20].copy_from_slice(&urgent.to_be_bytes());
        options.emit(&mut rest[..header_len - HEADER_BYTES]);
    }
}
