//! What answers the segments of a script? [`Stage`]: a host with one interface, and the network around it.

use crate::IpVersion;
use crate::event::IcmpText;
use crate::notation::{OptionText, SegmentText, print_segment, read_options};
use crate::numbers::Numbers;
use crate::options::ScriptOptions;
use crate::packets::{self, Addresses, Seen, SegmentSeen};
use ciao_stack::{
    Cidr, ConnectRequest, ConnectionId, Host, HostConfig, HostDropReason, HostEvent, HostTraceEvent,
    InterfaceConfig, InterfaceId, ListenRequest, Offload, Route, SocketId, TraceRecord,
};
use ciao_tcp::{ConnectionError, Event, TcpState, TraceEvent, Tracing};
use ciao_wire::{Instant, Packet, TcpFlags};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The port of the end that is called, and that of the end that calls.
pub const SERVICE_PORT: u16 = 8080;
/// See [`SERVICE_PORT`].
pub const CALLER_PORT: u16 = 40_000;
/// Scripts play with the same random numbers, always.
const SEED: [u8; 32] = *b"the same seed, and the same play";
/// So many numbers before the end of the number space do ours begin, if the script opens its connection at
/// its start: every longer one crosses the end.
const NUMBERS_BEFORE_END: u32 = 3000;
/// The number space's clock (RFC 9293 §3.4.1): one number in 4 µs.
const NUMBER_MICROS: u64 = 4;
/// More packets than this without time passing: the stack is in a loop.
const PACKETS_AT_ONCE_MAX: usize = 100_000;
/// The window of segments that name none, until one does.
const DEFAULT_WINDOW: u16 = u16::MAX;

/// Which end opens the first connection of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We listen.
    Service,
    /// We connect.
    Caller,
}

/// The host under test, and what it has sent.
#[derive(Debug)]
pub struct Stage {
    /// The host.
    pub host: Host,
    /// Who is where.
    pub addresses: Addresses,
    /// The host's time when the script began.
    pub start: Instant,
    /// The host's time.
    pub now: Instant,
    /// What was sent and the script has not yet expected.
    pub outbox: VecDeque<Sent>,
    /// Everything that was recorded, for the ladder.
    pub records: Vec<TraceRecord>,
    /// What the host told the owners of its sockets since the script last asked.
    pub events: Vec<HostEvent>,
    /// What ICMP said of whom since the players of the script last looked.
    pub soft_errors: Vec<(SocketId, ConnectionError)>,
    /// Why packets were dropped since the script last asked.
    pub dropped: Vec<String>,
    /// What showed losses, and what showed that there were none, since the script last asked.
    pub losses: Vec<String>,
    /// Our port and the script's, of segments that name none.
    pub ports: (u16, u16),
    /// What stands on top of the script.
    pub options: ScriptOptions,
    interface: InterfaceId,
    numbers: BTreeMap<(u16, u16), Numbers>,
    /// The state of each connection, and the last one before that.
    states: BTreeMap<ConnectionId, (TcpState, TcpState)>,
    window: u16,
    /// The Fast Open cookie that the host has given last.
    cookie: Vec<u8>,
}

/// A packet on its way out.
#[derive(Debug)]
pub struct Sent {
    /// When it was sent, in the host's time.
    pub at: Instant,
    /// What it is.
    pub seen: Seen,
    /// It is the first SYN of its connection.
    pub opens: bool,
}

impl Stage {
    /// A host that has done nothing yet.
    ///
    /// # Errors
    /// When it sends what it must not while the numbers are looked for.
    pub fn new(options: &ScriptOptions, version: IpVersion, side: Side) -> Result<Self, String> {
        let mut stage = Self::at(options, version, side);
        let first = stage.first_number(side)?;
        let wanted = u32::MAX - NUMBERS_BEFORE_END;
        let micros = u64::from(wanted.wrapping_sub(first)) * NUMBER_MICROS;
        // Whole milliseconds, so that our timestamps count those of the script.
        stage = Self::at(options, version, side);
        stage.start = Instant::from_millis(micros / 1000);
        stage.now = stage.start;
        Ok(stage)
    }

    fn at(options: &ScriptOptions, version: IpVersion, side: Side) -> Self {
        let addresses = Addresses::of(version);
        let tcp = Arc::new(options.config.clone());
        let (memory, trace) = (options.memory, Tracing::On);
        let mut host = Host::new(HostConfig { tcp, memory, trace, ..HostConfig::default() }, SEED);
        let mtu = i32::from(version.default_mtu()) + options.mtu_change;
        let any: IpAddr = match version {
            IpVersion::V4 => Ipv4Addr::UNSPECIFIED.into(),
            IpVersion::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        let interface = host.add_interface(InterfaceConfig {
            name: "tun0".to_owned(),
            mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
            addresses: vec![Cidr::new(addresses.local, if addresses.local.is_ipv4() { 16 } else { 64 })],
            routes: vec![Route { destination: Cidr::new(any, 0), gateway: Some(addresses.router) }],
            offload: Offload::default(),
        });
        Self {
            host,
            addresses,
            start: Instant::ZERO,
            now: Instant::ZERO,
            outbox: VecDeque::new(),
            records: Vec::new(),
            events: Vec::new(),
            soft_errors: Vec::new(),
            dropped: Vec::new(),
            losses: Vec::new(),
            ports: match side {
                Side::Service => (SERVICE_PORT, CALLER_PORT),
                Side::Caller => (CALLER_PORT, SERVICE_PORT),
            },
            options: options.clone(),
            interface,
            numbers: BTreeMap::new(),
            states: BTreeMap::new(),
            window: DEFAULT_WINDOW,
            cookie: Vec::new(),
        }
    }

    /// The initial number of a connection that opens at time zero: the host does not tell it but in a SYN.
    fn first_number(&mut self, side: Side) -> Result<u32, String> {
        match side {
            Side::Caller => {
                let request =
                    ConnectRequest { local: Some(self.local()), ..ConnectRequest::to(self.remote()) };
                let connected = self.host.tcp_connect(self.now, request);
                connected.map_err(|error| format!("the host does not connect: {error}"))?;
            }
            Side::Service => {
                let listening = self.host.tcp_listen(ListenRequest::at(self.local()));
                listening.map_err(|error| format!("the host does not listen: {error}"))?;
                let syn = SegmentText { flags: TcpFlags::SYN, ..SegmentText::default() };
                self.inject(&[&syn]);
            }
        }
        self.drain()?;
        match self.outbox.pop_front() {
            Some(Sent { seen: Seen::Segment(segment), .. }) if segment.flags.syn() => Ok(segment.seq),
            sent => Err(format!("the host does not open: {sent:?}")),
        }
    }

    /// Our end.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        SocketAddr::new(self.addresses.local, self.ports.0)
    }

    /// The script's end.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.addresses.remote, self.ports.1)
    }

    /// The time since the script began.
    #[must_use]
    pub fn elapsed(&self, at: Instant) -> Duration {
        at.since(self.start)
    }

    /// The numbers of a pair of ports, ours and the script's.
    #[must_use]
    pub fn numbers(&mut self, ports: (u16, u16)) -> &mut Numbers {
        self.numbers.entry(ports).or_default()
    }

    /// The state of the connection that was opened last, or of the port when there is none.
    #[must_use]
    pub fn state(&self) -> TcpState {
        let listens = self.host.counts().listeners > 0;
        match self.states.last_key_value() {
            // RFC 9293 §3.10.7.4: a passive open returns to LISTEN.
            Some((_, (TcpState::Closed, TcpState::SynReceived))) if listens => TcpState::Listen,
            Some((_, (state, _))) => *state,
            None if listens => TcpState::Listen,
            None => TcpState::Closed,
        }
    }

    /// Segments arrive together.
    pub fn inject(&mut self, texts: &[&SegmentText]) {
        let packets: Vec<Packet> = texts.iter().map(|text| self.packet(text)).collect();
        self.host.handle_packets(self.now, self.interface, packets);
    }

    fn packet(&mut self, text: &SegmentText) -> Packet {
        let (theirs, ours) = text.ports.unwrap_or((self.ports.1, self.ports.0));
        let state = self.state();
        let addresses = self.addresses;
        self.window = text.window.unwrap_or(self.window);
        let window = self.window;
        let numbers = self.numbers((ours, theirs));
        if text.flags.syn() {
            numbers.remote_offered = Some(numbers.remote.wrapping_add(text.start));
            if matches!(state, TcpState::Closed | TcpState::Listen | TcpState::TimeWait) {
                numbers.local_is_open = true;
            }
        }
        let bases = numbers.inbound();
        let mut text = text.clone();
        for option in text.options.iter_mut().flatten().filter(|option| **option == OptionText::OwnCookie) {
            *option = OptionText::FastOpen(self.cookie.clone());
        }
        packets::segment(&addresses, &text, bases, (theirs, ours), window)
    }

    /// An ICMP error arrives.
    ///
    /// # Errors
    /// When the version has no such error.
    pub fn inject_icmp(&mut self, text: &IcmpText) -> Result<(), String> {
        let ports = self.ports;
        let seq = self.numbers(ports).local.wrapping_add(text.start);
        let packet = packets::icmp(&self.addresses, text.kind, ports, seq, text.len)?;
        self.host.handle_packets(self.now, self.interface, [packet]);
        Ok(())
    }

    /// Takes out what follows from the last input.
    ///
    /// # Errors
    /// When a packet is not sound, or there is no end of them, in words.
    pub fn drain(&mut self) -> Result<(), String> {
        for _ in 0..PACKETS_AT_ONCE_MAX {
            let Some((_, packet)) = self.host.poll_transmit(self.now) else {
                while let Some(event) = self.host.poll_event() {
                    if let HostEvent::Tcp(id, Event::SoftError(error)) = event {
                        self.soft_errors.push((id, error));
                    }
                    self.events.push(event);
                }
                self.collect();
                return Ok(());
            };
            let seen = packets::read(&packet)?;
            let opens = match &seen {
                Seen::Segment(segment) => self.learn(segment)?,
                Seen::Other(_) => false,
            };
            self.outbox.push_back(Sent { at: self.now, seen, opens });
        }
        Err(format!("more than {PACKETS_AT_ONCE_MAX} packets are sent and no time passes"))
    }

    /// Learns the numbers from a segment that was sent, and checks what holds for all of them. Answers
    /// whether it opens its connection.
    fn learn(&mut self, segment: &SegmentSeen) -> Result<bool, String> {
        let (local, remote) = (self.addresses.local, self.addresses.remote);
        if (segment.ip.source(), segment.ip.destination()) != (local, remote) {
            return Err(format!(
                "a segment goes from {} to {}",
                segment.ip.source(),
                segment.ip.destination()
            ));
        }
        let elapsed_millis = self.elapsed(self.now).as_millis() as u32;
        let own = read_options(&segment.options, TcpFlags::SYN, Default::default());
        if let Some(cookie) = own.into_iter().find_map(OptionText::cookie).filter(|_| segment.flags.ack()) {
            self.cookie = cookie;
        }
        let numbers = self.numbers(segment.ports);
        if let Some(offered) = numbers.remote_offered
            && segment.flags.ack()
            && segment.ack == offered.wrapping_add(1)
        {
            numbers.remote = offered;
        }
        let opens = segment.flags.syn() && numbers.local_is_open;
        if opens {
            (numbers.local, numbers.local_is_open) = (segment.seq, false);
            let options = read_options(&segment.options, TcpFlags::default(), Default::default());
            if let Some(value) = timestamp_value(&options) {
                numbers.timestamp = value.wrapping_sub(elapsed_millis);
            }
        }
        let first = segment.seq.wrapping_sub(numbers.local).wrapping_add(segment.flags.syn().into());
        let wrong = (0u32..)
            .zip(&segment.payload)
            .find(|(at, byte)| **byte != packets::pattern(first.wrapping_add(*at)));
        match wrong {
            // The byte before the window that asks for an answer is none of the stream's (RFC 9293 §3.8.4).
            Some((at, _)) if segment.payload.len() > 1 || first != 0 => {
                Err(format!("byte {} of the stream is another one", first.wrapping_add(at)))
            }
            _ => Ok(opens),
        }
    }

    /// Lets our timestamps count from what the script calls that of our SYN.
    pub fn rename_timestamp(&mut self, segment: &SegmentSeen, expected: &SegmentText) {
        let raw = read_options(&segment.options, TcpFlags::default(), Default::default());
        let written = expected.options.as_deref().and_then(timestamp_value);
        if let (Some(raw), Some(written)) = (timestamp_value(&raw), written) {
            self.numbers(segment.ports).timestamp = raw.wrapping_sub(written);
        }
    }

    fn collect(&mut self) {
        for record in self.host.drain_trace() {
            match &record.event {
                HostTraceEvent::Opened { .. } => {
                    if let Some(id) = record.connection {
                        self.states.entry(id).or_insert((TcpState::Closed, TcpState::Closed));
                    }
                }
                HostTraceEvent::Tcp(TraceEvent::StateChanged { from, to, .. }) => {
                    if let Some(id) = record.connection {
                        self.states.insert(id, (*to, *from));
                    }
                }
                HostTraceEvent::Tcp(TraceEvent::Dropped { reason, .. }) => {
                    self.dropped.push(format!("{reason:?}"));
                }
                HostTraceEvent::Tcp(TraceEvent::LossFound { by, .. }) => {
                    self.losses.push(format!("{by:?}"));
                }
                HostTraceEvent::Tcp(TraceEvent::Undone(cause)) => self.losses.push(format!("{cause:?}")),
                // The record before has the reason.
                HostTraceEvent::PacketDropped {
                    reason: HostDropReason::HalfOpen | HostDropReason::TimeWait,
                } => {}
                HostTraceEvent::PacketDropped { reason } => self.dropped.push(format!("{reason:?}")),
                _ => {}
            }
            self.records.push(record);
        }
    }

    /// Prints a packet as a script would have it, with its time.
    #[must_use]
    pub fn print(&mut self, sent: &Sent) -> String {
        let at = print_seconds(self.elapsed(sent.at));
        match &sent.seen {
            Seen::Segment(segment) => {
                let default = segment.ports == self.ports;
                let bases = self.numbers(segment.ports).outbound();
                let ports = if default {
                    String::new()
                } else {
                    format!("{} > {} ", segment.ports.0, segment.ports.1)
                };
                format!("{at} > {ports}{}", print_segment(segment, bases))
            }
            Seen::Other(text) => format!("{at} > {text}"),
        }
    }
}

fn timestamp_value(options: &[OptionText]) -> Option<u32> {
    options.iter().find_map(|option| match option {
        OptionText::Timestamps { value, .. } => Some(*value),
        _ => None,
    })
}

/// Seconds with microseconds.
pub(crate) fn print_seconds(elapsed: Duration) -> String {
    format!("{:.6}", elapsed.as_secs_f64())
}
