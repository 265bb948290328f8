//! The `ciao` command: which subcommand is asked for, and with which exit code does it end?
//!
//! | question | file |
//! |---|---|
//! | How is a whole connection shown, in virtual time? | `demo.rs` |
//! | How are files served? | `serve.rs` |
//! | How are URLs fetched? | `get.rs` |
//! | How are TCP scripts played? | `script.rs` |
//! | Which interface and addresses are used? | `network.rs` |
//! | What is recorded of the packets, and shown? | `recording.rs` |
//! | How are lines printed? | `print.rs` |
//! | Which exit code means what? | `exit.rs` |
//!
//! Not here: TCP and HTTP, which are libraries that know nothing of a command.

#![forbid(unsafe_code)]

mod demo;
mod exit;
mod get;
mod network;
mod print;
mod recording;
mod script;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// HTTP on a TCP of its own: from the first SYN to the end of 2 MSL.
#[derive(Debug, Parser)]
#[command(name = "ciao", version, propagate_version = true, max_term_width = 100, after_help = exit::HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Serve(serve::Serve),
    Get(get::Get),
    Script(script::Script),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(demo) => demo.run(),
        Command::Serve(serve) => serve.run(),
        Command::Get(get) => get.run(),
        Command::Script(script) => script.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::note(exit::message(&error));
            exit::code(&error)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn help_is_plain_and_complete() {
        let mut ciao = Arguments::command().term_width(100);
        ciao.build();
        insta::assert_snapshot!("help-ciao", ciao.render_long_help());
        for name in ["demo", "serve", "get", "script"] {
            let subcommand = ciao.find_subcommand_mut(name).expect("the name is one of ours");
            insta::assert_snapshot!(format!("help-{name}"), subcommand.render_long_help());
        }
    }
}
