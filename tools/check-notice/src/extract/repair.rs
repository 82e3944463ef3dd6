//! Cuts an XML document out of running text and mends what senders get wrong in it.
//!
//! Not an XML reader. Bounds size and depth before one is called.

use std::borrow::Cow;

/// The largest XML document that is read.
const XML_BYTES_MAX: usize = 1 << 20;

/// Elements within elements; ACNS has 6.
const DEPTH_MAX: usize = 64;

/// The range of the document with this root element, if it is there and within bounds.
pub(super) fn cut(text: &str, root: &str) -> Option<std::ops::Range<usize>> {
    let open = format!("<{root}");
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find(&open)?;
        let next = text.as_bytes().get(at + open.len());
        from = at + open.len();
        if matches!(next, Some(b'>' | b' ' | b'\t' | b'\r' | b'\n' | b'/')) {
            let close = format!("</{root}");
            let end = at + text.get(at..)?.find(&close)?;
            let end = end + text.get(end..)?.find('>')? + 1;
            return (end - at <= XML_BYTES_MAX && depth(&text[at..end]) <= DEPTH_MAX)
                .then_some(at..end);
        }
    }
}

/// Bytes of one tag; ACNS has some tens. Readers compare all attributes of a tag with each other.
const TAG_BYTES_MAX: usize = 16 << 10;

/// How deep elements are nested, at most; comments count as elements, which errs to the safe side. A tag
/// that is too long counts as too deep.
fn depth(xml: &str) -> usize {
    let bytes = xml.as_bytes();
    let (mut now, mut most) = (0_usize, 0_usize);
    for at in memchr::memchr_iter(b'<', bytes) {
        if bytes.get(at + 1) == Some(&b'/') {
            now = now.saturating_sub(1);
        } else {
            let end = memchr::memchr(b'>', &bytes[at..]).map_or(bytes.len(), |n| at + n);
            if end - at > TAG_BYTES_MAX {
                return usize::MAX;
            }
            if bytes.get(end.wrapping_sub(1)) != Some(&b'/') {
                now += 1;
                most = most.max(now);
            }
        }
    }
    most
}

/// Writes `&amp;` for each `&` that begins no entity; says how many there were.
pub(super) fn ampersands(xml: &str) -> (Cow<'_, str>, usize) {
    let mut fixed = String::new();
    let mut taken = 0;
    let mut count = 0;
    for at in memchr::memchr_iter(b'&', xml.as_bytes()) {
        let rest = &xml[at + 1..];
        let name = rest
            .bytes()
            .take(12)
            .position(|b| b == b';')
            .map(|end| &rest[..end]);
        let known = name.is_some_and(|n| {
            matches!(n, "amp" | "lt" | "gt" | "quot" | "apos") || n.starts_with('#')
        });
        if !known {
            fixed.push_str(&xml[taken..at]);
            fixed.push_str("&amp;");
            taken = at + 1;
            count += 1;
        }
    }
    if count == 0 {
        return (Cow::Borrowed(xml), 0);
    }
    fixed.push_str(&xml[taken..]);
    (Cow::Owned(fixed), count)
}

/// A text without the quote marks of a forward, if most of its lines have them.
pub(super) fn unquoted(text: &str) -> Cow<'_, str> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let (quoted, all) = lines.fold((0_usize, 0_usize), |(quoted, all), line| {
        (quoted + usize::from(line.starts_with('>')), all + 1)
    });
    if quoted * 2 <= all {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        // Blanks for the marks: every other byte keeps its place.
        let marks = line
            .bytes()
            .take_while(|b| matches!(b, b'>' | b' '))
            .count();
        plain.extend(std::iter::repeat_n(' ', marks));
        plain.push_str(&line[marks..]);
    }
    Cow::Owned(plain)
}
