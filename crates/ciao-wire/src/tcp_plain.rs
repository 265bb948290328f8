//! The TCP header that nearly every segment of an established connection has: ACK, perhaps PSH, timestamps,
//! and nothing else. [`PlainHeader`] is read and written in one piece, without a walk over options.
//!
//! Whatever else a header says is for [`TcpHeader`], which reads and writes these too, and the same way.

use crate::tcp_options::TIMESTAMPS_START;
use crate::{SeqNum, tcp::HEADER_BYTES};
use crate::{Sum, TcpFlags, TcpHeader, TcpOptions, Timestamps};

/// Bytes of a plain header: 20 fixed, 12 of timestamps with their padding.
pub const PLAIN_HEADER_BYTES: usize = HEADER_BYTES + 12;
/// The data offset, eight words, as it stands in its byte with reserved bits that are all zero.
const DATA_OFFSET: u8 = 8 << 4;

/// A header with ACK, with or without PSH, and with timestamps alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainHeader {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// SEG.SEQ.
    pub seq: SeqNum,
    /// SEG.ACK.
    pub ack: SeqNum,
    /// ACK, or ACK and PSH.
    pub flags: TcpFlags,
    /// SEG.WND as it stands in the header, not scaled.
    pub window: u16,
    /// Timestamps.
    pub timestamps: Timestamps,
}

impl PlainHeader {
    /// Reads a header; `None` when it is not as plain as that. The checksum is for the caller to verify.
    ///
    /// ```
    /// use ciao_wire::{TcpFlags, TcpHeader, TcpOptions, Timestamps, tcp_plain::PlainHeader};
    /// let timestamps = Some(Timestamps { value: 1, echo: 2 });
    /// let options = TcpOptions { timestamps, ..TcpOptions::default() };
    /// let header = TcpHeader { flags: TcpFlags::ACK, window: 3, options, ..TcpHeader::default() };
    /// let mut bytes = [0; 32];
    /// header.emit(&mut bytes);
    /// assert_eq!(PlainHeader::parse(&bytes).map(TcpHeader::from), Some(header));
    /// ```
    #[must_use]
    #[inline]
    pub fn parse(bytes: &[u8; PLAIN_HEADER_BYTES]) -> Option<Self> {
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let half = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let flags = TcpFlags(bytes[13]);
        let is_plain = bytes[12] == DATA_OFFSET
            && flags.0 & !TcpFlags::PSH.0 == TcpFlags::ACK.0
            && word(20) == u32::from_be_bytes(TIMESTAMPS_START);
        is_plain.then(|| Self {
            source_port: half(0),
            destination_port: half(2),
            seq: SeqNum(word(4)),
            ack: SeqNum(word(8)),
            flags,
            window: half(14),
            timestamps: Timestamps { value: word(24), echo: word(28) },
        })
    }

    /// Writes the header, the checksum field zero, and answers the sum of what it wrote.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8; PLAIN_HEADER_BYTES]) -> Sum {
        let Self { source_port, destination_port, seq, ack, flags, window, timestamps } = *self;
        let words = [
            u32::from(source_port) << 16 | u32::from(destination_port),
            seq.0,
            ack.0,
            u32::from(DATA_OFFSET) << 24 | u32::from(flags.0) << 16 | u32::from(window),
            0,
            u32::from_be_bytes(TIMESTAMPS_START),
            timestamps.value,
            timestamps.echo,
        ];
        for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        Sum::of_words(words)
    }
}

impl From<PlainHeader> for TcpHeader {
    fn from(header: PlainHeader) -> Self {
        let PlainHeader { source_port, destination_port, seq, ack, flags, window, timestamps } = header;
        let options = TcpOptions { timestamps: Some(timestamps), ..TcpOptions::default() };
        Self { source_port, destination_port, seq, ack, flags, window, urgent: 0, options }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Nothing that is not plain is taken for plain, and what is plain is read as ever.
        #[test]
        fn it_reads_what_the_general_header_reads(
            fields in any::<(u16, u16, u32, u32, u16, u32, u32)>(),
            push in any::<bool>(),
            changes in prop::collection::vec((0..PLAIN_HEADER_BYTES, any::<u8>()), 0..3),
        ) {
            let (source_port, destination_port, seq, ack, window, value, echo) = fields;
            let plain = PlainHeader {
                source_port,
                destination_port,
                seq: SeqNum(seq),
                ack: SeqNum(ack),
                flags: if push { TcpFlags::ACK | TcpFlags::PSH } else { TcpFlags::ACK },
                window,
                timestamps: Timestamps { value, echo },
            };
            let mut bytes = [0xaa; PLAIN_HEADER_BYTES];
            let sum = plain.emit(&mut bytes);
            prop_assert_eq!(sum.fold(), Sum::ZERO.add_bytes(&bytes).fold());
            prop_assert_eq!(PlainHeader::parse(&bytes), Some(plain));
            let mut general = [0x55; PLAIN_HEADER_BYTES];
            TcpHeader::from(plain).emit(&mut general);
            prop_assert_eq!(bytes, general);
            for (at, value) in changes {
                bytes[at] = value;
            }
            if let Some(seen) = PlainHeader::parse(&bytes) {
                let (header, len) = TcpHeader::parse(&bytes).unwrap();
                prop_assert_eq!(len, PLAIN_HEADER_BYTES);
                // The urgent pointer counts only with its bit, which a plain header has not.
                prop_assert_eq!(TcpHeader::from(seen), TcpHeader { urgent: 0, ..header });
            }
        }
    }
}
