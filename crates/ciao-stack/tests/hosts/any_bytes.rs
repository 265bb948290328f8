//! Whatever comes from the wire: no panic, a bounded answer, and each packet is delivered or counted as
//! dropped.

use crate::pair::{A4, A6, B4, B6, End, Pair, WIRE, at};
use bytes::Bytes;
use ciao_stack::{ConnectRequest, FastOpen, ListenRequest, Overflow};
use ciao_wire::{Checksum, Packet, Payload};
use proptest::prelude::*;
use proptest::sample::Index;

/// A pair with one open connection over each version, a listener and a UDP socket, and packets that it has
/// exchanged.
fn busy() -> (Pair, Vec<Vec<u8>>) {
    let mut pair = Pair::new();
    for (address, source) in [(B4, A4), (B6, A6)] {
        let (client, server) = pair.connected(address, 80);
        pair.a.host.tcp_send(pair.now, client, b"some bytes").expect("there is room");
        pair.flow();
        pair.b.host.tcp_send(pair.now, server, b"some more").expect("there is room");
        let request = ListenRequest {
            overflow: Overflow::Reset,
            syn_queue: 4,
            fast_open: 4,
            ..ListenRequest::at(at(address, 90))
        };
        pair.b.host.tcp_listen(request).expect("the port is free");
        pair.b.host.udp_bind(at(address, 53)).expect("the port is free");
        let udp = pair.a.host.udp_bind(at(source, 0)).expect("a port is free");
        pair.a.host.udp_send_to(pair.now, udp, b"question", at(address, 53)).expect("it is sent");
        pair.connect(address, 90);
        let fast = ConnectRequest { fast_open: FastOpen::On, ..ConnectRequest::to(at(address, 90)) };
        for _ in 0..2 {
            pair.a.host.tcp_connect_with(pair.now, fast, b"data").expect("nothing stands in the way");
            pair.flow();
        }
    }
    pair.flow();
    let packets = pair.a.sent.iter().map(Packet::to_vec).collect();
    (pair, packets)
}

/// Gives packets to B and checks what must hold whatever they are.
fn survives(end: &mut End, now: ciao_wire::Instant, packets: Vec<Packet>) {
    let before = end.host.counters().clone();
    let count = packets.len() as u64;
    end.host.handle_packets(now, WIRE, packets);
    let answers = end.drain(now).len() as u64;
    let after = end.host.counters();
    let drops = |counters: &ciao_stack::Counters| counters.drops().map(|(_, count)| count).sum::<u64>();
    assert_eq!(after.packets_received - before.packets_received, count);
    assert!(drops(after) - drops(&before) <= count, "a packet is dropped once at most");
    assert!(answers <= 10 * count, "{answers} answers to {count} packets");
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(
        version in prop::sample::select(vec![0x45_u8, 0x46, 0x4f, 0x60, 0x00]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        checksum in prop::sample::select(vec![Checksum::Unknown, Checksum::Valid]),
    ) {
        let (mut pair, _) = busy();
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        let packet = Packet { checksum, ..Packet::from_bytes(Bytes::from(bytes)) };
        survives(&mut pair.b, pair.now, vec![packet]);
    }

    #[test]
    fn good_packets_with_changed_bytes_do_no_harm(
        changes in prop::collection::vec((any::<Index>(), any::<Index>(), any::<u8>()), 1..40),
        segment_size in prop::sample::select(vec![0_u16, 1, 10, 1448]),
        cut in any::<Index>(),
    ) {
        let (mut pair, good) = busy();
        let mut packets = Vec::new();
        for (which, place, value) in changes {
            let mut bytes = good[which.index(good.len())].clone();
            // The link vouches for the checksum, so that the change gets through to what stands behind it.
            let place = place.index(bytes.len());
            bytes[place] = value;
            let at = cut.index(bytes.len());
            let whole = Bytes::from(bytes);
            let mut payload = Payload::from(whole.slice(..at));
            payload.push(whole.slice(at..));
            let checksum = Checksum::Valid;
            packets.push(Packet { payload, segment_size, checksum, ..Packet::from_bytes(Bytes::new()) });
        }
        survives(&mut pair.b, pair.now, packets);
        pair.run_for(std::time::Duration::from_secs(200));
    }
}
