//! How is a pcapng file written?
//!
//! Source: draft-ietf-opsawg-pcapng §4. Times are in nanoseconds, the byte order is little-endian, each
//! packet is whole. What is not written: statistics and decryption secrets.

use super::{
    BYTE_ORDER_MAGIC, Direction, ENHANCED_PACKET, INTERFACE_DESCRIPTION, LINK_TYPE_RAW, NAME_RESOLUTION,
    OPTION_APPLICATION, OPTION_COMMENT, OPTION_END, OPTION_INTERFACE_DESCRIPTION, OPTION_INTERFACE_NAME,
    OPTION_PACKET_FLAGS, OPTION_PACKET_ID, OPTION_TIME_RESOLUTION, SECTION_HEADER,
};
use std::io;
use std::net::IpAddr;

/// One vantage point: where packets are seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interface<'a> {
    /// Its name, `client` or `eth0`.
    pub name: &'a str,
    /// A sentence about it; empty for none.
    pub description: &'a str,
}

/// The number that [`Writer::interface`] gave to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InterfaceIndex(u32);

/// One packet as it is written.
#[derive(Clone, Copy, Debug)]
pub struct EnhancedPacket<'a> {
    /// Where it was seen.
    pub interface: InterfaceIndex,
    /// When, in nanoseconds since 1970-01-01.
    pub at_nanos: u64,
    /// Which way it went.
    pub direction: Direction,
    /// The number that it has at both ends; zero for none.
    pub id: u64,
    /// One line each; readers show them beside the packet.
    pub comments: &'a [String],
    /// The packet from its IP header on.
    pub bytes: &'a [u8],
}

/// Writes one section of a pcapng file.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    interfaces: u32,
}

impl<W: io::Write> Writer<W> {
    /// Begins the section.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn new(mut out: W, application: &str) -> io::Result<Self> {
        let mut body = Body::default();
        body.u32(BYTE_ORDER_MAGIC);
        body.u16(1); // version 1.0
        body.u16(0);
        body.bytes(&u64::MAX.to_le_bytes()); // the section's length is not known
        body.option(OPTION_APPLICATION, application.as_bytes());
        body.end_options();
        body.write(&mut out, SECTION_HEADER)?;
        Ok(Self { out, interfaces: 0 })
    }

    /// Describes an interface; its packets are raw IP and their times in nanoseconds.
    ///
    /// # Errors
    /// What the output answers.
    pub fn interface(&mut self, interface: &Interface<'_>) -> io::Result<InterfaceIndex> {
        let mut body = Body::default();
        body.u16(LINK_TYPE_RAW);
        body.u16(0);
        body.u32(0); // packets are not cut
        body.option(OPTION_INTERFACE_NAME, interface.name.as_bytes());
        if !interface.description.is_empty() {
            body.option(OPTION_INTERFACE_DESCRIPTION, interface.description.as_bytes());
        }
        body.option(OPTION_TIME_RESOLUTION, &[9]); // 10^-9 s
        body.end_options();
        body.write(&mut self.out, INTERFACE_DESCRIPTION)?;
        self.interfaces += 1;
        Ok(InterfaceIndex(self.interfaces - 1))
    }

    /// Writes which name each address has.
    ///
    /// # Errors
    /// What the output answers.
    pub fn names<'a>(&mut self, names: impl IntoIterator<Item = (IpAddr, &'a str)>) -> io::Result<()> {
        let mut body = Body::default();
        for (address, name) in names {
            let (kind, mut value) = match address {
                IpAddr::V4(address) => (1, address.octets().to_vec()),
                IpAddr::V6(address) => (2, address.octets().to_vec()),
            };
            value.extend(name.bytes().filter(|&byte| byte != 0));
            value.push(0);
            body.option(kind, &value);
        }
        body.end_options(); // the record that ends the list looks like the end of options
        body.write(&mut self.out, NAME_RESOLUTION)
    }

    /// Writes a packet.
    ///
    /// # Errors
    /// What the output answers; `InvalidInput` for a packet of 4 GiB or more.
    pub fn packet(&mut self, packet: &EnhancedPacket<'_>) -> io::Result<()> {
        let len = u32::try_from(packet.bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut body = Body::default();
        body.u32(packet.interface.0);
        let (high, low) = ((packet.at_nanos >> 32) as u32, packet.at_nanos & u64::from(u32::MAX));
        body.u32(high);
        body.u32(u32::try_from(low).expect("the high half is masked off"));
        body.u32(len); // captured
        body.u32(len); // original
        body.padded(packet.bytes);
        for comment in packet.comments {
            body.option(OPTION_COMMENT, comment.as_bytes());
        }
        let flags: u32 = match packet.direction {
            Direction::Inbound => 1,
            Direction::Outbound => 2,
        };
        body.option(OPTION_PACKET_FLAGS, &flags.to_le_bytes());
        if packet.id != 0 {
            body.option(OPTION_PACKET_ID, &packet.id.to_le_bytes());
        }
        body.end_options();
        body.write(&mut self.out, ENHANCED_PACKET)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// What the output answers when it is flushed.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// The inside of a block.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    /// `bytes`, and zeros up to the next multiple of four.
    fn padded(&mut self, bytes: &[u8]) {
        self.bytes(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// An option; a value that is longer than its length field allows is cut between two characters.
    fn option(&mut self, kind: u16, value: &[u8]) {
        let mut len = value.len().min(usize::from(u16::MAX));
        while value.get(len).is_some_and(|byte| byte & 0xc0 == 0x80) {
            len -= 1;
        }
        self.u16(kind);
        self.u16(u16::try_from(len).expect("cut to 16 bits above"));
        self.padded(&value[..len]);
    }

    fn end_options(&mut self) {
        self.u16(OPTION_END);
        self.u16(0);
    }

    fn write(&self, out: &mut impl io::Write, kind: u32) -> io::Result<()> {
        let len = u32::try_from(self.0.len() + 12).map_err(|_| io::ErrorKind::InvalidInput)?;
        out.write_all(&kind.to_le_bytes())?;
        out.write_all(&len.to_le_bytes())?;
        out.write_all(&self.0)?;
        out.write_all(&len.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
    use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
    use pcap_file::pcapng::{Block, PcapNgReader};
    use std::borrow::Cow;

    #[test]
    fn another_reader_sees_the_names_the_times_and_the_comments() {
        let mut writer = Writer::new(Vec::new(), "ciao").unwrap();
        let interface = writer.interface(&Interface { name: "client", description: "one end" }).unwrap();
        writer.names([(IpAddr::from([10, 0, 0, 1]), "client")]).unwrap();
        let comments = ["LISTEN → SYN-RECEIVED".to_owned(), "a second one".to_owned()];
        let packet = EnhancedPacket {
            interface,
            at_nanos: 5_000_000_001,
            direction: Direction::Outbound,
            id: 7,
            comments: &comments,
            bytes: &[0x45, 0, 0],
        };
        writer.packet(&packet).unwrap();
        let file = writer.finish().unwrap();

        let mut reader = PcapNgReader::new(&file[..]).unwrap();
        let mut blocks = Vec::new();
        while let Some(block) = reader.next_block() {
            blocks.push(block.unwrap().into_owned());
        }
        let [Block::InterfaceDescription(described), Block::NameResolution(_), Block::EnhancedPacket(read)] =
            &blocks[..]
        else {
            panic!("unexpected blocks: {blocks:?}");
        };
        assert!(described.options.contains(&InterfaceDescriptionOption::IfName(Cow::Borrowed("client"))));
        assert!(described.options.contains(&InterfaceDescriptionOption::IfTsResol(9)));
        assert_eq!(read.timestamp.as_nanos(), 5_000_000_001);
        assert_eq!(read.data[..], [0x45, 0, 0]);
        assert_eq!(read.options[0], EnhancedPacketOption::Comment(Cow::Borrowed("LISTEN → SYN-RECEIVED")));
        assert_eq!(read.options[2], EnhancedPacketOption::Flags(2));
        let EnhancedPacketOption::Unknown(id) = &read.options[3] else { panic!("{:?}", read.options) };
        assert_eq!((id.code, &id.value[..]), (OPTION_PACKET_ID, &7_u64.to_le_bytes()[..]));
    }

    #[test]
    fn an_overlong_comment_is_cut_between_two_characters() {
        let mut body = Body::default();
        body.option(OPTION_COMMENT, "é".repeat(40_000).as_bytes());
        let len = usize::from(u16::from_le_bytes([body.0[2], body.0[3]]));
        assert_eq!(len, 65_534);
        assert!(std::str::from_utf8(&body.0[4..4 + len]).is_ok());
    }
}
