//! Each test runs again in a process with a network namespace of its own, where nothing else is and nothing
//! outside is touched; there the kernel's sockets are the peers.

use ciao::{Cidr, Stack, StackConfig};
use ciao_link::tun::{Tun, TunConfig, TunOffload};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const KERNEL: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));
pub(crate) const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2));
pub(crate) const KERNEL_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1));
pub(crate) const OURS_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 2));

/// Set in the process that has its own namespace.
const INSIDE: &str = "CIAO_TEST_INSIDE_NAMESPACE";
/// Bytes that go each way.
const TRANSFER_BYTES: usize = 10 << 20;
/// Only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `test`, which is called `name`, in a namespace of its own, or says why it cannot.
pub(crate) fn in_own_namespace(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let this = std::env::current_exe().unwrap();
    let mut inner = Command::new("unshare");
    inner.arg("--net").arg(this).args(["--exact", name, "--nocapture"]);
    let Ok(output) = inner.env(INSIDE, "1").output() else {
        eprintln!("SKIPPED: there is no program `unshare`");
        return;
    };
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if stderr.starts_with("unshare:") {
        eprintln!("SKIPPED: no right to make a network namespace: {stderr}");
        return;
    }
    eprint!("{stderr}");
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}{stderr}");
}

/// A stack behind a TUN device of this namespace, with its driver running. `None`, with a word, when there
/// is no device.
pub(crate) fn stack(offload: TunOffload) -> Option<Stack> {
    let addresses = vec![(KERNEL, 24), (KERNEL_V6, 64)];
    let tun = match Tun::open(&TunConfig { addresses, offload, ..TunConfig::new("ciao-test") }) {
        Ok(tun) => tun,
        Err(error) => {
            eprintln!("SKIPPED: no TUN device: {error}");
            return None;
        }
    };
    let addresses = vec![Cidr::new(OURS, 24), Cidr::new(OURS_V6, 64)];
    let (stack, driver) = Stack::over_tun(tun, StackConfig { addresses, ..StackConfig::default() }).unwrap();
    tokio::spawn(driver);
    Some(stack)
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Bytes that differ from place to place and from one `salt` to another.
pub(crate) fn pattern(salt: u32) -> Vec<u8> {
    let mut state = salt;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..TRANSFER_BYTES).map(next).collect()
}

/// The kernel's end: sends one pattern while it receives another one to its end.
pub(crate) fn kernel_exchange(stream: TcpStream, salt: u32) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut writing = stream.try_clone().unwrap();
        let writer = thread::spawn(move || {
            writing.write_all(&pattern(salt)).unwrap();
            writing.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        (&stream).read_to_end(&mut received).unwrap();
        writer.join().unwrap();
        received
    })
}

/// Our end of the same.
pub(crate) async fn our_exchange(stream: ciao::TcpStream, salt: u32) -> Vec<u8> {
    let (mut read, mut write) = stream.into_split();
    let writer = tokio::spawn(async move {
        write.write_all(&pattern(salt)).await.unwrap();
    });
    let mut received = Vec::new();
    read.read_to_end(&mut received).await.unwrap();
    writer.await.unwrap();
    received
}

async fn the_kernel_connects_to_us(offload: TunOffload, ours: IpAddr) {
    let Some(stack) = stack(offload) else { return };
    let listener = stack.listen((ours, 80)).await.unwrap();
    let peer =
        thread::spawn(move || TcpStream::connect_timeout(&SocketAddr::from((ours, 80)), PATIENCE).unwrap());
    let (stream, from) = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let peer = peer.join().unwrap();
    assert_eq!(peer.local_addr().unwrap(), from);
    let kernel = kernel_exchange(peer, 1);
    let at_us = tokio::time::timeout(PATIENCE, our_exchange(stream, 2)).await.unwrap();
    assert!(at_us == pattern(1), "{} bytes from the kernel", at_us.len());
    let at_kernel = kernel.join().unwrap();
    assert!(at_kernel == pattern(2), "{} bytes to the kernel", at_kernel.len());
}

async fn we_connect_to_the_kernel(offload: TunOffload, kernel: IpAddr) {
    let Some(stack) = stack(offload) else { return };
    let listener = TcpListener::bind((kernel, 0)).unwrap();
    let target = listener.local_addr().unwrap();
    let stream = tokio::time::timeout(PATIENCE, stack.connect(target)).await.unwrap().unwrap();
    let (peer, from) = listener.accept().unwrap();
    assert_eq!(stream.local_addr().unwrap(), from);
    let kernel = kernel_exchange(peer, 3);
    let at_us = tokio::time::timeout(PATIENCE, our_exchange(stream, 4)).await.unwrap();
    assert!(at_us == pattern(3), "{} bytes from the kernel", at_us.len());
    let at_kernel = kernel.join().unwrap();
    assert!(at_kernel == pattern(4), "{} bytes to the kernel", at_kernel.len());
}

#[test]
fn ten_megabytes_go_each_way_when_the_kernel_connects() {
    in_own_namespace("kernel::ten_megabytes_go_each_way_when_the_kernel_connects", || {
        runtime().block_on(the_kernel_connects_to_us(TunOffload::Best, OURS));
    });
}

#[test]
fn ten_megabytes_go_each_way_when_we_connect() {
    in_own_namespace("kernel::ten_megabytes_go_each_way_when_we_connect", || {
        runtime().block_on(we_connect_to_the_kernel(TunOffload::Best, KERNEL));
    });
}

#[test]
fn ten_megabytes_go_each_way_without_offload() {
    in_own_namespace("kernel::ten_megabytes_go_each_way_without_offload", || {
        runtime().block_on(the_kernel_connects_to_us(TunOffload::None, OURS));
    });
}

#[test]
fn ten_megabytes_go_each_way_over_ipv6() {
    in_own_namespace("kernel::ten_megabytes_go_each_way_over_ipv6", || {
        runtime().block_on(the_kernel_connects_to_us(TunOffload::Best, OURS_V6));
    });
}

#[test]
fn a_closed_port_refuses_on_either_side() {
    in_own_namespace("kernel::a_closed_port_refuses_on_either_side", || {
        runtime().block_on(async {
            let Some(stack) = stack(TunOffload::Best) else { return };
            let refused = tokio::time::timeout(PATIENCE, stack.connect((KERNEL, 9))).await.unwrap();
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
            let kernel = tokio::task::spawn_blocking(|| TcpStream::connect((OURS, 9)));
            assert_eq!(kernel.await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionRefused);
        });
    });
}

#[test]
fn a_connection_that_either_side_resets_is_reset_at_the_other() {
    in_own_namespace("kernel::a_connection_that_either_side_resets_is_reset_at_the_other", || {
        runtime().block_on(async {
            let Some(stack) = stack(TunOffload::Best) else { return };
            let listener = TcpListener::bind((KERNEL, 0)).unwrap();
            let target = listener.local_addr().unwrap();

            let stream = stack.connect(target).await.unwrap();
            let mut peer = listener.accept().unwrap().0;
            peer.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.abort();
            assert_eq!(peer.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);

            let mut stream = stack.connect(target).await.unwrap();
            let peer = listener.accept().unwrap().0;
            stream.write_all(b"nobody reads this").await.unwrap();
            peer.peek(&mut [0; 8]).unwrap();
            drop(peer);
            let answer = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 8])).await.unwrap();
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::ConnectionReset);
        });
    });
}

// RFC 9293 §3.8.5 MUST-30, MUST-62
#[test]
fn the_kernel_finds_our_urgent_mark_where_we_have_set_it() {
    in_own_namespace("kernel::the_kernel_finds_our_urgent_mark_where_we_have_set_it", || {
        runtime().block_on(async {
            let Some(stack) = stack(TunOffload::Best) else { return };
            let listener = TcpListener::bind((KERNEL, 0)).unwrap();
            let mut stream = stack.connect(listener.local_addr().unwrap()).await.unwrap();
            let mut peer = listener.accept().unwrap().0;
            peer.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"calm ").await.unwrap();
            assert_eq!(stream.write_urgent(b"hurry!").await.unwrap(), 6);
            stream.write_all(b" calm").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut received = String::new();
            peer.read_to_string(&mut received).unwrap();
            // The byte before the mark is out of line there.
            assert_eq!(received, "calm hurry calm");
        });
    });
}
