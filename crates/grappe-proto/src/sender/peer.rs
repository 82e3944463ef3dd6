//! What the sender knows of one receiver.

use std::time::Duration;

use super::lateness::Lateness;
use crate::content::block_set::BlockSet;
use crate::limits::{PEER_SILENCE_MAX, RING_FILLING_PERMILLE};
use crate::seal::SealKey;
use crate::session::{LimitedBy, NodeState, Way};
use crate::units::{BlockIndex, PeerId, Rate, Sequence, Time};
use crate::wire::control::Done;

/// A receiver that reports but hears nothing for so long is out of the group's reach. Beats always come,
/// so this is three times the silence that proves a loss.
const DEAF_MAX: Duration = Duration::from_secs(15);

/// A receiver that hears but stores nothing for so long never will: longer than disks flush.
const STUCK_MAX: Duration = Duration::from_secs(60);

/// Time over which deliveries are counted: longer than packets wait in queues.
const DELIVERY_TIME: Duration = Duration::from_millis(400);

/// One receiver, from its greeting to its end.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) name: String,
    pub(super) stage: Stage,
    /// Whether it heard the group once, whatever became of it since.
    pub(super) has_joined: bool,
    pub(super) role: Role,
    /// The turn that it was given last, and whether it has begun it.
    pub(super) turn: u32,
    pub(super) in_turn: bool,
    /// Where its turn began.
    pub(super) from: BlockIndex,
    /// What it had stored when it last said so.
    pub(super) have: BlockSet,
    /// Sent apart from the others at least once.
    pub(super) apart: Option<Apart>,
    /// When it was tried last whether it limits the others, and it did not.
    pub(super) kept_up_at: Option<Time>,
    pub(super) report_key: SealKey,
    /// Number of its latest report; older ones are stale or replayed.
    pub(super) report_last: Option<Sequence>,
    pub(super) heard_at: Time,
    pub(super) highest: Sequence,
    pub(super) received: u64,
    /// Those among them that carried content, and the beats that were sent when that was counted last.
    pub(super) carried: u64,
    beats_seen: u64,
    /// The rate at which packets reach it, over the last second or so, and the count that it began with.
    pub(super) delivered: Option<Rate>,
    delivered_from: (Time, u64),
    /// When `highest` grew last.
    pub(super) hearing_at: Time,
    pub(super) stored_below: BlockIndex,
    /// When `stored_below` grew last.
    pub(super) storing_at: Time,
    /// Packets before this one count as processed: it was not meant to hear them.
    pub(super) base: Sequence,
    /// Packets that may be on the way to it.
    pub(super) credit: u64,
    pub(super) store_backlog: u16,
    pub(super) ring_permille: u16,
    pub(super) lateness: Lateness,
    /// How content gets to it, and what is known of that.
    pub(super) way: Way,
    /// What it had received when packets became large, or a while ago.
    pub(super) large: Option<Large>,
    /// Whether those ceased to arrive.
    pub(super) is_narrow: bool,
    /// Since when it should hear the soundings of the group.
    pub(super) tested_from: Time,
    /// Whether the manifest was sent on its control connection.
    pub(super) has_manifest: bool,
    /// The port at which others can get blocks from it.
    pub(super) serves_at: Option<u16>,
    /// Reports in the pipeline, and those among them with a store that was behind.
    pub(super) piped_reports: (u32, u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Greeted; has not joined the group yet.
    Greeted,
    /// Hears the group.
    Joined,
    /// Has the manifest and room for the content.
    Ready,
    /// Ended.
    Ended {
        state: NodeState,
        reason: Option<String>,
        done: Done,
        at: Time,
    },
}

/// A receiver's part in the present pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Takes part.
    Member,
    /// Waits for a turn.
    Waiting,
    /// Has everything and verifies or places it, while another pass is on.
    Finishing,
    /// Came late; whether it hears the group is being found out.
    Testing,
    /// Gets its content through the pipeline, outside of all passes.
    Piped,
}

/// How far a receiver was at some time, to tell whether large packets reach it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Large {
    pub(super) since: Time,
    pub(super) received: u64,
    pub(super) highest: Sequence,
    /// Packets that its socket had dropped.
    pub(super) dropped: u32,
    /// Beats that were sent by then.
    pub(super) beats: u64,
    /// Whether hardly any large packet came in the time before.
    pub(super) is_suspicious: bool,
}

/// Why and since when a receiver is sent apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Apart {
    pub(super) cause: LimitedBy,
    /// What that is called to the user.
    pub(super) named: LimitedBy,
    pub(super) since: Time,
    /// How often so far.
    pub(super) times: u32,
    /// The rate that it takes, where its link was the cause.
    pub(super) knee: Option<Rate>,
}

impl Peer {
    pub(super) fn new(id: PeerId, name: String, report_key: SealKey, now: Time) -> Self {
        Self {
            id,
            name,
            stage: Stage::Greeted,
            has_joined: false,
            role: Role::Member,
            turn: 0,
            in_turn: true,
            from: BlockIndex(0),
            have: BlockSet::new(),
            apart: None,
            kept_up_at: None,
            report_key,
            report_last: None,
            heard_at: now,
            highest: Sequence(0),
            received: 0,
            carried: 0,
            beats_seen: 0,
            delivered: None,
            delivered_from: (now, 0),
            hearing_at: now,
            stored_below: BlockIndex(0),
            storing_at: now,
            base: Sequence(0),
            credit: 0,
            store_backlog: 0,
            ring_permille: 0,
            lateness: Lateness::default(),
            way: Way::default(),
            large: None,
            is_narrow: false,
            tested_from: now,
            has_manifest: false,
            serves_at: None,
            piped_reports: (0, 0),
        }
    }

    /// Takes note of how many packets it has received in all, and how many beats were sent until now.
    pub(super) fn note_delivery(
        &mut self,
        now: Time,
        received: u64,
        beats: u64,
        packet_bytes: u64,
    ) {
        // Who hears packets hears the beats among them.
        let beats_between = beats - std::mem::replace(&mut self.beats_seen, beats);
        let between = received - self.received;
        self.carried += between.saturating_sub(beats_between);
        self.received = received;
        let (since, before) = self.delivered_from;
        let elapsed = now.since(since);
        if elapsed >= DELIVERY_TIME {
            let bytes = (self.carried - before).saturating_mul(packet_bytes) as f64;
            let rate = bytes / elapsed.as_secs_f64();
            self.delivered = Some(Rate::from_bytes_per_second(rate as u64));
            self.delivered_from = (now, self.carried);
        }
    }

    /// Has joined and has not ended.
    pub(super) fn is_present(&self) -> bool {
        matches!(self.stage, Stage::Joined | Stage::Ready)
    }

    /// Takes part in the present pass.
    pub(super) fn is_live(&self) -> bool {
        self.is_present() && self.role == Role::Member
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.is_present() && self.role == Role::Waiting
    }

    /// Gets its content through the pipeline.
    pub(super) fn is_piped(&self) -> bool {
        self.is_present() && self.role == Role::Piped
    }

    /// The packet up to which it needs no more room.
    pub(super) fn heard(&self) -> Sequence {
        self.highest.max(self.base)
    }

    /// Packets that may be on the way to it: `stretch` times what its buffer takes, unless it said that it
    /// fills.
    pub(super) fn credit_in_all(&self, stretch: u64) -> u64 {
        if self.ring_permille >= RING_FILLING_PERMILLE {
            self.credit
        } else {
            self.credit.saturating_mul(stretch)
        }
    }

    /// Packets before this number may leave without overrunning its buffer, as far as is known.
    pub(super) fn credit_end(&self, stretch: u64) -> u64 {
        self.heard().0.saturating_add(self.credit_in_all(stretch))
    }

    /// What held it back when it was sent apart.
    pub(super) fn apart_for(&self) -> Option<LimitedBy> {
        self.apart.map(|apart| apart.named)
    }

    /// Why this receiver keeps the others waiting in vain, if it does.
    pub(super) fn reason_to_bury(&self, now: Time, is_flowing: bool) -> Option<String> {
        let seconds = |time: Duration| time.as_secs();
        if now.since(self.heard_at) >= PEER_SILENCE_MAX {
            return Some(format!("silent for {} s", seconds(PEER_SILENCE_MAX)));
        }
        if !is_flowing || !(self.is_live() || self.is_piped()) {
            return None;
        }
        if self.is_live() && now.since(self.hearing_at) >= DEAF_MAX {
            return Some(format!(
                "reports, but heard no packet of the group for {} s",
                seconds(DEAF_MAX)
            ));
        }
        if now.since(self.storing_at) >= STUCK_MAX {
            return Some(format!(
                "reports, but stored nothing more for {} s",
                seconds(STUCK_MAX)
            ));
        }
        None
    }

    /// Leaves a time out of account in which the sender heard nobody.
    pub(super) fn excuse(&mut self, gap: Duration) {
        for since in [
            &mut self.heard_at,
            &mut self.hearing_at,
            &mut self.storing_at,
            &mut self.tested_from,
        ] {
            *since = *since + gap;
        }
    }

    /// Has the manifest and room for the content.
    pub(super) fn is_prepared(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// Can take part in the content of the present pass.
    pub(super) fn is_ready(&self) -> bool {
        self.stage == Stage::Ready && self.in_turn
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_senders_own_standstill_is_nobodys_silence() {
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let mut peer = Peer::new(
            PeerId(0),
            "n1".into(),
            SealKey::new(crate::seal::Suite::Aes128Gcm, &[0; 16]),
            at(0),
        );
        assert!(peer.reason_to_bury(at(6), true).is_some());
        peer.excuse(Duration::from_secs(5));
        assert_eq!(peer.reason_to_bury(at(6), true), None);
    }
}
