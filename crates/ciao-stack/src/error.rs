//! What a call may answer instead of success, and why the host dropped a packet.

use ciao_wire::icmpv6::parameter;
use ciao_wire::ipv6_extensions::Objection;
use core::fmt;

/// Why an active OPEN failed at once, without a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectError {
    /// The remote address is a broadcast, multicast or unspecified one, or its port is zero (RFC 9293
    /// §3.9.1.1 MUST-46).
    InvalidRemote,
    /// No route leads there.
    NoRoute,
    /// The local address is not one of this host, or not of the remote's version.
    AddressNotLocal,
    /// The four numbers, two addresses and two ports, belong to another connection, or the port to another
    /// socket.
    AddressInUse,
    /// Every port of [`crate::HostConfig::ephemeral_ports`] has a connection to this remote end.
    NoFreePort,
    /// The host has as many connections as it may have.
    TooManyConnections,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::InvalidRemote => "the remote address cannot be connected to",
            Self::NoRoute => "no route to the host",
            Self::AddressNotLocal => "the local address is not one of this host",
            Self::AddressInUse => "address in use",
            Self::NoFreePort => "every ephemeral port has a connection to this remote end",
            Self::TooManyConnections => "too many connections",
        })
    }
}

impl core::error::Error for ConnectError {}

/// Why a passive OPEN failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenError {
    /// The local address is not one of this host.
    AddressNotLocal,
    /// Another listener has the port.
    AddressInUse,
    /// Every port of the range is taken.
    NoFreePort,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AddressNotLocal => "the local address is not one of this host",
            Self::AddressInUse => "address in use",
            Self::NoFreePort => "every ephemeral port is in use",
        })
    }
}

impl core::error::Error for ListenError {}

impl From<BindError> for ListenError {
    fn from(error: BindError) -> Self {
        match error {
            BindError::AddressNotLocal => Self::AddressNotLocal,
            BindError::AddressInUse => Self::AddressInUse,
            BindError::NoFreePort => Self::NoFreePort,
        }
    }
}

/// Why a UDP socket could not be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BindError {
    /// The local address is not one of this host.
    AddressNotLocal,
    /// Another socket has the port.
    AddressInUse,
    /// Every port of the range is taken.
    NoFreePort,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AddressNotLocal => "the local address is not one of this host",
            Self::AddressInUse => "address in use",
            Self::NoFreePort => "every ephemeral port is in use",
        })
    }
}

impl core::error::Error for BindError {}

/// Why a datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UdpSendError {
    /// The remote address is unspecified or of the other version, or its port is zero.
    InvalidRemote,
    /// No route leads there.
    NoRoute,
    /// No datagram is so long: 65,507 bytes with IPv4, 65,527 with IPv6.
    TooLong,
    /// As many packets wait for the link as may.
    QueueFull,
}

impl fmt::Display for UdpSendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::InvalidRemote => "the remote address cannot be sent to",
            Self::NoRoute => "no route to the host",
            Self::TooLong => "no datagram is so long",
            Self::QueueFull => "too many packets wait for the link",
        })
    }
}

impl core::error::Error for UdpSendError {}

/// Why a packet was dropped before a connection saw it, or by the tables that stand before the connections.
/// What a connection drops itself has a [`ciao_tcp::DropReason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HostDropReason {
    /// No IP header, or one that contradicts itself.
    MalformedIp,
    /// The IPv4 header's checksum is wrong (RFC 1122 §3.2.1.2).
    IpChecksum,
    /// IPv6: an extension header or option that must not be passed over (RFC 8200 §4.2).
    UnknownExtension,
    /// A fragment whose length or place cannot be (RFC 8200 §4.5).
    MalformedFragment,
    /// A first fragment that hides a part of the transport header (RFC 3128, RFC 7112).
    TinyFragment,
    /// A fragment that overlaps another one; all of its datagram goes (RFC 5722).
    FragmentOverlap,
    /// Fragments of one datagram that disagree on congestion (RFC 3168 §5.3).
    FragmentEcn,
    /// A datagram in more fragments than are put together.
    TooManyFragments,
    /// A datagram in pieces that made room for a newer one, or found none.
    ReassemblyFull,
    /// A datagram whose last missing pieces did not come in time (RFC 8200 §4.5).
    ReassemblyTimeout,
    /// A source route (RFC 7126 §4).
    SourceRoute,
    /// The source address cannot be one (RFC 1122 §3.2.1.3, RFC 9293 §3.9.2.3 MUST-63).
    InvalidSource,
    /// The source is this host itself, but the packet came from outside.
    OwnSource,
    /// Not for this host (RFC 1122 §3.2.1.3).
    NotForUs,
    /// For all hosts, or a group, where only a packet for one makes sense (RFC 9293 §3.9.2.3 MUST-57).
    NotUnicast,
    /// A TCP header that contradicts itself.
    MalformedTcp,
    /// The TCP checksum is wrong (RFC 9293 §3.1 MUST-3).
    TcpChecksum,
    /// A UDP header that contradicts itself.
    MalformedUdp,
    /// The UDP checksum is wrong.
    UdpChecksum,
    /// An ICMP message that contradicts itself.
    MalformedIcmp,
    /// The ICMP checksum is wrong.
    IcmpChecksum,
    /// An ICMP message that nothing follows from: redirects, source quench, echo replies.
    IcmpIgnored,
    /// An ICMP error that quotes no packet of ours (RFC 5927 §4.1).
    IcmpQuoteUnknown,
    /// No transport of that number.
    UnknownProtocol,
    /// Nobody listens at the UDP port.
    UdpPortClosed,
    /// The UDP socket holds as much as it may.
    UdpQueueFull,
    /// No connection and no listener (RFC 9293 §3.10.7.1).
    NoConnection,
    /// The listener does not answer it (RFC 9293 §3.10.7.2).
    NotForListener,
    /// The listener's SYN queue is full.
    SynQueueFull,
    /// The listener's accept queue is full.
    AcceptQueueFull,
    /// A half-open connection does not take it; the record before this one has the reason.
    HalfOpen,
    /// A connection in TIME-WAIT does not take it; the record before this one has the reason.
    TimeWait,
    /// The host has as many connections as it may have.
    TooManyConnections,
    /// To be sent: as many packets wait for the link as may.
    TransmitQueueFull,
    /// To be sent: more answers of this kind than the rate allows.
    RateLimited,
}

impl HostDropReason {
    /// Why a packet is dropped whose headers are objected to.
    pub(crate) fn of(objection: Objection) -> Self {
        match objection.code {
            parameter::FIRST_FRAGMENT => Self::TinyFragment,
            _ => Self::UnknownExtension,
        }
    }

    /// All reasons, in the order of the checks.
    pub const ALL: [Self; 35] = [
        Self::MalformedIp,
        Self::IpChecksum,
        Self::UnknownExtension,
        Self::MalformedFragment,
        Self::TinyFragment,
        Self::FragmentOverlap,
        Self::FragmentEcn,
        Self::TooManyFragments,
        Self::ReassemblyFull,
        Self::ReassemblyTimeout,
        Self::SourceRoute,
        Self::InvalidSource,
        Self::OwnSource,
        Self::NotForUs,
        Self::NotUnicast,
        Self::MalformedTcp,
        Self::TcpChecksum,
        Self::MalformedUdp,
        Self::UdpChecksum,
        Self::MalformedIcmp,
        Self::IcmpChecksum,
        Self::IcmpIgnored,
        Self::IcmpQuoteUnknown,
        Self::UnknownProtocol,
        Self::UdpPortClosed,
        Self::UdpQueueFull,
        Self::NoConnection,
        Self::NotForListener,
        Self::SynQueueFull,
        Self::AcceptQueueFull,
        Self::HalfOpen,
        Self::TimeWait,
        Self::TooManyConnections,
        Self::TransmitQueueFull,
        Self::RateLimited,
    ];

    /// The rule that the packet broke, or the limit that it met.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::MalformedIp => "RFC 791 §3.1, RFC 8200 §3",
            Self::IpChecksum => "RFC 1122 §3.2.1.2",
            Self::UnknownExtension => "RFC 8200 §4.2, §4.4",
            Self::MalformedFragment => "RFC 8200 §4.5",
            Self::TinyFragment => "RFC 3128 §2, RFC 7112 §5",
            Self::FragmentOverlap => "RFC 5722 §4",
            Self::FragmentEcn => "RFC 3168 §5.3",
            Self::TooManyFragments => "limit `reassembly.max_fragments` of the host",
            Self::ReassemblyFull => "limits `reassembly` of the host",
            Self::ReassemblyTimeout => "RFC 1122 §3.3.2, RFC 8200 §4.5",
            Self::SourceRoute => "RFC 7126 §4.3, RFC 5095 §3",
            Self::InvalidSource => "RFC 1122 §3.2.1.3",
            Self::OwnSource => "RFC 1122 §3.2.1.3",
            Self::NotForUs => "RFC 1122 §3.2.1.3",
            Self::NotUnicast => "RFC 9293 §3.9.2.3 MUST-57",
            Self::MalformedTcp => "RFC 9293 §3.1",
            Self::TcpChecksum => "RFC 9293 §3.1 MUST-3",
            Self::MalformedUdp => "RFC 768",
            Self::UdpChecksum => "RFC 1122 §4.1.3.4",
            Self::MalformedIcmp => "RFC 792, RFC 4443 §2.1",
            Self::IcmpChecksum => "RFC 792, RFC 4443 §2.3",
            Self::IcmpIgnored => "RFC 1122 §3.2.2",
            Self::IcmpQuoteUnknown => "RFC 5927 §4.1",
            Self::UnknownProtocol => "RFC 1122 §3.2.2.1",
            Self::UdpPortClosed => "RFC 1122 §4.1.3.1",
            Self::UdpQueueFull => "limit `udp_receive_buffer_bytes` of the host",
            Self::NoConnection => "RFC 9293 §3.10.7.1",
            Self::NotForListener => "RFC 9293 §3.10.7.2",
            Self::SynQueueFull => "limit `syn_queue` of the listener",
            Self::AcceptQueueFull => "limit `backlog` of the listener",
            Self::HalfOpen => "RFC 9293 §3.10.7.4",
            Self::TimeWait => "RFC 9293 §3.10.7.4",
            Self::TooManyConnections => "limit `max_connections` of the host",
            Self::TransmitQueueFull => "limit `max_queued_packets` of the host",
            Self::RateLimited => "limits `icmp_errors_per_s` and `resets_per_s` of the host",
        }
    }
}

impl fmt::Display for HostDropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::MalformedIp => "malformed IP header",
            Self::IpChecksum => "wrong IPv4 header checksum",
            Self::UnknownExtension => "unknown extension header or option",
            Self::MalformedFragment => "malformed fragment",
            Self::TinyFragment => "first fragment too short",
            Self::FragmentOverlap => "overlapping fragments",
            Self::FragmentEcn => "fragments that disagree on congestion",
            Self::TooManyFragments => "too many fragments",
            Self::ReassemblyFull => "no room for fragments",
            Self::ReassemblyTimeout => "fragments missing for too long",
            Self::SourceRoute => "source route",
            Self::InvalidSource => "impossible source address",
            Self::OwnSource => "source is this host",
            Self::NotForUs => "not for this host",
            Self::NotUnicast => "sent to more than one host",
            Self::MalformedTcp => "malformed TCP header",
            Self::TcpChecksum => "wrong TCP checksum",
            Self::MalformedUdp => "malformed UDP header",
            Self::UdpChecksum => "wrong UDP checksum",
            Self::MalformedIcmp => "malformed ICMP message",
            Self::IcmpChecksum => "wrong ICMP checksum",
            Self::IcmpIgnored => "ICMP message without consequence",
            Self::IcmpQuoteUnknown => "ICMP error about a packet that we did not send",
            Self::UnknownProtocol => "unknown transport protocol",
            Self::UdpPortClosed => "no UDP socket",
            Self::UdpQueueFull => "UDP receive buffer full",
            Self::NoConnection => "no connection and no listener",
            Self::NotForListener => "not for a listener",
            Self::SynQueueFull => "SYN queue full",
            Self::AcceptQueueFull => "accept queue full",
            Self::HalfOpen => "not for a half-open connection",
            Self::TimeWait => "nothing to do in TIME-WAIT",
            Self::TooManyConnections => "too many connections",
            Self::TransmitQueueFull => "transmit queue full",
            Self::RateLimited => "answered too often",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_reasons_is_in_the_order_of_the_enum() {
        for (index, reason) in HostDropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
