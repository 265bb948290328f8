//! Timeouts (RFC 9293 §3.10.8): what happens when a timer fires.

use crate::congestion::initial_window_bytes;
use crate::connection::{Connection, Raise};
use crate::error::ConnectionError;
use crate::segment_arrives::closed::Reset;
use crate::state::{Cause, TcpState};
use crate::timers::Timer;
use crate::trace::TraceEvent;
use ciao_wire::Instant;
use ciao_wire::time::whole_nanos;

impl Connection {
    /// Handles every timer that is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.take_due(now) {
            self.trace.record(|| TraceEvent::TimerFired(timer));
            match timer {
                Timer::Retransmit => self.retransmit_timer_fired(now),
                Timer::LossProbe => self.probe_timer_fired(now),
                Timer::Reorder => self.reordering_timer_fired(now),
                Timer::Persist => self.persist_timer_fired(now),
                Timer::DelayedAck => self.delayed_ack_timer_fired(),
                Timer::KeepAlive => self.keep_alive_timer_fired(now),
                Timer::Orphan => self.orphan_timer_fired(),
                Timer::TimeWait => self.end(Cause::TimeWaitExpired, None),
                Timer::UserTimeout => self.user_timer_fired(),
                // That it is no longer set lets the next segment out.
                Timer::Pacing => {}
            }
        }
    }

    // RFC 6298 §5 6298-5a, 6298-5b; RFC 9293 §3.8.3 MUST-20, MUST-22
    fn retransmit_timer_fired(&mut self, now: Instant) {
        if self.outstanding() == 0 {
            return;
        }
        self.rtt.back_off();
        self.owed.timeouts = self.owed.timeouts.saturating_add(1);
        if self.is_opening() {
            self.owed.syn = true;
        } else if self.snd.wnd == 0 {
            // RFC 9293 §3.8.6 MUST-35: the window shrank to nothing over what is outstanding; ask instead of
            // sending
            self.owed.window_probe = true;
        } else {
            self.doubt_segment_size(now);
            self.enter_timeout_recovery(now);
        }
        self.restart_retransmit_timer(now);
        // RFC 9293 §3.8.3 SHLD-9, SHLD-10
        if self.owed.timeouts == self.config.r1_retransmissions {
            self.raise(Raise::DeliveryTrouble);
        }
    }

    // RFC 9293 §3.8.3 MUST-20, MUST-21, MUST-23: R2
    fn user_timer_fired(&mut self) {
        let state = self.state;
        self.end(Cause::TimedOut, Some(ConnectionError::TimedOut { state }));
    }

    /// Nobody holds the connection and the peer has made no progress for the whole time.
    fn orphan_timer_fired(&mut self) {
        let state = self.state;
        if state != TcpState::FinWait2 {
            self.owed.reset = Some(Reset::Active { seq: self.snd.nxt, ack: self.rcv.nxt });
        }
        self.end(Cause::OrphanExpired, Some(ConnectionError::TimedOut { state }));
    }

    /// The retransmission timer begins anew, one RTO from now, or a loss probe comes before it.
    // RFC 8985 §7.2 8985-7a: never later than the retransmission timer would
    //
    // New data behind what is outstanding does not put the probe off, though it might: what it probes for is
    // older.
    #[inline]
    pub(crate) fn restart_retransmit_timer(&mut self, now: Instant) {
        let rto = self.rtt.rto_nanos(&self.config);
        match self.probe_timeout_nanos() {
            Some(probe_timeout) => {
                self.set_timer(Timer::LossProbe, now.plus_nanos(probe_timeout.min(rto)));
            }
            None => self.set_timer(Timer::Retransmit, now.plus_nanos(rto)),
        }
    }

    /// The time that may pass without progress begins anew.
    #[inline]
    pub(crate) fn restart_user_timeout(&mut self, now: Instant) {
        match self.patience() {
            Some(limit) => self.set_timer(Timer::UserTimeout, now + limit),
            None => self.timers.clear(Timer::UserTimeout),
        }
    }

    /// Before the first byte after a silence: what was learnt of the path is out of date.
    // RFC 5681 §4.1 5681-4a
    #[inline]
    pub(crate) fn restart_when_idle(&mut self, now: Instant) {
        let idle = now.nanos_since(self.recovery.data_sent_at);
        // The least RTO first: it spares the arithmetic at nearly every write.
        if self.outstanding() == 0
            && idle > whole_nanos(self.config.rto_min)
            && idle > self.rtt.rto_nanos(&self.config)
        {
            let segments = self.config.initial_window_segments;
            let restart_window_bytes = initial_window_bytes(self.effective_mss(), segments, 0);
            self.congestion.on_idle_restart(now, restart_window_bytes);
        }
    }
}
