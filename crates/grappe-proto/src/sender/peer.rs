//! What the sender knows of one receiver.

use std::time::Duration;

use crate::limits::PEER_SILENCE_MAX;
use crate::seal::SealKey;
use crate::session::NodeState;
use crate::units::{BlockIndex, PeerId, Sequence, Time};
use crate::wire::control::Done;

/// A receiver that reports but hears nothing for so long is out of the group's reach. Beats always come,
/// so this is three times the silence that proves a loss.
const DEAF_MAX: Duration = Duration::from_secs(15);

/// A receiver that hears but stores nothing for so long never will: longer than disks flush.
const STUCK_MAX: Duration = Duration::from_secs(60);

/// One receiver, from its greeting to its end.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) name: String,
    pub(super) stage: Stage,
    /// Whether it heard the group once, whatever became of it since.
    pub(super) has_joined: bool,
    pub(super) report_key: SealKey,
    /// Number of its latest report; older ones are stale or replayed.
    pub(super) report_last: Option<Sequence>,
    pub(super) heard_at: Time,
    pub(super) highest: Sequence,
    pub(super) received: u64,
    /// When `highest` grew last.
    pub(super) hearing_at: Time,
    pub(super) stored_below: BlockIndex,
    /// When `stored_below` grew last.
    pub(super) storing_at: Time,
    /// Packets that may be on the way to it.
    pub(super) credit: u64,
    pub(super) store_backlog: u16,
    pub(super) ring_permille: u16,
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

impl Peer {
    pub(super) fn new(id: PeerId, name: String, report_key: SealKey, now: Time) -> Self {
        Self {
            id,
            name,
            stage: Stage::Greeted,
            has_joined: false,
            report_key,
            report_last: None,
            heard_at: now,
            highest: Sequence(0),
            received: 0,
            hearing_at: now,
            stored_below: BlockIndex(0),
            storing_at: now,
            credit: 0,
            store_backlog: 0,
            ring_permille: 0,
        }
    }

    /// Hears the group and has not ended.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Joined | Stage::Ready)
    }

    /// Why this receiver keeps the others waiting in vain, if it does.
    pub(super) fn reason_to_bury(&self, now: Time, is_flowing: bool) -> Option<String> {
        let seconds = |time: Duration| time.as_secs();
        if now.since(self.heard_at) >= PEER_SILENCE_MAX {
            return Some(format!("silent for {} s", seconds(PEER_SILENCE_MAX)));
        }
        if !is_flowing || !self.is_live() {
            return None;
        }
        if now.since(self.hearing_at) >= DEAF_MAX {
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
        ] {
            *since = *since + gap;
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
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
        let mut peer = Peer::new(PeerId(0), "n1".into(), SealKey::new(&[0; 16]), at(0));
        assert!(peer.reason_to_bury(at(6), true).is_some());
        peer.excuse(Duration::from_secs(5));
        assert_eq!(peer.reason_to_bury(at(6), true), None);
    }
}
