//! What a host does with packets that are damaged, forged, or not for it, and with ICMP and UDP.

use crate::pair::{A4, A6, B4, B6, End, Pair, at, ip};
use bytes::Bytes;
use ciao_stack::{
    HostConfig, HostDropReason, HostEvent, HostTraceEvent, ListenRequest, Tracing, UdpSendError,
};
use ciao_tcp::TcpState;
use ciao_wire::checksum::pseudo_header;
use ciao_wire::icmpv4::{self, Icmpv4};
use ciao_wire::icmpv6::{self, Icmpv6};
use ciao_wire::udp::{UdpHeader, checksum_field};
use ciao_wire::{
    IpHeader, Ipv4Header, Ipv6Header, Packet, Protocol, SeqNum, Sum, TcpFlags, TcpHeader, TcpOptions,
};
use std::net::IpAddr;

/// An IP packet around `payload`.
fn ip_packet(source: &str, destination: &str, protocol: Protocol, payload: &[u8]) -> Packet {
    let len = |header: usize| u16::try_from(header + payload.len()).expect("it is short");
    let mut bytes = match (ip(source), ip(destination)) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut bytes = vec![0; 20];
            Ipv4Header::new(protocol, source, destination, len(20)).emit(&mut bytes);
            bytes
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut bytes = vec![0; 40];
            Ipv6Header::new(protocol, source, destination, len(0)).emit(&mut bytes);
            bytes
        }
        _ => panic!("two versions"),
    };
    bytes.extend_from_slice(payload);
    Packet::from_bytes(Bytes::from(bytes))
}

fn sum(source: &str, destination: &str, protocol: Protocol, payload: &[u8]) -> Sum {
    let len = u32::try_from(payload.len()).expect("it is short");
    pseudo_header(ip(source), ip(destination), protocol, len).add_bytes(payload)
}

fn tcp_packet(source: &str, destination: &str, flags: TcpFlags) -> Packet {
    let options = TcpOptions { mss: Some(1460), ..TcpOptions::default() };
    let header = TcpHeader {
        source_port: 4000,
        destination_port: 80,
        seq: SeqNum(7),
        flags,
        window: 1000,
        options,
        ..TcpHeader::default()
    };
    let mut bytes = vec![0; header.header_len()];
    header.emit(&mut bytes);
    let checksum = sum(source, destination, Protocol::TCP, &bytes).finish();
    bytes[16..18].copy_from_slice(&checksum.to_be_bytes());
    ip_packet(source, destination, Protocol::TCP, &bytes)
}

fn udp_packet(source: &str, destination: &str, port: u16, data: &[u8]) -> Packet {
    let len = u16::try_from(8 + data.len()).expect("it is short");
    let mut bytes = vec![0; 8];
    let header = UdpHeader { source_port: 4000, destination_port: port, len, checksum: 0 };
    header.emit(&mut bytes);
    bytes.extend_from_slice(data);
    let checksum = checksum_field(sum(source, destination, Protocol::UDP, &bytes));
    UdpHeader { checksum, ..header }.emit(&mut bytes);
    ip_packet(source, destination, Protocol::UDP, &bytes)
}

fn echo(source: &str, destination: &str, data: &[u8]) -> Packet {
    let (identifier, sequence) = (7, 9);
    let (protocol, first) = match (ip(source), ip(destination)) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let request = Icmpv6::EchoRequest { identifier, sequence };
            (Protocol::ICMPV6, request.emit(source, destination, data))
        }
        _ => (Protocol::ICMP, Icmpv4::EchoRequest { identifier, sequence }.emit(data)),
    };
    ip_packet(source, destination, protocol, &[&first, data].concat())
}

/// A host at [`B4`] and [`B6`] that listens at port 80.
fn listener() -> (Pair, End) {
    let pair = Pair::new();
    let mut host = crate::pair::host(&[B4, B6], HostConfig::default(), 3);
    host.tcp_listen(ListenRequest::at(at("0.0.0.0", 80))).expect("the port is free");
    host.tcp_listen(ListenRequest::at(at("::", 80))).expect("the port is free");
    (pair, End::new(host))
}

/// Gives `packet` to a host that must drop it without a word.
fn drops(packet: Packet, reason: HostDropReason) {
    let (pair, mut end) = listener();
    let bytes = packet.to_vec();
    assert!(end.handle(pair.now, packet).is_empty(), "{reason}: {bytes:02x?} is answered");
    assert_eq!(end.host.counters().dropped(reason), 1, "{:?}: {bytes:02x?}", end.host.counters());
    let counts = end.host.counts();
    assert_eq!((counts.half_open, counts.connections), (0, 0), "{reason}");
    assert!(end.events.is_empty());
}

// RFC 9293 §3.9.2.3 MUST-63
// RFC 1122 §3.2.1.3 1122-3.2.1.3b
#[test]
fn a_syn_from_an_impossible_address_is_ignored() {
    for source in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.255", "240.1.1.1"] {
        drops(tcp_packet(source, B4, TcpFlags::SYN), HostDropReason::InvalidSource);
    }
    for source in ["::", "::1", "ff02::1", "::ffff:192.0.2.1"] {
        drops(tcp_packet(source, B6, TcpFlags::SYN), HostDropReason::InvalidSource);
    }
    drops(tcp_packet(B4, B4, TcpFlags::SYN), HostDropReason::OwnSource);
    drops(tcp_packet(B6, B6, TcpFlags::SYN), HostDropReason::OwnSource);
}

// RFC 9293 §3.9.2.3 MUST-57
#[test]
fn a_syn_to_many_is_ignored() {
    for destination in ["255.255.255.255", "192.0.2.255", "224.0.0.1"] {
        drops(tcp_packet(A4, destination, TcpFlags::SYN), HostDropReason::NotUnicast);
    }
    drops(tcp_packet(A6, "ff02::1", TcpFlags::SYN), HostDropReason::NotUnicast);
}

// RFC 1122 §3.2.1.3 1122-3.2.1.3a
#[test]
fn what_is_for_others_is_dropped() {
    drops(tcp_packet(A4, "192.0.2.77", TcpFlags::SYN), HostDropReason::NotForUs);
    drops(tcp_packet(A6, "2001:db8::77", TcpFlags::SYN), HostDropReason::NotForUs);
}

// RFC 9293 §3.9.2.1 MUST-53
// RFC 1122 §3.2.1.8 1122-3.2.1.8a
#[test]
fn a_source_route_is_not_followed_and_other_options_do_no_harm() {
    let with_options = |options: &[u8]| {
        let mut bytes = tcp_packet(A4, B4, TcpFlags::SYN).to_vec();
        bytes.splice(20..20, options.iter().copied());
        let total = u16::try_from(bytes.len()).expect("it is short");
        bytes[0] = 0x45 + u8::try_from(options.len() / 4).expect("a few words");
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        bytes[10..12].fill(0);
        let checksum = Sum::ZERO.add_bytes(&bytes[..20 + options.len()]).finish();
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        Packet::from_bytes(Bytes::from(bytes))
    };
    for kind in [131, 137] {
        drops(with_options(&[kind, 7, 4, 192, 0, 2, 1, 0]), HostDropReason::SourceRoute);
    }
    // RFC 9293 §3.9.2 MUST-50: record route, timestamp, and one that nobody knows
    for options in [[7, 7, 4, 0, 0, 0, 0, 0], [68, 8, 5, 0, 0, 0, 0, 0], [99, 4, 1, 1, 1, 1, 1, 0]] {
        let (pair, mut end) = listener();
        assert_eq!(end.handle(pair.now, with_options(&options)).len(), 1, "{options:?}");
    }
}

// RFC 9293 §3.1 MUST-3
// RFC 1122 §3.2.1.2 1122-3.2.1.2; §3.2.1.1 1122-3.2.1.1
#[test]
fn no_single_bit_can_be_flipped_unnoticed() {
    for (source, destination) in [(A4, B4), (A6, B6)] {
        let good = tcp_packet(source, destination, TcpFlags::SYN).to_vec();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // Traffic class, flow label and hop limit of IPv6 are under no checksum; another next header is
            // another protocol.
            let is_unprotected = matches!(bit, 0..4 | 8..32) || matches!(bit / 8, 6 | 7);
            if destination == B6 && is_unprotected {
                continue;
            }
            let (pair, mut end) = listener();
            let answers = end.handle(pair.now, Packet::from_bytes(Bytes::from(bytes)));
            assert!(answers.is_empty(), "bit {bit}");
            assert_eq!(end.host.counts().half_open, 0, "bit {bit}");
            assert_eq!(end.host.counters().drops().map(|(_, count)| count).sum::<u64>(), 1, "bit {bit}");
        }
    }
}

#[test]
fn every_prefix_of_a_packet_is_dropped_and_counted() {
    for packet in [
        tcp_packet(A4, B4, TcpFlags::SYN),
        tcp_packet(A6, B6, TcpFlags::SYN),
        udp_packet(A4, B4, 80, b"abc"),
        echo(A6, B6, b"abc"),
    ] {
        let bytes = Bytes::from(packet.to_vec());
        for len in 0..bytes.len() {
            let (pair, mut end) = listener();
            assert!(end.handle(pair.now, Packet::from_bytes(bytes.slice(..len))).is_empty());
            assert_eq!(end.host.counters().drops().map(|(_, count)| count).sum::<u64>(), 1);
        }
    }
}

#[test]
fn a_packet_in_pieces_is_read_like_one_in_one_piece() {
    let whole = Bytes::from(tcp_packet(A4, B4, TcpFlags::SYN).to_vec());
    for at in 1..whole.len() {
        let mut payload = ciao_wire::Payload::from(whole.slice(..at));
        payload.push(whole.slice(at..));
        let (pair, mut end) = listener();
        let packet = Packet { payload, ..Packet::from_bytes(Bytes::new()) };
        assert_eq!(end.handle(pair.now, packet).len(), 1, "cut at {at}");
    }
}

// RFC 1122 §3.2.1.7 1122-3.2.1.7a
#[test]
fn a_packet_at_the_end_of_its_hops_is_still_taken() {
    let mut bytes = tcp_packet(A4, B4, TcpFlags::SYN).to_vec();
    let (IpHeader::V4(header), _) = IpHeader::parse(&bytes).expect("a packet") else { panic!("version 4") };
    Ipv4Header { ttl: 1, ..header }.emit(&mut bytes);
    let (pair, mut end) = listener();
    assert_eq!(end.handle(pair.now, Packet::from_bytes(Bytes::from(bytes))).len(), 1);
}

// RFC 1122 §3.2.2.6 1122-3.2.2.6a, 1122-3.2.2.6b
#[test]
fn echo_is_answered_with_the_same_data_from_the_address_that_was_asked() {
    let (pair, mut end) = listener();
    for len in [0, 1, 56, 1452] {
        let data: Vec<u8> = (0..len).map(|n: usize| (n % 251) as u8).collect();
        let answers = end.handle(pair.now, echo(A4, B4, &data));
        let bytes = answers[0].to_vec();
        let (header, ip_len) = IpHeader::parse(&bytes).expect("a packet");
        assert_eq!((header.source(), header.destination()), (ip(B4), ip(A4)));
        let (message, body) = Icmpv4::parse(&bytes[ip_len..]).expect("a message");
        assert_eq!((message, body), (Icmpv4::EchoReply { identifier: 7, sequence: 9 }, &data[..]));

        let answers = end.handle(pair.now, echo(A6, B6, &data));
        let bytes = answers[0].to_vec();
        let (IpHeader::V6(header), ip_len) = IpHeader::parse(&bytes).expect("a packet") else { panic!("6") };
        let message = Icmpv6::parse(&bytes[ip_len..], header.source, header.destination);
        assert_eq!(message, Ok((Icmpv6::EchoReply { identifier: 7, sequence: 9 }, &data[..])));
    }
    drops(echo(A4, "192.0.2.255", b"smurf"), HostDropReason::NotUnicast);
    drops(echo(A6, "ff02::1", b"smurf"), HostDropReason::NotUnicast);
}

// RFC 1122 §3.2.2.1 1122-3.2.2.1
#[test]
fn an_unknown_port_or_protocol_is_complained_about_with_a_quote() {
    let (pair, mut end) = listener();
    let asked = udp_packet(A4, B4, 53, b"query");
    let bytes = end.handle(pair.now, asked.clone())[0].to_vec();
    let (message, body) = Icmpv4::parse(&bytes[20..]).expect("a message");
    assert_eq!(message, Icmpv4::Unreachable { code: icmpv4::unreachable::PORT, next_hop_mtu: 0 });
    assert_eq!(body, asked.to_vec());

    let bytes = end.handle(pair.now, ip_packet(A4, B4, Protocol(99), b"what?"))[0].to_vec();
    let (message, _) = Icmpv4::parse(&bytes[20..]).expect("a message");
    assert_eq!(message, Icmpv4::Unreachable { code: icmpv4::unreachable::PROTOCOL, next_hop_mtu: 0 });

    let v6 = |end: &mut End, packet: Packet| {
        let bytes = end.handle(pair.now, packet)[0].to_vec();
        let (IpHeader::V6(header), len) = IpHeader::parse(&bytes).expect("a packet") else { panic!("6") };
        Icmpv6::parse(&bytes[len..], header.source, header.destination).expect("a message").0
    };
    let port = Icmpv6::Unreachable { code: icmpv6::unreachable::PORT };
    assert_eq!(v6(&mut end, udp_packet(A6, B6, 53, b"query")), port);
    let next_header = Icmpv6::ParameterProblem { code: icmpv6::parameter::NEXT_HEADER, pointer: 6 };
    assert_eq!(v6(&mut end, ip_packet(A6, B6, Protocol(99), b"what?")), next_header);
}

// RFC 1122 §3.2.2 1122-3.2.2a, 1122-3.2.2b
// RFC 4443 §2.4 4443-2.4a, 4443-2.4b
#[test]
fn errors_are_never_answered_with_errors_and_leave_at_a_bounded_rate() {
    let (pair, mut end) = listener();
    let error = Icmpv4::Unreachable { code: 3, next_hop_mtu: 0 };
    let quote = udp_packet(B4, A4, 53, b"never sent").to_vec();
    let message = [&error.emit(&quote)[..], &quote].concat();
    assert!(end.handle(pair.now, ip_packet(A4, B4, Protocol::ICMP, &message)).is_empty());
    drops(udp_packet(A4, "192.0.2.255", 53, b"to many"), HostDropReason::NotUnicast);
    drops(udp_packet(A6, "ff02::1", 53, b"to many"), HostDropReason::NotUnicast);
    drops(udp_packet("::", B6, 53, b"from nobody"), HostDropReason::InvalidSource);
    let answers: usize =
        (0..3_000).map(|_| end.handle(pair.now, udp_packet(A4, B4, 53, b"again")).len()).sum();
    assert!((1..=1_000).contains(&answers), "{answers} errors");
    assert_eq!(end.host.counters().dropped(HostDropReason::RateLimited), 3_000 - answers as u64);
}

// RFC 9293 §3.9.2.2 MUST-55
// RFC 6633 6633-1
// RFC 1122 §3.2.2.2 1122-3.2.2.2
#[test]
fn source_quench_and_redirects_change_nothing() {
    let quote = tcp_packet(B4, A4, TcpFlags::ACK).to_vec();
    let redirect = Icmpv4::Redirect { code: 1, gateway: "192.0.2.9".parse().expect("an address") };
    for message in [Icmpv4::SourceQuench, redirect] {
        let bytes = [&message.emit(&quote)[..], &quote].concat();
        drops(ip_packet(A4, B4, Protocol::ICMP, &bytes), HostDropReason::IcmpIgnored);
    }
}

#[test]
fn datagrams_travel_both_ways_over_both_versions() {
    for (a, b) in [(A4, B4), (A6, B6)] {
        let mut pair = Pair::new();
        let server = pair.b.host.udp_bind(at(b, 53)).expect("the port is free");
        let client =
            pair.a.host.udp_bind(at(if a == A4 { "0.0.0.0" } else { "::" }, 0)).expect("a port is free");
        let port = pair.a.host.udp_local(client).port();
        assert!(HostConfig::default().ephemeral_ports.contains(&port));
        pair.a.host.udp_send_to(pair.now, client, b"where?", at(b, 53)).expect("it is sent");
        pair.flow();
        assert_eq!(pair.b.events, [HostEvent::UdpReadable(server)]);
        let mut bytes = [0; 100];
        let (len, remote) = pair.b.host.udp_receive_from(server, &mut bytes).expect("it has arrived");
        assert_eq!((&bytes[..len], remote), (&b"where?"[..], at(a, port)));
        pair.b.host.udp_send_to(pair.now, server, b"here", remote).expect("it is sent");
        pair.flow();
        assert_eq!(pair.a.host.udp_receive_from(client, &mut bytes[..2]), Some((2, at(b, 53))));
        assert_eq!(pair.a.host.udp_receive_from(client, &mut bytes), None);
        pair.b.host.udp_close(server);
        pair.a.host.udp_send_to(pair.now, client, b"still?", at(b, 53)).expect("it is sent");
        pair.flow();
        assert_eq!(pair.b.host.counters().dropped(HostDropReason::UdpPortClosed), 1);
    }
}

// RFC 1122 §3.3.3 1122-3.3.3
#[test]
fn a_datagram_leaves_in_fragments_that_fit_and_a_full_queue_takes_no_more() {
    let mut pair = Pair::new();
    let server = pair.b.host.udp_bind(at(B4, 53)).expect("the port is free");
    let client = pair.a.host.udp_bind(at(A4, 0)).expect("a port is free");
    let send = |pair: &mut Pair, len| pair.a.host.udp_send_to(pair.now, client, &vec![1; len], at(B4, 53));
    for len in [1472, 1473, 65_507] {
        assert_eq!(send(&mut pair, len), Ok(()));
        pair.flow();
        let arrived = pair.b.host.udp_receive_from(server, &mut [0; 1 << 16]);
        assert_eq!(arrived.map(|(len, _)| len), Some(len));
    }
    assert!(pair.a.take_sent().iter().all(|packet| packet.len() <= 1500));
    assert_eq!(send(&mut pair, 65_508), Err(UdpSendError::TooLong));
    for remote in [at("0.0.0.0", 53), at(B4, 0), at(B6, 53)] {
        let sent = pair.a.host.udp_send_to(pair.now, client, b"x", remote);
        assert_eq!(sent, Err(UdpSendError::InvalidRemote), "{remote}");
    }
    for _ in 0..200 {
        send(&mut pair, 1400).expect("there is room");
        pair.flow();
    }
    assert!(pair.b.host.counters().dropped(HostDropReason::UdpQueueFull) > 50);
    let mut waiting = 0;
    while let Some((len, _)) = pair.b.host.udp_receive_from(server, &mut [0; 2000]) {
        waiting += len;
    }
    assert!((150_000..=208 * 1024).contains(&waiting), "{waiting} bytes waited");
    for _ in 0..1_024 {
        send(&mut pair, 1).expect("the queue has room");
    }
    assert_eq!(send(&mut pair, 1), Err(UdpSendError::QueueFull));
}

#[test]
fn the_trace_tells_what_came_before_what_it_caused() {
    let config = HostConfig { trace: Tracing::On, ..HostConfig::default() };
    let mut pair = Pair::with(config.clone(), config, ciao_stack::Offload::default());
    let (client, server) = pair.connected(B4, 80);
    pair.a.host.tcp_send(pair.now, client, b"x").expect("there is room");
    pair.flow();
    assert_eq!(pair.b.host.tcp_state(server), TcpState::Established);
    let records: Vec<_> = pair.b.host.drain_trace().collect();
    let kinds: Vec<&str> = records
        .iter()
        .map(|record| match &record.event {
            HostTraceEvent::PacketReceived { .. } => "received",
            HostTraceEvent::Opened { .. } => "opened",
            HostTraceEvent::PacketSent { .. } => "sent",
            HostTraceEvent::Tcp(ciao_tcp::TraceEvent::StateChanged { .. }) => "state",
            HostTraceEvent::Tcp(ciao_tcp::TraceEvent::Transmitted { .. }) => "transmitted",
            _ => "other",
        })
        .filter(|kind| *kind != "other")
        .collect();
    assert_eq!(kinds[..7], ["received", "opened", "state", "transmitted", "sent", "received", "state"]);
    let id = pair.b.host.tcp_connection(server);
    assert!(records.iter().all(|record| record.connection == Some(id)), "{records:#?}");
    let sent_by_a: Vec<_> = pair
        .a
        .host
        .drain_trace()
        .filter(|record| matches!(record.event, HostTraceEvent::PacketSent { .. }))
        .map(|record| record.packet)
        .collect();
    let received: Vec<_> = records
        .iter()
        .filter(|record| matches!(record.event, HostTraceEvent::PacketReceived { .. }))
        .map(|record| record.packet)
        .collect();
    assert_eq!(sent_by_a, received, "both ends log the same numbers");
}

/// An IPv6 packet to `destination` with one extension header of eight bytes, of type `kind`.
fn extended(destination: &str, kind: u8, body: [u8; 6]) -> Packet {
    let header = [&[17, 0][..], &body, &[0; 8]].concat();
    ip_packet(A6, destination, Protocol(kind), &header)
}

// RFC 8200 §4.2 8200-4a
// RFC 5095 §3 5095-1
#[test]
fn a_refused_extension_header_is_explained_where_the_rfc_wants_that() {
    const DESTINATION_OPTIONS: u8 = 60;
    const ROUTING: u8 = 43;
    let explained = |packet: Packet| {
        let (pair, mut end) = listener();
        let answers = end.handle(pair.now, packet.clone());
        assert_eq!(end.host.counters().dropped(HostDropReason::UnknownExtension), 1);
        answers.first().map(|answer| {
            let bytes = answer.to_vec();
            let (IpHeader::V6(header), len) = IpHeader::parse(&bytes).expect("a packet") else { panic!("6") };
            assert_eq!((header.source, header.destination), (v6(B6), v6(A6)));
            let parsed = Icmpv6::parse(&bytes[len..], header.source, header.destination);
            let (message, quoted) = parsed.expect("a message");
            assert_eq!(quoted, packet.to_vec());
            message
        })
    };
    let option = |destination, kind| extended(destination, DESTINATION_OPTIONS, [kind, 4, 0, 0, 0, 0]);
    let problem = |code, pointer| Some(Icmpv6::ParameterProblem { code, pointer });
    for (destination, answered) in [(B6, [false, true, true]), ("ff02::1", [false, true, false])] {
        for (kind, answered) in [0x45, 0x85, 0xc5].into_iter().zip(answered) {
            let expected = problem(icmpv6::parameter::OPTION, 42).filter(|_| answered);
            assert_eq!(explained(option(destination, kind)), expected, "{kind:#x} to {destination}");
        }
    }
    let routing = extended(B6, ROUTING, [0, 1, 0, 0, 0, 0]);
    assert_eq!(explained(routing), problem(icmpv6::parameter::HEADER_FIELD, 42));
    let (pair, mut end) = listener();
    let answers: usize = (0..3_000).map(|_| end.handle(pair.now, option(B6, 0x85)).len()).sum();
    assert!((1..=1_000).contains(&answers), "{answers} errors");
}

fn v6(text: &str) -> std::net::Ipv6Addr {
    text.parse().expect("an address")
}

// RFC 1122 §3.2.2 1122-3.2.2a
#[test]
fn fragments_of_an_error_are_not_complained_about() {
    let (mut pair, mut end) = listener();
    let quote = udp_packet(B4, A4, 53, &[0; 100]).to_vec();
    for (message, answered) in [
        (Icmpv4::TimeExceeded { code: 0 }.emit(&quote[..40]), 0),
        (Icmpv4::EchoRequest { identifier: 1, sequence: 1 }.emit(&quote[..40]), 1),
    ] {
        let mut bytes = ip_packet(A4, B4, Protocol::ICMP, &[&message[..], &quote[..40]].concat()).to_vec();
        let (IpHeader::V4(header), _) = IpHeader::parse(&bytes).expect("a packet") else { panic!("4") };
        Ipv4Header { more_fragments: true, dont_fragment: false, ..header }.emit(&mut bytes);
        end.handle(pair.now, Packet::from_bytes(Bytes::from(bytes)));
        pair.now += std::time::Duration::from_secs(30);
        end.host.handle_timeout(pair.now);
        assert_eq!(end.drain(pair.now).len(), answered);
    }
}

// RFC 9293 §3.7.1 MUST-14, MUST-16
#[test]
fn the_limit_of_the_host_holds_for_what_is_announced_and_for_what_is_sent() {
    let config = HostConfig { max_mss: Some(1200), ..HostConfig::default() };
    let mut pair = Pair::with(config, HostConfig::default(), ciao_stack::Offload::default());
    let (client, _server) = pair.connected(B4, 80);
    let mss = |packet: &Packet| TcpHeader::parse(&packet.to_vec()[20..]).expect("a segment").0.options.mss;
    assert_eq!(pair.a.sent.first().map(mss), Some(Some(1200)));
    assert_eq!(pair.b.sent.first().map(mss), Some(Some(1460)), "the other end has its own");
    pair.a.host.tcp_send(pair.now, client, &[7; 5_000]).expect("there is room");
    pair.flow();
    assert_eq!(pair.a.sent.iter().map(Packet::len).max(), Some(1240));
}

// RFC 9293 §3.9.1.9 MUST-48, SHLD-22, MAY-9; §3.9.2 MUST-49
#[test]
fn every_packet_says_what_its_socket_was_told_and_the_peer_sees_it() {
    let traced = HostConfig { trace: Tracing::On, ..HostConfig::default() };
    let mut pair = Pair::with(HostConfig::default(), traced, ciao_stack::Offload::default());
    let marks = |packets: &[Packet]| -> Vec<(u8, u8)> {
        let header = |packet: &Packet| IpHeader::parse(&packet.to_vec()).expect("a packet").0;
        packets.iter().map(header).map(|ip| (ip.dscp(), ip.hop_limit())).collect()
    };
    let of_listener = ciao_stack::IpOptions { dscp: 10, hop_limit: Some(7) };
    let request = ListenRequest { ip: of_listener, ..ListenRequest::at(at(B4, 80)) };
    let listener = pair.b.host.tcp_listen(request).expect("the port is free");
    let of_caller = ciao_stack::IpOptions { dscp: 46, hop_limit: Some(9) };
    let request = ciao_stack::ConnectRequest { ip: of_caller, ..ciao_stack::ConnectRequest::to(at(B4, 80)) };
    pair.a.host.tcp_connect(pair.now, request).expect("nothing stands in the way");
    pair.flow();
    assert_eq!(marks(&pair.a.take_sent()), [(46, 9), (46, 9)], "SYN and ACK");
    assert_eq!(marks(&pair.b.take_sent()), [(10, 7)], "SYN-ACK");
    let received = |record: ciao_stack::TraceRecord| match record.event {
        HostTraceEvent::PacketReceived { packet, .. } => Some(packet),
        _ => None,
    };
    let seen: Vec<Packet> = pair.b.host.drain_trace().filter_map(received).collect();
    assert_eq!(marks(&seen), [(46, 9), (46, 9)], "what came can be seen");
    // An acknowledgment of what was never sent, to a listener: the RST is the listener's.
    let stray = tcp_packet("192.0.2.77", B4, TcpFlags::ACK);
    let reset = pair.b.handle(pair.now, stray);
    assert_eq!(marks(&reset), [(10, 7)]);
    let _socket = pair.b.host.tcp_accept(listener).expect("the handshake is complete");

    let client = pair.a.host.udp_bind(at(A4, 0)).expect("a port is free");
    pair.a.host.udp_set_ip_options(client, of_caller);
    assert_eq!(pair.a.host.udp_ip_options(client), of_caller);
    pair.a.host.udp_send_to(pair.now, client, &[1; 3_000], at(B4, 53)).expect("it is sent");
    pair.a.drain(pair.now);
    assert_eq!(marks(&pair.a.take_sent()), [(46, 9); 3], "fragments too");
}
