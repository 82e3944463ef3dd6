//! What the daemon remembers: which copies it takes or has taken, by which addresses it tried to, and
//! of which strangers it has told. All of it bounded, since anybody can send announcements.
//!
//! Whom to trust is not decided here.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use grappe_proto::units::SessionId;

use super::Notice;
use crate::announce::Heard;
use crate::trust::PublicKey;

/// Items in each memory.
const REMEMBERED: usize = 1024;

/// Attempts to follow the announcements of one session from one address.
const CONNECTIONS_MAX: usize = 5;

/// Addresses tried at one time for one session: one is the sender's, others only repeat what it sent.
const ADDRESSES_MAX: usize = 4;

/// Lines about strangers within [`TELLING`]; whoever makes up keys and addresses must not fill the log.
const STRANGERS_MAX: usize = 64;

/// The time within which lines about strangers are counted.
const TELLING: Duration = Duration::from_secs(3600);

/// The right to take one copy, shared by the attempts to reach its sender.
#[derive(Clone, Debug, Default)]
pub(super) struct Claim {
    taken: Arc<AtomicBool>,
}

impl Claim {
    /// Takes it, for an attempt whose peer proved the sender's key; false when another one was first.
    pub(super) fn take(&self) -> bool {
        !self.taken.swap(true, Ordering::AcqRel)
    }

    /// Gives it back.
    pub(super) fn release(&self) {
        self.taken.store(false, Ordering::Release);
    }

    fn is_taken(&self) -> bool {
        self.taken.load(Ordering::Acquire)
    }
}

/// The copies that were heard of.
///
/// An announcement does not cover the address that it comes from, so anybody can repeat a true one from
/// elsewhere. What is remembered of an address that nobody proved a key at concerns that address alone.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// Copies taken part in, or that this node was told are not for it, oldest first.
    over: VecDeque<(SessionId, PublicKey)>,
    /// Attempts that go on.
    trying: Vec<(Heard, Claim)>,
    /// Addresses at which the sender was not reached, once for each failure, oldest first.
    failed: VecDeque<Heard>,
}

impl Copies {
    /// Begins an attempt to take the copy by what was heard; `None` when that is not wanted.
    pub(super) fn begin(&mut self, heard: &Heard) -> Option<Claim> {
        let copy = (heard.session, heard.sender);
        let failures = self.failed.iter().filter(|failed| *failed == heard).count();
        if self.over.contains(&copy) || failures >= CONNECTIONS_MAX {
            return None;
        }
        let others = self
            .trying
            .iter()
            .filter(|(other, _)| is_same(other, heard));
        let claim = others
            .clone()
            .next()
            .map_or_else(Claim::default, |(_, claim)| claim.clone());
        let is_known = others.clone().any(|(other, _)| other == heard);
        if is_known || claim.is_taken() || others.count() >= ADDRESSES_MAX {
            return None;
        }
        self.trying.push((*heard, claim.clone()));
        Some(claim)
    }

    /// Ends the attempt: the copy is over for this node, or its sender was not reached there.
    pub(super) fn end(&mut self, heard: &Heard, is_over: bool) {
        self.trying.retain(|(other, _)| other != heard);
        if is_over {
            self.failed.retain(|failed| !is_same(failed, heard));
            remember(&mut self.over, (heard.session, heard.sender));
        } else {
            remember(&mut self.failed, *heard);
        }
    }
}

fn is_same(one: &Heard, other: &Heard) -> bool {
    (one.session, one.sender) == (other.session, other.sender)
}

/// What was told of those who proved nothing.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    told: VecDeque<(IpAddr, String)>,
    began: Option<Instant>,
    lines: usize,
}

impl Strangers {
    /// What to tell, if anything: `notice`, which is about `matter` at `address`, unless it was told or
    /// there is too much to tell.
    pub(super) fn tell(
        &mut self,
        address: IpAddr,
        matter: String,
        notice: Notice,
        now: Instant,
    ) -> Option<Notice> {
        let item = (address, matter);
        if self.told.contains(&item) {
            return None;
        }
        let is_new = |began| now.saturating_duration_since(began) >= TELLING;
        if self.began.is_none_or(is_new) {
            (self.began, self.lines) = (Some(now), 0);
        }
        self.lines = self.lines.saturating_add(1);
        if self.lines > STRANGERS_MAX {
            let text = "many strangers announce copies; for an hour no more of them are named";
            return (self.lines == STRANGERS_MAX + 1).then(|| Notice::Note(text.into()));
        }
        remember(&mut self.told, item);
        Some(notice)
    }
}

fn remember<T>(memory: &mut VecDeque<T>, item: T) {
    if memory.len() >= REMEMBERED {
        memory.pop_front();
    }
    memory.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::Identity;
    use std::net::{Ipv4Addr, SocketAddr};

    fn heard(host: u8) -> Heard {
        Heard {
            call: crate::announce::Call::Copy,
            session: SessionId([1; 16]),
            sender: PublicKey::from_bytes([2; 32]),
            control: SocketAddr::new(Ipv4Addr::new(10, 0, 0, host).into(), 4_000),
        }
    }

    #[test]
    fn a_repeated_announcement_does_not_keep_the_true_sender_out() {
        let mut copies = Copies::default();
        for _ in 0..CONNECTIONS_MAX {
            assert!(copies.begin(&heard(66)).is_some());
            assert!(copies.begin(&heard(66)).is_none(), "one attempt at a time");
            copies.end(&heard(66), false);
        }
        assert!(copies.begin(&heard(66)).is_none(), "enough of that one");
        let claim = copies.begin(&heard(1)).unwrap();
        assert!(
            copies.begin(&heard(67)).is_some(),
            "nobody proved a key yet"
        );
        assert!(claim.take());
        assert!(copies.begin(&heard(68)).is_none(), "the sender is found");
        copies.end(&heard(1), true);
        copies.end(&heard(67), false);
        assert!(copies.begin(&heard(1)).is_none(), "the copy is over");
        assert!(copies.begin(&heard(69)).is_none(), "from everywhere");
    }

    #[test]
    fn one_attempt_alone_takes_a_copy() {
        let mut copies = Copies::default();
        let (one, other) = (copies.begin(&heard(1)), copies.begin(&heard(2)));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(one.take());
        assert!(!other.take());
        one.release();
        assert!(other.take());
    }

    #[test]
    fn another_sender_does_not_end_a_session_of_the_same_name() {
        let mut copies = Copies::default();
        let mut other = heard(1);
        other.sender = Identity::generate("other").unwrap().public();
        copies.begin(&other).unwrap();
        copies.end(&other, true);
        assert!(copies.begin(&heard(1)).is_some());
    }

    #[test]
    fn memories_stay_small() {
        let mut copies = Copies::default();
        for number in 0..2 * REMEMBERED {
            let mut heard = heard(1);
            heard.session.0[..8].copy_from_slice(&number.to_be_bytes());
            assert!(copies.begin(&heard).is_some());
            copies.end(&heard, number % 2 == 0);
        }
        assert!(copies.over.len() <= REMEMBERED && copies.failed.len() <= REMEMBERED);
        assert_eq!(copies.trying.len(), 0);
        for host in 0..2 * ADDRESSES_MAX {
            let _attempt = copies.begin(&heard(host as u8));
        }
        assert_eq!(copies.trying.len(), ADDRESSES_MAX);
    }

    #[test]
    fn a_stranger_is_told_of_once_and_many_of_them_a_bounded_number_of_times() {
        let start = Instant::now();
        let mut strangers = Strangers::default();
        let mut tell = |address: u32, matter: &str, now| {
            let notice = Notice::Note(matter.into());
            strangers.tell(Ipv4Addr::from(address).into(), matter.into(), notice, now)
        };
        assert!(tell(1, "key", start).is_some());
        assert!(tell(1, "key", start).is_none());
        assert!(tell(1, "another key", start).is_some());
        assert!(tell(2, "key", start).is_some());
        let told = (3..10_000)
            .filter(|address| tell(*address, "key", start).is_some())
            .count();
        assert_eq!(told + 3, STRANGERS_MAX + 1);
        assert!(tell(3, "key", start + TELLING).is_none());
        assert!(tell(20_000, "key", start + TELLING).is_some());
    }
}
