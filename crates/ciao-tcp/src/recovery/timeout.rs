//! What is taken for lost when the retransmission timer runs out (RFC 6298 §5.4, RFC 8985 §6.3), and what is
//! sent again though nothing is lost.
//!
//! When it runs out is in `timeouts`; whether it was right in `recovery/frto.rs`.

use crate::congestion::Timeout;
use crate::connection::Connection;
use crate::recovery::Phase;
use crate::recovery::frto::Frto;
use crate::recovery::scoreboard::Range;
use crate::recovery::undo::Undo;
use crate::sent::{Fate, SentRecord};
use crate::trace::{LossSign, TraceEvent};
use ciao_wire::Instant;
use core::ops::ControlFlow;

impl Connection {
    /// The retransmission timer ran out: what was outstanding is sent again in slow start.
    // RFC 5681 §3.1 5681-3e, RFC 6582 §4 6582-2, RFC 6675 §5.1 6675-5b
    pub(crate) fn enter_timeout_recovery(&mut self, now: Instant) {
        let point = self.snd.nxt;
        let is_first = self.owed.timeouts == 1;
        let timeout = if is_first { Timeout::First } else { Timeout::Repeated };
        let was_fast = matches!(self.recovery.phase, Phase::Fast { .. });
        let goes_on = matches!(self.recovery.phase, Phase::Timeout { .. }) && is_first;
        let flight_bytes = self.flight_up_to(point);
        self.congestion.on_timeout(flight_bytes, timeout);
        self.note_window_reduced();
        self.recovery.phase = Phase::Timeout { point };
        self.survive_reneging();
        let episode = self.recovery.episode_from(self.snd.una);
        episode.duplicate_acks = 0;
        episode.retransmit_at_once = true;
        (episode.prr, episode.probe) = (None, None);
        // RFC 5682 §2.1 5682-1: not when the window had been reduced for what acknowledgments showed, nor
        // when what is sent again after a timeout gets lost too. With no progress between two timeouts both
        // may have been wrong.
        episode.frto = (!was_fast && !goes_on).then_some(Frto::FirstSentAgain);
        if is_first && !was_fast {
            episode.undo = None;
        }
        episode.undo.get_or_insert_with(|| Undo::new(self.snd.una));
        self.mark_lost_on_timeout(now);
        self.trace.record(|| TraceEvent::Recovery(Some(point)));
        self.record_congestion();
    }

    /// The first segment is lost, and with SACK, of the others those that had time enough to arrive. What
    /// the peer has reported stays reported, unless the first segment was among it: then it has been dropped
    /// (RFC 2018 §8 would forget all reports; Linux forgets as little).
    // RFC 8985 §6.3; RFC 6675 §5.1 6675-5b
    fn mark_lost_on_timeout(&mut self, now: Instant) {
        let (una, nxt) = (self.snd.una, self.snd.nxt);
        let window = self.reordering_window();
        let srtt = self.rtt.srtt().unwrap_or_default();
        let sack = self.sack;
        let Some(episode) = self.recovery.episode.as_deref_mut() else { return };
        let due = episode.rack.rtt().unwrap_or(srtt) + window;
        let undo = &mut episode.undo;
        let lost_before = self.sent.lost();
        self.sent.judge(una, None, |record| {
            let is_lost = record.start == una || !sack || record.sent_at + due <= now;
            if record.fate != Fate::InFlight || !is_lost {
                return ControlFlow::Continue(None);
            }
            if let Some(undo) = undo.as_mut().filter(|_| record.was_retransmitted()) {
                undo.no_longer_in_flight(record);
            }
            ControlFlow::Continue(Some(Fate::Lost))
        });
        episode.scoreboard.lose_all(Range { start: una, end: nxt });
        episode.scoreboard.settle(&self.sent);
        let bytes = self.sent.lost() - lost_before;
        self.trace.record(|| TraceEvent::LossFound { by: LossSign::Timeout, bytes });
    }

    /// Everything outstanding goes out again, though nothing shows a loss and no window is reduced.
    pub(crate) fn send_all_again(&mut self) {
        let range = Range { start: self.snd.una, end: self.snd.nxt };
        self.sent.judge(range.start, None, |_| ControlFlow::Continue(Some(Fate::Lost)));
        self.recovery.episode_from(range.start).scoreboard.lose_all(range);
    }

    /// What is in flight and did not fit the path goes out again: that is no sign of congestion.
    pub(crate) fn send_again(&mut self, mut is_too_long: impl FnMut(&SentRecord) -> bool) {
        let range = Range { start: self.snd.una, end: self.snd.nxt };
        let episode = self.recovery.episode_from(range.start);
        let undo = &mut episode.undo;
        self.sent.judge(range.start, None, |record| {
            if record.fate != Fate::InFlight || !is_too_long(record) {
                return ControlFlow::Continue(None);
            }
            if let Some(undo) = undo.as_mut().filter(|_| record.was_retransmitted()) {
                undo.no_longer_in_flight(record);
            }
            ControlFlow::Continue(Some(Fate::Lost))
        });
        episode.scoreboard.lose_all(range);
        episode.scoreboard.settle(&self.sent);
    }
}
