//! How often did what happen: one number for each way a packet can go. In = delivered + dropped.

use crate::error::HostDropReason;

/// What happened since the host was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Packets received; one that the link merged counts once.
    pub packets_received: u64,
    /// Packets sent; a super-segment counts once.
    pub packets_sent: u64,
    /// Records in TIME-WAIT that made room for others before their time.
    pub time_wait_evicted: u64,
    /// SYNs that were answered with a SYN cookie.
    pub syn_cookies_sent: u64,
    /// SYN cookies that came back and made a connection.
    pub syn_cookies_accepted: u64,
    /// Segments that acknowledge a SYN cookie and came before the one that brings it back: they come again.
    pub syn_cookies_early: u64,
    /// ACKs that a listener took for a SYN cookie, and that were forged or too late.
    pub syn_cookies_refused: u64,
    /// SYNs with a good Fast Open cookie that opened a connection at once.
    pub fast_opens_accepted: u64,
    /// SYNs with a good Fast Open cookie that went the usual way, because too many were under way.
    pub fast_opens_refused: u64,
    /// Fast Open cookies that were not ours.
    pub fast_open_cookies_refused: u64,
    drops: [u64; HostDropReason::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            packets_received: 0,
            packets_sent: 0,
            time_wait_evicted: 0,
            fast_opens_accepted: 0,
            fast_opens_refused: 0,
            fast_open_cookies_refused: 0,
            syn_cookies_sent: 0,
            syn_cookies_accepted: 0,
            syn_cookies_early: 0,
            syn_cookies_refused: 0,
            drops: [0; HostDropReason::ALL.len()],
        }
    }
}

impl Counters {
    /// How many packets were dropped for `reason`.
    #[must_use]
    pub fn dropped(&self, reason: HostDropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// All reasons for which a packet was dropped, with how many.
    pub fn drops(&self) -> impl Iterator<Item = (HostDropReason, u64)> + '_ {
        HostDropReason::ALL.into_iter().zip(self.drops).filter(|(_, count)| *count > 0)
    }

    pub(crate) fn count_drop(&mut self, reason: HostDropReason) {
        self.drops[reason as usize] += 1;
    }
}

/// How many there are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Listening TCP sockets.
    pub listeners: usize,
    /// Half-open connections of all listeners.
    pub half_open: usize,
    /// Connections, with and without an owner, TIME-WAIT with an owner included.
    pub connections: usize,
    /// Compact records of connections in TIME-WAIT without an owner.
    pub time_wait: usize,
    /// Bytes in the buffers of all connections.
    pub buffered_bytes: u64,
}
