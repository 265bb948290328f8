//! Which of the faults of a failing run does the failure need? Most packets that chance has harmed have
//! nothing to do with it.
//!
//! The n-th packet of a link has the same fate in every run of a seed, so a run in which some are spared is
//! the same run up to there (delta debugging, after Zeller's ddmin).

use crate::plan::Plan;
use crate::run::Run;
use ciao_sim::Harm;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

/// Runs that the search may take: a minute or so when each takes long.
const MAX_RUNS: usize = 500;

/// A packet that chance harms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Whose packet.
    pub(crate) side: usize,
    /// Which of them, from 1.
    pub(crate) number: u64,
    /// How; unknown when it was read.
    pub(crate) harm: Option<Harm>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.side, self.number)
    }
}

/// Reads what [`report`] has printed.
pub(crate) fn parse(list: &str) -> Vec<Fault> {
    let fault = |text: &str| {
        let (side, number) = text.split_once(':')?;
        Some(Fault { side: side.parse().ok()?, number: number.parse().ok()?, harm: None })
    };
    let faults = list.split(',').filter(|text| !text.is_empty());
    faults.map(|text| fault(text).unwrap_or_else(|| panic!("no SIDE:NUMBER: {text}"))).collect()
}

/// Says with how few of `faults` the run of `seed` still fails.
pub(crate) fn report(seed: u64, plan: &Plan, faults: Vec<Fault>) {
    let all = faults.len();
    let fails = |kept: &[Fault]| {
        let mut plan = plan.clone();
        plan.keep_only(kept);
        let mut run = Run::new(seed, &plan);
        catch_unwind(AssertUnwindSafe(|| run.complete())).err()?;
        Some(run.faults())
    };
    // Each run that fails would say so.
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let shortest = shortest(faults, fails);
    set_hook(hook);
    let list: Vec<String> = shortest.iter().map(ToString::to_string).collect();
    eprintln!("with {} of {all} faults: CIAO_SEED={seed:#x} CIAO_FAULTS={} …", list.len(), list.join(","));
    for Fault { side, number, harm } in shortest {
        eprintln!(
            "    packet {number} of side {side}: {}",
            harm.map_or(String::new(), |harm| format!("{harm:?}"))
        );
    }
}

/// The fewest of `faults` found with which a run still fails. `fails` answers which of them there were up to
/// the failure, if there was one.
fn shortest(faults: Vec<Fault>, mut fails: impl FnMut(&[Fault]) -> Option<Vec<Fault>>) -> Vec<Fault> {
    let (mut kept, mut runs) = (faults, 0);
    let mut chunk = kept.len();
    while chunk > 0 && runs < MAX_RUNS {
        let mut at = 0;
        while at < kept.len() && runs < MAX_RUNS {
            let end = kept.len().min(at + chunk);
            let without = [&kept[..at], &kept[end..]].concat();
            runs += 1;
            match fails(&without) {
                Some(fewer) => kept = fewer,
                None => at = end,
            }
        }
        chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
    }
    kept
}

#[test]
fn what_is_left_of_the_faults_is_what_the_failure_needs() {
    let fault = |side, number| Fault { side, number, harm: None };
    let all: Vec<_> = (0..2).flat_map(|side| (1..60).map(move |number| fault(side, number))).collect();
    let needed = [fault(0, 3), fault(0, 59), fault(1, 7)];
    let mut runs = 0;
    let found = shortest(all, |kept| {
        runs += 1;
        needed.iter().all(|fault| kept.contains(fault)).then(|| kept.to_vec())
    });
    assert_eq!(found, needed);
    assert!(runs < 100, "{runs}");
    assert_eq!(shortest(found, |kept| Some(kept.to_vec())), [], "a failure without any fault");
}

#[test]
fn a_run_without_its_faults_is_one_on_a_clean_link() {
    use crate::plan::Profile;
    for seed in 0..20 {
        let plan = Plan::draw(seed, Profile::Chaos);
        let mut whole = Run::new(seed, &plan);
        let outcome = whole.complete();
        let mut same = plan.clone();
        same.keep_only(&whole.faults());
        assert_eq!(Run::new(seed, &same).complete().digest, outcome.digest, "all of them: the same run");
        let mut spared = plan.clone();
        spared.keep_only(&[]);
        let mut spared = Run::new(seed, &spared);
        spared.complete();
        assert_eq!(spared.faults(), []);
        assert_eq!(
            parse(&whole.faults().iter().map(|it| format!("{it},")).collect::<String>()).len(),
            whole.faults().len()
        );
    }
}
