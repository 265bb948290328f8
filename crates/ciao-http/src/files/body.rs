//! How does a file of any size become a body?
//!
//! In pieces: one is with the connection, one is being read. A file that became shorter while it was sent
//! is an error, so that the client does not take a part for the whole.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

/// Bytes read at once: a super-segment of TCP, and what one HTTP/2 stream may hold back.
const PIECE_BYTES: u64 = 64 * 1024;

type Read = JoinHandle<(File, io::Result<Bytes>)>;

/// A part of a file.
#[derive(Debug)]
pub(super) struct FileBody {
    next: Next,
    /// Bytes not yet handed out.
    left: u64,
}

/// Where the next piece is.
#[derive(Debug)]
enum Next {
    Here(File, Bytes),
    Reading(Read),
    Nowhere,
}

impl FileBody {
    /// `len` bytes from `first` on. Reads the first piece, so it may wait for the disk.
    pub(super) fn start(mut file: File, first: u64, len: u64) -> io::Result<FileBody> {
        if len == 0 {
            return Ok(FileBody { next: Next::Nowhere, left: 0 });
        }
        file.seek(SeekFrom::Start(first))?;
        let (file, piece) = read(file, len);
        Ok(FileBody { next: Next::Here(file, piece?), left: len })
    }

    /// Hands out a piece, and has the one after it read.
    fn hand_out(&mut self, file: File, piece: Bytes) -> Frame<Bytes> {
        self.left -= piece.len() as u64;
        let left = self.left;
        if left > 0 {
            self.next = Next::Reading(tokio::task::spawn_blocking(move || read(file, left)));
        }
        Frame::data(piece)
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
        let (file, piece) = match std::mem::replace(&mut self.next, Next::Nowhere) {
            Next::Nowhere => return Poll::Ready(None),
            Next::Here(file, piece) => (file, piece),
            Next::Reading(mut reading) => match Pin::new(&mut reading).poll(context) {
                Poll::Pending => {
                    self.next = Next::Reading(reading);
                    return Poll::Pending;
                }
                Poll::Ready(read) => {
                    let (file, piece) = read.map_err(io::Error::other)?;
                    (file, piece?)
                }
            },
        };
        Poll::Ready(Some(Ok(self.hand_out(file, piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
