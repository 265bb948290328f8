//! Timestamps, PAWS and what is echoed (RFC 7323 §3–§5).

use ciao_script::assert_plays;
use ciao_script::openings::{CONNECTED, CONNECTED_WITH_OPTIONS};

// RFC 7323 §3.2 7323-3a, 7323-3d
// RFC 7323 §4.1 7323-4a
#[test]
fn every_segment_but_a_reset_carries_the_time_in_milliseconds() {
    assert_plays([
        CONNECTED_WITH_OPTIONS,
        "
        +.1   write 10
        > P. 1:11(10) ack 1 <nop,nop,TS val 120 ecr 1000>
        +.2   > P. 1:11(10) ack 1 <nop,nop,TS val 320 ecr 1000>
        +.02  < . 1:1(0) ack 11 <nop,nop,TS val 1300 ecr 320>
        +86400 < P. 1:11(10) ack 11 <nop,nop,TS val 1400 ecr 320>
        > . 11:11(0) ack 11 <nop,nop,TS val 86400340 ecr 1400>
        read 10
        shutdown
        > F. 11:11(0) ack 11 <nop,nop,TS val 86400340 ecr 1400>
        abort
        > R. 12:12(0) ack 11
        ",
    ]);
}

// RFC 7323 §3.2 7323-3b
#[test]
fn a_segment_without_the_agreed_option_is_dropped_silently() {
    assert_plays([
        CONNECTED_WITH_OPTIONS,
        "
        < P. 1:11(10) ack 1
        dropped MissingTimestamp
        state ESTABLISHED
        ",
    ]);
}

// RFC 7323 §3.2 7323-3c
#[test]
fn an_option_that_was_not_agreed_on_is_ignored() {
    assert_plays([
        CONNECTED,
        "
        < P. 1:11(10) ack 1 <nop,nop,TS val 5 ecr 9>
        > . 1:1(0) ack 11
        < P. 11:21(10) ack 1 <nop,nop,TS val 3 ecr 9>
        > . 1:1(0) ack 21
        read 20
        ",
    ]);
}

// RFC 7323 §5.3 7323-5a
#[test]
fn an_older_timestamp_marks_an_old_duplicate() {
    assert_plays([
        CONNECTED_WITH_OPTIONS,
        "
        < P. 1:11(10) ack 1 <nop,nop,TS val 999 ecr 20>
        > . 1:1(0) ack 1 <nop,nop,TS val 20 ecr 1000>
        dropped OldTimestamp
        read 10 = WouldBlock
        < P. 1:11(10) ack 1 <nop,nop,TS val 1000 ecr 20>
        > . 1:1(0) ack 11 <nop,nop,TS val 20 ecr 1000>
        read 10
        ",
    ]);
}

// RFC 7323 §5.3 7323-5c
#[test]
fn a_segment_outside_the_window_does_not_set_the_clock() {
    assert_plays([
        CONNECTED_WITH_OPTIONS,
        "
        < P. 300001:300011(10) ack 1 <nop,nop,TS val 2000000000 ecr 20>
        > . 1:1(0) ack 1 <nop,nop,TS val 20 ecr 1000>
        dropped OutsideWindow
        +1 < P. 20001:20011(10) ack 1 <nop,nop,TS val 1500 ecr 20>
        > . 1:1(0) ack 1 <nop,nop,TS val 1020 ecr 1000,nop,nop,sack 20001:20011>
        < P. 1:11(10) ack 1 <nop,nop,TS val 1001 ecr 20>
        > . 1:1(0) ack 11 <nop,nop,TS val 1020 ecr 1001,nop,nop,sack 20001:20011>
        ",
    ]);
}

// RFC 7323 §5.5 7323-5d
#[test]
fn after_a_silence_of_24_days_any_timestamp_is_taken() {
    assert_plays([
        CONNECTED_WITH_OPTIONS,
        "
        +2000000 < P. 1:11(10) ack 1 <nop,nop,TS val 999 ecr 20>
        > . 1:1(0) ack 1 <...>
        dropped OldTimestamp
        +160000 < P. 1:11(10) ack 1 <nop,nop,TS val 999 ecr 20>
        > . 1:1(0) ack 11 <nop,nop,TS val 2160000020 ecr 999>
        ",
    ]);
}

// RFC 7323 §4.3 7323-4c
#[test]
fn a_delayed_acknowledgment_echoes_the_first_segment_that_it_covers() {
    assert_plays([
        "--quick_acks=0",
        CONNECTED_WITH_OPTIONS,
        "
        < P. 1:11(10) ack 1 <nop,nop,TS val 1010 ecr 20>
        +.01 < P. 11:21(10) ack 1 <nop,nop,TS val 1020 ecr 20>
        > . 1:1(0) ack 21 <nop,nop,TS val 30 ecr 1010>
        ",
    ]);
}

// RFC 7323 §4.3 7323-4c
#[test]
fn behind_a_gap_the_last_segment_in_order_is_echoed_and_then_the_one_that_fills_it() {
    assert_plays([
        CONNECTED_WITH_OPTIONS,
        "
        < P. 1:11(10) ack 1 <nop,nop,TS val 1010 ecr 20>
        > . 1:1(0) ack 11 <nop,nop,TS val 20 ecr 1010>
        < P. 21:31(10) ack 1 <nop,nop,TS val 1020 ecr 20>
        > . 1:1(0) ack 11 <nop,nop,TS val 20 ecr 1010,nop,nop,sack 21:31>
        < P. 11:21(10) ack 1 <nop,nop,TS val 1015 ecr 20>
        > . 1:1(0) ack 31 <nop,nop,TS val 20 ecr 1015>
        ",
    ]);
}

// RFC 7323 §4.1 7323-4b
#[test]
fn an_acknowledgment_of_nothing_new_is_no_sample() {
    assert_plays([
        CONNECTED_WITH_OPTIONS,
        "
        srtt 0.02
        +5 < . 1:1(0) ack 1 <nop,nop,TS val 1020 ecr 0>
        srtt 0.02
        ",
    ]);
}
