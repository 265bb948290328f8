//! Does HTTP/2 serve many streams, end in order, and bear peers that misbehave?
//!
//! The peer here writes frames by hand. What h2 decides is kept to its word by these tests.

use std::time::Duration;

use ciao_http::{
    client::{Client, HttpVersion},
    server::{ServerConfig, ServerEvent},
};
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    task::JoinSet,
};

use super::{
    client::{ToServer, origin, text, uri},
    duplex::{Server, config},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types, RFC 9113 §6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// Flags.
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Error codes, RFC 9113 §7.
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// GET of a path of up to 126 bytes, from HPACK's static table and one literal.
fn fields_of_a_request(path: &str) -> Vec<u8> {
    let mut fields = vec![0x82, 0x86, 0x41, 1, b'a', 0x04, u8::try_from(path.len()).unwrap()];
    fields.extend(path.as_bytes());
    fields
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields_of_a_request(path))
}

/// A frame that came.
#[derive(Debug)]
struct Received {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Received {
    /// The error code of RST_STREAM or GOAWAY.
    fn error(&self) -> Option<(u8, u32)> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        Some((self.kind, u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())))
    }
}

/// A peer that writes its own frames.
struct Peer<Io = DuplexStream>(Io);

impl Peer {
    async fn open(server: &Server) -> Peer {
        let mut peer = Peer(server.connect());
        peer.send(PREFACE).await;
        peer.send(&frame(SETTINGS, 0, 0, &[])).await;
        peer
    }

    async fn send(&mut self, bytes: &[u8]) {
        // A server that has closed already is what some tests wait for.
        let _written = self.0.write_all(bytes).await;
    }
}

impl<Io: AsyncRead + Unpin> Peer<Io> {
    async fn receive(&mut self) -> Option<Received> {
        let mut header = [0; 9];
        self.0.read_exact(&mut header).await.ok()?;
        let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, l2, l1, l0]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Received { kind, flags, stream: u32::from_be_bytes([s3, s2, s1, s0]), payload })
    }

    /// Every frame until the server closes.
    async fn receive_all(&mut self) -> Vec<Received> {
        let mut frames = Vec::new();
        while let Some(frame) = self.receive().await {
            frames.push(frame);
        }
        frames
    }

    /// Frames until `wanted` is among them.
    async fn receive_until(&mut self, wanted: impl Fn(&Received) -> bool) -> Vec<Received> {
        let mut frames = Vec::new();
        loop {
            let frame = self.receive().await.unwrap_or_else(|| panic!("closed after {frames:?}"));
            let found = wanted(&frame);
            frames.push(frame);
            if found {
                return frames;
            }
        }
    }
}

/// What the server answers to these frames before it closes: the error codes.
async fn errors_after(bytes: &[u8]) -> Vec<(u8, u32)> {
    let server = Server::start();
    let peer = Peer::open(&server).await;
    // Both at once: the server must not be held up by answers that nobody takes.
    let (read, mut write) = tokio::io::split(peer.0);
    let mut peer = Peer(read);
    let (frames, _written) = tokio::join!(peer.receive_all(), write.write_all(bytes));
    frames.iter().filter_map(Received::error).collect()
}

// RFC 9113 §3.4 9113-3.4
#[tokio::test(start_paused = true)]
async fn an_invalid_preface_ends_the_connection() {
    let server = Server::start();
    let mut wrong = PREFACE.to_vec();
    wrong[20] = b'X';
    wrong.extend(frame(SETTINGS, 0, 0, &[]));
    let text = server.exchange(&wrong).await;
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 400"), "{text}");
}

// RFC 9113 §4.1 9113-4.1
#[tokio::test(start_paused = true)]
async fn unknown_frames_and_flags_are_ignored() {
    let server = Server::start();
    let mut peer = Peer::open(&server).await;
    peer.send(&frame(0xee, 0xff, 0, b"unknown")).await;
    peer.send(&frame(PING, 0xf0, 0, b"12345678")).await;
    peer.send(&frame(HEADERS, END_HEADERS | END_STREAM | 0xc2 & 0x82, 1, &fields_of_a_request("/a"))).await;
    let frames = peer.receive_until(|frame| frame.kind == DATA && frame.flags & END_STREAM != 0).await;
    assert!(frames.iter().all(|frame| frame.error().is_none()), "{frames:?}");
}

// RFC 9113 §4.2 9113-4.2
#[tokio::test(start_paused = true)]
async fn frames_of_a_wrong_size_end_the_connection() {
    let too_large = frame(DATA, 0, 1, &vec![0; 20_000]);
    assert_eq!(errors_after(&too_large).await, [(GOAWAY, FRAME_SIZE_ERROR)]);
    // h2 0.4 answers PROTOCOL_ERROR to some of these; what counts is that the connection ends.
    for bytes in [
        frame(PING, 0, 0, b"1234567"),
        frame(SETTINGS, 0, 0, b"12345"),
        frame(SETTINGS, ACK, 0, b"123456"),
        frame(WINDOW_UPDATE, 0, 0, b"123"),
    ] {
        let errors = errors_after(&bytes).await;
        assert!(matches!(errors[..], [(GOAWAY, FRAME_SIZE_ERROR | PROTOCOL_ERROR)]), "{errors:?}");
    }
}

// RFC 9113 §5.1.1 9113-5.1.1
#[tokio::test(start_paused = true)]
async fn stream_ids_must_be_odd_and_grow() {
    for bytes in [get(2, "/even"), [get(5, "/five"), get(3, "/three")].concat(), get(0, "/zero")] {
        let errors = errors_after(&bytes).await;
        assert_eq!(errors.last().map(|(kind, _)| *kind), Some(GOAWAY), "{errors:?}");
    }
}

// RFC 9113 §5.1.2 9113-5.1.2
#[tokio::test(start_paused = true)]
async fn a_stream_over_the_limit_is_refused_and_the_others_finish() {
    let server = Server::with(ServerConfig { max_streams: 3, ..config() });
    let mut peer = Peer::open(&server).await;
    for number in 0..4 {
        peer.send(&get(2 * number + 1, "/wait/100")).await;
    }
    let frames = peer.receive_until(|frame| frame.stream == 5 && frame.flags & END_STREAM != 0).await;
    let errors: Vec<_> = frames.iter().filter(|frame| frame.error().is_some()).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!((errors[0].stream, errors[0].error()), (7, Some((RST_STREAM, REFUSED_STREAM))));
    assert_eq!(server.targets(), ["/wait/100"; 3]);
}

// RFC 9113 §5.2 9113-5.2
#[tokio::test(start_paused = true)]
async fn data_never_exceeds_the_windows_and_a_window_too_large_is_an_error() {
    let server = Server::start();
    let mut peer = Peer::open(&server).await;
    // SETTINGS_INITIAL_WINDOW_SIZE 10, then 7 more for the stream, then 1: every step lets just so much
    // through.
    peer.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 10])).await;
    peer.send(&get(1, "/length/100")).await;
    let mut data = 0;
    for (grant, total) in [(None, 10), (Some(7_u32), 17), (Some(1), 18)] {
        if let Some(grant) = grant {
            peer.send(&frame(WINDOW_UPDATE, 0, 1, &grant.to_be_bytes())).await;
        }
        peer.send(&frame(PING, 0, 0, b"progress")).await;
        let frames = peer.receive_until(|frame| frame.kind == PING).await;
        data +=
            frames.iter().filter(|frame| frame.kind == DATA).map(|frame| frame.payload.len()).sum::<usize>();
        assert!(data <= total, "{data} of {total}");
        tokio::time::sleep(Duration::from_millis(1)).await;
        peer.send(&frame(PING, 0, 0, b"again...")).await;
        let frames = peer.receive_until(|frame| frame.kind == PING).await;
        data +=
            frames.iter().filter(|frame| frame.kind == DATA).map(|frame| frame.payload.len()).sum::<usize>();
        assert_eq!(data, total);
    }
    let too_large = frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes());
    assert_eq!(errors_after(&too_large).await, [(GOAWAY, FLOW_CONTROL_ERROR)]);
}

// RFC 9113 §6.5.3 9113-6.5.3, RFC 9113 §6.7 9113-6.7
#[tokio::test(start_paused = true)]
async fn each_settings_is_acknowledged_once_and_each_ping_answered_with_its_data() {
    let server = Server::start();
    let mut peer = Peer::open(&server).await;
    for number in 0..100 {
        peer.send(&get(2 * number + 1, "/wait/1000")).await;
    }
    peer.send(&frame(SETTINGS, 0, 0, &[])).await;
    peer.send(&frame(PING, 0, 0, b"payload!")).await;
    let frames = peer.receive_until(|frame| frame.kind == PING).await;
    assert_eq!(
        frames.last().map(|frame| (frame.flags, frame.payload.as_slice())),
        Some((ACK, b"payload!".as_slice()))
    );
    let acknowledged = frames.iter().filter(|frame| frame.kind == SETTINGS && frame.flags == ACK).count();
    assert_eq!(acknowledged, 2);
}

// RFC 9113 §8.1.1 9113-8.1.1
#[tokio::test(start_paused = true)]
async fn malformed_requests_are_stream_errors_and_never_reach_the_service() {
    let server = Server::start();
    let mut peer = Peer::open(&server).await;
    let without_path = vec![0x82, 0x86, 0x41, 1, b'a'];
    let pseudo_last = [fields_of_a_request("/last"), b"\x00\x01x\x01y\x82".to_vec()].concat();
    let connection_field = [fields_of_a_request("/conn"), b"\x00\x0aconnection\x05close".to_vec()].concat();
    for (number, fields) in [without_path, pseudo_last, connection_field].iter().enumerate() {
        let stream = 2 * u32::try_from(number).unwrap() + 1;
        peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, fields)).await;
        let frames = peer.receive_until(|frame| frame.kind == RST_STREAM).await;
        assert_eq!(frames.last().unwrap().error(), Some((RST_STREAM, PROTOCOL_ERROR)));
    }
    peer.send(&get(7, "/good")).await;
    peer.receive_until(|frame| frame.stream == 7 && frame.flags & END_STREAM != 0).await;
    assert_eq!(server.targets(), ["/good"]);
    assert_eq!(server.records()[0].stream, Some(7), "streams that were refused do not shift the numbers");
}

// RFC 9113 §5.4.1 9113-5.4
#[tokio::test(start_paused = true)]
async fn goaway_arrives_before_the_end_of_the_connection() {
    let server = Server::start();
    let mut peer = Peer::open(&server).await;
    peer.send(&get(1, "/wait/100000")).await;
    peer.send(&frame(DATA, 0, 0, b"on stream 0")).await;
    let frames = peer.receive_all().await;
    assert_eq!(frames.last().unwrap().error(), Some((GOAWAY, PROTOCOL_ERROR)));
}

// RFC 9113 §6.8 9113-6.8a
#[tokio::test(start_paused = true)]
async fn shutdown_during_100_streams_fails_none_of_them() {
    let server = Server::start();
    let client = Client::new(ToServer::new(&server), HttpVersion::Http2);
    let mut fetches = JoinSet::new();
    for number in 0..100 {
        let client = client.clone();
        let path = format!("/wait/{}", 1000 + number);
        fetches.spawn(async move { text(client.fetch(&uri(&path)).await.unwrap()).await });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.shutdown.cancel();
    let bodies = fetches.join_all().await;
    assert_eq!(bodies.len(), 100);
    drop(client);
    let drained = server.task.await.unwrap().unwrap();
    assert_eq!((drained.finished, drained.aborted), (1, 0));
}

// RFC 9113 §6.8 9113-6.8a
#[tokio::test(start_paused = true)]
async fn shutdown_announces_itself_before_it_names_the_last_stream() {
    let server = Server::start();
    let mut peer = Peer::open(&server).await;
    peer.send(&get(1, "/wait/1000")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.shutdown.cancel();
    let frames = peer.receive_until(|frame| frame.kind == PING).await;
    let last_stream = |frame: &Received| u32::from_be_bytes(frame.payload[..4].try_into().unwrap());
    let first: Vec<_> = frames.iter().filter(|frame| frame.kind == GOAWAY).map(last_stream).collect();
    assert_eq!(first, [0x7fff_ffff]);
    peer.send(&get(3, "/just-in-time")).await;
    let ping = frames.last().unwrap();
    peer.send(&frame(PING, ACK, 0, &ping.payload)).await;
    let frames = peer.receive_all().await;
    let last: Vec<_> = frames.iter().filter(|frame| frame.kind == GOAWAY).map(last_stream).collect();
    assert_eq!(last, [3]);
    assert_eq!(server.targets(), ["/just-in-time", "/wait/1000"]);
}

// RFC 9113 §6.8 9113-6.8b, RFC 9113 §8.7 9113-8.7
#[tokio::test(start_paused = true)]
async fn a_client_opens_a_new_connection_after_goaway() {
    let first = Server::start();
    let client = Client::new(ToServer::new(&first), HttpVersion::Http2);
    let response = client.fetch(&uri("/a")).await.unwrap();
    assert_eq!(origin(&response), (1, 1));
    first.shutdown.cancel();
    first.task.await.unwrap().unwrap();
    client.fetch(&uri("/b")).await.expect_err("the listener is gone, so a new connection is refused");
}

// RFC 9113 §8.7 9113-8.7
#[tokio::test(start_paused = true)]
async fn refused_streams_are_asked_for_once_more() {
    // The client sends its first requests before it knows the server's limit: some are refused.
    let server = Server::with(ServerConfig { max_streams: 5, ..config() });
    let client = Client::new(ToServer::new(&server), HttpVersion::Http2);
    let mut fetches = JoinSet::new();
    for number in 0..8 {
        let client = client.clone();
        let path = format!("/wait/{number}");
        fetches.spawn(async move { text(client.fetch(&uri(&path)).await.unwrap()).await });
    }
    assert_eq!(fetches.join_all().await.len(), 8);
}

// RFC 9113 §5.2.2 9113-5.2.2
#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_does_not_stop_the_others() {
    let server = Server::start();
    let client = Client::new(ToServer::new(&server), HttpVersion::Http2);
    let stalled = client.fetch(&uri("/length/50000000")).await.unwrap();
    for number in 0..20 {
        let path = format!("/wait/{number}");
        assert_eq!(text(client.fetch(&uri(&path)).await.unwrap()).await, path);
    }
    let whole = stalled.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(whole.len(), 50_000_000);
}

// RFC 9113 §10.5 9113-10.5, H2-RAPIDRESET
#[tokio::test(start_paused = true)]
async fn opening_and_resetting_streams_without_end_is_answered_with_enhance_your_calm() {
    let server = Server::start();
    let mut peer = Peer::open(&server).await;
    let mut pairs = Vec::new();
    for number in 0..1000 {
        pairs.extend(get(2 * number + 1, "/wait/100000"));
        pairs.extend(frame(RST_STREAM, 0, 2 * number + 1, &8_u32.to_be_bytes()));
    }
    peer.send(&pairs).await;
    let errors: Vec<_> = peer.receive_all().await.iter().filter_map(Received::error).collect();
    assert_eq!(errors.last(), Some(&(GOAWAY, ENHANCE_YOUR_CALM)));
}

// RFC 9113 §10.5 H2-ERRRESET
#[tokio::test(start_paused = true)]
async fn provoking_resets_without_end_ends_the_connection() {
    let without_path = [0x82, 0x86, 0x41, 1, b'a'];
    let requests =
        (0..2000).flat_map(|number| frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &without_path));
    let errors = errors_after(&requests.collect::<Vec<_>>()).await;
    assert_eq!(errors.last(), Some(&(GOAWAY, ENHANCE_YOUR_CALM)));
    assert!(errors.len() <= 1025, "{} resets were sent", errors.len());
    // A window update of nothing is no reset at all to h2 but the end.
    let nothing = [get(1, "/wait/1"), frame(WINDOW_UPDATE, 0, 1, &[0; 4])].concat();
    assert_eq!(errors_after(&nothing).await, [(GOAWAY, PROTOCOL_ERROR)]);
}

// RFC 9113 §10.5 H2-CONTINUATION
#[tokio::test(start_paused = true)]
async fn endless_continuation_ends_the_connection() {
    let mut bytes = frame(HEADERS, END_STREAM, 1, &fields_of_a_request("/a"));
    let literal = [b"\x00\x01x\x7f\x80\x01".to_vec(), vec![b'y'; 255]].concat();
    for _ in 0..200 {
        bytes.extend(frame(CONTINUATION, 0, 1, &literal));
    }
    let errors = errors_after(&bytes).await;
    assert_eq!(errors.last().map(|(kind, _)| *kind), Some(GOAWAY), "{errors:?}");
}

// RFC 9113 §10.5 H2-EMPTYDATA
#[tokio::test(start_paused = true)]
async fn empty_data_without_end_ends_the_connection() {
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &fields_of_a_request("/wait/100000"));
    bytes.extend(frame(DATA, 0, 1, b"").repeat(3000));
    let errors = errors_after(&bytes).await;
    assert_eq!(errors.last(), Some(&(GOAWAY, ENHANCE_YOUR_CALM)));
}

// RFC 9113 §10.5 H2-SETTINGS, H2-PING
#[tokio::test(start_paused = true)]
async fn a_peer_that_asks_and_never_reads_is_read_no_further_and_given_up() {
    for kind in [SETTINGS, PING] {
        let server = Server::start();
        let mut peer = Peer::open(&server).await;
        let payload: &[u8] = if kind == PING { b"12345678" } else { b"" };
        let flood = frame(kind, 0, 0, payload).repeat(1000);
        let mut taken = 0;
        while peer.0.write_all(&flood).await.is_ok() {
            taken += 1000;
            assert!(taken < 50_000, "{taken} frames were taken, though no answer was");
        }
        assert!(
            server.events.lock().unwrap().iter().any(|event| format!("{event:?}").contains("took no bytes"))
        );
    }
}

// RFC 9113 §10.5 H2-HPACK
#[tokio::test(start_paused = true)]
async fn a_small_block_that_decodes_to_a_large_list_ends_the_connection() {
    let server = Server::start();
    let mut peer = Peer::open(&server).await;
    // One field of 4,000 bytes put into the table, then named 200 times by one byte each: 800 kB decoded.
    let mut fields = fields_of_a_request("/bomb");
    fields.extend(b"\x40\x01x\x7f\xa1\x1e");
    fields.extend(vec![b'y'; 4000]);
    fields.extend(vec![0xbe; 200]);
    peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields)).await;
    let errors: Vec<_> = peer.receive_all().await.iter().filter_map(Received::error).collect();
    assert_eq!(errors, [(GOAWAY, ENHANCE_YOUR_CALM)]);
    assert!(server.targets().is_empty());
}

// RFC 9113 §10.5 H2-DRIBBLE
#[tokio::test(start_paused = true)]
async fn a_peer_that_opens_its_windows_and_reads_nothing_makes_us_hold_little() {
    let server = Server::start();
    let mut peer = Peer::open(&server).await;
    let largest = 0x7fff_ffff_u32 - 65_535;
    peer.send(&frame(SETTINGS, 0, 0, &[&[0, 4][..], &largest.to_be_bytes()].concat())).await;
    peer.send(&frame(WINDOW_UPDATE, 0, 0, &largest.to_be_bytes())).await;
    for number in 0..100 {
        peer.send(&get(2 * number + 1, "/stream/100000000")).await;
    }
    // Nothing is read until the server gives the peer up.
    while !server.events.lock().unwrap().iter().any(|event| matches!(event, ServerEvent::Closed { .. })) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let records = server.records();
    assert_eq!(records.len(), 100);
    let held: u64 = records.iter().map(|record| record.body_bytes).sum();
    assert!(held <= 100 * (64 * 1024 + 10_000) + 1_000_000, "{held} bytes for 100 streams");
}

// RFC 9113 §10.5 H2-DRIBBLE
#[tokio::test(start_paused = true)]
async fn a_peer_that_never_opens_its_window_is_given_up_though_it_reads_and_pings() {
    // A body that is still asked for, and one that hyper holds the rest of: 60 s, or 75 s and 10 s for the
    // good-bye.
    for (path, given_up_after_s) in [("/stream/1000000", 60), ("/length/1000000", 85)] {
        let server = Server::start();
        let mut peer = Peer::open(&server).await;
        peer.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 10])).await;
        peer.send(&get(1, path)).await;
        peer.receive_until(|frame| frame.kind == DATA).await;
        // One byte of window every 50 s moves the response on; then nothing but pings.
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(50)).await;
            peer.send(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).await;
            peer.receive_until(|frame| frame.kind == DATA).await;
        }
        let last = tokio::time::Instant::now();
        while peer.0.write_all(&frame(PING, 0, 0, b"still me")).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(last.elapsed().as_secs() < 300, "the server still waits");
        }
        let waited_s = last.elapsed().as_secs();
        // The peer notices when both directions are closed, after the wait for its last bytes.
        assert!((given_up_after_s..given_up_after_s + 32).contains(&waited_s), "{path}: {waited_s} s");
    }
}
