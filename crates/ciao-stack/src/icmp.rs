//! ICMP of both versions: echo is answered, errors go out and come in (RFC 792, RFC 1122 §3.2.2, RFC 4443).
//!
//! Redirects and source quench change nothing (RFC 6633). What an error does to the connection that it quotes
//! is decided in `ciao-tcp`.

use crate::context::{Context, Origin};
use crate::error::HostDropReason;
use crate::fragmentation::{self, Message};
use crate::ingress::Datagram;
use crate::path_mtus::claimed_mtu;
use crate::request::IpOptions;
use bytes::Bytes;
use ciao_tcp::icmp::IcmpErrorKind;
use ciao_wire::icmpv4::{self, Icmpv4};
use ciao_wire::icmpv6::{self, Icmpv6};
use ciao_wire::ipv6_extensions::Objection;
use ciao_wire::quote::Quote;
use ciao_wire::{Instant, IpHeader, PacketId, ParseError, Protocol, ipv4, ipv6};
use core::net::IpAddr;

/// The longest ICMPv4 error, IP header included: what every host can take (RFC 1812 §4.3.2.3).
const MAX_ERROR_V4_BYTES: usize = 576;
/// The longest ICMPv6 error (RFC 4443 §2.4 c).
const MAX_ERROR_V6_BYTES: usize = 1280;
/// The code of "time exceeded" for fragments, in both versions (RFC 792, RFC 4443 §3.3).
const REASSEMBLY_TIME_EXCEEDED: u8 = 1;
/// Type and code of an answer to an echo request, in both versions.
const ECHO_REPLY_V4: [u8; 2] = [0, 0];
const ECHO_REPLY_V6: [u8; 2] = [129, 0];
/// Where the next header stands in the fixed IPv6 header.
const NEXT_HEADER_OFFSET: u32 = 6;

/// What we may complain about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// Nobody has the UDP port.
    Port,
    /// The transport is unknown.
    Protocol,
    /// The header says what cannot be followed, IPv6 alone.
    Header(Objection),
    /// Fragments did not come in time.
    ReassemblyTime,
}

/// What follows from a message.
#[derive(Debug)]
pub(crate) enum Consequence {
    /// Nothing more.
    Done,
    /// An error about a packet of ours.
    Error(Reported, Quote),
}

/// What an ICMP error says, in both versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reported {
    V4(Icmpv4),
    V6(Icmpv6),
}

impl Reported {
    /// What the error means to a connection; nothing when no connection acts upon it.
    // RFC 9293 §3.9.2.2 MUST-56, SHLD-25, SHLD-26; RFC 4443 §3.1
    pub(crate) fn meaning(self) -> Option<IcmpErrorKind> {
        use {icmpv4::unreachable as v4, icmpv6::unreachable as v6};
        Some(match self {
            Self::V4(Icmpv4::Unreachable { code, .. }) => match code {
                v4::FRAGMENTATION_NEEDED => return None,
                v4::PROTOCOL | v4::PORT => IcmpErrorKind::PortUnreachable,
                v4::HOST => IcmpErrorKind::HostUnreachable,
                _ => IcmpErrorKind::NetworkUnreachable,
            },
            Self::V6(Icmpv6::Unreachable { code }) => match code {
                v6::PORT => IcmpErrorKind::PortUnreachable,
                v6::ADDRESS => IcmpErrorKind::HostUnreachable,
                _ => IcmpErrorKind::NetworkUnreachable,
            },
            Self::V4(Icmpv4::TimeExceeded { .. }) | Self::V6(Icmpv6::TimeExceeded { .. }) => {
                IcmpErrorKind::NetworkUnreachable
            }
            // Of the peer's stack, not of the path: it will not get better or worse by our knowing.
            _ => return None,
        })
    }
}

/// Reads a message and answers an echo request.
///
/// # Errors
/// Why it is dropped.
pub(crate) fn handle(
    context: &mut Context,
    now: Instant,
    origin: Origin,
    datagram: &Datagram,
) -> Result<Consequence, HostDropReason> {
    let message = datagram.message();
    // RFC 1122 §3.2.2.6 1122-3.2.2.6b: echo to many is ignored, so that nobody multiplies it
    datagram.opened.local().ok_or(HostDropReason::NotUnicast)?;
    match datagram.opened.ip {
        IpHeader::V4(_) => handle_v4(context, now, origin, datagram, &message),
        IpHeader::V6(_) => handle_v6(context, now, origin, datagram, &message),
    }
}

fn handle_v4(
    context: &mut Context,
    now: Instant,
    origin: Origin,
    datagram: &Datagram,
    message: &Bytes,
) -> Result<Consequence, HostDropReason> {
    let (parsed, body) = Icmpv4::parse(message).map_err(malformed)?;
    match parsed {
        // RFC 1122 §3.2.2.6 1122-3.2.2.6a
        Icmpv4::EchoRequest { identifier, sequence } => {
            let reply = Icmpv4::EchoReply { identifier, sequence };
            let body = message.slice_ref(body);
            answer(context, now, origin, datagram, &reply.emit(&body), body);
            Ok(Consequence::Done)
        }
        Icmpv4::Unreachable { .. } | Icmpv4::TimeExceeded { .. } | Icmpv4::ParameterProblem { .. } => {
            quoted(Reported::V4(parsed), body)
        }
        // RFC 9293 §3.9.2.2 MUST-55, RFC 6633 6633-1; RFC 1122 §3.2.2.2 1122-3.2.2.2
        Icmpv4::SourceQuench | Icmpv4::Redirect { .. } | Icmpv4::EchoReply { .. } | Icmpv4::Other { .. } => {
            Err(HostDropReason::IcmpIgnored)
        }
    }
}

fn handle_v6(
    context: &mut Context,
    now: Instant,
    origin: Origin,
    datagram: &Datagram,
    message: &Bytes,
) -> Result<Consequence, HostDropReason> {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (datagram.source(), datagram.destination()) else {
        return Err(HostDropReason::UnknownProtocol);
    };
    let (parsed, body) = Icmpv6::parse(message, source, destination).map_err(malformed)?;
    match parsed {
        Icmpv6::EchoRequest { identifier, sequence } => {
            let reply = Icmpv6::EchoReply { identifier, sequence };
            let body = message.slice_ref(body);
            answer(context, now, origin, datagram, &reply.emit(destination, source, &body), body);
            Ok(Consequence::Done)
        }
        Icmpv6::Unreachable { .. }
        | Icmpv6::PacketTooBig { .. }
        | Icmpv6::TimeExceeded { .. }
        | Icmpv6::ParameterProblem { .. } => quoted(Reported::V6(parsed), body),
        Icmpv6::EchoReply { .. } | Icmpv6::Other { .. } => Err(HostDropReason::IcmpIgnored),
    }
}

fn malformed(error: ParseError) -> HostDropReason {
    match error {
        ParseError::Checksum => HostDropReason::IcmpChecksum,
        _ => HostDropReason::MalformedIcmp,
    }
}

fn quoted(reported: Reported, body: &[u8]) -> Result<Consequence, HostDropReason> {
    let quote = Quote::parse(body).map_err(|_| HostDropReason::MalformedIcmp)?;
    Ok(Consequence::Error(reported, quote))
}

/// Hears of an answer to an echo that it was too long. Nothing in it could be known only to whom it passed
/// by, so it counts for datagrams alone.
pub(crate) fn handle_quoted_reply(
    context: &mut Context,
    now: Instant,
    reported: Reported,
    quote: &Quote,
) -> Result<(), HostDropReason> {
    let first_bytes = quote.source.port().to_be_bytes();
    let was_sent = matches!((quote.protocol, first_bytes), (Protocol::ICMP, ECHO_REPLY_V4))
        || matches!((quote.protocol, first_bytes), (Protocol::ICMPV6, ECHO_REPLY_V6));
    if !was_sent || context.interfaces.local(quote.source.ip()).is_none() {
        return Err(HostDropReason::IcmpQuoteUnknown);
    }
    let mtu = claimed_mtu(reported, quote).ok_or(HostDropReason::IcmpIgnored)?;
    context.learn_datagram_path(now, quote.destination.ip(), mtu);
    Ok(())
}

/// Sends a message back to where `datagram` came from, from the address that it was sent to.
fn answer(
    context: &mut Context,
    now: Instant,
    origin: Origin,
    datagram: &Datagram,
    first_bytes: &[u8; icmpv4::HEADER_BYTES],
    body: Bytes,
) {
    let Some(local) = datagram.opened.local() else { return };
    let envelope = context.envelope(local, datagram.source(), IpOptions::default());
    let protocol = if envelope.source.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 };
    let message = Message { protocol, header: first_bytes, body };
    if fragmentation::send(context, now, origin.interface, &envelope, message).is_err() {
        context.drop_packet(now, PacketId(0), HostDropReason::TransmitQueueFull);
    }
}

/// Sends an error about `datagram` to its source, unless it was for many or is an error itself, or too many
/// errors have gone there already. Answers why the datagram goes no further.
// RFC 1122 §3.2.2 1122-3.2.2a, 1122-3.2.2b
// RFC 4443 §2.4 4443-2.4a, 4443-2.4b
pub(crate) fn send_error(
    context: &mut Context,
    now: Instant,
    origin: Origin,
    datagram: &Datagram,
    complaint: Complaint,
) -> HostDropReason {
    let Some(local) = datagram.opened.local() else { return HostDropReason::NotUnicast };
    let source = datagram.source();
    if is_error(datagram) {
        return reason_of(complaint);
    }
    if !context.icmp_errors.take(now, source) {
        return HostDropReason::RateLimited;
    }
    match (source, context.interfaces.address(local)) {
        (IpAddr::V4(_), _) => {
            let unreachable = |code| Icmpv4::Unreachable { code, next_hop_mtu: 0 };
            let error = match complaint {
                Complaint::Port => unreachable(icmpv4::unreachable::PORT),
                Complaint::Protocol => unreachable(icmpv4::unreachable::PROTOCOL),
                Complaint::ReassemblyTime => Icmpv4::TimeExceeded { code: REASSEMBLY_TIME_EXCEEDED },
                Complaint::Header(_) => unreachable!("IPv4 has no extension headers to object to"),
            };
            let body = datagram.quote(MAX_ERROR_V4_BYTES - ipv4::HEADER_BYTES - icmpv4::HEADER_BYTES);
            answer(context, now, origin, datagram, &error.emit(&body), body);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let error = match complaint {
                Complaint::Port => Icmpv6::Unreachable { code: icmpv6::unreachable::PORT },
                Complaint::Protocol => {
                    let code = icmpv6::parameter::NEXT_HEADER;
                    Icmpv6::ParameterProblem { code, pointer: NEXT_HEADER_OFFSET }
                }
                Complaint::ReassemblyTime => Icmpv6::TimeExceeded { code: REASSEMBLY_TIME_EXCEEDED },
                Complaint::Header(Objection { code, pointer, .. }) => {
                    Icmpv6::ParameterProblem { code, pointer: u32::from(pointer) }
                }
            };
            let body = datagram.quote(MAX_ERROR_V6_BYTES - ipv6::HEADER_BYTES - icmpv6::HEADER_BYTES);
            answer(context, now, origin, datagram, &error.emit(destination, source, &body), body);
        }
        (IpAddr::V6(_), IpAddr::V4(_)) => unreachable!("a header has two addresses of one version"),
    }
    reason_of(complaint)
}

/// Whether a packet reports an error itself, as far as that can be seen: its first fragment may be all that
/// came of it.
fn is_error(datagram: &Datagram) -> bool {
    let bytes = datagram.quote(datagram.opened.ip_len + icmpv4::HEADER_BYTES);
    let kind = bytes.get(datagram.opened.ip_len).copied();
    match datagram.opened.ip.protocol() {
        Protocol::ICMP => kind.is_none_or(icmpv4::is_error_type),
        Protocol::ICMPV6 => kind.is_none_or(icmpv6::is_error_type),
        _ => false,
    }
}

fn reason_of(complaint: Complaint) -> HostDropReason {
    match complaint {
        Complaint::Port => HostDropReason::UdpPortClosed,
        Complaint::Protocol => HostDropReason::UnknownProtocol,
        Complaint::Header(objection) => HostDropReason::of(objection),
        Complaint::ReassemblyTime => HostDropReason::ReassemblyTimeout,
    }
}
