//! Where do the messages of HTTP/1.0 and HTTP/1.1 begin and end?
//!
//! Source: RFC 9112 §6.3 for the length of a body. Header fields are read by `httparse`; what is kept of them
//! is what is shown. Bodies are counted, not kept.

use super::{Element, End, Kind, byte_count, printable};
use crate::history::{Pair, Side};
use std::collections::VecDeque;

/// Longest start line and header fields that are read; what is longer is taken as no HTTP. Servers allow 8–64
/// KiB.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Most header fields that are read, as hyper allows.
const MAX_FIELDS: usize = 100;
/// Longest target or content type that is shown, in characters.
const MAX_SHOWN: usize = 60;

/// Both directions of a connection.
#[derive(Debug, Default)]
pub struct Exchange {
    /// Methods of requests that were not answered yet: whether a response has a body depends on its
    /// request's.
    unanswered: VecDeque<Method>,
    directions: Pair<Direction>,
}

/// What of a request's method matters for its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Head,
    Connect,
    Other,
}

impl Exchange {
    /// Takes the next bytes that `side` sent; the left one asks.
    pub fn push(&mut self, side: Side, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = self.step(side, bytes);
            bytes = &bytes[used..];
        }
    }

    /// `side` has said all it had to say: a body without a length is complete.
    pub fn end(&mut self, side: Side) {
        let direction = &mut self.directions[side];
        if let (Awaits::Body(Body::UntilClose), Some(message)) =
            (direction.awaits, direction.elements.last_mut())
        {
            message.end = End::Complete;
        }
    }

    /// Takes out what `side` has said.
    pub fn take_elements(&mut self, side: Side) -> Vec<Element> {
        std::mem::take(&mut self.directions[side].elements)
    }

    /// Takes at least one of `bytes` and answers how many.
    fn step(&mut self, side: Side, bytes: &[u8]) -> usize {
        let direction = &mut self.directions[side];
        if matches!(direction.awaits, Awaits::Head) {
            let head_len = match direction.take_head(bytes) {
                Head::Incomplete => return bytes.len(),
                Head::Malformed => {
                    direction.awaits = Awaits::Nothing;
                    return bytes.len();
                }
                Head::Complete(used) => used,
            };
            let head = std::mem::take(&mut direction.head);
            let read = match side {
                Side::Left => self.request(&head),
                Side::Right => self.response(&head),
            };
            self.directions[side].begin(head.len(), read);
            return head_len;
        }
        direction.body(bytes)
    }

    fn request(&mut self, head: &[u8]) -> Option<(Kind, String, Body)> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        request.parse(head).ok()?;
        let (method, target) = (request.method?, request.path?);
        let body = body_by_fields(request.headers).unwrap_or(Body::Length(0));
        self.unanswered.push_back(match method {
            "HEAD" => Method::Head,
            "CONNECT" => Method::Connect,
            _ => Method::Other,
        });
        let mut text = format!("{method} {}", printable(target.as_bytes(), MAX_SHOWN));
        if request.version == Some(0) {
            text.push_str(" HTTP/1.0");
        }
        if let Body::Length(len @ 1..) = body {
            text = format!("{text}, {}", byte_count(len));
        }
        Some((Kind::Request, text, body))
    }

    fn response(&mut self, head: &[u8]) -> Option<(Kind, String, Body)> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        response.parse(head).ok()?;
        let status = response.code?;
        if (100..200).contains(&status) {
            return Some((Kind::Response, format!("{status}"), Body::Length(0)));
        }
        let method = self.unanswered.pop_front().unwrap_or(Method::Other);
        let stated = body_by_fields(response.headers);
        let body = match (method, status) {
            (Method::Head, _) | (_, 204 | 304) => Body::Length(0),
            (Method::Connect, 200..300) => Body::UntilClose,
            _ => stated.unwrap_or(Body::UntilClose),
        };
        let text = response_text(status, field(response.headers, "content-type"), stated);
        Some((Kind::Response, text, body))
    }
}

/// `200 text/css, 1.2 kB`.
fn response_text(status: u16, content_type: Option<&[u8]>, body: Option<Body>) -> String {
    let mut text = status.to_string();
    if let Some(content_type) = content_type {
        let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
        text = format!("{text} {}", printable(essence.trim_ascii(), MAX_SHOWN));
    }
    match body {
        Some(Body::Length(len)) => text = format!("{text}, {}", byte_count(len)),
        Some(Body::Chunked(_)) => text.push_str(", chunked"),
        Some(Body::UntilClose) | None => {}
    }
    text
}

fn field<'a>(fields: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}

/// What the header fields say of the body's length (RFC 9112 §6.3).
fn body_by_fields(fields: &[httparse::Header<'_>]) -> Option<Body> {
    if let Some(coding) = field(fields, "transfer-encoding") {
        let last = coding.rsplit(|&byte| byte == b',').next().unwrap_or_default().trim_ascii();
        let chunked = last.eq_ignore_ascii_case(b"chunked");
        return Some(if chunked { Body::Chunked(Chunk::Size(0)) } else { Body::UntilClose });
    }
    let len = field(fields, "content-length")?;
    Some(Body::Length(std::str::from_utf8(len).ok()?.trim().parse().ok()?))
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// So many bytes are to come.
    Length(u64),
    /// It ends with a chunk of length zero.
    Chunked(Chunk),
    /// It ends with the stream.
    UntilClose,
}

/// Where in a chunked body we are (RFC 9112 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// In the size; its value so far.
    Size(u64),
    /// Behind the size, up to the end of the line.
    Extension(u64),
    /// In the data; how many bytes are to come, the line end behind them included.
    Data(u64),
    /// In the trailer fields, at this many bytes of a line.
    Trailer(u32),
}

/// What comes next in one direction.
#[derive(Clone, Copy, Debug, Default)]
enum Awaits {
    #[default]
    Head,
    Body(Body),
    /// Nothing that can be read.
    Nothing,
}

enum Head {
    Incomplete,
    Malformed,
    /// So many of the new bytes belong to it.
    Complete(usize),
}

#[derive(Debug, Default)]
struct Direction {
    /// Bytes that were taken.
    at: u64,
    head: Vec<u8>,
    awaits: Awaits,
    elements: Vec<Element>,
}

impl Direction {
    /// Collects bytes up to the empty line that ends the header fields.
    fn take_head(&mut self, bytes: &[u8]) -> Head {
        // Line ends before a start line are skipped (RFC 9112 §2.2).
        let blank = if self.head.is_empty() {
            bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
        } else {
            0
        };
        self.at += blank as u64;
        let before = self.head.len();
        self.head.extend_from_slice(&bytes[blank..]);
        let Some(end) = end_of_head(&self.head, before.saturating_sub(3)) else {
            let looks_wrong = self.head.iter().take(8).any(|byte| !byte.is_ascii_graphic() && *byte != b' ');
            return if looks_wrong || self.head.len() > MAX_HEAD_BYTES {
                Head::Malformed
            } else {
                Head::Incomplete
            };
        };
        self.head.truncate(end);
        Head::Complete(blank + end - before)
    }

    /// Notes the beginning of a message whose head was read.
    fn begin(&mut self, head_len: usize, read: Option<(Kind, String, Body)>) {
        let Some((kind, text, body)) = read else {
            self.awaits = Awaits::Nothing;
            return;
        };
        let end = self.at + head_len as u64;
        let is_whole = body == Body::Length(0);
        self.elements.push(Element {
            range: self.at..end,
            kind,
            stream: None,
            text,
            end: if is_whole { End::Complete } else { End::Open },
        });
        self.at = end;
        self.awaits = if is_whole { Awaits::Head } else { Awaits::Body(body) };
    }

    /// Takes bytes of a body and answers how many.
    fn body(&mut self, bytes: &[u8]) -> usize {
        let Awaits::Body(body) = &mut self.awaits else { return bytes.len() };
        let (used, is_over) = match body {
            Body::UntilClose => (bytes.len(), false),
            Body::Length(left) => {
                let used = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= used as u64;
                (used, *left == 0)
            }
            Body::Chunked(chunk) => chunk.take(bytes),
        };
        self.at += used as u64;
        let message = self.elements.last_mut().expect("a body follows the head that made an element");
        message.range.end = self.at;
        if is_over {
            message.end = End::Complete;
            self.awaits = Awaits::Head;
        }
        used
    }
}

impl Chunk {
    /// Takes bytes of a chunked body; answers how many, and whether the body is over.
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut used = 0;
        while let Some(&byte) = bytes.get(used) {
            used += 1;
            *self = match *self {
                Self::Size(size) => match (char::from(byte).to_digit(16), byte) {
                    (Some(digit), _) => Self::Size(size.saturating_mul(16).saturating_add(u64::from(digit))),
                    (None, b'\n') => Self::behind_size(size),
                    (None, _) => Self::Extension(size),
                },
                Self::Extension(size) if byte == b'\n' => Self::behind_size(size),
                Self::Extension(size) => Self::Extension(size),
                Self::Data(left) => {
                    let more = (bytes.len() - used).min(usize::try_from(left - 1).unwrap_or(usize::MAX));
                    used += more;
                    match left - 1 - more as u64 {
                        0 => Self::Size(0),
                        left => Self::Data(left),
                    }
                }
                Self::Trailer(0) if byte == b'\n' => return (used, true),
                Self::Trailer(_) if byte == b'\n' => Self::Trailer(0),
                Self::Trailer(len) if byte == b'\r' => Self::Trailer(len),
                Self::Trailer(len) => Self::Trailer(len.saturating_add(1)),
            };
        }
        (used, false)
    }

    const fn behind_size(size: u64) -> Self {
        if size == 0 { Self::Trailer(0) } else { Self::Data(size.saturating_add(2)) }
    }
}

/// Where the header fields end: behind an empty line.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).find_map(|at| {
        let rest = &bytes[at..];
        if rest.starts_with(b"\r\n\r\n") {
            Some(at + 4)
        } else if rest.starts_with(b"\n\n") {
            Some(at + 2)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found when each direction is cut into pieces of `size` bytes.
    fn read(requests: &str, responses: &str, size: usize) -> [Vec<(String, std::ops::Range<u64>, End)>; 2] {
        let mut exchange = Exchange::default();
        for (side, text) in [(Side::Left, requests), (Side::Right, responses)] {
            text.as_bytes().chunks(size).for_each(|piece| exchange.push(side, piece));
        }
        [Side::Left, Side::Right].map(|side| {
            let elements = exchange.take_elements(side);
            elements.into_iter().map(|element| (element.text, element.range, element.end)).collect()
        })
    }

    #[test]
    fn pipelined_messages_are_told_apart_however_they_are_cut() {
        let requests = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nHEAD /b HTTP/1.1\r\nHost: x\r\n\r\n\
                        POST /c HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc";
        let responses = "HTTP/1.1 200 OK\r\nContent-Type: text/css; charset=utf-8\r\nContent-Length: 5\r\n\r\nhello\
                         HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n\
                         HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n\r\nuntil the end";
        for size in 1..requests.len() {
            let [asked, answered] = read(requests, responses, size);
            let texts = |found: &[(String, std::ops::Range<u64>, End)]| {
                found.iter().map(|(text, ..)| text.clone()).collect::<Vec<_>>()
            };
            assert_eq!(texts(&asked), ["GET /a", "HEAD /b", "POST /c HTTP/1.0, 3 B"]);
            assert_eq!(texts(&answered), ["200 text/css, 5 B", "200, 1.2 kB", "100", "201"]);
            assert_eq!(asked[1].1, 28..57);
            assert_eq!(asked[2].1.end, requests.len() as u64);
            assert_eq!(answered[3].1.end, responses.len() as u64);
            assert_eq!(answered.iter().filter(|(.., end)| *end == End::Open).count(), 1);
        }
    }

    #[test]
    fn a_chunked_body_ends_with_its_trailer() {
        let responses = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
                         5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\nDigest: z\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        for size in 1..responses.len() {
            let [_, answered] = read("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", responses, size);
            assert_eq!(answered[0].0, "200, chunked");
            assert_eq!((answered[1].0.as_str(), answered[1].1.end), ("204", responses.len() as u64));
        }
    }

    #[test]
    fn a_body_without_a_length_is_complete_when_its_sender_has_closed() {
        let mut exchange = Exchange::default();
        exchange.push(Side::Right, b"HTTP/1.0 200 OK\r\n\r\nsome text");
        exchange.end(Side::Right);
        assert_eq!(exchange.take_elements(Side::Right)[0].end, End::Complete);
    }

    #[test]
    fn what_is_not_http_gives_nothing() {
        let [asked, answered] = read("\x16\x03\x01 a TLS record", "SSH-2.0-x\r\n\r\n", 7);
        assert!(asked.is_empty() && answered.is_empty());
    }
}
