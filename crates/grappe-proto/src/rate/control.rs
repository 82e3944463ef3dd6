//! The rate: doubles until a queue stands somewhere, or a receiver loses what it did not lose before, then
//! stays where the queue is short.
//!
//! Loss that does not fall when the rate falls is the link's own (a bad cable, a test) and is not
//! answered with less rate. What a receiver cannot take for want of processor or disk shows as an
//! unmoving window (`sender`), not here; here only packets that wait on the way or vanished count.

mod alone;
mod proven;
mod steering;

use std::collections::BTreeMap;
use std::time::Duration;

use self::alone::Alone;
use self::proven::Proven;
use super::queue::{Echo, Pace, QueueWatch};
use super::rival::Rivalry;
use super::sent::Sent;
use crate::units::{PeerId, Rate, Sequence, Time};

/// Time between two raises: long enough for a report to come back from the last one.
const RAISE_INTERVAL: Duration = Duration::from_millis(15);

/// Packets that make a sample of loss, below which chance speaks, and those that make a whole one.
const SAMPLE_PACKETS: u64 = 100;
const SAMPLE_PACKETS_MAX: u64 = 1_000;

/// A sample of large packets takes no longer than this.
const SAMPLE_TIME_MAX: Duration = Duration::from_millis(50);

/// Packets that tell whether a cut helped against little loss.
const TRIAL_PACKETS: u64 = 400;

/// A cut whose receiver does not answer for so long was as good as any.
const TRIAL_TIME_MAX: Duration = Duration::from_secs(2);

/// Loss above a receiver's own that means a full queue.
const EXCESS: f64 = 0.015;

/// Loss that is answered at once; less must show in two samples in a row.
const SEVERE: f64 = 0.25;

/// Standard deviations beyond which loss is no chance. A hundred receivers give ten thousand samples a
/// second, and each one that errs costs all of them rate.
const CHANCE: f64 = 5.5;

/// Share of a loss that a cut must promise to take away, for the answer to tell anything.
const TELLING: f64 = 0.3;

/// Below the measured knee by so much after a cut: the queue that caused it must drain.
const AFTER_CUT: f64 = 0.97;

/// What one cut leaves of the rate at least: a sample may err.
const CUT_MOST: f64 = 0.25;

/// Share of a loss that remains after a cut when it is the link's own. Less than all: of many samples it
/// is the one with the worst luck that leads to a cut.
const REMAINS: f64 = 0.35;

/// Raise per interval while looking for the knee, far below it, near it, and above the last one.
const RAISE_STARTUP: f64 = 2.0;
const RAISE_FAR: f64 = 1.10;
const RAISE_NEAR: f64 = 1.002;
const RAISE_ABOVE: f64 = 1.03;

/// The same below the share that somebody who knows all senders gave: he sees the losses of all of them.
const RAISE_LED: f64 = 1.05;

/// Who is cut again so soon after has a bound of its own, and for so long rises towards that as others do.
const AGAIN: Duration = Duration::from_millis(1_500);
const OWN_BOUND: Duration = Duration::from_secs(5);

/// The rate may be this much above what really leaves, so that a raise is always possible.
const HEADROOM: f64 = 1.3;

/// Less than the rate over this leaves only when something else limits.
const SLACK: f64 = 1.15;

/// A queue that is longer explains losses.
const QUEUE_FULL_MIN: Duration = Duration::from_millis(3);

/// A longest queue of which nothing was heard for so long is so no more.
const WORST_AGE: Duration = Duration::from_millis(60);

/// Bounds that the user or the driver sets.
#[derive(Clone, Copy, Debug)]
pub struct RateLimits {
    /// The user's cap, if any.
    pub cap: Option<Rate>,
    /// Where to start.
    pub start: Rate,
    /// Never below this: a sender that crept would look dead.
    pub floor: Rate,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            cap: None,
            start: Rate::from_bytes_per_second(12_500_000),
            floor: Rate::from_bytes_per_second(100_000),
        }
    }
}

/// What a report says that matters to the rate.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// The highest packet number the receiver has processed.
    pub highest: Sequence,
    /// Packets it has processed.
    pub received: u64,
    /// Packets its socket dropped.
    pub dropped: u32,
    /// The latest beat that reached it.
    pub echo: Echo,
}

/// The controller of one sender.
#[derive(Clone, Debug)]
pub struct RateControl {
    limits: RateLimits,
    /// Somebody who knows all senders divides the links among them.
    is_led: bool,
    /// When it was cut last, and until when a sender with a share has a bound of its own below that.
    cut_at: Option<Time>,
    own_bound_until: Time,
    packet_bytes: u64,
    /// Packets that arrive or get lost as one.
    together: u64,
    rate: Rate,
    starting: bool,
    /// The rate at which packets vanished last.
    knee: Option<Rate>,
    /// What arrives while none is known.
    proven: Proven,
    raised_at: Time,
    /// Packets from this one on were sent at the present rate.
    epoch: Sequence,
    /// A sample entirely of the present epoch came back clean.
    confirmed: bool,
    /// The last cut, until a sample of that receiver tells whether it helped.
    trial: Option<Trial>,
    peers: BTreeMap<PeerId, Peer>,
    /// What left, and when.
    sent: Sent,
    /// Bytes that left since `window_start`, and what the last whole window amounted to.
    window_start: Time,
    window_bytes: u64,
    leaving: Option<Rate>,
    /// Something else than the rate holds back what leaves.
    is_slack: bool,
    /// Which receiver's losses or queue set the rate, and whether its own socket dropped the packets.
    limited_by: Option<(PeerId, bool)>,
    /// The longest queue and the shortest, of those heard of lately.
    worst: Option<Queue>,
    best: Option<Queue>,
    /// What one receiver of many told of a queue that no other has.
    alone: Alone,
    /// When the rate was last set for a queue, and when there was none.
    eased_at: Option<Time>,
    drained_at: Time,
    /// While the knee is in doubt, as the queue behind which it was found may be somebody else's: since when, or when the
    /// rate was raised last for it.
    unproven_at: Option<Time>,
    /// The highest knee since a doubt ended last: a knee far below it is in doubt, once no queue stands.
    highest_knee: Option<Rate>,
    rivalry: Rivalry,
    /// When it was last asked whose queue stands: losses and clean samples do not count meanwhile. The knee before that.
    asking_at: Option<Time>,
    knee_asked: Option<Rate>,
    /// The rivalry before the look at what lies above, and the knee if it was asked then.
    rivalry_before: Option<(Rivalry, Option<Rate>)>,
}

/// The queue on the way to a receiver, as it was last told.
#[derive(Clone, Copy, Debug)]
struct Queue {
    peer: PeerId,
    wait: Duration,
    at: Time,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    peer: PeerId,
    since: Time,
    rate_before: Rate,
}

/// Loss beyond a receiver's own, not known yet to be the link's or a full queue's.
#[derive(Clone, Copy, Debug)]
struct Suspicion {
    loss: f64,
    /// What came through: the knee, if it was a full queue.
    knee: Rate,
}

#[derive(Clone, Debug)]
struct Peer {
    anchor: Observation,
    anchor_at: Time,
    /// Loss that this receiver has whatever the rate.
    own_loss: f64,
    suspicion: Option<Suspicion>,
    /// The sample before showed excess.
    warned: bool,
    queue: QueueWatch,
    /// The report before.
    last: Observation,
}

impl RateControl {
    /// A controller that has sent nothing; every packet counts as `packet_bytes`.
    pub fn new(limits: RateLimits, packet_bytes: u64, now: Time) -> Self {
        let start = limits.cap.map_or(limits.start, |cap| cap.min(limits.start));
        Self {
            limits,
            is_led: false,
            cut_at: None,
            own_bound_until: now,
            packet_bytes,
            together: 1,
            rate: start,
            starting: true,
            knee: None,
            proven: Proven::default(),
            raised_at: now,
            epoch: Sequence(0),
            confirmed: false,
            trial: None,
            peers: BTreeMap::new(),
            sent: Sent::default(),
            window_start: now,
            window_bytes: 0,
            leaving: None,
            is_slack: false,
            limited_by: None,
            worst: None,
            alone: Alone::default(),
            best: None,
            eased_at: None,
            drained_at: now,
            unproven_at: None,
            highest_knee: None,
            rivalry: Rivalry::default(),
            asking_at: None,
            knee_asked: None,
            rivalry_before: None,
        }
    }

    /// From now on so many packets arrive or get lost together, as they are one on the way: as many of those make
    /// a sample as before.
    pub fn set_together(&mut self, together: u8) {
        let together = u64::from(together).max(1);
        if together != self.together {
            let by = self.together as f64 / together as f64;
            self.rivalry.rescale(by);
            if let Some((before, _)) = &mut self.rivalry_before {
                before.rescale(by);
            }
        }
        self.together = together;
    }

    /// The rate to send at, in bytes of packets per second.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// The rate at which packets really leave, once that was measured.
    pub fn leaving(&self) -> Rate {
        self.leaving.unwrap_or(self.rate)
    }

    /// Whether the user's cap holds the rate.
    pub fn is_capped(&self) -> bool {
        self.limits.cap.is_some_and(|cap| self.rate >= cap)
    }

    /// Whether less leaves than the rate allows, because of something else.
    pub const fn is_slack(&self) -> bool {
        self.is_slack
    }

    /// The receiver whose losses or queue set the present rate, and whether it lost them in its own socket.
    /// Nobody, when all stand behind the same queue.
    pub const fn limited_by(&self) -> Option<(PeerId, bool)> {
        self.limited_by
    }

    /// Takes note that `bytes` left at `now` in a packet without content, as a beat; the next will carry `next`.
    pub fn sent_beside(&mut self, now: Time, bytes: u64, next: Sequence) {
        self.sent.note(now, bytes, next);
        self.window_bytes += bytes;
    }

    /// Takes note that `bytes` of content left at `now`; the next packet will carry `next`.
    pub fn sent(&mut self, now: Time, bytes: u64, next: Sequence) {
        self.sent_beside(now, bytes, next);
        let elapsed = now.since(self.window_start);
        if elapsed < RAISE_INTERVAL {
            return;
        }
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let leaving = u128::from(self.window_bytes) * 1_000_000_000 / u128::from(nanos);
        let leaving = Rate::from_bytes_per_second(u64::try_from(leaving).unwrap_or(u64::MAX));
        self.leaving = Some(leaving);
        self.is_slack = leaving.scaled(SLACK) < self.rate;
        self.window_start = now;
        self.window_bytes = 0;
        self.maybe_raise(now, next);
    }

    /// Takes note of a beat that `peer` heard before the one it reports of.
    pub fn recall(&mut self, now: Time, peer: PeerId, earlier: Echo) {
        let pace = self.pace();
        if let Some(known) = self.peers.get_mut(&peer) {
            known.queue.recall(now, earlier, &self.sent, pace);
        }
    }

    /// How the rate moves at present.
    fn pace(&self) -> Pace {
        if self.rivalry.is_on() {
            Pace::Shared
        } else if self.starting {
            Pace::Starting
        } else {
            Pace::Steady
        }
    }

    /// Takes note of a report of `peer`; the next packet will carry `next`.
    pub fn observe(&mut self, now: Time, peer: PeerId, seen: Observation, next: Sequence) {
        let pace = self.pace();
        let known = self.peers.entry(peer).or_insert_with(|| Peer {
            anchor: seen,
            anchor_at: now,
            own_loss: 0.0,
            suspicion: None,
            warned: false,
            queue: QueueWatch::default(),
            last: seen,
        });
        let lost = known.loses(&seen).then_some(known.last.highest);
        let standing = known.queue.note(now, seen.echo, &self.sent, pace);
        let is_new = seen.echo.sent_at > known.last.echo.sent_at;
        known.last = seen;
        if self.knee.is_none()
            && is_new
            && let Some(arrived) = known.queue.arrived(self.packet_bytes)
        {
            self.proven.arrived(now, peer, arrived);
        }
        // A queue that all senders fill together tells nothing of what this one may send.
        if let Some(standing) = standing.filter(|_| !self.is_led) {
            self.steer(now, peer, standing, lost, next);
        }
        self.count(now, peer, seen, next);
    }

    /// Looks at what was lost.
    fn count(&mut self, now: Time, peer: PeerId, seen: Observation, next: Sequence) {
        let together = self.sampled_together();
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        let sent = seen.highest.0.saturating_sub(known.anchor.highest.0);
        let elapsed = now.since(known.anchor_at);
        let received = seen
            .received
            .saturating_sub(known.anchor.received)
            .min(sent);
        let dropped = u64::from(seen.dropped.wrapping_sub(known.anchor.dropped));
        let rate = u128::from(sent * self.packet_bytes) * 1_000_000_000 / elapsed.as_nanos().max(1);
        let sample = Sample {
            peer,
            seen,
            packets: sent as f64 / self.together as f64,
            loss: 1.0 - received as f64 / sent.max(1) as f64,
            rate: Rate::from_bytes_per_second(u64::try_from(rate).unwrap_or(u64::MAX)),
            // A socket counts a train of many packets that it drops as one.
            at_host: dropped > 0,
        };
        if known.anchor.highest < self.epoch {
            // What was sent at the rate before says nothing about this one, but its loss can be compared.
            if sent >= SAMPLE_PACKETS / 4 * together
                && self.trial.is_some_and(|trial| trial.peer != peer)
            {
                known.suspect(&sample, self.rate);
            }
            (known.anchor, known.anchor_at) = (seen, now);
            return;
        }
        let is_subtle = sample.loss < 0.2 && self.trial.is_some();
        let enough = if is_subtle {
            TRIAL_PACKETS
        } else {
            SAMPLE_PACKETS
        };
        if sent < enough * together || elapsed < Duration::from_millis(4) {
            return;
        }
        if sent >= SAMPLE_PACKETS_MAX * together {
            (known.anchor, known.anchor_at) = (seen, now);
        }
        self.judge(now, sample, next);
    }

    /// How many packets count as one where a sample must be large enough. While the rate doubles none are counted
    /// together: what a full queue loses is plain from few.
    /// Nor where a sample would take too long.
    fn sampled_together(&self) -> u64 {
        let time = self
            .rate
            .time_for(SAMPLE_PACKETS * self.together * self.packet_bytes);
        if self.starting || time > SAMPLE_TIME_MAX {
            1
        } else {
            self.together
        }
    }

    /// Takes note of the longest time from one report of a receiver to the next: so long holds what it told of a queue.
    pub const fn reported_within(&mut self, between: Duration) {
        self.alone.reported_within(between);
    }

    /// Forgets a receiver that is gone.
    pub fn forget(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        self.trial.take_if(|trial| trial.peer == peer);
        self.best.take_if(|queue| queue.peer == peer);
        self.alone.forget(peer);
        self.proven.forget(peer);
        self.rivalry_before = None;
        self.highest_knee = None;
        if self.worst.take_if(|queue| queue.peer == peer).is_some() {
            self.forget_rivalry();
        }
        if self
            .limited_by
            .is_some_and(|(limiting, _)| limiting == peer)
        {
            self.limited_by = None;
            self.unproven_at = None;
            (self.knee, self.knee_asked) = (None, None);
        }
    }

    /// Whether it is asked whose queue stands; where no beats come any more, that is over.
    fn is_asking(&self, now: Time) -> bool {
        self.asking_at
            .is_some_and(|asked| now.since(asked) <= WORST_AGE)
    }

    fn forget_rivalry(&mut self) {
        (self.rivalry, self.rivalry_before) = (Rivalry::default(), None);
        (self.asking_at, self.knee_asked) = (None, None);
    }

    /// The rate at which packets got lost last, if they did.
    pub const fn knee(&self) -> Option<Rate> {
        self.knee
    }

    /// What the links take as far as is known, for reports on their way back.
    pub fn taken(&self) -> Rate {
        match self.knee {
            // Right after a cut the rate is lower.
            Some(knee) => knee.max(self.rate),
            None => self.proven.of(self.rate),
        }
    }

    /// Whether somebody who knows all senders divides the links among them.
    pub const fn is_led(&self) -> bool {
        self.is_led
    }

    /// Sets the share of the links that this sender has; packets from `next` on tell of it where it lowers
    /// the rate. From now on only losses hold it below.
    ///
    /// A rate that stood at the old cap had not found its own bound, and follows the new one.
    pub fn set_cap(&mut self, cap: Rate, next: Sequence) {
        let follows = self.is_capped() || self.rate > cap;
        self.limits.cap = Some(cap);
        if !std::mem::replace(&mut self.is_led, true) {
            self.cut_at = None;
            self.forget_rivalry();
            self.alone.begin_again();
        }
        if follows {
            self.set_rate(cap, next);
        }
    }

    /// Looks at what lies above, at `first` to begin with, until [`go_back_to`](Self::go_back_to) is called, or
    /// [`look_again`](Self::look_again). Packets from `next` on tell of it.
    pub fn look_above(&mut self, first: Rate, next: Sequence) {
        let before = (std::mem::take(&mut self.rivalry), self.knee_asked);
        self.look_again();
        self.rivalry_before = Some(before);
        self.set_rate(first, next);
    }

    /// Looks for the knee anew, as at the beginning.
    pub fn look_again(&mut self) {
        (self.worst, self.best) = (None, None);
        self.alone.begin_again();
        self.forget_rivalry();
        self.knee = None;
        self.trial = None;
        self.limited_by = None;
        (self.unproven_at, self.highest_knee) = (None, None);
        self.starting = true;
    }

    /// Forgets all that was learned, but for the bounds: packets before `next` tell nothing of the way as it is now.
    pub fn begin_again(&mut self, now: Time, next: Sequence) {
        *self = Self {
            is_led: self.is_led,
            together: self.together,
            epoch: next,
            sent: std::mem::take(&mut self.sent),
            ..Self::new(self.limits, self.packet_bytes, now)
        };
    }

    /// Ends the look for the knee at what is sent now; from here on the rate grows slowly.
    pub fn stop_doubling(&mut self) {
        self.starting = false;
    }

    /// Goes back to `rate`, after a look at what lies above; packets from `next` on tell of it.
    pub fn go_back_to(&mut self, rate: Rate, next: Sequence) {
        self.trial = None;
        self.limited_by = None;
        (self.unproven_at, self.highest_knee) = (None, None);
        self.starting = false;
        self.knee = Some(rate);
        if let Some((mut rivalry, knee)) = self.rivalry_before.take() {
            rivalry.resume(next);
            self.forget_rivalry();
            self.rivalry = rivalry;
            self.knee = knee.or(self.knee);
        }
        self.set_rate(rate, next);
    }

    fn judge(&mut self, now: Time, sample: Sample, next: Sequence) {
        self.trial
            .take_if(|trial| now.since(trial.since) > TRIAL_TIME_MAX);
        let is_asking = self.is_asking(now);
        let Some(peer) = self.peers.get_mut(&sample.peer) else {
            return;
        };
        let own_trial = self.trial.take_if(|trial| trial.peer == sample.peer);
        if (own_trial.is_some() || self.trial.is_some()) && peer.is_cleared_by(&sample, self.rate) {
            if let Some(trial) = own_trial {
                // Less rate did not help: the loss is the link's own. A queue that showed meanwhile knows
                // better than the rate from before.
                if self.eased_at.is_none_or(|eased| eased < trial.since) {
                    self.knee = None;
                    self.set_rate(trial.rate_before, next);
                }
            }
            return;
        }
        let excess = sample.loss - peer.own_loss;
        if excess <= EXCESS + CHANCE * (peer.own_loss.max(0.01) / sample.packets).sqrt() {
            // Own loss is learned from a cut, and unlearned from any better sample.
            peer.own_loss = peer.own_loss.min(peer.own_loss * 0.9 + sample.loss * 0.1);
            peer.warned = false;
            self.confirmed = true;
            self.maybe_raise(now, next);
            return;
        }
        // What gets lost does not follow.
        if self.unproven_at.take().is_some() {
            self.highest_knee = None;
        }
        if self.rivalry.is_on() || is_asking {
            // Its window is cut for losses, or it is about to be known whose they are.
            return;
        }
        let queue = self.worst.filter(|worst| {
            worst.peer == sample.peer
                && worst.wait > QUEUE_FULL_MIN
                && now.since(worst.at) <= WORST_AGE
        });
        let is_eased = self
            .eased_at
            .is_some_and(|eased| now.since(eased) <= WORST_AGE);
        if queue.is_some() && is_eased {
            // It is known what was lost where, and the rate is set for it.
            if let Some(peer) = self.peers.get_mut(&sample.peer) {
                (peer.anchor, peer.anchor_at) = (sample.seen, now);
            }
            return;
        }
        if self.trial.is_some() {
            // One cut at a time, or nobody could tell which one helped.
            return;
        }
        if !std::mem::replace(&mut peer.warned, true) && sample.loss < SEVERE {
            // A full queue goes on losing; a short disturbance of the link is over.
            (peer.anchor, peer.anchor_at) = (sample.seen, now);
            self.confirmed = false;
            return;
        }
        peer.warned = false;
        peer.suspect(&sample, self.rate);
        let before = self.cut_at.replace(now);
        if before.is_some_and(|before| now.since(before) < AGAIN) {
            self.own_bound_until = now + OWN_BOUND;
        }
        let knee = sample.rate.min(self.rate).scaled(1.0 - excess);
        self.trial = queue.is_none().then_some(Trial {
            peer: sample.peer,
            since: now,
            rate_before: self.rate,
        });
        self.limited_by = Some((sample.peer, sample.at_host));
        (self.knee, self.highest_knee) = (Some(knee), None);
        self.starting = false;
        self.raised_at = now;
        self.set_rate(knee.scaled(AFTER_CUT).max(self.rate.scaled(CUT_MOST)), next);
    }

    fn maybe_raise(&mut self, now: Time, next: Sequence) {
        // On a slow link a raise takes longer to show than a report to come back.
        let interval = RAISE_INTERVAL.max(
            self.rate
                .time_for(SAMPLE_PACKETS * self.sampled_together() * self.packet_bytes),
        );
        if !self.confirmed || self.is_asking(now) || now.since(self.raised_at) < interval {
            return;
        }
        if self.alone.holds(now) {
            return;
        }
        let Some(leaving) = self.leaving else { return };
        self.raised_at = now;
        if leaving.scaled(HEADROOM) < self.rate {
            // Something else limits: a rate that is not used is not proven, so it is not raised. It is
            // not lowered either: a stalled disk says nothing about the network.
            return;
        }
        let factor = match self.knee {
            _ if self.starting => RAISE_STARTUP,
            _ if self.is_led && now >= self.own_bound_until => RAISE_LED,
            None => RAISE_FAR,
            Some(knee) if self.rate < knee.scaled(0.95) => RAISE_FAR,
            Some(knee) if self.rate < knee.scaled(1.05) => RAISE_NEAR,
            Some(_) => RAISE_ABOVE,
        };
        // A small raise does not make what is known of the loss worthless.
        let epoch = if factor > RAISE_ABOVE {
            next
        } else {
            self.epoch
        };
        let raised = if self.starting {
            self.rate.scaled(factor)
        } else {
            self.above(now, self.rate, factor)
        };
        self.set_rate(raised, epoch);
    }

    /// Sets the rate, of which packets from `epoch` on tell.
    fn set_rate(&mut self, rate: Rate, epoch: Sequence) {
        let rate = rate.max(self.limits.floor);
        let rate = self.limits.cap.map_or(rate, |cap| rate.min(cap));
        if rate != self.rate {
            self.rate = rate;
            self.epoch = epoch;
            self.confirmed = false;
        }
    }
}

impl Peer {
    /// Whether packets of the time since the last report vanished, more than this receiver always loses.
    fn loses(&self, seen: &Observation) -> bool {
        let sent = seen.highest.0.saturating_sub(self.last.highest.0);
        let received = seen.received.saturating_sub(self.last.received);
        sent.saturating_sub(received) as f64 > sent as f64 * self.own_loss * 2.0
    }

    /// Remembers the loss of `sample`, sent at `rate` or less, if it is more than this receiver's own.
    fn suspect(&mut self, sample: &Sample, rate: Rate) {
        let excess = sample.loss - self.own_loss;
        let knee = sample.rate.min(rate).scaled((1.0 - excess).clamp(0.0, 1.0));
        self.suspicion = (excess > EXCESS).then_some(Suspicion {
            loss: sample.loss,
            knee,
        });
    }

    /// Whether `sample`, sent at the lower `rate`, says that the suspected loss is the link's own. A full
    /// queue would have lost no more than what exceeds the knee.
    fn is_cleared_by(&mut self, sample: &Sample, rate: Rate) -> bool {
        let Some(suspicion) = self.suspicion else {
            return false;
        };
        let knee = suspicion.knee.bytes_per_second() as f64 / rate.bytes_per_second() as f64;
        let expected = (1.0 - (1.0 - self.own_loss) * knee).max(self.own_loss);
        if suspicion.loss - expected < suspicion.loss * TELLING {
            return false;
        }
        self.suspicion = None;
        // Much more than before is a queue that overflowed only while the suspicion arose.
        let as_before = sample.loss < suspicion.loss * 1.5 + 0.01;
        let is_own = as_before && sample.loss > expected + (suspicion.loss - expected) * REMAINS;
        if is_own {
            self.own_loss = sample.loss;
        }
        is_own
    }
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    peer: PeerId,
    seen: Observation,
    packets: f64,
    loss: f64,
    /// Rate at which the sampled packets were sent.
    rate: Rate,
    at_host: bool,
}

#[cfg(test)]
mod tests;
