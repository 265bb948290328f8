//! How fast and how small is Ciao beside its peers? One process measures all of them alternately and prints
//! one table.
//!
//! | question | file |
//! |---|---|
//! | Which rows are there? | [`rows`] |
//! | How is a row measured, what is a ratio? | [`measure`] |
//! | How is CPU time taken, how are allocated bytes counted? | [`clock`], [`allocation`] |
//! | smoltcp 0.14, two interfaces or one with itself | [`smoltcp_peer`] |
//! | The kernel's loopback | [`kernel_peer`] |
//! | hyper on Ciao's sockets and on the kernel's | [`http`] |
//! | How much of a lossy path is used, beside the kernel with the same packets lost? | [`lossy`] |
//!
//! All figures but those of [`lossy`] are CPU time of both ends in one thread, because wall time varies
//! twofold on a shared machine; and what counts is the ratio within a round, because the machine's speed
//! changes between rounds.

pub mod allocation;
pub mod ciao_pair;
pub mod clock;
pub mod http;
pub mod kernel_peer;
pub mod lossy;
pub mod measure;
pub mod rows;
pub mod smoltcp_peer;

use clap::{Parser, Subcommand};

/// Measures Ciao beside smoltcp and the kernel's loopback and prints a table with ratios.
#[derive(Parser)]
#[command(name = "ciao-bench", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    subject: Option<Subject>,
    /// Measure only rows whose name contains one of these words.
    words: Vec<String>,
    /// Rounds of each row; the median counts.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Measure Ciao alone, for a profile.
    #[arg(long)]
    alone: bool,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What else can be measured.
#[derive(Subcommand)]
enum Subject {
    /// Goodput on lossy paths, and fairness, in the simulator or beside the kernel.
    Lossy(lossy::Arguments),
}

/// Measures and prints.
pub fn main() {
    let arguments = Arguments::parse();
    if let Some(Subject::Lossy(arguments)) = &arguments.subject {
        return lossy::main(arguments);
    }
    let chosen =
        |name: &str| arguments.words.is_empty() || arguments.words.iter().any(|word| name.contains(word));
    let rows = rows::all().into_iter().filter(|row| chosen(row.name));
    let peers = if arguments.alone { measure::Peers::Without } else { measure::Peers::With };
    let results: Vec<_> = rows
        .map(|row| {
            eprintln!("{} …", row.name);
            measure::measure(&row, arguments.rounds.max(1), peers)
        })
        .collect();
    println!("{}", measure::table(&results));
}
