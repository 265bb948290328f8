//! What an ICMP error does to a connection that is open (RFC 9293 §3.9.2.2, RFC 5927). While it opens:
//! `opening`.

use ciao_script::assert_plays;
use ciao_script::openings::CONNECTED;

// RFC 9293 §3.9.2.2 MUST-56, SHLD-25, SHLD-26
// RFC 5927 §5.2 5927-5a
// RFC 9293 §3.9.1.8 MUST-47
#[test]
fn an_open_connection_survives_every_error_and_reports_it() {
    for (kind, report) in [
        ("net_unreachable", "NetworkUnreachable"),
        ("host_unreachable", "HostUnreachable"),
        ("port_unreachable", "PortUnreachable"),
    ] {
        let error = format!("< icmp {kind} [1]\nevent SoftError({report})\nstate ESTABLISHED");
        assert_plays([
            CONNECTED,
            "write 10",
            "> P. 1:11(10) ack 1",
            &error,
            "
            +.2 > P. 1:11(10) ack 1
            +.02 < . 1:1(0) ack 11
            no error
            ",
        ]);
    }
}

// RFC 9293 §3.9.2.2 MUST-54
// RFC 5927 §4.1 5927-4a
#[test]
fn an_error_about_what_is_not_in_flight_is_forged_or_late() {
    assert_plays([
        CONNECTED,
        "
        write 10
        > P. 1:11(10) ack 1
        < icmp host_unreachable [0]
        < icmp host_unreachable [11]
        no event SoftError
        < icmp host_unreachable [10]
        event SoftError
        +.02 < . 1:1(0) ack 11
        < icmp host_unreachable [1]
        no event SoftError
        ",
    ]);
}
