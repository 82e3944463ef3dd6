//! `image`: a disk image with the sector, in a file that was not there; it is removed when it cannot be made
//! whole. What goes into it is laid out in the library's `image`.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use reboot_sector::efi::{self, esp};
use reboot_sector::image::{PARTITION_START, Wish};

use super::choices::Choices;
use super::{Failure, show, units};

#[derive(Debug, Args)]
pub(crate) struct Image {
    /// The file, which must not be there yet
    file: PathBuf,
    /// How large it is
    #[arg(long, default_value = "64MiB", value_parser = units::bytes)]
    size: u64,
    /// A GPT instead of a table of the old kind
    #[arg(long)]
    gpt: bool,
    /// The EFI application too, where UEFI firmware finds it without a boot option
    #[arg(long)]
    efi: bool,
    #[command(flatten)]
    choices: Choices,
}

impl Image {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let failed = |error: io::Error| {
            Failure::Failed(format!("cannot make {}: {error}", self.file.display()))
        };
        let settings = self.choices.settings(false)?;
        let mut random = [0; 16];
        File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(&mut random))
            .map_err(failed)?;
        let wish = Wish {
            size_bytes: self.size,
            gpt: self.gpt,
            efi: self.efi,
            code: settings.emit(),
            random,
        };
        let pieces = wish
            .pieces()
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let application = efi::emit(&settings.text, settings.wait)?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&self.file);
        let made = file
            .as_mut()
            .map_err(|error| io::Error::from(error.kind()))
            .and_then(|file| {
                file.set_len(self.size)?;
                for piece in pieces {
                    file.seek(SeekFrom::Start(piece.at))?;
                    file.write_all(&piece.bytes)?;
                }
                let len = wish.partition_len();
                let slice = || Ok(esp::Slice::new(file.try_clone()?, PARTITION_START, len));
                let mut formatted: esp::Slice = slice().map_err(|error: io::Error| error)?;
                esp::format(&mut formatted)?;
                if self.efi {
                    let again: esp::Slice = slice().map_err(|error: io::Error| error)?;
                    esp::put_in_slice(again, &efi::FALLBACK, &application)?;
                }
                file.sync_all()
            });
        if let Err(error) = made {
            if file.is_ok() {
                // A half image would be taken for a whole one.
                let _nothing_more_to_do = fs::remove_file(&self.file);
            }
            return Err(failed(error));
        }
        show::out(&format!("made {}\n", self.file.display()));
        Ok(ExitCode::SUCCESS)
    }
}
