//! What can be asserted of a connection? [`fact`], by name.
//!
//! * `tcpi_…` are the fields of Linux' `struct tcp_info`, in its units: see [`TcpInfo::values`].
//! * `TCP_ESTABLISHED`, `TCP_CA_Recovery` and the like are its constants.
//! * `ciao_…` are what Linux does not tell: `ciao_cwnd_bytes`, `ciao_ssthresh_bytes`,
//!   `ciao_send_window_bytes`, `ciao_urgent_bytes`, `ciao_readable_bytes`; `ciao_why`, the reason to wait;
//!   `ciao_dropped`, why the last packet was dropped; `ciao_error`, how the connection ended; `ciao_events`
//!   and `ciao_losses`, what showed losses or that there were none, those since the last time that they
//!   were asked for.
//!
//! They are those of the connection that was made or accepted last. Its state is known even when the program
//! holds it no more, or not yet.

use crate::assertion::Fact;
use crate::calls::readable_bytes;
use crate::sockets::Sockets;
use crate::stage::Stage;
use ciao_stack::HostEvent;
use ciao_tcp::info::CaState;
use ciao_tcp::{TcpInfo, TcpState};

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

/// Where congestion control stands, and its numbers in Linux' `tcp.h`.
const CONGESTION_STATES: [(&str, CaState); 5] = [
    ("TCP_CA_Open", CaState::Open),
    ("TCP_CA_Disorder", CaState::Disorder),
    ("TCP_CA_CWR", CaState::Cwr),
    ("TCP_CA_Recovery", CaState::Recovery),
    ("TCP_CA_Loss", CaState::Loss),
];

/// The fact of a name.
///
/// # Errors
/// When there is none, in words.
pub fn fact(stage: &mut Stage, sockets: &Sockets, name: &str) -> Result<Fact, String> {
    if let Some((_, _, number)) = STATES.iter().find(|(own, _, _)| *own == name) {
        return Ok(Fact::Number(f64::from(*number)));
    }
    if let Some((_, state)) = CONGESTION_STATES.iter().find(|(own, _)| *own == name) {
        return Ok(Fact::Number(f64::from(*state as u8)));
    }
    match name {
        "TCP_INFINITE_SSTHRESH" => return Ok(Fact::Number(f64::from(TcpInfo::INFINITE_SSTHRESH))),
        "tcpi_state" => {
            let state = stage.state();
            let found = STATES.iter().find(|(_, own, _)| *own == state).expect("all states are there");
            return Ok(Fact::Number(f64::from(found.2)));
        }
        "ciao_dropped" => return Ok(Fact::Text(stage.dropped.pop().unwrap_or_default())),
        "ciao_losses" => return Ok(Fact::Text(core::mem::take(&mut stage.losses).join(" "))),
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
    let info = stage.host.tcp_info(stage.now, id);
    if let Some(name) = name.strip_prefix("tcpi_") {
        let value = info.value(name);
        return value.map(|value| Fact::Number(value as f64)).ok_or(format!("Linux has no `tcpi_{name}`"));
    }
    let number = match name {
        "ciao_cwnd_bytes" => info.cwnd_bytes.into(),
        "ciao_ssthresh_bytes" => info.ssthresh_bytes.into(),
        "ciao_flight_bytes" => info.flight_bytes.into(),
        "ciao_send_window_bytes" => info.snd_wnd.into(),
        "ciao_urgent_bytes" => stage.host.tcp_urgent_len(id).into(),
        "ciao_readable_bytes" => readable_bytes(stage, id) as f64,
        _ => return Err(format!("`{name}` is no name that is known here")),
    };
    Ok(Fact::Number(number))
}

fn take_events(stage: &mut Stage) -> String {
    let print = |event| match event {
        HostEvent::Tcp(_, event) => format!("{event:?}"),
        event => format!("{event:?}"),
    };
    let events: Vec<String> = stage.events.drain(..).map(print).collect();
    events.join(" ")
}
