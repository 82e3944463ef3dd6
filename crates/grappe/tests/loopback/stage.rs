//! Where a test plays: a folder, a key and a port of its own, and commands that use them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use crate::program::Running;

/// Ports are taken from here on, below those that the kernel hands out by itself.
const PORT_FIRST: u16 = 10_000;

/// Ports for one run of the tests, so that two runs at once seldom meet.
const PORTS: u16 = 64;

/// The folder of one test. It disappears with this value.
pub(crate) struct Stage {
    folder: TempDir,
    /// UDP port of announcements and data.
    pub(crate) port: u16,
}

impl Stage {
    /// A stage whose key is at `key`.
    pub(crate) fn new() -> Self {
        static TAKEN: AtomicU16 = AtomicU16::new(0);
        let run = (std::process::id() % 300) as u16;
        let port = PORT_FIRST + run * PORTS + TAKEN.fetch_add(1, Ordering::Relaxed) % PORTS;
        let stage = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            port,
        };
        stage.new_key("key");
        stage
    }

    /// The path `name` on this stage.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder `name`, made if need be.
    pub(crate) fn folder(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("a folder can be made");
        path
    }

    /// The file `name` with this content.
    pub(crate) fn file(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder"))
            .expect("a folder can be made");
        fs::write(&path, content).expect("a file can be written");
        path
    }

    /// A new key at `name`.
    pub(crate) fn new_key(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        Running::start(grappe().args(["key", "new"]).arg(&path))
            .end()
            .with_code(0);
        path
    }

    /// A trust file at `name`: each line an option and the key that it is for.
    pub(crate) fn trust(&self, name: &str, lines: &[(&str, &Path)]) -> PathBuf {
        let line = |(option, key): &(&str, &Path)| {
            let public =
                fs::read_to_string(key.with_extension("pub")).expect("a key has a public half");
            format!("{option} {public}")
        };
        self.file(name, lines.iter().map(line).collect::<String>())
    }

    /// `grappe receive` into the folder `name`, as the node `name`, with the key of the stage.
    pub(crate) fn receive(&self, name: &str) -> Command {
        self.receive_into(&self.folder(name), name, &self.path("key"))
    }

    /// `grappe receive` into `folder`, as the node `name`.
    pub(crate) fn receive_into(&self, folder: &Path, name: &str, key: &Path) -> Command {
        let mut command = grappe();
        command
            .arg("receive")
            .arg("--into")
            .arg(folder)
            .args(["--name", name]);
        command.args(self.network()).arg("--key").arg(key);
        command
    }

    /// A receiver that listens.
    #[track_caller]
    pub(crate) fn receiver(&self, name: &str) -> Running {
        listening(&mut self.receive(name))
    }

    /// `grappe send` of `paths` with the key of the stage.
    pub(crate) fn send(&self, paths: &[&Path]) -> Command {
        self.send_with(paths, &self.path("key"))
    }

    /// `grappe send` of `paths`.
    pub(crate) fn send_with(&self, paths: &[&Path], key: &Path) -> Command {
        let mut command = grappe();
        command
            .arg("send")
            .args(paths)
            .args(self.network())
            .arg("--key")
            .arg(key);
        command
    }

    /// `grappe send` of `paths` to so many receivers, with a report in JSON.
    pub(crate) fn send_to(&self, count: usize, paths: &[&Path]) -> Command {
        let mut command = self.send(paths);
        command.args(["--json", "--wait", "30s", "--expect", &count.to_string()]);
        command
    }

    /// The flags by which this stage is a network of its own.
    pub(crate) fn network(&self) -> [String; 6] {
        [
            "--interface",
            "lo",
            "--ttl",
            "0",
            "--port",
            &self.port.to_string(),
        ]
        .map(String::from)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        open_up(self.folder.path());
    }
}

/// The program without its arguments, and without what the tester's environment would tell it.
pub(crate) fn grappe() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grappe"));
    command.env_remove("GRAPPE_KEY").env_remove("NOTIFY_SOCKET");
    command
}

/// `command` as the last act of a line of the shell, which calls it `"$0" "$@"`.
pub(crate) fn by_shell(line: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", line])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// Starts a receiver and waits until it listens.
#[track_caller]
pub(crate) fn listening(command: &mut Command) -> Running {
    let receiver = Running::start(command);
    receiver.wait_for("receiving into");
    receiver
}

/// Makes folders writable, so that one who is not root can remove what was made read-only.
fn open_up(folder: &Path) {
    let _not_there = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}
