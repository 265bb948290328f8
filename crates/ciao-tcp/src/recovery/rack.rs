//! Which segments are lost? RACK (RFC 8985 §6): one that was sent long enough before another that has
//! arrived.
//!
//! Long enough is a round trip and a window for reordering. What the peer has is in `scoreboard`, and what a
//! loss leads to in `recovery`.

use crate::recovery::Phase;
use crate::recovery::scoreboard::Range;
use crate::sent::{Fate, Sent, SentRecord};
use alloc::collections::VecDeque;
use ciao_wire::{Instant, SeqNum};
use core::ops::ControlFlow;
use core::time::Duration;

/// Segments reported beyond a gap that show a loss, while no reordering was seen (RFC 8985 §6.2, RFC 5681
/// §3.2).
pub(crate) const DUPLICATE_ACK_THRESHOLD: u32 = 3;
/// Recoveries after which a widened reordering window is narrow again (RFC 8985 §6.2 step 4).
const WINDOW_PERSISTENCE: u8 = 16;

/// What a connection remembers of reordering on its path between episodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reordering {
    /// RACK.reordering_seen
    pub(crate) seen: bool,
    /// RACK.reo_wnd_mult
    multiplier: u8,
    /// RACK.reo_wnd_persist
    recoveries_left: u8,
}

impl Reordering {
    pub(crate) const fn new() -> Self {
        Self { seen: false, multiplier: 1, recoveries_left: 0 }
    }

    /// A segment was sent again for nothing: the window was too narrow.
    fn widen(&mut self) {
        self.multiplier = self.multiplier.saturating_add(1);
        self.recoveries_left = WINDOW_PERSISTENCE;
    }

    /// An episode ends.
    pub(crate) fn recovery_ended(&mut self) {
        self.recoveries_left = self.recoveries_left.saturating_sub(1);
        if self.recoveries_left == 0 {
            self.multiplier = 1;
        }
    }

    /// RACK.reo_wnd: how much later than one sent after it a segment may arrive.
    // RFC 8985 §3.3.2, §6.2 8985-3a
    pub(crate) fn window(
        self,
        phase: Phase,
        sacked_segments: u32,
        min_rtt: Duration,
        srtt: Duration,
    ) -> Duration {
        let sure = phase != Phase::Open || sacked_segments >= DUPLICATE_ACK_THRESHOLD;
        if !self.seen && sure {
            return Duration::ZERO;
        }
        (min_rtt * u32::from(self.multiplier) / 4).min(srtt)
    }
}

/// The transmission that was made last of those known to have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Newest {
    /// RACK.xmit_ts
    sent_at: Instant,
    /// RACK.end_seq
    end: SeqNum,
    /// RACK.rtt
    rtt: Duration,
    sending: Sending,
}

impl Newest {
    fn of(record: &SentRecord, rtt: Duration) -> Self {
        Self { sent_at: record.sent_at, end: record.end, rtt, sending: Sending::of(record) }
    }

    /// RACK_sent_after, with a difference: of two that were sent at the same time the one with the higher
    /// numbers was sent later, but between a first transmission and another one nothing is known then. The
    /// time stands still for all that one call sends.
    fn was_sent_after(&self, other: &Self) -> bool {
        let same_kind = self.sending == other.sending;
        self.sent_at > other.sent_at
            || (self.sent_at == other.sent_at && same_kind && self.end.after(other.end))
    }
}

/// A range that was sent again.
#[derive(Clone, Copy, Debug)]
struct Retransmission {
    range: Range,
    sent_at: Instant,
}

/// What RACK knows, and where it has looked.
///
/// First transmissions lie in `sent` in the order in which they were made; later ones have a queue here. Of
/// both the oldest is looked at first and, once found lost, never again: an acknowledgment costs what it
/// brings, however much is outstanding.
#[derive(Clone, Debug)]
pub(crate) struct Rack {
    newest: Option<Newest>,
    /// RACK.fack: behind the highest number known to have arrived.
    fack: SeqNum,
    /// The same before the acknowledgment that is being taken in.
    fack_before: SeqNum,
    /// RACK.dsack_round
    dsack_round: Option<SeqNum>,
    /// First transmissions before this have been judged.
    judged: SeqNum,
    retransmissions: VecDeque<Retransmission>,
}

/// What looking for losses brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) lost_bytes: u32,
    /// When those still within the reordering window will be lost too.
    pub(crate) look_again_at: Option<Instant>,
}

impl Rack {
    pub(crate) fn new(una: SeqNum) -> Self {
        Self {
            newest: None,
            fack: una,
            fack_before: una,
            dsack_round: None,
            judged: una,
            retransmissions: VecDeque::new(),
        }
    }

    /// An acknowledgment is about to be taken in.
    pub(crate) fn begin_acknowledgment(&mut self) {
        self.fack_before = self.fack;
    }

    /// A range is known to have arrived, after a round trip of `rtt`.
    // RFC 8985 §6.2 8985-4a
    pub(crate) fn arrived(&mut self, record: &SentRecord, rtt: Duration) {
        let this = Newest::of(record, rtt);
        match &mut self.newest {
            Some(newest) if !this.was_sent_after(newest) => newest.rtt = rtt,
            newest => *newest = Some(this),
        }
    }

    /// Notes how far has arrived; true when the range comes after one that was sent behind it.
    // RFC 8985 §6.2 8985-3a: step 3, and only what was sent once tells
    pub(crate) fn is_reordered(&mut self, record: &SentRecord) -> bool {
        self.fack = self.fack.latest(record.end);
        record.end.before(self.fack_before) && !record.was_retransmitted()
    }

    /// By how many bytes what came since overtook what begins at `start`.
    pub(crate) fn overtook_by(&self, start: SeqNum) -> u32 {
        self.fack.since(start)
    }

    /// The peer has received something twice, or late: the reordering window was too narrow, which counts
    /// once a round trip.
    // RFC 8985 §6.2 8985-3a: step 4
    pub(crate) fn window_was_too_narrow(&mut self, reordering: &mut Reordering, una: SeqNum, nxt: SeqNum) {
        if self.dsack_round.is_some_and(|round| una.before(round)) {
            return;
        }
        self.dsack_round = Some(nxt);
        reordering.widen();
    }

    /// SND.UNA is now `una`.
    pub(crate) fn acknowledged(&mut self, una: SeqNum) {
        while self.retransmissions.front().is_some_and(|first| first.range.end.at_or_before(una)) {
            self.retransmissions.pop_front();
        }
    }

    /// Something that was sent again may still be found lost.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.retransmissions.is_empty()
    }

    pub(crate) fn retransmitted(&mut self, range: Range, sent_at: Instant) {
        self.retransmissions.push_back(Retransmission { range, sent_at });
    }

    /// What was judged lost is in flight after all.
    pub(crate) fn judge_anew(&mut self, una: SeqNum) {
        self.judged = una;
    }

    /// RACK.rtt
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.newest.map(|newest| newest.rtt)
    }

    /// Finds what is lost at `now`, with a reordering window of `window`; `lost` is called for each range.
    // RFC 8985 §6.2 8985-4a: step 5
    pub(crate) fn detect_losses(
        &mut self,
        now: Instant,
        window: Duration,
        sent: &mut Sent,
        mut lost: impl FnMut(&SentRecord, Sending),
    ) -> Findings {
        let mut findings = Findings::default();
        let (Some(newest), Some(una)) = (self.newest, sent.first().map(|record| record.start)) else {
            return findings;
        };
        let due = newest.rtt.saturating_add(window);
        let mut judge = |record: &SentRecord| {
            if !newest.was_sent_after(&Newest::of(record, newest.rtt)) {
                return ControlFlow::Break(());
            }
            if record.sent_at + due > now {
                // Its own deadline is no later than this one, which serves for all of them.
                findings.look_again_at = Some(newest.sent_at + due);
                return ControlFlow::Break(());
            }
            findings.lost_bytes += record.len();
            ControlFlow::Continue(Some(Fate::Lost))
        };
        self.judged = sent.judge(self.judged.latest(una), None, |record| {
            if record.fate != Fate::InFlight || record.was_retransmitted() {
                return ControlFlow::Continue(None);
            }
            let verdict = judge(record);
            if verdict.is_continue() {
                lost(record, Sending::First);
            }
            verdict
        });
        while let Some(front) = self.retransmissions.front_mut() {
            let (start, sent_at) = (front.range.start.latest(una), front.sent_at);
            let stopped = sent.judge(start, Some(front.range.end), |record| {
                if record.fate != Fate::InFlight || record.sent_at != sent_at || !record.was_retransmitted() {
                    return ControlFlow::Continue(None);
                }
                let verdict = judge(record);
                if verdict.is_continue() {
                    lost(record, Sending::Again);
                }
                verdict
            });
            if stopped.before(front.range.end) {
                front.range.start = stopped;
                break;
            }
            self.retransmissions.pop_front();
        }
        findings
    }
}

/// Which transmission of a range was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    First,
    Again,
}

impl Sending {
    fn of(record: &SentRecord) -> Self {
        if record.was_retransmitted() { Self::Again } else { Self::First }
    }
}
