//! The table of results as a snapshot in the repository: a change of the engine's behaviour shows as a
//! change of numbers, to be accepted with `cargo insta review` or not at all.

mod common;

use std::time::Duration;

use common::sound;
use grappe_sim::{Cell, header, row};

#[test]
fn loss_receivers_and_delay_cost_what_they_did() {
    let mut lines = vec![header()];
    for receivers in [1, 10, 100] {
        for loss in [0.0, 0.001, 0.01, 0.05] {
            for delay_us in [100, 5_000] {
                let delay = Duration::from_micros(delay_us);
                let cell = Cell {
                    receivers,
                    loss,
                    delay,
                    bytes: 48 << 20,
                    seed: 1,
                };
                lines.push(row(&cell, &sound(&cell.scenario())));
            }
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}
