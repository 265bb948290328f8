//! Reads trace records and captures, and explains them: histories, the ladder, tables, captures for other
//! tools.
//!
//! It knows the trace vocabulary of `ciao-tcp` and `ciao-stack`, never their internals.
//!
//! | question | file |
//! |---|---|
//! | What happened on each connection, told from both ends at once? | [`history`] |
//! | Which HTTP messages and frames does a byte stream hold? | [`http`] |
//! | What did it cost, beside other ways? | [`comparison`] |
//! | How do records become a capture? | [`capture`] |
//! | How does a connection look as text? | [`ladder`] |
//! | How is coloured text held until it is printed? | [`page`] |
//! | What does `--json` say? | [`json`] |
//! | Which TCP segment does a packet carry? | [`packet`] |
//! | How is a capture file read and written? | [`pcapng`] |
#![forbid(unsafe_code)]

pub mod capture;
pub mod comparison;
#[cfg(test)]
mod fixture;
pub mod history;
pub mod http;
pub mod json;
pub mod ladder;
pub mod packet;
pub mod page;
pub mod pcapng;

pub use history::{Connection, Side, Vantage};
