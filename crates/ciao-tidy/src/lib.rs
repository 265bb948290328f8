//! The rules of the house as tests: each rule of `CONTRIBUTING.md` that a program can check is checked here.
//!
//! | question | file |
//! |---|---|
//! | Which files are looked at? | [`tree`] |
//! | How is Rust read? | [`rust_source`] |
//! | What does a broken rule print? | [`finding`] |
//! | How long may things be? | [`rules::size`] |
//! | What may code and tests not contain? | [`rules::code`] |
//! | What holds for the core crates alone? | [`rules::core_crates`] |
//! | How are things named? | [`rules::names`] |
//! | Which words stand nowhere? | [`rules::words`] |
//! | What holds for manifests? | [`rules::manifests`] |
//! | What holds for README and its neighbours? | [`rules::documents`] |
//! | Which requirement of which RFC is kept, by which code and which test? | [`ledger`] |
//!
//! The rules are applied in `tests/house.rs` and `tests/rfc_ledger.rs`. What clippy and rustfmt check is not
//! here.
#![forbid(unsafe_code)]

pub mod finding;
pub mod ledger;
pub mod rules;
pub mod rust_source;
pub mod tree;

pub use finding::{Finding, assert_none};
pub use tree::{TextFile, Tree};
