//! Who is joined to whom, and which packet arrives next? The part that the sans-IO simulation and the driver
//! of the async sockets share: it knows packets and ports, no host.

use crate::link::{Harm, Link, LinkConfig, LinkCounts, TooLong};
use crate::queue::EventQueue;
use crate::router;
use ciao_wire::{Instant, Packet};

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(u32);

impl PortId {
    /// The port at the other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        Self(self.0 ^ 1)
    }

    /// Counts ports from zero, in the order in which links were added.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A packet that has arrived.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// When.
    pub at: Instant,
    /// Where.
    pub to_port: PortId,
    /// The packet.
    pub packet: Packet,
}

/// Links, and the packets under way.
#[derive(Clone, Debug)]
pub struct Network {
    seed: u64,
    /// By the port that sends.
    links: Vec<Link>,
    under_way: EventQueue<(PortId, Packet)>,
}

impl Network {
    /// Without links. Chance is drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, links: Vec::new(), under_way: EventQueue::default() }
    }

    /// Adds a link: what the first port sends meets `forward`, what the second one sends `backward`.
    pub fn add_link(&mut self, forward: LinkConfig, backward: LinkConfig) -> [PortId; 2] {
        let first = u32::try_from(self.links.len()).expect("a simulation has far fewer links");
        let number = first / 2;
        self.links.push(Link::new(forward, self.seed, &format!("link {number} forward")));
        self.links.push(Link::new(backward, self.seed, &format!("link {number} backward")));
        [PortId(first), PortId(first + 1)]
    }

    /// Changes what the packets meet that `from_port` sends from now on. Its rules count from here.
    pub fn configure(&mut self, from_port: PortId, config: LinkConfig) {
        self.links[from_port.index()].configure(config);
    }

    /// What the packets meet that `from_port` sends.
    #[must_use]
    pub fn config(&self, from_port: PortId) -> &LinkConfig {
        self.links[from_port.index()].config()
    }

    /// What became of the packets that `from_port` sent.
    #[must_use]
    pub fn counts(&self, from_port: PortId) -> LinkCounts {
        self.links[from_port.index()].counts
    }

    /// The packets of `from_port` that chance has harmed, by their number from 1. A rule that delivers packet
    /// n spares it that, and harms no other.
    #[must_use]
    pub fn harmed(&self, from_port: PortId) -> &[(u64, Harm)] {
        &self.links[from_port.index()].harmed
    }

    /// Puts a packet on its way, or drops it as the link is told to.
    pub fn transmit(&mut self, now: Instant, from_port: PortId, packet: Packet) {
        let link = self.links[from_port.index()].config();
        if packet.len() > link.mtu && link.too_long == TooLong::Explained {
            // It went as far as the router, and so does the answer.
            let at = now + link.delay * 2;
            if let Some(message) = router::too_big(&packet, link.mtu) {
                self.under_way.push(at, (from_port, message));
            }
        }
        let Self { links, under_way, .. } = self;
        links[from_port.index()].transmit(now, packet, |at, packet| {
            under_way.push(at, (from_port.peer(), packet));
        });
    }

    /// When the next packet arrives.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.under_way.next_at()
    }

    /// Takes out the next packet that has arrived by `now`.
    pub fn deliver_due(&mut self, now: Instant) -> Option<Delivery> {
        let (at, (to_port, packet)) = self.under_way.pop_due(now)?;
        Some(Delivery { at, to_port, packet })
    }

    /// Packets under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.under_way.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::time::Duration;

    #[test]
    fn a_packet_arrives_at_the_other_end_after_the_delay_of_its_direction() {
        let mut network = Network::new(0);
        let slow = LinkConfig { delay: Duration::from_millis(30), ..LinkConfig::default() };
        let [a, b] = network.add_link(LinkConfig::default(), slow);
        let [c, _] = network.add_link(LinkConfig::default(), LinkConfig::default());
        let packet = |len| Packet::from_bytes(Bytes::from(vec![0; len]));
        network.transmit(Instant::ZERO, b, packet(1));
        network.transmit(Instant::ZERO, a, packet(2));
        network.transmit(Instant::ZERO, c, packet(3));
        let mut arrived = Vec::new();
        while let Some(at) = network.next_at() {
            assert!(network.deliver_due(at - Duration::from_nanos(1)).is_none());
            let delivery = network.deliver_due(at).expect("it was due");
            arrived.push((delivery.at.as_millis(), delivery.to_port.index(), delivery.packet.len()));
        }
        assert_eq!(arrived, [(10, 1, 2), (10, 3, 3), (30, 0, 1)]);
        assert_eq!((b.peer(), a.peer()), (a, b));
    }
}
