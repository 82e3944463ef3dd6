//! Lines over time as an SVG document that browsers and viewers show without help.
//!
//! Values in, text out. Few nodes have a colour each; of many, the slowest have, and all others are a band
//! of faint lines.

use std::fmt::Write;
use std::time::Duration;

use grappe_proto::units::Time;

use super::Line;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 220.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;

/// Nodes with a colour and a line in the legend.
const NAMED_MAX: usize = 12;

/// Points of a line at most: more than can be seen apart.
const POINTS_MAX: u32 = 240;

/// Characters of a name in the legend.
const NAME_CHARS_MAX: usize = 14;

const STYLE: &str = "\
text{font:12px sans-serif;fill:#222}.grid{stroke:#ddd}.node{fill:none;stroke-width:1.6}
.other{fill:none;stroke:#777;stroke-opacity:.25}
@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#444}.other{stroke:#aaa}}";

/// A node as it is drawn.
struct Curve<'a> {
    line: &'a Line,
    /// Seconds from the beginning, and the rate there in MB/s.
    points: Vec<(f64, f64)>,
    /// What became of it, and when.
    marks: Vec<(f64, &'static str)>,
    /// MB/s from the beginning to its last byte.
    mean: f64,
}

impl Curve<'_> {
    /// Its point at this moment, or the last before.
    fn at(&self, seconds: f64) -> Option<(f64, f64)> {
        let before = self.points.iter().rfind(|point| point.0 <= seconds);
        before.copied()
    }
}

/// From seconds and MB/s to the picture.
struct Scale {
    seconds: f64,
    rate: f64,
}

impl Scale {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds / self.seconds * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, rate: f64) -> f64 {
        HEIGHT - BOTTOM - rate / self.rate * (HEIGHT - TOP - BOTTOM)
    }
}

/// All nodes over the copy.
pub(super) fn picture(nodes: &[Line]) -> String {
    let begin = beginning(nodes);
    let mut curves: Vec<_> = nodes.iter().map(|line| curve(line, begin)).collect();
    curves.sort_by(|one, other| one.mean.total_cmp(&other.mean));
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let scale = Scale {
        seconds: points().map(|point| point.0).fold(0.001, f64::max),
        rate: points().map(|point| point.1).fold(0.001, f64::max) * 1.05,
    };
    let mut body = String::new();
    axes(&mut body, &scale);
    let (named, others) = curves.split_at(curves.len().min(NAMED_MAX));
    for curve in others {
        draw(&mut body, curve, &scale, "class=\"other\"");
    }
    for (number, curve) in named.iter().enumerate() {
        let colour = format!("class=\"node\" stroke=\"{}\"", colour(number, named.len()));
        draw(&mut body, curve, &scale, &colour);
    }
    legend(&mut body, named, others.len());
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <title>The rate at every node over the copy</title>\n<style>{STYLE}</style>\n{body}</svg>\n"
    )
}

/// The last moment at which nobody had anything.
fn beginning(nodes: &[Line]) -> Time {
    let empty = |line: &Line| {
        let before = line.samples.iter().take_while(|(_, bytes)| *bytes == 0);
        before.last().or(line.samples.first()).map(|(at, _)| *at)
    };
    nodes.iter().filter_map(empty).min().unwrap_or(Time::ZERO)
}

fn curve(line: &Line, begin: Time) -> Curve<'_> {
    let last = line.samples.last().copied().unwrap_or((begin, 0));
    let first = line.samples.first().copied().unwrap_or(last);
    let spacing = last.0.since(first.0) / POINTS_MAX;
    let mut points = Vec::new();
    let mut before = first;
    for &(at, bytes) in &line.samples {
        let elapsed = at.since(before.0);
        if at <= begin {
            before = (at, bytes);
        } else if elapsed > Duration::ZERO && elapsed >= spacing {
            // The rate between two samples belongs to the middle of them.
            let middle = at.since(begin).saturating_sub(elapsed / 2);
            points.push((middle.as_secs_f64(), megabytes(bytes - before.1, elapsed)));
            before = (at, bytes);
        }
    }
    let full = line.samples.iter().find(|(_, bytes)| *bytes == last.1);
    let elapsed = full.map_or(Duration::ZERO, |(at, _)| at.since(begin));
    let mark = |(at, what): &(Time, &'static str)| (at.since(begin).as_secs_f64(), *what);
    Curve {
        line,
        points,
        marks: line.marks.iter().map(mark).collect(),
        mean: megabytes(last.1, elapsed),
    }
}

fn megabytes(bytes: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() {
        0.0
    } else {
        bytes as f64 / 1e6 / elapsed.as_secs_f64()
    }
}

/// Writing to a string cannot fail; so everywhere below.
fn axes(body: &mut String, scale: &Scale) {
    let (right, base) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let _ = writeln!(
        body,
        "<text x=\"0\" y=\"16\">MB/s reaching each node, repairs included</text>\
         <text x=\"{right}\" y=\"{}\" text-anchor=\"end\">seconds</text>",
        HEIGHT - 6.0
    );
    for rate in ticks(scale.rate) {
        let y = scale.y(rate);
        let _ = writeln!(
            body,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{rate}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    for seconds in ticks(scale.seconds) {
        let x = scale.x(seconds);
        let _ = writeln!(
            body,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{base}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{seconds}</text>",
            base + 16.0
        );
    }
}

/// Round numbers from nothing to `most`, four to eleven of them.
fn ticks(most: f64) -> Vec<f64> {
    let magnitude = 10_f64.powf(most.log10().floor());
    let step = [0.1, 0.2, 0.25, 0.5, 1.0]
        .into_iter()
        .map(|part| part * magnitude)
        .find(|step| most / step <= 10.0)
        .unwrap_or(magnitude);
    let count = (most / step) as u32;
    // The product of a step and a number has digits that nobody wants to read.
    (0..=count)
        .map(|number| (f64::from(number) * step * 1e6).round() / 1e6)
        .collect()
}

fn draw(body: &mut String, curve: &Curve<'_>, scale: &Scale, how: &str) {
    let name = escaped(&curve.line.name);
    let _ = write!(
        body,
        "<polyline {how} points=\"{}\"><title>{name}</title></polyline>",
        path(&curve.points, scale)
    );
    let worth_a_mark = curve.marks.iter().filter(|(_, what)| *what != "complete");
    for (at, what) in worth_a_mark {
        let Some((seconds, rate)) = curve.at(*at) else {
            continue;
        };
        let _ = write!(
            body,
            "<circle r=\"3.5\" cx=\"{:.1}\" cy=\"{:.1}\" {how}><title>{name}: {what}</title></circle>",
            scale.x(seconds),
            scale.y(rate)
        );
    }
    body.push('\n');
}

fn path(points: &[(f64, f64)], scale: &Scale) -> String {
    let point =
        |(seconds, rate): &(f64, f64)| format!("{:.1},{:.1}", scale.x(*seconds), scale.y(*rate));
    points.iter().map(point).collect::<Vec<_>>().join(" ")
}

fn legend(body: &mut String, named: &[Curve<'_>], others: usize) {
    let x = WIDTH - RIGHT + 14.0;
    let mut y = TOP;
    let _ = writeln!(
        body,
        "<text x=\"{x}\" y=\"16\">mean, the slowest first</text>"
    );
    for (number, curve) in named.iter().enumerate() {
        let end = match curve.marks.last() {
            Some((_, "gone")) => ", gone",
            _ if curve.marks.iter().any(|(_, what)| *what == "apart") => ", apart",
            _ => "",
        };
        let _ = writeln!(
            body,
            "<rect x=\"{x}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{}\"/>\
             <text x=\"{}\" y=\"{y:.1}\">{} {:.1} MB/s{end}</text>",
            y - 9.0,
            colour(number, named.len()),
            x + 16.0,
            escaped(&shortened(&curve.line.name)),
            curve.mean
        );
        y += 18.0;
    }
    if others > 0 {
        let _ = writeln!(
            body,
            "<text x=\"{x}\" y=\"{y:.1}\">and {others} more</text>"
        );
    }
}

fn colour(number: usize, of: usize) -> String {
    format!("hsl({},65%,45%)", number * 330 / of.max(1))
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS_MAX {
        return name.into();
    }
    let kept: String = name.chars().take(NAME_CHARS_MAX - 1).collect();
    format!("{kept}\u{2026}")
}

/// Names come from other machines: nothing in them may end the text that they stand in.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // XML has no way to write these.
            control if control.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            other => escaped.push(other),
        }
    }
    escaped
}
