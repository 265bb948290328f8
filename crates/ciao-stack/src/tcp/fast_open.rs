//! TCP Fast Open of a host: which SYN may open a connection at once, how many may be under way, and what is
//! kept of servers (RFC 7413).
//!
//! What a fast opening is on the wire, and its danger, is in `ciao_tcp::fast_open`.

use crate::context::{Context, key};
use crate::demux::Holder;
use crate::request::{ConnectRequest, FastOpen};
use crate::tcp::arrival::{Arrival, Predecessor};
use crate::tcp::fast_open_cache::{Advice, FastOpenCache};
use crate::tcp::listeners::Listener;
use crate::tcp::tables::Owner;
use crate::tcp::{Tcp, limit_to_path};
use crate::trace::Opening;
use alloc::collections::VecDeque;
use ciao_tcp::fast_open::{CookieKeys, CookieWorth, FastOpenOutcome};
use ciao_tcp::isn::Secret;
use ciao_tcp::{Connection, Setup};
use ciao_wire::{FastOpenCookie, Instant};
use core::net::IpAddr;
use core::time::Duration;

/// How long cookies are made with one key. They are good for up to twice as long.
// RFC 7413 §4.1.2 7413-4b
const KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// An early connection that was reset still counts for so long. Else who spoofs the address of a host that
/// answers our SYN-ACK with RST could open as many as he likes (RFC 7413 §5.1). As Linux.
// RFC 7413 §5.1 7413-4a
const RESET_COUNTS_FOR: Duration = Duration::from_secs(60);

/// What the host keeps for Fast Open.
#[derive(Debug)]
pub(crate) struct FastOpens {
    keys: CookieKeys,
    keys_since: Instant,
    /// Early connections whose handshake is not complete.
    pending: usize,
    /// When those that ended before it was complete no longer count.
    failed: VecDeque<Instant>,
    pub(crate) cache: FastOpenCache,
}

impl FastOpens {
    pub(crate) fn new(context: &mut Context) -> Self {
        Self {
            keys: CookieKeys::new(Secret::new(key(&mut context.random))),
            keys_since: Instant::ZERO,
            pending: 0,
            failed: VecDeque::new(),
            cache: FastOpenCache::default(),
        }
    }

    fn change_old_keys(&mut self, context: &mut Context, now: Instant) {
        let age = now.since(self.keys_since);
        if age < KEY_LIFETIME {
            return;
        }
        if age >= 2 * KEY_LIFETIME {
            // Nobody has asked for two lifetimes: not even the previous key is good any more.
            self.keys = CookieKeys::new(Secret::new(key(&mut context.random)));
        } else {
            self.keys.change(Secret::new(key(&mut context.random)));
        }
        self.keys_since = now;
    }

    /// Lets a connection that is being opened offer Fast Open as far as the server is known to take it.
    // RFC 7413 §4.2.1 7413-4d
    pub(crate) fn offer(
        &self,
        now: Instant,
        request: &ConnectRequest,
        default_mss: u16,
        connection: &mut Connection,
    ) {
        if request.fast_open == FastOpen::Off {
            return;
        }
        match self.cache.advice(now, request.remote.ip()) {
            Advice::Ask => connection.offer_fast_open(FastOpenCookie::REQUEST, default_mss),
            Advice::Use { cookie, mss } => {
                connection.offer_fast_open(cookie, mss.unwrap_or(default_mss));
            }
            Advice::Avoid => {}
        }
    }

    // RFC 7413 §5.1 7413-4a
    fn has_room(&mut self, now: Instant, limit: usize) -> bool {
        while self.failed.front().is_some_and(|until| *until <= now) {
            self.failed.pop_front();
        }
        self.pending + self.failed.len() < limit
    }
}

impl Tcp {
    /// The cookie that a SYN-ACK from `local` to `remote` gives.
    pub(crate) fn fast_open_cookie(
        &mut self,
        context: &mut Context,
        now: Instant,
        local: IpAddr,
        remote: IpAddr,
    ) -> FastOpenCookie {
        self.fast_opens.change_old_keys(context, now);
        self.fast_opens.keys.cookie(local, remote)
    }

    /// Opens a connection at once when the SYN has a good cookie and there is room. False when the SYN is to
    /// go the usual way.
    // RFC 7413 §4.2.2 7413-4h, §5.1 7413-4a
    pub(crate) fn open_early(
        &mut self,
        context: &mut Context,
        now: Instant,
        listener: u32,
        arrival: &Arrival,
        predecessor: Option<Predecessor>,
    ) -> bool {
        let Listener { options, ip, fast_open: limit, .. } = *self.listeners.at(listener);
        // RFC 7413 §2 7413-2a, §4.2.2 7413-4a: without the application's word no cookie means anything
        let offered =
            arrival.segment.header.options.fast_open.filter(|cookie| limit > 0 && !cookie.is_request());
        let Some(offered) = offered else { return false };
        let Arrival { origin, endpoints, segment } = arrival;
        let (local, remote) = (context.interfaces.address(endpoints.local), endpoints.remote_address());
        self.fast_opens.change_old_keys(context, now);
        let fresh = match self.fast_opens.keys.check(local, remote, &offered) {
            CookieWorth::Good => None,
            CookieWorth::GoodButOld => Some(self.fast_opens.keys.cookie(local, remote)),
            CookieWorth::Bad => {
                context.counters.fast_open_cookies_refused += 1;
                return false;
            }
        };
        if !self.fast_opens.has_room(now, limit) {
            context.counters.fast_opens_refused += 1;
            return false;
        }
        let mut setup = self.setup(context, now, origin.interface, endpoints);
        self.take_over(context, now, predecessor, &mut setup);
        let id = self.next_connection();
        context.trace.attribute(id);
        Self::record_opened(context, now, id, endpoints, Opening::Passive);
        let (config, way) = (&context.config.tcp, (origin.interface, ip));
        let owner = Owner::Listener(listener);
        let index = self.tables.keep(config, (&options, &setup), (id, *endpoints), way, owner);
        let connection = &mut self.tables.sockets[index as usize].connection;
        connection.fast_open(now, segment, fresh);
        limit_to_path(context, now, connection, remote);
        self.tables.list(Holder::Connection(index));
        self.fast_opens.pending += 1;
        context.counters.fast_opens_accepted += 1;
        self.after_input(context, now, index);
        true
    }

    /// A connection in TIME-WAIT lets a newer one have its endpoints and go on behind its numbers.
    pub(crate) fn take_over(
        &mut self,
        context: &mut Context,
        now: Instant,
        predecessor: Option<Predecessor>,
        setup: &mut Setup,
    ) {
        if let Some((holder, least_iss)) = predecessor {
            setup.iss = setup.iss.latest(least_iss);
            self.yield_endpoints(context, now, holder);
        }
    }

    /// Takes note of what has come of a fast opening.
    pub(crate) fn note_fast_open(&mut self, now: Instant, remote: IpAddr, outcome: FastOpenOutcome) {
        match outcome {
            FastOpenOutcome::Answered { cookie, mss, path } => {
                self.fast_opens.cache.note(now, remote, cookie, mss, path);
            }
            FastOpenOutcome::Completed => self.fast_opens.pending -= 1,
            FastOpenOutcome::Failed => {
                self.fast_opens.pending -= 1;
                self.fast_opens.failed.push_back(now + RESET_COUNTS_FOR);
            }
        }
    }
}
