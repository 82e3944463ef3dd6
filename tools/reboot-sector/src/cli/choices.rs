//! Flags that say what the sector does, shared by `install` and `image`, and how they become settings on
//! this machine. No disk is touched here.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use reboot_sector::firmware::fadt::{self, Reset};
use reboot_sector::firmware::live;
use reboot_sector::plan::{jitter, order};
use reboot_sector::sector::{
    Chain, DEFAULT_ORDER, MethodName, ResetPort, Serial, Settings, Text, Wait,
};

use super::{Failure, show, units};

#[derive(Debug, Args)]
pub(crate) struct Choices {
    /// Wait so long before the reset, as in 30s or 2m
    #[arg(long, default_value = "30s", value_parser = units::seconds)]
    delay: u32,
    /// Wait up to so much longer, each node its own share, so that not all try at once
    #[arg(long, default_value = "0s", value_parser = units::seconds)]
    jitter: u32,
    /// Take the share from this name instead of this machine's hardware
    #[arg(long, value_name = "NAME")]
    jitter_from: Option<String>,
    /// What the screen says behind the seconds: up to 47 printable ASCII characters
    #[arg(long)]
    text: Option<String>,
    /// Ways to reset, in order: acpi, cf9, cf9-full, kbc, port92, triple, jump
    #[arg(long, value_delimiter = ',')]
    methods: Vec<MethodName>,
    /// Take the boot order from its top so often without a reset (INT 19h) before the first reset
    #[arg(long, default_value_t = 0, value_name = "N")]
    soft_tries: u8,
    /// Print to a serial line as well: com1 to com4, with a rate if not 115200, as in com1:9600
    #[arg(long)]
    serial: Option<Serial>,
    /// Begin with the way by which Linux resets this machine: its list of odd boards counts
    #[arg(long, conflicts_with = "methods")]
    probe: bool,
    /// Take the reset register from this copy of another machine's ACPI table FACP
    #[arg(long, value_name = "FILE")]
    fadt: Option<PathBuf>,
}

impl Choices {
    /// The settings. `here`: the sector is for this very machine, so its reset register is used.
    pub(crate) fn settings(&self, here: bool) -> Result<Settings, Failure> {
        let names = self.order();
        let register = self.register(here, &names)?;
        if let Some(register) = register {
            show::note(&format!(
                "ACPI reset: {:#04x} to port {:#x}",
                register.value, register.port
            ));
        }
        Ok(Settings {
            text: self
                .text
                .as_deref()
                .map_or(Ok(Text::default()), Text::new)?,
            wait: self.wait()?,
            soft_tries: self.soft_tries,
            serial: self.serial,
            chain: Chain::from_names(&names, register)?,
        })
    }

    /// The methods asked for, else those for this machine, else the default.
    fn order(&self) -> Vec<MethodName> {
        if !self.methods.is_empty() {
            return self.methods.clone();
        }
        if !self.probe {
            return DEFAULT_ORDER.to_vec();
        }
        let linux = live::linux_reboot_type();
        let linux = linux.as_deref().unwrap_or("unknown");
        let order = order::for_linux(linux);
        let names: Vec<String> = order.iter().map(ToString::to_string).collect();
        show::note(&format!(
            "Linux resets by: {linux}; order: {}",
            names.join(",")
        ));
        order
    }

    fn wait(&self) -> Result<Wait, Failure> {
        let identity = self.jitter_from.clone().unwrap_or_else(live::identity);
        if self.jitter > 0 && identity.is_empty() {
            let words = "nothing tells this machine from others; give its name with --jitter-from";
            return Err(Failure::Usage(words.to_owned()));
        }
        Ok(Wait::new(
            self.delay,
            jitter::share(&identity, self.jitter),
        )?)
    }

    fn register(&self, here: bool, names: &[MethodName]) -> Result<Option<ResetPort>, Failure> {
        let insists = self.fadt.is_some() || self.methods.contains(&MethodName::Acpi);
        let wanted = here || insists || self.probe;
        if !wanted || !names.contains(&MethodName::Acpi) {
            return Ok(None);
        }
        let path = self
            .fadt
            .clone()
            .unwrap_or_else(|| PathBuf::from(live::FADT));
        let table = fs::read(&path).map_err(|error| error.to_string());
        let reset =
            table.and_then(|table| fadt::reset_register(&table).map_err(|error| error.to_string()));
        let why = match reset {
            Ok(Reset::Port(register)) => return Ok(Some(register)),
            Ok(Reset::Elsewhere(space)) => {
                format!("the reset register is in {space}, which a boot sector does not reach")
            }
            Ok(Reset::None) => "the firmware names no reset register".to_owned(),
            Err(why) => why,
        };
        let words = format!("no ACPI reset out of {}: {why}", path.display());
        if insists {
            let hint = "leave --fadt and --methods acpi out to use the other ways";
            return Err(Failure::Failed(format!("{words}; {hint}")));
        }
        show::note(&words);
        Ok(None)
    }
}
