//! Files placed safely below a directory, for a process that may be root and is given names by others.
//!
//! Everything goes through the descriptor of a [`Directory`]: no path is ever looked up from the root
//! or the working directory, and no symbolic link is ever followed, so nobody who can write below can
//! lead a copy elsewhere. What to place where is policy, and not decided here.

mod attributes;
mod beneath;
mod directory;
mod finish;
mod metadata;
mod name;
#[cfg(test)]
mod tests;

use std::io;

use rustix::io::Errno;
use thiserror::Error;

pub use self::{
    attributes::{Attribute, attributes, set_attributes},
    directory::{Access, Directory, Node, changed_at, set_file_mode, set_file_owner},
    finish::close,
    metadata::{Kind, Metadata},
    name::{NAME_BYTES_MAX, NameError, PATH_BYTES_MAX, check_name},
};

/// Why a file or directory could not be opened, made or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The name or path itself is refused; nothing was asked of the kernel.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A part of the path, or the file itself, is a symbolic link.
    #[error("a symbolic link is in the way")]
    Symlink,
    /// A part of the path is neither a directory nor a symbolic link.
    #[error("a part of the path is not a directory")]
    NotDirectory,
    /// What was to be opened is a directory, a device, a pipe or a socket.
    #[error("not a regular file")]
    NotRegular,
    /// Everything else that the kernel refuses.
    #[error("cannot {operation}")]
    Kernel {
        /// What was tried, as it reads after "cannot".
        operation: &'static str,
        /// Why the kernel refused.
        #[source]
        errno: Errno,
    },
}

impl FileError {
    /// The standard library's kind of this error, such as `NotFound` or `StorageFull`.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Name(_) | Self::Symlink | Self::NotRegular => io::ErrorKind::InvalidInput,
            Self::NotDirectory => io::ErrorKind::NotADirectory,
            Self::Kernel { errno, .. } => errno.kind(),
        }
    }

    /// Names the operation that an error of the kernel is about.
    fn kernel(operation: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::Kernel { operation, errno }
    }
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        Self::new(error.kind(), error)
    }
}
