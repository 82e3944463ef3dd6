//! Sets the rate for the longest queue: so that little waits in it, and it never runs empty.
//!
//! How long queues are is told by `queue`, whose they are by `whose`, what to do beside somebody else by `rival`. Losses
//! are no matter of this file.

use std::time::Duration;

use super::{HEADROOM, Queue, RAISE_INTERVAL, RAISE_STARTUP, RateControl, SLACK, WORST_AGE};
use crate::rate::queue::Standing;
use crate::rate::rival::Verdict;
use crate::units::{PeerId, Rate, Sequence, Time};

/// A queue up to here is none: the links are never idle for want of packets, nor do others wait for them.
const QUEUE_SHORT: Duration = Duration::from_millis(1);

/// Up to here a queue may be somebody else's, or processors that are busy: as long as this share of what was sent
/// arrives behind it, it does not tell what the way takes.
const QUEUE_FOREIGN: Duration = Duration::from_millis(5);
const FOLLOWS: f64 = 0.9;

/// A knee below this share of the one that was known is in doubt once the queue is gone behind which it was found.
const SUNK: f64 = 0.8;

/// The queue that is aimed at once there is one: it rides over moments in which the sender is not scheduled.
const QUEUE_AIM: Duration = Duration::from_millis(2);

/// The rate is changed so that the difference to the aim would be gone after so long. Shorter than twice
/// what a report takes to tell of a change, it would swing.
const QUEUE_DRAIN: Duration = Duration::from_millis(100);

/// Bounds of that change, as a share of what the slowest way takes.
const EASE_MOST: f64 = 0.5;
const PRESS_MOST: f64 = 1.02;

/// Raise per interval while no queue shows, just above what the way took last, and further off.
const PRESS_NEAR: f64 = 1.004;
const PRESS_FAR: f64 = 1.04;
const PRESSED_FAR: f64 = 1.04;

/// Of fewer receivers the worst is heard often enough.
const MANY: usize = 32;

/// Weight of a new measurement of what the way takes against the ones before, and how far off it may be to
/// count as one of the same thing.
const KNEE_WEIGHT: f64 = 0.25;
const KNEE_SAME: f64 = 0.15;

/// A wait up to here may be no queue at all, but processors that are busy with others: what arrives is then
/// what was sent, and to take it for the knee would lead down and down. Such a wait hardly lowers the knee.
const QUEUE_SURE: Duration = Duration::from_millis(6);
const KNEE_KEPT: f64 = 0.9998;

/// After so long with a queue it is drained once, to see how short the way is without.
const DRAIN_EVERY: Duration = Duration::from_secs(5);
const DRAIN_MOST: Duration = Duration::from_millis(800);
const DRAIN_RATE: f64 = 0.9;
const EMPTY: Duration = Duration::from_micros(300);

/// Receivers whose queues differ by less stand behind the same one, if there is one at both.
const SAME_QUEUE: Duration = Duration::from_micros(1_500);

impl RateControl {
    /// Sets the rate for the longest queue: so that little waits in it, and it never runs empty.
    pub(super) fn steer(
        &mut self,
        now: Time,
        id: PeerId,
        standing: Standing,
        lost: Option<Sequence>,
        next: Sequence,
    ) {
        if self.peers.len() >= MANY && !self.is_led {
            let (wait, at) = (standing.wait, now);
            self.alone.note(Queue { peer: id, wait, at }, self.best);
        }
        let is_worst = self.is_worst(now, id, standing.wait);
        if self.alone.holds_for_other(now, id) {
            // It sees nothing of the queue for which the rate is set, nor of whose that is.
            return;
        }
        if !is_worst {
            // Of many receivers the worst is seldom heard, and no queue is none, whoever tells. Far above the knee it is
            // the worst who has to be heard first.
            let is_none = self.peers.len() >= MANY
                && self.worst.is_none_or(|worst| worst.wait <= QUEUE_SHORT);
            let is_alone = !self.rivalry.is_on() && self.asking_at.is_none();
            let is_near =
                (self.knee).is_some_and(|knee| self.rate < self.above(now, knee, PRESSED_FAR));
            if is_none && is_alone && is_near && now.since(self.drained_at) < DRAIN_EVERY {
                self.press(now);
            }
            return;
        }
        let sending = self.leaving().min(self.rate);
        let was_shared = self.rivalry.is_on();
        let verdict = self.rivalry.note(
            now,
            (id, &standing),
            (sending, &self.sent),
            lost,
            next,
            self.packet_bytes * self.together,
        );
        self.asking_at = matches!(verdict, Verdict::Asking(_)).then_some(now);
        if was_shared && !self.rivalry.is_on() {
            // What arrived beside him is less than all.
            self.doubt(now);
        }
        match verdict {
            // Nothing is known at this moment.
            Verdict::Alone if self.rivalry.is_on() => {}
            Verdict::Alone => {
                // Nobody is there: what was known before holds.
                self.knee = self.knee_asked.take().or(self.knee);
            }
            Verdict::Asking(rate) => {
                self.knee_asked = self.knee_asked.or(self.knee);
                self.raised_at = now;
                self.trial = None;
                return self.set_rate(rate, self.epoch);
            }
            Verdict::Beside(rate) => {
                self.eased(now, id);
                self.knee = standing.arriving.or(Some(rate));
                if !self.rivalry.is_on() {
                    // He has gone, and it is all ours again.
                    (self.knee, self.knee_asked) = (Some(rate), None);
                }
                // So slow a change tells as much of the loss as none.
                return self.set_rate(rate, self.epoch);
            }
        }
        if !self.rivalry.is_on() && self.drains(now, &standing) {
            return;
        }
        if standing.wait <= QUEUE_SHORT {
            return self.press(now);
        }
        let Some(arriving) = standing.arriving else {
            // There is a queue, nobody knows yet of how much: not more of it, at least.
            self.raised_at = now;
            self.confirmed = false;
            return;
        };
        if self.presses_on(now, id, &standing, arriving) {
            return;
        }
        let knee = match self.knee {
            Some(knee) if !self.starting && is_near(knee, arriving) => {
                let (knee, arriving) = (knee.bytes_per_second(), arriving.bytes_per_second());
                let mean = knee as f64 * (1.0 - KNEE_WEIGHT) + arriving as f64 * KNEE_WEIGHT;
                let least = if standing.wait > QUEUE_SURE {
                    0.0
                } else {
                    knee as f64 * KNEE_KEPT
                };
                Rate::from_bytes_per_second(mean.max(least) as u64)
            }
            _ => arriving,
        };
        // What waits there by now: the beat that tells of it has waited as well (Smith, 1957). What the way loses of
        // itself waits nowhere.
        let own_loss = self.peers.get(&id).map_or(0.0, |peer| peer.own_loss);
        let taken = knee.scaled(1.0 / (1.0 - own_loss).max(0.1));
        let growth = self.sent.growth(standing.sent_at, now, taken);
        let excess = standing.wait.as_secs_f64() + growth - QUEUE_AIM.as_secs_f64();
        let factor =
            (1.0 - excess / self.drain_time(now).as_secs_f64()).clamp(EASE_MOST, PRESS_MOST);
        self.eased(now, id);
        self.knee = Some(knee);
        if self.peers.len() < MANY {
            self.highest_knee = self.highest_knee.max(self.knee);
        }
        let rate = knee.scaled(factor);
        let epoch = if is_near(rate, self.rate) {
            self.epoch
        } else {
            next
        };
        self.set_rate(rate, epoch);
    }

    /// Raises the rate though a queue stands, as long as it may be somebody else's; says whether that is going on.
    fn presses_on(&mut self, now: Time, id: PeerId, standing: &Standing, arriving: Rate) -> bool {
        let leaving = self.leaving.unwrap_or(self.rate);
        // What leaves may have been measured before the rate was doubled last.
        if self.starting && leaving.scaled(SLACK * RAISE_STARTUP) >= self.rate {
            self.doubt(now);
        }
        let follows = |left: Rate| arriving >= left.scaled(FOLLOWS);
        let is_foreign = self.peers.len() < MANY
            && standing.wait <= QUEUE_FOREIGN
            && standing.left.is_some_and(follows);
        let Some(raised_at) = self.unproven_at.filter(|_| is_foreign) else {
            if self.unproven_at.take().is_some() {
                self.highest_knee = Some(arriving);
            }
            return false;
        };
        self.eased(now, id);
        self.knee = Some(arriving);
        if leaving.scaled(SLACK) >= self.rate && now.since(raised_at) >= RAISE_INTERVAL {
            self.unproven_at = Some(now);
            self.set_rate(self.rate.scaled(PRESS_FAR), self.epoch);
        }
        true
    }

    /// What arrives may be less than the way takes. Of many receivers one hears too seldom to raise the rate behind a
    /// queue.
    fn doubt(&mut self, now: Time) {
        if self.peers.len() < MANY {
            self.unproven_at = Some(now);
        }
    }

    /// Lets the queue run empty now and then; says whether that is going on.
    fn drains(&mut self, now: Time, standing: &Standing) -> bool {
        let with_queue = now.since(self.drained_at);
        let is_empty = standing.wait < EMPTY && !standing.is_shortest;
        let Some(knee) = self.knee.filter(|_| !self.starting) else {
            return false;
        };
        if is_empty || with_queue > DRAIN_EVERY + DRAIN_MOST {
            self.drained_at = now;
            return false;
        }
        if with_queue < DRAIN_EVERY || self.eased_at.is_none() {
            return false;
        }
        self.raised_at = now;
        self.set_rate(knee.scaled(DRAIN_RATE), self.epoch);
        true
    }

    /// Raises the rate, as no queue stands: at once to where the last one did not grow, then little by
    /// little, then fast.
    fn press(&mut self, now: Time) {
        let Some(knee) = self.knee.filter(|_| !self.starting && self.trial.is_none()) else {
            return;
        };
        let is_used = self
            .leaving
            .is_some_and(|leaving| leaving.scaled(HEADROOM) >= self.rate);
        if self.eased_at.is_none() || !is_used || now.since(self.raised_at) < RAISE_INTERVAL {
            return;
        }
        if self.alone.holds(now) {
            return;
        }
        let is_sunk = |highest: Rate| knee.max(self.rate) < highest.scaled(SUNK);
        if self.highest_knee.is_some_and(is_sunk) {
            // It was given way to a queue that somebody else may have filled, and which is gone.
            self.doubt(now);
        }
        self.raised_at = now;
        let full = self.above(now, knee, PRESS_MOST);
        let rate = if self.rate < full {
            full
        } else if self.unproven_at.is_none() && self.rate < self.above(now, knee, PRESSED_FAR) {
            self.above(now, self.rate, PRESS_NEAR)
        } else {
            self.above(now, self.rate, PRESS_FAR)
        };
        self.set_rate(rate, self.epoch);
    }

    /// `rate` times a factor above one. It is less where one of many has a slower link, of whose queue one hears late.
    pub(super) fn above(&self, now: Time, rate: Rate, factor: f64) -> Rate {
        let soon = QUEUE_DRAIN.as_secs_f64() / self.drain_time(now).as_secs_f64();
        rate.scaled(1.0 + (factor - 1.0) * soon)
    }

    /// A queue is drained in this time, and no sooner than it is heard of again.
    fn drain_time(&self, now: Time) -> Duration {
        QUEUE_DRAIN.max(self.alone.silence(now))
    }

    /// Takes note that a queue sets the rate.
    fn eased(&mut self, now: Time, id: PeerId) {
        let behind_one = match (self.worst, self.best) {
            (Some(worst), Some(best)) => {
                let differ = worst.wait.saturating_sub(best.wait);
                worst.peer != best.peer && differ < SAME_QUEUE && best.wait > EMPTY
            }
            _ => false,
        };
        self.limited_by = (!behind_one).then_some((id, false));
        self.eased_at = Some(now);
        self.raised_at = now;
        self.starting = false;
        // What was tried is answered: there is a queue.
        self.trial = None;
    }

    /// Takes note of a queue; says whether it is the longest.
    fn is_worst(&mut self, now: Time, peer: PeerId, wait: Duration) -> bool {
        let told = Queue {
            peer,
            wait,
            at: now,
        };
        let is_old = |queue: &Queue| queue.peer == peer || now.since(queue.at) > WORST_AGE;
        if self
            .best
            .is_none_or(|best| is_old(&best) || wait <= best.wait)
        {
            self.best = Some(told);
        }
        let is_worst = self
            .worst
            .is_none_or(|worst| is_old(&worst) || wait >= worst.wait);
        if is_worst {
            self.worst = Some(told);
        }
        is_worst
    }
}

fn is_near(one: Rate, other: Rate) -> bool {
    let (one, other) = (one.bytes_per_second(), other.bytes_per_second());
    (one.abs_diff(other) as f64) < one.max(other) as f64 * KNEE_SAME
}
