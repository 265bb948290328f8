//! Headers to typed values and back. No state, no clock, no socket.
//!
//! | question | file |
//! |---|---|
//! | What does a TCP header look like, which options does it carry? | [`tcp`], [`tcp_options`] |
//! | What does it look like nearly always? | [`tcp_plain`] |
//! | IPv4, IPv6 and what they have in common | [`ipv4`], [`ipv6`], [`ipv6_extensions`], [`ip`] |
//! | ICMP echo and errors, both versions | [`icmpv4`], [`icmpv6`] |
//! | Which packet does an ICMP error speak of? | [`quote`] |
//! | UDP | [`udp`] |
//! | How is the Internet checksum computed? | [`checksum`] |
//! | Why are bytes not a header? | [`error`] |
//! | How are sequence numbers compared? | [`seq`] |
//! | What is a moment in time here? | [`time`] |
//! | What does a link get, and what does it give? | [`packet`] |
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

extern crate alloc;

pub mod checksum;
pub mod error;
pub mod icmpv4;
pub mod icmpv6;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod ipv6_extensions;
pub mod packet;
pub mod quote;
pub mod seq;
pub mod tcp;
pub mod tcp_options;
pub mod tcp_plain;
pub mod time;
pub mod udp;

pub use checksum::Sum;
pub use error::ParseError;
pub use icmpv4::Icmpv4;
pub use icmpv6::Icmpv6;
pub use ip::{Ecn, IpHeader, Protocol};
pub use ipv4::Ipv4Header;
pub use ipv6::Ipv6Header;
pub use packet::{Checksum, Head, Packet, PacketId, Payload};
pub use quote::Quote;
pub use seq::SeqNum;
pub use tcp::{TcpFlags, TcpHeader};
pub use tcp_options::{FastOpenCookie, SackBlock, SackBlocks, TcpOptions, Timestamps};
pub use tcp_plain::PlainHeader;
pub use time::Instant;
pub use udp::UdpHeader;
