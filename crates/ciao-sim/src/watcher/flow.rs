//! What one end has sent to another, and which of its next segments would break a rule.

use super::Seen;
use ciao_wire::{Instant, SeqNum, TcpHeader, TcpOptions};
use std::time::Duration;

/// What a peer takes that names no MSS (RFC 9293 §3.7.1 MUST-15).
const DEFAULT_MSS_IPV4: u16 = 536;
const DEFAULT_MSS_IPV6: u16 = 1220;
/// How long an acknowledgment may wait (RFC 9293 §3.8.6.3 MUST-40: less than half a second).
const MAX_ACK_DELAY: Duration = Duration::from_millis(500);
/// Bytes beyond the window that a probe may carry (RFC 9293 §3.8.6.1).
const PROBE_BYTES: u32 = 1;

/// One direction of a connection.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    iss: SeqNum,
    /// What the SYN offered.
    syn: TcpOptions,
    /// Behind the last number sent.
    end: SeqNum,
    /// The number of the FIN.
    fin: Option<SeqNum>,
    /// The data from `iss + 1` on, as it was sent first.
    data: Vec<u8>,
    /// The last acknowledgment.
    ack: Option<SeqNum>,
    /// Behind the last number that this end lets the other one send.
    right_edge: Option<SeqNum>,
    /// The last TSval.
    timestamp: Option<u32>,
    /// The last number of its own that this end knows to have arrived.
    acknowledged: SeqNum,
    /// When data that has arrived in order must be acknowledged.
    acknowledge_by: Option<Instant>,
    /// The other end has begun a new connection: what this end still says belongs to the old one.
    is_stale: bool,
}

impl Flow {
    pub(super) fn new(seen: &Seen<'_>) -> Self {
        Self {
            iss: seen.tcp.seq,
            syn: seen.tcp.options,
            end: seen.tcp.seq,
            fin: None,
            data: Vec::new(),
            ack: None,
            right_edge: None,
            timestamp: None,
            acknowledged: seen.tcp.seq,
            acknowledge_by: None,
            is_stale: false,
        }
    }

    pub(super) fn begins_with(&self, iss: SeqNum) -> bool {
        self.iss == iss && !self.is_stale
    }

    /// The other end sent a SYN of a new connection. When this end has not acknowledged anything yet, its own
    /// SYN belongs to the same one.
    pub(super) fn peer_began_anew(&mut self) {
        self.is_stale |= self.ack.is_some();
    }

    /// Data has arrived at this end. What is next in order must be acknowledged in time. Duplicates, what
    /// comes from beyond a gap, and segments so late that their own acknowledgment may be too old (RFC 5961
    /// §5.2) are not judged.
    // RFC 9293 §3.8.6.3 MUST-40
    pub(super) fn data_arrived(&mut self, now: Instant, seen: &Seen<'_>) {
        if seen.tcp.flags.rst() {
            return self.forget_debts();
        }
        let Ok(len) = u32::try_from(seen.data.len()) else { return };
        let is_late = seen.tcp.ack.before(self.acknowledged);
        self.acknowledged = self.acknowledged.latest(seen.tcp.ack);
        let fits = self.right_edge.is_some_and(|edge| (seen.tcp.seq + len).at_or_before(edge));
        if len > 0
            && fits
            && !is_late
            && self.ack == Some(seen.tcp.seq)
            && !self.is_stale
            && seen.tcp.flags.ack()
        {
            self.acknowledge_by.get_or_insert(now + MAX_ACK_DELAY);
        }
    }

    /// What is overdue at `now`.
    pub(super) fn check_delay(&self, now: Instant) -> Result<(), String> {
        match self.acknowledge_by {
            Some(at) if at < now => Err(format!("data that arrived in order was to be acknowledged by {at}")),
            _ => Ok(()),
        }
    }

    /// The host has lost its memory, or was told that the other one has: it owes nothing any more.
    pub(super) fn forget_debts(&mut self) {
        self.acknowledge_by = None;
    }

    /// `reverse` is what the other end has sent.
    pub(super) fn check(&mut self, seen: &Seen<'_>, reverse: Option<&Self>) -> Result<(), String> {
        if seen.tcp.flags.ack() || seen.tcp.flags.rst() {
            self.acknowledge_by = None;
        }
        if self.is_stale || seen.tcp.flags.rst() {
            return Ok(());
        }
        let reverse = reverse.filter(|reverse| !reverse.is_stale);
        self.check_options(seen, reverse)?;
        self.check_sequence(seen, reverse)?;
        if seen.tcp.flags.ack()
            && let Some(reverse) = reverse
        {
            self.check_acknowledgment(&seen.tcp, reverse)?;
            self.check_sack(&seen.tcp, reverse)?;
        }
        Ok(())
    }

    fn check_options(&mut self, seen: &Seen<'_>, reverse: Option<&Self>) -> Result<(), String> {
        let TcpOptions {
            mss,
            window_scale,
            sack_permitted,
            timestamps,
            sack: _,
            user_timeout: _,
            fast_open,
            unknown,
        } = seen.tcp.options;
        if unknown > 0 {
            return Err("an option that nobody knows".into());
        }
        if seen.tcp.flags.syn() {
            return Ok(());
        }
        // RFC 9293 §3.2 MUST-65
        if mss.is_some() || window_scale.is_some() || sack_permitted || fast_open.is_some() {
            return Err("an option of the SYN in another segment".into());
        }
        let Some(reverse) = reverse else { return Ok(()) };
        let both = self.syn.timestamps.is_some() && reverse.syn.timestamps.is_some();
        match timestamps {
            Some(_) if !both => return Err("timestamps without both SYNs offering them".into()),
            None if both => return Err("no timestamps although both SYNs offered them".into()),
            _ => {}
        }
        if let (Some(now), Some(before)) = (timestamps, self.timestamp)
            && now.value.wrapping_sub(before).cast_signed() < 0
        {
            return Err(format!("TSval went back from {before} to {}", now.value));
        }
        self.timestamp = timestamps.map(|timestamps| timestamps.value).or(self.timestamp);
        // RFC 9293 §3.7.1 MUST-15, MUST-16
        let default = if seen.is_ipv4 { DEFAULT_MSS_IPV4 } else { DEFAULT_MSS_IPV6 };
        let mss = reverse.syn.mss.unwrap_or(default);
        if seen.data.len() + seen.option_bytes > usize::from(mss) {
            return Err(format!(
                "{} bytes with options, the peer takes {mss}",
                seen.data.len() + seen.option_bytes
            ));
        }
        Ok(())
    }

    fn check_sequence(&mut self, seen: &Seen<'_>, reverse: Option<&Self>) -> Result<(), String> {
        let (tcp, data) = (&seen.tcp, seen.data);
        let len = u32::try_from(data.len()).map_err(|error| error.to_string())?;
        let start = tcp.seq + u32::from(tcp.flags.syn());
        let data_end = start + len;
        let end = data_end + u32::from(tcp.flags.fin());
        if tcp.seq.after(self.end) {
            return Err(format!("{} leaves a gap behind {}", tcp.seq, self.end));
        }
        if let Some(edge) = reverse.and_then(|reverse| reverse.right_edge)
            && !data.is_empty()
            && data_end.after(edge + PROBE_BYTES)
        {
            return Err(format!("data up to {data_end} exceeds the window, which ends at {edge}"));
        }
        match self.fin {
            Some(fin) if tcp.flags.fin() && data_end != fin => {
                return Err(format!("FIN moved from {fin} to {data_end}"));
            }
            Some(fin) if !data.is_empty() && data_end.after(fin) => {
                return Err(format!("data up to {data_end} behind the FIN at {fin}"));
            }
            None if tcp.flags.fin() => {
                if data_end.before(self.end) {
                    return Err(format!("FIN at {data_end}, but data up to {} was sent", self.end));
                }
                self.fin = Some(data_end);
            }
            _ => {}
        }
        self.check_data(start, data)?;
        self.end = self.end.latest(end);
        Ok(())
    }

    /// What is sent again must be what was sent first.
    fn check_data(&mut self, start: SeqNum, data: &[u8]) -> Result<(), String> {
        if data.is_empty() {
            return Ok(());
        }
        let offset = start.offset_from(self.iss + 1);
        // A keep-alive probe may carry a byte from before the window (RFC 9293 §3.8.4).
        let Ok(offset) = usize::try_from(offset) else { return Ok(()) };
        let known = self.data.len().saturating_sub(offset).min(data.len());
        if data[..known] != self.data[offset..offset + known] {
            return Err(format!("other bytes than the first time in {} from {start}", data.len()));
        }
        self.data.extend_from_slice(&data[known..]);
        Ok(())
    }

    fn check_acknowledgment(&mut self, tcp: &TcpHeader, reverse: &Self) -> Result<(), String> {
        if tcp.ack.after(reverse.end) {
            return Err(format!("acknowledges {}, only {} was sent", tcp.ack, reverse.end));
        }
        if let Some(before) = self.ack.filter(|before| tcp.ack.before(*before)) {
            return Err(format!("the acknowledgment went back from {before} to {}", tcp.ack));
        }
        self.ack = Some(tcp.ack);
        // RFC 7323 §2.2 7323-2a, §2.3: the window of a SYN is never scaled
        let shift = match (self.syn.window_scale, reverse.syn.window_scale) {
            (Some(shift), Some(_)) if !tcp.flags.syn() => shift.min(14),
            _ => 0,
        };
        let edge = tcp.ack + (u32::from(tcp.window) << shift);
        // RFC 7323 §2.4: what the field cannot say for its scale may be missing from the edge.
        let rounding = (1 << shift) - 1;
        // Once the peer's FIN is acknowledged, no window means anything.
        let is_over = reverse.fin.is_some_and(|fin| tcp.ack.after(fin));
        if let Some(before) = self.right_edge.filter(|before| (edge + rounding).before(*before) && !is_over) {
            return Err(format!("the window's right edge went back from {before} to {edge}"));
        }
        self.right_edge = Some(self.right_edge.map_or(edge, |before| edge.latest(before)));
        Ok(())
    }

    fn check_sack(&self, tcp: &TcpHeader, reverse: &Self) -> Result<(), String> {
        let blocks = tcp.options.sack.as_slice();
        let is_permitted = self.syn.sack_permitted && reverse.syn.sack_permitted;
        if !is_permitted && !blocks.is_empty() {
            return Err("SACK blocks without both SYNs permitting them".into());
        }
        for (index, block) in blocks.iter().enumerate() {
            let (start, end) = (block.start, block.end);
            // The first block may tell of a duplicate (RFC 2883 §4).
            let floor = if index == 0 { reverse.iss + 1 } else { tcp.ack };
            if !start.before(end) || end.after(reverse.end) || start.before(floor) {
                return Err(format!("a SACK block {start}:{end} outside {floor}..{}", reverse.end));
            }
        }
        Ok(())
    }
}
