//! Which port belongs to whom, and which one does the host choose? (RFC 6056)
//!
//! Listeners and UDP sockets are bound to a port of one address or of all addresses of an IP version.
//! Connections are not here: they have all four numbers ([`crate::demux`]).

use crate::context::Context;
use crate::error::BindError;
use crate::routing::LocalIndex;
use alloc::collections::BTreeMap;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::RangeInclusive;
use rand_core::Rng;

/// An IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V4,
    V6,
}

impl Version {
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// A port, with the addresses at which it is meant; without one, all of the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Binding {
    pub(crate) port: u16,
    pub(crate) version: Version,
    pub(crate) local: Option<LocalIndex>,
}

/// Who is bound to what, by the index in the table of its kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bindings(BTreeMap<Binding, u32>);

impl Bindings {
    /// Whether nobody stands in the way of `binding`: the same, or one of all addresses beside one of them.
    pub(crate) fn is_free(&self, binding: Binding) -> bool {
        let all = Binding { local: None, ..binding };
        match binding.local {
            Some(_) => !self.0.contains_key(&binding) && !self.0.contains_key(&all),
            None => {
                let last = Binding { local: Some(LocalIndex(u16::MAX)), ..binding };
                self.0.range(all..=last).next().is_none()
            }
        }
    }

    /// Enters a binding that is free.
    pub(crate) fn insert(&mut self, binding: Binding, holder: u32) {
        self.0.insert(binding, holder);
    }

    pub(crate) fn remove(&mut self, binding: Binding) {
        self.0.remove(&binding);
    }

    /// Who is bound to `port` at our address `local` of `version`.
    pub(crate) fn find(&self, port: u16, version: Version, local: LocalIndex) -> Option<u32> {
        let one = Binding { port, version, local: Some(local) };
        self.0.get(&one).or_else(|| self.0.get(&Binding { local: None, ..one })).copied()
    }
}

/// What `local` asks to be bound to: an unspecified address means all of its version; for port 0 the host
/// chooses.
///
/// # Errors
/// When the address is not ours, or the port is not free.
pub(crate) fn binding_for(
    context: &mut Context,
    bindings: &Bindings,
    local: SocketAddr,
) -> Result<Binding, BindError> {
    let index = match local.ip() {
        address if address.is_unspecified() => None,
        address => Some(context.interfaces.local(address).ok_or(BindError::AddressNotLocal)?),
    };
    let binding = |port| Binding { port, version: Version::of(local.ip()), local: index };
    if local.port() != 0 {
        let binding = binding(local.port());
        return if bindings.is_free(binding) { Ok(binding) } else { Err(BindError::AddressInUse) };
    }
    let range = context.config.ephemeral_ports.clone();
    let port = choose(&mut context.random, &range, |port| bindings.is_free(binding(port)));
    port.map(binding).ok_or(BindError::NoFreePort)
}

/// A binding as an address.
pub(crate) fn address_of(context: &Context, binding: Binding) -> SocketAddr {
    let address = match (binding.local, binding.version) {
        (Some(local), _) => context.interfaces.address(local),
        (None, Version::V4) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        (None, Version::V6) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(address, binding.port)
}

/// A free port of `range`: from a random start upwards, so that the next choice cannot be guessed and a free
/// one is found if there is any.
// RFC 6056 §3.3.1 6056-3a
pub(crate) fn choose(
    random: &mut impl Rng,
    range: &RangeInclusive<u16>,
    is_free: impl Fn(u16) -> bool,
) -> Option<u16> {
    let (first, last) = (u32::from(*range.start()).max(1), u32::from(*range.end()));
    let count = (last + 1).checked_sub(first).filter(|count| *count > 0)?;
    let start = ((u64::from(random.next_u32()) * u64::from(count)) >> 32) as u32;
    let ports = (start..start + count).map(|step| first + step % count);
    ports.map(|port| u16::try_from(port).expect("it lies in a range of u16")).find(|port| is_free(*port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    const ALL: Binding = Binding { port: 80, version: Version::V4, local: None };

    fn one(local: u16) -> Binding {
        Binding { local: Some(LocalIndex(local)), ..ALL }
    }

    #[test]
    fn one_address_and_all_addresses_stand_in_each_others_way() {
        let mut bindings = Bindings::default();
        bindings.insert(one(3), 7);
        assert!(bindings.is_free(one(4)) && !bindings.is_free(one(3)) && !bindings.is_free(ALL));
        assert!(bindings.is_free(Binding { version: Version::V6, ..ALL }));
        assert!(bindings.is_free(Binding { port: 81, ..ALL }));
        assert_eq!(bindings.find(80, Version::V4, LocalIndex(3)), Some(7));
        assert_eq!(bindings.find(80, Version::V4, LocalIndex(4)), None);
        bindings.remove(one(3));
        bindings.insert(ALL, 8);
        assert!(!bindings.is_free(one(4)) && !bindings.is_free(ALL));
        assert_eq!(bindings.find(80, Version::V4, LocalIndex(4)), Some(8));
    }

    // RFC 6056 §3.3.1 6056-3a
    #[test]
    fn ports_are_spread_over_the_range_and_the_last_free_one_is_found() {
        let mut random = ChaCha8Rng::from_seed([5; 32]);
        let range = 32_768..=60_999;
        let count = 28_232;
        // Sixteen equal parts of the range; 99.9 % of fair draws have a χ² below 37.7 at 15 degrees of
        // freedom.
        let mut parts = [0_u32; 16];
        for _ in 0..16_000 {
            let port = choose(&mut random, &range, |_| true).unwrap();
            parts[usize::from(port - 32_768) * 16 / count] += 1;
        }
        let chi_square: u32 = parts.iter().map(|part| part.abs_diff(1000).pow(2)).sum::<u32>() / 1000;
        assert!(chi_square < 38, "{parts:?}");
        assert_eq!(choose(&mut random, &range, |port| port == 40_000), Some(40_000));
        assert_eq!(choose(&mut random, &range, |_| false), None);
        let taken: BTreeSet<u16> = (1..=9).collect();
        let all: Vec<u16> =
            (0..50).map(|_| choose(&mut random, &(0..=10), |port| !taken.contains(&port)).unwrap()).collect();
        assert!(all.iter().all(|port| *port == 10), "port zero is nobody's");
    }
}
