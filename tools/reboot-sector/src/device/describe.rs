//! Gathers what the kernel knows about a disk, out of `/sys/dev/block`. It only reads, and judges nothing;
//! `Disk::open` calls it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::users;
use crate::plan::{Facts, Kind};

/// Kernel names of devices that no firmware boots, by how they begin.
const UNFIT: [(&str, &str); 8] = [
    ("sr", "a CD-ROM"),
    ("fd", "a floppy disk"),
    ("ram", "a disk in memory"),
    ("zram", "a disk in memory"),
    ("dm-", "a device-mapper volume"),
    ("md", "an MD array"),
    ("nbd", "a disk of the network"),
    ("drbd", "a disk of the network"),
];

/// Facts about `path`, but for its size and sectors, which an open file tells.
pub(super) fn describe(path: &Path, metadata: &Metadata) -> io::Result<Facts> {
    let image = Facts {
        name: path.display().to_string(),
        kind: Kind::Image,
        model: None,
        serial: None,
        size_bytes: 0,
        sector_bytes: 512,
        read_only: metadata.permissions().readonly(),
        busy: false,
        uses: Vec::new(),
        member_of: None,
    };
    if !metadata.file_type().is_block_device() {
        return Ok(image);
    }
    let place = place_of(metadata.rdev());
    let node = place.canonicalize()?;
    let name = name_of(&node);
    let read_only = word(&node.join("ro")).is_some_and(|value| value == "1");
    if node.join("partition").exists() {
        let of = node.parent().map(name_of).unwrap_or_default();
        return Ok(Facts {
            name,
            kind: Kind::Partition { of },
            read_only,
            ..image
        });
    }
    let unfit = UNFIT.iter().find(|(start, _)| name.starts_with(start));
    let kind = unfit.map_or(Kind::Disk, |(_, what)| Kind::Unfit(what));
    let first = |files: &[&str]| files.iter().find_map(|file| word(&node.join(file)));
    let serial = first(&["serial", "device/serial"]).or_else(|| product_page(&node));
    let model = first(&["device/model", "loop/backing_file"]);
    Ok(Facts {
        name,
        kind,
        model,
        serial,
        read_only,
        uses: users::of_disk(&node)?,
        ..image
    })
}

/// Where the kernel shows the device with this number.
pub(super) fn place_of(number: u64) -> PathBuf {
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    PathBuf::from(format!("/sys/dev/block/{major}:{minor}"))
}

pub(super) fn name_of(node: &Path) -> String {
    node.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The contents of a small file, or nothing when there are none.
pub(super) fn word(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The serial number of a SCSI or SATA disk: page 80h of its vital product data, four bytes of header.
fn product_page(node: &Path) -> Option<String> {
    let page = fs::read(node.join("device/vpd_pg80")).ok()?;
    let text = String::from_utf8_lossy(page.get(4..)?).trim().to_owned();
    Some(text).filter(|text| !text.is_empty())
}
