//! UDP.

use crate::pair::{Pair, SERVER};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

#[test]
fn datagrams_go_there_and_back_with_their_borders() {
    let pair = Pair::new();
    pair.run(async {
        let server = pair.server.bind_udp((SERVER, 53)).await.unwrap();
        let client = pair.client.bind_udp("10.0.0.1:0").await.unwrap();
        for datagram in [&b"one"[..], b"", b"three"] {
            assert_eq!(client.send_to(datagram, (SERVER, 53)).await.unwrap(), datagram.len());
        }
        let mut bytes = [0; 64];
        for expected in [&b"one"[..], b"", b"three"] {
            let (len, from) = server.recv_from(&mut bytes).await.unwrap();
            assert_eq!((&bytes[..len], from), (expected, client.local_addr().unwrap()));
        }
        server.send_to(b"answer", client.local_addr().unwrap()).await.unwrap();
        assert_eq!(client.recv(&mut bytes).await.unwrap(), 6);
        assert_eq!(client.try_recv(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    let pair = Pair::new();
    pair.run(async {
        let client = pair.client.bind_udp("10.0.0.1:5353").await.unwrap();
        assert_eq!(client.try_send(b"x").unwrap_err().kind(), ErrorKind::NotConnected);
        client.connect((SERVER, 53)).await.unwrap();
        let local = client.local_addr().unwrap();
        let peer = pair.server.bind_udp((SERVER, 53)).await.unwrap();
        let stranger = pair.server.bind_udp((SERVER, 54)).await.unwrap();
        stranger.send_to(b"psst", local).await.unwrap();
        peer.send_to(b"hello", local).await.unwrap();
        let mut bytes = [0; 64];
        let (len, from) = client.recv_from(&mut bytes).await.unwrap();
        assert_eq!((&bytes[..len], from), (&b"hello"[..], SocketAddr::from((SERVER, 53))));
        assert!(timeout(Duration::from_millis(100), client.recv(&mut bytes)).await.is_err());
    });
}

#[test]
fn a_datagram_longer_than_a_packet_arrives_and_one_longer_than_any_is_refused() {
    let pair = Pair::new();
    pair.run(async {
        let server = pair.server.bind_udp((SERVER, 53)).await.unwrap();
        let client = pair.client.bind_udp("10.0.0.1:0").await.unwrap();
        let long: Vec<u8> = (0..8_000).map(|n| n as u8).collect();
        client.send_to(&long, (SERVER, 53)).await.unwrap();
        let mut bytes = vec![0; 10_000];
        let (len, _) = server.recv_from(&mut bytes).await.unwrap();
        assert!(bytes[..len] == long, "{len} bytes");
        let error = client.try_send_to(&[0; 65_508], (SERVER, 53).into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_connected_socket_learns_that_nobody_listens() {
    let pair = Pair::new();
    pair.run(async {
        let client = pair.client.bind_udp("10.0.0.1:0").await.unwrap();
        client.connect((SERVER, 9)).await.unwrap();
        client.send(b"anybody?").await.unwrap();
        let refused = client.recv(&mut [0; 8]).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(client.try_recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

// RFC 9293 §3.9.1.9 SHLD-21
#[test]
fn what_packets_say_to_the_network_can_be_asked_and_changed() {
    let pair = Pair::new();
    pair.run(async {
        let udp = pair.client.bind_udp("10.0.0.1:0").await.unwrap();
        assert_eq!((udp.ttl().unwrap(), udp.tos_v4().unwrap()), (64, 0));
        udp.set_ttl(5).unwrap();
        udp.set_tos_v4(0xb8).unwrap();
        assert_eq!((udp.ttl().unwrap(), udp.tos_v4().unwrap()), (5, 0xb8));
        for wrong in [udp.set_ttl(0), udp.set_ttl(256), udp.set_tos_v4(256)] {
            assert_eq!(wrong.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        let listener = pair.server.listen((SERVER, 80)).await.unwrap();
        let stream = pair.client.connect((SERVER, 80)).await.unwrap();
        listener.accept().await.unwrap();
        stream.set_tclass_v6(0xbb).unwrap();
        assert_eq!(stream.tclass_v6().unwrap(), 0xb8, "ECN's bits are not the application's");
    });
}
