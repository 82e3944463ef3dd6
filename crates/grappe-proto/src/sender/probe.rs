//! Whether the receiver that limits the rate is alone in that: now and then its losses are left out of
//! account for a moment. When the others take far more, it is sent apart; else the rate goes back.
//!
//! Receivers whose disk or processor is behind are found in `stragglers`: they close the window, and do
//! not set the rate.

use std::collections::BTreeMap;
use std::time::Duration;

use super::peer::Peer;
use super::{Phase, Sender};
use crate::session::{LimitedBy, Straggler};
use crate::units::{PeerId, Rate, Sequence, Time};

/// A receiver counts among those that limit for so long after it last did; that somebody in particular does
/// must have been so throughout [`SETTLED`].
const LIMITS: Duration = Duration::from_secs(1);

/// Nobody in particular limits when none is named for so long.
const NOBODY: Duration = Duration::from_millis(50);

/// The rate has found its knee when it was not lowered for so long: longer than packets wait in queues.
const SETTLED: Duration = Duration::from_millis(400);

/// Or it swings around it, as on a link that is shaped by tokens: a while without a queue, then a long one. Then the
/// same ones must have limited it for so long, each time that anybody did.
const SWINGING: Duration = Duration::from_millis(1_500);

/// The same as [`SETTLED`] where several senders share the links: each meets losses that another one causes, and is back
/// at its share soon.
const SETTLED_SHARED: Duration = Duration::from_secs(2);

/// Less than this share of the rate is lower; the queue that sets it makes it swing a little.
const LOWERED: f64 = 0.93;

/// Between two probes, at first; doubled after each one in vain.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_MOST: Duration = Duration::from_secs(60);

/// Enough for the rate to rise to [`FAR_SLOWER`], unless so many packets take longer: then it is there at once.
const LASTING: Duration = Duration::from_millis(400);
const RISING: u64 = 300;

/// Once it has, the others must receive at that rate for so long: what leaves may only fill a queue.
const PROVEN: Duration = Duration::from_millis(80);

/// And for so many reports, as in a large group they are seldom; but the slow ones lose packets meanwhile.
const REPORTS: u32 = 8;
const PROVEN_MOST: Duration = Duration::from_secs(2);

/// So much of it must be received: some is lost on their own ways, and reports come when they come. That is
/// 1.75 times what the slow ones take at least.
const RECEIVED: f64 = 0.7;

/// The sender must have reached this many times what the slow ones take. Served apart, the slow ones end
/// later by the others' time: with this by two fifths of their own at most.
const FAR_SLOWER: f64 = 2.5;

/// Who was named, took as much as the others as soon as it was tried, and is named again so soon, is parted with all the
/// same: what it says of its way is not true, or its way changes too often to wait for.
const NAMED_AGAIN: Duration = Duration::from_secs(10);

const NONE: Rate = Rate::from_bytes_per_second(0);

/// The probing of one pass.
#[derive(Debug)]
pub(super) struct Probing {
    /// Who has limited the rate, when last, and whether its own socket lost the packets.
    limiters: BTreeMap<PeerId, (Time, bool)>,
    /// When nobody in particular limited it last, and since when that is so now: a queue that swings hides
    /// for a moment who stands behind it.
    nobody_at: Time,
    nobody_since: Option<Time>,
    running: Option<Probe>,
    /// The highest rate of this period and of the one before, and when this one began: what the slow ones take at
    /// most where the rate swings.
    highest: (Rate, Rate, Time),
    /// The highest rate since it was lowered last, and when that was.
    rate: Rate,
    lowered_at: Time,
    next_at: Time,
    pause: Duration,
}

/// A moment in which some do not count.
#[derive(Debug)]
struct Probe {
    excused: Vec<(PeerId, bool)>,
    rate_before: Rate,
    /// What the slow ones take at most.
    taken: Rate,
    until: Time,
    /// Since when the sender has sent far more, and what each had received by then.
    fast: Option<(Time, Vec<(PeerId, u64)>)>,
}

impl Probing {
    pub(super) fn new(now: Time) -> Self {
        Self {
            limiters: BTreeMap::new(),
            nobody_at: now,
            nobody_since: None,
            running: None,
            highest: (NONE, NONE, now),
            rate: NONE,
            lowered_at: now,
            next_at: now,
            pause: PAUSE,
        }
    }

    /// Whether the losses of `peer` do not count at present.
    pub(super) fn excuses(&self, peer: PeerId) -> bool {
        let probe = self.running.as_ref();
        probe.is_some_and(|probe| probe.excused.iter().any(|(excused, _)| *excused == peer))
    }
}

impl Sender {
    /// Takes note of who limits the rate; begins and ends probes. To be called after each report.
    pub(super) fn probe(&mut self, now: Time) {
        if self.setup.straggler == Straggler::Wait || self.phase != Phase::Content {
            return;
        }
        match self.probing.running.take() {
            Some(probe) => self.go_on_probing(probe, now),
            None => self.think_of_probing(now),
        }
    }

    fn think_of_probing(&mut self, now: Time) {
        let settled = if self.shares_links() {
            SETTLED_SHARED
        } else {
            SETTLED
        };
        let limiters = &mut self.probing.limiters;
        if limiters.is_empty() {
            // Nobody did before now.
            self.probing.nobody_at = now;
        }
        if let Some((peer, at_host)) = self.rate.limited_by() {
            limiters.insert(peer, (now, at_host));
            self.probing.nobody_since = None;
        } else {
            let since = *self.probing.nobody_since.get_or_insert(now);
            if now.since(since) >= NOBODY {
                self.probing.nobody_at = now;
            }
        }
        let rate = self.rate.rate();
        if rate < self.probing.rate.scaled(LOWERED) {
            self.probing.lowered_at = now;
            self.probing.rate = rate;
        }
        self.probing.rate = self.probing.rate.max(rate);
        let (highest, before, since) = self.probing.highest;
        self.probing.highest = if now.since(self.probing.nobody_at) < SETTLED {
            // What was sent until somebody limited it, and while it came down, says nothing.
            (NONE, NONE, now)
        } else if now.since(since) >= LIMITS {
            (rate, highest, now)
        } else {
            (highest.max(rate), before, since)
        };
        let settled_since = self.probing.lowered_at.max(self.probing.nobody_at);
        let is_settled = now.since(settled_since) >= settled;
        let swings = !self.shares_links() && now.since(self.probing.nobody_at) >= SWINGING;
        let limiters = &mut self.probing.limiters;
        if !(is_settled || swings) || now < self.probing.next_at || limiters.is_empty() {
            return;
        }
        let (highest, before, _) = self.probing.highest;
        let swung = if is_settled {
            NONE
        } else {
            highest.max(before)
        };
        limiters.retain(|_, (last, _)| now.since(*last) < LIMITS);
        let excused: Vec<(PeerId, bool)> = limiters
            .iter()
            .map(|(peer, (_, at_host))| (*peer, *at_host))
            .collect();
        if excused.is_empty() || excused.len() * 2 > self.live().count() {
            // Nobody, or so many that the others are rather fast than they slow.
            return;
        }
        let rate_before = rate;
        let taken = swung.max(rate);
        let packets = RISING * super::packet_bytes(self.setup.symbol_size);
        let first = if rate.time_for(packets) > LASTING {
            taken.scaled(FAR_SLOWER)
        } else {
            rate
        };
        self.rate.look_above(first, Sequence(self.sequence));
        self.probing.running = Some(Probe {
            excused,
            rate_before,
            taken,
            until: now + LASTING,
            fast: None,
        });
    }

    fn go_on_probing(&mut self, mut probe: Probe, now: Time) {
        let wanted = probe.taken.scaled(FAR_SLOWER);
        let leaving = self.rate.leaving();
        if leaving >= wanted && probe.fast.is_none() {
            let all = self.live().map(|peer| (peer.id, peer.carried));
            probe.fast = Some((now, all.collect()));
            let reports = (self.report_interval_most() * REPORTS).min(PROVEN_MOST);
            probe.until = now + PROVEN.max(reports);
            self.rate.stop_doubling();
        }
        if now >= probe.until && self.do_others_receive(&probe, wanted, now) {
            // Who was named for a moment only takes as much as the others.
            let keeps_up = |id: PeerId| {
                let peer = self.peers.get(id.as_usize());
                let kept_up = peer.map(|peer| self.keeps_up(peer, &probe, wanted, now));
                let before = peer.and_then(|peer| peer.kept_up_at);
                kept_up == Some(Some(true))
                    && before.is_none_or(|before| now.since(before) >= NAMED_AGAIN)
            };
            let (fast, slow): (Vec<_>, Vec<_>) =
                (probe.excused.iter().copied()).partition(|(id, _)| keeps_up(*id));
            for (id, _) in fast {
                if let Some(peer) = self.peers.get_mut(id.as_usize()) {
                    peer.kept_up_at = Some(now);
                }
            }
            for (id, at_host) in slow {
                let cause = if at_host {
                    LimitedBy::Host
                } else {
                    LimitedBy::Network
                };
                let peer = self.peers.get(id.as_usize());
                if peer.is_some_and(|it| it.is_live()) {
                    self.part_with(id, cause, now);
                }
            }
            self.rate.look_again();
            self.probing = Probing::new(now);
            return;
        }
        // Somebody else loses packets as well: there is nothing to be gained.
        let has_fallen = probe.fast.is_some() && leaving < wanted.scaled(RECEIVED);
        let is_vain = self.rate.limited_by().is_some() || has_fallen;
        if now < probe.until && !is_vain {
            self.probing.running = Some(probe);
            return;
        }
        self.rate
            .go_back_to(probe.rate_before, Sequence(self.sequence));
        let pause = self.probing.pause;
        self.probing = Probing {
            next_at: now + pause,
            pause: (pause * 2).min(PAUSE_MOST),
            ..Probing::new(now)
        };
    }

    /// The receivers of the pass that count while `probe` runs.
    fn others(&self, probe: &Probe) -> impl Iterator<Item = &Peer> {
        let is_excused = |id: PeerId| probe.excused.iter().any(|(excused, _)| *excused == id);
        self.live().filter(move |peer| !is_excused(peer.id))
    }

    /// Whether all others have received at nearly the rate `wanted` since the sender sends so fast.
    fn do_others_receive(&self, probe: &Probe, wanted: Rate, now: Time) -> bool {
        let mut keep_up = self
            .others(probe)
            .filter_map(|peer| self.keeps_up(peer, probe, wanted, now));
        // Where nobody else is left, nothing is proven.
        let first = keep_up.next();
        first.is_some_and(|did| did && keep_up.all(|did| did))
    }

    /// Whether `peer` has; nothing, where that cannot be told.
    fn keeps_up(&self, peer: &Peer, probe: &Probe, wanted: Rate, now: Time) -> Option<bool> {
        let (since, before) = probe.fast.as_ref()?;
        let (_, before) = before.iter().find(|(id, _)| *id == peer.id)?;
        // What was received by then was told a report earlier, at a smaller rate.
        let span = now
            .since(*since)
            .saturating_sub(self.report_interval_most());
        let packets = wanted.bytes_in(span.max(PROVEN)) as f64 * RECEIVED
            / super::packet_bytes(self.setup.symbol_size) as f64;
        Some(peer.carried.saturating_sub(*before) as f64 >= packets)
    }
}
