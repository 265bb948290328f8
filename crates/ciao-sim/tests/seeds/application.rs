//! One end's application: writes its share, reads the peer's and compares, closes.

use crate::plan::{ApplicationPlan, Finish};
use ciao_sim::{HostId, Random, Simulation};
use ciao_stack::{ListenerId, SocketId};
use ciao_tcp::error::{ReceiveError, SendError};
use ciao_tcp::{ConnectionError, TcpState, WaitReason};
use ciao_wire::Instant;
use std::sync::LazyLock;

/// More than any application sends.
const STREAM_BYTES: usize = 64 * 1024;

/// What each of the two ends writes: noise, so that bytes in the wrong place are noticed.
static STREAMS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    ["stream 0", "stream 1"].map(|name| {
        let mut random = Random::named(0, name);
        (0..STREAM_BYTES / 32).flat_map(|_| random.seed()).collect()
    })
});

#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) host: HostId,
    /// Which of the two streams it writes.
    side: usize,
    plan: ApplicationPlan,
    pub(crate) listener: Option<ListenerId>,
    pub(crate) socket: Option<SocketId>,
    written: usize,
    read: usize,
    has_shut: bool,
    has_eof: bool,
    /// When it reads again.
    read_at: Instant,
    pub(crate) ended: Option<ConnectionError>,
    pub(crate) is_done: bool,
    pub(crate) states: Vec<TcpState>,
}

impl Application {
    pub(crate) fn new(host: HostId, side: usize, plan: ApplicationPlan) -> Self {
        Self {
            host,
            side,
            plan,
            listener: None,
            socket: None,
            written: 0,
            read: 0,
            has_shut: false,
            has_eof: false,
            read_at: Instant::ZERO + plan.first_read,
            ended: None,
            is_done: false,
            states: Vec::new(),
        }
    }

    /// When it wants to act without anything having happened.
    pub(crate) fn wake_at(&self, now: Instant) -> Option<Instant> {
        (self.read_at > now && !self.is_done).then_some(self.read_at)
    }

    /// Goes away as it is.
    pub(crate) fn give_up(&mut self, sim: &mut Simulation) {
        self.is_done = true;
        if let Some(socket) = self.socket.take() {
            sim.call(self.host, |host, now| host.tcp_abort(now, socket));
        }
    }

    /// Does all that it can do now.
    pub(crate) fn act(&mut self, sim: &mut Simulation, peer_sends: usize) {
        if self.is_done {
            return;
        }
        if let (None, Some(listener)) = (self.socket, self.listener) {
            self.socket = sim.call(self.host, |host, _| host.tcp_accept(listener));
        }
        let Some(socket) = self.socket else { return };
        let state = sim.host(self.host).tcp_state(socket);
        if self.states.last() != Some(&state) {
            self.states.push(state);
        }
        self.write(sim, socket);
        self.read(sim, socket, peer_sends);
        let has_written = self.written == self.plan.to_send;
        let finishes = match self.plan.finish {
            Finish::AfterWriting => has_written,
            Finish::AfterReading => has_written && self.has_eof,
            Finish::Leave => false,
        };
        // CLOSE before the handshake is over would take the call back (RFC 9293 §3.10.4).
        let is_open = state != TcpState::SynSent;
        if finishes && is_open && !self.has_shut && self.ended.is_none() {
            self.has_shut = true;
            sim.call(self.host, |host, now| host.tcp_shutdown(now, socket));
        }
        let leaves = self.plan.finish == Finish::Leave && is_open && has_written;
        if self.has_shut && self.has_eof || leaves || self.ended.is_some() {
            self.is_done = true;
            sim.call(self.host, |host, now| host.tcp_close(now, socket));
            self.socket = None;
            return;
        }
        self.check_timer(sim, socket);
    }

    fn write(&mut self, sim: &mut Simulation, socket: SocketId) {
        while self.written < self.plan.to_send {
            let end = self.plan.to_send.min(self.written + self.plan.write_max);
            let bytes = &STREAMS[self.side][self.written..end];
            match sim.call(self.host, |host, now| host.tcp_send(now, socket, bytes)) {
                Ok(0) => sim.fail("a write of nothing that is not called an error"),
                Ok(count) => self.written += count,
                Err(SendError::Ended(error)) => return self.ended = Some(error),
                Err(SendError::Closed) => {
                    sim.fail("the sending side is closed before its application closed it")
                }
                Err(_) => return,
            }
        }
    }

    fn read(&mut self, sim: &mut Simulation, socket: SocketId, peer_sends: usize) {
        let mut bytes = vec![0; self.plan.read_max];
        while !self.has_eof && self.read_at <= sim.now() {
            match sim.call(self.host, |host, now| host.tcp_receive(now, socket, &mut bytes)) {
                Ok(0) if self.read < peer_sends => {
                    sim.fail(&format!("the end of data after {} of {peer_sends} bytes", self.read));
                }
                Ok(0) => self.has_eof = true,
                Ok(count) => {
                    let expected = STREAMS[1 - self.side].get(self.read..self.read + count);
                    if expected != Some(&bytes[..count]) {
                        sim.fail(&format!(
                            "{count} bytes from {} are not those that were written",
                            self.read
                        ));
                    }
                    self.read += count;
                    self.read_at = sim.now() + self.plan.read_pause;
                }
                Err(ReceiveError::Ended(error)) => return self.ended = Some(error),
                Err(_) => return,
            }
        }
    }

    /// While something is outstanding, a timer is set for which the host asks to be woken.
    fn check_timer(&self, sim: &Simulation, socket: SocketId) {
        let host = sim.host(self.host);
        let wait = host.tcp_why(socket);
        if matches!(wait.reason, WaitReason::Closed | WaitReason::NothingToSend) {
            return;
        }
        let Some(wakeup) = wait.until else {
            sim.fail(&format!("{wait}, and no timer will end it"));
        };
        if host.poll_timeout().is_none_or(|at| at > wakeup.at) {
            sim.fail(&format!("{wait}, but the host does not ask to be woken then"));
        }
    }
}
