//! Loss recovery: when an episode begins and ends, and in which order an acknowledgment is understood (RFC
//! 5681 §3.2, RFC 6582, RFC 6675, RFC 8985, RFC 6298 §5).
//!
//! | question | file |
//! |---|---|
//! | What does the peer have beyond the gaps, what waits to be sent again? | `recovery/scoreboard.rs` |
//! | Which segments are lost? | `recovery/rack.rs`; without SACK `recovery/duplicate_acks.rs` |
//! | What if the last ones are? | `recovery/tail_loss_probe.rs` |
//! | How much is sent meanwhile? | [`prr`] |
//! | What does one acknowledgment say? | `recovery/ack_report.rs` |
//! | What if the timer runs out? | `recovery/timeout.rs` |
//! | Was the timer right? | `recovery/frto.rs` |
//! | What if nothing was lost? | `recovery/undo.rs` |
//!
//! What became of each range is in `sent`, how the window answers in `congestion`.

pub(crate) mod ack_report;
pub(crate) mod duplicate_acks;
pub(crate) mod frto;
pub mod prr;
pub(crate) mod rack;
pub(crate) mod scoreboard;
pub(crate) mod tail_loss_probe;
pub(crate) mod timeout;
pub(crate) mod undo;

use crate::congestion::{Limit, RecoveryWindow, initial_window_bytes};
use crate::connection::Connection;
use crate::segment::{Segment, Transmission};
use crate::timers::Timer;
use crate::trace::{LossSign, TraceEvent};
pub(crate) use ack_report::AckReport;
use alloc::boxed::Box;
use ciao_wire::{Instant, SeqNum};
use core::time::Duration;
use frto::Frto;
use prr::{Progress, Prr};
use rack::{Rack, Reordering, Sending};
use scoreboard::{Range, Scoreboard};
use tail_loss_probe::Probe;
use undo::Undo;

/// Where recovery stands.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    pub(crate) phase: Phase,
    /// All that is known beyond that, while there is more than records in flight in their order.
    pub(crate) episode: Option<Box<Episode>>,
    /// When a range was sent last, for the first time or again.
    pub(crate) data_sent_at: Instant,
    /// What stopped us when we last had sent all that we could.
    pub(crate) limit: Limit,
    /// How often our SYN was sent again.
    pub(crate) syn_retransmissions: u8,
    pub(crate) reordering: Reordering,
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

/// What is known while a gap is, or while something that was sent again can still be judged.
#[derive(Clone, Debug)]
pub(crate) struct Episode {
    pub(crate) scoreboard: Scoreboard,
    pub(crate) rack: Rack,
    /// Governs what is sent in fast recovery, unless the algorithm itself does.
    pub(crate) prr: Option<Prr>,
    pub(crate) probe: Option<Probe>,
    pub(crate) frto: Option<Frto>,
    pub(crate) undo: Option<Undo>,
    /// Without SACK: segments that duplicate acknowledgments show to have arrived beyond SND.UNA.
    pub(crate) duplicate_acks: u32,
    /// Without SACK: what was outstanding when the last episode began (RFC 6582 §3.2).
    pub(crate) recover: Option<SeqNum>,
    /// SND.NXT when the first sign of a loss came. What is sent on such signs (limited transmit) is not in
    /// the flight that is reduced.
    sent_before_signs: Option<SeqNum>,
    /// The first retransmission of an episode goes out even when the window is full.
    pub(crate) retransmit_at_once: bool,
}

impl Episode {
    fn new(una: SeqNum) -> Self {
        Self {
            scoreboard: Scoreboard::new(),
            rack: Rack::new(una),
            prr: None,
            probe: None,
            frto: None,
            undo: None,
            duplicate_acks: 0,
            recover: None,
            sent_before_signs: None,
            retransmit_at_once: false,
        }
    }

    /// All that was outstanding at `point` is acknowledged.
    fn end(&mut self, point: SeqNum, nxt: SeqNum, sack: bool) {
        (self.prr, self.frto) = (None, None);
        self.duplicate_acks = 0;
        self.retransmit_at_once = false;
        self.recover = (!sack).then_some(point);
        if let Some(undo) = &mut self.undo {
            undo.close(nxt);
        }
    }

    /// Nothing is left that the plain records do not say as well.
    fn is_over(&self, una: SeqNum) -> bool {
        let Self { scoreboard, rack, prr, probe, frto, undo, duplicate_acks, recover, .. } = self;
        scoreboard.is_empty()
            && !rack.is_waiting()
            && (prr, probe, frto) == (&None, &None, &None)
            && undo.as_ref().is_none_or(|undo| undo.is_settled(una))
            && *duplicate_acks == 0
            && recover.is_none_or(|recover| una.after(recover))
    }
}

impl Recovery {
    pub(crate) const fn new() -> Self {
        Self {
            phase: Phase::Open,
            episode: None,
            data_sent_at: Instant::ZERO,
            limit: Limit::Other,
            syn_retransmissions: 0,
            reordering: Reordering::new(),
        }
    }

    /// The episode that there is, or a new one.
    pub(crate) fn episode_from(&mut self, una: SeqNum) -> &mut Episode {
        self.episode.get_or_insert_with(|| Box::new(Episode::new(una)))
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
    /// Draws the conclusions from an acknowledgment that has been taken in.
    pub(crate) fn recover(&mut self, now: Instant, segment: &Segment, report: &AckReport) {
        if report.duplicate.is_some() {
            self.counters.rare().duplicate_reports += 1;
        }
        let Some(episode) = self.recovery.episode.as_deref_mut() else { return };
        if let Some(first) = report.reordered {
            self.counters.rare().reordered(episode.rack.overtook_by(first));
        }
        episode.scoreboard.acknowledged(self.snd.una);
        episode.rack.acknowledged(self.snd.una);
        if report.duplicate.is_some() && episode.undo.is_some() {
            let (una, nxt) = (self.snd.una, self.snd.nxt);
            episode.rack.window_was_too_narrow(&mut self.recovery.reordering, una, nxt);
        }
        if report.sacked_bytes > 0 {
            episode.sent_before_signs.get_or_insert(self.snd.nxt);
        }
        self.recovery.reordering.seen |= report.reordered.is_some();
        self.judge_probe(segment, report);
        self.undo_if_spurious(report);
        let delivered_bytes = report.delivered_bytes.saturating_sub(self.counted_before(report));
        if report.advanced {
            self.recover_on_progress(now, report);
        }
        self.test_timeout(report);
        let lost_bytes = self.survive_reneging() + self.detect_losses(now, LossSign::Rack);
        if self.sent.lost() > 0 && self.recovery.phase == Phase::Open {
            self.enter_fast_recovery(report);
        }
        let progress = if report.advanced && lost_bytes == 0 { Progress::Safe } else { Progress::Unsafe };
        self.reduce_proportionally(delivered_bytes, progress);
        self.settle_recovery();
    }

    /// What was sent again or has arrived no longer waits, and an episode of which nothing is left is
    /// forgotten.
    pub(crate) fn settle_recovery(&mut self) {
        let Some(episode) = self.recovery.episode.as_deref_mut() else { return };
        episode.scoreboard.settle(&self.sent);
        if self.recovery.phase == Phase::Open && episode.is_over(self.snd.una) {
            self.recovery.episode = None;
        }
    }

    /// SND.UNA moved: ends an episode, or goes on to the next gap of it.
    fn recover_on_progress(&mut self, now: Instant, report: &AckReport) {
        let Some(episode) = self.recovery.episode.as_deref_mut() else { return };
        episode.sent_before_signs = None;
        match self.recovery.phase {
            Phase::Open => episode.duplicate_acks = 0,
            Phase::Fast { point } | Phase::Timeout { point } if self.snd.una.at_or_after(point) => {
                if matches!(self.recovery.phase, Phase::Fast { .. }) {
                    // RFC 9937 §6.4 9937-5
                    self.congestion.on_recovery_exit(self.sent.in_flight());
                }
                episode.end(point, self.snd.nxt, self.sack);
                self.recovery.phase = Phase::Open;
                self.recovery.reordering.recovery_ended();
                self.trace.record(|| TraceEvent::Recovery(None));
                self.record_congestion();
                if self.outstanding() > 0 {
                    self.restart_retransmit_timer(now);
                }
            }
            Phase::Fast { .. } if !self.sack => self.take_partial_ack(report),
            Phase::Fast { .. } | Phase::Timeout { .. } => {}
        }
    }

    /// Marks what is lost by now, and sets the timer that looks again.
    // RFC 8985 §6.2 8985-6a, 8985-9a
    pub(crate) fn detect_losses(&mut self, now: Instant, by: LossSign) -> u32 {
        let window = self.reordering_window();
        let Some(episode) = self.recovery.episode.as_deref_mut().filter(|_| self.sack) else { return 0 };
        let (scoreboard, undo) = (&mut episode.scoreboard, &mut episode.undo);
        let found =
            episode.rack.detect_losses(now, window, &mut self.sent, |record, sending| match sending {
                Sending::First => scoreboard.lose_last(Range::of(record)),
                Sending::Again => {
                    scoreboard.lose_first(Range::of(record));
                    if let Some(undo) = undo {
                        undo.no_longer_in_flight(record);
                    }
                }
            });
        if found.lost_bytes > 0 {
            self.trace.record(|| TraceEvent::LossFound { by, bytes: found.lost_bytes });
        }
        match found.look_again_at {
            Some(at) => self.set_timer(Timer::Reorder, at.max(now)),
            None if self.timers.is_set(Timer::Reorder) => self.restart_retransmit_timer(now),
            None => {}
        }
        found.lost_bytes
    }

    /// How much later than what was sent after it a segment may arrive.
    pub(crate) fn reordering_window(&self) -> Duration {
        let segments = self.recovery.episode.as_ref().map_or(0, |it| it.scoreboard.sacked_segments());
        let (min_rtt, srtt) = (self.rtt.min_rtt().unwrap_or_default(), self.rtt.srtt().unwrap_or_default());
        self.recovery.reordering.window(self.recovery.phase, segments, min_rtt, srtt)
    }

    /// The reordering timer ran out: what has not arrived by now is lost.
    // RFC 8985 §6.2 8985-6a
    pub(crate) fn reordering_timer_fired(&mut self, now: Instant) {
        let lost_bytes = self.detect_losses(now, LossSign::ReorderTimer);
        if lost_bytes > 0 {
            if self.recovery.phase == Phase::Open {
                self.enter_fast_recovery(&AckReport::new(now));
            }
            let (in_flight, ssthresh) = (self.pipe(), self.congestion.slow_start_threshold_bytes());
            let smss = self.effective_mss().into();
            if let Some(prr) = self.prr() {
                prr.on_timer(in_flight, ssthresh, smss);
            }
            self.settle_recovery();
        }
        if !self.timers.is_set(Timer::Reorder) && self.outstanding() > 0 {
            self.restart_retransmit_timer(now);
        }
    }

    fn prr(&mut self) -> Option<&mut Prr> {
        self.recovery.episode.as_deref_mut()?.prr.as_mut()
    }

    // RFC 8985 §9.3 8985-9b: what is found lost goes out as this admits
    fn reduce_proportionally(&mut self, delivered_bytes: u32, progress: Progress) {
        let (in_flight, ssthresh) = (self.pipe(), self.congestion.slow_start_threshold_bytes());
        let smss = self.effective_mss().into();
        if let Some(prr) = self.prr() {
            prr.on_ack(delivered_bytes, progress, in_flight, ssthresh, smss);
        }
    }

    /// Acknowledgments showed a loss: one reduction of the window for all that is outstanding now.
    // RFC 5681 §3.2, RFC 6675 §5 6675-5a: what limited transmit has sent is not counted
    pub(crate) fn enter_fast_recovery(&mut self, report: &AckReport) {
        if self.seldom.is_some() && self.lost_only_path_probe() {
            return;
        }
        let point = self.snd.nxt;
        self.recovery.phase = Phase::Fast { point };
        // RFC 9937 §6.1 9937-1
        let reported = self.sent.sacked() + self.duplicate_bytes();
        let known_before = reported.saturating_sub(report.delivered_bytes);
        let recover_fs = (self.outstanding() + report.acked_bytes).saturating_sub(known_before);
        let proportional = self.congestion.recovery_window() == RecoveryWindow::Proportional;
        let pipe = self.pipe();
        let segments = self.config.initial_window_segments;
        let initial_window = initial_window_bytes(self.effective_mss(), segments, 0);
        let episode = self.recovery.episode_from(self.snd.una);
        episode.retransmit_at_once = true;
        // It took a probe to learn of the loss, so there are no acknowledgments to go by.
        let is_path_empty = pipe == 0 && episode.probe.is_some();
        let prr = Prr::new(recover_fs);
        let prr = if is_path_empty { prr.on_empty_path(initial_window) } else { prr };
        episode.prr = proportional.then_some(prr);
        episode.undo = Some(Undo::new(self.snd.una));
        let sent_before = episode.sent_before_signs.unwrap_or(point);
        let flight_bytes = self.flight_up_to(sent_before);
        self.congestion.on_loss(flight_bytes);
        self.note_window_reduced();
        self.trace.record(|| TraceEvent::Recovery(Some(point)));
        self.record_congestion();
    }

    /// FlightSize (RFC 5681 §2) as far as `point`. What has long been reported behind a gap that takes its
    /// time is outstanding too; the window says how much of all that the path has at once.
    pub(crate) fn flight_up_to(&self, point: SeqNum) -> u32 {
        point.since(self.snd.una).min(self.congestion.window_bytes())
    }

    /// cwnd: while a loss is repaired, what the repair admits.
    #[inline]
    pub(crate) fn congestion_window(&self) -> u32 {
        match &self.recovery.episode {
            Some(episode) => {
                episode.prr.as_ref().map_or_else(|| self.congestion.window_bytes(), Prr::window_bytes)
            }
            None => self.congestion.window_bytes(),
        }
    }

    /// Something went out, for the first time or again, while an episode lasts.
    pub(crate) fn note_sent_in_recovery(&mut self, now: Instant, range: Range, sending: Sending) {
        let Some(episode) = self.recovery.episode.as_deref_mut() else { return };
        let bytes = range.end.since(range.start);
        if let Some(prr) = &mut episode.prr {
            prr.on_sent(bytes);
        }
        if sending == Sending::First {
            return;
        }
        episode.retransmit_at_once = false;
        episode.rack.retransmitted(range, now);
        if let Some(undo) = &mut episode.undo {
            undo.retransmitted(bytes, now);
        }
        episode.scoreboard.settle(&self.sent);
    }
}
