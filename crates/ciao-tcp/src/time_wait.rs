//! All of TIME-WAIT: entry, answers, restart, reuse by a newer SYN, RFC 1337, expiry (RFC 9293 §3.6.1,
//! §3.10.7.4).
//!
//! Why wait: the last ACK may be lost, and then the peer's FIN comes again and must be answered; and old
//! segments of this connection must be dead before the same ports carry another one. Two maximum segment
//! lifetimes, one for each way.
//!
//! A connection whose application is gone shrinks into a [`TimeWait`], which is all that is needed.

use crate::config::Config;
use crate::connection::{Connection, Raise};
use crate::error::DropReason;
use crate::segment::{Segment, SegmentOut, Transmission};
use crate::segment_arrives::Verdict;
use crate::sent::Sent;
use crate::state::Cause;
use crate::timers::Timer;
use crate::timestamps;
use ciao_wire::{Ecn, Instant, Payload, SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps};
use core::time::Duration;

/// How long a connection waits at least before we open another one on the same ports and addresses: the
/// timestamp clocks of both ends have ticked by then, even if the peer's ticks once a second. As Linux.
const LEAST_WAIT: Duration = Duration::from_secs(1);

/// A connection in TIME-WAIT.
#[derive(Clone, Copy, Debug)]
pub struct TimeWait {
    expires: Expiry,
    /// The window field to repeat, and below its scale.
    window: u16,
    snd_nxt: SeqNum,
    rcv_nxt: SeqNum,
    /// TS.Recent, if timestamps were agreed on. Our own offset can be computed when it is needed.
    recent: u32,
    use_of_timestamps: UseOfTimestamps,
    wind_shift: u8,
}

/// Whether timestamps were agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UseOfTimestamps {
    Agreed,
    None,
}

/// The end of the wait in whole microseconds, in six bytes: enough for eight years.
#[derive(Clone, Copy, Debug)]
struct Expiry {
    low: u32,
    high: u16,
}

impl Expiry {
    fn new(at: Instant) -> Self {
        let micros = at.as_nanos().div_ceil(1000);
        Self { low: (micros & 0xffff_ffff) as u32, high: u16::try_from(micros >> 32).unwrap_or(u16::MAX) }
    }

    fn at(self) -> Instant {
        Instant::from_micros(u64::from(self.high) << 32 | u64::from(self.low))
    }
}

/// What a segment in TIME-WAIT calls for.
#[derive(Debug)]
pub enum TimeWaitAnswer {
    /// This acknowledgment is to be sent. The wait may have begun anew.
    Acknowledge(SegmentOut),
    /// Nothing.
    Dropped(DropReason),
    /// A newer SYN: a new connection may begin on these ports, as if the SYN had met a listener. When nobody
    /// listens it gets a [`TimeWait::challenge`].
    NewSyn {
        /// Our initial number must be at least this one.
        least_iss: SeqNum,
    },
}

impl TimeWait {
    /// The record of a connection that waits until `expires`.
    pub(crate) fn of(connection: &Connection, expires: Instant) -> Self {
        let timestamps = &connection.timestamps;
        let window = (connection.rcv.wnd() >> connection.rcv.wind_shift).min(u32::from(u16::MAX));
        Self {
            expires: Expiry::new(expires),
            window: u16::try_from(window).expect("it was just limited to 16 bits"),
            snd_nxt: connection.snd.nxt,
            rcv_nxt: connection.rcv.nxt,
            recent: timestamps.recent,
            use_of_timestamps: if timestamps.agreed {
                UseOfTimestamps::Agreed
            } else {
                UseOfTimestamps::None
            },
            wind_shift: connection.rcv.wind_shift,
        }
    }

    /// When the wait is over.
    #[must_use]
    pub fn expires(&self) -> Instant {
        self.expires.at()
    }

    /// TS.Recent, if timestamps were agreed on.
    fn timestamp_recent(&self) -> Option<u32> {
        (self.use_of_timestamps == UseOfTimestamps::Agreed).then_some(self.recent)
    }

    /// Handles a segment of the old connection, or one that begins a new one on the same ports. `offset` is
    /// that of the timestamps, from [`crate::isn`].
    pub fn handle_segment(
        &mut self,
        now: Instant,
        config: &Config,
        offset: u32,
        segment: &Segment,
    ) -> TimeWaitAnswer {
        let flags = segment.header.flags;
        if flags.rst() {
            // RFC 1337 §3 1337-1: hostile to no one but an assassin, the wait goes on
            return TimeWaitAnswer::Dropped(DropReason::ResetInTimeWait);
        }
        if flags.syn() && !flags.ack() && self.is_newer_syn(config, segment) {
            return TimeWaitAnswer::NewSyn { least_iss: self.least_iss() };
        }
        let repeats_fin = flags.fin() && segment.end() == self.rcv_nxt;
        if repeats_fin {
            // RFC 9293 §3.10.7.4: the peer did not get our last ACK
            self.expires = Expiry::new(now + config.msl * 2);
        }
        // RFC 9293 §3.10.7.4 first: what is not acceptable, and a stale SYN (MAY-2), gets the last ACK again
        if segment.is_empty() && segment.header.seq == self.rcv_nxt {
            return TimeWaitAnswer::Dropped(DropReason::TimeWait);
        }
        if !flags.ack() && !flags.syn() && self.is_within_window(segment) {
            // RFC 9293 §3.10.7.4, fifth
            return TimeWaitAnswer::Dropped(DropReason::MissingAck);
        }
        TimeWaitAnswer::Acknowledge(self.acknowledgment(now, offset, segment))
    }

    /// Where the numbers of a successor begin at the earliest: far enough beyond the old ones that nothing of
    /// the old connection fits into the new window.
    fn least_iss(&self) -> SeqNum {
        self.snd_nxt + u32::from(u16::MAX) + 2
    }

    /// True when some of `segment` lies in the receive window (RFC 9293 §3.10.7.4, first).
    fn is_within_window(&self, segment: &Segment) -> bool {
        let edge = self.rcv_nxt + (u32::from(self.window) << self.wind_shift);
        let (start, end) = (segment.header.seq, segment.end());
        if start == end {
            start.at_or_after(self.rcv_nxt) && start.at_or_before(edge)
        } else {
            start.before(edge) && end.after(self.rcv_nxt)
        }
    }

    /// True when a SYN cannot be a delayed one of the old connection. Timestamps tell if there are any; a
    /// peer that begins to use them has begun anew, and what is old has none and is dropped for that.
    // RFC 9293 §3.6.1 MAY-2, SHLD-4, RFC 6191 §2 6191-1
    fn is_newer_syn(&self, config: &Config, segment: &Segment) -> bool {
        let new = segment.header.options.timestamps.filter(|_| config.timestamps);
        match (self.timestamp_recent(), new) {
            (Some(recent), Some(new)) if new.value != recent => timestamps::is_older(recent, new.value),
            (None, Some(_)) => true,
            // Behind the FIN, the last number of the old connection.
            _ => segment.header.seq.at_or_after(self.rcv_nxt),
        }
    }

    /// Where the numbers begin at the earliest of a connection that we open on the same ports and addresses
    /// at `now`; `None` while it must wait. With timestamps the peer can tell the new SYN from an old one,
    /// and we old segments from new ones; without them nobody could.
    // RFC 6191 §2 6191-2
    #[must_use]
    pub fn yields_to_connect(&self, now: Instant, config: &Config) -> Option<SeqNum> {
        let begun = self.expires() - config.msl * 2;
        let clocks_have_moved = now.since(begun) >= LEAST_WAIT;
        (self.timestamp_recent().is_some() && config.timestamps && clocks_have_moved)
            .then(|| self.least_iss())
    }

    /// The answer to a newer SYN to a port where nobody listens any more: as to any SYN that the state cannot
    /// take, and not a RST as of a closed port, which might end a connection of the peer. Linux does the
    /// same.
    // RFC 9293 §3.10.7.4, fourth; RFC 5961 §4.2
    #[must_use]
    pub fn challenge(&self, now: Instant, offset: u32, syn: &Segment) -> SegmentOut {
        self.acknowledgment(now, offset, syn)
    }

    /// The last acknowledgment again. Its ports are those of `segment`, exchanged: a record in many copies
    /// does not keep what its table knows already.
    fn acknowledgment(&self, now: Instant, offset: u32, segment: &Segment) -> SegmentOut {
        let timestamps =
            self.timestamp_recent().map(|echo| Timestamps { value: timestamps::clock(now, offset), echo });
        let header = TcpHeader {
            source_port: segment.header.destination_port,
            destination_port: segment.header.source_port,
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags: TcpFlags::ACK,
            window: self.window,
            urgent: 0,
            options: TcpOptions { timestamps, ..TcpOptions::default() },
        };
        SegmentOut {
            header,
            payload: Payload::EMPTY,
            segment_size: 0,
            ecn: Ecn::NotEct,
            transmission: Transmission::Ack,
        }
    }
}

impl Connection {
    /// Both directions are closed: from here on only time and old segments matter.
    // RFC 9293 §3.6.1 MUST-13
    pub(crate) fn enter_time_wait(&mut self, now: Instant, cause: Cause) {
        self.enter(cause);
        self.timers.clear_all();
        self.sent = Sent::new();
        self.send_buffer.clear();
        self.set_timer(Timer::TimeWait, now + self.config.msl * 2);
        self.raise(Raise::TimeWait);
    }

    /// A segment in TIME-WAIT while the application still holds the connection.
    pub(crate) fn in_time_wait(&mut self, now: Instant, segment: &Segment) -> Verdict {
        let Some(mut record) = self.time_wait() else { return Ok(()) };
        let expires = record.expires();
        match record.handle_segment(now, &self.config, self.timestamps.offset, segment) {
            TimeWaitAnswer::Acknowledge(_) => {
                if record.expires() != expires {
                    self.set_timer(Timer::TimeWait, record.expires());
                }
                self.owed.acknowledge_now();
                self.dropped(DropReason::Duplicate)
            }
            TimeWaitAnswer::Dropped(reason) => self.dropped(reason),
            // The host has looked for a listener before it hands a SYN to a connection.
            TimeWaitAnswer::NewSyn { .. } => {
                self.owed.acknowledge_now();
                self.dropped(DropReason::UnexpectedSyn)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<TimeWait>() <= 24, "{}", size_of::<TimeWait>());
    }
}
