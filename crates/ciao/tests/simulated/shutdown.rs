//! The end of a stack: in order, or with its driver.

use crate::live::memory_stacks;
use crate::pair::{Pair, server_addr};
use ciao::MemoryConfig;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

#[test]
fn shutdown_waits_for_the_connections_and_reports_time_wait() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, server) = pair.connected().await;
        let peer = client.peer_addr().unwrap();
        let ending = tokio::spawn(async move {
            sleep(Duration::from_millis(300)).await;
            client.write_all(b"bye").await.unwrap();
            drop(client);
        });
        let other_end = tokio::spawn(async move {
            let (mut read, _write) = server.into_split();
            let mut bytes = Vec::new();
            read.read_to_end(&mut bytes).await.unwrap();
            bytes
        });
        let started = Instant::now();
        let report = pair.client.shutdown(Duration::from_secs(10)).await;
        assert!(started.elapsed() > Duration::from_millis(300) && started.elapsed() < Duration::from_secs(1));
        assert_eq!((report.aborted, report.time_waits.len()), (0, 1));
        assert_eq!(report.time_waits[0].1, peer);
        ending.await.unwrap();
        assert_eq!(other_end.await.unwrap(), b"bye");
        assert_eq!(pair.client.connect(server_addr()).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn shutdown_stops_listeners_at_once_and_aborts_what_does_not_end() {
    let pair = Pair::new();
    pair.run(async {
        let listener = pair.server.listen(server_addr()).await.unwrap();
        let (mut client, mut server) = pair.connected_to(&listener).await;
        let accepting = tokio::spawn(async move { listener.accept().await.map(drop) });
        let report = pair.server.shutdown(Duration::from_secs(2)).await;
        assert_eq!(report.aborted, 1);
        assert_eq!(accepting.await.unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(server.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(client.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[tokio::test]
async fn a_dropped_driver_fails_whoever_waits() {
    let [(client, client_driver), (server, _)] = memory_stacks(MemoryConfig::OFFLOAD);
    let listener = server.listen("192.168.1.2:80").await.unwrap();
    let mut stream = client.connect("192.168.1.2:80").await.unwrap();
    let _accepted = listener.accept().await.unwrap();
    let reading = tokio::spawn(async move { stream.read(&mut [0; 8]).await });
    tokio::task::yield_now().await;
    client_driver.abort();
    let error = reading.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert!(error.to_string().contains("driver"), "{error}");
    assert_eq!(client.connect("192.168.1.2:80").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn the_driver_ends_with_the_shutdown() {
    let [(client, client_driver), (server, server_driver)] = memory_stacks(MemoryConfig::OFFLOAD);
    client.shutdown(Duration::ZERO).await;
    assert!(client_driver.await.unwrap().is_ok());
    // The peer's end of the memory is gone now, which is a failed device to the other one.
    drop(client);
    let error = server_driver.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
    assert_eq!(server.listen("192.168.1.2:80").await.unwrap_err().kind(), ErrorKind::NetworkDown);
}
