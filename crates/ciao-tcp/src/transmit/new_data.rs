//! How much may be sent for the first time, and again: both windows, Nagle and the sender's silly-window rule
//! (RFC 9293 §3.7.4, §3.8.6.2.1, RFC 5681 §3.1).

use crate::connection::Connection;
use crate::transmit::{Plan, WaitReason};
use crate::variables::Fin;

impl Connection {
    /// Bytes that the congestion window still admits.
    // RFC 5681 §3.1 5681-3a
    #[inline]
    pub(crate) fn congestion_room(&self) -> u32 {
        self.congestion_window().saturating_sub(self.pipe())
    }

    /// Bytes taken to be on their way. Without SACK each duplicate acknowledgment stands for one segment that
    /// left.
    // RFC 6675 §4 6675-4b; RFC 5681 §3.2 5681-3h, 5681-3i: never more than is in flight; RFC 3042 §2 3042-1
    #[inline]
    pub(crate) fn pipe(&self) -> u32 {
        let in_flight = self.sent.in_flight();
        if self.sack { in_flight } else { in_flight.saturating_sub(self.duplicate_bytes()) }
    }

    /// Bytes from SND.NXT to the right edge of the peer's window; none when it has shrunk.
    // RFC 9293 §3.8.6 MUST-34, SHLD-15
    #[inline]
    pub(crate) fn usable_window(&self) -> u32 {
        let edge = self.snd.una + self.snd.wnd;
        if edge.after(self.snd.nxt) { edge.since(self.snd.nxt) } else { 0 }
    }

    fn congestion_window_full(&self) -> WaitReason {
        WaitReason::CongestionWindow {
            cwnd_bytes: self.congestion_window(),
            flight_bytes: self.sent.in_flight(),
        }
    }

    /// What was lost and may be sent again.
    // RFC 9293 §3.8.6 SHLD-16, MAY-7: only what lies inside the peer's window
    pub(crate) fn decide_retransmission(&self) -> Result<Option<Plan>, WaitReason> {
        if self.sent.lost() == 0 {
            return Ok(None);
        }
        let Some(episode) = self.recovery.episode.as_deref() else { return Ok(None) };
        let next = episode.scoreboard.next_lost().and_then(|start| self.sent.records_from(start).next());
        let Some(lost) = next else { return Ok(None) };
        let edge = self.snd.una + self.snd.wnd;
        if !lost.start.before(edge) {
            return Err(WaitReason::PeerWindow { window_bytes: self.snd.wnd, held_bytes: self.sent.lost() });
        }
        let mss = u32::from(self.effective_mss());
        let room = self.congestion_room();
        let wanted = lost.len().min(edge.since(lost.start)).min(self.super_segment_limit());
        let len = if room >= wanted {
            wanted
        } else if room >= mss {
            room - room % mss
        } else if episode.retransmit_at_once {
            // RFC 5681 §3.2, RFC 6675 §5: the first one goes out whatever the pipe holds
            wanted.min(mss)
        } else {
            return Err(self.congestion_window_full());
        };
        Ok(Some(Plan::Retransmit { start: lost.start, len }))
    }

    /// What has not been sent: `unsent` bytes, and perhaps a FIN.
    // RFC 9293 §3.9.1.2 SHLD-27, SHLD-28: whatever the writes were, whole segments as far as they go
    pub(crate) fn decide_new_data(&self, unsent: u32) -> Result<Plan, WaitReason> {
        let usable = self.usable_window();
        let fin_queued = self.fin == Fin::Queued;
        if usable == 0 {
            return Err(self.held_by_window(unsent));
        }
        if unsent == 0 {
            return Ok(Plan::NewData { len: 0, fin: true });
        }
        let mss = u32::from(self.effective_mss());
        let offered = unsent.min(usable);
        let room = self.congestion_room();
        if room < offered.min(mss) {
            return Err(self.congestion_window_full());
        }
        if self.seldom.is_some()
            && let Some(plan) = self.decide_path_probe(unsent, usable, room)
        {
            return Ok(plan);
        }
        if unsent <= mss && unsent == offered && self.may_send_small(unsent) {
            // All that there is goes into one segment.
            return Ok(Plan::NewData { len: unsent, fin: fin_queued && usable > unsent });
        }
        let mut len = offered.min(room).min(self.super_segment_limit());
        if len < unsent || !self.may_send_small(unsent % mss) {
            // Only whole segments, unless what is left may go out as it is.
            // RFC 9293 §3.9.1.2 SHLD-27, SHLD-28
            len = if len >= mss { len - len % mss } else { self.small_segment(len, unsent)? };
        }
        Ok(Plan::NewData { len, fin: fin_queued && len == unsent && usable > len })
    }

    /// The most payload of one super-segment: at least one segment.
    fn super_segment_limit(&self) -> u32 {
        let mss = u32::from(self.effective_mss());
        // Not every link that cuts knows that CWR is for the first packet alone.
        if self.sends_urgently() || self.ecn.owes_cwr() {
            return mss;
        }
        let limit = match self.pacing_quantum() {
            Some(quantum) => quantum.min(self.config.max_super_segment_bytes),
            None => self.config.max_super_segment_bytes,
        };
        let limit = limit.max(mss);
        limit - limit % mss
    }

    /// Nagle: a last part of `tail` bytes may follow what is outstanding only when it is a whole segment. A
    /// cork holds it even when nothing is outstanding.
    // RFC 9293 §3.7.4 SHLD-7, MUST-17, §3.9.1.2 MAY-16; a FIN behind it shows that no more will come
    fn may_send_small(&self, tail: u32) -> bool {
        let waits_for_nothing = || self.options.nodelay || self.outstanding() == 0;
        tail == 0
            || (!self.options.cork && waits_for_nothing())
            || self.owed.held_data
            || self.fin == Fin::Queued
            || self.sends_urgently()
            // Only our SYN-ACK is outstanding, and says nothing of the path.
            || (self.outstanding() == 1 && self.is_open_early())
    }

    /// Less than a whole segment could be sent.
    // RFC 9293 §3.8.6.2.1 MUST-38
    fn small_segment(&self, len: u32, unsent: u32) -> Result<u32, WaitReason> {
        if len == unsent {
            return if self.may_send_small(len) {
                Ok(len)
            } else if self.options.cork {
                Err(WaitReason::Cork { held_bytes: unsent })
            } else {
                Err(WaitReason::Nagle { held_bytes: unsent })
            };
        }
        let worthwhile = len >= self.snd.max_wnd / 2 && self.may_send_small(len);
        if worthwhile || self.owed.held_data { Ok(len) } else { Err(self.held_by_window(unsent)) }
    }

    fn held_by_window(&self, held_bytes: u32) -> WaitReason {
        match self.snd.wnd {
            0 => WaitReason::ZeroWindow { held_bytes },
            window_bytes => WaitReason::PeerWindow { window_bytes, held_bytes },
        }
    }
}
