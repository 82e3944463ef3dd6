//! What a monitoring plugin says: state, one short line, more lines, performance data.
//!
//! Monitoring Plugins Development Guidelines, "Plugin Output for Nagios". An operator's text can hold
//! `|`, which would begin performance data of its own: [`quoted`] takes that away.

use std::fmt;

/// A service's state; its number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// 0
    Ok,
    /// 3: no statement can be made.
    Unknown,
    /// 1
    Warning,
    /// 2
    Critical,
}

impl State {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        })
    }
}

/// One figure of the performance data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Letters, digits and underscores.
    pub label: String,
    /// A decimal number.
    pub value: String,
    /// `s`, or nothing. A currency is no unit of the guidelines and belongs into the label.
    pub unit: &'static str,
    /// As given on the command line.
    pub warning: Option<String>,
    /// As given on the command line.
    pub critical: Option<String>,
    /// The least possible value, where there is one.
    pub least: Option<&'static str>,
}

/// A whole output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The worst of all reasons.
    pub state: State,
    /// The first line, without state and performance data.
    pub summary: String,
    /// Further lines.
    pub details: Vec<String>,
    /// Figures for graphs.
    pub figures: Vec<Figure>,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIM CREDIT {} - {}", self.state, self.summary)?;
        if !self.figures.is_empty() {
            write!(f, " |")?;
            for figure in &self.figures {
                write!(f, " {figure}")?;
            }
        }
        for line in &self.details {
            write!(f, "\n{line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = |text: &Option<String>| text.clone().unwrap_or_default();
        let all = format!(
            "{}={}{};{};{};{}",
            self.label,
            self.value,
            self.unit,
            field(&self.warning),
            field(&self.critical),
            self.least.unwrap_or_default()
        );
        f.write_str(all.trim_end_matches(';'))
    }
}

/// The most characters of a foreign text that are shown.
const QUOTED_CHARACTERS_MAX: usize = 320;

/// A message of our own on one line; what it quotes may hold anything.
#[must_use]
pub fn line(text: &str) -> String {
    let mut safe = String::new();
    push_safe(text, &mut safe);
    safe
}

/// A message of our own that may take several lines, each of which may quote anything: a parser's,
/// which shows the place in a file.
#[must_use]
pub fn lines(text: &str) -> String {
    let safe: Vec<String> = text.lines().map(line).collect();
    safe.join("\n")
}

/// A foreign text in quotes, on one line, with nothing in it that a monitoring server understands.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut safe = String::from("\"");
    push_safe(text, &mut safe);
    safe.push('"');
    safe
}

fn push_safe(text: &str, safe: &mut String) {
    for (count, character) in text.chars().enumerate() {
        if count == QUOTED_CHARACTERS_MAX {
            safe.push_str("...");
            break;
        }
        match character {
            '|' => safe.push('¦'),
            '\n' | '\r' | '\t' => safe.push(' '),
            '<' => safe.push('‹'),
            '>' => safe.push('›'),
            control if control.is_control() || is_directional(control) => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
}

/// Characters that turn the direction of what follows.
fn is_directional(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// The same output as a textfile for node_exporter's collector.
#[must_use]
pub fn prometheus(output: &Output) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, help: &str, value: &str| {
        text.push_str(&format!(
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"
        ));
    };
    metric(
        "sim_credit_state",
        "0 ok, 1 warning, 2 critical, 3 unknown",
        &output.state.code().to_string(),
    );
    for figure in &output.figures {
        let unit = if figure.unit == "s" { "_seconds" } else { "" };
        metric(
            &format!("sim_credit_{}{unit}", figure.label),
            "figure of the SIM's credit",
            &figure.value,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Figure, Output, State, lines, quoted};

    #[test]
    fn a_figure_ends_with_its_last_field() {
        let figure = Figure {
            label: "credit_chf".into(),
            value: "-0.44".into(),
            unit: "",
            warning: Some("5:".into()),
            critical: Some("2:".into()),
            least: None,
        };
        assert_eq!(figure.to_string(), "credit_chf=-0.44;5:;2:");
        let output = Output {
            state: State::Critical,
            summary: "CHF -0.44".into(),
            details: vec!["more".into()],
            figures: vec![figure],
        };
        assert_eq!(
            output.to_string(),
            "SIM CREDIT CRITICAL - CHF -0.44 | credit_chf=-0.44;5:;2:\nmore"
        );
    }

    #[test]
    fn a_foreign_text_cannot_forge_performance_data_or_lines() {
        let text = quoted("a|extra=1\nb\u{1b}[2J\u{202e}<b>");
        assert_eq!(text, "\"a¦extra=1 b\u{fffd}[2J\u{fffd}‹b›\"");
        assert_eq!(lines("at \"a\"\n1 | x = 1\n"), "at \"a\"\n1 ¦ x = 1");
    }
}
