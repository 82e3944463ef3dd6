//! Who uses a disk: mounts, swap, devices built on it. Reads `/proc` and `/sys`; the parsers of their text
//! are pure. `describe` calls it, plans judge.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::describe::{name_of, word};
use crate::plan::{Use, UseKind};

/// All uses of the disk at `node` in `/sys`, and of its partitions.
pub(super) fn of_disk(node: &Path) -> io::Result<Vec<Use>> {
    let mut parts = vec![(node.to_owned(), true)];
    for entry in fs::read_dir(node)? {
        let path = entry?.path();
        if path.join("partition").exists() {
            parts.push((path, false));
        }
    }
    let mounts = mounts(&fs::read_to_string("/proc/self/mountinfo")?);
    let swaps = swaps(&fs::read_to_string("/proc/swaps").unwrap_or_default());
    let mut uses = Vec::new();
    for (part, whole) in parts {
        let on = name_of(&part);
        // Without a number nothing is the same: most mounts have no device.
        let number = word(&part.join("dev")).unwrap_or_else(|| "?".to_owned());
        let mut put = |kind| {
            let on = on.clone();
            uses.push(Use { kind, on, whole });
        };
        for mount in &mounts {
            // Btrfs gives its mounts numbers of its own; the source is the device then.
            if mount.number == number || number_of(Path::new(&mount.source)) == number {
                put(UseKind::Mount(mount.place.clone()));
            }
        }
        for swap in &swaps {
            if number_of(swap) == number {
                put(UseKind::Swap);
            }
        }
        for holder in fs::read_dir(part.join("holders"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = holder.file_name().to_string_lossy().into_owned();
            put(UseKind::Holder(name));
        }
    }
    Ok(uses)
}

/// `MAJOR:MINOR` of a device by its path; empty for what is none.
fn number_of(path: &Path) -> String {
    use std::os::unix::fs::FileTypeExt;
    let metadata = fs::metadata(path).ok().filter(|_| path.is_absolute());
    let device = metadata.filter(|metadata| metadata.file_type().is_block_device());
    device.map_or_else(String::new, |device| {
        let number = device.rdev();
        format!(
            "{}:{}",
            rustix::fs::major(number),
            rustix::fs::minor(number)
        )
    })
}

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    number: String,
    place: String,
    source: String,
}

/// Lines of `/proc/self/mountinfo` (proc_pid_mountinfo(5)); those that are none are passed over.
fn mounts(text: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(2);
        let number = front.next()?.to_owned();
        let place = unescape(front.nth(1)?);
        let source = unescape(back.split(' ').nth(1)?);
        Some(Mount {
            number,
            place,
            source,
        })
    };
    text.lines().filter_map(mount).collect()
}

/// Paths in `/proc/swaps`, below its heading.
fn swaps(text: &str) -> Vec<PathBuf> {
    let path = |line: &str| Some(PathBuf::from(unescape(line.split_whitespace().next()?)));
    text.lines().skip(1).filter_map(path).collect()
}

/// The kernel writes blanks and backslashes as three octal digits.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let code = after
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                out.push(char::from(code));
                rest = &after[3..];
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_their_escapes() {
        let text =
            "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw\nnonsense\n";
        let mount = Mount {
            number: "98:0".into(),
            place: "/mnt 2".into(),
            source: "/dev/root".into(),
        };
        assert_eq!(mounts(text), [mount]);
        assert_eq!(unescape("a\\1"), "a\\1");
    }

    #[test]
    fn swaps_are_read_below_the_heading() {
        let text =
            "Filename\t\t\tType\n/dev/sda2    partition 1 0 -2\n/swap\\040file file 1 0 -3\n";
        assert_eq!(
            swaps(text),
            [PathBuf::from("/dev/sda2"), PathBuf::from("/swap file")]
        );
        assert!(swaps("").is_empty());
    }

    /// A directory stands for `/sys/block/sda`: this shows devices built on a disk where the kernel has none.
    #[test]
    fn devices_built_on_a_disk_or_a_partition_are_uses() {
        let directory = tempfile::tempdir().unwrap();
        let disk = directory.path().join("sda");
        for place in ["holders/md0", "sda1/holders/dm-3", "sda2/holders", "queue"] {
            fs::create_dir_all(disk.join(place)).unwrap();
        }
        for part in ["sda1", "sda2"] {
            fs::write(disk.join(part).join("partition"), "1").unwrap();
        }
        let mut uses = of_disk(&disk).unwrap();
        uses.sort_by_key(|user| !user.whole);
        let built = |name: &str, on: &str, whole| Use {
            kind: UseKind::Holder(name.into()),
            on: on.into(),
            whole,
        };
        assert_eq!(
            uses,
            [built("md0", "sda", true), built("dm-3", "sda1", false)]
        );
    }
}
