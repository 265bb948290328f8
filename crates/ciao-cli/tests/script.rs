//! What does `ciao script` print, and with which exit code does it end?

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn script(arguments: &[&str]) -> Output {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    Command::new(env!("CARGO_BIN_EXE_ciao"))
        .arg("script")
        .args(arguments)
        .current_dir(directory)
        .env("NO_COLOR", "1")
        .output()
        .expect("the command was built for this test")
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("it prints UTF-8")
}

#[test]
fn a_script_that_goes_as_written_is_named_in_a_line() {
    let output = script(&["the_peer_closes_first.pkt"]);
    assert_eq!(printed(&output), "ok the_peer_closes_first.pkt\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_script_that_fails_is_shown_with_its_line_and_the_ladder_up_to_there() {
    let output = script(&["the_peer_closes_first.pkt", "the_acknowledgment_is_wrong.pkt"]);
    insta::assert_snapshot!("script-failed", printed(&output));
    assert_eq!(output.status.code(), Some(9));
}

#[test]
fn the_ladder_of_a_script_that_succeeds_is_printed_on_request() {
    insta::assert_snapshot!(
        "script-ladder",
        printed(&script(&["--ladder", "--ipv6", "the_peer_closes_first.pkt"]))
    );
}

#[test]
fn what_is_no_script_is_refused_with_its_line() {
    let output = script(&["a_flag_is_broken.pkt"]);
    assert_eq!(printed(&output), "FAILED a_flag_is_broken.pkt:4: `f` in `fly` is no control bit\n");
    assert_eq!(output.status.code(), Some(9));
}

#[test]
fn a_directory_stands_for_the_scripts_in_it_and_the_packets_are_kept() {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("script.pcapng");
    let output = script(&["--ipv4", "--pcap", &file.to_string_lossy(), "."]);
    assert!(printed(&output).ends_with("1 of 3 scripts go as written\n"), "{}", printed(&output));
    let capture = std::fs::read(&file).expect("the capture was written");
    assert_eq!(capture[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
}
