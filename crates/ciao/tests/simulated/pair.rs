//! A client and a server with 10 ms between them, for every test of this directory.

use ciao::{HostConfig, Simulation, Stack, TcpListener, TcpStream};
use ciao_sim::{LinkConfig, PortId};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The server's address: it is the second host.
pub(crate) const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// Where the server listens.
pub(crate) fn server_addr() -> SocketAddr {
    (SERVER, 80).into()
}

pub(crate) struct Pair {
    pub(crate) simulation: Simulation,
    pub(crate) client: Stack,
    pub(crate) server: Stack,
    /// Where the client sends.
    pub(crate) client_port: PortId,
    /// Where the server sends.
    pub(crate) server_port: PortId,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(1, &HostConfig::default(), &LinkConfig::default())
    }

    pub(crate) fn with(seed: u64, config: &HostConfig, link: &LinkConfig) -> Self {
        let simulation = Simulation::new(seed);
        let client = simulation.host("client", config.clone());
        let server = simulation.host("server", config.clone());
        let [client_port, server_port] = simulation.join(&client, &server, link.clone(), link.clone());
        Self { simulation, client, server, client_port, server_port }
    }

    pub(crate) fn run<F: Future>(&self, program: F) -> F::Output {
        self.simulation.run(program).expect("the program comes to its end")
    }

    /// Both ends of a new connection, the client's first.
    pub(crate) async fn connected(&self) -> (TcpStream, TcpStream) {
        let listener = self.server.listen(server_addr()).await.unwrap();
        self.connected_to(&listener).await
    }

    pub(crate) async fn connected_to(&self, listener: &TcpListener) -> (TcpStream, TcpStream) {
        let client = self.client.connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        (client, server)
    }

    /// From now on the server sends every connection back what it reads, until that has an end.
    pub(crate) async fn serve_echo(&self) {
        let listener = self.server.listen(server_addr()).await.unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    // That the connection ended is for the client to notice.
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
    }

    /// From now on nothing arrives at either end.
    pub(crate) fn cut(&self) {
        for port in [self.client_port, self.server_port] {
            let dead = LinkConfig { loss_ppm: 1_000_000, ..LinkConfig::default() };
            self.simulation.configure(port, dead);
        }
    }
}
