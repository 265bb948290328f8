//! One attempt to read, to write or to look, under the lock: what the answer of the host means to a program.
//!
//! An attempt that would have to wait is `Pending`; whether the caller waits or answers `WouldBlock` is its
//! own matter. How a connection ended is told once, as SO_ERROR does it; after that a read is at the end
//! and a write finds a broken pipe.

use crate::error::{broken_pipe, connection_error};
use crate::shard::Shard;
use bytes::Bytes;
use ciao_stack::{Host, SocketId};
use ciao_tcp::error::{ReceiveError, SendError};
use ciao_tcp::{ConnectionError, TcpState};
use std::io::{self, ErrorKind};
use std::task::Poll;
use tokio::io::{Interest, Ready};

impl Shard {
    /// One RECEIVE. What `T` is by default stands for the end of the data.
    pub(crate) fn try_receive<T: Default>(
        &mut self,
        id: SocketId,
        receive: impl FnOnce(&mut Host) -> Result<T, ReceiveError>,
    ) -> Poll<io::Result<T>> {
        if let Err(ended) = self.check_open() {
            return Poll::Ready(Err(ended));
        }
        // To look is cheaper than to receive nothing, after which a connection gets a turn to send.
        if self.host.tcp_peek(id, &mut []) == Err(ReceiveError::WouldBlock) {
            return Poll::Pending;
        }
        match receive(&mut self.host) {
            Ok(received) => Poll::Ready(Ok(received)),
            Err(ReceiveError::WouldBlock) => Poll::Pending,
            Err(ReceiveError::Ended(error)) => Poll::Ready(match self.tell_once(id, error) {
                Some(error) => Err(error),
                None => Ok(T::default()),
            }),
            Err(_) => Poll::Ready(Err(ErrorKind::NotConnected.into())),
        }
    }

    /// One SEND.
    pub(crate) fn try_send(
        &mut self,
        id: SocketId,
        send: impl FnOnce(&mut Host) -> Result<usize, SendError>,
    ) -> Poll<io::Result<usize>> {
        if let Err(ended) = self.check_open() {
            return Poll::Ready(Err(ended));
        }
        match send(&mut self.host) {
            Ok(sent) => Poll::Ready(Ok(sent)),
            Err(SendError::WouldBlock) => {
                self.waits.tcp(id).write_blocked = true;
                Poll::Pending
            }
            Err(SendError::Closed) => Poll::Ready(Err(broken_pipe())),
            Err(SendError::Ended(error)) => {
                Poll::Ready(Err(self.tell_once(id, error).unwrap_or_else(broken_pipe)))
            }
            Err(_) => Poll::Ready(Err(ErrorKind::NotConnected.into())),
        }
    }

    /// How the connection ended, for the first who asks.
    pub(crate) fn tell_once(&mut self, id: SocketId, error: ConnectionError) -> Option<io::Error> {
        let told = std::mem::replace(&mut self.waits.tcp(id).error_told, true);
        (!told).then(|| connection_error(error))
    }

    /// How the connection ended, if it did and nobody was told.
    pub(crate) fn take_error(&mut self, id: SocketId) -> Option<io::Error> {
        let error = self.host.tcp_error(id)?;
        self.tell_once(id, error)
    }

    /// What of `interest` a connection is ready for.
    pub(crate) fn readiness(&mut self, id: SocketId, interest: Interest) -> Ready {
        if self.end.is_some() {
            return Ready::ALL;
        }
        let mut ready = Ready::EMPTY;
        if interest.is_readable() {
            ready |= match self.host.tcp_peek(id, &mut [0]) {
                Ok(0) | Err(ReceiveError::Ended(_)) => Ready::READABLE | Ready::READ_CLOSED,
                Ok(_) if self.host.tcp_is_readable(id) => Ready::READABLE,
                _ => Ready::EMPTY,
            };
        }
        if interest.is_writable() {
            ready |= match self.host.tcp_state(id) {
                TcpState::Established | TcpState::CloseWait if self.waits.tcp(id).write_blocked => {
                    Ready::EMPTY
                }
                TcpState::Established | TcpState::CloseWait => Ready::WRITABLE,
                TcpState::SynReceived if self.host.tcp_is_open_early(id) => {
                    if self.waits.tcp(id).write_blocked { Ready::EMPTY } else { Ready::WRITABLE }
                }
                TcpState::SynSent | TcpState::SynReceived | TcpState::Listen => Ready::EMPTY,
                _ => Ready::WRITABLE | Ready::WRITE_CLOSED,
            };
        }
        if interest.is_error() && self.host.tcp_error(id).is_some() && !self.waits.tcp(id).error_told {
            ready |= Ready::ERROR;
        }
        ready
    }
}

/// The bytes that a RECEIVE without copying takes at most: the longest payload of an IP packet.
const RECEIVE_BYTES: usize = 65_535;

/// Fills `buf` as far as there are bytes. It copies from the received pieces, so the rest of `buf` need not
/// be zeroed.
pub(crate) fn receive_into(
    host: &mut Host,
    now: ciao_wire::Instant,
    id: SocketId,
    buf: &mut impl bytes::BufMut,
) -> Result<usize, ReceiveError> {
    let mut total = 0;
    while buf.has_remaining_mut() {
        let piece = match host.tcp_receive_bytes(now, id, buf.remaining_mut().min(RECEIVE_BYTES)) {
            Ok(piece) if piece.is_empty() => break,
            Ok(piece) => piece,
            Err(error) if total == 0 => return Err(error),
            Err(_) => break,
        };
        buf.put_slice(&piece);
        total += piece.len();
    }
    Ok(total)
}

/// Sends the buffers in order as far as there is room.
pub(crate) fn send_vectored(
    host: &mut Host,
    now: ciao_wire::Instant,
    id: SocketId,
    bufs: &[io::IoSlice<'_>],
) -> Result<usize, SendError> {
    let mut total = 0;
    for buf in bufs.iter().filter(|buf| !buf.is_empty()) {
        match host.tcp_send(now, id, buf) {
            Ok(sent) => total += sent,
            Err(error) if total == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(total)
}

/// Takes all that fits from the front of `bytes`, as [`Host::tcp_send_bytes`].
pub(crate) fn send_bytes(
    host: &mut Host,
    now: ciao_wire::Instant,
    id: SocketId,
    bytes: &mut Bytes,
) -> Result<usize, SendError> {
    if bytes.is_empty() { Ok(0) } else { host.tcp_send_bytes(now, id, bytes) }
}
