//! What the sender knows of one receiver.

use crate::seal::SealKey;
use crate::session::NodeState;
use crate::units::{BlockIndex, PeerId, Sequence, Time};
use crate::wire::control::Done;

/// One receiver, from its greeting to its end.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) name: String,
    pub(super) stage: Stage,
    pub(super) report_key: SealKey,
    /// Number of its latest report; older ones are stale or replayed.
    pub(super) report_last: Option<Sequence>,
    pub(super) heard_at: Time,
    pub(super) highest: Sequence,
    pub(super) stored_below: BlockIndex,
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
    Ended { state: NodeState, reason: Option<String>, done: Done, at: Time },
}

impl Peer {
    pub(super) fn new(id: PeerId, name: String, report_key: SealKey, now: Time) -> Self {
        Self {
            id,
            name,
            stage: Stage::Greeted,
            report_key,
            report_last: None,
            heard_at: now,
            highest: Sequence(0),
            stored_below: BlockIndex(0),
            credit: 0,
            store_backlog: 0,
            ring_permille: 0,
        }
    }

    /// Hears the group and has not ended.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Joined | Stage::Ready)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended { .. })
    }
}
