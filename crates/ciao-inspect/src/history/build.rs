//! How do records and captured packets become connections?
//!
//! [`Builder`] takes what was observed in the order of time. A packet belongs to the latest connection of its
//! addresses and ports; a SYN with a new first sequence number begins the next one.

use super::infer;
use super::{
    Connection, Drop, End, Event, EventKind, Fate, Observed, Pair, Phase, Segment, Side, Vantage, stream,
};
use crate::packet::TcpPacket;
use crate::pcapng::{Capture, Direction};
use ciao_stack::{ConnectionId, HostTraceEvent, Opening, TraceRecord};
use ciao_tcp::{TcpState, Timer, TraceEvent, Transmission};
use ciao_wire::{Instant, SeqNum};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Makes connections of the records of hosts. Two hosts that talked with each other give both ends of each
/// connection.
#[must_use]
pub fn from_hosts(vantages: &[Vantage<'_>]) -> Vec<Connection> {
    let mut builder = Builder::default();
    for vantage in vantages {
        let local = vantage.records.iter().filter_map(local_address);
        builder.hosts.extend(local.map(|address| (address, (vantage.name.to_owned(), Observed::Traced))));
    }
    for (vantage, record) in merge(vantages) {
        builder.record(vantage, vantages[vantage].name, record);
    }
    builder.finish()
}

/// Makes connections of captured packets; each interface is a vantage point. States are inferred.
#[must_use]
pub fn from_capture(capture: &Capture) -> Vec<Connection> {
    let mut builder = Builder::default();
    let mut packets: Vec<_> = capture.packets.iter().collect();
    packets.sort_by_key(|packet| packet.at_nanos);
    let start = packets.first().map_or(0, |packet| packet.at_nanos);
    for packet in packets {
        let Some(tcp) = TcpPacket::parse_bytes(&packet.bytes) else { continue };
        let at = Instant::from_nanos(packet.at_nanos - start);
        let direction = packet.direction.unwrap_or_else(|| builder.direction_by_role(&tcp));
        let local = if direction == Direction::Outbound { tcp.source } else { tcp.destination };
        let named = capture.names.iter().find(|(address, _)| *address == local.ip());
        let name = named.map(|(_, name)| name.as_str());
        let place = Place { vantage: packet.interface, name, observed: Observed::Packets };
        builder.packet(at, place, direction, tcp, packet.id);
    }
    builder.finish()
}

/// All records in the order of time. Of two at the same instant, a packet's sending comes before its arrival.
pub(crate) fn merge<'a>(vantages: &[Vantage<'a>]) -> Vec<(usize, &'a TraceRecord)> {
    let mut heads = vec![0; vantages.len()];
    let mut sent = BTreeSet::new();
    let mut merged = Vec::new();
    loop {
        let head_of = |vantage: usize| vantages[vantage].records.get(heads[vantage]);
        let next = (0..vantages.len())
            .filter_map(|vantage| head_of(vantage).map(|record| (vantage, record)))
            .min_by_key(|(_, record)| {
                let awaits_sending = matches!(&record.event,
                    HostTraceEvent::PacketReceived { packet, .. } if !sent.contains(&packet.id));
                (record.at, awaits_sending)
            });
        let Some((vantage, record)) = next else { return merged };
        if let HostTraceEvent::PacketSent { packet, .. } = &record.event {
            sent.insert(packet.id);
        }
        heads[vantage] += 1;
        merged.push((vantage, record));
    }
}

/// Where something was observed.
#[derive(Clone, Copy)]
struct Place<'a> {
    vantage: usize,
    name: Option<&'a str>,
    observed: Observed,
}

/// Addresses and ports of both ends, the smaller first.
type Tuple = (SocketAddr, SocketAddr);

/// The address of the host that made a record, where the record tells.
pub(crate) fn local_address(record: &TraceRecord) -> Option<IpAddr> {
    match &record.event {
        HostTraceEvent::Opened { local, .. } => Some(local.ip()),
        HostTraceEvent::PacketSent { packet, .. } => Some(TcpPacket::parse(packet)?.source.ip()),
        _ => None,
    }
}

#[derive(Default)]
struct Builder {
    /// Name and vantage point of each address that is known to be observed before its first packet is.
    hosts: BTreeMap<IpAddr, (String, Observed)>,
    drafts: Vec<Draft>,
    /// The latest connection of each pair of ends.
    latest: BTreeMap<Tuple, usize>,
    /// Which connection, and which end of it, a host's number for it means.
    connections: BTreeMap<(usize, ConnectionId), (usize, Side)>,
    /// Which segment a packet's number means, by the sender's address.
    packets: BTreeMap<(IpAddr, u64), (usize, usize)>,
    /// The segment that came last at each vantage point.
    last_arrival: BTreeMap<usize, (usize, usize)>,
    end_of_records: Instant,
}

/// A connection in the making.
pub(super) struct Draft {
    pub(super) connection: Connection,
    pub(super) states: Pair<Option<TcpState>>,
    /// The first sequence number of each end.
    isn: Pair<Option<SeqNum>>,
    /// The end of what each end has sent, counted from its SYN.
    pub(super) sent_end: Pair<i64>,
    /// The number behind the FIN of each end, counted from its SYN.
    pub(super) fin_end: Pair<Option<i64>>,
    window_scale: Pair<Option<u8>>,
    opened: Pair<Option<Opening>>,
    /// What the next packets of each end are, as its connection said.
    announced: Pair<Option<Announced>>,
}

#[derive(Clone, Copy)]
struct Announced {
    seq: SeqNum,
    len: u32,
    transmission: Transmission,
}

impl Draft {
    fn new(left: SocketAddr, right: SocketAddr, incarnation: u32) -> Self {
        let end = |name: &str, address| End {
            name: name.to_owned(),
            address,
            observed: Observed::FromPeer,
            first_state: None,
        };
        let connection = Connection {
            ends: Pair([end("client", left), end("server", right)]),
            incarnation,
            segments: Vec::new(),
            events: Vec::new(),
            http: Pair::default(),
        };
        Self {
            connection,
            states: Pair::default(),
            isn: Pair::default(),
            sent_end: Pair::default(),
            fin_end: Pair::default(),
            window_scale: Pair::default(),
            opened: Pair::default(),
            announced: Pair::default(),
        }
    }

    pub(super) fn event(&mut self, at: Instant, side: Side, kind: EventKind) {
        self.connection.events.push(Event { at, side, kind, states: self.states });
    }

    /// Moves `side` to another state.
    pub(super) fn moved(&mut self, at: Instant, side: Side, kind: (TcpState, TcpState, ciao_tcp::Cause)) {
        let (from, to, cause) = kind;
        self.connection.ends[side].first_state.get_or_insert(from);
        self.states[side] = Some(to);
        self.event(at, side, EventKind::Moved { from, to, cause });
    }

    fn side_of(&self, address: SocketAddr) -> Side {
        if self.connection.ends[Side::Left].address == address { Side::Left } else { Side::Right }
    }

    fn observe(&mut self, side: Side, place: Place<'_>) {
        let end = &mut self.connection.ends[side];
        end.observed = end.observed.max(place.observed);
        if let Some(name) = place.name {
            name.clone_into(&mut end.name);
        }
    }

    /// `number` of `side`, counted from its SYN; beyond 2^32 by the nearest that fits.
    fn relative(&mut self, side: Side, number: SeqNum, first: SeqNum) -> i64 {
        let isn = *self.isn[side].get_or_insert(first);
        let reference = self.sent_end[side];
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "numbers wrap on purpose"
        )]
        let expected = isn + reference as u32;
        reference + i64::from(number.offset_from(expected))
    }

    /// Makes a segment of a packet and puts it at the end of the list.
    fn add_segment(&mut self, from: Side, packet: TcpPacket, id: u64, sent: Option<Instant>) -> usize {
        let flags = packet.header.flags;
        let sequence_len = packet.sequence_len();
        let first = if flags.syn() { packet.header.seq } else { packet.header.seq - 1 };
        let seq = self.relative(from, packet.header.seq, first);
        let ack = flags.ack().then(|| self.relative(!from, packet.header.ack, packet.header.ack - 1));
        let is_repeat = sequence_len > 0 && seq >= 0 && seq < self.sent_end[from];
        self.sent_end[from] = self.sent_end[from].max(seq + i64::from(sequence_len));
        if flags.fin() {
            self.fin_end[from] = Some(seq + i64::from(sequence_len));
        }
        if flags.syn() {
            self.window_scale[from] = packet.header.options.window_scale;
        }
        let scale = match self.window_scale {
            Pair([Some(left), Some(right)]) if !flags.syn() => [left, right][from as usize].min(14),
            _ => 0,
        };
        let transmission = self.announced[from].and_then(|announced| {
            let offset = packet.header.seq.since(announced.seq);
            (offset < announced.len.max(1)).then_some(announced.transmission)
        });
        self.connection.segments.push(Segment {
            from,
            sent,
            arrivals: Vec::new(),
            fate: Fate::Unknown,
            window_bytes: u32::from(packet.header.window) << scale,
            payload: packet.payload,
            payload_len: packet.payload_len,
            seq,
            ack,
            wire_bytes: packet.wire_bytes,
            count: packet.count,
            transmission,
            is_repeat,
            drop: None,
            carries: Vec::new(),
            id,
            header: packet.header,
        });
        self.connection.segments.len() - 1
    }

    fn is_over(&self) -> bool {
        self.states.0.contains(&Some(TcpState::Closed))
    }
}

impl Builder {
    fn record(&mut self, vantage: usize, name: &str, record: &TraceRecord) {
        let at = record.at;
        self.end_of_records = self.end_of_records.max(at);
        let place = Place { vantage, name: Some(name), observed: Observed::Traced };
        match &record.event {
            HostTraceEvent::Opened { local, remote, opening } => {
                let (draft, side) = self.opened(*local, *remote, *opening);
                self.drafts[draft].observe(side, place);
                if let Some(connection) = record.connection {
                    self.connections.insert((vantage, connection), (draft, side));
                }
            }
            HostTraceEvent::PacketSent { packet, .. } => {
                if let Some(tcp) = TcpPacket::parse(packet) {
                    self.packet(at, place, Direction::Outbound, tcp, packet.id.0);
                }
            }
            HostTraceEvent::PacketReceived { packet, .. } => match TcpPacket::parse(packet) {
                Some(tcp) => self.packet(at, place, Direction::Inbound, tcp, packet.id.0),
                None => {
                    self.last_arrival.remove(&vantage);
                }
            },
            HostTraceEvent::PacketDropped { reason } => self.dropped(at, vantage, Drop::Host(*reason)),
            HostTraceEvent::Tcp(TraceEvent::Dropped { reason, .. }) => {
                self.dropped(at, vantage, Drop::Connection(*reason));
            }
            HostTraceEvent::Tcp(event) => {
                let known = record.connection.and_then(|id| self.connections.get(&(vantage, id)));
                if let Some(&(draft, side)) = known {
                    self.drafts[draft].tcp(at, side, event);
                }
            }
            _ => {}
        }
    }

    fn opened(&mut self, local: SocketAddr, remote: SocketAddr, opening: Opening) -> (usize, Side) {
        let latest = self.latest.get(&tuple(local, remote)).copied();
        let joins = latest.filter(|&latest| {
            let draft = &self.drafts[latest];
            let side = draft.side_of(local);
            draft.opened[side].is_none()
                && match opening {
                    Opening::Passive => true,
                    // Both ends call each other at once, or the packets of this end were seen first.
                    Opening::Active => draft.opened[!side] == Some(Opening::Active) && !draft.is_over(),
                }
        });
        let draft = joins.unwrap_or_else(|| match opening {
            Opening::Active => self.begin(local, remote),
            Opening::Passive => self.begin(remote, local),
        });
        let side = self.drafts[draft].side_of(local);
        self.drafts[draft].opened[side] = Some(opening);
        (draft, side)
    }

    fn begin(&mut self, left: SocketAddr, right: SocketAddr) -> usize {
        let tuple = tuple(left, right);
        let incarnation = self.latest.get(&tuple).map_or(1, |&d| self.drafts[d].connection.incarnation + 1);
        let mut draft = Draft::new(left, right, incarnation);
        for end in &mut draft.connection.ends.0 {
            if let Some((name, observed)) = self.hosts.get(&end.address.ip()) {
                (end.name, end.observed) = (name.clone(), *observed);
            }
        }
        self.drafts.push(draft);
        self.latest.insert(tuple, self.drafts.len() - 1);
        self.drafts.len() - 1
    }

    /// The connection that a packet belongs to.
    fn draft_of(&mut self, packet: &TcpPacket) -> usize {
        let flags = packet.header.flags;
        let Some(&latest) = self.latest.get(&tuple(packet.source, packet.destination)) else {
            return if flags.syn() && flags.ack() {
                self.begin(packet.destination, packet.source)
            } else {
                self.begin(packet.source, packet.destination)
            };
        };
        let draft = &self.drafts[latest];
        let isn = draft.isn[draft.side_of(packet.source)];
        if flags.syn() && !flags.ack() && isn.is_some_and(|isn| isn != packet.header.seq) {
            return self.begin(packet.source, packet.destination);
        }
        latest
    }

    fn packet(&mut self, at: Instant, place: Place<'_>, way: Direction, packet: TcpPacket, id: u64) {
        self.end_of_records = self.end_of_records.max(at);
        let index = self.draft_of(&packet);
        let draft = &mut self.drafts[index];
        let from = draft.side_of(packet.source);
        let source = packet.source.ip();
        match way {
            Direction::Outbound => {
                draft.observe(from, place);
                let segment = draft.add_segment(from, packet, id, Some(at));
                infer::before_sending(draft, at, segment);
                draft.event(at, from, EventKind::Sent(segment));
                infer::after_sending(draft, at, segment);
                if id != 0 {
                    self.packets.insert((source, id), (index, segment));
                }
            }
            Direction::Inbound => {
                draft.observe(!from, place);
                let segment = self.arrived(at, index, from, packet, id);
                self.last_arrival.insert(place.vantage, (index, segment));
            }
        }
    }

    fn arrived(&mut self, at: Instant, index: usize, from: Side, packet: TcpPacket, id: u64) -> usize {
        let by_id = self.packets.get(&(packet.source.ip(), id)).copied().filter(|_| id != 0);
        let mut sent = None;
        let known = match by_id {
            Some((draft, segment)) if draft == index => Some(segment),
            Some((draft, segment)) => {
                let earlier = &mut self.drafts[draft].connection.segments[segment];
                earlier.fate = Fate::ArrivedInLaterConnection;
                sent = earlier.sent;
                None
            }
            None => self.drafts[index].same_segment(from, &packet),
        };
        let draft = &mut self.drafts[index];
        let (seq, len, count) = (packet.header.seq, packet.payload_len, packet.count);
        let segment = known.unwrap_or_else(|| {
            let sent_end = draft.sent_end[from];
            let segment = draft.add_segment(from, packet, id, sent);
            if sent.is_some() {
                // A stray of an earlier connection says nothing of what was sent on this one.
                draft.sent_end[from] = sent_end;
            }
            infer::before_sending(draft, at, segment);
            segment
        });
        let found = &mut draft.connection.segments[segment];
        if found.count > 1 && seq != found.header.seq && !found.arrivals.is_empty() {
            // A later piece of a super-segment: it has arrived when its last piece has.
            *found.arrivals.last_mut().expect("it is not empty") = at;
            return segment;
        }
        found.arrivals.push(at);
        draft.event(at, !from, EventKind::Arrived(segment));
        if count > 1 {
            draft.merged_arrivals(at, segment, len);
        }
        infer::after_sending(draft, at, segment);
        infer::after_arrival(draft, at, segment);
        segment
    }

    fn dropped(&mut self, at: Instant, vantage: usize, drop: Drop) {
        // The connection's own reason comes first and says more than the host's.
        let Some((draft, segment)) = self.last_arrival.remove(&vantage) else { return };
        let draft = &mut self.drafts[draft];
        let dropped = &mut draft.connection.segments[segment];
        let side = !dropped.from;
        if dropped.arrivals.len() == 1 {
            dropped.drop = Some(drop);
        }
        draft.event(at, side, EventKind::Dropped { segment, drop });
    }

    /// Which way a packet of a capture without directions went: it is taken as seen at the end that opened.
    fn direction_by_role(&mut self, packet: &TcpPacket) -> Direction {
        let index = self.draft_of(packet);
        match self.drafts[index].side_of(packet.source) {
            Side::Left => Direction::Outbound,
            Side::Right => Direction::Inbound,
        }
    }

    fn finish(self) -> Vec<Connection> {
        let end = self.end_of_records;
        let mut connections: Vec<_> = self.drafts.into_iter().map(|draft| draft.finish(end)).collect();
        connections.retain(|connection| !connection.events.is_empty());
        connections.sort_by_key(Connection::start);
        connections
    }
}

impl Draft {
    fn tcp(&mut self, at: Instant, side: Side, event: &TraceEvent) {
        let kind = match *event {
            TraceEvent::StateChanged { from, to, cause } => return self.moved(at, side, (from, to, cause)),
            TraceEvent::Transmitted { seq, len, transmission } => {
                self.announced[side] = Some(Announced { seq, len, transmission });
                return;
            }
            TraceEvent::TimerFired(timer) => EventKind::Fired(timer),
            TraceEvent::TimerSet { timer: Timer::TimeWait, at: until } => EventKind::TimeWaitSet(until),
            TraceEvent::Called(call) => EventKind::Called(call),
            TraceEvent::RttSampled { rtt, rto, .. } => EventKind::RttSampled { rtt, rto },
            TraceEvent::Congestion { cwnd_bytes, ssthresh_bytes, flight_bytes } => {
                EventKind::Congestion { cwnd_bytes, ssthresh_bytes, flight_bytes }
            }
            TraceEvent::Recovery(Some(_)) => EventKind::Recovery(Phase::Began),
            TraceEvent::Recovery(None) => EventKind::Recovery(Phase::Ended),
            TraceEvent::LossFound { by, .. } => EventKind::LossFound(by),
            TraceEvent::Undone(cause) => EventKind::Undone(cause),
            TraceEvent::SegmentSize { mss, cause } => EventKind::SegmentSize { mss, cause },
            TraceEvent::Waiting(wait) => EventKind::Waiting(wait),
            TraceEvent::Ended(error) => EventKind::Ended(error),
            _ => return,
        };
        self.event(at, side, kind);
    }

    /// The sent segment that a packet without a number is: the oldest equal one that has not arrived, else
    /// the latest equal one.
    fn same_segment(&self, from: Side, packet: &TcpPacket) -> Option<usize> {
        if self.connection.ends[from].observed == Observed::FromPeer {
            return None;
        }
        let mut equal = self
            .connection
            .segments
            .iter()
            .enumerate()
            .filter(|(_, segment)| {
                segment.from == from
                    && segment.header == packet.header
                    && segment.payload_len == packet.payload_len
            })
            .map(|(index, segment)| (index, segment.arrivals.is_empty()));
        let first_waiting = equal.clone().find(|(_, waits)| *waits);
        first_waiting.or_else(|| equal.next_back()).map(|(index, _)| index)
    }

    /// The receiver's link merged several segments: those behind the first one arrive with it.
    fn merged_arrivals(&mut self, at: Instant, first: usize, len: u32) {
        let (from, start) = (self.connection.segments[first].from, self.connection.segments[first].seq);
        for index in first + 1..self.connection.segments.len() {
            let segment = &mut self.connection.segments[index];
            let lies_within = segment.seq > start && segment.end() <= start + i64::from(len) + 1;
            if segment.from == from && segment.payload_len > 0 && lies_within && segment.arrivals.is_empty() {
                segment.arrivals.push(at);
                self.event(at, !from, EventKind::Arrived(index));
            }
        }
    }

    /// An end that was not observed has received what its later segments acknowledge; an acknowledgment, when
    /// it goes on to speak after it.
    fn answered(&mut self) {
        let observed = self.connection.ends.0.each_ref().map(|end| end.observed);
        let mut acknowledged: Pair<Option<i64>> = Pair::default();
        for segment in self.connection.segments.iter_mut().rev() {
            let (from, to) = (segment.from, !segment.from);
            let is_answered = match acknowledged[to] {
                Some(ack) if segment.end() > segment.seq => ack >= segment.end(),
                answer => answer.is_some(),
            };
            if observed[to as usize] == Observed::FromPeer && is_answered {
                segment.fate = Fate::Arrived;
            }
            acknowledged[from] = acknowledged[from].max(segment.ack);
        }
    }

    fn finish(mut self, end_of_records: Instant) -> Connection {
        let observed = self.connection.ends.0.each_ref().map(|end| end.observed);
        let longest_way = self
            .connection
            .segments
            .iter()
            .filter_map(|segment| Some(segment.arrivals.first()?.since(segment.sent?)))
            .max()
            .unwrap_or(Duration::from_secs(1));
        for segment in &mut self.connection.segments {
            if segment.fate == Fate::ArrivedInLaterConnection {
            } else if !segment.arrivals.is_empty() {
                segment.fate = Fate::Arrived;
            } else if observed[!segment.from as usize] != Observed::FromPeer {
                let in_time = segment.first_seen() + longest_way <= end_of_records;
                segment.fate = if in_time { Fate::Lost } else { Fate::InFlight };
            }
        }
        self.answered();
        for side in Side::BOTH {
            let end = &mut self.connection.ends[side];
            if end.observed == Observed::Traced {
                // A host that recorded nothing of this connection has none.
                end.first_state.get_or_insert(TcpState::Closed);
            }
            let first = end.first_state;
            let unknown = self.connection.events.iter_mut().take_while(|event| event.states[side].is_none());
            unknown.for_each(|event| event.states[side] = first);
        }
        stream::attach_http(&mut self.connection);
        self.connection
    }
}

fn tuple(a: SocketAddr, b: SocketAddr) -> Tuple {
    (a.min(b), a.max(b))
}
