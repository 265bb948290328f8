//! How does a segment become packets? Headers around it, and a super-segment cut into packets of the MTU.
//!
//! The one place where that is done for links that do not do it themselves. The payload is shared, not
//! copied, and the headers stand in the packet, so a packet needs no allocation. The reverse, merging, is in
//! [`crate::merge`].

use crate::interface::Checksums;
use ciao_tcp::SegmentOut;
use ciao_wire::checksum::pseudo_header;
use ciao_wire::tcp_plain::PLAIN_HEADER_BYTES;
use ciao_wire::{
    Checksum, Ecn, Head, Ipv4Header, Ipv6Header, Packet, Payload, PlainHeader, Protocol, Sum, TcpFlags,
    TcpHeader, ipv4, ipv6, tcp,
};
use core::net::IpAddr;

/// What the IP header of a packet says, besides lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// Six bits.
    pub(crate) dscp: u8,
    pub(crate) hop_limit: u8,
    pub(crate) ecn: Ecn,
}

impl Envelope {
    pub(crate) fn header_len(&self) -> usize {
        if self.source.is_ipv4() { ipv4::HEADER_BYTES } else { ipv6::HEADER_BYTES }
    }

    /// Writes the IP header of a packet with `payload_len` bytes behind it.
    // RFC 6864 §4.1 6864-1: with DF and never in pieces, an ID says nothing, so it is zero and reveals
    // nothing
    // RFC 7323 §5.7 7323-5f
    // RFC 9293 §3.9.1.9 MUST-48, SHLD-22; RFC 1122 §3.2.1.6 1122-3.2.1.6
    // RFC 9293 §3.9.2 MUST-49
    // RFC 1122 §3.2.1.6 1122-3.2.1.6
    #[inline]
    pub(crate) fn emit(&self, protocol: Protocol, payload_len: usize, bytes: &mut [u8]) {
        let Self { source, destination, dscp, hop_limit, ecn } = *self;
        let len = |bytes: usize| u16::try_from(bytes).expect("segments are cut to fit into an IP packet");
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let total_len = len(ipv4::HEADER_BYTES + payload_len);
                let header = Ipv4Header::new(protocol, source, destination, total_len);
                Ipv4Header { dscp, ttl: hop_limit, ecn, ..header }.emit(bytes);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = Ipv6Header::new(protocol, source, destination, len(payload_len));
                Ipv6Header { dscp, hop_limit, ecn, ..header }.emit(bytes);
            }
            _ => unreachable!("both addresses were chosen for one version"),
        }
    }
}

/// A packet around one segment, or around a super-segment as it is.
#[inline]
pub(crate) fn packet(
    envelope: &Envelope,
    checksums: Checksums,
    header: &TcpHeader,
    payload: Payload,
    segment_size: u16,
) -> Packet {
    let mut packet = Packet { payload, segment_size, ..Packet::default() };
    write_tcp_headers(&mut packet, envelope, checksums, header);
    packet
}

/// Writes headers in front of the payload of `packet`.
#[inline]
pub(crate) fn write_tcp_headers(
    packet: &mut Packet,
    envelope: &Envelope,
    checksums: Checksums,
    header: &TcpHeader,
) {
    write_headers(packet, envelope, checksums, header.header_len(), |bytes| header.emit(bytes));
}

/// Writes plain headers in front of the payload of `packet`, which is that of one segment.
#[inline]
pub(crate) fn write_plain_headers(
    packet: &mut Packet,
    envelope: &Envelope,
    checksums: Checksums,
    header: &PlainHeader,
) {
    packet.segment_size = 0;
    let emit = |bytes: &mut [u8]| header.emit(bytes.first_chunk_mut().expect("there is room for all of it"));
    write_headers(packet, envelope, checksums, PLAIN_HEADER_BYTES, emit);
}

/// Writes headers in front of the payload of `packet`; a TCP header of `tcp_len` bytes is written and summed
/// by `emit`.
// RFC 9293 §3.1 MUST-2
#[inline]
fn write_headers(
    packet: &mut Packet,
    envelope: &Envelope,
    checksums: Checksums,
    tcp_len: usize,
    emit: impl FnOnce(&mut [u8]) -> Sum,
) {
    let Packet { head, payload, .. } = packet;
    let ip_len = envelope.header_len();
    let len = tcp_len + payload.len();
    head.reset(ip_len + tcp_len);
    let (ip_bytes, tcp_bytes) = head.as_mut_slice().split_at_mut(ip_len);
    envelope.emit(Protocol::TCP, len, ip_bytes);
    let sum = emit(tcp_bytes);
    let pseudo = pseudo_sum(envelope, len);
    let (field, checksum) = match checksums {
        Checksums::ByHost => (pseudo.add_sum(sum).add_payload(payload).finish(), Checksum::Unknown),
        Checksums::ByLink => (pseudo.fold(), partial(ip_len)),
    };
    write_checksum(tcp_bytes, field);
    packet.checksum = checksum;
}

fn pseudo_sum(envelope: &Envelope, len: usize) -> Sum {
    let len = u32::try_from(len).expect("a packet is shorter than 2^16 bytes");
    pseudo_header(envelope.source, envelope.destination, Protocol::TCP, len)
}

fn partial(ip_len: usize) -> Checksum {
    let start = u16::try_from(ip_len).expect("an IP header that we write has 20 or 40 bytes");
    #[expect(clippy::cast_possible_truncation, reason = "it is 16")]
    let offset = tcp::CHECKSUM_OFFSET as u16;
    Checksum::Partial { start, offset }
}

fn write_checksum(tcp_bytes: &mut [u8], field: u16) {
    tcp_bytes[tcp::CHECKSUM_OFFSET..][..2].copy_from_slice(&field.to_be_bytes());
}

/// A super-segment on its way into packets.
#[derive(Clone, Debug)]
pub(crate) struct Cutting {
    envelope: Envelope,
    checksums: Checksums,
    /// The header of the packet that comes next, but for the flags that only the last one has.
    header: TcpHeader,
    /// PSH and FIN, where the super-segment has them.
    last_flags: TcpFlags,
    /// What is left.
    payload: Payload,
    segment_size: usize,
    /// Headers of a packet from the middle: all those packets have the same but for sequence number and
    /// checksum.
    middle: Option<Middle>,
}

#[derive(Clone, Debug)]
struct Middle {
    head: Head,
    /// Over pseudo-header and TCP header, sequence number and checksum taken as zero.
    sum: Sum,
}

impl Cutting {
    /// Begins to cut `segment`, which has a segment size.
    pub(crate) fn new(envelope: Envelope, checksums: Checksums, segment: &mut SegmentOut) -> Self {
        let envelope = Envelope { ecn: segment.ecn, ..envelope };
        let mut header = segment.header.clone();
        let payload = core::mem::take(&mut segment.payload);
        let only_last = TcpFlags::PSH | TcpFlags::FIN;
        let last_flags = TcpFlags(header.flags.0 & only_last.0);
        header.flags = TcpFlags(header.flags.0 & !only_last.0);
        let segment_size = usize::from(segment.segment_size);
        Self { envelope, checksums, header, last_flags, payload, segment_size, middle: None }
    }

    /// Makes the next packet of `packet`; answers whether more follow.
    pub(crate) fn next(&mut self, packet: &mut Packet) -> Rest {
        packet.segment_size = 0;
        if self.payload.len() <= self.segment_size {
            self.header.flags = self.header.flags | self.last_flags;
            packet.payload = core::mem::take(&mut self.payload);
            write_tcp_headers(packet, &self.envelope, self.checksums, &self.header);
            return Rest::Nothing;
        }
        packet.payload = self.payload.split_to(self.segment_size);
        match &self.middle {
            Some(middle) => self.stamp(middle, packet),
            None => self.first(packet),
        }
        self.header.seq += u32::try_from(self.segment_size).expect("it was a u16");
        Rest::More
    }

    /// The first packet has its headers written in full; the following ones copy them, except for CWR, which
    /// says something once (RFC 3168 §6.1.2).
    fn first(&mut self, packet: &mut Packet) {
        write_tcp_headers(packet, &self.envelope, self.checksums, &self.header);
        let has_cwr = self.header.flags.contains(TcpFlags::CWR);
        self.header.flags = TcpFlags(self.header.flags.0 & !TcpFlags::CWR.0);
        if !has_cwr {
            let mut head = packet.head.clone();
            let tcp_bytes = &mut head.as_mut_slice()[self.envelope.header_len()..];
            tcp_bytes[4..8].fill(0);
            write_checksum(tcp_bytes, 0);
            let sum = pseudo_sum(&self.envelope, tcp_bytes.len() + self.segment_size).add_bytes(tcp_bytes);
            self.middle = Some(Middle { head, sum });
        }
    }

    fn stamp(&self, middle: &Middle, packet: &mut Packet) {
        let Packet { head, payload, .. } = packet;
        head.clone_from(&middle.head);
        let ip_len = self.envelope.header_len();
        let tcp_bytes = &mut head.as_mut_slice()[ip_len..];
        let seq = self.header.seq.0;
        tcp_bytes[4..8].copy_from_slice(&seq.to_be_bytes());
        let (field, checksum) = match self.checksums {
            Checksums::ByHost => (middle.sum.add_u32(seq).add_payload(payload).finish(), Checksum::Unknown),
            Checksums::ByLink => {
                (pseudo_sum(&self.envelope, tcp_bytes.len() + payload.len()).fold(), partial(ip_len))
            }
        };
        write_checksum(tcp_bytes, field);
        packet.checksum = checksum;
    }
}

/// What is left of a super-segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// At least one more packet.
    More,
    /// That was the last one.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge;
    use alloc::vec::Vec;
    use bytes::Bytes;
    use ciao_tcp::{Segment, Transmission};
    use ciao_wire::{IpHeader, SeqNum, Timestamps};
    use proptest::prelude::*;

    fn envelope(version: u8) -> Envelope {
        let address = |text: &str| text.parse().unwrap();
        let (source, destination) = match version {
            4 => (address("192.0.2.1"), address("192.0.2.2")),
            _ => (address("2001:db8::1"), address("2001:db8::2")),
        };
        Envelope { source, destination, dscp: 10, hop_limit: 9, ecn: Ecn::NotEct }
    }

    fn cut(envelope: Envelope, checksums: Checksums, segment: SegmentOut) -> Vec<Packet> {
        let mut segment = segment;
        let mut cutting = Cutting::new(envelope, checksums, &mut segment);
        let mut packets = Vec::new();
        loop {
            let mut packet = Packet::default();
            let rest = cutting.next(&mut packet);
            packets.push(packet);
            if rest == Rest::Nothing {
                return packets;
            }
        }
    }

    /// Reads a packet as its receiver does, its checksums included.
    fn read(packet: &Packet) -> Segment {
        let bytes = Bytes::from(packet.to_vec());
        let (ip, ip_len) = IpHeader::parse(&bytes).unwrap();
        assert_eq!(ip.total_len(), bytes.len());
        assert_eq!((ip.dscp(), ip.hop_limit()), (10, 9));
        let (header, tcp_len) = TcpHeader::parse(&bytes[ip_len..]).unwrap();
        let len = u32::try_from(bytes.len() - ip_len).unwrap();
        let sum = pseudo_header(ip.source(), ip.destination(), Protocol::TCP, len);
        if packet.checksum == Checksum::Unknown {
            assert!(sum.add_bytes(&bytes[ip_len..]).is_valid());
        } else {
            assert_eq!(packet.checksum, partial(ip_len));
            let field = [bytes[ip_len + tcp::CHECKSUM_OFFSET], bytes[ip_len + tcp::CHECKSUM_OFFSET + 1]];
            assert_eq!(u16::from_be_bytes(field), sum.fold());
        }
        Segment { header, payload: Payload::from(bytes.slice(ip_len + tcp_len..)), ..Segment::default() }
    }

    prop_compose! {
        fn any_segment()(
            pieces in prop::collection::vec((any::<u8>(), 1..3000_usize), 1..6),
            segment_size in 1..1500_u16,
            seq in any::<u32>(),
            extra in prop::bits::u8::masked(TcpFlags::PSH.0 | TcpFlags::FIN.0),
            timestamps in prop::option::of((any::<u32>(), any::<u32>())),
        ) -> SegmentOut {
            let mut payload = Payload::EMPTY;
            for (first, len) in pieces {
                payload.push((0..len).map(|n| first.wrapping_add((n % 241) as u8)).collect());
            }
            let mut header = TcpHeader {
                source_port: 1,
                destination_port: 2,
                seq: SeqNum(seq),
                ack: SeqNum(77),
                flags: TcpFlags::ACK | TcpFlags(extra),
                window: 4096,
                ..TcpHeader::default()
            };
            header.options.timestamps = timestamps.map(|(value, echo)| Timestamps { value, echo });
            let ecn = Ecn::NotEct;
            SegmentOut { header, payload, segment_size, ecn, transmission: Transmission::First }
        }
    }

    proptest! {
        #[test]
        fn cut_packets_are_what_a_sender_of_single_segments_would_send(
            segment in any_segment(),
            version in prop::sample::select(alloc::vec![4_u8, 6]),
            by_link in any::<bool>(),
        ) {
            let envelope = envelope(version);
            let checksums = if by_link { Checksums::ByLink } else { Checksums::ByHost };
            let size = usize::from(segment.segment_size);
            let packets = cut(envelope, checksums, segment.clone());
            prop_assert_eq!(packets.len(), segment.count());
            let last = packets.len() - 1;
            for (n, cut_packet) in packets.iter().enumerate() {
                let start = n * size;
                let len = size.min(segment.payload.len() - start);
                let mut header = segment.header.clone();
                header.seq += u32::try_from(start).unwrap();
                if n < last {
                    // RFC 9293 §3.9.1.2 MUST-61: the push, and the FIN, stand behind the last byte
                    header.flags = TcpFlags::ACK;
                }
                let single = packet(&envelope, checksums, &header, segment.payload.slice(start, len), 0);
                prop_assert_eq!(cut_packet.to_vec(), single.to_vec());
                prop_assert_eq!(cut_packet.checksum, single.checksum);
                prop_assert_eq!(&read(cut_packet).header, &header);
            }
        }

        #[test]
        fn merging_undoes_cutting(segment in any_segment(), v6 in any::<bool>()) {
            let packets = cut(envelope(if v6 { 6 } else { 4 }), Checksums::ByHost, segment.clone());
            let mut segments = packets.iter().map(read);
            let mut run = segments.next().unwrap();
            for next in segments {
                prop_assert!(merge::continues(&run, &next));
                merge::append(&mut run, next);
            }
            prop_assert_eq!(&run.header, &segment.header);
            prop_assert_eq!(&run.payload, &segment.payload);
            prop_assert_eq!(run.count(), segment.count());
        }
    }

    #[test]
    fn a_reduced_congestion_window_is_told_once() {
        let payload = Payload::from(Bytes::from_static(&[0; 25]));
        let flags = TcpFlags::ACK | TcpFlags::CWR;
        let header = TcpHeader { flags, ..TcpHeader::default() };
        let (ecn, transmission) = (Ecn::Ect0, Transmission::First);
        let segment = SegmentOut { header, payload, segment_size: 10, ecn, transmission };
        let packets = cut(envelope(4), Checksums::ByHost, segment);
        let flags: Vec<TcpFlags> = packets.iter().map(|packet| read(packet).header.flags).collect();
        assert_eq!(flags, [TcpFlags::ACK | TcpFlags::CWR, TcpFlags::ACK, TcpFlags::ACK]);
    }

    // RFC 6864 §4.1 6864-1
    #[test]
    fn no_packet_tells_how_many_were_sent_before_it() {
        for _ in 0..3 {
            let bytes =
                packet(&envelope(4), Checksums::ByHost, &TcpHeader::default(), Payload::EMPTY, 0).to_vec();
            let (header, _) = Ipv4Header::parse(&bytes).unwrap();
            assert!(header.dont_fragment && header.identification == 0);
        }
    }
}
