//! A batch of packets has arrived: each is checked, TCP segments that continue each other are merged, and
//! every one goes to its transport.
//!
//! The checks are in [`crate::ingress`], the rules of merging in [`crate::merge`].

use crate::carrier::{Carrier, Familiar};
use crate::context::{Context, Origin};
use crate::error::HostDropReason;
use crate::icmp::{self, Complaint, Consequence};
use crate::ids::InterfaceId;
use crate::ingress::{self, Datagram};
use crate::merge::{self, Appended, Template};
use crate::reassembly;
use crate::tcp::{Arrival, Tcp};
use crate::trace::HostTraceEvent;
use crate::udp::Udp;
use ciao_tcp::{Prediction, Segment};
use ciao_wire::{Instant, Packet, Protocol, TcpHeader};
use core::borrow::BorrowMut;

/// The parts of the host that a batch meets.
pub(crate) struct Receiver<'a> {
    pub(crate) context: &'a mut Context,
    pub(crate) tcp: &'a mut Tcp,
    pub(crate) udp: &'a mut Udp,
    pub(crate) now: Instant,
    pub(crate) interface: InterfaceId,
    /// Segments of one connection, merged so far, while others may follow.
    run: Option<Arrival>,
    /// The headers of the run, while all its packets have the same.
    template: Option<Template>,
    /// The packet at hand, for the trace.
    copy: Option<Packet>,
}

impl<'a> Receiver<'a> {
    pub(crate) fn new(
        context: &'a mut Context,
        tcp: &'a mut Tcp,
        udp: &'a mut Udp,
        now: Instant,
        interface: InterfaceId,
    ) -> Self {
        Self { context, tcp, udp, now, interface, run: None, template: None, copy: None }
    }

    /// Handles all of `packets`.
    pub(crate) fn receive(mut self, packets: impl IntoIterator<Item = impl BorrowMut<Packet>>) {
        for mut packet in packets {
            self.on_packet(packet.borrow_mut());
        }
        if self.run.is_some() {
            self.end_run();
        }
    }

    fn on_packet(&mut self, packet: &mut Packet) {
        self.context.counters.packets_received += 1;
        if self.context.trace.is_on() {
            self.copy = Some(packet.clone());
        }
        if let (Some(run), Some(template)) = (&mut self.run, &self.template)
            && template.append(&mut run.segment, packet) == Appended::Yes
        {
            return self.record();
        }
        let origin = Origin { interface: self.interface, packet: packet.id };
        if self.run.is_none() && self.on_plain(packet) == Prediction::Held {
            return;
        }
        let familiar = self.context.familiar.as_ref();
        let handled = match familiar.and_then(|familiar| familiar.glance(self.interface, packet)) {
            Some(carrier) => self.on_segment(origin, &carrier, packet),
            None => self.on_unfamiliar(origin, core::mem::take(packet)),
        };
        if let Err(reason) = handled {
            self.interrupt_run();
            self.context.drop_packet(self.now, origin.packet, reason);
        }
    }

    /// Opens a packet in the regular way.
    fn on_unfamiliar(&mut self, origin: Origin, mut packet: Packet) -> Result<(), HostDropReason> {
        let opened = match ingress::open(&mut packet, self.interface, &self.context.interfaces) {
            Ok(opened) => opened,
            Err(HostDropReason::UnknownExtension) => return Err(self.object(origin, packet)),
            Err(reason) => return Err(reason),
        };
        if opened.ip.is_fragment() {
            self.interrupt_run();
            return self.on_fragment(origin, &Datagram { packet, opened });
        }
        if opened.ip.protocol() != Protocol::TCP {
            self.interrupt_run();
            return self.on_datagram(origin, &Datagram { packet, opened });
        }
        let carrier = Carrier::of(&opened)?;
        self.context.familiar = Familiar::new(self.interface, &packet, carrier);
        self.on_segment(origin, &carrier, &mut packet)
    }

    /// Tells the sender of a packet which of its extension headers is refused, where the RFC wants that.
    #[cold]
    fn object(&mut self, origin: Origin, packet: Packet) -> HostDropReason {
        self.interrupt_run();
        let refused = ingress::open_refused(&packet, self.interface, &self.context.interfaces);
        let Some((opened, objection)) = refused else { return HostDropReason::UnknownExtension };
        if opened.local().is_none() {
            return HostDropReason::of(objection);
        }
        let datagram = Datagram { packet, opened };
        icmp::send_error(self.context, self.now, origin, &datagram, Complaint::Header(objection))
    }

    /// Puts a fragment beside the others of its datagram, and handles the datagram when it was the last one
    /// missing.
    #[cold]
    fn on_fragment(&mut self, origin: Origin, fragment: &Datagram) -> Result<(), HostDropReason> {
        let Some(mut packet) = reassembly::handle(self.context, self.now, origin, fragment)? else {
            return Ok(());
        };
        let opened = ingress::open(&mut packet, self.interface, &self.context.interfaces)?;
        if opened.ip.protocol() != Protocol::TCP {
            return self.on_datagram(origin, &Datagram { packet, opened });
        }
        self.on_segment(origin, &Carrier::of(&opened)?, &mut packet)
    }

    /// Gives TCP a segment that it is likely to expect, unless somebody wants to know all of it.
    #[inline]
    fn on_plain(&mut self, packet: &mut Packet) -> Prediction {
        let familiar = self.context.familiar.as_ref();
        match familiar.and_then(|familiar| familiar.glance_plain(self.interface, packet)) {
            Some(segment) if !self.context.trace.is_on() => {
                self.tcp.handle_plain(self.context, self.now, &segment, &mut packet.payload)
            }
            _ => Prediction::Failed,
        }
    }

    /// Merges a segment into the run, lets it begin another one, or gives it to TCP when none can follow.
    ///
    /// # Errors
    /// Why the packet is dropped.
    #[inline]
    fn on_segment(
        &mut self,
        origin: Origin,
        carrier: &Carrier,
        packet: &mut Packet,
    ) -> Result<(), HostDropReason> {
        let template = Template::of(packet, carrier);
        let mut arrival = Arrival { origin, endpoints: carrier.addresses(), segment: Segment::default() };
        carrier.take_segment(packet, &mut arrival.segment)?;
        let TcpHeader { source_port, destination_port, .. } = arrival.segment.header;
        arrival.endpoints.set_ports(destination_port, source_port);
        if let Some(run) = &mut self.run
            && run.endpoints == arrival.endpoints
            && merge::continues(&run.segment, &arrival.segment)
        {
            merge::append(&mut run.segment, arrival.segment);
            self.template = template.filter(|template| template.suits(&run.segment));
            self.record();
            return Ok(());
        }
        self.interrupt_run();
        if merge::may_be_continued(&arrival.segment) {
            self.template = template;
            self.run = Some(arrival);
        } else {
            self.tcp.handle_segment(self.context, self.now, &mut arrival);
        }
        Ok(())
    }

    /// Gives the run to TCP before the packet at hand is recorded and handled.
    fn interrupt_run(&mut self) {
        self.end_run();
        self.context.trace.begin_arrival();
        self.record();
    }

    /// Records the packet at hand, once and before what it causes.
    fn record(&mut self) {
        let Some(packet) = self.copy.take() else { return };
        let interface = self.interface;
        self.context
            .trace
            .record(self.now, None, Some(packet.id), || HostTraceEvent::PacketReceived { interface, packet });
    }

    /// Gives the run to TCP.
    // RFC 9293 §3.10.7.4 MUST-58, MUST-59: what is merged is acknowledged once
    fn end_run(&mut self) {
        if let Some(mut run) = self.run.take() {
            self.tcp.handle_segment(self.context, self.now, &mut run);
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
                    Consequence::Error(reported, quote) => match quote.protocol {
                        Protocol::TCP => tcp.handle_icmp(context, *now, reported, &quote),
                        Protocol::UDP => udp.handle_icmp(context, *now, reported, &quote),
                        _ => icmp::handle_quoted_reply(context, *now, reported, &quote),
                    },
                }
            }
            // RFC 1122 §3.2.2.1 1122-3.2.2.1
            _ => Err(icmp::send_error(context, *now, origin, datagram, Complaint::Protocol)),
        }
    }
}
