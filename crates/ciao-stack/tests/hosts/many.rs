//! Many connections: what each costs in steps and bytes, TIME-WAIT in masses, and ports.

use crate::pair::{B4, Pair, at, read_all};
use ciao_stack::{ConnectError, ConnectRequest, Host, HostConfig, ListenRequest, SocketId};
use ciao_tcp::TcpState;
use ciao_wire::Instant;
use std::collections::BTreeSet;
use std::time::Duration;

/// A pair with `count` connections that are established and have nothing to do.
fn idle(count: usize) -> (Pair, Vec<(SocketId, SocketId)>) {
    let mut pair = Pair::new();
    let listener = pair.listen(B4, 80);
    let sockets = (0..count).map(|_| pair.connected_to(listener)).collect();
    pair.run_for(Duration::from_secs(300));
    (pair, sockets)
}

/// Timer steps of both hosts for a thousand echoes of one byte on one connection.
fn steps_of_echoes(count: usize) -> u64 {
    let (mut pair, sockets) = idle(count);
    let (client, server) = sockets[count / 2];
    let steps = |pair: &Pair| pair.a.host.timer_steps() + pair.b.host.timer_steps();
    let before = steps(&pair);
    for _ in 0..1_000 {
        pair.a.host.tcp_send(pair.now, client, b"x").expect("there is room");
        pair.flow();
        assert_eq!(read_all(&mut pair.b.host, pair.now, server).0, b"x");
        pair.b.host.tcp_send(pair.now, server, b"y").expect("there is room");
        pair.flow();
        assert_eq!(read_all(&mut pair.a.host, pair.now, client).0, b"y");
        pair.run_for(Duration::from_micros(100));
    }
    steps(&pair) - before
}

// Rows R19, R20: the work for one connection does not depend on how many others there are.
#[test]
fn ten_thousand_idle_connections_add_no_work_to_the_echo_of_one() {
    let among_few = steps_of_echoes(3);
    let among_many = steps_of_echoes(10_000);
    assert!(among_many <= among_few + 100, "{among_many} steps, {among_few} among few");
    assert!(among_few <= 20_000, "{among_few} steps for a thousand echoes");
}

// RFC 9293 §3.8.4 MUST-25
#[test]
fn idle_connections_send_nothing_and_want_nothing() {
    let (mut pair, _sockets) = idle(100);
    pair.a.take_sent();
    pair.b.take_sent();
    assert_eq!((pair.a.host.poll_timeout(), pair.b.host.poll_timeout()), (None, None));
    pair.run_for(Duration::from_secs(30 * 86_400));
    assert!(pair.a.sent.is_empty() && pair.b.sent.is_empty());
}

/// Opens, closes from B's end, and lets both ends go.
fn short_connection(pair: &mut Pair, listener: ciao_stack::ListenerId) {
    let (client, server) = pair.connected_to(listener);
    pair.b.host.tcp_shutdown(pair.now, server);
    pair.flow();
    pair.a.host.tcp_close(pair.now, client);
    pair.flow();
    assert_eq!(read_all(&mut pair.b.host, pair.now, server), (Vec::new(), true));
    pair.b.host.tcp_close(pair.now, server);
    pair.flow();
}

// Row R9, RFC 6191: the ports are used again and again before their TIME-WAIT is over.
// RFC 9293 §3.6.1 MAY-2, SHLD-4
#[test]
fn thousands_of_short_connections_reuse_their_ports_without_a_failure() {
    let config = HostConfig { ephemeral_ports: 40_000..=40_999, ..HostConfig::default() };
    let mut pair = Pair::with(config, HostConfig::default(), ciao_stack::Offload::default());
    let listener = pair.listen(B4, 80);
    for _ in 0..4_000 {
        short_connection(&mut pair, listener);
        pair.now += Duration::from_millis(1);
    }
    let counts = pair.b.host.counts();
    assert!((1..=1_000).contains(&counts.time_wait), "{counts:?}");
    assert_eq!((counts.connections, pair.a.host.counts().connections), (0, 0));
    assert_eq!(pair.b.host.counters().drops().count(), 0, "{:?}", pair.b.host.counters());
    pair.run_for(Duration::from_secs(61));
    assert_eq!(pair.b.host.counts().time_wait, 0);
}

#[test]
fn more_records_in_time_wait_than_allowed_push_the_oldest_out() {
    let config = HostConfig { max_time_wait: 100, ..HostConfig::default() };
    let mut pair = Pair::with(HostConfig::default(), config, ciao_stack::Offload::default());
    let listener = pair.listen(B4, 80);
    for _ in 0..250 {
        short_connection(&mut pair, listener);
    }
    assert_eq!(pair.b.host.counts().time_wait, 100);
    assert_eq!(pair.b.host.counters().time_wait_evicted, 150);
    let ends: Vec<Instant> = pair.b.host.time_waits().map(|(_, _, expires)| expires).collect();
    assert!(ends.is_sorted());
}

#[test]
fn records_end_in_order_though_their_owners_let_go_in_another() {
    let mut pair = Pair::new();
    let listener = pair.listen(B4, 80);
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let (client, server) = pair.connected_to(listener);
        pair.b.host.tcp_shutdown(pair.now, server);
        pair.flow();
        pair.a.host.tcp_close(pair.now, client);
        pair.flow();
        assert_eq!(pair.b.host.tcp_state(server), TcpState::TimeWait);
        waiting.push(server);
    }
    for server in waiting.into_iter().rev() {
        pair.b.host.tcp_close(pair.now, server);
        pair.flow();
    }
    let ends: Vec<Instant> = pair.b.host.time_waits().map(|(_, _, expires)| expires).collect();
    assert!(ends.len() == 5 && ends.is_sorted(), "{ends:?}");
    for (n, end) in ends.iter().enumerate() {
        pair.run_until(*end);
        assert_eq!(pair.b.host.counts().time_wait, 4 - n);
    }
}

// A connection in TIME-WAIT that its owner still holds gives way to a newer one and stays readable.
#[test]
fn a_held_connection_in_time_wait_lets_a_newer_one_have_its_ports() {
    let config = HostConfig { ephemeral_ports: 40_000..=40_000, ..HostConfig::default() };
    let mut pair = Pair::with(config, HostConfig::default(), ciao_stack::Offload::default());
    let listener = pair.listen(B4, 80);
    let (client, server) = pair.connected_to(listener);
    pair.a.host.tcp_send(pair.now, client, b"last words").expect("there is room");
    pair.flow();
    pair.b.host.tcp_shutdown(pair.now, server);
    pair.flow();
    pair.a.host.tcp_close(pair.now, client);
    pair.flow();
    assert_eq!(pair.b.host.tcp_state(server), TcpState::TimeWait);
    pair.now += Duration::from_secs(1);
    let (client, newer) = pair.connected_to(listener);
    assert_eq!(pair.a.host.tcp_state(client), TcpState::Established);
    assert_eq!(read_all(&mut pair.b.host, pair.now, server), (b"last words".to_vec(), true));
    assert_eq!(pair.b.host.tcp_remote(server), pair.b.host.tcp_remote(newer));
    pair.b.host.tcp_close(pair.now, server);
    pair.a.host.tcp_send(pair.now, client, b"first words").expect("there is room");
    pair.flow();
    assert_eq!(read_all(&mut pair.b.host, pair.now, newer).0, b"first words");
    assert_eq!(pair.b.host.counts().connections, 1);
}

// RFC 6056 §3.3.1 6056-3a
#[test]
fn ports_are_chosen_without_order_and_never_twice_for_one_remote_end() {
    let config = HostConfig { ephemeral_ports: 50_000..=50_099, ..HostConfig::default() };
    let mut host: Host = crate::pair::host(&[crate::pair::A4], config, 1);
    let connect = |host: &mut Host| host.tcp_connect(Instant::ZERO, ConnectRequest::to(at(B4, 80)));
    let ports: Vec<u16> = (0..100)
        .map(|_| {
            let id = connect(&mut host).expect("a port is free");
            host.tcp_local(id).port()
        })
        .collect();
    assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 100);
    let neighbours = ports.windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
    assert!(neighbours < 20, "{ports:?}");
    assert_eq!(connect(&mut host), Err(ConnectError::NoFreePort));
    assert!(host.tcp_connect(Instant::ZERO, ConnectRequest::to(at(B4, 81))).is_ok(), "another remote end");
}

#[test]
fn a_host_has_no_more_connections_than_it_may() {
    let config = HostConfig { max_connections: 2, ..HostConfig::default() };
    let mut pair = Pair::with(config.clone(), config, ciao_stack::Offload::default());
    pair.b.host.tcp_listen(ListenRequest::at(at(B4, 80))).expect("the port is free");
    pair.connect(B4, 80);
    pair.connect(B4, 80);
    let third = pair.a.host.tcp_connect(pair.now, ConnectRequest::to(at(B4, 80)));
    assert_eq!(third, Err(ConnectError::TooManyConnections));
}

// Row R10: whoever never closes does not keep what its peer has given up.
#[test]
fn peers_that_never_close_leave_nothing_behind_a_minute_after_the_owners_are_gone() {
    let (mut pair, sockets) = idle(500);
    for (_, server) in &sockets {
        pair.b.host.tcp_close(pair.now, *server);
    }
    pair.flow();
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.b.host.counts().connections, 500);
    assert_eq!(pair.a.host.tcp_state(sockets[0].0), TcpState::CloseWait);
    pair.run_for(Duration::from_secs(61));
    assert_eq!(pair.b.host.counts(), ciao_stack::Counts { listeners: 1, ..Default::default() });
}

// Row H10: what is printed of a host is the same whatever its secrets are.
#[test]
fn a_host_shows_none_of_its_secrets() {
    let shown = |seed| format!("{:?}", crate::pair::host(&[B4], HostConfig::default(), seed));
    assert_eq!(shown(1), shown(2));
}

// Row R20: all timers at once.
#[test]
fn thousands_of_timers_in_one_moment_cost_a_few_steps_each() {
    let (mut pair, sockets) = idle(2_000);
    let keep_alive = ciao_tcp::config::KeepAlive::default();
    for (client, _) in &sockets {
        let options = ciao_tcp::SocketOptions { keep_alive: Some(keep_alive), ..Default::default() };
        pair.a.host.tcp_set_options(pair.now, *client, options);
    }
    pair.flow();
    let before = pair.a.host.timer_steps();
    pair.a.take_sent();
    pair.run_for(keep_alive.idle + Duration::from_secs(1));
    assert!(pair.a.take_sent().len() >= 2_000, "each has sent its probe");
    let steps = pair.a.host.timer_steps() - before;
    assert!(steps <= 2_000 * 20, "{steps} steps");
}
