//! Was the retransmission timer right? F-RTO (RFC 5682): after the first acknowledgment that follows a
//! timeout, new data is sent instead of what is thought lost, and what is acknowledged next tells.
//!
//! What follows when the timer was wrong is in `undo`.

use crate::connection::Connection;
use crate::recovery::{AckReport, Phase};
use crate::transmit::Plan;
use ciao_wire::SeqNum;

/// How far the test has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frto {
    /// The first segment was sent again, and no acknowledgment has moved SND.UNA since.
    FirstSentAgain,
    /// Two new segments go out, from this number on, before anything else is sent again.
    NewData {
        /// SND.NXT before them.
        from: SeqNum,
    },
}

/// New segments that step 2b sends (RFC 5682 §2.1).
const NEW_SEGMENTS: u32 = 2;

impl Connection {
    /// Goes on with the test. Something acknowledged that was sent once before the timeout has ended it
    /// before, in `undo`.
    // RFC 5682 §2.1, §3.1 5682-1
    pub(crate) fn test_timeout(&mut self, report: &AckReport) {
        let can_send_new = self.unsent() > 0 && self.usable_window() > 0;
        let nxt = self.snd.nxt;
        let Some(episode) = self.recovery.episode.as_deref_mut() else { return };
        let duplicate = !report.advanced && (report.sacked_bytes > 0 || report.is_duplicate_ack);
        episode.frto = match episode.frto {
            // Step 2b, if it can be done
            Some(Frto::FirstSentAgain) if report.advanced => {
                can_send_new.then_some(Frto::NewData { from: nxt })
            }
            // Step 3a: the loss was real. The new data fills the window, but the first of the rest goes out.
            Some(Frto::NewData { .. }) if duplicate => {
                episode.retransmit_at_once = true;
                None
            }
            unchanged => unchanged,
        };
    }

    /// New data that goes before what waits to be sent again.
    pub(crate) fn decide_frto(&self) -> Option<Plan> {
        let Phase::Timeout { .. } = self.recovery.phase else { return None };
        let Some(Frto::NewData { from }) = self.recovery.episode.as_ref()?.frto else { return None };
        let limit = NEW_SEGMENTS * u32::from(self.effective_mss());
        let left = limit.saturating_sub(self.snd.nxt.since(from));
        if left == 0 || self.unsent() == 0 {
            return None;
        }
        match self.decide_new_data(self.unsent()).ok()? {
            Plan::NewData { len, .. } if len > left => Some(Plan::NewData { len: left, fin: false }),
            plan => Some(plan),
        }
    }
}
