//! TCP Fast Open as a program uses it (RFC 7413).

use crate::pair::{Pair, server_addr};
use ciao::{ConnectRequest, ListenRequest, TcpListener};
use ciao_sim::LinkConfig;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn echo_once(listener: &TcpListener) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = [0; 4];
    stream.read_exact(&mut request).await.unwrap();
    stream.write_all(&request).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.iter().all(|byte| *byte == 7), "what was behind the request");
}

// RFC 7413 §4.2 7413-4h, 7413-4e
#[test]
fn the_second_request_to_a_server_takes_one_round_trip() {
    let pair = Pair::new();
    pair.run(async {
        let request = ListenRequest { fast_open: 16, ..ListenRequest::at(server_addr()) };
        let listener = pair.server.listen_with(request).unwrap();
        let mut times = Vec::new();
        for _ in 0..3 {
            let start = pair.client.now();
            let ask = async {
                let to = ConnectRequest::to(server_addr());
                let mut stream = pair.client.connect_with_data(to, b"ping").await.unwrap();
                let mut answer = [0; 4];
                stream.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"ping");
                let took = pair.client.now().since(start);
                stream.shutdown().await.unwrap();
                stream.read_to_end(&mut Vec::new()).await.unwrap();
                took
            };
            let (took, ()) = tokio::join!(ask, echo_once(&listener));
            times.push(took);
        }
        assert!(times[0] >= Duration::from_millis(40), "{times:?}");
        assert!(times[1] < Duration::from_millis(21) && times[2] < Duration::from_millis(21), "{times:?}");
        assert_eq!(pair.server.counters().fast_opens_accepted, 2);
    });
}

// RFC 7413 §4.2 7413-4g, 7413-4f
#[test]
fn every_byte_arrives_once_however_bad_the_link_is() {
    for seed in 1..=20 {
        let link = LinkConfig { loss_ppm: 200_000, duplicate_ppm: 50_000, ..LinkConfig::default() };
        let pair = Pair::with(seed, &ciao::HostConfig::default(), &link);
        pair.run(async {
            let request = ListenRequest { fast_open: 16, ..ListenRequest::at(server_addr()) };
            let listener = pair.server.listen_with(request).unwrap();
            for _ in 0..6 {
                let ask = async {
                    let to = ConnectRequest::to(server_addr());
                    let mut data = vec![7; 4000];
                    data[..4].copy_from_slice(b"ping");
                    let mut stream = pair.client.connect_with_data(to, &data).await.unwrap();
                    stream.shutdown().await.unwrap();
                    let mut answer = Vec::new();
                    stream.read_to_end(&mut answer).await.unwrap();
                    assert_eq!(answer, b"ping", "seed {seed}");
                };
                tokio::join!(ask, echo_once(&listener));
            }
        });
    }
}
