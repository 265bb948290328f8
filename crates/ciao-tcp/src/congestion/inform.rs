//! What is the algorithm of a connection told, and when? Here is what every acknowledgment says; that
//! recovery begins and ends is said in `recovery`.

use super::{AckSample, Controller, Limit, Recovering, initial_window_bytes};
use crate::connection::Connection;
use crate::recovery::Phase;
use crate::trace::TraceEvent;
use ciao_wire::{Instant, SeqNum};
use core::time::Duration;

impl Phase {
    fn recovering(self) -> Recovering {
        match self {
            Self::Open => Recovering::No,
            Self::Fast { .. } => Recovering::Fast,
            Self::Timeout { .. } => Recovering::Timeout,
        }
    }
}

/// Where the sender stood before an acknowledgment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    una: SeqNum,
    pub(crate) flight_bytes: u32,
    sacked_bytes: u32,
    lost_bytes: u32,
    recovering: Recovering,
}

impl Connection {
    /// Where the sender stands before an acknowledgment is taken in.
    pub(crate) fn progress_so_far(&self) -> Progress {
        Progress {
            una: self.snd.una,
            flight_bytes: self.sent.in_flight(),
            sacked_bytes: self.sent.sacked(),
            lost_bytes: self.sent.lost(),
            recovering: self.recovery.phase.recovering(),
        }
    }

    /// Tells the algorithm what an acknowledgment brought, once what it shows of losses is known.
    #[inline]
    pub(crate) fn inform_congestion_control(
        &mut self,
        now: Instant,
        before: &Progress,
        rtt: Option<Duration>,
    ) {
        if self.congestion.is_indifferent(self.recovery.limit) {
            return self.update_pacing_rate();
        }
        let acked_bytes = self.snd.una.since(before.una);
        let delivered_bytes = (acked_bytes + self.sent.sacked()).saturating_sub(before.sacked_bytes);
        // Where losses are not counted one by one, nobody asks for more than a guess.
        let (lost_bytes, loss) =
            self.sent.losses().unwrap_or((self.sent.lost().saturating_sub(before.lost_bytes), None));
        if delivered_bytes == 0 && lost_bytes == 0 {
            return;
        }
        let rate = self.sent.rate_sample(now, || self.rtt.min_rtt().unwrap_or_default());
        let recovering = match (before.recovering, self.recovery.phase.recovering()) {
            (Recovering::Fast, _) | (_, Recovering::Fast) => Recovering::Fast,
            (Recovering::Timeout, _) | (_, Recovering::Timeout) => Recovering::Timeout,
            (Recovering::No, Recovering::No) => Recovering::No,
        };
        let window_before = self.congestion.window_bytes();
        self.congestion.on_ack(&AckSample {
            now,
            acked_bytes,
            delivered_bytes,
            lost_bytes,
            flight_before_bytes: before.flight_bytes,
            flight_bytes: self.sent.in_flight(),
            limited: self.recovery.limit,
            recovering,
            rtt,
            srtt: self.rtt.srtt(),
            una: self.snd.una,
            nxt: self.snd.nxt,
            rate,
            loss,
        });
        self.update_pacing_rate();
        if rate.is_some() && self.congestion.sample_limit() == Limit::Other {
            self.sent.application_limited();
        }
        if window_before != self.congestion.window_bytes() {
            self.record_congestion();
        }
    }

    pub(crate) fn record_congestion(&mut self) {
        let (cwnd_bytes, ssthresh_bytes) =
            (self.congestion.window_bytes(), self.congestion.slow_start_threshold_bytes());
        let flight_bytes = self.sent.in_flight();
        self.trace.record(|| TraceEvent::Congestion { cwnd_bytes, ssthresh_bytes, flight_bytes });
    }

    /// The path begins with a window of its own, once the size of its segments is known.
    // RFC 5681 §3.1 5681-3b, 5681-3c; RFC 6298 §5 6298-5c
    pub(crate) fn start_congestion_control(&mut self) {
        let smss = self.smss();
        let segments = self.config.initial_window_segments;
        let initial = initial_window_bytes(smss, segments, self.recovery.syn_retransmissions);
        self.congestion = Controller::new(self.options.congestion_control, smss, initial, self.snd.iss.0);
        self.arrange_pacing(self.pacing());
        if self.recovery.syn_retransmissions > 0 {
            self.rtt.syn_was_retransmitted();
        }
        self.record_congestion();
    }

    /// The options may name another algorithm than the one at work: it goes on from the window there is.
    // RFC 9293 §3.8.2 MAY-18
    pub(crate) fn switch_congestion_control(&mut self) {
        let choice = self.options.congestion_control;
        if choice == self.congestion.choice() {
            return;
        }
        let window_bytes = self.congestion.window_bytes();
        self.congestion = Controller::new(choice, self.smss(), window_bytes, self.snd.iss.0);
        self.record_congestion();
    }
}
