//! TCP Fast Open between hosts: what is saved, and what a flood can do (RFC 7413).

use crate::pair::{A4, B4, B6, Pair, WIRE, at, read_all};
use ciao_stack::{ConnectRequest, FastOpen, ListenRequest, ListenerId, SocketId, SynCookies};
use ciao_tcp::{ConnectionError, TcpState};
use ciao_wire::{Checksum, IpHeader, Packet, TcpFlags, TcpHeader};
use std::time::Duration;

fn tcp(packet: &Packet) -> TcpHeader {
    let bytes = packet.to_vec();
    let (_, ip_len) = IpHeader::parse(&bytes).expect("an IP packet");
    TcpHeader::parse(&bytes[ip_len..]).expect("a segment").0
}

fn listen(pair: &mut Pair, address: &str, fast_open: usize) -> ListenerId {
    let request = ListenRequest { fast_open, ..ListenRequest::at(at(address, 80)) };
    pair.b.host.tcp_listen(request).expect("the port is free")
}

fn connect(pair: &mut Pair, address: &str, data: &[u8]) -> SocketId {
    let request = ConnectRequest { fast_open: FastOpen::On, ..ConnectRequest::to(at(address, 80)) };
    let (id, taken) =
        pair.a.host.tcp_connect_with(pair.now, request, data).expect("nothing stands in the way");
    assert_eq!(taken, data.len());
    id
}

/// Lets A get a cookie, and closes that connection.
fn obtain_cookie(pair: &mut Pair, address: &str, listener: ListenerId) {
    let client = connect(pair, address, b"first");
    pair.flow();
    let server = pair.b.host.tcp_accept(listener).expect("the handshake is complete");
    assert_eq!(read_all(&mut pair.b.host, pair.now, server).0, b"first");
    pair.a.host.tcp_abort(pair.now, client);
    pair.flow();
    pair.b.host.tcp_close(pair.now, server);
    pair.flow();
}

// RFC 7413 §4.2 7413-4b, 7413-4d, 7413-4e, 7413-4h
#[test]
fn the_second_request_is_answered_within_one_round_trip() {
    for address in [B4, B6] {
        let mut pair = Pair::new();
        pair.delay = Duration::from_millis(10);
        let listener = listen(&mut pair, address, 16);
        obtain_cookie(&mut pair, address, listener);
        let start = pair.now;
        let client = connect(&mut pair, address, b"request");
        let syn = pair.a.drain(pair.now);
        pair.now += pair.delay;
        pair.b.host.handle_packets(pair.now, WIRE, syn);
        let server = pair.b.host.tcp_accept(listener).expect("it opened at once");
        assert_eq!(read_all(&mut pair.b.host, pair.now, server).0, b"request");
        pair.b.host.tcp_send(pair.now, server, b"answer").expect("there is room");
        let answers = pair.b.drain(pair.now);
        pair.now += pair.delay;
        pair.a.host.handle_packets(pair.now, WIRE, answers);
        assert_eq!(read_all(&mut pair.a.host, pair.now, client).0, b"answer");
        assert_eq!(pair.now.since(start), Duration::from_millis(20));
        pair.flow();
        assert_eq!(pair.b.host.tcp_state(server), TcpState::Established);
        assert_eq!(pair.b.host.counters().fast_opens_accepted, 1);
        assert_eq!(pair.b.host.tcp_accept(listener), None, "it is accepted once");
    }
}

// RFC 7413 §2, §6.1 7413-2a, 7413-6a
#[test]
fn nothing_is_fast_unless_both_ends_ask_for_it() {
    let mut pair = Pair::new();
    let listener = listen(&mut pair, B4, 0);
    let client = connect(&mut pair, B4, b"data");
    pair.flow();
    assert_eq!(pair.a.host.tcp_state(client), TcpState::Established);
    assert!(pair.b.sent.iter().all(|packet| tcp(packet).options.fast_open.is_none()));
    pair.a.take_sent();
    pair.connect(B4, 80);
    pair.flow();
    assert!(pair.a.sent.iter().all(|packet| tcp(packet).options.fast_open.is_none()));
    assert!(pair.b.host.tcp_accept(listener).is_some());
}

/// The same fast SYN from another port.
fn from_port(syn: &Packet, port: u16) -> Packet {
    let mut packet = syn.clone();
    packet.checksum = Checksum::Valid;
    packet.head.as_mut_slice()[20..22].copy_from_slice(&port.to_be_bytes());
    packet
}

// RFC 7413 §4.2.2, §5.1 7413-4a
#[test]
fn a_flood_with_a_good_cookie_opens_as_many_as_may_be_and_callers_get_in() {
    let mut pair = Pair::new();
    let listener = listen(&mut pair, B4, 16);
    obtain_cookie(&mut pair, B4, listener);
    connect(&mut pair, B4, b"flood");
    let syn = pair.a.drain(pair.now).remove(0);
    for port in 1..=20_000 {
        pair.b.handle(pair.now, from_port(&syn, port));
    }
    let counts = pair.b.host.counts();
    assert_eq!((counts.connections, counts.half_open), (16, 1024));
    let counters = pair.b.host.counters();
    assert_eq!((counters.fast_opens_accepted, counters.fast_opens_refused), (16, 19_984));
    assert!(counters.syn_cookies_sent > 18_000, "the rest was not even kept");
    for _ in 0..16 {
        let early = pair.b.host.tcp_accept(listener).expect("it opened at once");
        pair.b.host.tcp_abort(pair.now, early);
    }
    pair.b.drain(pair.now);
    // Whoever aborted them: they count for a minute, so that none are opened faster.
    pair.b.handle(pair.now, from_port(&syn, 40_001));
    assert_eq!(pair.b.host.counters().fast_opens_accepted, 16);
    let client = pair.connect(B4, 80);
    pair.flow();
    assert_eq!(pair.a.host.tcp_state(client), TcpState::Established);
    pair.run_for(Duration::from_secs(61));
    pair.b.handle(pair.now, from_port(&syn, 40_002));
    assert_eq!(pair.b.host.counters().fast_opens_accepted, 17);
}

// RFC 7413 §4.2.2 7413-4a, 7413-4h
#[test]
fn complete_handshakes_make_room_for_others() {
    let mut pair = Pair::new();
    let listener = listen(&mut pair, B4, 1);
    obtain_cookie(&mut pair, B4, listener);
    for n in 1..=50_u8 {
        let client = connect(&mut pair, B4, &[n]);
        pair.flow();
        let server = pair.b.host.tcp_accept(listener).expect("the handshake is complete");
        assert_eq!(read_all(&mut pair.b.host, pair.now, server).0, [n]);
        assert_eq!(pair.b.host.counters().fast_opens_accepted, u64::from(n));
        if n % 2 == 0 {
            pair.b.host.tcp_close(pair.now, server);
            pair.flow();
            pair.a.host.tcp_close(pair.now, client);
        }
        pair.flow();
    }
}

// RFC 7413 §4.1.2 7413-4b
#[test]
fn a_cookie_is_for_one_address() {
    let mut pair = Pair::new();
    let listener = listen(&mut pair, B4, 16);
    obtain_cookie(&mut pair, B4, listener);
    connect(&mut pair, B4, b"data");
    let mut syn = pair.a.drain(pair.now).remove(0);
    syn.checksum = Checksum::Valid;
    // From 192.0.3.1 instead of 192.0.2.1; the header's sum is mended by hand.
    let head = syn.head.as_mut_slice();
    head[14] += 1;
    let sum = u16::from_be_bytes([head[10], head[11]]);
    head[10..12].copy_from_slice(&(sum - 0x100).to_be_bytes());
    let answers = pair.b.handle(pair.now, syn);
    assert!(tcp(&answers[0]).options.fast_open.is_some(), "it gets a cookie of its own");
    let counters = pair.b.host.counters();
    assert_eq!((counters.fast_opens_accepted, counters.fast_open_cookies_refused), (0, 1));
}

// RFC 7413 §4.2.2 7413-4h
#[test]
fn an_early_connection_that_nobody_accepts_is_reset() {
    let mut pair = Pair::new();
    let listener = listen(&mut pair, B4, 16);
    obtain_cookie(&mut pair, B4, listener);
    let client = connect(&mut pair, B4, b"data");
    pair.flow();
    pair.run_for(Duration::from_secs(76));
    assert_eq!(pair.a.host.tcp_error(client), Some(ConnectionError::Reset));
    assert_eq!((pair.b.host.tcp_accept(listener), pair.b.host.counts().connections), (None, 0));
    // And one whose client is never heard of again goes too.
    connect(&mut pair, B4, b"data");
    let syn = pair.a.drain(pair.now).remove(0);
    pair.b.handle(pair.now, from_port(&syn, 7));
    assert_eq!(pair.b.host.counts().connections, 1);
    while let Some(next) = pair.b.host.poll_timeout() {
        pair.now = next;
        pair.b.host.handle_timeout(next);
        pair.b.drain(next);
    }
    assert_eq!(pair.b.host.counts().connections, 0);
}

// RFC 7413 §4.2.2 7413-4a
#[test]
fn a_listener_that_answers_with_syn_cookies_still_takes_fast_ones() {
    let mut pair = Pair::new();
    let request = ListenRequest { fast_open: 16, ..ListenRequest::at(at(B4, 80)) };
    let listener = pair.b.host.tcp_listen(request).expect("the port is free");
    obtain_cookie(&mut pair, B4, listener);
    pair.b.host.tcp_close_listener(pair.now, listener);
    let listener = pair.b.host.tcp_listen(ListenRequest { syn_cookies: SynCookies::Always, ..request });
    let listener = listener.expect("the port is free");
    connect(&mut pair, B4, b"data");
    pair.flow();
    assert_eq!(pair.b.host.counters().fast_opens_accepted, 1);
    assert!(pair.b.host.tcp_accept(listener).is_some());
}

// RFC 7413 §4.2.2 7413-4h
#[test]
fn a_fast_syn_may_take_over_a_connection_in_time_wait() {
    let mut pair = Pair::new();
    let listener = listen(&mut pair, B4, 16);
    obtain_cookie(&mut pair, B4, listener);
    let local = Some(at(A4, 5000));
    let request = ConnectRequest { local, fast_open: FastOpen::On, ..ConnectRequest::to(at(B4, 80)) };
    let open = |pair: &mut Pair| {
        let opened = pair.a.host.tcp_connect_with(pair.now, request, b"data").expect("the port is free");
        pair.flow();
        (opened.0, pair.b.host.tcp_accept(listener).expect("it opened"))
    };
    let (client, server) = open(&mut pair);
    assert_eq!(read_all(&mut pair.b.host, pair.now, server).0, b"data");
    pair.b.host.tcp_close(pair.now, server);
    pair.flow();
    pair.a.host.tcp_close(pair.now, client);
    pair.flow();
    assert_eq!(pair.b.host.counts().time_wait, 1);
    pair.run_for(Duration::from_secs(2));
    let (_, server) = open(&mut pair);
    assert_eq!(read_all(&mut pair.b.host, pair.now, server).0, b"data");
    assert_eq!(pair.b.host.counts().time_wait, 0);
    let syn_ack =
        pair.b.sent.iter().rev().map(tcp).find(|header| header.flags.syn()).expect("it was answered");
    assert_eq!(syn_ack.flags, TcpFlags::SYN | TcpFlags::ACK);
}
