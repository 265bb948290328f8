//! What does a small HTTP request cost, both ends together? hyper is the client and the server, on Ciao's
//! sockets and on the kernel's, in one runtime of one thread.
//!
//! Ciao's two stacks are joined in memory with offload, as the kernel's loopback is. Not here: TLS, files,
//! large bodies.

use crate::clock::cpu_seconds;
use crate::measure::Measure;
use bytes::Bytes;
use ciao::{Cidr, MemoryConfig, Stack, StackConfig, memory_pair};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, server};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// Connections at once.
const CONNECTIONS: u32 = 64;
/// HTTP/2 streams at once on each of its connections, of which there are so many fewer.
const STREAMS: u32 = 16;
/// Requests of a measurement.
const REQUESTS: u32 = 12_800;
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 80);

/// The version spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1: one request at a time on each connection.
    Http1,
    /// HTTP/2: several streams on each connection.
    Http2,
}

/// The client's end of a connection, or of one of its streams.
enum Client {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Client {
    /// One request and the whole of its response.
    async fn ask(&mut self) {
        let uri = match self {
            Self::Http1(_) => "/",
            Self::Http2(_) => "http://10.0.0.1/",
        };
        let request = Request::builder().uri(uri).header("host", "10.0.0.1").body(Empty::new());
        let request = request.expect("a fixed request");
        let response = match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        };
        let body = response.expect("the server answers").into_body().collect().await;
        assert_eq!(body.expect("the whole body").to_bytes().len(), HELLO.len());
    }
}

const HELLO: &[u8] = b"Hello, world!\n";

async fn hello(_request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(HELLO))))
}

/// Serves one connection in a task of its own.
fn serve(version: Version, io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    let io = TokioIo::new(io);
    match version {
        Version::Http1 => {
            let connection = server::conn::http1::Builder::new().serve_connection(io, service_fn(hello));
            tokio::spawn(connection);
        }
        Version::Http2 => {
            let builder = server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(io, service_fn(hello)));
        }
    }
}

/// Makes the clients of one connection.
async fn clients(version: Version, io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Vec<Client> {
    let io = TokioIo::new(io);
    match version {
        Version::Http1 => {
            let (sender, connection) = http1::handshake(io).await.expect("nothing is sent yet");
            tokio::spawn(connection);
            vec![Client::Http1(sender)]
        }
        Version::Http2 => {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), io).await.expect("the server speaks HTTP/2");
            tokio::spawn(connection);
            (0..STREAMS).map(|_| Client::Http2(sender.clone())).collect()
        }
    }
}

fn connections(version: Version) -> u32 {
    match version {
        Version::Http1 => CONNECTIONS,
        Version::Http2 => CONNECTIONS / STREAMS,
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime of one thread")
}

/// Over the kernel's loopback, requests a second of CPU time.
#[must_use]
pub fn over_kernel(version: Version) -> Measure {
    let runtime = runtime();
    let clients = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("bound");
        let mut all = Vec::new();
        for _ in 0..connections(version) {
            let client = tokio::net::TcpStream::connect(address).await.expect("the listener is there");
            let (server, _) = listener.accept().await.expect("the client has connected");
            for socket in [&client, &server] {
                socket.set_nodelay(true).expect("a TCP socket");
            }
            serve(version, server);
            all.extend(clients(version, client).await);
        }
        all
    });
    measure(runtime, clients)
}

/// Over two Ciao stacks joined in memory, requests a second of CPU time.
#[must_use]
pub fn over_ciao(version: Version) -> Measure {
    let runtime = runtime();
    let clients = runtime.block_on(async {
        let (one, other) = memory_pair(MemoryConfig::OFFLOAD);
        let server = StackConfig::with_address(Cidr::new(SERVER.ip(), 24));
        let (server, server_driver) = Stack::over(one, server).expect("the system gives a seed");
        let client = StackConfig::with_address(Cidr::new(Ipv4Addr::new(10, 0, 0, 2), 24));
        let (client, client_driver) = Stack::over(other, client).expect("the system gives a seed");
        tokio::spawn(server_driver);
        tokio::spawn(client_driver);
        let listener = server.listen(SERVER).await.expect("the port is free");
        let mut all = Vec::new();
        for _ in 0..connections(version) {
            let client = client.connect(SERVER).await.expect("the listener is there");
            let (server, _) = listener.accept().await.expect("the client has connected");
            for socket in [&client, &server] {
                socket.set_nodelay(true).expect("a TCP socket");
            }
            serve(version, server);
            all.extend(clients(version, client).await);
        }
        all
    });
    measure(runtime, clients)
}

/// Each client asks its share, all of them at once.
fn measure(runtime: Runtime, mut clients: Vec<Client>) -> Measure {
    let share = REQUESTS / CONNECTIONS;
    Box::new(move || {
        let mut asking: JoinSet<Client> = JoinSet::new();
        let seconds = cpu_seconds(|| {
            runtime.block_on(async {
                for mut client in clients.drain(..) {
                    asking.spawn(async move {
                        for _ in 0..share {
                            client.ask().await;
                        }
                        client
                    });
                }
                while let Some(client) = asking.join_next().await {
                    clients.push(client.expect("no client panics"));
                }
            });
        });
        f64::from(REQUESTS) / seconds
    })
}
