//! How much is in flight (RFC 5681 §3.1, §4.1, RFC 6928). The arithmetic is tested beside it.

use ciao_script::assert_plays;
use ciao_script::openings::{CONNECTED, CONNECTED_WITH_OPTIONS};

// RFC 5681 §3.1 5681-3a, 5681-3b
// RFC 9293 §3.8.2 MUST-19
#[test]
fn a_connection_starts_with_ten_segments() {
    assert_plays([
        CONNECTED_WITH_OPTIONS,
        "
        write 50000
        > P. 1:14481(14480) ack 1 <...>
        why cwnd full: 14480 of 14480 bytes
        +.02 < . 1:1(0) ack 14481 win 1000 <nop,nop,TS val 1040 ecr 20>
        > P. 14481:43441(28960) ack 1 <...>
        cwnd 28960
        ",
    ]);
}

// RFC 5681 §3.1 5681-3d
#[test]
fn beyond_the_threshold_it_grows_by_one_segment_a_round() {
    assert_plays([
        CONNECTED,
        "
        write 4000
        > P. 1:4001(4000) ack 1
        +.02 < . 1:1(0) ack 1
        < . 1:1(0) ack 1
        < . 1:1(0) ack 1
        > . 1:1001(1000) ack 1
        +.02 < . 1:1(0) ack 4001
        cwnd 2000
        write 20000
        > P. 4001:6001(2000) ack 1
        +.02 < . 1:1(0) ack 6001
        > P. 6001:9001(3000) ack 1
        cwnd 3000
        +.02 < . 1:1(0) ack 9001
        > P. 9001:13001(4000) ack 1
        cwnd 4000
        ",
    ]);
}

// RFC 5681 §3.1 5681-3a
#[test]
fn what_the_application_does_not_use_does_not_grow() {
    assert_plays([
        CONNECTED,
        "
        write 100
        > P. 1:101(100) ack 1
        +.02 < . 1:1(0) ack 101
        write 100
        > P. 101:201(100) ack 1
        +.02 < . 1:1(0) ack 201
        cwnd 10000
        ",
    ]);
}

// RFC 5681 §3.1 5681-3a
#[test]
fn a_window_that_the_application_just_fills_counts_as_used() {
    assert_plays([
        CONNECTED,
        "
        write 10000
        > P. 1:10001(10000) ack 1
        +.02 < . 1:1(0) ack 10001
        cwnd 20000
        ",
    ]);
}

// RFC 5681 §4.1 5681-4a
#[test]
fn acknowledgments_alone_do_not_keep_the_window_open() {
    assert_plays([
        CONNECTED,
        "
        write 10000
        > P. 1:10001(10000) ack 1
        +.02 < . 1:1(0) ack 10001
        cwnd 20000
        +1 < P. 1:11(10) ack 10001
        > . 10001:10001(0) ack 11
        write 30000
        > P. 10001:20001(10000) ack 11
        cwnd 10000
        ",
    ]);
}

// RFC 5681 §4.1 5681-4a
#[test]
fn a_silence_takes_the_window_back_to_the_start() {
    assert_plays([
        CONNECTED,
        "
        write 30000
        > P. 1:10001(10000) ack 1
        +.02 < . 1:1(0) ack 10001
        > P. 10001:30001(20000) ack 1
        +.02 < . 1:1(0) ack 30001
        cwnd 40000
        +10 write 30000
        > P. 30001:40001(10000) ack 1
        cwnd 10000
        ",
    ]);
}
