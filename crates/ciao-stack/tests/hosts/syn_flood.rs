//! A flood of SYNs: memory stays as it is, and who really calls gets in (RFC 4987).

use crate::pair::{B4, B6, End, Pair, at, ip};
use ciao_stack::{HostDropReason, ListenRequest, ListenerId, Overflow, SocketId, SynCookies};
use ciao_tcp::TcpState;
use ciao_wire::{Checksum, Instant, IpHeader, Packet, TcpHeader};
use std::net::IpAddr;
use std::time::Duration;

fn tcp(packet: &Packet) -> TcpHeader {
    let bytes = packet.to_vec();
    let (_, ip_len) = IpHeader::parse(&bytes).expect("an IP packet");
    TcpHeader::parse(&bytes[ip_len..]).expect("a segment").0
}

fn listen(pair: &mut Pair, address: &str, change: impl FnOnce(&mut ListenRequest)) -> ListenerId {
    let mut request = ListenRequest::at(at(address, 80));
    change(&mut request);
    pair.b.host.tcp_listen(request).expect("the port is free")
}

/// The same SYN from another source: addresses that nobody has.
fn spoofed(syn: &Packet, n: u32) -> Packet {
    let mut packet = syn.clone();
    packet.checksum = Checksum::Valid;
    let head = packet.head.as_mut_slice();
    match ip(B4) {
        IpAddr::V4(_) if head[0] >> 4 == 4 => {
            head[12..16].copy_from_slice(&(0xc633_0000 + n % 60_000).to_be_bytes());
            head[10..12].fill(0);
            let sum = ciao_wire::checksum::Sum::default().add_bytes(&head[..20]).finish();
            head[10..12].copy_from_slice(&sum.to_be_bytes());
            head[20..22].copy_from_slice(&(1024 + (n / 60_000) as u16).to_be_bytes());
        }
        _ => {
            head[20..24].copy_from_slice(&(n + 16).to_be_bytes());
            head[40..42].copy_from_slice(&1024_u16.to_be_bytes());
        }
    }
    packet
}

/// The SYN that A would send to `address`.
fn syn_to(pair: &mut Pair, address: &str) -> Packet {
    let client = pair.connect(address, 80);
    let syn = pair.a.drain(pair.now).remove(0);
    pair.a.host.tcp_abort(pair.now, client);
    syn
}

fn flood(end: &mut End, now: Instant, syn: &Packet, count: u32) -> usize {
    (0..count).map(|n| end.handle(now, spoofed(syn, n)).len()).sum()
}

fn exchange(pair: &mut Pair, client: SocketId, server: SocketId) {
    let now = pair.now;
    pair.a.host.tcp_send(now, client, b"ping").expect("there is room");
    pair.flow();
    assert_eq!(crate::pair::read_all(&mut pair.b.host, pair.now, server).0, b"ping");
    pair.b.host.tcp_send(pair.now, server, b"pong").expect("there is room");
    pair.flow();
    assert_eq!(crate::pair::read_all(&mut pair.a.host, pair.now, client).0, b"pong");
}

// RFC 4987 §3.6 4987-1, 4987-2
#[test]
fn a_hundred_thousand_syns_fill_the_queue_and_nothing_else_and_a_caller_gets_in() {
    for (address, count) in [(B4, 100_000), (B6, 10_000)] {
        let mut pair = Pair::new();
        let listener = listen(&mut pair, address, |_| {});
        let syn = syn_to(&mut pair, address);
        let answers = flood(&mut pair.b, pair.now, &syn, count);
        assert_eq!(answers, count as usize, "each is answered once");
        let counters = pair.b.host.counters();
        assert_eq!(counters.syn_cookies_sent, u64::from(count) - 1024);
        let counts = pair.b.host.counts();
        assert_eq!((counts.half_open, counts.connections), (1024, 0));

        pair.b.take_sent();
        let client = pair.connect(address, 80);
        pair.flow();
        let server = pair.b.host.tcp_accept(listener).expect("the cookie came back");
        assert_eq!(pair.a.host.tcp_state(client), TcpState::Established);
        assert_eq!(pair.b.host.tcp_state(server), TcpState::Established);
        assert!(pair.b.host.counters().syn_cookies_accepted >= 1);
        exchange(&mut pair, client, server);
        let info = pair.b.host.tcp_info(pair.now, server);
        assert!(info.snd_wnd > 65_535, "the window is scaled as the cookie said");
        // What nobody answers is gone after a minute or so.
        pair.run_for(Duration::from_secs(120));
        assert_eq!(pair.b.host.counts().half_open, 0);
    }
}

// RFC 4987 §3.6 4987-1, 4987-2
#[test]
fn during_a_flood_a_hundred_callers_do_not_notice_it() {
    let mut pair = Pair::new();
    let listener = listen(&mut pair, B4, |_| {});
    let syn = syn_to(&mut pair, B4);
    for round in 0..100 {
        for n in 0..300 {
            let from = pair.now;
            pair.b.handle(from, spoofed(&syn, 300 * round + n));
        }
        pair.b.take_sent();
        let client = pair.connect(B4, 80);
        let start = pair.now;
        pair.flow();
        let server = pair.b.host.tcp_accept(listener).expect("the handshake is complete");
        assert!(pair.now.since(start) <= 4 * pair.delay, "not one SYN had to be sent again");
        exchange(&mut pair, client, server);
        pair.a.host.tcp_close(pair.now, client);
        pair.b.host.tcp_close(pair.now, server);
        pair.flow();
        pair.run_for(Duration::from_millis(100));
    }
    assert!(pair.b.host.counters().syn_cookies_sent > 20_000);
    assert_eq!(pair.b.host.counts().half_open, 1024);
}

// RFC 4987 §3.6 4987-2
#[test]
fn a_listener_may_keep_no_records_at_all() {
    let mut pair = Pair::new();
    let listener = listen(&mut pair, B4, |request| request.syn_cookies = SynCookies::Always);
    let client = pair.connect(B4, 80);
    let syn = pair.a.drain(pair.now).remove(0);
    let syn_ack = pair.b.handle(pair.now, syn).remove(0);
    let counts = pair.b.host.counts();
    assert_eq!((counts.half_open, counts.connections), (0, 0));
    assert_eq!(pair.b.host.poll_timeout(), None, "not even a timer");
    let options = tcp(&syn_ack).options;
    assert!(options.sack_permitted && options.timestamps.is_some() && options.window_scale.is_some());
    pair.a.handle(pair.now, syn_ack).into_iter().for_each(|ack| drop(pair.b.handle(pair.now, ack)));
    let server = pair.b.host.tcp_accept(listener).expect("the cookie came back");
    exchange(&mut pair, client, server);
}

// RFC 4987 §3.6 4987-2
#[test]
fn a_full_accept_queue_is_full_for_cookies_too() {
    for overflow in [Overflow::Drop, Overflow::Reset] {
        let mut pair = Pair::new();
        listen(&mut pair, B4, |request| {
            (request.backlog, request.syn_cookies, request.overflow) = (1, SynCookies::Always, overflow);
        });
        let clients = [pair.connect(B4, 80), pair.connect(B4, 80)];
        pair.flow();
        assert_eq!(pair.a.host.tcp_state(clients[0]), TcpState::Established);
        assert_eq!(pair.b.host.counts().connections, 1);
        assert_eq!(pair.b.host.counters().dropped(HostDropReason::AcceptQueueFull), 1);
        assert_eq!(pair.a.host.tcp_error(clients[1]).is_some(), overflow == Overflow::Reset);
        // The next SYN does not even get a cookie.
        let sent = pair.b.host.counters().syn_cookies_sent;
        pair.connect(B4, 80);
        pair.flow();
        assert_eq!(pair.b.host.counters().syn_cookies_sent, sent);
    }
}

// RFC 4987 §3.6 4987-2
#[test]
fn acknowledgments_are_looked_at_only_while_cookies_are_out() {
    let mut pair = Pair::new();
    listen(&mut pair, B4, |request| request.syn_cookies = SynCookies::Always);
    pair.connect(B4, 80);
    let syn = pair.a.drain(pair.now).remove(0);
    let syn_ack = pair.b.handle(pair.now, syn).remove(0);
    let mut acks = pair.a.handle(pair.now, syn_ack);
    let ack = acks.remove(0);
    let mut forged = ack.clone();
    forged.checksum = Checksum::Valid;
    forged.head.as_mut_slice()[31] ^= 0x10;
    let answer = pair.b.handle(pair.now, forged.clone());
    assert!(tcp(&answer[0]).flags.rst());
    assert_eq!(pair.b.host.counters().syn_cookies_refused, 1);
    let later = pair.now + Duration::from_secs(129);
    for late in [forged, ack] {
        let answer = pair.b.handle(later, late);
        assert!(tcp(&answer[0]).flags.rst());
    }
    assert_eq!(pair.b.host.counters().syn_cookies_refused, 1, "nobody computed anything");
    assert_eq!(pair.b.host.counts().connections, 0);
}
