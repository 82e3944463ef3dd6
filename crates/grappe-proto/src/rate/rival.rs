//! Sharing a link with TCP: while somebody else keeps the queue full, the window that CUBIC would keep.
//!
//! Who eases for a queue that another one fills gives way for ever; who does not, starves him. So for as
//! long as there is a rival the rate is that of a window which grows and is cut as his is (RFC 9438). Whether there
//! is one, `whose` finds out.

use std::time::Duration;

use super::entry::{self, Entry};
use super::queue::{RATE_TIME, Standing};
use super::sent::Sent;
use super::whose::{Answer, Question};
use crate::units::{PeerId, Rate, Sequence, Time};

/// Growth of the window, in packets per second cubed, and what a cut leaves of it (RFC 9438, 4.6).
const GROWTH: f64 = 0.4;
const CUT: f64 = 0.7;

/// The window counts for so much more: reports come later than acknowledgements, and of many receivers the one
/// with the worst luck is heard. In the fluid of the tests it keeps the share between a third and two thirds.
const WEIGHT: f64 = 1.4;

/// More than this of all that a link ever took is not taken beside a rival. A TCP whose own host is the
/// bottleneck loses nothing and grows no window: it keeps two trains in the queue of its interface, and whoever
/// kept a window of CUBIC there would take nearly all.
const SHARE_MAX: f64 = 0.5;

/// So often that bound is left aside for so long, or until the queue has grown by so much: if nobody else is
/// there, that shows.
const LOOK_EVERY: Duration = Duration::from_secs(8);
const LOOK_MOST: Duration = Duration::from_millis(600);
const LOOK_GROWTH: Duration = Duration::from_millis(4);

/// A look behind a shorter queue than this begins at the most that ever arrived; it ends with the first loss, too.
const LOOK_SHORT: Duration = Duration::from_millis(6);

/// A queue that is shorter is one that is aimed at, and what arrives behind it for so long is what the link takes.
const OWN_QUEUE: Duration = Duration::from_micros(2_500);
const LINK_KNOWN: Duration = Duration::from_millis(60);

/// A queue behind which less than this share of the most arrives is somebody else's that is short for a moment.
const SAME: f64 = 0.5;

/// A growth that ended with a loss and told nothing is tried again after so long, so often: where there is no room for
/// the queue to grow, none ever tells.
const ENTRY_AGAIN: Duration = Duration::from_millis(200);
const ENTRIES_MORE: u8 = 2;

/// The least window, in packets.
const WINDOW_MIN: f64 = 4.0;

/// Time on the way without any queue, of which beats cannot tell.
const WAY: Duration = Duration::from_micros(500);

/// He is gone once the queue has been short, or nearly all of the most that arrived lately does, for so long.
const SHORT: Duration = Duration::from_millis(1);
const ALL: f64 = 0.9;
const GONE: Duration = Duration::from_millis(400);

/// Who was there for less was a false alarm.
const FALSE_ALARM: Duration = Duration::from_secs(1);

/// How fast the most that arrived is forgotten: links change.
const FORGETTING: Duration = Duration::from_secs(300);

/// Whether there is a rival, and what is left to us.
#[derive(Clone, Debug, Default)]
pub(super) struct Rivalry {
    question: Question,
    window: Option<Window>,
    /// When a rival was found last.
    began_at: Option<Time>,
    /// The most that ever arrived, and lately.
    most: Option<Rate>,
    lately: Option<Rate>,
    noted_at: Option<Time>,
    /// The latest look at who else is there.
    look: Option<Look>,
    /// Since when he seems to be gone.
    alone: Option<Time>,
    /// How long, without a break, a queue stood that was so short that it was our own: what arrived then is what the
    /// link takes.
    full_for: Duration,
    /// What the link takes, as far as the growth beside this rival told.
    link: Option<Rate>,
    /// The growth beside one who was there first.
    entry: Option<Entry>,
    /// When that ended with a loss before it told anything of the link, and how often it was tried again.
    untold_at: Option<Time>,
    entries_more: u8,
}

/// A look at what the link takes without the bound.
#[derive(Clone, Copy, Debug)]
struct Look {
    since: Time,
    /// How long the queue was when it began.
    wait: Duration,
    is_over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    packets: f64,
    /// The window at the last cut, and when that was.
    packets_before: f64,
    cut_at: Time,
    /// The first packet that left after it.
    cut_next: Sequence,
}

/// What a queue calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing but to keep it short: nobody else is known to be there.
    Alone,
    /// To send at this rate for a moment, to learn whose it is.
    Asking(Rate),
    /// To send at this rate beside somebody else.
    Beside(Rate),
}

impl Rivalry {
    /// Whether somebody else fills the queue.
    pub(super) const fn is_on(&self) -> bool {
        self.window.is_some()
    }

    /// Takes note of a receiver's queue while packets leave at `sending`, after what was `sent`; `lost` says from which
    /// packet on some were lost since the last time, and the next to leave is `next`.
    pub(super) fn note(
        &mut self,
        now: Time,
        (peer, standing): (PeerId, &Standing),
        (sending, sent): (Rate, &Sent),
        lost: Option<Sequence>,
        next: Sequence,
        packet_bytes: u64,
    ) -> Verdict {
        let passed = now.since(self.noted_at.replace(now).unwrap_or(now));
        self.question.note_wait(now, standing.wait);
        let arriving = match (standing.arriving, self.most) {
            (Some(arriving), _) => arriving,
            (None, Some(most)) if self.is_on() && standing.wait < SHORT => most,
            _ => return Verdict::Alone,
        };
        if !self.is_on() && self.full_for < LINK_KNOWN {
            let is_own = standing.wait < OWN_QUEUE
                && self.most.is_none_or(|most| arriving >= most.scaled(SAME));
            self.full_for = if is_own {
                self.full_for + passed.min(RATE_TIME)
            } else {
                Duration::ZERO
            };
        }
        let kept = 1.0 - passed.min(FORGETTING).as_secs_f64() / FORGETTING.as_secs_f64();
        let most = self.most.map_or(arriving, |most| most.max(arriving));
        let lately = self
            .lately
            .map_or(arriving, |rate| rate.scaled(kept).max(arriving));
        (self.most, self.lately) = (Some(most), Some(lately));
        let turnaround = standing.wait + WAY;
        let Some(window) = &mut self.window else {
            let queue = (standing.wait, arriving);
            let answer = (self.question).note(now, passed, queue, sending, most, packet_bytes);
            return match answer {
                Answer::Own => Verdict::Alone,
                Answer::Asking(rate) => Verdict::Asking(rate),
                Answer::Another(arrived) => {
                    // Half of the queue is a fair share, of which nothing is left by now. But what was asked about may
                    // also be processors that are busy: the first look at who is there begins where we are.
                    let half = most.bytes_in(standing.wait) as f64 / 2.0;
                    let bytes =
                        arrived.map_or(half, |rate| rate.bytes_in(turnaround) as f64 / WEIGHT);
                    self.begin(now, bytes / packet_bytes as f64, next);
                    arrived.map_or(Verdict::Alone, Verdict::Beside)
                }
            };
        };
        let is_again = |untold: &mut Time| now.since(*untold) >= ENTRY_AGAIN;
        if self.alone.is_none() && self.untold_at.take_if(is_again).is_some() {
            self.entry = Some(Entry::default());
            self.entries_more += 1;
        }
        if let Some(entry) = &mut self.entry {
            entry.note(now, peer, standing, sent);
            let is_lost = lost.is_some_and(|from| from >= window.cut_next);
            // He overflows the queue by himself as well.
            let is_full = is_lost && entry.grown() >= entry::GROWING;
            if !is_full && !entry.has_grown() && !entry.is_late(now) {
                return Verdict::Beside(arriving.scaled(entry::RAISE));
            }
            self.link = entry.link(arriving);
            let is_untold = is_full && self.link.is_none() && self.entries_more < ENTRIES_MORE;
            self.untold_at = is_untold.then_some(now);
            self.entry = None;
            self.look = Some(Look {
                since: now,
                wait: standing.wait,
                is_over: true,
            });
            let packets = sending.bytes_in(turnaround) as f64 / packet_bytes as f64 / WEIGHT;
            *window = Window::reached(now, packets, next);
            return Verdict::Beside(self.bounded(sending, most));
        }
        // What left before a cut is no reason for another.
        if lost.is_some_and(|from| from >= window.cut_next) {
            window.cut(now, next);
            // A short queue may be all that there is room for: it has overflown, and that tells as much.
            if let Some(look) = &mut self.look {
                look.is_over = true;
            }
        }
        window.grow(now, turnaround);
        let all = self.link.map_or(lately, |link| link.max(lately));
        if arriving < all.scaled(ALL) && standing.wait > SHORT {
            self.alone = None;
        } else if now.since(*self.alone.get_or_insert(now)) >= GONE {
            (self.window, self.link) = (None, None);
            if self
                .began_at
                .is_some_and(|began| now.since(began) >= FALSE_ALARM)
            {
                self.question.was_right();
            }
            return if standing.wait <= SHORT {
                Verdict::Beside(most)
            } else {
                Verdict::Alone
            };
        }
        // Half of the way to the rate of that window, as the queue is known late.
        let of_window = WEIGHT * window.packets * packet_bytes as f64 / turnaround.as_secs_f64();
        let arriving = arriving.bytes_per_second() as f64;
        let rate = ((arriving + of_window) / 2.0).min(arriving * 1.5);
        let rate = Rate::from_bytes_per_second(rate as u64);
        Verdict::Beside(if !self.looks(now, standing.wait) {
            self.bounded(rate, most)
        } else if standing.wait < LOOK_SHORT {
            rate.max(most)
        } else {
            rate
        })
    }

    /// `rate`, or at most half of what the link takes or of the most that ever arrived, whichever is more.
    fn bounded(&self, rate: Rate, most: Rate) -> Rate {
        let link = self.link.map_or(most, |link| link.max(most));
        rate.min(link.scaled(SHARE_MAX))
    }

    /// Whether the bound is left aside for a look at who else is there. If it makes the queue grow, somebody is,
    /// and the look has told what it was for.
    fn looks(&mut self, now: Time, wait: Duration) -> bool {
        let is_due = |look: &Look| now.since(look.since) >= LOOK_EVERY;
        if self.look.as_ref().is_none_or(is_due) {
            self.look = Some(Look {
                since: now,
                wait,
                is_over: false,
            });
        }
        self.look.as_mut().is_some_and(|look| {
            look.is_over |= now.since(look.since) >= LOOK_MOST || wait > look.wait + LOOK_GROWTH;
            !look.is_over
        })
    }

    /// Goes on after a while in which another way was looked at; what left before `next` was lost to that.
    pub(super) fn resume(&mut self, next: Sequence) {
        self.question.resume();
        (self.noted_at, self.alone, self.untold_at) = (None, None, None);
        if let Some(entry) = &mut self.entry {
            *entry = Entry::default();
        }
        if let Some(window) = &mut self.window {
            window.cut_next = next;
        }
    }

    /// From now on a packet is another thing: of the new ones, `by` as many are in the window.
    pub(super) fn rescale(&mut self, by: f64) {
        if let Some(window) = &mut self.window {
            window.packets *= by;
            window.packets_before *= by;
        }
    }

    /// From now on there is a rival, beside whom the window begins with so many packets.
    fn begin(&mut self, now: Time, packets: f64, next: Sequence) {
        let packets = packets.max(WINDOW_MIN);
        self.window = Some(Window {
            packets,
            packets_before: packets,
            cut_at: now,
            cut_next: next,
        });
        self.began_at = Some(now);
        (self.alone, self.look) = (None, None);
        (self.link, self.untold_at, self.entries_more) = (None, None, 0);
        self.entry = (self.full_for < LINK_KNOWN).then(Entry::default);
    }
}

impl Window {
    /// As after a cut to so many packets.
    fn reached(now: Time, packets: f64, next: Sequence) -> Self {
        Self {
            packets,
            packets_before: packets / CUT,
            cut_at: now,
            cut_next: next,
        }
    }

    fn cut(&mut self, now: Time, next: Sequence) {
        self.packets_before = self.packets;
        self.packets = (self.packets * CUT).max(WINDOW_MIN);
        self.cut_at = now;
        self.cut_next = next;
    }

    /// The window at `now`: CUBIC's, or that of a TCP of old where that is larger (RFC 9438, 4.2 and 4.3).
    fn grow(&mut self, now: Time, turnaround: Duration) {
        let since = now.since(self.cut_at).as_secs_f64();
        let back_after = (self.packets_before * (1.0 - CUT) / GROWTH).cbrt();
        let cubic = GROWTH * (since - back_after).powi(3) + self.packets_before;
        let per_turnaround = 3.0 * (1.0 - CUT) / (1.0 + CUT);
        let of_old = self.packets_before * CUT + per_turnaround * since / turnaround.as_secs_f64();
        self.packets = cubic.max(of_old).max(WINDOW_MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: u64 = 1_500;

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn rate(megabytes: u64) -> Rate {
        Rate::from_bytes_per_second(megabytes * 1_000_000)
    }

    /// Takes note of a queue of so many milliseconds, behind which so many MB/s arrive.
    fn note(rivalry: &mut Rivalry, millis: u64, wait: f64, arriving: u64, lost: bool) -> Verdict {
        let standing = Standing {
            wait: Duration::from_secs_f64(wait / 1_000.0),
            sent_at: at(millis),
            is_shortest: false,
            arriving: Some(rate(arriving)),
            left: Some(rate(arriving)),
            out: (at(millis), 0),
        };
        let sent = Sent::default();
        let lost = lost.then_some(Sequence(10));
        let us = (PeerId(0), &standing);
        let sending = (rate(arriving), &sent);
        rivalry.note(at(millis), us, sending, lost, Sequence(10), PACKET)
    }

    #[test]
    fn what_arrives_behind_a_short_queue_is_the_link_but_for_what_another_leaves() {
        let known_after = |arriving: u64| {
            let mut rivalry = Rivalry::default();
            note(&mut rivalry, 0, 8.0, 10, false);
            for millis in (10..200).step_by(10) {
                note(&mut rivalry, millis, 2.0, arriving, false);
            }
            rivalry.full_for >= LINK_KNOWN
        };
        assert!(known_after(10));
        assert!(known_after(6), "the link became slower");
        assert!(!known_after(4));
    }

    /// A growth that ends with a loss, as he filled the queue, when it has grown by so much.
    fn grown_until_a_loss(by: f64) -> Rivalry {
        let mut rivalry = Rivalry::default();
        note(&mut rivalry, 0, 8.0, 10, false);
        rivalry.begin(at(0), 20.0, Sequence(10));
        note(&mut rivalry, 10, 8.0, 3, false);
        note(&mut rivalry, 20, 8.0 + by, 3, true);
        rivalry
    }

    #[test]
    fn a_growth_that_told_nothing_is_tried_again() {
        let mut rivalry = grown_until_a_loss(0.5);
        assert!(rivalry.entry.is_some(), "it has not grown");
        rivalry = grown_until_a_loss(2.0);
        assert!(rivalry.entry.is_none());
        note(&mut rivalry, 210, 8.0, 3, false);
        assert!(rivalry.entry.is_none());
        let mut again = 0;
        for millis in (220..5_000).step_by(10) {
            // Each one ends with a loss, as the first did.
            note(&mut rivalry, millis, 8.0, 3, false);
            let is_again = rivalry.entry.is_some();
            again += u8::from(is_again);
            if is_again {
                note(&mut rivalry, millis + 1, 10.0, 3, true);
                assert!(rivalry.entry.is_none());
            }
        }
        assert_eq!(again, 2);
    }

    #[test]
    fn nobody_grows_beside_who_seems_to_be_gone() {
        let mut rivalry = grown_until_a_loss(2.0);
        for millis in (30..400).step_by(10) {
            note(&mut rivalry, millis, 8.0, 10, false);
            assert!(rivalry.entry.is_none(), "{millis}");
        }
    }
}
