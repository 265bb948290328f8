//! The kernel's TCP as one end of the path, behind a TUN device in a namespace of its own.

use super::machine::{CHUNK_BYTES, Flow, Machine, RECEIVER, Received};
use super::namespace::Namespace;
use super::sys;
use ciao_link::tun::Tun;
use ciao_link::{Link, Transmission};
use ciao_wire::{Instant, Packet};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

/// A network namespace with its applications.
pub(super) struct LinuxMachine {
    address: Ipv4Addr,
    namespace: Namespace,
    device: Tun,
    listener: Option<TcpListener>,
    buffer: Vec<u8>,
    sending: Vec<Sending>,
    receiving: Vec<TcpStream>,
    received: Vec<Received>,
}

struct Sending {
    socket: TcpStream,
    left_bytes: u64,
    is_closed: bool,
}

impl LinuxMachine {
    /// A machine that sends.
    ///
    /// # Errors
    /// Without the right to make a namespace, or without a TUN device.
    pub(super) fn new(address: Ipv4Addr) -> io::Result<Self> {
        let (namespace, device) = Namespace::new(address)?;
        Ok(Self {
            address,
            namespace,
            device,
            listener: None,
            buffer: vec![0x5a; 4 * CHUNK_BYTES],
            sending: Vec::new(),
            receiving: Vec::new(),
            received: Vec::new(),
        })
    }

    /// The machine that receives.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(super) fn receiver(address: Ipv4Addr) -> io::Result<Self> {
        let mut machine = Self::new(address)?;
        let listener = machine.namespace.inside(|| TcpListener::bind(RECEIVER))?;
        listener.set_nonblocking(true)?;
        machine.listener = Some(listener);
        Ok(machine)
    }

    fn write(&mut self) {
        for sending in &mut self.sending {
            while sending.left_bytes > 0 {
                let len = CHUNK_BYTES.min(usize::try_from(sending.left_bytes).unwrap_or(CHUNK_BYTES));
                match sending.socket.write(&self.buffer[..len]) {
                    Ok(count) => sending.left_bytes -= count as u64,
                    Err(_) => break,
                }
            }
            if sending.left_bytes == 0 && !sending.is_closed {
                sending.is_closed = sending.socket.shutdown(Shutdown::Write).is_ok();
            }
        }
    }

    fn read(&mut self) {
        while let Some(Ok((socket, from))) = self.listener.as_ref().map(TcpListener::accept) {
            socket.set_nonblocking(true).expect("a socket can be told not to wait");
            self.receiving.push(socket);
            self.received.push(Received { from, bytes: 0 });
        }
        for (socket, received) in self.receiving.iter_mut().zip(&mut self.received) {
            while let Ok(count) = socket.read(&mut self.buffer)
                && count > 0
            {
                received.bytes += count as u64;
            }
        }
    }
}

impl Machine for LinuxMachine {
    fn address(&self) -> Ipv4Addr {
        self.address
    }

    fn open(&mut self, _now: Instant, flow: Flow) {
        let SocketAddr::V4(receiver) = RECEIVER else { unreachable!("the receiver's address is IPv4") };
        let from = self.address;
        let connect = || sys::connect(from, receiver, flow.algorithm.of_linux());
        let socket = self.namespace.inside(connect).expect("the kernel has this algorithm, and a route");
        self.sending.push(Sending { socket, left_bytes: flow.bytes, is_closed: false });
    }

    fn handle_packet(&mut self, _now: Instant, packet: Packet) {
        match self.device.transmit(packet) {
            Ok(Transmission::Sent) => {}
            // Lost, as it would be in a machine that has no memory for it.
            Ok(Transmission::Busy(_)) => eprintln!("the TUN device is full"),
            Err(error) => eprintln!("the TUN device: {error}"),
        }
    }

    fn work(&mut self, _now: Instant) {
        self.write();
        self.read();
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Packet> {
        self.device.receive().expect("the device is there as long as this machine")
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn device(&self) -> Option<BorrowedFd<'_>> {
        Some(self.device.as_fd())
    }

    fn received(&self) -> &[Received] {
        &self.received
    }

    fn describe(&self, _now: Instant) -> String {
        let Some(Ok(info)) = self.sending.first().map(|sending| sys::tcp_info(&sending.socket)) else {
            return String::new();
        };
        format!(
            "cwnd {} ssthresh {} unacked {} sacked {} lost {} retransmissions {} ({} in flight) rtt {} us \
             reordering {} state {}",
            info.tcpi_snd_cwnd,
            info.tcpi_snd_ssthresh.cast_signed(),
            info.tcpi_unacked,
            info.tcpi_sacked,
            info.tcpi_lost,
            info.tcpi_total_retrans,
            info.tcpi_retrans,
            info.tcpi_rtt,
            info.tcpi_reordering,
            info.tcpi_ca_state,
        )
    }
}
