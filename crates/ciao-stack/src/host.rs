//! One host: what comes in, what goes out, and when it wants to be called again.
//!
//! After every input drain `poll_transmit` and `poll_event`, then read `poll_timeout`.

use crate::config::HostConfig;
use crate::counters::{Counters, Counts};
use crate::error::{BindError, ConnectError, ListenError, UdpSendError};
use crate::event::HostEvent;
use crate::ids::{ConnectionId, InterfaceId, ListenerId, SocketId, UdpId};
use crate::interface::InterfaceConfig;
use crate::request::{ConnectRequest, IpOptions, ListenRequest};
use crate::trace::TraceRecord;
use bytes::Bytes;
use ciao_tcp::config::SocketOptions;
use ciao_tcp::error::{ReceiveError, SendError};
use ciao_tcp::{ConnectionError, TcpState, Wait, WaitReason};
use ciao_wire::{Instant, Packet};
use core::net::SocketAddr;

/// One host.
#[derive(Debug)]
pub struct Host {
    config: HostConfig,
    interfaces: alloc::vec::Vec<InterfaceConfig>,
    counters: Counters,
}

impl Host {
    /// A host without interfaces. All its choices follow from `seed`: the same seed and the same inputs give
    /// the same outputs. A live host's seed comes from the operating system.
    #[must_use]
    pub fn new(config: HostConfig, seed: [u8; 32]) -> Self {
        let _ = seed;
        Self { config, interfaces: alloc::vec::Vec::new(), counters: Counters::default() }
    }

    /// What the host was told at its start.
    #[must_use]
    pub fn config(&self) -> &HostConfig {
        &self.config
    }

    /// Adds an interface.
    ///
    /// # Panics
    /// At the 257th.
    pub fn add_interface(&mut self, config: InterfaceConfig) -> InterfaceId {
        let id = InterfaceId(u8::try_from(self.interfaces.len()).expect("a host has at most 256 interfaces"));
        self.interfaces.push(config);
        id
    }

    /// The interfaces in the order in which they were added.
    pub fn interfaces(&self) -> impl Iterator<Item = (InterfaceId, &InterfaceConfig)> {
        (0..).map(InterfaceId).zip(&self.interfaces)
    }

    /// A packet came through `interface`.
    pub fn handle_packet(&mut self, now: Instant, interface: InterfaceId, packet: Packet) {
        self.handle_packets(now, interface, core::iter::once(packet));
    }

    /// Packets came through `interface` together. Those that continue each other are merged before TCP sees
    /// them.
    pub fn handle_packets(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        packets: impl IntoIterator<Item = Packet>,
    ) {
        let _ = (now, interface);
        self.counters.packets_received += packets.into_iter().count() as u64;
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// The next packet for a link.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<(InterfaceId, Packet)> {
        let _ = now;
        None
    }

    /// When the host wants `handle_timeout`. It may find nothing due then.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<HostEvent> {
        None
    }

    /// Takes out what was recorded.
    pub fn drain_trace(&mut self) -> impl Iterator<Item = TraceRecord> {
        core::iter::empty()
    }

    /// How often did what happen.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many sockets there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts::default()
    }

    /// The records in TIME-WAIT: local and remote end, and when each ends.
    pub fn time_waits(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr, Instant)> {
        core::iter::empty()
    }

    /// Active OPEN. `Event::Connected`, or `Event::Closed` with the reason, follows.
    ///
    /// # Errors
    /// [`ConnectError`], at once and without a packet.
    pub fn tcp_connect(&mut self, now: Instant, request: ConnectRequest) -> Result<SocketId, ConnectError> {
        let _ = (now, request);
        Err(ConnectError::NoRoute)
    }

    /// Passive OPEN.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn tcp_listen(&mut self, request: ListenRequest) -> Result<ListenerId, ListenError> {
        let _ = request;
        Err(ListenError::AddressNotLocal)
    }

    /// The local end of a listener.
    ///
    /// # Panics
    /// When the listener was closed.
    #[must_use]
    pub fn tcp_listener_local(&self, id: ListenerId) -> SocketAddr {
        let _ = id;
        SocketAddr::from(([0, 0, 0, 0], 0))
    }

    /// Takes the next established connection.
    ///
    /// # Panics
    /// When the listener was closed.
    pub fn tcp_accept(&mut self, id: ListenerId) -> Option<SocketId> {
        let _ = id;
        None
    }

    /// Closes a listener. What waits in its queues is reset.
    ///
    /// # Panics
    /// When it was closed before.
    pub fn tcp_close_listener(&mut self, now: Instant, id: ListenerId) {
        let _ = (now, id);
    }

    /// SEND: takes what fits of `bytes`, by copying.
    ///
    /// # Errors
    /// [`SendError`].
    ///
    /// # Panics
    /// When the socket was given back with `tcp_close` or `tcp_abort`.
    pub fn tcp_send(&mut self, now: Instant, id: SocketId, bytes: &[u8]) -> Result<usize, SendError> {
        let _ = (now, id, bytes);
        Err(SendError::NotConnected)
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
        let _ = (now, id, bytes);
        Err(SendError::NotConnected)
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
        let _ = (now, id, bytes);
        Err(ReceiveError::NotConnected)
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
        let _ = (now, id, max);
        Err(ReceiveError::NotConnected)
    }

    /// As `tcp_receive`, but the bytes stay.
    ///
    /// # Errors
    /// [`ReceiveError`].
    ///
    /// # Panics
    /// When the socket was given back.
    pub fn tcp_peek(&self, id: SocketId, bytes: &mut [u8]) -> Result<usize, ReceiveError> {
        let _ = (id, bytes);
        Err(ReceiveError::NotConnected)
    }

    /// CLOSE of our direction: FIN behind the data. The socket stays with its owner.
    ///
    /// # Panics
    /// When the socket was given back.
    pub fn tcp_shutdown(&mut self, now: Instant, id: SocketId) {
        let _ = (now, id);
    }

    /// CLOSE: gives the socket back. The connection ends by itself: FIN, or RST when there are unread bytes.
    ///
    /// # Panics
    /// When the socket was given back before.
    pub fn tcp_close(&mut self, now: Instant, id: SocketId) {
        let _ = (now, id);
    }

    /// ABORT: gives the socket back; RST.
    ///
    /// # Panics
    /// When the socket was given back before.
    pub fn tcp_abort(&mut self, now: Instant, id: SocketId) {
        let _ = (now, id);
    }

    /// Changes the options of a connection.
    ///
    /// # Panics
    /// When the socket was given back.
    pub fn tcp_set_options(&mut self, now: Instant, id: SocketId, options: SocketOptions) {
        let _ = (now, id, options);
    }

    /// The options of a connection.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_options(&self, id: SocketId) -> SocketOptions {
        let _ = id;
        SocketOptions::default()
    }

    /// Changes what the connection's packets say to the network.
    ///
    /// # Panics
    /// When the socket was given back.
    pub fn tcp_set_ip_options(&mut self, id: SocketId, ip: IpOptions) {
        let _ = (id, ip);
    }

    /// The state of a connection.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_state(&self, id: SocketId) -> TcpState {
        let _ = id;
        TcpState::Closed
    }

    /// How the connection ended, if it did so otherwise than by both sides closing.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_error(&self, id: SocketId) -> Option<ConnectionError> {
        let _ = id;
        None
    }

    /// The local end.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_local(&self, id: SocketId) -> SocketAddr {
        let _ = id;
        SocketAddr::from(([0, 0, 0, 0], 0))
    }

    /// The remote end.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_remote(&self, id: SocketId) -> SocketAddr {
        let _ = id;
        SocketAddr::from(([0, 0, 0, 0], 0))
    }

    /// What the connection waits for.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_why(&self, now: Instant, id: SocketId) -> Wait {
        let _ = (now, id);
        Wait { reason: WaitReason::Closed, until: None }
    }

    /// The connection's name in the trace.
    ///
    /// # Panics
    /// When the socket was given back.
    #[must_use]
    pub fn tcp_connection(&self, id: SocketId) -> ConnectionId {
        let _ = id;
        ConnectionId(0)
    }

    /// Opens a UDP socket. An unspecified address means all of the host's addresses of that version; port 0,
    /// that the host chooses.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn udp_bind(&mut self, local: SocketAddr) -> Result<UdpId, BindError> {
        let _ = local;
        Err(BindError::AddressNotLocal)
    }

    /// The local end of a UDP socket.
    ///
    /// # Panics
    /// When the socket was closed.
    #[must_use]
    pub fn udp_local(&self, id: UdpId) -> SocketAddr {
        let _ = id;
        SocketAddr::from(([0, 0, 0, 0], 0))
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
        let _ = (now, id, bytes, remote);
        Err(UdpSendError::NoRoute)
    }

    /// Takes the next datagram: how many of its bytes fit into `bytes`, and its sender.
    ///
    /// # Panics
    /// When the socket was closed.
    pub fn udp_receive_from(&mut self, id: UdpId, bytes: &mut [u8]) -> Option<(usize, SocketAddr)> {
        let _ = (id, bytes);
        None
    }

    /// Closes a UDP socket.
    ///
    /// # Panics
    /// When it was closed before.
    pub fn udp_close(&mut self, id: UdpId) {
        let _ = id;
    }
}
