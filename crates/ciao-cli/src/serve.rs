//! `ciao serve`: how are the files of a directory served, and how does the server end?

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use ciao::{ShutdownReport, Stack};
use ciao_http::{
    files::{Files, Uploads},
    server::{self, Drained, RequestBody, ServerConfig, ServerEvent},
};
use ciao_stack::Tracing;
use hyper::{Request, service::service_fn};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    exit::Mistake,
    network::{self, Network, Plan},
    print,
    recording::{self, Keep, Recording},
};

/// How long a connection may take to finish when the server ends.
const DRAIN: Duration = Duration::from_secs(10);

/// The exit code of a program that SIGINT ends, as shells have it.
const INTERRUPTED: i32 = 130;

/// Serve the files of a directory by HTTP/1.0, HTTP/1.1 and HTTP/2 to any program on this machine
///
/// A TUN interface is made for as long as this runs: Ciao has the address given, this machine's kernel the
/// first other one of its network. Wants root or CAP_NET_ADMIN. Each request is one line: the peer, which
/// connection, which request on it, for HTTP/2 which stream, the request, the status, the bytes of the
/// body, the time.
///
/// Ctrl-C ends in order: no new connections, HTTP/2 is told GOAWAY, what is being served is finished,
/// connections in TIME-WAIT are shown. A second Ctrl-C ends at once.
#[derive(Debug, clap::Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct Serve {
    /// The directory; nothing outside of it is served
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Ciao's address and the length of its network; may be given for IPv4 and for IPv6
    #[arg(long = "addr", value_name = "ADDRESS/LENGTH", default_value = "10.77.0.2/24")]
    networks: Vec<Network>,

    /// The TCP port
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// Let PUT store files in the directory; they replace those of the same name
    #[arg(long)]
    uploads: bool,

    /// The name of the interface; without it the first free one of ciao0, ciao1, …
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,

    /// Write every packet to this file, for Wireshark (pcapng)
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let uploads = if self.uploads { Uploads::Stored } else { Uploads::Refused };
        let files = open_directory(&self.directory, uploads)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("no runtime")?.block_on(self.serve(files))
    }

    async fn serve(self, files: Files) -> anyhow::Result<()> {
        let interface = self.interface.as_deref();
        let host = recording::host_config(if self.pcap.is_some() { Tracing::On } else { Tracing::Off });
        let (stack, name) = network::open(&Plan { networks: &self.networks, interface, host })?;
        let recording = Recording::start(&stack, self.pcap.as_deref(), Keep::Last)?;
        let shutdown = CancellationToken::new();
        let config =
            ServerConfig { observer: Some(Arc::new(print)), drain_timeout: DRAIN, ..ServerConfig::default() };
        let mut servers = tokio::task::JoinSet::new();
        for network in &self.networks {
            let address = SocketAddr::new(network.own, self.port);
            let listener =
                stack.listen(address).await.with_context(|| format!("cannot listen at {address}"))?;
            servers.spawn(serve_files(listener, files.clone(), config.clone(), shutdown.clone()));
        }
        self.announce(&name);

        let mut interrupts = Interrupts::new()?;
        tokio::select! {
            () = interrupts.next() => {}
            // Without an interrupt a server only ends when its stack did.
            Some(ended) = servers.join_next() => {
                let ended = ended.context("the server's task ended")?;
                return ended.map(drop).context("the server ended");
            }
        }
        print::note("closing; Ctrl-C again to stop at once");
        shutdown.cancel();
        tokio::select! {
            () = interrupts.next() => std::process::exit(INTERRUPTED),
            () = finish(servers, &stack) => {}
        }
        recording.finish().await.map(drop)
    }

    fn announce(&self, interface: &str) {
        for network in &self.networks {
            let url = match (SocketAddr::new(network.own, self.port), self.port) {
                (SocketAddr::V4(address), 80) => format!("http://{}/", address.ip()),
                (SocketAddr::V6(address), 80) => format!("http://[{}]/", address.ip()),
                (address, _) => format!("http://{address}/"),
            };
            let (directory, kernel) = (self.directory.display(), network.kernel);
            print::note(format_args!(
                "serving {directory} at {url} through {interface}; this machine is {kernel}"
            ));
        }
    }
}

fn open_directory(directory: &Path, uploads: Uploads) -> anyhow::Result<Files> {
    Files::open(directory, uploads).map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "is not there".to_owned(),
            std::io::ErrorKind::NotADirectory => "is not a directory".to_owned(),
            std::io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
            _ => format!("cannot be opened: {error}"),
        };
        Mistake(format!("the directory {} {why}", directory.display())).into()
    })
}

async fn serve_files(
    listener: ciao::TcpListener,
    files: Files,
    config: ServerConfig,
    shutdown: CancellationToken,
) -> std::io::Result<Drained> {
    let service = service_fn(move |request: Request<RequestBody>| {
        let files = files.clone();
        async move { Ok::<_, std::convert::Infallible>(files.answer(request).await) }
    });
    server::serve(listener, service, config, shutdown).await
}

/// One line a request, and one for each connection that ended otherwise than agreed.
fn print(event: ServerEvent) {
    match event {
        ServerEvent::Request(record) => print::line(format_args!("{} {record}", time_of_day(since_epoch()))),
        ServerEvent::Closed { connection, requests, error: Some(error) } => {
            let error = error.escape_debug();
            let time = time_of_day(since_epoch());
            print::line(format_args!(
                "{time} connection {connection} ended after {requests} requests: {error}"
            ));
        }
        _ => {}
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Hours, minutes and seconds, UTC.
fn time_of_day(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

async fn finish(mut servers: tokio::task::JoinSet<std::io::Result<Drained>>, stack: &Stack) {
    let (mut finished, mut aborted) = (0, 0);
    while let Some(ended) = servers.join_next().await {
        if let Ok(Ok(drained)) = ended {
            finished += drained.finished;
            aborted += drained.aborted;
        }
    }
    let report = stack.shutdown(DRAIN).await;
    print::note(format_args!(
        "open connections that finished: {finished}; given up: {}",
        aborted + report.aborted
    ));
    print_time_waits(&report);
}

/// Lines of TIME-WAIT that are shown; more are counted.
const MAX_SHOWN: usize = 20;

fn print_time_waits(report: &ShutdownReport) {
    let count = report.time_waits.len();
    if count > 0 {
        print::note(format_args!("in TIME-WAIT, and now given up: {count}"));
    }
    for (local, remote, left) in report.time_waits.iter().take(MAX_SHOWN) {
        print::note(format_args!("TIME-WAIT {local} - {remote}, {:.1} s were left", left.as_secs_f64()));
    }
    if count > MAX_SHOWN {
        print::note(format_args!("and {} more", count - MAX_SHOWN));
    }
}

/// Ctrl-C, and the signal by which others ask a program to end.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn new() -> anyhow::Result<Interrupts> {
        let interrupt = signal(SignalKind::interrupt()).context("cannot watch for Ctrl-C")?;
        let terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
        Ok(Interrupts { interrupt, terminate })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_cannot_be_served_is_a_mistake() {
        for path in ["/nowhere/at/all", "/dev/null"] {
            let error = open_directory(Path::new(path), Uploads::Refused).unwrap_err();
            assert!(error.is::<Mistake>() && error.to_string().contains(path), "{error}");
        }
    }

    #[test]
    fn the_time_of_day_has_two_digits_each() {
        assert_eq!(time_of_day(Duration::from_secs(86_400 + 3_723)), "01:02:03Z");
    }
}
