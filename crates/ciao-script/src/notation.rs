//! How is a segment written, compared and printed? [`SegmentText`], `FLAGS START:END(LEN) ack N win N
//! <options>`.
//!
//! Options are bytes here, in their order and with their padding, and not what `ciao-wire` makes of them: a
//! script may send what no decent stack would.

use crate::numbers::Bases;
use crate::packets::SegmentSeen;
use ciao_wire::{Ecn, TcpFlags};
use std::fmt::Write as _;

/// The control bits and their letters, in the order in which they are printed.
const FLAG_LETTERS: [(TcpFlags, char); 8] = [
    (TcpFlags::FIN, 'F'),
    (TcpFlags::SYN, 'S'),
    (TcpFlags::RST, 'R'),
    (TcpFlags::PSH, 'P'),
    (TcpFlags::ACK, '.'),
    (TcpFlags::URG, 'U'),
    (TcpFlags::ECE, 'E'),
    (TcpFlags::CWR, 'W'),
];

/// Kinds of TCP options (IANA).
mod kind {
    pub(super) const END: u8 = 0;
    pub(super) const NOP: u8 = 1;
    pub(super) const MSS: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const SACK: u8 = 5;
    pub(super) const TIMESTAMPS: u8 = 8;
    pub(super) const MD5: u8 = 19;
    pub(super) const USER_TIMEOUT: u8 = 28;
    pub(super) const FAST_OPEN: u8 = 34;
    /// For experiments (RFC 4727): means nothing to anybody.
    pub(super) const EXPERIMENT: u8 = 253;
}

/// A segment as it stands in a script; numbers are relative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentText {
    /// Ports of the sender and of the receiver, if they are written.
    pub ports: Option<(u16, u16)>,
    /// What the IP header says.
    pub ip: IpText,
    /// Control bits.
    pub flags: TcpFlags,
    /// First number.
    pub start: u32,
    /// Payload bytes.
    pub len: u32,
    /// The acknowledgment.
    pub ack: Option<u32>,
    /// The window field.
    pub window: Option<u16>,
    /// The urgent pointer.
    pub urgent: Option<u16>,
    /// The options in order; `None` for any.
    pub options: Option<Vec<OptionText>>,
}

/// What a script says of the IP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpText {
    /// `noecn`, `ect0`, `ect1`, `ce`, or `ect01` for either of two.
    pub ecn: Option<EcnText>,
    /// `ttl N`, under IPv6 the hop limit.
    pub hop_limit: Option<u8>,
    /// `tos N`, under IPv6 the traffic class, ECN bits included.
    pub tos: Option<u8>,
}

/// The ECN bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcnText {
    /// These.
    Exactly(Ecn),
    /// ECT(0) or ECT(1).
    Capable,
}

/// One option as it stands in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionText {
    /// `nop`
    Nop,
    /// `eol`
    End,
    /// `mss N`
    Mss(u16),
    /// `wscale N`
    WindowScale(u8),
    /// `sackOK`
    SackPermitted,
    /// `TS val N ecr N`
    Timestamps {
        /// TSval.
        value: u32,
        /// TSecr.
        echo: u32,
    },
    /// `sack START:END START:END`
    Sack(Vec<(u32, u32)>),
    /// `FO HEX`; without digits it asks for a cookie.
    FastOpen(Vec<u8>),
    /// `FO COOKIE`: the cookie that the host has given last.
    OwnCookie,
    /// `md5 HEX`
    Md5(Vec<u8>),
    /// `uto HEX`: RFC 5482, the sixteen bits with the granularity in front.
    UserTimeout(u16),
    /// `unknown`, of a kind that means nothing to anybody
    Unknown,
}

impl SegmentText {
    /// The options as bytes, filled up to whole words. What an end of the list would add is left to the
    /// script.
    #[must_use]
    pub fn option_bytes(&self, bases: Bases) -> Vec<u8> {
        let mut bytes = Vec::new();
        for option in self.options.iter().flatten() {
            option.emit(self.flags, bases, &mut bytes);
        }
        bytes.resize(bytes.len().next_multiple_of(4), kind::END);
        bytes
    }

    /// Whether a sent segment begins as this one does, and does not reach beyond it.
    ///
    /// # Errors
    /// What differs, in words.
    pub fn compare(&self, seen: &SegmentSeen, bases: Bases) -> Result<(), String> {
        let len = seen.payload.len() as u32;
        // PSH and FIN stand on the last segment of a long one, URG does not reach the last one always.
        let last = if len == self.len { TcpFlags::default() } else { TcpFlags::PSH | TcpFlags::FIN };
        let without = |flags: TcpFlags| TcpFlags(flags.0 & !last.0);
        let same = |name: &str, expected: Option<u32>, sent: u32| match expected {
            Some(expected) if expected != sent => Err(format!("{name} is {sent}, not {expected}")),
            _ => Ok(()),
        };
        if without(seen.flags) != without(self.flags) || len > self.len {
            return Err("another segment was sent".to_owned());
        }
        same("the sequence number", Some(self.start), seen.seq.wrapping_sub(bases.seq))?;
        same("the acknowledgment", self.ack, seen.ack.wrapping_sub(bases.ack))?;
        same("the window", self.window.map(u32::from), seen.window.into())?;
        same("the urgent pointer", self.urgent.map(u32::from), seen.urgent.into())?;
        self.compare_ip(seen)?;
        match &self.options {
            Some(expected) if *expected != read_options(&seen.options, seen.flags, bases) => {
                Err(format!("the options are not <{}>", print_options(expected)))
            }
            _ => Ok(()),
        }
    }

    fn compare_ip(&self, seen: &SegmentSeen) -> Result<(), String> {
        let (ecn, hop_limit) = (seen.ip.ecn(), seen.ip.hop_limit());
        let tos = seen.ip.dscp() << 2 | ecn.bits();
        let ecn_is_right = match self.ip.ecn {
            None => true,
            Some(EcnText::Exactly(expected)) => ecn == expected,
            Some(EcnText::Capable) => matches!(ecn, Ecn::Ect0 | Ecn::Ect1),
        };
        if !ecn_is_right {
            return Err(format!("the ECN bits are {ecn:?}"));
        }
        match self.ip {
            IpText { hop_limit: Some(expected), .. } if expected != hop_limit => {
                Err(format!("the TTL is {hop_limit}, not {expected}"))
            }
            IpText { tos: Some(expected), .. } if expected != tos => {
                Err(format!("the TOS is {tos:#04x}, not {expected:#04x}"))
            }
            _ => Ok(()),
        }
    }
}

impl OptionText {
    /// A cookie, if this is one.
    pub(crate) fn cookie(self) -> Option<Vec<u8>> {
        match self {
            Self::FastOpen(cookie) if !cookie.is_empty() => Some(cookie),
            _ => None,
        }
    }

    fn emit(&self, flags: TcpFlags, bases: Bases, bytes: &mut Vec<u8>) {
        let (kind, body) = match self {
            Self::Nop => return bytes.push(kind::NOP),
            Self::End => return bytes.push(kind::END),
            Self::Mss(mss) => (kind::MSS, mss.to_be_bytes().to_vec()),
            Self::WindowScale(shift) => (kind::WINDOW_SCALE, vec![*shift]),
            Self::SackPermitted => (kind::SACK_PERMITTED, Vec::new()),
            Self::Timestamps { value, echo } => {
                let value = value.wrapping_add(bases.timestamp_value);
                // Without ACK the field means nothing and is what the script says.
                let echo = if flags.ack() { echo.wrapping_add(bases.timestamp_echo) } else { *echo };
                (kind::TIMESTAMPS, [value.to_be_bytes(), echo.to_be_bytes()].concat())
            }
            Self::Sack(blocks) => {
                let edges = blocks.iter().flat_map(|(start, end)| [start, end]);
                (kind::SACK, edges.flat_map(|edge| edge.wrapping_add(bases.ack).to_be_bytes()).collect())
            }
            Self::FastOpen(cookie) => (kind::FAST_OPEN, cookie.clone()),
            // The stage has put the host's own in its place, if it has given one.
            Self::OwnCookie => (kind::FAST_OPEN, Vec::new()),
            Self::Md5(digest) => (kind::MD5, digest.clone()),
            Self::UserTimeout(word) => (kind::USER_TIMEOUT, word.to_be_bytes().to_vec()),
            Self::Unknown => (kind::EXPERIMENT, vec![0, 0]),
        };
        bytes.extend([kind, body.len() as u8 + 2]);
        bytes.extend(body);
    }
}

/// Reads control bits: `S.`, `FP.`, or `-` for none.
///
/// # Errors
/// When there is another letter.
pub fn parse_flags(text: &str) -> Result<TcpFlags, String> {
    if text == "-" {
        return Ok(TcpFlags::default());
    }
    text.chars().try_fold(TcpFlags::default(), |flags, letter| {
        let (flag, _) = FLAG_LETTERS
            .iter()
            .find(|(_, known)| *known == letter)
            .ok_or_else(|| format!("`{letter}` in `{text}` is no control bit"))?;
        Ok(flags | *flag)
    })
}

/// Writes control bits as [`parse_flags`] reads them.
#[must_use]
pub fn print_flags(flags: TcpFlags) -> String {
    let letters: String =
        FLAG_LETTERS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, letter)| letter).collect();
    if letters.is_empty() { "-".to_owned() } else { letters }
}

/// Prints a segment that was sent.
#[must_use]
pub fn print_segment(seen: &SegmentSeen, bases: Bases) -> String {
    let start = seen.seq.wrapping_sub(bases.seq);
    let len = seen.payload.len() as u32;
    let ecn = match seen.ip.ecn() {
        Ecn::NotEct => "",
        Ecn::Ect0 => "[ect0] ",
        Ecn::Ect1 => "[ect1] ",
        Ecn::Ce => "[ce] ",
    };
    let mut text = format!("{ecn}{} {start}:{}({len})", print_flags(seen.flags), start.wrapping_add(len));
    if seen.flags.ack() {
        let _ = write!(text, " ack {}", seen.ack.wrapping_sub(bases.ack));
    }
    let _ = write!(text, " win {}", seen.window);
    if seen.flags.urg() {
        let _ = write!(text, " urg {}", seen.urgent);
    }
    let options = read_options(&seen.options, seen.flags, bases);
    if !options.is_empty() {
        let _ = write!(text, " <{}>", print_options(&options));
    }
    text
}

/// Prints options as a script has them.
#[must_use]
pub fn print_options(options: &[OptionText]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let print = |option: &OptionText| match option {
        OptionText::Nop => "nop".to_owned(),
        OptionText::End => "eol".to_owned(),
        OptionText::Mss(mss) => format!("mss {mss}"),
        OptionText::WindowScale(shift) => format!("wscale {shift}"),
        OptionText::SackPermitted => "sackOK".to_owned(),
        OptionText::Timestamps { value, echo } => format!("TS val {value} ecr {echo}"),
        OptionText::Sack(blocks) => {
            blocks.iter().fold("sack".to_owned(), |text, (start, end)| format!("{text} {start}:{end}"))
        }
        OptionText::FastOpen(cookie) => format!("FO {}", hex(cookie)).trim_end().to_owned(),
        OptionText::OwnCookie => "FO COOKIE".to_owned(),
        OptionText::Md5(digest) => format!("md5 {}", hex(digest)),
        OptionText::UserTimeout(word) => format!("uto {word:#06x}"),
        OptionText::Unknown => "unknown".to_owned(),
    };
    options.iter().map(print).collect::<Vec<_>>().join(",")
}

/// Reads the bytes of options, in order and with their padding.
#[must_use]
pub fn read_options(mut bytes: &[u8], flags: TcpFlags, bases: Bases) -> Vec<OptionText> {
    let mut options = Vec::new();
    while let Some((&kind, rest)) = bytes.split_first() {
        if kind <= kind::NOP {
            options.push(if kind == kind::END { OptionText::End } else { OptionText::Nop });
            bytes = rest;
            continue;
        }
        let len = rest.first().map_or(0, |len| usize::from(*len));
        let Some(body) = bytes.get(2..len) else { return options };
        options.push(read_option(kind, body, flags, bases));
        bytes = &bytes[len..];
    }
    options
}

fn read_option(kind: u8, body: &[u8], flags: TcpFlags, bases: Bases) -> OptionText {
    let word = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
    let half = |bytes: &[u8]| u16::from_be_bytes(bytes.try_into().expect("two bytes"));
    match (kind, body.len()) {
        (kind::MSS, 2) => OptionText::Mss(half(body)),
        (kind::WINDOW_SCALE, 1) => OptionText::WindowScale(body[0]),
        (kind::SACK_PERMITTED, 0) => OptionText::SackPermitted,
        (kind::SACK, len) if len % 8 == 0 => {
            let relative = |bytes| word(bytes).wrapping_sub(bases.ack);
            let blocks = body.chunks_exact(8);
            OptionText::Sack(blocks.map(|block| (relative(&block[..4]), relative(&block[4..]))).collect())
        }
        (kind::TIMESTAMPS, 8) => {
            let echo_base = if flags.ack() { bases.timestamp_echo } else { 0 };
            OptionText::Timestamps {
                value: word(&body[..4]).wrapping_sub(bases.timestamp_value),
                echo: word(&body[4..]).wrapping_sub(echo_base),
            }
        }
        // Only a host gives cookies to a script, and nobody can know them beforehand.
        (kind::FAST_OPEN, _) if flags.contains(TcpFlags::SYN | TcpFlags::ACK) => OptionText::OwnCookie,
        (kind::FAST_OPEN, _) => OptionText::FastOpen(body.to_vec()),
        (kind::MD5, _) => OptionText::Md5(body.to_vec()),
        (kind::USER_TIMEOUT, 2) => OptionText::UserTimeout(half(body)),
        _ => OptionText::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::{Addresses, Seen, read, segment};
    use crate::parse::parse_segment;
    use crate::{IpVersion, numbers::Numbers};

    #[test]
    fn what_is_printed_reads_as_the_same_segment() {
        for (text, version) in [
            ("S 0:0(0) win 65535 <mss 1460,sackOK,TS val 0 ecr 0,nop,wscale 8>", IpVersion::V4),
            ("P. 1:1449(1448) ack 1 win 512 <nop,nop,TS val 20 ecr 10>", IpVersion::V6),
            (". 5:5(0) ack 70000 win 0 <nop,nop,sack 70100:70200 70300:70400>", IpVersion::V4),
            ("[ce] FP.U 30:40(10) ack 1 win 9 urg 10", IpVersion::V6),
            ("S 0:0(0) win 9 <mss 1460,FO 0123456789abcdef,nop,nop>", IpVersion::V4),
            ("R. 0:0(0) ack 1 win 0", IpVersion::V4),
        ] {
            let numbers = Numbers { local: 500, timestamp: 100, ..Numbers::default() };
            let written = parse_segment(text).expect("it is written well");
            let bases = numbers.inbound();
            let packet = segment(&Addresses::of(version), &written, bases, (1, 2), 0);
            let Seen::Segment(seen) = read(&packet).expect("it is a packet") else { panic!("it is TCP") };
            assert_eq!(written.compare(&seen, bases), Ok(()));
            assert_eq!(print_segment(&seen, bases), text);
        }
    }

    #[test]
    fn an_unknown_letter_is_named() {
        assert_eq!(parse_flags("SX"), Err("`X` in `SX` is no control bit".to_owned()));
    }
}
