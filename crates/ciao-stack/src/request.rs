//! What an application asks for: OPEN, active and passive (RFC 9293 §3.9.1.1), and what it may set for IP.

use crate::ids::BoundId;
use crate::ports::Reuse;
use ciao_tcp::config::SocketOptions;
use core::net::SocketAddr;

/// An active OPEN.
#[derive(Clone, Copy, Debug)]
pub struct ConnectRequest {
    /// The local end. Without one, or with an unspecified address or port 0, the host chooses.
    pub local: Option<SocketAddr>,
    /// The peer.
    pub remote: SocketAddr,
    /// The port that was kept for it: [`crate::Host::tcp_bind`]. `local` does not count then.
    pub bound: Option<BoundId>,
    /// Options of the connection.
    pub options: SocketOptions,
    /// What its packets say.
    pub ip: IpOptions,
    /// Whether the SYN may carry data.
    pub fast_open: FastOpen,
}

/// Whether an active OPEN tries TCP Fast Open (RFC 7413, [`ciao_tcp::fast_open`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FastOpen {
    /// No.
    // RFC 7413 §2 7413-2a
    #[default]
    Off,
    /// The first connection to a server asks for a cookie; later ones send data in the SYN. **The network may
    /// deliver that data twice, to two connections**: only for data that may be processed twice, as a GET.
    // RFC 7413 §2.1, §6.1 7413-6a
    On,
}

impl ConnectRequest {
    /// To `remote`, everything else as the host likes.
    #[must_use]
    pub fn to(remote: SocketAddr) -> Self {
        Self {
            local: None,
            remote,
            bound: None,
            options: SocketOptions::default(),
            ip: IpOptions::default(),
            fast_open: FastOpen::Off,
        }
    }
}

/// A passive OPEN.
#[derive(Clone, Copy, Debug)]
pub struct ListenRequest {
    /// The local end. An unspecified address means all of the host's addresses of that version; port 0, that
    /// the host chooses.
    pub local: SocketAddr,
    /// The port that was kept for it: [`crate::Host::tcp_bind`]. `local` and `reuse` do not count then.
    pub bound: Option<BoundId>,
    /// Whether it shares the port with connections and with sockets that do not listen.
    pub reuse: Reuse,
    /// Most connections that wait to be accepted, 1 or more.
    pub backlog: usize,
    /// Most half-open connections, 1 or more.
    pub syn_queue: usize,
    /// What happens when a queue is full.
    pub overflow: Overflow,
    /// When SYNs are answered without keeping a record.
    pub syn_cookies: SynCookies,
    /// Most connections of the host that may be in use before their handshake is complete, for TCP Fast Open
    /// (RFC 7413); zero switches it off. **The network may deliver the data of a SYN twice, to two
    /// connections**: only for applications to which that does no harm.
    // RFC 7413 §2 7413-2a, §6.1 7413-6a
    pub fast_open: usize,
    /// Options that accepted connections start with.
    pub options: SocketOptions,
    /// What their packets say.
    pub ip: IpOptions,
}

impl ListenRequest {
    /// Connections that wait to be accepted, as Linux' `somaxconn`.
    pub const DEFAULT_BACKLOG: usize = 4096;
    /// Half-open connections. 1,024 × 128 B are what an attacker may take of each listener.
    pub const DEFAULT_SYN_QUEUE: usize = 1024;

    /// At `local`, with default queues.
    #[must_use]
    pub fn at(local: SocketAddr) -> Self {
        Self {
            local,
            bound: None,
            reuse: Reuse::Shared,
            backlog: Self::DEFAULT_BACKLOG,
            syn_queue: Self::DEFAULT_SYN_QUEUE,
            overflow: Overflow::Drop,
            syn_cookies: SynCookies::WhenFull,
            fast_open: 0,
            options: SocketOptions::default(),
            ip: IpOptions::default(),
        }
    }
}

/// What a listener does with a caller for whom there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Nothing: the caller tries again.
    #[default]
    Drop,
    /// RST: the caller learns at once that it is refused.
    Reset,
}

/// When a listener answers a SYN without keeping a record of it (RFC 4987 §3.6, [`ciao_tcp::syn_cookies`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SynCookies {
    /// Never: a full SYN queue is an overflow.
    Off,
    /// When the SYN queue is full: a flood then costs nothing, and who really calls gets in.
    #[default]
    WhenFull,
    /// Always, for tests: no record is ever kept, who loses the SYN-ACK must send the SYN again by itself,
    /// and a delayed copy of the first data can open a connection a second time.
    Always,
}

/// What the packets of a connection say to the network (RFC 9293 §3.9.1.9, §3.9.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpOptions {
    /// DiffServ code point, 0–63; higher bits are ignored.
    pub dscp: u8,
    /// TTL or hop limit; `None` or zero: the host's.
    pub hop_limit: Option<u8>,
}
