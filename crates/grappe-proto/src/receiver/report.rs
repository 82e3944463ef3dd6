//! When a receiver reports, and what.

use std::time::Duration;

use super::{HeardBeat, Phase, REPORT_QUIET, Receiver};
use crate::fec::SymbolSet;
use crate::limits::{REPORT_PROMPT, RING_EMPTY_PERMILLE, RING_FILLING_PERMILLE};
use crate::units::{Sequence, Time};
use crate::wire::data::{HEADER_LEN, TAG_LEN};
use crate::wire::report::{EARLIER_MAX, Earlier, LACKS_MAX, Lack, Report, ReportHeader};

/// That the ring fills is reported after this part of the interval at the earliest.
const URGENT_PART: u32 = 8;

/// And that it is empty again so soon after that.
const RELIEF: Duration = Duration::from_millis(5);

/// Where reports are further apart than [`REPORT_PROMPT`], each tells of beats that lie so long before the latest as well: as
/// far apart as those of reports that come often, so that one that was late by chance is known for it, and one that
/// tells what arrived since.
pub(super) const TOLD_BEFORE: [Duration; EARLIER_MAX] = [
    Duration::from_millis(150),
    Duration::from_millis(50),
    Duration::from_millis(20),
    Duration::from_millis(10),
];

/// The golden ratio, less one.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// Between the numbers of a receiver's reports in that: more than there are receivers, so that two neighbours do not follow
/// each other for ever.
const STRIDE: u64 = 65_537;

/// Between reports of a receiver in the pipeline while blocks arrive.
const REPORT_PIPED: Duration = Duration::from_millis(50);

impl Receiver {
    /// How often the sender wants reports, once it said so.
    pub fn report_interval(&self) -> Option<Duration> {
        let beat = self.beat.as_ref()?;
        Some(Duration::from_micros(beat.beat.report_interval_us.into()))
    }

    /// When the next report is due: an interval after the last when there is news, seldom otherwise. That the
    /// ring fills, or no longer does, is said sooner.
    pub(super) fn report_due(&self) -> Time {
        let due = if self.news {
            self.report_at
        } else {
            self.report_at + REPORT_QUIET
        };
        let interval = self.interval();
        if self.is_piped() || interval < REPORT_PROMPT * 2 {
            // The next report is soon enough.
            return due;
        }
        let told_full = self.told_permille >= RING_FILLING_PERMILLE;
        if !told_full && self.ring_permille >= RING_FILLING_PERMILLE {
            // Where many fill at once, they are kept apart.
            let least = interval / URGENT_PART;
            let apart = least.mul_f64(spread(self.peer.0.into()));
            due.min(self.reported_at + least + apart)
        } else if told_full && self.ring_permille < RING_EMPTY_PERMILLE {
            // The sender waits for it.
            due.min(self.reported_at + RELIEF)
        } else {
            due
        }
    }

    fn interval(&self) -> Duration {
        match self.beat {
            // Nobody waits for it.
            _ if self.is_piped() => REPORT_PIPED,
            Some(heard) => Duration::from_micros(u64::from(heard.beat.report_interval_us)),
            None => Duration::from_millis(10),
        }
    }

    /// The sealed report of this moment.
    pub(super) fn report(&mut self, now: Time) -> Vec<u8> {
        let report = self.facts();
        let interval = self.interval();
        (self.reported_at, self.told_permille) = (now, report.ring_permille);
        if self.report_sequence == 0 {
            self.set_turn(now + self.first_turn(interval), interval);
        } else if now >= self.report_at {
            // One out of turn leaves the turn alone: all that fill together would come together ever after.
            self.set_turn(now + self.until_next(interval), interval);
        }
        self.news = self.phase == Phase::Content && !report.lacks.is_empty();
        let mut body = Vec::with_capacity(64);
        report.emit(&mut body);
        let sequence = Sequence(self.report_sequence);
        self.report_sequence += 1;
        let header = ReportHeader {
            peer: self.peer,
            tag: self.opener.tag,
            held: u32::try_from(now.since(report.echo_at).as_nanos()).unwrap_or(u32::MAX),
            sequence,
        }
        .emit();
        let mut packet = vec![0; HEADER_LEN + body.len() + TAG_LEN];
        self.report_key.seal(&header, sequence, &body, &mut packet);
        packet
    }

    pub(super) const fn set_turn(&mut self, turn: Time, interval: Duration) {
        (self.report_at, self.turn_interval) = (turn, interval);
    }

    /// Comes earlier than it was to where reports are wanted far more often than when its turn was set.
    pub(super) fn hasten(&mut self, now: Time) {
        let interval = self.interval();
        let sooner = now + self.first_turn(interval);
        if interval <= self.turn_interval / 2 && sooner < self.report_at {
            self.set_turn(sooner, interval);
        }
    }

    /// This receiver's own share of the first interval: where many were late at once, it keeps them apart.
    fn first_turn(&self, interval: Duration) -> Duration {
        let part = if interval <= REPORT_PROMPT {
            f64::from(self.peer.0 % 16) / 16.0
        } else {
            spread(self.peer.0.into())
        };
        interval.mul_f64(part)
    }

    /// The time to the next report. Rare ones are spread anew each time, by a half in both directions (RFC 3550, section
    /// 6.3.1): what was apart by parts of a short interval would come in one heap when the rate falls and the interval
    /// grows.
    pub(super) fn until_next(&self, interval: Duration) -> Duration {
        if self.is_piped() || interval <= REPORT_PROMPT {
            return interval;
        }
        let number = u64::from(self.peer.0) + self.report_sequence * STRIDE;
        interval.mul_f64(0.5 + spread(number))
    }

    pub(super) fn facts(&self) -> Report {
        let (echo, echo_at, echo_received) = match self.beat {
            Some(heard) => (heard.beat.sent_at, heard.arrived, heard.received),
            None => (Time::ZERO, Time::ZERO, 0),
        };
        let lacks = self
            .window
            .lacking(if self.is_piped() { 0 } else { LACKS_MAX })
            .filter_map(|(block, present)| {
                let symbols = self.symbols(block);
                let missing = SymbolSet::first(symbols).difference(present);
                let need = u8::try_from(symbols.saturating_sub(present.count())).ok()?;
                (need > 0).then_some(Lack {
                    block,
                    need,
                    missing,
                })
            });
        Report {
            turn: self.turn,
            highest: self.highest,
            received: self.received,
            echo,
            echo_at,
            echo_received,
            earlier: self.earlier_beats(),
            stored_below: self.window.stored_below(),
            dropped: self.dropped,
            ring_permille: self.ring_permille,
            store_backlog: self.window.backlog(),
            lacks: lacks.collect(),
        }
    }

    /// The beats before the latest that a rare report tells of, the earliest first.
    fn earlier_beats(&self) -> Vec<Earlier> {
        let is_rare = !self.is_piped() && self.interval() > REPORT_PROMPT;
        let Some(latest) = self.beat.filter(|_| is_rare) else {
            return Vec::new();
        };
        let told = TOLD_BEFORE.iter().filter_map(|long| {
            // Beats come at any time: the one that lies least further back.
            let is_so_long = |beat: &&HeardBeat| latest.arrived.since(beat.arrived) >= *long;
            let beat = self.beats_before.iter().rfind(is_so_long)?;
            // Where it lies too far back for the fields, it is of no use any more.
            let nanos = |time: Duration| u32::try_from(time.as_nanos()).ok();
            Some(Earlier {
                sent_before: nanos(latest.beat.sent_at.since(beat.beat.sent_at))?,
                arrived_before: nanos(latest.arrived.since(beat.arrived))?,
                received_since: u32::try_from(latest.received - beat.received).ok()?,
            })
        });
        // Where beats are further apart, one stands for several.
        let mut told: Vec<Earlier> = told.collect();
        told.dedup();
        told
    }
}

/// A part of one for each number, evenly spread for any that follow each other: the multiples of the golden ratio.
fn spread(number: u64) -> f64 {
    (number as f64 * GOLDEN).fract()
}
