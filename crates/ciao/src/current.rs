//! Which stack does `TcpStream::connect(addr)` mean? The one that this thread entered last.
//!
//! [`Stack::enter`] is for a program with one stack: enter it in `main`. [`Stack::scope`] is for several
//! stacks on one runtime, as in a simulation: it enters the stack whenever its future is polled, and only
//! then. A task spawned from such a future starts without a stack; wrap it too.

use crate::stack::Stack;
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::pin::pin;

thread_local! {
    static ENTERED: RefCell<Vec<Stack>> = const { RefCell::new(Vec::new()) };
}

/// While it lives the thread is in the stack.
#[must_use = "the stack is left when this is dropped"]
#[derive(Debug)]
pub struct Entered<'a> {
    /// The stack outlives it, and it stays in its thread.
    of: PhantomData<(&'a Stack, *const ())>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        ENTERED.with_borrow_mut(Vec::pop);
    }
}

impl Stack {
    /// Makes this the stack of [`crate::TcpStream::connect`] and the like in this thread. To be dropped in
    /// the reverse order of entering, as scopes do.
    pub fn enter(&self) -> Entered<'_> {
        ENTERED.with_borrow_mut(|entered| entered.push(self.clone()));
        Entered { of: PhantomData }
    }

    /// Runs `future` with this as its stack.
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            let _entered = self.enter();
            future.as_mut().poll(cx)
        })
        .await
    }

    /// The stack that this thread entered last.
    #[must_use]
    pub fn current() -> Option<Self> {
        ENTERED.with_borrow(|entered| entered.last().cloned())
    }
}

pub(crate) fn current_stack() -> io::Result<Stack> {
    let missing =
        || io::Error::new(io::ErrorKind::NotFound, "no stack was entered: call `Stack::enter` first");
    Stack::current().ok_or_else(missing)
}
