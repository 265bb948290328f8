//! TCP options: MSS, window scale, SACK and timestamps (RFC 9293 §3.2, RFC 7323, RFC 2018).

use crate::SeqNum;

/// The timestamps option (RFC 7323 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval: the sender's clock, in its ticks.
    pub value: u32,
    /// TSecr: the peer's TSval echoed; counts only with the ACK bit.
    pub echo: u32,
}

/// One block of the SACK option: bytes from `start` up to, but without, `end` have arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlock {
    /// First number that has arrived.
    pub start: SeqNum,
    /// First number behind the block.
    pub end: SeqNum,
}

/// Up to four SACK blocks in the order they have on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    len: u8,
    blocks: [SackBlock; Self::CAPACITY],
}

impl SackBlocks {
    /// As many as 40 bytes of options hold (RFC 2018 §3).
    pub const CAPACITY: usize = 4;
    /// No blocks.
    pub const EMPTY: Self =
        Self { len: 0, blocks: [SackBlock { start: SeqNum(0), end: SeqNum(0) }; Self::CAPACITY] };

    /// Appends a block; one too many is left out.
    pub fn push(&mut self, block: SackBlock) {
        if let Some(slot) = self.blocks.get_mut(usize::from(self.len)) {
            *slot = block;
            self.len += 1;
        }
    }

    /// The blocks in order.
    #[must_use]
    pub fn as_slice(&self) -> &[SackBlock] {
        &self.blocks[..usize::from(self.len)]
    }

    /// True without any block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The options of a segment that mean something to us. Others are skipped and counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Maximum segment size, SYN segments alone (RFC 9293 §3.7.1).
    pub mss: Option<u16>,
    /// Window scale shift, as received: it may be above 14 (RFC 7323 §2.2).
    pub window_scale: Option<u8>,
    /// SACK permitted (RFC 2018 §2).
    pub sack_permitted: bool,
    /// Timestamps (RFC 7323 §3.2).
    pub timestamps: Option<Timestamps>,
    /// SACK blocks (RFC 2018 §3).
    pub sack: SackBlocks,
    /// How many options of unknown kinds were skipped; never sent.
    pub unknown: u8,
}
