//! What does a listener answer? It is a part of the host, so a host is asked, in packets.

use super::specification::{Answer, Sent};
use bytes::Bytes;
use ciao_stack::{Cidr, Host, HostConfig, InterfaceConfig, ListenRequest};
use ciao_tcp::{Segment, TcpState};
use ciao_wire::checksum::pseudo_header;
use ciao_wire::{Instant, Ipv4Header, Packet, Protocol, TcpHeader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A host that has done nothing but to listen gets the segment.
pub(super) fn observe(segment: &Segment, silent: Answer) -> Answer {
    let mut host = Host::new(HostConfig::default(), [7; 32]);
    let interface = host.add_interface(InterfaceConfig {
        addresses: vec![Cidr::new(LOCAL, 24)],
        ..InterfaceConfig::default()
    });
    let local = SocketAddr::new(LOCAL.into(), segment.header.destination_port);
    host.tcp_listen(ListenRequest::at(local)).expect("the port is free");
    let now = Instant::from_secs(1);
    host.handle_packet(now, interface, packet(segment));
    let mut sent = Sent::Nothing;
    while let Some((_, packet)) = host.poll_transmit(now) {
        sent = if sent == Sent::Nothing { read(&packet) } else { Sent::Unexpected };
    }
    let half_open = host.counts().half_open > 0;
    let state = if half_open { TcpState::SynReceived } else { silent.state };
    Answer { sent, state, ..silent }
}

fn packet(segment: &Segment) -> Packet {
    let header_len = segment.header.header_len();
    let mut body = vec![0; header_len];
    segment.header.emit(&mut body);
    body.extend(segment.payload.to_vec());
    let (source, destination) = (IpAddr::from(REMOTE), IpAddr::from(LOCAL));
    let sum = pseudo_header(source, destination, Protocol::TCP, body.len() as u32).add_bytes(&body).finish();
    body[16..18].copy_from_slice(&sum.to_be_bytes());
    let header = Ipv4Header::new(Protocol::TCP, REMOTE, LOCAL, 20 + body.len() as u16);
    let mut bytes = vec![0; 20];
    header.emit(&mut bytes);
    bytes.extend(body);
    Packet::from_bytes(Bytes::from(bytes))
}

fn read(packet: &Packet) -> Sent {
    let bytes = packet.to_vec();
    let Ok((header, len)) = TcpHeader::parse(&bytes[20..]) else { return Sent::Unexpected };
    let (flags, ack) = (header.flags, header.ack.0);
    match (bytes.len() == 20 + len, flags.syn(), flags.rst(), flags.ack()) {
        (true, true, false, true) => Sent::SynAck { ack },
        (true, false, true, with_ack) => Sent::Reset { seq: header.seq.0, ack: with_ack.then_some(ack) },
        _ => Sent::Unexpected,
    }
}
