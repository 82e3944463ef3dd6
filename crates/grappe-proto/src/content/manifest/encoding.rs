//! The manifest's form on the wire: CBOR (RFC 8949) arrays whose fields have fixed positions.
//!
//! ```text
//! manifest = [version, [entry, ...], terms]
//! entry    = [shared, path, kind, mode, seconds, nanoseconds, last?, extra?]
//! shared   = how many bytes the whole path has in common with that of the entry before; `path` has the rest
//! last     = size, target, entry or device; not there for directories, pipes and sockets
//! extra    = {0: owner, 1: [gap, length, ...], 2: [name, value, ...]}
//! terms    = {0: sync, 1: delete, 2: delete_max, 3: dry_run, 4: [include, pattern, ...], 5: stream,
//!             6: [uid, gid, user, group, ...], 7: attributes}
//! ```
//!
//! What is absent has its default. Later programs may append fields to the arrays and keys to the maps;
//! they are skipped here. A short message could unfold into gigabytes of paths, so that all of them
//! together are bounded as the manifest is.
//! What values are allowed is not checked here (`rules`).

use std::convert::Infallible;

use minicbor::decode::{Decoder, Error as DecodeError};
use minicbor::encode::{Encoder, Error as EncodeError};

use super::{Entry, Extent, Extra, Filter, Kind, Manifest, ManifestError, Owner, Sync, Terms};
use crate::limits::{ENTRIES_MAX, MANIFEST_BYTES_MAX};

const VERSION: u32 = 3;

const KIND_DIRECTORY: u8 = 0;
const KIND_FILE: u8 = 1;
const KIND_SYMLINK: u8 = 2;
const KIND_HARD_LINK: u8 = 3;
const KIND_CHARACTER_DEVICE: u8 = 4;
const KIND_BLOCK_DEVICE: u8 = 5;
const KIND_FIFO: u8 = 6;
const KIND_SOCKET: u8 = 7;

/// Fields of the manifest's own array, and of each entry, that every version has.
const MANIFEST_FIELDS: u64 = 2;
const ENTRY_FIELDS: u64 = 6;

/// The fewest bytes that an entry takes: an array of six fields, of which the path may be empty.
const ENTRY_BYTES_MIN: usize = 7;

/// About the bytes that an entry takes beside its path; only to allocate once.
const ENTRY_BYTES_TYPICAL: usize = 28;

type Written = Result<(), EncodeError<Infallible>>;

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

fn write(encoder: &mut Encoder<Vec<u8>>, manifest: &Manifest) -> Written {
    encoder
        .array(MANIFEST_FIELDS + 1)?
        .u32(VERSION)?
        .array(manifest.entries.len() as u64)?;
    let mut before: &[u8] = &[];
    for entry in &manifest.entries {
        write_entry(encoder, entry, before)?;
        before = &entry.path;
    }
    write_terms(encoder, &manifest.terms, &manifest.owners)
}

fn write_entry(encoder: &mut Encoder<Vec<u8>>, entry: &Entry, before: &[u8]) -> Written {
    let number = match entry.kind {
        Kind::Directory => KIND_DIRECTORY,
        Kind::File { .. } => KIND_FILE,
        Kind::Symlink { .. } => KIND_SYMLINK,
        Kind::HardLink { .. } => KIND_HARD_LINK,
        Kind::Device {
            is_block: false, ..
        } => KIND_CHARACTER_DEVICE,
        Kind::Device { is_block: true, .. } => KIND_BLOCK_DEVICE,
        Kind::Fifo => KIND_FIFO,
        Kind::Socket => KIND_SOCKET,
    };
    let has_extra = entry.owner.is_some() || entry.extra.is_some();
    let (seconds, nanos) = entry.mtime;
    let pairs = entry.path.iter().zip(before);
    let shared = pairs.take_while(|(one, other)| one == other).count();
    encoder
        .array(ENTRY_FIELDS + u64::from(has_last(number)) + u64::from(has_extra))?
        .u32(shared as u32)?
        .bytes(entry.path.get(shared..).unwrap_or_default())?
        .u8(number)?
        .u32(entry.mode)?
        .i64(seconds)?
        .u32(nanos)?;
    match &entry.kind {
        Kind::Directory | Kind::Fifo | Kind::Socket => {}
        Kind::File { size } => {
            encoder.u64(*size)?;
        }
        Kind::Symlink { target } => {
            encoder.bytes(target)?;
        }
        Kind::HardLink { to } => {
            encoder.u32(*to)?;
        }
        Kind::Device { major, minor, .. } => {
            encoder.u64(u64::from(*major) << 32 | u64::from(*minor))?;
        }
    }
    if has_extra {
        write_extra(encoder, entry)?;
    }
    Ok(())
}

fn write_extra(encoder: &mut Encoder<Vec<u8>>, entry: &Entry) -> Written {
    let (extents, attributes) = (entry.extents(), entry.attributes());
    let has = [
        entry.owner.is_some(),
        extents.is_some(),
        !attributes.is_empty(),
    ];
    encoder.map(has.iter().filter(|has| **has).count() as u64)?;
    if let Some(owner) = entry.owner {
        encoder.u8(0)?.u32(owner)?;
    }
    if let Some(extents) = extents {
        encoder.u8(1)?.array(2 * extents.len() as u64)?;
        let mut at = 0;
        for Extent { offset, len } in extents {
            encoder.u64(offset.wrapping_sub(at))?.u64(*len)?;
            at = offset.wrapping_add(*len);
        }
    }
    if !attributes.is_empty() {
        encoder.u8(2)?.array(2 * attributes.len() as u64)?;
        for (name, value) in attributes {
            encoder.bytes(name)?.bytes(value)?;
        }
    }
    Ok(())
}

fn write_terms(encoder: &mut Encoder<Vec<u8>>, terms: &Terms, owners: &[Owner]) -> Written {
    let sync = match terms.sync {
        Sync::None => 0,
        Sync::Times => 1,
        Sync::Checksum => 2,
    };
    encoder.map(7 + u64::from(terms.delete_max.is_some()))?;
    encoder.u8(0)?.u8(sync)?.u8(1)?.bool(terms.delete)?;
    if let Some(max) = terms.delete_max {
        encoder.u8(2)?.u64(max)?;
    }
    encoder.u8(3)?.bool(terms.dry_run)?;
    encoder.u8(4)?.array(2 * terms.filters.len() as u64)?;
    for Filter { include, pattern } in &terms.filters {
        encoder.bool(*include)?.bytes(pattern)?;
    }
    encoder.u8(5)?.bool(terms.stream)?;
    encoder.u8(6)?.array(4 * owners.len() as u64)?;
    for Owner {
        uid,
        gid,
        user,
        group,
    } in owners
    {
        encoder.u32(*uid)?.u32(*gid)?.bytes(user)?.bytes(group)?;
    }
    encoder.u8(7)?.bool(terms.attributes)?;
    Ok(())
}

const fn has_last(kind: u8) -> bool {
    !matches!(kind, KIND_DIRECTORY | KIND_FIFO | KIND_SOCKET)
}

/// Reads a manifest whose whole paths have at most `paths_max` bytes together.
pub(super) fn decode(bytes: &[u8], paths_max: u64) -> Result<Manifest, ManifestError> {
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
    let mut manifest = Manifest {
        entries: Vec::with_capacity(count_possible.min(count as usize)),
        ..Manifest::default()
    };
    let mut room = paths_max;
    for number in 0..count as u32 {
        let before = manifest.entries.last().map_or(&[][..], |entry| &entry.path);
        let entry = reader.entry(number, before)?;
        room = room
            .checked_sub(entry.path.len() as u64)
            .ok_or(ManifestError::TooLong)?;
        manifest.entries.push(entry);
    }
    let mut left = fields - MANIFEST_FIELDS;
    if left > 0 {
        reader.terms(&mut manifest)?;
        left -= 1;
    }
    reader.skip(left)?;
    match reader.decoder.position() {
        end if end == bytes.len() => Ok(manifest),
        at => Err(ManifestError::TrailingBytes { at }),
    }
}

/// A CBOR decoder whose errors say where the manifest is broken.
struct Reader<'a> {
    decoder: Decoder<'a>,
}

impl<'a> Reader<'a> {
    fn entry(&mut self, entry: u32, before: &[u8]) -> Result<Entry, ManifestError> {
        let fields = self.array(ENTRY_FIELDS)?;
        let path = self.path(before)?;
        let number = self.read(|decoder| decoder.u8())?;
        let mode = self.read(|decoder| decoder.u32())?;
        let seconds = self.read(|decoder| decoder.i64())?;
        let nanos = self.read(|decoder| decoder.u32())?;
        if number > KIND_SOCKET {
            return Err(ManifestError::Kind {
                entry,
                kind: number,
            });
        }
        let known = ENTRY_FIELDS + u64::from(has_last(number));
        let Some(mut left) = fields.checked_sub(known) else {
            return Err(ManifestError::Malformed {
                at: self.decoder.position(),
            });
        };
        let mut found = Entry {
            path,
            kind: self.kind(number)?,
            mode,
            mtime: (seconds, nanos),
            ..Entry::default()
        };
        if left > 0 {
            self.extra(&mut found)?;
            left -= 1;
        }
        self.skip(left)?;
        Ok(found)
    }

    /// The path of an entry after that with the path `before`.
    fn path(&mut self, before: &[u8]) -> Result<Vec<u8>, ManifestError> {
        let at = self.decoder.position();
        let shared = self.read(|decoder| decoder.u32())?;
        let shared = before.get(..shared as usize);
        let rest = self.read(|decoder| decoder.bytes())?;
        Ok([shared.ok_or(ManifestError::Malformed { at })?, rest].concat())
    }

    fn kind(&mut self, number: u8) -> Result<Kind, ManifestError> {
        Ok(match number {
            KIND_FILE => Kind::File {
                size: self.read(|decoder| decoder.u64())?,
            },
            KIND_SYMLINK => Kind::Symlink {
                target: self.bytes()?,
            },
            KIND_HARD_LINK => Kind::HardLink {
                to: self.read(|decoder| decoder.u32())?,
            },
            KIND_CHARACTER_DEVICE | KIND_BLOCK_DEVICE => {
                let device = self.read(|decoder| decoder.u64())?;
                Kind::Device {
                    is_block: number == KIND_BLOCK_DEVICE,
                    major: (device >> 32) as u32,
                    minor: device as u32,
                }
            }
            KIND_FIFO => Kind::Fifo,
            KIND_SOCKET => Kind::Socket,
            _ => Kind::Directory,
        })
    }

    fn extra(&mut self, entry: &mut Entry) -> Result<(), ManifestError> {
        let mut extra = Extra::default();
        for _ in 0..self.map()? {
            match self.read(|decoder| decoder.u64())? {
                0 => entry.owner = Some(self.read(|decoder| decoder.u32())?),
                1 => extra.extents = Some(self.extents()?),
                2 => {
                    for _ in 0..self.array(0)? / 2 {
                        let attribute = (self.bytes()?, self.bytes()?);
                        extra.attributes.push(attribute);
                    }
                }
                _ => self.skip(1)?,
            }
        }
        if extra != Extra::default() {
            entry.extra = Some(Box::new(extra));
        }
        Ok(())
    }

    fn extents(&mut self) -> Result<Vec<Extent>, ManifestError> {
        let mut extents = Vec::new();
        let mut at = 0_u64;
        for _ in 0..self.array(0)? / 2 {
            let gap = self.read(|decoder| decoder.u64())?;
            let len = self.read(|decoder| decoder.u64())?;
            let malformed = ManifestError::Malformed {
                at: self.decoder.position(),
            };
            let offset = at.checked_add(gap).ok_or(malformed)?;
            at = offset.checked_add(len).ok_or(malformed)?;
            extents.push(Extent { offset, len });
        }
        Ok(extents)
    }

    fn terms(&mut self, manifest: &mut Manifest) -> Result<(), ManifestError> {
        for _ in 0..self.map()? {
            let at = self.decoder.position();
            let terms = &mut manifest.terms;
            match self.read(|decoder| decoder.u64())? {
                0 => {
                    terms.sync = match self.read(|decoder| decoder.u8())? {
                        0 => Sync::None,
                        1 => Sync::Times,
                        2 => Sync::Checksum,
                        _ => return Err(ManifestError::Malformed { at }),
                    }
                }
                1 => terms.delete = self.read(|decoder| decoder.bool())?,
                2 => terms.delete_max = Some(self.read(|decoder| decoder.u64())?),
                3 => terms.dry_run = self.read(|decoder| decoder.bool())?,
                4 => {
                    for _ in 0..self.array(0)? / 2 {
                        let include = self.read(|decoder| decoder.bool())?;
                        let pattern = self.bytes()?;
                        manifest.terms.filters.push(Filter { include, pattern });
                    }
                }
                5 => terms.stream = self.read(|decoder| decoder.bool())?,
                6 => {
                    for _ in 0..self.array(0)? / 4 {
                        let owner = Owner {
                            uid: self.read(|decoder| decoder.u32())?,
                            gid: self.read(|decoder| decoder.u32())?,
                            user: self.bytes()?,
                            group: self.bytes()?,
                        };
                        manifest.owners.push(owner);
                    }
                }
                7 => terms.attributes = self.read(|decoder| decoder.bool())?,
                _ => self.skip(1)?,
            }
        }
        Ok(())
    }

    fn bytes(&mut self) -> Result<Vec<u8>, ManifestError> {
        Ok(self.read(|decoder| decoder.bytes())?.to_vec())
    }

    /// The length of an array that begins here, which is given and at least `fields`.
    fn array(&mut self, fields: u64) -> Result<u64, ManifestError> {
        let at = self.decoder.position();
        let len = self.read(|decoder| decoder.array())?;
        len.filter(|len| *len >= fields)
            .ok_or(ManifestError::Malformed { at })
    }

    /// The length of a map that begins here, which is given.
    fn map(&mut self) -> Result<u64, ManifestError> {
        let at = self.decoder.position();
        let len = self.read(|decoder| decoder.map())?;
        len.ok_or(ManifestError::Malformed { at })
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
