//! Who waits for what? A table of wakers, under the same lock as the host.
//!
//! A task that must wait leaves its waker here in the same critical section in which it looked and found
//! nothing. An event can therefore not fall between the look and the registration, which is how wake-ups
//! are lost.
//!
//! Each place has one slot for the `poll_*` functions, whose rule is tokio's: only the task of the last
//! call is woken. Beside it stands a list for the futures that borrow the socket (`readable`, `peek`,
//! `accept`), of which any number may wait at once; each takes itself off the list when dropped.

use ciao_stack::{ListenerId, SocketId, UdpId};
use ciao_tcp::ConnectionError;
use std::task::Waker;

/// Something that can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Bytes to read, or the end of them.
    TcpRead(SocketId),
    /// Room to write, or the end of the handshake.
    TcpWrite(SocketId),
    /// A connection in the accept queue.
    Accept(ListenerId),
    /// A datagram.
    UdpRead(UdpId),
    /// The end of the last connection.
    Drained,
}

/// What one future of the list calls itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// How a waker is to be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep {
    /// In the slot, instead of the one that is there.
    InSlot,
    /// In the list, under this ticket.
    InList(Ticket),
}

/// Those who wait at one place: 24 bytes while nobody does.
#[derive(Debug, Default)]
pub(crate) struct Line {
    slot: Option<Waker>,
    list: Option<Box<List>>,
}

/// Boxed as a whole, so that an empty list is one word.
#[derive(Debug, Default)]
struct List(Vec<(Ticket, Waker)>);

impl Line {
    /// Registers `waker`.
    fn register(&mut self, keep: Keep, waker: &Waker) {
        let slot = match keep {
            Keep::InSlot => &mut self.slot,
            Keep::InList(ticket) => {
                let list = &mut self.list.get_or_insert_default().0;
                match list.iter_mut().find(|(other, _)| *other == ticket) {
                    Some((_, kept)) => kept.clone_from(waker),
                    None => list.push((ticket, waker.clone())),
                }
                return;
            }
        };
        match slot {
            Some(kept) => kept.clone_from(waker),
            None => *slot = Some(waker.clone()),
        }
    }

    /// Takes a future off the list.
    fn forget(&mut self, ticket: Ticket) {
        if let Some(list) = &mut self.list {
            list.0.retain(|(other, _)| *other != ticket);
            if list.0.is_empty() {
                self.list = None;
            }
        }
    }

    /// Moves all wakers to `woken`.
    fn wake(&mut self, woken: &mut Vec<Waker>) {
        woken.extend(self.slot.take());
        if let Some(list) = self.list.take() {
            woken.extend(list.0.into_iter().map(|(_, waker)| waker));
        }
    }
}

/// What a stack keeps of a TCP socket beside the host's own record.
#[derive(Debug, Default)]
pub(crate) struct TcpEntry {
    read: Line,
    write: Line,
    /// Whole seconds of linger that were asked for; they change nothing, but are answered.
    pub(crate) linger_s: Option<u32>,
    /// A fault of the network that may pass, which nobody was told of yet.
    pub(crate) soft_error: Option<ConnectionError>,
    /// R1 was reached, and nobody was told yet.
    pub(crate) delivery_trouble: bool,
    /// A write found no room; it is worth another attempt only after [`ciao_tcp::Event::Writable`].
    pub(crate) write_blocked: bool,
    /// How the connection ended was told; it is told once, as by SO_ERROR.
    pub(crate) error_told: bool,
}

/// All who wait, by place.
#[derive(Debug, Default)]
pub(crate) struct WaitTable {
    tcp: Vec<TcpEntry>,
    accept: Vec<Line>,
    udp: Vec<Line>,
    drained: Line,
    last_ticket: u64,
}

/// The element at `index` of a table that grows on demand.
fn at<T: Default>(table: &mut Vec<T>, index: usize) -> &mut T {
    if table.len() <= index {
        table.resize_with(index + 1, T::default);
    }
    &mut table[index]
}

impl WaitTable {
    /// A ticket that no other future has.
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    fn line(&mut self, place: Place) -> &mut Line {
        match place {
            Place::TcpRead(id) => &mut self.tcp(id).read,
            Place::TcpWrite(id) => &mut self.tcp(id).write,
            Place::Accept(id) => at(&mut self.accept, id.index()),
            Place::UdpRead(id) => at(&mut self.udp, id.index()),
            Place::Drained => &mut self.drained,
        }
    }

    /// What is kept of a socket.
    pub(crate) fn tcp(&mut self, id: SocketId) -> &mut TcpEntry {
        at(&mut self.tcp, id.index())
    }

    /// Forgets all of a socket that its owner gave back: its index may be another one's soon.
    pub(crate) fn release_tcp(&mut self, id: SocketId) {
        *self.tcp(id) = TcpEntry::default();
    }

    /// Forgets who waited at `place`, which its owner gave back.
    pub(crate) fn release(&mut self, place: Place) {
        *self.line(place) = Line::default();
    }

    /// Registers `waker` at `place`.
    pub(crate) fn register(&mut self, place: Place, keep: Keep, waker: &Waker) {
        self.line(place).register(keep, waker);
    }

    /// Takes a future off the list at `place`.
    pub(crate) fn forget(&mut self, place: Place, ticket: Ticket) {
        self.line(place).forget(ticket);
    }

    /// Moves all who wait at `place` to `woken`.
    pub(crate) fn wake(&mut self, place: Place, woken: &mut Vec<Waker>) {
        self.line(place).wake(woken);
    }

    /// Moves everyone to `woken`.
    pub(crate) fn wake_all(&mut self, woken: &mut Vec<Waker>) {
        for entry in &mut self.tcp {
            entry.read.wake(woken);
            entry.write.wake(woken);
        }
        for line in self.accept.iter_mut().chain(&mut self.udp).chain([&mut self.drained]) {
            line.wake(woken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    fn wake(table: &mut WaitTable) {
        let mut woken = Vec::new();
        table.wake(Place::Drained, &mut woken);
        woken.into_iter().for_each(Waker::wake);
    }

    #[test]
    fn the_slot_wakes_the_last_task_and_the_list_wakes_all_once() {
        let mut table = WaitTable::default();
        let tasks: Vec<_> = (0..4).map(|_| task()).collect();
        for (_, waker) in &tasks[..2] {
            table.register(Place::Drained, Keep::InSlot, waker);
        }
        for (_, waker) in &tasks[2..] {
            let ticket = table.ticket();
            table.register(Place::Drained, Keep::InList(ticket), waker);
            table.register(Place::Drained, Keep::InList(ticket), waker);
        }
        wake(&mut table);
        wake(&mut table);
        let counts: Vec<_> = tasks.iter().map(|(count, _)| count.0.load(Ordering::Relaxed)).collect();
        assert_eq!(counts, [0, 1, 1, 1]);
    }

    #[test]
    fn who_left_the_list_is_not_woken_and_leaves_nothing_behind() {
        let mut table = WaitTable::default();
        let (count, waker) = task();
        let ticket = table.ticket();
        table.register(Place::Drained, Keep::InList(ticket), &waker);
        table.forget(Place::Drained, ticket);
        assert!(table.drained.list.is_none());
        wake(&mut table);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        drop(waker);
        assert_eq!(Arc::strong_count(&count), 1);
    }

    #[test]
    fn what_is_kept_of_an_idle_socket_is_one_cache_line() {
        assert_eq!(size_of::<TcpEntry>(), 64);
    }
}
