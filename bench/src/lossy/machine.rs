//! Who sends and receives? A machine with its TCP and the applications on it.

use super::algorithm::Algorithm;
use ciao_wire::{Instant, Packet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;

/// Bytes of each buffer of a connection: more than six times what fits on the path and in its queue, so
/// that windows never hold a sender back.
pub(super) const BUFFER_BYTES: u32 = 8 << 20;
/// Bytes of one write.
pub(super) const CHUNK_BYTES: usize = 64 << 10;
/// The prefix of the one network that all machines are in.
pub(super) const PREFIX_LEN: u8 = 24;
const RECEIVER_PORT: u16 = 5001;

/// The address of machine number `number`.
pub(super) const fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 0, number)
}

/// Where connections go to: machine number 1.
pub(super) const RECEIVER: SocketAddr = SocketAddr::new(IpAddr::V4(address(1)), RECEIVER_PORT);

/// A transfer.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Who limits it.
    pub algorithm: Algorithm,
    /// Bytes to be sent before the connection is closed.
    pub bytes: u64,
}

/// A connection as its receiver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The sender.
    pub from: SocketAddr,
    /// Bytes that its application has read.
    pub bytes: u64,
}

/// A machine at one end of the path.
pub trait Machine {
    /// Its address.
    fn address(&self) -> Ipv4Addr;

    /// Opens a connection to [the receiver](RECEIVER) and sends on it.
    fn open(&mut self, now: Instant, flow: Flow);

    /// A packet comes from the path.
    fn handle_packet(&mut self, now: Instant, packet: Packet);

    /// Fires timers, lets applications write what fits and read what is there.
    fn work(&mut self, now: Instant);

    /// The next packet for the path.
    fn poll_transmit(&mut self, now: Instant) -> Option<Packet>;

    /// When there will be work to do by itself; nothing for a machine that keeps its own time.
    fn poll_timeout(&self) -> Option<Instant>;

    /// What wakes who waits for a packet of this machine, if it is in real time.
    fn device(&self) -> Option<BorrowedFd<'_>>;

    /// Connections accepted so far, in order.
    fn received(&self) -> &[Received];

    /// The state of the first connection opened here, in one line.
    fn describe(&self, now: Instant) -> String;
}
