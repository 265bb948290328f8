//! Live drivers on several threads, over memory: is nobody forgotten, whoever runs where?

use ciao::{Cidr, MemoryConfig, Stack, StackConfig, TcpStream, memory_pair};
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two stacks, the client first, and their running drivers.
pub(crate) fn memory_stacks(config: MemoryConfig) -> [(Stack, JoinHandle<io::Result<()>>); 2] {
    let (one, other) = memory_pair(config);
    [(one, 1), (other, 2)].map(|(end, last)| {
        let address = Cidr::new(Ipv4Addr::new(192, 168, 1, last), 24);
        let (stack, driver) = Stack::over(end, StackConfig::with_address(address)).unwrap();
        (stack, tokio::spawn(driver))
    })
}

async fn echo(mut stream: TcpStream) {
    let (mut read, mut write) = stream.split();
    tokio::io::copy(&mut read, &mut write).await.unwrap();
}

/// Questions of growing length, each sent when the one before was answered.
async fn ask(mut stream: TcpStream, number: u8) {
    let mut answer = Vec::new();
    for len in (1..40).map(|step| step * step * 7) {
        stream.write_all(&vec![number; len]).await.unwrap();
        answer.resize(len, 0);
        stream.read_exact(&mut answer).await.unwrap();
        assert!(answer.iter().all(|byte| *byte == number));
    }
}

async fn ask_and_answer(config: MemoryConfig) {
    let [(client, _), (server, _)] = memory_stacks(config);
    let listener = server.listen("192.168.1.2:7").await.unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    let asking: Vec<_> = (0..20)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                ask(client.connect("192.168.1.2:7").await.unwrap(), number).await;
            })
        })
        .collect();
    for task in asking {
        timeout(PATIENCE, task).await.expect("everyone is answered").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_forgotten_with_several_threads() {
    ask_and_answer(MemoryConfig::ETHERNET).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_forgotten_when_the_link_has_room_for_one_packet() {
    ask_and_answer(MemoryConfig { queue_packets: 1, ..MemoryConfig::ETHERNET }).await;
}

#[tokio::test]
async fn a_megabyte_goes_over_a_link_with_offload() {
    let [(client, _), (server, _)] = memory_stacks(MemoryConfig::OFFLOAD);
    let listener = server.listen("192.168.1.2:80").await.unwrap();
    let receiving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    });
    let sent: Vec<u8> = (0..1_u32 << 20).map(|index| index.to_le_bytes()[1]).collect();
    let mut stream = client.connect("192.168.1.2:80").await.unwrap();
    stream.write_all(&sent).await.unwrap();
    drop(stream);
    assert!(timeout(PATIENCE, receiving).await.expect("it ends").unwrap() == sent);
}

#[tokio::test]
async fn a_busy_link_holds_back_and_loses_nothing() {
    let [(client, _), (server, _)] =
        memory_stacks(MemoryConfig { queue_packets: 2, ..MemoryConfig::OFFLOAD });
    let listener = server.listen("192.168.1.2:7").await.unwrap();
    let mut stream = client.connect("192.168.1.2:7").await.unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    let sent = vec![5; 3 << 20];
    let expected = sent.clone();
    let writing = tokio::spawn(async move {
        stream.write_all(&sent).await.unwrap();
    });
    let mut received = Vec::new();
    timeout(PATIENCE, accepted.read_to_end(&mut received)).await.expect("it goes on").unwrap();
    writing.await.unwrap();
    assert!(received == expected);
    assert_eq!((client.transmit_errors(), server.transmit_errors()), (0, 0));
}
