//! The sender's machine under receivers that hold keys and mean harm, and a driver that is honest.
#![no_main]

use std::collections::BTreeSet;
use std::time::Duration;

use grappe_fuzz::{Jobs, Script, tree, until_at_rest, whole_stream};
use grappe_proto::content::block_set::BlockSet;
use grappe_proto::fec::SymbolSet;
use grappe_proto::limits::SYMBOL_SIZE;
use grappe_proto::rate::RateLimits;
use grappe_proto::seal::{SealKey, Suite};
use grappe_proto::sender::{Input, Job, Output, Sender, SenderSetup, in_packets};
use grappe_proto::session::{Expectation, Straggler, Transport};
use grappe_proto::units::{BlockIndex, Digest, PeerId, Rate, Sequence, Time};
use grappe_proto::wire::control::{Done, ToSender};
use grappe_proto::wire::data::{HEADER_LEN, TAG_LEN};
use grappe_proto::wire::report::{Earlier, Lack, Report, ReportHeader};
use libfuzzer_sys::fuzz_target;

/// Outputs between two inputs, at the same instant: the machine must come to rest.
const OUTPUTS_MAX: usize = 5_000;

/// Receivers: enough for any relation between two of them.
const PEERS_MAX: u16 = 6;

const BURST: usize = 44;

struct Driver<'a> {
    script: Script<'a>,
    machine: Sender,
    now: Time,
    peers: u16,
    reports: u64,
    jobs: Jobs<Job>,
    /// What the driver holds in memory for the machine.
    memory: BTreeSet<BlockIndex>,
    sequence: u64,
    mtu: u32,
    is_over: bool,
}

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    let manifest_len = 1 + u64::from(script.u32() >> 12);
    let Some(stream) = whole_stream(manifest_len, &tree(&mut script)) else {
        return;
    };
    let expectation = match script.u8() % 3 {
        0 => Expectation::Anybody,
        1 => Expectation::Count(usize::from(script.u8() % 4)),
        _ => Expectation::Names(["0", "1"].map(String::from).into()),
    };
    let cap = script.u8() % 2 == 0;
    let mtu = [1500, 4000, 9000, 65_536][usize::from(script.u8() % 4)];
    let setup = SenderSetup {
        straggler: Straggler::Demote,
        tag: 7,
        stream,
        symbol_size: SYMBOL_SIZE,
        expectation,
        wait: Duration::from_millis(script.u16().into()),
        rate: RateLimits {
            cap: cap.then(|| Rate::from_bytes_per_second(1_000_000)),
            ..RateLimits::default()
        },
        transport: match script.u8() % 3 {
            0 => Transport::Auto,
            1 => Transport::Multicast,
            _ => Transport::Pipeline,
        },
        mtu,
        burst_packets_max: BURST,
        starts_when_told: false,
    };
    let mut driver = Driver {
        script,
        machine: Sender::new(setup, Time::ZERO),
        now: Time::ZERO,
        peers: 0,
        reports: 0,
        jobs: Jobs::default(),
        memory: BTreeSet::new(),
        sequence: 0,
        mtu,
        is_over: false,
    };
    driver.begin();
    while !driver.script.is_over() {
        driver.step();
        driver.drain();
    }
});

impl Driver<'_> {
    /// Lets some receivers join and prepare as they should, so that much is spent on what follows.
    fn begin(&mut self) {
        let count = self.script.u8() % 4;
        for number in 0..count {
            self.hello(number.to_string());
            self.drain();
            let peer = PeerId(number.into());
            let joined = ToSender::Joined {
                buffer_bytes: 1 << (16 + self.script.u8() % 12),
            };
            self.handle(Input::Control(peer, joined));
            self.drain();
        }
        self.flow();
        for number in 0..count {
            self.handle(Input::Control(
                PeerId(number.into()),
                ready(0, BlockSet::new()),
            ));
        }
        self.drain();
    }

    fn hello(&mut self, name: String) {
        let peer = PeerId(self.peers);
        self.peers += 1;
        self.handle(Input::Hello {
            peer,
            name,
            report_key: SealKey::new(Suite::Aes128Gcm, &[9; 16]),
        });
    }

    /// Some milliseconds in which every job is done at once.
    fn flow(&mut self) {
        for _ in 0..1 + self.script.u8() % 16 {
            self.now = self.now + Duration::from_millis(5);
            self.drain();
            while let Some(job) = self.jobs.oldest() {
                self.done(job);
                self.drain();
            }
        }
    }

    fn step(&mut self) {
        match self.script.u8() % 16 {
            0 if self.peers < PEERS_MAX => {
                let name = (self.script.u8() % 3).to_string();
                self.hello(name);
            }
            1 => self.control(),
            2 => {
                let peer = self.peer();
                self.handle(Input::Left(peer, "gone".into()));
            }
            3 | 4 => self.now = self.now + Duration::from_micros(self.script.u16().into()),
            5 => self.now = self.now + Duration::from_micros(u64::from(self.script.u32()) >> 8),
            6 => {
                let len = usize::from(self.script.u8());
                let datagram = self.script.bytes(len).to_vec();
                self.handle(Input::Datagram(&datagram));
            }
            7 if self.script.u8() == 0 => self.handle(Input::Cancel("asked".into())),
            8..11 => self.report(),
            11 | 12 => self.flow(),
            _ => self.answer(),
        }
    }

    fn peer(&mut self) -> PeerId {
        PeerId(u16::from(self.script.u8()) % PEERS_MAX)
    }

    fn control(&mut self) {
        let peer = self.peer();
        let message = match self.script.u8() % 12 {
            0..3 => ToSender::Joined {
                buffer_bytes: self.script.u64(),
            },
            3..6 => {
                let mut have = BlockSet::new();
                for _ in 0..self.script.u8() % 4 {
                    let from = self.script.near();
                    have.insert_range(
                        BlockIndex(from)..BlockIndex(from.saturating_add(self.script.near())),
                    );
                }
                ready(self.script.near(), have)
            }
            6 => ToSender::Done(Done {
                digest: [self.script.u8() % 2; 32],
                ..Done::default()
            }),
            7 => ToSender::Failed {
                reason: "no more".into(),
            },
            8 => ToSender::Unfed {
                number: self.script.near(),
                reason: "nothing came".into(),
            },
            9 => ToSender::Serving {
                port: self.script.u16(),
            },
            _ => ToSender::Heard {
                bytes: self.script.u16(),
            },
        };
        self.handle(Input::Control(peer, message));
    }

    /// A report that opens: its body says anything.
    fn report(&mut self) {
        self.reports += 1;
        let (peer, sequence) = (self.peer(), Sequence(self.reports));
        // The highest number is often one that was sent, or nothing in the report would count.
        let highest = self.sequence.saturating_sub(self.script.near().into());
        let time = |script: &mut Script<'_>| Time::from_nanos(script.u64());
        let turn = u32::from(self.script.u8() % 4);
        let received = highest.saturating_sub(self.script.near().into());
        let earlier = (0..self.script.u8() % 5).map(|_| Earlier {
            sent_before: self.script.u32(),
            arrived_before: self.script.u32(),
            received_since: self.script.near(),
        });
        let earlier = earlier.collect();
        let lacks = (0..self.script.u8() % 4).map(|_| Lack {
            block: BlockIndex(self.script.near()),
            need: 1 + self.script.u8() % 64,
            missing: SymbolSet::from_words([(); 4].map(|()| self.script.u64())),
        });
        let lacks = lacks.collect();
        let report = Report {
            turn,
            highest: Sequence(highest),
            received,
            echo: time(&mut self.script),
            echo_at: time(&mut self.script),
            echo_received: self.script.u64(),
            earlier,
            stored_below: BlockIndex(self.script.near()),
            dropped: self.script.u32(),
            ring_permille: self.script.u16(),
            store_backlog: self.script.u16(),
            lacks,
        };
        let mut body = Vec::new();
        report.emit(&mut body);
        let header = ReportHeader {
            peer,
            tag: 7,
            held: self.script.u32(),
            sequence,
        }
        .emit();
        let mut packet = vec![0; HEADER_LEN + body.len() + TAG_LEN];
        SealKey::new(Suite::Aes128Gcm, &[9; 16]).seal(&header, sequence, &body, &mut packet);
        self.handle(Input::Datagram(&packet));
    }

    /// Does one of the jobs, not always the first.
    fn answer(&mut self) {
        if let Some(job) = self.jobs.pick(&mut self.script) {
            self.done(job);
        }
    }

    fn done(&mut self, job: Job) {
        match job {
            Job::Read(block) => {
                self.memory.insert(block);
                self.handle(Input::BlockReady(block));
            }
            Job::Hash(block) => self.handle(Input::BlockHashed(block)),
            Job::Digests => self.handle(Input::DigestsReady {
                hash: Digest([5; 32]),
                copy: Digest([1; 32]),
            }),
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.machine.handle(input, self.now);
    }

    fn drain(&mut self) {
        until_at_rest(OUTPUTS_MAX, || {
            let output = self.machine.poll(self.now);
            if let Output::Wait(_) = output {
                return true;
            }
            assert!(!self.is_over, "{output:?} after the end");
            match output {
                Output::Burst {
                    first,
                    symbols,
                    together,
                } => {
                    let packets = in_packets(&symbols, together);
                    let most = packets.map(<[_]>::len).max().unwrap_or(0) as u32;
                    assert!(most == 1 || most * 1_433 + 64 <= self.mtu, "{most} symbols");
                    assert!(
                        (1..=BURST).contains(&symbols.len()),
                        "a burst of {}",
                        symbols.len()
                    );
                    assert!(first.0 > self.sequence, "a number is used once");
                    self.sequence = first.0 + symbols.len() as u64 - 1;
                    for (block, _) in symbols {
                        assert!(
                            self.memory.contains(&block),
                            "block {block} is not in memory"
                        );
                    }
                }
                Output::Beat { sequence, .. } | Output::Sounding { sequence, .. } => {
                    assert!(sequence.0 > self.sequence, "a number is used once");
                    self.sequence = sequence.0;
                }
                Output::Job(job) => self.jobs.add(job),
                Output::Forget(below) => self.memory = self.memory.split_off(&below),
                Output::Finished(_) => self.is_over = true,
                _ => {}
            }
            false
        });
    }
}

fn ready(turn: u32, have: BlockSet) -> ToSender {
    ToSender::Ready { turn, have }
}
