//! Why a segment was dropped, how a connection ended, and what each call may answer instead of success.

use crate::TcpState;
use core::fmt;

/// Why a received segment was dropped, in whole or as far as its data goes. A bad segment is never an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The sequence numbers lie outside the receive window (RFC 9293 §3.10.7.4 first).
    OutsideWindow,
    /// All of it had arrived before.
    Duplicate,
    /// The timestamp is older than one already seen (RFC 7323 §5.3, PAWS).
    OldTimestamp,
    /// Timestamps were agreed on and this segment has none (RFC 7323 §3.2).
    MissingTimestamp,
    /// RST inside the window but not at RCV.NXT (RFC 5961 §3.2).
    InexactReset,
    /// RST outside the window (RFC 5961 §3.2).
    ResetOutsideWindow,
    /// SYN in a synchronized state (RFC 5961 §4.2).
    UnexpectedSyn,
    /// No ACK bit where every segment has one (RFC 9293 §3.10.7.4 fifth).
    MissingAck,
    /// It acknowledges what was never sent (RFC 9293 §3.10.7.4 fifth).
    AckOfUnsent,
    /// The acknowledgment is older than the peer's largest window allows (RFC 5961 §5.2).
    AckTooOld,
    /// In SYN-SENT: the acknowledgment does not cover our SYN (RFC 9293 §3.10.7.3).
    UnacceptableAck,
    /// In SYN-SENT: neither SYN nor RST (RFC 9293 §3.10.7.3 fifth).
    NeitherSynNorReset,
    /// In SYN-SENT: RST of a SYN that asked for ECN; the next one does not ask (RFC 3168 §6.1.1.1).
    ResetOfEcnSetup,
    /// Data behind the peer's FIN.
    DataAfterFin,
    /// Data for an application that has closed (RFC 9293 §3.6.1 SHLD-3).
    DataAfterClose,
    /// The reassembly queue has as many gaps as it may hold.
    TooManyGaps,
    /// The host's memory is used up: data behind a gap, or data that nobody reads.
    OutOfMemory,
    /// The connection is in TIME-WAIT and the segment calls for nothing.
    TimeWait,
    /// RST in TIME-WAIT (RFC 1337).
    ResetInTimeWait,
    /// The connection is closed.
    Closed,
    /// LISTEN: RST, or neither SYN nor anything that can be answered (RFC 9293 §3.10.7.2).
    NotForListener,
    /// The SYN queue is full.
    SynQueueFull,
    /// The accept queue is full.
    AcceptQueueFull,
}

impl DropReason {
    /// The rule that the segment broke, as the inspector shows it.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::OutsideWindow | Self::Duplicate => "RFC 9293 §3.10.7.4, first: sequence number",
            Self::OldTimestamp => "RFC 7323 §5.3 R1",
            Self::MissingTimestamp => "RFC 7323 §3.2",
            Self::InexactReset | Self::ResetOutsideWindow => "RFC 5961 §3.2",
            Self::UnexpectedSyn => "RFC 5961 §4.2",
            Self::MissingAck | Self::AckOfUnsent => "RFC 9293 §3.10.7.4, fifth: ACK field",
            Self::AckTooOld => "RFC 5961 §5.2",
            Self::UnacceptableAck | Self::NeitherSynNorReset => "RFC 9293 §3.10.7.3",
            Self::ResetOfEcnSetup => "RFC 3168 §6.1.1.1",
            Self::DataAfterFin => "RFC 9293 §3.10.7.4, seventh: segment text",
            Self::DataAfterClose => "RFC 9293 §3.6.1 SHLD-3",
            Self::OutOfMemory => "limit `memory` of the host",
            Self::TooManyGaps => "limit `max_gaps` of the configuration",
            Self::TimeWait => "RFC 9293 §3.10.7.4, TIME-WAIT",
            Self::ResetInTimeWait => "RFC 1337 §4",
            Self::Closed => "RFC 9293 §3.10.7.1",
            Self::NotForListener => "RFC 9293 §3.10.7.2",
            Self::SynQueueFull => "limit `syn_queue` of the listener",
            Self::AcceptQueueFull => "limit `backlog` of the listener",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OutsideWindow => "outside the receive window",
            Self::Duplicate => "arrived before",
            Self::OldTimestamp => "timestamp older than the last one",
            Self::MissingTimestamp => "agreed timestamp is missing",
            Self::InexactReset => "RST inside the window, not at RCV.NXT",
            Self::ResetOutsideWindow => "RST outside the window",
            Self::UnexpectedSyn => "SYN in a synchronized state",
            Self::MissingAck => "no ACK bit",
            Self::AckOfUnsent => "acknowledges what was not sent",
            Self::AckTooOld => "acknowledgment too old",
            Self::UnacceptableAck => "does not acknowledge our SYN",
            Self::NeitherSynNorReset => "neither SYN nor RST",
            Self::ResetOfEcnSetup => "RST of a SYN that asked for ECN",
            Self::DataAfterFin => "data behind the peer's FIN",
            Self::DataAfterClose => "nobody is left to read the data",
            Self::OutOfMemory => "the host is out of memory",
            Self::TooManyGaps => "too many gaps in the reassembly queue",
            Self::TimeWait => "nothing to do in TIME-WAIT",
            Self::ResetInTimeWait => "RST in TIME-WAIT",
            Self::Closed => "no connection",
            Self::NotForListener => "not for a listener",
            Self::SynQueueFull => "SYN queue full",
            Self::AcceptQueueFull => "accept queue full",
        })
    }
}

/// How a connection ended, other than by both sides closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionError {
    /// RST in answer to our SYN.
    Refused,
    /// RST from the peer.
    Reset,
    /// We aborted it.
    Aborted,
    /// No acknowledgment for longer than allowed; the state it hung in.
    TimedOut {
        /// The state in which nothing was acknowledged any more.
        state: TcpState,
    },
    /// Keep-alive probes were not answered.
    KeepAliveTimedOut,
    /// The host was short of memory, and the peer had held its window shut for long (RFC 6429 §4).
    OutOfMemory,
    /// ICMP says that the host cannot be reached.
    HostUnreachable,
    /// ICMP says that the network cannot be reached.
    NetworkUnreachable,
    /// ICMP says that nobody listens.
    PortUnreachable,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused: the peer answered our SYN with RST"),
            Self::Reset => f.write_str("connection reset by the peer"),
            Self::Aborted => f.write_str("connection aborted"),
            Self::TimedOut { state } => write!(f, "timed out in {state}: nothing was acknowledged"),
            Self::OutOfMemory => f.write_str("given up: memory is short and the peer's window stayed shut"),
            Self::KeepAliveTimedOut => f.write_str("timed out: the peer answers no keep-alive probe"),
            Self::HostUnreachable => f.write_str("host unreachable"),
            Self::NetworkUnreachable => f.write_str("network unreachable"),
            Self::PortUnreachable => f.write_str("connection refused: ICMP port unreachable"),
        }
    }
}

impl core::error::Error for ConnectionError {}

/// Why SEND took no bytes (RFC 9293 §3.10.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The send buffer is full; an [`Event::Writable`](crate::Event::Writable) follows.
    WouldBlock,
    /// The connection is not yet open; an event follows.
    NotConnected,
    /// Our direction is closed.
    Closed,
    /// The connection has ended.
    Ended(ConnectionError),
}

/// Why RECEIVE gave no bytes (RFC 9293 §3.10.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReceiveError {
    /// Nothing has arrived; an [`Event::Readable`](crate::Event::Readable) follows.
    WouldBlock,
    /// The connection is not yet open; an event follows.
    NotConnected,
    /// The connection has ended without the peer's FIN.
    Ended(ConnectionError),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("send buffer full"),
            Self::NotConnected => f.write_str("not connected"),
            Self::Closed => f.write_str("our direction is closed"),
            Self::Ended(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("nothing to read"),
            Self::NotConnected => f.write_str("not connected"),
            Self::Ended(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SendError {}
impl core::error::Error for ReceiveError {}
