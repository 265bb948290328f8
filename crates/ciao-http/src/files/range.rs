//! Which part of a file was asked for?
//!
//! Source: RFC 9110 §14. One range is answered by itself. Several, units other than bytes, and what cannot
//! be read are answered by the whole file, which §14.2 allows.

use http::{Method, Request, header};

use super::condition::Validators;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    Whole,
    /// First and last byte, both within.
    Part {
        first: u64,
        last: u64,
    },
    Unsatisfiable,
}

pub(super) fn wanted<B>(request: &Request<B>, validators: &Validators, len: u64) -> Range {
    let headers = request.headers();
    let mut ranges = headers.get_all(header::RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Range::Whole };
    // RFC 9110 §14.2: a range means nothing to any method but GET, nor when If-Range names another version.
    let other_version = headers.get(header::IF_RANGE).is_some_and(|value| !validators.is_named_by(value));
    if request.method() != Method::GET || other_version {
        return Range::Whole;
    }
    range.to_str().ok().and_then(|range| parse(range, len)).unwrap_or(Range::Whole)
}

/// `bytes=first-last`, `bytes=first-`, `bytes=-suffix`.
fn parse(range: &str, len: u64) -> Option<Range> {
    let (unit, set) = range.split_once('=')?;
    let (first, last) = set.trim().split_once('-')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    Some(match (first, last) {
        ("", suffix) => match number(suffix)?.min(len) {
            0 => Range::Unsatisfiable,
            suffix => Range::Part { first: len - suffix, last: len - 1 },
        },
        (first, last) => {
            let first = number(first)?;
            let last = if last.is_empty() { u64::MAX } else { number(last)? };
            match first {
                first if last < first => return None,
                first if first >= len => Range::Unsatisfiable,
                first => Range::Part { first, last: last.min(len - 1) },
            }
        }
    })
}

/// Digits alone; a number too large for us is larger than every file.
fn number(digits: &str) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_file_of_ten_bytes() {
        let part = |first, last| Some(Range::Part { first, last });
        for (range, expected) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=0-9", part(0, 9)),
            ("bytes=2-", part(2, 9)),
            ("bytes=9-100", part(9, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-30", part(0, 9)),
            ("Bytes= 1-2", part(1, 2)),
            ("bytes=5-99999999999999999999999", part(5, 9)),
            ("bytes=10-", Some(Range::Unsatisfiable)),
            ("bytes=99999999999999999999999-", Some(Range::Unsatisfiable)),
            ("bytes=-0", Some(Range::Unsatisfiable)),
            ("bytes=3-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=a-b", None),
            ("bytes=+1-2", None),
            ("bytes=-", None),
            ("bytes=1", None),
            ("lines=1-2", None),
            ("", None),
        ] {
            assert_eq!(parse(range, 10), expected, "{range}");
        }
        assert_eq!(parse("bytes=0-", 0), Some(Range::Unsatisfiable));
        assert_eq!(parse("bytes=-5", 0), Some(Range::Unsatisfiable));
    }
}
