//! Which system calls does a TUN device need? Safe functions around each of them, and every `unsafe` block
//! of the crate.
//!
//! Source: `tun(4)` and `netdevice(7)` of Linux; `linux/if_tun.h`. The device is opened and written with
//! the standard library. Not here: the order of the calls and what a refusal means (`tun.rs`), the message
//! that sets an address (`netlink.rs`).

use bytes::BytesMut;
use std::ffi::CString;
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// What the process promises to take from the device: unfinished checksums, and TCP super-segments (with
/// ECN) of both IP versions.
pub(super) const OFFLOAD_SEGMENTATION: libc::c_uint =
    libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
/// Unfinished checksums alone.
pub(super) const OFFLOAD_CHECKSUM: libc::c_uint = libc::TUN_F_CSUM;

/// The longest name of an interface, its final zero counted.
const NAME_CAPACITY: usize = libc::IFNAMSIZ;

/// True when the kernel would take this name.
pub(super) fn is_interface_name(name: &str) -> bool {
    let forbidden = |byte: u8| byte == b'/' || byte == b':' || byte == 0 || byte.is_ascii_whitespace();
    !name.is_empty()
        && name.len() < NAME_CAPACITY
        && name != "."
        && name != ".."
        && !name.bytes().any(forbidden)
}

fn request(name: &str) -> libc::ifreq {
    debug_assert!(name.len() < NAME_CAPACITY, "the name was checked when the device was opened");
    // SAFETY: `ifreq` is a C structure of integers and a union of such; all zeroes is a value of it.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = libc::c_char::from_ne_bytes([byte]);
    }
    request
}

/// Calls `ioctl` with a pointer to `argument`.
fn ioctl_on<T>(fd: BorrowedFd<'_>, number: libc::Ioctl, argument: &mut T) -> io::Result<()> {
    // SAFETY: the descriptor is open for the time of the borrow; every caller in this file passes the
    // structure that the kernel documents for `number`, exclusively borrowed, so the kernel may read and
    // write it.
    let outcome = unsafe { libc::ioctl(fd.as_raw_fd(), number, ptr::from_mut(argument)) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// True when any interface of this machine has `address`.
pub(super) fn has_address(address: IpAddr) -> io::Result<bool> {
    let mut first: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: the kernel's list goes where `first` is; on success it is freed below, exactly once.
    if unsafe { libc::getifaddrs(&raw mut first) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = false;
    let mut entry = first;
    // SAFETY: each entry lives until the list is freed, and ends with a null pointer.
    while let Some(interface) = unsafe { entry.as_ref() } {
        found |= ip_of(interface.ifa_addr) == Some(address);
        entry = interface.ifa_next;
    }
    // SAFETY: `first` came from `getifaddrs`, and nothing of the list is used any more.
    unsafe { libc::freeifaddrs(first) };
    Ok(found)
}

/// The IP address in a socket address of the kernel's list, if it is one.
fn ip_of(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: the caller passes a pointer of a living list: null, or to a socket address of its family.
    let family = i32::from(unsafe { address.as_ref() }?.sa_family);
    match family {
        libc::AF_INET => {
            // SAFETY: an address of this family has this structure; the kernel aligned it.
            let v4 = unsafe { ptr::read_unaligned(address.cast::<libc::sockaddr_in>()) };
            Some(IpAddr::V4(Ipv4Addr::from_bits(u32::from_be(v4.sin_addr.s_addr))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { ptr::read_unaligned(address.cast::<libc::sockaddr_in6>()) };
            Some(IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr)))
        }
        _ => None,
    }
}

/// Makes the interface `name` behind an open TUN device: packets without a link header, each with a vnet
/// header of `vnet_header_len` bytes.
pub(super) fn attach(fd: BorrowedFd<'_>, name: &str, vnet_header_len: usize) -> io::Result<()> {
    let mut request = request(name);
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).expect("the three flags are below 0x8000");
    ioctl_on(fd, libc::TUNSETIFF, &mut request)?;
    let mut len = libc::c_int::try_from(vnet_header_len).expect("ten");
    ioctl_on(fd, libc::TUNSETVNETHDRSZ, &mut len)
}

/// Promises to take what `offload` names.
pub(super) fn set_offload(fd: BorrowedFd<'_>, offload: libc::c_uint) -> io::Result<()> {
    // SAFETY: the descriptor is open for the time of the borrow; the argument is a number, not a pointer.
    let outcome = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(offload)) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reads one packet into the spare capacity of `buffer`, behind what it holds, and gives its length.
pub(super) fn read(fd: BorrowedFd<'_>, buffer: &mut BytesMut) -> io::Result<usize> {
    let spare = buffer.spare_capacity_mut();
    // SAFETY: `spare` is exclusively borrowed memory of the given length; the kernel writes at most so many
    // bytes.
    let outcome = unsafe { libc::read(fd.as_raw_fd(), spare.as_mut_ptr().cast(), spare.len()) };
    let len = usize::try_from(outcome).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has written `len` bytes behind the ones that were there.
    unsafe { buffer.set_len(buffer.len() + len) };
    Ok(len)
}

/// A socket for calls about interfaces.
fn control_socket() -> io::Result<OwnedFd> {
    socket(libc::AF_INET, libc::SOCK_DGRAM)
}

/// A socket for messages about addresses.
pub(super) fn netlink_socket() -> io::Result<OwnedFd> {
    socket(libc::AF_NETLINK, libc::SOCK_RAW)
}

fn socket(family: libc::c_int, kind: libc::c_int) -> io::Result<OwnedFd> {
    // Protocol zero is UDP of the one family and NETLINK_ROUTE of the other.
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The number of an interface, or `None` when no interface has this name.
pub(super) fn interface_index(name: &str) -> Option<libc::c_uint> {
    let name = CString::new(name).ok()?;
    // SAFETY: a string with its final zero, alive during the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// An interface to be configured, and the socket to do it with.
pub(super) struct Interface {
    name: String,
    socket: OwnedFd,
}

impl Interface {
    pub(super) fn new(name: &str) -> io::Result<Self> {
        Ok(Self { name: name.to_owned(), socket: control_socket()? })
    }

    fn set(&self, number: libc::Ioctl, fill: impl FnOnce(&mut libc::ifreq)) -> io::Result<()> {
        let mut request = request(&self.name);
        fill(&mut request);
        ioctl_on(self.socket.as_fd(), number, &mut request)
    }

    pub(super) fn set_mtu(&self, mtu: u16) -> io::Result<()> {
        self.set(libc::SIOCSIFMTU, |request| request.ifr_ifru.ifru_mtu = libc::c_int::from(mtu))
    }

    pub(super) fn set_up(&self) -> io::Result<()> {
        let flags = libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).expect("both are below 0x8000");
        self.set(libc::SIOCSIFFLAGS, |request| request.ifr_ifru.ifru_flags = flags)
    }

    #[cfg(test)]
    pub(super) fn set_down(&self) -> io::Result<()> {
        self.set(libc::SIOCSIFFLAGS, |request| request.ifr_ifru.ifru_flags = 0)
    }
}
