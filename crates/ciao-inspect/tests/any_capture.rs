//! Whatever packets a capture holds, in whatever order, they are explained without a panic.

use bytes::Bytes;
use ciao_inspect::comparison::{table, totals};
use ciao_inspect::history::from_capture;
use ciao_inspect::ladder::{Options, ladder};
use ciao_inspect::pcapng::{Capture, CapturedInterface, CapturedPacket, Direction};
use ciao_wire::ip::Protocol;
use ciao_wire::ipv4::Ipv4Header;
use ciao_wire::{SackBlock, SackBlocks, SeqNum, TcpFlags, TcpHeader, TcpOptions};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::Ipv4Addr;

/// Numbers near each other, so that segments overlap, and near the wrap.
fn number() -> impl Strategy<Value = SeqNum> {
    prop_oneof![9 => (0..40_u32).prop_map(|n| SeqNum(u32::MAX - 20).0.wrapping_add(n)), 1 => any::<u32>()]
        .prop_map(SeqNum)
}

prop_compose! {
    fn header()(
        seq in number(),
        ack in number(),
        flags in any::<u8>(),
        window in any::<u16>(),
        shift in proptest::option::of(any::<u8>()),
        sack in proptest::option::of((number(), number())),
    ) -> TcpHeader {
        let mut blocks = SackBlocks::EMPTY;
        if let Some((start, end)) = sack {
            blocks.push(SackBlock { start, end });
        }
        let options = TcpOptions { window_scale: shift, sack: blocks, ..TcpOptions::default() };
        TcpHeader { seq, ack, flags: TcpFlags(flags), window, options, ..TcpHeader::default() }
    }
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..30),
        Just(b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc".to_vec()),
        Just(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
    ]
}

/// A packet from one of two hosts, seen by one of two interfaces, perhaps cut.
fn packet() -> impl Strategy<Value = CapturedPacket> {
    let direction = prop_oneof![Just(None), Just(Some(Direction::Inbound)), Just(Some(Direction::Outbound))];
    let place = (0..2_usize, any::<bool>(), direction, 0..6_u64, 0..50_u64);
    (header(), data(), place, 0..120_usize).prop_map(|(mut header, data, place, cut)| {
        let (interface, from_client, direction, id, at_nanos) = place;
        (header.source_port, header.destination_port) = if from_client { (1, 2) } else { (2, 1) };
        let [client, server] = [1, 2].map(|host| Ipv4Addr::new(10, 0, 0, host));
        let (source, destination) = if from_client { (client, server) } else { (server, client) };
        let len = 20 + header.header_len() + data.len();
        let ip = Ipv4Header::new(Protocol::TCP, source, destination, u16::try_from(len).expect("short"));
        let mut bytes = vec![0; 20 + header.header_len()];
        ip.emit(&mut bytes);
        header.emit(&mut bytes[20..]);
        bytes.extend(data);
        bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(100)));
        CapturedPacket { interface, at_nanos, direction, id, comments: Vec::new(), bytes: Bytes::from(bytes) }
    })
}

proptest! {
    #[test]
    fn any_packets_are_explained(packets in vec(packet(), 0..40), width in 0..200_usize) {
        let interface = CapturedInterface { name: String::new(), link_type: 101 };
        let capture =
            Capture { interfaces: vec![interface; 2], packets, ..Capture::default() };
        let connections = from_capture(&capture);
        for connection in &connections {
            let page = ladder(connection, &Options { width, ..Options::default() });
            prop_assert!(page.plain().lines().count() > 1);
        }
        let counted: usize = connections.iter().map(|connection| connection.segments.len()).sum();
        prop_assert!(counted <= capture.packets.len());
        let totals = totals(&connections);
        prop_assert!(table(&[("all", totals)]).plain().contains("connections"));
        prop_assert!(serde_json::to_string(&ciao_inspect::json::connections(&connections)).is_ok());
    }
}
