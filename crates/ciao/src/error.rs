//! Which `io::Error` does a program see? One table for each kind of answer, and a test for each row.
//!
//! A program written for tokio looks at the [`io::ErrorKind`]; whoever wants to know more finds the
//! connection's own error as the source. What ended a connection is decided in `ciao_tcp::error`, what a
//! call of the host may answer in `ciao_stack`.

use ciao_stack::{BindError, ConnectError, ListenError, UdpSendError};
use ciao_tcp::{ConnectionError, IcmpErrorKind};
use std::fmt;
use std::io::{self, ErrorKind};

/// The kind of error that the end of a connection is for a program.
pub(crate) fn connection_error_kind(error: ConnectionError) -> ErrorKind {
    match error {
        ConnectionError::Refused | ConnectionError::PortUnreachable => ErrorKind::ConnectionRefused,
        ConnectionError::Reset => ErrorKind::ConnectionReset,
        ConnectionError::TimedOut { .. } | ConnectionError::KeepAliveTimedOut => ErrorKind::TimedOut,
        ConnectionError::OutOfMemory => ErrorKind::OutOfMemory,
        ConnectionError::HostUnreachable => ErrorKind::HostUnreachable,
        ConnectionError::NetworkUnreachable => ErrorKind::NetworkUnreachable,
        // `Aborted`, and whatever is added to the enum before it has a row here.
        _ => ErrorKind::ConnectionAborted,
    }
}

/// How the connection ended, as a program sees it.
pub(crate) fn connection_error(error: ConnectionError) -> io::Error {
    io::Error::new(connection_error_kind(error), error)
}

/// Why a connection could not even be tried.
pub(crate) fn connect_error(error: ConnectError) -> io::Error {
    let kind = match error {
        ConnectError::InvalidRemote => ErrorKind::InvalidInput,
        ConnectError::NoRoute => ErrorKind::NetworkUnreachable,
        ConnectError::AddressInUse => ErrorKind::AddrInUse,
        ConnectError::AddressNotLocal | ConnectError::NoFreePort => ErrorKind::AddrNotAvailable,
        ConnectError::TooManyConnections => ErrorKind::QuotaExceeded,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// Why nobody can listen there.
pub(crate) fn listen_error(error: ListenError) -> io::Error {
    let kind = match error {
        ListenError::AddressNotLocal | ListenError::NoFreePort => ErrorKind::AddrNotAvailable,
        ListenError::AddressInUse => ErrorKind::AddrInUse,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// Why a UDP socket cannot have its address.
pub(crate) fn bind_error(error: BindError) -> io::Error {
    let kind = match error {
        BindError::AddressNotLocal | BindError::NoFreePort => ErrorKind::AddrNotAvailable,
        BindError::AddressInUse => ErrorKind::AddrInUse,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// What ICMP says of a datagram.
pub(crate) fn icmp_error(kind: IcmpErrorKind) -> io::Error {
    let kind = match kind {
        IcmpErrorKind::PortUnreachable => ErrorKind::ConnectionRefused,
        IcmpErrorKind::HostUnreachable => ErrorKind::HostUnreachable,
        _ => ErrorKind::NetworkUnreachable,
    };
    kind.into()
}

/// Why a datagram was not sent.
pub(crate) fn udp_send_error(error: UdpSendError) -> io::Error {
    let kind = match error {
        UdpSendError::InvalidRemote | UdpSendError::TooLong => ErrorKind::InvalidInput,
        UdpSendError::NoRoute => ErrorKind::NetworkUnreachable,
        UdpSendError::QueueFull => ErrorKind::WouldBlock,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// Why a stack carries nothing any more. Every call on its sockets answers with this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StackEnd {
    /// The driver was dropped, perhaps with its runtime.
    DriverDropped,
    /// The device failed.
    DeviceFailed(ErrorKind),
    /// [`Stack::shutdown`](crate::Stack::shutdown) has come to its end.
    ShutDown,
}

impl fmt::Display for StackEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DriverDropped => f.write_str("the driver of this stack was dropped"),
            Self::DeviceFailed(kind) => write!(f, "the device of this stack failed: {kind}"),
            Self::ShutDown => f.write_str("this stack was shut down"),
        }
    }
}

impl std::error::Error for StackEnd {}

impl From<StackEnd> for io::Error {
    fn from(end: StackEnd) -> Self {
        let kind = match end {
            StackEnd::DriverDropped | StackEnd::ShutDown => ErrorKind::BrokenPipe,
            StackEnd::DeviceFailed(_) => ErrorKind::NetworkDown,
        };
        Self::new(kind, end)
    }
}

/// A write after our own FIN, or after the end of the connection was reported.
pub(crate) fn broken_pipe() -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, "our direction of this connection is closed")
}

/// The call would have to wait.
pub(crate) fn would_block() -> io::Error {
    ErrorKind::WouldBlock.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ciao_tcp::TcpState;

    #[test]
    fn every_end_of_a_connection_has_its_kind() {
        let table = [
            (ConnectionError::Refused, ErrorKind::ConnectionRefused),
            (ConnectionError::Reset, ErrorKind::ConnectionReset),
            (ConnectionError::Aborted, ErrorKind::ConnectionAborted),
            (ConnectionError::TimedOut { state: TcpState::Established }, ErrorKind::TimedOut),
            (ConnectionError::KeepAliveTimedOut, ErrorKind::TimedOut),
            (ConnectionError::OutOfMemory, ErrorKind::OutOfMemory),
            (ConnectionError::HostUnreachable, ErrorKind::HostUnreachable),
            (ConnectionError::NetworkUnreachable, ErrorKind::NetworkUnreachable),
            (ConnectionError::PortUnreachable, ErrorKind::ConnectionRefused),
        ];
        for (error, kind) in table {
            let seen = connection_error(error);
            assert_eq!(seen.kind(), kind, "{error}");
            let source = seen.get_ref().and_then(|source| source.downcast_ref::<ConnectionError>());
            assert_eq!(source, Some(&error), "the connection's own error is the source");
        }
    }

    #[test]
    fn every_refusal_of_a_call_has_its_kind() {
        let connect = [
            (ConnectError::InvalidRemote, ErrorKind::InvalidInput),
            (ConnectError::NoRoute, ErrorKind::NetworkUnreachable),
            (ConnectError::AddressNotLocal, ErrorKind::AddrNotAvailable),
            (ConnectError::AddressInUse, ErrorKind::AddrInUse),
            (ConnectError::NoFreePort, ErrorKind::AddrNotAvailable),
            (ConnectError::TooManyConnections, ErrorKind::QuotaExceeded),
        ];
        for (error, kind) in connect {
            assert_eq!(connect_error(error).kind(), kind, "{error}");
        }
        let listen = [
            (ListenError::AddressNotLocal, ErrorKind::AddrNotAvailable),
            (ListenError::AddressInUse, ErrorKind::AddrInUse),
            (ListenError::NoFreePort, ErrorKind::AddrNotAvailable),
        ];
        for (error, kind) in listen {
            assert_eq!(listen_error(error).kind(), kind, "{error}");
        }
        let bind = [
            (BindError::AddressNotLocal, ErrorKind::AddrNotAvailable),
            (BindError::AddressInUse, ErrorKind::AddrInUse),
            (BindError::NoFreePort, ErrorKind::AddrNotAvailable),
        ];
        for (error, kind) in bind {
            assert_eq!(bind_error(error).kind(), kind, "{error}");
        }
        let send = [
            (UdpSendError::InvalidRemote, ErrorKind::InvalidInput),
            (UdpSendError::NoRoute, ErrorKind::NetworkUnreachable),
            (UdpSendError::TooLong, ErrorKind::InvalidInput),
            (UdpSendError::QueueFull, ErrorKind::WouldBlock),
        ];
        for (error, kind) in send {
            assert_eq!(udp_send_error(error).kind(), kind, "{error}");
        }
    }

    #[test]
    fn every_end_of_a_stack_has_its_kind() {
        let table = [
            (StackEnd::DriverDropped, ErrorKind::BrokenPipe),
            (StackEnd::ShutDown, ErrorKind::BrokenPipe),
            (StackEnd::DeviceFailed(ErrorKind::NotFound), ErrorKind::NetworkDown),
        ];
        for (end, kind) in table {
            assert_eq!(io::Error::from(end).kind(), kind, "{end}");
        }
    }
}
