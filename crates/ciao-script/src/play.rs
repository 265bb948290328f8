//! How is a script played? [`play`]: event after event, in virtual time, until one is not as written.

use crate::calls::{self, Streams, pattern};
use crate::endpoint::{Endpoint, LOCAL_PORT, REMOTE_PORT, Sent};
use crate::event::{Action, Answer, Event, Script, When};
use crate::notation::{Bases, SegmentText, print_segment};
use crate::parse;
use bytes::Bytes;
use ciao_tcp::{IcmpError, IcmpErrorKind, Segment};
use ciao_wire::{Instant, SeqNum};
use core::fmt;
use core::time::Duration;

/// The number from which the script's own sequence numbers count; like ours just before the end of the number
/// space.
const REMOTE_BASE: u32 = u32::MAX - 1000;
/// The window of segments that name none, until one does.
const DEFAULT_WINDOW: u16 = u16::MAX;
/// How long `*` waits.
const PATIENCE: Duration = Duration::from_secs(1_000_000);

/// What went otherwise than written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The number of the line, from one; zero behind the end.
    pub line: usize,
    /// The line.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// All segments and lines up to here.
    pub transcript: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.transcript {
            writeln!(f, "    {line}")?;
        }
        match self.line {
            0 => write!(f, "at the end of the script: {}", self.message),
            line => write!(f, "line {line}: {}\n    {}", self.message, self.text),
        }
    }
}

impl core::error::Error for Failure {}

/// Reads and plays a script.
///
/// # Errors
/// The first thing that is not as written.
pub fn play(text: &str) -> Result<(), Failure> {
    let script = parse(text).map_err(|(line, message)| Failure {
        line,
        text: text.lines().nth(line - 1).unwrap_or_default().trim().to_owned(),
        message,
        transcript: Vec::new(),
    })?;
    let mut stage = Stage::new(&script);
    let mut last = None;
    let played = script.events.iter().try_for_each(|event| {
        last = Some(event);
        stage.play(event)
    });
    let (event, message) = match played {
        Err(message) => (last, message),
        Ok(()) => match stage.unexpected() {
            Err(message) => (None, message),
            Ok(()) => return Ok(()),
        },
    };
    Err(Failure {
        line: event.map_or(0, |event| event.line),
        text: event.map(|event| event.text.clone()).unwrap_or_default(),
        message,
        transcript: stage.transcript,
    })
}

/// Plays the script that `parts` make, one behind the other.
///
/// # Panics
/// When something is not as written; the message holds all segments up to there.
#[track_caller]
pub fn assert_plays<const N: usize>(parts: [&str; N]) {
    if let Err(failure) = play(&parts.join("\n")) {
        panic!("the script does not go as written\n{failure}");
    }
}

/// Where a script is played.
struct Stage {
    endpoint: Endpoint,
    streams: Streams,
    tolerance: Duration,
    now: Instant,
    /// When the event before happened.
    previous: Instant,
    window: u16,
    transcript: Vec<String>,
}

impl Stage {
    fn new(script: &Script) -> Self {
        Self {
            endpoint: Endpoint::new(&script.options),
            streams: Streams::default(),
            tolerance: script.options.tolerance,
            now: Instant::ZERO,
            previous: Instant::ZERO,
            window: DEFAULT_WINDOW,
            transcript: Vec::new(),
        }
    }

    fn play(&mut self, event: &Event) -> Result<(), String> {
        let (earliest, latest) = match event.when {
            When::Any => (Instant::ZERO, self.now + PATIENCE),
            When::Absolute(from, to) => (Instant::ZERO + from, Instant::ZERO + to),
            When::Relative(from, to) => (self.previous + from, self.previous + to),
        };
        if let Action::Expect(expected) = &event.action {
            self.previous = self.expect(expected, earliest, latest)?;
            return Ok(());
        }
        self.pass(if event.when == When::Any { self.now } else { earliest })?;
        self.unexpected()?;
        self.previous = self.now;
        self.note(&event.text);
        match &event.action {
            Action::Expect(_) => unreachable!("handled above"),
            Action::Inject(segment) => {
                let segment = self.segment(segment);
                self.endpoint.handle_segment(self.now, segment);
            }
            Action::Icmp(kind, start) => self.icmp(kind, *start)?,
            Action::Call(call, result) => {
                let (endpoint, streams) = (&mut self.endpoint, &mut self.streams);
                calls::make(endpoint, streams, self.now, call, result.as_deref())?;
            }
            Action::State(state) => {
                let found = self.endpoint.state();
                return if found == *state { Ok(()) } else { Err(format!("the state is {found}")) };
            }
            Action::Check(check, value) => return calls::check(&mut self.endpoint, *check, value),
        }
        match event.answer {
            Answer::AtOnce => self.endpoint.drain(self.now),
            Answer::AfterNext => Ok(()),
        }
    }

    /// Lets time pass up to `until`, with all timers that run out on the way.
    fn pass(&mut self, until: Instant) -> Result<(), String> {
        while self.step(until)? {}
        self.now = self.now.max(until);
        Ok(())
    }

    /// Lets the next timer run out, if that is before or at `until`.
    fn step(&mut self, until: Instant) -> Result<bool, String> {
        let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= until) else { return Ok(false) };
        self.now = self.now.max(at);
        self.endpoint.handle_timeout(self.now);
        self.endpoint.drain(self.now)?;
        Ok(true)
    }

    /// Fails when something was sent that the script does not expect here.
    fn unexpected(&mut self) -> Result<(), String> {
        match self.endpoint.outbox.pop_front() {
            Some(sent) => Err(format!("not expected: {}", self.print(&sent))),
            None => Ok(()),
        }
    }

    /// Waits for the segment, and perhaps for its continuations; answers when the last one was sent.
    fn expect(
        &mut self,
        expected: &SegmentText,
        earliest: Instant,
        latest: Instant,
    ) -> Result<Instant, String> {
        let mut rest = expected.clone();
        loop {
            while self.endpoint.outbox.is_empty() && self.step(latest + self.tolerance)? {}
            let Some(sent) = self.endpoint.outbox.pop_front() else {
                return Err(format!("nothing was sent up to {latest}"));
            };
            let text = self.print(&sent);
            let (header, payload) = (&sent.segment.header, &sent.segment.payload);
            let len = u32::try_from(payload.len()).map_err(|_| "a segment is far too long")?;
            rest.compare(header, len, self.bases()).map_err(|fault| format!("{fault}: {text}"))?;
            self.sound(&sent)?;
            self.note(&text);
            if len < rest.len && len > 0 {
                rest.start += len;
                rest.len -= len;
                continue;
            }
            if len != rest.len {
                return Err(format!("it holds {len} bytes: {text}"));
            }
            let (from, to) = (earliest - self.tolerance, latest + self.tolerance);
            if sent.at < from || sent.at > to {
                return Err(format!("sent at {}, expected {earliest} to {latest}: {text}", sent.at));
            }
            return Ok(sent.at);
        }
    }

    /// What holds for every segment that is sent.
    fn sound(&self, sent: &Sent) -> Result<(), String> {
        let header = &sent.segment.header;
        if (header.source_port, header.destination_port) != (LOCAL_PORT, REMOTE_PORT) {
            return Err("it has other ports".to_owned());
        }
        let mut bytes = vec![0; header.header_len()];
        header.emit(&mut bytes);
        match ciao_wire::TcpHeader::parse(&bytes) {
            Ok((parsed, len)) if parsed == *header && len == bytes.len() => {}
            parsed => return Err(format!("its header reads as {parsed:?}")),
        }
        if header.options.mss.is_some() && !header.flags.syn() {
            return Err("it announces an MSS without SYN".to_owned());
        }
        let first = header.seq.0.wrapping_sub(self.bases().turned().ack) + u32::from(header.flags.syn());
        let data = sent.segment.payload.chunks().flatten();
        match data.zip(first..).find(|(byte, position)| **byte != pattern(*position)) {
            Some((_, position)) => Err(format!("byte {position} of the stream is another one")),
            None => Ok(()),
        }
    }

    /// The numbers of segments that we send.
    fn bases(&self) -> Bases {
        Bases {
            seq: self.endpoint.iss().0,
            ack: REMOTE_BASE,
            timestamp_value: self.endpoint.timestamp_offset(),
            timestamp_echo: 0,
        }
    }

    /// The segment of the script's end.
    fn segment(&mut self, text: &SegmentText) -> Segment {
        self.window = text.window.unwrap_or(self.window);
        let mut header = text.header(self.bases().turned(), self.window);
        (header.source_port, header.destination_port) = (REMOTE_PORT, LOCAL_PORT);
        let first = text.start + u32::from(text.flags.syn());
        let data: Vec<u8> = (first..first + text.len).map(pattern).collect();
        Segment { header, payload: Bytes::from(data).into(), segment_size: 0 }
    }

    fn icmp(&mut self, name: &str, start: u32) -> Result<(), String> {
        let kind = match name {
            "net_unreachable" => IcmpErrorKind::NetworkUnreachable,
            "host_unreachable" => IcmpErrorKind::HostUnreachable,
            "port_unreachable" => IcmpErrorKind::PortUnreachable,
            _ => return Err(format!("`{name}` is no ICMP error")),
        };
        let quoted_seq = SeqNum(start) + self.bases().seq;
        let _ = self.endpoint.handle_icmp(IcmpError { kind, quoted_seq })?;
        Ok(())
    }

    fn print(&self, sent: &Sent) -> String {
        let len = sent.segment.payload.len();
        let segment =
            print_segment(&sent.segment.header, u32::try_from(len).unwrap_or(u32::MAX), self.bases());
        format!("{} > {segment}", print_seconds(sent.at))
    }

    fn note(&mut self, text: &str) {
        let at = print_seconds(self.now);
        self.transcript.push(if text.starts_with(&at) {
            text.to_owned()
        } else {
            format!("{at}   | {text}")
        });
    }
}

fn print_seconds(at: Instant) -> String {
    format!("{:.6}", at.since(Instant::ZERO).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENING: &str = "
        --timestamps=off
        +0   connect
        +0   > S 0:0(0) <...>
        +.02 < S. 0:0(0) ack 1 win 65535 <mss 1000>
        +0   > . 1:1(0) ack 1
    ";

    #[test]
    fn what_is_as_written_passes() {
        play(&format!("{OPENING} +0 state ESTABLISHED")).unwrap_or_else(|failure| panic!("{failure}"));
    }

    #[test]
    fn every_deviation_is_told_with_its_line() {
        for (rest, expected) in [
            ("+0 state CLOSED", "line 7: the state is ESTABLISHED"),
            ("+0 > . 1:1(0) ack 1", "line 7: nothing was sent up to 20.000 ms"),
            ("+0 write 10", "at the end of the script: not expected"),
            ("+0 write 10\n+0 > P. 1:11(10) ack 2", "line 8: the acknowledgment is 1, not 2"),
            ("+0 write 10\n+1 > P. 1:11(10) ack 1", "line 8: sent at 20.000 ms, expected 1020.000 ms"),
            ("+0 write 10\n+0 > P. 1:11(10) ack 1 <nop>", "line 8: the options are not <nop>"),
            ("+0 read 10 = 3", "line 7: the call answers WouldBlock, not 3"),
            ("+0 fly", "line 7: `fly` is neither"),
        ] {
            let found = play(&format!("{OPENING}{rest}")).expect_err("it is not as written").to_string();
            assert!(found.contains(expected), "{rest}: {found}");
        }
    }
}
