//! What keeps a set-up from working, and how to mend each thing.
//!
//! Looks, and changes nothing. The modem itself is asked only where nobody has its port.

use std::fmt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Access, access};

use crate::modem::{Port, command, holders};
use crate::store::Answer;

/// What to look at.
#[derive(Clone, Debug)]
pub struct Options {
    /// The modem's port; else the one in smsd.conf.
    pub device: Option<PathBuf>,
    /// smsd's configuration.
    pub configuration: PathBuf,
    /// The stored answer.
    pub state: PathBuf,
    /// The spool directory that messages are put into; else the one in smsd.conf.
    pub outgoing: Option<PathBuf>,
    /// The speed of the port.
    pub baud: u32,
    /// Where lock files are.
    pub lock_directory: PathBuf,
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as it should be.
    pub well: bool,
    /// What it is.
    pub what: String,
    /// How to mend it; empty where it is well.
    pub fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.well { "ok " } else { "BAD" };
        write!(f, "{mark} {}", self.what)?;
        if self.fix.is_empty() {
            return Ok(());
        }
        write!(f, "\n    {}", self.fix)
    }
}

fn well(what: impl Into<String>) -> Finding {
    Finding {
        well: true,
        what: what.into(),
        fix: String::new(),
    }
}

fn bad(what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding {
        well: false,
        what: what.into(),
        fix: fix.into(),
    }
}

/// Everything that can be looked at from here.
#[must_use]
pub fn examine(options: &Options) -> Vec<Finding> {
    let mut findings = Vec::new();
    let settings = settings(&options.configuration);
    match &settings {
        Ok(settings) => configuration(settings, &options.configuration, &mut findings),
        Err(error) => findings.push(bad(
            format!("{}: {error}", options.configuration.display()),
            "install smstools, name its configuration with --smsd-conf, or ask without smsd: check_sim_credit --device",
        )),
    }
    let find = |name: &str| {
        let settings = settings.as_ref().ok()?;
        let (_, value) = settings.iter().find(|(key, _)| key == name)?;
        Some(PathBuf::from(value))
    };
    let device = options.device.clone().or_else(|| find("device"));
    match device {
        Some(device) => port(&device, options, &mut findings),
        None => findings.push(bad(
            "no modem is named",
            "give --device, or a 'device' in smsd.conf",
        )),
    }
    let outgoing = options
        .outgoing
        .clone()
        .or_else(|| find("outgoing"))
        .unwrap_or_else(|| PathBuf::from("/var/spool/sms/outgoing"));
    spool(&outgoing, &mut findings);
    state(&options.state, &mut findings);
    findings
}

/// The lines `key = value` of smsd.conf, in their order. A `#` begins a comment.
fn settings(path: &Path) -> std::io::Result<Vec<(String, String)>> {
    let bytes = std::fs::read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect())
}

fn configuration(settings: &[(String, String)], path: &Path, findings: &mut Vec<Finding>) {
    let path = path.display();
    let value = |name: &str| {
        settings
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let asks = value("regular_run_cmd").filter(|command| command.contains("AT+CUSD=1"));
    let runs = value("regular_run").filter(|script| !script.is_empty());
    match (asks, runs) {
        (Some(_), _) => findings.push(well(format!("{path}: smsd asks (regular_run_cmd)"))),
        (None, Some(script)) => findings.push(well(format!("{path}: smsd runs {script}"))),
        (None, None) => findings.push(bad(
            format!("{path}: nobody asks for the credit"),
            "in the modem's section: regular_run_interval = 3600 and regular_run_cmd = AT+CUSD=1,\"*130#\",15 with your operator's code",
        )),
    }
    if let Some(command) = asks {
        if !command.starts_with('[') {
            findings.push(bad(
                format!("{path}: regular_run_cmd does not say what ends the wait"),
                "an answer without a text stalls all sending for 15 s; take the line with the bracket from examples/smsd.conf",
            ));
        }
        match value("eventhandler_ussd") {
            None => findings.push(bad(
                format!("{path}: the answer goes nowhere"),
                "eventhandler_ussd = a script that runs 'check_sim_credit ussd-event --state FILE \"$@\"'",
            )),
            Some(handler) if access(handler, Access::EXEC_OK).is_err() => findings.push(bad(
                format!("{handler}, the eventhandler_ussd, cannot be run"),
                format!("chmod 755 {handler}"),
            )),
            Some(handler) => findings.push(well(format!("{handler} takes the answer"))),
        }
    }
    if runs.is_some() && value("regular_run_keep_open") == Some("yes") {
        findings.push(bad(
            format!("{path}: regular_run_keep_open = yes"),
            "smsd must close the port for its script: remove the line",
        ));
    }
}

fn port(device: &Path, options: &Options, findings: &mut Vec<Finding>) {
    let shown = device.display();
    match std::fs::metadata(device) {
        Err(error) => {
            findings.push(bad(
                format!("{shown}: {error}"),
                "plug the modem in, or name its port with --device",
            ));
            return;
        }
        Ok(about) if !about.file_type().is_char_device() => {
            findings.push(bad(
                format!("{shown} is no device"),
                "name the modem's port",
            ));
            return;
        }
        Ok(about) => {
            if access(device, Access::READ_OK | Access::WRITE_OK).is_err() {
                findings.push(bad(
                    format!(
                        "{shown} belongs to group {}, and this user may not use it",
                        about.gid()
                    ),
                    "only who asks needs it: smsd's user, or adduser USER dialout",
                ));
                return;
            }
        }
    }
    if let Some(holder) = holders(device).into_iter().next() {
        findings.push(well(format!("{shown} is held by {holder}")));
        if holder.name != "smsd" {
            findings.push(bad(
                format!("{} has the modem, not smsd", holder.name),
                "stop it, or let it ask (ModemManager: check_sim_credit --mmcli)",
            ));
        }
        return;
    }
    match Port::open(device, options.baud, &options.lock_directory) {
        Err(error) => findings.push(bad(error.to_string(), "see the message")),
        Ok(port) => modem(&port, findings),
    }
}

fn modem(port: &Port, findings: &mut Vec<Finding>) {
    let look = |text: &str| command(port, text, Instant::now() + Duration::from_secs(3));
    let shown = port.path().display().to_string();
    match look("AT") {
        Err(error) => {
            findings.push(bad(error.to_string(), "see the message"));
            return;
        }
        Ok(_) => findings.push(well(format!("{shown}: nobody holds it"))),
    }
    let sim = look("AT+CPIN?").unwrap_or_default();
    if sim.contains("READY") {
        findings.push(well("the SIM is ready"));
    } else {
        findings.push(bad(
            format!("the modem says of the SIM: '{sim}'"),
            "is the modem on, the SIM in it, and its PIN in smsd.conf?",
        ));
    }
    let network = look("AT+CREG?").unwrap_or_default();
    let state = network.split(',').nth(1).unwrap_or_default().trim();
    match state {
        "1" => findings.push(well("registered at home")),
        "5" => findings.push(well(
            "registered, roaming: credit drains faster, and USSD may be dead",
        )),
        _ => findings.push(bad(
            format!("not registered ('{network}')"),
            "look at the antenna, and whether the operator still knows the SIM",
        )),
    }
    let signal = look("AT+CSQ").unwrap_or_default();
    let strength = signal
        .trim_start_matches("+CSQ:")
        .split(',')
        .next()
        .and_then(|strength| strength.trim().parse::<u32>().ok());
    match strength {
        Some(strength @ 10..=31) => findings.push(well(format!("signal {strength} of 31"))),
        Some(strength @ 0..10) => findings.push(bad(
            format!("signal {strength} of 31 is weak"),
            "another place for the antenna",
        )),
        _ => findings.push(bad("the signal is not known", "look at the antenna")),
    }
}

fn spool(outgoing: &Path, findings: &mut Vec<Finding>) {
    let shown = outgoing.display();
    let files = match std::fs::read_dir(outgoing) {
        Err(error) => {
            findings.push(bad(
                format!("{shown}: {error}"),
                "install smstools, or name the directory with --outgoing; adduser nagios smsd",
            ));
            return;
        }
        Ok(files) => files,
    };
    if access(outgoing, Access::WRITE_OK | Access::EXEC_OK).is_ok() {
        findings.push(well(format!("{shown}: this user may put messages there")));
    } else {
        findings.push(bad(
            format!("{shown}: this user may not put messages there"),
            "adduser USER smsd, for the user of the monitoring server, and start that again",
        ));
    }
    // smsd says once that it cannot read a file, and leaves it for ever.
    let unreadable = files
        .flatten()
        .filter(|file| {
            file.metadata()
                .is_ok_and(|about| about.is_file() && about.mode() & 0o004 == 0)
        })
        .map(|file| file.path().display().to_string());
    for path in unreadable {
        findings.push(bad(
            format!("{path}: smsd may be unable to read it, and would leave it for ever"),
            format!("chmod 644 {path}"),
        ));
    }
}

fn state(path: &Path, findings: &mut Vec<Finding>) {
    match Answer::load(path) {
        Ok(answer) => {
            let age = jiff::Timestamp::now().as_second() - answer.received_unix;
            findings.push(well(format!(
                "{}: an answer of {} min ago",
                path.display(),
                age.max(0) / 60
            )));
        }
        Err(error) => findings.push(bad(
            error.to_string(),
            "its directory must belong to smsd's user: install -d -o smsd -g smsd /var/lib/sim-credit",
        )),
    }
}
