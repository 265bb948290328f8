//! A segment has arrived: whose is it? (RFC 9293 §3.10.7, before a connection looks at it)
//!
//! What the connection, the half-open record or the TIME-WAIT record does with it is decided in `ciao-tcp`.

use crate::carrier::PlainSegment;
use crate::context::{Context, Origin};
use crate::demux::{Endpoints, Holder};
use crate::error::HostDropReason;
use crate::icmp::Reported;
use crate::ids::ConnectionId;
use crate::path_mtus;
use crate::request::{IpOptions, Overflow};
use crate::tcp::half_opens::{HalfOpenEntry, Link};
use crate::tcp::listeners::Listener;
use crate::tcp::tables::{Owner, Reach};
use crate::tcp::{Tcp, headers_len, limit_to_path, local_of};
use crate::trace::{HostTraceEvent, Opening};
use ciao_tcp::icmp::{Belief, IcmpError, IcmpErrorKind};
use ciao_tcp::isn::Offsets;
use ciao_tcp::{
    Cause, DropReason, HalfOpen, HalfOpenAnswer, Prediction, Segment, SegmentOut, TcpState, TimeWaitAnswer,
    TraceEvent, answer_from_closed,
};
use ciao_wire::quote::Quote;
use ciao_wire::{Instant, Payload, SeqNum};
use core::panic::Location;

/// A segment for one of our addresses, or several that were merged.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Of the packet that carried it, the last one when it was merged.
    pub(crate) origin: Origin,
    pub(crate) endpoints: Endpoints,
    pub(crate) segment: Segment,
}

/// Who has the endpoints of a SYN that may begin a new connection, and the least number to begin it with.
pub(crate) type Predecessor = (Holder, SeqNum);

impl Tcp {
    /// Handles a segment whose checksum is right and whose addresses may be talked to.
    pub(crate) fn handle_segment(&mut self, context: &mut Context, now: Instant, arrival: &mut Arrival) {
        let packet = arrival.origin.packet;
        let handled = match self.tables.find_receiver(&arrival.endpoints) {
            Some(Holder::Connection(index)) => self.for_connection(context, now, index, arrival),
            Some(Holder::HalfOpen(index)) => self.for_half_open(context, now, index, arrival),
            Some(Holder::TimeWait(index)) => self.for_time_wait(context, now, index, arrival),
            None => self.for_listener(context, now, arrival, None),
        };
        if let Err(reason) = handled {
            context.drop_packet(now, packet, reason);
        }
    }

    /// Gives the connection that the last segment was for what it is likely to expect. Of a segment that it
    /// does not take nothing has changed.
    #[inline]
    pub(crate) fn handle_plain(
        &mut self,
        context: &mut Context,
        now: Instant,
        segment: &PlainSegment,
        payload: &mut Payload,
    ) -> Prediction {
        let Some((index, socket)) = self.tables.last_receiver(&segment.endpoints) else {
            return Prediction::Failed;
        };
        socket.connection.set_memory(self.memory.level());
        let held = socket.connection.handle_plain(now, &segment.header, payload, segment.headers_len);
        if held == Prediction::Held {
            self.after_input(context, now, index);
        }
        held
    }

    /// Hands an ICMP error to the connection whose packet it quotes.
    ///
    /// # Errors
    /// Why the error goes no further.
    // RFC 9293 §3.9.2.2 MUST-54
    // RFC 5927 §4.1 5927-4a: the connection checks the quoted number
    pub(crate) fn handle_icmp(
        &mut self,
        context: &mut Context,
        now: Instant,
        reported: Reported,
        quote: &Quote,
    ) -> Result<(), HostDropReason> {
        let unknown = HostDropReason::IcmpQuoteUnknown;
        let local = context.interfaces.local(quote.source.ip()).ok_or(unknown)?;
        let endpoints = Endpoints::new(local, quote.source.port(), quote.destination);
        let kind = match path_mtus::claimed_mtu(reported, quote) {
            Some(mtu) => IcmpErrorKind::PacketTooBig { mss: mtu - headers_len(quote.destination.ip()) },
            None => reported.meaning().ok_or(HostDropReason::IcmpIgnored)?,
        };
        // A half-open connection goes on trying, and one in TIME-WAIT has nothing to lose.
        let Some(Holder::Connection(index)) = self.tables.find(&endpoints) else { return Err(unknown) };
        let socket = &mut self.tables.sockets[index as usize];
        context.trace.attribute(socket.id);
        match socket.connection.handle_icmp(now, IcmpError { kind, quoted_seq: quote.seq }) {
            Belief::Believed => {
                self.after_input(context, now, index);
                Ok(())
            }
            Belief::Ignored => Err(unknown),
        }
    }

    fn for_connection(
        &mut self,
        context: &mut Context,
        now: Instant,
        index: u32,
        arrival: &mut Arrival,
    ) -> Result<(), HostDropReason> {
        let socket = &mut self.tables.sockets[index as usize];
        if socket.connection.state() == TcpState::TimeWait
            && let Some(mut wait) = socket.connection.time_wait()
            && let answer = wait.handle_segment(now, &context.config.tcp, 0, &arrival.segment)
            && let TimeWaitAnswer::NewSyn { least_iss } = answer
            && self.listeners.of(&arrival.endpoints).is_some()
        {
            return self.for_listener(context, now, arrival, Some((Holder::Connection(index), least_iss)));
        }
        context.trace.attribute(socket.id);
        socket.connection.set_memory(self.memory.level());
        socket.connection.handle_segment(now, &mut arrival.segment);
        self.after_input(context, now, index);
        Ok(())
    }

    fn for_half_open(
        &mut self,
        context: &mut Context,
        now: Instant,
        index: u32,
        arrival: &mut Arrival,
    ) -> Result<(), HostDropReason> {
        let entry = &mut self.tables.half_open[index];
        let id = entry.id;
        context.trace.attribute(id);
        match entry.half_open.handle_segment(&arrival.segment) {
            HalfOpenAnswer::Stays => self.serve_half_open(context, now, index),
            HalfOpenAnswer::Dropped(reason) => {
                record_drop(context, now, Some(id), reason);
                self.serve_half_open(context, now, index);
                return Err(HostDropReason::HalfOpen);
            }
            HalfOpenAnswer::Reset(segment) => {
                let ip = self.listeners.at(entry.listener).ip;
                reply(context, now, arrival, segment, (Some(id), ip));
                return Err(HostDropReason::HalfOpen);
            }
            // RFC 9293 §3.5 MUST-11
            HalfOpenAnswer::Gone => self.drop_half_open(context, now, index, Cause::ResetReceived),
            HalfOpenAnswer::Establish => return self.establish(context, now, index, arrival),
        }
        Ok(())
    }

    /// The handshake is complete: the record becomes a connection, when there is room for it.
    fn establish(
        &mut self,
        context: &mut Context,
        now: Instant,
        index: u32,
        arrival: &mut Arrival,
    ) -> Result<(), HostDropReason> {
        let listener = self.tables.half_open[index].listener;
        if let Err(reason) = self.check_room_to_accept(context, listener) {
            if self.listeners.at(listener).overflow == Overflow::Drop {
                return Err(reason);
            }
            self.drop_half_open(context, now, index, Cause::Aborted);
            let ip = self.listeners.at(listener).ip;
            return Err(reset_answer(context, now, arrival, ip, reason));
        }
        let entry = self.tables.half_open[index].clone();
        let new = self.adopt(context, now, &entry);
        self.tables.succeed(Holder::HalfOpen(index), Holder::Connection(new));
        self.forget_half_open(index);
        self.complete_handshake(context, now, new, &mut arrival.segment);
        Ok(())
    }

    /// Whether one more connection may wait to be accepted.
    pub(crate) fn check_room_to_accept(
        &self,
        context: &Context,
        listener: u32,
    ) -> Result<(), HostDropReason> {
        if !self.listeners.at(listener).has_room_to_accept() {
            return Err(HostDropReason::AcceptQueueFull);
        }
        if self.tables.sockets.len() >= context.config.max_connections {
            return Err(HostDropReason::TooManyConnections);
        }
        Ok(())
    }

    /// Makes a connection of a half-open record, in SYN-RECEIVED and not yet listed.
    pub(crate) fn adopt(&mut self, context: &Context, now: Instant, entry: &HalfOpenEntry) -> u32 {
        let HalfOpenEntry { ref half_open, id, endpoints, interface, listener, link: _ } = *entry;
        let Listener { options, ip, .. } = self.listeners.at(listener);
        let begin = (options, &half_open.setup());
        let way = (interface, *ip);
        let owner = Owner::Listener(listener);
        let index = self.tables.keep(&context.config.tcp, begin, (id, endpoints), way, owner);
        let connection = &mut self.tables.sockets[index as usize].connection;
        half_open.establish(connection, context.config.trace);
        limit_to_path(context, now, connection, endpoints.remote_address());
        index
    }

    /// Gives a new connection the segment that completes its handshake.
    pub(crate) fn complete_handshake(
        &mut self,
        context: &mut Context,
        now: Instant,
        index: u32,
        segment: &mut Segment,
    ) {
        let connection = &mut self.tables.sockets[index as usize].connection;
        connection.set_memory(self.memory.level());
        connection.handle_segment(now, segment);
        if connection.state() == TcpState::SynReceived {
            // The record and the connection disagree; nobody would ever hold it.
            self.abort_unowned(context, now, index);
        } else {
            self.after_input(context, now, index);
        }
    }

    // RFC 9293 §3.10.7.4 in TIME-WAIT
    fn for_time_wait(
        &mut self,
        context: &mut Context,
        now: Instant,
        index: u32,
        arrival: &mut Arrival,
    ) -> Result<(), HostDropReason> {
        let id = self.tables.time_waits.id(index);
        let mut wait = *self.tables.time_waits.wait(index);
        let local = local_of(context, &arrival.endpoints);
        let offset = Offsets::of(&self.secret, local, arrival.endpoints.remote()).timestamp();
        let answer = wait.handle_segment(now, &context.config.tcp, offset, &arrival.segment);
        self.tables.time_waits.update(index, wait);
        if let Some(id) = id.filter(|_| !matches!(answer, TimeWaitAnswer::NewSyn { .. })) {
            context.trace.attribute(id);
        }
        match answer {
            TimeWaitAnswer::Acknowledge(segment) => {
                reply(context, now, arrival, segment, (id, IpOptions::default()));
                Ok(())
            }
            TimeWaitAnswer::Dropped(reason) => {
                record_drop(context, now, id, reason);
                Err(HostDropReason::TimeWait)
            }
            TimeWaitAnswer::NewSyn { .. } if self.listeners.of(&arrival.endpoints).is_none() => {
                let challenge = wait.challenge(now, offset, &arrival.segment);
                id.into_iter().for_each(|id| context.trace.attribute(id));
                record_drop(context, now, id, DropReason::UnexpectedSyn);
                reply(context, now, arrival, challenge, (id, IpOptions::default()));
                Err(HostDropReason::TimeWait)
            }
            TimeWaitAnswer::NewSyn { least_iss } => {
                self.for_listener(context, now, arrival, Some((Holder::TimeWait(index), least_iss)))
            }
        }
    }

    /// A segment that belongs to no connection, or a SYN that may take over the endpoints of one in
    /// TIME-WAIT.
    // RFC 9293 §3.10.7.1, §3.10.7.2
    fn for_listener(
        &mut self,
        context: &mut Context,
        now: Instant,
        arrival: &mut Arrival,
        predecessor: Option<Predecessor>,
    ) -> Result<(), HostDropReason> {
        let Some(index) = self.listeners.of(&arrival.endpoints) else {
            let ip = IpOptions::default();
            return Err(reset_answer(context, now, arrival, ip, HostDropReason::NoConnection));
        };
        let flags = arrival.segment.header.flags;
        if flags.rst() {
            return Err(HostDropReason::NotForListener);
        }
        if flags.ack() {
            return self.for_cookie(context, now, index, arrival);
        }
        if !flags.syn() {
            return Err(HostDropReason::NotForListener);
        }
        let listener = self.listeners.at(index);
        let full = match (listener.has_room_to_accept(), listener.has_room_for_syn()) {
            (true, true) => None,
            (false, _) => Some(HostDropReason::AcceptQueueFull),
            (true, false) => Some(HostDropReason::SynQueueFull),
        };
        if full != Some(HostDropReason::AcceptQueueFull)
            && arrival.segment.header.options.fast_open.is_some()
            && self.tables.sockets.len() < context.config.max_connections
            && self.open_early(context, now, index, arrival, predecessor)
        {
            return Ok(());
        }
        let listener = self.listeners.at(index);
        if predecessor.is_none() && listener.answers_with_cookie(full) {
            self.send_cookie(context, now, index, arrival);
            return Ok(());
        }
        match (full, listener.overflow) {
            (None, _) => self.open_half(context, now, index, arrival, predecessor),
            (Some(reason), Overflow::Drop) => return Err(reason),
            (Some(reason), Overflow::Reset) => {
                return Err(reset_answer(context, now, arrival, listener.ip, reason));
            }
        }
        Ok(())
    }

    /// A listener takes a SYN.
    fn open_half(
        &mut self,
        context: &mut Context,
        now: Instant,
        listener: u32,
        arrival: &Arrival,
        predecessor: Option<Predecessor>,
    ) {
        let Arrival { origin, endpoints, segment } = arrival;
        let mut setup = self.setup(context, now, origin.interface, endpoints);
        self.take_over(context, now, predecessor, &mut setup);
        let id = self.next_connection();
        context.trace.attribute(id);
        Self::record_opened(context, now, id, endpoints, Opening::Passive);
        Self::record_syn_received(context, now, id);
        let Listener { options, fast_open, .. } = self.listeners.at(listener);
        let mut half_open = HalfOpen::new(now, &context.config.tcp, options, &setup, segment);
        if *fast_open > 0 && segment.header.options.fast_open.is_some() {
            half_open.grant_fast_open_cookie();
        }
        let interface = origin.interface;
        let link = Link::NONE;
        let entry = HalfOpenEntry { half_open, id, endpoints: *endpoints, interface, listener, link };
        let index = self.tables.half_open.insert(entry);
        self.listeners.at_mut(listener).half_open += 1;
        self.tables.list(Holder::HalfOpen(index));
        self.serve_half_open(context, now, index);
    }

    pub(crate) fn record_syn_received(context: &mut Context, now: Instant, id: ConnectionId) {
        context.trace.record(now, Some(id), None, || {
            let (from, to) = (TcpState::Listen, TcpState::SynReceived);
            HostTraceEvent::Tcp(TraceEvent::StateChanged { from, to, cause: Cause::SynReceived })
        });
    }

    /// A connection in TIME-WAIT lets a newer one have its endpoints.
    // RFC 9293 §3.6.1 MAY-2, SHLD-4
    pub(crate) fn yield_endpoints(&mut self, context: &mut Context, now: Instant, holder: Holder) {
        match holder {
            Holder::TimeWait(index) => {
                let id = self.tables.time_waits.id(index);
                context.trace.record(now, id, None, || {
                    let (from, to) = (TcpState::TimeWait, TcpState::Closed);
                    HostTraceEvent::Tcp(TraceEvent::StateChanged { from, to, cause: Cause::TimeWaitReused })
                });
                self.remove_time_wait(index);
            }
            Holder::Connection(index) => {
                self.tables.sockets[index as usize].reach = Reach::Unlisted;
                self.tables.unlist(holder);
            }
            Holder::HalfOpen(_) => unreachable!("a half-open connection is never in TIME-WAIT"),
        }
    }
}

/// Records why a compact record does not take a segment.
#[track_caller]
fn record_drop(context: &mut Context, now: Instant, id: Option<ConnectionId>, reason: DropReason) {
    let decided_at = Location::caller();
    context.trace.record(now, id, None, || HostTraceEvent::Tcp(TraceEvent::Dropped { reason, decided_at }));
}

/// Sends `segment` back to where `arrival` came from, with what `ip` says to the network.
pub(crate) fn reply(
    context: &mut Context,
    now: Instant,
    arrival: &Arrival,
    segment: SegmentOut,
    (connection, ip): (Option<ConnectionId>, IpOptions),
) {
    let Endpoints { local, .. } = arrival.endpoints;
    let envelope = context.envelope(local, arrival.endpoints.remote_address(), ip);
    context.send_alone(now, arrival.origin.interface, &envelope, segment, connection);
}

/// Answers a segment with the RST that it deserves, at a bounded rate, and tells why the segment goes no
/// further.
// RFC 9293 §3.5.2
pub(crate) fn reset_answer(
    context: &mut Context,
    now: Instant,
    arrival: &Arrival,
    ip: IpOptions,
    reason: HostDropReason,
) -> HostDropReason {
    let Some(reset) = answer_from_closed(&arrival.segment) else { return reason };
    if !context.resets.take(now, arrival.endpoints.remote_address()) {
        return HostDropReason::RateLimited;
    }
    reply(context, now, arrival, reset, (None, ip));
    reason
}
