//! How is a row measured? Its contenders run in turn, round after round, and the medians are shown: of each
//! contender's figures, and of the ratios within each round.

use comfy_table::{CellAlignment, Table, presets};

/// One contender's measurement: runs once and gives its figure.
pub type Measure = Box<dyn FnMut() -> f64>;

/// What a figure counts, and which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 10^9 bits a second of CPU time; more is better.
    GbitPerS,
    /// A second of CPU time; more is better.
    PerSecond,
    /// Nanoseconds of CPU time; less is better.
    Nanoseconds,
    /// Bytes; less is better.
    Bytes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::GbitPerS => "Gbit/s",
            Self::PerSecond => "/s",
            Self::Nanoseconds => "ns",
            Self::Bytes => "B",
        }
    }

    /// How many times better `own` is than `other`.
    fn advantage(self, own: f64, other: f64) -> f64 {
        match self {
            Self::GbitPerS | Self::PerSecond => own / other,
            Self::Nanoseconds | Self::Bytes => other / own,
        }
    }
}

/// Who takes part in a row.
#[derive(Default)]
pub struct Contenders {
    /// Ciao.
    pub ciao: Option<Measure>,
    /// smoltcp, where it can do the same.
    pub smoltcp: Option<Measure>,
    /// The kernel's loopback, where it can do the same.
    pub kernel: Option<Measure>,
}

/// One line of the table.
pub struct Row {
    /// What is measured.
    pub name: &'static str,
    /// In what.
    pub unit: Unit,
    /// Sets the contenders up, when the row's turn comes.
    pub contenders: fn() -> Contenders,
}

/// Whether the peers run too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers {
    /// They do.
    With,
    /// They do not: Ciao alone, for a profile.
    Without,
}

/// A measured row.
pub struct Outcome {
    name: &'static str,
    unit: Unit,
    ciao: Option<f64>,
    smoltcp: Option<f64>,
    kernel: Option<f64>,
    to_smoltcp: Option<f64>,
    to_kernel: Option<f64>,
}

/// Runs the contenders of a row in turn.
#[must_use]
pub fn measure(row: &Row, rounds: usize, peers: Peers) -> Outcome {
    let mut contenders = (row.contenders)();
    if peers == Peers::Without {
        (contenders.smoltcp, contenders.kernel) = (None, None);
    }
    let mut figures = [const { Vec::new() }; 3];
    // The first round warms up.
    for round in 0..=rounds {
        let all = [&mut contenders.ciao, &mut contenders.smoltcp, &mut contenders.kernel];
        for (contender, figures) in all.into_iter().zip(&mut figures) {
            let figure = contender.as_mut().map(|measure| measure());
            if round > 0 {
                figures.extend(figure);
            }
        }
    }
    let [ciao, smoltcp, kernel] = &figures;
    let advantage = |others: &[f64]| {
        median(ciao.iter().zip(others).map(|(own, other)| row.unit.advantage(*own, *other)).collect())
    };
    Outcome {
        name: row.name,
        unit: row.unit,
        ciao: median(ciao.clone()),
        smoltcp: median(smoltcp.clone()),
        kernel: median(kernel.clone()),
        to_smoltcp: advantage(smoltcp),
        to_kernel: advantage(kernel),
    }
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

/// The outcomes as text.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["what", "unit", "Ciao", "smoltcp", "kernel", "× smoltcp", "× kernel"]);
    for outcome in outcomes {
        let Outcome { name, unit, ciao, smoltcp, kernel, to_smoltcp, to_kernel } = outcome;
        let figures = [ciao, smoltcp, kernel].map(|figure| figure.map_or_else(|| "–".into(), round));
        let ratios =
            [to_smoltcp, to_kernel].map(|ratio| ratio.map_or_else(|| "–".into(), |r| format!("{r:.2}")));
        let [ciao, smoltcp, kernel] = figures;
        let [to_smoltcp, to_kernel] = ratios;
        table.add_row([(*name).into(), unit.name().into(), ciao, smoltcp, kernel, to_smoltcp, to_kernel]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Three digits that matter, or whole numbers with the thousands set apart.
fn round(figure: f64) -> String {
    if figure < 100.0 {
        return format!("{figure:.1}");
    }
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_above_one_mean_that_ciao_is_better_whatever_the_unit() {
        assert!(Unit::GbitPerS.advantage(2.0, 1.0) > 1.0);
        assert!(Unit::PerSecond.advantage(2.0, 1.0) > 1.0);
        assert!(Unit::Nanoseconds.advantage(1.0, 2.0) > 1.0);
        assert!(Unit::Bytes.advantage(1.0, 2.0) > 1.0);
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(
            [3.149, 99.94, 100.4, 1234.0, 1_234_567.0].map(round),
            ["3.1", "99.9", "100", "1,234", "1,234,567"]
        );
    }

    #[test]
    fn contenders_take_turns_and_medians_are_shown() {
        fn sequence(mut figures: Vec<f64>) -> Option<Measure> {
            figures.reverse();
            Some(Box::new(move || figures.pop().expect("four rounds")))
        }
        let contenders = || Contenders {
            ciao: sequence(vec![100.0, 2.0, 3.0, 1.0]),
            smoltcp: sequence(vec![100.0, 1.0, 1.0, 1.0]),
            kernel: None,
        };
        let row = Row { name: "row", unit: Unit::PerSecond, contenders };
        let outcome = measure(&row, 3, Peers::With);
        assert_eq!((outcome.ciao, outcome.smoltcp, outcome.kernel), (Some(2.0), Some(1.0), None));
        assert_eq!((outcome.to_smoltcp, outcome.to_kernel), (Some(2.0), None));
    }
}
