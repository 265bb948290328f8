//! ICMP errors that come in: which connection they reach, and when they are believed (RFC 5927).

use crate::pair::{A4, A6, B4, B6, Pair, WIRE, ip};
use bytes::Bytes;
use ciao_stack::{HostDropReason, HostEvent, SocketId};
use ciao_tcp::{ConnectionError, Event, SocketOptions, TcpState};
use ciao_wire::icmpv4::Icmpv4;
use ciao_wire::icmpv6::Icmpv6;
use ciao_wire::{Ipv4Header, Ipv6Header, Packet, Protocol};
use std::net::IpAddr;

/// An ICMP error from `router` to A that quotes `quoted`.
fn error_v4(router: &str, error: Icmpv4, quoted: &[u8]) -> Packet {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (ip(router), ip(A4)) else { panic!("version 4") };
    let message = [&error.emit(quoted)[..], quoted].concat();
    let mut bytes = vec![0; 20];
    let len = u16::try_from(20 + message.len()).expect("it is short");
    Ipv4Header::new(Protocol::ICMP, source, destination, len).emit(&mut bytes);
    bytes.extend_from_slice(&message);
    Packet::from_bytes(Bytes::from(bytes))
}

fn error_v6(router: &str, error: Icmpv6, quoted: &[u8]) -> Packet {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (ip(router), ip(A6)) else { panic!("version 6") };
    let message = [&error.emit(source, destination, quoted)[..], quoted].concat();
    let mut bytes = vec![0; 40];
    let len = u16::try_from(message.len()).expect("it is short");
    Ipv6Header::new(Protocol::ICMPV6, source, destination, len).emit(&mut bytes);
    bytes.extend_from_slice(&message);
    Packet::from_bytes(Bytes::from(bytes))
}

const PORT: Icmpv4 = Icmpv4::Unreachable { code: 3, next_hop_mtu: 0 };
const HOST: Icmpv4 = Icmpv4::Unreachable { code: 1, next_hop_mtu: 0 };

/// Three open connections, and the packet of the second one that is in flight.
fn three_connections() -> (Pair, Vec<SocketId>, Vec<u8>) {
    let mut pair = Pair::new();
    let listener = pair.listen(B4, 80);
    let sockets: Vec<SocketId> = (0..3).map(|_| pair.connected_to(listener).0).collect();
    pair.a.host.tcp_send(pair.now, sockets[1], b"lost").expect("there is room");
    let in_flight = pair.a.drain(pair.now).remove(0).to_vec();
    pair.a.events.clear();
    (pair, sockets, in_flight)
}

fn soft_errors(pair: &Pair) -> Vec<SocketId> {
    let of = |event: &HostEvent| match event {
        HostEvent::Tcp(id, Event::SoftError(_)) => Some(*id),
        _ => None,
    };
    pair.a.events.iter().filter_map(of).collect()
}

// RFC 9293 §3.9.2.2 MUST-54; §3.9.1.8 MUST-47
// RFC 5927 §5.2 5927-5a
#[test]
fn an_error_reaches_the_one_connection_that_it_quotes_and_ends_none_that_is_open() {
    for len in [28, 40, 100] {
        for error in [PORT, HOST, Icmpv4::TimeExceeded { code: 0 }] {
            let (mut pair, sockets, in_flight) = three_connections();
            let quoted = &in_flight[..len.min(in_flight.len())];
            pair.a.host.handle_packet(pair.now, WIRE, error_v4("192.0.2.254", error, quoted));
            pair.a.drain(pair.now);
            assert_eq!(soft_errors(&pair), [sockets[1]], "{error:?}");
            for socket in sockets {
                assert_eq!(pair.a.host.tcp_state(socket), TcpState::Established);
            }
        }
    }
}

// RFC 9293 §3.9.1.8 SHLD-20
#[test]
fn who_does_not_want_to_hear_of_soft_errors_does_not() {
    let (mut pair, sockets, in_flight) = three_connections();
    for mute_soft_errors in [true, false] {
        let options = SocketOptions { mute_soft_errors, ..pair.a.host.tcp_options(sockets[1]) };
        pair.a.host.tcp_set_options(pair.now, sockets[1], options);
        assert_eq!(pair.a.host.tcp_options(sockets[1]).mute_soft_errors, mute_soft_errors);
        pair.a.host.handle_packet(pair.now, WIRE, error_v4("192.0.2.254", HOST, &in_flight));
        pair.a.drain(pair.now);
        assert_eq!(soft_errors(&pair).is_empty(), mute_soft_errors);
        assert_eq!(pair.a.host.tcp_state(sockets[1]), TcpState::Established);
    }
}

// RFC 9293 §3.9.2.2 MUST-54
// RFC 5927 §4.1 5927-4a
#[test]
fn an_error_that_quotes_what_is_not_in_flight_is_ignored_and_counted() {
    let (mut pair, _sockets, in_flight) = three_connections();
    let quote_with = |change: fn(&mut Vec<u8>)| {
        let mut quoted = in_flight.clone();
        change(&mut quoted);
        error_v4("192.0.2.254", PORT, &quoted)
    };
    let forged = [
        quote_with(|quoted| quoted[24] ^= 0x80),
        quote_with(|quoted| quoted[27] = quoted[27].wrapping_sub(1)),
        quote_with(|quoted| quoted[27] = quoted[27].wrapping_add(4)),
        quote_with(|quoted| quoted[20] ^= 1),
        quote_with(|quoted| quoted[22] ^= 1),
        quote_with(|quoted| quoted[19] ^= 1),
        quote_with(|quoted| quoted[15] ^= 1),
    ];
    let count = forged.len() as u64;
    for packet in forged {
        pair.a.host.handle_packet(pair.now, WIRE, packet);
    }
    pair.a.drain(pair.now);
    assert!(soft_errors(&pair).is_empty());
    assert_eq!(pair.a.host.counters().dropped(HostDropReason::IcmpQuoteUnknown), count);
}

// Row M6: the quoted packet is cut at every byte.
#[test]
fn a_quote_that_ends_before_the_sequence_number_is_ignored() {
    let (mut pair, _sockets, in_flight) = three_connections();
    for len in 0..28 {
        let packet = error_v4("192.0.2.254", PORT, &in_flight[..len]);
        pair.a.host.handle_packet(pair.now, WIRE, packet);
    }
    pair.a.drain(pair.now);
    assert!(soft_errors(&pair).is_empty());
    assert_eq!(pair.a.host.counters().dropped(HostDropReason::MalformedIcmp), 28);
}

// RFC 9293 §3.9.2.2 SHLD-26, MUST-56
#[test]
fn a_closed_port_refuses_a_caller_and_a_path_that_may_heal_does_not() {
    let mut pair = Pair::new();
    let client = pair.connect(B4, 80);
    let syn = pair.a.drain(pair.now).remove(0).to_vec();
    pair.a.host.handle_packet(pair.now, WIRE, error_v4("192.0.2.254", HOST, &syn));
    assert_eq!(pair.a.host.tcp_state(client), TcpState::SynSent);
    pair.a.host.handle_packet(pair.now, WIRE, error_v4("192.0.2.254", PORT, &syn));
    assert_eq!(pair.a.host.tcp_error(client), Some(ConnectionError::PortUnreachable));

    let client = pair.connect(B6, 80);
    let syn = pair.a.drain(pair.now).remove(0).to_vec();
    let address = Icmpv6::Unreachable { code: 3 };
    pair.a.host.handle_packet(pair.now, WIRE, error_v6("2001:db8::fe", address, &syn));
    assert_eq!(pair.a.host.tcp_state(client), TcpState::SynSent);
    let port = Icmpv6::Unreachable { code: 4 };
    pair.a.host.handle_packet(pair.now, WIRE, error_v6("2001:db8::fe", port, &syn));
    assert_eq!(pair.a.host.tcp_error(client), Some(ConnectionError::PortUnreachable));
}

// Row O9: every type and code, with a good quote, against an open connection.
#[test]
fn no_message_of_any_type_and_code_ends_an_open_connection() {
    let (mut pair, sockets, in_flight) = three_connections();
    for kind in 0..=u8::MAX {
        for code in 0..=u8::MAX {
            let other = Icmpv4::Other { kind, code };
            pair.a.host.handle_packet(pair.now, WIRE, error_v4("192.0.2.254", other, &in_flight));
            while pair.a.host.poll_transmit(pair.now).is_some() {}
        }
    }
    while pair.a.host.poll_event().is_some() {}
    for socket in sockets {
        assert_eq!(pair.a.host.tcp_state(socket), TcpState::Established);
    }
    pair.run_for(std::time::Duration::from_secs(2));
    assert_eq!(pair.a.host.counts().connections, 3);
}
