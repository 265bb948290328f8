//! What do connections cost that do little or nothing: an echo, an open and a close, a poll, and memory?

use super::{INTERFACE, Link, Pair, SERVER, client_address};
use crate::allocation::held_bytes;
use crate::clock::cpu_seconds;
use crate::measure::Measure;
use ciao_stack::{Checksums, ConnectRequest, Offload, Segmentation, SocketId};
use ciao_wire::Packet;
use std::hint::black_box;

/// Echoes and polls of a measurement.
const ECHOES: u32 = 50_000;
/// Connections of a measurement of speed.
const CONNECTIONS: u32 = 20_000;
/// Connections of a measurement of memory.
const MANY: usize = 100_000;

/// As poor as Ethernet, as smoltcp's own loopback is: whole checksums, packets of 1,500 bytes.
const ETHERNET: Link = Link {
    mtu: 1500,
    offload: Offload { segmentation: Segmentation::ByHost, checksums: Checksums::ByHost },
    buffer_bytes: 256 << 10,
};

fn among(idle_connections: usize) -> Pair {
    let mut pair = Pair::new(ETHERNET, idle_connections);
    for number in 0..idle_connections {
        pair.connect_idle(number);
    }
    pair
}

impl Pair {
    fn byte_to_server(&mut self, client: SocketId, server: SocketId) {
        let now = self.now();
        assert_eq!(self.client.tcp_send(now, client, &[1]), Ok(1), "established, and there is room");
        self.carry_to_server(now);
        assert_eq!(self.server.tcp_receive(now, server, &mut [0]), Ok(1), "it was carried over");
    }

    fn byte_to_client(&mut self, client: SocketId, server: SocketId) {
        let now = self.now();
        assert_eq!(self.server.tcp_send(now, server, &[1]), Ok(1), "established, and there is room");
        self.carry_to_client(now);
        assert_eq!(self.client.tcp_receive(now, client, &mut [0]), Ok(1), "it was carried over");
    }

    /// Opens, sends one byte there and back, and closes, the server first.
    fn visit(&mut self) {
        let (client, server) = self.connect(None);
        self.byte_to_server(client, server);
        let now = self.now();
        assert_eq!(self.server.tcp_send(now, server, &[1]), Ok(1), "established, and there is room");
        self.server.tcp_close(now, server);
        self.carry_to_client(now);
        assert_eq!(self.client.tcp_receive(now, client, &mut [0; 8]), Ok(1), "it was carried over");
        assert_eq!(self.client.tcp_receive(now, client, &mut [0; 8]), Ok(0), "the server has closed");
        self.client.tcp_close(now, client);
        let now = self.turn();
        self.carry_to_server(now);
    }
}

/// One byte there and back, ns, while `idle_connections` others are open.
#[must_use]
pub fn echo(idle_connections: usize) -> Measure {
    let mut pair = among(idle_connections);
    let (client, server) = pair.connect(None);
    Box::new(move || {
        let seconds = cpu_seconds(|| {
            for _ in 0..ECHOES {
                pair.byte_to_server(client, server);
                pair.byte_to_client(client, server);
            }
        });
        seconds * 1e9 / f64::from(ECHOES)
    })
}

/// Open, one byte there and back, close; a second of CPU time, while `idle_connections` others are open.
#[must_use]
pub fn connections(idle_connections: usize) -> Measure {
    let mut pair = among(idle_connections);
    Box::new(move || {
        let seconds = cpu_seconds(|| (0..CONNECTIONS).for_each(|_| pair.visit()));
        f64::from(CONNECTIONS) / seconds
    })
}

/// A poll of one host with nothing to do among so many connections, ns.
#[must_use]
pub fn idle_poll(connections: usize) -> Measure {
    let mut pair = among(connections);
    Box::new(move || {
        let seconds = cpu_seconds(|| {
            for _ in 0..ECHOES {
                let now = pair.now();
                pair.server.handle_packets(now, INTERFACE, std::iter::empty::<Packet>());
                pair.server.handle_timeout(now);
                black_box(pair.server.poll_transmit(now).is_some());
                black_box(pair.server.poll_event().is_some());
                black_box(pair.server.poll_timeout());
            }
        });
        seconds * 1e9 / f64::from(ECHOES)
    })
}

/// Bytes that one end of an idle connection holds.
#[must_use]
pub fn idle_bytes() -> Measure {
    Box::new(|| {
        let before = held_bytes();
        let pair = among(MANY);
        assert_eq!(pair.server.counts().connections, MANY);
        (held_bytes() - before) as f64 / (2 * MANY) as f64
    })
}

/// Bytes that a half-open connection holds at the host that was called.
#[must_use]
pub fn half_open_bytes() -> Measure {
    Box::new(|| {
        let mut pair = Pair::new(ETHERNET, MANY);
        let mut held = 0;
        for number in 0..MANY {
            let now = pair.now();
            let port = 1024 + u16::try_from(number % 60_000).expect("a port");
            let address = client_address(u8::try_from(number / 60_000).expect("one or two"));
            let request =
                ConnectRequest { local: Some((address, port).into()), ..ConnectRequest::to(SERVER) };
            let socket = pair.client.tcp_connect(now, request).expect("the end is free");
            let (_, syn) = pair.client.poll_transmit(now).expect("a SYN");
            pair.client.tcp_abort(now, socket);
            while pair.client.poll_transmit(now).is_some() {}
            let before = held_bytes();
            pair.server.handle_packet(now, INTERFACE, syn);
            while pair.server.poll_transmit(now).is_some() {}
            held += held_bytes() - before;
        }
        assert_eq!(pair.server.counts().half_open, MANY);
        held as f64 / MANY as f64
    })
}

/// Bytes that a connection in TIME-WAIT holds.
#[must_use]
pub fn time_wait_bytes() -> Measure {
    Box::new(|| {
        let mut pair = Pair::new(ETHERNET, 0);
        pair.visit();
        let before = held_bytes();
        for _ in 0..MANY {
            pair.visit();
        }
        let count = pair.server.counts().time_wait;
        assert!(count > 0, "the server closes first");
        (held_bytes() - before) as f64 / count as f64
    })
}
