//! Do the algorithms of congestion control fill a path, share it, and find their way on a lossy one? Whole
//! hosts over one bottleneck, in virtual time.
//!
//! How much of which path they use, in figures, is measured in `bench/`; the formulas of the RFCs are
//! compared in `ciao-tcp`.

use ciao_sim::{LinkConfig, TwoHosts};
use ciao_stack::{ConnectRequest, HostConfig, ListenRequest, ListenerId, SocketId};
use ciao_tcp::SocketOptions;
use ciao_tcp::congestion::CongestionControl::{self, Bbr, Cubic, NewReno};
use ciao_wire::Instant;
use std::fmt::Write as _;
use std::time::Duration;

const ALL: [CongestionControl; 3] = [NewReno, Cubic, Bbr];
/// Applications read and write this often.
const TURN: Duration = Duration::from_millis(5);

/// A sender and a receiver with some connections between them.
struct Path {
    two: TwoHosts,
    listener: ListenerId,
    senders: Vec<SocketId>,
    receivers: Vec<(SocketId, u64)>,
}

impl Path {
    /// `megabits` a second, a round trip of `rtt`, and a queue of one such round trip.
    fn new(megabits: u64, rtt: Duration, loss_ppm: u32) -> Self {
        let back = LinkConfig { delay: rtt / 2, ..LinkConfig::default() };
        let queue_bytes = megabits * 125_000 * rtt.as_millis() as u64 / 1000;
        let forth = LinkConfig {
            bandwidth_bits_per_s: Some(megabits * 1_000_000),
            queue_bytes,
            loss_ppm,
            // Flows of one round trip would else meet a full queue in the same order for ever.
            jitter: Duration::from_micros(300),
            ..back.clone()
        };
        let configs = [HostConfig::default(), HostConfig::default()];
        let mut two = TwoHosts::new(7, configs, 1500, [forth, back]);
        let listener = two.listen(1, ListenRequest::at(TwoHosts::address(1, 80)));
        Self { two, listener, senders: Vec::new(), receivers: Vec::new() }
    }

    fn open(&mut self, algorithm: CongestionControl) {
        let options = SocketOptions { congestion_control: Some(algorithm), ..SocketOptions::default() };
        let request = ConnectRequest { options, ..ConnectRequest::to(TwoHosts::address(1, 80)) };
        self.senders.push(self.two.connect(0, request));
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.two.sim.now() + duration;
        let data = [7; 65_536];
        let mut read = vec![0; 65_536];
        while self.two.sim.now() < end {
            for &sender in &self.senders {
                while self.two.call(0, |host, now| host.tcp_send(now, sender, &data)).is_ok() {}
            }
            self.two.sim.run_for(TURN);
            let listener = self.listener;
            if let Some(new) = self.two.call(1, |host, _| host.tcp_accept(listener)) {
                self.receivers.push((new, 0));
            }
            for (receiver, received) in &mut self.receivers {
                let receiver = *receiver;
                while let Ok(count @ 1..) =
                    self.two.call(1, |host, now| host.tcp_receive(now, receiver, &mut read))
                {
                    *received += count as u64;
                }
            }
        }
    }

    /// Payload in Mbit/s of each connection over `duration`.
    fn goodput(&mut self, duration: Duration) -> Vec<f64> {
        let before: Vec<u64> = self.receivers.iter().map(|(_, received)| *received).collect();
        self.run_for(duration);
        let megabits = |bytes: u64| bytes as f64 * 8.0 / 1e6 / duration.as_secs_f64();
        let pairs = self.receivers.iter().zip(before);
        pairs.map(|((_, received), before)| megabits(received - before)).collect()
    }
}

#[test]
fn each_algorithm_fills_a_path_of_fifty_milliseconds() {
    for algorithm in ALL {
        let mut path = Path::new(20, Duration::from_millis(50), 0);
        path.open(algorithm);
        path.run_for(Duration::from_secs(3));
        let goodput = path.goodput(Duration::from_secs(2))[0];
        assert!(goodput > 0.85 * 20.0, "{algorithm:?}: {goodput} Mbit/s of 20");
    }
}

/// What flows of one algorithm share evenly at least: Jain's index (1 when all have the same).
const JAIN_FLOOR: f64 = 0.95;

/// Two, four and eight flows that begin one after the other and come together. How soon they do on a path of
/// more packets is measured in `bench/`.
fn share_evenly(algorithm: CongestionControl) {
    for flows in [2, 4, 8] {
        let mut path = Path::new(8, Duration::from_millis(30), 0);
        for _ in 0..flows {
            path.open(algorithm);
            path.run_for(Duration::from_millis(200));
        }
        path.run_for(Duration::from_secs(5));
        let shares = path.goodput(Duration::from_secs(25));
        let (sum, squares) = shares.iter().fold((0.0, 0.0), |(a, b), x| (a + x, b + x * x));
        let jain = sum * sum / (f64::from(flows) * squares);
        assert!(jain >= JAIN_FLOOR, "{algorithm:?}: Jain's index {jain} of {shares:?}");
        assert!(sum > 0.8 * 8.0, "{algorithm:?}: {sum} Mbit/s of 8");
    }
}

#[test]
fn flows_of_new_reno_share_a_bottleneck_evenly() {
    share_evenly(NewReno);
}

#[test]
fn flows_of_cubic_share_a_bottleneck_evenly() {
    share_evenly(Cubic);
}

#[test]
fn flows_of_bbr_share_a_bottleneck_evenly() {
    share_evenly(Bbr);
}

#[test]
fn bbr_uses_a_path_that_loses_at_random_and_cubic_takes_the_losses_for_congestion() {
    for (loss_ppm, times) in [(10_000, 2.0), (50_000, 5.0)] {
        let goodput = |algorithm| {
            let mut path = Path::new(20, Duration::from_millis(50), loss_ppm);
            path.open(algorithm);
            path.run_for(Duration::from_secs(2));
            path.goodput(Duration::from_secs(10))[0]
        };
        let (bbr, cubic) = (goodput(Bbr), goodput(Cubic));
        assert!(bbr > times * cubic, "{loss_ppm} ppm lost: BBR {bbr}, CUBIC {cubic} Mbit/s");
    }
}

/// Startup, Drain, the phases of `ProbeBW`, and a `ProbeRTT` after five seconds.
#[test]
fn the_course_of_a_bbr_connection() {
    let mut path = Path::new(10, Duration::from_millis(40), 0);
    path.open(Bbr);
    let mut course = String::from("     s  cwnd  flight   Mbit/s  srtt ms\n");
    for _ in 0..80 {
        let goodput: f64 = path.goodput(Duration::from_millis(100)).iter().sum();
        let info = path.two.call(0, |host, now| host.tcp_info(now, path.senders[0]));
        let seconds = path.two.sim.now().since(Instant::ZERO).as_secs_f64();
        let srtt = info.rtt.as_micros() as f64 / 1000.0;
        let (cwnd, flight) = (info.snd_cwnd, info.flight_bytes.div_ceil(info.snd_mss));
        writeln!(course, "{seconds:>6.1} {cwnd:>5} {flight:>7} {goodput:>8.1} {srtt:>8.1}")
            .expect("a string takes all");
    }
    insta::assert_snapshot!(course);
}
