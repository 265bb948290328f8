//! Paths beside the kernel: datagrams in fragments both ways, and a router in the middle whose next link
//! takes less than ours.
//!
//! The router is a network namespace of its own into which the TUN interface is moved; it is joined to the
//! test's namespace, where the kernel's sockets are, by a pair of virtual Ethernet interfaces.

use crate::kernel::{KERNEL, KERNEL_V6, OURS, OURS_V6, PATIENCE, in_own_namespace, pattern, runtime, stack};
use ciao::{Cidr, Route, Stack, StackConfig};
use ciao_link::tun::{Tun, TunConfig, TunOffload};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command};
use std::thread;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// The far end of the path.
const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 8, 0, 1));
const FAR_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd08, 0, 0, 0, 0, 0, 0, 1));

/// Runs a program; what it says is shown when it fails.
fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

/// `ip` with arguments in one string.
fn ip(arguments: &str) {
    run("ip", &arguments.split(' ').collect::<Vec<_>>());
}

/// A namespace between the TUN interface and the test's own; it goes with its only process.
struct Router(Child);

impl Router {
    /// Around `tun`, with a link of `mtu` behind it.
    fn around(tun: &str, mtu: u16) -> Self {
        let child = Command::new("unshare").args(["--net", "sleep", "60"]).spawn().unwrap();
        let router = Self(child);
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let of_router = format!("/proc/{}/ns/net", router.0.id());
        while std::fs::read_link(&of_router).is_ok_and(|namespace| namespace == own) {
            thread::yield_now();
        }
        let id = router.0.id();
        ip("link add far type veth peer name near");
        ip(&format!("link set near netns {id}"));
        ip(&format!("link set {tun} netns {id}"));
        ip("link set lo up");
        ip("addr add 10.8.0.1/24 dev far");
        ip("addr add fd08::1/64 dev far nodad");
        ip("link set far up");
        ip("route add 10.9.0.0/24 via 10.8.0.2");
        for command in [
            "ip link set lo up".to_owned(),
            format!("ip link set near mtu {mtu}"),
            "ip addr add 10.8.0.2/24 dev near".to_owned(),
            "ip addr add fd08::2/64 dev near nodad".to_owned(),
            "ip link set near up".to_owned(),
            format!("ip addr add 10.9.0.1/24 dev {tun}"),
            format!("ip addr add fd09::1/64 dev {tun} nodad"),
            format!("ip link set {tun} up"),
            "sh -c echo${IFS}1>/proc/sys/net/ipv4/ip_forward".to_owned(),
            "sh -c echo${IFS}1>/proc/sys/net/ipv6/conf/all/forwarding".to_owned(),
        ] {
            router.inside(&command);
        }
        ip("route add fd09::/64 via fd08::2");
        router
    }

    /// Runs a command in the router's namespace.
    fn inside(&self, command: &str) {
        let (target, net) = (format!("--target={}", self.0.id()), "--net");
        let arguments: Vec<&str> = [&*target, net].into_iter().chain(command.split(' ')).collect();
        run("nsenter", &arguments);
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends ten megabytes through a router whose next link takes 1,280 bytes.
async fn send_through_router(far: IpAddr, before: impl FnOnce(&Router)) {
    let config =
        TunConfig { addresses: Vec::new(), offload: TunOffload::Best, ..TunConfig::new("ciao-test") };
    let tun = match Tun::open(&config) {
        Ok(tun) => tun,
        Err(error) => return eprintln!("SKIPPED: no TUN device: {error}"),
    };
    let router = Router::around("ciao-test", 1280);
    before(&router);
    let addresses = vec![Cidr::new(OURS, 24), Cidr::new(OURS_V6, 64)];
    let routes = [(FAR, 24, KERNEL), (FAR_V6, 64, KERNEL_V6)]
        .map(|(far, len, gateway)| Route { destination: Cidr::new(far, len), gateway: Some(gateway) });
    let config = StackConfig { addresses, routes: routes.into(), ..StackConfig::default() };
    let (stack, driver) = Stack::over_tun(tun, config).unwrap();
    tokio::spawn(driver);
    let listener = TcpListener::bind((far, 0)).unwrap();
    let target = listener.local_addr().unwrap();
    let receiver = thread::spawn(move || {
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
        received
    });
    let mut stream = timeout(PATIENCE, stack.connect(target)).await.unwrap().unwrap();
    timeout(PATIENCE, stream.write_all(&pattern(5))).await.unwrap().unwrap();
    let sizes = stream.info().unwrap().snd_mss;
    timeout(PATIENCE, stream.shutdown()).await.unwrap().unwrap();
    assert!(receiver.join().unwrap() == pattern(5));
    let headers = if far.is_ipv4() { 40 } else { 60 };
    assert!((1280 - headers - 12 - 32..=1280 - headers).contains(&sizes), "segments of {sizes}");
}

// RFC 1191 §3 1191-3a
// RFC 8201 §4 8201-4a
#[test]
fn a_router_says_how_long_packets_may_be() {
    in_own_namespace("path::a_router_says_how_long_packets_may_be", || {
        runtime().block_on(send_through_router(FAR, |_| {}));
    });
}

#[test]
fn a_router_says_how_long_ipv6_packets_may_be() {
    in_own_namespace("path::a_router_says_how_long_ipv6_packets_may_be", || {
        runtime().block_on(send_through_router(FAR_V6, |_| {}));
    });
}

// RFC 4821 §7 4821-1
#[test]
fn a_router_that_says_nothing_is_found_out() {
    in_own_namespace("path::a_router_that_says_nothing_is_found_out", || {
        runtime().block_on(send_through_router(FAR, |router| {
            router.inside("iptables -A OUTPUT -p icmp -j DROP");
        }));
    });
}

/// Both ends take datagrams that come in fragments, and send such.
async fn exchange_long_datagrams(stack: Stack, ours: IpAddr, kernel: IpAddr) {
    let socket = stack.bind_udp((ours, 53)).await.unwrap();
    let peer = UdpSocket::bind((kernel, 0)).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let data = pattern(6);
    let mut bytes = vec![0; 1 << 16];
    for len in [1_473, 8_192, 65_000] {
        peer.send_to(&data[..len], SocketAddr::from((ours, 53))).unwrap();
        let (received, from) = timeout(PATIENCE, socket.recv_from(&mut bytes)).await.unwrap().unwrap();
        assert!(bytes[..received] == data[..len], "{received} of {len} bytes from the kernel");
        socket.send_to(&bytes[..received], from).await.unwrap();
        let received = peer.recv(&mut bytes).unwrap();
        assert!(bytes[..received] == data[..len], "{received} of {len} bytes to the kernel");
    }
    for size in ["1472", "1473", "8000", "60000"] {
        run("ping", &["-c1", "-W10", "-s", size, &ours.to_string()]);
    }
}

// RFC 1122 §3.3.2 1122-3.3.2a
// RFC 1122 §3.2.2.6 1122-3.2.2.6a
#[test]
fn long_datagrams_and_pings_go_both_ways_in_fragments() {
    in_own_namespace("path::long_datagrams_and_pings_go_both_ways_in_fragments", || {
        runtime().block_on(async {
            let Some(stack) = stack(TunOffload::Best) else { return };
            exchange_long_datagrams(stack.clone(), OURS, KERNEL).await;
            exchange_long_datagrams(stack, OURS_V6, KERNEL_V6).await;
        });
    });
}
