//! Which HTTP messages and frames does a byte stream hold, and where does each begin and end?
//!
//! A read-only bystander: it takes the bytes of both directions in order and answers with [`Element`]s.
//! HTTP/1.x is in [`one`], HTTP/2 in [`two`]; what is neither gives no elements. Nothing is kept but what is
//! shown.

pub mod one;
pub mod two;

use crate::history::{Pair, Side};
use std::fmt;
use std::ops::Range;

/// One message of HTTP/1.x, or one frame of HTTP/2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its bytes in the stream of its sender, counted from zero.
    pub range: Range<u64>,
    /// What it is.
    pub kind: Kind,
    /// Its HTTP/2 stream; `None` in HTTP/1.x.
    pub stream: Option<u32>,
    /// `GET /style.css`, `200 text/css, 1.2 kB`, `SETTINGS`.
    pub text: String,
    /// Whether the sender has nothing more to say in this message or stream.
    pub end: End,
}

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request: the whole message of HTTP/1.x, the header block of HTTP/2.
    Request,
    /// A response, likewise.
    Response,
    /// Data of a message of HTTP/2.
    Body,
    /// Anything else: preface, settings, windows, pings.
    Control,
}

/// Whether a message is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// More is to come.
    Open,
    /// It is complete.
    Complete,
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stream {
            Some(stream) => write!(f, "{} (stream {stream})", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// An element, or a part of one, in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Index into the elements of the sender.
    pub element: usize,
    /// Which part of it.
    pub part: Part,
    /// How many bytes of the element were sent up to the end of this segment.
    pub sent_bytes: u64,
}

/// Which part of an element a segment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The beginning.
    Begins,
    /// Some of the middle.
    Continues,
    /// The end.
    Ends,
}

impl Carried {
    /// The part of `element` in the bytes `segment`.
    #[must_use]
    pub(crate) fn new(index: usize, element: &Range<u64>, segment: Range<u64>) -> Self {
        let part = match (segment.start <= element.start, segment.end >= element.end) {
            (true, true) => Part::Whole,
            (true, false) => Part::Begins,
            (false, false) => Part::Continues,
            (false, true) => Part::Ends,
        };
        Self { element: index, part, sent_bytes: segment.end.min(element.end) - element.start }
    }
}

/// Reads both directions of one connection.
#[derive(Debug, Default)]
pub struct Reader {
    protocol: Protocol,
}

/// What the two streams hold.
#[derive(Debug, Default)]
enum Protocol {
    /// Fewer bytes than tell: they are kept.
    #[default]
    Undecided,
    /// Kept as long as the beginning may still be that of the preface of HTTP/2.
    Deciding(Vec<u8>),
    One(one::Exchange),
    Two(Box<Pair<two::Direction>>),
}

impl Reader {
    /// Takes the next bytes that `side` sent. The side that opened the connection asks.
    pub fn push(&mut self, side: Side, bytes: &[u8]) {
        match &mut self.protocol {
            Protocol::Undecided | Protocol::Deciding(_) => self.decide(side, bytes),
            Protocol::One(exchange) => exchange.push(side, bytes),
            Protocol::Two(directions) => directions[side].push(bytes),
        }
    }

    fn decide(&mut self, side: Side, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut begun = match std::mem::take(&mut self.protocol) {
            Protocol::Deciding(begun) => begun,
            _ => Vec::new(),
        };
        // A client whose own bytes are missing, or a server that speaks first: responses without requests.
        if side == Side::Right {
            self.protocol = Protocol::One(one::Exchange::default());
            self.push(Side::Left, &begun);
            return self.push(side, bytes);
        }
        begun.extend_from_slice(bytes);
        let compared = begun.len().min(two::PREFACE.len());
        if begun[..compared] != two::PREFACE[..compared] {
            self.protocol = Protocol::One(one::Exchange::default());
        } else if compared == two::PREFACE.len() {
            self.protocol =
                Protocol::Two(Box::new(Pair([two::Direction::client(), two::Direction::server()])));
        } else {
            self.protocol = Protocol::Deciding(begun);
            return;
        }
        self.push(side, &begun);
    }

    /// `side` has said all it had to say.
    pub fn end(&mut self, side: Side) {
        if let Protocol::One(exchange) = &mut self.protocol {
            exchange.end(side);
        }
    }

    /// Takes out what was found in the stream of `side`.
    pub fn take_elements(&mut self, side: Side) -> Vec<Element> {
        match &mut self.protocol {
            Protocol::Undecided | Protocol::Deciding(_) => Vec::new(),
            Protocol::One(exchange) => exchange.take_elements(side),
            Protocol::Two(directions) => directions[side].take_elements(),
        }
    }
}

/// A number of bytes as people say it: `78 B`, `1.2 kB`, `104.9 MB`.
#[must_use]
pub fn byte_count(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut tenths = (bytes + 50) / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths = (tenths + 500) / 1_000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `text` without characters that could move a terminal's cursor, at most `most` characters of it.
pub(crate) fn printable(text: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(text);
    let mut out: String = text.chars().take(most).map(|c| if c.is_control() { '�' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn byte_counts_round_to_one_digit_behind_the_point() {
        for (bytes, text) in
            [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (1_249, "1.2 kB"), (999_950, "1.0 MB")]
        {
            assert_eq!(byte_count(bytes), text);
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable(b"/a\x1b[2Jb", 40), "/a�[2Jb");
        assert_eq!(printable("äöü".as_bytes(), 2), "äö…");
    }

    #[test]
    fn the_preface_is_recognised_however_it_is_cut() {
        for cut in 1..two::PREFACE.len() {
            let mut reader = Reader::default();
            reader.push(Side::Left, &two::PREFACE[..cut]);
            reader.push(Side::Left, &two::PREFACE[cut..]);
            assert_eq!(reader.take_elements(Side::Left)[0].text, "HTTP/2 preface");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(
            preface in any::<bool>(),
            pieces in vec((any::<bool>(), vec(any::<u8>(), 0..60)), 0..20),
        ) {
            let mut reader = Reader::default();
            if preface {
                reader.push(Side::Left, two::PREFACE);
            }
            for (left, bytes) in pieces {
                reader.push(if left { Side::Left } else { Side::Right }, &bytes);
            }
            for side in Side::BOTH {
                let elements = reader.take_elements(side);
                for pair in elements.windows(2) {
                    prop_assert!(pair[0].range.end <= pair[1].range.start);
                }
            }
        }
    }
}
