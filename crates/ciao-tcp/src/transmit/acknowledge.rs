//! When received data is acknowledged: at once, with the next data, or after a delay (RFC 9293 §3.8.6.3), and
//! the acknowledgments that doubt (RFC 5961 §7).

use crate::connection::Connection;
use crate::counters::Moment;
use crate::timers::Timer;
use crate::transmit::OwedAck;
use ciao_wire::time::whole_nanos;
use ciao_wire::{Instant, SeqNum};

/// Whether a FIN stands behind data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    Nothing,
    Fin,
}

impl Connection {
    /// Data came in order, from `start` to RCV.NXT, with `segment_size` bytes in each segment when several
    /// were merged: it is owed an acknowledgment.
    // RFC 5681 §4.2 5681-4b: nothing but data and FIN is, and each once
    // RFC 9293 §3.8.6.3 SHLD-18, SHLD-19, MUST-40, §3.10.7.4 MUST-58, MUST-59: one for all that came before
    // it is sent
    #[inline]
    pub(crate) fn owe_ack(&mut self, now: Instant, start: SeqNum, segment_size: u16, behind: Behind) {
        self.consider_quick_acks(now, behind);
        self.counters.data_received = Moment::of(now);
        let received = self.rcv.nxt.since(start);
        let largest = match segment_size {
            0 => u16::try_from(received).unwrap_or(u16::MAX),
            size => size,
        };
        self.owed.largest_received = self.owed.largest_received.max(largest.min(self.announce_mss));
        let unacknowledged = self.rcv.nxt.since(self.timestamps.last_ack_sent);
        let two_segments = 2 * u32::from(self.owed.largest_received);
        let is_quick = self.owed.quick_acks > 0 && !self.owed.interactive;
        if is_quick || self.options.quickack || unacknowledged >= two_segments {
            self.owed.acknowledge_now();
        } else {
            self.delay_ack(now);
        }
    }

    /// Data after a silence: the peer's congestion window has perhaps become small, and grows with each
    /// acknowledgment that it gets. Not more of them than half of our window takes.
    #[inline]
    fn consider_quick_acks(&mut self, now: Instant, behind: Behind) {
        let silence = self.counters.data_received.nanos_until(now);
        // The least RTO first: it spares the arithmetic at nearly every segment.
        let is_long =
            silence > whole_nanos(self.config.rto_min) && silence > self.rtt.rto_nanos(&self.config);
        if is_long && behind == Behind::Nothing {
            let segment = u32::from(self.owed.largest_received.max(1));
            let within_window = u8::try_from(self.rcv.wnd() / (2 * segment)).unwrap_or(u8::MAX).max(2);
            self.owed.quick_acks = self.config.quick_acks.min(within_window);
        }
    }

    /// New data goes out. If it follows soon upon what came, the application answers: acknowledgments can
    /// ride on that, until one had to go alone.
    #[inline]
    pub(crate) fn note_interaction(&mut self, now: Instant) {
        if !self.owed.interactive && self.counters.bytes_received > 0 {
            self.owed.interactive =
                self.counters.data_received.nanos_until(now) < whole_nanos(self.config.delayed_ack);
        }
    }

    /// An acknowledgment has waited in vain for data to ride on.
    pub(crate) fn delayed_ack_timer_fired(&mut self) {
        self.owed.interactive = false;
        self.owed.acknowledge_now();
    }

    /// An acknowledgment goes out with the next data, or after the delay.
    pub(crate) fn delay_ack(&mut self, now: Instant) {
        if self.owed.ack == OwedAck::No {
            self.owed.ack = OwedAck::Delayed;
            self.set_timer(Timer::DelayedAck, now + self.config.delayed_ack);
        }
    }

    /// Asks for an acknowledgment that tells the peer where we stand, at most so often.
    // RFC 5961 §7 5961-7a: counted for each connection alone, so that no one learns of another one's
    pub(crate) fn challenge(&mut self, now: Instant) {
        let last = self.owed.challenged_at;
        let due = last == Instant::NEVER || now.since(last) >= self.config.challenge_ack_interval;
        if due {
            self.owed.challenged_at = now;
            self.owed.challenge_ack = true;
        }
    }

    /// An acknowledgment, alone or with data, goes out now.
    // RFC 5681 §4.2 5681-4b: nothing is owed behind it until another segment comes
    pub(crate) fn acknowledgment_sent(&mut self) {
        if self.owed.ack == OwedAck::Now {
            self.owed.quick_acks = self.owed.quick_acks.saturating_sub(1);
        }
        self.owed.acknowledged();
        self.timers.clear(Timer::DelayedAck);
        self.timestamps.last_ack_sent = self.rcv.nxt;
    }
}
