//! How does a segment of a script become a packet, and how is a packet that was sent read?

use crate::IpVersion;
use crate::event::IcmpKind;
use crate::notation::{EcnText, IpText, SegmentText};
use crate::numbers::Bases;
use bytes::Bytes;
use ciao_wire::checksum::pseudo_header;
use ciao_wire::icmpv4::unreachable;
use ciao_wire::{
    Icmpv4, Icmpv6, IpHeader, Ipv4Header, Ipv6Header, Packet, Protocol, SeqNum, Sum, TcpFlags, TcpHeader,
};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses of both ends, those of packetdrill.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Ours.
    pub local: IpAddr,
    /// The script's.
    pub remote: IpAddr,
    /// The router between them; ICMP errors come from it.
    pub router: IpAddr,
}

impl Addresses {
    /// Those of a version.
    #[must_use]
    pub fn of(version: IpVersion) -> Self {
        match version {
            IpVersion::V4 => Self {
                local: Ipv4Addr::new(192, 168, 0, 1).into(),
                remote: Ipv4Addr::new(192, 0, 2, 1).into(),
                router: Ipv4Addr::new(192, 168, 0, 2).into(),
            },
            IpVersion::V6 => Self {
                local: Ipv6Addr::new(0xfd3d, 0xfa7b, 0xd17d, 0, 0, 0, 0, 1).into(),
                remote: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
                router: Ipv6Addr::new(0xfd3d, 0xfa7b, 0xd17d, 0, 0, 0, 0, 2).into(),
            },
        }
    }
}

/// What an ICMP error quotes at most: with its own headers 576 bytes (RFC 1812 §4.3.2.3).
const QUOTED_MAX: usize = 528;

/// The byte at a position of any stream. The first is at 1, as in relative sequence numbers.
#[must_use]
pub fn pattern(position: u32) -> u8 {
    // Fibonacci hashing: neighbours, and positions a power of two apart, differ.
    (position.wrapping_mul(0x9e37_79b9) >> 24) as u8
}

/// The packet that a `<` line stands for. `window` is that of a line without one.
#[must_use]
pub fn segment(
    addresses: &Addresses,
    text: &SegmentText,
    bases: Bases,
    (from, to): (u16, u16),
    window: u16,
) -> Packet {
    let options = text.option_bytes(bases);
    let mut bytes = vec![0; TcpHeader::default().header_len()];
    let header = TcpHeader {
        source_port: from,
        destination_port: to,
        seq: SeqNum(text.start) + bases.seq,
        ack: text.ack.map(|ack| SeqNum(ack) + bases.ack).unwrap_or_default(),
        flags: text.flags,
        window: text.window.unwrap_or(window),
        urgent: text.urgent.unwrap_or_default(),
        ..TcpHeader::default()
    };
    header.emit(&mut bytes);
    bytes.extend(&options);
    // The data offset, in words, in the upper half of the byte.
    let words = (20 + options.len()) / 4;
    bytes[12] = (words << 4) as u8;
    let first = SeqNum(text.start) + u32::from(text.flags.syn());
    bytes.extend((0..text.len).map(|offset| pattern((first + offset).0)));
    let (source, destination) = (addresses.remote, addresses.local);
    let sum = pseudo_header(source, destination, Protocol::TCP, bytes.len() as u32);
    let sum = sum.add_bytes(&bytes).finish();
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    wrap(Protocol::TCP, source, destination, text.ip, &bytes)
}

/// Puts an IP header in front of `body`.
fn wrap(protocol: Protocol, source: IpAddr, destination: IpAddr, text: IpText, body: &[u8]) -> Packet {
    let tos = text.tos.unwrap_or_default();
    let ecn = match text.ecn {
        Some(EcnText::Exactly(ecn)) => ecn,
        Some(EcnText::Capable) => ciao_wire::Ecn::Ect0,
        None => ciao_wire::Ecn::from_bits(tos),
    };
    let mut bytes;
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = Ipv4Header::new(protocol, source, destination, 20 + body.len() as u16);
            (header.dscp, header.ecn) = (tos >> 2, ecn);
            header.ttl = text.hop_limit.unwrap_or(header.ttl);
            bytes = vec![0; 20];
            header.emit(&mut bytes);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = Ipv6Header::new(protocol, source, destination, body.len() as u16);
            (header.dscp, header.ecn) = (tos >> 2, ecn);
            header.hop_limit = text.hop_limit.unwrap_or(header.hop_limit);
            bytes = vec![0; 40];
            header.emit(&mut bytes);
        }
        _ => unreachable!("both addresses are of the script's version"),
    }
    bytes.extend(body);
    Packet::from_bytes(Bytes::from(bytes))
}

/// An ICMP error from the router about a segment of ours that began at `seq`.
///
/// # Errors
/// When the version has no such error.
pub fn icmp(
    addresses: &Addresses,
    kind: IcmpKind,
    (from, to): (u16, u16),
    seq: u32,
    len: u32,
) -> Result<Packet, String> {
    let mut quoted = vec![0; 20];
    let header = TcpHeader {
        source_port: from,
        destination_port: to,
        seq: SeqNum(seq),
        flags: TcpFlags::ACK,
        ..TcpHeader::default()
    };
    header.emit(&mut quoted);
    quoted.resize(20 + len as usize, 0);
    let quoted = wrap(Protocol::TCP, addresses.local, addresses.remote, IpText::default(), &quoted).to_vec();
    // RFC 4443 asks for more, and nobody needs it.
    let quoted = &quoted[..quoted.len().min(QUOTED_MAX)];
    match (addresses.router, addresses.local) {
        (IpAddr::V4(router), IpAddr::V4(local)) => {
            let head = icmpv4(kind).emit(quoted);
            let body = [&head[..], quoted].concat();
            Ok(wrap(Protocol::ICMP, router.into(), local.into(), IpText::default(), &body))
        }
        (IpAddr::V6(router), IpAddr::V6(local)) => {
            let head = icmpv6(kind)?.emit(router, local, quoted);
            let body = [&head[..], quoted].concat();
            Ok(wrap(Protocol::ICMPV6, router.into(), local.into(), IpText::default(), &body))
        }
        _ => unreachable!("both addresses are of the script's version"),
    }
}

fn icmpv4(kind: IcmpKind) -> Icmpv4 {
    let unreachable = |code| Icmpv4::Unreachable { code, next_hop_mtu: 0 };
    /// Communication administratively prohibited (RFC 1812 §5.2.7.1).
    const PROHIBITED: u8 = 13;
    match kind {
        IcmpKind::NetworkUnreachable => unreachable(unreachable::NETWORK),
        IcmpKind::HostUnreachable => unreachable(unreachable::HOST),
        IcmpKind::ProtocolUnreachable => unreachable(unreachable::PROTOCOL),
        IcmpKind::PortUnreachable => unreachable(unreachable::PORT),
        IcmpKind::Prohibited => unreachable(PROHIBITED),
        IcmpKind::TooBig(mtu) => {
            Icmpv4::Unreachable { code: unreachable::FRAGMENTATION_NEEDED, next_hop_mtu: mtu }
        }
        IcmpKind::TimeExceeded => Icmpv4::TimeExceeded { code: 0 },
        IcmpKind::ParameterProblem => Icmpv4::ParameterProblem { code: 0, pointer: 0 },
        IcmpKind::SourceQuench => Icmpv4::SourceQuench,
    }
}

/// Codes: RFC 4443 §3.1, §3.4.
fn icmpv6(kind: IcmpKind) -> Result<Icmpv6, String> {
    Ok(match kind {
        IcmpKind::NetworkUnreachable => Icmpv6::Unreachable { code: 0 },
        IcmpKind::Prohibited => Icmpv6::Unreachable { code: 1 },
        IcmpKind::HostUnreachable => Icmpv6::Unreachable { code: 3 },
        IcmpKind::PortUnreachable => Icmpv6::Unreachable { code: 4 },
        // An unknown next header, which is what another protocol is to IPv6.
        IcmpKind::ProtocolUnreachable => Icmpv6::ParameterProblem { code: 1, pointer: 6 },
        // As an MTU of the script's own link: the longer header is added, and the segment is the same.
        IcmpKind::TooBig(mtu) => Icmpv6::PacketTooBig { mtu: u32::from(mtu) + 20 },
        IcmpKind::TimeExceeded => Icmpv6::TimeExceeded { code: 0 },
        IcmpKind::ParameterProblem => Icmpv6::ParameterProblem { code: 0, pointer: 0 },
        IcmpKind::SourceQuench => return Err("IPv6 has no source quench".to_owned()),
    })
}

/// A packet that was sent.
#[derive(Clone, Debug)]
pub enum Seen {
    /// TCP.
    Segment(SegmentSeen),
    /// Anything else, in words.
    Other(String),
}

/// A segment as the wire has it.
#[derive(Clone, Debug)]
pub struct SegmentSeen {
    /// The IP header.
    pub ip: IpHeader,
    /// Ours and the script's.
    pub ports: (u16, u16),
    /// SEG.SEQ.
    pub seq: u32,
    /// SEG.ACK.
    pub ack: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// The window field.
    pub window: u16,
    /// The urgent pointer.
    pub urgent: u16,
    /// The options, padding included.
    pub options: Vec<u8>,
    /// The payload.
    pub payload: Vec<u8>,
}

/// Reads a packet that was sent.
///
/// # Errors
/// When it is no sound IP packet, in words.
pub fn read(packet: &Packet) -> Result<Seen, String> {
    let bytes = packet.to_vec();
    let (ip, len) = IpHeader::parse(&bytes).map_err(|error| format!("its IP header is wrong: {error:?}"))?;
    if ip.total_len() != bytes.len() {
        return Err(format!("its IP header speaks of {} bytes of {}", ip.total_len(), bytes.len()));
    }
    let body = &bytes[len..];
    if ip.protocol() != Protocol::TCP {
        return Ok(Seen::Other(format!("{} to {}, {} bytes", ip.protocol(), ip.destination(), body.len())));
    }
    let sum = pseudo_header(ip.source(), ip.destination(), Protocol::TCP, body.len() as u32);
    if !Sum::is_valid(sum.add_bytes(body)) {
        return Err("its checksum is wrong".to_owned());
    }
    let (header, header_len) =
        TcpHeader::parse(body).map_err(|error| format!("its TCP header is wrong: {error:?}"))?;
    if header.options.mss.is_some() && !header.flags.syn() {
        return Err("it announces an MSS without SYN".to_owned());
    }
    Ok(Seen::Segment(SegmentSeen {
        ip,
        ports: (header.source_port, header.destination_port),
        seq: header.seq.0,
        ack: header.ack.0,
        flags: header.flags,
        window: header.window,
        urgent: header.urgent,
        options: body[20..header_len].to_vec(),
        payload: body[header_len..].to_vec(),
    }))
}
