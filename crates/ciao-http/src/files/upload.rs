//! How does PUT make a file, and never half of one?
//!
//! The body goes to a hidden file in the same directory, which takes the name when all of it has arrived.
//! What breaks off leaves nothing behind.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt as _;
use rustix::fs::{AtFlags, Mode, OFlags, renameat, unlinkat};
use tokio::io::AsyncWriteExt as _;

use super::path::{Root, Wanted};
use crate::body::BoxError;

/// Numbers for hidden names: this process does not use one twice.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A file that has not its name yet. Dropping it removes it.
struct Unfinished {
    directory: OwnedFd,
    hidden: String,
    name: String,
}

impl Unfinished {
    fn create(root: &Root, wanted: &Wanted) -> io::Result<(Unfinished, File)> {
        let (directory, name) = root.parent(wanted)?;
        let hidden = format!(".ciao-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&directory, &hidden, flags, Mode::from_raw_mode(0o644))?;
        Ok((Unfinished { directory, hidden, name }, File::from(file)))
    }

    /// Gives it its name; whether there was another file of that name.
    fn finish(self) -> io::Result<StatusCode> {
        let existed = rustix::fs::statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        renameat(&self.directory, &self.hidden, &self.directory, &self.name)?;
        Ok(if existed { StatusCode::NO_CONTENT } else { StatusCode::CREATED })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After `finish` there is no such name any more.
        let _removed = unlinkat(&self.directory, &self.hidden, AtFlags::empty());
    }
}

/// Stores the body under the name that is wanted.
pub(super) async fn store<B>(root: &Arc<Root>, wanted: &Wanted, mut body: B) -> StatusCode
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let (unfinished, file) = match Unfinished::create(root, wanted) {
        Ok(created) => created,
        Err(error) => return status_of(&error),
    };
    let mut file = tokio::fs::File::from_std(file);
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return status_of_broken(&error.into()),
        };
        if let Some(data) = frame.data_ref()
            && let Err(error) = file.write_all(data).await
        {
            return status_of(&error);
        }
    }
    match file.flush().await.and_then(|()| unfinished.finish()) {
        Ok(status) => status,
        Err(error) => status_of(&error),
    }
}

/// A body that did not come whole: 408 when it stood still, 400 otherwise.
fn status_of_broken(error: &BoxError) -> StatusCode {
    match error.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == io::ErrorKind::TimedOut => StatusCode::REQUEST_TIMEOUT,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn status_of(error: &io::Error) -> StatusCode {
    match error.kind() {
        io::ErrorKind::NotFound => StatusCode::NOT_FOUND,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StatusCode::FORBIDDEN,
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => StatusCode::CONFLICT,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
