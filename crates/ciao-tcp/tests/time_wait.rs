//! TIME-WAIT: two maximum segment lifetimes of answering old segments (RFC 9293 §3.6.1, RFC 1337, RFC 6191).
//!
//! While the application still holds the connection, and as the compact record when it does not: both answer
//! alike.

use ciao_script::assert_plays;
use ciao_script::openings::{CONNECTED, CONNECTED_WITH_OPTIONS};

const HELD: &str = "
    shutdown
    > F. 1:1(0) ack 1
    +.02 < F. 1:1(0) ack 2
    > . 2:2(0) ack 2
    state TIME-WAIT
";

const LET_GO: &str = "
    close
    > F. 1:1(0) ack 1
    +.02 < F. 1:1(0) ack 2
    > . 2:2(0) ack 2
    state TIME-WAIT
";

/// Plays `rest` behind both ways into TIME-WAIT.
#[track_caller]
fn in_time_wait(rest: &str) {
    assert_plays([CONNECTED, HELD, rest]);
    assert_plays([CONNECTED, LET_GO, rest]);
}

// RFC 9293 §3.6.1 MUST-13
#[test]
fn it_lasts_two_segment_lifetimes() {
    in_time_wait(
        "
        +59.999 state TIME-WAIT
        +.001   state CLOSED
        < F. 1:1(0) ack 2
        > R 2:2(0)
        ",
    );
    assert_plays(["--msl=7", CONNECTED, LET_GO, "+13.999 state TIME-WAIT", "+.001 state CLOSED"]);
}

// RFC 9293 §3.6.1 MUST-13
#[test]
fn a_repeated_fin_is_acknowledged_and_restarts_the_wait() {
    in_time_wait(
        "
        +59.999 < F. 1:1(0) ack 2
        > . 2:2(0) ack 2
        +59.999 state TIME-WAIT
        +.001 state CLOSED
        ",
    );
}

#[test]
fn old_data_is_acknowledged_and_does_not_restart_the_wait() {
    in_time_wait(
        "
        +30 < P. 0:1(1) ack 2
        > . 2:2(0) ack 2
        +30 state CLOSED
        ",
    );
}

#[test]
fn the_last_acknowledgment_of_the_peer_is_not_answered() {
    in_time_wait(
        "
        +1 < . 2:2(0) ack 2
        +59 state CLOSED
        ",
    );
}

// RFC 1337 §3 1337-1: an old RST must not open the way for old data
#[test]
fn a_reset_does_not_end_the_wait() {
    in_time_wait(
        "
        +1 < R 2:2(0)
        state TIME-WAIT
        < R. 2:2(0) ack 2
        state TIME-WAIT
        +59 state CLOSED
        ",
    );
}

// RFC 9293 §3.6.1 MAY-2
#[test]
fn a_newer_syn_opens_a_new_connection() {
    assert_plays([
        CONNECTED,
        LET_GO,
        "
        listen
        +1 < S 100000:100000(0) win 65535 <mss 1000>
        > S. 0:0(0) ack 100001 win 65535 <mss 1460>
        +.02 < . 100001:100001(0) ack 1
        accept
        write 10
        > P. 1:11(10) ack 100001
        ",
    ]);
}

// RFC 9293 §3.6.1 MAY-2
#[test]
fn a_stale_syn_is_answered_with_the_last_acknowledgment() {
    assert_plays([
        CONNECTED,
        LET_GO,
        "
        listen
        +1 < S 0:0(0) win 65535 <mss 1000>
        > . 2:2(0) ack 2
        state TIME-WAIT
        ",
    ]);
}

// RFC 9293 §3.6.1 SHLD-4
// RFC 6191 §2 6191-1
#[test]
fn a_syn_with_a_newer_timestamp_opens_a_new_connection() {
    let closed = "
        close
        > F. 1:1(0) ack 1 <...>
        +.02 < F. 1:1(0) ack 2 <nop,nop,TS val 1040 ecr 20>
        > . 2:2(0) ack 2 <nop,nop,TS val 40 ecr 1040>
        listen
    ";
    assert_plays([
        CONNECTED_WITH_OPTIONS,
        closed,
        "
        +.1 < S 0:0(0) win 65535 <mss 1460,sackOK,TS val 1041 ecr 0,nop,wscale 8>
        > S. 0:0(0) ack 1 <...>
        ",
    ]);
    assert_plays([
        CONNECTED_WITH_OPTIONS,
        closed,
        "
        +.1 < S 100000:100000(0) win 65535 <mss 1460,sackOK,TS val 1039 ecr 0,nop,wscale 8>
        > . 2:2(0) ack 2 <nop,nop,TS val 140 ecr 1040>
        state TIME-WAIT
        ",
    ]);
}
