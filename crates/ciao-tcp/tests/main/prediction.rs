//! Does a predicted segment leave a connection as the whole way would? Both are tried on a copy, before every
//! move of two ends on a path that loses, doubles and reorders.

use crate::pair::{Fate, Link, Pair, Side, Witness, pattern};
use ciao_tcp::{Config, Connection, Prediction, Segment, Tracing};
use ciao_wire::{Instant, PlainHeader, TcpHeader};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

thread_local! {
    /// How often a prediction held on the way in, and on the way out.
    static HELD: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

/// A copy without a trace: who wants to hear of every step gets the whole way.
fn copy(connection: &Connection) -> Connection {
    let mut copy = connection.clone();
    copy.set_trace(Tracing::Off);
    copy
}

/// The header as its receiver reads it, when it is plain.
fn plain(header: &TcpHeader) -> Option<PlainHeader> {
    let mut bytes = vec![0; header.header_len()];
    header.emit(&mut bytes);
    PlainHeader::parse(bytes.as_slice().try_into().ok()?)
}

fn before_segment(connection: &Connection, now: Instant, segment: &Segment) {
    let Some(header) = plain(&segment.header).filter(|_| segment.segment_size == 0) else { return };
    let (mut predicted, mut regular) = (copy(connection), copy(connection));
    let before = format!("{predicted:?}");
    let mut payload = segment.payload.clone();
    if predicted.handle_plain(now, &header, &mut payload, 0) == Prediction::Failed {
        assert_eq!(format!("{predicted:?}"), before, "what is declined changes nothing");
        assert_eq!(payload, segment.payload);
        return;
    }
    regular.handle_segment(now, segment.clone());
    assert_eq!(format!("{predicted:#?}"), format!("{regular:#?}"));
    HELD.set((HELD.get().0 + 1, HELD.get().1));
}

fn before_transmit(connection: &Connection, now: Instant) {
    let (mut predicted, mut regular) = (copy(connection), copy(connection));
    let before = format!("{predicted:?}");
    let mut payload = ciao_wire::Payload::EMPTY;
    let Some(header) = predicted.poll_plain(now, &mut payload) else {
        assert_eq!(format!("{predicted:?}"), before, "what is declined changes nothing");
        return;
    };
    let segment = regular.poll_transmit(now).expect("there is something to send");
    assert_eq!((TcpHeader::from(header), payload), (segment.header, segment.payload));
    assert_eq!((segment.segment_size, segment.ecn), (0, ciao_wire::Ecn::NotEct));
    assert_eq!(format!("{predicted:#?}"), format!("{regular:#?}"));
    HELD.set((HELD.get().0, HELD.get().1 + 1));
}

/// What an application does, and after how long.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write(Side, usize),
    Read(Side, usize),
    NoDelay(Side, bool),
    Shutdown(Side),
    Close(Side),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let side = prop::sample::select(vec![Side::Client, Side::Server]);
    let step = prop_oneof![
        12 => (side.clone(), prop_oneof![3 => 1..200_usize, 1 => 1..9000_usize])
            .prop_map(|(side, len)| Step::Write(side, len)),
        12 => (side.clone(), 1..9000_usize).prop_map(|(side, len)| Step::Read(side, len)),
        2 => (side.clone(), any::<bool>()).prop_map(|(side, nodelay)| Step::NoDelay(side, nodelay)),
        1 => side.clone().prop_map(Step::Shutdown),
        1 => side.prop_map(Step::Close),
        14 => prop_oneof![1..30_u64, 30..2000_u64].prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 10..60)
}

fn take(pair: &mut Pair, step: Step) {
    let now = pair.now;
    let connection = |pair: &mut Pair, side| pair.end(side).connection.is_some();
    match step {
        Step::Wait(millis) => {
            let until = now + Duration::from_millis(millis);
            while pair.step(until) {}
        }
        Step::Write(side, _)
        | Step::Read(side, _)
        | Step::NoDelay(side, _)
        | Step::Shutdown(side)
        | Step::Close(side)
            if connection(pair, side) =>
        {
            let connection = pair.end(side).connection.as_mut().expect("it was just there");
            match step {
                // Refusals are part of the game.
                Step::Write(_, len) => drop(connection.send(now, &pattern(len))),
                Step::Read(_, len) => drop(connection.receive(now, &mut vec![0; len])),
                Step::NoDelay(_, nodelay) => {
                    let options = connection.options();
                    connection.set_options(now, ciao_tcp::SocketOptions { nodelay, ..options });
                }
                Step::Shutdown(_) => connection.shutdown(now),
                Step::Close(_) => connection.close(now),
                Step::Wait(_) => unreachable!("it was handled above"),
            }
            pair.flush();
        }
        _ => {}
    }
}

fn fates() -> impl Strategy<Value = BTreeMap<usize, Fate>> {
    let fate = prop::sample::select(vec![Fate::Lost, Fate::Twice, Fate::Behind]);
    prop::collection::btree_map(3..200_usize, fate, 0..12)
}

#[test]
fn a_predicted_segment_leaves_the_connection_as_the_whole_way_does() {
    let mut runner = TestRunner::new_with_rng(
        ProptestConfig { cases: 80, ..ProptestConfig::default() },
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let window = prop::sample::select(vec![3000_u32, 64 << 10, 256 << 10]);
    runner
        .run(&(steps(), fates(), window), |(steps, fates, receive_buffer_bytes)| {
            let config = Arc::new(Config { receive_buffer_bytes, ..Config::default() });
            let mut pair = Pair::new(&config, &config, Link { fates, ..Link::default() });
            let witness = Witness { before_segment, before_transmit };
            (pair.client.witness, pair.server.witness) = (witness, witness);
            for step in steps {
                take(&mut pair, step);
            }
            Ok(())
        })
        .unwrap();
    let (received, sent) = HELD.get();
    println!("predictions held {received} and {sent} times");
    assert!(received > 300 && sent > 200, "predictions held {received} and {sent} times");
}
