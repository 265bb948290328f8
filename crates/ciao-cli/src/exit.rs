//! Which exit code means what, and how is an error said?
//!
//! The code follows from the error's own kind, so that no caller has to choose one.

use std::{fmt, io, process::ExitCode};

/// Stands in `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
    0  all that was asked for was done; every body arrived whole
    1  another error than those below
    2  the command line is wrong, a URL or a directory in it too
    3  no right to make a network interface, or no TUN device
    4  the address, the port or the interface's name is in use
    5  the connection was refused
    6  the time ran out
    7  a body did not arrive whole, or the connection broke
    8  the server answered with another status than 2xx
    9  a script does not go as written
  130  stopped at once by a second Ctrl-C";

/// A mistake in what was asked for.
#[derive(Debug)]
pub(crate) struct Mistake(pub(crate) String);

/// The time ran out; where and after what was sent.
#[derive(Debug)]
pub(crate) struct TimedOut(pub(crate) String);

/// A body did not arrive whole.
#[derive(Debug)]
pub(crate) struct Incomplete(pub(crate) String);

/// The server answered with another status than 2xx.
#[derive(Debug)]
pub(crate) struct BadStatus(pub(crate) String);

/// A script does not go as written.
#[derive(Debug)]
pub(crate) struct NotAsWritten(pub(crate) String);

macro_rules! sentence {
    ($($error:ident)*) => {$(
        impl fmt::Display for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::error::Error for $error {}
    )*};
}

sentence! { Mistake TimedOut Incomplete BadStatus NotAsWritten }

/// One line: the error and its causes, none of them twice, and nothing in it that could move a terminal's
/// cursor.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !message.contains(&cause) {
            message += if message.is_empty() { "" } else { ": " };
            message += &cause;
        }
    }
    message.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// The code of an error, by the first cause that has one.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(number(error))
}

fn number(error: &anyhow::Error) -> u8 {
    error.chain().find_map(number_of_cause).unwrap_or(1)
}

fn number_of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if cause.is::<Mistake>() {
        return Some(2);
    }
    if cause.is::<TimedOut>() {
        return Some(6);
    }
    if cause.is::<Incomplete>() {
        return Some(7);
    }
    if cause.is::<BadStatus>() {
        return Some(8);
    }
    if cause.is::<NotAsWritten>() {
        return Some(9);
    }
    match cause.downcast_ref::<ciao_link::tun::OpenError>() {
        Some(error) if error.kind() == io::ErrorKind::AddrInUse => return Some(4),
        Some(_) => return Some(3),
        None => {}
    }
    number_of_kind(cause.downcast_ref::<io::Error>()?.kind())
}

fn number_of_kind(kind: io::ErrorKind) -> Option<u8> {
    match kind {
        io::ErrorKind::AddrInUse => Some(4),
        io::ErrorKind::ConnectionRefused => Some(5),
        io::ErrorKind::TimedOut => Some(6),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Some(7),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn every_code_has_its_error() {
        let io = |kind: io::ErrorKind| anyhow::Error::new(io::Error::from(kind)).context("around it");
        let cases = [
            (anyhow::anyhow!("something"), 1),
            (Mistake("m".to_owned()).into(), 2),
            (ciao_link::tun::OpenError::NotAllowed { name: "ciao0".to_owned() }.into(), 3),
            (ciao_link::tun::OpenError::NameInUse { name: "ciao0".to_owned() }.into(), 4),
            (io(io::ErrorKind::AddrInUse), 4),
            (io(io::ErrorKind::ConnectionRefused), 5),
            (io(io::ErrorKind::TimedOut), 6),
            (TimedOut("t".to_owned()).into(), 6),
            (Incomplete("i".to_owned()).into(), 7),
            (io(io::ErrorKind::ConnectionReset), 7),
            (BadStatus("404".to_owned()).into(), 8),
            (NotAsWritten("n".to_owned()).into(), 9),
        ];
        for (error, expected) in cases {
            assert_eq!(number(&error), expected, "{error:?}");
            assert!(HELP.lines().any(|line| line.trim_start().starts_with(&format!("{expected} "))));
        }
    }

    #[test]
    fn a_message_is_one_line_without_repetition() {
        let cause = io::Error::other("inner\nline");
        let error = Err::<(), _>(cause).context("inner\nline").context("outer\u{1b}[2J").unwrap_err();
        assert_eq!(message(&error), "outer [2J: inner line");
    }
}
