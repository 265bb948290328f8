//! A TCP connection in the shape of tokio's `TcpStream`.
//!
//! The differences from tokio: there is no file descriptor, so nothing that needs one (`from_std`,
//! `AsRawFd`, `AsFd`); and there is more to ask and to do, since the stack is at hand: [`TcpStream::why`],
//! [`TcpStream::state`], [`TcpStream::read_bytes`], [`TcpStream::write_bytes`].
//!
//! What an attempt to read or write answers is in `tcp_io`; the halves are in [`crate::halves`]; how a
//! connection is made in [`crate::Stack`] and [`crate::TcpSocket`].

use crate::current::current_stack;
use crate::error::would_block;
use crate::halves::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::options::{PacketOptions, packet_options, tcp_options, with_hop_limit};
use crate::shard::{Shard, Shared};
use crate::tcp_io::{receive_into, send_bytes, send_vectored};
use crate::waiting::Place;
use bytes::{BufMut, Bytes};
use ciao_stack::{ConnectRequest, ConnectionId, IpOptions, SocketId};
use ciao_tcp::config::SocketOptions;
use ciao_tcp::error::ReceiveError;
use ciao_tcp::{ConnectionError, TcpInfo, TcpState, Wait};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::ToSocketAddrs;

/// A TCP connection.
///
/// When dropped it is closed: with FIN, which the stack repeats in the background for as long as it lives,
/// or with RST when bytes were left unread (RFC 2525 §2.17).
pub struct TcpStream {
    shared: Arc<Shared>,
    id: SocketId,
    when_dropped: WhenDropped,
}

/// How the socket is given back.
#[derive(Clone, Copy, Debug)]
enum WhenDropped {
    Close,
    Abort,
}

impl TcpStream {
    pub(crate) fn new(shared: Arc<Shared>, id: SocketId) -> Self {
        Self { shared, id, when_dropped: WhenDropped::Close }
    }

    /// Connects through the stack that was entered last ([`crate::Stack::enter`]), to the first address
    /// that answers.
    ///
    /// # Errors
    /// As [`crate::Stack::connect`]; [`io::ErrorKind::NotFound`] when no stack was entered.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        current_stack()?.connect(addr).await
    }

    /// As [`Self::connect`], but with TCP Fast Open and `data` that goes out first, in the SYN if the server
    /// knows us. Read at [`crate::Stack::connect_with_data`] what the network may do with it.
    ///
    /// # Errors
    /// As [`crate::Stack::connect_with_data`]; [`io::ErrorKind::NotFound`] when no stack was entered.
    pub async fn connect_with_data(addr: SocketAddr, data: &[u8]) -> io::Result<Self> {
        let stack = current_stack()?;
        let options = stack.default_options();
        stack.connect_with_data(ConnectRequest { options, ..ConnectRequest::to(addr) }, data).await
    }

    /// Our end of the connection.
    ///
    /// # Errors
    /// When the stack has ended.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.ask(|shard| shard.host.tcp_local(self.id))
    }

    /// The peer's end of the connection.
    ///
    /// # Errors
    /// When the stack has ended.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.ask(|shard| shard.host.tcp_remote(self.id))
    }

    /// How the connection ended, if it did by a fault that no call has answered with yet.
    ///
    /// # Errors
    /// When the stack has ended.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.ask(|shard| shard.take_error(self.id))
    }

    /// The last fault of the network that may pass, once: the connection goes on trying (RFC 9293 §3.9.1.8).
    ///
    /// # Errors
    /// When the stack has ended.
    pub fn take_soft_error(&self) -> io::Result<Option<ConnectionError>> {
        self.ask(|shard| shard.waits.tcp(self.id).soft_error.take())
    }

    /// True, once, when retransmissions have gone unanswered for a while (R1): the path has trouble, and the
    /// connection goes on trying until its user timeout (R2).
    ///
    /// # Errors
    /// When the stack has ended.
    // RFC 9293 §3.8.3 SHLD-9
    pub fn take_delivery_trouble(&self) -> io::Result<bool> {
        self.ask(|shard| std::mem::take(&mut shard.waits.tcp(self.id).delivery_trouble))
    }

    /// The state of the connection (RFC 9293 §3.3.2); CLOSED when the stack has ended.
    #[must_use]
    pub fn state(&self) -> TcpState {
        self.ask(|shard| shard.host.tcp_state(self.id)).unwrap_or(TcpState::Closed)
    }

    /// What the connection waits for, and until when.
    ///
    /// # Errors
    /// When the stack has ended.
    pub fn why(&self) -> io::Result<Wait> {
        let shard = self.shared.lock();
        shard.check_open()?;
        Ok(shard.host.tcp_why(self.id))
    }

    /// What there is to know of the connection, as `ss -ti` shows it of one of the kernel's.
    ///
    /// # Errors
    /// When the stack has ended.
    pub fn info(&self) -> io::Result<TcpInfo> {
        let now = self.shared.now();
        self.ask(|shard| shard.host.tcp_info(now, self.id))
    }

    /// The name of the connection in the stack's trace.
    ///
    /// # Errors
    /// When the stack has ended.
    pub fn connection(&self) -> io::Result<ConnectionId> {
        self.ask(|shard| shard.host.tcp_connection(self.id))
    }

    /// Ends the connection at once with RST; what waits to be sent is lost (RFC 9293 §3.10.5).
    pub fn abort(mut self) {
        self.when_dropped = WhenDropped::Abort;
    }

    /// Splits into two halves that borrow the connection.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        crate::halves::split(self)
    }

    /// Splits into two halves that may live in different tasks. The write half sends FIN when dropped.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        crate::halves::into_split(self)
    }

    fn ask<T>(&self, question: impl FnOnce(&mut Shard) -> T) -> io::Result<T> {
        let mut shard = self.shared.lock();
        shard.check_open()?;
        Ok(question(&mut shard))
    }
}

/// Reading.
impl TcpStream {
    /// Ready when a read would not wait; only the task of the last call is woken.
    ///
    /// # Errors
    /// None; the signature is tokio's.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(cx, Place::TcpRead(self.id), Interest::READABLE)
    }

    /// Waits until a read would not wait.
    ///
    /// # Errors
    /// None; the signature is tokio's. What ended the connection is told by the read.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Reads what has arrived, without waiting. `Ok(0)` is the peer's FIN.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing has arrived; how the connection ended, once.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.try_now(|shard, now| shard.try_receive(self.id, |host| host.tcp_receive(now, self.id, buf)))
    }

    /// As [`Self::try_read`], into several buffers in order.
    ///
    /// # Errors
    /// As [`Self::try_read`].
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut total = 0;
        for buf in bufs {
            match self.try_read(buf) {
                Ok(read) => total += read,
                Err(error) if total == 0 => return Err(error),
                Err(_) => break,
            }
            if total == 0 && !buf.is_empty() {
                break;
            }
        }
        Ok(total)
    }

    /// As [`Self::try_read`], behind what `buf` holds.
    ///
    /// # Errors
    /// As [`Self::try_read`].
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        if !buf.has_remaining_mut() {
            return Ok(0);
        }
        self.try_now(|shard, now| shard.try_receive(self.id, |host| receive_into(host, now, self.id, buf)))
    }

    /// Looks at what has arrived; it stays to be read. `Ok(0)` is the peer's FIN. To drop the future loses
    /// nothing.
    ///
    /// # Errors
    /// How the connection ended, once.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let places = [Place::TcpRead(self.id)];
        self.shared
            .wait_at(&places, |shard, _| shard.try_receive(self.id, |host| host.tcp_peek(self.id, buf)))
            .await
    }

    /// As [`Self::peek`]; only the task of the last call is woken.
    ///
    /// # Errors
    /// As [`Self::peek`].
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let unfilled = buf.initialize_unfilled();
        let answer = self.shared.poll_at(cx, Place::TcpRead(self.id), |shard, _| {
            shard.try_receive(self.id, |host| host.tcp_peek(self.id, unfilled))
        });
        if let Poll::Ready(Ok(count)) = &answer {
            buf.advance(*count);
        }
        answer
    }

    /// Takes at most `max` bytes without copying them: they lie where the device put them. Empty is the
    /// peer's FIN. To drop the future loses nothing.
    ///
    /// # Errors
    /// How the connection ended, once.
    pub async fn read_bytes(&self, max: usize) -> io::Result<Bytes> {
        let places = [Place::TcpRead(self.id)];
        self.shared
            .wait_at(&places, |shard, now| {
                shard.try_receive(self.id, |host| host.tcp_receive_bytes(now, self.id, max))
            })
            .await
    }

    pub(crate) fn poll_read_shared(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let answer = self.shared.poll_at(cx, Place::TcpRead(self.id), |shard, now| {
            shard.try_receive(self.id, |host| receive_into(host, now, self.id, buf))
        });
        answer.map_ok(drop)
    }
}

/// Writing.
impl TcpStream {
    /// Ready when a write would not wait; only the task of the last call is woken.
    ///
    /// # Errors
    /// None; the signature is tokio's.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(cx, Place::TcpWrite(self.id), Interest::WRITABLE)
    }

    /// Waits until a write would not wait. After a write that found no room this takes until a good part of
    /// the send buffer is free, not until one byte is.
    ///
    /// # Errors
    /// None; the signature is tokio's. What ended the connection is told by the write.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Writes as much as there is room for, without waiting.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] without room, [`io::ErrorKind::BrokenPipe`] after our FIN; how the
    /// connection ended, once, then [`io::ErrorKind::BrokenPipe`].
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.try_now(|shard, now| shard.try_send(self.id, |host| host.tcp_send(now, self.id, buf)))
    }

    /// As [`Self::try_write`], from several buffers in order.
    ///
    /// # Errors
    /// As [`Self::try_write`].
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_now(|shard, now| shard.try_send(self.id, |host| send_vectored(host, now, self.id, bufs)))
    }

    /// Waits for room and takes what fits from the front of `bytes`, without copying. To drop the future
    /// loses nothing: what is left in `bytes` was not taken.
    ///
    /// # Errors
    /// As [`Self::try_write`], but never [`io::ErrorKind::WouldBlock`].
    pub async fn write_bytes(&self, bytes: &mut Bytes) -> io::Result<usize> {
        let places = [Place::TcpWrite(self.id)];
        self.shared
            .wait_at(&places, |shard, now| {
                shard.try_send(self.id, |host| send_bytes(host, now, self.id, bytes))
            })
            .await
    }

    /// As [`Self::write_bytes`], until all of `bytes` is taken.
    ///
    /// # Errors
    /// As [`Self::write_bytes`].
    pub async fn write_all_bytes(&self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            self.write_bytes(&mut bytes).await?;
        }
        Ok(())
    }

    /// Waits for room, writes as much of `buf` as fits, and tells the peer that all up to its end is urgent.
    /// The bytes stay in line with all others, but a program on Linux finds the last of them out of line
    /// unless it has set `SO_OOBINLINE`. Only old protocols want this (RFC 6093 §5).
    ///
    /// # Errors
    /// As [`Self::write_bytes`].
    // RFC 9293 §3.8.5 MUST-30
    pub async fn write_urgent(&self, buf: &[u8]) -> io::Result<usize> {
        let places = [Place::TcpWrite(self.id)];
        self.shared
            .wait_at(&places, |shard, now| {
                shard.try_send(self.id, |host| host.tcp_send_urgent(now, self.id, buf))
            })
            .await
    }

    /// How many bytes are to be read before the end of the peer's urgent data; zero when there is none, or
    /// all of it was read.
    ///
    /// # Errors
    /// When the stack has ended.
    // RFC 9293 §3.8.5 MUST-33
    pub fn urgent_len(&self) -> io::Result<u32> {
        self.ask(|shard| shard.host.tcp_urgent_len(self.id))
    }

    /// Waits until there is urgent data that was not read, and answers as [`Self::urgent_len`]; zero when the
    /// connection ended before.
    ///
    /// # Errors
    /// When the stack has ended.
    // RFC 9293 §3.8.5 MUST-32
    pub async fn urgent(&self) -> io::Result<u32> {
        self.shared
            .wait_at(&[Place::TcpRead(self.id)], |shard, _| {
                if let Err(ended) = shard.check_open() {
                    return Poll::Ready(Err(ended));
                }
                let over =
                    matches!(shard.host.tcp_peek(self.id, &mut [0]), Ok(0) | Err(ReceiveError::Ended(_)));
                match shard.host.tcp_urgent_len(self.id) {
                    0 if !over => Poll::Pending,
                    len => Poll::Ready(Ok(len)),
                }
            })
            .await
    }

    pub(crate) fn poll_write_shared(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.shared.poll_at(cx, Place::TcpWrite(self.id), |shard, now| {
            shard.try_send(self.id, |host| host.tcp_send(now, self.id, buf))
        })
    }

    pub(crate) fn poll_write_vectored_shared(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll_at(cx, Place::TcpWrite(self.id), |shard, now| {
            shard.try_send(self.id, |host| send_vectored(host, now, self.id, bufs))
        })
    }

    /// FIN behind what was written. It does not wait.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.shared.call(|shard, now| {
            shard.check_open()?;
            shard.host.tcp_shutdown(now, self.id);
            Ok(())
        })
    }
}

/// Readiness.
impl TcpStream {
    /// Waits until the connection is ready for some of `interest`, and answers for which.
    ///
    /// # Errors
    /// None; the signature is tokio's.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        // Reading and writing are woken apart; an end of the connection wakes both.
        let read = Place::TcpRead(self.id);
        let write = Place::TcpWrite(self.id);
        let places = match (interest.is_readable(), interest.is_writable()) {
            (true, true) => [read, write],
            (false, true) => [write, write],
            _ => [read, read],
        };
        Ok(self.shared.wait_at(&places, |shard, _| self.poll_interest(shard, interest)).await)
    }

    /// Runs `attempt` if the connection is ready for some of `interest`.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when it is not ready; what `attempt` answers.
    pub fn try_io<R>(&self, interest: Interest, attempt: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        if self.shared.lock().readiness(self.id, interest).is_empty() {
            return Err(would_block());
        }
        attempt()
    }

    /// Runs `attempt`, each time that the connection is ready for some of `interest`, until it need not wait.
    ///
    /// # Errors
    /// What `attempt` answers, but never [`io::ErrorKind::WouldBlock`].
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut attempt: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            self.ready(interest).await?;
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                answer => return answer,
            }
        }
    }

    fn poll_interest(&self, shard: &mut Shard, interest: Interest) -> Poll<Ready> {
        let ready = shard.readiness(self.id, interest);
        if ready.is_empty() { Poll::Pending } else { Poll::Ready(ready) }
    }

    fn poll_ready(&self, cx: &mut Context<'_>, place: Place, interest: Interest) -> Poll<io::Result<()>> {
        self.shared.poll_at(cx, place, |shard, _| self.poll_interest(shard, interest)).map(|_| Ok(()))
    }

    /// One attempt: `Pending` becomes `WouldBlock`.
    fn try_now<T>(
        &self,
        attempt: impl FnOnce(&mut Shard, ciao_wire::Instant) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        match self.shared.call(attempt) {
            Poll::Ready(answer) => answer,
            Poll::Pending => Err(would_block()),
        }
    }
}

/// Options that a connection has alone; the others: `options`.
impl TcpStream {
    /// How long the connection lingers when dropped: `Some(ZERO)` is RST at once. No value ever makes a
    /// drop wait.
    ///
    /// # Errors
    /// When the stack has ended.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.ask(|shard| {
            if shard.host.tcp_options(self.id).zero_linger {
                return Some(Duration::ZERO);
            }
            shard.waits.tcp(self.id).linger_s.map(|secs| Duration::from_secs(secs.into()))
        })
    }

    /// `Some(ZERO)`: RST when dropped. Else FIN in the background, whatever the duration; it is rounded up
    /// to seconds, remembered, and answered by [`Self::linger`].
    ///
    /// # Errors
    /// When the stack has ended.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        let secs = linger.map(|linger| u32::try_from(linger.as_millis().div_ceil(1000)).unwrap_or(u32::MAX));
        self.ask(|shard| shard.waits.tcp(self.id).linger_s = secs)?;
        self.change_options(|options| options.zero_linger = linger == Some(Duration::ZERO))
    }

    /// RST when dropped, without TIME-WAIT.
    ///
    /// # Errors
    /// When the stack has ended.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// All options of the connection.
    ///
    /// # Errors
    /// When the stack has ended.
    pub fn options(&self) -> io::Result<SocketOptions> {
        self.ask(|shard| shard.host.tcp_options(self.id))
    }

    /// Changes options of the connection.
    ///
    /// # Errors
    /// When the stack has ended.
    pub fn change_options(&self, change: impl FnOnce(&mut SocketOptions)) -> io::Result<()> {
        self.shared.call(|shard, now| {
            shard.check_open()?;
            let mut options = shard.host.tcp_options(self.id);
            change(&mut options);
            shard.host.tcp_set_options(now, self.id, options);
            Ok(())
        })
    }
}

tcp_options!(TcpStream);
packet_options!(TcpStream);

impl PacketOptions for TcpStream {
    fn packet_options(&self) -> io::Result<IpOptions> {
        self.ask(|shard| with_hop_limit(shard.host.tcp_ip_options(self.id), shard.host.config().hop_limit))
    }

    fn change_packet_options(&self, change: impl FnOnce(&mut IpOptions)) -> io::Result<()> {
        self.ask(|shard| {
            let mut ip = shard.host.tcp_ip_options(self.id);
            change(&mut ip);
            shard.host.tcp_set_ip_options(self.id, ip);
        })
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_read_shared(cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_shared(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored_shared(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// At once: what was written is in the send buffer and sent as soon as TCP allows.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// FIN behind what was written; does not wait for its acknowledgment.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown_write())
    }
}

impl AsRef<Self> for TcpStream {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("TcpStream");
        if let (Ok(local), Ok(peer)) = (self.local_addr(), self.peer_addr()) {
            out.field("local", &local).field("peer", &peer);
        }
        out.field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        let Self { shared, id, when_dropped } = self;
        shared.call(|shard, now| {
            // A stack that has ended carries nothing any more, so there is nothing to say to the peer.
            if shard.end.is_some() {
                return;
            }
            match when_dropped {
                WhenDropped::Close => shard.host.tcp_close(now, *id),
                WhenDropped::Abort => shard.host.tcp_abort(now, *id),
            }
            shard.waits.release_tcp(*id);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TcpListener, TcpSocket, UdpSocket};

    #[test]
    fn the_types_may_be_sent_and_shared_as_tokios_may() {
        fn sent_and_shared<T: Send + Sync + Unpin>() {}
        sent_and_shared::<TcpStream>();
        sent_and_shared::<OwnedReadHalf>();
        sent_and_shared::<OwnedWriteHalf>();
        sent_and_shared::<TcpListener>();
        sent_and_shared::<UdpSocket>();
        sent_and_shared::<crate::Stack>();
        sent_and_shared::<TcpSocket>();
    }
}
