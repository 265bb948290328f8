//! One host: what comes in, what goes out, and when it wants to be called again.
//!
//! After every input drain `poll_transmit` and `poll_event`, then read `poll_timeout`.

use crate::config::HostConfig;
use crate::context::Context;
use crate::counters::{Counters, Counts};
use crate::error::{BindError, ConnectError, ListenError, UdpSendError};
use crate::event::HostEvent;
use crate::ids::{BoundId, ConnectionId, InterfaceId, ListenerId, SocketId, UdpId};
use crate::interface::InterfaceConfig;
use crate::ports::Reuse;
use crate::reassembly;
use crate::receive::Receiver;
use crate::request::{ConnectRequest, IpOptions, ListenRequest};
use crate::tcp::Tcp;
use crate::trace::TraceRecord;
use crate::udp::Udp;
use bytes::Bytes;
use ciao_tcp::config::SocketOptions;
use ciao_tcp::error::{ReceiveError, SendError};
use ciao_tcp::{ConnectionError, IcmpErrorKind, TcpInfo, TcpState, Wait};
use ciao_wire::{Instant, Packet};
use core::borrow::BorrowMut;
use core::net::SocketAddr;

/// One host.
#[derive(Debug)]
pub struct Host {
    context: Context,
    tcp: Tcp,
    udp: Udp,
    turn: Turn,
}

/// Whose packet went out last while both had some, so that neither keeps the other from the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Connections.
    Connections,
    /// Everything else: answers, errors, datagrams.
    Queue,
}

impl Turn {
    fn other(self) -> Self {
        match self {
            Self::Connections => Self::Queue,
            Self::Queue => Self::Connections,
        }
    }
}

impl Host {
    /// A host without interfaces. All its choices follow from `seed`: the same seed and the same inputs give
    /// the same outputs. A live host's seed comes from the operating system.
    #[must_use]
    pub fn new(config: HostConfig, seed: [u8; 32]) -> Self {
        let mut context = Context::new(config, seed);
        let tcp = Tcp::new(&mut context);
        Self { context, tcp, udp: Udp::default(), turn: Turn::Connections }
    }

    /// What the host was told at its start.
    #[must_use]
    pub fn config(&self) -> &HostConfig {
        &self.context.config
    }

    /// Adds an interface.
    ///
    /// # Panics
    /// At the 257th.
    pub fn add_interface(&mut self, config: InterfaceConfig) -> InterfaceId {
        self.context.familiar = None;
        self.context.interfaces.add(config)
    }

    /// The interfaces in the order in which they were added.
    pub fn interfaces(&self) -> impl Iterator<Item = (InterfaceId, &InterfaceConfig)> {
        self.context.interfaces.iter()
    }

    /// A packet came through `interface`.
    pub fn handle_packet(&mut self, now: Instant, interface: InterfaceId, packet: Packet) {
        self.handle_packets(now, interface, core::iter::once(packet));
    }

    /// Packets came through `interface` together. Those that continue each other are merged before TCP sees
    /// them. Of packets that are lent, what is wanted is taken out.
    pub fn handle_packets(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        packets: impl IntoIterator<Item = impl BorrowMut<Packet>>,
    ) {
        let Self { context, tcp, udp, .. } = self;
        Receiver::new(context, tcp, udp, now, interface).receive(packets);
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        reassembly::expire(&mut self.context, now);
        self.tcp.handle_timeout(&mut self.context, now);
    }

    /// The next packet for a link.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<(InterfaceId, Packet)> {
        let mut packet = Packet::default();
        let interface = self.poll_transmit_into(now, &mut packet)?;
        Some((interface, packet))
    }

    /// As `poll_transmit`, but puts the packet into the place of `packet`: one that is moved right after its
    /// headers were written has to wait for them.
    #[inline]
    pub fn poll_transmit_into(&mut self, now: Instant, packet: &mut Packet) -> Option<InterfaceId> {
        let Self { context, tcp, .. } = self;
        if !context.has_queued()
            && let Some(interface) = tcp.poll_plain(context, now, packet)
        {
            return Some(interface);
        }
        self.poll_any(now, packet)
    }

    fn poll_any(&mut self, now: Instant, packet: &mut Packet) -> Option<InterfaceId> {
        let Self { context, tcp, turn, .. } = self;
        if !context.has_queued() {
            return tcp.poll_transmit(context, now, packet);
        }
        *turn = turn.other();
        match turn {
            Turn::Queue => context.dequeue(now, packet),
            Turn::Connections => {
                tcp.poll_transmit(context, now, packet).or_else(|| context.dequeue(now, packet))
            }
        }
    }

    /// When the host wants `handle_timeout`. It may find nothing due then.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let reassembly = self.context.reassembly.next_expiry(&self.context.config.reassembly);
        let at = self.tcp.poll_timeout().min(reassembly.unwrap_or(Instant::NEVER));
        (at != Instant::NEVER).then_some(at)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<HostEvent> {
        self.context.events.pop_front()
    }

    /// Takes out what was recorded.
    pub fn drain_trace(&mut self) -> impl Iterator<Item = TraceRecord> {
        self.context.trace.drain()
    }

    /// How often did what happen.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.context.counters
    }

    /// How many entries the timing wheel has looked at since the start: what waiting has cost.
    #[must_use]
    pub fn timer_steps(&self) -> u64 {
        self.tcp.timer_steps()
    }

    /// How many sockets there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.tcp.counts()
    }

    /// The records in TIME-WAIT: local and remote end, and when each ends.
    pub fn time_waits(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr, Instant)> {
        self.tcp.time_waits(&self.context)
    }

    /// Active OPEN. `Event::Connected`, or `Event::Closed` with the reason, follows.
    ///
    /// # Errors
    /// [`ConnectError`], at once and without a packet.
    pub fn tcp_connect(&mut self, now: Instant, request: ConnectRequest) -> Result<SocketId, ConnectError> {
        self.tcp_connect_with(now, request, &[]).map(|(id, _)| id)
    }

    /// Active OPEN with data to send: in the SYN when `request` allows it and the server has given us a
    /// cookie, else behind the handshake. Answers how many bytes were taken; the rest is for SEND.
    ///
    /// # Errors
    /// [`ConnectError`], at once and without a packet.
    pub fn tcp_connect_with(
        &mut self,
        now: Instant,
        request: ConnectRequest,
        bytes: &[u8],
    ) -> Result<(SocketId, usize), ConnectError> {
        self.tcp.connect(&mut self.context, now, &request, bytes)
    }

    /// Keeps a port for a socket until it connects or listens: no port that the host chooses is the same, and
    /// no socket gets it that stands in the way of `reuse`. An unspecified address means all of the host's
    /// addresses of that version; port 0, that the host chooses. Give it back with `tcp_unbind`.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn tcp_bind(&mut self, local: SocketAddr, reuse: Reuse) -> Result<BoundId, BindError> {
        self.tcp.bind(&mut self.context, local, reuse)
    }

    /// The address and port that are kept.
    ///
    /// # Panics
    /// When they were given back.
    #[must_use]
    pub fn tcp_bound_local(&self, id: BoundId) -> SocketAddr {
        self.tcp.bound_local(&self.context, id)
    }

    /// Gives a port back. Connections and listeners that were made with it stay.
    ///
    /// # Panics
    /// When it was given back before.
    pub fn tcp_unbind(&mut self, id: BoundId) {
        self.tcp.unbind(id);
    }

    /// Passive OPEN.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn tcp_listen(&mut self, request: ListenRequest) -> Result<ListenerId, ListenError> {
        self.tcp.listen(&mut self.context, &request)
    }

    /// The local end of a listener.
    ///
    /// # Panics
    /// When the listener was closed.
    #[must_use]
    pub fn tcp_listener_local(&self, id: ListenerId) -> SocketAddr {
        self.tcp.listener_local(&self.context, id)
    }

    /// Changes what the packets of connections say to the network whose handshake is completed from now on.
    ///
    /// # Panics
    /// When the listener was closed.
    pub fn tcp_set_listener_ip_options(&mut self, id: ListenerId, ip: IpOptions) {
        self.tcp.set_listener_ip_options(id, ip);
    }

    /// What the packets of the listener's connections say to the network at first.
    ///
    /// # Panics
    /// When the listener was closed.
    #[must_use]
    pub fn tcp_listener_ip_options(&self, id: ListenerId) -> IpOptions {
        self.tcp.listener_ip_options(id)
    }

    /// Takes the next established connection.
    ///
    /// # Panics
    /// When the listener was closed.
    pub fn tcp_accept(&mut self, id: ListenerId) -> Option<SocketId> {
        self.tcp.accept(id)
    }

    /// Closes a listener. What waits in its queues is reset.
    ///
    /// # Panics
    /// When it was closed before.
    pub fn tcp_close_listener(&mut self, now: Instant, id: ListenerId) {
        self.tcp.close_listener(&mut self.context, now, id);
    }

    /// SEND: takes what fits of `bytes`, by copying.
    ///
    /// # Errors
    /// [`SendError`].
    ///
    /// # Panics
    /// When the socket was given back with `tcp_close` or `tcp_abort`.
    pub fn tcp_send(&mut self, now: Instant, id: SocketId, bytes: &[u8]) -> Result<usize, SendError> {
        self.tcp.call(&mut self.context, now, id, |connection| connection.send(now, bytes))
    }

    /// SEND of urgent data: takes what fits of `bytes`, by copying, and points the peer to their end.
    ///
    /// # Errors
    /// [`SendError`].
    ///
    /// # Panics
    /// When the socket was given back.
    pub fn tcp_send_urgent(&mut self, now: Instant, id: SocketId, bytes: &[u8]) -> Result<usize, SendError> {
        self.tcp.call(&mut self.context, now, id, |connection| connection.send_urgent(now, bytes))
    }

    /// How many of the bytes that wait, or are still to come, lie before the end of the peer's urgent data.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_urgent_len(&self, id: SocketId) -> u32 {
        self.tcp.connection(id).urgent_len()
    }

    /// SEND: takes what fits from the front of `bytes`, without copying.
    ///
    /// # Errors
    /// [`SendError`].
    ///
    /// # Panics
    /// When the socket was given back.
    pub fn tcp_send_bytes(
        &mut self,
        now: Instant,
        id: SocketId,
        bytes: &mut Bytes,
    ) -> Result<usize, SendError> {
        self.tcp.call(&mut self.context, now, id, |connection| connection.send_bytes(now, bytes))
    }

    /// RECEIVE by copying; `Ok(0)` is the end of the peer's data.
    ///
    /// # Errors
    /// [`ReceiveError`].
    ///
    /// # Panics
    /// When the socket was given back.
    pub fn tcp_receive(
        &mut self,
        now: Instant,
        id: SocketId,
        bytes: &mut [u8],
    ) -> Result<usize, ReceiveError> {
        self.tcp.read(&mut self.context, now, id, |connection| connection.receive(now, bytes))
    }

    /// RECEIVE of at most `max` bytes without copying; empty at the end of the peer's data.
    ///
    /// # Errors
    /// [`ReceiveError`].
    ///
    /// # Panics
    /// When the socket was given back.
    pub fn tcp_receive_bytes(
        &mut self,
        now: Instant,
        id: SocketId,
        max: usize,
    ) -> Result<Bytes, ReceiveError> {
        self.tcp.read(&mut self.context, now, id, |connection| connection.receive_bytes(now, max))
    }

    /// As `tcp_receive`, but the bytes stay.
    ///
    /// # Errors
    /// [`ReceiveError`].
    ///
    /// # Panics
    /// When the socket was given back.
    pub fn tcp_peek(&self, id: SocketId, bytes: &mut [u8]) -> Result<usize, ReceiveError> {
        self.tcp.connection(id).peek(bytes)
    }

    /// CLOSE of our direction: FIN behind the data. The socket stays with its owner.
    ///
    /// # Panics
    /// When the socket was given back.
    pub fn tcp_shutdown(&mut self, now: Instant, id: SocketId) {
        self.tcp.call(&mut self.context, now, id, |connection| connection.shutdown(now));
    }

    /// CLOSE: gives the socket back. The connection ends by itself: FIN, or RST when there are unread bytes.
    ///
    /// # Panics
    /// When the socket was given back before.
    pub fn tcp_close(&mut self, now: Instant, id: SocketId) {
        self.tcp.release(&mut self.context, now, id, |connection| connection.close(now));
    }

    /// ABORT: gives the socket back; RST.
    ///
    /// # Panics
    /// When the socket was given back before.
    pub fn tcp_abort(&mut self, now: Instant, id: SocketId) {
        self.tcp.release(&mut self.context, now, id, |connection| connection.abort(now));
    }

    /// ABORT for every connection, whoever holds it, and for those that nobody holds any more. Sockets stay
    /// with their owners, who can ask how they ended.
    pub fn tcp_abort_all(&mut self, now: Instant) {
        self.tcp.abort_all(&mut self.context, now);
    }

    /// Changes the options of a connection.
    ///
    /// # Panics
    /// When the socket was given back.
    pub fn tcp_set_options(&mut self, now: Instant, id: SocketId, options: SocketOptions) {
        self.tcp.call(&mut self.context, now, id, |connection| connection.set_options(now, options));
    }

    /// The options of a connection.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_options(&self, id: SocketId) -> SocketOptions {
        self.tcp.connection(id).options()
    }

    /// Changes what the connection's packets say to the network.
    ///
    /// # Panics
    /// When the socket was given back.
    pub fn tcp_set_ip_options(&mut self, id: SocketId, ip: IpOptions) {
        self.tcp.set_ip_options(id, ip);
    }

    /// What the connection's packets say to the network.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_ip_options(&self, id: SocketId) -> IpOptions {
        self.tcp.ip_options(id)
    }

    /// The state of a connection.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_state(&self, id: SocketId) -> TcpState {
        self.tcp.connection(id).state()
    }

    /// True when both directions of the connection are in use although its handshake is not complete, after
    /// TCP Fast Open.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_is_open_early(&self, id: SocketId) -> bool {
        self.tcp.connection(id).is_open_early()
    }

    /// How the connection ended, if it did so otherwise than by both sides closing.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_error(&self, id: SocketId) -> Option<ConnectionError> {
        self.tcp.connection(id).error()
    }

    /// The local end.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_local(&self, id: SocketId) -> SocketAddr {
        self.tcp.local(&self.context, id)
    }

    /// The remote end.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_remote(&self, id: SocketId) -> SocketAddr {
        self.tcp.remote(id)
    }

    /// What the connection waits for.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_why(&self, id: SocketId) -> Wait {
        self.tcp.connection(id).why()
    }

    /// Whether RECEIVE would give as many bytes as the application waits for, or the end of them.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_is_readable(&self, id: SocketId) -> bool {
        self.tcp.connection(id).is_readable()
    }

    /// Whether SEND would take bytes, or say at once why it does not.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_is_writable(&self, id: SocketId) -> bool {
        self.tcp.connection(id).is_writable()
    }

    /// What is to know of a connection, as `ss -ti` shows it of one of the kernel's (STATUS, RFC 9293
    /// §3.10.6).
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_info(&self, now: Instant, id: SocketId) -> TcpInfo {
        self.tcp.info(now, id)
    }

    /// Puts what is to know of a connection into the trace.
    ///
    /// # Panics
    /// When the socket was given back.
    pub fn tcp_record_info(&mut self, now: Instant, id: SocketId) {
        self.tcp.record_info(&mut self.context, now, id);
    }

    /// The connection's name in the trace.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_connection(&self, id: SocketId) -> ConnectionId {
        self.tcp.connection_id(id)
    }

    /// Opens a UDP socket. An unspecified address means all of the host's addresses of that version; port 0,
    /// that the host chooses.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn udp_bind(&mut self, local: SocketAddr) -> Result<UdpId, BindError> {
        self.udp.bind(&mut self.context, local)
    }

    /// The local end of a UDP socket.
    ///
    /// # Panics
    /// When the socket was closed.
    #[must_use]
    pub fn udp_local(&self, id: UdpId) -> SocketAddr {
        self.udp.local(&self.context, id)
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// [`UdpSendError`].
    ///
    /// # Panics
    /// When the socket was closed.
    pub fn udp_send_to(
        &mut self,
        now: Instant,
        id: UdpId,
        bytes: &[u8],
        remote: SocketAddr,
    ) -> Result<(), UdpSendError> {
        self.udp.send(&mut self.context, now, id, bytes, remote)
    }

    /// Takes the next datagram: how many of its bytes fit into `bytes`, and its sender.
    ///
    /// # Panics
    /// When the socket was closed.
    pub fn udp_receive_from(&mut self, id: UdpId, bytes: &mut [u8]) -> Option<(usize, SocketAddr)> {
        self.udp.receive(id, bytes)
    }

    /// What ICMP has said last of a datagram of the socket: to whom it was sent, and why it did not arrive.
    ///
    /// # Panics
    /// When the socket was closed.
    pub fn udp_take_error(&mut self, id: UdpId) -> Option<(SocketAddr, IcmpErrorKind)> {
        self.udp.take_error(id)
    }

    /// Changes what the socket's packets say to the network.
    ///
    /// # Panics
    /// When the socket was closed.
    pub fn udp_set_ip_options(&mut self, id: UdpId, ip: IpOptions) {
        self.udp.set_ip_options(id, ip);
    }

    /// What the socket's packets say to the network.
    ///
    /// # Panics
    /// When the socket was closed.
    #[must_use]
    pub fn udp_ip_options(&self, id: UdpId) -> IpOptions {
        self.udp.ip_options(id)
    }

    /// Closes a UDP socket.
    ///
    /// # Panics
    /// When it was closed before.
    pub fn udp_close(&mut self, id: UdpId) {
        self.udp.close(id);
    }
}
