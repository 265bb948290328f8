//! The contract between a host and a link: one IP packet, or one super-segment that stands for several.
//!
//! Offload is part of it from the start: a packet says how it is to be cut into segments and who completes
//! its checksum, so a link that can do that work gets one large packet. A link that cannot gets packets that
//! are whole: the stack cuts them in one shared place. The payload is reference-counted: the bytes of a write
//! travel to the device and the bytes of the device to a read without being copied between.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};

/// The number a packet keeps from its sender to its receiver, so that both ends' traces can be joined.
/// Zero where the link cannot carry it (a TUN device).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(pub u64);

/// The room for headers in a [`Head`]: IPv6 (40) with the longest TCP header (60), rounded up to a word.
pub const HEAD_CAPACITY: usize = 104;

/// The IP and transport headers of a packet, in line, without an allocation.
///
/// Aligned, and the bytes first: a word of a header that lies across two words of memory is read slowly when
/// the packet was moved just before.
#[derive(Clone)]
#[repr(C, align(8))]
pub struct Head {
    bytes: [u8; HEAD_CAPACITY],
    len: u8,
}

impl Head {
    /// No headers: those of the packet stand at the start of its payload.
    pub const EMPTY: Self = Self { bytes: [0; HEAD_CAPACITY], len: 0 };

    /// `len` zero bytes to be filled in.
    ///
    /// # Panics
    /// When `len` is above [`HEAD_CAPACITY`].
    #[must_use]
    #[inline]
    pub fn zeroed(len: usize) -> Self {
        assert!(len <= HEAD_CAPACITY, "a head holds {HEAD_CAPACITY} bytes, {len} were asked for");
        #[expect(clippy::cast_possible_truncation, reason = "it was just compared with the capacity")]
        let len = len as u8;
        Self { len, bytes: [0; HEAD_CAPACITY] }
    }

    /// Makes room for `len` bytes, all of which are to be written.
    ///
    /// # Panics
    /// When `len` is above [`HEAD_CAPACITY`].
    #[inline]
    pub fn reset(&mut self, len: usize) {
        assert!(len <= HEAD_CAPACITY, "a head holds {HEAD_CAPACITY} bytes, {len} were asked for");
        #[expect(clippy::cast_possible_truncation, reason = "it was just compared with the capacity")]
        let len = len as u8;
        self.len = len;
    }

    /// The header bytes.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The header bytes, to be written.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[..usize::from(self.len)]
    }

    /// The number of header bytes.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// True when the headers stand in the payload instead.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Default for Head {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl core::fmt::Debug for Head {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Head").field(&self.as_slice()).finish()
    }
}

/// Who answers for the transport checksum of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// Received: not looked at yet. Sent: written in full.
    #[default]
    Unknown,
    /// Received: the link vouches for it (it has verified it, or the packet never left the machine).
    Valid,
    /// The field holds the sum of the pseudo-header alone; whoever puts the packet on a wire completes it.
    Partial {
        /// Where summing starts, in bytes from the start of the packet.
        start: u16,
        /// Where the result goes, in bytes from `start`.
        offset: u16,
    },
}

/// One IP packet, or a super-segment.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    /// IP and transport headers; empty when they stand at the start of `payload`.
    pub head: Head,
    /// What follows the head.
    pub payload: Payload,
    /// Payload bytes of each segment when this stands for several (GSO when sent, GRO when received), else
    /// zero.
    pub segment_size: u16,
    /// Who answers for the transport checksum.
    pub checksum: Checksum,
    /// The number that both ends log.
    pub id: PacketId,
}

impl Packet {
    /// A received packet in one piece, nothing known of its checksum.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self {
            head: Head::EMPTY,
            payload: Payload::from(bytes),
            segment_size: 0,
            checksum: Checksum::Unknown,
            id: PacketId(0),
        }
    }

    /// Bytes in all, headers included.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.head.len() + self.payload.len()
    }

    /// True when there is not one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the whole packet in one piece, for captures and tests.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        bytes.extend_from_slice(self.head.as_slice());
        for chunk in self.payload.chunks() {
            bytes.extend_from_slice(chunk);
        }
        bytes
    }
}

/// Bytes in one or more reference-counted pieces. One piece, by far the most common, needs no allocation.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    first: Bytes,
    /// What is behind `first`; nothing whenever `first` is empty. Boxed, because nearly every packet has none
    /// and is moved several times.
    rest: Option<Box<Rest>>,
}

/// The pieces of a payload behind its first.
#[derive(Clone, Debug, Default)]
struct Rest {
    /// None of them empty.
    pieces: VecDeque<Bytes>,
    /// Bytes in all of them.
    len: usize,
}

impl Rest {
    fn pop_front(&mut self) -> Option<Bytes> {
        let bytes = self.pieces.pop_front()?;
        self.len -= bytes.len();
        Some(bytes)
    }
}

impl Payload {
    /// No bytes.
    pub const EMPTY: Self = Self { first: Bytes::new(), rest: None };

    /// Bytes in all pieces.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.first.len() + self.rest.as_ref().map_or(0, |rest| rest.len)
    }

    /// True when there is not one byte.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Appends a piece.
    #[inline]
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
        } else if self.first.is_empty() {
            self.first = bytes;
        } else {
            let rest = self.rest.get_or_insert_default();
            rest.len += bytes.len();
            rest.pieces.push_back(bytes);
        }
    }

    /// Appends all pieces of `other`.
    pub fn append(&mut self, other: Self) {
        self.push(other.first);
        match (&mut self.rest, other.rest) {
            (Some(own), Some(mut rest)) => {
                own.len += rest.len;
                own.pieces.append(&mut rest.pieces);
            }
            (None, rest) => self.rest = rest,
            (Some(_), None) => {}
        }
    }

    /// The last piece.
    #[must_use]
    pub fn last(&self) -> Option<&Bytes> {
        let behind = self.rest.as_ref().and_then(|rest| rest.pieces.back());
        behind.or((!self.first.is_empty()).then_some(&self.first))
    }

    /// All bytes, when they are in one piece: nearly always.
    #[must_use]
    #[inline]
    pub fn as_single(&self) -> Option<&Bytes> {
        self.rest.is_none().then_some(&self.first)
    }

    /// The pieces in order, none of them empty.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> + '_ {
        let rest = self.rest.iter().flat_map(|rest| &rest.pieces);
        core::iter::once(&self.first).filter(|bytes| !bytes.is_empty()).chain(rest)
    }

    /// Takes the first piece out.
    pub fn pop_front(&mut self) -> Option<Bytes> {
        if self.first.is_empty() {
            return None;
        }
        let next = self.rest.as_deref_mut().and_then(Rest::pop_front).unwrap_or_default();
        Some(core::mem::replace(&mut self.first, next))
    }

    /// Takes the last piece out.
    pub fn pop_back(&mut self) -> Option<Bytes> {
        if let Some(rest) = &mut self.rest
            && let Some(bytes) = rest.pieces.pop_back()
        {
            rest.len -= bytes.len();
            return Some(bytes);
        }
        if self.first.is_empty() { None } else { Some(core::mem::take(&mut self.first)) }
    }

    /// Drops `count` bytes from the front, or all when there are fewer.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        if count < self.first.len() {
            if count > 0 {
                self.first.advance(count);
            }
        } else if count > 0 {
            self.advance_over_pieces(count);
        }
    }

    fn advance_over_pieces(&mut self, count: usize) {
        let mut left = count.min(self.len());
        while left >= self.first.len() && !self.first.is_empty() {
            left -= self.first.len();
            self.pop_front();
        }
        if left > 0 {
            self.first.advance(left);
        }
    }

    /// Takes the first `len` bytes out, without copying.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn split_to(&mut self, len: usize) -> Self {
        if len < self.first.len() {
            return Self::from(self.first.split_to(len));
        }
        let front = self.slice(0, len);
        self.advance(len);
        front
    }

    /// Keeps the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        if len <= self.first.len() {
            self.first.truncate(len);
            self.rest = None;
            return;
        }
        while self.len() > len {
            let excess = self.len() - len;
            let rest = self.rest.as_deref_mut().expect("more bytes than `first` has are in `rest`");
            let last = rest.pieces.back_mut().expect("its length is not zero");
            if last.len() > excess {
                last.truncate(last.len() - excess);
                rest.len -= excess;
            } else {
                rest.len -= last.len();
                rest.pieces.pop_back();
            }
        }
    }

    /// The bytes from `start` on, `len` of them, without copying.
    ///
    /// # Panics
    /// When the range reaches beyond the end.
    #[must_use]
    pub fn slice(&self, start: usize, len: usize) -> Self {
        assert!(start + len <= self.len(), "{start} + {len} is beyond a payload of {}", self.len());
        let mut out = Self::EMPTY;
        let (mut skip, mut left) = (start, len);
        for chunk in self.chunks() {
            if left == 0 {
                break;
            }
            if skip >= chunk.len() {
                skip -= chunk.len();
                continue;
            }
            let take = left.min(chunk.len() - skip);
            out.push(chunk.slice(skip..skip + take));
            left -= take;
            skip = 0;
        }
        out
    }

    /// A copy in one piece.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        for chunk in self.chunks() {
            bytes.extend_from_slice(chunk);
        }
        bytes
    }
}

impl From<Bytes> for Payload {
    fn from(first: Bytes) -> Self {
        Self { first, rest: None }
    }
}

impl PartialEq for Payload {
    /// Equal bytes, however they are cut into pieces.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.chunks().flatten().eq(other.chunks().flatten())
    }
}

impl Eq for Payload {}

#[cfg(test)]
mod tests {
    use super::*;

    fn abc() -> Payload {
        let mut payload = Payload::EMPTY;
        for piece in ["abc", "", "defg", "h"] {
            payload.push(Bytes::from_static(piece.as_bytes()));
        }
        payload
    }

    #[test]
    fn every_cut_gives_the_same_bytes_as_on_one_piece() {
        let whole = b"abcdefgh";
        for at in 0..=whole.len() {
            let mut front = abc();
            front.truncate(at);
            assert_eq!(front.to_vec(), &whole[..at]);
            assert_eq!(front.len(), at);
            let mut back = abc();
            back.advance(at);
            assert_eq!(back.to_vec(), &whole[at..]);
            assert_eq!(back.len(), whole.len() - at);
            let mut back = abc();
            let mut front = back.split_to(at);
            assert_eq!((front.to_vec(), back.to_vec()), (whole[..at].to_vec(), whole[at..].to_vec()));
            for len in 0..=whole.len() - at {
                assert_eq!(abc().slice(at, len).to_vec(), &whole[at..at + len]);
            }
            front.append(back);
            assert_eq!(front, abc());
        }
    }

    #[test]
    fn pieces_come_out_in_order() {
        let mut payload = abc();
        let mut pieces = Vec::new();
        while let Some(piece) = payload.pop_front() {
            pieces.push(piece);
        }
        assert_eq!(pieces, [&b"abc"[..], b"defg", b"h"]);
        assert_eq!(payload.len(), 0);
        assert_eq!(payload.pop_back(), None);
    }

    #[test]
    fn pieces_come_out_from_the_back_too() {
        let mut payload = abc();
        assert_eq!(payload.pop_back().as_deref(), Some(&b"h"[..]));
        assert_eq!(payload.len(), 7);
        assert_eq!(payload.pop_back().as_deref(), Some(&b"defg"[..]));
        assert_eq!(payload.pop_back().as_deref(), Some(&b"abc"[..]));
        assert_eq!((payload.pop_back(), payload.len()), (None, 0));
    }
}
