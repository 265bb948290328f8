//! How do two smoltcp interfaces exchange packets in memory? Through two queues; packet buffers are used
//! again.

use smoltcp::phy::{self, Checksum, ChecksumCapabilities, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// Packets that wait in one direction before the device has no more room.
const QUEUE_PACKETS: usize = 4096;

type Queue = Rc<RefCell<VecDeque<Vec<u8>>>>;
type Spare = Rc<RefCell<Vec<Vec<u8>>>>;

/// Whether checksums are written and verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// Both.
    On,
    /// Neither.
    Off,
}

/// One end.
pub(super) struct Device {
    incoming: Queue,
    outgoing: Queue,
    spare: Spare,
    mtu: usize,
    checksums: Checksums,
}

impl Device {
    pub(super) fn pair(mtu: usize, checksums: Checksums) -> (Self, Self) {
        let (one, other, spare) = (Queue::default(), Queue::default(), Spare::default());
        let first = Self {
            incoming: Rc::clone(&one),
            outgoing: Rc::clone(&other),
            spare: Rc::clone(&spare),
            mtu,
            checksums,
        };
        (first, Self { incoming: other, outgoing: one, spare, mtu, checksums })
    }
}

pub(super) struct Received {
    bytes: Vec<u8>,
    spare: Spare,
}

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        let outcome = read(&self.bytes);
        self.spare.borrow_mut().push(self.bytes);
        outcome
    }
}

pub(super) struct Room<'a>(&'a Device);

impl phy::TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut bytes = self.0.spare.borrow_mut().pop().unwrap_or_default();
        bytes.resize(len, 0);
        let outcome = write(&mut bytes);
        self.0.outgoing.borrow_mut().push_back(bytes);
        outcome
    }
}

impl phy::Device for Device {
    type RxToken<'a> = Received;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Room<'_>)> {
        let bytes = self.incoming.borrow_mut().pop_front()?;
        Some((Received { bytes, spare: Rc::clone(&self.spare) }, Room(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_>> {
        let has_room = self.outgoing.borrow().len() < QUEUE_PACKETS;
        has_room.then_some(Room(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        if self.checksums == Checksums::Off {
            capabilities.checksum = ChecksumCapabilities::ignored();
            capabilities.checksum.ipv4 = Checksum::None;
        }
        capabilities
    }
}
