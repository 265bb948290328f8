//! What if nothing was lost after all? The reduction of the window is taken back, by whatever shows it: the
//! timestamps (Eifel, RFC 3522, RFC 4015), reports of duplicates (RFC 2883), or F-RTO (RFC 5682), which has a
//! file of its own.

use crate::connection::Connection;
use crate::recovery::{AckReport, Phase};
use crate::sent::SentRecord;
use crate::timestamps::{clock, is_older};
use crate::trace::{TraceEvent, UndoCause};
use ciao_wire::{Instant, SackBlock, SeqNum};

/// What must be known of an episode to tell whether it was for nothing.
#[derive(Clone, Debug)]
pub(crate) struct Undo {
    /// SND.UNA when it began: reports about what lies before are of an episode before.
    since: SeqNum,
    /// When its first retransmission went out (RFC 3522: RetransmitTS).
    first_sent_at: Option<Instant>,
    /// Bytes sent again and not reported as duplicates.
    unexplained_bytes: u32,
    /// Bytes sent again that are in flight.
    in_flight_bytes: u32,
    /// The episode is over; once this is acknowledged, no report about it will come any more.
    until: Option<SeqNum>,
}

impl Undo {
    /// An episode begins at SND.UNA `una`.
    pub(crate) fn new(una: SeqNum) -> Self {
        Self { since: una, first_sent_at: None, unexplained_bytes: 0, in_flight_bytes: 0, until: None }
    }

    /// A range was sent again.
    pub(crate) fn retransmitted(&mut self, bytes: u32, now: Instant) {
        self.first_sent_at.get_or_insert(now);
        self.unexplained_bytes = self.unexplained_bytes.saturating_add(bytes);
        self.in_flight_bytes = self.in_flight_bytes.saturating_add(bytes);
    }

    /// A range that was sent again has arrived, or is lost again.
    pub(crate) fn no_longer_in_flight(&mut self, record: &SentRecord) {
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(record.len());
    }

    /// A range that was sent again was sent so in this episode: what an earlier one has sent again may still
    /// be on its way.
    pub(crate) fn has_sent(&self, record: &SentRecord) -> bool {
        self.first_sent_at.is_some_and(|first| record.sent_at >= first)
    }

    /// The episode is over at SND.NXT `nxt`.
    pub(crate) fn close(&mut self, nxt: SeqNum) {
        self.until = Some(nxt);
    }

    /// Nothing can be learnt any more.
    pub(crate) fn is_settled(&self, una: SeqNum) -> bool {
        self.first_sent_at.is_none() && self.until.is_some()
            || self.until.is_some_and(|until| una.after(until))
    }

    /// All that was sent again has come twice.
    fn is_explained_by(&mut self, duplicate: SackBlock) -> bool {
        if duplicate.end.at_or_before(self.since) {
            return false;
        }
        let bytes = duplicate.end.since(duplicate.start);
        self.unexplained_bytes = self.unexplained_bytes.saturating_sub(bytes);
        self.first_sent_at.is_some() && self.unexplained_bytes == 0
    }
}

impl Connection {
    /// Takes the reduction back when an acknowledgment shows that it had no cause.
    pub(crate) fn undo_if_spurious(&mut self, report: &AckReport) {
        let Some(cause) = self.spurious_because(report) else { return };
        let Some(episode) = self.recovery.episode.as_deref_mut() else { return };
        if matches!(self.recovery.phase, Phase::Fast { .. }) {
            // What was taken for lost came late. The report of the duplicate says so too, but a round trip
            // later, when the next episode may have begun for nothing.
            let (una, nxt) = (self.snd.una, self.snd.nxt);
            self.recovery.reordering.seen = true;
            episode.rack.window_was_too_narrow(&mut self.recovery.reordering, una, nxt);
        }
        episode.scoreboard.nothing_is_lost(&mut self.sent);
        episode.rack.judge_anew(self.snd.una);
        episode.undo = None;
        episode.prr = None;
        episode.frto = None;
        episode.retransmit_at_once = false;
        self.congestion.on_undo();
        self.owed.timeouts = 0;
        self.trace.record(|| TraceEvent::Undone(cause));
        if self.recovery.phase != Phase::Open {
            self.recovery.phase = Phase::Open;
            self.trace.record(|| TraceEvent::Recovery(None));
        }
        self.record_congestion();
    }

    fn spurious_because(&mut self, report: &AckReport) -> Option<UndoCause> {
        let phase = self.recovery.phase;
        let episode = self.recovery.episode.as_deref_mut()?;
        let frto = episode.frto;
        let undo = episode.undo.as_mut()?;
        if report.duplicate.is_some_and(|duplicate| undo.is_explained_by(duplicate)) {
            return Some(UndoCause::Duplicates);
        }
        if !report.advanced {
            return None;
        }
        // RFC 3522 §3.2: the echo is older than the first retransmission, so an original transmission has
        // filled the gap; of one that was only late, and never sent again, that is no news. While others that
        // were sent again are out, the loss of those may be real.
        let original_came = report.covers_retransmission
            && undo
                .first_sent_at
                .zip(report.echo)
                .is_some_and(|(sent_at, echo)| is_older(echo, clock(sent_at, self.timestamps.offset)));
        let settled = matches!(phase, Phase::Timeout { .. }) || undo.in_flight_bytes == 0;
        if phase != Phase::Open && original_came && settled {
            return Some(UndoCause::Timestamps);
        }
        let forward = frto.is_some() && report.original && (self.sack || !report.retransmitted);
        forward.then_some(UndoCause::ForwardProgress)
    }
}
