//! Paths with a link in the middle that takes less than those at the ends.

use crate::pair::{A4, A6, B4, B6, End, Pair, WIRE, at, ip, pattern, read_all, write};
use bytes::Bytes;
use ciao_stack::{HostConfig, HostDropReason, HostTraceEvent, SocketId, TraceRecord, Tracing};
use ciao_tcp::{SizeCause, TraceEvent};
use ciao_wire::icmpv4::{Icmpv4, unreachable};
use ciao_wire::icmpv6::Icmpv6;
use ciao_wire::{IpHeader, Ipv4Header, Ipv6Header, Packet, Protocol};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What the router in the middle does with a packet that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Router {
    /// Says so, with its MTU.
    Speaks,
    /// Says so, but not with which MTU, as before RFC 1191.
    SpeaksUnclearly,
    /// Drops it and says nothing.
    IsSilent,
}

/// An IP packet from a router to A, around an ICMP message.
fn from_router(to: IpAddr, message: impl Fn(IpAddr) -> Vec<u8>) -> Packet {
    let bytes = match to {
        IpAddr::V4(destination) => {
            let source = "192.0.2.254".parse().expect("an address");
            let message = message(IpAddr::V4(source));
            let len = u16::try_from(20 + message.len()).expect("it is short");
            let mut bytes = vec![0; 20];
            Ipv4Header::new(Protocol::ICMP, source, destination, len).emit(&mut bytes);
            [bytes, message].concat()
        }
        IpAddr::V6(destination) => {
            let source = "2001:db8::fe".parse().expect("an address");
            let message = message(IpAddr::V6(source));
            let len = u16::try_from(message.len()).expect("it is short");
            let mut bytes = vec![0; 40];
            Ipv6Header::new(Protocol::ICMPV6, source, destination, len).emit(&mut bytes);
            [bytes, message].concat()
        }
    };
    Packet::from_bytes(Bytes::from(bytes))
}

/// "Packet too big" about `packet`, to its source.
fn too_big(packet: &Packet, mtu: u16) -> Packet {
    let bytes = packet.to_vec();
    let (header, ip_len) = IpHeader::parse(&bytes).expect("a packet");
    let quoted = &bytes[..bytes.len().min(ip_len + 8)];
    from_router(header.source(), |router| match (router, header.source()) {
        (IpAddr::V6(router), IpAddr::V6(to)) => {
            [&Icmpv6::PacketTooBig { mtu: u32::from(mtu) }.emit(router, to, quoted)[..], quoted].concat()
        }
        _ => {
            let code = unreachable::FRAGMENTATION_NEEDED;
            [&Icmpv4::Unreachable { code, next_hop_mtu: mtu }.emit(quoted)[..], quoted].concat()
        }
    })
}

/// Two hosts and a path that takes packets of `mtu` from A to B.
struct Narrow {
    pair: Pair,
    mtu: usize,
    router: Router,
    /// The longest packet that came through.
    longest: usize,
    /// Packets that did not.
    refused: u32,
}

impl Narrow {
    fn new(mtu: usize, router: Router) -> Self {
        let config = HostConfig { trace: Tracing::On, ..HostConfig::default() };
        Self::with(config, mtu, router)
    }

    fn with(config: HostConfig, mtu: usize, router: Router) -> Self {
        let pair = Pair::with(config, HostConfig::default(), ciao_stack::Offload::default());
        Self { pair, mtu, router, longest: 0, refused: 0 }
    }

    fn flow(&mut self) {
        for _ in 0..100_000 {
            let (mut through, mut answers) = (Vec::new(), Vec::new());
            let from_a = self.pair.a.drain(self.pair.now);
            for packet in from_a {
                if packet.len() <= self.mtu {
                    self.longest = self.longest.max(packet.len());
                    through.push(packet);
                    continue;
                }
                self.refused += 1;
                let mtu = u16::try_from(self.mtu).expect("a small link");
                match self.router {
                    Router::Speaks => answers.push(too_big(&packet, mtu)),
                    Router::SpeaksUnclearly => answers.push(too_big(&packet, 0)),
                    Router::IsSilent => {}
                }
            }
            let from_b = self.pair.b.drain(self.pair.now);
            if through.is_empty() && answers.is_empty() && from_b.is_empty() {
                return;
            }
            self.pair.now += self.pair.delay;
            self.pair.b.host.handle_packets(self.pair.now, WIRE, through);
            self.pair.a.host.handle_packets(self.pair.now, WIRE, answers.into_iter().chain(from_b));
        }
        panic!("the hosts never come to rest");
    }

    /// The next timer of either end fires.
    fn wait(&mut self) {
        let ends = [&self.pair.a, &self.pair.b];
        let Some(next) = ends.into_iter().filter_map(|end| end.host.poll_timeout()).min() else { return };
        self.pair.now = self.pair.now.max(next);
        self.pair.a.host.handle_timeout(self.pair.now);
        self.pair.b.host.handle_timeout(self.pair.now);
        self.flow();
    }

    fn connected(&mut self, remote: &str) -> (SocketId, SocketId) {
        let listener = self.pair.listen(remote, 80);
        let client = self.pair.connect(remote, 80);
        self.flow();
        let server = self.pair.b.host.tcp_accept(listener).expect("the handshake is complete");
        self.pair.b.host.tcp_close_listener(self.pair.now, listener);
        (client, server)
    }

    /// Sends `len` bytes from A to B.
    fn transfer(&mut self, ends: (SocketId, SocketId), len: usize) {
        self.finish(ends, &pattern(len), 0);
    }

    /// Sends what of `sent` was not sent before, and waits until all of it has come.
    fn finish(&mut self, (client, server): (SocketId, SocketId), sent: &Bytes, sent_before: usize) {
        let (mut left, mut received) = (sent.slice(sent_before..), Vec::new());
        let len = sent.len();
        for _ in 0..10_000 {
            write(&mut self.pair.a.host, self.pair.now, client, &mut left);
            self.flow();
            received.extend(read_all(&mut self.pair.b.host, self.pair.now, server).0);
            if received.len() == len {
                assert!(received == *sent, "the bytes are those that were sent");
                return;
            }
            self.flow();
            if left.is_empty()
                || self.pair.a.host.tcp_info(self.pair.now, client).flight_bytes == 0
                || received.is_empty()
            {
                self.wait();
            }
        }
        panic!("{} of {len} bytes arrived", received.len());
    }

    fn segment_sizes(&mut self) -> Vec<(u16, SizeCause)> {
        let of = |record: TraceRecord| match record.event {
            HostTraceEvent::Tcp(TraceEvent::SegmentSize { mss, cause }) => Some((mss, cause)),
            _ => None,
        };
        self.pair.a.host.drain_trace().filter_map(of).collect()
    }
}

// RFC 1191 §3, §5, §6.4 1191-3a, 1191-3b, 1191-6a
// RFC 8201 §4 8201-4a
// RFC 7323 §5.7 7323-5f
#[test]
fn a_router_that_speaks_is_heard_at_once_and_later_connections_begin_with_what_it_said() {
    for (remote, headers, mtu, router, learnt) in [
        (B4, 40, 1400, Router::Speaks, 1400),
        (B6, 60, 1400, Router::Speaks, 1400),
        (B4, 40, 1492, Router::SpeaksUnclearly, 1492),
        (B4, 40, 1450, Router::SpeaksUnclearly, 1006),
        (B4, 40, 576, Router::Speaks, 576),
    ] {
        let mut path = Narrow::new(mtu, router);
        let ends = path.connected(remote);
        let began = path.pair.now;
        path.transfer(ends, 200_000);
        assert!(path.pair.now.since(began) < Duration::from_millis(200), "no timer was needed");
        let sizes = path.segment_sizes();
        assert_eq!(sizes.last(), Some(&(learnt - headers, SizeCause::PacketTooBig)), "{sizes:?}");
        assert_eq!(path.longest, usize::from(learnt));
        let refused = path.refused;
        assert!((1..=20).contains(&refused), "{refused} packets were too long");
        let once: u32 = sizes.iter().map(|(mss, _)| 14_480_u32.div_ceil(u32::from(*mss) - 12)).sum();
        let retransmissions = path.pair.a.host.tcp_info(path.pair.now, ends.0).total_retrans;
        assert!(retransmissions <= once, "{retransmissions} segments were sent again");
        let ends = path.connected(remote);
        path.transfer(ends, 100_000);
        assert_eq!(path.refused, refused, "the next connection knows");
    }
}

// RFC 4821 §7 4821-1
#[test]
fn a_silent_black_hole_is_found_and_its_size_searched() {
    for (remote, mtu) in [(B4, 1500 - 28), (B4, 1300), (B4, 1000), (B4, 576), (B6, 1280), (B6, 1400)] {
        let mut path = Narrow::new(1500, Router::IsSilent);
        let ends = path.connected(remote);
        path.transfer(ends, 300_000);
        path.mtu = mtu;
        path.longest = 0;
        let began = path.pair.now;
        path.transfer(ends, 4_000);
        assert!(path.pair.now.since(began) <= Duration::from_millis(200 + 400 + 800 + 100), "{mtu}");
        path.transfer(ends, 2_000_000);
        assert!(path.longest <= mtu && path.longest + 16 > mtu, "{mtu}: {}", path.longest);
        let causes: Vec<SizeCause> = path.segment_sizes().into_iter().map(|(_, cause)| cause).collect();
        assert_eq!(causes[0], SizeCause::BlackHole);
        let refused = path.refused;
        assert!(refused <= 60, "{mtu}: {refused} packets were lost");
        let ends = path.connected(remote);
        path.transfer(ends, 100_000);
        assert_eq!(path.refused, refused, "what was found is remembered");
    }
}

// RFC 5927 §7.2 5927-7a
// RFC 8201 §4 8201-4b
#[test]
fn a_forged_message_changes_nothing_while_there_is_progress() {
    let mut path = Narrow::new(1500, Router::IsSilent);
    let ends = path.connected(B4);
    path.transfer(ends, 100_000);
    for mtu in [0, 68, 296, 552, 1280] {
        path.pair.a.host.tcp_send(path.pair.now, ends.0, &[1; 5_000]).expect("there is room");
        let in_flight = path.pair.a.drain(path.pair.now);
        path.pair.a.host.handle_packet(path.pair.now, WIRE, too_big(&in_flight[0], mtu));
        path.pair.b.host.handle_packets(path.pair.now, WIRE, in_flight);
        path.flow();
        read_all(&mut path.pair.b.host, path.pair.now, ends.1);
    }
    assert!(path.segment_sizes().is_empty());
    // What quotes nothing in flight is not even held.
    path.pair.a.host.tcp_send(path.pair.now, ends.0, &[1; 5_000]).expect("there is room");
    let in_flight = path.pair.a.drain(path.pair.now);
    for change in [20, 22, 24, 26] {
        let mut bytes = in_flight[0].to_vec();
        bytes[change] ^= 0x80;
        let forged = too_big(&Packet::from_bytes(Bytes::from(bytes)), 1280);
        path.pair.a.host.handle_packet(path.pair.now, WIRE, forged);
    }
    assert_eq!(path.pair.a.host.counters().dropped(HostDropReason::IcmpQuoteUnknown), 4);
    // Without an acknowledgment the claim holds, and no lower one than the floor.
    path.pair.a.host.handle_packet(path.pair.now, WIRE, too_big(&in_flight[0], 68));
    path.mtu = 0;
    let lost = path.pair.now;
    while path.pair.now.since(lost) < Duration::from_millis(500) {
        path.wait();
    }
    assert_eq!(path.segment_sizes(), [(512, SizeCause::PacketTooBig)]);
}

// RFC 1191 §6.4 1191-6a
#[test]
fn ten_messages_are_answered_with_one_retransmission_and_the_window_stays() {
    let mut path = Narrow::new(1500, Router::IsSilent);
    let (client, _) = path.connected(B4);
    path.pair.a.host.tcp_send(path.pair.now, client, &[1; 20_000]).expect("there is room");
    let in_flight = path.pair.a.drain(path.pair.now);
    assert_eq!(in_flight.len(), 10);
    let before = path.pair.a.host.tcp_info(path.pair.now, client).cwnd_bytes;
    path.pair.a.host.handle_packets(
        path.pair.now,
        WIRE,
        in_flight.iter().map(|packet| too_big(packet, 1300)),
    );
    let again = path.pair.a.drain(path.pair.now);
    let bytes: usize = again.iter().map(|packet| packet.len() - 52).sum();
    assert!(again.iter().all(|packet| packet.len() <= 1300));
    assert!((14_480 - 1_248..=14_480).contains(&bytes), "{bytes} bytes were sent again");
    let after = path.pair.a.host.tcp_info(path.pair.now, client).cwnd_bytes;
    assert!(after <= before && after >= before / 2, "{before} became {after}");
    assert_eq!(path.segment_sizes(), [(1260, SizeCause::PacketTooBig)]);
}

// RFC 1191 §3 1191-3c
#[test]
fn a_larger_size_is_tried_after_ten_minutes_and_not_before() {
    let mut path = Narrow::new(1400, Router::Speaks);
    let ends = path.connected(B4);
    path.transfer(ends, 100_000);
    path.segment_sizes();
    path.mtu = 1500;
    let began = path.pair.now;
    while path.pair.now.since(began) < Duration::from_secs(598) {
        path.transfer(ends, 20_000);
        assert_eq!(path.longest, 1400);
        path.pair.now += Duration::from_secs(30).min(Duration::from_secs(599) - path.pair.now.since(began));
    }
    path.pair.now = began + Duration::from_secs(601);
    path.transfer(ends, 20_000);
    path.transfer(ends, 20_000);
    assert_eq!(path.longest, 1500);
    assert_eq!(path.segment_sizes(), [(1460, SizeCause::ProbeAcknowledged)]);
}

// RFC 1122 §3.3.3 1122-3.3.3
#[test]
fn without_discovery_no_packet_is_longer_than_every_path_takes() {
    let tcp = ciao_tcp::Config { path_mtu_discovery: false, ..ciao_tcp::Config::default() };
    let config = HostConfig { tcp: Arc::new(tcp), ..HostConfig::default() };
    for (remote, mtu) in [(B4, 576), (B6, 1280)] {
        let mut path = Narrow::with(config.clone(), mtu, Router::IsSilent);
        let ends = path.connected(remote);
        path.transfer(ends, 100_000);
        assert_eq!((path.longest, path.refused), (mtu, 0));
    }
}

#[test]
fn datagrams_leave_in_fragments_once_a_router_has_spoken() {
    for (local, remote) in [(A4, B4), (A6, B6)] {
        let mut path = Narrow::new(1400, Router::Speaks);
        let server = path.pair.b.host.udp_bind(at(remote, 53)).expect("the port is free");
        let client = path.pair.a.host.udp_bind(at(local, 0)).expect("a port is free");
        let mut bytes = vec![0; 1 << 16];
        let data = pattern(1_430);
        path.pair.a.host.udp_send_to(path.pair.now, client, &data, at(remote, 53)).expect("it is sent");
        path.flow();
        assert_eq!((path.refused, path.pair.b.host.udp_receive_from(server, &mut bytes)), (1, None));
        path.pair.a.host.udp_send_to(path.pair.now, client, &data, at(remote, 53)).expect("it is sent");
        path.flow();
        let (len, _) = path.pair.b.host.udp_receive_from(server, &mut bytes).expect("it has arrived");
        assert_eq!((&bytes[..len], path.refused), (&data[..], 1));
        assert!(path.longest <= 1400);
        // TCP believes nothing that was said of datagrams.
        path.mtu = 1500;
        let ends = path.connected(remote);
        path.transfer(ends, 20_000);
        assert_eq!(path.longest, 1500);
    }
}

#[test]
fn answers_to_long_pings_fit_the_path_too() {
    for (local, remote) in [(A4, B4), (A6, B6)] {
        let mut path = Narrow::new(1400, Router::Speaks);
        let data = pattern(1_440);
        let request = match (ip(remote), ip(local)) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let first =
                    Icmpv6::EchoRequest { identifier: 7, sequence: 1 }.emit(source, destination, &data);
                let mut bytes = vec![0; 40];
                let len = u16::try_from(8 + data.len()).expect("it is short");
                Ipv6Header::new(Protocol::ICMPV6, source, destination, len).emit(&mut bytes);
                [&bytes, &first[..], &data].concat()
            }
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let first = Icmpv4::EchoRequest { identifier: 7, sequence: 1 }.emit(&data);
                let mut bytes = vec![0; 20];
                let len = u16::try_from(28 + data.len()).expect("it is short");
                Ipv4Header::new(Protocol::ICMP, source, destination, len).emit(&mut bytes);
                [&bytes, &first[..], &data].concat()
            }
            _ => panic!("two versions"),
        };
        for refused in [1, 1] {
            let request = Packet::from_bytes(Bytes::from(request.clone()));
            path.pair.a.host.handle_packet(path.pair.now, WIRE, request);
            path.flow();
            assert_eq!(path.refused, refused);
        }
        assert!(path.longest > 1_300);
    }
}

#[test]
fn an_outage_costs_no_more_than_one_search() {
    let mut path = Narrow::new(1500, Router::IsSilent);
    let ends = path.connected(B4);
    path.transfer(ends, 100_000);
    path.mtu = 0;
    let sent = pattern(230_000);
    path.pair.a.host.tcp_send(path.pair.now, ends.0, &sent[..30_000]).expect("there is room");
    path.flow();
    let until = path.pair.now + Duration::from_secs(10);
    while path.pair.now < until {
        path.wait();
    }
    path.mtu = 1500;
    path.finish(ends, &sent, 30_000);
    assert_eq!(path.segment_sizes().last(), Some(&(1460, SizeCause::ProbeAcknowledged)));
}

#[test]
fn an_end_is_told_what_became_of_its_datagram() {
    let mut pair = Pair::new();
    let client = pair.a.host.udp_bind(at(A4, 0)).expect("a port is free");
    pair.a.host.udp_send_to(pair.now, client, b"anybody?", at(B4, 9)).expect("it is sent");
    pair.flow();
    assert_eq!(pair.a.events, [ciao_stack::HostEvent::UdpReadable(client)]);
    let error = pair.a.host.udp_take_error(client);
    assert_eq!(error, Some((at(B4, 9), ciao_tcp::IcmpErrorKind::PortUnreachable)));
    assert_eq!(pair.a.host.udp_take_error(client), None);
    let _: &End = &pair.a;
}
