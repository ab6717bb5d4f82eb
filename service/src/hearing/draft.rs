// SPDX-License-Identifier: MPL-2.0

//! Makes a final as it will be in the log: its sentences, its words as they are written,
//! and all that was found in them. Pure: takes words and findings, returns [`Transcribed`].

use crate::conversation::entry::{
    Entity, Insight, Message, Topic, TrackerMatch, Transcribed, Word,
};
use crate::hearing::recognizer::RecognisedWord;
use crate::ids::{new_id, topic_id};
use std::time::Duration;
use symbl_analysis::{
    Assignee, EntityFinding, EntityKind, InsightFinding, Sentence, TopicFinding, TrackerFinding,
    date_of, due_time,
};
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// A final in the making.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) said: Transcribed,
}

impl Draft {
    /// Begins a draft with the words and their sentences. `first` is the id of the first
    /// message.
    pub(crate) fn new(
        mut said: Transcribed,
        words: &[RecognisedWord],
        sentences: &[Sentence],
        first: i64,
    ) -> Self {
        said.confidence = mean_confidence(words);
        let written = sentences.iter().flat_map(|one| as_written(one, words));
        let words = words.iter().zip(written).map(|(word, text)| Word {
            text,
            start: nanos(word.start),
            end: nanos(word.end),
        });
        said.words = words.collect();
        let texts: Vec<&str> = sentences.iter().map(|one| one.text.as_str()).collect();
        said.text = texts.join(" ");
        let ids = std::iter::once(first).chain(std::iter::repeat_with(new_id));
        let messages = sentences.iter().zip(ids).map(|(sentence, id)| Message {
            id,
            text: sentence.text.clone(),
            original_text: sentence.original_text.clone(),
            words: sentence.words.clone(),
        });
        said.messages = messages.collect();
        Self { said }
    }

    /// Returns when a message begins, in the speaker's time zone.
    fn local(&self, message: &Message) -> OffsetDateTime {
        let (start, _) = self.said.span_of(message);
        local(start, self.said.timezone_offset)
    }

    pub(crate) fn insight(&mut self, message: &Message, found: InsightFinding) {
        let at = self.local(message);
        let words = found.due_by.as_deref();
        let due = words.and_then(|words| {
            let local = PrimitiveDateTime::new(at.date(), at.time());
            let due = due_time(words, local)?.assume_offset(at.offset());
            i64::try_from(due.unix_timestamp_nanos()).ok()
        });
        let (by_speaker, assignee) = match found.assignee {
            Some(Assignee::Speaker) => (true, None),
            Some(Assignee::Named(name)) => (false, Some(name)),
            None => (false, None),
        };
        self.said.insights.push(Insight {
            id: new_id(),
            message: message.id,
            kind: found.kind.as_str().to_owned(),
            text: found.text,
            score: found.confidence,
            hints: found.hints,
            by_speaker,
            assignee,
            due,
        });
    }

    pub(crate) fn tracker(
        &mut self,
        message: &Message,
        found: TrackerFinding,
        tracker_id: Option<&str>,
    ) {
        self.said.trackers.push(TrackerMatch {
            tracker_id: tracker_id.map(str::to_owned),
            name: found.name,
            value: found.value,
            message: message.id,
            text: found.text,
            offset: found.offset,
        });
    }

    pub(crate) fn entity(&mut self, message: &Message, found: EntityFinding) {
        let date = match found.kind {
            EntityKind::Date => date_of(&found.value, self.local(message).date()),
            _ => None,
        };
        self.said.entities.push(Entity {
            message: message.id,
            kind: found.kind.name().to_owned(),
            sub_type: found.kind.sub_type().map(str::to_owned),
            value: date.map_or_else(|| found.value.clone(), |date| date.to_string()),
            text: found.value,
            offset: found.offset,
        });
    }

    pub(crate) fn topic(&mut self, conversation: i64, found: TopicFinding) {
        self.said.topics.push(Topic {
            id: topic_id(conversation, &found.text),
            text: found.text,
            score: found.score,
            messages: found.message_ids,
            root_words: found.root_words,
        });
    }
}

/// Returns a time since the Unix epoch in the zone that is this many minutes ahead of
/// UTC.
pub(crate) fn local(nanos: i64, timezone_offset: i32) -> OffsetDateTime {
    let utc = OffsetDateTime::from_unix_timestamp_nanos(nanos.into());
    let utc = utc.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let offset = UtcOffset::from_whole_seconds(timezone_offset.saturating_mul(60)).ok();
    let local = offset.and_then(|offset| utc.checked_to_offset(offset));
    local.unwrap_or(utc)
}

/// Returns the words of a sentence with the punctuation and case that they have in it.
fn as_written(sentence: &Sentence, words: &[RecognisedWord]) -> Vec<String> {
    let recognised = words.get(sentence.words.clone()).unwrap_or_default();
    let written: Vec<&str> = sentence.text.split_whitespace().collect();
    if written.len() == recognised.len() {
        written.into_iter().map(str::to_owned).collect()
    } else {
        recognised.iter().map(|word| word.text.clone()).collect()
    }
}

fn mean_confidence(words: &[RecognisedWord]) -> f64 {
    let sum: f64 = words.iter().map(|word| word.confidence).sum();
    sum / words.len().max(1) as f64
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> RecognisedWord {
        RecognisedWord {
            text: text.to_owned(),
            start: Duration::ZERO,
            end: Duration::ZERO,
            confidence: 0.5,
        }
    }

    fn sentence(text: &str, words: usize) -> Sentence {
        Sentence {
            text: text.to_owned(),
            original_text: String::new(),
            words: 0..words,
        }
    }

    #[test]
    fn words_are_written_as_in_their_sentence_where_they_correspond() {
        let words = [word("how"), word("are"), word("you")];
        let written = as_written(&sentence("How are you?", 3), &words);
        assert_eq!(written, ["How", "are", "you?"]);
        let reworded = as_written(&sentence("How do you do?", 3), &words);
        assert_eq!(reworded, ["how", "are", "you"]);
    }

    #[test]
    fn a_punctuated_final_has_its_marks_in_its_texts_and_in_its_words() {
        let words = ["to", "listen,", "press", "1.", "Really?"].map(word);
        let sentences = symbl_analysis::punctuated(&words);
        let draft = Draft::new(Transcribed::default(), &words, &sentences, 7);
        assert_eq!(draft.said.text, "To listen, press 1. Really?");
        let written: Vec<&str> = draft.said.words.iter().map(|w| w.text.as_str()).collect();
        assert_eq!(written, ["To", "listen,", "press", "1.", "Really?"]);
        let [first, second] = &draft.said.messages[..] else {
            panic!("not two sentences: {:?}", draft.said.messages);
        };
        assert_eq!(first.text, "To listen, press 1.");
        assert_eq!(first.original_text, "to listen, press 1.");
        assert_eq!((second.text.as_str(), &second.words), ("Really?", &(4..5)));
    }

    #[test]
    fn the_confidence_of_an_utterance_is_the_mean_of_its_words() {
        assert_eq!(mean_confidence(&[word("a"), word("b")]), 0.5);
        assert_eq!(mean_confidence(&[]), 0.0);
    }
}
