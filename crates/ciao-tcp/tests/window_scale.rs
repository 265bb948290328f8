//! Windows beyond 64 KiB (RFC 7323 §2).

use ciao_script::assert_plays;
use ciao_script::openings::CONNECTED_WITH_OPTIONS;

// RFC 7323 §2.2 7323-2a, 7323-2c
#[test]
fn both_ends_must_offer_it() {
    // Offered and answered: the windows of the SYNs are as they stand, later ones are shifted.
    assert_plays(["
        --timestamps=off
        --receive_buffer=262144
        connect
        > S 0:0(0) win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 3>
        +.02 < S. 0:0(0) ack 1 win 1000 <mss 1000,nop,wscale 7>
        > . 1:1(0) ack 1 win 32768
        send_window 1000
        < . 1:1(0) ack 1 win 1000
        send_window 128000
    "]);
    // Offered and not answered.
    assert_plays(["
        --timestamps=off
        --receive_buffer=262144
        connect
        > S 0:0(0) win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 3>
        +.02 < S. 0:0(0) ack 1 win 1000 <mss 1000>
        > . 1:1(0) ack 1 win 65535
        < . 1:1(0) ack 1 win 1000
        send_window 1000
    "]);
    // Not offered, and answered all the same.
    assert_plays(["
        --timestamps=off
        --window_scaling=off
        connect
        > S 0:0(0) win 65535 <mss 1460,nop,nop,sackOK>
        +.02 < S. 0:0(0) ack 1 win 1000 <mss 1000,nop,wscale 7>
        > . 1:1(0) ack 1 win 65535
        < . 1:1(0) ack 1 win 1000
        send_window 1000
    "]);
    // Neither.
    assert_plays(["
        --timestamps=off
        --window_scaling=off
        listen
        < S 0:0(0) win 1000 <mss 1000>
        > S. 0:0(0) ack 1 win 65535 <mss 1460>
        +.02 < . 1:1(0) ack 1 win 1000
        send_window 1000
    "]);
}

// RFC 7323 §2.2 7323-2c
#[test]
fn a_passive_end_does_not_scale_the_windows_of_the_syns_either() {
    assert_plays(["
        --timestamps=off
        --receive_buffer=262144
        listen
        < S 0:0(0) win 1000 <mss 1000,nop,wscale 7>
        > S. 0:0(0) ack 1 win 65535 <mss 1460,nop,wscale 3>
        +.02 < P. 1:11(10) ack 1 win 10
        > . 1:1(0) ack 11 win 32766
        send_window 1280
    "]);
}

// RFC 7323 §2.2 7323-2b
#[test]
fn the_option_means_nothing_on_later_segments() {
    assert_plays([
        CONNECTED_WITH_OPTIONS,
        "
        < . 1:1(0) ack 1 win 10 <nop,nop,TS val 1020 ecr 20,nop,wscale 14>
        send_window 2560
        < . 1:1(0) ack 1 win 11 <nop,nop,TS val 1020 ecr 20>
        send_window 2816
        ",
    ]);
}

// RFC 7323 §2.3 7323-2d
#[test]
fn a_shift_above_fourteen_counts_as_fourteen() {
    for shift in [14, 15, 255] {
        let answer = format!("+.02 < S. 0:0(0) ack 1 win 1000 <mss 1000,nop,wscale {shift}>");
        assert_plays([
            "--timestamps=off",
            "connect",
            "> S 0:0(0) <...>",
            &answer,
            "> . 1:1(0) ack 1",
            "< . 1:1(0) ack 1 win 65535",
            "send_window 1073725440",
        ]);
    }
}

// RFC 7323 §2.3 7323-2e
// RFC 9293 §3.1 REC-1, MUST-1
#[test]
fn a_window_of_a_gigabyte_is_used() {
    assert_plays(["
        --timestamps=off
        --initial_window=255
        --mss=8960
        connect
        > S 0:0(0) <...>
        +.02 < S. 0:0(0) ack 1 win 1000 <mss 8960,nop,wscale 14>
        > . 1:1(0) ack 1
        < . 1:1(0) ack 1 win 65535
        send_window 1073725440
        write 100000
        > P. 1:17921(17920) ack 1
        +.02 < . 1:1(0) ack 17921 win 65535
        > P. 17921:53761(35840) ack 1
    "]);
}

// RFC 7323 §2.4 7323-2f
#[test]
fn what_an_earlier_window_covered_is_taken_although_rounding_has_moved_the_edge() {
    // Window 262144 = 32768 in eights. After three bytes the field rounds 262141 down to 32767, that is
    // 262136.
    assert_plays(["
        --timestamps=off
        --receive_buffer=262144
        connect
        > S 0:0(0) win 65535 <...>
        +.02 < S. 0:0(0) ack 1 win 1000 <mss 1000,nop,wscale 7>
        > . 1:1(0) ack 1 win 32768
        < P. 1:4(3) ack 1
        > . 1:1(0) ack 4 win 32767
        < . 262144:262145(1) ack 1
        > . 1:1(0) ack 4
        < . 262145:262146(1) ack 1
        > . 1:1(0) ack 4
        dropped OutsideWindow
    "]);
}
