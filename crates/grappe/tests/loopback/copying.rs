//! The main job: what is sent stands at every receiver afterwards, and the report says so.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::program::{Running, node};
use crate::skip::skip;
use crate::stage::{Stage, listening};
use crate::tree::{assert_same, items, names, noise, plant};

#[test]
fn a_tree_with_everything_in_it_arrives_as_it_is() {
    let stage = Stage::new();
    let tree = stage.folder("tree");
    plant(&tree);
    let before = items(&tree);
    let _receiver = stage.receiver("node");
    Running::start(&mut stage.send_to(1, &[&tree]))
        .end()
        .with_code(0);
    assert_same(&tree, &stage.path("node/tree"));
    assert_eq!(items(&tree), before, "the original is as it was");
    assert_eq!(names(&stage.path("node")), ["tree"], "nothing else is left");
}

#[test]
fn three_receivers_get_it_with_one_command() {
    let stage = Stage::new();
    let tree = stage.folder("tree");
    plant(&tree);
    let nodes = ["node1", "node2", "node3"];
    let _receivers = nodes.map(|name| stage.receiver(name));
    let report = Running::start(&mut stage.send_to(3, &[&tree]))
        .end()
        .with_code(0)
        .report();
    for name in nodes {
        assert_same(&tree, &stage.path(name).join("tree"));
        assert_eq!(node(&report, name)["state"], "complete");
    }
}

#[test]
fn either_cipher_suite_seals_packets_and_the_records_of_the_pipeline() {
    for suite in ["aes-128-gcm", "aegis-128l"] {
        for transport in ["multicast", "pipeline"] {
            let stage = Stage::new();
            let content = noise(5, 900_001);
            let file = stage.file("data", &content);
            let nodes = ["node1", "node2"];
            let _receivers = nodes.map(|name| stage.receiver(name));
            let mut command = stage.send_to(2, &[&file]);
            command.args(["--cipher", suite, "--transport", transport]);
            let report = Running::start(&mut command).end().with_code(0).report();
            assert_eq!(report["cipher"], suite);
            for name in nodes {
                assert_eq!(node(&report, name)["transport"], transport);
                let arrived = fs::read(stage.path(name).join("data")).unwrap();
                assert!(arrived == content, "{suite} by {transport} at {name}");
            }
        }
    }
}

#[test]
fn work_that_is_shared_out_among_processors_comes_to_the_same() {
    // More threads than any machine of the tests has processors: what waits is opened ahead, and sent apart.
    let stage = Stage::new();
    let content = noise(7, 60_000_001);
    let file = stage.file("data", &content);
    let nodes = ["node1", "node2"];
    let _receivers = nodes.map(|name| listening(stage.receive(name).args(["--processors", "16"])));
    let mut command = stage.send_to(2, &[&file]);
    command.args(["--processors", "16"]);
    Running::start(&mut command).end().with_code(0);
    for name in nodes {
        let arrived = fs::read(stage.path(name).join("data")).unwrap();
        assert!(arrived == content, "at {name}");
    }
}

#[test]
fn the_report_is_one_object_with_the_promised_fields() {
    let stage = Stage::new();
    let content = noise(3, 700_001);
    let file = stage.file("data", &content);
    let _receiver = stage.receiver("node");
    let ended = Running::start(&mut stage.send_to(1, &[&file]))
        .end()
        .with_code(0);
    let report = ended.report();
    assert_eq!(report["bytes"], 700_001);
    assert_eq!(report["files"], 1);
    assert!(
        report["seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds > 0.0),
        "{report}"
    );
    assert_eq!(
        report["session"].as_str().map(str::len),
        Some(32),
        "{report}"
    );
    assert_eq!(
        report["blake3"],
        blake3::hash(&content).to_hex().as_str(),
        "as b3sum says"
    );
    let node = node(&report, "node");
    assert_eq!(node["state"], "complete");
    assert_eq!(node["bytes"], 700_001);
    assert!(
        node["seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds > 0.0),
        "{node}"
    );
    assert!(
        node["rate"].as_f64().is_some_and(|rate| rate > 0.0),
        "{node}"
    );
    assert!(node["repaired"].is_u64(), "{node}");
    let limits = ["network", "host", "disk", "sender", "rate-cap"];
    assert!(
        node["limited_by"]
            .as_str()
            .is_some_and(|limit| limits.contains(&limit)),
        "{node}"
    );
    assert!(
        ended.errors.contains("blake3"),
        "the summary is for people, on standard error: {}",
        ended.errors
    );
}

#[test]
fn a_timeline_has_a_line_for_every_node() {
    let stage = Stage::new();
    let file = stage.file("data", noise(3, 3_000_000));
    let drawing = stage.path("rates.svg");
    let _receivers = [stage.receiver("n0"), stage.receiver("n1")];
    let mut send = stage.send_to(2, &[&file]);
    send.args(["--rate", "4MB/s", "--timeline"]).arg(&drawing);
    Running::start(&mut send).end().with_code(0);
    let drawn = fs::read_to_string(drawing).expect("the timeline is there");
    assert!(
        drawn.starts_with("<svg") && drawn.ends_with("</svg>\n"),
        "{drawn}"
    );
    let lines = drawn.lines().filter(|line| line.starts_with("<polyline"));
    let points = |line: &str| {
        let points = line.split_once("points=\"")?.1.split_once('"')?.0;
        Some(points.split(' ').count())
    };
    // Three quarters of a second, a point for each tenth.
    let points: Vec<Option<usize>> = lines.map(points).collect();
    assert!(
        points.iter().all(|it| it.is_some_and(|it| it >= 5)),
        "{points:?}"
    );
    for name in ["n0", "n1"] {
        let mean = drawn
            .split_once(&format!(">{name} "))
            .expect("the node is named")
            .1;
        let mean = mean.split_once(" MB/s").expect("with its mean rate").0;
        // With headers; a busy machine is slower.
        assert!(
            (1.0..5.0).contains(&mean.parse::<f64>().unwrap()),
            "{name}: {mean}"
        );
    }
    assert_eq!(points.len(), 2, "{drawn}");
}

#[test]
fn the_hash_of_many_files_is_that_of_the_lines_of_b3sum() {
    let stage = Stage::new();
    let mut lines = String::new();
    for (name, content) in [
        ("tree/1", &b"one"[..]),
        ("tree/2", b""),
        ("tree/two\nlines", b"three"),
        ("tree/a/4", b"4"),
    ] {
        stage.file(name, content);
        let hash = blake3::hash(content).to_hex();
        let escaped = name.replace('\n', "\\n");
        let mark = if escaped == name { "" } else { "\\" };
        lines += &format!("{mark}{hash}  {escaped}\n");
    }
    let _receiver = stage.receiver("node");
    let report = Running::start(&mut stage.send_to(1, &[&stage.path("tree")]))
        .end()
        .with_code(0)
        .report();
    assert_eq!(
        report["blake3"],
        blake3::hash(lines.as_bytes()).to_hex().as_str()
    );
    assert_eq!(report["files"], 4);
}

#[test]
fn nothing_but_an_empty_file_or_folder_is_a_copy_too() {
    let stage = Stage::new();
    let (file, folder) = (stage.file("file", b""), stage.folder("folder"));
    let _receiver = stage.receiver("node");
    let report = Running::start(&mut stage.send_to(1, &[&file]))
        .end()
        .with_code(0)
        .report();
    assert_eq!(report["blake3"], blake3::hash(b"").to_hex().as_str());
    Running::start(&mut stage.send_to(1, &[&folder]))
        .end()
        .with_code(0);
    assert_same(&file, &stage.path("node/file"));
    assert_same(&folder, &stage.path("node/folder"));
}

#[test]
fn without_json_a_table_names_each_node() {
    let stage = Stage::new();
    let file = stage.file("data", noise(1, 10_000));
    let _receiver = stage.receiver("node07");
    let ended = Running::start(
        stage
            .send(&[&file])
            .args(["--expect", "1", "--wait", "30s"]),
    )
    .end()
    .with_code(0);
    let mut lines = ended.output.lines();
    let words = |line: Option<&str>| {
        line.unwrap_or_default()
            .split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words(lines.next()).first().map(String::as_str),
        Some("node")
    );
    assert_eq!(words(lines.next())[..2], ["node07", "complete"]);
}

#[test]
fn a_rate_is_kept_to() {
    let stage = Stage::new();
    let file = stage.file("data", noise(2, 2_000_000));
    let _receiver = stage.receiver("node");
    let report = Running::start(stage.send_to(1, &[&file]).args(["--rate", "1MB/s"]))
        .end()
        .with_code(0)
        .report();
    let seconds = report["seconds"].as_f64().expect("seconds are a number");
    assert!(
        seconds > 1.8,
        "2 MB at 1 MB/s take two seconds, not {seconds}"
    );
    assert_eq!(node(&report, "node")["limited_by"], "rate-cap");
    assert_eq!(
        fs::read(stage.path("node/data")).unwrap(),
        fs::read(Path::new(&file)).unwrap()
    );
}

/// `whole` with no other capabilities than `kept`, as in a service whose unit takes the others from it.
fn bounded(whole: &Command, kept: &str) -> Command {
    let mut bound = Command::new("setpriv");
    bound.args(["--inh-caps=-all", &format!("--bounding-set=-all{kept}")]);
    bound.arg(whole.get_program()).args(whole.get_args());
    for (name, value) in whole.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    bound
}

#[test]
fn root_that_may_not_give_files_away_says_what_that_takes() {
    let stage = Stage::new();
    let file = stage.file("tree/file", "content");
    if std::os::unix::fs::chown(&file, Some(1234), Some(1234)).is_err() {
        return skip("no file can be given away here; run as root for this test");
    }
    let _receiver = listening(&mut bounded(&stage.receive("node"), ""));
    let sent = Running::start(&mut stage.send_to(1, &[&stage.path("tree")])).end();
    sent.with_code(1)
        .saying("cannot be given to user 1234 and group 1234, which takes CAP_CHOWN");
    assert_eq!(names(&stage.path("node")), [""; 0]);
}

/// The kernel leaves the bit out without a word.
#[test]
fn a_setgid_bit_that_the_kernel_leaves_out_is_missed() {
    const UNIT: &str = ",+chown,+fowner,+dac_override";

    let stage = Stage::new();
    let tree = stage.path("tree");
    fs::create_dir(&tree).expect("the stage is writable");
    if std::os::unix::fs::chown(&tree, Some(0), Some(1234)).is_err() {
        return skip("no file can be given away here; run as root for this test");
    }
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o2775)).expect("it is ours");
    for (name, kept, code) in [
        ("without", UNIT.to_owned(), 1),
        ("with", format!("{UNIT},+fsetid"), 0),
    ] {
        let mut whole = stage.receive(name);
        whole.args(["--once", "--allow-setuid"]);
        let _receiver = listening(&mut bounded(&whole, &kept));
        let sent = Running::start(stage.send_to(1, &[&tree]).arg("--setuid"))
            .end()
            .with_code(code);
        if code != 0 {
            sent.saying("its setgid bit cannot be set, which takes CAP_FSETID");
            continue;
        }
        let arrived = fs::metadata(stage.path(name).join("tree")).expect("it was placed");
        assert_eq!((arrived.mode() & 0o7777, arrived.gid()), (0o2775, 1234));
    }
}
