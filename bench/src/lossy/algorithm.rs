//! Which algorithms of congestion control take part, and what does each side call them?

use ciao_tcp::congestion::CongestionControl;
use clap::ValueEnum;

/// An algorithm that both sides have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Algorithm {
    /// NewReno.
    Reno,
    /// CUBIC.
    Cubic,
    /// BBR; the kernel's is version 1.
    Bbr,
}

impl Algorithm {
    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reno => "NewReno",
            Self::Cubic => "CUBIC",
            Self::Bbr => "BBR",
        }
    }

    pub(super) const fn of_ciao(self) -> CongestionControl {
        match self {
            Self::Reno => CongestionControl::NewReno,
            Self::Cubic => CongestionControl::Cubic,
            Self::Bbr => CongestionControl::Bbr,
        }
    }

    /// The kernel's name (`/proc/sys/net/ipv4/tcp_available_congestion_control`).
    pub(super) const fn of_linux(self) -> &'static str {
        match self {
            Self::Reno => "reno",
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
        }
    }
}
