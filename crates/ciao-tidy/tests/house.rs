//! Does the repository keep the rules of the house? Each test is one line of the table in CONTRIBUTING.md.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ciao_tidy::rules::{code, core_crates, documents, manifests, names, size, words};
use ciao_tidy::{Finding, Tree, assert_none};

static TREE: LazyLock<Tree> = LazyLock::new(Tree::of_repository);

/// The exceptions to clippy's lints, by lint. A number here may only fall.
const EXCEPTIONS: [(&str, usize); 2] = [("clippy::box_collection", 1), ("deprecated", 1)];

#[test]
fn no_file_has_more_than_800_lines() {
    assert_none(&size::long_files(&TREE));
}

#[test]
fn no_line_has_more_than_110_columns() {
    assert_none(&size::long_lines(&TREE));
}

#[test]
fn exceptions_to_lints_only_become_fewer() {
    let mut by_lint: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for exception in size::exceptions(&TREE) {
        by_lint.entry(exception.message.clone()).or_default().push(exception);
    }
    for (lint, most) in EXCEPTIONS {
        let count = by_lint.remove(lint).map_or(0, |found| found.len());
        assert_eq!(
            count, most,
            "{lint}: write the new number into EXCEPTIONS if it fell, mend the code if it rose"
        );
    }
    assert_none(&by_lint.into_values().flatten().collect::<Vec<_>>());
}

#[test]
fn every_file_says_which_question_it_answers() {
    assert_none(&code::files_without_introduction(&TREE));
}

#[test]
fn unsafe_code_stands_in_the_devices_alone() {
    assert_none(&code::unsafe_code(&TREE));
}

#[test]
fn every_test_runs_and_none_expects_a_panic() {
    assert_none(&code::skipped_tests(&TREE));
}

#[test]
fn no_test_waits_for_a_clock() {
    assert_none(&code::waiting_tests(&TREE));
}

#[test]
fn no_note_to_oneself_is_left() {
    assert_none(&code::notes_to_self(&TREE));
}

#[test]
fn core_crates_forbid_std_unsafe_and_cut_numbers() {
    assert_none(&core_crates::missing_attributes(&TREE));
}

#[test]
fn core_crates_reach_neither_std_nor_floats() {
    assert_none(&core_crates::std_and_floats(&TREE));
}

#[test]
fn core_crates_have_no_features() {
    assert_none(&core_crates::features(&TREE));
}

#[test]
fn names_say_what_a_thing_is() {
    assert_none(&names::forbidden_names(&TREE));
}

#[test]
fn tests_are_named_by_sentences() {
    assert_none(&names::tests_without_sentence(&TREE));
}

#[test]
fn no_path_of_one_machine_stands_anywhere() {
    assert_none(&words::machine_paths(&TREE));
}

#[test]
fn every_dependency_says_what_it_is_for() {
    assert_none(&manifests::unexplained_dependencies(&TREE));
}

#[test]
fn versions_stand_in_the_root_alone() {
    assert_none(&manifests::versions_outside_of_the_root(&TREE));
}

#[test]
fn documents_are_there_and_short() {
    assert_none(&documents::missing_or_long(&TREE));
}

#[test]
fn links_and_paths_in_documents_lead_somewhere() {
    assert_none(&documents::dead_links(&TREE));
}

#[test]
fn commands_in_documents_exist() {
    assert_none(&documents::dead_commands(&TREE));
}

#[test]
fn architecture_names_every_crate() {
    assert_none(&documents::unmentioned_crates(&TREE));
}

#[test]
fn the_changelog_has_its_form() {
    assert_none(&documents::changelog_format(&TREE));
}

#[test]
fn contributing_names_every_rule_and_no_other() {
    let contributing = TREE.file("CONTRIBUTING.md").expect("CONTRIBUTING.md is tracked");
    let mut findings = Vec::new();
    for path in ["crates/ciao-tidy/tests/house.rs", "crates/ciao-tidy/tests/rfc_ledger.rs"] {
        let rust = TREE.file(path).and_then(|file| file.rust.as_ref()).expect("the rules are tracked");
        for rule in rust.functions.iter().filter(|function| function.is_test) {
            if !contributing.text.contains(&format!("`{}`", rule.name)) {
                let message = format!("`{}` is missing in CONTRIBUTING.md", rule.name);
                findings.push(Finding::new(path, rule.line, message));
            }
        }
    }
    assert_none(&findings);
}
