//! Which packet has which fate? Rules that pick packets by kind and number, so that a test can say "drop the
//! second FIN" and mean exactly that.

use ciao_wire::{IpHeader, Packet, Protocol, SeqNum, TcpHeader};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a packet is, told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketKind {
    /// Any packet at all.
    Any,
    /// SYN without ACK.
    Syn,
    /// SYN with ACK.
    SynAck,
    /// FIN, with or without data.
    Fin,
    /// RST.
    Reset,
    /// TCP data, with or without FIN.
    Data,
    /// TCP data of which the link has not carried the last byte before. Only the rules of a link know what
    /// it has carried; a packet alone is taken for new.
    NewData,
    /// An acknowledgment and nothing else.
    PureAck,
    /// Not TCP.
    NotTcp,
}

impl PacketKind {
    /// True when the packet is of this kind. A packet can be of several.
    #[must_use]
    pub fn fits(self, packet: &Packet) -> bool {
        if self == Self::Any {
            return true;
        }
        let Some((tcp, data_len)) = tcp_header(packet) else {
            return self == Self::NotTcp;
        };
        let flags = tcp.flags;
        match self {
            Self::Any => true,
            Self::Syn => flags.syn() && !flags.ack(),
            Self::SynAck => flags.syn() && flags.ack(),
            Self::Fin => flags.fin(),
            Self::Reset => flags.rst(),
            Self::Data | Self::NewData => data_len > 0,
            Self::PureAck => data_len == 0 && flags.ack() && !flags.syn() && !flags.fin() && !flags.rst(),
            Self::NotTcp => false,
        }
    }
}

/// The TCP header of a packet, and how many bytes of data follow it.
#[must_use]
pub fn tcp_header(packet: &Packet) -> Option<(TcpHeader, usize)> {
    let whole;
    let bytes = if packet.payload.is_empty() {
        packet.head.as_slice()
    } else if packet.head.is_empty() && packet.payload.chunks().count() == 1 {
        packet.payload.chunks().next().expect("one piece was counted")
    } else if !packet.head.is_empty() {
        packet.head.as_slice()
    } else {
        whole = packet.to_vec();
        &whole
    };
    let (ip, ip_len) = IpHeader::parse(bytes).ok()?;
    if ip.protocol() != Protocol::TCP || ip.starts_inside() {
        return None;
    }
    let (tcp, tcp_len) = TcpHeader::parse(&bytes[ip_len..]).ok()?;
    Some((tcp, packet.len().saturating_sub(ip_len + tcp_len)))
}

/// What becomes of a packet that a rule picks, instead of what chance would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, whatever chance says.
    Deliver,
    /// It is lost.
    Drop,
    /// It arrives, and again so much later.
    Duplicate {
        /// How much later the copy comes.
        after: Duration,
    },
    /// It arrives so much later.
    Delay {
        /// In addition to the link's own delay.
        by: Duration,
    },
}

/// Picks packets of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Packets that count.
    pub kind: PacketKind,
    /// The first of them that is picked, from 1.
    pub first: u64,
    /// How many are picked from there on.
    pub count: u64,
    /// What becomes of them.
    pub fate: Fate,
}

impl Rule {
    /// Drops the `number`-th packet of a kind, from 1.
    #[must_use]
    pub const fn drop(kind: PacketKind, number: u64) -> Self {
        Self { kind, first: number, count: 1, fate: Fate::Drop }
    }

    /// Drops every packet of a kind.
    #[must_use]
    pub const fn drop_all(kind: PacketKind) -> Self {
        Self { kind, first: 1, count: u64::MAX, fate: Fate::Drop }
    }
}

/// The rules of one direction, with the packets each has seen. The first rule that picks a packet decides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    rules: Vec<(Rule, u64)>,
    /// For rules about new data: behind the last byte carried, by the two ports of a connection.
    carried: BTreeMap<(u16, u16), SeqNum>,
}

impl Script {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        Self { rules: rules.iter().map(|rule| (*rule, 0)).collect(), carried: BTreeMap::new() }
    }

    pub(crate) fn fate(&mut self, packet: &Packet) -> Option<Fate> {
        let mut fate = None;
        let asks_for_new = self.rules.iter().any(|(rule, _)| rule.kind == PacketKind::NewData);
        let is_new = asks_for_new && self.is_new(packet);
        for (rule, seen) in &mut self.rules {
            if rule.kind.fits(packet) && (rule.kind != PacketKind::NewData || is_new) {
                *seen += 1;
                if *seen >= rule.first && *seen - rule.first < rule.count && fate.is_none() {
                    fate = Some(rule.fate);
                }
            }
        }
        fate
    }

    /// Whether a packet has data beyond all that its connection has sent over the link so far.
    fn is_new(&mut self, packet: &Packet) -> bool {
        let Some((tcp, data_len)) = tcp_header(packet) else { return false };
        let Ok(data_len) = u32::try_from(data_len) else { return false };
        let connection = (tcp.source_port, tcp.destination_port);
        let end = tcp.seq + u32::from(tcp.flags.syn()) + data_len;
        let before = if tcp.flags.syn() { None } else { self.carried.get(&connection) };
        if before.is_some_and(|before| end.at_or_before(*before)) {
            return false;
        }
        self.carried.insert(connection, end);
        data_len > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ciao_wire::{Head, Ipv4Header, Payload, TcpFlags};
    use std::net::Ipv4Addr;

    fn packet(flags: TcpFlags, data: &'static [u8]) -> Packet {
        packet_at(0, flags, data)
    }

    fn packet_at(seq: u32, flags: TcpFlags, data: &'static [u8]) -> Packet {
        let address = Ipv4Addr::new(192, 0, 2, 1);
        let mut head = Head::zeroed(40);
        let total_len = u16::try_from(40 + data.len()).unwrap();
        Ipv4Header::new(Protocol::TCP, address, address, total_len).emit(head.as_mut_slice());
        TcpHeader { seq: SeqNum(seq), flags, ..TcpHeader::default() }.emit(&mut head.as_mut_slice()[20..]);
        let payload = Payload::from(Bytes::from_static(data));
        Packet { head, payload, ..Packet::from_bytes(Bytes::new()) }
    }

    #[test]
    fn kinds_fit_whether_the_headers_stand_in_the_head_or_in_the_payload() {
        use PacketKind::{Any, Data, Fin, NotTcp, PureAck, Reset, Syn, SynAck};
        let (ack, syn, fin, rst) = (TcpFlags::ACK, TcpFlags::SYN, TcpFlags::FIN, TcpFlags::RST);
        let no_data: &[u8] = b"";
        for (flags, data, kinds) in [
            (syn, no_data, &[Any, Syn][..]),
            (syn | ack, no_data, &[Any, SynAck]),
            (ack, no_data, &[Any, PureAck]),
            (ack, b"x", &[Any, Data]),
            (fin | ack, b"x", &[Any, Fin, Data]),
            (fin | ack, no_data, &[Any, Fin]),
            (rst, no_data, &[Any, Reset]),
        ] {
            let split = packet(flags, data);
            let whole = Packet::from_bytes(Bytes::from(split.to_vec()));
            for kind in [Any, Syn, SynAck, Fin, Reset, Data, PureAck, NotTcp] {
                assert_eq!(kind.fits(&split), kinds.contains(&kind), "{kind:?} {flags}");
                assert_eq!(kind.fits(&whole), kinds.contains(&kind), "{kind:?} {flags}");
            }
        }
        assert!(NotTcp.fits(&Packet::from_bytes(Bytes::from_static(b"E"))));
    }

    #[test]
    fn the_first_rule_that_picks_a_packet_decides_and_all_count() {
        let mut script = Script::new(&[Rule::drop(PacketKind::Data, 2), Rule::drop_all(PacketKind::Fin)]);
        let (data, fin) = (packet(TcpFlags::ACK, b"x"), packet(TcpFlags::FIN, b"y"));
        let fates: Vec<_> = [&data, &fin, &data, &fin].map(|packet| script.fate(packet)).into();
        assert_eq!(fates, [None, Some(Fate::Drop), None, Some(Fate::Drop)]);
        let mut script = Script::new(&[Rule::drop(PacketKind::Data, 2)]);
        assert_eq!([&data, &data, &data].map(|packet| script.fate(packet)), [None, Some(Fate::Drop), None]);
    }

    #[test]
    fn data_sent_again_is_not_new() {
        let rule = Rule { first: 2, count: u64::MAX, ..Rule::drop_all(PacketKind::NewData) };
        let mut script = Script::new(&[rule]);
        let drop = Some(Fate::Drop);
        for (seq, data, fate) in
            [(1, &b"ab"[..], None), (3, b"cd", drop), (3, b"cd", None), (3, b"cde", drop), (6, b"", None)]
        {
            assert_eq!(script.fate(&packet_at(seq, TcpFlags::ACK, data)), fate, "{seq} {data:?}");
        }
    }
}
