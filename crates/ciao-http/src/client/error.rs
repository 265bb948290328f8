//! Why is there no response?
//!
//! Not here: what ends a body early (`client/response.rs`).

use std::{error::Error, fmt, io};

/// Why there is no response.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL is not one that can be asked for.
    Target {
        /// The URL.
        uri: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no connection.
    Connect(io::Error),
    /// The connection ended, or what came was not HTTP.
    Exchange(hyper::Error),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Target { uri, why } => write!(f, "{uri} is not a usable URL: {why}"),
            ClientError::Connect(_) => f.write_str("no connection"),
            ClientError::Exchange(_) => f.write_str("no response"),
        }
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ClientError::Target { .. } => None,
            ClientError::Connect(error) => Some(error),
            ClientError::Exchange(error) => Some(error),
        }
    }
}

/// Whether the server says that it did not begin to serve the request.
// RFC 9113 §8.7 9113-8.7
pub(super) fn is_unprocessed(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    source.is_some_and(|error| match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) => true,
        // Streams above the last one that GOAWAY names get just this error; the others go on.
        Some(h2::Reason::NO_ERROR) => error.is_go_away() && error.is_remote(),
        _ => false,
    })
}
