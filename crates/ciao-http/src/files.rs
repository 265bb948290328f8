//! How do a directory's files become responses?
//!
//! GET and HEAD of regular files and directories below one directory, and of nothing else. Source: RFC
//! 9110: §8.6 (length), §8.8 (validators), §13 (conditions), §14 (ranges), §15.4.2 (redirect to the slash).
//!
//! | question | file |
//! |---|---|
//! | Which file does a target name, and why never one outside? | `files/path.rs` |
//! | How does a file of any size become a body? | `files/body.rs` |
//! | How does PUT make a file? | `files/upload.rs` |
//! | Has the client this version already? | `files/condition.rs` |
//! | Which part was asked for? | `files/range.rs` |
//! | How does a directory without an index look? | `files/listing.rs` |

mod body;
mod condition;
mod listing;
mod path;
mod range;
mod upload;

use std::{
    fs::{File, Metadata},
    io,
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::body::{Body, full};
use body::FileBody;
use condition::{Condition, Validators};
use path::{Found, Root};
use range::Range;

/// A directory that is served.
#[derive(Clone, Debug)]
pub struct Files {
    root: Arc<Root>,
    uploads: Uploads,
}

/// Whether PUT makes files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Uploads {
    /// PUT is answered 405.
    #[default]
    Refused,
    /// It does, and replaces those of the same name.
    Stored,
}

impl Uploads {
    fn allowed_methods(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Uploads::Refused => "GET, HEAD",
            Uploads::Stored => "GET, HEAD, PUT",
        })
    }
}

impl Files {
    /// Opens the directory. Renaming it later changes nothing.
    ///
    /// # Errors
    /// When it is not there, is no directory, or cannot be read.
    pub fn open(directory: &Path, uploads: Uploads) -> io::Result<Files> {
        Ok(Files { root: Arc::new(Root::open(directory)?), uploads })
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: Into<crate::body::BoxError>> + Unpin,
    {
        match *request.method() {
            Method::GET | Method::HEAD => self.read(request).await,
            Method::PUT if self.uploads == Uploads::Stored => self.store(request).await,
            _ => {
                let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(header::ALLOW, self.uploads.allowed_methods());
                response
            }
        }
    }

    async fn store<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: Into<crate::body::BoxError>> + Unpin,
    {
        let Some(wanted) = path::decode(request.uri().path()) else {
            return plain(StatusCode::NOT_FOUND);
        };
        // RFC 9110 §14.5: a part must not replace a whole.
        if request.headers().contains_key(header::CONTENT_RANGE) {
            return plain(StatusCode::BAD_REQUEST);
        }
        match upload::store(&self.root, &wanted, request.into_body()).await {
            StatusCode::NO_CONTENT => with(StatusCode::NO_CONTENT, HeaderMap::new(), crate::body::empty()),
            status => plain(status),
        }
    }

    /// Files may wait for a disk: not on the threads that serve connections. One hop to another thread and
    /// back for each request; what is left of a large file is read the same way, piece by piece.
    async fn read<B>(&self, request: Request<B>) -> Response<Body> {
        let root = Arc::clone(&self.root);
        let request = request.map(drop);
        let response = tokio::task::spawn_blocking(move || read(&root, &request)).await;
        response.unwrap_or_else(|_panic| plain(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

fn read(root: &Root, request: &Request<()>) -> Response<Body> {
    let Some(wanted) = path::decode(request.uri().path()) else {
        return plain(StatusCode::NOT_FOUND);
    };
    match root.find(&wanted) {
        Ok(Found::File { file, name, metadata }) => file_response(request, file, &name, &metadata),
        Ok(Found::SlashMissing) => redirect(&wanted, request.uri().query()),
        Ok(Found::Directory { entries }) => {
            let mut response = Response::new(full(listing::html(&wanted.components, &entries)));
            content_type(response.headers_mut(), HeaderValue::from_static("text/html; charset=utf-8"));
            response
        }
        Err(error) => plain(status_of(&error)),
    }
}

fn status_of(error: &io::Error) -> StatusCode {
    match error.kind() {
        // Whether it is not there or may not be read is not the client's business.
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory => {
            StatusCode::NOT_FOUND
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A response that has only its status to say.
fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(format!("{status}\n")));
    *response.status_mut() = status;
    content_type(response.headers_mut(), HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn content_type(headers: &mut HeaderMap, value: HeaderValue) {
    headers.insert(header::CONTENT_TYPE, value);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// To the same directory with a slash at its end, so that relative links in it lead into it.
fn redirect(path: &path::Wanted, query: Option<&str>) -> Response<Body> {
    let mut location = path.encoded();
    location.push('/');
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
    let mut response = plain(StatusCode::MOVED_PERMANENTLY);
    let location =
        HeaderValue::from_str(&location).expect("an encoded path and a parsed query are visible ASCII");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

fn file_response(request: &Request<()>, file: File, name: &str, metadata: &Metadata) -> Response<Body> {
    let len = metadata.len();
    let validators = Validators::of(metadata);
    let mut headers = HeaderMap::new();
    validators.put(&mut headers);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if condition::check(request.headers(), &validators) == Condition::NotModified {
        return with(StatusCode::NOT_MODIFIED, headers, crate::body::empty());
    }
    content_type(&mut headers, media_type(name));
    let (status, first, body_len) = match range::wanted(request, &validators, len) {
        Range::Whole => (StatusCode::OK, 0, len),
        Range::Part { first, last } => {
            headers.insert(header::CONTENT_RANGE, ascii(&format!("bytes {first}-{last}/{len}")));
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
        Range::Unsatisfiable => {
            let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE);
            response.headers_mut().insert(header::CONTENT_RANGE, ascii(&format!("bytes */{len}")));
            return response;
        }
    };
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body_len));
    let body = match *request.method() {
        Method::HEAD => crate::body::empty(),
        _ => match FileBody::start(file, first, body_len) {
            Ok(body) => crate::body::boxed(body),
            Err(error) => return plain(status_of(&error)),
        },
    };
    with(status, headers, body)
}

fn with(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digits and a few signs are visible ASCII")
}

/// By the name's extension; text is said to be UTF-8, as nearly all text is.
fn media_type(name: &str) -> HeaderValue {
    let guess = mime_guess::from_path(name).first_or_octet_stream();
    let text =
        guess.type_() == mime_guess::mime::TEXT && guess.get_param(mime_guess::mime::CHARSET).is_none();
    let value = if text { format!("{}; charset=utf-8", guess.essence_str()) } else { guess.to_string() };
    HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}
