//! Why TIME-WAIT: a lost last ACK, and an old segment that meets a later connection on the same ports.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use ciao::HostConfig;
use ciao_inspect::history::{Connection, Segment, Side};
use ciao_sim::{Fate, PacketKind, Rule};
use ciao_stack::{HostTraceEvent, TraceRecord};
use ciao_tcp::Config;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::sleep,
};

use super::{
    Act, Conditions, Loss, Scene,
    stage::{Setting, Stage},
};

/// The client's port in both connections.
const CLIENT_PORT: &str = "10.0.0.1:50000";
/// What the server sends on the first connection, and on the later one; bytes that can be told apart.
const OLD: (u8, usize) = (b'o', 600_000);
const NEW: (u8, usize) = (b'n', 200_000);
/// Between the two connections.
const PAUSE: Duration = Duration::from_millis(50);
/// How far into the later connection's data the old segment falls: behind its first flight of ten segments.
const INTO_WINDOW: u32 = 20_000;
/// The link of the counterfactual.
const RTT: Duration = Duration::from_millis(20);

pub(super) fn play(conditions: &Conditions) -> anyhow::Result<Scene> {
    let (lost, scene_records) = lost_last_ack(conditions)?;
    let acts = vec![lost, without_waiting(conditions)?];
    let title = "Why the end that closed first waits".to_owned();
    Ok(Scene { title, acts, records: scene_records, compared: None })
}

/// The last ACK is lost; the FIN comes again, and there is still somebody to answer.
fn lost_last_ack(conditions: &Conditions) -> anyhow::Result<(Act, super::Records)> {
    let clean = Stage::new(conditions, Setting::default());
    clean.play(short_connection(&clean))?;
    let last_ack = clean.records().client.iter().filter(|record| is_pure_ack(record)).count();
    let rule = Rule::drop(PacketKind::PureAck, last_ack as u64);
    let stage = Stage::new(conditions, Setting { from_client: vec![rule], ..Setting::default() });
    let refused = stage.simulation.run(async {
        short_connection(&stage).await?;
        // Long enough for the server to send its FIN again, and far less than 2 MSL.
        sleep(Duration::from_secs(5)).await;
        let listener = stage.listen().await?;
        anyhow::Ok(stage.connect_from(&listener, Some(client_port())).await.err())
    })??;
    stage.simulation.run_for(super::stage::UNTIL_QUIET);
    let records = stage.records();
    let connections = records.connections().into_iter().take(1).collect();
    let refusal = refused.map_or("allowed".to_owned(), |error| format!("refused: {error:#}"));
    let act = Act {
        connections,
        after: vec![format!(
            "Five seconds after the close the client tries to connect from the same port once more. That is \
             {refusal}. The ports are free again when the wait is over."
        )],
        ..Act::new(
            "The last ACK is lost",
            "The client closed first, and the ACK of the server's FIN gets lost. The server cannot know whether its \
             FIN or the ACK was lost, so it sends the FIN again. The client waits in TIME-WAIT for just that.",
        )
    };
    Ok((act, records))
}

/// A client that does not wait, and an old segment in a later connection.
fn without_waiting(conditions: &Conditions) -> anyhow::Result<Act> {
    // Chance has no part in it, nor has the link: the numbers must meet.
    let conditions = Conditions { loss: Loss(0), bandwidth: None, rtt: RTT, ..conditions.clone() };
    let first = Stage::new(&conditions, careless(Vec::new()));
    first.play(two_connections(&first))?;
    let rule = old_segment(&first.records().connections())?;
    let stage = Stage::new(&conditions, careless(vec![rule]));
    let strays = stage.play(two_connections(&stage))?;
    let connections = stage.records().connections();
    Ok(Act {
        connections,
        after: vec![format!(
            "The application read {} bytes on the second connection. {strays} of them were sent on the first one, and \
             nothing told it so. After 2 MSL the old segment would have been dead. (Timestamps are off here; with \
             them PAWS would have caught it too.)",
            NEW.1
        )],
        ..Act::new(
            "A client that does not wait (a counterfactual: its MSL is zero)",
            "On the first connection the server sends a lot, and one segment has a twin that strays for a while. The \
             client closes and forgets the connection at once, then connects from the same port again. The twin \
             arrives, and its number happens to lie in the window of the new connection.",
        )
    })
}

/// Hosts without timestamps, and a client without TIME-WAIT.
fn careless(from_server: Vec<Rule>) -> Setting {
    let host = |msl| {
        let tcp = Config { timestamps: false, msl, ..Config::default() };
        HostConfig { tcp: Arc::new(tcp), ..HostConfig::default() }
    };
    Setting {
        client: host(Duration::ZERO),
        server: host(Config::default().msl),
        from_server,
        ..Setting::default()
    }
}

/// The rule that gives a segment of the first connection a twin that arrives in the second one's window.
fn old_segment(connections: &[Connection]) -> anyhow::Result<Rule> {
    let [first, second] = connections else { anyhow::bail!("two connections were expected") };
    let syn_ack = second.segments.iter().find(|segment| is_syn_ack(segment));
    let syn_ack = syn_ack.context("the second connection was not answered")?;
    let wanted = syn_ack.header.seq + INTO_WINDOW;
    let data = first.segments.iter().filter(|segment| is_data_of_server(segment));
    for (number, segment) in (1..).zip(data) {
        if segment.header.seq.at_or_after(wanted) {
            let arrived = segment.arrivals.first().copied().context("the segment was lost")?;
            let opened = syn_ack.arrivals.first().copied().context("the SYN-ACK was lost")?;
            // Behind the first flight of the second connection, before the next. Before that flight the
            // client would have known the segment by its acknowledgment, older than any window it had seen
            // (RFC 5961).
            let stray = opened + RTT + Duration::from_millis(1);
            let fate = Fate::Duplicate { after: stray.since(arrived) };
            return Ok(Rule { kind: PacketKind::Data, first: number, count: 1, fate });
        }
    }
    anyhow::bail!("no segment of the first connection has a number that fits into the second one")
}

fn is_syn_ack(segment: &Segment) -> bool {
    segment.header.flags.syn() && segment.header.flags.ack()
}

fn is_data_of_server(segment: &Segment) -> bool {
    segment.from == Side::Right && segment.payload_len > 0
}

fn is_pure_ack(record: &TraceRecord) -> bool {
    matches!(&record.event, HostTraceEvent::PacketSent { packet, .. } if PacketKind::PureAck.fits(packet))
}

fn client_port() -> SocketAddr {
    CLIENT_PORT.parse().expect("a constant")
}

/// The client asks, is answered, and closes first.
async fn short_connection(stage: &Stage) -> anyhow::Result<()> {
    let listener = stage.listen().await?;
    respond(stage, &listener, (b'.', 500)).await?;
    Ok(())
}

async fn two_connections(stage: &Stage) -> anyhow::Result<usize> {
    let listener = stage.listen().await?;
    respond(stage, &listener, OLD).await?;
    sleep(PAUSE).await;
    let read = respond(stage, &listener, NEW).await?;
    Ok(read.iter().filter(|byte| **byte == OLD.0).count())
}

/// One connection: the server sends, the client reads all of it and closes first.
async fn respond(
    stage: &Stage,
    listener: &ciao::TcpListener,
    (byte, len): (u8, usize),
) -> anyhow::Result<Vec<u8>> {
    let (mut client, mut server) = stage.connect_from(listener, Some(client_port())).await?;
    let serving = async {
        server.write_all(&vec![byte; len]).await?;
        server.read_to_end(&mut Vec::new()).await?;
        server.shutdown().await
    };
    let reading = async {
        let mut read = vec![0; len];
        client.read_exact(&mut read).await?;
        client.shutdown().await?;
        client.read_to_end(&mut Vec::new()).await?;
        std::io::Result::Ok(read)
    };
    let (served, read) = tokio::join!(serving, reading);
    served?;
    Ok(read?)
}
