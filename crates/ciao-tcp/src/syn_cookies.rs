//! SYN cookies: a half-open connection without a record. What the record would hold travels in the numbers of
//! our SYN-ACK and comes back with the ACK (RFC 4987 §3.6).
//!
//! The initial sequence number is a keyed hash of everything that must not be forged, with the class of the
//! peer's MSS in its low bits. Window scale, SACK and ECN lie in the low bits of our timestamp, as in Linux;
//! a peer without timestamps does without them. Nothing is kept before the ACK: neither a record nor a count.
//!
//! The price: who keeps nothing cannot know an acknowledgment that comes twice. A delayed copy of the segment
//! that completed the handshake, data included, opens the connection once more if the first one is gone
//! without TIME-WAIT on our side and the cookie is still good. Linux has that too; it is why cookies are for
//! floods.
//!
//! When to answer with a cookie is the host's decision. A record in the usual way is in [`crate::listener`].

use crate::config::{Config, EcnPolicy, SocketOptions};
use crate::connection::Setup;
use crate::isn::{Purpose, Secret, keyed_hash};
use crate::listener::HalfOpen;
use crate::segment::{Segment, SegmentOut};
use ciao_wire::{Instant, SeqNum};
use core::net::SocketAddr;
use core::time::Duration;

/// How long a cookie's slot lasts; it is good in its own and in the next one.
const SLOT: Duration = Duration::from_secs(64);
/// After this time no cookie is good any more: two slots (RFC 4987 §3.6 asks for minutes at most).
// RFC 4987 §3.6 4987-2
pub const LIFETIME: Duration = Duration::from_secs(2 * SLOT.as_secs());

/// The MSS that a cookie can say, in three bits: the greatest that is not above the peer's. The least MSS
/// that we send in, those of RFC 9293 §3.7.1 for a peer that says none, usual tunnels, Ethernet with IPv6 and
/// IPv4, and jumbo frames.
const MSS_CLASSES: [u16; 1 << CLASS_BITS] = [88, 536, 1220, 1360, 1400, 1440, 1460, 8960];
const CLASS_BITS: u32 = 3;

/// What the low bits of a timestamp say: four bits of window scale, one of SACK, one of ECN.
const TIMESTAMP_BITS: u32 = 6;
const SCALE_MASK: u32 = 0b1111;
/// The peer does not scale: no shift is that large.
const NO_SCALE: u32 = 0b1111;
const SACK_BIT: u32 = 1 << 4;
const ECN_BIT: u32 = 1 << 5;

/// How many bits of a cookie vouch for the connection alone, whatever the number of the peer's SYN.
const ENDS_BITS: u32 = 13;

/// What an acknowledgment to a listener is.
#[derive(Debug)]
pub enum Cookie {
    /// One that brings a cookie back: `establish` makes a connection of this record.
    Good(HalfOpen),
    /// It acknowledges a cookie of ours, but does not begin behind the peer's SYN: what comes before was lost
    /// or is late, and will come again. A RST would end a connection that the peer has good reason to believe
    /// in.
    Early,
    /// It is forged, or too late.
    Bad,
}

/// The two ends of a connection, ours first.
pub type Ends = (SocketAddr, SocketAddr);

impl HalfOpen {
    /// The SYN-ACK with a cookie in the place of a record, in answer to an acceptable `syn`.
    // RFC 4987 §3.6 4987-2
    #[must_use]
    pub fn cookie_syn_ack(
        (now, secret): (Instant, &Secret),
        ends: Ends,
        config: &Config,
        options: &SocketOptions,
        mut setup: Setup,
        syn: &Segment,
    ) -> SegmentOut {
        let mss = syn.header.options.mss.unwrap_or(setup.default_mss);
        let fitting = (0..).zip(MSS_CLASSES).filter(|(_, least)| *least <= mss);
        let class = fitting.last().map_or(0, |(class, _)| class);
        setup.iss = sequence(secret, ends, syn.header.seq, slot(now), class);
        let mut record = Self::new(now, config, options, &setup, syn);
        if record.timestamp_recent.is_none() {
            (record.peer_shift, record.sack, record.ecn) = (None, false, false);
        }
        let bits = record.peer_shift.map_or(NO_SCALE, u32::from).min(NO_SCALE)
            | if record.sack { SACK_BIT } else { 0 }
            | if record.ecn { ECN_BIT } else { 0 };
        let mut segment = record.poll_transmit(now, config).expect("a new record owes its SYN-ACK");
        if let Some(timestamps) = &mut segment.header.options.timestamps {
            timestamps.value = with_bits(timestamps.value, bits);
        }
        segment
    }

    /// What an acknowledgment that belongs to no connection says of the cookies that we have sent.
    // RFC 4987 §3.6 4987-2
    #[must_use]
    pub fn from_cookie(
        (now, secret): (Instant, &Secret),
        ends: Ends,
        config: &Config,
        options: &SocketOptions,
        mut setup: Setup,
        ack: &Segment,
    ) -> Cookie {
        let header = &ack.header;
        setup.iss = header.ack - 1;
        let irs = header.seq - 1;
        let class = (setup.iss.0 & ((1 << CLASS_BITS) - 1)) as u8;
        let slots = [Some(slot(now)), slot(now).checked_sub(1)];
        let differences =
            slots.map(|slot| slot.map(|slot| sequence(secret, ends, irs, slot, class).0 ^ setup.iss.0));
        if !differences.contains(&Some(0)) {
            let of_ends = ((1 << ENDS_BITS) - 1) << CLASS_BITS;
            let is_early = differences.iter().flatten().any(|difference| difference & of_ends == 0);
            return if is_early { Cookie::Early } else { Cookie::Bad };
        }
        // The record of a SYN with just those options.
        let mut syn = Segment { header: header.clone(), ..Segment::default() };
        syn.header.seq = irs;
        syn.header.options.mss = Some(MSS_CLASSES[usize::from(class)]);
        let bits = header.options.timestamps.map_or(NO_SCALE, |timestamps| timestamps.echo);
        let shift = bits & SCALE_MASK;
        syn.header.options.window_scale = (shift != NO_SCALE).then_some(shift as u8);
        syn.header.options.sack_permitted = bits & SACK_BIT != 0;
        let mut record = Self::new(now, config, options, &setup, &syn);
        record.owed = false;
        // Whoever forges the bit gains nothing but that we answer marks.
        record.ecn = bits & ECN_BIT != 0 && config.ecn != EcnPolicy::Off;
        Cookie::Good(record)
    }
}

/// The initial sequence number that is the cookie: above the class, 13 bits that vouch for the two ends and
/// 16 that vouch for the number of the peer's SYN too. None of these 29 can be guessed.
fn sequence(secret: &Secret, (local, remote): Ends, irs: SeqNum, slot: u64, class: u8) -> SeqNum {
    let mut vouched_for = [0; 13];
    vouched_for[..8].copy_from_slice(&slot.to_be_bytes());
    vouched_for[8] = class;
    let lower_half_of = |hash: u64| (hash & 0xffff_ffff) as u32;
    let of_ends = lower_half_of(keyed_hash(secret, Purpose::SynCookie, local, remote, &vouched_for[..9]));
    vouched_for[9..].copy_from_slice(&irs.0.to_be_bytes());
    let of_all = lower_half_of(keyed_hash(secret, Purpose::SynCookie, local, remote, &vouched_for));
    let of_ends = of_ends & ((1 << ENDS_BITS) - 1);
    SeqNum(of_all << (ENDS_BITS + CLASS_BITS) | of_ends << CLASS_BITS | u32::from(class))
}

fn slot(now: Instant) -> u64 {
    now.as_millis() / 1000 / SLOT.as_secs()
}

/// The latest timestamp not after `value` that ends in `bits`: at most 63 ms earlier.
fn with_bits(value: u32, bits: u32) -> u32 {
    let candidate = value & !((1 << TIMESTAMP_BITS) - 1) | bits;
    if candidate.wrapping_sub(value).cast_signed() > 0 {
        candidate.wrapping_sub(1 << TIMESTAMP_BITS)
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Tracing;
    use ciao_wire::{TcpFlags, TcpHeader, TcpOptions, Timestamps};

    const SECRET: Secret = Secret::new(*b"sixteen bytes!!!");

    fn ends() -> Ends {
        (([192, 0, 2, 1], 80).into(), ([198, 51, 100, 7], 40_000).into())
    }

    fn setup() -> Setup {
        Setup {
            local_port: 80,
            remote_port: 40_000,
            iss: SeqNum(0),
            timestamp_offset: 0x1234_5678,
            announce_mss: 8960,
            default_mss: 536,
            tracing: Tracing::Off,
        }
    }

    fn segment(flags: TcpFlags, seq: SeqNum, ack: SeqNum, options: TcpOptions) -> Segment {
        let header = TcpHeader { flags, seq, ack, window: 1000, options, ..TcpHeader::default() };
        Segment { header, ..Segment::default() }
    }

    // RFC 4987 §3.6 4987-2
    #[test]
    fn every_combination_of_options_comes_back() {
        let config = Config::default();
        let now = Instant::from_secs(1000);
        for (mss, shift, sack_permitted, with_timestamps) in MSS_CLASSES.iter().flat_map(|mss| {
            [None, Some(0), Some(7), Some(14)].into_iter().flat_map(move |shift| {
                [(false, false), (false, true), (true, false), (true, true)]
                    .map(|(sack, timestamps)| (*mss, shift, sack, timestamps))
            })
        }) {
            let timestamps = with_timestamps.then_some(Timestamps { value: 77, echo: 0 });
            let offered = TcpOptions {
                mss: Some(mss),
                window_scale: shift,
                sack_permitted,
                timestamps,
                ..TcpOptions::default()
            };
            let syn = segment(TcpFlags::SYN, SeqNum(5), SeqNum(0), offered);
            let options = SocketOptions::default();
            let answer = HalfOpen::cookie_syn_ack((now, &SECRET), ends(), &config, &options, setup(), &syn);
            let echo =
                answer.header.options.timestamps.map(|ours| Timestamps { value: 78, echo: ours.value });
            let options_back = TcpOptions { timestamps: echo, ..TcpOptions::default() };
            let ack = segment(TcpFlags::ACK, SeqNum(6), answer.header.seq + 1, options_back);
            let cookie = HalfOpen::from_cookie((now, &SECRET), ends(), &config, &options, setup(), &ack);
            let Cookie::Good(record) = cookie else { panic!("{cookie:?}") };
            assert_eq!(record.peer_shift, shift.filter(|_| with_timestamps));
            assert_eq!(record.sack, sack_permitted && with_timestamps);
            assert_eq!(record.timestamp_recent, with_timestamps.then_some(78));
            let offers = answer.header.options;
            assert_eq!(offers.window_scale.is_some(), record.peer_shift.is_some());
            assert_eq!(offers.sack_permitted, record.sack);
        }
    }

    // RFC 4987 §3.6 4987-2
    #[test]
    fn of_many_forged_acknowledgments_none_is_taken() {
        let config = Config::default();
        let options = SocketOptions::default();
        let now = Instant::from_secs(1000);
        // One in 2^28 is expected to be good: 29 bits are checked, in two slots.
        for n in 0..200_000_u32 {
            let number = SeqNum(n.wrapping_mul(0x9e37_79b9));
            let ack = segment(TcpFlags::ACK, SeqNum(6), number, TcpOptions::default());
            let cookie = HalfOpen::from_cookie((now, &SECRET), ends(), &config, &options, setup(), &ack);
            assert!(!matches!(cookie, Cookie::Good(_)), "{number:?}");
        }
    }

    #[test]
    fn a_timestamp_with_bits_is_never_late_and_at_most_63_ms_early() {
        for value in [0, 1, 23, 24, 25, 63, 64, 1000, u32::MAX - 40, u32::MAX] {
            for bits in 0..1 << TIMESTAMP_BITS {
                let with = with_bits(value, bits);
                assert_eq!(with & 63, bits);
                assert!(value.wrapping_sub(with) < 64, "{value} {bits}");
            }
        }
    }
}
