//! When received data is acknowledged (RFC 9293 §3.8.6.3, RFC 5681 §4.2).

use ciao_script::assert_plays;
use ciao_script::openings::CONNECTED;

// RFC 9293 §3.8.6.3 SHLD-18, MUST-40
#[test]
fn one_segment_is_acknowledged_after_a_delay() {
    assert_plays([
        "--quick_acks=0",
        CONNECTED,
        "
        < P. 1:1001(1000) ack 1
        +.04 > . 1:1(0) ack 1001
        ",
    ]);
}

// RFC 9293 §3.8.6.3 SHLD-19
#[test]
fn every_second_whole_segment_is_acknowledged_at_once() {
    assert_plays([
        "--quick_acks=0",
        CONNECTED,
        "
        < . 1:1001(1000) ack 1
        < . 1001:2001(1000) ack 1
        > . 1:1(0) ack 2001
        < . 2001:3001(1000) ack 1
        +.01 < P. 3001:4001(1000) ack 1
        > . 1:1(0) ack 4001
        ",
    ]);
}

// RFC 9293 §3.8.6.3 SHLD-18
#[test]
fn an_acknowledgment_rides_on_data() {
    assert_plays([
        "--quick_acks=0",
        CONNECTED,
        "
        < P. 1:11(10) ack 1
        read 10
        +.01 write 20
        > P. 1:21(20) ack 11
        +.1 state ESTABLISHED
        ",
    ]);
}

#[test]
fn the_first_segments_of_a_connection_are_acknowledged_at_once() {
    assert_plays([
        "--quick_acks=2",
        CONNECTED,
        "
        < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        < P. 11:21(10) ack 1
        +.04 > . 1:1(0) ack 21
        ",
    ]);
}

#[test]
fn the_application_may_ask_for_acknowledgments_at_once() {
    assert_plays([
        "--quick_acks=0",
        CONNECTED,
        "
        set quickack on
        < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        ",
    ]);
}

// RFC 9293 §3.10.7.4 MUST-58, MUST-59
#[test]
fn a_batch_of_segments_gets_one_acknowledgment() {
    assert_plays([
        CONNECTED,
        "
        < . 1:1001(1000) ack 1 &
        < . 1001:2001(1000) ack 1 &
        < . 2001:3001(1000) ack 1 &
        < P. 3001:3501(500) ack 1
        > . 1:1(0) ack 3501
        read 4000 = 3500
        ",
    ]);
}

// RFC 5681 §4.2 5681-4b
#[test]
fn acknowledgments_are_not_acknowledged() {
    assert_plays([
        CONNECTED,
        "
        < . 1:1(0) ack 1
        < . 1:1(0) ack 1
        +1 < . 1:1(0) ack 1
        ",
    ]);
}
