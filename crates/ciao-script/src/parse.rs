//! How is the text of a script read? [`parse`].

use crate::event::{Action, Answer, Call, Check, Event, Script, When};
use crate::notation::{OptionText, SegmentText, parse_flags};
use crate::options::ScriptOptions;
use ciao_tcp::TcpState;
use ciao_wire::{SackBlock, SeqNum, Timestamps};
use core::str::FromStr;
use core::time::Duration;

/// Reads a script.
///
/// # Errors
/// The number of the line that cannot be read, and why.
pub fn parse(text: &str) -> Result<Script, (usize, String)> {
    let mut script = Script { options: ScriptOptions::default(), events: Vec::new() };
    for (index, line) in text.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default().trim();
        let number = index + 1;
        if line.is_empty() {
        } else if let Some(option) = line.strip_prefix("--") {
            if !script.events.is_empty() {
                return Err((number, "options stand before the first event".to_owned()));
            }
            script.options.set(option).map_err(|fault| (number, fault))?;
        } else {
            script.events.push(parse_event(number, line).map_err(|fault| (number, fault))?);
        }
    }
    Ok(script)
}

fn parse_event(number: usize, line: &str) -> Result<Event, String> {
    let (answer, body) = match line.strip_suffix('&') {
        Some(body) => (Answer::AfterNext, body.trim()),
        None => (Answer::AtOnce, line),
    };
    let (when, action) = parse_time(body)?;
    let action = if let Some(rest) = action.strip_prefix("< icmp ") {
        let (kind, quoted) = rest.trim().split_once('[').ok_or("write `< icmp KIND [NUMBER]`")?;
        Action::Icmp(kind.trim().to_owned(), parse_number(quoted.trim_end_matches(']'))?)
    } else if let Some(segment) = action.strip_prefix('<') {
        Action::Inject(parse_segment(segment)?)
    } else if let Some(segment) = action.strip_prefix('>') {
        Action::Expect(parse_segment(segment)?)
    } else {
        parse_call(action)?
    };
    Ok(Event { line: number, text: line.to_owned(), when, action, answer })
}

/// The time in front of an action, and the rest.
fn parse_time(text: &str) -> Result<(When, &str), String> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+*.".contains(first)) {
        return Ok((When::Relative(Duration::ZERO, Duration::ZERO), text));
    }
    let (time, action) = text.split_once(char::is_whitespace).ok_or("an action follows the time")?;
    if time == "*" {
        return Ok((When::Any, action.trim()));
    }
    let (from, to) = time.split_once('~').unwrap_or((time, time));
    let seconds = |text: &str| parse_seconds(text.trim_start_matches('+'));
    let (earliest, latest) = (seconds(from)?, seconds(to)?);
    let when = if from.starts_with('+') {
        When::Relative(earliest, latest)
    } else {
        When::Absolute(earliest, latest)
    };
    Ok((when, action.trim()))
}

/// Decimal seconds.
pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = parse_number(text)?;
    if !(0.0..1e9).contains(&seconds) {
        return Err(format!("{text} s is no time"));
    }
    // Whole nanoseconds: 0.3 is not what it seems in binary.
    Ok(Duration::from_nanos((seconds * 1e9).round() as u64))
}

/// A number of any kind.
pub(crate) fn parse_number<T: FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("`{}` is no number that fits here", text.trim()))
}

/// Reads a segment behind its direction.
///
/// # Errors
/// What is wrong with it.
pub fn parse_segment(text: &str) -> Result<SegmentText, String> {
    let (fields, options) = match text.split_once('<') {
        Some((fields, options)) => {
            let options = options.trim().strip_suffix('>').ok_or("`>` is missing behind the options")?;
            (fields, if options.trim() == "..." { None } else { Some(parse_options(options)?) })
        }
        None => (text, Some(Vec::new())),
    };
    let mut words = fields.split_whitespace();
    let flags = parse_flags(words.next().ok_or("control bits are missing")?)?;
    let (start, len) = parse_range(words.next().ok_or("START:END(LEN) is missing")?)?;
    let mut segment = SegmentText { flags, start, len, ack: None, window: None, urgent: None, options };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("a number is missing behind `{word}`"))?;
        match word {
            "ack" => segment.ack = Some(parse_number(value)?),
            "win" => segment.window = Some(parse_number(value)?),
            "urg" => segment.urgent = Some(parse_number(value)?),
            _ => return Err(format!("`{word}` is no field of a segment")),
        }
    }
    if segment.flags.ack() != segment.ack.is_some() {
        return Err("`.` among the control bits and `ack N` belong together".to_owned());
    }
    Ok(segment)
}

/// `START:END(LEN)`.
fn parse_range(text: &str) -> Result<(u32, u32), String> {
    let (range, len) = text.split_once('(').ok_or_else(|| format!("`{text}` is not START:END(LEN)"))?;
    let (start, end) = range.split_once(':').ok_or_else(|| format!("`{range}` is not START:END"))?;
    let (start, end): (u32, u32) = (parse_number(start)?, parse_number(end)?);
    let len = parse_number(len.trim_end_matches(')'))?;
    if start.wrapping_add(len) != end {
        return Err(format!("{start} + {len} is not {end}: SYN and FIN are not counted"));
    }
    Ok((start, len))
}

fn parse_options(text: &str) -> Result<Vec<OptionText>, String> {
    let mut options = Vec::new();
    for option in text.split(',') {
        let words: Vec<&str> = option.split_whitespace().collect();
        match words[..] {
            ["nop"] => options.push(OptionText::Nop),
            ["eol"] => options.push(OptionText::End),
            ["mss", mss] => options.push(OptionText::Mss(parse_number(mss)?)),
            ["wscale", shift] => options.push(OptionText::WindowScale(parse_number(shift)?)),
            ["sackOK"] => options.push(OptionText::SackPermitted),
            ["TS", "val", value, "ecr", echo] => options.push(OptionText::Timestamps(Timestamps {
                value: parse_number(value)?,
                echo: parse_number(echo)?,
            })),
            ["sack", ref blocks @ ..] => {
                for block in blocks {
                    let (start, end) = block.split_once(':').ok_or("a SACK block is START:END")?;
                    let (start, end) = (SeqNum(parse_number(start)?), SeqNum(parse_number(end)?));
                    options.push(OptionText::Sack(SackBlock { start, end }));
                }
            }
            ["unknown"] => options.push(OptionText::Unknown),
            _ => return Err(format!("`{}` is no option", option.trim())),
        }
    }
    Ok(options)
}

fn parse_call(text: &str) -> Result<Action, String> {
    let (call, result) = match text.split_once('=') {
        Some((call, result)) => (call.trim(), Some(result.trim().to_owned())),
        None => (text, None),
    };
    let (name, arguments) = call.split_once(char::is_whitespace).unwrap_or((call, ""));
    let arguments = arguments.trim();
    let check = |check| Ok(Action::Check(check, arguments.to_owned()));
    let call = match name {
        "connect" => Call::Connect,
        "listen" => Call::Listen,
        "accept" => Call::Accept,
        "write" => Call::Write(parse_number(arguments)?),
        "write_urgent" => Call::WriteUrgent(parse_number(arguments)?),
        "read" => Call::Read(parse_number(arguments)?),
        "peek" => Call::Peek(parse_number(arguments)?),
        "shutdown" => Call::Shutdown,
        "close" => Call::Close,
        "abort" => Call::Abort,
        "set" => {
            let mut words = arguments.split_whitespace().map(str::to_owned);
            Call::Set(words.next().ok_or("name the option to set")?, words.collect())
        }
        "state" => {
            let state = TcpState::ALL.into_iter().find(|state| state.name() == arguments);
            return Ok(Action::State(state.ok_or_else(|| format!("`{arguments}` is no state"))?));
        }
        "error" => return check(Check::Error),
        "event" => return check(Check::Event),
        "dropped" => return check(Check::Dropped),
        "why" => return check(Check::Why),
        "cwnd" => return check(Check::Cwnd),
        "ssthresh" => return check(Check::Ssthresh),
        "send_window" => return check(Check::SendWindow),
        "rto" => return check(Check::Rto),
        "srtt" => return check(Check::Srtt),
        "received" => return check(Check::Received),
        "urgent" => return check(Check::Urgent),
        "no" if arguments == "error" => return check(Check::NoError),
        "no" if arguments.starts_with("event ") => {
            return Ok(Action::Check(Check::NoEvent, arguments["event ".len()..].trim().to_owned()));
        }
        _ => return Err(format!("`{name}` is neither a segment nor a call nor a check")),
    };
    Ok(Action::Call(call, result))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (usize, String) {
        parse(text).expect_err("it is faulty")
    }

    #[test]
    fn faults_are_named_with_their_line() {
        assert_eq!(
            fault("connect\n\nfly"),
            (3, "`fly` is neither a segment nor a call nor a check".to_owned())
        );
        assert_eq!(fault("< S 0:1(0)").1, "0 + 0 is not 1: SYN and FIN are not counted");
        assert_eq!(fault("< S 0:0(0) <mss>").1, "`mss` is no option");
        assert_eq!(fault("< . 0:0(0)").1, "`.` among the control bits and `ack N` belong together");
        assert_eq!(fault("connect\n--mss=9").1, "options stand before the first event");
        assert_eq!(fault("state OPEN").1, "`OPEN` is no state");
        assert_eq!(fault("+x connect").1, "`x` is no number that fits here");
    }

    #[test]
    fn times_are_exact_to_the_nanosecond() {
        let script =
            parse("0.3 connect\n+.2~+.25 close\n* > . 1:1(0) ack 1\nabort").expect("it is written well");
        let millis = Duration::from_millis;
        let times: Vec<When> = script.events.iter().map(|event| event.when).collect();
        assert_eq!(
            times,
            [
                When::Absolute(millis(300), millis(300)),
                When::Relative(millis(200), millis(250)),
                When::Any,
                When::Relative(Duration::ZERO, Duration::ZERO),
            ]
        );
    }
}
