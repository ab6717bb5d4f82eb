// SPDX-License-Identifier: MPL-2.0

//! Finds what a final says: its sentences, and in them questions, action items,
//! follow-ups, trackers, entities and topics.
//!
//! The words of a final come in. [`punctuate`] returns its sentences, and an
//! [`Analyzer`] returns the findings of each sentence. The analysis is heuristic and
//! for English only. `docs/analysis.md` says how each part works and how often it is
//! right, measured on the labelled sentences in `crates/analysis/tests/data`. The kinds of
//! insights and the form of tracker matches (offset, −1 for similar) are those of the
//! Symbl Streaming API reference.
//!
//! This crate is a function of its arguments. It must never do I/O, read a clock or
//! draw a random number: the same words always give the same findings.
//!
//! ```
//! use std::time::Duration;
//! use symbl_analysis::{Analyzer, AnalyzerOptions, RecognisedWord, punctuate};
//! use symbl_protocol::InsightType;
//!
//! // The recogniser says where each word was: here one every 300 ms, and a pause of a second.
//! let at = |index: u64| Duration::from_millis(index * 300 + if index < 4 { 0 } else { 1000 });
//! let said = "the budget is done can you send me the report by friday";
//! let words = said.split(' ').zip(0..).map(|(word, index)| RecognisedWord {
//!     text: word.to_owned(),
//!     start: at(index),
//!     end: at(index) + Duration::from_millis(300),
//!     confidence: 1.0,
//! });
//! let words: Vec<RecognisedWord> = words.collect();
//! let mut analyzer = Analyzer::new(AnalyzerOptions {
//!     insight_types: vec![InsightType::Question, InsightType::ActionItem],
//!     ..AnalyzerOptions::default()
//! });
//! let sentences = punctuate(&words);
//! let texts: Vec<&str> = sentences.iter().map(|sentence| sentence.text.as_str()).collect();
//! assert_eq!(texts, ["The budget is done.", "Can you send me the report by Friday?"]);
//! let found = analyzer.sentence("a message's id", &sentences[1]);
//! assert_eq!(found.insights[0].kind, InsightType::Question);
//! ```

pub mod analytics;
mod calendar;
mod context;
mod due;
mod entity;
mod hierarchy;
mod insight;
mod lexicon;
mod number;
mod pattern;
mod phrase;
mod punctuation;
mod question;
pub mod redaction;
mod rules;
pub mod score;
pub mod sentiment;
pub mod summary;
mod token;
mod topic;
mod tracker;

use std::ops::Range;
use std::sync::Arc;
use symbl_protocol::{InsightType, Tracker};

pub use calendar::{date_of, due_time};
pub use context::{is_definitive, needs_context, share_words};
pub use entity::EntityKind;
pub use hierarchy::Hierarchy;
pub use insight::questions;
pub use phrase::{phrases, places as phrase_places};
pub use punctuation::{punctuate, punctuated, sentences};
pub use symbl_protocol::recognizer::RecognisedWord;
pub use topic::Topics;
pub use tracker::{Phrases, UnfitTracker, check as check_tracker};

/// A sentence in the words of one final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// The sentence with punctuation and case. Contractions may be expanded.
    pub text: String,
    /// The words as the engine recognised them, separated by single spaces.
    pub original_text: String,
    /// The range of the words in the slice given to [`punctuate`].
    pub words: Range<usize>,
}

/// What an [`Analyzer`] looks for.
#[derive(Debug, Clone, Default)]
pub struct AnalyzerOptions {
    /// Kinds of insights to report. Topics are reported only if
    /// [`InsightType::Topic`] is among them.
    pub insight_types: Vec<InsightType>,
    /// Minimum confidence of insights, 0.0–1.0. It does not apply to topics and
    /// trackers.
    pub confidence_threshold: f64,
    /// Trackers to find.
    pub trackers: Vec<Tracker>,
    /// `true` to find entities.
    pub entities: bool,
}

/// The findings in one sentence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Analysis {
    /// Insights in the order question, action item, follow-up. At most one of each.
    pub insights: Vec<InsightFinding>,
    /// Tracker matches in the order of the trackers, of their vocabulary and of the
    /// text.
    pub trackers: Vec<TrackerFinding>,
    /// Topics that are new or whose score has clearly risen, best first.
    pub topics: Vec<TopicFinding>,
    /// Entities in the order of the text. They do not overlap.
    pub entities: Vec<EntityFinding>,
}

/// The person responsible for a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assignee {
    /// The speaker of the sentence.
    Speaker,
    /// A person or group named in the sentence, capitalised.
    Named(String),
}

/// A question, an action item or a follow-up.
#[derive(Debug, Clone, PartialEq)]
pub struct InsightFinding {
    /// Never [`InsightType::Topic`].
    pub kind: InsightType,
    /// Text of the sentence.
    pub text: String,
    /// Confidence, 0.0–1.0. At least the threshold of the options.
    pub confidence: f64,
    /// Keys and values of the `hints` on the wire. Values are always strings.
    pub hints: Vec<(String, String)>,
    /// The assignee. `None` if the sentence names none.
    pub assignee: Option<Assignee>,
    /// The words that say when it is due, for example `by friday`. Not a date.
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
    /// Characters (not bytes) from the start of `text` to the match; −1 for a phrase
    /// that is similar to the entry but not the same.
    pub offset: i64,
}

/// An entity: a date, a person, an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityFinding {
    /// Its type.
    pub kind: EntityKind,
    /// Its words as they stand in the sentence.
    pub value: String,
    /// Characters (not bytes) from the start of the sentence.
    pub offset: usize,
}

/// A topic of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicFinding {
    /// The phrase in lower case.
    pub text: String,
    /// Relevance, 0.0–1.0.
    pub score: f64,
    /// Ids of the messages that contain it, oldest first.
    pub message_ids: Vec<String>,
    /// The words of the phrase that carry its meaning.
    pub root_words: Vec<String>,
}

/// Finds what a sentence says by itself: insights, trackers and entities. It has no
/// state, so streams of one conversation need not wait for each other.
#[derive(Debug, Clone)]
pub struct Finder {
    insight_types: Vec<InsightType>,
    confidence_threshold: f64,
    phrases: Arc<Phrases>,
    entities: bool,
}

impl Finder {
    /// Creates a finder of these `phrases`. It ignores the trackers of the options.
    pub fn new(options: AnalyzerOptions, phrases: Arc<Phrases>) -> Self {
        Self {
            insight_types: options.insight_types,
            confidence_threshold: options.confidence_threshold,
            phrases,
            entities: options.entities,
        }
    }

    /// Returns `true` if the client asked for topics.
    pub fn wants_topics(&self) -> bool {
        self.insight_types.contains(&InsightType::Topic)
    }

    /// Returns all findings except topics.
    pub fn sentence(&self, sentence: &Sentence) -> Analysis {
        Analysis {
            insights: insight::find(sentence, &self.insight_types, self.confidence_threshold),
            trackers: self.trackers(&sentence.text),
            topics: Vec::new(),
            entities: match self.entities {
                true => entity::find(&sentence.text),
                false => Vec::new(),
            },
        }
    }

    /// Returns the tracker matches in a text.
    pub fn trackers(&self, text: &str) -> Vec<TrackerFinding> {
        self.phrases.find(text)
    }
}

/// Analyses one conversation, sentence by sentence.
#[derive(Debug)]
pub struct Analyzer {
    finder: Finder,
    topics: Topics,
}

impl Analyzer {
    /// Creates an analyzer at the beginning of a conversation.
    pub fn new(mut options: AnalyzerOptions) -> Self {
        let phrases = Arc::new(Phrases::new(&std::mem::take(&mut options.trackers)));
        Self {
            finder: Finder::new(options, phrases),
            topics: Topics::default(),
        }
    }

    /// Analyses the next sentence of the conversation. The client knows it as the
    /// message `message_id`.
    pub fn sentence(&mut self, message_id: &str, sentence: &Sentence) -> Analysis {
        let mut found = self.finder.sentence(sentence);
        if self.finder.wants_topics() {
            found.topics = self.topics.sentence(message_id, &sentence.text);
        }
        found
    }

    /// Returns the tracker matches in the text of an interim. Changes no state.
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
    fn trackers_are_found_in_interims_and_in_finals() {
        let mut analyzer = Analyzer::new(options(&[]));
        let interim = analyzer.interim("the delivery address and refunds");
        let offsets: Vec<i64> = interim.iter().map(|finding| finding.offset).collect();
        assert_eq!(offsets, [4, 25]);
        let last = analyzer.sentence("m", &sentence("the delivery address and refunds"));
        assert_eq!(last.trackers, interim);
    }
}
