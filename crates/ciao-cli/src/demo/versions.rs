//! The same three resources by HTTP/1.0, HTTP/1.1 and HTTP/2.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::Context as _;
use ciao::Stack;
use ciao_http::{
    body::{self, Body},
    client::{Client, HttpVersion},
    server::{RequestBody, ServerConfig, serve},
};
use ciao_inspect::comparison;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, StatusCode, Uri, Version,
    body::{Body as HttpBody, Bytes, Frame},
    header::{CONTENT_TYPE, HeaderValue},
    service::service_fn,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Act, Conditions, Scene,
    stage::{SERVER_ADDRESS, Setting, Stage},
};

/// A page, its style and its picture: target, type, bytes.
const RESOURCES: [(&str, &str, usize); 3] = [
    ("/index.html", "text/html", 1200),
    ("/style.css", "text/css", 2400),
    ("/photo.jpg", "image/jpeg", 12_000),
];

/// Time for both ends to close before the server is stopped.
const CLOSING: Duration = Duration::from_secs(2);

pub(super) fn play(conditions: &Conditions, version: HttpVersion) -> anyhow::Result<Scene> {
    let stage = Stage::new(conditions, Setting::default());
    stage.play(fetch_all(&stage, version))?;
    let records = stage.records();
    let connections = records.connections();
    let (name, heading, text) = words(version);
    let totals = comparison::totals(&connections);
    let act = Act { connections, ..Act::new(heading, text) };
    Ok(Scene { title: name.to_owned(), acts: vec![act], records, compared: Some((name, totals)) })
}

fn words(version: HttpVersion) -> (&'static str, &'static str, &'static str) {
    match version {
        HttpVersion::Http10 => (
            "HTTP/1.0",
            "A connection for each request",
            "HTTP has requests and responses, but no connection of its own: each rides on a TCP connection. \
             HTTP/1.0 opens one for each request, and the end of the connection is the end of the response. So \
             three resources cost three handshakes and three closes, and leave three TIME-WAITs on the server.",
        ),
        HttpVersion::Http11 => (
            "HTTP/1.1",
            "One connection, requests in turn",
            "HTTP/1.1 keeps the connection for the next request. One handshake and one close serve all three, \
             but each request waits until the response before it is complete.",
        ),
        HttpVersion::Http2 => (
            "HTTP/2",
            "One connection, requests at once",
            "HTTP/2 cuts messages into frames of numbered streams, so that one connection carries many at \
             once: all three requests leave together and nothing waits for its turn.",
        ),
    }
}

async fn fetch_all(stage: &Stage, version: HttpVersion) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let listener = stage.listen().await?;
    // The date is the one thing in a response that differs from run to run.
    let config = ServerConfig { date_header: false, ..ServerConfig::default() };
    let server = tokio::spawn(serve(listener, service_fn(answer), config, stop.clone()));
    let client = Client::new(stage.client.clone(), version);
    if version == HttpVersion::Http2 {
        let at_once = RESOURCES.map(|(target, ..)| tokio::spawn(fetch(client.clone(), target)));
        for fetched in at_once {
            fetched.await.context("a request ended without an answer")??;
        }
    } else {
        for (target, ..) in RESOURCES {
            fetch(client.clone(), target).await?;
        }
    }
    client.close().await;
    sleep(CLOSING).await;
    stop.cancel();
    server.await.context("the server ended")?.context("the server failed")?;
    Ok(())
}

async fn fetch(client: Client<Stack>, target: &str) -> anyhow::Result<()> {
    let uri: Uri = format!("http://{SERVER_ADDRESS}{target}").parse().expect("made of constants");
    let response = client.fetch(&uri).await.with_context(|| target.to_owned())?;
    response.into_body().collect().await.with_context(|| target.to_owned())?;
    Ok(())
}

async fn answer(request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    let found = RESOURCES.iter().find(|(target, ..)| *target == request.uri().path());
    let Some(&(_, content_type, len)) = found else {
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    let content = Full::new(Bytes::from(content(content_type, len)));
    let body = match request.version() {
        // In HTTP/1.0 a body needs no length: it ends with the connection.
        Version::HTTP_10 => body::boxed(WithoutLength(content)),
        _ => body::boxed(content),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

/// Dots; in the frame of a picture that is all comment where it is one, so that tools which look into it
/// find no fault.
fn content(content_type: &str, len: usize) -> Vec<u8> {
    /// SOI, then APP0: JFIF 1.1, square pixels, no thumbnail, then the marker COM.
    const START: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xfe";
    /// EOI.
    const END: &[u8] = b"\xff\xd9";
    if content_type != "image/jpeg" {
        return vec![b'.'; len];
    }
    let comment_len = len - START.len() - END.len();
    let counted = u16::try_from(comment_len).expect("the picture is smaller than 64 KiB");
    [START, &counted.to_be_bytes(), &vec![b'.'; comment_len - 2], END].concat()
}

/// A body that does not tell how long it will be.
struct WithoutLength(Full<Bytes>);

impl HttpBody for WithoutLength {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }
}
