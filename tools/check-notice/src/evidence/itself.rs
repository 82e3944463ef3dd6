//! A complaint against itself: prose against form, dates against each other, hashes against content.
//!
//! Needs no key and no record. Unlabelled numbers in prose are never compared: they may be anybody's.

use super::Reason;
use crate::claim::{Aside, Claim, Event, Fact};
use crate::policy::Network;
use crate::time::{Interval, Precision, Seconds, When, show};

/// Two statements of one hour may differ by this, in seconds: a form is made a little after the fact.
const SAME_TIME_S: Seconds = 3_600;

/// What is wrong with a complaint by itself.
pub(super) fn faults(claim: &Claim, network: &Network, received: Seconds) -> Vec<Reason> {
    let mut found: Vec<Reason> = claim
        .faults
        .iter()
        .map(|fault| Reason::new(fault.what.clone()).at(fault.place))
        .collect();
    for aside in &claim.asides {
        found.extend(contradicts(aside, claim));
    }
    for event in &claim.events {
        found.extend(too_late(event, claim, network, received));
    }
    found
}

/// A second statement that fits none of the events.
fn contradicts(aside: &Aside, claim: &Claim) -> Option<Reason> {
    match aside {
        Aside::Address(other) => {
            let stated = claim
                .events
                .iter()
                .filter_map(|event| event.address.as_ref());
            differing(
                other,
                stated,
                |one, two| one == two,
                "address",
                ToString::to_string,
            )
        }
        Aside::Port(other) => {
            let stated = claim.events.iter().filter_map(|event| event.port.as_ref());
            differing(
                other,
                stated,
                |one, two| one == two,
                "port",
                ToString::to_string,
            )
        }
        Aside::ContentHash(other) => {
            let stated = claim
                .events
                .iter()
                .filter_map(|event| event.content_hash.as_ref());
            let same = |one: &String, two: &String| {
                one.eq_ignore_ascii_case(two) || one.len() != two.len()
            };
            differing(other, stated, same, "content hash", Clone::clone)
        }
        Aside::Case(other) => {
            let letters = |text: &str| -> String {
                text.chars()
                    .filter(|c| c.is_alphanumeric())
                    .flat_map(char::to_lowercase)
                    .collect()
            };
            let same = |one: &String, two: &String| {
                let (one, two) = (letters(one), letters(two));
                one.contains(&two) || two.contains(&one)
            };
            differing(other, claim.case.iter(), same, "case number", |text| {
                text.chars().take(60).collect()
            })
        }
        Aside::Time(other) => {
            let stated = claim.events.iter().filter_map(|event| event.time.as_ref());
            let show = |when: &When| {
                when.readings
                    .first()
                    .map_or_else(String::new, ToString::to_string)
            };
            differing(other, stated, same_time, "time of the event", show)
        }
    }
}

fn differing<'a, T: 'a>(
    other: &Fact<T>,
    stated: impl Iterator<Item = &'a Fact<T>>,
    same: impl Fn(&T, &T) -> bool,
    what: &str,
    show: impl Fn(&T) -> String,
) -> Option<Reason> {
    let mut first = None;
    for fact in stated {
        if same(&fact.value, &other.value) {
            return None;
        }
        first = first.or(Some(fact));
    }
    let first = first?;
    Some(
        Reason::new(format!(
            "it states two different facts as {what}: {} in `{}` ({}), and {} in `{}`",
            show(&first.value),
            first.field,
            first.place,
            show(&other.value),
            other.field
        ))
        .at(other.place),
    )
}

/// Whether two texts may mean the same hour.
fn same_time(one: &When, two: &When) -> bool {
    let slack = if one.precision == Precision::Day || two.precision == Precision::Day {
        0
    } else {
        SAME_TIME_S
    };
    let twos = two.meanings();
    one.meanings()
        .iter()
        .any(|a| twos.iter().any(|b| a.widened(slack).touches(*b)))
}

/// An event behind the hour at which it was reported.
fn too_late(event: &Event, claim: &Claim, network: &Network, received: Seconds) -> Option<Reason> {
    let time = event.time.as_ref()?;
    let earliest = time.value.meanings().first()?.from;
    // Both clocks are the complainant's, so the tolerance is wide here too.
    if earliest > received.saturating_add(network.tolerance_s) {
        let what = format!(
            "the event is later than this mail: it came at {}",
            show(received)
        );
        return Some(Reason::new(what).at(time.place));
    }
    let written = claim.written.as_ref()?;
    let end: Interval = *written.value.meanings().last()?;
    (earliest > end.to.saturating_add(network.tolerance_s)).then(|| {
        let what = format!(
            "the event is later than the complaint, which by its `{}` was written at {} at the latest",
            written.field,
            show(end.to)
        );
        Reason::new(what).at(time.place)
    })
}
