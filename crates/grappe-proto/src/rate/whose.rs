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
const NOTICED: Duration = Duration::from_micros(2_500);
const STANDS: Duration = Duration::from_millis(400);
const LESS: f64 = 0.9;

/// A noticed queue that was shorter for no longer than this stands all the same: somebody else's is cut and filled again.
const DIP: Duration = Duration::from_millis(100);

/// So many packets more or less arrive in [`RATE_TIME`] by chance.
const CHANCE: f64 = 8.0;

/// Of what arrived this share is sent to ask. Less, and the queue would be gone before he takes what is left to him.
const ASKING: f64 = 0.95;

/// The answer of a queue that is gone.
const EMPTY: Duration = Duration::from_millis(1);

/// No answer comes any more after so long, as where less cannot be sent.
const ASKING_MOST: Duration = Duration::from_secs(1);

/// From one question to the next; twice as long for each that found no rival.
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
    /// Since when the queue is shorter than one that is noticed.
    short_since: Option<Time>,
    /// Since when a queue stands while less arrives than did, when that was asked about last, and how long to wait
    /// before it may be again.
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
    /// How long it was and what arrived before less was sent to ask, if it was.
    asked: Option<(Duration, Rate)>,
}

impl Question {
    /// Takes note that the queue is `wait` long, of which nothing else may be known.
    pub(super) fn note_wait(&mut self, now: Time, wait: Duration) {
        self.short_since = (wait < NOTICED).then(|| self.short_since.unwrap_or(now));
        if self
            .short_since
            .is_some_and(|since| now.since(since) >= DIP)
        {
            self.less_since = None;
        }
        self.suspicion.take_if(|suspicion| match suspicion.asked {
            // One that grows is not the one that was asked about, and must be eased.
            Some((before, _)) => {
                wait < EMPTY
                    || wait > before + SUSPICIOUS
                    || now.since(suspicion.since) >= ASKING_MOST
            }
            None => wait < SUSPICIOUS,
        });
    }

    /// Begins anew after a while of which nothing is known, but for when it may be asked again.
    pub(super) const fn resume(&mut self) {
        (self.suspicion, self.less_since) = (None, None);
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
        let arrived = suspicion.asked.map(|(_, arrived)| arrived);
        let undecided = arrived.map_or(Answer::Own, |rate| Answer::Asking(rate.scaled(ASKING)));
        if now.since(suspicion.since) < LAG + wait {
            return undecided;
        }
        let Some(before) = suspicion.wait else {
            suspicion.wait = Some(wait);
            return undecided;
        };
        // As much as before the question still arrives, if the queue is one's own.
        let taken = arrived.unwrap_or(arriving);
        let surplus = sending.bytes_per_second() as f64 / taken.bytes_per_second().max(1) as f64;
        suspicion.growth += (surplus - 1.0) * passed.as_secs_f64();
        if now.since(suspicion.since) < LAG + before + PATIENCE || suspicion.growth > -TELLING {
            return undecided;
        }
        let has_shrunk = before.as_secs_f64() - wait.as_secs_f64();
        let is_own = has_shrunk >= -suspicion.growth * SHRINKS;
        self.resume();
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
        if wait < NOTICED {
            return;
        }
        let since = *self.less_since.get_or_insert(now);
        let pause = self.pause.unwrap_or(ASK_EVERY);
        let is_due = self.asked_at.is_none_or(|asked| now.since(asked) >= pause);
        if is_due && now.since(since) >= STANDS {
            self.suspicion = Some(Suspicion::new(now, Some((wait, arriving))));
            self.asked_at = Some(now);
            self.pause = Some((pause * 2).min(ASK_EVERY_MOST));
        }
    }
}

impl Suspicion {
    const fn new(since: Time, asked: Option<(Duration, Rate)>) -> Self {
        Self {
            since,
            wait: None,
            growth: 0.0,
            asked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: u64 = 1_500;
    const MOST: Rate = Rate::from_bytes_per_second(10_000_000);

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn share(of_most: f64) -> Rate {
        MOST.scaled(of_most)
    }

    /// A queue looked at every 10 ms until it is decided, at most for a minute, while as much is sent as is asked for, or
    /// else what arrives: how long it took, how often it was asked, and whose it is at the end.
    fn play(mut queue: impl FnMut(u64, bool) -> (f64, f64)) -> (u64, u32, Answer) {
        let (mut question, mut answer, mut asked) = (Question::default(), Answer::Own, 0);
        for millis in (0..60_000).step_by(10) {
            let (wait, arriving) = queue(millis, matches!(answer, Answer::Asking(_)));
            let wait = Duration::from_secs_f64(wait / 1_000.0);
            let arriving = share(arriving);
            let sending = match answer {
                Answer::Asking(rate) => rate,
                _ => arriving,
            };
            question.note_wait(at(millis), wait);
            let passed = Duration::from_millis(10);
            let queue = (wait, arriving);
            let next = question.note(at(millis), passed, queue, sending, MOST, PACKET);
            let begins = matches!(next, Answer::Asking(_)) && answer == Answer::Own;
            asked += u32::from(begins);
            answer = next;
            if matches!(answer, Answer::Another(_)) {
                return (millis, asked, answer);
            }
        }
        (60_000, asked, answer)
    }

    #[test]
    fn a_short_queue_that_stands_whatever_is_sent_is_somebody_elses() {
        let (millis, asked, answer) = play(|_, _| (4.0, 0.7));
        assert_eq!((asked, answer), (1, Answer::Another(Some(share(0.7)))));
        assert!((600..1_000).contains(&millis), "{millis}");
    }

    #[test]
    fn one_that_goes_when_less_is_sent_is_ones_own_and_asked_ever_more_seldom() {
        let mut wait = 4.0;
        let (_, asked, answer) = play(|_, is_asked| {
            wait = if is_asked { wait - 0.5 } else { 4.0 };
            (f64::max(wait, 0.0), 0.7)
        });
        // After 0.4 s, then 2, 4, 8, 16 and 32 s later.
        assert_eq!((asked, answer), (5, Answer::Own));
    }

    #[test]
    fn nothing_is_asked_where_all_arrives_or_the_queue_does_not_stand() {
        assert_eq!(play(|_, _| (4.0, 0.95)).1, 0);
        assert_eq!(play(|_, _| (2.4, 0.5)).1, 0);
        // For a quarter of a second at a time.
        assert_eq!(
            play(|millis, _| (if millis % 400 < 250 { 4.0 } else { 0.5 }, 0.5)).1,
            0
        );
    }

    #[test]
    fn a_queue_stands_through_a_dip() {
        let (millis, asked, _) = play(|millis, is_asked| {
            let is_dip = !is_asked && millis % 300 >= 210;
            (if is_dip { 0.5 } else { 4.0 }, 0.7)
        });
        assert_eq!(asked, 1);
        assert!((600..1_000).contains(&millis), "{millis}");
    }

    #[test]
    fn a_question_ends_when_the_queue_grows_or_no_answer_comes() {
        let mut wait = 4.0;
        let (_, asked, answer) = play(|_, is_asked| {
            wait = if is_asked { wait + 1.0 } else { 4.0 };
            (wait, 0.7)
        });
        assert_eq!((asked, answer), (5, Answer::Own), "it grows");
        let mut question = Question::default();
        let queue = (Duration::from_millis(4), share(0.7));
        let mut asking = 0;
        for millis in (0..1_900).step_by(10) {
            question.note_wait(at(millis), queue.0);
            let passed = Duration::from_millis(10);
            // More cannot be left out.
            let answer = question.note(at(millis), passed, queue, share(0.7), MOST, PACKET);
            asking += u32::from(matches!(answer, Answer::Asking(_)));
        }
        assert!((90..110).contains(&asking), "{asking}");
    }
}
