//! `inspect` and `verify`: what is there, for people, and for fleets with exit codes. They open nothing for
//! writing; the judgement is in `report`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use reboot_sector::device::Disk;
use reboot_sector::efi::found::{Application, Found};
use reboot_sector::firmware::live;
use reboot_sector::report::{self, Gpt, Report};
use reboot_sector::table::filesystem::HEAD_LEN;
use reboot_sector::table::gpt::{GptError, Header};

use super::{Failure, show, uefi};

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A disk, an image, or - for standard input, as in dd | reboot-sector inspect -
    device: PathBuf,
    /// Print an object for machines
    #[arg(long)]
    json: bool,
    /// Print the instructions as well
    #[arg(long)]
    disassemble: bool,
    /// Where efivarfs is mounted
    #[arg(long, value_name = "DIRECTORY", default_value = live::EFI_VARIABLES)]
    efi_variables: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A disk, an image, or - for standard input
    device: PathBuf,
    /// Print an object for machines
    #[arg(long)]
    json: bool,
    /// Judge the EFI application and its boot option instead of the boot sector
    #[arg(long)]
    efi: bool,
    /// Where efivarfs is mounted
    #[arg(long, value_name = "DIRECTORY", default_value = live::EFI_VARIABLES)]
    efi_variables: PathBuf,
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let (report, head) = look(&self.device, &self.efi_variables)?;
        show::out(&if self.json {
            json(&report)
        } else {
            report.text()
        });
        if self.disassemble {
            show::out(&show::disassembly(&head));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Verify {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let (report, _) = look(&self.device, &self.efi_variables)?;
        let (word, code) = if self.efi {
            judge_efi(report.efi.as_ref())
        } else {
            judge_sector(report.code)
        };
        show::out(&if self.json {
            json(&report)
        } else {
            format!("{word}\n")
        });
        Ok(ExitCode::from(code))
    }
}

fn judge_sector(word: &str) -> (String, u8) {
    let code = match word {
        "ours" => 0,
        "ours-old" => 10,
        "none" => 12,
        "ours-damaged" => 13,
        _ => 11,
    };
    (word.to_owned(), code)
}

/// The file first; one that is well but that the firmware does not start, or not as the last, is 14. An
/// image has no firmware here, so that its file is all there is to judge.
fn judge_efi(found: Option<&Found>) -> (String, u8) {
    let Some(found) = found else {
        return ("none".to_owned(), 12);
    };
    match found.application {
        Application::Ours => match &found.doubts()[..] {
            [] => ("ours".to_owned(), 0),
            doubts => (format!("ours, but {}", doubts.join("; ")), 14),
        },
        Application::OursOld => ("ours-old".to_owned(), 10),
        Application::Unknown => ("unknown".to_owned(), 11),
        Application::None => ("none".to_owned(), 12),
        Application::OursDamaged => ("ours-damaged".to_owned(), 13),
    }
}

fn json(report: &Report) -> String {
    // An object of strings and numbers always has a text.
    serde_json::to_string(report).unwrap_or_default() + "\n"
}

/// Reads all that is to be judged. Standard input has a first sector and no more.
fn look(device: &Path, variables: &Path) -> Result<(Report, Vec<u8>), Failure> {
    let (head, sector_bytes, gpt, efi) = if device == Path::new("-") {
        let mut head = Vec::new();
        let input = std::io::stdin()
            .lock()
            .take(HEAD_LEN as u64)
            .read_to_end(&mut head);
        input.map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")))?;
        let gpt = gpt_of(&head, 512, |at, len| {
            let at = usize::try_from(at).ok()?;
            head.get(at..at.checked_add(len)?).map(<[u8]>::to_vec)
        });
        (head, 512, gpt, None)
    } else {
        let disk = Disk::open(device, false)?;
        let sector_bytes = disk.facts().sector_bytes;
        let gpt = gpt_of_disk(&disk);
        let efi = uefi::look(&disk, variables);
        (disk.head().to_vec(), sector_bytes, gpt, efi)
    };
    let report = report::judge(&head, sector_bytes, &gpt, efi);
    let short = || {
        let words = format!(
            "{} has {} bytes; a boot sector has 512",
            device.display(),
            head.len()
        );
        Failure::Failed(words)
    };
    Ok((report.ok_or_else(short)?, head))
}

/// The GPT of an open disk.
pub(super) fn gpt_of_disk(disk: &Disk) -> Gpt {
    gpt_of(disk.head(), disk.facts().sector_bytes, |at, len| {
        disk.read_at(at, len).ok()
    })
}

fn gpt_of(head: &[u8], sector_bytes: u32, read: impl Fn(u64, usize) -> Option<Vec<u8>>) -> Gpt {
    let at = sector_bytes as usize;
    let header = Header::read(head.get(at..at * 2).ok_or(GptError::Absent)?)?;
    let len = usize::try_from(header.entries_bytes()).unwrap_or(0);
    let place = header.entries_sector.checked_mul(u64::from(sector_bytes));
    let bytes = place.and_then(|place| read(place, len));
    let bytes = bytes.ok_or(GptError::Nonsense("its entries lie beyond the end"))?;
    let partitions = header.partitions(&bytes)?;
    Ok((header, partitions))
}
