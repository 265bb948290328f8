//! How long a packet does each path take? (RFC 1191, RFC 8201) What ICMP says, and what is remembered of it.
//!
//! A connection decides by itself whether it believes what a router says (`ciao_tcp::path_mtu`); what one has
//! found, later ones to the same host begin with. Datagrams have no sequence number that a liar would have to
//! know, so what routers say of them is kept apart and holds for datagrams alone.

use crate::icmp::Reported;
use crate::interface::InterfaceConfig;
use alloc::collections::BTreeMap;
use ciao_tcp::path_mtu::RAISE_INTERVAL;
use ciao_wire::Instant;
use ciao_wire::icmpv4::{Icmpv4, unreachable};
use ciao_wire::icmpv6::Icmpv6;
use ciao_wire::quote::Quote;
use core::net::IpAddr;

/// The least IPv4 MTU that a message is believed to mean: some links take less, none that carries TCP today,
/// and small packets are what a liar wants (RFC 5927 §7.2; Linux' `min_pmtu`).
pub(crate) const LEAST_V4_BYTES: u16 = 552;
/// Every IPv6 link takes this (RFC 8200 §5).
pub(crate) const LEAST_V6_BYTES: u16 = 1280;
/// MTUs of links, for routers that do not tell theirs (RFC 1191 §7).
const PLATEAUS: [u16; 11] = [65_535, 32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68];

/// The MTU that a message means for the path of the quoted packet; `None` when it is another message, or
/// cannot be true.
// RFC 1191 §3, §5 1191-3a, 1191-3b
// RFC 8201 §4 8201-4a
pub(crate) fn claimed_mtu(reported: Reported, quote: &Quote) -> Option<u16> {
    let mtu = match reported {
        Reported::V4(Icmpv4::Unreachable { code: unreachable::FRAGMENTATION_NEEDED, next_hop_mtu }) => {
            let plateau = || PLATEAUS.into_iter().find(|plateau| usize::from(*plateau) < quote.total_len);
            let mtu = if next_hop_mtu == 0 { plateau()? } else { next_hop_mtu };
            mtu.max(LEAST_V4_BYTES)
        }
        Reported::V6(Icmpv6::PacketTooBig { mtu }) => {
            u16::try_from(mtu).ok().filter(|mtu| *mtu >= LEAST_V6_BYTES)?
        }
        Reported::V4(_) | Reported::V6(_) => return None,
    };
    Some(mtu).filter(|mtu| usize::from(*mtu) < quote.total_len)
}

/// What is known of one path.
#[derive(Clone, Copy, Debug)]
struct Known {
    mtu: u16,
    until: Instant,
}

/// Paths that take less than their interface.
#[derive(Clone, Debug, Default)]
pub(crate) struct PathMtus {
    known: BTreeMap<IpAddr, Known>,
}

impl PathMtus {
    /// What the path to `remote` takes, as far as that is known.
    pub(crate) fn mtu(&self, now: Instant, remote: IpAddr) -> Option<u16> {
        if self.known.is_empty() {
            return None;
        }
        self.known.get(&remote).filter(|known| now < known.until).map(|known| known.mtu)
    }

    /// The path to `remote`, which begins at `interface`, takes `mtu`. One of `max` others makes room, the
    /// one that would be forgotten first.
    // RFC 1191 §3 1191-3c: forgotten after ten minutes, so that a better path is found
    pub(crate) fn learn(
        &mut self,
        now: Instant,
        remote: IpAddr,
        (mtu, interface): (u16, &InterfaceConfig),
        max: usize,
    ) {
        self.known.remove(&remote);
        if mtu >= interface.mtu || max == 0 {
            return;
        }
        if self.known.len() >= max {
            let first = self.known.iter().min_by_key(|(_, known)| known.until).map(|(remote, _)| *remote);
            self.known.remove(&first.expect("there are as many as may be"));
        }
        self.known.insert(remote, Known { mtu, until: now + RAISE_INTERVAL });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use ciao_wire::{Protocol, SeqNum};

    fn quote(total_len: usize) -> Quote {
        let end = "192.0.2.1:1".parse().unwrap();
        Quote { protocol: Protocol::TCP, source: end, destination: end, seq: SeqNum(0), total_len }
    }

    // RFC 1191 §3, §5 1191-3a, 1191-3b
    #[test]
    fn a_v4_message_lowers_and_never_below_the_floor() {
        let code = unreachable::FRAGMENTATION_NEEDED;
        let claimed = |next_hop_mtu, total_len| {
            claimed_mtu(Reported::V4(Icmpv4::Unreachable { code, next_hop_mtu }), &quote(total_len))
        };
        assert_eq!(claimed(1400, 1500), Some(1400));
        assert_eq!(claimed(60, 1500), Some(552));
        assert_eq!((claimed(9000, 1500), claimed(1500, 1500)), (None, None));
        assert_eq!(claimed(60, 552), None);
        let plateaus: Vec<_> = [65_535, 9000, 1500, 1492, 1006].map(|len| claimed(0, len)).into();
        assert_eq!(plateaus, [Some(32_000), Some(8_166), Some(1_492), Some(1_006), Some(552)]);
        let other = Reported::V4(Icmpv4::Unreachable { code: unreachable::HOST, next_hop_mtu: 1400 });
        assert_eq!(claimed_mtu(other, &quote(1500)), None);
    }

    // RFC 8201 §4 8201-4a
    #[test]
    fn a_v6_message_below_the_least_mtu_or_above_the_packet_says_nothing() {
        let claimed = |mtu| claimed_mtu(Reported::V6(Icmpv6::PacketTooBig { mtu }), &quote(1500));
        let answers = [0, 1279, 1280, 1300, 1500, 9000, 65_536 + 1400].map(claimed);
        assert_eq!(answers, [None, None, Some(1280), Some(1300), None, None, None]);
    }

    // RFC 1191 §3 1191-3c
    #[test]
    fn paths_are_forgotten_after_ten_minutes_and_the_oldest_makes_room() {
        let interface = InterfaceConfig::default();
        let remote = |last: u8| IpAddr::from([192, 0, 2, last]);
        let mut paths = PathMtus::default();
        for last in 1..=3 {
            let now = Instant::from_secs(u64::from(last));
            paths.learn(now, remote(last), (1400, &interface), 2);
        }
        let now = Instant::from_secs(4);
        assert_eq!([1, 2, 3].map(|last| paths.mtu(now, remote(last))), [None, Some(1400), Some(1400)]);
        assert_eq!(paths.mtu(Instant::from_secs(602), remote(2)), None);
        assert_eq!(paths.mtu(Instant::from_secs(602), remote(3)), Some(1400));
        paths.learn(now, remote(3), (1500, &interface), 2);
        assert_eq!(paths.mtu(now, remote(3)), None, "all that its interface takes is nothing to remember");
    }
}
