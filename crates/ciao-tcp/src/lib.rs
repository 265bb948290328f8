//! One TCP connection and its listener, sans-IO: segments and time go in; segments, events and a wake-up time
//! come out.
//!
//! The file tree is the table of contents of RFC 9293 §3.10.
//!
//! | question | file |
//! |---|---|
//! | Which calls are there? | [`connection`] |
//! | How does a connection begin when the peer calls? | [`listener`] |
//! | And when more peers call than can be kept? | [`syn_cookies`] |
//! | How may a SYN carry data? | [`fast_open`] |
//! | Which moves between states are legal, and for which causes? | [`state`] |
//! | What do OPEN, SEND, RECEIVE, CLOSE, ABORT and STATUS do? (§3.10.1–6) | `user_calls` |
//! | What happens when a segment arrives? (§3.10.7) | `segment_arrives` and one file for each check |
//! | What does nearly every segment bring and take? | [`header_prediction`] |
//! | What happens when a timer fires? (§3.10.8) | `timeouts` |
//! | Where is TIME-WAIT handled? | [`time_wait`] |
//! | Which timers are there? | [`timers`] |
//! | What is sent now, or what do we wait for? | [`transmit`] |
//! | What was sent, how often, and what became of it? | `sent` |
//! | Which bytes wait? | `send_buffer`, `receive_buffer`, `reassembly`, `coalesce` |
//! | Which state do only few connections have? | `seldom` |
//! | Which window do we offer? | `receive_window` |
//! | How large do the buffers become? | `buffer_growth` |
//! | When may the application read and write? | `watermarks` |
//! | How long is a round trip, and when do we retransmit? | [`rtt`], [`recovery`] |
//! | How much may be in flight? | [`congestion`] |
//! | How long may data stay unacknowledged? | `user_timeout` |
//! | What do marks of congestion do? | `ecn` |
//! | How fast does the path deliver, and how fast do we send? | `delivery_rate`, `transmit/pacing.rs` |
//! | What does an ICMP error do? | [`icmp`] |
//! | How long may a segment be on this path? | [`path_mtu`] |
//! | Where do sequence numbers start? | [`isn`] |
//! | Which numbers can be set, and what are their defaults? | [`config`] |
//! | Why was a segment dropped, how did a connection end? | [`error`] |
//! | What is there to know of a connection? | [`info`], `counters` |
//! | What is recorded? | [`trace`] |
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

extern crate alloc;

mod buffer_growth;
mod coalesce;
pub mod config;
pub mod congestion;
pub mod connection;
mod copy;
mod counters;
mod delivery_rate;
mod ecn;
pub mod error;
pub mod event;
pub mod fast_open;
pub mod header_prediction;
pub mod icmp;
pub mod info;
pub mod isn;
pub mod listener;
pub mod path_mtu;
mod reassembly;
mod receive_buffer;
mod receive_window;
pub mod recovery;
pub mod rtt;
pub mod segment;
mod segment_arrives;
mod seldom;
mod send_buffer;
mod sent;
pub mod state;
pub mod syn_cookies;
pub mod time_wait;
mod timeouts;
pub mod timers;
mod timestamps;
pub mod trace;
pub mod transmit;
mod user_calls;
mod user_timeout;
mod variables;
mod watermarks;
mod window_scale;

pub use buffer_growth::MemoryLevel;
pub use config::{Config, SocketOptions};
pub use connection::{Connection, Setup};
pub use error::{ConnectionError, DropReason};
pub use event::Event;
pub use header_prediction::Prediction;
pub use icmp::{Belief, IcmpError, IcmpErrorKind};
pub use info::TcpInfo;
pub use listener::{HalfOpen, HalfOpenAnswer, HalfOpenFate};
pub use path_mtu::SizeCause;
pub use segment::{Segment, SegmentOut, Transmission};
pub use segment_arrives::closed::answer_from_closed;
pub use state::{Cause, TcpState};
pub use time_wait::{TimeWait, TimeWaitAnswer};
pub use timers::{Timer, Wakeup};
pub use trace::{TraceEvent, Tracing};
pub use transmit::{Wait, WaitReason};
