//! Loop devices as disks: partitions in use are no obstacle, the whole device in use is, and so are
//! partitions, read-only disks, large sectors and the wrong disk.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

use crate::parts::{have, program, tool};
use crate::skip::skip;

/// A loop device, detached when this is dropped; `--partscan` makes its partitions.
pub(crate) struct Loop {
    path: PathBuf,
    /// Made here, where no udev makes them.
    nodes: Vec<PathBuf>,
}

/// Loop devices with partitions can be made; else the running test is reported as skipped.
pub(crate) fn have_loop_devices() -> bool {
    if !have(&["losetup", "sfdisk"]) {
        return false;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("probe");
    fs::File::create(&image).unwrap().set_len(1 << 20).unwrap();
    let made = tool("losetup")
        .args(["--find", "--show"])
        .arg(&image)
        .output()
        .unwrap();
    let name = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    if !made.status.success() {
        skip("needs root and loop devices");
        return false;
    }
    let detached = tool("losetup").args(["--detach", &name]).status().unwrap();
    detached.success()
}

impl Loop {
    pub(crate) fn new(image: &Path, flags: &[&str]) -> Self {
        let out = tool("losetup")
            .args(["--find", "--show", "--partscan"])
            .args(flags)
            .arg(image)
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        let path = PathBuf::from(String::from_utf8_lossy(&out.stdout).trim());
        let mut device = Self {
            path,
            nodes: Vec::new(),
        };
        device.make_nodes();
        device
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Partitions of the table, where the kernel was built without reading it, and their nodes, where no
    /// udev makes them.
    fn make_nodes(&mut self) {
        let out = tool("sfdisk")
            .args(["--dump"])
            .arg(&self.path)
            .output()
            .unwrap();
        let name = self.path.file_name().unwrap().to_str().unwrap().to_owned();
        let dump = String::from_utf8_lossy(&out.stdout).into_owned();
        for (number, line) in (1..).zip(dump.lines().filter(|line| line.starts_with("/dev/"))) {
            let field = |name: &str| {
                let rest = line.split_once(name).unwrap().1.trim_start();
                rest.split(',').next().unwrap().trim().to_owned()
            };
            let node = self.partition(number);
            let place = PathBuf::from(format!("/sys/block/{name}/{name}p{number}/dev"));
            if !place.exists() {
                let (start, size) = (field("start="), field("size="));
                let added = tool("addpart")
                    .arg(&self.path)
                    .args([&number.to_string(), &start, &size])
                    .output()
                    .unwrap();
                // Disks of large sectors have none: their table counts otherwise.
                if !added.status.success() {
                    continue;
                }
            }
            if !node.exists() {
                let device = fs::read_to_string(place).unwrap();
                let (major, minor) = device.trim().split_once(':').unwrap();
                run(
                    "mknod",
                    &[
                        node.as_os_str(),
                        "b".as_ref(),
                        major.as_ref(),
                        minor.as_ref(),
                    ],
                );
                self.nodes.push(node);
            }
        }
    }

    pub(crate) fn partition(&self, number: u32) -> PathBuf {
        PathBuf::from(format!("{}p{number}", self.path.display()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        for number in ["1", "2"] {
            let _may_have_none = tool("delpart").arg(&self.path).arg(number).output();
        }
        let _reported_by_the_next_test = tool("losetup").arg("--detach").arg(&self.path).status();
        for node in &self.nodes {
            let _reported_by_the_next_test = fs::remove_file(node);
        }
    }
}

/// Runs a command when dropped, so that a failed test leaves nothing behind.
pub(crate) struct After(pub(crate) &'static str, pub(crate) Vec<PathBuf>);

impl Drop for After {
    fn drop(&mut self) {
        let _nothing_more_to_do = tool(self.0).args(&self.1).output();
    }
}

struct Bench {
    directory: TempDir,
    image: PathBuf,
    before: Vec<u8>,
}

impl Bench {
    /// A disk of 64 MiB with two partitions.
    fn new() -> Self {
        let bench = Self::blank();
        let script = bench.directory.path().join("script");
        fs::write(&script, "label: dos\nsize=16MiB\nsize=32MiB\n").unwrap();
        let input = fs::File::open(script).unwrap();
        let made = tool("sfdisk")
            .arg(&bench.image)
            .stdin(input)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Self {
            before: fs::read(&bench.image).unwrap()[..512].to_vec(),
            ..bench
        }
    }

    fn blank() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("disk.img");
        fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        Self {
            directory,
            image,
            before: vec![0; 512],
        }
    }

    fn install(&self, device: &Path, flags: &[&str]) -> Output {
        program()
            .current_dir(self.directory.path())
            .arg("install")
            .arg(device)
            .args(flags)
            .output()
            .unwrap()
    }

    fn is_allowed(&self, device: &Path, flags: &[&str]) {
        let out = self.install(device, flags);
        assert_eq!(out.status.code(), Some(0), "{out:?}");
        let after = fs::read(device).unwrap();
        assert!(after[..424] != self.before[..424] && after[424..510] == self.before[424..510]);
    }

    fn is_refused(&self, device: &Path, flags: &[&str], because: &str) {
        // Behind these a mounted ext4 writes its superblock when it likes.
        let first = |path: &Path| fs::read(path).unwrap()[..1024].to_vec();
        let before = first(device);
        let out = self.install(device, flags);
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(3), "{said}");
        assert!(said.contains(because), "{said}");
        assert!(first(device) == before, "refused, but written");
    }
}

pub(crate) fn run(program: &str, arguments: &[&OsStr]) {
    let out = tool(program).args(arguments).output().unwrap();
    assert!(out.status.success(), "{program}: {out:?}");
}

#[test]
fn mounted_and_swapped_partitions_are_no_obstacle() {
    if !have_loop_devices() || !have(&["mkfs.ext4", "mkswap", "swapon"]) {
        return;
    }
    let bench = Bench::new();
    let device = Loop::new(&bench.image, &[]);
    let (one, two) = (device.partition(1), device.partition(2));
    run("mkswap", &[one.as_os_str()]);
    run("mkfs.ext4", &["-q".as_ref(), two.as_os_str()]);
    let place = bench.directory.path().join("mnt");
    fs::create_dir(&place).unwrap();
    run("mount", &[two.as_os_str(), place.as_os_str()]);
    let _unmount = After("umount", vec![place.clone()]);
    run("swapon", &[one.as_os_str()]);
    let _swapoff = After("swapoff", vec![one]);
    fs::write(place.join("file"), "there").unwrap();
    bench.is_allowed(device.path(), &[]);
    assert_eq!(fs::read_to_string(place.join("file")).unwrap(), "there");
    bench.is_refused(&two, &[], "is a partition of");
}

#[test]
fn a_whole_device_in_use_is_refused() {
    if !have_loop_devices() || !have(&["mkfs.ext4", "mkswap", "swapon"]) {
        return;
    }
    let bench = Bench::blank();
    let device = Loop::new(&bench.image, &[]);
    run("mkfs.ext4", &["-q".as_ref(), device.path().as_os_str()]);
    bench.is_refused(
        device.path(),
        &[],
        "holds ext2, ext3 or ext4 on the whole disk",
    );
    let place = bench.directory.path().join("mnt");
    fs::create_dir(&place).unwrap();
    run("mount", &[device.path().as_os_str(), place.as_os_str()]);
    {
        let _unmount = After("umount", vec![place.clone()]);
        bench.is_refused(device.path(), &[], "is mounted on");
    }
    run("mkswap", &["-f".as_ref(), device.path().as_os_str()]);
    run("swapon", &[device.path().as_os_str()]);
    let _swapoff = After("swapoff", vec![device.path().to_owned()]);
    bench.is_refused(device.path(), &[], "in use as swap");
}

#[test]
fn an_lvm_volume_on_the_whole_device_is_refused() {
    if !have_loop_devices() || !have(&["lvm"]) {
        return;
    }
    let bench = Bench::blank();
    let device = Loop::new(&bench.image, &[]);
    run(
        "lvm",
        &["pvcreate", "-q", "-y", device.path().to_str().unwrap()].map(OsStr::new),
    );
    bench.is_refused(device.path(), &[], "holds an LVM physical volume");
}

#[test]
fn lvm_on_a_partition_is_no_obstacle() {
    if !have_loop_devices() || !have(&["lvm"]) {
        return;
    }
    let bench = Bench::new();
    let device = Loop::new(&bench.image, &[]);
    let physical = device.partition(1);
    run(
        "lvm",
        &["pvcreate", "-q", "-y", physical.to_str().unwrap()].map(OsStr::new),
    );
    if !have_device_mapper() {
        bench.is_allowed(device.path(), &[]);
        return skip("that the volume is active needs the kernel's device mapper");
    }
    let group = format!("reboot-sector-{}", std::process::id());
    run(
        "lvm",
        &["vgcreate", "-q", &group, physical.to_str().unwrap()].map(OsStr::new),
    );
    let _remove = After(
        "lvm",
        ["vgremove", "-q", "-y", "-f", &group]
            .map(Into::into)
            .to_vec(),
    );
    let create = [
        "lvcreate", "-q", "-y", "-Wn", "-Zn", "-L", "4M", "-n", "one", &group,
    ];
    run("lvm", &create.map(OsStr::new));
    bench.is_allowed(device.path(), &[]);
}

fn have_device_mapper() -> bool {
    tool("dmsetup")
        .arg("version")
        .output()
        .is_ok_and(|out| out.status.success())
}

#[test]
fn a_device_that_is_part_of_another_is_refused() {
    if !have_loop_devices() || !have(&["dmsetup"]) {
        return;
    }
    let bench = Bench::new();
    let device = Loop::new(&bench.image, &[]);
    let name = format!("reboot-sector-{}", std::process::id());
    let table = format!("0 8192 linear {} 0", device.path().display());
    let made = tool("dmsetup")
        .args(["create", "--noudevsync", &name, "--table", &table])
        .output()
        .unwrap();
    if !made.status.success() {
        return skip("needs the kernel's device mapper");
    }
    let _remove = After(
        "dmsetup",
        ["remove", "--noudevsync", &name].map(Into::into).to_vec(),
    );
    bench.is_refused(device.path(), &[], "is part of dm-");
}

#[test]
fn read_only_large_sectors_and_the_wrong_disk_are_refused() {
    if !have_loop_devices() {
        return;
    }
    let bench = Bench::new();
    let device = Loop::new(&bench.image, &["--read-only"]);
    bench.is_refused(device.path(), &[], "read-only");
    drop(device);
    let device = Loop::new(&bench.image, &["--sector-size", "4096"]);
    bench.is_refused(device.path(), &[], "4096 bytes");
    drop(device);
    let device = Loop::new(&bench.image, &[]);
    bench.is_refused(
        device.path(),
        &["--expect-serial", "S1"],
        "serial number is unknown",
    );
    bench.is_refused(device.path(), &["--expect-size", "65MiB"], "67108864 bytes");
    bench.is_allowed(device.path(), &["--expect-size", "64MiB"]);
}

#[test]
fn a_link_is_followed_and_the_partition_is_marked_active_when_asked() {
    if !have_loop_devices() {
        return;
    }
    let bench = Bench::new();
    let device = Loop::new(&bench.image, &[]);
    let link = bench.directory.path().join("by-id");
    std::os::unix::fs::symlink(device.path(), &link).unwrap();
    let out = bench.install(&link, &["--active"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert!(
        String::from_utf8_lossy(&out.stderr).contains("loop"),
        "{out:?}"
    );
    let mut expected = bench.before[424..].to_vec();
    expected[446 - 424] = 0x80;
    assert!(fs::read(device.path()).unwrap()[424..512] == expected);
}
