//! When received data is acknowledged: at once, with the next data, or after a delay (RFC 9293 §3.8.6.3), and
//! the acknowledgments that doubt (RFC 5961 §7).

use crate::connection::Connection;
use crate::counters::Moment;
use crate::segment::Segment;
use crate::timers::Timer;
use crate::transmit::OwedAck;
use ciao_wire::Instant;

impl Connection {
    /// Data came in order: it is owed an acknowledgment.
    // RFC 5681 §4.2 5681-4b: nothing but data and FIN is, and each once
    // RFC 9293 §3.8.6.3 SHLD-18, SHLD-19, MUST-40, §3.10.7.4 MUST-58, MUST-59: one for all that came before
    // it is sent
    pub(crate) fn owe_ack(&mut self, now: Instant, segment: &Segment) {
        self.counters.data_received = Moment::of(now);
        let received = self.rcv.nxt.since(segment.header.seq);
        let largest = match segment.segment_size {
            0 => u16::try_from(received).unwrap_or(u16::MAX),
            size => size,
        };
        self.owed.largest_received = self.owed.largest_received.max(largest.min(self.announce_mss));
        let unacknowledged = self.rcv.nxt.since(self.timestamps.last_ack_sent);
        let two_segments = 2 * u32::from(self.owed.largest_received);
        if self.owed.quick_acks > 0 || self.options.quickack || unacknowledged >= two_segments {
            self.owed.acknowledge_now();
        } else {
            self.delay_ack(now);
        }
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
        let due =
            self.owed.challenged_at.is_none_or(|at| now.since(at) >= self.config.challenge_ack_interval);
        if due {
            self.owed.challenged_at = Some(now);
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
