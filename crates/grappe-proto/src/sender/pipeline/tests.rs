//! The sender's machine with receivers that hear multicast and receivers that do not.

use super::super::{Input, Job, SenderSetup, Summary};
use super::*;
use crate::content::block_set::BlockSet;
use crate::content::layout::Layout;
use crate::content::manifest::{Entry, Kind, Manifest};
use crate::content::stream::Stream;
use crate::limits::{BLOCK_SIZE, SYMBOL_SIZE};
use crate::rate::RateLimits;
use crate::seal::{SealKey, Suite};
use crate::session::{Expectation, NodeState, Straggler, Transport};
use crate::units::{BlockIndex, Digest, Sequence};
use crate::wire::control::{Done, ToSender};
use crate::wire::data::{HEADER_LEN, TAG_LEN};
use crate::wire::report::ReportHeader;

const KEY: [u8; 16] = [9; 16];
const WAIT: Duration = Duration::from_secs(2);

/// One block of manifest (0), eight of content (1 to 8), one of digests (9).
const BLOCKS: u32 = 10;

fn stream() -> Stream {
    let layout = Layout::new(&Manifest {
        entries: vec![Entry {
            path: b"file".to_vec(),
            kind: Kind::File {
                size: 8 * u64::from(BLOCK_SIZE),
            },
            mode: 0o644,
            mtime: (0, 0),
            ..Entry::default()
        }],
        ..Manifest::default()
    });
    Stream::of_manifest_only(100)
        .unwrap()
        .with_content(&layout, 257)
        .unwrap()
}

/// The machine, and what it put out since one last looked.
struct Session {
    machine: Sender,
    now: Time,
    out: Vec<Output>,
    reports: Vec<u64>,
    summary: Option<Summary>,
}

impl Session {
    /// Receivers that have joined.
    fn new(transport: Transport, receivers: u16) -> Self {
        let setup = SenderSetup {
            tag: 1,
            stream: stream(),
            symbol_size: SYMBOL_SIZE,
            expectation: Expectation::Count(receivers.into()),
            wait: WAIT,
            straggler: Straggler::Demote,
            transport,
            mtu: 1500,
            rate: RateLimits::default(),
            burst_packets_max: 44,
            starts_when_told: false,
        };
        let mut session = Self {
            machine: Sender::new(setup, Time::ZERO),
            now: Time::ZERO,
            out: Vec::new(),
            reports: vec![0; receivers.into()],
            summary: None,
        };
        for peer in 0..receivers {
            let hello = Input::Hello {
                peer: PeerId(peer),
                name: format!("n{peer}"),
                report_key: SealKey::new(Suite::Aes128Gcm, &KEY),
            };
            session.machine.handle(hello, Time::ZERO);
            session.say(
                peer,
                ToSender::Joined {
                    buffer_bytes: 1 << 24,
                },
            );
        }
        session
    }

    fn say(&mut self, peer: u16, message: ToSender) {
        self.machine
            .handle(Input::Control(PeerId(peer), message), self.now);
        self.poll();
    }

    fn poll(&mut self) {
        loop {
            match self.machine.poll(self.now) {
                Output::Wait(at) => {
                    assert!(at > self.now, "it waits for what has passed");
                    return;
                }
                Output::Finished(summary) => self.summary = Some(summary),
                output => self.out.push(output),
            }
            let last = self.out.len().saturating_sub(4);
            assert!(
                last < 10_000,
                "it runs in a circle: {:?}",
                &self.out[last..]
            );
            if self.summary.is_some() {
                return;
            }
        }
    }

    /// Lets time go by; answers what was put out since the last look.
    fn pass(&mut self, millis: u64) -> Vec<Output> {
        for _ in 0..millis {
            self.now = self.now + Duration::from_millis(1);
            self.poll();
        }
        std::mem::take(&mut self.out)
    }

    fn ready(&mut self, peer: u16) {
        let mut have = BlockSet::new();
        have.insert(BlockIndex(0));
        self.say(peer, ToSender::Ready { turn: 0, have });
    }

    fn report(&mut self, peer: u16, stored_below: u32) {
        let report = Report {
            turn: 0,
            highest: Sequence(0),
            received: 0,
            echo: Time::ZERO,
            echo_at: Time::ZERO,
            echo_received: 0,
            stored_below: BlockIndex(stored_below),
            dropped: 0,
            ring_permille: 0,
            store_backlog: 0,
            earlier: Vec::new(),
            lacks: Vec::new(),
        };
        let mut body = Vec::new();
        report.emit(&mut body);
        self.reports[usize::from(peer)] += 1;
        let sequence = Sequence(self.reports[usize::from(peer)]);
        let header = ReportHeader {
            peer: PeerId(peer),
            tag: 1,
            held: 0,
            sequence,
        };
        let mut packet = vec![0; HEADER_LEN + body.len() + TAG_LEN];
        SealKey::new(Suite::Aes128Gcm, &KEY).seal(&header.emit(), sequence, &body, &mut packet);
        self.machine.handle(Input::Datagram(&packet), self.now);
        self.poll();
    }

    /// All content was fetched from the sender, and the digests are formed.
    fn read_all(&mut self) {
        for block in 1..=8 {
            self.machine
                .handle(Input::Reached(BlockIndex(block)), self.now);
            self.machine
                .handle(Input::BlockHashed(BlockIndex(block)), self.now);
        }
        self.poll();
        assert!(
            self.out.contains(&Output::Job(Job::Digests)),
            "{:?}",
            self.out
        );
        let (hash, copy) = (Digest([1; 32]), Digest([2; 32]));
        self.machine
            .handle(Input::DigestsReady { hash, copy }, self.now);
        self.poll();
    }

    fn done(&mut self, peer: u16) {
        let done = Done {
            digest: [2; 32],
            ..Done::default()
        };
        self.say(peer, ToSender::Done(done));
    }

    fn has_ended(&self, peer: u16) -> bool {
        let end = Output::Control(PeerId(peer), ToReceiver::End);
        self.out.contains(&end)
    }
}

fn feeds(outputs: &[Output]) -> Vec<(u16, Option<u16>)> {
    let feed = |output: &Output| match output {
        Output::Feed { peer, source, .. } => Some((peer.0, source.map(|(source, _)| source.0))),
        _ => None,
    };
    outputs.iter().filter_map(feed).collect()
}

fn soundings(outputs: &[Output]) -> Vec<u16> {
    let bytes = |output: &Output| match output {
        Output::Sounding { bytes, .. } => Some(*bytes),
        _ => None,
    };
    outputs.iter().filter_map(bytes).collect()
}

#[test]
fn who_answers_the_soundings_is_not_waited_for() {
    let mut session = Session::new(Transport::Auto, 2);
    assert_eq!(soundings(&session.out)[..3], [1500, 1497, 576]);
    session.say(0, ToSender::Heard { bytes: 1497 });
    session.say(1, ToSender::Heard { bytes: 1497 });
    let told = session.pass(1);
    assert!(told.contains(&Output::Event(Event::Started(2))), "{told:?}");
    assert_eq!(feeds(&told), []);
}

#[test]
fn who_hears_nothing_or_only_small_packets_is_fed_by_who_hears() {
    let mut session = Session::new(Transport::Auto, 3);
    session.say(0, ToSender::Heard { bytes: 1497 });
    session.say(1, ToSender::Heard { bytes: 576 });
    assert!(
        session
            .pass(300)
            .iter()
            .all(|output| !matches!(output, Output::Event(Event::Started(_))))
    );
    let told = session.pass(200);
    let why: Vec<_> = told
        .iter()
        .filter_map(|output| match output {
            Output::Event(Event::Piped(name, why)) => Some((&**name, &**why)),
            _ => None,
        })
        .collect();
    assert!(
        why[0].0 == "n1" && why[0].1.contains("576 bytes, but none of 1497"),
        "{why:?}"
    );
    assert!(
        why[1].0 == "n2" && why[1].1.contains("hears no multicast"),
        "{why:?}"
    );
    for peer in 0..3 {
        assert!(told.contains(&Output::Control(PeerId(peer), ToReceiver::Serve)));
        session.say(peer, ToSender::Serving { port: 7171 });
    }
    assert_eq!(feeds(&session.pass(1)), [(1, Some(0)), (2, Some(1))]);
}

#[test]
fn a_pipeline_is_played_to_its_end() {
    let mut session = Session::new(Transport::Pipeline, 3);
    let told = session.pass(1);
    assert!(told.contains(&Output::Manifest(PeerId(2))));
    assert_eq!(
        feeds(&told),
        [(0, None)],
        "the others' sources do not listen yet"
    );
    for peer in 0..3 {
        session.say(peer, ToSender::Serving { port: 7171 });
        session.ready(peer);
    }
    assert_eq!(feeds(&session.pass(1)), [(1, Some(0)), (2, Some(1))]);
    session.read_all();
    let told = session.pass(1);
    assert!(
        told.iter()
            .all(|output| !matches!(output, Output::Burst { .. } | Output::Beat { .. })),
        "nobody hears the group: {told:?}"
    );
    assert_eq!(session.machine.waiting_for(), "n0 to store the content");
    // The first has everything and stays for the second, which lacks a little.
    session.report(0, BLOCKS);
    session.report(1, BLOCKS - 2);
    session.report(2, BLOCKS - 3);
    session.done(0);
    assert!(!session.has_ended(0));
    session.report(1, BLOCKS);
    session.poll();
    assert!(session.has_ended(0), "nobody needs it any more");
    session.done(1);
    session.report(2, BLOCKS);
    session.done(2);
    session.pass(1);
    let summary = session.summary.expect("all are complete");
    assert!(
        summary
            .nodes
            .iter()
            .all(|node| node.state == NodeState::Complete)
    );
    assert!(summary.nodes.iter().all(|node| node.way.is_pipeline));
}

#[test]
fn who_has_all_but_the_digests_waits_as_long_as_the_sender_reads() {
    let mut session = Session::new(Transport::Pipeline, 2);
    session.pass(1);
    for peer in 0..2 {
        session.say(peer, ToSender::Serving { port: 7171 });
        session.ready(peer);
    }
    // They went on with an earlier copy, of which the sender hashes everything first.
    for _ in 0..200 {
        session.report(0, BLOCKS - 1);
        session.report(1, BLOCKS - 1);
        let told = session.pass(1_000);
        let unfed = told
            .iter()
            .any(|it| matches!(it, Output::Event(Event::Unfed(..))));
        assert!(!unfed, "nobody has more");
    }
    session.read_all();
    for peer in 0..2 {
        session.report(peer, BLOCKS);
        session.done(peer);
    }
    session.pass(3_000);
    let summary = session.summary.expect("all are complete");
    let mut nodes = summary.nodes.iter();
    assert!(nodes.all(|node| node.state == NodeState::Complete));
}

#[test]
fn who_dies_is_left_out_at_once_in_every_phase() {
    for phase in 0..4 {
        let mut session = Session::new(Transport::Pipeline, 3);
        let steps: [&dyn Fn(&mut Session); 3] = [
            &|session| (0..3).for_each(|peer| session.say(peer, ToSender::Serving { port: 1 })),
            &|session| (0..3).for_each(|peer| session.ready(peer)),
            &|session| {
                session.read_all();
                (0..3).for_each(|peer| session.report(peer, 5));
            },
        ];
        session.pass(1);
        steps[..phase].iter().for_each(|step| step(&mut session));
        session.out.clear();
        let left = Input::Left(PeerId(0), "killed".into());
        session.machine.handle(left, session.now);
        let told = session.pass(1_100);
        assert!(feeds(&told).contains(&(1, None)), "phase {phase}: {told:?}");
        steps[phase.min(3)..].iter().for_each(|step| {
            if !session.machine.is_joining() {
                step(&mut session);
            }
        });
        for peer in [1, 2] {
            session.report(peer, BLOCKS);
            session.done(peer);
        }
        session.pass(3_000);
        let summary = session.summary.expect("the others complete it");
        let complete = |node: &&crate::session::NodeOutcome| node.state == NodeState::Complete;
        assert_eq!(
            summary.nodes.iter().filter(complete).count(),
            2,
            "phase {phase}"
        );
    }
}

#[test]
fn who_loses_the_group_gets_the_rest_through_the_pipeline() {
    let mut session = Session::new(Transport::Auto, 2);
    for peer in 0..2 {
        session.say(peer, ToSender::Heard { bytes: 1497 });
        session.ready(peer);
    }
    for _ in 0..40 {
        session.report(0, 0);
        session.report(1, 0);
        session.pass(100);
    }
    // Both report and hear nothing, so both go.
    let summary = session
        .machine
        .present()
        .filter(|peer| peer.is_piped())
        .count();
    assert_eq!(summary, 2);
}
