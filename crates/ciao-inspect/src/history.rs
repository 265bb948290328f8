//! What happened on each connection, told from both ends at once?
//!
//! A [`Connection`] is made of the records of one or two hosts, joined by the number that a packet keeps from
//! its sender to its receiver, or of a capture. How: `history/build.rs`. What is not recorded is inferred
//! from the segments, and marked so: `history/infer.rs`. Which HTTP messages a segment carries:
//! [`crate::http`].

mod build;
mod infer;
mod stream;

use crate::http::{Carried, Element};
use ciao_stack::{HostDropReason, TraceRecord};
use ciao_tcp::trace::{Call, LossSign, UndoCause};
use ciao_tcp::{Cause, ConnectionError, DropReason, SizeCause, TcpState, Timer, Transmission};
use ciao_wire::{Instant, Payload, TcpHeader};
use std::fmt;
use std::net::SocketAddr;
use std::ops::{Index, IndexMut, Not};
use std::time::Duration;

pub use build::{from_capture, from_hosts};
pub(crate) use build::{local_address, merge};

/// What one host recorded.
#[derive(Clone, Copy, Debug)]
pub struct Vantage<'a> {
    /// The host's name, as it is shown.
    pub name: &'a str,
    /// Its records in order.
    pub records: &'a [TraceRecord],
}

/// An end of a connection, and its lane in the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The end that opened: the client.
    Left,
    /// The end that was called: the server.
    Right,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Left, Self::Right];
}

impl Not for Side {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// One value for each end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pair<T>(pub [T; 2]);

impl<T> Index<Side> for Pair<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        &self.0[side as usize]
    }
}

impl<T> IndexMut<Side> for Pair<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        &mut self.0[side as usize]
    }
}

/// One connection from its first SYN to the end of TIME-WAIT, as far as it was observed.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The two ends.
    pub ends: Pair<End>,
    /// Which connection between these two addresses and ports, counted from 1.
    pub incarnation: u32,
    /// All segments, in the order of sending; of those sent by an end that was not observed, of arrival.
    pub segments: Vec<Segment>,
    /// All that happened, in the order of time.
    pub events: Vec<Event>,
    /// The HTTP messages and frames that each end sent.
    pub http: Pair<Vec<Element>>,
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub struct End {
    /// The host's name.
    pub name: String,
    /// Its address and port.
    pub address: SocketAddr,
    /// How much of it is known.
    pub observed: Observed,
    /// Its state before the first event, if known.
    pub first_state: Option<TcpState>,
}

/// How much is known of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observed {
    /// Nothing but what its peer saw; states are inferred.
    FromPeer,
    /// Its packets; states are inferred.
    Packets,
    /// Its packets and its own records: states and reasons are facts.
    Traced,
}

/// One segment, or super-segment.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Who sent it.
    pub from: Side,
    /// When it was sent; `None` when the sender was not observed, or never sent it.
    pub sent: Option<Instant>,
    /// When it arrived, once for each copy.
    pub arrivals: Vec<Instant>,
    /// What became of it.
    pub fate: Fate,
    /// The header.
    pub header: TcpHeader,
    /// The data, as much of it as was captured.
    pub payload: Payload,
    /// Data bytes.
    pub payload_len: u32,
    /// Its first sequence number, counted from the sender's SYN.
    pub seq: i64,
    /// The acknowledgment number, counted from the receiver's SYN; `None` without the ACK bit.
    pub ack: Option<i64>,
    /// The offered window in bytes, scaled.
    pub window_bytes: u32,
    /// Bytes on the wire.
    pub wire_bytes: u64,
    /// Segments of the wire that this stands for.
    pub count: u32,
    /// What made the sender send it, where that is recorded.
    pub transmission: Option<Transmission>,
    /// Its sequence numbers, or some of them, had been sent before.
    pub is_repeat: bool,
    /// Why the receiver dropped the first copy of it.
    pub drop: Option<Drop>,
    /// The HTTP messages and frames in it.
    pub carries: Vec<Carried>,
    /// The number of its packet, the same at both ends; zero where there is none.
    pub id: u64,
}

impl Segment {
    /// The first sequence number behind it, counted from the sender's SYN.
    #[must_use]
    pub fn end(&self) -> i64 {
        let flags = self.header.flags;
        self.seq + i64::from(self.payload_len) + i64::from(flags.syn()) + i64::from(flags.fin())
    }

    /// It acknowledges and does nothing else.
    #[must_use]
    pub fn is_pure_ack(&self) -> bool {
        let flags = self.header.flags;
        self.payload_len == 0 && flags.ack() && !flags.syn() && !flags.fin() && !flags.rst()
    }

    /// When it was sent or, failing that, first seen.
    #[must_use]
    pub fn first_seen(&self) -> Instant {
        self.sent.or_else(|| self.arrivals.first().copied()).unwrap_or(Instant::ZERO)
    }
}

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrived: the receiver saw it or, where that end was not observed, answered it.
    Arrived,
    /// The receiver was observed and never saw it.
    Lost,
    /// The records end before it could arrive.
    InFlight,
    /// The receiver was not observed, and did not answer.
    Unknown,
    /// It arrived when another connection had the same addresses and ports.
    ArrivedInLaterConnection,
}

/// Why a segment was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// By the connection.
    Connection(DropReason),
    /// By the host, before the connection.
    Host(HostDropReason),
}

impl Drop {
    /// The rule that the segment broke.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Connection(reason) => reason.rule(),
            Self::Host(reason) => reason.rule(),
        }
    }
}

impl fmt::Display for Drop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(reason) => reason.fmt(f),
            Self::Host(reason) => reason.fmt(f),
        }
    }
}

/// Something that happened at one end.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// At which end.
    pub side: Side,
    /// What.
    pub kind: EventKind,
    /// The states of both ends after it, where they are known.
    pub states: Pair<Option<TcpState>>,
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// A segment was sent: index into [`Connection::segments`].
    Sent(usize),
    /// A segment arrived: index into [`Connection::segments`].
    Arrived(usize),
    /// The segment that had just arrived was dropped, or its data.
    Dropped {
        /// Index into [`Connection::segments`].
        segment: usize,
        /// Why.
        drop: Drop,
    },
    /// The state changed.
    Moved {
        /// Before.
        from: TcpState,
        /// After.
        to: TcpState,
        /// Why.
        cause: Cause,
    },
    /// A timer ran out.
    Fired(Timer),
    /// TIME-WAIT began, or began anew, and will last until then.
    TimeWaitSet(Instant),
    /// The application called.
    Called(Call),
    /// A round trip was measured.
    RttSampled {
        /// The sample.
        rtt: Duration,
        /// The retransmission timeout after it.
        rto: Duration,
    },
    /// The congestion window changed.
    Congestion {
        /// cwnd.
        cwnd_bytes: u32,
        /// Slow start threshold; `u32::MAX` before the first loss.
        ssthresh_bytes: u32,
        /// Bytes in flight.
        flight_bytes: u32,
    },
    /// Loss recovery began or ended.
    Recovery(Phase),
    /// Something was taken for lost.
    LossFound(LossSign),
    /// Nothing was lost after all: the window is what it was.
    Undone(UndoCause),
    /// Segments are of another size from now on.
    SegmentSize {
        /// Their MSS.
        mss: u16,
        /// Why.
        cause: SizeCause,
    },
    /// Nothing more could be sent, for this reason.
    Waiting(ciao_tcp::Wait),
    /// The connection ended.
    Ended(Option<ConnectionError>),
}

/// Whether something began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It began.
    Began,
    /// It ended.
    Ended,
}

impl Connection {
    /// When the first thing happened.
    #[must_use]
    pub fn start(&self) -> Instant {
        self.events.first().map_or(Instant::ZERO, |event| event.at)
    }

    /// The states of both ends after the last event.
    #[must_use]
    pub fn last_states(&self) -> Pair<Option<TcpState>> {
        let first = Pair(self.ends.0.each_ref().map(|end| end.first_state));
        self.events.last().map_or(first, |event| event.states)
    }

    /// True when an end was ever in `state`.
    #[must_use]
    pub fn was_in(&self, side: Side, state: TcpState) -> bool {
        self.ends[side].first_state == Some(state)
            || self.events.iter().any(|event| event.states[side] == Some(state))
    }
}
