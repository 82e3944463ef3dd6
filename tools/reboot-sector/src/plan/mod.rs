//! Decides what happens to the first sector of a disk: facts and bytes in, a new sector or a refusal out.
//! Pure; `device` gathers the facts and writes. The commands `install` and `restore` call it.

mod facts;
pub mod jitter;
pub mod order;
mod refusal;
#[cfg(test)]
mod tests;

pub use facts::{Facts, Kind, Use, UseKind};
pub use refusal::Refusal;

use crate::loader::{self, Loader};
use crate::sector::Ours;
use crate::sector::layout::CODE_LEN;
use crate::table::filesystem;
use crate::table::mbr::{self, ENTRIES, ENTRY_LEN, MARK, MARK_BYTES, Record, Scheme};

/// What the user wants of an installation.
#[derive(Clone, Debug)]
pub struct Request {
    /// The code to write.
    pub code: [u8; CODE_LEN],
    /// Mark the first partition active when none is: some BIOSes boot no disk without.
    pub activate: bool,
}

/// What the user wants of a restoration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restoration {
    /// The whole sector, the partition table of the backup's time too.
    pub whole: bool,
    /// Also over boot code of others, which came there since.
    pub replace: bool,
}

/// What the user says about the disk, so that no other is written.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// The serial number.
    pub serial: Option<String>,
    /// The size in bytes.
    pub size_bytes: Option<u64>,
}

/// A sector as it is and as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What must be there when it is written, else nothing is.
    pub old: Record,
    /// What is written.
    pub new: Record,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Plan {
    /// Nothing has to be written.
    pub fn is_done(&self) -> bool {
        self.old == self.new
    }
}

/// Checks that the disk may be written at all: what it is, who uses it, and whether it is the one meant.
///
/// # Errors
/// The reason why not.
pub fn admit(facts: &Facts, expected: &Expectation) -> Result<Vec<String>, Refusal> {
    match &facts.kind {
        Kind::Partition { of } => return Err(Refusal::Partition { of: of.clone() }),
        Kind::Unfit(what) => return Err(Refusal::Unfit(what)),
        Kind::Disk | Kind::Image => {}
    }
    if let Some(wanted) = &expected.serial
        && facts.serial.as_ref() != Some(wanted)
    {
        let found = facts.serial.clone().unwrap_or_else(|| "unknown".to_owned());
        return Err(Refusal::Serial {
            wanted: wanted.clone(),
            found,
        });
    }
    if let Some(wanted) = expected.size_bytes
        && facts.size_bytes != wanted
    {
        return Err(Refusal::Size {
            wanted,
            found: facts.size_bytes,
        });
    }
    if facts.read_only {
        return Err(Refusal::ReadOnly);
    }
    if facts.sector_bytes != 512 {
        return Err(Refusal::SectorSize(facts.sector_bytes));
    }
    if facts.size_bytes < 512 {
        return Err(Refusal::TooSmall(facts.size_bytes));
    }
    if let Some(user) = facts.uses.iter().find(|user| user.whole) {
        return Err(Refusal::InUse(user.to_string()));
    }
    if let Some(what) = facts.member_of {
        return Err(Refusal::Member(what));
    }
    if facts.busy && facts.uses.is_empty() {
        return Err(Refusal::Busy);
    }
    let note = |user: &Use| format!("{user}; that part of the disk is not touched");
    Ok(facts.uses.iter().map(note).collect())
}

/// Plans to put the code on a disk that was admitted. `head` is its start, [`filesystem::HEAD_LEN`] bytes
/// or as many as there are.
///
/// # Errors
/// When the first sector belongs to something else.
pub fn install(head: &[u8], request: &Request) -> Result<Plan, Refusal> {
    let old: Record = *head
        .first_chunk()
        .ok_or(Refusal::TooSmall(head.len() as u64))?;
    let table = mbr::read(&old);
    let scheme = table.scheme();
    is_no_file_system(head, scheme)?;
    if !table.is_plausible() {
        return Err(Refusal::Implausible);
    }
    if scheme == Scheme::Unmarked {
        return Err(Refusal::Unmarked);
    }
    let old_code = code_of(&old);
    // An archive or a database may begin so: no mark, no partitions, and bytes that are no known code.
    if scheme == Scheme::None && old_code == Loader::Unknown {
        return Err(Refusal::Implausible);
    }
    let mut notes = Vec::new();
    let mut new = old;
    new[..CODE_LEN].copy_from_slice(&request.code);
    let mut allowed: Vec<std::ops::Range<usize>> = std::iter::once(0..CODE_LEN).collect();
    if scheme == Scheme::None {
        new[MARK..].copy_from_slice(&MARK_BYTES);
        allowed.push(MARK..mbr::RECORD_LEN);
        notes.push("the disk is blank: 55 AA is added, without which no BIOS boots it".to_owned());
    }
    if !table.has_active() {
        match (request.activate, table.used().next()) {
            (true, Some((number, _))) => {
                let at = ENTRIES + (number - 1) * ENTRY_LEN;
                new[at] = mbr::ACTIVE;
                allowed.push(at..at + 1);
                notes.push(format!("partition {number} is marked active"));
                if matches!(scheme, Scheme::Gpt | Scheme::Hybrid) {
                    notes.push(
                        "some UEFI firmware then does not boot from this GPT disk; restore takes the mark back"
                            .to_owned(),
                    );
                }
            }
            (true, None) => return Err(Refusal::NothingToActivate),
            (false, _) => notes.push(
                "no partition is active: if the BIOS passes the disk over, install with --active"
                    .to_owned(),
            ),
        }
    }
    if !matches!(old_code, Loader::None | Loader::Ours(Ours::Current(_))) {
        notes.push(format!("replaces: {}", old_code.describe()));
    }
    let kept = (0..mbr::RECORD_LEN)
        .all(|at| allowed.iter().any(|range| range.contains(&at)) || old[at] == new[at]);
    if !kept {
        return Err(Refusal::WouldChangeTable);
    }
    Ok(Plan { old, new, notes })
}

/// Plans to put code from a backup back. The table stays as it is now, it may have changed since; with
/// `whole` it becomes that of the backup. What an installation sets besides code is taken back where
/// nothing else changed: an active flag, and the mark 55 AA of a blank disk.
///
/// # Errors
/// When the disk has no first sector, or it belongs to something else by now: to a file system, or to
/// another boot loader unless `wanted` says that it may go.
pub fn restore(head: &[u8], backup: &Record, wanted: Restoration) -> Result<Plan, Refusal> {
    let old: Record = *head
        .first_chunk()
        .ok_or(Refusal::TooSmall(head.len() as u64))?;
    // One that was made since lost our code already, and would lose its own first bytes.
    is_no_file_system(head, mbr::read(&old).scheme())?;
    let mut notes = Vec::new();
    let old_code = code_of(&old);
    let is_replaced = old[..CODE_LEN] != backup[..CODE_LEN];
    if is_replaced && !matches!(old_code, Loader::None | Loader::Ours(_)) {
        if !wanted.replace {
            return Err(Refusal::OtherCode(old_code.describe()));
        }
        notes.push(format!("replaces: {}", old_code.describe()));
    }
    let mut new = old;
    new[..CODE_LEN].copy_from_slice(&backup[..CODE_LEN]);
    if old[CODE_LEN..] != backup[CODE_LEN..] {
        if is_our_doing(backup, &old) {
            new = *backup;
            notes.push("the active flag, or the mark 55 AA, is taken back too".to_owned());
        } else if wanted.whole {
            new = *backup;
            notes.push("the partition table becomes that of the backup".to_owned());
        } else {
            notes.push(
                "the partition table changed since the backup, and stays as it is".to_owned(),
            );
        }
    }
    Ok(Plan { old, new, notes })
}

fn code_of(record: &Record) -> Loader {
    let code = record.first_chunk();
    code.map_or(Loader::Unknown, loader::identify)
}

/// The first sector belongs to no file system, swap or volume on the whole disk.
fn is_no_file_system(head: &[u8], scheme: Scheme) -> Result<(), Refusal> {
    let has_table = matches!(scheme, Scheme::Mbr | Scheme::Gpt | Scheme::Hybrid);
    match filesystem::sign(head) {
        Some(sign) if sign.is_firm() || !has_table => Err(Refusal::FileSystem(sign.name)),
        _ => Ok(()),
    }
}

/// Everything behind the code differs by no more than what [`install`] sets there.
fn is_our_doing(before: &Record, now: &Record) -> bool {
    let table = mbr::read(before);
    let mut expected = *before;
    if table.scheme() == Scheme::None {
        expected[MARK..].copy_from_slice(&MARK_BYTES);
    }
    if !table.has_active()
        && let Some((number, _)) = table.used().next()
    {
        expected[ENTRIES + (number - 1) * ENTRY_LEN] = mbr::ACTIVE;
    }
    expected[CODE_LEN..] == now[CODE_LEN..]
}
