//! What the peer says it has beyond a gap (RFC 2018, RFC 6675 §4).

use crate::connection::Connection;
use crate::recovery::{DUPLICATE_ACK_THRESHOLD, Phase};
use crate::segment::Segment;
use ciao_wire::SeqNum;

impl Connection {
    /// Marks what the SACK blocks of `segment` report; answers how many bytes that is news of. Blocks that
    /// report what was never sent, or what is acknowledged already (D-SACK, RFC 2883), are passed over.
    pub(crate) fn take_sack_blocks(&mut self, segment: &Segment) -> u32 {
        if !self.sack {
            return 0;
        }
        let mut news = 0;
        for block in segment.header.options.sack.as_slice() {
            let is_plausible = block.start.at_or_after(self.snd.una)
                && block.start.before(block.end)
                && block.end.at_or_before(self.snd.nxt)
                && block.start.at_or_after(segment.header.ack);
            if is_plausible {
                news += self.sent.mark_sacked(block.start, block.end);
            }
        }
        news
    }

    /// Looks for losses after `news` bytes were reported as received beyond a gap.
    // RFC 6675 §5 6675-5a, §4 IsLost
    pub(crate) fn detect_losses(&mut self, news: u32) {
        if news == 0 || matches!(self.recovery.phase, Phase::Timeout { .. }) {
            return;
        }
        self.note_sign_of_loss();
        let Some(lost_before) = self.loss_boundary() else { return };
        let marked =
            self.sent.mark_lost(|record| record.transmissions == 1 && record.start.before(lost_before));
        if marked > 0 && self.recovery.phase == Phase::Open {
            self.enter_fast_recovery();
        }
    }

    /// The number before which everything not reported is lost: enough lies beyond it that was.
    fn loss_boundary(&self) -> Option<SeqNum> {
        let enough = (u32::from(DUPLICATE_ACK_THRESHOLD) - 1) * u32::from(self.effective_mss());
        let mut above = 0;
        let mut ranges = 0;
        let mut previous_end = None;
        for record in self.sent.records().rev().filter(|record| record.fate == crate::sent::Fate::Sacked) {
            above += record.len();
            if previous_end != Some(record.end) {
                ranges += 1;
            }
            previous_end = Some(record.start);
            if above > enough || ranges >= DUPLICATE_ACK_THRESHOLD {
                return Some(record.start);
            }
        }
        None
    }
}
