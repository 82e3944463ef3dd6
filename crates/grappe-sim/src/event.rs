//! The virtual clock's agenda: what happens when, the earlier first, and in the order of planning
//! where two things happen at one instant.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::rc::Rc;

use grappe_proto::receiver;
use grappe_proto::seal::KEY_LEN;
use grappe_proto::units::{BlockIndex, Digest, Time};
use grappe_proto::wire::control::ToSender;

use crate::train::{Arrival, Train};

/// Something that happens to one node.
#[derive(Debug)]
pub(crate) enum Event {
    /// What came to the sender.
    ToSender(Mail),
    /// The sender asked to be polled at this instant, or its socket has room again.
    SenderWake,
    /// Packets of a train reach a receiver.
    Packets {
        node: usize,
        train: Rc<Train>,
        arrival: Arrival,
    },
    /// A receiver's processor has come to packets of a train that reached it before.
    PacketsRead {
        node: usize,
        train: Rc<Train>,
        arrival: Arrival,
        arrived: Time,
    },
    /// The answer to a greeting reaches a receiver.
    Welcome { node: usize, life: u32 },
    /// An input of a receiver, other than packets.
    ToReceiver {
        node: usize,
        life: u32,
        input: receiver::Input,
    },
    /// A job of a receiver is done.
    ReceiverJob {
        node: usize,
        life: u32,
        job: receiver::Job,
    },
    /// A receiver comes, for the first time or again, and greets.
    Comes { node: usize },
    /// A receiver asked to be polled at this instant.
    ReceiverWake { node: usize },
    /// The fault with this number strikes.
    Fault(usize),
}

/// A receiver, and which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) node: usize,
    pub(crate) life: u32,
}

/// What comes to the sender, in the order of its coming.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A greeting on a new connection, and the fresh key for this receiver's reports.
    Hello(Node, [u8; KEY_LEN]),
    Control(Node, ToSender),
    Left(Node, String),
    Report(Vec<u8>),
    /// A block was read; its bytes, where the scenario has any.
    BlockRead(BlockIndex, Vec<u8>),
    /// A block was read for its hash alone.
    BlockHashed(BlockIndex),
    DigestsFormed {
        hash: Digest,
        copy: Digest,
    },
}

/// The agenda.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    planned: BinaryHeap<Reverse<Planned>>,
    count: u64,
}

impl Agenda {
    pub(crate) fn plan(&mut self, at: Time, event: Event) {
        self.count += 1;
        self.planned.push(Reverse(Planned {
            at,
            number: self.count,
            event,
        }));
    }

    pub(crate) fn next(&mut self) -> Option<(Time, Event)> {
        self.planned
            .pop()
            .map(|Reverse(planned)| (planned.at, planned.event))
    }
}

#[derive(Debug)]
struct Planned {
    at: Time,
    number: u64,
    event: Event,
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Planned {}
