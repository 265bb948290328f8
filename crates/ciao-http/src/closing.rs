//! How is a connection closed so that its last response is not destroyed?
//!
//! Source: RFC 9112 §9.6. A socket closed while bytes of the peer are unread resets the connection, and the
//! reset makes the peer throw away what it has not read yet: our last response. So the sending direction is
//! shut first, and what the peer still sends is read and forgotten until it shuts its own, or until it has
//! had its time.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout, timeout_at},
};

/// How long the peer's remaining bytes are awaited.
#[derive(Clone, Copy, Debug)]
pub struct Linger {
    /// The longest wait for the next byte.
    pub idle: Duration,
    /// The longest wait in all.
    pub total: Duration,
}

impl Default for Linger {
    /// 5 s and 30 s: what nginx has as `lingering_timeout` and `lingering_time`.
    fn default() -> Linger {
        Linger { idle: Duration::from_secs(5), total: Duration::from_secs(30) }
    }
}

/// Bytes read at once into the void.
const DISCARD_BYTES: usize = 16 * 1024;

// RFC 9112 §9.6 9112-9.6b
pub(crate) async fn close<Io: AsyncRead + AsyncWrite + Unpin>(io: &mut Io, linger: Linger) {
    let end = Instant::now() + linger.total;
    if !matches!(timeout(linger.idle, io.shutdown()).await, Ok(Ok(()))) {
        return;
    }
    let mut discarded = vec![0; DISCARD_BYTES];
    let until_end = async {
        while matches!(timeout(linger.idle, io.read(&mut discarded)).await, Ok(Ok(len)) if len > 0) {}
    };
    // Whether the peer ended or its time did, the stream may now be dropped.
    let _ended_in_time = timeout_at(end, until_end).await;
}
