//! How are things named? After what they are; tests as sentences.

use crate::{Finding, Tree};

/// Words that say nothing, in the name of a file, a function, a type or a module.
const EMPTY_WORDS: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "manager", "misc"];
/// Shortened words, with what to write.
const SHORTENED: [(&str, &str); 3] = [("rtx", "retransmit"), ("retx", "retransmit"), ("pkt", "packet")];
/// A sentence has a subject, a verb and what is said of them.
const SENTENCE_WORDS: usize = 3;

/// Empty and shortened words, and the prefix `get_`.
#[must_use]
pub fn forbidden_names(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        let directories_and_stem = file.path.trim_end_matches(".rs");
        findings.extend(directories_and_stem.split('/').filter_map(|part| judge(&file.path, 1, part)));
        for pair in rust.tokens.windows(2) {
            if matches!(pair[0].text.as_str(), "fn" | "struct" | "enum" | "trait" | "mod" | "type" | "const")
            {
                findings.extend(judge(&file.path, pair[1].line, &pair[1].text));
            }
        }
    }
    findings
}

/// Tests and scripts whose name is no sentence.
#[must_use]
pub fn tests_without_sentence(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        for function in rust.functions.iter().filter(|function| function.is_test) {
            let name = &function.name;
            if name.split('_').count() < SENTENCE_WORDS || name.starts_with("test_") {
                let advice =
                    format!("`{name}`: name a test by a sentence (`repeated_fin_restarts_the_wait`)");
                findings.push(Finding::new(&file.path, function.line, advice));
            }
        }
    }
    for file in tree.files().filter(|file| file.path.ends_with(".pkt")) {
        let stem = file.name().trim_end_matches(".pkt");
        if stem.split('_').count() < SENTENCE_WORDS {
            let advice = format!("`{stem}`: name a script by the sentence that it shows");
            findings.push(Finding::new(&file.path, 1, advice));
        }
    }
    findings
}

fn judge(path: &str, line: usize, name: &str) -> Option<Finding> {
    let words = words(name);
    let short = SHORTENED.iter().find(|(short, _)| words.iter().any(|word| word == short));
    let advice = if words.iter().any(|word| EMPTY_WORDS.contains(&word.as_str())) {
        "name it after what it is or does".to_owned()
    } else if name.starts_with("get_") {
        "leave out `get_`".to_owned()
    } else {
        format!("write `{}`", short?.1)
    };
    Some(Finding::new(path, line, format!("`{name}`: {advice}")))
}

/// `snake_case`, `kebab-case` and `CamelCase` to small words.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_small = false;
    for c in name.chars() {
        if (c.is_ascii_uppercase() && after_small) || !c.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        after_small = c.is_ascii_lowercase() || c.is_ascii_digit();
        if c.is_ascii_alphanumeric() {
            words.last_mut().expect("starts with one").push(c.to_ascii_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_words_are_found_in_files_functions_and_types() {
        let source =
            "fn get_window() {}\nstruct TimerManager;\nfn rtx_count() {}\nfn get() {}\nfn communal() {}";
        let tree = Tree::planted(&[("crates/a/src/test_helpers.rs", source)]);
        let lines: Vec<usize> = forbidden_names(&tree).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1, 1, 2, 3]);
    }

    #[test]
    fn a_test_named_by_one_word_is_found() {
        let source = "#[test]\nfn works() {}\n#[test]\nfn a_fin_is_answered() {}\nfn plain() {}";
        let tree = Tree::planted(&[("a.rs", source)]);
        let lines: Vec<usize> = tests_without_sentence(&tree).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [2]);
    }
}
