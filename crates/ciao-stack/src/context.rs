//! What all protocols of a host share: addresses and routes, the queue to the links, events, the trace,
//! counters, limits.

use crate::carrier::Familiar;
use crate::config::HostConfig;
use crate::counters::Counters;
use crate::error::HostDropReason;
use crate::event::HostEvent;
use crate::fragmentation::Identifications;
use crate::ids::{ConnectionId, InterfaceId};
use crate::interface::Checksums;
use crate::path_mtus::PathMtus;
use crate::rate::RateLimit;
use crate::reassembly::Reassembly;
use crate::request::IpOptions;
use crate::routing::{Interfaces, LocalIndex};
use crate::segmentation::{Envelope, packet};
use crate::trace::{HostTraceEvent, Trace};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use ciao_tcp::{SegmentOut, TraceEvent};
use ciao_wire::{Ecn, Instant, Packet, PacketId};
use core::net::IpAddr;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// What fits into an IP packet of either version behind the longest headers: 65,535 − 40 − 60.
const MAX_SUPER_SEGMENT_BYTES: u32 = 65_435;

/// A packet on its way out, with what the trace wants to know.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) interface: InterfaceId,
    pub(crate) packet: Packet,
    pub(crate) connection: Option<ConnectionId>,
}

/// Where a received packet came from, for what is said about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) interface: InterfaceId,
    pub(crate) packet: PacketId,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: HostConfig,
    pub(crate) interfaces: Interfaces,
    pub(crate) random: ChaCha8Rng,
    pub(crate) events: VecDeque<HostEvent>,
    pub(crate) trace: Trace,
    pub(crate) counters: Counters,
    pub(crate) icmp_errors: RateLimit,
    pub(crate) resets: RateLimit,
    pub(crate) reassembly: Reassembly,
    pub(crate) identifications: Identifications,
    /// What connections have found out.
    pub(crate) tcp_paths: PathMtus,
    /// What routers say of datagrams.
    pub(crate) datagram_paths: PathMtus,
    /// Packets that no connection holds back.
    queue: VecDeque<Outgoing>,
    last_packet: PacketId,
    /// The last packet that carried a segment to us.
    pub(crate) familiar: Option<Familiar>,
}

impl Context {
    pub(crate) fn new(mut config: HostConfig, seed: [u8; 32]) -> Self {
        if config.tcp.max_super_segment_bytes > MAX_SUPER_SEGMENT_BYTES {
            Arc::make_mut(&mut config.tcp).max_super_segment_bytes = MAX_SUPER_SEGMENT_BYTES;
        }
        let mut random = ChaCha8Rng::from_seed(seed);
        Self {
            icmp_errors: RateLimit::new(config.icmp_errors_per_s, key(&mut random)),
            resets: RateLimit::new(config.resets_per_s, key(&mut random)),
            identifications: Identifications::new(key(&mut random)),
            trace: Trace::new(config.trace),
            config,
            interfaces: Interfaces::default(),
            random,
            events: VecDeque::new(),
            reassembly: Reassembly::default(),
            tcp_paths: PathMtus::default(),
            datagram_paths: PathMtus::default(),
            counters: Counters::default(),
            queue: VecDeque::new(),
            last_packet: PacketId(0),
            familiar: None,
        }
    }

    /// Counts and records that a packet was dropped.
    pub(crate) fn drop_packet(&mut self, now: Instant, packet: PacketId, reason: HostDropReason) {
        self.counters.count_drop(reason);
        self.trace.record(now, None, Some(packet), || HostTraceEvent::PacketDropped { reason });
    }

    /// Whether `count` more packets may wait for the link.
    pub(crate) fn has_room_for(&self, count: usize) -> bool {
        self.queue.len() + count <= self.config.max_queued_packets
    }

    /// The longest packet for `remote` that needs no fragmentation, as far as is known.
    // RFC 1122 §3.3.3 1122-3.3.3
    pub(crate) fn datagram_mtu(&self, now: Instant, interface: InterfaceId, remote: IpAddr) -> usize {
        let of_interface = self.interfaces.config(interface).mtu;
        let known = [&self.tcp_paths, &self.datagram_paths].map(|paths| paths.mtu(now, remote));
        usize::from(known.into_iter().flatten().fold(of_interface, u16::min))
    }

    /// Queues a packet for the link, or drops it when too many wait.
    pub(crate) fn enqueue(&mut self, now: Instant, outgoing: Outgoing) {
        if self.has_room_for(1) {
            self.queue.push_back(outgoing);
        } else {
            self.drop_packet(now, outgoing.packet.id, HostDropReason::TransmitQueueFull);
        }
    }

    /// True when a packet waits for the link.
    pub(crate) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Hands out the queued packet that has waited longest.
    pub(crate) fn dequeue(&mut self, now: Instant, place: &mut Packet) -> Option<InterfaceId> {
        if self.queue.is_empty() {
            return None;
        }
        let id = self.number_sent();
        let Self { queue, trace, .. } = self;
        let Outgoing { interface, packet, connection } = queue.front_mut()?;
        packet.id = id;
        trace.record(now, *connection, Some(id), || packet_sent(*interface, packet));
        core::mem::swap(place, packet);
        let interface = *interface;
        queue.pop_front();
        Some(interface)
    }

    /// Counts a packet that is handed to the link, and gives it its number.
    #[inline]
    pub(crate) fn number_sent(&mut self) -> PacketId {
        self.last_packet.0 += 1;
        self.counters.packets_sent += 1;
        self.last_packet
    }

    /// Records a packet that is handed to the link.
    #[inline]
    pub(crate) fn record_sent(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        packet: &Packet,
        connection: Option<ConnectionId>,
    ) {
        self.trace.record(now, connection, Some(packet.id), || packet_sent(interface, packet));
    }

    /// A router says that the path to `remote` takes datagrams of `mtu` bytes and no longer ones.
    pub(crate) fn learn_datagram_path(&mut self, now: Instant, remote: IpAddr, mtu: u16) {
        if let Some(path) = self.interfaces.path(remote) {
            let interface = self.interfaces.config(path.interface);
            self.datagram_paths.learn(now, remote, (mtu, interface), self.config.max_path_mtus);
        }
    }

    /// The IP header of packets between our address `local` and `remote`.
    pub(crate) fn envelope(&self, local: LocalIndex, remote: IpAddr, ip: IpOptions) -> Envelope {
        Envelope {
            source: self.interfaces.address(local),
            destination: remote,
            dscp: ip.dscp & 0x3f,
            // RFC 1122 §3.2.1.7 1122-3.2.1.7a: zero is never sent
            hop_limit: ip.hop_limit.filter(|limit| *limit > 0).unwrap_or(self.config.hop_limit.max(1)),
            ecn: Ecn::NotEct,
        }
    }

    /// Queues one segment that stands outside of a connection: a SYN-ACK, a RST, the last ACK of TIME-WAIT.
    pub(crate) fn send_alone(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        envelope: &Envelope,
        segment: SegmentOut,
        connection: Option<ConnectionId>,
    ) {
        let (seq, len, transmission) = (segment.header.seq, segment.len(), segment.transmission);
        self.trace.record(now, connection, None, || {
            HostTraceEvent::Tcp(TraceEvent::Transmitted { seq, len, transmission })
        });
        let checksums = self.checksums(interface);
        let packet = packet(envelope, checksums, &segment.header, segment.payload, 0);
        self.enqueue(now, Outgoing { interface, packet, connection });
    }

    pub(crate) fn checksums(&self, interface: InterfaceId) -> Checksums {
        self.interfaces.config(interface).offload.checksums
    }
}

fn packet_sent(interface: InterfaceId, packet: &Packet) -> HostTraceEvent {
    HostTraceEvent::PacketSent { interface, packet: packet.clone() }
}

/// A key that nobody outside knows.
pub(crate) fn key(random: &mut ChaCha8Rng) -> [u8; 16] {
    let mut key = [0; 16];
    random.fill_bytes(&mut key);
    key
}
