//! How a connection opens when this end calls: SYN-SENT (RFC 9293 §3.5, §3.10.7.3). The other way is in
//! `listener`.

use ciao_script::assert_plays;
use ciao_script::openings::{CONNECTED, CONNECTED_WITH_OPTIONS};

// RFC 9293 §3.7.1 MUST-14, SHLD-5, MAY-3
// RFC 9293 §3.1 MUST-4
#[test]
fn three_segments_open_a_connection() {
    assert_plays([
        CONNECTED_WITH_OPTIONS,
        "
        event Connected
        write 100
        > P. 1:101(100) ack 1 <nop,nop,TS val 20 ecr 1000>
        +.02 < . 1:1(0) ack 101 <nop,nop,TS val 1020 ecr 20>
        < P. 1:11(10) ack 101 <nop,nop,TS val 1020 ecr 20>
        > . 101:101(0) ack 11 <nop,nop,TS val 40 ecr 1020>
        read 10
        ",
    ]);
}

// RFC 9293 §3.7.1 MUST-15
#[test]
fn a_peer_without_mss_gets_536_bytes_at_most() {
    assert_plays(["
        --timestamps=off
        connect
        > S 0:0(0) <...>
        +.02 < S. 0:0(0) ack 1 win 65535
        > . 1:1(0) ack 1
        write 1000
        > . 1:537(536) ack 1
        > P. 537:1001(464) ack 1
    "]);
}

// RFC 9293 §3.7.1 MUST-15, MUST-67
#[test]
fn a_peer_without_mss_gets_1220_bytes_at_most_on_ipv6() {
    assert_plays(["
        --ip_version=ipv6
        --timestamps=off
        connect
        > S 0:0(0) <mss 1440,nop,nop,sackOK,nop,wscale 8>
        +.02 < S. 0:0(0) ack 1 win 65535
        > . 1:1(0) ack 1
        write 2000
        > . 1:1221(1220) ack 1
        > P. 1221:2001(780) ack 1
    "]);
}

// RFC 9293 §3.7.1 MUST-16
#[test]
fn a_segment_is_never_larger_than_our_own_link_takes() {
    assert_plays(["
        --timestamps=off
        --mss=1000
        connect
        > S 0:0(0) <mss 1000,nop,nop,sackOK,nop,wscale 8>
        +.02 < S. 0:0(0) ack 1 win 65535 <mss 8960>
        > . 1:1(0) ack 1
        write 1500
        > . 1:1001(1000) ack 1
        > P. 1001:1501(500) ack 1
    "]);
}

// RFC 9293 §3.7.1 MUST-16
// RFC 6691 §2 6691-1
#[test]
fn timestamps_are_taken_off_the_segment_size() {
    assert_plays([
        CONNECTED_WITH_OPTIONS,
        "
        write 2000
        > . 1:1449(1448) ack 1 <...>
        > P. 1449:2001(552) ack 1 <...>
        ",
    ]);
}

// RFC 9293 §3.1 MUST-5
#[test]
fn options_on_later_segments_change_nothing() {
    assert_plays([
        CONNECTED,
        "
        < P. 1:11(10) ack 1 <mss 100,nop,wscale 14,sackOK,unknown>
        > . 1:1(0) ack 11
        write 1000
        > P. 1:1001(1000) ack 11
        ",
    ]);
}

// RFC 9293 §3.8.3 MUST-22, MUST-23
// RFC 6298 §2.1, §5.5 6298-2a, 6298-5b
#[test]
fn the_syn_is_repeated_for_three_minutes_and_then_connect_fails() {
    assert_plays(["
        --timestamps=off
        0   connect
        0   > S 0:0(0) <...>
        1   > S 0:0(0) <...>
        3   > S 0:0(0) <...>
        7   > S 0:0(0) <...>
        15  > S 0:0(0) <...>
        31  > S 0:0(0) <...>
        63  > S 0:0(0) <...>
        127 > S 0:0(0) <...>
        179.9 state SYN-SENT
        300 state CLOSED
        error TimedOut { state: SynSent }
        event Closed
    "]);
}

// RFC 6298 §5.7 6298-5c
#[test]
fn data_after_a_repeated_syn_has_three_seconds() {
    assert_plays(["
        --timestamps=off
        0    connect
        0    > S 0:0(0) <...>
        1    > S 0:0(0) <...>
        1.02 < S. 0:0(0) ack 1 win 65535 <mss 1000>
        > . 1:1(0) ack 1
        write 10
        > P. 1:11(10) ack 1
        +3   > P. 1:11(10) ack 1
    "]);
}

// RFC 5681 §3.1 5681-3c
#[test]
fn one_lost_syn_keeps_the_initial_window_and_two_leave_one_segment() {
    assert_plays(["
        --timestamps=off
        0    connect
        0    > S 0:0(0) <...>
        1    > S 0:0(0) <...>
        +.02 < S. 0:0(0) ack 1 win 65535 <mss 1000>
        > . 1:1(0) ack 1
        cwnd 10000
    "]);
    assert_plays(["
        --timestamps=off
        0    connect
        0    > S 0:0(0) <...>
        1    > S 0:0(0) <...>
        3    > S 0:0(0) <...>
        +.02 < S. 0:0(0) ack 1 win 65535 <mss 1000>
        > . 1:1(0) ack 1
        write 5000
        > . 1:1001(1000) ack 1
        why cwnd
    "]);
}

#[test]
fn data_with_the_syn_ack_is_kept() {
    assert_plays(["
        --timestamps=off
        connect
        > S 0:0(0) <...>
        +.02 < S. 0:10(10) ack 1 win 65535 <mss 1000>
        > . 1:1(0) ack 11
        read 10
    "]);
}

#[test]
fn what_is_written_early_waits_for_the_handshake() {
    assert_plays(["
        --timestamps=off
        connect
        > S 0:0(0) <...>
        write 10
        read 10 = NotConnected
        +.02 < S. 0:0(0) ack 1 win 65535 <mss 1000>
        > P. 1:11(10) ack 1
    "]);
}

// RFC 9293 §3.5 MUST-11
#[test]
fn a_reset_that_acknowledges_the_syn_is_a_refusal() {
    assert_plays(["
        connect
        > S 0:0(0) <...>
        +.02 < R. 0:0(0) ack 1 win 0
        state CLOSED
        error Refused
        event Closed
    "]);
}

// RFC 5961 §3.2 5961-3d
#[test]
fn a_reset_that_does_not_acknowledge_the_syn_is_dropped() {
    assert_plays(["
        connect
        > S 0:0(0) <...>
        +.02 < R 0:0(0) win 0
        < R. 0:0(0) ack 2 win 0
        dropped UnacceptableAck
        < R. 0:0(0) ack 0 win 0
        state SYN-SENT
    "]);
}

#[test]
fn an_acknowledgment_of_another_syn_is_reset_and_the_handshake_goes_on() {
    // RFC 9293 §3.5.1, figure 8: the peer still has an old half of the connection.
    assert_plays(["
        --timestamps=off
        connect
        > S 0:0(0) <...>
        +.02 < . 300:300(0) ack 100
        > R 100:100(0)
        state SYN-SENT
        +.01 < S. 0:0(0) ack 1 win 65535 <mss 1000>
        > . 1:1(0) ack 1
        state ESTABLISHED
    "]);
}

#[test]
fn what_is_neither_syn_nor_reset_is_dropped() {
    assert_plays(["
        connect
        > S 0:0(0) <...>
        < F 0:0(0) win 100
        dropped NeitherSynNorReset
        < . 0:0(0) ack 1
        dropped NeitherSynNorReset
        state SYN-SENT
    "]);
}

#[test]
fn closing_before_the_peer_answers_ends_at_once() {
    assert_plays(["
        connect
        > S 0:0(0) <...>
        close
        state CLOSED
        +10 < S. 0:0(0) ack 1
        > R 1:1(0)
    "]);
}

// RFC 9293 §3.9.2.2 MUST-56, SHLD-26
// RFC 9293 §3.9.1.8 MUST-47
#[test]
fn an_unreachable_host_is_reported_and_the_syn_goes_on_trying() {
    assert_plays(["
        connect
        > S 0:0(0) <...>
        +.1 < icmp host_unreachable [0]
        event SoftError(HostUnreachable)
        < icmp net_unreachable [0]
        event SoftError(NetworkUnreachable)
        state SYN-SENT
        1 > S 0:0(0) <...>
    "]);
}

// RFC 9293 §3.9.2.2 SHLD-26, MUST-54
#[test]
fn an_unreachable_port_ends_the_opening_when_it_quotes_our_syn() {
    assert_plays(["
        connect
        > S 0:0(0) <...>
        +.1 < icmp port_unreachable [7]
        no event SoftError
        state SYN-SENT
        < icmp port_unreachable [0]
        state CLOSED
        error PortUnreachable
    "]);
}
