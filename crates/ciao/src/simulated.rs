//! How does a program run in virtual time, the same way every time?
//!
//! Some hosts, each a [`Stack`], are joined by links that delay and lose packets by seed or by rule. The
//! program runs on one thread, on tokio's own runtime with its clock stopped: `tokio::spawn`, `tokio::time`
//! and what is built on them work unchanged, and virtual time moves only when no task can run.
//!
//! The runtime calls us then ([`before_park`](World::before_park)). If the next event of the network or of
//! a host's timer lies in the same millisecond, the clock is moved to it, to the nanosecond, and it
//! happens. Else tokio has timers that may come first, since those fire on whole milliseconds: the clock
//! goes to the next one, and a sleep of ours stops tokio in the millisecond of our event.
//!
//! The same seed gives the same packets at the same times, as long as the program is not random itself:
//! `tokio::select!` needs `biased`, a `HashMap` a fixed state, and names are resolved by the operating
//! system. What the wall clock says must not be looked at: `tokio::time::Instant` is virtual,
//! `std::time::Instant` is not.
//!
//! Not here: what a link does to a packet (`ciao_sim::link`); the simulation without tokio (`ciao_sim`).

use crate::clock::{Clock, VirtualClock};
use crate::link::AsyncLink;
use crate::shard::Interface;
use crate::stack::Stack;
use ciao_link::{Capabilities, ChecksumOffload, Link, Segmentation, Transmission};
use ciao_sim::{LinkConfig, LinkCounts, Network, PortId, Random};
use ciao_stack::{Cidr, HostConfig, InterfaceId, TraceRecord};
use ciao_wire::{Instant, Packet};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Sleep;

/// tokio's timers fire on whole milliseconds.
const TICK: Duration = Duration::from_millis(1);

/// Virtual time that a run may take: a day. A program that waits for something that will never come gets
/// there at once.
const TIME_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Hosts and links in virtual time, and the runtime that a program runs on.
#[derive(Debug)]
pub struct Simulation {
    seed: u64,
    runtime: Runtime,
    world: Arc<World>,
    time_limit: Duration,
}

/// The program was not over in time: it waits for something that does not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfTime {
    /// The virtual time at which it was given up.
    pub at: Instant,
}

impl fmt::Display for OutOfTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the program was not over at {} of virtual time", self.at)
    }
}

impl std::error::Error for OutOfTime {}

/// What was recorded of one host.
#[derive(Clone, Debug)]
pub struct HostRecord {
    /// The host's name.
    pub host: Arc<str>,
    /// The record.
    pub record: TraceRecord,
}

/// What the runtime's hooks and the program share.
#[derive(Debug)]
struct World {
    clock: VirtualClock,
    /// Time zero on tokio's clock, from the first run on.
    network: Arc<Mutex<Network>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    hosts: Vec<SimulatedHost>,
    /// Who sits at a port of the network, by the port's number.
    ports: Vec<(usize, InterfaceId)>,
    origin: Option<tokio::time::Instant>,
    /// Stops tokio in the millisecond of our next event.
    sleep: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
struct SimulatedHost {
    name: Arc<str>,
    stack: Stack,
}

/// The next thing that happens.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// A packet arrives.
    Packet(Instant),
    /// A timer of this host fires.
    Timer(Instant, usize),
}

impl Next {
    fn at(self) -> Instant {
        match self {
            Self::Packet(at) | Self::Timer(at, _) => at,
        }
    }
}

/// Locks what a panic of the program cannot have left half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Simulation {
    /// Without hosts. All chance, the hosts' too, is drawn from `seed`.
    ///
    /// # Panics
    /// When the operating system has no room for a runtime.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let world = Arc::new(World {
            clock: VirtualClock::default(),
            network: Arc::new(Mutex::new(Network::new(seed))),
            state: Mutex::default(),
        });
        let (parking, unparked) = (Arc::clone(&world), Arc::clone(&world));
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .on_thread_park(move || parking.before_park())
            .on_thread_unpark(move || unparked.read_clock())
            .build()
            .expect("a runtime without IO needs nothing but memory");
        {
            let _entered = runtime.enter();
            lock(&world.state).origin = Some(tokio::time::Instant::now());
        }
        Self { seed, runtime, world, time_limit: TIME_LIMIT }
    }

    /// Virtual time that one run may take. A day.
    pub fn set_time_limit(&mut self, limit: Duration) {
        self.time_limit = limit;
    }

    /// Adds a host. Hosts are numbered from 1 in this order, see [`Self::join`].
    pub fn host(&self, name: &str, config: HostConfig) -> Stack {
        // RFC 6528 §3 6528-2: a seed that is not the operating system's exists in a simulation alone.
        let seed = Random::named(self.seed, &format!("host {name}")).seed();
        let stack = Stack::assemble(config, seed, Clock::Virtual(self.world.clock.clone()));
        lock(&self.world.state).hosts.push(SimulatedHost { name: name.into(), stack: stack.clone() });
        stack
    }

    /// Joins two hosts: what `one` sends meets `forward`, what `other` sends `backward`. The answer are the
    /// two ports, `one`'s first, to be named to [`Self::configure`] and [`Self::link_counts`].
    ///
    /// Each link is a network of its own: at the first one, the host with the number 2 has the addresses
    /// 10.0.0.2 and fd00::2, at the second one 10.0.1.2 and fd00:1::2.
    ///
    /// # Panics
    /// When one of the hosts is of another simulation.
    pub fn join(&self, one: &Stack, other: &Stack, forward: LinkConfig, backward: LinkConfig) -> [PortId; 2] {
        let mut state = lock(&self.world.state);
        let mtu = u16::try_from(forward.mtu.min(backward.mtu)).unwrap_or(u16::MAX);
        let ports = lock(&self.world.network).add_link(forward, backward);
        let numbers = [one, other].map(|stack| state.number(stack));
        let network = ports[0].index() / 2;
        for (end, port) in ports.into_iter().enumerate() {
            let (own, peer) = (numbers[end], numbers[1 - end]);
            let link = SimulatedLink {
                port,
                mtu,
                clock: self.world.clock.clone(),
                network: Arc::clone(&self.world.network),
            };
            let interface = Interface {
                name: format!("to {}", state.hosts[peer].name),
                addresses: addresses(network, own).to_vec(),
                routes: Vec::new(),
            };
            let id = state.hosts[own].stack.shared().lock().add_interface(interface, Box::new(link));
            state.ports.push((own, id));
        }
        ports
    }

    /// Changes what the packets meet that `from_port` sends from now on.
    pub fn configure(&self, from_port: PortId, config: LinkConfig) {
        lock(&self.world.network).configure(from_port, config);
    }

    /// What became of the packets that `from_port` sent.
    #[must_use]
    pub fn link_counts(&self, from_port: PortId) -> LinkCounts {
        lock(&self.world.network).counts(from_port)
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.world.clock.now()
    }

    /// Runs the program until it is over. Tasks that it spawned go on in the next run, where virtual time
    /// goes on too.
    ///
    /// # Errors
    /// When virtual time comes to the limit first: [`Self::set_time_limit`].
    pub fn run<F: Future>(&self, program: F) -> Result<F::Output, OutOfTime> {
        let limited = async { tokio::time::timeout(self.time_limit, program).await };
        self.runtime.block_on(limited).map_err(|_| OutOfTime { at: self.now() })
    }

    /// Lets the time pass: what is under way arrives, timers fire, spawned tasks run.
    pub fn run_for(&self, duration: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(duration).await });
    }

    /// Takes out what was recorded of all hosts, by time; of one time, in the order in which the hosts were
    /// added.
    #[must_use]
    pub fn drain_trace(&self) -> Vec<HostRecord> {
        let state = lock(&self.world.state);
        let mut records = Vec::new();
        for SimulatedHost { name, stack } in &state.hosts {
            let of_host = stack.drain_trace().into_iter();
            records.extend(of_host.map(|record| HostRecord { host: Arc::clone(name), record }));
        }
        records.sort_by_key(|record| record.record.at);
        records
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // The sleep holds the runtime, whose hooks hold the sleep.
        lock(&self.world.state).sleep = None;
    }
}

/// The addresses that a host has at a link.
fn addresses(network: usize, host: usize) -> [Cidr; 2] {
    let number = |index| u8::try_from(index).expect("a simulation has at most 254 hosts and 256 links");
    let (network, host) = (number(network), number(host + 1));
    let v4 = Ipv4Addr::new(10, 0, network, host);
    let v6 = Ipv6Addr::new(0xfd00, network.into(), 0, 0, 0, 0, 0, host.into());
    [Cidr::new(v4, 24), Cidr::new(v6, 64)]
}

impl State {
    fn number(&self, stack: &Stack) -> usize {
        let same = |host: &SimulatedHost| Arc::ptr_eq(host.stack.shared(), stack.shared());
        self.hosts.iter().position(same).expect("the host is one of this simulation")
    }
}

impl World {
    /// Virtual time by tokio's clock.
    fn tokio_now(&self, state: &State) -> Instant {
        let origin = state.origin.expect("it was set before the first run");
        let elapsed = tokio::time::Instant::now().duration_since(origin);
        self.clock.set(Instant::ZERO + elapsed);
        self.clock.now()
    }

    /// The runtime wakes: its clock may have moved.
    fn read_clock(&self) {
        self.tokio_now(&lock(&self.state));
    }

    /// No task can run: let the next thing happen, or tell the runtime how long it may sleep.
    fn before_park(&self) {
        let mut state = lock(&self.state);
        let now = self.tokio_now(&state);
        let next = self.next(&state);
        match next {
            Some(next) if next.at().as_millis() <= now.as_millis() => {
                // No timer of tokio's lies between here and the end of this millisecond.
                self.move_clock(now, next.at());
                self.happen(&state, next);
            }
            _ if now != Instant::from_millis(now.as_millis()) => {
                self.move_clock(now, Instant::from_millis(now.as_millis()) + TICK);
            }
            Some(next) => sleep_until_tick(&mut state, next.at()),
            None => {}
        }
    }

    /// Moves tokio's clock and ours. The runtime then looks at its timers and calls us again, without
    /// sleeping.
    fn move_clock(&self, now: Instant, to: Instant) {
        // The first poll moves the clock; the second one would only say that others had their turn.
        let advance = pin!(tokio::time::advance(to.since(now)));
        let _ = advance.poll(&mut Context::from_waker(Waker::noop()));
        self.clock.set(to);
    }

    /// Of two things at one time a packet comes first, then the host that was added first. tokio's timers of
    /// that time have come before.
    fn next(&self, state: &State) -> Option<Next> {
        let packet = lock(&self.network).next_at().map(Next::Packet);
        let timers = state.hosts.iter().enumerate().filter_map(|(number, host)| {
            host.stack.shared().lock().host.poll_timeout().map(|at| Next::Timer(at, number))
        });
        packet.into_iter().chain(timers).min_by_key(|next| next.at())
    }

    fn happen(&self, state: &State, next: Next) {
        match next {
            Next::Packet(at) => {
                let Some(delivery) = lock(&self.network).deliver_due(at.max(self.clock.now())) else {
                    return;
                };
                let (number, interface) = state.ports[delivery.to_port.index()];
                state.hosts[number].stack.shared().call(|shard, now| {
                    shard.host.handle_packet(now, interface, delivery.packet);
                });
            }
            Next::Timer(_, number) => {
                state.hosts[number].stack.shared().call(|shard, now| shard.host.handle_timeout(now));
            }
        }
    }
}

/// Makes the runtime wake no later than in the millisecond of `at`.
fn sleep_until_tick(state: &mut State, at: Instant) {
    let origin = state.origin.expect("it was set before the first run");
    let tick = origin + Duration::from_millis(at.as_millis());
    let sleep = state.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(tick)));
    if sleep.deadline() != tick {
        sleep.as_mut().reset(tick);
    }
    // Nobody is to be woken: that the runtime wakes is enough.
    let _ = sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

/// One end of a simulated link.
#[derive(Debug)]
struct SimulatedLink {
    port: PortId,
    mtu: u16,
    clock: VirtualClock,
    network: Arc<Mutex<Network>>,
}

impl Link for SimulatedLink {
    fn capabilities(&self) -> Capabilities {
        Capabilities { mtu: self.mtu, segmentation: Segmentation::ByHost, checksum: ChecksumOffload::ByHost }
    }

    /// Nothing: the simulation hands out what arrives.
    fn receive(&mut self) -> io::Result<Option<Packet>> {
        Ok(None)
    }

    fn transmit(&mut self, packet: Packet) -> io::Result<Transmission> {
        lock(&self.network).transmit(self.clock.now(), self.port, packet);
        Ok(Transmission::Sent)
    }
}

impl AsyncLink for SimulatedLink {
    fn poll_receive(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Packet>> {
        Poll::Pending
    }

    fn poll_transmit(&mut self, _: &mut Context<'_>, packet: Packet) -> io::Result<Transmission> {
        self.transmit(packet)
    }
}
