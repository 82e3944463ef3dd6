//! `check_sim_credit simulate`: a scripted modem on a pseudo-terminal, for tests of one's own set-up.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use check_sim_credit::simulate::{BUILT_IN, Modem, Options, Script};
use clap::Args;

use super::Said;

/// Flags of `simulate`.
#[derive(Args)]
pub(super) struct Flags {
    /// Name of a built-in script, or a TOML file.
    script: String,
    /// A symbolic link to the terminal.
    #[arg(long, value_name = "PATH")]
    link: Option<PathBuf>,
    /// Write every command and message down, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// End after this time.
    #[arg(long, value_name = "TIME", value_parser = super::check::seconds)]
    lifetime: Option<i64>,
}

/// Runs the modem until it is stopped.
pub(super) fn run(flags: &Flags) -> Result<Said, String> {
    let script = match Script::built_in(&flags.script) {
        Some(script) => script,
        None => {
            let text = std::fs::read_to_string(&flags.script).map_err(|error| {
                let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                format!(
                    "{}: {error}; built in are {}",
                    flags.script,
                    names.join(", ")
                )
            })?;
            Script::parse(&text).map_err(|error| format!("{}: {error}", flags.script))?
        }
    };
    let lifetime = flags
        .lifetime
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(Duration::from_secs);
    let options = Options {
        script,
        link: flags.link.clone(),
        log: flags.log.clone(),
        lifetime,
    };
    let mut modem = Modem::new(&options).map_err(|error| error.to_string())?;
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{}", modem.path().display()).and_then(|()| out.flush());
    modem.run().map_err(|error| error.to_string())?;
    Ok(Said {
        text: "the modem is gone".into(),
        code: 0,
    })
}
