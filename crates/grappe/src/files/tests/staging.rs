//! What receivers leave behind, and what they leave to one another.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::Manifest;
use grappe_proto::units::Digest;

use super::{COPY, Stage, begin, carry, content, staging_folders};
use crate::files::{Sink, SinkError, staging};

fn name(copy: Digest) -> String {
    String::from_utf8(staging::name(copy)).unwrap()
}

/// A staging folder as a killed receiver leaves it.
fn leave_stale(into: &Path, copy: Digest) {
    let folder = into.join(name(copy));
    fs::create_dir(&folder).unwrap();
    for file in ["lock", "0", "17"] {
        fs::write(folder.join(file), b"x").unwrap();
    }
}

#[test]
fn a_copy_that_is_given_up_leaves_nothing() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), content(100)).unwrap();
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    assert_eq!(staging_folders(stage.into.path()), [name(COPY)]);
    drop(incoming);
    assert_eq!(fs::read_dir(stage.into.path()).unwrap().count(), 0);
}

#[test]
fn what_a_killed_receiver_left_is_removed_and_nothing_else() {
    let stage = Stage::new();
    let into = stage.into.path();
    leave_stale(into, Digest([1; 32]));
    let empty = name(Digest([2; 32]));
    let others = [".grappe-notes", ".grappe-0123", "file"];
    fs::create_dir(into.join(&empty)).unwrap();
    for other in others {
        fs::create_dir(into.join(other)).unwrap();
    }
    Sink::open(into).unwrap();
    assert!(others.iter().all(|other| into.join(other).exists()));
    assert_eq!(fs::read_dir(into).unwrap().count(), others.len());
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let stage = Stage::new();
    let manifest = Arc::default();
    let incoming = begin(stage.into.path(), &manifest).unwrap();
    let sink = Sink::open(stage.into.path()).unwrap();
    assert_eq!(staging_folders(stage.into.path()), [name(COPY)]);
    let layout = Arc::new(Layout::new(&manifest));
    let second = sink.begin(COPY, Arc::clone(&manifest), Arc::clone(&layout));
    assert!(matches!(second.unwrap_err(), SinkError::InUse { .. }));
    drop(incoming);
    sink.begin(COPY, manifest, layout).unwrap();
}

#[test]
fn a_stale_folder_of_the_same_session_is_taken_over() {
    let stage = Stage::new();
    let sink = Sink::open(stage.into.path()).unwrap();
    leave_stale(stage.into.path(), COPY);
    let manifest = Arc::<Manifest>::default();
    let layout = Arc::new(Layout::new(&manifest));
    let incoming = sink.begin(COPY, manifest, layout).unwrap();
    drop(incoming);
    stage.assert_no_staging();
}

#[test]
fn many_receivers_start_in_one_directory_at_once() {
    let stage = Stage::new();
    let into = stage.into.path();
    std::thread::scope(|scope| {
        for receiver in 0..8 {
            scope.spawn(move || {
                for round in 0..50 {
                    let copy = Digest([receiver * 25 + round % 25; 32]);
                    let manifest = Arc::<Manifest>::default();
                    let layout = Arc::new(Layout::new(&manifest));
                    let sink = Sink::open(into).unwrap();
                    let incoming = sink.begin(copy, manifest, layout).unwrap();
                    assert!(into.join(name(copy)).join("lock").exists());
                    incoming.finalize(&[]).unwrap();
                }
            });
        }
    });
    stage.assert_no_staging();
}

#[test]
fn a_destination_that_cannot_work_is_named_with_its_fault() {
    let stage = Stage::new();
    let missing = Sink::open(&stage.into.path().join("missing")).unwrap_err();
    assert!(matches!(missing, SinkError::Missing { .. }), "{missing}");
    let file = stage.into.path().join("file");
    fs::write(&file, b"x").unwrap();
    let file = Sink::open(&file).unwrap_err();
    assert!(matches!(file, SinkError::NotDirectory { .. }), "{file}");
}
