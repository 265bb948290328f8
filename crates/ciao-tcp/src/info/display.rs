//! How is a [`TcpInfo`] printed? On one line, in the words and the order of `ss -ti`. What is zero and says
//! nothing by being so is left out, as there.

use super::TcpInfo;
use core::fmt;
use core::time::Duration;

/// Milliseconds, with as many digits behind the point as there are microseconds to tell.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        write!(f, "{}", micros / 1000)?;
        match micros % 1000 {
            0 => Ok(()),
            rest if rest % 100 == 0 => write!(f, ".{}", rest / 100),
            rest if rest % 10 == 0 => write!(f, ".{:02}", rest / 10),
            rest => write!(f, ".{rest:03}"),
        }
    }
}

/// Bits a second, with the prefix that leaves at most three digits before the point.
struct Rate {
    bytes_per_s: u64,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from(self.bytes_per_s) * 8;
        let (unit, prefix) = match bits {
            1_000_000_000.. => (1_000_000_000, "G"),
            1_000_000.. => (1_000_000, "M"),
            1_000.. => (1_000, "K"),
            _ => return write!(f, "{bits}bps"),
        };
        match bits * 10 / unit % 10 {
            0 => write!(f, "{}{prefix}bps", bits / unit),
            tenth => write!(f, "{}.{tenth}{prefix}bps", bits / unit),
        }
    }
}

impl fmt::Display for TcpInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.agreed(f)?;
        self.path(f)?;
        self.totals(f)?;
        self.rates(f)?;
        self.flight(f)?;
        self.receiver(f)?;
        write!(f, " snd_wnd:{} rcv_wnd:{}", self.snd_wnd, self.rcv_wnd)
    }
}

fn unless_zero(f: &mut fmt::Formatter<'_>, name: &str, value: u64) -> fmt::Result {
    if value == 0 { Ok(()) } else { write!(f, " {name}:{value}") }
}

impl TcpInfo {
    fn agreed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, is_agreed) in
            [("ts ", self.options.timestamps), ("sack ", self.options.sack), ("ecn ", self.options.ecn)]
        {
            f.write_str(if is_agreed { name } else { "" })?;
        }
        f.write_str(self.congestion_control.name())?;
        if self.options.wscale {
            write!(f, " wscale:{},{}", self.snd_wscale, self.rcv_wscale)?;
        }
        Ok(())
    }

    fn path(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " rto:{}", Millis(self.rto))?;
        unless_zero(f, "backoff", self.backoff.into())?;
        if !self.rtt.is_zero() {
            write!(f, " rtt:{}/{}", Millis(self.rtt), Millis(self.rttvar))?;
        }
        if !self.ato.is_zero() {
            write!(f, " ato:{}", Millis(self.ato))?;
        }
        write!(f, " mss:{}", self.snd_mss)?;
        unless_zero(f, "pmtu", self.pmtu.into())?;
        write!(f, " rcvmss:{} advmss:{} cwnd:{}", self.rcv_mss, self.advmss, self.snd_cwnd)?;
        match self.snd_ssthresh {
            Self::INFINITE_SSTHRESH => Ok(()),
            segments => write!(f, " ssthresh:{segments}"),
        }
    }

    fn totals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unless_zero(f, "bytes_sent", self.bytes_sent)?;
        unless_zero(f, "bytes_retrans", self.bytes_retrans)?;
        unless_zero(f, "bytes_acked", self.bytes_acked)?;
        unless_zero(f, "bytes_received", self.bytes_received)?;
        unless_zero(f, "segs_out", self.segs_out.into())?;
        unless_zero(f, "segs_in", self.segs_in.into())?;
        unless_zero(f, "data_segs_out", self.data_segs_out.into())?;
        unless_zero(f, "data_segs_in", self.data_segs_in.into())
    }

    fn rates(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.rtt.is_zero() {
            let window = u128::from(self.snd_cwnd) * u128::from(self.snd_mss);
            let bytes_per_s = window * 1_000_000_000 / self.rtt.as_nanos();
            let bytes_per_s = u64::try_from(bytes_per_s).unwrap_or(u64::MAX);
            write!(f, " send {}", Rate { bytes_per_s })?;
        }
        unless_zero(f, "lastsnd", millis(self.last_data_sent))?;
        unless_zero(f, "lastrcv", millis(self.last_data_recv))?;
        unless_zero(f, "lastack", millis(self.last_ack_recv))?;
        for (name, bytes_per_s) in [("pacing_rate", self.pacing_rate), ("delivery_rate", self.delivery_rate)]
        {
            if bytes_per_s > 0 {
                write!(f, " {name} {}", Rate { bytes_per_s })?;
            }
        }
        unless_zero(f, "delivered", self.delivered.into())?;
        unless_zero(f, "delivered_ce", self.delivered_ce.into())?;
        f.write_str(if self.delivery_rate_app_limited { " app_limited" } else { "" })?;
        if self.busy_time.is_zero() {
            return Ok(());
        }
        write!(f, " busy:{}ms", millis(self.busy_time))?;
        for (name, part) in [("rwnd_limited", self.rwnd_limited), ("sndbuf_limited", self.sndbuf_limited)] {
            if !part.is_zero() {
                let tenths = part.as_nanos() * 1000 / self.busy_time.as_nanos();
                write!(f, " {name}:{}ms({}.{}%)", millis(part), tenths / 10, tenths % 10)?;
            }
        }
        Ok(())
    }

    fn flight(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unless_zero(f, "unacked", self.unacked.into())?;
        if self.retrans > 0 || self.total_retrans > 0 {
            write!(f, " retrans:{}/{}", self.retrans, self.total_retrans)?;
        }
        unless_zero(f, "lost", self.lost.into())?;
        unless_zero(f, "sacked", self.sacked.into())?;
        unless_zero(f, "dsack_dups", self.dsack_dups.into())?;
        unless_zero(f, "fackets", self.fackets.into())?;
        if self.reordering != 3 {
            write!(f, " reordering:{}", self.reordering)?;
        }
        unless_zero(f, "reord_seen", self.reord_seen.into())
    }

    fn receiver(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.rcv_rtt.is_zero() {
            write!(f, " rcv_rtt:{}", Millis(self.rcv_rtt))?;
        }
        unless_zero(f, "rcv_space", self.rcv_space.into())?;
        unless_zero(f, "rcv_ssthresh", self.rcv_ssthresh.into())?;
        unless_zero(f, "notsent", self.notsent_bytes.into())?;
        if !self.min_rtt.is_zero() {
            write!(f, " minrtt:{}", Millis(self.min_rtt))?;
        }
        unless_zero(f, "rcv_ooopack", self.rcv_ooopack.into())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn times_and_rates_are_as_short_as_they_can_be() {
        for (micros, text) in
            [(0, "0"), (204_000, "204"), (20_500, "20.5"), (1_250, "1.25"), (35, "0.035"), (1_007, "1.007")]
        {
            assert_eq!(Millis(Duration::from_micros(micros)).to_string(), text);
        }
        for (bytes_per_s, text) in
            [(12, "96bps"), (125, "1Kbps"), (1_250_000, "10Mbps"), (193_750_000, "1.5Gbps"), (0, "0bps")]
        {
            assert_eq!(Rate { bytes_per_s }.to_string(), text);
        }
    }
}
