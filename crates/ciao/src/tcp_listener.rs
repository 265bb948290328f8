//! A listening socket in the shape of tokio's `TcpListener`.
//!
//! Only completed handshakes are handed out. How many may wait is the `backlog` of the request, exactly;
//! what happens to those for whom there is no room is in `ciao_stack`.

use crate::current::current_stack;
use crate::options::{PacketOptions, packet_options, with_hop_limit};
use crate::shard::{Shard, Shared};
use crate::tcp_stream::TcpStream;
use crate::waiting::Place;
use ciao_stack::{IpOptions, ListenerId};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::ToSocketAddrs;

/// A listening socket. When dropped, connections that nobody accepted are reset.
pub struct TcpListener {
    shared: Arc<Shared>,
    id: ListenerId,
    local: SocketAddr,
}

impl TcpListener {
    pub(crate) fn new(shared: Arc<Shared>, id: ListenerId) -> Self {
        let local = shared.lock().host.tcp_listener_local(id);
        Self { shared, id, local }
    }

    /// Listens on the stack that was entered last ([`crate::Stack::enter`]).
    ///
    /// # Errors
    /// As [`crate::Stack::listen`]; [`io::ErrorKind::NotFound`] when no stack was entered.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        current_stack()?.listen(addr).await
    }

    /// Waits for the next connection. To drop the future loses none.
    ///
    /// # Errors
    /// When the stack has ended, or is being shut down.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.shared.wait_at(&[Place::Accept(self.id)], |shard, _| self.try_accept(shard)).await
    }

    /// As [`Self::accept`]; only the task of the last call is woken.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.shared.poll_at(cx, Place::Accept(self.id), |shard, _| self.try_accept(shard))
    }

    fn try_accept(&self, shard: &mut Shard) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        if let Err(ended) = shard.check_accepts_new() {
            return Poll::Ready(Err(ended));
        }
        let Some(id) = shard.host.tcp_accept(self.id) else { return Poll::Pending };
        let peer = shard.host.tcp_remote(id);
        Poll::Ready(Ok((TcpStream::new(Arc::clone(&self.shared), id), peer)))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// None; the signature is tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn ask<T>(&self, question: impl FnOnce(&mut Shard) -> T) -> io::Result<T> {
        let mut shard = self.shared.lock();
        shard.check_accepts_new()?;
        Ok(question(&mut shard))
    }
}

packet_options!(TcpListener);

/// Those of connections whose handshake is completed from now on, and of the SYN-ACKs before.
impl PacketOptions for TcpListener {
    fn packet_options(&self) -> io::Result<IpOptions> {
        self.ask(|shard| {
            with_hop_limit(shard.host.tcp_listener_ip_options(self.id), shard.host.config().hop_limit)
        })
    }

    fn change_packet_options(&self, change: impl FnOnce(&mut IpOptions)) -> io::Result<()> {
        self.ask(|shard| {
            let mut ip = shard.host.tcp_listener_ip_options(self.id);
            change(&mut ip);
            shard.host.tcp_set_listener_ip_options(self.id, ip);
        })
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener").field("local", &self.local).finish_non_exhaustive()
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.shared.call(|shard, now| {
            // A shutdown has closed it already.
            if let Some(index) = shard.listeners.iter().position(|id| *id == self.id) {
                shard.listeners.swap_remove(index);
                shard.host.tcp_close_listener(now, self.id);
                shard.waits.release(Place::Accept(self.id));
            }
        });
    }
}
