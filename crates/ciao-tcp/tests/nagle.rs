//! Small writes wait for an acknowledgment, or do not (RFC 9293 §3.7.4); and where PSH stands (§3.9.1.2).

use ciao_script::assert_plays;
use ciao_script::openings::CONNECTED;

// RFC 9293 §3.7.4 SHLD-7
// RFC 9293 §3.9.1.2 MUST-60
#[test]
fn the_second_small_write_waits_for_the_first_to_be_acknowledged() {
    assert_plays([
        CONNECTED,
        "
        write 1
        > P. 1:2(1) ack 1
        write 1
        write 1
        why Nagle
        +.1 < . 1:1(0) ack 2
        > P. 2:4(2) ack 1
        ",
    ]);
}

// RFC 9293 §3.7.4 MUST-17
#[test]
fn with_nodelay_each_write_leaves_at_once() {
    assert_plays([
        CONNECTED,
        "
        set nodelay on
        write 1
        > P. 1:2(1) ack 1
        write 1
        > P. 2:3(1) ack 1
        ",
    ]);
}

// RFC 9293 §3.7.4 MUST-17
#[test]
fn switching_nodelay_on_lets_go_what_was_held() {
    assert_plays([
        CONNECTED,
        "
        write 1
        > P. 1:2(1) ack 1
        write 1
        set nodelay on
        > P. 2:3(1) ack 1
        set nodelay off
        write 1
        why Nagle
        ",
    ]);
}

// RFC 9293 §3.7.4 SHLD-7
// RFC 9293 §3.9.1.2 SHLD-27, SHLD-28
#[test]
fn whole_segments_never_wait_and_small_writes_become_whole_segments() {
    assert_plays([
        CONNECTED,
        "
        write 1
        > P. 1:2(1) ack 1
        write 600
        write 600
        > . 2:1002(1000) ack 1
        why Nagle: 200
        write 900
        > . 1002:2002(1000) ack 1
        why Nagle: 100
        +.02 < . 1:1(0) ack 2002
        > P. 2002:2102(100) ack 1
        ",
    ]);
}

// RFC 9293 §3.9.1.2 MUST-61
#[test]
fn push_stands_on_the_last_segment_of_a_write() {
    assert_plays([
        CONNECTED,
        "
        write 2500
        > . 1:1001(1000) ack 1
        > . 1001:2001(1000) ack 1
        > P. 2001:2501(500) ack 1
        ",
    ]);
}

// RFC 9293 §3.9.1.2 MUST-60
#[test]
fn nothing_is_held_for_longer_than_an_acknowledgment_takes() {
    // The first byte is lost: both leave with the retransmission.
    assert_plays([
        CONNECTED,
        "
        write 1
        > P. 1:2(1) ack 1
        write 1
        +.2 > P. 1:2(1) ack 1
        +.02 < . 1:1(0) ack 2
        > P. 2:3(1) ack 1
        ",
    ]);
}
