//! Any tree arrives as it was, whatever order its blocks come in and however many threads carry them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use grappe_proto::content::layout::Layout;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::semantics::data;
use super::{BLOCK, Stage, content, files_by_names, set_mode, set_mtime, things};

/// What one entry of a random tree is.
#[derive(Clone, Debug)]
pub(super) enum Node {
    File {
        len: usize,
        mode: u32,
        nanos: u64,
    },
    /// Data behind a hole, and a hole behind it: lengths in units of 4 KiB.
    Sparse {
        hole: u64,
        data: u64,
        tail: u64,
    },
    /// A further name of one of the files that stand beside it, or a file where none does.
    HardLink {
        to: prop::sample::Index,
    },
    Link {
        target: Vec<u8>,
    },
    Directory {
        nodes: BTreeMap<Vec<u8>, Self>,
    },
}

/// Names in raw bytes; no zero byte, no slash, and never `.` or `..`.
pub(super) fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("not in a name", |byte| !matches!(byte, 0 | b'/' | b'.'));
    vec(byte, 1..12)
}

pub(super) fn node() -> impl Strategy<Value = Node> {
    let len = prop_oneof![
        Just(0),
        1..5000usize,
        Just(BLOCK),
        BLOCK - 3..BLOCK + 3,
        2 * BLOCK..3 * BLOCK,
    ];
    let file = (len, 0o400..0o1000u32, 0..1_000_000_000_000u64);
    let sparse = (0..150_u64, 1..40_u64, 0..150_u64);
    let leaf = prop_oneof![
        1 => sparse.prop_map(|(hole, data, tail)| Node::Sparse { hole, data, tail }),
        1 => any::<prop::sample::Index>().prop_map(|to| Node::HardLink { to }),
        4 => file.prop_map(|(len, mode, nanos)| Node::File { len, mode, nanos }),
        1 => name().prop_map(|target| Node::Link { target }),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        btree_map(name(), inner, 0..8).prop_map(|nodes| Node::Directory { nodes })
    })
}

pub(super) fn build(path: &Path, node: &Node) {
    match node {
        Node::File { len, mode, nanos } => {
            fs::write(path, content(*len)).unwrap();
            set_mtime(path, *nanos);
            set_mode(path, *mode);
        }
        Node::Sparse { hole, data, tail } => {
            let file = File::create(path).unwrap();
            let bytes = content((data * 4096) as usize);
            file.write_all_at(&bytes, hole * 4096).unwrap();
            file.set_len((hole + data + tail) * 4096).unwrap();
        }
        Node::HardLink { to } => {
            let beside = fs::read_dir(path.parent().unwrap()).unwrap();
            let mut files: Vec<_> = beside
                .map(|item| item.unwrap().path())
                .filter(|path| fs::symlink_metadata(path).unwrap().is_file())
                .collect();
            files.sort();
            if files.is_empty() {
                fs::write(path, "alone").unwrap();
            } else {
                fs::hard_link(to.get(&files), path).unwrap();
            }
        }
        Node::Link { target } => {
            symlink(OsStr::from_bytes(target), path).unwrap();
        }
        Node::Directory { nodes } => {
            fs::create_dir_all(path).unwrap();
            for (name, inner) in nodes {
                build(&path.join(OsStr::from_bytes(name)), inner);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_arrives_as_it_was(nodes in btree_map(name(), node(), 0..8), stride in 1..50u32) {
        let stage = Stage::new();
        build(&stage.tree(), &Node::Directory { nodes });
        let source = stage.source();
        prop_assert!(source.skipped().is_empty());
        let incoming = stage.begin(&source).unwrap();
        let layout = Layout::new(source.manifest());
        let count = layout.block_count();
        // A prime no smaller than the counts that occur here makes every block come exactly once.
        let prime = 4099;
        prop_assert!(count < prime);
        let next = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut buffer = Vec::new();
                    loop {
                        let step = next.fetch_add(1, Ordering::Relaxed);
                        if step >= prime {
                            break;
                        }
                        let block = step * stride % prime;
                        if block < count {
                            let read = source.read_block(&layout, block, &mut buffer);
                            assert_eq!(incoming.hash_and_write(block, &buffer).unwrap(), read.digests);
                        }
                    }
                });
            }
        });
        let placed = incoming.finalize(&source.finish()).unwrap();
        prop_assert_eq!(placed.failed, []);
        prop_assert_eq!(things(&stage.copied()), things(&stage.tree()));
        let files = files_by_names(&stage.tree());
        prop_assert_eq!(&files_by_names(&stage.copied()), &files, "the same names are one file");
        for names in files {
            let name = OsStr::from_bytes(&names[0]);
            let (copied, sent) = (stage.copied().join(name), stage.tree().join(name));
            prop_assert_eq!(data(&copied), data(&sent), "the same holes");
        }
        stage.assert_no_staging();
    }
}
