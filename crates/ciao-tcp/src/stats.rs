//! Numbers that a connection keeps of itself (STATUS, RFC 9293 §3.10.6).

use crate::TcpState;
use core::time::Duration;

/// The answer to STATUS.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The state.
    pub state: TcpState,
    /// Payload bytes sent for the first time.
    pub bytes_sent: u64,
    /// Payload bytes received in order.
    pub bytes_received: u64,
    /// Segments sent, as the link sees them.
    pub segments_sent: u32,
    /// Segments received.
    pub segments_received: u32,
    /// Segments dropped, in whole or their data.
    pub segments_dropped: u32,
    /// Segments sent again.
    pub retransmissions: u32,
    /// Smoothed round-trip time, after the first sample.
    pub srtt: Option<Duration>,
    /// Variation of the round-trip time, after the first sample.
    pub rttvar: Option<Duration>,
    /// Retransmission timeout as it is now, back-off included.
    pub rto: Duration,
    /// Congestion window in bytes.
    pub cwnd_bytes: u32,
    /// Slow start threshold in bytes; `u32::MAX` before the first loss.
    pub ssthresh_bytes: u32,
    /// SND.WND in bytes.
    pub send_window_bytes: u32,
    /// RCV.WND in bytes.
    pub receive_window_bytes: u32,
    /// Bytes in flight.
    pub flight_bytes: u32,
    /// The most payload of a segment sent, options taken off.
    pub effective_mss_bytes: u16,
}
