//! What surrounds every node: the agenda, the ways between nodes, the session's keys, and the book of
//! what must never be.

use std::rc::Rc;
use std::time::Duration;

use grappe_proto::limits::{IP_UDP_HEADERS, PROTOCOL_VERSION, SYMBOL_SIZE};
use grappe_proto::receiver;
use grappe_proto::seal::Suite;
use grappe_proto::units::{PeerId, Rate, Time};
use grappe_proto::wire::control::Welcome;

use crate::content::Content;
use crate::event::{Agenda, Event, Mail, Node};
use crate::marks::{Marks, Waits};
use crate::network::{Departure, Downlink, Inlink};
use crate::random::Random;
use crate::scenario::{Fault, Scenario, Way};
use crate::train::Train;

/// What packets are sealed with where a scenario has any.
pub(crate) const SUITE: Suite = Suite::Aegis128L;

/// More violations than these say nothing new.
const VIOLATIONS_MAX: usize = 5;

/// Time that a control message takes beyond the way itself: two kernels and TLS.
const CONTROL_EXTRA: Duration = Duration::from_micros(100);

/// The world of the nodes.
pub(crate) struct Outside {
    pub(crate) agenda: Agenda,
    pub(crate) content: Rc<Content>,
    pub(crate) keys: Keys,
    pub(crate) violations: Vec<String>,
    pub(crate) packets_lost: u64,
    /// What each receiver has really stored, or `u32::MAX` when the sender need not care.
    pub(crate) stored_below: Vec<u32>,
    /// The sender's number for each receiver.
    pub(crate) peers: Vec<PeerId>,
    /// How often each receiver has begun anew.
    pub(crate) lives: Vec<u32>,
    downlinks: Vec<Downlink>,
    inlink: Option<Inlink>,
    cuts: Vec<Cut>,
    /// Reports that came as far as the sender's link.
    pub(crate) reports: u64,
    pub(crate) reports_by_time: Marks,
}

/// A time in which nothing gets through in one direction.
#[derive(Clone, Copy, Debug)]
struct Cut {
    node: usize,
    way: Way,
    from: Time,
    until: Time,
}

impl Cut {
    fn of(fault: &Fault) -> Option<Self> {
        let Fault::Partition {
            node,
            way,
            at,
            lasting,
        } = fault
        else {
            return None;
        };
        let from = Time::ZERO + *at;
        Some(Self {
            node: *node,
            way: *way,
            from,
            until: from + *lasting,
        })
    }
}

/// Secrets of the session.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) tag: u32,
    pub(crate) data: [u8; 16],
    pub(crate) reports: Vec<[u8; 16]>,
}

impl Outside {
    pub(crate) fn new(scenario: &Scenario, random: &Random) -> Self {
        let mut secret = random.fork(1);
        let downlink = |node| {
            Downlink::new(
                scenario.downlink_of(node).clone(),
                random.fork(1_000 + node as u64),
            )
        };
        Self {
            agenda: Agenda::default(),
            content: Rc::new(Content::new(
                scenario.bytes,
                scenario.payload,
                &mut random.fork(2),
            )),
            keys: Keys {
                tag: secret.next() as u32,
                data: secret.bytes(),
                reports: (0..scenario.receivers).map(|_| secret.bytes()).collect(),
            },
            violations: Vec::new(),
            packets_lost: 0,
            stored_below: vec![0; scenario.receivers],
            peers: vec![PeerId(0); scenario.receivers],
            lives: vec![0; scenario.receivers],
            downlinks: (0..scenario.receivers).map(downlink).collect(),
            inlink: scenario.inlink.map(Inlink::new),
            cuts: scenario.faults.iter().filter_map(Cut::of).collect(),
            reports: 0,
            reports_by_time: Marks::default(),
        }
    }

    /// Notes that something was that must never be.
    pub(crate) fn violation(&mut self, now: Time, what: impl FnOnce() -> String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations
                .push(format!("at {:?}: {}", now.since(Time::ZERO), what()));
        }
    }

    /// Sends a train on its way to everybody.
    pub(crate) fn multicast(&mut self, now: Time, train: Train, departure: Departure) {
        let train = Rc::new(train);
        for (node, downlink) in self.downlinks.iter_mut().enumerate() {
            let mut arrived = 0;
            if cut_until(&self.cuts, now, node, Way::ToReceiver).is_some() {
                self.packets_lost += train.len() as u64;
                continue;
            }
            downlink.carry(&train, departure, |(at, arrival)| {
                arrived += u64::from(arrival.whole.count_ones());
                self.agenda.plan(
                    at,
                    Event::Packets {
                        node,
                        train: Rc::clone(&train),
                        arrival,
                    },
                );
            });
            self.packets_lost += (train.len() as u64).saturating_sub(arrived);
        }
    }

    /// Sends a report, which may be lost, overtake another, or wait for the reports of others.
    pub(crate) fn report(&mut self, now: Time, node: usize, packet: Vec<u8>) {
        let is_cut = cut_until(&self.cuts, now, node, Way::ToSender).is_some();
        let downlink = &mut self.downlinks[node];
        if downlink.loses_datagram() || is_cut {
            return;
        }
        self.reports += 1;
        let at = now + downlink.latency();
        self.reports_by_time.note(at, 1);
        let bytes = packet.len() + IP_UDP_HEADERS;
        let at = match &mut self.inlink {
            Some(inlink) => inlink.carry(at, bytes as u64),
            None => Some(at),
        };
        if let Some(at) = at {
            self.agenda.plan(at, Event::ToSender(Mail::Report(packet)));
        }
    }

    /// Sends on the control connection from a receiver: slow, whole and in order.
    pub(crate) fn control_to_sender(&mut self, now: Time, node: usize, mail: Mail) {
        self.agenda.plan(
            self.control_arrival(now, node, Way::ToSender),
            Event::ToSender(mail),
        );
    }

    /// Sends on the control connection to a receiver.
    pub(crate) fn control_to_receiver(&mut self, now: Time, node: usize, input: receiver::Input) {
        self.agenda.plan(
            self.control_arrival(now, node, Way::ToReceiver),
            Event::ToReceiver {
                node,
                life: self.lives[node],
                input,
            },
        );
    }

    /// Answers the greeting of a receiver.
    pub(crate) fn welcome(&mut self, now: Time, node: usize) {
        let life = self.lives[node];
        self.agenda.plan(
            self.control_arrival(now, node, Way::ToReceiver),
            Event::Welcome { node, life },
        );
    }

    /// From now on, larger IP packets than `mtu` do not reach receiver `node`.
    pub(crate) fn narrow(&mut self, node: usize, mtu: u16) {
        self.downlinks[node].narrow(mtu);
    }

    /// From now on, packets leave to receiver `node` at `rate`.
    pub(crate) fn set_rate(&mut self, now: Time, node: usize, rate: Rate) {
        self.downlinks[node].set_rate(now, rate);
    }

    /// Bytes of the rival on the way to receiver `node` that passed.
    pub(crate) fn rival_passed(&self, node: usize) -> Marks {
        self.downlinks[node].rival_passed()
    }

    /// How long packets of the copy waited on the way to receiver `node`.
    pub(crate) fn waits(&self, node: usize) -> Waits {
        self.downlinks[node].waits().clone()
    }

    /// The present life of a receiver.
    pub(crate) fn now_living(&self, node: usize) -> Node {
        let life = self.lives[node];
        Node { node, life }
    }

    /// What the welcome of receiver `node` says.
    pub(crate) fn welcome_of(&self, node: usize) -> Welcome {
        Welcome {
            version: PROTOCOL_VERSION,
            peer: self.peers[node].0,
            tag: self.keys.tag,
            group: [239, 255, 0, 1].into(),
            port: 1,
            report_port: 2,
            data_key: self.keys.data,
            report_key: self.keys.reports[node],
            suite: SUITE,
            symbol_size: SYMBOL_SIZE,
            manifest_len: self.content.manifest.len() as u64,
            manifest_hash: *blake3::hash(&self.content.manifest).as_bytes(),
            content_bytes: self.content.bytes,
        }
    }

    /// When a control message arrives: TCP repeats until it gets through.
    fn control_arrival(&self, now: Time, node: usize, way: Way) -> Time {
        let leaves = cut_until(&self.cuts, now, node, way).unwrap_or(now);
        leaves + self.downlinks[node].delay() + CONTROL_EXTRA
    }
}

/// When what is cut now will be joined again.
fn cut_until(cuts: &[Cut], now: Time, node: usize, way: Way) -> Option<Time> {
    let here = cuts
        .iter()
        .find(|cut| cut.node == node && cut.way == way && (cut.from..cut.until).contains(&now));
    here.map(|cut| cut.until)
}
