//! What does a client know of the servers that it has opened connections to fast? (RFC 7413 §4.1.3)
//!
//! Their cookies, with the MSS that says how much data a SYN may carry, and whether the path to them lets
//! such SYNs through.

use crate::routing::to_octets;
use alloc::collections::BTreeMap;
use ciao_tcp::fast_open::FastOpenPath;
use ciao_wire::{FastOpenCookie, Instant};
use core::net::IpAddr;
use core::time::Duration;

/// Most servers that are kept; who was not heard of for the longest time makes room.
// RFC 7413 §4.1.3 7413-4d
const MAX_SERVERS: usize = 1024;
/// Losses in a row after which the path is avoided. One may be chance. As Linux.
const LOSSES_BEFORE_AVOIDING: u8 = 2;
/// Time for which a path is avoided: doubled for each loss, beginning with one minute, as Linux.
// RFC 7413 §4.1.3.1 7413-4f
const AVOID_FOR: Duration = Duration::from_secs(60);
const MAX_DOUBLINGS: u8 = 10;

/// What to do for a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Ask for a cookie.
    Ask,
    /// Send data with this cookie.
    Use { cookie: FastOpenCookie, mss: Option<u16> },
    /// Something on the way seems to drop such SYNs.
    Avoid,
}

/// What is known of one server.
#[derive(Clone, Copy, Debug)]
struct Server {
    cookie: Option<FastOpenCookie>,
    mss: Option<u16>,
    noted_at: Instant,
    /// Fast SYNs in a row that were not answered, while a usual one was.
    losses: u8,
}

/// All that is known.
#[derive(Debug, Default)]
pub(crate) struct FastOpenCache(BTreeMap<[u8; 16], Server>);

impl FastOpenCache {
    pub(crate) fn advice(&self, now: Instant, remote: IpAddr) -> Advice {
        let Some(server) = self.0.get(&to_octets(remote)) else { return Advice::Ask };
        if server.losses >= LOSSES_BEFORE_AVOIDING {
            let doublings = u32::from(server.losses.min(MAX_DOUBLINGS));
            if now.since(server.noted_at) < AVOID_FOR * (1 << doublings) {
                return Advice::Avoid;
            }
        }
        match server.cookie {
            Some(cookie) => Advice::Use { cookie, mss: server.mss },
            None => Advice::Ask,
        }
    }

    /// Notes the answer of a server. One that knows nothing of Fast Open is not worth an entry.
    // RFC 7413 §4.1.3 7413-4d, §4.1.3.1 7413-4f
    pub(crate) fn note(
        &mut self,
        now: Instant,
        remote: IpAddr,
        cookie: Option<FastOpenCookie>,
        mss: Option<u16>,
        path: FastOpenPath,
    ) {
        let known = self.0.get(&to_octets(remote)).copied();
        if known.is_none() && cookie.is_none() && path == FastOpenPath::Passes {
            return;
        }
        let old = known.unwrap_or(Server { cookie: None, mss: None, noted_at: now, losses: 0 });
        let losses = match path {
            FastOpenPath::Passes => 0,
            FastOpenPath::Doubtful => old.losses.saturating_add(1),
        };
        if known.is_none() && self.0.len() >= MAX_SERVERS {
            let oldest = self.0.iter().min_by_key(|(_, server)| server.noted_at).map(|(key, _)| *key);
            self.0.remove(&oldest.expect("there are as many as may be"));
        }
        let server = Server { cookie: cookie.or(old.cookie), mss: mss.or(old.mss), noted_at: now, losses };
        self.0.insert(to_octets(remote), server);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(n: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + n).into())
    }

    fn cookie(n: u8) -> FastOpenCookie {
        FastOpenCookie::new(&[n; 8]).unwrap()
    }

    // RFC 7413 §4.1.3 7413-4d
    #[test]
    fn the_newest_cookie_is_used_and_the_oldest_server_makes_room() {
        let mut cache = FastOpenCache::default();
        let now = Instant::from_secs(1);
        assert_eq!(cache.advice(now, server(0)), Advice::Ask);
        cache.note(now, server(0), None, Some(1460), FastOpenPath::Passes);
        assert!(cache.0.is_empty(), "it gave no cookie");
        for n in 0..2000 {
            let at = now + Duration::from_secs(u64::from(n));
            cache.note(at, server(n), Some(cookie(1)), Some(1460), FastOpenPath::Passes);
        }
        assert_eq!(cache.0.len(), MAX_SERVERS);
        assert_eq!(cache.advice(now, server(0)), Advice::Ask);
        cache.note(now, server(1999), Some(cookie(2)), None, FastOpenPath::Passes);
        let newest = Advice::Use { cookie: cookie(2), mss: Some(1460) };
        assert_eq!(cache.advice(now, server(1999)), newest);
        cache.note(now, server(1999), None, None, FastOpenPath::Passes);
        assert_eq!(cache.advice(now, server(1999)), newest, "an answer without a cookie takes none away");
    }

    // RFC 7413 §4.1.3.1 7413-4f
    #[test]
    fn a_path_that_swallows_fast_syns_is_avoided_for_longer_and_longer() {
        let mut cache = FastOpenCache::default();
        let mut now = Instant::from_secs(1);
        cache.note(now, server(0), Some(cookie(1)), None, FastOpenPath::Passes);
        cache.note(now, server(0), None, None, FastOpenPath::Doubtful);
        assert_ne!(cache.advice(now, server(0)), Advice::Avoid, "once may be chance");
        for minutes in [4, 8, 16] {
            cache.note(now, server(0), None, None, FastOpenPath::Doubtful);
            now += Duration::from_secs(minutes * 60 - 1);
            assert_eq!(cache.advice(now, server(0)), Advice::Avoid);
            now += Duration::from_secs(1);
            assert_ne!(cache.advice(now, server(0)), Advice::Avoid, "after {minutes} minutes");
        }
        cache.note(now, server(0), None, None, FastOpenPath::Passes);
        cache.note(now, server(0), None, None, FastOpenPath::Doubtful);
        assert_ne!(cache.advice(now, server(0)), Advice::Avoid);
    }
}
