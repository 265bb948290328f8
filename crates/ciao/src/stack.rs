//! One host in a program: the handle by which sockets are made, and what can be asked of it.
//!
//! What happens in a call is in `shard`; which of several stacks `TcpStream::connect` means is in
//! [`crate::current`].

use crate::clock::Clock;
use crate::driver::Driver;
use crate::error::{StackEnd, connect_error, listen_error};
use crate::link::AsyncLink;
use crate::shard::{Interface, Shard, Shared};
use crate::tcp_listener::TcpListener;
use crate::tcp_stream::TcpStream;
use crate::waiting::Place;
use bytes::Bytes;
use ciao_stack::{
    Cidr, ConnectRequest, Counters, Counts, FastOpen, Host, HostConfig, ListenRequest, Route, TraceRecord,
};
use ciao_tcp::TcpState;
use ciao_tcp::config::SocketOptions;
use ciao_wire::Instant;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{ToSocketAddrs, lookup_host};

/// What a stack is told at its start.
#[derive(Clone, Debug, Default)]
pub struct StackConfig {
    /// The host's own numbers, TCP's among them.
    pub host: HostConfig,
    /// The name of the interface in traces and captures.
    pub interface_name: String,
    /// The addresses of this host. The networks they stand in are on the link.
    pub addresses: Vec<Cidr>,
    /// What else is reached through the link.
    pub routes: Vec<Route>,
}

impl StackConfig {
    /// A host with one address, and everything else by default.
    #[must_use]
    pub fn with_address(address: Cidr) -> Self {
        Self { addresses: vec![address], ..Self::default() }
    }
}

/// A host: a clone is another handle of the same one.
#[derive(Clone, Debug)]
pub struct Stack {
    shared: Arc<Shared>,
}

/// What [`Stack::shutdown`] found at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Connections that had not ended by themselves in time.
    pub aborted: usize,
    /// Connections in TIME-WAIT: our end, the peer's, and how long they would have waited yet. Nobody
    /// answers for them any more.
    pub time_waits: Vec<(SocketAddr, SocketAddr, Duration)>,
}

impl Stack {
    /// A host behind a TUN device, and the driver that carries it. To be called in a runtime with IO and
    /// time.
    ///
    /// # Errors
    /// When the device cannot be watched, or the operating system gives no random seed.
    pub fn over_tun(tun: ciao_link::tun::Tun, config: StackConfig) -> io::Result<(Self, Driver)> {
        Self::over(crate::tun::AsyncTun::new(tun)?, config)
    }

    /// A host behind `link`, and the driver that carries it. To be called in a runtime with time.
    ///
    /// # Errors
    /// When the operating system gives no random seed: without one sequence numbers and ports could be
    /// guessed, so nothing starts.
    pub fn over(link: impl AsyncLink + 'static, config: StackConfig) -> io::Result<(Self, Driver)> {
        let seed = draw_seed(getrandom::fill)?;
        let stack = Self::assemble(config.host, seed, Clock::live());
        let interface =
            Interface { name: config.interface_name, addresses: config.addresses, routes: config.routes };
        stack.shared.lock().add_interface(interface, Box::new(link));
        let driver = Driver::new(Arc::clone(&stack.shared));
        Ok((stack, driver))
    }

    /// A host without an interface.
    pub(crate) fn assemble(config: HostConfig, seed: [u8; 32], clock: Clock) -> Self {
        Self { shared: Arc::new(Shared::new(Shard::new(Host::new(config, seed)), clock)) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What a new connection starts with, by the host's configuration.
    pub(crate) fn default_options(&self) -> SocketOptions {
        self.shared.lock().host.config().tcp.socket
    }

    /// Connects to the first of the addresses that answers. To drop the future ends the attempt.
    ///
    /// Names are resolved by the operating system, so give numbers where runs are to be repeatable.
    ///
    /// # Errors
    /// The last address' error: [`io::ErrorKind::ConnectionRefused`] when the peer answered with RST,
    /// [`io::ErrorKind::TimedOut`] when it did not answer, [`io::ErrorKind::HostUnreachable`] or
    /// [`io::ErrorKind::NetworkUnreachable`] when there is no way, [`io::ErrorKind::InvalidInput`] when
    /// there is no address.
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<TcpStream> {
        let mut last = None;
        for remote in lookup_host(addr).await? {
            let options = self.default_options();
            match self.connect_with(ConnectRequest { options, ..ConnectRequest::to(remote) }).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the name has no address")))
    }

    /// Connects as `request` says. To drop the future ends the attempt.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_with(&self, request: ConnectRequest) -> io::Result<TcpStream> {
        self.open(request, &[]).await.map(|(stream, _)| stream)
    }

    /// Connects as `request` says with TCP Fast Open (RFC 7413), and sends `data`: in the SYN, if the server
    /// has given us a cookie before, else behind the handshake. It returns when the handshake is complete and
    /// all of
    /// `data` is taken.
    ///
    /// **The network may deliver the data of a SYN twice, to two connections**: give only what may be
    /// processed twice, as a GET.
    ///
    /// # Errors
    /// As [`Self::connect`], and as [`TcpStream::write_all_bytes`].
    // RFC 7413 §6.1 7413-6a
    pub async fn connect_with_data(&self, request: ConnectRequest, data: &[u8]) -> io::Result<TcpStream> {
        let request = ConnectRequest { fast_open: FastOpen::On, ..request };
        let (stream, sent) = self.open(request, data).await?;
        if sent < data.len() {
            stream.write_all_bytes(Bytes::copy_from_slice(&data[sent..])).await?;
        }
        Ok(stream)
    }

    async fn open(&self, request: ConnectRequest, data: &[u8]) -> io::Result<(TcpStream, usize)> {
        let (id, sent) = self.shared.call(|shard, now| {
            shard.check_accepts_new()?;
            shard.host.tcp_connect_with(now, request, data).map_err(connect_error)
        })?;
        let stream = TcpStream::new(Arc::clone(&self.shared), id);
        self.shared
            .wait_at(&[Place::TcpWrite(id)], |shard, _| {
                if let Err(ended) = shard.check_open() {
                    return Poll::Ready(Err(ended));
                }
                match shard.host.tcp_state(id) {
                    TcpState::SynSent | TcpState::SynReceived => Poll::Pending,
                    _ => Poll::Ready(shard.take_error(id).map_or(Ok(()), Err)),
                }
            })
            .await?;
        Ok((stream, sent))
    }

    /// Listens at the first of the addresses that can be had.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`], [`io::ErrorKind::AddrNotAvailable`], [`io::ErrorKind::InvalidInput`]
    /// when there is no address.
    pub async fn listen<A: ToSocketAddrs>(&self, addr: A) -> io::Result<TcpListener> {
        let mut last = None;
        for local in lookup_host(addr).await? {
            let options = self.default_options();
            match self.listen_with(ListenRequest { options, ..ListenRequest::at(local) }) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the name has no address")))
    }

    /// Listens as `request` says.
    ///
    /// # Errors
    /// As [`Self::listen`].
    pub fn listen_with(&self, request: ListenRequest) -> io::Result<TcpListener> {
        let id = self.shared.call(|shard, _| {
            shard.check_accepts_new()?;
            let id = shard.host.tcp_listen(request).map_err(listen_error)?;
            shard.listeners.push(id);
            io::Result::Ok(id)
        })?;
        Ok(TcpListener::new(Arc::clone(&self.shared), id))
    }

    /// The time of this stack: since its start, or since the start of the simulation.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.shared.now()
    }

    /// The addresses of this host, in the order in which they were configured, each once.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let shard = self.shared.lock();
        let all = shard.host.interfaces().flat_map(|(_, interface)| &interface.addresses);
        let mut addresses = Vec::new();
        for cidr in all {
            if !addresses.contains(&cidr.address) {
                addresses.push(cidr.address);
            }
        }
        addresses
    }

    /// How many sockets there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.lock().host.counts()
    }

    /// How often did what happen.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.lock().host.counters().clone()
    }

    /// Packets that the link refused or lost.
    #[must_use]
    pub fn transmit_errors(&self) -> u64 {
        self.shared.lock().transmit_errors
    }

    /// Takes out what was recorded; nothing unless `HostConfig::trace` is on.
    #[must_use]
    pub fn drain_trace(&self) -> Vec<TraceRecord> {
        self.shared.lock().host.drain_trace().collect()
    }

    /// Ends the stack in order. Listeners are closed at once and new connections are refused; those that
    /// exist have `grace` to end, then the rest is aborted. What waits in TIME-WAIT is reported, not waited
    /// for.
    ///
    /// It does not close what the program still holds: tell the tasks to end first.
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        self.shared.call(|shard, now| {
            shard.closing = true;
            for id in std::mem::take(&mut shard.listeners) {
                shard.host.tcp_close_listener(now, id);
                // Whoever waits for a connection learns that none will come.
                shard.wake(Place::Accept(id));
            }
        });
        let drained = self.shared.wait_at(&[Place::Drained], |shard, _| {
            if shard.end.is_some() || shard.is_drained() { Poll::Ready(()) } else { Poll::Pending }
        });
        let _in_time = tokio::time::timeout(grace, drained).await;
        let report = self.shared.call(|shard, now| {
            let aborted = shard.host.counts().connections;
            shard.host.tcp_abort_all(now);
            let time_waits = shard.host.time_waits();
            let time_waits =
                time_waits.map(|(local, remote, ends)| (local, remote, ends.since(now))).collect();
            ShutdownReport { aborted, time_waits }
        });
        self.shared.fail(StackEnd::ShutDown);
        report
    }
}

/// The seed of a live host.
///
/// # Errors
/// When there is none: sequence numbers and ports could be guessed, so nothing starts.
// RFC 6528 §4 6528-3
fn draw_seed<E: fmt::Display>(fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    match fill(&mut seed) {
        Ok(()) => Ok(seed),
        Err(error) => Err(io::Error::other(format!("no random seed, so the stack does not start: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 6528 §4 6528-3
    #[test]
    fn nothing_starts_without_a_random_seed() {
        let error = draw_seed(|_| Err("the source is dry")).unwrap_err();
        assert!(error.to_string().contains("the source is dry"), "{error}");
        let seed = draw_seed(|seed| {
            seed.fill(7);
            Ok::<_, fmt::Error>(())
        });
        assert_eq!(seed.unwrap(), [7; 32]);
        let [one, other] = [(); 2].map(|()| draw_seed(getrandom::fill).unwrap());
        assert_ne!(one, other);
    }
}
