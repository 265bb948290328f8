//! A hash that nobody outside can compute: SipHash-1-3 with a key from the host's own random bits.
//!
//! It finds connections, divides rates among peers and spreads ports. Initial sequence numbers have a hash of
//! their own (`ciao_tcp::isn`).

use core::fmt;
use siphasher::sip::SipHasher13;

/// The hash with its key, which it never shows.
#[derive(Clone)]
pub(crate) struct KeyedHash(SipHasher13);

impl KeyedHash {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(&key))
    }

    pub(crate) fn of(&self, bytes: &[u8]) -> u64 {
        self.0.hash(bytes)
    }
}

/// Which of `slots` a hash belongs to.
#[expect(clippy::cast_possible_truncation, reason = "the lower half of a hash chooses as well as the whole")]
pub(crate) fn slot_of(hash: u64, slots: usize) -> usize {
    hash as usize % slots
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHash(..)")
    }
}
