//! Tests of the manifest: the way there and back, every rule, and bytes from an enemy.

use minicbor::Encoder;
use proptest::prelude::*;

use super::*;
use crate::limits::BLOCK_SIZE;

fn entry(path: impl AsRef<[u8]>, kind: Kind) -> Entry {
    Entry {
        path: path.as_ref().to_vec(),
        kind,
        mode: 0o644,
        mtime: (1_700_000_000, 5),
        ..Entry::default()
    }
}

fn directory(path: impl AsRef<[u8]>) -> Entry {
    entry(path, Kind::Directory)
}

fn file(path: impl AsRef<[u8]>, size: u64) -> Entry {
    entry(path, Kind::File { size })
}

fn symlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
    entry(
        path,
        Kind::Symlink {
            target: target.as_ref().to_vec(),
        },
    )
}

fn check(entries: impl Into<Vec<Entry>>) -> Result<(), ManifestError> {
    let manifest = Manifest {
        entries: entries.into(),
        ..Manifest::default()
    };
    let decoded = Manifest::decode(&manifest.encode());
    assert_eq!(
        manifest.validate(),
        decoded.clone().map(drop),
        "both ways apply the same rules"
    );
    if let Ok(decoded) = decoded {
        assert_eq!(decoded, manifest);
    }
    manifest.validate()
}

/// A valid manifest: each entry goes into a directory before it, and siblings have distinct names.
fn manifests() -> impl Strategy<Value = Manifest> {
    let name = prop::collection::vec(
        (1_u8..=255).prop_filter("no slash", |byte| *byte != b'/'),
        0..9,
    );
    let kind = prop_oneof![
        Just(Kind::Directory),
        (0_u64..1 << 40).prop_map(|size| Kind::File { size }),
        prop::collection::vec(1_u8..=255, 1..50).prop_map(|target| Kind::Symlink { target }),
    ];
    let mtime = (any::<i64>(), 0_u32..1_000_000_000);
    let seed = (
        any::<prop::sample::Index>(),
        name,
        kind,
        0_u32..=0o7777,
        mtime,
    );
    prop::collection::vec(seed, 0..40).prop_map(|seeds| {
        let mut entries: Vec<Entry> = vec![];
        for (number, (parent, name, kind, mode, mtime)) in seeds.into_iter().enumerate() {
            let directories = entries.iter().filter(|entry| entry.kind == Kind::Directory);
            let mut parents = vec![vec![]];
            parents.extend(directories.map(|entry| [entry.path.as_slice(), b"/"].concat()));
            let path = [
                parent.get(&parents),
                name.as_slice(),
                number.to_string().as_bytes(),
            ]
            .concat();
            entries.push(Entry {
                path,
                kind,
                mode,
                mtime,
                ..Entry::default()
            });
        }
        // A name may end in digits itself and so be repeated.
        let mut seen = std::collections::BTreeSet::new();
        let unique = entries.iter().all(|entry| seen.insert(entry.path.clone()));
        Manifest {
            entries: if unique { entries } else { vec![] },
            ..Manifest::default()
        }
    })
}

proptest! {
    #[test]
    fn comes_back_as_it_went(manifest in manifests()) {
        prop_assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
    }

    #[test]
    fn every_shortening_and_lengthening_is_refused(manifest in manifests()) {
        let mut bytes = manifest.encode();
        for end in 0..bytes.len() {
            prop_assert!(Manifest::decode(&bytes[..end]).is_err());
        }
        let at = bytes.len();
        bytes.push(0);
        prop_assert_eq!(Manifest::decode(&bytes), Err(ManifestError::TrailingBytes { at }));
    }

    #[test]
    fn whatever_is_accepted_is_valid(
        manifest in manifests(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = manifest.encode();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(manifest) = Manifest::decode(&bytes) {
            prop_assert_eq!(manifest.validate(), Ok(()));
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(Manifest::decode(&bytes));
        drop(Manifest::decode(&[&[0x82, 0x02], bytes.as_slice()].concat()));
    }
}

#[test]
fn counts_files_and_bytes() {
    let entries = vec![
        directory("d"),
        file("d/a", 3),
        symlink("d/l", "a"),
        file("d/b", 4),
    ];
    assert_eq!(check(entries.clone()), Ok(()));
    let manifest = Manifest {
        entries,
        ..Manifest::default()
    };
    assert_eq!((manifest.file_count(), manifest.total_bytes()), (2, 7));
    assert_eq!(Vec::from_iter(manifest.files()), [(1, 3), (3, 4)]);
}

#[test]
fn paths_stay_inside_the_tree() {
    for bad in [
        "", "/", "/a", "a/", "d//a", ".", "..", "d/..", "d/../e", "./a", "d/.", "a\0b",
    ] {
        let refused = Err(ManifestError::Path { entry: 1 });
        assert_eq!(check([directory("d"), file(bad, 1)]), refused, "{bad:?}");
    }
    for good in [
        "a",
        "...",
        "..a",
        ".a",
        "d/a b",
        "d/\u{1F347}",
        "d/-",
        "d/a\nb",
    ] {
        assert_eq!(check([directory("d"), file(good, 1)]), Ok(()), "{good:?}");
    }
}

#[test]
fn names_and_paths_have_the_lengths_of_linux() {
    assert_eq!(check([file("n".repeat(255), 1)]), Ok(()));
    assert_eq!(
        check([file("n".repeat(256), 1)]),
        Err(ManifestError::Path { entry: 0 })
    );
    // Sixteen directories of 255 bytes with their separators are 4,095 bytes; one more is the limit.
    let path = |depth| vec!["d".repeat(255); depth].join("/");
    let directories: Vec<Entry> = (1..=16).map(|depth| directory(path(depth))).collect();
    let last = |name: &str| {
        [
            directories.clone(),
            vec![file(format!("{}/{name}", path(16)), 1)],
        ]
        .concat()
    };
    assert_eq!(check(directories.clone()), Ok(()));
    assert_eq!(check(last("")), Err(ManifestError::Path { entry: 16 }));
    assert_eq!(check(last("a")), Err(ManifestError::Path { entry: 16 }));
}

#[test]
fn parents_are_directories_and_stand_before() {
    assert_eq!(
        check([file("d/a", 1)]),
        Err(ManifestError::Parent { entry: 0 })
    );
    assert_eq!(
        check([file("d/a", 1), directory("d")]),
        Err(ManifestError::Parent { entry: 0 })
    );
    assert_eq!(
        check([file("d", 1), file("d/a", 1)]),
        Err(ManifestError::Parent { entry: 1 })
    );
    assert_eq!(
        check([symlink("d", "e"), file("d/a", 1)]),
        Err(ManifestError::Parent { entry: 1 })
    );
    assert_eq!(
        check([directory("d"), file("d/e/a", 1)]),
        Err(ManifestError::Parent { entry: 1 })
    );
    assert_eq!(
        check([directory("d"), file("dd/a", 1)]),
        Err(ManifestError::Parent { entry: 1 })
    );
    // Neither by name nor depth first, with names that sort around the separator.
    let mixed = [
        "d", "d-", "d0", "d/z", "a", "d-/x", "d/b", "d/b/c", "d/b-", "d0/y", "d/z/w",
    ];
    assert_eq!(check(mixed.map(directory)), Ok(()));
}

#[test]
fn no_path_stands_twice() {
    let repeated = Err(ManifestError::RepeatedPath { entry: 2 });
    assert_eq!(check([file("a", 1), file("b", 1), file("a", 1)]), repeated);
    assert_eq!(
        check([directory("a"), directory("b"), directory("a")]),
        repeated
    );
    assert_eq!(
        check([directory("a"), file("a/b", 0), symlink("a", "b")]),
        repeated
    );
}

#[test]
fn values_are_bounded() {
    let with = |change: fn(&mut Entry)| {
        let mut changed = file("a", 1);
        change(&mut changed);
        check([changed])
    };
    assert_eq!(with(|entry| entry.mode = 0o7777), Ok(()));
    assert_eq!(
        with(|entry| entry.mode = 0o10000),
        Err(ManifestError::Mode { entry: 0 })
    );
    assert_eq!(with(|entry| entry.mtime = (i64::MIN, 999_999_999)), Ok(()));
    assert_eq!(
        with(|entry| entry.mtime = (0, 1_000_000_000)),
        Err(ManifestError::Time { entry: 0 })
    );
    let target = Err(ManifestError::Target { entry: 0 });
    assert_eq!(check([symlink("a", "t".repeat(4095))]), Ok(()));
    assert_eq!(check([symlink("a", "t".repeat(4096))]), target);
    assert_eq!(check([symlink("a", "")]), target);
    assert_eq!(check([symlink("a", "t\0")]), target);
}

#[test]
fn sizes_can_be_summed_and_numbered() {
    let total = u64::from(PIECES_MAX) * u64::from(BLOCK_SIZE);
    assert_eq!(check([file("a", total)]), Ok(()));
    assert_eq!(check([file("a", total + 1)]), Err(ManifestError::TotalSize));
    assert_eq!(
        check([file("a", total), file("b", 1)]),
        Err(ManifestError::TotalSize)
    );
    assert_eq!(
        check([file("a", u64::MAX), file("b", u64::MAX)]),
        Err(ManifestError::TotalSize)
    );
}

#[test]
fn a_stream_keeps_and_removes_nothing_and_is_not_rehearsed() {
    let with = |change: fn(&mut Terms)| {
        let mut terms = Terms {
            stream: true,
            ..Terms::default()
        };
        change(&mut terms);
        let manifest = Manifest {
            entries: vec![file("a", 0)],
            terms,
            ..Manifest::default()
        };
        manifest.validate()
    };
    assert_eq!(with(|_| ()), Ok(()));
    assert_eq!(with(|terms| terms.delete = true), Err(ManifestError::Terms));
    assert_eq!(
        with(|terms| terms.dry_run = true),
        Err(ManifestError::Terms)
    );
    assert_eq!(
        with(|terms| terms.sync = Sync::Times),
        Err(ManifestError::Terms)
    );
}

#[test]
fn later_fields_are_skipped() {
    let mut bytes = Encoder::new(vec![]);
    bytes.array(4).unwrap().u32(3).unwrap().array(1).unwrap();
    bytes
        .array(10)
        .unwrap()
        .u8(0)
        .unwrap()
        .bytes(b"a")
        .unwrap()
        .u8(1)
        .unwrap()
        .u32(0)
        .unwrap();
    bytes.i64(0).unwrap().u32(0).unwrap().u64(7).unwrap();
    bytes
        .map(1)
        .unwrap()
        .u8(200)
        .unwrap()
        .str("unknown")
        .unwrap();
    bytes
        .str("later")
        .unwrap()
        .array(2)
        .unwrap()
        .null()
        .unwrap()
        .bool(true)
        .unwrap();
    bytes
        .map(1)
        .unwrap()
        .u8(99)
        .unwrap()
        .str("still later")
        .unwrap();
    bytes.str("last").unwrap();
    let decoded = Manifest::decode(&bytes.into_writer()).unwrap();
    assert_eq!(decoded.entries[0].kind, Kind::File { size: 7 });
}

#[test]
fn other_versions_and_kinds_are_named() {
    let version = Manifest::decode(&[0x82, 0x01, 0x80]);
    assert_eq!(version, Err(ManifestError::Version { version: 1 }));
    let kind = Manifest::decode(&[
        0x82, 0x03, 0x81, 0x86, 0x00, 0x41, b'a', 0x09, 0x00, 0x00, 0x00,
    ]);
    assert_eq!(kind, Err(ManifestError::Kind { entry: 0, kind: 9 }));
    let size_lacks = Manifest::decode(&[
        0x82, 0x03, 0x81, 0x86, 0x00, 0x41, b'a', 0x01, 0x00, 0x00, 0x00,
    ]);
    assert!(matches!(size_lacks, Err(ManifestError::Malformed { .. })));
}

#[test]
fn paths_are_told_by_what_they_do_not_share() {
    let long = "directory-".repeat(20);
    let manifest = Manifest {
        entries: (0..1000)
            .map(|number| file(format!("{long}{number}"), 0))
            .collect(),
        ..Manifest::default()
    };
    let bytes = manifest.encode();
    assert!(bytes.len() < 30_000, "{}", bytes.len());
    assert!(Manifest::decode(&bytes) == Ok(manifest.clone()));
    // More than may be held once it is unfolded, and more in common than there was.
    let paths = manifest.paths_len();
    assert!(encoding::decode(&bytes, paths).is_ok());
    let bomb = encoding::decode(&bytes, paths - 1);
    assert_eq!(bomb.err(), Some(ManifestError::TooLong));
    let borrowed = [
        0x82, 0x03, 0x81, 0x86, 0x01, 0x41, b'a', 0x04, 0x00, 0x00, 0x00,
    ];
    assert_eq!(
        Manifest::decode(&borrowed),
        Err(ManifestError::Malformed { at: 4 })
    );
}

#[test]
fn claimed_lengths_are_not_believed() {
    // Nine million entries, a path of 2^60 bytes, 2^60 further fields: and then nothing.
    let entries = [0x82, 0x03, 0x9A, 0x00, 0x89, 0x54, 0x40];
    let path = [
        0x82, 0x03, 0x81, 0x86, 0x00, 0x5B, 0x10, 0, 0, 0, 0, 0, 0, 0, b'a',
    ];
    let fields = [0x9B, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x03, 0x80];
    assert_eq!(
        Manifest::decode(&entries),
        Err(ManifestError::Malformed { at: entries.len() })
    );
    assert_eq!(
        Manifest::decode(&path),
        Err(ManifestError::Malformed { at: 5 })
    );
    assert_eq!(
        Manifest::decode(&fields),
        Err(ManifestError::Malformed { at: fields.len() })
    );
    let too_many = [0x82, 0x03, 0x9A, 0x00, 0x98, 0x96, 0x81];
    assert_eq!(Manifest::decode(&too_many), Err(ManifestError::EntryCount));
}

#[test]
fn deep_nesting_in_later_fields_does_not_recurse() {
    let arrays = 1_000_000;
    let mut bytes = vec![0x84, 0x03, 0x80, 0xA0];
    bytes.extend(std::iter::repeat_n(0x81, arrays));
    bytes.push(0x00);
    assert_eq!(Manifest::decode(&bytes), Ok(Manifest::default()));
    // The same without lengths, which the decoder must remember one by one.
    let mut bytes = vec![0x84, 0x03, 0x80, 0xA0];
    bytes.extend(std::iter::repeat_n([0x82, 0x9F], arrays).flatten());
    assert!(Manifest::decode(&bytes).is_err());
}
