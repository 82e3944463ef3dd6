//! What to simulate: the size of the cluster and of the copy, the links, the disks, the faults.
//!
//! Plain values. What they do is in `network`, `disk` and `cluster`.

use std::collections::BTreeMap;
use std::time::Duration;

use grappe_proto::content::block_set::BlockSet;
use grappe_proto::session::Straggler;
use grappe_proto::units::Rate;

use crate::random::Random;

/// One copy in one cluster. The seed and the other fields together determine everything.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Decides all that is left to chance.
    pub seed: u64,
    /// Receivers, all of which the sender expects.
    pub receivers: usize,
    /// Bytes of content.
    pub bytes: u64,
    /// Whether real bytes travel, sealed, and are compared at the end. For small copies.
    pub payload: bool,
    /// The sender's link.
    pub uplink: Rate,
    /// Bytes that the sender's socket takes before it pushes back.
    pub uplink_queue_bytes: u64,
    /// The link on which reports reach the sender, where it is one that they can fill.
    pub inlink: Option<Rate>,
    /// The way to each receiver.
    pub downlink: Link,
    /// Receivers whose way differs.
    pub downlinks: BTreeMap<usize, Link>,
    /// How fast the sender reads.
    pub read_rate: Rate,
    /// How fast each receiver stores.
    pub store_rate: Rate,
    /// A receiver's socket buffer and ring together.
    pub buffer_bytes: u64,
    /// What becomes of a receiver that is far slower than the others.
    pub straggler: Straggler,
    /// The user's cap.
    pub rate_cap: Option<Rate>,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
    /// Virtual time after which a copy that still runs has failed.
    pub deadline: Duration,
}

impl Default for Scenario {
    /// One receiver, 16 MiB, gigabit links without faults.
    fn default() -> Self {
        Self {
            seed: 1,
            receivers: 1,
            bytes: 16 << 20,
            payload: false,
            uplink: mbit_per_second(1_000),
            uplink_queue_bytes: 1 << 20,
            inlink: None,
            downlink: Link::default(),
            downlinks: BTreeMap::new(),
            read_rate: mbit_per_second(16_000),
            store_rate: mbit_per_second(8_000),
            buffer_bytes: 8 << 20,
            straggler: Straggler::default(),
            rate_cap: None,
            faults: Vec::new(),
            deadline: Duration::from_secs(120),
        }
    }
}

impl Scenario {
    /// A small cluster of random size with random links and policy and, in most, a random fault or two.
    pub fn random(seed: u64) -> Self {
        let mut random = Random::new(seed).fork(0x5ce);
        let receivers = random.pick(&[1, 2, 3, 5, 8, 20]);
        let payload = receivers <= 3;
        let mut scenario = Self {
            seed,
            receivers,
            bytes: random.below(if payload { 3 << 20 } else { 24 << 20 }),
            payload,
            uplink: mbit_per_second(random.pick(&[100, 1_000, 10_000])),
            downlink: Link::random(&mut random),
            store_rate: mbit_per_second(random.pick(&[200, 2_000, 16_000])),
            buffer_bytes: random.pick(&[256 << 10, 4 << 20, 64 << 20]),
            rate_cap: random.chance(0.2).then_some(mbit_per_second(80)),
            ..Self::default()
        };
        if random.chance(0.3) {
            scenario.downlinks.insert(0, Link::random(&mut random));
        }
        if random.chance(0.5) {
            scenario.faults.push(Fault::random(receivers, &mut random));
        }
        // Drawn by another source, so that the rest of each scenario stays what it was.
        if Random::new(seed).fork(0x9000).chance(0.25) {
            scenario.downlink.mtu = 9000;
        }
        let mut random = Random::new(seed).fork(0x57a6);
        scenario.straggler = random.pick(&[
            Straggler::Demote,
            Straggler::Demote,
            Straggler::Wait,
            Straggler::Drop,
        ]);
        let mut random = Random::new(seed).fork(0x2fa);
        if random.chance(0.4) {
            let fault = Fault::random_other(&scenario, &mut random);
            scenario.faults.push(fault);
        }
        let mut random = Random::new(seed).fork(0x70c);
        if random.chance(0.3) {
            scenario.downlink.burst_bytes = random.pick(&[16 << 10, 128 << 10, 1 << 20]);
        }
        let mut random = Random::new(seed).fork(0x417);
        if random.chance(0.2) {
            scenario.downlink.rival = Some(Rival::random(&mut random));
        }
        scenario
    }

    /// Receivers that the sender waits for.
    pub fn expected(&self) -> usize {
        let is_late = |fault: &&Fault| matches!(fault, Fault::LateJoin { .. });
        self.receivers - self.faults.iter().filter(is_late).count()
    }

    /// When receiver `node` comes.
    pub(crate) fn comes_at(&self, node: usize) -> Duration {
        let late = self.faults.iter().find_map(|fault| match fault {
            Fault::LateJoin { node: late, at } if *late == node => Some(*at),
            _ => None,
        });
        late.unwrap_or_default()
    }

    /// The way to receiver `node`.
    pub fn downlink_of(&self, node: usize) -> &Link {
        self.downlinks.get(&node).unwrap_or(&self.downlink)
    }
}

/// The way from the sender's switch to one receiver, and back.
#[derive(Clone, Debug)]
pub struct Link {
    /// How fast packets leave the queue.
    pub rate: Rate,
    /// Bytes that wait at most; what comes on top is dropped.
    pub queue_bytes: u64,
    /// Bytes that pass at once after a while in which less came than `rate`: the bucket of a shaper by tokens (RFC
    /// 2697, section 3), which is full at first.
    pub burst_bytes: u64,
    /// One way.
    pub delay: Duration,
    /// Most that a packet takes longer than another; beyond a packet's own time this reorders.
    pub jitter: Duration,
    /// Whether a packet that takes longer holds up those behind it, as a thread that is late does, and none is
    /// overtaken.
    pub keeps_order: bool,
    /// Share of packets lost independently, both ways.
    pub loss: f64,
    /// Losses that come together.
    pub burst_loss: Option<BurstLoss>,
    /// Share of packets that arrive twice.
    pub duplication: f64,
    /// Share of packets that arrive broken.
    pub corruption: f64,
    /// Bytes of the largest IP packet that passes. That of [`Scenario::downlink`] is the sender's interface's
    /// as well.
    pub mtu: u16,
    /// Who else uses it.
    pub rival: Option<Rival>,
}

impl Default for Link {
    /// A gigabit port of a small switch.
    fn default() -> Self {
        Self {
            rate: mbit_per_second(1_000),
            queue_bytes: 256 << 10,
            burst_bytes: 0,
            delay: Duration::from_micros(100),
            jitter: Duration::ZERO,
            keeps_order: false,
            loss: 0.0,
            burst_loss: None,
            duplication: 0.0,
            corruption: 0.0,
            mtu: 1500,
            rival: None,
        }
    }
}

impl Link {
    fn random(random: &mut Random) -> Self {
        let bursts = BurstLoss {
            enter: 0.000_5,
            leave: 0.05,
            loss: 0.7,
        };
        Self {
            rate: mbit_per_second(random.pick(&[50, 200, 1_000, 10_000])),
            queue_bytes: random.pick(&[64 << 10, 512 << 10]),
            delay: Duration::from_micros(random.pick(&[20, 100, 1_000, 10_000])),
            jitter: Duration::from_micros(random.pick(&[0, 0, 50, 2_000])),
            loss: random.pick(&[0.0, 0.0, 0.000_1, 0.001, 0.01, 0.03]),
            burst_loss: random.chance(0.2).then_some(bursts),
            duplication: random.pick(&[0.0, 0.0, 0.01]),
            corruption: random.pick(&[0.0, 0.0, 0.001]),
            ..Self::default()
        }
    }
}

/// A TCP connection with CUBIC (RFC 9438) that fills the same queue as the copy. Times count from the beginning of the
/// session.
#[derive(Clone, Copy, Debug)]
pub struct Rival {
    /// When it begins.
    pub from: Duration,
    /// When it has sent all.
    pub until: Duration,
}

impl Rival {
    fn random(random: &mut Random) -> Self {
        let from = random.duration(Duration::from_secs(1));
        Self {
            from,
            until: from + random.duration(Duration::from_secs(20)),
        }
    }
}

/// The model of Gilbert (1960) and Elliott (1963): a good state without and a bad state with loss.
#[derive(Clone, Copy, Debug)]
pub struct BurstLoss {
    /// Probability per packet of going from good to bad.
    pub enter: f64,
    /// Probability per packet of going back.
    pub leave: f64,
    /// Share of packets lost in the bad state.
    pub loss: f64,
}

/// What goes wrong. Times count from the beginning of the session.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A receiver's process or machine ends.
    ReceiverCrash {
        /// Which receiver.
        node: usize,
        /// When.
        at: Duration,
        /// Whether the connection stays open as that of a machine without power.
        silent: bool,
    },
    /// A receiver's process ends, and another one takes its place, which has what was stored.
    ReceiverRestart {
        /// Which receiver.
        node: usize,
        /// When.
        at: Duration,
        /// How long until it is back.
        after: Duration,
    },
    /// A receiver is not there at the beginning, and nobody waits for it.
    LateJoin {
        /// Which receiver.
        node: usize,
        /// When it comes.
        at: Duration,
    },
    /// A receiver has part of the content from a copy that was broken off.
    Resume {
        /// Which receiver.
        node: usize,
        /// Share of the content that it has, in hundredths, from the beginning.
        percent: u32,
    },
    /// A receiver has what it stored of a copy that was broken off, as [`NodeResult::stored`](crate::NodeResult::stored)
    /// says.
    ResumeWith {
        /// Which receiver.
        node: usize,
        /// The manifest's blocks, if it had all of them, and blocks of the content.
        stored: BlockSet,
    },
    /// The sender's process or machine ends.
    SenderCrash {
        /// When.
        at: Duration,
        /// Whether the connections stay open.
        silent: bool,
    },
    /// A receiver's process stands still; its socket goes on filling.
    ReceiverPause {
        /// Which receiver.
        node: usize,
        /// When.
        at: Duration,
        /// How long.
        lasting: Duration,
    },
    /// The way to a receiver takes smaller packets than before: a link failed, and another took its place.
    Narrow {
        /// Which receiver.
        node: usize,
        /// When.
        at: Duration,
        /// Bytes of the largest IP packet from then on.
        mtu: u16,
    },
    /// The way to a receiver becomes faster or slower. What waits before it then leaves as if nothing were, or later.
    Rate {
        /// Which receiver, or all of them.
        node: Option<usize>,
        /// When.
        at: Duration,
        /// The rate from then on.
        rate: Rate,
    },
    /// A receiver's disk stands still.
    DiskStall {
        /// Which receiver.
        node: usize,
        /// When.
        at: Duration,
        /// How long.
        lasting: Duration,
    },
    /// A receiver's machine loses power and comes back. Its journal is whole, but the last blocks in it were
    /// never written: the disk had promised more than it kept.
    TornDisk {
        /// Which receiver.
        node: usize,
        /// When.
        at: Duration,
        /// How long until it is back.
        after: Duration,
        /// How many content blocks hold rubbish.
        blocks: u32,
    },
    /// A node's clock leaps forward, as that of a virtual machine that was moved.
    ClockJump {
        /// Which receiver, or the sender.
        node: Option<usize>,
        /// When.
        at: Duration,
        /// How far.
        by: Duration,
    },
    /// Nothing gets through between the sender and a receiver in one direction. Connections hold, and what
    /// was said on them arrives when it is over.
    Partition {
        /// Which receiver.
        node: usize,
        /// Which direction.
        way: Way,
        /// When.
        at: Duration,
        /// How long.
        lasting: Duration,
    },
    /// A receiver takes a while to prepare for the files.
    SlowPrepare {
        /// Which receiver.
        node: usize,
        /// How long.
        lasting: Duration,
    },
    /// A receiver's disk is slower than the others'.
    SlowDisk {
        /// Which receiver.
        node: usize,
        /// Its rate.
        rate: Rate,
    },
    /// A receiver's processor is slower than what comes.
    SlowHost {
        /// Which receiver.
        node: usize,
        /// The rate at which it processes packets.
        rate: Rate,
        /// Bytes that its socket and ring really hold; what comes on top is dropped. It told of
        /// [`Scenario::buffer_bytes`], as one does whose kernel counts more for a packet than its length.
        holds_bytes: u64,
    },
    /// A receiver's disk stores these content blocks wrongly, the first time.
    Mismatch {
        /// Which receiver.
        node: usize,
        /// Content blocks, from 0.
        blocks: Vec<u32>,
    },
    /// A receiver does not tell the truth in its reports.
    Liar {
        /// Which receiver.
        node: usize,
        /// What it says.
        lie: Lie,
    },
}

impl Fault {
    /// Which receiver it strikes, if it is one.
    pub(crate) const fn node(&self) -> Option<usize> {
        match self {
            Self::ReceiverCrash { node, .. }
            | Self::ReceiverRestart { node, .. }
            | Self::LateJoin { node, .. }
            | Self::Resume { node, .. }
            | Self::ResumeWith { node, .. }
            | Self::ReceiverPause { node, .. }
            | Self::Narrow { node, .. }
            | Self::DiskStall { node, .. }
            | Self::TornDisk { node, .. }
            | Self::Partition { node, .. }
            | Self::SlowPrepare { node, .. }
            | Self::SlowDisk { node, .. }
            | Self::SlowHost { node, .. }
            | Self::Mismatch { node, .. }
            | Self::Liar { node, .. } => Some(*node),
            Self::ClockJump { node, .. } | Self::Rate { node, .. } => *node,
            Self::SenderCrash { .. } => None,
        }
    }

    fn random(receivers: usize, random: &mut Random) -> Self {
        let node = random.below(receivers as u64) as usize;
        let at = random.duration(Duration::from_millis(800));
        let silent = random.chance(0.5);
        match random.below(12) {
            0 => Self::ReceiverCrash { node, at, silent },
            1 => Self::SenderCrash { at, silent },
            2 => Self::ReceiverPause {
                node,
                // Later than its joining, or it would rightly be taken for absent.
                at: at + Duration::from_millis(100),
                lasting: Duration::from_secs(2),
            },
            3 => Self::DiskStall {
                node,
                at,
                lasting: Duration::from_secs(3),
            },
            4 => Self::ReceiverRestart {
                node,
                at,
                after: random.duration(Duration::from_millis(600)),
            },
            // Somebody must be there in time.
            5 if receivers > 1 => Self::LateJoin { node, at },
            5 | 6 => Self::Resume {
                node,
                percent: random.below(101) as u32,
            },
            7 => Self::SlowDisk {
                node,
                rate: mbit_per_second(40),
            },
            8 => Self::TornDisk {
                node,
                at,
                after: random.duration(Duration::from_millis(600)),
                blocks: random.below(8) as u32,
            },
            9 => Self::ClockJump {
                node: random.chance(0.5).then_some(node),
                at,
                by: random.duration(Duration::from_secs(4)),
            },
            10 => Self::Partition {
                node,
                way: random.pick(&[Way::ToReceiver, Way::ToSender]),
                // Later than its joining, as for a pause.
                at: at + Duration::from_millis(100),
                lasting: random.duration(Duration::from_secs(4)),
            },
            _ => Self::Mismatch {
                node,
                blocks: vec![random.below(8) as u32, random.below(80) as u32],
            },
        }
    }

    /// One of those that may come on top of another.
    fn random_other(scenario: &Scenario, random: &mut Random) -> Self {
        let receivers = scenario.receivers;
        let node = random.below(receivers as u64) as usize;
        let at = random.duration(Duration::from_millis(800));
        match random.below(7) {
            0 => Self::Narrow {
                node,
                at,
                mtu: 1500,
            },
            1 => Self::Liar {
                node,
                lie: random.pick(&Lie::HARMLESS),
            },
            2 => Self::Rate {
                // Of those that are all slowed down at once, some are given up where that was asked for.
                node: (random.chance(0.5) || scenario.straggler == Straggler::Drop).then_some(node),
                at,
                rate: mbit_per_second(random.pick(&[20, 100, 500])),
            },
            3 => Self::SlowHost {
                node,
                rate: mbit_per_second(random.pick(&[40, 400])),
                holds_bytes: random.pick(&[256 << 10, 4 << 20]),
            },
            4 => Self::SlowPrepare {
                node,
                lasting: random.duration(Duration::from_secs(5)),
            },
            _ => Self::random(receivers, random),
        }
    }
}

/// A direction between the sender and a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Content, beats and control messages.
    ToReceiver,
    /// Reports and control messages.
    ToSender,
}

/// What a lying receiver says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// That it lacks every symbol of the first blocks, for ever.
    LacksEverything,
    /// That it lacks every symbol of the last blocks that it has stored, as it says, too.
    LacksWhatItStored,
    /// That no packet ever came.
    ReceivedNothing,
    /// That every other packet is lost on the way.
    LosesHalf,
    /// That it is slow: ten packets of eleven are still to be processed.
    IsSlow,
    /// That all is stored.
    StoredEverything,
    /// That it saw packets which were never sent.
    SawTheFuture,
    /// That more had arrived at the last beat than by now.
    HeardBeforeItReceived,
    /// Numbers without sense.
    Nonsense,
    /// That it heard packets larger than any.
    HearsAnySize,
    /// That all packets wait in a queue, after a while in which none did.
    WaitsInQueue,
    /// The same, and that half of them arrive behind it.
    HalfArrives,
    /// That packets come out of a long queue many times as fast as they were sent, again and again.
    ArrivesFast,
}

impl Lie {
    /// Those that hurt nobody else, whatever the policy, the links and the number of the others.
    const HARMLESS: [Self; 7] = [
        Self::LacksWhatItStored,
        Self::ReceivedNothing,
        Self::LosesHalf,
        Self::SawTheFuture,
        Self::HeardBeforeItReceived,
        Self::Nonsense,
        Self::HearsAnySize,
    ];
}

/// A rate from the unit in which links are sold.
pub(crate) const fn mbit_per_second(megabits: u64) -> Rate {
    Rate::from_bytes_per_second(megabits * 125_000)
}
