//! RFC 9406 §4.2: slow start that ends when the round trip grows.

use super::{Event, Model, SMSS, compare};
use ciao_tcp::congestion::Cubic;
use std::time::Duration;

/// The names are those of RFC 9406 §4.2; times in seconds, no limit L.
struct Rfc9406 {
    cwnd: f64,
    ended: bool,
    window_end: u64,
    last_round_min_rtt: f64,
    current_round_min_rtt: f64,
    rtt_sample_count: u32,
    css_baseline_min_rtt: f64,
    css_rounds: u32,
    in_css: bool,
}

impl Rfc9406 {
    fn new(cwnd: f64) -> Self {
        Self {
            cwnd,
            ended: false,
            window_end: 0,
            last_round_min_rtt: f64::INFINITY,
            current_round_min_rtt: f64::INFINITY,
            rtt_sample_count: 0,
            css_baseline_min_rtt: f64::INFINITY,
            css_rounds: 0,
            in_css: false,
        }
    }

    fn end_round(&mut self, nxt: u64) {
        self.window_end = nxt;
        self.last_round_min_rtt = self.current_round_min_rtt;
        self.current_round_min_rtt = f64::INFINITY;
        self.rtt_sample_count = 0;
        if self.in_css {
            self.css_rounds += 1;
            self.ended = self.css_rounds >= 5;
        }
    }
}

impl Model for Rfc9406 {
    fn on_ack(&mut self, _now: f64, rtt: f64, una: u64, nxt: u64) {
        if self.ended {
            return;
        }
        if self.window_end == 0 {
            self.window_end = nxt;
        }
        self.current_round_min_rtt = self.current_round_min_rtt.min(rtt);
        self.rtt_sample_count += 1;
        let known = self.rtt_sample_count >= 8 && self.last_round_min_rtt.is_finite();
        if !self.in_css && known {
            let rtt_thresh = (self.last_round_min_rtt / 8.0).clamp(0.004, 0.016);
            // A nanosecond less: binary fractions are not exact, and the RFC says "at least".
            if self.current_round_min_rtt >= self.last_round_min_rtt + rtt_thresh - 1e-9 {
                self.css_baseline_min_rtt = self.current_round_min_rtt;
                (self.in_css, self.css_rounds) = (true, 0);
            }
        } else if self.in_css && self.rtt_sample_count >= 8 {
            self.in_css = self.current_round_min_rtt >= self.css_baseline_min_rtt;
        }
        let ends_round = una >= self.window_end;
        let was_in_css = self.in_css;
        if ends_round {
            self.end_round(nxt);
        }
        if !self.ended {
            self.cwnd += if was_in_css { 0.25 } else { 1.0 };
        }
    }

    fn on_event(&mut self, _event: Event) {
        self.ended = true;
    }

    fn window(&self) -> f64 {
        self.cwnd
    }
}

fn curve(round_trip: fn(ciao_wire::Instant, u32) -> u64, millis: u64) -> String {
    let mut ours = Cubic::new(SMSS as u16, 10 * SMSS);
    let mut model = Rfc9406::new(10.0);
    let times = (Duration::from_millis(millis), Duration::ZERO);
    compare(&mut ours, &mut model, round_trip, &[], times)
}

/// A bottleneck of 100 segments in a round trip of 50 ms: beyond that, they wait in its queue.
fn with_queue(_now: ciao_wire::Instant, segments: u32) -> u64 {
    50 + u64::from(segments.saturating_sub(100)) / 2
}

/// A round trip that is longer for a while and then as before.
fn with_a_jump(now: ciao_wire::Instant, _segments: u32) -> u64 {
    if (100..200).contains(&now.as_millis()) { 70 } else { 50 }
}

// RFC 9406 §4.2 9406-1, 9406-2, 9406-3
#[test]
fn slow_start_ends_by_the_rules_of_rfc_9406_when_a_queue_grows() {
    insta::assert_snapshot!(curve(with_queue, 900));
}

// RFC 9406 §4.2 9406-3
#[test]
fn slow_start_resumes_by_the_rules_of_rfc_9406_when_the_delay_was_no_queue() {
    insta::assert_snapshot!(curve(with_a_jump, 400));
}
