//! Which HTTP/2 stream does the next request belong to?
//!
//! hyper does not tell its service the stream. So the bytes of the connection are read along: nine bytes of
//! each frame header (RFC 9113 §4.1), never a payload. A HEADERS frame with a new id opens a stream; h2
//! hands requests to the service in just that order. A stream that h2 refuses as malformed never reaches
//! the service: the RST_STREAM that answers it takes it off the list again. One case stays a guess: a
//! malformed and a good request read in the same batch, where the good one is served before the reset of
//! the other is written.
//!
//! Not here: the meaning of the frames (h2), their display (`ciao-inspect`).

use std::collections::VecDeque;

/// What an HTTP/2 client sends first, RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Length of a frame header, RFC 9113 §4.1.
const FRAME_HEADER_LEN: usize = 9;

/// Frame types that matter here, RFC 9113 §6.1, §6.2 and §6.4.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;

/// Streams that may be open and not yet served. h2 holds at most its limit of concurrent streams (we allow
/// 128) and 20 that were reset before they were served; four times that is never reached by an honest order
/// of events.
const MAX_WAITING: usize = 1024;

/// Walks over frames, whatever the pieces in which the bytes arrive.
#[derive(Debug, Default)]
struct FrameWalker {
    header: [u8; FRAME_HEADER_LEN],
    header_len: usize,
    payload_left: usize,
}

impl FrameWalker {
    /// Calls `frame(type, stream)` once for each frame header completed by `bytes`.
    fn feed(&mut self, mut bytes: &[u8], mut frame: impl FnMut(u8, u32)) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skipped = self.payload_left.min(bytes.len());
                self.payload_left -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (FRAME_HEADER_LEN - self.header_len).min(bytes.len());
            self.header[self.header_len..][..taken].copy_from_slice(&bytes[..taken]);
            self.header_len += taken;
            bytes = &bytes[taken..];
            if self.header_len == FRAME_HEADER_LEN {
                let [l2, l1, l0, kind, _flags, s3, s2, s1, s0] = self.header;
                self.header_len = 0;
                self.payload_left = u32::from_be_bytes([0, l2, l1, l0]) as usize;
                frame(kind, u32::from_be_bytes([s3 & 0x7f, s2, s1, s0]));
            }
        }
    }
}

/// Whether what was sent moves a response on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Data,
    Other,
}

/// The version of a connection, as far as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preface {
    /// So many bytes of the HTTP/2 preface have matched.
    Matched(usize),
    /// HTTP/1.
    Absent,
    /// HTTP/2.
    Complete,
}

/// The streams that the peer opened and the service has not seen.
#[derive(Debug)]
pub(crate) struct StreamIds {
    preface: Preface,
    received: FrameWalker,
    sent: FrameWalker,
    last_opened: u32,
    waiting: VecDeque<u32>,
}

impl StreamIds {
    pub(crate) fn new() -> StreamIds {
        StreamIds {
            preface: Preface::Matched(0),
            received: FrameWalker::default(),
            sent: FrameWalker::default(),
            last_opened: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Whether the peer speaks HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.preface == Preface::Complete
    }

    /// Whether no byte arrived.
    pub(crate) fn is_untouched(&self) -> bool {
        self.preface == Preface::Matched(0)
    }

    /// Bytes that arrived.
    pub(crate) fn received(&mut self, mut bytes: &[u8]) {
        if let Preface::Matched(matched) = self.preface {
            let compared = (PREFACE.len() - matched).min(bytes.len());
            if bytes[..compared] != PREFACE[matched..][..compared] {
                self.preface = Preface::Absent;
                return;
            }
            bytes = &bytes[compared..];
            self.preface = match matched + compared {
                complete if complete == PREFACE.len() => Preface::Complete,
                partial => Preface::Matched(partial),
            };
        }
        if self.preface != Preface::Complete {
            return;
        }
        let (last_opened, waiting) = (&mut self.last_opened, &mut self.waiting);
        self.received.feed(bytes, |kind, stream| {
            if kind == HEADERS && stream > *last_opened && waiting.len() < MAX_WAITING {
                *last_opened = stream;
                waiting.push_back(stream);
            }
        });
    }

    /// Bytes that we sent, and whether a frame of data began in them.
    pub(crate) fn sent(&mut self, bytes: &[u8]) -> Sent {
        let mut sent = Sent::Other;
        if self.preface != Preface::Complete {
            return sent;
        }
        let waiting = &mut self.waiting;
        self.sent.feed(bytes, |kind, stream| match kind {
            DATA => sent = Sent::Data,
            RST_STREAM => waiting.retain(|waiting| *waiting != stream),
            _ => {}
        });
        sent
    }

    /// The stream of the request that the service is given now.
    pub(crate) fn served(&mut self) -> Option<u32> {
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, 0]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn conversation() -> Vec<u8> {
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(4, 0, &[0; 12]));
        bytes.extend(frame(HEADERS, 1, b"first"));
        bytes.extend(frame(0, 1, &[1; 300]));
        bytes.extend(frame(HEADERS, 1, b"trailers"));
        bytes.extend(frame(HEADERS, 13, b"ids may skip"));
        bytes
    }

    #[test]
    fn ids_are_found_however_the_bytes_are_cut() {
        for size in 1..40 {
            let mut ids = StreamIds::new();
            conversation().chunks(size).for_each(|piece| ids.received(piece));
            assert!(ids.is_http2());
            assert_eq!(
                [ids.served(), ids.served(), ids.served()],
                [Some(1), Some(13), None],
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn a_stream_reset_by_us_before_it_was_served_is_forgotten() {
        let mut ids = StreamIds::new();
        ids.received(&conversation());
        ids.sent(&frame(RST_STREAM, 1, &[0; 4]));
        assert_eq!([ids.served(), ids.served()], [Some(13), None]);
    }

    #[test]
    fn http1_has_no_streams() {
        let mut ids = StreamIds::new();
        ids.received(b"PRI");
        ids.received(b"NT / HTTP/1.1\r\n");
        ids.received(&conversation());
        assert!(!ids.is_http2());
        assert_eq!(ids.served(), None);
    }

    #[test]
    fn the_list_of_waiting_streams_is_bounded() {
        let mut ids = StreamIds::new();
        ids.received(PREFACE);
        for stream in 0..10_000 {
            ids.received(&frame(HEADERS, 2 * stream + 1, b""));
        }
        assert_eq!(ids.waiting.len(), MAX_WAITING);
    }
}
