//! Ports that are kept for a socket, and ports that connections in TIME-WAIT make way for.

use crate::pair::{A4, B4, Pair, at};
use ciao_stack::{
    BindError, ConnectError, ConnectRequest, HostConfig, ListenError, ListenRequest, Offload, Reuse, SocketId,
};
use ciao_tcp::TcpState;
use std::sync::Arc;
use std::time::Duration;

fn request(local: &str, port: u16) -> ConnectRequest {
    ConnectRequest { local: Some(at(local, port)), ..ConnectRequest::to(at(B4, 80)) }
}

/// A pair of which A has only so many ports to choose from.
fn with_ports(ports: std::ops::RangeInclusive<u16>, change: impl FnOnce(&mut ciao_tcp::Config)) -> Pair {
    let mut tcp = ciao_tcp::Config::default();
    change(&mut tcp);
    let a = HostConfig { ephemeral_ports: ports, tcp: Arc::new(tcp), ..HostConfig::default() };
    Pair::with(a, HostConfig::default(), Offload::default())
}

fn close(pair: &mut Pair, client: SocketId, server: SocketId) {
    pair.a.host.tcp_close(pair.now, client);
    pair.flow();
    pair.b.host.tcp_close(pair.now, server);
    pair.flow();
}

#[test]
fn a_port_is_kept_from_the_moment_it_is_bound() {
    let mut pair = Pair::new();
    let host = &mut pair.a.host;
    let id = host.tcp_bind(at(A4, 5000), Reuse::Exclusive).expect("the port is free");
    assert_eq!(host.tcp_bound_local(id), at(A4, 5000));
    for reuse in [Reuse::Exclusive, Reuse::Shared] {
        assert_eq!(host.tcp_bind(at(A4, 5000), reuse), Err(BindError::AddressInUse));
        assert_eq!(host.tcp_bind(at("0.0.0.0", 5000), reuse), Err(BindError::AddressInUse));
        let listen = ListenRequest { reuse, ..ListenRequest::at(at(A4, 5000)) };
        assert_eq!(host.tcp_listen(listen), Err(ListenError::AddressInUse));
    }
    assert_eq!(host.tcp_connect(pair.now, request(A4, 5000)), Err(ConnectError::AddressInUse));
    assert!(host.tcp_bind(at("::", 5000), Reuse::Exclusive).is_ok(), "the other version is another matter");
    host.tcp_unbind(id);
    assert!(host.tcp_bind(at("0.0.0.0", 5000), Reuse::Exclusive).is_ok());
}

#[test]
fn those_who_share_a_port_may_both_have_it_but_only_one_listens() {
    let mut pair = Pair::new();
    let host = &mut pair.a.host;
    let one = host.tcp_bind(at(A4, 5000), Reuse::Shared).expect("the port is free");
    let other = host.tcp_bind(at("0.0.0.0", 5000), Reuse::Shared).expect("it is shared");
    assert_eq!(host.tcp_bind(at(A4, 5000), Reuse::Exclusive), Err(BindError::AddressInUse));
    let listen = |bound| ListenRequest { bound: Some(bound), ..ListenRequest::at(at(A4, 1)) };
    let listener = host.tcp_listen(listen(one)).expect("nobody listens yet");
    assert_eq!(host.tcp_listener_local(listener), at(A4, 5000), "the port that was bound");
    assert_eq!(host.tcp_listen(listen(other)), Err(ListenError::AddressInUse));
    assert_eq!(host.tcp_bind(at(A4, 5000), Reuse::Shared), Err(BindError::AddressInUse));
    // Giving the name back leaves the listener as it is.
    host.tcp_unbind(one);
    assert_eq!(host.tcp_bind(at(A4, 5000), Reuse::Shared), Err(BindError::AddressInUse));
    host.tcp_close_listener(pair.now, listener);
    assert!(host.tcp_listen(listen(other)).is_ok());
}

#[test]
fn who_wants_a_port_alone_waits_for_its_connections_and_who_shares_it_does_not() {
    let mut pair = Pair::new();
    let listener = pair.listen(B4, 80);
    let (client, server) = pair.connected_to(listener);
    pair.b.host.tcp_close_listener(pair.now, listener);
    let alone = |pair: &mut Pair| pair.b.host.tcp_bind(at(B4, 80), Reuse::Exclusive);
    assert_eq!(alone(&mut pair), Err(BindError::AddressInUse));
    let listen = ListenRequest { reuse: Reuse::Exclusive, ..ListenRequest::at(at(B4, 80)) };
    assert_eq!(pair.b.host.tcp_listen(listen), Err(ListenError::AddressInUse));
    pair.b.host.tcp_close(pair.now, server);
    pair.flow();
    pair.a.host.tcp_close(pair.now, client);
    pair.flow();
    assert_eq!(pair.b.host.counts().time_wait, 1);
    assert_eq!(alone(&mut pair), Err(BindError::AddressInUse), "one in TIME-WAIT counts too");
    let shared = pair.b.host.tcp_bind(at(B4, 80), Reuse::Shared).expect("TIME-WAIT is no obstacle");
    pair.b.host.tcp_unbind(shared);
    pair.run_for(Duration::from_secs(61));
    assert!(alone(&mut pair).is_ok());
}

#[test]
fn the_host_chooses_no_port_that_is_kept() {
    let mut pair = with_ports(5000..=5002, |_| {});
    let kept = pair.a.host.tcp_bind(at("0.0.0.0", 0), Reuse::Shared).expect("there are three");
    let port = pair.a.host.tcp_bound_local(kept).port();
    assert!((5000..=5002).contains(&port));
    pair.listen(B4, 80);
    let mut ports = vec![port];
    for _ in 0..2 {
        let client = pair.connect(B4, 80);
        ports.push(pair.a.host.tcp_local(client).port());
    }
    ports.sort_unstable();
    assert_eq!(ports, [5000, 5001, 5002]);
    let to = ConnectRequest::to(at(B4, 80));
    let refused = pair.a.host.tcp_connect(pair.now, to).expect_err("none is left");
    assert_eq!(refused, ConnectError::NoFreePort);
    assert_eq!(refused.to_string(), "every ephemeral port has a connection to this remote end");
    let other_end = ConnectRequest::to(at(B4, 81));
    assert!(pair.a.host.tcp_connect(pair.now, other_end).is_ok(), "other ends have all ports of their own");
    let bound = ConnectRequest { bound: Some(kept), ..to };
    let client = pair.a.host.tcp_connect(pair.now, bound).expect("it was kept for this");
    assert_eq!(pair.a.host.tcp_local(client), at(A4, port));
    pair.a.host.tcp_unbind(kept);
    pair.flow();
    assert_eq!(pair.a.host.tcp_state(client), TcpState::Established);
}

// RFC 6191 §2 6191-2
#[test]
fn when_no_port_is_free_one_that_only_waits_is_taken_if_timestamps_allow() {
    for timestamps in [true, false] {
        let mut pair = with_ports(5000..=5001, |tcp| tcp.timestamps = timestamps);
        let listener = pair.listen(B4, 80);
        for _ in 0..2 {
            let (client, server) = pair.connected_to(listener);
            close(&mut pair, client, server);
        }
        assert_eq!(pair.a.host.counts().time_wait, 2);
        let connect = |pair: &mut Pair| pair.a.host.tcp_connect(pair.now, ConnectRequest::to(at(B4, 80)));
        assert_eq!(connect(&mut pair), Err(ConnectError::NoFreePort), "the clocks have not ticked");
        pair.run_for(Duration::from_millis(1100));
        let again = connect(&mut pair);
        if !timestamps {
            assert_eq!(again, Err(ConnectError::NoFreePort));
            continue;
        }
        let client = again.expect("one makes way");
        pair.flow();
        assert_eq!(pair.a.host.tcp_state(client), TcpState::Established);
        assert_eq!(pair.a.host.counts().time_wait, 1);
        assert!(pair.b.host.tcp_accept(listener).is_some());
    }
}

// RFC 6191 §2 6191-1, 6191-2
#[test]
fn both_ends_in_time_wait_make_way_for_a_new_connection() {
    let mut pair = with_ports(5000..=5000, |_| {});
    let listener = pair.listen(B4, 80);
    let (client, server) = pair.connected_to(listener);
    // Both close before either knows of the other.
    pair.a.host.tcp_close(pair.now, client);
    pair.b.host.tcp_close(pair.now, server);
    pair.flow();
    assert_eq!((pair.a.host.counts().time_wait, pair.b.host.counts().time_wait), (1, 1));
    pair.run_for(Duration::from_secs(2));
    let (client, server) = pair.connected_to(listener);
    assert_eq!((pair.a.host.counts().time_wait, pair.b.host.counts().time_wait), (0, 0));
    pair.a.host.tcp_send(pair.now, client, b"new").expect("there is room");
    pair.flow();
    assert_eq!(crate::pair::read_all(&mut pair.b.host, pair.now, server).0, b"new");
}
