//! Servers and clients over byte streams in memory, on tokio's paused clock: one file a question.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

mod client;
mod duplex;
mod files;
mod http2;
mod server_http1;
mod smuggling;
