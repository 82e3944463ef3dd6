//! What both sides of a session agree on: who is expected, how a node ends, what held it back.
//!
//! The machines that play a session are `sender` and `receiver`.

use std::collections::BTreeSet;
use std::time::Duration;

/// Whom a sender waits for before content flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Whoever joins before the wait is over.
    Anybody,
    /// So many receivers, whatever their names.
    Count(usize),
    /// Exactly these.
    Names(BTreeSet<String>),
}

impl Expectation {
    /// Whether `names` are all that is expected, so that there is nothing to wait for.
    pub fn is_met<'a>(&self, names: impl Iterator<Item = &'a str>) -> bool {
        match self {
            Self::Anybody => false,
            Self::Count(count) => names.count() >= *count,
            Self::Names(expected) => {
                names.filter(|name| expected.contains(*name)).count() >= expected.len()
            }
        }
    }

    /// How many are expected, when that is known.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Anybody => None,
            Self::Count(count) => Some(*count),
            Self::Names(names) => Some(names.len()),
        }
    }
}

/// What becomes of a receiver that is far slower than the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Straggler {
    /// All go at its pace.
    Wait,
    /// The others go on, and it is sent apart.
    #[default]
    Demote,
    /// It is given up.
    Drop,
}

/// How content gets to receivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// By multicast to those that hear the group, through the pipeline to the others.
    #[default]
    Auto,
    /// By multicast to all.
    Multicast,
    /// Through the pipeline to all: from one to the next, over TCP.
    Pipeline,
}

/// How content got to one receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Whether it came, at least at the end, through the pipeline; otherwise by multicast.
    pub is_pipeline: bool,
    /// Why, for a human, when it did.
    pub why: Option<String>,
    /// Bytes of the largest IP packet that was tried and reached it by multicast; none when that was not
    /// tried.
    pub heard_bytes: Option<u16>,
}

impl Way {
    /// The word for it in tables and JSON.
    pub const fn as_str(&self) -> &'static str {
        if self.is_pipeline {
            "pipeline"
        } else {
            "multicast"
        }
    }
}

/// How a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Everything is there, verified, under its final name.
    Complete,
    /// It said that it could not go on.
    Failed,
    /// It fell silent, its connection broke, or it never came.
    Lost,
    /// It declined, or was declined, before content flowed.
    Refused,
}

impl NodeState {
    /// The word for it in tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Refused => "refused",
        }
    }
}

/// What held a copy back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitedBy {
    /// The way between the nodes.
    Network,
    /// A receiver's socket or processor.
    Host,
    /// A receiver's store.
    Disk,
    /// Reading at the sender.
    Sender,
    /// The user's `--rate`.
    RateCap,
}

impl LimitedBy {
    /// The word for it in tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Host => "host",
            Self::Disk => "disk",
            Self::Sender => "sender",
            Self::RateCap => "rate-cap",
        }
    }
}

/// One line of the sender's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeOutcome {
    /// The node's name.
    pub name: String,
    /// How it ended.
    pub state: NodeState,
    /// Whether it ever heard the group of this copy. One that never came, declined or left before did not.
    pub joined: bool,
    /// Why it did not end well, for a human.
    pub reason: Option<String>,
    /// Bytes of files that stand under their final names there.
    pub bytes: u64,
    /// From the first data packet to this node's end.
    pub elapsed: Duration,
    /// Symbols that reached it by repair.
    pub repaired: u64,
    /// What held this node, or with it the copy, back.
    pub limited_by: LimitedBy,
    /// Whether this node held all others of the group back: for a quarter of the pauses at least, and longer than any
    /// other did.
    pub holds_all: bool,
    /// Whether some of it was sent to this node apart from the others.
    pub apart: bool,
    /// How it got here.
    pub way: Way,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations_are_met_by_those_who_are_expected() {
        let names = |text: &'static str| text.split(' ');
        assert!(!Expectation::Anybody.is_met(names("a b c")));
        assert!(Expectation::Count(2).is_met(names("a b")));
        let expected = Expectation::Names(names("a b").map(String::from).collect());
        assert!(!expected.is_met(names("a c d")));
        assert!(expected.is_met(names("d b a")));
    }
}
