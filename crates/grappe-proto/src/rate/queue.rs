//! The queue on the way to one receiver, told by the time that beats take.
//!
//! The clocks of the two ends have no common origin, so only growth over the shortest time counts. Where one of them is
//! put right slowly, that growth is bounded by the one of the way and back, which one clock alone tells. What
//! waits in a receiver's own memory is no part of it: beats are stamped as they reach its socket. What to
//! do about a queue is decided in `control`.

use std::collections::VecDeque;
use std::time::Duration;

use super::sent::Sent;
use crate::units::{Rate, Time};
use crate::wire::report::Earlier;

/// The shortest of so many times in a row is taken: a thread that was not scheduled delays some of them, a
/// queue all. While the rate still doubles, there is less time to be sure.
const SAMPLES: usize = 3;
const SAMPLES_HURRIED: usize = 2;

/// Samples further apart tell of different queues.
const SPAN_MAX: Duration = Duration::from_millis(150);

/// The shortest time is that of this long or twice as long: a way may change, and clocks drift apart, by
/// 50 us in a second.
const BASE_TIME: Duration = Duration::from_secs(8);

/// The time of the way and back bounds the one of the way once it is known for so long: at first too few reports came
/// back without delay, and no clock has gone far. One that is put right is slewed by 0.5 ms in a second (adjtimex(2)).
const ROUND_KNOWN: Duration = BASE_TIME;

/// Arrivals are counted over at least so long, so that trains of packets even out; over less where the
/// queue grows fast.
pub(super) const RATE_TIME: Duration = Duration::from_millis(45);
const RATE_TIME_HURRIED: Duration = Duration::from_millis(15);
const LONG: Duration = Duration::from_millis(5);

/// Only while packets wait do arrivals tell what the way takes: a beat that waited for less was in no queue.
const WAITING: Duration = Duration::from_micros(300);

/// A beat before which less left than this in so long, other beats included, was in no queue of this sender's: what
/// arrives behind it is not what the way takes.
const OWN_BYTES: u64 = 4_000;
const OWN_TIME: Duration = Duration::from_millis(50);

/// A queue grows by no more than the time that passes, give or take what the scheduling of threads adds:
/// what seems to grow faster is a clock that leapt.
const LEAP_MIN: Duration = Duration::from_millis(250);

/// Beats remembered for that.
const BEATS: usize = 16;

/// Arrivals are counted over no longer than this: of the time between reports that are further apart nobody knows.
const RATE_TIME_MAX: Duration = Duration::from_millis(160);

/// What a receiver says of the latest beat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Echo {
    /// The sender's clock when the beat left.
    pub sent_at: Time,
    /// The receiver's clock when it arrived.
    pub arrived: Time,
    /// Packets received by then.
    pub received: u64,
    /// The way of the beat and that of the report that told of it, by the sender's clock; not known of beats that are
    /// told of together with a later one.
    pub took: Option<Duration>,
}

impl Echo {
    /// The beat that lies `earlier` than this one. What is told of the time before all clocks is of their beginning.
    pub fn before(self, earlier: &Earlier) -> Self {
        let nanos = |nanos: u32| Duration::from_nanos(nanos.into());
        Self {
            sent_at: self.sent_at - nanos(earlier.sent_before),
            arrived: self.arrived - nanos(earlier.arrived_before),
            received: self.received.saturating_sub(earlier.received_since.into()),
            took: None,
        }
    }
}

/// How the rate moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// It still doubles.
    Starting,
    Steady,
    /// As a rival's does, who keeps a queue.
    Shared,
}

/// A queue as a receiver's beats tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// How long a packet waits in it.
    pub(super) wait: Duration,
    /// When the beat left that found it so long.
    pub(super) sent_at: Time,
    /// Whether no beat before took so little time: the queue still shrinks.
    pub(super) is_shortest: bool,
    /// The rate at which packets arrived while there was a queue, where that was for long enough: what the
    /// way takes.
    pub(super) arriving: Option<Rate>,
    /// The rate at which these packets had left the sender.
    pub(super) left: Option<Rate>,
    /// When the latest beat came out of the queue, by the sender's clock, and how many packets had by then.
    pub(super) out: (Time, u64),
}

/// The watch over one receiver's queue.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueWatch {
    beats: VecDeque<(Echo, i64)>,
    /// The shortest time of this period and of the one before, and when this one began.
    base: Option<(i64, i64, Time)>,
    round: Round,
    /// Reports are rare, and each tells of several beats.
    is_recalled: bool,
    /// When the latest beat was noted, by the sender's clock.
    noted_at: Time,
}

impl QueueWatch {
    /// Takes note of a beat that is reported together with a later one.
    pub(super) fn recall(&mut self, now: Time, earlier: Echo, sent: &Sent, pace: Pace) {
        self.is_recalled = true;
        let noted_at = self.noted_at;
        let _ = self.note(now, earlier, sent, pace);
        // All of them come in the time since the report before.
        self.noted_at = noted_at;
    }

    /// Takes note of a beat that arrived; answers what it says, or nothing when it is no news or too
    /// little is known.
    pub(super) fn note(
        &mut self,
        now: Time,
        echo: Echo,
        sent: &Sent,
        pace: Pace,
    ) -> Option<Standing> {
        if echo.sent_at == Time::ZERO {
            return None;
        }
        if let Some((last, _)) = self.beats.back() {
            // What a receiver invents must not set the others' rate: time and counts only grow.
            let grows = echo.sent_at > last.sent_at
                && echo.arrived > last.arrived
                && echo.received >= last.received;
            if !grows {
                return None;
            }
        }
        let time = (echo.arrived.as_nanos() as i64).wrapping_sub(echo.sent_at.as_nanos() as i64);
        let passed = now.since(self.noted_at);
        self.noted_at = now;
        if self.has_leapt(time, passed) {
            self.beats.clear();
            (self.base, self.round) = (None, Round::default());
        }
        self.round.note(now, echo.took);
        let known = self
            .base
            .map(|(this, before, _): (i64, i64, Time)| this.min(before));
        let base = self.base(now, time, pace);
        if self.beats.len() >= BEATS {
            self.beats.pop_front();
        }
        self.beats.push_back((echo, time));

        let is_hurried = pace == Pace::Starting;
        let samples = if is_hurried { SAMPLES_HURRIED } else { SAMPLES };
        let latest = self.beats.iter().rev().take(samples);
        let (first, _) = *latest.clone().next_back()?;
        let is_too_few = latest.clone().count() < samples;
        if is_too_few || echo.sent_at.since(first.sent_at) > SPAN_MAX {
            return None;
        }
        // The latest of the shortest.
        let (least, sent_at) = latest
            .clone()
            .map(|(beat, time)| (*time, beat.sent_at))
            .min_by_key(|(time, _)| *time)?;
        // A report that was late on its way back says less, and one that was not bounds what the clocks say.
        let took = latest.filter_map(|(beat, _)| beat.took).min();
        let wait = self.bound(now, took, waited(least, base));
        let stretch = if is_hurried || wait > LONG {
            RATE_TIME_HURRIED
        } else {
            RATE_TIME
        };
        let arriving = self.arriving(echo, base, stretch, sent);
        Some(Standing {
            wait,
            sent_at,
            is_shortest: known.is_none_or(|known| least < known),
            arriving: arriving.map(|(arriving, _)| arriving),
            left: arriving.map(|(_, left)| left),
            out: (
                echo.sent_at + self.bound(now, echo.took, waited(time, base)),
                echo.received,
            ),
        })
    }

    /// How long a beat can have waited that `took` so long with its report, and seems to have waited for `wait`.
    fn bound(&self, now: Time, took: Option<Duration>, wait: Duration) -> Duration {
        match (took, self.round.shortest(now)) {
            (Some(took), Some(shortest)) => wait.min(took.saturating_sub(shortest)),
            _ => wait,
        }
    }

    /// Whether a beat's time is longer than the one's before by more than time has passed in between.
    fn has_leapt(&self, time: i64, passed: Duration) -> bool {
        let longer = self
            .beats
            .back()
            .map_or(0, |(_, before)| time.saturating_sub(*before));
        u64::try_from(longer).is_ok_and(|longer| Duration::from_nanos(longer) > passed + LEAP_MIN)
    }

    fn base(&mut self, now: Time, time: i64, pace: Pace) -> i64 {
        let (this, before, since) = self.base.unwrap_or((time, time, now));
        let this = this.min(time);
        self.base = Some(match pace {
            // Who shares with another never sees the way without a queue.
            Pace::Shared => (this, before, now),
            _ if now.since(since) >= BASE_TIME => {
                self.round.turn();
                (time, this, now)
            }
            _ => (this, before, since),
        });
        this.min(before)
    }

    /// The rate at which packets of `packet_bytes` arrived lately, queue or not.
    pub(super) fn arrived(&self, packet_bytes: u64) -> Option<Rate> {
        let (last, _) = self.beats.back()?;
        let stretch = |beat: &Echo| last.arrived.since(beat.arrived);
        let is_apart = |(beat, _): &&(Echo, i64)| stretch(beat) >= RATE_TIME_HURRIED;
        let (from, _) = self.beats.iter().rev().find(is_apart)?;
        let packets = last.received - from.received;
        Some(rate(packets as f64 * packet_bytes as f64, stretch(from)))
    }

    /// The rate over all beats that waited behind what was `sent`, without one in between that did not, if that was for
    /// `time`.
    fn arriving(&self, last: Echo, base: i64, time: Duration, sent: &Sent) -> Option<(Rate, Rate)> {
        let waited = |(beat, time): &&(Echo, i64)| {
            time.saturating_sub(base) > i64::try_from(WAITING.as_nanos()).unwrap_or(i64::MAX)
                && (!self.is_recalled || last.arrived.since(beat.arrived) <= RATE_TIME_MAX)
                && sent.between(beat.sent_at - OWN_TIME, beat.sent_at).bytes >= OWN_BYTES
        };
        let (from, _) = self.beats.iter().rev().take_while(waited).last()?;
        let stretch = last.arrived.since(from.arrived);
        if stretch < time {
            return None;
        }
        // Of those that were sent in between some are small, and some may be lost.
        let amount = sent.between(from.sent_at, last.sent_at);
        let packet_bytes = amount.bytes as f64 / amount.packets.max(1) as f64;
        let bytes = (last.received - from.received) as f64 * packet_bytes;
        let left = rate(amount.bytes as f64, last.sent_at.since(from.sent_at));
        Some((rate(bytes, stretch), left))
    }
}

/// The shortest time that beats took to a receiver, and reports of them back, without what was between.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    /// Since when it is noted.
    since: Option<Time>,
    /// Of this period and of the one before, as far as any was noted.
    this: Option<Duration>,
    before: Option<Duration>,
}

impl Round {
    fn note(&mut self, now: Time, took: Option<Duration>) {
        if let Some(took) = took {
            self.since.get_or_insert(now);
            self.this = Some(self.this.map_or(took, |this| this.min(took)));
        }
    }

    /// The next period begins.
    const fn turn(&mut self) {
        (self.before, self.this) = (self.this, None);
    }

    /// The shortest of both, once it is known for long enough.
    fn shortest(&self, now: Time) -> Option<Duration> {
        self.since
            .filter(|since| now.since(*since) >= ROUND_KNOWN)?;
        self.this.into_iter().chain(self.before).min()
    }
}

fn rate(bytes: f64, time: Duration) -> Rate {
    Rate::from_bytes_per_second((bytes / time.as_secs_f64()).round() as u64)
}

/// By how much a beat's time is longer than the shortest.
fn waited(time: i64, base: i64) -> Duration {
    Duration::from_nanos(time.saturating_sub(base).max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Sequence;
    use proptest::prelude::*;

    const PACKET: u64 = 1_500;

    fn at(micros: u64) -> Time {
        Time::from_nanos(micros * 1_000)
    }

    /// A hundred packets in 10 ms.
    fn sent() -> Sent {
        let mut sent = Sent::default();
        for milli in 1..1_000 {
            sent.note(at(1_000 * milli), 10 * PACKET, Sequence(10 * milli));
        }
        sent
    }

    /// Beats every 10 ms that wait `waits` microseconds, by a clock that runs `ahead` of the sender's.
    fn play(waits: &[u64], ahead: u64) -> Vec<Option<Standing>> {
        let (mut watch, book) = (QueueWatch::default(), sent());
        let note = |(number, wait): (usize, &u64)| {
            let sent = 10_000 * (number as u64 + 1);
            let echo = Echo {
                sent_at: at(sent),
                arrived: at(sent + wait + ahead),
                received: 100 * number as u64,
                took: None,
            };
            watch.note(at(sent + wait + 500), echo, &book, Pace::Steady)
        };
        waits.iter().enumerate().map(note).collect()
    }

    /// The longest wait of the last of 30 s, by a clock that is put right by so many parts of a million, on a way with a
    /// queue of so many microseconds from the 20th second on, and with reports that are late as they come.
    fn wait_by_a_slewed_clock(ppm: u64, queue: u64) -> Duration {
        let mut watch = QueueWatch::default();
        let mut book = Sent::default();
        let mut longest = Duration::ZERO;
        for number in 1..3_000 {
            let sent = 10_000 * number;
            book.note(at(sent), 10 * PACKET, Sequence(10 * number));
            let wait = if sent > 20_000_000 { queue } else { 0 };
            let late = [0, 900, 100, 3_000][number as usize % 4];
            let echo = Echo {
                sent_at: at(sent),
                arrived: at(sent + 100 + wait + sent * ppm / 1_000_000),
                received: 10 * number,
                took: Some(Duration::from_micros(200 + wait + late)),
            };
            let now = at(sent + 200 + wait + late);
            let standing = watch.note(now, echo, &book, Pace::Steady);
            if let Some(standing) = standing.filter(|_| sent > 29_000_000) {
                longest = longest.max(standing.wait);
            }
        }
        longest
    }

    #[test]
    fn a_clock_that_is_put_right_slowly_is_no_queue_and_hides_none() {
        for ppm in [0, 50, 500, 80_000] {
            let none = wait_by_a_slewed_clock(ppm, 0);
            assert!(none <= Duration::from_micros(100), "{none:?} at {ppm} ppm");
            let wait = wait_by_a_slewed_clock(ppm, 5_000).as_micros();
            assert!((5_000..5_200).contains(&wait), "{wait} us at {ppm} ppm");
        }
    }

    #[test]
    fn a_queue_shows_whatever_the_clocks_say_and_a_hiccup_does_not() {
        for ahead in [0, 1_000_000_000] {
            let waits = [100, 100, 9_100, 100, 8_100, 8_200, 8_300, 8_150, 100];
            let told: Vec<Option<u128>> = play(&waits, ahead)
                .iter()
                .map(|standing| standing.map(|it| it.wait.as_micros()))
                .collect();
            let expected = [
                None,
                None,
                Some(0),
                Some(0),
                Some(0),
                Some(0),
                Some(8_000),
                Some(8_050),
                Some(0),
            ];
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn a_clock_that_leaps_is_no_queue() {
        let (mut watch, book) = (QueueWatch::default(), sent());
        let mut told = Vec::new();
        for number in 1..13 {
            let (sent, leap) = (10_000 * number, if number < 6 { 0 } else { 3_000_000 });
            let echo = Echo {
                sent_at: at(sent),
                arrived: at(sent + 100 + leap),
                received: 100 * number,
                took: None,
            };
            told.push(watch.note(at(sent + 600), echo, &book, Pace::Steady));
        }
        let queue = |standing: &Standing| standing.wait > Duration::ZERO;
        assert!(!told.iter().flatten().any(queue), "{told:?}");
        assert!(told[11].is_some(), "{told:?}");
    }

    #[test]
    fn arrivals_are_counted_between_beats_that_waited() {
        let mut waits = [2_100; 12];
        waits[..4].fill(100);
        let told = play(&waits, 0);
        let rate = |beat: usize| told[beat].and_then(|standing| standing.arriving);
        // A hundred packets of 1,500 bytes in 10 ms.
        assert_eq!(
            rate(11).map(Rate::bytes_per_second),
            Some(15_000_000),
            "{told:?}"
        );
        assert_eq!(rate(3), None, "no queue");
        assert_eq!(rate(7), None, "not for long enough");
    }

    #[test]
    fn what_arrived_counts_with_a_queue_or_without() {
        let mut watch = QueueWatch::default();
        let book = sent();
        let mut told = Vec::new();
        for (sent, received) in [(10, 100), (15, 120), (25, 170), (35, 170)] {
            let echo = Echo {
                sent_at: at(1_000 * sent),
                arrived: at(1_000 * sent + 100),
                received,
                took: None,
            };
            let _ = watch.note(echo.arrived, echo, &book, Pace::Starting);
            told.push(watch.arrived(PACKET).map(Rate::bytes_per_second));
        }
        // 70 packets of 1,500 bytes in the last 15 ms, then 50 in 20 ms.
        assert_eq!(told, [None, None, Some(7_000_000), Some(3_750_000)]);
    }

    /// A report every 300 ms that tells of five beats: of what happened between two reports nobody knows.
    #[test]
    fn rare_reports_of_several_beats_tell_of_a_queue_and_what_arrived() {
        let (mut watch, book) = (QueueWatch::default(), sent());
        let mut told = None;
        for (report, wait, lost) in [
            (150_000, 100, 0),
            (450_000, 4_100, 0),
            (750_000, 4_100, 1_000),
        ] {
            let latest = Echo {
                sent_at: at(report),
                arrived: at(report + wait),
                received: report / 100 - lost,
                took: None,
            };
            let now = at(report + wait + 500);
            for before in [150_000, 50_000, 20_000, 10_000] {
                let earlier = Earlier {
                    sent_before: before * 1_000,
                    arrived_before: before * 1_000,
                    received_since: before / 100,
                };
                let earlier = latest.before(&earlier);
                watch.recall(now, earlier, &book, Pace::Steady);
            }
            told = watch.note(now, latest, &book, Pace::Steady);
        }
        let told = told.unwrap();
        assert_eq!(told.wait, Duration::from_millis(4));
        // A hundred packets of 1,500 bytes in 10 ms.
        let rate = told.arriving.map(Rate::bytes_per_second);
        assert_eq!(rate, Some(15_000_000));
    }

    #[test]
    fn a_way_that_became_longer_is_no_queue_for_ever() {
        let waits: Vec<u64> = (0..3_000)
            .map(|beat| if beat < 10 { 100 } else { 5_100 })
            .collect();
        let told = play(&waits, 7);
        let wait = |number: usize| told[number].unwrap().wait.as_micros();
        assert_eq!(wait(100), 5_000);
        assert_eq!(wait(2_999), 0);
    }

    proptest! {
        #[test]
        fn nothing_a_receiver_says_makes_it_panic(
            echoes in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..40),
        ) {
            let (mut watch, book) = (QueueWatch::default(), sent());
            for (sent, arrived, received) in echoes {
                let echo = Echo {
                    sent_at: Time::from_nanos(sent),
                    arrived: Time::from_nanos(arrived),
                    received,
                    took: (received % 3 > 0).then(|| Duration::from_nanos(received)),
                };
                let _ = watch.note(Time::from_nanos(sent), echo, &book, Pace::Steady);
                let _ = watch.arrived(PACKET);
            }
        }
    }
}
