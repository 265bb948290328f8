//! Which address of a host can be connected to, and what is said when none can?
//!
//! A packet from a TUN interface reaches the kernel's own addresses, but never its loopback; other hosts
//! only when the machine forwards.

use std::{io, net::SocketAddr};

use ciao::{ConnectRequest, Stack, TcpStream};
use ciao_http::client::Connect;

use crate::network::Network;

/// Connects through our interface.
pub(super) struct Reach {
    stack: Stack,
    networks: Vec<Network>,
}

impl Reach {
    pub(super) fn new(stack: Stack, networks: Vec<Network>) -> Reach {
        Reach { stack, networks }
    }

    async fn attempt(&self, remote: SocketAddr) -> io::Result<TcpStream> {
        let Some(network) = self.networks.iter().find(|network| network.own.is_ipv4() == remote.is_ipv4())
        else {
            let version = if remote.is_ipv4() { "IPv4" } else { "IPv6" };
            let why = format!("{} wants an {version} address of ours: give one with --addr", remote.ip());
            return Err(io::Error::new(io::ErrorKind::NetworkUnreachable, why));
        };
        if remote.ip().is_loopback() {
            let (address, kernel) = (remote.ip(), network.kernel);
            let why = format!(
                "{address} is inside this machine's kernel, where packets of an interface never come; \
                 what listens on all addresses is reached at {kernel}"
            );
            return Err(io::Error::new(io::ErrorKind::NetworkUnreachable, why));
        }
        let stream =
            self.stack.connect_with(ConnectRequest::to(remote)).await.map_err(|error| {
                match error.kind() {
                    io::ErrorKind::TimedOut if !network.contains(remote.ip()) => io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!(
                            "{error}; {} is reached only if this machine forwards, see `ciao get --help`",
                            remote.ip()
                        ),
                    ),
                    _ => error,
                }
            })?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Connect for Reach {
    type Io = TcpStream;

    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, format!("the name {host} has no address"));
        for remote in tokio::net::lookup_host((host, port)).await? {
            match self.attempt(remote).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
