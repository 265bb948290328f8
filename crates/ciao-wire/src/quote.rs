//! The packet that an ICMP error quotes: which flow it belonged to (RFC 792, RFC 4443 §3, RFC 5927 §4.1).
//!
//! A quote is cut short by design, and routers may have changed it, so neither its length nor its header
//! checksum is believed. At least the first eight bytes behind the IP header are there: ports, and TCP's
//! sequence number.

use crate::{IpHeader, Ipv4Header, Ipv6Header, ParseError, Protocol, SeqNum};
use core::net::SocketAddr;

/// The start of a packet that we are said to have sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// TCP or UDP, else there are no ports to read.
    pub protocol: Protocol,
    /// Our end.
    pub source: SocketAddr,
    /// The other end.
    pub destination: SocketAddr,
    /// SEG.SEQ of a TCP segment; of a UDP datagram its length and checksum, which mean nothing here.
    pub seq: SeqNum,
    /// Bytes of the whole packet, as its header says.
    pub total_len: usize,
}

impl Quote {
    /// Reads what follows the first eight bytes of an ICMP error.
    ///
    /// # Errors
    /// When it ends before the sequence number does, is not an IP packet, or a fragment without ports.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let (header, len) = match bytes.first().map(|first| first >> 4) {
            Some(4) => Ipv4Header::parse_quoted(bytes).map(|(header, len)| (IpHeader::V4(header), len))?,
            Some(6) => Ipv6Header::parse(bytes).map(|(header, len)| (IpHeader::V6(header), len))?,
            Some(_) => return Err(ParseError::Version),
            None => return Err(ParseError::Truncated),
        };
        if header.starts_inside() {
            return Err(ParseError::FragmentRange);
        }
        let Some(&[s0, s1, d0, d1, a, b, c, d]) = bytes.get(len..).and_then(|rest| rest.first_chunk()) else {
            return Err(ParseError::Truncated);
        };
        Ok(Self {
            protocol: header.protocol(),
            source: SocketAddr::new(header.source(), u16::from_be_bytes([s0, s1])),
            destination: SocketAddr::new(header.destination(), u16::from_be_bytes([d0, d1])),
            seq: SeqNum(u32::from_be_bytes([a, b, c, d])),
            total_len: header.total_len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TcpHeader;
    use alloc::vec::Vec;
    use core::net::{Ipv4Addr, Ipv6Addr};

    fn segment() -> [u8; 20] {
        let mut bytes = [0; 20];
        let seq = SeqNum(0xdead_beef);
        TcpHeader { source_port: 1, destination_port: 2, seq, ..TcpHeader::default() }.emit(&mut bytes);
        bytes
    }

    fn v4() -> Vec<u8> {
        let mut bytes = alloc::vec![0; 20];
        Ipv4Header::new(Protocol::TCP, Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2), 1500)
            .emit(&mut bytes);
        bytes.extend(segment());
        bytes
    }

    fn v6() -> Vec<u8> {
        let mut bytes = alloc::vec![0; 40];
        Ipv6Header::new(Protocol::TCP, Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED, 1460).emit(&mut bytes);
        bytes.extend(segment());
        bytes
    }

    #[test]
    fn every_cut_before_the_sequence_number_ends_is_refused() {
        for (packet, header_len) in [(v4(), 20), (v6(), 40)] {
            for len in 0..packet.len() {
                match Quote::parse(&packet[..len]) {
                    Ok(quote) => {
                        assert!(len >= header_len + 8);
                        assert_eq!((quote.source.port(), quote.destination.port()), (1, 2));
                        assert_eq!((quote.seq, quote.protocol), (SeqNum(0xdead_beef), Protocol::TCP));
                    }
                    Err(error) => {
                        assert!(len < header_len + 8);
                        assert_eq!(error, ParseError::Truncated);
                    }
                }
            }
        }
    }

    #[test]
    fn a_header_changed_on_the_way_is_still_read() {
        let mut packet = v4();
        packet[8] -= 1;
        assert!(Quote::parse(&packet).is_ok());
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        let mut packet = v4();
        packet[7] = 1;
        assert_eq!(Quote::parse(&packet), Err(ParseError::FragmentRange));
    }
}
