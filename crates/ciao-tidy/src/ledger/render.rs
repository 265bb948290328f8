//! How is `docs/rfc/README.md` drawn from the rows and the marks?

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Decision, Marks, Requirement};

/// The whole page.
#[must_use]
pub fn page(rows: &[Requirement], marks: &Marks) -> String {
    let mut page = String::from(
        "# Which requirement is kept, by which code and which test\n\n\
         Generated from `docs/rfc/rfc9293.csv`, `docs/rfc/other.csv` and the marks in the sources by `CIAO_BLESS=1 cargo tidy`;\n\
         a test compares it. How a mark looks: CONTRIBUTING.md, \"Rules of the RFCs\".\n\n",
    );
    let must: Vec<&Requirement> =
        rows.iter().filter(|row| row.rfc == "9293" && row.id.starts_with("MUST-")).collect();
    let held = must.iter().filter(|row| is_kept(row, marks)).count();
    let _ = writeln!(page, "**{held} of RFC 9293's {} MUST hold by test.**\n", must.len());
    counts(&mut page, rows, marks);
    kept_must(&mut page, &must, marks);
    by_reason(&mut page, rows, Decision::Later, "Later");
    by_reason(&mut page, rows, Decision::No, "No, and why");
    by_reason(&mut page, rows, Decision::Library, "Kept by a library");
    page
}

fn is_kept(row: &Requirement, marks: &Marks) -> bool {
    row.decision == Decision::Do && marks.keep(&row.id)
}

/// One line for each RFC and level.
fn counts(page: &mut String, rows: &[Requirement], marks: &Marks) {
    let mut table: BTreeMap<(u32, &str, &str), [usize; 5]> = BTreeMap::new();
    for row in rows {
        let number = row.rfc.split('/').next().and_then(|number| number.parse().ok()).unwrap_or(u32::MAX);
        let column = match row.decision {
            Decision::Do if is_kept(row, marks) => 0,
            Decision::Do => 1,
            Decision::Later => 2,
            Decision::Library => 3,
            Decision::No => 4,
        };
        table.entry((number, &row.rfc, level(&row.level))).or_default()[column] += 1;
    }
    page.push_str("| RFC | level | kept, with code and test | marks missing | later | by a library | no |\n");
    page.push_str("|---|---|--:|--:|--:|--:|--:|\n");
    let mut sums = [0; 5];
    for ((_, rfc, level), counts) in &table {
        line(page, rfc, level, *counts);
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    line(page, "all", "", sums);
}

fn line(page: &mut String, rfc: &str, level: &str, counts: [usize; 5]) {
    let _ = write!(page, "| {rfc} | {level} |");
    for count in counts {
        let _ = if count == 0 { write!(page, " |") } else { write!(page, " {count} |") };
    }
    page.push('\n');
}

/// The strictest word of a level: many rows have two, or say `rule` where the RFC has no key word.
fn level(level: &str) -> &'static str {
    ["MUST", "SHOULD", "MAY"].into_iter().find(|word| level.to_uppercase().contains(word)).unwrap_or("other")
}

/// RFC 9293's MUST with the files that carry the marks.
fn kept_must(page: &mut String, must: &[&Requirement], marks: &Marks) {
    page.push_str("\n## RFC 9293's MUST\n\n| id | in our words | code | test |\n|---|---|---|---|\n");
    for row in must {
        let files = |side: &BTreeMap<String, BTreeSet<String>>| {
            let names = side.get(&row.id).into_iter().flatten().map(|path| short(path));
            names.collect::<Vec<_>>().join(", ")
        };
        let requirement = row.requirement.replace('|', "\\|");
        let (code, tests) = match row.decision {
            Decision::Do => (files(&marks.code), files(&marks.tests)),
            Decision::Later => (format!("later: {}", row.reason), String::new()),
            Decision::Library => (row.reason.clone(), String::new()),
            Decision::No => (format!("no: {}", row.reason), files(&marks.tests)),
        };
        let _ = writeln!(page, "| {} | {requirement} | {code} | {tests} |", row.id);
    }
}

/// `crates/ciao-tcp/src/rtt.rs` to `tcp/rtt.rs`.
fn short(path: &str) -> String {
    path.trim_start_matches("crates/").trim_start_matches("ciao-").replace("/src/", "/")
}

/// The rows of one decision, gathered under what stands behind its colon.
fn by_reason(page: &mut String, rows: &[Requirement], decision: Decision, title: &str) {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.decision == decision) {
        let id = if row.rfc == "9293" { format!("9293 {}", row.id) } else { row.id.clone() };
        reasons.entry(&row.reason).or_default().push(id);
    }
    let _ = writeln!(page, "\n## {title}\n");
    for (reason, ids) in reasons {
        let _ = writeln!(page, "- {reason}: {}", ids.join(", "));
    }
}
