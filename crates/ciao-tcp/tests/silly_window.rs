//! Small windows are neither offered nor used (RFC 9293 §3.8.6.2).

use ciao_script::assert_plays;

const SENDER: &str = "
    --timestamps=off
    --window_scaling=off
    connect
    > S 0:0(0) <...>
    +.02 < S. 0:0(0) ack 1 win 4000 <mss 1000>
    > . 1:1(0) ack 1
    write 10000
    > P. 1:4001(4000) ack 1
    +.02 < . 1:1(0) ack 4001 win 0
    why window is 0
";

// RFC 9293 §3.8.6.2.1 MUST-38
#[test]
fn a_window_that_opens_by_single_bytes_is_not_used() {
    assert_plays([
        SENDER,
        "
        +.01 < . 1:1(0) ack 4001 win 1
        +.01 < . 1:1(0) ack 4001 win 2
        +.01 < . 1:1(0) ack 4001 win 500
        +.01 < . 1:1(0) ack 4001 win 999
        why peer's window of 999
        +.01 < . 1:1(0) ack 4001 win 1000
        > . 4001:5001(1000) ack 1
        ",
    ]);
}

// RFC 9293 §3.8.6.2.1 MUST-38
#[test]
fn half_of_the_largest_window_is_worth_a_segment() {
    assert_plays(["
        --timestamps=off
        --window_scaling=off
        connect
        > S 0:0(0) <...>
        +.02 < S. 0:0(0) ack 1 win 600 <mss 1000>
        > . 1:1(0) ack 1
        write 10000
        > . 1:601(600) ack 1
        +.02 < . 1:1(0) ack 601 win 299
        +.02 < . 1:1(0) ack 601 win 300
        > . 601:901(300) ack 1
    "]);
}

// RFC 9293 §3.8.6.2.1 MUST-38
#[test]
fn after_the_override_time_a_small_segment_goes_out_all_the_same() {
    assert_plays([
        SENDER,
        "
        +.01 < . 1:1(0) ack 4001 win 10
        +.2  > . 4001:4011(10) ack 1
        +.02 < . 1:1(0) ack 4011 win 10
        +.2  > . 4011:4021(10) ack 1
        ",
    ]);
}

const RECEIVER: &str = "
    --timestamps=off
    --window_scaling=off
    --receive_buffer=4000
    --mss=1000
    connect
    > S 0:0(0) win 4000 <...>
    +.02 < S. 0:0(0) ack 1 win 65535 <mss 1000>
    > . 1:1(0) ack 1 win 4000
    < . 1:4001(4000) ack 1
    > . 1:1(0) ack 4001 win 0
";

// RFC 9293 §3.8.6.2.2 MUST-39
#[test]
fn the_window_opens_by_whole_segments() {
    assert_plays([
        RECEIVER,
        "
        read 1
        read 500
        read 498
        read 1
        > . 1:1(0) ack 4001 win 1000
        read 999
        < P. 4001:4011(10) ack 1
        > . 1:1(0) ack 4011 win 990
        ",
    ]);
}

// RFC 9293 §3.8.6.2.2 MUST-39
#[test]
fn a_small_buffer_opens_by_halves() {
    assert_plays(["
        --timestamps=off
        --window_scaling=off
        --receive_buffer=600
        connect
        > S 0:0(0) win 600 <...>
        +.02 < S. 0:0(0) ack 1 win 65535 <mss 1000>
        > . 1:1(0) ack 1 win 600
        < P. 1:601(600) ack 1
        > . 1:1(0) ack 601 win 0
        read 299
        read 1
        > . 1:1(0) ack 601 win 300
    "]);
}

// RFC 9293 §3.8.6 SHLD-14
#[test]
fn the_right_edge_never_goes_back() {
    assert_plays([
        RECEIVER,
        "
        read 2000
        > . 1:1(0) ack 4001 win 2000
        < P. 4001:5001(1000) ack 1
        > . 1:1(0) ack 5001 win 1000
        set receive_buffer 1000
        < P. 5001:5011(10) ack 1
        > . 1:1(0) ack 5011 win 990
        ",
    ]);
}
