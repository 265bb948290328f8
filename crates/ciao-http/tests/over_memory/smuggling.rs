//! Does the service ever see a request that the RFC does not permit? Whatever the pieces of the bytes.
//!
//! Each case says which targets the service must see. hyper and httparse decide; this corpus keeps them to
//! it.

use std::sync::Arc;

use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use super::duplex::{Server, read_all, record};

/// A request that stands where another body's bytes would end; seeing `/evil` is the fault.
const INNER: &str = "GET /evil HTTP/1.1\r\nhost: a\r\n\r\n";

/// Bytes, and the targets that may reach the service.
struct Case {
    name: String,
    bytes: Vec<u8>,
    seen: &'static [&'static str],
}

fn case(name: impl Into<String>, bytes: impl Into<Vec<u8>>, seen: &'static [&'static str]) -> Case {
    Case { name: name.into(), bytes: bytes.into(), seen }
}

/// POST with these fields and this body, and a request after it that only a kept connection may serve.
fn post(fields: &str, body: &str) -> String {
    format!("POST /sink HTTP/1.1\r\nhost: a\r\n{fields}\r\n{body}")
}

// RFC 9112 §6.1 9112-6.1a, 9112-6.1b
fn length_and_coding() -> Vec<Case> {
    let chunked = format!("0\r\n\r\n{INNER}");
    let mut cases = vec![
        case("CL.TE", post("content-length: 6\r\ntransfer-encoding: chunked\r\n", &chunked), &["/sink"]),
        case("TE.CL", post("transfer-encoding: chunked\r\ncontent-length: 6\r\n", &chunked), &["/sink"]),
        case(
            "TE on HTTP/1.0",
            format!(
                "POST /sink HTTP/1.0\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"
            ),
            &[],
        ),
    ];
    // No coding but a plain, final `chunked` frames a body; each of these must be refused or end the
    // connection.
    for coding in [
        "xchunked",
        "chunked, identity",
        "identity",
        "gzip",
        "chunked, gzip",
        "chunkedx",
        "chu nked",
        "\"chunked\"",
        "chunked;q=1",
        "x,chunked,y",
        "identity, chunked, identity",
        "\u{b}chunked",
        "chunked\u{b}",
        "cow",
        "deflate",
        "compress",
        "chunked,",
        "chunked chunked",
    ] {
        let fields = format!("content-length: 4\r\ntransfer-encoding: {coding}\r\n");
        // A framing error is refused before the service, or the service sees one request and no other.
        cases.push(case(format!("TE {coding:?}"), post(&fields, &format!("abcd{INNER}")), ONE_OR_NONE));
    }
    for line in [
        "transfer-encoding : chunked",
        " transfer-encoding: chunked",
        "transfer-encoding:\r\n chunked",
        "transfer-encoding\t: chunked",
        "x: y\r\n transfer-encoding: chunked",
        "transfer-encoding: chunked\r\n\t,x",
    ] {
        let fields = format!("content-length: 4\r\n{line}\r\n");
        cases.push(case(format!("TE line {line:?}"), post(&fields, &format!("abcd{INNER}")), ONE_OR_NONE));
    }
    cases
}

/// The service may see `/sink` once, or nothing.
const ONE_OR_NONE: &[&str] = &["/sink", "or nothing"];

// RFC 9112 §6.3 9112-6.3a
fn lengths() -> Vec<Case> {
    let wrong = [
        "+5",
        "-5",
        "5,6",
        "5 5",
        "0x5",
        "5a",
        "18446744073709551616",
        "99999999999999999999999",
        "5.0",
        "five",
        "",
        "\"5\"",
        "5;",
        "٥",
    ];
    let mut cases: Vec<_> = wrong
        .iter()
        .map(|value| {
            let fields = format!("content-length: {value}\r\n");
            case(format!("CL {value:?}"), post(&fields, &format!("hello{INNER}")), &[])
        })
        .collect();
    cases.push(case(
        "two lengths",
        post("content-length: 5\r\ncontent-length: 6\r\n", &format!("hello{INNER}")),
        &[],
    ));
    cases
}

// RFC 9112 §7.1 9112-7.1
fn chunks() -> Vec<Case> {
    let mut cases: Vec<_> = [
        "10000000000000000\r\nx",
        "fffffffffffffffff\r\nx",
        "0000000000000000000000000000000x\r\n",
        "5 \u{b}\r\nhello",
        "+5\r\nhello\r\n",
        "-5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        "5\r\nhello!\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "g\r\n",
        "\r\n\r\n",
        ";\r\n",
        "5\rhello\r\n",
    ]
    .iter()
    .map(|body| {
        let bytes = post("transfer-encoding: chunked\r\n", &format!("{body}{INNER}"));
        case(format!("chunk {body:?}"), bytes, &["/sink"])
    })
    .collect();
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n{INNER}", "x".repeat(1 << 20));
    cases.push(case("extension of 1 MiB", post("transfer-encoding: chunked\r\n", &extension), &["/sink"]));
    cases
}

// RFC 9112 §5.1 9112-5.1, RFC 9112 §5.2 9112-5.2, RFC 9112 §2.2 9112-2.2
fn lines() -> Vec<Case> {
    [
        "GET /a HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost\t: a\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n",
        "GET /a HTTP/1.1\r\n host: a\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost: a\rx: y\r\n\r\n",
        "GET /a\rb HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n",
        "GET /a HTTP/1.1\r\nho st: a\r\n\r\n",
        "GET /a HTTP/1.1\r\n: a\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost\r\n\r\n",
        "GET  /a HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /a HTTP/1.2.3\r\nhost: a\r\n\r\n",
        "GET /a HTTP/2.0\r\nhost: a\r\n\r\n",
        "G\u{e9}T /a HTTP/1.1\r\nhost: a\r\n\r\n",
    ]
    .iter()
    .map(|head| case(format!("{head:?}"), format!("{head}{INNER}"), &[]))
    .collect()
}

fn corpus() -> Vec<Case> {
    [length_and_coding(), lengths(), chunks(), lines()].into_iter().flatten().collect()
}

/// What the service saw and what the client read.
async fn served(pieces: Vec<Vec<u8>>) -> (Vec<String>, String) {
    let server = Server::start();
    let io = server.connect();
    let (mut read, mut write) = tokio::io::split(io);
    let sender = async {
        for piece in pieces {
            // The server may have closed already: that is an answer too.
            if write.write_all(&piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _closed = write.shutdown().await;
    };
    let (text, ()) = tokio::join!(read_all(&mut read), sender);
    server.shutdown.cancel();
    let events = Arc::clone(&server.events);
    server.task.await.unwrap().unwrap();
    let targets =
        events.lock().unwrap().iter().filter_map(record).map(|record| record.target.clone()).collect();
    (targets, text)
}

#[tokio::test(start_paused = true)]
async fn no_case_of_the_corpus_smuggles_a_request() {
    let corpus = corpus();
    println!("{} cases", corpus.len());
    for Case { name, bytes, seen } in corpus {
        let (targets, text) = served(vec![bytes]).await;
        assert_as_permitted(&name, seen, &targets, &text);
    }
}

fn assert_as_permitted(name: &str, seen: &[&str], targets: &[String], text: &str) {
    if seen == ONE_OR_NONE {
        assert!(targets.is_empty() || targets == ["/sink"], "{name}: {targets:?} {text}");
    } else {
        assert_eq!(targets, seen, "{name}: {text}");
    }
    if targets.is_empty() {
        assert!(text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.0 4"), "{name}: {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn cutting_the_bytes_changes_nothing(
        which in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(0_usize..400, 0..12),
    ) {
        let corpus = corpus();
        let Case { name, bytes, seen } = &corpus[which.index(corpus.len())];
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        let mut pieces = vec![bytes.clone()];
        for cut in cuts {
            let last = pieces.last_mut().unwrap();
            let rest = last.split_off(cut.min(last.len()));
            pieces.push(rest);
        }
        let (targets, text) = runtime.block_on(served(pieces));
        assert_as_permitted(name, seen, &targets, &text);
    }
}
