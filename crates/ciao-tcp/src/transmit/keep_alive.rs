//! Keep-alive: asking a silent peer whether it is still there (RFC 9293 §3.8.4). Off unless the application
//! asks.

use crate::connection::Connection;
use crate::error::ConnectionError;
use crate::segment_arrives::closed::Reset;
use crate::state::{Cause, TcpState};
use crate::timers::Timer;
use ciao_wire::Instant;

impl Connection {
    /// Begins the silence anew.
    // RFC 9293 §3.8.4 MUST-24, MUST-25, MUST-26, MAY-5
    pub(crate) fn restart_keep_alive(&mut self, now: Instant) {
        match self.keep_alive() {
            Some(keep_alive) if !self.is_opening() && self.state < TcpState::TimeWait => {
                let at = now + keep_alive.idle;
                self.set_timer(Timer::KeepAlive, at);
            }
            _ => self.timers.clear(Timer::KeepAlive),
        }
    }

    /// An acceptable segment came.
    pub(crate) fn heard_from_peer(&mut self, now: Instant) {
        if self.keep_alive().is_some() {
            self.owed.keep_alive_probes = 0;
            self.restart_keep_alive(now);
        }
        if self.snd.wnd == 0 && self.timers.is_set(Timer::UserTimeout) && self.user_timeout().is_none() {
            // RFC 9293 §3.8.6.1 MUST-37, §3.8.6 SHLD-17: a peer that answers keeps its shut window for as
            // long as it likes
            // RFC 6429 §4 6429-1: or as the application allows it
            self.restart_user_timeout(now);
        }
    }

    /// The silence has lasted too long: asks, or gives up after enough questions.
    // RFC 9293 §3.8.4 MUST-26, MUST-28, MUST-29
    pub(crate) fn keep_alive_timer_fired(&mut self, now: Instant) {
        let Some(keep_alive) = self.keep_alive() else { return };
        if self.outstanding() > 0 {
            self.restart_keep_alive(now);
            return;
        }
        if self.owed.keep_alive_probes >= keep_alive.probes {
            self.owed.reset = Some(Reset::Active { seq: self.snd.nxt, ack: self.rcv.nxt });
            self.end(Cause::TimedOut, Some(ConnectionError::KeepAliveTimedOut));
            return;
        }
        self.owed.keep_alive_probes += 1;
        self.owed.keep_alive = true;
        self.set_timer(Timer::KeepAlive, now + keep_alive.interval);
    }
}
