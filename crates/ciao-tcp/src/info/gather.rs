//! Where does each number of a [`TcpInfo`] come from?

use super::{CaState, InfoOptions, TcpInfo};
use crate::congestion::Limit;
use crate::connection::Connection;
use crate::counters::Busy;
use crate::recovery::Phase;
use crate::sent::{Fate, SentRecord};
use ciao_wire::Instant;
use core::time::Duration;

/// What Linux takes the peer's segments to hold before any has come (`TCP_MSS_DEFAULT`).
const RECEIVED_MSS_UNKNOWN: u32 = 536;
/// The TCP header without options, which an MSS does not count.
const TCP_HEADER_BYTES: u32 = 20;
/// How far segments may be out of order before any was seen to be, in segments (RFC 5681 §3.2).
const REORDERING_UNKNOWN: u32 = 3;
/// The most that Linux tells (`tcp_max_reordering`).
const REORDERING_MOST: u32 = 300;

impl Connection {
    /// What is to know of the connection at `now`.
    #[must_use]
    pub fn info(&self, now: Instant) -> TcpInfo {
        let mss = self.full_segment_bytes();
        let [unacked, sacked, lost, retrans] = self.segments_by_fate(mss);
        let (counters, rare) = (&self.counters, self.counters.rare.as_deref().cloned().unwrap_or_default());
        let Busy { all, by_peer_window, by_send_buffer } = counters.busy(now);
        let unsent = self.unsent();
        let once = |bytes: u64, time: Duration| if bytes > 0 { time } else { Duration::ZERO };
        let options_bytes = u32::from(self.snd.mss) - mss;
        let latest_rate = self.sent.latest_rate();
        let never_retransmitted = counters.data_segments_sent.saturating_sub(rare.retransmissions);
        TcpInfo {
            state: self.state,
            ca_state: self.ca_state(),
            retransmits: self.owed.timeouts,
            probes: self.owed.unanswered_window_probes.max(self.owed.keep_alive_probes),
            backoff: self.rtt.back_offs().max(self.owed.window_probes),
            options: self.agreed_options(),
            snd_wscale: self.snd.wind_shift,
            rcv_wscale: self.rcv.wind_shift,
            delivery_rate_app_limited: latest_rate.is_some_and(|(_, limited)| limited == Limit::Other),
            congestion_control: self.congestion.choice(),
            rto: self.rtt.rto(&self.config),
            ato: once(counters.bytes_received, self.config.delayed_ack),
            snd_mss: mss,
            rcv_mss: u32::from(self.announce_mss)
                .min(RECEIVED_MSS_UNKNOWN)
                .max(self.owed.largest_received.into()),
            advmss: u32::from(self.announce_mss).saturating_sub(options_bytes),
            pmtu: u32::from(self.announce_mss.min(self.path_mss())) + TCP_HEADER_BYTES,
            unacked,
            sacked,
            lost,
            retrans,
            fackets: 0,
            last_data_sent: once(counters.bytes_sent, now.since(self.recovery.data_sent_at)),
            last_ack_sent: counters.sent.until(now),
            last_data_recv: once(counters.bytes_received, counters.data_received.until(now)),
            last_ack_recv: counters.received.until(now),
            rcv_ssthresh: self.options.receive_buffer_bytes.min(self.greatest_window()),
            rtt: self.rtt.srtt().unwrap_or_default(),
            rttvar: self.rtt.rttvar().unwrap_or_default(),
            snd_ssthresh: match self.congestion.slow_start_threshold_bytes() {
                u32::MAX => TcpInfo::INFINITE_SSTHRESH,
                bytes => bytes / mss,
            },
            snd_cwnd: self.congestion_window() / mss,
            reordering: rare.reordering_bytes.div_ceil(mss).clamp(REORDERING_UNKNOWN, REORDERING_MOST),
            rcv_rtt: self.right_sizing.rtt(),
            rcv_space: self.right_sizing.space(),
            total_retrans: rare.retransmissions,
            pacing_rate: self.rtt.srtt().map_or(0, |srtt| self.congestion.pacing_rate_bytes_per_s(srtt)),
            bytes_acked: counters.bytes_sent.saturating_sub(u64::from(self.send_buffer.len() - unsent)),
            bytes_received: counters.bytes_received,
            segs_out: counters.segments_sent,
            segs_in: counters.segments_received,
            notsent_bytes: unsent,
            min_rtt: self.rtt.min_rtt().unwrap_or_default(),
            data_segs_in: counters.data_segments_received,
            data_segs_out: counters.data_segments_sent,
            delivery_rate: latest_rate.map_or(0, |(rate, _)| rate),
            busy_time: all,
            rwnd_limited: by_peer_window,
            sndbuf_limited: by_send_buffer,
            delivered: never_retransmitted.saturating_sub(unacked - sacked),
            delivered_ce: 0,
            bytes_sent: counters.bytes_sent + rare.bytes_retransmitted,
            bytes_retrans: rare.bytes_retransmitted,
            dsack_dups: rare.duplicate_reports,
            reord_seen: rare.reorderings,
            rcv_ooopack: rare.out_of_order_segments,
            snd_wnd: self.snd.wnd,
            rcv_wnd: self.rcv.wnd(),
            cwnd_bytes: self.congestion_window(),
            ssthresh_bytes: self.congestion.slow_start_threshold_bytes(),
            flight_bytes: self.sent.in_flight(),
            segs_dropped: rare.segments_dropped,
        }
    }

    fn agreed_options(&self) -> InfoOptions {
        InfoOptions {
            timestamps: self.timestamps.agreed,
            sack: self.sack,
            wscale: self.scaling,
            ecn: self.ecn.is_agreed(),
        }
    }

    /// Segments that are not acknowledged; and of those, the selectively acknowledged, the lost, and the lost
    /// that were sent again. A record may stand for many segments.
    fn segments_by_fate(&self, mss: u32) -> [u32; 4] {
        let segments = |is_one: &dyn Fn(&SentRecord) -> bool| -> u32 {
            self.sent.records().filter(|record| is_one(record)).map(|record| record.len().div_ceil(mss)).sum()
        };
        let retrans = segments(&|record| record.fate == Fate::InFlight && record.transmissions > 1);
        [
            segments(&|_| true),
            segments(&|record| record.fate == Fate::Sacked),
            segments(&|record| record.fate == Fate::Lost) + retrans,
            retrans,
        ]
    }

    fn ca_state(&self) -> CaState {
        match self.recovery.phase {
            Phase::Fast { .. } => CaState::Recovery,
            Phase::Timeout { .. } => CaState::Loss,
            Phase::Open if self.duplicate_bytes() > 0 || self.sent.sacked() > 0 => CaState::Disorder,
            Phase::Open => CaState::Open,
        }
    }
}
