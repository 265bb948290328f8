//! Which bytes wait to be read? [`ReceiveBuffer`]: in order, acknowledged, the application's.
//!
//! The bytes stay where the link put them, unless they are few: see `coalesce`. Segments out of order are in
//! `reassembly`; the window that follows from the room is in `receive_window`.

use crate::coalesce::{SMALL_BYTES, joined};
use crate::copy::copy;
use bytes::Bytes;
use ciao_wire::Payload;

/// Bytes for the application. Empty, it holds no memory but its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReceiveBuffer {
    bytes: Payload,
}

impl ReceiveBuffer {
    /// No bytes.
    pub(crate) const fn new() -> Self {
        Self { bytes: Payload::EMPTY }
    }

    /// Bytes that wait.
    #[expect(clippy::cast_possible_truncation, reason = "what is accepted fits the window, a u32")]
    pub(crate) fn len(&self) -> u32 {
        self.bytes.len() as u32
    }

    /// True when there is nothing to read.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends what arrived.
    #[inline]
    pub(crate) fn push(&mut self, payload: Payload) {
        if self.bytes.is_empty() && payload.as_single().is_some() {
            // It is most often read at once, so a small one stays as it is too.
            self.bytes = payload;
        } else {
            self.push_behind(payload);
        }
    }

    fn push_behind(&mut self, mut payload: Payload) {
        let is_large = |chunk: &Bytes| chunk.len() > SMALL_BYTES;
        // The whole of it at once where there is nothing to join.
        let is_alone = match self.bytes.last() {
            None => payload.chunks().skip(1).all(is_large),
            Some(last) => is_large(last) && payload.chunks().all(is_large),
        };
        if is_alone {
            self.bytes.append(payload);
            return;
        }
        while let Some(bytes) = payload.pop_front() {
            if is_large(&bytes) && self.bytes.last().is_some_and(is_large) {
                self.bytes.push(bytes);
                continue;
            }
            match self.bytes.pop_back() {
                Some(last) => {
                    let (last, more) = joined(last, bytes);
                    self.bytes.push(last);
                    self.bytes.push(more);
                }
                None => self.bytes.push(bytes),
            }
        }
    }

    /// Moves bytes from the front to `buffer`; answers how many.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        if let Some(only) = self.bytes.as_single()
            && only.len() <= buffer.len()
        {
            let count = only.len();
            copy(only, buffer);
            self.clear();
            return count;
        }
        let count = self.peek(buffer);
        self.bytes.advance(count);
        self.release_when_empty();
        count
    }

    /// Takes bytes from the front without copying: at most `max`, and at most what lies in one piece.
    pub(crate) fn read_bytes(&mut self, max: usize) -> Bytes {
        let len = self.bytes.chunks().next().map_or(0, Bytes::len).min(max);
        let bytes = self.bytes.slice(0, len).pop_front().unwrap_or_default();
        self.bytes.advance(len);
        self.release_when_empty();
        bytes
    }

    /// Copies bytes from the front and leaves them; answers how many.
    pub(crate) fn peek(&self, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        for chunk in self.bytes.chunks() {
            let take = chunk.len().min(buffer.len() - count);
            copy(&chunk[..take], &mut buffer[count..]);
            count += take;
            if count == buffer.len() {
                break;
            }
        }
        count
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.bytes = Payload::EMPTY;
    }

    fn release_when_empty(&mut self) {
        if self.bytes.is_empty() {
            self.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(Vec<usize>),
        Read(usize),
        ReadBytes(usize),
        Peek(usize),
        Clear,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let size = prop_oneof![1..10usize, 400..600usize, 1..3000usize];
        let step = prop_oneof![
            6 => proptest::collection::vec(size.clone(), 0..4).prop_map(Step::Push),
            2 => size.clone().prop_map(Step::Read),
            2 => size.clone().prop_map(Step::ReadBytes),
            2 => size.prop_map(Step::Peek),
            1 => Just(Step::Clear),
        ];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn it_behaves_like_one_queue_of_bytes(steps in steps()) {
            let mut buffer = ReceiveBuffer::new();
            let mut model: VecDeque<u8> = VecDeque::new();
            let mut next = 0u8;
            for step in steps {
                match step {
                    Step::Push(sizes) => {
                        let mut payload = Payload::EMPTY;
                        for len in sizes {
                            next = next.wrapping_mul(5).wrapping_add(1);
                            payload.push(Bytes::from(vec![next; len]));
                            model.extend(vec![next; len]);
                        }
                        buffer.push(payload);
                    }
                    Step::Read(len) => {
                        let mut out = vec![0; len];
                        let count = buffer.read(&mut out);
                        let expected: Vec<u8> = model.drain(..len.min(model.len())).collect();
                        prop_assert_eq!(&out[..count], expected);
                    }
                    Step::ReadBytes(max) => {
                        let bytes = buffer.read_bytes(max);
                        prop_assert!(bytes.len() <= max);
                        prop_assert_eq!(bytes.is_empty(), model.is_empty());
                        let expected: Vec<u8> = model.drain(..bytes.len()).collect();
                        prop_assert_eq!(&bytes[..], expected);
                    }
                    Step::Peek(len) => {
                        let mut out = vec![0; len];
                        let count = buffer.peek(&mut out);
                        prop_assert_eq!(count, len.min(model.len()));
                        prop_assert!(out[..count].iter().eq(model.iter().take(count)));
                    }
                    Step::Clear => {
                        buffer.clear();
                        model.clear();
                    }
                }
                prop_assert_eq!(buffer.len() as usize, model.len());
                prop_assert_eq!(buffer.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    fn a_flood_of_single_bytes_makes_few_pieces() {
        let mut buffer = ReceiveBuffer::new();
        for _ in 0..10_000 {
            buffer.push(Bytes::from_static(b"x").into());
        }
        assert_eq!(buffer.len(), 10_000);
        assert!(buffer.bytes.chunks().count() <= 10, "{} pieces", buffer.bytes.chunks().count());
    }

    #[test]
    fn whole_segments_are_read_without_a_copy() {
        let mut buffer = ReceiveBuffer::new();
        let segment = Bytes::from(vec![1; 1448]);
        buffer.push(segment.clone().into());
        buffer.push(segment.clone().into());
        assert_eq!(buffer.read_bytes(1000).as_ptr(), segment.as_ptr());
        assert_eq!(buffer.read_bytes(9000).len(), 448);
        assert_eq!(buffer.read_bytes(9000).as_ptr(), segment.as_ptr());
    }

    #[test]
    fn an_idle_buffer_is_small() {
        assert!(size_of::<ReceiveBuffer>() <= 80, "{} bytes", size_of::<ReceiveBuffer>());
    }
}
