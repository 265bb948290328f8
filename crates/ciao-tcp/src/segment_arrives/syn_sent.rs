//! SYN-SENT (RFC 9293 §3.10.7.3): the answer to our SYN, or a SYN that crossed it.

use crate::connection::{Connection, Raise};
use crate::counters::Moment;
use crate::error::{ConnectionError, DropReason};
use crate::segment::Segment;
use crate::segment_arrives::closed::Reset;
use crate::segment_arrives::sequence::trim_front;
use crate::segment_arrives::{Verdict, fin_number};
use crate::state::Cause;
use crate::variables::Fin;
use crate::window_scale;
use ciao_wire::{Instant, SeqNum, TcpOptions};

impl Connection {
    pub(crate) fn in_syn_sent(&mut self, now: Instant, segment: &mut Segment) -> Verdict {
        let flags = segment.header.flags;
        // Only our SYN is out, with data only after RFC 7413: SND.UNA = ISS, SND.NXT = ISS + 1 + data.
        let ack = segment.header.ack;
        let ack_is_acceptable = flags.ack() && ack.after(self.snd.iss) && ack.at_or_before(self.snd.nxt);
        if flags.ack() && !ack_is_acceptable {
            // RFC 9293 §3.5.2: an answer to an older SYN; half-open discovery
            if !flags.rst() {
                self.owed.reset = Reset::in_answer_to(segment);
            }
            return self.dropped(DropReason::UnacceptableAck);
        }
        if flags.rst() {
            // RFC 5961 §3.2 5961-3d
            if !ack_is_acceptable {
                return self.dropped(DropReason::UnacceptableAck);
            }
            if self.ecn.is_offered() {
                // RFC 3168 §6.1.1.1 3168-6f: the port may be open and the question what was refused. The SYN
                // goes out again without it; a RST of that one counts.
                self.owed.syn = true;
                self.restart_retransmit_timer(now);
                return self.dropped(DropReason::ResetOfEcnSetup);
            }
            self.end(Cause::ResetReceived, Some(ConnectionError::Refused));
            return Err(DropReason::Closed);
        }
        if !flags.syn() {
            return self.dropped(DropReason::NeitherSynNorReset);
        }
        self.take_ecn_of_syn(flags);
        self.take_peer_syn(now, segment.header.seq, segment.header.window, &segment.header.options);
        if !ack_is_acceptable {
            // RFC 9293 §3.5 MUST-10: both open at once; our SYN goes out again with an acknowledgment
            self.enter(Cause::SynReceived);
            self.owed.syn = true;
            return Ok(());
        }
        self.acknowledge_syn(now, ack, segment);
        if self.seldom.is_some() {
            self.fast_open_answered(segment);
            segment
                .header
                .options
                .user_timeout
                .into_iter()
                .for_each(|field| self.take_user_timeout(now, field));
        }
        self.enter(Cause::SynAckReceived);
        self.established(now);
        self.owed.acknowledge_now();
        // The SYN may carry data and a FIN, which count now that the connection is open.
        trim_front(segment, self.rcv.nxt);
        self.check_urgent(segment);
        self.check_sequence(now, segment)?;
        let fin = fin_number(segment);
        self.take_text(now, segment)?;
        self.take_fin(now, fin);
        Ok(())
    }

    /// Takes over the peer's initial number, its window and the options on which both ends agree.
    // RFC 7323 §2.2 7323-2b: no other segment sets the scale
    pub(crate) fn take_peer_syn(&mut self, now: Instant, irs: SeqNum, window: u16, options: &TcpOptions) {
        self.rcv.irs = irs;
        self.rcv.nxt = irs + 1;
        self.rcv.up = self.rcv.nxt;
        // RFC 7323 §2.2 7323-2c: the window of a SYN is never scaled, ours and the peer's
        self.rcv.edge = self.rcv.nxt + self.options.receive_buffer_bytes.min(u32::from(u16::MAX));
        self.snd.wnd = u32::from(window);
        self.snd.max_wnd = self.snd.wnd;
        self.snd.wl1 = irs;
        self.snd.wl2 = self.snd.iss;
        self.take_peer_mss(options.mss);
        // RFC 7323 §2.2 7323-2a, 7323-2b: only when both SYNs carry the option; nobody looks at it later
        match options.window_scale.filter(|_| self.config.window_scaling) {
            Some(shift) => {
                self.snd.wind_shift = window_scale::received_shift(shift);
                self.scaling = true;
            }
            None => self.rcv.wind_shift = 0,
        }
        self.sack = self.config.sack && options.sack_permitted;
        if let Some(timestamps) = options.timestamps.filter(|_| self.config.timestamps) {
            self.timestamps.agreed = true;
            self.timestamps.recent = timestamps.value;
            self.timestamps.recent_at = now;
        }
        self.timestamps.last_ack_sent = self.rcv.nxt;
    }

    /// The least payload that a peer may force us to send in: below it, headers would be most of what is
    /// sent.
    const LEAST_MSS: u16 = 88;

    // RFC 9293 §3.7.1 MUST-14, MUST-15, MUST-16
    fn take_peer_mss(&mut self, mss: Option<u16>) {
        if let Some(mss) = mss {
            self.set_peer_mss(mss.min(self.announce_mss).max(Self::LEAST_MSS));
        }
    }

    /// ESTABLISHED: data may flow, and a close that was called before now takes effect.
    pub(crate) fn established(&mut self, now: Instant) {
        if !self.complete_fast_open() {
            self.counters.data_received = Moment::of(now);
            self.start_congestion_control();
        }
        // That for the SYN: whoever only receives needs none.
        self.sent.release_room();
        self.restart_keep_alive(now);
        self.owe_user_timeout();
        self.raise(Raise::Connected);
        if self.fin == Fin::Queued {
            self.enter(Cause::CloseCalled);
        }
    }
}
