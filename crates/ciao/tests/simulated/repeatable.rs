//! The same seed gives the same run: every record of every host, with its time.

use crate::pair::{Pair, server_addr};
use ciao::HostConfig;
use ciao_sim::LinkConfig;
use ciao_stack::Tracing;
use std::fmt::Write;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

/// All records of a run over a bad link, as text.
fn history(seed: u64) -> String {
    let config = HostConfig { trace: Tracing::On, ..HostConfig::default() };
    let link = LinkConfig {
        loss_ppm: 30_000,
        reorder_ppm: 30_000,
        duplicate_ppm: 30_000,
        bandwidth_bits_per_s: Some(10_000_000),
        ..LinkConfig::default()
    };
    let pair = Pair::with(seed, &config, &link);
    pair.run(async {
        pair.serve_echo().await;
        let clients: Vec<_> = (0..4)
            .map(|number: u8| {
                let stack = pair.client.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(7 * u64::from(number))).await;
                    let mut stream = stack.connect(server_addr()).await.unwrap();
                    stream.write_all(&vec![number; 10_000]).await.unwrap();
                    stream.shutdown().await.unwrap();
                    let mut echo = Vec::new();
                    stream.read_to_end(&mut echo).await.unwrap();
                    assert_eq!(echo, vec![number; 10_000]);
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    });
    let mut text = String::new();
    for record in pair.simulation.drain_trace() {
        writeln!(text, "{record:?}").unwrap();
    }
    text
}

// RFC 6528 §3 6528-2: the seed of a simulation makes its hosts' keys, and another seed other ones.
#[test]
fn one_seed_gives_one_history_and_another_seed_another() {
    let first = history(1);
    assert!(first.lines().count() > 100, "something happened");
    let again = history(1);
    let difference = first.lines().zip(again.lines()).position(|(one, other)| one != other);
    assert_eq!((difference, first.len()), (None, again.len()));
    assert_ne!(first, history(2));
}
