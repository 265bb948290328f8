//! Which words stand nowhere? Paths of one machine.

use crate::{Finding, Tree};

/// The file that must spell them.
const ITSELF: &str = "crates/ciao-tidy/src/rules/words.rs";
/// The folders in which the files of one user lie, in small letters.
const HOMES: [&str; 3] = ["home", "root", "users"];

/// Places that only make sense on the machine where they were written.
#[must_use]
pub fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let paths = HOMES.map(|home| format!("/{home}/"));
    let mut findings = Vec::new();
    for file in tree.files().filter(|file| file.path != ITSELF) {
        for (number, line) in file.lines() {
            let small = line.to_lowercase();
            for path in paths.iter().filter(|path| begins_a_word(&small, path)) {
                let text = format!("`{path}`: make it relative, or leave it out: it exists on one machine");
                findings.push(Finding::new(&file.path, number, text));
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
        let tree = Tree::planted(&[("a.md", "see /home/x\nsee a/home/y\n")]);
        let lines: Vec<usize> = machine_paths(&tree).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1]);
    }
}
