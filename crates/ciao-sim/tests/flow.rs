//! Does one connection fill its path with the default settings? Buffers grow to what the path needs.

use bytes::Bytes;
use ciao_sim::{LinkConfig, TwoHosts};
use ciao_stack::{ConnectRequest, HostConfig, ListenRequest, ListenerId, SocketId};
use ciao_tcp::SocketOptions;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A path between a sender and a receiver.
struct Path {
    bits_per_s: u64,
    /// There and back.
    rtt: Duration,
    mtu: u16,
}

impl Path {
    const LONG: Self = Self { bits_per_s: 100_000_000, rtt: Duration::from_millis(50), mtu: 1500 };
    /// 12.5 MB in flight. Jumbo frames keep the number of packets down.
    const FAT: Self = Self { bits_per_s: 1_000_000_000, rtt: Duration::from_millis(100), mtu: 9000 };

    fn link(&self) -> LinkConfig {
        LinkConfig {
            delay: self.rtt / 2,
            bandwidth_bits_per_s: Some(self.bits_per_s),
            // Nothing is lost: what holds the sender back is not the congestion window.
            queue_bytes: 64 << 20,
            mtu: self.mtu.into(),
            ..LinkConfig::default()
        }
    }
}

/// A sender that always has something to send, and a receiver that reads at once.
struct Transfer {
    two: TwoHosts,
    listener: ListenerId,
    sender: SocketId,
    receiver: Option<SocketId>,
    received: u64,
}

impl Transfer {
    fn new(path: &Path, options: [SocketOptions; 2]) -> Self {
        let configs = [HostConfig::default(), HostConfig::default()];
        let mut two = TwoHosts::new(1, configs, path.mtu, [path.link(), path.link()]);
        let server = TwoHosts::address(1, 80);
        let listener = two.listen(1, ListenRequest { options: options[1], ..ListenRequest::at(server) });
        let sender = two.connect(0, ConnectRequest { options: options[0], ..ConnectRequest::to(server) });
        Self { two, listener, sender, receiver: None, received: 0 }
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.two.sim.now() + duration;
        let data = Bytes::from(vec![7; 1 << 20]);
        while self.two.sim.next_at().is_some_and(|at| at <= end) {
            let host = self.two.sim.step().expect("something is next").host();
            if host == self.two.hosts[0] {
                let send = |bytes: &mut Bytes, two: &mut TwoHosts| {
                    two.call(0, |host, now| host.tcp_send_bytes(now, self.sender, bytes))
                };
                while send(&mut data.clone(), &mut self.two).is_ok() {}
            } else {
                self.read();
            }
        }
    }

    fn read(&mut self) {
        let listener = self.listener;
        let accepted = || self.two.call(1, |host, _| host.tcp_accept(listener));
        self.receiver = self.receiver.or_else(accepted);
        let Some(receiver) = self.receiver else { return };
        while let Ok(bytes) = self.two.call(1, |host, now| host.tcp_receive_bytes(now, receiver, usize::MAX))
        {
            self.received += bytes.len() as u64;
        }
    }

    /// Payload bits a second that arrive during `duration`.
    fn rate_during(&mut self, duration: Duration) -> u64 {
        let before = self.received;
        self.run_for(duration);
        (self.received - before) * 8 * 1000 / u64::try_from(duration.as_millis()).expect("it is short")
    }

    /// Runs until two round trips in a row have brought at least `bits_per_s`; answers how many were needed.
    fn round_trips_until(&mut self, path: &Path, bits_per_s: u64) -> u32 {
        let mut filled = 0;
        for count in 0..60 {
            let rate = self.rate_during(path.rtt);
            filled = if rate >= bits_per_s { filled + 1 } else { 0 };
            if filled == 2 {
                return count;
            }
        }
        panic!("after 60 round trips it is {} bit/s", self.rate_during(path.rtt));
    }
}

#[test]
fn one_connection_fills_a_hundred_megabits_over_fifty_milliseconds() {
    let mut transfer = Transfer::new(&Path::LONG, [SocketOptions::default(); 2]);
    // The headers of each packet take 52 of 1500 bytes. Slow start from ten segments needs six doublings.
    let round_trips = transfer.round_trips_until(&Path::LONG, 96_000_000);
    assert!(round_trips <= 12, "{round_trips}");
}

#[test]
fn one_connection_fills_a_gigabit_over_a_hundred_milliseconds() {
    let mut transfer = Transfer::new(&Path::FAT, [SocketOptions::default(); 2]);
    let round_trips = transfer.round_trips_until(&Path::FAT, 980_000_000);
    assert!(round_trips <= 16, "{round_trips}");
}

#[test]
fn sizes_that_the_application_has_set_stay_as_they_are() {
    let fixed = Some(200_000);
    for (send_buffer_bytes, receive_buffer_bytes) in [(fixed, None), (None, fixed)] {
        let options = SocketOptions { send_buffer_bytes, receive_buffer_bytes, ..SocketOptions::default() };
        let mut transfer = Transfer::new(&Path::LONG, [options; 2]);
        transfer.run_for(SECOND / 2);
        // 200,000 bytes in 50 ms are 32 Mbit/s.
        let rate = transfer.rate_during(SECOND / 4);
        assert!((28_000_000..=32_100_000).contains(&rate), "{options:?}: {rate} bit/s");
    }
}
