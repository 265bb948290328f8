//! Which file does a target name, and why never one outside of the directory?
//!
//! Two walls. A target is decoded into plain names; one that cannot be a name in this directory (`..`, a
//! slash or a zero byte behind `%`) names nothing. Then the kernel resolves the names below the directory
//! with its flag `RESOLVE_BENEATH`, which refuses every step out of it, by a symlink too, and leaves no time
//! between a check and its use.

use std::{
    fs::{File, Metadata},
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

/// Names in one target; nothing real is deeper.
const MAX_COMPONENTS: usize = 256;

/// Entries that a listing shows; more are counted and not named.
const MAX_ENTRIES: usize = 10_000;

/// What stays as it is in a path: RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The file that is sent for a directory.
const INDEX: &str = "index.html";

/// A decoded target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) components: Vec<String>,
    /// Whether the target ends with a slash, as a directory's does.
    slash: bool,
}

impl Wanted {
    /// The path without a slash at its end, safe in a Location: it begins with one slash, so it names no
    /// other host.
    pub(super) fn encoded(&self) -> String {
        self.components.iter().flat_map(|name| ["/".to_owned(), encode(name)]).collect()
    }

    fn relative(&self) -> String {
        match self.components.is_empty() {
            true => ".".to_owned(),
            false => self.components.join("/"),
        }
    }
}

/// A name as it stands in a link.
pub(super) fn encode(name: &str) -> String {
    utf8_percent_encode(name, ENCODED).to_string()
}

/// The names in the path of a target; `None` when there can be no such file.
pub(super) fn decode(path: &str) -> Option<Wanted> {
    let path = path.strip_prefix('/')?;
    let mut components = Vec::new();
    for component in path.split('/') {
        let name = percent_decode_str(component).decode_utf8().ok()?;
        match &*name {
            "" | "." => {}
            ".." => return None,
            name if name.contains(['/', '\0']) => return None,
            name => components.push(name.to_owned()),
        }
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    let slash = last.is_empty() || matches!(&*percent_decode_str(last).decode_utf8().ok()?, ".");
    (components.len() <= MAX_COMPONENTS).then_some(Wanted { components, slash })
}

/// The directory that is served.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

/// What a target names.
#[derive(Debug)]
pub(super) enum Found {
    /// A regular file; its name decides its type.
    File { file: File, name: String, metadata: Metadata },
    /// A directory without an index.
    Directory { entries: Vec<Entry> },
    /// A directory, named without the slash at its end.
    SlashMissing,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) name: String,
    /// `None` for a directory.
    pub(super) len: Option<u64>,
}

impl Root {
    pub(super) fn open(directory: &Path) -> io::Result<Root> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Root(rustix::fs::open(directory, flags, Mode::empty())?))
    }

    pub(super) fn find(&self, wanted: &Wanted) -> io::Result<Found> {
        let file = self.open_beneath(&wanted.relative())?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return if wanted.slash { self.directory(wanted, &file) } else { Ok(Found::SlashMissing) };
        }
        // A file has nothing below it, and a pipe or a device is not ours to open to the world.
        if wanted.slash || !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let name = wanted.components.last().cloned().unwrap_or_default();
        Ok(Found::File { file, name, metadata })
    }

    /// The directory that a new file is made in, and the file's name there.
    pub(super) fn parent(&self, wanted: &Wanted) -> io::Result<(OwnedFd, String)> {
        let (name, parents) = wanted.components.split_last().ok_or(io::ErrorKind::IsADirectory)?;
        if wanted.slash {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let directory = Wanted { components: parents.to_vec(), slash: true };
        let file = self.open_beneath(&directory.relative())?;
        if !file.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok((file.into(), name.clone()))
    }

    fn directory(&self, wanted: &Wanted, directory: &File) -> io::Result<Found> {
        match self.open_beneath(&format!("{}/{INDEX}", wanted.relative())) {
            Ok(file) => {
                let metadata = file.metadata()?;
                if metadata.is_file() {
                    return Ok(Found::File { file, name: INDEX.to_owned(), metadata });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Found::Directory { entries: entries(directory)? })
    }

    /// Non-blocking, so that opening a pipe does not wait for its other end.
    fn open_beneath(&self, relative: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        match openat2(&self.0, relative, flags, Mode::empty(), resolve) {
            Ok(file) => Ok(File::from(file)),
            // XDEV: a step out of the directory. LOOP: symlinks in a circle. ENAMETOOLONG: no such name can
            // be.
            Err(rustix::io::Errno::XDEV | rustix::io::Errno::LOOP | rustix::io::Errno::NAMETOOLONG) => {
                Err(io::ErrorKind::NotFound.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Sorted, directories first. Names that are no text cannot be linked to and are left out; so are the
/// hidden ones.
fn entries(directory: &File) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory.as_fd())? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(directory, name, rustix::fs::AtFlags::empty()) else { continue };
        let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
        let len = match kind {
            rustix::fs::FileType::Directory => None,
            rustix::fs::FileType::RegularFile => Some(u64::try_from(stat.st_size).unwrap_or_default()),
            _ => continue,
        };
        entries.push(Entry { name: name.to_owned(), len });
        if entries.len() == MAX_ENTRIES {
            break;
        }
    }
    entries.sort_by(|a, b| (a.len.is_some(), &a.name).cmp(&(b.len.is_some(), &b.name)));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Option<(Vec<String>, bool)> {
        decode(path).map(|wanted| (wanted.components, wanted.slash))
    }

    #[test]
    fn targets_become_names() {
        for (path, components, slash) in [
            ("/", vec![], true),
            ("//", vec![], true),
            ("/a", vec!["a"], false),
            ("/a/", vec!["a"], true),
            ("/a//b", vec!["a", "b"], false),
            ("/./a/.", vec!["a"], true),
            ("/a%20b", vec!["a b"], false),
            ("/%C3%A9", vec!["é"], false),
            ("/...", vec!["..."], false),
            ("/..a", vec!["..a"], false),
            ("/C:\\..\\x", vec!["C:\\..\\x"], false),
        ] {
            let components = components.into_iter().map(str::to_owned).collect();
            assert_eq!(names(path), Some((components, slash)), "{path}");
        }
    }

    #[test]
    fn targets_that_cannot_be_names_here_name_nothing() {
        for path in
            ["", "a", "*", "/..", "/a/..", "/%2e%2e/x", "/.%2E", "/a%2fb", "/a%00", "/%00", "/%ff", "/%c0%ae"]
        {
            assert_eq!(names(path), None, "{path}");
        }
        assert_eq!(names(&"/a".repeat(MAX_COMPONENTS + 1)), None);
    }

    #[test]
    fn a_redirect_never_names_another_host() {
        for path in ["//example.net", "/%2f/example.net", "///a", "//a\\b"] {
            if let Some(wanted) = decode(path) {
                assert!(!wanted.encoded().starts_with("//"), "{path}");
            }
        }
    }
}
