//! Which bytes wait to be acknowledged, sent or not? [`SendBuffer`].
//!
//! What an application writes is copied once, into blocks, or not at all when it hands over [`Bytes`];
//! segments and retransmissions share it by reference count. Offsets count from the first byte that is not
//! acknowledged (SND.UNA). Which of the bytes were sent, and when, is in `sent`; how many are taken is the
//! caller's decision.

use crate::copy;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use bytes::{Buf, Bytes, BytesMut};
use ciao_wire::Payload;

/// Least size of a block for small writes: several fit, and an idle request does not cost a page.
const LEAST_BLOCK_BYTES: usize = 512;
/// Greatest size of a block. One block fills a super-segment, and stays in L2 until it is sent.
const GREATEST_BLOCK_BYTES: usize = 64 * 1024;
/// Handed-over pieces up to this size are copied: a piece of its own would cost more, and might pin a large
/// block.
const COPY_BYTES: usize = 256;

/// The bytes from SND.UNA on. Empty, it holds no memory but its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct SendBuffer {
    /// The oldest piece, in line, so that a single small write needs nothing else. Empty only when all is
    /// empty.
    first: Bytes,
    rest: Option<Box<Rest>>,
    len: u32,
    /// Position of the first byte in the stream; wraps.
    front: u32,
}

/// What lies behind the first piece.
#[derive(Clone, Debug, Default)]
struct Rest {
    chunks: VecDeque<Chunk>,
    /// The block that is being filled: bytes behind all chunks.
    tail: BytesMut,
}

#[derive(Clone, Debug)]
struct Chunk {
    /// Position of its first byte in the stream; wraps.
    position: u32,
    bytes: Bytes,
}

/// Up to this size a copy lies beside its reference count, in one allocation.
const SHORT_BYTES: usize = 64;

/// A short copy.
struct Short {
    len: u8,
    bytes: [u8; SHORT_BYTES],
}

impl AsRef<[u8]> for Short {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// A copy of `data`. A short one, as of an echo or a small request, is made in one allocation: in the usual
/// way the first segment that shares it makes a second one.
fn copy_of(data: &[u8]) -> Bytes {
    match u8::try_from(data.len()) {
        Ok(len) if data.len() <= SHORT_BYTES => {
            let mut bytes = [0; SHORT_BYTES];
            bytes[..data.len()].copy_from_slice(data);
            Bytes::from_owner(Short { len, bytes })
        }
        _ => {
            let mut bytes = BytesMut::with_capacity(data.len());
            copy::append(data, &mut bytes);
            bytes.freeze()
        }
    }
}

impl SendBuffer {
    /// No bytes.
    pub(crate) const fn new() -> Self {
        Self { first: Bytes::new(), rest: None, len: 0, front: 0 }
    }

    /// Bytes that are not acknowledged.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// True when all is acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a copy of `data`.
    pub(crate) fn push_slice(&mut self, data: &[u8]) {
        if data.is_empty() {
        } else if self.is_empty() {
            // Most requests and responses are one write: one exact allocation, and no block to fill.
            let (head, more) = data.split_at(data.len().min(GREATEST_BLOCK_BYTES));
            self.append_chunk(copy_of(head));
            self.fill_blocks(more);
        } else {
            self.fill_blocks(data);
        }
    }

    /// Appends `bytes` without copying, unless they are few.
    pub(crate) fn push_bytes(&mut self, bytes: Bytes) {
        if bytes.len() <= COPY_BYTES {
            self.push_slice(&bytes);
        } else {
            self.freeze_tail();
            self.append_chunk(bytes);
        }
    }

    /// Drops `count` bytes from the front.
    ///
    /// # Panics
    /// When there are fewer: the peer's acknowledgment was not checked.
    pub(crate) fn acknowledge(&mut self, count: u32) {
        assert!(count <= self.len, "{count} of {} bytes acknowledged", self.len);
        if count == self.len {
            self.first = Bytes::new();
            self.rest = None;
            self.len = 0;
            self.front = self.front.wrapping_add(count);
            return;
        }
        self.len -= count;
        self.front = self.front.wrapping_add(count);
        let mut left = count as usize;
        while left >= self.first.len() {
            left -= self.first.len();
            self.first = self.pop_behind_first();
        }
        self.first.advance(left);
    }

    /// The `len` bytes that begin `offset` behind the first unacknowledged one, by reference.
    ///
    /// # Panics
    /// When the range reaches beyond the end.
    #[inline]
    pub(crate) fn slice(&mut self, offset: u32, len: u32) -> Payload {
        if offset == 0 && len as usize == self.first.len() {
            // All of a single small write.
            return Payload::from(self.first.clone());
        }
        self.slice_pieces(offset, len)
    }

    fn slice_pieces(&mut self, offset: u32, len: u32) -> Payload {
        assert!(offset + len <= self.len, "{offset} + {len} is beyond {} bytes", self.len);
        let (mut skip, mut left) = (offset as usize, len as usize);
        let mut out = Payload::EMPTY;
        if left == 0 {
            return out;
        }
        if skip < self.first.len() {
            let take = left.min(self.first.len() - skip);
            out.push(self.first.slice(skip..skip + take));
            left -= take;
            skip += take;
        }
        if left == 0 {
            return out;
        }
        if self.tail_start() < (offset + len) as usize {
            self.freeze_tail();
        }
        let front = self.front;
        let start_of = |chunk: &Chunk| chunk.position.wrapping_sub(front) as usize;
        let chunks = &self.rest.as_deref().expect("the range reaches behind the first piece").chunks;
        let after = chunks.partition_point(|chunk| start_of(chunk) <= skip);
        for chunk in chunks.range(after - 1..) {
            let start = skip - start_of(chunk);
            let take = left.min(chunk.bytes.len() - start);
            out.push(chunk.bytes.slice(start..start + take));
            left -= take;
            skip += take;
            if left == 0 {
                break;
            }
        }
        out
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }

    /// Copies `data` behind what is there, first into what is left of the last block.
    fn fill_blocks(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let buffered = self.len as usize;
            let tail = &mut self.rest.get_or_insert_default().tail;
            if tail.capacity() == tail.len() {
                self.freeze_tail();
                // As much again as there is: blocks double, and what is unused stays below what is used.
                let size = data.len().max(buffered).clamp(LEAST_BLOCK_BYTES, GREATEST_BLOCK_BYTES);
                self.rest.get_or_insert_default().tail = BytesMut::with_capacity(size);
                continue;
            }
            let (now, later) = data.split_at(data.len().min(tail.capacity() - tail.len()));
            copy::append(now, tail);
            self.len += piece_len(now.len());
            data = later;
        }
    }

    /// Where the unfrozen tail begins, in bytes from the front.
    fn tail_start(&self) -> usize {
        self.len as usize - self.rest.as_ref().map_or(0, |rest| rest.tail.len())
    }

    /// Turns what the tail holds into a chunk; the unused end of its block stays the tail.
    fn freeze_tail(&mut self) {
        let position = self.front.wrapping_add(piece_len(self.tail_start()));
        if let Some(rest) = &mut self.rest
            && !rest.tail.is_empty()
        {
            let bytes = rest.tail.split().freeze();
            rest.chunks.push_back(Chunk { position, bytes });
        }
    }

    /// Appends a piece; the tail must be frozen.
    fn append_chunk(&mut self, bytes: Bytes) {
        let position = self.front.wrapping_add(self.len);
        self.len += piece_len(bytes.len());
        if self.first.is_empty() {
            self.first = bytes;
        } else {
            self.rest.get_or_insert_default().chunks.push_back(Chunk { position, bytes });
        }
    }

    /// Takes out what follows the first piece.
    fn pop_behind_first(&mut self) -> Bytes {
        let rest = self.rest.as_deref_mut().expect("more bytes than the first piece has");
        match rest.chunks.pop_front() {
            Some(chunk) => chunk.bytes,
            None => rest.tail.split().freeze(),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the buffer's limit is a u32 and the caller keeps to it")]
fn piece_len(len: usize) -> u32 {
    len as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        PushSlice(usize),
        PushBytes(usize),
        Acknowledge(u32),
        Slice(u32, u32),
        Clear,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let size = prop_oneof![0..10usize, 200..300usize, 0..2000usize, 60_000..140_000usize];
        let step = prop_oneof![
            6 => size.clone().prop_map(Step::PushSlice),
            3 => size.prop_map(Step::PushBytes),
            4 => any::<u32>().prop_map(Step::Acknowledge),
            8 => any::<(u32, u32)>().prop_map(|(offset, len)| Step::Slice(offset, len)),
            1 => Just(Step::Clear),
        ];
        proptest::collection::vec(step, 0..40)
    }

    proptest! {
        #[test]
        fn it_behaves_like_one_vector_of_bytes(steps in steps()) {
            let mut buffer = SendBuffer::new();
            let mut model: Vec<u8> = Vec::new();
            let mut next = 0u8;
            let mut data = |len: usize| -> Vec<u8> {
                (0..len).map(|_| { next = next.wrapping_mul(5).wrapping_add(1); next }).collect()
            };
            for step in steps {
                match step {
                    Step::PushSlice(len) => {
                        let data = data(len);
                        buffer.push_slice(&data);
                        model.extend(&data);
                    }
                    Step::PushBytes(len) => {
                        let data = data(len);
                        model.extend(&data);
                        buffer.push_bytes(Bytes::from(data));
                    }
                    Step::Acknowledge(count) => {
                        let count = count % (buffer.len() + 1);
                        buffer.acknowledge(count);
                        model.drain(..count as usize);
                    }
                    Step::Slice(offset, len) => {
                        let offset = offset % (buffer.len() + 1);
                        let len = len % (buffer.len() - offset + 1);
                        let slice = buffer.slice(offset, len);
                        prop_assert_eq!(slice.to_vec(), &model[offset as usize..(offset + len) as usize]);
                    }
                    Step::Clear => {
                        buffer.clear();
                        model.clear();
                    }
                }
                prop_assert_eq!(buffer.len() as usize, model.len());
                prop_assert_eq!(buffer.is_empty(), model.is_empty());
                prop_assert_eq!(buffer.first.is_empty(), model.is_empty());
                prop_assert!(!model.is_empty() || buffer.rest.is_none());
            }
            let len = buffer.len();
            prop_assert_eq!(buffer.slice(0, len).to_vec(), model);
        }
    }

    #[test]
    fn handed_over_bytes_are_not_copied_on_their_way_through() {
        let mut buffer = SendBuffer::new();
        buffer.push_slice(b"head");
        let body = Bytes::from(vec![7u8; 10_000]);
        buffer.push_bytes(body.clone());
        let slice = buffer.slice(0, 5_000);
        let pieces: Vec<_> = slice.chunks().collect();
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[1].as_ptr(), body.as_ptr());
    }

    #[test]
    fn small_writes_share_a_block() {
        let mut buffer = SendBuffer::new();
        for _ in 0..1000 {
            buffer.push_slice(&[1; 100]);
        }
        let slice = buffer.slice(0, buffer.len());
        assert!(slice.chunks().count() <= 10, "{} pieces", slice.chunks().count());
    }

    #[test]
    fn an_idle_buffer_is_small() {
        assert!(size_of::<SendBuffer>() <= 48, "{} bytes", size_of::<SendBuffer>());
    }

    #[test]
    fn positions_may_wrap() {
        let mut buffer = SendBuffer { front: u32::MAX - 700, ..SendBuffer::new() };
        for value in 0..4 {
            buffer.push_bytes(Bytes::from(vec![value; 300]));
        }
        assert_eq!(buffer.slice(500, 500).to_vec(), [vec![1; 100], vec![2; 300], vec![3; 100]].concat());
        buffer.acknowledge(800);
        assert_eq!(buffer.slice(0, 400).to_vec(), [vec![2; 100], vec![3; 300]].concat());
    }
}
