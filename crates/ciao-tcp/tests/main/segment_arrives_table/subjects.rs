//! How does a connection get into each state, and what can be seen of its answer? By real segments and calls,
//! with nothing read but what goes out, the events, and what the application can read.

use super::specification::{Answer, Arriving, Opening, Reader, Sent, Situation};
use bytes::Bytes;
use ciao_tcp::{
    Config, Connection, Event, HalfOpen, HalfOpenAnswer, Segment, SegmentOut, Setup, SocketOptions, TcpState,
    TimeWaitAnswer, Tracing, Transmission, answer_from_closed,
};
use ciao_wire::{Instant, Payload, SeqNum, TcpFlags, TcpHeader};
use std::sync::Arc;
use std::time::Duration;

/// Our first number and the peer's. Both number spaces wrap within the few hundred bytes of these tests.
const ISS: SeqNum = SeqNum(u32::MAX - 150);
const IRS: SeqNum = SeqNum(u32::MAX - 20);
/// The receive window in bytes.
const WINDOW: u16 = 8192;
/// The peer's window: at first, at its largest, and at last.
const PEER_WINDOWS: [u16; 3] = [4000, 9000, 5000];
/// Bytes of ours that are in flight.
const IN_FLIGHT: [u8; 300] = [b'o'; 300];
/// What the peer sends.
static TEXT: [u8; 2 * WINDOW as usize] = [b't'; 2 * WINDOW as usize];

const ACK: TcpFlags = TcpFlags::ACK;
const PORTS: (u16, u16) = (80, 40_000);

/// What a segment is handed to.
#[derive(Clone)]
pub(super) enum End {
    /// Nothing.
    Closed,
    /// A host that listens.
    Listener,
    HalfOpen(Box<HalfOpen>),
    Connection(Box<Connection>),
}

/// Something in a state, and what it knows.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) situation: Situation,
    pub(super) end: End,
    config: Arc<Config>,
    pub(super) now: Instant,
}

fn options() -> SocketOptions {
    // Acknowledgments are not delayed, so that each row has its own.
    SocketOptions { quickack: true, receive_buffer_bytes: Some(u32::from(WINDOW)), ..SocketOptions::DEFAULT }
}

fn setup() -> Setup {
    Setup {
        local_port: PORTS.0,
        remote_port: PORTS.1,
        iss: ISS,
        timestamp_offset: 0,
        announce_mss: 1460,
        default_mss: 536,
        tracing: Tracing::Off,
    }
}

impl Subject {
    fn new(name: &'static str, state: TcpState) -> Self {
        let situation = Situation {
            state,
            opening: Opening::Active,
            reader: Reader::Present,
            snd_una: ISS,
            snd_nxt: ISS,
            max_snd_wnd: 0,
            rcv_nxt: IRS,
            rcv_wnd: u32::from(WINDOW),
        };
        let config = Arc::new(Config::default());
        Self { name, situation, end: End::Closed, config, now: Instant::from_secs(1) }
    }

    /// CLOSED
    pub(super) fn closed() -> Self {
        Self::new("CLOSED", TcpState::Closed)
    }

    /// LISTEN
    pub(super) fn listening() -> Self {
        Self { end: End::Listener, ..Self::new("LISTEN", TcpState::Listen) }
    }

    /// SYN-SENT
    pub(super) fn syn_sent() -> Self {
        let mut subject = Self::new("SYN-SENT", TcpState::SynSent);
        let mut connection = Connection::closed(&subject.config, &options(), &setup());
        connection.connect();
        subject.end = End::Connection(Box::new(connection));
        subject.drain();
        subject
    }

    /// SYN-RECEIVED from LISTEN.
    pub(super) fn half_open() -> Self {
        let mut subject = Self::new("SYN-RECEIVED", TcpState::SynReceived);
        let (opening, snd_nxt, rcv_nxt) = (Opening::Passive, ISS + 1, IRS + 1);
        subject.situation = Situation { opening, snd_nxt, rcv_nxt, ..subject.situation };
        subject.situation.max_snd_wnd = u32::from(PEER_WINDOWS[0]);
        let syn = segment(&Arriving { flags: TcpFlags::SYN, seq: IRS, ..nothing() }, PEER_WINDOWS[0]);
        let mut record = HalfOpen::new(subject.now, &subject.config, &options(), &setup(), &syn);
        assert!(record.poll_transmit(subject.now, &subject.config).is_some(), "no SYN-ACK");
        subject.end = End::HalfOpen(Box::new(record));
        subject.now += Duration::from_millis(20);
        subject
    }

    /// SYN-RECEIVED from SYN-SENT: the SYNs have crossed.
    pub(super) fn crossed() -> Self {
        let mut subject = Self::syn_sent();
        subject.arrives(Arriving { flags: TcpFlags::SYN, seq: IRS, ..nothing() }, PEER_WINDOWS[0]);
        subject.now_in("SYN-RECEIVED after an active open", TcpState::SynReceived)
    }

    /// ESTABLISHED, with data in flight and a peer that has offered a larger window once.
    pub(super) fn established() -> Self {
        let mut subject = Self::syn_sent();
        let syn_ack = TcpFlags::SYN | ACK;
        subject.arrives(Arriving { flags: syn_ack, seq: IRS, ..nothing() }, PEER_WINDOWS[0]);
        for window in &PEER_WINDOWS[1..] {
            subject.arrives(Arriving { flags: ACK, ..nothing() }, *window);
        }
        let now = subject.now;
        let sent = subject.connection().send(now, &IN_FLIGHT);
        assert_eq!(sent, Ok(IN_FLIGHT.len()));
        subject.drain();
        subject.now_in("ESTABLISHED", TcpState::Established)
    }

    /// ESTABLISHED with all data acknowledged.
    pub(super) fn quiet() -> Self {
        let mut subject = Self::established();
        subject.arrives(Arriving { flags: ACK, ..nothing() }, PEER_WINDOWS[2]);
        subject.now_in("ESTABLISHED without data in flight", TcpState::Established)
    }

    /// ESTABLISHED with a receive buffer that is full.
    pub(super) fn full() -> Self {
        let mut subject = Self::established();
        let text = subject.situation.rcv_wnd;
        let ack = subject.situation.snd_una;
        let window = PEER_WINDOWS[2];
        subject.arrives(Arriving { flags: ACK, text, ack, ..nothing() }, window);
        assert_eq!(subject.situation.rcv_wnd, 0, "the window is shut");
        subject.now_in("ESTABLISHED with a full buffer", TcpState::Established)
    }

    /// FIN-WAIT-1, and nobody reads any more.
    pub(super) fn fin_wait_1_unread() -> Self {
        let mut subject = Self::established();
        let now = subject.now;
        subject.connection().close(now);
        subject.drain();
        subject.situation.reader = Reader::Gone;
        subject.now_in("FIN-WAIT-1 without a reader", TcpState::FinWait1)
    }

    /// FIN-WAIT-2 from FIN-WAIT-1.
    pub(super) fn fin_wait_2(mut self, name: &'static str) -> Self {
        self.arrives(Arriving { flags: ACK, ..nothing() }, PEER_WINDOWS[2]);
        self.now_in(name, TcpState::FinWait2)
    }

    /// The peer's FIN comes; it acknowledges nothing new.
    pub(super) fn finished(mut self, name: &'static str, state: TcpState) -> Self {
        let ack = self.situation.snd_una;
        self.arrives(Arriving { flags: ACK | TcpFlags::FIN, ack, ..nothing() }, PEER_WINDOWS[2]);
        self.now_in(name, state)
    }

    /// CLOSE of our direction, while the application reads on: FIN-WAIT-1 or LAST-ACK.
    pub(super) fn close(mut self, name: &'static str, state: TcpState) -> Self {
        let now = self.now;
        self.connection().shutdown(now);
        self.drain();
        self.now_in(name, state)
    }

    fn now_in(mut self, name: &'static str, state: TcpState) -> Self {
        assert_eq!(self.connection().state(), state, "{name}");
        (self.name, self.situation.state) = (name, state);
        self.now += Duration::from_millis(1);
        self
    }

    fn connection(&mut self) -> &mut Connection {
        match &mut self.end {
            End::Connection(connection) => connection,
            _ => panic!("{} is no connection", self.name),
        }
    }

    /// A segment at RCV.NXT and of SND.NXT, where `arriving` does not say otherwise, on the way into a state.
    fn arrives(&mut self, mut arriving: Arriving, window: u16) {
        if arriving.seq == SeqNum(0) {
            arriving.seq = self.situation.rcv_nxt;
        }
        if arriving.ack == SeqNum(0) {
            arriving.ack = self.situation.snd_nxt;
        }
        self.now += Duration::from_millis(1);
        let now = self.now;
        self.connection().handle_segment(now, segment(&arriving, window));
        let known = &mut self.situation;
        if arriving.flags.ack() {
            known.snd_una = arriving.ack;
        }
        known.max_snd_wnd = known.max_snd_wnd.max(u32::from(window));
        self.drain();
    }

    /// Takes out what is sent, and learns from it as the peer would.
    fn drain(&mut self) {
        let now = self.now;
        let mut edge = self.situation.rcv_nxt + self.situation.rcv_wnd;
        while let Some(out) = self.connection().poll_transmit(now) {
            self.situation.snd_nxt = self.situation.snd_nxt.latest(out.header.seq + out.len());
            if out.header.flags.ack() {
                self.situation.rcv_nxt = out.header.ack;
                edge = edge.latest(out.header.ack + u32::from(out.header.window));
            }
        }
        if self.situation.rcv_nxt != IRS {
            self.situation.rcv_wnd = edge.since(self.situation.rcv_nxt);
        }
        while self.connection().poll_event().is_some() {}
    }

    /// Hands over a segment and looks at what follows.
    pub(super) fn observe(&self, arriving: &Arriving) -> Answer {
        let silent = Answer {
            sent: Sent::Nothing,
            state: self.situation.state,
            error: None,
            delivered: 0,
            held: 0,
            urgent: None,
            restarted: false,
        };
        let segment = row_segment(arriving);
        match &self.end {
            End::Closed => {
                let out = answer_from_closed(&segment);
                Answer { sent: sent(out.as_slice()), ..silent }
            }
            End::Listener => super::listener::observe(&segment, silent),
            End::HalfOpen(record) => self.observe_half_open(record, segment, silent),
            End::Connection(connection) => self.observe_connection((**connection).clone(), arriving, segment),
        }
    }

    fn observe_half_open(&self, record: &HalfOpen, segment: Segment, silent: Answer) -> Answer {
        let mut record = record.clone();
        match record.handle_segment(&segment) {
            HalfOpenAnswer::Stays | HalfOpenAnswer::Dropped(_) => {
                let out = record.poll_transmit(self.now, &self.config);
                Answer { sent: sent(out.as_slice()), ..silent }
            }
            HalfOpenAnswer::Reset(out) => Answer { sent: sent(&[out]), ..silent },
            HalfOpenAnswer::Gone => Answer { state: TcpState::Listen, ..silent },
            HalfOpenAnswer::Establish => {
                let mut connection = Connection::closed(&self.config, &options(), &record.setup());
                record.establish(&mut connection, Tracing::Off);
                let arriving = arriving_of(&segment);
                self.observe_connection(connection, &arriving, segment)
            }
        }
    }

    fn observe_connection(
        &self,
        mut connection: Connection,
        arriving: &Arriving,
        segment: Segment,
    ) -> Answer {
        let now = self.now;
        let wait = connection.time_wait();
        let of_record = wait.map(|mut wait| wait.handle_segment(now, &self.config, 0, &segment));
        if let Some(TimeWaitAnswer::NewSyn { least_iss }) = of_record {
            // What the host does then is shown by scripts: a listener takes the SYN.
            assert!(least_iss.after(self.situation.snd_nxt + u32::from(PEER_WINDOWS[1])));
            let setup = Setup { iss: least_iss, ..setup() };
            let mut record = HalfOpen::new(now, &self.config, &options(), &setup, &segment);
            let out = record.poll_transmit(now, &self.config);
            let state = TcpState::SynReceived;
            let sent = sent(out.as_slice());
            return Answer {
                sent,
                state,
                error: None,
                delivered: 0,
                held: 0,
                urgent: None,
                restarted: false,
            };
        }
        let unread = connection.receive_len();
        connection.handle_segment(now, segment);
        let mut outs = Vec::new();
        while let Some(out) = connection.poll_transmit(now) {
            outs.push(out);
        }
        match of_record {
            // The compact record, once the application is gone, says the same.
            Some(TimeWaitAnswer::Acknowledge(out)) => assert_eq!(sent(&outs), sent(&[out])),
            Some(_) => assert!(outs.is_empty()),
            None => {}
        }
        let mut urgent = None;
        while let Some(event) = connection.poll_event() {
            if event == Event::Urgent {
                urgent = Some(connection.urgent_len() - unread as u32);
            }
        }
        let (state, error) = (connection.state(), connection.error());
        let restarted =
            wait.zip(connection.time_wait()).is_some_and(|(old, new)| new.expires() > old.expires());
        let delivered = read(&mut connection, now).0.saturating_sub(unread as u32);
        let held = self.held_bytes(connection, arriving, delivered);
        Answer { sent: sent(&outs), state, error, delivered, held, urgent, restarted }
    }

    /// How much waits behind a gap: it is filled, and what can be read then is more than was missing. A FIN
    /// counts one.
    fn held_bytes(&self, mut connection: Connection, arriving: &Arriving, delivered: u32) -> u32 {
        let situation = &self.situation;
        let start = match (situation.state, connection.state()) {
            (TcpState::SynSent, TcpState::SynReceived) => arriving.seq + 1,
            (_, TcpState::Established | TcpState::FinWait1 | TcpState::FinWait2) => {
                situation.rcv_nxt + delivered
            }
            _ => return 0,
        };
        if situation.state == TcpState::SynSent && connection.state() != TcpState::SynReceived {
            return 0;
        }
        let gap = arriving.first();
        let missing = if gap.after(start) { gap.since(start).min(situation.rcv_wnd - delivered) } else { 0 };
        if situation.reader == Reader::Gone {
            return 0;
        }
        let now = self.now + Duration::from_millis(1);
        let filler = Arriving { flags: ACK, seq: start, ack: situation.snd_nxt, text: missing, ..nothing() };
        connection.handle_segment(now, segment(&filler, PEER_WINDOWS[2]));
        let (read, end) = read(&mut connection, now);
        assert!(read >= missing, "{}: {arriving:?}: {missing} bytes fill a gap, {read} read", self.name);
        read - missing + u32::from(end)
    }
}

/// Reads all there is; true at the end of data.
fn read(connection: &mut Connection, now: Instant) -> (u32, bool) {
    let mut total = 0;
    while let Ok(bytes) = connection.receive_bytes(now, usize::MAX) {
        if bytes.is_empty() {
            return (total, true);
        }
        total += bytes.len() as u32;
    }
    (total, false)
}

/// What the peer sees of it.
pub(super) fn sent(outs: &[SegmentOut]) -> Sent {
    let out = match outs {
        [] => return Sent::Nothing,
        [out] => out,
        _ => return Sent::Unexpected,
    };
    let TcpHeader { seq, ack, flags, .. } = out.header;
    let bare = out.payload.is_empty() && !flags.fin() && !flags.urg();
    match (bare, flags.syn(), flags.rst(), flags.ack()) {
        (true, true, false, true) => Sent::SynAck { ack: ack.0 },
        (true, false, true, with_ack) => Sent::Reset { seq: seq.0, ack: with_ack.then_some(ack.0) },
        (true, false, false, true) if out.transmission == Transmission::ChallengeAck => {
            Sent::ChallengeAck { seq: seq.0, ack: ack.0 }
        }
        (true, false, false, true) => Sent::Ack { seq: seq.0, ack: ack.0 },
        _ => Sent::Unexpected,
    }
}

fn nothing() -> Arriving {
    Arriving { flags: TcpFlags(0), seq: SeqNum(0), ack: SeqNum(0), up: 0, text: 0 }
}

fn arriving_of(segment: &Segment) -> Arriving {
    let TcpHeader { flags, seq, ack, urgent, .. } = segment.header;
    Arriving { flags, seq, ack, up: urgent, text: segment.payload.len() as u32 }
}

/// The segment of a row.
pub(super) fn row_segment(arriving: &Arriving) -> Segment {
    segment(arriving, PEER_WINDOWS[2])
}

fn segment(arriving: &Arriving, window: u16) -> Segment {
    let header = TcpHeader {
        source_port: PORTS.1,
        destination_port: PORTS.0,
        seq: arriving.seq,
        ack: arriving.ack,
        flags: arriving.flags,
        window,
        urgent: arriving.up,
        ..TcpHeader::default()
    };
    let payload = Payload::from(Bytes::from_static(&TEXT[..arriving.text as usize]));
    Segment { header, payload, ..Segment::default() }
}
