//! How much of a lossy path does a transfer use, and how fairly do transfers share one?
//!
//! | question | file |
//! |---|---|
//! | What is done to which packets, and what is then the ideal? | [`path`] |
//! | Which algorithms of congestion control take part? | [`algorithm`] |
//! | Who sends and receives? | [`machine`]: Ciao (`ciao_machine.rs`), the kernel (`linux_machine.rs`) |
//! | How does the kernel get a network of its own? | `namespace.rs`, system calls in `sys.rs` |
//! | What moves packets, in virtual or in real time? | [`journey`] |
//! | Which rows are measured, how are they shown? | [`goodput`], [`fairness`] |
//! | Does the README show what the simulator gives? | `readme.rs` |
//!
//! The path is the simulator's link in both cases: the kernel's packets come to it out of a TUN device, and
//! wait there in real time for as long as the simulator's do in virtual time. So the same rate, queue,
//! delay and losses meet whoever sends, and the n-th data packet has the same fate for all.

pub mod algorithm;
mod ciao_machine;
pub mod fairness;
pub mod goodput;
pub mod journey;
mod linux_machine;
pub mod machine;
mod namespace;
pub mod path;
mod readme;
mod sys;

use algorithm::Algorithm;
use clap::{Args, ValueEnum};
use journey::Trace;
use path::Situation;
use std::path::PathBuf;

/// Goodput on lossy paths, and fairness, as shares of the ideal.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Only situations whose name contains one of these words.
    words: Vec<String>,
    /// Ciao and the kernel as senders in turn, in real time over the same path; wants root.
    #[arg(long)]
    linux: bool,
    /// Flows that share one bottleneck instead of one transfer.
    #[arg(long)]
    fair: bool,
    /// Only these algorithms.
    #[arg(long, value_enum)]
    algorithm: Vec<Algorithm>,
    /// Megabytes (10^6) of a transfer.
    #[arg(long, default_value_t = MEGABYTES)]
    megabytes: u64,
    /// Mbit/s of the path that flows share.
    #[arg(long, default_value_t = SHARED_MEGABITS)]
    megabits: u64,
    /// What chance is drawn from in the first round; one more in each round.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Rounds of each row, 5 in the simulator and 1 in real time; the median counts.
    #[arg(long)]
    rounds: Option<u64>,
    /// In real time, a transfer ends after so many seconds; what has arrived by then counts.
    #[arg(long, default_value_t = SECONDS)]
    seconds: u64,
    /// Compare this document's tables with the simulator's; CIAO_BLESS=1 writes them anew.
    #[arg(long)]
    check: Option<PathBuf>,
    /// Write the sender's window and flight every so many milliseconds.
    #[arg(long)]
    trace: Option<u64>,
}

const MEGABYTES: u64 = 100;
/// As fast as the path of one transfer.
const SHARED_MEGABITS: u64 = path::RATE_BITS_PER_S / 1_000_000;
const SEED: u64 = 1;
/// In the simulator, where a round takes a second or two, and one may be unlucky.
const ROUNDS: u64 = 5;
/// A transfer at full rate takes 8.3 s; a slower one has long found its pace by then.
const SECONDS: u64 = 30;

impl Default for Arguments {
    /// What an empty command line means.
    fn default() -> Self {
        Self {
            words: Vec::new(),
            linux: false,
            fair: false,
            algorithm: Vec::new(),
            megabytes: MEGABYTES,
            megabits: SHARED_MEGABITS,
            seed: SEED,
            rounds: None,
            seconds: SECONDS,
            check: None,
            trace: None,
        }
    }
}

impl Arguments {
    fn situations(&self) -> Vec<Situation> {
        let chosen = |situation: &Situation| {
            self.words.is_empty() || self.words.iter().any(|word| situation.name().contains(word))
        };
        Situation::ALL.into_iter().filter(chosen).collect()
    }

    fn algorithms(&self) -> Vec<Algorithm> {
        if self.algorithm.is_empty() { Algorithm::value_variants().to_vec() } else { self.algorithm.clone() }
    }

    fn trace(&self) -> Trace {
        self.trace.map_or(Trace::Off, |millis| Trace::Every(std::time::Duration::from_millis(millis.max(1))))
    }

    fn seeds(&self) -> impl Iterator<Item = u64> {
        let rounds = self.rounds.unwrap_or(if self.linux { 1 } else { ROUNDS });
        self.seed..self.seed + rounds.max(1)
    }
}

/// Measures and prints.
pub fn main(arguments: &Arguments) {
    if let Some(path) = &arguments.check {
        if let Err(error) = readme::check(path) {
            eprintln!("{error}");
            std::process::exit(1);
        }
        return;
    }
    let outcome = match (arguments.linux, arguments.fair) {
        (false, false) => Ok(goodput::simulated(arguments)),
        (true, false) => goodput::beside_linux(arguments),
        (false, true) => Ok(fairness::simulated(arguments)),
        (true, true) => fairness::beside_linux(arguments),
    };
    match outcome {
        Ok(table) => println!("{table}"),
        Err(error) => {
            eprintln!("the kernel cannot take part: {error}");
            std::process::exit(1);
        }
    }
}
