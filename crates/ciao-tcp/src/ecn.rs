//! Does the path mark packets instead of dropping them? Explicit congestion notification: the agreement in
//! the handshake, CE answered by ECE, ECE answered by a smaller window and CWR (RFC 3168 §6.1).
//!
//! What the window becomes is decided in `congestion`; who puts the codepoint into the IP header is the host.
//! Not here: RFC 9768 (`AccECN`), which counts marks instead of echoing one in a round trip.

use crate::config::EcnPolicy;
use crate::congestion::Limit;
use crate::connection::Connection;
use crate::recovery::Phase;
use crate::segment::Segment;
use crate::state::TcpState;
use ciao_wire::{Ecn, SeqNum, TcpFlags};

/// What both ends have said, and what is owed to the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EcnVariables {
    agreement: Agreement,
    /// CE came, and no CWR since.
    echo: Echo,
    /// The window was reduced, and the peer has not been told.
    cwr: Cwr,
    reduction: Reduction,
    /// SND.NXT at the last reduction.
    reduced_at: SeqNum,
}

/// Until more than `reduced_at` is acknowledged, echoes tell nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reduction {
    Over,
    Recent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Agreement {
    None,
    /// Our SYN asks.
    Offered,
    Reached,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Echo {
    None,
    Owed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cwr {
    None,
    Owed,
}

/// ECE and CWR together: a SYN that asks.
const SETUP: TcpFlags = TcpFlags(TcpFlags::ECE.0 | TcpFlags::CWR.0);

/// Whether a SYN with these flags asks for ECN and we agree.
// RFC 3168 §6.1.1 3168-6a
pub(crate) fn accepts(policy: EcnPolicy, flags: TcpFlags) -> bool {
    policy != EcnPolicy::Off && flags.syn() && !flags.ack() && flags.contains(SETUP)
}

impl EcnVariables {
    pub(crate) const NONE: Self = Self {
        agreement: Agreement::None,
        echo: Echo::None,
        cwr: Cwr::None,
        reduction: Reduction::Over,
        reduced_at: SeqNum(0),
    };

    pub(crate) fn agree(&mut self) {
        self.agreement = Agreement::Reached;
    }

    /// Both ends will use it.
    #[inline]
    pub(crate) fn is_agreed(&self) -> bool {
        self.agreement == Agreement::Reached
    }

    /// Our SYN asks, and no answer has come.
    pub(crate) fn is_offered(&self) -> bool {
        self.agreement == Agreement::Offered
    }

    /// The next new data says that the window was reduced.
    #[inline]
    pub(crate) fn owes_cwr(&self) -> bool {
        self.cwr == Cwr::Owed
    }

    /// The flags that every segment with an acknowledgment carries.
    // RFC 3168 §6.1.3 3168-6b
    #[inline]
    pub(crate) fn flags(&self) -> TcpFlags {
        match self.echo {
            Echo::Owed => TcpFlags::ECE,
            Echo::None => TcpFlags(0),
        }
    }

    /// Takes the flag of new data that goes out now.
    // RFC 3168 §6.1.2 3168-6c
    pub(crate) fn take_cwr(&mut self) -> TcpFlags {
        match core::mem::replace(&mut self.cwr, Cwr::None) {
            Cwr::Owed => TcpFlags::CWR,
            Cwr::None => TcpFlags(0),
        }
    }
}

impl Connection {
    /// The flags of our SYN, or of our SYN-ACK when both ends opened at once. A SYN that got no answer, or
    /// a RST, is repeated without the question: on some paths it is the question that gets lost or refused.
    // RFC 3168 §6.1.1 3168-6a; RFC 3168 §6.1.1.1 3168-6f
    pub(crate) fn ecn_flags_of_syn(&mut self) -> TcpFlags {
        if self.state == TcpState::SynReceived {
            return if self.ecn.is_agreed() { TcpFlags::ECE } else { TcpFlags(0) };
        }
        if self.config.ecn == EcnPolicy::Request && self.recovery.syn_retransmissions == 0 {
            self.ecn.agreement = Agreement::Offered;
            SETUP
        } else {
            self.ecn.agreement = Agreement::None;
            TcpFlags(0)
        }
    }

    /// The peer's SYN or SYN-ACK came while our SYN was out. One that has both flags reflects ours and agrees
    /// to nothing.
    // RFC 3168 §6.1.1 3168-6a
    pub(crate) fn take_ecn_of_syn(&mut self, flags: TcpFlags) {
        let agreed = if flags.ack() {
            self.ecn.agreement == Agreement::Offered && TcpFlags(flags.0 & SETUP.0) == TcpFlags::ECE
        } else {
            accepts(self.config.ecn, flags)
        };
        self.ecn.agreement = if agreed { Agreement::Reached } else { Agreement::None };
    }

    /// Data inside of the window came: with a mark, or with word that our echo was heard.
    // RFC 3168 §6.1.3 3168-6b; RFC 3168 §6.1.5 3168-6e: what lies outside of the window does not come here
    pub(crate) fn take_congestion_mark(&mut self, segment: &Segment) {
        if segment.header.flags.contains(TcpFlags::CWR) {
            self.ecn.echo = Echo::None;
        }
        if segment.ecn == Ecn::Ce {
            self.ecn.echo = Echo::Owed;
        }
    }

    /// An acceptable acknowledgment came, perhaps with an echo of congestion; before it, `flight_bytes` were
    /// in flight.
    // RFC 3168 §6.1.2 3168-6c: one reduction for each window of data
    // RFC 9293 §3.8.2 SHLD-8
    pub(crate) fn take_congestion_echo(&mut self, segment: &Segment, flight_bytes: u32) {
        if segment.header.ack.after(self.ecn.reduced_at) {
            self.ecn.reduction = Reduction::Over;
        }
        let is_news = self.ecn.reduction == Reduction::Over && self.recovery.phase == Phase::Open;
        if !segment.header.flags.contains(TcpFlags::ECE) {
            return;
        }
        // The window does not grow on an echo, whether it is news or not.
        self.recovery.limit = Limit::Other;
        if is_news {
            self.congestion.on_ecn(flight_bytes);
            self.note_window_reduced();
            self.record_congestion();
        }
    }

    /// The window was reduced, for whatever reason.
    // RFC 3168 §6.1.2 3168-6c
    pub(crate) fn note_window_reduced(&mut self) {
        if self.ecn.is_agreed() {
            self.ecn.reduction = Reduction::Recent;
            self.ecn.reduced_at = self.snd.nxt;
            self.ecn.cwr = Cwr::Owed;
        }
    }
}
