//! A batch of packets has arrived: each is checked, TCP segments that continue each other are merged, and
//! every one goes to its transport.
//!
//! The checks are in [`crate::ingress`], the rules of merging in [`crate::merge`].

use crate::context::{Context, Origin};
use crate::demux::Endpoints;
use crate::error::HostDropReason;
use crate::icmp::{self, Complaint, Consequence};
use crate::ids::InterfaceId;
use crate::ingress::{self, Datagram, Opened};
use crate::merge::{self, Appended, Template};
use crate::reassembly;
use crate::tcp::{Arrival, Tcp};
use crate::trace::HostTraceEvent;
use crate::udp::Udp;
use ciao_wire::{Instant, Packet, Protocol, TcpHeader};

/// The parts of the host that a batch meets.
pub(crate) struct Receiver<'a> {
    pub(crate) context: &'a mut Context,
    pub(crate) tcp: &'a mut Tcp,
    pub(crate) udp: &'a mut Udp,
    pub(crate) now: Instant,
    pub(crate) interface: InterfaceId,
    /// Segments of one connection, merged so far.
    pub(crate) run: Option<Arrival>,
    /// The headers of the run, while all its packets have the same.
    pub(crate) template: Option<Template>,
}

impl Receiver<'_> {
    /// Handles all of `packets`.
    pub(crate) fn receive(mut self, packets: impl IntoIterator<Item = Packet>) {
        for packet in packets {
            self.on_packet(packet);
        }
        self.end_run();
    }

    fn on_packet(&mut self, mut packet: Packet) {
        self.context.counters.packets_received += 1;
        let origin = Origin { interface: self.interface, packet: packet.id };
        let copy = self.context.trace.is_on().then(|| packet.clone());
        if let (Some(run), Some(template)) = (&mut self.run, &self.template)
            && template.append(&mut run.segment, &mut packet) == Appended::Yes
        {
            return self.record(copy);
        }
        let handled = match ingress::open(&mut packet, self.interface, &self.context.interfaces) {
            Ok(opened) if opened.ip.is_fragment() => {
                self.interrupt_run(copy);
                return self.on_fragment(origin, &Datagram { packet, opened });
            }
            Ok(opened) if opened.ip.protocol() == Protocol::TCP => {
                let template = Template::of(&packet, &opened);
                match arrival(origin, &opened, packet) {
                    Ok(arrival) => return self.on_arrival(arrival, template, copy),
                    Err(reason) => Err(reason),
                }
            }
            Ok(opened) => Ok(Datagram { packet, opened }),
            Err(reason) => Err(reason),
        };
        self.interrupt_run(copy);
        if let Err(reason) = handled.and_then(|datagram| self.on_datagram(origin, &datagram)) {
            self.context.drop_packet(self.now, origin.packet, reason);
        }
    }

    /// Puts a fragment beside the others of its datagram, and handles the datagram when it was the last one
    /// missing.
    #[cold]
    fn on_fragment(&mut self, origin: Origin, fragment: &Datagram) {
        let handled = match reassembly::handle(self.context, self.now, origin, fragment) {
            Ok(Some(whole)) => self.on_whole(origin, whole),
            Ok(None) => Ok(()),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = handled {
            self.context.drop_packet(self.now, origin.packet, reason);
        }
    }

    fn on_whole(&mut self, origin: Origin, mut packet: Packet) -> Result<(), HostDropReason> {
        let opened = ingress::open(&mut packet, self.interface, &self.context.interfaces)?;
        if opened.ip.protocol() != Protocol::TCP {
            return self.on_datagram(origin, &Datagram { packet, opened });
        }
        let arrival = arrival(origin, &opened, packet)?;
        self.tcp.handle_segment(self.context, self.now, arrival);
        Ok(())
    }

    /// Merges a segment into the run, or begins another one with it.
    fn on_arrival(&mut self, arrival: Arrival, template: Option<Template>, copy: Option<Packet>) {
        match &mut self.run {
            Some(run) if continues(run, &arrival) => {
                merge::append(&mut run.segment, arrival.segment);
                self.template = template.filter(|template| template.suits(&run.segment));
                self.record(copy);
            }
            _ => {
                self.interrupt_run(copy);
                self.run = Some(arrival);
                self.template = template;
            }
        }
    }

    /// Gives the run to TCP before the packet in `copy` is recorded and handled.
    fn interrupt_run(&mut self, copy: Option<Packet>) {
        self.end_run();
        self.context.trace.begin_arrival();
        self.record(copy);
    }

    /// Records a packet before what it causes.
    fn record(&mut self, copy: Option<Packet>) {
        let Some(packet) = copy else { return };
        let interface = self.interface;
        self.context
            .trace
            .record(self.now, None, Some(packet.id), || HostTraceEvent::PacketReceived { interface, packet });
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

fn arrival(origin: Origin, opened: &Opened, packet: Packet) -> Result<Arrival, HostDropReason> {
    // RFC 9293 §3.9.2.3 MUST-57
    let local = opened.local().ok_or(HostDropReason::NotUnicast)?;
    let segment = opened.segment(packet)?;
    let TcpHeader { source_port, destination_port, .. } = segment.header;
    let endpoints = Endpoints::between((local, destination_port), (opened.ip.source(), source_port));
    Ok(Arrival { origin, endpoints, segment })
}

fn continues(run: &Arrival, next: &Arrival) -> bool {
    run.endpoints == next.endpoints && merge::continues(&run.segment, &next.segment)
}
