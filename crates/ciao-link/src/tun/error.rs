//! Why could the TUN device not be opened, and what can be done about it?
//!
//! The command shows these sentences as they are. Not here: faults of an open device, which are
//! `io::Error`.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a TUN device could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such device node.
    DeviceMissing {
        /// The path that was tried.
        path: PathBuf,
    },
    /// The device node is there, but this user may not open it.
    DeviceForbidden {
        /// The path that was tried.
        path: PathBuf,
    },
    /// The device node is open, but this process may not make or configure an interface.
    NotAllowed {
        /// The interface asked for.
        name: String,
    },
    /// Another process, or another kind of interface, has the name.
    NameInUse {
        /// The interface asked for.
        name: String,
    },
    /// The kernel would not take such a name: 1 to 15 bytes, no `/`, no white space, not `.` or `..`.
    NameInvalid {
        /// The interface asked for.
        name: String,
    },
    /// Any other refusal.
    Refused {
        /// What was being done.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeviceMissing { path } => write!(
                f,
                "there is no {}: load the kernel module tun, or name another device node in CIAO_TUN",
                path.display()
            ),
            Self::DeviceForbidden { path } => write!(
                f,
                "no right to open {}: run as root, or name a device node that you may open in CIAO_TUN",
                path.display()
            ),
            Self::NotAllowed { name } => write!(
                f,
                "no right to set up the interface {name}: CAP_NET_ADMIN is needed (root, or `unshare -Urn`)"
            ),
            Self::NameInUse { name } => write!(f, "the interface name {name} is in use: choose another one"),
            Self::NameInvalid { name } => {
                write!(f, "{name:?} cannot name an interface: 1 to 15 bytes, no slash, colon or white space")
            }
            Self::Refused { what, source } => write!(f, "the kernel refused to {what}: {source}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused { source, .. } => Some(source),
            Self::DeviceMissing { .. }
            | Self::DeviceForbidden { .. }
            | Self::NotAllowed { .. }
            | Self::NameInUse { .. }
            | Self::NameInvalid { .. } => None,
        }
    }
}

impl OpenError {
    /// The kind of `io::Error` that says the same.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::DeviceMissing { .. } => io::ErrorKind::NotFound,
            Self::DeviceForbidden { .. } | Self::NotAllowed { .. } => io::ErrorKind::PermissionDenied,
            Self::NameInUse { .. } => io::ErrorKind::AddrInUse,
            Self::NameInvalid { .. } => io::ErrorKind::InvalidInput,
            Self::Refused { source, .. } => source.kind(),
        }
    }

    /// The refusal of a step after the device node was opened.
    pub(super) fn refused(what: &'static str, name: &str, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::PermissionDenied {
            return Self::NotAllowed { name: name.to_owned() };
        }
        Self::Refused { what, source }
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        Self::new(error.kind(), error)
    }
}
