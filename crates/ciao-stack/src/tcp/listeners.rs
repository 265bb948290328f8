//! LISTEN: who may call, and where callers wait (RFC 9293 §3.10.7.2, §3.9.1.1).
//!
//! The SYN queue is the half-open records of [`crate::tcp::tables`], of which a listener has at most so many;
//! the accept queue is here. What a half-open connection answers is decided in `ciao_tcp::listener`.

use crate::context::Context;
use crate::demux::Endpoints;
use crate::error::ListenError;
use crate::ids::ListenerId;
use crate::ports::{self, Binding, Bindings, Version};
use crate::request::{IpOptions, ListenRequest, Overflow, SynCookies};
use crate::tcp::binding::Bound;
use crate::wheel::TimerHandle;
use alloc::collections::VecDeque;
use ciao_tcp::SocketOptions;
use ciao_wire::Instant;
use core::net::SocketAddr;
use core::time::Duration;
use slab::Slab;

/// How long an established connection waits to be accepted before it is reset: an application that does not
/// accept must not bind memory for ever. 75 s, as long as an impatient client waits for an answer (BSD's
/// connection timeout).
pub(crate) const ACCEPT_TIMEOUT: Duration = Duration::from_secs(75);

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    generation: u32,
    binding: Binding,
    backlog: usize,
    syn_queue: usize,
    pub(crate) overflow: Overflow,
    pub(crate) syn_cookies: SynCookies,
    /// Until then a SYN cookie that was sent may come back.
    pub(crate) cookies_until: Instant,
    /// Most early connections; zero without Fast Open.
    pub(crate) fast_open: usize,
    pub(crate) options: SocketOptions,
    pub(crate) ip: IpOptions,
    /// Established connections, and when each has waited too long.
    pub(crate) accept: VecDeque<(Instant, u32)>,
    /// Half-open connections.
    pub(crate) half_open: usize,
    /// For the first of `accept`.
    pub(crate) timer: TimerHandle,
}

impl Listener {
    pub(crate) fn has_room_to_accept(&self) -> bool {
        self.accept.len() < self.backlog
    }

    // RFC 4987 §3.4 4987-1: a flood fills this queue and nothing else
    pub(crate) fn has_room_for_syn(&self) -> bool {
        self.half_open < self.syn_queue
    }

    pub(crate) fn name(&self, index: u32) -> ListenerId {
        ListenerId { index, generation: self.generation }
    }
}

/// All listeners.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    slots: Slab<Listener>,
    pub(crate) bindings: Bindings,
    /// Ports that are kept for sockets which will connect or listen.
    pub(crate) bound: Slab<Bound>,
    pub(crate) generation: u32,
}

impl Listeners {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    // RFC 9293 §3.9.1.1 MUST-41, MUST-42, MUST-43: connections have all four numbers and are not asked
    pub(crate) fn open(
        &mut self,
        context: &mut Context,
        request: &ListenRequest,
    ) -> Result<ListenerId, ListenError> {
        let binding = match request.bound {
            Some(id) => self.admit_bound(id)?,
            None => ports::binding_for(context, &self.bindings, request.local, request.reuse)?,
        };
        self.generation = self.generation.wrapping_add(1);
        let slot = self.slots.insert(Listener {
            generation: self.generation,
            binding,
            backlog: request.backlog.max(1),
            syn_queue: request.syn_queue.max(1),
            overflow: request.overflow,
            syn_cookies: request.syn_cookies,
            cookies_until: Instant::ZERO,
            fast_open: request.fast_open,
            options: request.options,
            ip: request.ip,
            accept: VecDeque::new(),
            half_open: 0,
            timer: TimerHandle::NONE,
        });
        let index = u32::try_from(slot).expect("there are at most 2^32 bindings");
        self.bindings.insert(binding, index);
        Ok(ListenerId { index, generation: self.generation })
    }

    pub(crate) fn close(&mut self, id: ListenerId) -> Listener {
        self.check(id);
        let listener = self.slots.remove(id.index as usize);
        self.bindings.remove(listener.binding);
        listener
    }

    pub(crate) fn local(&self, context: &Context, id: ListenerId) -> SocketAddr {
        self.check(id);
        ports::address_of(context, self.at(id.index).binding)
    }

    pub(crate) fn binding(&self, id: ListenerId) -> Binding {
        self.at(id.index).binding
    }

    /// The listener at the local end of a segment.
    pub(crate) fn of(&self, endpoints: &Endpoints) -> Option<u32> {
        let version = Version::of(endpoints.remote_address());
        self.bindings.find(endpoints.local_port, version, endpoints.local)
    }

    pub(crate) fn at(&self, index: u32) -> &Listener {
        &self.slots[index as usize]
    }

    pub(crate) fn at_mut(&mut self, index: u32) -> &mut Listener {
        &mut self.slots[index as usize]
    }

    /// # Panics
    /// When the listener was closed.
    pub(crate) fn check(&self, id: ListenerId) {
        let listener = self.slots.get(id.index as usize);
        assert!(
            listener.is_some_and(|listener| listener.generation == id.generation),
            "the owner uses no name of a listener that it has closed"
        );
    }
}
