//! The calls of the application: OPEN, SEND, RECEIVE, CLOSE, ABORT (RFC 9293 §3.10.1–5). STATUS is
//! `Connection::info`.

use crate::buffer_growth::{MemoryLevel, RightSizing, largest_receive_buffer};
use crate::config::{Config, SocketOptions};
use crate::congestion::Controller;
use crate::connection::{Connection, Events, Opening, Options, Owner, Setup};
use crate::counters::Counters;
use crate::ecn::EcnVariables;
use crate::error::{ConnectionError, ReceiveError, SendError};
use crate::receive_buffer::ReceiveBuffer;
use crate::recovery::Recovery;
use crate::rtt::RttEstimator;
use crate::segment_arrives::closed::Reset;
use crate::seldom::Seldom;
use crate::send_buffer::SendBuffer;
use crate::sent::Sent;
use crate::state::{Cause, TcpState};
use crate::timers::{Timer, Timers};
use crate::trace::{Call, Trace, TraceEvent};
use crate::transmit::Owed;
use crate::variables::{Fin, ReceiveVariables, SendVariables, TimestampVariables};
use crate::window_scale;
use alloc::sync::Arc;
use bytes::Bytes;
use ciao_wire::{Instant, SeqNum};

impl Connection {
    /// A connection in CLOSED, for one kind of OPEN: [`Connection::connect`], [`Connection::fast_open`], or
    /// [`crate::HalfOpen::establish`]. They work in place: a connection is made where it stays, and not moved
    /// there.
    #[must_use]
    #[inline]
    pub fn closed(config: &Arc<Config>, options: &SocketOptions, setup: &Setup) -> Self {
        let Setup { local_port, remote_port, iss, timestamp_offset, announce_mss, default_mss, tracing } =
            *setup;
        let seldom = Seldom::of(options);
        let wind_shift = window_scale::shift_for(largest_receive_buffer(config, options));
        let options = Options::new(config, options);
        let mss = default_mss.min(announce_mss);
        let zero = SeqNum(0);
        Self {
            config: Arc::clone(config),
            local_port,
            remote_port,
            state: TcpState::Closed,
            opening: Opening::Active,
            owner: Owner::Present,
            snd: SendVariables {
                una: iss,
                nxt: iss,
                wnd: 0,
                wl1: zero,
                wl2: zero,
                iss,
                max_wnd: 0,
                // RFC 9293 §3.7.1 MUST-15: until the peer says otherwise
                mss,
                wind_shift: 0,
            },
            rcv: ReceiveVariables { nxt: zero, edge: zero, irs: zero, up: zero, fin: None, wind_shift },
            fin: Fin::Open,
            timestamps: TimestampVariables {
                agreed: false,
                offset: timestamp_offset,
                recent: 0,
                recent_at: Instant::ZERO,
                last_ack_sent: zero,
            },
            scaling: false,
            sack: false,
            announce_mss,
            floor_mss: default_mss,
            full_size_acked: false,
            send_buffer: SendBuffer::new(),
            sent: Sent::new(),
            receive_buffer: ReceiveBuffer::new(),
            right_sizing: RightSizing::new(),
            memory: MemoryLevel::Plenty,
            reassembly: None,
            rtt: RttEstimator::new(),
            congestion: Controller::new(options.congestion_control, mss, u32::from(mss), iss.0),
            ecn: EcnVariables::NONE,
            recovery: Recovery::new(),
            timers: Timers::new(),
            options,
            seldom,
            owed: Owed::new(config),
            error: None,
            events: Events::default(),
            counters: Counters::default(),
            trace: Trace::new(tracing),
        }
    }

    /// OPEN, active: the SYN comes out of `poll_transmit`.
    pub fn connect(&mut self) {
        self.arrange_pacing(self.pacing());
        self.trace.record(|| TraceEvent::Called(Call::Connect));
        self.enter(Cause::ActiveOpen);
        self.owed.syn = true;
    }

    /// SEND: copies what fits of `data` and answers how much that was, at least one byte.
    ///
    /// # Errors
    /// [`SendError`]: the buffer is full, our direction is closed, or the connection has ended. Before the
    /// handshake is complete bytes are taken and wait.
    pub fn send(&mut self, now: Instant, data: &[u8]) -> Result<usize, SendError> {
        let len = self.admit(data.len())?;
        self.send_buffer.push_slice(&data[..len]);
        self.after_send(now, len, data.len());
        Ok(len)
    }

    /// SEND without copying: takes what fits from the front of `data`.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send_bytes(&mut self, now: Instant, data: &mut Bytes) -> Result<usize, SendError> {
        let wanted = data.len();
        let len = self.admit(wanted)?;
        self.send_buffer.push_bytes(data.split_to(len));
        self.after_send(now, len, wanted);
        Ok(len)
    }

    /// How many of `wanted` bytes SEND may take.
    #[inline]
    fn admit(&mut self, wanted: usize) -> Result<usize, SendError> {
        match (self.state, self.error) {
            (_, Some(error)) => return Err(SendError::Ended(error)),
            (TcpState::Closed, None) => return Err(SendError::Closed),
            _ if self.fin != Fin::Open => return Err(SendError::Closed),
            _ => {}
        }
        let mut capacity = self.send_capacity();
        if capacity < wanted {
            self.grow_send_buffer();
            capacity = self.send_capacity();
        }
        let len = wanted.min(capacity);
        if len == 0 && wanted > 0 {
            self.owed.writable = true;
            return Err(SendError::WouldBlock);
        }
        Ok(len)
    }

    #[inline]
    fn after_send(&mut self, now: Instant, len: usize, wanted: usize) {
        self.owed.writable |= len < wanted;
        self.restart_when_idle(now);
        self.trace.record(|| TraceEvent::Called(Call::Send(len)));
    }

    /// RECEIVE: copies what has arrived into `buffer` and answers how much that was; `Ok(0)` is the peer's
    /// FIN.
    ///
    /// # Errors
    /// [`ReceiveError`]: nothing has arrived yet, or the connection has ended without the peer's FIN.
    // RFC 9293 §3.6 MUST-12: an end of data and an abort are told apart
    pub fn receive(&mut self, now: Instant, buffer: &mut [u8]) -> Result<usize, ReceiveError> {
        self.check_readable()?;
        let len = self.receive_buffer.read(buffer);
        self.after_receive(now, len);
        Ok(len)
    }

    /// RECEIVE without copying: at most `max` bytes, as many as lie in one piece. Empty at the peer's FIN.
    ///
    /// # Errors
    /// As [`Connection::receive`].
    pub fn receive_bytes(&mut self, now: Instant, max: usize) -> Result<Bytes, ReceiveError> {
        self.check_readable()?;
        let bytes = self.receive_buffer.read_bytes(max);
        self.after_receive(now, bytes.len());
        Ok(bytes)
    }

    /// Copies what has arrived without taking it.
    ///
    /// # Errors
    /// As [`Connection::receive`].
    pub fn peek(&self, buffer: &mut [u8]) -> Result<usize, ReceiveError> {
        self.check_readable()?;
        Ok(self.receive_buffer.peek(buffer))
    }

    fn check_readable(&self) -> Result<(), ReceiveError> {
        if self.receive_len() > 0 || self.peer_has_closed() {
            return Ok(());
        }
        Err(match self.error {
            Some(error) => ReceiveError::Ended(error),
            None if self.waits_for_handshake() => ReceiveError::NotConnected,
            None => ReceiveError::WouldBlock,
        })
    }

    fn after_receive(&mut self, now: Instant, len: usize) {
        if len > 0 {
            self.adjust_receive_buffer(now);
            self.consider_window_update();
            self.trace.record(|| TraceEvent::Called(Call::Receive(len)));
        }
    }

    /// CLOSE of our direction: the FIN goes out behind all data; the peer may go on sending and we go on
    /// reading.
    // RFC 9293 §3.10.4; the state changes when the FIN is queued, not when it is sent
    pub fn shutdown(&mut self, now: Instant) {
        self.trace.record(|| TraceEvent::Called(Call::Shutdown));
        self.close_our_direction(now);
    }

    fn close_our_direction(&mut self, now: Instant) {
        match self.state {
            TcpState::SynSent => self.end(Cause::CloseCalled, None),
            // RFC 9293 §3.10.4: queued until ESTABLISHED
            TcpState::SynReceived => self.fin = Fin::Queued,
            TcpState::Established | TcpState::CloseWait => {
                self.fin = Fin::Queued;
                self.enter(Cause::CloseCalled);
                self.restart_when_idle(now);
            }
            _ => {}
        }
    }

    /// CLOSE of both directions: nobody will read any more. With unread data, or data that comes later, the
    /// peer gets a RST, so that it knows; else a FIN.
    // RFC 9293 §3.6.1 SHLD-3, MAY-1
    pub fn close(&mut self, now: Instant) {
        self.trace.record(|| TraceEvent::Called(Call::Close));
        self.owner = Owner::Gone;
        if matches!(self.state, TcpState::Closed | TcpState::TimeWait) {
            // Both sides have closed in the regular way; what was not read harms nobody but its owner.
            self.receive_buffer.clear();
            return;
        }
        if self.receive_len() > 0 || self.options.zero_linger {
            self.abort_with_reset();
            return;
        }
        self.close_our_direction(now);
        if self.state != TcpState::Closed {
            self.set_timer(Timer::Orphan, now + self.config.orphan_timeout);
        }
    }

    /// ABORT: all queues are flushed and the peer gets a RST (RFC 9293 §3.10.5).
    pub fn abort(&mut self, _now: Instant) {
        self.trace.record(|| TraceEvent::Called(Call::Abort));
        self.abort_with_reset();
    }

    /// Ends the connection with a RST where the state asks for one.
    pub(crate) fn abort_with_reset(&mut self) {
        match self.state {
            TcpState::Closed => {}
            TcpState::Listen | TcpState::SynSent | TcpState::TimeWait => {
                self.end(Cause::Aborted, Some(ConnectionError::Aborted));
            }
            _ => {
                self.owed.reset = Some(Reset::Active { seq: self.snd.nxt, ack: self.rcv.nxt });
                self.end(Cause::Aborted, Some(ConnectionError::Aborted));
            }
        }
    }

    /// Changes the options. What Nagle's algorithm held is sent when it is switched off, what is corked then
    /// and when the cork is drawn.
    // RFC 9293 §3.7.4 MUST-17, §3.8.3 MUST-21, §3.8.4 MUST-24, MUST-27
    pub fn set_options(&mut self, now: Instant, options: SocketOptions) {
        self.set_seldom(&options);
        // As Linux: who switches `nodelay` on, or draws the cork, asks for what is there to be sent.
        let asks = options.nodelay && !self.options.nodelay || self.options.cork && !options.cork;
        self.owed.held_data |= asks && self.unsent() > 0;
        let grown = (self.options.send_buffer_bytes, self.options.receive_buffer_bytes);
        self.options = Options::new(&self.config, &options);
        self.switch_congestion_control();
        self.arrange_pacing(options.pacing);
        self.keep_grown_buffers(grown);
        self.owed.keep_alive_probes = 0;
        self.restart_keep_alive(now);
        if self.timers.is_set(Timer::UserTimeout) {
            self.restart_user_timeout(now);
        }
    }
}
