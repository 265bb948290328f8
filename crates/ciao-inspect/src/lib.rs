//! Reads trace records and captures, and explains them: histories, the ladder, tables, captures for other
//! tools.
//!
//! It knows the trace vocabulary of `ciao-tcp` and `ciao-stack`, never their internals.
//!
//! | question | file |
//! |---|---|
//! | How is a capture file read and written? | [`pcapng`] |
#![forbid(unsafe_code)]

pub mod pcapng;
