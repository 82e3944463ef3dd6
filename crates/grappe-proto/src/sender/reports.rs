//! Reports come in: opened, believed only as far as they concern their receiver, turned into lacks,
//! window and rate.

use std::time::Duration;

use super::{Floor, Sender};
use crate::rate::{Echo, Observation};
use crate::session::NodeState;
use crate::units::{BlockIndex, PeerId, Rate, Sequence, Time};
use crate::wire::data::{HEADER_LEN, TAG_LEN};
use crate::wire::report::{REPORT_BYTES, REPORT_LEN_MAX, Report, ReportHeader};

/// Reports take no more than this part of what the links take, in the direction in which little else goes.
const REPORTS_PART: u64 = 8;

/// How often each of so many `receivers` reports, where the links take `taken`: a hundred times a second, rarer
/// when there are many, so that up to 10,000 receivers make at most 10,000 reports a second, but for those out of turn.
/// Rarer still on slow links, so that reports take no more than a part of them; but a thousand a second come in any case,
/// for the rate may be low for what one receiver pretends, which is to be found out. Rarer as well where several senders
/// share the links, since each node then reports to all of them.
pub(super) fn interval(receivers: u64, taken: Rate, is_shared: bool) -> Duration {
    let least = if is_shared { 25 } else { 10 };
    let bytes = receivers * REPORT_BYTES as u64 * REPORTS_PART;
    let of_links = taken.time_for(bytes);
    of_links
        .clamp(
            Duration::from_micros(100 * receivers),
            Duration::from_millis(receivers),
        )
        .clamp(Duration::from_millis(least), Duration::from_secs(1))
}

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
        let held = Duration::from_nanos(header.held.into());
        self.report(header.peer, held, &report, now);
    }

    fn report(&mut self, id: PeerId, held: Duration, report: &Report, now: Time) {
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
            || report.echo_received > report.received
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
                took: Some(now.since(report.echo + held)),
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
            // Nobody lacks what it has stored: to read and send that again would cost the others.
            if lack.block < cursor && lack.block >= stored_below {
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
        self.chain
            .progress(id, stored_below, report.store_backlog > 0, now);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::stream::Stream;
    use crate::fec::SymbolSet;
    use crate::limits::{PEERS_MAX, SYMBOL_SIZE};
    use crate::rate::RateLimits;
    use crate::seal::{SealKey, Suite};
    use crate::sender::{Input, Phase, SenderSetup};
    use crate::session::{Expectation, Straggler, Transport};
    use crate::wire::control::ToSender;
    use crate::wire::report::Lack;
    use proptest::prelude::*;

    const GIGABIT: Rate = Rate::from_bytes_per_second(125_000_000);

    fn millis(receivers: u64, taken: Rate) -> u128 {
        interval(receivers, taken, false).as_millis()
    }

    #[test]
    fn few_report_a_hundred_times_a_second_on_any_link() {
        for receivers in 0..=10 {
            assert_eq!(millis(receivers, GIGABIT), 10);
            assert_eq!(millis(receivers, RateLimits::default().floor), 10);
        }
        assert_eq!(interval(3, GIGABIT, true).as_millis(), 25);
    }

    #[test]
    fn many_share_what_the_sender_bears() {
        assert_eq!(millis(100, GIGABIT), 10);
        assert_eq!(millis(1_000, GIGABIT), 100);
        assert_eq!(millis(10_000, GIGABIT), 1_000);
        assert_eq!(millis(PEERS_MAX as u64, GIGABIT), 1_000);
    }

    #[test]
    fn slow_links_are_left_to_the_copy() {
        let link = Rate::from_bytes_per_second(2_500_000);
        // 170 bytes of each of 64, eight times, take 34.8 ms.
        assert_eq!(millis(64, link), 34);
        assert_eq!(millis(200, link), 108);
        // A thousand reports a second come in any case.
        assert_eq!(millis(11, RateLimits::default().floor), 11);
        assert_eq!(millis(200, RateLimits::default().floor), 200);
    }

    #[test]
    fn what_a_receiver_has_stored_it_does_not_lack() {
        let stream = Stream::of_manifest_only(100).and_then(|it| it.with_full_blocks(1_000, 0));
        let setup = SenderSetup {
            tag: 1,
            stream: stream.expect("small"),
            symbol_size: SYMBOL_SIZE,
            expectation: Expectation::Anybody,
            wait: Duration::from_secs(1),
            rate: RateLimits::default(),
            straggler: Straggler::Demote,
            transport: Transport::Multicast,
            mtu: 1500,
            burst_packets_max: 16,
            starts_when_told: false,
        };
        let (mut machine, peer) = (Sender::new(setup, Time::ZERO), PeerId(0));
        let hello = Input::Hello {
            peer,
            name: "node".into(),
            report_key: SealKey::new(Suite::Aes128Gcm, &[0; 16]),
        };
        machine.handle(hello, Time::ZERO);
        let joined = ToSender::Joined { buffer_bytes: 0 };
        machine.handle(Input::Control(peer, joined), Time::ZERO);
        (machine.phase, machine.cursor) = (Phase::Content, (BlockIndex(500), 0));
        // Its report of blocks 490 to 492, when it has stored all before 492.
        let lack = |block| Lack {
            block: BlockIndex(block),
            need: 1,
            missing: SymbolSet::first(1),
        };
        let report = Report {
            stored_below: BlockIndex(492),
            lacks: (490..493).map(lack).collect(),
            ..Report::default()
        };
        machine.report(peer, Duration::ZERO, &report, Time::ZERO);
        let planned: Vec<u32> = (0..500)
            .filter(|block| machine.plan.contains(BlockIndex(*block)))
            .collect();
        assert_eq!(planned, [492]);
    }

    proptest! {
        #[test]
        fn nobody_is_silent_for_longer_than_a_second(
            receivers in 0..=PEERS_MAX as u64, taken in 1_u64..=1 << 40, is_shared: bool,
        ) {
            let taken = Rate::from_bytes_per_second(taken);
            let interval = interval(receivers, taken, is_shared);
            prop_assert!(interval >= Duration::from_millis(10) && interval <= Duration::from_secs(1));
            // Of more receivers, each reports no more often.
            prop_assert!(interval <= super::interval(receivers + 1, taken, is_shared));
        }
    }
}
