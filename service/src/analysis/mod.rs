// SPDX-License-Identifier: MPL-2.0

//! What a final says: its sentences, and in them questions, commitments,
//! follow-ups, the phrases the application watches for, and what it is about.
//!
//! English only and heuristic: `docs/analysis.md` says how each part works and
//! how often it is right, measured on the labelled sentences in
//! `service/tests/data`. The kinds of insights and the shape of tracker matches
//! (offset, −1 for similar) are those of the Symbl Streaming API reference.
//!
//! This module is a function of its arguments. It must never do I/O, look at a
//! clock or draw a random number: the same words give the same findings.

mod calendar;
mod due;
mod entity;
mod insight;
mod lexicon;
mod pattern;
mod punctuation;
mod question;
mod rules;
mod token;
mod topic;
mod tracker;

use crate::word::Word;
use std::ops::Range;
use std::sync::Arc;
use symbl_protocol::{InsightType, Tracker};

pub use calendar::{date_of, due_time};
pub use entity::EntityKind;
pub use punctuation::{punctuate, sentences};
pub(crate) use topic::Topics;
pub(crate) use tracker::Phrases;

/// A sentence found in the words of one final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// With punctuation and case; contractions may be expanded.
    pub text: String,
    /// The words as recognised, separated by single spaces.
    pub original_text: String,
    /// Which words of the slice given to [`punctuate`].
    pub words: Range<usize>,
}

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct AnalyzerOptions {
    /// Kinds that are reported; without [`InsightType::Topic`] no topics are.
    pub insight_types: Vec<InsightType>,
    /// 0.0–1.0; insights below are not reported. Topics and trackers do not know it.
    pub confidence_threshold: f64,
    /// Phrases to be found.
    pub trackers: Vec<Tracker>,
    /// Whether entities are looked for.
    pub entities: bool,
}

/// All that was found in one sentence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Analysis {
    /// In the order question, action item, follow-up; at most one of each.
    pub insights: Vec<InsightFinding>,
    /// In the order of the trackers and of their vocabulary, then of the text.
    pub trackers: Vec<TrackerFinding>,
    /// Topics that are new or have become clearly stronger, best first.
    pub topics: Vec<TopicFinding>,
    /// In the order of the text; they do not overlap.
    pub entities: Vec<EntityFinding>,
}

/// Who is to act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assignee {
    /// The one who said the sentence.
    Speaker,
    /// Somebody named in the sentence, capitalised.
    Named(String),
}

/// A question, an action item or a follow-up.
#[derive(Debug, Clone, PartialEq)]
pub struct InsightFinding {
    /// Never [`InsightType::Topic`].
    pub kind: InsightType,
    /// Text of the sentence.
    pub text: String,
    /// 0.0–1.0; at least the threshold of the options.
    pub confidence: f64,
    /// Key and value as in the `hints` of the wire; values are always strings.
    pub hints: Vec<(String, String)>,
    /// `None` when the sentence does not say.
    pub assignee: Option<Assignee>,
    /// The words that say when, for example `by friday`; not a date.
    pub due_by: Option<String>,
}

/// A place where a phrase of a tracker occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerFinding {
    /// Name of the tracker.
    pub name: String,
    /// The vocabulary entry that matched.
    pub value: String,
    /// Text of the sentence, or of the interim.
    pub text: String,
    /// Characters (not bytes) from the start of `text` to the match; −1 for a
    /// phrase that is similar to the entry but not it.
    pub offset: i64,
}

/// Something that is named: a date, somebody, an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityFinding {
    /// What it is.
    pub kind: EntityKind,
    /// Its words as they stand in the sentence.
    pub value: String,
    /// Characters (not bytes) from the start of the sentence.
    pub offset: usize,
}

/// Something the conversation is about.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicFinding {
    /// The phrase, lower case.
    pub text: String,
    /// 0.0–1.0.
    pub score: f64,
    /// Messages in which it occurs, oldest first.
    pub message_ids: Vec<String>,
    /// The words of the phrase that carry it.
    pub root_words: Vec<String>,
}

/// Finds what a sentence says by itself: insights, phrases of trackers, entities. It
/// remembers nothing, so that streams of one conversation need not wait for each other.
#[derive(Debug, Clone)]
pub(crate) struct Finder {
    insight_types: Vec<InsightType>,
    confidence_threshold: f64,
    phrases: Arc<Phrases>,
    entities: bool,
}

impl Finder {
    /// Looks for these `phrases`; the trackers of the options are not looked at.
    pub(crate) fn new(options: AnalyzerOptions, phrases: Arc<Phrases>) -> Self {
        Self {
            insight_types: options.insight_types,
            confidence_threshold: options.confidence_threshold,
            phrases,
            entities: options.entities,
        }
    }

    /// Returns `true` if the client wants to be told of topics.
    pub(crate) fn wants_topics(&self) -> bool {
        self.insight_types.contains(&InsightType::Topic)
    }

    /// Returns all but topics.
    pub(crate) fn sentence(&self, sentence: &Sentence) -> Analysis {
        Analysis {
            insights: insight::find(
                &sentence.text,
                &self.insight_types,
                self.confidence_threshold,
            ),
            trackers: self.trackers(&sentence.text),
            topics: Vec::new(),
            entities: match self.entities {
                true => entity::find(&sentence.text),
                false => Vec::new(),
            },
        }
    }

    /// Returns the trackers in a text.
    pub(crate) fn trackers(&self, text: &str) -> Vec<TrackerFinding> {
        self.phrases.find(text)
    }
}

/// Follows one conversation, sentence by sentence.
#[derive(Debug)]
pub struct Analyzer {
    finder: Finder,
    topics: Topics,
}

impl Analyzer {
    /// Makes an analyzer that has heard nothing.
    pub fn new(mut options: AnalyzerOptions) -> Self {
        let phrases = Arc::new(Phrases::new(&std::mem::take(&mut options.trackers)));
        Self {
            finder: Finder::new(options, phrases),
            topics: Topics::default(),
        }
    }

    /// Takes the next sentence of the conversation, known to the client as the
    /// message `message_id`.
    pub fn sentence(&mut self, message_id: &str, sentence: &Sentence) -> Analysis {
        let mut found = self.finder.sentence(sentence);
        if self.finder.wants_topics() {
            found.topics = self.topics.sentence(message_id, &sentence.text);
        }
        found
    }

    /// Returns the trackers in the text of an interim; remembers nothing.
    pub fn interim(&self, text: &str) -> Vec<TrackerFinding> {
        self.finder.trackers(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(text: &str) -> Sentence {
        Sentence {
            text: text.to_owned(),
            original_text: text.to_lowercase(),
            words: 0..text.split(' ').count(),
        }
    }

    fn options(insight_types: &[InsightType]) -> AnalyzerOptions {
        AnalyzerOptions {
            insight_types: insight_types.to_vec(),
            confidence_threshold: 0.5,
            trackers: vec![Tracker {
                name: "Money".to_owned(),
                vocabulary: vec!["delivery address".to_owned(), "refund".to_owned()],
            }],
            entities: false,
        }
    }

    const TALK: [&str; 4] = [
        "What is the delivery address?",
        "I'll send you a refund by Friday.",
        "Is that the delivery address?",
        "I'll call you back tomorrow.",
    ];

    #[test]
    fn only_what_was_asked_for_is_reported() {
        let mut analyzer = Analyzer::new(options(&[]));
        for text in TALK {
            let found = analyzer.sentence("m", &sentence(text));
            assert!(
                found.insights.is_empty() && found.topics.is_empty() && found.entities.is_empty(),
                "{text}"
            );
        }
        let mut analyzer = Analyzer::new(options(&[InsightType::Topic]));
        let topics: Vec<TopicFinding> = TALK
            .iter()
            .flat_map(|text| analyzer.sentence("m", &sentence(text)).topics)
            .collect();
        assert_eq!(topics.len(), 1, "{topics:?}");
    }

    #[test]
    fn the_same_talk_gives_the_same_findings() {
        let all = [
            InsightType::Question,
            InsightType::ActionItem,
            InsightType::FollowUp,
            InsightType::Topic,
        ];
        let run = || {
            let mut analyzer = Analyzer::new(options(&all));
            TALK.map(|text| analyzer.sentence(text, &sentence(text)))
        };
        assert_eq!(run(), run());
    }

    #[test]
    fn trackers_are_found_in_interims_and_finals_alike() {
        let mut analyzer = Analyzer::new(options(&[]));
        let interim = analyzer.interim("the delivery address and refunds");
        let offsets: Vec<i64> = interim.iter().map(|finding| finding.offset).collect();
        assert_eq!(offsets, [4, 25]);
        let last = analyzer.sentence("m", &sentence("the delivery address and refunds"));
        assert_eq!(last.trackers, interim);
    }
}
