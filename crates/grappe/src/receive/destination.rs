//! Where copies go at a receiver: into a directory, or, when they are streams, to a device or to standard
//! output.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ReceiveError;
use crate::files::{Allowed, Sink};

/// Where copies go, as the user names it.
#[derive(Clone, Debug)]
pub enum Target {
    /// Into this directory, which takes everything.
    Directory(PathBuf),
    /// To this device or file, which is there. Takes one stream.
    Device(PathBuf),
    /// To standard output. Takes one stream.
    StandardOutput,
}

impl Target {
    /// The directory or device; a word for standard output.
    pub fn path(&self) -> &Path {
        match self {
            Self::Directory(path) | Self::Device(path) => path,
            Self::StandardOutput => Path::new("standard output"),
        }
    }
}

/// The same, opened.
#[derive(Debug)]
pub(super) enum Destination {
    Directory(Sink),
    Device(PathBuf, File),
    StandardOutput(File),
}

impl Destination {
    pub(super) fn open(into: &Target, allowed: Allowed) -> Result<Self, ReceiveError> {
        match into {
            Target::Directory(path) => Ok(Self::Directory(Sink::open(path)?.allowing(allowed))),
            Target::Device(path) => match open_device(path) {
                Ok(file) => Ok(Self::Device(path.clone(), file)),
                Err(source) => Err(ReceiveError::Device {
                    path: path.clone(),
                    source,
                }),
            },
            Target::StandardOutput => {
                let output = std::io::stdout().as_fd().try_clone_to_owned();
                output
                    .map(|output| Self::StandardOutput(output.into()))
                    .map_err(|source| ReceiveError::System {
                        action: "write to standard output",
                        source,
                    })
            }
        }
    }

    /// The same, or what its name leads to by now: a receiver that runs for months may see its directory made anew, or
    /// a disk mounted there after all.
    ///
    /// # Errors
    ///
    /// In words, when nothing that takes copies is there any more.
    pub(super) fn as_named(self: &Arc<Self>) -> Result<Arc<Self>, String> {
        match &**self {
            Self::Directory(sink) if !sink.is_where_named() => Sink::open(sink.path())
                .map(|new| Arc::new(Self::Directory(new.allowing(sink.allowed()))))
                .map_err(|error| error.to_string()),
            _ => Ok(Arc::clone(self)),
        }
    }

    /// Where it is, for messages.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Directory(sink) => sink.path(),
            Self::Device(path, _) => path,
            Self::StandardOutput(_) => Path::new("standard output"),
        }
    }
}

/// Opens a block device that nothing else uses, or a file that is there.
fn open_device(path: &Path) -> io::Result<File> {
    let kind = std::fs::metadata(path)?.file_type();
    let mut options = File::options();
    options.write(true);
    if kind.is_block_device() {
        // Refused while it is mounted or in use otherwise (open(2), O_EXCL).
        options.custom_flags(rustix::fs::OFlags::EXCL.bits() as i32);
    } else if !kind.is_file() {
        return Err(io::Error::other("it is neither a block device nor a file"));
    }
    options.open(path)
}
