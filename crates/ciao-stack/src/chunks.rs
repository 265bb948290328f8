//! Where are many small records kept, without the slack of a vector that doubles? In pieces that never move.
//!
//! Half-open connections and those in TIME-WAIT come by the hundred thousand when a host is attacked or busy;
//! a third of what a vector takes for them would be empty.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

/// Records of a piece: a few kilobytes, which is what one record costs a host that has no more.
const CHUNK_LEN: usize = 64;
/// No record.
const NIL: u32 = u32::MAX;

/// Records by number. A free place is given out again, the last one first.
#[derive(Clone, Debug)]
pub(crate) struct Chunks<T> {
    chunks: Vec<Vec<Place<T>>>,
    free: u32,
    len: usize,
}

/// A record, or the next free place.
#[derive(Clone, Debug)]
enum Place<T> {
    Used(T),
    Free(u32),
}

impl<T> Chunks<T> {
    pub(crate) const fn new() -> Self {
        Self { chunks: Vec::new(), free: NIL, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Keeps a record and answers its number.
    pub(crate) fn insert(&mut self, record: T) -> u32 {
        self.len += 1;
        if self.free != NIL {
            let index = self.free;
            let place = self.place_mut(index);
            let Place::Free(next) = core::mem::replace(place, Place::Used(record)) else {
                unreachable!("what the list of free places names is free")
            };
            self.free = next;
            return index;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK_LEN) {
            self.chunks.push(Vec::with_capacity(CHUNK_LEN));
        }
        let before = (self.chunks.len() - 1) * CHUNK_LEN;
        let chunk = self.chunks.last_mut().expect("one was just made if there was none");
        chunk.push(Place::Used(record));
        u32::try_from(before + chunk.len() - 1).expect("the host limits their number")
    }

    /// Drops a record. With the last one goes the memory of all but the first piece.
    ///
    /// # Panics
    /// When there is none.
    pub(crate) fn remove(&mut self, index: u32) {
        let free = Place::Free(self.free);
        let place = self.place_mut(index);
        assert!(matches!(place, Place::Used(_)), "record {index} is there");
        *place = free;
        self.free = index;
        self.len -= 1;
        if self.len == 0 {
            self.chunks.truncate(1);
            self.chunks[0].clear();
            self.free = NIL;
        }
    }

    /// All records with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.chunks.iter().flatten()).filter_map(|(index, place)| match place {
            Place::Used(record) => Some((index, record)),
            Place::Free(_) => None,
        })
    }

    fn place_mut(&mut self, index: u32) -> &mut Place<T> {
        &mut self.chunks[index as usize / CHUNK_LEN][index as usize % CHUNK_LEN]
    }
}

impl<T> Index<u32> for Chunks<T> {
    type Output = T;

    fn index(&self, index: u32) -> &T {
        match &self.chunks[index as usize / CHUNK_LEN][index as usize % CHUNK_LEN] {
            Place::Used(record) => record,
            Place::Free(_) => panic!("record {index} is there"),
        }
    }
}

impl<T> IndexMut<u32> for Chunks<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        match self.place_mut(index) {
            Place::Used(record) => record,
            Place::Free(_) => panic!("record {index} is there"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    #[test]
    fn it_behaves_like_a_map_with_numbers_of_its_own_choice() {
        let mut random = ChaCha8Rng::from_seed([3; 32]);
        let (mut chunks, mut map) = (Chunks::new(), BTreeMap::new());
        for step in 0..20_000_u32 {
            // First it grows, then it shrinks to nothing, and again.
            let grows = random.next_u32() % 100 < if step % 5000 < 2500 { 70 } else { 20 };
            if grows || map.is_empty() {
                assert_eq!(map.insert(chunks.insert(step), step), None);
            } else {
                let at = random.next_u32() as usize % map.len();
                let (&index, &record) = map.iter().nth(at).unwrap();
                assert_eq!(chunks[index], record);
                chunks.remove(index);
                map.remove(&index);
            }
            assert_eq!(chunks.len(), map.len());
        }
        assert!(chunks.iter().map(|(index, record)| (index, *record)).eq(map.clone()));
        for index in map.into_keys() {
            chunks[index] += 1;
            chunks.remove(index);
        }
        assert_eq!((chunks.len(), chunks.chunks.len(), chunks.chunks[0].len()), (0, 1, 0));
    }

    #[test]
    fn a_place_is_no_larger_than_its_record_when_that_has_a_spare_value() {
        assert_eq!(size_of::<Place<(u64, u32, bool)>>(), size_of::<(u64, u32, bool)>());
    }
}
