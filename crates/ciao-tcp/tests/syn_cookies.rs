//! SYN cookies: a handshake of which this end keeps nothing before the ACK (RFC 4987 §3.6).

use ciao_script::assert_plays;

// RFC 4987 §3.6 4987-2
#[test]
fn all_options_come_back_with_the_cookie() {
    // The timestamp ends in 0b01_1000: SACK, and a shift of 8; it is at most 63 ms early.
    assert_plays(["
        --syn_cookies=on
        listen
        .2 < S 0:0(0) win 65535 <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 8>
        > S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 152 ecr 1000,nop,wscale 3>
        state LISTEN
        +.02 < . 1:1(0) ack 1 win 100 <nop,nop,TS val 1020 ecr 152>
        state ESTABLISHED
        event Connected
        send_window 25600
        < P. 1449:1549(100) ack 1 <nop,nop,TS val 1021 ecr 152>
        > . 1:1(0) ack 1 <nop,nop,TS val 220 ecr 1020,nop,nop,sack 1449:1549>
        write 2000
        > . 1:1437(1436) ack 1 <...>
        > P. 1437:2001(564) ack 1 <...>
    "]);
}

// RFC 4987 §3.6 4987-2
#[test]
fn a_peer_without_timestamps_keeps_its_segment_size_and_nothing_else() {
    assert_plays(["
        --syn_cookies=on
        listen
        < S 0:0(0) win 65535 <mss 1400,nop,nop,sackOK,nop,wscale 8>
        > S. 0:0(0) ack 1 win 65535 <mss 1460>
        +.02 < . 1:1(0) ack 1 win 60000
        state ESTABLISHED
        send_window 60000
        write 2000
        > . 1:1401(1400) ack 1
        > P. 1401:2001(600) ack 1
    "]);
}

// RFC 4987 §3.6 4987-2
#[test]
fn a_segment_size_between_two_classes_counts_as_the_lesser() {
    for (announced, used) in [(1459, 1440), (1300, 1220), (9000, 1460), (600, 536), (100, 88)] {
        assert_plays([
            "--syn_cookies=on\nlisten\n",
            &format!("< S 0:0(0) win 65535 <mss {announced}>\n> S. 0:0(0) ack 1 win 65535 <mss 1460>\n"),
            &format!("< . 1:1(0) ack 1 win 65535\ncwnd {}\n", 10 * used),
        ]);
    }
}

// RFC 4987 §3.6 4987-2
#[test]
fn a_cookie_is_good_for_two_slots_of_64_seconds_and_no_longer() {
    for (seconds, fate) in
        [(100, "state ESTABLISHED"), (127, "state ESTABLISHED"), (128, "> R 1:1(0)"), (500, "> R 1:1(0)")]
    {
        assert_plays([
            "--syn_cookies=on\nlisten\n",
            "< S 0:0(0) win 65535 <mss 1460>\n> S. 0:0(0) ack 1 <mss 1460>\n",
            &format!("{seconds} < . 1:1(0) ack 1 win 65535\n{fate}\n"),
        ]);
    }
}

// RFC 4987 §3.6 4987-2
#[test]
fn an_acknowledgment_of_another_number_is_answered_as_by_a_closed_port() {
    for (seq, ack) in [(1, 2), (1, 9), (2, 1), (1001, 1), (0, 1)] {
        assert_plays([
            "--syn_cookies=on\nlisten\n",
            "< S 0:0(0) win 65535 <mss 1460>\n> S. 0:0(0) ack 1 <mss 1460>\n",
            &format!("< . {seq}:{seq}(0) ack {ack} win 65535\n> R {ack}:{ack}(0)\nstate LISTEN\n"),
        ]);
    }
}

// RFC 4987 §3.6 4987-2
#[test]
fn data_may_come_with_the_cookie_when_the_acknowledgment_before_it_was_lost() {
    assert_plays(["
        --syn_cookies=on
        listen
        < S 0:0(0) win 65535 <mss 1460>
        > S. 0:0(0) ack 1 <mss 1460>
        < P. 1:11(10) ack 1 win 65535
        > . 1:1(0) ack 11
        read 10
        < F. 11:11(0) ack 1
        +.04 > . 1:1(0) ack 12
        close
        > F. 1:1(0) ack 12
        < . 12:12(0) ack 2
    "]);
}

// RFC 4987 §3.6 4987-2
#[test]
fn a_syn_that_comes_again_gets_an_answer_again() {
    assert_plays(["
        --syn_cookies=on
        listen
        < S 0:0(0) win 65535 <mss 1460>
        > S. 0:0(0) ack 1 <mss 1460>
        +1 < S 0:0(0) win 65535 <mss 1460>
        > S. 0:0(0) ack 1 <mss 1460>
        +60 state LISTEN
        < . 1:1(0) ack 1 win 65535
        state ESTABLISHED
    "]);
}

// RFC 6298 §3 6298-3a
#[test]
fn a_cookie_gives_no_sample_of_the_round_trip_and_keeps_the_initial_window() {
    assert_plays(["
        --syn_cookies=on
        listen
        < S 0:0(0) win 65535 <mss 1460>
        > S. 0:0(0) ack 1 <mss 1460>
        +.7 < . 1:1(0) ack 1 win 65535
        srtt none
        cwnd 14600
    "]);
}
