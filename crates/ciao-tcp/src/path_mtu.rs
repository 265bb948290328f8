//! How long may a segment be on this path, when a link in the middle takes less than ours? (RFC 1191, RFC
//! 8201, RFC 5927 §7.2, RFC 4821, RFC 8899)
//!
//! Routers say so by ICMP, and are believed when what they quote is in flight: at once while no segment of
//! this size has come through, later only when nothing else explains why the segment is not acknowledged.
//! Routers that say nothing are noticed by timeouts one after the other, and answered with a size that nearly
//! every path takes. From there, and again some minutes later, larger segments of the data itself are tried.
//!
//! Sizes are MSS: payload and TCP's options, without TCP's and IP's fixed headers. Which MTU an ICMP message
//! means, and what other connections of the host learn of it, is in `ciao-stack`. Without SACK the loss of a
//! probe cannot be told from others, so nothing is tried.

use crate::connection::{Connection, Raise};
use crate::icmp::Belief;
use crate::recovery::Phase;
use crate::sent::Fate;
use crate::trace::TraceEvent;
use crate::transmit::Plan;
use ciao_wire::{Instant, SeqNum};
use core::fmt;
use core::time::Duration;

/// How long a size that a router has told holds before a larger one is tried: RFC 1191 §3 and RFC 8201 §4 ask
/// for 5 min at least and advise 10.
pub const RAISE_INTERVAL: Duration = Duration::from_secs(600);
/// The MSS of the packets that a path without a word is taken to let through: BASE_PLPMTU, 1,200 bytes
/// (RFC 8899 §5.1.2), less 40 of headers.
const BASE_MSS: u16 = 1160;
/// Timeouts of the same segment, longer than [`BASE_MSS`], after which its size is suspected: one is a loss,
/// two in a row are rare on a path that lets it through. [`BASE_MSS`] is suspected one timeout later.
const SUSPICIOUS_TIMEOUTS: u8 = 2;
/// A search ends when it knows the size to this: less is not worth a lost segment.
const SEARCH_STEP: u16 = 16;
/// Segments behind a probe, so that its loss is seen by SACK and not by the timer (RFC 4821 §7.4).
const SEGMENTS_BEHIND_PROBE: u32 = 3;

/// What a connection has learnt of its path, where that is less than what both ends would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathMtu {
    /// What both ends take.
    ceiling: u16,
    /// The largest size that is worth a try.
    high: u16,
    /// Whether `high` itself is to be tried next, or what lies in the middle.
    next: NextTry,
    /// When the search goes on.
    search_at: Instant,
    probe: Probe,
    claim: Option<Claim>,
    trial: Trial,
}

/// Whether the present size is a smaller one after timeouts of which nothing is acknowledged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    Over,
    Running,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextTry {
    Top,
    Middle,
}

/// A segment that tries a larger size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    No,
    Wanted { mss: u16 },
    Sent { mss: u16, start: SeqNum, end: SeqNum },
}

/// What a router is said to have said of the segment that begins at `quoted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    mss: u16,
    quoted: SeqNum,
}

/// Why segments are of another size from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SizeCause {
    /// A router said by ICMP that they are too long, or said so earlier to another connection.
    PacketTooBig,
    /// Long segments were lost again and again, and no router said why.
    BlackHole,
    /// A longer one came through.
    ProbeAcknowledged,
}

impl fmt::Display for SizeCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::PacketTooBig => "ICMP too big",
            Self::BlackHole => "black hole",
            Self::ProbeAcknowledged => "probe passed",
        })
    }
}

impl PathMtu {
    /// The size to try next, from `low` on, which is known to come through.
    fn candidate(&self, low: u16) -> Option<u16> {
        let gap = self.high.saturating_sub(low);
        match self.next {
            NextTry::Top if gap > 0 => Some(self.high),
            NextTry::Middle if gap >= SEARCH_STEP => Some(low + gap.div_ceil(2)),
            _ => None,
        }
    }

    fn probe_failed(&mut self, mss: u16) {
        self.high = mss - 1;
        self.next = NextTry::Middle;
        self.probe = Probe::No;
    }
}

impl Connection {
    fn path(&self) -> Option<&PathMtu> {
        self.seldom.as_ref()?.path.as_ref()
    }

    /// What the path takes, as far as it is known to be less than what both ends take.
    pub(crate) fn path_mss(&self) -> u16 {
        self.path().map_or(u16::MAX, |_| self.snd.mss)
    }

    /// The most payload, options included, of a SYN: what the path is known to take, or every path does.
    pub(crate) fn syn_limit(&self) -> u16 {
        let known = self.path().map_or(u16::MAX, |path| path.high);
        if self.config.path_mtu_discovery { known } else { known.min(self.floor_mss) }
    }

    fn path_mut(&mut self) -> &mut PathMtu {
        let ceiling = self.snd.mss;
        self.seldom_mut().path.get_or_insert(PathMtu {
            ceiling,
            high: ceiling,
            next: NextTry::Top,
            search_at: Instant::ZERO,
            probe: Probe::No,
            claim: None,
            trial: Trial::Over,
        })
    }

    /// The path takes segments of `mss` and no more, as another connection has found out. Before the
    /// handshake is complete.
    pub fn limit_path(&mut self, now: Instant, mss: u16) {
        if self.config.path_mtu_discovery && mss < self.snd.mss.max(self.announce_mss) {
            let path = self.path_mut();
            path.high = mss;
            path.search_at = now + RAISE_INTERVAL;
            self.snd.mss = self.snd.mss.min(mss);
        }
    }

    /// Both ends take segments of `mss`.
    // RFC 1122 §3.3.3 1122-3.3.3: whoever does not ask the path sends what every path takes
    pub(crate) fn set_peer_mss(&mut self, mss: u16) {
        let asks = self.config.path_mtu_discovery;
        self.snd.mss = if asks { mss } else { mss.min(self.floor_mss) };
        let Some(seldom) = &mut self.seldom else { return };
        let Some(path) = &mut seldom.path else { return };
        let limit = path.high;
        (path.ceiling, path.high) = (mss, mss);
        if limit < mss {
            self.snd.mss = limit;
        } else {
            seldom.path = None;
            self.release_seldom();
        }
    }

    /// A router says that the segment at `quoted`, which is in flight, is too long, and that `mss` is not.
    // RFC 1191 §3, §6.4 1191-3a, 1191-6a; RFC 8201 §4 8201-4a: a message never raises the size
    // RFC 5927 §7.2 5927-7a: what has come through before is not given up while there is progress
    pub(crate) fn on_packet_too_big(&mut self, now: Instant, mss: u16, quoted: SeqNum) -> Belief {
        if !self.config.path_mtu_discovery {
            return Belief::Ignored;
        }
        if let Some(Probe::Sent { mss: tried, start, end }) = self.path().map(|path| path.probe)
            && quoted.at_or_after(start)
            && quoted.before(end)
            && (self.snd.mss..tried).contains(&mss)
        {
            let low = self.snd.mss;
            let path = self.path_mut();
            path.probe_failed(tried);
            path.high = if mss > low { mss } else { path.ceiling };
            (path.next, path.search_at) = (NextTry::Top, now + RAISE_INTERVAL);
            self.send_again(|record| record.start == start);
            return Belief::Believed;
        }
        if mss >= self.snd.mss {
            return Belief::Ignored;
        }
        if self.full_size_acked {
            let path = self.path_mut();
            let mss = path.claim.map_or(mss, |earlier| earlier.mss.min(mss));
            path.claim = Some(Claim { mss, quoted });
        } else {
            self.believe_router(now, mss);
            let longest = u32::from(self.effective_mss());
            self.send_again(|record| record.len() > longest);
        }
        Belief::Believed
    }

    fn believe_router(&mut self, now: Instant, mss: u16) {
        let path = self.path_mut();
        (path.high, path.next, path.search_at) = (path.ceiling, NextTry::Top, now + RAISE_INTERVAL);
        (path.probe, path.claim) = (Probe::No, None);
        self.change_segment_size(mss, SizeCause::PacketTooBig);
        self.raise(Raise::PathMss);
    }

    fn change_segment_size(&mut self, mss: u16, cause: SizeCause) {
        self.snd.mss = mss;
        self.full_size_acked = false;
        let smss = self.smss();
        self.congestion.on_segment_size(smss);
        self.trace.record(|| TraceEvent::SegmentSize { mss, cause });
        self.record_congestion();
    }

    /// The retransmission timer ran out: is it because of the size?
    // RFC 5927 §7.2 5927-7a; RFC 4821 §7.7, RFC 8899 §4.3 4821-1
    pub(crate) fn doubt_segment_size(&mut self, now: Instant) {
        if !self.config.path_mtu_discovery {
            return;
        }
        let una = self.snd.una;
        if let Some(path) = self.seldom.as_mut().and_then(|seldom| seldom.path.as_mut()) {
            if let Probe::Sent { mss, .. } = path.probe {
                path.probe_failed(mss);
            }
            if let Some(claim) = path.claim.take()
                && claim.quoted.at_or_after(una)
                && claim.mss < self.snd.mss
            {
                path.trial = Trial::Running;
                return self.believe_router(now, claim.mss);
            }
        }
        // What it had of options when it was sent, 40 bytes at most, is not known any more.
        let Some(longest) = self.sent.first().map(|first| first.len() + 40) else { return };
        let base = BASE_MSS.max(self.floor_mss);
        let (smaller, timeouts) = if self.snd.mss > base && longest > base.into() {
            (base, SUSPICIOUS_TIMEOUTS)
        } else {
            (self.floor_mss, SUSPICIOUS_TIMEOUTS + 1)
        };
        if self.owed.timeouts >= timeouts && smaller < self.snd.mss && longest > smaller.into() {
            let before = self.snd.mss;
            let path = self.path_mut();
            path.high = path.high.max(before);
            (path.next, path.search_at, path.probe) = (NextTry::Top, now, Probe::No);
            path.trial = Trial::Running;
            self.change_segment_size(smaller, SizeCause::BlackHole);
        }
    }

    /// Something new was acknowledged, and the path is known to take less than both ends: goes on with the
    /// search.
    // RFC 1191 §3 1191-3c: from a size that a router told not before ten minutes
    #[cold]
    pub(crate) fn search_segment_size(&mut self, now: Instant) {
        let (una, low) = (self.snd.una, self.snd.mss);
        let Some(path) = self.seldom.as_mut().and_then(|seldom| seldom.path.as_mut()) else { return };
        if path.trial == Trial::Running {
            // It was the size that the timeouts came from. All that is sent again gives no sample, so that
            // without timestamps the doubled timeout would stay for as long as that takes.
            path.trial = Trial::Over;
            self.rtt.forget_back_off();
        }
        match path.probe {
            Probe::Wanted { .. } => return,
            Probe::Sent { end, .. } if una.before(end) => return,
            Probe::Sent { mss, .. } => {
                path.probe = Probe::No;
                self.change_segment_size(mss, SizeCause::ProbeAcknowledged);
                return self.search_segment_size(now);
            }
            Probe::No => {}
        }
        if now < path.search_at {
            return;
        }
        if let Some(mss) = path.candidate(low) {
            if self.sack {
                path.probe = Probe::Wanted { mss };
            }
            return;
        }
        // What was found holds for as long as if a router had told it.
        (path.high, path.next, path.search_at) = (path.ceiling, NextTry::Top, now + RAISE_INTERVAL);
        let is_as_ends_like = low == path.ceiling;
        self.raise(Raise::PathMss);
        if is_as_ends_like {
            self.seldom_mut().path = None;
            self.release_seldom();
        }
    }

    /// A segment longer than the others, when one is wanted and there is enough behind it to tell its loss.
    pub(crate) fn decide_path_probe(&self, unsent: u32, usable: u32, room: u32) -> Option<Plan> {
        let Probe::Wanted { mss } = self.path()?.probe else { return None };
        let effective = self.effective_mss();
        let len = u32::from(mss - (self.snd.mss - effective));
        let with_others = len + SEGMENTS_BEHIND_PROBE * u32::from(effective);
        let fits = unsent.min(usable).min(self.congestion.window_bytes()) >= with_others && room >= len;
        let is_quiet = self.recovery.phase == Phase::Open && self.sent.lost() == 0;
        (fits && is_quiet).then_some(Plan::PathProbe { len })
    }

    /// The probe that was decided on goes out from `start` to `end`.
    pub(crate) fn note_path_probe(&mut self, start: SeqNum, end: SeqNum) {
        let path = self.path_mut();
        if let Probe::Wanted { mss } = path.probe {
            path.probe = Probe::Sent { mss, start, end };
        }
    }

    /// Whether all that is known to be lost is a probe: that is no sign of congestion (RFC 4821 §7.6.2). It
    /// is sent again in segments of the old size.
    pub(crate) fn lost_only_path_probe(&mut self) -> bool {
        let Some(Probe::Sent { mss, start, end }) = self.path().map(|path| path.probe) else { return false };
        let is_alone = self.sent.lost() == end.since(start)
            && self.sent.records_from(start).next().is_some_and(|record| record.fate == Fate::Lost);
        if is_alone {
            self.path_mut().probe_failed(mss);
        }
        is_alone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_ends_at_the_size_that_comes_through() {
        for largest in (BASE_MSS..=1460).step_by(7) {
            let mut path = PathMtu {
                ceiling: 1460,
                high: 1460,
                next: NextTry::Top,
                search_at: Instant::ZERO,
                probe: Probe::No,
                trial: Trial::Over,
                claim: None,
            };
            let (mut low, mut tries) = (BASE_MSS, 0);
            while let Some(mss) = path.candidate(low) {
                tries += 1;
                if mss <= largest { low = mss } else { path.probe_failed(mss) }
            }
            assert!(low <= largest && largest - low < SEARCH_STEP, "{largest}: {low}");
            assert!(tries <= 7, "{largest}: {tries} tries");
        }
    }
}
