//! Files at both ends of a copy: the tree that a sender reads, the tree that a receiver places.
//!
//! Policy only: what is sent, what may be replaced, what is reported. What the kernel promises about
//! names and handles is `grappe_os::file`; where bytes stand in the stream is `grappe_proto::content`.

mod descent;
mod error;
mod filters;
mod hashes;
mod held;
mod holes;
mod incoming;
mod journal;
mod keep;
mod metadata;
mod nests;
mod open_files;
mod own;
mod parents;
mod place;
mod remove;
mod resume;
mod root;
mod sink;
mod source;
mod spelling;
mod spill;
mod staging;
mod survey;
mod walk;

#[cfg(test)]
mod tests;

pub use error::{SinkError, SourceError};
pub use filters::{Filters, PatternError};
pub use incoming::Incoming;
pub use own::{OwnPart, OwnPlaced};
pub use place::Placed;
pub use sink::{Allowed, Sink};
pub use source::{BlockRead, Source};
pub use spill::{PieceHashes, Reader, Spill};
pub use survey::Here;
pub use walk::{SourceOptions, WalkWatch};

use std::path::PathBuf;

/// Something that was left out of the copy, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Where it stands, for the reader of the report.
    pub path: PathBuf,
    /// The reason, as part of a sentence: "it is a socket".
    pub reason: String,
}
