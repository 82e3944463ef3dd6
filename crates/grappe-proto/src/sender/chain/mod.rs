//! The pipeline's order: which receiver gets its blocks from which, and what changes when one dies, stands
//! still or is slow.
//!
//! A receiver asks its source for what it lacks, and the source serves from memory or from its disk. So a
//! change costs one connection and loses nothing, and a slow receiver holds only those after it. Nothing
//! is known here of control messages and blocks; `pipeline` gives these orders and hears what becomes of
//! them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::limits::BLOCK_SIZE;
use crate::units::{BlockIndex, PeerId, Time};

#[cfg(test)]
mod tests;

/// A receiver with others behind it, unheard for so long, is passed by: five reports of a quiet one.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// A receiver has so long to say where it listens before those after it go past it.
const SERVING_MAX: Duration = Duration::from_secs(1);

/// Over so long two receivers' progress is compared.
const COMPARED: Duration = Duration::from_secs(1);

/// Between two samples of a receiver's progress.
const SAMPLE: Duration = Duration::from_millis(100);

/// So far behind its source, 16 MiB, a receiver does not merely have blocks on the way.
const BEHIND_MIN: u32 = 64;

/// A source that gains fewer blocks while compared, 2 MiB/s, is slow itself, or too slow to be compared.
const GAIN_MIN: u32 = 8;

/// A receiver that gained nothing for so long from a source that has more, and has nothing left to store, gets
/// another source: this one gives nothing, whatever it reports, or cannot be reached any more.
const STARVED: Duration = Duration::from_secs(5);

/// A receiver that was passed by for slowness is not judged again for so long, doubled each time.
const REST: Duration = Duration::from_secs(4);

/// A source that so many receivers could not keep up with is what is slow, not they.
const BLAMES_MAX: u32 = 2;

/// The first time after which the first of the chain is compared with the second, doubled each time.
const TRIAL_AFTER: Duration = Duration::from_secs(5);

/// Both get blocks from the sender then, which costs half of its link: until the second, once it has begun,
/// has gained so many, 6 MiB, and for so long at most.
const TRIAL_BLOCKS: u32 = 24;
const TRIAL_MAX: Duration = Duration::from_millis(1_300);

/// The second's new connection has begun after so long, and both are looked at for so long at least: their
/// reports come when they come.
const TRIAL_BEGINS: Duration = Duration::from_millis(150);
const TRIAL_SPAN: Duration = Duration::from_millis(200);

/// After a failed connection another is tried not before.
const RETRY: Duration = Duration::from_millis(200);

/// Where a receiver of the pipeline gets its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The sender itself.
    Sender,
    /// Another receiver.
    Peer(PeerId),
}

/// A moment in which the second of the chain gets blocks from the sender, as the first does.
#[derive(Clone, Copy, Debug)]
struct Trial {
    first: PeerId,
    second: PeerId,
    since: Time,
    /// What each had stored as it began, and when that was heard.
    from: [Option<(Time, u32)>; 2],
}

/// An order to a receiver: get blocks from there from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Feed {
    pub(super) peer: PeerId,
    /// Tells this order from earlier ones.
    pub(super) number: u32,
    pub(super) source: Source,
}

/// A receiver was moved to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) peer: PeerId,
    pub(super) reason: &'static str,
}

/// The pipeline.
#[derive(Debug)]
pub(super) struct Chain {
    /// One past the last block of the copy.
    end: BlockIndex,
    /// A receiver of the multicast that the first of the chain is fed by, when there is one.
    trunk: Option<Link>,
    /// Each is fed by the one before it.
    links: Vec<Link>,
    numbers: u32,
    /// How many were passed by because they could not keep up with this source.
    blames: BTreeMap<PeerId, u32>,
    /// The receiver of the multicast that was slow to pass blocks on. With a second one it would rather be those
    /// after it: then nobody is taken for it any more.
    slow_trunk: Option<PeerId>,
    /// When it was last looked who starves.
    looked_at: Time,
    /// While the second of the chain gets blocks from the sender as the first does.
    trial: Option<Trial>,
    trials: u32,
    /// When the next trial is due.
    trial_at: Time,
}

/// A receiver's place.
#[derive(Debug)]
struct Link {
    peer: PeerId,
    /// Whether others can connect to it.
    serves: bool,
    /// Since when it stands here.
    since: Time,
    heard_at: Time,
    stored_below: BlockIndex,
    /// When that was heard.
    noted_at: Time,
    /// When it last gained a block, or had something to store, or could not gain any, or got its source.
    gained_at: Time,
    /// Its progress over the last second.
    samples: VecDeque<(Time, BlockIndex)>,
    source: Option<Source>,
    number: u32,
    /// Sources that failed it.
    shuns: BTreeSet<Source>,
    retry_at: Time,
    /// How often it was passed by for slowness, and until when it is not judged again.
    moves: u32,
    rests_until: Time,
}

impl Link {
    fn new(peer: PeerId, now: Time) -> Self {
        Self {
            peer,
            serves: false,
            since: now,
            heard_at: now,
            stored_below: BlockIndex(0),
            noted_at: now,
            gained_at: now,
            samples: VecDeque::new(),
            source: None,
            number: 0,
            shuns: BTreeSet::new(),
            retry_at: now,
            moves: 0,
            rests_until: now,
        }
    }

    /// Blocks gained over the last second; none when it is not known for so long.
    fn gain(&self, now: Time) -> Option<u32> {
        let (at, from) = self.samples.front()?;
        (now.since(*at) >= COMPARED).then(|| self.stored_below.0.saturating_sub(from.0))
    }

    fn note(&mut self, stored_below: BlockIndex, is_storing: bool, now: Time) {
        if stored_below > self.stored_below || is_storing {
            self.gained_at = now;
        }
        (self.stored_below, self.noted_at) = (stored_below, now);
        if (self.samples.back()).is_none_or(|(at, _)| now.since(*at) >= SAMPLE) {
            self.samples.push_back((now, stored_below));
        }
        // The first sample is the youngest that is old enough.
        while let Some((second, _)) = self.samples.get(1)
            && now.since(*second) >= COMPARED
        {
            self.samples.pop_front();
        }
    }
}

impl Chain {
    /// A chain without receivers, for a copy of blocks before `end`.
    pub(super) const fn new(end: BlockIndex) -> Self {
        Self {
            end,
            trunk: None,
            links: Vec::new(),
            numbers: 0,
            blames: BTreeMap::new(),
            slow_trunk: None,
            looked_at: Time::ZERO,
            trial: None,
            trials: 0,
            trial_at: Time::NEVER,
        }
    }

    /// The copy is known by now: `end` is one past its last block.
    pub(super) const fn set_end(&mut self, end: BlockIndex) {
        self.end = end;
    }

    /// Adds a receiver at the end.
    pub(super) fn add(&mut self, peer: PeerId, now: Time) {
        if self.trunk_peer() == Some(peer) {
            self.trunk = None;
        }
        if self.links.iter().all(|link| link.peer != peer) {
            self.links.push(Link::new(peer, now));
        }
        if self.trial_at == Time::NEVER {
            self.trial_at = now + TRIAL_AFTER;
        }
    }

    /// Takes a receiver out that has ended, or serves nobody any more.
    pub(super) fn remove(&mut self, peer: PeerId) {
        self.links.retain(|link| link.peer != peer);
        if self.trunk_peer() == Some(peer) {
            self.trunk = None;
        }
        for link in &mut self.links {
            if link.source == Some(Source::Peer(peer)) {
                link.source = None;
            }
        }
    }

    /// Makes a receiver of the multicast the one that feeds the first.
    pub(super) fn set_trunk(&mut self, peer: PeerId, now: Time) {
        self.trunk = Some(Link::new(peer, now));
    }

    /// The receiver of the multicast that feeds the first.
    pub(super) fn trunk_peer(&self) -> Option<PeerId> {
        self.trunk.as_ref().map(|link| link.peer)
    }

    /// Whether no receiver is fed by the pipeline.
    pub(super) const fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Others can connect to this receiver from now on.
    pub(super) fn serves(&mut self, peer: PeerId) {
        if let Some(link) = self.link_mut(peer) {
            link.serves = true;
        }
    }

    /// A sign of life.
    pub(super) fn heard(&mut self, peer: PeerId, now: Time) {
        if let Some(link) = self.link_mut(peer) {
            link.heard_at = now;
        }
    }

    /// A receiver has stored every block before `stored_below`, and may be storing more that it has.
    pub(super) fn progress(
        &mut self,
        peer: PeerId,
        stored_below: BlockIndex,
        is_storing: bool,
        now: Time,
    ) {
        if let Some(link) = self.link_mut(peer) {
            link.heard_at = now;
            link.note(stored_below, is_storing, now);
        }
    }

    /// What a receiver was told with `number` failed: it gets another source. Says whether that was its
    /// latest order.
    pub(super) fn unfed(&mut self, peer: PeerId, number: u32, now: Time) -> bool {
        let mut links = self.links.iter_mut();
        let Some(link) = links.find(|link| link.peer == peer && link.number == number) else {
            return false;
        };
        let Some(source) = link.source.take() else {
            return false;
        };
        link.shuns.insert(source);
        if source == Source::Sender {
            link.retry_at = now + RETRY;
        }
        true
    }

    /// Leaves a time out of account in which the sender heard nobody.
    pub(super) fn excuse(&mut self, gap: Duration) {
        for link in self.links.iter_mut().chain(&mut self.trunk) {
            link.heard_at = link.heard_at + gap;
            link.since = link.since + gap;
            link.gained_at = link.gained_at + gap;
            link.samples.clear();
        }
    }

    /// How far behind `peer` the receiver is that it feeds and that is furthest behind, in blocks; none
    /// when it feeds nobody that lacks anything.
    pub(super) fn owes(&self, peer: PeerId) -> Option<u32> {
        let fed = self.fed_by(peer);
        let furthest = fed.map(|link| link.stored_below).min()?;
        Some(self.end.0.saturating_sub(furthest.0))
    }

    /// Whether somebody gets blocks from the sender itself.
    pub(super) fn draws_on_sender(&self) -> bool {
        let lacks = |link: &&Link| link.stored_below < self.end;
        let mut lacking = self.links.iter().filter(lacks);
        lacking.any(|link| link.source.is_none() || link.source == Some(Source::Sender))
    }

    /// Every block before this one is stored by all.
    pub(super) fn stored_below(&self) -> BlockIndex {
        let stored = self.links.iter().map(|link| link.stored_below);
        stored.min().unwrap_or(self.end)
    }

    /// The rate at which the fastest stores at present, in bytes per second.
    pub(super) fn rate(&self) -> u64 {
        let gain = |link: &Link| {
            let (from, to) = (link.samples.front()?, link.samples.back()?);
            let bytes = u64::from(to.1.0.saturating_sub(from.1.0)) * u64::from(BLOCK_SIZE);
            let millis = u64::try_from(to.0.since(from.0).as_millis()).ok()?;
            (bytes * 1_000).checked_div(millis)
        };
        self.links.iter().filter_map(gain).max().unwrap_or(0)
    }

    /// Whether a receiver cannot store more, as its source has no more itself or it has none. The sender has all
    /// blocks before `known`.
    pub(super) fn has_all_there_is(&self, peer: PeerId, known: BlockIndex) -> bool {
        let Some(link) = self.links.iter().find(|link| link.peer == peer) else {
            return false;
        };
        match link.source {
            None => true,
            Some(Source::Sender) => link.stored_below >= known,
            Some(Source::Peer(source)) => self
                .find(source)
                .is_none_or(|source| source.stored_below <= link.stored_below),
        }
    }

    /// Takes their source from those that gain nothing from it although it has more; says who they are.
    pub(super) fn starved(&mut self, now: Time) -> Vec<PeerId> {
        // Each look at all costs the square of their number.
        if now.since(self.looked_at) < SAMPLE {
            return Vec::new();
        }
        self.looked_at = now;
        for index in 0..self.links.len() {
            // Who has all that its source has lacks nothing that it could have got.
            let link = &self.links[index];
            let lacks = match link.source {
                Some(Source::Peer(source)) => self
                    .find(source)
                    .is_some_and(|source| source.stored_below > link.stored_below),
                _ => false,
            };
            if !lacks {
                self.links[index].gained_at = now;
            }
        }
        let starves = |link: &Link| {
            link.stored_below < self.end
                && now.since(link.heard_at) < SILENCE_MAX
                && now.since(link.gained_at) >= STARVED
        };
        let starved: Vec<PeerId> = self
            .links
            .iter()
            .filter(|link| starves(link))
            .map(|link| link.peer)
            .collect();
        for peer in &starved {
            if let Some(link) = self.link_mut(*peer)
                && let Some(source) = link.source.take()
            {
                link.shuns.insert(source);
            }
        }
        starved
    }

    /// Whether a receiver of the multicast was slow to feed others.
    pub(super) fn is_slow_trunk(&self, peer: PeerId) -> bool {
        self.slow_trunk == Some(peer)
    }

    /// Those that were passed by, and the orders that follow from all that was heard.
    pub(super) fn settle(&mut self, now: Time) -> (Vec<Moved>, Vec<Feed>) {
        let mut moved = Vec::new();
        let slow_first = self.judge_first(now);
        // At most one each time: what its leaving changes must show first.
        if let Some((index, reason)) = slow_first.or_else(|| self.whom_to_pass_by(now)) {
            let mut link = self.links.remove(index);
            moved.push(Moved {
                peer: link.peer,
                reason,
            });
            link.moves += 1;
            link.since = now;
            link.samples.clear();
            link.rests_until = now + REST * 2_u32.saturating_pow(link.moves.min(8) - 1);
            self.links.push(link);
        }
        let mut feeds = Vec::new();
        for index in 0..self.links.len() {
            if let Some(feed) = self.feed(index, now) {
                feeds.push(feed);
            }
        }
        (moved, feeds)
    }

    /// When to settle again though nothing was heard.
    pub(super) fn wake_at(&self, now: Time) -> Time {
        if self.links.iter().all(|link| link.stored_below >= self.end) {
            return Time::NEVER;
        }
        now + SAMPLE
    }

    fn link_mut(&mut self, peer: PeerId) -> Option<&mut Link> {
        let mut all = self.links.iter_mut().chain(&mut self.trunk);
        all.find(|link| link.peer == peer)
    }

    fn find(&self, peer: PeerId) -> Option<&Link> {
        let mut all = self.links.iter().chain(&self.trunk);
        all.find(|link| link.peer == peer)
    }

    /// Those that `peer` feeds and that lack something.
    fn fed_by(&self, peer: PeerId) -> impl Iterator<Item = &Link> {
        let fed = move |link: &&Link| link.source == Some(Source::Peer(peer));
        let lacks = |link: &&Link| link.stored_below < self.end;
        self.links.iter().filter(fed).filter(lacks)
    }

    /// Whether the first of the chain is slow cannot be told from its source, which it alone makes busy. So
    /// now and then the second gets blocks from the sender as well, for a moment. Where the sender's link is
    /// what limits, both are alike; where the first does, the second gains what it leaves.
    fn judge_first(&mut self, now: Time) -> Option<(usize, &'static str)> {
        let [first, second, ..] = &self.links[..] else {
            self.trial = None;
            return None;
        };
        let Some(trial) = &mut self.trial else {
            let is_fair = first.source == Some(Source::Sender)
                && second.source == Some(Source::Peer(first.peer))
                && first.stored_below.0 + BEHIND_MIN * 4 < self.end.0;
            if now >= self.trial_at && is_fair {
                self.trial = Some(Trial {
                    first: first.peer,
                    second: second.peer,
                    since: now,
                    from: [None; 2],
                });
            }
            return None;
        };
        let begins = trial.since + TRIAL_BEGINS;
        for (from, link) in trial.from.iter_mut().zip([first, second]) {
            if link.noted_at >= begins {
                from.get_or_insert((link.noted_at, link.stored_below.0));
            }
        }
        let gains = [(0, first), (1, second)].map(|(which, link): (usize, &Link)| {
            let (at, from) = trial.from[which]?;
            let span = link.noted_at.since(at);
            let gain = link.stored_below.0.saturating_sub(from);
            (span >= TRIAL_SPAN).then(|| (gain, f64::from(gain) / span.as_secs_f64()))
        });
        let is_theirs = (trial.first, trial.second) == (first.peer, second.peer);
        let tells = matches!(gains, [Some(_), Some((gain, _))] if gain >= TRIAL_BLOCKS);
        if is_theirs && !tells && now.since(trial.since) < TRIAL_MAX {
            return None;
        }
        // A new connection may take more than its half for a moment. Who has everything gains nothing.
        let is_fair =
            is_theirs && first.source == Some(Source::Sender) && first.stored_below < self.end;
        let is_slow = match gains {
            [Some((_, own)), Some((gain, rate))] => gain >= TRIAL_BLOCKS && own < rate / 2.0,
            _ => false,
        };
        self.trial = None;
        self.trials += 1;
        self.trial_at = now + TRIAL_AFTER * 2_u32.saturating_pow(self.trials.min(8));
        (is_fair && is_slow).then_some((0, "slower than the one after it"))
    }

    /// Who is to be moved to the end, and why.
    fn whom_to_pass_by(&mut self, now: Time) -> Option<(usize, &'static str)> {
        for index in 0..self.links.len() {
            let link = &self.links[index];
            let is_silent = |link: &Link| now.since(link.heard_at) >= SILENCE_MAX;
            // Those that are silent themselves would gain nothing.
            if self.fed_by(link.peer).all(is_silent) {
                continue;
            }
            if is_silent(link) {
                return Some((index, "silent"));
            }
            let Some(source) = self.outruns(link, now) else {
                continue;
            };
            let blames = self.blames.entry(source).or_default();
            *blames += 1;
            let is_its_source = *blames >= BLAMES_MAX;
            if is_its_source && self.trunk_peer() == Some(source) && self.slow_trunk.is_none() {
                self.slow_trunk = Some(source);
                self.remove(source);
                return None;
            }
            let culprit = self.links.iter().position(|link| link.peer == source);
            return match culprit {
                Some(culprit) if is_its_source => {
                    self.blames.remove(&source);
                    Some((culprit, "slow to pass blocks on"))
                }
                _ => Some((index, "slower than the one before it")),
            };
        }
        None
    }

    /// The source that gains so much faster than `link` that those after it would be better off there.
    fn outruns(&self, link: &Link, now: Time) -> Option<PeerId> {
        let Some(Source::Peer(peer)) = link.source else {
            return None;
        };
        let source = self.find(peer)?;
        let behind = source.stored_below.0.saturating_sub(link.stored_below.0);
        let (gain, own) = (source.gain(now)?, link.gain(now)?);
        let is_slow = behind >= BEHIND_MIN && gain >= GAIN_MIN && own * 10 < gain * 7;
        (is_slow && now >= link.rests_until).then_some(peer)
    }

    /// The order for the receiver at `index`, when it is to get blocks from elsewhere than before.
    fn feed(&mut self, index: usize, now: Time) -> Option<Feed> {
        let link = &self.links[index];
        if link.stored_below >= self.end || now < link.retry_at {
            return None;
        }
        let source = self.source_for(index, now)?;
        let link = &mut self.links[index];
        if link.source == Some(source) {
            return None;
        }
        self.numbers += 1;
        link.source = Some(source);
        link.number = self.numbers;
        link.gained_at = now;
        // What it gained from another source says nothing of this one.
        link.samples.clear();
        Some(Feed {
            peer: link.peer,
            number: self.numbers,
            source,
        })
    }

    /// The nearest before the receiver at `index` that serves and has not failed it; none while one that
    /// has just come may still say that it serves.
    fn source_for(&mut self, index: usize, now: Time) -> Option<Source> {
        if self
            .trial
            .is_some_and(|trial| trial.second == self.links[index].peer)
        {
            return Some(Source::Sender);
        }
        let shuns = &self.links[index].shuns;
        for link in self.links[..index].iter().rev().chain(&self.trunk) {
            let source = Source::Peer(link.peer);
            if shuns.contains(&source) {
                continue;
            }
            if link.serves {
                return Some(source);
            }
            if now.since(link.since) < SERVING_MAX {
                return None;
            }
        }
        if shuns.contains(&Source::Sender) {
            // All failed once: they are tried again.
            self.links[index].shuns.clear();
        }
        Some(Source::Sender)
    }
}
