//! `simulate`: boots an image in QEMU with a BIOS and says how and when it reset. The image is not changed.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use reboot_sector::emulator::{Machine, Outcome};

use super::{Failure, show, units};

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// The image
    image: PathBuf,
    /// QEMU's kind of machine, such as q35 or isapc
    #[arg(long, default_value = "pc")]
    machine: String,
    /// Give up after so long, as in 90s or 5m
    #[arg(long, default_value = "90s", value_parser = units::seconds)]
    limit: u32,
}

impl Simulate {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let failed = |error: std::io::Error| {
            Failure::Failed(format!("cannot boot {}: {error}", self.image.display()))
        };
        let image = self.image.canonicalize().map_err(failed)?;
        let log = std::env::temp_dir().join(format!("reboot-sector-{}.log", std::process::id()));
        let machine = Machine::new(&self.machine, &image);
        let mut running = machine.start(&log)?;
        let outcome = running.wait(Duration::from_secs(self.limit.into()));
        let ways = running.ways();
        drop(running);
        let _only_a_log = std::fs::remove_file(&log);
        match outcome? {
            Outcome::Reset(after) => {
                let by = ways
                    .last()
                    .map_or("an unknown way".to_owned(), ToString::to_string);
                show::out(&format!(
                    "reset after {:.1} s by {by}\n",
                    after.as_secs_f64()
                ));
                Ok(ExitCode::SUCCESS)
            }
            Outcome::Ended(why) => Err(Failure::Failed(format!("the machine ended: {why}"))),
            Outcome::StillRuns => Err(Failure::Failed(format!("no reset within {} s", self.limit))),
        }
    }
}
