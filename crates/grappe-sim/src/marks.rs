//! What passed when, by tenths of a second of virtual time: bytes, or whatever is counted, and how long it waited.
//!
//! Filled by `receiver_node`, `network` and `outside`; read by tests, which look at a stretch of a copy.

use std::time::Duration;

use grappe_proto::units::Time;

/// A stretch that is counted together.
const TENTH: Duration = Duration::from_millis(100);

/// Counts of all tenths of a second from the beginning of the session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(Vec<u64>);

impl Marks {
    pub(crate) fn note(&mut self, at: Time, count: u64) {
        let tenth = tenths(at.since(Time::ZERO));
        if tenth >= self.0.len() {
            self.0.resize(tenth + 1, 0);
        }
        self.0[tenth] += count;
    }

    /// What was counted per second between two times, in whole tenths of a second.
    pub fn per_second(&self, from: Duration, until: Duration) -> f64 {
        let (from, until) = (tenths(from), tenths(until));
        let count: u64 = self.0.iter().take(until).skip(from).sum();
        count as f64 / (TENTH * (until - from).max(1) as u32).as_secs_f64()
    }

    /// The most that was counted in a second, of all that begin with a tenth.
    pub fn most_in_a_second(&self) -> u64 {
        let seconds = self.0.windows(10.min(self.0.len().max(1)));
        seconds.map(|tenths| tenths.iter().sum()).max().unwrap_or(0)
    }
}

/// How long packets of the copy waited for others, and for themselves, at a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    packets: Marks,
    nanos: Marks,
}

impl Waits {
    pub(crate) fn note(&mut self, at: Time, waited: Duration) {
        self.packets.note(at, 1);
        self.nanos.note(at, waited.as_nanos() as u64);
    }

    /// The mean of those that came between two times, in whole tenths of a second.
    pub fn mean(&self, from: Duration, until: Duration) -> Duration {
        let packets = self.packets.per_second(from, until).max(f64::MIN_POSITIVE);
        Duration::from_nanos((self.nanos.per_second(from, until) / packets) as u64)
    }
}

const fn tenths(time: Duration) -> usize {
    (time.as_millis() / TENTH.as_millis()) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_lies_where_it_was() {
        let mut marks = Marks::default();
        for milli in [50, 150, 199, 1_150] {
            marks.note(Time::from_nanos(milli * 1_000_000), 10);
        }
        let at = Duration::from_millis;
        assert_eq!(marks.per_second(at(100), at(200)), 200.0);
        assert_eq!(marks.per_second(at(0), at(2_000)), 20.0);
        assert_eq!(marks.most_in_a_second(), 30);
        assert_eq!(Marks::default().most_in_a_second(), 0);
    }

    #[test]
    fn a_wait_is_the_mean_of_those_that_came_then() {
        let mut waits = Waits::default();
        let at = Duration::from_millis;
        for (milli, waited) in [(50, 9), (150, 1), (199, 3)] {
            waits.note(Time::ZERO + at(milli), at(waited));
        }
        assert_eq!(waits.mean(at(100), at(200)), at(2));
        assert_eq!(waits.mean(at(200), at(900)), Duration::ZERO);
    }
}
