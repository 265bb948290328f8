//! Which TCP segment does a packet carry?
//!
//! Checksums are not verified: a captured packet may have one that the sender's device was to complete.

use bytes::Bytes;
use ciao_wire::ip::{IpHeader, Protocol};
use ciao_wire::{Packet, Payload, TcpHeader};
use std::net::SocketAddr;

/// The TCP segment, or super-segment, in a packet.
#[derive(Clone, Debug)]
pub struct TcpPacket {
    /// Sender.
    pub source: SocketAddr,
    /// Receiver.
    pub destination: SocketAddr,
    /// The header.
    pub header: TcpHeader,
    /// The data, as much of it as was captured.
    pub payload: Payload,
    /// Data bytes on the wire; more than `payload` has where the capture cut the packet.
    pub payload_len: u32,
    /// Bytes of the packet, IP header included; of a super-segment, all that the wire carries with each one's
    /// headers.
    pub wire_bytes: u64,
    /// Segments of the wire that this stands for.
    pub count: u32,
}

impl TcpPacket {
    /// Reads a packet; `None` when it does not begin a TCP segment.
    #[must_use]
    pub fn parse(packet: &Packet) -> Option<Self> {
        let mut payload = packet.payload.clone();
        let first;
        let head: &[u8] = if packet.head.is_empty() {
            first = payload.chunks().next()?.clone();
            &first
        } else {
            packet.head.as_slice()
        };
        let (ip, ip_len) = IpHeader::parse(head).ok()?;
        if ip.protocol() != Protocol::TCP || ip.is_fragment() {
            return None;
        }
        let (header, tcp_len) = TcpHeader::parse(head.get(ip_len..)?).ok()?;
        let headers_len = ip_len + tcp_len;
        if packet.head.is_empty() {
            payload.advance(headers_len);
        }
        // A super-segment above 64 KiB does not fit the length field; a frame may have padding behind the
        // packet.
        let stated_len = ip.total_len().saturating_sub(headers_len);
        let payload_len = if packet.segment_size > 0 { payload.len() } else { stated_len };
        payload.truncate(payload_len);
        let count = match usize::from(packet.segment_size) {
            0 => 1,
            size => payload_len.div_ceil(size).max(1),
        };
        Some(Self {
            source: SocketAddr::new(ip.source(), header.source_port),
            destination: SocketAddr::new(ip.destination(), header.destination_port),
            header,
            payload,
            payload_len: u32::try_from(payload_len).ok()?,
            wire_bytes: (headers_len * count + payload_len) as u64,
            count: u32::try_from(count).ok()?,
        })
    }

    /// Reads a captured packet.
    #[must_use]
    pub fn parse_bytes(bytes: &Bytes) -> Option<Self> {
        Self::parse(&Packet::from_bytes(bytes.clone()))
    }

    /// SEG.LEN: data bytes, and one each for SYN and FIN.
    #[must_use]
    pub fn sequence_len(&self) -> u32 {
        self.payload_len + u32::from(self.header.flags.syn()) + u32::from(self.header.flags.fin())
    }
}
