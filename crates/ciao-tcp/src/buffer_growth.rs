//! How large may the buffers become? What the path and the application need, and no more.
//!
//! * Receive: dynamic right-sizing. What the application reads in a round trip shows what the path brings;
//!   room for twice that lets a sender in slow start double once more (M. Fisk, W. Feng, "Dynamic
//!   Right-Sizing in TCP", 2001; Linux does so since 2.6). The window that follows is in `receive_window`.
//! * Send: twice the congestion window. One lies in the network, the other is ready when it is acknowledged.
//!
//! A size that the application has set stays as it is, unless memory is short: the host tells by a
//! [`MemoryLevel`]. What is in the buffers is in `send_buffer`,
//! `receive_buffer` and `reassembly`.

use crate::config::{Config, SocketOptions};
use crate::connection::Connection;
use crate::error::DropReason;
use crate::segment::Segment;
use crate::segment_arrives::Verdict;
use crate::timestamps::clock;
use ciao_wire::{Instant, SeqNum};
use core::time::Duration;

/// Who decides how large a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sizing {
    /// What the path needs, up to the host's largest.
    Automatic,
    /// The application.
    Fixed,
}

impl Sizing {
    pub(crate) fn of(option: Option<u32>) -> Self {
        if option.is_some() { Self::Fixed } else { Self::Automatic }
    }
}

/// How much memory the host has left for the buffers of all connections together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryLevel {
    /// Enough: buffers may grow.
    #[default]
    Plenty,
    /// Buffers do not grow, and what is offered and taken comes down to what is used.
    Scarce,
    /// Nothing is left: each connection keeps the least with which it gets on.
    Exhausted,
}

/// What every connection may have in a buffer while memory is scarce: more than the initial window.
const SCARCE_BYTES: u32 = 16 * 1024;
/// The same when it is exhausted, as Linux' least of `tcp_wmem`. So whoever was refused has something under
/// way whose acknowledgment wakes him.
const EXHAUSTED_BYTES: u32 = 4 * 1024;

/// The greatest size that the receive buffer may reach.
pub(crate) fn largest_receive_buffer(config: &Config, options: &SocketOptions) -> u32 {
    let automatic = config.receive_buffer_max_bytes.max(config.receive_buffer_bytes);
    options.receive_buffer_bytes.unwrap_or(automatic)
}

/// Binary digits of a nanosecond count below a tick of 1,024 ns: the unit of [`RightSizing`], so that a
/// moment fits into 32 bits and nothing is divided at each read. It wraps in 73 minutes, and a measurement
/// that took so long says nothing anyway.
const TICK_DIGITS: u32 = 10;
/// One tick of the timestamp clock, a millisecond, in ticks.
const MILLISECOND_TICKS: u32 = 1_000_000 >> TICK_DIGITS;
/// The round trip that is assumed when none was measured, about 200 ms. Too long, a buffer grows beyond need;
/// up to twice as long a path is still filled.
const UNKNOWN_RTT_TICKS: u32 = 200 * MILLISECOND_TICKS;
/// Samples above this, about a minute, are silences of the sender.
const LONGEST_SAMPLE_MILLIS: u32 = 60_000;
/// What is added to twice the amount read, in segments, as Linux: small amounts vary more.
const MARGIN_SEGMENTS: u32 = 16;

#[expect(clippy::cast_possible_truncation, reason = "the tick count is meant to wrap")]
fn ticks(now: Instant) -> u32 {
    (now.as_nanos() >> TICK_DIGITS) as u32
}

/// The measurement of what the application reads in a round trip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RightSizing {
    /// The round trip as the receiver sees it; zero before the first measurement.
    rtt_ticks: u32,
    /// When this measurement began.
    since_ticks: u32,
    /// How far the application had read then.
    read: SeqNum,
    /// The most that was read in a round trip so far.
    space: u32,
    /// The next timestamp that comes back is to be looked at: once in each measurement.
    pub(crate) wants_sample: bool,
}

impl RightSizing {
    /// Nothing is measured.
    pub(crate) const fn new() -> Self {
        Self { rtt_ticks: 0, since_ticks: 0, read: SeqNum(0), space: 0, wants_sample: false }
    }

    /// The round trip as the receiver sees it; zero before it is measured.
    pub(crate) fn rtt(&self) -> Duration {
        Duration::from_nanos(u64::from(self.rtt_ticks) << TICK_DIGITS)
    }

    /// The most that was read in a round trip so far.
    pub(crate) fn space(&self) -> u32 {
        self.space
    }

    /// Takes in that a timestamp came back after `millis` on a clock of milliseconds: the round trip was less
    /// than one longer or shorter. A shorter one counts at once. A longer one may hold a silence of the
    /// sender, so it moves us an eighth of the way only.
    fn sample(&mut self, millis: u32) {
        if millis > LONGEST_SAMPLE_MILLIS {
            return;
        }
        let (least, most) = (millis.saturating_sub(1) * MILLISECOND_TICKS, (millis + 1) * MILLISECOND_TICKS);
        if self.rtt_ticks > most {
            self.rtt_ticks = most;
        } else if self.rtt_ticks < least {
            self.rtt_ticks += (least - self.rtt_ticks).div_ceil(8);
        }
    }
}

impl Connection {
    /// A timestamp of ours, `echo`, has come back with data: measures the round trip of the receiver.
    // RFC 7323 §4.1 7323-4b: not for RTO, which takes no sample from segments that acknowledge nothing new
    #[cold]
    pub(crate) fn sample_receive_rtt(&mut self, now: Instant, echo: u32) {
        self.right_sizing.wants_sample = false;
        self.right_sizing.sample(clock(now, self.timestamps.offset).wrapping_sub(echo));
    }

    /// After a read: once in a round trip, lets the receive buffer grow to what the path brings.
    pub(crate) fn adjust_receive_buffer(&mut self, now: Instant) {
        let elapsed = ticks(now).wrapping_sub(self.right_sizing.since_ticks);
        if elapsed >= self.right_sizing.rtt_ticks {
            self.end_measurement(now);
        }
    }

    fn end_measurement(&mut self, now: Instant) {
        let read = self.rcv.nxt - self.receive_buffer.len();
        let mss = u32::from(self.announce_mss);
        let sizing = &mut self.right_sizing;
        if sizing.rtt_ticks == 0 {
            let srtt = self.rtt.srtt().map(|srtt| ticks(Instant::ZERO + srtt).max(1));
            sizing.rtt_ticks = srtt.unwrap_or(UNKNOWN_RTT_TICKS);
            sizing.space = u32::from(self.config.initial_window_segments) * mss;
        } else if self.memory != MemoryLevel::Plenty {
            // What is used now, not what was once.
            sizing.space = read.since(sizing.read);
        } else if read.since(sizing.read) > sizing.space {
            let copied = read.since(sizing.read);
            let double = copied.saturating_mul(2).saturating_add(MARGIN_SEGMENTS * mss);
            // While the amount itself grows, the sender is in slow start: by as much again.
            let growth =
                u64::from(double) * u64::from(copied - sizing.space) / u64::from(sizing.space.max(1));
            let wanted = double.saturating_add(u32::try_from(growth).unwrap_or(u32::MAX).min(double));
            sizing.space = copied;
            self.grow_receive_buffer(wanted);
        }
        let sizing = &mut self.right_sizing;
        (sizing.since_ticks, sizing.read) = (ticks(now), read);
        sizing.wants_sample = self.timestamps.agreed;
    }

    /// After the options have changed: a size that is not set stays as it has grown to, and none is larger
    /// than the window field can say.
    pub(crate) fn keep_grown_buffers(&mut self, (send, receive): (u32, u32)) {
        let largest = self.greatest_window();
        let options = &mut self.options;
        if options.send_buffer == Sizing::Automatic {
            options.send_buffer_bytes = send;
        }
        if options.receive_buffer == Sizing::Automatic {
            options.receive_buffer_bytes = receive;
        }
        options.receive_buffer_bytes = options.receive_buffer_bytes.min(largest);
    }

    fn grow_receive_buffer(&mut self, wanted: u32) {
        if self.options.receive_buffer == Sizing::Automatic {
            let largest = self.config.receive_buffer_max_bytes.min(self.greatest_window());
            let size = &mut self.options.receive_buffer_bytes;
            *size = wanted.min(largest).max(*size);
        }
    }

    /// The host tells how much memory is left.
    pub fn set_memory(&mut self, level: MemoryLevel) {
        self.memory = level;
    }

    /// Bytes that the connection keeps in its buffers: what the host counts.
    #[must_use]
    pub fn buffered_bytes(&self) -> u32 {
        let out_of_order = self.reassembly.as_ref().map_or(0, |reassembly| reassembly.bytes());
        self.send_buffer.len() + self.receive_buffer.len() + out_of_order
    }

    /// Most bytes that the send buffer takes now.
    pub(crate) fn send_limit(&self) -> u32 {
        let limit = self.options.send_buffer_bytes;
        match self.memory {
            MemoryLevel::Plenty => limit,
            MemoryLevel::Scarce => {
                let used = self.congestion.window_bytes().min(self.snd.wnd).saturating_mul(2);
                limit.min(used.max(SCARCE_BYTES))
            }
            MemoryLevel::Exhausted => limit.min(EXHAUSTED_BYTES),
        }
    }

    /// Most bytes that the receive buffer is offered for now.
    pub(crate) fn receive_limit(&self) -> u32 {
        let limit = self.options.receive_buffer_bytes;
        match self.memory {
            MemoryLevel::Plenty => limit,
            MemoryLevel::Scarce => limit.min(self.right_sizing.space().saturating_mul(2).max(SCARCE_BYTES)),
            // Two segments, so that the peer need not wait for a delayed acknowledgment.
            MemoryLevel::Exhausted => limit.min(EXHAUSTED_BYTES.max(2 * u32::from(self.announce_mss))),
        }
    }

    /// Memory is short: what is beyond the room that follows from it is dropped, although an earlier window
    /// covered it; it comes again. When nothing is left, what lies behind a gap goes first.
    // RFC 2018 §8 allows to drop what was acknowledged selectively
    pub(crate) fn refuse_for_memory(&mut self, segment: &mut Segment) -> Verdict {
        if self.memory == MemoryLevel::Exhausted {
            self.reassembly = None;
        }
        let is_in_order = segment.header.seq == self.rcv.nxt;
        let held = self.buffered_bytes() - self.send_buffer.len();
        let room = match self.memory {
            MemoryLevel::Exhausted if !is_in_order => 0,
            _ => self.receive_limit().saturating_sub(held) as usize,
        };
        segment.payload.truncate(room);
        if room == 0 {
            self.owed.acknowledge_duplicate();
            return self.dropped(DropReason::OutOfMemory);
        }
        Ok(())
    }

    /// The application has more to send than there is room for.
    pub(crate) fn grow_send_buffer(&mut self) {
        if self.options.send_buffer == Sizing::Automatic && self.memory == MemoryLevel::Plenty {
            let wanted = self.congestion.window_bytes().saturating_mul(2);
            let size = &mut self.options.send_buffer_bytes;
            *size = wanted.min(self.config.send_buffer_max_bytes).max(*size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_sample_counts_at_once_and_a_long_one_by_an_eighth() {
        let mut sizing = RightSizing { rtt_ticks: 100 * MILLISECOND_TICKS, ..RightSizing::new() };
        sizing.sample(20);
        assert_eq!(sizing.rtt_ticks, 21 * MILLISECOND_TICKS);
        sizing.sample(20);
        assert_eq!(sizing.rtt_ticks, 21 * MILLISECOND_TICKS);
        sizing.sample(102);
        assert_eq!(sizing.rtt_ticks, 31 * MILLISECOND_TICKS);
        sizing.sample(LONGEST_SAMPLE_MILLIS + 1);
        assert_eq!(sizing.rtt_ticks, 31 * MILLISECOND_TICKS);
    }

    #[test]
    fn round_trips_below_the_resolution_of_the_clock_stay_as_the_handshake_measured_them() {
        let mut sizing = RightSizing { rtt_ticks: 40, ..RightSizing::new() };
        for millis in [0, 1, 0, 1] {
            sizing.sample(millis);
            assert_eq!(sizing.rtt_ticks, 40);
        }
    }
}
