//! Accepting: order, limits, giving up, and many at once.

use crate::pair::{Pair, server_addr};
use ciao::{HostConfig, ListenRequest};
use ciao_sim::LinkConfig;
use ciao_stack::{HostTraceEvent, Tracing};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

#[test]
fn an_accept_that_was_given_up_loses_no_connection() {
    let pair = Pair::new();
    pair.run(async {
        let listener = pair.server.listen(server_addr()).await.unwrap();
        assert!(timeout(Duration::from_millis(5), listener.accept()).await.is_err());
        let _client = pair.client.connect(server_addr()).await.unwrap();
        assert!(timeout(Duration::from_secs(1), listener.accept()).await.is_ok());
    });
}

#[test]
fn port_zero_gets_a_port_and_a_taken_one_is_refused() {
    let pair = Pair::new();
    pair.run(async {
        let listener = pair.server.listen(("10.0.0.2", 0)).await.unwrap();
        let local = listener.local_addr().unwrap();
        assert_ne!(local.port(), 0);
        assert_eq!(pair.server.listen(local).await.unwrap_err().kind(), ErrorKind::AddrInUse);
        let foreign = pair.server.listen("10.9.9.9:80").await.unwrap_err();
        assert_eq!(foreign.kind(), ErrorKind::AddrNotAvailable);
        drop(listener);
        assert!(pair.server.listen(local).await.is_ok(), "the port is free again");
    });
}

#[test]
fn many_connections_at_once_each_get_their_own_bytes() {
    const CONNECTIONS: u32 = 300;
    let pair = Pair::new();
    pair.run(async {
        pair.serve_echo().await;
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let stack = pair.client.clone();
                tokio::spawn(async move {
                    let mut stream = stack.connect(server_addr()).await.unwrap();
                    stream.write_all(&number.to_be_bytes()).await.unwrap();
                    stream.shutdown().await.unwrap();
                    let mut echo = Vec::new();
                    stream.read_to_end(&mut echo).await.unwrap();
                    assert_eq!(echo, number.to_be_bytes());
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    });
}

#[test]
fn a_socket_that_was_told_things_passes_them_on_to_what_it_accepts() {
    let pair = Pair::new();
    pair.run(async {
        let socket = pair.server.new_socket_v4();
        socket.bind(server_addr()).unwrap();
        assert_eq!(socket.local_addr().unwrap(), server_addr());
        assert_eq!((socket.keepalive().unwrap(), socket.reuseaddr().unwrap()), (false, true));
        socket.set_keepalive(true).unwrap();
        socket.set_recv_buffer_size(20_000).unwrap();
        socket.set_tos_v4(46 << 2 | 1).unwrap();
        assert_eq!(socket.tos_v4().unwrap(), 46 << 2, "the lower two bits are not for applications");
        assert_eq!(socket.set_tos_v4(256).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(socket.take_error().unwrap().is_none());
        let listener = socket.listen(1).unwrap();
        let (_client, server) = pair.connected_to(&listener).await;
        let options = server.options().unwrap();
        assert!(options.keep_alive.is_some());
        assert_eq!(options.receive_buffer_bytes, Some(20_000));
    });
}

// RFC 9293 §3.9.1.9 MUST-48
// RFC 9293 §3.9.2 MUST-49
#[test]
fn ttl_and_diffserv_stand_in_every_packet_from_then_on() {
    let config = HostConfig { trace: Tracing::On, ..HostConfig::default() };
    let pair = Pair::with(1, &config, &LinkConfig::default());
    pair.run(async {
        let _listener = pair.server.listen(server_addr()).await.unwrap();
        let socket = pair.client.new_socket_v4();
        socket.set_tos_v4(46 << 2).unwrap();
        let mut stream = socket.connect(server_addr()).await.unwrap();
        stream.set_ttl(9).unwrap();
        stream.write_all(b"x").await.unwrap();
    });
    let sent = pair.client.drain_trace().into_iter().filter_map(|record| match record.event {
        HostTraceEvent::PacketSent { packet, .. } => Some(packet.to_vec()),
        _ => None,
    });
    let seen: Vec<_> = sent.map(|packet| (packet[1] >> 2, packet[8])).collect();
    assert_eq!(seen, [(46, 64), (46, 64), (46, 9), (46, 9)], "SYN, ACK; after the call data and FIN");
}

#[test]
fn the_backlog_holds_as_many_as_it_says() {
    let pair = Pair::new();
    pair.run(async {
        let request = ListenRequest { backlog: 2, ..ListenRequest::at(server_addr()) };
        let listener = pair.server.listen_with(request).unwrap();
        let mut clients = Vec::new();
        for _ in 0..4 {
            let attempt = timeout(Duration::from_millis(500), pair.client.connect(server_addr()));
            clients.push(attempt.await);
        }
        let mut accepted = 0;
        while timeout(Duration::from_millis(1), listener.accept()).await.is_ok() {
            accepted += 1;
        }
        assert_eq!(accepted, 2);
    });
}

#[test]
fn what_the_packets_of_a_listener_say_is_what_its_connections_say() {
    let pair = Pair::new();
    pair.run(async {
        let listener = pair.server.listen(server_addr()).await.unwrap();
        listener.set_ttl(9).unwrap();
        assert_eq!(listener.ttl().unwrap(), 9);
        listener.set_tos_v4(0x28).unwrap();
        let (_client, server) = pair.connected_to(&listener).await;
        assert_eq!((server.ttl().unwrap(), server.tos_v4().unwrap()), (9, 0x28));
    });
}
