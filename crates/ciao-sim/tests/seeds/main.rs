//! Two hosts, one connection, everything else by seed: sizes, buffers, options, who closes when, and what the
//! link does.
//!
//! In each run what is read is what was written, the end of data comes after the last byte and never before,
//! nobody is cut off, every packet keeps the rules of the watcher, something is always due while something is
//! outstanding, and in the end nothing is left of the connection. A failure names its seed, and the fewest
//! faults found with which the run still fails; the test's name is the profile.

mod application;
mod plan;
mod run;
mod shrink;

use plan::{Plan, Profile};
use run::{Outcome, Run};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs of each profile, 3,000 and a few in all. `CIAO_SEEDS=20000` for a soak, `CIAO_SEED=0x1f` for one run,
/// `CIAO_FAULTS=0:12,1:3` beside it for one in which chance harms these packets of the two sides alone.
const SEEDS: u64 = 500;

fn run_all(profile: Profile) -> Vec<Outcome> {
    if let Some(seed) = number("CIAO_SEED") {
        return vec![run(seed, profile)];
    }
    (0..number("CIAO_SEEDS").unwrap_or(SEEDS)).map(|seed| run(seed, profile)).collect()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    Some(parsed.unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

fn run(seed: u64, profile: Profile) -> Outcome {
    let mut plan = Plan::draw(seed, profile);
    if let Ok(faults) = std::env::var("CIAO_FAULTS") {
        plan.keep_only(&shrink::parse(&faults));
        return Run::new(seed, &plan).complete();
    }
    let mut run = Run::new(seed, &plan);
    let outcome = catch_unwind(AssertUnwindSafe(|| run.complete()));
    outcome.unwrap_or_else(|panic| {
        eprintln!("again: CIAO_SEED={seed:#x} cargo test -p ciao-sim --test seeds ({profile:?})");
        shrink::report(seed, &plan, run.faults());
        resume_unwind(panic)
    })
}

/// Asserts that of a hundred runs at least `percent` did what the profile is there to provoke. One run proves
/// nothing.
fn assert_frequent(outcomes: &[Outcome], percent: usize, did: impl Fn(&Outcome) -> bool) {
    let count = count(outcomes, did);
    assert!(outcomes.len() == 1 || count * 100 >= percent * outcomes.len(), "{count} of {}", outcomes.len());
}

/// A thousandth of the runs may fail, as those that meet six losses in a row do.
fn assert_hardly_any_failed(outcomes: &[Outcome]) {
    let seeds: Vec<u64> =
        (0..).zip(outcomes).filter(|(_, outcome)| outcome.has_failed).map(|(seed, _)| seed).collect();
    assert!(seeds.len() * 1_000 <= outcomes.len(), "of {} these failed: {seeds:#x?}", outcomes.len());
}

/// How many runs did something that a profile is there to provoke.
fn count(outcomes: &[Outcome], did: impl Fn(&Outcome) -> bool) -> usize {
    outcomes.iter().filter(|outcome| did(outcome)).count()
}

#[test]
fn a_clean_link_delivers_everything_without_a_retransmission() {
    let outcomes = run_all(Profile::Clean);
    assert_eq!(count(&outcomes, |outcome| outcome.has_failed), 0);
    assert_frequent(&outcomes, 10, |outcome| outcome.simultaneous_close);
}

#[test]
fn loss_is_repaired() {
    let outcomes = run_all(Profile::Loss);
    assert_frequent(&outcomes, 70, |outcome| outcome.packets_lost > 0);
    assert_hardly_any_failed(&outcomes);
}

#[test]
fn reordering_is_put_right() {
    let outcomes = run_all(Profile::Reordering);
    assert_frequent(&outcomes, 90, |outcome| outcome.packets_late > 0);
    assert_eq!(count(&outcomes, |outcome| outcome.has_failed), 0);
}

#[test]
fn duplicates_are_noticed() {
    let outcomes = run_all(Profile::Duplication);
    assert_frequent(&outcomes, 80, |outcome| outcome.packets_doubled > 0);
    assert_eq!(count(&outcomes, |outcome| outcome.has_failed), 0);
}

// RFC 9293 §3.1 MUST-3
#[test]
fn corruption_is_dropped() {
    let outcomes = run_all(Profile::Corruption);
    assert_frequent(&outcomes, 50, |outcome| outcome.packets_corrupted > 0);
    assert_eq!(count(&outcomes, |outcome| outcome.has_failed), 0);
}

// RFC 4821 §7 4821-1
#[test]
fn a_narrow_link_in_the_middle_is_found_with_and_without_a_word() {
    let outcomes = run_all(Profile::NarrowPath);
    assert_frequent(&outcomes, 20, |outcome| outcome.packets_too_long > 0);
    assert_eq!(count(&outcomes, |outcome| outcome.has_failed), 0);
}

#[test]
fn all_faults_together_are_survived() {
    let outcomes = run_all(Profile::Chaos);
    assert_frequent(&outcomes, 30, |outcome| outcome.packets_lost > 0 && outcome.packets_late > 0);
    assert_hardly_any_failed(&outcomes);
}

#[test]
fn leaving_early_is_a_reset_for_the_peer_and_never_an_end_of_data() {
    let outcomes = run_all(Profile::LeavesEarly);
    assert_frequent(&outcomes, 40, |outcome| outcome.was_reset);
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..40 {
        let digest = || run(seed, Profile::Chaos).digest;
        assert_eq!(digest(), digest(), "seed {seed}");
    }
    let digest = |seed| run(seed, Profile::Chaos).digest;
    assert_ne!(digest(1), digest(2));
}
