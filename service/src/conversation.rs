// SPDX-License-Identifier: MPL-2.0

//! What the sockets of one room have in common: the conversation's id, its
//! clock, its numbering, its speakers and what was found in what they said.

use crate::analysis::{Analyzer, AnalyzerOptions};
use crate::store::{Open, new_id};
use gstsymbl::protocol::{InsightType, Tracker};
use uuid::Uuid;

/// Kinds of wishes that are remembered: as many clients wish otherwise at a time.
const MOST_ANALYSES: usize = 16;

#[derive(Debug)]
pub(crate) struct Conversation {
    id: String,
    number: i64,
    /// Wall-clock time of its first audio, nanoseconds since the Unix epoch.
    zero: Option<i64>,
    sequence: u64,
    speakers: Vec<Speaker>,
    /// The latest first.
    analyses: Vec<Analysis>,
}

/// A participant, known by what the client says about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Speaker {
    /// Made here, constant within the conversation.
    pub(crate) id: String,
    pub(crate) user_id: Option<String>,
    pub(crate) name: Option<String>,
}

/// What clients asked for in the same words is looked for together, so that a
/// topic of two speakers is one topic.
#[derive(Debug)]
struct Analysis {
    wanted: Wanted,
    analyzer: Analyzer,
}

/// What a client wants to be told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) insight_types: Vec<InsightType>,
    pub(crate) confidence_threshold: f64,
    pub(crate) trackers: Vec<Tracker>,
    /// Names and ids of those among them that are kept by the service.
    pub(crate) tracker_ids: Vec<(String, String)>,
    /// Whether trackers are looked for in interims too.
    pub(crate) interim_trackers: bool,
    /// Whether entities are looked for.
    pub(crate) entities: bool,
}

impl Conversation {
    /// A new one.
    pub(crate) fn new() -> Self {
        let number = new_id();
        Self {
            id: number.to_string(),
            number,
            zero: None,
            sequence: 0,
            speakers: Vec::new(),
            analyses: Vec::new(),
        }
    }

    /// One that the service had before it came back. What was looked for in it
    /// begins anew: a topic may be told again.
    pub(crate) fn restored(open: Open) -> Self {
        let speakers = open.members.into_iter().map(|member| Speaker {
            id: member.id,
            user_id: member.user_id,
            name: member.name,
        });
        Self {
            id: open.id.to_string(),
            number: open.id,
            zero: open.zero,
            sequence: u64::try_from(open.sequence).unwrap_or(0),
            speakers: speakers.collect(),
            analyses: Vec::new(),
        }
    }

    /// The id as the database has it.
    pub(crate) fn number(&self) -> i64 {
        self.number
    }

    /// Somebody is called otherwise from now on.
    pub(crate) fn rename(&mut self, member: &str, name: Option<&str>, user_id: Option<&str>) {
        let known = self.speakers.iter_mut().find(|known| known.id == member);
        if let Some(known) = known {
            for (ours, given) in [(&mut known.name, name), (&mut known.user_id, user_id)] {
                if given.is_some() {
                    *ours = given.map(str::to_owned);
                }
            }
        }
    }

    /// Sixteen decimal digits.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The wall-clock time that message offsets count from: the first audio
    /// that anybody sent.
    pub(crate) fn zero(&mut self, audio_starts: i64) -> i64 {
        *self.zero.get_or_insert(audio_starts)
    }

    /// The number of the next message response, without taking it.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence
    }

    /// The number of a message response.
    pub(crate) fn take_sequence(&mut self) -> u64 {
        let number = self.sequence;
        self.sequence += 1;
        number
    }

    /// The speaker whom a client describes so; who gives neither id nor name is
    /// the conversation's unknown speaker. `None`: it is a new one, and there are
    /// `most` already.
    pub(crate) fn speaker(
        &mut self,
        user_id: Option<&str>,
        name: Option<&str>,
        most: usize,
    ) -> Option<Speaker> {
        let known = self.speakers.iter_mut().find(|known| match user_id {
            Some(_) => known.user_id.as_deref() == user_id,
            None => known.user_id.is_none() && known.name.as_deref() == name,
        });
        if let Some(known) = known {
            if name.is_some() {
                known.name = name.map(str::to_owned);
            }
            return Some(known.clone());
        }
        if self.speakers.len() >= most {
            return None;
        }
        let speaker = Speaker {
            id: Uuid::new_v4().to_string(),
            user_id: user_id.map(str::to_owned),
            name: name.map(str::to_owned),
        };
        self.speakers.push(speaker.clone());
        Some(speaker)
    }

    /// The analyzer for these wishes, with what it remembers of the conversation.
    /// Of wishes that are many the one that was not used for longest is forgotten.
    pub(crate) fn analyzer(&mut self, wanted: &Wanted) -> &mut Analyzer {
        let known = self.analyses.iter().position(|a| a.wanted == *wanted);
        let analysis = match known {
            Some(index) => self.analyses.remove(index),
            None => Analysis {
                wanted: wanted.clone(),
                analyzer: Analyzer::new(AnalyzerOptions {
                    insight_types: wanted.insight_types.clone(),
                    confidence_threshold: wanted.confidence_threshold,
                    trackers: wanted.trackers.clone(),
                    entities: wanted.entities,
                }),
            },
        };
        self.analyses.truncate(MOST_ANALYSES - 1);
        self.analyses.insert(0, analysis);
        &mut self.analyses[0].analyzer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sixteen_decimal_digits() {
        for _ in 0..1000 {
            let conversation = Conversation::new();
            assert_eq!(conversation.id().len(), 16);
            assert!(conversation.id().bytes().all(|b| b.is_ascii_digit()));
        }
    }

    #[test]
    fn a_speaker_keeps_the_id_and_two_speakers_have_two() {
        let mut conversation = Conversation::new();
        let mut speaker = |id, name| conversation.speaker(id, name, 3).expect("a place");
        let ada = speaker(Some("ada@example.org"), Some("Ada"));
        let again = speaker(Some("ada@example.org"), None);
        assert_eq!(ada, again);
        let unknown = speaker(None, None);
        assert_ne!(ada.id, unknown.id);
        assert_eq!(unknown, speaker(None, None));
        assert_ne!(unknown.id, speaker(None, Some("Bob")).id);
    }

    #[test]
    fn no_more_speakers_than_are_allowed_but_those_always() {
        let mut conversation = Conversation::new();
        assert!(conversation.speaker(None, Some("Ada"), 1).is_some());
        assert!(conversation.speaker(None, Some("Bob"), 1).is_none());
        assert!(conversation.speaker(None, Some("Ada"), 1).is_some());
    }

    #[test]
    fn wishes_without_end_are_not_remembered_without_end() {
        let mut conversation = Conversation::new();
        let wanted = |number: u32| Wanted {
            insight_types: Vec::new(),
            confidence_threshold: f64::from(number),
            trackers: Vec::new(),
            tracker_ids: Vec::new(),
            interim_trackers: false,
            entities: false,
        };
        for number in 0..100 {
            conversation.analyzer(&wanted(0));
            conversation.analyzer(&wanted(number));
        }
        assert_eq!(conversation.analyses.len(), MOST_ANALYSES);
        let kept = conversation.analyses.iter();
        let kept: Vec<f64> = kept.map(|a| a.wanted.confidence_threshold).collect();
        assert!(kept.contains(&0.0) && kept.contains(&99.0), "{kept:?}");
    }
}
