//! What answers the segments of a script? [`Endpoint`]: a port as a host sees it, with one connection at
//! most.
//!
//! It is the smallest host there can be: no addresses, no tables, one port. Which of the records of
//! `ciao-tcp` gets a
//! segment follows from the state; what they answer is theirs.

use crate::options::ScriptOptions;
use ciao_tcp::isn::Secret;
use ciao_tcp::syn_cookies::Ends;
use ciao_tcp::{
    Belief, Config, Connection, DropReason, Event, HalfOpen, HalfOpenAnswer, HalfOpenFate, IcmpError,
    Segment, SegmentOut, Setup, TcpState, TimeWait, TimeWaitAnswer, TraceEvent, Tracing, answer_from_closed,
};
use ciao_wire::{Instant, SeqNum};
use std::collections::VecDeque;
use std::sync::Arc;

/// Our port.
pub const LOCAL_PORT: u16 = 40_000;
/// The port of the script's end.
pub const REMOTE_PORT: u16 = 8080;
/// Our first ISS: the number space ends a little later, so that every longer script crosses its end.
const ISS: SeqNum = SeqNum(u32::MAX - 3000);
/// The offset of our timestamp clock.
const TIMESTAMP_OFFSET: u32 = 0xffff_f000;
/// What cookies are made with.
const SECRET: Secret = Secret::new(*b"known to scripts");
/// More segments than this without time passing: the stack is in a loop.
const SEGMENTS_AT_ONCE_MAX: usize = 100_000;

/// One port, and the connection under test on it.
#[derive(Debug)]
pub struct Endpoint {
    config: Arc<Config>,
    options: ScriptOptions,
    record: Record,
    listening: bool,
    iss: SeqNum,
    /// What was sent and the script has not yet expected.
    pub outbox: VecDeque<Sent>,
    /// Events since the last one that was checked.
    pub events: Vec<Event>,
    /// Why segments were dropped.
    pub dropped: Vec<DropReason>,
}

/// A segment on its way out.
#[derive(Debug)]
pub struct Sent {
    /// When it was sent.
    pub at: Instant,
    /// The segment, as large as the wire takes it.
    pub segment: SegmentOut,
}

#[derive(Debug)]
enum Record {
    Closed,
    HalfOpen(HalfOpen),
    Connection(Box<Connection>),
    TimeWait(TimeWait),
}

impl Endpoint {
    /// A closed port.
    #[must_use]
    pub fn new(options: &ScriptOptions) -> Self {
        Self {
            config: Arc::new(options.config.clone()),
            options: options.clone(),
            record: Record::Closed,
            listening: false,
            iss: ISS,
            outbox: VecDeque::new(),
            events: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// ISS of the connection under test.
    #[must_use]
    pub fn iss(&self) -> SeqNum {
        self.iss
    }

    /// What is added to our timestamps.
    #[must_use]
    pub fn timestamp_offset(&self) -> u32 {
        TIMESTAMP_OFFSET
    }

    /// The connection, if there is one that an application could hold.
    #[must_use]
    pub fn connection(&mut self) -> Option<&mut Connection> {
        match &mut self.record {
            Record::Connection(connection) => Some(connection),
            _ => None,
        }
    }

    /// The state that STATUS would show.
    #[must_use]
    pub fn state(&self) -> TcpState {
        match &self.record {
            Record::Closed if self.listening => TcpState::Listen,
            Record::Closed => TcpState::Closed,
            Record::HalfOpen(_) => TcpState::SynReceived,
            Record::Connection(connection) => connection.state(),
            Record::TimeWait(_) => TcpState::TimeWait,
        }
    }

    /// OPEN, active.
    pub fn connect(&mut self, now: Instant) {
        let connection = Connection::connect(now, &self.config, self.options.socket, self.setup());
        self.record = Record::Connection(Box::new(connection));
    }

    /// OPEN, passive.
    pub fn listen(&mut self) {
        self.listening = true;
    }

    fn setup(&self) -> Setup {
        Setup {
            local_port: LOCAL_PORT,
            remote_port: REMOTE_PORT,
            iss: self.iss,
            timestamp_offset: TIMESTAMP_OFFSET,
            announce_mss: self.options.announce_mss,
            default_mss: self.options.default_mss,
            tracing: Tracing::On,
        }
    }

    /// A segment arrives.
    pub fn handle_segment(&mut self, now: Instant, segment: Segment) {
        if self.state() == TcpState::Closed && self.listening {
            // The application may still hold the old connection; the host no longer looks there.
            self.record = Record::Closed;
        }
        match &mut self.record {
            Record::Closed if self.listening => self.in_listen(now, &segment),
            Record::Closed => self.send(now, answer_from_closed(&segment)),
            Record::HalfOpen(_) => self.in_syn_received(now, segment),
            Record::Connection(connection) => {
                let reused = connection.time_wait().and_then(|mut record| {
                    match record.handle_segment(now, &self.config, &segment) {
                        TimeWaitAnswer::NewSyn { least_iss } if self.listening => Some(least_iss),
                        _ => None,
                    }
                });
                match reused {
                    Some(least_iss) => self.reuse(now, least_iss, &segment),
                    None => connection.handle_segment(now, segment),
                }
            }
            Record::TimeWait(record) => match record.handle_segment(now, &self.config, &segment) {
                TimeWaitAnswer::Acknowledge(answer) => self.send(now, Some(answer)),
                TimeWaitAnswer::Dropped(reason) => self.dropped.push(reason),
                TimeWaitAnswer::NewSyn { least_iss } if self.listening => {
                    self.reuse(now, least_iss, &segment)
                }
                TimeWaitAnswer::NewSyn { .. } => self.send(now, answer_from_closed(&segment)),
            },
        }
    }

    fn reuse(&mut self, now: Instant, least_iss: SeqNum, syn: &Segment) {
        self.iss = least_iss;
        self.record = Record::Closed;
        self.in_listen(now, syn);
    }

    /// RFC 9293 §3.10.7.2.
    fn in_listen(&mut self, now: Instant, segment: &Segment) {
        let flags = segment.header.flags;
        if flags.ack() && !flags.rst() {
            if self.options.syn_cookies && !flags.syn() && self.take_cookie(now, segment) {
                return;
            }
            self.send(now, answer_from_closed(segment));
        } else if flags.syn() && !flags.rst() && self.options.syn_cookies {
            let (setup, socket) = (self.setup(), &self.options.socket);
            let config = &self.config;
            let syn_ack = HalfOpen::cookie_syn_ack((now, &SECRET), ends(), config, socket, setup, segment);
            self.iss = syn_ack.header.seq;
            self.send(now, Some(syn_ack));
        } else if flags.syn() && !flags.rst() {
            let record = HalfOpen::new(now, &self.config, &self.options.socket, &self.setup(), segment);
            self.record = Record::HalfOpen(record);
        } else {
            self.dropped.push(DropReason::NotForListener);
        }
    }

    /// Makes a connection of the SYN cookie that `ack` brings back, if it is good.
    fn take_cookie(&mut self, now: Instant, ack: &Segment) -> bool {
        let (setup, socket) = (self.setup(), self.options.socket);
        let record = HalfOpen::from_cookie((now, &SECRET), ends(), &self.config, &socket, setup, ack);
        let Some(record) = record else { return false };
        let mut connection = record.establish(&self.config, socket, Tracing::On);
        connection.handle_segment(now, ack.clone());
        self.record = Record::Connection(Box::new(connection));
        true
    }

    fn in_syn_received(&mut self, now: Instant, segment: Segment) {
        let Record::HalfOpen(record) = &mut self.record else { return };
        match record.handle_segment(&segment) {
            HalfOpenAnswer::Stays => {}
            HalfOpenAnswer::Dropped(reason) => self.dropped.push(reason),
            HalfOpenAnswer::Reset(reset) => self.send(now, Some(reset)),
            HalfOpenAnswer::Gone => self.record = Record::Closed,
            HalfOpenAnswer::Establish => {
                let options = self.options.socket;
                let mut connection = record.clone().establish(&self.config, options, Tracing::On);
                connection.handle_segment(now, segment);
                self.record = Record::Connection(Box::new(connection));
            }
        }
    }

    /// An ICMP error arrives.
    ///
    /// # Errors
    /// When there is no connection.
    pub fn handle_icmp(&mut self, error: IcmpError) -> Result<Belief, String> {
        let state = self.state();
        let connection = self.connection().ok_or_else(|| format!("no connection in {state}"))?;
        Ok(connection.handle_icmp(error))
    }

    /// When to call `handle_timeout`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.record {
            Record::Closed => None,
            Record::HalfOpen(record) => Some(record.poll_timeout()),
            Record::Connection(connection) => connection.poll_timeout().map(|wakeup| wakeup.at),
            Record::TimeWait(record) => Some(record.expires()),
        }
    }

    /// The time that `poll_timeout` named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.record {
            Record::Closed => {}
            Record::HalfOpen(record) => {
                if record.handle_timeout(now) == HalfOpenFate::Dies {
                    self.record = Record::Closed;
                }
            }
            Record::Connection(connection) => connection.handle_timeout(now),
            Record::TimeWait(_) => self.record = Record::Closed,
        }
    }

    /// Takes out what follows from the last input.
    ///
    /// # Errors
    /// When an invariant of the connection is broken, in words.
    pub fn drain(&mut self, now: Instant) -> Result<(), String> {
        for _ in 0..SEGMENTS_AT_ONCE_MAX {
            let segment = match &mut self.record {
                Record::HalfOpen(record) => record.poll_transmit(now, &self.config),
                Record::Connection(connection) => connection.poll_transmit(now),
                Record::Closed | Record::TimeWait(_) => None,
            };
            if segment.is_none() {
                return self.settle(now);
            }
            self.send(now, segment);
        }
        Err(format!("more than {SEGMENTS_AT_ONCE_MAX} segments are sent and no time passes"))
    }

    /// What a host does once nothing more comes out.
    fn settle(&mut self, now: Instant) -> Result<(), String> {
        let Record::Connection(connection) = &mut self.record else { return Ok(()) };
        self.events.extend(core::iter::from_fn(|| connection.poll_event()));
        self.dropped.extend(connection.drain_trace().filter_map(|event| match event {
            TraceEvent::Dropped { reason, .. } => Some(reason),
            _ => None,
        }));
        let wakeup = connection.poll_timeout();
        if connection.stats().flight_bytes > 0 && wakeup.is_none() {
            return Err("bytes are in flight and no timer is set".to_owned());
        }
        if wakeup.is_some_and(|wakeup| wakeup.at <= now) {
            return Err(format!("all is done at {now}, and still {wakeup:?} is due"));
        }
        if connection.is_orphan() {
            // Nobody holds it: a host keeps no more of it than it must.
            if let Some(record) = connection.time_wait() {
                self.record = Record::TimeWait(record);
            } else if connection.is_finished() {
                self.record = Record::Closed;
            }
        }
        Ok(())
    }

    /// Cuts a super-segment as a link does, and puts it into the outbox.
    fn send(&mut self, at: Instant, segment: Option<SegmentOut>) {
        let Some(mut rest) = segment else { return };
        let size = usize::from(rest.segment_size);
        rest.segment_size = 0;
        while size > 0 && rest.payload.len() > size {
            let mut front = rest.clone();
            front.payload.truncate(size);
            front.header.flags.0 &= !(ciao_wire::TcpFlags::FIN | ciao_wire::TcpFlags::PSH).0;
            rest.payload.advance(size);
            rest.header.seq += u32::from(segment_size(size));
            self.outbox.push_back(Sent { at, segment: front });
        }
        self.outbox.push_back(Sent { at, segment: rest });
    }
}

/// The addresses that cookies are made for; scripts have no others.
fn ends() -> Ends {
    (([192, 0, 2, 1], LOCAL_PORT).into(), ([192, 0, 2, 2], REMOTE_PORT).into())
}

fn segment_size(size: usize) -> u16 {
    u16::try_from(size).expect("it came from 16 bits")
}
