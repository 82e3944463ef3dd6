//! Samples become curves; nothing that comes from other machines breaks the picture.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(tenths: u32) -> Time {
    Time::ZERO + 5 * SECOND + SECOND * tenths / 10
}

/// `fast` at 20 MB/s and `slow` at 5, a second long after a moment of waiting.
fn two_nodes() -> Timeline {
    let mut timeline = Timeline::new();
    for tenths in 0..=12_u32 {
        let flowing = u64::from(tenths.saturating_sub(2));
        let reception = |name, rate: u64| Reception {
            name,
            heard_at: at(tenths),
            bytes: rate * flowing * 100_000,
        };
        let receptions = [reception("fast", 20), reception("slow", 5)];
        timeline.sample(receptions.into_iter());
    }
    timeline
}

/// The points of each polyline, in the order in which they are drawn.
fn polylines(picture: &str) -> Vec<Vec<(f64, f64)>> {
    let points = picture.split("points=\"").skip(1);
    let point = |pair: &str| {
        let (x, y) = pair.split_once(',').unwrap();
        (x.parse().unwrap(), y.parse().unwrap())
    };
    let of = |text: &str| {
        let (points, _) = text.split_once('"').unwrap();
        points.split_whitespace().map(point).collect()
    };
    points.map(of).collect()
}

#[test]
fn curves_are_as_high_as_the_rates_and_the_slowest_is_named_first() {
    let picture = two_nodes().svg();
    let (slow, fast) = (
        picture.find("slow 5.0 MB/s").unwrap(),
        picture.find("fast 20.0 MB/s").unwrap(),
    );
    assert!(slow < fast, "{picture}");
    let lines = polylines(&picture);
    assert_eq!(lines.len(), 2);
    let base = 380.0;
    for (slow, fast) in lines[0].iter().zip(&lines[1]) {
        let ratio = (base - fast.1) / (base - slow.1);
        assert!((3.9..4.1).contains(&ratio), "{slow:?} {fast:?}");
    }
    assert!(lines[0].len() >= 9, "a point for each tenth of a second");
}

#[test]
fn what_became_of_a_node_is_marked_on_its_curve() {
    let mut timeline = two_nodes();
    let reason = "silent".to_owned();
    timeline.note(&Notice::Event(&Event::Gone("slow".into(), reason)));
    let picture = timeline.svg();
    assert!(picture.contains("slow: gone"), "{picture}");
    assert!(picture.contains("slow 5.0 MB/s, gone"), "{picture}");
    assert_eq!(picture.matches("<circle").count(), 1);
}

#[test]
fn names_cannot_leave_their_place() {
    let mut timeline = Timeline::new();
    let name = "<script>&\"\u{1b}[2J";
    for tenths in 0..3 {
        let reception = Reception {
            name,
            heard_at: at(tenths),
            bytes: u64::from(tenths) * 1_000,
        };
        timeline.sample([reception].into_iter());
    }
    let picture = timeline.svg();
    assert!(!picture.contains("<script") && !picture.contains('\u{1b}'));
}

#[test]
fn nothing_gives_an_empty_picture_and_no_nonsense() {
    let one = |bytes| Reception {
        name: "node",
        heard_at: at(0),
        bytes,
    };
    let mut single = Timeline::new();
    single.sample([one(1 << 40)].into_iter());
    for picture in [Timeline::new().svg(), single.svg()] {
        assert!(picture.ends_with("</svg>\n"));
        assert!(!picture.contains("NaN") && !picture.contains("inf"));
    }
}

#[test]
fn of_many_nodes_the_slowest_are_named_and_memory_is_bounded() {
    let mut timeline = Timeline::new();
    let names: Vec<String> = (0..1_000).map(|number| format!("n{number}")).collect();
    for tenths in 0..1_000_u32 {
        let reception = |(number, name)| Reception {
            name,
            heard_at: at(tenths),
            bytes: u64::from(tenths) * (1_000 + number as u64),
        };
        let receptions = names.iter().map(String::as_str).enumerate().map(reception);
        timeline.sample(receptions);
    }
    let samples = |line: &Line| line.samples.len();
    assert!(timeline.nodes.iter().map(samples).sum::<usize>() <= SAMPLES_MAX);
    let picture = timeline.svg();
    assert!(picture.contains("and 988 more") && picture.contains(">n0 "));
    assert_eq!(polylines(&picture).len(), 1_000);
}

#[test]
fn the_file_appears_whole_and_replaces_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timeline.svg");
    let picture = Picture::at(path.clone()).unwrap();
    assert!(!path.exists(), "there is nothing to show yet");
    picture.write("one").unwrap();
    picture.write("two").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(Picture::at(folder.path().join("absent/t.svg")).is_err());
    assert!(Picture::at(folder.path().to_path_buf()).is_err());
}
