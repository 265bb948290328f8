//! Which options may stand on top of a script? [`ScriptOptions`], `--name=value`.

use crate::parse::{parse_number, parse_seconds};
use ciao_tcp::Config;
use ciao_tcp::config::SocketOptions;
use ciao_tcp::congestion::CongestionControl;
use core::time::Duration;

/// Headers of IPv4 and TCP, and of IPv6 and TCP, in bytes.
const HEADERS_V4: u16 = 40;
const HEADERS_V6: u16 = 60;

/// What a script sets before it begins.
#[derive(Clone, Debug)]
pub struct ScriptOptions {
    /// The configuration of the host.
    pub config: Config,
    /// The options that the socket starts with.
    pub socket: SocketOptions,
    /// The listener keeps no records and answers with SYN cookies.
    pub syn_cookies: bool,
    /// The MSS that is announced.
    pub announce_mss: u16,
    /// The MSS without an announcement of the peer's.
    pub default_mss: u16,
    /// How much earlier or later than written something may be sent.
    pub tolerance: Duration,
}

impl Default for ScriptOptions {
    fn default() -> Self {
        Self {
            config: Config::default(),
            socket: SocketOptions::default(),
            syn_cookies: false,
            announce_mss: 1500 - HEADERS_V4,
            default_mss: 536,
            tolerance: Duration::ZERO,
        }
    }
}

impl ScriptOptions {
    /// Sets one, written `name=value`. Times are in seconds, sizes in bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn set(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = option.split_once('=').ok_or_else(|| format!("`--{option}` has no value"))?;
        let (name, value) = (name.trim(), value.trim());
        let config = &mut self.config;
        match name {
            "profile" if value == "strict" => *config = Config::strict(),
            "ip_version" if value == "ipv6" => {
                self.announce_mss = self.announce_mss + HEADERS_V4 - HEADERS_V6;
                self.default_mss = 1220;
            }
            "mss" => self.announce_mss = parse_number(value)?,
            "tolerance_usecs" => self.tolerance = Duration::from_micros(parse_number(value)?),
            "timestamps" => config.timestamps = parse_switch(value)?,
            "sack" => config.sack = parse_switch(value)?,
            "window_scaling" => config.window_scaling = parse_switch(value)?,
            "syn_cookies" => self.syn_cookies = parse_switch(value)?,
            "nodelay" => self.socket.nodelay = parse_switch(value)?,
            "send_buffer" => {
                config.send_buffer_bytes = parse_number(value)?;
                config.send_buffer_max_bytes = config.send_buffer_bytes;
            }
            "receive_buffer" => {
                config.receive_buffer_bytes = parse_number(value)?;
                config.receive_buffer_max_bytes = config.receive_buffer_bytes;
            }
            "send_buffer_max" => config.send_buffer_max_bytes = parse_number(value)?,
            "receive_buffer_max" => config.receive_buffer_max_bytes = parse_number(value)?,
            "initial_window" => config.initial_window_segments = parse_number(value)?,
            "congestion" if value == "reno" => config.congestion_control = CongestionControl::NewReno,
            "congestion" if value == "cubic" => config.congestion_control = CongestionControl::Cubic,
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
            "persist_max" => config.persist_max = parse_seconds(value)?,
            "orphan_timeout" => config.orphan_timeout = parse_seconds(value)?,
            _ => return Err(format!("`--{name}={value}` is no option")),
        }
        Ok(())
    }
}

/// `on` or `off`, also as 1 or 0.
pub(crate) fn parse_switch(value: &str) -> Result<bool, String> {
    match value {
        "on" | "1" => Ok(true),
        "off" | "0" => Ok(false),
        _ => Err(format!("`{value}` is neither `on` nor `off`")),
    }
}
