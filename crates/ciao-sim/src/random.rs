//! Where does chance come from? One ChaCha8 stream for each component, found by its name.
//!
//! A component that draws once more, or a new component, shifts no other one's stream: a seed keeps its
//! meaning while the simulator grows.

use core::ops::RangeInclusive;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// The stream of one component.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream that the component `name` has in the run `seed`.
    #[must_use]
    pub fn named(seed: u64, name: &str) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut stream = ChaCha8Rng::from_seed(key);
        stream.set_stream(fnv1a(name.as_bytes()));
        Self(stream)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// 256 random bits: the seed of a host.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        seed
    }

    /// A number of the range, each as likely as the next, but for a bias below 2^-32 for ranges below 2^32.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let span = u128::from(range.end().saturating_sub(*range.start())) + 1;
        let scaled = (u128::from(self.bits()) * span) >> 64;
        range.start()
            + u64::try_from(scaled).expect("the product of two numbers, shifted by the bits of one, fits")
    }

    /// True with a chance of `ppm` in a million. Draws once whatever the chance, so that changing one leaves
    /// the rest of the run alone.
    pub fn chance(&mut self, ppm: u32) -> bool {
        self.within(0..=999_999) < u64::from(ppm)
    }

    /// One of the choices.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let last = choices.len().checked_sub(1).expect("there is something to pick from");
        choices[usize::try_from(self.within(0..=last as u64)).expect("an index is a usize")]
    }
}

/// FNV-1a, 64 bits: spreads names over streams; nobody attacks it.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_two_names_or_two_seeds_differ_and_one_repeats_itself() {
        let draw = |seed, name| Random::named(seed, name).bits();
        assert_eq!(draw(1, "loss"), draw(1, "loss"));
        assert_ne!(draw(1, "loss"), draw(1, "delay"));
        assert_ne!(draw(1, "loss"), draw(2, "loss"));
    }

    #[test]
    fn the_stream_is_the_same_on_every_machine() {
        assert_eq!(Random::named(7, "host 0").bits(), 27_239_097_572_334_382);
    }

    #[test]
    fn ranges_are_met_from_end_to_end() {
        let mut random = Random::named(3, "range");
        let mut seen = [false; 5];
        for _ in 0..200 {
            let value = random.within(10..=14);
            seen[usize::try_from(value - 10).unwrap()] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(random.within(4..=4), 4);
        assert!(!random.chance(0));
        assert!(random.chance(1_000_000));
    }
}
