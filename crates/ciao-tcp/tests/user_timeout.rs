//! How long data may stay unacknowledged, as the application wants it (RFC 9293 §3.8.3, RFC 5482).

use ciao_script::assert_plays;
use ciao_script::openings::CONNECTED;

// RFC 9293 §3.8.3 MUST-21
#[test]
fn the_application_chooses_when_patience_ends() {
    assert_plays([
        CONNECTED,
        "
        set user_timeout 5
        write 10
        > P. 1:11(10) ack 1
        +.2 > P. 1:11(10) ack 1
        +.4 > P. 1:11(10) ack 1
        +.8 > P. 1:11(10) ack 1
        +1.6 > P. 1:11(10) ack 1
        5.019 state ESTABLISHED
        5.02 state CLOSED
        error TimedOut { state: Established }
        ",
    ]);
}

// RFC 9293 §3.8.3 MUST-21
#[test]
fn it_may_be_set_while_data_is_outstanding() {
    assert_plays([
        CONNECTED,
        "
        write 10
        > P. 1:11(10) ack 1
        +.1 set user_timeout 1
        +.1 > P. 1:11(10) ack 1
        +.4 > P. 1:11(10) ack 1
        1.119 state ESTABLISHED
        1.12 state CLOSED
        ",
    ]);
}

// RFC 9293 §3.8.3 MUST-21
#[test]
fn it_may_be_infinite() {
    let mut script = String::from("write 10\n> P. 1:11(10) ack 1\n");
    for _ in 0..700 {
        script.push_str("* > P. 1:11(10) ack 1\n");
    }
    // 700 times two minutes are almost a day.
    assert_plays(["--r2=never", CONNECTED, &script, "state ESTABLISHED", "< . 1:1(0) ack 11", "no error"]);
}

// RFC 9293 §3.8.3 MUST-21
#[test]
fn progress_begins_the_time_anew_and_an_idle_connection_has_none() {
    assert_plays([
        CONNECTED,
        "
        set user_timeout 1
        write 2000
        > P. 1:2001(2000) ack 1
        +.15 < . 1:1(0) ack 1001
        +.2 > P. 1001:2001(1000) ack 1
        +.3 < . 1:1(0) ack 2001
        state ESTABLISHED
        +1000 state ESTABLISHED
        ",
    ]);
}

// RFC 9293 §3.8.3 MUST-23, MUST-21
#[test]
fn it_cuts_an_opening_short() {
    assert_plays(["
        --r2_syn=5
        0 connect
        > S 0:0(0) <...>
        1 > S 0:0(0) <...>
        3 > S 0:0(0) <...>
        4.999 state SYN-SENT
        5 state CLOSED
        error TimedOut { state: SynSent }
    "]);
}
