//! The UDP header (RFC 768, over IPv6: RFC 8200 §8.1).

use crate::{ParseError, Sum};
use core::net::IpAddr;

/// The header, in bytes.
pub const HEADER_BYTES: usize = 8;
/// Where the checksum stands, in bytes from the start of the header.
pub const CHECKSUM_OFFSET: usize = 6;

/// A UDP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpHeader {
    /// Source port; zero when the sender takes no answer.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Bytes of the datagram, header included.
    pub len: u16,
    /// The checksum field; zero says that the sender has not computed one.
    pub checksum: u16,
}

impl UdpHeader {
    /// Reads a header. The checksum is for the caller to verify, with [`UdpHeader::is_checksum_valid`]; so is
    /// whether all `len` bytes have arrived.
    ///
    /// # Errors
    /// When it is cut short, or its length is below that of the header.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let Some(fixed) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(ParseError::Truncated);
        };
        let [s0, s1, d0, d1, l0, l1, c0, c1] = *fixed;
        let len = u16::from_be_bytes([l0, l1]);
        if usize::from(len) < HEADER_BYTES {
            return Err(ParseError::TotalLength);
        }
        Ok(Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            len,
            checksum: u16::from_be_bytes([c0, c1]),
        })
    }

    /// Writes the header to the first [`HEADER_BYTES`] of `bytes`, its `checksum` as it is.
    ///
    /// # Panics
    /// When there are fewer bytes.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8]) {
        let Self { source_port, destination_port, len, checksum } = *self;
        let out = bytes.first_chunk_mut::<HEADER_BYTES>().expect("the caller leaves room for the header");
        out[0..2].copy_from_slice(&source_port.to_be_bytes());
        out[2..4].copy_from_slice(&destination_port.to_be_bytes());
        out[4..6].copy_from_slice(&len.to_be_bytes());
        out[6..8].copy_from_slice(&checksum.to_be_bytes());
    }

    /// Whether a received datagram may be taken. `sum` covers pseudo-header, header with its checksum, and
    /// data. A checksum that was not computed is good enough for IPv4, and not for IPv6.
    #[must_use]
    pub fn is_checksum_valid(&self, sum: Sum, source: IpAddr) -> bool {
        if self.checksum == 0 { source.is_ipv4() } else { sum.is_valid() }
    }
}

/// What goes into the checksum field: zero means "not computed", so a zero sum is sent as its equal, all
/// ones.
#[must_use]
pub fn checksum_field(sum: Sum) -> u16 {
    match sum.finish() {
        0 => 0xffff,
        checksum => checksum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;
    use crate::checksum::pseudo_header;
    use alloc::vec::Vec;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use proptest::prelude::*;

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    fn datagram(address: IpAddr, data: &[u8]) -> (UdpHeader, Vec<u8>) {
        let len = u16::try_from(HEADER_BYTES + data.len()).unwrap();
        let mut header = UdpHeader { source_port: 53, destination_port: 4096, len, checksum: 0 };
        let mut bytes = alloc::vec![0; HEADER_BYTES];
        header.emit(&mut bytes);
        bytes.extend_from_slice(data);
        header.checksum = checksum_field(sum(address, &bytes));
        header.emit(&mut bytes);
        (header, bytes)
    }

    fn sum(address: IpAddr, bytes: &[u8]) -> Sum {
        let len = u32::try_from(bytes.len()).unwrap();
        pseudo_header(address, address, Protocol::UDP, len).add_bytes(bytes)
    }

    #[test]
    fn a_missing_checksum_is_good_for_ipv4_alone() {
        let header = UdpHeader { len: 8, ..UdpHeader::default() };
        assert!(header.is_checksum_valid(Sum::ZERO.add_u16(7), V4));
        assert!(!header.is_checksum_valid(Sum::ZERO.add_u16(7), V6));
    }

    #[test]
    fn a_sum_of_zero_is_sent_as_all_ones_and_still_verifies() {
        let word = (0..=u16::MAX).find(|word| datagram(V4, &word.to_be_bytes()).0.checksum == 0xffff);
        let (header, bytes) = datagram(V4, &word.expect("one word makes the sum all ones").to_be_bytes());
        assert!(header.is_checksum_valid(sum(V4, &bytes), V4));
    }

    proptest! {
        #[test]
        fn a_header_read_writes_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
            if let Ok(header) = UdpHeader::parse(&bytes) {
                let mut again = [0; HEADER_BYTES];
                header.emit(&mut again);
                prop_assert_eq!(&again[..], &bytes[..HEADER_BYTES]);
            } else {
                prop_assert!(bytes.len() < HEADER_BYTES || bytes[4] == 0 && bytes[5] < 8);
            }
        }

        #[test]
        fn etherparse_computes_the_same_datagram(data in prop::collection::vec(any::<u8>(), 0..64)) {
            let address = [192, 0, 2, 1];
            let ip = etherparse::Ipv4Header::new(0, 64, etherparse::IpNumber::UDP, address, address).unwrap();
            let oracle = etherparse::UdpHeader::with_ipv4_checksum(53, 4096, &ip, &data).unwrap();
            let (header, bytes) = datagram(V4, &data);
            prop_assert_eq!(&bytes[..HEADER_BYTES], &oracle.to_bytes()[..]);
            prop_assert!(header.is_checksum_valid(sum(V4, &bytes), V4));
        }

        #[test]
        fn every_flipped_bit_is_noticed(
            data in prop::collection::vec(any::<u8>(), 0..16),
            bit in 0_usize..192,
        ) {
            let (_, mut bytes) = datagram(V6, &data);
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let taken = UdpHeader::parse(&bytes)
                .is_ok_and(|header| header.is_checksum_valid(sum(V6, &bytes), V6));
            prop_assert!(!taken);
        }
    }
}
