//! Errors as a user meets them: what went wrong, what to do, and the exit code.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Duration;

use grappe::control::ControlError;
use grappe::gather::GatherError;
use grappe::receive::ReceiveError;
use grappe::send::SendError;
use grappe::trust::TrustError;
use grappe_os::udp::InterfaceError;

use super::lines::Lines;

/// Some expected receiver is not complete, or not everything could be sent.
pub(crate) const INCOMPLETE: u8 = 1;

/// The command line or the configuration is wrong.
pub(crate) const USAGE: u8 = 2;

/// Nobody joined.
pub(crate) const NOBODY: u8 = 3;

/// An error that ends the command.
#[derive(Debug)]
pub(crate) struct CommandError {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl CommandError {
    /// The user asked for something that cannot be, or the configuration does not allow it.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self {
            code: USAGE,
            message: message.to_string(),
            hint: None,
        }
    }

    /// The copy did not come about.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self {
            code: INCOMPLETE,
            message: message.to_string(),
            hint: None,
        }
    }

    pub(crate) fn with_hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// What went wrong and what to do, for a line of another's.
    pub(crate) fn in_one_line(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{} ({hint})", self.message),
            None => self.message.clone(),
        }
    }

    /// What went wrong.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What to do, where that is known.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Says it on standard error and answers the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        say(format_args!("error: {}", self.message));
        if let Some(hint) = &self.hint {
            say(format_args!("hint: {hint}"));
        }
        ExitCode::from(self.code)
    }
}

/// How long the end waits for whoever reads standard error, and does not at the moment.
const READER_MAX: Duration = Duration::from_secs(2);

/// Long enough for whoever reads, and short for a copy that goes on.
const MOMENT: Duration = Duration::from_millis(100);

/// What is said, on its way to standard error; none without a thread.
static SAID: LazyLock<Option<Lines>> = LazyLock::new(|| Lines::start("say", write).ok());

/// Says one line on standard error, whatever is in it. Whoever does not read it holds up nobody.
pub(crate) fn say(line: std::fmt::Arguments<'_>) {
    let line = printable(&line.to_string()) + "\n";
    match &*SAID {
        Some(said) => {
            tell_lost(said);
            let _told_later = said.tell(line);
        }
        None => write(&line),
    }
}

/// Waits, but not for long, until what was said can be read: before something is said elsewhere, and at
/// the end.
pub(crate) fn finish() {
    if let Some(said) = &*SAID
        && said.flush(READER_MAX)
        && tell_lost(said)
    {
        let _read = said.flush(READER_MAX);
    }
}

/// The same for a moment only: where the bar is drawn anew below what was said, and where the process ends at once.
pub(crate) fn settle() {
    if let Some(said) = &*SAID {
        let _read = said.flush(MOMENT);
    }
}

/// Says that lines were lost, where some were and can be told of. Answers whether it did.
fn tell_lost(said: &Lines) -> bool {
    said.take_lost().is_some_and(|lost| {
        let lost = format!("note: {lost} line(s) were not read in time, and are lost\n");
        said.tell(lost)
    })
}

/// A closed standard error is no reason to panic.
fn write(line: &str) {
    let _closed = std::io::stderr().lock().write_all(line.as_bytes());
}

/// `text` as a part of one line: without what would end the line, steer a terminal or turn the order of
/// its characters. File names and peers' words come from others.
pub(crate) fn printable(text: &str) -> String {
    let replace = |character| match character {
        steering if steers(steering) => char::REPLACEMENT_CHARACTER,
        other => other,
    };
    text.chars().map(replace).collect()
}

/// Whether `character` is a control (Unicode Cc), ends a line or a paragraph (Zl, Zp), or overrides the
/// direction of writing (UAX #9).
pub(crate) fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl From<TrustError> for CommandError {
    fn from(error: TrustError) -> Self {
        let command = Self::usage(&error);
        match error.hint() {
            Some(hint) => command.with_hint(hint),
            None => command,
        }
    }
}

impl From<InterfaceError> for CommandError {
    fn from(error: InterfaceError) -> Self {
        Self::usage(error).with_hint("choose one with --interface")
    }
}

impl From<ControlError> for CommandError {
    fn from(error: ControlError) -> Self {
        Self::failed(error)
    }
}

impl From<SendError> for CommandError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Cancelled(_) | SendError::Defect(_) => Self::failed(error),
            _ => Self::usage(error),
        }
    }
}

impl From<GatherError> for CommandError {
    fn from(error: GatherError) -> Self {
        Self::usage(error)
    }
}

impl From<ReceiveError> for CommandError {
    fn from(error: ReceiveError) -> Self {
        Self::usage(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_on_its_line_and_steers_nothing() {
        let forged = "node1\ncomplete: node2\r\u{1b}[2J\u{9b}1A\u{7f}\u{85}\u{2028}\u{202e}\0\t";
        let shown = printable(forged);
        assert_eq!(shown.lines().count(), 1);
        assert!(!shown.chars().any(steers), "{shown:?}");
        assert_eq!(printable("größe 数 –"), "größe 数 –");
    }
}
