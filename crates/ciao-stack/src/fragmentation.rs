//! How does a message leave that is longer than its path takes? In fragments (RFC 791 §2.3, RFC 8200 §4.5).
//!
//! UDP and ICMP alone: TCP cuts its segments to fit. What comes in fragments is in [`crate::reassembly`].

use crate::context::{Context, Outgoing};
use crate::ids::InterfaceId;
use crate::keyed::{KeyedHash, slot_of};
use crate::routing::to_octets;
use crate::segmentation::Envelope;
use bytes::Bytes;
use ciao_wire::ipv6_extensions::{FRAGMENT_HEADER_BYTES, Fragment};
use ciao_wire::{
    Checksum, Head, Instant, Ipv4Header, Ipv6Header, Packet, PacketId, Payload, Protocol, ipv4, ipv6,
};
use core::net::IpAddr;

/// Next header of a fragment header (RFC 8200 §4.5).
const FRAGMENT_PROTOCOL: Protocol = Protocol(44);
/// Counters of identifications: with more, fewer destinations share one.
const COUNTERS: usize = 64;

/// A transport's message on its way out.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) protocol: Protocol,
    /// The transport's own header.
    pub(crate) header: &'a [u8],
    pub(crate) body: Bytes,
}

/// As many packets wait for the link as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

/// Identifications of datagrams in fragments: none comes again soon for the same two hosts, and nobody else
/// can tell which comes next (RFC 7739 §5.3: a counter for each group of destinations, and an offset by a
/// keyed hash for each pair).
#[derive(Clone, Debug)]
pub(crate) struct Identifications {
    counters: [u32; COUNTERS],
    hasher: KeyedHash,
}

impl Identifications {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self { counters: [0; COUNTERS], hasher: KeyedHash::new(key) }
    }

    fn next(&mut self, source: IpAddr, destination: IpAddr) -> u32 {
        let mut pair = [0; 32];
        pair[..16].copy_from_slice(&to_octets(source));
        pair[16..].copy_from_slice(&to_octets(destination));
        let hash = self.hasher.of(&pair);
        let counter = &mut self.counters[slot_of(hash, COUNTERS)];
        *counter = counter.wrapping_add(1);
        ((hash >> 32) as u32).wrapping_add(*counter)
    }
}

/// Queues a message, in one packet when the path takes it whole.
// RFC 1122 §3.3.3 1122-3.3.3
pub(crate) fn send(
    context: &mut Context,
    now: Instant,
    interface: InterfaceId,
    envelope: &Envelope,
    message: Message<'_>,
) -> Result<(), QueueFull> {
    let mtu = context.datagram_mtu(now, interface, envelope.destination);
    let len = message.header.len() + message.body.len();
    if envelope.header_len() + len <= mtu {
        if !context.has_room_for(1) {
            return Err(QueueFull);
        }
        let mut head = Head::zeroed(envelope.header_len() + message.header.len());
        let (ip_bytes, rest) = head.as_mut_slice().split_at_mut(envelope.header_len());
        envelope.emit(message.protocol, len, ip_bytes);
        rest.copy_from_slice(message.header);
        let packet = packet(head, Payload::from(message.body));
        context.enqueue(now, Outgoing { interface, packet, connection: None });
        return Ok(());
    }
    let extension_len = if envelope.source.is_ipv4() { 0 } else { FRAGMENT_HEADER_BYTES };
    let size = (mtu - envelope.header_len() - extension_len) / 8 * 8;
    if !context.has_room_for(len.div_ceil(size)) {
        return Err(QueueFull);
    }
    let identification = context.identifications.next(envelope.source, envelope.destination);
    let mut payload = Payload::from(Bytes::copy_from_slice(message.header));
    payload.append(Payload::from(message.body));
    for start in (0..len).step_by(size) {
        let piece = payload.split_to(size.min(len - start));
        let fragment = Fragment {
            offset_bytes: u16::try_from(start).expect("the caller sends no more than a datagram holds"),
            more_fragments: !payload.is_empty(),
            identification,
        };
        let head = fragment_head(envelope, message.protocol, fragment, piece.len());
        context.enqueue(now, Outgoing { interface, packet: packet(head, piece), connection: None });
    }
    Ok(())
}

fn packet(head: Head, payload: Payload) -> Packet {
    Packet { head, payload, segment_size: 0, checksum: Checksum::Unknown, id: PacketId(0) }
}

// RFC 6864 §4.1 6864-1: what may be cut further has an identification of its own
fn fragment_head(envelope: &Envelope, protocol: Protocol, fragment: Fragment, len: usize) -> Head {
    let Envelope { source, destination, dscp, hop_limit, ecn } = *envelope;
    let total = |headers: usize| u16::try_from(headers + len).expect("a fragment fits into the MTU, a u16");
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut head = Head::zeroed(ipv4::HEADER_BYTES);
            Ipv4Header {
                dscp,
                ecn,
                ttl: hop_limit,
                #[expect(clippy::cast_possible_truncation, reason = "IPv4's field has the lower 16 bits")]
                identification: fragment.identification as u16,
                dont_fragment: false,
                more_fragments: fragment.more_fragments,
                fragment_offset_bytes: fragment.offset_bytes,
                ..Ipv4Header::new(protocol, source, destination, total(ipv4::HEADER_BYTES))
            }
            .emit(head.as_mut_slice());
            head
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut head = Head::zeroed(ipv6::HEADER_BYTES + FRAGMENT_HEADER_BYTES);
            let (fixed, extension) = head.as_mut_slice().split_at_mut(ipv6::HEADER_BYTES);
            let header =
                Ipv6Header::new(FRAGMENT_PROTOCOL, source, destination, total(FRAGMENT_HEADER_BYTES));
            Ipv6Header { dscp, ecn, hop_limit, ..header }.emit(fixed);
            extension.copy_from_slice(&fragment.to_bytes(protocol));
            head
        }
        _ => unreachable!("both addresses were chosen for one version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 6864 §4.1 6864-1
    #[test]
    fn identifications_do_not_come_again_soon_and_tell_nothing_of_other_pairs() {
        let mut ours = Identifications::new([1; 16]);
        let pair = |last: u8| (IpAddr::from([192, 0, 2, 1]), IpAddr::from([198, 51, 100, last]));
        let of = |ids: &mut Identifications, last| ids.next(pair(last).0, pair(last).1);
        let seen: alloc::collections::BTreeSet<u32> = (0..65_536).map(|_| of(&mut ours, 1)).collect();
        assert_eq!(seen.len(), 65_536);
        let offsets: alloc::collections::BTreeSet<u32> =
            (2..=255).map(|last| of(&mut ours, last) >> 8).collect();
        assert!(offsets.len() > 250, "each pair begins elsewhere");
        let mut others = Identifications::new([2; 16]);
        assert_ne!(of(&mut others, 1), of(&mut Identifications::new([1; 16]), 1));
    }
}
