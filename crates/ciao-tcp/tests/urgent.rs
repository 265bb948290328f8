//! Urgent data: in line, with a mark (RFC 9293 §3.8.5, RFC 6093).

use ciao_script::assert_plays;
use ciao_script::openings::CONNECTED;

// RFC 9293 §3.8.5 MUST-30, MUST-32, MUST-33, MUST-62
#[test]
fn urgent_data_stays_in_line_and_its_end_is_known() {
    assert_plays([
        CONNECTED,
        "
        < PU. 1:101(100) ack 1 urg 50
        > . 1:1(0) ack 101
        event Urgent
        urgent 50
        read 30
        urgent 20
        read 20
        urgent 0
        read 100 = 50
        ",
    ]);
}

// RFC 9293 §3.8.5 MUST-31, MUST-32
#[test]
fn the_mark_moves_forward_and_each_move_is_told_once() {
    assert_plays([
        CONNECTED,
        "
        < U. 1:11(10) ack 1 urg 10
        > . 1:1(0) ack 11
        event Urgent
        < U. 11:21(10) ack 1 urg 65535
        > . 1:1(0) ack 21
        event Urgent
        urgent 65545
        < U. 21:31(10) ack 1 urg 65525
        > . 1:1(0) ack 31
        no event Urgent
        < U. 31:41(10) ack 1 urg 5
        > . 1:1(0) ack 41
        no event Urgent
        urgent 65545
        read 100 = 40
        urgent 65505
        ",
    ]);
}

// RFC 9293 §3.8.5 MUST-30
#[test]
fn a_mark_without_data_is_told_at_once() {
    assert_plays([
        CONNECTED,
        "
        < U. 1:1(0) ack 1 urg 100
        event Urgent
        urgent 100
        < P. 1:101(100) ack 1
        > . 1:1(0) ack 101
        urgent 100
        read 100
        urgent 0
        ",
    ]);
}

// RFC 9293 §3.8.5 SHLD-13
#[test]
fn nothing_that_is_sent_is_urgent() {
    // `>` compares all control bits.
    assert_plays([
        CONNECTED,
        "
        < U. 1:11(10) ack 1 urg 5
        > . 1:1(0) ack 11
        write 2000
        > . 1:1001(1000) ack 11
        > P. 1001:2001(1000) ack 11
        +.2 > . 1:1001(1000) ack 11
        shutdown
        +.02 < . 11:11(0) ack 2001
        > F. 2001:2001(0) ack 11
        ",
    ]);
}
