//! The two directions apart.

use crate::pair::Pair;
use ciao_tcp::TcpState;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

#[test]
fn a_dropped_write_half_sends_fin_and_the_read_half_goes_on() {
    let pair = Pair::new();
    pair.run(async {
        let (client, mut server) = pair.connected().await;
        let (mut read, mut write) = client.into_split();
        write.write_all(b"last words").await.unwrap();
        drop(write);
        let mut bytes = Vec::new();
        server.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"last words");
        server.write_all(b"heard").await.unwrap();
        drop(server);
        let mut bytes = Vec::new();
        read.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"heard");
    });
}

#[test]
fn a_forgotten_write_half_sends_nothing() {
    let pair = Pair::new();
    pair.run(async {
        let (client, server) = pair.connected().await;
        let (read, write) = client.into_split();
        write.forget();
        sleep(Duration::from_millis(50)).await;
        assert_eq!(server.state(), TcpState::Established);
        drop(read);
        server.readable().await.unwrap();
        assert_eq!(server.state(), TcpState::CloseWait);
    });
}

#[test]
fn halves_of_one_connection_are_joined_and_others_come_back() {
    let pair = Pair::new();
    pair.run(async {
        let (client, server) = pair.connected().await;
        let (client_read, client_write) = client.into_split();
        let (server_read, server_write) = server.into_split();
        let error = client_read.reunite(server_write).unwrap_err();
        let (client_read, server_write) = (error.0, error.1);
        let mut client = client_write.reunite(client_read).unwrap();
        let mut server = server_read.reunite(server_write).unwrap();
        client.write_all(b"whole").await.unwrap();
        let mut bytes = [0; 5];
        server.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"whole");
    });
}

#[test]
fn borrowed_halves_read_and_write_at_once() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, mut server) = pair.connected().await;
        let echo = tokio::spawn(async move {
            let (mut read, mut write) = server.split();
            tokio::io::copy(&mut read, &mut write).await.unwrap()
        });
        let (mut read, mut write) = client.split();
        let mut bytes = Vec::new();
        let sent = vec![3; 300_000];
        let writing = async {
            write.write_all(&sent).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let reading = async {
            read.read_to_end(&mut bytes).await.unwrap();
        };
        tokio::join!(biased; writing, reading);
        assert_eq!(echo.await.unwrap(), 300_000);
        assert_eq!(bytes, sent);
    });
}
