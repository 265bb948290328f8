//! Which system calls does the kernel's side need? Safe functions around each of them.
//!
//! Source: `unshare(2)`, `setns(2)`, `ppoll(2)`, `sched_setscheduler(2)`, `tcp(7)`.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

fn check(outcome: libc::c_int) -> io::Result<libc::c_int> {
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(outcome) }
}

/// Moves this thread into a new, empty network namespace.
pub(super) fn leave_network() -> io::Result<()> {
    // SAFETY: no pointers; nothing but the thread's network changes.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) }).map(drop)
}

/// Moves this thread into the network namespace that `namespace` refers to.
pub(super) fn enter_network(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers; nothing but the thread's network changes.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// Lets this thread go before all others that are not of its kind: it sleeps most of the time, and what it
/// delivers late is measured. Without the right nothing changes.
pub(super) fn hurry() {
    let parameters = libc::sched_param { sched_priority: 10 };
    // SAFETY: the structure is ours for the time of the call.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
}

/// Waits until one of the devices can be read, or so long.
pub(super) fn wait_readable(devices: &[BorrowedFd<'_>], at_most: Duration) {
    let entry =
        |device: &BorrowedFd<'_>| libc::pollfd { fd: device.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut entries: Vec<_> = devices.iter().map(entry).collect();
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(at_most.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: at_most.subsec_nanos().into(),
    };
    let count = libc::nfds_t::try_from(entries.len()).expect("a few devices");
    // SAFETY: both are ours for the time of the call, and so many entries there are. To return early does
    // no harm, so nothing is done about a failure.
    let _ = unsafe { libc::ppoll(entries.as_mut_ptr(), count, &raw const timeout, ptr::null()) };
}

/// Begins to connect, with the congestion control of this name.
pub(super) fn connect(from: Ipv4Addr, to: SocketAddrV4, congestion_control: &str) -> io::Result<TcpStream> {
    // SAFETY: no pointers.
    let fd = check(unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0)
    })?;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let name_len = libc::socklen_t::try_from(congestion_control.len()).expect("a short name");
    // SAFETY: pointer and length of one string.
    check(unsafe {
        let name = congestion_control.as_ptr().cast();
        libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_CONGESTION, name, name_len)
    })?;
    let local = kernel_address(SocketAddrV4::new(from, 0));
    let remote = kernel_address(to);
    let len = libc::socklen_t::try_from(size_of::<libc::sockaddr_in>()).expect("16");
    // SAFETY: the address is ours for the time of the call, and has this length.
    check(unsafe { libc::bind(fd, (&raw const local).cast(), len) })?;
    // SAFETY: as above.
    let outcome = check(unsafe { libc::connect(fd, (&raw const remote).cast(), len) });
    match outcome {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from(socket)),
    }
}

fn kernel_address(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::sa_family_t::try_from(libc::AF_INET).expect("2"),
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
        sin_zero: [0; 8],
    }
}

/// What the kernel says of a connection.
pub(super) fn tcp_info(socket: &TcpStream) -> io::Result<libc::tcp_info> {
    // SAFETY: a C structure of integers; all zeroes is a value of it.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut len = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).expect("a small structure");
    // SAFETY: the kernel writes at most `len` bytes.
    check(unsafe {
        let place = (&raw mut info).cast();
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, place, &raw mut len)
    })?;
    Ok(info)
}
