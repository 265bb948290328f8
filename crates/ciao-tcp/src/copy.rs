//! How are bytes copied between the application and a connection? In short steps.
//!
//! The C library copies long ranges with `rep movsb`. On AMD's Zen 3 and 4 that falls from 45 to 2 GB/s when
//! source and destination lie nearly alike within their pages, the destination a little behind, as large
//! blocks of an allocator do. Steps below its threshold of 2 KiB take the vector loop, which knows no such
//! case.

use bytes::BytesMut;

/// Bytes of one step: a multiple of a cache line below 2 KiB.
const STEP_BYTES: usize = 1920;

/// Copies `from` to the front of `to`, which is at least as long.
#[inline]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    if from.len() <= STEP_BYTES {
        to[..from.len()].copy_from_slice(from);
        return;
    }
    for (from, to) in from.chunks(STEP_BYTES).zip(to[..from.len()].chunks_mut(STEP_BYTES)) {
        to.copy_from_slice(from);
    }
}

/// Copies `from` behind what is in `to`.
pub(crate) fn append(from: &[u8], to: &mut BytesMut) {
    to.reserve(from.len());
    from.chunks(STEP_BYTES).for_each(|step| to.extend_from_slice(step));
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn every_length_around_a_step_is_copied_whole() {
        for len in [0, 1, STEP_BYTES - 1, STEP_BYTES, STEP_BYTES + 1, 3 * STEP_BYTES, 65_536] {
            let from: Vec<u8> = (0..len).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect();
            let mut to = vec![0; len + 1];
            copy(&from, &mut to);
            assert_eq!((&to[..len], to[len]), (&from[..], 0));
            let mut appended = BytesMut::from(&b"ab"[..]);
            append(&from, &mut appended);
            assert_eq!((&appended[..2], &appended[2..]), (&b"ab"[..], &from[..]));
        }
    }
}
