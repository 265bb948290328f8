//! How is a capture file read, whoever wrote it?
//!
//! Source: draft-ietf-opsawg-pcapng §3–4; draft-ietf-opsawg-pcap §4–5 for classic files. Reading is total:
//! any bytes give either packets or [`ReadError`]; a fault behind a good beginning ends the reading and is
//! told in [`Capture::damage`]. Link headers are taken off, so that every packet begins with IP; packets that
//! are not IP are counted.

use super::{
    BYTE_ORDER_MAGIC, Direction, ENHANCED_PACKET, INTERFACE_DESCRIPTION, NAME_RESOLUTION, OPTION_COMMENT,
    OPTION_END, OPTION_INTERFACE_NAME, OPTION_PACKET_FLAGS, OPTION_PACKET_ID, OPTION_TIME_OFFSET,
    OPTION_TIME_RESOLUTION, PACKET, SECTION_HEADER, SIMPLE_PACKET,
};
use bytes::Bytes;
use std::fmt;
use std::net::IpAddr;

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// The vantage points.
    pub interfaces: Vec<CapturedInterface>,
    /// The IP packets in the order of the file.
    pub packets: Vec<CapturedPacket>,
    /// Names that the file gives to addresses.
    pub names: Vec<(IpAddr, String)>,
    /// How many packets were left out because they are not IP, or cut before their IP header.
    pub not_ip: usize,
    /// Where and why reading stopped before the end.
    pub damage: Option<Damage>,
}

/// One vantage point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapturedInterface {
    /// Its name; empty when the file gives none.
    pub name: String,
    /// The number of the kind of link header (`LINKTYPE_…`).
    pub link_type: u16,
}

/// One packet, without its link header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedPacket {
    /// Index into [`Capture::interfaces`].
    pub interface: usize,
    /// Nanoseconds since 1970-01-01; saturates.
    pub at_nanos: u64,
    /// Which way it went, where the file says so.
    pub direction: Option<Direction>,
    /// The number that it has on every interface; zero for none.
    pub id: u64,
    /// Comments.
    pub comments: Vec<String>,
    /// The packet from its IP header on; perhaps cut.
    pub bytes: Bytes,
}

/// The file is no capture at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// It begins like neither pcapng nor classic pcap.
    NotACapture,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither a pcapng nor a pcap file")
    }
}

impl std::error::Error for ReadError {}

/// Why reading stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The offset of the faulty block, in bytes from the start of the file.
    pub at: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads a pcapng or classic pcap file.
///
/// # Errors
/// [`ReadError`] when the file begins like neither.
pub fn read(file: &Bytes) -> Result<Capture, ReadError> {
    let cursor = Cursor { bytes: file.clone(), order: Order::Little };
    match cursor.clone().u32() {
        Some(SECTION_HEADER) => Ok(read_blocks(file)),
        _ => read_classic(cursor).ok_or(ReadError::NotACapture),
    }
}

/// What an interface's description says about its packets.
struct InterfaceTimes {
    /// Ticks in a second: a power of ten or of two.
    ticks_per_s: u64,
    /// Seconds to be added.
    offset_s: i64,
    /// Bytes of each packet that simple packet blocks keep; zero for all.
    snap_len: u32,
}

impl InterfaceTimes {
    fn nanos(&self, ticks: u64) -> u64 {
        let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(self.ticks_per_s);
        let offset = i128::from(self.offset_s) * 1_000_000_000;
        let sum = i128::try_from(nanos).unwrap_or(i128::MAX).saturating_add(offset);
        u64::try_from(sum.max(0)).unwrap_or(u64::MAX)
    }
}

/// One section: interfaces are numbered anew in each.
struct Section {
    order: Order,
    first_interface: usize,
    times: Vec<InterfaceTimes>,
}

fn read_blocks(file: &Bytes) -> Capture {
    let mut capture = Capture::default();
    let mut section = Section { order: Order::Little, first_interface: 0, times: Vec::new() };
    let mut at = 0;
    while at < file.len() {
        match read_block(&mut capture, &mut section, file.slice(at..)) {
            Ok(len) => at += len,
            Err(what) => {
                capture.damage = Some(Damage { at, what });
                break;
            }
        }
    }
    capture
}

/// Reads the first block of `bytes` and answers its length.
fn read_block(capture: &mut Capture, section: &mut Section, bytes: Bytes) -> Result<usize, &'static str> {
    const CUT: &str = "the file ends within a block";
    let available = bytes.len();
    let mut cursor = Cursor { bytes, order: section.order };
    let kind = cursor.u32().ok_or(CUT)?;
    if kind == SECTION_HEADER {
        section.order = cursor.clone().order_of_section().ok_or("no byte order in the section header")?;
        section.first_interface = capture.interfaces.len();
        section.times.clear();
        cursor.order = section.order;
    }
    let len = usize::try_from(cursor.u32().ok_or(CUT)?).map_err(|_| CUT)?;
    if len < 12 || !len.is_multiple_of(4) {
        return Err("impossible length of a block");
    }
    if len > available {
        return Err(CUT);
    }
    let body = cursor.take(len - 12).ok_or(CUT)?;
    match kind {
        INTERFACE_DESCRIPTION => read_interface(capture, section, body),
        ENHANCED_PACKET | PACKET => read_packet(capture, section, kind, body),
        SIMPLE_PACKET => read_simple_packet(capture, section, body),
        NAME_RESOLUTION => {
            read_names(&mut capture.names, body);
            Some(())
        }
        _ => Some(()),
    }
    .ok_or("a block too short for its fields, or of an interface that is not described")?;
    Ok(len)
}

fn read_interface(capture: &mut Capture, section: &mut Section, mut body: Cursor) -> Option<()> {
    let link_type = body.u16()?;
    body.u16()?;
    let snap_len = body.u32()?;
    let mut interface = CapturedInterface { name: String::new(), link_type };
    let mut times = InterfaceTimes { ticks_per_s: 1_000_000, offset_s: 0, snap_len };
    while let Some((kind, value)) = body.option() {
        match (kind, &value[..]) {
            (OPTION_INTERFACE_NAME, name) => interface.name = String::from_utf8_lossy(name).into_owned(),
            (OPTION_TIME_RESOLUTION, [resolution, ..]) => times.ticks_per_s = ticks_per_s(*resolution),
            (OPTION_TIME_OFFSET, _) => {
                let mut value = Cursor { bytes: value, order: body.order };
                times.offset_s = value.u64().map_or(0, u64::cast_signed);
            }
            _ => {}
        }
    }
    capture.interfaces.push(interface);
    section.times.push(times);
    Some(())
}

/// The high bit says whether the rest is an exponent of two or of ten; what does not fit saturates.
fn ticks_per_s(resolution: u8) -> u64 {
    let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
    base.saturating_pow(u32::from(resolution & 0x7f))
}

fn read_packet(capture: &mut Capture, section: &Section, kind: u32, mut body: Cursor) -> Option<()> {
    let index = if kind == PACKET {
        let index = u32::from(body.u16()?);
        body.u16()?; // packets that were lost before this one
        index
    } else {
        body.u32()?
    };
    let index = usize::try_from(index).ok()?;
    let times = section.times.get(index)?;
    let ticks = u64::from(body.u32()?) << 32 | u64::from(body.u32()?);
    let captured_len = usize::try_from(body.u32()?).ok()?;
    body.u32()?; // length on the wire
    let data = body.take(captured_len)?;
    body.skip_padding(captured_len);
    let (mut direction, mut id, mut comments) = (None, 0, Vec::new());
    while let Some((kind, value)) = body.option() {
        let mut number = Cursor { bytes: value.clone(), order: body.order };
        match kind {
            OPTION_COMMENT => comments.push(String::from_utf8_lossy(&value).into_owned()),
            OPTION_PACKET_FLAGS => direction = number.u32().and_then(direction_of_flags),
            OPTION_PACKET_ID => id = number.u64().unwrap_or(0),
            _ => {}
        }
    }
    let interface = section.first_interface + index;
    let at_nanos = times.nanos(ticks);
    capture.push(CapturedPacket { interface, at_nanos, direction, id, comments, bytes: data.bytes });
    Some(())
}

const fn direction_of_flags(flags: u32) -> Option<Direction> {
    match flags & 3 {
        1 => Some(Direction::Inbound),
        2 => Some(Direction::Outbound),
        _ => None,
    }
}

fn read_simple_packet(capture: &mut Capture, section: &Section, mut body: Cursor) -> Option<()> {
    let original_len = body.u32()?;
    let times = section.times.first()?;
    let kept = if times.snap_len == 0 { original_len } else { original_len.min(times.snap_len) };
    let len = usize::try_from(kept).ok()?.min(body.bytes.len());
    let bytes = body.take(len)?.bytes;
    let interface = section.first_interface;
    capture.push(CapturedPacket {
        interface,
        at_nanos: 0,
        direction: None,
        id: 0,
        comments: Vec::new(),
        bytes,
    });
    Some(())
}

/// Names are a convenience: a record that cannot be read is left out.
fn read_names(names: &mut Vec<(IpAddr, String)>, mut body: Cursor) {
    while let Some((kind, value)) = body.option() {
        let address = match kind {
            1 => value.first_chunk::<4>().map(|octets| (IpAddr::from(*octets), 4)),
            2 => value.first_chunk::<16>().map(|octets| (IpAddr::from(*octets), 16)),
            _ => None,
        };
        let Some((address, skip)) = address else { continue };
        let first = value[skip..].split(|&byte| byte == 0).next().unwrap_or_default();
        names.push((address, String::from_utf8_lossy(first).into_owned()));
    }
}

/// A classic file: one header, then packets of one interface.
fn read_classic(mut cursor: Cursor) -> Option<Capture> {
    let file_len = cursor.bytes.len();
    let (order, ticks_per_s) = match cursor.u32()? {
        0xa1b2_c3d4 => (Order::Little, 1_000_000),
        0xa1b2_3c4d => (Order::Little, 1_000_000_000),
        0xd4c3_b2a1 => (Order::Big, 1_000_000),
        0x4d3c_b2a1 => (Order::Big, 1_000_000_000),
        _ => return None,
    };
    cursor.order = order;
    cursor.take(16)?; // version, two fields without use, snap length
    let link_type = u16::try_from(cursor.u32()? & 0xffff).ok()?;
    let mut capture = Capture::default();
    capture.interfaces.push(CapturedInterface { name: String::new(), link_type });
    let times = InterfaceTimes { ticks_per_s, offset_s: 0, snap_len: 0 };
    while !cursor.bytes.is_empty() {
        let at = file_len - cursor.bytes.len();
        if classic_packet(&mut capture, &times, &mut cursor).is_none() {
            capture.damage = Some(Damage { at, what: "the file ends within a packet" });
            break;
        }
    }
    Some(capture)
}

fn classic_packet(capture: &mut Capture, times: &InterfaceTimes, cursor: &mut Cursor) -> Option<()> {
    let seconds = u64::from(cursor.u32()?);
    let ticks = u64::from(cursor.u32()?);
    let captured_len = usize::try_from(cursor.u32()?).ok()?;
    cursor.u32()?; // length on the wire
    let bytes = cursor.take(captured_len)?.bytes;
    let at_nanos = seconds * 1_000_000_000 + times.nanos(ticks);
    capture.push(CapturedPacket {
        interface: 0,
        at_nanos,
        direction: None,
        id: 0,
        comments: Vec::new(),
        bytes,
    });
    Some(())
}

impl Capture {
    /// Takes the link header off and keeps the packet if it is IP.
    fn push(&mut self, mut packet: CapturedPacket) {
        let link_type = self.interfaces[packet.interface].link_type;
        match network_offset(link_type, &packet.bytes) {
            Some(offset) => {
                packet.bytes = packet.bytes.slice(offset..);
                self.packets.push(packet);
            }
            None => self.not_ip += 1,
        }
    }
}

/// Where the IP header begins behind the link header; `None` when there is no IP header.
fn network_offset(link_type: u16, bytes: &[u8]) -> Option<usize> {
    let ether_type = |at: usize| {
        let value = bytes.get(at..at + 2)?;
        matches!(value, [0x08, 0x00] | [0x86, 0xdd]).then_some(at + 2)
    };
    let offset = match link_type {
        0 | 108 => 4, // BSD loopback
        1 => match bytes.get(12)? {
            // Ethernet
            0x81 | 0x88 => ether_type(16)?, // one VLAN tag
            _ => ether_type(12)?,
        },
        12 | 14 | 101 | 228 | 229 => 0, // raw IP, by its several numbers
        113 => ether_type(14)?,         // Linux cooked, version 1
        276 => {
            ether_type(0)?;
            20 // Linux cooked, version 2
        }
        _ => return None,
    };
    matches!(bytes.get(offset)? >> 4, 4 | 6).then_some(offset)
}

/// In which order a file's numbers have their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

/// The unread part of a file or block.
#[derive(Clone)]
struct Cursor {
    bytes: Bytes,
    order: Order,
}

impl Cursor {
    fn take(&mut self, len: usize) -> Option<Self> {
        (len <= self.bytes.len()).then(|| Self { bytes: self.bytes.split_to(len), order: self.order })
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut array = *self.take(N)?.bytes.first_chunk::<N>()?;
        if self.order == Order::Big {
            array.reverse();
        }
        Some(array)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The order that a section header announces; the cursor stands at its length.
    fn order_of_section(mut self) -> Option<Order> {
        self.u32()?;
        let magic = self.u32()?;
        if magic == BYTE_ORDER_MAGIC {
            Some(self.order)
        } else if magic == BYTE_ORDER_MAGIC.swap_bytes() {
            Some(if self.order == Order::Little { Order::Big } else { Order::Little })
        } else {
            None
        }
    }

    /// Skips the zeros behind a value of `len` bytes; at the very end they may be missing.
    fn skip_padding(&mut self, len: usize) {
        let padding = (len.next_multiple_of(4) - len).min(self.bytes.len());
        self.bytes = self.bytes.slice(padding..);
    }

    /// The next option; `None` at the end of the list or where it cannot be read.
    fn option(&mut self) -> Option<(u16, Bytes)> {
        let kind = self.u16()?;
        let len = usize::from(self.u16()?);
        if kind == OPTION_END {
            return None;
        }
        let value = self.take(len)?.bytes;
        self.skip_padding(len);
        Some((kind, value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EnhancedPacket, Interface, Writer};
    use super::*;
    use proptest::prelude::*;

    type Written = (u64, Direction, u64, Vec<String>, Vec<u8>);

    fn written(packets: &[Written]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), "test").unwrap();
        writer.names([(IpAddr::from([10, 0, 0, 1]), "server")]).unwrap();
        let interface = writer.interface(&Interface { name: "server", description: "" }).unwrap();
        for (at_nanos, direction, id, comments, bytes) in packets {
            let (at_nanos, direction, id) = (*at_nanos, *direction, *id);
            writer.packet(&EnhancedPacket { interface, at_nanos, direction, id, comments, bytes }).unwrap();
        }
        writer.finish().unwrap()
    }

    fn a_packet() -> impl Strategy<Value = Written> {
        let direction = prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)];
        let bytes = proptest::collection::vec(any::<u8>(), 0..40).prop_map(|mut bytes| {
            bytes.insert(0, 0x45);
            bytes
        });
        (any::<u64>(), direction, any::<u64>(), proptest::collection::vec(".*", 0..3), bytes)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(packets in proptest::collection::vec(a_packet(), 0..8)) {
            let capture = read(&Bytes::from(written(&packets))).unwrap();
            prop_assert_eq!(&capture.names, &[(IpAddr::from([10, 0, 0, 1]), "server".to_owned())]);
            prop_assert_eq!(&capture.interfaces[0].name, "server");
            prop_assert_eq!(capture.damage, None);
            let read: Vec<_> = capture
                .packets
                .into_iter()
                .map(|p| (p.at_nanos, p.direction.unwrap(), p.id, p.comments, p.bytes.to_vec()))
                .collect();
            prop_assert_eq!(read, packets);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&Bytes::from(bytes));
        }

        #[test]
        fn a_file_with_any_fault_is_read_up_to_it(
            packets in proptest::collection::vec(a_packet(), 1..4),
            at in any::<prop::sample::Index>(),
            value in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut file = written(&packets);
            let at = at.index(file.len());
            file[at] = value;
            file.truncate(cut.index(file.len()) + 1);
            if let Ok(capture) = read(&Bytes::from(file)) {
                prop_assert!(capture.packets.len() <= packets.len());
            }
        }
    }

    #[test]
    fn a_cut_file_gives_its_whole_packets_and_says_where_it_ends() {
        let packet = (1, Direction::Inbound, 0, Vec::new(), vec![0x45; 20]);
        let mut file = written(&[packet.clone(), packet]);
        file.truncate(file.len() - 5);
        let capture = read(&Bytes::from(file)).unwrap();
        assert_eq!(capture.packets.len(), 1);
        assert_eq!(capture.damage.map(|damage| damage.what), Some("the file ends within a block"));
    }

    #[test]
    fn a_classic_file_in_either_byte_order_is_read() {
        for big in [false, true] {
            let mut file = Vec::new();
            for field in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 65_535, 1, 3, 5, 15, 15] {
                file.extend_from_slice(&if big { field.to_be_bytes() } else { field.to_le_bytes() });
            }
            file.extend_from_slice(&[0; 12]);
            file.extend_from_slice(&[0x08, 0x00, 0x45]);
            let capture = read(&Bytes::from(file)).unwrap();
            assert_eq!(capture.packets[0].at_nanos, 3_000_000_005);
            assert_eq!(capture.packets[0].bytes[..], [0x45]);
            assert_eq!(capture.damage, None);
        }
    }

    #[test]
    fn packets_that_are_not_ip_are_counted() {
        let file = written(&[(0, Direction::Inbound, 0, Vec::new(), vec![0x10, 0, 0])]);
        let capture = read(&Bytes::from(file)).unwrap();
        assert_eq!((capture.packets.len(), capture.not_ip), (0, 1));
        assert_eq!(network_offset(1, &[0; 13]), None);
    }

    #[test]
    fn a_text_file_is_not_a_capture() {
        assert_eq!(read(&Bytes::from_static(b"hello, world")), Err(ReadError::NotACapture));
        assert_eq!(read(&Bytes::new()), Err(ReadError::NotACapture));
    }
}
