//! `receive --exec`: runs a command after each verified copy, one after the other.
//!
//! The command is a line for the shell, typed by this node's user. What came from the network is in its
//! environment, never in the line, so that no name can say anything to the shell.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, unbounded};

/// What a command is told, by the names of its environment.
pub(super) type Facts = Vec<(String, OsString)>;

/// What became of a command: the session it was for, and what went wrong.
pub(super) type Tell = Box<dyn Fn(&str, Result<(), String>) + Send>;

/// Commands that run beside the daemon.
pub(super) struct Hooks {
    work: Sender<(String, Facts)>,
    thread: JoinHandle<bool>,
}

impl Hooks {
    /// Gets ready to run `line`; each end is told by `tell`.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(super) fn new(line: OsString, tell: Tell) -> std::io::Result<Self> {
        let (work, waiting) = unbounded::<(String, Facts)>();
        let thread = thread::Builder::new().name("exec".into()).spawn(move || {
            let mut all_well = true;
            for (session, facts) in waiting {
                let result = run(&line, facts);
                all_well &= result.is_ok();
                tell(&session, result);
            }
            all_well
        })?;
        Ok(Self { work, thread })
    }

    /// Runs the command for a session, after those that wait already.
    pub(super) fn add(&self, session: String, facts: Facts) {
        // Its thread ends with this value only.
        let _running = self.work.send((session, facts));
    }

    /// Waits for all commands; says whether all went well.
    pub(super) fn finish(self) -> bool {
        drop(self.work);
        self.thread.join().unwrap_or(false)
    }
}

/// The facts that name what was placed, at the top of the directory copied into.
pub(super) fn names(tops: &[Vec<u8>]) -> Facts {
    let count = ("GRAPPE_NAMES".to_owned(), tops.len().to_string().into());
    let each = tops.iter().enumerate().map(|(index, name)| {
        let name = OsString::from_vec(name.clone());
        (format!("GRAPPE_NAME_{}", index + 1), name)
    });
    std::iter::once(count).chain(each).collect()
}

fn run(line: &OsStr, facts: Facts) -> Result<(), String> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(line).stdin(Stdio::null());
    // A zero byte cannot be in an environment; no name on a disk has one.
    command.envs(
        facts
            .into_iter()
            .filter(|(_, value)| !value.as_bytes().contains(&0)),
    );
    // Standard output may carry events, one to a line.
    command.stdout(std::io::stderr());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(format!("cannot start /bin/sh: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_reach_the_command_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let line = format!(
            "printf '%s|%s|%s' \"$GRAPPE_NAMES\" \"$GRAPPE_NAME_1\" \"$GRAPPE_NAME_2\" > {}",
            out.display()
        );
        let odd = [b"$(touch gone); `x` \"'\n".to_vec(), b"\xFFraw".to_vec()];
        let hooks = Hooks::new(
            line.into(),
            Box::new(|_, result| assert_eq!(result, Ok(()))),
        )
        .unwrap();
        hooks.add("s".into(), names(&odd));
        assert!(hooks.finish());
        let wanted = [b"2|", &odd[0][..], b"|", &odd[1][..]].concat();
        assert_eq!(std::fs::read(out).unwrap(), wanted);
    }

    #[test]
    fn a_command_that_fails_is_told() {
        let tell = |session: &str, result: Result<(), String>| {
            assert_eq!((session, result), ("s", Err("exit status: 7".into())));
        };
        let hooks = Hooks::new("exit 7".into(), Box::new(tell)).unwrap();
        hooks.add("s".into(), Vec::new());
        assert!(!hooks.finish());
    }
}
