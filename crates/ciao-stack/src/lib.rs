//! One host, sans-IO: packets, calls and time go in; packets, events and a wake-up time come out.
//!
//! | question | file |
//! |---|---|
//! | Which calls are there? | [`host`] |
//! | Which numbers can be set? | [`config`] |
//! | What is an interface, what does its link do for the host? | [`interface`] |
//! | Which addresses and routes has the host, which source address? | `routing`, `source_selection` |
//! | What happens to packets that arrive, which checks does each pass? | `receive`, `carrier`, `ingress` |
//! | How does a datagram in fragments become one again, and how is one cut? | `reassembly`, `fragmentation` |
//! | Which segments become one for TCP, and one segment many packets? | `merge`, `segmentation` |
//! | Whose is a segment? | `tcp::arrival`, `demux` |
//! | Which SYNs are answered without a record? | `tcp::syn_cookies` |
//! | Which open a connection at once? | `tcp::fast_open` |
//! | Where do callers wait? | `tcp::half_opens`, `tcp::listeners` |
//! | Where do old connections wait? | `tcp::time_waits` |
//! | Whose turn is it to send? | `tcp` |
//! | When does what want to be called? | `wheel` |
//! | Which port is free, and which is kept for a socket? | `ports`, `tcp::binding` |
//! | How long a packet does each path take? | `path_mtus` |
//! | ICMP and UDP | `icmp`, `udp` |
//! | How many answers may leave that nobody asked for? | `rate` |
//! | How are sockets named? | [`ids`] |
//! | What may a call answer, and why was a packet dropped? | [`error`] |
//! | What is the owner told? | [`event`] |
//! | What is recorded? | [`trace`] |
//! | How much do all buffers hold, and how much may they? | `memory` |
//! | How often did what happen? | [`counters`] |
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

extern crate alloc;

mod carrier;
mod chunks;
pub mod config;
mod context;
pub mod counters;
mod demux;
pub mod error;
pub mod event;
mod fragmentation;
pub mod host;
mod icmp;
pub mod ids;
mod ingress;
pub mod interface;
mod keyed;
mod memory;
mod merge;
mod path_mtus;
mod ports;
mod rate;
mod reassembly;
mod receive;
pub mod request;
mod routing;
mod segmentation;
mod source_selection;
mod tcp;
pub mod trace;
mod udp;
mod wheel;

pub use ciao_tcp::{MemoryLevel, Tracing};
pub use config::{HostConfig, MemoryLimits, ReassemblyLimits};
pub use counters::{Counters, Counts};
pub use error::{BindError, ConnectError, HostDropReason, ListenError, UdpSendError};
pub use event::HostEvent;
pub use host::Host;
pub use ids::{BoundId, ConnectionId, InterfaceId, ListenerId, SocketId, UdpId};
pub use interface::{Checksums, Cidr, InterfaceConfig, Offload, Route, Segmentation};
pub use ports::Reuse;
pub use request::{ConnectRequest, FastOpen, IpOptions, ListenRequest, Overflow, SynCookies};
pub use trace::{HostTraceEvent, Opening, TraceRecord};
