//! Both directions close (RFC 9293 §3.6, §3.10.4, §3.10.7.4): in every order, with data before the FIN, and
//! with loss.
//!
//! TIME-WAIT has its own file; so has a connection that stays half closed.

use ciao_script::assert_plays;
use ciao_script::openings::{ACCEPTED, CONNECTED};

#[test]
fn four_segments_close_a_connection() {
    assert_plays([
        CONNECTED,
        "
        shutdown
        > F. 1:1(0) ack 1
        state FIN-WAIT-1
        +.02 < . 1:1(0) ack 2
        state FIN-WAIT-2
        event SendingDone
        +.1  < F. 1:1(0) ack 2
        > . 2:2(0) ack 2
        state TIME-WAIT
        event TimeWait
        read 10 = 0
        +60  state CLOSED
        no error
        event Closed(None)
        ",
    ]);
}

#[test]
fn three_segments_close_a_connection_when_the_peer_is_done_too() {
    assert_plays([
        CONNECTED,
        "
        shutdown
        > F. 1:1(0) ack 1
        +.02 < F. 1:1(0) ack 2
        > . 2:2(0) ack 2
        state TIME-WAIT
        ",
    ]);
}

#[test]
fn the_peer_closes_first_and_this_end_does_not_wait() {
    assert_plays([
        ACCEPTED,
        "
        < F. 1:1(0) ack 1
        +.04 > . 1:1(0) ack 2
        state CLOSE-WAIT
        read 10 = 0
        +.1 shutdown
        > F. 1:1(0) ack 2
        state LAST-ACK
        +.02 < . 2:2(0) ack 2
        state CLOSED
        no error
        event Closed(None)
        ",
    ]);
}

#[test]
fn an_application_that_closes_at_once_answers_a_fin_with_its_own() {
    assert_plays([
        ACCEPTED,
        "
        < F. 1:1(0) ack 1
        +.01 close
        > F. 1:1(0) ack 2
        +.02 < . 2:2(0) ack 2
        state LISTEN
        ",
    ]);
    assert_plays([ACCEPTED, "set quickack on", "< F. 1:1(0) ack 1", "> . 1:1(0) ack 2"]);
}

#[test]
fn both_close_at_once() {
    // RFC 9293 §3.6, figure 13
    assert_plays([
        CONNECTED,
        "
        shutdown
        > F. 1:1(0) ack 1
        +.01 < F. 1:1(0) ack 1
        > . 2:2(0) ack 2
        state CLOSING
        +.01 < . 2:2(0) ack 2
        state TIME-WAIT
        +60 state CLOSED
        no error
        ",
    ]);
}

#[test]
fn the_fin_goes_out_behind_all_data() {
    assert_plays([
        CONNECTED,
        "
        write 15000
        > P. 1:10001(10000) ack 1
        shutdown
        state FIN-WAIT-1
        +.02 < . 1:1(0) ack 10001
        > FP. 10001:15001(5000) ack 1
        +.02 < . 1:1(0) ack 15002
        state FIN-WAIT-2
        ",
    ]);
}

#[test]
fn the_fin_rides_on_the_last_data() {
    assert_plays([
        CONNECTED,
        "
        write 1500
        > . 1:1001(1000) ack 1
        > P. 1001:1501(500) ack 1
        write 100
        why Nagle
        shutdown
        > FP. 1501:1601(100) ack 1
        ",
    ]);
}

#[test]
fn an_acknowledgment_of_data_is_none_of_the_fin() {
    assert_plays([
        CONNECTED,
        "
        write 100
        > P. 1:101(100) ack 1
        shutdown
        > F. 101:101(0) ack 1
        +.02 < . 1:1(0) ack 101
        state FIN-WAIT-1
        no event SendingDone
        +.01 < . 1:1(0) ack 102
        state FIN-WAIT-2
        ",
    ]);
}

#[test]
fn a_fin_that_overtakes_data_waits_for_it() {
    assert_plays([
        CONNECTED,
        "
        < FP. 1001:1101(100) ack 1
        > . 1:1(0) ack 1
        state ESTABLISHED
        read 10 = WouldBlock
        < . 1:1001(1000) ack 1
        > . 1:1(0) ack 1102
        state CLOSE-WAIT
        read 2000 = 1100
        read 10 = 0
        ",
    ]);
}

#[test]
fn a_repeated_fin_is_acknowledged_again() {
    assert_plays([
        ACCEPTED,
        "
        < F. 1:1(0) ack 1
        +.04 > . 1:1(0) ack 2
        +1 < F. 1:1(0) ack 1
        > . 1:1(0) ack 2
        state CLOSE-WAIT
        ",
    ]);
}

#[test]
fn data_behind_the_fin_is_dropped() {
    assert_plays([
        ACCEPTED,
        "
        < F. 1:1(0) ack 1
        +.04 > . 1:1(0) ack 2
        < P. 2:12(10) ack 1
        dropped DataAfterFin
        read 10 = 0
        ",
    ]);
}

// RFC 6298 §5.5 6298-5b, 6298-5d
#[test]
fn a_lost_fin_is_sent_again() {
    assert_plays([
        CONNECTED,
        "
        shutdown
        > F. 1:1(0) ack 1
        +.2 > F. 1:1(0) ack 1
        +.4 > F. 1:1(0) ack 1
        +.02 < . 1:1(0) ack 2
        state FIN-WAIT-2
        ",
    ]);
}

#[test]
fn a_fin_in_last_ack_is_sent_again() {
    assert_plays([
        ACCEPTED,
        "
        < F. 1:1(0) ack 1
        +.04 > . 1:1(0) ack 2
        shutdown
        > F. 1:1(0) ack 2
        +.2 > F. 1:1(0) ack 2
        +.02 < . 2:2(0) ack 2
        state CLOSED
        ",
    ]);
}

#[test]
fn a_close_during_the_handshake_takes_effect_behind_it() {
    assert_plays(["
        --timestamps=off
        connect
        > S 0:0(0) <...>
        +.01 < S 0:0(0) win 65535 <mss 1000>
        > S. 0:0(0) ack 1 <...>
        shutdown
        state SYN-RECEIVED
        +.01 < . 1:1(0) ack 1
        > F. 1:1(0) ack 1
        state FIN-WAIT-1
    "]);
}

#[test]
fn nothing_can_be_written_behind_the_fin() {
    assert_plays([
        CONNECTED,
        "
        shutdown
        > F. 1:1(0) ack 1
        write 10 = Closed
        shutdown
        state FIN-WAIT-1
        ",
    ]);
}

// RFC 9293 §3.6 MUST-12
#[test]
fn an_end_of_data_is_no_error_and_a_reset_is_no_end_of_data() {
    assert_plays([
        CONNECTED,
        "
        < FP. 1:11(10) ack 1
        +.04 > . 1:1(0) ack 12
        read 100 = 10
        read 100 = 0
        ",
    ]);
    assert_plays([
        CONNECTED,
        "
        < R. 1:1(0) ack 1
        read 100 = Ended(Reset)
        write 100 = Ended(Reset)
        error Reset
        event Closed(Some(Reset))
        ",
    ]);
}

#[test]
fn a_fin_waits_for_a_shut_window_to_open() {
    assert_plays(["
        --timestamps=off
        --window_scaling=off
        connect
        > S 0:0(0) <...>
        +.02 < S. 0:0(0) ack 1 win 0 <mss 1000>
        > . 1:1(0) ack 1
        write 10
        shutdown
        +.2 > . 0:0(0) ack 1
        +.02 < . 1:1(0) ack 1 win 10
        > P. 1:11(10) ack 1
        +.02 < . 1:1(0) ack 11 win 0
        +.2 > . 10:10(0) ack 1
        +.02 < . 1:1(0) ack 11 win 1
        > F. 11:11(0) ack 1
        +.02 < . 1:1(0) ack 12 win 0
        state FIN-WAIT-2
    "]);
}

#[test]
fn data_and_fin_are_repeated_together_after_a_loss() {
    assert_plays([
        CONNECTED,
        "
        write 10
        > P. 1:11(10) ack 1
        shutdown
        > F. 11:11(0) ack 1
        +.2 > P. 1:11(10) ack 1
        > F. 11:11(0) ack 1
        +.02 < . 1:1(0) ack 12
        state FIN-WAIT-2
        ",
    ]);
}

#[test]
fn data_still_flows_both_ways_while_both_close() {
    assert_plays([
        CONNECTED,
        "
        write 10
        > P. 1:11(10) ack 1
        shutdown
        > F. 11:11(0) ack 1
        +.01 < FP. 1:21(20) ack 1
        > . 12:12(0) ack 22
        state CLOSING
        read 100 = 20
        +.1 < . 22:22(0) ack 11
        state CLOSING
        +.01 < . 22:22(0) ack 12
        state TIME-WAIT
        ",
    ]);
}

#[test]
fn a_fin_behind_the_window_does_not_count_yet() {
    assert_plays(["
        --timestamps=off
        --window_scaling=off
        --receive_buffer=2000
        connect
        > S 0:0(0) <...>
        +.02 < S. 0:0(0) ack 1 win 65535 <mss 1000>
        > . 1:1(0) ack 1
        < FP. 1:2001(2000) ack 1
        > . 1:1(0) ack 2001 win 0
        state ESTABLISHED
        read 2000
        > . 1:1(0) ack 2001 win 2000
        < F. 2001:2001(0) ack 1
        +.04 > . 1:1(0) ack 2002
        state CLOSE-WAIT
    "]);
}
