//! Accepting: order, limits, giving up, and many at once.

use crate::pair::{Pair, server_addr};
use ciao::ListenRequest;
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
        let listener = pair.server.listen(server_addr()).await.unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await.unwrap();
                });
            }
        });
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
fn a_listeners_ttl_is_its_connections() {
    let pair = Pair::new();
    pair.run(async {
        let listener = pair.server.listen(server_addr()).await.unwrap();
        listener.set_ttl(9).unwrap();
        assert_eq!(listener.ttl().unwrap(), 9);
        let (_client, server) = pair.connected_to(&listener).await;
        assert_eq!(server.ttl().unwrap(), 9);
    });
}
