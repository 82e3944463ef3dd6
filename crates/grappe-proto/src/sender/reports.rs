//! Reports come in: opened, believed only as far as they concern their receiver, turned into lacks,
//! window and rate.

use super::{Floor, Sender};
use crate::rate::{Echo, Observation};
use crate::session::NodeState;
use crate::units::{BlockIndex, PeerId, Sequence, Time};
use crate::wire::data::{HEADER_LEN, TAG_LEN};
use crate::wire::report::{REPORT_LEN_MAX, Report, ReportHeader};

impl Sender {
    /// A datagram at the report port: anything that is not a fresh, sealed report of a live receiver is
    /// dropped without a trace.
    pub(super) fn datagram(&mut self, bytes: &[u8], now: Time) {
        let Ok(header) = ReportHeader::read(bytes) else {
            return;
        };
        if header.tag != self.setup.tag {
            return;
        }
        let Some(peer) = self.peers.get_mut(header.peer.as_usize()) else {
            return;
        };
        if !peer.is_present() || peer.report_last.is_some_and(|last| header.sequence <= last) {
            return;
        }
        let mut body = [0; REPORT_LEN_MAX];
        let body = &mut body[..bytes.len() - HEADER_LEN - TAG_LEN];
        if peer.report_key.open(header.sequence, bytes, body).is_err() {
            return;
        }
        let Ok(report) = Report::read(body) else {
            return;
        };
        peer.report_last = Some(header.sequence);
        self.report(header.peer, &report, now);
    }

    fn report(&mut self, id: PeerId, report: &Report, now: Time) {
        let next = Sequence(self.sequence);
        if report.highest >= next {
            // Nobody can have seen what was not sent; such a report can be about nothing true.
            return;
        }
        let (cursor, end, stretch) = (self.cursor.0, self.end(), self.stretch());
        let Some(peer) = self.peers.get_mut(id.as_usize()) else {
            return;
        };
        if report.highest < peer.highest
            || report.received < peer.received
            || report.received > report.highest.0
        {
            // Counters only grow. What a node invents must not set the others' rate.
            let reason = "broke the protocol: its reports contradict each other".into();
            return self.ended(id, NodeState::Failed, reason, now);
        }
        let packet = super::packet_bytes(self.setup.symbol_size);
        peer.note_delivery(now, report.received, self.beats, packet);
        let before = Floor {
            stored_below: peer.stored_below,
            highest: peer.heard(),
            credit_end: peer.credit_end(stretch),
        };
        peer.heard_at = now;
        peer.store_backlog = report.store_backlog;
        peer.ring_permille = report.ring_permille;
        peer.lateness.note(now, report.echo, report.echo_at);
        if report.highest > peer.highest {
            (peer.highest, peer.hearing_at) = (report.highest, now);
        }
        if peer.is_piped() {
            return self.report_piped(id, report, now);
        }
        if !peer.is_live() {
            return self.report_apart(id, report, now);
        }
        if report.turn != peer.turn {
            // From before its turn: of no meaning in this one.
            return;
        }
        // May go back: a receiver that found a wrong hash asks again.
        let stored_below = report.stored_below.min(cursor);
        if stored_below > peer.stored_below || stored_below == cursor {
            peer.storing_at = now;
        }
        peer.stored_below = stored_below;
        let highest = peer.heard();
        let is_back = peer.highest > peer.base;
        // Of one that fills, less may be on the way than before.
        let retreats = peer.stored_below < self.floor.stored_below
            || peer.credit_end(stretch) < self.floor.credit_end;
        // What went by before it came back to the group is not lost.
        if is_back && !self.probing.excuses(id) {
            let echo = Echo {
                sent_at: report.echo,
                arrived: report.echo_at,
                received: report.echo_received,
            };
            self.rate.reported_within(self.report_interval_most());
            for earlier in &report.earlier {
                self.rate.recall(now, id, echo.before(earlier));
            }
            self.rate.observe(
                now,
                id,
                Observation {
                    highest: report.highest,
                    received: report.received,
                    dropped: report.dropped,
                    echo,
                },
                next,
            );
        }
        for lack in &report.lacks {
            if lack.block < cursor {
                // Not planned where a block that was there before differs from the sender's.
                self.plan.insert(lack.block);
                let symbols = self.symbols(lack.block);
                self.ledger.lack(now, lack, highest, symbols);
            }
        }
        let was_slowest = before.stored_below <= self.floor.stored_below
            || before.highest <= self.floor.highest
            || before.credit_end <= self.floor.credit_end;
        if was_slowest || retreats {
            self.refresh_floor();
        }
        if stored_below >= end {
            self.turn_is_over(id);
        }
        self.chain.progress(id, stored_below, now);
        if is_back {
            self.note_large(id, report, now);
        }
        self.note_repaired_in_vain(id, now);
        self.probe(now);
    }

    /// Whether every live receiver has processed packets sent after the last of `block`'s first sending.
    pub(super) fn heard_by_all(&self, block: BlockIndex) -> bool {
        self.ends
            .get(&block)
            .is_none_or(|end| self.floor.highest >= *end)
    }
}
