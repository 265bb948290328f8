//! How do server and client use Ciao's sockets?
//!
//! Both switch Nagle's algorithm off: hyper writes whole messages, and a held last piece would cost a round
//! trip.

use std::{io, net::SocketAddr};

use ciao::{Stack, TcpListener, TcpStream};

use crate::{client::Connect, server::Accept};

impl Accept for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok((stream, peer))
    }
}

/// Names are resolved by the operating system; the addresses are tried in turn.
impl Connect for Stack {
    type Io = TcpStream;

    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let stream = Stack::connect(self, (host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
