//! A run from the first SYN until nothing is left.

use crate::application::Application;
use crate::plan::{Plan, Version};
use crate::shrink::Fault;
use ciao_sim::{HostId, PortId, Simulation, TwoHosts};
use ciao_stack::{ConnectRequest, ListenRequest};
use ciao_tcp::{ConnectionError, TcpState};
use ciao_wire::Instant;
use std::net::SocketAddr;
use std::time::Duration;

const PORT: u16 = 80;
/// Virtual time in which the slowest run is over: twenty losses in a row are not drawn.
const DEADLINE: Duration = Duration::from_secs(30 * 60);
/// 2 MSL, and what an end without an owner may wait for its peer.
const SETTLING: Duration = Duration::from_secs(30 * 60);

/// What a run has seen.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) has_failed: bool,
    pub(crate) was_reset: bool,
    pub(crate) simultaneous_close: bool,
    pub(crate) packets_lost: u64,
    pub(crate) packets_late: u64,
    pub(crate) packets_too_long: u64,
    pub(crate) packets_doubled: u64,
    pub(crate) packets_corrupted: u64,
    pub(crate) digest: u64,
}

pub(crate) struct Run<'a> {
    plan: &'a Plan,
    sim: Simulation,
    applications: [Application; 2],
    ports: [PortId; 2],
    has_failed: bool,
}

impl<'a> Run<'a> {
    /// The first application calls the second one.
    pub(crate) fn new(seed: u64, plan: &'a Plan) -> Self {
        let mut two = TwoHosts::new(seed, plan.hosts.clone(), plan.mtu, plan.links.clone());
        let address = match plan.version {
            Version::V4 => TwoHosts::ADDRESSES_V4[1],
            Version::V6 => TwoHosts::ADDRESSES_V6[1],
        };
        let remote = SocketAddr::new(address, PORT);
        let listener = two.listen(1, ListenRequest::at(remote));
        let socket = two.connect(0, ConnectRequest::to(remote));
        let TwoHosts { sim, hosts, interfaces } = two;
        let ports = [0, 1].map(|side| sim.port(hosts[side], interfaces[side]));
        let mut applications =
            [0, 1].map(|side| Application::new(hosts[side], side, plan.applications[side]));
        applications[1].listener = Some(listener);
        applications[0].socket = Some(socket);
        Self { plan, sim, applications, ports, has_failed: false }
    }

    /// Runs to the end and says what it has seen.
    pub(crate) fn complete(&mut self) -> Outcome {
        self.act_all();
        while !self.applications.iter().all(|application| application.is_done) {
            if self.callee_never_heard_of_it() {
                break;
            }
            if self.peer_is_gone_unheard() {
                self.has_failed = true;
                self.applications.iter_mut().for_each(|application| application.give_up(&mut self.sim));
                break;
            }
            self.step();
        }
        self.settle();
        self.outcome()
    }

    /// What chance has done to packets so far.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let of_side = |side: usize| {
            let harmed = self.sim.network().harmed(self.ports[side]);
            harmed.iter().map(move |(number, harm)| Fault { side, number: *number, harm: Some(*harm) })
        };
        of_side(0).chain(of_side(1)).collect()
    }

    /// The caller gave up before a connection could be accepted.
    fn callee_never_heard_of_it(&self) -> bool {
        let [caller, callee] = &self.applications;
        caller.ended.is_some()
            && callee.socket.is_none()
            && self.sim.host(callee.host).counts().half_open == 0
    }

    /// One end is gone and the other one has not heard of it, since every FIN and the RST of the orphan, or
    /// every SYN-ACK sent again, was lost. Whoever has nothing to send waits, and may do so for ever (RFC
    /// 9293 §3.6).
    fn peer_is_gone_unheard(&self) -> bool {
        self.plan.may_fail()
            && self.sim.next_at().is_none()
            && self.applications.iter().any(|application| application.is_done || application.socket.is_none())
            && self.applications.iter().all(|application| application.wake_at(self.sim.now()).is_none())
    }

    fn act_all(&mut self) {
        let host_ids = self.applications.each_ref().map(|application| application.host);
        host_ids.into_iter().for_each(|host| self.act(host));
    }

    fn act(&mut self, host: HostId) {
        let sends = self.plan.applications.map(|application| application.to_send);
        for (side, application) in self.applications.iter_mut().enumerate() {
            if application.host == host {
                application.act(&mut self.sim, sends[1 - side]);
            }
        }
        self.check_errors();
    }

    /// To the next packet, timer, or moment at which an application wants to read.
    fn step(&mut self) {
        let now = self.sim.now();
        let wake_at = self.applications.iter().filter_map(|application| application.wake_at(now)).min();
        let Some(at) = self.sim.next_at().into_iter().chain(wake_at).min() else {
            self.sim.fail(&format!("nothing will ever happen to {:#?}", self.applications));
        };
        if at.since(Instant::ZERO) > DEADLINE {
            self.sim.fail(&format!("not done in time: {:#?}", self.applications));
        }
        let step = if self.sim.next_at() == Some(at) { self.sim.step() } else { None };
        match step {
            Some(step) if wake_at != Some(at) => self.act(step.host()),
            _ => {
                self.sim.run_until(at);
                self.act_all();
            }
        }
    }

    /// Nobody is cut off, unless the plan has a reason for it.
    fn check_errors(&self) {
        for application in &self.applications {
            match application.ended {
                None => {}
                Some(ConnectionError::TimedOut { .. }) if self.plan.may_fail() => {}
                Some(ConnectionError::Reset) if self.plan.may_fail() || self.plan.may_reset() => {}
                Some(error) => self.sim.fail(&format!("the connection ended: {error}")),
            }
        }
    }

    /// When all sockets are given back, and the time for stragglers is over, no connection and no timer is
    /// left.
    fn settle(&mut self) {
        self.sim.run_for(SETTLING);
        for application in &self.applications {
            let counts = self.sim.host(application.host).counts();
            if counts.connections + counts.half_open + counts.time_wait > 0 {
                self.sim.fail(&format!("something is left: {counts:?}"));
            }
        }
        if let Some(at) = self.sim.next_at() {
            self.sim.fail(&format!("something is still due at {at}, and there is no connection"));
        }
    }

    fn outcome(&self) -> Outcome {
        let counts = self.ports.map(|port| self.sim.network().counts(port));
        let ended = |is: fn(ConnectionError) -> bool| {
            self.applications.iter().any(|application| application.ended.is_some_and(is))
        };
        Outcome {
            has_failed: self.has_failed || ended(|error| matches!(error, ConnectionError::TimedOut { .. })),
            was_reset: ended(|error| error == ConnectionError::Reset),
            simultaneous_close: self.applications.iter().any(|one| one.states.contains(&TcpState::Closing)),
            packets_lost: counts.iter().map(|count| count.lost).sum(),
            packets_too_long: counts.iter().map(|count| count.too_long).sum(),
            packets_late: counts.iter().map(|count| count.late).sum(),
            packets_doubled: counts.iter().map(|count| count.duplicated).sum(),
            packets_corrupted: counts.iter().map(|count| count.corrupted).sum(),
            digest: self.sim.digest(),
        }
    }
}
