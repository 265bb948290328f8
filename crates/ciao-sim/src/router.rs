//! What does a router say of a packet that its next link does not take? (RFC 792, RFC 1191 §4, RFC 4443 §3.2)
//!
//! The message comes from the address that the packet was for: the hosts here look at what it quotes, as they
//! must, and not at who says it.

use bytes::Bytes;
use ciao_wire::icmpv4::{self, Icmpv4};
use ciao_wire::icmpv6::Icmpv6;
use ciao_wire::{IpHeader, Ipv4Header, Ipv6Header, Packet, Protocol, ipv4, ipv6};

/// Bytes of the packet that are quoted behind its IP header: more than every router must, less than many do.
const QUOTED_BYTES: usize = 64;

/// "Packet too big" about `packet`, for its sender. Nothing about what may be cut on the way, is a fragment,
/// or is no packet.
pub(crate) fn too_big(packet: &Packet, mtu: usize) -> Option<Packet> {
    let bytes = packet.to_vec();
    let (header, ip_len) = IpHeader::parse(&bytes).ok()?;
    let quoted = &bytes[..bytes.len().min(ip_len + QUOTED_BYTES)];
    let whole = match header {
        IpHeader::V4(v4) => {
            let code = icmpv4::unreachable::FRAGMENTATION_NEEDED;
            let message = Icmpv4::Unreachable { code, next_hop_mtu: u16::try_from(mtu).ok()? }.emit(quoted);
            let len = ipv4::HEADER_BYTES + message.len() + quoted.len();
            let mut head = [0; ipv4::HEADER_BYTES];
            Ipv4Header::new(Protocol::ICMP, v4.destination, v4.source, u16::try_from(len).ok()?)
                .emit(&mut head);
            (!v4.is_fragment()).then(|| [&head[..], &message, quoted].concat())?
        }
        IpHeader::V6(v6) => {
            let message = Icmpv6::PacketTooBig { mtu: u32::try_from(mtu).ok()? };
            let message = message.emit(v6.destination, v6.source, quoted);
            let len = u16::try_from(message.len() + quoted.len()).ok()?;
            let mut head = [0; ipv6::HEADER_BYTES];
            Ipv6Header::new(Protocol::ICMPV6, v6.destination, v6.source, len).emit(&mut head);
            [&head[..], &message, quoted].concat()
        }
    };
    Some(Packet::from_bytes(Bytes::from(whole)))
}
