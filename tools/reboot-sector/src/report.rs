//! Findings about a disk, for people and machines: what code is there, what table, and would this disk
//! boot. Pure: bytes in, an object and text out. `inspect` and `verify` print it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::efi::found::Found;
use crate::loader::{self, Loader};
use crate::sector::Ours;
use crate::table::filesystem::{looks_like_fat, sign};
use crate::table::gpt::{self, GptError, Header, Partition};
use crate::table::mbr::{self, Record, Scheme};

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// One word, see [`Loader::word`].
    pub code: &'static str,
    /// The same in words.
    pub description: String,
    /// Ours: the version.
    pub version: Option<u8>,
    /// Ours: seconds until the reset, jitter among them.
    pub wait_seconds: Option<u16>,
    /// Ours: this node's share of the jitter.
    pub jitter_seconds: Option<u16>,
    /// Ours: the ways to reset, in order.
    pub methods: Option<Vec<String>>,
    /// Ours: tries without a reset before the first.
    pub soft_tries: Option<u8>,
    /// Ours: the serial line.
    pub serial: Option<String>,
    /// Ours: what the screen says behind the seconds.
    pub text: Option<String>,
    /// `none`, `empty`, `unmarked`, `mbr`, `gpt` or `hybrid`.
    pub table: &'static str,
    /// The disk signature, as in PARTUUIDs.
    pub disk_signature: String,
    /// What the EFI system partition holds of ours; `None` where there is none.
    pub efi: Option<Found>,
    /// Why a BIOS would not boot this disk, or might not; empty when nothing speaks against it.
    pub bios_doubts: Vec<String>,
    /// Why UEFI firmware would not start the EFI application from it.
    pub uefi_doubts: Vec<String>,
}

/// A GPT as far as it was found.
pub type Gpt = Result<(Header, Vec<Partition>), GptError>;

/// Judges the start of a disk, with sectors of `sector_bytes`, its GPT, and what its EFI system partition
/// was found to hold.
pub fn judge(head: &[u8], sector_bytes: u32, gpt: &Gpt, efi: Option<Found>) -> Option<Report> {
    let record: &Record = head.first_chunk()?;
    let loader = record
        .first_chunk()
        .map_or(Loader::Unknown, loader::identify);
    let table = mbr::read(record);
    let settings = match &loader {
        Loader::Ours(Ours::Current(settings)) => Some(settings),
        _ => None,
    };
    let version = match &loader {
        Loader::Ours(Ours::Current(_)) => Some(crate::sector::layout::VERSION),
        Loader::Ours(Ours::OtherVersion(version)) => Some(*version),
        _ => None,
    };
    // Without the mark it does not run, and a fleet's audit must say so.
    let (code, description) = if settings.is_some() && !table.marked {
        let words = "reboot-sector, but the mark 55 AA is gone: no BIOS boots it";
        ("ours-damaged", words.to_owned())
    } else {
        (loader.word(), loader.describe())
    };
    Some(Report {
        code,
        description,
        version,
        wait_seconds: settings.map(|settings| settings.wait.total_seconds()),
        jitter_seconds: settings.map(|settings| settings.wait.jitter_seconds()),
        methods: settings.map(|settings| {
            settings
                .chain
                .methods()
                .iter()
                .map(ToString::to_string)
                .collect()
        }),
        soft_tries: settings.map(|settings| settings.soft_tries),
        serial: settings
            .and_then(|settings| settings.serial)
            .map(|serial| serial.to_string()),
        text: settings.map(|settings| settings.text.as_str().to_owned()),
        table: match table.scheme() {
            Scheme::None => "none",
            Scheme::Empty => "empty",
            Scheme::Unmarked => "unmarked",
            Scheme::Mbr => "mbr",
            Scheme::Gpt => "gpt",
            Scheme::Hybrid => "hybrid",
        },
        disk_signature: format!("{:08x}", table.disk_signature),
        bios_doubts: bios_doubts(head, record, sector_bytes, &loader),
        uefi_doubts: uefi_doubts(&table, gpt, efi.as_ref()),
        efi,
    })
}

fn bios_doubts(head: &[u8], record: &Record, sector_bytes: u32, loader: &Loader) -> Vec<String> {
    let table = mbr::read(record);
    let mut doubts = Vec::new();
    let mut doubt = |words: &str| doubts.push(words.to_owned());
    if !table.marked {
        doubt("the mark 55 AA is missing: no BIOS boots it");
    }
    if matches!(loader, Loader::None) {
        doubt("there is no boot code");
    } else if record[0] == 0 {
        doubt("byte 0 is zero: parted will replace the code and the disk signature");
    }
    if matches!(loader, Loader::HistoricBroken) {
        doubt("this code hangs instead of resetting: install over it");
    }
    if sector_bytes != 512 {
        doubt("its sectors are not of 512 bytes: no BIOS boots it");
    }
    if looks_like_fat(record) {
        doubt("it looks like a FAT file system: Linux and parted then do not see the partitions");
    } else if let Some(sign) = sign(head) {
        doubts.push(format!(
            "there are signs of {} on the whole disk",
            sign.name
        ));
    }
    if !table.is_plausible() {
        doubts.push("the partition entries make no sense".to_owned());
    } else if !table.has_active() {
        doubts.push(
            "no partition is active: some BIOSes pass such a disk over (--active)".to_owned(),
        );
    }
    doubts
}

fn uefi_doubts(table: &mbr::Mbr, gpt: &Gpt, efi: Option<&Found>) -> Vec<String> {
    match gpt {
        Ok((_, partitions)) if partitions.iter().any(|part| part.kind == gpt::EFI_SYSTEM) => {
            efi.map(Found::doubts).unwrap_or_default()
        }
        Ok(_) => vec!["the GPT has no EFI system partition".to_owned()],
        Err(GptError::Absent) if table.used().any(|(_, entry)| entry.kind == mbr::EFI_SYSTEM) => {
            Vec::new()
        }
        Err(error) => vec![error.to_string()],
    }
}

impl Report {
    /// Lines for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |name: &str, value: &str| {
            let _a_string_takes_all = writeln!(out, "{name:<16}{value}");
        };
        line("code", &self.description);
        if let (Some(wait), Some(jitter)) = (self.wait_seconds, self.jitter_seconds) {
            line("wait", &format!("{wait} s, {jitter} s of them jitter"));
            line(
                "methods",
                &self.methods.clone().unwrap_or_default().join(", "),
            );
            line("soft tries", &self.soft_tries.unwrap_or(0).to_string());
            line("serial line", self.serial.as_deref().unwrap_or("none"));
            line(
                "text",
                &format!("{:?}", self.text.as_deref().unwrap_or_default()),
            );
        }
        if let Some(efi) = &self.efi {
            let wait = |seconds| format!("waits {seconds} s, {}", efi.place());
            let known = efi.wait_seconds.map(wait);
            line(
                "EFI part",
                &known.unwrap_or_else(|| "none of ours".to_owned()),
            );
        }
        line("table", self.table);
        line("disk signature", &self.disk_signature);
        for (name, doubts) in [
            ("BIOS boot", &self.bios_doubts),
            ("UEFI boot", &self.uefi_doubts),
        ] {
            if doubts.is_empty() {
                line(name, "nothing speaks against it");
            }
            for doubt in doubts {
                line(name, doubt);
            }
        }
        out
    }
}
