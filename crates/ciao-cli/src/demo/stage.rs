//! The two hosts, the link between them, and what is recorded.

use std::{fs::File, future::Future, io::BufWriter, net::SocketAddr, path::Path, time::Duration};

use anyhow::Context as _;
use ciao::{HostConfig, Simulation, Stack, TcpListener, TcpStream};
use ciao_inspect::{
    Vantage, capture,
    history::{self, Connection},
};
use ciao_sim::{LinkConfig, Rule};
use ciao_stack::{ConnectRequest, TraceRecord, Tracing};

use super::Conditions;

/// The names of the two lanes.
pub(super) const CLIENT: &str = "client";
pub(super) const SERVER: &str = "server";

/// Where the server listens: it is the second host of the link.
pub(super) const SERVER_ADDRESS: &str = "10.0.0.2:80";

/// Longer than TIME-WAIT: when it has passed, nothing more happens.
pub(super) const UNTIL_QUIET: Duration = Duration::from_secs(65);

/// When the capture begins, in nanoseconds since 1970-01-01: 2000-01-01, so that the same run gives the same
/// file.
const CAPTURE_START_NANOS: u64 = 946_684_800_000_000_000;

/// Two hosts on a link.
pub(super) struct Stage {
    pub(super) simulation: Simulation,
    pub(super) client: Stack,
    pub(super) server: Stack,
}

/// What is particular to a scene.
#[derive(Clone, Default)]
pub(super) struct Setting {
    pub(super) client: HostConfig,
    pub(super) server: HostConfig,
    /// What becomes of certain packets that the client sends.
    pub(super) from_client: Vec<Rule>,
    /// … and the server.
    pub(super) from_server: Vec<Rule>,
}

/// What was recorded of both hosts.
pub(super) struct Records {
    pub(super) client: Vec<TraceRecord>,
    pub(super) server: Vec<TraceRecord>,
}

impl Stage {
    pub(super) fn new(conditions: &Conditions, setting: Setting) -> Self {
        let Setting { client, server, from_client, from_server } = setting;
        let traced = |config| HostConfig { trace: Tracing::On, ..config };
        let link = |rules| LinkConfig {
            delay: conditions.rtt / 2,
            bandwidth_bits_per_s: conditions.bandwidth,
            loss_ppm: conditions.loss.0,
            rules,
            ..LinkConfig::default()
        };
        let simulation = Simulation::new(conditions.seed);
        let client = simulation.host(CLIENT, traced(client));
        let server = simulation.host(SERVER, traced(server));
        simulation.join(&client, &server, link(from_client), link(from_server));
        Self { simulation, client, server }
    }

    /// Runs a program of the two applications to its end, and then until nothing more happens.
    pub(super) fn play<T>(&self, program: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let answer = self.simulation.run(program)??;
        self.simulation.run_for(UNTIL_QUIET);
        Ok(answer)
    }

    /// The server's listener.
    pub(super) async fn listen(&self) -> anyhow::Result<TcpListener> {
        Ok(self.server.listen(SERVER_ADDRESS).await?)
    }

    /// A connection: the client's end and the server's.
    pub(super) async fn connect(&self, listener: &TcpListener) -> anyhow::Result<(TcpStream, TcpStream)> {
        self.connect_from(listener, None).await
    }

    /// A connection from a port of the client.
    pub(super) async fn connect_from(
        &self,
        listener: &TcpListener,
        local: Option<SocketAddr>,
    ) -> anyhow::Result<(TcpStream, TcpStream)> {
        let remote = SERVER_ADDRESS.parse().expect("a constant");
        let request = ConnectRequest { local, ..ConnectRequest::to(remote) };
        let (client, (server, _)) = tokio::try_join!(self.client.connect_with(request), listener.accept())?;
        Ok((client, server))
    }

    /// Takes out what was recorded since the last time.
    pub(super) fn records(&self) -> Records {
        let mut records = Records { client: Vec::new(), server: Vec::new() };
        for of_host in self.simulation.drain_trace() {
            let list = if &*of_host.host == CLIENT { &mut records.client } else { &mut records.server };
            list.push(of_host.record);
        }
        records
    }
}

impl Records {
    /// The connections in the order in which they began.
    pub(super) fn connections(&self) -> Vec<Connection> {
        history::from_hosts(&self.vantages())
    }

    fn vantages(&self) -> [Vantage<'_>; 2] {
        [Vantage { name: CLIENT, records: &self.client }, Vantage { name: SERVER, records: &self.server }]
    }

    /// Writes what the client sent and received as a capture.
    pub(super) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let known = self.vantages();
        let cannot = || format!("cannot write {}", file.display());
        let out = BufWriter::new(File::create(file).with_context(cannot)?);
        capture::write(out, &known, &known[..1], CAPTURE_START_NANOS).with_context(cannot)?;
        Ok(())
    }
}
