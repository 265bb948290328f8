//! Duplicate acknowledgments without SACK: fast retransmit and NewReno's recovery (RFC 5681 §3.2, RFC 6582).

use ciao_script::assert_plays;
use ciao_script::openings::CONNECTED;

// RFC 5681 §3.2 5681-3g
#[test]
fn the_third_duplicate_sends_the_first_segment_again() {
    assert_plays([
        CONNECTED,
        "
        write 4000
        > P. 1:4001(4000) ack 1
        +.02 < . 1:1(0) ack 1
        < . 1:1(0) ack 1
        < . 1:1(0) ack 1
        > . 1:1001(1000) ack 1
        ssthresh 2000
        +.02 < . 1:1(0) ack 4001
        cwnd 2000
        ",
    ]);
}

// RFC 5681 §3.2 5681-3h
// RFC 3042 §2 3042-1
#[test]
fn the_first_two_duplicates_release_a_new_segment_each() {
    assert_plays([
        "--initial_window=4",
        CONNECTED,
        "
        write 10000
        > P. 1:4001(4000) ack 1
        +.02 < . 1:1(0) ack 1
        > . 4001:5001(1000) ack 1
        < . 1:1(0) ack 1
        > . 5001:6001(1000) ack 1
        < . 1:1(0) ack 1
        > . 1:1001(1000) ack 1
        ",
    ]);
}

// RFC 6582 §3.2 6582-1, 6582-3
#[test]
fn two_losses_in_a_window_are_one_episode() {
    assert_plays([
        CONNECTED,
        "
        write 10000
        > P. 1:10001(10000) ack 1
        +.02 < . 1:1(0) ack 1
        < . 1:1(0) ack 1
        < . 1:1(0) ack 1
        > . 1:1001(1000) ack 1
        ssthresh 5000
        < . 1:1(0) ack 1
        < . 1:1(0) ack 1
        < . 1:1(0) ack 1
        < . 1:1(0) ack 1
        < . 1:1(0) ack 1
        +.02 < . 1:1(0) ack 5001
        > . 5001:6001(1000) ack 1
        ssthresh 5000
        +.02 < . 1:1(0) ack 10001
        ssthresh 5000
        cwnd 2000
        ",
    ]);
}

// RFC 5681 §3.2 5681-3i
#[test]
fn a_flood_of_duplicates_releases_no_more_than_was_in_flight() {
    let flood = "< . 1:1(0) ack 1\n".repeat(300);
    assert_plays([
        "--initial_window=4",
        CONNECTED,
        "
        write 100000
        > P. 1:4001(4000) ack 1
        +.02 < . 1:1(0) ack 1
        > . 4001:5001(1000) ack 1
        < . 1:1(0) ack 1
        > . 5001:6001(1000) ack 1
        < . 1:1(0) ack 1
        > . 1:1001(1000) ack 1
        ssthresh 2000
        < . 1:1(0) ack 1
        < . 1:1(0) ack 1
        > . 6001:7001(1000) ack 1
        < . 1:1(0) ack 1
        > . 7001:8001(1000) ack 1
        ",
        &flood,
    ]);
}

#[test]
fn a_window_update_is_no_duplicate() {
    assert_plays([
        CONNECTED,
        "
        write 4000
        > P. 1:4001(4000) ack 1
        +.02 < . 1:1(0) ack 1 win 60000
        < . 1:1(0) ack 1 win 60001
        < . 1:1(0) ack 1 win 60002
        < . 1:1(0) ack 1 win 60003
        ssthresh 4294967295
        ",
    ]);
}
