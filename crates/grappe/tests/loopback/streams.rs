//! Standard input as the source, and a device or standard output as the place: what comes out is what went
//! in, and nothing beyond.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::program::{Running, node};
use crate::stage::{Stage, grappe};
use crate::tree::noise;

const BLOCK: usize = 256 * 1024;

/// `command` with `input` as its standard input.
fn fed(input: &Path, command: &Command) -> Command {
    let mut fed = Command::new("sh");
    fed.args(["-c", "f=$1; shift; exec \"$@\" < \"$f\"", "sh"])
        .arg(input)
        .arg(command.get_program())
        .args(command.get_args())
        .env_remove("GRAPPE_KEY");
    fed
}

/// `grappe receive` of one stream.
fn receive_one(stage: &Stage, name: &str, flags: &[&str]) -> Command {
    let mut command = grappe();
    command.arg("receive").args(flags).args(["--name", name]);
    command.args([
        "--interface",
        "lo",
        "--ttl",
        "0",
        "--port",
        &stage.port.to_string(),
    ]);
    command.arg("--key").arg(stage.path("key"));
    command
}

#[test]
fn a_stream_of_any_length_arrives_everywhere() {
    for len in [0, 1, BLOCK, 5 * BLOCK, 7 * BLOCK + 12_345] {
        let stage = Stage::new();
        let input = stage.file("input", noise(len as u64 + 3, len));
        // Longer than what comes: a file ends with it, while nothing is written beyond the end of a device.
        let device = stage.file("device", vec![b'x'; len + 1000]);
        let output = stage.path("output");
        let to_device = ["--to-device", device.to_str().unwrap()];
        let device_receiver = Running::start(&mut receive_one(&stage, "disk", &to_device));
        let mut to_stdout = Command::new("sh");
        let receive = receive_one(&stage, "pipe", &["--to-stdout"]);
        to_stdout
            .args(["-c", "f=$1; shift; exec \"$@\" > \"$f\"", "sh"])
            .arg(&output)
            .arg(receive.get_program())
            .args(receive.get_args());
        let pipe_receiver = Running::start(&mut to_stdout);
        let folder_receiver = stage.receiver("n0");
        for receiver in [&device_receiver, &pipe_receiver] {
            receiver.wait_for("receiving into");
        }
        let mut send = stage.send_to(3, &[Path::new("-")]);
        send.args(["--stream-name", "image"]);
        let report = Running::start(&mut fed(&input, &send))
            .end()
            .with_code(0)
            .report();
        let wanted = fs::read(&input).unwrap();
        assert_eq!(report["bytes"], len, "{report}");
        assert_eq!(node(&report, "disk")["bytes"], len);
        assert_eq!(report["blake3"], blake3::hash(&wanted).to_hex().to_string());
        device_receiver.end().with_code(0);
        pipe_receiver.end().with_code(0);
        assert_eq!(fs::read(&output).unwrap(), wanted);
        assert_eq!(fs::read(stage.path("n0/image")).unwrap(), wanted);
        assert_eq!(fs::read(&device).unwrap(), wanted);
        drop(folder_receiver);
    }
}

#[test]
fn what_cannot_be_a_stream_is_refused_in_words() {
    let stage = Stage::new();
    let file = stage.file("file", "x");
    Running::start(stage.send(&[Path::new("-"), &file]).args(["--wait", "1s"]))
        .end()
        .with_code(2)
        .saying("is sent alone");
    Running::start(stage.send(&[Path::new("-")]).arg("--sync"))
        .end()
        .with_code(2)
        .saying("cannot be compared");
    let missing = stage.path("no-device");
    let flags = ["--to-device", missing.to_str().unwrap()];
    Running::start(&mut receive_one(&stage, "disk", &flags))
        .end()
        .with_code(2)
        .saying("no-device");
    // A receiver of streams declines a tree, and is not harmed by it.
    let device = stage.file("device", vec![b'x'; 1000]);
    let flags = ["--to-device", device.to_str().unwrap()];
    let receiver = Running::start(&mut receive_one(&stage, "disk", &flags));
    receiver.wait_for("receiving into");
    let refused = Running::start(&mut stage.send_to(1, &[&file]))
        .end()
        .with_code(1);
    let reason = node(&refused.report(), "disk")["reason"].to_string();
    assert!(reason.contains("takes a stream alone"), "{reason}");
    assert_eq!(fs::read(&device).unwrap(), vec![b'x'; 1000]);
}
