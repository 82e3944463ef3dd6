//! The memfile of Kea for IPv4 and IPv6 (Kea manual, "memfile"): CSV, newest line last.
//!
//! Kea appends until it cleans up; a history only where somebody kept one. A line about a removed lease has
//! the hour at which it was given, not that of its end: that lies before the next line at the latest.

use std::io::BufRead;
use std::net::IpAddr;

use super::reading::{Intake, Lines};
use super::settle::Grant;
use super::{RecordError, STRANGER, mac_key};
use crate::time::{Interval, Seconds};

pub(super) fn read(
    intake: &mut Intake<'_>,
    mut lines: Lines<'_, impl BufRead>,
) -> Result<(), RecordError> {
    let mut columns: Option<Columns> = None;
    while let Some((number, bytes)) = lines.next()? {
        let line = String::from_utf8_lossy(bytes);
        let cells: Vec<&str> = line.split(',').collect();
        let Some(known) = &columns else {
            columns = Some(Columns::of(&cells, intake.name)?);
            continue;
        };
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
            None => intake.bad_lines += 1,
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
            lifetime: need("valid_lifetime")?,
            expire: need("expire")?,
            state: find("state"),
        })
    }

    fn grant(&self, cells: &[&str], line: u64, intake: &mut Intake<'_>) -> Option<Grant> {
        let cell = |index: usize| cells.get(index).map(|cell| cell.trim());
        let address: IpAddr = cell(self.address)?.parse().ok()?;
        let lifetime: Seconds = cell(self.lifetime)?.parse().ok().filter(|s| *s >= 0)?;
        let expire: Seconds = cell(self.expire)?.parse().ok()?;
        let given = expire.checked_sub(lifetime)?;
        // 0 is "assigned", 1 "declined": a stranger was at it. Others were nobody's any more.
        let state = self.state.and_then(cell).unwrap_or("");
        let key = mac_key(cell(self.hardware)?).or_else(|| {
            self.duid
                .and_then(cell)
                .filter(|d| !d.is_empty())
                .map(|duid| format!("duid:{duid}"))
        });
        let (holder, gives, at) = match state {
            "1" => (
                Some(intake.holder(STRANGER)),
                true,
                Interval::new(given, given),
            ),
            "0" | "" if lifetime > 0 => (
                Some(intake.holder(&key?)),
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
