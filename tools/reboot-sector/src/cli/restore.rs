//! `restore`: the code of a backup comes back, the partition table stays as it is, and the sector as it was
//! goes to a new backup. The decision is in `plan`, the writing in `device`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use reboot_sector::backup::Backup;
use reboot_sector::device::Disk;
use reboot_sector::firmware::live;
use reboot_sector::plan::{self, Plan, Refusal, Restoration};

use super::install::{Expect, keep};
use super::{Failure, show, uefi};

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The disk or image
    device: PathBuf,
    /// The backup that install wrote
    #[arg(long, value_name = "FILE")]
    backup: PathBuf,
    /// Put back the whole sector, the partition table of that time too
    #[arg(long)]
    whole: bool,
    /// Restore over another boot loader that was put there since; it goes to the new backup
    #[arg(long)]
    replace: bool,
    /// Also remove the EFI application and its boot option; another program in its place stays, and so does
    /// another boot loader in the first sector, unless --replace is given; with --whole that is refused
    #[arg(long)]
    efi: bool,
    /// Where efivarfs is mounted
    #[arg(long, value_name = "DIRECTORY", default_value = live::EFI_VARIABLES)]
    efi_variables: PathBuf,
    /// Print what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    expect: Expect,
}

impl Restore {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let backup = Backup::read(&self.backup)?;
        let sector = backup.sector().map_err(Failure::Failed)?;
        let mut disk = Disk::open(&self.device, !self.dry_run)?;
        show::note(&format!("{}: {}", disk.path().display(), disk.facts()));
        let path = disk.path().to_owned();
        let refused = |refusal| Failure::refused(&path, &refusal);
        let mut admitted = disk.facts().clone();
        if self.efi {
            // Such a disk may have got the EFI part alone; then its first sector is not written.
            admitted.sector_bytes = 512;
        }
        for note in plan::admit(&admitted, &self.expect.expectation()).map_err(refused)? {
            show::note(&note);
        }
        let facts = disk.facts();
        if backup.serial != facts.serial || backup.size_bytes != facts.size_bytes {
            return Err(Failure::Refused(format!(
                "{}: the backup is of another disk: {}, {} bytes, serial {}",
                path.display(),
                backup.name,
                backup.size_bytes,
                backup.serial.as_deref().unwrap_or("unknown"),
            )));
        }
        let wanted = Restoration {
            whole: self.whole,
            replace: self.replace,
        };
        let plan = match plan::restore(disk.head(), &sector, wanted) {
            // An installation of the EFI part alone never wrote the sector: it may be another's by right.
            Err(Refusal::OtherCode(name)) if self.efi && !self.whole => {
                show::note(&format!(
                    "the boot code is of another by now, and stays: {name}; --replace restores over it"
                ));
                None
            }
            planned => Some(planned.map_err(refused)?),
        };
        if let Some(plan) = &plan {
            self.put_back(&mut disk, plan)?;
        }
        if self.efi && !self.dry_run {
            uefi::remove(&disk, &self.efi_variables)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Writes the sector of a plan and keeps the one that was there, or prints what would change.
    fn put_back(&self, disk: &mut Disk, plan: &Plan) -> Result<(), Failure> {
        for note in &plan.notes {
            show::note(note);
        }
        if self.dry_run {
            show::out(&show::difference(plan));
        } else if plan.is_done() {
            show::out("this very sector was there already\n");
        } else {
            // Code of others, or the table of today, is gone otherwise.
            let facts = disk.facts();
            let kept = keep(None, &Backup::new(facts, &plan.old), facts)?;
            show::note(&format!("backup of the sector as it was: {kept}"));
            disk.write(plan)?;
            show::out("restored, read back and compared\n");
        }
        Ok(())
    }
}
