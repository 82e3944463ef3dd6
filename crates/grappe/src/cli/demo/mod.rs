//! `grappe demo`: the main job on this machine alone, with real processes on the loopback interface.
//!
//! It makes a key and a dataset (`dataset`) in a folder of its own (`folder`), starts receivers as
//! processes of this very program (`children`), sends, compares every copy byte by byte, and removes
//! everything, also when it is told to stop.

mod children;
mod dataset;
mod folder;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use clap::Args;
use grappe::trust::{Identity, TrustError};

use self::children::{Node, Sender};
use self::folder::Folder;
use super::error::{CommandError, say};
use super::signals;
use super::size::{parse_size, show_bytes};

/// Show a copy to several receivers on this machine; needs no root and no set-up
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 every copy is identical to the dataset; 1 some are not, there is no room, \
    or it was stopped; 2 usage."
)]
pub(crate) struct Arguments {
    /// Receivers to start
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    nodes: u16,
    /// Size of the dataset; each receiver keeps a copy, in /dev/shm or else in the temporary folder
    #[arg(long, default_value = "256MiB", value_parser = parse_size)]
    size: u64,
}

/// Runs `grappe demo`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let stop = Stop::on_signals()?;
    // Dropped last, when nobody writes into it any more.
    let folder = Folder::new(arguments.size, arguments.nodes)?;
    let data = folder.path.join("dataset");
    say(format_args!(
        "dataset: {} in a big file, {} small ones and a tree",
        show_bytes(arguments.size),
        dataset::SMALL_FILES
    ));
    dataset::make(&data, arguments.size, &stop)?;
    let stage = Stage::new(&folder.path)?;
    let names = (1..=arguments.nodes).map(|number| format!("node{number:02}"));
    let mut nodes = names
        .map(|name| Node::start(&stage, &name))
        .collect::<Result<Vec<_>, _>>()?;
    let result = copy(&stage, &data, &mut nodes, &stop);
    if result.is_err() && !stop.is_asked() {
        children::show_last_words(nodes, &stop);
    }
    result.map(|()| ExitCode::SUCCESS)
}

/// Sends, compares, and waits for the receivers to end.
fn copy(stage: &Stage, data: &Path, nodes: &mut [Node], stop: &Stop) -> Result<(), CommandError> {
    let sent = Sender::start(stage, data, nodes.len())?.wait(stop)?;
    if !sent.success() {
        return Err(CommandError::failed("the copy did not succeed"));
    }
    for node in &*nodes {
        dataset::compare(data, &node.into.join("dataset"), stop)?;
    }
    say(format_args!(
        "compared: {} copies are identical to the dataset",
        nodes.len()
    ));
    for node in nodes {
        let status = node.wait(stop)?;
        if !status.success() {
            let name = &node.name;
            return Err(CommandError::failed(format_args!(
                "the receiver {name} did not end well: {status}"
            )));
        }
    }
    Ok(())
}

/// What all processes of the demo share.
struct Stage {
    folder: PathBuf,
    program: PathBuf,
    key: PathBuf,
    port: u16,
}

impl Stage {
    fn new(folder: &Path) -> Result<Self, CommandError> {
        let key = folder.join("key");
        let made = Identity::generate("grappe demo").and_then(|identity| identity.save_new(&key));
        made.map_err(|error: TrustError| CommandError::failed(error))?;
        Ok(Self {
            folder: folder.into(),
            program: std::env::current_exe().map_err(io_error("find this program"))?,
            key,
            // Not the usual port: a daemon on this machine is not part of the show.
            port: 20_000 + (std::process::id() % 20_000) as u16,
        })
    }
}

/// Whether the demo was told to stop.
#[derive(Clone, Debug, Default)]
struct Stop {
    /// By what.
    signal: Arc<OnceLock<&'static str>>,
    /// Whether that was said again: nobody is waited for any more, but the folder still goes.
    in_haste: Arc<AtomicBool>,
}

impl Stop {
    fn on_signals() -> Result<Self, CommandError> {
        let stop = Self::default();
        let (asked, again) = (stop.clone(), stop.clone());
        let on_signal = move |signal| {
            let _first = asked.signal.get_or_init(|| signal);
        };
        signals::watch_in_order(on_signal, move || {
            again.in_haste.store(true, Ordering::Relaxed);
        })?;
        Ok(stop)
    }

    fn is_asked(&self) -> bool {
        self.signal.get().is_some()
    }

    fn is_in_haste(&self) -> bool {
        self.in_haste.load(Ordering::Relaxed)
    }

    /// An error once the demo is to stop: everything that takes long asks now and then.
    fn check(&self) -> Result<(), CommandError> {
        match self.signal.get() {
            Some(signal) => Err(CommandError::failed(format_args!(
                "the demo was stopped by {signal}"
            ))),
            None => Ok(()),
        }
    }
}

fn io_error(action: &'static str) -> impl FnOnce(std::io::Error) -> CommandError {
    move |error| CommandError::failed(format_args!("cannot {action}: {error}"))
}
