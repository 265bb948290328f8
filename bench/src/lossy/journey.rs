//! What moves packets between machines? One loop around the simulator's link, in virtual or in real time.
//!
//! In real time one thread does everything: what it writes to a TUN device, the kernel's TCP handles within
//! that call, and its answer can be read at once. So the kernel's stack runs in step with the path, as Ciao's
//! does, and no scheduler stands between them.

use super::machine::Machine;
use super::{path, sys};
use ciao_sim::{LinkConfig, LinkCounts, Network, PortId};
use ciao_stack::Tracing;
use ciao_wire::{Instant, IpHeader, Packet};
use std::net::IpAddr;
use std::time::{self, Duration};

/// Whether the first sender's state is written as time goes by, and what Ciao finds lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// It is not.
    Off,
    /// It is, so often.
    Every(Duration),
}

impl Trace {
    /// Whether a host records what happens in it.
    pub(super) fn of_host(self) -> Tracing {
        if self == Self::Off { Tracing::Off } else { Tracing::On }
    }
}

/// Which time it is.
#[derive(Clone, Copy, Debug)]
enum Clock {
    /// The next thing happens at once.
    Virtual(Instant),
    /// Since this start.
    Real(time::Instant),
}

impl Clock {
    fn now(self) -> Instant {
        match self {
            Self::Virtual(now) => now,
            Self::Real(start) => {
                Instant::from_nanos(u64::try_from(start.elapsed().as_nanos()).expect("a run is short"))
            }
        }
    }
}

/// Senders on one side, the receiver on the other, the path between them.
pub struct Journey {
    senders: Vec<Box<dyn Machine>>,
    receiver: Box<dyn Machine>,
    network: Network,
    ports: [PortId; 2],
    clock: Clock,
    trace: Trace,
    traced_at: Instant,
}

impl Journey {
    /// In real time when any of the machines is, else in virtual time.
    #[must_use]
    pub fn new(
        senders: Vec<Box<dyn Machine>>,
        receiver: Box<dyn Machine>,
        forward: LinkConfig,
        seed: u64,
        trace: Trace,
    ) -> Self {
        let mut network = Network::new(seed);
        let ports = network.add_link(forward, path::backward());
        let is_real = receiver.device().is_some() || senders.iter().any(|sender| sender.device().is_some());
        let clock = if is_real { Clock::Real(time::Instant::now()) } else { Clock::Virtual(Instant::ZERO) };
        Self { senders, receiver, network, ports, clock, trace, traced_at: Instant::ZERO }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// A sender.
    pub fn sender(&mut self, index: usize) -> &mut dyn Machine {
        &mut *self.senders[index]
    }

    /// The receiver.
    #[must_use]
    pub fn receiver(&self) -> &dyn Machine {
        &*self.receiver
    }

    /// What became of the packets with data.
    #[must_use]
    pub fn counts(&self) -> LinkCounts {
        self.network.counts(self.ports[0])
    }

    /// Goes on until `is_done` or `end`, and gives the time.
    pub fn run(&mut self, end: Instant, is_done: impl Fn(&dyn Machine) -> bool) -> Instant {
        loop {
            let now = self.clock.now();
            self.turn(now);
            if now >= end || is_done(&*self.receiver) {
                return now;
            }
            self.write_trace(now);
            self.wait(end);
        }
    }

    /// Everything that is due at `now`.
    fn turn(&mut self, now: Instant) {
        while let Some(delivery) = self.network.deliver_due(now) {
            if delivery.to_port == self.ports[1] {
                self.receiver.handle_packet(now, delivery.packet);
                self.receiver.work(now);
                drain(now, &mut *self.receiver, &mut self.network, self.ports[1]);
            } else if let Some(sender) = addressee(&mut self.senders, &delivery.packet) {
                sender.handle_packet(now, delivery.packet);
                sender.work(now);
                drain(now, &mut **sender, &mut self.network, self.ports[0]);
            }
        }
        for sender in &mut self.senders {
            sender.work(now);
            drain(now, &mut **sender, &mut self.network, self.ports[0]);
        }
        self.receiver.work(now);
        drain(now, &mut *self.receiver, &mut self.network, self.ports[1]);
    }

    /// Lets time pass until something is due.
    fn wait(&mut self, end: Instant) {
        let machines = self.senders.iter().chain([&self.receiver]);
        let timeouts = machines.clone().filter_map(|machine| machine.poll_timeout());
        let at = timeouts.chain(self.network.next_at()).min().map_or(end, |at| at.min(end));
        match &mut self.clock {
            Clock::Virtual(now) => *now = at.max(*now),
            Clock::Real(start) => {
                let now = Clock::Real(*start).now();
                let devices: Vec<_> = machines.filter_map(|machine| machine.device()).collect();
                sys::wait_readable(&devices, at.since(now));
            }
        }
    }

    fn write_trace(&mut self, now: Instant) {
        if let Trace::Every(period) = self.trace
            && now >= self.traced_at + period
        {
            self.traced_at = now;
            let bytes: u64 = self.receiver.received().iter().map(|received| received.bytes).sum();
            let lost = self.counts().overflowed;
            let state = self.senders.first().map(|sender| sender.describe(now)).unwrap_or_default();
            eprintln!("{now:>14} received {bytes:>9} overflowed {lost:>4} {state}");
        }
    }
}

/// Puts all that a machine has to send on the path.
fn drain(now: Instant, machine: &mut dyn Machine, network: &mut Network, port: PortId) {
    while let Some(packet) = machine.poll_transmit(now) {
        network.transmit(now, port, packet);
    }
}

/// The sender to whom a packet goes.
fn addressee<'a>(senders: &'a mut [Box<dyn Machine>], packet: &Packet) -> Option<&'a mut Box<dyn Machine>> {
    let head = if packet.head.is_empty() { packet.payload.chunks().next()? } else { packet.head.as_slice() };
    let (header, _) = IpHeader::parse(head).ok()?;
    senders.iter_mut().find(|sender| IpAddr::V4(sender.address()) == header.destination())
}
