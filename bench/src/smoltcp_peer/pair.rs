//! What does a stream between two smoltcp interfaces cost?

pub use super::device::Checksums;

use super::device::Device;
use super::{SERVER_PORT, interface, now, socket};
use crate::clock::cpu_seconds;
use crate::measure::Measure;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::IpAddress;

/// Bytes of a measurement.
const STREAM_BYTES: usize = 64 << 20;
/// Bytes of one write and one read.
const CHUNK_BYTES: usize = 64 << 10;

/// The application's memory lies so far off the start of a page: `rep movsb` of Zen 4 is twenty times
/// slower when source and destination lie alike in their pages, and large buffers do. Ciao avoids it by
/// itself; smoltcp is helped here.
const ASIDE_BYTES: usize = 2048;

struct End {
    device: Device,
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
}

impl End {
    fn new(mut device: Device, last_octet: u8, buffer_bytes: usize, start: std::time::Instant) -> Self {
        let interface = interface(&mut device, last_octet, now(start));
        let mut sockets = SocketSet::new(vec![]);
        let socket = sockets.add(socket(buffer_bytes));
        Self { device, interface, sockets, socket }
    }

    fn poll(&mut self, start: std::time::Instant) {
        self.interface.poll(now(start), &mut self.device, &mut self.sockets);
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.socket)
    }
}

/// One stream with packets of at most `mtu` bytes, Gbit/s.
#[must_use]
pub fn stream(mtu: usize, buffer_bytes: usize, checksums: Checksums) -> Measure {
    let start = std::time::Instant::now();
    let (one, other) = Device::pair(mtu, checksums);
    let mut client = End::new(one, 1, buffer_bytes, start);
    let mut server = End::new(other, 2, buffer_bytes, start);
    server.socket().listen(SERVER_PORT).expect("the socket is closed");
    let remote = (IpAddress::v4(10, 0, 0, 2), SERVER_PORT);
    let End { interface, sockets, socket, .. } = &mut client;
    let connecting = sockets.get_mut::<tcp::Socket>(*socket);
    connecting.connect(interface.context(), remote, 40_000).expect("the socket is closed");
    while !(client.socket().may_send() && server.socket().may_recv()) {
        client.poll(start);
        server.poll(start);
    }
    let source = vec![0x5a; CHUNK_BYTES + ASIDE_BYTES];
    let mut sink = vec![0; CHUNK_BYTES + ASIDE_BYTES];
    Box::new(move || {
        let (mut sent, mut received) = (0, 0);
        let seconds = cpu_seconds(|| {
            while received < STREAM_BYTES {
                // One write for each turn, as in Ciao's stream.
                if client.socket().can_send() && sent < STREAM_BYTES {
                    sent += client.socket().send_slice(&source[ASIDE_BYTES..]).expect("established");
                }
                client.poll(start);
                server.poll(start);
                while server.socket().can_recv() {
                    received += server.socket().recv_slice(&mut sink[ASIDE_BYTES..]).expect("established");
                }
            }
        });
        received as f64 * 8.0 / seconds / 1e9
    })
}
