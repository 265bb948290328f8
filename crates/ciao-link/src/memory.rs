//! How do two hosts in one process exchange packets? Through two bounded queues, one for each direction.
//!
//! A packet is moved, never copied: the bytes of the sender's write are the bytes of the receiver's read.
//! The link can be told to be as poor as Ethernet (MTU 1500, whole checksums) or as good as a device with
//! segmentation offload.
//!
//! Not here: delay, loss, reordering and bandwidth (`ciao-sim`). The queues are behind a lock, so that the
//! two ends may live in different threads; it is held for one push or one pop.

use crate::{Capabilities, ChecksumOffload, Link, Segmentation, Transmission};
use ciao_wire::{Checksum, Packet};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// What a memory link is to be like.
#[derive(Clone, Copy, Debug)]
pub struct MemoryConfig {
    /// What both ends say of themselves, and hold packets to.
    pub capabilities: Capabilities,
    /// Packets that wait in one direction before the sender is told that the link is busy.
    pub queue_packets: usize,
}

impl MemoryConfig {
    /// Packets in one direction: a window of 6 MB in segments of 1,460 bytes fits.
    const QUEUE_PACKETS: usize = 4096;

    /// Like Ethernet without offload: packets of up to 1,500 bytes, whole checksums.
    pub const ETHERNET: Self = Self {
        capabilities: Capabilities {
            mtu: 1500,
            segmentation: Segmentation::ByHost,
            checksum: ChecksumOffload::ByHost,
        },
        queue_packets: Self::QUEUE_PACKETS,
    };

    /// Like a device with segmentation and checksum offload behind an MTU of 1,500 bytes.
    pub const OFFLOAD: Self = Self {
        capabilities: Capabilities {
            mtu: 1500,
            segmentation: Segmentation::ByLink,
            checksum: ChecksumOffload::ByLink,
        },
        queue_packets: Self::QUEUE_PACKETS,
    };
}

/// One direction of the link.
#[derive(Debug, Default)]
struct Direction {
    packets: VecDeque<Packet>,
    /// The receiver, to be told of the next packet.
    receiver: Option<Waker>,
    /// The sender, to be told that there is room again.
    sender: Option<Waker>,
    /// One of the two ends is gone.
    closed: bool,
}

type Shared = Arc<Mutex<Direction>>;

/// One end of a memory link.
#[derive(Debug)]
pub struct MemoryEnd {
    config: MemoryConfig,
    incoming: Shared,
    outgoing: Shared,
}

/// Makes a link and gives its two ends.
#[must_use]
pub fn memory_pair(config: MemoryConfig) -> (MemoryEnd, MemoryEnd) {
    let one = Shared::default();
    let other = Shared::default();
    let first = MemoryEnd { config, incoming: Arc::clone(&one), outgoing: Arc::clone(&other) };
    (first, MemoryEnd { config, incoming: other, outgoing: one })
}

/// A queue stays whole whatever its last holder did, so a poisoned lock is not a reason to stop.
fn lock(direction: &Mutex<Direction>) -> MutexGuard<'_, Direction> {
    direction.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryEnd {
    /// Wakes `waker` once, when the next packet arrives or the other end goes. Ask [`Link::receive`] again
    /// afterwards: what arrived before this call does not wake.
    pub fn wake_on_receive(&self, waker: &Waker) {
        lock(&self.incoming).receiver = Some(waker.clone());
    }

    /// Wakes `waker` once, when there is room in the queue to the other end again.
    pub fn wake_on_room(&self, waker: &Waker) {
        lock(&self.outgoing).sender = Some(waker.clone());
    }

    fn check_size(&self, packet: &Packet) -> io::Result<()> {
        let capabilities = self.config.capabilities;
        let cut_by_link = capabilities.segmentation == Segmentation::ByLink && packet.segment_size > 0;
        let limit = if cut_by_link { usize::from(u16::MAX) } else { usize::from(capabilities.mtu) };
        if packet.len() <= limit {
            return Ok(());
        }
        let what = format!("a packet of {} bytes is above the link's limit of {limit}", packet.len());
        Err(io::Error::new(io::ErrorKind::InvalidInput, what))
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the other end of the memory link is gone")
}

impl Link for MemoryEnd {
    fn capabilities(&self) -> Capabilities {
        self.config.capabilities
    }

    fn receive(&mut self) -> io::Result<Option<Packet>> {
        let mut incoming = lock(&self.incoming);
        let Some(packet) = incoming.packets.pop_front() else {
            return if incoming.closed { Err(gone()) } else { Ok(None) };
        };
        let sender = incoming.sender.take();
        drop(incoming);
        if let Some(waker) = sender {
            waker.wake();
        }
        Ok(Some(packet))
    }

    fn transmit(&mut self, mut packet: Packet) -> io::Result<Transmission> {
        self.check_size(&packet)?;
        let mut outgoing = lock(&self.outgoing);
        if outgoing.closed {
            return Err(gone());
        }
        if outgoing.packets.len() >= self.config.queue_packets {
            return Ok(Transmission::Busy(packet));
        }
        // A partial checksum says that nobody has summed these bytes yet; in memory nothing can happen to
        // them.
        if matches!(packet.checksum, Checksum::Partial { .. }) {
            packet.checksum = Checksum::Valid;
        }
        outgoing.packets.push_back(packet);
        let receiver = outgoing.receiver.take();
        drop(outgoing);
        if let Some(waker) = receiver {
            waker.wake();
        }
        Ok(Transmission::Sent)
    }
}

impl Drop for MemoryEnd {
    /// What is queued can still be received; after it the other end learns that nobody is there.
    fn drop(&mut self) {
        for direction in [&self.incoming, &self.outgoing] {
            let mut direction = lock(direction);
            direction.closed = true;
            let wakers = [direction.receiver.take(), direction.sender.take()];
            drop(direction);
            wakers.into_iter().flatten().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    fn packet(bytes: &'static [u8]) -> Packet {
        Packet::from_bytes(Bytes::from_static(bytes))
    }

    fn sent(outcome: &io::Result<Transmission>) -> bool {
        matches!(outcome, Ok(Transmission::Sent))
    }

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn packets_arrive_in_order_without_being_copied() {
        let (mut one, mut other) = memory_pair(MemoryConfig::ETHERNET);
        let bytes = Bytes::from(vec![7; 1400]);
        assert!(sent(&one.transmit(Packet::from_bytes(bytes.clone()))));
        assert!(sent(&one.transmit(packet(b"second"))));
        let first = other.receive().unwrap().unwrap();
        assert_eq!(first.payload.chunks().next().unwrap().as_ptr(), bytes.as_ptr());
        assert_eq!(other.receive().unwrap().unwrap().to_vec(), b"second");
        assert!(other.receive().unwrap().is_none());
        assert!(one.receive().unwrap().is_none());
    }

    #[test]
    fn a_full_queue_gives_the_packet_back_and_takes_it_later() {
        let config = MemoryConfig { queue_packets: 1, ..MemoryConfig::ETHERNET };
        let (mut one, mut other) = memory_pair(config);
        assert!(sent(&one.transmit(packet(b"a"))));
        let Ok(Transmission::Busy(back)) = one.transmit(packet(b"b")) else { panic!("there was room") };
        assert_eq!(back.to_vec(), b"b");
        let count = Arc::new(Count::default());
        one.wake_on_room(&Waker::from(Arc::clone(&count)));
        assert_eq!(other.receive().unwrap().unwrap().to_vec(), b"a");
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(sent(&one.transmit(back)));
        assert_eq!(other.receive().unwrap().unwrap().to_vec(), b"b");
    }

    #[test]
    fn only_a_link_with_segmentation_takes_more_than_the_mtu() {
        let mut large = Packet::from_bytes(Bytes::from(vec![0; 60_000]));
        large.segment_size = 1460;
        let (mut plain, _plain_peer) = memory_pair(MemoryConfig::ETHERNET);
        let error = plain.transmit(large.clone()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let (mut offload, mut peer) = memory_pair(MemoryConfig::OFFLOAD);
        assert!(sent(&offload.transmit(large)));
        let arrived = peer.receive().unwrap().unwrap();
        assert_eq!((arrived.len(), arrived.segment_size), (60_000, 1460));
        let single = Packet::from_bytes(Bytes::from(vec![0; 1501]));
        assert!(offload.transmit(single).is_err(), "not a super-segment, so the MTU holds");
    }

    #[test]
    fn a_partial_checksum_arrives_as_valid_and_a_whole_one_as_unknown() {
        let (mut one, mut other) = memory_pair(MemoryConfig::OFFLOAD);
        for (given, expected) in [
            (Checksum::Partial { start: 20, offset: 16 }, Checksum::Valid),
            (Checksum::Unknown, Checksum::Unknown),
        ] {
            assert!(sent(&one.transmit(Packet { checksum: given, ..packet(b"x") })));
            assert_eq!(other.receive().unwrap().unwrap().checksum, expected);
        }
    }

    #[test]
    fn arrival_and_departure_wake_the_receiver_once_each() {
        let (mut one, mut other) = memory_pair(MemoryConfig::ETHERNET);
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        other.wake_on_receive(&waker);
        assert!(sent(&one.transmit(packet(b"a"))));
        assert!(sent(&one.transmit(packet(b"b"))));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        other.wake_on_receive(&waker);
        drop(one);
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
        assert_eq!(other.receive().unwrap().unwrap().to_vec(), b"a");
        assert_eq!(other.receive().unwrap().unwrap().to_vec(), b"b");
        assert_eq!(other.receive().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(other.transmit(packet(b"c")).is_err());
    }
}
