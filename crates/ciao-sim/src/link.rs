//! What does a link do to a packet? Delay, rate, a queue that overflows, and faults by chance or by rule.

use crate::random::Random;
use crate::script::{Fate, PacketKind, Rule, Script};
use bytes::Bytes;
use ciao_wire::{Instant, Packet};
use std::time::Duration;

const NANOS_PER_SEC: u128 = 1_000_000_000;

/// One direction of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// From the end of sending to the end of arriving. 10 ms.
    pub delay: Duration,
    /// Bits a second, IP headers included; none for "as fast as one likes". None.
    pub bandwidth_bits_per_s: Option<u64>,
    /// Bytes that may wait to be sent, what is left of the packet being sent included; what does not fit is
    /// dropped. An idle link takes any packet. Counts only with a bandwidth. 256 KiB: 200 ms at 10 Mbit/s.
    pub queue_bytes: u64,
    /// Longest packet. 1500.
    pub mtu: usize,
    /// What happens to longer ones. They are dropped without a word.
    pub too_long: TooLong,
    /// Up to so much is added to the delay of each packet, by chance; none overtakes another by it. 0.
    pub jitter: Duration,
    /// The packets that chance may harm. The n-th of them has the same fate in every run of a seed, whatever
    /// else is sent. [`PacketKind::Any`].
    pub chance: PacketKind,
    /// Packets in a million that are lost. 0.
    pub loss_ppm: u32,
    /// Packets in a million with which a burst of losses begins (Gilbert's model of a channel). 0.
    pub burst_ppm: u32,
    /// Mean number of packets in a burst, 1 or more. 10.
    pub burst_packets: u32,
    /// Packets in a million that arrive [`LinkConfig::reorder_delay`] late. 0.
    pub reorder_ppm: u32,
    /// How late. 15 ms.
    pub reorder_delay: Duration,
    /// Packets in a million that arrive twice. 0.
    pub duplicate_ppm: u32,
    /// How much later the copy arrives. 1 ms.
    pub duplicate_delay: Duration,
    /// Packets in a million in which one bit is flipped. 0.
    pub corrupt_ppm: u32,
    /// Packets whose fate is decided here and not by chance.
    pub rules: Vec<Rule>,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            bandwidth_bits_per_s: None,
            queue_bytes: 256 * 1024,
            mtu: 1500,
            too_long: TooLong::Dropped,
            jitter: Duration::ZERO,
            chance: PacketKind::Any,
            loss_ppm: 0,
            burst_ppm: 0,
            burst_packets: 10,
            reorder_ppm: 0,
            reorder_delay: Duration::from_millis(15),
            duplicate_ppm: 0,
            duplicate_delay: Duration::from_millis(1),
            corrupt_ppm: 0,
            rules: Vec::new(),
        }
    }
}

/// What happens to a packet that is longer than the link takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLong {
    /// It is dropped without a word: a black hole.
    Dropped,
    /// It is dropped, and its sender told by ICMP how long it may be.
    Explained,
}

/// What chance did to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Harm {
    /// It was lost.
    Lost,
    /// It was late.
    Late,
    /// It arrived twice.
    Doubled,
    /// It arrived with a bit flipped, and nothing else happened to it.
    Corrupted,
}

/// What became of the packets of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Handed to the link.
    pub offered: u64,
    /// Longer than the MTU.
    pub too_long: u64,
    /// Dropped because the queue was full.
    pub overflowed: u64,
    /// Lost, by chance or by rule.
    pub lost: u64,
    /// Late, by chance or by rule.
    pub late: u64,
    /// Arrived twice, by chance or by rule.
    pub duplicated: u64,
    /// With a bit flipped.
    pub corrupted: u64,
}

/// One direction at work.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    config: LinkConfig,
    script: Script,
    /// When the last packet taken has left the sender.
    free_at: Instant,
    /// When the last packet arrives that is not late.
    last_arrival: Instant,
    burst_state: Burst,
    /// One stream a fault, so that switching one on leaves the others where they were.
    jitter: Random,
    loss: Random,
    burst: Random,
    reorder: Random,
    duplicate: Random,
    corrupt: Random,
    corrupt_bit: Random,
    pub(crate) counts: LinkCounts,
    /// The packets that chance has harmed, by their number among those offered, from 1.
    pub(crate) harmed: Vec<(u64, Harm)>,
}

/// Whether everything is being lost just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Burst {
    Off,
    On,
}

impl Link {
    pub(crate) fn new(config: LinkConfig, seed: u64, name: &str) -> Self {
        let stream = |fault: &str| Random::named(seed, &format!("{name} {fault}"));
        Self {
            script: Script::new(&config.rules),
            config,
            free_at: Instant::ZERO,
            last_arrival: Instant::ZERO,
            burst_state: Burst::Off,
            jitter: stream("jitter"),
            loss: stream("loss"),
            burst: stream("burst"),
            reorder: stream("reorder"),
            duplicate: stream("duplicate"),
            corrupt: stream("corrupt"),
            corrupt_bit: stream("corrupt bit"),
            counts: LinkCounts::default(),
            harmed: Vec::new(),
        }
    }

    /// From now on the link is like this; packets under way are not touched. Rules count from here.
    pub(crate) fn configure(&mut self, config: LinkConfig) {
        self.script = Script::new(&config.rules);
        self.config = config;
    }

    pub(crate) fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// Takes a packet and calls `arrive` for each copy of it that will arrive.
    pub(crate) fn transmit(&mut self, now: Instant, packet: Packet, mut arrive: impl FnMut(Instant, Packet)) {
        self.counts.offered += 1;
        let rule = self.script.fate(&packet);
        let by_chance = if self.config.chance.fits(&packet) { self.chance() } else { Chance::HARMLESS };
        let fate = rule.unwrap_or(by_chance.fate);
        let corrupted = by_chance.corrupted && rule.is_none();
        if let Some(harm) = by_chance.harm().filter(|_| rule.is_none()) {
            self.harmed.push((self.counts.offered, harm));
        }
        if packet.len() > self.config.mtu {
            self.counts.too_long += 1;
            return;
        }
        let Some(departure) = self.enqueue(now, packet.len()) else {
            self.counts.overflowed += 1;
            return;
        };
        let packet = if corrupted { self.flip_a_bit(&packet) } else { packet };
        let at = self.arrival(departure);
        match fate {
            Fate::Deliver => arrive(at, packet),
            Fate::Drop => self.counts.lost += 1,
            Fate::Delay { by } => {
                self.counts.late += 1;
                arrive(at + by, packet);
            }
            Fate::Duplicate { after } => {
                self.counts.duplicated += 1;
                arrive(at, packet.clone());
                arrive(at + after, packet);
            }
        }
    }

    /// What chance does to a packet. All streams are drawn from for every packet that chance may harm.
    fn chance(&mut self) -> Chance {
        let lost = self.loss.chance(self.config.loss_ppm) | self.in_burst();
        let late = self.reorder.chance(self.config.reorder_ppm);
        let doubled = self.duplicate.chance(self.config.duplicate_ppm);
        let corrupted = self.corrupt.chance(self.config.corrupt_ppm);
        let fate = if lost {
            Fate::Drop
        } else if late {
            Fate::Delay { by: self.config.reorder_delay }
        } else if doubled {
            Fate::Duplicate { after: self.config.duplicate_delay }
        } else {
            Fate::Deliver
        };
        Chance { fate, corrupted }
    }

    /// Whether a burst of losses takes this packet; it may begin with it, and end behind it.
    fn in_burst(&mut self) -> bool {
        let ppm = match self.burst_state {
            Burst::Off => self.config.burst_ppm,
            Burst::On => 1_000_000 - 1_000_000 / self.config.burst_packets.max(1),
        };
        let goes_on = self.burst.chance(ppm);
        self.burst_state = if goes_on { Burst::On } else { Burst::Off };
        goes_on
    }

    /// When a packet that left at `departure` arrives, if it is not late.
    fn arrival(&mut self, departure: Instant) -> Instant {
        let jitter_nanos = u64::try_from(self.config.jitter.as_nanos()).unwrap_or(u64::MAX);
        let jitter = Duration::from_nanos(self.jitter.within(0..=jitter_nanos));
        let at = departure + self.config.delay + jitter;
        if jitter_nanos > 0 {
            self.last_arrival = self.last_arrival.max(at);
            return self.last_arrival;
        }
        at
    }

    /// When the last bit of a packet has left, or nothing when the queue has no room for it.
    fn enqueue(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(rate_bits_per_s) = self.config.bandwidth_bits_per_s else {
            // The order of sending holds even when a bandwidth was just taken away.
            self.free_at = self.free_at.max(now);
            return Some(self.free_at);
        };
        let waiting_nanos = self.free_at.since(now).as_nanos();
        let waiting_bytes = waiting_nanos * u128::from(rate_bits_per_s) / (8 * NANOS_PER_SEC);
        if waiting_nanos > 0 && waiting_bytes + len as u128 > u128::from(self.config.queue_bytes) {
            return None;
        }
        let sending_nanos = (len as u128 * 8 * NANOS_PER_SEC).div_ceil(u128::from(rate_bits_per_s.max(1)));
        let sending = Duration::from_nanos(u64::try_from(sending_nanos).unwrap_or(u64::MAX));
        self.free_at = self.free_at.max(now) + sending;
        Some(self.free_at)
    }

    fn flip_a_bit(&mut self, packet: &Packet) -> Packet {
        let mut bytes = packet.to_vec();
        let bits = bytes.len() as u64 * 8;
        if bits > 0 {
            self.counts.corrupted += 1;
            let bit = self.corrupt_bit.within(0..=bits - 1);
            bytes[usize::try_from(bit / 8).expect("within the packet")] ^= 1 << (bit % 8);
        }
        Packet { id: packet.id, segment_size: packet.segment_size, ..Packet::from_bytes(Bytes::from(bytes)) }
    }
}

/// What chance does to a packet.
struct Chance {
    fate: Fate,
    corrupted: bool,
}

impl Chance {
    const HARMLESS: Self = Self { fate: Fate::Deliver, corrupted: false };

    fn harm(&self) -> Option<Harm> {
        match self.fate {
            Fate::Drop => Some(Harm::Lost),
            Fate::Delay { .. } => Some(Harm::Late),
            Fate::Duplicate { .. } => Some(Harm::Doubled),
            Fate::Deliver => self.corrupted.then_some(Harm::Corrupted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(config: LinkConfig, sent: &[(u64, usize)]) -> (Vec<(u64, usize)>, LinkCounts) {
        let mut link = Link::new(config, 1, "test");
        let mut arrived = Vec::new();
        for &(at_micros, len) in sent {
            let packet = Packet::from_bytes(Bytes::from(vec![0; len]));
            link.transmit(Instant::from_micros(at_micros), packet, |at, packet| {
                arrived.push((at.as_micros(), packet.len()));
            });
        }
        (arrived, link.counts)
    }

    fn with_rate(queue_bytes: u64) -> LinkConfig {
        // A byte a microsecond.
        let bandwidth_bits_per_s = Some(8_000_000);
        LinkConfig {
            delay: Duration::from_millis(1),
            bandwidth_bits_per_s,
            queue_bytes,
            ..LinkConfig::default()
        }
    }

    #[test]
    fn packets_leave_one_after_the_other_at_the_rate_of_the_link() {
        let (arrived, _) = arrivals(with_rate(10_000), &[(0, 100), (0, 200), (50, 50), (5_000, 10)]);
        assert_eq!(arrived, [(1_100, 100), (1_300, 200), (1_350, 50), (6_010, 10)]);
    }

    #[test]
    fn a_full_queue_drops_the_newest() {
        let sent = [(0, 1_000), (0, 500), (0, 600), (700, 600)];
        let (arrived, counts) = arrivals(with_rate(2_000), &sent);
        assert_eq!(arrived, [(2_000, 1_000), (2_500, 500), (3_100, 600)]);
        assert_eq!(counts.overflowed, 1);
    }

    #[test]
    fn a_packet_longer_than_the_mtu_is_dropped() {
        let (arrived, counts) = arrivals(LinkConfig::default(), &[(0, 1500), (0, 1501)]);
        assert_eq!(arrived, [(10_000, 1500)]);
        assert_eq!(counts.too_long, 1);
    }

    #[test]
    fn chance_keeps_its_frequency() {
        let config = LinkConfig { loss_ppm: 200_000, duplicate_ppm: 100_000, ..LinkConfig::default() };
        let (_, counts) = arrivals(config, &[(0, 10); 10_000]);
        assert!((1_850..2_150).contains(&counts.lost), "{counts:?}");
        assert!((700..900).contains(&counts.duplicated), "{counts:?}");
    }

    #[test]
    fn switching_a_fault_on_does_not_move_another() {
        let lossy = LinkConfig { loss_ppm: 100_000, ..LinkConfig::default() };
        let both = LinkConfig { reorder_ppm: 500_000, ..lossy.clone() };
        let (_, one) = arrivals(lossy, &[(0, 10); 1_000]);
        let (_, two) = arrivals(both, &[(0, 10); 1_000]);
        assert_eq!(one.lost, two.lost);
        assert!(two.late > 300);
    }

    #[test]
    fn jitter_delays_by_chance_and_keeps_the_order() {
        let jitter = Duration::from_millis(5);
        let config = LinkConfig { jitter, ..LinkConfig::default() };
        let sent: Vec<_> = (1..200).map(|number| (number * 1_000, 10)).collect();
        let (arrived, _) = arrivals(config, &sent);
        assert!(arrived.is_sorted());
        let delays: Vec<_> = arrived.iter().zip(sent).map(|((at, _), (sent, _))| at - sent).collect();
        assert!(delays.iter().all(|delay| (10_000..=15_000).contains(delay)), "{delays:?}");
        assert!(delays.iter().any(|delay| *delay < 12_000) && delays.iter().any(|delay| *delay > 14_000));
    }

    #[test]
    fn bursts_have_their_mean_length() {
        let config = LinkConfig { burst_ppm: 10_000, burst_packets: 20, ..LinkConfig::default() };
        let sent: Vec<_> = (0..100_000).map(|at| (at, 10)).collect();
        let (arrived, counts) = arrivals(config, &sent);
        let bursts = arrived.windows(2).filter(|pair| pair[1].0 > pair[0].0 + 1).count() as u64;
        assert!((700..1_000).contains(&bursts), "{bursts} bursts");
        assert!((17..=23).contains(&(counts.lost / bursts)), "{} lost in {bursts}", counts.lost);
    }

    #[test]
    fn chance_counts_only_the_packets_that_it_may_harm() {
        let config = LinkConfig { loss_ppm: 1_000_000, chance: PacketKind::Data, ..LinkConfig::default() };
        let (arrived, counts) = arrivals(config, &[(0, 10), (1, 10)]);
        assert_eq!((arrived.len(), counts.lost), (2, 0), "these are no TCP");
    }

    #[test]
    fn rules_pick_by_number() {
        let rule = |first, count, fate| Rule { kind: PacketKind::Any, first, count, fate };
        let by = Duration::from_millis(5);
        let rules = vec![
            rule(2, 1, Fate::Drop),
            rule(3, 1, Fate::Delay { by }),
            rule(4, 2, Fate::Duplicate { after: by }),
        ];
        let config = LinkConfig { delay: Duration::ZERO, rules, ..LinkConfig::default() };
        let (arrived, _) = arrivals(config, &[(0, 1), (0, 2), (0, 3), (0, 4), (0, 5)]);
        assert_eq!(arrived, [(0, 1), (5_000, 3), (0, 4), (5_000, 4), (0, 5), (5_000, 5)]);
    }

    #[test]
    fn corruption_flips_one_bit() {
        let mut link = Link::new(LinkConfig { corrupt_ppm: 1_000_000, ..LinkConfig::default() }, 1, "test");
        let packet = Packet::from_bytes(Bytes::from(vec![0; 100]));
        link.transmit(Instant::ZERO, packet, |_, packet| {
            let ones: u32 = packet.to_vec().iter().map(|byte| byte.count_ones()).sum();
            assert_eq!(ones, 1);
        });
        assert_eq!(link.counts.corrupted, 1);
    }
}
