//! Does proportional rate reduction agree with RFC 9937 §6, written down in floating point? Both repair the
//! same losses on a path that delivers one segment at a time, and send the same within one segment.

use ciao_tcp::recovery::prr::{Progress, Prr};
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;

const SMSS: u32 = 1000;

/// What both have.
trait Reduction {
    fn on_ack(&mut self, delivered: u32, progress: Progress, in_flight: u32, ssthresh: u32);
    fn on_sent(&mut self, bytes: u32);
    fn window(&self) -> f64;
}

impl Reduction for Prr {
    fn on_ack(&mut self, delivered: u32, progress: Progress, in_flight: u32, ssthresh: u32) {
        Self::on_ack(self, delivered, progress, in_flight, ssthresh, SMSS);
    }

    fn on_sent(&mut self, bytes: u32) {
        Self::on_sent(self, bytes);
    }

    fn window(&self) -> f64 {
        self.window_bytes().into()
    }
}

/// The pseudocode as it is written.
struct Reference {
    prr_delivered: f64,
    prr_out: f64,
    recover_fs: f64,
    cwnd: f64,
}

impl Reduction for Reference {
    fn on_ack(&mut self, delivered: u32, progress: Progress, in_flight: u32, ssthresh: u32) {
        let (delivered, in_flight, ssthresh) =
            (f64::from(delivered), f64::from(in_flight), f64::from(ssthresh));
        let smss = f64::from(SMSS);
        self.prr_delivered += delivered;
        let mut count = if in_flight > ssthresh {
            (self.prr_delivered * ssthresh / self.recover_fs).ceil() - self.prr_out
        } else {
            let mut count = (self.prr_delivered - self.prr_out).max(delivered);
            if progress == Progress::Safe {
                count += smss;
            }
            count.min(ssthresh - in_flight)
        };
        if self.prr_out == 0.0 && count <= 0.0 {
            count = smss;
        }
        self.cwnd = in_flight + count.max(0.0);
    }

    fn on_sent(&mut self, bytes: u32) {
        self.prr_out += f64::from(bytes);
    }

    fn window(&self) -> f64 {
        self.cwnd
    }
}

/// A flight of segments, some of which are lost when they are sent first.
struct Path {
    /// Segments on their way, in the order in which they arrive.
    under_way: VecDeque<u32>,
    lost: BTreeSet<u32>,
    arrived: BTreeSet<u32>,
    una: u32,
    next: u32,
}

/// What one acknowledgment led to.
struct Step {
    una: u32,
    in_flight: u32,
    window: f64,
    sent: u32,
}

/// Repairs what is lost of the first `flight` segments with `reduction`: three reports begin the episode.
fn repair(reduction: &mut impl Reduction, flight: u32, lost: &[u32], ssthresh: u32) -> Vec<Step> {
    let is_lost = |segment: &u32| lost.contains(segment);
    let mut path = Path {
        under_way: (0..flight).filter(|segment| !is_lost(segment)).collect(),
        lost: lost.iter().copied().collect(),
        arrived: BTreeSet::new(),
        una: 0,
        next: flight,
    };
    let mut steps = Vec::new();
    let mut sent = 0;
    while path.una < flight {
        let segment = path.under_way.pop_front().expect("what was lost was sent again");
        path.arrived.insert(segment);
        let before = path.una;
        while path.arrived.contains(&path.una) {
            path.una += 1;
        }
        if path.arrived.len() < 3 || path.una >= flight {
            continue;
        }
        let in_flight = path.under_way.len() as u32;
        let progress = if path.una > before { Progress::Safe } else { Progress::Unsafe };
        reduction.on_ack(SMSS, progress, in_flight * SMSS, ssthresh * SMSS);
        // The first retransmission goes out whatever the window is.
        while reduction.window() >= f64::from((path.under_way.len() as u32 + 1) * SMSS) || sent == 0 {
            let segment = path.lost.pop_first().unwrap_or_else(|| {
                path.next += 1;
                path.next - 1
            });
            path.under_way.push_back(segment);
            reduction.on_sent(SMSS);
            sent += 1;
        }
        steps.push(Step { una: path.una, in_flight, window: reduction.window(), sent });
    }
    steps
}

fn compare(flight: u32, lost: &[u32], ssthresh: u32) -> String {
    let recover_fs = (flight - 2) * SMSS;
    let ours = repair(&mut Prr::new(recover_fs), flight, lost, ssthresh);
    let mut reference =
        Reference { prr_delivered: 0.0, prr_out: 0.0, recover_fs: recover_fs.into(), cwnd: 0.0 };
    let theirs = repair(&mut reference, flight, lost, ssthresh);
    assert_eq!(ours.len(), theirs.len());
    let mut curve = String::from("una in flight  cwnd sent\n");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(ours.sent.abs_diff(theirs.sent) <= 1, "{} and {}", ours.sent, theirs.sent);
        assert!((ours.window - theirs.window).abs() <= SMSS.into());
        let window = ours.window / f64::from(SMSS);
        let _ = writeln!(curve, "{:3} {:9} {window:5.1} {:4}", ours.una, ours.in_flight, ours.sent);
    }
    curve
}

// RFC 9937 §6.1 9937-1
// RFC 9937 §6.2 9937-2, 9937-4
#[test]
fn one_of_ten_lost() {
    insta::assert_snapshot!(compare(10, &[0], 7));
}

// RFC 9937 §6.2 9937-2, 9937-3
#[test]
fn the_first_four_of_thirty_lost() {
    insta::assert_snapshot!(compare(30, &[0, 1, 2, 3], 15));
}

// RFC 9937 §6.2 9937-2, 9937-3
#[test]
fn ten_of_thirty_lost_in_two_bursts() {
    insta::assert_snapshot!(compare(30, &[0, 1, 2, 3, 10, 11, 12, 13, 14, 15], 21));
}

// RFC 9937 §6.2 9937-3
#[test]
fn most_of_a_flight_lost() {
    insta::assert_snapshot!(compare(40, &(0..30).collect::<Vec<_>>(), 20));
}

// RFC 9937 §6.2 9937-2, 9937-3
#[test]
fn any_losses_of_any_flight_are_repaired_as_the_pseudocode_does() {
    for flight in 8..60 {
        for pattern in 1..16_u32 {
            let lost: Vec<u32> = (0..flight - 4).filter(|segment| segment * pattern % 7 < 3).collect();
            for ssthresh in [flight / 2, flight * 7 / 10] {
                compare(flight, &lost, ssthresh);
            }
        }
    }
}
