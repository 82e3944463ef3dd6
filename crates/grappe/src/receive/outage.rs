//! Trouble that may pass, such as an interface that is down for a moment: told when it begins and when
//! it is over, not each time that it shows.
//!
//! How long to bear it, and how often to try again, is the caller's to say.

use std::io;
use std::time::{Duration, Instant};

/// Trouble is over when nothing failed for so long: it may come and go.
const STEADY: Duration = Duration::from_secs(1);

/// The trouble with one thing.
#[derive(Debug)]
pub(super) struct Outage {
    /// What cannot be done: "hear the group".
    what: &'static str,
    trouble: Option<Trouble>,
}

#[derive(Clone, Copy, Debug)]
struct Trouble {
    since: Instant,
    last: Instant,
}

impl Outage {
    /// No trouble yet with doing `what`.
    pub(super) const fn new(what: &'static str) -> Self {
        Self {
            what,
            trouble: None,
        }
    }

    /// It failed; answers what to tell of that, if it is news.
    pub(super) fn failed(&mut self, error: &io::Error, now: Instant) -> Option<String> {
        if let Some(trouble) = &mut self.trouble {
            trouble.last = now;
            return None;
        }
        self.trouble = Some(Trouble {
            since: now,
            last: now,
        });
        Some(format!("cannot {}: {error}; trying on", self.what))
    }

    /// It worked; answers what to tell of that, if trouble is over now.
    pub(super) fn worked(&mut self, now: Instant) -> Option<String> {
        let trouble = self.trouble?;
        if now.saturating_duration_since(trouble.last) < STEADY {
            return None;
        }
        self.trouble = None;
        let seconds = now.saturating_duration_since(trouble.since).as_secs();
        Some(format!("can {} again, after {seconds} s", self.what))
    }

    /// How long the trouble has lasted by now.
    pub(super) fn lasted(&self, now: Instant) -> Duration {
        self.trouble.map_or(Duration::ZERO, |trouble| {
            now.saturating_duration_since(trouble.since)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_when_it_begins_and_when_it_is_over() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let down = io::Error::other("the network is down");
        let mut outage = Outage::new("hear the group");
        assert_eq!(outage.worked(at(0)), None);
        assert_eq!(
            outage.failed(&down, at(100)).unwrap(),
            "cannot hear the group: the network is down; trying on"
        );
        for millis in [200, 300, 400] {
            assert_eq!(outage.failed(&down, at(millis)), None);
            assert_eq!(outage.worked(at(millis + 50)), None, "it comes and goes");
        }
        assert_eq!(outage.lasted(at(500)), Duration::from_millis(400));
        assert_eq!(
            outage.worked(at(2_100)).unwrap(),
            "can hear the group again, after 2 s"
        );
        assert_eq!(outage.lasted(at(2_100)), Duration::ZERO);
        assert!(outage.failed(&down, at(9_000)).is_some(), "new trouble");
    }
}
