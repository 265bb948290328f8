//! A record for each transmitted segment: its range, when it was sent, how often, and what became of it.
//!
//! RTT samples, loss recovery and retransmission read these and nothing else; SND.NXT never goes back. A
//! record that stands for a super-segment is split where an acknowledgment or a retransmission cuts through
//! it.

use alloc::collections::VecDeque;
use ciao_wire::{Instant, SeqNum};

/// One transmitted range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SentRecord {
    /// First number.
    pub(crate) start: SeqNum,
    /// Number behind the last one.
    pub(crate) end: SeqNum,
    /// When it was sent last.
    pub(crate) sent_at: Instant,
    /// How often it was sent.
    pub(crate) transmissions: u8,
    /// Where it is.
    pub(crate) fate: Fate,
}

impl SentRecord {
    pub(crate) fn len(&self) -> u32 {
        self.end.since(self.start)
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
}

impl Sent {
    /// Nothing sent.
    pub(crate) const fn new() -> Self {
        Self { records: VecDeque::new(), in_flight: 0, sacked: 0, lost: 0 }
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

    /// The records in order.
    pub(crate) fn records(&self) -> impl DoubleEndedIterator<Item = &SentRecord> + '_ {
        self.records.iter()
    }

    /// Records a range sent for the first time, behind all others.
    pub(crate) fn push(&mut self, start: SeqNum, len: u32, now: Instant) {
        debug_assert!(self.records.back().is_none_or(|last| last.end == start), "records have no gaps");
        self.in_flight += len;
        let record =
            SentRecord { start, end: start + len, sent_at: now, transmissions: 1, fate: Fate::InFlight };
        self.records.push_back(record);
    }

    /// Drops what lies before `una`, and answers the youngest send time of an acknowledged range that was
    /// sent only once.
    // RFC 6298 §3 6298-3a, RFC 8961 §4 8961-3: Karn's rule, no sample from what was sent twice
    pub(crate) fn acknowledge(&mut self, una: SeqNum) -> Option<Instant> {
        let mut sent_at = None;
        while let Some(record) = self.records.front_mut() {
            if record.end.at_or_before(una) {
                let record = self.records.pop_front().expect("the front was just seen");
                self.uncount(record.fate, record.len());
                if record.transmissions == 1 && record.fate == Fate::InFlight {
                    sent_at = Some(record.sent_at);
                }
            } else if record.start.before(una) {
                let gone = una.since(record.start);
                record.start = una;
                let fate = record.fate;
                if record.transmissions == 1 && fate == Fate::InFlight {
                    sent_at = Some(record.sent_at);
                }
                self.uncount(fate, gone);
            } else {
                break;
            }
        }
        if self.records.is_empty() && self.records.capacity() > Self::IDLE_RECORDS {
            self.records = VecDeque::new();
        }
        sent_at
    }

    /// Room for records that an idle connection keeps.
    const IDLE_RECORDS: usize = 4;

    /// Marks what lies from `start` to `end` as selectively acknowledged; answers how many numbers that is
    /// news of.
    pub(crate) fn mark_sacked(&mut self, start: SeqNum, end: SeqNum) -> u32 {
        let mut index = self.records.partition_point(|record| record.end.at_or_before(start));
        let mut news = 0;
        while let Some(record) = self.records.get(index) {
            if record.start.at_or_after(end) {
                break;
            }
            if record.fate == Fate::Sacked {
                index += 1;
                continue;
            }
            if record.start.before(start) {
                self.split(index, start);
                index += 1;
            }
            if self.records[index].end.after(end) {
                self.split(index, end);
            }
            news += self.records[index].len();
            self.set_fate(index, Fate::Sacked);
            index += 1;
        }
        news
    }

    /// Takes the first record that begins before `end` and is in flight, up to `len` numbers of it, for lost.
    /// Answers how many were marked.
    pub(crate) fn mark_first_lost(&mut self, len: u32) -> u32 {
        let Some(first) = self.records.front() else { return 0 };
        if first.fate != Fate::InFlight {
            return 0;
        }
        if first.len() > len {
            let at = first.start + len;
            self.split(0, at);
        }
        self.set_fate(0, Fate::Lost);
        self.records[0].len()
    }

    /// Takes each record that `is_lost` says so of for lost; answers how many numbers that are.
    pub(crate) fn mark_lost(&mut self, mut is_lost: impl FnMut(&SentRecord) -> bool) -> u32 {
        let mut marked = 0;
        for index in 0..self.records.len() {
            if self.records[index].fate == Fate::InFlight && is_lost(&self.records[index]) {
                marked += self.records[index].len();
                self.set_fate(index, Fate::Lost);
            }
        }
        marked
    }

    /// Forgets all selective acknowledgments and takes everything for lost: the timer ran out.
    // RFC 2018 §8, RFC 6675 §4 6675-4a: the peer may have dropped what it had acknowledged selectively
    pub(crate) fn mark_all_lost(&mut self) {
        for record in &mut self.records {
            record.fate = Fate::Lost;
        }
        (self.lost, self.in_flight, self.sacked) = (self.outstanding(), 0, 0);
    }

    /// The first range that is lost and waits to be sent again.
    pub(crate) fn first_lost(&self) -> Option<&SentRecord> {
        if self.lost == 0 {
            return None;
        }
        self.records.iter().find(|record| record.fate == Fate::Lost)
    }

    /// Records that the range that begins at `start`, `len` numbers of it, was sent again.
    pub(crate) fn retransmitted(&mut self, start: SeqNum, len: u32, now: Instant) {
        let index = self.records.partition_point(|record| record.end.at_or_before(start));
        let Some(record) = self.records.get(index) else { return };
        debug_assert!(record.start == start, "what is sent again begins where a record begins");
        if record.len() > len {
            self.split(index, start + len);
        }
        self.set_fate(index, Fate::InFlight);
        let record = &mut self.records[index];
        record.sent_at = now;
        record.transmissions = record.transmissions.saturating_add(1);
    }

    /// Numbers between SND.UNA and SND.NXT.
    pub(crate) fn outstanding(&self) -> u32 {
        self.in_flight + self.sacked + self.lost
    }

    fn split(&mut self, index: usize, at: SeqNum) {
        let mut back = self.records[index].clone();
        self.records[index].end = at;
        back.start = at;
        self.records.insert(index + 1, back);
    }

    fn set_fate(&mut self, index: usize, fate: Fate) {
        let record = &mut self.records[index];
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

    const T0: Instant = Instant::ZERO;

    fn three_of_ten() -> Sent {
        let mut sent = Sent::new();
        for index in 0..3 {
            sent.push(SeqNum(index * 10), 10, Instant::from_secs(u64::from(index)));
        }
        sent
    }

    fn layout(sent: &Sent) -> alloc::vec::Vec<(u32, u32, Fate)> {
        sent.records().map(|record| (record.start.0, record.end.0, record.fate)).collect()
    }

    #[test]
    fn an_acknowledgment_cuts_through_a_record() {
        let mut sent = three_of_ten();
        assert_eq!(sent.acknowledge(SeqNum(15)), Some(Instant::from_secs(1)));
        assert_eq!(layout(&sent), [(15, 20, Fate::InFlight), (20, 30, Fate::InFlight)]);
        assert_eq!(sent.in_flight(), 15);
        assert_eq!(sent.acknowledge(SeqNum(30)), Some(Instant::from_secs(2)));
        assert_eq!(sent.outstanding(), 0);
    }

    // RFC 6298 §3 6298-3a
    #[test]
    fn what_was_sent_twice_gives_no_sample() {
        let mut sent = three_of_ten();
        sent.mark_all_lost();
        sent.retransmitted(SeqNum(0), 10, Instant::from_secs(9));
        assert_eq!(sent.acknowledge(SeqNum(10)), None);
        assert_eq!((sent.in_flight(), sent.lost()), (0, 20));
    }

    #[test]
    fn selective_acknowledgments_split_records_at_their_edges() {
        let mut sent = three_of_ten();
        assert_eq!(sent.mark_sacked(SeqNum(5), SeqNum(25)), 20);
        assert_eq!(sent.mark_sacked(SeqNum(0), SeqNum(25)), 5);
        assert_eq!(sent.mark_sacked(SeqNum(0), SeqNum(25)), 0);
        assert_eq!((sent.sacked(), sent.in_flight()), (25, 5));
        assert_eq!(layout(&sent).last(), Some(&(25, 30, Fate::InFlight)));
    }

    // RFC 6675 §4 6675-4a
    #[test]
    fn a_timeout_forgets_selective_acknowledgments() {
        let mut sent = three_of_ten();
        sent.mark_sacked(SeqNum(10), SeqNum(20));
        sent.mark_all_lost();
        assert_eq!((sent.lost(), sent.sacked(), sent.in_flight()), (30, 0, 0));
        sent.retransmitted(SeqNum(0), 4, T0);
        assert_eq!(sent.first_lost().map(|record| (record.start.0, record.end.0)), Some((4, 10)));
        assert_eq!((sent.lost(), sent.in_flight()), (26, 4));
    }
}
