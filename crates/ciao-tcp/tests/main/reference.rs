//! Do the algorithms of congestion control follow their RFCs' formulas? Each runs beside a model in floating
//! point that is written as the RFC is, on the same path: one ACK for each segment, spread over a round trip,
//! losses at given times. No ACK may find them more than one segment apart, and the window's curve is a
//! snapshot.

mod cubic;
mod hystart;
mod reno;

use ciao_tcp::congestion::{AckSample, Congestion, Limit, Recovering, Timeout};
use ciao_wire::{Instant, SeqNum};
use std::fmt::Write as _;
use std::time::Duration;

const SMSS: u32 = 1448;

/// What happens to the connection at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// Three duplicates: a loss, repaired within a round trip.
    Loss,
    /// The retransmission timer.
    Timeout,
}

/// A formula of an RFC in segments and seconds.
trait Model {
    /// One segment more was acknowledged at `now`, after a round trip of `rtt`. `una` and `nxt` count
    /// segments.
    fn on_ack(&mut self, now: f64, rtt: f64, una: u64, nxt: u64);
    fn on_event(&mut self, event: Event);
    fn window(&self) -> f64;
}

/// The round trip at a time, in ms: a path without a queue, or one with.
type RoundTrip = fn(Instant, u32) -> u64;

/// A run of both over `duration`; answers the curve, one line for each `step`.
fn compare(
    ours: &mut dyn Congestion,
    model: &mut dyn Model,
    round_trip: RoundTrip,
    events: &[(u64, Event)],
    (duration, step): (Duration, Duration),
) -> String {
    let (mut now, mut una) = (Instant::ZERO, 0u64);
    let mut nxt = u64::from(ours.window_bytes() / SMSS);
    let mut events = events.iter();
    let mut next_event = events.next();
    let mut curve = String::from("     s  segments\n");
    let mut next_line = Instant::ZERO;
    while now < Instant::ZERO + duration {
        let segments = ours.window_bytes() / SMSS;
        let rtt = Duration::from_millis(round_trip(now, segments));
        for number in 1..=segments {
            let at = now + rtt * number / segments;
            una += 1;
            nxt = nxt.max(una + u64::from(ours.window_bytes() / SMSS));
            ours.on_ack(&ack(at, rtt, una, nxt));
            model.on_ack(seconds(at), rtt.as_secs_f64(), una, nxt);
            let (own, expected) = (f64::from(ours.window_bytes()) / f64::from(SMSS), model.window());
            assert!((own - expected).abs() <= 1.0, "at {at}: {own} segments, the formula says {expected}");
        }
        now += rtt;
        if now >= next_line {
            let segments = f64::from(ours.window_bytes()) / f64::from(SMSS);
            let bar = "#".repeat((segments / 4.0).round() as usize);
            writeln!(curve, "{:>6.2} {segments:>9.1} {bar}", seconds(now)).expect("a string takes all");
            next_line += step;
        }
        if let Some(&(_, event)) = next_event.filter(|(at, _)| now >= Instant::from_millis(*at)) {
            happen(ours, event);
            model.on_event(event);
            next_event = events.next();
        }
    }
    assert_eq!(next_event, None, "every event has happened");
    curve
}

fn happen(ours: &mut dyn Congestion, event: Event) {
    let flight = ours.window_bytes();
    match event {
        Event::Loss => {
            ours.on_loss(flight);
            ours.on_recovery_exit(flight);
        }
        Event::Timeout => ours.on_timeout(flight, Timeout::First),
    }
}

fn seconds(at: Instant) -> f64 {
    at.since(Instant::ZERO).as_secs_f64()
}

fn ack(now: Instant, rtt: Duration, una: u64, nxt: u64) -> AckSample {
    let number = |segments: u64| SeqNum((segments as u32).wrapping_mul(SMSS));
    AckSample {
        now,
        acked_bytes: SMSS,
        delivered_bytes: SMSS,
        lost_bytes: 0,
        flight_before_bytes: SMSS,
        flight_bytes: 0,
        limited: Limit::CongestionWindow,
        recovering: Recovering::No,
        rtt: Some(rtt),
        srtt: Some(rtt),
        una: number(una),
        nxt: number(nxt),
        rate: None,
        loss: None,
    }
}
