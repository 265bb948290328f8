//! What can be asserted of a connection? [`fact`], by name.
//!
//! * `tcpi_…` are the fields of Linux' `struct tcp_info`, in its units: segments and microseconds.
//! * `TCP_ESTABLISHED` and the like are its constants.
//! * `ciao_…` are what Linux does not tell: `ciao_cwnd_bytes`, `ciao_ssthresh_bytes`,
//!   `ciao_send_window_bytes`, `ciao_urgent_bytes`, `ciao_readable_bytes`; `ciao_why`, the reason to wait;
//!   `ciao_dropped`, why the last packet was dropped; `ciao_error`, how the connection ended; `ciao_events`,
//!   those since the last time that they were asked for.
//!
//! They are those of the connection that was made or accepted last. Its state is known even when the program
//! holds it no more, or not yet.

use crate::assertion::Fact;
use crate::calls::readable_bytes;
use crate::sockets::Sockets;
use crate::stage::Stage;
use ciao_stack::HostEvent;
use ciao_tcp::TcpState;
use core::time::Duration;

/// `TCP_INFINITE_SSTHRESH` of Linux.
const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;

/// The states and their numbers in Linux' `tcp_states.h`.
const STATES: [(&str, TcpState, u8); 11] = [
    ("TCP_ESTABLISHED", TcpState::Established, 1),
    ("TCP_SYN_SENT", TcpState::SynSent, 2),
    ("TCP_SYN_RECV", TcpState::SynReceived, 3),
    ("TCP_FIN_WAIT1", TcpState::FinWait1, 4),
    ("TCP_FIN_WAIT2", TcpState::FinWait2, 5),
    ("TCP_TIME_WAIT", TcpState::TimeWait, 6),
    ("TCP_CLOSE", TcpState::Closed, 7),
    ("TCP_CLOSE_WAIT", TcpState::CloseWait, 8),
    ("TCP_LAST_ACK", TcpState::LastAck, 9),
    ("TCP_LISTEN", TcpState::Listen, 10),
    ("TCP_CLOSING", TcpState::Closing, 11),
];

/// The fact of a name.
///
/// # Errors
/// When there is none, in words.
pub fn fact(stage: &mut Stage, sockets: &Sockets, name: &str) -> Result<Fact, String> {
    if let Some((_, _, number)) = STATES.iter().find(|(own, _, _)| *own == name) {
        return Ok(Fact::Number(f64::from(*number)));
    }
    match name {
        "TCP_INFINITE_SSTHRESH" => return Ok(Fact::Number(f64::from(INFINITE_SSTHRESH))),
        "tcpi_state" => {
            let state = stage.state();
            let found = STATES.iter().find(|(_, own, _)| *own == state).expect("all states are there");
            return Ok(Fact::Number(f64::from(found.2)));
        }
        "ciao_dropped" => return Ok(Fact::Text(stage.dropped.pop().unwrap_or_default())),
        "ciao_events" => return Ok(Fact::Text(take_events(stage))),
        _ => {}
    }
    let id = sockets.under_test.ok_or("the program holds no connection")?;
    match name {
        "ciao_why" => return Ok(Fact::Text(stage.host.tcp_why(id).to_string())),
        "ciao_error" => {
            let error = stage.host.tcp_error(id);
            return Ok(Fact::Text(error.map_or(String::new(), |error| format!("{error:?}"))));
        }
        _ => {}
    }
    let stats = stage.host.tcp_stats(id);
    let mss = u32::from(stats.effective_mss_bytes).max(1);
    let number = match name {
        "tcpi_snd_mss" => mss.into(),
        "tcpi_snd_cwnd" => (stats.cwnd_bytes / mss).into(),
        "tcpi_snd_ssthresh" if stats.ssthresh_bytes == u32::MAX => INFINITE_SSTHRESH.into(),
        "tcpi_snd_ssthresh" => (stats.ssthresh_bytes / mss).into(),
        "tcpi_rto" => micros(Some(stats.rto)),
        "tcpi_rtt" => micros(stats.srtt),
        "tcpi_rttvar" => micros(stats.rttvar),
        "tcpi_unacked" => stats.flight_bytes.div_ceil(mss).into(),
        "tcpi_total_retrans" => stats.retransmissions.into(),
        "tcpi_bytes_received" => stats.bytes_received as f64,
        "ciao_cwnd_bytes" => stats.cwnd_bytes.into(),
        "ciao_ssthresh_bytes" => stats.ssthresh_bytes.into(),
        "ciao_flight_bytes" => stats.flight_bytes.into(),
        "ciao_send_window_bytes" => stats.send_window_bytes.into(),
        "ciao_urgent_bytes" => stage.host.tcp_urgent_len(id).into(),
        "ciao_readable_bytes" => readable_bytes(stage, id) as f64,
        _ => return Err(format!("`{name}` is no name that is known here")),
    };
    Ok(Fact::Number(number))
}

fn micros(time: Option<Duration>) -> f64 {
    time.unwrap_or_default().as_nanos() as f64 / 1e3
}

fn take_events(stage: &mut Stage) -> String {
    let print = |event| match event {
        HostEvent::Tcp(_, event) => format!("{event:?}"),
        event => format!("{event:?}"),
    };
    let events: Vec<String> = stage.events.drain(..).map(print).collect();
    events.join(" ")
}
