//! A tree arrives as it was in every respect: holes, hard links, owners, attributes, access lists, times,
//! long and odd paths. The judges are a walker of its own and, where it is there, rsync.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::{Filter, Sync};
use proptest::collection::vec;
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, XattrFlags, fsetxattr, mknodat};

use super::resuming::as_nobody;
use super::syncing::{options, sync};
use super::{BLOCK, Stage, carry, content, set_mode, set_mtime, skip, things};
use crate::files::{Allowed, Filters, Sink, SinkError, Source, SourceOptions, WalkWatch};

/// Everything that can travel.
fn everything() -> SourceOptions {
    SourceOptions {
        attributes: true,
        specials: true,
        powers: true,
        ..SourceOptions::default()
    }
}

fn copy_with(stage: &Stage, options: &SourceOptions) -> crate::files::Placed {
    let watch = WalkWatch::default();
    let source = Source::open_watched(&[stage.tree()], options, &watch).unwrap();
    assert_eq!(source.skipped(), []);
    let allowed = Allowed {
        specials: true,
        powers: true,
        ..Allowed::default()
    };
    let sink = Sink::open(stage.into.path()).unwrap().allowing(allowed);
    let layout = Layout::new(source.manifest()).into();
    let incoming = sink
        .begin(super::COPY, source.manifest().clone(), layout)
        .unwrap();
    carry(&source, &incoming);
    let placed = incoming.finalize(&source.finish()).unwrap();
    assert_eq!(placed.failed, []);
    placed
}

/// What `rsync` would still change; none where there is no rsync.
fn rsync_differences(stage: &Stage) -> Option<String> {
    let (from, into) = (stage.tree().join(""), stage.copied().join(""));
    let output = Command::new("rsync")
        .args(["-aAXHn", "--delete", "--itemize-changes"])
        .args([from, into])
        .output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "{output:?}");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) => {
            skip(&format!("no rsync to compare with: {error}"));
            None
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    fsetxattr(File::open(path).unwrap(), name, value, XattrFlags::empty()).unwrap();
}

/// An access list (acl(5)) in the kernel's form: owner rw, user 1234 r, group r, mask r, others nothing.
fn access_list() -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 6, u32::MAX),
        (0x02, 4, 1234),
        (0x04, 4, u32::MAX),
        (0x10, 4, u32::MAX),
        (0x20, 0, u32::MAX),
    ];
    let entries = entries.iter().flat_map(|(tag, permissions, id)| {
        let (tag, permissions) = (tag.to_le_bytes(), permissions.to_le_bytes());
        [&tag[..], &permissions[..], &id.to_le_bytes()[..]].concat()
    });
    2_u32.to_le_bytes().into_iter().chain(entries).collect()
}

#[test]
fn every_kind_of_entry_arrives_as_it_was() {
    let stage = Stage::new();
    let tree = stage.tree();
    fs::create_dir_all(tree.join("deep/er")).unwrap();
    fs::write(tree.join("plain"), content(3 * BLOCK + 17)).unwrap();
    fs::write(tree.join("empty"), "").unwrap();
    for name in ["new\nline", "tab\tand \u{1b}[31m", "-rf *", "'\"\\$(x)"] {
        fs::write(tree.join(name), name).unwrap();
    }
    fs::write(tree.join(OsStr::from_bytes(b"not\xFFtext")), "x").unwrap();
    fs::write(tree.join("n".repeat(255)), "long").unwrap();
    symlink("../nowhere", tree.join("deep/link")).unwrap();
    fs::hard_link(tree.join("plain"), tree.join("deep/plain too")).unwrap();
    fs::hard_link(tree.join("plain"), tree.join("a first name")).unwrap();
    fs::hard_link(tree.join("deep/link"), tree.join("deep/er/link too")).unwrap();
    let holes = File::create(tree.join("holes")).unwrap();
    holes.set_len(10 * BLOCK as u64).unwrap();
    holes
        .write_all_at(&content(5000), 3 * BLOCK as u64 + 8192)
        .unwrap();
    holes
        .write_all_at(&content(BLOCK), 6 * BLOCK as u64)
        .unwrap();
    File::create(tree.join("all hole"))
        .unwrap()
        .set_len(7 << 30)
        .unwrap();
    let tags = tree.join("deep/er");
    for path in [tree.join("plain"), tree.join("holes"), tags.clone()] {
        set_attribute(&path, "user.colour", b"blue\0green");
        set_attribute(&path, "system.posix_acl_access", &access_list());
    }
    set_attribute(&tags, "system.posix_acl_default", &access_list());
    set_mode(&tree.join("empty"), 0o4755);
    set_mode(&tree.join("deep"), 0o3775);
    mknodat(
        CWD,
        tree.join("pipe"),
        FileType::Fifo,
        Mode::from_raw_mode(0o640),
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
    if is_root() {
        let device = rustix::fs::makedev(1, 3);
        mknodat(
            CWD,
            tree.join("null"),
            FileType::CharacterDevice,
            Mode::RUSR,
            device,
        )
        .unwrap();
        std::os::unix::fs::lchown(tree.join("deep/link"), Some(4321), Some(1234)).unwrap();
        std::os::unix::fs::lchown(tree.join("plain"), Some(1), Some(2)).unwrap();
        std::os::unix::fs::lchown(&tags, Some(65_000), Some(65_001)).unwrap();
        set_attribute(&tree.join("plain"), "trusted.note", b"kept");
    }
    for (nanos, name) in ["plain", "holes", "empty", "deep/er", "deep"]
        .into_iter()
        .enumerate()
    {
        set_mtime(&tree.join(name), nanos as u64 * 111_111_111_111 + 1);
    }

    copy_with(&stage, &everything());

    let copied = stage.copied();
    let inode = |name: &str| fs::symlink_metadata(copied.join(name)).unwrap().ino();
    assert_eq!(inode("plain"), inode("deep/plain too"));
    assert_eq!(inode("plain"), inode("a first name"));
    assert_eq!(inode("deep/link"), inode("deep/er/link too"));
    let blocks = |path: PathBuf| fs::metadata(path).unwrap().blocks();
    assert_eq!(blocks(copied.join("holes")), blocks(tree.join("holes")));
    assert_eq!(blocks(copied.join("all hole")), 0);
    assert!(
        fs::symlink_metadata(copied.join("socket"))
            .unwrap()
            .file_type()
            .is_socket()
    );
    if let Some(differences) = rsync_differences(&stage) {
        assert_eq!(differences, "");
    }
    stage.assert_no_staging();
    // And the same over what is there.
    copy_with(&stage, &everything());
    if let Some(differences) = rsync_differences(&stage) {
        assert_eq!(differences, "");
    }
}

#[test]
fn an_owner_is_known_by_name_unless_numbers_are_wanted() {
    if !is_root() {
        skip("only root may give files to others");
        return;
    }
    // Every system has these two, and both with numbers that are not those of the copy.
    let daemon = uzers::get_user_by_name("daemon").map(|user| user.uid());
    let group = uzers::get_group_by_name("daemon").map(|group| group.gid());
    let (Some(daemon), Some(group)) = (daemon, group) else {
        skip("nobody is called daemon here");
        return;
    };
    for numeric_owners in [false, true] {
        let stage = Stage::new();
        fs::write(stage.tree().join("file"), "x").unwrap();
        std::os::unix::fs::chown(stage.tree().join("file"), Some(daemon), Some(group)).unwrap();
        let options = SourceOptions {
            numeric_owners,
            ..SourceOptions::default()
        };
        let watch = WalkWatch::default();
        let source = Source::open_watched(&[stage.tree()], &options, &watch).unwrap();
        // As it would come from a machine where daemon has other numbers.
        let mut manifest = (**source.manifest()).clone();
        for owner in manifest
            .owners
            .iter_mut()
            .filter(|owner| owner.uid == daemon)
        {
            (owner.uid, owner.gid) = (4321, 1234);
        }
        let manifest = std::sync::Arc::new(manifest);
        let incoming = super::begin(stage.into.path(), &manifest).unwrap();
        carry(&source, &incoming);
        let placed = incoming.finalize(&source.finish()).unwrap();
        assert_eq!(placed.failed, []);
        let found = fs::metadata(stage.copied().join("file")).unwrap();
        let wanted = if numeric_owners {
            (4321, 1234)
        } else {
            (daemon, group)
        };
        assert_eq!(
            (found.uid(), found.gid()),
            wanted,
            "numeric: {numeric_owners}"
        );
    }
}

#[test]
fn a_path_of_4096_bytes_arrives() {
    let stage = Stage::new();
    // "tree", fifteen directories of 255 bytes with their slashes, and a name for the rest.
    let mut reached = File::open(stage.tree()).unwrap();
    for _ in 0..15 {
        let name = "d".repeat(255);
        rustix::fs::mkdirat(&reached, &name, Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
        reached = rustix::fs::openat(&reached, &name, flags, Mode::empty())
            .unwrap()
            .into();
    }
    let name = "f".repeat(4096 - 4 - 15 * 256 - 1);
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CREATE;
    let file: File = rustix::fs::openat(&reached, &name, flags, Mode::RWXU)
        .unwrap()
        .into();
    file.write_all_at(b"at the end", 0).unwrap();
    let longest = stage
        .source()
        .manifest()
        .entries
        .iter()
        .map(|entry| entry.path.len())
        .max();
    assert_eq!(longest, Some(4096));
    let placed = stage.copy();
    assert_eq!((placed.files, placed.failed), (1, vec![]));
    if let Some(differences) = rsync_differences(&stage) {
        assert_eq!(differences, "");
    }
}

#[test]
fn what_gives_powers_is_refused_where_it_is_not_allowed() {
    let stage = Stage::new();
    fs::write(stage.tree().join("program"), "x").unwrap();
    set_mode(&stage.tree().join("program"), 0o4755);
    let watch = WalkWatch::default();
    let source = Source::open_watched(&[stage.tree()], &everything(), &watch).unwrap();
    let error = stage.begin(&source).unwrap_err();
    assert!(
        matches!(
            error,
            SinkError::NotAllowed {
                flag: "--allow-setuid",
                ..
            }
        ),
        "{error}"
    );
    mknodat(
        CWD,
        stage.tree().join("pipe"),
        FileType::Fifo,
        Mode::RUSR,
        0,
    )
    .unwrap();
    set_mode(&stage.tree().join("program"), 0o755);
    let source = Source::open_watched(&[stage.tree()], &everything(), &watch).unwrap();
    let error = stage.begin(&source).unwrap_err();
    assert!(
        matches!(
            error,
            SinkError::NotAllowed {
                flag: "--allow-specials",
                ..
            }
        ),
        "{error}"
    );
    // Without the flags at the sender they do not even travel.
    let source = stage.source();
    assert_eq!(source.skipped().len(), 1);
    assert!(stage.begin(&source).is_ok());
}

#[test]
fn what_is_left_out_is_not_looked_at() {
    let stage = Stage::new();
    for name in ["a.c", "a.o", "sub/b.o", "sub/keep.o", "tmp/c.c"] {
        let path = stage.tree().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    let rule = |include, pattern: &str| Filter {
        include,
        pattern: pattern.into(),
    };
    let rules = vec![
        rule(true, "keep.o"),
        rule(false, "*.o"),
        rule(false, "/tree/tmp/"),
    ];
    let options = SourceOptions {
        filters: Filters::new(rules).unwrap(),
        ..SourceOptions::default()
    };
    assert_eq!(copy_with(&stage, &options).files, 2);
    let found: Vec<Vec<u8>> = things(&stage.copied()).into_keys().collect();
    assert_eq!(found, [&b""[..], b"a.c", b"sub", b"sub/keep.o"]);
}

/// Where a random file has data: gaps and lengths in units of 4 KiB.
fn holes() -> impl Strategy<Value = Vec<(u64, u64)>> {
    vec((0..200_u64, 1..150_u64), 0..12)
}

fn build_sparse(path: &Path, runs: &[(u64, u64)], tail: u64) -> io::Result<()> {
    let file = File::create(path)?;
    let mut at = 0;
    for (gap, len) in runs {
        at += gap * 4096;
        file.write_all_at(&content((len * 4096) as usize), at)?;
        at += len * 4096;
    }
    file.set_len(at + tail)
}

/// The data of a file as the kernel tells it, by place.
pub(super) fn data(path: &Path) -> BTreeMap<u64, Vec<u8>> {
    let file = File::open(path).unwrap();
    let mut data = BTreeMap::new();
    let mut at = 0;
    while let Ok(start) = rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(at)) {
        at = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(start)).unwrap();
        let mut bytes = vec![0; (at - start) as usize];
        file.read_exact_at(&mut bytes, start).unwrap();
        data.insert(start, bytes);
    }
    data
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn holes_do_not_travel_and_are_holes_again(
        files in vec((holes(), 0..2 * BLOCK as u64), 1..6),
        links in vec((any::<prop::sample::Index>(), "[a-z]{1,9}"), 0..6),
    ) {
        let stage = Stage::new();
        let tree = stage.tree();
        let name = |index: usize| format!("{index:02}");
        for (index, (runs, tail)) in files.iter().enumerate() {
            build_sparse(&tree.join(name(index)), runs, *tail).unwrap();
        }
        for (index, link) in &links {
            // Twice the same name is no second link.
            let _known = fs::hard_link(tree.join(name(index.index(files.len()))), tree.join(link));
        }
        let source = stage.source();
        let layout = Layout::new(source.manifest());
        let carried: u64 = (0..layout.block_count()).map(|block| u64::from(layout.block_len(block))).sum();
        let here: u64 = (0..files.len())
            .flat_map(|index| data(&tree.join(name(index))))
            .map(|(_, bytes)| bytes.len() as u64)
            .sum();
        prop_assert_eq!(carried, here, "only data travels");
        stage.copy();
        prop_assert_eq!(things(&stage.copied()), things(&tree));
        let groups = |top: &Path| {
            let mut groups: BTreeMap<u64, Vec<std::ffi::OsString>> = BTreeMap::new();
            for item in fs::read_dir(top).unwrap() {
                let item = item.unwrap();
                groups.entry(item.metadata().unwrap().ino()).or_default().push(item.file_name());
            }
            let mut groups: Vec<_> = groups.into_values().collect();
            groups.iter_mut().for_each(|group| group.sort());
            groups.sort();
            groups
        };
        prop_assert_eq!(groups(&stage.copied()), groups(&tree));
        for index in 0..files.len() {
            let (there, here) = (data(&stage.copied().join(name(index))), data(&tree.join(name(index))));
            prop_assert_eq!(there, here);
        }
    }
}

#[test]
fn who_a_kept_file_belonged_to_writes_to_it_no_more_once_it_has_another_owner() {
    if !is_root() {
        skip("only root may give files to others");
        return;
    }
    let stage = Stage::new();
    let (sent, there) = (stage.tree().join("file"), stage.copied().join("file"));
    fs::create_dir_all(stage.copied()).unwrap();
    for path in [&sent, &there] {
        fs::write(path, "text").unwrap();
        set_mtime(path, 7);
    }
    for how in [Sync::Times, Sync::Checksum] {
        std::os::unix::fs::chown(&there, Some(1234), Some(1234)).unwrap();
        // As one who opened it while it was theirs.
        let mut open = File::options().append(true).open(&there).unwrap();
        let (placed, travelled) = sync(&stage, &options(how)).unwrap();
        assert_eq!((placed.failed, placed.files, travelled), (vec![], 1, 0));
        open.write_all(b"more").unwrap();
        assert_eq!(fs::metadata(&there).unwrap().uid(), 0);
        assert_eq!(fs::read(&there).unwrap(), b"text");
    }
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
    stage.assert_no_staging();
}

#[test]
fn attributes_of_a_file_that_stays_change_though_it_is_read_only() {
    let stage = Stage::new();
    let options = SourceOptions {
        attributes: true,
        ..options(Sync::Times)
    };
    let names = [stage.tree().join("file"), stage.copied().join("file")];
    as_nobody(&stage, || {
        for value in ["one", "another"] {
            let was_there = names[0].exists();
            if was_there {
                set_mode(&names[0], 0o644);
            } else {
                fs::write(&names[0], "content").unwrap();
            }
            set_attribute(&names[0], "user.note", value.as_bytes());
            set_mode(&names[0], 0o444);
            let (placed, travelled) = sync(&stage, &options).unwrap();
            assert_eq!(placed.failed, []);
            assert_eq!(travelled, u32::from(!was_there), "its content stays");
            assert_eq!(things(&stage.copied()), things(&stage.tree()));
            let mut found = [0; 16];
            let len = rustix::fs::getxattr(&names[1], "user.note", &mut found[..]).unwrap();
            assert_eq!(&found[..len], value.as_bytes());
        }
    });
}

#[test]
fn a_directory_of_ones_own_that_cannot_get_its_permissions_is_not_left_so_silently() {
    let stage = Stage::new();
    fs::create_dir(stage.tree().join("d")).unwrap();
    set_mode(&stage.tree().join("d"), 0o750);
    let there = stage.copied().join("d");
    fs::create_dir_all(&there).unwrap();
    let directory = fs::File::open(&there).unwrap();
    let set = |flags| rustix::fs::ioctl_setflags(&directory, flags);
    if let Err(error) = set(rustix::fs::IFlags::IMMUTABLE) {
        return skip(&format!("nothing can be made immutable here: {error}"));
    }
    let placed = stage.copy();
    set(rustix::fs::IFlags::empty()).unwrap();
    assert_eq!(placed.left_alone, []);
    assert_eq!(placed.failed.len(), 1, "{:?}", placed.failed);
    assert_eq!(placed.failed[0].path, there);
}
