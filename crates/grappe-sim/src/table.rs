//! The table of results: one line for each copy, for the snapshot in the repository and the binary.

use std::time::Duration;

use crate::outcome::Outcome;
use crate::scenario::{Link, Scenario};

/// What distinguishes the copies of one table.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Receivers.
    pub receivers: usize,
    /// Share of packets lost at each receiver, independently.
    pub loss: f64,
    /// One way to each receiver.
    pub delay: Duration,
    /// Bytes of content.
    pub bytes: u64,
    /// Decides all that is left to chance.
    pub seed: u64,
}

impl Cell {
    /// The scenario of this cell, on gigabit links.
    pub fn scenario(&self) -> Scenario {
        Scenario {
            seed: self.seed,
            receivers: self.receivers,
            bytes: self.bytes,
            downlink: Link {
                loss: self.loss,
                delay: self.delay,
                ..Link::default()
            },
            ..Scenario::default()
        }
    }
}

/// The heads of the columns.
pub fn header() -> String {
    format!(
        "{:>9} {:>7} {:>8} {:>8} {:>9} {:>8} {:>7} {:>9}",
        "receivers", "loss", "delay ms", "MB/s", "elapsed s", "overhead", "repair", "complete"
    )
}

/// The line of one copy.
pub fn row(cell: &Cell, outcome: &Outcome) -> String {
    let complete = outcome
        .nodes
        .iter()
        .filter(|node| node.end == crate::End::Complete)
        .count();
    format!(
        "{:>9} {:>6.2}% {:>8.1} {:>8.1} {:>9.3} {:>8.3} {:>6.2}% {:>9}",
        cell.receivers,
        cell.loss * 100.0,
        cell.delay.as_secs_f64() * 1_000.0,
        outcome.goodput / 1e6,
        outcome.elapsed.as_secs_f64(),
        outcome.overhead(),
        outcome.repair_share() * 100.0,
        complete,
    )
}
