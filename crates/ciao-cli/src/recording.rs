//! What is recorded of the packets: for a capture, for the ladder, and to say where a connection hung.
//!
//! A task takes the stack's records out every few milliseconds, because each one holds its packet in memory.

use std::{
    collections::BTreeMap,
    fs::File,
    io::BufWriter,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use ciao::{HostConfig, Stack};
use ciao_inspect::{capture::Recorder, packet::TcpPacket};
use ciao_stack::{ConnectionId, HostTraceEvent, TraceRecord, Tracing};
use ciao_tcp::{TcpState, TraceEvent, Transmission};
use ciao_wire::Instant;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// At 1 GB/s the records of this time hold 10 MB.
const DRAIN_EVERY: Duration = Duration::from_millis(10);

/// Records kept for the ladder; a page of more is not read by anybody.
const MAX_KEPT: usize = 100_000;

/// How Ciao is called in captures and ladders.
pub(crate) const OUR_NAME: &str = "ciao";

/// What a recording is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Only the last packet of each connection.
    Last,
    /// The records, for the ladder.
    Records,
}

/// A host with its trace on or off.
pub(crate) fn host_config(trace: Tracing) -> HostConfig {
    HostConfig { trace, ..HostConfig::default() }
}

/// What is known of a connection in a few words.
#[derive(Clone, Copy, Debug)]
struct Last {
    remote: Option<SocketAddr>,
    state: TcpState,
    sent: Option<(Instant, SentSegment)>,
    transmission: Option<Transmission>,
}

/// A segment in a few numbers.
#[derive(Clone, Copy, Debug)]
struct SentSegment {
    flags: ciao_wire::TcpFlags,
    payload_len: u32,
}

/// What was taken out so far.
struct Taken {
    capture: Option<(PathBuf, Recorder<BufWriter<File>>)>,
    kept: Option<Vec<TraceRecord>>,
    last: BTreeMap<ConnectionId, Last>,
    failure: Option<anyhow::Error>,
}

/// A running recording.
pub(crate) struct Recording {
    stack: Stack,
    taken: Arc<Mutex<Taken>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Recording {
    /// Begins, and makes the file of the capture.
    pub(crate) fn start(stack: &Stack, capture: Option<&Path>, keep: Keep) -> anyhow::Result<Recording> {
        let capture = capture.map(|path| create(path, stack)).transpose()?;
        let kept = (keep == Keep::Records).then(Vec::new);
        let taken = Arc::new(Mutex::new(Taken { capture, kept, last: BTreeMap::new(), failure: None }));
        let stop = CancellationToken::new();
        let task = tokio::spawn(drain(stack.clone(), Arc::clone(&taken), stop.clone()));
        Ok(Recording { stack: stack.clone(), taken, stop, task })
    }

    /// Ends the capture, and hands out what was kept.
    pub(crate) async fn finish(self) -> anyhow::Result<Vec<TraceRecord>> {
        self.stop.cancel();
        self.task.await.context("the recording task ended")?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.take(self.stack.drain_trace());
        if let Some((path, recorder)) = taken.capture.take() {
            recorder.finish().with_context(|| format!("cannot write {}", path.display()))?;
        }
        match taken.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(taken.kept.take().unwrap_or_default()),
        }
    }

    /// The state of the connection that is open, what it sent last and when.
    pub(crate) fn where_it_hung(&self) -> Option<String> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.take(self.stack.drain_trace());
        let last = taken.last.values().rev().find(|last| last.state != TcpState::Closed)?;
        let state = match (last.state, last.remote) {
            (TcpState::SynSent, Some(remote)) => format!("SYN-SENT, {remote} does not answer"),
            (state, _) => state.to_string(),
        };
        let Some((at, segment)) = last.sent else { return Some(format!("in {state}; nothing was sent")) };
        let what = match segment.payload_len {
            0 => segment.flags.to_string(),
            len => format!("{} with {len} bytes", segment.flags),
        };
        let why = last.transmission.map(|why| format!(", {why}")).unwrap_or_default();
        let ago = self.stack.now().since(at).as_secs_f64();
        Some(format!("in {state}; last sent: {what}{why}, {ago:.1} s ago"))
    }
}

fn create(path: &Path, stack: &Stack) -> anyhow::Result<(PathBuf, Recorder<BufWriter<File>>)> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let start = since_epoch.saturating_sub(stack.now().since(Instant::ZERO));
    let start_nanos = u64::try_from(start.as_nanos()).unwrap_or(u64::MAX);
    let names = stack.addresses().into_iter().map(|address| (address, OUR_NAME));
    let recorder = Recorder::new(BufWriter::new(file), &[OUR_NAME], names, start_nanos);
    Ok((path.to_owned(), recorder.with_context(|| format!("cannot write {}", path.display()))?))
}

async fn drain(stack: Stack, taken: Arc<Mutex<Taken>>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(DRAIN_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let records = stack.drain_trace();
        taken.lock().unwrap_or_else(PoisonError::into_inner).take(records);
    }
}

impl Taken {
    fn take(&mut self, records: Vec<TraceRecord>) {
        for record in records {
            self.note(&record);
            self.write(&record);
            if let Some(kept) = &mut self.kept
                && kept.len() < MAX_KEPT
            {
                kept.push(record);
            }
        }
    }

    /// A capture that cannot be written ends; the connection goes on.
    fn write(&mut self, record: &TraceRecord) {
        let Some((path, recorder)) = &mut self.capture else { return };
        if let Err(error) = recorder.record(0, record) {
            let failure = anyhow::Error::new(error).context(format!("cannot write {}", path.display()));
            self.failure = Some(failure);
            self.capture = None;
        }
    }

    fn note(&mut self, record: &TraceRecord) {
        let Some(connection) = record.connection else { return };
        let last = self.last.entry(connection);
        let last =
            last.or_insert(Last { remote: None, state: TcpState::Closed, sent: None, transmission: None });
        match &record.event {
            HostTraceEvent::Opened { remote, .. } => last.remote = Some(*remote),
            HostTraceEvent::Tcp(TraceEvent::StateChanged { to, .. }) => last.state = *to,
            HostTraceEvent::Tcp(TraceEvent::Transmitted { transmission, .. }) => {
                last.transmission = Some(*transmission);
            }
            HostTraceEvent::PacketSent { packet, .. } => {
                if let Some(TcpPacket { header, payload_len, .. }) = TcpPacket::parse(packet) {
                    last.sent = Some((record.at, SentSegment { flags: header.flags, payload_len }));
                }
            }
            _ => {}
        }
        if last.state == TcpState::Closed && last.sent.is_some() {
            self.last.remove(&connection);
        }
    }
}
