//! What few connections need: keep-alive, a user timeout of their own, urgent data to send, a path that takes
//! less than its ends. It lies in one box, so that all other connections pay eight bytes for it.

use crate::config::{KeepAlive, SocketOptions};
use crate::connection::Connection;
use crate::fast_open::FastOpen;
use crate::path_mtu::PathMtu;
use crate::state::TcpState;
use crate::transmit::pacing::Pacer;
use crate::user_timeout::Exchange;
use alloc::boxed::Box;
use ciao_wire::SeqNum;
use core::time::Duration;

/// What few connections need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seldom {
    pub(crate) keep_alive: Option<KeepAlive>,
    /// Instead of R2, as the application wants it.
    pub(crate) user_timeout: Option<Duration>,
    /// Of a connection that tells the peer its user timeout.
    pub(crate) exchange: Option<Exchange>,
    /// See [`SocketOptions::notsent_lowat`].
    pub(crate) notsent_lowat: Option<u32>,
    /// See [`SocketOptions::receive_lowat`].
    pub(crate) receive_lowat: Option<u32>,
    /// SND.UP: the number behind the urgent data that we send.
    pub(crate) send_up: Option<SeqNum>,
    /// Of an opening with data in its SYN.
    pub(crate) fast_open: Option<FastOpen>,
    /// A path that takes less than both ends.
    pub(crate) path: Option<PathMtu>,
    /// What spreads segments over time.
    pub(crate) pacer: Option<Box<Pacer>>,
}

impl Seldom {
    /// What `options` ask for; no box when that is nothing.
    #[inline]
    pub(crate) fn of(options: &SocketOptions) -> Option<Box<Self>> {
        let SocketOptions { keep_alive, user_timeout, notsent_lowat, receive_lowat, .. } = *options;
        let (exchange, pacer) = (Exchange::of(options), Pacer::of(options));
        let asks_for_any = keep_alive.is_some()
            || user_timeout.is_some()
            || exchange.is_some()
            || notsent_lowat.is_some()
            || receive_lowat.is_some()
            || pacer.is_some();
        asks_for_any.then(|| {
            let none = Self::default();
            Box::new(Self { keep_alive, user_timeout, exchange, notsent_lowat, receive_lowat, pacer, ..none })
        })
    }
}

impl Connection {
    /// The box, made when there was none. Whoever takes something out again calls `release_seldom`.
    pub(crate) fn seldom_mut(&mut self) -> &mut Seldom {
        self.seldom.get_or_insert_default()
    }

    /// Changes what `options` say; what is under way stays.
    pub(crate) fn set_seldom(&mut self, options: &SocketOptions) {
        let seldom = self.seldom_mut();
        let tells_more = options.exchange_user_timeout
            && (seldom.user_timeout != options.user_timeout || seldom.exchange.is_none());
        (seldom.keep_alive, seldom.user_timeout) = (options.keep_alive, options.user_timeout);
        (seldom.notsent_lowat, seldom.receive_lowat) = (options.notsent_lowat, options.receive_lowat);
        seldom.exchange = Exchange::of(options).map(|new| seldom.exchange.unwrap_or(new));
        if tells_more && !self.is_opening() && self.state != TcpState::Closed {
            self.owe_user_timeout();
        }
        self.release_seldom();
    }

    /// Lets go of the box when nothing is in it.
    pub(crate) fn release_seldom(&mut self) {
        if self.seldom.as_deref() == Some(&Seldom::default()) {
            self.seldom = None;
        }
    }

    /// When to ask a silent peer, if the application wants that.
    pub(crate) fn keep_alive(&self) -> Option<KeepAlive> {
        self.seldom.as_ref()?.keep_alive
    }

    /// How long data may stay unacknowledged, if the application has said it.
    pub(crate) fn user_timeout(&self) -> Option<Duration> {
        self.seldom.as_ref()?.user_timeout
    }
}
