//! Small commands of the system (`ip`, `tc`, `mount`), run to their end and checked.
//!
//! Not for the programs that are measured or tested: those are `process::Process`.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs one command line and returns what it printed. Words are split at blanks: there is no quoting.
///
/// # Errors
///
/// When the program is missing or fails; the message carries its standard error.
pub fn run(line: &str) -> Result<String> {
    let mut words = line.split_whitespace();
    let program = words.next().context("an empty command line")?;
    let program_path = find(program).with_context(|| format!("{program} is not installed"))?;
    let output = Command::new(program_path)
        .args(words)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed: {}", message.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where a program is, in `PATH` or in the folders for administrators that a user's `PATH` may lack.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_every_machine_has() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-program-here"), None);
    }

    #[test]
    fn a_failure_carries_the_message() {
        let error = run("ls /no/such/folder").unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
    }
}
