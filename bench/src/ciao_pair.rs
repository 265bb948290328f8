//! What does Ciao cost? Two hosts in one thread; the packets of one are handed to the other in batches, as
//! a driver hands over what a device gave it.
//!
//! No device, no async runtime: this is the protocol alone. Not here: what a TUN device adds (`interop/`).

mod idle;
mod stream;

pub use idle::{connections, echo, half_open_bytes, idle_bytes, idle_poll, time_wait_bytes};
pub use stream::{Interface, stream};

use ciao_stack::{
    Cidr, ConnectRequest, Host, HostConfig, InterfaceConfig, InterfaceId, ListenRequest, ListenerId, Offload,
    SocketId,
};
use ciao_tcp::config::SocketOptions;
use ciao_wire::{Instant, Packet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time;

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 255, 1)), 80);
/// Ports that the idle connections of one client address use.
const PORTS: std::ops::RangeInclusive<u16> = 1024..=65_535;

/// Number `number` of the client's addresses.
fn client_address(number: u8) -> IpAddr {
    IpAddr::from([10, 0, number, 1])
}

/// How the link between the hosts is.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The longest packet on the wire, bytes.
    pub mtu: u16,
    /// What the link does for the hosts.
    pub offload: Offload,
    /// Bytes of each send and receive buffer.
    pub buffer_bytes: u32,
}

/// Two hosts, and what is under way between them.
struct Pair {
    client: Host,
    server: Host,
    listener: ListenerId,
    start: time::Instant,
    batch: Vec<Packet>,
}

const INTERFACE: InterfaceId = InterfaceId(0);

impl Pair {
    /// The client has addresses for so many idle connections, and one besides.
    fn new(link: Link, idle_connections: usize) -> Self {
        let blocks = u8::try_from(idle_connections.div_ceil(PORTS.len())).expect("16 million are enough");
        let host = |seed, addresses| {
            let tcp = ciao_tcp::Config {
                send_buffer_bytes: link.buffer_bytes,
                send_buffer_max_bytes: link.buffer_bytes,
                receive_buffer_bytes: link.buffer_bytes,
                receive_buffer_max_bytes: link.buffer_bytes,
                ..ciao_tcp::Config::default()
            };
            let max_connections = 2 << 20;
            let config = HostConfig { tcp: tcp.into(), max_connections, ..HostConfig::default() };
            let mut host = Host::new(config, [seed; 32]);
            host.add_interface(InterfaceConfig {
                name: "memory".into(),
                mtu: link.mtu,
                addresses,
                routes: vec![],
                offload: link.offload,
            });
            host
        };
        let cidr = |address| Cidr::new(address, 16);
        let client = host(1, (0..=blocks).map(|number| cidr(client_address(number))).collect());
        let mut server = host(2, vec![cidr(SERVER.ip())]);
        let options = SocketOptions { nodelay: true, ..SocketOptions::default() };
        let request =
            ListenRequest { backlog: 1 << 20, syn_queue: 1 << 20, options, ..ListenRequest::at(SERVER) };
        let listener = server.tcp_listen(request).expect("the address is the server's and the port is free");
        Self { client, server, listener, start: time::Instant::now(), batch: Vec::new() }
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.start.elapsed().as_nanos()).expect("a run is short"))
    }

    /// Moves what each host has for the other, once, and fires what is due.
    fn turn(&mut self) -> Instant {
        let now = self.now();
        self.carry_to_server(now);
        self.carry_to_client(now);
        now
    }

    /// Moves what the client has for the server.
    fn carry_to_server(&mut self, now: Instant) {
        pass(now, &mut self.client, &mut self.server, &mut self.batch);
    }

    /// Moves what the server has for the client.
    fn carry_to_client(&mut self, now: Instant) {
        pass(now, &mut self.server, &mut self.client, &mut self.batch);
    }

    /// A connection from one of the client's addresses and ports, or from where the client likes.
    fn connect(&mut self, local: Option<SocketAddr>) -> (SocketId, SocketId) {
        let options = SocketOptions { nodelay: true, ..SocketOptions::default() };
        let request = ConnectRequest { local, options, ..ConnectRequest::to(SERVER) };
        let now = self.now();
        let client = self.client.tcp_connect(now, request).expect("the end is free and there is a route");
        loop {
            self.turn();
            if let Some(server) = self.server.tcp_accept(self.listener) {
                return (client, server);
            }
        }
    }

    /// Idle connection number `number`. The first address is left free for connections that choose their
    /// port.
    fn connect_idle(&mut self, number: usize) -> (SocketId, SocketId) {
        let port = PORTS.start() + u16::try_from(number % PORTS.len()).expect("a port");
        let block = u8::try_from(1 + number / PORTS.len()).expect("enough addresses");
        let address = client_address(block);
        self.connect(Some(SocketAddr::new(address, port)))
    }
}

/// Hands all that `from` has to `to`, and fires what is due at `to`. The places of packets are used again, as
/// those of a device are.
fn pass(now: Instant, from: &mut Host, to: &mut Host, batch: &mut Vec<Packet>) {
    let mut count = 0;
    loop {
        if count == batch.len() {
            batch.push(Packet::default());
        }
        if from.poll_transmit_into(now, &mut batch[count]).is_none() {
            break;
        }
        count += 1;
    }
    to.handle_packets(now, INTERFACE, batch[..count].iter_mut());
    if to.poll_timeout().is_some_and(|at| at <= now) {
        to.handle_timeout(now);
    }
    while to.poll_event().is_some() {}
}
