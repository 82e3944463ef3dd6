//! `grappe-sim`: plays copies in a simulated cluster and prints a table.
//!
//! For people who change the engine. Everything is virtual but the time it takes to compute.

use std::process::ExitCode;
use std::time::Duration;

use grappe_sim::{Cell, header, row, run};

const USAGE: &str =
    "usage: grappe-sim [RECEIVERS,.. [LOSS_PERCENT,.. [DELAY_MS,.. [MEBIBYTES [SEED]]]]]
example: grappe-sim 10,100,1000 0,0.1,1 0.1,10 64 1";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match cells(&arguments) {
        Some(cells) => print(&cells),
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn print(cells: &[Cell]) -> ExitCode {
    let mut sound = true;
    println!("{}", header());
    for cell in cells {
        let outcome = run(&cell.scenario());
        println!("{}", row(cell, &outcome));
        for violation in &outcome.violations {
            sound = false;
            println!("    {violation}");
        }
    }
    if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Every combination of what the arguments list; nothing when they cannot be read.
fn cells(arguments: &[String]) -> Option<Vec<Cell>> {
    let list = |index: usize, default: &str| -> Option<Vec<f64>> {
        let text = arguments.get(index).map_or(default, String::as_str);
        text.split(',')
            .map(|number| number.parse().ok().filter(|number| *number >= 0.0))
            .collect()
    };
    let all_receivers = list(0, "1,10,100,1000")?;
    let (losses, delays) = (list(1, "0,0.1,1")?, list(2, "0.1")?);
    let (mebibytes, seed) = (*list(3, "64")?.first()?, *list(4, "1")?.first()?);
    let mut cells = Vec::new();
    for receivers in &all_receivers {
        for loss in &losses {
            for delay in &delays {
                cells.push(Cell {
                    receivers: *receivers as usize,
                    loss: loss / 100.0,
                    delay: Duration::from_secs_f64(delay / 1_000.0),
                    bytes: (mebibytes * 1_048_576.0) as u64,
                    seed: seed as u64,
                });
            }
        }
    }
    Some(cells)
}
