//! What does TCP want to know of the packet that carries a segment? [`Carrier`], read in the regular way by
//! [`crate::ingress`], or at a glance when the addresses are those of the packet before.
//!
//! Packets come in trains. What the rules for addresses said of one holds for the next, so nearly every
//! packet needs no more than a look at its header: no options, no extension headers, no fragment. Every other
//! one takes the regular way, which decides alone what is dropped, and why.

use crate::demux::Endpoints;
use crate::error::HostDropReason;
use crate::ids::InterfaceId;
use crate::ingress::{Opened, front};
use bytes::Bytes;
use ciao_tcp::Segment;
use ciao_wire::checksum::pseudo_header;
use ciao_wire::tcp_plain::PLAIN_HEADER_BYTES;
use ciao_wire::{Checksum, Ecn, Head, Packet, Payload, PlainHeader, Protocol, Sum, TcpHeader, ipv4, ipv6};

/// First byte of an IPv4 header without options.
const PLAIN_V4: u8 = 0x45;
/// The bits of IPv4's fragment field that a whole packet has not: "more fragments" and the offset.
const FRAGMENT_BITS: u16 = 0x3fff;

/// The packet around a segment that is for one of our addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carrier {
    /// Both addresses; the ports are still to be read.
    addresses: Endpoints,
    /// Of the pseudo-header without the length.
    pseudo: Sum,
    /// Bytes of the IP header, options and extension headers included.
    pub(crate) ip_len: usize,
    /// Bytes of the IP packet, without what the link has padded.
    pub(crate) total_len: usize,
    /// What the IP header says of congestion.
    ecn: Ecn,
}

impl Carrier {
    /// Of a packet that was opened.
    ///
    /// # Errors
    /// When it is not for one of our addresses alone.
    // RFC 9293 §3.9.2.3 MUST-57
    pub(crate) fn of(opened: &Opened) -> Result<Self, HostDropReason> {
        let Opened { ref ip, ip_len, .. } = *opened;
        let local = opened.local().ok_or(HostDropReason::NotUnicast)?;
        Ok(Self {
            addresses: Endpoints::between((local, 0), (ip.source(), 0)),
            pseudo: pseudo_header(ip.source(), ip.destination(), Protocol::TCP, 0),
            ip_len,
            total_len: ip.total_len(),
            ecn: ip.ecn(),
        })
    }

    /// Both addresses, without ports.
    #[inline]
    pub(crate) fn addresses(&self) -> Endpoints {
        self.addresses
    }

    /// The pseudo-header of a segment with `len` bytes, header included.
    #[inline]
    pub(crate) fn pseudo_sum(&self, len: usize) -> Sum {
        self.pseudo.add_u32(u32::try_from(len).expect("a packet is shorter than 2^16 bytes"))
    }

    /// Moves the TCP segment in the packet, whose checksum is right, to `segment`.
    ///
    /// # Errors
    /// When the header makes no sense, or the checksum is wrong.
    // RFC 9293 §3.1 MUST-3
    #[inline]
    pub(crate) fn take_segment(
        &self,
        packet: &mut Packet,
        segment: &mut Segment,
    ) -> Result<(), HostDropReason> {
        let Self { ip_len, total_len, .. } = *self;
        self.gather_header(packet);
        let bytes = front(packet);
        let tcp_bytes = bytes.get(ip_len..bytes.len().min(total_len)).unwrap_or_default();
        let Ok((header, tcp_len)) = TcpHeader::parse(tcp_bytes) else {
            return Err(HostDropReason::MalformedTcp);
        };
        let is_unknown = packet.checksum == Checksum::Unknown;
        let mut sum = Sum::ZERO;
        if is_unknown {
            sum = self.pseudo_sum(total_len - ip_len).add_bytes(&tcp_bytes[..tcp_len]);
        }
        segment.header = header;
        segment.segment_size = packet.segment_size;
        segment.ecn = self.ecn;
        take_payload(packet, ip_len + tcp_len, total_len, &mut segment.payload);
        if is_unknown && !sum.add_payload(&segment.payload).is_valid() {
            return Err(HostDropReason::TcpChecksum);
        }
        Ok(())
    }

    /// Puts a packet together whose TCP header is cut in two.
    #[inline]
    fn gather_header(&self, packet: &mut Packet) {
        let bytes = front(packet);
        let header_len = bytes.get(self.ip_len + 12).map_or(usize::MAX, |byte| usize::from(byte >> 4) * 4);
        if bytes.len() < packet.len() && bytes.len() < header_len.saturating_add(self.ip_len) {
            gather(packet);
        }
    }
}

/// The last packet that carried a segment to us.
#[derive(Clone, Debug)]
pub(crate) struct Familiar {
    interface: InterfaceId,
    /// The addresses as they stand in the header: 8 bytes of IPv4, 32 of IPv6.
    on_wire: OnWire,
    carrier: Carrier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnWire {
    V4([u8; 8]),
    V6([u8; 32]),
}

impl Familiar {
    /// Remembers a packet that was opened in the regular way.
    pub(crate) fn new(interface: InterfaceId, packet: &Packet, carrier: Carrier) -> Option<Self> {
        let bytes = front(packet);
        let on_wire = match bytes.first()? >> 4 {
            4 => OnWire::V4(*bytes.get(12..)?.first_chunk()?),
            _ => OnWire::V6(*bytes.get(8..)?.first_chunk()?),
        };
        Some(Self { interface, on_wire, carrier })
    }

    /// Reads `packet` at a glance. `None` when it is not as plain as that.
    #[inline]
    pub(crate) fn glance(&self, interface: InterfaceId, packet: &Packet) -> Option<Carrier> {
        let Seen { ip_len, total_len, ecn } = self.see(interface, packet)?;
        Some(Carrier { ip_len, total_len, ecn: Ecn::from_bits(ecn), ..self.carrier })
    }

    /// Reads `packet` at a glance when the segment that it carries is a plain one as well, has a right
    /// checksum, and stands alone: one without PSH begins a run, or goes on with it.
    #[inline]
    pub(crate) fn glance_plain(&self, interface: InterfaceId, packet: &Packet) -> Option<PlainSegment> {
        let Seen { ip_len, total_len, .. } = self.see(interface, packet)?;
        let bytes = front(packet);
        let (header_bytes, behind) = bytes.get(ip_len..)?.split_first_chunk::<PLAIN_HEADER_BYTES>()?;
        let header = PlainHeader::parse(header_bytes)?;
        let headers_len = ip_len + PLAIN_HEADER_BYTES;
        // Headers in the head and data in the payload, or all of it in one piece.
        let is_in_head = !packet.head.is_empty();
        let is_alone = packet.segment_size == 0
            // Padding is cut off elsewhere.
            && packet.len() == total_len
            && bytes.len() == if is_in_head { headers_len } else { total_len }
            && (total_len == headers_len || header.flags.psh());
        if !is_alone {
            return None;
        }
        if packet.checksum == Checksum::Unknown {
            let sum = Sum::of_header(header_bytes.as_chunks().0)
                .add_sum(self.carrier.pseudo_sum(total_len - ip_len));
            let sum = if is_in_head { sum.add_payload(&packet.payload) } else { sum.add_bytes(behind) };
            if !sum.is_valid() {
                return None;
            }
        }
        let mut endpoints = self.carrier.addresses;
        endpoints.set_ports(header.destination_port, header.source_port);
        let headers_len = if is_in_head { 0 } else { headers_len };
        Some(PlainSegment { endpoints, header, headers_len })
    }

    #[inline]
    fn see(&self, interface: InterfaceId, packet: &Packet) -> Option<Seen> {
        let bytes = front(packet);
        let (ip_len, total_len, ecn) = match &self.on_wire {
            OnWire::V4(addresses) => {
                let header = bytes.first_chunk::<{ ipv4::HEADER_BYTES }>()?;
                let fragment = u16::from_be_bytes([header[6], header[7]]);
                let is_plain = header[0] == PLAIN_V4
                    && fragment & FRAGMENT_BITS == 0
                    && header[9] == Protocol::TCP.0
                    && header[12..] == addresses[..]
                    && Sum::of_header(header.as_chunks().0).is_valid();
                let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
                is_plain.then_some((ipv4::HEADER_BYTES, total_len, header[1]))?
            }
            OnWire::V6(addresses) => {
                let header = bytes.first_chunk::<{ ipv6::HEADER_BYTES }>()?;
                let is_plain =
                    header[0] >> 4 == 6 && header[6] == Protocol::TCP.0 && header[8..] == addresses[..];
                let payload_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
                is_plain.then_some((ipv6::HEADER_BYTES, ipv6::HEADER_BYTES + payload_len, header[1] >> 4))?
            }
        };
        let is_whole = (ip_len..=packet.len()).contains(&total_len);
        (is_whole && interface == self.interface).then_some(Seen { ip_len, total_len, ecn })
    }
}

/// What a glance sees of an IP header.
struct Seen {
    ip_len: usize,
    total_len: usize,
    /// The byte that ends with the bits of ECN.
    ecn: u8,
}

/// A plain segment that is for one of our addresses, but for its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainSegment {
    pub(crate) endpoints: Endpoints,
    pub(crate) header: PlainHeader,
    /// Bytes of headers that stand at the start of the packet's payload.
    pub(crate) headers_len: usize,
}

/// Puts a packet in pieces into one piece.
#[cold]
pub(crate) fn gather(packet: &mut Packet) {
    packet.payload = Payload::from(Bytes::from(packet.to_vec()));
    packet.head = Head::EMPTY;
}

/// Moves the bytes between the headers and the end of the IP packet to `payload`; what the link has padded is
/// left out.
#[inline]
fn take_payload(packet: &mut Packet, headers_len: usize, total_len: usize, payload: &mut Payload) {
    let before = packet.head.len();
    core::mem::swap(payload, &mut packet.payload);
    if before + payload.len() > total_len {
        payload.truncate(total_len.saturating_sub(before));
    }
    if before < headers_len {
        payload.advance(headers_len - before);
    } else if before > headers_len {
        prepend_rest_of_head(packet, headers_len, total_len, payload);
    }
}

/// The head holds more than the headers: so much of the payload is copied.
#[cold]
fn prepend_rest_of_head(packet: &Packet, headers_len: usize, total_len: usize, payload: &mut Payload) {
    let bytes = packet.head.as_slice();
    let mut whole = Payload::from(Bytes::copy_from_slice(&bytes[headers_len..bytes.len().min(total_len)]));
    whole.append(core::mem::take(payload));
    *payload = whole;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingress;
    use crate::interface::{Checksums, Cidr, InterfaceConfig};
    use crate::routing::Interfaces;
    use crate::segmentation::{self, Envelope};
    use alloc::vec::Vec;
    use ciao_wire::{Ipv4Header, Ipv6Header, PacketId, TcpFlags, TcpOptions, Timestamps};
    use core::net::IpAddr;
    use proptest::prelude::*;

    const LINK: InterfaceId = InterfaceId(0);

    fn interfaces() -> Interfaces {
        let mut interfaces = Interfaces::default();
        let cidr = |text: &str, len| Cidr::new(text.parse::<IpAddr>().unwrap(), len);
        interfaces.add(InterfaceConfig {
            addresses: alloc::vec![cidr("192.0.2.1", 24), cidr("2001:db8::1", 64)],
            ..InterfaceConfig::default()
        });
        interfaces
    }

    fn packet_bytes(v6: bool) -> Vec<u8> {
        let tcp = TcpHeader { source_port: 7, destination_port: 9, ..TcpHeader::default() };
        let mut bytes = alloc::vec![0; if v6 { 60 } else { 40 }];
        if v6 {
            let address = |text: &str| text.parse().unwrap();
            Ipv6Header::new(Protocol::TCP, address("2001:db8::2"), address("2001:db8::1"), 20)
                .emit(&mut bytes);
            tcp.emit(&mut bytes[40..]);
        } else {
            let address = |text: &str| text.parse().unwrap();
            Ipv4Header::new(Protocol::TCP, address("192.0.2.2"), address("192.0.2.1"), 40).emit(&mut bytes);
            tcp.emit(&mut bytes[20..]);
        }
        bytes
    }

    fn packet(bytes: &[u8]) -> Packet {
        let checksum = Checksum::Valid;
        Packet { checksum, ..Packet::from_bytes(Bytes::copy_from_slice(bytes)) }
    }

    fn familiar(v6: bool) -> Familiar {
        let mut first = packet(&packet_bytes(v6));
        let opened = ingress::open(&mut first, LINK, &interfaces()).unwrap();
        Familiar::new(LINK, &first, Carrier::of(&opened).unwrap()).unwrap()
    }

    proptest! {
        /// Whatever a glance lets in, the regular way lets in as the same.
        #[test]
        fn a_glance_sees_what_the_regular_way_sees(
            v6 in any::<bool>(),
            changes in prop::collection::vec((0..60_usize, any::<u8>()), 0..3),
            is_other_interface in any::<bool>(),
        ) {
            let mut bytes = packet_bytes(v6);
            for (at, value) in changes {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            let mut packet = packet(&bytes);
            packet.id = PacketId(1);
            let interface = if is_other_interface { InterfaceId(1) } else { LINK };
            let Some(seen) = familiar(v6).glance(interface, &packet) else { return Ok(()) };
            prop_assert_eq!(interface, LINK);
            let opened = ingress::open(&mut packet, LINK, &interfaces());
            let Ok(opened) = opened else { panic!("a glance let in what is {opened:?}") };
            prop_assert_eq!(opened.ip.protocol(), Protocol::TCP);
            prop_assert!(!opened.ip.is_fragment());
            let carrier = Carrier::of(&opened).unwrap();
            prop_assert_eq!((seen.ip_len, seen.total_len), (carrier.ip_len, carrier.total_len));
            prop_assert_eq!(seen.addresses, carrier.addresses);
            prop_assert_eq!(seen.pseudo.fold(), carrier.pseudo.fold());
        }
    }

    /// A packet around a plain segment with so much data, of which `cut` bytes stand in the head.
    fn plain_packet(v6: bool, flags: TcpFlags, len: usize, cut: usize) -> Packet {
        let timestamps = Some(Timestamps { value: 5, echo: 6 });
        let options = TcpOptions { timestamps, ..TcpOptions::default() };
        let header =
            TcpHeader { source_port: 7, destination_port: 9, flags, options, ..TcpHeader::default() };
        let address = |text: &str| text.parse().unwrap();
        let (source, destination) = if v6 {
            (address("2001:db8::2"), address("2001:db8::1"))
        } else {
            (address("192.0.2.2"), address("192.0.2.1"))
        };
        let envelope = Envelope { source, destination, dscp: 0, hop_limit: 64, ecn: Ecn::NotEct };
        let data = Payload::from(Bytes::from(alloc::vec![3; len]));
        let bytes = segmentation::packet(&envelope, Checksums::ByHost, &header, data, 0).to_vec();
        let (front, behind) = bytes.split_at(cut);
        let mut head = Head::zeroed(cut);
        head.as_mut_slice().copy_from_slice(front);
        Packet { head, payload: Payload::from(Bytes::copy_from_slice(behind)), ..Packet::default() }
    }

    #[test]
    fn a_plain_segment_is_seen_at_a_glance_wherever_its_headers_stand_and_as_ever() {
        let push = TcpFlags::ACK | TcpFlags::PSH;
        let mut seen = 0;
        let cases = [false, true].into_iter().flat_map(|v6| {
            let cuts = [0, 20, 52, 53, 72, 73];
            let kinds = [(TcpFlags::ACK, 0), (push, 1), (push, 90), (TcpFlags::ACK, 90)];
            kinds.into_iter().flat_map(move |(flags, len)| cuts.map(|cut| (v6, flags, len, cut)))
        });
        for (v6, flags, len, cut) in cases {
            let headers_len = if v6 { 72 } else { 52 };
            if cut > headers_len + len {
                continue;
            }
            let mut packet = plain_packet(v6, flags, len, cut);
            let Some(glance) = familiar(v6).glance_plain(LINK, &packet) else {
                let is_usual = cut == 0 || cut == headers_len;
                assert!(!is_usual || (flags == TcpFlags::ACK && len > 0), "{v6} {flags} {len} {cut}");
                continue;
            };
            seen += 1;
            let mut payload = packet.payload.clone();
            payload.advance(glance.headers_len);
            let mut segment = Segment::default();
            familiar(v6).glance(LINK, &packet).unwrap().take_segment(&mut packet, &mut segment).unwrap();
            assert_eq!((TcpHeader::from(glance.header), payload), (segment.header, segment.payload));
            assert_eq!((glance.endpoints.local_port, glance.endpoints.remote_port), (9, 7));
        }
        assert_eq!(seen, 2 * 2 * 3, "two places in two versions: an acknowledgment, and two with data");
        let mut wrong = plain_packet(false, push, 1, 52);
        wrong.head.as_mut_slice()[51] ^= 1;
        assert!(familiar(false).glance_plain(LINK, &wrong).is_none(), "its checksum is wrong");
    }

    #[test]
    fn the_next_packet_from_the_same_place_is_let_in_at_a_glance() {
        for v6 in [false, true] {
            let bytes = packet_bytes(v6);
            assert!(familiar(v6).glance(LINK, &packet(&bytes)).is_some());
            assert!(familiar(!v6).glance(LINK, &packet(&bytes)).is_none());
            assert!(familiar(v6).glance(LINK, &packet(&bytes[..bytes.len() - 1])).is_none(), "cut short");
        }
    }
}
