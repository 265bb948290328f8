//! TCP Fast Open: data in the SYN, for a peer that has shown before that its address is its own (RFC 7413).
//!
//! A server gives a client a cookie, a keyed hash of both addresses. A later SYN with the cookie may carry
//! data, which the server's application gets at once and may answer before the handshake is complete.
//! Everything that goes wrong ends in the usual handshake, and the data is sent again.
//!
//! **A SYN may be doubled by the network, and then its data is delivered twice, to two connections** (RFC
//! 7413 §2.1). So both ends say for each use that they want this, and the data must be such that doing it
//! twice does no harm.
//!
//! Who keeps cookies, and how many early connections there may be, is the host's matter.

use crate::connection::{Connection, Opening, Raise};
use crate::counters::Moment;
use crate::isn::{Purpose, Secret, keyed_hash};
use crate::segment::{Segment, SegmentOut, Transmission};
use crate::state::{Cause, TcpState};
use crate::transmit::{Plan, WaitReason};
use ciao_wire::{FastOpenCookie, Instant};
use core::net::{IpAddr, SocketAddr};

/// What a server makes its cookies with. Two keys, so that cookies outlive a change of key.
// RFC 7413 §4.1.2 7413-4b
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieKeys {
    current: Secret,
    previous: Secret,
}

/// What a cookie is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieWorth {
    /// It is ours.
    Good,
    /// It is ours, but of the previous key: the client should get a new one.
    GoodButOld,
    /// It is not ours, or too old.
    Bad,
}

impl CookieKeys {
    /// With one `key`.
    #[must_use]
    pub const fn new(key: Secret) -> Self {
        Self { current: key, previous: key }
    }

    /// Makes cookies with `key` from now on. Those of the key before stay good until the next change.
    pub fn change(&mut self, key: Secret) {
        *self = Self { current: key, previous: self.current };
    }

    /// The cookie of a client at `remote` for our address `local`.
    #[must_use]
    pub fn cookie(&self, local: IpAddr, remote: IpAddr) -> FastOpenCookie {
        cookie(&self.current, local, remote)
    }

    /// What a cookie from `remote` is worth.
    #[must_use]
    pub fn check(&self, local: IpAddr, remote: IpAddr, given: &FastOpenCookie) -> CookieWorth {
        if *given == cookie(&self.current, local, remote) {
            CookieWorth::Good
        } else if *given == cookie(&self.previous, local, remote) {
            CookieWorth::GoodButOld
        } else {
            CookieWorth::Bad
        }
    }
}

/// Eight bytes, as Linux'. Ports are not in it: they differ from connection to connection.
fn cookie(key: &Secret, local: IpAddr, remote: IpAddr) -> FastOpenCookie {
    let (local, remote) = (SocketAddr::new(local, 0), SocketAddr::new(remote, 0));
    let hash = keyed_hash(key, Purpose::FastOpenCookie, local, remote, &[]);
    FastOpenCookie::new(&hash.to_be_bytes()).expect("eight bytes are a cookie")
}

/// What a connection keeps of its fast opening until the host has taken note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FastOpen {
    /// We connect: our SYN carries this option, and data when it is a cookie.
    Offered { cookie: FastOpenCookie, mss: u16, syns: Syns },
    /// The peer's SYN had a good cookie; our SYN-ACK may give it another one.
    Accepted { cookie: Option<FastOpenCookie> },
    /// What has come of it.
    Over(FastOpenOutcome),
}

/// Which SYNs we have sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syns {
    /// None without the option.
    Fast,
    /// The first was not answered, and the next one was a usual one.
    Plain,
}

/// What has come of a fast opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastOpenOutcome {
    /// Our SYN was answered.
    Answered {
        /// The cookie that the server gave us.
        cookie: Option<FastOpenCookie>,
        /// The MSS that it announced.
        mss: Option<u16>,
        /// Whether the SYN with the option got through.
        path: FastOpenPath,
    },
    /// The peer has completed the handshake of its early connection.
    Completed,
    /// The early connection ended before its handshake was complete.
    Failed,
}

/// Whether a SYN with the option and its data gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastOpenPath {
    /// It was answered.
    Passes,
    /// Only the usual SYN was, that followed it: something on the way may drop the other kind.
    Doubtful,
}

/// The client.
impl Connection {
    /// Puts a cookie into the SYN, or the request for one. With a cookie the SYN carries as much as fits of
    /// what is given to [`Connection::send`] before it is polled for; the rest follows the handshake. `mss`
    /// is what the server announced when it gave the cookie.
    // RFC 7413 §4.2.1 7413-4d, 7413-4e
    pub fn offer_fast_open(&mut self, cookie: FastOpenCookie, mss: u16) {
        debug_assert!(self.state == TcpState::SynSent && self.snd.nxt == self.snd.iss);
        self.seldom_mut().fast_open = Some(FastOpen::Offered { cookie, mss, syns: Syns::Fast });
    }

    /// Adds to a SYN or SYN-ACK what a fast opening has in it.
    #[cold]
    pub(crate) fn add_fast_open(&mut self, now: Instant, syn: &mut SegmentOut) {
        let limit = self.announce_mss.min(self.syn_limit());
        let Some(fast_open) = self.seldom.as_mut().and_then(|seldom| seldom.fast_open.as_mut()) else {
            return;
        };
        match (self.state, fast_open) {
            // RFC 7413 §4.2.1, §4.1.3.1 7413-4f: the second SYN is a usual one
            (TcpState::SynSent, FastOpen::Offered { syns, .. })
                if syn.transmission != Transmission::First =>
            {
                *syns = Syns::Plain;
            }
            (TcpState::SynSent, FastOpen::Offered { cookie, mss, .. }) => {
                syn.header.options.fast_open = Some(*cookie);
                let options_len =
                    u16::try_from(syn.header.options.len()).expect("options take 40 bytes at most");
                let room = (*mss).min(limit).saturating_sub(options_len);
                let len = self.send_buffer.len().min(room.into());
                if len > 0 && !cookie.is_request() {
                    syn.payload = self.send_buffer.slice(0, len);
                    self.sent.push(self.snd.nxt, len, now, self.effective_mss());
                    self.snd.nxt += len;
                    self.counters.bytes_sent += u64::from(len);
                }
            }
            (TcpState::SynReceived, FastOpen::Accepted { cookie }) => {
                syn.header.options.fast_open = *cookie;
                // The acknowledgment covers the data of the SYN, and the window begins behind it.
                let room = self.options.receive_buffer_bytes.saturating_sub(self.receive_buffer.len());
                syn.header.window = u16::try_from(room).unwrap_or(u16::MAX);
                self.rcv.edge = self.rcv.edge.latest(self.rcv.nxt + u32::from(syn.header.window));
                self.timestamps.last_ack_sent = self.rcv.nxt;
            }
            _ => {}
        }
    }

    /// Our SYN was answered by `syn_ack`. What it does not acknowledge of our data is sent again at once:
    /// nothing is known to be lost.
    // RFC 7413 §4.2.1 7413-4g
    #[cold]
    pub(crate) fn fast_open_answered(&mut self, syn_ack: &Segment) {
        let Some(seldom) = self.seldom.as_mut() else { return };
        let Some(FastOpen::Offered { syns, .. }) = seldom.fast_open else { return };
        let options = &syn_ack.header.options;
        seldom.fast_open = Some(FastOpen::Over(FastOpenOutcome::Answered {
            cookie: options.fast_open.filter(|cookie| !cookie.is_request()),
            mss: options.mss,
            path: match syns {
                Syns::Fast => FastOpenPath::Passes,
                Syns::Plain => FastOpenPath::Doubtful,
            },
        }));
        if self.sent.outstanding() > 0 {
            self.send_all_again();
        }
    }

    /// What has come of a fast opening, once; `None` while it is under way.
    pub fn take_fast_open_outcome(&mut self) -> Option<FastOpenOutcome> {
        let ended = self.state == TcpState::Closed;
        let fast_open = &mut self.seldom.as_mut()?.fast_open;
        let outcome = match *fast_open {
            Some(FastOpen::Over(outcome)) => outcome,
            Some(FastOpen::Accepted { .. }) if ended => FastOpenOutcome::Failed,
            _ => return None,
        };
        *fast_open = None;
        self.release_seldom();
        Some(outcome)
    }
}

/// The server.
impl Connection {
    /// A passive open of which the SYN brought a good cookie: its data is delivered, and data may be sent,
    /// before the handshake is complete. The SYN-ACK gives the client `cookie`, if any.
    // RFC 7413 §4.2.2 7413-4h
    pub fn fast_open(&mut self, now: Instant, syn: &Segment, cookie: Option<FastOpenCookie>) {
        self.arrange_pacing(self.pacing());
        self.opening = Opening::Passive;
        self.enter(Cause::PassiveOpen);
        self.enter(Cause::SynReceived);
        let header = &syn.header;
        self.take_peer_syn(now, header.seq, header.window, &header.options);
        self.take_ecn_of_syn(header.flags);
        self.counters.data_received = Moment::of(now);
        self.seldom_mut().fast_open = Some(FastOpen::Accepted { cookie });
        self.owed.syn = true;
        let mut data = syn.payload.clone();
        data.truncate(self.rcv.wnd() as usize);
        if !data.is_empty() {
            self.deliver(data);
            self.raise(Raise::Readable);
        }
        self.start_congestion_control();
        self.raise(Raise::Connected);
    }

    /// True in SYN-RECEIVED after a SYN with a good cookie: both directions are in use before the handshake
    /// is complete.
    #[must_use]
    pub fn is_open_early(&self) -> bool {
        self.state == TcpState::SynReceived
            && self
                .seldom
                .as_ref()
                .is_some_and(|seldom| matches!(seldom.fast_open, Some(FastOpen::Accepted { .. })))
    }

    /// SYN-SENT, or a usual SYN-RECEIVED: nothing flows yet.
    pub(crate) fn waits_for_handshake(&self) -> bool {
        self.is_opening() && !self.is_open_early()
    }

    /// What to send before the handshake is complete: new data once, but nothing again. A client that does
    /// not answer the SYN-ACK may not be the one who sent the SYN.
    // RFC 7413 §4.2.2 7413-4h, §5.2
    #[cold]
    pub(crate) fn decide_early_data(&self) -> Result<Plan, WaitReason> {
        let unsent = self.unsent();
        if unsent == 0 || self.sent.lost() > 0 || !self.is_open_early() {
            return Err(WaitReason::Handshake);
        }
        match self.decide_new_data(unsent)? {
            // RFC 9293 §3.10.4: the FIN waits for ESTABLISHED
            Plan::NewData { len, .. } => Ok(Plan::NewData { len, fin: false }),
            plan => Ok(plan),
        }
    }

    /// Our SYN-ACK is acknowledged. True when the connection was in use before that.
    pub(crate) fn complete_fast_open(&mut self) -> bool {
        let Some(seldom) = self.seldom.as_mut() else { return false };
        let was_early = matches!(seldom.fast_open, Some(FastOpen::Accepted { .. }));
        if was_early {
            seldom.fast_open = Some(FastOpen::Over(FastOpenOutcome::Completed));
        }
        was_early
    }
}
