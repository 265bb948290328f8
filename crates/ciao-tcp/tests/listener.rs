//! How a connection opens when the peer calls: LISTEN and SYN-RECEIVED (RFC 9293 §3.10.7.2, §3.10.7.4).

use ciao_script::assert_plays;
use ciao_script::openings::ACCEPTED;

#[test]
fn a_caller_is_accepted_and_data_flows() {
    assert_plays([
        ACCEPTED,
        "
        event Connected
        < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        read 10
        write 20
        > P. 1:21(20) ack 11
        +.02 < . 11:11(0) ack 21
        ",
    ]);
}

// RFC 9293 §3.7.1 MUST-14, SHLD-5
// RFC 7323 §2.2 7323-2a
#[test]
fn only_what_the_caller_offers_is_offered_back() {
    assert_plays(["
        listen
        < S 0:0(0) win 1000 <mss 1460,sackOK,TS val 7 ecr 0,nop,wscale 6>
        > S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 0 ecr 7,nop,wscale 8>
    "]);
    assert_plays(["
        listen
        < S 0:0(0) win 1000 <mss 1460,nop,nop,sackOK>
        > S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK>
    "]);
    assert_plays(["
        listen
        < S 0:0(0) win 1000
        > S. 0:0(0) ack 1 win 65535 <mss 1460>
    "]);
}

// RFC 9293 §3.8.3 MUST-22
// RFC 6298 §5.5 6298-5b
#[test]
fn the_syn_ack_is_repeated_and_then_the_listener_forgets() {
    assert_plays(["
        0  listen
        0  < S 0:0(0) win 1000 <mss 1000>
        0  > S. 0:0(0) ack 1 <...>
        1  > S. 0:0(0) ack 1 <...>
        3  > S. 0:0(0) ack 1 <...>
        7  > S. 0:0(0) ack 1 <...>
        15 > S. 0:0(0) ack 1 <...>
        31 > S. 0:0(0) ack 1 <...>
        62 state SYN-RECEIVED
        64 state LISTEN
    "]);
}

#[test]
fn a_repeated_syn_is_answered_again() {
    assert_plays(["
        listen
        < S 0:0(0) win 1000 <mss 1000>
        > S. 0:0(0) ack 1 <...>
        +.3 < S 0:0(0) win 1000 <mss 1000>
        > S. 0:0(0) ack 1 <...>
        +.02 < . 1:1(0) ack 1
        accept
    "]);
}

// RFC 9293 §3.5 MUST-11
#[test]
fn a_reset_returns_a_passive_open_to_listen_without_a_word() {
    assert_plays(["
        listen
        < S 0:0(0) win 1000 <mss 1000>
        > S. 0:0(0) ack 1 <...>
        +.02 < R 1:1(0)
        state LISTEN
        +10 < S 5000:5000(0) win 1000 <mss 1000>
        > S. 0:0(0) ack 5001 <...>
    "]);
}

// RFC 5961 §3.2 5961-3a, 5961-3c
#[test]
fn a_reset_elsewhere_does_not_return_a_passive_open() {
    assert_plays(["
        listen
        < S 0:0(0) win 1000 <mss 1000>
        > S. 0:0(0) ack 1 <...>
        +.02 < R 2:2(0)
        dropped InexactReset
        < R 70000:70000(0)
        state SYN-RECEIVED
        +.02 < . 1:1(0) ack 1
        accept
    "]);
}

#[test]
fn a_caller_that_has_begun_anew_gets_through() {
    // RFC 9293 §3.5.1, figure 9, with the old half still half-open.
    assert_plays(["
        listen
        < S 0:0(0) win 1000 <mss 1000>
        > S. 0:0(0) ack 1 <...>
        +.3 < S 5000:5000(0) win 1000 <mss 1000>
        > S. 0:0(0) ack 1 <...>
        +.02 < R 1:1(0)
        state LISTEN
        +.7 < S 5000:5000(0) win 1000 <mss 1000>
        > S. 0:0(0) ack 5001 <...>
        +.02 < . 5001:5001(0) ack 1
        accept
    "]);
}

#[test]
fn a_listener_answers_acknowledgments_with_a_reset_and_drops_the_rest() {
    // RFC 9293 §3.10.7.2
    assert_plays(["
        listen
        < . 1:1(0) ack 70
        > R 70:70(0)
        < S. 1:1(0) ack 70
        > R 70:70(0)
        < R 1:1(0)
        dropped NotForListener
        < F 1:1(0)
        dropped NotForListener
        < - 1:11(10)
        dropped NotForListener
        state LISTEN
    "]);
}

#[test]
fn an_acknowledgment_of_another_syn_ack_is_reset() {
    // RFC 9293 §3.5.2: an old duplicate; the handshake goes on.
    assert_plays(["
        listen
        < S 0:0(0) win 1000 <mss 1000>
        > S. 0:0(0) ack 1 <...>
        +.02 < . 1:1(0) ack 77
        > R 77:77(0)
        state SYN-RECEIVED
        +.02 < . 1:1(0) ack 1
        accept
        state ESTABLISHED
    "]);
}

#[test]
fn data_in_the_segment_that_completes_the_handshake_is_delivered() {
    assert_plays(["
        listen
        < S 0:0(0) win 1000 <mss 1000>
        > S. 0:0(0) ack 1 <...>
        +.02 < P. 1:11(10) ack 1
        > . 1:1(0) ack 11
        accept
        read 10
    "]);
}

#[test]
fn a_fin_in_the_segment_that_completes_the_handshake_counts() {
    assert_plays(["
        listen
        < S 0:0(0) win 1000 <mss 1000>
        > S. 0:0(0) ack 1 <...>
        +.02 < FP. 1:11(10) ack 1
        +.04 > . 1:1(0) ack 12
        state CLOSE-WAIT
        read 10
        read 10 = 0
    "]);
}

// RFC 7323 §3.2 7323-3b
#[test]
fn the_last_segment_of_the_handshake_may_lack_the_timestamp() {
    assert_plays(["
        listen
        < S 0:0(0) win 1000 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 6>
        > S. 0:0(0) ack 1 <...>
        +.02 < . 1:1(0) ack 1
        state ESTABLISHED
        +.1 < P. 1:11(10) ack 1
        dropped MissingTimestamp
        < P. 1:11(10) ack 1 <nop,nop,TS val 220 ecr 0>
        > . 1:1(0) ack 11 <nop,nop,TS val 120 ecr 220>
    "]);
}

// RFC 7323 §5.3 7323-5a
#[test]
fn an_old_timestamp_does_not_complete_the_handshake() {
    assert_plays(["
        listen
        < S 0:0(0) win 1000 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 6>
        > S. 0:0(0) ack 1 <...>
        +.02 < . 1:1(0) ack 1 <nop,nop,TS val 99 ecr 0>
        dropped OldTimestamp
        state SYN-RECEIVED
    "]);
}

// RFC 9293 §3.7.1 MUST-15
#[test]
fn a_caller_without_mss_gets_536_bytes_at_most() {
    assert_plays(["
        listen
        < S 0:0(0) win 65535
        > S. 0:0(0) ack 1 <mss 1460>
        +.02 < . 1:1(0) ack 1
        accept
        write 1000
        > . 1:537(536) ack 1
        > P. 537:1001(464) ack 1
    "]);
}

// RFC 7413 7413-0
#[test]
fn data_with_a_syn_is_not_taken_before_the_handshake_is_complete() {
    assert_plays(["
        listen
        < S 0:100(100) win 1000 <mss 1000>
        > S. 0:0(0) ack 1 <...>
        +.02 < . 1:1(0) ack 1
        accept
        read 100 = WouldBlock
        < P. 1:101(100) ack 1
        > . 1:1(0) ack 101
        read 100
    "]);
}

// RFC 3360 §2 3360-1
#[test]
fn bits_that_we_do_not_use_are_no_reason_to_refuse_or_to_drop() {
    assert_plays(["
        --timestamps=off
        listen
        < SEW 0:0(0) win 1000 <mss 1000>
        > S. 0:0(0) ack 1 <...>
        +.02 < .W 1:1(0) ack 1
        accept
        < P.E 1:11(10) ack 1
        > . 1:1(0) ack 11
        read 10
    "]);
}
