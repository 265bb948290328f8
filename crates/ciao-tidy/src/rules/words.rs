//! Which words stand nowhere? Paths and hosts of one machine, and talk about who wrote this and how.

use crate::{Finding, Tree};

/// The file that must spell them.
const ITSELF: &str = "crates/ciao-tidy/src/rules/words.rs";
/// Paths and hosts that exist on one machine alone.
const MACHINE: [&str; 7] = ["/work/", "/root/", "/tmp/wt", "../shared", "artifactory", ".library/", "/home/"];
/// Authors and their tools. In small letters, at the start of a word.
const CHATTER: [&str; 9] = [
    "claude",
    "anthropic",
    "chatgpt",
    "openai",
    "copilot",
    "language model",
    "co-authored-by",
    "ai-generated",
    "as requested",
];

/// Places that only make sense on the machine where they were written.
#[must_use]
pub fn machine_paths(tree: &Tree) -> Vec<Finding> {
    search(tree, &MACHINE, "make it relative, or leave it out: it exists on one machine")
}

/// Talk about authors and tools.
#[must_use]
pub fn chatter(tree: &Tree) -> Vec<Finding> {
    search(tree, &CHATTER, "the repository speaks of the software alone")
}

fn search(tree: &Tree, words: &[&str], advice: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().filter(|file| file.path != ITSELF) {
        for (number, line) in file.lines() {
            let small = line.to_lowercase();
            for word in words.iter().filter(|word| begins_a_word(&small, word)) {
                findings.push(Finding::new(&file.path, number, format!("`{word}`: {advice}")));
            }
        }
    }
    findings
}

fn begins_a_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_path_is_found_and_a_longer_path_with_the_same_end_is_not() {
        let tree = Tree::planted(&[("a.md", "see /work/x\nsee network/work/y\n")]);
        let lines: Vec<usize> = machine_paths(&tree).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1]);
    }

    #[test]
    fn talk_about_tools_is_found() {
        assert_eq!(chatter(&Tree::planted(&[("a.sh", "# Co-Authored-By: x")])).len(), 1);
    }
}
