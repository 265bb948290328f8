//! Which interface and addresses does the command use?
//!
//! It makes a TUN interface of its own. Ciao has the address that is asked for, the kernel the first other
//! one of the same network; packets between the two never leave the machine.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use anyhow::Context as _;
use ciao::{Cidr, HostConfig, Route, Stack, StackConfig};
use ciao_link::tun::{OpenError, Tun, TunConfig};

use crate::{exit::Mistake, print};

/// Interfaces of ours that one machine may have: `ciao0` to `ciao99`.
const MAX_INTERFACES: usize = 100;

/// An address of Ciao, and the kernel's in the same network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) own: IpAddr,
    pub(crate) prefix_len: u8,
    pub(crate) kernel: IpAddr,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let example = "an address with the length of its network, such as 10.77.0.2/24";
        let (address, prefix) = text.split_once('/').ok_or_else(|| format!("this wants {example}"))?;
        let own: IpAddr =
            address.parse().map_err(|_| format!("{address:?} is no address; this wants {example}"))?;
        let prefix_len: u8 =
            prefix.parse().map_err(|_| format!("{prefix:?} is no length; this wants {example}"))?;
        if own.is_unspecified() || own.is_multicast() || own.is_loopback() {
            return Err(format!("{own} cannot be the address of an interface"));
        }
        let kernel = first_other(own, prefix_len)?;
        Ok(Network { own, prefix_len, kernel })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.own, self.prefix_len)
    }
}

/// The first address of the network that a host may have and that is not `own`.
fn first_other(own: IpAddr, prefix_len: u8) -> Result<IpAddr, String> {
    let (bits, number) = match own {
        IpAddr::V4(address) => (32, u128::from(address.to_bits())),
        IpAddr::V6(address) => (128, address.to_bits()),
    };
    if prefix_len == 0 || prefix_len > bits {
        return Err(format!("a network of {own} has a length from 1 to {bits}"));
    }
    let host_bits = u32::from(bits - prefix_len);
    if host_bits == 0 {
        return Err(format!("{own}/{prefix_len} has no address for the kernel's end; use /{}", bits - 1));
    }
    let first = number >> host_bits << host_bits;
    // A network of two addresses has no network address and no broadcast address, RFC 3021 and RFC 6164.
    let usable = if host_bits == 1 { first..=first + 1 } else { first + 1..=first + 2 };
    let other =
        usable.into_iter().find(|candidate| *candidate != number).expect("two candidates, one of them own");
    Ok(match own {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(other).expect("32 bits were given"))),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(other)),
    })
}

impl Network {
    /// Whether the address lies in it.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        Cidr::new(self.own, self.prefix_len).contains(address)
    }

    /// Whether the kernel has this address already, on whatever interface.
    fn is_taken(&self) -> bool {
        ciao_link::tun::machine_has(self.kernel).unwrap_or(false)
    }
}

/// The first of 10.77.0.2/24, 10.77.1.2/24, … whose kernel end nobody has.
pub(crate) fn first_free_ipv4() -> Network {
    first_free(|number| Network {
        own: Ipv4Addr::new(10, 77, number, 2).into(),
        prefix_len: 24,
        kernel: Ipv4Addr::new(10, 77, number, 1).into(),
    })
}

/// The first of fd77::2/64, fd77:0:0:1::2/64, … whose kernel end nobody has.
pub(crate) fn first_free_ipv6() -> Network {
    let address = |number: u8, host| Ipv6Addr::new(0xfd77, 0, 0, number.into(), 0, 0, 0, host).into();
    first_free(|number| Network { own: address(number, 2), prefix_len: 64, kernel: address(number, 1) })
}

fn first_free(candidate: impl Fn(u8) -> Network) -> Network {
    (0..=u8::MAX).map(&candidate).find(|network| !network.is_taken()).unwrap_or_else(|| candidate(0))
}

/// What an interface is made of.
#[derive(Clone, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) networks: &'a [Network],
    /// The interface's name; without one the first free of `ciao0`, `ciao1`, ….
    pub(crate) interface: Option<&'a str>,
    pub(crate) host: HostConfig,
}

/// A stack behind a new interface, carried by a task of the runtime in which this is called.
pub(crate) fn open(plan: &Plan<'_>) -> anyhow::Result<(Stack, String)> {
    for network in plan.networks {
        if network.is_taken() {
            let kernel = network.kernel;
            let example = if kernel.is_ipv4() { "10.78.0.2/24" } else { "fd78::2/64" };
            let in_use = std::io::Error::from(std::io::ErrorKind::AddrInUse);
            return Err(in_use).context(format!(
                "{kernel} is an address of this machine already, perhaps by another `ciao`; \
                 choose another network, such as --addr {example}"
            ));
        }
    }
    let tun = open_tun(plan)?;
    let name = tun.name().to_owned();
    let default_route = |address: IpAddr| Route {
        destination: Cidr::new(
            if address.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) },
            0,
        ),
        gateway: Some(address),
    };
    let config = StackConfig {
        host: plan.host.clone(),
        interface_name: name.clone(),
        addresses: plan.networks.iter().map(|network| Cidr::new(network.own, network.prefix_len)).collect(),
        routes: plan.networks.iter().map(|network| default_route(network.kernel)).collect(),
    };
    let (stack, driver) = Stack::over_tun(tun, config).context("the stack does not start")?;
    tokio::spawn(async move {
        if let Err(error) = driver.await {
            print::note(error);
        }
    });
    Ok((stack, name))
}

fn open_tun(plan: &Plan<'_>) -> anyhow::Result<Tun> {
    let addresses: Vec<_> =
        plan.networks.iter().map(|network| (network.kernel, network.prefix_len)).collect();
    let attempt = |name: &str| Tun::open(&TunConfig { addresses: addresses.clone(), ..TunConfig::new(name) });
    if let Some(name) = plan.interface {
        return Ok(attempt(name)?);
    }
    for number in 0..MAX_INTERFACES {
        match attempt(&format!("ciao{number}")) {
            Err(OpenError::NameInUse { .. }) => {}
            result => return Ok(result?),
        }
    }
    Err(Mistake(format!(
        "this machine has {MAX_INTERFACES} interfaces of ours; name another one with --interface"
    ))
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_has_the_first_other_address() {
        for (text, kernel) in [
            ("10.77.0.2/24", "10.77.0.1"),
            ("10.77.0.1/24", "10.77.0.2"),
            ("10.77.0.200/25", "10.77.0.129"),
            ("10.77.0.2/30", "10.77.0.1"),
            ("10.77.0.2/31", "10.77.0.3"),
            ("10.77.0.3/31", "10.77.0.2"),
            ("fd77::2/64", "fd77::1"),
            ("fd77::1/64", "fd77::2"),
            ("fd77::1/127", "fd77::"),
        ] {
            let network: Network = text.parse().unwrap();
            assert_eq!((network.to_string().as_str(), network.kernel.to_string().as_str()), (text, kernel));
        }
    }

    #[test]
    fn wrong_networks_say_why() {
        for (text, why) in [
            ("10.77.0.2", "this wants an address with the length"),
            ("10.77.0/24", "\"10.77.0\" is no address"),
            ("10.77.0.2/x", "\"x\" is no length"),
            ("10.77.0.2/33", "from 1 to 32"),
            ("10.77.0.2/0", "from 1 to 32"),
            ("10.77.0.2/32", "no address for the kernel's end; use /31"),
            ("fd77::2/128", "use /127"),
            ("127.0.0.1/8", "cannot be the address"),
            ("0.0.0.0/8", "cannot be the address"),
        ] {
            let error = text.parse::<Network>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
