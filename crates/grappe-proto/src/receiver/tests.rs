//! A receiver told to fetch its blocks, and one whose stream ends.

use super::*;
use crate::content::layout::Layout;
use crate::content::manifest::{Entry, Kind as EntryKind, Manifest};
use crate::limits::{
    BLOCK_SIZE, PROTOCOL_VERSION, RING_EMPTY_PERMILLE, RING_FILLING_PERMILLE, SYMBOL_SIZE,
};

const MANIFEST_LEN: u64 = 100;
use crate::wire::report::Report;

fn welcome() -> Welcome {
    Welcome {
        version: PROTOCOL_VERSION,
        peer: 0,
        tag: 1,
        group: [239, 1, 2, 3].into(),
        port: 7171,
        report_port: 7172,
        data_key: [1; 16],
        report_key: [2; 16],
        suite: crate::seal::Suite::Aes128Gcm,
        symbol_size: SYMBOL_SIZE,
        manifest_len: MANIFEST_LEN,
        manifest_hash: [0; 32],
        content_bytes: 0,
    }
}

/// One block of manifest (0), three of content (1 to 3), one of digests (4).
fn stream() -> Stream {
    let layout = Layout::new(&Manifest {
        entries: vec![Entry {
            path: b"file".to_vec(),
            kind: EntryKind::File {
                size: 3 * u64::from(BLOCK_SIZE),
            },
            mode: 0o644,
            mtime: (0, 0),
            ..Entry::default()
        }],
        ..Manifest::default()
    });
    Stream::of_manifest_only(MANIFEST_LEN)
        .unwrap()
        .with_content(&layout, 100)
        .unwrap()
}

fn machine() -> Receiver {
    let mut machine = Receiver::new(&welcome(), Time::ZERO).unwrap();
    machine.handle(Input::Joined { buffer_bytes: 1 }, Time::ZERO);
    machine
}

/// What the machine puts out until it waits.
fn outputs(machine: &mut Receiver) -> Vec<Output> {
    let mut outputs = Vec::new();
    loop {
        match machine.poll(Time::ZERO) {
            Output::Wait(_) => return outputs,
            output => outputs.push(output),
        }
        assert!(outputs.len() < 1000, "it runs in a circle: {outputs:?}");
    }
}

/// The jobs among what it puts out.
fn jobs(machine: &mut Receiver) -> Vec<Job> {
    let job = |output| match output {
        Output::Job(job) => Some(job),
        _ => None,
    };
    outputs(machine).into_iter().filter_map(job).collect()
}

fn pull(machine: &mut Receiver, number: u32) -> Vec<Output> {
    let pull = ToReceiver::Pull {
        number,
        address: [10, 0, 0, 1].into(),
        port: 7,
    };
    machine.handle(Input::Control(pull), Time::ZERO);
    outputs(machine)
}

fn asked(outputs: &[Output]) -> Option<(u32, Vec<u32>)> {
    outputs.iter().find_map(|output| match output {
        Output::Pull { source, blocks } => {
            let blocks = blocks.runs().flat_map(|run| run.start.0..run.end.0);
            Some((source.number, blocks.collect()))
        }
        _ => None,
    })
}

fn fetched(machine: &mut Receiver, block: u32) -> bool {
    let len = machine.stream().place(BlockIndex(block)).unwrap().len();
    let wanted = machine.accept_block(BlockIndex(block), len, Time::ZERO);
    machine.handle(Input::Stored(BlockIndex(block)), Time::ZERO);
    wanted
}

fn prepare(machine: &mut Receiver, have: &[u32]) -> Vec<Output> {
    let mut there = BlockSet::new();
    have.iter()
        .for_each(|block| there.insert(BlockIndex(*block)));
    let prepared = Prepared {
        stream: stream(),
        have: there,
    };
    machine.handle(Input::Prepared(Ok(prepared)), Time::ZERO);
    outputs(machine)
}

#[test]
fn the_manifest_is_fetched_first_and_then_what_is_lacking() {
    let mut machine = machine();
    let told = pull(&mut machine, 1);
    assert_eq!(asked(&told), Some((1, vec![0])));
    assert!(told.contains(&Output::Hear(false)), "it leaves the group");
    assert!(fetched(&mut machine, 0));
    assert!(outputs(&mut machine).contains(&Output::Job(Job::Prepare)));
    assert_eq!(
        asked(&prepare(&mut machine, &[2])),
        Some((1, vec![1, 3, 4]))
    );
}

#[test]
fn another_source_is_asked_for_the_rest_only() {
    let mut machine = machine();
    pull(&mut machine, 1);
    fetched(&mut machine, 0);
    outputs(&mut machine);
    prepare(&mut machine, &[]);
    assert!(fetched(&mut machine, 1));
    assert_eq!(asked(&pull(&mut machine, 2)), Some((2, vec![2, 3, 4])));
    assert!(!fetched(&mut machine, 1), "it is stored");
}

#[test]
fn a_failed_source_is_told_of_once_and_only_if_it_is_the_present_one() {
    let mut machine = machine();
    pull(&mut machine, 1);
    pull(&mut machine, 2);
    machine.handle(Input::unfed(1, "refused"), Time::ZERO);
    assert_eq!(outputs(&mut machine), []);
    machine.handle(Input::unfed(2, "refused"), Time::ZERO);
    let unfed = ToSender::Unfed {
        number: 2,
        reason: "refused".into(),
    };
    assert_eq!(outputs(&mut machine), [Output::Control(unfed)]);
}

#[test]
fn a_block_of_another_length_or_out_of_its_time_is_not_wanted() {
    let mut machine = machine();
    pull(&mut machine, 1);
    assert!(!machine.accept_block(BlockIndex(0), 7, Time::ZERO));
    assert!(
        !machine.accept_block(BlockIndex(1), 100, Time::ZERO),
        "unknown yet"
    );
}

#[test]
fn blocks_that_differ_are_asked_of_another_source() {
    let mut machine = machine();
    pull(&mut machine, 1);
    fetched(&mut machine, 0);
    outputs(&mut machine);
    prepare(&mut machine, &[]);
    (1..=4).for_each(|block| assert!(fetched(&mut machine, block)));
    let finish = ToReceiver::Finish {
        digests_hash: [7; 32],
    };
    machine.handle(Input::Control(finish), Time::ZERO);
    let is_verify = |output: &Output| matches!(output, Output::Job(Job::Verify { .. }));
    assert!(outputs(&mut machine).iter().any(is_verify));
    machine.handle(Input::Verified(vec![BlockIndex(2)]), Time::ZERO);
    let told = outputs(&mut machine);
    let is_unfed =
        |output: &Output| matches!(output, Output::Control(ToSender::Unfed { number: 1, .. }));
    assert!(told.iter().any(is_unfed), "{told:?}");
    assert_eq!(asked(&pull(&mut machine, 2)), Some((2, vec![2])));
}

#[test]
fn only_a_larger_sounding_is_told_of() {
    let mut machine = machine();
    outputs(&mut machine);
    let header = |sequence| Header {
        kind: Kind::Sounding,
        symbol: SymbolIndex(0),
        tag: 1,
        block: BlockIndex(0),
        sequence: Sequence(sequence),
    };
    assert_eq!(machine.admit(&header(1)), Admission::Sounding);
    machine.accept_sounding(&header(1), 1469, Time::ZERO);
    machine.accept_sounding(&header(2), 500, Time::ZERO);
    machine.accept_sounding(&header(2), 9000, Time::ZERO);
    let told = outputs(&mut machine);
    let heard: Vec<_> = told
        .iter()
        .filter(|output| matches!(output, Output::Control(ToSender::Heard { .. })))
        .collect();
    let expected = Output::Control(ToSender::Heard { bytes: 1497 });
    assert_eq!(heard, [&expected], "a number counts once");
}

/// A pipe may end before this node is ready for what comes out of it.
#[test]
fn a_stream_that_ends_early_is_ended_once_all_is_prepared() {
    let now = Time::ZERO;
    let manifest = Stream::of_manifest_only(100).unwrap();
    let open = manifest.with_full_blocks(1000, 0).unwrap();
    let whole = manifest.with_full_blocks(0, 0).unwrap();
    let mut machine = Receiver::new(&welcome(), now).unwrap();
    machine.handle(
        Input::Joined {
            buffer_bytes: 1 << 20,
        },
        now,
    );
    machine.handle(Input::ManifestKnown, now);
    assert_eq!(jobs(&mut machine), [Job::Prepare]);
    machine.handle(Input::Control(ToReceiver::Ended { bytes: 0 }), now);
    machine.handle(
        Input::Control(ToReceiver::Finish {
            digests_hash: [3; 32],
        }),
        now,
    );
    assert_eq!(jobs(&mut machine), [], "nothing is ready for it");
    let prepared = Prepared {
        stream: open,
        have: BlockSet::new(),
    };
    machine.handle(Input::Prepared(Ok(prepared)), now);
    let ended = [Job::EndStream { bytes: 0 }];
    assert_eq!(jobs(&mut machine), ended, "it is ended once");
    machine.handle(Input::Laid(whole), now);
    let digests_hash = Digest([3; 32]);
    assert_eq!(
        outputs(&mut machine),
        [
            Output::Control(ToSender::EndKnown),
            Output::Job(Job::Verify { digests_hash })
        ],
        "only now the blocks of hashes may come"
    );
}

/// What still comes of the group when blocks are fetched must not pass for part of one.
#[test]
fn packets_count_for_nothing_once_blocks_are_fetched() {
    let mut machine = machine();
    let pull = ToReceiver::Pull {
        number: 1,
        address: [10, 0, 0, 1].into(),
        port: 7171,
    };
    machine.handle(Input::Control(pull), Time::ZERO);
    let header = Header {
        kind: Kind::Data,
        symbol: SymbolIndex(0),
        tag: 1,
        block: BlockIndex(0),
        sequence: Sequence(1),
    };
    assert_eq!(machine.admit(&header), Admission::Surplus);
    assert!(!machine.accept(&header, Time::ZERO));
    let stores = |output: &Output| matches!(output, Output::Job(Job::Store { .. }));
    assert!(!outputs(&mut machine).iter().any(stores));
}

/// A beat that leaves and arrives at `now`, and asks for reports so often.
fn hear_beat(machine: &mut Receiver, sequence: u64, now: Time, report_interval_us: u32) {
    let header = Header {
        kind: Kind::Beat,
        tag: 1,
        sequence: Sequence(sequence),
        block: BlockIndex(0),
        symbol: SymbolIndex(0),
    };
    let beat = Beat {
        sent_at: now,
        report_interval_us,
        active: true,
    };
    machine.accept_beat(&header, beat, now, now);
}

#[test]
fn a_ring_that_fills_is_reported_out_of_turn() {
    let mut machine = machine();
    let at = |millis: u64| Time::ZERO + Duration::from_millis(millis);
    let beat = |machine: &mut Receiver, sequence, now| hear_beat(machine, sequence, now, 400_000);
    let reports = |machine: &mut Receiver, now: Time| {
        let mut count = 0;
        loop {
            match machine.poll(now) {
                Output::Wait(_) => return count,
                Output::Report(_) => count += 1,
                _ => {}
            }
        }
    };
    beat(&mut machine, 1, at(10));
    assert_eq!(reports(&mut machine, at(10)), 1, "the first");
    beat(&mut machine, 2, at(100));
    assert_eq!(
        reports(&mut machine, at(100)),
        1,
        "its place among the others"
    );
    let turn = machine.report_at;
    assert!(
        turn >= at(300) && turn <= at(700),
        "half an interval more or less: {turn:?}"
    );
    beat(&mut machine, 3, at(200));
    assert_eq!(reports(&mut machine, at(200)), 0, "it is not time yet");
    let fill = |permille| Input::Facts {
        ring_permille: permille,
        dropped: 0,
    };
    machine.handle(fill(RING_FILLING_PERMILLE), at(210));
    assert_eq!(reports(&mut machine, at(210)), 1);
    assert_eq!(reports(&mut machine, at(211)), 0, "once");
    machine.handle(fill(RING_EMPTY_PERMILLE), at(220));
    assert_eq!(reports(&mut machine, at(220)), 0, "it is not empty yet");
    machine.handle(fill(0), at(221));
    assert_eq!(reports(&mut machine, at(221)), 1, "now it is");
    machine.handle(fill(RING_FILLING_PERMILLE), at(225));
    assert_eq!(reports(&mut machine, at(225)), 0, "not so soon again");
    machine.handle(fill(0), at(226));
    let milli = Duration::from_millis(1);
    beat(&mut machine, 4, turn - 10 * milli);
    assert_eq!(reports(&mut machine, turn - milli), 0);
    assert_eq!(
        reports(&mut machine, turn),
        1,
        "its turn stays where it was"
    );
}

/// Beats 5 ms apart, of which the sender wants a report so often; what that of the last one tells.
fn report_of_beats(interval: Duration, beats: u64) -> Report {
    let mut machine = machine();
    for number in 1..=beats {
        let sent_at = Time::ZERO + Duration::from_millis(5 * number);
        let header = Header {
            kind: Kind::Beat,
            tag: 1,
            sequence: Sequence(number),
            block: BlockIndex(0),
            symbol: SymbolIndex(0),
        };
        let beat = Beat {
            sent_at,
            report_interval_us: interval.as_micros() as u32,
            active: true,
        };
        // By another clock, and each a little later than the one before.
        let arrived = sent_at + Duration::from_secs(7) + Duration::from_micros(number);
        machine.accept_beat(&header, beat, arrived, sent_at);
    }
    machine.facts()
}

#[test]
fn a_rare_report_tells_of_beats_before_the_latest() {
    let often = Duration::from_millis(10);
    assert_eq!(report_of_beats(often, 40).earlier, []);
    let rare = Duration::from_millis(200);
    let told = |report: &Report| -> Vec<[u32; 3]> {
        let each = report.earlier.iter();
        each.map(|it| [it.sent_before, it.arrived_before, it.received_since])
            .collect()
    };
    let report = report_of_beats(rare, 40);
    assert_eq!(report.echo, Time::ZERO + Duration::from_millis(200));
    assert_eq!(report.echo_received, 40);
    assert_eq!(
        told(&report),
        [
            [150_000_000, 150_030_000, 30],
            [50_000_000, 50_010_000, 10],
            [20_000_000, 20_004_000, 4],
            [10_000_000, 10_002_000, 2],
        ]
    );
    assert_eq!(told(&report_of_beats(rare, 1)), [[0; 3]; 0]);
    assert_eq!(
        told(&report_of_beats(rare, 3)),
        [[10_000_000, 10_002_000, 2]]
    );
}

/// When the rate rises, nobody waits for the turn of a long interval.
#[test]
fn a_turn_comes_sooner_when_reports_are_wanted_more_often() {
    let at = |millis: u64| Time::ZERO + Duration::from_millis(millis);
    let mut machine = machine();
    hear_beat(&mut machine, 1, at(5), 400_000);
    machine.set_turn(at(500), Duration::from_millis(400));
    hear_beat(&mut machine, 2, at(10), 300_000);
    assert_eq!(machine.report_at, at(500), "hardly more often");
    hear_beat(&mut machine, 3, at(20), 100_000);
    let turn = machine.report_at;
    assert!(turn >= at(20) && turn <= at(120), "{turn:?}");
    hear_beat(&mut machine, 4, at(25), 100_000);
    assert_eq!(machine.report_at, turn, "once");
}

/// When the rate falls, the interval grows, and those who reported within a short one must not go on in one heap.
#[test]
fn rare_reports_of_many_do_not_come_in_heaps() {
    let interval = Duration::from_millis(200);
    let mut turns: Vec<Duration> = (0..200)
        .map(|peer| {
            let welcome = Welcome { peer, ..welcome() };
            let mut machine = Receiver::new(&welcome, Time::ZERO).unwrap();
            machine.report_sequence = 1;
            machine.until_next(interval)
        })
        .collect();
    turns.sort();
    let span = turns[199] - turns[0];
    assert!(span >= interval.mul_f64(0.98), "{span:?}");
    let gaps = turns.windows(2).map(|two| two[1] - two[0]);
    let widest = gaps.max().unwrap();
    assert!(widest <= interval / 50, "{widest:?}");
}

#[test]
fn packets_carry_whole_symbols_of_one_block() {
    let machine = Receiver::new(&welcome(), Time::ZERO).unwrap();
    let carried = |symbol, body: usize| {
        let header = Header {
            kind: Kind::Data,
            symbol: SymbolIndex(symbol),
            tag: 1,
            block: BlockIndex(0),
            sequence: Sequence(u64::MAX),
        };
        machine
            .opener()
            .symbols_carried(&header, HEADER_LEN + body + TAG_LEN)
    };
    let size = usize::from(SYMBOL_SIZE);
    assert_eq!(carried(0, size), Some(1));
    assert_eq!(carried(0, 6 * size), Some(6));
    assert_eq!(carried(250, 6 * size), Some(6), "up to number 255");
    assert_eq!(carried(251, 6 * size), None);
    assert_eq!(carried(0, 0), None);
    assert_eq!(carried(0, 2 * size + 1), None);
    assert_eq!(carried(0, 300 * size), None);
}

#[test]
fn an_opener_leaves_alone_what_is_no_data_packet_of_its_session() {
    let machine = Receiver::new(&welcome(), Time::ZERO).unwrap();
    let header = Header {
        kind: Kind::Data,
        symbol: SymbolIndex(3),
        tag: 1,
        block: BlockIndex(2),
        sequence: Sequence(7),
    };
    let body = [9; 2 * SYMBOL_SIZE as usize];
    let sealed = |header: Header, body: &[u8]| {
        let mut packet = vec![0; HEADER_LEN + body.len() + TAG_LEN];
        let key = SealKey::new(crate::seal::Suite::Aes128Gcm, &[1; 16]);
        key.seal(&header.emit(), header.sequence, body, &mut packet);
        packet
    };
    let opener = machine.opener();
    let mut packet = sealed(header, &body);
    assert_eq!(opener.fits(&packet), Some(header));
    assert_eq!(opener.open_in_place(&header, &mut packet), Ok(()));
    assert_eq!(symbols_within(&packet), body);
    let foreign = Header { tag: 2, ..header };
    assert_eq!(opener.fits(&sealed(foreign, &body)), None);
    for kind in [Kind::Beat, Kind::Sounding] {
        assert_eq!(opener.fits(&sealed(Header { kind, ..header }, &body)), None);
    }
    assert_eq!(opener.fits(&sealed(header, &body[1..])), None);
    for len in 0..=HEADER_LEN + TAG_LEN {
        assert_eq!(opener.fits(&packet[..len]), None, "{len} bytes");
        let _nothing = symbols_within(&packet[..len]);
    }
    let mut forged = sealed(header, &body);
    forged[HEADER_LEN] ^= 1;
    assert_eq!(opener.fits(&forged), Some(header), "only the key tells");
    assert_eq!(opener.open_in_place(&header, &mut forged), Err(Unsealed));
}

#[test]
fn who_gives_files_their_names_needs_no_sender_for_it() {
    let abort = ToReceiver::Abort {
        reason: "the user ended it".into(),
    };
    let ways: [Option<Input>; 4] = [
        Some(Input::Closed("reset".into())),
        Some(Input::Control(abort)),
        Some(Input::Control(ToReceiver::End)),
        None,
    ];
    for gone in ways {
        let mut machine = machine();
        machine.phase = Phase::Verifying;
        machine.handle(Input::Verified(Vec::new()), Time::ZERO);
        assert_eq!(jobs(&mut machine), [Job::Place]);
        if let Some(gone) = gone.clone() {
            machine.handle(gone, Time::ZERO);
        }
        // Until all is placed it rests, also when the sender is silent.
        let mut now = Time::ZERO;
        while now < Time::ZERO + SENDER_SILENCE_MAX * 2 {
            match machine.poll(now) {
                Output::Wait(until) => {
                    assert!(until > now, "{gone:?}");
                    now = now + Duration::from_millis(100);
                }
                Output::Report(_) | Output::Control(ToSender::Failed { .. }) => {}
                output => panic!("{gone:?}: {output:?}"),
            }
        }
        machine.handle(Input::Placed(Done::default()), now);
        let outputs = outputs(&mut machine);
        let ends = |output: &Output| matches!(output, Output::Finished(Ok(_)));
        assert!(outputs.iter().any(ends), "{gone:?}: {outputs:?}");
    }
}

#[test]
fn what_cannot_be_placed_fails_also_without_a_sender() {
    let mut machine = machine();
    machine.phase = Phase::Placing;
    machine.handle(Input::Closed("reset".into()), Time::ZERO);
    machine.handle(Input::Failed("the disk is full".into()), Time::ZERO);
    let outputs = outputs(&mut machine);
    let fails = |output: &Output| matches!(output, Output::Finished(Err(Failure::Failed(_))));
    assert!(outputs.iter().any(fails), "{outputs:?}");
}

#[test]
fn who_cannot_place_without_a_sender_gives_up_in_the_end() {
    // However seldom its driver looks, which has nothing else to do.
    for between in [100, 1_500].map(Duration::from_millis) {
        let mut machine = machine();
        machine.phase = Phase::Placing;
        machine.handle(Input::Closed("reset".into()), Time::ZERO);
        let mut now = Time::ZERO;
        let end = loop {
            match machine.poll(now) {
                Output::Wait(_) => now = now + between,
                Output::Finished(result) => break result,
                _ => {}
            }
            assert!(now < Time::ZERO + PLACING_ALONE_MAX * 2, "it never ends");
        };
        assert!(matches!(end, Err(Failure::SenderGone(_))), "{end:?}");
        assert!(now >= Time::ZERO + PLACING_ALONE_MAX);
    }
}
