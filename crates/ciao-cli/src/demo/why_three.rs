//! Why three: an old, delayed SYN before a server that waits for the third segment, and before one that does
//! not.

use std::time::Duration;

use ciao_inspect::{Vantage, history};
use ciao_sim::{Fate, PacketKind, Rule};
use ciao_stack::{HostTraceEvent, TraceRecord};
use tokio::time::timeout;

use super::{
    Act, Conditions, Scene, believer,
    stage::{CLIENT, Records, SERVER, SERVER_ADDRESS, Setting, Stage},
};

/// How long the first SYN is held up: longer than the client is patient.
const HELD_UP: Duration = Duration::from_secs(3);
/// How long the client waits before it gives up; shorter than the first retransmission.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) fn play(conditions: &Conditions) -> anyhow::Result<Scene> {
    let held_up = Rule { kind: PacketKind::Syn, first: 1, count: 1, fate: Fate::Delay { by: HELD_UP } };
    let stage = Stage::new(conditions, Setting { from_client: vec![held_up], ..Setting::default() });
    stage.play(async {
        let _listener = stage.listen().await?;
        // The client's application loses patience and forgets about the connection. Its SYN does not.
        let _gave_up = timeout(PATIENCE, stage.client.connect(SERVER_ADDRESS)).await;
        tokio::time::sleep(HELD_UP + conditions.rtt * 4).await;
        Ok(())
    })?;
    let records = stage.records();
    let three = Act {
        connections: records.connections(),
        after: vec![
            "Nothing opened. The server's record was half-open, a few dozen bytes, and its application never \
             heard of it."
                .to_owned(),
        ],
        ..Act::new(
            "With three segments",
            "The first SYN is held up on its way. The client gives up and forgets the connection; then the SYN \
             arrives after all. The server answers, but opens nothing yet: it has not been heard. The client \
             knows of no connection, and its RST says so.",
        )
    };
    let two = with_two(&records)?;
    let acts = vec![three, two];
    Ok(Scene { title: "Why three segments open a connection".to_owned(), acts, records, compared: None })
}

/// The same SYN before a server that believes it.
fn with_two(records: &Records) -> anyhow::Result<Act> {
    // The client's part up to the answer; in a handshake of two it has no third segment to object with.
    let answered = |record: &TraceRecord| matches!(record.event, HostTraceEvent::PacketReceived { .. });
    let until = records.client.iter().position(answered).unwrap_or(records.client.len());
    let mut client = records.client[..until].to_vec();
    let believed = believer::meet(&records.server, &mut client)?;
    let connections = history::from_hosts(&[
        Vantage { name: CLIENT, records: &client },
        Vantage { name: SERVER, records: &believed.records },
    ]);
    let after = vec![format!(
        "There it stays: {} bytes of connection, a place in the accept queue, and whatever the application \
         holds for a client that does not exist. {} A thousand delayed or forged SYNs cost a thousand of those.",
        believed.connection_bytes,
        match believed.ends_by_itself {
            Some(wakeup) => format!("It ends at {} at the earliest.", wakeup.at),
            None => "For how long? No timer is set, so for ever; with keep-alive, which is off by default, \
                     for two hours at the least."
                .to_owned(),
        },
    )];
    Ok(Act {
        connections,
        after,
        ..Act::new(
            "With two segments (a counterfactual: such a server exists in this demo alone)",
            "The same SYN reaches a server that believes the first SYN and is open at once. Its SYN-ACK is the last \
             word, so there is no third segment in which the client could object. The server waits for a request \
             that nobody will send.",
        )
    })
}
