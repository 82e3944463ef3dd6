//! Tables of traffic: CSV of translations, and `nfdump -o csv`. The head line names the columns.
//!
//! Made for tens of gigabytes: one pass, no copy of a line, only what a claim asks for is kept.

use std::io::BufRead;
use std::net::{IpAddr, Ipv4Addr};

use super::reading::{Intake, Lines};
use super::{Flow, Kind, Mapping, RecordError};
use crate::claim::Protocol;
use crate::time::{self, Interval, Seconds};

/// Columns that are looked at; later ones are never needed.
const COLUMNS_MAX: usize = 64;

/// The end of a translation that is not over.
const STILL_OPEN: Seconds = Seconds::MAX / 4;

pub(super) fn read(
    intake: &mut Intake<'_>,
    mut lines: Lines<'_, impl BufRead>,
) -> Result<(), RecordError> {
    let Some((_, head)) = lines.next()? else {
        return Ok(());
    };
    let columns = Columns::of(head, intake.rules.kind, intake.name)?;
    let head = head.to_vec();
    let mut clock = Clock::default();
    while let Some((number, line)) = lines.next()? {
        if line.is_empty() {
            continue;
        }
        if line.starts_with(b"Summary") {
            break;
        }
        match row(intake, &columns, &mut clock, line, number) {
            Ok(true) => intake.traffic_counted()?,
            Ok(false) => {}
            // Files that were joined.
            Err(_) if line == head => {}
            Err(when) => intake.lost(when),
        }
    }
    Ok(())
}

/// Reads a line; says whether something of it was kept, or of when it is if it cannot be read, where that can.
fn row(
    intake: &mut Intake<'_>,
    columns: &Columns,
    clock: &mut Clock,
    line: &[u8],
    number: u64,
) -> Result<bool, Option<Interval>> {
    let mut cells: [&[u8]; COLUMNS_MAX] = [&[]; COLUMNS_MAX];
    split(line, cells.get_mut(..=columns.last).ok_or(None)?).ok_or(None)?;
    let start = clock.read(cells[columns.start], intake).ok_or(None)?;
    let end = columns
        .end(&cells, start, clock, intake)
        .ok_or(Some(start))?;
    let time = Interval::new(start.from, end.to.max(start.to));
    intake.pulse.beat(start.from);
    let written = if end.from < STILL_OPEN {
        intake.pulse.beat(end.from);
        *intake.longest_s = (*intake.longest_s).max(time.to.saturating_sub(time.from));
        time
    } else {
        start
    };
    keep(intake, columns, &cells, time, number).ok_or(Some(written))
}

/// Splits a line into as many cells as there is room for; nothing if it has fewer.
fn split<'l>(line: &'l [u8], cells: &mut [&'l [u8]]) -> Option<()> {
    let mut from = 0;
    let count = cells.len();
    for (index, cell) in cells.iter_mut().enumerate() {
        let end = memchr::memchr(b',', line.get(from..)?).map_or(line.len(), |at| from + at);
        *cell = line.get(from..end)?.trim_ascii();
        from = end + 1;
        if end == line.len() && index + 1 < count {
            return None;
        }
    }
    Some(())
}

/// Keeps what is wanted of a row; says whether that is anything, or nothing if it cannot be read.
fn keep(
    intake: &mut Intake<'_>,
    columns: &Columns,
    cells: &[&[u8]; COLUMNS_MAX],
    time: Interval,
    number: u64,
) -> Option<bool> {
    let one = (address(cells[columns.one])?, port(cells[columns.one_port])?);
    let other = (
        address(cells[columns.other])?,
        port(cells[columns.other_port])?,
    );
    let protocol = columns.protocol.and_then(|column| protocol(cells[column]));
    if columns.is_nat {
        if other.1 == 0 || !is_wanted(intake, other.0, time) {
            return Some(false);
        }
        let peer = columns.peer.and_then(|(host, at)| {
            let port = port(cells[at]).filter(|port| *port != 0)?;
            Some((address(cells[host])?, port))
        });
        let mapping = Mapping {
            possible: time,
            protocol,
            inner: one.0,
            peer,
            source: intake.index,
            line: number,
        };
        intake
            .records
            .mappings
            .entry((other.0, other.1))
            .or_default()
            .push(mapping);
        return Some(true);
    }
    let mut kept = false;
    for (own, peer) in [(one, other), (other, one)] {
        if is_wanted(intake, own.0, time) {
            let flow = Flow {
                time,
                protocol,
                port: own.1,
                peer,
                source: intake.index,
                line: number,
            };
            intake.records.flows.entry(own.0).or_default().push(flow);
            kept = true;
        }
    }
    Some(kept)
}

fn is_wanted(intake: &Intake<'_>, address: IpAddr, time: Interval) -> bool {
    let around = intake.wanted.get(&address);
    around.is_some_and(|all| {
        // Sorted and joined by who asks.
        let first = all.partition_point(|interval| interval.to < time.from);
        all.get(first)
            .is_some_and(|interval| interval.touches(time))
    })
}

enum End {
    Time(usize),
    Duration(usize),
    None,
}

/// Where the columns are. `one` is inside or the source, `other` outside or the destination.
struct Columns {
    start: usize,
    end: End,
    one: usize,
    one_port: usize,
    other: usize,
    other_port: usize,
    protocol: Option<usize>,
    peer: Option<(usize, usize)>,
    is_nat: bool,
    last: usize,
}

impl Columns {
    /// The end of a row that begins at `start`.
    fn end(
        &self,
        cells: &[&[u8]; COLUMNS_MAX],
        start: Interval,
        clock: &mut Clock,
        intake: &Intake<'_>,
    ) -> Option<Interval> {
        match self.end {
            // A translation without an end is not over; a flow without one was a single packet.
            End::Time(column) if cells[column].is_empty() => {
                let end = if self.is_nat { STILL_OPEN } else { start.to };
                Some(Interval::new(end, end))
            }
            End::Time(column) => clock.read(cells[column], intake),
            End::Duration(column) => {
                let seconds: f64 = std::str::from_utf8(cells[column]).ok()?.parse().ok()?;
                // Clamped to a day, so nothing is cut.
                let seconds = seconds.clamp(0.0, 86_400.0).ceil() as Seconds;
                Some(Interval::new(
                    start.from.saturating_add(seconds),
                    start.to.saturating_add(seconds),
                ))
            }
            End::None => Some(start),
        }
    }

    fn of(head: &[u8], kind: Kind, name: &str) -> Result<Self, RecordError> {
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let cells: Vec<&str> = head
            .trim_start_matches('\u{feff}')
            .split(',')
            .map(str::trim)
            .take(COLUMNS_MAX)
            .collect();
        let find = |names: &[&str]| cells.iter().position(|cell| names.contains(cell));
        let need = |names: &'static [&'static str]| {
            find(names).ok_or_else(|| RecordError::Column {
                name: name.to_owned(),
                column: names[0],
            })
        };
        let is_nat = kind == Kind::Nat;
        let start = need(&[
            "start",
            "ts",
            "firstseen",
            "time",
            "time_start",
            "timestamp",
        ])?;
        let end = find(&["end", "te", "lastseen", "time_end"]).map(End::Time);
        let end = end
            .or_else(|| find(&["duration", "td"]).map(End::Duration))
            .unwrap_or(End::None);
        if is_nat && matches!(end, End::None) {
            // Without it a port may still be lent to whoever had it days ago.
            return Err(RecordError::Column {
                name: name.to_owned(),
                column: "end",
            });
        }
        let (one, one_port, other, other_port) = if is_nat {
            (
                need(&["inside_ip", "orig_src", "src_ip"])?,
                need(&["inside_port", "orig_sport", "src_port"])?,
                need(&["outside_ip", "nat_ip", "reply_dst"])?,
                need(&["outside_port", "nat_port", "reply_dport"])?,
            )
        } else {
            (
                need(&["sa", "srcaddr", "src_ip"])?,
                need(&["sp", "srcport", "src_port"])?,
                need(&["da", "dstaddr", "dst_ip"])?,
                need(&["dp", "dstport", "dst_port"])?,
            )
        };
        let protocol = find(&["proto", "pr", "protocol"]);
        let peer = find(&["peer_ip", "orig_dst", "dst_ip"]).zip(find(&[
            "peer_port",
            "orig_dport",
            "dst_port",
        ]));
        let peer = peer.filter(|_| is_nat);
        let mut all = vec![start, one, one_port, other, other_port];
        all.extend(protocol);
        all.extend(peer.into_iter().flat_map(|(host, port)| [host, port]));
        match end {
            End::Time(column) | End::Duration(column) => all.push(column),
            End::None => {}
        }
        let last = all.into_iter().max().unwrap_or(0);
        Ok(Self {
            start,
            end,
            one,
            one_port,
            other,
            other_port,
            protocol,
            peer,
            is_nat,
            last,
        })
    }
}

/// A port, 0 where there is none as in ICMP; nothing if it cannot be read.
fn port(cell: &[u8]) -> Option<u16> {
    // ICMP rows of nfdump have `0.3` or `8.0` here.
    let digits = cell.split(|byte| *byte == b'.').next()?;
    if matches!(digits, b"" | b"-") {
        return Some(0);
    }
    (digits.len() <= 5).then_some(())?;
    let value = digits.iter().try_fold(0_u32, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + u32::from(byte - b'0'))
    })?;
    u16::try_from(value).ok()
}

fn protocol(cell: &[u8]) -> Option<Protocol> {
    match cell {
        b"TCP" | b"tcp" | b"6" => Some(Protocol::TCP),
        b"UDP" | b"udp" | b"17" => Some(Protocol::UDP),
        other => std::str::from_utf8(other).ok().and_then(Protocol::named),
    }
}

fn address(cell: &[u8]) -> Option<IpAddr> {
    let (mut parts, mut part, mut digits, mut value) = (0_u32, 0_u32, 0, 0_u32);
    for byte in cell {
        match byte {
            b'0'..=b'9' if digits < 3 => {
                part = part * 10 + u32::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && part < 256 && parts < 3 => {
                value = value << 8 | part;
                (part, digits, parts) = (0, 0, parts + 1);
            }
            _ => return slow_address(cell),
        }
    }
    let whole = parts == 3 && digits > 0 && part < 256;
    if whole {
        Some(IpAddr::V4(Ipv4Addr::from(value << 8 | part)))
    } else {
        slow_address(cell)
    }
}

fn slow_address(cell: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = std::str::from_utf8(cell).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

/// Reads times; remembers the last minute, as neighbours in a log share it.
#[derive(Default)]
struct Clock {
    minute: Vec<u8>,
    meaning: Option<Interval>,
}

impl Clock {
    fn read(&mut self, cell: &[u8], intake: &Intake<'_>) -> Option<Interval> {
        // `2026-03-02 12:00:33` and `2026-03-02T12:00:33Z`: the first 16 bytes are a minute.
        let second = match cell {
            [
                _,
                _,
                _,
                _,
                b'-',
                ..,
                b':',
                tens @ b'0'..=b'5',
                ones @ b'0'..=b'9',
            ] if cell.len() == 19 => {
                Some(Seconds::from(tens - b'0') * 10 + Seconds::from(ones - b'0'))
            }
            _ => None,
        };
        let Some(second) = second else {
            return slow_time(cell, intake);
        };
        let minute = cell.get(..16)?;
        if self.minute != minute {
            self.meaning = None;
            let mut text = minute.to_vec();
            text.extend_from_slice(b":00");
            let meaning = slow_time(&text, intake)?;
            self.minute = minute.to_vec();
            self.meaning = Some(meaning);
        }
        let meaning = self.meaning?;
        Some(Interval::new(meaning.from + second, meaning.to + second))
    }
}

fn slow_time(cell: &[u8], intake: &Intake<'_>) -> Option<Interval> {
    let text = std::str::from_utf8(cell).ok()?;
    let whole = text.split('.').next().unwrap_or(text);
    if whole.len() >= 9 && whole.bytes().all(|byte| byte.is_ascii_digit()) {
        let value: Seconds = whole.parse().ok()?;
        // Milliseconds have 13 digits until the year 2286.
        let seconds = if whole.len() >= 13 {
            value / 1_000
        } else {
            value
        };
        return Some(Interval::new(seconds, seconds));
    }
    intake.zoned(time::read(text)?.0).hull()
}
