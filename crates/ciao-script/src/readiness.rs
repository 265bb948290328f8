//! Which sockets are ready? `poll`, as Linux answers it.

use crate::calls::readable_bytes;
use crate::errno::Reply;
use crate::event::CallText;
use crate::sockets::{Kind, Socket, Sockets};
use crate::stage::Stage;
use crate::value::Value;
use ciao_tcp::TcpState;

/// `poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, timeout) = ready`
///
/// # Errors
/// When other events are there than the script says, in words.
pub(crate) fn poll(stage: &Stage, sockets: &mut Sockets, call: &CallText) -> Result<Reply, String> {
    let Some(Value::List(entries)) = call.arguments.first() else {
        return Err("`poll` takes a list of sockets".to_owned());
    };
    let timeout = call.arguments.get(2).ok_or("`poll` takes a timeout")?.number()?;
    let mut ready = 0;
    let mut wrong = Ok(());
    for entry in entries {
        let number = entry.field("fd").ok_or("an entry has no `fd`")?.number()?;
        let asked = entry.field("events").map(Value::names).unwrap_or_default();
        let expected = entry.field("revents").map(Value::names).unwrap_or_default();
        let found: Vec<&str> = events(stage, sockets.find(number)?)
            .into_iter()
            .filter(|event| ["POLLERR", "POLLHUP"].contains(event) || asked.iter().any(|own| own == event))
            .collect();
        ready += i64::from(!found.is_empty());
        if found.len() != expected.len() || !expected.iter().all(|name| found.contains(&name.as_str())) {
            wrong = Err(format!("socket {number} has {found:?}"));
        }
    }
    if ready == 0 && timeout != 0 && call.result != 0 {
        return Ok(Reply::Blocks("EAGAIN"));
    }
    wrong.map(|()| Reply::Returns(ready))
}

/// What has happened on a socket, by the names that `poll` has for it.
fn events(stage: &Stage, socket: &Socket) -> Vec<&'static str> {
    let Kind::Connection(id) = socket.kind else { return Vec::new() };
    let state = stage.host.tcp_state(id);
    let failed = stage.host.tcp_error(id).is_some();
    let over = state == TcpState::Closed;
    let peer_is_done = over
        || matches!(state, TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait);
    let we_are_done = !matches!(
        state,
        TcpState::SynSent | TcpState::SynReceived | TcpState::Established | TcpState::CloseWait
    );
    let opening =
        matches!(state, TcpState::SynSent | TcpState::SynReceived) && !stage.host.tcp_is_open_early(id);
    let facts = [
        ("POLLIN", peer_is_done || readable_bytes(stage, id) > 0 && stage.host.tcp_is_readable(id)),
        ("POLLOUT", !opening && (we_are_done || stage.host.tcp_is_writable(id))),
        ("POLLPRI", stage.host.tcp_urgent_len(id) > 0),
        ("POLLRDHUP", peer_is_done),
        ("POLLERR", failed && !socket.error_is_told),
        ("POLLHUP", over || peer_is_done && we_are_done),
    ];
    facts.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name).collect()
}
