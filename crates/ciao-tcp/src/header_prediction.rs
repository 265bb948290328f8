//! What does nearly every segment of an established connection bring and take? Data in order, or its
//! acknowledgment, behind a [`PlainHeader`] (V. Jacobson's header prediction).
//!
//! A segment is predicted where only the rules of plain data have anything to say. For those it calls what
//! `segment_arrives` and `transmit` call; the questions that cannot matter are not asked. Everything else is
//! declined, and goes the whole way: [`Connection::handle_segment`] and [`Connection::poll_transmit`] decide
//! alone, and would decide the same on what is predicted (the test `prediction` holds both against each
//! other).

use crate::buffer_growth::MemoryLevel;
use crate::connection::{Connection, Owner, Raise};
use crate::segment_arrives::ack::Window;
use crate::state::TcpState;
use crate::timestamps::{clock, is_older};
use crate::transmit::acknowledge::Behind;
use crate::variables::Fin;
use ciao_wire::{Instant, Payload, PlainHeader, TcpFlags, Timestamps};

/// Whether a segment was predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// It has been taken in.
    Held,
    /// Nothing was done with it: it has to go the whole way.
    Failed,
}

impl Connection {
    /// Only the rules of plain data have anything to say: no other state is there, and no other option was
    /// agreed on.
    #[inline]
    fn is_plain(&self) -> bool {
        self.state == TcpState::Established
            && self.timestamps.agreed
            && self.fin == Fin::Open
            && self.owner == Owner::Present
            && self.memory == MemoryLevel::Plenty
            && self.rcv.fin.is_none()
            && self.seldom.is_none()
            && self.recovery.episode.is_none()
            && self.reassembly.is_none()
            && !self.ecn.is_agreed()
            && !self.trace.is_on()
    }

    /// Takes a single segment that arrived at `now`, with a checksum known to be right, if the header says
    /// what was to be expected: the next data, all of it inside the window, or an acknowledgment of something
    /// new, or both. Its data is what stands in `payload` behind `skipped` bytes.
    #[inline]
    pub fn handle_plain(
        &mut self,
        now: Instant,
        header: &PlainHeader,
        payload: &mut Payload,
        skipped: usize,
    ) -> Prediction {
        let acked = header.ack.since(self.snd.una);
        #[expect(clippy::cast_possible_truncation, reason = "a packet is shorter than 2^16 bytes")]
        let len = (payload.len() - skipped) as u32;
        let is_expected = header.seq == self.rcv.nxt
            && len <= self.rcv.wnd()
            && acked <= self.outstanding()
            && acked + len > 0
            && !is_older(header.timestamps.value, self.timestamps.recent)
            && self.snd.wnd > 0
            && !self.owed.writable
            && self.is_plain();
        if !is_expected {
            return Prediction::Failed;
        }
        self.counters.received(now, 1, len > 0);
        // RFC 7323 §4.3 7323-4c
        if header.seq.at_or_before(self.timestamps.last_ack_sent) {
            self.timestamps.recent = header.timestamps.value;
            self.timestamps.recent_at = now;
        }
        let window = Window { field: header.window, seq: header.seq, ack: header.ack };
        let may_update_window = self.is_newer(&window);
        let before = self.progress_so_far();
        let rtt = if acked > 0 { self.acknowledge_up_to(now, header.ack, None) } else { None };
        if may_update_window {
            self.take_window(&window, self.snd.wind_shift);
        }
        self.inform_congestion_control(now, &before, rtt);
        if len > 0 {
            if self.right_sizing.wants_sample {
                self.sample_receive_rtt(now, header.timestamps.echo);
            }
            let mut data = core::mem::take(payload);
            data.advance(skipped);
            self.deliver(data);
            self.owe_ack(now, header.seq, 0, Behind::Nothing);
            self.raise(Raise::Readable);
        }
        Prediction::Held
    }

    /// The header of the next segment to send, whose data replaces `payload`, where that is new data which
    /// fits into one, all that there is; else `None`, and `poll_transmit` has to be asked.
    #[inline]
    pub fn poll_plain(&mut self, now: Instant, payload: &mut Payload) -> Option<PlainHeader> {
        let outstanding = self.outstanding();
        let len = self.send_buffer.len() - outstanding.min(self.send_buffer.len());
        let is_expected = len > 0
            && len <= self.full_segment_bytes()
            && len <= self.usable_window()
            && (outstanding == 0 || self.options.nodelay)
            && !self.options.cork
            && !self.owed.is_out_of_turn()
            && self.sent.lost() == 0
            && self.is_plain()
            && self.congestion_room() >= len;
        if !is_expected {
            return None;
        }
        let seq = self.snd.nxt;
        self.note_new_data(now, len, Fin::Open, len);
        *payload = self.send_buffer.slice(outstanding, len);
        let flags = TcpFlags::ACK | TcpFlags::PSH;
        let header = PlainHeader {
            source_port: self.local_port,
            destination_port: self.remote_port,
            seq,
            ack: self.rcv.nxt,
            flags,
            window: self.offer_window(),
            timestamps: Timestamps {
                value: clock(now, self.timestamps.offset),
                echo: self.timestamps.recent,
            },
        };
        self.acknowledgment_sent();
        self.counters.sent(now, 1, true);
        Some(header)
    }
}
