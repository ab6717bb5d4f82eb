// SPDX-License-Identifier: MPL-2.0

//! Hides what a stream must not tell, before anything else sees it: `results` gives this the
//! words of finals and interims, and goes on with the words that come back.
//!
//! Words that are hidden become one word, which lasts as long as they did. Until the sentences
//! are made, its text is [`HIDDEN`], a letter that no analysis knows; then it is what the client
//! or the operator wants to read there.

use crate::conversation::entry::{Entity, Message, Transcribed};
use crate::hearing::recognizer::RecognisedWord;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use symbl_analysis::Sentence;
use symbl_analysis::redaction::{Kind, Redaction, Redactor};

/// Stands for hidden words in a text that is not finished: a letter without cases, which no
/// recogniser writes.
const HIDDEN: char = '\u{a7f7}';

/// What stands for hidden words by default.
pub const REPLACEMENT: &str = "****";

/// What a service hides of all streams.
#[derive(Debug, Clone)]
pub struct RedactionPolicy {
    /// What is hidden. Nothing by default.
    pub redaction: Redaction,
    /// What is written in its place.
    pub replacement: String,
}

impl Default for RedactionPolicy {
    fn default() -> Self {
        Self {
            redaction: Redaction::default(),
            replacement: REPLACEMENT.to_owned(),
        }
    }
}

impl RedactionPolicy {
    /// Returns the text without what is to be hidden.
    pub(crate) fn text(&self, text: &str) -> String {
        match self.redaction.is_empty() {
            true => text.to_owned(),
            false => self.redaction.text(text, &self.replacement),
        }
    }
}

impl RedactionPolicy {
    /// Returns the name of a speaker without what is to be hidden of it. The name itself stays,
    /// so that speakers can be told apart; a number or an address that stands for it does not.
    pub(crate) fn name(&self, name: &str) -> String {
        let others = Self {
            redaction: self.redaction.without(Kind::Name),
            replacement: self.replacement.clone(),
        };
        others.text(name)
    }

    /// Returns what is hidden of a stream that asks for this itself.
    pub(crate) fn of_stream(&self, asked: &Asked) -> Self {
        Self {
            redaction: match asked.redact {
                true => self.redaction.with_all_kinds(),
                false => self.redaction.clone(),
            },
            replacement: asked
                .replacement
                .as_ref()
                .unwrap_or(&self.replacement)
                .clone(),
        }
    }

    /// Returns the metadata of a conversation with texts from which is taken what is to be
    /// hidden. Keys stay.
    pub(crate) fn metadata(&self, metadata: Map<String, Value>) -> Map<String, Value> {
        let masked = |(key, value): (String, Value)| match value {
            Value::String(text) => (key, Value::String(self.text(&text))),
            other => (key, other),
        };
        metadata.into_iter().map(masked).collect()
    }
}

/// Takes what is to be hidden out of many names, each of which may come often.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    policy: &'a RedactionPolicy,
    shown: HashMap<String, String>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(policy: &'a RedactionPolicy) -> Self {
        let shown = HashMap::new();
        Self { policy, shown }
    }

    /// Returns a name as it may be shown.
    pub(crate) fn shown(&mut self, name: Option<String>) -> Option<String> {
        let name = name?;
        if self.policy.redaction.is_empty() {
            return Some(name);
        }
        let shown = self.shown.entry(name);
        let shown = shown.or_insert_with_key(|name| self.policy.name(name));
        Some(shown.clone())
    }
}

/// What a stream asks for itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// `true` to be told what is found, as entities.
    pub(crate) identify: bool,
    /// `true` to hide what is found.
    pub(crate) redact: bool,
    /// What is written in its place.
    pub(crate) replacement: Option<String>,
}

/// Hides what one stream must not tell.
#[derive(Debug, Default)]
pub(crate) struct Masking {
    hide: Option<Redactor>,
    /// What is told as entities.
    identify: Option<Redaction>,
    replacement: String,
}

/// What was found in a final, to be told as an entity.
#[derive(Debug, Clone)]
pub(crate) struct Identified {
    /// Places of its words.
    words: Range<usize>,
    kind: Kind,
    /// The words. `None` if they are hidden.
    value: Option<String>,
}

/// A final without what is to be hidden.
#[derive(Debug, Default)]
pub(crate) struct Masked {
    pub(crate) words: Vec<RecognisedWord>,
    pub(crate) identified: Vec<Identified>,
}

impl Masked {
    /// Returns a run of the words, with what was identified in it.
    pub(crate) fn part(&self, run: Range<usize>) -> Self {
        let found = self
            .identified
            .iter()
            .filter(|found| run.start <= found.words.start && found.words.end <= run.end);
        let moved = found.map(|found| Identified {
            words: found.words.start - run.start..found.words.end - run.start,
            ..found.clone()
        });
        Self {
            identified: moved.collect(),
            words: self.words.get(run.clone()).unwrap_or_default().to_vec(),
        }
    }
}

impl Masking {
    /// Begins a stream. It hides what the service hides, and what it asks for itself.
    /// `resumed` says that the stream goes on after a loss.
    pub(crate) fn new(policy: &RedactionPolicy, asked: &Asked, resumed: bool) -> Self {
        let own = policy.of_stream(asked);
        let hides = !own.redaction.is_empty();
        Self {
            hide: hides.then(|| Redactor::new(Arc::new(own.redaction), resumed)),
            identify: asked.identify.then(|| policy.redaction.with_all_kinds()),
            replacement: own.replacement,
        }
    }

    /// Hides words of a final. The first `known` words were told before: they are looked at
    /// with the others, and left out.
    pub(crate) fn last(&mut self, words: &[RecognisedWord], known: usize) -> Masked {
        let (Some(first), Some(last)) = (words.first(), words.last()) else {
            return Masked::default();
        };
        let (start, end) = (first.start, last.end);
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let hidden = match &mut self.hide {
            Some(redactor) => redactor.last(&texts, start, end),
            None => Vec::new(),
        };
        let hidden: Vec<Range<usize>> = hidden.into_iter().map(|span| span.words).collect();
        let (masked, places) = mask(words, &hidden, known);
        let identified = self.identify.as_ref().map_or_else(Vec::new, |redaction| {
            let found = redaction.find(&texts).into_iter();
            let found = found.filter(|span| span.words.start >= known);
            let told = found.filter_map(|span| {
                let is_hidden = hidden
                    .iter()
                    .any(|hidden| hidden.start < span.words.end && span.words.start < hidden.end);
                let first = *places.get(span.words.start)?;
                let last = *places.get(span.words.end - 1)?;
                let value = texts.get(span.words.clone())?.join(" ");
                Some(Identified {
                    words: first..last + 1,
                    kind: span.kind,
                    value: (!is_hidden).then(|| bare(&value).to_owned()),
                })
            });
            told.collect()
        });
        Masked {
            words: masked,
            identified,
        }
    }

    /// Returns what may be shown of an interim, and how many of its words are settled.
    pub(crate) fn interim(
        &self,
        words: &[RecognisedWord],
        stable: usize,
    ) -> (Vec<RecognisedWord>, usize) {
        let (Some(redactor), Some(first)) = (&self.hide, words.first()) else {
            return (words.to_vec(), stable);
        };
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let shown = redactor.interim(&texts, first.start);
        let words = words.get(..shown.words).unwrap_or_default();
        let (mut masked, places) = mask(words, &shown.hidden, 0);
        for word in &mut masked {
            word.text = self.written(&word.text);
        }
        // What is hidden may still become something else, so it is not settled.
        let settled = words.len().min(stable);
        let open = shown.hidden.iter().map(|hidden| hidden.start);
        let settled = open.min().map_or(settled, |open| open.min(settled));
        let stable = places.get(settled).copied().unwrap_or(masked.len());
        (masked, stable)
    }

    /// Returns the text of words of a final without what is to be hidden.
    pub(crate) fn text(&mut self, words: &[RecognisedWord]) -> String {
        let masked = self.last(words, 0).words;
        let texts: Vec<String> = masked.iter().map(|word| self.written(&word.text)).collect();
        texts.join(" ")
    }

    fn written(&self, text: &str) -> String {
        text.replace(HIDDEN, &self.replacement)
    }

    /// Writes the replacement into the final and its sentences.
    pub(crate) fn write(&self, said: &mut Transcribed, sentences: &mut [Sentence]) {
        if self.hide.is_none() {
            return;
        }
        let messages = said.messages.iter_mut();
        let texts = messages.flat_map(|message| [&mut message.text, &mut message.original_text]);
        let sentences = sentences.iter_mut();
        let sentences = sentences.flat_map(|one| [&mut one.text, &mut one.original_text]);
        let words = said.words.iter_mut().map(|word| &mut word.text);
        let all = texts.chain(sentences).chain(words).chain([&mut said.text]);
        for text in all.filter(|text| text.contains(HIDDEN)) {
            *text = self.written(text);
        }
    }

    /// Adds what was identified to the entities of the final.
    pub(crate) fn tell(&self, said: &mut Transcribed, identified: &[Identified]) {
        for found in identified {
            let of = said
                .messages
                .iter()
                .find(|message| message.words.contains(&found.words.start));
            let Some(message) = of else {
                continue;
            };
            let text = found
                .value
                .clone()
                .unwrap_or_else(|| self.replacement.clone());
            let entity = Entity {
                message: message.id,
                kind: found.kind.entity().to_owned(),
                sub_type: None,
                value: text.clone(),
                offset: offset(said, message, found.words.start, &text),
                text,
            };
            said.entities.push(entity);
        }
    }
}

/// Returns where the word stands in its message, in characters.
fn offset(said: &Transcribed, message: &Message, word: usize, value: &str) -> usize {
    let before = said
        .words
        .get(message.words.start..word)
        .unwrap_or_default();
    let before: usize = before
        .iter()
        .map(|word| word.text.chars().count() + 1)
        .sum();
    let marks = said.words.get(word).map_or(0, |word| {
        word.text
            .chars()
            .take_while(|c| "\"'([{\u{201c}".contains(*c))
            .count()
    });
    let words = said.words.get(message.words.clone()).unwrap_or_default();
    let joined: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    if joined.join(" ") == message.text {
        return before + marks;
    }
    let lower = message.text.to_lowercase();
    let found = lower.find(&value.to_lowercase()).unwrap_or(0);
    lower
        .get(..found)
        .map_or(0, |before| before.chars().count())
}

/// Returns a text without the marks around it.
fn bare(text: &str) -> &str {
    let text = text.trim_start_matches(['"', '\'', '\u{201c}', '[', '{']);
    text.trim_end_matches([
        '.', ',', '?', '!', ':', ';', '"', '\'', '\u{201d}', ']', '}',
    ])
}

/// Makes one word of the words of each span, and leaves out the first `known` words. Also
/// returns the new place of each word.
fn mask(
    words: &[RecognisedWord],
    hidden: &[Range<usize>],
    known: usize,
) -> (Vec<RecognisedWord>, Vec<usize>) {
    let mut masked: Vec<RecognisedWord> = Vec::with_capacity(words.len());
    let mut places = Vec::with_capacity(words.len());
    // The span that the last word of `masked` stands for.
    let mut open: Option<usize> = None;
    for (at, word) in words.iter().enumerate() {
        if at < known {
            places.push(0);
            continue;
        }
        let span = hidden.iter().position(|span| span.contains(&at));
        match (span, masked.last_mut()) {
            (Some(span), Some(last)) if open == Some(span) => {
                last.end = last.end.max(word.end);
                last.confidence = last.confidence.min(word.confidence);
                last.text = mark_of(&word.text);
            }
            (Some(_), _) => masked.push(RecognisedWord {
                text: mark_of(&word.text),
                ..word.clone()
            }),
            (None, _) => masked.push(RecognisedWord {
                text: word.text.replace(HIDDEN, ""),
                ..word.clone()
            }),
        }
        open = span;
        places.push(masked.len() - 1);
    }
    (masked, places)
}

/// Returns the hidden word with the mark that is behind it.
fn mark_of(word: &str) -> String {
    let mark = word.chars().last().filter(|c| ".,?!:;".contains(*c));
    std::iter::once(HIDDEN).chain(mark).collect()
}

/// Returns the text of a message without what stands for hidden words, for topics.
pub(crate) fn spoken(text: &str, replacement: &str) -> String {
    match replacement.is_empty() {
        true => text.to_owned(),
        false => text.replace(replacement, ","),
    }
}

impl Masking {
    /// Returns the text of a message for topics, which are made of what was said only.
    pub(crate) fn for_topics(&self, text: &str) -> String {
        match self.hide {
            Some(_) => spoken(text, &self.replacement),
            None => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn words(text: &str) -> Vec<RecognisedWord> {
        let words = text.split(' ').zip(0..).map(|(text, at)| RecognisedWord {
            text: text.to_owned(),
            start: Duration::from_secs(at),
            end: Duration::from_secs(at + 1),
            confidence: 0.5,
        });
        words.collect()
    }

    fn asked() -> Asked {
        Asked {
            redact: true,
            ..Asked::default()
        }
    }

    fn texts(words: &[RecognisedWord]) -> Vec<String> {
        words
            .iter()
            .map(|word| word.text.replace(HIDDEN, "*"))
            .collect()
    }

    #[test]
    fn hidden_words_become_one_that_lasts_as_long() {
        let mut masking = Masking::new(&RedactionPolicy::default(), &asked(), false);
        let masked = masking.last(&words("call 555 123 4567. thanks"), 0).words;
        assert_eq!(texts(&masked), ["call", "*.", "thanks"]);
        assert_eq!(masked[1].start, Duration::from_secs(1));
        assert_eq!(masked[1].end, Duration::from_secs(4));
    }

    #[test]
    fn the_rest_of_a_number_is_hidden_when_its_beginning_was_told_before() {
        let mut masking = Masking::new(&RedactionPolicy::default(), &asked(), false);
        let all = words("my number is five five five one two three four thanks");
        let masked = masking.last(&all, 6).words;
        assert_eq!(texts(&masked), ["*", "thanks"]);
    }

    #[test]
    fn nothing_changes_where_nothing_is_to_be_hidden() {
        let mut masking = Masking::new(&RedactionPolicy::default(), &Asked::default(), false);
        let all = words("call 555 123 4567");
        assert_eq!(masking.last(&all, 0).words, all);
        assert_eq!(masking.interim(&all, 2), (all.clone(), 2));
    }

    #[test]
    fn an_interim_has_fewer_settled_words_than_hidden_ones_came_before() {
        let masking = Masking::new(&RedactionPolicy::default(), &asked(), false);
        let (shown, stable) = masking.interim(&words("call five five five one two"), 6);
        let shown: Vec<&str> = shown.iter().map(|word| word.text.as_str()).collect();
        assert_eq!((shown, stable), (vec!["call", "****"], 1));
    }
}
