//! A counterfactual: a server that takes a connection for open as soon as a SYN has come.
//!
//! It is Ciao's own connection, told a lie: that its SYN-ACK was acknowledged. What it does from there on,
//! and for how long, is what any connection does whose peer has never heard of it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use ciao_inspect::packet::TcpPacket;
use ciao_stack::{ConnectionId, HostDropReason, HostTraceEvent, InterfaceId, Opening, TraceRecord, Tracing};
use ciao_tcp::{
    Cause, Config, Connection, HalfOpen, Segment, SegmentOut, Setup, SocketOptions, TcpState, TraceEvent,
    Wakeup,
};
use ciao_wire::{Head, Instant, Ipv4Header, Packet, PacketId, Protocol, SeqNum, TcpFlags, TcpHeader};

/// Packets of the counterfactual are numbered from here, far from those that were really sent.
const FIRST_PACKET: u64 = 1 << 40;

const ID: ConnectionId = ConnectionId(1);

/// What became of the belief.
pub(super) struct Believed {
    /// What the server would have recorded.
    pub(super) records: Vec<TraceRecord>,
    /// The timer that would end it, if there is one.
    pub(super) ends_by_itself: Option<Wakeup>,
    /// What it took.
    pub(super) connection_bytes: usize,
}

/// Lets the SYN that a real server received meet a believer. What the client receives in answer is added to
/// `client`.
pub(super) fn meet(server: &[TraceRecord], client: &mut Vec<TraceRecord>) -> anyhow::Result<Believed> {
    let is_syn = |record: &&TraceRecord| matches!(record.event, HostTraceEvent::PacketReceived { .. });
    let arrival = server.iter().find(is_syn).context("the delayed SYN never arrived")?.clone();
    let HostTraceEvent::PacketReceived { packet, interface } = &arrival.event else {
        unreachable!("only such records were looked for")
    };
    let syn = TcpPacket::parse(packet).context("the first packet is no SYN")?;
    let mut believer = Believer {
        local: syn.destination,
        remote: syn.source,
        interface: *interface,
        records: vec![arrival.clone()],
        next_packet: FIRST_PACKET,
    };
    let start = arrival.at;
    let one_way = start.since(client.last().map_or(start, |record| record.at)).min(Duration::from_millis(10));
    let config = Arc::new(Config::default());
    let options = SocketOptions::default();
    let segment = Segment { header: syn.header, ..Segment::default() };
    let setup = believer.setup();
    let mut half_open = HalfOpen::new(start, &config, &options, &setup, &segment);
    believer.record(
        start,
        HostTraceEvent::Opened { local: believer.local, remote: believer.remote, opening: Opening::Passive },
    );
    believer.record(
        start,
        HostTraceEvent::Tcp(TraceEvent::StateChanged {
            from: TcpState::Listen,
            to: TcpState::Established,
            cause: Cause::SynReceived,
        }),
    );
    let syn_ack = half_open.poll_transmit(start, &config).context("no answer to the SYN")?;
    let answer = believer.send(start, &syn_ack);
    ignore(client, start + one_way, *interface, answer);
    let mut connection = Connection::closed(&config, &options, &half_open.setup());
    half_open.establish(&mut connection, Tracing::Off);
    connection.handle_segment(start, acknowledgment(&syn_ack));
    connection.set_trace(Tracing::On);
    believer.settle(start, &mut connection);
    Ok(Believed {
        records: believer.records,
        ends_by_itself: connection.poll_timeout(),
        connection_bytes: size_of::<Connection>(),
    })
}

/// The client knows of no connection; in a handshake of two it says nothing to that.
fn ignore(client: &mut Vec<TraceRecord>, at: Instant, interface: InterfaceId, packet: Packet) {
    let id = Some(packet.id);
    let reason = HostDropReason::NoConnection;
    client.push(TraceRecord {
        at,
        connection: None,
        packet: id,
        event: HostTraceEvent::PacketReceived { interface, packet },
    });
    client.push(TraceRecord {
        at,
        connection: None,
        packet: id,
        event: HostTraceEvent::PacketDropped { reason },
    });
}

/// The lie: an acknowledgment of `syn_ack` that nobody sent.
fn acknowledgment(syn_ack: &SegmentOut) -> Segment {
    let header = TcpHeader {
        source_port: syn_ack.header.destination_port,
        destination_port: syn_ack.header.source_port,
        seq: syn_ack.header.ack,
        ack: syn_ack.header.seq + 1,
        flags: TcpFlags::ACK,
        window: u16::MAX,
        ..TcpHeader::default()
    };
    Segment { header, ..Segment::default() }
}

struct Believer {
    local: SocketAddr,
    remote: SocketAddr,
    interface: InterfaceId,
    records: Vec<TraceRecord>,
    next_packet: u64,
}

impl Believer {
    fn setup(&self) -> Setup {
        Setup {
            local_port: self.local.port(),
            remote_port: self.remote.port(),
            iss: SeqNum(1_000_000),
            timestamp_offset: 0,
            announce_mss: 1460,
            default_mss: 536,
            tracing: Tracing::Off,
        }
    }

    /// Records what the connection does now that it believes itself open.
    fn settle(&mut self, now: Instant, connection: &mut Connection) {
        while let Some(segment) = connection.poll_transmit(now) {
            self.send(now, &segment);
        }
        let events: Vec<_> = connection.drain_trace().collect();
        for event in events {
            self.record(now, HostTraceEvent::Tcp(event));
        }
    }

    fn record(&mut self, at: Instant, event: HostTraceEvent) {
        self.records.push(TraceRecord { at, connection: Some(ID), packet: None, event });
    }

    /// Puts IP around a segment and records it as sent.
    fn send(&mut self, at: Instant, segment: &SegmentOut) -> Packet {
        let packet = self.packet(segment);
        self.records.push(TraceRecord {
            at,
            connection: Some(ID),
            packet: Some(packet.id),
            event: HostTraceEvent::PacketSent { interface: self.interface, packet: packet.clone() },
        });
        packet
    }

    fn packet(&mut self, segment: &SegmentOut) -> Packet {
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (self.local.ip(), self.remote.ip()) else {
            unreachable!("the demo's hosts talk by IPv4")
        };
        let header_len = 20 + segment.header.header_len();
        let mut head = Head::zeroed(header_len);
        let total_len = u16::try_from(header_len).expect("two headers");
        Ipv4Header::new(Protocol::TCP, source, destination, total_len).emit(head.as_mut_slice());
        segment.header.emit(&mut head.as_mut_slice()[20..]);
        let id = PacketId(self.next_packet);
        self.next_packet += 1;
        Packet {
            head,
            payload: segment.payload.clone(),
            segment_size: 0,
            id,
            ..Packet::from_bytes([][..].into())
        }
    }
}
