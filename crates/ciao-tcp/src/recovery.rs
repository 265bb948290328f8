//! Loss recovery: when a range is taken for lost, and how the congestion window answers (RFC 5681 §3.2,
//! RFC 6582, RFC 6675, RFC 6298 §5).
//!
//! Which ranges the peer has is in `recovery/scoreboard.rs`; what became of each range is in `sent`.

pub(crate) mod scoreboard;

use crate::congestion::{Limit, Timeout};
use crate::connection::Connection;
use crate::segment::{Segment, Transmission};
use crate::trace::TraceEvent;
use ciao_wire::{Instant, SeqNum};

/// Duplicate acknowledgments, or segments acknowledged selectively beyond a gap, that show a loss (RFC 5681
/// §3.2).
pub(crate) const DUPLICATE_ACK_THRESHOLD: u8 = 3;

/// Where recovery stands.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    pub(crate) phase: Phase,
    /// Duplicate acknowledgments since SND.UNA last moved.
    pub(crate) duplicate_acks: u8,
    /// SND.NXT when the first sign of a loss came. What is sent on such signs (limited transmit) is not in
    /// the flight that is halved.
    pub(crate) sent_before_signs: Option<SeqNum>,
    /// The first retransmission of an episode goes out even when the pipe is full.
    pub(crate) retransmit_at_once: bool,
    /// What stopped us when we last had sent all that we could.
    pub(crate) limit: Limit,
    /// When a range was sent last, for the first time or again.
    pub(crate) data_sent_at: Instant,
    /// How often our SYN was sent again.
    pub(crate) syn_retransmissions: u8,
}

/// What kind of loss is being repaired, and the number whose acknowledgment ends that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No loss is known.
    Open,
    /// Acknowledgments showed a loss.
    Fast { point: SeqNum },
    /// The timer ran out. Until `point` is acknowledged, duplicates are no news (RFC 6582 §4, RFC 6675 §5.1).
    Timeout { point: SeqNum },
}

impl Recovery {
    pub(crate) const fn new() -> Self {
        Self {
            phase: Phase::Open,
            duplicate_acks: 0,
            sent_before_signs: None,
            retransmit_at_once: false,
            limit: Limit::Other,
            data_sent_at: Instant::ZERO,
            syn_retransmissions: 0,
        }
    }

    /// What a retransmission is made for now.
    pub(crate) fn transmission(&self) -> Transmission {
        match self.phase {
            Phase::Timeout { .. } => Transmission::TimeoutRetransmission,
            Phase::Open | Phase::Fast { .. } => Transmission::FastRetransmission,
        }
    }
}

impl Connection {
    /// An acknowledgment moved SND.UNA to `ack`: ends an episode, or goes on to the next gap of it.
    pub(crate) fn recover_on_progress(&mut self, ack: SeqNum) {
        self.recovery.duplicate_acks = 0;
        self.recovery.sent_before_signs = None;
        match self.recovery.phase {
            Phase::Open => {}
            Phase::Fast { point } | Phase::Timeout { point } if ack.at_or_after(point) => {
                if matches!(self.recovery.phase, Phase::Fast { .. }) {
                    self.congestion.on_recovery_exit(self.sent.in_flight());
                }
                self.recovery.phase = Phase::Open;
                self.recovery.retransmit_at_once = false;
                self.trace.record(|| TraceEvent::Recovery(None));
                self.record_congestion();
            }
            // RFC 6582 §3.2 6582-1: a partial acknowledgment shows the next loss
            Phase::Fast { .. } if !self.sack => self.retransmit_first(),
            Phase::Fast { .. } | Phase::Timeout { .. } => {}
        }
    }

    /// Counts a duplicate acknowledgment (RFC 5681 §2), which without SACK is all that is known of a loss.
    pub(crate) fn take_duplicate_ack(&mut self, segment: &Segment, window_moved: bool) {
        let is_duplicate = self.outstanding() > 0 && segment.is_empty() && !window_moved;
        if self.sack || !is_duplicate {
            return;
        }
        // RFC 5681 §3.2 5681-3i: each stands for a segment that left, and no more left than were sent before
        // the loss
        let segments_left = match self.recovery.phase {
            Phase::Open => u32::from(u8::MAX),
            Phase::Fast { point } => point.since(self.snd.una).div_ceil(u32::from(self.effective_mss())),
            Phase::Timeout { .. } => 0,
        };
        if u32::from(self.recovery.duplicate_acks) >= segments_left {
            return;
        }
        self.note_sign_of_loss();
        self.recovery.duplicate_acks = self.recovery.duplicate_acks.saturating_add(1);
        // RFC 5681 §3.2 5681-3g; RFC 6582 §4 6582-2
        let enough = self.recovery.duplicate_acks == DUPLICATE_ACK_THRESHOLD;
        if enough && self.recovery.phase == Phase::Open {
            self.enter_fast_recovery();
            self.retransmit_first();
        }
    }

    /// Takes the first segment outstanding for lost, and sends it whatever the pipe holds.
    fn retransmit_first(&mut self) {
        self.sent.mark_first_lost(u32::from(self.effective_mss()));
        self.recovery.retransmit_at_once = true;
    }

    /// A duplicate acknowledgment or a SACK block came: perhaps the first sign of a loss.
    pub(crate) fn note_sign_of_loss(&mut self) {
        self.recovery.sent_before_signs.get_or_insert(self.snd.nxt);
    }

    /// Acknowledgments showed a loss: one reduction of the window for all that is outstanding now.
    // RFC 5681 §3.2, RFC 6675 §5 6675-5a: what limited transmit has sent is not counted
    pub(crate) fn enter_fast_recovery(&mut self) {
        let point = self.snd.nxt;
        self.recovery.phase = Phase::Fast { point };
        self.recovery.retransmit_at_once = true;
        let sent_before = self.recovery.sent_before_signs.unwrap_or(point);
        self.congestion.on_loss(sent_before.since(self.snd.una));
        self.trace.record(|| TraceEvent::Recovery(Some(point)));
        self.record_congestion();
    }

    /// The retransmission timer ran out: everything outstanding is sent again in slow start.
    // RFC 5681 §3.1 5681-3e, RFC 6582 §4 6582-2, RFC 6675 §5.1 6675-5b
    pub(crate) fn enter_timeout_recovery(&mut self) {
        let point = self.snd.nxt;
        let timeout = if self.owed.timeouts == 1 { Timeout::First } else { Timeout::Repeated };
        let outstanding = self.outstanding();
        self.congestion.on_timeout(outstanding, timeout);
        self.recovery.phase = Phase::Timeout { point };
        self.recovery.duplicate_acks = 0;
        self.recovery.retransmit_at_once = true;
        self.sent.mark_all_lost();
        self.trace.record(|| TraceEvent::Recovery(Some(point)));
        self.record_congestion();
    }
}
