//! Where do the sequence numbers and the timestamps of a connection start? (RFC 9293 §3.4.1, RFC 6528, RFC
//! 7323 §7.1)
//!
//! Both are a clock plus an offset that nobody can compute without the host's secret, and that is always the
//! same for the same two endpoints: a new connection continues where the last one of the same endpoints would
//! be by now, and says nothing about the numbers of any other.

use ciao_wire::{Instant, SeqNum};
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use siphasher::sip::SipHasher24;

/// One step of the sequence number's clock (RFC 9293 §3.4.1). All numbers pass in 4.8 h.
const TICK_MICROS: u64 = 4;

/// 128 random bits that are drawn once for a host and never leave it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 16]);

impl Secret {
    /// Wraps `random` bits: from the operating system, or from the seed of a simulation.
    #[must_use]
    pub const fn new(random: [u8; 16]) -> Self {
        Self(random)
    }
}

impl fmt::Debug for Secret {
    /// Says nothing about the bits: a secret in a log is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where the clocks of a connection stand apart from that of its host: always in the same place for the same
/// two endpoints. Both are halves of one hash, and neither half says anything of the other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    sequence: u32,
    timestamp: u32,
}

impl Offsets {
    /// Those of a connection from `local` to `remote`.
    // RFC 6528 §3 6528-1, 6528-2
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "each takes its half of the hash")]
    pub fn of(secret: &Secret, local: SocketAddr, remote: SocketAddr) -> Self {
        let hash = keyed_hash(secret, Purpose::Offsets, local, remote, &[]);
        Self { sequence: hash as u32, timestamp: (hash >> 32) as u32 }
    }

    /// ISS, the first sequence number of a connection that opens at `now`.
    // RFC 9293 §3.4.1 MUST-8, MUST-9, SHLD-1
    #[must_use]
    pub fn initial_sequence(&self, now: Instant) -> SeqNum {
        #[expect(clippy::cast_possible_truncation, reason = "the clock is taken modulo 2^32")]
        let clock = (now.as_micros() / TICK_MICROS) as u32;
        SeqNum(self.sequence.wrapping_add(clock))
    }

    /// What is added to the timestamp clock, so that TSval does not tell how long the host is up.
    // RFC 7323 §7.1 7323-7a
    #[must_use]
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }
}

impl fmt::Debug for Offsets {
    /// Says nothing about them: they are as good as the secret to whoever wants to forge a segment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Offsets(..)")
    }
}

/// Keeps the uses of the secret apart: who sees one offset learns nothing of the others.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Offsets = 1,
    SynCookie = 2,
    FastOpenCookie = 3,
}

/// The most that [`keyed_hash`] takes beside the endpoints.
const MAX_MORE_BYTES: usize = 16;

/// A hash of the endpoints and of `more`, at most 16 bytes, that nobody without the secret can compute.
pub(crate) fn keyed_hash(
    secret: &Secret,
    purpose: Purpose,
    local: SocketAddr,
    remote: SocketAddr,
    more: &[u8],
) -> u64 {
    // All of it in one piece: feeding the hash piece by piece costs three times as much.
    let mut bytes = [0; 1 + 2 * (16 + 2) + MAX_MORE_BYTES];
    bytes[0] = purpose as u8;
    let mut len = 1;
    for endpoint in [local, remote] {
        match endpoint.ip() {
            IpAddr::V4(address) => push(&mut bytes, &mut len, address.octets()),
            IpAddr::V6(address) => push(&mut bytes, &mut len, address.octets()),
        }
        push(&mut bytes, &mut len, endpoint.port().to_be_bytes());
    }
    if !more.is_empty() {
        bytes[len..len + more.len()].copy_from_slice(more);
        len += more.len();
    }
    SipHasher24::new_with_key(&secret.0).hash(&bytes[..len])
}

/// Appends a piece of a length that the compiler knows.
fn push<const N: usize>(bytes: &mut [u8], len: &mut usize, piece: [u8; N]) {
    bytes[*len..*len + N].copy_from_slice(&piece);
    *len += N;
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use core::time::Duration;

    const SECRET: Secret = Secret::new(*b"sixteen bytes!!!");

    fn initial_sequence(secret: &Secret, now: Instant, local: SocketAddr, remote: SocketAddr) -> SeqNum {
        Offsets::of(secret, local, remote).initial_sequence(now)
    }

    fn timestamp_offset(secret: &Secret, local: SocketAddr, remote: SocketAddr) -> u32 {
        Offsets::of(secret, local, remote).timestamp()
    }

    fn endpoint(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn peer() -> SocketAddr {
        SocketAddr::from(([198, 51, 100, 7], 80))
    }

    // RFC 9293 §3.4.1 MUST-8
    // RFC 6528 §3 6528-1
    #[test]
    fn the_clock_advances_once_in_four_microseconds_and_wraps() {
        let at = |now| initial_sequence(&SECRET, now, endpoint(40_000), peer());
        for start in [Instant::ZERO, Instant::from_secs(17_179), Instant::from_secs(1 << 33)] {
            for seconds in [1, 7, 60, 300] {
                let later = start + Duration::from_secs(seconds);
                assert_eq!(u64::from(at(later).since(at(start))), seconds * 250_000);
            }
            assert_eq!(at(start + Duration::from_micros(4)).since(at(start)), 1);
        }
    }

    // RFC 9293 §3.4.1 SHLD-1
    #[test]
    fn the_offsets_of_a_million_endpoints_are_spread_evenly() {
        const BUCKETS: usize = 1000;
        let mut counts = vec![0u32; BUCKETS];
        for host in 0..20u8 {
            for port in 10_000..60_000 {
                let local = SocketAddr::from(([10, 0, 0, host], port));
                let iss = initial_sequence(&SECRET, Instant::ZERO, local, peer());
                counts[((u64::from(iss.0) * BUCKETS as u64) >> 32) as usize] += 1;
            }
        }
        let expected = 1_000_000.0 / BUCKETS as f64;
        let chi_square: f64 =
            counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
        // 999 degrees of freedom: mean 999, deviation 45. The bounds are five deviations away.
        assert!((775.0..1223.0).contains(&chi_square), "chi-square {chi_square}");
    }

    // RFC 9293 §3.4.1 MUST-9
    // RFC 6528 §3 6528-2
    #[test]
    fn hosts_with_other_secrets_are_uncorrelated() {
        let mut bit_differences = [0u32; 32];
        let tuples = 20_000u16;
        let mut other = *b"sixteen bytes!!!";
        other[15] ^= 1;
        let other = Secret::new(other);
        for port in 0..tuples {
            let ours = initial_sequence(&SECRET, Instant::ZERO, endpoint(port), peer());
            let theirs = initial_sequence(&other, Instant::ZERO, endpoint(port), peer());
            for (bit, count) in bit_differences.iter_mut().enumerate() {
                *count += (ours.0 ^ theirs.0) >> bit & 1;
            }
        }
        for count in bit_differences {
            // Half of them with a deviation of 71; the bounds are five deviations away.
            assert!((9_645..10_355).contains(&count), "{count} of {tuples} differ");
        }
    }

    // RFC 9293 §3.4.1 MUST-9
    // RFC 6528 §3 6528-1
    #[test]
    fn each_end_of_each_connection_starts_elsewhere() {
        let v6 = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 80));
        let at = |local, remote| initial_sequence(&SECRET, Instant::ZERO, local, remote);
        let starts = [
            at(endpoint(1), peer()),
            at(peer(), endpoint(1)),
            at(endpoint(2), peer()),
            at(endpoint(1), v6),
            SeqNum(timestamp_offset(&SECRET, endpoint(1), peer())),
        ];
        for (index, start) in starts.iter().enumerate() {
            assert!(!starts[..index].contains(start));
        }
        assert_eq!(at(endpoint(1), peer()), at(endpoint(1), peer()));
    }

    // RFC 7323 §7.1 7323-7a
    #[test]
    fn neighbouring_connections_have_unrelated_timestamp_clocks() {
        let mut far_apart = 0;
        for port in 0..1000 {
            let one = timestamp_offset(&SECRET, endpoint(port), peer());
            let next = timestamp_offset(&SECRET, endpoint(port + 1), peer());
            far_apart += u32::from(SeqNum(one).offset_from(SeqNum(next)).unsigned_abs() > 1 << 24);
        }
        // Of random pairs one in 128 is nearer: about 8 of 1000.
        assert!(far_apart > 970, "{far_apart} of 1000");
    }

    // RFC 9293 §3.4.1 MUST-9
    #[test]
    fn what_nobody_may_know_is_not_printed() {
        assert_eq!(alloc::format!("{SECRET:?}"), "Secret(..)");
        assert_eq!(alloc::format!("{:?}", Offsets::of(&SECRET, endpoint(1), peer())), "Offsets(..)");
    }
}
