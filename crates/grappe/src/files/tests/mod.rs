//! Whole copies from a source to a sink in one process, and the trees they are tried on.
//!
//! No network here: blocks go straight from `read_block` to `hash_and_write`.

mod changing;
mod folding;
mod hostile;
mod nests;
mod own;
mod placing;
mod removing;
mod resuming;
mod round_trip;
mod semantics;
mod space;
mod staging;
mod syncing;
mod walking;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use grappe_proto::content::digest::FileState;
use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::Manifest;
use grappe_proto::limits::BLOCK_SIZE;
use grappe_proto::units::Digest;
use tempfile::TempDir;

use super::{Incoming, Placed, Sink, SinkError, Source};

const COPY: Digest = Digest([0xab; 32]);
const BLOCK: usize = BLOCK_SIZE as usize;

/// A directory to send from and one to copy into.
struct Stage {
    from: TempDir,
    into: TempDir,
}

impl Stage {
    fn new() -> Self {
        Self {
            from: TempDir::new().unwrap(),
            into: TempDir::new().unwrap(),
        }
    }

    /// `tree` in the directory to send from.
    fn tree(&self) -> PathBuf {
        let tree = self.from.path().join("tree");
        fs::create_dir_all(&tree).unwrap();
        tree
    }

    /// `tree` in the directory copied into.
    fn copied(&self) -> PathBuf {
        self.into.path().join("tree")
    }

    fn source(&self) -> Source {
        Source::open(&[self.tree()]).unwrap()
    }

    fn begin(&self, source: &Source) -> Result<Incoming, SinkError> {
        begin(self.into.path(), source.manifest())
    }

    /// Copies the tree, which nobody touches meanwhile.
    fn copy(&self) -> Placed {
        let source = self.source();
        let incoming = self.begin(&source).unwrap();
        carry(&source, &incoming);
        incoming.finalize(&source.finish()).unwrap()
    }

    /// Asserts that nothing of any receiver is left in the directory copied into.
    fn assert_no_staging(&self) {
        assert_eq!(staging_folders(self.into.path()), Vec::<String>::new());
    }
}

/// Says that the running test is skipped and why, also in the file that `GRAPPE_SKIPPED` names.
pub(super) fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {reason}", thread.name().unwrap_or("a test"));
    eprintln!("skipped: {line}");
    let Some(list) = std::env::var_os("GRAPPE_SKIPPED") else {
        return;
    };
    let opened = File::options().create(true).append(true).open(list);
    // One write for each line: other tests write at the same time.
    let written = opened.and_then(|mut list| list.write_all(format!("{line}\n").as_bytes()));
    assert!(written.is_ok(), "GRAPPE_SKIPPED names a file to write to");
}

fn begin(into: &Path, manifest: &Arc<Manifest>) -> Result<Incoming, SinkError> {
    let layout = Arc::new(Layout::new(manifest));
    Sink::open(into)?.begin(COPY, Arc::clone(manifest), layout)
}

/// Carries every block across, and checks that both ends hash alike.
fn carry(source: &Source, incoming: &Incoming) {
    let layout = Layout::new(source.manifest());
    let mut buffer = Vec::new();
    for block in 0..layout.block_count() {
        let read = source.read_block(&layout, block, &mut buffer);
        assert_eq!(
            incoming.hash_and_write(block, &buffer).unwrap(),
            read.digests
        );
    }
}

fn all_whole(manifest: &Manifest) -> Vec<FileState> {
    vec![FileState::Whole; manifest.entries.len()]
}

fn staging_folders(into: &Path) -> Vec<String> {
    let names = fs::read_dir(into)
        .unwrap()
        .map(|item| item.unwrap().file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".grappe-")).collect()
}

/// What a user can tell of one thing in a tree.
#[derive(Debug, PartialEq, Eq)]
struct Thing {
    mode: u32,
    mtime: (i64, i64),
    /// The bytes of a file, the text of a link.
    content: Option<Vec<u8>>,
}

/// Everything at and below `top`, by its path there.
fn things(top: &Path) -> BTreeMap<Vec<u8>, Thing> {
    let mut things = BTreeMap::new();
    let mut pending = vec![top.to_path_buf()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_dir() {
            pending.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|item| item.unwrap().path()),
            );
            None
        } else if metadata.is_symlink() {
            Some(
                fs::read_link(&path)
                    .unwrap()
                    .as_os_str()
                    .as_bytes()
                    .to_vec(),
            )
        } else {
            Some(fs::read(&path).unwrap())
        };
        let mtime = (metadata.mtime(), metadata.mtime_nsec());
        let below = path
            .strip_prefix(top)
            .unwrap()
            .as_os_str()
            .as_bytes()
            .to_vec();
        things.insert(
            below,
            Thing {
                mode: metadata.mode(),
                mtime,
                content,
            },
        );
    }
    things
}

/// The regular files at and below `top`, each with all its names there.
fn files_by_names(top: &Path) -> Vec<Vec<Vec<u8>>> {
    let mut files: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
    for name in things(top).into_keys() {
        let found = fs::symlink_metadata(top.join(OsStr::from_bytes(&name))).unwrap();
        if found.is_file() {
            files.entry(found.ino()).or_default().push(name);
        }
    }
    let mut files: Vec<_> = files.into_values().collect();
    files.sort();
    files
}

/// Sets when `path`, which is no link, was last modified: so many nanoseconds after 2001.
fn set_mtime(path: &Path, nanos: u64) {
    let time = UNIX_EPOCH + Duration::from_secs(978_307_200) + Duration::from_nanos(nanos);
    File::open(path)
        .unwrap()
        .set_times(FileTimes::new().set_modified(time))
        .unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Bytes that differ from block to block.
fn content(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index / 251 + index) as u8).collect()
}
