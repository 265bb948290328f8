//! Whose is a segment? One table for everything that has four numbers: connections, half-open ones,
//! TIME-WAIT.
//!
//! The table holds 32-bit names alone; the four numbers stand in the records themselves. The hash is keyed
//! with the host's own random bits, so that nobody outside can choose endpoints that collide.

use crate::keyed::KeyedHash;
use crate::routing::{LocalIndex, from_octets, to_octets};
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use hashbrown::HashTable;

/// The four numbers of a connection, as the host keeps them: 22 bytes for both IP versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoints {
    remote: [u8; 16],
    pub(crate) local: LocalIndex,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

impl Endpoints {
    pub(crate) fn new(local: LocalIndex, local_port: u16, remote: SocketAddr) -> Self {
        Self::between((local, local_port), (remote.ip(), remote.port()))
    }

    /// As a received header has them.
    pub(crate) fn between(
        (local, local_port): (LocalIndex, u16),
        (remote, remote_port): (IpAddr, u16),
    ) -> Self {
        Self { remote: to_octets(remote), local, local_port, remote_port }
    }

    #[inline]
    pub(crate) fn set_ports(&mut self, local_port: u16, remote_port: u16) {
        self.local_port = local_port;
        self.remote_port = remote_port;
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.remote_address(), self.remote_port)
    }

    pub(crate) fn remote_address(&self) -> IpAddr {
        from_octets(self.remote)
    }
}

/// Who has the four numbers, by its index in the table of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Connection(u32),
    HalfOpen(u32),
    TimeWait(u32),
}

/// A [`Holder`] in 32 bits: the kind in the upper two, the index below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(pub(crate) u32);

const KIND_SHIFT: u32 = 30;

impl From<Holder> for Tag {
    fn from(holder: Holder) -> Self {
        let (kind, index) = match holder {
            Holder::Connection(index) => (0, index),
            Holder::HalfOpen(index) => (1, index),
            Holder::TimeWait(index) => (2, index),
        };
        debug_assert!(index >> KIND_SHIFT == 0, "the limits of the tables are far below 2^30");
        Self(kind << KIND_SHIFT | index)
    }
}

impl Tag {
    pub(crate) fn holder(self) -> Holder {
        let index = self.0 & ((1 << KIND_SHIFT) - 1);
        match self.0 >> KIND_SHIFT {
            0 => Holder::Connection(index),
            1 => Holder::HalfOpen(index),
            _ => Holder::TimeWait(index),
        }
    }
}

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct Demux {
    table: HashTable<Tag>,
    hasher: KeyedHash,
    /// What was hashed last. Who looks endpoints up mostly enters, replaces or removes them next.
    last: Hashed,
}

/// Endpoints and their hash, which is nobody's business.
#[derive(Clone)]
struct Hashed {
    endpoints: Endpoints,
    hash: u64,
}

impl fmt::Debug for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashed(..)")
    }
}

impl Demux {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        let hasher = KeyedHash::new(key);
        let nobody = Endpoints { remote: [0; 16], local: LocalIndex(0), local_port: 0, remote_port: 0 };
        let last = Hashed { hash: hash(&hasher, &nobody), endpoints: nobody };
        Self { table: HashTable::new(), hasher, last }
    }

    fn hash(&mut self, endpoints: &Endpoints) -> u64 {
        if self.last.endpoints != *endpoints {
            self.last = Hashed { endpoints: *endpoints, hash: hash(&self.hasher, endpoints) };
        }
        self.last.hash
    }

    /// Who has `endpoints`; `has` tells whether a holder does.
    #[inline]
    pub(crate) fn find(&mut self, endpoints: &Endpoints, has: impl Fn(Holder) -> bool) -> Option<Holder> {
        let has = |tag: &Tag| has(tag.holder());
        let hash = self.hash(endpoints);
        self.table.find(hash, has).map(|tag| tag.holder())
    }

    /// Enters a holder whose endpoints nobody has.
    pub(crate) fn insert<'a>(
        &mut self,
        endpoints: &Endpoints,
        holder: Holder,
        of: impl Fn(Holder) -> &'a Endpoints,
    ) {
        let hash_of_holder = self.hash(endpoints);
        let Self { table, hasher, last: _ } = self;
        table.insert_unique(hash_of_holder, Tag::from(holder), |tag| hash(hasher, of(tag.holder())));
    }

    /// Takes `holder` out.
    pub(crate) fn remove(&mut self, endpoints: &Endpoints, holder: Holder) {
        let tag = Tag::from(holder);
        let hash = self.hash(endpoints);
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == tag) {
            entry.remove();
        }
    }

    /// Lets `successor` have the endpoints of `holder`.
    pub(crate) fn replace(&mut self, endpoints: &Endpoints, holder: Holder, successor: Holder) {
        let tag = Tag::from(holder);
        let hash = self.hash(endpoints);
        if let Some(entry) = self.table.find_mut(hash, |other| *other == tag) {
            *entry = Tag::from(successor);
        }
    }
}

fn hash(hasher: &KeyedHash, endpoints: &Endpoints) -> u64 {
    let mut bytes = [0; 22];
    bytes[..16].copy_from_slice(&endpoints.remote);
    bytes[16..18].copy_from_slice(&endpoints.remote_port.to_ne_bytes());
    bytes[18..20].copy_from_slice(&endpoints.local_port.to_ne_bytes());
    bytes[20..].copy_from_slice(&endpoints.local.0.to_ne_bytes());
    hasher.of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn many(count: u32) -> Vec<Endpoints> {
        (0..count)
            .map(|n| {
                let remote = SocketAddr::from(([10, (n >> 16) as u8, (n >> 8) as u8, n as u8], 4000));
                Endpoints::new(LocalIndex(0), 80, remote)
            })
            .collect()
    }

    fn index(holder: Holder) -> usize {
        match holder {
            Holder::Connection(index) | Holder::HalfOpen(index) | Holder::TimeWait(index) => index as usize,
        }
    }

    #[test]
    fn every_holder_is_found_by_its_endpoints_until_it_is_removed() {
        let endpoints = many(10_000);
        let of = |holder| &endpoints[index(holder)];
        let mut demux = Demux::new([1; 16]);
        for (n, one) in (0..).zip(&endpoints) {
            demux.insert(one, Holder::Connection(n), of);
        }
        for (n, one) in (0..).zip(&endpoints) {
            assert_eq!(demux.find(one, |holder| of(holder) == one), Some(Holder::Connection(n)));
            demux.replace(one, Holder::Connection(n), Holder::TimeWait(n));
            assert_eq!(demux.find(one, |holder| of(holder) == one), Some(Holder::TimeWait(n)));
            demux.remove(one, Holder::TimeWait(n));
            assert_eq!(demux.find(one, |holder| of(holder) == one), None);
        }
    }

    #[test]
    fn tags_keep_kind_and_index() {
        for index in [0, 1, (1 << 30) - 1] {
            for holder in [Holder::Connection(index), Holder::HalfOpen(index), Holder::TimeWait(index)] {
                assert_eq!(Tag::from(holder).holder(), holder);
            }
        }
    }

    #[test]
    fn endpoints_are_as_small_as_the_tables_count_on() {
        assert_eq!(size_of::<Endpoints>(), 22);
        let remote = SocketAddr::from(([192, 0, 2, 1], 80));
        assert_eq!(Endpoints::new(LocalIndex(0), 1, remote).remote(), remote);
    }

    #[test]
    fn another_key_spreads_the_same_endpoints_otherwise() {
        let endpoints = many(64);
        let low_bits = |key| -> Vec<u64> {
            let mut demux = Demux::new(key);
            endpoints.iter().map(|one| demux.hash(one) & 63).collect()
        };
        assert_ne!(low_bits([1; 16]), low_bits([2; 16]));
    }
}
