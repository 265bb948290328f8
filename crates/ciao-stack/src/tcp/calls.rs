//! The calls of applications: OPEN, active and passive, and what is passed on to a connection (RFC 9293
//! §3.9.1).
//!
//! What SEND, RECEIVE, CLOSE and ABORT do is decided in `ciao_tcp::user_calls`.

use crate::context::Context;
use crate::demux::{Endpoints, Holder};
use crate::error::{ConnectError, ListenError};
use crate::ids::{ConnectionId, InterfaceId, ListenerId, SocketId};
use crate::ports::Version;
use crate::request::{ConnectRequest, IpOptions, ListenRequest};
use crate::routing::LocalIndex;
use crate::tcp::arrival::Predecessor;
use crate::tcp::tables::{Owner, Socket};
use crate::tcp::{Tcp, info, limit_to_path, local_of, record_info};
use crate::trace::Opening;
use alloc::vec::Vec;
use ciao_tcp::{Cause, Connection, TcpInfo};
use ciao_wire::Instant;
use core::net::SocketAddr;

impl Tcp {
    // RFC 9293 §3.10.1
    pub(crate) fn connect(
        &mut self,
        context: &mut Context,
        now: Instant,
        request: &ConnectRequest,
        data: &[u8],
    ) -> Result<(SocketId, usize), ConnectError> {
        // What was bound to is as good as asked for.
        let bound = request.bound.map(|id| self.bound_local(context, id));
        let own = bound.or(request.local);
        let (interface, local) = choose_path(context, own, request.remote)?;
        if self.tables.sockets.len() >= context.config.max_connections {
            return Err(ConnectError::TooManyConnections);
        }
        let (endpoints, predecessor) =
            self.choose_port(context, now, request, (local, own.map_or(0, |own| own.port())))?;
        let id = self.next_connection();
        let mut setup = self.setup(context, now, interface, &endpoints);
        self.take_over(context, now, predecessor, &mut setup);
        Self::record_opened(context, now, id, &endpoints, Opening::Active);
        let begin = (&request.options, &setup);
        let way = (interface, request.ip);
        let index = self.tables.keep(&context.config.tcp, begin, (id, endpoints), way, Owner::Application);
        let connection = &mut self.tables.sockets[index as usize].connection;
        connection.connect();
        self.fast_opens.offer(now, request, setup.default_mss, connection);
        let sent = if data.is_empty() { 0 } else { connection.send(now, data).unwrap_or_default() };
        limit_to_path(context, now, connection, request.remote.ip());
        self.tables.list(Holder::Connection(index));
        self.after_input(context, now, index);
        Ok((self.tables.sockets[index as usize].name(index), sent))
    }

    /// The four numbers of a new connection, which no other has, or only one in TIME-WAIT that makes way.
    // RFC 6191 §2 6191-2
    fn choose_port(
        &mut self,
        context: &Context,
        now: Instant,
        request: &ConnectRequest,
        (local, port): (LocalIndex, u16),
    ) -> Result<(Endpoints, Option<Predecessor>), ConnectError> {
        let Self { tables, listeners, walks, .. } = self;
        let remote = request.remote;
        let with = |port| Endpoints::new(local, port, remote);
        let version = Version::of(remote.ip());
        // RFC 9293 §3.9.1.1 MUST-42: a listener at the port is no obstacle
        if port != 0 {
            if request.bound.is_none() && listeners.bindings.is_exclusive(port, version, local) {
                return Err(ConnectError::AddressInUse);
            }
            return match tables.find(&with(port)) {
                None => Ok((with(port), None)),
                Some(holder) => {
                    let least_iss = tables.successor_iss(now, &context.config.tcp, holder);
                    let least_iss = least_iss.ok_or(ConnectError::AddressInUse)?;
                    Ok((with(port), Some((holder, least_iss))))
                }
            };
        }
        let is_unbound = |port| !listeners.bindings.is_bound(port, version, local);
        let range = &context.config.ephemeral_ports;
        let is_free = |port| is_unbound(port) && tables.find(&with(port)).is_none();
        if let Some(port) = walks.next(range, (local, remote), is_free) {
            return Ok((with(port), None));
        }
        // Every port has a connection to this remote end; perhaps one of them only waits.
        let mut successor = |port| {
            let holder = tables.find(&with(port)).filter(|_| is_unbound(port))?;
            Some((holder, tables.successor_iss(now, &context.config.tcp, holder)?))
        };
        let port = walks.next(range, (local, remote), |port| successor(port).is_some());
        let port = port.ok_or(ConnectError::NoFreePort)?;
        Ok((with(port), successor(port)))
    }

    // RFC 9293 §3.10.1
    pub(crate) fn listen(
        &mut self,
        context: &mut Context,
        request: &ListenRequest,
    ) -> Result<ListenerId, ListenError> {
        let id = self.listeners.open(context, request)?;
        if request.bound.is_none()
            && let binding = self.listeners.binding(id)
            && let Err(error) = self.check_exclusive(binding, request.reuse)
        {
            self.listeners.close(id);
            return Err(error.into());
        }
        Ok(id)
    }

    pub(crate) fn listener_local(&self, context: &Context, id: ListenerId) -> SocketAddr {
        self.listeners.local(context, id)
    }

    pub(crate) fn listener_ip_options(&self, id: ListenerId) -> IpOptions {
        self.listeners.check(id);
        self.listeners.at(id.index).ip
    }

    pub(crate) fn set_listener_ip_options(&mut self, id: ListenerId, ip: IpOptions) {
        self.listeners.check(id);
        self.listeners.at_mut(id.index).ip = ip;
    }

    pub(crate) fn accept(&mut self, id: ListenerId) -> Option<SocketId> {
        self.listeners.check(id);
        let (_, index) = self.listeners.at_mut(id.index).accept.pop_front()?;
        let socket = &mut self.tables.sockets[index as usize];
        socket.owner = Owner::Application;
        Some(socket.name(index))
    }

    pub(crate) fn close_listener(&mut self, context: &mut Context, now: Instant, id: ListenerId) {
        self.listeners.check(id);
        let of_listener = self.tables.half_open.iter().filter(|(_, entry)| entry.listener == id.index);
        let half_open: Vec<u32> = of_listener.map(|(index, _)| index).collect();
        for index in half_open {
            self.drop_half_open(context, now, index, Cause::Aborted);
        }
        let listener = self.listeners.close(id);
        if listener.timer.is_set() {
            self.wheel.remove(listener.timer);
        }
        for (_, index) in listener.accept {
            self.abort_unowned(context, now, index);
        }
    }

    /// # Panics
    /// When the socket was given back.
    fn socket(&self, id: SocketId) -> &Socket {
        let socket = self
            .tables
            .sockets
            .get(id.index as usize)
            .filter(|socket| socket.owner == Owner::Application && socket.name(id.index) == id);
        socket.expect("the owner uses no name of a socket that it has given back")
    }

    /// Asks a connection.
    pub(crate) fn connection(&self, id: SocketId) -> &Connection {
        &self.socket(id).connection
    }

    pub(crate) fn connection_id(&self, id: SocketId) -> ConnectionId {
        self.socket(id).id
    }

    pub(crate) fn local(&self, context: &Context, id: SocketId) -> SocketAddr {
        local_of(context, &self.socket(id).endpoints)
    }

    pub(crate) fn remote(&self, id: SocketId) -> SocketAddr {
        self.socket(id).endpoints.remote()
    }

    pub(crate) fn info(&self, now: Instant, id: SocketId) -> TcpInfo {
        info(now, self.socket(id))
    }

    /// Puts what is to know of a connection into the trace.
    pub(crate) fn record_info(&self, context: &mut Context, now: Instant, id: SocketId) {
        record_info(context, now, self.socket(id));
    }

    pub(crate) fn ip_options(&self, id: SocketId) -> IpOptions {
        self.socket(id).ip
    }

    // RFC 9293 §3.9.1.9 SHLD-21
    pub(crate) fn set_ip_options(&mut self, id: SocketId, ip: IpOptions) {
        self.socket(id);
        self.tables.sockets[id.index as usize].ip = ip;
    }

    /// Makes a call to a connection, and lets it have its turn.
    pub(crate) fn call<R>(
        &mut self,
        context: &mut Context,
        now: Instant,
        id: SocketId,
        call: impl FnOnce(&mut Connection) -> R,
    ) -> R {
        self.socket(id);
        let connection = &mut self.tables.sockets[id.index as usize].connection;
        connection.set_memory(self.memory.level());
        let answer = call(connection);
        self.after_input(context, now, id.index);
        answer
    }

    /// Makes a call that takes bytes out of a connection. It changes nothing that others could see but, now
    /// and then, the window.
    pub(crate) fn read<R>(
        &mut self,
        context: &mut Context,
        now: Instant,
        id: SocketId,
        read: impl FnOnce(&mut Connection) -> R,
    ) -> R {
        self.socket(id);
        let socket = &mut self.tables.sockets[id.index as usize];
        socket.connection.set_memory(self.memory.level());
        let answer = read(&mut socket.connection);
        self.memory.charge(&mut socket.charged, socket.connection.buffered_bytes());
        if socket.connection.may_transmit() || context.trace.is_on() {
            self.after_input(context, now, id.index);
        }
        answer
    }

    /// Makes the last call to a connection: its owner gives it back.
    pub(crate) fn release(
        &mut self,
        context: &mut Context,
        now: Instant,
        id: SocketId,
        call: impl FnOnce(&mut Connection),
    ) {
        self.socket(id);
        let socket = &mut self.tables.sockets[id.index as usize];
        call(&mut socket.connection);
        socket.owner = Owner::Nobody;
        self.after_input(context, now, id.index);
    }
}

/// The end of the host.
impl Tcp {
    pub(crate) fn abort_all(&mut self, context: &mut Context, now: Instant) {
        let all: Vec<usize> = self.tables.sockets.iter().map(|(slot, _)| slot).collect();
        for slot in all {
            self.tables.sockets[slot].connection.abort(now);
            let index = u32::try_from(slot).expect("it was given out as 32 bits");
            self.after_input(context, now, index);
        }
    }
}

/// The interface and the local address of a new connection.
// RFC 9293 §3.9.1.1 MUST-43, MUST-44, MUST-45, MUST-46
fn choose_path(
    context: &mut Context,
    own: Option<SocketAddr>,
    remote: SocketAddr,
) -> Result<(InterfaceId, LocalIndex), ConnectError> {
    let interfaces = &mut context.interfaces;
    if remote.port() == 0 || !interfaces.is_single_host(remote.ip()) {
        return Err(ConnectError::InvalidRemote);
    }
    match own.map(|own| own.ip()).filter(|address| !address.is_unspecified()) {
        Some(address) => {
            let local = interfaces.local(address).filter(|_| address.is_ipv4() == remote.is_ipv4());
            let local = local.ok_or(ConnectError::AddressNotLocal)?;
            let path = interfaces.path_from(local, remote.ip()).ok_or(ConnectError::NoRoute)?;
            Ok((path.interface, local))
        }
        None => interfaces.way(remote.ip()).ok_or(ConnectError::NoRoute),
    }
}
