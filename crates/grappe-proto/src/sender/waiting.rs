//! What the session waits for, in words for the user: a receiver, or this node's own disk.
//!
//! It decides nothing. What held the copy back over its whole time is in `blame`.

use super::{Digests, Peer, Phase, Sender};
use crate::limits::WINDOW_BLOCKS;

/// Names in one line; more are only counted.
const NAMES_MAX: usize = 5;

impl Sender {
    /// What the session waits for, in words, for a line that tells the user: "waiting for ...".
    pub fn waiting_for(&self) -> String {
        match self.phase {
            Phase::Joining(_) => match self.setup.expectation.count() {
                Some(count) => format!("receivers: {} of {count} joined", self.live().count()),
                None => format!("receivers: {} joined", self.live().count()),
            },
            Phase::Over => "nothing".into(),
            Phase::Manifest | Phase::Content => self
                .waiting_for_this_node()
                .unwrap_or_else(|| self.waiting_for_receivers()),
        }
    }

    /// What this node itself owes before anything more can leave, if it does.
    fn waiting_for_this_node(&self) -> Option<String> {
        let (cursor, _) = self.cursor;
        let has_window = cursor.0 < self.floor.stored_below.0.saturating_add(WINDOW_BLOCKS);
        let may_leave = cursor < self.gate && has_window;
        // An earlier block is read again for a repair; later ones are only read ahead.
        if let Some(block) = self.reading.first()
            && (*block < cursor || (*block == cursor && may_leave))
        {
            return Some(format!(
                "this node's own disk: block {block} is not read yet"
            ));
        }
        let all_stored = self.floor.stored_below >= self.setup.stream.content_blocks().end;
        (self.digests == Digests::Asked && all_stored)
            .then(|| "this node's own disk: the digests of what was sent".into())
    }

    fn waiting_for_receivers(&self) -> String {
        if self.phase == Phase::Manifest {
            let names = self.names(|peer| !peer.is_ready());
            return format!("{names} to prepare for the files");
        }
        if self.receivers == 0 {
            return self.waiting_for_pipeline();
        }
        if self.floor.stored_below >= self.end() {
            return format!("{} to verify and place the files", self.names(|_| true));
        }
        match self.live().min_by_key(|peer| peer.stored_below) {
            Some(slowest) => format!("{} to store the content", slowest.name),
            None => "nobody".into(),
        }
    }

    fn waiting_for_pipeline(&self) -> String {
        let mut piped = self.present().filter(|peer| peer.is_piped()).peekable();
        if piped.peek().is_none() {
            return "nobody".into();
        }
        match piped
            .filter(|peer| peer.stored_below < self.end())
            .min_by_key(|peer| peer.stored_below)
        {
            Some(slowest) => format!("{} to store the content", slowest.name),
            None => format!("{} to verify and place the files", self.names(|_| true)),
        }
    }

    /// The receivers of the pass, or of the pipeline, that are `wanted`, by name.
    fn names(&self, wanted: fn(&Peer) -> bool) -> String {
        let mut names: Vec<&str> = self
            .present()
            .filter(|peer| peer.is_live() || peer.is_piped())
            .filter(|peer| wanted(peer))
            .map(|peer| &*peer.name)
            .collect();
        let more = names.len().saturating_sub(NAMES_MAX);
        names.truncate(NAMES_MAX);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!("{}{more}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Input, Job, Output, SenderSetup};
    use super::*;
    use crate::content::block_set::BlockSet;
    use crate::content::layout::Layout;
    use crate::content::manifest::{Entry, Kind, Manifest};
    use crate::content::stream::Stream;
    use crate::rate::RateLimits;
    use crate::seal::{SealKey, Suite};
    use crate::session::{Expectation, Straggler, Transport};
    use crate::units::{BlockIndex, Digest, PeerId, Sequence, Time};
    use crate::wire::control::ToSender;
    use crate::wire::data::{HEADER_LEN, TAG_LEN};
    use crate::wire::report::{Report, ReportHeader};

    const REPORT_KEY: [u8; 16] = [9; 16];
    const PEER: PeerId = PeerId(0);
    const WAIT: Duration = Duration::from_secs(60);

    /// One block of manifest (0), two of content (1, 2), one of digests (3).
    fn machine() -> Sender {
        let layout = Layout::new(&Manifest {
            entries: vec![Entry {
                path: b"file".to_vec(),
                kind: Kind::File { size: 300_000 },
                mode: 0o644,
                mtime: (0, 0),
                ..Entry::default()
            }],
            ..Manifest::default()
        });
        let stream = Stream::of_manifest_only(100)
            .unwrap()
            .with_content(&layout, 100)
            .unwrap();
        let setup = SenderSetup {
            tag: 1,
            stream,
            symbol_size: 1433,
            expectation: Expectation::Count(1),
            wait: WAIT,
            rate: RateLimits::default(),
            straggler: Straggler::Wait,
            transport: Transport::Multicast,
            mtu: 1500,
            burst_packets_max: 44,
            starts_when_told: false,
        };
        Sender::new(setup, Time::ZERO)
    }

    fn greet(machine: &mut Sender) {
        let hello = Input::Hello {
            peer: PEER,
            name: "node7".into(),
            report_key: SealKey::new(Suite::Aes128Gcm, &REPORT_KEY),
        };
        machine.handle(hello, Time::ZERO);
        let joined = ToSender::Joined {
            buffer_bytes: 1 << 24,
        };
        machine.handle(Input::Control(PEER, joined), Time::ZERO);
    }

    /// Lets a second go by, in which no job is done; answers the jobs asked for.
    fn flow(machine: &mut Sender, now: &mut Time) -> Vec<Job> {
        let mut jobs = Vec::new();
        for _ in 0..1_000 {
            *now = *now + Duration::from_millis(1);
            loop {
                match machine.poll(*now) {
                    Output::Wait(_) => break,
                    Output::Job(job) => jobs.push(job),
                    _ => {}
                }
            }
        }
        jobs
    }

    /// Node 7 has heard everything and stored all blocks before `stored_below`.
    fn report(machine: &mut Sender, number: u64, stored_below: u32, now: Time) {
        let sent = machine.packets_sent();
        let report = Report {
            turn: 0,
            highest: Sequence(sent),
            received: sent,
            echo: now,
            echo_at: now,
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
        let sequence = Sequence(number);
        let header = ReportHeader {
            peer: PEER,
            tag: 1,
            held: 0,
            sequence,
        };
        let mut packet = vec![0; HEADER_LEN + body.len() + TAG_LEN];
        SealKey::new(Suite::Aes128Gcm, &REPORT_KEY).seal(
            &header.emit(),
            sequence,
            &body,
            &mut packet,
        );
        machine.handle(Input::Datagram(&packet), now);
    }

    #[test]
    fn who_owes_something_is_named() {
        let (mut machine, mut now) = (machine(), Time::ZERO);
        assert_eq!(machine.waiting_for(), "receivers: 0 of 1 joined");
        greet(&mut machine);

        let jobs = flow(&mut machine, &mut now);
        assert!(jobs.contains(&Job::Read(BlockIndex(0))), "{jobs:?}");
        let disk = |block: u32| format!("this node's own disk: block {block} is not read yet");
        assert_eq!(machine.waiting_for(), disk(0));

        machine.handle(Input::BlockReady(BlockIndex(0)), now);
        flow(&mut machine, &mut now);
        assert_eq!(machine.waiting_for(), "node7 to prepare for the files");

        let mut have = BlockSet::new();
        have.insert(BlockIndex(0));
        let ready = ToSender::Ready { turn: 0, have };
        machine.handle(Input::Control(PEER, ready), now);
        report(&mut machine, 1, 1, now);
        flow(&mut machine, &mut now);
        assert_eq!(machine.waiting_for(), disk(1));

        machine.handle(Input::BlockReady(BlockIndex(1)), now);
        machine.handle(Input::BlockReady(BlockIndex(2)), now);
        let jobs = flow(&mut machine, &mut now);
        assert_eq!(jobs, [Job::Digests]);
        assert_eq!(machine.waiting_for(), "node7 to store the content");

        report(&mut machine, 2, 3, now);
        flow(&mut machine, &mut now);
        let digests = "this node's own disk: the digests of what was sent";
        assert_eq!(machine.waiting_for(), digests);

        let (hash, copy) = (Digest::default(), Digest::default());
        machine.handle(Input::DigestsReady { hash, copy }, now);
        flow(&mut machine, &mut now);
        assert_eq!(machine.waiting_for(), disk(3));

        machine.handle(Input::BlockReady(BlockIndex(3)), now);
        flow(&mut machine, &mut now);
        report(&mut machine, 3, 4, now);
        assert_eq!(machine.waiting_for(), "node7 to verify and place the files");
    }

    #[test]
    fn while_nobody_has_joined_nothing_is_due_before_the_end_of_the_wait() {
        let mut machine = machine();
        let later = Time::ZERO + Duration::from_secs(1);
        assert_eq!(machine.poll(later), Output::Wait(Time::ZERO + WAIT));

        greet(&mut machine);
        let Some(Output::Wait(until)) = std::iter::repeat_with(|| machine.poll(later))
            .take(50)
            .find(|output| matches!(output, Output::Wait(_)))
        else {
            panic!("the machine never rests");
        };
        assert!(later < until && until < later + Duration::from_secs(1));
    }
}
