//! `check-notice check`: judges sender and evidence of each mail.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::report::{Report, code, json, text};
use super::spool::{Folder, Spool, Waiting};
use super::{CommandError, Common, error, input, now, open_ledger, print};
use check_notice::claim::Claim;
use check_notice::config::Config;
use check_notice::evidence::{self, Verdict};
use check_notice::ledger::{Entry, Ledger, content_hash, hash};
use check_notice::mail::{Mail, addresses_of};
use check_notice::records::Records;
use check_notice::sender::keys::{KeyFile, Seen};
use check_notice::sender::{self, Sender, SenderFinding, Trust, border_received, dkim};
use check_notice::time::{self, Seconds};
use check_notice::world::{DnsError, name_server, run_programs, txt};
use check_notice::{extract, leak, signs};

/// Judge a complaint: who sent it, and do our records agree?
///
/// Two answers, each with its reasons. Exit codes: 0 nothing against it, 10 contradicted, 11 unproven or
/// uncheckable, 12 true private facts in an unproven mail, 13 no complaint found, 2 usage, 65 mail refused,
/// 66 unreadable file, 75 ledger not usable. Of several mails the gravest.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A mail, an mbox, a maildir, or - for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    common: Common,
    /// Folder of own records: leases, sessions, translations, flows.
    #[arg(long, value_name = "DIR")]
    records: Option<PathBuf>,
    /// Ask DNS for keys that are not at hand of that time; tells the sender's name server that you look.
    #[arg(long)]
    online: bool,
    /// Print one JSON object for each mail, a line each.
    #[arg(long)]
    json: bool,
    /// Name holders. Needs a ledger, in which this reason is journaled.
    #[arg(long, value_name = "REASON")]
    reveal: Option<String>,
    /// When the mail came, as 2026-03-01T12:00:00Z, if no stamp and no border says it.
    #[arg(long, value_name = "TIME")]
    received: Option<String>,
}

/// A mail with all that can be said before records are read; its bytes wait in a file.
struct Opened {
    name: String,
    bytes: Waiting,
    content: String,
    received: Seconds,
    received_from: &'static str,
    claims: Vec<Claim>,
    sender: SenderFinding,
    /// Who complains, by what is proven or by `From`.
    complainant: String,
    /// A hash of those to whom it was written.
    recipient: String,
    signs: Vec<signs::Sign>,
    remarks: Vec<String>,
}

/// What all mails of a run are opened and judged with.
struct Desk<'a> {
    config: &'a Config,
    ledger: Ledger,
    people: leak::People,
    /// Keys that the configuration vouches for.
    keys: KeyFile,
    folder: Folder,
    spool: Spool,
    online: bool,
    stated: Option<Seconds>,
    reveal: Option<&'a str>,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let config = arguments.common.config()?;
    if arguments.reveal.is_some() && config.ledger.is_none() {
        return Err(CommandError::usage(
            "--reveal is journaled and needs a ledger",
            "set `ledger = \"FILE\"` in the configuration",
        ));
    }
    let stated = match &arguments.received {
        None => None,
        Some(text) => Some(
            time::read(text)
                .and_then(|(when, _)| when.only_meaning())
                .map(|m| m.from)
                .ok_or_else(|| {
                    CommandError::usage(
                        format!("--received {text}: no time"),
                        "write it as 2026-03-01T12:00:00Z",
                    )
                })?,
        ),
    };
    let mut desk = Desk::new(&config, arguments, stated)?;
    let mut opened = Vec::new();
    let mut worst = 0;
    input::each_mail(&arguments.file, &mut |item| {
        match item.mail {
            Ok(mail) => opened.push(desk.open(item.name, &mail)?),
            Err(refusal) => {
                eprintln!("check-notice: {}: {refusal}", item.name);
                worst = graver(worst, error::REFUSED);
            }
        }
        Ok(())
    })?;
    let records = match &arguments.records {
        Some(folder) => {
            let mut notes = Vec::new();
            let records = input::records(folder, &config, &desk.wanted(&opened), &mut notes)?;
            for note in &notes {
                eprintln!("check-notice: {note}");
            }
            records
        }
        None => Records::default(),
    };
    for one in &opened {
        let report = desk.judge(one, &records)?;
        worst = graver(worst, code(&report));
        print(&if arguments.json {
            json(&report)
        } else {
            text(&report)
        });
    }
    Ok(ExitCode::from(worst))
}

/// The order in which codes count: incidents, contradictions, refusals, the uncheckable, no complaint, none.
fn graver(one: u8, other: u8) -> u8 {
    let order = [
        error::INCIDENT,
        error::CONTRADICTED,
        error::REFUSED,
        error::UNCHECKABLE,
        error::NO_COMPLAINT,
    ];
    order
        .into_iter()
        .find(|code| [one, other].contains(code))
        .unwrap_or(0)
}

fn identity(sender: &SenderFinding) -> Option<&str> {
    sender
        .identity
        .as_deref()
        .filter(|_| matches!(sender.verdict, Sender::Proven | Sender::Attested))
}

impl<'a> Desk<'a> {
    fn new(
        config: &'a Config,
        arguments: &'a Arguments,
        stated: Option<Seconds>,
    ) -> Result<Self, CommandError> {
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).map_err(|error| CommandError::file(path, &error))
        };
        let people = config.people.as_ref().map(read).transpose()?;
        let keys = config.dkim_keys.as_ref().map(read).transpose()?;
        let folder = Folder::new()?;
        Ok(Self {
            config,
            ledger: open_ledger(config)?,
            people: people.map_or_else(leak::People::new, |text| leak::read_people(&text)),
            keys: keys.map_or_else(KeyFile::default, |text| KeyFile::read(&text)),
            spool: Spool::new(&folder)?,
            folder,
            online: arguments.online,
            stated,
            reveal: arguments.reveal.as_deref(),
        })
    }

    fn open(&mut self, name: String, mail: &Mail) -> Result<Opened, CommandError> {
        let content = content_hash(mail);
        let trust = self.config.trust();
        let stamp = self.ledger.stamped(&content)?;
        let (received, received_from) = match (&stamp, self.stated) {
            (Some(stamp), _) => (stamp.received, "stamp"),
            (None, Some(at)) => (at, "flag"),
            (None, None) => match border_time(mail, &trust) {
                Some(at) => (at, "Received of the own border"),
                None => (now(), "present time"),
            },
        };
        let names = dkim::key_names(mail);
        let mut keys = self.ledger.keys(&names, received)?;
        keys.seen.extend(self.keys.seen.iter().cloned());
        if self.online {
            let missing = names.iter().filter(|name| !keys.has(name, received));
            let found: Vec<Seen> = missing.filter_map(|name| ask(self.config, name)).collect();
            keys.seen.extend(found);
        }
        let programs = run_programs(mail, self.config, received, self.folder.path());
        let kept = stamp.map_or_else(Vec::new, |stamp| stamp.results);
        let sender = sender::judge(mail, &trust, &keys, &programs, &kept, received);
        let claims = extract::claims(mail);
        let recipients: Vec<String> = ["To", "Cc"]
            .iter()
            .flat_map(|n| mail.all(n))
            .flat_map(|(_, h)| addresses_of(&mail.unfolded(h)))
            .collect();
        let complainant = identity(&sender).map_or_else(
            || {
                let domain = mail.from_domain().unwrap_or_default();
                format!("claimed:{}", signs::printable(&domain))
            },
            str::to_owned,
        );
        Ok(Opened {
            name,
            bytes: self.spool.put(&mail.raw)?,
            content,
            received,
            received_from,
            signs: signs::look(mail, &claims, &sender, received, &trust.recipients),
            claims,
            sender,
            complainant,
            recipient: hash(&recipients.join(",")),
            remarks: mail.remarks.clone(),
        })
    }

    /// The times around which traffic is kept for these mails.
    fn wanted(&self, opened: &[Opened]) -> check_notice::records::Wanted {
        let mut wanted = check_notice::records::Wanted::new();
        for one in opened {
            let network = self.config.network(identity(&one.sender));
            let claims: Vec<&Claim> = one.claims.iter().collect();
            for (address, intervals) in evidence::wanted(&claims, &network) {
                wanted.entry(address).or_default().extend(intervals);
            }
        }
        for intervals in wanted.values_mut() {
            *intervals = time::merged(std::mem::take(intervals));
        }
        wanted
    }

    fn judge<'r>(&self, one: &'r Opened, records: &'r Records) -> Result<Report<'r>, CommandError>
    where
        'a: 'r,
    {
        let network = self.config.network(identity(&one.sender));
        let judged: Vec<_> = one
            .claims
            .iter()
            .map(|claim| {
                (
                    claim,
                    evidence::judge(claim, records, &network, one.received),
                )
            })
            .collect();
        let verdict = judged
            .iter()
            .map(|(_, findings)| evidence::overall(findings))
            .max();
        let facts = facts(&one.claims);
        let mut signs = one.signs.clone();
        if !facts.is_empty() {
            signs.extend(signs::same_evidence(
                self.ledger.others(&facts, &one.recipient)?,
            ));
        }
        let holders: Vec<&str> = judged
            .iter()
            .flat_map(|(_, findings)| findings)
            .flat_map(|finding| &finding.holders)
            .map(|holder| records.holder(*holder))
            .collect();
        let leaks = if identity(&one.sender).is_some() || holders.is_empty() {
            Vec::new()
        } else {
            let mail = Mail::read(self.spool.get(one.bytes)?)?;
            leak::look(&mail, &holders, &self.people)
        };
        let names = self.names(one, &holders)?;
        if let Some(verdict) = verdict {
            self.ledger.enter(&Entry {
                content: one.content.clone(),
                complainant: one.complainant.clone(),
                received: one.received,
                sender: format!("{:?}", one.sender.verdict).to_lowercase(),
                evidence: word(verdict).to_owned(),
                facts,
                recipient: one.recipient.clone(),
            })?;
        }
        Ok(Report {
            name: &one.name,
            received: one.received,
            received_from: one.received_from,
            sender: &one.sender,
            contact: self
                .config
                .complainant(&one.complainant)
                .and_then(|known| known.contact.as_deref()),
            complainant: &one.complainant,
            verdict,
            judged,
            signs,
            leaks,
            names,
            records,
            remarks: &one.remarks,
        })
    }

    /// What is shown for holders: pseudonyms, or names after they were journaled.
    fn names(
        &self,
        one: &Opened,
        holders: &[&str],
    ) -> Result<BTreeMap<String, String>, CommandError> {
        let mut names = BTreeMap::new();
        for holder in holders {
            if names.contains_key(*holder) {
                continue;
            }
            let shown = match self.reveal {
                Some(reason) => {
                    self.ledger
                        .journal(now(), &asker(), reason, &one.content, holder)?;
                    (*holder).to_owned()
                }
                None => self.ledger.pseudonym(holder)?,
            };
            names.insert((*holder).to_owned(), shown);
        }
        Ok(names)
    }
}

/// Who runs this: the user's number, which the kernel says, and a name, which the environment claims.
fn asker() -> String {
    let name = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    format!(
        "uid {} ({})",
        rustix::process::getuid().as_raw(),
        signs::printable(&name.unwrap_or_default())
    )
}

/// Asks DNS for a key, or whether there is none; a server that is silent says neither.
pub(super) fn ask(config: &Config, name: &str) -> Option<Seen> {
    let record = match txt(config.name_server.or_else(name_server)?, name) {
        Err(DnsError::None) => String::new(),
        other => other.ok()?,
    };
    Some(Seen {
        name: name.to_owned(),
        record,
        at: Some(now()),
        from: "DNS",
    })
}

/// The hour that the topmost `Received` of a border server gives.
fn border_time(mail: &Mail, trust: &Trust) -> Option<Seconds> {
    let own = border_received(mail, trust)?;
    let (when, _) = time::read(own.rsplit_once(';')?.1.trim())?;
    when.only_meaning().map(|meaning| meaning.from)
}

/// The word of a verdict, as in the ledger and in JSON.
pub(super) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Confirmed => "confirmed",
        Verdict::Consistent => "consistent",
        Verdict::Contradicted => "contradicted",
        Verdict::Uncheckable(_) => "uncheckable",
    }
}

/// What makes two complaints the same evidence: address, hour and content.
fn facts(claims: &[Claim]) -> String {
    let mut text = String::new();
    for event in claims.iter().flat_map(|claim| &claim.events) {
        let (Some(address), Some(time)) = (&event.address, &event.time) else {
            continue;
        };
        let content = event.content_hash.as_ref().map_or("", |hash| &hash.value);
        text.push_str(&format!(
            "{} {:?} {content}\n",
            address.value,
            time.value.meanings()
        ));
    }
    if text.is_empty() { text } else { hash(&text) }
}
