//! `ciao get`: how are URLs fetched, and how is told what did not arrive?
//!
//! Not here: which connection a request takes (`ciao_http::client`), where a body goes (`get/output.rs`).

mod output;
mod reach;

use std::{collections::VecDeque, path::PathBuf, time::Duration};

use anyhow::Context as _;
use ciao_http::client::{Client, ClientError, Framing, HttpVersion, Payload, ResponseBody};
use ciao_inspect::{Vantage, history, ladder};
use ciao_stack::{TraceRecord, Tracing};
use http_body_util::BodyExt as _;
use hyper::{
    Request, Response, Uri,
    body::Body as _,
    header::{self, HeaderValue},
};
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    exit::{self, BadStatus, Incomplete, Mistake, TimedOut},
    network::{self, Network, Plan},
    print,
    recording::{self, Keep, OUR_NAME, Recording},
};
use output::{Output, WithoutFile};
use reach::Reach;

/// HTTP/2 requests at once on one connection. The client's window for a stream is 1 MiB and that for all of
/// them 128 MiB: no response that waits for its turn can hold up the one that is being read.
const MAX_AT_ONCE: usize = 64;

/// Some servers answer nobody who does not say who asks.
const USER_AGENT: &str = concat!("ciao/", env!("CARGO_PKG_VERSION"));

/// For our FINs and the peer's when all is fetched.
const CLOSE: Duration = Duration::from_secs(2);

/// Fetch URLs over Ciao's own TCP
///
/// A TUN interface is made for as long as this runs, and the kernel has the other end of it; wants root or
/// CAP_NET_ADMIN. What listens on this machine is reached at the kernel's address there (10.77.0.1 by
/// default) and at its other addresses. Hosts beyond this machine are reached if it forwards packets and
/// translates their addresses (`sysctl net.ipv4.ip_forward=1` and a MASQUERADE rule): Ciao does not change
/// such settings. Names are resolved by this machine.
///
/// Several URLs of one host share connections as the version allows: HTTP/1.0 never, HTTP/1.1 in turn,
/// HTTP/2 at once. Bodies go to standard output in the order of the URLs.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Get {
    /// What to fetch: http://host[:port]/path
    #[arg(value_name = "URL", required = true)]
    urls: Vec<String>,

    /// HTTP/1.0: a connection for each URL
    #[arg(long = "http1.0", group = "http-version")]
    http10: bool,

    /// HTTP/1.1: one connection for each host, its requests in turn (the default)
    #[arg(long = "http1.1", group = "http-version")]
    http11: bool,

    /// HTTP/2 by prior knowledge: one connection for each host, its requests at once
    #[arg(long = "http2", group = "http-version")]
    http2: bool,

    /// Write the body to this file; with several URLs once for each, in their order
    #[arg(short, long, value_name = "FILE")]
    output: Vec<PathBuf>,

    /// Draw every segment of every connection; bodies are then shown by -o alone
    #[arg(long)]
    ladder: bool,

    /// Write every packet to this file, for Wireshark (pcapng)
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,

    /// Ciao's address and the length of its network; by default the first free of 10.77.0.2/24,
    /// 10.77.1.2/24, …
    #[arg(long = "addr", value_name = "ADDRESS/LENGTH")]
    networks: Vec<Network>,

    /// The name of the interface; without it the first free one of ciao0, ciao1, …
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,

    /// Give up when nothing arrives for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

impl Get {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let urls = self.urls.iter().map(|url| parse(url)).collect::<anyhow::Result<Vec<_>>>()?;
        if !self.output.is_empty() && self.output.len() != urls.len() {
            let (outputs, urls) = (self.output.len(), urls.len());
            return Err(Mistake(format!(
                "-o is given {outputs} times for {urls} URLs; once for each, or never"
            ))
            .into());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("no runtime")?.block_on(self.get(urls))
    }

    async fn get(self, urls: Vec<Uri>) -> anyhow::Result<()> {
        let networks = if self.networks.is_empty() { default_networks(&urls) } else { self.networks.clone() };
        let (interface, host) = (self.interface.as_deref(), recording::host_config(Tracing::On));
        let (stack, _name) = network::open(&Plan { networks: &networks, interface, host })?;
        let keep = if self.ladder { Keep::Records } else { Keep::Last };
        let recording = Recording::start(&stack, self.pcap.as_deref(), keep)?;
        let client = Client::new(Reach::new(stack.clone(), networks), self.version());
        let result = self.fetch_all(&client, &urls, &recording).await;
        // What does not close in time is ended with the stack.
        let _closed = timeout(CLOSE, client.close()).await;
        stack.shutdown(CLOSE).await;
        let records = recording.finish().await;
        if self.ladder {
            draw(records.as_deref().unwrap_or_default());
        }
        result.and(records.map(drop))
    }

    fn version(&self) -> HttpVersion {
        match (self.http10, self.http2) {
            (true, _) => HttpVersion::Http10,
            (_, true) => HttpVersion::Http2,
            _ => HttpVersion::Http11,
        }
    }

    /// All of them, whatever becomes of each; the first error is the command's, the others are said at once.
    async fn fetch_all(
        &self,
        client: &Client<Reach>,
        urls: &[Uri],
        recording: &Recording,
    ) -> anyhow::Result<()> {
        let at_once = if self.http2 { MAX_AT_ONCE } else { 1 };
        let mut waiting = urls.iter().enumerate();
        let mut asked = VecDeque::new();
        let mut result = Ok(());
        loop {
            while asked.len() < at_once
                && let Some((number, url)) = waiting.next()
            {
                let (client, uri) = (client.clone(), url.clone());
                asked.push_back((number, url, tokio::spawn(async move { client.send(request(&uri)).await })));
            }
            let Some((number, url, head)) = asked.pop_front() else { return result };
            let fetched = self.fetch(head, number, recording).await.with_context(|| url.to_string());
            match (&result, fetched) {
                (Ok(()), Err(error)) => result = Err(error),
                (Err(_), Err(error)) => print::note(exit::message(&error)),
                (_, Ok(())) => {}
            }
        }
    }

    async fn fetch(&self, head: Head, number: usize, recording: &Recording) -> anyhow::Result<()> {
        let stop = head.abort_handle();
        let response = match timeout(Duration::from_secs(self.timeout), head).await {
            Ok(response) => response
                .context("the request's task ended")?
                .map_err(|error| no_response(error, recording))?,
            Err(_elapsed) => {
                stop.abort();
                return Err(self.hung("no response", recording).into());
            }
        };
        if !response.status().is_success() {
            return Err(bad_status(&response).into());
        }
        let whole = response.body().size_hint().exact();
        let path = self.output.get(number).map(PathBuf::as_path);
        let without_file = if self.ladder { WithoutFile::Counted } else { WithoutFile::StandardOutput };
        let mut output = Output::open(path, without_file, whole)?;
        self.receive(response.into_body(), &mut output, recording).await
    }

    async fn receive(
        &self,
        mut body: ResponseBody,
        output: &mut Output,
        recording: &Recording,
    ) -> anyhow::Result<()> {
        loop {
            match timeout(Duration::from_secs(self.timeout), body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    if let Some(data) = frame.data_ref() {
                        output.write(data)?;
                    }
                }
                Ok(Some(Err(error))) => {
                    let error = anyhow::Error::new(error);
                    return Err(Incomplete(format!("{}: {}", output.part(), exit::message(&error))).into());
                }
                Ok(None) => break,
                Err(_elapsed) => return Err(self.hung(&output.part(), recording).into()),
            }
        }
        if body.framing() == Framing::Connection {
            print::note("the server gave no length; the connection's end was taken for the body's");
        }
        output.finish()
    }

    fn hung(&self, what: &str, recording: &Recording) -> TimedOut {
        let place = recording.where_it_hung().map(|place| format!("; the connection hung {place}"));
        let (seconds, place) = (self.timeout, place.unwrap_or_default());
        TimedOut(format!("timed out: {what}, nothing arrived for {seconds} s{place}"))
    }
}

/// The first free networks of the versions that the URLs name; a name of a host may have IPv4.
fn default_networks(urls: &[Uri]) -> Vec<Network> {
    let is_ipv6 = |url: &Uri| url.host().is_some_and(|host| host.starts_with('['));
    let ipv4 = urls.iter().any(|url| !is_ipv6(url)).then(network::first_free_ipv4);
    let ipv6 = urls.iter().any(is_ipv6).then(network::first_free_ipv6);
    ipv4.into_iter().chain(ipv6).collect()
}

fn request(uri: &Uri) -> Request<Payload> {
    let mut request = Request::new(Payload::none());
    *request.uri_mut() = uri.clone();
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    request
}

type Head = JoinHandle<Result<Response<ResponseBody>, ClientError>>;

fn parse(url: &str) -> anyhow::Result<Uri> {
    let bad = |why: &str| Mistake(format!("{url:?} is not a usable URL: {why}"));
    let uri: Uri = url.parse().map_err(|_| bad("it wants the form http://host[:port]/path"))?;
    Ok(ciao_http::client::check_target(&uri).map(|()| uri).map_err(bad)?)
}

fn bad_status(response: &Response<ResponseBody>) -> BadStatus {
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let status = response.status();
    BadStatus(match location {
        Some(location) => format!("the server answered {status}, see {location}"),
        None => format!("the server answered {status}"),
    })
}

/// Why there is no response, with the place where the connection hung when that is why.
fn no_response(error: ClientError, recording: &Recording) -> anyhow::Error {
    match error {
        ClientError::Connect(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            let place = recording.where_it_hung().map(|place| format!("; the connection hung {place}"));
            TimedOut(format!("no connection: {error}{}", place.unwrap_or_default())).into()
        }
        ClientError::Exchange(error) => {
            let error = anyhow::Error::new(error);
            Incomplete(format!("no response: {}", exit::message(&error))).into()
        }
        error => error.into(),
    }
}

fn draw(records: &[TraceRecord]) {
    let connections = history::from_hosts(&[Vantage { name: OUR_NAME, records }]);
    for connection in &connections {
        print::line(ladder::ladder(connection, &ladder::Options::default()).coloured());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_url_is_a_mistake_that_says_why() {
        for (url, why) in [
            ("ht!tp:/x", "http://host[:port]/path"),
            ("example.net", "it must begin with http://"),
            ("https://example.net/", "only http:// is supported"),
            ("http://a:70000/", "its port is not a number up to 65535"),
            ("", "http://host[:port]/path"),
        ] {
            let error = parse(url).unwrap_err();
            assert!(error.is::<Mistake>() && error.to_string().contains(why), "{url}: {error}");
        }
    }
}
