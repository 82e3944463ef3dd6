//! Reads mails: one file, standard input, an mbox or a maildir, each mail bounded.
//!
//! Also folders of records. Never writes.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::CommandError;
use check_notice::config::Config;
use check_notice::mail::{MAIL_BYTES_MAX, Mail, Refusal};
use check_notice::records::{Reading, Records, Wanted, kind_of};

/// Mails of one mbox or maildir.
const MAILS_MAX: usize = 100_000;

/// A mail, or why it was refused, with its name.
pub(super) struct Item {
    pub(super) name: String,
    pub(super) mail: Result<Mail, Refusal>,
}

/// What is done with each mail as it comes.
type Each<'a> = dyn FnMut(Item) -> Result<(), CommandError> + 'a;

/// Reads all mails of a path, `-` for standard input; one at a time is in memory.
pub(super) fn each_mail(path: &Path, each: &mut Each<'_>) -> Result<(), CommandError> {
    if path == Path::new("-") {
        return each(item("-", one(std::io::stdin().lock(), path)?));
    }
    if path.is_dir() {
        return maildir(path, each);
    }
    let file = File::open(path).map_err(|error| CommandError::file(path, &error))?;
    let mut reader = BufReader::new(file);
    let start = reader
        .fill_buf()
        .map_err(|error| CommandError::file(path, &error))?;
    let name = path.display().to_string();
    if start.starts_with(b"From ") {
        mbox(reader, path, &name, each)
    } else {
        each(item(&name, one(reader, path)?))
    }
}

fn item(name: &str, raw: Vec<u8>) -> Item {
    Item {
        name: name.to_owned(),
        mail: Mail::read(raw),
    }
}

/// At most one byte more than is allowed.
fn one(reader: impl Read, path: &Path) -> Result<Vec<u8>, CommandError> {
    let mut raw = Vec::new();
    let mut bounded = reader.take(MAIL_BYTES_MAX as u64 + 1);
    bounded
        .read_to_end(&mut raw)
        .map_err(|error| CommandError::file(path, &error))?;
    Ok(raw)
}

fn too_many(path: &Path) -> CommandError {
    CommandError::usage(
        format!("{}: more than {MAILS_MAX} mails", path.display()),
        "check a part of them at a time",
    )
}

fn mbox(
    mut reader: impl BufRead,
    path: &Path,
    name: &str,
    each: &mut Each<'_>,
) -> Result<(), CommandError> {
    let mut count = 0;
    let mut raw: Vec<u8> = Vec::new();
    let mut line = Vec::new();
    let mut after_empty = true;
    loop {
        line.clear();
        let mut bounded = (&mut reader).take(1 << 20);
        let length = bounded
            .read_until(b'\n', &mut line)
            .map_err(|error| CommandError::file(path, &error))?;
        if (length == 0 || after_empty && line.starts_with(b"From ")) && !raw.is_empty() {
            count += 1;
            if count > MAILS_MAX {
                return Err(too_many(path));
            }
            each(item(&format!("{name}#{count}"), std::mem::take(&mut raw)))?;
        }
        if length == 0 {
            return Ok(());
        }
        after_empty = line.trim_ascii().is_empty();
        // A quoted `From ` is the text's again (mboxrd).
        let quoted = line.starts_with(b">")
            && line
                .trim_ascii_start()
                .iter()
                .position(|b| *b != b'>')
                .is_some_and(|at| line[at..].starts_with(b"From "));
        let start = usize::from(quoted);
        let room = (MAIL_BYTES_MAX + 1).saturating_sub(raw.len());
        raw.extend_from_slice(&line[start..line.len().min(start + room)]);
    }
}

fn maildir(path: &Path, each: &mut Each<'_>) -> Result<(), CommandError> {
    let mut files: Vec<PathBuf> = Vec::new();
    let folders = [path.join("new"), path.join("cur")];
    let is_maildir = folders.iter().any(|folder| folder.is_dir());
    let plain = [path.to_owned()];
    for folder in if is_maildir {
        folders.as_slice()
    } else {
        plain.as_slice()
    } {
        if is_maildir && !folder.is_dir() {
            continue;
        }
        let entries =
            std::fs::read_dir(folder).map_err(|error| CommandError::file(folder, &error))?;
        let found = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|file| file.is_file());
        files.extend(found.take(MAILS_MAX + 1));
    }
    if files.len() > MAILS_MAX {
        return Err(too_many(path));
    }
    files.sort();
    for file in &files {
        let open = File::open(file).map_err(|error| CommandError::file(file, &error))?;
        each(item(&file.display().to_string(), one(open, file)?))?;
    }
    Ok(())
}

/// Reads all records of a folder, in the order of names; remarks on files that are none go to `notes`.
pub(super) fn records(
    folder: &Path,
    config: &Config,
    wanted: &Wanted,
    notes: &mut Vec<String>,
) -> Result<Records, CommandError> {
    let mut reading = Reading::new(wanted);
    let entries = std::fs::read_dir(folder).map_err(|error| CommandError::file(folder, &error))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| !path.is_dir())
        .collect();
    files.sort();
    for path in files {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let file = File::open(&path).map_err(|error| CommandError::file(&path, &error))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let start = reader
            .fill_buf()
            .map_err(|error| CommandError::file(&path, &error))?;
        let sniffed = kind_of(&name, &start[..start.len().min(8_192)]);
        match config.rules(&name, sniffed) {
            Some(rules) => reading.read(&name, rules, reader)?,
            None => notes.push(format!(
                "{name}: no record that is known; name its kind in the configuration"
            )),
        }
    }
    let records = reading.finish()?;
    for source in &records.sources {
        if source.bad_lines > 0 {
            notes.push(format!(
                "{}: {} line(s) could not be read",
                source.name, source.bad_lines
            ));
        }
    }
    Ok(records)
}
