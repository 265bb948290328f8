//! What does the peer have beyond the gaps, and what waits to be sent again? [`Scoreboard`] (RFC 2018, RFC
//! 2883, RFC 6675 §4).
//!
//! It knows where to look in the records of `sent`, so that neither a report nor a retransmission costs more
//! with the number of records. Which of them are lost is found by `rack`, and without SACK by duplicates.

use crate::connection::Connection;
use crate::recovery::AckReport;
use crate::recovery::ack_report::Report;
use crate::segment::Segment;
use crate::sent::{Fate, Sent, SentRecord};
use crate::trace::{LossSign, TraceEvent};
use crate::variables::Fin;
use alloc::collections::VecDeque;
use ciao_wire::{SackBlock, SeqNum};
use core::ops::ControlFlow;

/// Numbers from `start` up to, but without, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: SeqNum,
    pub(crate) end: SeqNum,
}

impl Range {
    pub(crate) fn of(record: &SentRecord) -> Self {
        Self { start: record.start, end: record.end }
    }
}

/// Where the peer's islands and our losses are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scoreboard {
    /// What was reported, in the order of the numbers. Two islands never touch.
    islands: VecDeque<SackBlock>,
    /// Segments of the wire that were reported.
    sacked_segments: u32,
    /// Where lost records are, in the order in which they go out again. What lies in these ranges may have
    /// turned up since; the front begins with a record that has not.
    lost: VecDeque<Range>,
}

impl Scoreboard {
    pub(crate) const fn new() -> Self {
        Self { islands: VecDeque::new(), sacked_segments: 0, lost: VecDeque::new() }
    }

    /// True when there is neither an island nor a loss.
    pub(crate) fn is_empty(&self) -> bool {
        self.islands.is_empty() && self.lost.is_empty()
    }

    pub(crate) fn sacked_segments(&self) -> u32 {
        self.sacked_segments
    }

    /// Takes in a block of the peer's; `news` is shown each record that it had not reported before.
    pub(crate) fn report(&mut self, block: SackBlock, sent: &mut Sent, mut news: impl FnMut(&SentRecord)) {
        let first = self.islands.partition_point(|island| island.end.before(block.start));
        let behind = self.islands.partition_point(|island| island.start.at_or_before(block.end));
        let touched = self.islands.range(first..behind);
        let island = SackBlock {
            start: touched.clone().next().map_or(block.start, |island| island.start.earliest(block.start)),
            end: touched.clone().next_back().map_or(block.end, |island| island.end.latest(block.end)),
        };
        let mut from = block.start;
        let mut count = |record: &SentRecord| {
            self.sacked_segments += record.segments();
            news(record);
        };
        for known in touched {
            if from.before(known.start) {
                sent.mark_sacked((from, known.start), island, &mut count);
            }
            from = from.latest(known.end);
        }
        if from.before(block.end) {
            sent.mark_sacked((from, block.end), island, &mut count);
        }
        match self.islands.get_mut(first).filter(|_| first < behind) {
            Some(known) => {
                *known = island;
                if behind > first + 1 {
                    self.islands.drain(first + 1..behind);
                }
            }
            None => self.islands.insert(first, island),
        }
    }

    /// SND.UNA is now `una`.
    pub(crate) fn acknowledged(&mut self, una: SeqNum) {
        while self.islands.front().is_some_and(|island| island.end.at_or_before(una)) {
            self.islands.pop_front();
        }
        if self.islands.is_empty() {
            self.sacked_segments = 0;
        }
    }

    /// A record that was reported is now acknowledged.
    pub(crate) fn reported_record_gone(&mut self, record: &SentRecord) {
        self.sacked_segments = self.sacked_segments.saturating_sub(record.segments());
    }

    /// A range goes out again behind all others that are lost.
    pub(crate) fn lose_last(&mut self, range: Range) {
        match self.lost.back_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.lost.push_back(range),
        }
    }

    /// All of a range that is lost goes out again from its start.
    pub(crate) fn lose_all(&mut self, range: Range) {
        self.lost.clear();
        self.lost.push_back(range);
    }

    /// A range goes out again before all others.
    pub(crate) fn lose_first(&mut self, range: Range) {
        self.lost.push_front(range);
    }

    /// Where the next retransmission begins; right after `settle`.
    pub(crate) fn next_lost(&self) -> Option<SeqNum> {
        self.lost.front().map(|range| range.start)
    }

    /// Passes over what was sent again or has turned up.
    pub(crate) fn settle(&mut self, sent: &Sent) {
        let una = match sent.first() {
            Some(first) if sent.lost() > 0 => first.start,
            _ => return self.lost.clear(),
        };
        while let Some(front) = self.lost.front_mut() {
            let from = front.start.latest(una);
            let still_lost = sent
                .records_from(from)
                .take_while(|record| record.start.before(front.end))
                .find(|record| record.fate == Fate::Lost);
            if let Some(record) = still_lost {
                front.start = record.start.latest(from);
                return;
            }
            self.lost.pop_front();
        }
    }

    /// Nothing was lost: what waits to be sent again is in flight.
    pub(crate) fn nothing_is_lost(&mut self, sent: &mut Sent) {
        for range in self.lost.drain(..) {
            sent.judge(range.start, Some(range.end), |record| {
                ControlFlow::Continue((record.fate == Fate::Lost).then_some(Fate::InFlight))
            });
        }
    }

    /// The peer has dropped what it reported: all of it is lost.
    // RFC 2018 §8 6675-4a
    fn take_reports_back(&mut self, sent: &mut Sent) -> u32 {
        let mut taken_back = 0;
        for island in core::mem::take(&mut self.islands) {
            sent.judge(island.start, Some(island.end), |record| {
                let reported = record.fate == Fate::Sacked;
                taken_back += if reported { record.len() } else { 0 };
                ControlFlow::Continue(reported.then_some(Fate::Lost))
            });
            self.lose_last(Range { start: island.start, end: island.end });
        }
        self.sacked_segments = 0;
        taken_back
    }
}

impl Connection {
    /// Marks what the SACK blocks of `segment` report. Blocks about what was never sent are passed over; the
    /// first one may report what came twice.
    // RFC 2883 §4 2883-1
    pub(crate) fn take_sack_blocks(&mut self, segment: &Segment, report: &mut AckReport) {
        let blocks = segment.header.options.sack.as_slice();
        let (una, nxt, ack) = (self.snd.una, self.snd.nxt, segment.header.ack);
        if let Some(first) = blocks.first() {
            report.duplicate = Self::duplicate_of(*first, blocks.get(1), ack).filter(|block| {
                block.end.at_or_before(nxt) && block.start.at_or_after(una - self.snd.max_wnd)
            });
        }
        let lowest = una.latest(ack);
        for block in blocks {
            let is_plausible =
                block.start.after(lowest) && block.start.before(block.end) && block.end.at_or_before(nxt);
            if !is_plausible {
                continue;
            }
            if self.fin == Fin::Sent && block.end + 1 == nxt {
                // A peer may report the data alone of a segment that brought our FIN too.
                self.sent.divide(block.end);
            }
            let episode = self.recovery.episode_from(una);
            let (scoreboard, rack, sent) = (&mut episode.scoreboard, &mut episode.rack, &mut self.sent);
            let undo = &mut episode.undo;
            scoreboard.report(*block, sent, |record| {
                report.sacked_bytes += record.len();
                if !record.was_retransmitted() && record.fate == Fate::InFlight {
                    report.newest_sacked_at = report.newest_sacked_at.max(Some(record.sent_at));
                }
                report.arrived(record, Report::Selective, rack, undo);
            });
        }
    }

    /// The first block, when it reports what came twice: it lies below the acknowledgment, or in the block
    /// that follows.
    // RFC 2883 §4 2883-1
    fn duplicate_of(first: SackBlock, second: Option<&SackBlock>, ack: SeqNum) -> Option<SackBlock> {
        let contains =
            |outer: &SackBlock| outer.start.at_or_before(first.start) && first.end.at_or_before(outer.end);
        let is_duplicate =
            first.start.before(first.end) && (first.end.at_or_before(ack) || second.is_some_and(contains));
        is_duplicate.then_some(first)
    }

    /// SND.UNA stands where the peer had reported more: it has dropped that, and gets it again.
    // RFC 2018 §8 6675-4a
    pub(crate) fn survive_reneging(&mut self) -> u32 {
        let reneged = self.sent.first().is_some_and(|first| first.fate == Fate::Sacked);
        let Some(episode) = self.recovery.episode.as_deref_mut().filter(|_| reneged) else { return 0 };
        let bytes = episode.scoreboard.take_reports_back(&mut self.sent);
        self.trace.record(|| TraceEvent::LossFound { by: LossSign::Reneging, bytes });
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use ciao_wire::Instant;
    use proptest::prelude::*;

    const SIZE: u32 = 10;
    const BASE: SeqNum = SeqNum(u32::MAX - 200);

    /// What may happen, in segments.
    #[derive(Clone, Copy, Debug)]
    enum Action {
        Report(u32, u32),
        Lose(u32, u32),
        SendAgain,
        Acknowledge(u32),
        NothingIsLost,
        TakeBack,
    }

    fn actions() -> impl Strategy<Value = Vec<Action>> {
        let range = (0..60u32, 1..8u32).prop_map(|(start, len)| (start, start + len));
        let one = prop_oneof![
            8 => range.clone().prop_map(|(start, end)| Action::Report(start, end)),
            4 => range.prop_map(|(start, end)| Action::Lose(start, end)),
            6 => Just(Action::SendAgain),
            2 => (0..60u32).prop_map(Action::Acknowledge),
            1 => Just(Action::NothingIsLost),
            1 => Just(Action::TakeBack),
        ];
        proptest::collection::vec(one, 1..80)
    }

    fn number(segment: u32) -> SeqNum {
        BASE + segment * SIZE
    }

    /// The fate of each segment, looked at one by one.
    struct Model {
        una: u32,
        fates: Vec<Fate>,
    }

    impl Model {
        fn change(&mut self, from: u32, to: u32, change: impl Fn(Fate) -> Fate) {
            for segment in from.max(self.una)..to.min(self.fates.len() as u32) {
                let fate = &mut self.fates[segment as usize];
                *fate = change(*fate);
            }
        }

        fn bytes(&self, fate: Fate) -> u32 {
            self.fates[self.una as usize..].iter().filter(|own| **own == fate).count() as u32 * SIZE
        }
    }

    fn act(action: Action, model: &mut Model, sent: &mut Sent, scoreboard: &mut Scoreboard) {
        let count = model.fates.len() as u32;
        match action {
            Action::Report(start, end) => {
                let (start, end) = (start.max(model.una + 1), end.min(count));
                if start < end {
                    let block = SackBlock { start: number(start), end: number(end) };
                    scoreboard.report(block, sent, |_| {});
                    model.change(start, end, |_| Fate::Sacked);
                }
            }
            Action::Lose(start, end) => {
                let range = Range { start: number(start.max(model.una)), end: number(end.min(count)) };
                if range.start.before(range.end) {
                    sent.divide(range.start);
                    sent.divide(range.end);
                    sent.judge(range.start, Some(range.end), |record| {
                        ControlFlow::Continue((record.fate == Fate::InFlight).then_some(Fate::Lost))
                    });
                    scoreboard.lose_last(range);
                    let lose = |fate| if fate == Fate::InFlight { Fate::Lost } else { fate };
                    model.change(start, end, lose);
                }
            }
            Action::SendAgain => {
                if let Some(start) = scoreboard.next_lost() {
                    sent.retransmitted(start, SIZE, Instant::ZERO, SIZE as u16);
                    let segment = start.since(BASE) / SIZE;
                    assert_eq!(model.fates[segment as usize], Fate::Lost, "it was lost");
                    model.change(segment, segment + 1, |_| Fate::InFlight);
                }
            }
            Action::Acknowledge(segment) => {
                model.una = model.una.max(segment.min(count));
                sent.acknowledge(number(model.una), |record| {
                    if record.fate == Fate::Sacked {
                        scoreboard.reported_record_gone(record);
                    }
                });
                scoreboard.acknowledged(number(model.una));
            }
            Action::NothingIsLost => {
                scoreboard.nothing_is_lost(sent);
                model.change(0, count, |fate| if fate == Fate::Lost { Fate::InFlight } else { fate });
            }
            Action::TakeBack => {
                scoreboard.take_reports_back(sent);
                model.change(0, count, |fate| if fate == Fate::Sacked { Fate::Lost } else { fate });
            }
        }
    }

    proptest! {
        // RFC 6675 §4 6675-4b
        #[test]
        fn it_knows_what_a_look_at_every_segment_would_show(actions in actions(), super_segment in 1..20u32) {
            let mut model = Model { una: 0, fates: vec![Fate::InFlight; 60] };
            let (mut sent, mut scoreboard) = (Sent::new(), Scoreboard::new());
            for first in (0..60).step_by(super_segment as usize) {
                let len = super_segment.min(60 - first) * SIZE;
                sent.push(number(first), len, Instant::ZERO, SIZE as u16);
            }
            for action in actions {
                act(action, &mut model, &mut sent, &mut scoreboard);
                scoreboard.settle(&sent);
                let ours = [sent.in_flight(), sent.sacked(), sent.lost()];
                prop_assert_eq!(ours, [Fate::InFlight, Fate::Sacked, Fate::Lost].map(|it| model.bytes(it)));
                prop_assert_eq!(scoreboard.next_lost().is_none(), model.bytes(Fate::Lost) == 0);
                prop_assert_eq!(scoreboard.sacked_segments() * SIZE, sent.sacked());
            }
        }
    }

    /// RFC 2018 §8 leaves it to the peer how it reports: the worst is every other segment, from the last to
    /// the first, and the same again. What is done for one report is bounded by what it brings.
    #[test]
    fn reports_of_what_is_known_look_at_no_record() {
        const SEGMENTS: u32 = 4000;
        let (mut sent, mut scoreboard) = (Sent::new(), Scoreboard::new());
        for segment in 0..SEGMENTS {
            sent.push(number(segment), SIZE, Instant::ZERO, SIZE as u16);
        }
        let mut news = 0;
        for _ in 0..3 {
            for segment in (1..SEGMENTS).step_by(2).rev() {
                let block = SackBlock { start: number(segment), end: number(segment + 1) };
                scoreboard.report(block, &mut sent, |_| news += 1);
            }
        }
        assert_eq!(news, SEGMENTS / 2);
        let all = SackBlock { start: number(1), end: number(SEGMENTS) };
        scoreboard.report(all, &mut sent, |_| news += 1);
        assert_eq!((news, scoreboard.islands.len()), (SEGMENTS - 1, 1));
    }
}
