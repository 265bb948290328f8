//! What is the answer to an arriving segment? RFC 9293 §3.10.7 in its own order, with RFC 5961 §3–5 and RFC
//! 1337, as one function of numbers.
//!
//! It shares nothing with `segment_arrives` but the names of the states: `mod.rs` compares the two, row by
//! row. No option has a part in it, and neither has time. Where Ciao means to differ from the letter, the
//! comment begins with "Exception".

use ciao_tcp::{ConnectionError, TcpState};
use ciao_wire::{SeqNum, TcpFlags};
use std::ops::ControlFlow;

/// How the connection was opened (RFC 9293 §3.5 MUST-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Active,
    Passive,
}

/// Whether the application can still read: it has called CLOSE for both directions, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Present,
    Gone,
}

/// The transmission control block before the segment arrives (RFC 9293 §3.3.1).
///
/// All that the application could read it has read; all that it has written was sent, its FIN too where it
/// has closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    pub(super) state: TcpState,
    pub(super) opening: Opening,
    pub(super) reader: Reader,
    pub(super) snd_una: SeqNum,
    pub(super) snd_nxt: SeqNum,
    pub(super) max_snd_wnd: u32,
    pub(super) rcv_nxt: SeqNum,
    pub(super) rcv_wnd: u32,
}

/// The segment that arrives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arriving {
    pub(super) flags: TcpFlags,
    pub(super) seq: SeqNum,
    pub(super) ack: SeqNum,
    /// SEG.UP
    pub(super) up: u16,
    /// Bytes of data.
    pub(super) text: u32,
}

impl Arriving {
    /// SEG.LEN
    fn len(&self) -> u32 {
        self.text + u32::from(self.flags.syn()) + u32::from(self.flags.fin())
    }

    /// The number of the first byte of data, and of the FIN where there are none.
    pub(super) fn first(&self) -> SeqNum {
        self.seq + u32::from(self.flags.syn())
    }
}

/// What is sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sent {
    Nothing,
    Ack {
        seq: u32,
        ack: u32,
    },
    /// An acknowledgment that RFC 5961 §7 lets be throttled.
    ChallengeAck {
        seq: u32,
        ack: u32,
    },
    /// With our ISS.
    SynAck {
        ack: u32,
    },
    Reset {
        seq: u32,
        ack: Option<u32>,
    },
    /// What no row calls for: more than one segment, data, or anything else.
    Unexpected,
}

/// All that follows from the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) sent: Sent,
    pub(super) state: TcpState,
    /// How the connection ended, when the application is told so.
    pub(super) error: Option<ConnectionError>,
    /// Bytes that the application can read now.
    pub(super) delivered: u32,
    /// Bytes, and a FIN, that wait for those before them.
    pub(super) held: u32,
    /// The bytes up to the end of urgent data, when the application is told of it.
    pub(super) urgent: Option<u32>,
    /// The wait of 2 MSL has begun anew.
    pub(super) restarted: bool,
}

/// RFC 9293 §3.10.7: SEGMENT ARRIVES.
pub(super) fn answer(situation: &Situation, segment: &Arriving) -> Answer {
    let mut block = Block::new(situation);
    // Whether the steps ended early does not matter once they are done.
    let _ = match situation.state {
        TcpState::Closed => block.closed(segment),
        TcpState::Listen => block.listen(segment),
        TcpState::SynSent => block.syn_sent(segment),
        _ => block.otherwise(segment),
    };
    block.answer
}

/// Goes on with the next check, or has decided.
type Step = ControlFlow<()>;

const NEXT: Step = ControlFlow::Continue(());
const DONE: Step = ControlFlow::Break(());

/// The variables while the segment is processed, and the answer so far.
struct Block {
    now: Situation,
    /// Everything before it has been read; RCV.NXT before the segment.
    read_up_to: SeqNum,
    answer: Answer,
}

impl Block {
    fn new(situation: &Situation) -> Self {
        let answer = Answer {
            sent: Sent::Nothing,
            state: situation.state,
            error: None,
            delivered: 0,
            held: 0,
            urgent: None,
            restarted: false,
        };
        Self { now: *situation, read_up_to: situation.rcv_nxt, answer }
    }

    fn enter(&mut self, state: TcpState) {
        self.now.state = state;
        self.answer.state = state;
    }

    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`
    // RFC 9293 §3.10.7.4 MUST-58, MUST-59: a later one takes the place of an earlier one
    fn send_ack(&mut self) {
        self.answer.sent = Sent::Ack { seq: self.now.snd_nxt.0, ack: self.now.rcv_nxt.0 };
    }

    /// Exception: the compact records of SYN-RECEIVED and TIME-WAIT have no room to count their doubts, and
    /// answer each.
    fn send_challenge_ack(&mut self) {
        if self.now.state == TcpState::TimeWait || self.is_half_open() {
            return self.send_ack();
        }
        self.answer.sent = Sent::ChallengeAck { seq: self.now.snd_nxt.0, ack: self.now.rcv_nxt.0 };
    }

    fn send_reset(&mut self, seq: SeqNum, ack: Option<SeqNum>) {
        self.answer.sent = Sent::Reset { seq: seq.0, ack: ack.map(|ack| ack.0) };
    }

    /// SYN-RECEIVED from LISTEN.
    fn is_half_open(&self) -> bool {
        self.now.state == TcpState::SynReceived && self.now.opening == Opening::Passive
    }

    /// SYN-RECEIVED from SYN-SENT.
    fn is_crossed(&self) -> bool {
        self.now.state == TcpState::SynReceived && self.now.opening == Opening::Active
    }

    /// Behind the last number of the receive window.
    fn window_end(&self) -> SeqNum {
        self.now.rcv_nxt + self.now.rcv_wnd
    }

    // ---- §3.10.7.1 CLOSED STATE

    fn closed(&mut self, segment: &Arriving) -> Step {
        if segment.flags.rst() {
            return DONE;
        }
        if segment.flags.ack() {
            self.send_reset(segment.ack, None);
        } else {
            self.send_reset(SeqNum(0), Some(segment.seq + segment.len()));
        }
        DONE
    }

    // ---- §3.10.7.2 LISTEN STATE

    fn listen(&mut self, segment: &Arriving) -> Step {
        // First, check for a RST: it cannot be about anything that we sent.
        if segment.flags.rst() {
            return DONE;
        }
        // Second, check for an ACK: nothing was sent that it could be of.
        if segment.flags.ack() {
            self.send_reset(segment.ack, None);
            return DONE;
        }
        // Third, check for a SYN. Exception: what else it carries is not queued, it comes again.
        if segment.flags.syn() {
            self.take_syn(segment);
        }
        // Fourth, other data or control: dropped.
        DONE
    }

    /// A SYN that begins a connection, or crosses ours.
    fn take_syn(&mut self, segment: &Arriving) {
        self.now.rcv_nxt = segment.seq + 1;
        self.answer.sent = Sent::SynAck { ack: self.now.rcv_nxt.0 };
        self.enter(TcpState::SynReceived);
    }

    // ---- §3.10.7.3 SYN-SENT STATE

    fn syn_sent(&mut self, segment: &Arriving) -> Step {
        let flags = segment.flags;
        // First, check the ACK bit.
        let acceptable = segment.ack.after(self.now.snd_una) && segment.ack.at_or_before(self.now.snd_nxt);
        if flags.ack() && !acceptable {
            if !flags.rst() {
                self.send_reset(segment.ack, None);
            }
            return DONE;
        }
        // Second, check the RST bit. RFC 5961 §3.2: it counts only with an acceptable ACK.
        if flags.rst() {
            if flags.ack() {
                self.answer.error = Some(ConnectionError::Refused);
                self.enter(TcpState::Closed);
            }
            return DONE;
        }
        // Third, security: none. Fourth, check the SYN bit.
        if flags.syn() {
            if !flags.ack() {
                // Exception: what else it carries is not queued, it comes again.
                self.take_syn(segment);
                return DONE;
            }
            self.now.rcv_nxt = segment.seq + 1;
            self.read_up_to = self.now.rcv_nxt;
            self.now.snd_una = segment.ack;
            self.enter(TcpState::Established);
            self.send_ack();
            self.sixth_check_urg(segment);
            self.seventh_process_text(segment)?;
            self.eighth_check_fin(segment);
        }
        // Fifth, neither SYN nor RST: dropped.
        DONE
    }

    // ---- §3.10.7.4 OTHER STATES

    fn otherwise(&mut self, segment: &Arriving) -> Step {
        self.new_connection_in_time_wait(segment)?;
        self.first_check_sequence_number(segment)?;
        self.second_check_rst(segment)?;
        // Third, security: none.
        self.fourth_check_syn(segment)?;
        self.fifth_check_ack(segment)?;
        self.sixth_check_urg(segment);
        self.seventh_process_text(segment)?;
        self.eighth_check_fin(segment);
        DONE
    }

    /// §3.6.1 MAY-2 and RFC 6191 §2, which stand before all checks: a SYN with a number larger than any of
    /// the old connection begins a new one, as if it had met a listener.
    fn new_connection_in_time_wait(&mut self, segment: &Arriving) -> Step {
        let syn_alone = segment.flags.syn() && !segment.flags.ack() && !segment.flags.rst();
        let last_number = self.now.rcv_nxt - 1;
        if self.now.state != TcpState::TimeWait || !syn_alone || !segment.seq.after(last_number) {
            return NEXT;
        }
        self.take_syn(segment);
        DONE
    }

    fn first_check_sequence_number(&mut self, segment: &Arriving) -> Step {
        if segment.flags.rst() || segment.flags.syn() {
            // RFC 5961 §3.2, §4.2: the second and the fourth check have their own rules for the number.
            return NEXT;
        }
        let (nxt, wnd) = (self.now.rcv_nxt, self.now.rcv_wnd);
        let last = segment.seq + segment.len() - 1;
        let acceptable = match (segment.len(), wnd) {
            (0, 0) => segment.seq == nxt,
            // Exception: at the right edge too, as in Linux. A peer that has filled the window acknowledges
            // from there.
            (0, _) => segment.seq.is_within(nxt, wnd + 1),
            // §3.4 MUST-66: no byte has room, but what else the segment says counts.
            (_, 0) if nxt.is_within(segment.seq, segment.len()) => {
                self.send_ack();
                true
            }
            (_, 0) => false,
            (_, _) => segment.seq.is_within(nxt, wnd) || last.is_within(nxt, wnd),
        };
        if acceptable {
            return NEXT;
        }
        if segment.len() == 0 {
            // RFC 5961 §7: two ends that have lost each other would answer for ever.
            self.send_challenge_ack();
        } else {
            self.send_ack();
        }
        // Eighth: our last ACK did not arrive. That the number is an old one is what makes it a repeated FIN.
        self.answer.restarted =
            self.now.state == TcpState::TimeWait && segment.flags.fin() && segment.seq + segment.len() == nxt;
        DONE
    }

    fn second_check_rst(&mut self, segment: &Arriving) -> Step {
        if !segment.flags.rst() {
            return NEXT;
        }
        // Exception: in TIME-WAIT a RST is ignored (RFC 1337 §3, first fix).
        if self.now.state == TcpState::TimeWait {
            return DONE;
        }
        // RFC 5961 §3.2, and RFC 9293 §3.4: a RST counts with a window of zero too.
        if segment.seq != self.now.rcv_nxt {
            if segment.seq.is_within(self.now.rcv_nxt, self.now.rcv_wnd) {
                self.send_challenge_ack();
            }
            return DONE;
        }
        match (self.now.state, self.now.opening) {
            (TcpState::SynReceived, Opening::Passive) => self.enter(TcpState::Listen),
            (TcpState::SynReceived, Opening::Active) => self.end(Some(ConnectionError::Refused)),
            // Exception: the application is told when data of its own is lost (§3.6 MUST-12).
            (TcpState::Closing | TcpState::LastAck, _) if self.data_is_acknowledged() => self.end(None),
            _ => self.end(Some(ConnectionError::Reset)),
        }
        DONE
    }

    /// All but our FIN, the last number that was sent.
    fn data_is_acknowledged(&self) -> bool {
        self.now.snd_una.at_or_after(self.now.snd_nxt - 1)
    }

    fn end(&mut self, error: Option<ConnectionError>) {
        self.answer.error = error;
        self.enter(TcpState::Closed);
    }

    fn fourth_check_syn(&mut self, segment: &Arriving) -> Step {
        if !segment.flags.syn() {
            return NEXT;
        }
        // Exception: the letter gives a half-open connection up for a SYN in its window, which anyone could
        // send blindly. It is doubted as in later states; and as the peer may lack our SYN-ACK, that is
        // what tells it where we stand.
        if self.is_half_open() && !segment.flags.ack() {
            self.answer.sent = Sent::SynAck { ack: self.now.rcv_nxt.0 };
            return DONE;
        }
        if self.is_crossed() && segment.seq + 1 == self.now.rcv_nxt {
            // Exception: the SYNs have crossed, and the peer's comes again. With an acknowledgment it is the
            // answer that §3.5 figure 8 lets complete the handshake; without one the peer lacks ours.
            if segment.flags.ack() {
                return NEXT;
            }
            self.answer.sent = Sent::SynAck { ack: self.now.rcv_nxt.0 };
            return DONE;
        }
        // RFC 5961 §4.2: whatever its number
        self.send_challenge_ack();
        DONE
    }

    fn fifth_check_ack(&mut self, segment: &Arriving) -> Step {
        if !segment.flags.ack() {
            return DONE;
        }
        let new = segment.ack.after(self.now.snd_una) && segment.ack.at_or_before(self.now.snd_nxt);
        if self.now.state == TcpState::SynReceived {
            // Before RFC 5961 §5, whose check is for a connection that exists: §3.5.2 asks for a RST here.
            if !new {
                self.send_reset(segment.ack, None);
                return DONE;
            }
            self.enter(TcpState::Established);
        }
        // Exception: two ends in TIME-WAIT would answer each other for ever.
        if self.now.state == TcpState::TimeWait && segment.len() == 0 && segment.seq == self.now.rcv_nxt {
            return DONE;
        }
        // RFC 5961 §5.2
        let oldest = self.now.snd_una - self.now.max_snd_wnd;
        if segment.ack.before(oldest) || segment.ack.after(self.now.snd_nxt) {
            self.send_challenge_ack();
            return DONE;
        }
        if new {
            self.now.snd_una = segment.ack;
        }
        // Our FIN is the last number that was sent.
        let fin_acknowledged = self.now.snd_una == self.now.snd_nxt;
        match (self.now.state, fin_acknowledged) {
            (TcpState::FinWait1, true) => self.enter(TcpState::FinWait2),
            (TcpState::Closing, true) => self.enter(TcpState::TimeWait),
            (TcpState::Closing, false) => return DONE,
            (TcpState::LastAck, true) => {
                self.end(None);
                return DONE;
            }
            (TcpState::TimeWait, _) => self.send_ack(),
            _ => {}
        }
        NEXT
    }

    fn is_receiving(&self) -> bool {
        matches!(self.now.state, TcpState::Established | TcpState::FinWait1 | TcpState::FinWait2)
    }

    fn sixth_check_urg(&mut self, segment: &Arriving) {
        let up = segment.seq + u32::from(segment.up);
        if segment.flags.urg() && self.is_receiving() && up.after(self.read_up_to) {
            self.answer.urgent = Some(up.since(self.read_up_to));
        }
    }

    fn seventh_process_text(&mut self, segment: &Arriving) -> Step {
        // From CLOSE-WAIT on: behind the peer's FIN there is nothing.
        if !self.is_receiving() {
            return NEXT;
        }
        // What lies outside the window is trimmed off.
        let start = segment.first().latest(self.now.rcv_nxt);
        let end = (segment.first() + segment.text).earliest(self.window_end());
        if !end.after(start) {
            return NEXT;
        }
        if self.now.reader == Reader::Gone {
            // §3.6.1 SHLD-3: data was lost, and the peer is to know.
            self.send_reset(self.now.snd_nxt, Some(self.now.rcv_nxt));
            self.end(Some(ConnectionError::Aborted));
            return DONE;
        }
        if start == self.now.rcv_nxt {
            self.answer.delivered = end.since(start);
            self.now.rcv_wnd -= end.since(start);
            self.now.rcv_nxt = end;
        } else {
            // SHLD-31, MAY-13
            self.answer.held = end.since(start);
        }
        self.send_ack();
        NEXT
    }

    fn eighth_check_fin(&mut self, segment: &Arriving) {
        let fin = segment.first() + segment.text;
        if !segment.flags.fin() || !fin.before(self.window_end()) {
            return;
        }
        if !self.is_receiving() {
            return;
        }
        if fin != self.now.rcv_nxt {
            // Without a reader the bytes before it end the connection.
            self.answer.held += u32::from(self.now.reader == Reader::Present);
            self.send_ack();
            return;
        }
        self.now.rcv_nxt = fin + 1;
        self.send_ack();
        self.enter(match self.now.state {
            TcpState::Established => TcpState::CloseWait,
            TcpState::FinWait1 => TcpState::Closing,
            TcpState::FinWait2 => TcpState::TimeWait,
            state => unreachable!("{state} does not receive"),
        });
    }
}
