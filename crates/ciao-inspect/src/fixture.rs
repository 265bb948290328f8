//! Records of two hosts written by hand, for what no real run gives at will.

use crate::history::{Connection, Side, Vantage, from_hosts};
use bytes::Bytes;
use ciao_stack::{ConnectionId, HostDropReason, HostTraceEvent, InterfaceId, Opening, TraceRecord};
use ciao_tcp::state::next_state;
use ciao_tcp::trace::Call;
use ciao_tcp::{Cause, DropReason, TcpState, Timer, TraceEvent, Transmission};
use ciao_wire::ip::Protocol;
use ciao_wire::ipv4::Ipv4Header;
use ciao_wire::tcp_options::Timestamps;
use ciao_wire::{
    Checksum, Head, Instant, Packet, PacketId, Payload, SeqNum, TcpFlags, TcpHeader, TcpOptions,
};
use std::net::{Ipv4Addr, SocketAddr};

pub(crate) const S: TcpFlags = TcpFlags::SYN;
pub(crate) const A: TcpFlags = TcpFlags::ACK;
pub(crate) const P: TcpFlags = TcpFlags::PSH;
pub(crate) const F: TcpFlags = TcpFlags::FIN;
pub(crate) const R: TcpFlags = TcpFlags::RST;

/// The records of both ends of one connection. Times are in milliseconds.
#[derive(Default)]
pub(crate) struct Story {
    records: [Vec<TraceRecord>; 2],
    sent: Vec<(Side, Packet)>,
    states: [Option<TcpState>; 2],
}

/// A packet that was sent.
#[derive(Clone, Copy)]
pub(crate) struct Sent(usize);

impl Story {
    fn push(&mut self, side: Side, at: u64, event: HostTraceEvent) {
        let (at, connection) = (Instant::from_millis(at), Some(ConnectionId(1)));
        self.records[side as usize].push(TraceRecord { at, connection, packet: None, event });
    }

    pub(crate) fn opened(&mut self, side: Side, at: u64) {
        let (local, remote, opening) = match side {
            Side::Left => (address(side), address(!side), Opening::Active),
            Side::Right => (address(side), address(!side), Opening::Passive),
        };
        let first = if side == Side::Left { TcpState::Closed } else { TcpState::Listen };
        self.states[side as usize] = Some(first);
        self.push(side, at, HostTraceEvent::Opened { local, remote, opening });
    }

    pub(crate) fn tcp(&mut self, side: Side, at: u64, event: TraceEvent) {
        self.push(side, at, HostTraceEvent::Tcp(event));
    }

    pub(crate) fn moved(&mut self, side: Side, at: u64, cause: Cause) {
        let from = self.states[side as usize].expect("the end was opened");
        let to = next_state(from, cause).expect("a legal move");
        self.states[side as usize] = Some(to);
        self.tcp(side, at, TraceEvent::StateChanged { from, to, cause });
    }

    pub(crate) fn fired(&mut self, side: Side, at: u64, timer: Timer) {
        self.tcp(side, at, TraceEvent::TimerFired(timer));
    }

    pub(crate) fn called(&mut self, side: Side, at: u64, call: Call) {
        self.tcp(side, at, TraceEvent::Called(call));
    }

    /// The host itself drops what has just arrived.
    pub(crate) fn host_drops(&mut self, side: Side, at: u64, reason: HostDropReason) {
        self.push(side, at, HostTraceEvent::PacketDropped { reason });
    }

    pub(crate) fn dropped(&mut self, side: Side, at: u64, reason: DropReason) {
        let decided_at = std::panic::Location::caller();
        self.tcp(side, at, TraceEvent::Dropped { reason, decided_at });
    }

    /// Sends a segment; `numbers` are SEQ and ACK counted from the SYNs.
    pub(crate) fn sends(
        &mut self,
        from: Side,
        at: u64,
        flags: TcpFlags,
        numbers: (u32, u32),
        data: &[u8],
    ) -> Sent {
        let packet = packet(from, flags, numbers, data, self.sent.len() as u64 + 1);
        self.sent.push((from, packet.clone()));
        self.push(from, at, HostTraceEvent::PacketSent { interface: InterfaceId(0), packet });
        Sent(self.sent.len() - 1)
    }

    pub(crate) fn announces(&mut self, side: Side, at: u64, seq: u32, len: u32, transmission: Transmission) {
        let seq = isn(side) + seq;
        self.tcp(side, at, TraceEvent::Transmitted { seq, len, transmission });
    }

    /// Leaves what `side` recorded so far out: it happened before the recording.
    pub(crate) fn forget(&mut self, side: Side) {
        self.records[side as usize].clear();
    }

    pub(crate) fn arrives(&mut self, sent: Sent, at: u64) {
        let (from, packet) = self.sent[sent.0].clone();
        self.push(!from, at, HostTraceEvent::PacketReceived { interface: InterfaceId(0), packet });
    }

    /// Sends a segment that arrives ten milliseconds later.
    pub(crate) fn passes(&mut self, from: Side, at: u64, flags: TcpFlags, numbers: (u32, u32), data: &[u8]) {
        let sent = self.sends(from, at, flags, numbers, data);
        self.arrives(sent, at + 10);
    }

    /// The three segments of the opening, from 0 to 30 ms.
    pub(crate) fn opens(&mut self) {
        self.opened(Side::Left, 0);
        self.called(Side::Left, 0, Call::Connect);
        self.moved(Side::Left, 0, Cause::ActiveOpen);
        self.passes(Side::Left, 0, S, (0, 0), b"");
        self.opened(Side::Right, 10);
        self.moved(Side::Right, 10, Cause::SynReceived);
        self.passes(Side::Right, 10, S | A, (0, 1), b"");
        self.moved(Side::Left, 20, Cause::SynAckReceived);
        self.passes(Side::Left, 20, A, (1, 1), b"");
        self.moved(Side::Right, 30, Cause::SynAcknowledged);
    }

    /// The four segments of a close that the left end begins at `at`, and the end of its TIME-WAIT; `numbers`
    /// are what each end sends next.
    pub(crate) fn closes(&mut self, at: u64, numbers: (u32, u32)) {
        let (left, right) = numbers;
        self.moved(Side::Left, at, Cause::CloseCalled);
        self.passes(Side::Left, at, F | A, (left, right), b"");
        self.moved(Side::Right, at + 10, Cause::FinReceived);
        self.passes(Side::Right, at + 10, A, (right, left + 1), b"");
        self.moved(Side::Left, at + 20, Cause::FinAcknowledged);
        self.moved(Side::Right, at + 12, Cause::CloseCalled);
        self.passes(Side::Right, at + 12, F | A, (right, left + 1), b"");
        self.moved(Side::Left, at + 22, Cause::FinReceived);
        self.passes(Side::Left, at + 22, A, (left + 1, right + 1), b"");
        self.moved(Side::Right, at + 32, Cause::FinAcknowledged);
        self.fired(Side::Left, at + 60_022, Timer::TimeWait);
        self.moved(Side::Left, at + 60_022, Cause::TimeWaitExpired);
    }

    /// The records of the left and of the right end, in the order of time.
    pub(crate) fn records(mut self) -> [Vec<TraceRecord>; 2] {
        for records in &mut self.records {
            records.sort_by_key(|record| record.at);
        }
        self.records
    }

    /// What both ends tell together.
    pub(crate) fn connections(self) -> Vec<Connection> {
        let [left, right] = self.records();
        from_hosts(&[Vantage { name: "client", records: &left }, Vantage { name: "server", records: &right }])
    }

    /// The only connection.
    pub(crate) fn connection(self) -> Connection {
        let mut connections = self.connections();
        assert_eq!(connections.len(), 1);
        connections.remove(0)
    }
}

fn address(side: Side) -> SocketAddr {
    match side {
        Side::Left => SocketAddr::from(([10, 77, 0, 2], 49_152)),
        Side::Right => SocketAddr::from(([10, 77, 0, 1], 80)),
    }
}

/// The first sequence numbers; the left one's space wraps soon.
fn isn(side: Side) -> SeqNum {
    match side {
        Side::Left => SeqNum(u32::MAX - 50),
        Side::Right => SeqNum(7_000),
    }
}

fn packet(from: Side, flags: TcpFlags, numbers: (u32, u32), data: &[u8], id: u64) -> Packet {
    let (source, destination) = (address(from), address(!from));
    let syn_options = TcpOptions {
        mss: Some(1_460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some(Timestamps::default()),
        ..TcpOptions::default()
    };
    let header = TcpHeader {
        source_port: source.port(),
        destination_port: destination.port(),
        seq: isn(from) + numbers.0,
        ack: if flags.ack() { isn(!from) + numbers.1 } else { SeqNum(0) },
        flags,
        window: if flags.syn() { 64_240 } else { 502 },
        urgent: 0,
        options: if flags.syn() { syn_options } else { TcpOptions::default() },
    };
    let octets = |side: Side| Ipv4Addr::from([10, 77, 0, if side == Side::Left { 2 } else { 1 }]);
    let len = 20 + header.header_len() + data.len();
    let ip = Ipv4Header::new(Protocol::TCP, octets(from), octets(!from), u16::try_from(len).unwrap());
    let mut head = Head::zeroed(20 + header.header_len());
    ip.emit(&mut head.as_mut_slice()[..20]);
    header.emit(&mut head.as_mut_slice()[20..]);
    Packet {
        head,
        payload: Payload::from(Bytes::copy_from_slice(data)),
        segment_size: 0,
        checksum: Checksum::Valid,
        id: PacketId(id),
    }
}
