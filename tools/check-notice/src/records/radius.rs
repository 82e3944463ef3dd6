//! The detail file of FreeRADIUS: blocks of `Attribute = value`, one for each accounting packet.
//!
//! Packets of one session prove its address from the first to the last of them. One that did not stop may
//! have ended at any time behind its last sign of life. Servers use numbers of sessions again, so a session
//! is known by server, number, user and the hour at which it began.

use std::collections::HashMap;
use std::io::BufRead;

use super::reading::{Intake, Lines};
use super::{HolderIndex, Lease, RecordError, SourceIndex, mac_key};
use crate::net::Prefix;
use crate::time::{self, Interval, Seconds};

/// An open session is believed to have ended no later than this behind its last sign of life.
const SILENCE_MAX: Seconds = 7 * 86_400;

/// Packets of one session agree on its beginning within this: their clocks count in seconds, and a packet
/// may be sent again.
const SAME_BEGIN_S: Seconds = 120;

/// The sessions of a log.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// By prefix, the server and number of a session, and its user.
    runs: HashMap<(Prefix, u32, HolderIndex), Vec<Run>>,
    names: HashMap<String, u32>,
}

/// Packets that agree on when their session began.
#[derive(Debug, Clone)]
struct Run {
    /// Nothing where packets do not say how long the session has lasted.
    began: Option<Interval>,
    first: Interval,
    last: Interval,
    stopped: bool,
    device: Option<HolderIndex>,
    source: SourceIndex,
    line: u64,
}

#[derive(Default, Clone)]
struct Packet {
    status: String,
    server: String,
    session: String,
    user: String,
    station: String,
    addresses: Vec<Prefix>,
    /// It names an address that cannot be read.
    damaged: bool,
    /// When the server of the log had it.
    came: Option<Interval>,
    /// When the event was, by the packet.
    event: Option<Interval>,
    delay: Seconds,
    lasted: Option<Seconds>,
    line: u64,
}

pub(super) fn read(
    intake: &mut Intake<'_>,
    mut lines: Lines<'_, impl BufRead>,
) -> Result<(), RecordError> {
    let mut packet = Packet::default();
    let mut served = intake.rules.serves.iter();
    let serves_v6 = served.any(|prefix| prefix.address().is_ipv6());
    while let Some((number, bytes)) = lines.next()? {
        let line = String::from_utf8_lossy(bytes);
        if !line.starts_with([' ', '\t']) {
            finish(std::mem::take(&mut packet), intake)?;
            packet.line = number;
            if !line.trim().is_empty() {
                packet.came = moment(intake, &line);
            }
            continue;
        }
        let Some((name, value)) = line.trim().split_once('=') else {
            continue;
        };
        let value = value.trim().trim_matches('"');
        match name.trim() {
            "Acct-Status-Type" => packet.status = value.to_owned(),
            "Acct-Session-Id" => packet.session = value.to_owned(),
            "NAS-IP-Address" | "NAS-IPv6-Address" | "NAS-Identifier" => {
                packet.server.push_str(value);
                packet.server.push('|');
            }
            "User-Name" => packet.user = value.to_owned(),
            "Calling-Station-Id" => packet.station = value.to_owned(),
            "Acct-Session-Time" => packet.lasted = value.parse().ok(),
            "Acct-Delay-Time" => packet.delay = value.parse().unwrap_or(0),
            "Framed-IP-Address"
            | "Framed-IPv6-Address"
            | "Framed-IPv6-Prefix"
            | "Delegated-IPv6-Prefix" => {
                let prefix = value.parse::<Prefix>();
                // Old dictionaries print prefixes as bytes: of no weight where IPv6 is not asked for.
                let asked = name.trim() == "Framed-IP-Address" || serves_v6;
                packet.damaged |= prefix.is_err() && asked && !value.is_empty();
                packet.addresses.extend(prefix);
            }
            "Event-Timestamp" => {
                packet.event = match value.parse::<Seconds>() {
                    Ok(at) => Some(Interval::new(at, at)),
                    Err(_) => moment(intake, value),
                };
            }
            _ => {}
        }
    }
    finish(packet, intake)
}

/// Takes a packet into its session.
fn finish(packet: Packet, intake: &mut Intake<'_>) -> Result<(), RecordError> {
    if packet.status.is_empty() {
        return Ok(());
    }
    if let Some(came) = packet.came.or(packet.event) {
        intake.pulse.beat(came.from);
    }
    let delay = packet.delay.clamp(0, 86_400);
    let came = packet
        .came
        .map(|came| Interval::new(came.from - delay, came.to - delay));
    let Some(at) = packet.event.or(came) else {
        if packet.addresses.is_empty() && !packet.damaged {
            intake.bad_lines += 1;
        } else {
            intake.lost(None);
        }
        return Ok(());
    };
    if packet.damaged {
        intake.lost(Some(packet.came.unwrap_or(at)));
    }
    let lasted = packet.lasted.filter(|s| (0..=400 * 86_400).contains(s));
    let began = if packet.status == "Start" {
        Some(at)
    } else {
        lasted.map(|lasted| Interval::new(at.from - lasted, at.to - lasted))
    };
    let holder = intake.holder(&holder_key(&packet));
    let device = mac_key(&packet.station).map(|key| intake.holder(&key));
    let name = format!("{}{}", packet.server, packet.session);
    let next = u32::try_from(intake.sessions.names.len()).unwrap_or(u32::MAX);
    let name = *intake.sessions.names.entry(name).or_insert(next);
    for prefix in &packet.addresses {
        let run = Run {
            began,
            first: at,
            last: at,
            stopped: packet.status == "Stop",
            device,
            source: intake.index,
            line: packet.line,
        };
        let key = (*prefix, name, holder);
        if intake.sessions.take(key, run) {
            intake.lease_counted()?;
        }
    }
    Ok(())
}

impl Sessions {
    /// Joins a packet to the run that it continues; says whether it began one.
    fn take(&mut self, key: (Prefix, u32, HolderIndex), packet: Run) -> bool {
        let runs = self.runs.entry(key).or_default();
        let same = |run: &&mut Run| match (run.began, packet.began) {
            (Some(one), Some(other)) => one.widened(SAME_BEGIN_S).touches(other),
            (None, None) => true,
            _ => false,
        };
        let Some(run) = runs.iter_mut().find(same) else {
            runs.push(packet);
            return true;
        };
        if packet.first < run.first {
            (run.first, run.source, run.line) = (packet.first, packet.source, packet.line);
        }
        run.last = run.last.max(packet.last);
        run.stopped |= packet.stopped;
        run.device = run.device.or(packet.device);
        false
    }

    /// Each session as a lease of its prefix.
    pub(super) fn leases(self) -> impl Iterator<Item = (Prefix, Lease)> {
        let mut by_prefix: HashMap<Prefix, Vec<(HolderIndex, Run)>> = HashMap::new();
        for ((prefix, _, holder), runs) in self.runs {
            let all = by_prefix.entry(prefix).or_default();
            all.extend(runs.into_iter().map(|run| (holder, run)));
        }
        by_prefix.into_iter().flat_map(|(prefix, mut runs)| {
            runs.sort_by_key(|(holder, run)| (run.first, run.last, *holder, run.source, run.line));
            let leases: Vec<(Prefix, Lease)> = (0..runs.len())
                .map(|index| (prefix, lease(&runs, index)))
                .collect();
            leases
        })
    }
}

/// The lease of one run among those of a prefix, which are sorted by their first packets.
fn lease(runs: &[(HolderIndex, Run)], index: usize) -> Lease {
    let (holder, run) = &runs[index];
    let begins = run
        .began
        .map_or(run.first.from, |began| began.from.min(run.first.from));
    let end = if run.stopped {
        run.last.to
    } else {
        // It was over when the address was surely given to another session.
        let next = runs[index + 1..]
            .iter()
            .find(|(_, next)| next.began.is_some_and(|began| began.from > run.last.to));
        let silent = run.last.to.saturating_add(SILENCE_MAX);
        next.map_or(silent, |(_, next)| silent.min(next.first.to))
    };
    let sure = (run.began.is_some() && run.first.to <= run.last.from)
        .then(|| Interval::new(run.first.to, run.last.from));
    Lease {
        holder: *holder,
        device: run.device.filter(|device| device != holder),
        possible: Interval::new(begins, end.max(begins)),
        sure,
        sealed: sure.is_some(),
        source: run.source,
        line: run.line,
    }
}

fn holder_key(packet: &Packet) -> String {
    if packet.user.is_empty() {
        mac_key(&packet.station).unwrap_or_else(|| format!("station:{}", packet.station))
    } else {
        format!("user:{}", packet.user)
    }
}

/// `Mon Mar  2 12:00:00 2026`, with or without a zone.
fn moment(intake: &Intake<'_>, text: &str) -> Option<Interval> {
    intake.zoned(time::read(text.trim())?.0).hull()
}
