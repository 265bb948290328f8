//! What does the kernel's own TCP cost over its loopback? One thread has both ends, as in the other
//! contenders' rows: on loopback the kernel delivers within the sender's system call, so that no call below
//! ever waits.
//!
//! Congestion control is CUBIC, where the machine's default may be BBR, which paces loopback.

use crate::clock::cpu_seconds;
use crate::measure::Measure;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

/// Bytes of a stream's measurement.
const STREAM_BYTES: usize = 64 << 20;
/// Bytes of one write and one read.
const CHUNK_BYTES: usize = 128 << 10;
/// Echoes of a measurement.
const ECHOES: u32 = 5_000;
/// Connections of a measurement; few, because each leaves a port in TIME-WAIT for a minute.
const CONNECTIONS: u32 = 500;

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port")
}

fn connect(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let address = listener.local_addr().expect("bound");
    let client = TcpStream::connect(address).expect("the listener is there");
    let server = listener.accept().expect("the client has connected").0;
    for socket in [&client, &server] {
        socket.set_nodelay(true).expect("a TCP socket");
        let name = b"cubic";
        // SAFETY: pointer and length of one constant. A kernel without CUBIC refuses, and keeps its
        // default.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_CONGESTION,
                name.as_ptr().cast(),
                5,
            );
        }
    }
    (client, server)
}

/// One stream, Gbit/s.
#[must_use]
pub fn stream() -> Measure {
    let (mut client, mut server) = connect(&listener());
    client.set_nonblocking(true).expect("a socket");
    server.set_nonblocking(true).expect("a socket");
    let source = vec![0x5a; CHUNK_BYTES];
    let mut sink = vec![0; CHUNK_BYTES];
    Box::new(move || {
        let seconds = cpu_seconds(|| {
            let mut received = 0;
            while received < STREAM_BYTES {
                drain(|| client.write(&source));
                drain(|| server.read(&mut sink).inspect(|count| received += count));
            }
        });
        drain(|| server.read(&mut sink));
        STREAM_BYTES as f64 * 8.0 / seconds / 1e9
    })
}

/// Repeats a call until it would wait.
fn drain(mut call: impl FnMut() -> io::Result<usize>) {
    loop {
        match call() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => panic!("loopback broke: {error}"),
        }
    }
}

/// One byte there and back, ns, while `idle_connections` others are open.
#[must_use]
pub fn echo(idle_connections: usize) -> Measure {
    let listener = listener();
    let idle: Vec<_> = (0..idle_connections).map(|_| connect(&listener)).collect();
    let (mut client, mut server) = connect(&listener);
    Box::new(move || {
        let _ = &idle;
        let mut byte = [1];
        let seconds = cpu_seconds(|| {
            for _ in 0..ECHOES {
                client.write_all(&byte).expect("there is room");
                server.read_exact(&mut byte).expect("it has arrived");
                server.write_all(&byte).expect("there is room");
                client.read_exact(&mut byte).expect("it has arrived");
            }
        });
        seconds * 1e9 / f64::from(ECHOES)
    })
}

/// Open, one byte there and back, close; a second of CPU time.
#[must_use]
pub fn connections() -> Measure {
    let listener = listener();
    Box::new(move || {
        let mut byte = [1];
        let seconds = cpu_seconds(|| {
            for _ in 0..CONNECTIONS {
                let (mut client, mut server) = connect(&listener);
                client.write_all(&byte).expect("there is room");
                server.read_exact(&mut byte).expect("it has arrived");
                server.write_all(&byte).expect("there is room");
                drop(server);
                client.read_exact(&mut byte).expect("it has arrived");
                assert_eq!(client.read(&mut byte).expect("the server has closed"), 0);
            }
        });
        f64::from(CONNECTIONS) / seconds
    })
}
