//! When are received pieces copied together? [`joined`].
//!
//! A piece is a reference into the packet that brought it. A peer that sends single bytes would make us hold
//! a packet and a reference for each of them, many times what the window allows. So small pieces are copied
//! into one; the copies are short, whatever the order of arrival, and of any two neighbours that were small
//! the sum is large.

use bytes::{Bytes, BytesMut};

/// Pieces up to this size are small. A packet buffer of 1.5 to 2 KiB with more than this in it wastes little
/// enough.
pub(crate) const SMALL_BYTES: usize = 512;
/// Greatest piece that joining makes: it bounds the copy for each segment.
const JOINED_BYTES: usize = 2048;

/// `left` and `right`, neighbours in the stream, as one piece where one of them is small, else as they are.
/// The second piece is empty when they were joined.
pub(crate) fn joined(left: Bytes, right: Bytes) -> (Bytes, Bytes) {
    let len = left.len() + right.len();
    let small = left.len().min(right.len()) <= SMALL_BYTES;
    if small && len <= JOINED_BYTES {
        let mut bytes = BytesMut::with_capacity(len);
        bytes.extend_from_slice(&left);
        bytes.extend_from_slice(&right);
        (bytes.freeze(), Bytes::new())
    } else {
        (left, compact(right))
    }
}

/// `bytes` without the packet around it, when they are few.
pub(crate) fn compact(bytes: Bytes) -> Bytes {
    if bytes.len() <= SMALL_BYTES { Bytes::copy_from_slice(&bytes) } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn small_neighbours_become_one_and_large_ones_stay() {
        let piece = |len: usize| Bytes::from(vec![1; len]);
        assert_eq!(joined(piece(1), piece(1)), (piece(2), Bytes::new()));
        assert_eq!(joined(piece(1448), piece(512)), (piece(1960), Bytes::new()));
        assert_eq!(joined(piece(513), piece(513)), (piece(513), piece(513)));
        assert_eq!(joined(piece(2048), piece(1)), (piece(2048), piece(1)));
    }

    #[test]
    fn a_small_piece_lets_go_of_its_packet() {
        let packet = Bytes::from(vec![1; 4096]);
        let (left, right) = joined(packet.slice(..3000), packet.slice(3000..3010));
        assert_eq!(left.as_ptr(), packet.as_ptr());
        assert_ne!(right.as_ptr(), packet[3000..].as_ptr());
    }
}
