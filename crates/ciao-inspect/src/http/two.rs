//! Which frames of HTTP/2 does a stream of bytes hold?
//!
//! Source: RFC 9113 §4 and §6; header blocks (RFC 7541) are decoded by `loona-hpack`. Bodies are counted, not
//! kept.

use super::{Element, End, Kind, byte_count, printable};

/// What a client says first (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const FRAME_HEADER_BYTES: usize = 9;
/// Most bytes of a frame that are kept to be decoded; header blocks are shorter in practice, and the rest is
/// shown by name.
const MAX_KEPT_BYTES: usize = 256 * 1024;
/// Longest path or content type that is shown, in characters.
const MAX_SHOWN: usize = 60;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// What one end says.
pub struct Direction {
    /// Bytes that were taken.
    at: u64,
    awaits: Awaits,
    /// The frame header or payload so far.
    kept: Vec<u8>,
    /// The header block so far, until its last frame has come.
    block: Vec<u8>,
    decoder: Option<loona_hpack::Decoder<'static>>,
    elements: Vec<Element>,
}

enum Awaits {
    Preface,
    Header,
    Payload(Frame, usize),
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    start: u64,
    len: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl std::fmt::Debug for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Direction").field("at", &self.at).field("elements", &self.elements).finish()
    }
}

impl Direction {
    /// The end that says the preface.
    #[must_use]
    pub fn client() -> Self {
        Self::new(Awaits::Preface)
    }

    /// The end that begins with a frame.
    #[must_use]
    pub fn server() -> Self {
        Self::new(Awaits::Header)
    }

    fn new(awaits: Awaits) -> Self {
        Self {
            at: 0,
            awaits,
            kept: Vec::new(),
            block: Vec::new(),
            decoder: Some(loona_hpack::Decoder::new()),
            elements: Vec::new(),
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = self.step(bytes);
            self.at += used as u64;
            bytes = &bytes[used..];
            self.complete();
        }
    }

    /// Takes out what was found.
    pub fn take_elements(&mut self) -> Vec<Element> {
        std::mem::take(&mut self.elements)
    }

    /// Takes at least one of `bytes` towards what is awaited, and answers how many.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let (wanted, keeps) = match &self.awaits {
            Awaits::Preface => (PREFACE.len() - self.kept.len(), true),
            Awaits::Header => (FRAME_HEADER_BYTES - self.kept.len(), true),
            // DATA is counted only.
            Awaits::Payload(frame, left) => (*left, frame.kind != 0 && frame.len <= MAX_KEPT_BYTES),
        };
        let used = wanted.min(bytes.len());
        if keeps {
            self.kept.extend_from_slice(&bytes[..used]);
        }
        if let Awaits::Payload(_, left) = &mut self.awaits {
            *left -= used;
        }
        used
    }

    /// Acts on what has come in full.
    fn complete(&mut self) {
        match self.awaits {
            Awaits::Preface if self.kept.len() == PREFACE.len() => {
                self.kept.clear();
                self.element(0, Kind::Control, 0, "HTTP/2 preface".to_owned(), End::Complete);
                self.awaits = Awaits::Header;
            }
            Awaits::Header if self.kept.len() == FRAME_HEADER_BYTES => {
                let frame = Frame::parse(&self.kept, self.at - FRAME_HEADER_BYTES as u64);
                self.kept.clear();
                self.awaits = Awaits::Payload(frame, frame.len);
                if frame.len == 0 {
                    self.complete();
                }
            }
            Awaits::Payload(frame, 0) => {
                let payload = std::mem::take(&mut self.kept);
                self.awaits = Awaits::Header;
                self.frame(frame, &payload);
            }
            _ => {}
        }
    }

    fn element(&mut self, start: u64, kind: Kind, stream: u32, text: String, end: End) {
        let stream = (stream != 0).then_some(stream);
        self.elements.push(Element { range: start..self.at, kind, stream, text, end });
    }

    fn frame(&mut self, frame: Frame, payload: &[u8]) {
        let Frame { start, stream, flags, .. } = frame;
        let end = if flags & END_STREAM != 0 { End::Complete } else { End::Open };
        let (kind, text, end) = match frame.kind {
            0x0 => (Kind::Body, format!("body {}", byte_count(frame.len as u64)), end),
            0x1 => {
                return self.header_frame(
                    frame,
                    unpadded(flags, payload, if flags & PRIORITY != 0 { 5 } else { 0 }),
                );
            }
            0x3 => (Kind::Control, format!("RST_STREAM {}", error_name(payload, 0)), End::Complete),
            0x4 if flags & ACK != 0 => (Kind::Control, "SETTINGS ack".to_owned(), End::Complete),
            0x4 => (Kind::Control, "SETTINGS".to_owned(), End::Complete),
            0x5 => return self.header_frame(frame, unpadded(flags, payload, 4)),
            0x6 if flags & ACK != 0 => (Kind::Control, "PING ack".to_owned(), End::Complete),
            0x6 => (Kind::Control, "PING".to_owned(), End::Complete),
            0x7 => (Kind::Control, goaway_text(payload), End::Complete),
            0x8 => (Kind::Control, window_update_text(payload), End::Complete),
            0x9 => return self.continuation(frame, payload),
            0x2 => (Kind::Control, "PRIORITY".to_owned(), End::Complete),
            kind => (Kind::Control, format!("frame of type {kind}"), End::Complete),
        };
        self.element(start, kind, stream, text, end);
    }

    /// HEADERS or PUSH_PROMISE: begins a header block.
    fn header_frame(&mut self, frame: Frame, fragment: &[u8]) {
        self.block.clear();
        self.block.extend_from_slice(fragment);
        let end = if frame.flags & END_STREAM != 0 && frame.kind == 1 { End::Complete } else { End::Open };
        self.element(frame.start, Kind::Control, frame.stream, "HEADERS".to_owned(), end);
        if frame.flags & END_HEADERS != 0 {
            self.end_of_block(frame.kind);
        }
    }

    /// CONTINUATION: goes on with a header block, whose element it lengthens.
    fn continuation(&mut self, frame: Frame, fragment: &[u8]) {
        let at = self.at;
        match self.elements.last_mut() {
            Some(block) if block.stream == Some(frame.stream) && block.text == "HEADERS" => {
                block.range.end = at
            }
            _ => {
                return self.element(
                    frame.start,
                    Kind::Control,
                    frame.stream,
                    "CONTINUATION".to_owned(),
                    End::Open,
                );
            }
        }
        if self.block.len() + fragment.len() <= MAX_KEPT_BYTES {
            self.block.extend_from_slice(fragment);
        }
        if frame.flags & END_HEADERS != 0 {
            self.end_of_block(1);
        }
    }

    /// Decodes the header block and gives its element the text that says what it is. After a block that
    /// cannot be decoded the decoder's table is unknown, so later ones stay `HEADERS`.
    fn end_of_block(&mut self, frame_kind: u8) {
        let Some(decoder) = &mut self.decoder else { return };
        let Ok(fields) = decoder.decode(&self.block) else {
            self.decoder = None;
            return;
        };
        let (kind, mut text) = describe(&fields);
        if frame_kind == 5 {
            text = format!("PUSH_PROMISE {text}");
        }
        let element = self.elements.last_mut().expect("a block begins with an element");
        (element.kind, element.text) = (kind, text);
    }
}

impl Frame {
    fn parse(header: &[u8], start: u64) -> Self {
        let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |sum, &byte| sum << 8 | u32::from(byte));
        Self {
            start,
            len: number(&header[..3]) as usize,
            kind: header[3],
            flags: header[4],
            stream: number(&header[5..9]) & 0x7fff_ffff,
        }
    }
}

/// The payload without padding and without the `skip` bytes of other fields at its front.
fn unpadded(flags: u8, payload: &[u8], skip: usize) -> &[u8] {
    let (front, back) = match payload.first() {
        Some(&padding) if flags & PADDED != 0 => (1 + skip, usize::from(padding)),
        _ => (skip, 0),
    };
    payload.get(front..payload.len().saturating_sub(back)).unwrap_or_default()
}

/// What a list of header fields is: a request, a response, or trailers.
fn describe(fields: &[(Vec<u8>, Vec<u8>)]) -> (Kind, String) {
    let field = |name: &[u8]| fields.iter().find(|(key, _)| key == name).map(|(_, value)| &value[..]);
    if let Some(method) = field(b":method") {
        let path = field(b":path").or_else(|| field(b":authority")).unwrap_or_default();
        return (Kind::Request, format!("{} {}", printable(method, MAX_SHOWN), printable(path, MAX_SHOWN)));
    }
    let Some(status) = field(b":status") else {
        return (Kind::Control, "trailers".to_owned());
    };
    let mut text = printable(status, MAX_SHOWN);
    if let Some(content_type) = field(b"content-type") {
        let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
        text = format!("{text} {}", printable(essence.trim_ascii(), MAX_SHOWN));
    }
    let length = field(b"content-length").and_then(|len| std::str::from_utf8(len).ok()?.parse().ok());
    if let Some(length) = length {
        text = format!("{text}, {}", byte_count(length));
    }
    (Kind::Response, text)
}

fn number_at(payload: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*payload.get(at..)?.first_chunk::<4>()?))
}

fn window_update_text(payload: &[u8]) -> String {
    let increment = number_at(payload, 0).unwrap_or(0) & 0x7fff_ffff;
    format!("WINDOW_UPDATE +{}", byte_count(u64::from(increment)))
}

fn goaway_text(payload: &[u8]) -> String {
    let last = number_at(payload, 0).unwrap_or(0) & 0x7fff_ffff;
    // A server that closes gracefully first says the greatest number: no new streams, all old ones go on.
    if last == 0x7fff_ffff {
        return format!("GOAWAY {}", error_name(payload, 4));
    }
    format!("GOAWAY {}, last stream {last}", error_name(payload, 4))
}

/// The name of an error code (RFC 9113 §7).
fn error_name(payload: &[u8], at: usize) -> String {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    let Some(code) = number_at(payload, at) else { return "without a code".to_owned() };
    match NAMES.get(code as usize) {
        Some(name) => (*name).to_owned(),
        None => format!("error {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    /// RFC 7541 appendix C.4.1: a request with Huffman coding.
    const REQUEST: &[u8] = &[
        0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
    ];

    fn shown(bytes: &[u8], size: usize, mut direction: Direction) -> Vec<(String, End)> {
        bytes.chunks(size).for_each(|piece| direction.push(piece));
        let elements = direction.take_elements();
        assert_eq!(elements.last().unwrap().range.end, bytes.len() as u64);
        elements.into_iter().map(|element| (element.to_string(), element.end)).collect()
    }

    #[test]
    fn the_frames_of_a_client_are_named_however_they_are_cut() {
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(4, 0, 0, &[]));
        bytes.extend(frame(8, 0, 0, &[0, 0, 0x10, 0]));
        bytes.extend(frame(1, END_STREAM | PADDED, 1, &[&[2][..], &REQUEST[..4], &[0, 0]].concat()));
        bytes.extend(frame(9, END_HEADERS, 1, &REQUEST[4..]));
        bytes.extend(frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]));
        for size in 1..bytes.len() {
            let shown = shown(&bytes, size, Direction::client());
            let texts: Vec<_> = shown.iter().map(|(text, _)| text.as_str()).collect();
            assert_eq!(
                texts,
                [
                    "HTTP/2 preface",
                    "SETTINGS",
                    "WINDOW_UPDATE +4.1 kB",
                    "GET / (stream 1)",
                    "GOAWAY NO_ERROR, last stream 1"
                ]
            );
            assert_eq!(shown[3].1, End::Complete);
        }
    }

    #[test]
    fn a_response_shows_its_type_and_length() {
        // Indexed :status 200, then content-type and content-length with literal values.
        let mut block = vec![0x88, 0x5f, 8];
        block.extend(b"text/css");
        block.extend([0x5c, 4]);
        block.extend(b"1234");
        let mut bytes = frame(1, END_HEADERS, 3, &block);
        bytes.extend(frame(0, END_STREAM, 3, &[0; 1234]));
        let shown = shown(&bytes, 100, Direction::server());
        assert_eq!(shown[0], ("200 text/css, 1.2 kB (stream 3)".to_owned(), End::Open));
        assert_eq!(shown[1], ("body 1.2 kB (stream 3)".to_owned(), End::Complete));
    }

    proptest! {
        #[test]
        fn any_header_block_is_decoded_without_panic(block in vec(any::<u8>(), 0..200)) {
            let mut direction = Direction::server();
            direction.push(&frame(1, END_HEADERS, 1, &block));
            prop_assert_eq!(direction.take_elements().len(), 1);
        }
    }

    #[test]
    fn a_block_that_cannot_be_decoded_keeps_its_name() {
        let mut bytes = frame(1, END_HEADERS, 1, &[0xff; 20]);
        bytes.extend(frame(1, END_HEADERS, 3, REQUEST));
        let shown = shown(&bytes, 7, Direction::server());
        assert_eq!(shown[0].0, "HEADERS (stream 1)");
        assert_eq!(shown[1].0, "HEADERS (stream 3)");
    }
}
