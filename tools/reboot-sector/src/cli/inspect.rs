//! `inspect` and `verify`: what is there, for people, and for fleets with exit codes. They open nothing for
//! writing; the judgement is in `report`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use reboot_sector::device::Disk;
use reboot_sector::report::{self, Gpt, Report};
use reboot_sector::table::filesystem::HEAD_LEN;
use reboot_sector::table::gpt::{GptError, Header};

use super::{Failure, show};

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
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A disk, an image, or - for standard input
    device: PathBuf,
    /// Print an object for machines
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let (report, head) = look(&self.device)?;
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
        let (report, _) = look(&self.device)?;
        show::out(&if self.json {
            json(&report)
        } else {
            format!("{}\n", report.code)
        });
        Ok(ExitCode::from(match report.code {
            "ours" => 0,
            "ours-old" => 10,
            "none" => 12,
            "ours-damaged" => 13,
            _ => 11,
        }))
    }
}

fn json(report: &Report) -> String {
    // An object of strings and numbers always has a text.
    serde_json::to_string(report).unwrap_or_default() + "\n"
}

fn look(device: &Path) -> Result<(Report, Vec<u8>), Failure> {
    let (head, sector_bytes, gpt) = if device == Path::new("-") {
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
        (head, 512, gpt)
    } else {
        let disk = Disk::open(device, false)?;
        let sector_bytes = disk.facts().sector_bytes;
        let gpt = gpt_of_disk(&disk);
        (disk.head().to_vec(), sector_bytes, gpt)
    };
    let report = report::judge(&head, sector_bytes, &gpt);
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
