//! Two hosts and the wire between them, for the tests of this crate: no delay unless asked for, nothing lost
//! unless asked.

use bytes::Bytes;
use ciao_stack::{
    Checksums, Cidr, ConnectRequest, Host, HostConfig, HostEvent, InterfaceConfig, InterfaceId,
    ListenRequest, ListenerId, Offload, Route, Segmentation, SocketId,
};
use ciao_tcp::error::{ReceiveError, SendError};
use ciao_wire::checksum::pseudo_header;
use ciao_wire::{Checksum, Instant, IpHeader, Packet, Protocol, TcpHeader};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub(crate) const A4: &str = "192.0.2.1";
pub(crate) const B4: &str = "192.0.2.2";
pub(crate) const A6: &str = "2001:db8::1";
pub(crate) const B6: &str = "2001:db8::2";
pub(crate) const WIRE: InterfaceId = InterfaceId(0);

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(crate) fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip(address), port)
}

pub(crate) fn interface(addresses: &[&str], offload: Offload) -> InterfaceConfig {
    let cidr = |text: &&str| Cidr::new(ip(text), if text.contains(':') { 64 } else { 24 });
    InterfaceConfig {
        addresses: addresses.iter().map(cidr).collect(),
        routes: vec![Route { destination: Cidr::new(ip("0.0.0.0"), 0), gateway: Some(ip("192.0.2.254")) }],
        offload,
        ..InterfaceConfig::default()
    }
}

/// A host at `addresses`.
pub(crate) fn host(addresses: &[&str], config: HostConfig, seed: u8) -> Host {
    let mut host = Host::new(config, [seed; 32]);
    host.add_interface(interface(addresses, Offload::default()));
    host
}

/// One end with what came out of it.
pub(crate) struct End {
    pub(crate) host: Host,
    pub(crate) events: Vec<HostEvent>,
    /// Every packet that it sent.
    pub(crate) sent: Vec<Packet>,
}

impl End {
    pub(crate) fn new(host: Host) -> Self {
        Self { host, events: Vec::new(), sent: Vec::new() }
    }

    /// Takes out all packets and events.
    pub(crate) fn drain(&mut self, now: Instant) -> Vec<Packet> {
        let packets: Vec<Packet> =
            std::iter::from_fn(|| self.host.poll_transmit(now).map(|(_, packet)| packet)).collect();
        let ours: Vec<IpAddr> = (self.host.interfaces())
            .flat_map(|(_, config)| config.addresses.iter().map(|cidr| cidr.address))
            .collect();
        for packet in &packets {
            assert!(ours.contains(&verify(packet)), "a packet leaves from an address that is not ours");
        }
        self.sent.extend(packets.iter().cloned());
        self.events.extend(std::iter::from_fn(|| self.host.poll_event()));
        packets
    }

    /// How many packets it has sent since the last time this was asked.
    pub(crate) fn take_sent(&mut self) -> Vec<Packet> {
        std::mem::take(&mut self.sent)
    }

    /// Gives it one packet and takes out what follows.
    pub(crate) fn handle(&mut self, now: Instant, packet: Packet) -> Vec<Packet> {
        self.host.handle_packet(now, WIRE, packet);
        self.drain(now)
    }
}

/// Holds for every packet that leaves a host; answers its source.
// RFC 9293 §3.1 MUST-2; §3.2 MUST-65
// RFC 6864 §4.1 6864-1
// RFC 1122 §3.2.1.7 1122-3.2.1.7a; §3.2.1.3 1122-3.2.1.3c
fn verify(packet: &Packet) -> IpAddr {
    let bytes = packet.to_vec();
    let (header, ip_len) = IpHeader::parse(&bytes).expect("it has a good IP header");
    assert_eq!(header.total_len(), bytes.len());
    assert!(header.hop_limit() > 0);
    if let IpHeader::V4(header) = header {
        if header.is_fragment() {
            assert!(!header.dont_fragment);
        } else {
            assert!(
                header.dont_fragment && header.identification == 0,
                "an atomic datagram has no ID to tell"
            );
        }
    }
    if header.protocol() == Protocol::TCP {
        let (tcp, _) = TcpHeader::parse(&bytes[ip_len..]).expect("it has a good TCP header");
        assert!(tcp.options.mss.is_none() || tcp.flags.syn());
        let len = u32::try_from(bytes.len() - ip_len).expect("it fits into a packet");
        let sum = pseudo_header(header.source(), header.destination(), Protocol::TCP, len);
        match packet.checksum {
            Checksum::Partial { start, offset } => {
                let field = usize::from(start + offset);
                let written = u16::from_be_bytes([bytes[field], bytes[field + 1]]);
                assert_eq!(written, sum.fold(), "the sum of the pseudo-header alone");
            }
            _ => assert!(sum.add_bytes(&bytes[ip_len..]).is_valid()),
        }
    }
    header.source()
}

/// Two hosts at two ends of a wire.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) a: End,
    pub(crate) b: End,
    /// Time from one end to the other.
    pub(crate) delay: Duration,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(HostConfig::default(), HostConfig::default(), Offload::default())
    }

    pub(crate) fn with(a: HostConfig, b: HostConfig, offload: Offload) -> Self {
        Self::over(a, b, |addresses| interface(addresses, offload))
    }

    /// Over a link whose interfaces are like `interface`, which gets their addresses.
    pub(crate) fn over(a: HostConfig, b: HostConfig, interface: impl Fn(&[&str]) -> InterfaceConfig) -> Self {
        let end = |config, addresses: &[&str], seed| {
            let mut host = Host::new(config, [seed; 32]);
            host.add_interface(interface(addresses));
            End::new(host)
        };
        Self {
            now: Instant::from_secs(1),
            a: end(a, &[A4, A6], 1),
            b: end(b, &[B4, B6], 2),
            delay: Duration::from_micros(50),
        }
    }

    /// A link that cuts super-segments and writes checksums.
    pub(crate) fn offload() -> Offload {
        Offload { segmentation: Segmentation::ByLink, checksums: Checksums::ByLink }
    }

    /// Lets packets flow until none is left; timers do not fire.
    pub(crate) fn flow(&mut self) {
        for _ in 0..100_000 {
            let from_a = self.a.drain(self.now);
            let from_b = self.b.drain(self.now);
            if from_a.is_empty() && from_b.is_empty() {
                return;
            }
            self.now += self.delay;
            self.b.host.handle_packets(self.now, WIRE, from_a);
            self.a.host.handle_packets(self.now, WIRE, from_b);
        }
        panic!("the hosts never come to rest");
    }

    /// Lets time pass until `until`, timers and packets included.
    pub(crate) fn run_until(&mut self, until: Instant) {
        self.flow();
        loop {
            let ends = [&self.a, &self.b];
            let next = ends.into_iter().filter_map(|end| end.host.poll_timeout()).min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            self.a.host.handle_timeout(self.now);
            self.b.host.handle_timeout(self.now);
            self.flow();
        }
        self.now = self.now.max(until);
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }

    /// Listens at B.
    pub(crate) fn listen(&mut self, address: &str, port: u16) -> ListenerId {
        self.b.host.tcp_listen(ListenRequest::at(at(address, port))).expect("the port is free")
    }

    /// Connects from A.
    pub(crate) fn connect(&mut self, address: &str, port: u16) -> SocketId {
        let request = ConnectRequest::to(at(address, port));
        self.a.host.tcp_connect(self.now, request).expect("nothing stands in the way")
    }

    /// A connection from A to B, both ends of it.
    pub(crate) fn connected(&mut self, address: &str, port: u16) -> (SocketId, SocketId) {
        let listener = self.listen(address, port);
        let (client, server) = self.connected_to(listener);
        self.b.host.tcp_close_listener(self.now, listener);
        self.flow();
        (client, server)
    }

    /// A connection from A to a listener of B.
    pub(crate) fn connected_to(&mut self, listener: ListenerId) -> (SocketId, SocketId) {
        let local = self.b.host.tcp_listener_local(listener);
        let client = self.connect(&local.ip().to_string(), local.port());
        self.flow();
        let server = self.b.host.tcp_accept(listener).expect("the handshake is complete");
        (client, server)
    }
}

/// Everything that can be read now, and whether the end was reached.
pub(crate) fn read_all(host: &mut Host, now: Instant, id: SocketId) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    loop {
        match host.tcp_receive_bytes(now, id, usize::MAX) {
            Ok(bytes) if bytes.is_empty() => return (all, true),
            Ok(bytes) => all.extend_from_slice(&bytes),
            Err(ReceiveError::WouldBlock) => return (all, false),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Writes as much of `bytes` as fits, and takes that off its front.
pub(crate) fn write(host: &mut Host, now: Instant, id: SocketId, bytes: &mut Bytes) {
    while !bytes.is_empty() {
        match host.tcp_send_bytes(now, id, bytes) {
            Ok(_) => {}
            Err(SendError::WouldBlock) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Bytes of which no two neighbours of 64 KiB are alike.
pub(crate) fn pattern(len: usize) -> Bytes {
    (0..len).map(|n| (n % 251 + n / 65_536) as u8).collect::<Vec<u8>>().into()
}
