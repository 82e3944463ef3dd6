//! Names that would lead out of the destination: from the sender, or by links that lie in it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use grappe_proto::content::manifest::{Entry, Kind, Manifest};
use grappe_proto::units::Digest;

use super::{COPY, Stage, all_whole, begin, carry};
use crate::files::SinkError;

fn entry(path: &[u8], kind: Kind) -> Entry {
    Entry {
        path: path.to_vec(),
        kind,
        mode: 0o644,
        mtime: (0, 0),
        ..Entry::default()
    }
}

#[test]
fn a_link_where_a_directory_is_needed_is_refused_at_the_beginning() {
    let stage = Stage::new();
    let outside = stage.from.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(stage.tree().join("file"), b"x").unwrap();
    symlink(&outside, stage.copied()).unwrap();
    let error = stage.begin(&stage.source()).unwrap_err();
    assert!(matches!(error, SinkError::Conflict { path, .. } if path == stage.copied()));
}

#[test]
fn a_link_that_appears_during_the_copy_is_not_followed() {
    let stage = Stage::new();
    let outside = stage.from.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(stage.tree().join("file"), b"x").unwrap();
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    symlink(&outside, stage.copied()).unwrap();
    let placed = incoming.finalize(&source.finish()).unwrap();
    assert_eq!((placed.files, placed.failed.len()), (0, 2));
    assert_eq!(
        placed.failed[0].reason,
        "a symbolic link stands where a directory should be"
    );
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_link_of_the_copy_itself_is_not_followed() {
    let stage = Stage::new();
    let outside = stage.from.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let target = outside.as_os_str().as_encoded_bytes().to_vec();
    let entries = vec![
        entry(b"door", Kind::Symlink { target }),
        entry(b"door/file", Kind::File { size: 0 }),
    ];
    let manifest = Arc::new(Manifest {
        entries,
        ..Manifest::default()
    });
    let error = begin(stage.into.path(), &manifest).unwrap_err();
    assert!(matches!(error, SinkError::Manifest(_)), "{error}");
}

#[test]
fn names_that_lead_out_are_never_placed() {
    for path in [
        &b"../evil"[..],
        b"..",
        b"/evil",
        b"a/../../evil",
        b".",
        b"",
        b"a//b",
    ] {
        let stage = Stage::new();
        let inner = stage.into.path().join("inner");
        fs::create_dir(&inner).unwrap();
        for kind in [
            Kind::Directory,
            Kind::File { size: 0 },
            Kind::Symlink {
                target: b"x".to_vec(),
            },
        ] {
            let manifest = Arc::new(Manifest {
                entries: vec![entry(path, kind)],
                ..Manifest::default()
            });
            let error = begin(&inner, &manifest).unwrap_err();
            assert!(matches!(error, SinkError::Manifest(_)), "{path:?}: {error}");
        }
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 0);
        assert_eq!(fs::read_dir(stage.into.path()).unwrap().count(), 1);
    }
}

#[test]
fn special_bits_of_a_mode_are_not_set() {
    let stage = Stage::new();
    let with_mode = |mode| {
        let mut file = entry(b"file", Kind::File { size: 0 });
        file.mode = mode;
        Arc::new(Manifest {
            entries: vec![file],
            ..Manifest::default()
        })
    };
    let refused = begin(stage.into.path(), &with_mode(0o6755)).unwrap_err();
    assert!(matches!(refused, SinkError::NotAllowed { .. }), "{refused}");
    let manifest = with_mode(0o1755);
    let incoming = begin(stage.into.path(), &manifest).unwrap();
    incoming.finalize(&all_whole(&manifest)).unwrap();
    let metadata = fs::metadata(stage.into.path().join("file")).unwrap();
    assert_eq!(
        std::os::unix::fs::MetadataExt::mode(&metadata) & 0o7777,
        0o755
    );
}

#[test]
fn a_copy_cannot_write_into_a_staging_folder() {
    let stage = Stage::new();
    let own = crate::files::staging::name(COPY);
    let other = crate::files::staging::name(Digest([0x17; 32]));
    for name in [own, other] {
        let below = [&name[..], b"/lock"].concat();
        let mut entries = vec![entry(&name, Kind::Directory)];
        entries.push(entry(&below, Kind::File { size: 0 }));
        let manifest = Arc::new(Manifest {
            entries,
            ..Manifest::default()
        });
        for is_there in [false, true] {
            if is_there {
                fs::create_dir(stage.into.path().join(OsStr::from_bytes(&name))).unwrap();
            }
            let error = begin(stage.into.path(), &manifest).unwrap_err();
            assert!(matches!(error, SinkError::Conflict { .. }), "{error}");
        }
        fs::remove_dir(stage.into.path().join(OsStr::from_bytes(&name))).unwrap_or_default();
    }
}
