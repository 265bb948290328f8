//! Building segments. Acknowledgment, window, SACK and timestamp fields are filled in here and nowhere else,
//! and what was last sent of them is noted in the same place.

use crate::connection::Connection;
use crate::counters::Held;
use crate::recovery::rack::Sending;
use crate::recovery::scoreboard::Range;
use crate::segment::{SegmentOut, Transmission};
use crate::state::TcpState;
use crate::timers::Timer;
use crate::trace::TraceEvent;
use crate::transmit::{Plan, WaitReason};
use crate::variables::Fin;
use ciao_wire::{
    Ecn, Instant, Payload, SackBlock, SackBlocks, SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps,
};

/// Bytes of the timestamps option with its padding.
const TIMESTAMPS_LEN: u16 = 12;
/// Bytes of a SACK option with its padding, without blocks; and of each block.
const SACK_LEN: u16 = 4;
const SACK_BLOCK_LEN: u16 = 8;
/// SACK blocks that fit beside timestamps, and without (RFC 2018 §3).
const SACK_BLOCKS_WITH_TIMESTAMPS: usize = 3;

impl Connection {
    /// Builds the segment that was decided on, and notes that it is sent.
    #[inline]
    pub(crate) fn carry_out(&mut self, now: Instant, plan: Plan) -> SegmentOut {
        let is_probe = self.owed.loss_probe;
        if is_probe {
            self.note_probe(plan);
        }
        match plan {
            Plan::NewData { len, fin } => self.build_new_data(now, len, fin, Transmission::First),
            Plan::Ack(transmission) => self.build_ack(now, transmission),
            Plan::Retransmit { start, len } => {
                let transmission =
                    if is_probe { Transmission::LossProbe } else { self.recovery.transmission() };
                self.build_retransmission(now, Range { start, end: start + len }, transmission)
            }
            Plan::PathProbe { len } => self.build_path_probe(now, len),
            Plan::Probe(transmission) => self.build_probe(now, transmission),
            Plan::Syn => self.build_syn(now),
            Plan::Reset(reset) => {
                self.owed.reset = None;
                let segment = reset.segment(self.local_port, self.remote_port);
                self.note_sent(now, &segment);
                segment
            }
        }
    }

    #[inline]
    fn note_sent(&mut self, now: Instant, segment: &SegmentOut) {
        let count = u32::try_from(segment.count()).unwrap_or(u32::MAX);
        self.counters.sent(now, count, !segment.payload.is_empty());
        let (seq, len, transmission) = (segment.header.seq, segment.len(), segment.transmission);
        self.trace.record(|| TraceEvent::Transmitted { seq, len, transmission });
    }

    /// SMSS: the most payload of a segment with no other options than every one has. A congestion window of
    /// one segment must hold one when those are gone that come and go.
    // RFC 5681 §2: options are not counted
    pub(crate) fn smss(&self) -> u16 {
        self.snd.mss - if self.timestamps.agreed { TIMESTAMPS_LEN } else { 0 }
    }

    /// SMSS, to be calculated with.
    pub(crate) fn full_segment_bytes(&self) -> u32 {
        self.smss().into()
    }

    /// The most payload of one segment sent now.
    // RFC 9293 §3.7.1 MUST-16, RFC 6691 §2 6691-1: the options that we add are taken off
    pub(crate) fn effective_mss(&self) -> u16 {
        let timestamps = if self.timestamps.agreed { TIMESTAMPS_LEN } else { 0 };
        let sack = if self.has_sack_blocks() { self.sack_len() } else { 0 };
        self.snd.mss - timestamps - sack
    }

    /// Asked several times for each segment, and nearly always false.
    fn has_sack_blocks(&self) -> bool {
        self.sack && (self.owed.duplicate.is_some() || self.reassembly.is_some())
    }

    #[cold]
    #[expect(clippy::cast_possible_truncation, reason = "at most four blocks")]
    fn sack_len(&self) -> u16 {
        match self.sack_blocks_now().as_slice().len() as u16 {
            0 => 0,
            blocks => SACK_LEN + SACK_BLOCK_LEN * blocks,
        }
    }

    /// The blocks of an acknowledgment sent now: a range that came twice, then what lies behind gaps.
    // RFC 2883 §4 2883-1; RFC 2018 §4 2018-3
    fn sack_blocks_now(&self) -> SackBlocks {
        let mut blocks = SackBlocks::EMPTY;
        if !self.has_sack_blocks() {
            return blocks;
        }
        let limit = self.sack_block_limit();
        if let Some(duplicate) = self.owed.duplicate {
            blocks.push(duplicate);
        }
        let room = limit - blocks.as_slice().len();
        if let Some(reassembly) = &self.reassembly {
            for &SackBlock { start, end } in reassembly.sack_blocks(room).as_slice() {
                // A FIN that came with the data has arrived as well.
                let fin = u32::from(self.rcv.fin == Some(end));
                blocks.push(SackBlock { start, end: end + fin });
            }
        }
        blocks
    }

    fn sack_block_limit(&self) -> usize {
        if self.timestamps.agreed { SACK_BLOCKS_WITH_TIMESTAMPS } else { SackBlocks::CAPACITY }
    }

    /// A segment with an acknowledgment, our window, and the options that every segment carries.
    // RFC 9293 §3.7.1 MUST-65: the MSS option is on SYN segments alone. RFC 9293 §3.8.5 SHLD-13: nothing is
    // urgent unless the application has said so
    fn build(&mut self, now: Instant, seq: SeqNum, transmission: Transmission, body: Body) -> SegmentOut {
        let Body { flags, payload, segment_size } = body;
        let urgent = if self.seldom.is_some() { self.urgent_pointer(seq) } else { None };
        let mark = flag_if(urgent.is_some(), TcpFlags::URG);
        let options = TcpOptions {
            timestamps: self.timestamps_now(now),
            sack: self.sack_blocks_now(),
            ..TcpOptions::default()
        };
        let header = TcpHeader {
            source_port: self.local_port,
            destination_port: self.remote_port,
            seq,
            ack: self.rcv.nxt,
            flags: flags | mark | TcpFlags::ACK | self.ecn.flags(),
            window: self.offer_window(),
            urgent: urgent.unwrap_or(0),
            options,
        };
        self.acknowledgment_sent();
        let segment = SegmentOut { header, payload, segment_size, ecn: Ecn::NotEct, transmission };
        self.note_sent(now, &segment);
        segment
    }

    /// SYN in SYN-SENT, SYN-ACK in SYN-RECEIVED, for the first time or again.
    // RFC 9293 §3.7.1 MUST-14, SHLD-5, MAY-3, MUST-67; RFC 7323 §2.2 7323-2c: its window is not scaled
    fn build_syn(&mut self, now: Instant) -> SegmentOut {
        let answers = self.state == TcpState::SynReceived;
        let transmission = if self.outstanding() == 0 {
            self.sent.push(self.snd.iss, 1, now, 1);
            self.snd.nxt = self.snd.iss + 1;
            Transmission::First
        } else {
            if self.outstanding() > 1 {
                // The data that the first SYN carried comes later.
                self.send_all_again();
            }
            self.sent.retransmitted(self.snd.iss, 1, now, 1);
            self.settle_recovery();
            self.counters.retransmitted(1, 0);
            self.recovery.syn_retransmissions = self.recovery.syn_retransmissions.saturating_add(1);
            Transmission::TimeoutRetransmission
        };
        self.owed.syn = false;
        if !self.timers.is_set(Timer::Retransmit) {
            self.restart_retransmit_timer(now);
        }
        if !self.timers.is_set(Timer::UserTimeout) {
            self.restart_user_timeout(now);
        }
        let window = self.options.receive_buffer_bytes.min(u32::from(u16::MAX));
        let offers_timestamps = if answers { self.timestamps.agreed } else { self.config.timestamps };
        let flags = if answers { TcpFlags::SYN | TcpFlags::ACK } else { TcpFlags::SYN };
        let offers_scale = if answers { self.scaling } else { self.config.window_scaling };
        let header = TcpHeader {
            source_port: self.local_port,
            destination_port: self.remote_port,
            seq: self.snd.iss,
            ack: if answers { self.rcv.nxt } else { SeqNum(0) },
            flags: flags | self.ecn_flags_of_syn(),
            window: u16::try_from(window).expect("it was just limited to 16 bits"),
            urgent: 0,
            options: TcpOptions {
                mss: Some(self.announce_mss),
                window_scale: offers_scale.then_some(self.rcv.wind_shift),
                sack_permitted: if answers { self.sack } else { self.config.sack },
                timestamps: offers_timestamps.then(|| Timestamps {
                    value: crate::timestamps::clock(now, self.timestamps.offset),
                    echo: if answers { self.timestamps.recent } else { 0 },
                }),
                ..TcpOptions::default()
            },
        };
        let mut syn =
            SegmentOut { header, payload: Payload::EMPTY, segment_size: 0, ecn: Ecn::NotEct, transmission };
        if self.seldom.is_some() {
            self.add_user_timeout(&mut syn.header.options);
            self.add_fast_open(now, &mut syn);
        }
        self.note_sent(now, &syn);
        syn
    }

    fn build_new_data(
        &mut self,
        now: Instant,
        len: u32,
        fin: bool,
        transmission: Transmission,
    ) -> SegmentOut {
        let unsent = self.unsent();
        let offset = self.snd.nxt.since(self.send_buffer_start());
        let seq = self.snd.nxt;
        self.note_new_data(now, len, if fin { Fin::Sent } else { self.fin }, unsent);
        let flags = flag_if(len == unsent, TcpFlags::PSH) | flag_if(fin, TcpFlags::FIN);
        // RFC 3168 §6.1.4, §6.1.5 3168-6d: capable is new data alone
        let is_capable = len > 0 && self.ecn.is_agreed();
        let flags = if is_capable { flags | self.ecn.take_cwr() } else { flags };
        let mut body = self.body(offset, len, flags);
        if transmission == Transmission::PathProbe {
            body.segment_size = 0;
        }
        let mut segment = self.build(now, seq, transmission, body);
        if is_capable {
            segment.ecn = Ecn::Ect0;
        }
        segment
    }

    /// Notes that `len` of `unsent` bytes, and our FIN when that is what becomes of it, leave for the first
    /// time.
    // RFC 6298 §5 6298-5d: what is outstanding has a timer from the start
    pub(crate) fn note_new_data(&mut self, now: Instant, len: u32, fin: Fin, unsent: u32) {
        let starts_idle = self.outstanding() == 0;
        let seq = self.snd.nxt;
        let numbers = len + u32::from(fin == Fin::Sent);
        let end = seq + numbers;
        self.sent.push(seq, numbers, now, self.effective_mss());
        self.fin = fin;
        self.owed.held_data = false;
        self.counters.bytes_sent += u64::from(len);
        self.snd.nxt = end;
        self.recovery.data_sent_at = now;
        self.note_sent_in_recovery(now, Range { start: seq, end }, Sending::First);
        self.note_interaction(now);
        self.pace(now, len);
        if starts_idle {
            self.restart_retransmit_timer(now);
            self.restart_user_timeout(now);
        }
        if self.owed.writable && self.seldom.is_some() {
            // What is sent no longer counts as unsent.
            self.consider_writable();
        }
        if len == unsent {
            let held = if self.owed.writable { Held::BySendBuffer } else { Held::ByNetwork };
            self.counters.held(now, held);
            // Whoever asks `may_transmit` first may not ask `decide` again.
            let outstanding = self.outstanding();
            self.note_limit(WaitReason::Acknowledgment { outstanding });
        } else {
            self.counters.held(now, Held::ByNetwork);
        }
    }

    // RFC 4821 §7 4821-1: data that must go out anyway
    fn build_path_probe(&mut self, now: Instant, len: u32) -> SegmentOut {
        let start = self.snd.nxt;
        let segment = self.build_new_data(now, len, false, Transmission::PathProbe);
        self.note_path_probe(start, start + len);
        segment
    }

    // RFC 9293 §3.8.1, RFC 6864 §4: a retransmission is a new segment with the old numbers and today's
    // acknowledgment
    fn build_retransmission(&mut self, now: Instant, range: Range, transmission: Transmission) -> SegmentOut {
        let Range { start, end } = range;
        let len = end.since(start);
        self.sent.retransmitted(start, len, now, self.effective_mss());
        self.note_sent_in_recovery(now, range, Sending::Again);
        let fin = self.fin == Fin::Sent && end == self.snd.nxt;
        let data = len - u32::from(fin);
        self.counters.retransmitted(len.div_ceil(self.full_segment_bytes()), data);
        let offset = start.since(self.send_buffer_start());
        self.recovery.data_sent_at = now;
        self.pace(now, data);
        if !self.timers.is_set(Timer::Reorder) {
            self.restart_retransmit_timer(now);
        }
        // The last bytes sent had PSH; what is held behind them does not take it away.
        let reaches_the_end = start + data == self.send_buffer_end().earliest(self.snd.nxt);
        let body =
            self.body(offset, data, flag_if(reaches_the_end, TcpFlags::PSH) | flag_if(fin, TcpFlags::FIN));
        self.build(now, start, transmission, body)
    }

    /// The data of a range, `len` bytes from `offset` on. PSH on the last bytes that there are, and as Linux
    /// does on the last segment of each burst of several.
    // RFC 9293 §3.9.1.2 MUST-60, MUST-61
    #[inline]
    fn body(&mut self, offset: u32, len: u32, flags: TcpFlags) -> Body {
        if len == 0 {
            return Body { flags: TcpFlags(flags.0 & !TcpFlags::PSH.0), ..Body::EMPTY };
        }
        let mss = self.effective_mss();
        let payload = self.send_buffer.slice(offset, len);
        if len <= u32::from(mss) {
            return Body { flags, payload, segment_size: 0 };
        }
        Body { flags: flags | TcpFlags::PSH, payload, segment_size: mss }
    }

    // RFC 9293 §3.8.4 SHLD-12: without data, one number before what is next
    fn build_probe(&mut self, now: Instant, transmission: Transmission) -> SegmentOut {
        self.owed.window_probe = false;
        self.owed.keep_alive = false;
        self.build(now, self.snd.una - 1, transmission, Body::EMPTY)
    }

    fn build_ack(&mut self, now: Instant, transmission: Transmission) -> SegmentOut {
        let duplicates = self.owed.duplicate_acks;
        let mut segment = self.build(now, self.snd.nxt, transmission, Body::EMPTY);
        self.owed.duplicate_acks = duplicates.saturating_sub(1);
        if self.seldom.is_some() {
            self.tell_user_timeout(&mut segment.header.options);
        }
        segment
    }
}

/// `flag` where `condition` holds.
#[inline]
fn flag_if(condition: bool, flag: TcpFlags) -> TcpFlags {
    if condition { flag } else { TcpFlags::default() }
}

/// What a segment carries besides what every one does.
struct Body {
    /// PSH and FIN.
    flags: TcpFlags,
    payload: Payload,
    /// Payload bytes of each segment when it stands for several, else zero.
    segment_size: u16,
}

impl Body {
    const EMPTY: Self = Self { flags: TcpFlags(0), payload: Payload::EMPTY, segment_size: 0 };
}
