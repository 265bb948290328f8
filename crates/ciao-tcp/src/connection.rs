//! The connection: its parts, its public calls and questions. No rule of the protocol is here.
//!
//! Bytes and time go in, segments, events and a wake-up time come out:
//!
//! * `handle_*` take what the network and the clock bring. They never fail: a bad segment is counted,
//!   recorded with its [`DropReason`] and dropped.
//! * `poll_transmit`, `poll_event` and `poll_timeout` give what follows from it. Drain the first two after
//!   every call.
//! * The rest are calls of the application, in `user_calls`, and plain questions.
//!
//! What happens on a segment is in `segment_arrives`, on a timer in `timeouts`, on the way out in `transmit`.

use crate::buffer_growth::{MemoryLevel, RightSizing, Sizing};
use crate::config::{Config, SocketOptions};
use crate::congestion::{CongestionControl, Controller};
use crate::counters::Counters;
use crate::ecn::EcnVariables;
use crate::error::{ConnectionError, DropReason};
use crate::event::Event;
use crate::reassembly::Reassembly;
use crate::receive_buffer::ReceiveBuffer;
use crate::recovery::Recovery;
use crate::rtt::RttEstimator;
use crate::segment::Segment;
use crate::segment_arrives::Verdict;
use crate::seldom::Seldom;
use crate::send_buffer::SendBuffer;
use crate::sent::Sent;
use crate::state::{Cause, TcpState, next_state};
use crate::time_wait::TimeWait;
use crate::timers::{Timer, Timers, Wakeup};
use crate::trace::{Trace, TraceEvent, Tracing};
use crate::transmit::Owed;
use crate::variables::{Fin, ReceiveVariables, SendVariables, TimestampVariables};
use alloc::boxed::Box;
use alloc::sync::Arc;
use ciao_wire::{Instant, SeqNum};
use core::borrow::BorrowMut;
use core::panic::Location;

/// What distinguishes one connection from another when it begins; the host knows these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Our port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
    /// ISS, from [`crate::isn`].
    pub iss: SeqNum,
    /// Added to the timestamp clock, from [`crate::isn`].
    pub timestamp_offset: u32,
    /// The MSS to announce: the link's MTU less 40 (IPv4) or 60 (IPv6) bytes of headers.
    pub announce_mss: u16,
    /// The peer's MSS when it announces none: 536 (IPv4) or 1220 (IPv6).
    pub default_mss: u16,
    /// Whether the connection collects a trace from its first move on.
    pub tracing: Tracing,
}

/// One TCP connection. CLOSED, SYN-SENT, SYN-RECEIVED and all later states; LISTEN is [`crate::listener`].
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) config: Arc<Config>,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    pub(crate) state: TcpState,
    pub(crate) opening: Opening,
    pub(crate) owner: Owner,
    pub(crate) snd: SendVariables,
    pub(crate) rcv: ReceiveVariables,
    pub(crate) fin: Fin,
    pub(crate) timestamps: TimestampVariables,
    pub(crate) ecn: EcnVariables,
    /// Window scaling was agreed on.
    pub(crate) scaling: bool,
    /// SACK was agreed on.
    pub(crate) sack: bool,
    pub(crate) announce_mss: u16,
    /// What every path takes: the MSS of a peer that announces none.
    pub(crate) floor_mss: u16,
    /// Segments of the present size have come through.
    pub(crate) full_size_acked: bool,
    pub(crate) send_buffer: SendBuffer,
    pub(crate) sent: Sent,
    pub(crate) receive_buffer: ReceiveBuffer,
    pub(crate) right_sizing: RightSizing,
    pub(crate) memory: MemoryLevel,
    pub(crate) reassembly: Option<Box<Reassembly>>,
    pub(crate) rtt: RttEstimator,
    pub(crate) congestion: Controller,
    pub(crate) recovery: Recovery,
    pub(crate) timers: Timers,
    pub(crate) options: Options,
    pub(crate) seldom: Option<Box<Seldom>>,
    pub(crate) owed: Owed,
    pub(crate) error: Option<ConnectionError>,
    pub(crate) events: Events,
    pub(crate) counters: Counters,
    pub(crate) trace: Trace,
}

/// How the connection began. SYN-RECEIVED answers an RST differently (RFC 9293 §3.5 MUST-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Active,
    Passive,
}

/// Whether anybody can still read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Present,
    /// The application has closed for good: data that still comes can reach nobody.
    Gone,
}

/// [`SocketOptions`] as a connection keeps them: small, because most are never set.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) nodelay: bool,
    pub(crate) cork: bool,
    pub(crate) quickack: bool,
    pub(crate) zero_linger: bool,
    pub(crate) mute_soft_errors: bool,
    pub(crate) congestion_control: CongestionControl,
    pub(crate) send_buffer_bytes: u32,
    pub(crate) send_buffer: Sizing,
    pub(crate) receive_buffer_bytes: u32,
    pub(crate) receive_buffer: Sizing,
}

impl Options {
    pub(crate) fn new(config: &Config, options: &SocketOptions) -> Self {
        let SocketOptions {
            nodelay,
            cork,
            quickack,
            // In `Seldom`.
            notsent_lowat: _,
            receive_lowat: _,
            keep_alive: _,
            user_timeout: _,
            exchange_user_timeout: _,
            zero_linger,
            mute_soft_errors,
            congestion_control,
            pacing: _,
            send_buffer_bytes,
            receive_buffer_bytes,
        } = *options;
        Self {
            nodelay,
            cork,
            quickack,
            zero_linger,
            mute_soft_errors,
            congestion_control: congestion_control.unwrap_or(config.congestion_control),
            send_buffer_bytes: send_buffer_bytes.unwrap_or(config.send_buffer_bytes),
            send_buffer: Sizing::of(send_buffer_bytes),
            receive_buffer_bytes: receive_buffer_bytes.unwrap_or(config.receive_buffer_bytes),
            receive_buffer: Sizing::of(receive_buffer_bytes),
        }
    }
}

/// Events that wait to be polled, each at most once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    /// A bit for each: of the first eight, and of the others. Bytes, because that is what a bit is set in: a
    /// wider read right behind that would wait for it.
    bits: [u8; 2],
    soft_error: Option<ConnectionError>,
}

/// The events in the order in which they are given out.
#[derive(Clone, Copy)]
pub(crate) enum Raise {
    Connected,
    Readable,
    Writable,
    SendingDone,
    DeliveryTrouble,
    SoftError,
    Urgent,
    PathMss,
    TimeWait,
    Closed,
}

impl Connection {
    /// The state.
    #[must_use]
    pub fn state(&self) -> TcpState {
        self.state
    }

    /// How the connection ended; `None` while it lives and when both sides closed in the regular way.
    #[must_use]
    pub fn error(&self) -> Option<ConnectionError> {
        self.error
    }

    /// True when nothing is left to do: CLOSED, and the last segment is out. The host may drop it once the
    /// application has read what is left.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state == TcpState::Closed && self.owed.reset.is_none()
    }

    /// True when the application has closed for good.
    #[must_use]
    pub fn is_orphan(&self) -> bool {
        self.owner == Owner::Gone
    }

    /// How many bytes lie before the end of the peer's urgent data; zero when all of it has been read.
    // RFC 9293 §3.8.5 MUST-33
    #[must_use]
    pub fn urgent_len(&self) -> u32 {
        // The peer's FIN takes a number, but is no byte.
        let fin = u32::from(self.peer_has_closed() && self.rcv.nxt.after(self.rcv.irs));
        let read_up_to = self.rcv.nxt - fin - self.receive_buffer.len();
        if self.rcv.up.after(read_up_to) { self.rcv.up.since(read_up_to) } else { 0 }
    }

    /// The options as they are now.
    #[must_use]
    pub fn options(&self) -> SocketOptions {
        let Options {
            nodelay,
            cork,
            quickack,
            zero_linger,
            mute_soft_errors,
            congestion_control,
            send_buffer_bytes,
            send_buffer,
            receive_buffer_bytes,
            receive_buffer,
        } = &self.options;
        let fixed = |sizing: Sizing, bytes: u32| (sizing == Sizing::Fixed).then_some(bytes);
        SocketOptions {
            nodelay: *nodelay,
            cork: *cork,
            quickack: *quickack,
            notsent_lowat: self.seldom.as_ref().and_then(|seldom| seldom.notsent_lowat),
            receive_lowat: self.seldom.as_ref().and_then(|seldom| seldom.receive_lowat),
            keep_alive: self.keep_alive(),
            user_timeout: self.user_timeout(),
            exchange_user_timeout: self.seldom.as_ref().is_some_and(|seldom| seldom.exchange.is_some()),
            zero_linger: *zero_linger,
            mute_soft_errors: *mute_soft_errors,
            congestion_control: Some(*congestion_control),
            pacing: self.pacing(),
            send_buffer_bytes: fixed(*send_buffer, *send_buffer_bytes),
            receive_buffer_bytes: fixed(*receive_buffer, *receive_buffer_bytes),
        }
    }

    /// The next event.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        let [first, second] = &mut self.events.bits;
        let (bits, before) = if *first != 0 { (first, 0) } else { (second, u8::BITS) };
        if *bits == 0 {
            return None;
        }
        let lowest = before + bits.trailing_zeros();
        *bits &= *bits - 1;
        Some(match lowest {
            x if x == Raise::Connected as u32 => Event::Connected,
            x if x == Raise::Readable as u32 => Event::Readable,
            x if x == Raise::Writable as u32 => Event::Writable,
            x if x == Raise::SendingDone as u32 => Event::SendingDone,
            x if x == Raise::DeliveryTrouble as u32 => Event::DeliveryTrouble,
            x if x == Raise::SoftError as u32 => {
                Event::SoftError(self.events.soft_error.expect("set together with its bit"))
            }
            x if x == Raise::Urgent as u32 => Event::Urgent,
            x if x == Raise::PathMss as u32 => Event::PathMss(self.path_mss()),
            x if x == Raise::TimeWait as u32 => Event::TimeWait,
            _ => Event::Closed(self.error),
        })
    }

    /// When to call `handle_timeout` next, and for which timer.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Wakeup> {
        self.timers.next()
    }

    /// A moment before which `handle_timeout` has nothing to do, [`Instant::NEVER`] when no timer is set.
    /// Unlike `poll_timeout` it may be too early, because it costs nothing to know.
    #[must_use]
    #[inline]
    pub fn earliest_timeout(&self) -> Instant {
        self.timers.earliest()
    }

    /// The compact record of a connection in TIME-WAIT, for a host to keep when the application is gone.
    #[must_use]
    pub fn time_wait(&self) -> Option<TimeWait> {
        let expires = self.timers.deadline(Timer::TimeWait)?;
        Some(TimeWait::of(self, expires))
    }

    /// Switches the trace on or off.
    pub fn set_trace(&mut self, tracing: Tracing) {
        self.trace = Trace::new(tracing);
    }

    /// Takes out what the trace has collected.
    pub fn drain_trace(&mut self) -> impl Iterator<Item = TraceEvent> + '_ {
        self.trace.drain()
    }

    /// Changes the state: the only place that does.
    ///
    /// A move that [`next_state`] does not know is a fault of ours. It ends this connection, and stops a
    /// debug build.
    pub(crate) fn enter(&mut self, cause: Cause) {
        let from = self.state;
        let legal = next_state(from, cause);
        debug_assert!(legal.is_some(), "no move leads from {from} because of {cause}");
        let to = legal.unwrap_or(TcpState::Closed);
        self.state = to;
        self.trace.record(|| TraceEvent::StateChanged { from, to, cause });
    }

    /// Ends the connection: CLOSED, no timer, nothing kept but what the application can still read.
    pub(crate) fn end(&mut self, cause: Cause, error: Option<ConnectionError>) {
        self.enter(cause);
        self.error = error;
        self.timers.clear_all();
        self.send_buffer.clear();
        self.sent = Sent::new();
        self.recovery.episode = None;
        self.reassembly = None;
        self.owed.forget_all_but_reset();
        if error.is_some() {
            // RFC 9293 §3.9.1.6, §3.10.7.4: what is queued is flushed; an abort must not look like an end of
            // the data
            self.receive_buffer.clear();
        }
        self.trace.record(|| TraceEvent::Ended(error));
        self.raise(Raise::Readable);
        self.raise(Raise::Writable);
        self.raise(Raise::Closed);
    }

    /// Queues an event.
    pub(crate) fn raise(&mut self, event: Raise) {
        self.events.bits[event as usize / 8] |= 1 << (event as usize % 8);
    }

    /// Queues the report of a fault that may pass, if the application wants to hear of such.
    // RFC 9293 §3.9.1.8 SHLD-20
    pub(crate) fn raise_soft_error(&mut self, error: ConnectionError) {
        if !self.options.mute_soft_errors {
            self.events.soft_error = Some(error);
            self.raise(Raise::SoftError);
        }
    }

    /// Counts and records a dropped segment, with the line that decided.
    #[track_caller]
    pub(crate) fn dropped(&mut self, reason: DropReason) -> Verdict {
        let decided_at = Location::caller();
        let rare = self.counters.rare();
        rare.segments_dropped = rare.segments_dropped.saturating_add(1);
        self.trace.record(|| TraceEvent::Dropped { reason, decided_at });
        Err(reason)
    }

    /// Sets a timer, and records that.
    pub(crate) fn set_timer(&mut self, timer: Timer, at: Instant) {
        self.timers.set(timer, at);
        self.trace.record(|| TraceEvent::TimerSet { timer, at });
    }

    /// SYN-SENT or SYN-RECEIVED: our SYN is not acknowledged.
    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.state, TcpState::SynSent | TcpState::SynReceived)
    }

    /// The peer's FIN has come, and all before it.
    pub(crate) fn peer_has_closed(&self) -> bool {
        matches!(self.state, TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait)
            || (self.state == TcpState::Closed && self.error.is_none())
    }

    /// The number of the first byte in the send buffer.
    pub(crate) fn send_buffer_start(&self) -> SeqNum {
        if self.is_opening() { self.snd.iss + 1 } else { self.snd.una }
    }

    /// The number behind the last byte in the send buffer: where our FIN stands, or will.
    pub(crate) fn send_buffer_end(&self) -> SeqNum {
        self.send_buffer_start() + self.send_buffer.len()
    }

    /// Data bytes that were never sent.
    pub(crate) fn unsent(&self) -> u32 {
        let next = self.snd.nxt.latest(self.send_buffer_start());
        let end = self.send_buffer_end();
        if end.after(next) { end.since(next) } else { 0 }
    }

    /// Handles a segment of this connection that arrived at `now`, with a checksum known to be right. From a
    /// segment that is lent, what is accepted of the payload is taken out.
    #[inline]
    pub fn handle_segment(&mut self, now: Instant, mut segment: impl BorrowMut<Segment>) {
        self.segment_arrives(now, segment.borrow_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        // An established end may take 1 KiB with its socket and its entries in the host's tables.
        assert!(size_of::<Connection>() <= 640, "{}", size_of::<Connection>());
    }
}
