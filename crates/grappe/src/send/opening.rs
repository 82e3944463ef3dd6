//! From paths to what is sent: the walk over the tree, in a thread of its own, so that a large tree is
//! told of and a file system that does not answer can be left.
//!
//! What is found and what is left out is decided in `files`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, never, select};
use grappe_proto::content::layout::{Layout, PIECES_MAX};
use grappe_proto::content::stream::Stream;

use super::pipe::Pipe;
use super::readers::{Content, Laid};
use super::threads::guarded;
use super::{Notice, SendError};
use crate::files::{Source, SourceOptions, WalkWatch};

/// A walk that takes longer is told of, then again and again.
const TOLD_AFTER: Duration = Duration::from_secs(1);
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Walks `paths` and lays out what is there.
///
/// # Errors
///
/// [`SendError::Cancelled`] as soon as `cancel` says so, be the walk as it may; else whatever keeps
/// the tree from being sent.
pub(super) fn open(
    paths: Vec<PathBuf>,
    options: SourceOptions,
    stream: Option<&OsStr>,
    symbol_size: u16,
    cancel: &Receiver<String>,
    notice: &mut dyn FnMut(Notice<'_>),
) -> Result<Content, SendError> {
    if let Some(name) = stream {
        let source = Source::of_stream(name.as_bytes())?;
        let manifest_bytes = source.manifest().encode();
        let len = manifest_bytes.len() as u64;
        let stream = Stream::of_manifest_only(len)?.with_full_blocks(PIECES_MAX, 0)?;
        let layout = Layout::new(source.manifest());
        let input = Pipe::new(std::io::stdin());
        let content = Content::new(source, Laid { layout, stream }, manifest_bytes, symbol_size);
        return Ok(content.with_pipe(input));
    }
    let watch = Arc::new(WalkWatch::default());
    let walking = Arc::clone(&watch);
    walk(cancel, notice, &watch, move || {
        lay_out(
            Source::open_watched(&paths, &options, &walking)?,
            symbol_size,
        )
    })
}

/// Does `work` in a thread, tells how many entries `watch` has seen, and leaves it when cancelled.
fn walk<T: Send + 'static>(
    cancel: &Receiver<String>,
    notice: &mut dyn FnMut(Notice<'_>),
    watch: &WalkWatch,
    work: impl FnOnce() -> Result<T, SendError> + Send + 'static,
) -> Result<T, SendError> {
    let (done, result) = bounded(1);
    thread::Builder::new()
        .name("walk".into())
        .spawn(move || {
            // Nobody takes the result of a walk that was left.
            let _left = done.send(guarded(work));
        })
        .map_err(SendError::system("start a thread"))?;
    // A caller that has dropped its end of the channel never cancels.
    let (mut cancel, nobody) = (cancel, never());
    let mut tell_at = Instant::now() + TOLD_AFTER;
    loop {
        select! {
            recv(result) -> result => return match result {
                Ok(Ok(result)) => result,
                Ok(Err(panic)) => Err(SendError::Defect(panic)),
                Err(_) => Err(SendError::Defect("the walk ended without a word".into())),
            },
            recv(cancel) -> reason => match reason {
                Ok(reason) => {
                    watch.stop();
                    return Err(SendError::Cancelled(reason));
                }
                Err(_) => cancel = &nobody,
            },
            default(tell_at.saturating_duration_since(Instant::now())) => {
                let text = format!("reading the tree: {} entries so far", watch.entries());
                notice(Notice::Note(&text));
                tell_at = Instant::now() + TOLD_EVERY;
            }
        }
    }
}

pub(super) fn lay_out(source: Source, symbol_size: u16) -> Result<Content, SendError> {
    let manifest = source.manifest();
    let manifest_bytes = manifest.encode();
    let len = (manifest_bytes.len() as u64).max(manifest.paths_len());
    Stream::of_manifest_only(len)?;
    let laid = Laid::new(manifest, manifest_bytes.len() as u64, |_| true)?;
    Ok(Content::new(source, laid, manifest_bytes, symbol_size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_that_hangs_is_told_of_and_left_when_cancelled() {
        let (cancel, cancelled) = bounded(1);
        let (free, freed) = bounded::<()>(0);
        let hang = move || -> Result<(), SendError> {
            let _ended = freed.recv();
            Ok(())
        };
        let watch = WalkWatch::default();
        let mut told = Vec::new();
        let mut notice = |notice: Notice<'_>| {
            if let Notice::Note(text) = notice {
                told.push(text.to_owned());
                let _twice = cancel.try_send("stopped by SIGINT".into());
            }
        };
        let result = walk(&cancelled, &mut notice, &watch, hang);
        assert!(
            matches!(result, Err(SendError::Cancelled(reason)) if reason == "stopped by SIGINT")
        );
        assert_eq!(told, ["reading the tree: 0 entries so far"]);
        assert!(watch.is_stopped());
        drop(free);
    }

    #[test]
    fn a_walk_needs_nobody_who_could_cancel_it() {
        let (_, cancelled) = bounded(0);
        let watch = WalkWatch::default();
        let result = walk(&cancelled, &mut |_| {}, &watch, || Ok(7));
        assert_eq!(result.ok(), Some(7));
    }
}
