//! Does a document show what the simulator gives? The tables behind its marks `<!-- goodput -->` and
//! `<!-- fairness -->` are compared, up to the next empty line; with `CIAO_BLESS` set they are written anew.
//!
//! Everything is in virtual time, so the figures are the same on every machine.

use super::{Arguments, fairness, goodput};
use std::path::Path;
use std::{env, fs, io};

/// Compares both tables.
///
/// # Errors
/// When the document cannot be read or written, lacks a mark, or shows other figures.
pub(super) fn check(path: &Path) -> io::Result<()> {
    let document = fs::read_to_string(path)?;
    let arguments = Arguments::default();
    let current = with(&document, "goodput", &goodput::simulated(&arguments).to_string())?;
    let current = with(&current, "fairness", &fairness::simulated(&arguments).to_string())?;
    if current == document {
        return Ok(());
    }
    if env::var_os("CIAO_BLESS").is_some() {
        return fs::write(path, current);
    }
    Err(io::Error::other(format!("{} shows other figures; CIAO_BLESS=1 writes it anew", path.display())))
}

/// `document` with `table` behind the mark `name`.
fn with(document: &str, name: &str, table: &str) -> io::Result<String> {
    let mark = format!("<!-- {name} -->\n");
    let lacks = || io::Error::other(format!("there is no table behind {}", mark.trim_end()));
    let (before, rest) = document.split_once(&mark).ok_or_else(lacks)?;
    let (_, after) = rest.split_once("\n\n").ok_or_else(lacks)?;
    Ok(format!("{before}{mark}{table}\n\n{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_replaced_up_to_the_next_empty_line() {
        let document = "a\n<!-- x -->\n| old |\n| old |\n\nb\n";
        assert_eq!(with(document, "x", "| new |").ok().as_deref(), Some("a\n<!-- x -->\n| new |\n\nb\n"));
        assert!(with(document, "y", "| new |").is_err());
    }
}
