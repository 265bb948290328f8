//! Hosts in virtual time: which of them acts next, and when?
//!
//! Nothing here waits. The clock jumps to the next packet or timer; at equal times packets come before
//! timers, and hosts take turns in the order in which they were added.

use crate::link::LinkConfig;
use crate::network::{Network, PortId};
use crate::random::Random;
use crate::watcher::Watcher;
use ciao_stack::{Host, HostConfig, InterfaceConfig, InterfaceId};
use ciao_wire::{Instant, Sum};
use std::time::Duration;

/// Wake-ups of one host at one moment that are more than any host needs: it spins.
const MAX_WAKEUPS_AT_ONCE: u32 = 1_000;

/// One of the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(usize);

/// What happened in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A packet arrived at the host.
    Packet(HostId),
    /// A timer of the host was due.
    Timer(HostId),
}

impl Step {
    /// The host that acted.
    #[must_use]
    pub const fn host(self) -> HostId {
        match self {
            Self::Packet(host) | Self::Timer(host) => host,
        }
    }
}

#[derive(Debug)]
struct Node {
    host: Host,
    config: HostConfig,
    /// How often it was started.
    starts: u32,
    /// By interface.
    ports: Vec<PortId>,
}

/// Hosts, the links between them, and a clock.
#[derive(Debug)]
pub struct Simulation {
    seed: u64,
    now: Instant,
    network: Network,
    nodes: Vec<Node>,
    /// By port.
    owners: Vec<(HostId, InterfaceId)>,
    watcher: Watcher,
    wakeups_at_once: u32,
    digest: u64,
}

impl Simulation {
    /// Without hosts, at time zero. Everything that is left to chance follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            now: Instant::ZERO,
            network: Network::new(seed),
            nodes: Vec::new(),
            owners: Vec::new(),
            watcher: Watcher::default(),
            wakeups_at_once: 0,
            digest: 0,
        }
    }

    /// The seed of the run.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Adds a host. Its own seed is drawn from the run's.
    pub fn add_host(&mut self, config: HostConfig) -> HostId {
        let id = HostId(self.nodes.len());
        let host = self.boot(id, 1, config.clone());
        self.nodes.push(Node { host, config, starts: 1, ports: Vec::new() });
        id
    }

    /// A host loses all it knew but its configuration, and starts again with other secrets. What it had sent
    /// is still under way.
    pub fn restart(&mut self, id: HostId) {
        let Node { config, starts, .. } = &self.nodes[id.0];
        let mut host = self.boot(id, starts + 1, config.clone());
        let node = &mut self.nodes[id.0];
        for (_, interface) in node.host.interfaces() {
            host.add_interface(interface.clone());
        }
        node.host = host;
        node.starts += 1;
        self.watcher.host_restarted();
    }

    fn boot(&self, id: HostId, start: u32, config: HostConfig) -> Host {
        let seed = Random::named(self.seed, &format!("host {} start {start}", id.0)).seed();
        Host::new(config, seed)
    }

    /// Joins two hosts by a link: what the first one sends meets `forward`, what the second one sends
    /// `backward`.
    pub fn join(
        &mut self,
        ends: [(HostId, InterfaceConfig); 2],
        forward: LinkConfig,
        backward: LinkConfig,
    ) -> [InterfaceId; 2] {
        let ports = self.network.add_link(forward, backward);
        let mut pairs = ends.into_iter().zip(ports).map(|((host, config), port)| {
            let node = &mut self.nodes[host.0];
            let interface = node.host.add_interface(config);
            node.ports.push(port);
            self.owners.push((host, interface));
            interface
        });
        [pairs.next().expect("two ends"), pairs.next().expect("two ends")]
    }

    /// A host, to be asked.
    #[must_use]
    pub fn host(&self, id: HostId) -> &Host {
        &self.nodes[id.0].host
    }

    /// Lets an application call a host, and puts on the wire what it sends.
    pub fn call<T>(&mut self, id: HostId, call: impl FnOnce(&mut Host, Instant) -> T) -> T {
        let answer = call(&mut self.nodes[id.0].host, self.now);
        self.flush(id);
        answer
    }

    /// The links.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The port behind a host's `interface`.
    #[must_use]
    pub fn port(&self, id: HostId, interface: InterfaceId) -> PortId {
        self.nodes[id.0].ports[usize::from(interface.0)]
    }

    /// Changes what a host's packets meet from now on, through its `interface`.
    pub fn configure(&mut self, id: HostId, interface: InterfaceId, config: LinkConfig) {
        let port = self.port(id, interface);
        self.network.configure(port, config);
    }

    /// When something happens next.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        let timers = self.nodes.iter().filter_map(|node| node.host.poll_timeout());
        timers.chain(self.network.next_at()).min()
    }

    /// Goes to the next packet or timer and lets its host act. Nothing when none is left.
    pub fn step(&mut self) -> Option<Step> {
        let at = self.next_at()?.max(self.now);
        if at > self.now {
            self.wakeups_at_once = 0;
        }
        self.now = at;
        if let Err(rule) = self.watcher.check_delays(at) {
            self.fail(&rule);
        }
        let step = if let Some(delivery) = self.network.deliver_due(at) {
            let (id, interface) = self.owners[delivery.to_port.index()];
            self.watcher.arrived(at, &delivery.packet);
            self.nodes[id.0].host.handle_packet(at, interface, delivery.packet);
            Step::Packet(id)
        } else {
            let is_due = |node: &Node| node.host.poll_timeout().is_some_and(|timeout| timeout <= at);
            let id = HostId(self.nodes.iter().position(is_due)?);
            self.wakeups_at_once += 1;
            if self.wakeups_at_once > MAX_WAKEUPS_AT_ONCE {
                self.fail("a host wants to be woken again and again, and does nothing");
            }
            self.nodes[id.0].host.handle_timeout(at);
            Step::Timer(id)
        };
        self.flush(step.host());
        Some(step)
    }

    /// Lets hosts act until `end`, and stops the clock there.
    pub fn run_until(&mut self, end: Instant) {
        while self.next_at().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = self.now.max(end);
    }

    /// [`Simulation::run_until`] so much later.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }

    fn flush(&mut self, id: HostId) {
        let node = &mut self.nodes[id.0];
        while let Some((interface, packet)) = node.host.poll_transmit(self.now) {
            let port = node.ports[usize::from(interface.0)];
            let mtu =
                node.host.interfaces().nth(usize::from(interface.0)).map_or(0, |(_, config)| config.mtu);
            if let Err(rule) = self.watcher.check(self.now, &packet, usize::from(mtu)) {
                self.fail(&rule);
            }
            let sum = Sum::ZERO.add_bytes(packet.head.as_slice()).add_payload(&packet.payload).fold();
            self.digest =
                mixed(mixed(self.digest, self.now.as_nanos()), (packet.len() as u64) << 16 | u64::from(sum));
            self.network.transmit(self.now, port, packet);
        }
    }

    /// A number of all packets sent so far and their times: equal for equal runs.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Ends the run: says what is wrong, the seed that shows it again, and the last packets.
    ///
    /// # Panics
    /// Always: a host that breaks a rule is a fault of ours.
    pub fn fail(&self, what: &str) -> ! {
        let packets = self.watcher.last_packets();
        panic!("seed {:#x}, at {}: {what}\n{packets}", self.seed, self.now);
    }
}

/// A step of a hash that only has to tell runs apart (the multiplier is that of splitmix64).
fn mixed(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(27)
}
