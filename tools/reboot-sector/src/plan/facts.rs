//! What is known about a disk before anything is decided. Plain data: `device` fills it in, plans and
//! messages read it.

use std::fmt;

/// A disk, or what was given for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The kernel's name, such as `sda`, or the path of an image.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What the maker calls it.
    pub model: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// All of it.
    pub size_bytes: u64,
    /// A logical sector.
    pub sector_bytes: u32,
    /// It cannot be written.
    pub read_only: bool,
    /// The kernel refuses to hand it out for one user alone.
    pub busy: bool,
    /// Who uses it, or a part of it.
    pub uses: Vec<Use>,
    /// What its last bytes say that the whole of it belongs to.
    pub member_of: Option<&'static str>,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole disk.
    Disk,
    /// A partition of the disk that is named.
    Partition {
        /// The kernel's name of the disk.
        of: String,
    },
    /// A file that holds a disk.
    Image,
    /// Something that no firmware boots, with its name.
    Unfit(&'static str),
}

/// One use of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// What for.
    pub kind: UseKind,
    /// The kernel's name of the disk or partition.
    pub on: String,
    /// It is the whole disk, not a partition.
    pub whole: bool,
}

/// What a disk is used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UseKind {
    /// Mounted there.
    Mount(String),
    /// Swapped to.
    Swap,
    /// Part of another device: device mapper (LVM, LUKS), MD.
    Holder(String),
}

impl fmt::Display for Use {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            UseKind::Mount(place) => write!(out, "{} is mounted on {place}", self.on),
            UseKind::Swap => write!(out, "{} is in use as swap", self.on),
            UseKind::Holder(name) => write!(out, "{} is part of {name}", self.on),
        }
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown =
            |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
        write!(out, "{}: {} bytes", self.name, self.size_bytes)?;
        if self.kind != Kind::Image {
            write!(
                out,
                ", model {}, serial {}",
                unknown(&self.model),
                unknown(&self.serial)
            )?;
        }
        Ok(())
    }
}
