//! A listening socket in the shape of tokio's `TcpListener`.
//!
//! Only completed handshakes are handed out. How many may wait is the `backlog` of the request, exactly;
//! what happens to those for whom there is no room is in `ciao_stack`.

use crate::current::current_stack;
use crate::shard::{Shard, Shared};
use crate::tcp_stream::TcpStream;
use crate::waiting::Place;
use ciao_stack::{IpOptions, ListenerId};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use tokio::net::ToSocketAddrs;

/// A listening socket. When dropped, connections that nobody accepted are reset.
pub struct TcpListener {
    shared: Arc<Shared>,
    id: ListenerId,
    local: SocketAddr,
    /// TTL of connections that are accepted from now on; 0 is the host's.
    ttl: AtomicU8,
}

impl TcpListener {
    pub(crate) fn new(shared: Arc<Shared>, id: ListenerId, hop_limit: Option<u8>) -> Self {
        let local = shared.lock().host.tcp_listener_local(id);
        Self { shared, id, local, ttl: AtomicU8::new(hop_limit.unwrap_or(0)) }
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
        let hop_limit = self.own_ttl();
        if hop_limit.is_some() {
            let ip = shard.host.tcp_ip_options(id);
            shard.host.tcp_set_ip_options(id, IpOptions { hop_limit, ..ip });
        }
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

    /// TTL, or hop limit, of the packets of accepted connections.
    ///
    /// # Errors
    /// None; the signature is tokio's.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(u32::from(self.own_ttl().unwrap_or_else(|| self.shared.lock().host.config().hop_limit)))
    }

    fn own_ttl(&self) -> Option<u8> {
        Some(self.ttl.load(Ordering::Relaxed)).filter(|ttl| *ttl > 0)
    }

    /// Sets the TTL, or hop limit, of connections accepted from now on: 1 to 255.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] outside that range.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.ttl.store(crate::tcp_socket::hop_limit(ttl)?, Ordering::Relaxed);
        Ok(())
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
