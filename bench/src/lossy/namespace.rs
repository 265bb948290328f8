//! How does the kernel get a network of its own? A namespace without a name, with one TUN device in it. It
//! goes when the last thing that belongs to it is closed.

use super::machine::{BUFFER_BYTES, PREFIX_LEN};
use super::path::MTU;
use super::sys;
use ciao_link::tun::{Tun, TunConfig, TunOffload};
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;

const DEVICE: &str = "ciao-path";
/// Packets that may wait in the device while nobody reads it: what a sender can have in flight.
const DEVICE_QUEUE_PACKETS: &str = "10000";

/// A network namespace of the kernel.
pub(super) struct Namespace(File);

impl Namespace {
    /// A new one with the device, through which the whole network of `address` is reached.
    ///
    /// # Errors
    /// Without the right to make it, or without the device.
    pub(super) fn new(address: Ipv4Addr) -> io::Result<(Self, Tun)> {
        in_a_thread(|| {
            sys::leave_network()?;
            let namespace = Self(File::open("/proc/thread-self/ns/net")?);
            settings()?;
            let config = TunConfig {
                addresses: vec![(address.into(), PREFIX_LEN)],
                mtu: MTU,
                offload: TunOffload::None,
                ..TunConfig::new(DEVICE)
            };
            let tun = Tun::open(&config).map_err(io::Error::other)?;
            let queue = ["link", "set", "dev", DEVICE, "txqueuelen", DEVICE_QUEUE_PACKETS];
            let status = Command::new("ip").args(queue).status()?;
            if !status.success() {
                return Err(io::Error::other("ip link set refused"));
            }
            Ok((namespace, tun))
        })
    }

    /// Does something there: sockets belong for ever to the namespace in which they were made.
    ///
    /// # Errors
    /// What `work` says.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        in_a_thread(|| {
            sys::enter_network(self.0.as_fd())?;
            work()
        })
    }
}

fn in_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| scope.spawn(work).join().expect("it does not panic"))
}

/// Buffers as large as Ciao's, nothing remembered of earlier connections, no IPv6 that would talk by itself.
fn settings() -> io::Result<()> {
    let buffer = format!("4096 {BUFFER_BYTES} {}", 2 * BUFFER_BYTES);
    for (name, value) in [
        ("ipv4/tcp_rmem", buffer.as_str()),
        ("ipv4/tcp_wmem", buffer.as_str()),
        ("ipv4/tcp_no_metrics_save", "1"),
        ("ipv6/conf/default/disable_ipv6", "1"),
    ] {
        let outcome = fs::write(format!("/proc/sys/net/{name}"), value);
        // A kernel without IPv6 has nothing to switch off.
        if !name.starts_with("ipv6") {
            outcome?;
        }
    }
    Ok(())
}
