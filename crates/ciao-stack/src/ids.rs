//! Names of sockets, listeners, interfaces and connections.
//!
//! A socket's name has a generation, so that the name of a closed socket never reaches its successor in the
//! same slot.

use core::fmt;

/// An interface, numbered in the order of `add_interface`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub u8);

/// A TCP connection that an application holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl SocketId {
    /// Its slot in the host's table, counted from zero: for an owner that keeps something beside it. The
    /// slot is another one's once this is given back.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// A listening TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ListenerId {
    /// Its slot in the host's table, counted from zero: for an owner that keeps something beside it. The
    /// slot is another one's once this is given back.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// A port that is kept for a TCP socket until it connects or listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoundId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// A UDP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UdpId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl UdpId {
    /// Its slot in the host's table, counted from zero: for an owner that keeps something beside it. The
    /// slot is another one's once this is given back.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// A connection in the trace: counted from 1 in the order in which the host first heard of it, never used
/// again. It stays the same from the first SYN, half-open, through TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
