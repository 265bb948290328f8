//! Seventh: the segment text (RFC 9293 §3.10.7.4): data in order to the application, data behind a gap to the
//! reassembly queue.

use crate::buffer_growth::MemoryLevel;
use crate::connection::{Connection, Owner};
use crate::error::{ConnectionError, DropReason};
use crate::reassembly::Reassembly;
use crate::segment::Segment;
use crate::segment_arrives::Verdict;
use crate::segment_arrives::closed::Reset;
use crate::state::{Cause, TcpState};
use crate::transmit::acknowledge::Behind;
use ciao_wire::{Instant, Payload, SackBlock};

impl Connection {
    /// Takes the data of an acceptable segment, already cut to the receive window.
    pub(crate) fn take_text(&mut self, now: Instant, segment: &mut Segment) -> Verdict {
        if segment.payload.is_empty() {
            return Ok(());
        }
        if !matches!(self.state, TcpState::Established | TcpState::FinWait1 | TcpState::FinWait2) {
            return self.dropped(DropReason::DataAfterFin);
        }
        if self.owner == Owner::Gone {
            // RFC 9293 §3.6.1 SHLD-3: nobody can read it, and the peer must learn that
            self.owed.reset = Some(Reset::Active { seq: self.snd.nxt, ack: self.rcv.nxt });
            let verdict = self.dropped(DropReason::DataAfterClose);
            self.end(Cause::Aborted, Some(ConnectionError::Aborted));
            return verdict;
        }
        if let Some(fin) = self.rcv.fin {
            let room = if fin.after(segment.header.seq) { fin.since(segment.header.seq) } else { 0 };
            segment.payload.truncate(room as usize);
        }
        if self.memory != MemoryLevel::Plenty {
            self.refuse_for_memory(segment)?;
        }
        if self.ecn.is_agreed() {
            self.take_congestion_mark(segment);
        }
        let payload = core::mem::take(&mut segment.payload);
        if segment.header.seq == self.rcv.nxt {
            self.take_in_order(now, segment, payload);
            Ok(())
        } else {
            self.take_out_of_order(segment, &payload)
        }
    }

    fn take_in_order(&mut self, now: Instant, segment: &Segment, payload: Payload) {
        let filled_a_gap = self.reassembly.is_some();
        if self.right_sizing.wants_sample
            && let Some(timestamps) = segment.header.options.timestamps
        {
            self.sample_receive_rtt(now, timestamps.echo);
        }
        self.deliver(payload);
        while let Some(reassembly) = &mut self.reassembly {
            let Some(payload) = reassembly.take_contiguous(self.rcv.nxt) else { break };
            if reassembly.is_empty() {
                self.reassembly = None;
            }
            self.deliver(payload);
        }
        if filled_a_gap {
            // RFC 5681 §4.2 5681-3f: at once when all or part of a gap is filled
            self.owed.acknowledge_now();
        } else {
            let behind = if segment.header.flags.fin() { Behind::Fin } else { Behind::Nothing };
            self.owe_ack(now, segment.header.seq, segment.segment_size, behind);
        }
        self.consider_readable();
    }

    #[inline]
    pub(crate) fn deliver(&mut self, payload: Payload) {
        let len = payload_len(&payload);
        self.rcv.nxt += len;
        self.counters.bytes_received += u64::from(len);
        self.receive_buffer.push(payload);
    }

    // RFC 9293 §3.10.7.4 SHLD-31, MAY-13: kept, and acknowledged at once so that the sender learns of the gap
    fn take_out_of_order(&mut self, segment: &Segment, payload: &Payload) -> Verdict {
        self.owed.acknowledge_duplicate();
        let rare = self.counters.rare();
        rare.out_of_order_segments = rare.out_of_order_segments.saturating_add(1);
        let block = SackBlock { start: segment.header.seq, end: segment.header.seq + payload_len(payload) };
        let reassembly = self.reassembly.get_or_insert_with(|| Reassembly::new().into());
        let held = reassembly.bytes();
        match reassembly.insert(segment.header.seq, payload, self.config.max_gaps) {
            Ok(_) if reassembly.bytes() == held => {
                self.owed.duplicate = self.sack.then_some(block);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(_too_many) => self.dropped(DropReason::TooManyGaps),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a payload is cut to the receive window")]
fn payload_len(payload: &Payload) -> u32 {
    payload.len() as u32
}
