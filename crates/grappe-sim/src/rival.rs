//! Somebody else on the way to a receiver: a TCP connection with the congestion control CUBIC (RFC 9438).
//!
//! It always has something to send, in segments that it spreads evenly over the time there and back. `network` puts
//! them into the queue of the link, and says which of them had no room there.

use std::time::Duration;

use grappe_proto::units::Time;

use crate::marks::Marks;
use crate::scenario::Rival;

/// Bytes of a segment on the wire.
pub(crate) const SEGMENT_BYTES: u64 = 1_538;

/// The multiplicative decrease (RFC 9438, section 4.6).
const DECREASE: f64 = 0.7;

/// The constant C of its section 5.1, in segments per cubic second.
const CUBIC: f64 = 0.4;

/// Segments a round at which it grows as Reno does (section 4.3).
const AS_RENO: f64 = 3.0 * (1.0 - DECREASE) / (1.0 + DECREASE);

/// Segments at first (RFC 6928), and at least after a loss.
const WINDOW_FIRST: f64 = 10.0;
const WINDOW_LEAST: f64 = 2.0;

/// So much longer than without a queue a round must take to end the slow start, from so many segments on (HyStart++,
/// RFC 9406, section 4.3, at most).
const HYSTART_LATE: Duration = Duration::from_millis(8);
const HYSTART_WINDOW: f64 = 16.0;

/// The connection.
#[derive(Clone, Debug)]
pub(crate) struct RivalFlow {
    until: Time,
    next_at: Time,
    /// In segments.
    window: f64,
    /// The window at which it met a loss last, once it did.
    before: Option<f64>,
    cut_at: Time,
    /// When it will learn of a loss.
    learns_at: Option<Time>,
    /// Bytes that passed the link, by when they left it.
    pub(crate) passed: Marks,
}

impl RivalFlow {
    pub(crate) fn new(rival: &Rival) -> Self {
        let from = Time::ZERO + rival.from;
        Self {
            until: Time::ZERO + rival.until,
            next_at: from,
            window: WINDOW_FIRST,
            before: None,
            cut_at: from,
            learns_at: None,
            passed: Marks::default(),
        }
    }

    /// When its next segment reaches the queue, if it does not after `at`.
    pub(crate) fn next_until(&self, at: Time) -> Option<Time> {
        (self.next_at <= at && self.next_at < self.until).then_some(self.next_at)
    }

    /// Its next segment reached the queue: when it leaves that, if there was room. Without a queue the time there and
    /// back is `way`, with what waits now it is `turnaround`.
    pub(crate) fn sent(&mut self, left_at: Option<Time>, way: Duration, turnaround: Duration) {
        let now = self.next_at;
        match left_at {
            Some(at) => self.passed.note(at, SEGMENT_BYTES),
            None => _ = self.learns_at.get_or_insert(now + turnaround),
        }
        let round = turnaround.as_secs_f64();
        if self.learns_at.is_some_and(|at| now >= at) {
            self.learns_at = None;
            self.before = Some(self.window);
            self.window = (self.window * DECREASE).max(WINDOW_LEAST);
            self.cut_at = now;
        } else if let Some(before) = self.before {
            self.window = grown(before, now.since(self.cut_at).as_secs_f64(), round);
        } else {
            // A segment more for each that is acknowledged.
            self.window += 1.0;
            if self.window > HYSTART_WINDOW && turnaround > way + HYSTART_LATE {
                self.before = Some(self.window);
                self.cut_at = now - Duration::from_secs_f64(plateau_after(self.window));
            }
        }
        self.next_at = now + turnaround.div_f64(self.window);
    }
}

/// Seconds from a decrease at `before` segments until the window is so large again (section 4.2).
fn plateau_after(before: f64) -> f64 {
    (before * (1.0 - DECREASE) / CUBIC).cbrt()
}

/// The window so many seconds after a decrease at `before` segments, where a round takes `round` (sections 4.2, 4.3).
fn grown(before: f64, since: f64, round: f64) -> f64 {
    let cubic = CUBIC * (since - plateau_after(before)).powi(3) + before;
    let reno = before * DECREASE + AS_RENO * since / round;
    cubic.max(reno).max(WINDOW_LEAST)
}
