//! The part that a node shares: its listing, the hashes of its files, and its way under the directory
//! that everything arrives in.
//!
//! All of it reads or writes files, and runs in threads of its own. What is sent is in `turn`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use grappe_proto::gather::plan::EntrySet;
use grappe_proto::units::{Digest, SessionId};
use grappe_proto::wire::gather::{PIECE_BYTES_MAX, ToCoordinator};

use super::Outbox;
use crate::files::{OwnPart, OwnPlaced, Sink, Source, WalkWatch};

/// Bytes of a BLAKE3 hash.
const HASH_BYTES: usize = 32;

/// What a node shares.
pub(super) struct Part {
    pub(super) source: Source,
}

impl Part {
    /// Walks `share`, or nothing, until `watch` is stopped, and tells the coordinator what is there; that this is
    /// all, the caller tells once it has the part.
    pub(super) fn list(
        share: Option<&Path>,
        watch: &WalkWatch,
        outbox: &Outbox,
    ) -> Result<std::sync::Arc<Self>, String> {
        let source = match share {
            Some(share) => Source::open_contents(share, watch),
            None => Source::open(&[]),
        };
        let source = source.map_err(|error| error.to_string())?;
        for bytes in source.manifest().encode().chunks(PIECE_BYTES_MAX) {
            let bytes = bytes.to_vec();
            let _gone = outbox.send(ToCoordinator::Listing { bytes });
        }
        Ok(std::sync::Arc::new(Self { source }))
    }

    /// Hashes the files among `entries`, in their order, and tells the coordinator, until `watch` is stopped.
    pub(super) fn hash(&self, entries: &EntrySet, watch: &WalkWatch, outbox: &Outbox) {
        let mut bytes = Vec::new();
        let known = self.source.manifest().entries.len() as u32;
        let numbers = entries.runs().flat_map(|run| run.start.0..run.end.0);
        for number in numbers.take_while(|number| *number < known) {
            let hash = self.source.hash_file(number, watch).unwrap_or_default();
            if watch.is_stopped() {
                return;
            }
            bytes.extend_from_slice(&hash.0);
            if bytes.len() + HASH_BYTES > PIECE_BYTES_MAX {
                let bytes = std::mem::take(&mut bytes);
                let _gone = outbox.send(ToCoordinator::Hashes { bytes });
            }
        }
        if !bytes.is_empty() {
            let _gone = outbox.send(ToCoordinator::Hashes { bytes });
        }
    }

    /// Places the part, but for `dropped`, in `sink`, until `watch` is stopped. Calls `linked` once all files are as
    /// they will stay.
    pub(super) fn place(
        &self,
        sink: &Sink,
        gather: SessionId,
        dropped: &EntrySet,
        watch: &WalkWatch,
        linked: impl FnOnce(),
    ) -> Result<OwnPlaced, String> {
        if self.source.is_contents_of(sink.path()) {
            linked();
            return Ok(OwnPlaced {
                bytes: self.source.manifest().total_bytes(),
                changed: Vec::new(),
            });
        }
        let mut name = blake3::Hasher::new();
        name.update(b"grappe own part").update(&gather.0);
        let name = Digest(*name.finalize().as_bytes());
        let place = || {
            let mut own = OwnPart::begin(sink, &self.source, name)?;
            own.link(dropped)?;
            linked();
            own.copy(watch)
        };
        place().map_err(|error| format!("cannot place this node's own part: {error}"))
    }
}

/// Whether the directory `into` is inside of `share`, where every gather would share what the one before
/// has brought.
pub(in crate::receive) fn is_inside(into: &Path, share: &Path) -> std::io::Result<bool> {
    let (into, share) = (into.canonicalize()?, share.canonicalize()?);
    let is_same = |left: &Path, right: &Path| {
        let (left, right) = (left.metadata()?, right.metadata()?);
        std::io::Result::Ok((left.dev(), left.ino()) == (right.dev(), right.ino()))
    };
    Ok(into.starts_with(&share) && !is_same(&into, &share)?)
}
