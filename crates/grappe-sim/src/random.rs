//! The simulator's only source of chance: SplitMix64 (Steele, Lea and Flood, 2014), seeded.
//!
//! Not for secrets. Each part of the cluster forks its own stream, so that one more question asked in
//! one place does not change the answers in all others.

use std::time::Duration;

/// A stream of numbers that its seed determines.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent stream; another for each `label`.
    pub(crate) fn fork(&self, label: u64) -> Self {
        let mut child = Self(self.0 ^ label.wrapping_mul(0xd134_2543_de82_ef95));
        Self(child.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// At least 0, below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// At most `most`.
    pub(crate) fn duration(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.unit())
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    pub(crate) fn bytes<const LEN: usize>(&mut self) -> [u8; LEN] {
        std::array::from_fn(|_| self.next() as u8)
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Events that each trial has with one probability, found by jumping from one to the next: a link that
/// loses one packet in a thousand asks for chance once in a thousand packets.
#[derive(Clone, Debug)]
pub(crate) struct Trials {
    /// `ln(1 - probability)`; zero when the event never comes.
    log_survival: f64,
    /// Trials until the next event.
    until: u64,
}

impl Trials {
    pub(crate) fn new(probability: f64, random: &mut Random) -> Self {
        let mut trials = Self {
            log_survival: (-probability.min(0.999_999)).ln_1p(),
            until: 0,
        };
        trials.until = trials.gap(random);
        trials
    }

    /// Whether the event comes in this trial.
    pub(crate) fn happens(&mut self, random: &mut Random) -> bool {
        if self.until > 0 {
            self.until -= 1;
            return false;
        }
        self.until = self.gap(random);
        true
    }

    fn gap(&self, random: &mut Random) -> u64 {
        if self.log_survival == 0.0 {
            return u64::MAX;
        }
        ((1.0 - random.unit()).ln() / self.log_survival) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_happen_as_often_as_asked() {
        let mut random = Random::new(7);
        for probability in [0.0, 0.001, 0.05, 0.5] {
            let mut trials = Trials::new(probability, &mut random);
            let count = (0..100_000).filter(|_| trials.happens(&mut random)).count() as f64;
            assert!(
                (count / 100_000.0 - probability).abs() < 0.005,
                "{probability}: {count}"
            );
        }
    }

    #[test]
    fn forks_differ_and_repeat() {
        let random = Random::new(1);
        assert_ne!(random.fork(1).next(), random.fork(2).next());
        assert_eq!(random.fork(1).next(), random.fork(1).next());
    }
}
