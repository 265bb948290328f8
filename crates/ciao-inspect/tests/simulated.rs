//! Ladders of real connections between two simulated hosts.

use bytes::Bytes;
use ciao::{HostConfig, Simulation, Stack, TcpListener, TcpStream};
use ciao_http::client::{Client, Connect, HttpVersion};
use ciao_http::server::{Accept, RequestBody, ServerConfig, serve};
use ciao_inspect::comparison::totals;
use ciao_inspect::history::{Connection, Vantage, from_hosts};
use ciao_inspect::http::{Element, Kind};
use ciao_inspect::ladder::{Options, ladder};
use ciao_sim::{LinkConfig, PacketKind, PortId, Rule, TooLong};
use ciao_stack::{TraceRecord, Tracing};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 80);

/// Two hosts, `client` and `server`, and a way of 10 ms between them.
struct World {
    simulation: Simulation,
    client: Stack,
    server: Stack,
    /// Where the client's packets meet the link.
    port: PortId,
}

impl World {
    fn new(forward: Vec<Rule>, backward: Vec<Rule>) -> Self {
        let simulation = Simulation::new(1);
        let config = || HostConfig { trace: Tracing::On, ..HostConfig::default() };
        let (client, server) = (simulation.host("client", config()), simulation.host("server", config()));
        let link = |rules| LinkConfig { rules, ..LinkConfig::default() };
        let [port, _] = simulation.join(&client, &server, link(forward), link(backward));
        Self { simulation, client, server, port }
    }

    /// The connections, once all is quiet.
    fn connections(&self) -> Vec<Connection> {
        self.simulation.run_for(Duration::from_secs(200));
        let mut records: [Vec<TraceRecord>; 2] = Default::default();
        for record in self.simulation.drain_trace() {
            records[usize::from(&*record.host == "server")].push(record.record);
        }
        let [client, server] = &records;
        from_hosts(&[
            Vantage { name: "client", records: client },
            Vantage { name: "server", records: server },
        ])
    }
}

/// Reads to the end and closes.
async fn drain(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("the peer closes in order");
    bytes
}

fn shown(connection: &Connection) -> String {
    for width in [100, 120, 200] {
        let page = ladder(connection, &Options { width, ..Options::default() });
        assert!(page.width() <= width, "{} columns of {width}\n{}", page.width(), page.plain());
    }
    ladder(connection, &Options::default()).plain()
}

/// One request and its answer; the client closes first.
fn hello(world: &World) {
    let listener =
        world.simulation.run(world.server.listen(SERVER)).expect("in time").expect("the port is free");
    let program = async {
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut request = vec![0; 1024];
            let _len = stream.read(&mut request).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nHello, world!\n").await?;
            drain(stream).await;
            io::Result::Ok(())
        });
        let mut stream = world.client.connect(SERVER).await?;
        stream.write_all(b"GET /hello HTTP/1.1\r\nHost: server\r\n\r\n").await?;
        let mut answer = vec![0; 1024];
        let _len = stream.read(&mut answer).await?;
        stream.shutdown().await?;
        drain(stream).await;
        server.await.expect("the server does not panic")
    };
    world.simulation.run(program).expect("in time").expect("no error");
}

#[test]
fn a_request_on_a_good_link() {
    let world = World::new(Vec::new(), Vec::new());
    hello(&world);
    insta::assert_snapshot!(shown(&world.connections()[0]));
}

#[test]
fn a_request_whose_answer_is_lost_once() {
    let world = World::new(Vec::new(), vec![Rule::drop(PacketKind::Data, 1)]);
    hello(&world);
    insta::assert_snapshot!(shown(&world.connections()[0]));
}

#[test]
fn a_close_whose_last_segment_is_lost() {
    let world = World::new(vec![Rule::drop(PacketKind::Any, 6)], Vec::new());
    hello(&world);
    insta::assert_snapshot!(shown(&world.connections()[0]));
}

/// Sends `len` bytes to the server over a path that takes packets of 1,300 bytes.
fn through_narrow_path(len: usize, too_long: TooLong) -> Connection {
    let world = World::new(Vec::new(), Vec::new());
    world.simulation.configure(world.port, LinkConfig { mtu: 1300, too_long, ..LinkConfig::default() });
    let listener =
        world.simulation.run(world.server.listen(SERVER)).expect("in time").expect("the port is free");
    let program = async {
        let server = tokio::spawn(async move {
            drain(listener.accept().await?.0).await;
            io::Result::Ok(())
        });
        let mut stream = world.client.connect(SERVER).await?;
        stream.write_all(&vec![7; len]).await?;
        stream.shutdown().await?;
        drain(stream).await;
        server.await.expect("the server does not panic")
    };
    world.simulation.run(program).expect("in time").expect("no error");
    world.connections().remove(0)
}

// RFC 1191 §3 1191-3a
#[test]
fn the_ladder_says_that_a_router_has_spoken() {
    let page = shown(&through_narrow_path(4_000, TooLong::Explained));
    insta::assert_snapshot!(page);
}

// RFC 4821 §7 4821-1
#[test]
fn the_ladder_says_that_long_segments_vanish_and_which_come_through() {
    let page = ladder(&through_narrow_path(95_000, TooLong::Dropped), &Options::default()).plain();
    for words in ["MSS 1160, black hole", "path probe", "probe passed"] {
        assert!(page.contains(words), "{words}\n{page}");
    }
}

/// The server as `ciao_http` wants it.
struct Listener(TcpListener);

impl Accept for Listener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }
}

struct Connector(Stack);

impl Connect for Connector {
    type Io = TcpStream;

    async fn connect(&self, _host: &str, _port: u16) -> io::Result<TcpStream> {
        self.0.connect(SERVER).await
    }
}

/// Three resources of 500 B, 4 kB and 60 kB by one version of HTTP, all at once where it can.
fn three_resources(version: HttpVersion) -> Vec<Connection> {
    let world = World::new(Vec::new(), Vec::new());
    let service = service_fn(|request: Request<RequestBody>| async move {
        let len = match request.uri().path() {
            "/" => 500,
            "/style.css" => 4_000,
            _ => 60_000,
        };
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(vec![b'x'; len]))))
    });
    let listener =
        world.simulation.run(world.server.listen(SERVER)).expect("in time").expect("the port is free");
    let stop = CancellationToken::new();
    let program = async {
        let config = ServerConfig { date_header: false, ..ServerConfig::default() };
        let server = tokio::spawn(serve(Listener(listener), service, config, stop.clone()));
        let client = Client::new(Connector(world.client.clone()), version);
        let fetches: Vec<_> = ["/", "/style.css", "/photo.jpg"]
            .map(|path| format!("http://server{path}").parse::<Uri>().expect("a good URL"))
            .into_iter()
            .map(|uri| {
                let client = client.clone();
                async move {
                    let answer = client.fetch(&uri).await.expect("an answer");
                    answer.into_body().collect().await.expect("a whole body").to_bytes().len()
                }
            })
            .collect();
        let mut lens = Vec::new();
        if version == HttpVersion::Http2 {
            let tasks: Vec<_> = fetches.into_iter().map(tokio::spawn).collect();
            for task in tasks {
                lens.push(task.await.expect("no panic"));
            }
        } else {
            for fetch in fetches {
                lens.push(fetch.await);
            }
        }
        client.close().await;
        stop.cancel();
        let _drained = server.await.expect("no panic");
        lens
    };
    let lens = world.simulation.run(program).expect("in time");
    assert_eq!(lens, [500, 4_000, 60_000]);
    world.connections()
}

/// What is asked and answered on all connections, in words.
fn messages(connections: &[Connection]) -> Vec<String> {
    let elements = connections.iter().flat_map(|connection| connection.http.0.iter().flatten());
    let spoken = elements.filter(|element| matches!(element.kind, Kind::Request | Kind::Response));
    spoken.map(Element::to_string).collect()
}

#[test]
fn three_resources_by_three_versions() {
    let old = three_resources(HttpVersion::Http10);
    assert_eq!(
        messages(&old),
        [
            "GET / HTTP/1.0",
            "200, 500 B",
            "GET /style.css HTTP/1.0",
            "200, 4.0 kB",
            "GET /photo.jpg HTTP/1.0",
            "200, 60.0 kB"
        ]
    );
    let kept = three_resources(HttpVersion::Http11);
    assert_eq!(
        messages(&kept),
        ["GET /", "GET /style.css", "GET /photo.jpg", "200, 500 B", "200, 4.0 kB", "200, 60.0 kB"]
    );
    let shared = three_resources(HttpVersion::Http2);
    assert_eq!(
        messages(&shared),
        [
            "GET / (stream 1)",
            "GET /style.css (stream 3)",
            "GET /photo.jpg (stream 5)",
            "200, 500 B (stream 1)",
            "200, 4.0 kB (stream 3)",
            "200, 60.0 kB (stream 5)"
        ]
    );
    let [old, kept, shared] = [old, kept, shared].map(|connections| totals(&connections));
    assert_eq!([old, kept, shared].map(|totals| totals.connections), [3, 1, 1]);
    // One to open and one for each answer; the window grows once more for the largest.
    assert_eq!(old.round_trips, 8);
    assert_eq!(old.time_to_last_byte, Some(Duration::from_millis(160)));
    assert!(shared.round_trips <= kept.round_trips && kept.round_trips < old.round_trips);
}

/// 60 kB from the server, which closes behind them; `forward` and `backward` are the faults.
fn download(forward: Vec<Rule>, backward: Vec<Rule>) -> Vec<Connection> {
    let world = World::new(forward, backward);
    let listener =
        world.simulation.run(world.server.listen(SERVER)).expect("in time").expect("the port is free");
    let program = async {
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut answer = b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n".to_vec();
            answer.resize(60_000, b'x');
            stream.write_all(&answer).await?;
            stream.shutdown().await?;
            drain(stream).await;
            io::Result::Ok(())
        });
        let mut stream = world.client.connect(SERVER).await?;
        stream.write_all(b"GET /photo.jpg HTTP/1.0\r\n\r\n").await?;
        assert_eq!(drain(stream).await.len(), 60_000);
        server.await.expect("the server does not panic")
    };
    world.simulation.run(program).expect("in time").expect("no error");
    world.connections()
}

#[test]
fn a_segment_lost_from_the_middle_of_a_download() {
    let connections = download(Vec::new(), vec![Rule::drop(PacketKind::Data, 15)]);
    assert_eq!(totals(&connections).retransmissions, 1);
    insta::assert_snapshot!(shown(&connections[0]));
}
