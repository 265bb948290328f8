//! RFC 9438 §4: the cubic function of time, the Reno-friendly region, fast convergence, timeouts.

use super::{Event, Model, SMSS, compare};
use ciao_tcp::congestion::Cubic;
use std::time::Duration;

const C: f64 = 0.4;
const BETA: f64 = 0.7;

/// The names are those of RFC 9438 §4.1.2.
struct Rfc9438 {
    cwnd: f64,
    ssthresh: f64,
    w_max: f64,
    cwnd_prior: f64,
    epoch: Option<Epoch>,
}

#[derive(Clone, Copy)]
struct Epoch {
    start: f64,
    k: f64,
    /// The plateau.
    w_max: f64,
    w_est: f64,
}

impl Rfc9438 {
    fn new(cwnd: f64) -> Self {
        Self { cwnd, ssthresh: f64::INFINITY, w_max: 0.0, cwnd_prior: 0.0, epoch: None }
    }

    fn avoid_congestion(&mut self, now: f64, rtt: f64) {
        let (cwnd, w_max) = (self.cwnd, self.w_max.max(self.cwnd));
        let k = ((w_max - cwnd) / C).cbrt();
        let epoch = self.epoch.get_or_insert(Epoch { start: now, k, w_max, w_est: cwnd });
        let alpha = if epoch.w_est < self.cwnd_prior { 3.0 * (1.0 - BETA) / (1.0 + BETA) } else { 1.0 };
        epoch.w_est += alpha / cwnd;
        let w_cubic = |t: f64| C * (t - epoch.k).powi(3) + epoch.w_max;
        let t = now - epoch.start;
        if w_cubic(t) < epoch.w_est {
            self.cwnd = cwnd.max(epoch.w_est);
        } else {
            let target = w_cubic(t + rtt).clamp(cwnd, 1.5 * cwnd);
            self.cwnd += (target - cwnd) / cwnd;
        }
    }
}

impl Model for Rfc9438 {
    fn on_ack(&mut self, now: f64, rtt: f64, _una: u64, _nxt: u64) {
        if self.cwnd < self.ssthresh {
            self.cwnd = (self.cwnd + 1.0).min(self.ssthresh);
        } else {
            self.avoid_congestion(now, rtt);
        }
    }

    fn on_event(&mut self, event: Event) {
        self.cwnd_prior = self.cwnd;
        self.epoch = None;
        self.ssthresh = (BETA * self.cwnd).max(2.0);
        match event {
            Event::Loss => {
                self.w_max = if self.cwnd < self.w_max { self.cwnd * (1.0 + BETA) / 2.0 } else { self.cwnd };
                self.cwnd = self.ssthresh;
            }
            Event::Timeout => {
                self.w_max = 0.0;
                self.cwnd = 1.0;
            }
        }
    }

    fn window(&self) -> f64 {
        self.cwnd
    }
}

fn curve(rtt_millis: fn(ciao_wire::Instant, u32) -> u64, events: &[(u64, Event)], seconds: u64) -> String {
    let mut ours = Cubic::new(SMSS as u16, 10 * SMSS);
    let mut model = Rfc9438::new(10.0);
    let times = (Duration::from_secs(seconds), Duration::from_millis(seconds * 20));
    compare(&mut ours, &mut model, rtt_millis, events, times)
}

// RFC 9438 §4.2-4.7 9438-4a, 9438-4c, 9438-4d
// RFC 9438 §5.1 9438-5a
#[test]
fn cubic_follows_the_formulas_of_rfc_9438_on_a_long_path() {
    let losses = [(400, Event::Loss), (9_000, Event::Loss), (12_000, Event::Loss)];
    insta::assert_snapshot!(curve(|_, _| 100, &losses, 20));
}

// RFC 9438 §4.3 9438-4b
#[test]
fn cubic_follows_the_formulas_of_rfc_9438_where_reno_is_faster() {
    let losses = [(20, Event::Loss), (1_000, Event::Loss), (1_500, Event::Loss)];
    insta::assert_snapshot!(curve(|_, _| 10, &losses, 3));
}

// RFC 9438 §4.8 9438-4f
#[test]
fn cubic_follows_the_formulas_of_rfc_9438_after_a_timeout() {
    insta::assert_snapshot!(curve(|_, _| 50, &[(200, Event::Timeout), (5_000, Event::Loss)], 10));
}
