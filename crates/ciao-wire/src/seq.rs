//! Sequence numbers: 32 bits that wrap, compared by the shorter way round the circle (RFC 9293 §3.4).
//!
//! There is no `PartialOrd`: "before" on a circle is not transitive, so it must not look like `<` to a sort.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A TCP sequence or acknowledgment number.
///
/// ```
/// use ciao_wire::SeqNum;
/// let last = SeqNum(u32::MAX);
/// assert!(last.before(last + 2));
/// assert_eq!((last + 2).since(last), 2);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeqNum(pub u32);

impl SeqNum {
    /// True when `self` lies before `other`: the way forward from `self` to `other` is the shorter one.
    #[must_use]
    pub const fn before(self, other: Self) -> bool {
        self.offset_from(other) < 0
    }

    /// True when `self` is `other` or lies before it.
    #[must_use]
    pub const fn at_or_before(self, other: Self) -> bool {
        self.offset_from(other) <= 0
    }

    /// True when `self` lies after `other`.
    #[must_use]
    pub const fn after(self, other: Self) -> bool {
        self.offset_from(other) > 0
    }

    /// True when `self` is `other` or lies after it.
    #[must_use]
    pub const fn at_or_after(self, other: Self) -> bool {
        self.offset_from(other) >= 0
    }

    /// The number of steps forward from `earlier` to `self`. Call it only where the order is known.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// The signed distance from `other` to `self` by the shorter way.
    #[must_use]
    pub const fn offset_from(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// True when `self` lies in the `len` numbers that begin at `start`.
    #[must_use]
    pub const fn is_within(self, start: Self, len: u32) -> bool {
        self.since(start) < len
    }

    /// The later of two.
    #[must_use]
    pub const fn latest(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }

    /// The earlier of two.
    #[must_use]
    pub const fn earliest(self, other: Self) -> Self {
        if self.before(other) { self } else { other }
    }
}

impl Add<u32> for SeqNum {
    type Output = Self;

    fn add(self, steps: u32) -> Self {
        Self(self.0.wrapping_add(steps))
    }
}

impl AddAssign<u32> for SeqNum {
    fn add_assign(&mut self, steps: u32) {
        *self = *self + steps;
    }
}

impl Sub<u32> for SeqNum {
    type Output = Self;

    fn sub(self, steps: u32) -> Self {
        Self(self.0.wrapping_sub(steps))
    }
}

impl fmt::Display for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_follows_the_shorter_way_round() {
        for start in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            let start = SeqNum(start);
            assert!(start.before(start + 1) && (start + 1).after(start));
            assert!(start.before(start + 0x7fff_ffff));
            assert!(start.at_or_before(start) && start.at_or_after(start) && !start.before(start));
            assert_eq!((start + 70_000).since(start), 70_000);
            assert_eq!(start.latest(start + 5), start + 5);
            assert_eq!(start.earliest(start + 5), start);
        }
    }

    #[test]
    fn a_window_of_zero_holds_nothing() {
        assert!(!SeqNum(7).is_within(SeqNum(7), 0));
        assert!(SeqNum(1).is_within(SeqNum(u32::MAX), 3));
        assert!(!SeqNum(2).is_within(SeqNum(u32::MAX), 3));
    }
}
