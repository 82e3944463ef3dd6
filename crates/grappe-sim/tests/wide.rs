//! Groups far larger than any lab: what their losses and reports cost the sender, and that nobody in them is taken
//! for slow because reports are rare.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::sound;
use grappe_proto::units::Rate;
use grappe_proto::wire::report::REPORT_BYTES;
use grappe_sim::{Link, Scenario};

/// Reports that the sender asks for in a second at most, of any number of receivers.
const REPORTS_PER_SECOND: u64 = 10_000;

/// Copies to `receivers`, of which each loses one packet of a thousand; what is sent must not be more than
/// `overhead` times the content, and each gets at least `goodput` bytes per second over links of 125 MB/s.
fn copy(receivers: usize, bytes: u64, overhead: f64, goodput: f64) {
    let outcome = sound(&Scenario {
        receivers,
        bytes,
        downlink: Link {
            loss: 0.001,
            ..Link::default()
        },
        ..Scenario::default()
    });
    assert!(outcome.all_complete());
    println!(
        "{receivers} receivers: {:.1} MB/s, overhead {:.4}, at most {} reports in a second",
        outcome.goodput / 1e6,
        outcome.overhead(),
        outcome.reports_by_time.most_in_a_second()
    );
    assert!(outcome.overhead() <= overhead, "{}", outcome.overhead());
    assert!(outcome.goodput >= goodput, "{}", outcome.goodput);
    let summary = outcome.summary.as_ref().expect("the sender ended");
    let apart = summary.nodes.iter().filter(|node| node.apart).count();
    assert_eq!(apart, 0, "parted though all are alike");
    // Who joins reports at once; and of reports that come all together, one more falls into some seconds.
    let (joining, together) = (receivers as u64, receivers as u64);
    let bound = (REPORTS_PER_SECOND + joining + together) * 105 / 100;
    let reports = outcome.reports_by_time.most_in_a_second();
    assert!(reports <= bound, "{reports} reports in a second");
    let bound = REPORTS_PER_SECOND as f64 * 1.05 * outcome.ended_at.as_secs_f64();
    let reports = outcome.reports - 2 * joining;
    assert!(
        reports as f64 <= bound,
        "{reports} reports, {bound} at most"
    );
}

#[test]
fn a_thousand_receivers_cost_two_hundredths() {
    copy(1_000, 64 << 20, 1.02, 60e6);
}

#[test]
fn three_thousand_receivers_cost_two_hundredths() {
    copy(3_000, 32 << 20, 1.02, 15e6);
}

/// Reports must not fill slow links, and tell of queues all the same however rare they are.
#[test]
fn on_slow_links_reports_are_few_and_still_tell_of_queues() {
    const SECONDS: u64 = 4;
    let second = |number: u64| Duration::from_secs(number);
    for (receivers, megabits, seed) in [(64, 20, 0), (64, 20, 1), (200, 20, 0), (1_000, 20, 0)] {
        let link = megabits * 125_000;
        let rate = Rate::from_bytes_per_second(link);
        let outcome = sound(&Scenario {
            seed,
            receivers,
            bytes: link * SECONDS,
            downlink: Link {
                rate,
                queue_bytes: 128 << 10,
                jitter: Duration::from_millis(1),
                keeps_order: true,
                ..Link::default()
            },
            ..Scenario::default()
        });
        assert!(outcome.all_complete());
        let waits = (outcome.nodes.iter()).map(|node| node.waits.mean(second(2), second(SECONDS)));
        let wait = waits.max().unwrap_or_default();
        let least = |from: u64| {
            let got = outcome.nodes.iter();
            let got = got.map(|node| node.got.per_second(second(from), second(from + 1)));
            got.fold(f64::MAX, f64::min) / link as f64
        };
        let shares: Vec<f64> = (1..SECONDS).map(least).collect();
        let reports = (outcome.reports_by_time).per_second(second(2), second(SECONDS));
        println!(
            "{receivers} at {megabits} Mbit/s, seed {seed}: {shares:.3?} of the link in each second, {wait:.2?} of queue, \
            {reports} reports a second"
        );
        assert!(wait <= Duration::from_millis(5), "{wait:?} in the queue");
        assert!(
            shares.iter().all(|share| *share >= 0.85),
            "{shares:.3?} of the link"
        );
        // An eighth of the link, or a thousand.
        let most = (link as f64 / 8.0 / REPORT_BYTES as f64).max(1_000.0);
        assert!(
            reports <= 1.1 * most,
            "{reports} reports a second, of {most}"
        );
    }
}

/// A copy begins at ten times what these links take. Would it ask for the reports that links of such a rate bear, they
/// would fill the one on which the sender hears, and what waits there would be told too late.
#[test]
fn a_copy_that_begins_too_fast_does_not_fill_the_way_back() {
    const LINK: u64 = 10 * 125_000;
    const SECONDS: u64 = 4;
    let rate = Rate::from_bytes_per_second(LINK);
    for (receivers, burst_bytes, seed) in [(120, 0, 0), (120, 128 << 10, 1), (400, 0, 0)] {
        let outcome = sound(&Scenario {
            seed,
            receivers,
            bytes: LINK * SECONDS,
            inlink: Some(rate),
            downlink: Link {
                rate,
                queue_bytes: 512 << 10,
                burst_bytes,
                jitter: Duration::from_millis(1),
                keeps_order: true,
                ..Link::default()
            },
            ..Scenario::default()
        });
        assert!(outcome.all_complete());
        let half = Duration::from_millis(500);
        let reports = outcome.reports_by_time.per_second(Duration::ZERO, half);
        let ended_at = outcome.ended_at.as_secs_f64();
        println!(
            "{receivers}, seed {seed}: {reports} reports a second in the first half, {ended_at:.2} s, overhead {:.3}",
            outcome.overhead()
        );
        // Those of links of 50 Mbit/s, and those that tell of having joined; more for a moment after a burst.
        let most = 50.0 * 125_000.0 / 8.0 / REPORT_BYTES as f64 + receivers as f64 * 2.0;
        assert!(
            reports <= 1.2 * most,
            "{reports} reports a second, of {most}"
        );
        assert!(ended_at <= SECONDS as f64 * 1.25, "{ended_at:.2} s");
    }
}

/// Only one of many knows of the queue before its slower link, and it reports seldom: until it is heard again, no other
/// may raise the rate.
#[test]
fn one_slower_link_among_many_is_minded() {
    const SECONDS: u64 = 6;
    const LINK: u64 = 20 * 125_000;
    const SLOWER: u64 = 14 * 125_000;
    let second = |number: u64| Duration::from_secs(number);
    let link = |rate| Link {
        rate: Rate::from_bytes_per_second(rate),
        queue_bytes: 128 << 10,
        jitter: Duration::from_millis(1),
        keeps_order: true,
        ..Link::default()
    };
    // The queue holds 75 ms; the more there are, the later it is known. How late is chance: of seven copies, 3 to 13 ms with
    // 200 receivers, 6 to 16 ms with 400.
    for (receivers, seeds, wait_most) in [(64, 1, 5), (200, 3, 8), (400, 3, 15)] {
        let slower = receivers / 2;
        let mut waits = Vec::new();
        for seed in 0..seeds {
            let outcome = sound(&Scenario {
                seed,
                receivers,
                bytes: SLOWER * SECONDS,
                downlink: link(LINK),
                downlinks: BTreeMap::from([(slower, link(SLOWER))]),
                ..Scenario::default()
            });
            assert!(outcome.all_complete());
            let node = &outcome.nodes[slower];
            let wait = node.waits.mean(second(2), second(SECONDS));
            let shares: Vec<f64> = (1..SECONDS)
                .map(|from| node.got.per_second(second(from), second(from + 1)) / SLOWER as f64)
                .collect();
            let mean = shares.iter().sum::<f64>() / shares.len() as f64;
            println!("{receivers}, seed {seed}: {shares:.3?} of the link, {wait:.2?} of queue");
            let summary = outcome.summary.as_ref().expect("the sender ended");
            assert!(summary.nodes.iter().all(|node| !node.apart));
            // A look at what the others could take costs a quarter of a second.
            assert!(
                mean >= 0.85 && shares.iter().all(|share| *share >= 0.7),
                "{shares:.3?} of the link"
            );
            waits.push(wait);
        }
        waits.sort();
        let wait = waits[waits.len() / 2];
        let most = Duration::from_millis(wait_most);
        assert!(wait <= most, "{waits:?} in the queue");
        assert!(waits.iter().all(|wait| *wait <= most * 2), "{waits:?}");
    }
}

/// Half the copy is a second pass where rare reports pass for slowness.
#[test]
fn ten_thousand_receivers_cost_three_hundredths() {
    copy(10_000, 12 << 20, 1.03, 3e6);
}
