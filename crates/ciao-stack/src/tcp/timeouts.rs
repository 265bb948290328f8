//! What happens when a timer of the host's wheel fires.
//!
//! What a connection's own timer does is decided in `ciao_tcp::timeouts`.

use crate::context::Context;
use crate::demux::Holder;
use crate::tcp::Tcp;
use crate::tcp::tables::Owner;
use crate::trace::HostTraceEvent;
use crate::wheel::TimerHandle;
use ciao_tcp::{Cause, HalfOpenFate, TcpState, TraceEvent};
use ciao_wire::Instant;

/// Who has an entry in the wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    Connection(u32),
    /// The first of its accept queue has waited long enough.
    Listener(u32),
}

const KIND_SHIFT: u32 = 30;

impl Waiter {
    /// In 32 bits: the kind in the upper two, the index below.
    pub(crate) fn token(self) -> u32 {
        match self {
            Self::Connection(index) => index,
            Self::Listener(index) => 1 << KIND_SHIFT | index,
        }
    }

    fn of(token: u32) -> Self {
        let index = token & ((1 << KIND_SHIFT) - 1);
        match token >> KIND_SHIFT {
            0 => Self::Connection(index),
            _ => Self::Listener(index),
        }
    }
}

impl Tcp {
    /// Fires every timer that is due.
    pub(crate) fn handle_timeout(&mut self, context: &mut Context, now: Instant) {
        while let Some(token) = self.wheel.pop_due(now) {
            match Waiter::of(token) {
                Waiter::Connection(index) => self.connection_timer_fired(context, now, index),
                Waiter::Listener(index) => self.listener_timer_fired(context, now, index),
            }
        }
        while let Some(index) = self.tables.half_open.pop_due(now) {
            self.half_open_timer_fired(context, now, index);
        }
        self.end_time_waits(context, now);
    }

    /// A time before which `handle_timeout` has nothing to do, [`Instant::NEVER`] when it never has.
    pub(crate) fn poll_timeout(&self) -> Instant {
        let (half_open, time_waits) = (&self.tables.half_open, &self.tables.time_waits);
        self.wheel.next().min(half_open.next_deadline()).min(time_waits.next_expiry())
    }

    fn connection_timer_fired(&mut self, context: &mut Context, now: Instant, index: u32) {
        let socket = &mut self.tables.sockets[index as usize];
        socket.timer = TimerHandle::NONE;
        socket.connection.set_memory(self.memory.level());
        socket.connection.handle_timeout(now);
        self.after_input(context, now, index);
    }

    fn half_open_timer_fired(&mut self, context: &mut Context, now: Instant, index: u32) {
        match self.tables.half_open[index].half_open.handle_timeout(now) {
            HalfOpenFate::Lives => self.serve_half_open(context, now, index),
            HalfOpenFate::Dies => self.drop_half_open(context, now, index, Cause::TimedOut),
        }
    }

    /// Nobody has accepted the connections in front for too long: they are reset.
    fn listener_timer_fired(&mut self, context: &mut Context, now: Instant, index: u32) {
        self.listeners.at_mut(index).timer = TimerHandle::NONE;
        while let Some(&(deadline, waiting)) = self.listeners.at(index).accept.front() {
            if deadline > now {
                self.listeners.at_mut(index).timer =
                    self.wheel.insert(deadline, Waiter::Listener(index).token());
                return;
            }
            self.listeners.at_mut(index).accept.pop_front();
            self.abort_unowned(context, now, waiting);
        }
    }

    /// Resets a connection that was never accepted.
    pub(crate) fn abort_unowned(&mut self, context: &mut Context, now: Instant, index: u32) {
        let socket = &mut self.tables.sockets[index as usize];
        socket.owner = Owner::Nobody;
        socket.connection.abort(now);
        self.after_input(context, now, index);
    }

    fn end_time_waits(&mut self, context: &mut Context, now: Instant) {
        while self.tables.time_waits.next_expiry() <= now {
            let first = self.tables.time_waits.first().expect("it has just told when it ends");
            let id = self.tables.time_waits.id(first);
            context.trace.record(now, id, None, || {
                let (from, to) = (TcpState::TimeWait, TcpState::Closed);
                HostTraceEvent::Tcp(TraceEvent::StateChanged { from, to, cause: Cause::TimeWaitExpired })
            });
            self.remove_time_wait(first);
        }
    }

    /// Sends what a half-open connection owes, and sets its timer.
    pub(crate) fn serve_half_open(&mut self, context: &mut Context, now: Instant, index: u32) {
        let entry = &mut self.tables.half_open[index];
        if let Some(mut segment) = entry.half_open.poll_transmit(now, &context.config.tcp) {
            let ip = self.listeners.at(entry.listener).ip;
            if segment.header.flags.syn() && entry.half_open.grants_fast_open_cookie() {
                let local = context.interfaces.address(entry.endpoints.local);
                let remote = entry.endpoints.remote_address();
                segment.header.options.fast_open = Some(self.fast_open_cookie(context, now, local, remote));
            }
            let entry = &self.tables.half_open[index];
            let envelope = context.envelope(entry.endpoints.local, entry.endpoints.remote_address(), ip);
            context.send_alone(now, entry.interface, &envelope, segment, Some(entry.id));
        }
        self.tables.half_open.arm(index);
    }

    /// Drops a half-open connection.
    pub(crate) fn drop_half_open(&mut self, context: &mut Context, now: Instant, index: u32, cause: Cause) {
        let id = self.tables.half_open[index].id;
        context.trace.record(now, Some(id), None, || {
            let (from, to) = (TcpState::SynReceived, TcpState::Closed);
            HostTraceEvent::Tcp(TraceEvent::StateChanged { from, to, cause })
        });
        self.tables.unlist(Holder::HalfOpen(index));
        self.forget_half_open(index);
    }

    /// Drops the record of a half-open connection, which segments no longer find.
    pub(crate) fn forget_half_open(&mut self, index: u32) {
        let listener = self.tables.half_open[index].listener;
        self.listeners.at_mut(listener).half_open -= 1;
        self.tables.half_open.remove(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_keep_kind_and_index() {
        for index in [0, 1, (1 << KIND_SHIFT) - 1] {
            for waiter in [Waiter::Connection(index), Waiter::Listener(index)] {
                assert_eq!(Waiter::of(waiter.token()), waiter);
            }
        }
    }
}
