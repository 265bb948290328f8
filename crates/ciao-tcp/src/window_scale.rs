//! Window scaling: which shift we offer, and how the peer's is taken (RFC 7323 §2).

/// The greatest shift there is (RFC 7323 §2.3).
pub(crate) const MAX_SHIFT: u8 = 14;

/// The least shift with which a window of `buffer_bytes` fits into 16 bits.
// RFC 7323 §2.3
pub(crate) fn shift_for(buffer_bytes: u32) -> u8 {
    let digits = u32::BITS - buffer_bytes.leading_zeros();
    let excess = digits.saturating_sub(u16::BITS).min(u32::from(MAX_SHIFT));
    u8::try_from(excess).expect("it was just limited to 14")
}

/// The shift that a received option means.
// RFC 7323 §2.3 7323-2d: larger values count as the greatest one
pub(crate) fn received_shift(option: u8) -> u8 {
    option.min(MAX_SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shift_is_the_least_that_fits() {
        for (buffer_bytes, shift) in
            [(0, 0), (65_535, 0), (65_536, 1), (262_144, 3), (1 << 30, 14), (u32::MAX, 14)]
        {
            assert_eq!(shift_for(buffer_bytes), shift, "{buffer_bytes}");
        }
    }

    // RFC 7323 §2.3 7323-2d
    #[test]
    fn a_shift_above_fourteen_counts_as_fourteen() {
        for option in [14, 15, 31, 255] {
            assert_eq!(received_shift(option), 14);
        }
        assert_eq!(received_shift(7), 7);
    }
}
