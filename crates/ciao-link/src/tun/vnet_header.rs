//! What do the ten bytes in front of each packet of a TUN device say? Whether the packet is a
//! super-segment, and who completes its checksum. Source: virtio 1.2 §5.1.6 (the legacy form, without the
//! count of buffers), in the byte order of the machine, as `tun(4)` has it when nothing else is asked for.
//!
//! Not here: cutting and summing, which the kernel does.

use ciao_wire::{Checksum, Packet};

/// Bytes of the header: flags, type, header length, segment size, checksum start, checksum offset.
pub const LEN: usize = 10;

/// The checksum field holds the sum of the pseudo-header alone.
const FLAG_NEEDS_CHECKSUM: u8 = 1;
/// The checksum has been verified.
const FLAG_DATA_VALID: u8 = 2;

const TYPE_NONE: u8 = 0;
const TYPE_TCP_IPV4: u8 = 1;
const TYPE_TCP_IPV6: u8 = 4;
/// Set beside the type when the super-segment carries CWR, which belongs in its first segment alone (RFC
/// 3168 §6.1.2).
const TYPE_ECN: u8 = 0x80;

/// CWR among the flags of a TCP header.
const TCP_FLAG_CWR: u8 = 0x80;

/// The header, with the numbers as they stand in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VnetHeader {
    flags: u8,
    segmentation_type: u8,
    header_len: u16,
    segment_size: u16,
    checksum_start: u16,
    checksum_offset: u16,
}

impl VnetHeader {
    /// Reads the header.
    #[must_use]
    pub fn parse(bytes: &[u8; LEN]) -> Self {
        let field = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        Self {
            flags: bytes[0],
            segmentation_type: bytes[1],
            header_len: field(2),
            segment_size: field(4),
            checksum_start: field(6),
            checksum_offset: field(8),
        }
    }

    /// Writes the header.
    #[must_use]
    pub fn emit(&self) -> [u8; LEN] {
        let Self { flags, segmentation_type, header_len, segment_size, checksum_start, checksum_offset } =
            *self;
        let mut bytes = [0; LEN];
        bytes[0] = flags;
        bytes[1] = segmentation_type;
        let fields = [header_len, segment_size, checksum_start, checksum_offset];
        for (field, place) in fields.iter().zip(bytes[2..].chunks_exact_mut(2)) {
            place.copy_from_slice(&field.to_ne_bytes());
        }
        bytes
    }

    /// Payload bytes of each TCP segment in a received packet, zero when it is a single one.
    #[must_use]
    pub fn received_segment_size(&self) -> u16 {
        match self.segmentation_type & !TYPE_ECN {
            TYPE_TCP_IPV4 | TYPE_TCP_IPV6 => self.segment_size,
            _ => 0,
        }
    }

    /// What the kernel says of a received packet's checksum. A partial one is of a packet that never left
    /// the machine, so there is nothing to verify.
    #[must_use]
    pub fn received_checksum(&self) -> Checksum {
        if self.flags & (FLAG_NEEDS_CHECKSUM | FLAG_DATA_VALID) == 0 {
            Checksum::Unknown
        } else {
            Checksum::Valid
        }
    }

    /// The header for a packet to be sent.
    #[must_use]
    pub fn for_packet(packet: &Packet) -> Self {
        let mut header = Self::default();
        let checksum_start = if let Checksum::Partial { start, offset } = packet.checksum {
            header.flags = FLAG_NEEDS_CHECKSUM;
            header.checksum_start = start;
            header.checksum_offset = offset;
            usize::from(start)
        } else {
            return header;
        };
        let first = if packet.head.is_empty() {
            packet.payload.chunks().next().map_or(&[][..], |chunk| &chunk[..])
        } else {
            packet.head.as_slice()
        };
        // The TCP header: its length is in the upper half of byte 12, in words of four bytes; byte 13 has
        // the flags.
        let (Some(version), Some(words), Some(tcp_flags)) =
            (first.first(), first.get(checksum_start + 12), first.get(checksum_start + 13))
        else {
            return header;
        };
        let header_len = checksum_start + usize::from(words >> 4) * 4;
        let segment_size = usize::from(packet.segment_size);
        if segment_size == 0 || packet.len() <= header_len + segment_size {
            return header;
        }
        header.segmentation_type = if version >> 4 == 4 { TYPE_TCP_IPV4 } else { TYPE_TCP_IPV6 };
        if tcp_flags & TCP_FLAG_CWR != 0 {
            header.segmentation_type |= TYPE_ECN;
        }
        header.segment_size = packet.segment_size;
        header.header_len =
            u16::try_from(header_len).expect("a start of 16 bits in a head of at most 104 bytes");
        header
    }

    /// True when the packet goes out as it is, in one segment.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.segmentation_type == TYPE_NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ciao_wire::{Head, PacketId, Payload};

    /// A packet with an IP header of `ip_len` bytes, a TCP header of 32 with `flags`, and `payload_len`
    /// bytes.
    fn packet(ip_len: usize, flags: u8, payload_len: usize) -> Packet {
        let mut head = Head::zeroed(ip_len + 32);
        let bytes = head.as_mut_slice();
        bytes[0] = if ip_len == 20 { 0x45 } else { 0x60 };
        bytes[ip_len + 12] = 8 << 4;
        bytes[ip_len + 13] = flags;
        let start = u16::try_from(ip_len).unwrap();
        Packet {
            head,
            payload: Payload::from(Bytes::from(vec![0; payload_len])),
            segment_size: 1448,
            checksum: Checksum::Partial { start, offset: 16 },
            id: PacketId(0),
        }
    }

    #[test]
    fn a_super_segment_says_how_it_is_cut_and_summed() {
        let header = VnetHeader::for_packet(&packet(20, 0x10, 5000));
        assert_eq!(header.emit(), {
            let mut bytes = [1, TYPE_TCP_IPV4, 0, 0, 0, 0, 0, 0, 0, 0];
            for (at, value) in [(2, 52u16), (4, 1448), (6, 20), (8, 16)] {
                bytes[at..at + 2].copy_from_slice(&value.to_ne_bytes());
            }
            bytes
        });
        assert!(!header.is_single());
        assert_eq!(VnetHeader::for_packet(&packet(40, 0x10, 5000)).segmentation_type, TYPE_TCP_IPV6);
    }

    // RFC 3168 §6.1.2: CWR is for the first segment alone.
    #[test]
    fn a_super_segment_with_cwr_says_so() {
        let header = VnetHeader::for_packet(&packet(20, 0x90, 5000));
        assert_eq!(header.segmentation_type, TYPE_TCP_IPV4 | TYPE_ECN);
        assert_eq!(header.received_segment_size(), 1448);
    }

    #[test]
    fn a_packet_that_fits_one_segment_is_single_whatever_its_segment_size() {
        let header = VnetHeader::for_packet(&packet(20, 0x10, 1448));
        assert!(header.is_single());
        assert_eq!(header.flags, FLAG_NEEDS_CHECKSUM);
        assert_eq!(VnetHeader::for_packet(&packet(20, 0x10, 1449)).segment_size, 1448);
    }

    #[test]
    fn a_whole_checksum_and_a_packet_without_headers_give_an_empty_header() {
        let whole = Packet { checksum: Checksum::Unknown, ..packet(20, 0x10, 5000) };
        assert_eq!(VnetHeader::for_packet(&whole), VnetHeader::default());
        let short = Packet { head: Head::EMPTY, payload: Payload::EMPTY, ..packet(20, 0x10, 0) };
        assert!(VnetHeader::for_packet(&short).is_single());
    }

    #[test]
    fn headers_in_the_payload_are_found_there() {
        let split = packet(20, 0x10, 5000);
        let expected = VnetHeader::for_packet(&split);
        let joined =
            Packet { head: Head::EMPTY, payload: Payload::from(Bytes::from(split.to_vec())), ..split };
        assert_eq!(VnetHeader::for_packet(&joined), expected);
    }

    #[test]
    fn every_header_comes_back_as_it_was_written() {
        for seed in 0..=255u8 {
            let bytes: [u8; LEN] =
                core::array::from_fn(|at| seed.wrapping_mul(31).wrapping_add(at as u8 * 7));
            assert_eq!(VnetHeader::parse(&bytes).emit(), bytes);
        }
    }

    #[test]
    fn only_a_partial_or_verified_checksum_is_vouched_for() {
        for (flags, expected) in [(0, Checksum::Unknown), (1, Checksum::Valid), (2, Checksum::Valid)] {
            assert_eq!(VnetHeader { flags, ..VnetHeader::default() }.received_checksum(), expected);
        }
    }

    #[test]
    fn segmentation_of_other_protocols_is_not_taken_for_tcp() {
        for (segmentation_type, expected) in [(0, 0), (1, 1000), (3, 0), (4, 1000), (5, 0)] {
            let header = VnetHeader { segmentation_type, segment_size: 1000, ..VnetHeader::default() };
            assert_eq!(header.received_segment_size(), expected);
        }
    }
}
