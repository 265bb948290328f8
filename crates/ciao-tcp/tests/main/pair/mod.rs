//! Two connections joined by a link in virtual time. What the link does to each segment is said by its
//! number, so that a test can walk through every loss there is.

use ciao_tcp::{
    Config, Connection, HalfOpen, HalfOpenAnswer, HalfOpenFate, Segment, SegmentOut, Setup, SocketOptions,
    TcpState, Timer, TraceEvent, Tracing,
};
use ciao_wire::{Instant, SeqNum, TcpFlags};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Client, Self::Server];

    pub(crate) fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What the link does to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    Twice,
    /// It arrives behind the next one of the same direction.
    Behind,
}

/// What the link does to PSH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Push {
    AsSent,
    Cleared,
}

/// Everything that distinguishes one run from another.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) delay: Duration,
    /// By the number of the segment, counted over both directions from the SYN on.
    pub(crate) fates: BTreeMap<usize, Fate>,
    pub(crate) push: Push,
}

impl Default for Link {
    fn default() -> Self {
        Self { delay: Duration::from_millis(10), fates: BTreeMap::new(), push: Push::AsSent }
    }
}

/// An end and what is known of it.
pub(crate) struct End {
    config: Arc<Config>,
    half_open: Option<HalfOpen>,
    pub(crate) connection: Option<Connection>,
    /// The moments at which TIME-WAIT began or began anew.
    pub(crate) time_wait_since: Vec<Instant>,
    pub(crate) closed_at: Option<Instant>,
    pub(crate) moves: Vec<(TcpState, TcpState)>,
    /// Called before a connection takes a segment, and before it is asked for one.
    pub(crate) witness: Witness,
}

/// What wants to see a connection before its next move.
#[derive(Clone, Copy)]
pub(crate) struct Witness {
    pub(crate) before_segment: fn(&Connection, Instant, &Segment),
    pub(crate) before_transmit: fn(&Connection, Instant),
}

impl End {
    fn new(config: &Arc<Config>) -> Self {
        Self {
            config: Arc::clone(config),
            half_open: None,
            connection: None,
            time_wait_since: Vec::new(),
            closed_at: None,
            moves: Vec::new(),
            witness: Witness { before_segment: |_, _, _| (), before_transmit: |_, _| () },
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let connection = self.connection.as_ref().and_then(|connection| connection.poll_timeout());
        let half_open = self.half_open.as_ref().map(HalfOpen::poll_timeout);
        connection.map(|wakeup| wakeup.at).into_iter().chain(half_open).min()
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<SegmentOut> {
        if let Some(half_open) = &mut self.half_open {
            return half_open.poll_transmit(now, &self.config);
        }
        let connection = self.connection.as_mut()?;
        (self.witness.before_transmit)(connection, now);
        connection.poll_transmit(now)
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some(half_open) = &mut self.half_open
            && half_open.handle_timeout(now) == HalfOpenFate::Dies
        {
            self.half_open = None;
        }
        if let Some(connection) = &mut self.connection {
            connection.handle_timeout(now);
        }
    }

    fn handle_segment(&mut self, now: Instant, segment: Segment) {
        if let Some(connection) = &mut self.connection {
            (self.witness.before_segment)(connection, now, &segment);
            connection.handle_segment(now, segment);
            return;
        }
        let Some(half_open) = &mut self.half_open else {
            if segment.header.flags == TcpFlags::SYN {
                let setup = setup(2, 1, 3_000_000_000);
                self.half_open =
                    Some(HalfOpen::new(now, &self.config, &SocketOptions::DEFAULT, &setup, &segment));
            }
            return;
        };
        if let HalfOpenAnswer::Establish = half_open.handle_segment(&segment) {
            let half_open = self.half_open.take().expect("it was just there");
            let options = SocketOptions::DEFAULT;
            let mut connection = Connection::closed(&self.config, &options, &half_open.setup());
            half_open.establish(&mut connection, Tracing::On);
            connection.handle_segment(now, segment);
            self.connection = Some(connection);
        }
    }

    fn observe(&mut self, now: Instant) {
        let Some(connection) = &mut self.connection else { return };
        for event in connection.drain_trace() {
            match event {
                TraceEvent::TimerSet { timer: Timer::TimeWait, .. } => self.time_wait_since.push(now),
                TraceEvent::StateChanged { from, to, .. } => {
                    self.moves.push((from, to));
                    if to == TcpState::Closed {
                        self.closed_at = Some(now);
                    }
                }
                _ => {}
            }
        }
        while connection.poll_event().is_some() {}
    }
}

/// The two ends, the link between them, and the time.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) client: End,
    pub(crate) server: End,
    pub(crate) link: Link,
    /// Segments sent so far, lost ones included.
    pub(crate) sent: usize,
    in_flight: BTreeMap<(Instant, usize), (Side, Segment)>,
    sequence: usize,
    held: [Option<Segment>; 2],
}

impl Pair {
    pub(crate) fn new(client: &Arc<Config>, server: &Arc<Config>, link: Link) -> Self {
        let now = Instant::from_secs(1);
        let mut pair = Self {
            now,
            client: End::new(client),
            server: End::new(server),
            link,
            sent: 0,
            in_flight: BTreeMap::new(),
            sequence: 0,
            held: [None, None],
        };
        let setup = setup(1, 2, u32::MAX - 500);
        let connection =
            pair.client.connection.insert(Connection::closed(client, &SocketOptions::DEFAULT, &setup));
        connection.connect();
        pair.flush();
        pair
    }

    pub(crate) fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Sends all that either end has to send now, and notes what happened.
    pub(crate) fn flush(&mut self) {
        for side in Side::BOTH {
            let now = self.now;
            while let Some(segment) = self.end(side).poll_transmit(now) {
                self.transmit(side, segment);
            }
            self.end(side).observe(now);
        }
    }

    fn transmit(&mut self, from: Side, out: SegmentOut) {
        let mut segment = Segment {
            header: out.header,
            payload: out.payload,
            segment_size: out.segment_size,
            ecn: out.ecn,
        };
        if self.link.push == Push::Cleared {
            segment.header.flags.0 &= !TcpFlags::PSH.0;
        }
        let number = self.sent;
        self.sent += 1;
        let fate = self.link.fates.get(&number).copied();
        let held = self.held[from as usize].take();
        match fate {
            Some(Fate::Lost) => {}
            Some(Fate::Twice) => {
                self.schedule(from, segment.clone());
                self.schedule(from, segment);
            }
            Some(Fate::Behind) => self.held[from as usize] = Some(segment),
            None => self.schedule(from, segment),
        }
        if let Some(held) = held {
            self.schedule(from, held);
        }
    }

    fn schedule(&mut self, from: Side, segment: Segment) {
        self.sequence += 1;
        self.in_flight.insert((self.now + self.link.delay, self.sequence), (from.peer(), segment));
    }

    /// Goes on to the next moment at which something happens: a segment arrives, a timer fires, or `until` is
    /// reached.
    /// `false` when nothing is left to happen before that.
    pub(crate) fn step(&mut self, until: Instant) -> bool {
        let arrival = self.in_flight.keys().next().map(|(at, _)| *at);
        let deadline = [self.client.next_deadline(), self.server.next_deadline()].into_iter().flatten().min();
        let next = arrival.into_iter().chain(deadline).min();
        let Some(next) = next.filter(|next| *next <= until) else {
            self.now = until.min(Instant::NEVER);
            return false;
        };
        self.now = next;
        while let Some(entry) = self.in_flight.first_entry().filter(|entry| entry.key().0 <= next) {
            let (to, segment) = entry.remove();
            self.end(to).handle_segment(next, segment);
            self.flush();
        }
        for side in Side::BOTH {
            self.end(side).handle_timeout(next);
        }
        self.flush();
        true
    }
}

fn setup(local_port: u16, remote_port: u16, iss: u32) -> Setup {
    Setup {
        local_port,
        remote_port,
        iss: SeqNum(iss),
        timestamp_offset: iss,
        announce_mss: 1460,
        default_mss: 536,
        tracing: Tracing::On,
    }
}

/// `len` bytes that differ from place to place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}
