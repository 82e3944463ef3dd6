//! Messages, minutes and data that an answer says are left.
//!
//! A count is none of what is left where it was used, costs something, or is on offer.

use super::super::quantity::Unit;
use super::super::token::Kind;
use super::super::words::{self, List};
use super::{Answer, Figures, Label, joined};

impl Answer<'_> {
    /// Messages, minutes and data that are left.
    pub(super) fn counts(&self, figures: &mut Figures) {
        let (mut messages, mut data, mut minutes) = (Vec::new(), Vec::new(), Vec::new());
        for (index, quantity) in self.quantities.iter().enumerate() {
            let (list, count) = match quantity.unit {
                Unit::Messages(count) => (&mut messages, count),
                Unit::DataKb(count) => (&mut data, count),
                Unit::Minutes(count) => (&mut minutes, count),
                _ => continue,
            };
            let elsewhere = self.is_for_elsewhere(index);
            let before = self.words_before(index);
            let after = self.words_after(index);
            let first_after = after.split(' ').next().unwrap_or_default();
            let other = words::any(List::NotLeft, &before)
                || words::any(List::Bound, &before)
                || words::any(List::Spent, first_after)
                || words::any(List::Debt, first_after)
                || self.is_said(List::Gone, &self.rest_of_sentence(index))
                || words::any(List::Spent, &self.bracket_behind(index))
                || self.money_follows(quantity.end)
                || self.is_priced_before(index, &before)
                || self.is_advertised(index);
            if !other {
                list.push((count, elsewhere));
            }
        }
        figures.sms =
            messages_left(&messages).filter(|&count| count == 0 || !self.has_no_messages());
        figures.data_kb = only(&data);
        figures.minutes = minutes_left(&minutes);
    }

    /// "No SMS left": a count beside it is of others, or on offer.
    fn has_no_messages(&self) -> bool {
        self.tokens.windows(2).any(|pair| {
            words::NONE.contains(&pair[0].word()) && words::MESSAGES.contains(&pair[1].word())
        })
    }

    /// Whether the sentence wants something to be done, or shouts: what it names is on offer.
    fn is_advertised(&self, index: usize) -> bool {
        let quantity = &self.quantities[index];
        let start = self.sentence_start(quantity.start);
        let stop = self.sentence_end(quantity.end);
        let sentence = joined(self.tokens, start, stop);
        let called = self.tokens[start..stop]
            .iter()
            .any(|token| token.kind == Kind::Code);
        let shouted = self
            .tokens
            .get(stop)
            .is_some_and(|token| token.is_mark('!'));
        let left = words::any(List::Left, &sentence) || words::any(List::Owner, &sentence);
        words::any(List::Action, &sentence)
            || ((called || shouted) && !left)
            || self.is_asked_for(index)
    }

    /// Minutes and messages for abroad: "10 international minutes", "50 min abroad".
    fn is_for_elsewhere(&self, index: usize) -> bool {
        const ELSEWHERE: [&str; 28] = [
            "international",
            "internationale",
            "internationaler",
            "internationaux",
            "internationales",
            "internacional",
            "internacionales",
            "internacionais",
            "internazionale",
            "internazionali",
            "internasional",
            "antarabangsa",
            "intl",
            "int",
            "abroad",
            "roaming",
            "kordon",
            "ausland",
            "etranger",
            "estero",
            "extranjero",
            "estrangeiro",
            "buitenland",
            "zagranichnye",
            "mezhdunarodnyh",
            "mezhdunarodnye",
            "mizhnarodnih",
            "yurtdisi",
        ];
        let quantity = &self.quantities[index];
        let inside = joined(self.tokens, quantity.start, quantity.end);
        let after = self.words_after(index);
        inside
            .split(' ')
            .chain(after.split(' ').take(3))
            .any(|word| ELSEWHERE.contains(&word))
    }

    /// A price and the name of what it buys before: "Rs 49 pack: 2GB".
    fn is_priced_before(&self, index: usize, before: &str) -> bool {
        const PACKS: [&str; 14] = [
            "pack",
            "packs",
            "pass",
            "plan",
            "bundle",
            "combo",
            "paquete",
            "pacote",
            "pacchetto",
            "forfait",
            "pakiet",
            "paket",
            "offer",
            "offre",
        ];
        let Some(previous) = index.checked_sub(1) else {
            return false;
        };
        matches!(self.quantities[previous].unit, Unit::Money { .. })
            && self.quantities[previous].end > self.sentence_start(self.quantities[index].start)
            && before.split(' ').any(|word| PACKS.contains(&word))
            && self.label(previous) != Label::Credit
    }

    /// A price right behind: "100 SMS = 2 EUR", "100 SMS 2 EUR", "1 GB a 1000 F".
    fn money_follows(&self, end: usize) -> bool {
        self.quantities.iter().any(|quantity| {
            matches!(quantity.unit, Unit::Money { .. })
                && (quantity.start == end
                    || (quantity.start == end + 1
                        && matches!(
                            self.tokens[end].kind,
                            Kind::Mark('=' | '-' | ':' | '/' | '@')
                        ))
                    || (quantity.start == end + 1
                        && matches!(self.tokens[end].word(), "a" | "at" | "za")))
        })
    }
}

/// Minutes of calls: of several, those for use at home, if there is one such figure.
fn minutes_left(counts: &[(u64, bool)]) -> Option<u64> {
    let home: Vec<(u64, bool)> = counts
        .iter()
        .copied()
        .filter(|(_, elsewhere)| !elsewhere)
        .collect();
    only(if home.is_empty() { counts } else { &home })
}

/// Messages: of several counts only one that they share, or nothing where nothing is left for use at home.
/// An alarm needs those: messages for abroad do not send it.
fn messages_left(counts: &[(u64, bool)]) -> Option<u64> {
    let home: Vec<u64> = counts
        .iter()
        .filter(|(_, elsewhere)| !elsewhere)
        .map(|(count, _)| *count)
        .collect();
    let first = home.first()?;
    let is_one = counts.iter().all(|(count, _)| count == first);
    (is_one || home.iter().all(|&count| count == 0)).then_some(*first)
}

fn only(counts: &[(u64, bool)]) -> Option<u64> {
    let counts: Vec<u64> = counts.iter().map(|(count, _)| *count).collect();
    let left: Vec<u64> = counts.iter().copied().filter(|&count| count > 0).collect();
    match (&left[..], &counts[..]) {
        ([count], _) => Some(*count),
        ([], [zero, ..]) => Some(*zero),
        ([first, rest @ ..], _) if rest.iter().all(|count| count == first) => Some(*first),
        _ => None,
    }
}
