//! dnsmasq: its lease file, which knows only the present, and its lines in a system log.
//!
//! Neither says how long a lease lasts; the configuration does (`lease_s`). Without it the lease file tells
//! the end of a lease alone, and a line of the log an hour.

use std::io::BufRead;
use std::net::IpAddr;

use jiff::civil::DateTime;

use super::reading::{Intake, Lines};
use super::settle::Grant;
use super::{NEVER, RecordError, STRANGER, device_key};
use crate::time::{self, Interval, Seconds, When};

/// How long a lease lasts where nobody said: dnsmasq's own default.
const LEASE_S: Seconds = 3_600;

/// How long before its end a lease may have begun where nobody said how long it lasts.
const LEASE_MAX_S: Seconds = 31 * 86_400;

/// Lines without a year that go back by more days than these crossed New Year.
const BACK_DAYS: i64 = 180;

/// `EXPIRY MAC ADDRESS NAME CLIENT-ID`, expiry in seconds since 1970 or 0 for never.
pub(super) fn read_leases(
    intake: &mut Intake<'_>,
    mut lines: Lines<'_, impl BufRead>,
) -> Result<(), RecordError> {
    let stated = intake.rules.lease_s;
    while let Some((number, bytes)) = lines.next()? {
        let line = String::from_utf8_lossy(bytes);
        let words: Vec<&str> = line.split_whitespace().collect();
        let found = (|| {
            let [expiry, mac, address, ..] = words.as_slice() else {
                return None;
            };
            let expiry: Seconds = expiry.parse().ok()?;
            let address: IpAddr = address.parse().ok()?;
            let from = expiry.checked_sub(stated.unwrap_or(LEASE_MAX_S))?;
            Some((*mac, address, from, expiry))
        })();
        let Some((hardware, address, from, expiry)) = found else {
            if words.first() != Some(&"duid") {
                intake.lost(None);
            }
            continue;
        };
        // Of IPv6 this file has other columns, and they are not read: it tells nothing of such addresses.
        if address.is_ipv6() {
            continue;
        }
        // One for ever does not tell when it began.
        let begins = stated.is_some() && expiry != 0;
        if begins {
            intake.pulse.beat(from);
        }
        let (at, until) = if expiry == 0 {
            (Interval::new(0, NEVER), NEVER)
        } else {
            (Interval::new(from, from), expiry)
        };
        let holder = Some(intake.device(Some(hardware)));
        intake.grant(Grant {
            address: address.to_canonical(),
            holder,
            gives: true,
            at,
            until: Interval::new(until, until),
            begins,
            source: intake.index,
            line: number,
        })?;
    }
    Ok(())
}

/// Lines with `DHCPACK(` and the like; every line of the log is a sign of life.
pub(super) fn read_log(
    intake: &mut Intake<'_>,
    mut lines: Lines<'_, impl BufRead>,
) -> Result<(), RecordError> {
    let mut last: Option<DateTime> = None;
    while let Some((number, bytes)) = lines.next()? {
        let line = String::from_utf8_lossy(bytes);
        let event = event(&line);
        let when = stamp(intake, &line, &mut last)?;
        let Some(at) = when.and_then(|when| when.hull()) else {
            // What other programs write is no record that is lost.
            match event {
                Some(_) => intake.lost(None),
                None => intake.bad_lines += 1,
            }
            continue;
        };
        intake.pulse.beat(at.from);
        let Some((word, rest)) = event else {
            continue;
        };
        let mut words = rest.split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
            intake.lost(Some(at));
            continue;
        };
        let hardware = words.next();
        let gives = word != "DHCPRELEASE";
        let lease = if gives {
            intake.rules.lease_s.unwrap_or(LEASE_S)
        } else {
            0
        };
        let holder = match word {
            // A client that declines an address found a stranger at it.
            "DHCPDECLINE" => Some(intake.holder(STRANGER)),
            // Given back by whoever had it.
            "DHCPRELEASE" => hardware.and_then(device_key).map(|key| intake.holder(&key)),
            _ => Some(intake.device(hardware)),
        };
        intake.grant(Grant {
            address: address.to_canonical(),
            holder,
            gives,
            at,
            until: Interval::new(at.from.saturating_add(lease), at.to.saturating_add(lease)),
            begins: true,
            source: intake.index,
            line: number,
        })?;
    }
    Ok(())
}

/// The event of a line, and what stands behind its interface: address and hardware address.
fn event(line: &str) -> Option<(&'static str, &str)> {
    ["DHCPACK", "DHCPRELEASE", "DHCPDECLINE"]
        .into_iter()
        .find_map(|word| {
            let at = line.find(word)?;
            let rest = line[at + word.len()..].strip_prefix('(')?;
            Some((word, rest.split_once(") ")?.1))
        })
}

/// The time at the start of a line of a system log, RFC 3339 or `Mar  2 12:00:00`.
fn stamp(
    intake: &Intake<'_>,
    line: &str,
    last: &mut Option<DateTime>,
) -> Result<Option<When>, RecordError> {
    if let Some((when, _)) = time::read(line) {
        return Ok(Some(intake.zoned(when)));
    }
    let mut words = line.split_whitespace();
    let (Some(month), Some(day), Some(hour)) = (words.next(), words.next(), words.next()) else {
        return Ok(None);
    };
    // A leap year accepts every day: whether this is a time at all.
    if time::read(&format!("{month} {day} 2024 {hour}")).is_none() {
        return Ok(None);
    }
    let Some(year) = intake.rules.year else {
        return Err(RecordError::NoYear(intake.name.to_owned()));
    };
    let Some((when, _)) = time::read(&format!("{month} {day} {year} {hour}")) else {
        return Ok(None);
    };
    if let Some(now) = when.readings.first() {
        if last.is_some_and(|last| {
            last.date()
                .since(now.date())
                .is_ok_and(|s| i64::from(s.get_days()) > BACK_DAYS)
        }) {
            return Err(RecordError::TwoYears(intake.name.to_owned()));
        }
        *last = Some(*now);
    }
    Ok(Some(intake.zoned(when)))
}
