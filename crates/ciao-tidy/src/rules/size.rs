//! How long may things be? Functions and argument lists are clippy's (`clippy.toml`); exceptions to it are
//! counted here.

use crate::{Finding, Tree};

/// A file with its tests.
pub const FILE_LINES: usize = 800;
/// A line, comments too: as wide as rustfmt makes code.
pub const LINE_COLUMNS: usize = 110;

/// Files of code no longer than [`FILE_LINES`].
#[must_use]
pub fn long_files(tree: &Tree) -> Vec<Finding> {
    let code = tree.files().filter(|file| [".rs", ".sh", ".js"].iter().any(|end| file.path.ends_with(end)));
    let long = code.filter(|file| file.text.lines().count() > FILE_LINES);
    long.map(|file| {
        let lines = file.text.lines().count();
        Finding::new(
            &file.path,
            FILE_LINES,
            format!("{lines} lines; divide it by question, {FILE_LINES} is the end"),
        )
    })
    .collect()
}

/// Lines of code and comment no longer than [`LINE_COLUMNS`]; the inside of a string over several lines is
/// free.
#[must_use]
pub fn long_lines(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        let strings: Vec<(usize, usize)> = rust
            .tokens
            .iter()
            .filter(|token| token.end_line > token.line)
            .map(|token| (token.line, token.end_line))
            .collect();
        for (number, line) in file.lines() {
            let columns = line.chars().count();
            let in_string = strings.iter().any(|(from, to)| (*from..=*to).contains(&number));
            if columns > LINE_COLUMNS && !in_string {
                findings.push(Finding::new(
                    &file.path,
                    number,
                    format!("{columns} columns; break it, {LINE_COLUMNS} is the end"),
                ));
            }
        }
    }
    findings
}

/// The exceptions to a lint: `allow` and `expect` attributes, with the lints that they name.
///
/// A cast that says why it loses nothing gives a reason, it is no exception; nor is `unwrap` in what tests
/// share.
#[must_use]
pub fn exceptions(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        for (index, token) in rust.tokens.iter().enumerate() {
            let is =
                |offset: usize, text: &str| rust.tokens.get(index + offset).is_some_and(|t| t.text == text);
            let opens = token.text == "#" && (is(1, "[") || (is(1, "!") && is(2, "[")));
            let name = index + if is(1, "!") { 3 } else { 2 };
            let named = rust.tokens.get(name).is_some_and(|t| t.text == "allow" || t.text == "expect");
            if opens && named {
                let lints: String = rust.tokens[name + 2..]
                    .iter()
                    .take_while(|t| t.text != ")" && t.text != "reason")
                    .map(|t| t.text.as_str())
                    .collect();
                let is_reason = lints.starts_with("clippy::cast_");
                let in_tests = rust.is_test_line(token.line) && lints.starts_with("clippy::unwrap_used");
                if !is_reason && !in_tests {
                    findings.push(Finding::new(&file.path, token.line, lints.trim_end_matches(',')));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_801_lines_is_found() {
        let long = "//! One.\n".repeat(FILE_LINES + 1);
        let tree = Tree::planted(&[("a.rs", &long), ("b.rs", "//! Short.\n")]);
        assert_eq!(long_files(&tree).len(), 1);
    }

    #[test]
    fn a_long_comment_is_found_and_a_long_line_in_a_string_is_not() {
        let wide = "x".repeat(LINE_COLUMNS);
        let tree = Tree::planted(&[("a.rs", &format!("// {wide}\nconst A: &str = \"\n{wide}{wide}\n\";\n"))]);
        let lines: Vec<usize> = long_lines(&tree).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1]);
    }

    #[test]
    fn an_exception_to_a_lint_is_found_with_its_name() {
        let source = "#![allow(dead_code)]\n#[expect(clippy::too_many_lines, reason = \"x\")]\nfn a() {}\n";
        let found: Vec<String> =
            exceptions(&Tree::planted(&[("a.rs", source)])).into_iter().map(|f| f.message).collect();
        assert_eq!(found, ["dead_code", "clippy::too_many_lines"]);
    }
}
