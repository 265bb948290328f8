//! Memory that all connections share: how much those take that do not read, and who is harmed by them.

use crate::pair::{B4, Pair, at, pattern, write};
use bytes::Bytes;
use ciao_stack::{ConnectRequest, HostConfig, ListenerId, MemoryLimits, SocketId};
use ciao_tcp::SocketOptions;
use std::time::Duration;

/// What each writer of a crowd sends.
const PIECE_BYTES: usize = 20_000;

/// A and B, of which B has this much memory.
fn pair(memory: MemoryLimits) -> (Pair, ListenerId) {
    let short = HostConfig { memory, ..HostConfig::default() };
    let mut pair = Pair::with(HostConfig::default(), short, Pair::offload());
    let listener = pair.listen(B4, 80);
    (pair, listener)
}

/// `count` connections over which A has sent a piece that nobody reads at B.
fn crowd(pair: &mut Pair, listener: ListenerId, count: usize) -> Vec<SocketId> {
    let piece = pattern(PIECE_BYTES);
    (0..count)
        .map(|_| {
            let (client, server) = pair.connected_to(listener);
            write(&mut pair.a.host, pair.now, client, &mut piece.clone());
            pair.flow();
            pair.a.take_sent();
            pair.b.take_sent();
            server
        })
        .collect()
}

fn held(pair: &Pair) -> u64 {
    pair.b.host.counts().buffered_bytes
}

fn read(pair: &mut Pair, socket: SocketId) -> usize {
    let mut total = 0;
    while let Ok(bytes) = pair.b.host.tcp_receive_bytes(pair.now, socket, usize::MAX) {
        total += bytes.len();
    }
    total
}

// Row R5
#[test]
fn ten_thousand_that_do_not_read_take_no_more_than_memory_allows_and_harm_no_one_who_does() {
    const COUNT: usize = 10_000;
    let memory = MemoryLimits { low_bytes: 24 << 20, pressure_bytes: 32 << 20, high_bytes: 256 << 20 };
    let (mut pair, listener) = pair(memory);
    let sockets = crowd(&mut pair, listener, COUNT);
    // Once memory was scarce, none got more than 16 KiB.
    let bound = memory.pressure_bytes + (COUNT as u64) * 16 * 1024;
    assert!((memory.pressure_bytes..bound).contains(&held(&pair)), "{}", held(&pair));
    let (client, server) = pair.connected_to(listener);
    let mut large = pattern(1 << 20);
    while !large.is_empty() {
        let mut some = large.split_to(16 * 1024);
        write(&mut pair.a.host, pair.now, client, &mut some);
        pair.flow();
        assert_eq!(read(&mut pair, server), 16 * 1024, "who reads is served as if there were nobody else");
        pair.flow();
    }
    assert_eq!(pair.a.host.tcp_info(pair.now, client).total_retrans, 0);
    for socket in sockets {
        read(&mut pair, socket);
    }
    assert_eq!(held(&pair), 0);
}

#[test]
fn at_the_limit_each_connection_gets_on_with_little_and_everything_arrives_at_last() {
    const COUNT: usize = 500;
    let memory = MemoryLimits { low_bytes: 256 << 10, pressure_bytes: 512 << 10, high_bytes: 1 << 20 };
    let (mut pair, listener) = pair(memory);
    let sockets = crowd(&mut pair, listener, COUNT);
    let bound = memory.high_bytes + (COUNT as u64) * 4 * 1024 + 64 * 1024;
    assert!((memory.high_bytes..bound).contains(&held(&pair)), "{}", held(&pair));
    let mut total = 0;
    for _ in 0..40 {
        total += sockets.iter().map(|socket| read(&mut pair, *socket)).sum::<usize>();
        pair.run_for(Duration::from_secs(1));
        assert!(held(&pair) < bound, "{}", held(&pair));
    }
    assert_eq!(total, COUNT * PIECE_BYTES);
    assert_eq!(held(&pair), 0);
}

#[test]
fn a_host_that_cannot_send_takes_no_more_of_its_applications_than_memory_allows() {
    const COUNT: usize = 500;
    let memory = MemoryLimits { low_bytes: 256 << 10, pressure_bytes: 512 << 10, high_bytes: 1 << 20 };
    let (mut pair, listener) = pair(memory);
    // A takes little.
    let small = SocketOptions { receive_buffer_bytes: Some(4096), ..SocketOptions::default() };
    let sockets: Vec<_> = (0..COUNT)
        .map(|_| {
            let request = ConnectRequest { options: small, ..ConnectRequest::to(at(B4, 80)) };
            pair.a.host.tcp_connect(pair.now, request).expect("nothing stands in the way");
            pair.flow();
            pair.b.host.tcp_accept(listener).expect("the handshake is complete")
        })
        .collect();
    let large = Bytes::from(vec![7; 1 << 20]);
    for server in &sockets {
        write(&mut pair.b.host, pair.now, *server, &mut large.clone());
        pair.flow();
        pair.b.take_sent();
        pair.a.take_sent();
    }
    let bound = memory.high_bytes + (COUNT as u64) * 4 * 1024 + (1 << 20);
    assert!((memory.high_bytes..bound).contains(&held(&pair)), "{}", held(&pair));
    for server in sockets {
        pair.b.host.tcp_abort(pair.now, server);
    }
    pair.flow();
    assert_eq!(held(&pair), 0);
}
