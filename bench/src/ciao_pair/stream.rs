//! What does a stream between two Ciao hosts cost, written and read by copying or handed over by reference?

use super::{Link, Pair};
use crate::clock::cpu_seconds;
use crate::measure::Measure;
use bytes::Bytes;
use ciao_stack::{Host, SocketId};
use ciao_wire::Instant;

/// Bytes of a measurement, as much as the peers'.
const STREAM_BYTES: usize = 64 << 20;
/// Bytes of one write and one read.
const CHUNK_BYTES: usize = 64 << 10;

/// How the application writes and reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// From its own memory into its own memory.
    Copying,
    /// Reference-counted pieces, as HTTP bodies are.
    Bytes,
}

/// The application at both ends.
struct Application {
    interface: Interface,
    source: Bytes,
    sink: Vec<u8>,
}

impl Application {
    /// Writes once and gives how many bytes went. What a write allows to be sent is sent at once, as by the
    /// sockets over a real device.
    fn write(&self, now: Instant, host: &mut Host, socket: SocketId) -> usize {
        let outcome = match self.interface {
            Interface::Copying => host.tcp_send(now, socket, &self.source),
            Interface::Bytes => host.tcp_send_bytes(now, socket, &mut self.source.clone()),
        };
        outcome.unwrap_or(0)
    }

    /// Reads all there is and gives how many bytes that were.
    fn read(&mut self, now: Instant, host: &mut Host, socket: SocketId) -> usize {
        let mut received = 0;
        loop {
            let outcome = match self.interface {
                Interface::Copying => host.tcp_receive(now, socket, &mut self.sink),
                Interface::Bytes => host.tcp_receive_bytes(now, socket, CHUNK_BYTES).map(|bytes| bytes.len()),
            };
            match outcome {
                Ok(count) if count > 0 => received += count,
                _ => return received,
            }
        }
    }
}

/// One stream, Gbit/s.
#[must_use]
pub fn stream(link: Link, interface: Interface) -> Measure {
    let mut pair = Pair::new(link, 0);
    let (client, server) = pair.connect(None);
    let source = Bytes::from(vec![0x5a; CHUNK_BYTES]);
    let mut application = Application { interface, source, sink: vec![0; CHUNK_BYTES] };
    Box::new(move || {
        let (mut sent, mut received) = (0, 0);
        let seconds = cpu_seconds(|| {
            while received < STREAM_BYTES {
                let now = pair.now();
                if sent < STREAM_BYTES {
                    sent += application.write(now, &mut pair.client, client);
                }
                let now = pair.turn();
                received += application.read(now, &mut pair.server, server);
            }
        });
        received as f64 * 8.0 / seconds / 1e9
    })
}
