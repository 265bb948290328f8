//! RFC 5681 §3.1: slow start, congestion avoidance after equation 3, ssthresh after equation 4.

use super::{Event, Model, SMSS, compare};
use ciao_tcp::congestion::Reno;
use std::time::Duration;

struct Rfc5681 {
    cwnd: f64,
    ssthresh: f64,
}

impl Model for Rfc5681 {
    fn on_ack(&mut self, _now: f64, _rtt: f64, _una: u64, _nxt: u64) {
        if self.cwnd < self.ssthresh {
            self.cwnd += 1.0;
        } else {
            self.cwnd += 1.0 / self.cwnd;
        }
    }

    fn on_event(&mut self, event: Event) {
        self.ssthresh = (self.cwnd.floor() / 2.0).max(2.0);
        self.cwnd = if event == Event::Timeout { 1.0 } else { self.ssthresh };
    }

    fn window(&self) -> f64 {
        self.cwnd
    }
}

// RFC 5681 §3.1 5681-3d, 5681-3e
// RFC 9293 §3.8.2 MUST-19
#[test]
fn reno_follows_the_formulas_of_rfc_5681() {
    let mut ours = Reno::new(SMSS as u16, 10 * SMSS);
    let mut model = Rfc5681 { cwnd: 10.0, ssthresh: f64::INFINITY };
    let events = [(200, Event::Loss), (1500, Event::Loss), (2500, Event::Timeout)];
    let times = (Duration::from_secs(4), Duration::from_millis(100));
    let curve = compare(&mut ours, &mut model, |_, _| 50, &events, times);
    insta::assert_snapshot!(curve);
}
