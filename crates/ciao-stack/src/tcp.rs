//! The TCP of a host: opening, what goes out, and what follows from every input.
//!
//! Segments that come in are in [`arrival`], the calls of applications in [`calls`], the tables in
//! [`tables`], [`listeners`] and [`time_waits`], one connection in `ciao-tcp`.
//!
//! Whatever may have made a connection want to send puts it into the queue of the ready. Nothing else is
//! asked, so that the cost of a turn does not depend on how many connections there are.

mod arrival;
mod binding;
mod calls;
mod fast_open;
mod fast_open_cache;
mod half_opens;
mod listeners;
mod syn_cookies;
mod tables;
mod time_waits;
mod timeouts;

pub(crate) use arrival::Arrival;

use crate::context::{Context, key};
use crate::counters::Counts;
use crate::demux::{Endpoints, Holder};
use crate::event::HostEvent;
use crate::ids::{ConnectionId, InterfaceId};
use crate::interface::Segmentation;
use crate::memory::Memory;
use crate::ports::Walks;
use crate::request::IpOptions;
use crate::segmentation::{Cutting, Envelope, Rest, write_plain_headers, write_tcp_headers};
use crate::trace::{HostTraceEvent, Opening};
use crate::wheel::Wheel;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use ciao_tcp::fast_open::FastOpenOutcome;
use ciao_tcp::isn::{Offsets, Secret};
use ciao_tcp::{Connection, Event, SegmentOut, Setup, TcpInfo, TcpState, TraceEvent};
use ciao_wire::{Instant, Packet};
use core::net::{IpAddr, SocketAddr};
use fast_open::FastOpens;
use listeners::{ACCEPT_TIMEOUT, Listeners};
use tables::{Owner, Reach, Readiness, Socket, Tables};
use timeouts::Waiter;

/// Segments that one connection may send before it is another one's turn. Few, so that all get on; more than
/// one, so that its records stay in the cache. A super-segment counts as one.
const SEGMENTS_PER_TURN: u8 = 8;

/// Headers of IP and TCP without options, which an MSS does not count (RFC 9293 §3.7.1).
const HEADERS_V4_BYTES: u16 = 40;
const HEADERS_V6_BYTES: u16 = 60;
/// IP headers alone.
const IPV4_HEADER_BYTES: u32 = 20;
const IPV6_HEADER_BYTES: u32 = 40;
/// The MSS of a peer that does not say it (RFC 9293 §3.7.1 MUST-15).
const DEFAULT_MSS_V4_BYTES: u16 = 536;
const DEFAULT_MSS_V6_BYTES: u16 = 1220;

/// The TCP of a host.
#[derive(Debug)]
pub(crate) struct Tcp {
    tables: Tables,
    listeners: Listeners,
    wheel: Wheel,
    /// Connections that may have something to send, in the order of their turns.
    ready: VecDeque<u32>,
    left_in_turn: u8,
    cutting: Option<Box<Cut>>,
    secret: Secret,
    walks: Walks,
    fast_opens: FastOpens,
    last_connection: ConnectionId,
    memory: Memory,
}

/// A super-segment that is being cut for a link that does not do it.
#[derive(Debug)]
struct Cut {
    cutting: Cutting,
    interface: InterfaceId,
    connection: ConnectionId,
}

impl Tcp {
    pub(crate) fn new(context: &mut Context) -> Self {
        Self {
            tables: Tables::new(key(&mut context.random)),
            listeners: Listeners::default(),
            wheel: Wheel::new(),
            ready: VecDeque::new(),
            left_in_turn: SEGMENTS_PER_TURN,
            cutting: None,
            secret: Secret::new(key(&mut context.random)),
            walks: Walks::new(key(&mut context.random)),
            fast_opens: FastOpens::new(context),
            last_connection: ConnectionId(0),
            memory: Memory::new(context.config.memory),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            listeners: self.listeners.len(),
            half_open: self.tables.half_open.len(),
            connections: self.tables.sockets.len(),
            time_wait: self.tables.time_waits.len(),
            buffered_bytes: self.memory.bytes(),
        }
    }

    /// Entries that the timing wheel has looked at.
    pub(crate) fn timer_steps(&self) -> u64 {
        self.wheel.steps()
    }

    /// The records in TIME-WAIT.
    pub(crate) fn time_waits<'a>(
        &'a self,
        context: &'a Context,
    ) -> impl Iterator<Item = (SocketAddr, SocketAddr, Instant)> + 'a {
        self.tables
            .time_waits
            .iter()
            .map(|(endpoints, expires)| (local_of(context, &endpoints), endpoints.remote(), expires))
    }

    fn next_connection(&mut self) -> ConnectionId {
        self.last_connection.0 += 1;
        self.last_connection
    }

    /// What a new connection is told.
    // RFC 6528 §3 6528-1; RFC 9293 §3.7.1 SHLD-6, MUST-67; RFC 8200 §5 8200-5
    fn setup(&self, context: &Context, now: Instant, interface: InterfaceId, endpoints: &Endpoints) -> Setup {
        let local = local_of(context, endpoints);
        let remote = endpoints.remote();
        let mtu = context.interfaces.config(interface).mtu;
        let headers = headers_len(remote.ip());
        let offsets = Offsets::of(&self.secret, local, remote);
        let default_mss = if remote.is_ipv4() { DEFAULT_MSS_V4_BYTES } else { DEFAULT_MSS_V6_BYTES };
        Setup {
            local_port: endpoints.local_port,
            remote_port: endpoints.remote_port,
            iss: offsets.initial_sequence(now),
            timestamp_offset: offsets.timestamp(),
            announce_mss: mtu
                .saturating_sub(headers)
                .clamp(1, context.config.max_mss.unwrap_or(u16::MAX).max(1)),
            default_mss,
            tracing: context.config.trace,
        }
    }

    /// Records that the host has heard of a connection.
    fn record_opened(
        context: &mut Context,
        now: Instant,
        id: ConnectionId,
        endpoints: &Endpoints,
        opening: Opening,
    ) {
        if context.trace.is_on() {
            let (local, remote) = (local_of(context, endpoints), endpoints.remote());
            context.trace.record(now, Some(id), None, || HostTraceEvent::Opened { local, remote, opening });
        }
    }

    /// After an input to a connection: passes its events to whoever holds it, and lets it have its turn if it
    /// may want one.
    fn after_input(&mut self, context: &mut Context, now: Instant, index: u32) {
        let mut socket = &mut *self.tables.sockets[index as usize];
        self.memory.charge(&mut socket.charged, socket.connection.buffered_bytes());
        record_events(context, now, socket);
        while let Some(event) = socket.connection.poll_event() {
            match event {
                Event::PathMss(_) | Event::Connected | Event::Closed(_) => {
                    self.take_seldom_event(context, now, index, event);
                    socket = &mut *self.tables.sockets[index as usize];
                }
                _ if socket.owner == Owner::Application => {
                    context.events.push_back(HostEvent::Tcp(socket.name(index), event));
                }
                // Who accepts later tries first and sees for himself.
                _ => {}
            }
        }
        if socket.readiness == Readiness::Queued {
            return;
        }
        if socket.connection.may_transmit() {
            socket.readiness = Readiness::Queued;
            self.ready.push_back(index);
        } else {
            self.come_to_rest(context, now, index);
        }
    }

    /// Tells that a connection has begun, or ended, or learns of its path.
    #[cold]
    #[inline(never)]
    fn take_seldom_event(&mut self, context: &mut Context, now: Instant, index: u32, event: Event) {
        let socket = &mut self.tables.sockets[index as usize];
        if let Event::PathMss(mss) = event {
            return learn_path(context, now, socket, mss);
        }
        let (owner, name) = (socket.owner, socket.name(index));
        let mut was_early = false;
        if let Some(outcome) = socket.connection.take_fast_open_outcome() {
            was_early = outcome == FastOpenOutcome::Completed;
            let remote = socket.endpoints.remote_address();
            self.note_fast_open(now, remote, outcome);
        }
        match owner {
            Owner::Application => context.events.push_back(HostEvent::Tcp(name, event)),
            // One that opened early has waited to be accepted since then.
            Owner::Listener(listener) if event == Event::Connected && !was_early => {
                let listener_slot = self.listeners.at_mut(listener);
                listener_slot.accept.push_back((now + ACCEPT_TIMEOUT, index));
                if !listener_slot.timer.is_set() {
                    let waiter = Waiter::Listener(listener).token();
                    listener_slot.timer = self.wheel.insert(now + ACCEPT_TIMEOUT, waiter);
                }
                context.events.push_back(HostEvent::Acceptable(listener_slot.name(listener)));
            }
            Owner::Listener(_) | Owner::Nobody => {}
        }
    }

    /// The next packet of TCP's own where that is around a plain segment. Else `poll_transmit` has to be
    /// asked, as it has to be for a trace.
    #[inline]
    pub(crate) fn poll_plain(
        &mut self,
        context: &mut Context,
        now: Instant,
        packet: &mut Packet,
    ) -> Option<InterfaceId> {
        let index = *self.ready.front()?;
        let socket = self.tables.sockets.get_mut(index as usize)?;
        if socket.readiness != Readiness::Queued || self.cutting.is_some() || context.trace.is_on() {
            return None;
        }
        let header = socket.connection.poll_plain(now, &mut packet.payload)?;
        let Socket { ref endpoints, ip, interface, .. } = **socket;
        let envelope = context.envelope(endpoints.local, endpoints.remote_address(), ip);
        write_plain_headers(packet, &envelope, context.checksums(interface), &header);
        packet.id = context.number_sent();
        self.continue_turn(context, now, index);
        Some(interface)
    }

    /// Makes the next packet of TCP's own of `packet`; answers where it goes.
    pub(crate) fn poll_transmit(
        &mut self,
        context: &mut Context,
        now: Instant,
        packet: &mut Packet,
    ) -> Option<InterfaceId> {
        if self.cutting.is_some() {
            return self.next_cut(context, now, packet);
        }
        while let Some(&index) = self.ready.front() {
            let socket = self.tables.sockets.get_mut(index as usize);
            let Some(socket) = socket.filter(|socket| socket.readiness == Readiness::Queued) else {
                // Its slot was given to another one meanwhile.
                self.end_turn();
                continue;
            };
            let Some(mut segment) = socket.connection.poll_transmit(now) else {
                socket.readiness = Readiness::Idle;
                self.end_turn();
                self.come_to_rest(context, now, index);
                continue;
            };
            let way = Way::of(socket);
            // What was sent may have made room for the application.
            self.after_input(context, now, index);
            self.continue_turn(context, now, index);
            if let Some(mut cutting) = way.wrap(context, &mut segment, packet) {
                cutting.next(packet);
                let Way { interface, connection, .. } = way;
                self.cutting = Some(Box::new(Cut { cutting, interface, connection }));
            }
            packet.id = context.number_sent();
            context.record_sent(now, way.interface, packet, Some(way.connection));
            return Some(way.interface);
        }
        None
    }

    /// A connection whose turn it is has sent a segment.
    #[inline]
    fn continue_turn(&mut self, context: &mut Context, now: Instant, index: u32) {
        let socket = &mut *self.tables.sockets[index as usize];
        self.left_in_turn -= 1;
        if !socket.connection.may_transmit() {
            socket.readiness = Readiness::Idle;
            self.end_turn();
            self.come_to_rest(context, now, index);
        } else if self.left_in_turn == 0 {
            self.ready.push_back(index);
            self.end_turn();
        }
    }

    fn end_turn(&mut self) {
        self.ready.pop_front();
        self.left_in_turn = SEGMENTS_PER_TURN;
    }

    /// The next packet of the super-segment that is being cut.
    fn next_cut(&mut self, context: &mut Context, now: Instant, packet: &mut Packet) -> Option<InterfaceId> {
        let Cut { cutting, interface, connection } = self.cutting.as_deref_mut()?;
        let (interface, connection) = (*interface, *connection);
        let rest = cutting.next(packet);
        packet.id = context.number_sent();
        context.record_sent(now, interface, packet, Some(connection));
        if rest == Rest::Nothing {
            self.cutting = None;
        }
        Some(interface)
    }

    /// A connection has nothing more to send: sets its timer, and lets go of what nobody needs any more.
    #[inline]
    fn come_to_rest(&mut self, context: &mut Context, now: Instant, index: u32) {
        let socket = &mut *self.tables.sockets[index as usize];
        record_events(context, now, socket);
        let may_go = socket.owner == Owner::Nobody || socket.connection.state() == TcpState::Closed;
        if !may_go {
            arm(&mut self.wheel, socket, index);
        } else if !self.let_go(context, index) {
            arm(&mut self.wheel, &mut self.tables.sockets[index as usize], index);
        }
    }

    /// Lets go of what nobody needs any more of a connection; true when that is all of it.
    #[cold]
    #[inline(never)]
    fn let_go(&mut self, context: &mut Context, index: u32) -> bool {
        let socket = &mut self.tables.sockets[index as usize];
        let finished = socket.connection.is_finished();
        if finished && socket.reach == Reach::Listed {
            // A new connection may have the endpoints while the application still reads how the old one
            // ended.
            socket.reach = Reach::Unlisted;
            self.tables.unlist(Holder::Connection(index));
        }
        let socket = &self.tables.sockets[index as usize];
        if socket.owner != Owner::Nobody {
            return false;
        }
        if finished || socket.reach == Reach::Unlisted {
            self.forget(index);
            return true;
        }
        socket.connection.state() == TcpState::TimeWait && self.shrink(context, index)
    }

    /// Puts the compact record in the place of a connection in TIME-WAIT that nobody holds.
    fn shrink(&mut self, context: &mut Context, index: u32) -> bool {
        let socket = &self.tables.sockets[index as usize];
        let (endpoints, id) = (socket.endpoints, socket.id);
        let Some(wait) = socket.connection.time_wait() else { return false };
        let Some(record) = self.tables.time_waits.insert(endpoints, wait) else { return false };
        if context.trace.is_on() {
            self.tables.time_waits.note_id(record, id);
        }
        self.tables.succeed(Holder::Connection(index), Holder::TimeWait(record));
        self.tables.sockets[index as usize].reach = Reach::Unlisted;
        self.forget(index);
        if self.tables.time_waits.len() > context.config.max_time_wait {
            context.counters.time_wait_evicted += 1;
            let oldest = self.tables.time_waits.first().expect("there are more than a limit allows");
            self.remove_time_wait(oldest);
        }
        true
    }

    fn remove_time_wait(&mut self, index: u32) {
        self.tables.unlist(Holder::TimeWait(index));
        self.tables.time_waits.remove(index);
    }

    /// Drops a connection.
    fn forget(&mut self, index: u32) {
        let socket = &mut self.tables.sockets[index as usize];
        self.memory.charge(&mut socket.charged, 0);
        if socket.timer.is_set() {
            self.wheel.remove(socket.timer);
        }
        if socket.reach == Reach::Listed {
            self.tables.unlist(Holder::Connection(index));
        }
        self.tables.sockets.remove(index as usize);
    }
}

/// Sets the timer of a connection. One that is due later, or no more, stays where it is and is moved when it
/// fires: most deadlines are put off again and again and never met.
#[inline]
fn arm(wheel: &mut Wheel, socket: &mut Socket, index: u32) {
    let at = socket.connection.earliest_timeout();
    match wheel.deadline(socket.timer) {
        Some(set) if set <= at => {}
        Some(_) => wheel.reschedule(socket.timer, at),
        None if at == Instant::NEVER => {}
        None => socket.timer = wheel.insert(at, Waiter::Connection(index).token()),
    }
}

/// Moves what a connection has recorded into the trace.
#[inline]
fn record_events(context: &mut Context, now: Instant, socket: &mut Socket) {
    if context.trace.is_on() {
        record_all_events(context, now, socket);
    }
}

#[cold]
fn record_all_events(context: &mut Context, now: Instant, socket: &mut Socket) {
    let mut is_worth_a_look = false;
    for event in socket.connection.drain_trace() {
        is_worth_a_look |= matches!(event, TraceEvent::StateChanged { .. } | TraceEvent::Recovery(_));
        context.trace.record(now, Some(socket.id), None, || HostTraceEvent::Tcp(event));
    }
    if is_worth_a_look {
        record_info(context, now, socket);
    }
}

/// What is to know of a connection now.
fn info(now: Instant, socket: &Socket) -> TcpInfo {
    let mut info = socket.connection.info(now);
    info.pmtu +=
        if socket.endpoints.remote_address().is_ipv4() { IPV4_HEADER_BYTES } else { IPV6_HEADER_BYTES };
    info
}

/// Records what is to know of a connection now.
fn record_info(context: &mut Context, now: Instant, socket: &Socket) {
    context.trace.record(now, Some(socket.id), None, || {
        HostTraceEvent::Tcp(TraceEvent::Info(Box::new(info(now, socket))))
    });
}

/// The way that a connection's packets take.
struct Way {
    connection: ConnectionId,
    endpoints: Endpoints,
    ip: IpOptions,
    interface: InterfaceId,
}

impl Way {
    #[inline]
    fn of(socket: &Socket) -> Self {
        let Socket { id, endpoints, ip, interface, .. } = *socket;
        Self { connection: id, endpoints, ip, interface }
    }

    /// Puts headers around a segment; one that is too long for its link is to be cut instead.
    fn wrap(&self, context: &Context, segment: &mut SegmentOut, packet: &mut Packet) -> Option<Cutting> {
        let offload = context.interfaces.config(self.interface).offload;
        let envelope = context.envelope(self.endpoints.local, self.endpoints.remote_address(), self.ip);
        let is_many = segment.segment_size > 0 && segment.payload.len() > usize::from(segment.segment_size);
        if is_many && offload.segmentation == Segmentation::ByHost {
            return Some(Cutting::new(envelope, offload.checksums, segment));
        }
        let envelope = Envelope { ecn: segment.ecn, ..envelope };
        packet.segment_size = if is_many { segment.segment_size } else { 0 };
        packet.payload = core::mem::take(&mut segment.payload);
        write_tcp_headers(packet, &envelope, offload.checksums, &segment.header);
        None
    }
}

/// Bytes that an MSS does not count.
fn headers_len(remote: IpAddr) -> u16 {
    if remote.is_ipv4() { HEADERS_V4_BYTES } else { HEADERS_V6_BYTES }
}

/// A new connection begins with what others have learnt of its path.
fn limit_to_path(context: &Context, now: Instant, connection: &mut Connection, remote: IpAddr) {
    if let Some(mtu) = context.tcp_paths.mtu(now, remote) {
        connection.limit_path(now, mtu - headers_len(remote));
    }
}

/// A connection has learnt how long a segment its path takes.
fn learn_path(context: &mut Context, now: Instant, socket: &Socket, mss: u16) {
    let remote = socket.endpoints.remote_address();
    let interface = context.interfaces.config(socket.interface);
    let mtu = mss.saturating_add(headers_len(remote));
    context.tcp_paths.learn(now, remote, (mtu, interface), context.config.max_path_mtus);
}

fn local_of(context: &Context, endpoints: &Endpoints) -> SocketAddr {
    SocketAddr::new(context.interfaces.address(endpoints.local), endpoints.local_port)
}
