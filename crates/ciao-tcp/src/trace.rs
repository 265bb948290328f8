//! What is recorded of a connection: the one vocabulary that the ladder, `why`, captures and tests read.
//!
//! A connection collects these only when it is told to; else the cost is one branch. The host adds the time,
//! the connection and the packet (`ciao_stack::TraceRecord`), and records the packets themselves.

use crate::path_mtu::SizeCause;
use crate::segment::Transmission;
use crate::state::{Cause, TcpState};
use crate::timers::Timer;
use crate::transmit::Wait;
use crate::{ConnectionError, DropReason, TcpInfo};
use alloc::boxed::Box;
use alloc::vec::Vec;
use ciao_wire::{Instant, SeqNum};
use core::fmt;
use core::panic::Location;
use core::time::Duration;

/// One thing that happened in a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceEvent {
    /// The state changed.
    StateChanged {
        /// Before.
        from: TcpState,
        /// After.
        to: TcpState,
        /// Why.
        cause: Cause,
    },
    /// A segment goes out; the packets that carry it follow in the host's trace.
    Transmitted {
        /// Its first sequence number.
        seq: SeqNum,
        /// SEG.LEN.
        len: u32,
        /// Why.
        transmission: Transmission,
    },
    /// A received segment, or its data, was dropped.
    Dropped {
        /// Which rule it broke.
        reason: DropReason,
        /// The line that decided.
        decided_at: &'static Location<'static>,
    },
    /// A timer was set, perhaps anew.
    TimerSet {
        /// Which.
        timer: Timer,
        /// For when.
        at: Instant,
    },
    /// A timer ran out.
    TimerFired(Timer),
    /// Nothing more can be sent now, for this reason.
    Waiting(Wait),
    /// A round trip was measured (RFC 6298).
    RttSampled {
        /// The sample.
        rtt: Duration,
        /// SRTT after it.
        srtt: Duration,
        /// RTTVAR after it.
        rttvar: Duration,
        /// RTO after it.
        rto: Duration,
    },
    /// The congestion window changed.
    Congestion {
        /// Congestion window in bytes.
        cwnd_bytes: u32,
        /// Slow start threshold in bytes; `u32::MAX` before the first loss.
        ssthresh_bytes: u32,
        /// Bytes sent, not acknowledged, and not known to have left the network.
        flight_bytes: u32,
    },
    /// Segments are of another size from now on.
    SegmentSize {
        /// SND.MSS.
        mss: u16,
        /// Why.
        cause: SizeCause,
    },
    /// Loss recovery began (`Some`: the number whose acknowledgment ends it) or ended (`None`).
    Recovery(Option<SeqNum>),
    /// What there is to know of the connection: after each change of the state, at both ends of a recovery,
    /// and when asked for.
    Info(Box<TcpInfo>),
    /// Something is taken for lost.
    LossFound {
        /// What showed it.
        by: LossSign,
        /// How much; zero when it has been repaired already.
        bytes: u32,
    },
    /// Nothing was lost after all: the last reduction of the window is taken back.
    Undone(UndoCause),
    /// The application called.
    Called(Call),
    /// The connection ended.
    Ended(Option<ConnectionError>),
}

/// What shows that something is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossSign {
    /// Duplicate acknowledgments, or a partial one after them (RFC 5681 §3.2, RFC 6582).
    DuplicateAcks,
    /// What was sent later has arrived (RACK, RFC 8985 §6).
    Rack,
    /// What was sent later has arrived, and the time for reordering is over.
    ReorderTimer,
    /// A probe has repaired it (RFC 8985 §7.4.2).
    Probe,
    /// The retransmission timer ran out (RFC 6298).
    Timeout,
    /// The peer has dropped what it had acknowledged selectively (RFC 2018 §8).
    Reneging,
}

impl LossSign {
    /// Its short name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DuplicateAcks => "lost: duplicate ACKs",
            Self::Rack => "lost: RACK",
            Self::ReorderTimer => "lost: reordering timer",
            Self::Probe => "probe repaired a loss",
            Self::Timeout => "lost: timeout",
            Self::Reneging => "lost: SACK taken back",
        }
    }
}

impl fmt::Display for LossSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::DuplicateAcks => "duplicate ACKs",
            Self::Rack => "RACK: what was sent later has arrived",
            Self::ReorderTimer => "RACK: it did not arrive within the reordering window",
            Self::Probe => "the tail loss probe repaired it",
            Self::Timeout => "retransmission timeout",
            Self::Reneging => "the peer took its SACK back",
        })
    }
}

/// What shows that nothing was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoCause {
    /// The echoed timestamp is of the first transmission (Eifel, RFC 3522).
    Timestamps,
    /// All that was sent again came twice (D-SACK, RFC 2883).
    Duplicates,
    /// Something sent before the timeout, and never again, was acknowledged (F-RTO, RFC 5682).
    ForwardProgress,
}

impl UndoCause {
    /// Its short name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timestamps => "not lost: timestamps",
            Self::Duplicates => "not lost: D-SACK",
            Self::ForwardProgress => "not lost: F-RTO",
        }
    }
}

impl fmt::Display for UndoCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Timestamps => "the timestamp echoed is of the first transmission",
            Self::Duplicates => "all that was sent again came twice",
            Self::ForwardProgress => "what was sent before the timeout arrives",
        })
    }
}

/// A call of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// OPEN, active.
    Connect,
    /// SEND of so many bytes.
    Send(usize),
    /// RECEIVE of so many bytes.
    Receive(usize),
    /// CLOSE of our direction.
    Shutdown,
    /// CLOSE of both: nobody will read any more.
    Close,
    /// ABORT.
    Abort,
}

/// Whether a trace is collected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tracing {
    /// It costs one branch.
    #[default]
    Off,
    /// Every event is kept until it is drained.
    On,
}

/// The collected events of one connection; nothing at all when switched off.
#[expect(clippy::box_collection, reason = "eight bytes in each connection while it is switched off")]
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Option<Box<Vec<TraceEvent>>>);

impl Trace {
    /// A trace without events.
    pub(crate) fn new(tracing: Tracing) -> Self {
        Self((tracing == Tracing::On).then(Box::default))
    }

    /// True when events are collected.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Collects an event; it is not even built when collecting is off.
    pub(crate) fn record(&mut self, event: impl FnOnce() -> TraceEvent) {
        if let Some(events) = &mut self.0 {
            events.push(event());
        }
    }

    /// Takes out what was collected.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = TraceEvent> + '_ {
        self.0.iter_mut().flat_map(|events| events.drain(..))
    }
}
