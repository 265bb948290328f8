//! Segments that are doubted before they are believed, and how often (RFC 5961 §4, §5, §7).

use ciao_script::assert_plays;
use ciao_script::openings::{ACCEPTED, CONNECTED};

// RFC 5961 §4.2 5961-4a
#[test]
fn a_syn_inside_a_connection_is_doubted_whatever_its_number() {
    for syn in ["S 0:0(0)", "S 1:1(0)", "S 30000:30000(0)", "S 3000000000:3000000000(0)", "S. 1:1(0) ack 1"] {
        let segment = format!("< {syn}");
        assert_plays([
            CONNECTED,
            &segment,
            "
            > . 1:1(0) ack 1
            dropped UnexpectedSyn
            state ESTABLISHED
            ",
        ]);
    }
}

// RFC 5961 §4.2 5961-4b
#[test]
fn a_peer_that_has_begun_anew_gets_through() {
    assert_plays([
        ACCEPTED,
        "
        +10 < S 50000:50000(0) win 65535 <mss 1000>
        > . 1:1(0) ack 1
        +.02 < R 1:1(0)
        error Reset
        +1 < S 50000:50000(0) win 65535 <mss 1000>
        > S. 0:0(0) ack 50001 <...>
        ",
    ]);
}

// RFC 5961 §5.2 5961-5a
// RFC 9293 §3.10.7.4 MAY-12
#[test]
fn data_that_acknowledges_what_was_never_sent_is_not_taken() {
    assert_plays([
        CONNECTED,
        "
        < P. 1:11(10) ack 2
        > . 1:1(0) ack 1
        dropped AckOfUnsent
        read 10 = WouldBlock
        ",
    ]);
}

// RFC 5961 §5.2 5961-5a, 5961-5b
// RFC 9293 §3.10.7.4 MAY-12
#[test]
fn data_with_an_acknowledgment_older_than_the_largest_window_is_not_taken() {
    assert_plays(["
        --timestamps=off
        --send_buffer=100000
        connect
        > S 0:0(0) <...>
        +.02 < S. 0:0(0) ack 1 win 2000 <mss 1000>
        > . 1:1(0) ack 1
        write 2000
        > P. 1:2001(2000) ack 1
        +.02 < . 1:1(0) ack 2001 win 1000
        write 1000
        > P. 2001:3001(1000) ack 1
        +.02 < . 1:1(0) ack 3001 win 1000
        +1 < P. 1:11(10) ack 1000
        > . 3001:3001(0) ack 1
        dropped AckTooOld
        < P. 1:11(10) ack 1001
        > . 3001:3001(0) ack 11
        read 10
    "]);
}

// RFC 5961 §7 5961-7a
#[test]
fn doubts_are_sent_twice_a_second_at_most() {
    assert_plays([
        CONNECTED,
        "
        +1  < R 100:100(0)
        > . 1:1(0) ack 1
        +.1 < R 101:101(0)
        +.1 < S 0:0(0)
        +.1 < . 1:1(0) ack 77
        +.1999 < R 102:102(0)
        +.0001 < R 103:103(0)
        > . 1:1(0) ack 1
        state ESTABLISHED
        ",
    ]);
}

// RFC 5961 §7 5961-7b
#[test]
fn repeated_data_is_acknowledged_however_often_it_comes() {
    assert_plays([
        CONNECTED,
        "
        < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        ",
    ]);
}

#[test]
fn a_segment_without_ack_is_dropped() {
    // RFC 9293 §3.10.7.4, fifth
    assert_plays([
        CONNECTED,
        "
        < P 1:11(10)
        dropped MissingAck
        read 10 = WouldBlock
        ",
    ]);
}
