//! What of the paths named by the user goes into the manifest, and under which name.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use grappe_proto::content::manifest::{Entry, Kind};

use super::{Stage, set_mode};
use crate::files::{Source, SourceError, SourceOptions, WalkWatch};

fn paths(source: &Source) -> Vec<String> {
    let path = |entry: &Entry| String::from_utf8_lossy(&entry.path).into_owned();
    source.manifest().entries.iter().map(path).collect()
}

fn open(path: impl AsRef<Path>) -> Source {
    Source::open(&[path.as_ref().to_path_buf()]).unwrap()
}

#[test]
fn a_tree_arrives_under_its_last_name_with_files_before_subdirectories() {
    let stage = Stage::new();
    let tree = stage.tree();
    for directory in ["b/deep", "a"] {
        fs::create_dir_all(tree.join(directory)).unwrap();
    }
    for file in ["z", "c", "b/deep/x", "a/y"] {
        fs::write(tree.join(file), file).unwrap();
    }
    let expected = [
        "tree",
        "tree/c",
        "tree/z",
        "tree/a",
        "tree/a/y",
        "tree/b",
        "tree/b/deep",
        "tree/b/deep/x",
    ];
    assert_eq!(paths(&open(&tree)), expected);
}

#[test]
fn a_trailing_slash_or_dots_mean_the_directory_under_its_real_name() {
    let stage = Stage::new();
    let tree = stage.tree();
    fs::create_dir(tree.join("inner")).unwrap();
    for typed in ["tree/", "tree/.", "tree/./", "tree/inner/.."] {
        let source = open(stage.from.path().join(typed));
        assert_eq!(paths(&source), ["tree", "tree/inner"], "{typed}");
    }
}

#[test]
fn a_named_link_is_sent_as_a_link_and_with_a_slash_as_its_target() {
    let stage = Stage::new();
    stage.tree();
    let link = stage.from.path().join("link");
    symlink("tree", &link).unwrap();
    let source = open(&link);
    assert_eq!(paths(&source), ["link"]);
    assert_eq!(
        source.manifest().entries[0].kind,
        Kind::Symlink {
            target: b"tree".to_vec()
        }
    );
    assert_eq!(paths(&open(stage.from.path().join("link/"))), ["tree"]);
}

#[test]
fn a_link_inside_is_never_followed() {
    let stage = Stage::new();
    let tree = stage.tree();
    symlink("/etc", tree.join("link")).unwrap();
    assert_eq!(paths(&open(&tree)), ["tree", "tree/link"]);
}

#[test]
fn two_paths_of_one_final_name_are_refused_with_both() {
    let stage = Stage::new();
    let (first, second) = (stage.from.path().join("a/x"), stage.from.path().join("b/x"));
    for path in [&first, &second] {
        fs::create_dir_all(path).unwrap();
    }
    let error = Source::open(&[first.clone(), second.clone()]).unwrap_err();
    assert!(matches!(error, SourceError::SameName { .. }));
    let text = error.to_string();
    let both = [&first, &second].map(|path| text.contains(&*path.to_string_lossy()));
    assert_eq!(both, [true, true], "{text}");
}

#[test]
fn a_path_that_is_not_there_and_one_without_a_name_are_errors() {
    let missing = Source::open(&[PathBuf::from("/no/such/path")]).unwrap_err();
    assert!(matches!(missing, SourceError::Missing { .. }));
    let nameless = Source::open(&[PathBuf::from("/")]).unwrap_err();
    assert!(matches!(nameless, SourceError::Nameless { .. }));
}

#[test]
fn what_cannot_be_sent_is_listed_and_the_rest_goes() {
    let stage = Stage::new();
    let tree = stage.tree();
    fs::write(tree.join("file"), "x").unwrap();
    let _socket = UnixListener::bind(tree.join("socket")).unwrap();
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.join("fifo"),
        rustix::fs::FileType::Fifo,
        mode,
        0,
    )
    .unwrap();
    let source = open(&tree);
    assert_eq!(paths(&source), ["tree", "tree/file"]);
    let skipped = source
        .skipped()
        .iter()
        .map(|item| (item.path.clone(), item.reason.as_str()));
    let expected = [
        (tree.join("fifo"), "it is a fifo"),
        (tree.join("socket"), "it is a socket"),
    ];
    assert_eq!(skipped.collect::<Vec<_>>(), expected);
}

#[test]
fn a_file_that_cannot_be_opened_is_listed() {
    // Write-only attributes of sysfs refuse even root, whom permissions do not stop elsewhere.
    let path = Path::new("/sys/bus/platform/drivers_probe");
    if !path.exists() {
        eprintln!("skipped: no {}", path.display());
        return;
    }
    let source = open(path);
    assert_eq!(paths(&source), Vec::<String>::new());
    assert_eq!(source.skipped()[0].path, path);
}

#[test]
fn setuid_setgid_and_sticky_do_not_travel() {
    let stage = Stage::new();
    let tree = stage.tree();
    fs::write(tree.join("file"), "x").unwrap();
    set_mode(&tree.join("file"), 0o6755);
    set_mode(&tree, 0o3711);
    let modes = open(&tree)
        .manifest()
        .entries
        .iter()
        .map(|entry| entry.mode)
        .collect::<Vec<_>>();
    assert_eq!(modes, [0o711, 0o755]);
}

#[test]
fn names_need_not_be_text() {
    let stage = Stage::new();
    let tree = stage.tree();
    let name = OsStr::from_bytes(b"\xff\n\\ ");
    fs::write(tree.join(name), "x").unwrap();
    let source = open(&tree);
    assert_eq!(source.manifest().entries[1].path, b"tree/\xff\n\\ ");
}

#[test]
fn a_huge_sparse_file_is_an_error_and_no_panic() {
    let stage = Stage::new();
    let file = fs::File::create(stage.tree().join("sparse")).unwrap();
    if file.set_len(1 << 62).is_err() {
        eprintln!("skipped: the file system has no such large files");
        return;
    }
    let error = Source::open(&[stage.tree()]).unwrap_err();
    assert!(matches!(error, SourceError::Manifest(_)), "{error}");
}

#[test]
fn a_walk_can_be_watched_and_stopped() {
    let stage = Stage::new();
    let tree = stage.tree();
    for name in ["one", "two"] {
        fs::write(tree.join(name), name).unwrap();
    }
    let watch = WalkWatch::default();
    Source::open_watched(
        std::slice::from_ref(&tree),
        &SourceOptions::default(),
        &watch,
    )
    .unwrap();
    assert_eq!(watch.entries(), 3);

    watch.stop();
    let stopped = Source::open_watched(&[tree], &SourceOptions::default(), &watch).unwrap_err();
    assert!(matches!(stopped, SourceError::Stopped), "{stopped}");
}
