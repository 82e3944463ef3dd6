//! A modem that is none: a pseudo-terminal whose AT dialogue is scripted in TOML.
//!
//! For tests of whatever talks to a modem, smsd included: it takes messages in PDU mode, and writes
//! down what it was told, one JSON object a line. It knows nothing of radio.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use regex::bytes::Regex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use serde::Deserialize;

/// A modem's behaviour.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Whether commands are echoed until `ATE0`.
    echo: bool,
    /// What is answered, the first that fits. What no rule fits is answered as by any modem.
    on: Vec<Rule>,
}

/// What happens on a command.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// A regular expression for the whole command.
    command: String,
    /// What the modem sends, piece by piece, with line ends as they are to be.
    #[serde(default)]
    say: Vec<String>,
    /// Bytes in hexadecimal, sent after `say`.
    #[serde(default)]
    say_hex: String,
    /// The pause before each piece, in milliseconds.
    #[serde(default)]
    pause_ms: u64,
    /// A filler byte, sent so many times.
    #[serde(default)]
    flood_bytes: usize,
    /// The modem is gone after this.
    #[serde(default)]
    unplug: bool,
    /// This rule fits so many times, then never again; 0 is always.
    #[serde(default)]
    times: u64,
}

/// What to simulate, and where.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The behaviour.
    pub script: Script,
    /// A symbolic link that is made to the terminal, and removed at the end.
    pub link: Option<PathBuf>,
    /// Where every command and message is written down.
    pub log: Option<PathBuf>,
    /// The modem is taken away after this long.
    pub lifetime: Option<Duration>,
}

/// Why a modem cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The script is not TOML, or has unknown fields.
    #[error("script: {0}")]
    Script(#[from] toml::de::Error),
    /// A rule's command is no regular expression.
    #[error("script: {0}")]
    Pattern(#[from] regex::Error),
    /// The kernel refused.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// The form, with its line.
    pub fn parse(text: &str) -> Result<Self, SimulateError> {
        Ok(toml::from_str(text)?)
    }

    /// A script that comes with the program.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
        Self::parse(text).ok()
    }
}

/// The scripts that come with the program.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("sim800", include_str!("../modems/sim800.toml")),
    ("siemens", include_str!("../modems/siemens.toml")),
    (
        "huawei-packed",
        include_str!("../modems/huawei-packed.toml"),
    ),
    (
        "vodacom-double",
        include_str!("../modems/vodacom-double.toml"),
    ),
    ("menu", include_str!("../modems/menu.toml")),
    ("ucs2", include_str!("../modems/ucs2.toml")),
    ("silent", include_str!("../modems/silent.toml")),
    ("dead", include_str!("../modems/dead.toml")),
    ("garbage", include_str!("../modems/garbage.toml")),
    ("flood", include_str!("../modems/flood.toml")),
    ("unplugged", include_str!("../modems/unplugged.toml")),
];

/// A simulated modem, ready to run.
pub struct Modem {
    master: File,
    path: PathBuf,
    rules: Vec<(Regex, Rule, u64)>,
    echo: bool,
    log: Option<File>,
    link: Option<PathBuf>,
    end: Option<Instant>,
    received: Vec<u8>,
    message_of: Option<usize>,
    messages: u64,
}

/// A longer command is no command.
const COMMAND_BYTES_MAX: usize = 4096;
/// How often the lifetime is looked at.
const LOOK_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
/// How often a terminal that nobody has open is looked at.
const NOBODY: Duration = Duration::from_millis(5);
const CONTROL_Z: u8 = 0x1a;
const ESCAPE: u8 = 0x1b;

impl Modem {
    /// Makes the terminal.
    ///
    /// # Errors
    /// A script that does not compile, or what the kernel said.
    pub fn new(options: &Options) -> Result<Self, SimulateError> {
        let io = |what: &str| {
            let what = what.to_owned();
            move |error: Errno| SimulateError::Io(what, error.into())
        };
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .map_err(io("pseudo-terminal"))?;
        grantpt(&master)
            .and_then(|()| unlockpt(&master))
            .map_err(io("pseudo-terminal"))?;
        let name = ptsname(&master, Vec::new()).map_err(io("pseudo-terminal"))?;
        let path = PathBuf::from(name.to_string_lossy().into_owned());
        let terminal = rustix::fs::open(
            &path,
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(io("its terminal"))?;
        let mut settings = tcgetattr(&terminal).map_err(io("its terminal"))?;
        settings.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &settings).map_err(io("its terminal"))?;
        // Not kept open: who looks for holders of the port shall find none but the program that uses it.
        drop(terminal);
        let mut rules = Vec::new();
        for rule in &options.script.on {
            rules.push((
                Regex::new(&format!("^(?:{})$", rule.command))?,
                rule.clone(),
                0,
            ));
        }
        if let Some(link) = &options.link {
            let _ = std::fs::remove_file(link);
            std::os::unix::fs::symlink(&path, link)
                .map_err(|error| SimulateError::Io(link.display().to_string(), error))?;
        }
        let log = match &options.log {
            Some(path) => {
                let opened = File::options().create(true).append(true).open(path);
                Some(opened.map_err(|error| SimulateError::Io(path.display().to_string(), error))?)
            }
            None => None,
        };
        Ok(Self {
            master: File::from(master),
            path,
            rules,
            echo: options.script.echo,
            log,
            link: options.link.clone(),
            end: options.lifetime.map(|lifetime| Instant::now() + lifetime),
            received: Vec::new(),
            message_of: None,
            messages: 0,
        })
    }

    /// The terminal's device.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers until the script unplugs the modem or its lifetime is over.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn run(&mut self) -> Result<(), SimulateError> {
        let io = |error: std::io::Error| SimulateError::Io("pseudo-terminal".into(), error);
        let mut bytes = [0_u8; 4096];
        while self.end.is_none_or(|end| Instant::now() < end) {
            let mut waiting = [PollFd::from_borrowed_fd(self.master.as_fd(), PollFlags::IN)];
            match poll(&mut waiting, Some(&LOOK_EVERY)) {
                Ok(0) | Err(Errno::INTR) => continue,
                Err(error) => return Err(io(error.into())),
                Ok(_) => {}
            }
            let count = match self.master.read(&mut bytes) {
                Ok(count) => count,
                // Nobody has the terminal open.
                Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                    std::thread::sleep(NOBODY);
                    continue;
                }
                Err(error) => return Err(io(error)),
            };
            for &byte in &bytes[..count] {
                if !self.take(byte).map_err(io)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes one byte; `false` when the modem is unplugged.
    fn take(&mut self, byte: u8) -> std::io::Result<bool> {
        if self.echo {
            self.master.write_all(&[byte])?;
        }
        if let Some(length) = self.message_of {
            match byte {
                CONTROL_Z => {
                    self.message_of = None;
                    self.messages += 1;
                    let pdu = String::from_utf8_lossy(&self.received).trim().to_owned();
                    self.received.clear();
                    self.note("message", &pdu)?;
                    // Without the number of the service centre, whose length stands first.
                    let centre = pdu
                        .get(..2)
                        .and_then(|digits| usize::from_str_radix(digits, 16).ok())
                        .unwrap_or_default();
                    let whole = pdu.len() == 2 * (length + centre + 1);
                    let answer = if whole {
                        format!("\r\n+CMGS: {}\r\n\r\nOK\r\n", self.messages % 256)
                    } else {
                        "\r\n+CMS ERROR: 304\r\n".into()
                    };
                    self.master.write_all(answer.as_bytes())?;
                }
                ESCAPE => {
                    self.message_of = None;
                    self.received.clear();
                    self.master.write_all(b"\r\nOK\r\n")?;
                }
                _ => self.received.push(byte),
            }
            return Ok(true);
        }
        match byte {
            b'\r' => {
                let command = std::mem::take(&mut self.received);
                if command.is_empty() {
                    Ok(true)
                } else {
                    self.command(&command)
                }
            }
            b'\n' | ESCAPE | CONTROL_Z | 0 => Ok(true),
            _ => {
                if self.received.len() < COMMAND_BYTES_MAX {
                    self.received.push(byte);
                }
                Ok(true)
            }
        }
    }

    fn command(&mut self, command: &[u8]) -> std::io::Result<bool> {
        self.note("command", &String::from_utf8_lossy(command))?;
        let fitting = self.rules.iter_mut().find(|(pattern, rule, used)| {
            pattern.is_match(command) && (rule.times == 0 || *used < rule.times)
        });
        if let Some((_, rule, used)) = fitting {
            *used += 1;
            let rule = rule.clone();
            for piece in &rule.say {
                std::thread::sleep(Duration::from_millis(rule.pause_ms));
                self.master.write_all(piece.as_bytes())?;
            }
            self.master.write_all(&hex(&rule.say_hex))?;
            self.flood(rule.flood_bytes)?;
            return Ok(!rule.unplug);
        }
        let text = String::from_utf8_lossy(command).to_uppercase();
        if text == "ATE0" {
            self.echo = false;
        }
        if let Some(length) = text.strip_prefix("AT+CMGS=") {
            self.message_of = Some(length.trim().parse().unwrap_or_default());
            self.master.write_all(b"\r\n> ")?;
            return Ok(true);
        }
        let answer = match text.as_str() {
            "AT+CPIN?" => "\r\n+CPIN: READY\r\n\r\nOK\r\n",
            "AT+CREG?" => "\r\n+CREG: 0,1\r\n\r\nOK\r\n",
            "AT+CSQ" => "\r\n+CSQ: 17,0\r\n\r\nOK\r\n",
            "AT+CSCS?" => "\r\n+CSCS: \"GSM\"\r\n\r\nOK\r\n",
            "AT+CMEE?" => "\r\n+CMEE: 1\r\n\r\nOK\r\n",
            text if text.starts_with("AT+CUSD=1,") => "\r\nOK\r\n",
            text if text.starts_with("AT") => "\r\nOK\r\n",
            _ => "\r\nERROR\r\n",
        };
        self.master.write_all(answer.as_bytes())?;
        Ok(true)
    }

    /// Sends filler without waiting for a reader that has left.
    fn flood(&mut self, bytes: usize) -> std::io::Result<()> {
        let filler = [b'x'; 1024];
        let mut left = bytes;
        let stop = Instant::now() + Duration::from_secs(20);
        while left > 0 && Instant::now() < stop {
            let mut waiting = [PollFd::from_borrowed_fd(
                self.master.as_fd(),
                PollFlags::OUT,
            )];
            if poll(&mut waiting, Some(&LOOK_EVERY))? > 0 {
                left -= self.master.write(&filler[..left.min(filler.len())])?;
            }
        }
        Ok(())
    }

    fn note(&mut self, what: &str, text: &str) -> std::io::Result<()> {
        if let Some(log) = &mut self.log {
            let line = serde_json::json!({ what: text }).to_string() + "\n";
            log.write_all(line.as_bytes())?;
        }
        Ok(())
    }
}

impl Drop for Modem {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            let _ = std::fs::remove_file(link);
        }
    }
}

fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{BUILT_IN, Modem, Options, Script};

    #[test]
    fn every_script_that_ships_makes_a_modem() {
        for (name, text) in BUILT_IN {
            let script = Script::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let modem = Modem::new(&Options {
                script,
                ..Options::default()
            });
            assert!(modem.is_ok(), "{name}: {:?}", modem.err());
        }
    }
}
