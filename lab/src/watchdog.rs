//! Cleaning up, whatever ends the lab: a value dropped, a panic, Ctrl-C or `kill -9`.
//!
//! A small shell in a session of its own waits on a pipe that the kernel closes with the lab's last
//! breath, then runs the cleaning script. There is no other way of cleaning up, so this one is tried
//! in every run.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// Runs a shell script when dropped, or when this process ends in any way.
#[derive(Debug)]
pub struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Guards something about to be made: `script` sees `arguments` as `$1`, `$2` and so on.
    ///
    /// Call it before making the thing; the script must be content when there is nothing to clean.
    ///
    /// # Errors
    ///
    /// When `setsid` or `sh` cannot be started.
    pub fn new(script: &str, arguments: &[&str]) -> Result<Self> {
        // `setsid`: a Ctrl-C at the terminal goes to the lab and must not reach its watchdog.
        let shell = Command::new("setsid")
            .args(["sh", "-c"])
            .arg(format!("cat >/dev/null\n{script}"))
            .arg("watchdog")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the watchdog that would clean up")?;
        Ok(Self { shell })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // A failure to wait leaves a zombie at worst; the script runs all the same.
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn cleans_when_dropped_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("precious");
        fs::write(&file, "").unwrap();
        let watchdog = Watchdog::new("rm \"$1\"", &[file.to_str().unwrap()]).unwrap();
        assert!(file.exists());
        drop(watchdog);
        assert!(!file.exists());
    }
}
