//! Every number that can be set, with its default, its source and the reason for the value.

use crate::congestion::CongestionControl;
use core::time::Duration;

/// What all connections of a host share. [`SocketOptions`] is what one of them may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes that may wait to be acknowledged or sent, at first. 256 KiB: four round trips of slow start.
    pub send_buffer_bytes: u32,
    /// How far that grows, with twice the congestion window. 15 MiB: with two ends so, one connection fills
    /// 1 Gbit/s over 100 ms, which Linux' 4 MiB do not.
    pub send_buffer_max_bytes: u32,
    /// Bytes that may wait to be read, reassembly included, at first. 256 KiB: a sender in slow start is not
    /// held back before the first measurements are made.
    pub receive_buffer_bytes: u32,
    /// How far that grows, with what the application reads in a round trip; decides the window scale. 15 MiB,
    /// for the reason above and because it still fits a scale of 8.
    pub receive_buffer_max_bytes: u32,
    /// Learn how long a packet the path takes (RFC 1191, RFC 8201, RFC 4821); else none is longer than what
    /// every path takes: 576 bytes of IPv4, 1,280 of IPv6. On.
    pub path_mtu_discovery: bool,
    /// Offer window scaling (RFC 7323 §2). On.
    pub window_scaling: bool,
    /// Offer timestamps (RFC 7323 §3). On.
    pub timestamps: bool,
    /// Offer selective acknowledgments (RFC 2018). On.
    pub sack: bool,
    /// Maximum segment lifetime; TIME-WAIT lasts twice as long (RFC 9293 §3.4.2 says 2 min and calls it an
    /// engineering choice). 30 s, as Linux' 60 s of TIME-WAIT.
    pub msl: Duration,
    /// RTO before the first sample (RFC 6298 §2.1). 1 s.
    pub rto_initial: Duration,
    /// Least RTO (RFC 6298 §2.4 says 1 s). 200 ms, as Linux: with SACK and timestamps a late timer costs more
    /// than an early one.
    pub rto_min: Duration,
    /// Greatest RTO (RFC 6298 §2.5: at least 60 s). 120 s, as Linux.
    pub rto_max: Duration,
    /// Retransmissions after which trouble is reported, R1 (RFC 9293 §3.8.3 SHLD-10: at least 3). 3.
    pub r1_retransmissions: u8,
    /// How long data may stay unacknowledged before the connection is given up, R2 (RFC 9293 §3.8.3 SHLD-11:
    /// at least 100 s). `None`: never. 15 min, about Linux' 15 retransmissions.
    pub r2: Option<Duration>,
    /// R2 for a SYN (RFC 9293 §3.8.3 MUST-23: at least 3 min). 3 min.
    pub r2_syn: Option<Duration>,
    /// Delay of an acknowledgment (RFC 9293 §3.8.6.3 MUST-40: below 500 ms). 40 ms, as Linux.
    pub delayed_ack: Duration,
    /// Most segments at the start of a connection, and after an idle time, that are acknowledged at once; no
    /// more than half the window holds. 16, as Linux.
    pub quick_acks: u8,
    /// After this time a sender that the silly-window rule holds back sends what it may (RFC 9293 §3.8.6.2.1:
    /// 0.1–1 s). 200 ms.
    pub silly_window_override: Duration,
    /// How long a corked connection holds less than a whole segment when nothing is in flight whose
    /// acknowledgment would let it go (RFC 9293 §3.9.1.2 MUST-60: not for ever). 200 ms, as Linux.
    pub cork_timeout: Duration,
    /// Greatest interval of window probes (RFC 9293 §3.8.6.1 SHLD-30 asks for exponential growth). 60 s.
    pub persist_max: Duration,
    /// How long a peer may hold its window shut while the host is short of memory (RFC 6429 §4). 60 s.
    pub scarce_memory_patience: Duration,
    /// How long FIN-WAIT-2, and any state whose owner is gone, waits for a peer without progress. 60 s, as
    /// Linux.
    pub orphan_timeout: Duration,
    /// The congestion control algorithm (RFC 9293 §3.8.2 MAY-18). CUBIC, as Linux.
    pub congestion_control: CongestionControl,
    /// Explicit congestion notification (RFC 3168). Accepted and not asked for, as Linux.
    pub ecn: EcnPolicy,
    /// Segments in the initial congestion window (RFC 6928). 10.
    pub initial_window_segments: u8,
    /// Least interval of challenge ACKs of one connection (RFC 5961 §7). 500 ms.
    pub challenge_ack_interval: Duration,
    /// Most gaps in the reassembly queue, unless there are more than 512 bytes for each of them. 128: an
    /// attack with single bytes holds no more than that.
    pub max_gaps: u16,
    /// Most payload bytes of a super-segment. The host lowers it to what its link takes. 65,160: 45 segments
    /// of 1,448.
    pub max_super_segment_bytes: u32,
    /// Options that a new connection starts with.
    pub socket: SocketOptions,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            send_buffer_bytes: 256 * 1024,
            send_buffer_max_bytes: 15 * 1024 * 1024,
            receive_buffer_bytes: 256 * 1024,
            receive_buffer_max_bytes: 15 * 1024 * 1024,
            path_mtu_discovery: true,
            window_scaling: true,
            timestamps: true,
            sack: true,
            msl: Duration::from_secs(30),
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_secs(120),
            r1_retransmissions: 3,
            r2: Some(Duration::from_secs(15 * 60)),
            r2_syn: Some(Duration::from_secs(180)),
            delayed_ack: Duration::from_millis(40),
            quick_acks: 16,
            silly_window_override: Duration::from_millis(200),
            cork_timeout: Duration::from_millis(200),
            persist_max: Duration::from_secs(60),
            scarce_memory_patience: Duration::from_secs(60),
            orphan_timeout: Duration::from_secs(60),
            congestion_control: CongestionControl::Cubic,
            ecn: EcnPolicy::Accept,
            initial_window_segments: 10,
            challenge_ack_interval: Duration::from_millis(500),
            max_gaps: 128,
            max_super_segment_bytes: 45 * 1448,
            socket: SocketOptions::default(),
        }
    }
}

impl Config {
    /// The RFCs' own numbers, where the default follows Linux: RTO ≥ 1 s and MSL 2 min.
    #[must_use]
    pub fn strict() -> Self {
        Self { msl: Duration::from_secs(120), rto_min: Duration::from_secs(1), ..Self::default() }
    }
}

/// What an application may set for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Send small segments at once: Nagle's algorithm off (RFC 9293 §3.7.4 MUST-17). Off.
    pub nodelay: bool,
    /// Hold small segments back, whatever `nodelay` says, until this is off again or
    /// [`Config::cork_timeout`] is over. Off.
    pub cork: bool,
    /// Acknowledge every segment at once. Off.
    pub quickack: bool,
    /// SEND takes bytes only while fewer than this were never sent: data that waits in the network's stead
    /// can still be changed by the application. None: as many as the send buffer holds.
    pub notsent_lowat: Option<u32>,
    /// The application is told of bytes to read when this many have come, or the window can bring no more.
    /// None: of every byte.
    pub receive_lowat: Option<u32>,
    /// Keep-alive (RFC 9293 §3.8.4 MUST-25: off).
    pub keep_alive: Option<KeepAlive>,
    /// Instead of R2 and of R2 for a SYN: how long data may stay unacknowledged, or wait for the peer's
    /// window to open, before the connection is given up; [`Duration::MAX`] for ever (RFC 9293 §3.8.3
    /// MUST-21, RFC 6429 §4). None.
    pub user_timeout: Option<Duration>,
    /// Tell the peer our user timeout, and follow the peer's unless [`Self::user_timeout`] is set, between
    /// 100 s and an hour (RFC 5482). Off.
    pub exchange_user_timeout: bool,
    /// Send RST instead of FIN when closed (linger with time zero). Off.
    pub zero_linger: bool,
    /// Do not report faults of the network that may pass, [`crate::Event::SoftError`] (RFC 9293 §3.9.1.8
    /// SHLD-20). Off.
    pub mute_soft_errors: bool,
    /// Instead of [`Config::congestion_control`].
    pub congestion_control: Option<CongestionControl>,
    /// Whether segments are spread out over time. As the congestion control needs it.
    pub pacing: Pacing,
    /// Instead of [`Config::send_buffer_bytes`], and it stays so.
    pub send_buffer_bytes: Option<u32>,
    /// Instead of [`Config::receive_buffer_bytes`], and it stays so; it decides the window scale, so set
    /// before the SYN it counts in full, later up to what the scale can say.
    pub receive_buffer_bytes: Option<u32>,
}

impl SocketOptions {
    /// Nothing set.
    pub const DEFAULT: Self = Self {
        nodelay: false,
        cork: false,
        quickack: false,
        notsent_lowat: None,
        receive_lowat: None,
        keep_alive: None,
        user_timeout: None,
        exchange_user_timeout: false,
        zero_linger: false,
        mute_soft_errors: false,
        congestion_control: None,
        pacing: Pacing::ForTheAlgorithm,
        send_buffer_bytes: None,
        receive_buffer_bytes: None,
    };
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Whether connections use explicit congestion notification (RFC 3168).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EcnPolicy {
    /// Never.
    Off,
    /// When the peer's SYN asks for it.
    #[default]
    Accept,
    /// Our SYN asks as well. Where nobody listens, a refusal takes two round trips: the first may have been
    /// of the question.
    Request,
}

/// Whether segments leave as soon as the windows let them, or spread out over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pacing {
    /// Spread out when the congestion control steers by a rate, as BBR does.
    #[default]
    ForTheAlgorithm,
    /// Spread out with every congestion control, at the rate that it wants.
    On,
    /// Spread out, and never faster than this (`SO_MAX_PACING_RATE` of Linux).
    AtMost {
        /// Payload bytes a second.
        bytes_per_s: u64,
    },
}

/// When to ask whether the peer is still there (RFC 9293 §3.8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence before the first probe (MUST-28: at least two hours by default).
    pub idle: Duration,
    /// Time between probes without an answer.
    pub interval: Duration,
    /// Unanswered probes that end the connection (MUST-29: more than one).
    pub probes: u8,
}

impl Default for KeepAlive {
    /// Two hours, then nine probes 75 s apart, as Linux.
    fn default() -> Self {
        Self { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), probes: 9 }
    }
}
