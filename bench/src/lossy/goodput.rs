//! What share of the ideal does one transfer reach? In the simulator for each algorithm, and beside the
//! kernel in real time.

use super::Arguments;
use super::algorithm::Algorithm;
use super::ciao_machine::CiaoMachine;
use super::journey::{Journey, Trace};
use super::linux_machine::LinuxMachine;
use super::machine::{Flow, Machine, address};
use super::path::Situation;
use super::sys;
use ciao_stack::Checksums;
use comfy_table::{CellAlignment, Table, presets};
use std::io;
use std::thread;
use std::time::Duration;

/// In virtual time a transfer may take as long as it wants, but not for ever: a day.
const PATIENCE: Duration = Duration::from_secs(86_400);

/// What the figures of a table are.
const SHARE: &str = "share of the ideal";

/// One transfer.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// What the path does.
    pub situation: Situation,
    /// Who limits it.
    pub algorithm: Algorithm,
    /// How much.
    pub bytes: u64,
    /// What chance is drawn from.
    pub seed: u64,
}

/// Which TCP sends in real time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Ciao,
    Linux,
}

impl Transfer {
    const fn flow(&self) -> Flow {
        Flow { algorithm: self.algorithm, bytes: self.bytes }
    }

    /// Ciao to Ciao in virtual time; the share of the ideal.
    #[must_use]
    pub fn simulate(&self, trace: Trace) -> f64 {
        let sender = CiaoMachine::new(address(2), Some(self.flow()), Checksums::ByLink, trace.of_host());
        self.run(Box::new(sender), Box::new(CiaoMachine::receiver(address(1))), PATIENCE, trace)
    }

    /// To the kernel in real time, for a while at most; the share of the ideal.
    fn perform(&self, sender: Sender, at_most: Duration, trace: Trace) -> io::Result<f64> {
        let receiver = LinuxMachine::receiver(address(1))?;
        let sender: Box<dyn Machine> = match sender {
            Sender::Ciao => {
                Box::new(CiaoMachine::new(address(2), Some(self.flow()), Checksums::ByHost, trace.of_host()))
            }
            Sender::Linux => Box::new(LinuxMachine::new(address(2))?),
        };
        Ok(self.run(sender, Box::new(receiver), at_most, trace))
    }

    fn run(
        &self,
        sender: Box<dyn Machine>,
        receiver: Box<dyn Machine>,
        at_most: Duration,
        trace: Trace,
    ) -> f64 {
        let forward = self.situation.forward(self.bytes);
        let mut journey = Journey::new(vec![sender], receiver, forward, self.seed, trace);
        let start = journey.now();
        journey.sender(0).open(start, self.flow());
        let received = |receiver: &dyn Machine| receiver.received().first().map_or(0, |first| first.bytes);
        let end = journey.run(start + at_most, |receiver| received(receiver) == self.bytes);
        if trace != Trace::Off {
            eprintln!("{} {}: {:?}", self.situation.name(), self.algorithm.name(), journey.counts());
        }
        let seconds = end.since(start).as_secs_f64();
        received(journey.receiver()) as f64 * 8.0 / seconds / self.situation.ideal_bits_per_s()
    }
}

/// The simulator's table: a row a situation, a column an algorithm.
#[must_use]
pub fn simulated(arguments: &Arguments) -> Table {
    let algorithms = arguments.algorithms();
    let mut table = empty(SHARE, algorithms.iter().map(|algorithm| algorithm.name().to_owned()));
    for situation in arguments.situations() {
        let share = |algorithm| {
            let bytes = arguments.megabytes * 1_000_000;
            let shares = seeds(arguments, situation)
                .map(|seed| Transfer { situation, algorithm, bytes, seed }.simulate(arguments.trace()));
            median(shares.collect())
        };
        let shares = in_parallel(&algorithms, share);
        table.add_row(std::iter::once(situation.name().to_owned()).chain(shares.into_iter().map(percent)));
    }
    align(table)
}

/// Virtual time is the same whoever else computes.
pub(super) fn in_parallel<I: Copy + Send + Sync, T: Send>(
    inputs: &[I],
    work: impl Fn(I) -> T + Sync,
) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = inputs.iter().map(|&input| scope.spawn(move || work(input))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a transfer does not panic")).collect()
    })
}

/// Ciao and the kernel in turn, both to the kernel, over the same path.
///
/// # Errors
/// Without the right to make a namespace, or without a TUN device.
pub fn beside_linux(arguments: &Arguments) -> io::Result<Table> {
    sys::hurry();
    let algorithms = arguments.algorithms();
    let titles = |algorithm: &Algorithm| {
        let name = algorithm.name();
        [format!("Ciao {name}"), format!("Linux {name}"), "×".to_owned()]
    };
    let mut table = empty(SHARE, algorithms.iter().flat_map(titles));
    let at_most = Duration::from_secs(arguments.seconds);
    for situation in arguments.situations() {
        let mut row = vec![situation.name().to_owned()];
        for &algorithm in &algorithms {
            let (mut ciao, mut linux) = (Vec::new(), Vec::new());
            for seed in arguments.seeds() {
                let transfer =
                    Transfer { situation, algorithm, bytes: arguments.megabytes * 1_000_000, seed };
                ciao.push(transfer.perform(Sender::Ciao, at_most, arguments.trace())?);
                linux.push(transfer.perform(Sender::Linux, at_most, arguments.trace())?);
            }
            let ratios = ciao.iter().zip(&linux).map(|(ciao, linux)| ciao / linux).collect();
            row.extend([percent(median(ciao)), percent(median(linux)), format!("{:.2}", median(ratios))]);
        }
        eprintln!("{}", row.join(" | "));
        table.add_row(row);
    }
    Ok(align(table))
}

/// Rounds without chance would all be the same in virtual time.
fn seeds(arguments: &Arguments, situation: Situation) -> impl Iterator<Item = u64> {
    arguments.seeds().take(if situation.is_by_chance() { usize::MAX } else { 1 })
}

pub(super) fn empty(corner: &str, titles: impl Iterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(std::iter::once(corner.to_owned()).chain(titles));
    table
}

pub(super) fn align(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    /// Short enough for every test run; the whole of a transfer is measured by the command.
    fn short(situation: Situation, algorithm: Algorithm) -> f64 {
        Transfer { situation, algorithm, bytes: 1_000_000, seed: 7 }.simulate(Trace::Off)
    }

    #[test]
    fn every_transfer_ends_and_none_is_faster_than_the_path() {
        for situation in Situation::ALL {
            for &algorithm in Algorithm::value_variants() {
                let share = short(situation, algorithm);
                assert!((0.001..1.0).contains(&share), "{situation:?}, {algorithm:?}: {share}");
            }
        }
    }

    #[test]
    fn every_algorithm_uses_most_of_a_clean_path_before_long() {
        for &algorithm in Algorithm::value_variants() {
            let transfer = Transfer { situation: Situation::Clean, algorithm, bytes: 8_000_000, seed: 7 };
            let share = transfer.simulate(Trace::Off);
            assert!(share > 0.6, "{algorithm:?}: {share}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_share() {
        let share = || short(Situation::ThreePercent, Algorithm::Cubic).to_bits();
        assert_eq!(share(), share());
    }
}
