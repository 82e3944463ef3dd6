//! A disk: one job at a time, at one rate, standing still when a fault says so.

use std::time::Duration;

use grappe_proto::units::{Rate, Time};

/// The disk of one node.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    rate: Rate,
    free_at: Time,
}

impl Disk {
    pub(crate) const fn new(rate: Rate) -> Self {
        Self {
            rate,
            free_at: Time::ZERO,
        }
    }

    /// When a job of `bytes` that is asked for `now` is done.
    pub(crate) fn work(&mut self, now: Time, bytes: u64) -> Time {
        self.free_at = self.free_at.max(now) + self.rate.time_for(bytes);
        self.free_at
    }

    /// Jobs that begin after `now` wait for so long.
    pub(crate) fn stall(&mut self, now: Time, lasting: Duration) {
        self.free_at = self.free_at.max(now + lasting);
    }

    pub(crate) const fn set_rate(&mut self, rate: Rate) {
        self.rate = rate;
    }
}
