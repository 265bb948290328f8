//! Which requirement of which RFC is kept, by which code and which test?
//!
//! `docs/rfc/*.csv` lists the requirements in our own words, each with a decision:
//!
//! | decision begins with | meaning |
//! |---|---|
//! | `do` | kept by our code and shown by a test; both carry the mark |
//! | `later` | not yet; behind the colon the work that will bring it |
//! | `library` | kept by the library named behind the colon, and shown by a test that carries the mark |
//! | `no` | deliberately not; behind the colon the reason |
//!
//! A mark is a comment that begins with the RFC and holds the ids: `// RFC 9293 §3.6.1 MUST-13, MUST-14`. It
//! stands above the code that keeps the rule, and above the test that shows it. How the page is drawn is in
//! [`render`].

pub mod render;

use std::collections::{BTreeMap, BTreeSet};

use crate::{Finding, TextFile, Tree};

/// What became of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// Ours, with code and test.
    Do,
    /// Work to come.
    Later,
    /// Kept by a library.
    Library,
    /// Deliberately not kept.
    No,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// The file that it stands in.
    pub path: String,
    /// Its line there.
    pub line: usize,
    /// `9293`; for a few rows about attacks a word.
    pub rfc: String,
    /// `MUST-13`, `5961-3c`: one of its kind in all files.
    pub id: String,
    /// MUST, SHOULD, MAY and their mixtures as the RFC has them.
    pub level: String,
    /// What is asked, in our words.
    pub requirement: String,
    /// What became of it.
    pub decision: Decision,
    /// What stands behind the colon of the decision.
    pub reason: String,
}

/// The files that carry a mark, for each id.
#[derive(Debug, Default)]
pub struct Marks {
    /// Above code.
    pub code: BTreeMap<String, BTreeSet<String>>,
    /// Above tests.
    pub tests: BTreeMap<String, BTreeSet<String>>,
    /// Marks that cannot be read.
    pub faults: Vec<Finding>,
}

impl Marks {
    /// Whether both stand: above code and above a test.
    #[must_use]
    pub fn keep(&self, id: &str) -> bool {
        self.code.contains_key(id) && self.tests.contains_key(id)
    }
}

/// All rows of `docs/rfc/*.csv`, and what is wrong with them.
#[must_use]
pub fn requirements(tree: &Tree) -> (Vec<Requirement>, Vec<Finding>) {
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for file in tree.files().filter(|file| file.path.starts_with("docs/rfc/") && file.path.ends_with(".csv"))
    {
        for (number, row) in read(file) {
            match row {
                Ok(row) if seen.insert(row.id.clone()) => rows.push(row),
                Ok(row) => {
                    faults.push(Finding::new(&file.path, number, format!("`{}` stands twice", row.id)))
                }
                Err(fault) => faults.push(Finding::new(&file.path, number, fault)),
            }
        }
    }
    (rows, faults)
}

/// All marks in Rust, shell and script files.
#[must_use]
pub fn marks(tree: &Tree, requirements: &[Requirement]) -> Marks {
    let known: BTreeSet<&str> = requirements.iter().map(|row| row.id.as_str()).collect();
    let mut marks = Marks::default();
    for file in tree.files() {
        let mut unfinished = false;
        for (number, line) in file.lines() {
            let (ids, goes_on) =
                comment(file, line).map(|comment| ids(comment, unfinished)).unwrap_or_default();
            unfinished = goes_on;
            for id in ids {
                if known.contains(id) {
                    let is_test = file.rust.as_ref().is_none_or(|rust| is_test(file, rust, number));
                    let side = if is_test { &mut marks.tests } else { &mut marks.code };
                    side.entry(id.to_owned()).or_default().insert(file.path.clone());
                } else {
                    let fault = format!("`{id}` stands in no row of docs/rfc/*.csv");
                    marks.faults.push(Finding::new(&file.path, number, fault));
                }
            }
        }
    }
    marks
}

/// Rows that we say we keep, without the mark above code, or above a test; rows that a library keeps, without
/// a test that shows it; and rows for later that are kept already.
#[must_use]
pub fn rows_without_marks(requirements: &[Requirement], marks: &Marks) -> Vec<Finding> {
    let judge = |row: &Requirement| {
        let has = (marks.code.contains_key(&row.id), marks.tests.contains_key(&row.id));
        let fault = match (row.decision, has) {
            (Decision::Do, (true, false)) => "no test carries its mark",
            (Decision::Do, (false, true)) => "no code carries its mark",
            (Decision::Do, (false, false)) => "neither code nor test carries its mark",
            (Decision::Library, (_, false)) => {
                "no test carries its mark: a library keeps it only if a test says so"
            }
            (Decision::Later, (true, true)) => "code and test carry its mark: decide `do`",
            _ => return None,
        };
        Some(Finding::new(&row.path, row.line, format!("{}: {fault} ({})", row.id, row.requirement)))
    };
    requirements.iter().filter_map(judge).collect()
}

fn read(file: &TextFile) -> Vec<(usize, Result<Requirement, String>)> {
    let mut reader = csv::Reader::from_reader(file.text.as_bytes());
    let columns = reader.headers().cloned().unwrap_or_default();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                rows.push((1, Err(error.to_string())));
                continue;
            }
        };
        let line = record.position().map_or(1, |position| position.line().try_into().unwrap_or(1));
        let field = |name: &str| {
            let column = columns.iter().position(|column| column == name);
            column.and_then(|column| record.get(column)).unwrap_or_default().to_owned()
        };
        let rfc = if columns.iter().any(|column| column == "rfc") { field("rfc") } else { "9293".to_owned() };
        let row = decide(&field("decision")).map(|(decision, reason)| Requirement {
            path: file.path.clone(),
            line,
            rfc,
            id: field("id"),
            level: field("level"),
            requirement: field("requirement"),
            decision,
            reason,
        });
        rows.push((line, row));
    }
    rows
}

fn decide(text: &str) -> Result<(Decision, String), String> {
    let word = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let decision = match word {
        "do" => Decision::Do,
        "later" => Decision::Later,
        "library" => Decision::Library,
        "no" => Decision::No,
        _ => return Err(format!("`{text}`: a decision begins with do, later, library or no")),
    };
    let reason = text[word.len()..].trim_start_matches(':').trim().to_owned();
    if decision != Decision::Do && reason.is_empty() {
        return Err(format!("`{text}`: say which work, which library, or why not"));
    }
    Ok((decision, reason))
}

/// What stands in a comment line, in Rust and in script files behind `//` or `///`, in shell behind `#`.
fn comment<'a>(file: &TextFile, line: &'a str) -> Option<&'a str> {
    let line = line.trim();
    if file.rust.is_some() || file.path.ends_with(".pkt") {
        line.strip_prefix("//").map(|rest| rest.trim_start_matches('/').trim())
    } else if file.path.ends_with(".sh") || file.path.starts_with("scripts/") {
        line.strip_prefix('#').map(str::trim)
    } else {
        None
    }
}

/// The ids that stand directly behind `RFC 9293 §3.8.3`, and whether they go on in the next line.
fn ids(comment: &str, mut in_mark: bool) -> (Vec<&str>, bool) {
    let mut ids = Vec::new();
    let mut words = comment.split_whitespace().peekable();
    let mut goes_on = false;
    while let Some(word) = words.next() {
        let bare = word.trim_matches(['(', ')', ',', '.', ';', ':']);
        goes_on = false;
        if bare == "RFC" {
            let number = words.next_if(|next| next.starts_with(|c: char| c.is_ascii_digit()));
            in_mark = number.is_some_and(|number| !number.ends_with([',', ')', '.', ':']));
        } else if in_mark && looks_like_id(bare) {
            ids.push(bare);
            goes_on = word.ends_with(',');
            in_mark = !word.ends_with([')', '.', ':']);
        } else {
            in_mark &= word.starts_with('§');
        }
    }
    (ids, goes_on)
}

/// A mark belongs to the code below it.
fn is_test(file: &TextFile, rust: &crate::rust_source::RustSource, line: usize) -> bool {
    let blank = |line: &str| line.trim().is_empty() || line.trim().starts_with("//");
    let below = file.lines().skip(line - 1).find(|(_, text)| !blank(text)).map_or(line, |(number, _)| number);
    rust.is_test_line(below)
}

/// `MUST-70`, `5961-9z`, `H2-PING`: an id by its shape, so that a slip of the pen is seen.
fn looks_like_id(word: &str) -> bool {
    let Some((start, rest)) = word.split_once('-') else { return false };
    if start == "H2" {
        return true;
    }
    let named = matches!(start, "MUST" | "SHLD" | "MAY" | "REC") && rest.chars().all(|c| c.is_ascii_digit());
    let digits = start.len() >= 3 && start.chars().all(|c| c.is_ascii_digit());
    named || (digits && rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = "id,level,section,topic,requirement,how_to_test,decision,note\n\
        MUST-1,MUST,3.1,a,One,-,do,\n\
        MUST-2,MUST,3.1,a,Two,-,do (so),\n\
        MUST-3,MUST,3.1,a,Three,-,later: that,\n";

    fn planted(source: &str) -> (Vec<Requirement>, Marks) {
        let tree = Tree::planted(&[("docs/rfc/a.csv", ROWS), ("crates/a/src/lib.rs", source)]);
        let (rows, faults) = requirements(&tree);
        assert_eq!(faults, []);
        let marks = marks(&tree, &rows);
        (rows, marks)
    }

    #[test]
    fn a_row_needs_its_mark_above_code_and_above_a_test() {
        let source = "// RFC 9293 §3.1 MUST-1, MUST-2: both\nfn a() {}\n#[cfg(test)]\nmod tests {\n\
             // RFC 9293 §3.1 MUST-1\n#[test]\nfn a() {}\n}\n";
        let (rows, marks) = planted(source);
        assert!(marks.keep("MUST-1"));
        let left: Vec<String> = rows_without_marks(&rows, &marks).into_iter().map(|f| f.message).collect();
        assert_eq!(left, ["MUST-2: no test carries its mark (Two)"]);
    }

    #[test]
    fn a_row_for_later_with_both_marks_is_found() {
        let (rows, marks) =
            planted("// RFC 9293 §3.1 MUST-3\nfn a() {}\n#[test]\n// RFC 9293 §3.1 MUST-3\nfn b_is_c() {}\n");
        let found = rows_without_marks(&rows, &marks).into_iter().map(|finding| finding.message);
        assert!(found.into_iter().any(|message| message.starts_with("MUST-3: code and test carry its mark")));
    }

    #[test]
    fn a_mark_with_an_unknown_id_is_found() {
        let (_, marks) = planted("// RFC 9293 §3.1 MUST-70\nfn a() {}\n");
        assert_eq!(marks.faults.len(), 1);
    }

    #[test]
    fn ids_count_directly_behind_the_section_alone() {
        assert_eq!(ids("3 min (RFC 9293 §3.8.3 MUST-23: at least).", false).0, ["MUST-23"]);
        assert_eq!(ids("RFC 9293 §3.6.1, §3.8 MAY-2, RFC 5961 §3.2 5961-3c", false).0, ["MAY-2", "5961-3c"]);
        assert_eq!(ids("RFC 9293 asks in MUST-1 for more than 2-3", false).0, [""; 0]);
        assert_eq!(ids("RFC 6191: then MUST-1", false).0, [""; 0]);
    }

    #[test]
    fn a_mark_goes_on_behind_a_comma() {
        let (_, marks) = planted("// RFC 9293 §3.1 MUST-1,\n// MUST-2\nfn a() {}\n");
        assert_eq!(marks.code.len(), 2);
    }

    #[test]
    fn a_decision_without_a_known_word_or_without_a_reason_is_refused() {
        assert!(decide("perhaps").is_err());
        assert!(decide("later").is_err());
        assert_eq!(decide("no: unsafe"), Ok((Decision::No, "unsafe".to_owned())));
        assert_eq!(decide("do (default 30 s)").map(|(decision, _)| decision), Ok(Decision::Do));
    }
}
