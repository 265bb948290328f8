//! What do `setsockopt` and `getsockopt` do?

use crate::errno::{self, Reply};
use crate::options::parse_congestion;
use crate::sockets::{Kind, Socket};
use crate::stage::Stage;
use crate::value::Value;
use ciao_stack::Reuse;
use ciao_tcp::config::Pacing;
use core::time::Duration;

/// `setsockopt(fd, level, name, [value], len)`
///
/// # Errors
/// When there is no such option, in words.
pub(crate) fn set(stage: &mut Stage, socket: &mut Socket, arguments: &[Value]) -> Result<Reply, String> {
    let [_, _, name, value, ..] = arguments else {
        return Err("`setsockopt` takes five arguments".to_owned());
    };
    let name = name.names().first().ok_or("an option has a name")?;
    if let Some(refused) = set_value(socket, name, value)? {
        return Ok(Reply::Fails(refused));
    }
    if let Kind::Connection(id) = socket.kind {
        stage.host.tcp_set_options(stage.now, id, socket.options);
        stage.host.tcp_set_ip_options(id, socket.ip);
    }
    Ok(Reply::Returns(0))
}

/// Sets one option; answers the error of a value that no option has.
fn set_value(socket: &mut Socket, name: &str, value: &Value) -> Result<Option<errno::Errno>, String> {
    let options = &mut socket.options;
    let number = || value.pointed_number();
    let small = || number().and_then(|number| u8::try_from(number).map_err(|_| "it is too large".to_owned()));
    let size = || number().and_then(|number| u32::try_from(number).map_err(|_| "it is too large".to_owned()));
    let seconds = || size().map(|seconds| Duration::from_secs(seconds.into()));
    match name {
        "SO_REUSEADDR" => socket.reuse = if number()? != 0 { Reuse::Shared } else { Reuse::Exclusive },
        // Urgent data always stays in line.
        "SO_OOBINLINE" => {}
        "SO_RCVBUF" => options.receive_buffer_bytes = Some(size()?),
        "SO_SNDBUF" => options.send_buffer_bytes = Some(size()?),
        "SO_MAX_PACING_RATE" => {
            options.pacing = Pacing::AtMost { bytes_per_s: number()?.unsigned_abs() };
        }
        "SO_LINGER" => {
            let field = |name| value.field(name).ok_or("write {onoff=1, linger=0}").map(Value::number);
            let (on, time) = (field("onoff")??, field("linger")??);
            if on != 0 && time != 0 {
                return Err("`close` does not wait here: SO_LINGER with zero seconds alone".to_owned());
            }
            options.zero_linger = on != 0;
        }
        "SO_KEEPALIVE" => options.keep_alive = (number()? != 0).then_some(socket.keep_alive),
        "TCP_KEEPIDLE" => socket.keep_alive.idle = seconds()?,
        "TCP_KEEPINTVL" => socket.keep_alive.interval = seconds()?,
        "TCP_KEEPCNT" => socket.keep_alive.probes = small()?,
        "TCP_FASTOPEN" => socket.fast_open = small()?.into(),
        "TCP_NODELAY" => options.nodelay = number()? != 0,
        "TCP_QUICKACK" => options.quickack = number()? != 0,
        "TCP_CORK" => options.cork = number()? != 0,
        "TCP_NOTSENT_LOWAT" => options.notsent_lowat = Some(size()?),
        "SO_RCVLOWAT" => options.receive_lowat = Some(size()?),
        "TCP_USER_TIMEOUT" => {
            let millis = number()?.unsigned_abs();
            options.user_timeout = (millis > 0).then(|| Duration::from_millis(millis));
        }
        // RFC 5482, which Linux does not know.
        "CIAO_EXCHANGE_USER_TIMEOUT" => options.exchange_user_timeout = number()? != 0,
        "TCP_CONGESTION" => match value {
            Value::Text(name) => options.congestion_control = Some(parse_congestion(name)?),
            _ => return Err(format!("`{value}` is no congestion control of ours")),
        },
        "IP_TTL" | "IPV6_UNICAST_HOPS" => socket.ip.hop_limit = Some(small()?),
        "IP_TOS" | "IPV6_TCLASS" => socket.ip.dscp = small()? >> 2,
        _ => return Err(format!("`{name}` is no option that is known here")),
    }
    if name.starts_with("TCP_KEEP") && options.keep_alive.is_some() {
        options.keep_alive = Some(socket.keep_alive);
    }
    Ok(None)
}

/// `getsockopt(fd, level, name, [value], [len])`: compares the value.
///
/// # Errors
/// When it is another one, in words.
pub(crate) fn compare(stage: &mut Stage, socket: &mut Socket, arguments: &[Value]) -> Result<Reply, String> {
    let [_, _, name, Value::List(expected), ..] = arguments else {
        return Err("`getsockopt` takes five arguments".to_owned());
    };
    let name = name.names().first().ok_or("an option has a name")?;
    let expected = match expected.first() {
        Some(Value::Names(names)) => {
            let name = names.first().map_or("", String::as_str);
            errno::number(name).ok_or_else(|| format!("`{name}` is no error"))?
        }
        Some(value) => value.number()?,
        None => return Err("the expected value is missing".to_owned()),
    };
    let options = &socket.options;
    let found = match name.as_str() {
        "SO_ERROR" => {
            let soft = socket.soft_error.take();
            socket.take_error(stage).or(soft).and_then(errno::number).unwrap_or_default()
        }
        "SO_KEEPALIVE" => options.keep_alive.is_some().into(),
        "TCP_NODELAY" => options.nodelay.into(),
        "TCP_KEEPIDLE" => socket.keep_alive.idle.as_secs() as i64,
        "TCP_KEEPINTVL" => socket.keep_alive.interval.as_secs() as i64,
        "TCP_KEEPCNT" => socket.keep_alive.probes.into(),
        "TCP_USER_TIMEOUT" => options.user_timeout.map_or(0, |time| time.as_millis() as i64),
        _ => return Err(format!("`{name}` is no option that is known here")),
    };
    if found == expected { Ok(Reply::Returns(0)) } else { Err(format!("{name} is {found}, not {expected}")) }
}
