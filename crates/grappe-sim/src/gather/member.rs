//! A member of a simulated gather: what it was told, what it answers and when, what it has.

use std::collections::BTreeSet;
use std::time::Duration;

use grappe_proto::content::manifest::{Entry, Manifest};
use grappe_proto::gather::plan::EntrySet;
use grappe_proto::units::{BlockIndex, Rate, Time};
use grappe_proto::wire::gather::{ToCoordinator, ToMember, TurnProgress, TurnResult};

use super::{FIRST_RATE, size_of};
use crate::random::Random;

/// Messages take so long, at most, and so does what a member does before it answers.
const WAY_MAX: Duration = Duration::from_millis(3);
const WORK_MAX: Duration = Duration::from_millis(200);

/// How often a turn tells how far it is, and a member that it is there.
const PROGRESS: Duration = Duration::from_millis(100);
const ALIVE: Duration = Duration::from_secs(1);

/// A rate that has not met the link doubles in such a time.
const DOUBLES: Duration = Duration::from_millis(15);

type Said = Vec<(Time, Result<ToCoordinator, String>)>;

pub(super) struct Member {
    pub(super) name: String,
    pub(super) entries: Vec<Entry>,
    /// Paths of all that it has under its directory.
    pub(super) has: BTreeSet<Vec<u8>>,
    /// When it dies, and whether its connection tells.
    death: Option<(Time, bool)>,
    is_buried: bool,
    random: Random,
    picked: EntrySet,
    turns: Vec<Turn>,
    outbox: Said,
    told_at: Time,
    /// The last message leaves no earlier: they keep their order.
    leaves_at: Time,
}

struct Turn {
    number: u32,
    entries: Vec<Entry>,
    receivers: Vec<String>,
    /// Bytes still to be sent; none before it may flow.
    left: Option<u64>,
    bytes: u64,
    rate: Rate,
    cap: Option<Rate>,
    knee: u64,
    /// Packets of 1,433 bytes, and those for what the links did not carry.
    packets: f64,
    repairs: f64,
    told_at: Time,
}

/// A turn whose content was all sent.
pub(super) struct SentTurn {
    pub(super) number: u32,
    pub(super) entries: Vec<Entry>,
    pub(super) receivers: Vec<String>,
}

impl Member {
    pub(super) fn new(
        name: String,
        entries: Vec<Entry>,
        death: Option<(Time, bool)>,
        random: Random,
    ) -> Self {
        Self {
            name,
            has: BTreeSet::new(),
            entries,
            death,
            is_buried: false,
            random,
            picked: EntrySet::new(),
            turns: Vec::new(),
            outbox: Vec::new(),
            told_at: Time::ZERO,
            leaves_at: Time::ZERO,
        }
    }

    pub(super) fn is_dead(&self, now: Time) -> bool {
        self.death.is_some_and(|(at, _)| at <= now)
    }

    pub(super) fn gets(&mut self, entry: &Entry) {
        self.has.insert(entry.path.clone());
    }

    /// Hears a message of the coordinator, and answers after a while.
    pub(super) fn hear(&mut self, message: &ToMember, now: Time) {
        if self.is_dead(now) {
            return;
        }
        match message {
            ToMember::Welcome { .. } => {
                let entries = self.entries.clone();
                let manifest = Manifest {
                    entries,
                    ..Manifest::default()
                };
                let bytes = manifest.encode();
                self.answer(now, ToCoordinator::Listing { bytes });
                self.answer(now, ToCoordinator::Listed { skipped: 0 });
            }
            ToMember::Entries { numbers } => {
                for run in numbers.runs() {
                    self.picked.insert_range(run);
                }
            }
            ToMember::Hash => {
                let picked = std::mem::take(&mut self.picked);
                let hash = |entry: &Entry| *blake3::hash(&entry.path).as_bytes();
                let bytes = self.picked_of(&picked).iter().flat_map(hash).collect();
                self.answer(now, ToCoordinator::Hashes { bytes });
            }
            ToMember::Place => {
                let dropped = std::mem::take(&mut self.picked);
                let kept = (0_u32..).zip(&self.entries);
                let kept = kept.filter(|(number, _)| !dropped.contains(BlockIndex(*number)));
                let paths: Vec<Vec<u8>> = kept.map(|(_, entry)| entry.path.clone()).collect();
                self.has.extend(paths);
                self.answer(
                    now,
                    ToCoordinator::Placed {
                        bytes: 0,
                        skipped: 0,
                    },
                );
            }
            ToMember::Prepare {
                turn, receivers, ..
            } => {
                let receivers = receivers.iter().map(|it| it.name.clone()).collect();
                self.prepare(*turn, receivers, now);
            }
            ToMember::Start { turn, rate } => {
                if let Some(turn) = self.turn(*turn) {
                    turn.left = Some(turn.bytes);
                    if let Some(rate) = rate {
                        turn.rate = Rate::from_bytes_per_second(*rate);
                        turn.knee = *rate;
                    }
                }
            }
            ToMember::Cap { turn, rate } => {
                if let Some(turn) = self.turn(*turn) {
                    let cap = Rate::from_bytes_per_second(*rate);
                    if turn.knee > 0 {
                        turn.rate = cap;
                    }
                    turn.cap = Some(cap);
                }
            }
            _ => {}
        }
    }

    fn prepare(&mut self, number: u32, receivers: Vec<String>, now: Time) {
        let picked = std::mem::take(&mut self.picked);
        let entries = self.picked_of(&picked);
        self.turns.push(Turn {
            number,
            bytes: entries.iter().map(size_of).sum(),
            entries,
            receivers,
            left: None,
            rate: FIRST_RATE,
            cap: None,
            knee: 0,
            packets: 0.0,
            repairs: 0.0,
            told_at: now,
        });
        self.answer(now, ToCoordinator::Prepared { turn: number });
    }

    fn turn(&mut self, number: u32) -> Option<&mut Turn> {
        self.turns.iter_mut().find(|turn| turn.number == number)
    }

    fn picked_of(&self, picked: &EntrySet) -> Vec<Entry> {
        let entries = (0_u32..).zip(&self.entries);
        let picked = entries.filter(|(number, _)| picked.contains(BlockIndex(*number)));
        picked.map(|(_, entry)| entry.clone()).collect()
    }

    fn answer(&mut self, now: Time, message: ToCoordinator) {
        let at = now + self.random.duration(WORK_MAX);
        self.leaves_at = self.leaves_at.max(at);
        self.outbox.push((self.leaves_at, Ok(message)));
    }

    fn say(&mut self, now: Time, message: ToCoordinator) {
        let at = now + self.random.duration(WAY_MAX);
        self.leaves_at = self.leaves_at.max(at);
        self.outbox.push((self.leaves_at, Ok(message)));
    }

    /// What it says by `now`; nothing once it is dead, but its connection may tell that.
    pub(super) fn step(&mut self, now: Time, more: &[ToCoordinator]) -> Said {
        if let Some((at, is_told)) = self.death
            && at <= now
        {
            self.outbox.clear();
            let is_news = is_told && !std::mem::replace(&mut self.is_buried, true);
            let reason = "closed its connection".to_owned();
            return is_news.then_some((now, Err(reason))).into_iter().collect();
        }
        for message in more {
            self.say(now, message.clone());
        }
        if now.since(self.told_at) >= ALIVE {
            self.told_at = now;
            self.say(now, ToCoordinator::Alive);
        }
        // What is still being worked on stays with the member: it may die before.
        let (ready, later) = std::mem::take(&mut self.outbox)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.outbox = later;
        ready
    }

    /// Bytes that it sends a second at present, all turns together.
    pub(super) fn sends(&self, now: Time) -> u64 {
        if self.is_dead(now) {
            return 0;
        }
        let flowing = self.turns.iter().filter(|turn| turn.left.is_some());
        flowing.map(|turn| turn.rate.bytes_per_second()).sum()
    }

    /// Sends for `step`, of which the links carry the share `carried`. Answers the turns that have now sent
    /// everything.
    pub(super) fn send(
        &mut self,
        step: Duration,
        carried: f64,
        link: u64,
        now: Time,
    ) -> Vec<SentTurn> {
        let (mut sent, mut said) = (Vec::new(), Vec::new());
        for turn in &mut self.turns {
            let Some(left) = turn.left else { continue };
            let bytes = turn.rate.scaled(carried).bytes_in(step);
            let packets = turn.rate.bytes_in(step) as f64 / 1433.0;
            turn.packets += packets;
            turn.repairs += packets * (1.0 - carried);
            let left = left.saturating_sub(bytes);
            turn.left = Some(left);
            if carried < 0.985 {
                turn.knee = turn.rate.scaled(carried).bytes_per_second().min(link);
                turn.rate = turn.rate.scaled(carried * 0.97);
            } else if turn.knee == 0 {
                let doubled = 2_f64.powf(step.as_secs_f64() / DOUBLES.as_secs_f64());
                turn.rate = turn.rate.scaled(doubled);
            } else {
                turn.rate = turn.rate.scaled(1.0007);
            }
            turn.rate = turn.cap.map_or(turn.rate, |cap| turn.rate.min(cap));
            let number = turn.number;
            if now.since(turn.told_at) >= PROGRESS {
                turn.told_at = now;
                let progress = TurnProgress {
                    left,
                    rate: turn.rate.bytes_per_second(),
                    allowed: turn.rate.bytes_per_second(),
                    knee: turn.knee,
                    packets: turn.packets as u64,
                    repairs: turn.repairs as u64,
                };
                said.push(ToCoordinator::Progress {
                    turn: number,
                    progress,
                });
            }
            if left == 0 {
                said.push(ToCoordinator::SentOnce { turn: number });
                sent.push(SentTurn {
                    number,
                    entries: turn.entries.clone(),
                    receivers: turn.receivers.clone(),
                });
            }
        }
        self.turns.retain(|turn| turn.left != Some(0));
        for message in said {
            self.say(now, message);
        }
        sent
    }

    /// Tells what became of the receivers of a turn.
    pub(super) fn tell_results(
        &mut self,
        turn: u32,
        results: &[(String, bool)],
        now: Time,
    ) -> Said {
        for (name, is_complete) in results {
            let result = TurnResult {
                name: name.clone(),
                state: if *is_complete { 0 } else { 2 },
                ..TurnResult::default()
            };
            self.answer(now, ToCoordinator::Result { turn, result });
        }
        let (reason, skipped) = (None, 0);
        self.answer(
            now,
            ToCoordinator::Ended {
                turn,
                reason,
                skipped,
            },
        );
        Vec::new()
    }
}
