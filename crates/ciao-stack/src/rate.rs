//! How many answers may leave that nobody asked for? Token buckets (RFC 1812 §4.3.2.8, RFC 4443 §2.4 f).
//!
//! One bucket for all would tell each of them how much we answer the others. So the rate is divided among a
//! few buckets and a keyed hash of the peer's address says which one is its own.

use crate::keyed::{KeyedHash, slot_of};
use crate::routing::to_octets;
use ciao_wire::Instant;
use core::net::IpAddr;

/// More buckets hide more, but leave less for each peer.
const BUCKETS: usize = 8;

/// A bucket that fills at a steady rate and holds what one second brings.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// When the bucket would have been empty, had it been full since and nothing been taken before.
    empty_at: Instant,
}

/// A rate, divided by peer.
#[derive(Clone, Debug)]
pub(crate) struct RateLimit {
    buckets: [Bucket; BUCKETS],
    /// Time for one token of a bucket; `None` when there is none ever.
    nanos_per_token: Option<u64>,
    hasher: KeyedHash,
}

impl RateLimit {
    /// At most `per_s` a second, with a burst of as many.
    pub(crate) fn new(per_s: u32, key: [u8; 16]) -> Self {
        Self {
            buckets: [Bucket { empty_at: Instant::ZERO }; BUCKETS],
            nanos_per_token: (1_000_000_000 * BUCKETS as u64).checked_div(u64::from(per_s)),
            hasher: KeyedHash::new(key),
        }
    }

    /// True when an answer to `peer` may leave now; it is counted.
    pub(crate) fn take(&mut self, now: Instant, peer: IpAddr) -> bool {
        let Some(nanos) = self.nanos_per_token else { return false };
        let token = core::time::Duration::from_nanos(nanos);
        let bucket = slot_of(self.hasher.of(&to_octets(peer)), BUCKETS);
        let bucket = &mut self.buckets[bucket];
        let second = core::time::Duration::from_secs(1).max(token);
        // The origin of time may be now, so the full bucket is written as a debt that is not yet there.
        let filled = bucket.empty_at.max(now);
        if filled + token > now + second {
            return false;
        }
        bucket.empty_at = filled + token;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(limit: &mut RateLimit, now: Instant, peer: u8) -> usize {
        let peer = IpAddr::from([192, 0, 2, peer]);
        (0..10_000).take_while(|_| limit.take(now, peer)).count()
    }

    // RFC 1122 §3.2.2 1122-3.2.2b
    // RFC 4443 §2.4 4443-2.4b
    #[test]
    fn one_peer_gets_its_share_and_does_not_see_what_others_get() {
        let mut limit = RateLimit::new(800, [3; 16]);
        let now = Instant::from_secs(10);
        let shares: alloc::vec::Vec<usize> = (0..=255).map(|peer| taken(&mut limit, now, peer)).collect();
        assert_eq!(shares.iter().sum::<usize>(), 800);
        assert_eq!(shares.iter().filter(|share| **share == 100).count(), BUCKETS);
        assert_eq!(taken(&mut limit, Instant::from_millis(10_500), 0), 50);
        assert_eq!(taken(&mut limit, Instant::from_secs(60), 0), 100);
    }

    #[test]
    fn a_rate_of_zero_lets_nothing_out() {
        assert_eq!(taken(&mut RateLimit::new(0, [3; 16]), Instant::from_secs(10), 0), 0);
    }
}
