//! Listeners: who may call, what happens when their queues are full, and that they disturb nobody.

use crate::pair::{A4, B4, B6, Pair, at};
use ciao_stack::{
    BindError, ConnectError, ConnectRequest, HostDropReason, HostEvent, ListenError, ListenRequest, Overflow,
    SynCookies,
};
use ciao_tcp::{ConnectionError, Event, TcpState};
use ciao_wire::{IpHeader, Packet, TcpFlags, TcpHeader};
use std::time::Duration;

fn tcp(packet: &Packet) -> TcpHeader {
    let bytes = packet.to_vec();
    let (_, ip_len) = IpHeader::parse(&bytes).expect("an IP packet");
    TcpHeader::parse(&bytes[ip_len..]).expect("a segment").0
}

fn limited(pair: &mut Pair, backlog: usize, syn_queue: usize, overflow: Overflow) -> ciao_stack::ListenerId {
    let syn_cookies = SynCookies::Off;
    let request =
        ListenRequest { backlog, syn_queue, overflow, syn_cookies, ..ListenRequest::at(at(B4, 80)) };
    pair.b.host.tcp_listen(request).expect("the port is free")
}

#[test]
fn a_full_accept_queue_lets_callers_wait_until_one_is_accepted() {
    let mut pair = Pair::new();
    let listener = limited(&mut pair, 1, 8, Overflow::Drop);
    let first = pair.connect(B4, 80);
    pair.flow();
    let second = pair.connect(B4, 80);
    pair.run_for(Duration::from_millis(500));
    assert_eq!(pair.a.host.tcp_state(first), TcpState::Established);
    assert_eq!(pair.a.host.tcp_state(second), TcpState::SynSent);
    assert_eq!(pair.b.host.counters().dropped(HostDropReason::AcceptQueueFull), 1);
    assert!(pair.b.host.tcp_accept(listener).is_some());
    // Issue R4: whoever still waits gets in within a second or so.
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.a.host.tcp_state(second), TcpState::Established);
    assert!(pair.b.host.tcp_accept(listener).is_some());
    assert_eq!(pair.b.host.tcp_accept(listener), None);
}

#[test]
fn a_full_accept_queue_refuses_callers_when_it_is_told_to() {
    let mut pair = Pair::new();
    limited(&mut pair, 1, 8, Overflow::Reset);
    pair.connect(B4, 80);
    pair.flow();
    let second = pair.connect(B4, 80);
    pair.flow();
    assert_eq!(pair.a.host.tcp_error(second), Some(ConnectionError::Refused));
    assert_eq!(pair.b.host.counters().dropped(HostDropReason::AcceptQueueFull), 1);
}

#[test]
fn an_accept_queue_that_fills_during_the_handshake_keeps_the_caller_half_open_or_refuses_it() {
    for overflow in [Overflow::Drop, Overflow::Reset] {
        let mut pair = Pair::new();
        limited(&mut pair, 1, 8, overflow);
        // Two handshakes side by side: both SYNs find room.
        let first = pair.connect(B4, 80);
        let second = pair.connect(B4, 80);
        pair.flow();
        assert_eq!(pair.a.host.tcp_state(first), TcpState::Established);
        assert_eq!(pair.b.host.counters().dropped(HostDropReason::AcceptQueueFull), 1);
        let counts = pair.b.host.counts();
        match overflow {
            Overflow::Drop => assert_eq!((counts.connections, counts.half_open), (1, 1)),
            Overflow::Reset => {
                assert_eq!((counts.connections, counts.half_open), (1, 0));
                assert_eq!(pair.a.host.tcp_error(second), Some(ConnectionError::Reset));
            }
        }
    }
}

// RFC 4987 §3.4 4987-1
#[test]
fn a_full_syn_queue_drops_or_refuses_and_half_open_records_die_in_time() {
    for overflow in [Overflow::Drop, Overflow::Reset] {
        let mut pair = Pair::new();
        limited(&mut pair, 8, 2, overflow);
        for _ in 0..3 {
            pair.connect(B4, 80);
        }
        let syns = pair.a.drain(pair.now);
        pair.b.host.handle_packets(pair.now, crate::pair::WIRE, syns);
        let answers = pair.b.drain(pair.now);
        let resets = answers.iter().filter(|packet| tcp(packet).flags.rst()).count();
        assert_eq!(resets, usize::from(overflow == Overflow::Reset));
        assert_eq!(pair.b.host.counts().half_open, 2);
        assert_eq!(pair.b.host.counters().dropped(HostDropReason::SynQueueFull), 1);
        // Nobody answers: about a minute of retransmissions, then nothing is left.
        while let Some(next) = pair.b.host.poll_timeout() {
            pair.now = next;
            pair.b.host.handle_timeout(next);
            pair.b.drain(next);
        }
        assert!(pair.now < ciao_wire::Instant::from_secs(120), "{}", pair.now);
        assert_eq!(pair.b.host.counts().half_open, 0);
    }
}

#[test]
fn whoever_is_not_accepted_for_too_long_is_reset() {
    let mut pair = Pair::new();
    let listener = pair.listen(B4, 80);
    let client = pair.connect(B4, 80);
    pair.run_for(Duration::from_secs(74));
    assert_eq!(pair.a.host.tcp_state(client), TcpState::Established);
    pair.run_for(Duration::from_secs(2));
    assert_eq!(pair.a.host.tcp_error(client), Some(ConnectionError::Reset));
    assert_eq!(pair.b.host.counts().connections, 0);
    assert_eq!(pair.b.host.tcp_accept(listener), None);
}

// RFC 9293 §3.9.1.1 MUST-41
#[test]
fn listening_and_closing_a_listener_leave_connections_as_they_are() {
    let mut pair = Pair::new();
    let listener = pair.listen(B4, 80);
    let (client, server) = pair.connected_to(listener);
    let before = pair.b.host.tcp_info(pair.now, server);
    assert_eq!(pair.b.host.tcp_listen(ListenRequest::at(at(B4, 80))), Err(ListenError::AddressInUse));
    pair.b.host.tcp_close_listener(pair.now, listener);
    pair.flow();
    let again = pair.listen(B4, 80);
    pair.flow();
    assert_eq!(pair.b.host.tcp_info(pair.now, server), before);
    pair.a.host.tcp_send(pair.now, client, b"still here").expect("there is room");
    pair.flow();
    assert_eq!(crate::pair::read_all(&mut pair.b.host, pair.now, server).0, b"still here");
    assert_eq!(pair.b.host.tcp_accept(again), None);
}

#[test]
fn closing_a_listener_resets_who_waits_to_be_accepted() {
    let mut pair = Pair::new();
    let listener = pair.listen(B4, 80);
    let client = pair.connect(B4, 80);
    pair.flow();
    pair.b.host.tcp_close_listener(pair.now, listener);
    pair.flow();
    assert_eq!(pair.a.host.tcp_error(client), Some(ConnectionError::Reset));
    let counts = pair.b.host.counts();
    assert_eq!((counts.listeners, counts.half_open, counts.connections), (0, 0, 0));
    assert_eq!(pair.b.host.poll_timeout(), None);
}

// RFC 9293 §3.9.1.1 MUST-42
#[test]
fn a_port_may_be_listened_to_while_a_connection_from_it_is_being_opened() {
    let mut pair = Pair::new();
    pair.listen(B4, 80);
    let local = Some(at(A4, 5000));
    let request = ConnectRequest { local, ..ConnectRequest::to(at(B4, 80)) };
    let client = pair.a.host.tcp_connect(pair.now, request).expect("the port is free");
    assert_eq!(pair.a.host.tcp_state(client), TcpState::SynSent);
    let listener = pair.a.host.tcp_listen(ListenRequest::at(at(A4, 5000))).expect("no listener has it");
    let request = ConnectRequest::to(at(A4, 5000));
    let caller = pair.b.host.tcp_connect(pair.now, request).expect("nothing stands in the way");
    pair.flow();
    assert_eq!(pair.a.host.tcp_state(client), TcpState::Established);
    assert_eq!(pair.b.host.tcp_state(caller), TcpState::Established);
    assert!(pair.a.host.tcp_accept(listener).is_some());
}

// RFC 9293 §3.9.1.1 MUST-43, MUST-45
// RFC 1122 §3.2.1.3, §3.3.4.3 1122-3.2.1.3c, 1122-3.3.4.3
#[test]
fn a_local_address_that_was_asked_for_is_used_and_a_listener_at_one_ignores_the_others() {
    let mut pair = Pair::new();
    let mut two = ciao_stack::Host::new(ciao_stack::HostConfig::default(), [9; 32]);
    two.add_interface(crate::pair::interface(&[B4, "192.0.2.3"], ciao_stack::Offload::default()));
    pair.b = crate::pair::End::new(two);
    pair.listen("192.0.2.3", 80);
    let refused = pair.connect(B4, 80);
    let accepted = pair.connect("192.0.2.3", 80);
    pair.flow();
    assert_eq!(pair.a.host.tcp_error(refused), Some(ConnectionError::Refused));
    assert_eq!(pair.a.host.tcp_state(accepted), TcpState::Established);

    pair.a.host.tcp_listen(ListenRequest::at(at(A4, 90))).expect("the port is free");
    let local = Some(at("192.0.2.3", 0));
    let request = ConnectRequest { local, ..ConnectRequest::to(at(A4, 90)) };
    let from_second = pair.b.host.tcp_connect(pair.now, request).expect("the address is ours");
    pair.b.take_sent();
    pair.flow();
    pair.b.host.tcp_send(pair.now, from_second, b"x").expect("there is room");
    pair.b.host.tcp_shutdown(pair.now, from_second);
    pair.flow();
    let local = pair.b.host.tcp_local(from_second);
    assert_eq!(local.ip(), crate::pair::ip("192.0.2.3"));
    let sent = pair.b.take_sent();
    let of_connection = sent.iter().filter(|packet| tcp(packet).destination_port == 90);
    let sources: Vec<_> = of_connection
        .map(|packet| {
            (IpHeader::parse(&packet.to_vec()).expect("a packet").0.source(), tcp(packet).source_port)
        })
        .collect();
    assert!(sources.len() >= 3 && sources.iter().all(|source| *source == (local.ip(), local.port())));
}

// RFC 9293 §3.9.1.1 MUST-46
#[test]
fn nobody_connects_to_an_address_that_is_not_one_hosts() {
    let mut pair = Pair::new();
    for remote in
        ["255.255.255.255", "192.0.2.255", "224.0.0.1", "0.0.0.0", "::", "ff02::1", "::ffff:192.0.2.2"]
    {
        let request = ConnectRequest::to(at(remote, 80));
        assert_eq!(pair.a.host.tcp_connect(pair.now, request), Err(ConnectError::InvalidRemote), "{remote}");
    }
    let request = ConnectRequest::to(at(B4, 0));
    assert_eq!(pair.a.host.tcp_connect(pair.now, request), Err(ConnectError::InvalidRemote));
    assert!(pair.a.drain(pair.now).is_empty());
}

#[test]
fn calls_that_cannot_succeed_fail_at_once() {
    let mut pair = Pair::new();
    let connect = |pair: &mut Pair, request| pair.a.host.tcp_connect(pair.now, request);
    let foreign = ConnectRequest { local: Some(at(B4, 0)), ..ConnectRequest::to(at(B4, 80)) };
    assert_eq!(connect(&mut pair, foreign), Err(ConnectError::AddressNotLocal));
    let mixed = ConnectRequest { local: Some(at(A4, 0)), ..ConnectRequest::to(at(B6, 80)) };
    assert_eq!(connect(&mut pair, mixed), Err(ConnectError::AddressNotLocal));
    assert_eq!(connect(&mut pair, ConnectRequest::to(at("2600::1", 80))), Err(ConnectError::NoRoute));
    let fixed = ConnectRequest { local: Some(at(A4, 999)), ..ConnectRequest::to(at(B4, 80)) };
    assert!(connect(&mut pair, fixed).is_ok());
    assert_eq!(connect(&mut pair, fixed), Err(ConnectError::AddressInUse));
    let foreign = ListenRequest::at(at(B4, 80));
    assert_eq!(pair.a.host.tcp_listen(foreign), Err(ListenError::AddressNotLocal));
    assert_eq!(pair.a.host.udp_bind(at(B4, 53)), Err(BindError::AddressNotLocal));
}

#[test]
fn a_closed_port_answers_with_a_reset_that_refuses_the_caller() {
    for address in [B4, B6] {
        let mut pair = Pair::new();
        let client = pair.connect(address, 81);
        pair.flow();
        assert_eq!(pair.a.host.tcp_error(client), Some(ConnectionError::Refused));
        assert_eq!(pair.b.host.counters().dropped(HostDropReason::NoConnection), 1);
        let closed = HostEvent::Tcp(client, Event::Closed(Some(ConnectionError::Refused)));
        assert!(pair.a.events.contains(&closed));
    }
}

#[test]
fn resets_for_nobody_leave_at_a_bounded_rate() {
    let mut pair = Pair::new();
    let client = pair.connect(B4, 81);
    let syn = pair.a.drain(pair.now).remove(0);
    let answers: usize = (0..5_000).map(|_| pair.b.handle(pair.now, syn.clone()).len()).sum();
    assert!((1..=1_000).contains(&answers), "{answers} resets");
    let counters = pair.b.host.counters();
    let limited = counters.dropped(HostDropReason::RateLimited);
    assert_eq!(limited + counters.dropped(HostDropReason::NoConnection), 5_000);
    assert_eq!(pair.a.host.tcp_state(client), TcpState::SynSent);
}

#[test]
fn a_listener_answers_an_acknowledgment_with_a_reset_and_nothing_else_at_all() {
    let mut pair = Pair::new();
    pair.listen(B4, 80);
    let (client, _) = pair.connected(B4, 81);
    pair.a.host.tcp_send(pair.now, client, b"x").expect("there is room");
    let packet = pair.a.drain(pair.now).remove(0);
    let answer = |pair: &mut Pair, flags: TcpFlags| {
        let mut changed = packet.clone();
        changed.checksum = ciao_wire::Checksum::Valid;
        let head = changed.head.as_mut_slice();
        head[20..22].copy_from_slice(&7777_u16.to_be_bytes());
        head[22..24].copy_from_slice(&80_u16.to_be_bytes());
        head[33] = flags.0;
        let answers = pair.b.handle(pair.now, changed);
        answers.iter().map(|packet| tcp(packet).flags).collect::<Vec<_>>()
    };
    assert_eq!(answer(&mut pair, TcpFlags::ACK), [TcpFlags::RST]);
    assert_eq!(answer(&mut pair, TcpFlags::SYN | TcpFlags::ACK), [TcpFlags::RST]);
    for silent in [TcpFlags(0), TcpFlags::RST, TcpFlags::FIN, TcpFlags::FIN | TcpFlags::PSH | TcpFlags::URG] {
        assert_eq!(answer(&mut pair, silent), [], "{silent}");
    }
    assert_eq!(pair.b.host.counts().half_open, 0);
}
