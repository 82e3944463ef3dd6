//! The sender's side of a copy that keeps what is there: collects what receivers lack, and selects what is
//! sent.
//!
//! Not here: the hashes by which old versions are compared (`readers`), and who waits for whom (the
//! machine).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grappe_proto::content::layout::data_pieces;
use grappe_proto::content::manifest::Manifest;
use grappe_proto::content::survey::{
    COMPARED_PIECES_MAX, EntrySet, Parts, SURVEY_BYTES_MAX, Selection, Survey,
};
use grappe_proto::units::PeerId;
use grappe_proto::wire::control::{ToReceiver, encode};

use super::control::Frames;

/// What is to be done for a receiver whose survey is complete.
pub(super) enum Heard {
    /// Others are waited for.
    Noted,
    /// The selection was made before it came, and serves it.
    Answer(Frames),
    /// The selection was made before it came, and lacks what it lacks.
    TooLate,
}

/// The surveys of one session.
#[derive(Debug, Default)]
pub(super) struct Surveys {
    coming: BTreeMap<PeerId, Parts>,
    heard: BTreeSet<PeerId>,
    lacking: EntrySet,
    compare: EntrySet,
    /// Hashes were asked for, with these sets; nothing is added any more.
    is_closed: bool,
    /// The selection as it travels, once it is made.
    selection: Option<Frames>,
}

impl Surveys {
    /// Takes a part of a survey in; gives it when it is whole.
    ///
    /// # Errors
    ///
    /// When the receiver breaks the protocol.
    pub(super) fn part(
        &mut self,
        peer: PeerId,
        bytes: &[u8],
        is_last: bool,
    ) -> Result<Option<Survey>, String> {
        if self.heard.contains(&peer) {
            return Err("broke the protocol: a second survey".into());
        }
        let coming = self.coming.entry(peer).or_default();
        let whole = coming
            .take(bytes, is_last, SURVEY_BYTES_MAX)
            .map_err(|error| format!("broke the protocol: {error}"))?;
        let Some(whole) = whole else { return Ok(None) };
        self.coming.remove(&peer);
        self.heard.insert(peer);
        let survey: Survey = minicbor::decode(&whole)
            .map_err(|_| "broke the protocol: its survey cannot be read")?;
        if !survey.compare.is_within(&survey.lacking) {
            return Err("broke the protocol: it wants to compare what it does not lack".into());
        }
        Ok(Some(survey))
    }

    /// Takes account of a survey.
    pub(super) fn add(&mut self, survey: &Survey) -> Heard {
        if self.is_closed {
            let is_served = survey.lacking.is_within(&self.lacking);
            return match &self.selection {
                Some(answer) if is_served => Heard::Answer(Arc::clone(answer)),
                None if is_served => Heard::Noted,
                _ => Heard::TooLate,
            };
        }
        self.lacking.unite(&survey.lacking);
        self.compare.unite(&survey.compare);
        Heard::Noted
    }

    /// Whether all of `awaited` have told, and nothing was selected yet: then it is time to.
    pub(super) fn is_complete(&self, awaited: impl Iterator<Item = PeerId>) -> bool {
        let mut awaited = awaited.peekable();
        !self.is_closed
            && awaited.peek().is_some()
            && awaited.all(|peer| self.heard.contains(&peer))
    }

    /// Takes no further needs in; gives the files to send, and those to hash before. `pieces_of` tells how many
    /// pieces an entry has: each receiver keeps to the bound, and all together may not. What is beyond is sent
    /// whole.
    pub(super) fn close(&mut self, pieces_of: impl Fn(u32) -> u64) -> (EntrySet, EntrySet) {
        if !self.is_closed {
            self.is_closed = true;
            let (mut compared, mut pieces) = (EntrySet::default(), 0_u64);
            for entry in self.compare.iter() {
                let more = pieces.saturating_add(pieces_of(entry));
                if more <= COMPARED_PIECES_MAX {
                    pieces = more;
                    compared.insert(entry);
                }
            }
            self.compare = compared;
        }
        (self.lacking.clone(), self.compare.clone())
    }

    /// Whether the selection was made.
    pub(super) const fn is_selected(&self) -> bool {
        self.selection.is_some()
    }

    /// The selection with its hashes is made; gives it for all who wait for it. It is in memory once, however many
    /// that are: with the hashes of much content it has tens of megabytes.
    pub(super) fn select(&mut self, digests: Vec<u8>) -> (Vec<PeerId>, Frames) {
        let selection = Selection {
            entries: self.lacking.clone(),
            hashed: self.compare.clone(),
            digests,
        };
        let bytes = minicbor::to_vec(&selection).unwrap_or_default();
        let parts = Parts::of(&bytes);
        let answer: Frames = parts
            .map(|(bytes, is_last)| encode(&ToReceiver::Part { bytes, is_last }))
            .collect();
        self.selection = Some(Arc::clone(&answer));
        (self.heard.iter().copied().collect(), answer)
    }
}

/// How many pieces the data of an entry of `manifest` has; none where there is no such entry.
pub(super) fn pieces_in(manifest: &Manifest) -> impl Fn(u32) -> u64 {
    |entry| {
        let entry = manifest.entries.get(entry as usize);
        entry.map_or(0, |entry| data_pieces(entry.size(), entry.extents()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(lacking: &[u32]) -> Survey {
        let mut survey = Survey::default();
        for entry in lacking {
            survey.lacking.insert(*entry);
        }
        survey
    }

    fn come(surveys: &mut Surveys, peer: u16, lacking: &[u32]) -> Heard {
        let bytes = minicbor::to_vec(survey(lacking)).unwrap();
        let survey = surveys.part(PeerId(peer), &bytes, true).unwrap().unwrap();
        surveys.add(&survey)
    }

    #[test]
    fn what_anybody_lacks_is_selected_once_all_have_told() {
        let mut surveys = Surveys::default();
        let awaited = || [PeerId(0), PeerId(1)].into_iter();
        assert!(matches!(come(&mut surveys, 0, &[1, 7]), Heard::Noted));
        assert!(!surveys.is_complete(awaited()));
        assert!(matches!(come(&mut surveys, 1, &[2]), Heard::Noted));
        assert!(surveys.is_complete(awaited()));
        let (lacking, _) = surveys.close(|_| 1);
        assert_eq!(lacking, survey(&[1, 2, 7]).lacking);
        assert!(!surveys.is_complete(awaited()), "only once");
        assert!(
            matches!(come(&mut surveys, 2, &[2]), Heard::Noted),
            "answered with the others"
        );
        let (peers, _) = surveys.select(Vec::new());
        assert_eq!(peers, [PeerId(0), PeerId(1), PeerId(2)]);
        assert!(matches!(come(&mut surveys, 3, &[7]), Heard::Answer(_)));
        assert!(matches!(come(&mut surveys, 4, &[3]), Heard::TooLate));
    }

    #[test]
    fn a_second_or_endless_survey_is_refused() {
        let mut surveys = Surveys::default();
        come(&mut surveys, 0, &[]);
        assert!(surveys.part(PeerId(0), &[], true).is_err());
        assert!(surveys.part(PeerId(1), b"no survey", true).is_err());
        let part = vec![0; SURVEY_BYTES_MAX];
        assert_eq!(surveys.part(PeerId(2), &part, false), Ok(None));
        assert!(surveys.part(PeerId(2), &[0], false).is_err());
    }

    #[test]
    fn a_survey_that_compares_what_it_does_not_lack_is_refused() {
        let mut surveys = Surveys::default();
        let mut survey = survey(&[1]);
        survey.compare.insert(2);
        let bytes = minicbor::to_vec(&survey).unwrap();
        let refused = surveys.part(PeerId(0), &bytes, true).unwrap_err();
        assert!(refused.contains("does not lack"), "{refused}");
    }

    #[test]
    fn what_all_receivers_together_compare_keeps_to_the_bound() {
        let mut surveys = Surveys::default();
        for (peer, entry) in [(0, 3), (1, 5), (2, 7)] {
            let mut survey = survey(&[entry]);
            survey.compare.insert(entry);
            let bytes = minicbor::to_vec(&survey).unwrap();
            let survey = surveys.part(PeerId(peer), &bytes, true).unwrap().unwrap();
            surveys.add(&survey);
        }
        // The second alone is more than fits beside the first, and the third fits.
        let pieces_of = |entry| match entry {
            5 => COMPARED_PIECES_MAX,
            _ => COMPARED_PIECES_MAX / 2,
        };
        let (lacking, compare) = surveys.close(pieces_of);
        assert_eq!(lacking, survey(&[3, 5, 7]).lacking, "all are sent");
        assert_eq!(compare, survey(&[3, 7]).lacking);
        assert_eq!(surveys.close(|_| 0).1, compare, "once for all");
    }
}
