//! HTTP/1.0, HTTP/1.1 and HTTP/2 on any byte stream: what does Ciao add around hyper?
//!
//! hyper and h2 speak the protocol. This crate gives them connections, closes those connections without
//! losing the last response, keeps the rules that hyper leaves to its user, serves files, and pools client
//! connections.
//!
//! | question | file |
//! |---|---|
//! | How is a connection accepted, served, watched and drained? | [`server`] |
//! | Which rules does hyper leave to us (Host, bodies of HTTP/1.0)? | `server/rules.rs` |
//! | How is a connection closed so that no response is destroyed by a reset? | `closing.rs` |
//! | Which request of which connection was that? | `server/access.rs`, `server/stream_ids.rs` |
//! | How do a directory's files become responses? | [`files`] |
//! | How does a client share connections, and when may it try again? | [`client`] |
//! | How are Ciao's sockets used? | `sockets.rs` |
//!
//! Not here: TCP (`ciao-tcp`), sockets (`ciao`), the decoding of HTTP for display (`ciao-inspect`).

#![forbid(unsafe_code)]

pub mod body;
pub mod client;
mod closing;
pub mod files;
pub mod server;
mod sockets;
