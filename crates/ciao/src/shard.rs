//! What one lock protects: the host, its link, and those who wait. Every call runs to completion under it.
//!
//! A call of the application does its work, hands the packets that follow from it to the link, and collects
//! the tasks that have become ready, all in the caller's own poll. No other thread or task takes part:
//! waking one costs more than sending a packet. The tasks are woken when the lock is free again.
//!
//! Who reads the device and fires the timers is in [`crate::driver`], or in [`crate::simulated`].

use crate::clock::Clock;
use crate::error::StackEnd;
use crate::link::AsyncLink;
use crate::waiting::{Keep, Place, Ticket, WaitTable};
use ciao_link::{ChecksumOffload, Transmission};
use ciao_stack::{
    Checksums, Cidr, Host, HostEvent, InterfaceConfig, InterfaceId, ListenerId, Offload, Route, Segmentation,
};
use ciao_tcp::Event;
use ciao_wire::{Instant, Packet};
use std::future::poll_fn;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use tokio::task::coop::poll_proceed;

/// What all handles of a stack share.
#[derive(Debug)]
pub(crate) struct Shared {
    shard: Mutex<Shard>,
    clock: Clock,
}

/// What a link does not know of itself.
#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) addresses: Vec<Cidr>,
    pub(crate) routes: Vec<Route>,
}

/// What the lock protects.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) host: Host,
    pub(crate) waits: WaitTable,
    /// The links, by the number of their interface.
    pub(crate) links: Vec<Box<dyn AsyncLink>>,
    /// The packet that its link had no room for. While it waits the host keeps the others: it makes
    /// segments on demand.
    held: Option<(InterfaceId, Packet)>,
    /// Packets that the link refused, or lost because it was down.
    pub(crate) transmit_errors: u64,
    /// The task that reads the device and fires the timers.
    pub(crate) driver: Option<Waker>,
    /// When that task wakes by itself.
    pub(crate) driver_wakes_at: Instant,
    /// Listeners that their owners hold.
    pub(crate) listeners: Vec<ListenerId>,
    /// New connections are refused: the stack is being shut down.
    pub(crate) closing: bool,
    /// Nothing is carried any more.
    pub(crate) end: Option<StackEnd>,
    /// Tasks to be woken when the lock is free.
    woken: Vec<Waker>,
}

impl Shard {
    pub(crate) fn new(host: Host) -> Self {
        Self {
            host,
            waits: WaitTable::default(),
            links: Vec::new(),
            held: None,
            transmit_errors: 0,
            driver: None,
            driver_wakes_at: Instant::NEVER,
            listeners: Vec::new(),
            closing: false,
            end: None,
            woken: Vec::new(),
        }
    }

    /// Adds an interface with its link.
    pub(crate) fn add_interface(&mut self, interface: Interface, link: Box<dyn AsyncLink>) -> InterfaceId {
        let capabilities = link.capabilities();
        let offload = Offload {
            segmentation: match capabilities.segmentation {
                ciao_link::Segmentation::ByHost => Segmentation::ByHost,
                ciao_link::Segmentation::ByLink => Segmentation::ByLink,
            },
            checksums: match capabilities.checksum {
                ChecksumOffload::ByHost => Checksums::ByHost,
                ChecksumOffload::ByLink => Checksums::ByLink,
            },
        };
        let Interface { name, addresses, routes } = interface;
        self.links.push(link);
        self.host.add_interface(InterfaceConfig { name, mtu: capabilities.mtu, addresses, routes, offload })
    }

    /// The gate of every call of a socket.
    ///
    /// # Errors
    /// When the stack has ended.
    pub(crate) fn check_open(&self) -> io::Result<()> {
        self.end.map_or(Ok(()), |end| Err(end.into()))
    }

    /// The gate of every call that opens something.
    ///
    /// # Errors
    /// When the stack has ended, or is being shut down.
    pub(crate) fn check_accepts_new(&self) -> io::Result<()> {
        self.check_open()?;
        if self.closing { Err(StackEnd::ShutDown.into()) } else { Ok(()) }
    }

    /// Ends the stack. Everyone who waits is told.
    pub(crate) fn fail(&mut self, end: StackEnd) {
        self.end.get_or_insert(end);
        self.waits.wake_all(&mut self.woken);
        self.woken.extend(self.driver.take());
    }

    /// Tells those who wait at `place`, once the lock is free.
    pub(crate) fn wake(&mut self, place: Place) {
        self.waits.wake(place, &mut self.woken);
    }

    /// Those who are to be told now.
    pub(crate) fn take_woken(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.woken)
    }

    /// What must follow every input: packets to the link, events to those who wait, the next wake-up to the
    /// driver.
    pub(crate) fn settle(&mut self, now: Instant) {
        let was_blocked = self.held.is_some();
        self.transmit(now);
        while let Some(event) = self.host.poll_event() {
            self.deliver(event);
        }
        let wanted = self.host.poll_timeout().unwrap_or(Instant::NEVER);
        if wanted < self.driver_wakes_at || (self.held.is_some() && !was_blocked) {
            self.driver_wakes_at = wanted;
            self.woken.extend(self.driver.take());
        }
        if self.closing && self.is_drained() {
            self.wake(Place::Drained);
        }
    }

    /// True when no connection is left; those in TIME-WAIT without an owner need nothing from us any more.
    pub(crate) fn is_drained(&self) -> bool {
        let counts = self.host.counts();
        counts.connections == 0 && counts.half_open == 0
    }

    fn transmit(&mut self, now: Instant) {
        while let Some((interface, packet)) = self.held.take().or_else(|| self.host.poll_transmit(now)) {
            match self.links[usize::from(interface.0)].transmit(packet) {
                Ok(Transmission::Sent) => {}
                Ok(Transmission::Busy(packet)) => {
                    self.held = Some((interface, packet));
                    return;
                }
                // A link that is down loses packets, as a cable does; what they carried is sent again.
                Err(_) => self.transmit_errors += 1,
            }
        }
    }

    /// Offers the link the packet that it had no room for. Else `cx` is woken when there is room.
    pub(crate) fn poll_unblock(&mut self, cx: &mut Context<'_>) {
        if let Some((interface, packet)) = self.held.take() {
            match self.links[usize::from(interface.0)].poll_transmit(cx, packet) {
                Ok(Transmission::Sent) => {}
                Ok(Transmission::Busy(packet)) => self.held = Some((interface, packet)),
                Err(_) => self.transmit_errors += 1,
            }
        }
    }

    fn deliver(&mut self, event: HostEvent) {
        match event {
            // RFC 9293 §3.9.1.8 MUST-47
            HostEvent::Tcp(id, Event::SoftError(error)) => self.waits.tcp(id).soft_error = Some(error),
            // RFC 9293 §3.8.3 SHLD-9
            HostEvent::Tcp(id, Event::DeliveryTrouble) => self.waits.tcp(id).delivery_trouble = true,
            HostEvent::Tcp(id, event) => {
                // RFC 9293 §3.8.5 MUST-32: a mark may come before its data
                if matches!(event, Event::Readable | Event::Urgent | Event::Connected | Event::Closed(_)) {
                    self.wake(Place::TcpRead(id));
                }
                if matches!(event, Event::Writable | Event::Connected | Event::Closed(_)) {
                    self.waits.tcp(id).write_blocked = false;
                    self.wake(Place::TcpWrite(id));
                }
            }
            HostEvent::Acceptable(id) => self.wake(Place::Accept(id)),
            HostEvent::UdpReadable(id) => self.wake(Place::UdpRead(id)),
            _ => {}
        }
    }
}

impl Shared {
    pub(crate) fn new(shard: Shard, clock: Clock) -> Self {
        Self { shard: Mutex::new(shard), clock }
    }

    /// The lock, for questions. What changes something goes through [`Self::call`].
    ///
    /// A panic under the lock would be a fault of ours in one call; the other connections are not taken
    /// down with it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Shard> {
        self.shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stack's time.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Runs `action` and all that follows from it.
    pub(crate) fn call<T>(&self, action: impl FnOnce(&mut Shard, Instant) -> T) -> T {
        let mut shard = self.lock();
        // Read under the lock, so that the host never sees time run backwards.
        let now = self.clock.now();
        let answer = action(&mut shard, now);
        Self::finish(shard, now);
        answer
    }

    /// As [`Self::call`], but ends the stack.
    pub(crate) fn fail(&self, end: StackEnd) {
        let mut shard = self.lock();
        shard.fail(end);
        let woken = shard.take_woken();
        drop(shard);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Tries `attempt`; when it has to wait, the task of `cx`, and only this one, is woken for the next
    /// attempt.
    pub(crate) fn poll_at<T>(
        &self,
        cx: &mut Context<'_>,
        place: Place,
        attempt: impl FnOnce(&mut Shard, Instant) -> Poll<T>,
    ) -> Poll<T> {
        self.poll_within_budget(cx, &[place], |_| Keep::InSlot, attempt)
    }

    /// Tries `attempt` until it need not wait. Any number of tasks may wait so at one place; to drop the
    /// future undoes nothing but the waiting.
    pub(crate) async fn wait_at<T>(
        &self,
        places: &[Place],
        mut attempt: impl FnMut(&mut Shard, Instant) -> Poll<T>,
    ) -> T {
        let mut queued = Queued { shared: self, places, ticket: None };
        poll_fn(|cx| {
            let ticket = &mut queued.ticket;
            let keep = |waits: &mut WaitTable| Keep::InList(*ticket.get_or_insert_with(|| waits.ticket()));
            self.poll_within_budget(cx, places, keep, &mut attempt)
        })
        .await
    }

    fn poll_within_budget<T>(
        &self,
        cx: &mut Context<'_>,
        places: &[Place],
        keep: impl FnOnce(&mut WaitTable) -> Keep,
        attempt: impl FnOnce(&mut Shard, Instant) -> Poll<T>,
    ) -> Poll<T> {
        let budget = ready!(poll_proceed(cx));
        let mut shard = self.lock();
        let now = self.clock.now();
        let answer = attempt(&mut shard, now);
        if answer.is_pending() {
            let keep = keep(&mut shard.waits);
            for place in places {
                shard.waits.register(*place, keep, cx.waker());
            }
            // Who looked and found nothing has changed nothing, so nothing follows. A write that found no
            // room has told the connection so.
            if !places.iter().any(|place| matches!(place, Place::TcpWrite(_))) {
                return Poll::Pending;
            }
        } else {
            budget.made_progress();
        }
        Self::finish(shard, now);
        answer
    }

    /// All that follows from an input, and the end of the critical section.
    fn finish(mut shard: MutexGuard<'_, Shard>, now: Instant) {
        shard.settle(now);
        let woken = shard.take_woken();
        drop(shard);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// A future's places in the lists; it leaves them when dropped.
struct Queued<'a> {
    shared: &'a Shared,
    places: &'a [Place],
    ticket: Option<Ticket>,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let mut shard = self.shared.lock();
            for place in self.places {
                shard.waits.forget(*place, ticket);
            }
        }
    }
}
