//! Do files arrive as they are, with the fields that belong to them, and none from outside of the directory?

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use ciao_http::{
    client::{Client, HttpVersion, Payload, ResponseBody},
    files::{Files, Uploads},
};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty};
use proptest::prelude::*;

use super::{
    client::{ToServer, VERSIONS},
    duplex::{Server, config},
};

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    /// `served/` with files, and a secret beside it.
    fn new(test: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("ciao-http-{}-{test}", std::process::id()));
        let served = path.join("served");
        fs::create_dir_all(served.join("sub/indexed")).unwrap();
        fs::create_dir_all(path.join("served-not")).unwrap();
        fs::write(path.join("secret"), SECRET).unwrap();
        fs::write(path.join("served-not/secret"), SECRET).unwrap();
        fs::write(served.join("ten.txt"), "0123456789").unwrap();
        fs::write(served.join("empty"), "").unwrap();
        fs::write(served.join("page.html"), "<p>page").unwrap();
        fs::write(served.join("a b&c.json"), "{}").unwrap();
        fs::write(served.join(".hidden"), "hidden").unwrap();
        fs::write(served.join("sub/indexed/index.html"), "<p>index").unwrap();
        symlink("ten.txt", served.join("inside")).unwrap();
        symlink("../secret", served.join("outside")).unwrap();
        symlink(path.join("secret"), served.join("absolute")).unwrap();
        symlink("..", served.join("sub/up")).unwrap();
        symlink("../..", served.join("sub/out")).unwrap();
        symlink("circle", served.join("circle")).unwrap();
        Directory(path)
    }

    fn served(&self) -> PathBuf {
        self.0.join("served")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is left to the system.
        let _removed = fs::remove_dir_all(&self.0);
    }
}

const SECRET: &str = "this must never be sent";

fn client(directory: &Directory, version: HttpVersion) -> Client<ToServer> {
    client_of(directory, Uploads::Refused, version)
}

fn client_of(directory: &Directory, uploads: Uploads, version: HttpVersion) -> Client<ToServer> {
    let files = Files::open(&directory.served(), uploads).unwrap();
    Client::new(ToServer::new(&Server::of_files(files, config())), version)
}

async fn ask(
    client: &Client<ToServer>,
    method: Method,
    path: &str,
    fields: &[(header::HeaderName, &str)],
) -> Answer {
    let uri: Uri = format!("http://server{path}").parse().unwrap();
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(name, *value);
    }
    Answer::of(client.send(request.body(Payload::none()).unwrap()).await.unwrap()).await
}

async fn fetch(client: &Client<ToServer>, path: &str) -> Answer {
    ask(client, Method::GET, path, &[]).await
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    async fn of(response: Response<ResponseBody>) -> Answer {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    fn field(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_has_type_length_and_validators_in_every_version() {
    let directory = Directory::new("types");
    for version in VERSIONS {
        let client = client(&directory, version);
        for (path, media_type, body) in [
            ("/ten.txt", "text/plain; charset=utf-8", "0123456789"),
            ("/page.html", "text/html; charset=utf-8", "<p>page"),
            ("/a%20b&c.json", "application/json", "{}"),
            ("/empty", "application/octet-stream", ""),
            ("/inside", "application/octet-stream", "0123456789"),
            ("/sub/up/ten.txt", "text/plain; charset=utf-8", "0123456789"),
            ("/sub/indexed/", "text/html; charset=utf-8", "<p>index"),
            ("//ten.txt?query", "text/plain; charset=utf-8", "0123456789"),
        ] {
            let answer = fetch(&client, path).await;
            assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, body), "{version:?} {path}");
            assert_eq!(answer.field(header::CONTENT_TYPE), media_type, "{path}");
            assert_eq!(answer.field(header::CONTENT_LENGTH), body.len().to_string(), "{path}");
            assert!(answer.field(header::LAST_MODIFIED).ends_with(" GMT"));
            let head = ask(&client, Method::HEAD, path, &[]).await;
            assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
            for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::ETAG, header::LAST_MODIFIED] {
                assert_eq!(head.field(name.clone()), answer.field(name), "{path}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn other_methods_are_answered_405_with_those_allowed() {
    let directory = Directory::new("methods");
    for version in VERSIONS {
        let client = client(&directory, version);
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
            let answer = ask(&client, method, "/ten.txt", &[(header::CONTENT_LENGTH, "0")]).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(answer.field(header::ALLOW), "GET, HEAD");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ranges_are_answered_206_and_416() {
    let directory = Directory::new("ranges");
    let client = client(&directory, HttpVersion::Http11);
    let tag = fetch(&client, "/ten.txt").await.field(header::ETAG).to_owned();
    for (range, status, content_range, body) in [
        ("bytes=0-0", 206, "bytes 0-0/10", "0"),
        ("bytes=3-", 206, "bytes 3-9/10", "3456789"),
        ("bytes=-2", 206, "bytes 8-9/10", "89"),
        ("bytes=5-100", 206, "bytes 5-9/10", "56789"),
        ("bytes=0-1,4-5", 200, "", "0123456789"),
        ("bytes=10-", 416, "bytes */10", "416 Range Not Satisfiable\n"),
    ] {
        let answer = ask(&client, Method::GET, "/ten.txt", &[(header::RANGE, range)]).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (status, body), "{range}");
        assert_eq!(answer.field(header::CONTENT_RANGE), content_range);
        let same =
            ask(&client, Method::GET, "/ten.txt", &[(header::RANGE, range), (header::IF_RANGE, &tag)]).await;
        assert_eq!(same.status.as_u16(), status);
        let other =
            ask(&client, Method::GET, "/ten.txt", &[(header::RANGE, range), (header::IF_RANGE, "\"x\"")])
                .await;
        assert_eq!((other.status.as_u16(), other.body.as_str()), (200, "0123456789"));
    }
    let head = ask(&client, Method::HEAD, "/ten.txt", &[(header::RANGE, "bytes=0-0")]).await;
    assert_eq!((head.status.as_u16(), head.field(header::CONTENT_LENGTH)), (200, "10"));
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_file_is_answered_304_without_a_body() {
    let directory = Directory::new("conditions");
    for version in VERSIONS {
        let client = client(&directory, version);
        let first = fetch(&client, "/ten.txt").await;
        for name in [header::LAST_MODIFIED, header::ETAG] {
            let field = if name == header::ETAG { header::IF_NONE_MATCH } else { header::IF_MODIFIED_SINCE };
            let again = ask(&client, Method::GET, "/ten.txt", &[(field, first.field(name))]).await;
            assert_eq!((again.status, again.body.as_str()), (StatusCode::NOT_MODIFIED, ""));
            assert_eq!(again.field(header::ETAG), first.field(header::ETAG));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_is_listed_and_its_slash_added() {
    let directory = Directory::new("listing");
    let client = client(&directory, HttpVersion::Http11);
    let listing = fetch(&client, "/").await;
    assert_eq!(listing.field(header::CONTENT_TYPE), "text/html; charset=utf-8");
    assert!(listing.body.contains("href=\"./a%20b%26c.json\">a b&amp;c.json</a>"), "{}", listing.body);
    assert!(!listing.body.contains("hidden"));
    for (path, location) in [("/sub?a=b", "/sub/?a=b"), ("//sub", "/sub/"), ("/sub/indexed", "/sub/indexed/")]
    {
        let answer = fetch(&client, path).await;
        assert_eq!((answer.status.as_u16(), answer.field(header::LOCATION)), (301, location));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_answered_404() {
    let directory = Directory::new("missing");
    let client = client(&directory, HttpVersion::Http11);
    let long = format!("/{}", "x".repeat(300));
    for path in
        ["/none", "/ten.txt/", "/ten.txt/x", "/circle", "/outside", "/absolute", "/sub/out/secret", &long]
    {
        let answer = fetch(&client, path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {}", answer.body);
        assert!(!answer.body.contains(SECRET));
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_file_arrives_whole_and_in_parts() {
    let directory = Directory::new("large");
    let content: Vec<u8> = (0..3_000_001_u32).map(|number| (number % 251) as u8).collect();
    fs::write(directory.served().join("large.bin"), &content).unwrap();
    for version in VERSIONS {
        let client = client(&directory, version);
        let response = client.fetch(&"http://server/large.bin".parse().unwrap()).await.unwrap();
        assert!(response.into_body().collect().await.unwrap().to_bytes() == content);
        let answer = ask(&client, Method::GET, "/large.bin", &[(header::RANGE, "bytes=2999999-")]).await;
        assert_eq!(answer.field(header::CONTENT_RANGE), "bytes 2999999-3000000/3000001");
        assert_eq!(answer.field(header::CONTENT_LENGTH), "2");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_shrinks_while_it_is_sent_is_never_taken_for_whole() {
    let directory = Directory::new("shrinks");
    let path = directory.served().join("large.bin");
    for version in VERSIONS {
        fs::write(&path, vec![1; 4_000_000]).unwrap();
        let client = client(&directory, version);
        let mut response = client.fetch(&"http://server/large.bin".parse().unwrap()).await.unwrap();
        response.body_mut().frame().await.unwrap().unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
        response.into_body().collect().await.expect_err("the rest of the file is gone");
    }
}

async fn put(client: &Client<ToServer>, path: &str, payload: Payload) -> StatusCode {
    let uri: Uri = format!("http://server{path}").parse().unwrap();
    let request = Request::put(uri).body(payload).unwrap();
    Answer::of(client.send(request).await.unwrap()).await.status
}

#[tokio::test(start_paused = true)]
async fn put_stores_whole_files_and_only_inside() {
    let directory = Directory::new("put");
    for version in VERSIONS {
        let client = client_of(&directory, Uploads::Stored, version);
        let content = vec![7; 1_000_000];
        let payload = || Payload::Bytes(Bytes::from(content.clone()));
        assert_eq!(put(&client, "/sub/new.bin", payload()).await, StatusCode::CREATED);
        assert!(fs::read(directory.served().join("sub/new.bin")).unwrap() == content);
        assert_eq!(put(&client, "/sub/new.bin", payload()).await, StatusCode::NO_CONTENT);
        fs::remove_file(directory.served().join("sub/new.bin")).unwrap();
        for (path, status) in [
            ("/sub", StatusCode::CONFLICT),
            ("/sub/", StatusCode::CONFLICT),
            ("/", StatusCode::CONFLICT),
            ("/none/a", StatusCode::NOT_FOUND),
            ("/sub/out/a", StatusCode::NOT_FOUND),
            ("/%2e%2e/a", StatusCode::NOT_FOUND),
            ("/ten.txt/a", StatusCode::CONFLICT),
        ] {
            assert_eq!(put(&client, path, payload()).await, status, "{path}");
        }
        // A link that leads outside is replaced, what it leads to is not written.
        assert_eq!(put(&client, "/outside", payload()).await, StatusCode::NO_CONTENT);
        assert_eq!(fs::read_to_string(directory.0.join("secret")).unwrap(), SECRET);
    }
    let names = fs::read_dir(directory.served()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().starts_with(".ciao-")));
}

#[tokio::test(start_paused = true)]
async fn a_refused_upload_does_not_cost_the_answer() {
    let directory = Directory::new("refused");
    for version in VERSIONS {
        let client = client(&directory, version);
        let payload = Payload::Bytes(Bytes::from(vec![0; 10 << 20]));
        assert_eq!(put(&client, "/new", payload).await, StatusCode::METHOD_NOT_ALLOWED, "{version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let directory = Directory::new("broken");
    let files = Files::open(&directory.served(), Uploads::Stored).unwrap();
    let server = Server::of_files(files, config());
    let text = server.exchange(b"PUT /new HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nonly this").await;
    assert!(!text.contains(" 20"), "{text}");
    let before = fs::read_dir(directory.served()).unwrap().count();
    fs::remove_file(directory.served().join("new")).expect_err("it was never made");
    assert_eq!(fs::read_dir(directory.served()).unwrap().count(), before);
    let hidden = fs::read_dir(directory.served())
        .unwrap()
        .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with(".ciao-"));
    assert!(!hidden);
}

// RFC 9110 §15.5.9 9110-15
#[tokio::test(start_paused = true)]
async fn an_upload_that_stands_still_is_answered_408() {
    let directory = Directory::new("still");
    let server = Server::of_files(Files::open(&directory.served(), Uploads::Stored).unwrap(), config());
    let request = b"PUT /new HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nonly this";
    let text = server.until_server_closes(request).await;
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    fs::remove_file(directory.served().join("new")).expect_err("it was never made");
}

/// Pieces of paths that have fooled servers.
const PIECES: &[&str] = &[
    "/",
    "//",
    "/.",
    "/..",
    "..",
    ".",
    "%2e",
    "%2E%2e",
    "%2f",
    "%5c",
    "\\",
    "..\\",
    "%00",
    "%c0%ae",
    "%252e%252e",
    "ten.txt",
    "sub",
    "up",
    "out",
    "outside",
    "absolute",
    "circle",
    "inside",
    "secret",
    "served",
    "served-not",
    "indexed",
    ";",
    "..;",
    "%20",
    "~",
    "*",
    "C:",
    "\u{2025}",
    "%ef%bc%8f",
    "?",
    "etc/passwd",
    "proc/self/root",
    "index.html",
    "é",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    // 100 batches of 1,000 paths each.
    #[test]
    fn no_path_leads_outside(
        batch in prop::collection::vec(prop::collection::vec(prop::sample::select(PIECES), 1..9), 1000)
    ) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().build().unwrap();
        let directory = Directory::new("hostile");
        let allowed = contents(&directory.served());
        runtime.block_on(async {
            let files = Files::open(&directory.served(), Uploads::Refused).unwrap();
            for pieces in batch {
                let path = format!("/{}", pieces.concat());
                let Ok(uri) = path.parse::<Uri>() else { continue };
                let request = Request::builder().uri(uri).body(Empty::<Bytes>::new()).unwrap();
                let response = files.answer(request).await;
                let (status, listing) = (response.status(), response.headers().get(header::ETAG).is_none());
                let body = response.into_body().collect().await.unwrap().to_bytes();
                let text = String::from_utf8_lossy(&body).into_owned();
                prop_assert!(!text.contains(SECRET), "{path}");
                prop_assert!(status != StatusCode::INTERNAL_SERVER_ERROR, "{path}");
                if status == StatusCode::OK {
                    let inside = if listing { !text.contains("served-not") } else { allowed.contains(&text) };
                    prop_assert!(inside, "{path}: {text}");
                }
            }
            Ok(())
        })?;
    }
}

/// What the files below a directory hold.
fn contents(directory: &Path) -> BTreeSet<String> {
    let mut contents = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => contents.extend(self::contents(&entry.path())),
            kind if kind.is_file() => _ = contents.insert(fs::read_to_string(entry.path()).unwrap()),
            _ => {}
        }
    }
    contents
}
