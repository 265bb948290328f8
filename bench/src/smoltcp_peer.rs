//! What does smoltcp 0.14 cost? Two interfaces joined in memory for a stream, as Ciao's two hosts are; one
//! interface that talks to itself, smoltcp's own and cheapest link, for everything else.
//!
//! Each row gives smoltcp what suits it best: no Nagle, buffers that stay in the cache, packet buffers used
//! again.

mod device;
mod pair;

pub use pair::{Checksums, stream};

use crate::allocation::held_bytes;
use crate::clock::cpu_seconds;
use crate::measure::Measure;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, Loopback, Medium};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

/// Echoes of a measurement among few sockets.
const ECHOES: usize = 50_000;
/// Socket visits of a measurement among many sockets: smoltcp looks at each socket in each poll.
const VISITS: usize = 10_000_000;
/// Connections of a measurement.
const CONNECTIONS: u32 = 20_000;
/// Each buffer of a socket where no stream runs.
const SMALL_BUFFER_BYTES: usize = 4096;

const SERVER_PORT: u16 = 80;

fn interface(device: &mut impl Device, last_octet: u8, now: Instant) -> Interface {
    let mut interface = Interface::new(Config::new(HardwareAddress::Ip), device, now);
    interface.update_ip_addrs(|addresses| {
        let address = IpCidr::new(IpAddress::v4(10, 0, 0, last_octet), 24);
        addresses.push(address).expect("the first address has a place");
    });
    interface
}

fn socket(buffer_bytes: usize) -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; buffer_bytes]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket
}

fn now(start: std::time::Instant) -> Instant {
    Instant::from_micros(i64::try_from(start.elapsed().as_micros()).expect("a run is short"))
}

/// One interface that talks to itself.
struct Alone {
    interface: Interface,
    device: Loopback,
    sockets: SocketSet<'static>,
    start: std::time::Instant,
}

impl Alone {
    fn new() -> Self {
        let start = std::time::Instant::now();
        let mut device = Loopback::new(Medium::Ip);
        let interface = interface(&mut device, 1, now(start));
        Self { interface, device, sockets: SocketSet::new(vec![]), start }
    }

    fn poll(&mut self) {
        self.interface.poll(now(self.start), &mut self.device, &mut self.sockets);
    }

    fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    fn open(&mut self, client: SocketHandle, server: SocketHandle, port: u16) {
        self.socket(server).listen(SERVER_PORT).expect("the socket is closed");
        let remote = (IpAddress::v4(10, 0, 0, 1), SERVER_PORT);
        let client_socket = self.sockets.get_mut::<tcp::Socket>(client);
        client_socket.connect(self.interface.context(), remote, port).expect("the socket is closed");
        while !(self.socket(client).may_send() && self.socket(server).may_send()) {
            self.poll();
        }
    }

    /// A new connection: client and server.
    fn add(&mut self, number: usize) -> (SocketHandle, SocketHandle) {
        let (client, server) =
            (self.sockets.add(socket(SMALL_BUFFER_BYTES)), self.sockets.add(socket(SMALL_BUFFER_BYTES)));
        self.open(client, server, 1024 + u16::try_from(number).expect("fewer connections than ports"));
        (client, server)
    }

    fn pass_byte(&mut self, from: SocketHandle, to: SocketHandle) {
        let mut byte = [1];
        self.socket(from).send_slice(&byte).expect("established");
        while !self.socket(to).can_recv() {
            self.poll();
        }
        self.socket(to).recv_slice(&mut byte).expect("established");
    }
}

/// One byte there and back on the last of so many connections, ns.
#[must_use]
pub fn echo(connections: usize) -> Measure {
    let mut alone = Alone::new();
    let (client, server) = (0..connections).map(|number| alone.add(number)).last().expect("at least one");
    let echoes = (VISITS / connections).clamp(20, ECHOES);
    Box::new(move || {
        let seconds = cpu_seconds(|| {
            for _ in 0..echoes {
                alone.pass_byte(client, server);
                alone.pass_byte(server, client);
            }
        });
        seconds * 1e9 / echoes as f64
    })
}

/// A poll with nothing to do among so many connections, ns.
#[must_use]
pub fn idle_poll(connections: usize) -> Measure {
    let mut alone = Alone::new();
    for number in 0..connections {
        alone.add(number);
    }
    let polls = (VISITS / connections).clamp(20, ECHOES);
    Box::new(move || {
        let seconds = cpu_seconds(|| (0..polls).for_each(|_| alone.poll()));
        seconds * 1e9 / polls as f64
    })
}

/// Bytes that one end of an idle connection holds, with two buffers of 4 KiB.
#[must_use]
pub fn idle_bytes() -> Measure {
    const CONNECTIONS: usize = 200;
    Box::new(|| {
        let before = held_bytes();
        let mut alone = Alone::new();
        for number in 0..CONNECTIONS {
            alone.add(number);
        }
        (held_bytes() - before) as f64 / (2 * CONNECTIONS) as f64
    })
}

/// Open, one byte there and back, close; a second of CPU time. The same two sockets each time, and
/// TIME-WAIT is cut short: smoltcp's best case.
#[must_use]
pub fn connections() -> Measure {
    let mut alone = Alone::new();
    let client = alone.sockets.add(socket(SMALL_BUFFER_BYTES));
    let server = alone.sockets.add(socket(SMALL_BUFFER_BYTES));
    let mut port = 0;
    Box::new(move || {
        let seconds = cpu_seconds(|| {
            for _ in 0..CONNECTIONS {
                port = (port + 1) % 60_000;
                alone.open(client, server, 1024 + port);
                alone.pass_byte(client, server);
                alone.socket(server).send_slice(&[1]).expect("established");
                alone.socket(server).close();
                while alone.socket(client).may_recv() {
                    alone.poll();
                    if alone.socket(client).can_recv() {
                        alone.socket(client).recv_slice(&mut [0]).expect("established");
                    }
                }
                alone.socket(client).close();
                while alone.socket(client).is_active() {
                    alone.poll();
                }
                alone.socket(server).abort();
                alone.poll();
            }
        });
        f64::from(CONNECTIONS) / seconds
    })
}
