//! Connecting: who answers, who refuses, who does not answer, and who gives up.

use crate::pair::{Pair, SERVER, server_addr};
use ciao::{TcpListener, TcpSocket, TcpStream};
use ciao_tcp::TcpState;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

#[test]
fn an_echo_goes_there_and_back() {
    let pair = Pair::new();
    pair.run(async {
        let listener = pair.server.listen(server_addr()).await.unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
        });
        let mut stream = pair.client.connect(server_addr()).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"hello");
        server.await.unwrap();
    });
}

#[test]
fn connect_takes_one_round_trip() {
    let pair = Pair::new();
    pair.run(async {
        let _listener = pair.server.listen(server_addr()).await.unwrap();
        let started = tokio::time::Instant::now();
        let _stream = pair.client.connect(server_addr()).await.unwrap();
        assert_eq!(started.elapsed(), Duration::from_millis(20));
    });
}

#[test]
fn a_port_without_listener_refuses() {
    let pair = Pair::new();
    let error = pair.run(async { pair.client.connect(server_addr()).await.unwrap_err() });
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn the_first_address_that_answers_wins() {
    let pair = Pair::new();
    pair.run(async {
        let _listener = pair.server.listen(server_addr()).await.unwrap();
        let addresses = [SocketAddr::from((SERVER, 81)), server_addr()];
        let stream = pair.client.connect(&addresses[..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), server_addr());
    });
}

// RFC 9293 §3.8.3 MUST-22, MUST-23
#[test]
fn a_peer_that_never_answers_is_given_up_after_three_minutes() {
    let pair = Pair::new();
    pair.cut();
    pair.run(async {
        let started = tokio::time::Instant::now();
        let error = pair.client.connect(server_addr()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(started.elapsed() >= Duration::from_secs(180), "{:?}", started.elapsed());
    });
}

#[test]
fn an_address_without_a_route_is_unreachable_at_once() {
    let pair = Pair::new();
    let nowhere = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 80));
    let error = pair.run(async { pair.client.connect(nowhere).await.unwrap_err() });
    assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
}

#[test]
fn a_dropped_attempt_leaves_no_connection_behind() {
    let pair = Pair::new();
    pair.cut();
    pair.run(async {
        let attempt = timeout(Duration::from_millis(50), pair.client.connect(server_addr()));
        assert!(attempt.await.is_err());
        assert_eq!(pair.client.counts().connections, 0);
    });
}

#[test]
fn the_entered_stack_is_the_one_that_connects_and_listens() {
    let pair = Pair::new();
    pair.run(async {
        let listener = pair.server.scope(TcpListener::bind(server_addr())).await.unwrap();
        let stream = pair.client.scope(TcpStream::connect(server_addr())).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert_eq!(accepted.peer_addr().unwrap(), stream.local_addr().unwrap());
        let missing = TcpStream::connect(server_addr()).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_socket_connects_from_the_address_that_it_is_bound_to() {
    let pair = Pair::new();
    pair.run(async {
        let _entered = pair.client.enter();
        let _listener = pair.server.listen(server_addr()).await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        let local = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 5000));
        socket.bind(local).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_send_buffer_size(4096).unwrap();
        socket.set_linger(Some(Duration::from_secs(5))).unwrap();
        let stream = socket.connect(server_addr()).await.unwrap();
        assert_eq!(stream.local_addr().unwrap(), local);
        assert!(stream.nodelay().unwrap());
        assert_eq!(stream.linger().unwrap(), Some(Duration::from_secs(5)));
        assert_eq!(stream.options().unwrap().send_buffer_bytes, Some(4096));

        let second = TcpSocket::new_v4().unwrap();
        second.bind(local).unwrap();
        assert_eq!(second.connect(server_addr()).await.unwrap_err().kind(), ErrorKind::AddrInUse);
        let third = TcpSocket::new_v4().unwrap();
        assert_eq!(third.bind("[::1]:5000".parse().unwrap()).unwrap_err().kind(), ErrorKind::InvalidInput);
        let foreign = third.bind((SERVER, 5000).into());
        assert_eq!(foreign.unwrap_err().kind(), ErrorKind::AddrNotAvailable);
    });
}

#[test]
fn a_bound_socket_keeps_its_port_until_it_is_dropped() {
    let pair = Pair::new();
    let local = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 5000));
    let first = pair.client.new_socket_v4();
    first.bind(local).unwrap();
    assert_eq!(first.bind(local).unwrap_err().kind(), ErrorKind::InvalidInput, "it is bound already");
    let alone = pair.client.new_socket_v4();
    alone.set_reuseaddr(false).unwrap();
    assert_eq!(alone.bind(local).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(first);
    alone.bind(local).unwrap();
    let late = pair.client.new_socket_v4();
    assert_eq!(late.bind(local).unwrap_err().kind(), ErrorKind::AddrInUse);
    let any = pair.client.new_socket_v4();
    any.bind((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap();
    assert_ne!(any.local_addr().unwrap().port(), 0, "the number is known at once");
    let port = any.local_addr().unwrap().port();
    let listener = any.listen(1).unwrap();
    assert_eq!(listener.local_addr().unwrap().port(), port);
}

#[test]
fn connections_over_both_versions_of_ip_reach_established() {
    let pair = Pair::new();
    pair.run(async {
        for address in pair.server.addresses() {
            let listener = pair.server.listen((address, 443)).await.unwrap();
            let (client, server) = pair.connected_to(&listener).await;
            assert_eq!((client.state(), server.state()), (TcpState::Established, TcpState::Established));
        }
    });
}

#[test]
fn the_ttl_may_be_any_but_zero() {
    let pair = Pair::new();
    pair.run(async {
        let (client, _server) = pair.connected().await;
        assert_eq!(client.ttl().unwrap(), 64);
        client.set_ttl(3).unwrap();
        assert_eq!(client.ttl().unwrap(), 3);
        for refused in [0, 256] {
            assert_eq!(client.set_ttl(refused).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    });
}

// RFC 9293 §3.9.1.9 MUST-48
#[test]
fn what_a_socket_was_told_counts_for_its_connections() {
    let pair = Pair::new();
    pair.run(async {
        for which in 0..7 {
            let caller = pair.client.new_socket_v4();
            let listening = pair.server.new_socket_v4();
            listening.bind((SERVER, 443).into()).unwrap();
            for socket in [&caller, &listening] {
                socket.set_nodelay(which == 0).unwrap();
                socket.set_cork(which == 1).unwrap();
                socket.set_quickack(which == 2).unwrap();
                socket.set_notsent_lowat((which == 3).then_some(9_000)).unwrap();
                socket.set_recv_lowat((which == 4).then_some(90)).unwrap();
                socket.set_keepalive(which == 5).unwrap();
                socket.set_tos_v4(0xb8 * u32::from(which == 6)).unwrap();
            }
            let listener = listening.listen(1).unwrap();
            let client = caller.connect((SERVER, 443).into()).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            for stream in [client, server] {
                assert_eq!(stream.nodelay().unwrap(), which == 0);
                assert_eq!(stream.cork().unwrap(), which == 1);
                assert_eq!(stream.quickack().unwrap(), which == 2);
                assert_eq!(stream.notsent_lowat().unwrap(), (which == 3).then_some(9_000));
                assert_eq!(stream.recv_lowat().unwrap(), (which == 4).then_some(90));
                assert_eq!(stream.keepalive().unwrap(), which == 5);
                assert_eq!(stream.tos_v4().unwrap(), 0xb8 * u32::from(which == 6));
            }
        }
    });
}
