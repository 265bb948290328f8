//! The retransmission timer: when it fires, what is sent then, and when patience ends (RFC 6298, RFC 9293
//! §3.8.1–3).

use ciao_script::assert_plays;
use ciao_script::openings::CONNECTED;

// RFC 6298 §5 6298-5a, 6298-5b, 6298-5d
// RFC 9293 §3.8.2 MUST-19
#[test]
fn the_timeout_doubles_until_something_new_is_acknowledged() {
    assert_plays([
        CONNECTED,
        "
        rto 0.2
        write 10
        > P. 1:11(10) ack 1
        +.2 > P. 1:11(10) ack 1
        +.4 > P. 1:11(10) ack 1
        +.8 > P. 1:11(10) ack 1
        rto 1.6
        +.02 < . 1:1(0) ack 11
        rto 0.2
        +100 state ESTABLISHED
        ",
    ]);
}

// RFC 6298 §2.4 6298-2c
#[test]
fn the_strict_profile_waits_a_second() {
    assert_plays([
        "--profile=strict",
        CONNECTED,
        "
        write 10
        > P. 1:11(10) ack 1
        +1 > P. 1:11(10) ack 1
        +2 > P. 1:11(10) ack 1
        ",
    ]);
}

// RFC 6298 §2.2-2.3 6298-2b
// RFC 9293 §3.8.1 MUST-18
#[test]
fn each_acknowledgment_of_data_sent_once_is_a_sample() {
    assert_plays([
        CONNECTED,
        "
        srtt 0.02
        write 10
        > P. 1:11(10) ack 1
        +.1 < . 1:1(0) ack 11
        srtt 0.03
        write 10
        > P. 11:21(10) ack 1
        +.03 < . 1:1(0) ack 21
        srtt 0.03
        ",
    ]);
}

// RFC 6298 §3 6298-3a
// RFC 8961 §4 8961-3
// RFC 9293 §3.8.1 MUST-18
#[test]
fn what_was_sent_twice_is_no_sample() {
    assert_plays([
        CONNECTED,
        "
        srtt 0.02
        write 10
        > P. 1:11(10) ack 1
        +.2 > P. 1:11(10) ack 1
        +.001 < . 1:1(0) ack 11
        srtt 0.02
        ",
    ]);
}

// RFC 6298 §3 6298-3b
#[test]
fn a_stream_gives_a_sample_in_each_round_trip() {
    assert_plays([
        CONNECTED,
        "
        write 2000
        > P. 1:2001(2000) ack 1
        +.1 < . 1:1(0) ack 1001
        srtt 0.03
        write 1000
        > P. 2001:3001(1000) ack 1
        +.01 < . 1:1(0) ack 2001
        srtt 0.04
        ",
    ]);
}

// RFC 6298 §5 6298-5a
#[test]
fn an_acknowledgment_of_a_part_starts_the_timer_anew() {
    assert_plays([
        CONNECTED,
        "
        write 2000
        > P. 1:2001(2000) ack 1
        +.1 < . 1:1(0) ack 1001
        rto 0.2
        +.2 > P. 1001:2001(1000) ack 1
        ",
    ]);
}

// RFC 5681 §3.1 5681-3e
// RFC 9293 §3.8.2 MUST-19
#[test]
fn after_a_timeout_slow_start_begins_with_one_segment() {
    assert_plays([
        CONNECTED,
        "
        write 10000
        > P. 1:10001(10000) ack 1
        +.2  > . 1:1001(1000) ack 1
        cwnd 1000
        ssthresh 5000
        +.4  > . 1:1001(1000) ack 1
        ssthresh 5000
        +.02 < . 1:1(0) ack 1001
        > P. 1001:3001(2000) ack 1
        +.02 < . 1:1(0) ack 3001
        > P. 3001:7001(4000) ack 1
        ",
    ]);
}

// RFC 6582 §4 6582-2
// RFC 6675 §5.1 6675-5b
#[test]
fn duplicates_after_a_timeout_start_no_second_recovery() {
    assert_plays([
        CONNECTED,
        "
        write 10000
        > P. 1:10001(10000) ack 1
        +.2  > . 1:1001(1000) ack 1
        +.02 < . 1:1(0) ack 1001
        > P. 1001:3001(2000) ack 1
        +.01 < . 1:1(0) ack 1001
        < . 1:1(0) ack 1001
        < . 1:1(0) ack 1001
        < . 1:1(0) ack 1001
        ssthresh 5000
        ",
    ]);
}

// RFC 9293 §3.8.3 MUST-20, SHLD-9, SHLD-10, SHLD-11
#[test]
fn trouble_is_reported_after_three_retransmissions_and_the_end_comes_later() {
    assert_plays([
        "--rto_max=60",
        "--r2=100",
        CONNECTED,
        "
        write 10
        > P. 1:11(10) ack 1
        +.2 > P. 1:11(10) ack 1
        +.4 > P. 1:11(10) ack 1
        no event DeliveryTrouble
        +.8 > P. 1:11(10) ack 1
        event DeliveryTrouble
        +1.6 > P. 1:11(10) ack 1
        no event DeliveryTrouble
        +3.2 > P. 1:11(10) ack 1
        +6.4 > P. 1:11(10) ack 1
        +12.8 > P. 1:11(10) ack 1
        +25.6 > P. 1:11(10) ack 1
        100.019 state ESTABLISHED
        100.02 state CLOSED
        error TimedOut { state: Established }
        event Closed
        write 1 = Ended(TimedOut { state: Established })
        ",
    ]);
}

// RFC 9293 §3.8.3 SHLD-11
#[test]
fn by_default_patience_lasts_a_quarter_of_an_hour() {
    assert_plays([
        CONNECTED,
        "
        write 10
        > P. 1:11(10) ack 1
        * > P. 1:11(10) ack 1
        * > P. 1:11(10) ack 1
        * > P. 1:11(10) ack 1
        * > P. 1:11(10) ack 1
        * > P. 1:11(10) ack 1
        * > P. 1:11(10) ack 1
        * > P. 1:11(10) ack 1
        * > P. 1:11(10) ack 1
        * > P. 1:11(10) ack 1
        * > P. 1:11(10) ack 1
        * > P. 1:11(10) ack 1
        * > P. 1:11(10) ack 1
        * > P. 1:11(10) ack 1
        * > P. 1:11(10) ack 1
        * > P. 1:11(10) ack 1
        900.019 state ESTABLISHED
        900.02 state CLOSED
        ",
    ]);
}

#[test]
fn an_acknowledgment_of_what_was_never_sent_is_dropped_and_answered() {
    // RFC 9293 §3.10.7.4, fifth
    assert_plays([
        CONNECTED,
        "
        write 10
        > P. 1:11(10) ack 1
        < . 1:1(0) ack 12
        > . 11:11(0) ack 1
        dropped AckOfUnsent
        why 10 not acknowledged
        ",
    ]);
}
