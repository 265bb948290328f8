//! Asking a silent peer whether it is still there (RFC 9293 §3.8.4).

use ciao_script::assert_plays;
use ciao_script::openings::CONNECTED;

// RFC 9293 §3.8.4 MUST-25
#[test]
fn without_being_asked_nothing_is_sent_for_a_month() {
    assert_plays([CONNECTED, "+2592000 state ESTABLISHED"]);
}

// RFC 9293 §3.8.4 MUST-24, MUST-28, SHLD-12, MAY-5
#[test]
fn the_first_probe_comes_after_two_hours() {
    assert_plays([
        CONNECTED,
        "
        set keep_alive on
        +7200 > . 0:0(0) ack 1
        +.02  < . 1:1(0) ack 1
        +7200 > . 0:0(0) ack 1
        ",
    ]);
}

// RFC 9293 §3.8.4 MUST-24
#[test]
fn it_can_be_switched_off_again() {
    assert_plays([
        CONNECTED,
        "
        set keep_alive 10 1 3
        +5 set keep_alive off
        +86400 state ESTABLISHED
        ",
    ]);
}

// RFC 9293 §3.8.4 MUST-27
#[test]
fn the_interval_can_be_chosen() {
    assert_plays([
        CONNECTED,
        "
        set keep_alive 10 1 3
        +10 > . 0:0(0) ack 1
        +.02 < . 1:1(0) ack 1
        set keep_alive 30 1 3
        +30 > . 0:0(0) ack 1
        ",
    ]);
}

// RFC 9293 §3.8.4 MUST-26
#[test]
fn whatever_the_peer_sends_starts_the_silence_anew() {
    assert_plays([
        CONNECTED,
        "
        set keep_alive 10 1 3
        +9.999 < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        +9.999 < . 11:11(0) ack 1
        +9.999 state ESTABLISHED
        +.001 > . 0:0(0) ack 11
        ",
    ]);
}

// RFC 9293 §3.8.4 MUST-26
#[test]
fn nothing_is_probed_while_data_is_outstanding() {
    assert_plays([
        CONNECTED,
        "
        set keep_alive 1 1 3
        write 10
        > P. 1:11(10) ack 1
        +.2 > P. 1:11(10) ack 1
        +.4 > P. 1:11(10) ack 1
        +.8 > P. 1:11(10) ack 1
        +1.6 > P. 1:11(10) ack 1
        +.02 < . 1:1(0) ack 11
        +1 > . 10:10(0) ack 1
        ",
    ]);
}

// RFC 9293 §3.8.4 MUST-29
#[test]
fn some_unanswered_probes_do_no_harm_and_enough_end_the_connection() {
    assert_plays([
        CONNECTED,
        "
        set keep_alive 10 1 3
        +10 > . 0:0(0) ack 1
        +1  > . 0:0(0) ack 1
        +1  > . 0:0(0) ack 1
        +.9 < . 1:1(0) ack 1
        state ESTABLISHED
        +10 > . 0:0(0) ack 1
        +1  > . 0:0(0) ack 1
        +1  > . 0:0(0) ack 1
        +1  > R. 1:1(0) ack 1
        state CLOSED
        error KeepAliveTimedOut
        ",
    ]);
}

#[test]
fn a_probe_of_the_peer_is_answered() {
    assert_plays([
        CONNECTED,
        "
        +10 < . 0:0(0) ack 1
        > . 1:1(0) ack 1
        ",
    ]);
}
