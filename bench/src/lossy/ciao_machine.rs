//! A Ciao host as one end of the path. It keeps whatever time it is told.

use super::machine::{BUFFER_BYTES, CHUNK_BYTES, Flow, Machine, PREFIX_LEN, RECEIVER, Received};
use super::path::MTU;
use bytes::Bytes;
use ciao_stack::{
    Checksums, Cidr, ConnectRequest, Host, HostConfig, HostEvent, HostTraceEvent, InterfaceConfig,
    InterfaceId, ListenRequest, ListenerId, Offload, SocketId, TraceRecord, Tracing,
};
use ciao_tcp::{Event, TcpState, TraceEvent};
use ciao_wire::{Instant, Packet};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;

/// A host with its applications.
pub(super) struct CiaoMachine {
    address: Ipv4Addr,
    host: Host,
    source: Bytes,
    sending: Vec<Sending>,
    receiving: Vec<SocketId>,
    received: Vec<Received>,
}

struct Sending {
    socket: SocketId,
    left_bytes: u64,
    is_closed: bool,
}

impl CiaoMachine {
    /// A host that sends. In the simulator nothing damages packets, and no checksum need be written.
    pub(super) fn new(address: Ipv4Addr, flow: Option<Flow>, checksums: Checksums, trace: Tracing) -> Self {
        let defaults = ciao_tcp::Config::default();
        let tcp = ciao_tcp::Config {
            send_buffer_bytes: BUFFER_BYTES,
            send_buffer_max_bytes: BUFFER_BYTES,
            receive_buffer_bytes: BUFFER_BYTES,
            receive_buffer_max_bytes: BUFFER_BYTES,
            congestion_control: flow.map_or(defaults.congestion_control, |flow| flow.algorithm.of_ciao()),
            ..defaults
        };
        let config = HostConfig { tcp: tcp.into(), trace, ..HostConfig::default() };
        let mut host = Host::new(config, [address.octets()[3]; 32]);
        host.add_interface(InterfaceConfig {
            name: "path".into(),
            mtu: MTU,
            addresses: vec![Cidr::new(address, PREFIX_LEN)],
            routes: Vec::new(),
            offload: Offload { checksums, ..Offload::default() },
        });
        Self {
            address,
            host,
            source: Bytes::from(vec![0x5a; CHUNK_BYTES]),
            sending: Vec::new(),
            receiving: Vec::new(),
            received: Vec::new(),
        }
    }

    /// The host that receives.
    pub(super) fn receiver(address: Ipv4Addr) -> Self {
        let mut machine = Self::new(address, None, Checksums::ByLink, Tracing::Off);
        let listener = machine.host.tcp_listen(ListenRequest::at(RECEIVER));
        listener.expect("the address is the host's and the port is free");
        machine
    }

    /// Losses found, and recoveries begun, ended and undone.
    fn write_trace(&mut self) {
        for TraceRecord { at, event, .. } in self.host.drain_trace() {
            if let HostTraceEvent::Tcp(
                event @ (TraceEvent::Recovery(_) | TraceEvent::LossFound { .. } | TraceEvent::Undone(_)),
            ) = event
            {
                eprintln!("{at:>14} {event:?}");
            }
        }
    }

    /// What there is room for on the connection that an event names, and the FIN behind the last of it.
    fn write(&mut self, now: Instant, socket: SocketId) {
        let Some(sending) = self.sending.iter_mut().find(|sending| sending.socket == socket) else { return };
        while sending.left_bytes > 0 {
            let len = CHUNK_BYTES.min(usize::try_from(sending.left_bytes).unwrap_or(CHUNK_BYTES));
            let mut bytes = self.source.slice(..len);
            match self.host.tcp_send_bytes(now, socket, &mut bytes) {
                Ok(count) if count > 0 => sending.left_bytes -= count as u64,
                _ => break,
            }
        }
        // Before that a FIN would be the end of the attempt (RFC 9293 §3.10.4).
        let is_open = self.host.tcp_state(socket) == TcpState::Established;
        if sending.left_bytes == 0 && is_open && !sending.is_closed {
            self.host.tcp_shutdown(now, socket);
            sending.is_closed = true;
        }
    }

    fn accept(&mut self, now: Instant, listener: ListenerId) {
        while let Some(socket) = self.host.tcp_accept(listener) {
            let from = self.host.tcp_remote(socket);
            self.receiving.push(socket);
            self.received.push(Received { from, bytes: 0 });
            self.read(now, socket);
        }
    }

    /// All that has come on the connection that an event names.
    fn read(&mut self, now: Instant, socket: SocketId) {
        let Some(index) = self.receiving.iter().position(|receiving| *receiving == socket) else { return };
        while let Ok(bytes) = self.host.tcp_receive_bytes(now, socket, CHUNK_BYTES)
            && !bytes.is_empty()
        {
            self.received[index].bytes += bytes.len() as u64;
        }
    }
}

impl Machine for CiaoMachine {
    fn address(&self) -> Ipv4Addr {
        self.address
    }

    fn open(&mut self, now: Instant, flow: Flow) {
        let local = Some(SocketAddr::new(self.address.into(), 0));
        let request = ConnectRequest { local, ..ConnectRequest::to(RECEIVER) };
        let socket = self.host.tcp_connect(now, request).expect("there is a route");
        self.sending.push(Sending { socket, left_bytes: flow.bytes, is_closed: false });
        self.write(now, socket);
    }

    fn handle_packet(&mut self, now: Instant, packet: Packet) {
        self.host.handle_packet(now, InterfaceId(0), packet);
    }

    fn work(&mut self, now: Instant) {
        if self.host.poll_timeout().is_some_and(|at| at <= now) {
            self.host.handle_timeout(now);
        }
        while let Some(event) = self.host.poll_event() {
            match event {
                HostEvent::Acceptable(listener) => self.accept(now, listener),
                HostEvent::Tcp(socket, Event::Readable) => self.read(now, socket),
                HostEvent::Tcp(socket, Event::Connected | Event::Writable) => self.write(now, socket),
                _ => {}
            }
        }
        self.write_trace();
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Packet> {
        self.host.poll_transmit(now).map(|(_, packet)| packet)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.host.poll_timeout()
    }

    fn device(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn received(&self) -> &[Received] {
        &self.received
    }

    fn describe(&self, now: Instant) -> String {
        let Some(sending) = self.sending.first() else { return String::new() };
        let why = self.host.tcp_why(sending.socket);
        format!("{} why {why:?}", self.host.tcp_info(now, sending.socket))
    }
}
