//! How a copy behaves towards others on the same links: it keeps queues short, shares with TCP, and follows
//! a link that changes.
//!
//! Everything is judged by ratios within one run: how long packets wait against how long they could, and
//! who got how much of the link.

#![expect(
    clippy::unwrap_used,
    reason = "steps of tests: to panic is to fail the test"
)]

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use lab::grappe::Report;
use lab::net::{INTERFACE, Node, Plan};
use lab::process::Process;

use crate::trial::{COPY_MAX, Trial, skip};

/// What the queue of a switch port holds, see `lab::net::Plan`.
const QUEUE_BYTES: f64 = 512e3;

/// The part of a link that a copy may have beside a TCP.
const MAY_HAVE: std::ops::Range<f64> = 0.334..0.666;

fn hundred_megabit() -> Plan {
    Plan {
        link_mbit: Some(100),
        ..Plan::of(3)
    }
}

/// The median time of 40 pings, one every 20 ms.
fn ping(trial: &Trial, from: u8, to: u8) -> Duration {
    let mut command = trial.cluster.node(from).command("ping");
    let address = format!("10.77.0.{to}");
    command.args(["-n", "-i", "0.02", "-c", "40", &address]);
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
    // Seconds of the link until the rate is found, and of the whole copy; the share of a full queue that may stand: of
    // 410, 41 and 4 ms.
    for (mbit, found, whole, most) in [
        (10, 4.0, 7.0, 1.0 / 40.0),
        (100, 1.0, 4.0, 1.0 / 8.0),
        (1_000, 0.5, 2.4, 1.0 / 2.0),
    ] {
        let plan = Plan {
            link_mbit: Some(mbit),
            ..Plan::of(3)
        };
        let Some(trial) = Trial::new(&plan) else {
            return;
        };
        let link = f64::from(mbit) * 125e3;
        let file = trial.file("content", (link * whole) as u64);
        let _receivers = trial.receivers(&[2, 3]);
        let way = ping(&trial, 1, 2);
        let mut sender = trial.sender(1, &file, 2);
        trial.wait_for_bytes(2, (link * found) as u64);
        let wait = ping(&trial, 1, 2).saturating_sub(way);
        println!("{mbit} Mbit/s: others wait {wait:?} beside {way:?}");
        assert!(sender.is_running().unwrap(), "the copy ended too early");
        sender.finish(COPY_MAX).unwrap();
        trial.assert_whole(2, &file);
        trial.assert_whole(3, &file);
        let full = Duration::from_secs_f64(QUEUE_BYTES / link);
        assert!(
            wait < full.mul_f64(most),
            "{mbit} Mbit/s: others wait {wait:?} where a full queue lasts {full:?}"
        );
    }
}

#[test]
fn a_link_is_shared_with_tcp() {
    let Some(trial) = Trial::new(&hundred_megabit()) else {
        return;
    };
    let file = trial.file("content", 280 << 20);
    let _receivers = trial.receivers(&[2, 3]);
    let mut sender = trial.sender(1, &file, 2);
    trial.wait_for_bytes(2, 8 << 20);

    // Two look at losses only, the other at times.
    for control in ["reno", "cubic", "bbr"] {
        // Another transfer over the sender's own link, until it is killed.
        let [mut sink, mut flow] = tcp_to_node_3(&trial, 1, control);
        if !flow.is_running().unwrap() {
            assert_ne!(control, "reno", "every kernel has it: {}", flow.messages());
            skip(&format!("no TCP with {control}: {}", flow.messages()));
            sink.kill();
            continue;
        }
        // BBR looks at the way without a queue every 10 s, and behaves otherwise after that.
        let share = share_at_node_3(&trial, Duration::from_secs(12));
        assert!(sender.is_running().unwrap(), "the copy ended too early");
        flow.kill();
        sink.kill();
        println!("beside {control} the copy had {share:.2} of the link");
        assert!(MAY_HAVE.contains(&share), "beside {control}: {share:.2}");
    }
    sender.finish(COPY_MAX).unwrap();
    trial.assert_whole(2, &file);
    trial.assert_whole(3, &file);
}

/// A TCP from a node to node 3, with this congestion control (`TCP_CONGESTION` of tcp(7)), until it is killed: what takes
/// it there, and what sends. It has taken its part of the link by the time that this returns.
fn tcp_to_node_3(trial: &Trial, from: u8, control: &str) -> [Process; 2] {
    let start = |node: u8, label: &str, line: &str| {
        let mut words = line.split(' ');
        let mut command = trial.cluster.node(node).command(words.next().unwrap());
        command.args(words);
        Process::start(command, trial.store.path(), label).unwrap()
    };
    let listen = "socat -u TCP-LISTEN:9000,reuseaddr OPEN:/dev/null";
    let sink = start(3, "sink", listen);
    thread::sleep(Duration::from_millis(500));
    let to = format!("TCP:10.77.0.3:9000,retry=20,interval=0.1,setsockopt-string=6:13:{control}");
    let flow = start(from, "flow", &format!("socat -u OPEN:/dev/zero {to}"));
    thread::sleep(Duration::from_secs(2));
    [sink, flow]
}

/// The copy's part of what comes to node 3 for so long: node 2 receives the copy alone.
fn share_at_node_3(trial: &Trial, lasting: Duration) -> f64 {
    let count = || [2, 3].map(|node| received(trial.cluster.node(node)));
    let before = count();
    thread::sleep(lasting);
    let after = count();
    (after[0] - before[0]) as f64 / (after[1] - before[1]) as f64
}

/// Who comes second never saw the link without the other.
#[test]
fn a_link_that_tcp_fills_already_is_shared() {
    let plan = Plan {
        link_mbit: Some(400),
        ..Plan::of(4)
    };
    let Some(trial) = Trial::new(&plan) else {
        return;
    };
    let _receivers = trial.receivers(&[2, 3]);
    // At a receiver's port, and at the sender's own interface.
    for from in [4, 1] {
        let mut shares: Vec<f64> = (0..3).map(|_| share_of_the_second(&trial, from)).collect();
        println!("beside a TCP from node {from} copies had {shares:.2?} of the link");
        // Where processors are late, single copies get less, or see node 3 as a slow one and send it apart.
        shares.sort_by(f64::total_cmp);
        assert!(
            MAY_HAVE.contains(&shares[1]),
            "beside one from {from}: {shares:.2?}"
        );
    }
}

/// What a copy from node 1 has of a link to node 3 that a TCP fills, from a second after its beginning on.
fn share_of_the_second(trial: &Trial, from: u8) -> f64 {
    let [mut sink, mut flow] = tcp_to_node_3(trial, from, "reno");
    let file = trial.file("beside", 240 << 20);
    let mut sender = trial.sender(1, &file, 2);
    trial.wait_for_bytes(2, 4 << 20);
    thread::sleep(Duration::from_secs(1));
    let share = share_at_node_3(trial, Duration::from_secs(3));
    assert!(sender.is_running().unwrap(), "the copy ended too early");
    assert!(flow.is_running().unwrap(), "no TCP: {}", flow.messages());
    flow.kill();
    sink.kill();
    sender.finish(COPY_MAX).unwrap();
    for node in [2, 3] {
        trial.assert_whole(node, &file);
        fs::remove_file(trial.copy_of(node, &file)).unwrap();
    }
    share
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

/// What two processors can do is found as fast as what a link can.
#[test]
fn what_no_link_limits_is_as_fast_after_a_second_as_later() {
    let Some(trial) = Trial::new(&Plan::of(3)) else {
        return;
    };
    let file = trial.file("content", 480 << 20);
    let _receivers = trial.receivers(&[2, 3]);
    let mut sender = trial.sender(1, &file, 2);
    trial.wait_for_bytes(2, 20_000);
    let (start, before) = (Instant::now(), received(trial.cluster.node(2)));
    thread::sleep(Duration::from_secs(1));
    let took = start.elapsed().as_secs_f64();
    let early = (received(trial.cluster.node(2)) - before) as f64;
    assert!(sender.is_running().unwrap(), "the copy ended too early");
    sender.finish(COPY_MAX).unwrap();
    trial.assert_whole(2, &file);
    trial.assert_whole(3, &file);
    let whole = Report::parse(&sender.output()).unwrap();
    let later = (whole.bytes as f64 - early) / (whole.seconds - took);
    let early = early / took;
    println!(
        "{:.0} MB/s in the first second, {:.0} later, {:.2} s",
        early / 1e6,
        later / 1e6,
        whole.seconds
    );
    // Beginning and end are no copying.
    assert!(early >= 0.7 * later, "{early} and {later} bytes a second");
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
    for mbit in [50, 100] {
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
        assert!(rate >= f64::from(mbit) * 0.9, "{rate:.1} of {mbit} Mbit/s");
    }
    sender.finish(COPY_MAX).unwrap();
    trial.assert_whole(2, &file);
    trial.assert_whole(3, &file);
}
