//! How long may data stay unacknowledged? R2, the application's own time, or what both ends tell each other
//! (RFC 9293 §3.8.3, RFC 5482).
//!
//! The option is off unless the application asks for it. It goes out in our SYN and, because a peer need not
//! keep anything of a SYN, alone in the first acknowledgment after the handshake; then whenever our own time
//! changes. A SYN-ACK that comes from a half-open record has none, for the same reason.
//!
//! What happens when the time is over is in `timeouts`.

use crate::config::SocketOptions;
use crate::connection::Connection;
use crate::timers::Timer;
use ciao_wire::{Instant, TcpOptions};
use core::time::Duration;

/// The least time that a peer may talk us into (RFC 5482 §3.1 asks for at least 100 s, as RFC 9293 §3.8.3
/// SHLD-11 does for R2).
const LEAST_AGREED: Duration = Duration::from_secs(100);
/// The greatest: a peer that is gone must not bind our memory for days.
const GREATEST_AGREED: Duration = Duration::from_secs(3600);
/// The highest bit: minutes instead of seconds.
const MINUTES: u16 = 1 << 15;

/// What a connection that exchanges the option keeps of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// What the peer has told last.
    remote: Option<Duration>,
    /// The next acknowledgment that goes out alone tells ours.
    owed: bool,
}

/// The field for `time`: exact in seconds as far as they go, then in minutes, rounded up.
// RFC 5482 §3 5482-3a
fn to_field(time: Duration) -> u16 {
    let seconds = time.as_millis().div_ceil(1000).max(1);
    match u16::try_from(seconds) {
        Ok(seconds) if seconds < MINUTES => seconds,
        _ => MINUTES | u16::try_from(seconds.div_ceil(60)).unwrap_or(u16::MAX).min(MINUTES - 1),
    }
}

/// The time that a field says; zero is reserved and says nothing.
// RFC 5482 §3, §3.1 5482-3a
fn from_field(field: u16) -> Option<Duration> {
    let number = u64::from(field & !MINUTES);
    let unit_seconds = if field & MINUTES == 0 { 1 } else { 60 };
    (number > 0).then(|| Duration::from_secs(number * unit_seconds))
}

impl Exchange {
    /// Of a connection that begins with `options`.
    pub(crate) fn of(options: &SocketOptions) -> Option<Self> {
        options.exchange_user_timeout.then(Self::default)
    }
}

impl Connection {
    /// How long data may stay unacknowledged; `None` for ever.
    // RFC 9293 §3.8.3 MUST-20, MUST-21, MUST-23; RFC 5482 §3.1 5482-3b
    #[inline]
    pub(crate) fn patience(&self) -> Option<Duration> {
        let usual = if self.is_opening() { self.config.r2_syn } else { self.config.r2 };
        let Some(seldom) = &self.seldom else { return usual };
        if seldom.user_timeout.is_some() {
            // The application has the last word: what it has set, no peer changes.
            return seldom.user_timeout;
        }
        match seldom.exchange.and_then(|exchange| exchange.remote) {
            Some(remote) => {
                Some(usual.unwrap_or(GREATEST_AGREED).max(remote).clamp(LEAST_AGREED, GREATEST_AGREED))
            }
            None => usual,
        }
    }

    /// What we tell the peer, if the application wants that and there is an end to our patience.
    fn advertised(&self) -> Option<u16> {
        let seldom = self.seldom.as_ref().filter(|seldom| seldom.exchange.is_some())?;
        seldom.user_timeout.or(self.config.r2).map(to_field)
    }

    /// Puts our time into a SYN.
    // RFC 5482 §3.2 5482-3c
    #[cold]
    pub(crate) fn add_user_timeout(&self, options: &mut TcpOptions) {
        options.user_timeout = self.advertised();
    }

    /// Puts our time into an acknowledgment without data, when it is to be told.
    #[cold]
    pub(crate) fn tell_user_timeout(&mut self, options: &mut TcpOptions) {
        let told = self.advertised();
        if let Some(exchange) = self.seldom.as_mut().and_then(|seldom| seldom.exchange.as_mut())
            && exchange.owed
        {
            exchange.owed = false;
            options.user_timeout = told;
        }
    }

    /// Our time goes out, alone so that no data has to make room for it.
    pub(crate) fn owe_user_timeout(&mut self) {
        if let Some(exchange) = self.seldom.as_mut().and_then(|seldom| seldom.exchange.as_mut()) {
            exchange.owed = true;
            self.owed.acknowledge_alone();
        }
    }

    /// The peer tells its time, in an acceptable segment.
    // RFC 5482 §3.1, §3.3 5482-3b: also for data that is outstanding
    #[cold]
    pub(crate) fn take_user_timeout(&mut self, now: Instant, field: u16) {
        let Some(remote) = from_field(field) else { return };
        let Some(exchange) = self.seldom.as_mut().and_then(|seldom| seldom.exchange.as_mut()) else { return };
        exchange.remote = Some(remote);
        if self.timers.is_set(Timer::UserTimeout) {
            self.restart_user_timeout(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact_up_to_nine_hours_and_minutes_are_rounded_up() {
        for (seconds, field) in
            [(1, 1), (100, 100), (32_767, 32_767), (32_768, MINUTES | 547), (60 * 32_767, u16::MAX)]
        {
            assert_eq!(to_field(Duration::from_secs(seconds)), field, "{seconds} s");
            let read = from_field(field).unwrap();
            assert!(read >= Duration::from_secs(seconds) && read < Duration::from_secs(seconds + 60));
        }
        assert_eq!(to_field(Duration::MAX), u16::MAX);
        assert_eq!(to_field(Duration::from_millis(1500)), 2);
        assert_eq!(to_field(Duration::ZERO), 1, "zero is reserved");
        assert_eq!((from_field(0), from_field(MINUTES)), (None, None));
    }
}
