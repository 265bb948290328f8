//! What is a capture file here, and which blocks of the pcapng format are known?
//!
//! Source: the pcapng draft (draft-ietf-opsawg-pcapng) and, for classic files, draft-ietf-opsawg-pcap.
//! Writing is in [`writer`], reading in [`reader`]; how trace records become a capture is in
//! [`crate::capture`].

pub mod reader;
pub mod writer;

pub use reader::{Capture, CapturedInterface, CapturedPacket, Damage, ReadError, read};
pub use writer::{EnhancedPacket, Interface, InterfaceIndex, Writer};

/// Section header block.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
/// Interface description block.
const INTERFACE_DESCRIPTION: u32 = 1;
/// Packet block, which the enhanced packet block has replaced.
const PACKET: u32 = 2;
/// Simple packet block.
const SIMPLE_PACKET: u32 = 3;
/// Name resolution block.
const NAME_RESOLUTION: u32 = 4;
/// Enhanced packet block.
const ENHANCED_PACKET: u32 = 6;
/// Says by its order which byte order a section has.
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// The end of a list of options.
const OPTION_END: u16 = 0;
/// A comment, in any block.
const OPTION_COMMENT: u16 = 1;
/// The program that wrote the section.
const OPTION_APPLICATION: u16 = 4;
/// The name of an interface.
const OPTION_INTERFACE_NAME: u16 = 2;
/// A sentence about an interface.
const OPTION_INTERFACE_DESCRIPTION: u16 = 3;
/// The unit of an interface's time stamps.
const OPTION_TIME_RESOLUTION: u16 = 9;
/// Whole seconds to be added to an interface's time stamps.
const OPTION_TIME_OFFSET: u16 = 14;
/// Flags of a packet: its direction.
const OPTION_PACKET_FLAGS: u16 = 2;
/// A number that the same packet has on every interface.
const OPTION_PACKET_ID: u16 = 5;

/// IPv4 or IPv6 without a link header.
pub const LINK_TYPE_RAW: u16 = 101;

/// Which way a packet went, seen from the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Received.
    Inbound,
    /// Sent.
    Outbound,
}
