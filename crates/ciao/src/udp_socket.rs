//! A UDP socket in the shape of tokio's `UdpSocket`.
//!
//! A datagram that is longer than the path takes leaves in fragments. What does not fit the receive buffer of
//! the host's configuration is dropped and counted there.

use crate::current::current_stack;
use crate::error::{bind_error, icmp_error, udp_send_error, would_block};
use crate::options::{PacketOptions, packet_options, with_hop_limit};
use crate::shard::{Shard, Shared};
use crate::stack::Stack;
use crate::waiting::Place;
use ciao_stack::{IpOptions, UdpId};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use tokio::io::ReadBuf;
use tokio::net::{ToSocketAddrs, lookup_host};

/// A UDP socket.
pub struct UdpSocket {
    shared: Arc<Shared>,
    id: UdpId,
    local: SocketAddr,
    /// The one peer that the socket hears and sends to, once connected.
    peer: OnceLock<SocketAddr>,
}

impl Stack {
    /// Opens a UDP socket at the first of the addresses that can be had.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`], [`io::ErrorKind::AddrNotAvailable`], [`io::ErrorKind::InvalidInput`]
    /// when there is no address.
    pub async fn bind_udp<A: ToSocketAddrs>(&self, addr: A) -> io::Result<UdpSocket> {
        let mut last = None;
        for local in lookup_host(addr).await? {
            let bound = self.shared().call(|shard, _| {
                shard.check_accepts_new()?;
                let id = shard.host.udp_bind(local).map_err(bind_error)?;
                io::Result::Ok((id, shard.host.udp_local(id)))
            });
            match bound {
                Ok((id, local)) => {
                    let shared = Arc::clone(self.shared());
                    return Ok(UdpSocket { shared, id, local, peer: OnceLock::new() });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the name has no address")))
    }
}

impl UdpSocket {
    /// Opens a socket on the stack that was entered last ([`Stack::enter`]).
    ///
    /// # Errors
    /// As [`Stack::bind_udp`]; [`io::ErrorKind::NotFound`] when no stack was entered.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        current_stack()?.bind_udp(addr).await
    }

    /// From now on the socket sends to `addr`, and hears nobody else. Once only.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] the second time; [`io::ErrorKind::InvalidInput`] when there is no
    /// address.
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        let peer = lookup_host(addr).await?.next();
        let peer =
            peer.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the name has no address"))?;
        self.peer.set(peer).map_err(|_| io::ErrorKind::AlreadyExists.into())
    }

    /// Our end.
    ///
    /// # Errors
    /// None; the signature is tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// The peer of a connected socket.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotConnected`].
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer.get().copied().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Sends a datagram. It never waits: what the link has no room for, as a network would, is refused.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when the datagram is longer than any may be, or there is no such
    /// address; [`io::ErrorKind::NetworkUnreachable`], [`io::ErrorKind::WouldBlock`].
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.shared.call(|shard, now| {
            shard.check_open()?;
            shard.host.udp_send_to(now, self.id, buf, target).map_err(udp_send_error)?;
            Ok(buf.len())
        })
    }

    /// As [`Self::try_send_to`], to the first address of `target`.
    ///
    /// # Errors
    /// As [`Self::try_send_to`].
    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], target: A) -> io::Result<usize> {
        let target = lookup_host(target).await?.next();
        let target =
            target.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the name has no address"))?;
        self.try_send_to(buf, target)
    }

    /// Sends a datagram to the peer.
    ///
    /// # Errors
    /// As [`Self::try_send_to`]; [`io::ErrorKind::NotConnected`] without a peer.
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_send_to(buf, self.peer_addr()?)
    }

    /// As [`Self::try_send`].
    ///
    /// # Errors
    /// As [`Self::try_send`].
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_send(buf)
    }

    /// The next datagram, without waiting: how many of its bytes fit into `buf`, and its sender.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none; [`io::ErrorKind::ConnectionRefused`] and the like
    /// when ICMP says that what a connected socket sent has not arrived; when the stack has ended.
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        match self.shared.call(|shard, _| self.attempt(shard, buf)) {
            Poll::Ready(answer) => answer,
            Poll::Pending => Err(would_block()),
        }
    }

    /// As [`Self::try_recv_from`], from the peer.
    ///
    /// # Errors
    /// As [`Self::try_recv_from`].
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.try_recv_from(buf).map(|(len, _)| len)
    }

    /// Waits for the next datagram. To drop the future loses none.
    ///
    /// # Errors
    /// When the stack has ended.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.shared.wait_at(&[Place::UdpRead(self.id)], |shard, _| self.attempt(shard, buf)).await
    }

    /// As [`Self::recv_from`], from the peer.
    ///
    /// # Errors
    /// As [`Self::recv_from`].
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv_from(buf).await.map(|(len, _)| len)
    }

    /// As [`Self::recv_from`]; only the task of the last call is woken.
    ///
    /// # Errors
    /// As [`Self::recv_from`].
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        let unfilled = buf.initialize_unfilled();
        let answer =
            self.shared.poll_at(cx, Place::UdpRead(self.id), |shard, _| self.attempt(shard, unfilled));
        answer.map_ok(|(len, peer)| {
            buf.advance(len);
            peer
        })
    }

    fn ask<T>(&self, ask: impl FnOnce(&mut Shard) -> T) -> io::Result<T> {
        self.shared.call(|shard, _| {
            shard.check_open()?;
            Ok(ask(shard))
        })
    }

    fn attempt(&self, shard: &mut Shard, buf: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        if let Err(ended) = shard.check_open() {
            return Poll::Ready(Err(ended));
        }
        while let Some((len, from)) = shard.host.udp_receive_from(self.id, buf) {
            if self.peer.get().is_none_or(|peer| *peer == from) {
                return Poll::Ready(Ok((len, from)));
            }
        }
        // Whoever has no peer could not tell whose error it is (RFC 1122 §4.1.3.3; Linux).
        match (shard.host.udp_take_error(self.id), self.peer.get()) {
            (Some((remote, kind)), Some(peer)) if remote == *peer => Poll::Ready(Err(icmp_error(kind))),
            _ => Poll::Pending,
        }
    }
}

packet_options!(UdpSocket);

impl PacketOptions for UdpSocket {
    fn packet_options(&self) -> io::Result<IpOptions> {
        self.ask(|shard| with_hop_limit(shard.host.udp_ip_options(self.id), shard.host.config().hop_limit))
    }

    fn change_packet_options(&self, change: impl FnOnce(&mut IpOptions)) -> io::Result<()> {
        self.ask(|shard| {
            let mut ip = shard.host.udp_ip_options(self.id);
            change(&mut ip);
            shard.host.udp_set_ip_options(self.id, ip);
        })
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket")
            .field("local", &self.local)
            .field("peer", &self.peer.get())
            .finish_non_exhaustive()
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.shared.call(|shard, _| {
            if shard.end.is_none() {
                shard.host.udp_close(self.id);
                shard.waits.release(Place::UdpRead(self.id));
            }
        });
    }
}
