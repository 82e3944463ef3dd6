//! `install`: everything is checked, then the backup is written, then the EFI part, and last the sector.
//! The decisions are in `plan`, the writing in `device` and `uefi.rs`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use reboot_sector::backup::Backup;
use reboot_sector::device::{DeviceError, Disk};
use reboot_sector::plan::{self, Expectation, Facts, Kind, Request};
use rustix::io::Errno;

use super::choices::Choices;
use super::uefi::{self, Uefi};
use super::{Failure, doctor, show, units};

#[derive(Debug, Args)]
pub(crate) struct Install {
    /// The disk, best as /dev/disk/by-id/..., or an image file
    device: PathBuf,
    #[command(flatten)]
    choices: Choices,
    /// Mark the first partition active when none is; some BIOSes insist
    #[arg(long)]
    active: bool,
    /// Install the EFI application and its boot option instead of the boot sector
    #[arg(long, conflicts_with = "both")]
    efi: bool,
    /// Install both
    #[arg(long)]
    both: bool,
    /// Replace another program that is in the place of the EFI application; no backup holds it
    #[arg(long)]
    replace: bool,
    /// Where efivarfs is mounted
    #[arg(long, value_name = "DIRECTORY", default_value = reboot_sector::firmware::live::EFI_VARIABLES)]
    efi_variables: PathBuf,
    /// Print what would change, as hex and disassembly, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Where the backup goes; - for standard output. Else a new file here, named after the disk
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,
    #[command(flatten)]
    expect: Expect,
}

/// Which disk is meant.
#[derive(Debug, Args)]
pub(crate) struct Expect {
    /// Refuse a disk with another serial number
    #[arg(long, value_name = "SERIAL")]
    expect_serial: Option<String>,
    /// Refuse a disk of another size, in bytes or as in 64MiB
    #[arg(long, value_name = "BYTES", value_parser = units::bytes)]
    expect_size: Option<u64>,
}

impl Expect {
    pub(crate) fn expectation(&self) -> Expectation {
        Expectation {
            serial: self.expect_serial.clone(),
            size_bytes: self.expect_size,
        }
    }
}

impl Install {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let mut disk = Disk::open(&self.device, !self.dry_run)?;
        show::note(&format!("{}: {}", disk.path().display(), disk.facts()));
        let path = disk.path().to_owned();
        let refused = |refusal| Failure::refused(&path, &refusal);
        let mut facts = disk.facts().clone();
        if self.efi {
            // The sector is not written, so its size does not matter.
            facts.sector_bytes = 512;
        }
        for note in plan::admit(&facts, &self.expect.expectation()).map_err(refused)? {
            show::note(&note);
        }
        let here = facts.kind == Kind::Disk;
        let settings = self.choices.settings(here)?;
        let efi = self.efi || self.both;
        let uefi = efi
            .then(|| Uefi::prepare(&disk, &settings, self.replace, &self.efi_variables))
            .transpose()?;
        let request = Request {
            code: settings.emit(),
            activate: self.active,
        };
        let sector = (!self.efi)
            .then(|| plan::install(disk.head(), &request))
            .transpose();
        let sector = sector.map_err(refused)?;
        for note in sector.iter().flat_map(|plan| &plan.notes) {
            show::note(note);
        }
        if self.dry_run {
            sector
                .iter()
                .for_each(|plan| show::out(&show::difference(plan)));
            uefi.iter().for_each(|uefi| show::out(&uefi.describe()));
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(record) = disk.record() {
            let kept = keep(self.backup.as_deref(), &Backup::new(&facts, record), &facts)?;
            show::note(&format!("backup: {kept}"));
        }
        let undo = uefi.map(Uefi::install).transpose()?;
        match sector {
            Some(plan) if plan.is_done() => show::out("this very sector was there already\n"),
            Some(plan) => {
                if let Err(error) = disk.write(&plan) {
                    // Somebody else wrote behind the sector, which is well: both parts are there.
                    let is_there = matches!(error, DeviceError::Neighbours(_));
                    undo.filter(|_| !is_there)
                        .map(uefi::Undo::run)
                        .transpose()?;
                    return Err(error.into());
                }
                show::out("installed: only code bytes changed, read back and compared\n");
            }
            None => show::out("installed: EFI application and boot option\n"),
        }
        show::note(doctor::SHORT);
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the backup and says where.
pub(super) fn keep(
    wanted: Option<&Path>,
    backup: &Backup,
    facts: &Facts,
) -> Result<String, Failure> {
    match wanted {
        Some(path) if path == Path::new("-") => {
            print_synced(&backup.text()).map_err(|error| {
                Failure::Failed(format!(
                    "cannot print the backup: {error}; nothing was written to the disk"
                ))
            })?;
            Ok("standard output".to_owned())
        }
        Some(path) => {
            backup.write(path)?;
            Ok(path.display().to_string())
        }
        None => {
            let base = facts.name.rsplit('/').next().unwrap_or_default();
            let serial = facts
                .serial
                .as_deref()
                .map_or(String::new(), |serial| format!("-{serial}"));
            let safe = |c: char| {
                if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                    c
                } else {
                    '_'
                }
            };
            let stem: String = format!("{base}{serial}").chars().map(safe).collect();
            keep_numbered(backup, &stem)
        }
    }
}

/// Unlike other output the backup must have arrived, and be on its disk when it went to a file.
fn print_synced(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    match rustix::fs::fsync(&out) {
        // A pipe or a terminal.
        Err(Errno::INVAL | Errno::ROFS | Errno::NOTSUP) => Ok(()),
        other => Ok(other?),
    }
}

/// The first free name; a backup with the same sector is enough.
fn keep_numbered(backup: &Backup, stem: &str) -> Result<String, Failure> {
    use reboot_sector::backup::BackupError;
    for number in 1..1000 {
        let path = PathBuf::from(format!("reboot-sector-{stem}.{number}.backup"));
        match backup.write(&path) {
            Err(BackupError::Exists(_)) => {}
            other => {
                other?;
                return Ok(path.display().to_string());
            }
        }
    }
    Err(Failure::Failed(
        "there are a thousand backups here; name a file with --backup".to_owned(),
    ))
}
