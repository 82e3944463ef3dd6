//! What a copy of a tree costs when most of it is there, has holes, or is very many files: each case once,
//! with the real program and, beside it, rsync. Prints a table in Markdown.
//!
//! Bytes that travel are counted by the receivers' network interfaces, so everything is in them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::content;
use crate::grappe::{Grappe, Report};
use crate::net::{Cluster, Plan};
use crate::process;
use crate::shell;

/// Receivers in every case.
const RECEIVERS: u8 = 7;

/// Any single program here ends sooner, on a busy machine too.
const TIME_MAX: Duration = Duration::from_secs(280);

const RSYNC_PORT: &str = "8731";

const MIB: u64 = 1 << 20;

/// The cases, by name.
pub const CASES: [&str; 7] = [
    "unchanged",
    "changed",
    "union",
    "sparse",
    "everything",
    "stream",
    "million",
];

/// How large the cases are.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which cases.
    pub cases: Vec<String>,
    /// A folder on a disk with room for them; gone afterwards what was made in it.
    pub folder: PathBuf,
    /// Files of `unchanged` and, ten times as many, of `million`.
    pub files: u64,
    /// Bytes of the large file of `changed`.
    pub large: u64,
}

/// Runs the cases; each line of the table is told as soon as it is there.
///
/// # Errors
///
/// When a cluster cannot be built here, or a copy fails.
pub fn measure(settings: &Settings, line: &mut dyn FnMut(&str)) -> Result<()> {
    line("| case | measured | goal | |\n|---|---|---|---|");
    for case in &settings.cases {
        let stage = Stage::new(settings)?;
        let row = match case.as_str() {
            "unchanged" => unchanged(&stage, settings)?,
            "changed" => changed(&stage, settings)?,
            "union" => union(&stage)?,
            "sparse" => sparse(&stage)?,
            "everything" => everything(&stage)?,
            "stream" => stream(&stage)?,
            "million" => million(&stage, settings)?,
            other => bail!("no case {other}; there are {}", CASES.join(", ")),
        };
        let met = if row.is_met { "met" } else { "MISSED" };
        line(&format!(
            "| {case} | {} | {} | {met} |",
            row.measured, row.goal
        ));
    }
    Ok(())
}

struct Row {
    measured: String,
    goal: &'static str,
    is_met: bool,
}

/// A cluster, a folder and a key for one case.
struct Stage {
    cluster: Cluster,
    grappe: Grappe,
    folder: Folder,
}

/// A folder that goes with this value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the folder that the user named, and of no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that runs; killed with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// What one copy took.
struct Copied {
    seconds: f64,
    /// Bytes that reached the receiver that got most.
    travelled: u64,
    report: Report,
    /// Most memory of the sender, in MB.
    peak_mb: u64,
}

impl Stage {
    fn new(settings: &Settings) -> Result<Self> {
        if let Some(reason) = Cluster::unavailable() {
            bail!("no cluster can be built here: {reason}");
        }
        let folder = settings
            .folder
            .join(format!("grappe-tree-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let folder = Folder(folder);
        let grappe = Grappe::with_new_key(&folder.0)?;
        let plan = Plan {
            link_mbit: Some(1000),
            ..Plan::of(RECEIVERS + 1)
        };
        Ok(Self {
            cluster: Cluster::build(&plan)?,
            grappe,
            folder,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    fn into(&self, receiver: u8) -> PathBuf {
        self.path(&format!("n{receiver}"))
    }

    fn receivers(&self, count: u8, flags: &[&str]) -> Result<Vec<Running>> {
        let mut running = Vec::new();
        for receiver in 2..2 + count {
            let into = self.into(receiver);
            fs::create_dir_all(&into)?;
            let mut command = self.grappe.receive(self.cluster.node(receiver), &into);
            running.push(start(
                command.args(flags),
                &self.path(&format!("receive{receiver}.err")),
            )?);
        }
        thread::sleep(Duration::from_millis(1500));
        Ok(running)
    }

    fn send(&self, what: &Path, count: u8, flags: &[&str]) -> Result<Copied> {
        let before = self.received(count)?;
        let begun = Instant::now();
        let mut command = self.grappe.send(self.cluster.node(1), what, count);
        let errors = self.path("send.err");
        command
            .args(["--wait", "20s"])
            .args(flags)
            .stdout(Stdio::piped());
        let mut sender = start(&mut command, &errors)?;
        let mut peak_mb = 0;
        let status = loop {
            if let Some(status) = sender.0.try_wait()? {
                break status;
            }
            peak_mb = peak_mb.max(peak(&sender.0));
            ensure!(begun.elapsed() < TIME_MAX, "the copy takes too long");
            thread::sleep(Duration::from_millis(20));
        };
        let seconds = begun.elapsed().as_secs_f64();
        let mut output = String::new();
        if let Some(mut pipe) = sender.0.stdout.take() {
            pipe.read_to_string(&mut output)?;
        }
        let told = fs::read_to_string(&errors).unwrap_or_default();
        ensure!(status.success(), "grappe send: {status}: {told}");
        let after = self.received(count)?;
        let travelled = after
            .iter()
            .zip(&before)
            .map(|(after, before)| after - before)
            .max();
        Ok(Copied {
            seconds,
            travelled: travelled.unwrap_or_default(),
            report: Report::parse(&output)?,
            peak_mb,
        })
    }

    fn received(&self, count: u8) -> Result<Vec<u64>> {
        (2..2 + count)
            .map(|node| self.cluster.node(node).received_bytes())
            .collect()
    }

    /// `rsync -a` from the first node to `receivers`, one after the other; seconds.
    fn rsync(&self, what: &Path, receivers: std::ops::Range<u8>, flags: &[&str]) -> Result<f64> {
        let mut daemons = Vec::new();
        let port = format!("--port={RSYNC_PORT}");
        for receiver in receivers.clone() {
            let settings = self.path(&format!("rsyncd{receiver}.conf"));
            let into = self.path(&format!("rsync{receiver}"));
            let text = format!(
                "use chroot = no\nuid = 0\ngid = 0\n[copy]\npath = {}\nread only = no\n",
                into.display()
            );
            fs::write(&settings, text)?;
            let mut command = self.cluster.node(receiver).command("rsync");
            let settings = format!("--config={}", settings.display());
            command.args(["--daemon", "--no-detach", &port, &settings]);
            daemons.push(start(&mut command, &self.path("rsyncd.err"))?);
        }
        thread::sleep(Duration::from_millis(500));
        let begun = Instant::now();
        for receiver in receivers {
            let target = format!("rsync://{}/copy/", self.cluster.node(receiver).address());
            let mut command = self.cluster.node(1).command("rsync");
            command
                .arg("-a")
                .args(flags)
                .arg(&port)
                .arg(what)
                .arg(target);
            let status = command.status()?;
            ensure!(status.success(), "rsync: {status}");
        }
        Ok(begun.elapsed().as_secs_f64())
    }
}

fn start(command: &mut Command, errors: &Path) -> Result<Running> {
    let child = command.stderr(File::create(errors)?).spawn();
    Ok(Running(
        child.with_context(|| format!("cannot start {command:?}"))?,
    ))
}

/// The most memory that a process has had, in MB.
fn peak(child: &Child) -> u64 {
    process::peak_bytes(child.id()).unwrap_or_default() / 1_000_000
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    ensure!(status.success(), "cp: {status}");
    Ok(())
}

/// So many small files in folders of a thousand; of no bytes every tenth.
fn many_files(top: &Path, count: u64, bytes: u64) -> Result<u64> {
    let mut total = 0;
    for file in 0..count {
        let folder = top.join(format!("d{:04}", file / 1000));
        if file % 1000 == 0 {
            fs::create_dir_all(&folder)?;
        }
        let mut text = format!("{file:016x}").into_bytes();
        let len = if file % 10 == 0 { 0 } else { bytes };
        text.resize(len as usize, b'.');
        total += text.len() as u64;
        fs::write(folder.join(format!("f{file:08}")), text)?;
    }
    Ok(total)
}

fn same(one: &Path, other: &Path) -> Result<bool> {
    let (one, other) = (one.join(""), other.join(""));
    let output = Command::new("rsync")
        .args(["-aAXHn", "--delete", "--itemize-changes"])
        .args([one, other])
        .output()?;
    ensure!(output.status.success(), "rsync: {output:?}");
    Ok(output.stdout.is_empty())
}

fn unchanged(stage: &Stage, settings: &Settings) -> Result<Row> {
    let tree = stage.path("tree");
    let bytes = many_files(&tree, settings.files, 4096)?;
    for receiver in 2..2 + RECEIVERS {
        copy_tree(&tree, &stage.into(receiver))?;
    }
    copy_tree(&tree, &stage.path("rsync2"))?;
    let _receivers = stage.receivers(RECEIVERS, &[])?;
    let copied = stage.send(&tree, RECEIVERS, &["--sync"])?;
    let rsync = stage.rsync(&tree, 2..3, &[])?;
    let share = 100.0 * copied.travelled as f64 / bytes as f64;
    Ok(Row {
        measured: format!(
            "{} files, {} MB, to {RECEIVERS}: {:.2} MB travel, {share:.2} %; {:.1} s, rsync to one {rsync:.1} s",
            settings.files,
            bytes / 1_000_000,
            copied.travelled as f64 / 1e6,
            copied.seconds
        ),
        goal: "below 1 % of the tree",
        is_met: share < 1.0,
    })
}

fn changed(stage: &Stage, settings: &Settings) -> Result<Row> {
    let file = stage.path("large");
    content::create(&file, settings.large, 1)?;
    for receiver in 2..2 + RECEIVERS {
        copy_tree(&file, &stage.into(receiver))?;
        copy_tree(&file, &stage.path(&format!("rsync{receiver}")))?;
    }
    let changed = settings.large / 100 / 20;
    let writer = fs::OpenOptions::new().write(true).open(&file)?;
    for place in 0..20 {
        let at = place * (settings.large / 20) + 12_345;
        writer.write_all_at(&vec![place as u8 ^ 0x5a; changed as usize], at)?;
    }
    drop(writer);
    let _receivers = stage.receivers(RECEIVERS, &[])?;
    let copied = stage.send(&file, RECEIVERS, &["--sync"])?;
    let is_right = (2..2 + RECEIVERS)
        .all(|receiver| content::identical(&file, &stage.into(receiver).join("large")));
    let rsync = stage.rsync(&file, 2..2 + RECEIVERS, &["--no-whole-file"])?;
    let share = 100.0 * copied.travelled as f64 / settings.large as f64;
    Ok(Row {
        measured: format!(
            "1 % of {} MiB in 20 places, {RECEIVERS} have the old one: {share:.2} % travel; {:.1} s, rsync in turn {rsync:.1} s",
            settings.large / MIB,
            copied.seconds
        ),
        goal: "at most 3 %, verified",
        is_met: share <= 3.0 && is_right,
    })
}

fn union(stage: &Stage) -> Result<Row> {
    const PARTS: u8 = 10;
    let tree = stage.path("tree");
    for part in 0..PARTS {
        content::create_many(&tree.join(format!("p{part}")), 500, 16_384, part.into())?;
    }
    let bytes = u64::from(PARTS) * 500 * 16_384;
    for receiver in 2..2 + RECEIVERS {
        copy_tree(&tree, &stage.into(receiver))?;
        fs::remove_dir_all(stage.into(receiver).join(format!("tree/p{receiver}")))?;
    }
    let _receivers = stage.receivers(RECEIVERS, &[])?;
    let copied = stage.send(&tree, RECEIVERS, &["--sync"])?;
    let mut is_right = true;
    for receiver in 2..2 + RECEIVERS {
        is_right &= same(&tree, &stage.into(receiver).join("tree"))?;
    }
    let lacked = bytes * u64::from(RECEIVERS) / u64::from(PARTS);
    let times = copied.travelled as f64 / lacked as f64;
    Ok(Row {
        measured: format!(
            "{RECEIVERS} lack another tenth each of {} MB: {:.1} MB travel, {times:.2} x the union; {:.1} s",
            bytes / 1_000_000,
            copied.travelled as f64 / 1e6,
            copied.seconds
        ),
        goal: "the union once",
        // Headers and tags are part of what a network interface counts.
        is_met: times < 1.15 && is_right,
    })
}

fn sparse(stage: &Stage) -> Result<Row> {
    let image = stage.path("image");
    let file = File::create(&image)?;
    file.set_len(10 << 30)?;
    let mut data = vec![0; MIB as usize];
    for part in 0..100_u64 {
        for (index, byte) in data.iter_mut().enumerate() {
            *byte = (index as u64 * 31 + part * 7 + index as u64 / 251) as u8;
        }
        file.write_all_at(&data, part * 107 * MIB + part * 4096)?;
    }
    drop(file);
    let _receivers = stage.receivers(RECEIVERS, &[])?;
    let copied = stage.send(&image, RECEIVERS, &[])?;
    let blocks = fs::metadata(&image)?.blocks();
    let mut is_right = true;
    for receiver in 2..2 + RECEIVERS {
        let copy = stage.into(receiver).join("image");
        is_right &= fs::metadata(&copy)?.blocks() == blocks;
    }
    is_right &= content::identical(&image, &stage.into(2).join("image"));
    let mib = copied.travelled as f64 / MIB as f64;
    Ok(Row {
        measured: format!(
            "10 GiB with 100 MiB of data to {RECEIVERS}: {mib:.1} MiB travel, as sparse at the end; {:.1} s",
            copied.seconds
        ),
        goal: "100 MiB travels",
        is_met: is_right && mib < 115.0,
    })
}

fn everything(stage: &Stage) -> Result<Row> {
    let tree = stage.path("tree");
    fs::create_dir_all(tree.join("sub/deep"))?;
    content::create(&tree.join("plain"), 3 * MIB + 7, 3)?;
    let quoted = tree.display();
    shell::run(&format!("ln {quoted}/plain {quoted}/sub/again"))?;
    shell::run(&format!("ln -s ../plain {quoted}/sub/link"))?;
    shell::run(&format!("mkfifo -m 640 {quoted}/pipe"))?;
    shell::run(&format!("mknod {quoted}/null c 1 3"))?;
    // A socket's name stays when who listened there is gone.
    drop(std::os::unix::net::UnixListener::bind(tree.join("socket"))?);
    shell::run(&format!("truncate -s 50M {quoted}/hole"))?;
    shell::run(&format!("cp {quoted}/plain {quoted}/program"))?;
    shell::run(&format!("chown 1234:4321 {quoted}/program"))?;
    shell::run(&format!("chmod 6755 {quoted}/program"))?;
    shell::run(&format!("chown -h 77:88 {quoted}/sub/link"))?;
    shell::run(&format!(
        "touch -d 2001-02-03T04:05:06.123456789 {quoted}/plain"
    ))?;
    shell::run(&format!("chmod 700 {quoted}/sub/deep"))?;
    for name in ["new\nline", "\u{1b}[31m", "-rf", &"n".repeat(255)] {
        fs::write(tree.join(name), name)?;
    }
    for (name, value) in [("user.colour", "blue"), ("trusted.note", "kept")] {
        let path = tree.join("plain");
        rustix::fs::setxattr(
            path,
            name,
            value.as_bytes(),
            rustix::fs::XattrFlags::empty(),
        )?;
    }
    for (name, path) in [
        ("system.posix_acl_access", tree.join("plain")),
        ("system.posix_acl_access", tree.join("sub")),
        ("system.posix_acl_default", tree.join("sub")),
    ] {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(path, name, &access_list(), flags)?;
    }
    let _receivers = stage.receivers(RECEIVERS, &["--allow-setuid", "--allow-specials"])?;
    let flags = ["--xattrs", "--setuid", "--specials"];
    let copied = stage.send(&tree, RECEIVERS, &flags)?;
    let mut is_right = true;
    for receiver in 2..2 + RECEIVERS {
        is_right &= same(&tree, &stage.into(receiver).join("tree"))?;
    }
    Ok(Row {
        measured: format!(
            "every kind of entry to {RECEIVERS}; {:.1} s",
            copied.seconds
        ),
        goal: "`rsync -aAXHn --itemize-changes` prints nothing",
        is_met: is_right,
    })
}

/// An access list (acl(5)) in the kernel's form: owner rwx, user 1234 r, group r, mask r, others nothing.
fn access_list() -> Vec<u8> {
    const VERSION: u32 = 2;
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 7, u32::MAX),
        (0x02, 4, 1234),
        (0x04, 4, u32::MAX),
        (0x10, 4, u32::MAX),
        (0x20, 0, u32::MAX),
    ];
    let mut list = VERSION.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

fn stream(stage: &Stage) -> Result<Row> {
    const DEVICES: u8 = 3;
    const BYTES: u64 = 300 * MIB;
    let image = stage.path("image");
    content::create(&image, BYTES, 9)?;
    let packed = stage.path("image.gz");
    pack(&image, &packed)?;
    let mut devices = Vec::new();
    for receiver in 2..2 + DEVICES {
        let backing = stage.path(&format!("disk{receiver}"));
        File::create(&backing)?.set_len(BYTES + MIB)?;
        devices.push(Loop::new(&backing)?);
    }
    let mut receivers = Vec::new();
    for (receiver, device) in (2..).zip(&devices) {
        let mut command = to_device(stage, receiver, &device.0);
        receivers.push(start(
            &mut command,
            &stage.path(&format!("receive{receiver}.err")),
        )?);
    }
    thread::sleep(Duration::from_millis(1500));
    let begun = Instant::now();
    let mut unpack = Command::new("zcat")
        .arg(&packed)
        .stdout(Stdio::piped())
        .spawn()?;
    let input = unpack.stdout.take().context("zcat has an output")?;
    let mut command = stage
        .grappe
        .send(stage.cluster.node(1), Path::new("-"), DEVICES);
    let output = command.args(["--wait", "20s"]).stdin(input).output()?;
    unpack.wait()?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(output.status.success(), "grappe send -: {output:?}");
    let report = Report::parse(&String::from_utf8_lossy(&output.stdout))?;
    let slowest = report
        .nodes
        .iter()
        .map(|node| node.seconds)
        .fold(0.0, f64::max);
    let mut is_right = report.bytes == BYTES;
    for device in &devices {
        let mut original = File::open(&image)?;
        let mut copy = File::open(&device.0)?.take(BYTES);
        is_right &= is_equal(&mut original, &mut copy)?;
    }
    Ok(Row {
        measured: format!(
            "`zcat | grappe send -` of {} MiB to {DEVICES} loop devices: {:.1} MB/s to the slowest, {seconds:.1} s in all",
            BYTES / MIB,
            BYTES as f64 / 1e6 / slowest.max(0.001)
        ),
        goal: "identical to the image",
        is_met: is_right,
    })
}

fn to_device(stage: &Stage, receiver: u8, device: &Path) -> Command {
    stage
        .grappe
        .receive_to_device(stage.cluster.node(receiver), device)
}

fn pack(image: &Path, packed: &Path) -> Result<()> {
    let status = Command::new("gzip")
        .args(["-1", "-c"])
        .arg(image)
        .stdout(File::create(packed)?)
        .status()?;
    ensure!(status.success(), "gzip: {status}");
    Ok(())
}

fn is_equal(one: &mut impl Read, other: &mut impl Read) -> Result<bool> {
    let (mut left, mut right) = (vec![0; 1 << 20], Vec::new());
    loop {
        let read = one.read(&mut left)?;
        right.clear();
        other.take(read as u64).read_to_end(&mut right)?;
        if left[..read] != right[..] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

/// A loop device over a file; let go with this value.
struct Loop(PathBuf);

impl Loop {
    fn new(backing: &Path) -> Result<Self> {
        let output = Command::new("losetup")
            .args(["-f", "--show"])
            .arg(backing)
            .output()?;
        ensure!(output.status.success(), "losetup: {output:?}");
        Ok(Self(String::from_utf8(output.stdout)?.trim().into()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _freed = Command::new("losetup").arg("-d").arg(&self.0).status();
    }
}

/// Whether loop devices can be made here.
///
/// # Errors
///
/// Says why not.
pub fn loop_devices() -> Result<()> {
    let output = Command::new("losetup").arg("-f").output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn million(stage: &Stage, settings: &Settings) -> Result<Row> {
    let tree = stage.path("tree");
    let count = 10 * settings.files;
    let bytes = many_files(&tree, count, 100)?;
    let receivers = stage.receivers(1, &[])?;
    let copied = stage.send(&tree, 1, &[])?;
    let receiver_mb = receivers.first().map_or(0, |receiver| peak(&receiver.0));
    let found = shell::run(&format!(
        "find {} -type f -printf x",
        stage.into(2).display()
    ))?;
    Ok(Row {
        measured: format!(
            "{count} files, empty or of 100 bytes, {} MB, to one: {:.1} s; at most {} MB of memory at the sender, {receiver_mb} MB at the receiver",
            bytes / 1_000_000,
            copied.seconds,
            copied.peak_mb
        ),
        goal: "completes, <= 300 MB of memory at the receiver",
        is_met: found.trim().len() as u64 == count
            && copied.report.nodes.len() == 1
            && receiver_mb <= 300,
    })
}

/// Writes the table's lines as they come.
pub fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    let _closed = writeln!(out, "{line}").and_then(|()| out.flush());
}
