//! LISTEN: a half-open connection as a compact record, from the peer's SYN to the ACK of ours (RFC 9293
//! §3.10.7.2).
//!
//! A listener has no state of its own beyond its limits; the host keeps one [`HalfOpen`] for each SYN (the
//! SYN queue) and the connections that are complete (the accept queue). The record answers what can come
//! before the handshake is complete; with the ACK it becomes a [`Connection`] in SYN-RECEIVED, which handles
//! that same segment like any other. When there are too many, [`crate::syn_cookies`] do without the record.

use crate::buffer_growth::largest_receive_buffer;
use crate::config::{Config, SocketOptions};
use crate::connection::{Connection, Opening, Setup};
use crate::error::DropReason;
use crate::segment::{Segment, SegmentOut, Transmission};
use crate::segment_arrives::closed::Reset;
use crate::state::{Cause, TcpState};
use crate::trace::Tracing;
use crate::{ecn, timestamps, window_scale};
use ciao_wire::{Ecn, Instant, Payload, SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps};

/// How often a SYN-ACK is sent again before the record is dropped. 5, as Linux: about a minute.
const SYN_ACK_RETRANSMISSIONS: u8 = 5;

/// A passive open that waits for the ACK of its SYN-ACK: SYN-RECEIVED.
#[derive(Clone, Debug)]
pub struct HalfOpen {
    iss: SeqNum,
    irs: SeqNum,
    timestamp_offset: u32,
    /// The peer's timestamp, when it offers the option and so do we.
    pub(crate) timestamp_recent: Option<u32>,
    sent_at: Instant,
    deadline: Instant,
    receive_buffer_bytes: u32,
    wind_shift: u8,
    local_port: u16,
    remote_port: u16,
    announce_mss: u16,
    default_mss: u16,
    /// The window of the SYN, not scaled.
    peer_window: u16,
    peer_mss: Option<u16>,
    pub(crate) peer_shift: Option<u8>,
    pub(crate) sack: bool,
    /// The SYN asks for ECN, and we agree.
    pub(crate) ecn: bool,
    /// Zero for a record that a SYN cookie has brought back.
    transmissions: u8,
    timeouts: u8,
    /// The SYN-ACK gives the client a Fast Open cookie.
    pub(crate) grants_cookie: bool,
    /// The SYN-ACK is to be sent.
    pub(crate) owed: bool,
    /// An acknowledgment is to be sent.
    doubts: bool,
}

/// What a segment means to a half-open connection.
#[derive(Debug)]
pub enum HalfOpenAnswer {
    /// The record stays; it may owe its SYN-ACK once more.
    Stays,
    /// The segment is dropped; an acknowledgment may be owed.
    Dropped(DropReason),
    /// The acknowledgment is not of our SYN: this RST is to be sent, the record stays.
    Reset(SegmentOut),
    /// An acceptable RST came: the record goes without a word.
    Gone,
    /// The handshake is complete: make a connection of the record and give it this segment.
    Establish,
}

/// Whether a half-open connection goes on waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfOpenFate {
    /// It waits; perhaps it owes its SYN-ACK once more.
    Lives,
    /// The peer has not answered for too long.
    Dies,
}

impl HalfOpen {
    /// The record of an acceptable `syn`. Its SYN-ACK comes out of `poll_transmit`. Data of the SYN is not
    /// kept: it comes again. ECE and CWR, whether we take up what they offer or not, are no reason to refuse.
    // RFC 7413 7413-0; RFC 3360 §2 3360-1
    #[must_use]
    pub fn new(now: Instant, config: &Config, options: &SocketOptions, setup: &Setup, syn: &Segment) -> Self {
        let offered = &syn.header.options;
        Self {
            iss: setup.iss,
            irs: syn.header.seq,
            timestamp_offset: setup.timestamp_offset,
            timestamp_recent: offered.timestamps.filter(|_| config.timestamps).map(|option| option.value),
            sent_at: now,
            deadline: Instant::NEVER,
            receive_buffer_bytes: options.receive_buffer_bytes.unwrap_or(config.receive_buffer_bytes),
            wind_shift: window_scale::shift_for(largest_receive_buffer(config, options)),
            local_port: setup.local_port,
            remote_port: setup.remote_port,
            announce_mss: setup.announce_mss,
            default_mss: setup.default_mss,
            peer_window: syn.header.window,
            peer_mss: offered.mss,
            peer_shift: offered.window_scale.filter(|_| config.window_scaling),
            sack: config.sack && offered.sack_permitted,
            ecn: ecn::accepts(config.ecn, syn.header.flags),
            transmissions: 0,
            timeouts: 0,
            grants_cookie: false,
            owed: true,
            doubts: false,
        }
    }

    /// Lets each SYN-ACK give the client a Fast Open cookie, which the host adds: a record does not keep what
    /// can be computed.
    // RFC 7413 §4.1.2 7413-4b
    pub fn grant_fast_open_cookie(&mut self) {
        self.grants_cookie = true;
    }

    /// Whether the SYN-ACK is to have a Fast Open cookie.
    #[must_use]
    pub fn grants_fast_open_cookie(&self) -> bool {
        self.grants_cookie
    }

    /// The SYN-ACK, when it is to be sent for the first time or again; else an acknowledgment that is owed.
    pub fn poll_transmit(&mut self, now: Instant, config: &Config) -> Option<SegmentOut> {
        let doubts = core::mem::take(&mut self.doubts);
        if !self.owed {
            return doubts.then(|| self.acknowledgment(now));
        }
        self.owed = false;
        self.sent_at = now;
        let transmission = match self.transmissions {
            0 => Transmission::First,
            _ => Transmission::TimeoutRetransmission,
        };
        if self.deadline == Instant::NEVER {
            // RFC 6298 §5.5: 1, 2, 4 … seconds. A SYN that comes again is answered without changing that.
            let interval = config.rto_initial.saturating_mul(1 << u32::from(self.timeouts).min(16));
            self.deadline = now + interval.min(config.rto_max);
        }
        self.transmissions = self.transmissions.saturating_add(1);
        let window = self.receive_buffer_bytes.min(u32::from(u16::MAX));
        let header = TcpHeader {
            source_port: self.local_port,
            destination_port: self.remote_port,
            seq: self.iss,
            ack: self.irs + 1,
            // RFC 3168 §6.1.1 3168-6a
            flags: TcpFlags::SYN | TcpFlags::ACK | if self.ecn { TcpFlags::ECE } else { TcpFlags(0) },
            // RFC 7323 §2.2 7323-2c
            window: u16::try_from(window).expect("it was just limited to 16 bits"),
            urgent: 0,
            options: self.options(now),
        };
        Some(SegmentOut { header, payload: Payload::EMPTY, segment_size: 0, ecn: Ecn::NotEct, transmission })
    }

    /// Tells the peer where we stand.
    fn acknowledgment(&self, now: Instant) -> SegmentOut {
        let shift = self.peer_shift.map_or(0, |_| self.wind_shift);
        let window = self.receive_buffer_bytes.min(u32::from(u16::MAX)) >> shift;
        let timestamps = self.options(now).timestamps;
        let header = TcpHeader {
            source_port: self.local_port,
            destination_port: self.remote_port,
            seq: self.iss + 1,
            ack: self.irs + 1,
            flags: TcpFlags::ACK,
            window: u16::try_from(window).expect("it was just limited to 16 bits"),
            urgent: 0,
            options: TcpOptions { timestamps, ..TcpOptions::default() },
        };
        let (ecn, transmission) = (Ecn::NotEct, Transmission::Ack);
        SegmentOut { header, payload: Payload::EMPTY, segment_size: 0, ecn, transmission }
    }

    /// What we offer back: only what the SYN offered (RFC 7323 §2.2 7323-2a).
    fn options(&self, now: Instant) -> TcpOptions {
        TcpOptions {
            // RFC 9293 §3.7.1 SHLD-5, MUST-67
            mss: Some(self.announce_mss),
            window_scale: self.peer_shift.map(|_| self.wind_shift),
            sack_permitted: self.sack,
            timestamps: self
                .timestamp_recent
                .map(|echo| Timestamps { value: timestamps::clock(now, self.timestamp_offset), echo }),
            ..TcpOptions::default()
        }
    }

    /// How often it has run out of time at most, while it lives.
    pub const MAX_TIMEOUTS: u8 = SYN_ACK_RETRANSMISSIONS;

    /// How often it has run out of time. Those for which that is the same wait equally long.
    #[must_use]
    pub fn timeouts(&self) -> u8 {
        self.timeouts
    }

    /// When `handle_timeout` is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        self.deadline
    }

    /// The time for an answer is over.
    pub fn handle_timeout(&mut self, now: Instant) -> HalfOpenFate {
        if now < self.deadline {
            return HalfOpenFate::Lives;
        }
        self.deadline = Instant::NEVER;
        if self.timeouts >= SYN_ACK_RETRANSMISSIONS {
            return HalfOpenFate::Dies;
        }
        self.timeouts += 1;
        self.owed = true;
        HalfOpenFate::Lives
    }

    /// Handles a segment of the same ports and addresses.
    ///
    /// What it doubts it answers each time: a record lives for a minute at most, and has no room for more.
    // RFC 9293 §3.10.7.4 in SYN-RECEIVED
    pub fn handle_segment(&mut self, segment: &Segment) -> HalfOpenAnswer {
        let (flags, seq) = (segment.header.flags, segment.header.seq);
        let (nxt, wnd) = (self.irs + 1, self.receive_buffer_bytes.min(u32::from(u16::MAX)));
        if flags.rst() {
            // RFC 9293 §3.5 MUST-11, RFC 5961 §3.2: back to LISTEN without a word, when it is exact
            if seq == nxt {
                return HalfOpenAnswer::Gone;
            }
            if !seq.is_within(nxt, wnd) {
                return HalfOpenAnswer::Dropped(DropReason::ResetOutsideWindow);
            }
            return self.doubt(DropReason::InexactReset);
        }
        if flags.syn() && !flags.ack() {
            // Our SYN-ACK was lost, or is late. Or the peer has begun anew with another number: our SYN-ACK
            // then makes it send the RST that clears the way for its next SYN (RFC 9293 §3.5.1, figure 9).
            self.owed = true;
            return HalfOpenAnswer::Stays;
        }
        if flags.syn() {
            // RFC 9293 §3.10.7.4 would give the record up, for anyone who guesses a number of the window. As
            // in later states it is doubted (RFC 5961 §4.2).
            return self.doubt(DropReason::UnexpectedSyn);
        }
        let (edge, end) = (nxt + wnd, segment.end());
        // At the right edge as in later states.
        let acceptable = if segment.is_empty() {
            seq.at_or_after(nxt) && seq.at_or_before(edge)
        } else {
            seq.before(edge) && end.after(nxt)
        };
        if !acceptable {
            return self.doubt(DropReason::OutsideWindow);
        }
        if let (Some(recent), Some(option)) = (self.timestamp_recent, segment.header.options.timestamps)
            && timestamps::is_older(option.value, recent)
        {
            // RFC 7323 §5.3 7323-5a
            return self.doubt(DropReason::OldTimestamp);
        }
        if !flags.ack() {
            return HalfOpenAnswer::Dropped(DropReason::MissingAck);
        }
        if segment.header.ack != self.iss + 1 {
            // RFC 9293 §3.5.2
            return match Reset::in_answer_to(segment) {
                Some(reset) => HalfOpenAnswer::Reset(reset.segment(self.local_port, self.remote_port)),
                None => HalfOpenAnswer::Dropped(DropReason::UnacceptableAck),
            };
        }
        HalfOpenAnswer::Establish
    }

    /// Drops a segment and owes the peer an acknowledgment.
    fn doubt(&mut self, reason: DropReason) -> HalfOpenAnswer {
        self.doubts = true;
        HalfOpenAnswer::Dropped(reason)
    }

    /// What the connection begins with that the record becomes.
    #[must_use]
    pub fn setup(&self) -> Setup {
        Setup {
            local_port: self.local_port,
            remote_port: self.remote_port,
            iss: self.iss,
            timestamp_offset: self.timestamp_offset,
            announce_mss: self.announce_mss,
            default_mss: self.default_mss,
            tracing: Tracing::Off,
        }
    }

    /// Brings a connection that begins with our `setup` to SYN-RECEIVED. Give it the segment that completed
    /// the handshake.
    pub fn establish(&self, connection: &mut Connection, tracing: Tracing) {
        connection.arrange_pacing(connection.pacing());
        connection.opening = Opening::Passive;
        connection.enter(Cause::PassiveOpen);
        connection.enter(Cause::SynReceived);
        debug_assert!(connection.state() == TcpState::SynReceived);
        let offered = TcpOptions {
            mss: self.peer_mss,
            window_scale: self.peer_shift,
            sack_permitted: self.sack,
            timestamps: self.timestamp_recent.map(|value| Timestamps { value, echo: 0 }),
            ..TcpOptions::default()
        };
        connection.take_peer_syn(self.sent_at, self.irs, self.peer_window, &offered);
        if self.ecn {
            connection.ecn.agree();
        }
        connection.note_syn_ack(self.sent_at, self.transmissions);
        connection.set_trace(tracing);
    }
}

impl Connection {
    /// Our SYN-ACK was sent by the record that this connection comes from.
    fn note_syn_ack(&mut self, sent_at: Instant, transmissions: u8) {
        self.sent.push(self.snd.iss, 1, sent_at, 1);
        self.snd.nxt = self.snd.iss + 1;
        self.counters.segments_sent = u32::from(transmissions.max(1));
        self.recovery.syn_retransmissions = transmissions.saturating_sub(1);
        if transmissions != 1 {
            // RFC 6298 §3 6298-3a: no sample from what was sent twice, nor from a SYN cookie, of which nobody
            // noted when it was sent
            self.sent.retransmitted(self.snd.iss, 1, sent_at, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<HalfOpen>() <= 80, "{}", size_of::<HalfOpen>());
    }
}
