//! How do flows share one bottleneck? Equal ones by Jain's index, Ciao against the kernel by their shares.

use super::Arguments;
use super::algorithm::Algorithm;
use super::ciao_machine::CiaoMachine;
use super::goodput::{align, empty, in_parallel, percent};
use super::journey::Journey;
use super::linux_machine::LinuxMachine;
use super::machine::{Flow, Machine, address};
use super::path::{RATE_BITS_PER_S, Situation};
use super::sys;
use ciao_sim::LinkConfig;
use ciao_stack::{Checksums, Tracing};
use ciao_wire::Instant;
use comfy_table::Table;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// A flow begins so long after the one before it: not all in the same slow start.
const STAGGER: Duration = Duration::from_millis(200);
/// What is not counted: the time in which flows find their shares.
const SETTLING: Duration = Duration::from_secs(30);
/// What is counted. At 100 Mbit/s and 50 ms NewReno and CUBIC take five to ten seconds from loss to loss, and
/// BBR probes once in two to five: thirty such times and more, since whom a full queue hits is chance, and
/// over half a minute one flow may have twice its share.
const COUNTED: Duration = Duration::from_secs(300);
/// Jitter of the path. Flows of one round-trip time would else meet a full queue in the same order for
/// ever, an effect of exact clocks that no real path has (Floyd and Jacobson, "On traffic phase effects").
const JITTER: Duration = Duration::from_millis(1);

/// Jain's index of fairness: 1 when all are equal, 1/n when one has all.
///
/// ```
/// use ciao_bench::lossy::fairness::jain;
/// assert_eq!(jain(&[5.0, 5.0]), 1.0);
/// assert_eq!(jain(&[1.0, 0.0, 0.0, 0.0]), 0.25);
/// ```
#[must_use]
pub fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (shares.len() as f64 * squares)
}

/// More than can be sent in the time.
const ENDLESS_BYTES: u64 = RATE_BITS_PER_S / 8 * 3600;

/// The path of a clean transfer with jitter, at so many Mbit/s, with a queue of one bandwidth-delay product.
fn path(megabits: u64) -> LinkConfig {
    let clean = Situation::Clean.forward(ENDLESS_BYTES);
    let bits_per_s = megabits * 1_000_000;
    let queue_bytes = clean.queue_bytes * bits_per_s / RATE_BITS_PER_S;
    LinkConfig { jitter: JITTER, bandwidth_bits_per_s: Some(bits_per_s), queue_bytes, ..clean }
}

/// Lets each of these flows of sender so-and-so begin, and gives the bits a second of each connection.
fn share(journey: &mut Journey, flows: &[(usize, Algorithm)], counted: Duration) -> Vec<(IpAddr, f64)> {
    let start = journey.now();
    for (&(sender, algorithm), number) in flows.iter().zip(0..) {
        journey.run(start + STAGGER * number, |_| false);
        let now = journey.now();
        journey.sender(sender).open(now, Flow { algorithm, bytes: ENDLESS_BYTES });
    }
    let begin = start + STAGGER * u32::try_from(flows.len()).expect("a few flows") + SETTLING;
    let from = run_to(journey, begin);
    let to = run_to(journey, begin + counted);
    let seconds = counted.as_secs_f64();
    from.iter().zip(&to).map(|(from, to)| (to.0, (to.1 - from.1) as f64 * 8.0 / seconds)).collect()
}

fn run_to(journey: &mut Journey, end: Instant) -> Vec<(IpAddr, u64)> {
    journey.run(end, |_| false);
    journey.receiver().received().iter().map(|received| (received.from.ip(), received.bytes)).collect()
}

/// Bits a second of so many equal flows in virtual time.
#[must_use]
pub fn simulate(algorithm: Algorithm, flows: usize, megabits: u64, seed: u64) -> Vec<f64> {
    let flow = Flow { algorithm, bytes: ENDLESS_BYTES };
    let sender = CiaoMachine::new(address(2), Some(flow), Checksums::ByLink, Tracing::Off);
    let receiver = Box::new(CiaoMachine::receiver(address(1)));
    let mut journey =
        Journey::new(vec![Box::new(sender)], receiver, path(megabits), seed, super::journey::Trace::Off);
    let flows = vec![(0, algorithm); flows];
    share(&mut journey, &flows, COUNTED).into_iter().map(|(_, bits_per_s)| bits_per_s).collect()
}

/// How many flows share the path in each row.
pub const FLOWS: [usize; 3] = [2, 4, 8];

/// Jain's index for each algorithm.
#[must_use]
pub fn simulated(arguments: &Arguments) -> Table {
    let algorithms = arguments.algorithms();
    let titles = algorithms.iter().map(|algorithm| algorithm.name().to_owned());
    let mut table = empty("Jain's index", titles);
    let cells: Vec<_> =
        FLOWS.iter().flat_map(|&flows| algorithms.iter().map(move |&it| (it, flows))).collect();
    let index = |(algorithm, flows)| jain(&simulate(algorithm, flows, arguments.megabits, arguments.seed));
    let indices = in_parallel(&cells, index);
    for (flows, row) in FLOWS.iter().zip(indices.chunks(algorithms.len())) {
        let row = row.iter().map(|index| format!("{index:.3}"));
        table.add_row(std::iter::once(format!("{flows} flows")).chain(row));
    }
    align(table)
}

/// A flow of Ciao's and one of the kernel's through one bottleneck.
///
/// # Errors
/// Without the right to make a namespace, or without a TUN device.
pub fn beside_linux(arguments: &Arguments) -> io::Result<Table> {
    sys::hurry();
    let mut table = empty("share of the path", ["Ciao".to_owned(), "Linux".to_owned()].into_iter());
    for algorithm in arguments.algorithms() {
        let mut sums = [0.0; 2];
        for (seed, round) in arguments.seeds().zip(0..) {
            let flow = Flow { algorithm, bytes: ENDLESS_BYTES };
            let senders: Vec<Box<dyn Machine>> = vec![
                Box::new(CiaoMachine::new(address(2), Some(flow), Checksums::ByHost, Tracing::Off)),
                Box::new(LinuxMachine::new(address(3))?),
            ];
            let receiver = Box::new(LinuxMachine::receiver(address(1))?);
            let mut journey =
                Journey::new(senders, receiver, path(arguments.megabits), seed, arguments.trace());
            // Who begins changes from round to round.
            let flows = [(round % 2, algorithm), (1 - round % 2, algorithm)];
            for (from, bits_per_s) in share(&mut journey, &flows, Duration::from_secs(arguments.seconds)) {
                sums[usize::from(from != IpAddr::V4(address(2)))] += bits_per_s;
            }
        }
        let all: f64 = sums.iter().sum();
        table.add_row([algorithm.name().to_owned(), percent(sums[0] / all), percent(sums[1] / all)]);
    }
    Ok(align(table))
}
