//! Which number of `errno.h` does a program see for what our stack answers? The names as Linux has them.

use ciao_stack::{ConnectError, ListenError};
use ciao_tcp::ConnectionError;

/// The name of an error.
pub type Errno = &'static str;

/// What a call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It returns this.
    Returns(i64),
    /// It returns -1.
    Fails(Errno),
    /// It waits; the name is what a call that must not wait answers.
    Blocks(Errno),
}

/// Names that may stand for numbers, as in the value of `SO_ERROR`.
const NUMBERS: [(Errno, i64); 16] = [
    ("EPERM", 1),
    ("EBADF", 9),
    ("EAGAIN", 11),
    ("EINVAL", 22),
    ("EPIPE", 32),
    ("EADDRINUSE", 98),
    ("ENETUNREACH", 101),
    ("ECONNABORTED", 103),
    ("ECONNRESET", 104),
    ("EISCONN", 106),
    ("ENOTCONN", 107),
    ("ETIMEDOUT", 110),
    ("ECONNREFUSED", 111),
    ("EHOSTUNREACH", 113),
    ("EALREADY", 114),
    ("EINPROGRESS", 115),
];

/// The number of a name.
#[must_use]
pub fn number(name: &str) -> Option<i64> {
    NUMBERS.iter().find(|(own, _)| *own == name).map(|(_, number)| *number)
}

/// How a connection ended.
#[must_use]
pub fn of_connection(error: ConnectionError) -> Errno {
    match error {
        ConnectionError::Refused | ConnectionError::PortUnreachable => "ECONNREFUSED",
        ConnectionError::Reset => "ECONNRESET",
        ConnectionError::TimedOut { .. } | ConnectionError::KeepAliveTimedOut => "ETIMEDOUT",
        ConnectionError::OutOfMemory => "ENOBUFS",
        ConnectionError::HostUnreachable => "EHOSTUNREACH",
        ConnectionError::NetworkUnreachable => "ENETUNREACH",
        _ => "ECONNABORTED",
    }
}

/// Why an active OPEN fails at once.
#[must_use]
pub fn of_connect(error: ConnectError) -> Errno {
    match error {
        ConnectError::AddressInUse => "EADDRINUSE",
        ConnectError::NoFreePort => "EADDRNOTAVAIL",
        ConnectError::NoRoute => "ENETUNREACH",
        _ => "EINVAL",
    }
}

/// Why a passive OPEN fails.
#[must_use]
pub fn of_listen(error: ListenError) -> Errno {
    match error {
        ListenError::AddressInUse => "EADDRINUSE",
        _ => "EADDRNOTAVAIL",
    }
}
