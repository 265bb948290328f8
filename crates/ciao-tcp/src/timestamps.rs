//! The timestamp clock and PAWS, the protection against wrapped sequence numbers (RFC 7323 §4, §5).

use crate::connection::Connection;
use crate::error::DropReason;
use crate::segment::Segment;
use crate::segment_arrives::Verdict;
use ciao_wire::{Instant, Timestamps};
use core::time::Duration;

/// How long TS.Recent protects (RFC 7323 §5.5): half the circle of a 1 ms clock.
pub(crate) const RECENT_LIFETIME: Duration = Duration::from_secs(24 * 24 * 3600);

/// How long a tick of the timestamp clock is.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// The timestamp clock: one tick a millisecond, from an offset that differs for each connection.
///
/// With ticks of 1 ms it recycles its sign bit in 24.8 days, far above any segment's lifetime, and ticks more
/// often than once in 2^31 bytes below 17 Tbit/s.
// RFC 7323 §4.1, §5.4, §7.1 7323-4a, 7323-5e, 7323-7a
#[expect(clippy::cast_possible_truncation, reason = "the clock is meant to wrap")]
pub(crate) const fn clock(now: Instant, offset: u32) -> u32 {
    (now.as_millis() as u32).wrapping_add(offset)
}

/// True when timestamp `a` is older than `b`.
pub(crate) const fn is_older(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

impl Connection {
    /// The timestamps option for a segment sent now, if the connection uses it.
    // RFC 7323 §3.2 7323-3a, 7323-3d: on every segment once agreed; the echo is of the peer's recent value
    pub(crate) fn timestamps_now(&self, now: Instant) -> Option<Timestamps> {
        self.timestamps
            .agreed
            .then(|| Timestamps { value: clock(now, self.timestamps.offset), echo: self.timestamps.recent })
    }

    /// Drops segments whose timestamp is older than what was seen, and those that lack an agreed one.
    // RFC 7323 §5.3 7323-5a, 7323-5b, 7323-3b, 7323-3c: before the sequence check, and never for a RST
    pub(crate) fn check_timestamps(&mut self, now: Instant, segment: &Segment) -> Verdict {
        if !self.timestamps.agreed || segment.header.flags.rst() {
            return Ok(());
        }
        let Some(timestamps) = segment.header.options.timestamps else {
            // Old peers leave the option out of the last ACK of the handshake; nothing but that may lack it.
            return if self.is_opening() { Ok(()) } else { self.dropped(DropReason::MissingTimestamp) };
        };
        let expired = now.since(self.timestamps.recent_at) > RECENT_LIFETIME;
        // RFC 7323 §5.5 7323-5d: after so long a silence the recent value says nothing any more
        if is_older(timestamps.value, self.timestamps.recent) && !expired {
            self.acknowledge_doubtful(now, segment);
            return self.dropped(DropReason::OldTimestamp);
        }
        Ok(())
    }

    /// Takes over the timestamp of an acceptable segment that covers the last acknowledgment we sent.
    // RFC 7323 §4.3 7323-4c, 7323-5c
    pub(crate) fn update_recent_timestamp(&mut self, now: Instant, segment: &Segment) {
        let Some(timestamps) = segment.header.options.timestamps.filter(|_| self.timestamps.agreed) else {
            return;
        };
        let covers = segment.header.seq.at_or_before(self.timestamps.last_ack_sent);
        let expired = now.since(self.timestamps.recent_at) > RECENT_LIFETIME;
        if covers && (expired || !is_older(timestamps.value, self.timestamps.recent)) {
            self.timestamps.recent = timestamps.value;
            self.timestamps.recent_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7323 §4.1 7323-4a, §5.4 7323-5e
    #[test]
    fn the_clock_ticks_once_a_millisecond_and_wraps() {
        let start = Instant::from_secs(1);
        assert_eq!(clock(start + Duration::from_secs(86_400), 5).wrapping_sub(clock(start, 5)), 86_400_000);
        assert_eq!(clock(Instant::from_millis(2), u32::MAX), 1);
        assert!(is_older(u32::MAX, 3) && !is_older(3, u32::MAX) && !is_older(3, 3));
    }
}
