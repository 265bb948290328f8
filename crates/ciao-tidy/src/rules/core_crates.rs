//! What holds for the core crates alone? No clock, socket, thread, environment, random source or float can be
//! reached.

use crate::{Finding, TextFile, Tree};

/// The crates without input, output and time of their own.
const CORE: [&str; 3] = ["ciao-wire", "ciao-tcp", "ciao-stack"];

/// What each core crate says of itself: no standard library, no `unsafe`, and no number cut without a reason.
const ATTRIBUTES: [(&str, &str); 3] = [
    ("# ! [ no_std ]", "write `#![no_std]`"),
    ("# ! [ forbid ( unsafe_code ) ]", "write `#![forbid(unsafe_code)]`"),
    (
        "# ! [ cfg_attr ( not ( test ) , warn ( clippy : : cast_possible_truncation ) ) ]",
        "write `#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]`",
    ),
];

/// Each core crate has its attributes.
#[must_use]
pub fn missing_attributes(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust().filter(|(file, _)| is_core(file) && file.name() == "lib.rs") {
        for (attribute, order) in ATTRIBUTES {
            if rust.find(attribute).next().is_none() {
                findings.push(Finding::new(&file.path, 1, order));
            }
        }
    }
    findings
}

/// The standard library and floats, outside of tests.
#[must_use]
pub fn std_and_floats(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust().filter(|(file, _)| is_core(file)) {
        for token in rust.tokens.iter().filter(|token| !token.in_test) {
            match token.text.as_str() {
                "f32" | "f64" => {
                    findings.push(Finding::new(&file.path, token.line, "count in integers, no float"))
                }
                "std" => {
                    findings.push(Finding::new(&file.path, token.line, "take it from `core` or `alloc`"))
                }
                _ => {}
            }
        }
    }
    findings
}

/// Cargo features: the core is one program, whoever builds it.
#[must_use]
pub fn features(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().filter(|file| is_core(file)) {
        for (number, line) in file.lines() {
            if file.name() == "Cargo.toml" && line.trim() == "[features]" {
                findings.push(Finding::new(&file.path, number, "a core crate has no features"));
            }
        }
        for token in file.rust.iter().flat_map(|rust| rust.find("( feature =")) {
            findings.push(Finding::new(&file.path, token.line, "a core crate has no features"));
        }
    }
    findings
}

fn is_core(file: &TextFile) -> bool {
    CORE.iter().any(|name| {
        file.path.strip_prefix("crates/").is_some_and(|path| path.starts_with(&format!("{name}/")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "crates/ciao-tcp/src/lib.rs";

    #[test]
    fn a_core_crate_without_its_attributes_is_found() {
        assert_eq!(missing_attributes(&Tree::planted(&[(LIB, "//! A.\n")])).len(), 3);
        let kept = "//! A.\n#![no_std]\n#![forbid(unsafe_code)]\n\
                    #![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]\n";
        assert!(missing_attributes(&Tree::planted(&[(LIB, kept)])).is_empty());
        assert!(missing_attributes(&Tree::planted(&[("crates/ciao/src/lib.rs", "//! A.\n")])).is_empty());
    }

    #[test]
    fn a_float_and_std_are_found_outside_of_tests() {
        let source = "use std::vec;\nfn a(x: f64) {}\n#[cfg(test)]\nmod tests { use std::vec; }";
        let lines: Vec<usize> =
            std_and_floats(&Tree::planted(&[(LIB, source)])).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1, 2]);
    }

    #[test]
    fn a_feature_of_a_core_crate_is_found_in_code_and_manifest() {
        let tree = Tree::planted(&[
            (LIB, "#[cfg(feature = \"a\")]\nmod a;"),
            ("crates/ciao-wire/Cargo.toml", "[features]\n"),
        ]);
        assert_eq!(features(&tree).len(), 2);
    }
}
