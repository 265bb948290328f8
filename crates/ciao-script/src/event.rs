//! Which events does a script consist of? [`Script`] and what it holds.

use crate::assertion::Comparison;
use crate::notation::SegmentText;
use crate::options::ScriptOptions;
use crate::value::Value;
use core::time::Duration;

/// A script that was read.
#[derive(Clone, Debug)]
pub struct Script {
    /// What stands on top of it.
    pub options: ScriptOptions,
    /// Its events in order.
    pub events: Vec<Event>,
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// The line on which it begins, from one.
    pub line: usize,
    /// Its text.
    pub text: String,
    /// When it happens.
    pub when: When,
    /// When a call that blocks returns, from the time from which `when` counts.
    pub returns: Option<Duration>,
    /// What happens.
    pub action: Action,
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
    /// An ICMP error arrives.
    Icmp(IcmpText),
    /// The application calls.
    Call(CallText),
    /// All of these hold.
    Assert(Vec<Comparison>),
}

/// An ICMP error as it stands in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcmpText {
    /// What it says, in the words of IPv4; under IPv6 it is the nearest there is.
    pub kind: IcmpKind,
    /// The relative number that the quoted segment begins with.
    pub start: u32,
    /// Payload bytes of the quoted segment.
    pub len: u32,
}

/// What an ICMP error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpKind {
    /// `unreachable net_unreachable`
    NetworkUnreachable,
    /// `unreachable host_unreachable`
    HostUnreachable,
    /// `unreachable protocol_unreachable`
    ProtocolUnreachable,
    /// `unreachable port_unreachable`
    PortUnreachable,
    /// `unreachable admin_prohibited`
    Prohibited,
    /// `unreachable frag_needed mtu N`, under IPv6 packet too big, and the MTU 20 bytes more.
    TooBig(u16),
    /// `time_exceeded`
    TimeExceeded,
    /// `parameter_problem`
    ParameterProblem,
    /// `source_quench`; not there under IPv6.
    SourceQuench,
}

/// A call and what it is to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct CallText {
    /// The name of the call.
    pub name: String,
    /// What it is given.
    pub arguments: Vec<Value>,
    /// What it returns.
    pub result: i64,
    /// The error, when it returns -1.
    pub errno: Option<String>,
}
