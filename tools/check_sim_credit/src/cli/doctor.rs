//! `check_sim_credit doctor`: what keeps the set-up from working, each with its fix.

use std::path::PathBuf;

use check_sim_credit::doctor::{Options, examine};
use clap::Args;

use super::Said;

/// Flags of `doctor`.
#[derive(Args)]
pub(super) struct Flags {
    /// The modem's port; else the one in smsd.conf.
    #[arg(long, value_name = "DEV")]
    device: Option<PathBuf>,
    /// smsd's configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/smsd.conf")]
    smsd_conf: PathBuf,
    /// The stored answer.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/var/lib/sim-credit/answer"
    )]
    state: PathBuf,
    /// smsd's spool; else the one in smsd.conf.
    #[arg(long, value_name = "DIR")]
    outgoing: Option<PathBuf>,
    /// The speed of the port.
    #[arg(long, value_name = "BAUD", default_value = "115200")]
    baud: u32,
    /// Where lock files of serial ports are.
    #[arg(long, value_name = "DIR", default_value = "/var/lock")]
    lock_dir: PathBuf,
}

/// Looks at everything. Ends with 0 where all is well, else with 1.
#[expect(
    clippy::unnecessary_wraps,
    reason = "every command has this form; this one finds fault in findings"
)]
pub(super) fn run(flags: &Flags) -> Result<Said, String> {
    let findings = examine(&Options {
        device: flags.device.clone(),
        configuration: flags.smsd_conf.clone(),
        state: flags.state.clone(),
        outgoing: flags.outgoing.clone(),
        baud: flags.baud,
        lock_directory: flags.lock_dir.clone(),
    });
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let code = u8::from(findings.iter().any(|finding| !finding.well));
    Ok(Said {
        text: lines.join("\n"),
        code,
    })
}
