//! What has happened on a connection so far: what is counted, and when the sender was held back by what.
//!
//! What a user sees of it is in `info`.

use alloc::boxed::Box;
use ciao_wire::Instant;
use core::time::Duration;

/// What is counted on every connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) segments_sent: u32,
    pub(crate) segments_received: u32,
    pub(crate) data_segments_sent: u32,
    pub(crate) data_segments_received: u32,
    pub(crate) sent: Moment,
    pub(crate) received: Moment,
    pub(crate) data_received: Moment,
    pub(crate) chronograph: Chronograph,
    /// What has happened on few connections: most never pay for it.
    pub(crate) rare: Option<Box<Rare>>,
}

/// What has happened on few connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare {
    pub(crate) segments_dropped: u32,
    pub(crate) retransmissions: u32,
    pub(crate) bytes_retransmitted: u64,
    pub(crate) out_of_order_segments: u32,
    /// Ranges that the peer has reported to have come twice.
    pub(crate) duplicate_reports: u32,
    /// Acknowledgments that showed another order than we sent in.
    pub(crate) reorderings: u32,
    /// How far one of them was from the order that we sent in, at most.
    pub(crate) reordering_bytes: u32,
    /// How long the peer's window held the sender back, and how long the send buffer did.
    held_by_window: Moment,
    held_by_buffer: Moment,
}

impl Rare {
    /// Something came behind as many bytes that were sent after it.
    pub(crate) fn reordered(&mut self, bytes: u32) {
        self.reorderings += 1;
        self.reordering_bytes = self.reordering_bytes.max(bytes);
    }
}

impl Counters {
    /// So many segments came, with payload or without.
    #[inline]
    pub(crate) fn received(&mut self, now: Instant, segments: u32, has_payload: bool) {
        self.segments_received = self.segments_received.saturating_add(segments);
        self.received = Moment::of(now);
        if has_payload {
            self.data_segments_received = self.data_segments_received.saturating_add(segments);
        }
    }

    /// So many segments went out, with payload or without.
    #[inline]
    pub(crate) fn sent(&mut self, now: Instant, segments: u32, has_payload: bool) {
        self.segments_sent = self.segments_sent.saturating_add(segments);
        self.sent = Moment::of(now);
        if has_payload {
            self.data_segments_sent = self.data_segments_sent.saturating_add(segments);
        }
    }

    /// So many segments were sent again, with `data` bytes of payload.
    pub(crate) fn retransmitted(&mut self, segments: u32, data: u32) {
        let rare = self.rare();
        rare.retransmissions = rare.retransmissions.saturating_add(segments);
        rare.bytes_retransmitted += u64::from(data);
    }

    /// The box of what is rare, made when there was none.
    #[cold]
    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

/// A moment, or the sum of several durations, in ticks of 2^20 ns, about a millisecond: small, and made
/// without a division. It wraps in 52 days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment(u32);

impl Moment {
    const TICK_DIGITS: u32 = 20;

    /// The moment `at`.
    #[expect(clippy::cast_possible_truncation, reason = "the tick count is meant to wrap")]
    pub(crate) fn of(at: Instant) -> Self {
        Self((at.as_nanos() >> Self::TICK_DIGITS) as u32)
    }

    /// The time from here to `now`.
    pub(crate) fn until(self, now: Instant) -> Duration {
        Duration::from_nanos(self.nanos_until(now))
    }

    /// The time from here to `now` in nanoseconds.
    #[inline]
    pub(crate) fn nanos_until(self, now: Instant) -> u64 {
        u64::from(Self::of(now).0.wrapping_sub(self.0)) << Self::TICK_DIGITS
    }

    fn duration(self) -> Duration {
        Duration::from_nanos(u64::from(self.0) << Self::TICK_DIGITS)
    }

    fn add(&mut self, more: u32) {
        self.0 = self.0.saturating_add(more);
    }
}

/// What holds the sender back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Held {
    /// Nothing is to be sent or acknowledged.
    #[default]
    Idle,
    /// The network.
    ByNetwork,
    /// The peer's window.
    ByPeerWindow,
    /// The send buffer: the application would have more, and all that was taken of it is sent.
    BySendBuffer,
}

/// How long the sender was held back, and by what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chronograph {
    held: Held,
    since: Moment,
    /// Time in which there was anything to send or to be acknowledged.
    busy: Moment,
}

/// The three sums of a [`Chronograph`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Busy {
    pub(crate) all: Duration,
    pub(crate) by_peer_window: Duration,
    pub(crate) by_send_buffer: Duration,
}

impl Counters {
    /// From `now` on the sender is held back by this.
    #[inline]
    pub(crate) fn held(&mut self, now: Instant, held: Held) {
        if self.chronograph.held != held {
            self.change_held(now, held);
        }
    }

    fn change_held(&mut self, now: Instant, held: Held) {
        let elapsed = Moment::of(now).0.wrapping_sub(self.chronograph.since.0);
        let before = core::mem::replace(&mut self.chronograph.held, held);
        self.chronograph.since = Moment::of(now);
        if before != Held::Idle && elapsed > 0 {
            self.chronograph.busy.add(elapsed);
            match before {
                Held::ByPeerWindow => self.rare().held_by_window.add(elapsed),
                Held::BySendBuffer => self.rare().held_by_buffer.add(elapsed),
                Held::Idle | Held::ByNetwork => {}
            }
        }
    }

    /// For how long the peer's window has held the sender back without a break.
    pub(crate) fn held_by_window_for(&self, now: Instant) -> Duration {
        let Chronograph { held, since, .. } = &self.chronograph;
        if *held == Held::ByPeerWindow { since.until(now) } else { Duration::ZERO }
    }

    /// How long the sender was busy up to `now`.
    pub(crate) fn busy(&self, now: Instant) -> Busy {
        let mut counters = self.clone();
        counters.change_held(now, Held::Idle);
        let rare = counters.rare.unwrap_or_default();
        Busy {
            all: counters.chronograph.busy.duration(),
            by_peer_window: rare.held_by_window.duration(),
            by_send_buffer: rare.held_by_buffer.duration(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_told_apart_by_what_held_the_sender_back() {
        let at = |ticks: u64| Instant::from_nanos(ticks << Moment::TICK_DIGITS);
        let ticks = |count: u64| at(count).since(Instant::ZERO);
        let mut counters = Counters::default();
        counters.held(at(10), Held::ByNetwork);
        counters.held(at(15), Held::ByPeerWindow);
        counters.held(at(18), Held::BySendBuffer);
        counters.held(at(19), Held::Idle);
        counters.held(at(40), Held::ByNetwork);
        let expected = |all| Busy { all, by_peer_window: ticks(3), by_send_buffer: ticks(1) };
        assert_eq!(counters.busy(at(50)), expected(ticks(19)));
        counters.held(at(60), Held::Idle);
        assert_eq!(counters.busy(at(99)), expected(ticks(29)));
    }

    #[test]
    fn moments_may_wrap_around() {
        let late = Instant::from_nanos((1 << (32 + Moment::TICK_DIGITS)) - 1);
        assert_eq!(Moment::of(late).until(late + Duration::from_nanos(1)), Duration::from_nanos(1 << 20));
    }
}
