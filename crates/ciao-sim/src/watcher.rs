//! Does every packet keep the rules that anyone can check from outside?
//!
//! A second, simple TCP that knows packets alone, and none of the shipped code but the parsers: what core and
//! harness might both get wrong, it does not share. It sees each packet as its host sends it, before the link
//! can harm it.

mod flow;

use ciao_wire::checksum::pseudo_header;
use ciao_wire::{Checksum, Instant, IpHeader, Packet, Protocol, TcpHeader};
use flow::Flow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;

/// Packets that a report shows.
const REMEMBERED: usize = 40;

/// Source and destination.
type Ends = (SocketAddr, SocketAddr);

/// A TCP segment taken apart.
pub(crate) struct Seen<'a> {
    pub(crate) tcp: TcpHeader,
    pub(crate) data: &'a [u8],
    /// Bytes of TCP options.
    pub(crate) option_bytes: usize,
    pub(crate) is_ipv4: bool,
}

/// What has been sent between all pairs of ends.
#[derive(Clone, Debug, Default)]
pub struct Watcher {
    flows: BTreeMap<Ends, Flow>,
    last: VecDeque<(Instant, Packet)>,
}

impl Watcher {
    /// Looks at a packet that a host hands to a link of `mtu` bytes.
    ///
    /// # Errors
    /// The rule that it breaks, in words.
    pub fn check(&mut self, now: Instant, packet: &Packet, mtu: usize) -> Result<(), String> {
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back((now, packet.clone()));
        if packet.segment_size == 0 && packet.len() > mtu {
            return Err(format!("{} bytes do not fit an MTU of {mtu}", packet.len()));
        }
        let bytes = packet.to_vec();
        match Self::take_apart(&bytes, packet)? {
            Some((ends, seen)) => self.check_segment(ends, &seen),
            None => Ok(()),
        }
    }

    /// A packet has arrived at its host.
    pub fn arrived(&mut self, now: Instant, packet: &Packet) {
        let bytes = packet.to_vec();
        // What the link has damaged must not be acknowledged.
        if let Ok(Some(((from, to), seen))) = Self::take_apart(&bytes, packet)
            && let Some(flow) = self.flows.get_mut(&(to, from))
        {
            flow.data_arrived(now, &seen);
        }
    }

    /// Looks for what should have been done by `now`.
    ///
    /// # Errors
    /// What is overdue, in words.
    pub fn check_delays(&self, now: Instant) -> Result<(), String> {
        self.flows.values().try_for_each(|flow| flow.check_delay(now))
    }

    /// A host has lost its memory: what was owed is not owed any more.
    pub fn host_restarted(&mut self) {
        self.flows.values_mut().for_each(Flow::forget_debts);
    }

    /// A TCP segment and its two ends; nothing of another protocol.
    fn take_apart<'a>(bytes: &'a [u8], packet: &Packet) -> Result<Option<(Ends, Seen<'a>)>, String> {
        let (ip, ip_len) = IpHeader::parse(bytes).map_err(|error| format!("IP header: {error}"))?;
        if ip.total_len() != bytes.len() && packet.segment_size == 0 {
            return Err(format!("the IP header says {} bytes, there are {}", ip.total_len(), bytes.len()));
        }
        // RFC 1122 §3.2.1.7 1122-3.2.1.7a
        if ip.hop_limit() == 0 {
            return Err("sent with a hop limit of zero".into());
        }
        if ip.protocol() != Protocol::TCP {
            return Ok(None);
        }
        let segment = &bytes[ip_len..];
        // RFC 9293 §3.1 MUST-2
        if packet.checksum == Checksum::Unknown {
            let len = u32::try_from(segment.len()).map_err(|error| error.to_string())?;
            let sum = pseudo_header(ip.source(), ip.destination(), Protocol::TCP, len).add_bytes(segment);
            if !sum.is_valid() {
                return Err("wrong TCP checksum".into());
            }
        }
        let (tcp, tcp_len) = TcpHeader::parse(segment).map_err(|error| format!("TCP header: {error}"))?;
        let ends = (
            SocketAddr::new(ip.source(), tcp.source_port),
            SocketAddr::new(ip.destination(), tcp.destination_port),
        );
        let seen = Seen {
            tcp,
            data: &segment[tcp_len..],
            option_bytes: tcp_len - ciao_wire::tcp::HEADER_BYTES,
            is_ipv4: ip.source().is_ipv4(),
        };
        Ok(Some((ends, seen)))
    }

    fn check_segment(&mut self, (from, to): Ends, seen: &Seen<'_>) -> Result<(), String> {
        let flags = seen.tcp.flags;
        let mut reverse = self.flows.remove(&(to, from));
        if flags.syn() {
            let known = self.flows.get(&(from, to)).is_some_and(|flow| flow.begins_with(seen.tcp.seq));
            if !known {
                self.flows.insert((from, to), Flow::new(seen));
                if let Some(reverse) = reverse.as_mut() {
                    reverse.peer_began_anew();
                }
            }
        }
        let result = match self.flows.get_mut(&(from, to)) {
            Some(flow) => flow.check(seen, reverse.as_ref()),
            // Whoever has no connection answers with RST (RFC 9293 §3.10.7.1).
            None if flags.rst() => Ok(()),
            None => Err("the first segment is neither SYN nor RST".into()),
        };
        if let Some(reverse) = reverse {
            self.flows.insert((to, from), reverse);
        }
        result
    }

    /// The last packets, one line each.
    #[must_use]
    pub fn last_packets(&self) -> String {
        use fmt::Write;
        let mut text = String::new();
        for (at, packet) in &self.last {
            writeln!(text, "{at:>16}  {}", Line(packet)).expect("writing to a string does not fail");
        }
        text
    }
}

/// A packet in one line, in the way of packetdrill.
pub struct Line<'a>(pub &'a Packet);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.to_vec();
        let Ok((ip, ip_len)) = IpHeader::parse(&bytes) else {
            return write!(f, "{} bytes that are no IP packet", bytes.len());
        };
        let (source, destination) = (ip.source(), ip.destination());
        match TcpHeader::parse(&bytes[ip_len..]) {
            Ok((tcp, tcp_len)) if ip.protocol() == Protocol::TCP => {
                let len = bytes.len() - ip_len - tcp_len;
                let TcpHeader { source_port, destination_port, seq, ack, flags, window, options, .. } = tcp;
                write!(f, "{source}:{source_port} > {destination}:{destination_port} {flags} {seq}({len})")?;
                write!(f, " ack {ack} win {window}")?;
                for block in options.sack.as_slice() {
                    write!(f, " sack {}:{}", block.start, block.end)?;
                }
                Ok(())
            }
            _ => write!(f, "{source} > {destination} {}, {} bytes", ip.protocol(), bytes.len() - ip_len),
        }
    }
}
