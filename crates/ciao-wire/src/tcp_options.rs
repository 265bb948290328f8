//! TCP options: MSS, window scale, SACK, timestamps, user timeout and Fast Open (RFC 9293 §3.2, RFC 7323,
//! RFC 2018, RFC 5482, RFC 7413).
//!
//! They are sent in the order and with the padding that Linux uses, because that is what the other ends of
//! the world are used to: in a SYN `mss, sackOK, TS, nop, wscale, FO, nop, nop`, later `nop, nop, TS, nop,
//! nop, sack`. The user timeout, which Linux does not know, stands before what is last.

use crate::{ParseError, SeqNum, Sum};

const KIND_END: u8 = 0;
const KIND_NOP: u8 = 1;
const KIND_MSS: u8 = 2;
const KIND_WINDOW_SCALE: u8 = 3;
const KIND_SACK_PERMITTED: u8 = 4;
const KIND_SACK: u8 = 5;
const KIND_TIMESTAMPS: u8 = 8;
const KIND_USER_TIMEOUT: u8 = 28;
const KIND_FAST_OPEN: u8 = 34;

/// The room for options: the header's length field counts up to fifteen words, five are fixed (RFC 9293
/// §3.1).
pub const MAX_OPTION_BYTES: usize = 40;
/// Timestamps with the two NOPs that align them.
const TIMESTAMPS_BYTES: usize = 12;
/// The first four of them.
pub(crate) const TIMESTAMPS_START: [u8; 4] = [KIND_NOP, KIND_NOP, KIND_TIMESTAMPS, 10];

/// The timestamps option (RFC 7323 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval: the sender's clock, in its ticks.
    pub value: u32,
    /// TSecr: the peer's TSval echoed; counts only with the ACK bit.
    pub echo: u32,
}

/// One block of the SACK option: bytes from `start` up to, but without, `end` have arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlock {
    /// First number that has arrived.
    pub start: SeqNum,
    /// First number behind the block.
    pub end: SeqNum,
}

/// Up to four SACK blocks in the order they have on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    len: u8,
    blocks: [SackBlock; Self::CAPACITY],
}

impl SackBlocks {
    /// As many as 40 bytes of options hold (RFC 2018 §3).
    pub const CAPACITY: usize = 4;
    /// No blocks.
    pub const EMPTY: Self =
        Self { len: 0, blocks: [SackBlock { start: SeqNum(0), end: SeqNum(0) }; Self::CAPACITY] };

    /// Appends a block; one too many is left out.
    pub fn push(&mut self, block: SackBlock) {
        if let Some(slot) = self.blocks.get_mut(usize::from(self.len)) {
            *slot = block;
            self.len += 1;
        }
    }

    /// The blocks in order.
    #[must_use]
    pub fn as_slice(&self) -> &[SackBlock] {
        &self.blocks[..usize::from(self.len)]
    }

    /// True without any block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The Fast Open option of a SYN: the request for a cookie, or a cookie (RFC 7413 §4.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FastOpenCookie {
    len: u8,
    bytes: [u8; Self::MAX_BYTES],
}

impl FastOpenCookie {
    /// The longest cookie; the shortest has four bytes, and all are of even length.
    pub const MAX_BYTES: usize = 16;
    /// No cookie yet: a client asks for one.
    pub const REQUEST: Self = Self { len: 0, bytes: [0; Self::MAX_BYTES] };

    /// A cookie of `bytes`, or the request when there are none.
    ///
    /// # Errors
    /// When there are fewer than 4 or more than 16 of them, or the number is odd.
    // RFC 7413 §4.1.1 7413-4c: of other lengths the option is ignored
    pub fn new(bytes: &[u8]) -> Result<Self, ParseError> {
        match u8::try_from(bytes.len()) {
            Ok(len @ (0 | 4 | 6 | 8 | 10 | 12 | 14 | 16)) => {
                let mut cookie = Self { len, ..Self::REQUEST };
                cookie.bytes[..bytes.len()].copy_from_slice(bytes);
                Ok(cookie)
            }
            _ => Err(ParseError::OptionLength),
        }
    }

    /// The bytes; none in a request.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// True when this asks for a cookie.
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.len == 0
    }

    /// What the option takes in a header, padding included.
    fn option_bytes(&self) -> usize {
        (2 + usize::from(self.len)).next_multiple_of(4)
    }
}

/// The options of a segment that mean something to us. Others are skipped and counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Maximum segment size, SYN segments alone (RFC 9293 §3.7.1).
    pub mss: Option<u16>,
    /// Window scale shift, as received: it may be above 14 (RFC 7323 §2.2).
    pub window_scale: Option<u8>,
    /// SACK permitted (RFC 2018 §2).
    pub sack_permitted: bool,
    /// Timestamps (RFC 7323 §3.2).
    pub timestamps: Option<Timestamps>,
    /// SACK blocks (RFC 2018 §3).
    pub sack: SackBlocks,
    /// User timeout: the highest bit set for minutes, else seconds, and 15 bits of number (RFC 5482 §3). Left
    /// out where a cookie takes its room.
    pub user_timeout: Option<u16>,
    /// Fast Open, SYN segments alone (RFC 7413 §4.1.1).
    pub fast_open: Option<FastOpenCookie>,
    /// How many options of unknown kinds were skipped; never sent.
    pub unknown: u8,
}

impl TcpOptions {
    /// Reads all options of a header, in at most as many steps as there are bytes. Bytes behind the
    /// end-of-list option are not looked at; of a repeated option the last one counts.
    ///
    /// # Errors
    /// When an option's length is impossible: below two, or beyond the header.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        // Nearly every segment has these twelve bytes or none.
        if let [a, b, c, d, v0, v1, v2, v3, e0, e1, e2, e3] = *bytes
            && [a, b, c, d] == TIMESTAMPS_START
        {
            let value = u32::from_be_bytes([v0, v1, v2, v3]);
            let echo = u32::from_be_bytes([e0, e1, e2, e3]);
            return Ok(Self { timestamps: Some(Timestamps { value, echo }), ..Self::default() });
        }
        if bytes.is_empty() { Ok(Self::default()) } else { Self::parse_each(bytes) }
    }

    fn parse_each(mut bytes: &[u8]) -> Result<Self, ParseError> {
        let mut options = Self::default();
        while let [kind, rest @ ..] = bytes {
            // RFC 9293 §3.1 MUST-4
            match *kind {
                KIND_END => break,
                KIND_NOP => bytes = rest,
                kind => {
                    // RFC 9293 §3.1 MUST-7
                    let len = usize::from(*rest.first().ok_or(ParseError::OptionLength)?);
                    if len < 2 || len > bytes.len() {
                        return Err(ParseError::OptionLength);
                    }
                    options.take(kind, &bytes[2..len]);
                    bytes = &bytes[len..];
                }
            }
        }
        Ok(options)
    }

    /// One option. Fields are read byte by byte: nothing says that they are aligned.
    // RFC 9293 §3.2 MUST-64
    fn take(&mut self, kind: u8, value: &[u8]) {
        match (kind, value) {
            (KIND_MSS, &[a, b]) => self.mss = Some(u16::from_be_bytes([a, b])),
            (KIND_WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift),
            (KIND_SACK_PERMITTED, []) => self.sack_permitted = true,
            (KIND_TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => {
                self.timestamps = Some(Timestamps {
                    value: u32::from_be_bytes([a, b, c, d]),
                    echo: u32::from_be_bytes([e, f, g, h]),
                });
            }
            (KIND_SACK, blocks) if !blocks.is_empty() && blocks.len() % 8 == 0 => {
                self.sack = SackBlocks::EMPTY;
                for block in blocks.as_chunks::<8>().0 {
                    let [a, b, c, d, e, f, g, h] = *block;
                    self.sack.push(SackBlock {
                        start: SeqNum(u32::from_be_bytes([a, b, c, d])),
                        end: SeqNum(u32::from_be_bytes([e, f, g, h])),
                    });
                }
            }
            (KIND_USER_TIMEOUT, &[a, b]) => self.user_timeout = Some(u16::from_be_bytes([a, b])),
            (KIND_FAST_OPEN, bytes) => match FastOpenCookie::new(bytes) {
                Ok(cookie) => self.fast_open = Some(cookie),
                Err(_) => self.unknown += 1,
            },
            // An unknown kind, or a known one with a length that is not its own: Linux skips both.
            // RFC 9293 §3.1 MUST-6
            _ => self.unknown += 1,
        }
    }

    /// Bytes that [`TcpOptions::emit`] writes: a multiple of four, at most [`MAX_OPTION_BYTES`].
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        let fixed = self.len_without_sack();
        match self.sack_count(fixed) {
            0 => fixed,
            count => fixed + 4 + 8 * count,
        }
    }

    /// True when there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn len_without_sack(&self) -> usize {
        let timestamps = if self.timestamps.is_some() { TIMESTAMPS_BYTES } else { 0 };
        // With timestamps, SACK-permitted stands where their two NOPs would.
        let sack_permitted = usize::from(self.sack_permitted && self.timestamps.is_none()) * 4;
        let usual = usize::from(self.mss.is_some()) * 4
            + timestamps
            + sack_permitted
            + usize::from(self.window_scale.is_some()) * 4;
        if self.user_timeout.is_none() && self.fast_open.is_none() {
            usual
        } else {
            self.len_with_seldom(usual)
        }
    }

    /// A SYN with the longest cookie is full: the user timeout has no room beside it.
    #[cold]
    fn len_with_seldom(&self, usual: usize) -> usize {
        let with_cookie = usual + self.fast_open.as_ref().map_or(0, FastOpenCookie::option_bytes);
        with_cookie + self.user_timeout.filter(|_| with_cookie + 4 <= MAX_OPTION_BYTES).map_or(0, |_| 4)
    }

    /// As many SACK blocks as there is room for behind `fixed` bytes, the first ones.
    #[inline]
    fn sack_count(&self, fixed: usize) -> usize {
        self.sack.as_slice().len().min(MAX_OPTION_BYTES.saturating_sub(fixed + 4) / 8)
    }

    /// Writes the options to `bytes`, which is [`TcpOptions::len`] long, and answers their sum.
    ///
    /// # Panics
    /// When `bytes` has another length.
    // RFC 9293 §3.1 MUST-68, MUST-69: padding is made of no-ops, so nothing follows an end
    #[inline]
    pub fn emit(&self, bytes: &mut [u8]) -> Sum {
        if let (
            Self { mss: None, window_scale: None, sack_permitted: false, sack, unknown: _, .. },
            Some(timestamps),
        ) = (self, self.timestamps)
            && sack.is_empty()
            && bytes.len() == TIMESTAMPS_BYTES
        {
            bytes.copy_from_slice(&timestamps_with(TIMESTAMPS_START, timestamps));
            let Timestamps { value, echo } = timestamps;
            return Sum::ZERO.add_u32(u32::from_be_bytes(TIMESTAMPS_START)).add_u32(value).add_u32(echo);
        }
        if !bytes.is_empty() {
            self.emit_each(bytes);
        }
        Sum::ZERO.add_bytes(bytes)
    }

    // RFC 9293 §3.1 MUST-68, MUST-69: every kind but padding has its length; what is left over is padding
    fn emit_each(&self, bytes: &mut [u8]) {
        let Self {
            mss,
            window_scale,
            sack_permitted,
            timestamps,
            ref sack,
            user_timeout,
            ref fast_open,
            unknown: _,
        } = *self;
        let mut out = Writer { bytes, at: 0 };
        if let Some(mss) = mss {
            let [a, b] = mss.to_be_bytes();
            out.write(&[KIND_MSS, 4, a, b]);
        }
        match timestamps {
            Some(timestamps) if sack_permitted => {
                out.write(&timestamps_with([KIND_SACK_PERMITTED, 2, KIND_TIMESTAMPS, 10], timestamps));
            }
            Some(timestamps) => out.write(&timestamps_with(TIMESTAMPS_START, timestamps)),
            None if sack_permitted => out.write(&[KIND_NOP, KIND_NOP, KIND_SACK_PERMITTED, 2]),
            None => {}
        }
        if let Some(shift) = window_scale {
            out.write(&[KIND_NOP, KIND_WINDOW_SCALE, 3, shift]);
        }
        let cookie_bytes = fast_open.as_ref().map_or(0, FastOpenCookie::option_bytes);
        if let Some(user_timeout) = user_timeout.filter(|_| out.at + cookie_bytes + 4 <= MAX_OPTION_BYTES) {
            let [a, b] = user_timeout.to_be_bytes();
            out.write(&[KIND_USER_TIMEOUT, 4, a, b]);
        }
        if let Some(cookie) = fast_open {
            out.write(&[KIND_FAST_OPEN, 2 + cookie.len]);
            out.write(cookie.as_slice());
            // An even length leaves two bytes or none.
            out.write(&[KIND_NOP; 2][..cookie.option_bytes() - 2 - usize::from(cookie.len)]);
        }
        let count = self.sack_count(self.len_without_sack());
        if count > 0 {
            #[expect(clippy::cast_possible_truncation, reason = "at most four blocks")]
            out.write(&[KIND_NOP, KIND_NOP, KIND_SACK, 2 + 8 * count as u8]);
            for block in &sack.as_slice()[..count] {
                out.write(&block.start.0.to_be_bytes());
                out.write(&block.end.0.to_be_bytes());
            }
        }
        assert_eq!(out.at, out.bytes.len(), "the caller asked `len` how much room options take");
    }
}

/// The timestamps option behind the four bytes `start`, which hold its kind and length.
#[inline]
fn timestamps_with(start: [u8; 4], timestamps: Timestamps) -> [u8; TIMESTAMPS_BYTES] {
    let mut bytes = [0; TIMESTAMPS_BYTES];
    bytes[..4].copy_from_slice(&start);
    bytes[4..8].copy_from_slice(&timestamps.value.to_be_bytes());
    bytes[8..].copy_from_slice(&timestamps.echo.to_be_bytes());
    bytes
}

struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn write(&mut self, piece: &[u8]) {
        self.bytes[self.at..self.at + piece.len()].copy_from_slice(piece);
        self.at += piece.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const TIMESTAMPS: Timestamps = Timestamps { value: 0x0102_0304, echo: 0x0506_0708 };

    fn emitted(options: &TcpOptions) -> Vec<u8> {
        let mut bytes = alloc::vec![0xaa; options.len()];
        options.emit(&mut bytes);
        bytes
    }

    fn blocks(count: u32) -> SackBlocks {
        let mut blocks = SackBlocks::EMPTY;
        for n in 0..count {
            blocks.push(SackBlock { start: SeqNum(n * 100), end: SeqNum(n * 100 + 50) });
        }
        blocks
    }

    #[test]
    fn order_and_padding_are_those_of_linux() {
        let syn = TcpOptions {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(TIMESTAMPS),
            ..TcpOptions::default()
        };
        let expected = [2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7];
        assert_eq!(emitted(&syn), expected);
        let without_timestamps = TcpOptions { timestamps: None, ..syn };
        assert_eq!(emitted(&without_timestamps), [2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7]);
        let without_sack = TcpOptions { sack_permitted: false, ..syn };
        let expected = [2, 4, 5, 0xb4, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7];
        assert_eq!(emitted(&without_sack), expected);
        let data = TcpOptions { timestamps: Some(TIMESTAMPS), ..TcpOptions::default() };
        assert_eq!(emitted(&data), [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
        let sack = TcpOptions { sack: blocks(1), ..data };
        assert_eq!(emitted(&sack)[12..], [1, 1, 5, 10, 0, 0, 0, 0, 0, 0, 0, 50]);
    }

    #[test]
    fn three_blocks_fit_beside_timestamps_and_four_without() {
        let with = TcpOptions { timestamps: Some(TIMESTAMPS), sack: blocks(4), ..TcpOptions::default() };
        assert_eq!(with.len(), MAX_OPTION_BYTES);
        assert_eq!(TcpOptions::parse(&emitted(&with)).unwrap().sack, blocks(3));
        let without = TcpOptions { timestamps: None, ..with };
        assert_eq!(without.len(), 36);
        assert_eq!(TcpOptions::parse(&emitted(&without)).unwrap().sack, blocks(4));
    }

    // RFC 9293 §3.1 MUST-6
    #[test]
    fn unknown_kinds_are_skipped_and_counted() {
        for kind in [6, 7, 9, 19, 35, 253, 254, 255] {
            let bytes = [kind, 3, 9, 2, 4, 5, 0xb4, kind, 2];
            let options = TcpOptions::parse(&bytes).unwrap();
            assert_eq!(options, TcpOptions { mss: Some(1460), unknown: 2, ..TcpOptions::default() });
        }
    }

    // RFC 7413 §4.1.1 7413-4c
    #[test]
    fn a_fast_open_cookie_has_an_even_length_between_4_and_16_or_none() {
        for len in 0..=20_u8 {
            let mut bytes = alloc::vec![KIND_FAST_OPEN, 2 + len];
            bytes.extend((0..len).map(|n| n * 7));
            let options = TcpOptions::parse(&bytes).unwrap();
            let is_good = len % 2 == 0 && (len == 0 || (4..=16).contains(&len));
            assert_eq!(options.fast_open.is_some(), is_good, "{len} bytes");
            let Some(cookie) = options.fast_open else { continue };
            assert_eq!((cookie.as_slice(), cookie.is_request()), (&bytes[2..], len == 0));
            let emitted = emitted(&options);
            assert_eq!(emitted.len() % 4, 0);
            assert!(
                emitted.starts_with(&bytes) && emitted[bytes.len()..].iter().all(|byte| *byte == KIND_NOP)
            );
            assert_eq!(TcpOptions::parse(&emitted).unwrap(), options);
        }
    }

    #[test]
    fn a_syn_with_the_longest_cookie_is_full_and_does_without_a_user_timeout() {
        let syn = TcpOptions {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(TIMESTAMPS),
            user_timeout: Some(0x8005),
            fast_open: Some(FastOpenCookie::new(&[9; 16]).unwrap()),
            ..TcpOptions::default()
        };
        let without = TcpOptions { user_timeout: None, ..syn };
        assert_eq!(syn.len(), MAX_OPTION_BYTES);
        assert_eq!(TcpOptions::parse(&emitted(&syn)).unwrap(), without);
        let shorter = TcpOptions { fast_open: Some(FastOpenCookie::new(&[9; 8]).unwrap()), ..syn };
        assert_eq!(shorter.len(), 36);
        assert_eq!(TcpOptions::parse(&emitted(&shorter)).unwrap(), shorter);
    }

    #[test]
    fn a_known_kind_with_a_foreign_length_is_skipped_as_an_unknown_one() {
        for (kind, own) in [(2, 4), (3, 3), (4, 2), (8, 10), (28, 4)] {
            for len in 2_u8..20 {
                let mut bytes = alloc::vec![kind, len];
                bytes.resize(usize::from(len), 0);
                let options = TcpOptions::parse(&bytes).unwrap();
                assert_eq!(options.unknown, u8::from(len != own), "kind {kind}, length {len}");
            }
        }
    }
}
