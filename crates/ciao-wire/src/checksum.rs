//! How is the Internet checksum computed? (RFC 1071; pseudo-headers: RFC 9293 §3.1, RFC 8200 §8.1)
//!
//! A [`Sum`] is fed pieces of any length in order and finished once. The machine's own byte order is summed,
//! because the one's-complement sum does not care, and swapped at the end. Long pieces go through lanes of 32
//! bits in safe code that the compiler turns into vector instructions; short ones, above all headers, through
//! 64-bit words.

use crate::{Payload, Protocol};
use core::net::IpAddr;

/// Lanes of 32 bits that are summed side by side: two SSE2 registers. Four were 4 % slower at 1460 bytes and
/// no faster at 64 KiB; 64-bit lanes, or carries counted instead of halves, took half as long again.
const LANES: usize = 8;
/// Bytes of one step over all lanes.
const STEP_BYTES: usize = LANES * 4;
/// Bytes that are summed before the lanes are emptied. A lane's low and high half gain at most 0xffff a step,
/// and 2^15 steps stay below 2^32: 2^15 × 32 B = 1 MiB. Any size below is right; this one keeps the division
/// out of one packet.
const BLOCK_BYTES: usize = 1 << 20;

/// A one's-complement sum that is fed pieces in order, of any length.
///
/// ```
/// use ciao_wire::checksum::Sum;
/// // The example of RFC 1071 §3: the words 0001, f203, f4f5, f6f7 give ddf2.
/// let sum = Sum::ZERO.add_bytes(&[0x00, 0x01, 0xf2]).add_bytes(&[0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
/// assert_eq!(sum.fold(), 0xddf2);
/// assert_eq!(sum.finish(), !0xddf2);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// Sum of 16-bit words in the machine's byte order. Each piece adds below 2^48, so 2^16 pieces cannot
    /// wrap it, and [`Sum::plus`] folds.
    words: u64,
    /// Bytes so far are odd: the next piece starts in the second half of a word.
    is_odd: bool,
}

impl Sum {
    /// Nothing summed.
    pub const ZERO: Self = Self { words: 0, is_odd: false };

    /// Adds bytes; a piece of odd length leaves the next one in the second half of a word.
    #[must_use]
    #[inline]
    pub fn add_bytes(self, bytes: &[u8]) -> Self {
        let words = if bytes.len() < 2 * STEP_BYTES { sum_short(bytes) } else { sum_long(bytes) };
        self.plus(words, bytes.len() % 2 == 1)
    }

    /// Adds one 16-bit word.
    #[must_use]
    #[inline]
    pub fn add_u16(self, word: u16) -> Self {
        self.plus(u64::from(word.to_be()), false)
    }

    /// Adds the two words of a 32-bit number.
    #[must_use]
    #[inline]
    pub fn add_u32(self, word: u32) -> Self {
        self.plus(u64::from(word.to_be()), false)
    }

    /// The sum of the words of numbers of 32 bits, of which 2^32 would fit without a carry.
    #[must_use]
    #[inline]
    pub fn of_words<const COUNT: usize>(words: [u32; COUNT]) -> Self {
        let words = words.iter().map(|word| u64::from(word.to_be())).sum();
        Self { words, is_odd: false }
    }

    /// The sum of a header, in pieces of four bytes. For headers of a length that the compiler knows, it is
    /// the cheapest way.
    #[must_use]
    #[inline]
    pub fn of_header(pieces: &[[u8; 4]]) -> Self {
        let words = pieces.iter().map(|piece| u64::from(u32::from_ne_bytes(*piece))).sum();
        Self { words, is_odd: false }
    }

    /// Adds what was summed elsewhere, of an even number of bytes on both sides.
    #[must_use]
    #[inline]
    pub fn add_sum(self, other: Self) -> Self {
        debug_assert!(!self.is_odd && !other.is_odd, "words are added to words");
        self.plus(other.words, false)
    }

    /// Adds all bytes of a payload.
    #[must_use]
    #[inline]
    pub fn add_payload(self, payload: &Payload) -> Self {
        match payload.as_single() {
            Some(bytes) => self.add_bytes(bytes),
            None => payload.chunks().fold(self, |sum, bytes| sum.add_bytes(bytes)),
        }
    }

    /// The sum, not complemented: what stands in the field of a packet whose checksum a device completes.
    #[must_use]
    #[inline]
    pub fn fold(self) -> u16 {
        fold(self.words).to_be()
    }

    /// The checksum: the complement of the sum.
    #[must_use]
    #[inline]
    pub fn finish(self) -> u16 {
        !self.fold()
    }

    /// True when what was summed holds its own right checksum.
    #[must_use]
    #[inline]
    pub fn is_valid(self) -> bool {
        self.fold() == 0xffff
    }

    #[inline]
    fn plus(self, words: u64, is_odd_len: bool) -> Self {
        let words = if self.is_odd { u64::from(fold(words).swap_bytes()) } else { words };
        let (sum, carry) = self.words.overflowing_add(words);
        Self { words: sum + u64::from(carry), is_odd: self.is_odd ^ is_odd_len }
    }
}

/// The sum of what a transport checksum covers besides the segment: addresses, protocol, length in bytes.
#[must_use]
#[inline]
pub fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: Protocol, len: u32) -> Sum {
    let sum = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Sum::ZERO.add_u32(source.to_bits()).add_u32(destination.to_bits())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Sum::ZERO.add_bytes(&source.octets()).add_bytes(&destination.octets())
        }
        (source, destination) => unreachable!("a packet from {source} to {destination} mixes IP versions"),
    };
    sum.add_u16(u16::from(protocol.0)).add_u32(len)
}

/// Folds to 16 bits with end-around carry.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "each step adds the upper to the lower half, the last fits"
)]
fn fold(words: u64) -> u16 {
    let words = (words >> 32) + (words & 0xffff_ffff);
    let words = (words >> 32) + (words & 0xffff_ffff);
    let words = (words >> 16) + (words & 0xffff);
    let words = (words >> 16) + (words & 0xffff);
    words as u16
}

/// Up to two steps' bytes by words of 32 bits, the rest by bytes padded with zero.
#[inline]
fn sum_short(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(4);
    let mut sum = 0;
    for word in &mut words {
        sum += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    }
    sum + match *words.remainder() {
        [] => 0,
        [a] => u64::from(u16::from_ne_bytes([a, 0])),
        [a, b] => u64::from(u16::from_ne_bytes([a, b])),
        [a, b, c, ..] => u64::from(u32::from_ne_bytes([a, b, c, 0])),
    }
}

/// In each lane two sums run: that of the whole 32-bit words, and that of their upper halves. The first
/// wraps, but modulo 2^32 it is `lower + 2^16 × upper`, so both halves come out exactly, with two additions
/// and a shift a word.
fn sum_long(bytes: &[u8]) -> u64 {
    let mut total = 0;
    for block in bytes.chunks(BLOCK_BYTES) {
        let mut whole = [0_u32; LANES];
        let mut upper = [0_u32; LANES];
        let (steps, rest) = block.as_chunks::<STEP_BYTES>();
        for step in steps {
            let (words, _) = step.as_chunks::<4>();
            for lane in 0..LANES {
                let word = u32::from_ne_bytes(words[lane]);
                whole[lane] = whole[lane].wrapping_add(word);
                upper[lane] = upper[lane].wrapping_add(word >> 16);
            }
        }
        for (whole, upper) in whole.into_iter().zip(upper) {
            total += u64::from(whole.wrapping_sub(upper << 16)) + u64::from(upper);
        }
        total += sum_short(rest);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use bytes::Bytes;

    /// RFC 1071 by the letter, one word after the other.
    fn slow(bytes: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for word in bytes.chunks(2) {
            sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u16::try_from(sum).unwrap()
    }

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|index| u8::try_from((index * 197 + index / 251) % 256).unwrap()).collect()
    }

    #[test]
    fn every_length_and_alignment_agrees_with_the_definition() {
        let all = bytes(1600);
        for start in 0..9 {
            for end in start..all.len() {
                assert_eq!(
                    Sum::ZERO.add_bytes(&all[start..end]).fold(),
                    slow(&all[start..end]),
                    "{start}..{end}"
                );
            }
        }
    }

    #[test]
    fn pieces_of_odd_length_give_the_sum_of_the_whole() {
        let all = bytes(700);
        for first in 0..300 {
            for second in [first, first + 1, first + 7, first + 256] {
                let mut payload = Payload::EMPTY;
                for piece in [&all[..first], &all[first..second], &all[second..]] {
                    payload.push(Bytes::copy_from_slice(piece));
                }
                assert_eq!(Sum::ZERO.add_payload(&payload).fold(), slow(&all));
            }
        }
    }

    #[test]
    fn long_runs_of_ones_do_not_overflow_a_lane() {
        for len in [65_535, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 63] {
            let ones = alloc::vec![0xff; len];
            assert_eq!(Sum::ZERO.add_bytes(&ones).fold(), slow(&ones), "{len} bytes");
        }
    }

    #[test]
    fn pseudo_header_covers_both_versions() {
        let v4 = |n| IpAddr::from([192, 0, 2, n]);
        let expected = slow(&[192, 0, 2, 1, 192, 0, 2, 2, 0, 6, 0, 20]);
        assert_eq!(pseudo_header(v4(1), v4(2), Protocol::TCP, 20).fold(), expected);
        let v6 = |n: u8| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n];
        let mut covered = Vec::new();
        covered.extend([v6(1), v6(2)].concat());
        covered.extend([0, 1, 0, 4, 0, 0, 0, 58]);
        let sum = pseudo_header(v6(1).into(), v6(2).into(), Protocol::ICMPV6, 65_540);
        assert_eq!(sum.fold(), slow(&covered));
    }
}
