//! Who is far slower than the others, and what becomes of it: it is sent apart, or given up.
//!
//! A receiver is far slower when it holds all others more than half of the time. One whose disk or
//! processor stood still comes back as soon as it has caught up, at most every so often.

use std::time::Duration;

use super::peer::{Apart, Peer, Role};
use super::{Event, Output, Sender};
use crate::limits::WINDOW_BLOCKS;
use crate::session::{LimitedBy, NodeState, Straggler};
use crate::units::{PeerId, Time};
use crate::wire::control::ToReceiver;
use crate::wire::report::Report;

/// For so long, on balance, some may hold the others. A buffer that is full for a moment is no more
/// than a process that was not scheduled.
const WINDOW_PATIENCE: Duration = Duration::from_millis(100);
const BUFFER_PATIENCE: Duration = Duration::from_millis(400);
const PREPARE_PATIENCE: Duration = Duration::from_secs(3);

/// Who hears the group, says that nothing waits to be stored, and yet stores nothing for so long, loses
/// nearly everything, repairs too: the others wait for those.
const REPAIR_PATIENCE: Duration = Duration::from_millis(500);

/// Who holds the others and has not reported for so long stands still. Who only hears nothing still reports every 200 ms.
const SILENT_MIN: Duration = Duration::from_millis(300);

/// A receiver that has caught up comes back after so long the first time, four times as long the next.
const APART_MIN: Duration = Duration::from_millis(200);
const APART_MAX: Duration = Duration::from_secs(60);

/// So many reports at least must say it: in a large group they are seldom.
const REPORTS: u32 = 4;

/// What a receiver that holds the others has not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Processed the packets in its buffer.
    Buffer,
    /// Stored the blocks of its window.
    Window,
    /// Prepared for the files.
    Prepare,
}

impl Hold {
    const fn patience(self) -> Duration {
        match self {
            Self::Buffer => BUFFER_PATIENCE,
            Self::Window => WINDOW_PATIENCE,
            Self::Prepare => PREPARE_PATIENCE,
        }
    }
}

/// Of fewer receivers than these all but one must wait, and for the same one: three quarters are no more than that.
const FEW: usize = 4;

/// How often it is looked at, at most: a look goes through all receivers.
const LOOK: Duration = Duration::from_millis(5);

/// How long some have held the others: grows while they do, falls while they do not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    level: Duration,
    at: Time,
    by: Option<Hold>,
    /// When it was looked at last whether most wait for some, and whether they did.
    looked: Option<(Time, bool)>,
    /// Of few receivers, the one that the others waited for last.
    holder: Option<PeerId>,
}

impl Held {
    pub(super) const fn new(now: Time) -> Self {
        Self {
            level: Duration::ZERO,
            at: now,
            by: None,
            looked: None,
            holder: None,
        }
    }

    /// Takes note of what holds the others from `now` on; says what has held them for too long, at least
    /// for `least`.
    pub(super) fn note(&mut self, now: Time, by: Option<Hold>, least: Duration) -> Option<Hold> {
        let passed = now.since(self.at);
        let patience = |hold: Hold| hold.patience().max(least);
        match self.by {
            Some(hold) => self.level = (self.level + passed).min(patience(hold)),
            None => self.level = self.level.saturating_sub(passed),
        }
        let held = self.by.filter(|hold| self.level >= patience(*hold));
        (self.at, self.by) = (now, by);
        held.filter(|hold| by == Some(*hold))
    }
}

impl Sender {
    /// Takes note of what holds the sender, and parts with those who have held all others too long.
    pub(super) fn note_held(&mut self, now: Time, by: Option<Hold>) {
        if self.setup.straggler == Straggler::Wait {
            return;
        }
        let by = by.filter(|hold| self.do_most_wait(*hold, now));
        // Who has not reported yet is not slow for that.
        let least = self.report_interval_most() * REPORTS;
        let Some(hold) = self.held.note(now, by, least) else {
            return;
        };
        let holds = |peer: &&Peer| self.holds(peer, hold);
        let slow: Vec<PeerId> = self.live().filter(holds).map(|peer| peer.id).collect();
        if slow.len() * 2 > self.live().count() {
            return;
        }
        for id in slow {
            let cause = self.cause_of_hold(id, hold, now);
            self.part_with(id, cause, now);
        }
    }

    /// Parts with a receiver that just reported, if repairs do not help it and the others get on.
    pub(super) fn note_repaired_in_vain(&mut self, id: PeerId, now: Time) {
        let patience = REPAIR_PATIENCE.max(self.report_interval_most() * 2 * REPORTS);
        let is_helpless = |peer: &Peer| {
            peer.store_backlog == 0
                && peer.ring_permille == 0
                && now.since(peer.storing_at) >= patience
                && now.since(peer.hearing_at) < patience
                // What the sender's disk has not given again yet, nobody could be given.
                && self.ready.contains(&peer.stored_below)
        };
        let concerned = self.peers.get(id.as_usize()).filter(|peer| peer.is_live());
        if self.setup.straggler == Straggler::Wait || !concerned.is_some_and(is_helpless) {
            return;
        }
        let helpless = self.live().filter(|peer| is_helpless(peer)).count();
        if helpless * 2 <= self.live().count() {
            self.part_with(id, LimitedBy::Network, now);
        }
    }

    /// Whether most receivers have nothing to do but wait for some: three quarters of them, of few all but one. When
    /// they are all alike, each holds the others now and then, and nobody is slow.
    fn do_most_wait(&mut self, hold: Hold, now: Time) -> bool {
        if let Some((looked, did)) = self.held.looked
            && now.since(looked) < LOOK
        {
            return did;
        }
        let (mut all, mut holding, mut last) = (0, 0, None);
        for peer in self.live() {
            all += 1;
            if !self.waits(peer, hold) {
                holding += 1;
                last = Some(peer.id);
            }
        }
        let do_most = (1..all).contains(&holding) && holding <= (all / 4).max(1);
        if do_most && all < FEW && std::mem::replace(&mut self.held.holder, last) != last {
            // Now one, now the other: none of them is slow.
            self.held.level = Duration::ZERO;
        }
        self.held.looked = Some((now, do_most));
        do_most
    }

    fn waits(&self, peer: &Peer, hold: Hold) -> bool {
        match hold {
            Hold::Buffer => {
                let (room, credit) = self.room_of(peer);
                room >= credit / 4 * 3
            }
            Hold::Window | Hold::Prepare => !self.holds(peer, hold),
        }
    }

    /// How many packets may still leave to a receiver, and how many may be on the way in all.
    fn room_of(&self, peer: &Peer) -> (u64, u64) {
        let stretch = self.stretch();
        let room = peer.credit_end(stretch).saturating_sub(self.sequence);
        (room, peer.credit_in_all(stretch))
    }

    fn holds(&self, peer: &Peer, hold: Hold) -> bool {
        match hold {
            Hold::Buffer => {
                let (room, credit) = self.room_of(peer);
                room < credit / 2
            }
            Hold::Window => peer.stored_below.0 + WINDOW_BLOCKS / 2 <= self.cursor.0.0,
            Hold::Prepare => !peer.is_ready(),
        }
    }

    /// Serves a receiver apart from now on, or gives it up, as the user wants.
    pub(super) fn part_with(&mut self, id: PeerId, cause: LimitedBy, now: Time) {
        let named = self.named(id, cause);
        let reason = format!("far slower than the others ({})", named.as_str());
        if self.setup.straggler == Straggler::Drop {
            let told = ToReceiver::Abort {
                reason: reason.clone(),
            };
            self.outputs.push_back(Output::Control(id, told));
            return self.ended(id, NodeState::Failed, reason, now);
        }
        let Some(peer) = self.peers.get_mut(id.as_usize()) else {
            return;
        };
        peer.role = Role::Waiting;
        // What trickled in last before nothing came is no rate that it takes.
        let hears = now.since(peer.hearing_at) < SILENT_MIN;
        let knee = (peer.delivered).filter(|_| cause == LimitedBy::Network && hears);
        peer.apart = Some(Apart {
            cause,
            named,
            since: now,
            times: peer.apart.map_or(0, |apart| apart.times) + 1,
            knee,
        });
        let name = peer.name.clone();
        self.outputs
            .push_back(Output::Control(id, ToReceiver::Pause));
        self.outputs
            .push_back(Output::Event(Event::Demoted(name, reason)));
        self.rate.forget(id);
        self.refresh_floor();
    }

    /// A report of a receiver that has no part in the pass.
    pub(super) fn report_apart(&mut self, id: PeerId, report: &Report, now: Time) {
        let end = self.end();
        let Some(peer) = self.peers.get_mut(id.as_usize()) else {
            return;
        };
        match peer.role {
            Role::Finishing if report.turn == peer.turn && report.stored_below < end => {
                // It found a block that differs.
                peer.role = Role::Waiting;
            }
            Role::Waiting if has_caught_up(peer, now) => self.try_to_admit(id, now),
            _ => {}
        }
    }

    /// Why a receiver holds the others, as far as its reports tell.
    fn cause_of_hold(&self, id: PeerId, hold: Hold, now: Time) -> LimitedBy {
        let Some(peer) = self.peers.get(id.as_usize()) else {
            return LimitedBy::Network;
        };
        let patience = SILENT_MIN.max(self.report_interval_most() * REPORTS);
        let is_silent = now.since(peer.heard_at) >= patience;
        match hold {
            Hold::Prepare => LimitedBy::Disk,
            // A slow link lets reports pass.
            Hold::Buffer | Hold::Window if is_silent => LimitedBy::Host,
            Hold::Buffer | Hold::Window => Self::cause(peer),
        }
    }
}

/// Whether a receiver that was sent apart may take part again.
pub(super) fn has_caught_up(peer: &Peer, now: Time) -> bool {
    let Some(apart) = peer.apart else {
        return false;
    };
    let rest = APART_MIN * 4_u32.saturating_pow(apart.times.saturating_sub(1).min(8));
    apart.cause != LimitedBy::Network
        && peer.is_prepared()
        && peer.store_backlog == 0
        && peer.ring_permille == 0
        && now.since(apart.since) >= rest.min(APART_MAX)
}
