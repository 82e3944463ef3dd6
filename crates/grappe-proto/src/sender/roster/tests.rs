//! Who counts as having joined, by the machine alone.

use std::time::Duration;

use super::*;
use crate::content::stream::Stream;
use crate::limits::SYMBOL_SIZE;
use crate::rate::RateLimits;
use crate::sender::{Input, SenderSetup};
use crate::session::{Straggler, Transport};

const WAIT: Duration = Duration::from_secs(1);

/// A machine that lets receivers join for a second, and its receivers so far.
struct Session {
    machine: Sender,
    peers: u16,
}

impl Session {
    fn new(expectation: Expectation) -> Self {
        let setup = SenderSetup {
            tag: 1,
            stream: Stream::of_manifest_only(100).expect("small"),
            symbol_size: SYMBOL_SIZE,
            expectation,
            wait: WAIT,
            rate: RateLimits::default(),
            straggler: Straggler::Wait,
            transport: Transport::Multicast,
            mtu: 1500,
            burst_packets_max: 16,
            starts_when_told: false,
        };
        Self {
            machine: Sender::new(setup, Time::ZERO),
            peers: 0,
        }
    }

    fn greet(&mut self, name: &str) -> PeerId {
        let peer = PeerId(self.peers);
        self.peers += 1;
        let hello = Input::Hello {
            peer,
            name: name.into(),
            report_key: SealKey::new(crate::seal::Suite::Aes128Gcm, &[0; 16]),
        };
        self.machine.handle(hello, Time::ZERO);
        peer
    }

    fn say(&mut self, peer: PeerId, message: ToSender) {
        self.machine
            .handle(Input::Control(peer, message), Time::ZERO);
    }

    /// Everything that is left to do once the wait is over, up to the summary.
    fn end(mut self) -> Summary {
        loop {
            match self.machine.poll(Time::ZERO + WAIT) {
                Output::Finished(summary) => return summary,
                Output::Wait(_) => panic!("somebody is waited for"),
                _ => {}
            }
        }
    }
}

fn line<'a>(summary: &'a Summary, name: &str) -> &'a NodeOutcome {
    let mut lines = summary.nodes.iter().filter(|node| node.name == name);
    lines.next().expect("a line")
}

#[test]
fn who_was_named_and_never_came_has_not_joined() {
    let names = ["absent".to_owned()].into();
    let summary = Session::new(Expectation::Names(names)).end();
    let absent = line(&summary, "absent");
    assert!(!absent.joined);
    assert_eq!(absent.state, NodeState::Lost);
    assert_eq!(absent.limited_by, LimitedBy::Network);
}

#[test]
fn who_declines_leaves_or_stays_mute_before_joining_has_not_joined() {
    let mut session = Session::new(Expectation::Anybody);
    let declines = session.greet("declines");
    let reason = "the disk is full".to_owned();
    session.say(declines, ToSender::Refused { reason });
    let leaves = session.greet("leaves");
    let left = Input::Left(leaves, "closed its connection".into());
    session.machine.handle(left, Time::ZERO);
    session.greet("mute");
    let summary = session.end();
    assert_eq!(summary.nodes.len(), 3);
    assert!(summary.nodes.iter().all(|node| !node.joined));
    assert_eq!(line(&summary, "declines").state, NodeState::Refused);
    assert_eq!(line(&summary, "leaves").state, NodeState::Lost);
}

#[test]
fn who_joined_and_left_again_has_joined() {
    let mut session = Session::new(Expectation::Anybody);
    let peer = session.greet("node");
    session.say(peer, ToSender::Joined { buffer_bytes: 0 });
    let left = Input::Left(peer, "closed its connection".into());
    session.machine.handle(left, Time::ZERO);
    assert!(line(&session.end(), "node").joined);
}

#[test]
fn content_that_is_to_wait_flows_when_told_and_nobody_is_given_up_meanwhile() {
    let mut session = Session::new(Expectation::Count(1));
    session.machine.setup.starts_when_told = true;
    session.machine.start = crate::sender::Start::Awaited;
    let peer = session.greet("node1");
    let buffer_bytes = 1 << 20;
    session.say(peer, ToSender::Joined { buffer_bytes });
    let have = crate::content::block_set::BlockSet::new();
    let events = |session: &mut Session, now: Time| {
        let mut events = Vec::new();
        loop {
            match session.machine.poll(now) {
                Output::Wait(_) => return events,
                Output::Event(event) => events.push(event),
                Output::Finished(_) => panic!("it is not over"),
                _ => {}
            }
        }
    };
    let _started = events(&mut session, Time::ZERO);
    session.say(peer, ToSender::Ready { turn: 0, have });
    assert_eq!(events(&mut session, Time::ZERO), [Event::Prepared(1)]);
    for seconds in 1..100 {
        let now = Time::ZERO + Duration::from_secs(seconds);
        // Reports and beats go on; only storing does not.
        for peer in &mut session.machine.peers {
            (peer.heard_at, peer.hearing_at) = (now, now);
        }
        assert_eq!(events(&mut session, now), [], "after {seconds} s");
    }
    let rate = crate::units::Rate::from_bytes_per_second(5_000_000);
    let now = Time::ZERO + Duration::from_secs(100);
    session.machine.handle(Input::Start(Some(rate)), now);
    assert_eq!(events(&mut session, now), [Event::SentOnce], "it is empty");
    assert_eq!(session.machine.progress().allowed, 5_000_000);
    let cap = crate::units::Rate::from_bytes_per_second(1_000_000);
    session.machine.handle(Input::Cap(cap), now);
    assert_eq!(session.machine.progress().allowed, 1_000_000);
}

#[test]
fn a_node_that_is_known_not_to_come_is_not_waited_for() {
    let names = ["here".to_owned(), "away".to_owned()].into();
    let mut session = Session::new(Expectation::Names(names));
    let here = session.greet("here");
    session.say(here, ToSender::Joined { buffer_bytes: 0 });
    let polled = |session: &mut Session| {
        std::iter::from_fn(|| match session.machine.poll(Time::ZERO) {
            Output::Wait(_) => None,
            output => Some(output),
        })
        .collect::<Vec<_>>()
    };
    let started = Output::Event(Event::Started(1));
    assert!(!polled(&mut session).contains(&started));
    let absent = |name: &str, reason: &str| Input::Absent {
        name: name.into(),
        reason: reason.into(),
    };
    // Nobody expects the first, and the second is there.
    for input in [absent("other", "x"), absent("here", "x")] {
        session.machine.handle(input, Time::ZERO);
    }
    assert!(!polled(&mut session).contains(&started));
    session
        .machine
        .handle(absent("away", "no grappe there"), Time::ZERO);
    let outputs = polled(&mut session);
    assert!(outputs.contains(&started));
    let gone = Event::Gone("away".into(), "no grappe there".into());
    assert!(outputs.contains(&Output::Event(gone)));
    session
        .machine
        .handle(Input::Cancel("enough".into()), Time::ZERO);
    let summary = session.end();
    assert_eq!(summary.nodes.len(), 2);
    let away = line(&summary, "away");
    assert_eq!(away.state, NodeState::Lost);
    assert_eq!(away.reason.as_deref(), Some("no grappe there"));
    assert!(!away.joined && line(&summary, "here").joined);
}

#[test]
fn a_node_that_comes_after_all_is_waited_for_again() {
    let names = ["late".to_owned(), "other".to_owned()].into();
    let mut session = Session::new(Expectation::Names(names));
    let absent = Input::Absent {
        name: "late".into(),
        reason: "silent".into(),
    };
    session.machine.handle(absent, Time::ZERO);
    let late = session.greet("late");
    session.say(late, ToSender::Joined { buffer_bytes: 0 });
    loop {
        match session.machine.poll(Time::ZERO) {
            Output::Wait(_) => break,
            Output::Event(Event::Started(_)) => panic!("`other` is still expected"),
            _ => {}
        }
    }
}

#[test]
fn a_pass_ends_for_who_waits_only_once_it_is_known_what_is_sent() {
    let mut session = Session::new(Expectation::Anybody);
    session.machine.await_layout();
    for name in ["in time", "late"] {
        let peer = session.greet(name);
        session.say(peer, ToSender::Joined { buffer_bytes: 0 });
    }
    session.machine.peers[0].stored_below = session.machine.end();
    session.machine.peers[1].role = Role::Waiting;
    assert!(
        !session.machine.pass_is_over(),
        "more may follow the manifest"
    );
    let stream = session.machine.setup.stream.clone();
    session.machine.handle(Input::Laid(stream), Time::ZERO);
    assert!(session.machine.pass_is_over(), "nothing does");
}

#[test]
fn who_is_sent_apart_does_not_come_back_by_saying_that_it_is_ready() {
    let mut session = Session::new(Expectation::Anybody);
    let peer = session.greet("node");
    session.say(peer, ToSender::Joined { buffer_bytes: 0 });
    let stream = Stream::of_manifest_only(100).and_then(|it| it.with_full_blocks(1_000, 0));
    let stream = stream.expect("small");
    session.machine.handle(Input::Laid(stream), Time::ZERO);
    (session.machine.phase, session.machine.cursor) = (Phase::Content, (BlockIndex(1), 0));
    let ready = |turn| ToSender::Ready {
        turn,
        have: crate::content::block_set::BlockSet::new(),
    };
    session.say(peer, ready(0));
    let machine = &mut session.machine;
    machine.part_with(peer, LimitedBy::Host, Time::ZERO);
    // Straggler::Wait parts with nobody by itself, and does not hinder it here.
    assert_eq!(machine.peers[0].role, Role::Waiting);
    machine.handle(Input::Control(peer, ready(0)), Time::ZERO);
    assert_eq!(machine.peers[0].role, Role::Waiting, "it has not rested");
    let later = Time::ZERO + Duration::from_millis(200);
    machine.handle(Input::Control(peer, ready(0)), later);
    assert_eq!(machine.peers[0].role, Role::Member);
}
