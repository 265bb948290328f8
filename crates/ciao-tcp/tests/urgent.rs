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

// RFC 9293 §3.8.5 MUST-30, MUST-62
#[test]
fn urgent_data_is_sent_in_line_and_the_pointer_names_the_byte_behind_it() {
    assert_plays([
        CONNECTED,
        "
        write_urgent 1500
        > U. 1:1001(1000) ack 1 urg 1500
        > PU. 1001:1501(500) ack 1 urg 500
        write 10
        > P. 1501:1511(10) ack 1
        +.02 < . 1:1(0) ack 1001
        < P. 1:11(10) ack 1001
        > . 1511:1511(0) ack 11
        ",
    ]);
}

// RFC 9293 §3.8.5 MUST-31, MUST-62
#[test]
fn an_urgent_end_too_far_for_the_field_is_approached() {
    assert_plays([
        CONNECTED,
        "
        write_urgent 70000
        > U. 1:1001(1000) ack 1 urg 65535
        > U. 1001:2001(1000) ack 1 urg 65535
        > U. 2001:3001(1000) ack 1 urg 65535
        > U. 3001:4001(1000) ack 1 urg 65535
        > U. 4001:5001(1000) ack 1 urg 65535
        > U. 5001:6001(1000) ack 1 urg 65000
        > U. 6001:10001(4000) ack 1
        ",
    ]);
}

// RFC 9293 §3.8.5 MUST-31
#[test]
fn the_mark_that_is_sent_moves_on_with_more_urgent_data() {
    assert_plays([
        CONNECTED,
        "
        write_urgent 10
        > PU. 1:11(10) ack 1 urg 10
        write_urgent 20
        > PU. 11:31(20) ack 1 urg 20
        < . 1:1(0) ack 11
        < P. 1:11(10) ack 11
        > . 31:31(0) ack 11
        < . 11:11(0) ack 31
        write 10
        > P. 31:41(10) ack 11
        ",
    ]);
}

// RFC 9293 §3.8.5 MUST-30
#[test]
fn urgent_data_does_not_wait_for_an_acknowledgment() {
    assert_plays([
        CONNECTED,
        "
        write 10
        > P. 1:11(10) ack 1
        write 10
        why Nagle
        write_urgent 5
        > PU. 11:26(15) ack 1 urg 15
        ",
    ]);
}

// RFC 9293 §3.8.5 MUST-30
#[test]
fn a_shut_window_is_asked_with_the_mark() {
    assert_plays([
        CONNECTED,
        "
        < . 1:1(0) ack 1 win 0
        write_urgent 10
        +.2 > U. 0:0(0) ack 1 urg 11
        < . 1:1(0) ack 1 win 1000
        > PU. 1:11(10) ack 1 urg 10
        ",
    ]);
}

// RFC 9293 §3.8.5 MUST-62
#[test]
fn what_is_sent_again_has_the_pointer_that_its_number_asks_for() {
    assert_plays([
        CONNECTED,
        "
        write_urgent 2500
        > U. 1:1001(1000) ack 1 urg 2500
        > U. 1001:2001(1000) ack 1 urg 1500
        > PU. 2001:2501(500) ack 1 urg 500
        +.02 < . 1:1(0) ack 1001
        +.2 > U. 1001:2001(1000) ack 1 urg 1500
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
