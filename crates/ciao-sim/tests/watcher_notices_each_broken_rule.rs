//! Does the watcher notice each rule when it is broken? Each test speaks a handshake, then one bad segment.

use bytes::Bytes;
use ciao_sim::Watcher;
use ciao_wire::checksum::pseudo_header;
use ciao_wire::tcp::CHECKSUM_OFFSET;
use ciao_wire::{
    Instant, Ipv4Header, Packet, Protocol, SackBlock, SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps,
};
use std::net::{IpAddr, Ipv4Addr};

const MTU: usize = 1500;
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const SYN: TcpFlags = TcpFlags::SYN;
const ACK: TcpFlags = TcpFlags::ACK;
const FIN: TcpFlags = TcpFlags::FIN;
const RST: TcpFlags = TcpFlags::RST;

#[derive(Clone, Copy)]
enum From {
    Client,
    Server,
}

fn packet(from: From, tcp: &TcpHeader, data: &[u8]) -> Packet {
    let (source, destination) = match from {
        From::Client => (CLIENT, SERVER),
        From::Server => (SERVER, CLIENT),
    };
    let tcp_len = tcp.header_len() + data.len();
    let mut bytes = vec![0; 20 + tcp.header_len()];
    let total_len = u16::try_from(20 + tcp_len).expect("a short packet");
    Ipv4Header::new(Protocol::TCP, source, destination, total_len).emit(&mut bytes);
    tcp.emit(&mut bytes[20..]);
    bytes.extend_from_slice(data);
    let (source, destination) = (IpAddr::V4(source), IpAddr::V4(destination));
    let sum = pseudo_header(source, destination, Protocol::TCP, u32::from(total_len) - 20);
    let checksum = sum.add_bytes(&bytes[20..]).finish();
    bytes[20 + CHECKSUM_OFFSET..][..2].copy_from_slice(&checksum.to_be_bytes());
    Packet::from_bytes(Bytes::from(bytes))
}

/// Both ends start at 1000 and offer a window of 5,000 bytes, unscaled.
fn header(from: From, flags: TcpFlags, seq: u32, ack: u32) -> TcpHeader {
    let (source_port, destination_port) = match from {
        From::Client => (1, 2),
        From::Server => (2, 1),
    };
    let (seq, ack) = (SeqNum(seq), SeqNum(ack));
    TcpHeader { source_port, destination_port, seq, ack, flags, window: 5_000, ..TcpHeader::default() }
}

fn after_handshake(syn_options: TcpOptions) -> Watcher {
    let mut watcher = Watcher::default();
    let with = |header| TcpHeader { options: syn_options, ..header };
    let segments = [
        packet(From::Client, &with(header(From::Client, SYN, 1_000, 0)), b""),
        packet(From::Server, &with(header(From::Server, SYN | ACK, 1_000, 1_001)), b""),
    ];
    for segment in segments {
        assert_eq!(watcher.check(Instant::ZERO, &segment, MTU), Ok(()));
    }
    watcher
}

fn plain() -> TcpOptions {
    TcpOptions { mss: Some(1460), ..TcpOptions::default() }
}

/// What the watcher says of the last of these segments, after a handshake; the others must be good.
fn verdict(syn_options: TcpOptions, segments: &[(From, TcpHeader, &[u8])]) -> Result<(), String> {
    let mut watcher = after_handshake(syn_options);
    let mut verdict = Ok(());
    for (from, tcp, data) in segments {
        assert_eq!(verdict, Ok(()), "only the last segment is bad");
        verdict = watcher.check(Instant::ZERO, &packet(*from, tcp, data), MTU);
    }
    verdict
}

fn assert_noticed(verdict: Result<(), String>, words: &str) {
    let said = verdict.expect_err(words);
    assert!(said.contains(words), "{said}");
}

fn client(flags: TcpFlags, seq: u32, data: &[u8]) -> (From, TcpHeader, &[u8]) {
    (From::Client, header(From::Client, flags, seq, 1_001), data)
}

#[test]
fn a_transfer_with_retransmission_fin_and_reset_is_good() {
    let segments = [
        client(ACK, 1_001, b"hello"),
        client(ACK, 1_004, b"lo wo"),
        (From::Server, header(From::Server, ACK, 1_001, 1_009), &b""[..]),
        client(FIN | ACK, 1_009, b"rld"),
        client(ACK, 1_008, b""),
        (From::Server, header(From::Server, FIN | ACK, 1_001, 1_013), b""),
        client(RST, 77, b""),
    ];
    assert_eq!(verdict(plain(), &segments), Ok(()));
}

// RFC 9293 §3.1 MUST-2
#[test]
fn a_wrong_checksum_is_noticed() {
    let mut bytes = packet(From::Client, &header(From::Client, SYN, 1, 0), b"").to_vec();
    bytes[25] ^= 1;
    let packet = Packet::from_bytes(Bytes::from(bytes));
    assert_noticed(Watcher::default().check(Instant::ZERO, &packet, MTU), "checksum");
}

#[test]
fn a_packet_longer_than_the_mtu_or_than_it_says_is_noticed() {
    let packet = packet(From::Client, &header(From::Client, SYN, 1, 0), b"");
    assert_noticed(Watcher::default().check(Instant::ZERO, &packet, 39), "MTU");
    let longer = Packet::from_bytes(Bytes::from([packet.to_vec(), vec![0]].concat()));
    assert_noticed(Watcher::default().check(Instant::ZERO, &longer, MTU), "says 40 bytes");
}

#[test]
fn a_segment_without_a_handshake_is_noticed_unless_it_is_a_reset() {
    for (flags, is_good) in [(ACK, false), (FIN, false), (RST, true), (SYN, true)] {
        let packet = packet(From::Client, &header(From::Client, flags, 1, 0), b"");
        assert_eq!(Watcher::default().check(Instant::ZERO, &packet, MTU).is_ok(), is_good, "{flags}");
    }
}

#[test]
fn a_gap_and_other_bytes_the_second_time_are_noticed() {
    assert_noticed(verdict(plain(), &[client(ACK, 1_002, b"x")]), "gap");
    let twice = [client(ACK, 1_001, b"hello"), client(ACK, 1_003, b"lLo")];
    assert_noticed(verdict(plain(), &twice), "other bytes");
}

#[test]
fn data_behind_the_fin_or_a_fin_that_moves_is_noticed() {
    let fin = client(FIN | ACK, 1_001, b"bye");
    assert_noticed(verdict(plain(), &[fin.clone(), client(ACK, 1_004, b"x")]), "behind the FIN");
    assert_noticed(verdict(plain(), &[fin, client(FIN | ACK, 1_003, b"")]), "FIN moved");
    let early = [client(ACK, 1_001, b"bye"), client(FIN | ACK, 1_002, b"")];
    assert_noticed(verdict(plain(), &early), "FIN at");
}

#[test]
fn data_beyond_the_window_is_noticed_but_for_one_byte() {
    let data = vec![0; 1_460];
    let mut segments: Vec<_> = (0..3).map(|n| client(ACK, 1_001 + n * 1_460, &data[..])).collect();
    segments.push(client(ACK, 1_001 + 4_380, &data[..621]));
    assert_eq!(verdict(plain(), &segments), Ok(()));
    segments.pop();
    segments.push(client(ACK, 1_001 + 4_380, &data[..622]));
    assert_noticed(verdict(plain(), &segments), "exceeds the window");
}

#[test]
fn an_acknowledgment_of_nothing_or_backwards_is_noticed() {
    let server = |ack| (From::Server, header(From::Server, ACK, 1_001, ack), &b""[..]);
    assert_noticed(verdict(plain(), &[server(1_002)]), "acknowledges 1002");
    let backwards = [client(ACK, 1_001, b"hello"), server(1_006), server(1_005)];
    assert_noticed(verdict(plain(), &backwards), "went back from 1006");
}

// RFC 9293 §3.8.6.3 MUST-40
#[test]
fn data_that_is_not_acknowledged_for_half_a_second_is_noticed() {
    let overdue = |answer: Option<TcpFlags>, seq| {
        let mut watcher = after_handshake(plain());
        let established = packet(From::Server, &header(From::Server, ACK, 1_001, 1_001), b"");
        assert_eq!(watcher.check(Instant::ZERO, &established, MTU), Ok(()));
        watcher
            .arrived(Instant::ZERO, &packet(From::Client, &header(From::Client, ACK, seq, 1_001), b"hello"));
        if let Some(flags) = answer {
            let answer = packet(From::Server, &header(From::Server, flags, 1_001, 1_001), b"");
            assert_eq!(watcher.check(Instant::from_millis(400), &answer, MTU), Ok(()));
        }
        assert_eq!(watcher.check_delays(Instant::from_millis(500)), Ok(()));
        watcher.check_delays(Instant::from_millis(501))
    };
    assert_noticed(overdue(None, 1_001), "acknowledged by 500");
    for answered in [overdue(Some(ACK), 1_001), overdue(Some(RST), 1_001), overdue(None, 1_002)] {
        assert_eq!(answered, Ok(()));
    }
}

#[test]
fn a_right_edge_that_retreats_is_noticed() {
    let shrunk = TcpHeader { window: 4_999, ..header(From::Server, ACK, 1_001, 1_001) };
    assert_noticed(verdict(plain(), &[(From::Server, shrunk, b"")]), "right edge");
}

#[test]
fn options_of_the_syn_elsewhere_and_a_segment_above_the_mss_are_noticed() {
    let (from, mut tcp, data) = client(ACK, 1_001, b"x");
    tcp.options.mss = Some(1_460);
    assert_noticed(verdict(plain(), &[(from, tcp, data)]), "option of the SYN");
    let data = [0; 537];
    let without = TcpOptions::default();
    assert_eq!(verdict(without, &[client(ACK, 1_001, &data[..536])]), Ok(()));
    assert_noticed(verdict(without, &[client(ACK, 1_001, &data)]), "the peer takes 536");
}

#[test]
fn timestamps_come_with_every_segment_or_none_and_never_go_back() {
    let at = |value| Some(Timestamps { value, echo: 0 });
    let with = TcpOptions { timestamps: at(7), ..plain() };
    let segment = |timestamps| {
        let (from, tcp, data) = client(ACK, 1_001, b"");
        (from, TcpHeader { options: TcpOptions { timestamps, ..TcpOptions::default() }, ..tcp }, data)
    };
    assert_noticed(verdict(with, &[segment(None)]), "no timestamps");
    assert_noticed(verdict(plain(), &[segment(at(7))]), "without both SYNs");
    assert_eq!(verdict(with, &[segment(at(u32::MAX - 1)), segment(at(3))]), Ok(()));
    assert_noticed(verdict(with, &[segment(at(9)), segment(at(8))]), "went back from 9 to 8");
}

#[test]
fn sack_blocks_lie_between_the_acknowledgment_and_what_was_sent() {
    let with = TcpOptions { sack_permitted: true, ..plain() };
    let sack = |blocks: &[(u32, u32)]| {
        let mut tcp = header(From::Server, ACK, 1_001, 1_006);
        for &(start, end) in blocks {
            tcp.options.sack.push(SackBlock { start: SeqNum(start), end: SeqNum(end) });
        }
        [client(ACK, 1_001, b"hello"), client(ACK, 1_006, b"world"), (From::Server, tcp, b"")]
    };
    assert_eq!(verdict(with, &sack(&[(1_001, 1_003), (1_008, 1_011)])), Ok(()));
    for bad in
        [&[(1_008, 1_012)][..], &[(1_008, 1_008)], &[(1_000, 1_003)], &[(1_008, 1_009), (1_003, 1_004)]]
    {
        assert_noticed(verdict(with, &sack(bad)), "SACK block");
    }
    assert_noticed(verdict(plain(), &sack(&[(1_008, 1_011)])), "permitting");
}
