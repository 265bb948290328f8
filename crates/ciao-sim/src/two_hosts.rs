//! The commonest network: two hosts on one link. Who wants more hosts builds them of [`Simulation`].

use crate::link::LinkConfig;
use crate::simulation::{HostId, Simulation};
use ciao_stack::{
    Cidr, ConnectRequest, Host, HostConfig, InterfaceConfig, InterfaceId, ListenRequest, ListenerId, SocketId,
};
use ciao_wire::Instant;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Two hosts on one link, of both versions of IP. They are called by their side: 0 or 1.
#[derive(Debug)]
pub struct TwoHosts {
    /// What they are in.
    pub sim: Simulation,
    /// The hosts.
    pub hosts: [HostId; 2],
    /// Their ends of the link.
    pub interfaces: [InterfaceId; 2],
}

impl TwoHosts {
    /// Two hosts whose interfaces have this `mtu`. What the first one sends meets the first of `links`.
    #[must_use]
    pub fn new(seed: u64, configs: [HostConfig; 2], mtu: u16, links: [LinkConfig; 2]) -> Self {
        let mut sim = Simulation::new(seed);
        let hosts = configs.map(|config| sim.add_host(config));
        let interface = |side: usize| InterfaceConfig {
            mtu,
            addresses: vec![Cidr::new(Self::ADDRESSES_V4[side], 24), Cidr::new(Self::ADDRESSES_V6[side], 64)],
            ..InterfaceConfig::default()
        };
        let [forward, backward] = links;
        let interfaces = sim.join([(hosts[0], interface(0)), (hosts[1], interface(1))], forward, backward);
        Self { sim, hosts, interfaces }
    }

    /// Their IPv4 addresses.
    pub const ADDRESSES_V4: [IpAddr; 2] =
        [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2))];

    /// Their IPv6 addresses.
    pub const ADDRESSES_V6: [IpAddr; 2] = [
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)),
    ];

    /// A port of one side's IPv4 address.
    #[must_use]
    pub const fn address(side: usize, port: u16) -> SocketAddr {
        SocketAddr::new(Self::ADDRESSES_V4[side], port)
    }

    /// Lets an application call a host.
    pub fn call<T>(&mut self, side: usize, call: impl FnOnce(&mut Host, Instant) -> T) -> T {
        self.sim.call(self.hosts[side], call)
    }

    /// A host, to be asked.
    #[must_use]
    pub fn host(&self, side: usize) -> &Host {
        self.sim.host(self.hosts[side])
    }

    /// Lets a host listen.
    ///
    /// # Panics
    /// When it cannot: the run is a wrong one.
    pub fn listen(&mut self, side: usize, request: ListenRequest) -> ListenerId {
        self.call(side, |host, _| host.tcp_listen(request)).expect("the run has asked for a free port")
    }

    /// Lets a host call.
    ///
    /// # Panics
    /// When it cannot: the run is a wrong one.
    pub fn connect(&mut self, side: usize, request: ConnectRequest) -> SocketId {
        self.call(side, |host, now| host.tcp_connect(now, request)).expect("the run has asked for its link")
    }
}
