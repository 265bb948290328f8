//! What a connection tells its owner, and when.

use crate::error::ConnectionError;

/// Something the owner of a connection may want to act on. The same event is not queued twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// The handshake is complete: ESTABLISHED.
    Connected,
    /// There are bytes to read, or the end of them: the peer's FIN with all before it, or how the connection
    /// ended.
    Readable,
    /// There is room in the send buffer again.
    Writable,
    /// All our data and our FIN are acknowledged.
    SendingDone,
    /// R1 is reached: retransmissions have gone unanswered, the connection goes on trying (RFC 9293 §3.8.3).
    DeliveryTrouble,
    /// ICMP reported a fault that may pass (RFC 9293 §3.9.1.8).
    SoftError(ConnectionError),
    /// New urgent data, or its end has moved on (RFC 9293 §3.8.5).
    Urgent,
    /// For the host: the path takes segments of this MSS and no longer ones (RFC 1191, RFC 4821); `u16::MAX`
    /// when it takes all that both ends do.
    PathMss(u16),
    /// Both directions are closed and this end waits 2 MSL.
    TimeWait,
    /// CLOSED. `None` when both sides closed in the regular way.
    Closed(Option<ConnectionError>),
}
