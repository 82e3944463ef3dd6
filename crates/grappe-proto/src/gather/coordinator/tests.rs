//! Who is waited for: nodes of which somebody knows that they will not come, and those that come all the
//! same; and what nodes say that they left out. What they then do is played in `grappe-sim`.

use super::*;
use crate::content::manifest::{Kind, Manifest};
use crate::wire::gather::TurnResult;

const WAIT: Duration = Duration::from_secs(20);

fn machine(names: &[&str]) -> Coordinator {
    let names = names.iter().map(ToString::to_string).collect();
    let setup = CoordinatorSetup {
        gather: [7; 16],
        expectation: Expectation::Names(names),
        wait: WAIT,
        rule: ConflictRule::Fail,
        rate: None,
    };
    Coordinator::new(setup, Time::ZERO)
}

fn hello(machine: &mut Coordinator, node: usize, name: &str) {
    let hello = Input::Hello {
        node,
        name: name.into(),
        address: [10, 0, 0, node as u8].into(),
    };
    machine.handle(hello, Time::ZERO);
}

fn absent(machine: &mut Coordinator, name: &str, reason: &str) {
    let absent = Input::Absent {
        name: name.into(),
        reason: reason.into(),
    };
    machine.handle(absent, Time::ZERO);
}

/// What the machine puts out until it waits or is over.
fn outputs(machine: &mut Coordinator, now: Time) -> Vec<Output> {
    let mut outputs = Vec::new();
    loop {
        match machine.poll(now) {
            Output::Wait(_) => return outputs,
            output => outputs.push(output),
        }
    }
}

fn events(outputs: &[Output]) -> Vec<&Event> {
    let outputs = outputs.iter().filter_map(|output| match output {
        Output::Event(event) => Some(event),
        _ => None,
    });
    outputs.collect()
}

fn summary(outputs: Vec<Output>) -> Summary {
    let summary = |output| match output {
        Output::Finished(summary) => Some(summary),
        _ => None,
    };
    outputs.into_iter().find_map(summary).expect("it is over")
}

#[test]
fn nobody_waits_for_a_node_that_will_not_come_and_its_line_says_why() {
    let mut machine = machine(&["n1", "n2", "n3"]);
    hello(&mut machine, 0, "n1");
    absent(&mut machine, "n3", "no way there");
    absent(&mut machine, "n3", "said twice");
    let told = outputs(&mut machine, Time::ZERO);
    let gone = Event::Gone("n3".into(), "no way there".into());
    assert_eq!(events(&told), [&Event::Joined("n1".into()), &gone]);
    absent(&mut machine, "n2", "no grappe there");
    let told = outputs(&mut machine, Time::ZERO);
    assert!(events(&told).contains(&&Event::Began(1)), "{told:?}");
    machine.handle(Input::Cancel("enough".into()), Time::ZERO);
    let summary = summary(outputs(&mut machine, Time::ZERO));
    let lines = summary.nodes.iter();
    let reasons: Vec<_> = lines
        .filter(|node| node.state == MemberState::Absent)
        .map(|node| (&*node.name, node.reason.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(reasons, [("n2", "no grappe there"), ("n3", "no way there")]);
}

#[test]
fn where_nobody_will_come_the_gather_is_over_at_once() {
    let mut machine = machine(&["n1", "n2"]);
    absent(&mut machine, "n1", "refused");
    absent(&mut machine, "n2", "refused");
    let summary = summary(outputs(&mut machine, Time::ZERO));
    assert_eq!(summary.nodes.len(), 2);
    assert_eq!(summary.bytes, 0);
}

#[test]
fn a_node_that_comes_all_the_same_takes_part_and_stands_for_nobody_else() {
    let mut machine = machine(&["n1", "n2"]);
    absent(&mut machine, "n1", "no answer in time");
    hello(&mut machine, 0, "n1");
    let told = outputs(&mut machine, Time::ZERO);
    let began = |told: &[Output]| {
        let mut events = events(told).into_iter().cloned();
        events.find(|event| matches!(event, Event::Began(_)))
    };
    assert_eq!(began(&told), None, "n2 may still come");
    let end = Time::ZERO + WAIT;
    machine.handle(Input::Message(0, ToCoordinator::Alive), end);
    let told = outputs(&mut machine, end);
    assert_eq!(began(&told), Some(Event::Began(1)));
}

#[test]
fn of_strangers_and_of_those_that_take_part_an_absence_says_nothing() {
    let mut machine = machine(&["n1", "n2"]);
    hello(&mut machine, 0, "n1");
    outputs(&mut machine, Time::ZERO);
    absent(&mut machine, "n1", "its login ended");
    absent(&mut machine, "n9", "who is that");
    assert_eq!(outputs(&mut machine, Time::ZERO), []);
}

#[test]
fn one_that_came_and_is_gone_is_waited_for_no_longer_whichever_is_told_first() {
    for is_left_first in [true, false] {
        let mut machine = machine(&["n1", "n2"]);
        hello(&mut machine, 0, "n1");
        hello(&mut machine, 1, "n2");
        let left = Input::Left(1, "connection reset".into());
        if is_left_first {
            machine.handle(left, Time::ZERO);
            absent(&mut machine, "n2", "its login ended");
        } else {
            absent(&mut machine, "n2", "its login ended");
            machine.handle(left, Time::ZERO);
        }
        let told = outputs(&mut machine, Time::ZERO);
        assert!(events(&told).contains(&&Event::Began(1)), "{told:?}");
        machine.handle(Input::Cancel("enough".into()), Time::ZERO);
        let summary = summary(outputs(&mut machine, Time::ZERO));
        let line = summary.nodes.iter().find(|node| node.name == "n2");
        assert_eq!(line.unwrap().reason.as_deref(), Some("its login ended"));
    }
}

#[test]
fn what_nodes_could_not_list_or_left_out_of_their_own_part_is_counted_once() {
    let mut machine = machine(&["n1"]);
    hello(&mut machine, 0, "n1");
    let placed = |skipped| ToCoordinator::Placed { bytes: 9, skipped };
    let bytes = Manifest::default().encode();
    for message in [
        ToCoordinator::Listing { bytes },
        ToCoordinator::Listed { skipped: 3 },
    ] {
        outputs(&mut machine, Time::ZERO);
        machine.handle(Input::Message(0, message), Time::ZERO);
    }
    assert!(outputs(&mut machine, Time::ZERO).contains(&Output::Tell(0, ToMember::Place)));
    machine.handle(Input::Message(0, placed(2)), Time::ZERO);
    machine.handle(Input::Message(0, placed(u64::MAX)), Time::ZERO);
    let summary = summary(outputs(&mut machine, Time::ZERO));
    assert_eq!(summary.skipped, 5);
}

/// A machine with `count` members, each of which has one file.
fn exchanging(count: usize) -> Coordinator {
    let names: Vec<String> = (0..count).map(|node| format!("n{node:02}")).collect();
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    let mut machine = machine(&names);
    for (node, name) in names.iter().enumerate() {
        hello(&mut machine, node, name);
    }
    outputs(&mut machine, Time::ZERO);
    for node in 0..count {
        let entry = Entry {
            path: format!("file {node}").into_bytes(),
            kind: Kind::File { size: 1 << 20 },
            ..Entry::default()
        };
        let manifest = Manifest {
            entries: vec![entry],
            ..Manifest::default()
        };
        let bytes = manifest.encode();
        for message in [
            ToCoordinator::Listing { bytes },
            ToCoordinator::Listed { skipped: 0 },
        ] {
            machine.handle(Input::Message(node, message), Time::ZERO);
        }
    }
    machine
}

/// The turns that nodes were told to prepare, with the node.
fn prepared(outputs: &[Output]) -> Vec<(usize, u32)> {
    let prepares = outputs.iter().filter_map(|output| match output {
        Output::Tell(node, ToMember::Prepare { turn, .. }) => Some((*node, *turn)),
        _ => None,
    });
    prepares.collect()
}

#[test]
fn turns_that_are_sent_and_not_over_are_never_more_than_a_receiver_takes_part_in() {
    let mut machine = exchanging(20);
    let mut now = Time::ZERO;
    let mut open = Vec::new();
    for _ in 0..300 {
        for (node, turn) in prepared(&outputs(&mut machine, now)) {
            open.push((node, turn));
            machine.handle(Input::Message(node, ToCoordinator::Prepared { turn }), now);
        }
        // Sent as soon as they may, and placed never.
        for (node, turn) in &open {
            let turn = *turn;
            machine.handle(Input::Message(*node, ToCoordinator::SentOnce { turn }), now);
        }
        for node in 0..20 {
            machine.handle(Input::Message(node, ToCoordinator::Alive), now);
        }
        now = now + Duration::from_millis(100);
    }
    assert_eq!(open.len(), 14, "beside another's copy and a late end");
}

#[test]
fn what_got_lost_is_not_sent_again_to_who_is_gone() {
    let mut machine = exchanging(3);
    let mut now = Time::ZERO;
    let turns = prepared(&outputs(&mut machine, now));
    assert_eq!(turns.len(), 3);
    machine.handle(Input::Left(2, "reset".into()), now);
    for (node, turn) in turns {
        let lost = TurnResult {
            name: "n02".into(),
            state: 2,
            ..TurnResult::default()
        };
        for message in [
            ToCoordinator::Prepared { turn },
            ToCoordinator::Result { turn, result: lost },
            ToCoordinator::Ended {
                turn,
                reason: None,
                skipped: 0,
            },
        ] {
            machine.handle(Input::Message(node, message), now);
        }
    }
    let mut again = Vec::new();
    for _ in 0..50 {
        now = now + Duration::from_millis(100);
        again.extend(outputs(&mut machine, now));
    }
    // The other two were not told of, and try again for each other.
    assert_eq!(prepared(&again).len(), 2);
    let to_the_gone = |output: &Output| match output {
        Output::Tell(_, ToMember::Prepare { receivers, .. }) => {
            receivers.iter().any(|receiver| receiver.name == "n02")
        }
        _ => false,
    };
    assert!(!again.iter().any(to_the_gone), "{again:?}");
}

#[test]
fn no_number_of_what_was_left_out_is_too_large() {
    let mut machine = machine(&["n1"]);
    hello(&mut machine, 0, "n1");
    let bytes = Manifest::default().encode();
    let listed = ToCoordinator::Listed { skipped: u64::MAX };
    let placed = ToCoordinator::Placed {
        bytes: 0,
        skipped: u64::MAX,
    };
    for message in [ToCoordinator::Listing { bytes }, listed, placed] {
        outputs(&mut machine, Time::ZERO);
        machine.handle(Input::Message(0, message), Time::ZERO);
    }
    let summary = summary(outputs(&mut machine, Time::ZERO));
    assert_eq!(summary.skipped, u64::MAX);
}
