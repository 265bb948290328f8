//! Situations that a seed rarely meets: both ends call at once, a host restarts, a link is cut, nobody
//! listens.

use ciao_sim::{LinkConfig, TwoHosts};
use ciao_stack::{ConnectRequest, HostConfig, ListenRequest, ListenerId, SocketId};
use ciao_tcp::error::ReceiveError;
use ciao_tcp::{Config, ConnectionError, TcpState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// 2 MSL and a little more.
const SETTLING: Duration = Duration::from_secs(61);

/// Two hosts on a link with 10 ms of delay.
struct Two(TwoHosts);

fn address(side: usize, port: u16) -> SocketAddr {
    TwoHosts::address(side, port)
}

impl Two {
    fn new(tcp: Config, link: &LinkConfig) -> Self {
        let config = HostConfig { tcp: Arc::new(tcp), ..HostConfig::default() };
        Self(TwoHosts::new(1, [config.clone(), config], 1500, [link.clone(), link.clone()]))
    }

    fn plain() -> Self {
        Self::new(Config::default(), &LinkConfig::default())
    }

    fn listen(&mut self, side: usize, port: u16) -> ListenerId {
        self.0.listen(side, ListenRequest::at(address(side, port)))
    }

    fn connect(&mut self, side: usize, local: Option<SocketAddr>, remote: SocketAddr) -> SocketId {
        self.0.connect(side, ConnectRequest { local, ..ConnectRequest::to(remote) })
    }

    fn run_for(&mut self, duration: Duration) {
        self.0.sim.run_for(duration);
    }

    /// A connection from the first host to port 80 of the second one.
    fn connected(&mut self) -> [SocketId; 2] {
        let listener = self.listen(1, 80);
        let caller = self.connect(0, None, address(1, 80));
        self.run_for(SECOND);
        [caller, self.accept(1, listener)]
    }

    fn accept(&mut self, side: usize, listener: ListenerId) -> SocketId {
        let socket = self.0.call(side, |host, _| host.tcp_accept(listener));
        socket.expect("the handshake is complete")
    }

    fn state(&self, side: usize, socket: SocketId) -> TcpState {
        self.0.host(side).tcp_state(socket)
    }

    fn error(&self, side: usize, socket: SocketId) -> Option<ConnectionError> {
        self.0.host(side).tcp_error(socket)
    }

    fn send(&mut self, side: usize, socket: SocketId, bytes: &[u8]) {
        let count = self.0.call(side, |host, now| host.tcp_send(now, socket, bytes));
        assert_eq!(count, Ok(bytes.len()));
    }

    /// All that can be read now, and how it ends.
    fn receive(&mut self, side: usize, socket: SocketId) -> (Vec<u8>, Result<usize, ReceiveError>) {
        let (mut all, mut some) = (Vec::new(), [0; 4096]);
        loop {
            match self.0.call(side, |host, now| host.tcp_receive(now, socket, &mut some)) {
                Ok(count) if count > 0 => all.extend_from_slice(&some[..count]),
                end => return (all, end),
            }
        }
    }

    fn close(&mut self, side: usize, socket: SocketId) {
        self.0.call(side, |host, now| host.tcp_close(now, socket));
    }

    /// Both directions of the link lose everything, or nothing any more.
    fn cut(&mut self, is_cut: IsCut) {
        for side in 0..2 {
            let loss_ppm = match is_cut {
                IsCut::Yes => 1_000_000,
                IsCut::No => 0,
            };
            let link = LinkConfig { loss_ppm, ..LinkConfig::default() };
            self.0.sim.configure(self.0.hosts[side], self.0.interfaces[side], link);
        }
    }

    fn connections_left(&self) -> usize {
        let counts = [0, 1].map(|side| self.0.host(side).counts());
        counts.iter().map(|counts| counts.connections + counts.half_open + counts.time_wait).sum()
    }
}

#[derive(Clone, Copy)]
enum IsCut {
    Yes,
    No,
}

#[test]
fn a_port_where_nobody_listens_refuses_at_once() {
    let mut two = Two::plain();
    let caller = two.connect(0, None, address(1, 80));
    two.run_for(SECOND);
    assert_eq!(two.error(0, caller), Some(ConnectionError::Refused));
    two.close(0, caller);
    assert_eq!(two.connections_left(), 0);
    assert_eq!(two.0.sim.next_at(), None);
}

// RFC 9293 §3.5 MUST-10
#[test]
fn two_calls_that_meet_become_one_connection() {
    let mut two = Two::plain();
    let sockets = [
        two.connect(0, Some(address(0, 7)), address(1, 7)),
        two.connect(1, Some(address(1, 7)), address(0, 7)),
    ];
    two.run_for(SECOND);
    for (side, (socket, byte)) in sockets.into_iter().zip([b'a', b'b']).enumerate() {
        assert_eq!(two.state(side, socket), TcpState::Established);
        two.send(side, socket, &[byte; 5_000]);
    }
    two.run_for(SECOND);
    for (side, (socket, byte)) in sockets.into_iter().zip([b'b', b'a']).enumerate() {
        assert_eq!(two.receive(side, socket).0, [byte; 5_000]);
        two.close(side, socket);
    }
    two.run_for(SETTLING);
    assert_eq!(two.connections_left(), 0);
}

#[test]
fn a_transfer_goes_on_where_it_was_when_the_link_comes_back() {
    for outage in [Duration::from_millis(50), SECOND, 30 * SECOND, 300 * SECOND] {
        let mut two = Two::plain();
        let [caller, callee] = two.connected();
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
        two.send(0, caller, &bytes);
        two.run_for(Duration::from_millis(25));
        two.cut(IsCut::Yes);
        two.run_for(outage);
        two.cut(IsCut::No);
        // The next try comes within twice the time of the outage, or within the greatest RTO.
        two.run_for(2 * SECOND + outage.min(120 * SECOND));
        assert_eq!(two.receive(1, callee).0, bytes, "outage of {outage:?}");
    }
}

// RFC 9293 §3.8.3 MUST-20
#[test]
fn a_peer_that_vanishes_is_given_up_after_r2() {
    let r2 = 100 * SECOND;
    let mut two = Two::new(Config { r2: Some(r2), ..Config::default() }, &LinkConfig::default());
    let [caller, _] = two.connected();
    two.cut(IsCut::Yes);
    two.send(0, caller, b"anyone there?");
    two.run_for(r2 - SECOND);
    assert_eq!(two.error(0, caller), None);
    two.run_for(2 * SECOND);
    assert!(matches!(two.error(0, caller), Some(ConnectionError::TimedOut { .. })));
    assert!(matches!(two.receive(0, caller).1, Err(ReceiveError::Ended(ConnectionError::TimedOut { .. }))));
}

#[test]
fn an_abort_is_a_reset_at_the_other_end_and_leaves_nothing() {
    let mut two = Two::plain();
    let [caller, callee] = two.connected();
    two.send(0, caller, b"never mind");
    two.0.call(0, |host, now| host.tcp_abort(now, caller));
    two.run_for(SECOND);
    assert_eq!(two.error(1, callee), Some(ConnectionError::Reset));
    two.close(1, callee);
    assert_eq!(two.connections_left(), 0);
    two.run_for(2 * SETTLING);
    assert_eq!(two.0.sim.next_at(), None);
}

// RFC 9293 §3.8.6.1 MUST-35, MUST-36
#[test]
fn a_reader_that_pauses_for_an_hour_finds_the_rest_when_it_comes_back() {
    let mut two = Two::new(
        Config { receive_buffer_bytes: 10_000, send_buffer_bytes: 100_000, ..Config::default() },
        &LinkConfig::default(),
    );
    let [caller, callee] = two.connected();
    two.send(0, caller, &[7; 50_000]);
    two.0.call(0, |host, now| host.tcp_shutdown(now, caller));
    two.run_for(3_600 * SECOND);
    let mut read = 0;
    for _ in 0..100 {
        let (bytes, end) = two.receive(1, callee);
        read += bytes.len();
        two.run_for(SECOND);
        if end == Ok(0) {
            break;
        }
    }
    assert_eq!(read, 50_000);
    two.close(0, caller);
    two.close(1, callee);
    two.run_for(SETTLING);
    assert_eq!(two.connections_left(), 0);
}

// RFC 9293 §3.5.1
#[test]
fn a_caller_that_lost_its_memory_gets_through_on_the_same_ports() {
    let mut two = Two::plain();
    let listener = two.listen(1, 80);
    let local = Some(address(0, 40_000));
    two.connect(0, local, address(1, 80));
    two.run_for(SECOND);
    let old = two.accept(1, listener);
    two.0.sim.restart(two.0.hosts[0]);
    let caller = two.connect(0, local, address(1, 80));
    two.run_for(3 * SECOND);
    assert_eq!(two.error(1, old), Some(ConnectionError::Reset));
    assert_eq!(two.state(0, caller), TcpState::Established);
    let callee = two.accept(1, listener);
    two.send(0, caller, b"it is me again");
    two.run_for(SECOND);
    assert_eq!(two.receive(1, callee).0, b"it is me again");
}

// RFC 6191 §2 6191-1
#[test]
fn the_same_ports_may_call_again_while_the_callee_waits_two_msl() {
    let mut two = Two::plain();
    let listener = two.listen(1, 80);
    let local = Some(address(0, 40_000));
    for _ in 0..20 {
        let caller = two.connect(0, local, address(1, 80));
        two.run_for(SECOND);
        assert_eq!(two.state(0, caller), TcpState::Established);
        let callee = two.accept(1, listener);
        two.close(1, callee);
        two.run_for(SECOND);
        assert_eq!(two.receive(0, caller).1, Ok(0));
        two.close(0, caller);
        two.run_for(SECOND);
        assert_eq!(two.0.host(1).counts().time_wait, 1);
    }
}

#[test]
fn a_hundred_connections_share_a_lossy_link_and_all_arrive() {
    let link = LinkConfig {
        loss_ppm: 20_000,
        reorder_ppm: 20_000,
        bandwidth_bits_per_s: Some(50_000_000),
        queue_bytes: 100_000,
        ..LinkConfig::default()
    };
    let mut two = Two::new(Config::default(), &link);
    let listener = two.listen(1, 80);
    let callers: Vec<_> = (0..100).map(|_| two.connect(0, None, address(1, 80))).collect();
    two.run_for(20 * SECOND);
    for (caller, n) in callers.iter().zip(0..) {
        two.send(0, *caller, &[n; 5_000]);
        two.close(0, *caller);
    }
    two.run_for(20 * SECOND);
    let mut seen = vec![false; callers.len()];
    for _ in &callers {
        let callee = two.accept(1, listener);
        let (bytes, end) = two.receive(1, callee);
        assert_eq!((bytes.len(), end), (5_000, Ok(0)));
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "bytes of two connections are mixed");
        seen[usize::from(bytes[0])] = true;
        two.close(1, callee);
    }
    assert!(seen.iter().all(|seen| *seen));
    two.run_for(10 * SETTLING);
    assert_eq!(two.connections_left(), 0);
}
