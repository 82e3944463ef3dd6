//! What `grappe send` says while it happens, on standard error: a bar on a terminal, lines elsewhere.
//!
//! Not here: the result (`table`, `send`).

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use grappe::send::{Event, Notice, Progress};
use grappe_proto::session::Expectation;
use grappe_proto::units::Rate;
use indicatif::{ProgressBar, ProgressStyle};

use super::error::{say, settle};
use super::size::show_bytes;
use super::turned_away::TurnedAway;

/// Between two lines of progress where there is no terminal: a log is read later.
const LINE_INTERVAL: Duration = Duration::from_secs(3);

/// Progress on standard error.
pub(crate) struct Display {
    /// What follows the size of the copy in the session's line.
    terms: String,
    bar: Option<ProgressBar>,
    tenths: Tenths,
    /// Whether anybody joined.
    has_joined: bool,
    turned_away: TurnedAway,
}

impl Display {
    pub(crate) fn new(
        interface: &str,
        expectation: &Expectation,
        wait: Duration,
        rate: Option<Rate>,
    ) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self {
            terms: terms(interface, expectation, wait, rate),
            bar,
            tenths: Tenths::default(),
            has_joined: false,
            turned_away: TurnedAway::default(),
        }
    }

    pub(crate) fn show(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Announced {
                session,
                bytes,
                files,
                ..
            } => self.line(format_args!(
                "session {session}: {} in {files} file(s) {}",
                show_bytes(*bytes),
                self.terms
            )),
            Notice::Event(event) => self.event(event),
            Notice::Stranger(address, reason) => {
                // Each connection has a port of its own, which would make all reasons different.
                let reason = reason.replace(&address.to_string(), "it");
                self.turn_away("turned away", &address.ip().to_string(), &reason);
            }
            Notice::Waiting(what) => self.line(format_args!("waiting for {what}")),
            Notice::Note(text) => self.line(format_args!("note: {text}")),
            Notice::Progress(progress) => self.progress(progress),
            Notice::Receptions(_) => {}
        }
    }

    /// Takes the bar away, and answers who did not take part.
    pub(crate) fn finish(self) -> TurnedAway {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        match self.turned_away.more() {
            0 => {}
            1 => self.line(format_args!("1 more connection refused")),
            more => self.line(format_args!("{more} more connections refused")),
        }
        self.turned_away
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Joined(name) => {
                self.has_joined = true;
                self.line(format_args!("joined: {name}"));
            }
            Event::JoinedLate(name) => {
                self.has_joined = true;
                self.line(format_args!("joined late: {name}"));
            }
            Event::Demoted(name, reason) => {
                self.line(format_args!(
                    "apart from the others from now on: {name}: {reason}"
                ));
            }
            Event::Returned(name) => self.line(format_args!("with the others again: {name}")),
            Event::Apart(count) => {
                self.line(format_args!("sending what {count} receiver(s) still lack"));
            }
            Event::Refused(name, reason) => self.turn_away("refused", name, reason),
            Event::Started(count) => self.line(format_args!("sending to {count} receiver(s)")),
            Event::Prepared(_) | Event::SentOnce => {}
            Event::Piped(name, why) => {
                self.line(format_args!("through the pipeline: {name}: {why}"));
            }
            Event::PassedBy(name, reason) => {
                self.line(format_args!(
                    "at the pipeline's end from now on: {name}: {reason}"
                ));
            }
            Event::Unfed(name, reason) => {
                self.line(format_args!(
                    "gets another source in the pipeline: {name}: {reason}"
                ));
            }
            Event::Complete(name) => self.line(format_args!("complete: {name}")),
            Event::Gone(name, reason) => {
                if !self.has_joined {
                    self.turned_away.remember(name, reason);
                }
                self.line(format_args!("gone: {name}: {reason}"));
            }
        }
    }

    fn turn_away(&mut self, how: &str, who: &str, reason: &str) {
        if self.turned_away.note(who, reason) {
            self.line(format_args!("{how}: {who}: {reason}"));
        }
    }

    fn progress(&mut self, progress: &Progress) {
        let (stored, total) = (progress.stored_blocks, progress.content_blocks.max(1));
        let rate = show_bytes(progress.rate);
        if let Some(bar) = &self.bar {
            bar.set_length(total.into());
            bar.set_position(stored.into());
            bar.set_message(format!("{rate}/s to {}", progress.receivers));
        } else if self.tenths.is_due(stored, total, Instant::now()) {
            let percent = u64::from(stored) * 100 / u64::from(total);
            self.line(format_args!("{percent} % at {rate}/s"));
        }
    }

    fn line(&self, line: std::fmt::Arguments<'_>) {
        match &self.bar {
            // Drawn again below the line, once that is there.
            Some(bar) => bar.suspend(|| {
                say(line);
                settle();
            }),
            None => say(line),
        }
    }
}

/// Where the copy goes, how fast at most, and who is waited for how long.
fn terms(interface: &str, expectation: &Expectation, wait: Duration, rate: Option<Rate>) -> String {
    let most = rate.map_or_else(String::new, |rate| {
        format!(", at most {}/s", show_bytes(rate.bytes_per_second()))
    });
    let whom = match expectation.count() {
        Some(1) => "1 receiver".into(),
        Some(count) => format!("{count} receivers"),
        None => "receivers".into(),
    };
    let wait = wait.as_secs_f64();
    format!("on {interface}{most}; waiting up to {wait:.1} s for {whom}")
}

/// When a line of progress is due: with each tenth of the copy, but not sooner than
/// [`LINE_INTERVAL`] after the one before.
#[derive(Debug, Default)]
struct Tenths {
    told: Option<(u32, Instant)>,
}

impl Tenths {
    fn is_due(&mut self, stored: u32, total: u32, now: Instant) -> bool {
        let tenth = (total / 10).max(1);
        let is_due = match self.told {
            None => stored >= tenth,
            Some((told, at)) => {
                stored / tenth > told / tenth && now.saturating_duration_since(at) >= LINE_INTERVAL
            }
        };
        if is_due {
            self.told = Some((stored, now));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_copy_says_little_and_a_slow_one_each_tenth() {
        let lines = |step: Duration| {
            let (mut tenths, start) = (Tenths::default(), Instant::now());
            (0..=1000)
                .filter(|stored| tenths.is_due(*stored, 1000, start + step * *stored))
                .count()
        };
        assert_eq!(lines(Duration::from_millis(1)), 1);
        assert_eq!(lines(Duration::from_millis(10)), 4);
        assert_eq!(lines(Duration::from_secs(10)), 10);
    }

    #[test]
    fn the_rate_that_was_understood_is_said() {
        let terms = |rate| {
            let wait = Duration::from_secs(2);
            terms("lo (127.0.0.1)", &Expectation::Count(2), wait, rate)
        };
        assert_eq!(
            terms(Some(Rate::from_bytes_per_second(10_000_000))),
            "on lo (127.0.0.1), at most 10.0 MB/s; waiting up to 2.0 s for 2 receivers"
        );
        assert!(!terms(None).contains("at most"));
    }
}
