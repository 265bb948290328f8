//! What if the last segments of a flight are lost, so that nothing behind them shows it? A probe, sooner than
//! the retransmission timer (RFC 8985 §7).

use crate::connection::Connection;
use crate::recovery::{AckReport, Phase};
use crate::segment::Segment;
use crate::timers::Timer;
use crate::trace::{LossSign, TraceEvent};
use crate::transmit::Plan;
use crate::variables::Fin;
use ciao_wire::time::whole_nanos;
use ciao_wire::{Instant, SeqNum};
use core::time::Duration;

/// TLP.max_ack_delay: how long a peer may delay the acknowledgment of a single segment. 200 ms, as Linux and
/// the worst case of RFC 8985 §7.2.
const MAX_ACK_DELAY: Duration = Duration::from_millis(200);
/// PTO without a round trip measured (RFC 8985 §7.2).
const PROBE_TIMEOUT_INITIAL: Duration = Duration::from_secs(1);
/// Least PTO: two ticks of the host's wheel, as Linux. On shorter paths a probe would meet the
/// acknowledgment.
const PROBE_TIMEOUT_MIN: Duration = Duration::from_millis(2);

/// A probe whose fate is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// TLP.end_seq: SND.NXT when it was sent.
    end: SeqNum,
    content: Content,
}

/// What a probe carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    NewData,
    /// TLP.is_retrans
    Retransmission,
}

impl Connection {
    /// PTO in nanoseconds, when a probe may be what comes next: the retransmission timer serves once a loss
    /// is known, and while a probe is out.
    // RFC 8985 §7.2 8985-7a; RFC 8985 §7.3 8985-7b
    #[inline]
    pub(crate) fn probe_timeout_nanos(&self) -> Option<u64> {
        if !self.sack || self.recovery.phase != Phase::Open || self.is_opening() || self.sent.sacked() > 0 {
            return None;
        }
        if self.recovery.episode.as_ref().is_some_and(|episode| episode.probe.is_some()) {
            return None;
        }
        let Some(two_round_trips) = self.rtt.twice_srtt_nanos() else {
            return Some(whole_nanos(PROBE_TIMEOUT_INITIAL));
        };
        // One segment is what the RFC says; two that are not full are not acknowledged at once either.
        let may_be_delayed = self.outstanding() < 2 * u32::from(self.effective_mss());
        let delay = if may_be_delayed { whole_nanos(MAX_ACK_DELAY) } else { 0 };
        Some((two_round_trips + delay).max(whole_nanos(PROBE_TIMEOUT_MIN)))
    }

    // RFC 8985 §7.3 8985-7b: whether a probe goes out or not, the retransmission timer is next
    pub(crate) fn probe_timer_fired(&mut self, now: Instant) {
        let may_probe = self.outstanding() > 0 && self.snd.wnd > 0 && self.probe_timeout_nanos().is_some();
        self.owed.loss_probe = may_probe;
        let at = now + self.rtt.rto(&self.config);
        self.set_timer(Timer::Retransmit, at);
    }

    /// What the probe carries: the next segment never sent, else the last one that was.
    // RFC 8985 §7.3 8985-7b
    pub(crate) fn decide_probe(&self) -> Plan {
        let mss = u32::from(self.effective_mss());
        let new = self.unsent().min(self.usable_window()).min(mss);
        if new > 0 {
            return Plan::NewData { len: new, fin: false };
        }
        // A segment as it was sent, where one still fits: a peer that has the one before it reports nothing
        // of a part.
        let fin = u32::from(self.fin == Fin::Sent);
        let last = self.sent.last().map_or(self.snd.una, |last| last.last_segment(fin));
        let start = last.latest(self.snd.nxt - fin - mss);
        Plan::Retransmit { start, len: self.snd.nxt.since(start) }
    }

    /// The probe is about to go out.
    pub(crate) fn note_probe(&mut self, plan: Plan) {
        let (content, end) = match plan {
            Plan::Retransmit { .. } => (Content::Retransmission, self.snd.nxt),
            Plan::NewData { len, .. } => (Content::NewData, self.snd.nxt + len),
            _ => return,
        };
        self.owed.loss_probe = false;
        self.recovery.episode_from(self.snd.una).probe = Some(Probe { end, content });
    }

    /// Learns from an acknowledgment what the probe has brought. One that repaired a loss is a loss like any
    /// other for the window, though nobody had noticed it.
    // RFC 8985 §7.4.2 8985-7c
    pub(crate) fn judge_probe(&mut self, segment: &Segment, report: &AckReport) {
        let ack = segment.header.ack;
        let Some(episode) = self.recovery.episode.as_deref_mut() else { return };
        let Some(probe) = episode.probe.filter(|probe| ack.at_or_after(probe.end)) else { return };
        let was_for_nothing = report.duplicate.is_some_and(|block| block.end == probe.end);
        let is_bare_duplicate =
            !report.advanced && segment.is_empty() && segment.header.options.sack.as_slice().is_empty();
        if probe.content == Content::NewData || was_for_nothing || is_bare_duplicate {
            episode.probe = None;
        } else if ack.after(probe.end) {
            episode.probe = None;
            if self.recovery.phase == Phase::Open {
                let flight_bytes = self.sent.outstanding() + report.acked_bytes;
                self.congestion.on_loss(flight_bytes);
                self.congestion.on_recovery_exit(self.sent.in_flight());
                self.trace.record(|| TraceEvent::LossFound { by: LossSign::Probe, bytes: 0 });
                self.record_congestion();
            }
        }
    }
}
