//! Ending: FIN and RST, one direction and both, and what a program is told.

use crate::pair::Pair;
use ciao_tcp::TcpState;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

/// Longer than everything under way needs to arrive.
const A_WHILE: Duration = Duration::from_millis(200);

#[test]
fn the_client_may_close_its_direction_and_still_read() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, mut server) = pair.connected().await;
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = Vec::new();
        server.read_to_end(&mut question).await.unwrap();
        assert_eq!(question, b"question");
        assert_eq!(server.state(), TcpState::CloseWait);
        sleep(A_WHILE).await;
        assert_eq!(client.state(), TcpState::FinWait2);
        server.write_all(b"answer").await.unwrap();
        server.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
        assert_eq!(client.state(), TcpState::TimeWait);
    });
}

#[test]
fn the_server_may_close_its_direction_and_still_read() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, mut server) = pair.connected().await;
        server.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        client.write_all(b"still here").await.unwrap();
        drop(client);
        let mut bytes = Vec::new();
        server.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"still here");
    });
}

#[test]
fn a_write_after_our_own_fin_is_a_broken_pipe() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, _server) = pair.connected().await;
        client.shutdown().await.unwrap();
        assert_eq!(client.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

// RFC 9293 §3.6 MUST-12
#[test]
fn a_reset_is_told_once_and_is_never_an_end_of_file() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, server) = pair.connected().await;
        server.abort();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(client.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(client.state(), TcpState::Closed);
        assert!(client.peer_addr().is_ok(), "the addresses can be asked for after the end");
    });
}

#[test]
fn take_error_takes_it() {
    let pair = Pair::new();
    pair.run(async {
        let (client, server) = pair.connected().await;
        assert!(client.take_error().unwrap().is_none());
        server.set_zero_linger().unwrap();
        drop(server);
        client.readable().await.unwrap();
        assert_eq!(client.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionReset);
        assert!(client.take_error().unwrap().is_none());
        assert_eq!(client.try_read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn a_connection_dropped_with_unread_bytes_is_reset() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, server) = pair.connected().await;
        client.write_all(b"nobody reads this").await.unwrap();
        server.readable().await.unwrap();
        drop(server);
        assert_eq!(client.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn what_was_written_before_the_drop_arrives_in_the_background() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, mut server) = pair.connected().await;
        client.write_all(&[7; 100_000]).await.unwrap();
        drop(client);
        let mut bytes = Vec::new();
        server.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, vec![7; 100_000]);
    });
}

#[test]
fn time_wait_ends_and_nothing_is_left() {
    let pair = Pair::new();
    pair.run(async {
        let (client, server) = pair.connected().await;
        drop(client);
        server.readable().await.unwrap();
        drop(server);
        sleep(A_WHILE).await;
        assert_eq!(pair.client.counts().time_wait, 1);
        assert_eq!(pair.server.counts().connections, 0);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(pair.client.counts().time_wait, 0);
    });
}

#[test]
fn a_peer_that_falls_silent_is_noticed_by_whoever_sends() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, _server) = pair.connected().await;
        client.change_options(|options| options.user_timeout = Some(Duration::from_secs(5))).unwrap();
        pair.cut();
        client.write_all(b"anyone?").await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::TimedOut);
    });
}
