//! A way out of or into this host that does not work for a while: told once, borne for some seconds.
//!
//! A cable, a bond or a firewall that is being reloaded ends no copy: what could not leave is lost like
//! any packet, and repaired. It sends nothing itself; the carrier, the announcements and the report
//! listener each keep one.

use std::io;
use std::time::{Duration, Instant};

/// Why a packet was refused without an error.
pub(super) const QUEUE_FULL: &str = "this host's own queue is full";

/// Without any success for so long, the copy is given up. Receivers that hear nothing may go earlier.
const OUTAGE_MAX: Duration = Duration::from_secs(15);

/// Shorter outages are nobody's business.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// Failures further apart than this are not one outage: nothing was tried in between.
const GAP_MAX: Duration = Duration::from_secs(2);

/// One way, and since when nothing passes it.
#[derive(Debug)]
pub(super) struct Outage {
    /// What cannot be done: "cannot send to the group".
    what: &'static str,
    /// When the user is told, and when it is given up, if ever.
    told_after: Duration,
    given_up_after: Option<Duration>,
    failing: Option<Failing>,
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    last: Instant,
    /// The reason that the user has been told.
    told: Option<String>,
}

/// What to do about a failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on.
    Bear,
    /// Go on, and tell the user this.
    Tell(String),
    /// It will not get better by itself, or did not for [`OUTAGE_MAX`]: the reason to end.
    GiveUp(String),
}

impl Outage {
    /// A way that works so far; `what` says what cannot be done when it does not.
    pub(super) const fn new(what: &'static str) -> Self {
        Self {
            what,
            told_after: TOLD_AFTER,
            given_up_after: Some(OUTAGE_MAX),
            failing: None,
        }
    }

    /// A way that is told of at once and never given up: the copy does not hang on it.
    pub(super) const fn without_end(what: &'static str) -> Self {
        Self {
            what,
            told_after: Duration::ZERO,
            given_up_after: None,
            failing: None,
        }
    }

    /// It worked; answers what to tell the user, if an outage was told before.
    pub(super) fn passed(&mut self, now: Instant) -> Option<String> {
        let failing = self.failing.take()?;
        failing.told?;
        let seconds = now.duration_since(failing.since).as_secs();
        Some(format!("{}: that is over, after {seconds} s", self.what))
    }

    /// It failed with `error`.
    pub(super) fn failed(&mut self, now: Instant, error: &io::Error) -> Verdict {
        if is_passing(error) || self.given_up_after.is_none() {
            self.failed_for(now, error.to_string())
        } else {
            Verdict::GiveUp(format!("{}: {error}", self.what))
        }
    }

    /// It failed for `reason`, which may pass.
    pub(super) fn failed_for(&mut self, now: Instant, reason: String) -> Verdict {
        let failing = match self.failing.take() {
            Some(failing) if now.duration_since(failing.last) <= GAP_MAX => failing,
            _ => Failing {
                since: now,
                last: now,
                told: None,
            },
        };
        let failing = self.failing.insert(Failing {
            last: now,
            ..failing
        });
        let lasted = now.duration_since(failing.since);
        let left = self.given_up_after.map(|max| max.saturating_sub(lasted));
        if left == Some(Duration::ZERO) {
            let seconds = lasted.as_secs();
            return Verdict::GiveUp(format!("{} for {seconds} s: {reason}", self.what));
        }
        if lasted < self.told_after || failing.told.as_ref() == Some(&reason) {
            return Verdict::Bear;
        }
        let text = match left {
            Some(left) => format!(
                "{}: {reason}; trying on for {} s",
                self.what,
                left.as_secs()
            ),
            None => format!("{}: {reason}; trying on", self.what),
        };
        failing.told = Some(reason);
        Verdict::Tell(text)
    }
}

/// Whether `error` is one of those that pass by themselves: the interface or the route is gone for a
/// moment, a queue is full, or a firewall says no (`EPERM`).
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable
            | ErrorKind::PermissionDenied
            | ErrorKind::WouldBlock
    ) || error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHAT: &str = "cannot send to the group";

    fn down() -> io::Error {
        rustix::io::Errno::NETDOWN.into()
    }

    /// Fails every 100 ms from `start` on for `time`; answers all verdicts but those to bear.
    fn fail_for(outage: &mut Outage, start: Instant, time: Duration) -> Vec<Verdict> {
        (0..=time.as_millis() / 100)
            .map(|tenth| start + Duration::from_millis(tenth as u64 * 100))
            .map(|now| outage.failed(now, &down()))
            .filter(|verdict| *verdict != Verdict::Bear)
            .collect()
    }

    #[test]
    fn a_short_outage_is_borne_in_silence() {
        let (mut outage, start) = (Outage::new(WHAT), Instant::now());
        let half = Duration::from_millis(500);
        assert_eq!(fail_for(&mut outage, start, half), []);
        assert_eq!(outage.passed(start + half), None);
        // What failed before does not count for what fails later.
        assert_eq!(fail_for(&mut outage, start + half, half), []);
    }

    #[test]
    fn a_long_outage_is_told_once_and_so_is_its_end() {
        let (mut outage, start) = (Outage::new(WHAT), Instant::now());
        let told = fail_for(&mut outage, start, Duration::from_secs(5));
        let [Verdict::Tell(text)] = &*told else {
            panic!("told {told:?}");
        };
        assert!(
            text.contains(WHAT) && text.contains("Network is down"),
            "{text}"
        );
        let over = outage.passed(start + Duration::from_secs(6));
        assert!(over.is_some_and(|text| text.contains("over")));
    }

    #[test]
    fn an_outage_without_end_ends_the_copy() {
        let (mut outage, start) = (Outage::new(WHAT), Instant::now());
        let before = fail_for(&mut outage, start, OUTAGE_MAX - Duration::from_millis(100));
        assert!(
            !before
                .iter()
                .any(|verdict| matches!(verdict, Verdict::GiveUp(_)))
        );
        let verdict = outage.failed(start + OUTAGE_MAX, &down());
        assert!(matches!(verdict, Verdict::GiveUp(_)), "{verdict:?}");
    }

    #[test]
    fn time_in_which_nothing_was_tried_does_not_count() {
        let (mut outage, start) = (Outage::new(WHAT), Instant::now());
        assert_eq!(outage.failed(start, &down()), Verdict::Bear);
        let later = start + OUTAGE_MAX * 2;
        assert_eq!(outage.failed(later, &down()), Verdict::Bear);
    }

    #[test]
    fn a_way_without_end_is_told_of_at_once_and_never_given_up() {
        let (mut outage, start) = (Outage::without_end(WHAT), Instant::now());
        let told = fail_for(&mut outage, start, OUTAGE_MAX * 2);
        assert!(matches!(&*told, [Verdict::Tell(_)]), "{told:?}");
    }

    #[test]
    fn what_does_not_pass_by_itself_ends_the_copy_at_once() {
        let mut outage = Outage::new(WHAT);
        let error = rustix::io::Errno::MSGSIZE.into();
        let verdict = outage.failed(Instant::now(), &error);
        assert!(matches!(verdict, Verdict::GiveUp(_)), "{verdict:?}");
    }
}
