//! How a copy behaves towards others on the same links: it keeps queues short, shares with TCP, and follows
//! a link that changes.
//!
//! Everything is judged by ratios within one run: how long packets wait against how long they could, and
//! who got how much of the link.

#![expect(
    clippy::unwrap_used,
    reason = "steps of tests: to panic is to fail the test"
)]

use std::thread;
use std::time::{Duration, Instant};

use lab::net::{INTERFACE, Node, Plan};
use lab::process::Process;

use crate::trial::{COPY_MAX, Trial, skip};

/// The rate of the links here, in bytes per second.
const LINK: f64 = 100e6 / 8.0;

/// What the queue of a switch port holds, see `lab::net::Plan`.
const QUEUE_BYTES: f64 = 512e3;

fn hundred_megabit() -> Plan {
    Plan {
        link_mbit: Some(100),
        ..Plan::of(3)
    }
}

/// The median time of `count` pings, one every 40 ms.
fn ping(trial: &Trial, from: u8, to: u8, count: u32) -> Duration {
    let mut command = trial.cluster.node(from).command("ping");
    let address = format!("10.77.0.{to}");
    command.args(["-n", "-i", "0.04", "-c", &count.to_string(), &address]);
    let mut ping = Process::start(command, trial.store.path(), "ping").unwrap();
    ping.finish(COPY_MAX).unwrap();
    let mut millis: Vec<f64> = ping
        .output()
        .lines()
        .filter_map(|line| line.split_once("time=")?.1.split(' ').next()?.parse().ok())
        .collect();
    millis.sort_by(f64::total_cmp);
    let median = *millis.get(millis.len() / 2).expect("ping was answered");
    Duration::from_secs_f64(median / 1_000.0)
}

#[test]
fn others_hardly_wait_in_the_queues_of_a_copy() {
    let Some(trial) = Trial::new(&hundred_megabit()) else {
        return;
    };
    let file = trial.file("content", 64 << 20);
    let _receivers = trial.receivers(&[2, 3]);
    let way = ping(&trial, 1, 2, 20);
    let mut sender = trial.sender(1, &file, 2);
    // The rate is found by then.
    trial.wait_for_bytes(2, 12 << 20);
    let wait = ping(&trial, 1, 2, 40).saturating_sub(way);
    println!("others wait {wait:?} beside {way:?}");
    assert!(sender.is_running().unwrap(), "the copy ended too early");
    sender.finish(COPY_MAX).unwrap();
    trial.assert_whole(2, &file);
    trial.assert_whole(3, &file);
    let full = Duration::from_secs_f64(QUEUE_BYTES / LINK);
    assert!(
        wait < full / 8,
        "others wait {wait:?} where a full queue lasts {full:?}"
    );
}

#[test]
fn a_link_is_shared_with_tcp() {
    let Some(trial) = Trial::new(&hundred_megabit()) else {
        return;
    };
    let file = trial.file("content", 192 << 20);
    let _receivers = trial.receivers(&[2, 3]);
    let mut sender = trial.sender(1, &file, 2);
    trial.wait_for_bytes(2, 8 << 20);

    let start = |node: u8, label: &str, line: &str| {
        let mut words = line.split(' ');
        let program = words.next().unwrap();
        let mut command = trial.cluster.node(node).command(program);
        command.args(words);
        Process::start(command, trial.store.path(), label).unwrap()
    };
    // The one looks at losses only, the other at times; either is the default somewhere.
    for control in ["cubic", "bbr"] {
        let set = format!("sysctl -qw net.ipv4.tcp_congestion_control={control}");
        if start(1, "sysctl", &set).finish(COPY_MAX).is_err() {
            skip(&format!("this kernel has no {control}"));
            continue;
        }
        // Another transfer over the sender's own link, until it is killed.
        let mut sink = start(
            3,
            "sink",
            "socat -u TCP-LISTEN:9000,reuseaddr OPEN:/dev/null",
        );
        thread::sleep(Duration::from_millis(500));
        let mut flow = start(1, "flow", "socat -u OPEN:/dev/zero TCP:10.77.0.3:9000");
        thread::sleep(Duration::from_secs(2));
        // Node 3 receives both, node 2 the copy alone.
        let both = received(trial.cluster.node(3));
        let ours = received(trial.cluster.node(2));
        // BBR looks at the way without a queue every 10 s, and behaves otherwise after that.
        thread::sleep(Duration::from_secs(12));
        assert!(sender.is_running().unwrap(), "the copy ended too early");
        let both = received(trial.cluster.node(3)) - both;
        let ours = received(trial.cluster.node(2)) - ours;
        flow.kill();
        sink.kill();
        let share = ours as f64 / both as f64;
        println!("beside {control} the copy had {share:.2} of the link");
        let may = 0.334..0.666;
        assert!(may.contains(&share), "beside {control}: {share:.2}");
    }
    sender.finish(COPY_MAX).unwrap();
    trial.assert_whole(2, &file);
    trial.assert_whole(3, &file);
}

#[test]
fn nine_tenths_of_a_link_are_used_after_a_second() {
    // At a gigabit three processes that were built for tests take most of two processors.
    for (mbit, least) in [(10, 0.9), (200, 0.9), (1_000, 0.85)] {
        let plan = Plan {
            link_mbit: Some(mbit),
            ..Plan::of(3)
        };
        let Some(trial) = Trial::new(&plan) else {
            return;
        };
        let link = f64::from(mbit) * 125e3;
        let file = trial.file("content", (link * 2.5) as u64);
        let _receivers = trial.receivers(&[2, 3]);
        let mut sender = trial.sender(1, &file, 2);
        trial.wait_for_bytes(2, 20_000);
        thread::sleep(Duration::from_secs(1));
        let (start, before) = (Instant::now(), received(trial.cluster.node(2)));
        thread::sleep(Duration::from_millis(700));
        let bytes = received(trial.cluster.node(2)) - before;
        let share = bytes as f64 / start.elapsed().as_secs_f64() / link;
        assert!(sender.is_running().unwrap(), "the copy ended too early");
        println!("{mbit} Mbit/s: {share:.3} of the link");
        assert!(share >= least, "{mbit} Mbit/s: {share:.3} of the link");
        sender.finish(COPY_MAX).unwrap();
        trial.assert_whole(2, &file);
        trial.assert_whole(3, &file);
    }
}

fn received(node: &Node) -> u64 {
    node.received_bytes().unwrap()
}

#[test]
fn a_link_that_changes_is_followed() {
    let Some(trial) = Trial::new(&hundred_megabit()) else {
        return;
    };
    let file = trial.file("content", 96 << 20);
    let _receivers = trial.receivers(&[2, 3]);
    let mut sender = trial.sender(1, &file, 2);
    trial.wait_for_bytes(2, 12 << 20);
    let node = trial.cluster.node(1);
    for (mbit, kept) in [(50, 0.8), (100, 0.8)] {
        let mut command = node.command("tc");
        let shape = format!("rate {mbit}mbit burst 128k limit 16mb");
        command.args(["qdisc", "change", "dev", INTERFACE, "root", "tbf"]);
        command.args(shape.split(' '));
        let mut change = Process::start(command, trial.store.path(), "tc").unwrap();
        change.finish(COPY_MAX).unwrap();
        thread::sleep(Duration::from_secs(1));
        let (start, before) = (Instant::now(), received(trial.cluster.node(2)));
        thread::sleep(Duration::from_millis(1_500));
        assert!(sender.is_running().unwrap(), "the copy ended too early");
        let bytes = received(trial.cluster.node(2)) - before;
        let rate = bytes as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e6;
        println!("{rate:.1} of {mbit} Mbit/s");
        assert!(rate > f64::from(mbit) * kept, "{rate:.1} of {mbit} Mbit/s");
    }
    sender.finish(COPY_MAX).unwrap();
    trial.assert_whole(2, &file);
    trial.assert_whole(3, &file);
}
