//! The leak test: what private facts a mail holds that are true of whom it accuses.
//!
//! A forger reads addresses off public swarms; a name or hardware address he has from inside. The answer
//! tells the kind of fact and its place, never the fact.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use crate::claim::Place;
use crate::mail::{Mail, addresses_of};

/// A fact shorter than this is found by chance.
const FACT_LETTERS_MIN: usize = 5;

/// Private facts by holder: kind and text.
pub type People = HashMap<String, Vec<(String, String)>>;

/// A private fact that is true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leak {
    /// `name`, `customer number`, `hardware address`, `client identifier`, `login`.
    pub kind: String,
    /// Where it stands in the mail.
    pub place: Place,
}

/// Reads `holder,kind,value` lines; the holder as the records name it, `user:NAME` or `mac:...`.
#[must_use]
pub fn read_people(text: &str) -> People {
    let mut people = People::new();
    for line in text.lines().skip(1) {
        let mut cells = line.splitn(3, ',').map(str::trim);
        if let (Some(holder), Some(kind), Some(value)) = (cells.next(), cells.next(), cells.next())
        {
            people
                .entry(holder.to_owned())
                .or_default()
                .push((kind.to_owned(), value.trim_matches('"').to_owned()));
        }
    }
    people
}

/// Looks in a mail for private facts of these holders. What the mail's own recipients show is left out.
#[must_use]
pub fn look(mail: &Mail, holders: &[&str], people: &People) -> Vec<Leak> {
    let recipients = ["To", "Cc", "Delivered-To"]
        .iter()
        .flat_map(|name| mail.all(name));
    let public: String = recipients
        .flat_map(|(_, h)| addresses_of(&mail.unfolded(h)))
        .collect::<Vec<_>>()
        .join(" ");
    let texts: Vec<(u32, String)> = mail
        .parts
        .iter()
        .filter_map(|part| Some((part.index, part.text.as_deref()?.to_lowercase())))
        .collect();
    let different: BTreeSet<&str> = holders.iter().copied().collect();
    let mut found: Vec<Leak> = Vec::new();
    for holder in different {
        let mut facts: Vec<(String, String)> = people.get(holder).cloned().unwrap_or_default();
        match holder.split_once(':') {
            Some(("user", name)) => facts.push(("login".to_owned(), name.to_owned())),
            Some(("mac", mac)) => facts.push(("hardware address".to_owned(), mac.to_owned())),
            Some(("client", text)) => {
                facts.push(("client identifier".to_owned(), text.to_owned()));
            }
            _ => {}
        }
        for (kind, value) in facts {
            let wanted = value.to_lowercase();
            if wanted.chars().count() < FACT_LETTERS_MIN || public.contains(&wanted) {
                continue;
            }
            let forms = [
                wanted.clone(),
                wanted.replace(':', "-"),
                wanted.replace(':', ""),
            ];
            for (part, text) in &texts {
                if let Some((at, form)) = forms
                    .iter()
                    .find_map(|form| Some((whole_word(text, form)?, form)))
                {
                    found.push(Leak {
                        kind: kind.clone(),
                        place: Place::new(*part, at..at + form.len()),
                    });
                    break;
                }
            }
        }
    }
    found.dedup();
    found
}

fn whole_word(text: &str, word: &str) -> Option<usize> {
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    text.match_indices(word)
        .find(|(at, _)| {
            edge(text[..*at].chars().next_back()) && edge(text[at + word.len()..].chars().next())
        })
        .map(|(at, _)| at)
}
