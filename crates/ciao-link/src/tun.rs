//! How does a host reach the kernel of the same machine? Through a TUN device: an interface of the kernel
//! whose other end is a file. Source: `tun(4)`, `Documentation/networking/tuntap.rst` of Linux.
//!
//! Each packet has a vnet header in front, so that super-segments of up to 64 KiB and unfinished checksums
//! travel both ways; a kernel that refuses to send such is asked for less. What the kernel gives is read
//! into a buffer of 64 KiB: small packets are copied out of it, large ones take the buffer with them.
//!
//! Not here: why opening fails ([`error`]), the system calls (`tun/sys.rs`), setting an address
//! (`tun/netlink.rs`), waiting for the device (the driver registers the
//! descriptor), what the other end of the interface does with the packets.

pub mod error;
mod netlink;
mod sys;
#[cfg(test)]
mod tests;
pub mod vnet_header;

pub use error::OpenError;

use crate::{Capabilities, ChecksumOffload, Link, Segmentation, Transmission};
use bytes::{Buf, Bytes, BytesMut};
use ciao_wire::{Packet, Payload};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use vnet_header::VnetHeader;

/// The environment variable that names another device node than [`DEVICE_NODE`].
pub const DEVICE_VARIABLE: &str = "CIAO_TUN";
/// Where Linux has the device node.
pub const DEVICE_NODE: &str = "/dev/net/tun";

/// A buffer for one read: the vnet header and the longest packet, an IPv6 header with 65,535 bytes behind
/// it.
const READ_CAPACITY: usize = vnet_header::LEN + 40 + 65_535;

/// Packets up to this many bytes are copied out of the read buffer: 8 KiB copy in a quarter of a
/// microsecond, while a small packet that kept the buffer would hold 64 KiB for as long as the application
/// leaves it unread.
const COPY_LIMIT: usize = 8 * 1024;

/// Read buffers that are kept to be used again once nobody holds their packets any more: 1 MiB, which stays
/// in L2.
const KEPT_BUFFERS: usize = 16;

/// Pieces of a packet that one `writev` takes; packets in more pieces are joined first. The kernel's limit
/// is 1,024.
const SLICES: usize = 64;

/// What the device is to be like.
#[derive(Clone, Debug)]
pub struct TunConfig {
    /// The interface's name in the kernel, 1 to 15 bytes.
    pub name: String,
    /// The device node.
    pub device: PathBuf,
    /// The kernel's own addresses on the interface, each with the length of its prefix in bits. They make
    /// the route: what the kernel sends to another address of such a prefix comes out of the device.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The longest IP packet on the interface, in bytes.
    pub mtu: u16,
    /// Whether super-segments and unfinished checksums are asked for.
    pub offload: TunOffload,
}

/// What is asked of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TunOffload {
    /// Super-segments and unfinished checksums; less when the kernel refuses.
    #[default]
    Best,
    /// Whole packets of at most the MTU, for comparison and for tests.
    None,
}

impl TunConfig {
    /// An interface of MTU 1500 without addresses, behind the device node that [`DEVICE_VARIABLE`] names,
    /// or the usual one.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let device = std::env::var_os(DEVICE_VARIABLE).unwrap_or_else(|| DEVICE_NODE.into());
        Self {
            name: name.to_owned(),
            device: device.into(),
            addresses: Vec::new(),
            mtu: 1500,
            offload: TunOffload::Best,
        }
    }
}

/// An open TUN device. The interface goes when this is dropped.
#[derive(Debug)]
pub struct Tun {
    file: File,
    name: String,
    capabilities: Capabilities,
    buffer: BytesMut,
    kept: VecDeque<Bytes>,
}

/// Whether any interface of this machine has `address`, so that a device must not be given it too.
///
/// # Errors
/// When the kernel does not list its addresses.
pub fn machine_has(address: IpAddr) -> io::Result<bool> {
    sys::has_address(address)
}

impl Tun {
    /// Makes the interface, gives it its MTU and addresses, and brings it up.
    ///
    /// # Errors
    /// [`OpenError`] says which of the device node, the right, the name or the kernel's help is missing.
    pub fn open(config: &TunConfig) -> Result<Self, OpenError> {
        let name = &config.name;
        if !sys::is_interface_name(name) {
            return Err(OpenError::NameInvalid { name: name.clone() });
        }
        let file = open_device(config)?;
        attach(&file, name)?;
        let capabilities = ask_for_offload(&file, config)?;
        configure(config)?;
        let (buffer, kept) = (BytesMut::new(), VecDeque::new());
        Ok(Self { file, name: name.clone(), capabilities, buffer, kept })
    }

    /// The interface's name in the kernel.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A buffer with room for a whole read: the one at hand, one whose packets are gone, or a new one.
    fn make_room(&mut self) {
        if self.buffer.capacity() >= READ_CAPACITY {
            return;
        }
        let oldest = self.kept.pop_front().map(Bytes::try_into_mut);
        match oldest {
            Some(Ok(mut free)) if free.capacity() >= READ_CAPACITY => {
                free.clear();
                self.buffer = free;
            }
            Some(Err(in_use)) if self.kept.len() + 1 < KEPT_BUFFERS => {
                self.kept.push_front(in_use);
                self.buffer = BytesMut::with_capacity(READ_CAPACITY);
            }
            _ => self.buffer = BytesMut::with_capacity(READ_CAPACITY),
        }
    }

    /// The packet that was read into the buffer, and the buffer ready for the next read.
    fn take_packet(&mut self) -> Option<Packet> {
        let header = VnetHeader::parse(self.buffer.first_chunk()?);
        let bytes = if self.buffer.len() <= COPY_LIMIT {
            let bytes = Bytes::copy_from_slice(&self.buffer[vnet_header::LEN..]);
            self.buffer.clear();
            bytes
        } else {
            let mut bytes = std::mem::take(&mut self.buffer).freeze();
            self.kept.push_back(bytes.clone());
            bytes.advance(vnet_header::LEN);
            bytes
        };
        let mut packet = Packet::from_bytes(bytes);
        packet.segment_size = header.received_segment_size();
        packet.checksum = header.received_checksum();
        Some(packet)
    }
}

fn open_device(config: &TunConfig) -> Result<File, OpenError> {
    let path = config.device.clone();
    let opened = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path);
    opened.map_err(|source| match source.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => OpenError::DeviceMissing { path },
        Some(libc::EACCES | libc::EPERM) => OpenError::DeviceForbidden { path },
        _ => OpenError::Refused { what: "open the TUN device", source },
    })
}

fn attach(file: &File, name: &str) -> Result<(), OpenError> {
    sys::attach(file.as_fd(), name, vnet_header::LEN).map_err(|source| match source.raw_os_error() {
        Some(libc::EBUSY) => OpenError::NameInUse { name: name.to_owned() },
        // The kernel's answer for an interface of another kind under this name.
        Some(libc::EINVAL) if sys::interface_index(name).is_some() => {
            OpenError::NameInUse { name: name.to_owned() }
        }
        _ => OpenError::refused("make the interface", name, source),
    })
}

/// Asks for the most, then for less, and says what was granted.
fn ask_for_offload(file: &File, config: &TunConfig) -> Result<Capabilities, OpenError> {
    let (by_host, by_link) = (ChecksumOffload::ByHost, ChecksumOffload::ByLink);
    let wishes = [
        (sys::OFFLOAD_SEGMENTATION, Segmentation::ByLink, by_link),
        (sys::OFFLOAD_CHECKSUM, Segmentation::ByHost, by_link),
        (0, Segmentation::ByHost, by_host),
    ];
    let first = if config.offload == TunOffload::Best { 0 } else { wishes.len() - 1 };
    let mut refusal = None;
    for &(mask, segmentation, checksum) in &wishes[first..] {
        match sys::set_offload(file.as_fd(), mask) {
            Ok(()) => return Ok(Capabilities { mtu: config.mtu, segmentation, checksum }),
            Err(source) => refusal = Some(source),
        }
    }
    let source = refusal.expect("the loop ran at least once and did not return");
    Err(OpenError::refused("set the offload of the device", &config.name, source))
}

fn configure(config: &TunConfig) -> Result<(), OpenError> {
    let refused = |what| move |source| OpenError::refused(what, &config.name, source);
    let interface = sys::Interface::new(&config.name).map_err(refused("open a control socket"))?;
    interface.set_mtu(config.mtu).map_err(refused("set the MTU"))?;
    interface.set_up().map_err(refused("bring the interface up"))?;
    for &(address, prefix_len) in &config.addresses {
        netlink::add_address(&config.name, address, prefix_len).map_err(refused("add the address"))?;
    }
    Ok(())
}

/// What the kernel says when something is written to an interface that is down. Reading finds nothing then.
fn or_down(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EIO) => {
            io::Error::new(io::ErrorKind::NetworkDown, "the interface of the TUN device is down")
        }
        _ => error,
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Tun {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl Link for Tun {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&mut self) -> io::Result<Option<Packet>> {
        self.make_room();
        loop {
            match sys::read(self.file.as_fd(), &mut self.buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(self.take_packet()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    fn transmit(&mut self, packet: Packet) -> io::Result<Transmission> {
        let header = VnetHeader::for_packet(&packet);
        if header.is_single() && packet.len() > usize::from(self.capabilities.mtu) {
            let what =
                format!("a packet of {} bytes is above the MTU of {}", packet.len(), self.capabilities.mtu);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let header = header.emit();
        loop {
            match write(&self.file, &header, &packet) {
                Ok(_) => return Ok(Transmission::Sent),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => {
                        return Ok(Transmission::Busy(packet));
                    }
                    _ => return Err(or_down(error)),
                },
            }
        }
    }
}

/// One `writev` of the vnet header, the packet's head and its pieces. The device takes all or nothing.
fn write(mut file: &File, header: &[u8], packet: &Packet) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    slices[0] = IoSlice::new(header);
    slices[1] = IoSlice::new(packet.head.as_slice());
    let mut used = 2;
    let mut chunks = packet.payload.chunks();
    for (slice, chunk) in slices[2..].iter_mut().zip(&mut chunks) {
        *slice = IoSlice::new(chunk);
        used += 1;
    }
    if used == SLICES && packet.payload.chunks().count() > SLICES - 2 {
        return write_joined(file, header, packet);
    }
    file.write_vectored(&slices[..used])
}

#[cold]
fn write_joined(file: &File, header: &[u8], packet: &Packet) -> io::Result<usize> {
    let payload = Payload::from(Bytes::from(packet.payload.to_vec()));
    write(file, header, &Packet { payload, head: packet.head.clone(), ..*packet })
}
