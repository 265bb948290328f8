//! Whole connections between two hosts: open, send, receive, close, over both IP versions and kinds of link.

use crate::pair::{A4, B4, B6, Pair, at, pattern, read_all, write};
use bytes::Bytes;
use ciao_stack::{HostConfig, HostEvent, InterfaceConfig, IpOptions, Offload};
use ciao_tcp::{Event, TcpState};
use ciao_wire::{IpHeader, Packet};
use std::time::Duration;

#[test]
fn bytes_travel_both_ways_and_both_ends_close_over_both_versions() {
    for address in [B4, B6] {
        let mut pair = Pair::new();
        let (client, server) = pair.connected(address, 80);
        assert!(pair.a.events.contains(&HostEvent::Tcp(client, Event::Connected)));
        assert_eq!(pair.a.host.tcp_send(pair.now, client, b"ciao"), Ok(4));
        pair.flow();
        assert_eq!(read_all(&mut pair.b.host, pair.now, server), (b"ciao".to_vec(), false));
        assert_eq!(pair.b.host.tcp_send(pair.now, server, b"a domani"), Ok(8));
        pair.b.host.tcp_shutdown(pair.now, server);
        pair.flow();
        assert_eq!(read_all(&mut pair.a.host, pair.now, client), (b"a domani".to_vec(), true));
        pair.run_for(Duration::from_millis(50));
        assert_eq!(pair.b.host.tcp_state(server), TcpState::FinWait2);
        pair.a.host.tcp_close(pair.now, client);
        pair.flow();
        assert_eq!(pair.b.host.tcp_state(server), TcpState::TimeWait);
        assert_eq!(read_all(&mut pair.b.host, pair.now, server), (Vec::new(), true));
        pair.b.host.tcp_close(pair.now, server);
        pair.flow();
        assert_eq!(pair.a.host.counts().connections, 0);
        assert_eq!((pair.b.host.counts().connections, pair.b.host.counts().time_wait), (0, 1));
        // RFC 9293 §3.6.1 MUST-13
        let (local, remote, expires) = pair.b.host.time_waits().next().expect("there is one");
        assert_eq!(
            (local, remote.ip()),
            (at(address, 80), crate::pair::ip(if address == B4 { A4 } else { crate::pair::A6 }))
        );
        pair.run_until(expires);
        assert_eq!(pair.b.host.counts().time_wait, 0);
        assert_eq!(pair.b.host.poll_timeout(), None);
        assert_eq!(pair.b.host.counters().drops().count(), 0, "{:?}", pair.b.host.counters());
    }
}

/// Sends `len` bytes from A to B and answers how many packets that took.
fn transfer(pair: &mut Pair, address: &str, len: usize) -> usize {
    let (client, server) = pair.connected(address, 80);
    let bytes = pattern(len);
    let mut left = bytes.clone();
    let mut received = Vec::new();
    pair.a.take_sent();
    while received.len() < len {
        let before = received.len();
        write(&mut pair.a.host, pair.now, client, &mut left);
        pair.flow();
        received.extend(read_all(&mut pair.b.host, pair.now, server).0);
        pair.flow();
        if received.len() == before {
            pair.run_for(Duration::from_millis(50));
        }
    }
    assert!(received == bytes, "the bytes that arrive are those that were sent");
    pair.a.take_sent().len()
}

#[test]
fn a_megabyte_arrives_in_packets_of_the_mtu_when_the_host_cuts() {
    for address in [B4, B6] {
        let mut pair = Pair::new();
        let packets = transfer(&mut pair, address, 1 << 20);
        assert!((700..1000).contains(&packets), "{packets} packets");
    }
}

#[test]
fn a_megabyte_arrives_in_few_large_packets_when_the_link_cuts() {
    for address in [B4, B6] {
        let mut pair = Pair::with(HostConfig::default(), HostConfig::default(), Pair::offload());
        let packets = transfer(&mut pair, address, 1 << 20);
        assert!(packets < 150, "{packets} packets");
    }
}

// RFC 9293 §3.7.1 MUST-14, MUST-16, MUST-67, SHLD-6
#[test]
fn the_mss_is_that_of_the_mtu_and_no_packet_is_longer() {
    let mut pair = Pair::new();
    transfer(&mut pair, B4, 100_000);
    let mut pair6 = Pair::new();
    let longest = |packets: &[Packet]| packets.iter().map(Packet::len).max();
    let (client, _server) = pair6.connected(B6, 80);
    write(&mut pair6.a.host, pair6.now, client, &mut pattern(50_000));
    pair6.flow();
    assert_eq!(longest(&pair6.a.sent), Some(1500));
    let syn = pair6.a.sent[0].to_vec();
    let (tcp, _) = ciao_wire::TcpHeader::parse(&syn[40..]).expect("a SYN");
    assert_eq!(tcp.options.mss, Some(1440));
}

// RFC 8200 §5 8200-5
#[test]
fn every_mtu_is_used_to_the_full_and_never_exceeded() {
    for mtu in [1280, 1281, 1500, 9000, 65_535] {
        let config = HostConfig::default;
        let with_mtu = |addresses: &[&str]| InterfaceConfig {
            mtu,
            ..crate::pair::interface(addresses, Offload::default())
        };
        let mut pair = Pair::over(config(), config(), with_mtu);
        let (client, _server) = pair.connected(B6, 80);
        write(&mut pair.a.host, pair.now, client, &mut pattern(200_000));
        pair.flow();
        let longest = pair.a.take_sent().iter().map(Packet::len).max().expect("packets were sent");
        assert!(longest <= usize::from(mtu), "{longest} of {mtu}");
        assert!(longest > usize::from(mtu) * 9 / 10, "{longest} of {mtu}");
    }
}

// RFC 9293 §3.9.1.9 MUST-48, SHLD-21, SHLD-22; §3.9.2 MUST-49
// RFC 1122 §3.2.1.6 1122-3.2.1.6
#[test]
fn packets_carry_the_code_point_and_the_hop_limit_that_were_asked_for() {
    let mut pair = Pair::new();
    let (client, _server) = pair.connected(B4, 80);
    let marks = |pair: &mut Pair, data: &'static [u8]| {
        pair.a.take_sent();
        pair.a.host.tcp_send(pair.now, client, data).expect("there is room");
        pair.flow();
        let bytes = pair.a.take_sent()[0].to_vec();
        let (header, _) = IpHeader::parse(&bytes).expect("a packet");
        (header.dscp(), header.hop_limit())
    };
    assert_eq!(marks(&mut pair, b"x"), (0, 64));
    pair.a.host.tcp_set_ip_options(client, IpOptions { dscp: 46, hop_limit: Some(3) });
    assert_eq!(marks(&mut pair, b"y"), (46, 3));
    pair.a.host.tcp_set_ip_options(client, IpOptions { dscp: 0xff, hop_limit: Some(0) });
    assert_eq!(marks(&mut pair, b"z"), (63, 64));
}

// RFC 9293 §3.10.7.4 MUST-58, MUST-59
#[test]
fn a_batch_of_segments_is_acknowledged_once_or_twice() {
    let mut pair = Pair::new();
    let (client, server) = pair.connected(B4, 80);
    // Grow the windows first.
    for _ in 0..20 {
        write(&mut pair.a.host, pair.now, client, &mut pattern(100_000));
        pair.flow();
        read_all(&mut pair.b.host, pair.now, server);
        pair.flow();
    }
    write(&mut pair.a.host, pair.now, client, &mut pattern(40_000));
    let batch = pair.a.drain(pair.now);
    assert!(batch.len() >= 20, "{}", batch.len());
    pair.b.take_sent();
    pair.b.host.handle_packets(pair.now, crate::pair::WIRE, batch);
    assert!(pair.b.drain(pair.now).len() <= 2);
}

#[test]
fn one_connection_does_not_keep_others_from_the_link() {
    let mut pair = Pair::with(HostConfig::default(), HostConfig::default(), Offload::default());
    let listener = pair.listen(B4, 80);
    let sockets: Vec<_> = (0..4).map(|_| pair.connected_to(listener).0).collect();
    for socket in &sockets {
        write(&mut pair.a.host, pair.now, *socket, &mut pattern(14_000));
    }
    let mut left: Bytes = pattern(14_000);
    write(&mut pair.a.host, pair.now, sockets[0], &mut left);
    let first: Vec<u16> = (0..40)
        .filter_map(|_| pair.a.host.poll_transmit(pair.now))
        .map(|(_, packet)| {
            let bytes = packet.to_vec();
            u16::from_be_bytes([bytes[20], bytes[21]])
        })
        .collect();
    let ports: std::collections::BTreeSet<u16> = first.iter().copied().collect();
    assert_eq!(ports.len(), 4, "{first:?}");
}

#[test]
fn the_same_seed_and_the_same_calls_give_the_same_packets() {
    let run = || {
        let mut pair = Pair::new();
        transfer(&mut pair, B4, 200_000);
        pair.run_for(Duration::from_secs(5));
        pair.b.sent.iter().map(Packet::to_vec).collect::<Vec<_>>()
    };
    assert!(run() == run());
}
