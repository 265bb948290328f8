//! Urgent data and trouble on the path, as a program sees them.

use crate::pair::Pair;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

// RFC 9293 §3.8.5 MUST-30, MUST-32, MUST-33
#[test]
fn a_program_learns_how_far_the_peers_urgent_data_reaches() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, mut server) = pair.connected().await;
        client.write_all(b"calm").await.unwrap();
        assert_eq!(client.write_urgent(b"hurry").await.unwrap(), 5);
        client.write_all(b"calm again").await.unwrap();
        assert_eq!(server.urgent().await.unwrap(), 9);
        let mut read = [0; 9];
        server.read_exact(&mut read).await.unwrap();
        assert_eq!((&read, server.urgent_len().unwrap()), (b"calmhurry", 0));
        let mut read = [0; 10];
        server.read_exact(&mut read).await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(server.urgent().await.unwrap(), 0, "no more can come");
    });
}

// RFC 9293 §3.8.3 SHLD-9
#[test]
fn a_program_is_told_of_trouble_on_the_path_long_before_the_connection_ends() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, _server) = pair.connected().await;
        assert!(!client.take_delivery_trouble().unwrap());
        pair.cut();
        client.write_all(b"into the void").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert!(!client.take_delivery_trouble().unwrap(), "two retransmissions may still be bad luck");
        sleep(Duration::from_secs(2)).await;
        assert!(client.take_delivery_trouble().unwrap());
        assert!(!client.take_delivery_trouble().unwrap(), "it is told once");
    });
}
