//! Datagrams in fragments: what is put together, what is refused, and what it may cost.

use crate::pair::{A4, A6, B4, B6, End, WIRE, at, host, ip, pattern};
use bytes::Bytes;
use ciao_stack::{HostConfig, HostDropReason, ListenRequest, ReassemblyLimits, UdpId};
use ciao_wire::checksum::pseudo_header;
use ciao_wire::icmpv4::Icmpv4;
use ciao_wire::icmpv6::{Icmpv6, parameter};
use ciao_wire::ipv6_extensions::Fragment;
use ciao_wire::udp::{UdpHeader, checksum_field};
use ciao_wire::{Ecn, Instant, IpHeader, Ipv4Header, Ipv6Header, Packet, Protocol, TcpFlags, TcpHeader};
use std::net::IpAddr;
use std::time::Duration;

/// One fragment: its place, whether more follow, and its bytes.
type Cut<'a> = (usize, bool, &'a [u8]);

/// What all fragments of a datagram say of where they come from and belong to.
#[derive(Clone, Copy)]
struct Sender {
    source: &'static str,
    destination: &'static str,
    protocol: Protocol,
    identification: u16,
    ecn: Ecn,
}

const FROM_A: Sender =
    Sender { source: A4, destination: B4, protocol: Protocol::UDP, identification: 7, ecn: Ecn::NotEct };
const FROM_A6: Sender = Sender { source: A6, destination: B6, ..FROM_A };

fn fragment(sender: Sender, (offset, more_fragments, data): Cut<'_>) -> Packet {
    let Sender { source, destination, protocol, identification, ecn } = sender;
    let offset = u16::try_from(offset).expect("it lies within a datagram");
    let len = |header: usize| u16::try_from(header + data.len()).expect("it fits into a packet");
    let mut bytes = match (ip(source), ip(destination)) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut bytes = vec![0; 20];
            let header = Ipv4Header::new(protocol, source, destination, len(20));
            let (dont_fragment, fragment_offset_bytes) = (false, offset);
            Ipv4Header {
                dont_fragment,
                more_fragments,
                fragment_offset_bytes,
                identification,
                ecn,
                ..header
            }
            .emit(&mut bytes);
            bytes
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut bytes = vec![0; 40];
            let header = Ipv6Header::new(Protocol(44), source, destination, len(8));
            Ipv6Header { ecn, ..header }.emit(&mut bytes);
            let identification = u32::from(identification);
            let fragment = Fragment { offset_bytes: offset, more_fragments, identification };
            bytes.extend_from_slice(&fragment.to_bytes(protocol));
            bytes
        }
        _ => panic!("two versions"),
    };
    bytes.extend_from_slice(data);
    Packet::from_bytes(Bytes::from(bytes))
}

/// `message` in fragments of at most `size` bytes.
fn cut(sender: Sender, message: &[u8], size: usize) -> Vec<Packet> {
    let size = size / 8 * 8;
    let places = (0..message.len()).step_by(size);
    let piece = |start: usize| {
        (start, start + size < message.len(), &message[start..message.len().min(start + size)])
    };
    places.map(|start| fragment(sender, piece(start))).collect()
}

/// A UDP message from port 4000 to port 53.
fn udp(sender: Sender, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + data.len()).expect("it fits into a datagram");
    let mut bytes = vec![0; 8];
    let header = UdpHeader { source_port: 4000, destination_port: 53, len, checksum: 0 };
    header.emit(&mut bytes);
    bytes.extend_from_slice(data);
    let sum = pseudo_header(ip(sender.source), ip(sender.destination), Protocol::UDP, u32::from(len));
    UdpHeader { checksum: checksum_field(sum.add_bytes(&bytes)), ..header }.emit(&mut bytes);
    bytes
}

/// B with a UDP socket of each version at port 53.
struct Receiver {
    now: Instant,
    end: End,
    sockets: [UdpId; 2],
}

impl Receiver {
    fn new() -> Self {
        Self::with(HostConfig::default())
    }

    fn with(config: HostConfig) -> Self {
        let mut host = host(&[B4, B6], config, 3);
        let sockets = ["0.0.0.0", "::"].map(|any| host.udp_bind(at(any, 53)).expect("the port is free"));
        Self { now: Instant::from_secs(1), end: End::new(host), sockets }
    }

    fn give(&mut self, packets: impl IntoIterator<Item = Packet>) -> Vec<Packet> {
        self.end.host.handle_packets(self.now, WIRE, packets);
        self.end.drain(self.now)
    }

    fn wait(&mut self, duration: Duration) -> Vec<Packet> {
        self.now += duration;
        while self.end.host.poll_timeout().is_some_and(|due| due <= self.now) {
            self.end.host.handle_timeout(self.now);
        }
        self.end.drain(self.now)
    }

    /// The datagrams that have arrived.
    fn received(&mut self) -> Vec<Vec<u8>> {
        let mut bytes = vec![0; 1 << 16];
        let mut all = Vec::new();
        for socket in self.sockets {
            while let Some((len, _)) = self.end.host.udp_receive_from(socket, &mut bytes) {
                all.push(bytes[..len].to_vec());
            }
        }
        all
    }

    fn dropped(&self, reason: HostDropReason) -> u64 {
        self.end.host.counters().dropped(reason)
    }
}

// RFC 1122 §3.3.2 1122-3.3.2a
#[test]
fn datagrams_of_every_length_are_put_together_in_any_order() {
    for sender in [FROM_A, FROM_A6] {
        for len in [576, 1_500, 9_000, 65_507] {
            let data = pattern(len);
            for reverse in [false, true] {
                let mut receiver = Receiver::new();
                let mut packets = cut(sender, &udp(sender, &data), if len == 576 { 64 } else { 1_448 });
                assert!(packets.len() > 1);
                if reverse {
                    packets.reverse();
                }
                assert!(receiver.give(packets).is_empty());
                assert_eq!(receiver.received(), [data.to_vec()], "{len} bytes");
                assert_eq!(receiver.end.host.poll_timeout(), None, "nothing of it is kept");
            }
        }
    }
}

#[test]
fn a_connection_may_begin_with_a_syn_in_fragments() {
    let mut receiver = Receiver::new();
    receiver.end.host.tcp_listen(ListenRequest::at(at(B4, 80))).expect("the port is free");
    let sender = Sender { protocol: Protocol::TCP, ..FROM_A };
    let mut options = ciao_wire::TcpOptions { mss: Some(1460), sack_permitted: true, ..Default::default() };
    options.window_scale = Some(7);
    let header = TcpHeader {
        source_port: 4000,
        destination_port: 80,
        flags: TcpFlags::SYN,
        window: 1000,
        options,
        ..TcpHeader::default()
    };
    let mut bytes = vec![0; header.header_len()];
    header.emit(&mut bytes);
    let len = u32::try_from(bytes.len()).expect("it is short");
    let sum = pseudo_header(ip(A4), ip(B4), Protocol::TCP, len).add_bytes(&bytes);
    bytes[16..18].copy_from_slice(&sum.finish().to_be_bytes());
    let answers = receiver.give(cut(sender, &bytes, 24));
    assert_eq!(answers.len(), 1, "{:?}", receiver.end.host.counters());
    let (answer, _) = TcpHeader::parse(&answers[0].to_vec()[20..]).expect("a segment");
    assert_eq!((answer.flags, answer.options.mss), (TcpFlags::SYN | TcpFlags::ACK, Some(1460)));
}

// RFC 1122 §3.3.2 1122-3.3.2b
// RFC 4443 §2.4 4443-2.4a
#[test]
fn what_stays_incomplete_is_forgotten_and_its_sender_told_when_the_beginning_had_come() {
    for sender in [FROM_A, FROM_A6] {
        for (kept, told) in [(0, true), (1, false)] {
            let mut receiver = Receiver::new();
            let packets = cut(sender, &udp(sender, &[1; 3000]), 1_448);
            receiver.give([packets[kept].clone()]);
            assert!(receiver.wait(Duration::from_millis(29_999)).is_empty());
            let answers = receiver.wait(Duration::from_millis(1));
            assert_eq!(answers.len(), usize::from(told));
            assert_eq!(receiver.dropped(HostDropReason::ReassemblyTimeout), 1);
            assert_eq!(receiver.end.host.poll_timeout(), None);
            if let Some(answer) = answers.first() {
                let bytes = answer.to_vec();
                let (header, len) = IpHeader::parse(&bytes).expect("a packet");
                let quoted = match header {
                    IpHeader::V4(_) => {
                        let (message, quoted) = Icmpv4::parse(&bytes[len..]).expect("a message");
                        assert_eq!(message, Icmpv4::TimeExceeded { code: 1 });
                        quoted
                    }
                    IpHeader::V6(v6) => {
                        let parsed = Icmpv6::parse(&bytes[len..], v6.source, v6.destination);
                        let (message, quoted) = parsed.expect("a message");
                        assert_eq!(message, Icmpv6::TimeExceeded { code: 1 });
                        quoted
                    }
                };
                assert!(packets[0].to_vec().starts_with(quoted));
            }
            receiver.give([packets[1 - kept].clone()]);
            assert!(receiver.received().is_empty(), "what came in time has gone");
        }
    }
}

// RFC 791 §3.2 791-frag1
// RFC 5722 §4 8200-4.5a
#[test]
fn an_overlap_spoils_the_datagram_for_good_and_without_a_word() {
    for sender in [FROM_A, FROM_A6] {
        let message = udp(sender, &pattern(600));
        let packets = cut(sender, &message, 200);
        let teardrop = fragment(sender, (192, true, &message[192..208]));
        for at in 0..=packets.len() {
            let mut receiver = Receiver::new();
            let mut order = packets.clone();
            order.insert(at.min(packets.len() - 1), teardrop.clone());
            order.extend(packets.iter().take(1).cloned());
            assert!(receiver.give(order).is_empty());
            assert!(receiver.received().is_empty());
            assert!(receiver.dropped(HostDropReason::FragmentOverlap) >= 1);
            assert!(receiver.wait(Duration::from_secs(60)).is_empty(), "nothing is said about it later");
        }
        // A network repeats packets; that is no overlap.
        let mut receiver = Receiver::new();
        receiver.give([&packets[..2], &packets[..]].concat());
        assert_eq!(receiver.received().len(), 1);
    }
}

// RFC 791 §3.2 791-frag1
#[test]
fn a_first_fragment_that_hides_the_transport_header_is_dropped() {
    let tcp = |sender| Sender { protocol: Protocol::TCP, ..sender };
    for sender in [tcp(FROM_A), tcp(FROM_A6)] {
        for tiny in [(0, true, &[0; 8][..]), (0, true, &[0; 16]), (8, true, &[0; 64]), (16, false, &[0; 64])]
        {
            let mut receiver = Receiver::new();
            let told = receiver.give([fragment(sender, tiny)]);
            assert_eq!(told.len(), usize::from(sender.source == A6 && tiny.0 == 0), "{tiny:?}");
            assert_eq!(receiver.dropped(HostDropReason::TinyFragment), 1, "{tiny:?}");
        }
    }
}

// RFC 7112 §5 7112-5
#[test]
fn the_sender_of_a_first_fragment_without_all_headers_is_told() {
    // Destination options of 48 bytes before TCP, and a TCP header.
    let options = [&[6, 5, 1, 44][..], &[0; 44], &[0; 20]].concat();
    let sender = Sender { protocol: Protocol(60), ..FROM_A6 };
    for (len, told) in [(8, true), (40, true), (48, true), (64, true), (72, false)] {
        let mut receiver = Receiver::new();
        let bytes = [&options[..], &[0; 8]].concat();
        let answers = receiver.give([fragment(sender, (0, true, &bytes[..len]))]);
        assert_eq!(receiver.dropped(HostDropReason::TinyFragment), u64::from(told), "{len}");
        let messages: Vec<_> = answers.iter().map(message_v6).collect();
        let problem = Icmpv6::ParameterProblem { code: parameter::FIRST_FRAGMENT, pointer: 0 };
        assert_eq!(messages, if told { vec![problem] } else { vec![] }, "{len}");
    }
}

fn message_v6(packet: &Packet) -> Icmpv6 {
    let bytes = packet.to_vec();
    let (IpHeader::V6(v6), len) = IpHeader::parse(&bytes).expect("a packet") else { panic!("not IPv6") };
    Icmpv6::parse(&bytes[len..], v6.source, v6.destination).expect("a message").0
}

// RFC 6946 §4 6946-1
#[test]
fn an_atomic_fragment_is_a_datagram_of_its_own() {
    let mut receiver = Receiver::new();
    let large = udp(FROM_A6, &pattern(2_000));
    let packets = cut(FROM_A6, &large, 1_448);
    receiver.give([packets[0].clone()]);
    receiver.give([fragment(FROM_A6, (0, false, &udp(FROM_A6, b"alone")))]);
    assert_eq!(receiver.received(), [b"alone"]);
    receiver.give([packets[1].clone()]);
    assert_eq!(receiver.received(), [pattern(2_000).to_vec()]);
}

#[test]
fn impossible_lengths_and_places_are_refused_and_in_ipv6_explained() {
    let explained = |cut: Cut<'_>| {
        let mut receiver = Receiver::new();
        let answers = receiver.give([fragment(FROM_A6, cut)]);
        assert_eq!(receiver.dropped(HostDropReason::MalformedFragment), 1);
        message_v6(&answers[0])
    };
    let problem = |pointer| Icmpv6::ParameterProblem { code: parameter::HEADER_FIELD, pointer };
    assert_eq!(explained((0, true, &[0; 1001])), problem(4));
    assert_eq!(explained((65_528, false, &[0; 100])), problem(42));
    let refused = |cut: Cut<'_>, reason| {
        let mut receiver = Receiver::new();
        assert!(receiver.give([fragment(FROM_A, cut)]).is_empty());
        assert_eq!(receiver.dropped(reason), 1);
    };
    refused((0, true, &[0; 1001]), HostDropReason::MalformedFragment);
    refused((8, true, &[]), HostDropReason::MalformedFragment);
    // Ping of death.
    refused((65_528, false, &[0; 100]), HostDropReason::MalformedIp);
}

// RFC 3168 §5.3 3168-5
#[test]
fn a_mark_of_congestion_survives_and_disagreement_is_dropped() {
    let message = udp(FROM_A, &pattern(600));
    let outcome = |marks: [Ecn; 2]| {
        let mut receiver =
            Receiver::with(HostConfig { trace: ciao_stack::Tracing::On, ..HostConfig::default() });
        for (packet, ecn) in cut(FROM_A, &message, 304).into_iter().zip(marks) {
            let mut bytes = packet.to_vec();
            let (IpHeader::V4(header), _) = IpHeader::parse(&bytes).expect("a packet") else { panic!("4") };
            Ipv4Header { ecn, ..header }.emit(&mut bytes);
            receiver.give([Packet::from_bytes(Bytes::from(bytes))]);
        }
        (receiver.received().len(), receiver.dropped(HostDropReason::FragmentEcn))
    };
    for fine in
        [[Ecn::Ce, Ecn::Ect0], [Ecn::Ect0, Ecn::Ce], [Ecn::NotEct, Ecn::NotEct], [Ecn::Ect1, Ecn::Ect0]]
    {
        assert_eq!(outcome(fine), (1, 0), "{fine:?}");
    }
    for mixed in [[Ecn::Ce, Ecn::NotEct], [Ecn::NotEct, Ecn::Ce]] {
        assert_eq!(outcome(mixed), (0, 1), "{mixed:?}");
    }
}

// Row R17: what a flood of fragments can take is bounded, and the oldest goes first.
#[test]
fn a_flood_takes_no_more_than_its_share_and_spares_other_senders() {
    let limits = ReassemblyLimits::default();
    let mut receiver = Receiver::new();
    let good = Sender { source: "192.0.2.9", ..FROM_A };
    let packets = cut(good, &udp(good, &pattern(2_000)), 1_448);
    receiver.give([packets[0].clone()]);
    for identification in 0..10_000 {
        let sender = Sender { identification, ..FROM_A };
        receiver.give([fragment(sender, (0, true, &[1; 1_448]))]);
    }
    assert_eq!(receiver.dropped(HostDropReason::ReassemblyFull), 10_000 - limits.max_datagrams as u64 / 4);
    receiver.give([packets[1].clone()]);
    assert_eq!(receiver.received().len(), 1, "another sender's datagram was spared");
    // Eight bytes each, from behind.
    for index in (0..100).rev() {
        let sender = Sender { identification: 20_000, ..FROM_A };
        receiver.give([fragment(sender, (index * 16, true, &[1; 8]))]);
    }
    assert_eq!(receiver.dropped(HostDropReason::TooManyFragments), 1);
    assert_eq!(receiver.dropped(HostDropReason::FragmentOverlap), 100 - 64 - 1, "the rest comes too late");
    receiver.wait(Duration::from_secs(31));
    assert_eq!(receiver.end.host.poll_timeout(), None, "all is forgotten in time");
}

#[test]
fn fragments_for_many_are_not_kept() {
    let mut receiver = Receiver::new();
    let sender = Sender { destination: "192.0.2.255", ..FROM_A };
    receiver.give(cut(sender, &udp(sender, &[0; 3_000]), 1_448));
    assert_eq!(receiver.dropped(HostDropReason::NotUnicast), 3);
    assert_eq!(receiver.end.host.poll_timeout(), None);
}
