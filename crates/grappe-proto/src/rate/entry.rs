//! Growing beside somebody who was there first, and what the queue tells of the link meanwhile.
//!
//! He hides what the link takes: no queue of our own stood before his. While ours grows and his stays as it is, the
//! queue gets longer by what of ours is in it, and the faster the slower the link is. What to do beside him then is said
//! in `rival`.

use std::collections::VecDeque;
use std::time::Duration;

use super::queue::Standing;
use super::sent::Sent;
use crate::units::{PeerId, Rate, Time};

/// The rate grows as that of a new TCP does (RFC 9438, 4.10), to so many times what arrives, until the queue has grown
/// by so much, or has grown and something is lost, or for so long.
pub(super) const RAISE: f64 = 1.5;
const GROWTH: Duration = Duration::from_millis(10);
const MOST: Duration = Duration::from_secs(1);

/// A queue that has grown by less does not grow, and by less than the other does not tell of the link: when bytes left is
/// known to 2 ms.
pub(super) const GROWING: Duration = Duration::from_millis(1);
const TELLING: Duration = Duration::from_millis(4);

/// At least this share of the link is ours at the end of that, whatever the queue tells.
const SHARE_MIN: f64 = 0.25;

/// Bytes are counted of so many receivers at most: of whom the longest queue is may change from report to report.
const COUNTED_MAX: usize = 4;

/// Beats of which it is remembered when they came out of the queue: of half a second and more.
const OUT: usize = 64;

/// The growth, from its first report on.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    since: Option<Time>,
    /// The longest queue of any receiver: when it was shortest, and of late.
    shortest: Option<Duration>,
    wait: Duration,
    /// What is in it, as receivers tell, each by what reached itself.
    counted: Vec<(PeerId, Counted)>,
}

/// A queue, and bytes of ours in it beyond those of the first moment that is known.
#[derive(Clone, Copy, Debug)]
struct Inside {
    wait: Duration,
    bytes: f64,
}

/// What one receiver tells of the queue.
#[derive(Clone, Debug, Default)]
struct Counted {
    /// When packets came out of the queue, and how many had by then: at first, and of late.
    origin: Option<(Time, u64)>,
    out: VecDeque<(Time, u64)>,
    /// The queue when it was shortest, and of late.
    least: Option<Inside>,
    last: Option<Inside>,
}

impl Entry {
    /// Takes note of a receiver's queue, the longest of all.
    pub(super) fn note(&mut self, now: Time, peer: PeerId, standing: &Standing, sent: &Sent) {
        self.since.get_or_insert(now);
        self.wait = standing.wait;
        if self.grown() < GROWING {
            let shortest = self.shortest.unwrap_or(standing.wait);
            self.shortest = Some(shortest.min(standing.wait));
        }
        let known = self.counted.iter().position(|(id, _)| *id == peer);
        if known.is_none() && self.counted.len() < COUNTED_MAX {
            self.counted.push((peer, Counted::default()));
        }
        let index = known.unwrap_or(self.counted.len() - 1);
        if let Some((id, counted)) = self.counted.get_mut(index)
            && *id == peer
        {
            counted.note(standing, sent);
        }
    }

    /// By how much the queue has grown.
    pub(super) fn grown(&self) -> Duration {
        self.wait.saturating_sub(self.shortest.unwrap_or(self.wait))
    }

    /// Whether it has grown by enough.
    pub(super) fn has_grown(&self) -> bool {
        self.grown() >= GROWTH
    }

    pub(super) fn is_late(&self, now: Time) -> bool {
        self.since.is_some_and(|since| now.since(since) >= MOST)
    }

    /// What the link takes, of which so much `arriving` is ours. Nothing, where the queue has hardly grown.
    pub(super) fn link(&self, arriving: Rate) -> Option<Rate> {
        let counted = self.counted.iter().map(|(_, counted)| counted);
        let link = counted.max_by_key(|counted| counted.grown())?.link()?;
        Some(link.min(arriving.scaled(1.0 / SHARE_MIN)))
    }
}

impl Counted {
    fn note(&mut self, standing: &Standing, sent: &Sent) {
        self.origin.get_or_insert(standing.out);
        let is_later = |(out_at, _): &(Time, u64)| standing.out.0 > *out_at;
        if self.out.back().is_none_or(is_later) {
            if self.out.len() >= OUT {
                self.out.pop_front();
            }
            self.out.push_back(standing.out);
        }
        let Some(bytes) = self.inside(standing.sent_at, sent) else {
            return;
        };
        let wait = standing.wait;
        let inside = Inside { wait, bytes };
        self.last = Some(inside);
        if self.least.is_none_or(|least| wait <= least.wait) {
            self.least = Some(inside);
        }
    }

    /// What of ours was in the queue at this time, beyond what was at the first that is known.
    fn inside(&self, at: Time, sent: &Sent) -> Option<f64> {
        let (origin, out_first) = self.origin?;
        let after = self.out.partition_point(|(out_at, _)| *out_at <= at);
        let (before, out_before) = *self.out.get(after.checked_sub(1)?)?;
        let out = match self.out.get(after) {
            Some((next, out_next)) => {
                let part = at.since(before).as_secs_f64() / next.since(before).as_secs_f64();
                out_before as f64 + out_next.saturating_sub(out_before) as f64 * part
            }
            None => out_before as f64,
        };
        let amount = sent.between(origin, at);
        let packet_bytes = amount.bytes as f64 / amount.packets.max(1) as f64;
        Some(amount.bytes as f64 - (out - out_first as f64) * packet_bytes)
    }

    fn grown(&self) -> Duration {
        match (self.least, self.last) {
            (Some(least), Some(last)) => last.wait.saturating_sub(least.wait),
            _ => Duration::ZERO,
        }
    }

    fn link(&self) -> Option<Rate> {
        let (least, last) = (self.least?, self.last?);
        let grown = self.grown();
        if grown < TELLING {
            return None;
        }
        let link = (last.bytes - least.bytes).max(0.0) / grown.as_secs_f64();
        Some(Rate::from_bytes_per_second(link as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Sequence;

    const LINK: f64 = 100e6;
    const PACKET: f64 = 1_500.0;
    const US: PeerId = PeerId(0);

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    fn rate(megabytes: u64) -> Rate {
        Rate::from_bytes_per_second(megabytes * 1_000_000)
    }

    fn standing(sent_at: Time, wait: Duration, out: (Time, u64)) -> Standing {
        Standing {
            wait,
            sent_at,
            is_shortest: false,
            arriving: None,
            left: None,
            out,
        }
    }

    /// A copy beside somebody who keeps a megabyte in the queue of a link: for 100 ms each it sends at these rates, in MB/s. A
    /// beat every 10 ms is told of as it comes out.
    fn play(rates: &[u64], mut told: impl FnMut(&mut Entry, Time, &Sent)) -> Entry {
        let (mut entry, mut book) = (Entry::default(), Sent::default());
        // As much of ours waits at first as does at the first rate.
        let first = rates[0] as f64;
        let (mut sent, mut out) = (1e6 * first / (LINK / 1e6 - first), 0.0);
        let mut beats = VecDeque::new();
        for milli in 1..=100 * rates.len() as u64 {
            let now = at(milli);
            let bytes = rates[(milli as usize - 1) / 100] as f64 * 1e3;
            sent += bytes;
            book.note(now, bytes as u64, Sequence((sent / PACKET) as u64));
            let (ours, all) = (sent - out, sent - out + 1e6);
            out += LINK / 1e3 * ours / all;
            if milli.is_multiple_of(10) {
                beats.push_back((now, Duration::from_secs_f64(all / LINK)));
            }
            while let Some((sent_at, wait)) = beats.front().copied()
                && sent_at + wait <= now
            {
                beats.pop_front();
                let packets = (out / PACKET) as u64;
                entry.note(now, US, &standing(sent_at, wait, (now, packets)), &book);
                told(&mut entry, now, &book);
            }
        }
        entry
    }

    #[test]
    fn the_growth_of_a_queue_tells_what_the_link_takes() {
        let slowly = (20..=56).step_by(4).collect();
        for rates in [vec![20, 30, 45], vec![20, 60], vec![40, 80], slowly] {
            let entry = play(&rates, |_, _, _| ());
            let link = entry.link(rate(30)).unwrap().bytes_per_second() as f64;
            assert!((link / LINK - 1.0).abs() < 0.15, "{rates:?}: {link}");
        }
    }

    #[test]
    fn each_receiver_counts_for_itself() {
        let alone = play(&[20, 60], |_, _, _| ());
        let beside = play(&[20, 60], |entry, now, book| {
            let other = standing(now, Duration::from_millis(90), (now, 7));
            entry.note(now, PeerId(1), &other, book);
        });
        assert_eq!(alone.link(rate(30)), beside.link(rate(30)));
        // But it is the longest queue that grows.
        assert!(beside.grown() > alone.grown() + Duration::from_millis(50));
    }

    #[test]
    fn no_growth_tells_nothing_and_a_little_not_more_than_can_be() {
        let flat = play(&[20; 10], |_, _, _| ());
        assert!(flat.grown() < GROWING, "{:?}", flat.grown());
        assert_eq!(flat.link(rate(20)), None);
        let grown = play(&[20, 60], |_, _, _| ());
        assert_eq!(grown.link(rate(5)), Some(rate(20)));
    }

    #[test]
    fn a_growth_lasts_for_a_second() {
        let entry = play(&[20], |_, _, _| ());
        let since = entry.since.unwrap();
        assert!(!entry.is_late(since + MOST - Duration::from_nanos(1)));
        assert!(entry.is_late(since + MOST));
        assert!(!Entry::default().is_late(at(9_000)));
    }
}
