//! `dhcpd.leases` of ISC dhcpd (dhcpd.leases(5)): blocks `lease ADDRESS { ... }`, times in UTC.
//!
//! dhcpd rewrites the file and then keeps the last state of each address: a history only where
//! somebody kept one, which `complete` in the configuration says.

use std::borrow::Cow;
use std::io::BufRead;
use std::net::IpAddr;

use super::reading::{Intake, Lines};
use super::settle::Grant;
use super::{NEVER, RecordError, STRANGER, device_key, mac_key};
use crate::time::{self, Interval, When};

/// Words with which the lines begin that are read.
const WORDS: [&str; 8] = [
    "lease", "starts", "ends", "cltt", "hardware", "uid", "binding", "}",
];

/// What a block says of its address.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Active,
    /// Given back or run out.
    Free,
    /// The server found a stranger at it.
    Abandoned,
}

#[derive(Default)]
struct Block {
    address: Option<IpAddr>,
    line: u64,
    /// Whether it has a line `starts`.
    begun: bool,
    starts: Option<Interval>,
    ends: Option<Interval>,
    written: Option<Interval>,
    state: State,
    hardware: Option<String>,
    /// What the client calls itself (`uid`), where it has no hardware address.
    client: Option<String>,
    /// One of its lines is no text, and may have said any of this.
    damaged: bool,
}

impl Block {
    /// Counts it as one that cannot be read.
    fn lose(&self, intake: &mut Intake<'_>) {
        intake.lost(self.written.or(self.starts));
    }
}

pub(super) fn read(
    intake: &mut Intake<'_>,
    mut lines: Lines<'_, impl BufRead>,
) -> Result<(), RecordError> {
    let mut block: Option<Block> = None;
    while let Some((number, bytes)) = lines.next()? {
        let line = String::from_utf8_lossy(bytes);
        let broken = matches!(line, Cow::Owned(_));
        let line = line.trim().trim_end_matches(';');
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or("");
        // The hour of a beginning stands once in a block: another one's first line was damaged.
        let headless = first == "starts" && block.as_ref().is_none_or(|open| open.begun);
        if first == "lease" || headless {
            let address = words.clone().next().filter(|_| !headless);
            let cut = block.replace(Block {
                address: address.and_then(|word| word.parse().ok()),
                line: number,
                ..Block::default()
            });
            if let Some(cut) = cut {
                cut.lose(intake);
            }
        }
        let Some(open) = &mut block else {
            intake.bad_lines += u64::from(broken);
            continue;
        };
        // A name that a client gave itself may be anything.
        if broken && (WORDS.contains(&first) || first.contains(char::REPLACEMENT_CHARACTER)) {
            open.damaged = true;
        }
        match first {
            "starts" => {
                open.begun = true;
                open.starts = moment(intake, words);
            }
            "ends" => open.ends = moment(intake, words),
            "cltt" => open.written = moment(intake, words),
            "hardware" => open.hardware = hardware(words),
            "uid" => open.client = device_key(line),
            "binding" => {
                open.state = match words.nth(1) {
                    Some("active") => State::Active,
                    Some("abandoned") => State::Abandoned,
                    _ => State::Free,
                };
            }
            "}" => {
                let Some(block) = block.take() else {
                    continue;
                };
                if block.damaged {
                    block.lose(intake);
                    continue;
                }
                match grant(intake, &block) {
                    Some(grant) => intake.grant(grant)?,
                    // An address that nobody has, as those that were never given, lacks hours.
                    None if block.state == State::Free => intake.bad_lines += 1,
                    None => block.lose(intake),
                }
            }
            _ => {}
        }
    }
    if let Some(cut) = block {
        cut.lose(intake);
    }
    Ok(())
}

/// `ethernet 02:00:00:00:00:07`, or another kind of network and what is an address there.
fn hardware<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<String> {
    let (kind, address) = (words.next()?, words.next()?);
    mac_key(address).or_else(|| device_key(&format!("{kind} {address}")))
}

fn grant(intake: &mut Intake<'_>, block: &Block) -> Option<Grant> {
    let starts = block.starts?;
    let ends = block.ends?;
    let key = block.hardware.as_deref().or(block.client.as_deref());
    // The client's last word, else the beginning: the second at which the block was surely written. A
    // lease that ran out is written when the server gets to it, which proves nothing about its end.
    let written = block.written.or(Some(starts));
    if block.state != State::Free
        && let Some(at) = written
    {
        intake.pulse.beat(at.from);
    }
    let (holder, gives, at) = match block.state {
        State::Active => (Some(intake.holder(key.unwrap_or(STRANGER))), true, starts),
        State::Abandoned => (Some(intake.holder(STRANGER)), true, starts),
        // It tells that the address was given back at its end.
        State::Free => (key.map(|key| intake.holder(key)), false, ends),
    };
    Some(Grant {
        address: block.address?.to_canonical(),
        holder,
        gives,
        at,
        until: Interval::new(ends.from.max(at.from), ends.to.max(at.to)),
        begins: true,
        source: intake.index,
        line: block.line,
    })
}

/// `4 2026/03/05 12:00:00` in UTC, `epoch 1772712000` or `never`.
fn moment<'a>(intake: &Intake<'_>, mut words: impl Iterator<Item = &'a str>) -> Option<Interval> {
    let first = words.next()?;
    if first == "never" {
        return Some(Interval::new(NEVER, NEVER));
    }
    let second = words.next()?;
    if first == "epoch" {
        let at = second.trim_end_matches(';').parse().ok()?;
        return Some(Interval::new(at, at));
    }
    let text = format!("{second} {}", words.next()?);
    let when: When = time::read(&text)?.0;
    when.in_zone_if_missing(&intake.rules.zone).hull()
}
