//! File systems on which names that differ in case alone are one name. Needs root and one of the file systems
//! that can do it; skipped with a message otherwise.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use grappe_proto::content::manifest::Sync;
use tempfile::TempDir;

use super::syncing::{options, sync};
use super::{Stage, set_mtime, skip};

/// Ways to a file system that folds case; each gets an image and the directory to mount it at.
const WAYS: [&str; 3] = [
    "mkfs.ext4 -q -O casefold $1 && mount -o loop $1 $2 && mkdir $2/into && chattr +F $2/into",
    "mkfs.vfat $1 && mount -o loop,quiet $1 $2 && mkdir $2/into",
    "mkfs.exfat $1 && mount -t exfat-fuse -o loop $1 $2 && mkdir $2/into",
];

/// A mounted file system that folds case, unmounted at the end.
struct FoldingDisk {
    folder: TempDir,
}

impl FoldingDisk {
    fn new() -> Option<Self> {
        let disk = Self {
            folder: TempDir::new().unwrap(),
        };
        let (image, top) = (disk.folder.path().join("image"), disk.top());
        fs::create_dir(&top).unwrap();
        for way in WAYS {
            fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
            let mut mount = Command::new("sh");
            mount.args(["-c", way, "sh"]).args([&image, &top]);
            if mount.output().is_ok_and(|output| output.status.success()) {
                fs::write(disk.place().join("Probe"), "").unwrap();
                let folds = disk.place().join("pROBE").exists();
                fs::remove_file(disk.place().join("Probe")).unwrap();
                if folds {
                    return Some(disk);
                }
            }
            disk.unmount();
        }
        skip("no file system that folds case can be mounted (ext4, vfat, exfat-fuse)");
        None
    }

    fn top(&self) -> PathBuf {
        self.folder.path().join("top")
    }

    fn place(&self) -> PathBuf {
        self.top().join("into")
    }

    fn stage(&self) -> Stage {
        Stage {
            from: TempDir::new().unwrap(),
            into: TempDir::new_in(self.place()).unwrap(),
        }
    }

    fn unmount(&self) {
        let _ = Command::new("umount").arg("-l").arg(self.top()).output();
    }
}

impl Drop for FoldingDisk {
    fn drop(&mut self) {
        self.unmount();
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn what_is_there_under_another_spelling_is_replaced_or_kept_and_never_removed() {
    let Some(disk) = FoldingDisk::new() else {
        return;
    };
    let stage = disk.stage();
    for (sent, there) in [
        ("readme", "README"),
        ("docs/Page", "Docs/page"),
        ("same", "Same"),
    ] {
        write(&stage.tree().join(sent), sent);
        write(&stage.copied().join(there), "old");
    }
    write(&stage.copied().join("Same"), "same");
    for path in [stage.tree().join("same"), stage.copied().join("Same")] {
        // A whole second: some of these file systems know no shorter time.
        set_mtime(&path, 8_000_000_000);
    }
    write(&stage.copied().join("docs/other"), "goes");
    write(&stage.copied().join("other"), "goes");
    let (placed, _) = sync(&stage, &options(Sync::Times)).unwrap();
    // What is alike may be the same here, and is spared: so not every superfluous file goes.
    assert_eq!(placed.failed, []);
    assert!((1..=2).contains(&placed.removed), "{placed:?}");
    for sent in ["readme", "docs/Page", "same"] {
        assert_eq!(fs::read_to_string(stage.copied().join(sent)).unwrap(), sent);
    }
}

#[test]
fn of_two_names_that_are_one_here_the_second_is_an_error_and_replaces_nothing() {
    let Some(disk) = FoldingDisk::new() else {
        return;
    };
    for was_there in [None, Some("readme"), Some("ReadMe")] {
        let stage = disk.stage();
        for name in ["README", "readme", "beside", "Sub/one", "sub/two"] {
            write(&stage.tree().join(name), name);
        }
        if let Some(name) = was_there {
            write(&stage.copied().join(name), name);
        }
        let (placed, _) = sync(&stage, &options(Sync::Times)).unwrap();
        let failed = |name: &str| {
            let path = stage.copied().join(name);
            let failed = placed.failed.iter().find(|failed| failed.path == path);
            failed.map(|failed| failed.reason.clone())
        };
        // Whichever is not spelt as what is there.
        let (first, second) = match was_there {
            Some("readme") => ("readme", "README"),
            _ => ("README", "readme"),
        };
        let reason = failed(second).expect("the second name is reported");
        assert!(reason.contains("which is in the tree as well"), "{reason}");
        assert!(reason.contains(first), "{reason}");
        assert_eq!(failed(first), None);
        let found = fs::read_to_string(stage.copied().join(first)).unwrap();
        assert_eq!(found, first);
        // Of the directories as well, with all that should be in the second.
        assert!(
            failed("sub").is_some() && failed("sub/two").is_some(),
            "{placed:?}"
        );
        assert_eq!(failed("Sub/one"), None);
        assert!(!stage.copied().join("sub/two").exists());
        assert!(stage.copied().join("beside").exists());
        assert!(placed.others_stay);
        stage.assert_no_staging();
    }
}

#[test]
fn a_kept_file_does_not_stand_for_two_names() {
    let Some(disk) = FoldingDisk::new() else {
        return;
    };
    let stage = disk.stage();
    for name in ["README", "readme"] {
        write(&stage.tree().join(name), "alike!");
        set_mtime(&stage.tree().join(name), 8_000_000_000);
    }
    write(&stage.copied().join("readme"), "alike!");
    set_mtime(&stage.copied().join("readme"), 8_000_000_000);
    let (placed, _) = sync(&stage, &options(Sync::Times)).unwrap();
    assert_eq!(placed.failed.len(), 1, "{placed:?}");
    assert_eq!(placed.failed[0].path, stage.copied().join("README"));
    assert_eq!(placed.files, 1);
}

#[test]
fn of_two_names_in_a_new_directory_that_are_one_here_neither_gets_the_content_of_the_other() {
    let Some(disk) = FoldingDisk::new() else {
        return;
    };
    let stage = disk.stage();
    for name in ["README", "readme", "beside", "more", "still more"] {
        write(&stage.tree().join(name), name);
    }
    let placed = stage.copy();
    assert_eq!(placed.failed.len(), 1, "{placed:?}");
    assert_eq!(placed.failed[0].path, stage.copied().join("readme"));
    for name in ["README", "beside"] {
        assert_eq!(fs::read_to_string(stage.copied().join(name)).unwrap(), name);
    }
}
