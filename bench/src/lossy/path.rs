//! What does the path do to which packets, and how much could then arrive at best?
//!
//! 100 Mbit/s, 25 ms each way, a queue of one bandwidth-delay product. Losses are by the number of the data
//! packet, retransmissions counted, so they do not depend on who sends. The way back is clean.

use ciao_sim::{Fate, LinkConfig, PacketKind, Rule};
use std::time::Duration;

/// Delay of each direction.
const DELAY: Duration = Duration::from_millis(25);
/// Of each direction.
pub const RATE_BITS_PER_S: u64 = 100_000_000;
/// Longest packet.
pub const MTU: u16 = 1500;
/// Payload of a full packet: MTU without 20 bytes of IPv4, 20 of TCP and 12 of timestamps.
pub const PAYLOAD_BYTES: u64 = 1448;
/// One bandwidth-delay product: 100 Mbit/s × 50 ms.
const QUEUE_BYTES: u64 = 625_000;

/// How late a reordered packet is: a little more than a quarter of the round trip, which RACK waits at
/// first (RFC 8985 §6.2), so that a sender has to learn.
const LATE: Duration = Duration::from_millis(15);
/// The first data packet of the burst: well behind slow start, 2.4 s into a transfer at full rate.
const BURST_FIRST: u64 = 20_000;
/// Packets lost in the burst.
const BURST_PACKETS: u64 = 200;
/// Last data packets that are lost when they are sent first.
const TAIL_PACKETS: u64 = 10;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// Nothing but the queue loses packets.
    Clean,
    /// One data packet in a thousand is lost.
    PerThousand,
    /// One in a hundred.
    OnePercent,
    /// Three in a hundred.
    ThreePercent,
    /// One in ten.
    TenPercent,
    /// One in five data packets arrives late.
    Reordered,
    /// 200 data packets in a row are lost.
    Burst,
    /// The last ten data packets are lost, as they are sent first.
    Tail,
}

impl Situation {
    /// All rows in order.
    pub const ALL: [Self; 8] = [
        Self::Clean,
        Self::PerThousand,
        Self::OnePercent,
        Self::ThreePercent,
        Self::TenPercent,
        Self::Reordered,
        Self::Burst,
        Self::Tail,
    ];

    /// What the table calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "no loss",
            Self::PerThousand => "0.1 % lost",
            Self::OnePercent => "1 % lost",
            Self::ThreePercent => "3 % lost",
            Self::TenPercent => "10 % lost",
            Self::Reordered => "20 % late by 15 ms",
            Self::Burst => "burst of 200 lost",
            Self::Tail => "last 10 lost",
        }
    }

    /// Whether chance has a part in it, so that rounds differ.
    #[must_use]
    pub const fn is_by_chance(self) -> bool {
        !matches!(self, Self::Clean | Self::Burst | Self::Tail)
    }

    const fn loss_ppm(self) -> u32 {
        match self {
            Self::PerThousand => 1_000,
            Self::OnePercent => 10_000,
            Self::ThreePercent => 30_000,
            Self::TenPercent => 100_000,
            Self::Clean | Self::Reordered | Self::Burst | Self::Tail => 0,
        }
    }

    /// The direction of the data, for a transfer of so many bytes.
    #[must_use]
    pub fn forward(self, bytes: u64) -> LinkConfig {
        let packets = bytes.div_ceil(PAYLOAD_BYTES);
        let drop = |kind, first, count| vec![Rule { kind, first, count, fate: Fate::Drop }];
        let rules = match self {
            Self::Burst => drop(PacketKind::Data, BURST_FIRST, BURST_PACKETS),
            Self::Tail => drop(PacketKind::NewData, packets.saturating_sub(TAIL_PACKETS) + 1, TAIL_PACKETS),
            _ => Vec::new(),
        };
        let reorder_ppm = if self == Self::Reordered { 200_000 } else { 0 };
        LinkConfig {
            chance: PacketKind::Data,
            loss_ppm: self.loss_ppm(),
            reorder_ppm,
            reorder_delay: LATE,
            rules,
            ..backward()
        }
    }

    /// Payload bits a second that arrive at best: the link is always full, and what it loses is sent again.
    #[must_use]
    pub fn ideal_bits_per_s(self) -> f64 {
        let delivered = 1.0 - f64::from(self.loss_ppm()) / 1e6;
        RATE_BITS_PER_S as f64 * PAYLOAD_BYTES as f64 / f64::from(MTU) * delivered
    }
}

/// The direction of the acknowledgments.
#[must_use]
pub fn backward() -> LinkConfig {
    LinkConfig {
        delay: DELAY,
        bandwidth_bits_per_s: Some(RATE_BITS_PER_S),
        queue_bytes: QUEUE_BYTES,
        ..LinkConfig::default()
    }
}
