//! A simulated cluster around the engine that ships: one sender and up to thousands of receivers
//! under a virtual clock, with faults, driven by one seed.
//!
//! The machines are those of `grappe-proto`, unmodified; network, disks and connections are models.
//! Nothing here ships, and nothing here is a benchmark of the program: times are virtual.
//!
//! ```
//! use grappe_sim::{Scenario, run};
//!
//! let outcome = run(&Scenario { receivers: 3, bytes: 4 << 20, ..Scenario::default() });
//! assert_eq!(outcome.violations, Vec::<String>::new());
//! ```
//!
//! Reading order: [`Scenario`] says what to simulate, `cluster` plays it, `sender_node` and
//! `receiver_node` drive the machines as the real driver must, `network` decides what becomes of each
//! packet, `oracle` says what must never be.
#![forbid(unsafe_code)]

mod cluster;
mod content;
mod disk;
mod event;
mod gather;
mod liar;
mod marks;
mod network;
mod oracle;
mod outcome;
mod outside;
mod payload;
mod random;
mod receiver_node;
mod rival;
mod scenario;
mod sender_node;
mod table;
mod train;

pub use self::gather::{GatherOutcome, GatherScenario, run_gather};
pub use self::marks::{Marks, Waits};
pub use self::outcome::{End, NodeResult, Outcome};
pub use self::scenario::{BurstLoss, Fault, Lie, Link, Rival, Scenario, Way};
pub use self::table::{Cell, header, row};

/// Plays `scenario` to its end and judges it. The same scenario gives the same outcome.
pub fn run(scenario: &Scenario) -> Outcome {
    cluster::Cluster::new(scenario).play()
}
