//! When does a listener answer with a SYN cookie, and what becomes of one that comes back? (RFC 4987 §3.6)
//!
//! What a cookie holds is decided in `ciao_tcp::syn_cookies`.

use crate::context::Context;
use crate::demux::{Endpoints, Holder};
use crate::error::HostDropReason;
use crate::request::{Overflow, SynCookies};
use crate::tcp::arrival::{Arrival, reply, reset_answer};
use crate::tcp::half_opens::{HalfOpenEntry, Link};
use crate::tcp::listeners::Listener;
use crate::tcp::{Tcp, local_of};
use crate::trace::Opening;
use ciao_tcp::HalfOpen;
use ciao_tcp::syn_cookies::{Cookie, Ends, LIFETIME};
use ciao_wire::Instant;

impl Listener {
    /// Whether a SYN is answered without a record. `full` says which queue has no room. A full accept queue
    /// is no reason: it would only be found full again when the cookie comes back.
    // RFC 4987 §3.6 4987-1, 4987-2
    pub(crate) fn answers_with_cookie(&self, full: Option<HostDropReason>) -> bool {
        match self.syn_cookies {
            SynCookies::Off => false,
            SynCookies::WhenFull => full == Some(HostDropReason::SynQueueFull),
            SynCookies::Always => full != Some(HostDropReason::AcceptQueueFull),
        }
    }
}

impl Tcp {
    /// Answers a SYN with a cookie. Nothing is kept but that there may be cookies out.
    // RFC 4987 §3.6 4987-2
    pub(crate) fn send_cookie(
        &mut self,
        context: &mut Context,
        now: Instant,
        listener: u32,
        arrival: &Arrival,
    ) {
        let setup = self.setup(context, now, arrival.origin.interface, &arrival.endpoints);
        let ends = ends(context, &arrival.endpoints);
        let Listener { options, cookies_until, ip, .. } = self.listeners.at_mut(listener);
        let ip = *ip;
        *cookies_until = now + LIFETIME;
        let config = &context.config.tcp;
        let syn_ack =
            HalfOpen::cookie_syn_ack((now, &self.secret), ends, config, options, setup, &arrival.segment);
        context.counters.syn_cookies_sent += 1;
        reply(context, now, arrival, syn_ack, (None, ip));
    }

    /// An acknowledgment that belongs to no connection has come to a listener: perhaps it brings a cookie
    /// back. Else, and when the cookie is not good, it is answered as in CLOSED.
    // RFC 9293 §3.10.7.2 second; RFC 4987 §3.6 4987-2
    pub(crate) fn for_cookie(
        &mut self,
        context: &mut Context,
        now: Instant,
        listener: u32,
        arrival: &mut Arrival,
    ) -> Result<(), HostDropReason> {
        let not_for_us = HostDropReason::NotForListener;
        let Listener { options, cookies_until, overflow, ip, .. } = *self.listeners.at(listener);
        if now >= cookies_until || arrival.segment.header.flags.syn() {
            return Err(reset_answer(context, now, arrival, ip, not_for_us));
        }
        let Arrival { origin, endpoints, segment } = &*arrival;
        let setup = self.setup(context, now, origin.interface, endpoints);
        let (ends, config) = (ends(context, endpoints), &context.config.tcp);
        let cookie = HalfOpen::from_cookie((now, &self.secret), ends, config, &options, setup, segment);
        let half_open = match cookie {
            Cookie::Good(half_open) => half_open,
            Cookie::Early => {
                context.counters.syn_cookies_early += 1;
                return Err(not_for_us);
            }
            Cookie::Bad => {
                context.counters.syn_cookies_refused += 1;
                return Err(reset_answer(context, now, arrival, ip, not_for_us));
            }
        };
        if let Err(reason) = self.check_room_to_accept(context, listener) {
            return Err(match overflow {
                Overflow::Drop => reason,
                Overflow::Reset => reset_answer(context, now, arrival, ip, reason),
            });
        }
        context.counters.syn_cookies_accepted += 1;
        let Arrival { origin, endpoints, segment } = arrival;
        let endpoints = *endpoints;
        let id = self.next_connection();
        context.trace.attribute(id);
        Self::record_opened(context, now, id, &endpoints, Opening::Passive);
        Self::record_syn_received(context, now, id);
        let link = Link::NONE;
        let entry = HalfOpenEntry { half_open, id, endpoints, interface: origin.interface, listener, link };
        let index = self.adopt(context, now, &entry);
        self.tables.list(Holder::Connection(index));
        self.complete_handshake(context, now, index, segment);
        Ok(())
    }
}

fn ends(context: &Context, endpoints: &Endpoints) -> Ends {
    (local_of(context, endpoints), endpoints.remote())
}
