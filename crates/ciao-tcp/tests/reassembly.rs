//! Data that comes out of order, twice, or in pieces that overlap (RFC 9293 §3.10.7.4).

use ciao_script::assert_plays;
use ciao_script::openings::CONNECTED;

// RFC 9293 §3.10.7.4 SHLD-31, MAY-13
// RFC 5681 §4.2 5681-3f
#[test]
fn data_behind_a_gap_is_kept_and_acknowledged_at_once() {
    assert_plays([
        "--quick_acks=0",
        CONNECTED,
        "
        < . 1001:2001(1000) ack 1
        > . 1:1(0) ack 1
        < . 3001:4001(1000) ack 1
        > . 1:1(0) ack 1
        read 10 = WouldBlock
        < . 1:1001(1000) ack 1
        > . 1:1(0) ack 2001
        < . 2001:3001(1000) ack 1
        > . 1:1(0) ack 4001
        read 4000
        ",
    ]);
}

// RFC 9293 §3.10.7.4 SHLD-31
#[test]
fn overlapping_segments_are_delivered_once() {
    assert_plays([
        CONNECTED,
        "
        < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        < P. 6:21(15) ack 1
        > . 1:1(0) ack 21
        < P. 31:41(10) ack 1
        > . 1:1(0) ack 21
        < P. 26:46(20) ack 1
        > . 1:1(0) ack 21
        < P. 11:36(25) ack 1
        > . 1:1(0) ack 46
        read 100 = 45
        ",
    ]);
}

#[test]
fn what_came_before_is_acknowledged_and_not_delivered_again() {
    assert_plays([
        CONNECTED,
        "
        < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        read 10
        < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        dropped Duplicate
        read 10 = WouldBlock
        ",
    ]);
}

// RFC 9293 §3.10.7.4 SHLD-31
#[test]
fn there_are_at_most_so_many_gaps() {
    assert_plays([
        "--max_gaps=2",
        CONNECTED,
        "
        < P. 11:21(10) ack 1
        > . 1:1(0) ack 1
        < P. 31:41(10) ack 1
        > . 1:1(0) ack 1
        < P. 51:61(10) ack 1
        > . 1:1(0) ack 1
        dropped TooManyGaps
        < P. 1:51(50) ack 1
        > . 1:1(0) ack 51
        read 100 = 50
        ",
    ]);
}

#[test]
fn what_the_window_does_not_hold_is_cut_off() {
    assert_plays(["
        --timestamps=off
        --window_scaling=off
        --receive_buffer=2000
        connect
        > S 0:0(0) win 2000 <...>
        +.02 < S. 0:0(0) ack 1 win 65535 <mss 1000>
        > . 1:1(0) ack 1 win 2000
        < . 1001:3001(2000) ack 1
        > . 1:1(0) ack 1 win 2000
        < FP. 1:2501(2500) ack 1
        > . 1:1(0) ack 2001 win 0
        state ESTABLISHED
        read 3000 = 2000
        > . 1:1(0) ack 2001 win 2000
        < . 4001:4011(10) ack 1
        > . 1:1(0) ack 2001
        dropped OutsideWindow
    "]);
}

// RFC 5681 §4.2 5681-4b
// RFC 9293 §3.10.7.4 MUST-58
#[test]
fn each_segment_behind_a_gap_gets_one_acknowledgment_and_no_more() {
    assert_plays([
        CONNECTED,
        "
        < . 1001:2001(1000) ack 1 &
        < . 2001:3001(1000) ack 1 &
        < . 3001:4001(1000) ack 1
        > . 1:1(0) ack 1
        > . 1:1(0) ack 1
        > . 1:1(0) ack 1
        ",
    ]);
}
