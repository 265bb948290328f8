//! Which options does a socket have? Each is written once here, for all types that have it: those of its
//! packets by [`packet_options`], those of TCP by [`tcp_options`].
//!
//! Inherent methods, since tokio's are, and so from macros. Where a socket keeps its options is its own
//! matter: [`PacketOptions`] for packets; `options` and `change_options` for TCP, through which an
//! application reaches every field of [`ciao_tcp::SocketOptions`], those without a method of their own too.
//! What one type has alone is there: buffer sizes and address reuse before a socket connects, linger.

use ciao_stack::IpOptions;
use std::io;

/// A socket whose packets can be told what to say to the network.
pub(crate) trait PacketOptions {
    /// What they say, with the hop limit of the host where the socket has none of its own.
    ///
    /// # Errors
    /// When the stack has ended.
    fn packet_options(&self) -> io::Result<IpOptions>;

    /// Changes what they say from now on.
    ///
    /// # Errors
    /// When the stack has ended.
    fn change_packet_options(&self, change: impl FnOnce(&mut IpOptions)) -> io::Result<()>;
}

/// `ip`, with the hop limit of the host where it has none.
pub(crate) fn with_hop_limit(ip: IpOptions, of_host: u8) -> IpOptions {
    IpOptions { hop_limit: ip.hop_limit.filter(|limit| *limit > 0).or(Some(of_host)), ..ip }
}

/// A TTL that can be put into a packet.
pub(crate) fn hop_limit(ttl: u32) -> io::Result<u8> {
    let limit = u8::try_from(ttl).ok().filter(|limit| *limit > 0);
    limit.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a TTL is between 1 and 255"))
}

/// The DiffServ code point of a type of service byte, whose lower two bits are ECN's.
pub(crate) fn dscp(tos: u32) -> io::Result<u8> {
    let tos = u8::try_from(tos)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a type of service is at most 255"))?;
    Ok(tos >> 2)
}

/// Options of the packets of a socket that is [`PacketOptions`].
macro_rules! packet_options {
    ($socket:ty) => {
        /// What its packets say to the network.
        impl $socket {
            /// TTL, or hop limit, of the packets.
            ///
            /// # Errors
            /// When the stack has ended.
            pub fn ttl(&self) -> std::io::Result<u32> {
                use crate::options::PacketOptions;
                self.packet_options().map(|ip| ip.hop_limit.unwrap_or_default().into())
            }

            /// Sets the TTL, or hop limit, of the packets from now on: 1 to 255.
            ///
            /// # Errors
            /// [`std::io::ErrorKind::InvalidInput`] outside that range; when the stack has ended.
            // RFC 9293 §3.9.2 MUST-49
            pub fn set_ttl(&self, ttl: u32) -> std::io::Result<()> {
                use crate::options::PacketOptions;
                let hop_limit = crate::options::hop_limit(ttl)?;
                self.change_packet_options(|ip| ip.hop_limit = Some(hop_limit))
            }

            /// The type of service byte, ECN's bits zero.
            ///
            /// # Errors
            /// When the stack has ended.
            pub fn tos_v4(&self) -> std::io::Result<u32> {
                use crate::options::PacketOptions;
                self.packet_options().map(|ip| u32::from(ip.dscp) << 2)
            }

            /// Sets the DiffServ code point of the packets from now on, the upper six bits of `tos`. The
            /// lower two are ECN's and belong to the stack.
            ///
            /// # Errors
            /// [`std::io::ErrorKind::InvalidInput`] above 255; when the stack has ended.
            // RFC 9293 §3.9.1.9 MUST-48, SHLD-21
            pub fn set_tos_v4(&self, tos: u32) -> std::io::Result<()> {
                use crate::options::PacketOptions;
                let dscp = crate::options::dscp(tos)?;
                self.change_packet_options(|ip| ip.dscp = dscp)
            }

            /// As [`Self::tos_v4`], for IPv6's traffic class.
            ///
            /// # Errors
            /// As [`Self::tos_v4`].
            pub fn tclass_v6(&self) -> std::io::Result<u32> {
                self.tos_v4()
            }

            /// As [`Self::set_tos_v4`], for IPv6's traffic class.
            ///
            /// # Errors
            /// As [`Self::set_tos_v4`].
            pub fn set_tclass_v6(&self, tclass: u32) -> std::io::Result<()> {
                self.set_tos_v4(tclass)
            }
        }
    };
}
pub(crate) use packet_options;

/// Options of TCP, of a socket that has `options` and `change_options`.
macro_rules! tcp_options {
    ($socket:ty) => {
        /// Options of TCP that have a method of their own; all of them: [`Self::change_options`].
        impl $socket {
            /// Nagle's algorithm is off.
            ///
            /// # Errors
            /// When the stack has ended.
            pub fn nodelay(&self) -> std::io::Result<bool> {
                self.options().map(|options| options.nodelay)
            }

            /// Turns Nagle's algorithm off, and sends what it held back; or turns it on.
            ///
            /// # Errors
            /// When the stack has ended.
            pub fn set_nodelay(&self, nodelay: bool) -> std::io::Result<()> {
                self.change_options(|options| options.nodelay = nodelay)
            }

            /// Small segments are held back; see [`Self::set_cork`].
            ///
            /// # Errors
            /// When the stack has ended.
            pub fn cork(&self) -> std::io::Result<bool> {
                self.options().map(|options| options.cork)
            }

            /// Holds less than a whole segment back until the cork is drawn, or 200 ms are over; what is
            /// written in pieces leaves in as few segments as can be. `set_nodelay(true)` lets go what is
            /// there now.
            ///
            /// # Errors
            /// When the stack has ended.
            pub fn set_cork(&self, cork: bool) -> std::io::Result<()> {
                self.change_options(|options| options.cork = cork)
            }

            /// Every segment is acknowledged at once.
            ///
            /// # Errors
            /// When the stack has ended.
            pub fn quickack(&self) -> std::io::Result<bool> {
                self.options().map(|options| options.quickack)
            }

            /// Turns delayed acknowledgments off or on. Unlike Linux' switch it stays as it was put.
            ///
            /// # Errors
            /// When the stack has ended.
            pub fn set_quickack(&self, quickack: bool) -> std::io::Result<()> {
                self.change_options(|options| options.quickack = quickack)
            }

            /// How many bytes may be unsent for a write to be taken; see [`Self::set_notsent_lowat`].
            ///
            /// # Errors
            /// When the stack has ended.
            pub fn notsent_lowat(&self) -> std::io::Result<Option<u32>> {
                self.options().map(|options| options.notsent_lowat)
            }

            /// Takes writes only while fewer than `bytes` were never sent, so that what is written leaves
            /// soon; `None` for as many as the send buffer holds.
            ///
            /// # Errors
            /// When the stack has ended.
            pub fn set_notsent_lowat(&self, bytes: Option<u32>) -> std::io::Result<()> {
                self.change_options(|options| options.notsent_lowat = bytes)
            }

            /// How many bytes make the stream readable; see [`Self::set_recv_lowat`].
            ///
            /// # Errors
            /// When the stack has ended.
            pub fn recv_lowat(&self) -> std::io::Result<Option<u32>> {
                self.options().map(|options| options.receive_lowat)
            }

            /// Wakes readers only when `bytes` wait, or the window lets hardly more come, or the data has
            /// ended; a read still gives what is there. `None`: for every byte.
            ///
            /// # Errors
            /// When the stack has ended.
            pub fn set_recv_lowat(&self, bytes: Option<u32>) -> std::io::Result<()> {
                self.change_options(|options| options.receive_lowat = bytes)
            }

            /// An idle peer is asked whether it is still there.
            ///
            /// # Errors
            /// When the stack has ended.
            pub fn keepalive(&self) -> std::io::Result<bool> {
                self.options().map(|options| options.keep_alive.is_some())
            }

            /// Asks an idle peer from time to time whether it is still there, at the default times.
            ///
            /// # Errors
            /// When the stack has ended.
            pub fn set_keepalive(&self, keepalive: bool) -> std::io::Result<()> {
                let keep_alive = keepalive.then(ciao_tcp::config::KeepAlive::default);
                self.change_options(|options| options.keep_alive = keep_alive)
            }

            /// Whether faults of the network that may pass are kept from the application; at first they are
            /// not (RFC 9293 §3.9.1.8).
            ///
            /// # Errors
            /// When the stack has ended.
            pub fn set_mute_soft_errors(&self, mute: bool) -> std::io::Result<()> {
                self.change_options(|options| options.mute_soft_errors = mute)
            }
        }
    };
}
pub(crate) use tcp_options;
