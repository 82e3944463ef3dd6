//! The rate at every node over a copy, as `send --timeline` draws it: samples here, the picture in `svg`.
//!
//! Samples come from the receivers' reports. Knows no clock and no socket; only the file is touched.

mod svg;
#[cfg(test)]
mod tests;

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grappe::send::{Event, Notice, Reception};
use grappe_proto::units::Time;
use tempfile::NamedTempFile;

/// Between two samples of a node at first: a few reports of a small group.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

/// Samples of all nodes together, of 16 bytes each; beyond, every other one goes.
const SAMPLES_MAX: usize = 400_000;

/// What the copy looked like, as far as it has gone.
#[derive(Debug)]
pub(crate) struct Timeline {
    interval: Duration,
    nodes: Vec<Line>,
}

/// One node over time.
#[derive(Debug)]
struct Line {
    name: String,
    /// When it had received how many bytes.
    samples: Vec<(Time, u64)>,
    /// What became of it, and when.
    marks: Vec<(Time, &'static str)>,
}

impl Timeline {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self {
            interval: SAMPLE_INTERVAL,
            nodes: Vec::new(),
        }
    }

    /// Takes in what happens.
    pub(crate) fn note(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Receptions(receptions) => self.sample(receptions.iter()),
            Notice::Event(event) => match event {
                Event::JoinedLate(name) => self.mark(name, "joined late"),
                Event::Demoted(name, _) => self.mark(name, "apart"),
                Event::Returned(name) => self.mark(name, "with the others"),
                Event::Complete(name) => self.mark(name, "complete"),
                Event::Gone(name, _) => self.mark(name, "gone"),
                _ => {}
            },
            _ => {}
        }
    }

    /// Takes a sample of each node; they come in the same order each time.
    fn sample<'a>(&mut self, receptions: impl Iterator<Item = Reception<'a>>) {
        for (number, reception) in receptions.enumerate() {
            if number == self.nodes.len() {
                self.nodes.push(Line {
                    name: reception.name.into(),
                    samples: Vec::new(),
                    marks: Vec::new(),
                });
            }
            let line = &mut self.nodes[number];
            let is_due = line
                .samples
                .last()
                .is_none_or(|(at, _)| *at + self.interval <= reception.heard_at);
            if is_due {
                line.samples.push((reception.heard_at, reception.bytes));
            }
        }
        let samples: usize = self.nodes.iter().map(|line| line.samples.len()).sum();
        if samples > SAMPLES_MAX {
            self.interval *= 2;
            self.nodes.iter_mut().for_each(Line::thin_out);
        }
    }

    /// Notes what became of the node of this name: of the last, where a node came again.
    fn mark(&mut self, name: &str, what: &'static str) {
        let now = self.now();
        if let Some(line) = self.nodes.iter_mut().rfind(|line| line.name == name) {
            line.marks.push((now, what));
        }
    }

    /// The latest moment that is known of.
    fn now(&self) -> Time {
        let last = self.nodes.iter().filter_map(|line| line.samples.last());
        last.map(|(at, _)| *at).max().unwrap_or(Time::ZERO)
    }

    /// The picture.
    pub(crate) fn svg(&self) -> String {
        svg::picture(&self.nodes)
    }
}

impl Line {
    /// Keeps every other sample, among them the first.
    fn thin_out(&mut self) {
        let mut keep = false;
        self.samples.retain(|_| {
            keep = !keep;
            keep
        });
    }
}

/// A file that appears under its name only when it is whole.
#[derive(Debug)]
pub(crate) struct Picture {
    path: PathBuf,
}

impl Picture {
    /// Makes sure, before the copy, that the file can be written after it.
    ///
    /// # Errors
    ///
    /// What the kernel says of its folder, or that a folder has its name.
    pub(crate) fn at(path: PathBuf) -> io::Result<Self> {
        if path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let picture = Self { path };
        picture.part()?;
        Ok(picture)
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(crate) fn write(&self, text: &str) -> io::Result<()> {
        let mut part = self.part()?;
        part.write_all(text.as_bytes())?;
        part.persist(&self.path)?;
        Ok(())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file beside it, which goes again unless it takes the name.
    fn part(&self) -> io::Result<NamedTempFile> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        tempfile::Builder::new()
            .prefix(".grappe-timeline-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
    }
}
