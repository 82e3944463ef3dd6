//! When a receiver reports, and what.

use std::time::Duration;

use super::{Phase, REPORT_QUIET, Receiver};
use crate::fec::SymbolSet;
use crate::limits::{REPORT_PROMPT, RING_EMPTY_PERMILLE, RING_FILLING_PERMILLE};
use crate::units::{Sequence, Time};
use crate::wire::data::{HEADER_LEN, TAG_LEN};
use crate::wire::report::{LACKS_MAX, Lack, Report, ReportHeader};

/// That the ring fills is reported after this part of the interval at the earliest.
const URGENT_PART: u32 = 8;

/// And that it is empty again so soon after that.
const RELIEF: Duration = Duration::from_millis(5);

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
            let apart = least.mul_f64(f64::from(self.peer.0 % 16) / 16.0);
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
        // Where many were late at once, keep them apart: each adds its own share of the interval once.
        let apart = interval.mul_f64(f64::from(self.peer.0 % 16) / 16.0);
        if self.report_sequence == 0 {
            self.report_at = now + apart;
        } else if now >= self.report_at {
            // One out of turn leaves the turn alone: all that fill together would come together ever after.
            self.report_at = now + interval;
        }
        self.news = self.phase == Phase::Content && !report.lacks.is_empty();
        let mut body = Vec::with_capacity(64);
        report.emit(&mut body);
        let sequence = Sequence(self.report_sequence);
        self.report_sequence += 1;
        let header = ReportHeader {
            peer: self.peer,
            tag: self.opener.tag,
            sequence,
        }
        .emit();
        let mut packet = vec![0; HEADER_LEN + body.len() + TAG_LEN];
        self.report_key.seal(&header, sequence, &body, &mut packet);
        packet
    }

    fn facts(&self) -> Report {
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
            stored_below: self.window.stored_below(),
            dropped: self.dropped,
            ring_permille: self.ring_permille,
            store_backlog: self.window.backlog(),
            lacks: lacks.collect(),
        }
    }
}
