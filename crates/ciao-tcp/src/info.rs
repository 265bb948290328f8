//! What is there to know of a connection? [`TcpInfo`], with the names and meanings of Linux' `tcp_info`,
//! which `ss -ti` shows of a kernel socket (STATUS, RFC 9293 §3.10.6).
//!
//! What Linux counts in segments is counted in segments here, bytes that the window holds divided by the
//! segment size; the same in bytes stands at the end. What is counted is in `counters`; where each number
//! comes from is in `info/gather.rs`, how they are printed in `info/display.rs`.

mod display;
mod gather;

use crate::congestion::CongestionControl;
use crate::state::TcpState;
use core::time::Duration;

/// Where congestion control stands, in Linux' words and numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum CaState {
    /// Nothing special.
    #[default]
    Open = 0,
    /// Duplicate acknowledgments have come, no loss is certain.
    Disorder = 1,
    /// The window was reduced because the network said so (ECN).
    Cwr = 2,
    /// A loss that acknowledgments showed is being repaired.
    Recovery = 3,
    /// The retransmission timer ran out.
    Loss = 4,
}

/// Which options both ends agreed on: `tcpi_options`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InfoOptions {
    /// Timestamps (RFC 7323 §3).
    pub timestamps: bool,
    /// Selective acknowledgments (RFC 2018).
    pub sack: bool,
    /// Window scaling (RFC 7323 §2).
    pub wscale: bool,
    /// Explicit congestion notification (RFC 3168).
    pub ecn: bool,
}

impl InfoOptions {
    /// As the bits of Linux' `TCPI_OPT_*`.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.timestamps as u8 | (self.sack as u8) << 1 | (self.wscale as u8) << 2 | (self.ecn as u8) << 3
    }
}

/// What is to know of a connection at one moment. Names are Linux', without `tcpi_`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The state.
    pub state: TcpState,
    /// Where congestion control stands.
    pub ca_state: CaState,
    /// Retransmission timeouts in a row without progress.
    pub retransmits: u8,
    /// Probes without an answer: of a shut window, or of a silent peer.
    pub probes: u8,
    /// How often RTO was doubled, or the time between probes of a shut window.
    pub backoff: u8,
    /// What both ends agreed on.
    pub options: InfoOptions,
    /// Snd.Wind.Shift.
    pub snd_wscale: u8,
    /// Rcv.Wind.Shift.
    pub rcv_wscale: u8,
    /// The last delivery rate was what the application sent, not what the path could take.
    pub delivery_rate_app_limited: bool,
    /// The congestion control algorithm.
    pub congestion_control: CongestionControl,
    /// Retransmission timeout, back-off included.
    pub rto: Duration,
    /// The delay of an acknowledgment; zero before data has come.
    pub ato: Duration,
    /// The most payload of one segment sent.
    pub snd_mss: u32,
    /// The most payload of a segment received so far.
    pub rcv_mss: u32,
    /// The MSS that we announced, less the options of each segment.
    pub advmss: u32,
    /// Path MTU in bytes; without the IP header where a connection is asked that stands in no host.
    pub pmtu: u32,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Of those, selectively acknowledged.
    pub sacked: u32,
    /// Of those, taken for lost, sent again or not.
    pub lost: u32,
    /// Of those, sent again and on their way.
    pub retrans: u32,
    /// Always zero, as in Linux since it has RACK.
    pub fackets: u32,
    /// Since data was sent, for the first time or again; zero before any was.
    pub last_data_sent: Duration,
    /// Since an acknowledgment was sent.
    pub last_ack_sent: Duration,
    /// Since data was received; zero before any was.
    pub last_data_recv: Duration,
    /// Since a segment with an acknowledgment was received.
    pub last_ack_recv: Duration,
    /// The most that we would offer as a window now, in bytes.
    pub rcv_ssthresh: u32,
    /// SRTT; zero before the first sample.
    pub rtt: Duration,
    /// RTTVAR.
    pub rttvar: Duration,
    /// Slow start threshold in segments; [`TcpInfo::INFINITE_SSTHRESH`] before the first loss.
    pub snd_ssthresh: u32,
    /// Congestion window in segments.
    pub snd_cwnd: u32,
    /// How far segments came out of order at most, in segments from 3 to 300: from the late one to the last
    /// that came before it. 3 before any was late, and without selective acknowledgments.
    pub reordering: u32,
    /// The round trip as the receiver sees it; zero before it is measured.
    pub rcv_rtt: Duration,
    /// The most bytes that the application has read in a round trip.
    pub rcv_space: u32,
    /// Segments sent again, in all.
    pub total_retrans: u32,
    /// The rate at which pacing would send, in bytes a second; zero before the first sample of the round
    /// trip.
    pub pacing_rate: u64,
    /// Payload bytes that were acknowledged.
    pub bytes_acked: u64,
    /// Payload bytes received in order.
    pub bytes_received: u64,
    /// Segments sent.
    pub segs_out: u32,
    /// Segments received.
    pub segs_in: u32,
    /// Payload bytes that were never sent.
    pub notsent_bytes: u32,
    /// The shortest round trip; zero before the first sample.
    pub min_rtt: Duration,
    /// Segments with payload that were received.
    pub data_segs_in: u32,
    /// Segments with payload that were sent.
    pub data_segs_out: u32,
    /// The latest measured delivery rate in bytes a second; zero before one is, and without BBR, which alone
    /// asks for it: a sample wants 24 bytes kept with each transmission, and work with each acknowledgment.
    pub delivery_rate: u64,
    /// Time in which there was anything to send or to be acknowledged.
    pub busy_time: Duration,
    /// Of that, held back by the peer's window.
    pub rwnd_limited: Duration,
    /// Of that, held back by the send buffer.
    pub sndbuf_limited: Duration,
    /// Segments that are known to have arrived.
    pub delivered: u32,
    /// Of those, that met congestion (CE). Zero: the ECN that we speak does not tell how many.
    pub delivered_ce: u32,
    /// Payload bytes sent, those sent again included.
    pub bytes_sent: u64,
    /// Payload bytes sent again.
    pub bytes_retrans: u64,
    /// Ranges that arrived twice, as the peer reported (RFC 2883).
    pub dsack_dups: u32,
    /// How often segments arrived in another order, as acknowledgments showed.
    pub reord_seen: u32,
    /// Segments received out of order.
    pub rcv_ooopack: u32,
    /// SND.WND in bytes.
    pub snd_wnd: u32,
    /// RCV.WND in bytes.
    pub rcv_wnd: u32,
    /// Congestion window in bytes; while a loss is repaired, what the repair admits. Linux does not tell this
    /// and what follows.
    pub cwnd_bytes: u32,
    /// Slow start threshold in bytes; `u32::MAX` before the first loss.
    pub ssthresh_bytes: u32,
    /// Bytes in flight.
    pub flight_bytes: u32,
    /// Segments received that were dropped, in whole or their data.
    pub segs_dropped: u32,
}

impl TcpInfo {
    /// What Linux shows for a slow start threshold that was never set.
    pub const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;

    /// Every number that Linux tells, under Linux' name without `tcpi_`, in Linux' unit: microseconds, but
    /// milliseconds for `last_…`.
    #[must_use]
    pub fn values(&self) -> [(&'static str, u64); 55] {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        [
            ("state", linux_number(self.state)),
            ("ca_state", self.ca_state as u64),
            ("retransmits", self.retransmits.into()),
            ("probes", self.probes.into()),
            ("backoff", self.backoff.into()),
            ("options", self.options.bits().into()),
            ("snd_wscale", self.snd_wscale.into()),
            ("rcv_wscale", self.rcv_wscale.into()),
            ("delivery_rate_app_limited", self.delivery_rate_app_limited.into()),
            ("rto", micros(self.rto)),
            ("ato", micros(self.ato)),
            ("snd_mss", self.snd_mss.into()),
            ("rcv_mss", self.rcv_mss.into()),
            ("advmss", self.advmss.into()),
            ("pmtu", self.pmtu.into()),
            ("unacked", self.unacked.into()),
            ("sacked", self.sacked.into()),
            ("lost", self.lost.into()),
            ("retrans", self.retrans.into()),
            ("fackets", self.fackets.into()),
            ("last_data_sent", millis(self.last_data_sent)),
            ("last_ack_sent", millis(self.last_ack_sent)),
            ("last_data_recv", millis(self.last_data_recv)),
            ("last_ack_recv", millis(self.last_ack_recv)),
            ("rcv_ssthresh", self.rcv_ssthresh.into()),
            ("rtt", micros(self.rtt)),
            ("rttvar", micros(self.rttvar)),
            ("snd_ssthresh", self.snd_ssthresh.into()),
            ("snd_cwnd", self.snd_cwnd.into()),
            ("reordering", self.reordering.into()),
            ("rcv_rtt", micros(self.rcv_rtt)),
            ("rcv_space", self.rcv_space.into()),
            ("total_retrans", self.total_retrans.into()),
            ("pacing_rate", self.pacing_rate),
            ("bytes_acked", self.bytes_acked),
            ("bytes_received", self.bytes_received),
            ("segs_out", self.segs_out.into()),
            ("segs_in", self.segs_in.into()),
            ("notsent_bytes", self.notsent_bytes.into()),
            ("min_rtt", micros(self.min_rtt)),
            ("data_segs_in", self.data_segs_in.into()),
            ("data_segs_out", self.data_segs_out.into()),
            ("delivery_rate", self.delivery_rate),
            ("busy_time", micros(self.busy_time)),
            ("rwnd_limited", micros(self.rwnd_limited)),
            ("sndbuf_limited", micros(self.sndbuf_limited)),
            ("delivered", self.delivered.into()),
            ("delivered_ce", self.delivered_ce.into()),
            ("bytes_sent", self.bytes_sent),
            ("bytes_retrans", self.bytes_retrans),
            ("dsack_dups", self.dsack_dups.into()),
            ("reord_seen", self.reord_seen.into()),
            ("rcv_ooopack", self.rcv_ooopack.into()),
            ("snd_wnd", self.snd_wnd.into()),
            ("rcv_wnd", self.rcv_wnd.into()),
        ]
    }

    /// The number that Linux calls `tcpi_` and `name`, in Linux' unit; see [`TcpInfo::values`].
    #[must_use]
    pub fn value(&self, name: &str) -> Option<u64> {
        self.values().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// Linux' number of a state (`TCP_ESTABLISHED` and so on).
const fn linux_number(state: TcpState) -> u64 {
    match state {
        TcpState::Established => 1,
        TcpState::SynSent => 2,
        TcpState::SynReceived => 3,
        TcpState::FinWait1 => 4,
        TcpState::FinWait2 => 5,
        TcpState::TimeWait => 6,
        TcpState::Closed => 7,
        TcpState::CloseWait => 8,
        TcpState::LastAck => 9,
        TcpState::Listen => 10,
        TcpState::Closing => 11,
    }
}

impl CongestionControl {
    /// The name that Linux has for the algorithm.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewReno => "reno",
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
        }
    }
}
