//! Copies that keep what is there, in one process: any tree becomes any other, and whoever swaps
//! directories for links meanwhile leads nothing outside.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use grappe_proto::content::digest::FileState;
use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::{Filter, Sync, Terms};
use grappe_proto::content::survey::{EntrySet, Selection, Survey};
use grappe_proto::units::BlockIndex;
use proptest::collection::btree_map;
use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, renameat_with};
use rustix::process::{Resource, Rlimit};

use super::round_trip::{Node, build, name, node};
use super::{BLOCK, COPY, Stage, content, files_by_names, set_mode, set_mtime, skip, things};
use crate::files::{
    Allowed, Filters, Placed, Sink, SinkError, Skipped, Source, SourceOptions, WalkWatch,
};

pub(super) fn terms(sync: Sync) -> Terms {
    Terms {
        sync,
        delete: true,
        delete_max: Some(1000),
        ..Terms::default()
    }
}

/// What is sent to a receiver that told `survey`, as a sender would work it out.
pub(super) fn select(source: &Source, survey: &Survey) -> Selection {
    let among = |set: &EntrySet| Layout::of(source.manifest(), |entry| set.contains(entry));
    let layout = among(&survey.compare);
    let mut digests = vec![0; 32 * layout.piece_count() as usize];
    let mut buffer = Vec::new();
    for block in 0..layout.block_count() {
        for (number, digest) in source.read_block(&layout, block, &mut buffer).digests {
            digests[32 * number as usize..][..32].copy_from_slice(&digest.0);
        }
    }
    Selection {
        entries: survey.lacking.clone(),
        hashed: survey.compare.clone(),
        digests,
    }
}

/// Makes what is there into the tree. Answers how many blocks travelled as well.
pub(super) fn sync(stage: &Stage, options: &SourceOptions) -> Result<(Placed, u32), SinkError> {
    sync_while(stage, options, || ())
}

/// The same where the receiver allows that.
fn sync_allowing(
    stage: &Stage,
    options: &SourceOptions,
    allowed: Allowed,
) -> Result<(Placed, u32), SinkError> {
    let others = Others {
        allowed,
        ..Others::default()
    };
    sync_among(stage, options, others)
}

/// The same while others do something, after what is there was looked at.
fn sync_while(
    stage: &Stage,
    options: &SourceOptions,
    others: impl FnOnce(),
) -> Result<(Placed, u32), SinkError> {
    let others = Others {
        after_survey: Box::new(others),
        ..Others::default()
    };
    sync_among(stage, options, others)
}

/// What a receiver allows, and what others do meanwhile.
pub(super) struct Others<'a> {
    pub(super) allowed: Allowed,
    pub(super) after_survey: Box<dyn FnOnce() + 'a>,
    pub(super) before_placing: Box<dyn FnOnce() + 'a>,
    /// The file that the sender cannot read to its end.
    pub(super) unreadable: Option<&'a [u8]>,
}

impl Default for Others<'_> {
    fn default() -> Self {
        Self {
            allowed: Allowed::default(),
            after_survey: Box::new(|| ()),
            before_placing: Box::new(|| ()),
            unreadable: None,
        }
    }
}

pub(super) fn sync_among(
    stage: &Stage,
    options: &SourceOptions,
    others: Others<'_>,
) -> Result<(Placed, u32), SinkError> {
    let watch = WalkWatch::default();
    let source = Source::open_watched(&[stage.tree()], options, &watch).unwrap();
    let sink = Sink::open(stage.into.path())?.allowing(others.allowed);
    let here = sink.survey(source.manifest())?;
    (others.after_survey)();
    let selection = select(&source, &here.survey);
    let layout = Layout::of(source.manifest(), |entry| selection.entries.contains(entry));
    let layout = Arc::new(layout);
    let manifest = Arc::clone(source.manifest());
    let mut incoming = sink.begin_beside(COPY, manifest, Arc::clone(&layout), here)?;
    incoming.compare(&selection)?;
    let there = incoming.earlier().clone();
    let (mut buffer, mut travelled) = (Vec::new(), 0);
    for block in (0..layout.block_count()).filter(|block| !there.contains(BlockIndex(*block))) {
        let read = source.read_block(&layout, block, &mut buffer);
        assert_eq!(incoming.hash_and_write(block, &buffer)?, read.digests);
        travelled += 1;
    }
    (others.before_placing)();
    let mut states = source.finish();
    for (entry, state) in source.manifest().entries.iter().zip(&mut states) {
        if Some(&entry.path[..]) == others.unreadable {
            *state = FileState::Unreadable;
        }
    }
    Ok((incoming.finalize(&states)?, travelled))
}

pub(super) fn options(sync: Sync) -> SourceOptions {
    SourceOptions {
        terms: terms(sync),
        ..SourceOptions::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_becomes_any_other(
        old in btree_map(name(), node(), 0..8),
        new in btree_map(name(), node(), 0..8),
        shared in btree_map(name(), node(), 0..4),
        checksum: bool,
    ) {
        let stage = Stage::new();
        let with = |mut nodes: BTreeMap<Vec<u8>, Node>| {
            nodes.extend(shared.clone());
            Node::Directory { nodes }
        };
        build(&stage.copied(), &with(old));
        build(&stage.tree(), &with(new));
        let how = if checksum { Sync::Checksum } else { Sync::Times };
        let (placed, _) = sync(&stage, &options(how)).unwrap();
        prop_assert_eq!(placed.failed, []);
        // Random files of one length and time have one content here, so that both ways find all.
        prop_assert_eq!(things(&stage.copied()), things(&stage.tree()));
        prop_assert_eq!(files_by_names(&stage.copied()), files_by_names(&stage.tree()));
        stage.assert_no_staging();
        let (placed, travelled) = sync(&stage, &options(how)).unwrap();
        prop_assert_eq!((placed.failed, placed.removed, travelled), (vec![], 0, 0));
        prop_assert_eq!(things(&stage.copied()), things(&stage.tree()));
    }
}

#[test]
fn only_blocks_that_differ_are_asked_for() {
    let stage = Stage::new();
    let mut bytes = content(20 * BLOCK + 99);
    fs::write(stage.tree().join("large"), &bytes).unwrap();
    sync(&stage, &options(Sync::Times)).unwrap();
    bytes[7 * BLOCK + 5] ^= 1;
    bytes[13 * BLOCK..13 * BLOCK + 9].fill(3);
    bytes.truncate(18 * BLOCK + 50);
    fs::write(stage.tree().join("large"), &bytes).unwrap();
    set_mtime(&stage.tree().join("large"), 77);
    let (_, travelled) = sync(&stage, &options(Sync::Times)).unwrap();
    // The two changed blocks; the rest is the beginning of a block that is there.
    assert_eq!(travelled, 2);
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
}

/// Such a name may be a node's own, in the part that it shares in a gather.
#[test]
fn a_file_that_stays_gets_other_metadata_without_its_other_names_getting_any() {
    use std::os::unix::fs::MetadataExt;
    let stage = Stage::new();
    let file = stage.tree().join("file");
    fs::write(&file, content(BLOCK + 9)).unwrap();
    set_mtime(&file, 7);
    sync(&stage, &options(Sync::Checksum)).unwrap();
    let (copy, own) = (stage.copied().join("file"), stage.into.path().join("own"));
    fs::hard_link(&copy, &own).unwrap();
    let before = fs::metadata(&own).unwrap();
    set_mtime(&file, 8);
    let (placed, travelled) = sync(&stage, &options(Sync::Checksum)).unwrap();
    assert_eq!((placed.failed, travelled), (vec![], 0));
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
    let after = fs::metadata(&own).unwrap();
    let stamp = |found: &fs::Metadata| (found.mtime(), found.mtime_nsec(), found.mode());
    assert_eq!(stamp(&after), stamp(&before));
    assert_ne!(stamp(&fs::metadata(&copy).unwrap()), stamp(&before));
    assert_eq!(fs::read(&own).unwrap(), content(BLOCK + 9));
    stage.assert_no_staging();
}

#[test]
fn names_that_differ_in_case_alone_are_two_files() {
    let stage = Stage::new();
    for name in ["readme", "README", "ReadMe"] {
        fs::write(stage.tree().join(name), name).unwrap();
    }
    sync(&stage, &options(Sync::Times)).unwrap();
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
    assert_eq!(things(&stage.copied()).len(), 4);
}

#[test]
fn what_was_left_out_on_purpose_is_not_removed() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), "x").unwrap();
    fs::create_dir_all(stage.copied().join("cache/deep")).unwrap();
    fs::write(stage.copied().join("cache/deep/kept"), "x").unwrap();
    fs::write(stage.copied().join("gone"), "x").unwrap();
    let rule = Filter {
        include: false,
        pattern: b"cache/".to_vec(),
    };
    let options = SourceOptions {
        filters: Filters::new(vec![rule]).unwrap(),
        ..options(Sync::Times)
    };
    assert_eq!(sync(&stage, &options).unwrap().0.removed, 1);
    assert!(stage.copied().join("cache/deep/kept").exists());
    assert!(!stage.copied().join("gone").exists());
}

#[test]
fn a_directory_that_holds_what_was_left_out_stays_with_that_alone() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), "x").unwrap();
    let staging = format!("old/{}", ".grappe-".to_owned() + &"0".repeat(32));
    for gone in ["old/sub/gone", "old/other/gone"] {
        let gone = stage.copied().join(gone);
        fs::create_dir_all(gone.parent().unwrap()).unwrap();
        fs::write(gone, "x").unwrap();
    }
    fs::write(stage.copied().join("old/sub/secret.key"), "x").unwrap();
    fs::create_dir(stage.copied().join(&staging)).unwrap();
    let rule = Filter {
        include: false,
        pattern: b"*.key".to_vec(),
    };
    let options = SourceOptions {
        filters: Filters::new(vec![rule]).unwrap(),
        terms: Terms {
            // Two files and the directory of one of them: neither more is removed nor more is counted.
            delete_max: Some(3),
            ..terms(Sync::Times)
        },
        ..SourceOptions::default()
    };
    let (placed, _) = sync(&stage, &options).unwrap();
    assert_eq!((placed.removed, placed.failed), (3, vec![]));
    assert!(stage.copied().join("old/sub/secret.key").exists());
    assert!(stage.copied().join(&staging).exists());
    assert!(!stage.copied().join("old/sub/gone").exists());
    assert!(!stage.copied().join("old/other").exists());
}

#[test]
fn what_is_in_a_directory_that_gives_way_to_a_file_counts_as_removed() {
    let stage = Stage::new();
    fs::write(stage.tree().join("data"), "a file now").unwrap();
    fs::create_dir_all(stage.copied().join("data")).unwrap();
    for number in 0..5 {
        fs::write(stage.copied().join(format!("data/{number}")), "x").unwrap();
    }
    let with = |delete_max| SourceOptions {
        terms: Terms {
            delete_max: Some(delete_max),
            ..terms(Sync::Times)
        },
        ..SourceOptions::default()
    };
    let refused = sync(&stage, &with(5)).unwrap_err();
    assert!(
        matches!(refused, SinkError::TooManyRemovals { removed: 6, .. }),
        "{refused}"
    );
    assert!(stage.copied().join("data/4").exists());
    let (placed, _) = sync(&stage, &with(6)).unwrap();
    assert_eq!((placed.removed, placed.failed), (6, vec![]));
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
}

#[test]
fn what_came_since_the_survey_is_not_removed_beyond_the_bound() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), "x").unwrap();
    fs::create_dir_all(stage.copied()).unwrap();
    let results = || {
        for number in 0..20 {
            fs::write(stage.copied().join(format!("{number}")), "result").unwrap();
        }
    };
    let options = SourceOptions {
        terms: Terms {
            delete_max: None,
            ..terms(Sync::Times)
        },
        ..SourceOptions::default()
    };
    let (placed, _) = sync_while(&stage, &options, results).unwrap();
    assert_eq!((placed.removed, placed.failed.len()), (0, 1));
    assert!(
        placed.failed[0].reason.contains("20 entries by now"),
        "{placed:?}"
    );
    assert!(stage.copied().join("19").exists());
}

#[test]
fn a_checksum_is_asked_of_a_file_that_is_all_hole() {
    let stage = Stage::new();
    let (sent, there) = (stage.tree().join("hole"), stage.copied().join("hole"));
    fs::create_dir_all(stage.copied()).unwrap();
    fs::File::create(&sent).unwrap().set_len(9000).unwrap();
    fs::write(&there, vec![1; 9000]).unwrap();
    for path in [&sent, &there] {
        set_mtime(path, 77);
    }
    sync(&stage, &options(Sync::Checksum)).unwrap();
    assert_eq!(fs::read(there).unwrap(), vec![0; 9000]);
}

/// Sets its flag when dropped, so that a failed assertion stops the other thread too.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_directory_swapped_for_a_link_while_files_arrive_leads_nothing_outside() {
    let stage = Stage::new();
    let outside = tempfile::tempdir().unwrap();
    let fill = |top: &Path, text: &str| {
        fs::create_dir_all(top.join("inner")).unwrap();
        for file in 0..20 {
            fs::write(top.join(format!("{file}")), text).unwrap();
            fs::write(top.join(format!("inner/{file}")), text).unwrap();
        }
    };
    fill(outside.path(), "outside");
    fs::write(outside.path().join("only here"), "outside").unwrap();
    let untouched = things(outside.path());
    fill(&stage.copied().join("slot"), "old");
    let (slot, link) = (stage.copied().join("slot"), stage.into.path().join("link"));
    symlink(outside.path(), &link).unwrap();
    let done = AtomicBool::new(false);
    let (mut whole, mut disturbed) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // What stands there is replaced now and then: then there is nothing to exchange.
                let _gone = renameat_with(CWD, &slot, CWD, &link, RenameFlags::EXCHANGE);
                if !link.is_symlink() && !slot.is_symlink() {
                    let _there = symlink(outside.path(), &link);
                }
                std::thread::yield_now();
            }
        });
        let _finally = Finally(&done);
        for round in 0..60 {
            fill(&stage.tree().join("slot"), &format!("round {round}"));
            let plain = SourceOptions::default();
            let how = if round % 2 == 0 {
                &plain
            } else {
                &options(Sync::Times)
            };
            match sync(&stage, how) {
                Ok((placed, _)) if placed.failed.is_empty() => whole += 1,
                _ => disturbed += 1,
            }
            assert_eq!(things(outside.path()), untouched, "round {round}");
        }
    });
    println!("{whole} copies were whole, {disturbed} disturbed");
}

/// Mounts `from` at `to` as well, until it is dropped.
struct BindMount(PathBuf);

impl BindMount {
    fn new(from: &Path, to: &Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .arg("--bind")
            .args([from, to])
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(to.to_path_buf()));
        }
        skip("cannot mount a directory twice");
        None
    }
}

impl Drop for BindMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn what_is_mounted_in_a_directory_is_not_removed_though_its_file_system_is_the_same() {
    for place in ["mounted", "old/mounted", "sub"] {
        let stage = Stage::new();
        fs::create_dir_all(stage.tree().join("sub")).unwrap();
        fs::write(stage.tree().join("file"), "x").unwrap();
        let precious = stage.into.path().join("precious");
        fs::create_dir_all(precious.join("inner")).unwrap();
        fs::write(precious.join("inner/file"), "precious").unwrap();
        let point = stage.copied().join(place);
        fs::create_dir_all(&point).unwrap();
        let Some(_mount) = BindMount::new(&precious, &point) else {
            return;
        };
        let before = things(&precious);
        let is_beside = place == "old/mounted";
        if is_beside {
            for name in ["a", "z"] {
                fs::write(stage.copied().join("old").join(name), "goes").unwrap();
            }
        }
        let (placed, _) = sync(&stage, &options(Sync::Times)).unwrap();
        // What is beside it goes, before or after it in whatever order.
        let removed = if is_beside { 2 } else { 0 };
        assert_eq!(placed.removed, removed, "{place}: {placed:?}");
        // The directory `sub` of the tree is that mount, and only its own time is set.
        let after = things(&precious);
        assert!(before.keys().eq(after.keys()), "{place}");
        assert_eq!(after[&b"inner/file"[..]], before[&b"inner/file"[..]]);
        // It is told of, and no fault: the next copy would find it again.
        assert_eq!(placed.failed, [], "{place}");
        let told: Vec<_> = placed.mounted.iter().map(|it| &it.path).collect();
        let (is_other, told_as) = (place != "sub", Path::new("tree").join(place));
        assert_eq!(
            told,
            Vec::from_iter(is_other.then_some(&told_as)),
            "{place}"
        );
    }
}

#[test]
fn a_tree_deeper_than_any_path_is_removed_with_few_descriptors() {
    const DEPTH: usize = 3000;
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), "x").unwrap();
    fs::create_dir_all(stage.copied()).unwrap();
    let mut reached: OwnedFd = fs::File::open(stage.copied()).unwrap().into();
    for _ in 0..DEPTH {
        rustix::fs::mkdirat(&reached, "deep", Mode::RWXU).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        reached = rustix::fs::openat(&reached, "deep", flags, Mode::empty()).unwrap();
    }
    drop(reached);
    let options = SourceOptions {
        terms: Terms {
            delete_max: Some(DEPTH as u64),
            ..terms(Sync::Times)
        },
        ..SourceOptions::default()
    };
    let before = rustix::process::getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(256),
        ..before
    };
    rustix::process::setrlimit(Resource::Nofile, few).unwrap();
    let result = sync(&stage, &options);
    rustix::process::setrlimit(Resource::Nofile, before).unwrap();
    let (placed, _) = result.unwrap();
    assert_eq!((placed.removed, placed.failed), (DEPTH as u64, vec![]));
    assert!(!stage.copied().join("deep").exists());
}

#[test]
fn links_and_pipes_that_are_alike_stay_the_very_same() {
    let stage = Stage::new();
    let is_root = rustix::process::geteuid().is_root();
    let mut names = vec!["link", "pipe", "socket"];
    symlink("target", stage.tree().join("link")).unwrap();
    let node = |name: &str, kind, device| {
        let mode = Mode::from_raw_mode(0o640);
        rustix::fs::mknodat(CWD, stage.tree().join(name), kind, mode, device).unwrap();
    };
    node("pipe", FileType::Fifo, 0);
    node("socket", FileType::Socket, 0);
    if is_root {
        node(
            "device",
            FileType::CharacterDevice,
            rustix::fs::makedev(1, 3),
        );
        names.push("device");
    }
    let options = SourceOptions {
        specials: true,
        ..options(Sync::Times)
    };
    let allowed = Allowed {
        specials: true,
        ..Allowed::default()
    };
    let found = |name: &str| fs::symlink_metadata(stage.copied().join(name)).unwrap();
    let again = || sync_allowing(&stage, &options, allowed).unwrap().0.failed;
    assert_eq!(again(), []);
    let first: Vec<u64> = names.iter().map(|name| found(name).ino()).collect();
    // Another time alone is set on what is there.
    for name in &names {
        let time = rustix::fs::Timespec {
            tv_sec: 77,
            tv_nsec: 9,
        };
        let times = rustix::fs::Timestamps {
            last_access: time,
            last_modification: time,
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(CWD, stage.tree().join(name), &times, flags).unwrap();
    }
    assert_eq!(again(), []);
    for (name, first) in names.iter().zip(&first) {
        assert_eq!(
            (found(name).ino(), found(name).mtime()),
            (*first, 77),
            "{name}"
        );
    }
    // Whatever differs in kind, target, permissions or number is replaced.
    fs::remove_file(stage.tree().join("link")).unwrap();
    symlink("another", stage.tree().join("link")).unwrap();
    set_mode(&stage.tree().join("pipe"), 0o600);
    fs::remove_file(stage.tree().join("socket")).unwrap();
    node("socket", FileType::Fifo, 0);
    if is_root {
        fs::remove_file(stage.tree().join("device")).unwrap();
        node(
            "device",
            FileType::CharacterDevice,
            rustix::fs::makedev(1, 5),
        );
    }
    assert_eq!(again(), []);
    for (name, first) in names.iter().zip(&first) {
        assert_ne!(found(name).ino(), *first, "{name}");
    }
    let target = fs::read_link(stage.copied().join("link")).unwrap();
    assert_eq!(target, Path::new("another"));
}

#[test]
fn what_is_not_removed_since_something_is_missing_is_told() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), "new").unwrap();
    fs::write(stage.tree().join("data"), "now a file").unwrap();
    // What was left out keeps the directory that is in the way of `data`.
    fs::create_dir_all(stage.copied().join("data")).unwrap();
    fs::write(stage.copied().join("data/secret.key"), "x").unwrap();
    fs::write(stage.copied().join("old"), "stays").unwrap();
    let rule = Filter {
        include: false,
        pattern: b"*.key".to_vec(),
    };
    let options = SourceOptions {
        filters: Filters::new(vec![rule]).unwrap(),
        ..options(Sync::Times)
    };
    let (placed, _) = sync(&stage, &options).unwrap();
    assert_eq!((placed.failed.len(), placed.others_stay), (1, true));
    assert!(stage.copied().join("old").exists());
    fs::remove_file(stage.copied().join("data/secret.key")).unwrap();
    let (placed, _) = sync(&stage, &options).unwrap();
    assert_eq!((placed.failed.len(), placed.others_stay), (0, false));
    assert!(!stage.copied().join("old").exists());
}

#[test]
fn nothing_gives_way_when_anything_after_it_is_missing() {
    let stage = Stage::new();
    fs::create_dir_all(stage.tree().join("was file")).unwrap();
    fs::write(stage.tree().join("was file/inner"), "inner").unwrap();
    fs::write(stage.tree().join("data"), "now a file").unwrap();
    fs::hard_link(stage.tree().join("data"), stage.tree().join("data too")).unwrap();
    fs::write(stage.tree().join("last"), "last").unwrap();
    fs::create_dir_all(stage.copied().join("data")).unwrap();
    fs::write(stage.copied().join("data/1"), "x").unwrap();
    fs::write(stage.copied().join("was file"), "x").unwrap();
    let before = things(&stage.copied());
    // `last` comes after both, and the sender could not read it to its end.
    let others = Others {
        unreadable: Some(b"tree/last"),
        ..Others::default()
    };
    let (placed, _) = sync_among(&stage, &options(Sync::Times), others).unwrap();
    assert_eq!(
        (placed.removed, placed.not_whole.len()),
        (0, 1),
        "{placed:?}"
    );
    let after = things(&stage.copied());
    for name in [&b"data/1"[..], b"was file"] {
        assert_eq!(after[name], before[name]);
    }
    let in_the_way = |failed: &Skipped| failed.reason.contains("not all of the tree is here");
    assert!(placed.failed.iter().any(in_the_way), "{placed:?}");
    // Without a fault all gives way.
    let (placed, _) = sync(&stage, &options(Sync::Times)).unwrap();
    assert_eq!(placed.failed, []);
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
}

#[test]
fn a_file_that_somebody_writes_to_after_it_was_compared_is_not_kept() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), content(5000)).unwrap();
    fs::create_dir_all(stage.copied()).unwrap();
    let there = stage.copied().join("file");
    fs::write(&there, content(5000)).unwrap();
    let meddle = || {
        let time = fs::metadata(&there).unwrap().modified().unwrap();
        fs::write(&there, vec![7; 5000]).unwrap();
        let file = fs::File::options().write(true).open(&there).unwrap();
        // Whoever means it puts the time back.
        file.set_modified(time).unwrap();
    };
    let others = Others {
        before_placing: Box::new(meddle),
        ..Others::default()
    };
    let (placed, travelled) = sync_among(&stage, &options(Sync::Checksum), others).unwrap();
    assert_eq!((placed.files, travelled), (0, 0));
    assert!(
        placed.failed[0].reason.contains("changed here"),
        "{placed:?}"
    );
    // The next copy sees it.
    let (placed, _) = sync(&stage, &options(Sync::Checksum)).unwrap();
    assert_eq!(placed.failed, []);
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
}

#[test]
fn names_of_one_file_here_that_are_two_in_the_tree_are_both_kept() {
    let stage = Stage::new();
    for name in ["a", "b"] {
        fs::write(stage.tree().join(name), content(700)).unwrap();
        set_mtime(&stage.tree().join(name), 5);
    }
    fs::create_dir_all(stage.copied()).unwrap();
    fs::write(stage.copied().join("a"), content(700)).unwrap();
    fs::hard_link(stage.copied().join("a"), stage.copied().join("b")).unwrap();
    let (placed, travelled) = sync(&stage, &options(Sync::Checksum)).unwrap();
    assert_eq!((placed.failed, placed.files, travelled), (vec![], 2, 0));
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
}

#[test]
fn a_file_gets_powers_only_with_its_content() {
    let stage = Stage::new();
    let (sent, there) = (stage.tree().join("program"), stage.copied().join("program"));
    fs::create_dir_all(stage.copied()).unwrap();
    fs::write(&sent, "the program!").unwrap();
    fs::write(&there, "another one!").unwrap();
    for path in [&sent, &there] {
        set_mode(path, 0o755);
        set_mtime(path, 9);
    }
    set_mode(&sent, 0o4755);
    let options = SourceOptions {
        powers: true,
        ..options(Sync::Times)
    };
    let allowed = Allowed {
        powers: true,
        ..Allowed::default()
    };
    let before = fs::metadata(&there).unwrap().ino();
    let (placed, _) = sync_allowing(&stage, &options, allowed).unwrap();
    assert_eq!(placed.failed, []);
    assert_eq!(fs::read(&there).unwrap(), b"the program!");
    assert_ne!(fs::metadata(&there).unwrap().ino(), before);
    assert_eq!(fs::metadata(&there).unwrap().mode() & 0o7777, 0o4755);
    // With them already, it is kept as any file is.
    let (_, travelled) = sync_allowing(&stage, &options, allowed).unwrap();
    assert_eq!(travelled, 0);
}

#[test]
fn a_receiver_that_removes_nothing_tells_what_stays() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), "x").unwrap();
    fs::create_dir_all(stage.copied().join("old/er")).unwrap();
    let options = options(Sync::Times);
    let allowed = Allowed {
        keeps_others: true,
        ..Allowed::default()
    };
    let watch = WalkWatch::default();
    let source = Source::open_watched(&[stage.tree()], &options, &watch).unwrap();
    let sink = Sink::open(stage.into.path()).unwrap().allowing(allowed);
    let told = sink.survey(source.manifest()).unwrap().survey;
    assert_eq!((told.spared, told.counts[3]), (Some(2), 0));
    let (placed, _) = sync_allowing(&stage, &options, allowed).unwrap();
    assert_eq!((placed.removed, placed.failed), (0, vec![]));
    assert!(stage.copied().join("old/er").exists());
    // Nor does anything give way there.
    fs::remove_file(stage.tree().join("file")).unwrap();
    fs::write(stage.tree().join("old"), "now a file").unwrap();
    let refused = sync_allowing(&stage, &options, allowed).unwrap_err();
    assert!(matches!(refused, SinkError::Conflict { .. }), "{refused}");
    // Where nothing would go, there is nothing to tell.
    fs::remove_dir_all(stage.copied().join("old")).unwrap();
    let told = sink.survey(source.manifest()).unwrap().survey;
    assert_eq!((told.spared, told.counts[3]), (None, 0));
}

#[test]
fn hashes_that_are_not_one_for_each_piece_are_refused() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), content(3 * BLOCK)).unwrap();
    fs::create_dir_all(stage.copied()).unwrap();
    let mut other = content(3 * BLOCK);
    other[2 * BLOCK] ^= 1;
    fs::write(stage.copied().join("file"), other).unwrap();
    let watch = WalkWatch::default();
    let options = options(Sync::Checksum);
    let source = Source::open_watched(&[stage.tree()], &options, &watch).unwrap();
    let sink = Sink::open(stage.into.path()).unwrap();
    let told = select(&source, &sink.survey(source.manifest()).unwrap().survey);
    for len in [0, 2 * 32, 3 * 32 - 1, 4 * 32] {
        let here = sink.survey(source.manifest()).unwrap();
        let layout = Arc::new(Layout::new(source.manifest()));
        let manifest = Arc::clone(source.manifest());
        let mut incoming = sink.begin_beside(COPY, manifest, layout, here).unwrap();
        let mut digests = told.digests.clone();
        digests.resize(len, 0);
        let selection = Selection {
            digests,
            ..told.clone()
        };
        let refused = incoming.compare(&selection).unwrap_err();
        assert!(matches!(refused, SinkError::Mismatch { .. }), "{refused}");
    }
}
