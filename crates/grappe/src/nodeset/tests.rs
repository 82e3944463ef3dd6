//! Examples, refusals, round trips, and the crate `nodeset` as a second opinion.

use proptest::prelude::*;

use super::*;

fn names(text: &str) -> Vec<String> {
    let set = NodeSet::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    set.iter().map(str::to_owned).collect()
}

fn folded(text: &str) -> String {
    NodeSet::parse(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .to_string()
}

fn refusal(text: &str) -> String {
    NodeSet::parse(text).unwrap_err().to_string()
}

#[test]
fn ranges_expand() {
    assert_eq!(
        names("node[08-10,20]"),
        ["node08", "node09", "node10", "node20"]
    );
    assert_eq!(names("n[9-11]"), ["n9", "n10", "n11"]);
    assert_eq!(names("n[0-10/5]"), ["n0", "n5", "n10"]);
    assert_eq!(names("n[0-9/5]"), ["n0", "n5"]);
    assert_eq!(names("n[099-101]"), ["n099", "n100", "n101"]);
    assert_eq!(names("n[98-101]").last().unwrap(), "n101");
    assert_eq!(names("n[08-100]").last().unwrap(), "n100");
    assert_eq!(names("n[1-2]r[1-2]"), ["n1r1", "n1r2", "n2r1", "n2r2"]);
    assert_eq!(names("[1-2][3-4]"), ["13", "14", "23", "24"]);
    assert_eq!(names("n1[0-2]-ib0"), ["n10-ib0", "n11-ib0", "n12-ib0"]);
}

#[test]
fn names_are_distinct_and_counted_up() {
    assert_eq!(
        names(" n10, n2 ,n[1-3],\ta.example.org "),
        ["a.example.org", "n1", "n2", "n3", "n10"]
    );
    assert_eq!(names("n1,n01"), ["n1", "n01"]);
    let set = NodeSet::parse("n[1-20]").unwrap();
    assert_eq!((set.len(), set.is_empty()), (20, false));
    assert!(set.contains("n7"));
    assert!(!set.contains("n07") && !set.contains("n21") && !set.contains("n"));
    assert_eq!(NodeSet::parse("b,a[1-2]"), "a2,a1,b".parse());
}

#[test]
fn folding_is_compact() {
    for text in [
        "node[01-16,20]",
        "n[1-3]r[1-2]",
        "n[98-101]",
        "n[098-101]",
        "a,b",
        "10.0.0.[1-9]",
    ] {
        assert_eq!(folded(text), text);
    }
    assert_eq!(folded("n3,n1,n2"), "n[1-3]");
    assert_eq!(folded("n1,n3"), "n[1,3]");
    assert_eq!(folded("n[0-10/5]"), "n[0,5,10]");
    assert_eq!(folded("n1,n01,n2"), "n[1,01,2]");
    assert_eq!(folded("n1r1,n2r1,n1r2,n3"), "n1r[1-2],n2r1,n3");
    assert_eq!(folded("login,n[1-2]"), "login,n[1-2]");
    let long = "n12345678901234567890,n12345678901234567891";
    assert_eq!(folded(long), long);
    assert_eq!(NodeSet::default().to_string(), "");
}

#[test]
fn refusals_say_where_and_what() {
    assert_eq!(
        refusal(""),
        "at character 1: expected a node name, found the end"
    );
    assert_eq!(
        refusal("a,,b"),
        "at character 3: expected a node name, found `,`"
    );
    assert_eq!(
        refusal("a,"),
        "at character 3: expected a node name, found the end"
    );
    assert_eq!(
        refusal("a,-oProxyCommand=x"),
        "at character 3: expected a node name, found `-`"
    );
    assert_eq!(
        refusal("a b"),
        "at character 3: expected `,`, `[`, or a character of a name, found `b`"
    );
    assert_eq!(
        refusal("n[1-"),
        "at character 5: expected a number, found the end"
    );
    assert_eq!(
        refusal("n[]"),
        "at character 3: expected a number, found `]`"
    );
    assert_eq!(
        refusal("n[1-3"),
        "at character 6: expected `-`, `/`, `,` or `]`, found the end"
    );
    assert_eq!(
        refusal("n[5-3]"),
        "at character 5: range ends before it begins: 5-3"
    );
    assert_eq!(
        refusal("n[1-010]"),
        "at character 5: range ends are padded differently: 1-010"
    );
    assert_eq!(
        refusal("n[001-10]"),
        "at character 7: range ends are padded differently: 001-10"
    );
    assert_eq!(
        refusal("n[1-9/0]"),
        "at character 7: the step of a range is at least 1"
    );
    assert_eq!(
        refusal("né"),
        "at character 2: expected `,`, `[`, or a character of a name, found `é`"
    );
    assert_eq!(
        refusal("n[1234567890123456789]"),
        "at character 3: number longer than 18 digits"
    );
}

#[test]
fn bounds_hold_before_memory_is_spent() {
    assert_eq!(NodeSet::parse("n[1-65536]").unwrap().len(), NAMES_MAX);
    assert_eq!(
        refusal("n[1-65537]"),
        "at character 1: more than 65536 names"
    );
    assert_eq!(
        refusal("a,n[1-65536]"),
        "at character 3: more than 65536 names"
    );
    let wide = "[0-999999999999999999]".repeat(100);
    assert_eq!(refusal(&wide), "at character 1: more than 65536 names");
    let many = format!("n[{}]", vec!["0-999999999999999999"; 100].join(","));
    assert_eq!(refusal(&many), "at character 1: more than 65536 names");
    assert_eq!(NodeSet::parse(&"x".repeat(253)).unwrap().len(), 1);
    assert_eq!(
        refusal(&"x".repeat(254)),
        "at character 1: name longer than 253 characters"
    );
    assert_eq!(
        refusal(&"[1]".repeat(254)),
        "at character 1: name longer than 253 characters"
    );
}

/// Items as people write them: a stem, one or two brackets, sometimes a suffix.
fn item() -> impl Strategy<Value = String> {
    let range =
        (0_u32..120, 0_u32..6, 1_u32..4, 0_usize..4).prop_map(|(begin, more, step, width)| {
            let end = begin + more;
            match (more, step) {
                (0, _) => format!("{begin:0width$}"),
                (_, 1) => format!("{begin:0width$}-{end:0width$}"),
                _ => format!("{begin:0width$}-{end:0width$}/{step}"),
            }
        });
    let brackets =
        prop::collection::vec(range, 1..4).prop_map(|ranges| format!("[{}]", ranges.join(",")));
    let parts = prop::collection::vec(("[a-c]{1,2}", brackets), 0..3);
    (parts, "[a-c]{1,2}").prop_map(|(parts, suffix)| {
        let head: String = parts
            .into_iter()
            .map(|(stem, ranges)| stem + &ranges)
            .collect();
        head + &suffix
    })
}

fn list() -> impl Strategy<Value = String> {
    prop::collection::vec(item(), 1..5).prop_map(|items| items.join(","))
}

/// What all dialects agree on: one width in a bracket, brackets after text.
fn common_list() -> impl Strategy<Value = String> {
    let ranges = (
        prop::collection::vec((0_u32..40, 0_u32..20, 1_u32..4), 1..4),
        any::<bool>(),
    );
    let brackets = ranges.prop_map(|(ranges, padded)| {
        let width = if padded { 3 } else { 1 };
        let range = |&(begin, more, step): &(u32, u32, u32)| match (more, step) {
            (0, _) => format!("{begin:0width$}"),
            (_, 1) => format!("{begin:0width$}-{:0width$}", begin + more),
            _ => format!("{begin:0width$}-{:0width$}/{step}", begin + more),
        };
        format!(
            "[{}]",
            ranges.iter().map(range).collect::<Vec<_>>().join(",")
        )
    });
    let item = prop::collection::vec(("[a-c]{1,2}", brackets), 1..3).prop_map(|parts| {
        parts
            .into_iter()
            .map(|(stem, ranges)| stem + &ranges)
            .collect()
    });
    prop::collection::vec(item, 1..4).prop_map(|items: Vec<String>| items.join(","))
}

/// The names of `text` as the crate `nodeset` sees them, sorted.
fn second_opinion(text: &str) -> Vec<String> {
    let set: ::nodeset::NodeSet = text.parse().unwrap();
    let mut names: Vec<String> = set.iter().collect();
    names.sort();
    names
}

proptest! {
    #[test]
    fn the_common_notation_means_what_others_mean_by_it(text in common_list()) {
        let mut ours = names(&text);
        ours.sort();
        prop_assert_eq!(&ours, &second_opinion(&text));
        // And what we fold, others unfold.
        prop_assert_eq!(&ours, &second_opinion(&folded(&text)));
    }

    #[test]
    fn folding_and_parsing_are_inverse(text in list()) {
        // The ends of a range may be padded differently by chance; such texts are refused.
        if let Ok(set) = NodeSet::parse(&text) {
            let folded = set.to_string();
            prop_assert_eq!(&NodeSet::parse(&folded), &Ok(set), "{}", folded);
        }
    }

    #[test]
    fn folding_is_exact_for_any_names(names in prop::collection::vec("[ab]{0,1}[0-9]{1,3}(x[019]{0,2})?", 1..60)) {
        let set: NodeSet = names.iter().map(String::as_str).collect();
        let folded = set.to_string();
        prop_assert_eq!(&NodeSet::parse(&folded), &Ok(set.clone()), "{}", folded);
        prop_assert!(names.iter().all(|name| set.contains(name)));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in r"[a1\-,/0\[\] é9]{0,24}") {
        let _ = NodeSet::parse(&text);
    }
}
