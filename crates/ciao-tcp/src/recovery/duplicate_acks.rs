//! How is a loss found without SACK? By duplicate acknowledgments, and by partial ones (RFC 5681 §3.2, RFC
//! 6582: NewReno).

use crate::connection::Connection;
use crate::recovery::rack::DUPLICATE_ACK_THRESHOLD;
use crate::recovery::scoreboard::Range;
use crate::recovery::{AckReport, Phase};
use crate::segment::Segment;
use crate::sent::Fate;
use crate::trace::{LossSign, TraceEvent};
use core::ops::ControlFlow;

impl Connection {
    /// Counts a duplicate acknowledgment (RFC 5681 §2), which without SACK is all that is known of a loss.
    // RFC 9937 §5: each shows that one segment was delivered
    pub(crate) fn take_duplicate_ack(
        &mut self,
        segment: &Segment,
        window_moved: bool,
        report: &mut AckReport,
    ) {
        report.is_duplicate_ack = self.outstanding() > 0 && segment.is_empty() && !window_moved;
        if self.sack || !report.is_duplicate_ack {
            return;
        }
        let (una, nxt, mss) = (self.snd.una, self.snd.nxt, u32::from(self.effective_mss()));
        // RFC 5681 §3.2 5681-3i: each stands for a segment that left, and no more left than were sent before
        // the loss
        let segments_left = match self.recovery.phase {
            Phase::Open => self.outstanding().div_ceil(mss),
            Phase::Fast { point } => point.since(una).div_ceil(mss),
            // What F-RTO has sent for the first time; all else is taken for lost.
            Phase::Timeout { point } => nxt.since(point).div_ceil(mss),
        };
        let phase = self.recovery.phase;
        let episode = self.recovery.episode_from(una);
        if episode.duplicate_acks >= segments_left {
            return;
        }
        episode.sent_before_signs.get_or_insert(nxt);
        episode.duplicate_acks += 1;
        report.delivered_bytes = mss;
        // RFC 5681 §3.2 5681-3g; RFC 6582 §4 6582-2: not for what the last episode sent again
        let enough = episode.duplicate_acks == DUPLICATE_ACK_THRESHOLD;
        let is_new = episode.recover.is_none_or(|recover| una.after(recover));
        if enough && is_new && phase == Phase::Open {
            self.lose_first_segment();
            self.enter_fast_recovery(report);
        }
    }

    /// Bytes that duplicate acknowledgments show to have left; none with SACK.
    pub(crate) fn duplicate_bytes(&self) -> u32 {
        let duplicates = self.recovery.episode.as_ref().map_or(0, |episode| episode.duplicate_acks);
        duplicates * u32::from(self.effective_mss())
    }

    /// Of what an acknowledgment covers, the bytes that duplicates before it stood for: all but the gap.
    // RFC 9937 §5
    pub(crate) fn counted_before(&self, report: &AckReport) -> u32 {
        if !report.advanced {
            return 0;
        }
        let gap = u32::from(self.effective_mss());
        self.duplicate_bytes().min(report.acked_bytes.saturating_sub(gap))
    }

    /// An acknowledgment of a part of what was outstanding: the segment behind it is lost too. Of the
    /// duplicates those count on that it does not cover.
    // RFC 6582 §3.2 6582-1
    pub(crate) fn take_partial_ack(&mut self, report: &AckReport) {
        let segments = report.acked_bytes.div_ceil(u32::from(self.effective_mss()));
        if let Some(episode) = &mut self.recovery.episode {
            episode.duplicate_acks = episode.duplicate_acks.saturating_sub(segments.saturating_sub(1));
            episode.retransmit_at_once = true;
        }
        self.lose_first_segment();
    }

    /// Takes the first segment outstanding for lost.
    fn lose_first_segment(&mut self) {
        let start = self.snd.una;
        let range = Range { start, end: (start + u32::from(self.effective_mss())).earliest(self.snd.nxt) };
        self.sent.divide(range.end);
        self.sent.judge(start, Some(range.end), |record| {
            ControlFlow::Continue((record.fate == Fate::InFlight).then_some(Fate::Lost))
        });
        if let Some(episode) = &mut self.recovery.episode {
            episode.scoreboard.lose_first(range);
        }
        let bytes = range.end.since(range.start);
        self.trace.record(|| TraceEvent::LossFound { by: LossSign::DuplicateAcks, bytes });
    }
}
