//! A small provider of known truth: people, addresses, translations, flows, all from one seed.
//!
//! Writes the logs that such a provider has, with their real formats, holes and clocks, and complaints
//! about what happened and what did not. Used by the tests and by the example `evaluate`.

mod logs;
mod notices;
mod oracle;
mod random;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) use self::notices::{Notice, Truth};
pub(crate) use self::oracle::{Tally, is_the_same_in_any_order, judge_world};
pub(crate) use self::random::Random;

/// Length of a world in seconds.
pub(crate) const SPAN_S: i64 = 3 * 86_400;

/// Somebody held an address.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) person: usize,
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Seconds at which the lease was given or renewed, the first is `from`.
    pub(crate) grants: Vec<i64>,
    /// Whether it was given back at `to`; else it ran out.
    pub(crate) released: bool,
    pub(crate) session: u32,
}

impl Hold {
    /// As a clock shows it that is off by some seconds.
    fn shifted(&self, by: i64) -> Self {
        Self {
            from: self.from + by,
            to: self.to + by,
            grants: self.grants.iter().map(|at| at + by).collect(),
            ..self.clone()
        }
    }
}

/// Traffic that ran.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) person: usize,
    pub(crate) address: IpAddr,
    pub(crate) inner: Option<IpAddr>,
    pub(crate) port: u16,
    pub(crate) udp: bool,
    pub(crate) peer: (Ipv4Addr, u16),
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// The lease log of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseLog {
    Dhcpd,
    Dnsmasq,
    DnsmasqLocal,
    Kea,
}

/// Everything that is true.
pub(crate) struct World {
    pub(crate) start: i64,
    pub(crate) lease_s: i64,
    pub(crate) lease_log: LeaseLog,
    pub(crate) nat_has_peers: bool,
    pub(crate) has_flows: bool,
    /// Each log lies in two files.
    pub(crate) rotated: bool,
    /// How far the clocks of complainants are off at most; the provider knows that much.
    pub(crate) tolerance_s: i64,
    /// How far the clock of each log is off.
    pub(crate) clocks: [i64; 4],
    /// By address: leases of DHCP.
    pub(crate) leases: Vec<(IpAddr, Vec<Hold>)>,
    /// By address or prefix: sessions of RADIUS.
    pub(crate) sessions: Vec<(IpAddr, Vec<Hold>)>,
    pub(crate) traffic: Vec<Traffic>,
    /// Holes of the lease, session, translation and flow log.
    pub(crate) holes: [Vec<(i64, i64)>; 4],
}

/// Nights in which the clocks of Paris change, and ordinary ones.
const STARTS: [i64; 4] = [
    1_743_206_400, // 2025-03-29
    1_761_350_400, // 2025-10-25
    1_772_323_200, // 2026-03-01
    1_780_272_000, // 2026-06-01
];

pub(crate) fn person_mac(person: usize) -> String {
    format!("02:00:00:00:{:02x}:{:02x}", person >> 8 & 255, person & 255)
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let start = STARTS[random.below(4) as usize];
        let lease_s = [1_800, 3_600, 7_200, 14_400][random.below(4) as usize];
        let lease_log = [
            LeaseLog::Dhcpd,
            LeaseLog::Dnsmasq,
            LeaseLog::DnsmasqLocal,
            LeaseLog::Kea,
        ][random.below(4) as usize];
        let mut session = 0;
        let mut holds =
            |random: &mut Random, people: std::ops::Range<u64>, renew: i64, session_like: bool| {
                let mut at = start + random.between(0, 3_600);
                let mut all: Vec<Hold> = Vec::new();
                while at < start + SPAN_S {
                    // A/B/A: often the one before the last comes back.
                    let person = match all.len() {
                        2.. if random.chance(30) => all[all.len() - 2].person,
                        _ => (people.start + random.below(people.end - people.start)) as usize,
                    };
                    let length = match random.below(4) {
                        0 => random.between(60, 1_200),
                        1 => random.between(1_200, 3 * 3_600),
                        2 => random.between(3 * 3_600, 12 * 3_600),
                        _ => random.between(12 * 3_600, 40 * 3_600),
                    };
                    let released = session_like || random.chance(50);
                    let mut grants = vec![at];
                    let end = at + length;
                    while grants[grants.len() - 1] + renew / 2 < end {
                        grants.push(grants[grants.len() - 1] + renew / 2);
                    }
                    let last = grants[grants.len() - 1];
                    let to = if released { end } else { last + renew };
                    session += 1;
                    all.push(Hold {
                        person,
                        from: at,
                        to,
                        grants,
                        released,
                        session,
                    });
                    let pause = if random.chance(40) {
                        random.between(1, 60)
                    } else {
                        random.between(60, 4 * 3_600)
                    };
                    at = to + pause;
                }
                all
            };
        let mut leases = Vec::new();
        for n in 1..=24_u8 {
            leases.push((
                IpAddr::V4(Ipv4Addr::new(203, 0, 113, n)),
                holds(random, 0..60, lease_s, false),
            ));
        }
        for n in 1..=40_u8 {
            leases.push((
                IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)),
                holds(random, 60..160, lease_s, false),
            ));
        }
        let mut sessions = Vec::new();
        for n in 1..=20_u8 {
            sessions.push((
                IpAddr::V4(Ipv4Addr::new(198, 51, 100, n)),
                holds(random, 200..250, 1_200, true),
            ));
        }
        for n in 1..=10_u16 {
            let prefix = Ipv6Addr::new(0x2001, 0xdb8, 1, n, 0, 0, 0, 0);
            sessions.push((IpAddr::V6(prefix), holds(random, 250..280, 1_200, true)));
        }
        let mut world = Self {
            start,
            lease_s,
            lease_log,
            nat_has_peers: random.chance(50),
            has_flows: random.chance(60),
            rotated: random.chance(30),
            tolerance_s: [7_200, 7_200, 900, 5][random.below(4) as usize],
            clocks: [(); 4].map(|()| random.between(-2, 3)),
            leases,
            sessions,
            traffic: Vec::new(),
            holes: Default::default(),
        };
        world.run(random);
        for holes in &mut world.holes {
            for _ in 0..[0, 0, 1, 2][random.below(4) as usize] {
                let from = start + random.between(0, SPAN_S);
                let length = random.between(25 * 60, 200 * 60);
                holes.push((from, from + length));
            }
        }
        world
    }

    /// Lets people use what they hold.
    fn run(&mut self, random: &mut Random) {
        let mut free_at = vec![self.start; 2 * 300];
        let mut at = self.start;
        let everyone: Vec<(IpAddr, Hold, bool)> = self
            .leases
            .iter()
            .map(|(address, holds)| {
                (
                    address,
                    holds,
                    matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10),
                )
            })
            .chain(
                self.sessions
                    .iter()
                    .map(|(address, holds)| (address, holds, false)),
            )
            .flat_map(|(address, holds, inner)| {
                holds
                    .iter()
                    .map(move |hold| (*address, hold.clone(), inner))
            })
            .collect();
        while at < self.start + SPAN_S {
            at += random.between(5, 60);
            let running: Vec<&(IpAddr, Hold, bool)> = everyone
                .iter()
                .filter(|(_, hold, _)| hold.from <= at && at < hold.to)
                .collect();
            if running.is_empty() {
                continue;
            }
            let (address, hold, inner) = running[random.below(running.len() as u64) as usize];
            let to = (at + random.between(1, 900)).min(hold.to);
            let peer = (
                Ipv4Addr::new(192, 0, 2, 1 + random.below(5) as u8),
                6_881 + random.below(4) as u16,
            );
            let udp = random.chance(40);
            if *inner {
                // A small range of ports, so that ports come again soon.
                let slot = random.below(free_at.len() as u64) as usize;
                if free_at[slot] > at {
                    continue;
                }
                free_at[slot] = to + 2;
                self.traffic.push(Traffic {
                    person: hold.person,
                    address: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 200 + (slot % 2) as u8)),
                    inner: Some(*address),
                    port: 40_000 + (slot / 2) as u16,
                    udp,
                    peer,
                    from: at,
                    to,
                });
            } else {
                let address = match address {
                    IpAddr::V4(_) => *address,
                    // A privacy address below the prefix (RFC 8981).
                    IpAddr::V6(prefix) => {
                        let mut parts = prefix.segments();
                        for part in &mut parts[4..] {
                            *part = random.below(65_536) as u16;
                        }
                        IpAddr::V6(parts.into())
                    }
                };
                self.traffic.push(Traffic {
                    person: hold.person,
                    address,
                    inner: None,
                    port: 50_000 + random.below(5) as u16,
                    udp,
                    peer,
                    from: at,
                    to,
                });
            }
        }
    }

    /// Who held an address at a second.
    pub(crate) fn holder_at(&self, address: IpAddr, at: i64) -> Option<usize> {
        let same = |held: &IpAddr| match (held, address) {
            (IpAddr::V6(prefix), IpAddr::V6(one)) => prefix.segments()[..4] == one.segments()[..4],
            (held, one) => *held == one,
        };
        let all = self
            .leases
            .iter()
            .chain(&self.sessions)
            .filter(|(held, _)| same(held));
        all.flat_map(|(_, holds)| holds)
            .find(|hold| hold.from <= at && at < hold.to)
            .map(|hold| hold.person)
    }

    /// The key under which the records know a person.
    pub(crate) fn key(person: usize) -> String {
        if person >= 200 {
            format!("user:person{person}")
        } else {
            format!("mac:{}", person_mac(person))
        }
    }
}
