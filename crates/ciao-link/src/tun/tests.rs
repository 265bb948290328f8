//! A TUN device against the kernel of this machine, each test in a network namespace of its own, so that
//! nothing outside is touched and no privilege but that of making namespaces is needed.

use super::*;
use ciao_wire::{Checksum, Head, PacketId};
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

const KERNEL: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const OURS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
/// Far above what the kernel needs for its own packets; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs `test` in a thread with a network namespace of its own, or says why it cannot.
fn in_own_namespace(test: fn()) {
    let thread = std::thread::spawn(move || {
        // SAFETY: no pointers; it concerns this thread alone.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            eprintln!("SKIPPED: no right to make a network namespace: {}", io::Error::last_os_error());
            return;
        }
        if !Path::new(DEVICE_NODE).exists() {
            eprintln!("SKIPPED: there is no {DEVICE_NODE}");
            return;
        }
        test();
    });
    thread.join().unwrap();
}

fn config() -> TunConfig {
    TunConfig { addresses: vec![(KERNEL.into(), 24)], ..TunConfig::new("ciao-test") }
}

/// The next packet that `wanted` accepts; what else the kernel says of itself (router solicitations) is
/// passed over.
fn receive(tun: &mut Tun, wanted: impl Fn(&[u8]) -> bool) -> Packet {
    loop {
        while let Some(packet) = tun.receive().unwrap() {
            if wanted(&packet.to_vec()) {
                return packet;
            }
        }
        let mut poll = libc::pollfd { fd: tun.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, and the count says one.
        let ready = unsafe { libc::poll(&raw mut poll, 1, i32::try_from(PATIENCE.as_millis()).unwrap()) };
        assert_eq!(ready, 1, "nothing came out of the device");
    }
}

fn is_protocol(protocol: u8) -> impl Fn(&[u8]) -> bool {
    move |bytes| bytes[0] >> 4 == 4 && bytes[9] == protocol
}

/// The unfolded sum of 16-bit words.
fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

/// An IPv4 packet from us to the kernel, `transport` being the transport header; the checksum at `offset`
/// is left partial.
fn to_kernel(protocol: u8, transport: &[u8], payload: Bytes, offset: u16) -> Packet {
    let mut head = Head::zeroed(20 + transport.len());
    let transport_len = transport.len() + payload.len();
    let bytes = head.as_mut_slice();
    bytes[0] = 0x45;
    bytes[2..4].copy_from_slice(&u16::try_from(20 + transport_len).unwrap().to_be_bytes());
    bytes[8] = 64;
    bytes[9] = protocol;
    bytes[12..16].copy_from_slice(&OURS.octets());
    bytes[16..20].copy_from_slice(&KERNEL.octets());
    let header_sum = !fold(sum(&bytes[..20]));
    bytes[10..12].copy_from_slice(&header_sum.to_be_bytes());
    let pseudo = fold(
        sum(&OURS.octets())
            + sum(&KERNEL.octets())
            + u32::from(protocol)
            + u32::try_from(transport_len).unwrap(),
    );
    bytes[20..].copy_from_slice(transport);
    let at = 20 + usize::from(offset);
    bytes[at..at + 2].copy_from_slice(&pseudo.to_be_bytes());
    let checksum = Checksum::Partial { start: 20, offset };
    Packet { head, payload: Payload::from(payload), segment_size: 0, checksum, id: PacketId(0) }
}

#[test]
fn datagrams_pass_both_ways_and_the_kernel_completes_the_checksum() {
    in_own_namespace(|| {
        let mut tun = Tun::open(&config()).unwrap();
        let socket = UdpSocket::bind((KERNEL, 4000)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send_to(b"from the kernel", (OURS, 5000)).unwrap();
        let packet = receive(&mut tun, is_protocol(17));
        let bytes = packet.to_vec();
        assert_eq!(&bytes[12..20], [KERNEL.octets(), OURS.octets()].concat());
        assert_eq!(&bytes[28..], b"from the kernel");

        let header = [5000u16, 4000, 8 + 7, 0].map(u16::to_be_bytes).concat();
        let packet = to_kernel(17, &header, Bytes::from_static(b"from us"), 6);
        assert!(matches!(tun.transmit(packet), Ok(Transmission::Sent)));
        let mut buffer = [0; 100];
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (&b"from us"[..], (OURS, 5000).into()));
    });
}

/// The fields of a TCP header that the little peer below needs.
fn tcp_header(ports: (u16, u16), seq: u32, ack: u32, flags: u8) -> [u8; 20] {
    let mut header = [0; 20];
    header[..2].copy_from_slice(&ports.0.to_be_bytes());
    header[2..4].copy_from_slice(&ports.1.to_be_bytes());
    header[4..8].copy_from_slice(&seq.to_be_bytes());
    header[8..12].copy_from_slice(&ack.to_be_bytes());
    header[12] = 5 << 4;
    header[13] = flags;
    header[14..16].copy_from_slice(&65_535u16.to_be_bytes());
    header
}

const SYN: u8 = 2;
const ACK: u8 = 16;

/// Opens a connection to the kernel's listener and gives its socket, and the sequence numbers that each end
/// sends next.
fn connect(tun: &mut Tun, listener: &TcpListener) -> (TcpStream, u32, u32) {
    let port = listener.local_addr().unwrap().port();
    let syn = tcp_header((5000, port), 1000, 0, SYN);
    assert!(matches!(tun.transmit(to_kernel(6, &syn, Bytes::new(), 16)), Ok(Transmission::Sent)));
    let answer = receive(tun, is_protocol(6)).to_vec();
    assert_eq!(answer[33] & (SYN | ACK), SYN | ACK);
    let kernel_seq = u32::from_be_bytes(answer[24..28].try_into().unwrap()).wrapping_add(1);
    let ack = tcp_header((5000, port), 1001, kernel_seq, ACK);
    assert!(matches!(tun.transmit(to_kernel(6, &ack, Bytes::new(), 16)), Ok(Transmission::Sent)));
    (listener.accept().unwrap().0, 1001, kernel_seq)
}

#[test]
fn super_segments_pass_both_ways() {
    in_own_namespace(|| {
        let mut tun = Tun::open(&config()).unwrap();
        assert_eq!(tun.capabilities().segmentation, Segmentation::ByLink);
        let listener = TcpListener::bind((KERNEL, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mut socket, our_seq, kernel_seq) = connect(&mut tun, &listener);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();

        // To the kernel: 30,000 bytes in three pieces, to be cut at 1,000.
        let text: Vec<u8> = (0..30_000u32).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect();
        let header = tcp_header((5000, port), our_seq, kernel_seq, ACK);
        let mut packet = to_kernel(6, &header, Bytes::from(text.clone()), 16);
        packet.payload = packet.payload.slice(0, 10_000);
        packet.payload.push(Bytes::from(text[10_000..10_001].to_vec()));
        packet.payload.push(Bytes::from(text[10_001..].to_vec()));
        packet.segment_size = 1000;
        assert!(matches!(tun.transmit(packet), Ok(Transmission::Sent)));
        let mut received = vec![0; text.len()];
        socket.read_exact(&mut received).unwrap();
        assert!(received == text, "the text arrived changed");

        // From the kernel: more than its first window, so the first flight is several segments in one
        // packet.
        socket.write_all(&text[..12_000]).unwrap();
        let packet = receive(&mut tun, |bytes| is_protocol(6)(bytes) && bytes.len() > 1500);
        assert!(packet.segment_size > 0 && packet.segment_size <= 1460, "{}", packet.segment_size);
        assert_eq!(packet.checksum, Checksum::Valid);
        let bytes = packet.to_vec();
        let header_len = 20 + usize::from(bytes[32] >> 4) * 4;
        assert_eq!(bytes[header_len..], text[..bytes.len() - header_len]);
    });
}

#[test]
fn a_packet_in_very_many_pieces_is_joined() {
    in_own_namespace(|| {
        let mut tun = Tun::open(&config()).unwrap();
        let socket = UdpSocket::bind((KERNEL, 4000)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        for count in [SLICES - 3, SLICES - 2, SLICES - 1, 1200] {
            let text = vec![b'x'; count];
            let len = u16::try_from(8 + count).unwrap();
            let header = [5000u16, 4000, len, 0].map(u16::to_be_bytes).concat();
            let mut packet = to_kernel(17, &header, Bytes::from(text.clone()), 6);
            let whole = std::mem::take(&mut packet.payload);
            for at in 0..count {
                packet.payload.append(whole.slice(at, 1));
            }
            assert!(matches!(tun.transmit(packet), Ok(Transmission::Sent)));
            let mut buffer = [0; 1500];
            assert_eq!(socket.recv(&mut buffer).unwrap(), count);
        }
    });
}

#[test]
fn buffers_of_large_packets_are_used_again_once_the_packets_are_gone() {
    in_own_namespace(|| {
        let mut tun = Tun::open(&TunConfig { mtu: 20_000, ..config() }).unwrap();
        let socket = UdpSocket::bind((KERNEL, 4000)).unwrap();
        let text = [7; 12_000];
        let mut addresses = std::collections::BTreeSet::new();
        for _ in 0..3 {
            socket.send_to(&text, (OURS, 5000)).unwrap();
            let packet = receive(&mut tun, is_protocol(17));
            addresses.insert(packet.payload.chunks().next().unwrap().as_ptr().addr());
        }
        assert_eq!(addresses.len(), 1, "each packet was dropped before the next read");
        let held: Vec<Packet> = (0..2 * KEPT_BUFFERS)
            .map(|_| {
                socket.send_to(&text, (OURS, 5000)).unwrap();
                receive(&mut tun, is_protocol(17))
            })
            .collect();
        assert!(tun.kept.len() <= KEPT_BUFFERS);
        assert!(held.iter().all(|packet| packet.to_vec()[28..] == text), "a held packet was written over");
    });
}

#[test]
fn both_ip_versions_get_their_address_and_route() {
    in_own_namespace(|| {
        let kernel: Ipv6Addr = "fd00:9::1".parse().unwrap();
        let addresses = vec![(KERNEL.into(), 24), (kernel.into(), 64)];
        let mut tun = Tun::open(&TunConfig { addresses, ..config() }).unwrap();
        let socket = UdpSocket::bind((kernel, 4000)).unwrap();
        socket.send_to(b"six", ("fd00:9::2".parse::<Ipv6Addr>().unwrap(), 5000)).unwrap();
        let packet = receive(&mut tun, |bytes| bytes[0] >> 4 == 6 && bytes[6] == 17);
        assert_eq!(&packet.to_vec()[48..], b"six");
    });
}

#[test]
fn a_device_without_offload_says_so_and_takes_no_more_than_the_mtu() {
    in_own_namespace(|| {
        let config = TunConfig { offload: TunOffload::None, mtu: 1400, ..config() };
        let mut tun = Tun::open(&config).unwrap();
        let expected =
            Capabilities { mtu: 1400, segmentation: Segmentation::ByHost, checksum: ChecksumOffload::ByHost };
        assert_eq!(tun.capabilities(), expected);
        let error = tun.transmit(Packet::from_bytes(Bytes::from(vec![0x45; 1401]))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn sending_to_an_interface_that_went_down_is_an_error() {
    in_own_namespace(|| {
        let mut tun = Tun::open(&config()).unwrap();
        sys::Interface::new("ciao-test").unwrap().set_down().unwrap();
        let header = [5000u16, 4000, 8, 0].map(u16::to_be_bytes).concat();
        let error = tun.transmit(to_kernel(17, &header, Bytes::new(), 6)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
    });
}

#[test]
fn a_name_in_use_is_told_from_the_other_refusals() {
    in_own_namespace(|| {
        let _tun = Tun::open(&config()).unwrap();
        for name in ["ciao-test", "lo"] {
            let error = Tun::open(&TunConfig::new(name)).unwrap_err();
            assert!(matches!(&error, OpenError::NameInUse { name: used } if used == name), "{error}");
            assert_eq!(io::Error::from(error).kind(), io::ErrorKind::AddrInUse);
        }
    });
}

#[test]
fn names_that_the_kernel_would_not_take_are_refused_first() {
    for name in ["", ".", "..", "a/b", "a b", "a:b", "sixteen-bytes-16"] {
        let error = Tun::open(&TunConfig::new(name)).unwrap_err();
        assert!(matches!(error, OpenError::NameInvalid { .. }), "{name}: {error}");
    }
}

#[test]
fn a_missing_node_is_told_from_a_forbidden_one() {
    let missing = TunConfig { device: "/nowhere/tun".into(), ..config() };
    let error = Tun::open(&missing).unwrap_err();
    assert!(matches!(error, OpenError::DeviceMissing { .. }), "{error}");
    assert!(error.to_string().contains("/nowhere/tun") && error.to_string().contains(DEVICE_VARIABLE));
    let forbidden = OpenError::DeviceForbidden { path: "/dev/net/tun".into() };
    assert!(forbidden.to_string().starts_with("no right to open /dev/net/tun"));
    assert_eq!(forbidden.kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn the_machine_has_its_loopback_address_and_no_documentation_address() {
    let has = |address: &str| machine_has(address.parse().unwrap()).unwrap();
    assert!(has("127.0.0.1"));
    assert!(!has("192.0.2.77") && !has("2001:db8::77"));
}
