//! One direction is shut and the other goes on, or its application is gone (RFC 9293 §3.6.1).

use ciao_script::assert_plays;
use ciao_script::openings::{ACCEPTED, CONNECTED};

// RFC 9293 §3.6.1 MAY-1
#[test]
fn data_is_still_read_behind_our_fin() {
    assert_plays([
        CONNECTED,
        "
        shutdown
        > F. 1:1(0) ack 1
        +.02 < . 1:1(0) ack 2
        +50  < P. 1:1001(1000) ack 2
        > . 2:2(0) ack 1001
        read 1000
        +500 state FIN-WAIT-2
        < FP. 1001:1011(10) ack 2
        > . 2:2(0) ack 1012
        state TIME-WAIT
        read 1000 = 10
        read 1000 = 0
        ",
    ]);
}

#[test]
fn data_is_still_sent_behind_the_fin_of_the_peer() {
    assert_plays([
        ACCEPTED,
        "
        < F. 1:1(0) ack 1
        +.04 > . 1:1(0) ack 2
        write 2500
        > P. 1:2501(2500) ack 2
        +.02 < . 2:2(0) ack 2501
        write 10
        > P. 2501:2511(10) ack 2
        +.2  > P. 2501:2511(10) ack 2
        ",
    ]);
}

// RFC 9293 §3.6.1 SHLD-3
#[test]
fn closing_with_unread_data_resets() {
    assert_plays([
        CONNECTED,
        "
        < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        close
        > R. 1:1(0) ack 11
        state CLOSED
        ",
    ]);
}

// RFC 9293 §3.6.1 SHLD-3
#[test]
fn data_for_an_application_that_is_gone_is_answered_with_a_reset() {
    assert_plays([
        CONNECTED,
        "
        close
        > F. 1:1(0) ack 1
        +.02 < . 1:1(0) ack 2
        +.1 < P. 1:11(10) ack 2
        > R. 2:2(0) ack 1
        state CLOSED
        +.1 < P. 1:11(10) ack 2
        > R 2:2(0)
        ",
    ]);
}

#[test]
fn closing_after_all_was_read_is_regular() {
    assert_plays([
        CONNECTED,
        "
        < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        read 10
        close
        > F. 1:1(0) ack 11
        +.02 < F. 11:11(0) ack 2
        > . 2:2(0) ack 12
        state TIME-WAIT
        +60 state CLOSED
        ",
    ]);
}

#[test]
fn nobody_waits_for_ever_in_fin_wait_2() {
    assert_plays([
        CONNECTED,
        "
        close
        > F. 1:1(0) ack 1
        +.02 < . 1:1(0) ack 2
        +59 state FIN-WAIT-2
        +2 state CLOSED
        ",
    ]);
}

#[test]
fn queued_data_of_an_application_that_is_gone_is_still_delivered() {
    assert_plays([
        CONNECTED,
        "
        write 12000
        > P. 1:10001(10000) ack 1
        close
        +.02 < . 1:1(0) ack 10001
        > FP. 10001:12001(2000) ack 1
        +.02 < F. 1:1(0) ack 12002
        > . 12002:12002(0) ack 2
        state TIME-WAIT
        ",
    ]);
}

#[test]
fn an_orphan_whose_peer_keeps_its_window_shut_is_reset() {
    assert_plays(["
        --timestamps=off
        --orphan_timeout=10
        connect
        > S 0:0(0) <...>
        +.02 < S. 0:0(0) ack 1 win 0 <mss 1000>
        > . 1:1(0) ack 1
        write 100
        close
        +.2 > . 0:0(0) ack 1
        +.02 < . 1:1(0) ack 1 win 0
        +.4 > . 0:0(0) ack 1
        * > . 0:0(0) ack 1
        * > . 0:0(0) ack 1
        * > . 0:0(0) ack 1
        10.02 > R. 1:1(0) ack 1
        state CLOSED
    "]);
}

#[test]
fn an_application_may_ask_for_a_reset_instead_of_a_fin() {
    assert_plays([
        CONNECTED,
        "
        write 10
        > P. 1:11(10) ack 1
        set zero_linger on
        close
        > R. 11:11(0) ack 1
        state CLOSED
        ",
    ]);
}
