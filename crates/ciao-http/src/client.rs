//! How does a client share connections, and when may it try again?
//!
//! | version | connections to one host |
//! |---|---|
//! | HTTP/1.0 | one for each request |
//! | HTTP/1.1 | one, in turn: a request is sent when the response before it has been read or dropped |
//! | HTTP/2 | one, its requests at once |
//!
//! Source: RFC 9112 §9 (persistence, retries), RFC 9113 §9.1 (one connection), §8.7 (retries). Not here:
//! how a connection is kept and lent (`client/pool.rs`), when a body is whole (`client/response.rs`).

mod error;
mod lent;
mod pool;
mod response;

use std::{fmt, io, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri, header, uri::Authority};
use tokio::io::{AsyncRead, AsyncWrite};

pub use error::ClientError;
pub use response::{Framing, Origin, ResponseBody};

use crate::body::{self, Body};
use pool::{Failure, Pool};

/// How a client comes to a byte stream.
pub trait Connect: Send + Sync + 'static {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Connects to host and port of an URL; the port is always given.
    ///
    /// # Errors
    /// What the attempt failed of.
    fn connect(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

/// The version that a client speaks. There is no negotiation without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2 by prior knowledge.
    Http2,
}

/// A request's body.
pub enum Payload {
    /// In memory: it can be sent again.
    Bytes(Bytes),
    /// Made while it is sent: it can be sent once.
    Stream(Body),
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Payload::Bytes(bytes) => write!(f, "Payload::Bytes({} bytes)", bytes.len()),
            Payload::Stream(_) => f.write_str("Payload::Stream"),
        }
    }
}

impl Payload {
    /// No body.
    pub fn none() -> Payload {
        Payload::Bytes(Bytes::new())
    }

    fn copy(&self) -> Option<Payload> {
        match self {
            Payload::Bytes(bytes) => Some(Payload::Bytes(bytes.clone())),
            Payload::Stream(_) => None,
        }
    }

    fn into_body(self) -> Body {
        match self {
            Payload::Bytes(bytes) if bytes.is_empty() => body::empty(),
            Payload::Bytes(bytes) => body::full(bytes),
            Payload::Stream(stream) => stream,
        }
    }
}

/// A client of one version; clones share its connections.
pub struct Client<C> {
    pool: Arc<Pool<C>>,
}

impl<C> Clone for Client<C> {
    fn clone(&self) -> Self {
        Client { pool: Arc::clone(&self.pool) }
    }
}

impl<C> fmt::Debug for Client<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("version", &self.pool.version).finish_non_exhaustive()
    }
}

impl<C: Connect> Client<C> {
    /// A client without a connection.
    pub fn new(connector: C, version: HttpVersion) -> Client<C> {
        Client { pool: Arc::new(Pool::new(connector, version)) }
    }

    /// GET.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn fetch(&self, uri: &Uri) -> Result<Response<ResponseBody>, ClientError> {
        let mut request = Request::new(Payload::none());
        *request.uri_mut() = uri.clone();
        self.send(request).await
    }

    /// Sends a request to the host of its URI, which must be absolute and of scheme `http`. The response's
    /// extensions hold its [`Origin`].
    ///
    /// # Errors
    /// When there is no response. An error after its head comes from the [`ResponseBody`].
    pub async fn send(&self, request: Request<Payload>) -> Result<Response<ResponseBody>, ClientError> {
        let uri = request.uri();
        let target = Target::of(uri).map_err(|why| ClientError::Target { uri: uri.to_string(), why })?;
        let (parts, payload) = request.into_parts();
        let mut again = payload.copy();
        let mut payload = payload;
        loop {
            let request = self.request(&parts, &target, payload);
            let failure = match self.pool.send(&target, request).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            payload = match (may_retry(&failure, &parts.method), again.take()) {
                (Retry::Allowed, Some(copy)) => copy,
                _ => return Err(failure.error),
            };
        }
    }

    /// Closes every connection that is not in use, and waits until all are closed.
    pub async fn close(self) {
        self.pool.close().await;
    }

    fn request(&self, parts: &http::request::Parts, target: &Target, payload: Payload) -> Request<Body> {
        let mut request = Request::from_parts(parts.clone(), payload.into_body());
        *request.version_mut() = match self.pool.version {
            HttpVersion::Http10 => http::Version::HTTP_10,
            HttpVersion::Http11 => http::Version::HTTP_11,
            HttpVersion::Http2 => http::Version::HTTP_2,
        };
        if self.pool.version != HttpVersion::Http2 {
            request.headers_mut().entry(header::HOST).or_insert_with(|| target.host_field.clone());
            *request.uri_mut() = target.origin_form.clone();
        }
        request
    }
}

/// Whether a request that failed may be sent a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    Allowed,
    Forbidden,
}

/// A second attempt is for what cannot have been served, and for what may be served twice when the connection
/// was an old one that the server may just have been closing.
// RFC 9112 §9.3.1 9112-9.3.1; RFC 9113 §8.7 9113-8.7
fn may_retry(failure: &Failure, method: &Method) -> Retry {
    match failure {
        Failure { unprocessed: true, .. } => Retry::Allowed,
        Failure { reused: true, .. } if method.is_idempotent() => Retry::Allowed,
        _ => Retry::Forbidden,
    }
}

/// Whether a client can ask for this URL.
///
/// # Errors
/// What is wrong with it.
pub fn check_target(uri: &Uri) -> Result<(), &'static str> {
    Target::of(uri).map(drop)
}

/// Where a request goes.
#[derive(Clone, Debug)]
struct Target {
    /// Host and port, the key of the pool.
    host: String,
    port: u16,
    host_field: HeaderValue,
    origin_form: Uri,
}

impl Target {
    fn of(uri: &Uri) -> Result<Target, &'static str> {
        match uri.scheme_str() {
            Some("http") => {}
            Some(_) => return Err("only http:// is supported"),
            None => return Err("it must begin with http://"),
        }
        let authority = uri.authority().ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err("user and password are not supported");
        }
        let port = port(authority)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let host_field = HeaderValue::from_str(authority.as_str()).map_err(|_| "it names no host")?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let origin_form = path.parse().map_err(|_| "its path is not a path")?;
        Ok(Target { host, port, host_field, origin_form })
    }
}

/// The port, 80 unless given.
fn port(authority: &Authority) -> Result<u16, &'static str> {
    let given =
        authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, after)| after).contains(':');
    match authority.port_u16() {
        Some(0) => Err("port 0 cannot be connected to"),
        Some(port) => Ok(port),
        None if given => Err("its port is not a number up to 65535"),
        None => Ok(80),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_urls() {
        for (uri, host, port, path) in [
            ("http://10.77.0.2/", "10.77.0.2", 80, "/"),
            ("http://10.77.0.2", "10.77.0.2", 80, "/"),
            ("http://[fd00::2]:8080/a?b", "fd00::2", 8080, "/a?b"),
            ("http://[fd00::2]/a", "fd00::2", 80, "/a"),
            ("http://example.net:81/%20", "example.net", 81, "/%20"),
        ] {
            let target = Target::of(&uri.parse().unwrap()).unwrap();
            assert_eq!(
                (target.host.as_str(), target.port, target.origin_form.to_string().as_str()),
                (host, port, path)
            );
        }
    }

    #[test]
    fn wrong_urls_say_why() {
        for (uri, why) in [
            ("/a", "it must begin with http://"),
            ("https://a/", "only http:// is supported"),
            ("http://u:p@a/", "user and password are not supported"),
            ("http://a:0/", "port 0 cannot be connected to"),
            ("http://a:99999/", "its port is not a number up to 65535"),
        ] {
            assert_eq!(check_target(&uri.parse().unwrap()), Err(why), "{uri}");
        }
    }
}
