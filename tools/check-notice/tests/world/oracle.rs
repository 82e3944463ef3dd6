//! Knows the truth of a world, and counts what the checker and the usual rule say against it.

use std::collections::BTreeMap;

use check_notice::evidence::{self, Verdict};
use check_notice::mail::Mail;
use check_notice::policy::Network;
use check_notice::records::{Kind, Records, Wanted};
use check_notice::time::Interval;
use check_notice::{claim::Claim, extract};

use super::logs::{paris, read};
use super::{Notice, Random, Truth, World};

/// Counts over many complaints.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) cases: u64,
    pub(crate) confirmed: u64,
    pub(crate) consistent: u64,
    pub(crate) contradicted: u64,
    pub(crate) uncheckable: u64,
    /// A person named who did not do it, or proof stated for what never was.
    pub(crate) wrong_accusations: u64,
    /// A true complaint called wrong.
    pub(crate) wrong_denials: u64,
    /// Made-up complaints: all, called wrong, and consistent with who held the address.
    pub(crate) made_up: u64,
    pub(crate) made_up_contradicted: u64,
    pub(crate) made_up_consistent: u64,
    /// Complaints whose facts were not read as written.
    pub(crate) misread: u64,
    /// The usual rule: ten minutes each way, first line that fits.
    pub(crate) usual_named: u64,
    pub(crate) usual_wrong_person: u64,
    pub(crate) usual_made_up: u64,
    pub(crate) by_case: BTreeMap<&'static str, [u64; 4]>,
    /// Descriptions of faults, at most a few.
    pub(crate) faults: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.confirmed += other.confirmed;
        self.consistent += other.consistent;
        self.contradicted += other.contradicted;
        self.uncheckable += other.uncheckable;
        self.wrong_accusations += other.wrong_accusations;
        self.wrong_denials += other.wrong_denials;
        self.made_up += other.made_up;
        self.made_up_contradicted += other.made_up_contradicted;
        self.made_up_consistent += other.made_up_consistent;
        self.misread += other.misread;
        self.usual_named += other.usual_named;
        self.usual_wrong_person += other.usual_wrong_person;
        self.usual_made_up += other.usual_made_up;
        for (case, counts) in other.by_case {
            let sum = self.by_case.entry(case).or_default();
            for (sum, count) in sum.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        self.faults.extend(other.faults.into_iter().take(5));
    }
}

/// What this provider says of its network.
pub(crate) fn network(world: &World) -> Network {
    let prefixes = |all: &[&str]| all.iter().map(|text| text.parse().unwrap()).collect();
    Network {
        own: prefixes(&["203.0.113.0/24", "198.51.100.0/24", "2001:db8:1::/48"]),
        never_used: prefixes(&["203.0.113.96/27"]),
        shared: prefixes(&["203.0.113.200/31"]),
        tolerance_s: world.tolerance_s,
        ..Network::default()
    }
}

/// A world, complaints about it, and what could be read of these.
struct Case {
    world: World,
    network: Network,
    notices: Vec<Notice>,
    claims: Vec<Option<Claim>>,
    wanted: Wanted,
}

impl Case {
    fn new(seed: u64, notices: usize) -> Self {
        let world = World::new(seed);
        let random = &mut Random::new(seed ^ 0xabcd);
        let notices: Vec<Notice> = (0..notices).map(|_| world.notice(random)).collect();
        let network = network(&world);
        let claims: Vec<Option<Claim>> = notices
            .iter()
            .map(|notice| {
                let mail = Mail::read(notice.mail.clone().into_bytes()).unwrap();
                extract::claims(&mail).into_iter().next()
            })
            .collect();
        let present: Vec<&Claim> = claims.iter().flatten().collect();
        let mut wanted = evidence::wanted(&present, &network);
        // The usual rule looks ten minutes around.
        for all in wanted.values_mut() {
            *all = check_notice::time::merged(
                all.iter().map(|interval| interval.widened(3_600)).collect(),
            );
        }
        Self {
            world,
            network,
            notices,
            claims,
            wanted,
        }
    }
}

/// Makes a world from a seed, complaints about it, judges them and counts.
pub(crate) fn judge_world(seed: u64, notices: usize) -> Tally {
    let case = Case::new(seed, notices);
    let records = read(&case.world.files(), &case.wanted);
    let mut tally = Tally::default();
    for (notice, claim) in case.notices.iter().zip(&case.claims) {
        tally.cases += 1;
        let Some(claim) = claim else {
            tally.misread += 1;
            tally
                .faults
                .push(format!("seed {seed}: not read: {}", notice.mail));
            continue;
        };
        count(&mut tally, &case, &records, notice, claim, seed);
    }
    tally
}

/// Judges a world's complaints again with the lines and files of its logs in another order; says how many
/// findings were compared.
pub(crate) fn is_the_same_in_any_order(seed: u64, notices: usize) -> usize {
    let case = Case::new(seed, notices);
    let random = &mut Random::new(seed ^ 0x5eed);
    let straight = case.world.files();
    let mut mixed = straight.clone();
    for file in &mut mixed {
        // Kea tells by the order of its lines when a lease was removed.
        if !file.order_tells() {
            random.mix(&mut file.records);
        }
    }
    random.mix(&mut mixed);
    let (one, other) = (read(&straight, &case.wanted), read(&mixed, &case.wanted));
    let mut compared = 0;
    for (notice, claim) in case.notices.iter().zip(case.claims.iter()) {
        let Some(claim) = claim else { continue };
        let told = |records: &Records| -> Vec<_> {
            let name = |holder| records.holder(holder).to_owned();
            evidence::judge(claim, records, &case.network, notice.received)
                .into_iter()
                .map(|finding| {
                    let mut holders: Vec<String> = finding.holders.into_iter().map(name).collect();
                    holders.sort();
                    let margin = finding.margin.map(|m| (m.before_s, m.after_s));
                    (finding.verdict, finding.holder.map(name), holders, margin)
                })
                .collect()
        };
        assert_eq!(told(&one), told(&other), "seed {seed}: {}", notice.mail);
        compared += 1;
    }
    compared
}

fn count(
    tally: &mut Tally,
    case: &Case,
    records: &Records,
    notice: &Notice,
    claim: &Claim,
    seed: u64,
) {
    let world = &case.world;
    let read = claim
        .events
        .first()
        .and_then(|event| event.address.as_ref())
        .map(|fact| fact.value);
    if read != Some(notice.address) || claim.events.len() != 1 || claim.events[0].time.is_none() {
        tally.misread += 1;
        tally
            .faults
            .push(format!("seed {seed}: misread {claim:?}\n{}", notice.mail));
    }
    let finding = &evidence::judge(claim, records, &case.network, notice.received)[0];
    let column = match finding.verdict {
        Verdict::Confirmed => 0,
        Verdict::Consistent => 1,
        Verdict::Contradicted => 2,
        Verdict::Uncheckable(_) => 3,
    };
    *[
        &mut tally.confirmed,
        &mut tally.consistent,
        &mut tally.contradicted,
        &mut tally.uncheckable,
    ][column] += 1;
    tally.by_case.entry(notice.case).or_default()[column] += 1;
    let mut wrong = |which: &mut u64, what: &str| {
        *which += 1;
        if tally.faults.len() < 5 {
            tally.faults.push(format!(
                "seed {seed}: {what}: {:?}: {finding:?}\n{}",
                notice.truth, notice.mail
            ));
        }
    };
    let named = finding
        .holder
        .map(|holder| records.holder(holder).to_owned());
    match (notice.truth, finding.verdict) {
        (Truth::Did(person), Verdict::Confirmed | Verdict::Consistent)
            if named != Some(World::key(person)) =>
        {
            wrong(&mut tally.wrong_accusations, "accuses the wrong person");
        }
        (Truth::Did(_), Verdict::Contradicted) => {
            wrong(&mut tally.wrong_denials, "denies what happened");
        }
        (Truth::MadeUp, Verdict::Confirmed) => {
            wrong(&mut tally.wrong_accusations, "confirms what never was");
        }
        (Truth::MadeUp, Verdict::Contradicted) => tally.made_up_contradicted += 1,
        (Truth::MadeUp, Verdict::Consistent) => {
            tally.made_up_consistent += 1;
            // Then the records must at least tell the holder right, at some second that is meant.
            let around = world.tolerance_s + 10;
            let meanings = claim.events[0].time.as_ref().unwrap().value.meanings();
            let meant: Vec<Interval> = meanings.iter().map(|m| m.widened(around)).collect();
            let through = world.traffic.iter().filter(|t| {
                let ran = Interval::new(t.from, t.to);
                t.address == notice.address
                    && t.inner.is_some()
                    && meant.iter().any(|m| m.touches(ran))
            });
            let mut behind = through.map(|t| Some(World::key(t.person)));
            let held = behind.any(|person| person == named)
                || meant
                    .iter()
                    .flat_map(|m| (m.from..=m.to).step_by(5))
                    .any(|at| world.holder_at(notice.address, at).map(World::key) == named);
            if !held {
                wrong(
                    &mut tally.wrong_accusations,
                    "names one who never held the address then",
                );
            }
        }
        _ => {}
    }
    tally.made_up += u64::from(notice.truth == Truth::MadeUp);
    if let Some(accused) = usual_rule(claim, records) {
        tally.usual_named += 1;
        match notice.truth {
            Truth::MadeUp => tally.usual_made_up += 1,
            Truth::Did(person) => {
                tally.usual_wrong_person += u64::from(accused != World::key(person));
            }
        }
    }
}

/// What scripts at many desks do: local time where no zone is named, ten minutes each way, first match.
fn usual_rule(claim: &Claim, records: &Records) -> Option<String> {
    let event = claim.events.first()?;
    let address = event.address.as_ref()?.value;
    let when = event
        .time
        .as_ref()?
        .value
        .clone()
        .in_zone_if_missing(&paris());
    let first = *when.meanings().first()?;
    let around = first.widened(600);
    let lease = |address, around: Interval| {
        records
            .leases(address, around)
            .next()
            .map(|l| records.holder(l.holder).to_owned())
    };
    let port = event.port.as_ref().map(|port| port.value);
    let nat = records
        .logs_of(&[Kind::Nat])
        .any(|(_, log)| log.rules.serves(address));
    if nat {
        let mapping = records.mappings(address, port?, around).next()?;
        return lease(mapping.inner, around);
    }
    lease(address, around)
}
