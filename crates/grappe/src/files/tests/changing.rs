//! Files that do not stay what they were while they are sent.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use grappe_proto::content::digest::FileState;
use grappe_proto::content::layout::Layout;

use super::{BLOCK, Stage, carry, content, set_mtime};
use crate::files::root::Root;

/// Sends one file of `len` bytes beside a good one, lets `change` happen to it after the walk, and
/// returns what its state was said to be.
fn state_after(len: usize, change: impl FnOnce(PathBuf)) -> FileState {
    let stage = Stage::new();
    let victim = stage.tree().join("victim");
    fs::write(&victim, content(len)).unwrap();
    fs::write(stage.tree().join("good"), content(1000)).unwrap();
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    change(victim.clone());
    carry(&source, &incoming);
    let states = source.finish();
    let placed = incoming.finalize(&states).unwrap();

    assert_eq!(
        fs::read(stage.copied().join("good")).unwrap(),
        content(1000)
    );
    assert_eq!(
        stage.copied().join("victim").exists(),
        states[2] == FileState::Whole
    );
    assert_eq!(placed.failed, []);
    assert_eq!(placed.not_whole.len(), source.problems().len());
    assert!(
        source
            .problems()
            .iter()
            .all(|problem| problem.path == victim)
    );
    assert_eq!(states[..2], [FileState::Whole; 2]);
    states[2]
}

#[test]
fn an_untouched_file_is_whole() {
    assert_eq!(state_after(3 * BLOCK, drop), FileState::Whole);
}

#[test]
fn a_file_that_is_gone_has_vanished() {
    for len in [0, 10, 3 * BLOCK] {
        assert_eq!(
            state_after(len, |path| fs::remove_file(path).unwrap()),
            FileState::Vanished,
            "{len}"
        );
    }
}

#[test]
fn a_file_that_shrank_or_grew_has_changed() {
    for len in [10, 3 * BLOCK] {
        let shrink = |path| {
            OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(5)
                .unwrap();
        };
        assert_eq!(state_after(len, shrink), FileState::Changed, "{len}");
        let grow = |path| {
            OpenOptions::new()
                .append(true)
                .open(path)
                .unwrap()
                .write_all(b"more")
                .unwrap();
        };
        assert_eq!(state_after(len, grow), FileState::Changed, "{len}");
    }
}

#[test]
fn a_file_replaced_by_one_that_looks_alike_has_changed() {
    let replace = |path: PathBuf| {
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        fs::rename(&path, path.with_extension("old")).unwrap();
        fs::write(&path, content(10)).unwrap();
        File::open(&path).unwrap().set_modified(time).unwrap();
    };
    assert_eq!(state_after(10, replace), FileState::Changed);
}

#[test]
fn a_file_replaced_by_a_fifo_or_a_link_is_not_read() {
    let fifo = |path: PathBuf| {
        fs::remove_file(&path).unwrap();
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    assert_eq!(state_after(10, fifo), FileState::Changed);
    let link = |path: PathBuf| {
        fs::remove_file(&path).unwrap();
        symlink("/etc/passwd", &path).unwrap();
    };
    assert_ne!(state_after(10, link), FileState::Whole);
}

#[test]
fn a_directory_replaced_by_a_link_leads_nowhere() {
    let stage = Stage::new();
    let inner = stage.tree().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("file"), b"mine").unwrap();
    let other = stage.from.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("file"), b"evil").unwrap();
    let source = stage.source();
    fs::rename(&inner, stage.from.path().join("away")).unwrap();
    symlink(&other, &inner).unwrap();

    let mut buffer = Vec::new();
    source.read_block(&Layout::new(source.manifest()), 0, &mut buffer);
    assert_eq!(buffer, [0; 4]);
}

#[test]
fn no_path_through_a_link_opens() {
    let stage = Stage::new();
    let inner = stage.tree().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("file"), b"x").unwrap();
    symlink("inner", stage.tree().join("link")).unwrap();
    let (root, _) = Root::locate(&stage.tree()).unwrap();
    root.open_file(b"tree/inner/file").unwrap();
    root.open_directory(b"tree/inner").unwrap();
    for path in [&b"tree/link/file"[..], b"tree/link/../inner/file"] {
        root.open_file(path).unwrap_err();
    }
    root.open_directory(b"tree/link").unwrap_err();
}

#[test]
fn a_change_after_the_last_read_is_noticed_at_the_end() {
    let stage = Stage::new();
    let file = stage.tree().join("file");
    fs::write(&file, content(2 * BLOCK)).unwrap();
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    set_mtime(&file, 7);
    assert_eq!(source.finish(), [FileState::Whole, FileState::Changed]);
}

#[test]
fn the_first_cause_stays_and_the_bytes_are_zeros_from_then_on() {
    let stage = Stage::new();
    let file = stage.tree().join("file");
    fs::write(&file, content(BLOCK + 10)).unwrap();
    let source = stage.source();
    fs::remove_file(&file).unwrap();
    let layout = Layout::new(source.manifest());
    let mut buffer = vec![1; BLOCK];
    source.read_block(&layout, 0, &mut buffer);
    assert!(buffer.len() == BLOCK && buffer.iter().all(|byte| *byte == 0));

    fs::write(&file, content(BLOCK + 10)).unwrap();
    source.read_block(&layout, 1, &mut buffer);
    assert_eq!(buffer, [0; 10]);
    assert_eq!(source.finish(), [FileState::Whole, FileState::Vanished]);
}
