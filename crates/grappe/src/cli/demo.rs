//! `grappe demo`: the main job on this machine alone, with real processes on the loopback interface.
//!
//! It makes a key and a dataset, starts receivers as processes of this very program, sends, compares
//! every copy byte by byte, and removes everything.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use clap::Args;

use super::error::{CommandError, INCOMPLETE, say};
use super::size::{parse_size, show_bytes};

/// Small files in the dataset.
const SMALL_FILES: usize = 200;

/// Show a copy to several receivers on this machine; needs no root and no set-up
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Receivers to start
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    nodes: u16,
    /// Size of the dataset
    #[arg(long, default_value = "256MiB", value_parser = parse_size)]
    size: u64,
}

/// Runs `grappe demo`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let stage = Stage::new()?;
    say(format_args!(
        "dataset: {} in a big file, {SMALL_FILES} small ones and a tree",
        show_bytes(arguments.size)
    ));
    let data = stage.folder.join("dataset");
    make_dataset(&data, arguments.size).map_err(io_error("make the dataset"))?;
    let program = std::env::current_exe().map_err(io_error("find this program"))?;
    let key = stage.folder.join("key");
    let made = Command::new(&program)
        .args(["key", "new"])
        .arg(&key)
        .stderr(Stdio::null())
        .status();
    made.map_err(io_error("make a key"))?;
    // Not the usual port: a daemon on this machine is not part of the show.
    let port = (20_000 + std::process::id() % 20_000).to_string();
    let common = ["--interface", "lo", "--ttl", "0", "--port", &port];
    let mut receivers = Receivers(Vec::new());
    let mut copies = Vec::new();
    for number in 1..=arguments.nodes {
        let into = stage.folder.join(format!("node{number:02}"));
        fs::create_dir(&into).map_err(io_error("make a receiver's directory"))?;
        let mut command = Command::new(&program);
        command
            .arg("receive")
            .arg("--into")
            .arg(&into)
            .arg("--key")
            .arg(&key)
            .args(common);
        command
            .args(["--once", "--name", &format!("node{number:02}")])
            .stderr(Stdio::null());
        receivers
            .0
            .push(command.spawn().map_err(io_error("start a receiver"))?);
        copies.push(into.join("dataset"));
    }
    let mut command = Command::new(&program);
    command
        .arg("send")
        .arg(&data)
        .arg("--key")
        .arg(&key)
        .args(common);
    command.args(["--expect", &arguments.nodes.to_string(), "--wait", "20s"]);
    let sent = command.status().map_err(io_error("start the sender"))?;
    if !sent.success() {
        return Err(CommandError::failed("the copy did not succeed"));
    }
    for copy in &copies {
        compare(&data, copy).map_err(CommandError::failed)?;
    }
    say(format_args!(
        "compared: {} copies are identical to the dataset",
        copies.len()
    ));
    let ended = receivers
        .0
        .iter_mut()
        .all(|receiver| receiver.wait().is_ok_and(|status| status.success()));
    Ok(if ended {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INCOMPLETE)
    })
}

/// A private folder that is gone when the demo is over.
struct Stage {
    folder: PathBuf,
}

impl Stage {
    fn new() -> Result<Self, CommandError> {
        // Memory rather than a disk, where there is some: the demo is about the copy.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.to_path_buf()
        } else {
            std::env::temp_dir()
        };
        let folder = base.join(format!("grappe-demo-{}", std::process::id()));
        fs::create_dir(&folder).map_err(io_error("make the demo's folder"))?;
        Ok(Self { folder })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            say(format_args!(
                "note: {} is left over: {error}",
                self.folder.display()
            ));
        }
    }
}

/// Receivers that end with the demo, however it ends.
struct Receivers(Vec<Child>);

impl Drop for Receivers {
    fn drop(&mut self) {
        for receiver in &mut self.0 {
            // One that has ended already needs no end.
            let _ended = receiver.kill();
            let _reaped = receiver.wait();
        }
    }
}

/// A big file, many small ones and a tree, with `size` bytes in all but for the tree's.
fn make_dataset(folder: &Path, size: u64) -> std::io::Result<()> {
    fs::create_dir_all(folder.join("small"))?;
    fs::create_dir_all(folder.join("tree/of/folders/empty"))?;
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let small = (size / 10 / SMALL_FILES as u64).min(64 * 1024);
    let mut left = size;
    for number in 0..SMALL_FILES {
        let len = small * (number as u64 % 20) / 10;
        left -= len;
        noise.write(&folder.join(format!("small/{number:03}")), len)?;
    }
    noise.write(&folder.join("big"), left.saturating_sub(1))?;
    noise.write(&folder.join("tree/of/folders/leaf"), 1)?;
    std::os::unix::fs::symlink("of/folders/leaf", folder.join("tree/link"))
}

/// Bytes that do not compress, the same in every demo (xorshift64*, Vigna 2014).
struct Noise(u64);

impl Noise {
    fn write(&mut self, path: &Path, len: u64) -> std::io::Result<()> {
        let mut file = File::create_new(path)?;
        let mut chunk = vec![0; 1 << 20];
        let mut left = len;
        while left > 0 {
            for word in chunk.chunks_exact_mut(8) {
                self.0 ^= self.0 >> 12;
                self.0 ^= self.0 << 25;
                self.0 ^= self.0 >> 27;
                word.copy_from_slice(&self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
            }
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            file.write_all(&chunk[..part])?;
            left -= part as u64;
        }
        Ok(())
    }
}

/// Says how `copy` differs from `original`, if it does.
fn compare(original: &Path, copy: &Path) -> Result<(), String> {
    let text = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    let (left, right) = (
        fs::symlink_metadata(original).map_err(text(original))?,
        fs::symlink_metadata(copy).map_err(text(copy))?,
    );
    let differs = || format!("{} differs from {}", copy.display(), original.display());
    if left.file_type() != right.file_type() {
        return Err(differs());
    }
    if left.is_symlink() {
        let targets = (
            fs::read_link(original).map_err(text(original))?,
            fs::read_link(copy).map_err(text(copy))?,
        );
        return if targets.0 == targets.1 {
            Ok(())
        } else {
            Err(differs())
        };
    }
    if left.is_dir() {
        let names = |path: &Path| -> Result<Vec<_>, String> {
            let entries = fs::read_dir(path).map_err(text(path))?;
            let mut names = entries
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect::<Result<Vec<_>, _>>();
            if let Ok(names) = &mut names {
                names.sort();
            }
            names.map_err(text(path))
        };
        let (ours, theirs) = (names(original)?, names(copy)?);
        if ours != theirs {
            return Err(differs());
        }
        return ours
            .iter()
            .try_for_each(|name| compare(&original.join(name), &copy.join(name)));
    }
    let (mut ours, mut theirs) = (
        File::open(original).map_err(text(original))?,
        File::open(copy).map_err(text(copy))?,
    );
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = ours.read(&mut left).map_err(text(original))?;
        theirs
            .read_exact(&mut right[..read])
            .map_err(|_| differs())?;
        if left[..read] != right[..read] {
            return Err(differs());
        }
        if read == 0 {
            let more = theirs.read(&mut right[..1]).map_err(text(copy))?;
            return if more == 0 { Ok(()) } else { Err(differs()) };
        }
    }
}

fn io_error(action: &'static str) -> impl FnOnce(std::io::Error) -> CommandError {
    move |error| CommandError::failed(format_args!("cannot {action}: {error}"))
}
