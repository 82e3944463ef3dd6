//! The receiver's machine under a sender that holds the keys and means harm, and a driver that is honest.
#![no_main]

use std::time::Duration;

use grappe_fuzz::{Jobs, Script, tree, until_at_rest, whole_stream};
use grappe_proto::content::block_set::BlockSet;
use grappe_proto::content::stream::Stream;
use grappe_proto::limits::{PROTOCOL_VERSION, SYMBOL_SIZE, WINDOW_BLOCKS};
use grappe_proto::receiver::{Admission, Input, Job, Output, Prepared, Receiver};
use grappe_proto::units::{BlockIndex, Sequence, SymbolIndex, Time};
use grappe_proto::wire::control::{Done, ToReceiver, Welcome};
use grappe_proto::wire::data::{Beat, HEADER_LEN, Header, Kind, TAG_LEN};
use grappe_proto::wire::report::REPORT_LEN_MAX;
use libfuzzer_sys::fuzz_target;

/// Outputs between two inputs, at the same instant: the machine must come to rest.
const OUTPUTS_MAX: usize = 2_000;

struct Driver<'a> {
    script: Script<'a>,
    machine: Receiver,
    manifest_len: u64,
    now: Time,
    sequence: u64,
    jobs: Jobs<Job>,
    is_over: bool,
}

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    let manifest_len = u64::from(script.u32() >> 8);
    let welcome = Welcome {
        version: PROTOCOL_VERSION,
        peer: script.u16(),
        tag: 7,
        group: [239, 255, 71, 2].into(),
        port: 7171,
        report_port: 4000,
        data_key: [1; 16],
        report_key: [2; 16],
        suite: grappe_proto::seal::Suite::Aegis128L,
        symbol_size: SYMBOL_SIZE,
        manifest_len,
        manifest_hash: [0; 32],
        content_bytes: 0,
    };
    let Ok(machine) = Receiver::new(&welcome, Time::ZERO) else {
        return;
    };
    let mut driver = Driver {
        script,
        machine,
        manifest_len,
        now: Time::ZERO,
        sequence: 1,
        jobs: Jobs::default(),
        is_over: false,
    };
    while !driver.script.is_over() {
        driver.step();
        driver.drain();
    }
});

impl Driver<'_> {
    fn step(&mut self) {
        match self.script.u8() % 16 {
            0 => self.handle(Input::Joined {
                buffer_bytes: 1 << 20,
            }),
            1 => self.beat(),
            2 => {
                let message = match self.script.u8() {
                    0 => ToReceiver::End,
                    2..60 => ToReceiver::Turn {
                        number: self.script.near(),
                        from: BlockIndex(self.script.near()),
                        base: self.script.near().into(),
                    },
                    60..90 => ToReceiver::Pause,
                    90..100 => ToReceiver::Ended {
                        bytes: self.script.u32().into(),
                    },
                    100..105 => ToReceiver::Serve,
                    105..120 => ToReceiver::Pull {
                        number: self.script.near(),
                        address: [10, 0, 0, self.script.u8()].into(),
                        port: self.script.u16(),
                    },
                    1 => ToReceiver::Abort {
                        reason: "asked".into(),
                    },
                    _ => ToReceiver::Finish {
                        digests_hash: [3; 32],
                    },
                };
                self.handle(Input::Control(message));
            }
            3 => self.now = self.now + Duration::from_micros(self.script.u32().into()),
            4 => {
                let facts = Input::Facts {
                    ring_permille: self.script.u16(),
                    dropped: self.script.u32(),
                };
                self.handle(facts);
            }
            5 => self.whole_block(),
            6 => self.large_packet(),
            7..9 => self.data(),
            9 => self.link(),
            _ => self.answer(),
        }
    }

    fn data(&mut self) {
        let (block, symbol) = (
            BlockIndex(self.script.near()),
            SymbolIndex(self.script.u8()),
        );
        self.sequence = self.sequence.saturating_add(self.script.near().into());
        self.packet(block, symbol);
    }

    /// What happens on links to other nodes.
    fn link(&mut self) {
        match self.script.u8() % 8 {
            0 => {
                let input = Input::unfed(self.script.near(), "the source closed the connection");
                self.handle(input);
            }
            1 => {
                let header = Header {
                    kind: Kind::Sounding,
                    symbol: SymbolIndex(0),
                    tag: 7,
                    block: BlockIndex(0),
                    sequence: Sequence(self.sequence),
                };
                let len = self.script.u16().into();
                self.machine.accept_sounding(&header, len, self.now);
            }
            _ => {
                let block = BlockIndex(self.script.near());
                let place = self.machine.stream().place(block);
                let len = place.map_or(7, |place| place.len());
                self.machine.accept_block(block, len, self.now);
            }
        }
    }

    /// Enough packets to fill any block.
    fn whole_block(&mut self) {
        let (block, first) = (BlockIndex(self.script.near()), self.script.u8());
        for symbol in 0..=u8::MAX {
            self.sequence = self.sequence.saturating_add(1);
            self.packet(block, SymbolIndex(symbol.wrapping_add(first)));
        }
    }

    /// Several symbols in one packet: counted one by one, as the carrier does.
    fn large_packet(&mut self) {
        let header = Header {
            kind: Kind::Data,
            symbol: SymbolIndex(self.script.u8()),
            tag: 7,
            block: BlockIndex(self.script.near()),
            sequence: Sequence(self.sequence),
        };
        let len = match self.script.u8() {
            0 => usize::from(self.script.u16()),
            count => HEADER_LEN + usize::from(count) * usize::from(SYMBOL_SIZE) + TAG_LEN,
        };
        let Some(count) = self.machine.opener().symbols_carried(&header, len) else {
            return;
        };
        assert!(usize::from(header.symbol.0) + usize::from(count) <= 256);
        if self.machine.admit(&header) == Admission::Foreign {
            return;
        }
        for index in 0..count {
            let header = header.of_symbol(index);
            let is_wanted = matches!(self.machine.admit(&header), Admission::Place(..));
            assert_eq!(self.machine.accept(&header, self.now), is_wanted);
        }
        self.sequence = self.sequence.saturating_add(count.into());
    }

    fn packet(&mut self, block: BlockIndex, symbol: SymbolIndex) {
        let header = Header {
            kind: Kind::Data,
            symbol,
            tag: 7,
            block,
            sequence: Sequence(self.sequence),
        };
        match self.machine.admit(&header) {
            Admission::Place(..) => {
                assert!(self.machine.accept(&header, self.now), "it was wanted")
            }
            Admission::Surplus => {
                assert!(!self.machine.accept(&header, self.now), "it was not wanted")
            }
            Admission::Foreign | Admission::Beat | Admission::Sounding => {}
        }
    }

    fn beat(&mut self) {
        let block = BlockIndex(self.script.near());
        self.sequence = self.sequence.saturating_add(self.script.near().into());
        let header = Header {
            kind: Kind::Beat,
            symbol: SymbolIndex(0),
            tag: 7,
            block,
            sequence: Sequence(self.sequence),
        };
        let beat = Beat {
            sent_at: Time::from_nanos(self.script.u64()),
            report_interval_us: self.script.u32().max(1_000),
            active: self.script.u8() % 2 == 0,
        };
        self.machine.accept_beat(&header, beat, self.now, self.now);
    }

    /// Does one of the jobs, not always the first.
    fn answer(&mut self) {
        let Some(job) = self.jobs.pick(&mut self.script) else {
            return;
        };
        let input = match job {
            Job::Prepare => {
                let tree = tree(&mut self.script);
                let mut have = BlockSet::new();
                for _ in 0..self.script.u8() % 4 {
                    have.insert(BlockIndex(self.script.near()));
                }
                let stream = whole_stream(self.manifest_len, &tree);
                let prepared = stream.map(|stream| Prepared { stream, have });
                Input::Prepared(prepared.ok_or("too large".into()))
            }
            Job::Store { block, .. } => Input::Stored(block),
            Job::EndStream { bytes } => {
                let blocks = u32::try_from(bytes / 4096).unwrap_or(u32::MAX);
                match Stream::of_manifest_only(self.manifest_len)
                    .and_then(|stream| stream.with_full_blocks(blocks, 0))
                {
                    Ok(stream) => Input::Laid(stream),
                    Err(_) => Input::Failed("too large".into()),
                }
            }
            Job::Verify { .. } => {
                let blocks = self.machine.stream().block_count();
                let count = self.script.u8() % 4;
                let wrong = (0..count).map(|_| BlockIndex(self.script.u32() % blocks.max(1)));
                Input::Verified(wrong.collect())
            }
            Job::Place => Input::Placed(Done::default()),
        };
        self.handle(input);
    }

    fn handle(&mut self, input: Input) {
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
                Output::Report(packet) => assert!(packet.len() <= REPORT_LEN_MAX),
                Output::Job(job) => self.jobs.add(job),
                Output::Finished(_) => self.is_over = true,
                Output::Serve => self.machine.handle(Input::Serving(7171), self.now),
                Output::Pull { blocks, .. } => assert!(!blocks.is_empty(), "a wish for nothing"),
                Output::Control(_) | Output::Hear(_) | Output::Discard | Output::Wait(_) => {}
            }
            assert!(
                self.jobs.count() <= WINDOW_BLOCKS as usize + 2,
                "more work than the window holds"
            );
            false
        });
    }
}
