//! A record for each transmitted segment: its range, when it was sent, how often, and what became of it.
//!
//! RTT samples, loss recovery and retransmission read these and nothing else; SND.NXT never goes back. A
//! record that stands for a super-segment is split where an acknowledgment or a retransmission cuts through
//! it. Nothing here looks at all records but an acknowledgment of all: which of them are worth a look is
//! known by `recovery`.

use crate::congestion::{Limit, LossSample, RateSample, RateWish};
use crate::delivery_rate::DeliveryRate;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use ciao_wire::{Instant, SackBlock, SeqNum};
use core::ops::ControlFlow;
use core::time::Duration;

/// One transmitted range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SentRecord {
    /// First number.
    pub(crate) start: SeqNum,
    /// Number behind the last one.
    pub(crate) end: SeqNum,
    /// When it was sent last.
    pub(crate) sent_at: Instant,
    /// The most payload of one of its segments; it begins where a segment does.
    pub(crate) segment_size: u16,
    /// How often it was sent.
    pub(crate) transmissions: u8,
    /// Where it is.
    pub(crate) fate: Fate,
}

impl SentRecord {
    pub(crate) fn len(&self) -> u32 {
        self.end.since(self.start)
    }

    /// How many segments of the wire it stands for.
    pub(crate) fn segments(&self) -> u32 {
        self.len().div_ceil(u32::from(self.segment_size.max(1)))
    }

    /// Where its last segment begins, of which the last `fin` numbers are a FIN.
    pub(crate) fn last_segment(&self, fin: u32) -> SeqNum {
        let data = self.len() - fin;
        let len = data.checked_sub(1).map_or(0, |before| before % u32::from(self.segment_size.max(1)) + 1);
        self.end - fin - len
    }

    pub(crate) fn was_retransmitted(&self) -> bool {
        self.transmissions > 1
    }

    /// From where to where, counted from the start, it has segments that lie wholly in `block`.
    fn segments_within(&self, block: SackBlock) -> (u32, u32) {
        let size = u32::from(self.segment_size.max(1));
        let skipped = if self.start.before(block.start) { block.start.since(self.start) } else { 0 };
        let covered =
            if self.end.after(block.end) { block.end.since(self.start) / size * size } else { self.len() };
        (skipped.next_multiple_of(size), covered)
    }
}

/// What is known of a transmitted range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// On its way, as far as we know.
    InFlight,
    /// The peer has it and said so selectively (RFC 2018); it may still take that back.
    Sacked,
    /// Taken for lost, and not sent again since.
    Lost,
}

/// All ranges between SND.UNA and SND.NXT in order, without gaps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    records: VecDeque<SentRecord>,
    /// Bytes of records in flight: the "pipe" of RFC 6675 §4.
    in_flight: u32,
    sacked: u32,
    lost: u32,
    /// For an algorithm that asks how fast the path delivers.
    rate: Option<Box<DeliveryRate>>,
}

impl Sent {
    /// Nothing sent.
    pub(crate) const fn new() -> Self {
        Self { records: VecDeque::new(), in_flight: 0, sacked: 0, lost: 0, rate: None }
    }

    /// Numbers that are on their way.
    // RFC 6675 §4 6675-4b
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Numbers acknowledged selectively.
    pub(crate) fn sacked(&self) -> u32 {
        self.sacked
    }

    /// Numbers taken for lost and not sent again.
    pub(crate) fn lost(&self) -> u32 {
        self.lost
    }

    /// All records in order, for those who may take the time.
    pub(crate) fn records(&self) -> impl Iterator<Item = &SentRecord> + '_ {
        self.records.iter()
    }

    /// The records from the one that holds `from` on, in order.
    pub(crate) fn records_from(&self, from: SeqNum) -> impl Iterator<Item = &SentRecord> + '_ {
        self.records.range(self.index_of(from)..)
    }

    /// The record that begins at SND.UNA.
    pub(crate) fn first(&self) -> Option<&SentRecord> {
        self.records.front()
    }

    /// The record that ends at SND.NXT.
    pub(crate) fn last(&self) -> Option<&SentRecord> {
        self.records.back()
    }

    /// Records a range sent for the first time, behind all others.
    #[inline]
    pub(crate) fn push(&mut self, start: SeqNum, len: u32, now: Instant, segment_size: u16) {
        debug_assert!(self.records.back().is_none_or(|last| last.end == start), "records have no gaps");
        let outstanding = self.outstanding();
        if let Some(rate) = &mut self.rate {
            rate.on_send(now, len, self.in_flight, outstanding);
        }
        self.in_flight += len;
        if self.records.capacity() == 0 {
            // Most connections never have more than one under way, and keep the room when they are idle.
            self.records = VecDeque::with_capacity(1);
        }
        self.records.push_back(SentRecord {
            start,
            end: start + len,
            sent_at: now,
            segment_size,
            transmissions: 1,
            fate: Fate::InFlight,
        });
    }

    /// Drops what lies before `una`, and shows each record or part of one that goes.
    #[inline]
    pub(crate) fn acknowledge(&mut self, una: SeqNum, mut gone: impl FnMut(&SentRecord)) {
        while let Some(record) = self.records.front_mut() {
            if record.end.at_or_before(una) {
                let record = self.records.pop_front().expect("the front was just seen");
                self.uncount(record.fate, record.len());
                if let Some(rate) = &mut self.rate {
                    rate.on_acknowledged(&record);
                }
                gone(&record);
            } else if record.start.before(una) {
                let part = SentRecord { end: una, ..record.clone() };
                record.start = una;
                self.uncount(part.fate, part.len());
                if let Some(rate) = &mut self.rate {
                    rate.on_partly_acknowledged(&part);
                }
                gone(&part);
            } else {
                break;
            }
        }
        if self.records.is_empty() && self.records.capacity() > Self::IDLE_RECORDS {
            self.records = VecDeque::new();
        }
    }

    /// Room for records that an idle connection keeps.
    const IDLE_RECORDS: usize = 4;

    /// Marks the segments that lie wholly in `island` as selectively acknowledged, as far as they touch what
    /// lies from `start` to `end`, the part of it that is news. Shows each record as it was before.
    ///
    /// A block that cuts through a segment of ours says nothing of it: an honest peer has all of it or
    /// nothing, and another could otherwise make a record of every byte.
    pub(crate) fn mark_sacked(
        &mut self,
        (start, end): (SeqNum, SeqNum),
        island: SackBlock,
        mut news: impl FnMut(&SentRecord),
    ) {
        let mut index = self.index_of(start);
        while let Some(record) = self.records.get(index).filter(|record| record.start.before(end)) {
            let (skipped, covered) = record.segments_within(island);
            if record.fate == Fate::Sacked || skipped >= covered {
                index += 1;
                continue;
            }
            if covered < record.len() {
                self.split(index, covered);
            }
            if skipped > 0 {
                self.split(index, skipped);
                index += 1;
            }
            news(&self.records[index]);
            self.set_fate(index, Fate::Sacked);
            index += 1;
        }
    }

    /// Gives each record that holds something from `from` on, and begins before `to`, the fate that `judge`
    /// finds for it, if any, until it breaks off. Answers where that was.
    pub(crate) fn judge(
        &mut self,
        from: SeqNum,
        to: Option<SeqNum>,
        mut judge: impl FnMut(&SentRecord) -> ControlFlow<(), Option<Fate>>,
    ) -> SeqNum {
        let mut index = self.index_of(from);
        let mut reached = from;
        while let Some(record) = self.records.get(index)
            && to.is_none_or(|to| record.start.before(to))
        {
            let (start, end) = (record.start, record.end);
            match judge(record) {
                ControlFlow::Continue(Some(fate)) => self.set_fate(index, fate),
                ControlFlow::Continue(None) => {}
                ControlFlow::Break(()) => return start,
            }
            reached = end;
            index += 1;
        }
        to.unwrap_or(reached).latest(reached)
    }

    /// Divides the record that holds `at`, if it lies inside of one.
    pub(crate) fn divide(&mut self, at: SeqNum) {
        let index = self.index_of(at);
        if let Some(record) = self.records.get(index)
            && record.start.before(at)
        {
            let len = at.since(record.start);
            self.split(index, len);
        }
    }

    /// Records that the range that begins at `start`, `len` numbers of it, was sent again, in segments of
    /// `segment_size`.
    pub(crate) fn retransmitted(&mut self, start: SeqNum, len: u32, now: Instant, segment_size: u16) {
        self.divide(start);
        let index = self.index_of(start);
        let Some(record) = self.records.get(index) else { return };
        if record.len() > len {
            self.split(index, len);
        }
        let outstanding = self.outstanding();
        if let Some(rate) = &mut self.rate {
            rate.on_retransmit(index, now, len, (self.in_flight, outstanding));
        }
        self.set_fate(index, Fate::InFlight);
        let record = &mut self.records[index];
        record.sent_at = now;
        record.segment_size = record.segment_size.min(segment_size);
        record.transmissions = record.transmissions.saturating_add(1);
    }

    /// Gives back the room for records when there are none.
    pub(crate) fn release_room(&mut self) {
        if self.records.is_empty() {
            self.records = VecDeque::new();
        }
    }

    /// Begins to measure the delivery rate, or stops.
    pub(crate) fn measure(&mut self, wish: RateWish) {
        let records = self.records.len();
        self.rate = match wish {
            RateWish::Wanted => {
                Some(self.rate.take().unwrap_or_else(|| Box::new(DeliveryRate::new(records))))
            }
            RateWish::Unwanted => None,
        };
    }

    /// How fast the path delivered what was acknowledged since the last call.
    pub(crate) fn rate_sample(
        &mut self,
        now: Instant,
        min_rtt: impl FnOnce() -> Duration,
    ) -> Option<RateSample> {
        self.rate.as_mut()?.sample(now, min_rtt())
    }

    /// The latest delivery rate in bytes a second, and what held the sender back then.
    pub(crate) fn latest_rate(&self) -> Option<(u64, Limit)> {
        self.rate.as_ref()?.latest.map(|sample| (sample.bytes_per_s(), sample.limited))
    }

    /// What was taken for lost since the last call, where it is counted, and the loss of it that tells most.
    pub(crate) fn losses(&mut self) -> Option<(u32, Option<LossSample>)> {
        let rate = self.rate.as_mut()?;
        Some((rate.take_lost_bytes(), rate.take_heavy_loss()))
    }

    /// There is no more data to send, though the window would let it.
    pub(crate) fn application_limited(&mut self) {
        if let Some(rate) = &mut self.rate {
            rate.on_application_limited(self.in_flight);
        }
    }

    /// Numbers between SND.UNA and SND.NXT.
    pub(crate) fn outstanding(&self) -> u32 {
        self.in_flight + self.sacked + self.lost
    }

    /// The place of the record that holds `number`, or of the first one behind it.
    fn index_of(&self, number: SeqNum) -> usize {
        self.records.partition_point(|record| record.end.at_or_before(number))
    }

    /// Makes two records of one; the first keeps `len` numbers.
    fn split(&mut self, index: usize, len: u32) {
        let mut back = self.records[index].clone();
        let at = back.start + len;
        self.records[index].end = at;
        back.start = at;
        self.records.insert(index + 1, back);
        if let Some(rate) = &mut self.rate {
            rate.on_split(index);
        }
    }

    fn set_fate(&mut self, index: usize, fate: Fate) {
        let record = &mut self.records[index];
        if let Some(rate) = &mut self.rate {
            match fate {
                Fate::Sacked => rate.on_sacked(index, record),
                Fate::Lost => rate.on_lost(index, record.len()),
                Fate::InFlight => {}
            }
        }
        let (before, len) = (core::mem::replace(&mut record.fate, fate), record.len());
        self.uncount(before, len);
        *self.count_of(fate) += len;
    }

    fn uncount(&mut self, fate: Fate, len: u32) {
        *self.count_of(fate) -= len;
    }

    fn count_of(&mut self, fate: Fate) -> &mut u32 {
        match fate {
            Fate::InFlight => &mut self.in_flight,
            Fate::Sacked => &mut self.sacked,
            Fate::Lost => &mut self.lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Three records of ten numbers, each of two segments.
    fn three_of_ten() -> Sent {
        let mut sent = Sent::new();
        for index in 0..3 {
            sent.push(SeqNum(index * 10), 10, Instant::from_secs(u64::from(index)), 5);
        }
        sent
    }

    fn layout(sent: &Sent) -> Vec<(u32, u32, Fate)> {
        sent.records.iter().map(|record| (record.start.0, record.end.0, record.fate)).collect()
    }

    fn gone(sent: &mut Sent, una: u32) -> Vec<(u32, u32)> {
        let mut gone = Vec::new();
        sent.acknowledge(SeqNum(una), |record| gone.push((record.start.0, record.end.0)));
        gone
    }

    fn sack(sent: &mut Sent, start: u32, end: u32) -> u32 {
        let mut news = 0;
        let block = SackBlock { start: SeqNum(start), end: SeqNum(end) };
        sent.mark_sacked((block.start, block.end), block, |record| news += record.len());
        news
    }

    fn lose(sent: &mut Sent, start: u32, end: u32) {
        sent.judge(SeqNum(start), Some(SeqNum(end)), |_| ControlFlow::Continue(Some(Fate::Lost)));
    }

    #[test]
    fn the_last_segment_begins_where_it_was_sent_and_a_fin_is_no_part_of_its_size() {
        for (len, fin, start) in [(10, 0, 5), (11, 1, 5), (12, 0, 10), (13, 1, 10), (5, 0, 0), (1, 1, 0)] {
            let mut sent = Sent::new();
            sent.push(SeqNum(0), len, Instant::ZERO, 5);
            assert_eq!(sent.last().map(|last| last.last_segment(fin)), Some(SeqNum(start)), "{len}, {fin}");
        }
    }

    #[test]
    fn an_acknowledgment_cuts_through_a_record() {
        let mut sent = three_of_ten();
        assert_eq!(gone(&mut sent, 15), [(0, 10), (10, 15)]);
        assert_eq!(layout(&sent), [(15, 20, Fate::InFlight), (20, 30, Fate::InFlight)]);
        assert_eq!(sent.in_flight(), 15);
        assert_eq!(gone(&mut sent, 30), [(15, 20), (20, 30)]);
        assert_eq!(sent.outstanding(), 0);
    }

    #[test]
    fn selective_acknowledgments_split_records_where_segments_end() {
        let mut sent = three_of_ten();
        assert_eq!(sack(&mut sent, 5, 25), 20);
        assert_eq!(sack(&mut sent, 0, 25), 5);
        assert_eq!(sack(&mut sent, 0, 25), 0);
        assert_eq!((sent.sacked(), sent.in_flight()), (25, 5));
        assert_eq!(layout(&sent).last(), Some(&(25, 30, Fate::InFlight)));
    }

    #[test]
    fn a_block_that_cuts_through_a_segment_says_nothing_of_it() {
        let mut sent = three_of_ten();
        assert_eq!(sack(&mut sent, 1, 4), 0);
        assert_eq!(sack(&mut sent, 4, 6), 0);
        assert_eq!(sack(&mut sent, 8, 17), 5);
        assert_eq!(
            layout(&sent),
            [
                (0, 10, Fate::InFlight),
                (10, 15, Fate::Sacked),
                (15, 20, Fate::InFlight),
                (20, 30, Fate::InFlight)
            ]
        );
        assert_eq!(sack(&mut sent, 27, 30), 0);
        assert_eq!(sack(&mut sent, 25, 30), 5);
    }

    // RFC 6675 §4 6675-4b
    #[test]
    fn what_is_sent_again_is_in_flight_again() {
        let mut sent = three_of_ten();
        lose(&mut sent, 0, 30);
        assert_eq!((sent.lost(), sent.in_flight()), (30, 0));
        sent.retransmitted(SeqNum(0), 4, Instant::ZERO, 5);
        sent.retransmitted(SeqNum(25), 5, Instant::ZERO, 5);
        assert_eq!((sent.lost(), sent.in_flight()), (21, 9));
        let again: Vec<_> = sent.records.iter().map(SentRecord::was_retransmitted).collect();
        assert_eq!(again, [true, false, false, false, true]);
        assert_eq!(sent.records_from(SeqNum(4)).next().map(|record| record.end.0), Some(10));
    }

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<SentRecord>() <= 24);
    }
}
