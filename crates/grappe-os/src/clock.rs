//! The monotonic clock, and waiting on it more precisely than a thread sleeps by default.
//!
//! This is where real time enters the product; the protocol receives it as a number. Not a wall
//! clock, and no timers: the caller says until when, and waits.

use std::num::NonZeroU64;
use std::time::Duration;

use rustix::{
    io::Errno,
    thread::{clock_nanosleep_absolute, set_current_timer_slack},
    time::{ClockId, Timespec, clock_gettime},
};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// How late the kernel may end a sleep after [`precise_timers`]: 1 us in place of the usual 50 us.
const TIMER_SLACK_NANOS: NonZeroU64 = NonZeroU64::new(1_000).expect("1,000 is not zero");

/// Time since `instant`, one of `CLOCK_REALTIME` as the kernel stamps packets with; zero when it seems to
/// lie ahead, as after the wall clock was set back, and wrong by as much as it was set in between.
pub(crate) fn since_realtime(instant: libc::timespec) -> Duration {
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let now = clock_gettime(ClockId::Realtime);
    let since = nanos(now.tv_sec, now.tv_nsec) - nanos(instant.tv_sec, instant.tv_nsec);
    Duration::from_nanos(u64::try_from(since).unwrap_or(0))
}

/// Nanoseconds of `CLOCK_MONOTONIC` since the clock was made.
///
/// Does not count the time that the machine is suspended. Copies agree with each other, so threads
/// may each hold one.
#[derive(Debug, Clone, Copy)]
pub struct MonotonicClock {
    origin_nanos: u64,
}

impl MonotonicClock {
    /// Starts a clock that reads zero now.
    #[expect(
        clippy::new_without_default,
        reason = "a clock started by accident is a bug to find"
    )]
    pub fn new() -> Self {
        Self {
            origin_nanos: kernel_nanos(),
        }
    }

    /// Nanoseconds since [`MonotonicClock::new`]; never goes back, and lasts for 580 years.
    #[inline]
    pub fn now_nanos(&self) -> u64 {
        kernel_nanos().saturating_sub(self.origin_nanos)
    }

    /// Blocks the calling thread until this clock reads `nanos`; returns at once when it already does.
    ///
    /// Goes back to sleep when a signal interrupts it. Wakes within about 60 us of the wanted
    /// instant, or within a few microseconds in a thread that called [`precise_timers`].
    pub fn sleep_until(&self, nanos: u64) {
        let wanted = self.origin_nanos.saturating_add(nanos);
        let instant = Timespec {
            tv_sec: (wanted / NANOS_PER_SECOND).try_into().unwrap_or(i64::MAX),
            tv_nsec: (wanted % NANOS_PER_SECOND) as _,
        };
        // Every other error means a malformed instant or clock, which the lines above exclude.
        while clock_nanosleep_absolute(ClockId::Monotonic, &instant) == Err(Errno::INTR) {}
    }
}

/// Lets the sleeps of the calling thread end within 1 us of their time (`PR_SET_TIMERSLACK`).
///
/// The default of 50 us saves power by joining wake-ups, and is as long as a whole burst of paced
/// packets. Concerns this thread only, and threads that it starts later. See `prctl(2)`.
///
/// # Errors
///
/// What the kernel says; a sandbox may forbid `prctl`. The sleeps are then merely less precise.
pub fn precise_timers() -> std::io::Result<()> {
    Ok(set_current_timer_slack(Some(TIMER_SLACK_NANOS))?)
}

fn kernel_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Both parts of a monotonic reading are never negative.
    now.tv_sec.unsigned_abs() * NANOS_PER_SECOND + now.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_starts_near_zero_and_never_goes_back() {
        let clock = MonotonicClock::new();
        let mut last = clock.now_nanos();
        assert!(last < NANOS_PER_SECOND);
        for _ in 0..10_000 {
            let now = clock.now_nanos();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn a_sleep_never_ends_early() {
        precise_timers().unwrap();
        let clock = MonotonicClock::new();
        for _ in 0..20 {
            let wanted = clock.now_nanos() + 200_000;
            clock.sleep_until(wanted);
            assert!(clock.now_nanos() >= wanted);
        }
    }

    #[test]
    fn an_instant_in_the_past_does_not_wait() {
        let clock = MonotonicClock::new();
        clock.sleep_until(0);
        assert!(clock.now_nanos() < NANOS_PER_SECOND);
    }
}
