//! Reading and writing: waiting and not waiting, with and without copies, and who is woken.

use crate::pair::Pair;
use bytes::Bytes;
use ciao::{HostConfig, TcpStream};
use ciao_sim::LinkConfig;
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, ReadBuf};
use tokio::time::{sleep, timeout};

/// Bytes that differ from place to place.
fn noise(len: usize) -> Vec<u8> {
    (0_u32..).map(|place| place.wrapping_mul(2_654_435_761).to_be_bytes()[1]).take(len).collect()
}

/// Sends `sent` both ways at once and compares.
async fn exchange(client: TcpStream, server: TcpStream, sent: &[u8]) {
    let one_end = |stream: TcpStream| async move {
        let (mut read, mut write) = stream.into_split();
        let mut received = Vec::new();
        let writing = async {
            write.write_all(sent).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let reading = async {
            read.read_to_end(&mut received).await.unwrap();
        };
        tokio::join!(biased; writing, reading);
        received
    };
    let (at_client, at_server) = tokio::join!(biased; one_end(client), one_end(server));
    assert!(at_client == sent && at_server == sent, "{} and {} bytes", at_client.len(), at_server.len());
}

#[test]
fn a_megabyte_goes_both_ways_at_once() {
    let pair = Pair::new();
    pair.run(async {
        let (client, server) = pair.connected().await;
        exchange(client, server, &noise(1 << 20)).await;
    });
}

#[test]
fn every_byte_arrives_over_a_link_that_loses_reorders_and_doubles() {
    let link = LinkConfig {
        loss_ppm: 20_000,
        reorder_ppm: 20_000,
        duplicate_ppm: 10_000,
        corrupt_ppm: 10_000,
        ..LinkConfig::default()
    };
    let pair = Pair::with(5, &HostConfig::default(), &link);
    pair.run(async {
        let (client, server) = pair.connected().await;
        exchange(client, server, &noise(200_000)).await;
    });
}

#[test]
fn peek_does_not_take_and_answers_zero_at_the_end() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, mut server) = pair.connected().await;
        client.write_all(b"look").await.unwrap();
        client.shutdown().await.unwrap();
        let mut bytes = [0; 8];
        assert_eq!(server.peek(&mut bytes).await.unwrap(), 4);
        assert_eq!(server.peek(&mut bytes[..2]).await.unwrap(), 2);
        assert_eq!(server.read(&mut bytes).await.unwrap(), 4);
        assert_eq!(&bytes[..4], b"look");
        assert_eq!(server.peek(&mut bytes).await.unwrap(), 0);
    });
}

#[test]
fn the_polls_answer_as_the_futures_do() {
    let pair = Pair::new();
    pair.run(async {
        let (client, server) = pair.connected().await;
        poll_fn(|cx| client.poll_write_ready(cx)).await.unwrap();
        client.try_write(b"polled").unwrap();
        poll_fn(|cx| server.poll_read_ready(cx)).await.unwrap();
        let mut bytes = [0; 16];
        let mut buf = ReadBuf::new(&mut bytes);
        assert_eq!(poll_fn(|cx| server.poll_peek(cx, &mut buf)).await.unwrap(), 6);
        assert_eq!(buf.filled(), b"polled");
        assert_eq!(server.try_read(&mut [0; 16]).unwrap(), 6);
        let pending = poll_fn(|cx| std::task::Poll::Ready(server.poll_read_ready(cx).is_pending())).await;
        assert!(pending, "nothing is left");
    });
}

#[test]
fn an_attempt_without_data_or_room_would_block() {
    let pair = Pair::new();
    pair.run(async {
        let (client, server) = pair.connected().await;
        assert_eq!(server.try_read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let chunk = [1; 64 * 1024];
        let mut written = 0;
        let full = loop {
            match client.try_write(&chunk) {
                Ok(count) => written += count,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        server.readable().await.unwrap();
        let mut read = 0;
        while read < written {
            read += server.try_read(&mut vec![0; 10_000]).unwrap_or(0);
            sleep(Duration::from_millis(1)).await;
        }
        timeout(Duration::from_secs(1), client.writable()).await.expect("there is room again").unwrap();
        assert!(client.try_write(&chunk).unwrap() > 0);
    });
}

#[test]
fn several_buffers_are_written_and_read_in_order() {
    let pair = Pair::new();
    pair.run(async {
        let (client, server) = pair.connected().await;
        let slices = [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two")];
        assert_eq!(client.try_write_vectored(&slices).unwrap(), 7);
        server.readable().await.unwrap();
        let (mut first, mut second) = ([0; 3], [0; 8]);
        let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(server.try_read_vectored(&mut buffers).unwrap(), 7);
        assert_eq!((&first, &second[..4]), (b"one", &b" two"[..]));
        client.try_write(b"three").unwrap();
        server.readable().await.unwrap();
        let mut growing = b"then ".to_vec();
        assert_eq!(server.try_read_buf(&mut growing).unwrap(), 5);
        assert_eq!(growing, b"then three");
    });
}

#[test]
fn bytes_travel_from_write_to_read_in_one_piece() {
    let pair = Pair::new();
    pair.run(async {
        let (client, server) = pair.connected().await;
        let sent = Bytes::from(noise(100_000));
        let receiving = tokio::spawn(async move {
            let mut received = Vec::new();
            loop {
                let piece = server.read_bytes(usize::MAX).await.unwrap();
                if piece.is_empty() {
                    return received;
                }
                received.extend_from_slice(&piece);
            }
        });
        client.write_all_bytes(sent.clone()).await.unwrap();
        drop(client);
        assert_eq!(receiving.await.unwrap(), sent);
    });
}

#[test]
fn readiness_names_what_can_be_done() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, server) = pair.connected().await;
        let both = Interest::READABLE | Interest::WRITABLE;
        let ready = server.ready(both).await.unwrap();
        assert!(ready.is_writable() && !ready.is_readable());
        client.write_all(b"x").await.unwrap();
        client.shutdown().await.unwrap();
        let ready = server.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_readable() && !ready.is_read_closed());
        server.try_read(&mut [0; 8]).unwrap();
        let ready = server.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_read_closed());
        let answer = server.try_io(Interest::WRITABLE, || server.try_write(b"y"));
        assert_eq!(answer.unwrap(), 1);
        let count = client.async_io(Interest::READABLE, || client.try_read(&mut [0; 8])).await;
        assert_eq!(count.unwrap(), 1);
    });
}

#[test]
fn a_read_that_was_given_up_loses_no_byte() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, mut server) = pair.connected().await;
        for _ in 0..20 {
            // One way takes 10 ms, so some of these are given up just before and some just after the arrival.
            assert!(timeout(Duration::from_millis(1), server.read(&mut [0; 8])).await.is_err());
            assert!(timeout(Duration::from_millis(1), server.peek(&mut [0; 8])).await.is_err());
        }
        client.write_all(b"abc").await.unwrap();
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let mut byte = [0];
            if let Ok(count) = timeout(Duration::from_millis(1), server.read(&mut byte)).await {
                assert_eq!(count.unwrap(), 1);
                seen.push(byte[0]);
            }
        }
        assert_eq!(seen, b"abc");
    });
}

#[test]
fn all_who_wait_for_the_same_bytes_are_woken() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, server) = pair.connected().await;
        let server = std::sync::Arc::new(server);
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let server = std::sync::Arc::clone(&server);
                tokio::spawn(async move { server.peek(&mut [0; 8]).await.unwrap() })
            })
            .collect();
        sleep(Duration::from_millis(50)).await;
        client.write_all(b"x").await.unwrap();
        for task in waiting {
            assert_eq!(task.await.unwrap(), 1);
        }
    });
}

#[test]
fn a_busy_connection_leaves_the_other_tasks_their_turn() {
    let pair = Pair::new();
    pair.run(async {
        let (client, server) = pair.connected().await;
        client.try_write(b"x").unwrap();
        server.readable().await.unwrap();
        let other = tokio::spawn(async {});
        let mut peeks = 0;
        // A peek never has to wait here: without a budget this would go on for ever.
        while !other.is_finished() {
            server.peek(&mut [0; 1]).await.unwrap();
            peeks += 1;
        }
        assert!(peeks > 1, "the budget is more than one call");
    });
}

#[test]
fn an_option_can_be_changed_and_asked_for() {
    let pair = Pair::new();
    pair.run(async {
        let (client, _server) = pair.connected().await;
        assert!(!client.nodelay().unwrap() && !client.quickack().unwrap());
        client.set_nodelay(true).unwrap();
        client.set_quickack(true).unwrap();
        assert!(client.nodelay().unwrap() && client.quickack().unwrap());
        assert_eq!(client.linger().unwrap(), None);
        client.set_linger(Some(Duration::from_millis(1500))).unwrap();
        assert_eq!(client.linger().unwrap(), Some(Duration::from_secs(2)));
        client.set_zero_linger().unwrap();
        assert_eq!(client.linger().unwrap(), Some(Duration::ZERO));
        client.set_linger(None).unwrap();
        assert_eq!(client.linger().unwrap(), None);
    });
}

// RFC 9293 §3.7.4 MUST-17
#[test]
fn nodelay_sends_what_nagle_held_back() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, server) = pair.connected().await;
        client.write_all(b"a").await.unwrap();
        client.write_all(b"b").await.unwrap();
        assert!(client.why().unwrap().to_string().contains("Nagle"), "{}", client.why().unwrap());
        client.set_nodelay(true).unwrap();
        // Half a round trip, and the millisecond by which a timer is ahead of a packet of the same time.
        sleep(Duration::from_millis(11)).await;
        assert_eq!(server.try_read(&mut [0; 8]).unwrap(), 2);
    });
}
