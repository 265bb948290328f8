//! Which options and settings may stand on top of a script? [`ScriptOptions`], from `--name=value` and from
//! settings by Linux' names.
//!
//! What Linux can be told has its name here too, so that the same text runs there.

use ciao_stack::{MemoryLimits, Overflow, SynCookies};
use ciao_tcp::config::{Config, EcnPolicy};
use ciao_tcp::congestion::CongestionControl;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

/// Bytes of a page, in which Linux counts memory.
const PAGE_BYTES: u64 = 4096;

/// Under which version of IP a script plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpVersion {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The MTU of a link without `--mtu`. Twenty bytes more for the longer header of IPv6 make the MSS 1460
    /// under both, and the scripts the same.
    #[must_use]
    pub const fn default_mtu(self) -> u16 {
        match self {
            Self::V4 => 1500,
            Self::V6 => 1520,
        }
    }
}

impl fmt::Display for IpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// What a script sets before it begins.
#[derive(Clone, Debug)]
pub struct ScriptOptions {
    /// The configuration of the host's TCP.
    pub config: Config,
    /// What all buffers together may hold.
    pub memory: MemoryLimits,
    /// The versions of IP that it plays under.
    pub versions: Vec<IpVersion>,
    /// The link's MTU less the default, which differs by version.
    pub mtu_change: i32,
    /// How much earlier or later than written something may be sent.
    pub tolerance: Duration,
    /// How packets of the same time arrive.
    pub arrivals: Arrivals,
    /// When listeners answer with SYN cookies.
    pub syn_cookies: SynCookies,
    /// Half-open connections of a listener.
    pub syn_queue: Option<usize>,
    /// What listeners do when a queue is full.
    pub overflow: Overflow,
}

/// How segments arrive that are written one after the other at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// Each alone: the stack may answer it before it sees the next.
    Single,
    /// Together, as a link brings them that merges interrupts.
    Batched,
}

impl Default for ScriptOptions {
    fn default() -> Self {
        Self {
            config: Config::default(),
            memory: MemoryLimits::default(),
            versions: IpVersion::ALL.to_vec(),
            mtu_change: 0,
            tolerance: Duration::ZERO,
            arrivals: Arrivals::Single,
            syn_cookies: SynCookies::WhenFull,
            syn_queue: None,
            overflow: Overflow::Drop,
        }
    }
}

impl ScriptOptions {
    /// Sets an option, written `name=value`. Times are in seconds, sizes in bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn set(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = option.split_once('=').ok_or_else(|| format!("`--{option}` has no value"))?;
        let (name, value) = (name.trim(), value.trim());
        let config = &mut self.config;
        match name {
            "ip_version" if value == "ipv4" => self.versions = vec![IpVersion::V4],
            "ip_version" if value == "ipv6" => self.versions = vec![IpVersion::V6],
            // Of an IPv4 link; that of IPv6 is 20 bytes larger.
            "mtu" => self.mtu_change = parse_number::<i32>(value)? - 1500,
            "tolerance_usecs" => self.tolerance = Duration::from_micros(parse_number(value)?),
            "arrivals" if value == "batched" => self.arrivals = Arrivals::Batched,
            "profile" if value == "strict" => *config = Config::strict(),
            "initial_window" => config.initial_window_segments = parse_number(value)?,
            "quick_acks" => config.quick_acks = parse_number(value)?,
            "max_gaps" => config.max_gaps = parse_number(value)?,
            "r1" => config.r1_retransmissions = parse_number(value)?,
            "r2" if value == "never" => config.r2 = None,
            "r2" => config.r2 = Some(parse_seconds(value)?),
            "r2_syn" => config.r2_syn = Some(parse_seconds(value)?),
            "msl" => config.msl = parse_seconds(value)?,
            "rto_min" => config.rto_min = parse_seconds(value)?,
            "rto_max" => config.rto_max = parse_seconds(value)?,
            "delayed_ack" => config.delayed_ack = parse_seconds(value)?,
            "cork_timeout" => config.cork_timeout = parse_seconds(value)?,
            "scarce_memory_patience" => config.scarce_memory_patience = parse_seconds(value)?,
            "persist_max" => config.persist_max = parse_seconds(value)?,
            _ => return Err(format!("`--{name}={value}` is no option")),
        }
        Ok(())
    }

    /// Sets what Linux' `sysctl` calls `name`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn set_sysctl(&mut self, name: &str, value: &str) -> Result<(), String> {
        let config = &mut self.config;
        // Least, default and greatest size.
        let size = |index| {
            let size = value.split_whitespace().nth(index);
            size.ok_or_else(|| format!("`{value}` is not three sizes")).and_then(parse_number)
        };
        match name.trim_start_matches("net.ipv4.") {
            "tcp_timestamps" => config.timestamps = parse_switch(value)?,
            "tcp_sack" => config.sack = parse_switch(value)?,
            "tcp_window_scaling" => config.window_scaling = parse_switch(value)?,
            "tcp_rmem" => {
                (config.receive_buffer_bytes, config.receive_buffer_max_bytes) = (size(1)?, size(2)?);
            }
            "tcp_mem" => {
                let pages = |index| size(index).map(|pages: u32| u64::from(pages) * PAGE_BYTES);
                let (low_bytes, pressure_bytes, high_bytes) = (pages(0)?, pages(1)?, pages(2)?);
                self.memory = MemoryLimits { low_bytes, pressure_bytes, high_bytes };
            }
            "tcp_wmem" => (config.send_buffer_bytes, config.send_buffer_max_bytes) = (size(1)?, size(2)?),
            "tcp_syncookies" => {
                self.syn_cookies = match value {
                    "0" => SynCookies::Off,
                    "1" => SynCookies::WhenFull,
                    "2" => SynCookies::Always,
                    _ => return Err(format!("`{value}` is neither 0 nor 1 nor 2")),
                }
            }
            "tcp_max_syn_backlog" => self.syn_queue = Some(parse_number(value)?),
            "tcp_abort_on_overflow" => {
                self.overflow = if parse_switch(value)? { Overflow::Reset } else { Overflow::Drop };
            }
            "tcp_fin_timeout" => config.orphan_timeout = parse_seconds(value)?,
            "tcp_ecn" => {
                config.ecn = match value {
                    "0" => EcnPolicy::Off,
                    "1" => EcnPolicy::Request,
                    "2" => EcnPolicy::Accept,
                    _ => return Err(format!("`{value}` is neither 0 nor 1 nor 2")),
                }
            }
            "tcp_congestion_control" => config.congestion_control = parse_congestion(value)?,
            _ => return Err(format!("`{name}` is no setting of ours")),
        }
        Ok(())
    }
}

/// The congestion control of a name.
pub(crate) fn parse_congestion(name: &str) -> Result<CongestionControl, String> {
    match name {
        "reno" => Ok(CongestionControl::NewReno),
        "cubic" => Ok(CongestionControl::Cubic),
        "bbr" => Ok(CongestionControl::Bbr),
        _ => Err(format!("`{name}` is no congestion control of ours")),
    }
}

/// 1 or 0.
fn parse_switch(value: &str) -> Result<bool, String> {
    match value {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(format!("`{value}` is neither 0 nor 1")),
    }
}

/// Decimal seconds.
pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = parse_number(text)?;
    if !(0.0..1e9).contains(&seconds) {
        return Err(format!("{text} s is no time"));
    }
    // Whole nanoseconds: 0.3 is not what it seems in binary.
    Ok(Duration::from_nanos((seconds * 1e9).round() as u64))
}

/// A number of any kind.
pub(crate) fn parse_number<T: FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("`{}` is no number that fits here", text.trim()))
}
