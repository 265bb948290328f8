//! What is recorded of a host: the records that captures, the ladder, `why` and tests read.
//!
//! Order: what was received, then what it caused in the connection, then what the connection sent, then the
//! packets that carry it.

use crate::error::HostDropReason;
use crate::ids::{ConnectionId, InterfaceId};
use alloc::vec::Vec;
use ciao_tcp::Tracing;
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
    // RFC 9293 §3.9.1.9 MAY-9
    /// A packet, or several merged by the link, came. Its header has DSCP, ECN and hop limit as they arrived.
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
    /// From here on, records of received packets wait to be told whose they are.
    unattributed: usize,
}

impl Trace {
    pub(crate) fn new(tracing: Tracing) -> Self {
        Self { records: (tracing == Tracing::On).then(Vec::new), unattributed: 0 }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.records.is_some()
    }

    /// Collects a record; its event is not even built when collecting is off.
    pub(crate) fn record(
        &mut self,
        at: Instant,
        connection: Option<ConnectionId>,
        packet: Option<PacketId>,
        event: impl FnOnce() -> HostTraceEvent,
    ) {
        if let Some(records) = &mut self.records {
            records.push(TraceRecord { at, connection, packet, event: event() });
        }
    }

    /// The packets that are recorded from here on belong to a segment whose connection is not known yet.
    pub(crate) fn begin_arrival(&mut self) {
        self.unattributed = self.records.as_ref().map_or(0, Vec::len);
    }

    /// They are those of `connection`.
    pub(crate) fn attribute(&mut self, connection: ConnectionId) {
        let Some(records) = &mut self.records else { return };
        for record in records.iter_mut().skip(self.unattributed) {
            if matches!(record.event, HostTraceEvent::PacketReceived { .. }) {
                record.connection = Some(connection);
            }
        }
        self.begin_arrival();
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = TraceRecord> + '_ {
        self.unattributed = 0;
        self.records.iter_mut().flat_map(|records| records.drain(..))
    }
}
