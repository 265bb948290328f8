//! What may code and tests not contain? What clippy can see (`unwrap`, `todo!`, `dbg!`) is in the root
//! `Cargo.toml`.

use crate::{Finding, Tree};

/// Where `unsafe` may stand: the devices, and the counting allocator of the measurements.
const UNSAFE_ALLOWED: [&str; 2] = ["crates/ciao-link/", "bench/"];
/// Tests against real programs wait for the real clock.
const CLOCK_ALLOWED: [&str; 2] = ["interop/", "bench/"];

/// Each Rust file starts by saying which question it answers.
#[must_use]
pub fn files_without_introduction(tree: &Tree) -> Vec<Finding> {
    let without = tree.rust().filter(|(file, _)| !file.text.starts_with("//! "));
    without
        .map(|(file, _)| {
            Finding::new(&file.path, 1, "start with `//!`: the question that this file answers, its source")
        })
        .collect()
}

/// `unsafe` outside of the devices.
#[must_use]
pub fn unsafe_code(tree: &Tree) -> Vec<Finding> {
    tokens(tree, "unsafe", "unsafe code belongs into ciao-link alone", |path, _| {
        !UNSAFE_ALLOWED.iter().any(|allowed| path.starts_with(allowed))
    })
}

/// Tests that are switched off or that expect a panic.
#[must_use]
pub fn skipped_tests(tree: &Tree) -> Vec<Finding> {
    let mut findings = tokens(tree, "# [ ignore", "a test runs or is not there", |_, _| true);
    let advice = "assert on what is returned; a panic is never an answer";
    findings.extend(tokens(tree, "# [ should_panic", advice, |_, _| true));
    findings
}

/// Tests that sleep or read the wall clock.
#[must_use]
pub fn waiting_tests(tree: &Tree) -> Vec<Finding> {
    let waits = ["thread :: sleep", "SystemTime :: now", "std :: time :: Instant"];
    let here =
        |path: &str, in_test: bool| in_test && !CLOCK_ALLOWED.iter().any(|allowed| path.starts_with(allowed));
    let advice = "a test never waits for a clock; hand in a time, or pause tokio's";
    waits.iter().flat_map(|wait| tokens(tree, wait, advice, here)).collect()
}

/// Notes to oneself: what is left stands in an issue, not in the code.
#[must_use]
pub fn notes_to_self(tree: &Tree) -> Vec<Finding> {
    let notes = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    let mut findings = Vec::new();
    for (file, _) in tree.rust() {
        for (number, line) in file.lines() {
            let words = || line.split(|c: char| !c.is_ascii_alphanumeric());
            if line.contains("//") && words().any(|word| notes.iter().any(|note| note == word)) {
                findings.push(Finding::new(
                    &file.path,
                    number,
                    "do it, or say what is missing on purpose and why",
                ));
            }
        }
    }
    findings
}

fn tokens(tree: &Tree, sequence: &str, advice: &str, applies: impl Fn(&str, bool) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        for token in rust.find(sequence).filter(|token| applies(&file.path, token.in_test)) {
            let written = sequence.replace(' ', "");
            findings.push(Finding::new(&file.path, token.line, format!("`{written}`: {advice}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: fn(&Tree) -> Vec<Finding>, path: &str, source: &str) -> Vec<usize> {
        rule(&Tree::planted(&[(path, source)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_file_that_starts_with_code_is_found() {
        assert_eq!(lines(files_without_introduction, "a.rs", "fn a() {}"), [1]);
        assert!(lines(files_without_introduction, "a.rs", "//! What is a?\nfn a() {}").is_empty());
    }

    #[test]
    fn unsafe_is_found_outside_of_the_devices_alone() {
        assert_eq!(lines(unsafe_code, "crates/ciao-tcp/src/a.rs", "fn a() {\nunsafe {} }"), [2]);
        assert!(lines(unsafe_code, "crates/ciao-link/src/a.rs", "unsafe fn a() {}").is_empty());
    }

    #[test]
    fn a_test_that_is_ignored_or_expects_a_panic_is_found() {
        let source = "#[test]\n#[ignore]\nfn a() {}\n#[test]\n#[should_panic(expected = \"x\")]\nfn b() {}";
        assert_eq!(lines(skipped_tests, "a.rs", source), [2, 5]);
    }

    #[test]
    fn sleeping_is_found_in_tests_alone() {
        let source = "fn a() { std::thread::sleep(x) }\n#[test]\nfn b() {\nstd::thread::sleep(x) }";
        assert_eq!(lines(waiting_tests, "a.rs", source), [4]);
        assert!(lines(waiting_tests, "interop/tests/a.rs", source).is_empty());
    }

    #[test]
    fn a_note_to_oneself_is_found_in_comments() {
        let note = ["// TO", "DO: later\n"].concat();
        assert_eq!(lines(notes_to_self, "a.rs", &note), [1]);
    }
}
