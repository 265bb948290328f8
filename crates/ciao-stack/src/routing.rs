//! Which addresses are this host's, where does a packet leave, and from which address? (RFC 1122 §3.3.1,
//! §3.3.4)
//!
//! Strong host model: a packet is for us only on the interface that has its address. A packet for one of our
//! own addresses goes through the loopback interface, the one that has an address of `127.0.0.0/8` or `::1`.

use crate::ids::InterfaceId;
use crate::interface::{Cidr, InterfaceConfig, Route};
use crate::source_selection::Suitability;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One of the host's addresses, by its place in the list; it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LocalIndex(pub(crate) u16);

/// One of the host's addresses.
#[derive(Clone, Copy, Debug)]
struct Local {
    cidr: Cidr,
    interface: InterfaceId,
}

/// What follows from the addresses of an interface.
#[derive(Clone, Debug)]
struct Facts {
    is_loopback: bool,
    /// The broadcast addresses of its networks, each once.
    broadcasts: Vec<Ipv4Addr>,
}

impl Facts {
    fn of(config: &InterfaceConfig) -> Self {
        let mut broadcasts: Vec<Ipv4Addr> = config.addresses.iter().copied().filter_map(broadcast).collect();
        broadcasts.sort_unstable();
        broadcasts.dedup();
        Self { is_loopback: config.addresses.iter().any(|cidr| cidr.address.is_loopback()), broadcasts }
    }
}

/// Whom a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// This host alone.
    Us(LocalIndex),
    /// A broadcast or multicast address.
    Many,
    /// Somebody else.
    Other,
}

/// Whether an address may be where a packet came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// It may.
    Possible,
    /// It names no single host.
    Impossible,
    /// It is our own, and the packet came from outside.
    Ours,
}

/// How a packet gets to a remote host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) interface: InterfaceId,
    /// The neighbour that takes it: a gateway, or the remote host itself.
    pub(crate) next_hop: IpAddr,
}

/// The interfaces with their addresses and routes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interfaces {
    configs: Vec<InterfaceConfig>,
    /// What every received packet asks of each of them.
    facts: Vec<Facts>,
    locals: Vec<Local>,
    /// The same, sorted by address as a number.
    by_address: Vec<(u128, LocalIndex)>,
    /// The routes, the longest prefix first; among equals in order of addition.
    routes: Vec<(InterfaceId, Route)>,
    /// The last way that was asked for. Who opens a connection often opens the next one to the same host.
    last_way: Option<(IpAddr, Way)>,
}

/// Through which interface a packet leaves, and from which address.
type Way = (InterfaceId, LocalIndex);

impl Interfaces {
    pub(crate) fn add(&mut self, config: InterfaceConfig) -> InterfaceId {
        let interface =
            InterfaceId(u8::try_from(self.configs.len()).expect("a host has at most 256 interfaces"));
        for &cidr in &config.addresses {
            let index =
                LocalIndex(u16::try_from(self.locals.len()).expect("a host has at most 65,536 addresses"));
            self.locals.push(Local { cidr, interface });
            let number = to_number(cidr.address);
            let place = self.by_address.partition_point(|(other, _)| *other < number);
            self.by_address.insert(place, (number, index));
            self.routes.push((interface, Route { destination: cidr, gateway: None }));
        }
        self.last_way = None;
        self.routes.extend(config.routes.iter().map(|route| (interface, *route)));
        self.routes.sort_by_key(|(_, route)| core::cmp::Reverse(route.destination.prefix_len));
        self.facts.push(Facts::of(&config));
        self.configs.push(config);
        interface
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (InterfaceId, &InterfaceConfig)> {
        (0..=u8::MAX).map(InterfaceId).zip(&self.configs)
    }

    pub(crate) fn config(&self, interface: InterfaceId) -> &InterfaceConfig {
        &self.configs[usize::from(interface.0)]
    }

    /// Which of our addresses `address` is.
    pub(crate) fn local(&self, address: IpAddr) -> Option<LocalIndex> {
        if matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
            return None;
        }
        let number = to_number(address);
        let place = self.by_address.binary_search_by_key(&number, |(other, _)| *other).ok()?;
        Some(self.by_address[place].1)
    }

    pub(crate) fn address(&self, local: LocalIndex) -> IpAddr {
        self.locals[usize::from(local.0)].cidr.address
    }

    pub(crate) fn interface_of(&self, local: LocalIndex) -> InterfaceId {
        self.locals[usize::from(local.0)].interface
    }

    fn facts(&self, interface: InterfaceId) -> &Facts {
        &self.facts[usize::from(interface.0)]
    }

    fn is_loopback(&self, interface: InterfaceId) -> bool {
        self.facts(interface).is_loopback
    }

    /// Whom a packet that came through `interface` is for.
    // RFC 1122 §3.2.1.3 1122-3.2.1.3a
    pub(crate) fn destination(&self, interface: InterfaceId, address: IpAddr) -> Destination {
        match self.local(address) {
            Some(local) if self.interface_of(local) == interface || self.is_loopback(interface) => {
                Destination::Us(local)
            }
            Some(_) => Destination::Other,
            None if self.is_for_many(interface, address) => Destination::Many,
            None => Destination::Other,
        }
    }

    /// A multicast address, or the broadcast address of all networks or of one of the interface's.
    fn is_for_many(&self, interface: InterfaceId, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => {
                address.is_multicast()
                    || address.is_broadcast()
                    || self.facts(interface).broadcasts.contains(&address)
            }
            IpAddr::V6(address) => address.is_multicast(),
        }
    }

    /// Whether a packet that came through `interface` may come from `address`.
    // RFC 1122 §3.2.1.3 1122-3.2.1.3b
    // RFC 9293 §3.9.2.3 MUST-63
    pub(crate) fn source(&self, interface: InterfaceId, address: IpAddr) -> Source {
        let is_impossible = match address {
            // "This network", and the reserved range, which ends with the broadcast address.
            IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.octets()[0] >= 240,
            // An IPv4 address in IPv6's clothes has no business on a wire.
            IpAddr::V6(v6) => v6.is_unspecified() || v6.to_ipv4_mapped().is_some(),
        };
        if is_impossible || self.is_for_many(interface, address) {
            return Source::Impossible;
        }
        if self.is_loopback(interface) {
            return Source::Possible;
        }
        if address.is_loopback() {
            return Source::Impossible;
        }
        if self.local(address).is_some() { Source::Ours } else { Source::Possible }
    }

    /// Whether `address` names one host that a connection can be opened to.
    // RFC 9293 §3.9.1.1 MUST-46
    pub(crate) fn is_single_host(&self, address: IpAddr) -> bool {
        let is_mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        !is_mapped
            && !address.is_unspecified()
            && !self.iter().any(|(interface, _)| self.is_for_many(interface, address))
    }

    /// The way to `remote`: the longest prefix that it matches.
    // RFC 1122 §3.3.1 1122-3.3.1
    pub(crate) fn path(&self, remote: IpAddr) -> Option<Path> {
        if self.local(remote).is_some() {
            let (interface, _) = self.iter().find(|(interface, _)| self.is_loopback(*interface))?;
            return Some(Path { interface, next_hop: remote });
        }
        let (interface, route) = self.routes.iter().find(|(_, route)| route.destination.contains(remote))?;
        Some(Path { interface: *interface, next_hop: route.gateway.unwrap_or(remote) })
    }

    /// The way to `remote` for packets that come from our address `local`: through the interface that has it,
    /// so that the answers find us.
    pub(crate) fn path_from(&self, local: LocalIndex, remote: IpAddr) -> Option<Path> {
        let path = self.path(remote)?;
        let own = self.interface_of(local);
        if path.interface == own || self.is_loopback(path.interface) {
            return Some(path);
        }
        let mut routes = self.routes.iter().filter(|(interface, _)| *interface == own);
        let (interface, route) = routes.find(|(_, route)| route.destination.contains(remote))?;
        Some(Path { interface: *interface, next_hop: route.gateway.unwrap_or(remote) })
    }

    /// The way to `remote` for packets that may come from any of our addresses.
    pub(crate) fn way(&mut self, remote: IpAddr) -> Option<Way> {
        if let Some((_, way)) = self.last_way.filter(|(known, _)| *known == remote) {
            return Some(way);
        }
        let interface = self.path(remote)?.interface;
        let way = (interface, self.source_for(interface, remote)?);
        self.last_way = Some((remote, way));
        Some(way)
    }

    /// The address from which a packet to `remote` leaves `interface`; of equally good ones the first.
    // RFC 1122 §3.3.4.3 1122-3.3.4.3
    pub(crate) fn source_for(&self, interface: InterfaceId, remote: IpAddr) -> Option<LocalIndex> {
        if let Some(own) = self.local(remote) {
            return Some(own);
        }
        let candidates = self.locals.iter().enumerate().filter(|(_, local)| {
            local.interface == interface && local.cidr.address.is_ipv4() == remote.is_ipv4()
        });
        let best = candidates
            .max_by_key(|(index, local)| (Suitability::of(local.cidr, remote), core::cmp::Reverse(*index)));
        u16::try_from(best?.0).ok().map(LocalIndex)
    }
}

/// The last address of the network; networks of one or two addresses have none to spare (RFC 3021).
fn broadcast(cidr: Cidr) -> Option<Ipv4Addr> {
    let IpAddr::V4(address) = cidr.address else { return None };
    let host_bits = u32::MAX.checked_shr(u32::from(cidr.prefix_len))?;
    (cidr.prefix_len < 31).then(|| Ipv4Addr::from_bits(address.to_bits() | host_bits))
}

/// An address as 16 bytes, an IPv4 one mapped into IPv6. A socket's local address tells the two apart.
pub(crate) fn to_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// An address as a number: an IPv4 one as it would be mapped into IPv6.
fn to_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) | 0xffff << 32,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The reverse of [`to_octets`]. No IPv6 address that we talk to is a mapped one.
pub(crate) fn from_octets(octets: [u8; 16]) -> IpAddr {
    let is_mapped = u128::from_be_bytes(octets) >> 32 == 0xffff;
    let [.., a, b, c, d] = octets;
    if is_mapped { Ipv4Addr::new(a, b, c, d).into() } else { Ipv6Addr::from(octets).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn interface(addresses: &[(&str, u8)], routes: &[(&str, u8, Option<&str>)]) -> InterfaceConfig {
        InterfaceConfig {
            addresses: addresses.iter().map(|(address, len)| Cidr::new(ip(address), *len)).collect(),
            routes: routes
                .iter()
                .map(|(address, len, gateway)| Route {
                    destination: Cidr::new(ip(address), *len),
                    gateway: gateway.map(ip),
                })
                .collect(),
            ..InterfaceConfig::default()
        }
    }

    fn two() -> Interfaces {
        let mut interfaces = Interfaces::default();
        interfaces.add(interface(
            &[("192.0.2.1", 24), ("fe80::1", 64), ("2001:db8::1", 64), ("2001:db8:ffff::1", 64)],
            &[("0.0.0.0", 0, Some("192.0.2.254")), ("::", 0, None)],
        ));
        interfaces
            .add(interface(&[("198.51.100.7", 24), ("198.51.100.200", 24)], &[("203.0.113.0", 24, None)]));
        interfaces
    }

    // RFC 1122 §3.3.1 1122-3.3.1
    #[test]
    fn the_longest_prefix_decides_and_the_default_route_comes_last() {
        let interfaces = two();
        let path = |remote| interfaces.path(ip(remote)).map(|path| (path.interface.0, path.next_hop));
        assert_eq!(path("192.0.2.9"), Some((0, ip("192.0.2.9"))));
        assert_eq!(path("198.51.100.1"), Some((1, ip("198.51.100.1"))));
        assert_eq!(path("203.0.113.5"), Some((1, ip("203.0.113.5"))));
        assert_eq!(path("8.8.8.8"), Some((0, ip("192.0.2.254"))));
        assert_eq!(path("2001:db8:1::1"), Some((0, ip("2001:db8:1::1"))));
        assert_eq!(Interfaces::default().path(ip("8.8.8.8")), None);
    }

    // RFC 9293 §3.9.1.1 MUST-44
    // RFC 1122 §3.3.4.3 1122-3.3.4.3
    #[test]
    fn the_source_has_the_scope_of_the_destination_then_the_longest_shared_prefix() {
        let interfaces = two();
        let source = |interface, remote| {
            interfaces.source_for(InterfaceId(interface), ip(remote)).map(|local| interfaces.address(local))
        };
        assert_eq!(source(0, "fe80::9"), Some(ip("fe80::1")));
        assert_eq!(source(0, "2001:db8::9"), Some(ip("2001:db8::1")));
        assert_eq!(source(0, "2600::1"), Some(ip("2001:db8::1")));
        assert_eq!(source(0, "2001:db8:ffff:1::9"), Some(ip("2001:db8:ffff::1")));
        // Bits beyond the prefix say nothing about nearness.
        assert_eq!(source(1, "198.51.100.201"), Some(ip("198.51.100.7")));
        assert_eq!(source(1, "198.51.100.1"), Some(ip("198.51.100.7")));
        assert_eq!(source(1, "2001:db8::9"), None);
    }

    // RFC 1122 §3.2.1.3 1122-3.2.1.3a, 1122-3.2.1.3b
    #[test]
    fn addresses_are_told_apart_as_the_interface_sees_them() {
        let interfaces = two();
        let destination = |address| interfaces.destination(InterfaceId(0), ip(address));
        assert_eq!(destination("192.0.2.1"), Destination::Us(LocalIndex(0)));
        assert_eq!(destination("198.51.100.7"), Destination::Other);
        assert_eq!(destination("192.0.2.3"), Destination::Other);
        for many in ["192.0.2.255", "255.255.255.255", "224.0.0.1", "ff02::1"] {
            assert_eq!(destination(many), Destination::Many, "{many}");
        }
        let source = |address| interfaces.source(InterfaceId(0), ip(address));
        assert_eq!(source("192.0.2.3"), Source::Possible);
        assert_eq!(source("192.0.2.1"), Source::Ours);
        assert_eq!(source("198.51.100.7"), Source::Ours);
        let impossible = [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.255",
            "::",
            "::1",
            "ff02::1",
            "::ffff:192.0.2.3",
        ];
        for address in impossible {
            assert_eq!(source(address), Source::Impossible, "{address}");
        }
    }

    #[test]
    fn own_addresses_are_reached_through_the_loopback_interface_alone() {
        let mut interfaces = two();
        assert_eq!(interfaces.path(ip("192.0.2.1")), None);
        let loopback = interfaces.add(interface(&[("127.0.0.1", 8)], &[]));
        let path = interfaces.path(ip("192.0.2.1"));
        assert_eq!(path.map(|path| path.interface), Some(loopback));
        assert_eq!(interfaces.source(loopback, ip("192.0.2.1")), Source::Possible);
        assert_eq!(interfaces.destination(loopback, ip("192.0.2.1")), Destination::Us(LocalIndex(0)));
    }

    #[test]
    fn a_network_of_one_or_two_addresses_has_no_broadcast_address() {
        for (len, expected) in [(0, Some("255.255.255.255")), (30, Some("192.0.2.7")), (31, None), (32, None)]
        {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(broadcast(Cidr::new(ip("192.0.2.5"), len)), expected, "/{len}");
        }
    }

    #[test]
    fn octets_keep_every_address() {
        for address in ["192.0.2.1", "2001:db8::1", "fe80::1"] {
            assert_eq!(from_octets(to_octets(ip(address))), ip(address));
        }
    }
}
