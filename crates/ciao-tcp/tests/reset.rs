//! RST, sent and received, in every state that knows one (RFC 9293 §3.5.2, §3.5.3, RFC 5961 §3).

use ciao_script::assert_plays;
use ciao_script::openings::{ACCEPTED, CONNECTED, CONNECTED_WITH_OPTIONS};

// RFC 5961 §3.2 5961-3b
#[test]
fn a_reset_at_the_next_number_ends_the_connection() {
    assert_plays([
        CONNECTED,
        "
        < R 1:1(0)
        state CLOSED
        error Reset
        event Closed(Some(Reset))
        ",
    ]);
}

// RFC 5961 §3.2 5961-3a
#[test]
fn a_reset_outside_the_window_is_dropped_silently() {
    assert_plays([
        CONNECTED,
        "
        < R 0:0(0)
        dropped ResetOutsideWindow
        < R 65536:65536(0)
        dropped ResetOutsideWindow
        < R 3000000000:3000000000(0)
        dropped ResetOutsideWindow
        state ESTABLISHED
        ",
    ]);
}

// RFC 5961 §3.2 5961-3c
#[test]
fn a_reset_elsewhere_in_the_window_is_doubted() {
    assert_plays([
        CONNECTED,
        "
        < R 2:2(0)
        > . 1:1(0) ack 1
        dropped InexactReset
        +1 < R. 65535:65535(0) ack 1
        > . 1:1(0) ack 1
        dropped InexactReset
        state ESTABLISHED
        ",
    ]);
}

// RFC 5961 §3.2 5961-3b, 5961-3c
#[test]
fn a_peer_that_means_it_answers_the_doubt_with_an_exact_reset() {
    assert_plays([
        CONNECTED,
        "
        < R 100:100(0)
        > . 1:1(0) ack 1
        +.02 < R 1:1(0)
        state CLOSED
        error Reset
        ",
    ]);
}

// RFC 9293 §3.5.3 SHLD-2
#[test]
fn data_in_a_reset_is_neither_an_error_nor_delivered() {
    assert_plays([
        CONNECTED,
        "
        < R. 1:11(10) ack 1
        state CLOSED
        read 10 = Ended(Reset)
        ",
    ]);
}

// RFC 9293 §3.6 MUST-12
#[test]
fn a_reset_takes_what_was_not_read() {
    assert_plays([
        CONNECTED,
        "
        < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        < R. 11:11(0) ack 1
        read 10 = Ended(Reset)
        ",
    ]);
}

// RFC 7323 §5.2 7323-5b
#[test]
fn a_reset_needs_no_timestamp_and_an_old_one_does_not_matter() {
    assert_plays([CONNECTED_WITH_OPTIONS, "< R 1:1(0)", "state CLOSED"]);
    assert_plays([CONNECTED_WITH_OPTIONS, "< R. 1:1(0) ack 1 <nop,nop,TS val 1 ecr 1>", "state CLOSED"]);
}

#[test]
fn an_abort_sends_a_reset() {
    assert_plays([
        CONNECTED,
        "
        write 20000
        > P. 1:10001(10000) ack 1
        abort
        > R. 10001:10001(0) ack 1
        state CLOSED
        error Aborted
        write 1 = Ended(Aborted)
        read 1 = Ended(Aborted)
        +.1 < . 1:1(0) ack 10001
        > R 10001:10001(0)
        ",
    ]);
}

#[test]
fn an_abort_in_each_closing_state_sends_a_reset() {
    assert_plays([CONNECTED, "shutdown", "> F. 1:1(0) ack 1", "abort", "> R. 2:2(0) ack 1", "state CLOSED"]);
    assert_plays([
        ACCEPTED,
        "
        < F. 1:1(0) ack 1
        +.04 > . 1:1(0) ack 2
        abort
        > R. 1:1(0) ack 2
        state CLOSED
        ",
    ]);
    assert_plays([
        CONNECTED,
        "
        shutdown
        > F. 1:1(0) ack 1
        +.02 < . 1:1(0) ack 2
        abort
        > R. 2:2(0) ack 1
        state CLOSED
        ",
    ]);
}

#[test]
fn an_abort_before_the_handshake_and_in_time_wait_is_silent() {
    assert_plays(["connect", "> S 0:0(0) <...>", "abort", "state CLOSED"]);
    assert_plays([
        CONNECTED,
        "
        shutdown
        > F. 1:1(0) ack 1
        +.02 < F. 1:1(0) ack 2
        > . 2:2(0) ack 2
        abort
        state CLOSED
        ",
    ]);
}

#[test]
fn a_reset_in_each_closing_state_ends_the_connection() {
    assert_plays([
        CONNECTED,
        "
        shutdown
        > F. 1:1(0) ack 1
        +.02 < R 1:1(0)
        state CLOSED
        error Reset
        ",
    ]);
    assert_plays([
        CONNECTED,
        "
        shutdown
        > F. 1:1(0) ack 1
        +.02 < . 1:1(0) ack 2
        < R 1:1(0)
        state CLOSED
        error Reset
        ",
    ]);
    assert_plays([
        ACCEPTED,
        "
        < F. 1:1(0) ack 1
        +.04 > . 1:1(0) ack 2
        < R 2:2(0)
        state CLOSED
        error Reset
        ",
    ]);
    assert_plays([
        ACCEPTED,
        "
        < F. 1:1(0) ack 1
        +.04 > . 1:1(0) ack 2
        shutdown
        > F. 1:1(0) ack 2
        < R 2:2(0)
        state CLOSED
        no error
        ",
    ]);
}

#[test]
fn a_closed_port_answers_everything_but_a_reset() {
    // RFC 9293 §3.10.7.1. Without an acknowledgment to start from, the number is zero: 3001 beyond the
    // script's.
    assert_plays(["
        < S 0:0(0)
        > R. 3001:3001(0) ack 1
        < FP 10:20(10)
        > R. 3001:3001(0) ack 21
        < P. 10:20(10) ack 555
        > R 555:555(0)
        < R 0:0(0)
        < R. 0:0(0) ack 555
    "]);
}

// RFC 9293 §3.4 MUST-66
#[test]
fn a_reset_counts_while_our_window_is_shut() {
    assert_plays([
        "--receive_buffer=2000",
        CONNECTED_WITH_SMALL_WINDOW,
        "
        < . 1:2001(2000) ack 1
        > . 1:1(0) ack 2001 win 0
        +1 < R 2001:2001(0)
        state CLOSED
        error Reset
        ",
    ]);
}

const CONNECTED_WITH_SMALL_WINDOW: &str = "
    --timestamps=off
    --window_scaling=off
    connect
    > S 0:0(0) win 2000 <mss 1460,nop,nop,sackOK>
    +.02 < S. 0:0(0) ack 1 win 65535 <mss 1000>
    > . 1:1(0) ack 1 win 2000
";
