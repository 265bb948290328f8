//! Which port is kept for a socket that neither connects nor listens yet? (`bind`, and `SO_REUSEADDR` as
//! Linux has it)
//!
//! What stands in whose way is decided in [`crate::ports`]. Once the socket has connected, its connection has
//! all four numbers and counts as any other; once it listens, the listener has the port.

use crate::context::Context;
use crate::error::BindError;
use crate::ids::BoundId;
use crate::ports::{self, Binding, Reuse};
use crate::tcp::Tcp;
use crate::tcp::listeners::Listeners;
use core::net::SocketAddr;

/// A kept port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    generation: u32,
    pub(crate) binding: Binding,
    reuse: Reuse,
}

impl Listeners {
    /// # Panics
    /// When it was given back.
    pub(crate) fn bound(&self, id: BoundId) -> Bound {
        let bound = self.bound.get(id.index as usize).filter(|bound| bound.generation == id.generation);
        *bound.expect("the owner uses no name of a port that it has given back")
    }

    /// Whether a listener may have the port that is kept for it: not when one of those who share it listens.
    pub(crate) fn admit_bound(&mut self, id: BoundId) -> Result<Binding, BindError> {
        let Bound { binding, reuse, .. } = self.bound(id);
        self.bindings.release(binding, reuse);
        let is_admitted = self.bindings.admits(binding, reuse);
        self.bindings.reserve(binding, reuse);
        if is_admitted { Ok(binding) } else { Err(BindError::AddressInUse) }
    }
}

impl Tcp {
    /// Keeps a port. To ask for one alone goes through all connections, which is for the start of a program
    /// and not for every day.
    pub(crate) fn bind(
        &mut self,
        context: &mut Context,
        local: SocketAddr,
        reuse: Reuse,
    ) -> Result<BoundId, BindError> {
        let binding = ports::binding_for(context, &self.listeners.bindings, local, reuse)?;
        self.check_exclusive(binding, reuse)?;
        let Listeners { bindings, bound, generation, .. } = &mut self.listeners;
        *generation = generation.wrapping_add(1);
        bindings.reserve(binding, reuse);
        let slot = bound.insert(Bound { generation: *generation, binding, reuse });
        let index = u32::try_from(slot).expect("memory ends before 2^32 of them");
        Ok(BoundId { index, generation: *generation })
    }

    /// Who wants a port alone does not get one that has a connection, even in TIME-WAIT.
    pub(crate) fn check_exclusive(&self, binding: Binding, reuse: Reuse) -> Result<(), BindError> {
        if reuse == Reuse::Exclusive && self.tables.any_at(binding) {
            return Err(BindError::AddressInUse);
        }
        Ok(())
    }

    pub(crate) fn bound_local(&self, context: &Context, id: BoundId) -> SocketAddr {
        ports::address_of(context, self.listeners.bound(id).binding)
    }

    pub(crate) fn unbind(&mut self, id: BoundId) {
        let Bound { binding, reuse, .. } = self.listeners.bound(id);
        self.listeners.bound.remove(id.index as usize);
        self.listeners.bindings.release(binding, reuse);
    }
}
