//! A turn of this node: a copy of its own, sent by a thread of its own, led by the coordinator.
//!
//! How a copy is sent is in `send`.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use grappe_proto::content::manifest::Sync;
use grappe_proto::limits::BLOCK_SIZE;
use grappe_proto::session::{Expectation, LimitedBy, NodeOutcome, NodeState, Straggler, Transport};
use grappe_proto::units::SessionId;
use grappe_proto::wire::gather::{ToCoordinator, TurnProgress, TurnResult};

use super::part::Part;
use super::{Outbox, Prepare};
use crate::files::SourceOptions;
use crate::receive::session::Node;
use crate::send::{Event, Led, Notice, Progress, SendOptions, SendReport, Steer, send_led};

/// Receivers have so long to join a turn; they are there already, and hear of it at once.
const JOIN_MAX: Duration = Duration::from_secs(5);

/// What receivers have of a turn by its content does not travel: after a gather that was broken off, all
/// that its turns had placed. By time alone, a version that lost a conflict could pass for the winner.
const KEPT: Sync = Sync::Checksum;

/// Turns that are broken off have so long to end.
const END_MAX: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// A turn that runs.
pub(super) struct Turn {
    steer: Sender<Steer>,
    cancel: Sender<String>,
    thread: JoinHandle<()>,
}

impl Turn {
    /// Starts the thread of a turn that sends some of `part`.
    pub(super) fn begin(
        node: &Arc<Node>,
        part: &Arc<Part>,
        prepare: Prepare,
        outbox: Outbox,
    ) -> io::Result<Self> {
        let (steer, steered) = unbounded();
        let (cancel, cancelled) = bounded(1);
        let (node, part) = (Arc::clone(node), Arc::clone(part));
        let running = move || run(&node, &part, prepare, steered, &cancelled, &outbox);
        let thread = thread::Builder::new().name("turn".into()).spawn(running)?;
        Ok(Self {
            steer,
            cancel,
            thread,
        })
    }

    /// Passes on a word of the coordinator.
    pub(super) fn steer(&self, word: Steer) {
        // A turn that is over needs none.
        let _over = self.steer.send(word);
    }
}

/// Breaks off the turns that still run, and waits for them a while.
pub(super) async fn end_all(turns: impl Iterator<Item = Turn>, reason: &str) {
    let mut threads = Vec::new();
    for turn in turns {
        let _asked = turn.cancel.try_send(reason.to_owned());
        threads.push(turn.thread);
    }
    let deadline = Instant::now() + END_MAX;
    while threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
    }
}

fn run(
    node: &Node,
    part: &Part,
    prepare: Prepare,
    steer: Receiver<Steer>,
    cancelled: &Receiver<String>,
    outbox: &Outbox,
) {
    let turn = prepare.turn;
    let tell = |message| {
        let _gone = outbox.send(message);
    };
    let call = prepare.receivers.iter().map(|it| it.address);
    let led = Led {
        source: part.source.select(&prepare.entries, KEPT),
        session: SessionId(prepare.session),
        call: call.collect(),
        steer,
    };
    let names = prepare.receivers.into_iter().map(|receiver| receiver.name);
    let options = SendOptions {
        paths: Vec::<PathBuf>::new(),
        stream: None,
        source: SourceOptions::default(),
        identity: node.identity.clone(),
        trust: node.trust.clone(),
        network: node.network.clone(),
        expectation: Expectation::Names(names.collect()),
        wait: JOIN_MAX,
        straggler: Straggler::Demote,
        // What a turn may use of the links is counted for the group.
        transport: Transport::Multicast,
        cipher: None,
        rate: None,
        control_port: 0,
        announce: true,
        absences: None,
        processors: node.processors,
    };
    let mut notice = |notice: Notice<'_>| match notice {
        Notice::Event(Event::Prepared(_)) => tell(ToCoordinator::Prepared { turn }),
        Notice::Event(Event::SentOnce) => tell(ToCoordinator::SentOnce { turn }),
        Notice::Progress(progress) => tell(ToCoordinator::Progress {
            turn,
            progress: told(&progress),
        }),
        _ => {}
    };
    let sent = send_led(options, led, cancelled, &mut notice);
    let (reason, skipped) = match sent {
        Ok(report) => {
            for result in results(&report) {
                tell(ToCoordinator::Result { turn, result });
            }
            (report.cancelled, report.skipped.len() as u64)
        }
        Err(error) => (Some(error.to_string()), 0),
    };
    tell(ToCoordinator::Ended {
        turn,
        reason,
        skipped,
    });
}

fn told(progress: &Progress) -> TurnProgress {
    TurnProgress {
        left: u64::from(progress.planned_blocks) * u64::from(BLOCK_SIZE),
        rate: progress.rate,
        allowed: progress.allowed,
        knee: progress.knee.unwrap_or(0),
        packets: progress.packets.0,
        repairs: progress.packets.1,
    }
}

fn results(report: &SendReport) -> Vec<TurnResult> {
    // Of two lines with one name the better one counts.
    let mut results: BTreeMap<&str, TurnResult> = BTreeMap::new();
    for node in &report.nodes {
        let result = result(node);
        let known = results.get(&*node.name);
        if known.is_none_or(|known| result.state < known.state) {
            results.insert(&node.name, result);
        }
    }
    results.into_values().collect()
}

fn result(node: &NodeOutcome) -> TurnResult {
    TurnResult {
        name: node.name.clone(),
        state: match node.state {
            NodeState::Complete => 0,
            NodeState::Failed => 1,
            NodeState::Lost => 2,
            NodeState::Refused => 3,
        },
        reason: node.reason.clone(),
        bytes: node.bytes,
        repaired: node.repaired,
        limited_by: match node.limited_by {
            LimitedBy::Network => 0,
            LimitedBy::Host => 1,
            LimitedBy::Disk => 2,
            LimitedBy::Sender => 3,
            LimitedBy::RateCap => 4,
        },
    }
}
