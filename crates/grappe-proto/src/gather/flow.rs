//! When turns run and how fast: the coordinator's machine while content flows.
//!
//! A few senders send all at once, each with its share of the links, where that gains something; else one
//! sends after the other, each steering by itself, the next being prepared meanwhile and beginning when the
//! one before has sent everything once. The first sender begins alone and finds out what the links carry.

use std::collections::BTreeMap;
use std::time::Duration;

use super::coordinator::{Coordinator, Event};
use super::plan::{Turn, with_parents};
use super::shares::divide;
use crate::units::{Rate, SessionId, Time};
use crate::wire::gather::{ToMember, TurnProgress};

/// So many turns run at once: each is a session at every node, of which a receiver takes 16. With more
/// senders than these, one after the other loses less than 8 % to its own turn's idle link.
const AT_ONCE_MAX: usize = 12;

/// Senders that send at once gain the share of the smallest part in all of them, and cost each node as many
/// copies at a time. For less they send one after the other.
const GAIN_MIN: f64 = 0.04;

/// Turns prepared ahead of the one that runs, when more than that run one after the other.
const AHEAD: usize = 2;

/// Turns that are not over, at most: a receiver takes part in 16 copies at a time, of which one may be another's, and
/// a short turn is sent long before what it brought is placed.
const OPEN_MAX: usize = 14;

/// The first sender looks for the links' rate for so long at most: a rate that doubles every 15 ms has
/// met its bound long before.
const LOOK_MAX: Duration = Duration::from_millis(400);

/// Others wait so long for the turns to be prepared before the first begins without them.
const PREPARE_MAX: Duration = Duration::from_secs(3);

/// Of the rate at which packets got lost, so much is used at first.
const USED: f64 = 0.985;

/// What the first sender sent too much meanwhile waits in queues, which drain for so long at its share before
/// the others begin.
const DRAIN: Duration = Duration::from_millis(30);

/// A sender's rate says something of the links once it has sent for so long.
const SETTLED: Duration = Duration::from_millis(100);

/// How often the shares are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How often the links' rate may be raised, and lowered.
const RAISE_EVERY: Duration = Duration::from_millis(300);
const LOWER_EVERY: Duration = Duration::from_millis(250);

/// A raise near the rate at which something got lost last; elsewhere each is twice the one before, up to
/// the most.
const RAISE: f64 = 0.005;
const RAISE_MOST: f64 = 0.16;
const NEAR: std::ops::Range<f64> = 0.95..1.05;

/// The way back to what the links are known to carry is shorter.
const BACK_EVERY: Duration = Duration::from_millis(100);
const BACK: f64 = 0.03;

/// What one cut leaves, below what came through: the queue must drain.
const LOWER: f64 = 0.97;
const LOWER_MOST: f64 = 0.3;
const BELOW: f64 = 0.01;

/// A sender that may send less than so much of its share has met losses.
const HELD_BACK: f64 = 0.93;

/// More repairs than the links' own losses cost, as a share of all packets, mean a full queue.
const EXCESS: f64 = 0.015;

/// What remains of losses after a cut when they are the links' own.
const REMAINS: f64 = 0.7;
const AT_SHARE: f64 = 0.985;

/// Who sends less than so much of its share cannot use it: that nothing gets lost then says nothing of the links.
const USES_SHARE: f64 = 0.77;

/// How soon losses that were taken for the links' own and are not there any more are forgotten: by so much with each
/// look.
const FORGOTTEN: f64 = 0.02;

/// A share that differs by less is not worth a message.
const WORTH: f64 = 0.03;

/// A turn on its way.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) turn: Turn,
    pub(super) state: State,
    pub(super) attempt: u32,
    /// State and reason for each receiver, as the sender told them.
    pub(super) results: BTreeMap<usize, (u8, Option<String>)>,
    /// Not prepared before.
    from: Time,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    /// The sender does not know of it.
    Waiting,
    /// Receivers join and prepare.
    Preparing,
    /// Content may flow.
    Prepared,
    /// Content flows.
    Flowing(Flowing),
    /// All content was sent once.
    Sent,
    /// Over.
    Over,
}

/// How a turn flows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Flowing {
    progress: TurnProgress,
    /// What it was told last.
    cap: Option<Rate>,
    since: Time,
    /// It reported since it was told.
    has_reported: bool,
    /// The share of repairs among the packets between its last two reports.
    loss: f64,
}

impl Run {
    pub(super) fn new(turn: Turn, attempt: u32, from: Time) -> Self {
        Self {
            turn,
            state: State::Waiting,
            attempt,
            results: BTreeMap::new(),
            from,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    pub(super) fn note(&mut self, progress: TurnProgress) {
        if let State::Flowing(flowing) = &mut self.state {
            let packets = progress.packets.saturating_sub(flowing.progress.packets);
            let repairs = progress.repairs.saturating_sub(flowing.progress.repairs);
            flowing.loss = (repairs as f64 / packets.max(1) as f64).min(1.0);
            flowing.progress = progress;
            flowing.has_reported = true;
        }
    }

    /// Bytes still to be sent once.
    pub(super) fn left(&self) -> u64 {
        match &self.state {
            State::Flowing(flowing) => flowing.progress.left.min(self.turn.bytes),
            State::Sent | State::Over => 0,
            _ => self.turn.bytes,
        }
    }

    fn flowing(&self) -> Option<&Flowing> {
        match &self.state {
            State::Flowing(flowing) => Some(flowing),
            _ => None,
        }
    }
}

/// What is known of the links.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    /// The user's bound.
    most: Option<Rate>,
    /// What is divided among the senders.
    used: Option<Rate>,
    /// What the first sender found, and when.
    measured: Option<Rate>,
    measured_at: Time,
    /// The most of which all came through.
    proven: Option<Rate>,
    /// Repairs that the links' own losses cost, as a share of all packets.
    own_loss: f64,
    /// What was used before the last cut, and the losses then.
    cut: Option<(Rate, f64)>,
    /// What was used when something got lost last.
    knee: Option<Rate>,
    /// The last raise.
    step: f64,
    all_at_once: bool,
    /// Turns that were told that they have the links for themselves.
    finishing: usize,
    /// Shares must be looked at, as a turn began or ended.
    pub(super) changed: bool,
    looked_at: Time,
    raised_at: Time,
    lowered_at: Time,
    began_at: Time,
}

impl Links {
    pub(super) const fn new(most: Option<Rate>, now: Time) -> Self {
        Self {
            most,
            used: None,
            measured: None,
            measured_at: now,
            proven: None,
            own_loss: 0.0,
            cut: None,
            knee: None,
            step: RAISE,
            all_at_once: false,
            finishing: 0,
            changed: false,
            looked_at: now,
            raised_at: now,
            lowered_at: now,
            began_at: now,
        }
    }

    /// Decides whether senders that have `parts` to send, of which the last is 0 where a node only
    /// listens, send all at once.
    pub(super) fn plan(&mut self, parts: &[u64]) {
        let total: u64 = parts.iter().sum();
        let least = parts.iter().min().copied().unwrap_or(0);
        let gain = least as f64 / total.max(1) as f64;
        self.all_at_once = parts.len() <= AT_ONCE_MAX && gain >= GAIN_MIN;
    }

    pub(super) fn measured(&self) -> Option<Rate> {
        self.proven.or(self.measured)
    }

    /// What the links carry without loss, as far as that is known, where `used` is less.
    fn known_above(&self, used: Rate) -> Option<Rate> {
        let known = self.knee?.scaled(USED);
        (used < known).then_some(known)
    }

    /// Uses more, as all of what is used comes through.
    fn raise(&mut self, used: Rate, now: Time) {
        self.cut = None;
        if let Some(known) = self.known_above(used) {
            self.used = Some(self.bounded(used.scaled(1.0 + BACK).min(known)));
            self.raised_at = now;
            return;
        }
        let is_near = self.knee.is_some_and(|knee| {
            let share = used.bytes_per_second() as f64 / knee.bytes_per_second() as f64;
            NEAR.contains(&share)
        });
        self.step = if is_near {
            RAISE
        } else {
            (self.step * 2.0).min(RAISE_MOST)
        };
        self.proven = self.proven.max(Some(used));
        self.used = Some(self.bounded(used.scaled(1.0 + self.step)));
        self.raised_at = now;
    }

    /// Uses a little less, as senders met losses and hold themselves back, though little was lost in all.
    /// What is known of the links stays, so that the rate comes back soon.
    fn yield_a_little(&mut self, used: Rate, now: Time) {
        (self.lowered_at, self.raised_at) = (now, now);
        self.step = RAISE;
        self.used = Some(used.scaled(LOWER));
    }

    /// Uses less, as only `carried` of it came through. Losses that a cut did not take away are the links'
    /// own, and what was used before comes back.
    fn lower(&mut self, used: Rate, carried: f64, loss: f64, now: Time) {
        (self.lowered_at, self.raised_at) = (now, now);
        self.step = RAISE;
        match self.cut.take() {
            Some((before, lost)) if loss > lost * REMAINS && loss > self.own_loss + EXCESS => {
                self.own_loss = loss;
                self.used = Some(before);
            }
            _ => {
                self.cut = Some((used, loss));
                self.knee = Some(used.scaled(carried));
                self.used = Some(used.scaled((carried - BELOW).clamp(LOWER_MOST, LOWER)));
            }
        }
    }

    /// Whether queues still hold what the first sender sent too much.
    fn drains(&self, now: Time) -> bool {
        self.measured.is_some() && now < self.measured_at + DRAIN
    }

    fn bounded(&self, rate: Rate) -> Rate {
        self.most.map_or(rate, |most| rate.min(most))
    }
}

impl Coordinator {
    /// Prepares turns, starts them, and divides the links.
    pub(super) fn flow(&mut self, now: Time) {
        self.prepare(now);
        self.measure(now);
        self.start(now);
        if self.links.changed || now.since(self.links.looked_at) >= LOOK {
            self.links.changed = false;
            self.links.looked_at = now;
            self.adapt(now);
            self.divide(now);
        }
    }

    pub(super) fn flow_wakes_at(&self, now: Time) -> Time {
        if self.runs.iter().all(Run::is_over) {
            Time::NEVER
        } else if self.links.drains(now) {
            self.links.measured_at + DRAIN
        } else {
            now + LOOK
        }
    }

    fn prepare(&mut self, now: Time) {
        // Few are prepared all together: short turns end before the next could be prepared.
        let room = if self.runs.len() <= AT_ONCE_MAX {
            AT_ONCE_MAX
        } else {
            1 + AHEAD
        };
        let is_busy = |run: &Run| !matches!(run.state, State::Waiting | State::Over | State::Sent);
        let is_open = |run: &&Run| !matches!(run.state, State::Waiting | State::Over);
        let mut busy = self.runs.iter().filter(|run| is_busy(run)).count();
        let mut open = self.runs.iter().filter(is_open).count();
        for number in 0..self.runs.len() {
            let Some(run) = self.runs.get(number) else {
                return;
            };
            if run.state != State::Waiting || now < run.from {
                continue;
            }
            if busy >= room || open >= OPEN_MAX {
                return;
            }
            busy += 1;
            open += 1;
            if self.links.began_at < run.from || self.began_at.is_none() {
                self.links.began_at = now;
            }
            let turn = run.turn.clone();
            self.prepare_turn(number, &turn);
        }
    }

    fn prepare_turn(&mut self, number: usize, turn: &Turn) {
        let sender = self
            .members
            .get(turn.sender)
            .and_then(|it| self.nodes.get(*it));
        let entries = sender.map(|node| with_parents(&node.entries, &turn.entries));
        let receivers = self.receivers_of(turn);
        let number_on_wire = u32::try_from(number).unwrap_or(u32::MAX);
        self.tell_entries(turn.sender, &entries.unwrap_or_default());
        let session = session_of(&self.setup.gather, number_on_wire);
        self.tell_member(
            turn.sender,
            ToMember::Prepare {
                turn: number_on_wire,
                session,
                receivers,
            },
        );
        if let Some(run) = self.runs.get_mut(number) {
            run.state = State::Preparing;
        }
    }

    /// Learns from the first sender what the links carry.
    fn measure(&mut self, now: Time) {
        if self.links.used.is_some() {
            return;
        }
        let found = self.runs.iter().find_map(|run| {
            let flowing = run.flowing()?;
            let has_waited = now.since(flowing.since) >= LOOK_MAX && flowing.progress.rate > 0;
            let has_met = flowing.progress.knee > 0 || has_waited;
            let seen = match flowing.progress.knee {
                0 => flowing.progress.rate,
                knee => knee,
            };
            let seen = Rate::from_bytes_per_second(seen);
            has_met.then_some((seen, flowing.progress.knee > 0))
        });
        let Some((found, is_knee)) = found else {
            return;
        };
        let measured = self.links.bounded(found);
        self.links.knee = is_knee.then_some(found);
        self.links.measured = Some(measured);
        self.links.measured_at = now;
        self.links.used = Some(measured.scaled(USED));
        (self.links.raised_at, self.links.lowered_at) = (now, now);
        self.links.changed = true;
        self.event(Event::Measured(measured));
    }

    fn start(&mut self, now: Time) {
        let flowing = self
            .runs
            .iter()
            .filter(|run| run.flowing().is_some())
            .count();
        let is_preparing = |run: &Run| run.state == State::Preparing;
        let may_begin = match (self.links.used, self.links.all_at_once) {
            // Somebody must find out what the links carry, undisturbed.
            (None, _) => {
                let is_patient = now.since(self.links.began_at) < PREPARE_MAX;
                let waits = is_patient && self.runs.iter().any(is_preparing);
                usize::from(flowing == 0 && !waits)
            }
            (Some(_), true) if self.links.drains(now) => 0,
            (Some(_), true) => AT_ONCE_MAX,
            (Some(_), false) => usize::from(flowing == 0),
        };
        for _ in 0..may_begin {
            let prepared = self.runs.iter().enumerate();
            let prepared = prepared.filter(|(_, run)| run.state == State::Prepared);
            let Some((number, _)) = prepared.max_by_key(|(_, run)| run.turn.bytes) else {
                return;
            };
            self.start_turn(number, now);
        }
    }

    fn start_turn(&mut self, number: usize, now: Time) {
        let rate = self.links.used;
        let Some(run) = self.runs.get_mut(number) else {
            return;
        };
        run.state = State::Flowing(Flowing {
            progress: TurnProgress {
                left: run.turn.bytes,
                ..TurnProgress::default()
            },
            cap: None,
            since: now,
            has_reported: false,
            loss: 0.0,
        });
        let sender = run.turn.sender;
        let turn = u32::try_from(number).unwrap_or(u32::MAX);
        self.began_at.get_or_insert(now);
        self.links.changed = true;
        let name = self.name_of(sender);
        self.event(Event::Flowing(name));
        // Where all begin at once, each gets its share before it begins.
        if rate.is_some() && self.links.all_at_once {
            self.divide(now);
        } else if let Some(most) = self.links.most {
            let rate = most.bytes_per_second();
            self.tell_member(sender, ToMember::Cap { turn, rate });
        }
        let cap = self.runs.get(number).and_then(|run| run.flowing()?.cap);
        let rate = rate.map(|rate| cap.unwrap_or(rate).bytes_per_second());
        self.tell_member(sender, ToMember::Start { turn, rate });
    }

    /// Follows the links: raises what is used while nothing gets lost, lowers it when something does.
    fn adapt(&mut self, now: Time) {
        let Some(used) = self.links.used else { return };
        if !self.links.all_at_once {
            // Each steers by itself; the next one begins where it is.
            let flowing = self.runs.iter().filter_map(Run::flowing);
            let settled = flowing.filter(|it| now.since(it.since) >= SETTLED);
            let allowed = settled.map(|it| it.progress.allowed).filter(|it| *it > 0);
            let allowed = allowed.max().map(Rate::from_bytes_per_second);
            self.links.used = Some(self.links.bounded(allowed.unwrap_or(used)));
            return;
        }
        let (mut caps, mut lost, mut carried, mut least) = (0.0, 0.0, 0.0, f64::INFINITY);
        let (mut senders, mut held, mut is_used) = (0_usize, 0_usize, false);
        for flowing in self.runs.iter().filter_map(Run::flowing) {
            let Some(cap) = flowing.cap.filter(|_| flowing.has_reported) else {
                continue;
            };
            let cap = cap.bytes_per_second() as f64;
            let may = flowing.progress.allowed as f64;
            caps += cap;
            carried += may;
            lost += flowing.loss * cap;
            least = least.min(may / cap);
            senders += 1;
            held += usize::from(may < cap * HELD_BACK);
            is_used |= flowing.progress.rate as f64 >= cap * USES_SHARE;
        }
        if caps == 0.0 {
            return;
        }
        let (share, loss) = (carried / caps, lost / caps);
        let excess = (loss - self.links.own_loss).max(0.0);
        self.links.own_loss -= (self.links.own_loss - loss).max(0.0) * FORGOTTEN;
        let may_lower = now.since(self.links.lowered_at) >= LOWER_EVERY;
        if excess > EXCESS {
            if may_lower {
                self.links.lower(used, share.min(1.0 - excess), loss, now);
            }
        } else if held * 2 > senders {
            // A single one that is held is not held by what all of them share.
            if may_lower {
                self.links.yield_a_little(used, now);
            }
        } else if least >= AT_SHARE && is_used {
            let every = match self.links.known_above(used) {
                Some(_) => BACK_EVERY,
                None => RAISE_EVERY,
            };
            if now.since(self.links.raised_at) >= every {
                self.links.raise(used, now);
            }
        }
    }

    /// Tells each sender its share, where it changed.
    fn divide(&mut self, now: Time) {
        let Some(used) = self.links.used.filter(|_| self.links.all_at_once) else {
            return;
        };
        // While queues drain, those that will begin then have their share already.
        let drains = self.links.drains(now);
        let sends = |run: &Run| run.flowing().is_some() || drains && run.state == State::Prepared;
        let runs = self.runs.iter().enumerate().filter(|(_, run)| sends(run));
        let sending: Vec<(usize, usize, u64)> = runs
            .map(|(number, run)| (number, run.turn.sender, run.left()))
            .collect();
        if sending.is_empty() {
            return self.let_finish(used);
        }
        self.links.finishing = 0;
        let senders: Vec<usize> = sending.iter().map(|(_, sender, _)| *sender).collect();
        let left: Vec<u64> = sending.iter().map(|(_, _, left)| *left).collect();
        let does_anybody_listen = self.present().any(|(rank, _)| !senders.contains(&rank));
        let shares = divide(used, &left, does_anybody_listen);
        for ((number, sender, _), share) in sending.into_iter().zip(shares) {
            let Some(State::Flowing(flowing)) = self.runs.get_mut(number).map(|run| &mut run.state)
            else {
                continue;
            };
            let is_worth = flowing.cap.is_none_or(|cap| {
                let (cap, share) = (cap.bytes_per_second(), share.bytes_per_second());
                cap.abs_diff(share) as f64 > cap as f64 * WORTH
            });
            if is_worth {
                flowing.cap = Some(share);
                flowing.has_reported = false;
                let turn = u32::try_from(number).unwrap_or(u32::MAX);
                let rate = share.bytes_per_second();
                self.tell_member(sender, ToMember::Cap { turn, rate });
            }
        }
    }

    /// Gives the links to turns that have sent everything once: some receivers may lack much of it.
    fn let_finish(&mut self, used: Rate) {
        let runs = self.runs.iter().enumerate();
        let finishing = runs.filter(|(_, run)| run.state == State::Sent);
        let finishing: Vec<(usize, usize)> = finishing
            .map(|(number, run)| (number, run.turn.sender))
            .collect();
        if finishing.len() == self.links.finishing {
            return;
        }
        self.links.finishing = finishing.len();
        let rate = used.scaled(1.0 / finishing.len().max(1) as f64);
        let rate = rate.bytes_per_second();
        for (number, sender) in finishing {
            let turn = u32::try_from(number).unwrap_or(u32::MAX);
            self.tell_member(sender, ToMember::Cap { turn, rate });
        }
    }
}

/// Turns of a gather whose names are known for such: more than the nodes that one may have, each with several.
const TURNS_KNOWN: u32 = 1 << 16;

/// Whether `session` is the copy of a turn of `gather`, and none that somebody makes meanwhile for himself.
pub fn is_turn_of(gather: SessionId, session: SessionId) -> bool {
    (0..TURNS_KNOWN).any(|number| session_of(&gather.0, number) == session.0)
}

/// The name of the copy of turn `number`: as random as the gather's own.
fn session_of(gather: &[u8; 16], number: u32) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"grappe gather turn");
    hasher.update(gather).update(&number.to_be_bytes());
    let mut session = [0; 16];
    hasher.finalize_xof().fill(&mut session);
    session
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_known_by_its_name() {
        let (gather, other) = (SessionId([1; 16]), SessionId([2; 16]));
        for number in [0, 1, TURNS_KNOWN - 1] {
            let turn = SessionId(session_of(&gather.0, number));
            assert!(is_turn_of(gather, turn));
            assert!(!is_turn_of(other, turn));
        }
        assert!(!is_turn_of(gather, other) && !is_turn_of(gather, gather));
    }

    const fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// Links of which 100 MB/s are known to come through, and `used` are used.
    fn links(used: u64) -> Links {
        let mut links = Links::new(None, at(0));
        links.knee = Some(Rate::from_bytes_per_second(100_000_000));
        links.used = Some(Rate::from_bytes_per_second(used));
        links
    }

    #[test]
    fn what_the_links_are_known_to_carry_is_used_again_soon() {
        let mut links = links(85_000_000);
        let mut raises = 0;
        while let Some(used) = links.used
            && links.known_above(used).is_some()
        {
            links.raise(used, at(100));
            raises += 1;
        }
        assert!(raises <= 6, "{raises}");
        let known = Rate::from_bytes_per_second(100_000_000).scaled(USED);
        assert_eq!(links.used, Some(known), "no further in one go");
        links.raise(known, at(100));
        assert_eq!(
            links.used,
            Some(known.scaled(1.0 + RAISE)),
            "then carefully"
        );
    }

    #[test]
    fn a_full_queue_is_not_taken_for_the_links_own_loss() {
        let used = |links: &Links| links.used.unwrap();
        let mut links = links(100_000_000);
        links.lower(used(&links), 0.94, 0.06, at(100));
        links.yield_a_little(used(&links), at(400));
        links.raise(used(&links), at(500));
        let before = used(&links);
        links.lower(before, 0.94, 0.06, at(800));
        assert!(used(&links) < before, "it is cut again");
        assert_eq!(links.own_loss, 0.0);
    }

    #[test]
    fn others_wait_until_what_the_first_sent_too_much_has_drained() {
        let mut links = Links::new(None, at(0));
        assert!(!links.drains(at(1)), "nothing was measured");
        links.measured = Some(Rate::from_bytes_per_second(100_000_000));
        links.measured_at = at(200);
        assert!(links.drains(at(210)));
        assert!(!links.drains(at(200) + DRAIN));
    }
}
