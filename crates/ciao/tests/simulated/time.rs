//! Virtual time: packets to the nanosecond, tokio's timers to the millisecond, each in its turn.

use crate::pair::{Pair, SERVER, server_addr};
use ciao::{HostConfig, Simulation};
use ciao_sim::LinkConfig;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

#[test]
fn packets_arrive_to_the_nanosecond() {
    let delay = Duration::from_nanos(1_234_567);
    let link = LinkConfig { delay, ..LinkConfig::default() };
    let pair = Pair::with(1, &HostConfig::default(), &link);
    pair.run(async {
        let server = pair.server.bind_udp((SERVER, 53)).await.unwrap();
        let client = pair.client.bind_udp("10.0.0.1:0").await.unwrap();
        let started = Instant::now();
        for round in 1..=5 {
            client.send_to(b"x", (SERVER, 53)).await.unwrap();
            server.recv(&mut [0; 8]).await.unwrap();
            assert_eq!(started.elapsed(), delay * round);
            assert_eq!(pair.server.now().as_nanos(), u64::from(round) * 1_234_567);
        }
    });
}

#[test]
fn a_sleep_is_never_too_short_and_at_most_a_millisecond_too_long() {
    let link = LinkConfig { delay: Duration::from_nanos(1_234_567), ..LinkConfig::default() };
    let pair = Pair::with(1, &HostConfig::default(), &link);
    pair.run(async {
        let server = pair.server.bind_udp((SERVER, 53)).await.unwrap();
        let client = pair.client.bind_udp("10.0.0.1:0").await.unwrap();
        for _ in 0..20 {
            client.send_to(b"x", (SERVER, 53)).await.unwrap();
            server.recv(&mut [0; 8]).await.unwrap();
            let started = Instant::now();
            sleep(Duration::from_micros(2_500)).await;
            let slept = started.elapsed();
            assert!(
                slept >= Duration::from_micros(2_500) && slept < Duration::from_micros(3_500),
                "{slept:?}"
            );
        }
    });
}

#[test]
fn timers_and_packets_take_their_turns_in_the_order_of_time() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, mut server) = pair.connected().await;
        let log = Arc::new(Mutex::new(Vec::new()));
        let (timer_log, packet_log) = (Arc::clone(&log), Arc::clone(&log));
        let timer = tokio::spawn(async move {
            for millis in [9, 2] {
                sleep(Duration::from_millis(millis)).await;
                timer_log.lock().unwrap().push(format!("timer after {millis}"));
            }
        });
        client.write_all(b"x").await.unwrap();
        let reader = tokio::spawn(async move {
            server.read_exact(&mut [0]).await.unwrap();
            packet_log.lock().unwrap().push("packet".to_owned());
        });
        timer.await.unwrap();
        reader.await.unwrap();
        assert_eq!(*log.lock().unwrap(), ["timer after 9", "packet", "timer after 2"]);
    });
}

#[test]
fn a_program_that_waits_for_nothing_is_given_up_at_the_limit() {
    let mut simulation = Simulation::new(1);
    let stack = simulation.host("alone", HostConfig::default());
    let other = simulation.host("other", HostConfig::default());
    simulation.join(&stack, &other, LinkConfig::default(), LinkConfig::default());
    simulation.set_time_limit(Duration::from_secs(100));
    let error = simulation
        .run(async {
            let listener = stack.listen("10.0.0.1:80").await.unwrap();
            listener.accept().await.map(drop)
        })
        .unwrap_err();
    assert_eq!(error.at.as_millis(), 100_000);
}

#[test]
fn time_goes_on_in_the_next_run_and_so_do_spawned_tasks() {
    let pair = Pair::new();
    pair.run(async {
        let listener = pair.server.listen(server_addr()).await.unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"late").await.unwrap();
        });
    });
    let mut stream = pair.run(async { pair.client.connect(server_addr()).await.unwrap() });
    pair.simulation.run_for(Duration::from_secs(1));
    assert_eq!(stream.try_read(&mut [0; 8]).unwrap(), 4);
    assert_eq!(pair.simulation.now().as_millis(), 1_020);
    assert_eq!(pair.run(async { stream.read(&mut [0; 8]).await.unwrap() }), 0);
}

#[test]
fn a_host_may_have_several_links() {
    let simulation = Simulation::new(1);
    let server = simulation.host("server", HostConfig::default());
    let clients = ["near", "far"].map(|name| simulation.host(name, HostConfig::default()));
    let delays = [1, 50].map(Duration::from_millis);
    for (client, delay) in clients.iter().zip(delays) {
        let link = LinkConfig { delay, ..LinkConfig::default() };
        simulation.join(client, &server, link.clone(), link);
    }
    simulation
        .run(async {
            let _listener = server.listen("0.0.0.0:80").await.unwrap();
            let addresses = ["10.0.0.1", "10.0.1.1"];
            for ((client, delay), address) in clients.iter().zip(delays).zip(addresses) {
                let started = Instant::now();
                client.connect((address, 80)).await.unwrap();
                assert_eq!(started.elapsed(), delay * 2);
            }
        })
        .unwrap();
}
