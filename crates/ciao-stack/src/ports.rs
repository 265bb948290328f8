//! Which port belongs to whom, and which one does the host choose? (RFC 6056)
//!
//! Listeners and UDP sockets are bound to a port of one address or of all addresses of an IP version.
//! Connections are not here: they have all four numbers ([`crate::demux`]).

use crate::context::Context;
use crate::error::BindError;
use crate::keyed::KeyedHash;
use crate::routing::{LocalIndex, to_octets};
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
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

impl Binding {
    /// All bindings of the same port and version, in their order.
    fn neighbours(self) -> RangeInclusive<Self> {
        Self { local: None, ..self }..=Self { local: Some(LocalIndex(u16::MAX)), ..self }
    }

    /// Whether this one and `other`, of the same port and version, stand in each other's way: the same
    /// address, or all addresses beside one of them.
    fn overlaps(self, other: Self) -> bool {
        self.local.is_none() || other.local.is_none() || self.local == other.local
    }
}

/// Who is bound to what, by the index in the table of its kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bindings {
    holders: BTreeMap<Binding, u32>,
    /// Kept for sockets that will connect or listen, with how many there are of each kind.
    reserved: BTreeMap<Binding, Reserved>,
}

/// How many sockets have reserved the same port at the same address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reserved {
    exclusive: u32,
    shared: u32,
}

/// Whether a socket shares its port with others that do so too, as by `SO_REUSEADDR`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// It does, as Linux has it: with other sockets that do and do not listen, and with connections, those in
    /// TIME-WAIT among them.
    #[default]
    Shared,
    /// Nobody else may have anything to do with the port, not even a connection in TIME-WAIT.
    Exclusive,
}

impl Bindings {
    /// Whether nobody stands in the way of a listener or UDP socket at `binding`.
    pub(crate) fn is_free(&self, binding: Binding) -> bool {
        self.admits(binding, Reuse::Exclusive)
    }

    /// Whether nobody stands in the way of a reservation of `binding`.
    pub(crate) fn admits(&self, binding: Binding, reuse: Reuse) -> bool {
        let mut holders = self.holders.range(binding.neighbours());
        let mut reserved = self.reserved.range(binding.neighbours());
        let hinders = |reserved: &Reserved| reuse == Reuse::Exclusive || reserved.exclusive > 0;
        !holders.any(|(other, _)| other.overlaps(binding))
            && !reserved.any(|(other, reserved)| other.overlaps(binding) && hinders(reserved))
    }

    /// Keeps a port for a socket; it is to be given back.
    pub(crate) fn reserve(&mut self, binding: Binding, reuse: Reuse) {
        let reserved = self.reserved.entry(binding).or_default();
        match reuse {
            Reuse::Exclusive => reserved.exclusive += 1,
            Reuse::Shared => reserved.shared += 1,
        }
    }

    /// Gives a reservation back.
    pub(crate) fn release(&mut self, binding: Binding, reuse: Reuse) {
        let Some(reserved) = self.reserved.get_mut(&binding) else { return };
        match reuse {
            Reuse::Exclusive => reserved.exclusive -= 1,
            Reuse::Shared => reserved.shared -= 1,
        }
        if *reserved == Reserved::default() {
            self.reserved.remove(&binding);
        }
    }

    /// Whether anybody has to do with `port` at our address `local`, so that it is not to be chosen for a
    /// connection.
    pub(crate) fn is_bound(&self, port: u16, version: Version, local: LocalIndex) -> bool {
        // A host that serves nobody has no bindings.
        let is_any = !self.holders.is_empty() || !self.reserved.is_empty();
        is_any && !self.is_free(Binding { port, version, local: Some(local) })
    }

    /// Whether a socket keeps `port` at our address `local` for itself alone.
    pub(crate) fn is_exclusive(&self, port: u16, version: Version, local: LocalIndex) -> bool {
        let one = Binding { port, version, local: Some(local) };
        let mut reserved = self.reserved.range(one.neighbours());
        reserved.any(|(other, reserved)| other.overlaps(one) && reserved.exclusive > 0)
    }

    /// Enters a binding that is free.
    pub(crate) fn insert(&mut self, binding: Binding, holder: u32) {
        self.holders.insert(binding, holder);
    }

    pub(crate) fn remove(&mut self, binding: Binding) {
        self.holders.remove(&binding);
    }

    /// Who is bound to `port` at our address `local` of `version`.
    pub(crate) fn find(&self, port: u16, version: Version, local: LocalIndex) -> Option<u32> {
        let one = Binding { port, version, local: Some(local) };
        self.holders.get(&one).or_else(|| self.holders.get(&Binding { local: None, ..one })).copied()
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
    reuse: Reuse,
) -> Result<Binding, BindError> {
    let index = match local.ip() {
        address if address.is_unspecified() => None,
        address => Some(context.interfaces.local(address).ok_or(BindError::AddressNotLocal)?),
    };
    let binding = |port| Binding { port, version: Version::of(local.ip()), local: index };
    if local.port() != 0 {
        let binding = binding(local.port());
        return if bindings.admits(binding, reuse) { Ok(binding) } else { Err(BindError::AddressInUse) };
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

/// How many walks are counted apart. A peer that shares one with another can see how fast that one is used.
const WALKS: usize = 256;

/// Chooses the ports of connections that are opened from here.
///
/// For each remote end, all ports of the range are walked through in steps of a secret size from a secret
/// start. So nobody but the remote end itself can guess the next port, and each comes again only when all
/// others have: most of TIME-WAIT at the other end is over then. A random choice each time would meet a port
/// that has just been used. The "double hash" of RFC 6056 §3.3.4, but for the steps, which are of size one
/// there.
#[derive(Clone, Debug)]
pub(crate) struct Walks {
    hasher: KeyedHash,
    positions: Vec<u32>,
    /// The last one. Who opens a connection often opens the next one to the same remote end.
    last: Option<Walk>,
}

/// Whose it is and how it goes, which nobody else may know.
#[derive(Clone)]
struct Walk {
    ends: (LocalIndex, SocketAddr),
    range: RangeInclusive<u16>,
    first: u64,
    count: u64,
    start: u64,
    step: u64,
    /// Which of the positions is its own.
    position: usize,
}

impl fmt::Debug for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Walk(..)")
    }
}

impl Walks {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self { hasher: KeyedHash::new(key), positions: vec![0; WALKS], last: None }
    }

    /// The next free port of `range` for a connection from `local` to `remote`.
    // RFC 6056 §3.3.4 6056-3a
    pub(crate) fn next(
        &mut self,
        range: &RangeInclusive<u16>,
        ends: (LocalIndex, SocketAddr),
        mut is_free: impl FnMut(u16) -> bool,
    ) -> Option<u16> {
        if self.last.as_ref().is_none_or(|walk| walk.ends != ends || walk.range != *range) {
            self.last = Some(self.walk(range, ends)?);
        }
        let Walk { first, count, start, step, position, .. } = *self.last.as_ref()?;
        let position = &mut self.positions[position];
        for _ in 0..count {
            *position = position.wrapping_add(1);
            let port = first + (start + u64::from(*position) * step) % count;
            let port = u16::try_from(port).expect("it lies in a range of u16");
            if is_free(port) {
                return Some(port);
            }
        }
        None
    }

    fn walk(&self, range: &RangeInclusive<u16>, ends: (LocalIndex, SocketAddr)) -> Option<Walk> {
        let (first, last) = (u64::from(*range.start()).max(1), u64::from(*range.end()));
        let count = (last + 1).checked_sub(first).filter(|count| *count > 0)?;
        let (local, remote) = ends;
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(&to_octets(remote.ip()));
        bytes[16..18].copy_from_slice(&remote.port().to_be_bytes());
        bytes[18..].copy_from_slice(&local.0.to_be_bytes());
        let hash = self.hasher.of(&bytes);
        let start = (hash & 0xff_ffff) % count;
        // A step without a common divisor leads through the whole range.
        let step = ((hash >> 24 & 0xff_ffff) % count..).find(|step| divisor(*step, count) == 1)?;
        let position = (hash >> 48) as usize % WALKS;
        Some(Walk { ends, range: range.clone(), first, count, start, step, position })
    }
}

/// The greatest common divisor.
fn divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
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

    // RFC 6056 §3.3.4 6056-3a
    #[test]
    fn a_walk_comes_to_every_port_once_before_any_comes_again() {
        let local = LocalIndex(0);
        let mut orders = Vec::new();
        for (key, remote) in
            [(1, "192.0.2.1:80"), (1, "192.0.2.1:81"), (1, "192.0.2.2:80"), (2, "192.0.2.1:80")]
        {
            let mut walks = Walks::new([key; 16]);
            let remote = remote.parse().unwrap();
            for range in [32_768..=60_999, 1..=1, 0..=6, 1..=u16::MAX] {
                let count = usize::from(*range.end() - range.start().max(&1)) + 1;
                let walk: Vec<u16> =
                    (0..2 * count).map(|_| walks.next(&range, (local, remote), |_| true).unwrap()).collect();
                assert_eq!(walk[..count].iter().collect::<BTreeSet<_>>().len(), count);
                assert_eq!(walk[..count], walk[count..]);
                orders.push(walk);
            }
            assert_eq!(walks.next(&(5..=9), (local, remote), |port| port == 7), Some(7));
            assert_eq!(walks.next(&(5..=9), (local, remote), |_| false), None);
        }
        for other in 1..4 {
            assert_ne!(orders[0], orders[4 * other], "another remote end or secret, another walk");
        }
    }
}
