//! What do the calls and checks of a script do? They use the public calls of a connection and compare the
//! answer.

use crate::endpoint::Endpoint;
use crate::event::{Call, Check};
use crate::options::parse_switch;
use crate::parse::{parse_number, parse_seconds};
use ciao_tcp::config::KeepAlive;
use ciao_tcp::{Connection, Event, SocketOptions, TcpState};
use ciao_wire::Instant;
use core::fmt::Debug;
use core::time::Duration;

/// How far the streams of a connection are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Streams {
    /// Bytes that the application has written.
    pub written: u32,
    /// Bytes that the application has read.
    pub read: u32,
}

/// The byte at a position of any stream. The first is at 1, as in relative sequence numbers.
#[must_use]
pub fn pattern(position: u32) -> u8 {
    // Fibonacci hashing: neighbours, and positions a power of two apart, differ.
    (position.wrapping_mul(0x9e37_79b9) >> 24) as u8
}

/// Makes a call and compares what it answers.
///
/// # Errors
/// What differs, in words.
pub fn make(
    endpoint: &mut Endpoint,
    streams: &mut Streams,
    now: Instant,
    call: &Call,
    result: Option<&str>,
) -> Result<(), String> {
    match call {
        Call::Connect => endpoint.connect(now),
        Call::Listen => endpoint.listen(),
        Call::Accept => {
            let state = endpoint.state();
            if matches!(
                state,
                TcpState::Closed | TcpState::Listen | TcpState::SynSent | TcpState::SynReceived
            ) {
                return Err(format!("there is nothing to accept in {state}"));
            }
        }
        _ => {
            let state = endpoint.state();
            let connection = endpoint.connection().ok_or_else(|| format!("no connection in {state}"))?;
            return on_connection(connection, streams, now, call, result);
        }
    }
    *streams = Streams::default();
    Ok(())
}

fn on_connection(
    connection: &mut Connection,
    streams: &mut Streams,
    now: Instant,
    call: &Call,
    result: Option<&str>,
) -> Result<(), String> {
    match *call {
        Call::Write(len) | Call::WriteUrgent(len) => {
            let data: Vec<u8> = (0..len).map(|at| pattern(streams.written + 1 + at as u32)).collect();
            let answer = match call {
                Call::WriteUrgent(_) => connection.send_urgent(now, &data),
                _ => connection.send(now, &data),
            };
            streams.written += *answer.as_ref().unwrap_or(&0) as u32;
            same_result(&answer, len, result)
        }
        Call::Read(len) => {
            let mut buffer = vec![0; len];
            let answer = connection.receive(now, &mut buffer);
            let count = *answer.as_ref().unwrap_or(&0);
            same_bytes(&buffer[..count], streams.read)?;
            streams.read += count as u32;
            same_result(&answer, len, result)
        }
        Call::Peek(len) => {
            let mut buffer = vec![0; len];
            let answer = connection.peek(&mut buffer);
            same_bytes(&buffer[..*answer.as_ref().unwrap_or(&0)], streams.read)?;
            same_result(&answer, len, result)
        }
        Call::Shutdown => {
            connection.shutdown(now);
            Ok(())
        }
        Call::Close => {
            connection.close(now);
            Ok(())
        }
        Call::Abort => {
            connection.abort(now);
            Ok(())
        }
        Call::Set(ref name, ref values) => {
            let mut options = connection.options();
            set_option(&mut options, name, values)?;
            connection.set_options(now, options);
            Ok(())
        }
        Call::Connect | Call::Listen | Call::Accept => unreachable!("these make the connection"),
    }
}

fn same_result<E: Debug>(
    answer: &Result<usize, E>,
    asked: usize,
    expected: Option<&str>,
) -> Result<(), String> {
    let answer = match answer {
        Ok(count) => count.to_string(),
        Err(error) => format!("{error:?}"),
    };
    let asked = asked.to_string();
    same("the call answers", expected.unwrap_or(&asked), &answer)
}

fn same_bytes(bytes: &[u8], read: u32) -> Result<(), String> {
    let position = |at: usize| read + 1 + at as u32;
    match bytes.iter().enumerate().find(|(at, byte)| **byte != pattern(position(*at))) {
        Some((at, _)) => Err(format!("byte {} of the stream is another one", position(at))),
        None => Ok(()),
    }
}

fn same(what: &str, expected: &str, found: &str) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what} {found}, not {expected}")) }
}

fn set_option(options: &mut SocketOptions, name: &str, values: &[String]) -> Result<(), String> {
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    match (name, &values[..]) {
        ("nodelay", [value]) => options.nodelay = parse_switch(value)?,
        ("quickack", [value]) => options.quickack = parse_switch(value)?,
        ("zero_linger", [value]) => options.zero_linger = parse_switch(value)?,
        ("send_buffer", [value]) => options.send_buffer_bytes = Some(parse_number(value)?),
        ("receive_buffer", [value]) => options.receive_buffer_bytes = Some(parse_number(value)?),
        ("user_timeout", ["off"]) => options.user_timeout = None,
        ("user_timeout", [value]) => options.user_timeout = Some(parse_seconds(value)?),
        ("keep_alive", ["on"]) => options.keep_alive = Some(KeepAlive::default()),
        ("keep_alive", ["off"]) => options.keep_alive = None,
        ("keep_alive", [idle, interval, probes]) => {
            options.keep_alive = Some(KeepAlive {
                idle: parse_seconds(idle)?,
                interval: parse_seconds(interval)?,
                probes: parse_number(probes)?,
            });
        }
        _ => return Err(format!("`{name}` with {} values is no option", values.len())),
    }
    Ok(())
}

/// Compares a number or a name of the connection.
///
/// # Errors
/// What differs, in words.
pub fn check(endpoint: &mut Endpoint, check: Check, value: &str) -> Result<(), String> {
    match check {
        Check::Event => return take_event(endpoint, value),
        Check::NoEvent => {
            return match endpoint.events.iter().find(|event| names(**event, value)) {
                Some(event) => Err(format!("{event:?} was raised")),
                None => Ok(()),
            };
        }
        Check::Dropped => {
            let last = endpoint.dropped.pop().map_or("nothing".to_owned(), |reason| format!("{reason:?}"));
            return same("dropped was", value, &last);
        }
        _ => {}
    }
    let connection = endpoint.connection().ok_or("there is no connection to look at")?;
    let stats = connection.stats();
    let count = |what: &str, found: u32| same(what, value, &found.to_string());
    match check {
        Check::Error => {
            let error = connection.error().map_or("none".to_owned(), |error| format!("{error:?}"));
            same("the error is", value, &error)
        }
        Check::NoError => match connection.error() {
            Some(error) => Err(format!("the error is {error:?}")),
            None => Ok(()),
        },
        Check::Why => {
            let why = connection.why().to_string();
            if why.contains(value) { Ok(()) } else { Err(format!("it waits because: {why}")) }
        }
        Check::Cwnd => count("cwnd is", stats.cwnd_bytes),
        Check::Ssthresh => count("ssthresh is", stats.ssthresh_bytes),
        Check::SendWindow => count("SND.WND is", stats.send_window_bytes),
        Check::Received => count("bytes to read are", connection.receive_len() as u32),
        Check::Urgent => count("urgent bytes left are", connection.urgent_len()),
        Check::Rto => same_time("RTO is", value, Some(stats.rto)),
        Check::Srtt => same_time("SRTT is", value, stats.srtt),
        Check::Event | Check::NoEvent | Check::Dropped => unreachable!("these need no connection"),
    }
}

fn same_time(what: &str, expected: &str, found: Option<Duration>) -> Result<(), String> {
    match found {
        _ if expected == "none" && found.is_none() => Ok(()),
        Some(found) if found == parse_seconds(expected)? => Ok(()),
        _ => Err(format!("{what} {found:?}, not {expected} s")),
    }
}

/// Whether `event` is called `name`: `Urgent`, or with what it holds, `Closed(Some(Reset))`.
fn names(event: Event, name: &str) -> bool {
    let text = format!("{event:?}");
    text == name || text.split('(').next() == Some(name)
}

fn take_event(endpoint: &mut Endpoint, name: &str) -> Result<(), String> {
    let found = endpoint.events.iter().position(|event| names(*event, name));
    let found = found.ok_or_else(|| format!("raised were {:?}", endpoint.events))?;
    endpoint.events.drain(..=found);
    Ok(())
}
