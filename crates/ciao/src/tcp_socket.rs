//! A TCP socket that is told things before it connects or listens, in the shape of tokio's `TcpSocket`.
//!
//! [`TcpSocket::bind`] keeps the port until the socket has connected, listens, or is dropped.

use crate::current::current_stack;
use crate::error::bind_error;
use crate::options::{PacketOptions, packet_options, tcp_options, with_hop_limit};
use crate::stack::Stack;
use crate::tcp_listener::TcpListener;
use crate::tcp_stream::TcpStream;
use ciao_stack::{BoundId, ConnectRequest, IpOptions, ListenRequest, Reuse};
use ciao_tcp::config::SocketOptions;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A TCP socket that neither connects nor listens yet.
#[derive(Debug)]
pub struct TcpSocket {
    stack: Stack,
    settings: Mutex<Settings>,
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        if let Some(id) = self.settings().bound {
            self.stack.shared().call(|shard, _| shard.host.tcp_unbind(id));
        }
    }
}

/// What it was told.
#[derive(Clone, Copy, Debug)]
struct Settings {
    local: SocketAddr,
    options: SocketOptions,
    ip: IpOptions,
    linger: Option<Duration>,
    reuseaddr: bool,
    bound: Option<BoundId>,
    fast_open: usize,
}

impl Stack {
    /// A socket for IPv4.
    #[must_use]
    pub fn new_socket_v4(&self) -> TcpSocket {
        TcpSocket::on(self, (Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// A socket for IPv6.
    #[must_use]
    pub fn new_socket_v6(&self) -> TcpSocket {
        TcpSocket::on(self, (Ipv6Addr::UNSPECIFIED, 0).into())
    }
}

impl TcpSocket {
    fn on(stack: &Stack, local: SocketAddr) -> Self {
        let settings = Settings {
            local,
            options: stack.default_options(),
            ip: IpOptions::default(),
            linger: None,
            reuseaddr: true,
            bound: None,
            fast_open: 0,
        };
        Self { stack: stack.clone(), settings: Mutex::new(settings) }
    }

    fn settings(&self) -> Settings {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A socket for IPv4 on the stack that was entered last ([`Stack::enter`]).
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when no stack was entered.
    pub fn new_v4() -> io::Result<Self> {
        Ok(current_stack()?.new_socket_v4())
    }

    /// A socket for IPv6 on the stack that was entered last ([`Stack::enter`]).
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when no stack was entered.
    pub fn new_v6() -> io::Result<Self> {
        Ok(current_stack()?.new_socket_v6())
    }

    /// Keeps the local end for this socket; the stack chooses for port 0, and [`Self::local_addr`] tells
    /// what. How others may use the port meanwhile follows from [`Self::set_reuseaddr`].
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when the address is of the other version, or the socket is bound
    /// already; [`io::ErrorKind::AddrInUse`]; [`io::ErrorKind::AddrNotAvailable`] when the address is not one
    /// of the stack, or every ephemeral port is in use.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        let Settings { local, reuseaddr, bound, .. } = self.settings();
        let invalid = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if addr.is_ipv4() != local.is_ipv4() {
            return invalid("the address is of the other IP version");
        }
        if bound.is_some() {
            return invalid("the socket is bound already");
        }
        let reuse = if reuseaddr { Reuse::Shared } else { Reuse::Exclusive };
        let (id, local) = self.stack.shared().call(|shard, _| {
            shard.check_accepts_new()?;
            let id = shard.host.tcp_bind(addr, reuse).map_err(bind_error)?;
            io::Result::Ok((id, shard.host.tcp_bound_local(id)))
        })?;
        self.change(|settings| (settings.bound, settings.local) = (Some(id), local));
        Ok(())
    }

    /// Connects. To drop the future ends the attempt.
    ///
    /// # Errors
    /// As [`Stack::connect`], and [`io::ErrorKind::AddrInUse`] or [`io::ErrorKind::AddrNotAvailable`] for
    /// the local end.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        let stream = self.stack.connect_with(self.request(addr)).await?;
        stream.set_linger(self.settings().linger)?;
        Ok(stream)
    }

    /// Connects with TCP Fast Open and sends `data`, as [`Stack::connect_with_data`] does. Read there what
    /// the network may do with it.
    ///
    /// # Errors
    /// As [`Self::connect`], and as a write.
    pub async fn connect_with_data(self, addr: SocketAddr, data: &[u8]) -> io::Result<TcpStream> {
        let stream = self.stack.connect_with_data(self.request(addr), data).await?;
        stream.set_linger(self.settings().linger)?;
        Ok(stream)
    }

    fn request(&self, remote: SocketAddr) -> ConnectRequest {
        let Settings { bound, options, ip, .. } = self.settings();
        ConnectRequest { bound, options, ip, ..ConnectRequest::to(remote) }
    }

    /// Listens; at most `backlog` connections wait to be accepted, 0 counts as 1.
    ///
    /// # Errors
    /// As [`Stack::listen`].
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let Settings { local, bound, options, ip, fast_open, .. } = self.settings();
        let backlog = usize::try_from(backlog.max(1)).unwrap_or(usize::MAX);
        self.stack.listen_with(ListenRequest {
            bound,
            backlog,
            options,
            ip,
            fast_open,
            ..ListenRequest::at(local)
        })
    }

    /// The local end; zeros before [`Self::bind`].
    ///
    /// # Errors
    /// None; the signature is tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.settings().local)
    }

    /// Nothing can have happened to it yet.
    ///
    /// # Errors
    /// None; the signature is tokio's.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    /// All options of TCP.
    ///
    /// # Errors
    /// None; the signature is that of [`TcpStream::options`].
    pub fn options(&self) -> io::Result<SocketOptions> {
        Ok(self.settings().options)
    }

    /// Lets a listener take data in SYNs from clients that have a cookie of ours (RFC 7413), for at most
    /// `pending` connections of the stack at a time whose handshake is not complete; zero, as at first, for
    /// none.
    ///
    /// **The network may deliver the data of a SYN twice, to two connections**: only for applications to
    /// which that does no harm.
    // RFC 7413 §6.1 7413-6a
    pub fn set_fast_open(&self, pending: usize) {
        self.change(|settings| settings.fast_open = pending);
    }

    /// Changes options of TCP.
    ///
    /// # Errors
    /// None; the signature is that of [`TcpStream::change_options`].
    pub fn change_options(&self, change: impl FnOnce(&mut SocketOptions)) -> io::Result<()> {
        self.change(|settings| change(&mut settings.options));
        Ok(())
    }
}

/// Options that a socket has before it connects or listens; the others: `options`. None of them fails.
impl TcpSocket {
    /// Lets [`Self::bind`] take a port that has connections, those in TIME-WAIT among them, or that other
    /// sockets share and do not listen to: on, unless switched off. It counts for a later `bind` alone.
    pub fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()> {
        self.change(|settings| settings.reuseaddr = reuseaddr);
        Ok(())
    }

    /// What [`Self::set_reuseaddr`] was told; true before.
    pub fn reuseaddr(&self) -> io::Result<bool> {
        Ok(self.settings().reuseaddr)
    }

    /// Most bytes that wait to be sent or acknowledged. Exact: Linux doubles it.
    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        self.change_options(|options| options.send_buffer_bytes = Some(size))
    }

    /// Most bytes that wait to be sent or acknowledged.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        let default = || self.stack.shared().lock().host.config().tcp.send_buffer_bytes;
        Ok(self.settings().options.send_buffer_bytes.unwrap_or_else(default))
    }

    /// Most bytes that wait to be read; it decides the window scale. Exact: Linux doubles it.
    pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        self.change_options(|options| options.receive_buffer_bytes = Some(size))
    }

    /// Most bytes that wait to be read.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        let default = || self.stack.shared().lock().host.config().tcp.receive_buffer_bytes;
        Ok(self.settings().options.receive_buffer_bytes.unwrap_or_else(default))
    }

    /// `Some(ZERO)`: RST when the connection is dropped. Else FIN in the background, whatever the duration.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.change(|settings| settings.linger = linger);
        self.change_options(|options| options.zero_linger = linger == Some(Duration::ZERO))
    }

    /// RST when the connection is dropped, without TIME-WAIT.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// What [`Self::set_linger`] was told.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.settings().linger)
    }
}

tcp_options!(TcpSocket);
packet_options!(TcpSocket);

impl PacketOptions for TcpSocket {
    fn packet_options(&self) -> io::Result<IpOptions> {
        let of_host = self.stack.shared().lock().host.config().hop_limit;
        Ok(with_hop_limit(self.settings().ip, of_host))
    }

    fn change_packet_options(&self, change: impl FnOnce(&mut IpOptions)) -> io::Result<()> {
        self.change(|settings| change(&mut settings.ip));
        Ok(())
    }
}
