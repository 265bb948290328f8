//! The peer's window is shut: probes, and what happens when it shrinks (RFC 9293 §3.8.6, §3.8.6.1).

use ciao_script::assert_plays;
use ciao_script::openings::CONNECTED;

const SHUT: &str = "
    write 1000
    > P. 1:1001(1000) ack 1
    +.02 < . 1:1(0) ack 1001 win 0
    write 500
    why window is 0, 500 bytes held
";

// RFC 9293 §3.8.6.1 MUST-36, SHLD-29, SHLD-30
#[test]
fn a_shut_window_is_probed_after_one_timeout_and_then_ever_less_often() {
    assert_plays([
        CONNECTED,
        SHUT,
        "
        +.2   > . 1000:1000(0) ack 1
        +.02  < . 1:1(0) ack 1001 win 0
        +.4   > . 1000:1000(0) ack 1
        +.02  < . 1:1(0) ack 1001 win 0
        +.8   > . 1000:1000(0) ack 1
        +.02  < . 1:1(0) ack 1001 win 0
        +1.6  > . 1000:1000(0) ack 1
        ",
    ]);
}

// RFC 9293 §3.8.6.1 MUST-36
#[test]
fn a_lost_window_update_is_made_up_for_by_a_probe() {
    assert_plays([
        CONNECTED,
        SHUT,
        "
        +.2  > . 1000:1000(0) ack 1
        +.02 < . 1:1(0) ack 1001 win 65535
        > P. 1001:1501(500) ack 1
        ",
    ]);
}

#[test]
fn a_window_update_ends_the_probing() {
    assert_plays([
        CONNECTED,
        SHUT,
        "
        +.1  < . 1:1(0) ack 1001 win 1000
        > P. 1001:1501(500) ack 1
        +.02 < . 1:1(0) ack 1501 win 1000
        +600 state ESTABLISHED
        ",
    ]);
}

// RFC 9293 §3.8.6.1 MUST-37
// RFC 9293 §3.8.6 SHLD-17
#[test]
fn a_connection_lives_as_long_as_its_probes_are_answered() {
    let mut script = String::from("\n");
    for _ in 0..1500 {
        script.push_str("* > . 1000:1000(0) ack 1\n+.02 < . 1:1(0) ack 1001 win 0\n");
    }
    assert_plays([
        CONNECTED,
        SHUT,
        &script,
        "
        state ESTABLISHED
        < . 1:1(0) ack 1001 win 500
        > P. 1001:1501(500) ack 1
        ",
    ]);
}

// RFC 9293 §3.8.3 MUST-20
#[test]
fn a_peer_that_answers_no_probe_is_given_up() {
    assert_plays(["
        --r2=3
        --timestamps=off
        --window_scaling=off
        connect
        > S 0:0(0) <...>
        +.02 < S. 0:0(0) ack 1 win 0 <mss 1000>
        > . 1:1(0) ack 1
        write 10
        +.2 > . 0:0(0) ack 1
        +.4 > . 0:0(0) ack 1
        +.8 > . 0:0(0) ack 1
        +1.6 > . 0:0(0) ack 1
        +3 state CLOSED
        error TimedOut { state: Established }
    "]);
}

// RFC 9293 §3.8.6 MUST-34, SHLD-15
#[test]
fn a_window_that_shrinks_over_what_is_in_flight_stops_new_data() {
    assert_plays([
        CONNECTED,
        "
        write 20000
        > P. 1:10001(10000) ack 1
        +.02 < . 1:1(0) ack 1001 win 1000
        send_window 1000
        why window
        +.01 < . 1:1(0) ack 10001 win 1000
        > . 10001:11001(1000) ack 1
        ",
    ]);
}

// RFC 9293 §3.8.6 SHLD-16
#[test]
fn what_lies_inside_a_shrunken_window_is_sent_again() {
    assert_plays([
        CONNECTED,
        "
        write 5000
        > P. 1:5001(5000) ack 1
        +.02 < . 1:1(0) ack 1 win 2000
        +.18 > . 1:1001(1000) ack 1
        +.02 < . 1:1(0) ack 1001 win 2000
        > P. 1001:3001(2000) ack 1
        ",
    ]);
}

// RFC 9293 §3.8.6 MUST-35
#[test]
fn a_window_that_shrinks_to_nothing_is_probed() {
    assert_plays([
        CONNECTED,
        "
        write 5000
        > P. 1:5001(5000) ack 1
        +.02 < . 1:1(0) ack 1 win 0
        +.18 > . 0:0(0) ack 1
        +.02 < . 1:1(0) ack 1 win 0
        +.38 > . 0:0(0) ack 1
        +.02 < . 1:1(0) ack 5001 win 5000
        state ESTABLISHED
        ",
    ]);
}

// RFC 9293 §3.1 MUST-1
#[test]
fn the_largest_window_without_scaling_is_65535_bytes() {
    assert_plays(["
        --timestamps=off
        --initial_window=100
        connect
        > S 0:0(0) <...>
        +.02 < S. 0:0(0) ack 1 win 65535 <mss 1460>
        > . 1:1(0) ack 1
        send_window 65535
        write 70000
        > P. 1:14601(14600) ack 1
        +.02 < . 1:1(0) ack 14601 win 65535
        > P. 14601:43801(29200) ack 1
        +.02 < . 1:1(0) ack 43801 win 65535
        > P. 43801:70001(26200) ack 1
    "]);
}

const OUR_WINDOW_IS_SHUT: &str = "
    --timestamps=off
    --window_scaling=off
    --receive_buffer=2000
    connect
    > S 0:0(0) win 2000 <...>
    +.02 < S. 0:0(0) ack 1 win 65535 <mss 1000>
    > . 1:1(0) ack 1 win 2000
    < . 1:2001(2000) ack 1
    > . 1:1(0) ack 2001 win 0
";

// RFC 9293 §3.8.6.1 MAY-8
#[test]
fn probes_of_our_shut_window_are_answered_and_their_data_is_not_taken() {
    assert_plays([
        OUR_WINDOW_IS_SHUT,
        "
        +.2 < . 2001:2002(1) ack 1
        > . 1:1(0) ack 2001 win 0
        +.4 < . 2000:2000(0) ack 1
        > . 1:1(0) ack 2001 win 0
        +86400 < . 2001:2002(1) ack 1
        > . 1:1(0) ack 2001 win 0
        received 2000
        read 2000
        > . 1:1(0) ack 2001 win 2000
        ",
    ]);
}

// RFC 9293 §3.4 MUST-66
#[test]
fn acknowledgments_and_urgent_marks_count_while_our_window_is_shut() {
    assert_plays([
        OUR_WINDOW_IS_SHUT,
        "
        write 100
        > P. 1:101(100) ack 2001 win 0
        +.02 < . 2001:2001(0) ack 101
        why nothing to send
        ",
    ]);
    assert_plays([
        OUR_WINDOW_IS_SHUT,
        "
        < U. 2001:2002(1) ack 1 urg 1
        > . 1:1(0) ack 2001 win 0
        event Urgent
        ",
    ]);
}
