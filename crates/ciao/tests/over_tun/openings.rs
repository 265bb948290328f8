//! Unusual openings beside the kernel: SYN cookies and TCP Fast Open, both ways.

use crate::kernel::{
    KERNEL, KERNEL_V6, OURS, OURS_V6, PATIENCE, in_own_namespace, kernel_exchange, our_exchange, pattern,
    runtime, stack,
};
use ciao::{ConnectRequest, ListenRequest, Stack, SynCookies};
use ciao_link::tun::TunOffload;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Connections by Fast Open: the first asks for a cookie, the others send data in the SYN, unless an answer
/// takes so long that a usual SYN follows.
const ROUNDS: u64 = 4;

/// Runs `test` with a stack in a namespace of its own.
fn with_stack<F: Future>(name: &str, test: impl FnOnce(Stack) -> F) {
    in_own_namespace(name, || {
        runtime().block_on(async {
            if let Some(stack) = stack(TunOffload::Best) {
                test(stack).await;
            }
        });
    });
}

/// Sets a number of the kernel for this namespace.
fn sysctl(name: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/ipv4/{name}"), value).unwrap();
}

async fn kernel_connects_by_cookie(stack: Stack, ours: IpAddr) {
    let target = SocketAddr::from((ours, 80));
    let request = ListenRequest { syn_cookies: SynCookies::Always, ..ListenRequest::at(target) };
    let listener = stack.listen_with(request).unwrap();
    let peer = thread::spawn(move || TcpStream::connect_timeout(&target, PATIENCE).unwrap());
    let (stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let kernel = kernel_exchange(peer.join().unwrap(), 1);
    let at_us = timeout(PATIENCE, our_exchange(stream, 2)).await.unwrap();
    assert!(at_us == pattern(1) && kernel.join().unwrap() == pattern(2));
    let counters = stack.counters();
    assert_eq!((counters.syn_cookies_accepted, counters.syn_cookies_refused), (1, 0));
}

// RFC 4987 §3.6 4987-2
#[test]
fn the_kernel_brings_our_cookie_back() {
    with_stack("openings::the_kernel_brings_our_cookie_back", |stack| kernel_connects_by_cookie(stack, OURS));
}

// RFC 4987 §3.6 4987-2
#[test]
fn the_kernel_brings_our_cookie_back_over_ipv6() {
    with_stack("openings::the_kernel_brings_our_cookie_back_over_ipv6", |stack| {
        kernel_connects_by_cookie(stack, OURS_V6)
    });
}

#[test]
fn we_bring_the_kernels_cookie_back() {
    with_stack("openings::we_bring_the_kernels_cookie_back", |stack| async move {
        sysctl("tcp_syncookies", "2");
        let listener = TcpListener::bind((KERNEL, 0)).unwrap();
        let stream = timeout(PATIENCE, stack.connect(listener.local_addr().unwrap())).await.unwrap().unwrap();
        let kernel = kernel_exchange(listener.accept().unwrap().0, 3);
        let at_us = timeout(PATIENCE, our_exchange(stream, 4)).await.unwrap();
        assert!(at_us == pattern(3) && kernel.join().unwrap() == pattern(4));
    });
}

/// Data goes into the SYN as soon as the kernel has given us a cookie.
async fn we_open_fast(stack: Stack, kernel: IpAddr) {
    // Client, server, and every listener without asking for it.
    sysctl("tcp_fastopen", "1027");
    let listener = TcpListener::bind((kernel, 0)).unwrap();
    let target = listener.local_addr().unwrap();
    // The device may lose a first SYN; one without the option costs nothing.
    timeout(PATIENCE, stack.connect(target)).await.unwrap().unwrap().abort();
    drop(listener.accept().unwrap());
    for _ in 0..ROUNDS {
        let server = {
            let listener = listener.try_clone().unwrap();
            thread::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                let mut request = [0; 7];
                stream.read_exact(&mut request).unwrap();
                stream.write_all(&request).unwrap();
            })
        };
        let connect = stack.connect_with_data(ConnectRequest::to(target), b"request");
        let mut stream = timeout(PATIENCE, connect).await.unwrap().unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer, b"request");
        server.join().unwrap();
    }
    let taken = kernel_counter("TCPFastOpenPassive");
    assert!((1..ROUNDS).contains(&taken), "the kernel has taken the data of {taken} SYNs");
}

/// A number of the kernel's `netstat`.
fn kernel_counter(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/net/netstat").unwrap();
    let lines: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("TcpExt:"))
        .map(|line| line.split(' ').collect())
        .collect();
    let column = lines[0].iter().position(|column| *column == name).unwrap();
    lines[1][column].parse().unwrap()
}

// RFC 7413 §4.2.1 7413-4d, 7413-4e
#[test]
fn the_kernel_takes_the_data_of_our_syn() {
    with_stack("openings::the_kernel_takes_the_data_of_our_syn", |stack| we_open_fast(stack, KERNEL));
}

// RFC 7413 §4.2.1 7413-4d, 7413-4e
#[test]
fn the_kernel_takes_the_data_of_our_syn_over_ipv6() {
    with_stack("openings::the_kernel_takes_the_data_of_our_syn_over_ipv6", |stack| {
        we_open_fast(stack, KERNEL_V6)
    });
}

// RFC 7413 §4.2.2 7413-4b, 7413-4h
#[test]
fn we_take_the_data_of_the_kernels_syn() {
    with_stack("openings::we_take_the_data_of_the_kernels_syn", |stack| async move {
        if Command::new("curl").arg("--version").output().is_err() {
            eprintln!("SKIPPED: there is no program `curl`");
            return;
        }
        sysctl("tcp_fastopen", "1");
        let request = ListenRequest { fast_open: 16, ..ListenRequest::at((OURS, 80).into()) };
        let listener = stack.listen_with(request).unwrap();
        for _ in 0..ROUNDS {
            let curl = thread::spawn(|| {
                let url = format!("http://{OURS}/");
                Command::new("curl")
                    .args(["--silent", "--max-time", "20", "--tcp-fastopen", &url])
                    .output()
                    .unwrap()
            });
            let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
            let mut request = vec![0; 4096];
            let len = timeout(PATIENCE, stream.read(&mut request)).await.unwrap().unwrap();
            assert!(request[..len].starts_with(b"GET / "));
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nciao").await.unwrap();
            stream.shutdown().await.unwrap();
            let output = curl.join().unwrap();
            assert_eq!(output.stdout, b"ciao", "{}", String::from_utf8_lossy(&output.stderr));
        }
        let counters = stack.counters();
        assert!((1..ROUNDS).contains(&counters.fast_opens_accepted), "{counters:?}");
        assert_eq!(counters.fast_open_cookies_refused, 0);
    });
}
