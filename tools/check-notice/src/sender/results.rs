//! `Authentication-Results` (RFC 8601): what a border server wrote down when the mail came.
//!
//! Believed only with a configured name and above the border's own `Received`: below that anybody may
//! have written it. What `stamp` kept was judged by that rule when the mail came.

use super::{Trust, is_aligned};
use crate::evidence::Reason;
use crate::mail::{Header, Mail};

/// Fields of one mail that are looked at.
const FIELDS_MAX: usize = 20;

/// The results that the own border wrote into a mail, on one line each: what `stamp` keeps.
#[must_use]
pub fn believed(mail: &Mail, trust: &Trust) -> Vec<String> {
    let border = border_index(mail, trust);
    mail.all("Authentication-Results")
        .take(FIELDS_MAX)
        .filter(|(index, header)| place(mail, trust, border, *index, header) == Place::Border)
        .map(|(_, header)| mail.unfolded(header))
        .collect()
}

/// The domain that a trusted field attests, if it is aligned with `From`; `kept` was kept at delivery.
pub(super) fn attested(
    mail: &Mail,
    trust: &Trust,
    from: &str,
    kept: &[String],
    reasons: &mut Vec<Reason>,
) -> Option<String> {
    if trust.authserv_ids.is_empty() {
        return None;
    }
    let border = border_index(mail, trust);
    let mut found = None;
    let mut take = |name: String, value: &str, reasons: &mut Vec<Reason>| {
        for domain in passed(&parsed(value)) {
            if is_aligned(trust, &domain, from) {
                let id = server(value);
                reasons.push(Reason::new(format!(
                    "{name}: {id} found {domain} valid, if it removes foreign fields of its name"
                )));
                found = found.take().or(Some(domain));
            }
        }
    };
    for (index, header) in mail.all("Authentication-Results").take(FIELDS_MAX) {
        let name = format!("Authentication-Results in line {}", mail.line_of(header));
        let value = mail.unfolded(header);
        match place(mail, trust, border, index, header) {
            Place::Border => take(name, &value, reasons),
            Place::Stranger => {
                let id = server(&value);
                let shown: String = id.chars().filter(char::is_ascii_graphic).take(60).collect();
                reasons.push(Reason::new(format!(
                    "{name} is by {shown}, which is not trusted: ignored"
                )));
            }
            Place::Unknown => reasons.push(Reason::new(format!(
                "{name} bears our name but no Received of the own border shows where it came in: forged, ignored"
            ))),
            Place::Below => reasons.push(Reason::new(format!(
                "{name} bears our name but it stands below the Received of the own border: forged, ignored"
            ))),
        }
    }
    for value in kept {
        let name = "Authentication-Results kept at delivery".to_owned();
        take(name, value, reasons);
    }
    found
}

/// Where a field stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Above the border's `Received`, with a name of ours.
    Border,
    /// It bears another name.
    Stranger,
    /// It bears our name, and nothing shows where the mail came in.
    Unknown,
    /// It bears our name, and was there before the mail came.
    Below,
}

fn place(
    mail: &Mail,
    trust: &Trust,
    border: Option<usize>,
    index: usize,
    header: &Header,
) -> Place {
    let id = server(&mail.unfolded(header));
    if !trust
        .authserv_ids
        .iter()
        .any(|own| own.eq_ignore_ascii_case(&id))
    {
        return Place::Stranger;
    }
    match border {
        None => Place::Unknown,
        Some(border) if index > border => Place::Below,
        Some(_) => Place::Border,
    }
}

/// The name with which a field begins.
fn server(value: &str) -> String {
    let words = parsed(value);
    let id = words.first().and_then(|first| first.first());
    id.map_or(String::new(), |id| id.to_ascii_lowercase())
}

/// The topmost `Received` that a border server wrote, unfolded.
#[must_use]
pub fn border_received(mail: &Mail, trust: &Trust) -> Option<String> {
    let header = mail.headers.get(border_index(mail, trust)?)?;
    Some(mail.unfolded(header))
}

/// The topmost `Received` that a border server wrote.
fn border_index(mail: &Mail, trust: &Trust) -> Option<usize> {
    mail.all("Received")
        .find(|(_, header)| {
            let value = mail.unfolded(header).to_ascii_lowercase();
            let by = value
                .split(" by ")
                .nth(1)
                .or_else(|| value.strip_prefix("by "));
            let host = by
                .and_then(|rest| rest.split([' ', ';', '(']).next())
                .unwrap_or("");
            trust
                .border
                .iter()
                .any(|own| own.eq_ignore_ascii_case(host))
        })
        .map(|(index, _)| index)
}

/// Domains of `dkim=pass` and of `dmarc=pass`.
pub(super) fn passed(results: &[Vec<String>]) -> Vec<String> {
    let mut found = Vec::new();
    for result in results.iter().skip(1) {
        let Some(first) = result.first().map(|word| word.to_ascii_lowercase()) else {
            continue;
        };
        let names: &[&str] = match first.as_str() {
            "dkim=pass" => &["header.d", "header.i"],
            "dmarc=pass" => &["header.from"],
            _ => continue,
        };
        let domain = result.iter().skip(1).find_map(|word| {
            let (name, value) = word.split_once('=')?;
            names
                .contains(&name.to_ascii_lowercase().as_str())
                .then(|| {
                    value
                        .rsplit('@')
                        .next()
                        .unwrap_or(value)
                        .to_ascii_lowercase()
                })
        });
        found.extend(domain);
    }
    found
}

/// The words of a field between its semicolons; comments are left out, and what is quoted is one word,
/// so that a sender's text in quotes begins no result of its own.
pub(super) fn parsed(value: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut word = String::new();
    let (mut quoted, mut escaped, mut depth) = (false, false, 0_usize);
    for letter in value.chars().chain([';']) {
        if escaped {
            escaped = false;
            if quoted {
                word.push(letter);
            }
            continue;
        }
        match letter {
            '\\' if quoted || depth > 0 => escaped = true,
            '"' if depth == 0 => quoted = !quoted,
            _ if quoted => word.push(letter),
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            ';' => {
                if let Some(last) = all.last_mut().filter(|_| !word.is_empty()) {
                    last.push(std::mem::take(&mut word));
                }
                all.push(Vec::new());
            }
            _ if letter.is_whitespace() => {
                if let Some(last) = all.last_mut().filter(|_| !word.is_empty()) {
                    last.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(letter),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_or_a_comment_begins_no_result() {
        let domains = |text: &str| passed(&parsed(text));
        assert_eq!(
            domains(
                "mx.net.example (v 1; dkim=pass); spf=pass; dkim=pass (2048 bit) header.d=a.example"
            ),
            ["a.example"]
        );
        for forged in [
            "mx.net.example; spf=fail smtp.mailfrom=\"x; dkim=pass header.d=a.example\"",
            "mx.net.example; spf=fail reason=\"\\\"; dkim=pass header.d=a.example\"",
            "mx.net.example; spf=fail (x; dkim=pass header.d=a.example",
            "mx.net.example; dkim=fail header.d=a.example dkim=pass",
        ] {
            assert_eq!(domains(forged), Vec::<String>::new(), "{forged}");
        }
        assert_eq!(
            domains("mx; dmarc=pass header.from=a.example"),
            ["a.example"]
        );
    }
}
