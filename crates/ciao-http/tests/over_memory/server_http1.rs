//! Does the server speak HTTP/1.0 and HTTP/1.1 as their RFCs say? Over streams in memory.

use super::duplex::{Server, read_all};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How often the answers in `text` begin.
fn answers(text: &str) -> usize {
    text.matches("HTTP/1.").count()
}

// RFC 1945 §1.3 1945-1
#[tokio::test(start_paused = true)]
async fn http10_serves_one_request_and_closes() {
    let server = Server::start();
    let text = server.until_server_closes(b"GET /a HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.0 200 OK\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n/a"), "{text}");
    assert_eq!(server.targets(), ["/a"]);
}

// RFC 1945 §3.1 1945-3.1
#[tokio::test(start_paused = true)]
async fn http09_is_answered_400_and_http10_by_its_own_version() {
    let server = Server::start();
    let text = server.until_server_closes(b"GET /a\r\n").await;
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    let text = server.until_server_closes(b"GET /a HTTP/1.0\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.0 200 "), "{text}");
}

// RFC 9112 §9.3 9112-9.3a
#[tokio::test(start_paused = true)]
async fn persistence_by_version_and_connection_field() {
    let cases = [
        ("1.0", "", 1),
        ("1.0", "connection: keep-alive\r\n", 2),
        ("1.0", "connection: close\r\n", 1),
        ("1.1", "", 2),
        ("1.1", "connection: keep-alive\r\n", 2),
        ("1.1", "connection: close\r\n", 1),
    ];
    for (version, field, served) in cases {
        let server = Server::start();
        let request = format!("GET /a HTTP/{version}\r\nhost: a\r\n{field}\r\n");
        let text = server.exchange(request.repeat(2).as_bytes()).await;
        assert_eq!(answers(&text), served, "HTTP/{version} {field}: {text}");
        assert_eq!(server.targets().len(), served);
    }
}

// RFC 9112 §C.2.2 1945-D
#[tokio::test(start_paused = true)]
async fn http10_keep_alive_with_a_body_of_unknown_length_closes() {
    let server = Server::start();
    let request = b"GET /stream/25000 HTTP/1.0\r\nconnection: keep-alive\r\n\r\n";
    let text = server.until_server_closes(request).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(!head.to_lowercase().contains("chunked"), "{head}");
    assert_eq!(body, "y".repeat(25_000));
}

// RFC 9112 §9.3.2 9112-9.3.2
#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order_whatever_each_takes() {
    let server = Server::start();
    let mut requests = String::new();
    for number in 0..100 {
        requests += &format!("GET /wait/{} HTTP/1.1\r\nhost: a\r\n\r\n", number * 7919 % 101);
    }
    let text = server.exchange(requests.as_bytes()).await;
    let bodies: Vec<_> =
        text.match_indices("/wait/").map(|(at, _)| text[at..].split("HTTP").next().unwrap()).collect();
    let expected: Vec<_> = (0..100).map(|number| format!("/wait/{}", number * 7919 % 101)).collect();
    assert_eq!(bodies, expected);
    let records = server.records();
    assert_eq!(records.len(), 100);
    assert!(
        records.iter().zip(1..).all(|(record, number)| record.request == number && record.connection == 1)
    );
}

// RFC 9112 §9.3.2 9112-9.3.2
#[tokio::test(start_paused = true)]
async fn a_peer_that_pipelines_and_reads_nothing_is_served_no_further() {
    let server = Server::start();
    let io = server.connect();
    let (mut read, mut write) = tokio::io::split(io);
    let flood = tokio::spawn(async move {
        let request = b"GET /length/10000 HTTP/1.1\r\nhost: a\r\n\r\n".repeat(100);
        let mut sent = 0;
        while write.write_all(&request).await.is_ok() {
            sent += 100;
        }
        sent
    });
    // The server holds what one stream and one buffer hold, then waits, then gives the peer up.
    let sent = flood.await.unwrap();
    assert!(server.records().len() < 100, "{} answers were made", server.records().len());
    assert!(sent < 10_000, "{sent} requests were taken");
    let mut rest = Vec::new();
    let _end = read.read_to_end(&mut rest).await;
}

// RFC 9112 §9.6 9112-9.6a
#[tokio::test(start_paused = true)]
async fn a_request_after_close_is_not_served() {
    let server = Server::start();
    let text = server
        .exchange(
            b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\nGET /b HTTP/1.1\r\nhost: a\r\n\r\n",
        )
        .await;
    assert_eq!(answers(&text), 1, "{text}");
    assert_eq!(server.targets(), ["/a"]);
}

// RFC 9112 §9.3 9112-9.3b
#[tokio::test(start_paused = true)]
async fn an_unread_body_is_never_taken_for_a_request() {
    let server = Server::start();
    let inner = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n".repeat(28_000);
    let mut request =
        format!("POST /full HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", inner.len()).into_bytes();
    request.extend(inner.as_bytes());
    request.extend(b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n");
    let text = server.exchange(&request).await;
    assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
    assert_eq!(server.targets(), ["/full"]);
}

// RFC 9112 §9.6 9112-9.6b
#[tokio::test(start_paused = true)]
async fn an_early_refusal_reaches_a_client_that_first_sends_everything() {
    let server = Server::start();
    let mut io = server.connect();
    let body = vec![0; 10 << 20];
    let head = format!("POST /full HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    io.write_all(head.as_bytes()).await.unwrap();
    io.write_all(&body).await.expect("the server reads on, whatever it answered");
    io.shutdown().await.unwrap();
    let text = read_all(&mut io).await;
    assert!(text.starts_with("HTTP/1.1 413 ") && text.ends_with("too much"), "{text}");
}

// RFC 9112 §3.2 9112-3.2
#[tokio::test(start_paused = true)]
async fn a_wrong_host_is_answered_400_and_closes() {
    for hosts in ["", "host: a\r\nhost: a\r\n", "host: a b\r\n"] {
        let server = Server::start();
        let request = format!("GET /a HTTP/1.1\r\n{hosts}\r\nGET /b HTTP/1.1\r\nhost: a\r\n\r\n");
        let text = server.until_server_closes(request.as_bytes()).await;
        assert!(text.starts_with("HTTP/1.1 400 "), "{hosts:?}: {text}");
        assert_eq!(answers(&text), 1);
        let records = server.records();
        assert_eq!((records.len(), records[0].status.as_u16()), (1, 400));
    }
}

// RFC 1945 §7.2.2 1945-7.2.2
#[tokio::test(start_paused = true)]
async fn http10_post_without_a_length_is_answered_400() {
    let server = Server::start();
    let text = server.until_server_closes(b"POST /sink HTTP/1.0\r\n\r\nhello").await;
    assert!(text.starts_with("HTTP/1.0 400 "), "{text}");
    let text = server.until_server_closes(b"POST /sink HTTP/1.0\r\ncontent-length: 5\r\n\r\nhello").await;
    assert!(text.ends_with("received 5"), "{text}");
}

// RFC 9110 §15.5 9110-15
#[tokio::test(start_paused = true)]
async fn limits_are_answered_with_their_status() {
    let fields = |count: usize| (0..count).map(|number| format!("field-{number}: x\r\n")).collect::<String>();
    let long = "x".repeat(70_000);
    let cases = [
        (format!("GET /a HTTP/1.1\r\nhost: a\r\n{}\r\n", fields(1000)), "431"),
        (format!("GET /a HTTP/1.1\r\nhost: a\r\nfield: {}\r\n\r\n", "x".repeat(500_000)), "431"),
        (format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n"), "414"),
    ];
    for (request, status) in cases {
        let server = Server::start();
        let text = server.until_server_closes(request.as_bytes()).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {text}");
        assert_eq!(server.targets(), [""; 0]);
    }
}

// RFC 9110 §15.5.9 9110-15
#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_is_answered_408() {
    let server = Server::start();
    let started = tokio::time::Instant::now();
    let text = server.until_server_closes(b"GET /a HTTP/1.1\r\nhost:").await;
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    assert_eq!(started.elapsed().as_secs(), 30);
}

// RFC 9112 §9.5 9112-9.5
#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_in_order_and_without_a_message() {
    for request in ["", "GET /a HTTP/1.1\r\nhost: a\r\n\r\n"] {
        let server = Server::start();
        let started = tokio::time::Instant::now();
        let text = server.until_server_closes(request.as_bytes()).await;
        assert_eq!(answers(&text), usize::from(!request.is_empty()), "{text}");
        assert_eq!(started.elapsed().as_secs(), 75);
    }
}

// RFC 9112 §9.5 9112-9.5
#[tokio::test(start_paused = true)]
async fn a_peer_that_leaves_is_noticed_at_once() {
    let server = Server::start();
    let started = tokio::time::Instant::now();
    let text = server.exchange(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(answers(&text), 1);
    server.shutdown.cancel();
    let drained = server.task.await.unwrap().unwrap();
    assert_eq!(drained.aborted, 0);
    assert_eq!(started.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn shutdown_finishes_what_is_served_and_ends_what_is_idle() {
    let server = Server::start();
    let mut idle = server.connect();
    let mut untouched = server.connect();
    idle.write_all(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut busy = server.connect();
    busy.write_all(b"GET /wait/3000 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    server.shutdown.cancel();
    let texts = tokio::join!(read_all(&mut idle), read_all(&mut untouched), read_all(&mut busy));
    assert!(texts.0.ends_with("/a") && texts.1.is_empty(), "{texts:?}");
    assert!(texts.2.contains("connection: close") && texts.2.ends_with("/wait/3000"), "{texts:?}");
    drop((idle, untouched, busy));
    let drained = server.task.await.unwrap().unwrap();
    assert_eq!((drained.finished, drained.aborted), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn shutdown_gives_up_what_does_not_end_in_time() {
    let server = Server::start();
    let mut busy = server.connect();
    busy.write_all(b"GET /wait/3000000 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let asked = tokio::time::Instant::now();
    server.shutdown.cancel();
    let drained = server.task.await.unwrap().unwrap();
    assert_eq!((drained.finished, drained.aborted), (0, 1));
    assert_eq!(asked.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_gets_all_of_it() {
    let server = Server::start();
    let mut io = server.connect();
    io.write_all(b"GET /length/200000 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut received = 0;
    let mut buffer = [0; 5000];
    loop {
        // 40 reads, 50 s apart: half an hour for 200 kB.
        tokio::time::sleep(std::time::Duration::from_secs(50)).await;
        match io.read(&mut buffer).await.unwrap() {
            0 => break,
            len => received += len,
        }
    }
    assert!(received > 200_000, "{received} bytes, head and all");
}
