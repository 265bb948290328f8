//! A batch of packets has arrived: each is checked, TCP segments that continue each other are merged, and
//! every one goes to its transport.
//!
//! The checks are in [`crate::ingress`], the rules of merging in [`crate::merge`].

use crate::context::{Context, Origin};
use crate::demux::Endpoints;
use crate::error::HostDropReason;
use crate::icmp::{self, Complaint, Consequence};
use crate::ids::InterfaceId;
use crate::ingress::{self, Datagram};
use crate::merge;
use crate::tcp::{Arrival, Tcp};
use crate::trace::HostTraceEvent;
use crate::udp::Udp;
use ciao_wire::{Instant, Packet, Protocol};
use core::net::SocketAddr;

/// The parts of the host that a batch meets.
pub(crate) struct Receiver<'a> {
    pub(crate) context: &'a mut Context,
    pub(crate) tcp: &'a mut Tcp,
    pub(crate) udp: &'a mut Udp,
    pub(crate) now: Instant,
    pub(crate) interface: InterfaceId,
    /// Segments of one connection, merged so far.
    pub(crate) run: Option<Arrival>,
}

/// What was in a packet.
enum Content {
    Segment(Arrival),
    Other(Datagram),
}

impl Receiver<'_> {
    /// Handles all of `packets`.
    pub(crate) fn receive(mut self, packets: impl IntoIterator<Item = Packet>) {
        for packet in packets {
            self.on_packet(packet);
        }
        self.end_run();
    }

    fn on_packet(&mut self, packet: Packet) {
        self.context.counters.packets_received += 1;
        let origin = Origin { interface: self.interface, packet: packet.id };
        let copy = self.context.trace.is_on().then(|| packet.clone());
        let content = match self.open(origin, packet) {
            Ok(Content::Segment(arrival)) if self.continues_run(&arrival) => {
                if let Some(run) = &mut self.run {
                    merge::append(&mut run.segment, arrival.segment);
                }
                return self.record(copy);
            }
            content => content,
        };
        self.end_run();
        self.context.trace.begin_arrival();
        self.record(copy);
        match content {
            Ok(Content::Segment(arrival)) => self.run = Some(arrival),
            Ok(Content::Other(datagram)) => {
                if let Err(reason) = self.on_datagram(origin, &datagram) {
                    self.context.drop_packet(self.now, origin.packet, reason);
                }
            }
            Err(reason) => self.context.drop_packet(self.now, origin.packet, reason),
        }
    }

    /// Records a packet before what it causes.
    fn record(&mut self, copy: Option<Packet>) {
        let Some(packet) = copy else { return };
        let interface = self.interface;
        self.context
            .trace
            .record(self.now, None, Some(packet.id), || HostTraceEvent::PacketReceived { interface, packet });
    }

    fn open(&self, origin: Origin, mut packet: Packet) -> Result<Content, HostDropReason> {
        let opened = ingress::open(&mut packet, self.interface, &self.context.interfaces)?;
        if opened.ip.protocol() != Protocol::TCP {
            return Ok(Content::Other(Datagram { packet, opened }));
        }
        // RFC 9293 §3.9.2.3 MUST-57
        let local = opened.local().ok_or(HostDropReason::NotUnicast)?;
        let segment = opened.segment(packet)?;
        let remote = SocketAddr::new(opened.ip.source(), segment.header.source_port);
        let endpoints = Endpoints::new(local, segment.header.destination_port, remote);
        Ok(Content::Segment(Arrival { origin, endpoints, segment }))
    }

    fn continues_run(&self, arrival: &Arrival) -> bool {
        self.run.as_ref().is_some_and(|run| {
            run.endpoints == arrival.endpoints && merge::continues(&run.segment, &arrival.segment)
        })
    }

    /// Gives the run to TCP.
    // RFC 9293 §3.10.7.4 MUST-58, MUST-59: what is merged is acknowledged once
    fn end_run(&mut self) {
        if let Some(arrival) = self.run.take() {
            self.tcp.handle_segment(self.context, self.now, arrival);
        }
    }

    fn on_datagram(&mut self, origin: Origin, datagram: &Datagram) -> Result<(), HostDropReason> {
        let Self { context, tcp, udp, now, .. } = self;
        let is_v4 = datagram.source().is_ipv4();
        match datagram.opened.ip.protocol() {
            Protocol::UDP => match udp.handle(context, datagram) {
                // RFC 1122 §4.1.3.1, §3.2.2.1 1122-3.2.2.1
                Err(HostDropReason::UdpPortClosed) => {
                    Err(icmp::send_error(context, *now, origin, datagram, Complaint::Port))
                }
                handled => handled,
            },
            protocol if protocol == if is_v4 { Protocol::ICMP } else { Protocol::ICMPV6 } => {
                match icmp::handle(context, *now, origin, datagram)? {
                    Consequence::Done => Ok(()),
                    Consequence::Error(reported, quote) => tcp.handle_icmp(context, *now, reported, &quote),
                }
            }
            // RFC 1122 §3.2.2.1 1122-3.2.2.1
            _ => Err(icmp::send_error(context, *now, origin, datagram, Complaint::Protocol)),
        }
    }
}
