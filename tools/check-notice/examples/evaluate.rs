//! The whole measurement: 100,000 complaints about 500 worlds, beside the usual rule. It judges the checker.
//!
//!     cargo run --release -p check-notice --example evaluate [CASES] [FIRST_SEED]
//!
//! Ends with 1 if anybody was accused wrongly or a true complaint was denied.

#[expect(clippy::unwrap_used, reason = "a generator that fails loudly")]
#[path = "../tests/world/mod.rs"]
mod world;

use std::process::ExitCode;
use std::time::Instant;

use world::{Tally, is_the_same_in_any_order, judge_world};

/// Worlds whose logs are read again in another order.
const ORDERS: u64 = 20;

/// Complaints about one world.
const PER_WORLD: u64 = 200;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let cases = numbers.next().and_then(Result::ok).unwrap_or(100_000);
    let first = numbers.next().and_then(Result::ok).unwrap_or(1_000);
    let began = Instant::now();
    let worlds = cases.div_ceil(PER_WORLD);
    let workers = 2;
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..workers)
            .map(|worker| {
                scope.spawn(move || {
                    let mut part = Tally::default();
                    for seed in (first..first + worlds).skip(worker).step_by(workers) {
                        part.add(judge_world(seed, PER_WORLD as usize));
                    }
                    part
                })
            })
            .collect();
        for part in parts {
            tally.add(part.join().expect("a worker does not panic"));
        }
    });
    print(&tally, worlds, began.elapsed().as_secs_f64());
    let mixed = first..first + worlds.min(ORDERS);
    let compared: usize = mixed
        .map(|seed| is_the_same_in_any_order(seed, PER_WORLD as usize))
        .sum();
    println!("the same with lines and files in another order: {compared} of {compared}");
    if tally.wrong_accusations + tally.wrong_denials + tally.misread == 0 {
        ExitCode::SUCCESS
    } else {
        println!("{:#?}", tally.faults);
        ExitCode::FAILURE
    }
}

fn print(tally: &Tally, worlds: u64, seconds: f64) {
    let share = |count: u64| {
        format!(
            "{count:>7} ({:.1} %)",
            100.0 * count as f64 / tally.cases.max(1) as f64
        )
    };
    println!(
        "{} complaints about {worlds} worlds in {seconds:.0} s, {} made up",
        tally.cases, tally.made_up
    );
    println!("confirmed          {}", share(tally.confirmed));
    println!("consistent         {}", share(tally.consistent));
    println!("contradicted       {}", share(tally.contradicted));
    println!("uncheckable        {}", share(tally.uncheckable));
    println!("wrong accusations  {}", share(tally.wrong_accusations));
    println!("wrong denials      {}", share(tally.wrong_denials));
    println!(
        "made up, and fitting who held the address: {}",
        tally.made_up_consistent
    );
    println!(
        "usual rule (10 min each way, first match): names {}, the wrong person {}, for made-up complaints {}",
        tally.usual_named, tally.usual_wrong_person, tally.usual_made_up
    );
    println!(
        "{:<32} {:>9} {:>10} {:>12} {:>11}",
        "case", "confirmed", "consistent", "contradicted", "uncheckable"
    );
    for (case, [confirmed, consistent, contradicted, uncheckable]) in &tally.by_case {
        println!("{case:<32} {confirmed:>9} {consistent:>10} {contradicted:>12} {uncheckable:>11}");
    }
}
