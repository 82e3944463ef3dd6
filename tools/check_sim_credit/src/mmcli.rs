//! Asking through `ModemManager`, where it owns the modem: by its command line, `mmcli`.
//!
//! It takes an answer that the network ends the dialogue with (`+CUSD: 2`, which many operators send)
//! for an error and drops the text: such a SIM needs another way.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Why `ModemManager` has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// The program is not there.
    #[error("mmcli cannot be run: {0}; install modemmanager, or use another way to the modem")]
    Absent(std::io::Error),
    /// It says so.
    #[error("ModemManager: {0}{1}")]
    Refused(String, &'static str),
    /// It has not ended in time.
    #[error("ModemManager has not answered in time")]
    TimedOut,
    /// Its output has no answer in it.
    #[error("ModemManager: no answer in {0:?}")]
    Form(String),
}

/// An answer and what is around it is shorter.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;
const LOOK_EVERY: Duration = Duration::from_millis(20);
const ENDED_BY_NETWORK: &str = " (it drops answers with which the network ends the dialogue; if this \
SIM's always do, keep ModemManager off the modem: udev ID_MM_DEVICE_IGNORE)";

/// Asks `code` on `modem` (its number, or `any`), replies to menus, and cancels what stays open.
///
/// # Errors
/// What `mmcli` said, or that it said nothing by `deadline`.
pub fn ask(
    modem: &str,
    code: &str,
    replies: &[String],
    deadline: Instant,
) -> Result<String, ManagerError> {
    let end = deadline
        .checked_sub(Duration::from_secs(1))
        .unwrap_or(deadline);
    let asked = (|| {
        let mut text = run(modem, &format!("--3gpp-ussd-initiate={code}"), end)?;
        for reply in replies {
            text = run(modem, &format!("--3gpp-ussd-respond={reply}"), end)?;
        }
        Ok(text)
    })();
    // Refused where no dialogue is open: which is as wished.
    let _ = run(modem, "--3gpp-ussd-cancel", deadline);
    asked
}

fn run(modem: &str, action: &str, deadline: Instant) -> Result<String, ManagerError> {
    let mut child = Command::new("mmcli")
        .args(["-m", modem, action])
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(ManagerError::Absent)?;
    let succeeded = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK_EVERY),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(ManagerError::TimedOut);
            }
        }
    };
    let (said, error) = outputs(&mut child);
    if !succeeded {
        let reason = error.trim().trim_start_matches("error: ").to_owned();
        let hint = if reason.to_lowercase().contains("terminated by network") {
            ENDED_BY_NETWORK
        } else {
            ""
        };
        return Err(ManagerError::Refused(reason, hint));
    }
    if action.contains("cancel") {
        return Ok(String::new());
    }
    reply(&said).ok_or(ManagerError::Form(said))
}

fn outputs(child: &mut Child) -> (String, String) {
    let read = |pipe: Option<Box<dyn Read>>| {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            let _ = pipe.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let out = child
        .stdout
        .take()
        .map(|pipe| Box::new(pipe) as Box<dyn Read>);
    let error = child
        .stderr
        .take()
        .map(|pipe| Box::new(pipe) as Box<dyn Read>);
    (read(out), read(error))
}

/// The text between the quotes of `new reply from network: '...'`; it may have line ends and quotes.
fn reply(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("network: '")?;
    let end = rest.rfind('\'')?;
    Some(rest[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::reply;

    #[test]
    fn the_reply_is_what_stands_between_the_outer_quotes() {
        let said = "USSD session initiated; new reply from network: 'Credit: CHF 5.00\njusqu'au 01.10.2027'\n";
        assert_eq!(
            reply(said).as_deref(),
            Some("Credit: CHF 5.00\njusqu'au 01.10.2027")
        );
        assert_eq!(reply("error"), None);
    }
}
