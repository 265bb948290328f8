//! Interfaces, their addresses and routes (RFC 1122 §3.3.1).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

/// An address and the length of its network's prefix, or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// The address.
    pub address: IpAddr,
    /// Bits of the prefix, up to 32 or 128.
    pub prefix_len: u8,
}

impl Cidr {
    /// `address` in a network of `prefix_len` bits; a longer prefix than the address has bits means all of
    /// them.
    #[must_use]
    pub fn new(address: impl Into<IpAddr>, prefix_len: u8) -> Self {
        let address = address.into();
        Self { address, prefix_len: prefix_len.min(if address.is_ipv4() { 32 } else { 128 }) }
    }

    /// True when `other` lies in the network.
    #[must_use]
    pub fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.prefix_len);
                (own.to_bits() ^ other.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.prefix_len);
                (own.to_bits() ^ other.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

/// A network that is reached through an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The network; `0.0.0.0/0` and `::/0` are the default routes.
    pub destination: Cidr,
    /// The next hop; `None` when the network is on the link.
    pub gateway: Option<IpAddr>,
}

/// What the host is told of an interface.
#[derive(Clone, Debug)]
pub struct InterfaceConfig {
    /// Its name, for people.
    pub name: String,
    /// The largest IP packet, headers included: 68 to 65,535; at least 1,280 where there is IPv6 (RFC 8200
    /// §5).
    pub mtu: u16,
    /// The host's addresses there. The networks they stand in are on the link.
    pub addresses: Vec<Cidr>,
    /// What else is reached through it.
    pub routes: Vec<Route>,
    /// What the link does for the host.
    pub offload: Offload,
}

/// A link of 1,500 bytes that does nothing for the host, without addresses.
impl Default for InterfaceConfig {
    fn default() -> Self {
        Self {
            name: "link".into(),
            mtu: 1500,
            addresses: Vec::new(),
            routes: Vec::new(),
            offload: Offload::default(),
        }
    }
}

/// What a link does for the host when packets are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// Who cuts super-segments.
    pub segmentation: Segmentation,
    /// Who writes transport checksums.
    pub checksums: Checksums,
}

/// Who cuts a super-segment into packets of the MTU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Segmentation {
    /// The host: the link gets whole packets alone.
    #[default]
    ByHost,
    /// The link, or its peer takes it as it is.
    ByLink,
}

/// Who writes the transport checksum of a sent TCP segment. That of IPv4's header is always written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksums {
    /// The host.
    #[default]
    ByHost,
    /// The link: packets leave with [`ciao_wire::Checksum::Partial`].
    ByLink,
}
