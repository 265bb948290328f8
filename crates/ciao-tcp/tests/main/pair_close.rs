//! The close matrix: handshake, request, response and close, in every combination of who closes first, what
//! is still queued, how the FIN travels and whether the window is open, under every single loss, every pair
//! of losses, every duplication and every swap of neighbours.
//!
//! In each run all bytes arrive once and in order, the end of data comes after the last byte and never
//! before, nobody is cut off, both ends reach CLOSED, and the end that closed first waits 2 MSL, exactly.

use crate::pair::{Fate, Link, Pair, Push, Side, pattern};
use ciao_tcp::{Config, Connection, TcpState};
use ciao_wire::Instant;
use std::sync::Arc;
use std::time::Duration;

const MSL: Duration = Duration::from_secs(30);
const REQUEST: usize = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Client,
    Server,
    Both,
}

/// What is queued when the first end closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    Empty,
    /// More than the congestion window holds.
    Long,
}

/// How the FIN of the first end travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FinTravels {
    /// Closed in the instant of the last write.
    WithData,
    /// Closed later.
    Alone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    Open,
    /// The client reads nothing for two seconds and its window shuts.
    Zero,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    first: First,
    queue: Queue,
    fin: FinTravels,
    push: Push,
    window: Window,
}

impl Case {
    fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        for first in [First::Client, First::Server, First::Both] {
            for queue in [Queue::Empty, Queue::Long] {
                for fin in [FinTravels::WithData, FinTravels::Alone] {
                    for push in [Push::AsSent, Push::Cleared] {
                        for window in [Window::Open, Window::Zero] {
                            cases.push(Self { first, queue, fin, push, window });
                        }
                    }
                }
            }
        }
        cases
    }

    fn response_len(self) -> usize {
        match self.queue {
            Queue::Empty => 1000,
            Queue::Long => 9000,
        }
    }

    fn config(self, side: Side) -> Arc<Config> {
        let receive_buffer_bytes = match (side, self.window) {
            (Side::Client, Window::Zero) => 700,
            _ => 65_535,
        };
        Arc::new(Config {
            receive_buffer_bytes,
            initial_window_segments: 2,
            max_super_segment_bytes: 0,
            msl: MSL,
            ..Config::default()
        })
    }
}

/// An application: what it has to send, what it has read, and when it closes.
struct Application {
    side: Side,
    to_send: Vec<u8>,
    written: usize,
    read: Vec<u8>,
    saw_end: bool,
    closed: bool,
    reads_from: Instant,
    closes_from: Instant,
}

impl Application {
    fn new(side: Side, case: Case, start: Instant) -> Self {
        let (len, slow) = match side {
            Side::Client => (REQUEST, case.window == Window::Zero),
            Side::Server => (case.response_len(), false),
        };
        let closes_at_once = case.fin == FinTravels::WithData;
        let delay = if closes_at_once { Duration::ZERO } else { Duration::from_millis(300) };
        Self {
            side,
            to_send: pattern(len),
            written: 0,
            read: Vec::new(),
            saw_end: false,
            closed: false,
            reads_from: if slow { start + Duration::from_secs(2) } else { start },
            closes_from: start + delay,
        }
    }

    /// Whether this end may close now that all is written.
    fn may_close(&self, case: Case, now: Instant) -> bool {
        if now < self.closes_from {
            return false;
        }
        match (case.first, self.side) {
            (First::Both, _) | (First::Client, Side::Client) | (First::Server, Side::Server) => true,
            _ => self.saw_end,
        }
    }

    fn run(&mut self, case: Case, pair: &mut Pair) -> bool {
        let now = pair.now;
        let Some(connection) = pair.end(self.side).connection.as_mut() else { return false };
        if connection.state() < TcpState::Established && !self.closed {
            return false;
        }
        let mut worked = false;
        let mut buffer = [0; 512];
        while now >= self.reads_from && !self.saw_end {
            match connection.receive(now, &mut buffer) {
                Ok(0) => self.saw_end = true,
                Ok(len) => self.read.extend_from_slice(&buffer[..len]),
                Err(_) => break,
            }
            worked = true;
        }
        let may_write = self.side == Side::Client || self.read.len() == REQUEST;
        while may_write && self.written < self.to_send.len() {
            match connection.send(now, &self.to_send[self.written..]) {
                Ok(len) => self.written += len,
                Err(_) => break,
            }
            worked = true;
        }
        if !self.closed && self.written == self.to_send.len() && self.may_close(case, now) {
            connection.shutdown(now);
            self.closed = true;
            worked = true;
        }
        worked
    }
}

/// One run; answers how many segments were sent.
fn run(case: Case, fates: &[(usize, Fate)]) -> usize {
    let link = Link { fates: fates.iter().copied().collect(), push: case.push, ..Link::default() };
    let mut pair = Pair::new(&case.config(Side::Client), &case.config(Side::Server), link);
    let mut applications = Side::BOTH.map(|side| Application::new(side, case, pair.now));
    let context = || format!("{case:?} {fates:?}");
    let give_up = pair.now + Duration::from_secs(3600);
    for _ in 0..10_000 {
        let mut worked = true;
        while worked {
            worked = false;
            for application in &mut applications {
                worked |= application.run(case, &mut pair);
            }
            pair.flush();
        }
        check_bytes(&applications, case, &context);
        let done = applications.iter().all(|application| application.closed && application.saw_end);
        let until = if done { give_up } else { pair.now + Duration::from_millis(100) };
        pair.step(until);
        if Side::BOTH.iter().all(|side| pair.end(*side).closed_at.is_some()) || pair.now >= give_up {
            break;
        }
    }
    for application in &applications {
        assert!(application.saw_end, "{:?} never saw the end: {}", application.side, context());
    }
    check_end(&mut pair, case, &context);
    pair.sent
}

fn check_bytes(applications: &[Application; 2], case: Case, context: &impl Fn() -> String) {
    let [client, server] = applications;
    for (reader, writer) in [(client, server), (server, client)] {
        let sent = &writer.to_send[..writer.written];
        assert!(sent.starts_with(&reader.read), "{:?} read other bytes: {}", reader.side, context());
        if reader.saw_end {
            let len = if reader.side == Side::Client { case.response_len() } else { REQUEST };
            assert_eq!(reader.read.len(), len, "{:?} saw the end too early: {}", reader.side, context());
        }
    }
}

// RFC 9293 §3.6.1 MUST-13
fn check_end(pair: &mut Pair, case: Case, context: &impl Fn() -> String) {
    let mut waited = 0;
    for side in Side::BOTH {
        let end = pair.end(side);
        let closed_at = end.closed_at.unwrap_or_else(|| panic!("{side:?} is not CLOSED: {}", context()));
        let error = end.connection.as_ref().and_then(Connection::error);
        assert_eq!(error, None, "{side:?} was cut off: {}", context());
        if let Some(since) = end.time_wait_since.last() {
            waited += 1;
            // The record of TIME-WAIT keeps its end in whole microseconds, rounded up.
            let late = closed_at.since(*since).checked_sub(MSL * 2);
            let exact = late.is_some_and(|late| late < Duration::from_micros(1));
            assert!(exact, "{side:?} waited {:?}: {}", closed_at.since(*since), context());
        }
        let went_through = |state| end.moves.iter().any(|(_, to)| *to == state);
        assert_eq!(went_through(TcpState::TimeWait), !end.time_wait_since.is_empty(), "{}", context());
    }
    match case.first {
        First::Both => assert!(waited >= 1, "nobody waited: {}", context()),
        First::Client | First::Server => assert_eq!(waited, 1, "one end waits: {}", context()),
    }
}

fn runs_of(case: Case) -> usize {
    let clean = run(case, &[]);
    let mut runs = 1;
    for first in 0..clean {
        run(case, &[(first, Fate::Twice)]);
        run(case, &[(first, Fate::Behind)]);
        let sent = run(case, &[(first, Fate::Lost)]);
        runs += 3;
        for second in first + 1..sent {
            run(case, &[(first, Fate::Lost), (second, Fate::Lost)]);
            runs += 1;
        }
    }
    runs
}

fn matrix(first: First) {
    let cases: Vec<_> = Case::all().into_iter().filter(|case| case.first == first).collect();
    let runs: usize = cases.iter().map(|case| runs_of(*case)).sum();
    println!("close matrix, {first:?} first: {} cases, {runs} runs", cases.len());
    assert!(runs > 1000);
}

#[test]
fn every_loss_is_survived_when_the_client_closes_first() {
    matrix(First::Client);
}

#[test]
fn every_loss_is_survived_when_the_server_closes_first() {
    matrix(First::Server);
}

// RFC 9293 §3.6 (case 3)
#[test]
fn every_loss_is_survived_when_both_close_at_once() {
    matrix(First::Both);
}
