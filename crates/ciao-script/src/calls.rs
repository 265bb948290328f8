//! What do the calls of a script do? They use the public calls of the host and answer as Linux' system calls
//! do.
//!
//! Known are `socket`, `bind`, `listen`, `accept`, `connect`, `read`, `recv`, `write`, `send`, `shutdown`,
//! `close`, `fcntl` (`O_NONBLOCK` alone), `ioctl` (`SIOCINQ`, `SIOCATMARK`), and, in their own files,
//! `setsockopt`, `getsockopt` and `poll`.

use crate::errno::{self, Reply};
use crate::event::CallText;
use crate::packets::pattern;
use crate::readiness;
use crate::socket_options;
use crate::sockets::{Kind, Socket, Sockets, Waiting};
use crate::stage::Stage;
use crate::value::Value;
use ciao_stack::{ConnectRequest, FastOpen, ListenRequest, SocketId};
use ciao_tcp::TcpState;
use ciao_tcp::error::{ReceiveError, SendError};
use core::net::SocketAddr;

/// The most bytes of one call: more than any buffer holds.
const ALL_BYTES: usize = 1 << 24;

/// What a call needs.
#[derive(Debug)]
pub struct Caller<'a> {
    /// The host.
    pub stage: &'a mut Stage,
    /// The program's sockets.
    pub sockets: &'a mut Sockets,
    /// The call.
    pub call: &'a CallText,
    /// How far the call has come while it waited: bytes written, or 1 when the SYN was sent.
    pub progress: &'a mut usize,
}

impl Caller<'_> {
    /// Makes the call, or goes on with one that waits.
    ///
    /// # Errors
    /// When the script asks for what there is not, or got what it did not expect, in words.
    pub fn attempt(mut self) -> Result<Reply, String> {
        if self.call.name == "socket" {
            return self.socket();
        }
        if self.call.name == "poll" {
            return readiness::poll(self.stage, self.sockets, self.call);
        }
        let number = self.argument(0)?.number()?;
        let reply = match self.call.name.as_str() {
            "bind" => self.bind(number),
            "listen" => self.listen(number),
            "accept" | "accept4" => self.accept(number),
            "connect" => self.connect(number),
            "read" | "recv" | "recvfrom" => self.read(number),
            "sendto" if self.fast_open_data()?.is_some() => self.connect(number),
            "write" | "send" | "sendto" => self.write(number),
            "shutdown" => self.shutdown(number),
            "close" => self.close(number),
            "fcntl" => self.fcntl(number),
            "ioctl" => self.ioctl(number),
            "setsockopt" => {
                let (stage, socket) = (&mut *self.stage, self.sockets.find(number)?);
                socket_options::set(stage, socket, &self.call.arguments)
            }
            "getsockopt" => {
                let (stage, socket) = (&mut *self.stage, self.sockets.find(number)?);
                socket_options::compare(stage, socket, &self.call.arguments)
            }
            name => Err(format!("`{name}` is no call that is known here")),
        }?;
        let flags = self.call.arguments.get(3);
        let may_wait = self.sockets.open.get(&number).is_none_or(|socket| socket.waiting == Waiting::Allowed)
            && !flags.is_some_and(|flags| flags.has("MSG_DONTWAIT"));
        Ok(match reply {
            Reply::Blocks(_) if !may_wait && self.call.name.starts_with(['w', 's']) && *self.progress > 0 => {
                Reply::Returns(*self.progress as i64)
            }
            Reply::Blocks(error) if !may_wait => Reply::Fails(error),
            reply => reply,
        })
    }

    fn argument(&self, index: usize) -> Result<&Value, String> {
        self.call.arguments.get(index).ok_or_else(|| format!("argument {} is missing", index + 1))
    }

    /// How many bytes a call is about.
    fn length(&self) -> Result<usize, String> {
        let asked = self.argument(2)?.number()?;
        let len = usize::try_from(asked).ok().filter(|len| *len <= ALL_BYTES);
        len.ok_or_else(|| format!("{asked} is no length between 0 and {ALL_BYTES}"))
    }

    /// A new number is what the script says it is.
    fn keep(&mut self, socket: Socket) -> Result<Reply, String> {
        let number = self.call.result;
        if number < 0 || self.sockets.open.contains_key(&number) {
            return Err(format!("{number} cannot be the number of a new socket"));
        }
        if let Kind::Connection(id) = socket.kind {
            self.sockets.under_test = Some(id);
        }
        self.sockets.open.insert(number, socket);
        Ok(Reply::Returns(number))
    }

    fn socket(&mut self) -> Result<Reply, String> {
        let kind = self.argument(1)?;
        if !kind.has("SOCK_STREAM") {
            return Err(format!("`{kind}` is not SOCK_STREAM"));
        }
        let waiting = if kind.has("SOCK_NONBLOCK") { Waiting::Forbidden } else { Waiting::Allowed };
        self.keep(Socket { waiting, ..Socket::default() })
    }

    fn bind(&mut self, number: i64) -> Result<Reply, String> {
        let port = self.argument(1)?.field("sin_port").map(Value::number).transpose()?;
        let port = port.map_or(Ok(self.stage.ports.0), u16::try_from).map_err(|_| "a port has 16 bits")?;
        let local = SocketAddr::new(self.stage.addresses.local, port);
        let socket = self.sockets.find(number)?;
        match self.stage.host.tcp_bind(local, socket.reuse) {
            Ok(id) => {
                let port = self.stage.host.tcp_bound_local(id).port();
                (socket.port, socket.bound) = (Some(port), Some(id));
                Ok(Reply::Returns(0))
            }
            Err(error) => Ok(Reply::Fails(errno::of_listen(error.into()))),
        }
    }

    fn listen(&mut self, number: i64) -> Result<Reply, String> {
        let backlog = self.argument(1)?.number()?;
        let socket = self.sockets.find(number)?;
        if let Some(port) = socket.port {
            self.stage.ports.0 = port;
        }
        let mut request = ListenRequest { bound: socket.bound, ..ListenRequest::at(self.stage.local()) };
        (request.options, request.ip) = (socket.options, socket.ip);
        // Linux lets one more wait than it was told.
        let options = &self.stage.options;
        request.syn_queue = options.syn_queue.unwrap_or(request.syn_queue);
        (request.syn_cookies, request.overflow) = (options.syn_cookies, options.overflow);
        request.fast_open = socket.fast_open;
        request.backlog = usize::try_from(backlog).map_err(|_| "a backlog is not negative")? + 1;
        match self.stage.host.tcp_listen(request) {
            Ok(id) => {
                socket.kind = Kind::Listener(id);
                socket.bound.take().into_iter().for_each(|id| self.stage.host.tcp_unbind(id));
                Ok(Reply::Returns(0))
            }
            Err(error) => Ok(Reply::Fails(errno::of_listen(error))),
        }
    }

    fn accept(&mut self, number: i64) -> Result<Reply, String> {
        let listener = self.sockets.find(number)?.clone();
        let Kind::Listener(id) = listener.kind else { return Ok(Reply::Fails("EINVAL")) };
        let Some(id) = self.stage.host.tcp_accept(id) else { return Ok(Reply::Blocks("EAGAIN")) };
        let flags = self.call.arguments.get(3);
        let forbidden = flags.is_some_and(|flags| flags.has("SOCK_NONBLOCK"));
        self.keep(Socket {
            kind: Kind::Connection(id),
            waiting: if forbidden { Waiting::Forbidden } else { Waiting::Allowed },
            written: 0,
            read: 0,
            ..listener
        })
    }

    fn connect(&mut self, number: i64) -> Result<Reply, String> {
        let data = self.fast_open_data()?;
        let socket = self.sockets.find(number)?;
        let waits = *self.progress > 0;
        *self.progress = 1;
        match socket.kind {
            Kind::Listener(_) => Ok(Reply::Fails("EISCONN")),
            Kind::Connection(id) => {
                let state = self.stage.host.tcp_state(id);
                Ok(match socket.take_error(self.stage) {
                    Some(error) => Reply::Fails(error),
                    None if matches!(state, TcpState::SynSent | TcpState::SynReceived) && waits => {
                        Reply::Blocks("EINPROGRESS")
                    }
                    None if matches!(state, TcpState::SynSent | TcpState::SynReceived) => {
                        Reply::Fails("EALREADY")
                    }
                    None if waits => Reply::Returns(0),
                    None => Reply::Fails("EISCONN"),
                })
            }
            Kind::Fresh => {
                if let Some(port) = socket.port {
                    self.stage.ports.0 = port;
                }
                let (local, remote) = (Some(self.stage.local()), self.stage.remote());
                let fast_open = if data.is_some() { FastOpen::On } else { FastOpen::Off };
                let request = ConnectRequest {
                    local,
                    bound: socket.bound,
                    options: socket.options,
                    ip: socket.ip,
                    fast_open,
                    ..ConnectRequest::to(remote)
                };
                let data: Vec<u8> = (1..=data.unwrap_or_default()).map(pattern).collect();
                let ports = self.stage.ports;
                self.stage.numbers(ports).local_is_open = true;
                match self.stage.host.tcp_connect_with(self.stage.now, request, &data) {
                    Ok((id, sent)) => {
                        socket.kind = Kind::Connection(id);
                        socket.bound.take().into_iter().for_each(|id| self.stage.host.tcp_unbind(id));
                        socket.written = sent as u32;
                        self.sockets.under_test = Some(id);
                        // With data the call does not wait for the handshake.
                        Ok(if sent > 0 { Reply::Returns(sent as i64) } else { Reply::Blocks("EINPROGRESS") })
                    }
                    Err(error) => Ok(Reply::Fails(errno::of_connect(error))),
                }
            }
        }
    }

    /// How many bytes `sendto` with `MSG_FASTOPEN` wants in the SYN.
    fn fast_open_data(&self) -> Result<Option<u32>, String> {
        let asks = self.call.arguments.get(3).is_some_and(|flags| flags.has("MSG_FASTOPEN"));
        let len = |len: i64| u32::try_from(len).map_err(|_| "a length is not negative".to_owned());
        if asks { self.argument(2)?.number().and_then(len).map(Some) } else { Ok(None) }
    }

    fn read(&mut self, number: i64) -> Result<Reply, String> {
        let len = self.length()?;
        let peeks = self.call.arguments.get(3).is_some_and(|flags| flags.has("MSG_PEEK"));
        let socket = self.sockets.find(number)?;
        let Kind::Connection(id) = socket.kind else { return Ok(Reply::Fails("ENOTCONN")) };
        let mut buffer = vec![0; len];
        let stage = &mut *self.stage;
        let answer = if peeks {
            stage.host.tcp_peek(id, &mut buffer)
        } else {
            stage.host.tcp_receive(stage.now, id, &mut buffer)
        };
        match answer {
            Ok(count) => {
                let bytes = (socket.read + 1..).zip(&buffer[..count]);
                if let Some((position, _)) =
                    bytes.clone().find(|(position, byte)| **byte != pattern(*position))
                {
                    return Err(format!("byte {position} of the stream is another one"));
                }
                if !peeks {
                    socket.read += count as u32;
                }
                Ok(Reply::Returns(count as i64))
            }
            Err(ReceiveError::Ended(_)) => {
                Ok(socket.take_error(stage).map_or(Reply::Returns(0), Reply::Fails))
            }
            Err(_) => Ok(Reply::Blocks("EAGAIN")),
        }
    }

    fn write(&mut self, number: i64) -> Result<Reply, String> {
        let len = self.length()?;
        let socket = self.sockets.find(number)?;
        let Kind::Connection(id) = socket.kind else { return Ok(Reply::Fails("EPIPE")) };
        let rest = len - *self.progress;
        let data: Vec<u8> = (0..rest).map(|at| pattern(socket.written + 1 + at as u32)).collect();
        let urgent = self.call.arguments.get(3).is_some_and(|flags| flags.has("MSG_OOB"));
        let (host, now) = (&mut self.stage.host, self.stage.now);
        match if urgent { host.tcp_send_urgent(now, id, &data) } else { host.tcp_send(now, id, &data) } {
            Ok(count) => {
                socket.written += count as u32;
                *self.progress += count;
                Ok(if *self.progress == len { Reply::Returns(len as i64) } else { Reply::Blocks("EAGAIN") })
            }
            // What was taken before the end is what the call returns, and the next one tells.
            Err(SendError::Closed | SendError::Ended(_)) if *self.progress > 0 => {
                Ok(Reply::Returns(*self.progress as i64))
            }
            Err(SendError::Closed) => Ok(Reply::Fails("EPIPE")),
            Err(SendError::Ended(_)) => Ok(Reply::Fails(socket.take_error(self.stage).unwrap_or("EPIPE"))),
            Err(_) => Ok(Reply::Blocks("EAGAIN")),
        }
    }

    fn shutdown(&mut self, number: i64) -> Result<Reply, String> {
        let how = self.argument(1)?;
        if !how.has("SHUT_WR") && !how.has("SHUT_RDWR") {
            return Err(format!("`{how}` is neither SHUT_WR nor SHUT_RDWR"));
        }
        let Kind::Connection(id) = self.sockets.find(number)?.kind else {
            return Ok(Reply::Fails("ENOTCONN"));
        };
        if self.stage.host.tcp_state(id) == TcpState::Closed {
            return Ok(Reply::Fails("ENOTCONN"));
        }
        self.stage.host.tcp_shutdown(self.stage.now, id);
        Ok(Reply::Returns(0))
    }

    fn close(&mut self, number: i64) -> Result<Reply, String> {
        let socket = self.sockets.open.remove(&number).ok_or("no such socket is open")?;
        let now = self.stage.now;
        match socket.kind {
            Kind::Fresh => socket.bound.into_iter().for_each(|id| self.stage.host.tcp_unbind(id)),
            Kind::Listener(id) => self.stage.host.tcp_close_listener(now, id),
            Kind::Connection(id) => {
                if self.sockets.under_test == Some(id) {
                    self.sockets.under_test = None;
                }
                self.stage.host.tcp_close(now, id);
            }
        }
        Ok(Reply::Returns(0))
    }

    fn fcntl(&mut self, number: i64) -> Result<Reply, String> {
        if self.argument(1)?.has("F_GETFL") {
            return Ok(Reply::Returns(self.call.result));
        }
        if !self.argument(1)?.has("F_SETFL") {
            return Err("F_GETFL and F_SETFL alone are known here".to_owned());
        }
        let forbidden = self.argument(2)?.has("O_NONBLOCK");
        self.sockets.find(number)?.waiting = if forbidden { Waiting::Forbidden } else { Waiting::Allowed };
        Ok(Reply::Returns(0))
    }

    fn ioctl(&mut self, number: i64) -> Result<Reply, String> {
        let Kind::Connection(id) = self.sockets.find(number)?.kind else { return Ok(Reply::Fails("EINVAL")) };
        let request = self.argument(1)?;
        let found = if request.has("SIOCINQ") || request.has("FIONREAD") {
            readable_bytes(self.stage, id) as i64
        } else if request.has("SIOCATMARK") {
            // RFC 9293 §3.8.5: the mark stands behind the last urgent byte.
            i64::from(self.stage.host.tcp_urgent_len(id) == 0)
        } else {
            return Err(format!("`{request}` is not known here"));
        };
        let expected = self.argument(2)?.pointed_number()?;
        if found == expected { Ok(Reply::Returns(0)) } else { Err(format!("it is {found}, not {expected}")) }
    }
}

/// Bytes that wait to be read.
pub(crate) fn readable_bytes(stage: &Stage, id: SocketId) -> usize {
    stage.host.tcp_peek(id, &mut vec![0; ALL_BYTES]).unwrap_or_default()
}
