//! Where are the connections, half-open ones and records in TIME-WAIT kept?

use crate::demux::{Demux, Endpoints, Holder};
use crate::ids::{ConnectionId, InterfaceId, SocketId};
use crate::ports::{Binding, Version};
use crate::request::IpOptions;
use crate::tcp::half_opens::HalfOpens;
use crate::tcp::time_waits::TimeWaits;
use crate::wheel::TimerHandle;
use alloc::boxed::Box;
use alloc::sync::Arc;
use ciao_tcp::{Config, Connection, Setup, SocketOptions};
use ciao_wire::{Instant, SeqNum};
use slab::Slab;

/// Who holds a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// An application, by its `SocketId`.
    Application,
    /// A listener, by its index: it waits to be accepted, or will.
    Listener(u32),
    /// Nobody: it ends by itself.
    Nobody,
}

/// Whether a connection stands in the queue of those that may have something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Idle,
    Queued,
}

/// Whether segments still find the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// They do.
    Listed,
    /// It has ended, or another connection has its endpoints, and only its owner still knows it.
    Unlisted,
}

/// A connection with what the host knows of it.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) connection: Connection,
    pub(crate) id: ConnectionId,
    pub(crate) endpoints: Endpoints,
    pub(crate) ip: IpOptions,
    pub(crate) interface: InterfaceId,
    pub(crate) owner: Owner,
    pub(crate) readiness: Readiness,
    pub(crate) reach: Reach,
    pub(crate) timer: TimerHandle,
    /// Bytes in its buffers, as the host's account has them.
    pub(crate) charged: u32,
}

impl Socket {
    /// The name that an application knows it by. The low half of the connection's number is the generation.
    pub(crate) fn name(&self, index: u32) -> SocketId {
        SocketId { index, generation: (self.id.0 & 0xffff_ffff) as u32 }
    }
}

/// All of them, and the table that finds them.
#[derive(Debug)]
pub(crate) struct Tables {
    /// Boxed, so that an idle slot and a moved table cost little.
    pub(crate) sockets: Slab<Box<Socket>>,
    pub(crate) half_open: HalfOpens,
    pub(crate) time_waits: TimeWaits,
    demux: Demux,
    /// The connection that the last segment was for, or that was listed since: the next one is likely for it.
    last_receiver: Option<u32>,
}

impl Tables {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self {
            sockets: Slab::new(),
            half_open: HalfOpens::new(),
            time_waits: TimeWaits::new(),
            demux: Demux::new(key),
            last_receiver: None,
        }
    }

    /// Keeps a new connection in CLOSED, which is not listed yet. It is made in its place.
    pub(crate) fn keep(
        &mut self,
        config: &Arc<Config>,
        (options, setup): (&SocketOptions, &Setup),
        (id, endpoints): (ConnectionId, Endpoints),
        (interface, ip): (InterfaceId, IpOptions),
        owner: Owner,
    ) -> u32 {
        let place = Box::new_uninit();
        let slot = self.sockets.insert(Box::write(
            place,
            Socket {
                connection: Connection::closed(config, options, setup),
                id,
                endpoints,
                ip,
                interface,
                owner,
                readiness: Readiness::Idle,
                reach: Reach::Listed,
                timer: TimerHandle::NONE,
                charged: 0,
            },
        ));
        u32::try_from(slot).expect("`max_connections` is below 2^30")
    }

    pub(crate) fn find(&mut self, of: &Endpoints) -> Option<Holder> {
        let Self { sockets, half_open, time_waits, demux, last_receiver: _ } = self;
        demux.find(of, |holder| endpoints(sockets, half_open, time_waits, holder) == of)
    }

    /// Who has the endpoints of a received segment. Segments come in trains, so whoever had the last one is
    /// asked first.
    #[inline]
    pub(crate) fn find_receiver(&mut self, endpoints: &Endpoints) -> Option<Holder> {
        if let Some((index, _)) = self.last_receiver(endpoints) {
            return Some(Holder::Connection(index));
        }
        let found = self.find(endpoints);
        self.last_receiver = match found {
            Some(Holder::Connection(index)) => Some(index),
            _ => None,
        };
        found
    }

    /// The connection that the last segment was for, if it has these endpoints.
    #[inline]
    pub(crate) fn last_receiver(&mut self, endpoints: &Endpoints) -> Option<(u32, &mut Socket)> {
        let index = self.last_receiver?;
        let socket = self.sockets.get_mut(index as usize)?;
        (socket.endpoints == *endpoints && socket.reach == Reach::Listed).then_some((index, &mut **socket))
    }

    /// Where the numbers begin at the earliest of a connection that we open with the endpoints of `holder`;
    /// `None` when it does not make way.
    pub(crate) fn successor_iss(&self, now: Instant, config: &Config, holder: Holder) -> Option<SeqNum> {
        match holder {
            Holder::Connection(index) => {
                self.sockets[index as usize].connection.time_wait()?.yields_to_connect(now, config)
            }
            Holder::TimeWait(index) => self.time_waits.wait(index).yields_to_connect(now, config),
            Holder::HalfOpen(_) => None,
        }
    }

    /// Whether any connection, half-open one or record in TIME-WAIT is at the port and address of `binding`.
    /// It looks at all of them.
    pub(crate) fn any_at(&self, binding: Binding) -> bool {
        let is_there = |of: Endpoints| {
            of.local_port == binding.port
                && Version::of(of.remote_address()) == binding.version
                && binding.local.is_none_or(|local| local == of.local)
        };
        let listed = self.sockets.iter().filter(|(_, socket)| socket.reach == Reach::Listed);
        listed.into_iter().any(|(_, socket)| is_there(socket.endpoints))
            || self.half_open.iter().any(|(_, entry)| is_there(entry.endpoints))
            || self.time_waits.iter().any(|(endpoints, _)| is_there(endpoints))
    }

    /// Lets segments find `holder`, whose endpoints nobody else has.
    pub(crate) fn list(&mut self, holder: Holder) {
        let Self { sockets, half_open, time_waits, demux, last_receiver } = self;
        let of = |holder| endpoints(sockets, half_open, time_waits, holder);
        demux.insert(of(holder), holder, of);
        if let Holder::Connection(index) = holder {
            *last_receiver = Some(index);
        }
    }

    /// Lets segments no longer find `holder`.
    pub(crate) fn unlist(&mut self, holder: Holder) {
        let Self { sockets, half_open, time_waits, demux, last_receiver: _ } = self;
        demux.remove(endpoints(sockets, half_open, time_waits, holder), holder);
    }

    /// Lets segments for `holder` find `successor`, which has the same endpoints.
    pub(crate) fn succeed(&mut self, holder: Holder, successor: Holder) {
        let Self { sockets, half_open, time_waits, demux, last_receiver } = self;
        demux.replace(endpoints(sockets, half_open, time_waits, successor), holder, successor);
        if let Holder::Connection(index) = successor {
            *last_receiver = Some(index);
        }
    }
}

#[inline]
fn endpoints<'a>(
    sockets: &'a Slab<Box<Socket>>,
    half_open: &'a HalfOpens,
    time_waits: &'a TimeWaits,
    holder: Holder,
) -> &'a Endpoints {
    match holder {
        Holder::Connection(index) => &sockets[index as usize].endpoints,
        Holder::HalfOpen(index) => &half_open[index].endpoints,
        Holder::TimeWait(index) => time_waits.endpoints(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_small_as_the_host_promises() {
        // Beside a connection's own size; the aim for an idle end is 512 B, all in.
        assert!(size_of::<Socket>() - size_of::<Connection>() <= 56, "{}", size_of::<Socket>());
    }
}
