//! What to send now, or what we wait for and until when: [`decide`](Connection::decide).
//!
//! One decision feeds sending, the wake-up time and `why`, so that they cannot fall out of step. How a
//! segment is built is in `transmit/segmenter.rs`; each rule that may hold data back has a file of its own
//! beside it.

pub(crate) mod acknowledge;
pub(crate) mod keep_alive;
pub(crate) mod new_data;
pub(crate) mod pacing;
pub(crate) mod persist;
pub(crate) mod segmenter;
pub(crate) mod urgent;

use crate::config::Config;
use crate::congestion::Limit;
use crate::connection::Connection;
use crate::counters::Held;
use crate::segment::{SegmentOut, Transmission};
use crate::segment_arrives::closed::Reset;
use crate::state::TcpState;
use crate::timers::Wakeup;
use crate::trace::TraceEvent;
use crate::variables::Fin;
use ciao_wire::{Instant, SackBlock, SeqNum};
use core::fmt;

/// What we owe the peer and have not sent, and how far certain countings have come.
#[derive(Clone, Debug)]
pub(crate) struct Owed {
    /// A RST.
    pub(crate) reset: Option<Reset>,
    /// Our SYN, or our SYN with an acknowledgment.
    pub(crate) syn: bool,
    /// An acknowledgment.
    pub(crate) ack: OwedAck,
    /// Acknowledgments of out-of-order segments, one for each, so that the peer can count them.
    pub(crate) duplicate_acks: u8,
    /// A range that came twice: the next acknowledgment reports it, once (RFC 2883).
    pub(crate) duplicate: Option<SackBlock>,
    /// An acknowledgment that doubts what came (RFC 5961).
    pub(crate) challenge_ack: bool,
    /// News of our window.
    pub(crate) window_update: bool,
    /// A window probe.
    pub(crate) window_probe: bool,
    /// A tail loss probe.
    pub(crate) loss_probe: bool,
    /// A keep-alive probe.
    pub(crate) keep_alive: bool,
    /// Data that the silly-window rule has held back long enough.
    pub(crate) held_data: bool,
    /// The application was refused bytes and wants to know when there is room.
    pub(crate) writable: bool,
    /// Acknowledgments that still go out at once.
    pub(crate) quick_acks: u8,
    /// The application answers what comes soon after it came: its data can carry the acknowledgments.
    pub(crate) interactive: bool,
    /// Window probes since the window was last open, and since the peer was last heard of.
    pub(crate) window_probes: u8,
    pub(crate) unanswered_window_probes: u8,
    /// Keep-alive probes without an answer.
    pub(crate) keep_alive_probes: u8,
    /// Retransmission timeouts without progress.
    pub(crate) timeouts: u8,
    /// The largest payload of a segment that came: the peer's "full-sized".
    pub(crate) largest_received: u16,
    /// When the last challenge ACK went out; [`Instant::NEVER`] before the first.
    pub(crate) challenged_at: Instant,
}

/// Whether an acknowledgment is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwedAck {
    No,
    /// With the next data, or when the timer fires.
    Delayed,
    Now,
}

impl Owed {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            reset: None,
            syn: false,
            ack: OwedAck::No,
            duplicate_acks: 0,
            duplicate: None,
            challenge_ack: false,
            window_update: false,
            window_probe: false,
            loss_probe: false,
            keep_alive: false,
            held_data: false,
            writable: false,
            quick_acks: config.quick_acks,
            interactive: false,
            window_probes: 0,
            unanswered_window_probes: 0,
            keep_alive_probes: 0,
            timeouts: 0,
            largest_received: 0,
            challenged_at: Instant::NEVER,
        }
    }

    /// Something is owed that goes out before new data.
    #[inline]
    pub(crate) fn is_out_of_turn(&self) -> bool {
        self.reset.is_some()
            || self.syn
            || self.duplicate_acks > 0
            || self.duplicate.is_some()
            || self.loss_probe
    }

    /// The connection has ended: nothing is owed any more but perhaps a RST.
    pub(crate) fn forget_all_but_reset(&mut self) {
        self.syn = false;
        self.acknowledged();
        self.window_probe = false;
        self.loss_probe = false;
        self.keep_alive = false;
    }

    /// An acknowledgment went out.
    pub(crate) fn acknowledged(&mut self) {
        self.ack = OwedAck::No;
        self.duplicate_acks = 0;
        self.duplicate = None;
        self.challenge_ack = false;
        self.window_update = false;
    }

    /// An acknowledgment goes out with the next segment, or alone.
    pub(crate) fn acknowledge_now(&mut self) {
        self.ack = OwedAck::Now;
    }

    /// An acknowledgment goes out before any data.
    pub(crate) fn acknowledge_alone(&mut self) {
        self.duplicate_acks = self.duplicate_acks.max(1);
    }

    /// An acknowledgment goes out for this segment alone, so that the peer can count it.
    pub(crate) fn acknowledge_duplicate(&mut self) {
        self.duplicate_acks = self.duplicate_acks.saturating_add(1);
    }
}

/// What follows from all that is known now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Send(Plan),
    Wait(WaitReason),
}

/// The next segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Reset(Reset),
    Syn,
    /// A range again.
    Retransmit {
        start: SeqNum,
        len: u32,
    },
    /// So many bytes for the first time, with the FIN behind them or not.
    NewData {
        len: u32,
        fin: bool,
    },
    /// So many bytes for the first time, in one segment longer than others.
    PathProbe {
        len: u32,
    },
    Probe(Transmission),
    Ack(Transmission),
}

/// Nothing can be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What holds us back.
    pub reason: WaitReason,
    /// The timer that ends the waiting if no segment does.
    pub until: Option<Wakeup>,
}

/// What holds the sender back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitReason {
    /// There is no connection.
    Closed,
    /// The handshake is not complete.
    Handshake,
    /// All is sent and acknowledged.
    NothingToSend,
    /// All is sent; this many sequence numbers are not acknowledged.
    Acknowledgment {
        /// Bytes, SYN and FIN included.
        outstanding: u32,
    },
    /// The congestion window is full.
    CongestionWindow {
        /// cwnd.
        cwnd_bytes: u32,
        /// Bytes in flight.
        flight_bytes: u32,
    },
    /// The peer's window is full, or too small for a worthwhile segment (RFC 9293 §3.8.6.2.1).
    PeerWindow {
        /// SND.WND.
        window_bytes: u32,
        /// Bytes that wait.
        held_bytes: u32,
    },
    /// The peer's window is zero; probes ask for it.
    ZeroWindow {
        /// Bytes that wait.
        held_bytes: u32,
    },
    /// The next segment's time to leave has not come.
    Pacing,
    /// Nagle: a small segment waits for an acknowledgment (RFC 9293 §3.7.4).
    Nagle {
        /// Bytes that wait.
        held_bytes: u32,
    },
    /// Corked: a small segment waits for more bytes of the application (RFC 9293 §3.9.1.2 MAY-16).
    Cork {
        /// Bytes that wait.
        held_bytes: u32,
    },
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            WaitReason::Closed => f.write_str("closed")?,
            WaitReason::Handshake => f.write_str("waits for the handshake")?,
            WaitReason::NothingToSend => f.write_str("nothing to send")?,
            WaitReason::Acknowledgment { outstanding } => {
                write!(f, "all sent, {outstanding} not acknowledged")?;
            }
            WaitReason::CongestionWindow { cwnd_bytes, flight_bytes } => {
                write!(f, "cwnd full: {flight_bytes} of {cwnd_bytes} bytes in flight")?;
            }
            WaitReason::PeerWindow { window_bytes, held_bytes } => {
                write!(f, "peer's window of {window_bytes} is full, {held_bytes} bytes held")?;
            }
            WaitReason::ZeroWindow { held_bytes } => {
                write!(f, "peer's window is 0, {held_bytes} bytes held")?;
            }
            WaitReason::Cork { held_bytes } => write!(f, "corked: {held_bytes} bytes wait for more")?,
            WaitReason::Pacing => f.write_str("paced: the next segment's time has not come")?,
            WaitReason::Nagle { held_bytes } => write!(f, "Nagle: {held_bytes} bytes held for an ACK")?,
        }
        match self.until {
            Some(wakeup) => write!(f, " (until {}: {})", wakeup.at, wakeup.timer),
            None => Ok(()),
        }
    }
}

impl Connection {
    /// The next segment to send; `None` when there is nothing to send now.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<SegmentOut> {
        match self.decide() {
            Decision::Send(plan) => Some(self.carry_out(now, plan)),
            Decision::Wait(reason) => {
                self.arm_persist_timer(now, reason);
                if matches!(reason, WaitReason::PeerWindow { .. } | WaitReason::ZeroWindow { .. }) {
                    self.counters.held(now, Held::ByPeerWindow);
                }
                self.note_limit(reason);
                let tells_something =
                    !matches!(reason, WaitReason::Closed | WaitReason::Handshake | WaitReason::NothingToSend);
                if tells_something {
                    let timers = &self.timers;
                    self.trace.record(|| TraceEvent::Waiting(Wait { reason, until: timers.next() }));
                }
                None
            }
        }
    }

    /// Notes what held us back when all was sent that could be.
    ///
    /// The congestion window counts as used when not one more segment would fit, whether there was one or
    /// not; when pacing spreads it out, already when half of it is in flight, since a window that grew no
    /// further would hold the rate down next.
    #[inline]
    pub(crate) fn note_limit(&mut self, reason: WaitReason) {
        let (pipe, window) = (self.pipe(), self.congestion_window());
        let is_full = pipe + u32::from(self.effective_mss()) > window;
        self.recovery.limit = match reason {
            WaitReason::CongestionWindow { .. } => Limit::CongestionWindow,
            WaitReason::Acknowledgment { .. } | WaitReason::Nagle { .. } | WaitReason::Cork { .. }
                if is_full =>
            {
                Limit::CongestionWindow
            }
            WaitReason::Pacing if pipe >= window / 2 => Limit::CongestionWindow,
            WaitReason::NothingToSend
            | WaitReason::Acknowledgment { .. }
            | WaitReason::Nagle { .. }
            | WaitReason::Cork { .. } => {
                self.sent.application_limited();
                Limit::Other
            }
            _ => Limit::Other,
        };
    }

    /// False when `poll_transmit` would certainly answer `None`: nothing is owed and no data waits. The cheap
    /// question before the dear one.
    #[must_use]
    #[inline]
    pub fn may_transmit(&self) -> bool {
        let owed = &self.owed;
        owed.ack == OwedAck::Now
            || self.unsent() > 0
            || self.sent.lost() > 0
            || self.fin == Fin::Queued
            || owed.syn
            || owed.duplicate_acks > 0
            || owed.challenge_ack
            || owed.window_update
            || owed.window_probe
            || owed.loss_probe
            || owed.keep_alive
            || owed.reset.is_some()
    }

    /// Why nothing is sent now. Drain `poll_transmit` first; a connection that could send answers what it
    /// waits for after that.
    #[must_use]
    pub fn why(&self) -> Wait {
        let reason = match self.decide() {
            Decision::Send(_) => WaitReason::Acknowledgment { outstanding: self.outstanding() },
            Decision::Wait(reason) => reason,
        };
        Wait { reason, until: self.poll_timeout() }
    }

    /// SND.NXT − SND.UNA.
    pub(crate) fn outstanding(&self) -> u32 {
        self.sent.outstanding()
    }

    /// What to send now, or what we wait for.
    pub(crate) fn decide(&self) -> Decision {
        if let Some(reset) = self.owed.reset {
            return Decision::Send(Plan::Reset(reset));
        }
        if self.state == TcpState::Closed {
            return Decision::Wait(WaitReason::Closed);
        }
        if self.owed.syn {
            return Decision::Send(Plan::Syn);
        }
        if self.owed.duplicate_acks > 0 {
            return Decision::Send(Plan::Ack(Transmission::Ack));
        }
        let data = if self.is_opening() { self.decide_early_data() } else { self.decide_data() };
        let held_by = match data {
            Ok(_) if self.is_held_by_pacing() => WaitReason::Pacing,
            Ok(plan) => return Decision::Send(plan),
            Err(reason) => reason,
        };
        match self.decide_without_data() {
            Some(plan) => Decision::Send(plan),
            None => Decision::Wait(held_by),
        }
    }

    /// What was lost comes first, then what was never sent, then the FIN.
    fn decide_data(&self) -> Result<Plan, WaitReason> {
        if self.owed.loss_probe {
            return Ok(self.decide_probe());
        }
        if let Some(plan) = self.decide_frto() {
            return Ok(plan);
        }
        if let Some(plan) = self.decide_retransmission()? {
            return Ok(plan);
        }
        let unsent = self.unsent();
        if unsent > 0 || self.fin == Fin::Queued {
            return self.decide_new_data(unsent);
        }
        Err(match self.outstanding() {
            0 => WaitReason::NothingToSend,
            outstanding => WaitReason::Acknowledgment { outstanding },
        })
    }

    /// Probes and acknowledgments: they carry no new data.
    fn decide_without_data(&self) -> Option<Plan> {
        let owed = &self.owed;
        if owed.window_probe {
            Some(Plan::Probe(Transmission::WindowProbe))
        } else if owed.keep_alive {
            Some(Plan::Probe(Transmission::KeepAlive))
        } else if owed.challenge_ack {
            Some(Plan::Ack(Transmission::ChallengeAck))
        } else if owed.ack == OwedAck::Now {
            Some(Plan::Ack(Transmission::Ack))
        } else if owed.window_update {
            Some(Plan::Ack(Transmission::WindowUpdate))
        } else {
            None
        }
    }
}
