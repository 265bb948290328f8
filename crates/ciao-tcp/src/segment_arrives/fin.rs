//! Eighth: FIN (RFC 9293 §3.10.7.4): the peer will send nothing more.
//!
//! The acknowledgment of a FIN waits for the application as long as that of data does, as in Linux: when it
//! closes at once, our FIN carries it and the close takes three segments, not four.

use crate::connection::{Connection, Raise};
use crate::state::{Cause, TcpState};
use ciao_wire::{Instant, SeqNum};

impl Connection {
    /// Takes a FIN, at once or as soon as all data before it has come.
    pub(crate) fn take_fin(&mut self, now: Instant, fin: Option<SeqNum>) {
        if let Some(fin) = fin {
            if self.peer_has_closed() || self.rcv.fin.is_some_and(|known| known != fin) {
                return;
            }
            self.rcv.fin = Some(fin);
            if self.state == TcpState::Established && fin == self.rcv.nxt && !self.options.quickack {
                self.delay_ack(now);
            } else {
                self.owed.acknowledge_now();
            }
        }
        if self.rcv.fin == Some(self.rcv.nxt) && !self.peer_has_closed() {
            self.rcv.fin = None;
            self.rcv.nxt += 1;
            self.peer_fin_received(now);
        }
    }

    fn peer_fin_received(&mut self, now: Instant) {
        self.raise(Raise::Readable);
        if self.state != TcpState::Established {
            // Our FIN is out: nothing will carry the ACK, and TIME-WAIT keeps no delayed one. The FIN may
            // have come long ago, with the gap before it closed by data that is acknowledged with delay.
            self.owed.acknowledge_now();
        }
        match self.state {
            TcpState::FinWait2 => self.enter_time_wait(now, Cause::FinReceived),
            _ => self.enter(Cause::FinReceived),
        }
    }
}
