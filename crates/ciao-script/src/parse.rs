//! How is the text of a script read? [`parse`].

use crate::assertion::parse_assertion;
use crate::event::{Action, CallText, Event, IcmpKind, IcmpText, Script, When};
use crate::notation::{EcnText, IpText, OptionText, SegmentText, parse_flags};
use crate::numbers::Bases;
use crate::options::{ScriptOptions, parse_number, parse_seconds};
use crate::value::parse_call;
use ciao_wire::Ecn;
use core::time::Duration;

/// The payload of the longest IPv4 packet with the longest TCP header.
const PAYLOAD_MAX: u32 = 65_535 - 20 - 60;
/// The data offset has four bits, and counts words (RFC 9293 §3.1).
const OPTIONS_MAX: usize = 40;

/// Reads a script.
///
/// # Errors
/// The number of the line that cannot be read, and why.
pub fn parse(text: &str) -> Result<Script, (usize, String)> {
    let mut script = Script { options: ScriptOptions::default(), events: Vec::new() };
    for (line, statement) in statements(text) {
        read_statement(&mut script, line, &statement).map_err(|fault| (line, fault))?;
    }
    Ok(script)
}

/// Divides a script into options, settings and events, without comments, each with the line it begins on.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut statements: Vec<(usize, String)> = Vec::new();
    for (index, line) in without_comments(text).lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let begins = line.starts_with(|first: char| first.is_ascii_digit() || "+*`".contains(first))
            || line.starts_with("--")
            || line.starts_with('.') && !line.starts_with("...");
        match statements.last_mut() {
            Some((_, last)) if !begins || is_open(last) => {
                last.push(' ');
                last.push_str(line);
            }
            _ => statements.push((index + 1, line.to_owned())),
        }
    }
    statements
}

/// Whether a statement goes on in the next line whatever that begins with.
fn is_open(statement: &str) -> bool {
    statement.contains("%{") && !statement.contains("}%") || statement.matches('`').count() % 2 == 1
}

/// The text with blanks in the place of comments, and the same lines.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("//").into_iter().chain(rest.find("/*")).min() {
        out.push_str(&rest[..at]);
        let comment = &rest[at..];
        let len = if comment.starts_with("//") {
            comment.find('\n').unwrap_or(comment.len())
        } else {
            comment.find("*/").map_or(comment.len(), |end| end + 2)
        };
        out.extend(comment[..len].chars().filter(|letter| *letter == '\n'));
        rest = &comment[len..];
    }
    out + rest
}

fn read_statement(script: &mut Script, line: usize, statement: &str) -> Result<(), String> {
    let on_top = statement.starts_with("--") || statement.starts_with('`');
    if on_top && !script.events.is_empty() {
        return Err("options and settings stand before the first event".to_owned());
    }
    if let Some(option) = statement.strip_prefix("--") {
        script.options.set(option)
    } else if on_top {
        read_settings(&mut script.options, statement.trim_matches('`'))
    } else {
        script.events.push(parse_event(line, statement)?);
        Ok(())
    }
}

/// `sysctl -q name=value name="several values"`, perhaps several with `;` or `&&` between them.
fn read_settings(options: &mut ScriptOptions, text: &str) -> Result<(), String> {
    for command in text.split([';', '&', '\n']).map(str::trim).filter(|command| !command.is_empty()) {
        let mut rest = command
            .strip_prefix("sysctl")
            .map(|rest| rest.trim_start().trim_start_matches("-q").trim_start())
            .ok_or_else(|| format!("`{command}` is not `sysctl -q name=value`"))?;
        while !rest.is_empty() {
            let (name, value) = rest.split_once('=').ok_or_else(|| format!("`{rest}` has no value"))?;
            let (value, after) = match value.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or("a quotation mark is missing")?,
                None => value.split_once(char::is_whitespace).unwrap_or((value, "")),
            };
            options.set_sysctl(name, value)?;
            rest = after.trim_start();
        }
    }
    Ok(())
}

fn parse_event(line: usize, text: &str) -> Result<Event, String> {
    let (when, returns, action) = parse_time(text)?;
    let action = if let Some(code) = action.strip_prefix("%{") {
        let code = code.strip_suffix("}%").ok_or("`}%` is missing")?;
        Action::Assert(parse_assertion(code)?)
    } else if let Some(rest) = action.strip_prefix("< icmp ") {
        Action::Icmp(parse_icmp(rest)?)
    } else if let Some(segment) = action.strip_prefix('<') {
        Action::Inject(deliverable(parse_segment(segment)?)?)
    } else if let Some(segment) = action.strip_prefix('>') {
        Action::Expect(parse_segment(segment)?)
    } else {
        Action::Call(parse_call_line(action)?)
    };
    if returns.is_some() && !matches!(action, Action::Call(_)) {
        return Err("only a call has a time at which it returns".to_owned());
    }
    Ok(Event { line, text: text.to_owned(), when, returns, action })
}

/// The time in front of an action, that at which a call returns, and the rest.
fn parse_time(text: &str) -> Result<(When, Option<Duration>, &str), String> {
    let (time, action) = text.split_once(char::is_whitespace).ok_or("an action follows the time")?;
    let action = action.trim();
    if time == "*" {
        return Ok((When::Any, None, action));
    }
    let seconds = |text: &str| parse_seconds(text.trim_start_matches('+'));
    let (time, returns) = match time.split_once("...") {
        Some((time, end)) => (time, Some(seconds(end)?)),
        None => (time, None),
    };
    let (from, to) = time.split_once('~').unwrap_or((time, time));
    let (earliest, latest) = (seconds(from)?, seconds(to)?);
    let when = if from.starts_with('+') {
        When::Relative(earliest, latest)
    } else {
        When::Absolute(earliest, latest)
    };
    Ok((when, returns, action))
}

/// `unreachable KIND [mtu N] [START:END(LEN)]`
fn parse_icmp(text: &str) -> Result<IcmpText, String> {
    let (kind, quoted) = text.trim().split_once('[').ok_or("write `< icmp KIND [START:END(LEN)]`")?;
    let words: Vec<&str> = kind.split_whitespace().collect();
    let kind = match words[..] {
        ["unreachable", "net_unreachable"] => IcmpKind::NetworkUnreachable,
        ["unreachable", "host_unreachable"] => IcmpKind::HostUnreachable,
        ["unreachable", "protocol_unreachable"] => IcmpKind::ProtocolUnreachable,
        ["unreachable", "port_unreachable"] => IcmpKind::PortUnreachable,
        ["unreachable", "admin_prohibited"] => IcmpKind::Prohibited,
        ["unreachable", "frag_needed", "mtu", mtu] | ["packet_too_big", "mtu", mtu] => {
            IcmpKind::TooBig(parse_number(mtu)?)
        }
        ["time_exceeded"] => IcmpKind::TimeExceeded,
        ["parameter_problem"] => IcmpKind::ParameterProblem,
        ["source_quench"] => IcmpKind::SourceQuench,
        _ => return Err(format!("`{}` is no ICMP error", kind.trim())),
    };
    let quoted = quoted.strip_suffix(']').ok_or("`]` is missing")?;
    let (start, len) = parse_range(quoted.trim())?;
    if len > PAYLOAD_MAX {
        return Err(format!("a packet holds at most {PAYLOAD_MAX} bytes"));
    }
    Ok(IcmpText { kind, start, len })
}

/// `name(arguments) = result ERRNO (comment)`
fn parse_call_line(text: &str) -> Result<CallText, String> {
    let (name, arguments, rest) = parse_call(text)?;
    let result = rest.trim().strip_prefix('=').ok_or("`= RESULT` is missing behind the call")?;
    let mut words = result.split('(').next().unwrap_or_default().split_whitespace();
    let result = parse_number(words.next().ok_or("the result is missing")?)?;
    let errno = words.next().map(str::to_owned);
    if errno.is_some() != (result == -1) {
        return Err("-1 and the name of an error belong together".to_owned());
    }
    Ok(CallText { name, arguments, result, errno })
}

/// Refuses what no packet can hold.
fn deliverable(segment: SegmentText) -> Result<SegmentText, String> {
    if segment.len > PAYLOAD_MAX {
        return Err(format!("a packet holds at most {PAYLOAD_MAX} bytes"));
    }
    if segment.option_bytes(Bases::default()).len() > OPTIONS_MAX {
        return Err(format!("a header holds at most {OPTIONS_MAX} bytes of options"));
    }
    Ok(segment)
}

/// Reads a segment behind its direction.
///
/// # Errors
/// What is wrong with it.
pub fn parse_segment(text: &str) -> Result<SegmentText, String> {
    let mut segment = SegmentText::default();
    let mut text = text.trim();
    while let Some(rest) = text.strip_prefix('[').or_else(|| text.strip_prefix('(')) {
        let (info, rest) = rest.split_once([']', ')']).ok_or("`]` is missing")?;
        parse_ip(&mut segment.ip, info)?;
        text = rest.trim_start();
    }
    let words: Vec<&str> = text.splitn(4, char::is_whitespace).collect();
    if let [from, ">", to, rest] = words[..] {
        segment.ports = Some((parse_number(from)?, parse_number(to)?));
        text = rest;
    }
    let (fields, options) = match text.split_once('<') {
        Some((fields, options)) => {
            let options = options.trim().strip_suffix('>').ok_or("`>` is missing behind the options")?;
            (fields, if options.trim() == "..." { None } else { Some(parse_options(options)?) })
        }
        None => (text, Some(Vec::new())),
    };
    segment.options = options;
    let mut words = fields.split_whitespace();
    segment.flags = parse_flags(words.next().ok_or("control bits are missing")?)?;
    (segment.start, segment.len) = parse_range(words.next().ok_or("START:END(LEN) is missing")?)?;
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

fn parse_ip(ip: &mut IpText, text: &str) -> Result<(), String> {
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    match words[..] {
        ["noecn"] => ip.ecn = Some(EcnText::Exactly(Ecn::NotEct)),
        ["ect0"] => ip.ecn = Some(EcnText::Exactly(Ecn::Ect0)),
        ["ect1"] => ip.ecn = Some(EcnText::Exactly(Ecn::Ect1)),
        ["ect01"] => ip.ecn = Some(EcnText::Capable),
        ["ce"] => ip.ecn = Some(EcnText::Exactly(Ecn::Ce)),
        ["ttl", number] => ip.hop_limit = Some(parse_number(number)?),
        ["tos", number] => {
            let digits = number.trim_start_matches("0x");
            ip.tos = Some(u8::from_str_radix(digits, 16).map_err(|_| format!("`{number}` is no byte"))?);
        }
        _ => return Err(format!("`{text}` is nothing that an IP header says")),
    }
    Ok(())
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
        options.push(match words[..] {
            ["nop"] => OptionText::Nop,
            ["eol"] => OptionText::End,
            ["mss", mss] => OptionText::Mss(parse_number(mss)?),
            ["wscale", shift] => OptionText::WindowScale(parse_number(shift)?),
            ["sackOK"] => OptionText::SackPermitted,
            ["TS", "val", value, "ecr", echo] => {
                OptionText::Timestamps { value: parse_number(value)?, echo: parse_number(echo)? }
            }
            ["sack", ref blocks @ ..] => {
                OptionText::Sack(blocks.iter().map(parse_block).collect::<Result<_, _>>()?)
            }
            ["FO"] => OptionText::FastOpen(Vec::new()),
            ["FO", "COOKIE"] => OptionText::OwnCookie,
            ["FO", digits] => OptionText::FastOpen(parse_hex(digits)?),
            ["md5", digits] => OptionText::Md5(parse_hex(digits)?),
            ["uto", word] => {
                let digits = word.trim_start_matches("0x");
                OptionText::UserTimeout(
                    u16::from_str_radix(digits, 16).map_err(|_| format!("`{word}` is no word"))?,
                )
            }
            ["unknown"] => OptionText::Unknown,
            _ => return Err(format!("`{}` is no option", option.trim())),
        });
    }
    Ok(options)
}

fn parse_block(text: &&str) -> Result<(u32, u32), String> {
    let (start, end) = text.split_once(':').ok_or("a SACK block is START:END")?;
    Ok((parse_number(start)?, parse_number(end)?))
}

fn parse_hex(digits: &str) -> Result<Vec<u8>, String> {
    let byte = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    bytes.ok_or_else(|| format!("`{digits}` are no bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn fault(text: &str) -> (usize, String) {
        parse(text).expect_err("it is faulty")
    }

    #[test]
    fn faults_are_named_with_their_line() {
        assert_eq!(fault("0 close(3) = 0\n\n+0 fly away"), (3, "`(` is missing before `away`".to_owned()));
        assert_eq!(fault("0 < S 0:1(0)").1, "0 + 0 is not 1: SYN and FIN are not counted");
        assert_eq!(fault("0 < S 0:0(0) <mss>").1, "`mss` is no option");
        assert_eq!(fault("0 < . 0:0(0)").1, "`.` among the control bits and `ack N` belong together");
        assert_eq!(fault("0 close(3) = 0\n--mtu=9").1, "options and settings stand before the first event");
        assert_eq!(fault("0 close(3) = -1").1, "-1 and the name of an error belong together");
        assert_eq!(fault("+x close(3) = 0").1, "`x` is no number that fits here");
        assert_eq!(fault("`reboot`").1, "`reboot` is not `sysctl -q name=value`");
        assert_eq!(fault("0 < [loud] S 0:0(0)").1, "`loud` is nothing that an IP header says");
    }

    /// What scripts are made of, whole and in pieces.
    const PIECES: [&str; 24] = [
        "0 ",
        "+.1",
        "*",
        "~",
        "...",
        "< ",
        "> ",
        "S. ",
        "1:1001(1000)",
        "ack 1",
        " win 9",
        "<mss 1460",
        ",nop",
        ">",
        "sack 1:2",
        "FO 0",
        "read(3, ..., ",
        "10)",
        " = -1",
        "{a=[",
        "\"",
        "%{ assert ",
        "é",
        "\n",
    ];

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn any_pieces_of_scripts_are_read_or_refused(picks in vec(0..PIECES.len(), 0..12)) {
            let _ = parse(&picks.iter().map(|pick| PIECES[*pick]).collect::<String>());
        }
    }

    #[test]
    fn times_are_exact_to_the_nanosecond() {
        let script =
            parse("0.3 close(3) = 0\n+.2~+.25 > . 1:1(0) ack 1\n* > . 1:1(0) ack 1\n+0...0.7 close(3) = 0")
                .expect("it is written well");
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
        assert_eq!(script.events[3].returns, Some(millis(700)));
    }

    #[test]
    fn comments_and_line_breaks_do_not_matter() {
        let script = parse(
            "// first\n0 /* what\n  kind */ socket(..., SOCK_STREAM,\n   IPPROTO_TCP) = 3 // its number\n+0 %{\n\
             assert tcpi_snd_cwnd == 10\n}%",
        )
        .expect("it is written well");
        let lines: Vec<usize> = script.events.iter().map(|event| event.line).collect();
        assert_eq!(lines, [2, 5]);
    }
}
