//! UDP: bind, send, receive (RFC 768, RFC 1122 §4.1).
//!
//! A datagram that is longer than its path takes leaves in fragments ([`crate::fragmentation`]).

use crate::context::Context;
use crate::error::{BindError, HostDropReason, UdpSendError};
use crate::event::HostEvent;
use crate::fragmentation::{self, Message, QueueFull};
use crate::icmp::Reported;
use crate::ids::UdpId;
use crate::ingress::Datagram;
use crate::path_mtus::claimed_mtu;
use crate::ports::{self, Binding, Bindings, Reuse, Version};
use crate::request::IpOptions;
use alloc::collections::VecDeque;
use bytes::Bytes;
use ciao_tcp::IcmpErrorKind;
use ciao_wire::checksum::pseudo_header;
use ciao_wire::quote::Quote;
use ciao_wire::udp::{HEADER_BYTES, UdpHeader, checksum_field};
use ciao_wire::{Instant, Protocol};
use core::net::SocketAddr;
use slab::Slab;

/// What a waiting datagram costs besides its bytes, so that empty ones do not come free.
const OVERHEAD_BYTES: usize = 64;

/// The UDP sockets of a host.
#[derive(Debug, Default)]
pub(crate) struct Udp {
    sockets: Slab<UdpSocket>,
    bindings: Bindings,
    generation: u32,
}

#[derive(Debug)]
struct UdpSocket {
    generation: u32,
    binding: Binding,
    queue: VecDeque<(Bytes, SocketAddr)>,
    /// Of `queue`, overhead included.
    queued_bytes: usize,
    /// What ICMP said last of a datagram sent to there.
    error: Option<(SocketAddr, IcmpErrorKind)>,
    ip: IpOptions,
}

impl Udp {
    pub(crate) fn bind(&mut self, context: &mut Context, local: SocketAddr) -> Result<UdpId, BindError> {
        let binding = ports::binding_for(context, &self.bindings, local, Reuse::Exclusive)?;
        self.generation = self.generation.wrapping_add(1);
        let socket = UdpSocket {
            generation: self.generation,
            binding,
            queue: VecDeque::new(),
            queued_bytes: 0,
            error: None,
            ip: IpOptions::default(),
        };
        let slot = u32::try_from(self.sockets.insert(socket)).expect("there are at most 2^32 bindings");
        self.bindings.insert(binding, slot);
        Ok(UdpId { index: slot, generation: self.generation })
    }

    fn socket(&self, id: UdpId) -> &UdpSocket {
        let socket = self.sockets.get(id.index as usize).filter(|socket| socket.generation == id.generation);
        socket.expect("the owner uses no name of a socket that it has closed")
    }

    pub(crate) fn local(&self, context: &Context, id: UdpId) -> SocketAddr {
        ports::address_of(context, self.socket(id).binding)
    }

    pub(crate) fn send(
        &self,
        context: &mut Context,
        now: Instant,
        id: UdpId,
        bytes: &[u8],
        remote: SocketAddr,
    ) -> Result<(), UdpSendError> {
        let &UdpSocket { binding: Binding { port, version, local }, ip, .. } = self.socket(id);
        if remote.ip().is_unspecified() || remote.port() == 0 || Version::of(remote.ip()) != version {
            return Err(UdpSendError::InvalidRemote);
        }
        let path = context.interfaces.path(remote.ip()).ok_or(UdpSendError::NoRoute)?;
        // RFC 1122 §3.2.1.3 1122-3.2.1.3c
        let local = local.or_else(|| context.interfaces.source_for(path.interface, remote.ip()));
        let envelope = context.envelope(local.ok_or(UdpSendError::NoRoute)?, remote.ip(), ip);
        // IPv4 counts its own header, IPv6 does not.
        let ip_len = if remote.is_ipv4() { envelope.header_len() } else { 0 };
        if ip_len + HEADER_BYTES + bytes.len() > usize::from(u16::MAX) {
            return Err(UdpSendError::TooLong);
        }
        let len = u16::try_from(HEADER_BYTES + bytes.len()).expect("it was just checked");
        let header = UdpHeader { source_port: port, destination_port: remote.port(), len, checksum: 0 };
        let mut udp_bytes = [0; HEADER_BYTES];
        header.emit(&mut udp_bytes);
        let pseudo = pseudo_header(envelope.source, remote.ip(), Protocol::UDP, u32::from(len));
        let checksum = checksum_field(pseudo.add_bytes(&udp_bytes).add_bytes(bytes));
        UdpHeader { checksum, ..header }.emit(&mut udp_bytes);
        let body = Bytes::copy_from_slice(bytes);
        let message = Message { protocol: Protocol::UDP, header: &udp_bytes, body };
        fragmentation::send(context, now, path.interface, &envelope, message)
            .map_err(|QueueFull| UdpSendError::QueueFull)
    }

    pub(crate) fn receive(&mut self, id: UdpId, bytes: &mut [u8]) -> Option<(usize, SocketAddr)> {
        self.socket(id);
        let socket = &mut self.sockets[id.index as usize];
        let (datagram, remote) = socket.queue.pop_front()?;
        socket.queued_bytes -= datagram.len() + OVERHEAD_BYTES;
        let len = datagram.len().min(bytes.len());
        bytes[..len].copy_from_slice(&datagram[..len]);
        Some((len, remote))
    }

    pub(crate) fn take_error(&mut self, id: UdpId) -> Option<(SocketAddr, IcmpErrorKind)> {
        self.socket(id);
        self.sockets[id.index as usize].error.take()
    }

    pub(crate) fn ip_options(&self, id: UdpId) -> IpOptions {
        self.socket(id).ip
    }

    pub(crate) fn set_ip_options(&mut self, id: UdpId, ip: IpOptions) {
        self.socket(id);
        self.sockets[id.index as usize].ip = ip;
    }

    /// Hears what became of a datagram: how long a packet the path takes, or that it did not arrive.
    ///
    /// # Errors
    /// Why the message goes no further.
    pub(crate) fn handle_icmp(
        &mut self,
        context: &mut Context,
        now: Instant,
        reported: Reported,
        quote: &Quote,
    ) -> Result<(), HostDropReason> {
        let unknown = HostDropReason::IcmpQuoteUnknown;
        let local = context.interfaces.local(quote.source.ip()).ok_or(unknown)?;
        let version = Version::of(quote.source.ip());
        let index = self.bindings.find(quote.source.port(), version, local).ok_or(unknown)?;
        if let Some(mtu) = claimed_mtu(reported, quote) {
            context.learn_datagram_path(now, quote.destination.ip(), mtu);
            return Ok(());
        }
        let kind = reported.meaning().ok_or(HostDropReason::IcmpIgnored)?;
        let socket = &mut self.sockets[index as usize];
        socket.error = Some((quote.destination, kind));
        context.events.push_back(HostEvent::UdpReadable(UdpId { index, generation: socket.generation }));
        Ok(())
    }

    pub(crate) fn close(&mut self, id: UdpId) {
        let binding = self.socket(id).binding;
        self.sockets.remove(id.index as usize);
        self.bindings.remove(binding);
    }

    /// Gives a datagram to its socket.
    ///
    /// # Errors
    /// Why it is dropped.
    pub(crate) fn handle(
        &mut self,
        context: &mut Context,
        datagram: &Datagram,
    ) -> Result<(), HostDropReason> {
        let message = datagram.message();
        let header = UdpHeader::parse(&message).map_err(|_| HostDropReason::MalformedUdp)?;
        if usize::from(header.len) > message.len() {
            return Err(HostDropReason::MalformedUdp);
        }
        let message = message.slice(..usize::from(header.len));
        let sum = datagram.sum_of(&message, Protocol::UDP);
        if !datagram.is_vouched_for() && !header.is_checksum_valid(sum, datagram.source()) {
            return Err(HostDropReason::UdpChecksum);
        }
        let local = datagram.opened.local().ok_or(HostDropReason::NotUnicast)?;
        let version = Version::of(datagram.source());
        let holder = self.bindings.find(header.destination_port, version, local);
        let index = holder.ok_or(HostDropReason::UdpPortClosed)?;
        let socket = &mut self.sockets[index as usize];
        let data = message.slice(HEADER_BYTES..);
        let cost = data.len() + OVERHEAD_BYTES;
        if socket.queued_bytes + cost > context.config.udp_receive_buffer_bytes {
            return Err(HostDropReason::UdpQueueFull);
        }
        socket.queued_bytes += cost;
        if socket.queue.is_empty() {
            let id = UdpId { index, generation: socket.generation };
            context.events.push_back(HostEvent::UdpReadable(id));
        }
        socket.queue.push_back((data, SocketAddr::new(datagram.source(), header.source_port)));
        Ok(())
    }
}
