//! What is in a received packet, and may it be looked at? The order of the checks.
//!
//! Header, source route, destination, source; then the transport's own header and checksum. Cheap checks come
//! before those that read the payload. What to do with a good packet is in [`crate::receive`], with one in
//! pieces in [`crate::reassembly`].

use crate::carrier::gather;
use crate::error::HostDropReason;
use crate::ids::InterfaceId;
use crate::routing::{Destination, Interfaces, LocalIndex, Source};
use bytes::Bytes;
use ciao_wire::checksum::pseudo_header;
use ciao_wire::ipv4::SourceRoute;
use ciao_wire::ipv6_extensions::{Multicast, Objection, objection};
use ciao_wire::{Checksum, IpHeader, Ipv6Header, Packet, ParseError, Protocol, Sum, ipv6};
use core::net::IpAddr;

/// What the IP header of a packet says that we may act upon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    pub(crate) ip: IpHeader,
    /// Bytes of the IP header, options and extension headers included.
    pub(crate) ip_len: usize,
    pub(crate) destination: Destination,
}

/// Reads the IP header and applies the rules that hold for all transports.
pub(crate) fn open(
    packet: &mut Packet,
    interface: InterfaceId,
    interfaces: &Interfaces,
) -> Result<Opened, HostDropReason> {
    let (ip, ip_len) = parse_whole(packet, IpHeader::parse).map_err(|error| match error {
        ParseError::Checksum => HostDropReason::IpChecksum,
        ParseError::UnknownExtension => HostDropReason::UnknownExtension,
        _ => HostDropReason::MalformedIp,
    })?;
    if ip.total_len() > packet.len() || ip.total_len() < ip_len {
        return Err(HostDropReason::MalformedIp);
    }
    // RFC 9293 §3.9.2.1 MUST-53
    // RFC 1122 §3.2.1.8 1122-3.2.1.8a
    if matches!(&ip, IpHeader::V4(header) if header.source_route == SourceRoute::Present) {
        return Err(HostDropReason::SourceRoute);
    }
    let destination = check_addresses(&ip, interface, interfaces)?;
    Ok(Opened { ip, ip_len, destination })
}

/// Opens a packet whose extension headers were refused as far as an answer to it needs, when its sender is to
/// be told.
// RFC 8200 §4.2, §4.4 8200-4a; RFC 5095 §3 5095-1; RFC 4443 §2.4 4443-2.4a
pub(crate) fn open_refused(
    packet: &Packet,
    interface: InterfaceId,
    interfaces: &Interfaces,
) -> Option<(Opened, Objection)> {
    let bytes = packet.to_vec();
    let objection = objection(&bytes)?;
    let ip = IpHeader::V6(Ipv6Header::of_refused(&bytes)?);
    if ip.total_len() > bytes.len() {
        return None;
    }
    let destination = match check_addresses(&ip, interface, interfaces).ok()? {
        Destination::Many if objection.multicast == Multicast::Answered => {
            Destination::Us(interfaces.source_for(interface, ip.source())?)
        }
        destination => destination,
    };
    Some((Opened { ip, ip_len: ipv6::HEADER_BYTES, destination }, objection))
}

/// Whom a packet is for, when it may come from where it says it does.
#[inline]
fn check_addresses(
    ip: &IpHeader,
    interface: InterfaceId,
    interfaces: &Interfaces,
) -> Result<Destination, HostDropReason> {
    // RFC 1122 §3.2.1.3 1122-3.2.1.3a
    let destination = interfaces.destination(interface, ip.destination());
    if destination == Destination::Other {
        return Err(HostDropReason::NotForUs);
    }
    match interfaces.source(interface, ip.source()) {
        Source::Possible => Ok(destination),
        // RFC 1122 §3.2.1.3 1122-3.2.1.3b
        Source::Impossible => Err(HostDropReason::InvalidSource),
        Source::Ours => Err(HostDropReason::OwnSource),
    }
}

impl Opened {
    /// The one of our addresses that the packet was sent to.
    pub(crate) fn local(&self) -> Option<LocalIndex> {
        match self.destination {
            Destination::Us(local) => Some(local),
            Destination::Many | Destination::Other => None,
        }
    }
}

/// A packet of another transport than TCP.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) packet: Packet,
    pub(crate) opened: Opened,
}

impl Datagram {
    pub(crate) fn source(&self) -> IpAddr {
        self.opened.ip.source()
    }

    pub(crate) fn destination(&self) -> IpAddr {
        self.opened.ip.destination()
    }

    /// What follows the IP header, in one piece. Copies only when it came in pieces.
    pub(crate) fn message(&self) -> Bytes {
        let Self { packet, opened } = self;
        let mut chunks = packet.payload.chunks();
        let mut whole = match (packet.head.is_empty(), chunks.next(), chunks.next()) {
            (true, Some(only), None) => only.clone(),
            _ => Bytes::from(packet.to_vec()),
        };
        whole.truncate(opened.ip.total_len());
        whole.split_off(opened.ip_len)
    }

    /// The checksum over pseudo-header and `message`.
    pub(crate) fn sum_of(&self, message: &[u8], protocol: Protocol) -> Sum {
        let len = u32::try_from(message.len()).expect("a packet is shorter than 2^16 bytes");
        pseudo_header(self.source(), self.destination(), protocol, len).add_bytes(message)
    }

    /// Whether the link has vouched for the transport checksum.
    pub(crate) fn is_vouched_for(&self) -> bool {
        self.packet.checksum != Checksum::Unknown
    }

    /// The start of the packet, as an ICMP error quotes it.
    pub(crate) fn quote(&self, max: usize) -> Bytes {
        let mut bytes = self.packet.to_vec();
        bytes.truncate(max.min(self.opened.ip.total_len()));
        Bytes::from(bytes)
    }
}

/// The bytes in which the headers stand.
#[inline]
pub(crate) fn front(packet: &Packet) -> &[u8] {
    if packet.head.is_empty() {
        packet.payload.chunks().next().map_or(&[], |bytes| bytes)
    } else {
        packet.head.as_slice()
    }
}

/// Reads headers from the front of a packet. When they are cut in two, the packet is put together first.
fn parse_whole<T>(
    packet: &mut Packet,
    parse: impl Fn(&[u8]) -> Result<T, ParseError>,
) -> Result<T, ParseError> {
    match parse(front(packet)) {
        Err(ParseError::Truncated) if front(packet).len() < packet.len() => {
            gather(packet);
            parse(front(packet))
        }
        parsed => parsed,
    }
}
