//! Both ends call at once (RFC 9293 §3.5, figure 7): one connection comes of it, whichever segment is lost.

use ciao_script::assert_plays;

const CROSSED: &str = "
    --timestamps=off
    0    connect
    0    > S 0:0(0) <...>
    +.01 < S 0:0(0) win 65535 <mss 1000>
    > S. 0:0(0) ack 1 <mss 1460>
    state SYN-RECEIVED
";

const DATA: &str = "
    state ESTABLISHED
    event Connected
    write 10
    > P. 1:11(10) ack 1
    < P. 1:11(10) ack 11
    > . 11:11(0) ack 11
    read 10
";

// RFC 9293 §3.5 MUST-10
#[test]
fn crossing_syns_make_one_connection() {
    assert_plays([CROSSED, "+.01 < S. 0:0(0) ack 1 win 65535 <mss 1000>", DATA]);
}

// RFC 9293 §3.5 MUST-10
#[test]
fn a_plain_acknowledgment_of_our_syn_is_enough() {
    assert_plays([CROSSED, "+.01 < . 1:1(0) ack 1", DATA]);
}

// RFC 9293 §3.5 MUST-10
#[test]
fn a_lost_syn_of_ours_is_made_up_for_by_the_syn_ack() {
    // The peer never saw our SYN: it answers the SYN-ACK as any caller does.
    assert_plays([CROSSED, "+.02 < . 1:1(0) ack 1", DATA]);
}

// RFC 9293 §3.5 MUST-10
#[test]
fn a_lost_syn_of_the_peer_leaves_an_ordinary_opening() {
    assert_plays([
        "
        --timestamps=off
        0    connect
        0    > S 0:0(0) <...>
        +.02 < S. 0:0(0) ack 1 win 65535 <mss 1000>
        > . 1:1(0) ack 1
        ",
        DATA,
    ]);
}

// RFC 9293 §3.5 MUST-10
#[test]
fn a_lost_syn_ack_of_ours_is_sent_again() {
    assert_plays([
        CROSSED,
        "
        1 > S. 0:0(0) ack 1 <mss 1460>
        +.01 < . 1:1(0) ack 1
        ",
        DATA,
    ]);
}

// RFC 9293 §3.5 MUST-10
#[test]
fn a_lost_syn_ack_of_the_peer_is_made_up_for_by_its_data() {
    assert_plays([
        CROSSED,
        "
        +.05 < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        state ESTABLISHED
        read 10
        ",
    ]);
}

// RFC 9293 §3.5 MUST-11
#[test]
fn a_reset_of_an_active_open_is_reported_as_a_refusal() {
    assert_plays([
        CROSSED,
        "
        +.01 < R. 1:1(0) ack 1
        state CLOSED
        error Refused
        ",
    ]);
}

// RFC 5961 §4.2 5961-4a
#[test]
fn the_syn_ack_of_the_peer_comes_again_when_our_acknowledgment_was_lost() {
    assert_plays([
        CROSSED,
        "
        +.01 < S. 0:0(0) ack 1 win 65535 <mss 1000>
        state ESTABLISHED
        +1 < S. 0:0(0) ack 1 win 65535 <mss 1000>
        > . 1:1(0) ack 1
        state ESTABLISHED
        ",
    ]);
}
