//! The memfile of Kea for IPv4 and IPv6 (Kea manual, "memfile"): CSV, newest line last.
//!
//! Kea appends until it cleans up; a history only where somebody kept one. A line about a removed lease has
//! the hour at which it was given, not that of its end: that lies before the next line at the latest.

use std::io::BufRead;
use std::net::IpAddr;

use super::reading::{Intake, Lines};
use super::settle::Grant;
use super::{RecordError, STRANGER, device_key, mac_key};
use crate::time::{Interval, Seconds};

pub(super) fn read(
    intake: &mut Intake<'_>,
    mut lines: Lines<'_, impl BufRead>,
) -> Result<(), RecordError> {
    let mut columns: Option<Columns> = None;
    let mut head = String::new();
    while let Some((number, bytes)) = lines.next()? {
        let line = String::from_utf8_lossy(bytes);
        let cells: Vec<&str> = line.split(',').collect();
        let Some(known) = &columns else {
            columns = Some(Columns::of(&cells, intake.name)?);
            head = line.into_owned();
            continue;
        };
        if line == head {
            // Files that were joined.
            continue;
        }
        match known.grant(&cells, number, intake) {
            Some(grant) if grant.gives => {
                intake.pulse.beat(grant.at.from);
                // Removals before this line were written by now.
                for open in intake
                    .own_grants()
                    .take_while(|earlier| earlier.at.to == UNTIL_NEXT)
                {
                    open.at.to = open.at.from.max(grant.at.to);
                }
                intake.grant(grant)?;
            }
            Some(grant) => intake.grant(grant)?,
            None => intake.lost(known.given(&cells)),
        }
    }
    Ok(())
}

/// The end of what a removal may mean, as long as no later line was read.
const UNTIL_NEXT: Seconds = Seconds::MAX / 4;

struct Columns {
    address: usize,
    hardware: usize,
    duid: Option<usize>,
    client: Option<usize>,
    lifetime: usize,
    expire: usize,
    state: Option<usize>,
}

impl Columns {
    fn of(head: &[&str], name: &str) -> Result<Self, RecordError> {
        let find = |column: &'static str| head.iter().position(|cell| cell.trim() == column);
        let need = |column| {
            find(column).ok_or(RecordError::Column {
                name: name.to_owned(),
                column,
            })
        };
        Ok(Self {
            address: need("address")?,
            hardware: need("hwaddr")?,
            duid: find("duid"),
            client: find("client_id"),
            lifetime: need("valid_lifetime")?,
            expire: need("expire")?,
            state: find("state"),
        })
    }

    /// When a line says that its lease was given, and until when.
    fn hours(&self, cells: &[&str]) -> Option<Interval> {
        let cell = |index: usize| cells.get(index).map(|cell| cell.trim());
        let lifetime: Seconds = cell(self.lifetime)?.parse().ok().filter(|s| *s >= 0)?;
        let expire: Seconds = cell(self.expire)?.parse().ok()?;
        Some(Interval::new(expire.checked_sub(lifetime)?, expire))
    }

    /// The second at which a line says that its lease was given.
    fn given(&self, cells: &[&str]) -> Option<Interval> {
        self.hours(cells)
            .map(|hours| Interval::new(hours.from, hours.from))
    }

    fn grant(&self, cells: &[&str], line: u64, intake: &mut Intake<'_>) -> Option<Grant> {
        let cell = |index: usize| cells.get(index).map(|cell| cell.trim());
        let address: IpAddr = cell(self.address)?.parse().ok()?;
        let hours = self.hours(cells)?;
        let (given, expire) = (hours.from, hours.to);
        // 0 is "assigned", 1 "declined": a stranger was at it. Others were nobody's any more.
        let state = self.state.and_then(cell).unwrap_or("");
        let duid = self.duid.and_then(cell).filter(|duid| !duid.is_empty());
        let key = mac_key(cell(self.hardware)?)
            .or_else(|| duid.map(|duid| format!("duid:{duid}")))
            .or_else(|| self.client.and_then(cell).and_then(device_key))
            .or_else(|| cell(self.hardware).and_then(device_key));
        let (holder, gives, at) = match state {
            "1" => (
                Some(intake.holder(STRANGER)),
                true,
                Interval::new(given, given),
            ),
            "0" | "" if expire > given => (
                Some(intake.holder(key.as_deref().unwrap_or(STRANGER))),
                true,
                Interval::new(given, given),
            ),
            // Removed at some time from then on.
            "0" | "" => (
                key.map(|key| intake.holder(&key)),
                false,
                Interval::new(given, UNTIL_NEXT),
            ),
            _ => (
                key.map(|key| intake.holder(&key)),
                false,
                Interval::new(expire, expire),
            ),
        };
        Some(Grant {
            address: address.to_canonical(),
            holder,
            gives,
            at,
            until: Interval::new(expire.max(at.from), expire.max(at.from)),
            begins: true,
            source: intake.index,
            line,
        })
    }
}
