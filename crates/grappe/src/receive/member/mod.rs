//! One node's side of a gather: it lists its part, places it, and sends its turns when it is told to.
//!
//! It decides nothing: the coordinator, whose machine is in `grappe-proto`, does. What arrives from
//! others are ordinary copies, taken by `session`.

mod part;
mod turn;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use grappe_proto::gather::plan::EntrySet;
use grappe_proto::limits::{PROTOCOL_VERSION, SENDER_SILENCE_MAX};
use grappe_proto::receiver::Failure;
use grappe_proto::units::{Rate, SessionId};
use grappe_proto::wire::control::{Done, encode};
use grappe_proto::wire::gather::{ToCoordinator, ToMember, TurnReceiver, decode_to_member};
use tokio::sync::{mpsc, watch};

use self::part::Part;
pub(super) use self::part::is_inside;
use self::turn::Turn;
use super::destination::Destination;
use super::memory::Claim;
use super::session::{Ended, Node};
use crate::announce::Heard;
use crate::control::{ChannelReader, ChannelWriter};
use crate::files::{OwnPlaced, WalkWatch};
use crate::send::Steer;

/// The coordinator must welcome within this time.
const WELCOME_MAX: Duration = Duration::from_secs(5);

/// How often the coordinator is told that this node is there.
const ALIVE: Duration = Duration::from_secs(1);

/// What is still on its way to the coordinator at the end has so long.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// Where messages to the coordinator go; nothing here waits for the network.
type Outbox = mpsc::UnboundedSender<ToCoordinator>;

/// Takes part in the gather that was heard of, from beginning to end, unless another attempt has `claim`.
pub(super) async fn take_part(
    node: Arc<Node>,
    heard: Heard,
    claim: Claim,
    mut stop: watch::Receiver<Option<String>>,
) -> Ended {
    let mut was_proved = false;
    let greeted = tokio::select! {
        greeted = greet(&node, &heard, &claim, &mut was_proved) => greeted,
        Ok(reason) = stop.wait_for(Option::is_some) => Err(Failure::Failed(reason.clone().unwrap_or_default())),
    };
    let (reader, writer) = match greeted {
        Ok(greeted) => greeted,
        Err(failure) => {
            if was_proved {
                claim.release();
            }
            return Ended {
                result: Err(failure),
                was_proved,
                was_welcome: false,
                was_examination: false,
            };
        }
    };
    let (outbox, messages) = mpsc::unbounded_channel();
    let writing = tokio::spawn(write_all(writer, messages));
    let member = Member::new(node, heard.session, outbox);
    let result = member.run(reader, stop).await;
    let _last_words = tokio::time::timeout(FAREWELL_MAX, writing).await;
    Ended {
        result: result.map(|()| Done::default()),
        was_proved,
        was_welcome: true,
        was_examination: false,
    }
}

async fn greet(
    node: &Node,
    heard: &Heard,
    claim: &Claim,
    was_proved: &mut bool,
) -> Result<(ChannelReader, ChannelWriter), Failure> {
    let gone = |reason: String| Failure::SenderGone(reason);
    let channel = node
        .endpoint
        .connect(heard.control, heard.sender)
        .await
        .map_err(|error| gone(error.to_string()))?;
    if !claim.take() {
        return Err(gone("this node takes part already".into()));
    }
    *was_proved = true;
    let (mut reader, mut writer) = channel.split();
    let hello = ToCoordinator::Hello {
        version: PROTOCOL_VERSION,
        name: node.name.clone(),
        gather: heard.session.0,
    };
    writer
        .write_frame(&encode(&hello))
        .await
        .map_err(|error| gone(error.to_string()))?;
    let welcome = tokio::time::timeout(WELCOME_MAX, read(&mut reader)).await;
    match welcome.map_err(|_| gone("the coordinator did not welcome this node".into()))? {
        Ok(Some(ToMember::Welcome { .. })) => {
            node.notes.of(heard.session).joining(*heard);
            Ok((reader, writer))
        }
        Ok(Some(ToMember::Refused { reason })) => Err(Failure::Refused(reason)),
        Ok(Some(_)) => Err(gone(
            "the coordinator broke the protocol: no welcome".into(),
        )),
        Ok(None) => Err(gone("the coordinator closed the connection".into())),
        Err(reason) => Err(gone(reason)),
    }
}

/// What this node's threads tell its task.
enum Happening {
    /// The part is listed, or cannot be.
    Listed(Result<Arc<Part>, String>),
    /// What can be linked is linked: reading the files finds them as they will stay.
    Linked,
    /// Something keeps this node from taking part.
    Failed(String),
}

/// A turn that may not begin before the own files are linked.
struct Prepare {
    turn: u32,
    session: [u8; 16],
    receivers: Vec<TurnReceiver>,
    entries: EntrySet,
}

struct Member {
    node: Arc<Node>,
    gather: SessionId,
    outbox: Outbox,
    part: Option<Arc<Part>>,
    /// Ends what the threads read and copy, once it serves nothing any more.
    watch: Arc<WalkWatch>,
    /// Entries that the next command is about.
    entries: EntrySet,
    is_linked: bool,
    waiting: Vec<Prepare>,
    turns: BTreeMap<u32, Turn>,
    happened: mpsc::UnboundedSender<Happening>,
    happenings: mpsc::UnboundedReceiver<Happening>,
}

impl Member {
    fn new(node: Arc<Node>, gather: SessionId, outbox: Outbox) -> Self {
        let (happened, happenings) = mpsc::unbounded_channel();
        Self {
            node,
            gather,
            outbox,
            part: None,
            watch: Arc::default(),
            entries: EntrySet::new(),
            is_linked: false,
            waiting: Vec::new(),
            turns: BTreeMap::new(),
            happened,
            happenings,
        }
    }

    /// Does what the coordinator says until the end of the gather.
    async fn run(
        mut self,
        mut reader: ChannelReader,
        mut stop: watch::Receiver<Option<String>>,
    ) -> Result<(), Failure> {
        self.list();
        let mut ticks = tokio::time::interval(ALIVE);
        let mut heard_at = Instant::now();
        let result = loop {
            tokio::select! {
                message = read(&mut reader) => {
                    heard_at = Instant::now();
                    let message = match message {
                        Ok(Some(message)) => message,
                        Ok(None) => break Err(gone("it closed the connection")),
                        Err(reason) => break Err(gone(&reason)),
                    };
                    match message {
                        ToMember::End => break Ok(()),
                        ToMember::Abort { reason } | ToMember::Refused { reason } => {
                            break Err(Failure::Failed(format!("broken off: {reason}")));
                        }
                        message => self.obey(message),
                    }
                }
                Some(happening) = self.happenings.recv() => {
                    if let Err(reason) = self.take_in(happening) {
                        self.tell(ToCoordinator::Failed { reason: reason.clone() });
                        break Err(Failure::Failed(reason));
                    }
                }
                _ = ticks.tick() => {
                    self.tell(ToCoordinator::Alive);
                    if heard_at.elapsed() >= SENDER_SILENCE_MAX {
                        let seconds = SENDER_SILENCE_MAX.as_secs();
                        break Err(gone(&format!("nothing was heard of it for {seconds} s")));
                    }
                }
                Ok(()) = stop.changed() => {
                    let reason = stop.borrow_and_update().clone();
                    if let Some(reason) = reason {
                        self.tell(ToCoordinator::Failed { reason: reason.clone() });
                        break Err(Failure::Failed(reason));
                    }
                }
            }
        };
        self.watch.stop();
        let turns = std::mem::take(&mut self.turns);
        let own_copies = self.node.own_copies.lock();
        own_copies.unwrap_or_else(PoisonError::into_inner).clear();
        turn::end_all(turns.into_values(), "the gather is over for this node").await;
        result
    }

    fn tell(&self, message: ToCoordinator) {
        // A connection that is gone is noticed by its reader.
        let _gone = self.outbox.send(message);
    }

    /// Runs `work` beside everything else.
    fn spawn(&self, work: impl FnOnce(&Outbox) -> Option<Happening> + Send + 'static) {
        let (outbox, happened) = (self.outbox.clone(), self.happened.clone());
        tokio::task::spawn_blocking(move || {
            if let Some(happening) = work(&outbox) {
                let _over = happened.send(happening);
            }
        });
    }

    fn list(&self) {
        let share = self.node.share.clone();
        let watch = Arc::clone(&self.watch);
        self.spawn(move |outbox| {
            let part = Part::list(share.as_deref(), &watch, outbox);
            Some(Happening::Listed(part))
        });
    }

    fn take_in(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Listed(part) => {
                let part = part?;
                let skipped = part.source.skipped().len() as u64;
                self.part = Some(part);
                // Not before: what the coordinator then wants may be done with the part alone.
                self.tell(ToCoordinator::Listed { skipped });
            }
            Happening::Failed(reason) => return Err(reason),
            Happening::Linked => {
                self.is_linked = true;
                for prepare in std::mem::take(&mut self.waiting) {
                    self.prepare(prepare);
                }
            }
        }
        Ok(())
    }

    fn obey(&mut self, message: ToMember) {
        match message {
            ToMember::Entries { numbers } => {
                for run in numbers.runs() {
                    self.entries.insert_range(run);
                }
            }
            ToMember::Hash => {
                let (part, entries) = (self.part.clone(), std::mem::take(&mut self.entries));
                let watch = Arc::clone(&self.watch);
                self.spawn(move |outbox| {
                    part?.hash(&entries, &watch, outbox);
                    None
                });
            }
            ToMember::Place => self.place(),
            ToMember::Prepare {
                turn,
                session,
                receivers,
            } => {
                let prepare = Prepare {
                    turn,
                    session,
                    receivers,
                    entries: std::mem::take(&mut self.entries),
                };
                if self.is_linked {
                    self.prepare(prepare);
                } else {
                    self.waiting.push(prepare);
                }
            }
            ToMember::Start { turn, rate } => {
                let rate = rate.map(Rate::from_bytes_per_second);
                self.steer(turn, Steer::Start(rate));
            }
            ToMember::Cap { turn, rate } => {
                self.steer(turn, Steer::Cap(Rate::from_bytes_per_second(rate)));
            }
            _ => {}
        }
    }

    fn place(&mut self) {
        let (part, dropped) = (self.part.clone(), std::mem::take(&mut self.entries));
        let (node, watch) = (Arc::clone(&self.node), Arc::clone(&self.watch));
        let (gather, happened) = (self.gather, self.happened.clone());
        self.spawn(move |outbox| {
            let linked = || {
                let _over = happened.send(Happening::Linked);
            };
            let destination = match node.destination.as_named() {
                Ok(destination) => destination,
                Err(reason) => return Some(Happening::Failed(reason)),
            };
            let Destination::Directory(sink) = &*destination else {
                return Some(Happening::Failed("it takes no directories".into()));
            };
            match part?.place(sink, gather, &dropped, &watch, linked) {
                Ok(OwnPlaced { bytes, changed }) => {
                    let skipped = changed.len() as u64;
                    for path in changed {
                        let path = path.display();
                        node.notes.of(gather).tell(format_args!(
                            "{path}: left out, as it changed or went before it was copied here"
                        ));
                    }
                    let _gone = outbox.send(ToCoordinator::Placed { bytes, skipped });
                    None
                }
                Err(reason) => Some(Happening::Failed(reason)),
            }
        });
    }

    fn steer(&self, turn: u32, word: Steer) {
        if let Some(turn) = self.turns.get(&turn) {
            turn.steer(word);
        }
    }

    fn prepare(&mut self, prepare: Prepare) {
        let Some(part) = self.part.clone() else {
            return;
        };
        let turn = prepare.turn;
        let own_copies = self.node.own_copies.lock();
        own_copies
            .unwrap_or_else(PoisonError::into_inner)
            .push(prepare.session);
        match Turn::begin(&self.node, &part, prepare, self.outbox.clone()) {
            Ok(running) => {
                self.turns.insert(turn, running);
            }
            Err(error) => self.tell(ToCoordinator::Ended {
                turn,
                reason: Some(format!("cannot start a thread: {error}")),
                skipped: 0,
            }),
        }
    }
}

fn gone(reason: &str) -> Failure {
    Failure::SenderGone(format!("the coordinator is gone: {reason}"))
}

async fn read(reader: &mut ChannelReader) -> Result<Option<ToMember>, String> {
    match reader
        .read_frame()
        .await
        .map_err(|error| error.to_string())?
    {
        Some(frame) => decode_to_member(&frame)
            .map(Some)
            .map_err(|error| error.to_string()),
        None => Ok(None),
    }
}

async fn write_all(
    mut writer: ChannelWriter,
    mut messages: mpsc::UnboundedReceiver<ToCoordinator>,
) {
    while let Some(message) = messages.recv().await {
        if writer.write_frame(&encode(&message)).await.is_err() {
            return;
        }
    }
    let _gone = writer.close().await;
}
