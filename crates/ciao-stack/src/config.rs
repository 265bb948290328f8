//! Every number of a host that can be set, with its default, its source and the reason for the value.
//!
//! Those of a connection are in `ciao_tcp::config`, those of an interface in [`crate::interface`].

use alloc::sync::Arc;
use ciao_tcp::Tracing;
use core::ops::RangeInclusive;
use core::time::Duration;

/// What a host is told at its start.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// What all its TCP connections share.
    pub tcp: Arc<ciao_tcp::Config>,
    /// TTL and hop limit of sent packets, 1 or more (RFC 1700). 64.
    pub hop_limit: u8,
    /// Ports that the host chooses itself (RFC 6056 §3.2 asks for a large range). 32768–60999, as Linux.
    pub ephemeral_ports: RangeInclusive<u16>,
    /// Most connections, half-open ones not counted. 1,048,576: a million idle ones fit in 512 MiB.
    pub max_connections: usize,
    /// Most records in TIME-WAIT; the oldest makes room. 131,072, half of Linux' largest default.
    pub max_time_wait: usize,
    /// Most UDP bytes that wait in a socket for its application. 208 KiB, as Linux.
    pub udp_receive_buffer_bytes: usize,
    /// ICMP errors a second, all destinations together (RFC 1812 §4.3.2.8, RFC 4443 §2.4 f). 1,000, as Linux.
    pub icmp_errors_per_s: u32,
    /// RSTs a second for segments that belong to no connection. 1,000: an answer helps one who erred, not one
    /// who floods.
    pub resets_per_s: u32,
    /// Packets that wait for the driver besides what connections hold back themselves: echo replies, errors,
    /// resets, datagrams. 1,024, as Linux' `txqueuelen`; more are dropped.
    pub max_queued_packets: usize,
    /// Most that is announced as MSS, and sent in one segment, whatever the interface takes: for tunnels
    /// behind which packets are longer than here. None.
    pub max_mss: Option<u16>,
    /// Most paths of which it is remembered that they take less than their interface. 1,024.
    pub max_path_mtus: usize,
    /// What datagrams in pieces may take.
    pub reassembly: ReassemblyLimits,
    /// What the buffers of all TCP connections together may hold.
    pub memory: MemoryLimits,
    /// Collect trace records.
    pub trace: Tracing,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            tcp: Arc::new(ciao_tcp::Config::default()),
            hop_limit: 64,
            ephemeral_ports: 32_768..=60_999,
            max_connections: 1 << 20,
            max_time_wait: 131_072,
            udp_receive_buffer_bytes: 208 * 1024,
            icmp_errors_per_s: 1_000,
            resets_per_s: 1_000,
            max_queued_packets: 1_024,
            max_mss: None,
            max_path_mtus: 1_024,
            reassembly: ReassemblyLimits::default(),
            memory: MemoryLimits::default(),
            trace: Tracing::Off,
        }
    }
}

/// What the buffers of all TCP connections of a host may hold: bytes to be sent, acknowledged or read, and
/// those that wait for what is missing before them. The limits stand to each other as those of Linux'
/// `tcp_mem`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Below this, buffers may grow again. 256 MiB.
    pub low_bytes: u64,
    /// From here on they do not grow, and what connections offer and take comes down to what they use.
    /// 340 MiB.
    pub pressure_bytes: u64,
    /// From here on data behind a gap, and data for an application that does not read, is dropped, and SEND
    /// takes no more than keeps a connection going. 512 MiB: as much again as a million idle connections.
    pub high_bytes: u64,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { low_bytes: 256 << 20, pressure_bytes: 340 << 20, high_bytes: 512 << 20 }
    }
}

/// What datagrams that come in pieces may take, all together. One sender gets a quarter of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReassemblyLimits {
    /// From the first piece that comes to the end of patience (RFC 8200 §4.5 says 60 s, RFC 1122 §3.3.2 60 to
    /// 120 s). 30 s, as Linux: what has not come by then is lost, and memory is what an attacker wants.
    pub timeout: Duration,
    // RFC 1122 §3.3.2 1122-3.3.2a
    /// Bytes, with what keeping them costs. 1 MiB.
    pub max_bytes: usize,
    /// Datagrams. 64.
    pub max_datagrams: usize,
    /// Fragments of one datagram. 64: the longest datagram has 45 of an Ethernet's.
    pub max_fragments: usize,
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), max_bytes: 1 << 20, max_datagrams: 64, max_fragments: 64 }
    }
}
