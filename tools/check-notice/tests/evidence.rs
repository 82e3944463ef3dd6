//! The heart: complaints about a provider of known truth, judged. Nobody may be accused wrongly.

#[expect(clippy::unwrap_used, reason = "a generator that fails loudly")]
mod world;

use world::{Tally, is_the_same_in_any_order, judge_world};

#[test]
fn no_verdict_depends_on_the_order_of_lines_or_files() {
    let compared: usize = (100..108)
        .map(|seed| is_the_same_in_any_order(seed, 60))
        .sum();
    assert_eq!(compared, 8 * 60);
}

#[test]
fn nobody_is_accused_wrongly_and_no_true_complaint_is_denied() {
    let mut tally = Tally::default();
    for seed in 0..20 {
        tally.add(judge_world(seed, 100));
    }
    println!("{tally:#?}");
    assert_eq!(tally.misread, 0, "{:#?}", tally.faults);
    assert_eq!(tally.wrong_accusations, 0, "{:#?}", tally.faults);
    assert_eq!(tally.wrong_denials, 0, "{:#?}", tally.faults);
    // It must say something, not only hide behind "uncheckable".
    assert!(tally.confirmed * 40 > tally.cases, "{tally:?}");
    assert!(tally.consistent * 20 > tally.cases, "{tally:?}");
    assert!(tally.contradicted * 20 > tally.cases, "{tally:?}");
    // The truth of this world is hard enough to mislead the usual rule.
    assert!(
        tally.usual_wrong_person > 0 && tally.usual_made_up > 0,
        "{tally:?}"
    );
}
