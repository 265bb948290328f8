//! How are lines printed to whom may have gone away?
//!
//! When standard output is closed, which `| head` does every day, `println!` panics. What cannot be printed
//! any more is not worth an error: nobody reads it.

use std::{fmt, io::Write as _};

/// A line to standard output, with colours where they are wanted.
pub(crate) fn line(text: impl fmt::Display) {
    let _gone = writeln!(anstream::stdout().lock(), "{text}");
}

/// A line to standard error.
pub(crate) fn note(text: impl fmt::Display) {
    let _gone = writeln!(anstream::stderr().lock(), "ciao: {text}");
}
