//! Who reads the device and fires the timers? One future for each stack, and it does nothing else: what an
//! application sends, leaves in the application's own call.
//!
//! It works in batches, so that the segments of one connection that arrive together are merged, and gives
//! way to the other tasks after some of them. The driver of a simulation is in [`crate::simulated`].

use crate::error::StackEnd;
use crate::shard::{Shard, Shared};
use ciao_stack::InterfaceId;
use ciao_wire::{Instant, Packet};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::time::Sleep;

/// Packets that are read before TCP sees them. 64: at 1,460 bytes each they are one merged segment and a
/// half, and they stay in L2.
const BATCH_PACKETS: usize = 64;

/// Batches before the other tasks get a turn.
const BATCHES_A_TURN: usize = 4;

/// Carries a stack: to be spawned, or awaited beside the program. It ends when the stack was shut down, or
/// its device failed. When it is dropped before, every call on the stack's sockets fails with
/// [`StackEnd::DriverDropped`].
#[must_use = "a stack does nothing without its driver"]
#[derive(Debug)]
pub struct Driver {
    shared: Arc<Shared>,
    /// The stack's origin of time on tokio's clock.
    origin: tokio::time::Instant,
    sleep: Pin<Box<Sleep>>,
    sleeps_until: Instant,
    batch: Vec<Packet>,
}

/// What one round found.
enum Round {
    /// There may be more to read.
    Full,
    /// Nothing more for now; the next timer.
    Idle(Instant),
    /// The stack has ended.
    Ended(StackEnd),
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let origin = tokio::time::Instant::now() - shared.now().since(Instant::ZERO);
        let sleep = Box::pin(tokio::time::sleep_until(origin));
        Self { shared, origin, sleep, sleeps_until: Instant::ZERO, batch: Vec::with_capacity(BATCH_PACKETS) }
    }

    fn round(&mut self, cx: &mut Context<'_>) -> Round {
        let mut shard = self.shared.lock();
        let now = self.shared.now();
        let filled = receive_batches(&mut shard, cx, now, &mut self.batch);
        if shard.host.poll_timeout().is_some_and(|at| at <= now) {
            shard.host.handle_timeout(now);
        }
        shard.poll_unblock(cx);
        // What follows from here is ours to see below, so nobody needs to wake us for it.
        shard.driver_wakes_at = Instant::ZERO;
        shard.settle(now);
        if let Err(error) = &filled {
            shard.fail(StackEnd::DeviceFailed(error.kind()));
        }
        shard.driver_wakes_at = shard.host.poll_timeout().unwrap_or(Instant::NEVER);
        shard.driver = Some(cx.waker().clone());
        let answer = match (shard.end, filled) {
            (Some(end), _) => Round::Ended(end),
            (None, Ok(Filled::Full)) => Round::Full,
            (None, _) => Round::Idle(shard.driver_wakes_at),
        };
        let woken = shard.take_woken();
        drop(shard);
        woken.into_iter().for_each(Waker::wake);
        answer
    }

    /// Ready when the timer has fired. One that fires too early is left alone: most deadlines are put off
    /// again and again, and a round for nothing costs less than to move the timer every time.
    fn poll_sleep(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        if until == Instant::NEVER {
            return Poll::Pending;
        }
        if until < self.sleeps_until || self.sleep.is_elapsed() {
            self.sleeps_until = until;
            self.sleep.as_mut().reset(self.origin + until.since(Instant::ZERO));
        }
        self.sleep.as_mut().poll(cx)
    }
}

/// Whether a batch could have been longer.
enum Filled {
    Full,
    Drained,
}

/// A batch from each link.
fn receive_batches(
    shard: &mut Shard,
    cx: &mut Context<'_>,
    now: Instant,
    batch: &mut Vec<Packet>,
) -> io::Result<Filled> {
    let mut filled = Filled::Drained;
    let Shard { host, links, .. } = shard;
    for (interface, link) in (0..).map(InterfaceId).zip(links) {
        loop {
            match link.poll_receive(cx) {
                Poll::Ready(packet) => batch.push(packet?),
                Poll::Pending => break,
            }
            if batch.len() == BATCH_PACKETS {
                filled = Filled::Full;
                break;
            }
        }
        if !batch.is_empty() {
            host.handle_packets(now, interface, batch.iter_mut());
            batch.clear();
        }
    }
    Ok(filled)
}

impl Future for Driver {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        for _ in 0..BATCHES_A_TURN {
            match self.round(cx) {
                Round::Full => {}
                Round::Idle(until) => {
                    if self.poll_sleep(cx, until).is_pending() {
                        return Poll::Pending;
                    }
                }
                Round::Ended(StackEnd::ShutDown) => return Poll::Ready(Ok(())),
                Round::Ended(end) => return Poll::Ready(Err(end.into())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.fail(StackEnd::DriverDropped);
    }
}
