//! Selective acknowledgments, sent and used (RFC 2018, RFC 6675).

use ciao_script::assert_plays;
use ciao_script::openings::{CONNECTED, CONNECTED_WITH_OPTIONS, CONNECTED_WITH_SACK};

// RFC 2018 §3-4 2018-3
// RFC 5681 §4.2 5681-3f
#[test]
fn the_block_that_changed_last_comes_first() {
    assert_plays([
        CONNECTED_WITH_SACK,
        "
        < . 1001:2001(1000) ack 1
        > . 1:1(0) ack 1 <nop,nop,sack 1001:2001>
        < . 3001:4001(1000) ack 1
        > . 1:1(0) ack 1 <nop,nop,sack 3001:4001 1001:2001>
        < . 5001:6001(1000) ack 1
        > . 1:1(0) ack 1 <nop,nop,sack 5001:6001 3001:4001 1001:2001>
        < . 2001:3001(1000) ack 1
        > . 1:1(0) ack 1 <nop,nop,sack 1001:4001 5001:6001>
        < . 1:1001(1000) ack 1
        > . 1:1(0) ack 4001 <nop,nop,sack 5001:6001>
        < . 4001:5001(1000) ack 1
        > . 1:1(0) ack 6001
        read 6000
        ",
    ]);
}

// RFC 2018 §3-4 2018-3
#[test]
fn four_blocks_fit_and_three_beside_timestamps() {
    assert_plays([
        CONNECTED_WITH_SACK,
        "
        < . 11:21(10) ack 1
        > . 1:1(0) ack 1 <...>
        < . 31:41(10) ack 1
        > . 1:1(0) ack 1 <...>
        < . 51:61(10) ack 1
        > . 1:1(0) ack 1 <...>
        < . 71:81(10) ack 1
        > . 1:1(0) ack 1 <...>
        < . 91:101(10) ack 1
        > . 1:1(0) ack 1 <nop,nop,sack 91:101 71:81 51:61 31:41>
        ",
    ]);
    assert_plays([
        CONNECTED_WITH_OPTIONS,
        "
        < . 11:21(10) ack 1 <nop,nop,TS val 1020 ecr 20>
        > . 1:1(0) ack 1 <...>
        < . 31:41(10) ack 1 <nop,nop,TS val 1020 ecr 20>
        > . 1:1(0) ack 1 <...>
        < . 51:61(10) ack 1 <nop,nop,TS val 1020 ecr 20>
        > . 1:1(0) ack 1 <...>
        < . 71:81(10) ack 1 <nop,nop,TS val 1020 ecr 20>
        > . 1:1(0) ack 1 <nop,nop,TS val 20 ecr 1000,nop,nop,sack 71:81 51:61 31:41>
        ",
    ]);
}

#[test]
fn without_agreement_no_block_is_sent_and_none_is_believed() {
    assert_plays([
        CONNECTED,
        "
        < . 1001:2001(1000) ack 1
        > . 1:1(0) ack 1
        write 4000
        > P. 1:4001(4000) ack 1
        +.02 < . 1:1(0) ack 1 <nop,nop,sack 1001:4001>
        ssthresh 4294967295
        ",
    ]);
}

// RFC 6675 §5 6675-5a
#[test]
fn three_segments_reported_beyond_a_gap_start_recovery() {
    assert_plays([
        CONNECTED_WITH_SACK,
        "
        write 10000
        > P. 1:10001(10000) ack 1
        +.02 < . 1:1(0) ack 1 <nop,nop,sack 1001:2001>
        < . 1:1(0) ack 1 <nop,nop,sack 1001:3001>
        < . 1:1(0) ack 1 <nop,nop,sack 1001:4001>
        > . 1:1001(1000) ack 1
        ssthresh 5000
        +.02 < . 1:1(0) ack 10001
        ssthresh 5000
        ",
    ]);
}

// RFC 6675 §4 6675-4b
// RFC 6675 §5 6675-5a
#[test]
fn all_gaps_are_filled_in_one_round_as_far_as_the_pipe_admits() {
    assert_plays([
        CONNECTED_WITH_SACK,
        "
        write 10000
        > P. 1:10001(10000) ack 1
        +.02 < . 1:1(0) ack 1 <nop,nop,sack 1001:2001>
        < . 1:1(0) ack 1 <nop,nop,sack 3001:4001 1001:2001>
        < . 1:1(0) ack 1 <nop,nop,sack 5001:6001 3001:4001 1001:2001>
        > . 1:1001(1000) ack 1
        < . 1:1(0) ack 1 <nop,nop,sack 5001:7001 3001:4001 1001:2001>
        < . 1:1(0) ack 1 <nop,nop,sack 5001:8001 3001:4001 1001:2001>
        > . 2001:3001(1000) ack 1
        > . 4001:5001(1000) ack 1
        +.02 < . 1:1(0) ack 10001
        ssthresh 5000
        ",
    ]);
}

// RFC 6675 §4 6675-4a
#[test]
fn a_peer_that_takes_its_report_back_gets_the_data_again() {
    assert_plays([
        CONNECTED_WITH_SACK,
        "
        write 3000
        > P. 1:3001(3000) ack 1
        +.02 < . 1:1(0) ack 1 <nop,nop,sack 1001:3001>
        +.18 > . 1:1001(1000) ack 1
        +.02 < . 1:1(0) ack 1001
        > P. 1001:3001(2000) ack 1
        +.02 < . 1:1(0) ack 3001
        ",
    ]);
}

// RFC 3042 §2 3042-1
#[test]
fn new_data_is_released_by_new_reports_alone() {
    assert_plays([
        "--initial_window=4",
        CONNECTED_WITH_SACK,
        "
        write 10000
        > P. 1:4001(4000) ack 1
        +.02 < . 1:1(0) ack 1
        < . 1:1(0) ack 1 <nop,nop,sack 1001:2001>
        > . 4001:5001(1000) ack 1
        < . 1:1(0) ack 1 <nop,nop,sack 1001:2001>
        < . 1:1(0) ack 1 <nop,nop,sack 1001:3001>
        > . 5001:6001(1000) ack 1
        ",
    ]);
}

// RFC 6675 §5.1 6675-5b
#[test]
fn a_timeout_during_recovery_begins_again_from_the_start() {
    assert_plays([
        CONNECTED_WITH_SACK,
        "
        write 10000
        > P. 1:10001(10000) ack 1
        +.02 < . 1:1(0) ack 1 <nop,nop,sack 1001:4001>
        > . 1:1001(1000) ack 1
        +.2 > . 1:1001(1000) ack 1
        cwnd 1000
        +.02 < . 1:1(0) ack 1 <nop,nop,sack 1001:8001>
        cwnd 1000
        +.02 < . 1:1(0) ack 8001
        > P. 8001:10001(2000) ack 1
        ",
    ]);
}

#[test]
fn blocks_about_what_was_never_sent_are_passed_over() {
    assert_plays([
        CONNECTED_WITH_SACK,
        "
        write 4000
        > P. 1:4001(4000) ack 1
        +.02 < . 1:1(0) ack 1 <nop,nop,sack 5001:9001 4001:4001 3001:2001>
        ssthresh 4294967295
        +.18 > . 1:1001(1000) ack 1
        ",
    ]);
}

// RFC 2883 §4 2883-1
#[test]
fn what_comes_twice_is_reported_first_and_once() {
    assert_plays([
        CONNECTED_WITH_SACK,
        "
        < . 1:1001(1000) ack 1
        > . 1:1(0) ack 1001
        < . 1:1001(1000) ack 1
        > . 1:1(0) ack 1001 <nop,nop,sack 1:1001>
        < . 2001:3001(1000) ack 1
        > . 1:1(0) ack 1001 <nop,nop,sack 2001:3001>
        < . 501:1001(500) ack 1
        > . 1:1(0) ack 1001 <nop,nop,sack 501:1001 2001:3001>
        < . 2001:2501(500) ack 1
        > . 1:1(0) ack 1001 <nop,nop,sack 2001:2501 2001:3001>
        < . 501:2001(1500) ack 1
        > . 1:1(0) ack 3001 <nop,nop,sack 501:1001>
        < . 3001:4001(1000) ack 1
        > . 1:1(0) ack 4001
        ",
    ]);
}

// RFC 2883 §4 2883-1
#[test]
fn a_report_of_what_came_twice_is_no_news_of_a_loss() {
    assert_plays([
        CONNECTED_WITH_SACK,
        "
        write 5000
        > P. 1:5001(5000) ack 1
        +.02 < . 1:1(0) ack 1001 <nop,nop,sack 1:1001>
        < . 1:1(0) ack 1001 <nop,nop,sack 1:1001>
        < . 1:1(0) ack 1001 <nop,nop,sack 1:1001>
        < . 1:1(0) ack 1001 <nop,nop,sack 1:1001>
        ssthresh 4294967295
        ",
    ]);
}
