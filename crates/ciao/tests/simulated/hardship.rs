//! Programs that come and go over links that lose, delay, double and break packets: does every byte arrive,
//! does every call come back, and is nothing left at the end? By seed; a failure names its seed.

use crate::pair::{Pair, server_addr};
use ciao::{ConnectRequest, HostConfig, ListenRequest, Stack, SynCookies, TcpStream};
use ciao_sim::{LinkConfig, Random};
use ciao_tcp::Config;
use ciao_tcp::config::{KeepAlive, SocketOptions};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

/// Longer than every timer that a connection without an owner may have.
const ALL_IS_OVER: Duration = Duration::from_secs(60 * 60);

/// What one client does, and its server with it.
#[derive(Clone, Copy, Debug)]
struct Plan {
    request_bytes: usize,
    answer_bytes: usize,
    pause: Duration,
    ending: Ending,
    opening: Opening,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Usual,
    /// The first bytes go into the SYN, if the server has given a cookie.
    Fast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The client sends FIN and reads the answer to its end.
    HalfClose,
    /// The client reads so many bytes as it knows to come, then drops the connection.
    Drop,
    /// The client aborts after its request.
    Abort,
    /// The client drops the connection while the answer is under way.
    Leave,
}

impl Plan {
    fn draw(random: &mut Random) -> Self {
        let bytes = |random: &mut Random| {
            let longest = random.pick(&[1, 100, 1_448, 20_000, 150_000]);
            usize::try_from(random.within(1..=longest)).unwrap()
        };
        Self {
            request_bytes: bytes(random),
            answer_bytes: bytes(random),
            pause: Duration::from_millis(random.within(0..=400)),
            ending: random.pick(&[
                Ending::HalfClose,
                Ending::HalfClose,
                Ending::Drop,
                Ending::Drop,
                Ending::Abort,
                Ending::Leave,
            ]),
            opening: random.pick(&[Opening::Usual, Opening::Fast]),
        }
    }
}

/// Reads two lengths, the request, and answers.
async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let request_bytes = usize::try_from(stream.read_u32().await?).unwrap();
    let answer_bytes = usize::try_from(stream.read_u32().await?).unwrap();
    let mut request = vec![0; request_bytes];
    stream.read_exact(&mut request).await?;
    assert!(request.iter().all(|byte| *byte == 1));
    stream.write_all(&vec![2; answer_bytes]).await?;
    stream.shutdown().await?;
    // Whatever the client does now is its own matter.
    stream.read_to_end(&mut request).await.map(drop)
}

async fn open(stack: &Stack, plan: Plan) -> io::Result<TcpStream> {
    let len = |len| u32::try_from(len).unwrap().to_be_bytes();
    let lengths = [len(plan.request_bytes), len(plan.answer_bytes)].concat();
    if plan.opening == Opening::Fast {
        let options = SocketOptions { keep_alive: Some(KEEP_ALIVE), ..SocketOptions::default() };
        let request = ConnectRequest { options, ..ConnectRequest::to(server_addr()) };
        return stack.connect_with_data(request, &lengths).await;
    }
    let mut stream = stack.connect(server_addr()).await?;
    stream.write_all(&lengths).await?;
    Ok(stream)
}

async fn ask(mut stream: TcpStream, plan: Plan) -> io::Result<()> {
    stream.write_all(&vec![1; plan.request_bytes]).await?;
    sleep(plan.pause).await;
    let mut answer = Vec::new();
    match plan.ending {
        Ending::Abort => stream.abort(),
        Ending::Leave => {
            let mut some = vec![0; plan.answer_bytes.div_ceil(2)];
            stream.read_exact(&mut some).await?;
        }
        Ending::HalfClose => {
            stream.shutdown().await?;
            stream.read_to_end(&mut answer).await?;
            assert_eq!(answer, vec![2; plan.answer_bytes]);
        }
        Ending::Drop => {
            answer.resize(plan.answer_bytes, 0);
            stream.read_exact(&mut answer).await?;
            assert_eq!(answer, vec![2; plan.answer_bytes]);
        }
    }
    Ok(())
}

fn bad_link(random: &mut Random) -> LinkConfig {
    LinkConfig {
        delay: Duration::from_micros(random.within(10..=150_000)),
        bandwidth_bits_per_s: random.pick(&[None, Some(1_000_000), Some(100_000_000)]),
        queue_bytes: random.within(3_000..=100_000),
        loss_ppm: u32::try_from(random.within(0..=150_000)).unwrap(),
        reorder_ppm: u32::try_from(random.within(0..=100_000)).unwrap(),
        duplicate_ppm: u32::try_from(random.within(0..=50_000)).unwrap(),
        corrupt_ppm: u32::try_from(random.within(0..=20_000)).unwrap(),
        ..LinkConfig::default()
    }
}

/// To ask after silent peers: a reset may be lost, and nobody repeats it.
const KEEP_ALIVE: KeepAlive =
    KeepAlive { idle: Duration::from_secs(300), interval: Duration::from_secs(30), probes: 9 };

fn host() -> HostConfig {
    let mut tcp = Config::default();
    tcp.socket.keep_alive = Some(KEEP_ALIVE);
    HostConfig { tcp: Arc::new(tcp), ..HostConfig::default() }
}

fn live_through(seed: u64) {
    let mut random = Random::named(seed, "hardship");
    let pair = Pair::with(seed, &host(), &bad_link(&mut random));
    let plans: Vec<Plan> = (0..8).map(|_| Plan::draw(&mut random)).collect();
    pair.run(async {
        let syn_cookies = random.pick(&[SynCookies::WhenFull, SynCookies::Always]);
        let options = SocketOptions { keep_alive: Some(KEEP_ALIVE), ..SocketOptions::default() };
        let request =
            ListenRequest { syn_cookies, fast_open: 4, options, ..ListenRequest::at(server_addr()) };
        let listener = pair.server.listen_with(request).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        // Who comes second may have a cookie.
        for plans in plans.chunks(4) {
            let clients: Vec<_> = plans
                .iter()
                .map(|plan| {
                    let (stack, plan) = (pair.client.clone(), *plan);
                    tokio::spawn(async move { ask(open(&stack, plan).await?, plan).await })
                })
                .collect();
            for (client, plan) in clients.into_iter().zip(plans) {
                let answer = client.await.unwrap_or_else(|panic| panic!("seed {seed}, {plan:?}: {panic}"));
                assert!(answer.is_ok(), "seed {seed}, {plan:?}: {answer:?}");
            }
        }
    });
    pair.simulation.run_for(ALL_IS_OVER);
    for (host, stack) in [("client", &pair.client), ("server", &pair.server)] {
        let counts = stack.counts();
        let left = (counts.connections, counts.half_open, counts.time_wait);
        assert_eq!(left, (0, 0, 0), "seed {seed}, {host}: connections, half-open, TIME-WAIT");
    }
}

#[test]
fn everything_arrives_and_comes_to_its_end_over_any_bad_link() {
    for seed in 0..40 {
        live_through(seed);
    }
}
