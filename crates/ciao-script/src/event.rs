//! Which events does a script consist of? [`Script`] and what it holds.

use crate::notation::SegmentText;
use crate::options::ScriptOptions;
use ciao_tcp::TcpState;
use core::time::Duration;

/// A script that was read.
#[derive(Clone, Debug)]
pub struct Script {
    /// What stands on top of it.
    pub options: ScriptOptions,
    /// Its events in order.
    pub events: Vec<Event>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its number in the text, from one.
    pub line: usize,
    /// The line itself.
    pub text: String,
    /// When it happens.
    pub when: When,
    /// What happens.
    pub action: Action,
    /// Whether the stack may answer before the next line.
    pub answer: Answer,
}

/// Whether the stack may answer before the next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It answers at once.
    AtOnce,
    /// The next event belongs to the same batch.
    AfterNext,
}

/// The time of an event, from the earliest to the latest allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Whenever it comes.
    Any,
    /// From the start of the script.
    Absolute(Duration, Duration),
    /// From the event before.
    Relative(Duration, Duration),
}

/// What happens, or is to be found.
#[derive(Clone, Debug)]
pub enum Action {
    /// A segment arrives.
    Inject(SegmentText),
    /// The stack sends a segment.
    Expect(SegmentText),
    /// An ICMP error arrives: its kind, and the relative number that the quoted segment began with.
    Icmp(String, u32),
    /// The application calls.
    Call(Call, Option<String>),
    /// The state of the connection.
    State(TcpState),
    /// A check by name, with its value.
    Check(Check, String),
}

/// A call of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// OPEN, active.
    Connect,
    /// OPEN, passive.
    Listen,
    /// Takes the connection that the listener has made.
    Accept,
    /// SEND of so many bytes.
    Write(usize),
    /// SEND of so many bytes that are urgent.
    WriteUrgent(usize),
    /// RECEIVE of at most so many bytes.
    Read(usize),
    /// RECEIVE of at most so many bytes, which stay.
    Peek(usize),
    /// CLOSE of our direction.
    Shutdown,
    /// CLOSE of both.
    Close,
    /// ABORT.
    Abort,
    /// Sets a socket option.
    Set(String, Vec<String>),
}

/// What can be compared besides segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The connection ended this way.
    Error,
    /// The connection has not ended with an error.
    NoError,
    /// This event was raised since the last check of one.
    Event,
    /// This event was not.
    NoEvent,
    /// The last dropped segment was dropped for this reason.
    Dropped,
    /// The reason to wait holds this text.
    Why,
    /// cwnd in bytes.
    Cwnd,
    /// ssthresh in bytes.
    Ssthresh,
    /// SND.WND in bytes.
    SendWindow,
    /// RTO in seconds.
    Rto,
    /// SRTT in seconds.
    Srtt,
    /// Bytes that wait to be read.
    Received,
    /// Bytes before the end of urgent data.
    Urgent,
}
