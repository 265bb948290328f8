//! The persist timer: probes of a window that is shut, and the end of patience with one that is too small
//! (RFC 9293 §3.8.6.1, §3.8.6.2.1).
//!
//! A probe carries no data and an old number, SND.UNA − 1, as Linux sends it: the peer must answer what it
//! cannot accept, and nothing is in flight that would have to be sent again. RFC 9293 §3.8.6.1 would have one
//! byte of data.

use crate::buffer_growth::MemoryLevel;
use crate::connection::Connection;
use crate::error::ConnectionError;
use crate::segment_arrives::closed::Reset;
use crate::state::Cause;
use crate::timers::Timer;
use crate::transmit::WaitReason;
use ciao_wire::Instant;
use core::time::Duration;

impl Connection {
    /// Arms the timer when the peer's window holds us back and nothing is outstanding whose acknowledgment
    /// would tell us more.
    // RFC 9293 §3.8.6.1 MUST-36, SHLD-29, SHLD-30
    pub(crate) fn arm_persist_timer(&mut self, now: Instant, reason: WaitReason) {
        if self.outstanding() > 0 || self.timers.is_set(Timer::Persist) {
            return;
        }
        match reason {
            WaitReason::ZeroWindow { .. } => {
                let at = now + self.probe_interval();
                self.set_timer(Timer::Persist, at);
            }
            WaitReason::PeerWindow { .. } => {
                let at = now + self.config.silly_window_override;
                self.set_timer(Timer::Persist, at);
            }
            // RFC 9293 §3.9.1.2 MAY-16, MUST-60
            WaitReason::Cork { .. } => {
                let at = now + self.config.cork_timeout;
                self.set_timer(Timer::Persist, at);
            }
            _ => {}
        }
    }

    /// The RTO, doubled for each probe that found the window shut.
    pub(crate) fn probe_interval(&self) -> Duration {
        let doublings = u32::from(self.owed.window_probes).min(16);
        self.rtt.rto(&self.config).saturating_mul(1 << doublings).min(self.config.persist_max)
    }

    /// The timer fired: asks the peer, or sends what the silly-window rule held.
    pub(crate) fn persist_timer_fired(&mut self, now: Instant) {
        if self.snd.wnd > 0 {
            self.owed.held_data = true;
            return;
        }
        // RFC 6429 §4 6429-1, RFC 9293 §3.8.6.1 MUST-37: for as long as the peer likes, unless memory is
        // short
        let is_held = self.counters.held_by_window_for(now) >= self.config.scarce_memory_patience;
        if self.memory != MemoryLevel::Plenty && is_held {
            self.owed.reset = Some(Reset::Active { seq: self.snd.nxt, ack: self.rcv.nxt });
            self.end(Cause::TimedOut, Some(ConnectionError::OutOfMemory));
            return;
        }
        self.owed.window_probe = true;
        self.owed.window_probes = self.owed.window_probes.saturating_add(1);
        self.owed.unanswered_window_probes = self.owed.unanswered_window_probes.saturating_add(1);
        if !self.timers.is_set(Timer::UserTimeout) {
            self.restart_user_timeout(now);
        }
    }
}
