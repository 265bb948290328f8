//! How does a file of any size become a body?
//!
//! In pieces: one is with the connection, one is being read. A file that became shorter while it was sent
//! is an error, so that the client does not take a part for the whole.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

/// Bytes read at once: four super-segments of TCP, so that reading is not what limits a large file.
const PIECE_BYTES: u64 = 256 * 1024;

type Read = JoinHandle<(File, io::Result<Bytes>)>;

/// A part of a file.
#[derive(Debug)]
pub(super) struct FileBody {
    reading: Option<Read>,
    /// Bytes not yet handed out.
    left: u64,
}

impl FileBody {
    /// `len` bytes from `first` on.
    pub(super) fn new(mut file: File, first: u64, len: u64) -> FileBody {
        let seek = move || match file.seek(SeekFrom::Start(first)) {
            Ok(_) => read(file, len),
            Err(error) => (file, Err(error)),
        };
        let reading = (len > 0).then(|| tokio::task::spawn_blocking(seek));
        FileBody { reading, left: len }
    }
}

/// The next piece, when `left` bytes are still wanted.
fn read(mut file: File, left: u64) -> (File, io::Result<Bytes>) {
    let wanted = left.min(PIECE_BYTES);
    let mut piece = Vec::with_capacity(usize::try_from(wanted).unwrap_or_default());
    let result = match (&mut file).take(wanted).read_to_end(&mut piece) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(Bytes::from(piece)),
        Err(error) => Err(error),
    };
    (file, result)
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let done = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        let (file, piece) = done.map_err(io::Error::other)?;
        let piece = piece?;
        self.left -= piece.len() as u64;
        let left = self.left;
        self.reading = (left > 0).then(|| tokio::task::spawn_blocking(move || read(file, left)));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
