//! The rules, one function each: a tree goes in, findings come out. Each has a test that plants what it
//! forbids.

pub mod code;
pub mod core_crates;
pub mod documents;
pub mod manifests;
pub mod names;
pub mod size;
pub mod words;
