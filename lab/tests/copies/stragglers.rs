//! Nodes that cannot keep up: a link at a tenth of the others' rate under each policy, a disk that stands still, and a
//! process that gets little of its processor.
//!
//! What the others lose is held against a copy to them alone in the same cluster.

#![expect(
    clippy::unwrap_used,
    reason = "steps of tests: to panic is to fail the test"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use lab::grappe::Report;
use lab::net::Plan;
use lab::process::Process;
use lab::watchdog::Watchdog;

use crate::trial::{COPY_MAX, Trial, finish_with_losses, skip};

/// Bytes per second of a slow link, less what headers take.
const SLOW_LINK: f64 = 20e6 / 8.0 * 0.94;

const FILE_BYTES: u64 = 16 << 20;

/// Of this at the others' rate a tenth takes 2 s; to find out took 0.6 to 1.3.
const LONG_BYTES: u64 = 448 << 20;

/// Resident memory of a receiver, in bytes, whatever it received.
const RECEIVER_MEMORY_MAX: u64 = 300_000_000;

/// How long it takes to find out that somebody is far slower: less than a second where nothing disturbs.
const FOUND_OUT: f64 = 2.0;

/// What stands still is let go first: nobody could any more, once it is nowhere.
const REMOVAL: &str = r#"fsfreeze -u "$1" 2>/dev/null; umount -l "$1""#;

/// What a node that is far too busy gives to a process is given once in so many microseconds.
const PERIOD_MICROS: u32 = 50_000;

/// At a gigabit these take as long as the disk stands still; they are nearly twice the window.
const LARGE_BYTES: u64 = 240 << 20;

/// How long the disk stands still, in seconds.
const STILL: u32 = 2;

fn sender(trial: &Trial, file: &Path, expect: u8, policy: &str) -> Process {
    let mut command = trial.grappe.send(trial.cluster.node(1), file, expect);
    command.args(["--straggler", policy]);
    Process::start(command, trial.store.path(), policy).unwrap()
}

fn seconds(report: &Report, node: &str) -> f64 {
    let found = report.nodes.iter().find(|it| it.name == node);
    found.unwrap().seconds
}

#[test]
fn a_slow_link_costs_the_others_little_and_ends_as_its_user_says() {
    let plan = Plan {
        link_mbit: Some(200),
        slow_mbit: Some(20),
        ..Plan::of(5)
    };
    let Some(trial) = Trial::new(&plan) else {
        return;
    };
    let others = ["n2", "n3", "n4"];
    let mut receivers = trial.receivers(&[2, 3, 4]);
    let alone = trial.copy(1, &trial.file("alone", FILE_BYTES), &[2, 3, 4]);
    let alone = seconds(&alone, "n4");
    receivers.extend(trial.receivers(&[5]));

    let file = trial.file("demote", FILE_BYTES);
    let mut demoting = sender(&trial, &file, 4, "demote");
    demoting.finish(COPY_MAX).unwrap();
    let report = Report::parse(&demoting.output()).unwrap();
    for node in 2..=5 {
        trial.assert_whole(node, &file);
    }
    let slowest = others.map(|node| seconds(&report, node));
    let slowest = slowest.into_iter().fold(0.0, f64::max);
    let (last, own) = (seconds(&report, "n5"), FILE_BYTES as f64 / SLOW_LINK);
    println!("demote: {slowest:.2} s beside {alone:.2} s, then {last:.2} s, its link {own:.2} s");
    let slow = report.nodes.iter().find(|it| it.name == "n5").unwrap();
    assert!(slow.apart, "not sent apart: {}", demoting.messages());
    assert_eq!(slow.limited_by.as_deref(), Some("network"));
    let parted = report.nodes.iter().filter(|it| it.apart).count();
    assert_eq!(parted, 1, "the others stay together");
    let most = alone * 1.1 + FOUND_OUT;
    assert!(slowest < most, "{slowest} s beside {alone} s alone");
    let apart = last - slowest;
    assert!(apart < own * 1.2, "{apart} s where its link takes {own} s");

    let waits = 12 << 20;
    let file = trial.file("wait", waits);
    let mut waiting = sender(&trial, &file, 4, "wait");
    waiting.finish(COPY_MAX).unwrap();
    let report = Report::parse(&waiting.output()).unwrap();
    let own = waits as f64 / SLOW_LINK;
    for node in &report.nodes {
        println!("wait: {} {:.2} s of {own:.2}", node.name, node.seconds);
        assert!(!node.apart, "{} goes along", node.name);
        // A tenth of that by itself.
        assert!(node.seconds > own * 0.5, "{} waits", node.name);
        let is_slow = node.name == "n5";
        assert_eq!(node.holds_all, is_slow, "{}", waiting.messages());
    }
    for node in 2..=5 {
        trial.assert_whole(node, &file);
    }
}

#[test]
fn a_slow_link_costs_the_others_a_tenth_and_nobody_more_memory() {
    let plan = Plan {
        link_mbit: Some(200),
        slow_mbit: Some(20),
        ..Plan::of(5)
    };
    let Some(trial) = Trial::new(&plan) else {
        return;
    };
    let mut receivers = trial.receivers(&[2, 3, 4]);
    let file = trial.file("content", LONG_BYTES);
    let alone = seconds(&trial.copy(1, &file, &[2, 3, 4]), "n4");
    for node in 2..=4 {
        fs::remove_file(trial.copy_of(node, &file)).unwrap();
    }
    receivers.extend(trial.receivers(&[5]));

    let mut dropping = sender(&trial, &file, 4, "drop");
    let report = finish_with_losses(&mut dropping);
    let dropped = report.nodes.iter().find(|it| it.name == "n5").unwrap();
    let reason = dropped.reason.as_deref().unwrap_or_default();
    assert_eq!(dropped.state, "failed");
    assert!(reason.contains("far slower than the others"), "{reason}");
    for (node, number) in ["n2", "n3", "n4"].into_iter().zip(2..) {
        let with = seconds(&report, node);
        println!("drop: {node} {with:.2} s beside {alone:.2} s");
        assert!(with <= alone * 1.1, "{with} s beside {alone} s alone");
        assert_eq!(report.state_of(node), "complete");
        trial.assert_whole(number, &file);
    }
    assert!(!trial.copy_of(5, &file).exists(), "half a file has no name");
    for receiver in &receivers {
        let peak = receiver.peak_bytes().unwrap();
        println!("{} MB at most", peak / 1_000_000);
        assert!(peak <= RECEIVER_MEMORY_MAX, "{peak} bytes of memory");
    }
}

/// A file system on a loop device, that can stand still. Goes with this value, or with this process.
struct Disk {
    _watchdog: Watchdog,
}

impl Disk {
    /// Makes one at `folder`; none, with the reason, where this machine cannot.
    fn mount(image: &Path, folder: &Path) -> Result<Self, String> {
        fs::create_dir_all(folder).unwrap();
        let [image_text, folder_text] = [image, folder].map(|path| path.display().to_string());
        fs::File::create(image).unwrap().set_len(320 << 20).unwrap();
        run(&["mkfs.ext4", "-q", &image_text])?;
        let _watchdog = Watchdog::new(REMOVAL, &[&folder_text]).unwrap();
        run(&["mount", "-o", "loop", &image_text, &folder_text])?;
        Ok(Self { _watchdog })
    }
}

/// A control group whose processes get so little of a processor as a node that is far too busy. Goes with this value, or
/// with this process, after those in it.
struct Starved {
    folder: PathBuf,
    _watchdog: Watchdog,
}

impl Starved {
    /// Makes one that gets `micros` of each [`PERIOD_MICROS`]; none, with the reason, where this machine cannot.
    fn new(micros: u32) -> Result<Self, String> {
        let name = format!("grappe-lab-{}", std::process::id());
        // Versions 1 and 2, see cgroups(7).
        let first = Path::new("/sys/fs/cgroup/cpu").join(&name);
        let second = Path::new("/sys/fs/cgroup").join(&name);
        let is_first = first.parent().is_some_and(Path::exists);
        let folder = if is_first { first } else { second };
        let script = r#"for wait in $(seq 50); do rmdir "$1" && break; sleep 0.2; done"#;
        let _watchdog = Watchdog::new(script, &[&folder.display().to_string()]).unwrap();
        let write = |file: &str, text: String| {
            let path = folder.join(file);
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
        };
        // What is left of one with the same number does as well.
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        if is_first {
            write("cpu.cfs_period_us", PERIOD_MICROS.to_string())?;
            write("cpu.cfs_quota_us", micros.to_string())?;
        } else {
            write("cpu.max", format!("{micros} {PERIOD_MICROS}"))?;
        }
        Ok(Self { folder, _watchdog })
    }

    /// From now on this process gets no more, nor what it starts.
    fn take(&self, process: &Process) {
        fs::write(self.folder.join("cgroup.procs"), process.id().to_string()).unwrap();
    }
}

fn run(words: &[&str]) -> Result<(), String> {
    let said = Command::new(words[0]).args(&words[1..]).output();
    let said = said.map_err(|error| format!("{}: {error}", words[0]))?;
    let text = String::from_utf8_lossy(&said.stderr);
    match said.status.success() {
        true => Ok(()),
        false => Err(format!("{}: {}", words[0], text.trim())),
    }
}

#[test]
fn a_disk_that_stands_still_for_two_seconds_costs_only_its_node() {
    // More than a window of blocks passes while it stands still, and it alone is one of two.
    let plan = Plan {
        link_mbit: Some(1_000),
        ..Plan::of(3)
    };
    let Some(trial) = Trial::new(&plan) else {
        return;
    };
    let folder = trial.disk_of(3);
    let disk = match Disk::mount(&trial.store.path().join("image"), &folder) {
        Ok(disk) => disk,
        Err(reason) => return skip(&reason),
    };
    let receivers = trial.receivers(&[2, 3]);
    let file = trial.file("alone", LARGE_BYTES);
    let alone = seconds(&trial.copy(1, &file, &[2, 3]), "n2");
    for path in [trial.copy_of(2, &file), trial.copy_of(3, &file), file] {
        fs::remove_file(path).unwrap();
    }

    let file = trial.file("still", LARGE_BYTES);
    let mut sender = trial.sender(1, &file, 2);
    trial.wait_for_bytes(2, 8 << 20);
    // A process of its own: it lets go whatever becomes of this one.
    let still = format!(
        "fsfreeze -f {0} && sleep {STILL}; fsfreeze -u {0}",
        folder.display()
    );
    let mut freezing = Command::new("sh").args(["-c", &still]).spawn().unwrap();
    sender.finish(COPY_MAX).unwrap();
    assert!(freezing.wait().unwrap().success(), "{still}");
    let report = Report::parse(&sender.output()).unwrap();
    for node in [2, 3] {
        trial.assert_whole(node, &file);
    }
    let [other, stalled] = ["n2", "n3"].map(|node| seconds(&report, node));
    println!("still: {other:.2} s beside {alone:.2} s, {stalled:.2} s there");
    assert!(stalled > f64::from(STILL), "it stood still during the copy");
    let node = report.nodes.iter().find(|it| it.name == "n3").unwrap();
    assert_eq!(node.limited_by.as_deref(), Some("disk"));
    assert!(other < alone * 1.15, "{other} s beside {alone} s");
    drop(receivers);
    // Nothing holds it any more.
    thread::sleep(Duration::from_millis(100));
    drop(disk);
}

#[test]
fn a_process_that_gets_little_of_its_processor_is_named_for_that_and_costs_the_others_little() {
    let plan = Plan {
        link_mbit: Some(200),
        ..Plan::of(5)
    };
    let Some(trial) = Trial::new(&plan) else {
        return;
    };
    let starved = match Starved::new(PERIOD_MICROS / 50) {
        Ok(starved) => starved,
        Err(reason) => return skip(&reason),
    };
    let mut receivers = trial.receivers(&[2, 3, 4]);
    let alone = trial.copy(1, &trial.file("alone", 40 << 20), &[2, 3, 4]);
    let alone = seconds(&alone, "n2");
    receivers.extend(trial.receivers(&[5]));
    starved.take(&receivers[3]);

    let file = trial.file("starved", 40 << 20);
    let report = trial.copy(1, &file, &[2, 3, 4, 5]);
    let slowest = ["n2", "n3", "n4"].map(|node| seconds(&report, node));
    let slowest = slowest.into_iter().fold(0.0, f64::max);
    let last = seconds(&report, "n5");
    println!("starved: {slowest:.2} s beside {alone:.2} s, {last:.2} s there");
    let node = report.nodes.iter().find(|it| it.name == "n5").unwrap();
    assert!(last > alone * 1.3, "it was slow: {last} s");
    assert_eq!(node.limited_by.as_deref(), Some("host"));
    for other in report.nodes.iter().filter(|it| it.name != "n5") {
        assert_ne!(other.limited_by.as_deref(), Some("host"), "{}", other.name);
    }
    let most = alone * 1.1 + FOUND_OUT;
    assert!(slowest < most, "{slowest} s beside {alone} s alone");
    drop(receivers);
    drop(starved);
}
