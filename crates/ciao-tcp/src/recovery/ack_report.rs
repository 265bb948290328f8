//! What does one acknowledgment say about what was sent? [`AckReport`]: it is collected while the
//! acknowledgment is taken in, record by record, and `recovery` draws the conclusions.

use crate::connection::Connection;
use crate::recovery::rack::Rack;
use crate::recovery::undo::Undo;
use crate::recovery::{Episode, Phase};
use crate::segment::Segment;
use crate::sent::{Fate, SentRecord};
use crate::timestamps::{clock, is_older};
use ciao_wire::{Instant, SackBlock, SeqNum};
use core::time::Duration;

/// How an acknowledgment reports a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// By its number.
    Cumulative,
    /// In a SACK block.
    Selective,
}

/// What one acknowledgment says about what was sent.
#[derive(Clone, Debug)]
pub(crate) struct AckReport {
    now: Instant,
    /// TSecr.
    pub(crate) echo: Option<u32>,
    timestamp_offset: u32,
    min_rtt: Duration,
    /// What was sent before this, and once, was sent before the timer ran out.
    timeout_point: Option<SeqNum>,
    /// SND.UNA moved on, by so much.
    pub(crate) advanced: bool,
    pub(crate) acked_bytes: u32,
    /// Reported selectively for the first time.
    pub(crate) sacked_bytes: u32,
    /// Known to have arrived, in either way.
    pub(crate) delivered_bytes: u32,
    /// What it reports as received twice.
    pub(crate) duplicate: Option<SackBlock>,
    /// It is a duplicate acknowledgment (RFC 5681 §2).
    pub(crate) is_duplicate_ack: bool,
    /// The first that came of what was sent before something that had arrived.
    pub(crate) reordered: Option<SeqNum>,
    /// Something arrived that was sent once, before the timer ran out; something that was sent again.
    pub(crate) original: bool,
    pub(crate) retransmitted: bool,
    /// The number of the acknowledgment covers something that this episode has sent again, and that was not
    /// reported before.
    pub(crate) covers_retransmission: bool,
    /// When the newest of what was reported selectively, and sent once, was sent.
    pub(crate) newest_sacked_at: Option<Instant>,
}

impl AckReport {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            now,
            echo: None,
            timestamp_offset: 0,
            min_rtt: Duration::ZERO,
            timeout_point: None,
            advanced: false,
            acked_bytes: 0,
            sacked_bytes: 0,
            delivered_bytes: 0,
            duplicate: None,
            is_duplicate_ack: false,
            reordered: None,
            original: false,
            retransmitted: false,
            covers_retransmission: false,
            newest_sacked_at: None,
        }
    }

    /// A range has arrived of which nothing was known before.
    ///
    /// What was sent again may have arrived as it was sent first. An echo older than the second sending shows
    /// that, but only of what is acknowledged cumulatively: a segment behind a gap does not change what its
    /// receiver echoes (RFC 7323 §4.3).
    // RFC 8985 §6.2 8985-4a: step 2
    pub(crate) fn arrived(
        &mut self,
        record: &SentRecord,
        by: Report,
        rack: &mut Rack,
        undo: &mut Option<Undo>,
    ) {
        self.delivered_bytes += record.len();
        let rtt = self.now.since(record.sent_at);
        if record.was_retransmitted() {
            self.retransmitted = true;
            if let Some(undo) = undo.as_mut().filter(|undo| undo.has_sent(record)) {
                self.covers_retransmission |= by == Report::Cumulative;
                if record.fate == Fate::InFlight {
                    undo.no_longer_in_flight(record);
                }
            }
            let sent_at = clock(record.sent_at, self.timestamp_offset);
            let is_older_than_sent = |echo| is_older(echo, sent_at);
            let is_original = by == Report::Cumulative && self.echo.is_some_and(is_older_than_sent);
            if is_original || rtt < self.min_rtt {
                return;
            }
        } else {
            self.original |= self.timeout_point.is_some_and(|point| record.end.at_or_before(point));
        }
        if rack.is_reordered(record) && self.reordered.is_none_or(|first| record.start.before(first)) {
            self.reordered = Some(record.start);
        }
        rack.arrived(record, rtt);
    }

    /// The round trip of the newest segment reported selectively.
    pub(crate) fn newest_sacked_round_trip(&self) -> Option<Duration> {
        self.newest_sacked_at.map(|sent_at| self.now.since(sent_at))
    }

    /// A range was acknowledged cumulatively.
    pub(crate) fn acknowledged(&mut self, record: &SentRecord, episode: &mut Episode) {
        if record.fate == Fate::Sacked {
            episode.scoreboard.reported_record_gone(record);
        } else {
            self.arrived(record, Report::Cumulative, &mut episode.rack, &mut episode.undo);
        }
    }
}

impl Connection {
    /// Begins to understand an acknowledgment: takes in what it reports selectively. `None` in the plain
    /// case, in which there is nothing to understand but how far it goes.
    #[inline]
    pub(crate) fn begin_report(&mut self, now: Instant, segment: &Segment) -> Option<AckReport> {
        let is_plain = self.recovery.episode.is_none() && segment.header.options.sack.as_slice().is_empty();
        (!is_plain).then(|| self.report(now, segment))
    }

    #[cold]
    pub(crate) fn report(&mut self, now: Instant, segment: &Segment) -> AckReport {
        let mut report = AckReport {
            echo: self.echo_of(segment),
            timestamp_offset: self.timestamps.offset,
            min_rtt: self.rtt.min_rtt().unwrap_or_default(),
            timeout_point: match self.recovery.phase {
                Phase::Timeout { point } => Some(point),
                Phase::Open | Phase::Fast { .. } => None,
            },
            ..AckReport::new(now)
        };
        if let Some(episode) = &mut self.recovery.episode {
            episode.rack.begin_acknowledgment();
        }
        if self.sack {
            self.take_sack_blocks(segment, &mut report);
        }
        report
    }
}
