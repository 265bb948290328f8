//! Which sockets does the script's program hold? [`Sockets`], by number, as a process has its files.

use crate::errno::{self, Errno};
use crate::stage::Stage;
use ciao_stack::{BoundId, IpOptions, ListenerId, Reuse, SocketId};
use ciao_tcp::config::{KeepAlive, SocketOptions};
use std::collections::BTreeMap;

/// The sockets of the program.
#[derive(Debug, Default)]
pub struct Sockets {
    /// By number.
    pub open: BTreeMap<i64, Socket>,
    /// The connection under test: the last one that was made or accepted.
    pub under_test: Option<SocketId>,
}

/// One socket.
#[derive(Clone, Debug)]
pub struct Socket {
    /// What it is by now.
    pub kind: Kind,
    /// Whether a call on it may wait.
    pub waiting: Waiting,
    /// Options that were set, for the connection it becomes.
    pub options: SocketOptions,
    /// What its packets say.
    pub ip: IpOptions,
    /// Keep-alive as it will be once it is switched on.
    pub keep_alive: KeepAlive,
    /// Most early connections of a listener.
    pub fast_open: usize,
    /// The port it was bound to.
    pub port: Option<u16>,
    /// The host keeps that port for it.
    pub bound: Option<BoundId>,
    /// `SO_REUSEADDR`.
    pub reuse: Reuse,
    /// The program has been told how the connection ended: Linux tells it once.
    pub error_is_told: bool,
    /// What ICMP said last, until the program asks.
    pub soft_error: Option<Errno>,
    /// Bytes that the program has written.
    pub written: u32,
    /// Bytes that it has read.
    pub read: u32,
}

/// What a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Neither connected nor listening.
    Fresh,
    /// A listener.
    Listener(ListenerId),
    /// A connection, from its SYN on.
    Connection(SocketId),
}

/// Whether calls on a socket wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// They do.
    Allowed,
    /// `O_NONBLOCK`.
    Forbidden,
}

impl Default for Socket {
    fn default() -> Self {
        Self {
            kind: Kind::Fresh,
            waiting: Waiting::Allowed,
            options: SocketOptions::default(),
            ip: IpOptions::default(),
            keep_alive: KeepAlive::default(),
            fast_open: 0,
            port: None,
            bound: None,
            reuse: Reuse::Exclusive,
            error_is_told: false,
            soft_error: None,
            written: 0,
            read: 0,
        }
    }
}

impl Sockets {
    /// The socket of a number.
    ///
    /// # Errors
    /// When the script never opened it.
    pub fn find(&mut self, number: i64) -> Result<&mut Socket, String> {
        self.open.get_mut(&number).ok_or_else(|| format!("no socket has the number {number}"))
    }

    /// The socket that the connection under test has in the program.
    pub fn holder_of(&mut self, id: SocketId) -> Option<&mut Socket> {
        self.open.values_mut().find(|socket| socket.kind == Kind::Connection(id))
    }
}

impl Socket {
    /// How the connection ended, unless the program was told before.
    pub fn take_error(&mut self, stage: &Stage) -> Option<Errno> {
        let Kind::Connection(id) = self.kind else { return None };
        let error = stage.host.tcp_error(id).filter(|_| !self.error_is_told)?;
        self.error_is_told = true;
        Some(errno::of_connection(error))
    }
}
