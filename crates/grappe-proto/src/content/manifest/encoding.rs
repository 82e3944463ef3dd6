//! The manifest's form on the wire: CBOR (RFC 8949) arrays whose fields have fixed positions.
//!
//! ```text
//! manifest = [version, [entry, ...]]
//! entry    = [path, kind, mode, seconds, nanoseconds, size or target]     (no last field: directory)
//! ```
//!
//! Later programs may append fields to either array; they are skipped here. Paths are whole and not
//! coded against the one before: a short message could otherwise unfold into gigabytes of paths.
//! What values are allowed is not checked here (`rules`).

use std::convert::Infallible;

use minicbor::decode::{Decoder, Error as DecodeError};
use minicbor::encode::{Encoder, Error as EncodeError};

use super::{Entry, Kind, Manifest, ManifestError};
use crate::limits::{ENTRIES_MAX, MANIFEST_BYTES_MAX};

const VERSION: u32 = 1;

const KIND_DIRECTORY: u8 = 0;
const KIND_FILE: u8 = 1;
const KIND_SYMLINK: u8 = 2;

/// Fields of the manifest's own array, and of each entry, that every version has.
const MANIFEST_FIELDS: u64 = 2;
const ENTRY_FIELDS: u64 = 5;

/// The fewest bytes that an entry takes: an array of five fields, of which the path has a byte.
const ENTRY_BYTES_MIN: usize = 7;

/// About the bytes that an entry takes beside its path; only to allocate once.
const ENTRY_BYTES_TYPICAL: usize = 24;

pub(super) fn encode(manifest: &Manifest) -> Vec<u8> {
    let paths: usize = manifest.entries.iter().map(|entry| entry.path.len()).sum();
    let guess = paths + ENTRY_BYTES_TYPICAL * manifest.entries.len();
    let mut encoder = Encoder::new(Vec::with_capacity(guess));
    match write(&mut encoder, manifest) {
        Ok(()) => encoder.into_writer(),
        // Only the writer can fail, and a vector does not.
        Err(_) => Vec::new(),
    }
}

fn write(
    encoder: &mut Encoder<Vec<u8>>,
    manifest: &Manifest,
) -> Result<(), EncodeError<Infallible>> {
    encoder
        .array(MANIFEST_FIELDS)?
        .u32(VERSION)?
        .array(manifest.entries.len() as u64)?;
    for Entry {
        path,
        kind,
        mode,
        mtime: (seconds, nanos),
    } in &manifest.entries
    {
        let (number, fields) = match kind {
            Kind::Directory => (KIND_DIRECTORY, ENTRY_FIELDS),
            Kind::File { .. } => (KIND_FILE, ENTRY_FIELDS + 1),
            Kind::Symlink { .. } => (KIND_SYMLINK, ENTRY_FIELDS + 1),
        };
        encoder
            .array(fields)?
            .bytes(path)?
            .u8(number)?
            .u32(*mode)?
            .i64(*seconds)?
            .u32(*nanos)?;
        match kind {
            Kind::Directory => {}
            Kind::File { size } => {
                encoder.u64(*size)?;
            }
            Kind::Symlink { target } => {
                encoder.bytes(target)?;
            }
        }
    }
    Ok(())
}

pub(super) fn decode(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    if bytes.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(ManifestError::TooLong);
    }
    let mut reader = Reader {
        decoder: Decoder::new(bytes),
    };
    let fields = reader.array(MANIFEST_FIELDS)?;
    let version = reader.read(|decoder| decoder.u32())?;
    if version != VERSION {
        return Err(ManifestError::Version { version });
    }
    let count = reader.array(0)?;
    if count > ENTRIES_MAX as u64 {
        return Err(ManifestError::EntryCount);
    }
    // A claimed count is believed only as far as the bytes at hand could hold it.
    let count_possible = bytes.len() / ENTRY_BYTES_MIN;
    let mut entries = Vec::with_capacity(count_possible.min(count as usize));
    for entry in 0..count as u32 {
        entries.push(reader.entry(entry)?);
    }
    reader.skip(fields - MANIFEST_FIELDS)?;
    match reader.decoder.position() {
        end if end == bytes.len() => Ok(Manifest { entries }),
        at => Err(ManifestError::TrailingBytes { at }),
    }
}

/// A CBOR decoder whose errors say where the manifest is broken.
struct Reader<'a> {
    decoder: Decoder<'a>,
}

impl<'a> Reader<'a> {
    fn entry(&mut self, entry: u32) -> Result<Entry, ManifestError> {
        let fields = self.array(ENTRY_FIELDS)?;
        let path = self.read(|decoder| decoder.bytes())?.to_vec();
        let kind = self.read(|decoder| decoder.u8())?;
        let mode = self.read(|decoder| decoder.u32())?;
        let seconds = self.read(|decoder| decoder.i64())?;
        let nanos = self.read(|decoder| decoder.u32())?;
        let (kind, known) = match kind {
            KIND_DIRECTORY => (Kind::Directory, ENTRY_FIELDS),
            KIND_FILE => (
                Kind::File {
                    size: self.read(|decoder| decoder.u64())?,
                },
                ENTRY_FIELDS + 1,
            ),
            KIND_SYMLINK => {
                let target = self.read(|decoder| decoder.bytes())?.to_vec();
                (Kind::Symlink { target }, ENTRY_FIELDS + 1)
            }
            kind => return Err(ManifestError::Kind { entry, kind }),
        };
        let Some(unknown) = fields.checked_sub(known) else {
            return Err(ManifestError::Malformed {
                at: self.decoder.position(),
            });
        };
        self.skip(unknown)?;
        Ok(Entry {
            path,
            kind,
            mode,
            mtime: (seconds, nanos),
        })
    }

    /// The length of an array that begins here, which is given and at least `fields`.
    fn array(&mut self, fields: u64) -> Result<u64, ManifestError> {
        let at = self.decoder.position();
        let len = self.read(|decoder| decoder.array())?;
        len.filter(|len| *len >= fields)
            .ok_or(ManifestError::Malformed { at })
    }

    /// Passes over `fields` values of whatever form.
    fn skip(&mut self, fields: u64) -> Result<(), ManifestError> {
        (0..fields).try_for_each(|_| self.read(|decoder| decoder.skip()))
    }

    fn read<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, ManifestError> {
        let at = self.decoder.position();
        read(&mut self.decoder).map_err(|_| ManifestError::Malformed { at })
    }
}
