//! Whose queue it is: one's own, or one that somebody else keeps filled.
//!
//! A queue of one's own shrinks by what is sent less than arrives. What to do beside somebody else is said in
//! `rival`.

use std::time::Duration;

use super::queue::RATE_TIME;
use crate::units::{Rate, Time};

/// A queue that is longer than this, and after so long has shrunk by less than this share of what it had to, is
/// filled by somebody else.
const SUSPICIOUS: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_millis(200);
const SHRINKS: f64 = 0.4;

/// What it has to shrink by, in seconds, for the answer to tell anything.
const TELLING: f64 = 0.006;

/// The easing shows in the queue after so long only, and to a beat that has waited in it.
const LAG: Duration = Duration::from_millis(100);

/// A shorter queue than a suspicious one is hardly eased, and tells nothing: somebody who keeps such a one, as BBR
/// does, may take a fifth of the link or four. When one of this length stands for so long while less than this
/// share of the most arrives, it is asked: less is sent until it tells.
const STANDING: Duration = Duration::from_micros(2_500);
const STANDS: Duration = Duration::from_millis(400);
const LESS: f64 = 0.9;

/// So many packets more or less arrive in [`RATE_TIME`] by chance.
const CHANCE: f64 = 4.0;

/// Of what arrived this share is sent to ask. Less, and the queue would be gone before he takes what is left to him.
const ASKING: f64 = 0.95;

/// The answer of a queue that is gone.
const EMPTY: Duration = Duration::from_millis(1);

/// Between two such questions; twice as long after each, unless it led to a rival.
const ASK_EVERY: Duration = Duration::from_secs(1);
const ASK_EVERY_MOST: Duration = Duration::from_secs(32);

/// Whose it is, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// One's own, or nothing speaks against it.
    Own,
    /// That is asked: by sending at this rate for a moment.
    Asking(Rate),
    /// Somebody else's; this much arrived of ours when it was asked, if it was.
    Another(Option<Rate>),
}

/// What is known so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Question {
    suspicion: Option<Suspicion>,
    /// Since when a queue stands while less arrives than did, when that was asked about last, and when it may be
    /// again.
    less_since: Option<Time>,
    asked_at: Option<Time>,
    pause: Option<Duration>,
}

/// A queue that may not be one's own.
#[derive(Clone, Copy, Debug)]
struct Suspicion {
    since: Time,
    /// How long it was when the easing began to show.
    wait: Option<Duration>,
    /// What it should have grown by since, in seconds; negative where it should have shrunk.
    growth: f64,
    /// What arrived before less was sent to ask, if it was.
    arrived: Option<Rate>,
}

impl Question {
    /// Takes note of how long the queue is, where nothing else may be known of it.
    pub(super) fn shorter(&mut self, wait: Duration) {
        self.suspicion.take_if(|suspicion| {
            let least = match suspicion.arrived {
                Some(_) => EMPTY,
                None => SUSPICIOUS,
            };
            wait < least
        });
    }

    /// Takes note of a queue that is `wait` long, behind which packets arrive at the rate `arriving`, while they leave
    /// at `sending`; `most` is the most that ever arrived.
    pub(super) fn note(
        &mut self,
        now: Time,
        passed: Duration,
        (wait, arriving): (Duration, Rate),
        sending: Rate,
        most: Rate,
        packet_bytes: u64,
    ) -> Answer {
        self.think_of_asking(now, wait, arriving, most, packet_bytes);
        if wait >= SUSPICIOUS {
            self.suspicion.get_or_insert(Suspicion::new(now, None));
        }
        let Some(suspicion) = &mut self.suspicion else {
            return Answer::Own;
        };
        let undecided = suspicion.arrived.map_or(Answer::Own, |arrived| {
            Answer::Asking(arrived.scaled(ASKING))
        });
        if now.since(suspicion.since) < LAG + wait {
            return undecided;
        }
        let Some(before) = suspicion.wait else {
            suspicion.wait = Some(wait);
            return undecided;
        };
        // As much as before the question still arrives, if the queue is one's own.
        let taken = suspicion.arrived.unwrap_or(arriving);
        let surplus = sending.bytes_per_second() as f64 / taken.bytes_per_second().max(1) as f64;
        suspicion.growth += (surplus - 1.0) * passed.as_secs_f64();
        if now.since(suspicion.since) < LAG + before + PATIENCE || suspicion.growth > -TELLING {
            return undecided;
        }
        let has_shrunk = before.as_secs_f64() - wait.as_secs_f64();
        let is_own = has_shrunk >= -suspicion.growth * SHRINKS;
        let arrived = suspicion.arrived;
        self.suspicion = None;
        if is_own {
            Answer::Own
        } else {
            Answer::Another(arrived)
        }
    }

    /// There was a rival, as it said: it may be asked again soon.
    pub(super) const fn was_right(&mut self) {
        self.pause = None;
    }

    fn think_of_asking(
        &mut self,
        now: Time,
        wait: Duration,
        arriving: Rate,
        most: Rate,
        packet_bytes: u64,
    ) {
        let chance = CHANCE * packet_bytes as f64 / RATE_TIME.as_secs_f64();
        let least = most.bytes_per_second() as f64 * LESS - chance;
        if arriving.bytes_per_second() as f64 >= least {
            (self.less_since, self.pause) = (None, None);
            return;
        }
        if wait < STANDING {
            self.less_since = None;
            return;
        }
        let since = *self.less_since.get_or_insert(now);
        let pause = self.pause.unwrap_or(ASK_EVERY);
        let is_due = self.asked_at.is_none_or(|asked| now.since(asked) >= pause);
        if is_due && now.since(since) >= STANDS {
            self.suspicion = Some(Suspicion::new(now, Some(arriving)));
            self.asked_at = Some(now);
            self.pause = Some((pause * 2).min(ASK_EVERY_MOST));
        }
    }
}

impl Suspicion {
    const fn new(since: Time, arrived: Option<Rate>) -> Self {
        Self {
            since,
            wait: None,
            growth: 0.0,
            arrived,
        }
    }
}
