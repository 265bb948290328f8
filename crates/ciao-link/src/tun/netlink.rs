//! How does an interface get an address? By one message to the kernel, which answers with zero or an error
//! number. Source: `rtnetlink(7)`, RTM_NEWADDR.
//!
//! A message rather than the older calls of `netdevice(7)`, because it can say that nobody else on the link
//! has the address: else an IPv6 address cannot be used until the kernel has looked for duplicates. Not
//! here: MTU and up (`sys.rs`).

use super::sys;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::IpAddr;

/// Bytes of a message's own header: length, type, flags, sequence number, sender.
const HEADER_LEN: usize = 16;

/// The value as the 16 bits that the field has.
fn field(value: libc::c_int) -> [u8; 2] {
    u16::try_from(value).expect("the kernel's numbers for this field fit 16 bits").to_ne_bytes()
}

/// The message that gives the interface numbered `index` an address.
fn new_address(index: u32, address: IpAddr, prefix_len: u8) -> Vec<u8> {
    let (family, octets) = match address {
        IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
    };
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    let mut message = vec![0; 4];
    message.extend(libc::RTM_NEWADDR.to_ne_bytes());
    message.extend(field(flags));
    message.extend([0; 8]);
    // What the address is: family, prefix, no duplicate detection, valid everywhere, of which interface.
    let no_detection = u8::try_from(libc::IFA_F_NODAD).expect("two");
    message.extend([
        u8::try_from(family).expect("two or ten"),
        prefix_len,
        no_detection,
        libc::RT_SCOPE_UNIVERSE,
    ]);
    message.extend(index.to_ne_bytes());
    // The two are the same where the interface has no single address opposite.
    for attribute in [libc::IFA_LOCAL, libc::IFA_ADDRESS] {
        message.extend(u16::try_from(4 + octets.len()).expect("8 or 20").to_ne_bytes());
        message.extend(attribute.to_ne_bytes());
        message.extend(&octets);
    }
    let len = u32::try_from(message.len()).expect("below 100");
    message[..4].copy_from_slice(&len.to_ne_bytes());
    message
}

/// Gives the interface an address and the route to its prefix.
pub(super) fn add_address(interface: &str, address: IpAddr, prefix_len: u8) -> io::Result<()> {
    let index = sys::interface_index(interface).ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
    let mut socket = File::from(sys::netlink_socket()?);
    socket.write_all(&new_address(index, address, prefix_len))?;
    let mut answer = [0; 256];
    let len = socket.read(&mut answer)?;
    let error = answer[..len].get(HEADER_LEN..).and_then(<[u8]>::first_chunk);
    match error.map(|bytes| i32::from_ne_bytes(*bytes)) {
        Some(0) => Ok(()),
        Some(negated) => Err(io::Error::from_raw_os_error(negated.saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}
