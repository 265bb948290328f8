//! What a host tells the owner of its sockets.

use crate::ids::{ListenerId, SocketId, UdpId};

/// Something that the owner of a socket may want to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HostEvent {
    /// A connection's own event.
    Tcp(SocketId, ciao_tcp::Event),
    /// A connection waits to be accepted.
    Acceptable(ListenerId),
    /// A datagram, or an error, waits to be read.
    UdpReadable(UdpId),
}
