//! The ways to close a connection: two directions, each closed on its own, and the one way to tear both down.

use std::time::Duration;

use anyhow::Context as _;
use ciao::{TcpListener, TcpStream};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::sleep,
};

use super::{
    Act, Conditions, Scene,
    stage::{Setting, Stage},
};

const GREETING: &[u8] = b"ciao\n";

pub(super) fn play(conditions: &Conditions) -> anyhow::Result<Scene> {
    let stage = Stage::new(conditions, Setting::default());
    let mut acts = vec![
        Act::new(
            "Four segments",
            "TCP is full duplex: two channels, each closed on its own. The client's FIN shuts one of them. The \
             server's application takes a while to notice, so the ACK goes out alone; its own FIN follows when \
             it closes too.",
        ),
        Act::new(
            "Three segments",
            "The server's application closes at once when it sees the end of the data. The ACK of the client's \
             FIN then travels with the server's FIN.",
        ),
        Act::new(
            "Half-close: one direction is shut, the other flows on",
            "The client has said all and sends its FIN with the request. The server may go on sending for as \
             long as it likes, and the client acknowledges; only then does the server close.",
        ),
        Act::new(
            "Both at once",
            "Both applications close in the same instant and the FINs cross on the way. Each end sees a FIN \
             while its own is not acknowledged yet: CLOSING. Then both wait, for neither knows whose ACK was \
             last.",
        ),
        Act::new(
            "Reset",
            "The client closes although data has come that it never read. A FIN would claim that all was well; \
             the RST tells the server that its data was thrown away. There is no answer and no wait.",
        ),
    ];
    stage.play(four(&stage))?;
    stage.play(three(&stage))?;
    stage.play(half_close(&stage))?;
    stage.play(simultaneous(&stage))?;
    acts[4].after.push(stage.play(reset(&stage))?);
    let records = stage.records();
    let mut connections = records.connections().into_iter();
    for act in &mut acts {
        act.connections.extend(connections.next());
    }
    Ok(Scene { title: "The ways to close".to_owned(), acts, records, compared: None })
}

/// A connection on which each end has said something.
async fn exchange(stage: &Stage, listener: &TcpListener) -> anyhow::Result<(TcpStream, TcpStream)> {
    let (mut client, mut server) = stage.connect(listener).await?;
    client.write_all(GREETING).await?;
    let mut greeting = [0; GREETING.len()];
    server.read_exact(&mut greeting).await?;
    server.write_all(&greeting).await?;
    client.read_exact(&mut greeting).await?;
    Ok((client, server))
}

async fn read_to_end(stream: &mut TcpStream) -> anyhow::Result<usize> {
    let mut rest = Vec::new();
    Ok(stream.read_to_end(&mut rest).await?)
}

async fn four(stage: &Stage) -> anyhow::Result<()> {
    let listener = stage.listen().await?;
    let (mut client, mut server) = exchange(stage, &listener).await?;
    client.shutdown().await?;
    read_to_end(&mut server).await?;
    // Longer than an ACK is delayed.
    sleep(Duration::from_millis(60)).await;
    server.shutdown().await?;
    read_to_end(&mut client).await?;
    Ok(())
}

async fn three(stage: &Stage) -> anyhow::Result<()> {
    let listener = stage.listen().await?;
    let (mut client, mut server) = exchange(stage, &listener).await?;
    client.shutdown().await?;
    read_to_end(&mut server).await?;
    server.shutdown().await?;
    read_to_end(&mut client).await?;
    Ok(())
}

async fn half_close(stage: &Stage) -> anyhow::Result<()> {
    let listener = stage.listen().await?;
    let (mut client, mut server) = stage.connect(&listener).await?;
    client.write_all(b"three parts, please\n").await?;
    client.shutdown().await?;
    read_to_end(&mut server).await?;
    let serving = async {
        for part in 1..=3_u8 {
            sleep(Duration::from_millis(50)).await;
            server.write_all(&[part; 1000]).await?;
        }
        server.shutdown().await
    };
    let (served, read) = tokio::join!(serving, read_to_end(&mut client));
    served?;
    anyhow::ensure!(read? == 3000, "the client read another number of bytes than the server wrote");
    Ok(())
}

async fn simultaneous(stage: &Stage) -> anyhow::Result<()> {
    let listener = stage.listen().await?;
    let (mut client, mut server) = exchange(stage, &listener).await?;
    sleep(Duration::from_millis(100)).await;
    client.shutdown().await?;
    server.shutdown().await?;
    let (client_read, server_read) = tokio::join!(read_to_end(&mut client), read_to_end(&mut server));
    client_read?;
    server_read?;
    Ok(())
}

/// Answers what the server's next read said.
async fn reset(stage: &Stage) -> anyhow::Result<String> {
    let listener = stage.listen().await?;
    let (client, mut server) = stage.connect(&listener).await?;
    server.write_all(&[b'.'; 1000]).await?;
    client.readable().await?;
    drop(client);
    let error = read_to_end(&mut server).await.err().context("the server saw no reset")?;
    Ok(format!("What the server's application is told: {error}. An end of the data looks different."))
}
