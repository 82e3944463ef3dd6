//! The dialogue: a USSD question by `AT+CUSD`, the network's answer, replies to its menus, a clean end.
//!
//! 3GPP TS 27.007 clause 7.15. The answer may come before or after `OK`, or never. A dialogue that the
//! network left open is cancelled, because every later question would get its menu.

use std::time::{Duration, Instant};

use super::port::{Port, PortError};
use crate::ussd::{self, Cusd, Mode, NoAnswer, gsm7, parse_cusd};

/// What to ask.
#[derive(Clone, Debug)]
pub struct Question {
    /// The code: `*130#`.
    pub code: String,
    /// What is replied to the menus that come, one after the other.
    pub replies: Vec<String>,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The command of the last question or reply.
    pub command: String,
    /// What the modem sent after it.
    pub bytes: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The port failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Nothing at all came back.
    #[error("the modem does not answer AT: is it on, and is this its port?")]
    Dead,
    /// What came back is no AT dialogue.
    #[error("what the modem sends is no AT dialogue (another baud rate? --baud): {0}")]
    Garbage(String),
    /// The SIM wants a PIN, or is missing.
    #[error("the SIM is not ready: {0}")]
    Sim(String),
    /// No network.
    #[error("the modem is not registered in a network ({0}): look at antenna and SIM")]
    NotRegistered(String),
    /// The question was refused, plain and packed.
    #[error("the modem refuses the question: {0}")]
    Refused(String),
    /// The network's answer is none.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// Nothing came in time.
    #[error(
        "the network has not answered the question in time; some do not while roaming, or at night"
    )]
    TimedOut,
    /// More than any answer came.
    #[error("more than {FLOOD_BYTES} bytes came without an end: this is no answer")]
    Flood,
    /// The network asks for a reply that was not given, or takes none.
    #[error("the network shows no menu to reply '{0}' to")]
    NoMenu(String),
}

/// A conversation of more bytes than this is none.
const FLOOD_BYTES: usize = 64 * 1024;
/// A living modem answers `AT` at once; it may have been asleep.
const ALIVE: Duration = Duration::from_secs(2);
const ALIVE_TRIES: usize = 3;
/// Commands to the modem itself are answered within this.
const COMMAND: Duration = Duration::from_secs(5);
/// After a text without a figure that ended the dialogue another may follow.
const SECOND_TEXT: Duration = Duration::from_secs(5);
/// After an answer: for its final `OK`, so that the next command is not lost.
const FINAL: Duration = Duration::from_millis(500);
/// An answer without its closing quote is over when nothing more comes for so long.
const CUT: Duration = Duration::from_secs(3);
/// Kept back from the deadline for the clean end.
const END: Duration = Duration::from_secs(1);

/// Asks on `port`; everything is over by `deadline`.
///
/// # Errors
/// Where no text came, and why. The dialogue is cancelled in each case.
pub fn ask(port: &Port, question: &Question, deadline: Instant) -> Result<Conversation, AskError> {
    let work = deadline.checked_sub(END).unwrap_or(deadline);
    wake(port, work)?;
    let errors_before = setting(port, "AT+CMEE?", work)?;
    exchange(port, "AT+CMEE=1", within(work, COMMAND))?;
    let asked = prepared(port, work).and_then(|()| converse(port, question, work));
    let open = match &asked {
        Ok(conversation) => waits(&conversation.bytes),
        // The network may still be at it, or wait: for a reply that the modem refused, or behind a menu
        // without a text.
        Err(
            AskError::TimedOut
            | AskError::Flood
            | AskError::NoMenu(_)
            | AskError::Refused(_)
            | AskError::NoAnswer(_),
        ) => true,
        Err(_) => false,
    };
    if open {
        let _ = exchange(port, "AT+CUSD=2", within(deadline, END));
    }
    if let Some(before) = errors_before.filter(|before| before != "1") {
        let _ = exchange(port, &format!("AT+CMEE={before}"), within(deadline, END));
    }
    asked
}

/// The modem's answer to one command, without its echo and final `OK`; for a look at the modem.
///
/// # Errors
/// A port that failed, or an error of the modem.
pub fn command(port: &Port, text: &str, deadline: Instant) -> Result<String, AskError> {
    let bytes = exchange(port, text, deadline)?;
    let said = String::from_utf8_lossy(&bytes).into_owned();
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && *line != "OK" && *line != text)
        .collect();
    Ok(lines.join(" "))
}

fn within(deadline: Instant, span: Duration) -> Instant {
    deadline.min(Instant::now() + span)
}

/// Whether the last line of a conversation waits for a reply.
fn waits(bytes: &[u8]) -> bool {
    parse_cusd(bytes)
        .last()
        .is_some_and(|line| line.mode == Mode::Waiting)
}

fn wake(port: &Port, deadline: Instant) -> Result<(), AskError> {
    let mut heard = Vec::new();
    for _ in 0..ALIVE_TRIES {
        // Ends what an earlier program may have left half typed.
        port.write(b"\x1b\r", within(deadline, ALIVE))?;
        let bytes = exchange(port, "AT", within(deadline, ALIVE))?;
        if final_result(&bytes).is_some() {
            port.forget_input();
            return Ok(());
        }
        heard.extend_from_slice(&bytes);
        if heard.len() > FLOOD_BYTES {
            return Err(AskError::Flood);
        }
    }
    if heard.is_empty() {
        return Err(AskError::Dead);
    }
    let shown: Vec<u8> = heard.into_iter().take(40).collect();
    Err(AskError::Garbage(shown.escape_ascii().to_string()))
}

/// SIM and network, where the modem can tell. One that does not know these commands is asked all the same.
fn prepared(port: &Port, deadline: Instant) -> Result<(), AskError> {
    if let Some(state) = setting(port, "AT+CPIN?", deadline)?
        && state != "READY"
    {
        return Err(AskError::Sim(state));
    }
    let registered = |answer: &Option<String>| {
        answer.as_ref().map(|answer| {
            let state = answer.split(',').nth(1).unwrap_or(answer).trim().to_owned();
            (
                matches!(state.as_str(), "1" | "5" | "6" | "7" | "9" | "10"),
                state,
            )
        })
    };
    let circuit = registered(&setting(port, "AT+CREG?", deadline)?);
    if let Some((false, state)) = circuit {
        let packet = registered(&setting(port, "AT+CEREG?", deadline)?);
        if !packet.is_some_and(|(there, _)| there) {
            let words = match state.as_str() {
                "0" => "not searching",
                "2" => "searching",
                "3" => "the network refuses the SIM",
                _ => "unknown",
            };
            return Err(AskError::NotRegistered(words.into()));
        }
    }
    Ok(())
}

/// The value of a setting: what follows the colon. `None` where the modem does not know it.
fn setting(port: &Port, command: &str, deadline: Instant) -> Result<Option<String>, AskError> {
    let bytes = exchange(port, command, within(deadline, COMMAND))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let name = command.trim_start_matches("AT").trim_end_matches('?');
    let error = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("+CME ERROR:"));
    if let Some(error) = error.filter(|_| name == "+CPIN") {
        return Ok(Some(described(error.trim())));
    }
    Ok(text.lines().find_map(|line| {
        let value = line.trim().strip_prefix(name)?.strip_prefix(':')?;
        Some(value.trim().trim_matches('"').to_owned())
    }))
}

/// Sends a command and reads to its final result, or to the deadline.
fn exchange(port: &Port, command: &str, deadline: Instant) -> Result<Vec<u8>, AskError> {
    port.forget_input();
    port.write(format!("{command}\r").as_bytes(), deadline)?;
    let mut bytes = Vec::new();
    while final_result(&bytes).is_none() && bytes.len() <= FLOOD_BYTES {
        if !port.read(&mut bytes, deadline)? {
            break;
        }
    }
    Ok(bytes)
}

/// The final result code in `bytes`: `Ok`, or the error as the modem wrote it.
fn final_result(bytes: &[u8]) -> Option<Result<(), String>> {
    let text = String::from_utf8_lossy(bytes);
    text.split(['\r', '\n']).find_map(|line| {
        let line = line.trim();
        if line == "OK" {
            return Some(Ok(()));
        }
        (line == "ERROR"
            || line.starts_with("+CME ERROR")
            || line.starts_with("+CMS ERROR")
            || line == "COMMAND NOT SUPPORT"
            || line == "NO CARRIER")
            .then(|| Err(line.to_owned()))
    })
}

/// The words of a numbered error (3GPP TS 27.007 clause 9.2), where they help.
fn described(error: &str) -> String {
    let words = match error {
        "3" => "operation not allowed",
        "4" => "operation not supported",
        "10" => "SIM not inserted",
        "11" => "SIM PIN required",
        "12" => "SIM PUK required",
        "13" => "SIM failure",
        "14" => "SIM busy",
        "15" => "SIM wrong",
        "30" => "no network service",
        "31" => "network timeout",
        "32" => "emergency calls only",
        "100" => "unknown error",
        _ => return error.to_owned(),
    };
    format!("{words} ({error})")
}

/// How a text is written into the command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    /// Septets in hexadecimal, as Huawei modems want it.
    Packed,
}

impl Form {
    fn write(self, text: &str) -> Option<String> {
        let body = match self {
            Self::Plain => text.to_owned(),
            Self::Packed => gsm7::pack(&gsm7::septets(text)?)
                .iter()
                .map(|octet| format!("{octet:02X}"))
                .collect(),
        };
        Some(format!("AT+CUSD=1,\"{body}\",15"))
    }
}

fn converse(port: &Port, question: &Question, deadline: Instant) -> Result<Conversation, AskError> {
    let mut form = Form::Plain;
    let mut conversation = match put(port, form, &question.code, deadline) {
        Err(AskError::Refused(first)) => {
            form = Form::Packed;
            put(port, form, &question.code, deadline).map_err(|error| match error {
                AskError::Refused(second) => {
                    AskError::Refused(format!("{first}; as packed text: {second}"))
                }
                other => other,
            })?
        }
        other => other?,
    };
    for reply in &question.replies {
        if !waits(&conversation.bytes) {
            return Err(AskError::NoMenu(reply.clone()));
        }
        // Siemens modems show a prompt while the network waits.
        if conversation.bytes.trim_ascii_end().ends_with(b">") {
            port.write(b"\x1b", deadline)?;
        }
        conversation = put(port, form, reply, deadline)?;
    }
    Ok(conversation)
}

/// Sends one text and waits for the network's.
fn put(port: &Port, form: Form, text: &str, deadline: Instant) -> Result<Conversation, AskError> {
    let command = form
        .write(text)
        .ok_or_else(|| AskError::Refused(format!("'{text}' cannot be packed")))?;
    port.forget_input();
    port.write(format!("{command}\r").as_bytes(), deadline)?;
    let mut bytes = Vec::new();
    // When to give up waiting for more, once there is something to give.
    let mut settled: Option<(Instant, usize)> = None;
    loop {
        let until = settled.map_or(deadline, |(until, _)| until.min(deadline));
        let came = port.read(&mut bytes, until)?;
        if bytes.len() > FLOOD_BYTES {
            return Err(AskError::Flood);
        }
        let lines = parse_cusd(&bytes);
        if !came {
            if lines.is_empty() {
                return Err(AskError::TimedOut);
            }
            ussd::best_answer(&bytes)?;
            return Ok(Conversation { command, bytes });
        }
        if lines.is_empty() {
            if let Some(Err(error)) = final_result(&bytes) {
                let number = error.strip_prefix("+CME ERROR:").map(str::trim);
                return Err(AskError::Refused(number.map_or(error.clone(), described)));
            }
            continue;
        }
        let ended = final_result(&bytes).is_some();
        let patience = patience(&lines, &bytes, ended);
        match patience {
            None => {
                ussd::best_answer(&bytes)?;
                return Ok(Conversation { command, bytes });
            }
            // Anew with each byte of a text that is not whole, once for all else.
            Some(patience)
                if settled.is_none_or(|(_, length)| length != lines.len()) || patience == CUT =>
            {
                settled = Some((Instant::now() + patience, lines.len()));
            }
            Some(_) => {}
        }
    }
}

/// How long to wait for more after these lines; `None` when nothing more can come.
fn patience(lines: &[Cusd], bytes: &[u8], ended: bool) -> Option<Duration> {
    let last = lines.last()?;
    if !last.mode.may_carry_text() {
        return None;
    }
    if last.text.is_some() && !last.terminated {
        return Some(CUT);
    }
    let answered = last.mode == Mode::Waiting
        || ussd::best_answer(bytes)
            .is_ok_and(|(_, decoded)| decoded.text.chars().any(char::is_numeric));
    match (answered, ended) {
        (true, true) if last.dcs.is_some() && bytes.ends_with(b"\n") => None,
        (true, _) => Some(FINAL),
        (false, _) => Some(SECOND_TEXT),
    }
}
