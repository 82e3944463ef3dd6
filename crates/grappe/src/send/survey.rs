//! The sender's side of a copy that keeps what is there: collects what receivers lack, and selects what is
//! sent.
//!
//! Not here: the hashes by which old versions are compared (`readers`), and who waits for whom (the
//! machine).

use std::collections::{BTreeMap, BTreeSet};

use grappe_proto::content::survey::{EntrySet, Parts, SURVEY_BYTES_MAX, Selection, Survey};
use grappe_proto::units::PeerId;
use grappe_proto::wire::control::ToReceiver;

/// What is to be done for a receiver whose survey is complete.
pub(super) enum Heard {
    /// Others are waited for.
    Noted,
    /// The selection was made before it came, and serves it.
    Answer(Vec<ToReceiver>),
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
    selection: Option<Vec<u8>>,
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
        minicbor::decode(&whole)
            .map(Some)
            .map_err(|_| "broke the protocol: its survey cannot be read".into())
    }

    /// Takes account of a survey.
    pub(super) fn add(&mut self, survey: &Survey) -> Heard {
        if self.is_closed {
            let is_served = survey.lacking.is_within(&self.lacking);
            return match &self.selection {
                Some(_) if is_served => Heard::Answer(self.answer()),
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

    /// Takes no further needs in; gives the files to send, and those to hash before.
    pub(super) fn close(&mut self) -> (EntrySet, EntrySet) {
        self.is_closed = true;
        (self.lacking.clone(), self.compare.clone())
    }

    /// Whether the selection was made.
    pub(super) const fn is_selected(&self) -> bool {
        self.selection.is_some()
    }

    /// The selection with its hashes is made; gives it for all who wait for it.
    pub(super) fn select(&mut self, digests: Vec<u8>) -> (Vec<PeerId>, Vec<ToReceiver>) {
        let selection = Selection {
            entries: self.lacking.clone(),
            hashed: self.compare.clone(),
            digests,
        };
        self.selection = Some(minicbor::to_vec(&selection).unwrap_or_default());
        (self.heard.iter().copied().collect(), self.answer())
    }

    fn answer(&self) -> Vec<ToReceiver> {
        let bytes = self.selection.as_deref().unwrap_or_default();
        let parts = Parts::of(bytes);
        parts
            .map(|(bytes, is_last)| ToReceiver::Part { bytes, is_last })
            .collect()
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
        let (lacking, _) = surveys.close();
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
}
