//! The pacer: answers when the next burst may leave and how large it may be.
//!
//! It does not repay a stall with a burst: time in which nothing was sent is lost, because a burst
//! overruns the shallowest queue on the way, often the sender's own.

use std::time::Duration;

use crate::units::{Rate, Time};

/// Time at the sender's rate that one burst may fill.
pub const BURST: Duration = Duration::from_micros(500);

/// The same where several senders share the links: each has a small rate, and trains of two or three
/// packets would cost every node more than their content.
pub const BURST_SHARED: Duration = Duration::from_millis(2);

/// Lateness that may be made up for: a timer that fires late must not cost rate.
const CREDIT_MAX: Duration = Duration::from_micros(500);

/// Spaces bursts in time.
#[derive(Clone, Debug)]
pub struct Pacer {
    next: Time,
}

impl Pacer {
    /// A pacer that lets the first burst go at `now`.
    pub const fn new(now: Time) -> Self {
        Self { next: now }
    }

    /// When the next burst may leave.
    pub const fn ready_at(&self) -> Time {
        self.next
    }

    /// Packets of `packet_bytes` that leave in `time` at `rate`: at least 1, at most `packets_max`.
    pub fn burst_packets(
        time: Duration,
        rate: Rate,
        packet_bytes: u64,
        packets_max: usize,
    ) -> usize {
        let packets = rate.bytes_in(time) / packet_bytes.max(1);
        usize::try_from(packets)
            .unwrap_or(usize::MAX)
            .clamp(1, packets_max)
    }

    /// Takes note that `bytes` left at `now`.
    pub fn sent(&mut self, now: Time, bytes: u64, rate: Rate) {
        let from = self.next.max(now - CREDIT_MAX);
        self.next = from + rate.time_for(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_rate_and_forgets_stalls() {
        let rate = Rate::from_bytes_per_second(1_000_000);
        let mut pacer = Pacer::new(Time::ZERO);
        let mut now = Time::ZERO;
        for _ in 0..1_000 {
            now = now.max(pacer.ready_at());
            pacer.sent(now, 1_000, rate);
        }
        assert!(now.since(Time::ZERO) >= Duration::from_millis(998));
        assert!(now.since(Time::ZERO) <= Duration::from_millis(1_000));
        let after_stall = now + Duration::from_secs(5);
        pacer.sent(after_stall, 1_000, rate);
        assert!(
            pacer.ready_at() >= after_stall + Duration::from_micros(500),
            "no burst after a stall"
        );
    }

    #[test]
    fn bursts_grow_with_the_rate() {
        let burst =
            |rate| Pacer::burst_packets(BURST, Rate::from_bytes_per_second(rate), 1_500, 44);
        assert_eq!(burst(1_000), 1);
        assert_eq!(burst(25_000_000), 8);
        assert_eq!(burst(10_000_000_000), 44);
    }
}
