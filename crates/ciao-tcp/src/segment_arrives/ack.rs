//! Fifth: the ACK field (RFC 9293 §3.10.7.4): what the peer has received, and the window that it offers.

use crate::connection::{Connection, Owner, Raise};
use crate::counters::Held;
use crate::error::DropReason;
use crate::recovery::AckReport;
use crate::segment::Segment;
use crate::segment_arrives::Verdict;
use crate::segment_arrives::closed::Reset;
use crate::sent::{Fate, SentRecord};
use crate::state::{Cause, TcpState};
use crate::timers::Timer;
use crate::timestamps::{TICK, clock, is_older};
use crate::trace::TraceEvent;
use crate::variables::Fin;
use ciao_wire::{Instant, SeqNum};
use core::time::Duration;

/// The window that a segment offers, and what tells how new that is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// SEG.WND as it stands in the header.
    pub(crate) field: u16,
    pub(crate) seq: SeqNum,
    pub(crate) ack: SeqNum,
}

impl Window {
    #[inline]
    fn of(segment: &Segment) -> Self {
        Self { field: segment.header.window, seq: segment.header.seq, ack: segment.header.ack }
    }
}

impl Connection {
    pub(crate) fn check_ack(&mut self, now: Instant, segment: &Segment) -> Verdict {
        if !segment.header.flags.ack() {
            return self.dropped(DropReason::MissingAck);
        }
        let ack = segment.header.ack;
        if self.state == TcpState::SynReceived {
            if !(ack.after(self.snd.una) && ack.at_or_before(self.snd.nxt)) {
                // RFC 9293 §3.5.2
                self.owed.reset = Reset::in_answer_to(segment);
                return self.dropped(DropReason::UnacceptableAck);
            }
            self.acknowledge_syn(now, self.snd.iss + 1, segment);
            self.take_window_of(segment);
            self.enter(Cause::SynAcknowledged);
            self.established(now);
            if ack == self.snd.una {
                // It acknowledges our SYN and is no duplicate, whatever went out early behind that (RFC
                // 7413).
                return Ok(());
            }
        }
        // RFC 9293 §3.10.7.4 MAY-12, RFC 5961 §5.2 5961-5a
        if ack.after(self.snd.nxt) {
            self.challenge(now);
            return self.dropped(DropReason::AckOfUnsent);
        }
        if ack.before(self.snd.una - self.snd.max_wnd) {
            self.challenge(now);
            return self.dropped(DropReason::AckTooOld);
        }
        self.take_acknowledgment(now, segment);
        Ok(())
    }

    fn take_acknowledgment(&mut self, now: Instant, segment: &Segment) {
        let ack = segment.header.ack;
        let before = self.progress_so_far();
        let mut report = self.begin_report(now, segment);
        let mut rtt = None;
        let window_before = self.snd.wnd;
        let may_update_window = self.is_newer(&Window::of(segment));
        if ack.after(self.snd.una) {
            rtt = self.acknowledge_up_to(now, ack, report.as_mut());
        } else if ack == self.snd.una {
            let window_moved = may_update_window && self.scaled_window(segment) != window_before;
            // With SACK it is the blocks that tell of a loss, and segments with data come here all the time.
            if (report.is_some() || !self.sack) && segment.is_empty() && self.outstanding() > 0 {
                let report = report.get_or_insert_with(|| self.report(now, segment));
                self.take_duplicate_ack(segment, window_moved, report);
            }
        }
        if may_update_window {
            self.take_window_of(segment);
        }
        if let Some(report) = &report {
            rtt = rtt.or_else(|| self.sample_selective_round_trip(now, report));
            if rtt.is_none() {
                self.sample_echoed_round_trip(now, report.echo.filter(|_| report.advanced));
            }
            self.recover(now, segment, report);
        }
        if self.ecn.is_agreed() {
            self.take_congestion_echo(segment, before.flight_bytes);
        }
        self.inform_congestion_control(now, &before, rtt);
        self.own_fin_acknowledged(now);
        self.consider_writable();
    }

    /// Moves SND.UNA: frees the buffer, measures the round trip, which it answers, and restarts the timers.
    pub(crate) fn acknowledge_up_to(
        &mut self,
        now: Instant,
        ack: SeqNum,
        report: Option<&mut AckReport>,
    ) -> Option<Duration> {
        let buffer_start = self.send_buffer_start();
        let data = ack.earliest(self.send_buffer_end());
        if data.after(buffer_start) {
            self.send_buffer.acknowledge(data.since(buffer_start));
        }
        if self.fin == Fin::Sent && ack == self.snd.nxt {
            self.fin = Fin::Acknowledged;
        }
        // RFC 6298 §3 6298-3a, RFC 8961 §4 8961-3: Karn's rule, no sample from what was sent twice, nor from
        // what may have waited behind that for this acknowledgment
        let (mut sent_at, mut sent_twice) = (None, false);
        let mut note = |record: &SentRecord| {
            sent_twice |= record.was_retransmitted();
            if record.fate != Fate::Sacked {
                sent_at = Some(record.sent_at);
            }
        };
        match (report, self.recovery.episode.as_deref_mut()) {
            (Some(report), Some(episode)) => {
                report.advanced = true;
                report.acked_bytes = ack.since(self.snd.una);
                self.sent.acknowledge(ack, |record| {
                    note(record);
                    report.acknowledged(record, episode);
                });
            }
            _ => self.sent.acknowledge(ack, note),
        }
        // Options take 40 bytes at most.
        self.full_size_acked |= ack.since(self.snd.una) + 40 >= u32::from(self.snd.mss);
        self.snd.una = ack;
        let rtt = sent_at.filter(|_| !sent_twice).map(|sent_at| now.since(sent_at));
        if let Some(rtt) = rtt {
            self.sample_round_trip(now, rtt);
        }
        self.progress(now);
        rtt
    }

    /// While a gap holds SND.UNA back, what is reported beyond it measures the round trip as well.
    fn sample_selective_round_trip(&mut self, now: Instant, report: &AckReport) -> Option<Duration> {
        let rtt = report.newest_sacked_round_trip()?;
        self.sample_round_trip(now, rtt);
        Some(rtt)
    }

    /// Our SYN or SYN-ACK is acknowledged, perhaps with data that it had.
    pub(crate) fn acknowledge_syn(&mut self, now: Instant, ack: SeqNum, segment: &Segment) {
        if self.acknowledge_up_to(now, ack, None).is_none() {
            self.sample_echoed_round_trip(now, self.echo_of(segment));
        }
    }

    /// TSecr of a segment with an acknowledgment, where timestamps were agreed on.
    pub(crate) fn echo_of(&self, segment: &Segment) -> Option<u32> {
        segment.header.options.timestamps.filter(|_| self.timestamps.agreed).map(|it| it.echo)
    }

    /// Of what was sent twice, the timestamp echoed tells which one arrived. In whole milliseconds it says
    /// nothing of the shortest round trip.
    // RFC 7323 §4.1 7323-4b
    fn sample_echoed_round_trip(&mut self, now: Instant, echo: Option<u32>) {
        let ticks = clock(now, self.timestamps.offset);
        if let Some(echo) = echo.filter(|echo| !is_older(ticks, *echo)) {
            let rtt = Duration::from_millis(ticks.wrapping_sub(echo).into());
            self.sample_round_trip(now, rtt.max(self.rtt.min_rtt().unwrap_or(TICK)));
        }
    }

    // RFC 6298 §3 6298-3b: each acknowledgment of a range sent once gives a sample. RFC 7323 §4.1 7323-4b:
    // one that acknowledges nothing new gives none
    #[inline]
    fn sample_round_trip(&mut self, now: Instant, rtt: Duration) {
        self.rtt.sample(now, rtt);
        let (estimator, config) = (&self.rtt, &self.config);
        self.trace.record(|| TraceEvent::RttSampled {
            rtt,
            srtt: estimator.srtt().unwrap_or_default(),
            rttvar: estimator.rttvar().unwrap_or_default(),
            rto: estimator.rto(config),
        });
    }

    /// The peer has taken something new: the timers begin again.
    // RFC 6298 §5 (5.2, 5.3); RFC 6582 §4 6582-3: by a partial acknowledgment too, "slow but steady"
    #[inline]
    fn progress(&mut self, now: Instant) {
        self.owed.timeouts = 0;
        if self.seldom.is_some() {
            self.search_segment_size(now);
        }
        if self.sent.outstanding() == 0 {
            self.timers.clear(Timer::Retransmit);
            self.timers.clear(Timer::UserTimeout);
            if self.send_buffer.is_empty() {
                self.counters.held(now, Held::Idle);
            }
        } else {
            self.restart_retransmit_timer(now);
            self.restart_user_timeout(now);
        }
        if self.owner == Owner::Gone {
            self.set_timer(Timer::Orphan, now + self.config.orphan_timeout);
        }
    }

    /// The window of `segment` in bytes.
    // RFC 9293 §3.1 MUST-1
    pub(crate) fn scaled_window(&self, segment: &Segment) -> u32 {
        u32::from(segment.header.window) << self.shift_of(segment)
    }

    // RFC 7323 §2.3 7323-2e
    fn shift_of(&self, segment: &Segment) -> u8 {
        if segment.header.flags.syn() { 0 } else { self.snd.wind_shift }
    }

    /// True when `window` is not older than the one we have. A segment that acknowledges more
    /// is newer whatever its number, a retransmission for one: SND.WND counts from SND.UNA, so with the old
    /// window its right edge would move on and we would send what the peer has no room for. RFC 9293
    /// §3.10.7.4 looks at the numbers alone; Linux and BSD look at both.
    #[inline]
    pub(crate) fn is_newer(&self, window: &Window) -> bool {
        let Window { seq, ack, .. } = *window;
        ack.after(self.snd.una)
            || ack == self.snd.una
                && (seq.after(self.snd.wl1) || (seq == self.snd.wl1 && ack.at_or_after(self.snd.wl2)))
    }

    /// Takes over the peer's window as it stands in `segment`.
    pub(crate) fn take_window_of(&mut self, segment: &Segment) {
        self.take_window(&Window::of(segment), self.shift_of(segment));
    }

    /// Takes over the peer's window, whose field counts units of 2^`shift` bytes.
    // RFC 9293 §3.8.6 MUST-34: it may have shrunk; what is beyond it counts as in flight and nothing new
    // follows
    #[inline]
    pub(crate) fn take_window(&mut self, window: &Window, shift: u8) {
        self.snd.wnd = u32::from(window.field) << shift;
        self.snd.wl1 = window.seq;
        self.snd.wl2 = window.ack;
        // RFC 5961 §5.2 5961-5b
        self.snd.max_wnd = self.snd.max_wnd.max(self.snd.wnd);
        self.owed.unanswered_window_probes = 0;
        if self.snd.wnd > 0 {
            self.owed.window_probes = 0;
        }
        self.timers.clear(Timer::Persist);
    }

    /// Moves on once our FIN is acknowledged.
    fn own_fin_acknowledged(&mut self, now: Instant) {
        if self.fin != Fin::Acknowledged {
            return;
        }
        match self.state {
            TcpState::FinWait1 => {
                self.enter(Cause::FinAcknowledged);
                self.raise(Raise::SendingDone);
                if self.owner == Owner::Gone {
                    self.set_timer(Timer::Orphan, now + self.config.orphan_timeout);
                }
            }
            TcpState::Closing => {
                self.raise(Raise::SendingDone);
                self.enter_time_wait(now, Cause::FinAcknowledged);
            }
            TcpState::LastAck => {
                self.raise(Raise::SendingDone);
                self.end(Cause::FinAcknowledged, None);
            }
            _ => {}
        }
    }
}
