//! From which of its addresses does the host speak to a remote one? (RFC 6724 §5, RFC 1122 §3.3.4.3)
//!
//! Those of the interface through which the packet leaves are asked, which is rule 5; rules 1, 2, 6 and 8
//! choose among them. Rules 3, 4 and 7 are about addresses that this host does not have: deprecated, home and
//! temporary ones.

use crate::interface::Cidr;
use core::cmp::Reverse;
use core::net::IpAddr;

/// Scopes (RFC 4291 §2.7, RFC 6724 §3.1, §3.2): the numbers that multicast addresses have in them.
const LINK_LOCAL: u8 = 2;
const SITE_LOCAL: u8 = 5;
const GLOBAL: u8 = 14;

/// The default policy table (RFC 6724 §2.1): first bits of an address, how many, and the label of what they
/// stand for. The longest prefix is the one that counts, so it stands first.
const POLICY: [(u128, u32, u8); 8] = [
    (1, 128, 0),
    (0xffff << 32, 96, 4),
    (0, 96, 3),
    (0x2001 << 112, 32, 5),
    (0x2002 << 112, 16, 2),
    (0x3ffe << 112, 16, 12),
    (0xfec0 << 112, 10, 11),
    (0xfc00 << 112, 7, 13),
];
/// Of all other addresses.
const LABEL_OF_OTHERS: u8 = 1;

/// How good an address of ours is for packets to `remote`: the greater, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Suitability {
    is_the_remote: bool,
    scope: (bool, Reverse<u8>, u8),
    same_label: bool,
    shared_bits: u32,
}

impl Suitability {
    // RFC 6724 §5 6724-1
    pub(crate) fn of(own: Cidr, remote: IpAddr) -> Self {
        let (own_scope, wanted) = (scope(own.address), scope(remote));
        let reaches = own_scope >= wanted;
        Self {
            // Rule 1.
            is_the_remote: own.address == remote,
            // Rule 2: the narrowest scope that reaches; where none does, the widest.
            scope: (reaches, Reverse(if reaches { own_scope } else { 0 }), own_scope),
            // Rule 6.
            same_label: label(own.address) == label(remote),
            // Rule 8: bits beyond the network's prefix say nothing of nearness.
            shared_bits: shared_bits(own.address, remote).min(u32::from(own.prefix_len)),
        }
    }
}

fn scope(address: IpAddr) -> u8 {
    match address {
        // Private addresses count as global ones (RFC 6724 §3.2).
        IpAddr::V4(v4) if v4.is_link_local() || v4.is_loopback() => LINK_LOCAL,
        IpAddr::V4(_) => GLOBAL,
        IpAddr::V6(v6) if v6.is_multicast() => v6.octets()[1] & 0xf,
        IpAddr::V6(v6) if v6.is_unicast_link_local() || v6.is_loopback() => LINK_LOCAL,
        IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfec0 => SITE_LOCAL,
        IpAddr::V6(_) => GLOBAL,
    }
}

fn label(address: IpAddr) -> u8 {
    let number = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let matches = |(prefix, bits, _): &(u128, u32, u8)| (number ^ prefix).leading_zeros() >= *bits;
    POLICY.into_iter().find(matches).map_or(LABEL_OF_OTHERS, |(_, _, label)| label)
}

fn shared_bits(one: IpAddr, other: IpAddr) -> u32 {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    // RFC 6724 §5 6724-1: the RFC's own examples are among these (§10.1)
    #[test]
    fn of_two_addresses_the_rules_choose_one() {
        for (remote, better, worse, why) in [
            ("2001:db8::9", "2001:db8::9/64", "2001:db8::1/64", "rule 1: the same address"),
            ("2001:db8:1::1", "2001:db8:3::1/64", "fe80::1/64", "rule 2: it reaches"),
            ("ff02::1", "fe80::1/64", "2001:db8:3::1/64", "rule 2: the narrowest scope that reaches"),
            ("ff05::1", "2001:db8:3::1/64", "fe80::1/64", "rule 2: it reaches"),
            ("fe80::9", "fe80::1/64", "2001:db8::1/64", "rule 2: the narrowest scope that reaches"),
            ("fec0::9", "fec0::1/64", "2001:db8::1/64", "rule 2: the narrowest scope that reaches"),
            ("2001:db8::9", "fec0::1/64", "fe80::1/64", "rule 2: none reaches, this is wider"),
            ("fd00:1::9", "fd77::1/64", "2001:db8::1/64", "rule 6: both are unique local"),
            ("2001:db8::9", "2600::1/64", "fd77::1/64", "rule 6: neither is unique local"),
            ("2002:c633:6401::9", "2002:c633:6401::d5e3/64", "2001:db8:1::2/64", "rule 6: both are 6to4"),
            ("2001:db8:ffff:1::9", "2001:db8:ffff::1/48", "2001:db8::1/48", "rule 8: more bits in common"),
            ("198.51.100.9", "198.51.100.1/24", "192.0.2.1/24", "rule 8: more bits in common"),
            ("198.51.100.9", "192.0.2.1/24", "169.254.1.1/16", "rule 2: it reaches"),
            ("169.254.7.7", "169.254.1.1/16", "192.0.2.1/24", "rule 2: the narrowest scope that reaches"),
        ] {
            let suitability = |text: &str| {
                let (address, len) = text.split_once('/').unwrap();
                Suitability::of(Cidr::new(ip(address), len.parse().unwrap()), ip(remote))
            };
            assert!(suitability(better) > suitability(worse), "{remote}: {better} and {worse}, {why}");
        }
    }

    #[test]
    fn each_address_has_the_label_of_its_longest_prefix() {
        for (address, expected) in [
            ("::1", 0),
            ("2600::1", 1),
            ("2002::1", 2),
            ("::192.0.2.1", 3),
            ("192.0.2.1", 4),
            ("2001::1", 5),
            ("2001:db8::1", 1),
            ("fec0::1", 11),
            ("3ffe::1", 12),
            ("fd00::1", 13),
        ] {
            assert_eq!(label(ip(address)), expected, "{address}");
        }
    }
}
