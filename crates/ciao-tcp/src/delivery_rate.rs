//! How fast does the path deliver? [`DeliveryRate`], one sample for each acknowledgment
//! (draft-cheng-iccrg-delivery-rate-estimation).
//!
//! A sample is what was delivered between two moments, divided by the longer of the times in which it was
//! sent and in which it was acknowledged: so neither a burst of data nor one of acknowledgments makes the
//! path look faster than it is. What a transmission remembers of its moment is a [`Snapshot`] beside its
//! record (`sent`). Only connections whose algorithm asks for samples have an estimator.

use crate::congestion::{Limit, LossSample, RateSample};
use crate::sent::{Fate, SentRecord};
use alloc::collections::VecDeque;
use ciao_wire::{Instant, SeqNum};
use core::time::Duration;

/// Losses of more than one in this many bytes in flight are told to the algorithm: 2 %, `BBR.LossThresh`.
pub(crate) const LOSS_THRESHOLD_DIVISOR: u32 = 50;

/// What a transmission remembers of the moment at which it left. Times are in µs back from then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// P.delivered.
    delivered: u32,
    /// P.lost.
    lost: u32,
    /// The time since P.delivered_time.
    since_delivery_micros: u32,
    /// The time since P.first_sent_time.
    since_first_sent_micros: u32,
    /// P.tx_in_flight: what was in flight with it.
    flight: u32,
    /// P.is_app_limited.
    application_limited: bool,
}

/// The state of the connection; counts wrap.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryRate {
    /// One for each record in `sent`, in the same order.
    snapshots: VecDeque<Snapshot>,
    /// C.delivered.
    delivered: u32,
    /// C.lost.
    lost: u32,
    /// C.delivered_time.
    delivered_at: Instant,
    /// C.first_sent_time.
    first_sent_at: Instant,
    /// C.app_limited: what will have been delivered when the gap that a lack of data left is past.
    limited_until: Option<u32>,
    /// The newest transmission that was delivered since the last sample.
    newest: Option<Delivered>,
    pub(crate) latest: Option<RateSample>,
    /// Bytes taken for lost since they were last asked for.
    newly_lost: u32,
    /// The first loss since the last sample that crossed the threshold.
    heavy_loss: Option<LossSample>,
}

#[derive(Clone, Copy, Debug)]
struct Delivered {
    sent_at: Instant,
    end: SeqNum,
    snapshot: Snapshot,
}

impl DeliveryRate {
    /// Of a connection that has so many records already. What these were sent beside is not known; they will
    /// look as if they had been sent first.
    pub(crate) fn new(records: usize) -> Self {
        Self {
            snapshots: core::iter::repeat_n(Snapshot::default(), records).collect(),
            delivered: 0,
            lost: 0,
            delivered_at: Instant::ZERO,
            first_sent_at: Instant::ZERO,
            limited_until: None,
            newest: None,
            latest: None,
            newly_lost: 0,
            heavy_loss: None,
        }
    }

    /// `len` bytes leave for the first time, while `flight` are on their way and `outstanding` are not
    /// acknowledged.
    pub(crate) fn on_send(&mut self, now: Instant, len: u32, flight: u32, outstanding: u32) {
        let snapshot = self.snapshot(now, len, flight, outstanding);
        self.snapshots.push_back(snapshot);
    }

    /// The record at `index` leaves again.
    pub(crate) fn on_retransmit(
        &mut self,
        index: usize,
        now: Instant,
        len: u32,
        (flight, outstanding): (u32, u32),
    ) {
        self.snapshots[index] = self.snapshot(now, len, flight, outstanding);
    }

    fn snapshot(&mut self, now: Instant, len: u32, flight: u32, outstanding: u32) -> Snapshot {
        if outstanding == 0 {
            // Nothing was on the way: the idle time before says nothing about the path.
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        Snapshot {
            delivered: self.delivered,
            lost: self.lost,
            since_delivery_micros: micros(now.since(self.delivered_at)),
            since_first_sent_micros: micros(now.since(self.first_sent_at)),
            flight: flight.saturating_add(len),
            application_limited: self.limited_until.is_some(),
        }
    }

    /// The record at `index` was divided.
    pub(crate) fn on_split(&mut self, index: usize) {
        self.snapshots.insert(index + 1, self.snapshots[index]);
    }

    /// The first record is acknowledged cumulatively, and gone.
    pub(crate) fn on_acknowledged(&mut self, record: &SentRecord) {
        let snapshot = self.snapshots.pop_front().expect("each record has a snapshot");
        if record.fate != Fate::Sacked {
            self.on_delivered(record, snapshot);
        }
    }

    /// The front of the first record, `part`, is acknowledged cumulatively.
    pub(crate) fn on_partly_acknowledged(&mut self, part: &SentRecord) {
        if part.fate != Fate::Sacked {
            self.on_delivered(part, self.snapshots[0]);
        }
    }

    /// The record at `index` is acknowledged selectively.
    pub(crate) fn on_sacked(&mut self, index: usize, record: &SentRecord) {
        self.on_delivered(record, self.snapshots[index]);
    }

    /// `record` has arrived, and this is the first that is known of it.
    fn on_delivered(&mut self, record: &SentRecord, snapshot: Snapshot) {
        self.delivered = self.delivered.wrapping_add(record.len());
        let (sent_at, end) = (record.sent_at, record.end);
        let is_newer = self.newest.is_none_or(|newest| {
            sent_at > newest.sent_at || sent_at == newest.sent_at && end.after(newest.end)
        });
        if is_newer {
            self.newest = Some(Delivered { sent_at, end, snapshot });
        }
    }

    /// The record at `index`, `len` bytes, is taken for lost.
    pub(crate) fn on_lost(&mut self, index: usize, len: u32) {
        let snapshot = self.snapshots[index];
        self.lost = self.lost.wrapping_add(len);
        self.newly_lost = self.newly_lost.saturating_add(len);
        let lost_bytes = self.lost.wrapping_sub(snapshot.lost);
        let flight_at_send_bytes = snapshot.flight;
        if self.heavy_loss.is_none() && lost_bytes > flight_at_send_bytes / LOSS_THRESHOLD_DIVISOR {
            let limited = snapshot.limit();
            self.heavy_loss = Some(LossSample { len_bytes: len, flight_at_send_bytes, lost_bytes, limited });
        }
    }

    /// The sender has no more data, and what is in flight does not fill the window.
    pub(crate) fn on_application_limited(&mut self, flight: u32) {
        self.limited_until = Some(self.delivered.wrapping_add(flight.max(1)));
    }

    /// The sample of the acknowledgment that was just taken in. None when nothing was delivered, and when it
    /// spans less than `min_rtt`: then it compares moments that do not belong together.
    pub(crate) fn sample(&mut self, now: Instant, min_rtt: Duration) -> Option<RateSample> {
        let Delivered { sent_at, snapshot, .. } = self.newest.take()?;
        self.delivered_at = now;
        self.first_sent_at = self.first_sent_at.max(sent_at);
        let is_past = |until: u32| self.delivered.wrapping_sub(until).cast_signed() > 0;
        self.limited_until = self.limited_until.filter(|until| !is_past(*until));

        let sending = Duration::from_micros(snapshot.since_first_sent_micros.into());
        let acknowledging = now.since(sent_at) + Duration::from_micros(snapshot.since_delivery_micros.into());
        let interval = sending.max(acknowledging);
        // Rounding down two times to whole µs may take this much off.
        if interval.is_zero() || interval + Duration::from_micros(2) < min_rtt {
            return None;
        }
        self.latest = Some(RateSample {
            delivered_bytes: self.delivered.wrapping_sub(snapshot.delivered),
            interval,
            prior_delivered_bytes: snapshot.delivered,
            total_delivered_bytes: self.delivered,
            limited: snapshot.limit(),
            flight_at_send_bytes: snapshot.flight,
            lost_bytes: self.lost.wrapping_sub(snapshot.lost),
        });
        self.latest
    }

    /// Bytes taken for lost since the last call.
    pub(crate) fn take_lost_bytes(&mut self) -> u32 {
        core::mem::take(&mut self.newly_lost)
    }

    /// The loss since the sample before that is worth an answer of its own.
    pub(crate) fn take_heavy_loss(&mut self) -> Option<LossSample> {
        self.heavy_loss.take()
    }
}

impl Snapshot {
    fn limit(self) -> Limit {
        if self.application_limited { Limit::Other } else { Limit::CongestionWindow }
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::RateWish;
    use crate::sent::Sent;

    const SEGMENT: u32 = 1000;

    fn measured() -> Sent {
        let mut sent = Sent::new();
        sent.measure(RateWish::Wanted);
        sent
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(1000 + millis)
    }

    fn sample(sent: &mut Sent, millis: u64) -> Option<RateSample> {
        sent.rate_sample(at(millis), || Duration::from_millis(10))
    }

    #[test]
    fn a_sample_is_what_one_round_trip_delivered() {
        let mut sent = measured();
        for segment in 0..10 {
            sent.push(SeqNum(segment * SEGMENT), SEGMENT, at(segment.into()), 1000);
        }
        for segment in 0..10u32 {
            sent.acknowledge(SeqNum((segment + 1) * SEGMENT), |_| {});
            let sample = sample(&mut sent, 50 + u64::from(segment)).expect("something was delivered");
            assert_eq!(sample.delivered_bytes, (segment + 1) * SEGMENT);
            assert_eq!(sample.interval, Duration::from_millis(50 + u64::from(segment)));
            assert_eq!(sample.limited, Limit::CongestionWindow);
            assert_eq!(sample.flight_at_send_bytes, (segment + 1) * SEGMENT);
        }
        sent.push(SeqNum(10 * SEGMENT), SEGMENT, at(60), 1000);
        sent.acknowledge(SeqNum(11 * SEGMENT), |_| {});
        let last = sample(&mut sent, 110).expect("something was delivered");
        assert_eq!((last.prior_delivered_bytes, last.total_delivered_bytes), (10 * SEGMENT, 11 * SEGMENT));
    }

    #[test]
    fn acknowledgments_that_come_in_a_burst_do_not_make_the_path_faster() {
        let mut sent = measured();
        for segment in 0..100 {
            sent.push(SeqNum(segment * SEGMENT), SEGMENT, at(segment.into()), 1000);
        }
        sent.acknowledge(SeqNum(50 * SEGMENT), |_| {});
        sample(&mut sent, 100).expect("something was delivered");
        sent.acknowledge(SeqNum(100 * SEGMENT), |_| {});
        let second = sample(&mut sent, 101).expect("something was delivered");
        // All hundred were sent over 99 ms; that they were acknowledged within 1 ms is no rate.
        assert_eq!((second.delivered_bytes, second.interval), (100 * SEGMENT, Duration::from_millis(101)));
    }

    #[test]
    fn a_sample_shorter_than_the_least_round_trip_is_none() {
        let mut sent = measured();
        sent.push(SeqNum(0), SEGMENT, at(0), 1000);
        sent.acknowledge(SeqNum(SEGMENT), |_| {});
        assert_eq!(sample(&mut sent, 9), None);
        assert_eq!(sample(&mut sent, 20), None, "nothing was delivered");
    }

    #[test]
    fn what_is_sent_without_more_behind_it_is_limited_by_the_application() {
        let mut sent = measured();
        sent.push(SeqNum(0), SEGMENT, at(0), 1000);
        sent.application_limited();
        sent.push(SeqNum(SEGMENT), SEGMENT, at(5), 1000);
        sent.acknowledge(SeqNum(SEGMENT), |_| {});
        assert_eq!(sample(&mut sent, 50).map(|sample| sample.limited), Some(Limit::CongestionWindow));
        sent.acknowledge(SeqNum(2 * SEGMENT), |_| {});
        assert_eq!(sample(&mut sent, 55).map(|sample| sample.limited), Some(Limit::Other));
        sent.push(SeqNum(2 * SEGMENT), SEGMENT, at(60), 1000);
        sent.acknowledge(SeqNum(3 * SEGMENT), |_| {});
        assert_eq!(sample(&mut sent, 110).map(|sample| sample.limited), Some(Limit::CongestionWindow));
    }

    #[test]
    fn an_idle_time_is_no_part_of_a_sample() {
        let mut sent = measured();
        sent.push(SeqNum(0), SEGMENT, at(0), 1000);
        sent.acknowledge(SeqNum(SEGMENT), |_| {});
        sample(&mut sent, 50).expect("something was delivered");
        sent.push(SeqNum(SEGMENT), SEGMENT, at(9000), 1000);
        sent.acknowledge(SeqNum(2 * SEGMENT), |_| {});
        let sample = sample(&mut sent, 9050).expect("something was delivered");
        assert_eq!((sample.delivered_bytes, sample.interval), (SEGMENT, Duration::from_millis(50)));
    }
}
