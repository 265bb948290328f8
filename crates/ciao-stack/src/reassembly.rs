//! How does a datagram that came in fragments become one again? (RFC 791 §3.2, RFC 8200 §4.5, RFC 5722)
//!
//! A datagram in pieces is kept from its first piece to its last, or until its time is over or others need
//! the room: the one that began first goes first. What overlaps is worthless, and so is whatever comes later
//! of the same datagram. Fragments are rare and hostile, so each is copied: none pins the buffer that it came
//! in.
//!
//! Which pieces fit together is in [`pieces`]. How we fragment is in [`crate::fragmentation`].

mod pieces;

use crate::config::ReassemblyLimits;
use crate::context::{Context, Origin};
use crate::error::HostDropReason;
use crate::icmp::{self, Complaint};
use crate::ingress::{Datagram, Opened};
use crate::routing::to_octets;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use ciao_wire::icmpv6::parameter;
use ciao_wire::ipv6_extensions::{FRAGMENT_HEADER_BYTES, Multicast, Objection, fragment_place};
use ciao_wire::{
    Ecn, Instant, IpHeader, Ipv4Header, Packet, PacketId, Payload, Protocol, ipv4, ipv6, tcp, udp,
};
use core::net::IpAddr;
use pieces::{Pieces, Place, Taken};

/// What a datagram and a piece are taken to cost besides their bytes, so that empty ones do not come free.
const DATAGRAM_BYTES: usize = 256;
const PIECE_BYTES: usize = 64;
/// One sender gets this part of each limit, so that it takes others' room away only when there are several of
/// its kind.
const SENDERS: usize = 4;
/// The payload length and the offset of a fragment, as an error points at them (RFC 8200 §4.5).
const PAYLOAD_LEN_AT: u16 = 4;
const OFFSET_AT: usize = 2;

/// What the fragments of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    /// Of IPv4 alone (RFC 791 §3.2; RFC 8200 §4.5).
    protocol: Protocol,
    identification: u32,
}

/// Where a fragment belongs, and what it says of its datagram.
#[derive(Clone, Copy, Debug)]
struct Fragment {
    key: Key,
    offset: u16,
    place: Place,
    /// Where in the packet its part of the datagram begins.
    data_at: usize,
}

/// A datagram of which something is missing.
#[derive(Debug)]
struct Assembly {
    key: Key,
    began_at: Instant,
    origin: Origin,
    /// Nothing when the datagram is worthless already.
    pieces: Option<Pieces>,
    /// Codepoints of ECN that its fragments had, one bit for each.
    ecn: u8,
    /// The fragment with the beginning: it has the headers, and an error quotes it.
    first: Option<(Datagram, usize)>,
    cost_bytes: usize,
}

impl Assembly {
    /// Whoever floods changes the lower half of an IPv6 address at will.
    fn sender(&self) -> u64 {
        sender(self.key.source)
    }

    /// Nothing of it will be delivered; its record stays, so that nothing of what follows is.
    fn spoil(&mut self) {
        self.pieces = None;
        self.first = None;
        self.cost_bytes = DATAGRAM_BYTES;
    }
}

fn sender(source: IpAddr) -> u64 {
    let [upper, lower] = [0, 8].map(|at| {
        let eight = to_octets(source)[at..at + 8].try_into().expect("eight of sixteen");
        u64::from_be_bytes(eight)
    });
    if source.is_ipv4() { lower } else { upper }
}

/// All datagrams in pieces, the one that began first in front.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    assemblies: VecDeque<Assembly>,
}

impl Reassembly {
    /// When the oldest datagram's time is over.
    pub(crate) fn next_expiry(&self, limits: &ReassemblyLimits) -> Option<Instant> {
        self.assemblies.front().map(|oldest| oldest.began_at + limits.timeout)
    }

    /// How many datagrams wait, and what they cost.
    fn usage(&self, mut counts: impl FnMut(&Assembly) -> bool) -> (usize, usize) {
        let counted = self.assemblies.iter().filter(|assembly| counts(assembly));
        counted.fold((0, 0), |(count, bytes), assembly| (count + 1, bytes + assembly.cost_bytes))
    }

    fn position(&self, key: &Key) -> Option<usize> {
        self.assemblies.iter().rposition(|assembly| assembly.key == *key)
    }

    /// The oldest datagram, other than `key`, that has to go before `more_bytes` are taken for `key`; `None`
    /// when there is room.
    fn in_the_way(
        &self,
        limits: &ReassemblyLimits,
        key: &Key,
        more_bytes: usize,
    ) -> Option<Result<usize, HostDropReason>> {
        let own = sender(key.source);
        let is_new = usize::from(self.position(key).is_none());
        let exceeds = |(count, bytes): (usize, usize), share: usize| {
            count + is_new > (limits.max_datagrams / share).max(1)
                || bytes + more_bytes > limits.max_bytes / share
        };
        let oldest = |counts: &dyn Fn(&Assembly) -> bool| {
            let found = self.assemblies.iter().position(|other| other.key != *key && counts(other));
            found.ok_or(HostDropReason::ReassemblyFull)
        };
        if exceeds(self.usage(|other| other.sender() == own), SENDERS) {
            Some(oldest(&|other| other.sender() == own))
        } else if exceeds(self.usage(|_| true), 1) {
            Some(oldest(&|_| true))
        } else {
            None
        }
    }
}

/// Takes a fragment; answers the datagram when nothing of it is missing any more.
///
/// # Errors
/// Why the fragment, perhaps with all others of its datagram, is dropped.
pub(crate) fn handle(
    context: &mut Context,
    now: Instant,
    origin: Origin,
    fragment: &Datagram,
) -> Result<Option<Packet>, HostDropReason> {
    // Nobody here belongs to a group, so nothing for many is worth the room.
    fragment.opened.local().ok_or(HostDropReason::NotUnicast)?;
    let bytes = Bytes::from(fragment.packet.to_vec()).slice(..fragment.opened.ip.total_len());
    let place = match locate(&fragment.opened, &bytes) {
        Ok(place) => place,
        Err((reason, objection)) => {
            if let Some(objection) = objection {
                icmp::send_error(context, now, origin, fragment, Complaint::Header(objection));
            }
            return Err(reason);
        }
    };
    let piece = bytes.slice(place.data_at..);
    let limits = context.config.reassembly;
    let more_bytes = PIECE_BYTES + bytes.len();
    while let Some(oldest) = context.reassembly.in_the_way(&limits, &place.key, DATAGRAM_BYTES + more_bytes) {
        let gone = context.reassembly.assemblies.remove(oldest?).expect("its place was just told");
        context.drop_packet(now, gone.origin.packet, HostDropReason::ReassemblyFull);
    }
    let assemblies = &mut context.reassembly.assemblies;
    let index = assemblies.iter().rposition(|assembly| assembly.key == place.key).unwrap_or_else(|| {
        assemblies.push_back(Assembly {
            key: place.key,
            began_at: now,
            origin,
            pieces: Some(Pieces::default()),
            ecn: 0,
            first: None,
            cost_bytes: DATAGRAM_BYTES,
        });
        assemblies.len() - 1
    });
    let assembly = &mut assemblies[index];
    let pieces = assembly.pieces.as_mut().ok_or(HostDropReason::FragmentOverlap)?;
    match pieces.insert(place.offset, place.place, &piece, limits.max_fragments) {
        Taken::New => {}
        Taken::Repeated => return Ok(None),
        Taken::Overlap => {
            assembly.spoil();
            return Err(HostDropReason::FragmentOverlap);
        }
        Taken::TooMany => {
            assembly.spoil();
            return Err(HostDropReason::TooManyFragments);
        }
    }
    assembly.cost_bytes += more_bytes;
    assembly.ecn |= 1 << fragment.opened.ip.ecn().bits();
    if place.offset == 0 {
        let packet = Packet::from_bytes(bytes);
        assembly.first = Some((Datagram { packet, opened: fragment.opened }, place.data_at));
    }
    if !pieces.is_complete() {
        return Ok(None);
    }
    let whole = assemblies.remove(index).expect("its place was just used");
    put_together(whole).map(Some)
}

/// Why a fragment is refused, and what to tell its sender.
type Refusal = (HostDropReason, Option<Objection>);

/// Where the fragment in `bytes` belongs.
fn locate(opened: &Opened, bytes: &Bytes) -> Result<Fragment, Refusal> {
    let (key, offset, more, data_at) = match &opened.ip {
        IpHeader::V4(header) => {
            let key = Key {
                source: IpAddr::V4(header.source),
                destination: IpAddr::V4(header.destination),
                protocol: header.protocol,
                identification: u32::from(header.identification),
            };
            (key, header.fragment_offset_bytes, header.more_fragments, opened.ip_len)
        }
        IpHeader::V6(header) => {
            let (Some(fragment), Some(place)) = (header.fragment, fragment_place(bytes)) else {
                return Err((HostDropReason::MalformedFragment, None));
            };
            let key = Key {
                source: IpAddr::V6(header.source),
                destination: IpAddr::V6(header.destination),
                protocol: Protocol(0),
                identification: fragment.identification,
            };
            (key, fragment.offset_bytes, fragment.more_fragments, place.at + FRAGMENT_HEADER_BYTES)
        }
    };
    check_range(opened, offset, more, bytes.len(), data_at)?;
    check_first(opened, offset, more, bytes.len())?;
    let place = if more { Place::Within } else { Place::Last };
    Ok(Fragment { key, offset, place, data_at })
}

/// All but the last are cut at a multiple of eight bytes, and none ends beyond the longest datagram, which
/// has been checked already for IPv4.
fn check_range(
    opened: &Opened,
    offset: u16,
    more: bool,
    packet_len: usize,
    data_at: usize,
) -> Result<(), Refusal> {
    let malformed = HostDropReason::MalformedFragment;
    let len = packet_len - data_at;
    let object = |pointer| {
        let code = parameter::HEADER_FIELD;
        opened.ip.source().is_ipv6().then_some(Objection { code, pointer, multicast: Multicast::Silent })
    };
    if len == 0 {
        return Err((malformed, None));
    }
    if more && !len.is_multiple_of(8) {
        return Err((malformed, object(PAYLOAD_LEN_AT)));
    }
    let unfragmented = data_at.saturating_sub(FRAGMENT_HEADER_BYTES + ipv6::HEADER_BYTES);
    if opened.ip.source().is_ipv6() && unfragmented + usize::from(offset) + len > usize::from(u16::MAX) {
        let at = data_at - FRAGMENT_HEADER_BYTES + OFFSET_AT;
        return Err((malformed, object(u16::try_from(at).expect("the chain lies within a packet"))));
    }
    Ok(())
}

/// A first fragment has all of the transport's header, so that no filter is deceived; the rest of a TCP
/// header never begins a second one.
// RFC 791 §3.2 791-frag1: RFC 1858 §3, RFC 3128 §2; RFC 7112 §5 7112-5
fn check_first(opened: &Opened, offset: u16, more: bool, packet_len: usize) -> Result<(), Refusal> {
    let tiny = HostDropReason::TinyFragment;
    let protocol = opened.ip.protocol();
    if offset > 0 {
        let is_rest_of_header = protocol == Protocol::TCP && usize::from(offset) < tcp::HEADER_BYTES;
        return if is_rest_of_header { Err((tiny, None)) } else { Ok(()) };
    }
    let least = match protocol {
        Protocol::TCP => tcp::HEADER_BYTES,
        Protocol::UDP | Protocol::ICMP | Protocol::ICMPV6 => udp::HEADER_BYTES,
        _ => 0,
    };
    if !more || packet_len >= opened.ip_len + least {
        return Ok(());
    }
    let code = parameter::FIRST_FRAGMENT;
    let objection = Objection { code, pointer: 0, multicast: Multicast::Silent };
    Err((tiny, opened.ip.source().is_ipv6().then_some(objection)))
}

/// The datagram as it was before it was cut.
fn put_together(whole: Assembly) -> Result<Packet, HostDropReason> {
    let (Some(pieces), Some((first, data_at))) = (whole.pieces, whole.first) else {
        unreachable!("a complete datagram has a beginning");
    };
    let data = pieces.into_payload();
    let ecn = congestion_of(whole.ecn)?;
    let bytes = first.packet.to_vec();
    let too_long = HostDropReason::MalformedFragment;
    let head = match first.opened.ip {
        IpHeader::V4(header) => {
            let total_len = u16::try_from(ipv4::HEADER_BYTES + data.len()).map_err(|_| too_long)?;
            let mut head = alloc::vec![0; ipv4::HEADER_BYTES];
            Ipv4Header { total_len, ecn, more_fragments: false, ..header }.emit(&mut head);
            head
        }
        IpHeader::V6(_) => {
            let place = fragment_place(&bytes).ok_or(too_long)?;
            let mut head: Vec<u8> = bytes[..data_at - FRAGMENT_HEADER_BYTES].to_vec();
            let payload_len = head.len() - ipv6::HEADER_BYTES + data.len();
            head[place.named_at] = place.next_header.0;
            head[4..6].copy_from_slice(&u16::try_from(payload_len).map_err(|_| too_long)?.to_be_bytes());
            head[1] = head[1] & 0xcf | ecn.bits() << 4;
            head
        }
    };
    let mut payload = Payload::from(Bytes::from(head));
    payload.append(data);
    Ok(Packet { payload, id: PacketId(whole.origin.packet.0), ..Packet::from_bytes(Bytes::new()) })
}

/// One fragment that met congestion stands for all, unless some of them could not have said so.
// RFC 3168 §5.3 3168-5
fn congestion_of(seen: u8) -> Result<Ecn, HostDropReason> {
    let has = |ecn: Ecn| seen & 1 << ecn.bits() != 0;
    match (has(Ecn::NotEct), has(Ecn::Ce)) {
        (true, true) => Err(HostDropReason::FragmentEcn),
        (false, true) => Ok(Ecn::Ce),
        (true, false) => Ok(Ecn::NotEct),
        (false, false) if has(Ecn::Ect0) => Ok(Ecn::Ect0),
        (false, false) => Ok(Ecn::Ect1),
    }
}

/// Lets go of the datagrams whose time is over, and tells their senders when the beginning had come.
// RFC 1122 §3.3.2 1122-3.3.2b
pub(crate) fn expire(context: &mut Context, now: Instant) {
    let limits = context.config.reassembly;
    while context.reassembly.next_expiry(&limits).is_some_and(|at| at <= now) {
        let late = context.reassembly.assemblies.pop_front().expect("it has just told when it ends");
        if let Some((first, _)) = late.first {
            icmp::send_error(context, now, late.origin, &first, Complaint::ReassemblyTime);
        }
        context.drop_packet(now, late.origin.packet, HostDropReason::ReassemblyTimeout);
    }
}
