//! Devices that carry IP packets. The only crate with `unsafe`, all of it in system calls.
//!
//! | question | file |
//! |---|---|
//! | What does a host ask of a device? | here: [`Link`], [`Capabilities`] |
//! | Two ends in one process, joined by queues | [`memory`] |
//! | A TUN device of Linux, with segmentation offload | [`tun`] |
//! | The ten bytes in front of each packet of such a device | [`tun::vnet_header`] |
//! | How does an interface get its addresses? | `tun/netlink.rs` |
//! | Which system calls are used? | `tun/sys.rs` |
//!
//! Not here: what a packet is (`ciao_wire::packet`), who cuts it into segments when the link does not
//! (`ciao-stack`), and links with delay, loss and virtual time (`ciao-sim`).

pub mod memory;
pub mod tun;

pub use memory::{MemoryConfig, MemoryEnd, memory_pair};
pub use tun::{OpenError, Tun, TunConfig, TunOffload};

use ciao_wire::Packet;
use std::io;

/// Who cuts a super-segment into segments that fit the MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Segmentation {
    /// The host: each packet handed to the link is at most the MTU long.
    #[default]
    ByHost,
    /// The link: packets of up to 65,535 bytes are taken when their segment size is set, and are delivered
    /// so.
    ByLink,
}

/// Who completes and verifies the transport checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ChecksumOffload {
    /// The host writes whole checksums and verifies those of what arrives unknown.
    #[default]
    ByHost,
    /// The link completes [`ciao_wire::Checksum::Partial`] and vouches for what it knows to be valid.
    ByLink,
}

/// What a link can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The longest IP packet on the wire, in bytes, IP header included.
    pub mtu: u16,
    /// Who cuts super-segments.
    pub segmentation: Segmentation,
    /// Who completes checksums.
    pub checksum: ChecksumOffload,
}

/// What became of a packet handed to a link.
#[derive(Debug)]
#[must_use]
pub enum Transmission {
    /// The link has it.
    Sent,
    /// No room at present. The packet comes back unchanged, to be offered again or to be dropped.
    Busy(Packet),
}

/// A device that carries IP packets. No call waits.
pub trait Link {
    /// What the link can do. Does not change while the link lives.
    fn capabilities(&self) -> Capabilities;

    /// The next packet that arrived, or `None` when there is none now.
    ///
    /// # Errors
    /// When the device is gone. Not for a packet that makes no sense: that is dropped by whoever reads its
    /// headers.
    fn receive(&mut self) -> io::Result<Option<Packet>>;

    /// Hands a packet to the link.
    ///
    /// # Errors
    /// When the device is gone or down, and [`io::ErrorKind::InvalidInput`] for a packet that the link can
    /// never carry.
    fn transmit(&mut self, packet: Packet) -> io::Result<Transmission>;
}
