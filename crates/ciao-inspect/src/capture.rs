//! How do the records of hosts become a capture that other tools read?
//!
//! Each host is an interface of the file. Beside each packet stand, as comments, the moves between states
//! that it caused or that caused it, timers, and why it was dropped. With two hosts that talked with each
//! other every packet is in the file twice, once for each end, and tools that do not know take the second for
//! a retransmission: write one, unless asked.

use crate::history::{Vantage, local_address, merge};
use crate::pcapng::{Direction, EnhancedPacket, Interface, InterfaceIndex, Writer};
use ciao_stack::{HostTraceEvent, TraceRecord};
use ciao_tcp::trace::Call;
use ciao_tcp::{Cause, TraceEvent, Transmission};
use ciao_wire::checksum::pseudo_header;
use ciao_wire::ip::{IpHeader, Protocol};
use ciao_wire::{Checksum, Packet};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::IpAddr;

/// Where a TCP header has its checksum.
const TCP_CHECKSUM_OFFSET: usize = ciao_wire::tcp::CHECKSUM_OFFSET;

/// Writes the records of some hosts as one file; `start_nanos` is the moment zero of the records, in
/// nanoseconds since 1970-01-01. All hosts of `known` give names to their addresses; `written` says whose
/// packets are in the file.
///
/// # Errors
/// What `out` answers.
pub fn write<W: io::Write>(
    out: W,
    known: &[Vantage<'_>],
    written: &[Vantage<'_>],
    start_nanos: u64,
) -> io::Result<W> {
    let mut names = BTreeMap::new();
    for vantage in known {
        names.extend(vantage.records.iter().filter_map(local_address).map(|address| (address, vantage.name)));
    }
    let hosts: Vec<&str> = written.iter().map(|vantage| vantage.name).collect();
    let mut recorder = Recorder::new(out, &hosts, names, start_nanos)?;
    for (vantage, record) in merge(written) {
        recorder.record(vantage, record)?;
    }
    recorder.finish()
}

/// Writes records as they come.
#[derive(Debug)]
pub struct Recorder<W> {
    writer: Writer<W>,
    hosts: Vec<Host>,
    /// Packets in the order of time, held back until it is known which comments belong to each.
    held: VecDeque<Held>,
    start_nanos: u64,
}

#[derive(Debug)]
struct Host {
    name: String,
    interface: InterfaceIndex,
    /// What happened since the host's last packet, and belongs to its next one.
    pending: Vec<String>,
}

#[derive(Debug)]
struct Held {
    host: usize,
    comments_are: Comments,
    at_nanos: u64,
    direction: Direction,
    packet: Packet,
    comments: Vec<String>,
}

impl<W: io::Write> Recorder<W> {
    /// Begins a file with an interface for each of `hosts`.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn new<'a>(
        out: W,
        hosts: &[&str],
        names: impl IntoIterator<Item = (IpAddr, &'a str)>,
        start_nanos: u64,
    ) -> io::Result<Self> {
        let mut writer = Writer::new(out, concat!("ciao ", env!("CARGO_PKG_VERSION")))?;
        writer.names(names)?;
        let interface_of = |name: &&str| {
            let interface =
                writer.interface(&Interface { name, description: "one end, as it saw it itself" })?;
            Ok(Host { name: (*name).to_owned(), interface, pending: Vec::new() })
        };
        let hosts = hosts.iter().map(interface_of).collect::<io::Result<_>>()?;
        Ok(Self { writer, hosts, held: VecDeque::new(), start_nanos })
    }

    /// Takes the next record of the host with this index.
    ///
    /// # Errors
    /// What the output answers.
    ///
    /// # Panics
    /// When there is no such host.
    pub fn record(&mut self, host: usize, record: &TraceRecord) -> io::Result<()> {
        let at_nanos = self.start_nanos.saturating_add(record.at.as_nanos());
        match &record.event {
            HostTraceEvent::PacketReceived { packet, .. } => {
                self.hold(host, at_nanos, Direction::Inbound, packet)
            }
            HostTraceEvent::PacketSent { packet, .. } => {
                self.hold(host, at_nanos, Direction::Outbound, packet)
            }
            HostTraceEvent::PacketDropped { reason } => {
                let text = format!("{}: dropped: {reason} ({})", self.hosts[host].name, reason.rule());
                self.comment(host, at_nanos, Belongs::ToArrival, text);
                Ok(())
            }
            HostTraceEvent::Tcp(event) => {
                if let Some((belongs, text)) = comment(event) {
                    let text = format!("{}: {text}", self.hosts[host].name);
                    self.comment(host, at_nanos, belongs, text);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn hold(&mut self, host: usize, at_nanos: u64, direction: Direction, packet: &Packet) -> io::Result<()> {
        if let Some(before) = self.last_of(host) {
            before.comments_are = Comments::Complete;
        }
        let comments = std::mem::take(&mut self.hosts[host].pending);
        let (comments_are, packet) = (Comments::Open, packet.clone());
        self.held.push_back(Held { host, comments_are, at_nanos, direction, packet, comments });
        while self.held.front().is_some_and(|first| first.comments_are == Comments::Complete) {
            let first = self.held.pop_front().expect("the loop has seen a first one");
            self.write(&first)?;
        }
        Ok(())
    }

    /// The packet of a host that may still be commented on.
    fn last_of(&mut self, host: usize) -> Option<&mut Held> {
        self.held.iter_mut().rfind(|held| held.host == host)
    }

    fn comment(&mut self, host: usize, at_nanos: u64, belongs: Belongs, text: String) {
        match self.last_of(host) {
            Some(last)
                if belongs == Belongs::ToArrival
                    && last.direction == Direction::Inbound
                    && last.at_nanos == at_nanos =>
            {
                last.comments.push(text);
            }
            _ => self.hosts[host].pending.push(text),
        }
    }

    fn write(&mut self, held: &Held) -> io::Result<()> {
        self.writer.packet(&EnhancedPacket {
            interface: self.hosts[held.host].interface,
            at_nanos: held.at_nanos,
            direction: held.direction,
            id: held.packet.id.0,
            comments: &held.comments,
            bytes: &whole(&held.packet),
        })
    }

    /// Writes what was held back and ends the file. What happened after a host's last packet becomes a
    /// comment of it.
    ///
    /// # Errors
    /// What the output answers.
    pub fn finish(mut self) -> io::Result<W> {
        for host in 0..self.hosts.len() {
            let later = std::mem::take(&mut self.hosts[host].pending);
            if let Some(last) = self.last_of(host) {
                last.comments.extend(later.into_iter().map(|text| format!("later: {text}")));
            }
        }
        while let Some(held) = self.held.pop_front() {
            self.write(&held)?;
        }
        self.writer.finish()
    }
}

/// Whether more may be said of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comments {
    Open,
    Complete,
}

/// Which packet a comment stands beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belongs {
    /// The one that came at that moment.
    ToArrival,
    /// The next one.
    ToNext,
}

/// What is said of an event; `None` for those that would only be in the way.
fn comment(event: &TraceEvent) -> Option<(Belongs, String)> {
    Some(match event {
        TraceEvent::StateChanged { from, to, cause } => {
            let belongs = match cause {
                Cause::ActiveOpen | Cause::CloseCalled | Cause::Aborted => Belongs::ToNext,
                _ => Belongs::ToArrival,
            };
            (belongs, format!("{from} → {to} ({cause})"))
        }
        TraceEvent::Dropped { reason, .. } => {
            (Belongs::ToArrival, format!("dropped: {reason} ({})", reason.rule()))
        }
        TraceEvent::TimerFired(timer) => (Belongs::ToNext, format!("timer: {timer}")),
        TraceEvent::Transmitted { transmission, .. } => match transmission {
            Transmission::First | Transmission::Ack => return None,
            transmission => (Belongs::ToNext, transmission.to_string()),
        },
        TraceEvent::LossFound { by, .. } => (Belongs::ToNext, format!("lost: {by}")),
        TraceEvent::Undone(cause) => (Belongs::ToArrival, format!("nothing was lost: {cause}")),
        TraceEvent::Called(call) => match call {
            Call::Connect => (Belongs::ToNext, "connect called".to_owned()),
            Call::Shutdown => (Belongs::ToNext, "shutdown called".to_owned()),
            Call::Close => (Belongs::ToNext, "close called".to_owned()),
            Call::Abort => (Belongs::ToNext, "abort called".to_owned()),
            Call::Send(_) | Call::Receive(_) => return None,
        },
        TraceEvent::Ended(Some(error)) => (Belongs::ToArrival, error.to_string()),
        _ => return None,
    })
}

/// The packet's bytes, its TCP checksum complete where a link was to complete it or has vouched for it.
fn whole(packet: &Packet) -> Vec<u8> {
    let mut bytes = packet.to_vec();
    if packet.checksum != Checksum::Unknown {
        complete_checksum(&mut bytes);
    }
    bytes
}

fn complete_checksum(bytes: &mut [u8]) -> Option<()> {
    let (ip, ip_len) = IpHeader::parse(bytes).ok()?;
    if ip.protocol() != Protocol::TCP {
        return None;
    }
    let segment = bytes.get_mut(ip_len..)?;
    let len = u32::try_from(segment.len()).ok()?;
    segment.get_mut(TCP_CHECKSUM_OFFSET..TCP_CHECKSUM_OFFSET + 2)?.fill(0);
    let sum = pseudo_header(ip.source(), ip.destination(), Protocol::TCP, len).add_bytes(segment).finish();
    segment[TCP_CHECKSUM_OFFSET..TCP_CHECKSUM_OFFSET + 2].copy_from_slice(&sum.to_be_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{A, P, Story};
    use crate::history::{Observed, Side, from_capture};
    use crate::pcapng;
    use bytes::Bytes;
    use ciao_tcp::{DropReason, TcpState};

    fn story() -> Story {
        let mut story = Story::default();
        story.opens();
        story.passes(Side::Left, 40, P | A, (1, 1), b"hello");
        story.dropped(Side::Right, 50, DropReason::Duplicate);
        story.closes(60, (6, 1));
        story
    }

    fn file(written: &[Side]) -> pcapng::Capture {
        let [left, right] = story().records();
        let both = [Vantage { name: "client", records: &left }, Vantage { name: "server", records: &right }];
        let chosen: Vec<_> = written.iter().map(|&side| both[side as usize]).collect();
        pcapng::read(&Bytes::from(write(Vec::new(), &both, &chosen, 1_000).unwrap())).unwrap()
    }

    #[test]
    fn moves_stand_beside_the_packets_that_caused_them() {
        let capture = file(&[Side::Right]);
        let comments: Vec<String> = capture.packets.iter().map(|packet| packet.comments.join("; ")).collect();
        assert_eq!(
            comments,
            [
                "server: LISTEN → SYN-RECEIVED (SYN received)",
                "",
                "server: SYN-RECEIVED → ESTABLISHED (SYN acknowledged)",
                "server: dropped: arrived before (RFC 9293 §3.10.7.4, first: sequence number)",
                "server: ESTABLISHED → CLOSE-WAIT (FIN received)",
                "",
                "server: CLOSE-WAIT → LAST-ACK (close called)",
                "server: LAST-ACK → CLOSED (FIN acknowledged)",
            ]
        );
        assert_eq!(capture.packets[0].at_nanos, 10_001_000);
        assert_eq!(capture.names.len(), 2);
    }

    #[test]
    fn what_follows_the_last_packet_is_not_lost() {
        let capture = file(&[Side::Left]);
        let last = capture.packets.last().unwrap();
        assert_eq!(last.comments.last().unwrap(), "later: client: TIME-WAIT → CLOSED (2 MSL over)");
    }

    #[test]
    fn checksums_that_a_link_was_to_complete_are_complete() {
        for packet in file(&Side::BOTH).packets {
            let (ip, ip_len) = IpHeader::parse(&packet.bytes).unwrap();
            let segment = &packet.bytes[ip_len..];
            let len = u32::try_from(segment.len()).unwrap();
            let sum = pseudo_header(ip.source(), ip.destination(), Protocol::TCP, len).add_bytes(segment);
            assert!(sum.is_valid());
        }
    }

    #[test]
    fn packets_of_two_hosts_are_in_the_order_of_time() {
        let capture = file(&Side::BOTH);
        assert!(capture.packets.is_sorted_by_key(|packet| packet.at_nanos));
        assert_eq!(capture.packets.len(), 16);
    }

    #[test]
    fn a_capture_of_both_ends_gives_the_same_states_as_their_records() {
        let told = story().connection();
        let read = from_capture(&file(&Side::BOTH));
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].ends[Side::Left].observed, Observed::Packets);
        assert_eq!(read[0].segments.len(), told.segments.len());
        for (read, told) in read[0].segments.iter().zip(&told.segments) {
            assert_eq!((read.sent, &read.arrivals), (told.sent, &told.arrivals));
        }
        for side in Side::BOTH {
            for state in TcpState::ALL {
                assert_eq!(read[0].was_in(side, state), told.was_in(side, state), "{side:?} in {state}");
            }
        }
    }

    #[test]
    fn a_capture_of_one_end_tells_the_other_ends_states() {
        let read = from_capture(&file(&[Side::Left]));
        assert_eq!(read[0].ends[Side::Right].observed, Observed::FromPeer);
        for state in [TcpState::SynReceived, TcpState::Established, TcpState::CloseWait, TcpState::LastAck] {
            assert!(read[0].was_in(Side::Right, state), "never in {state}");
        }
    }
}
