//! Is each requirement that we say we keep marked above code and above a test, and is the page of them up to
//! date?

use std::sync::LazyLock;

use ciao_tidy::ledger::{self, Marks, Requirement, render};
use ciao_tidy::{Finding, Tree, assert_none};

const PAGE: &str = "docs/rfc/README.md";

struct Ledger {
    tree: Tree,
    rows: Vec<Requirement>,
    row_faults: Vec<Finding>,
    marks: Marks,
}

static LEDGER: LazyLock<Ledger> = LazyLock::new(|| {
    let tree = Tree::of_repository();
    let (rows, row_faults) = ledger::requirements(&tree);
    let marks = ledger::marks(&tree, &rows);
    Ledger { tree, rows, row_faults, marks }
});

#[test]
fn rows_of_the_rfc_ledger_can_be_read() {
    assert_none(&LEDGER.row_faults);
}

#[test]
fn marks_of_rfc_rules_name_known_rows() {
    assert_none(&LEDGER.marks.faults);
}

#[test]
fn every_rfc_rule_that_we_keep_is_marked_above_code_and_test() {
    assert_none(&ledger::rows_without_marks(&LEDGER.rows, &LEDGER.marks));
}

#[test]
fn the_page_of_rfc_rules_is_up_to_date() {
    let page = render::page(&LEDGER.rows, &LEDGER.marks);
    if std::env::var_os("CIAO_BLESS").is_some() {
        std::fs::write(ciao_tidy::tree::root().join(PAGE), &page).expect("docs/rfc can be written");
        return;
    }
    let tracked = LEDGER.tree.file(PAGE).map_or("", |file| file.text.as_str());
    let differs = page.lines().zip(tracked.lines()).position(|(new, old)| new != old);
    assert!(page == tracked, "{PAGE} differs from line {differs:?}: CIAO_BLESS=1 cargo tidy writes it anew");
}
