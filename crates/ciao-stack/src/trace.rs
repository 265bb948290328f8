//! What is recorded of a host: the records that captures, the ladder, `why` and tests read.
//!
//! Order: what was received, then what it caused in the connection, then what the connection sent, then the
//! packets that carry it.

use crate::error::HostDropReason;
use crate::ids::{ConnectionId, InterfaceId};
use alloc::vec::Vec;
use ciao_wire::{Instant, Packet, PacketId};
use core::net::SocketAddr;

/// One record.
#[derive(Clone, Debug)]
pub struct TraceRecord {
    /// When.
    pub at: Instant,
    /// Of which connection, where it is one's.
    pub connection: Option<ConnectionId>,
    /// Because of, or in, which packet; its number is the same at both ends.
    pub packet: Option<PacketId>,
    /// What.
    pub event: HostTraceEvent,
}

/// Which end opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opening {
    /// This one: it sent the first SYN.
    Active,
    /// The peer: a listener took its SYN.
    Passive,
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HostTraceEvent {
    /// The host heard of a new connection.
    Opened {
        /// This end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
        /// Who began.
        opening: Opening,
    },
    /// A packet, or a super-segment, was handed to the link.
    PacketSent {
        /// Through which interface.
        interface: InterfaceId,
        /// The packet; its payload is shared, not copied.
        packet: Packet,
    },
    /// A packet, or several merged by the link, came.
    PacketReceived {
        /// Through which interface.
        interface: InterfaceId,
        /// The packet; its payload is shared, not copied.
        packet: Packet,
    },
    /// The packet was dropped before a connection saw it.
    PacketDropped {
        /// Why.
        reason: HostDropReason,
    },
    /// Something happened in the connection.
    Tcp(ciao_tcp::TraceEvent),
}

/// The collected records; nothing at all when switched off.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    records: Option<Vec<TraceRecord>>,
}
