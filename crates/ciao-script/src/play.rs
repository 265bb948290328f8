//! How is a script played? [`play`]: event after event, in virtual time, until one is not as written.

use crate::assertion;
use crate::calls::Caller;
use crate::errno::{self, Reply};
use crate::event::{Action, CallText, Event, Script, When};
use crate::facts;
use crate::notation::SegmentText;
use crate::options::{Arrivals, IpVersion};
use crate::packets::{Seen, SegmentSeen};
use crate::parse;
use crate::sockets::Sockets;
use crate::stage::{Sent, Side, Stage, print_seconds};
use ciao_stack::TraceRecord;
use ciao_wire::Instant;
use core::fmt;
use core::time::Duration;

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
    /// Under which version of IP; `None` when the script cannot be read at all.
    pub version: Option<IpVersion>,
    /// All segments and lines up to here.
    pub transcript: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.transcript {
            writeln!(f, "    {line}")?;
        }
        if let Some(version) = self.version {
            write!(f, "{version}, ")?;
        }
        match self.line {
            0 => write!(f, "at the end of the script: {}", self.message),
            line => write!(f, "line {line}: {}\n    {}", self.message, self.text),
        }
    }
}

impl core::error::Error for Failure {}

/// A script that was played.
#[derive(Debug)]
pub struct Performance {
    /// Whether it went as written.
    pub outcome: Result<(), Failure>,
    /// All that the host recorded, up to the line that failed.
    pub records: Vec<TraceRecord>,
    /// The host's time when it began.
    pub start: Instant,
}

/// Reads a script and plays it under each of its versions of IP.
///
/// # Errors
/// The first thing that is not as written.
pub fn play(text: &str) -> Result<(), Failure> {
    let script = parse(text).map_err(|(line, message)| Failure {
        line,
        text: text.lines().nth(line - 1).unwrap_or_default().trim().to_owned(),
        message,
        version: None,
        transcript: Vec::new(),
    })?;
    script.options.versions.iter().try_for_each(|version| perform(&script, *version).outcome)
}

/// Plays a script under one version of IP.
#[must_use]
pub fn perform(script: &Script, version: IpVersion) -> Performance {
    let failure = |event: Option<&Event>, message, transcript| Failure {
        line: event.map_or(0, |event| event.line),
        text: event.map(|event| event.text.clone()).unwrap_or_default(),
        message,
        version: Some(version),
        transcript,
    };
    let side = if calls(script, "connect") { Side::Caller } else { Side::Service };
    let mut player = match Stage::new(&script.options, version, side) {
        Ok(stage) => Player::new(script, stage),
        Err(message) => {
            let outcome = Err(failure(script.events.first(), message, Vec::new()));
            return Performance { outcome, records: Vec::new(), start: Instant::ZERO };
        }
    };
    let mut last = None;
    let played = script.events.iter().try_for_each(|event| {
        last = Some(event);
        player.play(event)
    });
    let outcome = match played {
        Err(message) => Err((last, message)),
        Ok(()) => player.finish().map_err(|message| (None, message)),
    };
    let outcome =
        outcome.map_err(|(event, message)| failure(event, message, core::mem::take(&mut player.transcript)));
    Performance { outcome, records: player.stage.records, start: player.stage.start }
}

/// Whether a script calls `name` before anything arrives.
fn calls(script: &Script, name: &str) -> bool {
    let first = script.events.iter().find_map(|event| match &event.action {
        Action::Call(call) if call.name == "listen" || call.name == "connect" => Some(call.name == name),
        _ => None,
    });
    first.unwrap_or(false)
}

/// The state of a play.
struct Player {
    stage: Stage,
    sockets: Sockets,
    tolerance: Duration,
    arrivals: Arrivals,
    /// When the event before happened, in the host's time.
    previous: Instant,
    /// Calls that wait.
    waiting: Vec<Waiting>,
    /// Segments that arrive with the next event at the latest.
    batch: Vec<SegmentText>,
    transcript: Vec<String>,
}

/// A call that waits.
struct Waiting {
    call: CallText,
    progress: usize,
    line: usize,
    /// When it is to return.
    until: Instant,
}

impl Player {
    fn new(script: &Script, stage: Stage) -> Self {
        Self {
            previous: stage.start,
            stage,
            sockets: Sockets::default(),
            tolerance: script.options.tolerance,
            arrivals: script.options.arrivals,
            waiting: Vec::new(),
            batch: Vec::new(),
            transcript: Vec::new(),
        }
    }

    fn play(&mut self, event: &Event) -> Result<(), String> {
        let (base, earliest, latest) = match event.when {
            When::Any => (self.stage.now, Duration::ZERO, PATIENCE),
            When::Absolute(from, to) => (self.stage.start, from, to),
            When::Relative(from, to) => (self.previous, from, to),
        };
        let (earliest, latest) = (base + earliest, base + latest);
        if let (Action::Inject(segment), Arrivals::Batched) = (&event.action, self.arrivals)
            && earliest <= self.stage.now
        {
            self.note(&event.text);
            self.batch.push(segment.clone());
            return Ok(());
        }
        self.deliver()?;
        if let Action::Expect(expected) = &event.action {
            self.previous = self.expect(expected, earliest, latest)?;
            return Ok(());
        }
        self.pass(earliest.max(self.stage.now.min(latest)))?;
        self.unexpected()?;
        self.previous = self.stage.now;
        self.note(&event.text);
        match &event.action {
            Action::Expect(_) => unreachable!("handled above"),
            Action::Inject(segment) if self.arrivals == Arrivals::Batched => {
                self.batch.push(segment.clone());
                return Ok(());
            }
            Action::Inject(segment) => self.stage.inject(&[segment]),
            Action::Icmp(icmp) => self.stage.inject_icmp(icmp)?,
            Action::Call(call) => self.call(call, event, base)?,
            Action::Assert(comparisons) => {
                let (stage, sockets) = (&mut self.stage, &self.sockets);
                return comparisons.iter().try_for_each(|comparison| {
                    assertion::check(comparison, |name| facts::fact(stage, sockets, name))
                });
            }
        }
        self.settle()
    }

    /// What is left when the script is over.
    fn finish(&mut self) -> Result<(), String> {
        self.deliver()?;
        match self.waiting.first() {
            Some(waiting) => Err(format!("the call of line {} still waits", waiting.line)),
            None => self.unexpected(),
        }
    }

    /// Lets a batch arrive.
    fn deliver(&mut self) -> Result<(), String> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = core::mem::take(&mut self.batch);
        self.stage.inject(&batch.iter().collect::<Vec<_>>());
        self.settle()
    }

    /// Makes a call.
    fn call(&mut self, call: &CallText, event: &Event, base: Instant) -> Result<(), String> {
        let mut progress = 0;
        match self.attempt(call, &mut progress)? {
            Reply::Blocks(_) => match event.returns {
                Some(returns) => {
                    let until = base + returns;
                    self.waiting.push(Waiting { call: call.clone(), progress, line: event.line, until });
                    Ok(())
                }
                None => Err("the call waits: write when it returns, or forbid it by O_NONBLOCK".to_owned()),
            },
            _ if event.returns.is_some_and(|returns| base + returns > self.stage.now) => {
                Err("the call returns at once".to_owned())
            }
            reply => same_reply(call, reply),
        }
    }

    fn attempt(&mut self, call: &CallText, progress: &mut usize) -> Result<Reply, String> {
        Caller { stage: &mut self.stage, sockets: &mut self.sockets, call, progress }.attempt()
    }

    /// Takes out what follows from an input, and lets calls return.
    fn settle(&mut self) -> Result<(), String> {
        self.stage.drain()?;
        self.hear();
        let mut index = 0;
        while index < self.waiting.len() {
            let mut waiting = self.waiting.remove(index);
            match self.attempt(&waiting.call.clone(), &mut waiting.progress)? {
                Reply::Blocks(_) => {
                    self.waiting.insert(index, waiting);
                    index += 1;
                }
                reply => {
                    let Waiting { call, line, until, .. } = waiting;
                    let (now, tolerance) = (self.stage.now, self.tolerance);
                    if now + tolerance < until || now > until + tolerance {
                        let now = print_seconds(self.stage.elapsed(now));
                        return Err(format!("the call of line {line} returns at {now}"));
                    }
                    same_reply(&call, reply).map_err(|fault| format!("the call of line {line}: {fault}"))?;
                }
            }
            self.stage.drain()?;
        }
        Ok(())
    }

    /// Notes what ICMP said, for who asks for `SO_ERROR`.
    fn hear(&mut self) {
        for (id, error) in self.stage.soft_errors.drain(..) {
            if let Some(socket) = self.sockets.holder_of(id) {
                socket.soft_error = Some(errno::of_connection(error));
            }
        }
    }

    /// Lets time pass up to `until`, with all timers that run out on the way.
    fn pass(&mut self, until: Instant) -> Result<(), String> {
        while self.step(until)? {}
        self.stage.now = self.stage.now.max(until);
        Ok(())
    }

    /// Lets the next timer run out, if that is before or at `until`.
    fn step(&mut self, until: Instant) -> Result<bool, String> {
        let Some(at) = self.stage.host.poll_timeout().filter(|at| *at <= until) else { return Ok(false) };
        self.stage.now = self.stage.now.max(at);
        self.stage.host.handle_timeout(self.stage.now);
        self.settle()?;
        if self.stage.host.poll_timeout().is_some_and(|next| next <= at) {
            return Err(format!("at {} a timer does not end", print_seconds(self.stage.elapsed(at))));
        }
        Ok(true)
    }

    /// Fails when something was sent that the script does not expect here.
    fn unexpected(&mut self) -> Result<(), String> {
        match self.stage.outbox.pop_front() {
            Some(sent) => Err(format!("not expected: {}", self.stage.print(&sent))),
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
            while self.stage.outbox.is_empty() && self.step(latest + self.tolerance)? {}
            let Some(sent) = self.stage.outbox.pop_front() else {
                let latest = print_seconds(self.stage.elapsed(latest));
                return Err(format!("nothing was sent up to {latest}"));
            };
            let len = self.compare(&rest, &sent)?;
            let text = self.stage.print(&sent);
            self.note(&text);
            if len < rest.len && len > 0 {
                rest.start = rest.start.wrapping_add(len);
                rest.len -= len;
                continue;
            }
            if len != rest.len {
                return Err(format!("it holds {len} bytes: {text}"));
            }
            let (from, to) = (earliest - self.tolerance, latest + self.tolerance);
            if sent.at < from || sent.at > to {
                let time = |at| print_seconds(self.stage.elapsed(at));
                let (at, from, to) = (time(sent.at), time(earliest), time(latest));
                return Err(format!("sent at {at}, expected {from} to {to}: {text}"));
            }
            return Ok(sent.at);
        }
    }

    /// Compares a packet with a line, and answers how many bytes it holds.
    fn compare(&mut self, rest: &SegmentText, sent: &Sent) -> Result<u32, String> {
        let Seen::Segment(segment) = &sent.seen else {
            return Err(format!("not expected: {}", self.stage.print(sent)));
        };
        if sent.opens {
            self.stage.rename_timestamp(segment, rest);
        }
        let ports = rest.ports.unwrap_or(self.stage.ports);
        let bases = self.stage.numbers(segment.ports).outbound();
        let fault = match segment {
            SegmentSeen { ports: found, .. } if *found != ports => Err("it has other ports".to_owned()),
            _ => rest.compare(segment, bases),
        };
        fault.map_err(|fault| format!("{fault}: {}", self.stage.print(sent)))?;
        Ok(segment.payload.len() as u32)
    }

    fn note(&mut self, text: &str) {
        let at = print_seconds(self.stage.elapsed(self.stage.now));
        self.transcript.push(if text.starts_with(&at) {
            text.to_owned()
        } else {
            format!("{at}   | {text}")
        });
    }
}

/// Whether a call answers what the script says.
fn same_reply(call: &CallText, reply: Reply) -> Result<(), String> {
    let expected = match &call.errno {
        Some(errno) => format!("-1 {errno}"),
        None => call.result.to_string(),
    };
    let found = match reply {
        Reply::Returns(result) => result.to_string(),
        Reply::Fails(errno) | Reply::Blocks(errno) => format!("-1 {errno}"),
    };
    if expected == found { Ok(()) } else { Err(format!("the call answers {found}, not {expected}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENING: &str = "`sysctl -q net.ipv4.tcp_timestamps=0`
        0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
        +0...0.02 connect(3, ..., ...) = 0
        +0   > S 0:0(0) <...>
        +.02 < S. 0:0(0) ack 1 win 65535 <mss 1000>
        +0   > . 1:1(0) ack 1
    ";

    #[test]
    fn what_is_as_written_passes() {
        let end = "+0 %{ assert tcpi_state == TCP_ESTABLISHED }%";
        play(&format!("{OPENING}{end}")).unwrap_or_else(|failure| panic!("{failure}"));
    }

    #[test]
    fn every_deviation_is_told_with_its_line() {
        for (rest, expected) in [
            ("+0 %{ assert tcpi_state == TCP_CLOSE }%", "line 7: tcpi_state is 1, TCP_CLOSE is 7"),
            ("+0 > . 1:1(0) ack 1", "line 7: nothing was sent up to 0.020000"),
            ("+0 write(3, ..., 10) = 10", "at the end of the script: not expected"),
            ("+0 write(3, ..., 10) = 10\n+0 > P. 1:11(10) ack 2", "line 8: the acknowledgment is 1, not 2"),
            (
                "+0 write(3, ..., 10) = 10\n+1 > P. 1:11(10) ack 1",
                "line 8: sent at 0.020000, expected 1.020000",
            ),
            ("+0 write(3, ..., 10) = 10\n+0 > P. 1:11(10) ack 1 <nop>", "line 8: the options are not <nop>"),
            ("+0 read(3, ..., 10) = 3", "line 7: the call waits"),
            ("+0...1 read(3, ..., 10) = 3", "at the end of the script: the call of line 7 still waits"),
            ("+0 write(3, ..., 10) = 9", "line 7: the call answers 10, not 9"),
            ("+0 fly(3) = 0", "line 7: `fly` is no call that is known here"),
        ] {
            let found = play(&format!("{OPENING}{rest}")).expect_err("it is not as written").to_string();
            assert!(found.contains(expected), "{rest}: {found}");
        }
    }
}
