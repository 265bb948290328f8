//! How much do the buffers of all connections hold together, and how much may they still take? Three limits,
//! as Linux' `tcp_mem`.
//!
//! Counted are the payload bytes that wait to be sent or acknowledged, to be read, or for what is missing
//! before them. A packet that holds more than a connection keeps of it can make the memory behind a byte up
//! to four times as much (`ciao_tcp`, `coalesce`). What a connection does at each level is decided in
//! `ciao_tcp::buffer_growth`.

use crate::config::MemoryLimits;
use ciao_tcp::MemoryLevel;

/// The account of a host.
#[derive(Debug)]
pub(crate) struct Memory {
    limits: MemoryLimits,
    bytes: u64,
    level: MemoryLevel,
}

impl Memory {
    pub(crate) fn new(limits: MemoryLimits) -> Self {
        Self { limits, bytes: 0, level: MemoryLevel::Plenty }
    }

    /// What the buffers hold.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What connections are to be told.
    pub(crate) fn level(&self) -> MemoryLevel {
        self.level
    }

    /// A connection that was charged with `charged` bytes holds `bytes` now.
    #[inline]
    pub(crate) fn charge(&mut self, charged: &mut u32, bytes: u32) {
        if *charged != bytes {
            self.bytes = self.bytes - u64::from(*charged) + u64::from(bytes);
            *charged = bytes;
            self.level = self.level_now();
        }
    }

    /// Between the two lower limits the level stays as it was, so that it does not change with every packet.
    fn level_now(&self) -> MemoryLevel {
        let MemoryLimits { low_bytes, pressure_bytes, high_bytes } = self.limits;
        if self.bytes < low_bytes {
            MemoryLevel::Plenty
        } else if self.bytes >= high_bytes {
            MemoryLevel::Exhausted
        } else if self.bytes >= pressure_bytes || self.level != MemoryLevel::Plenty {
            MemoryLevel::Scarce
        } else {
            MemoryLevel::Plenty
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MemoryLevel::{Exhausted, Plenty, Scarce};
    use alloc::vec::Vec;

    #[test]
    fn a_level_that_was_reached_lasts_until_the_lowest_limit_is_passed() {
        let limits = MemoryLimits { low_bytes: 10, pressure_bytes: 20, high_bytes: 30 };
        let mut memory = Memory::new(limits);
        let (mut one, mut other) = (0, 0);
        let mut levels = Vec::new();
        for bytes in [5, 19, 20, 15, 30, 29, 10, 9, 19] {
            memory.charge(&mut one, bytes);
            levels.push(memory.level());
        }
        assert_eq!(levels, [Plenty, Plenty, Scarce, Scarce, Exhausted, Scarce, Scarce, Plenty, Plenty]);
        memory.charge(&mut other, 11);
        assert_eq!((memory.bytes(), memory.level()), (30, Exhausted));
        memory.charge(&mut one, 0);
        memory.charge(&mut other, 0);
        assert_eq!((memory.bytes(), memory.level()), (0, Plenty));
    }
}
