//! The ledger in SQLite: stamps, keys, what was judged of whom, and who asked for names.
//!
//! Holds no name of a person: holders are kept as keyed pseudonyms. Called by `cli`.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::{digest, hmac, rand};
use rusqlite::{Connection, OptionalExtension, params};
use thiserror::Error;

use crate::mail::Mail;
use crate::sender::keys::{KeyFile, Seen};
use crate::time::Seconds;

/// Why the ledger cannot be used.
#[derive(Debug, Error)]
#[error("the ledger: {0}")]
pub struct LedgerError(#[from] rusqlite::Error);

/// An open ledger.
#[derive(Debug)]
pub struct Ledger {
    db: Connection,
}

/// One complaint as it goes into the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// [`content_hash`] of the mail.
    pub content: String,
    /// Who complained: a proven domain, or `claimed:` and the domain in From.
    pub complainant: String,
    /// When it came.
    pub received: Seconds,
    /// The verdict about the sender.
    pub sender: String,
    /// The verdict about the evidence.
    pub evidence: String,
    /// Hash of address, hour and content hash.
    pub facts: String,
    /// Hash of the recipients.
    pub recipient: String,
}

/// What was kept of a mail when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// When it came.
    pub received: Seconds,
    /// The results that the own border had written into it, one line each.
    pub results: Vec<String>,
}

/// Counts about one complainant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Account {
    /// Who.
    pub complainant: String,
    /// Complaints sent.
    pub sent: i64,
    /// Of these confirmed.
    pub confirmed: i64,
    /// Consistent.
    pub consistent: i64,
    /// Contradicted.
    pub contradicted: i64,
    /// Uncheckable.
    pub uncheckable: i64,
}

const SCHEMA: &str = "
  CREATE TABLE IF NOT EXISTS secret (id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB NOT NULL);
  CREATE TABLE IF NOT EXISTS notice (content TEXT PRIMARY KEY, complainant TEXT NOT NULL, received INTEGER NOT NULL,
    sender TEXT NOT NULL, evidence TEXT NOT NULL, facts TEXT NOT NULL, recipient TEXT NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS notice_facts ON notice (facts);
  CREATE TABLE IF NOT EXISTS stamp (content TEXT PRIMARY KEY, received INTEGER NOT NULL, results TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS dkim_key (name TEXT NOT NULL, record TEXT NOT NULL, seen INTEGER NOT NULL,
    UNIQUE (name, record, seen)) STRICT;
  CREATE TABLE IF NOT EXISTS reveal (at INTEGER NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL, content TEXT NOT NULL,
    holder TEXT NOT NULL) STRICT;";

impl Ledger {
    /// Opens or makes a ledger.
    ///
    /// # Errors
    ///
    /// What SQLite refuses.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        // It holds names that were revealed: its owner's alone, from the first byte on.
        let made = std::fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        drop(made);
        Self::over(Connection::open(path)?)
    }

    /// One that ends with the process: pseudonyms then differ from run to run.
    ///
    /// # Errors
    ///
    /// What SQLite refuses.
    pub fn in_memory() -> Result<Self, LedgerError> {
        Self::over(Connection::open_in_memory()?)
    }

    fn over(db: Connection) -> Result<Self, LedgerError> {
        // Deliveries stamp at the same time: they wait for each other.
        db.busy_timeout(std::time::Duration::from_secs(10))?;
        // Entries go into a log first: thousands of them wait for no disk, and a power cut loses the last
        // ones at most, which the next run makes again.
        db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        db.execute_batch("PRAGMA synchronous = NORMAL")?;
        db.execute_batch(SCHEMA)?;
        let mut key = [0_u8; 32];
        if rand::fill(&mut key).is_ok() {
            db.execute(
                "INSERT OR IGNORE INTO secret (id, key) VALUES (1, ?1)",
                params![key.as_slice()],
            )?;
        }
        Ok(Self { db })
    }

    /// Keeps when a mail came, what the border wrote, and the keys that were published then.
    ///
    /// # Errors
    ///
    /// What SQLite refuses.
    pub fn stamp(
        &mut self,
        content: &str,
        received: Seconds,
        results: &[String],
        keys: &[Seen],
    ) -> Result<(), LedgerError> {
        let change = self.db.transaction()?;
        change.execute(
            "INSERT OR IGNORE INTO stamp VALUES (?1, ?2, ?3)",
            params![content, received, results.join("\n")],
        )?;
        for key in keys {
            let at = key.at.unwrap_or(received);
            change.execute(
                "INSERT OR IGNORE INTO dkim_key VALUES (?1, ?2, ?3)",
                params![key.name, key.record, at],
            )?;
        }
        change.commit()?;
        Ok(())
    }

    /// The stamp of a mail.
    ///
    /// # Errors
    ///
    /// What SQLite refuses.
    pub fn stamped(&self, content: &str) -> Result<Option<Stamp>, LedgerError> {
        let mut query = self
            .db
            .prepare("SELECT received, results FROM stamp WHERE content = ?1")?;
        let read = |row: &rusqlite::Row<'_>| {
            let results: String = row.get(1)?;
            Ok(Stamp {
                received: row.get(0)?,
                results: results.lines().map(str::to_owned).collect(),
            })
        };
        Ok(query.query_row(params![content], read).optional()?)
    }

    /// The keys that were kept under these names, those seen nearest to the receipt of a mail.
    ///
    /// # Errors
    ///
    /// What SQLite refuses.
    pub fn keys(&self, names: &[String], received: Seconds) -> Result<KeyFile, LedgerError> {
        let mut file = KeyFile::default();
        let mut query = self.db.prepare(
            "SELECT record, seen FROM dkim_key WHERE name = ?1 ORDER BY abs(seen - ?2) LIMIT 100",
        )?;
        for name in names {
            for row in query.query_map(params![name, received], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })? {
                let (record, at) = row?;
                file.seen.push(Seen {
                    name: name.clone(),
                    record,
                    at: Some(at),
                    from: "stamp",
                });
            }
        }
        Ok(file)
    }

    /// Enters a judged complaint; again for the same mail replaces.
    ///
    /// # Errors
    ///
    /// What SQLite refuses.
    pub fn enter(&self, entry: &Entry) -> Result<(), LedgerError> {
        self.db.execute(
            "INSERT OR REPLACE INTO notice VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                entry.content,
                entry.complainant,
                entry.received,
                entry.sender,
                entry.evidence,
                entry.facts,
                entry.recipient
            ],
        )?;
        Ok(())
    }

    /// To how many other recipients the same evidence came.
    ///
    /// # Errors
    ///
    /// What SQLite refuses.
    pub fn others(&self, facts: &str, recipient: &str) -> Result<u64, LedgerError> {
        let count: i64 = self.db.query_row(
            "SELECT COUNT(DISTINCT recipient) FROM notice WHERE facts = ?1 AND recipient <> ?2",
            params![facts, recipient],
            |row| row.get(0),
        )?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Counts for each complainant, most complaints first.
    ///
    /// # Errors
    ///
    /// What SQLite refuses.
    pub fn accounts(&self) -> Result<Vec<Account>, LedgerError> {
        let mut query = self.db.prepare(
            "SELECT complainant, COUNT(*), SUM(evidence = 'confirmed'), SUM(evidence = 'consistent'),
             SUM(evidence = 'contradicted'), SUM(evidence = 'uncheckable') FROM notice
             GROUP BY complainant ORDER BY 2 DESC, 1",
        )?;
        let rows = query.query_map([], |row| {
            Ok(Account {
                complainant: row.get(0)?,
                sent: row.get(1)?,
                confirmed: row.get(2)?,
                consistent: row.get(3)?,
                contradicted: row.get(4)?,
                uncheckable: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A name for a holder that tells nothing, the same in each run with this ledger.
    ///
    /// # Errors
    ///
    /// What SQLite refuses.
    pub fn pseudonym(&self, holder: &str) -> Result<String, LedgerError> {
        let key: Vec<u8> = self
            .db
            .query_row("SELECT key FROM secret WHERE id = 1", [], |row| row.get(0))?;
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), holder.as_bytes());
        Ok(format!("holder-{}", hex(&tag.as_ref()[..5])))
    }

    /// Writes down that somebody asked for a name, before it is shown.
    ///
    /// # Errors
    ///
    /// What SQLite refuses.
    pub fn journal(
        &self,
        at: Seconds,
        who: &str,
        reason: &str,
        content: &str,
        holder: &str,
    ) -> Result<(), LedgerError> {
        // On the disk before the name is on the screen.
        self.db.execute_batch("PRAGMA synchronous = FULL")?;
        self.db.execute(
            "INSERT INTO reveal VALUES (?1, ?2, ?3, ?4, ?5)",
            params![at, who, reason, content, holder],
        )?;
        self.db.execute_batch("PRAGMA synchronous = NORMAL")?;
        Ok(())
    }
}

/// A hash of what delivery does not change: author, recipients, signatures and body.
#[must_use]
pub fn content_hash(mail: &Mail) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for name in [
        "From",
        "To",
        "Cc",
        "Subject",
        "Date",
        "Message-ID",
        "Content-Type",
        "Content-Transfer-Encoding",
        "DKIM-Signature",
    ] {
        for (_, header) in mail.all(name) {
            context.update(name.as_bytes());
            context.update(mail.unfolded(header).as_bytes());
            context.update(b"\n");
        }
    }
    for line in mail.raw[mail.body_at..]
        .trim_ascii_end()
        .split(|byte| *byte == b'\n')
    {
        context.update(line.strip_suffix(b"\r").unwrap_or(line));
        context.update(b"\n");
    }
    hex(context.finish().as_ref())
}

/// SHA-256 of a text, in hexadecimal.
#[must_use]
pub fn hash(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
