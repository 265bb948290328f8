//! How is a segment written, compared and printed? [`SegmentText`], `FLAGS START:END(LEN) ack N win N
//! <options>`.

use ciao_wire::{SackBlock, SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps};
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

/// A segment as it stands in a script; numbers are relative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentText {
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

/// One option as it stands in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    Timestamps(Timestamps),
    /// `sack START:END`, one for each block
    Sack(SackBlock),
    /// `unknown`, of a kind that means nothing to anybody
    Unknown,
}

/// The numbers from which the script counts.
#[derive(Clone, Copy, Debug)]
pub struct Bases {
    /// Of the sender's sequence numbers.
    pub seq: u32,
    /// Of the numbers that it acknowledges.
    pub ack: u32,
    /// Of the sender's timestamps.
    pub timestamp_value: u32,
    /// Of the timestamps that it echoes.
    pub timestamp_echo: u32,
}

impl Bases {
    /// The same, seen from the other end.
    #[must_use]
    pub fn turned(self) -> Self {
        Self {
            seq: self.ack,
            ack: self.seq,
            timestamp_value: self.timestamp_echo,
            timestamp_echo: self.timestamp_value,
        }
    }
}

impl SegmentText {
    /// The header that this stands for, with `window` where none is written. Ports are left zero.
    #[must_use]
    pub fn header(&self, bases: Bases, window: u16) -> TcpHeader {
        TcpHeader {
            seq: SeqNum(self.start) + bases.seq,
            ack: self.ack.map(|ack| SeqNum(ack) + bases.ack).unwrap_or_default(),
            flags: self.flags,
            window: self.window.unwrap_or(window),
            urgent: self.urgent.unwrap_or_default(),
            options: self.header_options(bases),
            ..TcpHeader::default()
        }
    }

    fn header_options(&self, bases: Bases) -> TcpOptions {
        let mut options = TcpOptions::default();
        for option in self.options.iter().flatten() {
            match *option {
                OptionText::Nop | OptionText::End => {}
                OptionText::Mss(mss) => options.mss = Some(mss),
                OptionText::WindowScale(shift) => options.window_scale = Some(shift),
                OptionText::SackPermitted => options.sack_permitted = true,
                OptionText::Timestamps(Timestamps { value, echo }) => {
                    options.timestamps = Some(Timestamps {
                        value: value.wrapping_add(bases.timestamp_value),
                        echo: if self.flags.ack() { echo.wrapping_add(bases.timestamp_echo) } else { echo },
                    });
                }
                OptionText::Sack(SackBlock { start, end }) => {
                    options.sack.push(SackBlock { start: start + bases.ack, end: end + bases.ack });
                }
                OptionText::Unknown => options.unknown += 1,
            }
        }
        options
    }

    /// Whether a sent segment begins as this one does, and, with its `len` payload bytes, does not reach
    /// beyond it.
    ///
    /// # Errors
    /// What differs, in words.
    pub fn compare(&self, header: &TcpHeader, len: u32, bases: Bases) -> Result<(), String> {
        // PSH and FIN stand on the last segment of a long one.
        let last = if len == self.len { TcpFlags::default() } else { TcpFlags::PSH | TcpFlags::FIN };
        let without = |flags: TcpFlags| TcpFlags(flags.0 & !last.0);
        let same = |name: &str, expected: Option<u32>, sent: u32| match expected {
            Some(expected) if expected != sent => Err(format!("{name} is {sent}, not {expected}")),
            _ => Ok(()),
        };
        if without(header.flags) != without(self.flags) || len > self.len {
            return Err("another segment was sent".to_owned());
        }
        same("the sequence number", Some(self.start), header.seq.0.wrapping_sub(bases.seq))?;
        same("the acknowledgment", self.ack, header.ack.0.wrapping_sub(bases.ack))?;
        same("the window", self.window.map(u32::from), header.window.into())?;
        same("the urgent pointer", self.urgent.map(u32::from), header.urgent.into())?;
        match &self.options {
            Some(expected) if *expected != header_options(header, bases) => {
                Err(format!("the options are not <{}>", print_options(expected)))
            }
            _ => Ok(()),
        }
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

/// Prints the header of a segment with `len` payload bytes.
#[must_use]
pub fn print_segment(header: &TcpHeader, len: u32, bases: Bases) -> String {
    let start = header.seq.0.wrapping_sub(bases.seq);
    let mut text = format!("{} {start}:{}({len})", print_flags(header.flags), start.wrapping_add(len));
    if header.flags.ack() {
        let _ = write!(text, " ack {}", header.ack.0.wrapping_sub(bases.ack));
    }
    let _ = write!(text, " win {}", header.window);
    if header.flags.urg() {
        let _ = write!(text, " urg {}", header.urgent);
    }
    let options = header_options(header, bases);
    if !options.is_empty() {
        let _ = write!(text, " <{}>", print_options(&options));
    }
    text
}

/// Prints options as a script has them.
#[must_use]
pub fn print_options(options: &[OptionText]) -> String {
    let mut texts = Vec::new();
    for (index, option) in options.iter().enumerate() {
        let follows_block = index > 0 && matches!(options[index - 1], OptionText::Sack(_));
        match option {
            OptionText::Nop => texts.push("nop".to_owned()),
            OptionText::End => texts.push("eol".to_owned()),
            OptionText::Mss(mss) => texts.push(format!("mss {mss}")),
            OptionText::WindowScale(shift) => texts.push(format!("wscale {shift}")),
            OptionText::SackPermitted => texts.push("sackOK".to_owned()),
            OptionText::Timestamps(Timestamps { value, echo }) => {
                texts.push(format!("TS val {value} ecr {echo}"))
            }
            OptionText::Sack(SackBlock { start, end }) if follows_block => {
                let last = texts.last_mut().expect("a block came before");
                let _ = write!(last, " {start}:{end}");
            }
            OptionText::Sack(SackBlock { start, end }) => texts.push(format!("sack {start}:{end}")),
            OptionText::Unknown => texts.push("unknown".to_owned()),
        }
    }
    texts.join(",")
}

/// The options of a header as its bytes have them, in order and with their padding.
#[must_use]
pub fn header_options(header: &TcpHeader, bases: Bases) -> Vec<OptionText> {
    let mut bytes = vec![0; header.header_len()];
    header.emit(&mut bytes);
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let mut options = Vec::new();
    let mut at = 20;
    while at < bytes.len() {
        let kind = bytes[at];
        if kind <= 1 {
            options.push(if kind == 0 { OptionText::End } else { OptionText::Nop });
            at += 1;
            continue;
        }
        let len = usize::from(bytes[at + 1]);
        match kind {
            2 => options.push(OptionText::Mss(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]))),
            3 => options.push(OptionText::WindowScale(bytes[at + 2])),
            4 => options.push(OptionText::SackPermitted),
            5 => {
                for block in (at + 2..at + len).step_by(8) {
                    let relative = |at| SeqNum(word(at)) - bases.ack;
                    options.push(OptionText::Sack(SackBlock {
                        start: relative(block),
                        end: relative(block + 4),
                    }));
                }
            }
            8 => options.push(OptionText::Timestamps(Timestamps {
                value: word(at + 2).wrapping_sub(bases.timestamp_value),
                // Without ACK the field means nothing and is zero.
                echo: if header.flags.ack() {
                    word(at + 6).wrapping_sub(bases.timestamp_echo)
                } else {
                    word(at + 6)
                },
            })),
            _ => options.push(OptionText::Unknown),
        }
        at += len.max(2);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse_segment;

    const BASES: Bases = Bases { seq: u32::MAX - 9, ack: 500, timestamp_value: 7, timestamp_echo: 100 };

    #[test]
    fn what_is_printed_reads_as_the_same_segment() {
        for text in [
            "S 0:0(0) win 65535 <mss 1460,sackOK,TS val 0 ecr 0,nop,wscale 8>",
            "P. 1:1449(1448) ack 1 win 512 <nop,nop,TS val 20 ecr 10>",
            ". 5:5(0) ack 70000 win 0 <nop,nop,sack 70100:70200 70300:70400>",
            "FP.U 30:40(10) ack 1 win 9 urg 10",
            "R. 0:0(0) ack 1 win 0",
        ] {
            let segment = parse_segment(text).expect("it is written well");
            let header = segment.header(BASES, 0);
            assert_eq!(segment.compare(&header, segment.len, BASES), Ok(()));
            assert_eq!(print_segment(&header, segment.len, BASES), text);
        }
    }

    #[test]
    fn an_unknown_letter_is_named() {
        assert_eq!(parse_flags("SX"), Err("`X` in `SX` is no control bit".to_owned()));
    }
}
